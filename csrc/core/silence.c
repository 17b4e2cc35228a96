/* The silence of all peers of a node at once. */
#include "silence.h"

#include "assert.h"

void byn_silence_add(byn_silence *s, int64_t heard_at) {
  if (s->peers == 0 || heard_at < s->first) s->first = heard_at;
  if (s->peers == 0 || heard_at > s->last) s->last = heard_at;
  s->peers++;
  byn_assert(s->first <= s->last);
}

bool byn_silence_is_common(const byn_silence *s, int64_t heartbeat_ms,
                           int64_t now) {
  if (s->peers < 2) return false;
  return s->last - s->first <= heartbeat_ms && now - s->last >= heartbeat_ms;
}
