// openat2(2), which the C library has no function for.
#define _GNU_SOURCE
#include "clinux_folders.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

int gh_open_root(const char *path) {
  int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  return fd >= 0 ? fd : -errno;
}

static int beneath(int root, const char *path, uint64_t flags) {
  struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
  // EAGAIN: a folder was moved while the kernel followed a "..", so that it can't tell. Somebody who moves folders all the time wins nothing.
  for (int attempts = 0; attempts < 32; attempts++) {
    long fd = syscall(SYS_openat2, root, path, &how, sizeof how);
    if (fd >= 0) return (int)fd;
    if (errno != EAGAIN && errno != EINTR) return -errno;
  }
  return -EAGAIN;
}

int gh_look_beneath(int root, const char *path) { return beneath(root, path, O_PATH); }

int gh_read_beneath(int root, const char *path) { return beneath(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY); }
