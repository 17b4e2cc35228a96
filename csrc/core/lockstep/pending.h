/* The steps that could be next, from one step of a run to the next one.
 *
 * They stand in one order: those of each node, by its number; then the offers,
 * in the order in which they were made; the passing of time last. It depends on
 * nothing but what was put in and taken out. What changes is put in when it
 * does, so that a step costs O(log n) of all that are pending, and not a look
 * at each of them: see byn_strategy_choose.
 *
 * Where the strategy has priorities that stay as they are until it says
 * otherwise (`priority`), the highest is known as well. For that, those that
 * touch an object are found without a look at all others.
 */
#ifndef BYN_LOCKSTEP_PENDING_H
#define BYN_LOCKSTEP_PENDING_H

#include <stdbool.h>
#include <stdint.h>

#include "../alloc.h"
#include "../map.h"
#include "step.h"
#include "tally.h"

/* The priority of a step, above 0. */
typedef uint64_t (*byn_priority)(const void *strategy, const byn_pending *step);

/* The steps of one node. */
typedef struct byn_pending_node {
  byn_pending *steps;
  uint32_t count, capacity;
  uint32_t best; /* the first of those of the highest priority */
} byn_pending_node;

typedef struct byn_pending_offer {
  byn_pending step;
  int64_t number;     /* greater than those before it; it stays in one that is
                         taken out */
  uint32_t before[2]; /* 1 + the place of the offer before it that touches its
                         actor, its object; 0: none */
  bool out;
} byn_pending_offer;

typedef struct byn_pending_set {
  const byn_alloc *alloc;
  byn_pending_node *nodes;
  uint32_t node_count, node_capacity;
  byn_pending_offer *offers;
  uint32_t offer_count, offer_capacity;
  byn_map actors;   /* actor -> how many offers of it are pending */
  byn_map touching; /* actor or object -> 1 + the last offer that touches it */
  byn_tally of_nodes, of_offers;
  byn_pending clock;
  bool has_clock;
  byn_priority priority; /* or NULL */
  const void *strategy;
  byn_pending *all; /* see byn_pending_all */
  uint32_t all_capacity;
} byn_pending_set;

/* Where a step is. */
typedef struct byn_pending_place {
  const byn_pending *step;
  enum { BYN_OF_NODE, BYN_OFFERED, BYN_OF_CLOCK } whose;
  uint32_t node, index; /* OF_NODE */
  int64_t number;       /* OFFERED */
} byn_pending_place;

/* Nothing is pending. `alloc` must outlive it. */
void byn_pending_open(byn_pending_set *s, const byn_alloc *alloc);
void byn_pending_close(byn_pending_set *s);
/* Nothing is pending any more; the priorities are those of the next run. */
void byn_pending_reset(byn_pending_set *s, byn_priority priority,
                       const void *strategy);
/* From now on they have these priorities; NULL: none. */
void byn_pending_order(byn_pending_set *s, byn_priority priority,
                       const void *strategy);
/* All priorities may have changed. */
void byn_pending_prioritize(byn_pending_set *s);
/* Calls fn for the actor of each step, but for the clock's, that touches
 * `object`: it is its actor or its object. Their priorities may change, and
 * those of no others. O(log n) for each of them, and a look at all steps of
 * nodes. */
void byn_pending_redraw(byn_pending_set *s, uint64_t object,
                        void (*fn)(void *arg, uint64_t actor), void *arg);

/* These are the steps of that node now, instead of those before. The others
 * say false when memory is short; nothing is changed then. */
bool byn_pending_put(byn_pending_set *s, uint32_t node,
                     const byn_pending *steps, uint32_t count);
/* One more, behind all others; `number` is greater than theirs. */
bool byn_pending_offer_step(byn_pending_set *s, const byn_pending *step,
                            int64_t number);
/* Takes it out; false if it is not pending. */
bool byn_pending_withdraw(byn_pending_set *s, int64_t number);
/* Is the passing of time pending? */
void byn_pending_set_clock(byn_pending_set *s, const byn_pending *clock);

/* How many; without the clock's. */
uint32_t byn_pending_count(const byn_pending_set *s);
uint32_t byn_pending_others(const byn_pending_set *s);
/* The i-th, i below the count. */
byn_pending_place byn_pending_at(const byn_pending_set *s, uint32_t i);
/* The first step of the actor of step i. */
uint32_t byn_pending_first_of_actor(const byn_pending_set *s, uint32_t i);
/* The first of those with the highest priority; there is one. other: without
 * the clock's. */
uint32_t byn_pending_best(const byn_pending_set *s);
uint32_t byn_pending_best_other(const byn_pending_set *s);
/* All of them, in order, until the next call; NULL when memory is short. */
const byn_pending *byn_pending_all(byn_pending_set *s);

#endif
