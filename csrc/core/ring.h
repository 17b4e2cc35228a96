/* A consistent hash ring: which node owns a key.
 *
 * Karger et al., "Consistent Hashing and Random Trees" (STOC 1997), with
 * virtual nodes as in Dynamo (SOSP 2007). A node of weight w stands at
 * w * vnodes points; the point i of node N is XXH3-64 of N's bytes with seed
 * i. A key is owned by the node at the first point at or after the key's
 * hash, round the circle. Points that coincide are ordered by name, so the
 * ring is a pure function of the set {(name, weight)} and of vnodes.
 *
 * A lookup does not search the whole array: the top bits of the hash index a
 * table of first points, and from there it is a step or two.
 *
 * Names are bytes, copied. Failure is memory only; a call that fails leaves
 * the ring as it was.
 */
#ifndef BYN_RING_H
#define BYN_RING_H

#include <stdbool.h>
#include <stdint.h>

#include "alloc.h"

#define BYN_RING_VNODES 160

typedef struct byn_ring byn_ring;

typedef enum byn_key_kind {
  BYN_KEY_STRING = 0,  /* the bytes */
  BYN_KEY_INTEGER = 1, /* 8 bytes, little-endian two's complement */
  BYN_KEY_REF = 2      /* the identity of a ref or pid, as on the wire */
} byn_key_kind;

/* The hash of a key: XXH3-64 of its bytes with the kind as the seed. */
uint64_t byn_ring_hash(const void *key, size_t n, byn_key_kind kind);

byn_ring *byn_ring_new(const byn_alloc *alloc, uint32_t vnodes);
void byn_ring_free(byn_ring *r);

/* Adds a node, or changes its weight (1 to 1000). */
bool byn_ring_add(byn_ring *r, const char *name, size_t n, uint32_t weight);
/* false if it is not there (or memory is short: then it still is there). */
bool byn_ring_remove(byn_ring *r, const char *name, size_t n);

/* The nodes, in byte order of their names. */
uint32_t byn_ring_count(const byn_ring *r);
const char *byn_ring_name(const byn_ring *r, uint32_t node, size_t *n);
uint32_t byn_ring_weight(const byn_ring *r, uint32_t node);

/* The owner of a hash, as an index below byn_ring_count; -1 on an empty
 * ring. */
int32_t byn_ring_owner(const byn_ring *r, uint64_t hash);

/* Up to `want` distinct nodes from the hash on, the owner first, into `out`;
 * answers how many. Takes memory for a mark per node; 0 if it is short. */
uint32_t byn_ring_successors(const byn_ring *r, uint64_t hash, uint32_t *out,
                             uint32_t want);

#endif
