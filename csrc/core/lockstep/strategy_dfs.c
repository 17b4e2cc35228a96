/* The strategy `dfs`: a depth-first search of all schedules, which leaves out
 * those that differ from an earlier one in the order of independent steps. */
#include "strategy_dfs.h"

#include "../assert.h"
#include "strategy_random.h"
#include "strategy_stack.h"

#define NOWHERE UINT32_MAX

/* What has become of an option. */
enum {
  UNTRIED, /* it is to be taken, in this run or a later one */
  TAKEN,   /* it is taken now; or it was, and all that can follow was seen */
  ASLEEP,  /* what can follow was seen before, in an equivalent order */
  BARRED   /* it would be one preemption too many */
};

/* A step that could be taken at a choice point. */
typedef struct option {
  uint64_t actor, object;
  uint32_t index;    /* in the list that pick was given */
  uint32_t from, to; /* what it touched: a part of dfs.touched */
  uint8_t kind;      /* a byn_step_kind */
  uint8_t status;    /* as above */
  uint8_t cost;      /* 1 if it is a preemption */
} option;

/* A pick, or a draw that was made in the step picked last. */
typedef struct choice_point {
  uint32_t count;       /* of options; of values to draw from */
  uint32_t chosen;      /* one of them */
  uint32_t listed;      /* how many steps were pending; 0: it is a draw */
  uint32_t options;     /* where its options begin; or would, for a draw */
  uint32_t before;      /* the choice point of the pick before, or NOWHERE */
  uint32_t preemptions; /* before it */
} choice_point;

/* The path of the last run, from its first choice point to its last. All three
 * stacks grow with the path: what a choice point has in `options` and `touched`
 * lies above what those before it have. The part of `touched` that belongs to
 * the last pick goes on to the top of the stack, through all draws of its
 * step. */
typedef struct dfs {
  byn_strategy base;
  byn_strategy_stack points, options, touched;
  uint32_t depth;  /* how many choice points this run has passed */
  uint32_t picked; /* the choice point of the last pick, or NOWHERE */
  bool reduce;
} dfs;

static dfs *dfs_of(byn_strategy *s) {
  return (dfs *)s;
}

static bool dfs_init(byn_strategy *s) {
  const byn_strategy_opts *o = &s->opts;
  dfs_of(s)->reduce = o->preemptions == BYN_ANY_PREEMPTIONS && !o->unreduced;
  return true;
}

static void dfs_clear(byn_strategy *s) {
  byn_strategy_stack_free(s, &dfs_of(s)->points, sizeof(choice_point));
  byn_strategy_stack_free(s, &dfs_of(s)->options, sizeof(option));
  byn_strategy_stack_free(s, &dfs_of(s)->touched, sizeof(uint64_t));
}

static bool dfs_begin(byn_strategy *s) {
  dfs_of(s)->depth = 0;
  dfs_of(s)->picked = NOWHERE;
  return true;
}

/* -- the stacks ----------------------------------------------------------- */

static choice_point *point_at(const dfs *d, uint32_t i) {
  return (choice_point *)d->points.items + i;
}

static option *option_at(const dfs *d, const choice_point *p, uint32_t i) {
  return (option *)d->options.items + p->options + i;
}

static option *chosen_at(const dfs *d, uint32_t i) {
  const choice_point *p = point_at(d, i);
  byn_assert(i < d->points.count);
  byn_assert(p->listed > 0 && p->chosen < p->count);
  return option_at(d, p, p->chosen);
}

static uint64_t touched_at(const dfs *d, uint32_t i) {
  byn_assert(i < d->touched.count);
  return ((const uint64_t *)d->touched.items)[i];
}

/* Forgets the choice points after the first `count`. */
static void truncate_path(dfs *d, uint32_t count) {
  if (count >= d->points.count) return;
  const choice_point *first = point_at(d, count);
  bool none = first->before == NOWHERE;
  uint32_t touched = none ? 0 : chosen_at(d, first->before)->to;
  byn_assert(none || first->before < count);
  byn_assert(touched <= d->touched.count);
  byn_assert(first->options <= d->options.count);
  d->touched.count = touched;
  d->options.count = first->options;
  d->points.count = count;
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

static const option *option_of_actor(const dfs *d, const choice_point *p,
                                     uint64_t actor) {
  for (uint32_t i = 0; i < p->count; i++) {
    const option *o = option_at(d, p, i);
    if (o->actor == actor) return o;
  }
  return NULL;
}

/* Sleep sets: where an option of the choice point before has been taken with
 * all that can follow, and it is independent of the step that was taken there
 * instead, the same step here leads to what was seen, in the other order. It
 * touches what it touched there. */
static void let_sleep(const dfs *d, uint32_t before, option *o) {
  const option *same = option_of_actor(d, point_at(d, before), o->actor);
  const option *taken = chosen_at(d, before);
  if (!same || same == taken || same->object != o->object) return;
  if (same->kind != o->kind || same->status == UNTRIED) return;
  if (!independent(d, same, taken)) return;
  o->status = ASLEEP;
  o->from = same->from;
  o->to = same->to;
}

/* -- a choice point ------------------------------------------------------- */

static bool can_go_on(const byn_pending *all, uint32_t n, uint64_t actor) {
  for (uint32_t i = 0; i < n; i++)
    if (all[i].actor == actor && !byn_is_clock(&all[i])) return true;
  return false;
}

/* The actor that any other step would preempt; 0: there is none. */
static uint64_t running_actor(const dfs *d, const byn_pending *all,
                              uint32_t n) {
  if (d->picked == NOWHERE) return 0;
  uint64_t last = chosen_at(d, d->picked)->actor;
  return can_go_on(all, n, last) ? last : 0;
}

static uint32_t preemptions_before(const dfs *d) {
  if (d->picked == NOWHERE) return 0;
  return point_at(d, d->picked)->preemptions + chosen_at(d, d->picked)->cost;
}

static bool add_option(dfs *d, choice_point *p, option o) {
  if (option_of_actor(d, p, o.actor)) return true;
  if (p->preemptions + o.cost > d->base.opts.preemptions) o.status = BARRED;
  if (d->reduce && d->picked != NOWHERE) let_sleep(d, d->picked, &o);
  option *slot = byn_strategy_stack_push(&d->base, &d->options, sizeof o);
  if (!slot) return false;
  *slot = o;
  p->count++;
  byn_assert(p->options + p->count == d->options.count);
  return true;
}

static bool add_options(dfs *d, choice_point *p, const byn_pending *all,
                        uint32_t n) {
  uint64_t on = running_actor(d, all, n);
  bool all_wait = byn_count_clocks(all, n) == n;
  for (uint32_t i = 0; i < n; i++) {
    option o = {.actor = all[i].actor, .object = all[i].object, .index = i};
    o.kind = all[i].kind;
    o.cost = byn_is_clock(&all[i]) ? !all_wait : on && on != o.actor;
    if (!add_option(d, p, o)) return false;
  }
  return true;
}

/* Chooses the first option that is untried; false: there is none. */
static bool choose_untried(dfs *d, choice_point *p) {
  byn_assert(p->listed > 0 && p->count <= p->listed);
  for (uint32_t i = 0; i < p->count; i++) {
    option *o = option_at(d, p, i);
    if (o->status != UNTRIED) continue;
    o->status = TAKEN;
    o->from = o->to = d->touched.count;
    p->chosen = i;
    byn_assert(p->preemptions + o->cost <= d->base.opts.preemptions);
    return true;
  }
  return false;
}

/* A new one at the end of the path; NULL when memory is short. */
static choice_point *add_choice_point(dfs *d, uint32_t count, uint32_t listed) {
  choice_point *p = byn_strategy_stack_push(&d->base, &d->points, sizeof *p);
  if (!p) return NULL;
  byn_assert(d->depth == d->points.count - 1);
  *p = (choice_point){.count = count, .listed = listed, .before = d->picked};
  p->options = d->options.count;
  p->preemptions = preemptions_before(d);
  return p;
}

/* -- a run ---------------------------------------------------------------- */

static bool is_given_up(const dfs *d) {
  return d->base.redundant || d->base.failed;
}

static bool is_on_path(const dfs *d) {
  return d->depth < d->points.count;
}

/* After the same choices the body did something else: what was seen beyond this
 * choice point says nothing about it. */
static void note_divergence(dfs *d) {
  d->base.diverged = true;
  truncate_path(d, d->depth);
  byn_assert(!is_on_path(d));
}

static bool same_pick(const dfs *d, const byn_pending *all, uint32_t n) {
  if (point_at(d, d->depth)->listed != n) return false;
  const option *o = chosen_at(d, d->depth);
  const byn_pending *step = &all[o->index];
  return step->actor == o->actor && step->object == o->object &&
         step->kind == o->kind;
}

static bool same_draw(const dfs *d, uint32_t n) {
  const choice_point *p = point_at(d, d->depth);
  return p->listed == 0 && p->count == n;
}

/* false: no option may be taken, so the run is redundant, or memory is short.
 */
static bool choose_beyond_path(dfs *d, const byn_pending *all, uint32_t n) {
  choice_point *p = add_choice_point(d, 0, n);
  if (!p || !add_options(d, p, all, n)) return false;
  if (choose_untried(d, p)) return true;
  d->base.redundant = true;
  truncate_path(d, d->depth);
  return false;
}

static uint32_t dfs_pick(byn_strategy *s, const byn_pending *all, uint32_t n) {
  dfs *d = dfs_of(s);
  if (is_given_up(d)) return 0;
  if (is_on_path(d) && !same_pick(d, all, n)) note_divergence(d);
  if (!is_on_path(d) && !choose_beyond_path(d, all, n)) return 0;
  d->picked = d->depth++;
  byn_assert(d->depth <= d->points.count);
  byn_assert(chosen_at(d, d->picked)->status == TAKEN);
  return chosen_at(d, d->picked)->index;
}

static uint32_t dfs_draw(byn_strategy *s, uint32_t n) {
  dfs *d = dfs_of(s);
  if (is_given_up(d)) return 0;
  if (is_on_path(d) && !same_draw(d, n)) note_divergence(d);
  if (!is_on_path(d) && !add_choice_point(d, n, 0)) return 0;
  const choice_point *p = point_at(d, d->depth++);
  byn_assert(d->depth <= d->points.count);
  byn_assert(p->listed == 0 && p->before == d->picked);
  return p->chosen;
}

/* On the path every object was reported in an earlier run. */
static void dfs_touched(byn_strategy *s, uint64_t object) {
  dfs *d = dfs_of(s);
  if (is_given_up(d) || d->picked == NOWHERE) return;
  option *o = chosen_at(d, d->picked);
  if (touches(d, o, object)) return;
  if (is_on_path(d)) note_divergence(d);
  byn_assert(o->from <= o->to);
  byn_assert(o->to == d->touched.count);
  uint64_t *slot = byn_strategy_stack_push(s, &d->touched, sizeof *slot);
  if (!slot) return;
  *slot = object;
  o->to = d->touched.count;
}

static bool choose_next(dfs *d, choice_point *p) {
  if (p->listed > 0) return choose_untried(d, p);
  return ++p->chosen < p->count;
}

/* Goes back to the last choice point where something is left to choose. */
static void dfs_end(byn_strategy *s) {
  dfs *d = dfs_of(s);
  if (is_on_path(d) && !is_given_up(d)) note_divergence(d);
  for (; d->points.count > 0; truncate_path(d, d->points.count - 1))
    if (choose_next(d, point_at(d, d->points.count - 1))) return;
  byn_assert(d->options.count == 0 && d->touched.count == 0);
  s->complete = !s->diverged && !s->failed;
  s->exhausted = true;
}

const byn_strategy_ops byn_strategy_dfs = {
    .size = sizeof(dfs),
    .init = dfs_init,
    .clear = dfs_clear,
    .begin = dfs_begin,
    .touched = dfs_touched,
    .end = dfs_end,
    .draw = dfs_draw,
    .pick = dfs_pick,
};
