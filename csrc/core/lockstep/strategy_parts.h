/* What the strategies share: an object begins with a byn_strategy, the rest
 * is its own. Only strategy*.c include this.
 */
#ifndef BYN_STRATEGY_PARTS_H
#define BYN_STRATEGY_PARTS_H

#include "strategy.h"
#include "../rng.h"

typedef struct byn_strategy_ops {
  size_t size; /* of the object; it is cleared before `init` */
  /* Any of these may be NULL: there is nothing to do. */
  bool (*init)(byn_strategy *s); /* after a false, `clear` is called */
  void (*clear)(byn_strategy *s);
  bool (*begin)(byn_strategy *s);
  void (*touched)(byn_strategy *s, uint64_t object);
  void (*end)(byn_strategy *s);
  uint32_t (*draw)(byn_strategy *s, uint32_t n); /* n > 1; NULL: any */
  /* This one may not. */
  uint32_t (*pick)(byn_strategy *s, const byn_pending *all, uint32_t n);
} byn_strategy_ops;

extern const byn_strategy_ops byn_strategy_random;
extern const byn_strategy_ops byn_strategy_pct;
extern const byn_strategy_ops byn_strategy_pos;
extern const byn_strategy_ops byn_strategy_fair_pct;
extern const byn_strategy_ops byn_strategy_dfs;

struct byn_strategy {
  const byn_strategy_ops *ops;
  const byn_alloc *alloc;
  byn_strategy_opts opts;
  byn_rng rng;     /* of this run */
  uint32_t steps;  /* of this run, the one that is picked included */
  uint32_t length; /* see byn_strategy_length */
  bool running;
  bool redundant; /* this run */
  bool exhausted; /* there is no further run */
  bool complete, diverged, failed;
};

/* Uniform in 0..bound-1, bound >= 1: D. Lemire, "Fast random integer
 * generation in an interval" (2019); hardly ever a division. */
static inline uint32_t byn_draw_below(byn_rng *rng, uint32_t bound) {
  uint64_t m = (byn_rng_next(rng) >> 32) * bound;
  if ((uint32_t)m < bound) {
    uint32_t cut = (0 - bound) % bound;
    while ((uint32_t)m < cut)
      m = (byn_rng_next(rng) >> 32) * bound;
  }
  return (uint32_t)(m >> 32);
}

/* Things of one size, to which more come. */
typedef struct byn_stack {
  void *items;
  uint32_t count, capacity;
} byn_stack;

/* Where the next thing goes, not cleared. NULL when memory is short: the
 * strategy has failed. */
void *byn_push(byn_strategy *s, byn_stack *stack, size_t size);
void byn_stack_clear(byn_strategy *s, byn_stack *stack, size_t size);

/* Whether it is for the clock, `clocks` of the n pending steps, to go on: if
 * no other can, and now and then. */
bool byn_clocks_turn(byn_rng *rng, uint32_t clocks, uint32_t n);

uint32_t byn_count_clocks(const byn_pending *all, uint32_t n);

static inline bool byn_is_clock(const byn_pending *step) {
  return step->kind == BYN_STEP_CLOCK;
}

/* The pick of `random`, for those that fall back to it. */
uint32_t byn_pick_any(byn_rng *rng, const byn_pending *all, uint32_t n);

#endif
