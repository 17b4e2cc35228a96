#include "strategy_parts.h"
#include "../map.h"

typedef struct pos {
  byn_strategy base;
  uint64_t key;      /* the priorities are made from it, an actor, a number */
  byn_map drawn;     /* actor -> that number: the step of the last new draw */
  byn_stack touched; /* by the step that ran last, its own actor first */
} pos;

static pos *of(byn_strategy *s) {
  return (pos *)s;
}

static bool init(byn_strategy *s) {
  byn_map_init(&of(s)->drawn, s->alloc);
  return true;
}

static void clear(byn_strategy *s) {
  pos *p = of(s);
  byn_map_clear(&p->drawn);
  byn_stack_clear(s, &p->touched, sizeof(uint64_t));
}

static bool begin(byn_strategy *s) {
  pos *p = of(s);
  p->key = byn_rng_next(&s->rng);
  p->touched.count = 0;
  byn_map_empty(&p->drawn);
  return true;
}

static void touched(byn_strategy *s, uint64_t object) {
  uint64_t *slot = byn_push(s, &of(s)->touched, sizeof *slot);
  if (slot) *slot = object;
}

static void draw_anew(pos *p, uint64_t actor) {
  uintptr_t number = p->base.steps;
  if (!byn_map_put(&p->drawn, actor, (void *)number)) p->base.failed = true;
}

static bool races(const pos *p, const byn_pending *step) {
  const uint64_t *list = p->touched.items;
  for (uint32_t i = 0; i < p->touched.count; i++)
    if (list[i] == step->actor || list[i] == step->object) return true;
  return false;
}

/* The step that ran used its priority up: its actor's next one has another,
 * whenever it comes. So have those that raced with it. */
static void settle(pos *p, const byn_pending *all, uint32_t n) {
  if (p->touched.count == 0) return;
  draw_anew(p, *(const uint64_t *)p->touched.items);
  for (uint32_t i = 0; i < n; i++)
    if (races(p, &all[i])) draw_anew(p, all[i].actor);
  p->touched.count = 0;
}

static uint64_t priority(const pos *p, const byn_pending *step) {
  uint64_t number = (uintptr_t)byn_map_get(&p->drawn, step->actor);
  return byn_rng_at(byn_rng_at(p->key, step->actor), number);
}

/* The highest of those that are steps of the clock, or that are not. */
static uint32_t highest(const pos *p, const byn_pending *all, uint32_t n,
                        bool clock) {
  uint32_t best = n;
  uint64_t most = 0;
  for (uint32_t i = 0; i < n; i++) {
    if (byn_is_clock(&all[i]) != clock) continue;
    uint64_t other = priority(p, &all[i]);
    if (best < n && other <= most) continue;
    best = i;
    most = other;
  }
  return best;
}

static uint32_t pick(byn_strategy *s, const byn_pending *all, uint32_t n) {
  pos *p = of(s);
  settle(p, all, n);
  bool clock = byn_clocks_turn(&s->rng, byn_count_clocks(all, n), n);
  uint32_t best = highest(p, all, n, clock);
  touched(s, all[best].actor);
  if (all[best].object) touched(s, all[best].object);
  return best;
}

const byn_strategy_ops byn_strategy_pos = {
    .size = sizeof(pos),
    .init = init,
    .clear = clear,
    .begin = begin,
    .touched = touched,
    .pick = pick,
};
