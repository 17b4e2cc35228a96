/* The strategy `random`, and the parts of its pick that other strategies use.
 */
#ifndef BYN_STRATEGY_RANDOM_H
#define BYN_STRATEGY_RANDOM_H

#include "strategy_parts.h"

extern const byn_strategy_ops byn_strategy_random;

/* How many of the n pending steps are of the clock. */
uint32_t byn_count_clocks(const byn_pending *all, uint32_t n);

/* Should one of the `clocks` steps of the clock be picked rather than one of
 * the others? Always where all n are of the clock, never where none is, and
 * otherwise now and then. */
bool byn_should_pick_clock(byn_rng *rng, uint32_t clocks, uint32_t n);

/* The pick of `random`. */
uint32_t byn_pick_any(byn_rng *rng, const byn_pending *all, uint32_t n);
uint32_t byn_choose_any(byn_rng *rng, const byn_pending_set *set);

#endif
