// Linux system calls and libcrypt behind typed C functions, a header for each subject. _GNU_SOURCE is defined in the .c files alone.
#ifndef GATEHOUSE_CLINUX_H
#define GATEHOUSE_CLINUX_H

#include <stddef.h>
#include <stdint.h>

// crypt_r(3): hashes `phrase` (NUL-terminated) with `setting`, writes the NUL-terminated result into out.
// Returns 0, or -1 when libcrypt refuses the setting. All scratch memory is wiped before return.
int gh_crypt(const char *phrase, const char *setting, char *out, size_t out_size);

// crypt_gensalt_rn(3): writes a setting for `prefix` (such as "$y$") and cost `count` (0 = default) from `random`.
int gh_crypt_gensalt(const char *prefix, unsigned long count, const char *random, int random_size, char *out, size_t out_size);

#endif
