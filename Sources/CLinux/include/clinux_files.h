// Files that are served: opened beneath a folder and nowhere else.
// Every function answers a value >= 0, or -errno.
#ifndef GATEHOUSE_CLINUX_FILES_H
#define GATEHOUSE_CLINUX_FILES_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
  uint64_t size;
  int64_t seconds;
  int64_t nanoseconds;
  uint64_t device;
  uint64_t inode;
} gh_file_facts;

// A folder to look beneath (O_PATH), close-on-exec.
int gh_folder_open(const char *path);
// Opens the regular file at `path` beneath `folder` for reading (openat2(2): no step and no link may lead out of the folder, nor through /proc's
// links). What is no regular file is looked at without being opened: -EISDIR for a folder, -ENXIO for pipes, sockets and devices.
int gh_file_open_beneath(int folder, const char *path, gh_file_facts *facts);
// pread(2), begun anew when a signal broke it off.
int64_t gh_file_read(int file, void *bytes, size_t count, uint64_t offset);

#endif
