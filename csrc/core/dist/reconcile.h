/* What should run here against what runs here.
 *
 * A place that changed, or whose surroundings did, is looked at: a run that is
 * not wanted any more is stopped, a child that nobody runs is queued to be
 * started if this node may. It is a comparison, made again as often as one
 * likes, so it does not matter which change made it necessary.
 *
 * Of two processes of one child the one that loses (place.h) is stopped by its
 * own node, and only after the host of the other confirmed that it runs, stays
 * by all that it knows, and that what it wrote outlives what this one wrote:
 * there is never none, and the state of the loser is never newer.
 *
 * What becomes of a run is told by the owner (report.h).
 */
#ifndef BYN_DIST_RECONCILE_H
#define BYN_DIST_RECONCILE_H

#include "parts.h"
#include "record.h"

void byn_reconcile(byn_dist *d, byn_place *p);
/* Stops a run that is STARTING or RUNNING, or whose move has come to that. */
void byn_reconcile_stop(byn_dist *d, byn_run *run, byn_dist_why why);
/* This node cannot start that generation, and says so. */
void byn_reconcile_refuse(byn_dist *d, byn_place *p, byn_generation *g,
                          byn_dist_why why, byn_dist_bytes reason);
/* The next START or STOP. */
bool byn_reconcile_next(byn_dist *d, byn_dist_action *a);
/* terminate_child: ends a generation that runs here, or waits to. */
void byn_reconcile_terminate(byn_dist *d, byn_place *p, byn_generation *g);
/* A peer's answer, CONFIRMED: a process of that place runs there and stays, or
 * not. */
void byn_reconcile_confirmed(byn_dist *d, byn_place *p, const byn_host *host,
                             const byn_record *r);
/* The run was stopped for the sake of another copy of the child, and its
 * handoff returned that: tells it the other, if that stays still. */
typedef enum byn_handed {
  BYN_HANDED_TO_NOBODY, /* there is no such copy */
  BYN_HANDED_OVER,
  BYN_HANDED_UNREACHED,
  BYN_HANDED_TOO_LARGE
} byn_handed;
byn_handed byn_reconcile_hand_over(byn_dist *d, const byn_run *run,
                                   byn_dist_bytes state);
/* A peer's RESOLVE, for the process that runs here. */
void byn_reconcile_resolve(byn_dist *d, byn_place *p, const byn_record *r);
/* Each second: conflicts that last are asked about again. */
void byn_reconcile_conflicts(byn_dist *d);

#endif
