/* Where the core's memory comes from.
 *
 * Nothing in the core calls malloc: each object is made with an allocator
 * that its owner hands in. The function has the shape of lua_Alloc, so a
 * binding can pass Lua's own, and a test can pass one that fails on demand.
 *
 *   fn(ud, NULL, 0, n)     a new block of n bytes, or NULL
 *   fn(ud, p, old, n)      p resized, or NULL with p left as it was
 *   fn(ud, p, old, 0)      p freed; answers NULL
 *
 * A size of 0 means "free" to the function, so no block is asked for with it.
 * `old` is the size that the block was last given.
 */
#ifndef BYN_ALLOC_H
#define BYN_ALLOC_H

#include <stddef.h>

#include "assert.h"

typedef struct byn_alloc {
  void *(*fn)(void *ud, void *block, size_t old_size, size_t new_size);
  void *ud;
} byn_alloc;

/* A block of `size` bytes, not cleared, or NULL. */
static inline void *byn_new(const byn_alloc *a, size_t size) {
  byn_assert(size > 0);
  return a->fn(a->ud, NULL, 0, size);
}

/* `block` resized, or NULL with `block` untouched. */
static inline void *byn_resize(const byn_alloc *a, void *block, size_t old_size,
                               size_t new_size) {
  byn_assert(new_size > 0);
  byn_assert(block ? old_size > 0 : old_size == 0);
  return a->fn(a->ud, block, old_size, new_size);
}

/* Frees `block`; NULL is nothing to do. */
static inline void byn_free(const byn_alloc *a, void *block, size_t size) {
  byn_assert(!block || size > 0);
  if (block) a->fn(a->ud, block, size, 0);
}

#endif
