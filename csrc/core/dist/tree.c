/* The order of places by hash, digests of spans, sweeps. */
#include "tree.h"

#include "../assert.h"

/* --- spans ---------------------------------------------------------------- */

byn_span byn_span_child(byn_span s, uint32_t index) {
  byn_assert(index < byn_span_children(s.bits));
  uint32_t bits = s.bits ? s.bits + 4 : 6;
  return (byn_span){s.first | (uint64_t)index << (64 - bits), bits};
}

bool byn_span_is_sound(byn_span s) {
  bool known =
      s.bits == 0 || s.bits == 62 || s.bits == 64 || byn_span_children(s.bits);
  return known && (s.bits == 64 || (s.first & UINT64_MAX >> s.bits) == 0);
}

/* --- levels --------------------------------------------------------------- */

/* Level 0 has the children of the root, level 1 theirs. */
static uint32_t bits_of(uint32_t level) {
  return 6 + 4 * level;
}

static uint64_t size_of(uint32_t level) {
  return (uint64_t)1 << bits_of(level);
}

static uint64_t index_at(uint64_t hash, uint32_t level) {
  return hash >> (64 - bits_of(level));
}

static uint32_t leaf_level(const byn_tree *t) {
  return t->levels - 1;
}

void byn_tree_init(byn_tree *t, const byn_alloc *alloc) {
  *t = (byn_tree){.alloc = alloc, .levels = 1};
  t->leaves = t->top;
  t->sums[0] = t->top_sums;
}

static void free_leaves(byn_tree *t) {
  if (t->leaves == t->top) return;
  byn_free(t->alloc, t->leaves, size_of(leaf_level(t)) * sizeof *t->leaves);
}

void byn_tree_clear(byn_tree *t) {
  if (t->levels == 0) return;
  free_leaves(t);
  for (uint32_t level = 1; level < t->levels; level++)
    byn_free(t->alloc, t->sums[level], size_of(level) * sizeof *t->sums[level]);
  byn_tree_init(t, t->alloc);
}

/* The places of a leaf are in order, and so are those of its parts. */
static void divide(byn_place *p, byn_place **leaves, uint64_t *sums,
                   uint32_t level) {
  while (p) {
    byn_place *next = p->after;
    uint64_t i = index_at(p->hash, level);
    bool begins = !p->before || index_at(p->before->hash, level) != i;
    if (begins) leaves[i] = p;
    sums[i] += p->digest;
    p = next;
  }
}

static void cut(byn_place **leaves, uint64_t count, uint32_t level) {
  for (uint64_t i = 0; i < count; i++)
    for (byn_place *p = leaves[i]; p; p = p->after) {
      if (!p->after || index_at(p->after->hash, level) == i) continue;
      p->after->before = NULL;
      p->after = NULL;
    }
}

static void grow(byn_tree *t) {
  uint32_t level = t->levels;
  uint64_t count = size_of(level), old = size_of(level - 1);
  byn_place **leaves = byn_new(t->alloc, count * sizeof *leaves);
  uint64_t *sums = leaves ? byn_new(t->alloc, count * sizeof *sums) : NULL;
  if (!sums) {
    byn_free(t->alloc, leaves, count * sizeof *leaves);
    return;
  }
  memset(leaves, 0, count * sizeof *leaves);
  memset(sums, 0, count * sizeof *sums);
  for (uint64_t i = 0; i < old; i++)
    divide(t->leaves[i], leaves, sums, level);
  cut(leaves, count, level);
  free_leaves(t);
  t->leaves = leaves;
  t->sums[level] = sums;
  t->levels++;
}

/* --- places --------------------------------------------------------------- */

static byn_place **leaf_of(const byn_tree *t, uint64_t hash) {
  return &t->leaves[index_at(hash, leaf_level(t))];
}

void byn_tree_add(byn_tree *t, byn_place *p) {
  byn_assert(p->digest == 0 && !p->before && !p->after);
  if (t->levels < BYN_TREE_DEEPEST &&
      t->count >= BYN_TREE_LEAF * size_of(leaf_level(t)))
    grow(t);
  byn_place **at = leaf_of(t, p->hash), *before = NULL;
  for (; *at && (*at)->hash <= p->hash; at = &before->after)
    before = *at;
  p->before = before;
  p->after = *at;
  if (*at) (*at)->before = p;
  *at = p;
  t->count++;
}

void byn_tree_remove(byn_tree *t, byn_place *p) {
  byn_assert(p->digest == 0 && t->count > 0);
  if (p->before)
    p->before->after = p->after;
  else
    *leaf_of(t, p->hash) = p->after;
  if (p->after) p->after->before = p->before;
  p->before = p->after = NULL;
  t->count--;
}

void byn_tree_set_digest(byn_tree *t, byn_place *p, uint64_t digest) {
  uint64_t by = digest - p->digest;
  p->digest = digest;
  for (uint32_t level = 0; level < t->levels; level++)
    t->sums[level][index_at(p->hash, level)] += by;
}

static byn_place *first_from(const byn_tree *t, uint64_t leaf) {
  for (uint64_t n = size_of(leaf_level(t)); leaf < n; leaf++)
    if (t->leaves[leaf]) return t->leaves[leaf];
  return NULL;
}

byn_place *byn_tree_first(const byn_tree *t) {
  return first_from(t, 0);
}

byn_place *byn_tree_next(const byn_tree *t, const byn_place *p) {
  if (p->after) return p->after;
  return first_from(t, index_at(p->hash, leaf_level(t)) + 1);
}

byn_place *byn_tree_from(const byn_tree *t, uint64_t hash) {
  uint64_t leaf = index_at(hash, leaf_level(t));
  for (byn_place *p = t->leaves[leaf]; p; p = p->after)
    if (p->hash >= hash) return p;
  return first_from(t, leaf + 1);
}

/* --- spans of places ------------------------------------------------------ */

uint64_t byn_tree_digest(const byn_tree *t, byn_span s) {
  uint64_t sum = 0;
  if (s.bits == 0) {
    for (uint32_t i = 0; i < BYN_TREE_TOP; i++)
      sum += t->top_sums[i];
    return sum;
  }
  for (uint32_t level = 0; level < t->levels; level++)
    if (bits_of(level) == s.bits)
      return t->sums[level][index_at(s.first, level)];
  uint64_t last = byn_span_last(s);
  const byn_place *p = *leaf_of(t, s.first);
  for (; p && p->hash <= last; p = p->after)
    if (p->hash >= s.first) sum += p->digest;
  return sum;
}

uint32_t byn_tree_count(const byn_tree *t, byn_span s, uint32_t most) {
  uint32_t count = 0;
  uint64_t last = byn_span_last(s);
  const byn_place *p = byn_tree_from(t, s.first);
  for (; p && p->hash <= last && count < most; p = byn_tree_next(t, p))
    count++;
  return count;
}

/* --- sweeps --------------------------------------------------------------- */

void byn_sweep_begin(byn_sweep *s) {
  s->under_way = true;
  s->wrapped = false;
  s->until = s->at;
}

byn_place *byn_sweep_next(byn_sweep *s, const byn_tree *t) {
  if (!s->under_way) return NULL;
  byn_place *p = byn_tree_from(t, s->at);
  if (!p && !s->wrapped) {
    s->wrapped = true;
    p = byn_tree_first(t);
  }
  bool over = !p || (s->wrapped && p->hash >= s->until);
  if (over) {
    s->under_way = false;
    return NULL;
  }
  s->at = p->hash + 1;
  if (s->at == 0) s->wrapped = true; /* that was the last hash */
  return p;
}
