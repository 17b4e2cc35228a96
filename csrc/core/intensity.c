/* The window in which a supervisor's restarts are counted. */
#include "intensity.h"

#include "assert.h"

/* The i-th oldest. */
static byn_intensity_entry *entry_at(byn_intensity *w, uint32_t i) {
  if (!w->ring) return &w->only;
  return &w->ring[(w->first + i) & (w->capacity - 1)];
}

/* A longer ring is not summed up each time. */
enum { SUMMED = 64 };

static bool is_sound(byn_intensity *w) {
  uint64_t total = 0;
  if (w->used > (w->ring ? w->capacity : 1)) return false;
  if (w->total > w->limit || w->used > w->total) return false;
  if (w->used > SUMMED) return true;
  for (uint32_t i = 0; i < w->used; i++) {
    const byn_intensity_entry *e = entry_at(w, i);
    if (i > 0 && e->at < entry_at(w, i - 1)->at) return false;
    total += e->count;
  }
  return total == w->total;
}

void byn_intensity_init(byn_intensity *w, const byn_alloc *alloc,
                        uint32_t limit, int64_t period) {
  byn_assert(period >= 0);
  *w = (byn_intensity){.alloc = alloc, .limit = limit, .period = period};
}

void byn_intensity_clear(byn_intensity *w) {
  byn_free(w->alloc, w->ring, w->capacity * sizeof *w->ring);
  byn_intensity_init(w, w->alloc, w->limit, w->period);
}

static void drop_older_than_period(byn_intensity *w, int64_t now) {
  while (w->used && now - entry_at(w, 0)->at > w->period) {
    w->total -= entry_at(w, 0)->count;
    w->used--;
    if (w->ring) w->first = (w->first + 1) & (w->capacity - 1);
  }
}

/* Room for one more entry; false when the ring is as large as it may be, or
 * memory is short. */
static bool reserve_entry(byn_intensity *w) {
  if (w->used < (w->ring ? w->capacity : 1)) return true;
  if (w->capacity >= BYN_INTENSITY_MOST) return false;
  uint32_t capacity = w->capacity ? w->capacity * 2 : 4;
  byn_intensity_entry *ring = byn_new(w->alloc, capacity * sizeof *ring);
  if (!ring) return false;
  for (uint32_t i = 0; i < w->used; i++)
    ring[i] = *entry_at(w, i);
  byn_free(w->alloc, w->ring, w->capacity * sizeof *ring);
  w->ring = ring;
  w->capacity = capacity;
  w->first = 0;
  byn_assert((capacity & (capacity - 1)) == 0);
  byn_assert(w->used < w->capacity);
  return true;
}

/* Is `now` of the same instant as the last restart? Those of one instant share
 * an entry. It is a millisecond; in a window of more restarts than there may
 * be entries, so long that the period has no more instants than that. */
static bool is_of_last_instant(byn_intensity *w, int64_t now) {
  if (!w->used) return false;
  bool coarse = w->limit > BYN_INTENSITY_MOST;
  int64_t instant = coarse ? w->period / BYN_INTENSITY_MOST + 1 : 1;
  return now / instant == entry_at(w, w->used - 1)->at / instant;
}

bool byn_intensity_add(byn_intensity *w, int64_t now) {
  if (w->limit == BYN_UNLIMITED) return true;
  byn_assert(is_sound(w));
  byn_assert(w->used == 0 || entry_at(w, w->used - 1)->at <= now);
  drop_older_than_period(w, now);
  if (w->total >= w->limit) return false;
  bool fresh = !is_of_last_instant(w, now) && reserve_entry(w);
  if (fresh) *entry_at(w, w->used++) = (byn_intensity_entry){0};
  byn_assert(w->used > 0);
  byn_intensity_entry *last = entry_at(w, w->used - 1);
  last->at = now;
  last->count++;
  w->total++;
  byn_assert(is_sound(w));
  return true;
}
