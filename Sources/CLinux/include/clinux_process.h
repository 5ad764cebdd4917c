// The process and its threads: processors, names, niceness, limits.
// Every function answers a value >= 0, or -errno.
#ifndef GATEHOUSE_CLINUX_PROCESS_H
#define GATEHOUSE_CLINUX_PROCESS_H

#include <semaphore.h>
#include <stddef.h>
#include <stdint.h>

// Number of processors that this process may run on (sched_getaffinity(2)).
int gh_processor_count(void);
// Names the calling thread, at most 15 bytes (pthread_setname_np(3)).
int gh_thread_set_name(const char *name);
// Sets the niceness of the calling thread alone (on Linux, setpriority(2) of a thread id).
int gh_thread_set_niceness(int niceness);
// sem_clockwait(3) on CLOCK_MONOTONIC: -ETIMEDOUT when `nanoseconds` of that clock passed first.
int gh_semaphore_wait_until(sem_t *semaphore, uint64_t nanoseconds);
// Raises the soft RLIMIT_NOFILE to the hard one; *limit is what is in force afterwards.
int gh_raise_descriptor_limit(uint64_t *limit);
// Starts the program `path` with these arguments and environment (both end with NULL), no signal blocked, none ignored, and no descriptors but 0,
// 1, 2 and those of `passed`, which become 3, 4, 5 … in their order, in a process group of its own. Answers its process id, or why it did not start. posix_spawn(3).
int gh_program_start(const char *path, char *const arguments[], char *const environment[], const int *passed, size_t count);
// waitpid(2) for that very process: its status as the shell has it (an exit code, or 128 and the signal's number). With `waits` 0 answers
// -EAGAIN while it runs.
int gh_program_end(int pid, int waits);
// Memory as a file that holds these bytes and can't be changed any more (memfd_create(2), sealed), at its beginning; close-on-exec.
int gh_sealed_create(const char *name, const void *bytes, size_t count);
// Whether `fd` is such a file.
int gh_sealed_check(int fd);
// No core files, and no ptrace or /proc/PID/mem by other processes of the user (PR_SET_DUMPABLE of prctl(2)).
int gh_forbid_dumps(void);

#endif
