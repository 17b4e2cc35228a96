/* The strategy `random`: any pending step, each as likely. */
#include "strategy_random.h"

#include "../assert.h"

/* Time passes in 1 of so many steps that others could take as well. */
#define CLOCK_RARITY 32

uint32_t byn_count_clocks(const byn_pending *all, uint32_t n) {
  uint32_t clocks = 0;
  for (uint32_t i = 0; i < n; i++)
    clocks += byn_is_clock(&all[i]);
  byn_assert(clocks <= n);
  return clocks;
}

bool byn_should_pick_clock(byn_rng *rng, uint32_t clocks, uint32_t n) {
  byn_assert(n >= 1 && clocks <= n);
  if (clocks == 0 || clocks == n) return clocks > 0;
  return byn_draw_below(rng, CLOCK_RARITY) == 0;
}

/* The first step of the actor of step i. */
static uint32_t first_of_actor(const byn_pending *all, uint32_t i) {
  uint32_t first = 0;
  while (all[first].actor != all[i].actor)
    first++;
  return first;
}

uint32_t byn_pick_any(byn_rng *rng, const byn_pending *all, uint32_t n) {
  uint32_t clocks = byn_count_clocks(all, n);
  bool clock = byn_should_pick_clock(rng, clocks, n);
  uint32_t skip = byn_draw_below(rng, clock ? clocks : n - clocks);
  uint32_t i = 0;
  for (;; i++) {
    byn_assert(i < n);
    if (byn_is_clock(&all[i]) == clock && skip-- == 0) break;
  }
  return first_of_actor(all, i);
}

uint32_t byn_choose_any(byn_rng *rng, const byn_pending_set *set) {
  uint32_t n = byn_pending_count(set), others = byn_pending_others(set);
  if (byn_should_pick_clock(rng, n - others, n)) {
    byn_draw_below(rng, n - others); /* as byn_pick_any, which has to draw */
    return others;
  }
  return byn_pending_first_of_actor(set, byn_draw_below(rng, others));
}

static uint32_t random_choose(byn_strategy *s, byn_pending_set *set) {
  return byn_choose_any(&s->rng, set);
}

static uint32_t random_pick(byn_strategy *s, const byn_pending *all,
                            uint32_t n) {
  return byn_pick_any(&s->rng, all, n);
}

const byn_strategy_ops byn_strategy_random = {
    .size = sizeof(byn_strategy),
    .pick = random_pick,
    .choose = random_choose,
};
