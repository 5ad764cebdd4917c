#define _GNU_SOURCE
#include "clinux_process.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
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
