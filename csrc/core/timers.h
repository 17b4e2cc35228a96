/* Deadlines, ordered by (time, sequence number).
 *
 * Two timers due at one instant fire in the order in which they were added,
 * so a run is a function of its inputs. Times are milliseconds on whatever
 * clock the owner uses; the set never looks at one.
 *
 * A timer is named by a handle that is never used twice; 0 is no timer.
 * The payload belongs to the caller and is only carried.
 */
#ifndef BYN_TIMERS_H
#define BYN_TIMERS_H

#include <stdbool.h>
#include <stdint.h>

#include "alloc.h"

#define BYN_NEVER INT64_MAX

#define BYN_TIMERS_DUE 32 /* at most, in one answer of byn_timers_due */

typedef uint64_t byn_timer;
typedef struct byn_timers byn_timers;

typedef struct byn_due {
  byn_timer timer; /* the handle, no longer valid once popped */
  int64_t at;      /* when it was due */
  uint32_t kind;   /* the caller's */
  void *owner;     /* the caller's */
} byn_due;

/* An empty set, or NULL when memory is short. */
byn_timers *byn_timers_new(const byn_alloc *alloc);
void byn_timers_free(byn_timers *t);

/* Adds a timer due at `at`; 0 when memory is short. O(log n). */
byn_timer byn_timers_add(byn_timers *t, int64_t at, uint32_t kind, void *owner);

/* Takes a timer out and stores when it was due (`at` may be NULL).
 * false if it has fired, was cancelled or is 0. O(log n). */
bool byn_timers_cancel(byn_timers *t, byn_timer timer, int64_t *at);

/* Has a timer that waits be due at `at` instead, as if it were added now; needs
 * no memory. O(log n). */
void byn_timers_move(byn_timers *t, byn_timer timer, int64_t at);

/* Takes out the first timer due at or before `now`; false if none is. */
bool byn_timers_pop(byn_timers *t, int64_t now, byn_due *due);

/* For an owner that takes them in an order of its own. due: stores timers that
 * are due at or before `now`, the first one and others, in order, at most
 * `max` and BYN_TIMERS_DUE of them; answers how many. take: takes one out;
 * false as for cancel. */
uint32_t byn_timers_due(const byn_timers *t, int64_t now, byn_due *all,
                        uint32_t max);
bool byn_timers_take(byn_timers *t, byn_timer timer, byn_due *due);

/* The earliest deadline, or BYN_NEVER. */
int64_t byn_timers_next(const byn_timers *t);

/* How many timers wait. */
uint32_t byn_timers_count(const byn_timers *t);

#endif
