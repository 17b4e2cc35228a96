/* The strategy `pos`: a random priority for each pending step; those that race
 * with the step that ran draw a new one. */
#include "strategy_pos.h"

#include "../assert.h"
#include "strategy_random.h"
#include "strategy_stack.h"
#include "../map.h"

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

static uint64_t pos_priority(const pos *p, const byn_pending *step) {
  uint64_t number = (uintptr_t)byn_map_get(&p->drawn, step->actor);
  return byn_rng_at(byn_rng_at(p->key, step->actor), number);
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

static uint32_t pos_pick(byn_strategy *s, const byn_pending *all, uint32_t n) {
  pos *p = pos_of(s);
  redraw_priorities(p, all, n);
  bool clock = byn_should_pick_clock(&s->rng, byn_count_clocks(all, n), n);
  uint32_t best = highest_of_kind(p, all, n, clock);
  byn_assert(best < n);
  byn_assert(p->touched.count == 0);
  pos_touched(s, all[best].actor);
  if (all[best].object) pos_touched(s, all[best].object);
  return best;
}

const byn_strategy_ops byn_strategy_pos = {
    .size = sizeof(pos),
    .init = pos_init,
    .clear = pos_clear,
    .begin = pos_begin,
    .touched = pos_touched,
    .pick = pos_pick,
};
