#define _GNU_SOURCE
#include "clinux.h"

#include <crypt.h>
#include <stdlib.h>
#include <string.h>

int gh_crypt(const char *phrase, const char *setting, char *out, size_t out_size) {
  struct crypt_data *data = calloc(1, sizeof *data);
  if (!data) return -1;
  const char *hash = crypt_r(phrase, setting, data);
  int result = -1;
  // A failure token begins with '*' (crypt(3)); it must never compare equal to a stored hash.
  if (hash && hash[0] != '*' && strlen(hash) < out_size) {
    strcpy(out, hash);
    result = 0;
  }
  explicit_bzero(data, sizeof *data);
  free(data);
  return result;
}

int gh_crypt_gensalt(const char *prefix, unsigned long count, const char *random, int random_size, char *out, size_t out_size) {
  return crypt_gensalt_rn(prefix, count, random, random_size, out, (int)out_size) ? 0 : -1;
}
