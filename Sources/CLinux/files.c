#define _GNU_SOURCE
#include "clinux_files.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int gh_folder_open(const char *path) {
  int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

static int open_beneath(int folder, const char *path, uint64_t flags) {
  struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
  // EAGAIN: something was renamed meanwhile, so that the kernel can't tell whether a step led out. Tried a few times, then refused.
  for (int tries = 0; tries < 4; tries++) {
    int fd = (int)syscall(SYS_openat2, folder, path, &how, sizeof how);
    if (fd >= 0) return fd;
    if (errno != EAGAIN && errno != EINTR) return -errno;
  }
  return -EAGAIN;
}

static int look(int fd, struct stat *found) {
  if (fstat(fd, found) < 0) return -errno;
  if (S_ISDIR(found->st_mode)) return -EISDIR;
  return S_ISREG(found->st_mode) ? 0 : -ENXIO;
}

int gh_file_open_beneath(int folder, const char *path, gh_file_facts *facts) {
  struct stat found;
  // First what it is: to open a device may do something, and to open a pipe waits.
  int fd = open_beneath(folder, path, O_PATH);
  if (fd < 0) return fd;
  int result = look(fd, &found);
  close(fd);
  if (result < 0) return result;
  // It may be another thing by now: hence no waiting, and a second look.
  fd = open_beneath(folder, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return fd;
  result = look(fd, &found);
  if (result < 0) {
    close(fd);
    return result;
  }
  facts->size = (uint64_t)found.st_size;
  facts->seconds = found.st_mtim.tv_sec;
  facts->nanoseconds = found.st_mtim.tv_nsec;
  facts->device = found.st_dev;
  facts->inode = found.st_ino;
  return fd;
}

int64_t gh_file_read(int file, void *bytes, size_t count, uint64_t offset) {
  ssize_t n;
  do n = pread(file, bytes, count, (off_t)offset);
  while (n < 0 && errno == EINTR);
  return n < 0 ? -errno : n;
}
