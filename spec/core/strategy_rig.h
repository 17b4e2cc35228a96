/* A world small enough to reason about, for tests of strategies: actors that
 * take a known number of steps, each of which touches one object or none. A
 * run is judged by who took which place.
 */
#ifndef BYN_SPEC_STRATEGY_RIG_H
#define BYN_SPEC_STRATEGY_RIG_H

#include "support.h"

#include "../../csrc/core/lockstep/strategy.h"

enum { RIG_ACTORS = 8, RIG_STEPS = 128 };

/* Actor i is pending under the id i + 1 until it took its steps. */
typedef struct rig_world {
  uint32_t actors;
  uint32_t steps[RIG_ACTORS];
  /* What a step touches; NULL: nothing. */
  uint64_t (*touches)(uint32_t actor, uint32_t step);
  bool announced; /* before the step, not as it happens */
} rig_world;

typedef struct rig_run {
  uint32_t taken[RIG_ACTORS];
  uint32_t at[RIG_ACTORS][RIG_STEPS]; /* the place of each step in the run */
  uint32_t order[RIG_STEPS];          /* who ran */
  uint32_t count;
} rig_run;

static inline uint64_t rig_object(const rig_world *w, const rig_run *r,
                                  uint32_t actor) {
  return w->touches ? w->touches(actor, r->taken[actor]) : 0;
}

static inline uint32_t rig_pending(const rig_world *w, const rig_run *r,
                                   byn_pending *all) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < w->actors; i++) {
    if (r->taken[i] == w->steps[i]) continue;
    uint64_t object = w->announced ? rig_object(w, r, i) : 0;
    all[n++] = (byn_pending){i + 1, object, BYN_STEP_PROCESS};
  }
  return n;
}

static inline void rig_step(byn_strategy *s, const rig_world *w, rig_run *r,
                            uint32_t actor) {
  if (!w->announced) byn_strategy_touched(s, rig_object(w, r, actor));
  r->at[actor][r->taken[actor]++] = r->count;
  r->order[r->count++] = actor;
}

/* One run from beginning to end. */
static inline rig_run rig_play(byn_strategy *s, const rig_world *w,
                               uint64_t seed) {
  rig_run r = {.count = 0};
  byn_pending all[RIG_ACTORS];
  assert_true(byn_strategy_begin(s, seed));
  for (uint32_t n; (n = rig_pending(w, &r, all)) > 0;) {
    uint32_t pick = byn_strategy_pick(s, all, n);
    assert_true(pick < n);
    rig_step(s, w, &r, (uint32_t)all[pick].actor - 1);
  }
  byn_strategy_end(s);
  return r;
}

/* In how many of `runs` runs `hit` is true. */
static inline uint32_t rig_count(byn_strategy *s, const rig_world *w,
                                 uint32_t runs, bool (*hit)(const rig_run *)) {
  uint32_t hits = 0;
  for (uint32_t seed = 0; seed < runs; seed++) {
    rig_run r = rig_play(s, w, seed);
    hits += hit(&r);
  }
  return hits;
}

/* `count` is what `part` of `whole` makes, up to a tenth of that. */
static inline void rig_assert_part(uint32_t count, uint32_t part,
                                   uint32_t whole, uint32_t total) {
  double expected = (double)total * part / whole;
  if (count < 0.9 * expected || count > 1.1 * expected)
    fail_msg("%u of %u, not about %u/%u", count, total, part, whole);
}

typedef struct rig_strategy {
  byn_test_alloc t;
  byn_alloc alloc;
  byn_strategy *s;
} rig_strategy;

static inline void rig_open(rig_strategy *r, byn_strategy_kind kind,
                            byn_strategy_opts opts) {
  memset(r, 0, sizeof *r);
  r->alloc = byn_test_allocator(&r->t);
  r->s = byn_strategy_new(&r->alloc, kind, &opts);
  assert_non_null(r->s);
}

static inline void rig_close(rig_strategy *r) {
  assert_false(byn_strategy_failed(r->s));
  byn_strategy_free(r->s);
  byn_test_assert_clean(&r->t);
}

#endif
