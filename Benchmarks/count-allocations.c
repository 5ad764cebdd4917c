// Counts allocations by who asks for them. Loaded into gatehouse by `allocations` through LD_PRELOAD; the counts are in a file that
// both map, whose path is in ALLOCATION_COUNTS. Counts calls, not bytes, of all threads but the first, which serves no requests and looks after
// things every few seconds.
//
// Who asks is the caller's return address: libcurl, the program itself (Swift's runtime and standard library are linked into it), or
// any other library. What libcurl asks for through strdup(3) counts as libcurl's.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { CURL, PROGRAM, OTHERS, OWNERS };
enum { ALLOCATED, REALLOCATED, FREED, KINDS };

static _Atomic uint64_t unmapped[OWNERS][KINDS];
static _Atomic uint64_t (*counts)[KINDS] = unmapped;
static pthread_t first;
static uintptr_t curl_start, curl_end, program_start, program_end;

static int look(struct dl_phdr_info *object, size_t size, void *unused) {
  (void)size, (void)unused;
  uintptr_t start = UINTPTR_MAX, end = 0;
  for (int i = 0; i < object->dlpi_phnum; i++) {
    const ElfW(Phdr) *part = &object->dlpi_phdr[i];
    if (part->p_type != PT_LOAD) continue;
    if (object->dlpi_addr + part->p_vaddr < start) start = object->dlpi_addr + part->p_vaddr;
    if (object->dlpi_addr + part->p_vaddr + part->p_memsz > end) end = object->dlpi_addr + part->p_vaddr + part->p_memsz;
  }
  if (object->dlpi_name[0] == 0) program_start = start, program_end = end;
  if (strstr(object->dlpi_name, "libcurl")) curl_start = start, curl_end = end;
  return 0;
}

__attribute__((constructor)) static void begin(void) {
  first = pthread_self();
  dl_iterate_phdr(look, NULL);
  const char *path = getenv("ALLOCATION_COUNTS");
  int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
  if (file < 0) return;
  void *map = mmap(NULL, sizeof unmapped, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (map != MAP_FAILED) counts = map;
}

static void count(int kind, void *caller) {
  if (pthread_equal(pthread_self(), first)) return;
  uintptr_t address = (uintptr_t)caller;
  int owner = OTHERS;
  if (address >= curl_start && address < curl_end) owner = CURL;
  if (address >= program_start && address < program_end) owner = PROGRAM;
  atomic_fetch_add_explicit(&counts[owner][kind], 1, memory_order_relaxed);
}

// glibc's own, under the names that it exports for replacements like this one: no dlsym, which allocates itself.
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

void *malloc(size_t size) {
  count(ALLOCATED, __builtin_return_address(0));
  return __libc_malloc(size);
}

void *calloc(size_t number, size_t size) {
  count(ALLOCATED, __builtin_return_address(0));
  return __libc_calloc(number, size);
}

void *realloc(void *old, size_t size) {
  count(old ? REALLOCATED : ALLOCATED, __builtin_return_address(0));
  return __libc_realloc(old, size);
}

void free(void *old) {
  if (old) count(FREED, __builtin_return_address(0));
  __libc_free(old);
}

void *memalign(size_t alignment, size_t size) {
  count(ALLOCATED, __builtin_return_address(0));
  return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
  count(ALLOCATED, __builtin_return_address(0));
  return __libc_memalign(alignment, size);
}

int posix_memalign(void **result, size_t alignment, size_t size) {
  count(ALLOCATED, __builtin_return_address(0));
  void *fresh = __libc_memalign(alignment, size);
  if (!fresh) return ENOMEM;
  *result = fresh;
  return 0;
}

static char *copy(const char *text, size_t length) {
  char *fresh = __libc_malloc(length + 1);
  if (fresh) memcpy(fresh, text, length), fresh[length] = 0;
  return fresh;
}

char *strdup(const char *text) {
  count(ALLOCATED, __builtin_return_address(0));
  return copy(text, strlen(text));
}

char *strndup(const char *text, size_t limit) {
  count(ALLOCATED, __builtin_return_address(0));
  return copy(text, strnlen(text, limit));
}
