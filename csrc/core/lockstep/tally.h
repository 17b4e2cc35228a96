/* A tally: a row of leaves, each with a count and a priority. Which leaf has
 * the i-th of all that are counted, and which has the highest priority, is
 * found in O(log n), as is any change of one leaf: a complete binary tree above
 * them has the sums and the maxima. */
#ifndef BYN_LOCKSTEP_TALLY_H
#define BYN_LOCKSTEP_TALLY_H

#include <stdbool.h>
#include <stdint.h>

#include "../alloc.h"

typedef struct byn_tally {
  uint32_t leaves;  /* a power of two, or 0 */
  uint32_t *counts; /* node 1 is the root, the leaves are the last half */
  uint64_t *most;
} byn_tally; /* empty: all zero */

/* Room for that many leaves, all of them kept; new ones are 0. false when
 * memory is short. */
bool byn_tally_reserve(byn_tally *t, const byn_alloc *alloc, uint32_t leaves);
void byn_tally_free(byn_tally *t, const byn_alloc *alloc);
/* All leaves are 0. */
void byn_tally_reset(byn_tally *t);

void byn_tally_set(byn_tally *t, uint32_t leaf, uint32_t count,
                   uint64_t priority);

uint32_t byn_tally_total(const byn_tally *t);
/* The leaf with the i-th, i below the total; `*i` becomes its index within
 * that leaf. */
uint32_t byn_tally_find(const byn_tally *t, uint32_t *i);
/* How many the leaves before that one have. */
uint32_t byn_tally_before(const byn_tally *t, uint32_t leaf);
/* The highest priority, 0 if all are; the first leaf that has it. */
uint64_t byn_tally_most(const byn_tally *t, uint32_t *leaf);

#endif
