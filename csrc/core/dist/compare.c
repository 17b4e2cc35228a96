/* Spans as bytes, and what of them differs. */
#include "compare.h"

#include "../assert.h"
#include "record.h"

enum { HEAD = 9, ITEM = 16 };

static uint64_t number_at(byn_dist_bytes bytes, size_t at) {
  byn_reader r;
  byn_assert(at + 8 <= bytes.n);
  byn_reader_init(&r, bytes.at + at, 8);
  return byn_get_u64(&r);
}

/* --- writing -------------------------------------------------------------- */

static size_t open_span(byn_buf *b, uint8_t tag, byn_span s) {
  size_t mark = byn_field_open(b, tag);
  byn_put_u8(b, (uint8_t)s.bits);
  byn_put_u64(b, s.first);
  return mark;
}

void byn_compare_put_node(byn_buf *b, const byn_tree *t, byn_span s) {
  size_t mark = open_span(b, BYN_FIELD_NODE_SPAN, s);
  bool empty = s.bits == 0 && t->count == 0;
  for (uint32_t i = 0; i < byn_span_children(s.bits) && !empty; i++)
    byn_put_u64(b, byn_tree_digest(t, byn_span_child(s, i)));
  byn_field_close(b, mark);
}

/* Those of one hash count together. */
static uint64_t digest_of_hash(const byn_place *p) {
  uint64_t sum = 0;
  for (uint64_t hash = p->hash; p && p->hash == hash; p = p->after)
    sum += p->digest;
  return sum;
}

void byn_compare_put_leaf(byn_buf *b, const byn_tree *t, byn_span s) {
  size_t mark = open_span(b, BYN_FIELD_LEAF_SPAN, s);
  uint64_t last = byn_span_last(s);
  const byn_place *p = byn_tree_from(t, s.first);
  for (; p && p->hash <= last; p = byn_tree_next(t, p)) {
    if (p->before && p->before->hash == p->hash) continue;
    byn_put_u64(b, p->hash);
    byn_put_u64(b, digest_of_hash(p));
  }
  byn_field_close(b, mark);
}

void byn_compare_put_wanted(byn_buf *b, uint64_t hash) {
  byn_field_close(b, open_span(b, BYN_FIELD_LEAF_SPAN, (byn_span){hash, 64}));
}

/* --- reading -------------------------------------------------------------- */

static bool are_items(const byn_span_view *v) {
  if (v->digests.n % ITEM != 0) return false;
  uint64_t last = 0;
  for (size_t at = 0; at < v->digests.n; at += ITEM) {
    uint64_t hash = number_at(v->digests, at);
    bool inside = hash >= v->span.first && hash <= byn_span_last(v->span);
    if (!inside || (at > 0 && hash <= last)) return false;
    last = hash;
  }
  return true;
}

bool byn_compare_read(const byn_field *f, byn_span_view *v) {
  if (f->n < HEAD) return false;
  byn_dist_bytes all = {f->at, f->n};
  v->span = (byn_span){number_at(all, 1), f->at[0]};
  v->leaf = f->tag == BYN_FIELD_LEAF_SPAN;
  v->digests = (byn_dist_bytes){f->at + HEAD, f->n - HEAD};
  if (!byn_span_is_sound(v->span)) return false;
  if (v->leaf) return are_items(v);
  uint32_t children = byn_span_children(v->span.bits);
  return children && (v->digests.n == 0 || v->digests.n == children * 8);
}

bool byn_compare_next(byn_reader *fields, byn_span_view *v) {
  for (byn_field f; byn_get_field(fields, &f);)
    if (f.tag == BYN_FIELD_NODE_SPAN || f.tag == BYN_FIELD_LEAF_SPAN) {
      bool sound = byn_compare_read(&f, v);
      byn_assert(sound);
      return sound;
    }
  return false;
}

/* --- comparing ------------------------------------------------------------ */

uint64_t byn_compare_children(const byn_tree *t, const byn_span_view *v) {
  byn_assert(!v->leaf);
  uint64_t mask = 0;
  for (uint32_t i = 0; i < byn_span_children(v->span.bits); i++) {
    uint64_t theirs = v->digests.n ? number_at(v->digests, i * 8) : 0;
    uint64_t digest = byn_tree_digest(t, byn_span_child(v->span, i));
    if (digest && digest != theirs) mask |= (uint64_t)1 << i;
  }
  return mask;
}

bool byn_compare_differs(const byn_span_view *v, const byn_place *p) {
  byn_assert(v->leaf);
  size_t low = 0, high = v->digests.n / ITEM;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (number_at(v->digests, middle * ITEM) < p->hash)
      low = middle + 1;
    else
      high = middle;
  }
  bool found =
      low < v->digests.n / ITEM && number_at(v->digests, low * ITEM) == p->hash;
  return !found || number_at(v->digests, low * ITEM + 8) != digest_of_hash(p);
}
