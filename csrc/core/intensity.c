#include "intensity.h"

void byn_intensity_init(byn_intensity *w, const byn_alloc *alloc,
                        uint32_t limit, int64_t period) {
  *w = (byn_intensity){.alloc = alloc, .limit = limit, .period = period};
}

void byn_intensity_clear(byn_intensity *w) {
  byn_free(w->alloc, w->ring, w->capacity * sizeof *w->ring);
  byn_intensity_init(w, w->alloc, w->limit, w->period);
}

/* The i-th oldest. */
static byn_intensity_entry *entry(byn_intensity *w, uint32_t i) {
  if (!w->ring) return &w->only;
  return &w->ring[(w->first + i) & (w->capacity - 1)];
}

static void drop_old(byn_intensity *w, int64_t now) {
  while (w->used && now - entry(w, 0)->at > w->period) {
    w->total -= entry(w, 0)->count;
    w->used--;
    if (w->ring) w->first = (w->first + 1) & (w->capacity - 1);
  }
}

static bool grow(byn_intensity *w) {
  if (w->capacity >= BYN_INTENSITY_MOST) return false;
  uint32_t capacity = w->capacity ? w->capacity * 2 : 4;
  byn_intensity_entry *ring = byn_new(w->alloc, capacity * sizeof *ring);
  if (!ring) return false;
  for (uint32_t i = 0; i < w->used; i++)
    ring[i] = *entry(w, i);
  byn_free(w->alloc, w->ring, w->capacity * sizeof *ring);
  w->ring = ring;
  w->capacity = capacity;
  w->first = 0;
  return true;
}

static bool has_room(const byn_intensity *w) {
  return w->used < (w->ring ? w->capacity : 1);
}

/* Two restarts need not be told apart if they are of one instant; of a window
 * with very many of them, an instant is longer than a millisecond. */
static bool joins(byn_intensity *w, int64_t now) {
  if (!w->used) return false;
  bool coarse = w->limit > BYN_INTENSITY_MOST;
  int64_t instant = coarse ? w->period / BYN_INTENSITY_MOST + 1 : 1;
  return now / instant == entry(w, w->used - 1)->at / instant;
}

bool byn_intensity_add(byn_intensity *w, int64_t now) {
  if (w->limit == BYN_UNLIMITED) return true;
  drop_old(w, now);
  if (w->total >= w->limit) return false;
  bool fresh = !joins(w, now) && (has_room(w) || grow(w));
  if (fresh) *entry(w, w->used++) = (byn_intensity_entry){0};
  byn_intensity_entry *last = entry(w, w->used - 1);
  last->at = now;
  last->count++;
  w->total++;
  return true;
}
