#include "strategy_parts.h"

#define LENGTH_GUESS 100
#define MOST_POINTS 1024

/* The priorities, from high to low: actors that were not dropped, each a
 * random number with this bit set; the clock; those that were dropped, at
 * change point i to i. */
#define INITIAL (UINT64_C(1) << 63)
#define CLOCK (UINT64_C(1) << 62)

/* Where in the run somebody is dropped, and who it was; 0: nobody yet, or
 * one who was dropped again since. */
typedef struct point {
  uint32_t at;
  uint64_t actor;
} point;

typedef struct pct {
  byn_strategy base;
  uint64_t key; /* the initial priorities are made from it */
  uint32_t prefix;
  uint32_t point_count;
  bool fair;
  bool seen; /* a run: the length is no guess */
  point *points;
} pct;

static pct *of(byn_strategy *s) {
  return (pct *)s;
}

static bool init(byn_strategy *s) {
  pct *p = of(s);
  s->length = s->opts.length ? s->opts.length : LENGTH_GUESS;
  if (s->opts.depth <= 1) return true;
  p->point_count =
      s->opts.depth < MOST_POINTS ? s->opts.depth - 1 : MOST_POINTS;
  p->points = byn_new(s->alloc, p->point_count * sizeof *p->points);
  return p->points != NULL;
}

static bool init_fair(byn_strategy *s) {
  of(s)->fair = true;
  return init(s);
}

static void clear(byn_strategy *s) {
  pct *p = of(s);
  byn_free(s->alloc, p->points, p->point_count * sizeof *p->points);
}

static uint32_t smaller(uint32_t a, uint32_t b) {
  return a < b ? a : b;
}

static uint32_t prefix_of(const byn_strategy *s) {
  if (s->opts.fair_after) return s->opts.fair_after;
  return s->length > UINT32_MAX / 2 ? UINT32_MAX : s->length * 2;
}

static bool begin(byn_strategy *s) {
  pct *p = of(s);
  p->key = byn_rng_next(&s->rng);
  p->prefix = p->fair ? prefix_of(s) : UINT32_MAX;
  uint32_t range = smaller(s->length, p->prefix);
  for (uint32_t i = 0; i < p->point_count; i++) {
    p->points[i].at = 1 + byn_draw_below(&s->rng, range);
    p->points[i].actor = 0;
  }
  return true;
}

static uint64_t priority(const pct *p, const byn_pending *step) {
  for (uint32_t i = 0; i < p->point_count; i++)
    if (p->points[i].actor == step->actor) return i + 1;
  if (byn_is_clock(step)) return CLOCK;
  return byn_rng_at(p->key, step->actor) | INITIAL;
}

static uint32_t highest(const pct *p, const byn_pending *all, uint32_t n) {
  uint32_t best = 0;
  uint64_t most = priority(p, &all[0]);
  for (uint32_t i = 1; i < n; i++) {
    uint64_t other = priority(p, &all[i]);
    if (other <= most) continue;
    best = i;
    most = other;
  }
  return best;
}

static void drop(pct *p, uint32_t i, uint64_t actor) {
  for (uint32_t j = 0; j < p->point_count; j++)
    if (p->points[j].actor == actor) p->points[j].actor = 0;
  p->points[i].actor = actor;
}

/* Who is about to take step k_i is dropped to i before it takes it; where two
 * points fall on one step, the next in line is dropped too. */
static uint32_t pick(byn_strategy *s, const byn_pending *all, uint32_t n) {
  pct *p = of(s);
  if (s->steps > p->prefix) return byn_pick_any(&s->rng, all, n);
  uint32_t best = highest(p, all, n);
  for (uint32_t i = p->point_count; i-- > 0;) {
    if (p->points[i].at != s->steps) continue;
    drop(p, i, all[best].actor);
    best = highest(p, all, n);
  }
  return best;
}

/* How long the run was. What was spun away before the random part must not
 * count, else each run would spin for twice as long as the one before. */
static uint32_t length_of(const byn_strategy *s, const pct *p) {
  bool spun = p->fair && !s->opts.fair_after && s->steps > p->prefix;
  return spun ? s->steps - p->prefix : s->steps;
}

/* A guess is worth less than the first run. */
static void end(byn_strategy *s) {
  pct *p = of(s);
  uint32_t length = length_of(s, p);
  if (length == 0) return;
  if (!p->seen || length > s->length) s->length = length;
  p->seen = true;
}

const byn_strategy_ops byn_strategy_pct = {
    .size = sizeof(pct),
    .init = init,
    .clear = clear,
    .begin = begin,
    .end = end,
    .pick = pick,
};

const byn_strategy_ops byn_strategy_fair_pct = {
    .size = sizeof(pct),
    .init = init_fair,
    .clear = clear,
    .begin = begin,
    .end = end,
    .pick = pick,
};
