/* What one lookup in the hash ring costs, at 10, 100 and 1,000 nodes: the
 * prefix index of csrc/core/ring.c against a plain binary search over the
 * same points, in turn, round by round. The table shows the median of the
 * rounds, and the quartiles in brackets.
 *
 * Both walk over the same random hashes; hashing a key is measured apart.
 */
#define _POSIX_C_SOURCE 200809L

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <xxhash.h>

#include "../csrc/core/ring.h"
#include "../csrc/core/rng.h"

enum { LOOKUPS = 1 << 20, ROUNDS = 15, NAME_SIZE = 32 };

typedef struct point {
  uint64_t hash;
  uint32_t node;
} point;

typedef struct bench {
  uint32_t nodes, points_count;
  point *points;
  byn_ring *ring;
  uint64_t *hashes;
  double by_index[ROUNDS], by_search[ROUNDS];
} bench;

static void *plain_alloc(void *ud, void *block, size_t old_size,
                         size_t new_size) {
  (void)ud;
  (void)old_size;
  if (new_size) return realloc(block, new_size);
  free(block);
  return NULL;
}

static int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- the plain search ---- */

static int order_of_points(const void *a, const void *b) {
  const point *p = a, *q = b;
  if (p->hash != q->hash) return p->hash < q->hash ? -1 : 1;
  return (p->node > q->node) - (p->node < q->node);
}

static int32_t search_owner(const bench *b, uint64_t hash) {
  uint32_t low = 0, high = b->points_count;
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    if (b->points[middle].hash < hash)
      low = middle + 1;
    else
      high = middle;
  }
  return (int32_t)b->points[low == b->points_count ? 0 : low].node;
}

/* ---- making both ---- */

static bool make_points(bench *b) {
  b->points_count = b->nodes * BYN_RING_VNODES;
  b->points = malloc(b->points_count * sizeof *b->points);
  if (!b->points) return false;
  point *p = b->points;
  for (uint32_t n = 0; n < b->nodes; n++) {
    size_t size;
    const char *name = byn_ring_name(b->ring, n, &size);
    for (uint32_t i = 0; i < BYN_RING_VNODES; i++, p++) {
      p->hash = XXH3_64bits_withSeed(name, size, i);
      p->node = n;
    }
  }
  qsort(b->points, b->points_count, sizeof *b->points, order_of_points);
  return true;
}

static bool make_ring(bench *b) {
  byn_alloc alloc = {plain_alloc, NULL};
  byn_ring_member *members = malloc(b->nodes * sizeof *members);
  char *names = malloc((size_t)b->nodes * NAME_SIZE);
  for (uint32_t i = 0; members && names && i < b->nodes; i++) {
    char *name = names + (size_t)i * NAME_SIZE;
    int n = snprintf(name, NAME_SIZE, "node%" PRIu32 "@10.0.0.1:9101", i);
    members[i] = (byn_ring_member){name, (size_t)n, 1};
  }
  if (members && names)
    b->ring = byn_ring_build(&alloc, BYN_RING_VNODES, members, b->nodes);
  free(members);
  free(names);
  return b->ring != NULL;
}

static bool make_hashes(bench *b) {
  b->hashes = malloc(LOOKUPS * sizeof *b->hashes);
  if (!b->hashes) return false;
  byn_rng rng;
  byn_rng_seed(&rng, b->nodes);
  for (int i = 0; i < LOOKUPS; i++)
    b->hashes[i] = byn_rng_next(&rng);
  return true;
}

/* ---- measuring ---- */

static double time_index(const bench *b, uint64_t *sum) {
  int64_t start = now_ns();
  for (int i = 0; i < LOOKUPS; i++)
    *sum += (uint64_t)byn_ring_owner(b->ring, b->hashes[i]);
  return (double)(now_ns() - start) / LOOKUPS;
}

static double time_search(const bench *b, uint64_t *sum) {
  int64_t start = now_ns();
  for (int i = 0; i < LOOKUPS; i++)
    *sum += (uint64_t)search_owner(b, b->hashes[i]);
  return (double)(now_ns() - start) / LOOKUPS;
}

static int order_of_doubles(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void print_spread(double *times) {
  qsort(times, ROUNDS, sizeof *times, order_of_doubles);
  printf("  %6.1f (%5.1f-%5.1f)", times[ROUNDS / 2], times[ROUNDS / 4],
         times[ROUNDS * 3 / 4]);
}

/* Measures both; false if they disagree. */
static bool measure(bench *b) {
  uint64_t index_sum = 0, search_sum = 0;
  for (int round = 0; round < ROUNDS; round++) {
    b->by_index[round] = time_index(b, &index_sum);
    b->by_search[round] = time_search(b, &search_sum);
  }
  printf("%6" PRIu32, b->nodes);
  print_spread(b->by_index);
  print_spread(b->by_search);
  printf("  %6.1f\n", b->by_search[ROUNDS / 2] / b->by_index[ROUNDS / 2]);
  return index_sum == search_sum;
}

static bool run(uint32_t nodes) {
  bench b = {.nodes = nodes};
  bool made = make_ring(&b) && make_points(&b) && make_hashes(&b);
  bool ok = made && measure(&b);
  if (!ok) fprintf(stderr, made ? "the owners differ\n" : "out of memory\n");
  byn_ring_free(b.ring);
  free(b.points);
  free(b.hashes);
  return ok;
}

/* Making a ring of n nodes, and a change: one leaves and comes back. */
static void print_changes(uint32_t nodes) {
  enum { CHANGES = 20 };
  bench b = {.nodes = nodes};
  int64_t start = now_ns();
  if (!make_ring(&b)) return;
  int64_t made = now_ns();
  for (int i = 0; i < CHANGES; i++) {
    byn_ring_remove(b.ring, "node0@10.0.0.1:9101", 19);
    byn_ring_add(b.ring, "node0@10.0.0.1:9101", 19, 1);
  }
  double each = (double)(now_ns() - made) / CHANGES / 1000;
  printf("%6" PRIu32 " nodes: made in %.0f us; one leaves and comes back in "
         "%.0f us\n",
         nodes, (double)(made - start) / 1000, each);
  byn_ring_free(b.ring);
}

int main(void) {
  printf("hash ring, ns per lookup, %d vnodes a node; median (quartiles)\n\n",
         BYN_RING_VNODES);
  printf(" nodes     prefix index           binary search         ratio\n");
  bool ok = run(10) && run(100) && run(1000);
  printf("\n");
  print_changes(10);
  print_changes(1000);
  return ok ? 0 : 1;
}
