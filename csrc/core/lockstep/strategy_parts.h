/* What the strategies share: the object of each begins with a byn_strategy.
 * Only strategy*.[ch] include this.
 */
#ifndef BYN_STRATEGY_PARTS_H
#define BYN_STRATEGY_PARTS_H

#include "strategy.h"
#include "../rng.h"

typedef struct byn_strategy_ops {
  size_t size; /* of the object; it is cleared before `init` */
  /* Those that a strategy does not need are NULL, all but `pick`. */
  bool (*init)(byn_strategy *s); /* after a false, `clear` is called */
  void (*clear)(byn_strategy *s);
  bool (*begin)(byn_strategy *s);
  void (*touched)(byn_strategy *s, uint64_t object);
  void (*end)(byn_strategy *s);
  uint32_t (*draw)(byn_strategy *s, uint32_t n); /* n > 1; NULL: any value */
  uint32_t (*pick)(byn_strategy *s, const byn_pending *all, uint32_t n);
  uint32_t (*choose)(byn_strategy *s, byn_pending_set *set); /* as `pick` */
  byn_priority priority;
} byn_strategy_ops;

struct byn_strategy {
  const byn_strategy_ops *ops;
  const byn_alloc *alloc;
  byn_strategy_opts opts;
  byn_rng rng;     /* of this run */
  uint32_t steps;  /* of this run, the one that is picked included */
  uint32_t length; /* see byn_strategy_length */
  bool running;    /* between begin and end */
  bool redundant;  /* this run */
  bool exhausted;  /* there is no further run */
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

static inline bool byn_is_clock(const byn_pending *step) {
  return step->kind == BYN_STEP_CLOCK;
}

#endif
