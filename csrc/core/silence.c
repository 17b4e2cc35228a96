/* The silence of all peers of a node at once. */
#include "silence.h"

#include "assert.h"
#include "timers.h"

void byn_silence_add(byn_silence *s, int64_t heard_at) {
  if (s->peers == 0 || heard_at < s->first) s->first = heard_at;
  if (s->peers == 0 || heard_at > s->last) s->last = heard_at;
  s->peers++;
  byn_assert(s->first <= s->last);
}

int64_t byn_silence_noticed_ms(int64_t heartbeat_ms, int64_t down_after_ms) {
  int64_t half = down_after_ms / 2;
  if (down_after_ms == BYN_NEVER) return BYN_NEVER;
  if (half >= heartbeat_ms + heartbeat_ms / 2) return half;
  return heartbeat_ms + (down_after_ms - heartbeat_ms) / 2;
}

bool byn_silence_is_common(const byn_silence *s, int64_t heartbeat_ms,
                           int64_t down_after_ms, int64_t now) {
  if (s->peers < 2 || s->last - s->first > heartbeat_ms) return false;
  return now - s->first >= byn_silence_noticed_ms(heartbeat_ms, down_after_ms);
}
