/* How often a supervisor has restarted children lately.
 *
 * At most `limit` restarts may fall into any window of `period` ms; one more
 * is too many. Restarts of one millisecond are counted together, old ones
 * are dropped as time goes on, so a restart costs O(1) time and the memory
 * is bounded by the smallest of the limit, the period and BYN_INTENSITY_MOST.
 * Only beyond that bound, or when memory is short, do neighbours share an
 * entry: the older then counts a little longer than it should, never less.
 */
#ifndef BYN_INTENSITY_H
#define BYN_INTENSITY_H

#include <stdbool.h>
#include <stdint.h>

#include "alloc.h"

#define BYN_INTENSITY_MOST 8192  /* entries, each of 16 bytes */
#define BYN_UNLIMITED UINT32_MAX /* as a limit: never too many */

typedef struct byn_intensity_entry {
  int64_t at; /* when the last of them was */
  uint32_t count;
} byn_intensity_entry;

typedef struct byn_intensity {
  const byn_alloc *alloc; /* must outlive it */
  byn_intensity_entry *ring;
  byn_intensity_entry only; /* the ring before there is memory for one */
  uint32_t capacity, first, used;
  uint32_t limit, total;
  int64_t period;
} byn_intensity;

void byn_intensity_init(byn_intensity *w, const byn_alloc *alloc,
                        uint32_t limit, int64_t period);
void byn_intensity_clear(byn_intensity *w);

/* Counts a restart at `now`, which never goes back. false: too many. A
 * restart exactly `period` ms ago still counts, as in OTP. */
bool byn_intensity_add(byn_intensity *w, int64_t now);

#endif
