/* Tallies: a binary tree in two arrays. */
#include "tally.h"

#include <string.h>

#include "../assert.h"

#define SMALLEST 16

static void sum_up(byn_tally *t, uint32_t at) {
  uint64_t left = t->most[2 * at], right = t->most[2 * at + 1];
  t->counts[at] = t->counts[2 * at] + t->counts[2 * at + 1];
  t->most[at] = left > right ? left : right;
}

static void free_arrays(byn_tally *t, const byn_alloc *alloc) {
  byn_free(alloc, t->counts, (size_t)2 * t->leaves * sizeof *t->counts);
  byn_free(alloc, t->most, (size_t)2 * t->leaves * sizeof *t->most);
}

bool byn_tally_reserve(byn_tally *t, const byn_alloc *alloc, uint32_t leaves) {
  if (leaves <= t->leaves) return true;
  byn_tally more = {.leaves = t->leaves ? t->leaves : SMALLEST};
  if (leaves > UINT32_MAX / 4) return false;
  while (more.leaves < leaves)
    more.leaves *= 2;
  more.counts = byn_new(alloc, (size_t)2 * more.leaves * sizeof *more.counts);
  more.most = byn_new(alloc, (size_t)2 * more.leaves * sizeof *more.most);
  if (!more.counts || !more.most) {
    free_arrays(&more, alloc);
    return false;
  }
  byn_tally_reset(&more);
  for (uint32_t i = 0; i < t->leaves; i++) {
    more.counts[more.leaves + i] = t->counts[t->leaves + i];
    more.most[more.leaves + i] = t->most[t->leaves + i];
  }
  for (uint32_t at = more.leaves - 1; at > 0; at--)
    sum_up(&more, at);
  free_arrays(t, alloc);
  *t = more;
  return true;
}

void byn_tally_free(byn_tally *t, const byn_alloc *alloc) {
  free_arrays(t, alloc);
  *t = (byn_tally){0};
}

void byn_tally_reset(byn_tally *t) {
  if (!t->leaves) return;
  memset(t->counts, 0, (size_t)2 * t->leaves * sizeof *t->counts);
  memset(t->most, 0, (size_t)2 * t->leaves * sizeof *t->most);
}

void byn_tally_set(byn_tally *t, uint32_t leaf, uint32_t count,
                   uint64_t priority) {
  uint32_t at = t->leaves + leaf;
  byn_assert(leaf < t->leaves);
  if (t->counts[at] == count && t->most[at] == priority) return;
  t->counts[at] = count;
  t->most[at] = priority;
  while (at /= 2)
    sum_up(t, at);
}

uint32_t byn_tally_total(const byn_tally *t) {
  return t->leaves ? t->counts[1] : 0;
}

uint32_t byn_tally_find(const byn_tally *t, uint32_t *i) {
  uint32_t at = 1;
  byn_assert(*i < byn_tally_total(t));
  while (at < t->leaves) {
    at *= 2;
    if (*i < t->counts[at]) continue;
    *i -= t->counts[at];
    at++;
  }
  byn_assert(*i < t->counts[at]);
  return at - t->leaves;
}

uint32_t byn_tally_before(const byn_tally *t, uint32_t leaf) {
  uint32_t before = 0;
  byn_assert(leaf < t->leaves);
  for (uint32_t at = t->leaves + leaf; at > 1; at /= 2)
    if (at % 2) before += t->counts[at - 1];
  return before;
}

uint64_t byn_tally_most(const byn_tally *t, uint32_t *leaf) {
  uint32_t at = 1;
  if (!t->leaves) return 0;
  while (at < t->leaves) {
    at *= 2;
    if (t->most[at] < t->most[at + 1]) at++;
  }
  *leaf = at - t->leaves;
  return t->most[1];
}
