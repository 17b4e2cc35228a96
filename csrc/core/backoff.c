/* Back-offs: how long a child waits for its next restart. */
#include "backoff.h"

#include "assert.h"

/* Jitter is drawn in steps of this part of the whole. */
#define GRAIN 1024

/* What the header says of the fields. */
static bool is_sound(const byn_backoff *b) {
  return 1 <= b->min && b->min <= b->max && b->reset_after >= 0 &&
         b->factor >= 1 && 0 <= b->jitter && b->jitter <= 1 &&
         (b->wait == 0 || (b->min <= b->wait && b->wait <= b->max));
}

void byn_backoff_started(byn_backoff *b, int64_t now) {
  byn_assert(is_sound(b));
  b->started = now;
}

int64_t byn_backoff_next(byn_backoff *b, int64_t now, bool ran, byn_rng *rng) {
  byn_assert(is_sound(b));
  byn_assert(!ran || b->started <= now);
  bool ran_well = ran && now - b->started >= b->reset_after;
  double longer = (double)b->wait * b->factor;
  if (b->wait == 0 || ran_well)
    b->wait = b->min;
  else
    b->wait = longer < (double)b->max ? (int64_t)longer : b->max;
  double part = b->jitter * (double)byn_rng_below(rng, GRAIN + 1) / GRAIN;
  int64_t wait = b->wait - (int64_t)((double)b->wait * part);
  byn_assert(is_sound(b));
  byn_assert(0 <= wait && wait <= b->wait);
  return wait;
}
