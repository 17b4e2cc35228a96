/* A strategy picks which of the pending steps comes next: that is what makes
 * one run under lockstep differ from another. One strategy object lives through
 * all runs of a body; what it learns in one run it may use in the next.
 *
 *   while (byn_strategy_begin(s, seed++)) {
 *     while there are pending steps
 *       i = byn_strategy_pick(s, pending, n)
 *       run step i: byn_strategy_touched for each object that it touched,
 *                   byn_strategy_draw for each choice of data in it
 *     byn_strategy_end(s)
 *   }
 *
 * A step belongs to an actor: a process, a connection, the clock. Pick is
 * called before every step, also where only one is pending, so that the
 * strategy knows who ran. Steps of an actor keep their order, so at most one
 * step of each should be pending; where a list has several, only the first is
 * ever picked. Any order of the list will do, if it is the same in the same
 * situation; the first is the step that would run without lockstep.
 *
 * An object is what two steps can meet in: an actor's id stands for its
 * mailbox, its links, its state; other ids for a name, a table. An object that
 * a step is known to touch beforehand is named in byn_pending, each other one
 * is reported as it is touched. A step always touches its own actor, which need
 * not be reported. Reading counts as touching. Where something is not reported,
 * `pos` finds bugs later, and `dfs` may miss them (below).
 *
 *   random     any pending step, each as likely
 *   pct        Burckhardt, Kothari, Musuvathi, Nagarakatte, ASPLOS 2010: a
 *              random priority for each actor, the highest runs; at depth-1
 *              steps of the run the actor that would go on drops below all
 *              others. Of n actors with k steps, a bug of depth d is found in
 *              one run with probability 1/(n*k^(d-1)) or more. k is the
 *              longest run seen.
 *   pos        Yuan, Yang, Gu, CAV 2018: a random priority for each pending
 *              step, the highest runs; then those that race with it (touch what
 *              it touched) draw a new one. Samples the orders that matter more
 *              evenly than random, which drowns in independent steps.
 *   fair_pct   pct up to a number of steps, from there random: pct lets an
 *              actor that waits in a loop spin for ever.
 *   dfs        every order, and each value of each draw, for small bodies.
 *              Of orders that differ only in steps that are independent of one
 *              another one is enough (sleep sets: Godefroid, 1996): two steps
 *              of different actors are, if neither touched what the other
 *              touched and none is of the clock. Where bodies share what no
 *              step reports, opts.unreduced must be set. Under a bound on
 *              preemptions nothing is reduced: the order that stands for
 *              others may need more preemptions than one of those.
 *
 * dfs begins some runs that turn out to be equal to earlier ones
 * (byn_strategy_redundant); they may be cut short. It needs a body that does
 * the same after the same choices. Where one did not (byn_strategy_diverged),
 * dfs never claims to have seen every schedule. A preemption is to pick another
 * actor than the one that ran last while that one could go on, or the clock
 * while any actor could.
 *
 * The clock is a pending step of its own kind, "time passes". Random and pos
 * pick it over others in 1 of 32 steps; in pct its priority is below that of
 * all actors that were not dropped; dfs counts picking it as a preemption.
 *
 * Only integers are calculated with: one seed gives the same picks anywhere.
 */
#ifndef BYN_STRATEGY_H
#define BYN_STRATEGY_H

#include <stdbool.h>
#include <stdint.h>

#include "../alloc.h"
#include "pending.h"
#include "step.h"

typedef struct byn_strategy byn_strategy;

typedef enum byn_strategy_kind {
  BYN_RANDOM,
  BYN_PCT,
  BYN_POS,
  BYN_FAIR_PCT,
  BYN_DFS
} byn_strategy_kind;

#define BYN_ANY_PREEMPTIONS UINT32_MAX

typedef struct byn_strategy_opts {
  uint64_t seed;        /* goes into each run, together with the run's own */
  uint32_t depth;       /* pct: of the bug to find; from 1 to 1025 */
  uint32_t preemptions; /* dfs: at most so many in a run, or any number */
  uint32_t fair_after;  /* fair_pct: steps of pct; 0: twice the longest run */
  bool unreduced;       /* dfs: no reduction of independent steps */
  uint32_t length;      /* pct: steps of a run, while none was seen; 0: 100 */
} byn_strategy_opts;

/* NULL when memory is short. `alloc` must outlive the strategy. */
byn_strategy *byn_strategy_new(const byn_alloc *alloc, byn_strategy_kind kind,
                               const byn_strategy_opts *opts);
void byn_strategy_free(byn_strategy *s); /* NULL is nothing to do */

/* A new run. Its picks are a function of opts.seed, `seed`, what is pending
 * and, for pct, byn_strategy_length. false: there is nothing left to see, or
 * memory was short. */
bool byn_strategy_begin(byn_strategy *s, uint64_t seed);

/* The next step: an index into `all`, which has n >= 1. */
uint32_t byn_strategy_pick(byn_strategy *s, const byn_pending *all, uint32_t n);
/* The same pick, of a set that has n >= 1 and the priorities of this strategy;
 * where there is no need to, without looking at all of them. */
uint32_t byn_strategy_choose(byn_strategy *s, byn_pending_set *set);
/* By what a set is to order the steps for this strategy, from a run's begin to
 * its end; NULL: by nothing, or by what the strategy sets when it chooses. */
byn_priority byn_strategy_priority(const byn_strategy *s);

/* The step picked last turned out to touch `object`. Any number of calls. */
void byn_strategy_touched(byn_strategy *s, uint64_t object);

/* A choice of data: 0..n-1, n >= 1. */
uint32_t byn_strategy_draw(byn_strategy *s, uint32_t n);

/* The run is over. One that was cut short (too many steps, an error) ends
 * here too. */
void byn_strategy_end(byn_strategy *s);

/* dfs: every run that there is (within the bound) has been made. */
bool byn_strategy_complete(const byn_strategy *s);

/* dfs: the run under way leads to nothing new; its picks do not matter. */
bool byn_strategy_redundant(const byn_strategy *s);

/* dfs: the body did not do what it did before after the same choices. */
bool byn_strategy_diverged(const byn_strategy *s);

/* Memory was short: picks go on, but no longer as the strategy should. */
bool byn_strategy_failed(const byn_strategy *s);

/* pct: in how many steps the change points of the next run will lie. Given
 * as opts.length to a fresh object, with the same seeds, the next run is that
 * of this object. 0 for other strategies. */
uint32_t byn_strategy_length(const byn_strategy *s);

#endif
