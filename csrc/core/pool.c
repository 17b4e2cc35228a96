/* Pools: records of one size, made in blocks. */
#include "pool.h"

#include "assert.h"

/* A record that was given back is hidden from AddressSanitizer, so that it
 * reports whoever still uses it. */
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#define HIDE(record, size) ASAN_POISON_MEMORY_REGION(record, size)
#define SHOW(record, size) ASAN_UNPOISON_MEMORY_REGION(record, size)
#else
#define HIDE(record, size) ((void)(record), (void)(size))
#define SHOW(record, size) ((void)(record), (void)(size))
#endif

enum { FIRST = 4, MOST = 64 }; /* records of a block */

typedef struct byn_pool_record {
  struct byn_pool_record *next;
} record;

typedef struct byn_pool_block {
  struct byn_pool_block *next;
  size_t size; /* of all of it; its records follow */
} block;

/* Is it a record of one of the blocks? Where they are too many to look at all
 * of them each time, any may be. */
static bool is_of_pool(const byn_pool *pool, const void *taken) {
  int left = 16;
  uintptr_t at = (uintptr_t)taken;
  for (const block *b = pool->blocks; b; b = b->next) {
    uintptr_t first = (uintptr_t)(b + 1), end = (uintptr_t)b + b->size;
    if (first <= at && at < end) return (at - first) % pool->size == 0;
    if (--left == 0) return true;
  }
  return false;
}

void byn_pool_init(byn_pool *pool, const byn_alloc *alloc, size_t size) {
  size_t unit = sizeof(record);
  byn_assert(size > 0);
  byn_assert(size <= UINT32_MAX - unit);
  size = (size + unit - 1) / unit * unit;
  *pool = (byn_pool){.alloc = alloc, .size = (uint32_t)size};
}

void byn_pool_clear(byn_pool *pool) {
  while (pool->blocks) {
    block *b = pool->blocks;
    pool->blocks = b->next;
    SHOW(b, b->size);
    byn_free(pool->alloc, b, b->size);
  }
  pool->spare = NULL;
  pool->made = 0;
}

bool byn_pool_reserve(byn_pool *pool) {
  if (pool->spare) return true;
  uint32_t count = pool->made;
  if (count < FIRST) count = FIRST;
  if (count > MOST) count = MOST;
  if (pool->made > UINT32_MAX - count) return false;
  size_t size = sizeof(block) + (size_t)count * pool->size;
  block *b = byn_new(pool->alloc, size);
  if (!b) return false;
  *b = (block){.next = pool->blocks, .size = size};
  pool->blocks = b;
  pool->made += count;
  /* From the last to the first, so that the first is taken first. */
  for (uint32_t i = count; i-- > 0;)
    byn_pool_give(pool, (char *)(b + 1) + (size_t)i * pool->size);
  byn_assert(pool->spare == (record *)(b + 1));
  return true;
}

void *byn_pool_take(byn_pool *pool) {
  if (!pool->spare && !byn_pool_reserve(pool)) return NULL;
  record *r = pool->spare;
  byn_assert(is_of_pool(pool, r));
  SHOW(r, pool->size);
  pool->spare = r->next;
  byn_assert(pool->spare != r);
  return r;
}

void byn_pool_give(byn_pool *pool, void *taken) {
  byn_assert(is_of_pool(pool, taken));
  byn_assert(taken != pool->spare); /* given back twice */
  record *r = taken;
  r->next = pool->spare;
  pool->spare = r;
  HIDE(r, pool->size);
}
