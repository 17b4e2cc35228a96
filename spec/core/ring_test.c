#include "support.h"

#include <stdio.h>
#include <xxhash.h>

#include "../../csrc/core/ring.h"
#include "../../csrc/core/rng.h"

#define GOLDEN "spec/golden/ring.txt"

/* ---- the model: all points in one list, searched from its start ---- */

enum { MODEL_NODES = 40 };

typedef struct model_node {
  char name[16];
  uint32_t weight; /* 0: not there */
} model_node;

typedef struct model_point {
  uint64_t hash;
  const char *name;
} model_point;

typedef struct model {
  uint32_t vnodes;
  model_node nodes[MODEL_NODES];
  model_point *points;
  uint32_t count, present;
} model;

static int order_of_points(const void *a, const void *b) {
  const model_point *p = a, *q = b;
  if (p->hash != q->hash) return p->hash < q->hash ? -1 : 1;
  return strcmp(p->name, q->name);
}

static void model_sort(model *m) {
  m->count = m->present = 0;
  for (int i = 0; i < MODEL_NODES; i++) {
    m->count += m->nodes[i].weight * m->vnodes;
    m->present += m->nodes[i].weight > 0;
  }
  free(m->points);
  m->points = malloc((m->count + 1) * sizeof *m->points);
  assert_non_null(m->points);
  model_point *p = m->points;
  for (int i = 0; i < MODEL_NODES; i++)
    for (uint32_t v = 0; v < m->nodes[i].weight * m->vnodes; v++, p++) {
      const char *name = m->nodes[i].name;
      p->hash = XXH3_64bits_withSeed(name, strlen(name), v);
      p->name = name;
    }
  qsort(m->points, m->count, sizeof *m->points, order_of_points);
}

static uint32_t model_successors(const model *m, uint64_t hash,
                                 const char **out) {
  uint32_t start = 0, had = 0;
  while (start < m->count && m->points[start].hash < hash)
    start++;
  for (uint32_t i = 0; i < m->count && had < m->present; i++) {
    const char *name = m->points[(start + i) % m->count].name;
    uint32_t seen = 0;
    while (seen < had && out[seen] != name)
      seen++;
    if (seen == had) out[had++] = name;
  }
  return had;
}

/* ---- helpers ---- */

static bool add(byn_ring *r, const char *name, uint32_t weight) {
  return byn_ring_add(r, name, strlen(name), weight);
}

static bool remove_node(byn_ring *r, const char *name) {
  return byn_ring_remove(r, name, strlen(name));
}

static const char *name_of(const byn_ring *r, int64_t node) {
  assert_in_range(node, 0, byn_ring_count(r) - 1);
  return byn_ring_name(r, (uint32_t)node, NULL);
}

static const char *owner_of(const byn_ring *r, uint64_t hash) {
  return name_of(r, byn_ring_owner(r, hash));
}

/* A ring of n nodes called "node0" and so on. */
static byn_ring *ring_of(const byn_alloc *alloc, uint32_t n) {
  byn_ring *r = byn_ring_new(alloc, BYN_RING_VNODES);
  assert_non_null(r);
  for (uint32_t i = 0; i < n; i++) {
    char name[16];
    snprintf(name, sizeof name, "node%u", (unsigned)i);
    assert_true(add(r, name, 1));
  }
  return r;
}

static void assert_same_at(const byn_ring *r, const model *m, uint64_t hash) {
  const char *expected[MODEL_NODES];
  uint32_t got[MODEL_NODES];
  uint32_t n = model_successors(m, hash, expected);
  assert_int_equal(byn_ring_successors(r, hash, got, MODEL_NODES), n);
  for (uint32_t i = 0; i < n; i++)
    assert_string_equal(name_of(r, got[i]), expected[i]);
  assert_int_equal(byn_ring_owner(r, hash), n ? (int32_t)got[0] : -1);
}

static void assert_same(const byn_ring *r, const model *m, byn_rng *rng) {
  assert_int_equal(byn_ring_count(r), m->present);
  assert_same_at(r, m, 0);
  assert_same_at(r, m, UINT64_MAX);
  for (int i = 0; i < 20; i++)
    assert_same_at(r, m, byn_rng_next(rng));
  for (int i = 0; i < 10 && m->count > 0; i++) {
    uint64_t hash = m->points[byn_rng_below(rng, m->count)].hash;
    assert_same_at(r, m, hash - 1);
    assert_same_at(r, m, hash);
    assert_same_at(r, m, hash + 1);
  }
}

/* ---- what a ring is ---- */

static void an_empty_ring_owns_nothing(void **state) {
  (void)state;
  byn_test_alloc t = {0};
  byn_alloc alloc = byn_test_allocator(&t);
  byn_ring *r = byn_ring_new(&alloc, 160);
  uint32_t out;
  assert_int_equal(byn_ring_count(r), 0);
  assert_int_equal(byn_ring_owner(r, 42), -1);
  assert_int_equal(byn_ring_successors(r, 42, &out, 1), 0);
  assert_false(remove_node(r, "a"));
  byn_ring_free(r);
  byn_ring_free(NULL);
  byn_test_assert_clean(&t);
}

static void a_number_out_of_range_is_refused(void **state) {
  (void)state;
  byn_test_alloc t = {0};
  byn_alloc alloc = byn_test_allocator(&t);
  assert_null(byn_ring_new(&alloc, 0));
  assert_null(byn_ring_new(&alloc, BYN_RING_VNODES_MAX + 1));
  static const byn_ring_member weightless = {"a", 1, 0};
  assert_null(byn_ring_build(&alloc, 1, &weightless, 1));
  byn_ring *r = byn_ring_new(&alloc, 1);
  assert_false(add(r, "a", 0));
  assert_false(add(r, "a", BYN_RING_WEIGHT_MAX + 1));
  assert_int_equal(byn_ring_count(r), 0);
  assert_true(add(r, "a", BYN_RING_WEIGHT_MAX));
  byn_ring_free(r);
  byn_test_assert_clean(&t);
}

static void nodes_stand_in_byte_order(void **state) {
  (void)state;
  static const struct {
    const char *bytes;
    size_t n;
  } sorted[] = {{"", 0},  {"\0", 1},  {"\0\0", 2}, {"A", 1},
                {"a", 1}, {"a\0", 2}, {"ab", 2},   {"\xff", 1}};
  static const int joining[] = {6, 0, 3, 7, 2, 5, 1, 4};
  byn_test_alloc t = {0};
  byn_alloc alloc = byn_test_allocator(&t);
  byn_ring *r = byn_ring_new(&alloc, 3);
  for (uint32_t i = 0; i < 8; i++) {
    int k = joining[i];
    assert_true(byn_ring_add(r, sorted[k].bytes, sorted[k].n, 1));
  }
  for (uint32_t i = 0; i < 8; i++) {
    size_t n;
    const char *name = byn_ring_name(r, i, &n);
    assert_int_equal(n, sorted[i].n);
    assert_memory_equal(name, sorted[i].bytes, n + 1);
  }
  byn_ring_free(r);
  byn_test_assert_clean(&t);
}

static void a_node_can_be_added_again_with_another_weight(void **state) {
  (void)state;
  byn_test_alloc t = {0};
  byn_alloc alloc = byn_test_allocator(&t);
  byn_ring *r = ring_of(&alloc, 2);
  assert_true(add(r, "node1", 7));
  assert_int_equal(byn_ring_count(r), 2);
  assert_int_equal(byn_ring_weight(r, 0), 1);
  assert_int_equal(byn_ring_weight(r, 1), 7);
  byn_ring_free(r);
  byn_test_assert_clean(&t);
}

static void random_change(byn_ring *r, model *m, byn_rng *rng) {
  model_node *node = &m->nodes[byn_rng_below(rng, MODEL_NODES)];
  uint64_t dice = byn_rng_below(rng, 3);
  if (dice == 0) {
    assert_true(remove_node(r, node->name) == (node->weight > 0));
    node->weight = 0;
  } else {
    node->weight = 1 + (uint32_t)byn_rng_below(rng, 5);
    assert_true(add(r, node->name, node->weight));
  }
}

static void it_agrees_with_a_plain_search(void **state) {
  (void)state;
  static const uint32_t vnodes[] = {1, 2, 7, 160};
  byn_test_alloc t = {0};
  byn_alloc alloc = byn_test_allocator(&t);
  byn_rng rng;
  byn_rng_seed(&rng, 11);
  for (int round = 0; round < 16; round++) {
    model m = {.vnodes = vnodes[round % 4]};
    for (int i = 0; i < MODEL_NODES; i++)
      snprintf(m.nodes[i].name, sizeof m.nodes[i].name, "r%d-n%d", round, i);
    byn_ring *r = byn_ring_new(&alloc, m.vnodes);
    for (int step = 0; step < 60; step++) {
      random_change(r, &m, &rng);
      model_sort(&m);
      assert_same(r, &m, &rng);
    }
    for (int i = 0; i < MODEL_NODES; i++)
      remove_node(r, m.nodes[i].name);
    assert_int_equal(byn_ring_owner(r, 1), -1);
    free(m.points);
    byn_ring_free(r);
  }
  byn_test_assert_clean(&t);
}

static void shuffle(int *list, int n, byn_rng *rng) {
  for (int i = n - 1; i > 0; i--) {
    int k = (int)byn_rng_below(rng, (uint64_t)i + 1), held = list[i];
    list[i] = list[k];
    list[k] = held;
  }
}

/* Every second joiner comes with a wrong weight first, or leaves and comes
 * back: what happened before must not show. */
static byn_ring *join_in_some_order(const byn_alloc *alloc, byn_rng *rng) {
  int order[20];
  for (int i = 0; i < 20; i++)
    order[i] = i;
  shuffle(order, 20, rng);
  byn_ring *r = byn_ring_new(alloc, 40);
  for (int i = 0; i < 20; i++) {
    char name[16];
    snprintf(name, sizeof name, "n%d", order[i]);
    if (i % 2) add(r, name, 9);
    if (i % 4 == 1) remove_node(r, name);
    assert_true(add(r, name, 1 + (uint32_t)order[i] % 3));
  }
  return r;
}

static void the_order_of_joining_does_not_matter(void **state) {
  (void)state;
  byn_test_alloc t = {0};
  byn_alloc alloc = byn_test_allocator(&t);
  byn_rng rng;
  byn_rng_seed(&rng, 5);
  byn_ring *first = join_in_some_order(&alloc, &rng);
  for (int round = 0; round < 10; round++) {
    byn_ring *other = join_in_some_order(&alloc, &rng);
    for (int i = 0; i < 1000; i++) {
      uint64_t hash = byn_rng_next(&rng);
      assert_int_equal(byn_ring_owner(first, hash),
                       byn_ring_owner(other, hash));
    }
    byn_ring_free(other);
  }
  byn_ring_free(first);
  byn_test_assert_clean(&t);
}

static void a_ring_built_at_once_equals_one_built_by_adding(void **state) {
  (void)state;
  static const byn_ring_member members[] = {
      {"c", 1, 3}, {"a", 1, 2}, {"b", 1, 9}, {"ab", 2, 1}, {"b", 1, 1}};
  byn_test_alloc t = {0};
  byn_alloc alloc = byn_test_allocator(&t);
  byn_ring *one_by_one = byn_ring_new(&alloc, 160);
  for (int i = 0; i < 5; i++)
    assert_true(add(one_by_one, members[i].name, members[i].weight));
  byn_ring *at_once = byn_ring_build(&alloc, 160, members, 5);
  assert_int_equal(byn_ring_count(at_once), 4);
  byn_rng rng;
  byn_rng_seed(&rng, 6);
  for (int i = 0; i < 2000; i++) {
    uint64_t hash = byn_rng_next(&rng);
    assert_int_equal(byn_ring_owner(at_once, hash),
                     byn_ring_owner(one_by_one, hash));
  }
  assert_true(add(at_once, "d", 1));
  assert_int_equal(byn_ring_count(at_once), 5);
  byn_ring_free(one_by_one);
  byn_ring_free(at_once);
  byn_test_assert_clean(&t);
}

/* ---- who moves ---- */

enum { SAMPLE = 20000 };

/* The hash of the i-th key of a sample. */
static uint64_t sample(int64_t i) {
  return byn_ring_hash(&i, sizeof i, BYN_KEY_INTEGER);
}

static void only_the_keys_of_a_node_that_leaves_move(void **state) {
  (void)state;
  byn_test_alloc t = {0};
  byn_alloc alloc = byn_test_allocator(&t);
  byn_ring *before = ring_of(&alloc, 10), *after = ring_of(&alloc, 10);
  int moved = 0;
  assert_true(remove_node(after, "node4"));
  for (int64_t i = 0; i < SAMPLE; i++) {
    const char *was = owner_of(before, sample(i));
    const char *is = owner_of(after, sample(i));
    if (strcmp(was, "node4") != 0) assert_string_equal(was, is);
    moved += strcmp(was, is) != 0;
  }
  assert_in_range(moved, SAMPLE / 20, SAMPLE / 5);
  byn_ring_free(before);
  byn_ring_free(after);
  byn_test_assert_clean(&t);
}

static void the_keys_of_a_node_that_leaves_go_to_its_successors(void **state) {
  (void)state;
  byn_test_alloc t = {0};
  byn_alloc alloc = byn_test_allocator(&t);
  byn_ring *before = ring_of(&alloc, 10), *after = ring_of(&alloc, 10);
  assert_true(remove_node(after, "node4"));
  for (int64_t i = 0; i < SAMPLE; i++) {
    uint32_t next[2];
    assert_int_equal(byn_ring_successors(before, sample(i), next, 2), 2);
    if (strcmp(name_of(before, next[0]), "node4") != 0) continue;
    assert_string_equal(owner_of(after, sample(i)), name_of(before, next[1]));
  }
  byn_ring_free(before);
  byn_ring_free(after);
  byn_test_assert_clean(&t);
}

static void a_node_of_greater_weight_loses_no_key(void **state) {
  (void)state;
  byn_test_alloc t = {0};
  byn_alloc alloc = byn_test_allocator(&t);
  byn_ring *before = ring_of(&alloc, 10), *after = ring_of(&alloc, 10);
  assert_true(add(after, "node4", 2));
  for (int64_t i = 0; i < SAMPLE; i++) {
    const char *is = owner_of(after, sample(i));
    if (strcmp(is, "node4") == 0) continue;
    assert_string_equal(owner_of(before, sample(i)), is);
  }
  byn_ring_free(before);
  byn_ring_free(after);
  byn_test_assert_clean(&t);
}

/* ---- shares ---- */

static void count_keys(const byn_ring *r, int *counts) {
  for (int64_t i = 0; i < SAMPLE; i++)
    counts[byn_ring_owner(r, sample(i))]++;
}

/* A share of 160 points varies by 8 % (one sigma). */
static void equal_nodes_get_about_equal_shares(void **state) {
  (void)state;
  byn_test_alloc t = {0};
  byn_alloc alloc = byn_test_allocator(&t);
  byn_ring *r = ring_of(&alloc, 10);
  int counts[10] = {0};
  count_keys(r, counts);
  for (int i = 0; i < 10; i++)
    assert_in_range(counts[i], SAMPLE / 10 * 3 / 4, SAMPLE / 10 * 5 / 4);
  byn_ring_free(r);
  byn_test_assert_clean(&t);
}

static void shares_follow_the_weights(void **state) {
  (void)state;
  static const uint32_t weights[] = {1, 2, 4, 8, 16};
  byn_test_alloc t = {0};
  byn_alloc alloc = byn_test_allocator(&t);
  byn_ring *r = byn_ring_new(&alloc, BYN_RING_VNODES);
  int counts[5] = {0};
  for (int i = 0; i < 5; i++) {
    char name[] = {(char)('a' + i), '\0'};
    assert_true(add(r, name, weights[i]));
  }
  count_keys(r, counts);
  for (int i = 0; i < 5; i++) {
    int fair = (int)(SAMPLE * weights[i] / 31);
    assert_in_range(counts[i], fair * 3 / 4, fair * 5 / 4);
  }
  byn_ring_free(r);
  byn_test_assert_clean(&t);
}

/* ---- successors ---- */

static void successors_are_distinct_and_the_owner_is_first(void **state) {
  (void)state;
  byn_test_alloc t = {0};
  byn_alloc alloc = byn_test_allocator(&t);
  byn_ring *r = ring_of(&alloc, 7);
  for (int64_t i = 0; i < 500; i++) {
    uint32_t out[9] = {0};
    bool seen[7] = {false};
    assert_int_equal(byn_ring_successors(r, sample(i), out, 9), 7);
    assert_int_equal(byn_ring_owner(r, sample(i)), (int32_t)out[0]);
    for (int k = 0; k < 7; k++) {
      assert_false(seen[out[k]]);
      seen[out[k]] = true;
    }
    uint32_t three[3];
    assert_int_equal(byn_ring_successors(r, sample(i), three, 3), 3);
    assert_memory_equal(three, out, sizeof three);
    assert_int_equal(byn_ring_successors(r, sample(i), three, 0), 0);
  }
  byn_ring_free(r);
  byn_test_assert_clean(&t);
}

static void a_large_ring_takes_memory_to_find_successors(void **state) {
  (void)state;
  enum { NODES = 1100 };
  byn_test_alloc t = {0};
  byn_alloc alloc = byn_test_allocator(&t);
  byn_ring *r = byn_ring_new(&alloc, 1);
  static uint32_t out[NODES];
  static bool seen[NODES];
  for (int i = 0; i < NODES; i++) {
    char name[16];
    snprintf(name, sizeof name, "n%d", i);
    assert_true(add(r, name, 1));
  }
  assert_int_equal(byn_ring_successors(r, 1, out, NODES), NODES);
  for (int i = 0; i < NODES; i++) {
    assert_false(seen[out[i]]);
    seen[out[i]] = true;
  }
  byn_test_fail_nth(&t, 1);
  assert_int_equal(byn_ring_successors(r, 1, out, NODES), 0);
  byn_ring_free(r);
  byn_test_assert_clean(&t);
}

/* ---- memory ---- */

/* What shows whether a ring has changed. */
typedef struct picture {
  size_t count;
  const char *owners[64];
} picture;

static picture picture_of(const byn_ring *r) {
  picture p = {.count = byn_ring_count(r)};
  for (int64_t i = 0; i < 64 && p.count; i++)
    p.owners[i] = owner_of(r, sample(i));
  return p;
}

static void assert_unchanged(const byn_ring *r, const picture *before) {
  picture after = picture_of(r);
  assert_memory_equal(before, &after, sizeof after);
}

/* Adds, trying again where it failed. */
static void insist(byn_ring *r, const char *name, uint32_t weight) {
  picture before = picture_of(r);
  if (add(r, name, weight)) return;
  assert_unchanged(r, &before);
  assert_true(add(r, name, weight));
}

static void live(const byn_alloc *alloc, void *arg) {
  (void)arg;
  byn_ring *r = byn_ring_new(alloc, 5);
  if (!r) return;
  for (int i = 0; i < 10; i++) {
    char name[] = {(char)('a' + i * 3 % 10), '\0'};
    insist(r, name, 1);
  }
  insist(r, "c", 4);
  insist(r, "c", 2);
  for (char name[] = "a"; name[0] < 'h'; name[0]++)
    assert_true(remove_node(r, name));
  byn_ring *expected = byn_ring_new(alloc, 5);
  if (expected) {
    for (char name[] = "h"; name[0] <= 'j'; name[0]++)
      insist(expected, name, 1);
    for (int64_t i = 0; i < 64; i++)
      assert_int_equal(byn_ring_owner(r, sample(i)),
                       byn_ring_owner(expected, sample(i)));
  }
  byn_ring_free(expected);
  byn_ring_free(r);
}

static void build(const byn_alloc *alloc, void *arg) {
  (void)arg;
  static const byn_ring_member members[] = {{"a", 1, 2}, {"b", 1, 1}};
  byn_ring_free(byn_ring_build(alloc, 5, members, 2));
}

static void short_memory_builds_no_ring(void **state) {
  (void)state;
  assert_int_equal(byn_test_each_failure(build, NULL), 6);
}

static void short_memory_leaves_the_ring_as_it_was(void **state) {
  (void)state;
  assert_true(byn_test_each_failure(live, NULL) > 30);
}

static void removing_a_node_gives_its_memory_back(void **state) {
  (void)state;
  byn_test_alloc t = {0};
  byn_alloc alloc = byn_test_allocator(&t);
  byn_ring *r = ring_of(&alloc, 1);
  assert_true(add(r, "big", 100));
  size_t large = t.live_bytes;
  assert_true(remove_node(r, "big"));
  assert_true(t.live_bytes < large / 20);
  byn_ring_free(r);
  byn_test_assert_clean(&t);
}

/* ---- the golden vectors ---- */

/* Undoes %XX in place; "-" stands for no bytes at all. */
static size_t decode(char *text) {
  char *out = text;
  if (strcmp(text, "-") == 0) return 0;
  for (const char *in = text; *in; in++) {
    unsigned byte = (unsigned char)*in;
    if (*in == '%') {
      assert_int_equal(sscanf(in, "%%%2x", &byte), 1);
      in += 2;
    }
    *out++ = (char)byte;
  }
  *out = '\0';
  return (size_t)(out - text);
}

static uint64_t golden_hash(const char *kind, char *key) {
  if (strcmp(kind, "integer") == 0) {
    uint64_t value = (uint64_t)strtoll(key, NULL, 10);
    uint8_t bytes[8];
    for (int i = 0; i < 8; i++)
      bytes[i] = (uint8_t)(value >> 8 * i);
    return byn_ring_hash(bytes, sizeof bytes, BYN_KEY_INTEGER);
  }
  bool is_ref = strcmp(kind, "ref") == 0;
  if (!is_ref) assert_string_equal(kind, "string");
  size_t n = decode(key);
  return byn_ring_hash(key, n, is_ref ? BYN_KEY_REF : BYN_KEY_STRING);
}

/* A key line, its first word taken: kind, key, hash, then the nodes. */
static void check_key(const byn_ring *r) {
  const char *kind = strtok(NULL, " \n");
  char *key = strtok(NULL, " \n");
  const char *hex = strtok(NULL, " \n");
  assert_true(kind && key && hex);
  uint64_t hash = golden_hash(kind, key);
  assert_true(hash == strtoull(hex, NULL, 16));
  uint32_t got[3];
  uint32_t had = byn_ring_successors(r, hash, got, 3), seen = 0;
  for (char *node; (node = strtok(NULL, " \n")); seen++) {
    size_t n = decode(node), size;
    assert_true(seen < had);
    const char *name = byn_ring_name(r, got[seen], &size);
    assert_int_equal(size, n);
    assert_memory_equal(name, node, n);
    if (seen == 0) assert_int_equal(byn_ring_owner(r, hash), got[0]);
  }
  assert_int_equal(seen, had);
}

static void check_node(byn_ring *r) {
  char *name = strtok(NULL, " \n");
  const char *weight = strtok(NULL, " \n");
  assert_true(name && weight);
  uint32_t w = (uint32_t)strtoul(weight, NULL, 10);
  assert_true(byn_ring_add(r, name, decode(name), w));
}

static void golden_vectors_hold_for_ever(void **state) {
  (void)state;
  static char line[8192];
  byn_test_alloc t = {0};
  byn_alloc alloc = byn_test_allocator(&t);
  byn_ring *r = NULL;
  int keys = 0;
  FILE *file = fopen(GOLDEN, "r");
  if (!file) fail_msg("cannot open %s: run from the checkout's top", GOLDEN);
  while (fgets(line, sizeof line, file)) {
    const char *word = strtok(line, " \n");
    if (!word || *word == '#') continue;
    if (strcmp(word, "ring") == 0) {
      byn_ring_free(r);
      r = byn_ring_new(&alloc, (uint32_t)atoi(strtok(NULL, " \n")));
    } else if (strcmp(word, "node") == 0) {
      check_node(r);
    } else {
      assert_string_equal(word, "key");
      check_key(r);
      keys++;
    }
  }
  fclose(file);
  assert_true(keys >= 300);
  byn_ring_free(r);
  byn_test_assert_clean(&t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_empty_ring_owns_nothing),
      cmocka_unit_test(a_number_out_of_range_is_refused),
      cmocka_unit_test(nodes_stand_in_byte_order),
      cmocka_unit_test(a_node_can_be_added_again_with_another_weight),
      cmocka_unit_test(it_agrees_with_a_plain_search),
      cmocka_unit_test(the_order_of_joining_does_not_matter),
      cmocka_unit_test(a_ring_built_at_once_equals_one_built_by_adding),
      cmocka_unit_test(only_the_keys_of_a_node_that_leaves_move),
      cmocka_unit_test(the_keys_of_a_node_that_leaves_go_to_its_successors),
      cmocka_unit_test(a_node_of_greater_weight_loses_no_key),
      cmocka_unit_test(equal_nodes_get_about_equal_shares),
      cmocka_unit_test(shares_follow_the_weights),
      cmocka_unit_test(successors_are_distinct_and_the_owner_is_first),
      cmocka_unit_test(a_large_ring_takes_memory_to_find_successors),
      cmocka_unit_test(short_memory_builds_no_ring),
      cmocka_unit_test(short_memory_leaves_the_ring_as_it_was),
      cmocka_unit_test(removing_a_node_gives_its_memory_back),
      cmocka_unit_test(golden_vectors_hold_for_ever),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
