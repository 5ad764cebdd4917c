// epoll(7) and prctl(2) for the load generator: Swift's Glibc module has neither.
#pragma once
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>

enum { WATCH_READ = EPOLLIN | EPOLLRDHUP, WATCH_WRITE = EPOLLOUT };

/// EPOLL_CTL_ADD, or EPOLL_CTL_MOD when `change` is true. `mark` comes back with each event. 0, or -1 and errno.
static inline int watch(int epoll, int file, uint32_t events, uint64_t mark, _Bool change) {
  struct epoll_event event = {.events = events, .data = {.u64 = mark}};
  return epoll_ctl(epoll, change ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, file, &event);
}

/// Waits so many nanoseconds (for ever if negative) and writes the marks of what is ready, `count` at most: how many, or -1 and errno.
static inline int wait_for(int epoll, uint64_t *marks, int count, int64_t nanoseconds) {
  struct epoll_event events[256];
  struct timespec time = {.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000};
  int ready = epoll_pwait2(epoll, events, count < 256 ? count : 256, nanoseconds < 0 ? (struct timespec *)0 : &time, (sigset_t *)0);
  for (int i = 0; i < ready; i++) marks[i] = events[i].data.u64;
  return ready;
}

/// The kernel may be late by 50 microseconds otherwise, which is more than the latencies to be measured.
static inline void wake_punctually(void) { prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL); }
