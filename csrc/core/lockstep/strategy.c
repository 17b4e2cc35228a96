/* What all strategies have in common: a run, and the way to its strategy. */
#include "strategy.h"

#include <string.h>

#include "../assert.h"
#include "strategy_dfs.h"
#include "strategy_pct.h"
#include "strategy_pos.h"
#include "strategy_random.h"

static const byn_strategy_ops *ops_of(byn_strategy_kind kind) {
  switch (kind) {
  case BYN_RANDOM:
    return &byn_strategy_random;
  case BYN_PCT:
    return &byn_strategy_pct;
  case BYN_POS:
    return &byn_strategy_pos;
  case BYN_FAIR_PCT:
    return &byn_strategy_fair_pct;
  case BYN_DFS:
    return &byn_strategy_dfs;
  }
  return NULL;
}

byn_strategy *byn_strategy_new(const byn_alloc *alloc, byn_strategy_kind kind,
                               const byn_strategy_opts *opts) {
  const byn_strategy_ops *ops = ops_of(kind);
  if (!ops) return NULL;
  byn_strategy *s = byn_new(alloc, ops->size);
  if (!s) return NULL;
  byn_assert(ops->size >= sizeof *s && ops->pick);
  memset(s, 0, ops->size);
  s->ops = ops;
  s->alloc = alloc;
  s->opts = *opts;
  if (!ops->init || ops->init(s)) return s;
  byn_strategy_free(s);
  return NULL;
}

void byn_strategy_free(byn_strategy *s) {
  if (!s) return;
  if (s->ops->clear) s->ops->clear(s);
  byn_free(s->alloc, s, s->ops->size);
}

bool byn_strategy_begin(byn_strategy *s, uint64_t seed) {
  byn_strategy_end(s);
  if (s->exhausted || s->failed) return false;
  byn_rng_seed(&s->rng, byn_rng_at(s->opts.seed, seed));
  s->steps = 0;
  s->running = true;
  s->redundant = false;
  bool begun = !s->ops->begin || s->ops->begin(s);
  byn_assert(begun || s->failed);
  return begun;
}

#ifdef BYN_ASSERT
/* Steps of one actor keep their order. */
static bool is_first_of_its_actor(const byn_pending *all, uint32_t i) {
  for (uint32_t j = 0; j < i; j++)
    if (all[j].actor == all[i].actor) return false;
  return true;
}
#else
#define is_first_of_its_actor(all, i) true
#endif

uint32_t byn_strategy_pick(byn_strategy *s, const byn_pending *all,
                           uint32_t n) {
  byn_assert(s->running);
  byn_assert(n >= 1);
  s->steps++;
  uint32_t i = s->ops->pick(s, all, n);
  byn_assert(i < n && all[i].actor != 0);
  byn_assert(is_first_of_its_actor(all, i) || s->redundant || s->failed);
  return i;
}

uint32_t byn_strategy_choose(byn_strategy *s, byn_pending_set *set) {
  uint32_t n = byn_pending_count(set);
  if (!s->ops->choose) {
    const byn_pending *all = byn_pending_all(set);
    if (all) return byn_strategy_pick(s, all, n);
    s->failed = true;
    return 0;
  }
  byn_assert(s->running && n >= 1);
  s->steps++;
  uint32_t i = s->ops->choose(s, set);
  byn_assert(i < n);
  return i;
}

byn_priority byn_strategy_priority(const byn_strategy *s) {
  return s->ops->priority;
}

void byn_strategy_touched(byn_strategy *s, uint64_t object) {
  byn_assert(s->running);
  byn_assert(s->steps > 0);
  if (s->ops->touched && object != 0) s->ops->touched(s, object);
}

uint32_t byn_strategy_draw(byn_strategy *s, uint32_t n) {
  byn_assert(s->running);
  byn_assert(n >= 1);
  if (n <= 1) return 0;
  uint32_t value =
      s->ops->draw ? s->ops->draw(s, n) : byn_draw_below(&s->rng, n);
  byn_assert(value < n);
  return value;
}

void byn_strategy_end(byn_strategy *s) {
  if (s->running && s->ops->end) s->ops->end(s);
  s->running = false;
  byn_assert(!s->complete || s->exhausted);
  byn_assert(!s->complete || !s->diverged);
}

bool byn_strategy_complete(const byn_strategy *s) {
  return s->complete && !s->failed;
}

bool byn_strategy_redundant(const byn_strategy *s) {
  return s->redundant;
}

bool byn_strategy_diverged(const byn_strategy *s) {
  return s->diverged;
}

bool byn_strategy_failed(const byn_strategy *s) {
  return s->failed;
}

uint32_t byn_strategy_length(const byn_strategy *s) {
  return s->length;
}
