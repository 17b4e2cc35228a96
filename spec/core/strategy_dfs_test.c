/* The exhaustive strategy against brute force: small random programs with
 * shared objects, messages, draws and time, of which every interleaving is
 * enumerated by plain recursion.
 */
#include "strategy_rig.h"

#include "../../csrc/core/rng.h"

enum { ACTORS = 4, OBJECTS = 3, STEPS = 8, CLOCK = 50, OBJECT = 100 };

typedef enum op_kind {
  WRITE, /* to an object; two writes do not commute */
  READ,  /* an object into the actor's own state */
  CHASE, /* write to the object that the actor's own state names */
  SEND,  /* a token to another actor */
  WAIT,  /* for a token; the actor is not pending without one */
  DRAW,  /* one of two into the actor's own state */
  FLIP,  /* draw one of two, and write to an object if it is 1 */
  NOW,   /* the time into the actor's own state */
  OP_KINDS
} op_kind;

typedef struct op {
  uint8_t kind, target;
  bool announced; /* what it touches is known beforehand */
} op;

typedef struct program {
  uint32_t actors, ticks; /* how often time can pass */
  uint32_t length[ACTORS];
  op ops[ACTORS][STEPS];
} program;

typedef struct world {
  uint32_t at[ACTORS], own[ACTORS], tokens[ACTORS];
  uint32_t x[OBJECTS];
  uint32_t time;
} world;

/* A step that was taken. */
typedef struct event {
  uint64_t actor, object; /* 0: it touched none */
  uint32_t drawn;
} event;

typedef struct trace {
  event events[4 * STEPS];
  uint32_t count, preemptions;
} trace;

/* -- the model ------------------------------------------------------------ */

static const op *next_op(const program *p, const world *w, uint32_t a) {
  return w->at[a] < p->length[a] ? &p->ops[a][w->at[a]] : NULL;
}

static uint64_t announced(const op *o) {
  if (!o->announced) return 0;
  if (o->kind == SEND) return o->target + 1u;
  return o->kind == WRITE || o->kind == READ ? OBJECT + o->target : 0;
}

static uint32_t pending(const program *p, const world *w, byn_pending *all) {
  uint32_t n = 0;
  for (uint32_t a = 0; a < p->actors; a++) {
    const op *o = next_op(p, w, a);
    if (!o || (o->kind == WAIT && w->tokens[a] == 0)) continue;
    all[n++] = (byn_pending){a + 1, announced(o), BYN_STEP_PROCESS};
  }
  if (w->time < p->ticks) all[n++] = (byn_pending){CLOCK, 0, BYN_STEP_CLOCK};
  return n;
}

static uint32_t draws_from(const program *p, const world *w, uint64_t actor) {
  if (actor == CLOCK) return 1;
  uint8_t kind = next_op(p, w, (uint32_t)actor - 1)->kind;
  return kind == DRAW || kind == FLIP ? 2 : 1;
}

static uint64_t write_to(world *w, uint32_t a, uint32_t object) {
  w->x[object] = w->x[object] * 3 + a + 1;
  return OBJECT + object;
}

static uint64_t do_op(world *w, const op *o, uint32_t a, uint32_t drawn) {
  switch ((op_kind)o->kind) {
  case WRITE:
    return write_to(w, a, o->target);
  case READ:
    w->own[a] = w->own[a] * 7 + w->x[o->target];
    return OBJECT + o->target;
  case CHASE:
    return write_to(w, a, w->own[a] % OBJECTS);
  case SEND:
    w->tokens[o->target]++;
    return o->target + 1u;
  case WAIT:
    w->tokens[a]--;
    return 0;
  case DRAW:
    w->own[a] = w->own[a] * 2 + drawn;
    return 0;
  case FLIP:
    return drawn ? write_to(w, a, o->target) : 0;
  default:
    w->own[a] = w->own[a] * 5 + w->time;
    return 0;
  }
}

static event take(const program *p, world *w, uint64_t actor, uint32_t drawn) {
  event e = {.actor = actor, .drawn = drawn};
  if (actor == CLOCK) {
    w->time++;
    return e;
  }
  uint32_t a = (uint32_t)actor - 1;
  const op *o = next_op(p, w, a);
  w->at[a]++;
  e.object = do_op(w, o, a, drawn);
  return e;
}

/* -- sets of runs --------------------------------------------------------- */

enum { MOST = 1 << 17 };

typedef struct set {
  uint64_t *keys;
  uint32_t count;
} set;

static void set_add(set *s, uint64_t key) {
  assert_true(s->count < MOST);
  s->keys[s->count++] = key;
}

static int by_key(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

/* Sorts it, with each key once. */
static void set_close(set *s) {
  uint32_t kept = 0;
  qsort(s->keys, s->count, sizeof *s->keys, by_key);
  for (uint32_t i = 0; i < s->count; i++)
    if (kept == 0 || s->keys[kept - 1] != s->keys[i])
      s->keys[kept++] = s->keys[i];
  s->count = kept;
}

static bool set_same(const set *a, const set *b) {
  return a->count == b->count &&
         memcmp(a->keys, b->keys, a->count * sizeof *a->keys) == 0;
}

static uint64_t hash(uint64_t h, uint64_t x) {
  return byn_rng_at(h, x);
}

static uint64_t state_key(const world *w) {
  uint64_t h = w->time;
  for (uint32_t a = 0; a < ACTORS; a++)
    h = hash(hash(hash(h, w->at[a]), w->own[a]), w->tokens[a]);
  for (uint32_t o = 0; o < OBJECTS; o++)
    h = hash(h, w->x[o]);
  return h;
}

static uint64_t order_key(const trace *t) {
  uint64_t h = 0;
  for (uint32_t i = 0; i < t->count; i++)
    h = hash(h, t->events[i].actor * 2 + t->events[i].drawn);
  return h;
}

static bool depends(const event *a, const event *b) {
  return a->actor == b->actor || a->actor == CLOCK || b->actor == CLOCK ||
         a->object == b->actor || b->object == a->actor ||
         (a->object && a->object == b->object);
}

static bool is_free(const trace *t, const bool *gone, uint32_t i) {
  for (uint32_t j = 0; j < i; j++)
    if (!gone[j] && depends(&t->events[j], &t->events[i])) return false;
  return true;
}

/* Equal for orders that differ only in independent steps: of those that could
 * come next, always the one of the first actor. */
static uint64_t class_key(const trace *t) {
  bool gone[4 * STEPS] = {false};
  trace normal = {.count = 0};
  while (normal.count < t->count) {
    uint32_t best = t->count;
    for (uint32_t i = 0; i < t->count; i++) {
      if (gone[i] || !is_free(t, gone, i)) continue;
      if (best == t->count || t->events[i].actor < t->events[best].actor)
        best = i;
    }
    gone[best] = true;
    normal.events[normal.count++] = t->events[best];
  }
  return order_key(&normal);
}

typedef struct found {
  set states, classes, orders;
  uint32_t runs; /* not counting those that were redundant */
  uint32_t redundant;
} found;

static void found_open(found *f) {
  memset(f, 0, sizeof *f);
  f->states.keys = malloc(MOST * sizeof(uint64_t));
  f->classes.keys = malloc(MOST * sizeof(uint64_t));
  f->orders.keys = malloc(MOST * sizeof(uint64_t));
}

static void found_free(found *f) {
  free(f->states.keys);
  free(f->classes.keys);
  free(f->orders.keys);
}

static void found_add(found *f, const world *w, const trace *t) {
  set_add(&f->states, state_key(w));
  set_add(&f->classes, class_key(t));
  set_add(&f->orders, order_key(t));
  f->runs++;
}

static void found_close(found *f) {
  set_close(&f->states);
  set_close(&f->classes);
  set_close(&f->orders);
}

/* -- both ways of looking ------------------------------------------------- */

static bool is_preemption(const byn_pending *all, uint32_t n, uint64_t last,
                          uint64_t actor) {
  if (actor == CLOCK) return n > 1;
  for (uint32_t i = 0; i < n; i++)
    if (all[i].actor == last) return last != CLOCK && last != actor;
  return false;
}

/* Every interleaving with at most `bound` preemptions. */
static void brute_force(const program *p, const world *w, const trace *t,
                        uint32_t bound, found *f) {
  byn_pending all[ACTORS + 1];
  uint32_t n = pending(p, w, all);
  uint64_t last = t->count ? t->events[t->count - 1].actor : 0;
  if (n == 0) found_add(f, w, t);
  for (uint32_t i = 0; i < n; i++) {
    uint32_t values = draws_from(p, w, all[i].actor);
    for (uint32_t drawn = 0; drawn < values; drawn++) {
      world after = *w;
      trace longer = *t;
      longer.preemptions += is_preemption(all, n, last, all[i].actor);
      if (longer.preemptions > bound) continue;
      longer.events[longer.count++] = take(p, &after, all[i].actor, drawn);
      brute_force(p, &after, &longer, bound, f);
    }
  }
}

static void tell(byn_strategy *s, const event *e, uint64_t known) {
  if (e->object && e->object != known) byn_strategy_touched(s, e->object);
}

/* One run. One that is redundant is played to its end, or cut short. */
static bool play(byn_strategy *s, const program *p, bool cut, world *w,
                 trace *t) {
  byn_pending all[ACTORS + 1];
  for (uint32_t n; (n = pending(p, w, all)) > 0;) {
    const byn_pending *step = &all[byn_strategy_pick(s, all, n)];
    if (cut && byn_strategy_redundant(s)) break;
    uint32_t drawn = byn_strategy_draw(s, draws_from(p, w, step->actor));
    event e = take(p, w, step->actor, drawn);
    t->events[t->count++] = e;
    tell(s, &e, step->object);
  }
  return !byn_strategy_redundant(s);
}

static void by_strategy(const program *p, byn_strategy_opts opts, bool cut,
                        found *f) {
  rig_strategy r;
  rig_open(&r, BYN_DFS, opts);
  while (byn_strategy_begin(r.s, 0)) {
    assert_false(byn_strategy_complete(r.s));
    world w = {.time = 0};
    trace t = {.count = 0};
    if (play(r.s, p, cut, &w, &t))
      found_add(f, &w, &t);
    else
      f->redundant++;
    byn_strategy_end(r.s);
  }
  assert_true(byn_strategy_complete(r.s));
  assert_false(byn_strategy_diverged(r.s));
  rig_close(&r);
}

/* -- programs ------------------------------------------------------------- */

static op any_op(byn_rng *rng, uint32_t actors, uint32_t a, uint32_t kinds) {
  op o = {.kind = (uint8_t)byn_rng_below(rng, kinds)};
  o.target = (uint8_t)byn_rng_below(rng, OBJECTS);
  if (o.kind == SEND)
    o.target = (uint8_t)((a + 1 + byn_rng_below(rng, actors - 1)) % actors);
  o.announced = byn_rng_below(rng, 2);
  return o;
}

/* Of `kinds` only the first so many are used. */
static program any_program(byn_rng *rng, uint32_t steps, uint32_t kinds) {
  program p = {.actors = 2 + (uint32_t)byn_rng_below(rng, ACTORS - 1)};
  p.ticks = kinds > NOW ? (uint32_t)byn_rng_below(rng, 2) : 0;
  for (uint32_t i = 0; i < steps; i++) {
    uint32_t a = (uint32_t)byn_rng_below(rng, p.actors);
    p.ops[a][p.length[a]++] = any_op(rng, p.actors, a, kinds);
  }
  return p;
}

static void look(const program *p, byn_strategy_opts opts, bool cut, found *all,
                 found *seen) {
  static const world beginning;
  static const trace nothing;
  found_open(all);
  found_open(seen);
  brute_force(p, &beginning, &nothing, opts.preemptions, all);
  by_strategy(p, opts, cut, seen);
  found_close(all);
  found_close(seen);
}

static void without_reduction_each_order_is_taken_once(void **state) {
  (void)state;
  byn_strategy_opts opts = {.preemptions = BYN_ANY_PREEMPTIONS,
                            .unreduced = true};
  byn_rng rng;
  byn_rng_seed(&rng, 1);
  for (int i = 0; i < 150; i++) {
    program p = any_program(&rng, 6, OP_KINDS);
    found all, seen;
    look(&p, opts, false, &all, &seen);
    assert_true(set_same(&all.orders, &seen.orders));
    assert_int_equal(seen.runs, seen.orders.count);
    assert_int_equal(seen.redundant, 0);
    found_free(&all);
    found_free(&seen);
  }
}

static void within_a_bound_each_order_is_taken_once(void **state) {
  (void)state;
  byn_rng rng;
  byn_rng_seed(&rng, 2);
  for (uint32_t i = 0; i < 200; i++) {
    program p = any_program(&rng, 7, OP_KINDS);
    found all, seen;
    look(&p, (byn_strategy_opts){.preemptions = i % 4}, false, &all, &seen);
    assert_true(set_same(&all.orders, &seen.orders));
    assert_int_equal(seen.runs, seen.orders.count);
    found_free(&all);
    found_free(&seen);
  }
}

/* Each state that the program can end in is seen, and each order up to
 * independent steps. */
static void reduction_loses_nothing(void **state) {
  (void)state;
  byn_strategy_opts opts = {.preemptions = BYN_ANY_PREEMPTIONS};
  byn_rng rng;
  byn_rng_seed(&rng, 3);
  for (int i = 0; i < 500; i++) {
    program p = any_program(&rng, 5 + (uint32_t)i % 2, OP_KINDS);
    found all, seen;
    look(&p, opts, i % 2, &all, &seen);
    assert_true(set_same(&all.states, &seen.states));
    assert_true(set_same(&all.classes, &seen.classes));
    found_free(&all);
    found_free(&seen);
  }
}

/* Where a step touches the same whatever it draws, no two runs to the end are
 * equal up to independent steps. */
static void reduction_leaves_one_order_of_each_class(void **state) {
  (void)state;
  byn_strategy_opts opts = {.preemptions = BYN_ANY_PREEMPTIONS};
  byn_rng rng;
  byn_rng_seed(&rng, 4);
  uint32_t orders = 0, runs = 0, redundant = 0;
  for (int i = 0; i < 300; i++) {
    program p = any_program(&rng, 8, FLIP);
    found all, seen;
    look(&p, opts, true, &all, &seen);
    assert_true(set_same(&all.classes, &seen.classes));
    assert_int_equal(seen.runs, seen.classes.count);
    orders += all.runs;
    runs += seen.runs;
    redundant += seen.redundant;
    found_free(&all);
    found_free(&seen);
  }
  print_message("%u orders in %u runs, and %u cut short\n", orders, runs,
                redundant);
  assert_true((runs + redundant) * 4 < orders);
}

/* -- by hand -------------------------------------------------------------- */

static uint32_t runs_of(const program *p, byn_strategy_opts opts) {
  found f;
  found_open(&f);
  by_strategy(p, opts, true, &f);
  uint32_t runs = f.runs + f.redundant;
  found_free(&f);
  return runs;
}

static void steps_that_never_meet_are_run_in_one_order(void **state) {
  (void)state;
  byn_strategy_opts all = {.preemptions = BYN_ANY_PREEMPTIONS,
                           .unreduced = true};
  byn_strategy_opts reduced = {.preemptions = BYN_ANY_PREEMPTIONS};
  program p = {.actors = 3, .length = {2, 2, 2}};
  for (uint8_t a = 0; a < 3; a++)
    for (int i = 0; i < 2; i++)
      p.ops[a][i] = (op){.kind = WRITE, .target = a, .announced = true};
  assert_int_equal(runs_of(&p, all), 90);
  found f;
  found_open(&f);
  by_strategy(&p, reduced, true, &f);
  assert_int_equal(f.runs, 1);
  found_free(&f);
}

static void without_preemptions_only_the_order_of_actors_differs(void **state) {
  (void)state;
  program p = {.actors = 3, .length = {3, 3, 3}};
  for (uint32_t a = 0; a < 3; a++)
    for (int i = 0; i < 3; i++)
      p.ops[a][i] = (op){.kind = WRITE, .target = 0};
  assert_int_equal(runs_of(&p, (byn_strategy_opts){.preemptions = 0}), 6);
}

static void the_first_run_picks_the_first_step_each_time(void **state) {
  (void)state;
  static const byn_pending all[] = {{3, 0, 0}, {1, 0, 0}, {2, 0, 0}};
  rig_strategy r;
  rig_open(&r, BYN_DFS,
           (byn_strategy_opts){.preemptions = BYN_ANY_PREEMPTIONS});
  assert_true(byn_strategy_begin(r.s, 1));
  for (uint32_t n = 3; n > 0; n--) {
    assert_int_equal(byn_strategy_pick(r.s, &all[3 - n], n), 0);
    assert_int_equal(byn_strategy_draw(r.s, 9), 0);
  }
  rig_close(&r);
}

/* Two actors of one step each; what else the body does is up to the test. */
typedef void body_fn(byn_strategy *s, uint32_t run);

static void two_steps(byn_strategy *s, uint64_t second) {
  byn_pending all[] = {{1, 0, 0}, {second, 0, 0}};
  uint32_t first = byn_strategy_pick(s, all, 2);
  byn_strategy_touched(s, 100);
  byn_strategy_pick(s, &all[1 - first], 1);
  byn_strategy_touched(s, 100);
}

static void another_actor(byn_strategy *s, uint32_t run) {
  two_steps(s, 2 + run);
}

static void another_draw(byn_strategy *s, uint32_t run) {
  byn_strategy_draw(s, 2 + run);
  two_steps(s, 2);
}

static void a_draw_for_a_pick(byn_strategy *s, uint32_t run) {
  if (run > 0) byn_strategy_draw(s, 2);
  two_steps(s, 2);
}

static void another_touch(byn_strategy *s, uint32_t run) {
  byn_pending one = {3, 0, 0};
  byn_strategy_pick(s, &one, 1);
  byn_strategy_touched(s, 200 + run);
  two_steps(s, 2);
}

static void an_early_end(byn_strategy *s, uint32_t run) {
  if (run == 0) two_steps(s, 2);
}

static void a_body_that_does_otherwise_is_reported(void **state) {
  (void)state;
  body_fn *bodies[] = {another_actor, another_draw, a_draw_for_a_pick,
                       another_touch, an_early_end};
  for (uint32_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
    rig_strategy r;
    rig_open(&r, BYN_DFS,
             (byn_strategy_opts){.preemptions = BYN_ANY_PREEMPTIONS});
    for (uint32_t run = 0; run < 50 && byn_strategy_begin(r.s, 0); run++) {
      assert_true(run < 2 || byn_strategy_diverged(r.s));
      bodies[i](r.s, run);
      byn_strategy_end(r.s);
    }
    assert_true(byn_strategy_diverged(r.s));
    assert_false(byn_strategy_complete(r.s));
    rig_close(&r);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(without_reduction_each_order_is_taken_once),
      cmocka_unit_test(within_a_bound_each_order_is_taken_once),
      cmocka_unit_test(reduction_loses_nothing),
      cmocka_unit_test(reduction_leaves_one_order_of_each_class),
      cmocka_unit_test(steps_that_never_meet_are_run_in_one_order),
      cmocka_unit_test(without_preemptions_only_the_order_of_actors_differs),
      cmocka_unit_test(the_first_run_picks_the_first_step_each_time),
      cmocka_unit_test(a_body_that_does_otherwise_is_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
