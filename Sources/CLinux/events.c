#define _GNU_SOURCE
#include "clinux_events.h"

#include <errno.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

static int answer(int result) { return result < 0 ? -errno : result; }

int gh_epoll_create(void) { return answer(epoll_create1(EPOLL_CLOEXEC)); }

int gh_epoll_control(int poller, int operation, int fd, uint32_t events, uint64_t data) {
  struct epoll_event event = {.events = events, .data = {.u64 = data}};
  return answer(epoll_ctl(poller, operation, fd, &event));
}

int gh_epoll_wait(int poller, struct epoll_event *events, int capacity, int timeout) {
  // By syscall(2), as the socket's calls are (sockets.c). epoll_wait has no number of its own on every processor.
  return answer((int)syscall(SYS_epoll_pwait, poller, events, capacity, timeout, NULL, 0));
}

int gh_eventfd_create(void) { return answer(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)); }

int gh_eventfd_signal(int fd) {
  uint64_t one = 1;
  ssize_t n;
  do n = write(fd, &one, sizeof one);
  while (n < 0 && errno == EINTR);
  return n < 0 ? -errno : 0;
}

int gh_eventfd_clear(int fd) {
  uint64_t count;
  ssize_t n;
  do n = read(fd, &count, sizeof count);
  while (n < 0 && errno == EINTR);
  return n < 0 && errno != EAGAIN ? -errno : 0;
}

static void fill(sigset_t *set, const int *signals, size_t count) {
  sigemptyset(set);
  for (size_t i = 0; i < count; i++) sigaddset(set, signals[i]);
}

int gh_signals_block(const int *signals, size_t count) {
  sigset_t set;
  fill(&set, signals, count);
  return -pthread_sigmask(SIG_BLOCK, &set, NULL);
}

int gh_signalfd_create(const int *signals, size_t count) {
  sigset_t set;
  fill(&set, signals, count);
  return answer(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
}

int gh_signalfd_next(int fd) {
  struct signalfd_siginfo info;
  ssize_t n;
  do n = read(fd, &info, sizeof info);
  while (n < 0 && errno == EINTR);
  if (n < 0) return errno == EAGAIN ? 0 : -errno;
  return n == sizeof info ? (int)info.ssi_signo : 0;
}

int gh_inotify_create(void) { return answer(inotify_init1(IN_NONBLOCK | IN_CLOEXEC)); }

int gh_inotify_add(int fd, const char *path, uint32_t mask) { return answer(inotify_add_watch(fd, path, mask)); }

int gh_inotify_remove(int fd, int watch) { return answer(inotify_rm_watch(fd, watch)); }
