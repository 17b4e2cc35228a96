/* What every C unit test wants: cmocka, and an allocator that watches.
 *
 * The test allocator counts live blocks and bytes, checks the size that is
 * given back with each block, moves a block on every resize (so that a stale
 * pointer shows under a sanitizer), fills fresh memory with rubbish, and
 * fails the n-th allocation on demand.
 *
 *   byn_test_alloc t = {0};
 *   byn_alloc alloc = byn_test_allocator(&t);
 *   byn_test_fail_nth(&t, 3);      the third allocation from here fails
 *   ...
 *   byn_test_assert_clean(&t);     nothing is left
 *
 * byn_test_each_failure runs one body with each allocation failing in turn.
 * A test that draws what it does plays byn_test_plays of them.
 * With CMOCKA_FILTER in the environment, a pattern with * and ?, a program
 * runs only its tests of such a name.
 */
#ifndef BYN_SPEC_SUPPORT_H
#define BYN_SPEC_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../csrc/core/alloc.h"

__attribute__((constructor)) static void byn_test_set_filter(void) {
  const char *filter = getenv("CMOCKA_FILTER");
  if (filter && *filter) cmocka_set_test_filter(filter);
}

/* Of a test that plays so many scripts, each drawn from a seed: how many it
 * plays here. BYN_SCRIPTS=50000 in the environment means 50,000 of a million,
 * where each instruction costs more (memcheck, sanitizers); but three at least.
 */
static inline uint64_t byn_test_plays(uint64_t all) {
  const char *text = getenv("BYN_SCRIPTS");
  if (!text) return all;
  uint64_t plays = (uint64_t)(1e-6 * strtod(text, NULL) * (double)all);
  uint64_t least = all < 3 ? all : 3;
  return plays < least ? least : plays;
}

#define BYN_TEST_MAGIC 0x62616e79616e2121u

typedef struct byn_test_alloc {
  size_t live_blocks, live_bytes;
  size_t peak_bytes;
  uint64_t calls;   /* allocations asked for, resizes included */
  uint64_t fail_at; /* the call that fails; 0 for none */
  bool fail_after;  /* and all calls after it too */
  uint64_t failed;  /* how many did fail */
} byn_test_alloc;

typedef struct byn_test_block {
  _Alignas(16) uint64_t magic;
  size_t size;
} byn_test_block;

static inline byn_test_block *byn_test_block_of(void *block, size_t size) {
  byn_test_block *b = (byn_test_block *)block - 1;
  if (b->magic != BYN_TEST_MAGIC) fail_msg("not a live block: %p", block);
  if (b->size != size)
    fail_msg("a block of %zu bytes was given back as %zu", b->size, size);
  return b;
}

static inline bool byn_test_must_fail(byn_test_alloc *t) {
  uint64_t call = ++t->calls;
  bool hit = t->fail_at != 0 &&
             (call == t->fail_at || (t->fail_after && call > t->fail_at));
  if (hit) t->failed++;
  return hit;
}

static inline void *byn_test_take(byn_test_alloc *t, size_t size) {
  byn_test_block *b = malloc(sizeof *b + size);
  if (!b) return NULL;
  b->magic = BYN_TEST_MAGIC;
  b->size = size;
  memset(b + 1, 0xa5, size);
  t->live_blocks++;
  t->live_bytes += size;
  if (t->live_bytes > t->peak_bytes) t->peak_bytes = t->live_bytes;
  return b + 1;
}

static inline void byn_test_give(byn_test_alloc *t, void *block, size_t size) {
  byn_test_block *b = byn_test_block_of(block, size);
  t->live_blocks--;
  t->live_bytes -= size;
  memset(b, 0x5a, sizeof *b + size);
  free(b);
}

static inline void *byn_test_alloc_fn(void *ud, void *block, size_t old_size,
                                      size_t new_size) {
  byn_test_alloc *t = ud;
  if (new_size == 0) {
    if (block) byn_test_give(t, block, old_size);
    return NULL;
  }
  if (block) byn_test_block_of(block, old_size);
  if (byn_test_must_fail(t)) return NULL;
  void *fresh = byn_test_take(t, new_size);
  if (fresh && block) {
    memcpy(fresh, block, old_size < new_size ? old_size : new_size);
    byn_test_give(t, block, old_size);
  }
  return fresh;
}

static inline byn_alloc byn_test_allocator(byn_test_alloc *t) {
  byn_alloc a = {byn_test_alloc_fn, t};
  return a;
}

/* The n-th allocation from now on fails (1 is the next one; 0: none). */
static inline void byn_test_fail_nth(byn_test_alloc *t, uint64_t n) {
  t->fail_at = n ? t->calls + n : 0;
  t->fail_after = false;
}

/* The n-th allocation from now on fails, and all that follow. */
static inline void byn_test_fail_from(byn_test_alloc *t, uint64_t n) {
  byn_test_fail_nth(t, n);
  t->fail_after = true;
}

static inline void byn_test_assert_clean(const byn_test_alloc *t) {
  assert_int_equal(t->live_blocks, 0);
  assert_int_equal(t->live_bytes, 0);
}

/* Runs `body` again and again, the first allocation failing, then the
 * second, until a run meets no failure. Each run must leave nothing behind.
 * Answers how many runs met a failure. */
static inline uint64_t
byn_test_each_failure(void (*body)(const byn_alloc *alloc, void *arg),
                      void *arg) {
  for (uint64_t n = 1;; n++) {
    byn_test_alloc t = {0};
    byn_alloc alloc = byn_test_allocator(&t);
    byn_test_fail_nth(&t, n);
    body(&alloc, arg);
    byn_test_assert_clean(&t);
    if (t.failed == 0) return n - 1;
  }
}

#endif
