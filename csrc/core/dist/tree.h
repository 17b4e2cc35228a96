/* All places in the order of their hashes, and a tree of digests over them.
 *
 * A span is all hashes that begin with the same bits. The root, of 0 bits, has
 * 64 children, any other span 16: so spans have 6, 10, 14 ... 62 bits, and
 * those of 62 have no children. The digest of a span is the sum of those of
 * its places, 0 where there are none. Two nodes that compare the digests of
 * the children of spans that differ, and so on downwards, find k places that
 * differ of n by O(k log n) bytes (pull.h). The digests depend on the set of
 * places alone, so it does not matter how deep each node keeps its own.
 *
 * Kept are the digests of the spans down to the leaves, of which there are as
 * many as the number of places needs, 16 places a leaf at most on average. A
 * place that changes updates those of its path, O(log n). A span that is
 * smaller than a leaf is summed when it is asked for.
 *
 * Where there is no memory for more leaves they grow, and all stays right.
 */
#ifndef BYN_DIST_TREE_H
#define BYN_DIST_TREE_H

#include "place.h"

enum {
  BYN_TREE_TOP = 64,   /* children of the root */
  BYN_TREE_FAN = 16,   /* of any other span */
  BYN_TREE_LEAF = 16,  /* places, where there are more leaves to be had */
  BYN_TREE_DEEPEST = 5 /* levels that are kept */
};

typedef struct byn_span {
  uint64_t first; /* its first hash; the bits after `bits` are 0 */
  uint32_t bits;  /* 64: one hash */
} byn_span;

static inline uint64_t byn_span_last(byn_span s) {
  return s.bits == 64 ? s.first : s.first | UINT64_MAX >> s.bits;
}

/* Has a span of so many bits children, and how many? */
static inline uint32_t byn_span_children(uint32_t bits) {
  if (bits == 0) return BYN_TREE_TOP;
  return bits % 4 == 2 && bits >= 6 && bits <= 58 ? BYN_TREE_FAN : 0;
}

byn_span byn_span_child(byn_span s, uint32_t index);
/* As bytes of a stranger may have it? */
bool byn_span_is_sound(byn_span s);

typedef struct byn_tree {
  const byn_alloc *alloc;                 /* must outlive it */
  uint32_t levels, count;                 /* kept; places */
  byn_place *top[BYN_TREE_TOP], **leaves; /* the first place of each */
  uint64_t top_sums[BYN_TREE_TOP];
  uint64_t *sums[BYN_TREE_DEEPEST]; /* of each level; the last: of leaves */
} byn_tree;

void byn_tree_init(byn_tree *t, const byn_alloc *alloc);
void byn_tree_clear(byn_tree *t); /* the places are the owner's */

/* Of a place whose digest is 0. */
void byn_tree_add(byn_tree *t, byn_place *p);
void byn_tree_remove(byn_tree *t, byn_place *p);
/* Its digest is another. */
void byn_tree_set_digest(byn_tree *t, byn_place *p, uint64_t digest);

/* In the order of the hashes: the first, the next, and the first from a hash
 * on; NULL: there is none. Those of equal hashes follow each other. */
byn_place *byn_tree_first(const byn_tree *t);
byn_place *byn_tree_next(const byn_tree *t, const byn_place *p);
byn_place *byn_tree_from(const byn_tree *t, uint64_t hash);

uint64_t byn_tree_digest(const byn_tree *t, byn_span s);
/* How many places it has, `most` at most. */
uint32_t byn_tree_count(const byn_tree *t, byn_span s, uint32_t most);

/* Goes round all places, some at a time: those that come meanwhile are looked
 * at or not, those that go are no trouble. */
typedef struct byn_sweep {
  bool under_way, wrapped;
  uint64_t at, until;
} byn_sweep;

/* All once more from here on. */
void byn_sweep_begin(byn_sweep *s);
/* The first of those that have the next hash; NULL: all were looked at. */
byn_place *byn_sweep_next(byn_sweep *s, const byn_tree *t);

#endif
