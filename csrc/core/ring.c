/* The consistent hash ring: its points, in one sorted array.
 *
 * Points are sorted by (hash, node) and end in a sentinel: a copy of the first
 * point at the greatest hash there is. So a search forward always finds a
 * point, and need not look for the end of the array.
 *
 * Nodes are sorted by name, so their numbers order as their names do, and a
 * node that comes or goes renumbers those behind it.
 */
#include "ring.h"

#include <string.h>
#include <xxhash.h>

#if XXH_VERSION_NUMBER < 800
#error "XXH3 has its final values since xxHash 0.8.0"
#endif

#include "assert.h"

#define STACK_NODES 1024
#define WORD_BITS 64

typedef struct ring_node {
  char *name; /* ends in a NUL that `size` does not count */
  size_t size;
  uint32_t weight;
} ring_node;

typedef struct ring_point {
  uint64_t hash;
  uint32_t node;
} ring_point;

/* What a lookup reads. */
typedef struct ring_table {
  ring_point *points; /* count of them, and the sentinel */
  uint32_t *first;    /* by the top bits: the first point at or after them */
  uint32_t count;
  uint32_t points_made, first_made; /* sizes of the two arrays */
  uint32_t shift;                   /* a hash shifted by it leaves the top */
} ring_table;

struct byn_ring {
  byn_alloc alloc;
  uint32_t vnodes;
  uint32_t count, capacity;
  ring_node *nodes;
  ring_table table;
};

uint64_t byn_ring_hash(const void *key, size_t n, byn_key_kind kind) {
  return XXH3_64bits_withSeed(key, n, (XXH64_hash_t)kind);
}

/* ---- sorting ---- */

static bool is_before(const ring_point *a, const ring_point *b) {
  if (a->hash != b->hash) return a->hash < b->hash;
  return a->node < b->node;
}

static void sift_point_down(ring_point *p, uint32_t count, uint32_t at) {
  ring_point moved = p[at];
  for (uint32_t child; (child = 2 * at + 1) < count; at = child) {
    if (child + 1 < count && is_before(&p[child], &p[child + 1])) child++;
    if (!is_before(&moved, &p[child])) break;
    p[at] = p[child];
  }
  p[at] = moved;
}

/* Heapsort: in place and without recursion. The C library's qsort may take
 * memory of its own. */
static void sort_points(ring_point *p, uint32_t count) {
  for (uint32_t i = count / 2; i > 0; i--)
    sift_point_down(p, count, i - 1);
  while (count > 1) {
    ring_point greatest = p[0];
    p[0] = p[--count];
    p[count] = greatest;
    sift_point_down(p, count, 0);
  }
}

/* ---- the table ---- */

/* As many top bits as give at least one place to each point. */
static uint32_t bits_for(uint32_t count) {
  uint32_t bits = 1;
  while (bits < 31 && (1u << bits) < count)
    bits++;
  return bits;
}

static void table_free(const byn_alloc *alloc, ring_table *t) {
  byn_free(alloc, t->points, t->points_made * sizeof *t->points);
  byn_free(alloc, t->first, t->first_made * sizeof *t->first);
  memset(t, 0, sizeof *t);
}

/* Room for `count` points; false when memory is short. */
static bool table_make(const byn_alloc *alloc, ring_table *t, uint32_t count) {
  memset(t, 0, sizeof *t);
  t->count = count;
  t->points_made = count + 1;
  t->first_made = 1u << bits_for(count);
  t->points = byn_new(alloc, t->points_made * sizeof *t->points);
  t->first = byn_new(alloc, t->first_made * sizeof *t->first);
  if (t->points && t->first) return true;
  table_free(alloc, t);
  return false;
}

static bool is_sorted(const ring_table *t) {
  for (uint32_t i = 1; i < t->count; i++)
    if (!is_before(&t->points[i - 1], &t->points[i])) return false;
  return true;
}

/* Sets the sentinel and the index over points that are sorted. */
static void table_index(ring_table *t) {
  byn_assert(0 < t->count && t->count < t->points_made);
  byn_assert(is_sorted(t));
  t->points[t->count].hash = UINT64_MAX;
  t->points[t->count].node = t->points[0].node;
  uint32_t bits = bits_for(t->count);
  byn_assert(1u << bits <= t->first_made);
  t->shift = WORD_BITS - bits;
  uint32_t place = 0;
  for (uint32_t i = 0; i < t->count; i++)
    for (uint64_t top = t->points[i].hash >> t->shift; place <= top; place++)
      t->first[place] = i;
  for (; place < 1u << bits; place++)
    t->first[place] = t->count;
}

/* Gives back what a table that became smaller no longer needs. Where that
 * fails, the table stays as large as it was. */
static void table_shrink(const byn_alloc *alloc, ring_table *t) {
  uint32_t points = t->count + 1, first = 1u << bits_for(t->count);
  void *p = byn_resize(alloc, t->points, t->points_made * sizeof *t->points,
                       points * sizeof *t->points);
  if (p) {
    t->points = p;
    t->points_made = points;
  }
  p = byn_resize(alloc, t->first, t->first_made * sizeof *t->first,
                 first * sizeof *t->first);
  if (p) {
    t->first = p;
    t->first_made = first;
  }
}

/* The first point at or after `hash`; the sentinel stands for the first of
 * all. */
static inline const ring_point *table_find(const ring_table *t, uint64_t hash) {
  byn_assert(t->count > 0);
  const ring_point *p = &t->points[t->first[hash >> t->shift]];
  while (p->hash < hash)
    p++;
  byn_assert(p <= t->points + t->count);
  byn_assert(p == t->points || p[-1].hash < hash);
  return p;
}

/* ---- nodes ---- */

static int compare_name(const ring_node *node, const char *name, size_t n) {
  size_t common = node->size < n ? node->size : n;
  int order = common ? memcmp(node->name, name, common) : 0;
  if (order != 0) return order;
  return node->size < n ? -1 : node->size > n;
}

/* Where the name is or would be. */
static uint32_t find_node(const byn_ring *r, const char *name, size_t n,
                          bool *found) {
  uint32_t low = 0, high = r->count;
  *found = false;
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    int order = compare_name(&r->nodes[middle], name, n);
    if (order == 0) *found = true;
    if (order < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

static void node_free(const byn_alloc *alloc, ring_node *node) {
  byn_free(alloc, node->name, node->size + 1);
}

static bool node_make(const byn_alloc *alloc, ring_node *node, const char *name,
                      size_t n) {
  node->size = n;
  node->name = byn_new(alloc, n + 1);
  if (!node->name) return false;
  if (n) memcpy(node->name, name, n);
  node->name[n] = '\0';
  return true;
}

static bool reserve_node(byn_ring *r) {
  if (r->count < r->capacity) return true;
  uint32_t wanted = r->capacity ? r->capacity * 2 : 8;
  ring_node *nodes =
      byn_resize(&r->alloc, r->nodes, r->capacity * sizeof *r->nodes,
                 wanted * sizeof *r->nodes);
  if (!nodes) return false;
  r->nodes = nodes;
  r->capacity = wanted;
  return true;
}

/* ---- changing the ring ---- */

/* Is node `at` in its place by name, and does the table have the points of all
 * nodes? */
static bool is_sound(const byn_ring *r, uint32_t at) {
  const ring_node *node = &r->nodes[at];
  uint64_t points = 0;
  if (r->count > r->capacity) return false;
  if (at > 0 && compare_name(node - 1, node->name, node->size) >= 0)
    return false;
  if (at + 1 < r->count && compare_name(node + 1, node->name, node->size) <= 0)
    return false;
  for (uint32_t i = 0; i < r->count; i++)
    points += (uint64_t)r->nodes[i].weight * r->vnodes;
  return points == r->table.count;
}

static bool weight_fits(uint32_t weight) {
  return weight >= 1 && weight <= BYN_RING_WEIGHT_MAX;
}

/* How many points a weight stands for beside `others`; 0 if that is more
 * than a ring can hold. */
static uint32_t points_for(const byn_ring *r, uint32_t weight,
                           uint32_t others) {
  uint64_t fresh = (uint64_t)weight * r->vnodes;
  uint64_t most = INT32_MAX;
  if (most > SIZE_MAX / sizeof(ring_point) - 1)
    most = SIZE_MAX / sizeof(ring_point) - 1;
  return fresh + others <= most ? (uint32_t)fresh : 0;
}

/* Merges the points of `old`, but for those of node `left_out`, with the sorted
 * ones that stand at the end of `t`. Nodes from `moved` on take the next
 * number. The room before the fresh points is exactly that of the old ones, so
 * no fresh point is written over before it is read. */
static void merge_points(ring_table *t, const ring_table *old, uint32_t fresh,
                         uint32_t left_out, uint32_t moved) {
  ring_point *out = t->points, *end = t->points + t->count;
  const ring_point *in = end - fresh;
  for (uint32_t i = 0; i < old->count; i++) {
    ring_point p = old->points[i];
    if (p.node == left_out) continue;
    if (p.node >= moved) p.node++;
    while (in < end && is_before(in, &p))
      *out++ = *in++;
    byn_assert(out < in);
    *out++ = p;
  }
  byn_assert(out == in); /* the rest stand where they belong */
}

/* Writes the `count` points of a node, unsorted. */
static void put_points(ring_point *p, const ring_node *node, uint32_t at,
                       uint32_t count) {
  for (uint32_t i = 0; i < count; i++) {
    p[i].hash = XXH3_64bits_withSeed(node->name, node->size, i);
    p[i].node = at;
  }
}

/* Makes `t` the table of the ring with `node` as its node `at`. `is_new`: those
 * from `at` on move up for it. false when memory is short, or the points are
 * too many. */
static bool remake_table(const byn_ring *r, ring_table *t, uint32_t at,
                         bool is_new, const ring_node *node) {
  const ring_table *old = &r->table;
  uint32_t kept = old->count;
  if (!is_new) kept -= r->nodes[at].weight * r->vnodes;
  uint32_t fresh = points_for(r, node->weight, kept);
  if (fresh == 0 || !table_make(&r->alloc, t, kept + fresh)) return false;
  ring_point *p = t->points + kept;
  put_points(p, node, at, fresh);
  sort_points(p, fresh);
  merge_points(t, old, fresh, is_new ? UINT32_MAX : at,
               is_new ? at : UINT32_MAX);
  table_index(t);
  return true;
}

static void use_table(byn_ring *r, const ring_table *t) {
  table_free(&r->alloc, &r->table);
  r->table = *t;
}

static bool change_weight(byn_ring *r, uint32_t at, uint32_t weight) {
  if (r->nodes[at].weight == weight) return true;
  ring_node node = r->nodes[at];
  node.weight = weight;
  ring_table t;
  if (!remake_table(r, &t, at, false, &node)) return false;
  r->nodes[at] = node;
  use_table(r, &t);
  byn_assert(is_sound(r, at));
  return true;
}

/* Puts a node in its place; the room was reserved. */
static void insert_node(byn_ring *r, uint32_t at, const ring_node *node) {
  byn_assert(r->count < r->capacity);
  byn_assert(at <= r->count);
  memmove(&r->nodes[at + 1], &r->nodes[at], (r->count - at) * sizeof *r->nodes);
  r->nodes[at] = *node;
  r->count++;
}

static bool add_node(byn_ring *r, uint32_t at, const ring_node *node) {
  ring_table t;
  if (!reserve_node(r) || !remake_table(r, &t, at, true, node)) return false;
  insert_node(r, at, node);
  use_table(r, &t);
  byn_assert(is_sound(r, at));
  return true;
}

bool byn_ring_add(byn_ring *r, const char *name, size_t n, uint32_t weight) {
  if (!weight_fits(weight)) return false;
  bool found;
  uint32_t at = find_node(r, name, n, &found);
  if (found) return change_weight(r, at, weight);
  ring_node node = {.weight = weight};
  if (!node_make(&r->alloc, &node, name, n)) return false;
  if (add_node(r, at, &node)) return true;
  node_free(&r->alloc, &node);
  return false;
}

/* Makes the table of a ring that has its nodes but no table yet. */
static bool build_table(byn_ring *r) {
  uint32_t total = 0;
  for (uint32_t i = 0; i < r->count; i++) {
    uint32_t fresh = points_for(r, r->nodes[i].weight, total);
    if (fresh == 0) return false;
    total += fresh;
  }
  if (total == 0) return true;
  if (!table_make(&r->alloc, &r->table, total)) return false;
  ring_point *p = r->table.points;
  for (uint32_t i = 0; i < r->count; i++) {
    uint32_t fresh = r->nodes[i].weight * r->vnodes;
    put_points(p, &r->nodes[i], i, fresh);
    p += fresh;
  }
  sort_points(r->table.points, total);
  table_index(&r->table);
  return true;
}

/* Adds a node to a ring that has no table yet. */
static bool build_node(byn_ring *r, const byn_ring_member *member) {
  if (!weight_fits(member->weight)) return false;
  bool found;
  uint32_t at = find_node(r, member->name, member->size, &found);
  if (found) {
    r->nodes[at].weight = member->weight;
    return true;
  }
  ring_node node = {.weight = member->weight};
  if (!reserve_node(r)) return false;
  if (!node_make(&r->alloc, &node, member->name, member->size)) return false;
  insert_node(r, at, &node);
  return true;
}

/* Takes the points of node `at` out of the array. */
static void drop_points(ring_table *t, uint32_t at) {
  uint32_t kept = 0;
  for (uint32_t i = 0; i < t->count; i++) {
    ring_point p = t->points[i];
    if (p.node == at) continue;
    if (p.node > at) p.node--;
    t->points[kept++] = p;
  }
  t->count = kept;
}

bool byn_ring_remove(byn_ring *r, const char *name, size_t n) {
  bool found;
  uint32_t at = find_node(r, name, n, &found);
  if (!found) return false;
  node_free(&r->alloc, &r->nodes[at]);
  r->count--;
  memmove(&r->nodes[at], &r->nodes[at + 1], (r->count - at) * sizeof *r->nodes);
  if (r->count == 0) {
    table_free(&r->alloc, &r->table);
    return true;
  }
  drop_points(&r->table, at);
  table_index(&r->table);
  table_shrink(&r->alloc, &r->table);
  byn_assert(is_sound(r, at < r->count ? at : at - 1));
  return true;
}

/* ---- the ring ---- */

byn_ring *byn_ring_new(const byn_alloc *alloc, uint32_t vnodes) {
  if (vnodes == 0 || vnodes > BYN_RING_VNODES_MAX) return NULL;
  byn_ring *r = byn_new(alloc, sizeof *r);
  if (!r) return NULL;
  byn_ring empty = {.alloc = *alloc, .vnodes = vnodes};
  *r = empty;
  return r;
}

byn_ring *byn_ring_build(const byn_alloc *alloc, uint32_t vnodes,
                         const byn_ring_member *members, uint32_t count) {
  byn_ring *r = byn_ring_new(alloc, vnodes);
  if (!r) return NULL;
  bool ok = true;
  for (uint32_t i = 0; ok && i < count; i++)
    ok = build_node(r, &members[i]);
  if (!ok || !build_table(r)) {
    byn_ring_free(r);
    return NULL;
  }
  byn_assert(r->count == 0 || is_sound(r, r->count / 2));
  return r;
}

void byn_ring_free(byn_ring *r) {
  if (!r) return;
  byn_alloc alloc = r->alloc;
  for (uint32_t i = 0; i < r->count; i++)
    node_free(&alloc, &r->nodes[i]);
  byn_free(&alloc, r->nodes, r->capacity * sizeof *r->nodes);
  table_free(&alloc, &r->table);
  byn_free(&alloc, r, sizeof *r);
}

uint32_t byn_ring_count(const byn_ring *r) {
  return r->count;
}

const char *byn_ring_name(const byn_ring *r, uint32_t node, size_t *n) {
  byn_assert(node < r->count);
  if (n) *n = r->nodes[node].size;
  return r->nodes[node].name;
}

uint32_t byn_ring_weight(const byn_ring *r, uint32_t node) {
  byn_assert(node < r->count);
  return r->nodes[node].weight;
}

int32_t byn_ring_owner(const byn_ring *r, uint64_t hash) {
  if (r->table.count == 0) return -1;
  return (int32_t)table_find(&r->table, hash)->node;
}

/* ---- successors ---- */

/* Marks a node; false if it was marked. */
static bool mark_node(uint64_t *marks, uint32_t node) {
  uint64_t *word = &marks[node / WORD_BITS];
  uint64_t bit = (uint64_t)1 << node % WORD_BITS;
  bool fresh = !(*word & bit);
  *word |= bit;
  return fresh;
}

/* Walks once round the circle at most. `marks` is clear. */
static uint32_t walk_points(const ring_table *t, uint64_t hash, uint64_t *marks,
                            uint32_t *out, uint32_t want) {
  const ring_point *p = table_find(t, hash), *end = t->points + t->count;
  uint32_t had = 0;
  for (uint32_t left = t->count; left > 0 && had < want; left--, p++) {
    if (p == end) p = t->points;
    if (mark_node(marks, p->node)) out[had++] = p->node;
  }
  return had;
}

uint32_t byn_ring_successors(const byn_ring *r, uint64_t hash, uint32_t *out,
                             uint32_t want) {
  if (want > r->count) want = r->count;
  if (want == 0) return 0;
  uint64_t few[STACK_NODES / WORD_BITS], *marks = few;
  size_t size = (r->count + WORD_BITS - 1) / WORD_BITS * sizeof *marks;
  if (r->count > STACK_NODES) marks = byn_new(&r->alloc, size);
  if (!marks) return 0;
  memset(marks, 0, size);
  uint32_t had = walk_points(&r->table, hash, marks, out, want);
  if (marks != few) byn_free(&r->alloc, marks, size);
  byn_assert(had == want);
  return had;
}
