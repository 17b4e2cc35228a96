#include "strategy_parts.h"

#define NOWHERE UINT32_MAX

/* What is to become of a step at a place. */
enum {
  UNTRIED, /* to be taken, in this run or a later one */
  DONE,    /* taken, and all that can follow was seen; or it is taken now */
  ASLEEP,  /* what can follow was seen elsewhere, up to independent steps */
  BARRED   /* it would be one preemption too many */
};

/* A step that could be taken at a place. */
typedef struct option {
  uint64_t actor, object;
  uint32_t index;    /* in the list that pick was given */
  uint32_t from, to; /* what it touched: a part of dfs.touched */
  uint8_t kind, fate;
  uint8_t cost; /* 1 if it is a preemption */
} option;

/* A pick, or a draw that was made in the step picked last. */
typedef struct place {
  uint32_t count;       /* of options; of values to draw from */
  uint32_t chosen;      /* one of them */
  uint32_t listed;      /* how many steps were pending; 0: it is a draw */
  uint32_t options;     /* where its options begin; or would, for a draw */
  uint32_t before;      /* the place of the pick before, or NOWHERE */
  uint32_t preemptions; /* before it */
} place;

/* The way of the last run. What a place has in options and touched lies above
 * what those before it have. The last pick's part of touched grows for all
 * values that are drawn in its step, and ends where the list ends. */
typedef struct dfs {
  byn_strategy base;
  byn_stack places, options, touched;
  uint32_t depth;  /* how many places this run has passed */
  uint32_t picked; /* the place of the last pick; NOWHERE: none yet */
  bool reduce;
} dfs;

static dfs *of(byn_strategy *s) {
  return (dfs *)s;
}

static bool init(byn_strategy *s) {
  const byn_strategy_opts *o = &s->opts;
  of(s)->reduce = o->preemptions == BYN_ANY_PREEMPTIONS && !o->unreduced;
  return true;
}

static void clear(byn_strategy *s) {
  byn_stack_clear(s, &of(s)->places, sizeof(place));
  byn_stack_clear(s, &of(s)->options, sizeof(option));
  byn_stack_clear(s, &of(s)->touched, sizeof(uint64_t));
}

static bool begin(byn_strategy *s) {
  of(s)->depth = 0;
  of(s)->picked = NOWHERE;
  return true;
}

/* -- the stacks ----------------------------------------------------------- */

static place *place_at(const dfs *d, uint32_t i) {
  return (place *)d->places.items + i;
}

static option *option_at(const dfs *d, const place *p, uint32_t i) {
  return (option *)d->options.items + p->options + i;
}

static option *chosen_at(const dfs *d, uint32_t i) {
  const place *p = place_at(d, i);
  return option_at(d, p, p->chosen);
}

static uint64_t touched_at(const dfs *d, uint32_t i) {
  return ((const uint64_t *)d->touched.items)[i];
}

/* Forgets the places after the first `count`. */
static void keep(dfs *d, uint32_t count) {
  if (count >= d->places.count) return;
  const place *first = place_at(d, count);
  bool none = first->before == NOWHERE;
  d->touched.count = none ? 0 : chosen_at(d, first->before)->to;
  d->options.count = first->options;
  d->places.count = count;
}

/* -- independence --------------------------------------------------------- */

/* Time touches everything. */
static bool touches_all(const option *o) {
  return o->kind == BYN_STEP_CLOCK;
}

static bool touches(const dfs *d, const option *o, uint64_t object) {
  if (object == o->actor || object == o->object) return true;
  for (uint32_t i = o->from; i < o->to; i++)
    if (touched_at(d, i) == object) return true;
  return false;
}

static bool independent(const dfs *d, const option *a, const option *b) {
  if (touches_all(a) || touches_all(b)) return false;
  if (touches(d, a, b->actor)) return false;
  if (b->object && touches(d, a, b->object)) return false;
  for (uint32_t i = b->from; i < b->to; i++)
    if (touches(d, a, touched_at(d, i))) return false;
  return true;
}

static const option *option_of(const dfs *d, const place *p, uint64_t actor) {
  for (uint32_t i = 0; i < p->count; i++) {
    const option *o = option_at(d, p, i);
    if (o->actor == actor) return o;
  }
  return NULL;
}

/* A step whose every continuation was seen one place before need not be taken
 * after a step that is independent of it: the two in the other order led to
 * the same. It touches what it touched there, since it is the same step. */
static void let_sleep(const dfs *d, uint32_t before, option *o) {
  const option *same = option_of(d, place_at(d, before), o->actor);
  const option *taken = chosen_at(d, before);
  if (!same || same == taken || same->object != o->object) return;
  if (same->kind != o->kind || same->fate == UNTRIED) return;
  if (!independent(d, same, taken)) return;
  o->fate = ASLEEP;
  o->from = same->from;
  o->to = same->to;
}

/* -- a place -------------------------------------------------------------- */

static bool can_go_on(const byn_pending *all, uint32_t n, uint64_t actor) {
  for (uint32_t i = 0; i < n; i++)
    if (all[i].actor == actor && !byn_is_clock(&all[i])) return true;
  return false;
}

/* Who would be preempted by any other step; 0: nobody. */
static uint64_t running(const dfs *d, const byn_pending *all, uint32_t n) {
  if (d->picked == NOWHERE) return 0;
  uint64_t last = chosen_at(d, d->picked)->actor;
  return can_go_on(all, n, last) ? last : 0;
}

static uint32_t preemptions_before(const dfs *d) {
  if (d->picked == NOWHERE) return 0;
  return place_at(d, d->picked)->preemptions + chosen_at(d, d->picked)->cost;
}

static bool add_option(dfs *d, place *p, option o) {
  if (option_of(d, p, o.actor)) return true;
  if (p->preemptions + o.cost > d->base.opts.preemptions) o.fate = BARRED;
  if (d->reduce && d->picked != NOWHERE) let_sleep(d, d->picked, &o);
  option *slot = byn_push(&d->base, &d->options, sizeof o);
  if (!slot) return false;
  *slot = o;
  p->count++;
  return true;
}

static bool add_options(dfs *d, place *p, const byn_pending *all, uint32_t n) {
  uint64_t on = running(d, all, n);
  bool all_wait = byn_count_clocks(all, n) == n;
  for (uint32_t i = 0; i < n; i++) {
    option o = {.actor = all[i].actor, .object = all[i].object, .index = i};
    o.kind = all[i].kind;
    o.cost = byn_is_clock(&all[i]) ? !all_wait : on && on != o.actor;
    if (!add_option(d, p, o)) return false;
  }
  return true;
}

/* The first step that is left to take; false: none is. */
static bool choose(dfs *d, place *p) {
  for (uint32_t i = 0; i < p->count; i++) {
    option *o = option_at(d, p, i);
    if (o->fate != UNTRIED) continue;
    o->fate = DONE;
    o->from = o->to = d->touched.count;
    p->chosen = i;
    return true;
  }
  return false;
}

/* A new place at the end of the way; NULL when memory is short. */
static place *add_place(dfs *d, uint32_t count, uint32_t listed) {
  place *p = byn_push(&d->base, &d->places, sizeof *p);
  if (!p) return NULL;
  *p = (place){.count = count, .listed = listed, .before = d->picked};
  p->options = d->options.count;
  p->preemptions = preemptions_before(d);
  return p;
}

/* -- a run ---------------------------------------------------------------- */

static bool is_idle(const dfs *d) {
  return d->base.redundant || d->base.failed;
}

static bool is_known(const dfs *d) {
  return d->depth < d->places.count;
}

/* The body came to something else in the same place: what was seen from there
 * on is of no use. */
static void diverge(dfs *d) {
  d->base.diverged = true;
  keep(d, d->depth);
}

static bool same_pick(const dfs *d, const byn_pending *all, uint32_t n) {
  if (place_at(d, d->depth)->listed != n) return false;
  const option *o = chosen_at(d, d->depth);
  const byn_pending *step = &all[o->index];
  return step->actor == o->actor && step->object == o->object &&
         step->kind == o->kind;
}

static bool same_draw(const dfs *d, uint32_t n) {
  const place *p = place_at(d, d->depth);
  return p->listed == 0 && p->count == n;
}

/* false: nothing is to be taken here. */
static bool explore(dfs *d, const byn_pending *all, uint32_t n) {
  place *p = add_place(d, 0, n);
  if (!p || !add_options(d, p, all, n)) return false;
  if (choose(d, p)) return true;
  d->base.redundant = true;
  keep(d, d->depth);
  return false;
}

static uint32_t pick(byn_strategy *s, const byn_pending *all, uint32_t n) {
  dfs *d = of(s);
  if (is_idle(d)) return 0;
  if (is_known(d) && !same_pick(d, all, n)) diverge(d);
  if (!is_known(d) && !explore(d, all, n)) return 0;
  d->picked = d->depth++;
  return chosen_at(d, d->picked)->index;
}

static uint32_t draw(byn_strategy *s, uint32_t n) {
  dfs *d = of(s);
  if (is_idle(d)) return 0;
  if (is_known(d) && !same_draw(d, n)) diverge(d);
  if (!is_known(d) && !add_place(d, n, 0)) return 0;
  return place_at(d, d->depth++)->chosen;
}

/* On the known part of the way all was told before. */
static void touched(byn_strategy *s, uint64_t object) {
  dfs *d = of(s);
  if (is_idle(d) || d->picked == NOWHERE) return;
  option *o = chosen_at(d, d->picked);
  if (touches(d, o, object)) return;
  if (is_known(d)) diverge(d);
  uint64_t *slot = byn_push(s, &d->touched, sizeof *slot);
  if (!slot) return;
  *slot = object;
  o->to = d->touched.count;
}

static bool advance(dfs *d, place *p) {
  if (p->listed > 0) return choose(d, p);
  return ++p->chosen < p->count;
}

/* Goes back to the last place where something is left to choose. */
static void end(byn_strategy *s) {
  dfs *d = of(s);
  if (is_known(d) && !is_idle(d)) diverge(d);
  for (; d->places.count > 0; keep(d, d->places.count - 1))
    if (advance(d, place_at(d, d->places.count - 1))) return;
  s->complete = !s->diverged && !s->failed;
  s->exhausted = true;
}

const byn_strategy_ops byn_strategy_dfs = {
    .size = sizeof(dfs),
    .init = init,
    .clear = clear,
    .begin = begin,
    .touched = touched,
    .end = end,
    .draw = draw,
    .pick = pick,
};
