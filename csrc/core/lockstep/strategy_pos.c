/* The strategy `pos`: a random priority for each pending step; those that race
 * with the step that ran draw a new one. */
#include "strategy_pos.h"

#include "../assert.h"
#include "strategy_random.h"
#include "strategy_stack.h"
#include "../map.h"

/* A look at so few steps costs less than to keep them in order. */
#define FEW 32

typedef struct pos {
  byn_strategy base;
  uint64_t key;  /* of the run; a priority is made from it, the actor and */
  byn_map drawn; /* actor -> the number of the step at which it drew */
  byn_strategy_stack touched; /* by the last step, its own actor first */
} pos;

static pos *pos_of(byn_strategy *s) {
  return (pos *)s;
}

static bool pos_init(byn_strategy *s) {
  byn_map_init(&pos_of(s)->drawn, s->alloc);
  return true;
}

static void pos_clear(byn_strategy *s) {
  pos *p = pos_of(s);
  byn_map_clear(&p->drawn);
  byn_strategy_stack_free(s, &p->touched, sizeof(uint64_t));
}

static bool pos_begin(byn_strategy *s) {
  pos *p = pos_of(s);
  byn_assert(s->steps == 0);
  p->key = byn_rng_next(&s->rng);
  p->touched.count = 0;
  byn_map_empty(&p->drawn);
  byn_assert(p->drawn.count == 0);
  return true;
}

static void pos_touched(byn_strategy *s, uint64_t object) {
  uint64_t *slot =
      byn_strategy_stack_push(s, &pos_of(s)->touched, sizeof *slot);
  if (slot) *slot = object;
}

static void redraw(pos *p, uint64_t actor) {
  uintptr_t number = p->base.steps;
  if (!byn_map_put(&p->drawn, actor, (void *)number)) p->base.failed = true;
}

static bool races(const pos *p, const byn_pending *step) {
  const uint64_t *list = p->touched.items;
  for (uint32_t i = 0; i < p->touched.count; i++)
    if (list[i] == step->actor || list[i] == step->object) return true;
  return false;
}

/* The next step of the actor that ran draws a new priority, whenever it comes,
 * and so does each pending step that races with the one that ran. */
static void redraw_priorities(pos *p, const byn_pending *all, uint32_t n) {
  if (p->touched.count == 0) return;
  byn_assert(p->touched.count <= p->touched.capacity);
  redraw(p, *(const uint64_t *)p->touched.items);
  for (uint32_t i = 0; i < n; i++)
    if (races(p, &all[i])) redraw(p, all[i].actor);
  p->touched.count = 0;
}

/* Above 0, as that of a set must be. */
static uint64_t pos_priority(const pos *p, const byn_pending *step) {
  uint64_t number = (uintptr_t)byn_map_get(&p->drawn, step->actor);
  return byn_rng_at(byn_rng_at(p->key, step->actor), number) | 1;
}

/* The one of the highest priority among the steps of the clock, or among all
 * others. */
static uint32_t highest_of_kind(const pos *p, const byn_pending *all,
                                uint32_t n, bool clock) {
  uint32_t best = n;
  uint64_t most = 0;
  for (uint32_t i = 0; i < n; i++) {
    if (byn_is_clock(&all[i]) != clock) continue;
    uint64_t other = pos_priority(p, &all[i]);
    if (best < n && other <= most) continue;
    best = i;
    most = other;
  }
  return best;
}

/* What the step that is picked is known to touch. */
static void touch_picked(byn_strategy *s, const byn_pending *step) {
  byn_assert(pos_of(s)->touched.count == 0);
  pos_touched(s, step->actor);
  if (step->object) pos_touched(s, step->object);
}

static uint32_t pos_pick(byn_strategy *s, const byn_pending *all, uint32_t n) {
  pos *p = pos_of(s);
  redraw_priorities(p, all, n);
  bool clock = byn_should_pick_clock(&s->rng, byn_count_clocks(all, n), n);
  uint32_t best = highest_of_kind(p, all, n, clock);
  byn_assert(best < n);
  touch_picked(s, &all[best]);
  return best;
}

static uint64_t priority_of(const void *strategy, const byn_pending *step) {
  return pos_priority(strategy, step);
}

static void redraw_actor(void *strategy, uint64_t actor) {
  redraw(strategy, actor);
}

/* The same of a set. */
static void redraw_priorities_of(pos *p, byn_pending_set *set) {
  const uint64_t *list = p->touched.items;
  if (p->touched.count == 0) return;
  redraw(p, list[0]);
  for (uint32_t i = 0; i < p->touched.count; i++)
    byn_pending_redraw(set, list[i], redraw_actor, p);
  p->touched.count = 0;
}

static uint32_t pick_of_few(byn_strategy *s, byn_pending_set *set, uint32_t n) {
  const byn_pending *all = byn_pending_all(set);
  byn_pending_order(set, NULL, NULL);
  if (all) return pos_pick(s, all, n);
  s->failed = true;
  return 0;
}

static uint32_t pos_choose(byn_strategy *s, byn_pending_set *set) {
  pos *p = pos_of(s);
  uint32_t n = byn_pending_count(set), others = byn_pending_others(set);
  if (n <= FEW) return pick_of_few(s, set, n);
  redraw_priorities_of(p, set);
  if (!set->priority) byn_pending_order(set, priority_of, s);
  bool clock = byn_should_pick_clock(&s->rng, n - others, n);
  uint32_t best = clock ? others : byn_pending_best_other(set);
  touch_picked(s, byn_pending_at(set, best).step);
  return best;
}

const byn_strategy_ops byn_strategy_pos = {
    .size = sizeof(pos),
    .init = pos_init,
    .clear = pos_clear,
    .begin = pos_begin,
    .touched = pos_touched,
    .pick = pos_pick,
    .choose = pos_choose,
};
