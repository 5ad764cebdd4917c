// Lets a script say from where to where callgrind counts. Loaded into gatehouse by `count` through LD_PRELOAD, with count-allocations.c.
//
// COUNT_MARKS is the number of a socket: 'b' begins to count from zero, 'e' ends and has the counts written; each is answered by the same byte
// when it is done. callgrind_control could do the same, but has to use ptrace(2) on a process that sleeps, which not everybody may do, and
// which gatehouse forbids.
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
#include <valgrind/callgrind.h>

static int marks;

static void *obey(void *unused) {
  (void)unused;
  for (;;) {
    char mark;
    ssize_t got = read(marks, &mark, 1);
    if (got < 0 && errno == EINTR) continue;
    if (got != 1) return NULL;
    if (mark == 'b') {
      CALLGRIND_START_INSTRUMENTATION;
      CALLGRIND_ZERO_STATS;
    } else {
      CALLGRIND_DUMP_STATS;
      CALLGRIND_STOP_INSTRUMENTATION;
    }
    if (write(marks, &mark, 1) != 1) return NULL;
  }
}

__attribute__((constructor)) static void begin(void) {
  const char *number = getenv("COUNT_MARKS");
  // valgrind's launcher loads us too, before it becomes what runs the program.
  if (!number || !RUNNING_ON_VALGRIND) return;
  marks = atoi(number);
  // The signals that the program waits for are not this thread's.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  if (pthread_create(&thread, NULL, obey, NULL) == 0) pthread_detach(thread);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
}
