// OpenSSL's memory: the C library's, but for the buffers of records. A connection that waits has none of those (SSL_MODE_RELEASE_BUFFERS), so that each
// request takes one to be read and one to be answered, and both are beyond the sizes that malloc(3) keeps at hand. Here each thread keeps a few.
#ifndef GATEHOUSE_COPENSSL_MEMORY_H
#define GATEHOUSE_COPENSSL_MEMORY_H

#include <malloc.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdlib.h>

// Bytes of one that is kept, which any record's buffer fits into, and the least that is asked for as one.
#define GH_RECORD_BLOCK 17408
#define GH_RECORD_LEAST 16384
// Kept by each thread: a connection has two at most while it is worked upon, and the rest is for those that wait for room.
#define GH_RECORD_KEPT 4

typedef struct {
  unsigned count;
  void *blocks[GH_RECORD_KEPT];
} gh_record_blocks;

static inline gh_record_blocks *gh_record_blocks_here(void) {
  static _Thread_local gh_record_blocks here;
  return &here;
}

// Whose destructor gives back what an ending thread has kept.
static inline pthread_key_t *gh_record_key(void) {
  static pthread_key_t key;
  return &key;
}

static inline void gh_record_end(void *kept) {
  gh_record_blocks *here = (gh_record_blocks *)kept;
  while (here->count > 0) free(here->blocks[--here->count]);
}

static inline void *gh_openssl_malloc(size_t size, const char *file, int line) {
  (void)file;
  (void)line;
  if (size == 0) return NULL;
  if (size < GH_RECORD_LEAST || size > GH_RECORD_BLOCK) return malloc(size);
  gh_record_blocks *here = gh_record_blocks_here();
  return here->count > 0 ? here->blocks[--here->count] : malloc(GH_RECORD_BLOCK);
}

static inline void gh_openssl_free(void *block, const char *file, int line) {
  (void)file;
  (void)line;
  size_t size = malloc_usable_size(block);
  // Whoever asked for it: what has the room serves.
  if (size >= GH_RECORD_BLOCK && size < GH_RECORD_BLOCK + 64) {
    gh_record_blocks *here = gh_record_blocks_here();
    // Once the first is there the thread's end has something to do. Where that can't be arranged nothing is kept.
    if (here->count < GH_RECORD_KEPT && (here->count > 0 || pthread_setspecific(*gh_record_key(), here) == 0)) {
      here->blocks[here->count++] = block;
      return;
    }
  }
  free(block);
}

static inline void *gh_openssl_realloc(void *block, size_t size, const char *file, int line) {
  if (size > 0) return realloc(block, size);
  gh_openssl_free(block, file, line);
  return NULL;
}

// There only where AddressSanitizer is. By its symbol, because no macro tells of it in a header that Swift imports.
extern void __asan_init(void) __attribute__((weak));

// Before OpenSSL's first allocation (CRYPTO_set_mem_functions(3)). 0 when it is too late, or there is no key left (pthread_key_create(3)): all memory is
// the C library's then. So it is under AddressSanitizer, which is to see each block go.
static inline int gh_openssl_keep_record_blocks(void) {
  if (__asan_init != NULL) return 0;
  return pthread_key_create(gh_record_key(), gh_record_end) == 0
    && CRYPTO_set_mem_functions(gh_openssl_malloc, gh_openssl_realloc, gh_openssl_free);
}
#endif
