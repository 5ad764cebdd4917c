// Opening what stands below a folder, and nothing else: the kernel follows the path and stops where it would lead out.
#ifndef GATEHOUSE_CLINUX_FOLDERS_H
#define GATEHOUSE_CLINUX_FOLDERS_H

// The folder at `path`, as a place to start from (O_PATH), close-on-exec. Answers a descriptor, or -errno.
int gh_open_root(const char *path);

// What is at `path` below the folder `root`, to be looked at and passed through (O_PATH): openat2(2) with RESOLVE_BENEATH and RESOLVE_NO_MAGICLINKS,
// close-on-exec. Answers a descriptor, or -errno: -EXDEV where the path, or a symbolic link on it, leads out; -ENOSYS before Linux 5.6.
int gh_look_beneath(int root, const char *path);

// The same, open for reading, and not waiting for anybody (O_NONBLOCK, O_NOCTTY).
int gh_read_beneath(int root, const char *path);

#endif
