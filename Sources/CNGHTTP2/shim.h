// libnghttp2, as it is. A data source is a union, whose parts Swift would set one over the other: hence the two wrappers. And its memory: it takes
// and gives back five blocks for each request, which one thread's sessions keep for the next here.
#ifndef GATEHOUSE_CNGHTTP2_SHIM_H
#define GATEHOUSE_CNGHTTP2_SHIM_H

#include <nghttp2/nghttp2.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static inline nghttp2_data_provider gh_data_provider(void *stream, nghttp2_data_source_read_callback read) {
  nghttp2_data_provider provider = {.source = {.ptr = stream}, .read_callback = read};
  return provider;
}
static inline void *gh_data_source_stream(const nghttp2_data_source *source) { return source->ptr; }

// Blocks of one thread, in sizes of 64 bytes more each. Larger ones are the C library's.
#define GH_POOL_STEP 64
#define GH_POOL_SIZES 16
#define GH_POOL_KEPT 64

typedef union gh_block {
  // In use: its size, counted in steps; 0 for a large one. A union of 16 bytes, so that what follows is aligned as malloc(3) aligns it.
  uint64_t steps;
  union gh_block *next;
  max_align_t alignment;
} gh_block;

typedef struct {
  gh_block *spare[GH_POOL_SIZES];
  unsigned count[GH_POOL_SIZES];
} gh_pool;

static inline void *gh_pool_take(size_t size, void *owner) {
  gh_pool *pool = (gh_pool *)owner;
  size_t steps = size == 0 ? 1 : (size - 1) / GH_POOL_STEP + 1;
  gh_block *block;
  if (steps > GH_POOL_SIZES) {
    if (size > SIZE_MAX - sizeof(gh_block)) return NULL;
    steps = 0;
    block = (gh_block *)malloc(sizeof(gh_block) + size);
  } else if ((block = pool->spare[steps - 1]) != NULL) {
    pool->spare[steps - 1] = block->next;
    pool->count[steps - 1] -= 1;
  } else {
    block = (gh_block *)malloc(sizeof(gh_block) + steps * GH_POOL_STEP);
  }
  if (block == NULL) return NULL;
  block->steps = steps;
  return block + 1;
}

static inline void gh_pool_give(void *bytes, void *owner) {
  gh_pool *pool = (gh_pool *)owner;
  if (bytes == NULL) return;
  gh_block *block = (gh_block *)bytes - 1;
  size_t steps = block->steps;
  if (steps == 0 || pool->count[steps - 1] == GH_POOL_KEPT) {
    free(block);
    return;
  }
  block->next = pool->spare[steps - 1];
  pool->spare[steps - 1] = block;
  pool->count[steps - 1] += 1;
}

static inline void *gh_pool_clear(size_t count, size_t size, void *owner) {
  if (size != 0 && count > SIZE_MAX / size) return NULL;
  void *bytes = gh_pool_take(count * size, owner);
  if (bytes != NULL) memset(bytes, 0, count * size);
  return bytes;
}

static inline void *gh_pool_resize(void *bytes, size_t size, void *owner) {
  if (bytes == NULL) return gh_pool_take(size, owner);
  gh_block *block = (gh_block *)bytes - 1;
  size_t steps = block->steps;
  if (steps == 0 && size > GH_POOL_SIZES * GH_POOL_STEP) {
    if (size > SIZE_MAX - sizeof(gh_block)) return NULL;
    gh_block *moved = (gh_block *)realloc(block, sizeof(gh_block) + size);
    return moved == NULL ? NULL : moved + 1;
  }
  if (steps != 0 && size <= steps * GH_POOL_STEP) return bytes;
  void *moved = gh_pool_take(size, owner);
  if (moved == NULL) return NULL;
  // A large one gets small: what it has is at least as much.
  size_t held = steps * GH_POOL_STEP;
  memcpy(moved, bytes, steps == 0 || size < held ? size : held);
  gh_pool_give(bytes, owner);
  return moved;
}

static inline void gh_pool_release(gh_pool *pool) {
  for (int i = 0; i < GH_POOL_SIZES; i++) {
    for (gh_block *block = pool->spare[i]; block != NULL;) {
      gh_block *next = block->next;
      free(block);
      block = next;
    }
  }
  memset(pool, 0, sizeof(gh_pool));
}

static inline int gh_session_create(
  nghttp2_session **session, const nghttp2_session_callbacks *callbacks, void *owner, const nghttp2_option *options, gh_pool *pool) {
  nghttp2_mem memory = {pool, gh_pool_take, gh_pool_give, gh_pool_clear, gh_pool_resize};
  return nghttp2_session_server_new3(session, callbacks, owner, options, &memory);
}

#endif
