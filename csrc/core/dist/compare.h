/* Spans of the tree of digests, as bytes: what one node has in them, for
 * another that says what differs.
 *
 *   NODE_SPAN  BITS FIRST DIGEST*        of its children; no digest: they are
 *                                        all empty
 *   LEAF_SPAN  BITS FIRST (HASH DIGEST)* of its places, by their hashes
 *
 * BITS is one byte, all else eight. What is read comes from a stranger, and is
 * checked as a whole before any of it counts.
 */
#ifndef BYN_DIST_COMPARE_H
#define BYN_DIST_COMPARE_H

#include "fields.h"
#include "tree.h"

typedef struct byn_span_view {
  byn_span span;
  bool leaf;
  byn_dist_bytes digests; /* what follows FIRST */
} byn_span_view;

/* `tag` of each is BYN_FIELD_NODE_SPAN, or BYN_FIELD_LEAF_SPAN. */
void byn_compare_put_node(byn_buf *b, const byn_tree *t, byn_span s);
void byn_compare_put_leaf(byn_buf *b, const byn_tree *t, byn_span s);
/* One hash, with a digest that nobody has: all of it is wanted. */
void byn_compare_put_wanted(byn_buf *b, uint64_t hash);

/* The field as a span; false if it is none. */
bool byn_compare_read(const byn_field *f, byn_span_view *v);
/* The next span in the fields of a record that was checked. */
bool byn_compare_next(byn_reader *fields, byn_span_view *v);

/* Of a NODE_SPAN: its children that differ and are not empty here, as bits. */
uint64_t byn_compare_children(const byn_tree *t, const byn_span_view *v);
/* Of a LEAF_SPAN: do all places of that hash, the first of which is `p`,
 * differ from what it has there? */
bool byn_compare_differs(const byn_span_view *v, const byn_place *p);

#endif
