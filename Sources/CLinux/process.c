#define _GNU_SOURCE
#include "clinux_process.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int gh_processor_count(void) {
  // The kernel refuses a set that is smaller than its own; machines with more than 1024 processors need a larger one.
  for (int processors = 1024; processors <= 1 << 20; processors *= 2) {
    cpu_set_t *set = CPU_ALLOC(processors);
    if (!set) return -ENOMEM;
    size_t size = CPU_ALLOC_SIZE(processors);
    int result = sched_getaffinity(0, size, set);
    int error = errno;
    int count = result == 0 ? CPU_COUNT_S(size, set) : 0;
    CPU_FREE(set);
    if (result == 0) return count > 0 ? count : 1;
    if (error != EINVAL) return -error;
  }
  return -EINVAL;
}

int gh_thread_set_name(const char *name) { return -pthread_setname_np(pthread_self(), name); }

int gh_thread_set_niceness(int niceness) {
  return setpriority(PRIO_PROCESS, (id_t)gettid(), niceness) < 0 ? -errno : 0;
}

int gh_raise_descriptor_limit(uint64_t *limit) {
  struct rlimit now;
  if (getrlimit(RLIMIT_NOFILE, &now) < 0) return -errno;
  *limit = now.rlim_cur;
  if (now.rlim_cur == now.rlim_max) return 0;
  now.rlim_cur = now.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &now) < 0) return -errno;
  *limit = now.rlim_cur;
  return 0;
}

int gh_forbid_dumps(void) {
  struct rlimit none = {0, 0};
  if (setrlimit(RLIMIT_CORE, &none) < 0) return -errno;
  return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? -errno : 0;
}

int gh_semaphore_wait_until(sem_t *semaphore, uint64_t nanoseconds) {
  struct timespec time = {.tv_sec = (time_t)(nanoseconds / 1000000000), .tv_nsec = (long)(nanoseconds % 1000000000)};
  int result;
  do result = sem_clockwait(semaphore, CLOCK_MONOTONIC, &time);
  while (result != 0 && errno == EINTR);
  return result == 0 ? 0 : -errno;
}

// posix_spawn(3)'s own calls answer an error's number.
static int spawn(
    pid_t *pid, const char *path, char *const arguments[], char *const environment[], const int *high, size_t count,
    posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes) {
  int error = 0;
  for (size_t i = 0; i < count && !error; i++) error = posix_spawn_file_actions_adddup2(actions, high[i], 3 + (int)i);
  // Libraries open descriptors of their own that are not close-on-exec.
  if (!error) error = posix_spawn_file_actions_addclosefrom_np(actions, 3 + (int)count);
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  if (!error) error = posix_spawnattr_setsigmask(attributes, &none);
  if (!error) error = posix_spawnattr_setsigdefault(attributes, &all);
  // A group of its own, so that whatever it starts can be ended with it.
  if (!error) error = posix_spawnattr_setpgroup(attributes, 0);
  if (!error) error = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  return error ? error : posix_spawn(pid, path, actions, attributes, arguments, environment);
}

int gh_program_start(const char *path, char *const arguments[], char *const environment[], const int *passed, size_t count) {
  // Copies above all the numbers that they are to have, so that none is overwritten before it was passed.
  int *high = calloc(count ? count : 1, sizeof *high);
  if (!high) return -ENOMEM;
  int error = 0;
  size_t made = 0;
  while (made < count && !error) {
    high[made] = fcntl(passed[made], F_DUPFD_CLOEXEC, 3 + (int)count);
    if (high[made] < 0) error = errno;
    else made++;
  }
  pid_t pid = 0;
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  if (!error) error = posix_spawn_file_actions_init(&actions);
  if (!error) {
    error = posix_spawnattr_init(&attributes);
    if (!error) {
      error = spawn(&pid, path, arguments, environment, high, count, &actions, &attributes);
      posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
  }
  for (size_t i = 0; i < made; i++) close(high[i]);
  free(high);
  return error ? -error : pid;
}

int gh_program_end(int pid, int waits) {
  int status = 0;
  pid_t result;
  do result = waitpid(pid, &status, waits ? 0 : WNOHANG);
  while (result < 0 && errno == EINTR);
  if (result < 0) return -errno;
  if (result == 0) return -EAGAIN;
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int gh_sealed_create(const char *name, const void *bytes, size_t count) {
  int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) return -errno;
  size_t written = 0;
  int error = 0;
  while (written < count && !error) {
    ssize_t n = pwrite(fd, (const char *)bytes + written, count - written, (off_t)written);
    if (n > 0) written += (size_t)n;
    else if (n == 0 || errno != EINTR) error = n == 0 ? EIO : errno;
  }
  if (!error && fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0) error = errno;
  if (!error) return fd;
  close(fd);
  return -error;
}

int gh_sealed_check(int fd) {
  int seals = fcntl(fd, F_GET_SEALS);
  return seals >= 0 && (seals & F_SEAL_WRITE);
}
