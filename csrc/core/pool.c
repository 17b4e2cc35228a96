#include "pool.h"

/* Who uses a record that was given back is to be found out. */
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

void byn_pool_init(byn_pool *pool, const byn_alloc *alloc, size_t size) {
  size_t unit = sizeof(record);
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

/* The first record of a block is to be taken first. */
static void spare_all(byn_pool *pool, block *b, uint32_t count) {
  char *first = (char *)(b + 1);
  for (uint32_t i = count; i-- > 0;)
    byn_pool_give(pool, first + (size_t)i * pool->size);
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
  spare_all(pool, b, count);
  return true;
}

void *byn_pool_take(byn_pool *pool) {
  if (!pool->spare && !byn_pool_reserve(pool)) return NULL;
  record *r = pool->spare;
  SHOW(r, pool->size);
  pool->spare = r->next;
  return r;
}

void byn_pool_give(byn_pool *pool, void *taken) {
  record *r = taken;
  r->next = pool->spare;
  pool->spare = r;
  HIDE(r, pool->size);
}
