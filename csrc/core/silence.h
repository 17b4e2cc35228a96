/* The silence of all peers of a node at once.
 *
 * One peer that falls silent is gone, or cut off. Where all do so at once it
 * is more likely this node that is cut off, for a moment: so none of them is
 * taken for gone before each has had the time in which a connection is made
 * again. One peer alone cannot tell the two apart.
 */
#ifndef BYN_SILENCE_H
#define BYN_SILENCE_H

#include <stdbool.h>
#include <stdint.h>

/* When the peers of a node were heard last; {0}: of none. */
typedef struct byn_silence {
  uint32_t peers;
  int64_t first, last; /* of those times; only with peers */
} byn_silence;

void byn_silence_add(byn_silence *silence, int64_t heard_at);
/* So long a silence is noticed: half of down_after_ms, but not within what a
 * heartbeat may take. BYN_NEVER of BYN_NEVER (timers.h). */
int64_t byn_silence_noticed_ms(int64_t heartbeat_ms, int64_t down_after_ms);

/* Were all of them, two at least, heard last within one heartbeat, so long ago
 * that the first of them is noticed to be silent? */
bool byn_silence_is_common(const byn_silence *silence, int64_t heartbeat_ms,
                           int64_t down_after_ms, int64_t now);

#endif
