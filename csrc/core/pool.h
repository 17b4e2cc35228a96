/* Records of one size, made in blocks: many small ones cost what they hold,
 * without what an allocator adds to each.
 *
 * A record that is given back is the next one to be taken; its block is freed
 * with the pool. The first block is small, so that a pool of few records costs
 * little.
 */
#ifndef BYN_POOL_H
#define BYN_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "alloc.h"

typedef struct byn_pool {
  const byn_alloc *alloc; /* must outlive the pool */
  struct byn_pool_block *blocks;
  struct byn_pool_record *spare; /* records that are not taken */
  uint32_t size;                 /* of a record, in whole pointers */
  uint32_t made;                 /* records, taken or not */
} byn_pool;

/* An empty pool of records of `size` bytes, at least 1. */
void byn_pool_init(byn_pool *pool, const byn_alloc *alloc, size_t size);
/* Frees all blocks, also those whose records were not given back. */
void byn_pool_clear(byn_pool *pool);

/* Afterwards the next record can be taken without fail; false when memory is
 * short. */
bool byn_pool_reserve(byn_pool *pool);
/* A record, not cleared, aligned as a pointer is; NULL when memory is short. */
void *byn_pool_take(byn_pool *pool);
/* Gives back what was taken from this pool, once. */
void byn_pool_give(byn_pool *pool, void *record);

#endif
