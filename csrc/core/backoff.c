#include "backoff.h"

/* Jitter is drawn in steps of this part of the whole. */
#define GRAIN 1024

void byn_backoff_started(byn_backoff *b, int64_t now) {
  b->started = now;
}

static int64_t longer(const byn_backoff *b) {
  double wait = (double)b->wait * b->factor;
  return wait < (double)b->max ? (int64_t)wait : b->max;
}

int64_t byn_backoff_next(byn_backoff *b, int64_t now, bool ran, byn_rng *rng) {
  bool well = ran && now - b->started >= b->reset_after;
  b->wait = b->wait == 0 || well ? b->min : longer(b);
  double part = b->jitter * (double)byn_rng_below(rng, GRAIN + 1) / GRAIN;
  return b->wait - (int64_t)((double)b->wait * part);
}
