/* Gaps in a node's time. */
#include "gap.h"

#include <stdbool.h>

#include "assert.h"
#include "coverage.h"
#include "timers.h"

BYN_MACHINE("gap", "waiting stepping late", "late step rest");

static inline bool gap_is_consistent(const byn_gap *g) {
  return g->ms >= 0 && g->total_ms >= g->ms &&
         (g->count == 0) == (g->total_ms == 0) &&
         (g->state == BYN_GAP_WAITING || g->since != BYN_NEVER) &&
         (g->state != BYN_GAP_LATE || g->ms > g->limit_ms);
}

void byn_gap_init(byn_gap *g, int64_t limit_ms) {
  byn_assert(limit_ms >= 0);
  *g = (byn_gap){
      .state = BYN_GAP_WAITING, .limit_ms = limit_ms, .since = BYN_NEVER};
  byn_assert(gap_is_consistent(g));
}

void byn_gap_told(byn_gap *g, int64_t now) {
  if (g->since == BYN_NEVER || now <= g->since) return;
  int64_t late = now - g->since;
  if (g->state != BYN_GAP_LATE) {
    if (late <= g->limit_ms) return;
    BYN_COVER(g->state, "late");
    g->state = BYN_GAP_LATE;
    g->count++;
    g->ms = 0;
  }
  if (late > g->ms) {
    g->total_ms += late - g->ms;
    g->ms = late;
  }
  byn_assert(gap_is_consistent(g));
}

/* Of the gap that ends now, or 0. */
static int64_t gap_length(byn_gap *g, int64_t now) {
  byn_gap_told(g, now);
  return g->state == BYN_GAP_LATE ? g->ms : 0;
}

int64_t byn_gap_step(byn_gap *g, int64_t now) {
  byn_assert(g->state != BYN_GAP_STEPPING);
  int64_t ms = gap_length(g, now);
  BYN_COVER(g->state, "step");
  g->state = BYN_GAP_STEPPING;
  g->since = now;
  byn_assert(gap_is_consistent(g));
  return ms;
}

int64_t byn_gap_rest(byn_gap *g, int64_t now) {
  byn_assert(g->state != BYN_GAP_WAITING);
  int64_t ms = gap_length(g, now);
  BYN_COVER(g->state, "rest");
  g->state = BYN_GAP_WAITING;
  g->since = BYN_NEVER;
  byn_assert(gap_is_consistent(g));
  return ms;
}

void byn_gap_ask(byn_gap *g, int64_t now, int64_t due) {
  byn_assert(g->state == BYN_GAP_WAITING);
  g->since = due < now ? now : due;
}
