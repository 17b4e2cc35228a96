/* How long to wait before a child is restarted: longer each time, until it
 * has run well for a while.
 *
 * The first wait is `min`, each further one `factor` times the one before,
 * up to `max`. A child that ran for `reset_after` ms begins again at `min`.
 * Each wait is cut by a random part of up to `jitter`, so that children that
 * failed together do not come back together.
 */
#ifndef BYN_BACKOFF_H
#define BYN_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

#include "rng.h"
#include "timers.h"

typedef struct byn_backoff {
  int64_t min, max;    /* ms; 1 <= min <= max */
  int64_t reset_after; /* ms; at least 0 */
  double factor;       /* at least 1 */
  double jitter;       /* from 0 to 1 */
  /* The machine's; 0 at first. */
  int64_t wait;    /* the last one before it was cut; 0 before the first */
  int64_t started; /* when the child has last started */
  byn_timer timer; /* of the wait under way, or 0 (restart.h) */
} byn_backoff;

/* The child has started. */
void byn_backoff_started(byn_backoff *b, int64_t now);

/* The child ended or failed to start: how long to wait, in ms, from 0 to max.
 * `ran` tells whether it had started; `now` is not before that. */
int64_t byn_backoff_next(byn_backoff *b, int64_t now, bool ran, byn_rng *rng);

#endif
