/* How long to wait before a child is restarted: longer each time, until it
 * has run well for a while.
 *
 * The first wait is `min`, each further one `factor` times the one before,
 * up to `max`. A child that ran for `reset_after` ms begins again at `min`.
 * Of each wait a part of up to `jitter` is cut off at random, so that those
 * who failed together do not come back together.
 */
#ifndef BYN_BACKOFF_H
#define BYN_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

#include "rng.h"
#include "timers.h"

typedef struct byn_backoff {
  int64_t min, max, reset_after; /* ms; 1 <= min <= max */
  double factor;                 /* at least 1 */
  double jitter;                 /* from 0 to 1 */
  /* What the supervisor keeps; begins as 0. */
  int64_t wait;    /* the last one, uncut; 0 at the beginning */
  int64_t started; /* when the child was last started */
  byn_timer timer; /* of the wait under way */
} byn_backoff;

/* The child has started. */
void byn_backoff_started(byn_backoff *b, int64_t now);

/* The child ended or failed to start: how long to wait, in ms. `ran` tells
 * whether it had started. */
int64_t byn_backoff_next(byn_backoff *b, int64_t now, bool ran, byn_rng *rng);

#endif
