#include "strategy_parts.h"

#include <string.h>

#define SMALLEST 16
#define MOST (1u << 24) /* so that its bytes fit a size_t of 32 bits */

void *byn_push(byn_strategy *s, byn_stack *stack, size_t size) {
  if (stack->count == stack->capacity) {
    uint32_t capacity = stack->capacity ? stack->capacity * 2 : SMALLEST;
    void *more = capacity > MOST
                     ? NULL
                     : byn_resize(s->alloc, stack->items,
                                  stack->capacity * size, capacity * size);
    if (!more) {
      s->failed = true;
      return NULL;
    }
    stack->items = more;
    stack->capacity = capacity;
  }
  return (char *)stack->items + stack->count++ * size;
}

void byn_stack_clear(byn_strategy *s, byn_stack *stack, size_t size) {
  byn_free(s->alloc, stack->items, stack->capacity * size);
}

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
  return !s->ops->begin || s->ops->begin(s);
}

uint32_t byn_strategy_pick(byn_strategy *s, const byn_pending *all,
                           uint32_t n) {
  s->steps++;
  return s->ops->pick(s, all, n);
}

void byn_strategy_touched(byn_strategy *s, uint64_t object) {
  if (s->ops->touched && object != 0) s->ops->touched(s, object);
}

uint32_t byn_strategy_draw(byn_strategy *s, uint32_t n) {
  if (n <= 1) return 0;
  if (s->ops->draw) return s->ops->draw(s, n);
  return byn_draw_below(&s->rng, n);
}

void byn_strategy_end(byn_strategy *s) {
  if (s->running && s->ops->end) s->ops->end(s);
  s->running = false;
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
