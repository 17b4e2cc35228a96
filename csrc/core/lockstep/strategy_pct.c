/* The strategies `pct` and `fair_pct`: the actor of the highest priority runs,
 * and at a few steps of the run it is dropped to the lowest. */
#include "strategy_pct.h"

#include "../assert.h"
#include "strategy_random.h"

#define LENGTH_GUESS 100
#define POINTS_MAX 1024

/* The priorities, from high to low: of actors that were not dropped, random
 * numbers with the bit INITIAL; of the clock; of actors that were dropped at
 * change point i, i + 1. */
#define INITIAL (UINT64_C(1) << 63)
#define CLOCK (UINT64_C(1) << 62)

/* A step of the run at which an actor is dropped. */
typedef struct change_point {
  uint32_t at;    /* the number of the step */
  uint64_t actor; /* 0: none yet, or it was dropped again since */
} change_point;

typedef struct pct {
  byn_strategy base;
  uint64_t key;    /* the initial priorities are made from it */
  uint32_t prefix; /* steps of pct; those after it are random */
  uint32_t point_count;
  bool fair;
  bool measured; /* the length is that of a run, not a guess */
  change_point *points;
} pct;

static pct *pct_of(byn_strategy *s) {
  return (pct *)s;
}

static bool pct_init(byn_strategy *s) {
  pct *p = pct_of(s);
  s->length = s->opts.length ? s->opts.length : LENGTH_GUESS;
  if (s->opts.depth <= 1) return true;
  p->point_count = s->opts.depth < POINTS_MAX ? s->opts.depth - 1 : POINTS_MAX;
  p->points = byn_new(s->alloc, p->point_count * sizeof *p->points);
  byn_assert(p->point_count >= 1 && p->point_count <= POINTS_MAX);
  return p->points != NULL;
}

static bool fair_pct_init(byn_strategy *s) {
  pct_of(s)->fair = true;
  return pct_init(s);
}

static void pct_clear(byn_strategy *s) {
  pct *p = pct_of(s);
  byn_free(s->alloc, p->points, p->point_count * sizeof *p->points);
}

static uint32_t smaller(uint32_t a, uint32_t b) {
  return a < b ? a : b;
}

static uint32_t prefix_of(const byn_strategy *s) {
  if (s->opts.fair_after) return s->opts.fair_after;
  return s->length > UINT32_MAX / 2 ? UINT32_MAX : s->length * 2;
}

static bool pct_begin(byn_strategy *s) {
  pct *p = pct_of(s);
  p->key = byn_rng_next(&s->rng);
  p->prefix = p->fair ? prefix_of(s) : UINT32_MAX;
  uint32_t range = smaller(s->length, p->prefix);
  byn_assert(range >= 1);
  byn_assert(p->points || p->point_count == 0);
  for (uint32_t i = 0; i < p->point_count; i++) {
    p->points[i].at = 1 + byn_draw_below(&s->rng, range);
    p->points[i].actor = 0;
  }
  return true;
}

static uint64_t pct_priority(const pct *p, const byn_pending *step) {
  for (uint32_t i = 0; i < p->point_count; i++)
    if (p->points[i].actor == step->actor) return i + 1;
  if (byn_is_clock(step)) return CLOCK;
  return byn_rng_at(p->key, step->actor) | INITIAL;
}

static uint32_t highest_priority(const pct *p, const byn_pending *all,
                                 uint32_t n) {
  uint32_t best = 0;
  uint64_t most = pct_priority(p, &all[0]);
  for (uint32_t i = 1; i < n; i++) {
    uint64_t other = pct_priority(p, &all[i]);
    if (other <= most) continue;
    best = i;
    most = other;
  }
  return best;
}

#ifdef BYN_ASSERT
static uint32_t times_dropped(const pct *p, uint64_t actor) {
  uint32_t times = 0;
  for (uint32_t i = 0; i < p->point_count; i++)
    times += p->points[i].actor == actor;
  return times;
}
#else
#define times_dropped(p, actor) 1
#endif

static void drop_actor(pct *p, uint32_t i, uint64_t actor) {
  byn_assert(i < p->point_count && p->points[i].actor == 0);
  for (uint32_t j = 0; j < p->point_count; j++)
    if (p->points[j].actor == actor) p->points[j].actor = 0;
  p->points[i].actor = actor;
  byn_assert(times_dropped(p, actor) == 1);
}

/* The actor that is about to take the step of a change point is dropped before
 * it takes it. Where several points are at one step, as many actors are. */
static uint32_t pct_pick(byn_strategy *s, const byn_pending *all, uint32_t n) {
  pct *p = pct_of(s);
  if (s->steps > p->prefix) return byn_pick_any(&s->rng, all, n);
  uint32_t best = highest_priority(p, all, n);
  for (uint32_t i = p->point_count; i-- > 0;) {
    if (p->points[i].at != s->steps) continue;
    drop_actor(p, i, all[best].actor);
    best = highest_priority(p, all, n);
  }
  return best;
}

static uint64_t priority_of(const void *strategy, const byn_pending *step) {
  return pct_priority(strategy, step);
}

/* The same of a set. After a drop all priorities are looked at; there are few.
 */
static uint32_t pct_choose(byn_strategy *s, byn_pending_set *set) {
  pct *p = pct_of(s);
  if (s->steps > p->prefix) return byn_choose_any(&s->rng, set);
  uint32_t best = byn_pending_best(set);
  for (uint32_t i = p->point_count; i-- > 0;) {
    if (p->points[i].at != s->steps) continue;
    drop_actor(p, i, byn_pending_at(set, best).step->actor);
    byn_pending_prioritize(set);
    best = byn_pending_best(set);
  }
  return best;
}

/* The length of the run. Where the prefix is made from the length, a run that
 * went on at random counts without its prefix: it may have waited in a loop
 * until then, and each prefix would be twice as long as the one before. */
static uint32_t measured_length(const byn_strategy *s, const pct *p) {
  bool without = p->fair && !s->opts.fair_after && s->steps > p->prefix;
  return without ? s->steps - p->prefix : s->steps;
}

/* The first run replaces the guess, a longer one those before. */
static void pct_end(byn_strategy *s) {
  pct *p = pct_of(s);
  uint32_t length = measured_length(s, p);
  if (length == 0) return;
  if (!p->measured || length > s->length) s->length = length;
  p->measured = true;
  byn_assert(s->length >= length);
}

const byn_strategy_ops byn_strategy_pct = {
    .size = sizeof(pct),
    .init = pct_init,
    .clear = pct_clear,
    .begin = pct_begin,
    .end = pct_end,
    .pick = pct_pick,
    .choose = pct_choose,
    .priority = priority_of,
};

const byn_strategy_ops byn_strategy_fair_pct = {
    .size = sizeof(pct),
    .init = fair_pct_init,
    .clear = pct_clear,
    .begin = pct_begin,
    .end = pct_end,
    .pick = pct_pick,
    .choose = pct_choose,
    .priority = priority_of,
};
