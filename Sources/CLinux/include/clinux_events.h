// What a loop waits on: epoll, eventfd, signalfd, inotify.
// Every function answers a value >= 0, or -errno.
#ifndef GATEHOUSE_CLINUX_EVENTS_H
#define GATEHOUSE_CLINUX_EVENTS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

// epoll_create1(2), close-on-exec.
int gh_epoll_create(void);

// epoll_ctl(2); `operation` is EPOLL_CTL_ADD, _MOD or _DEL, `data` comes back with each event.
int gh_epoll_control(int poller, int operation, int fd, uint32_t events, uint64_t data);

// epoll_wait(2); `timeout` in milliseconds, -1 for none.
int gh_epoll_wait(int poller, struct epoll_event *events, int capacity, int timeout);

// eventfd(2) with counter 0, non-blocking, close-on-exec.
int gh_eventfd_create(void);
// Adds one to the counter, so that the descriptor reads as ready.
int gh_eventfd_signal(int fd);
// Sets the counter to 0, so that it does not.
int gh_eventfd_clear(int fd);

// Blocks `count` signals in the calling thread, and so in the threads that it starts (pthread_sigmask(3)).
int gh_signals_block(const int *signals, size_t count);
// signalfd(2), non-blocking, close-on-exec.
int gh_signalfd_create(const int *signals, size_t count);
// The number of the next pending signal, 0 when none is pending.
int gh_signalfd_next(int fd);

// inotify_init1(2), non-blocking, close-on-exec.
int gh_inotify_create(void);
// inotify_add_watch(2); answers the watch descriptor (>= 1).
int gh_inotify_add(int fd, const char *path, uint32_t mask);
// inotify_rm_watch(2).
int gh_inotify_remove(int fd, int watch);

#endif
