/* How often a supervisor has restarted children lately.
 *
 * At most `limit` restarts may fall into any window of `period` ms; one more
 * is too many. Restarts of one millisecond share an entry, and old ones are
 * dropped as time goes on. So a restart costs O(1) time, and there are at most
 * as many entries as the smallest of the limit, the period and
 * BYN_INTENSITY_MOST.
 *
 * Where that bound is reached, or memory is short, restarts of neighbouring
 * milliseconds share an entry. The older of them then counts a little longer
 * than it should, never shorter.
 */
#ifndef BYN_INTENSITY_H
#define BYN_INTENSITY_H

#include <stdbool.h>
#include <stdint.h>

#include "alloc.h"

#define BYN_INTENSITY_MOST 8192  /* entries, each of 16 bytes */
#define BYN_UNLIMITED UINT32_MAX /* as a limit: never too many */

typedef struct byn_intensity_entry {
  int64_t at;     /* when the last of its restarts was */
  uint32_t count; /* of its restarts, never 0 */
} byn_intensity_entry;

typedef struct byn_intensity {
  const byn_alloc *alloc;    /* must outlive it */
  byn_intensity_entry *ring; /* oldest first, from `first` on; or NULL */
  byn_intensity_entry only;  /* the one entry while there is no ring */
  uint32_t capacity;         /* of the ring: 0 or a power of two */
  uint32_t first, used;
  uint32_t limit, total; /* total: the sum of all counts */
  int64_t period;        /* ms */
} byn_intensity;

void byn_intensity_init(byn_intensity *w, const byn_alloc *alloc,
                        uint32_t limit, int64_t period);
/* Frees its memory and forgets all restarts. */
void byn_intensity_clear(byn_intensity *w);

/* Counts a restart at `now`, which never goes back. false: it would be one too
 * many, and is not counted. A restart exactly `period` ms ago still counts, as
 * in OTP. */
bool byn_intensity_add(byn_intensity *w, int64_t now);

#endif
