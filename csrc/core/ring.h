/* A consistent hash ring: which node owns a key.
 *
 * Karger et al., "Consistent Hashing and Random Trees" (STOC 1997), with
 * virtual nodes as in Dynamo (SOSP 2007). A node of weight w stands at
 * w * vnodes points; the point i of node N is XXH3-64 of N's bytes with seed
 * i. A key is owned by the node at the first point at or after the key's
 * hash, round the circle. Points that coincide are ordered by name, so the
 * ring is a function of the set {(name, weight)} and of vnodes alone.
 *
 * A lookup takes O(1) steps on average: the top bits of the hash are an index
 * into a table of first points, and from there it is a step or two.
 *
 * Names are bytes, copied. Failure is memory only; a call that fails leaves
 * the ring as it was. The placement of a key must never change between two
 * versions of this file: spec/golden/ring.txt pins it.
 */
#ifndef BYN_RING_H
#define BYN_RING_H

#include <stdbool.h>
#include <stdint.h>

#include "alloc.h"

#define BYN_RING_VNODES 160
#define BYN_RING_VNODES_MAX 10000
#define BYN_RING_WEIGHT_MAX 1000

typedef struct byn_ring byn_ring;

typedef enum byn_key_kind {
  BYN_KEY_STRING = 0,  /* the bytes */
  BYN_KEY_INTEGER = 1, /* 8 bytes, little-endian two's complement */
  BYN_KEY_REF = 2      /* the identity of a ref or pid, as on the wire */
} byn_key_kind;

/* The hash of a key: XXH3-64 of its bytes with the kind as the seed. */
uint64_t byn_ring_hash(const void *key, size_t n, byn_key_kind kind);

/* An empty ring of 1 to BYN_RING_VNODES_MAX points per unit of weight; NULL
 * when memory is short or `vnodes` is out of range. */
byn_ring *byn_ring_new(const byn_alloc *alloc, uint32_t vnodes);

/* The same ring as byn_ring_new and one byn_ring_add for each member, in
 * O(points log points) instead of O(points) each. */
typedef struct byn_ring_member {
  const char *name;
  size_t size;
  uint32_t weight;
} byn_ring_member;

byn_ring *byn_ring_build(const byn_alloc *alloc, uint32_t vnodes,
                         const byn_ring_member *members, uint32_t count);

void byn_ring_free(byn_ring *r);

/* Adds a node, or changes its weight (1 to BYN_RING_WEIGHT_MAX). false when
 * memory is short or the weight is out of range. O(points). */
bool byn_ring_add(byn_ring *r, const char *name, size_t n, uint32_t weight);
/* false if it is not there. Takes no memory, so it cannot fail otherwise. */
bool byn_ring_remove(byn_ring *r, const char *name, size_t n);

/* The nodes, in byte order of their names, by an index below the count. */
uint32_t byn_ring_count(const byn_ring *r);
const char *byn_ring_name(const byn_ring *r, uint32_t node, size_t *n);
uint32_t byn_ring_weight(const byn_ring *r, uint32_t node);

/* The owner of a hash, as an index below byn_ring_count; -1 on an empty
 * ring. */
int32_t byn_ring_owner(const byn_ring *r, uint64_t hash);

/* Up to `want` distinct nodes from the hash on, the owner first, into `out`;
 * answers how many. On a ring of more than 1024 nodes it takes memory for a
 * mark per node, and answers 0 if that is short. */
uint32_t byn_ring_successors(const byn_ring *r, uint64_t hash, uint32_t *out,
                             uint32_t want);

#endif
