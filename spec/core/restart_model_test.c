/* Random scripts of starts, crashes, hangs, failures and stops, run by the
 * machine and by a model of it.
 *
 * The model is written the way OTP's supervisor is: one function per event
 * that does everything to the end, over a plain list of children, counting
 * restarts by looking at all of them. How each start and stop goes is drawn
 * beforehand from (seed, child, how many before), so it is the same for both.
 * The model, in turn, did what OTP 25's own supervisor does in each of 12,000
 * such scripts of static children without back-offs.
 *
 *   restart_model_test              1,000,000 scripts
 *   BYN_SCRIPTS=5000000 BYN_SEED=7 restart_model_test
 */
#include "restart_rig.h"

#include "../../csrc/core/rng.h"

enum { MOST = 6, EVENTS = 24, LOG = 256 };

/* --- how starts and stops go ---------------------------------------------- */

/* A number below `below` that depends on all the others. */
static unsigned draw(uint64_t seed, int child, int nth, unsigned below) {
  uint64_t x = seed * 0x9e3779b97f4a7c15u + (unsigned)(child * 64 + nth);
  x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93u;
  x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93u;
  return (unsigned)(x >> 32) % below;
}

static rig_start drawn_start(uint64_t seed, int child, int nth) {
  unsigned n = draw(seed, child, nth, 10);
  return n < 7 ? STARTS_WELL : n < 9 ? FAILS : IGNORES;
}

/* After how many ms it stops. No two children, and no child and a time limit,
 * come at the same moment. */
static int64_t drawn_stop(uint64_t seed, int child, int nth, int32_t shutdown) {
  static const int tens[] = {0, 0, 0, 0, 10, 40, 90, -1};
  int late = tens[draw(seed, child + 50, nth, 8)];
  if (late > 0) return late + 1 + child;
  return late < 0 && shutdown != BYN_SHUTDOWN_INFINITY ? RIG_FOR_EVER : 0;
}

/* --- the model ------------------------------------------------------------ */

typedef enum model_state {
  ABSENT,
  STOPPED,
  RUNNING,
  WAITING,
  QUEUED
} model_state;

typedef struct model_child {
  model_state state; /* WAITING: for its back-off; QUEUED: for its turn */
  byn_restart_type restart;
  int32_t shutdown;
  bool significant, supervisor, backs_off, counted;
  int64_t wait, due;
  int starts, stops;
  int turn; /* among those due at one time: who waits longer */
} model_child;

typedef struct model {
  byn_restart_flags flags;
  uint64_t seed;
  model_child children[MOST];
  int order[MOST], count;
  int queue[MOST], queued;
  int64_t restarts[LOG];
  int restart_count;
  int64_t now;
  int turns;
  bool ended;
  rig_trace trace;
} model;

static const byn_backoff BACKOFF = {
    .min = 20, .max = 100, .reset_after = 1 << 30, .factor = 2};

static void note(model *m, const char *what, int i, const char *after) {
  trace_word(&m->trace, what, i < 0 ? 0 : (char)('a' + i), after);
}

static int place(const model *m, int i) {
  int at = 0;
  while (at < m->count && m->order[at] != i)
    at++;
  return at;
}

static void forget(model *m, int i) {
  int at = place(m, i);
  m->count--;
  for (; at < m->count; at++)
    m->order[at] = m->order[at + 1];
  m->children[i].state = ABSENT;
}

static void unqueue_it(model *m, int i) {
  int kept = 0;
  for (int q = 0; q < m->queued; q++)
    if (m->queue[q] != i) m->queue[kept++] = m->queue[q];
  m->queued = kept;
}

static bool is_due_before(const model_child *a, const model_child *b) {
  return a->due != b->due ? a->due < b->due : a->turn < b->turn;
}

/* Time passes; those whose back-off is over queue in the order of it. */
static void pass(model *m, int64_t to) {
  m->now = to;
  for (;;) {
    int first = -1;
    for (int i = 0; i < MOST; i++) {
      const model_child *c = &m->children[i];
      if (c->state != WAITING || c->due > to) continue;
      if (first < 0 || is_due_before(c, &m->children[first])) first = i;
    }
    if (first < 0) return;
    m->children[first].state = QUEUED;
    m->queue[m->queued++] = first;
  }
}

static void stop_for_good(model *m, int i) {
  model_child *c = &m->children[i];
  unqueue_it(m, i);
  c->counted = false;
  c->state = STOPPED;
  if (m->flags.dynamic || c->restart == BYN_TEMPORARY) forget(m, i);
}

/* How a child that was asked to stop will: after `ms`, killed or not. */
typedef struct stop_outcome {
  int64_t ms;
  bool killed;
} stop_outcome;

static stop_outcome ask_to_stop(model *m, int i) {
  model_child *c = &m->children[i];
  int64_t late = drawn_stop(m->seed, i, c->stops++, c->shutdown);
  note(m, "-", i, "");
  if (c->shutdown == BYN_SHUTDOWN_KILL || late == 0) return (stop_outcome){0};
  if (c->shutdown >= 0 && late > c->shutdown)
    return (stop_outcome){.ms = c->shutdown, .killed = true};
  return (stop_outcome){.ms = late};
}

static void has_stopped(model *m, int i, stop_outcome f) {
  if (f.killed) note(m, "*", i, "");
  note(m, "", i, ".");
  stop_for_good(m, i);
}

static void stop_it(model *m, int i) {
  if (m->children[i].state != RUNNING) {
    stop_for_good(m, i);
    return;
  }
  stop_outcome f = ask_to_stop(m, i);
  pass(m, m->now + f.ms);
  has_stopped(m, i, f);
}

static void stop_in_turn(model *m, int from) {
  int order[MOST], count = m->count;
  memcpy(order, m->order, sizeof order);
  for (int at = count - 1; at >= from; at--)
    stop_it(m, order[at]);
}

static void stop_side_by_side(model *m) {
  int order[MOST], count = m->count;
  bool waits[MOST] = {false};
  stop_outcome f[MOST];
  int64_t began = m->now;
  memcpy(order, m->order, sizeof order);
  for (int at = count - 1; at >= 0; at--) {
    bool runs = m->children[order[at]].state == RUNNING;
    if (runs) f[at] = ask_to_stop(m, order[at]);
    waits[at] = runs && (f[at].ms || f[at].killed);
    if (runs && !waits[at]) has_stopped(m, order[at], f[at]);
    if (!runs) stop_for_good(m, order[at]);
  }
  for (int64_t ms = 0; ms < 100; ms++)
    for (int at = count - 1; at >= 0; at--) {
      if (!waits[at] || f[at].ms != ms) continue;
      pass(m, began + ms);
      has_stopped(m, order[at], f[at]);
    }
}

static void shut_down(model *m, const char *cause) {
  if (m->flags.dynamic)
    stop_side_by_side(m);
  else
    stop_in_turn(m, 0);
  note(m, cause, -1, "");
  m->ended = true;
}

static bool count_restart(model *m, int i) {
  int in = 0;
  if (m->children[i].counted) return true;
  for (int r = 0; r < m->restart_count; r++)
    in += m->now - m->restarts[r] <= m->flags.period;
  if (in < (int)m->flags.max_restarts) {
    assert_true(m->restart_count < LOG);
    m->restarts[m->restart_count++] = m->now;
    return true;
  }
  note(m, "give_up(", i, ")");
  stop_for_good(m, i);
  shut_down(m, "end(gave up)");
  return false;
}

static void back_off(model *m, int i) {
  model_child *c = &m->children[i];
  int64_t longer = c->wait * (int64_t)BACKOFF.factor;
  c->wait = c->wait == 0 ? BACKOFF.min : longer;
  if (c->wait > BACKOFF.max) c->wait = BACKOFF.max;
  c->due = m->now + c->wait;
  c->turn = ++m->turns;
  c->counted = true;
  c->state = WAITING;
}

static rig_start start_it(model *m, int i) {
  model_child *c = &m->children[i];
  rig_start how = drawn_start(m->seed, i, c->starts++);
  unqueue_it(m, i);
  c->counted = false;
  c->state = STOPPED;
  note(m, "+", i, "");
  note(m, "", i, how == STARTS_WELL ? "+" : how == FAILS ? "!" : "?");
  if (how == STARTS_WELL) c->state = RUNNING;
  if (how == IGNORES) stop_for_good(m, i);
  return how;
}

static void start_again(model *m, int i) {
  bool all = m->flags.strategy != BYN_ONE_FOR_ONE;
  int order[MOST], count = m->count;
  int at = m->flags.strategy == BYN_ONE_FOR_ALL ? 0 : place(m, i);
  memcpy(order, m->order, sizeof order);
  for (; at < count; at++) {
    int next = all ? order[at] : i;
    if (m->children[next].state == ABSENT) continue;
    if (start_it(m, next) == FAILS) {
      if (!m->children[next].backs_off) {
        m->children[next].state = QUEUED;
        m->queue[m->queued++] = next;
      } else if (count_restart(m, next)) {
        back_off(m, next);
      }
      return;
    }
    if (!all) return;
  }
}

static void stop_group(model *m, int i) {
  m->children[i].state = STOPPED;
  if (m->flags.strategy == BYN_ONE_FOR_ALL) stop_in_turn(m, 0);
  if (m->flags.strategy == BYN_REST_FOR_ONE) stop_in_turn(m, place(m, i) + 1);
}

static bool significant_left(const model *m) {
  for (int i = 0; i < MOST; i++)
    if (m->children[i].significant && m->children[i].state >= RUNNING)
      return true;
  return false;
}

static void exited(model *m, int i, bool normal) {
  model_child *c = &m->children[i];
  bool back =
      c->restart == BYN_PERMANENT || (c->restart == BYN_TRANSIENT && !normal);
  c->state = STOPPED;
  if (back) {
    if (!count_restart(m, i)) return;
    stop_group(m, i);
    if (c->backs_off)
      back_off(m, i);
    else
      start_again(m, i);
    return;
  }
  bool significant = c->significant;
  stop_for_good(m, i);
  if (!significant || m->flags.auto_shutdown == BYN_AUTO_NEVER) return;
  if (m->flags.auto_shutdown == BYN_AUTO_ANY || !significant_left(m))
    shut_down(m, "end(auto)");
}

static void retry(model *m) {
  if (m->queued == 0) return;
  int i = m->queue[0];
  unqueue_it(m, i);
  if (!count_restart(m, i)) return;
  m->children[i].counted = true; /* for whoever stops it as part of a group */
  stop_group(m, i);
  start_again(m, i);
}

static void boot(model *m) {
  int order[MOST], count = m->count;
  memcpy(order, m->order, sizeof order);
  for (int at = 0; at < count; at++)
    if (start_it(m, order[at]) == FAILS) {
      shut_down(m, "end(boot)");
      return;
    }
  note(m, "ok", -1, "");
}

/* --- the machine, by the same draws --------------------------------------- */

typedef struct script {
  uint64_t seed;
  byn_rng rng;
  model m;
  rig g;
  byn_backoff backoffs[MOST];
} script;

static uint64_t pick(script *s, uint64_t below) {
  return byn_rng_below(&s->rng, below);
}

static rig_start rig_drawn_start(rig *g, const rig_child *c) {
  const script *s = g->owner;
  return drawn_start(s->seed, c->name - 'a', c->starts);
}

static int64_t rig_drawn_stop(rig *g, const rig_child *c) {
  const script *s = g->owner;
  return drawn_stop(s->seed, c->name - 'a', c->stops, c->core.shutdown);
}

static byn_child_state machine_state(model_state s) {
  return s == RUNNING   ? BYN_CHILD_RUNNING
         : s == STOPPED ? BYN_CHILD_STOPPED
                        : BYN_CHILD_RESTARTING;
}

static void compare(script *s) {
  model *m = &s->m;
  rig *g = &s->g;
  uint32_t active = 0, supervisors = 0;
  if (strcmp(g->trace.text, m->trace.text) != 0)
    fail_msg("BYN_SEED=%llu\n machine: %s\n model:   %s",
             (unsigned long long)s->seed, g->trace.text, m->trace.text);
  trace_clear(&g->trace);
  trace_clear(&m->trace);
  assert_int_equal(g->ended, m->ended);
  if (m->ended) return;
  assert_int_equal(g->now, m->now);
  assert_int_equal(g->machine.count, m->count);
  byn_child *c = g->machine.children.first;
  for (int at = 0; at < m->count; at++, c = c->next) {
    const model_child *mc = &m->children[m->order[at]];
    assert_int_equal(((rig_child *)c)->name, 'a' + m->order[at]);
    assert_int_equal(c->state, machine_state(mc->state));
    active += mc->state == RUNNING;
    supervisors += mc->supervisor;
  }
  assert_null(c);
  assert_int_equal(g->machine.active, active);
  assert_int_equal(g->machine.supervisors, supervisors);
  assert_true(g->retries >= m->queued);
}

/* --- events --------------------------------------------------------------- */

static int absent_child(const model *m) {
  for (int i = 0; i < MOST; i++)
    if (m->children[i].state == ABSENT) return i;
  return -1;
}

static void new_child(script *s, int i) {
  static const int32_t shutdowns[] = {0, 30, 70, BYN_SHUTDOWN_INFINITY,
                                      BYN_SHUTDOWN_KILL};
  model_child *mc = &s->m.children[i];
  int starts = mc->starts, stops = mc->stops;
  *mc = (model_child){.state = STOPPED, .starts = starts, .stops = stops};
  mc->restart = (byn_restart_type)pick(s, 3);
  mc->shutdown = shutdowns[pick(s, 5)];
  mc->significant = pick(s, 3) == 0;
  mc->backs_off = pick(s, 4) == 0;
  mc->supervisor = pick(s, 2) == 0;
  s->m.order[s->m.count++] = i;

  rig_child *rc = rig_child_new(&s->g, (char)('a' + i));
  byn_child *c = &rc->core;
  rc->starts = starts;
  rc->stops = stops;
  s->backoffs[i] = BACKOFF;
  c->restart = (uint8_t)mc->restart;
  c->shutdown = mc->shutdown;
  c->significant = mc->significant;
  c->supervisor = mc->supervisor;
  c->backoff = mc->backs_off ? &s->backoffs[i] : NULL;
}

static void do_start(script *s) {
  model *m = &s->m;
  int i = absent_child(m);
  if (i < 0) return;
  new_child(s, i);
  byn_child *c = &s->g.children[i].core;
  const char *no = byn_restart_start(&s->g.machine, c);
  if ((uint32_t)m->count > m->flags.max_children) {
    assert_string_equal(no, "max_children");
    s->g.children[i].known = false;
    forget(m, i);
    return;
  }
  assert_null(no);
  if (start_it(m, i) == FAILS) forget(m, i);
  note(m, "ok", -1, "");
}

static const char *refusal(const model_child *c) {
  return c->state == STOPPED   ? ""
         : c->state == RUNNING ? "running"
                               : "restarting";
}

static void do_restart_child(script *s, int i) {
  model *m = &s->m;
  const char *no = byn_restart_child(&s->g.machine, &s->g.children[i].core);
  assert_string_equal(no ? no : "", refusal(&m->children[i]));
  if (no) return;
  start_it(m, i);
  note(m, "ok", -1, "");
}

static void do_delete(script *s, int i) {
  model *m = &s->m;
  const char *no = byn_restart_delete(&s->g.machine, &s->g.children[i].core);
  assert_string_equal(no ? no : "", refusal(&m->children[i]));
  if (no) return;
  s->g.children[i].known = false;
  forget(m, i);
}

static void do_terminate(script *s, int i) {
  byn_restart_terminate(&s->g.machine, &s->g.children[i].core);
  stop_it(&s->m, i);
  note(&s->m, "ok", -1, "");
}

static void do_exit(script *s, int i) {
  bool normal = pick(s, 3) == 0;
  if (s->m.children[i].state != RUNNING) return;
  byn_restart_exited(&s->g.machine, &s->g.children[i].core, normal);
  exited(&s->m, i, normal);
}

static void do_retry(script *s) {
  if (s->g.retries == 0) return;
  s->g.retries--;
  byn_restart_retry(&s->g.machine);
  retry(&s->m);
}

static void event_of_one(script *s, uint64_t what) {
  if (s->m.count == 0) return;
  int i = s->m.order[pick(s, (uint64_t)s->m.count)];
  if (what == 0)
    do_restart_child(s, i);
  else if (what == 1)
    do_delete(s, i);
  else if (what == 2)
    do_terminate(s, i);
  else
    do_exit(s, i);
}

static void do_pass(script *s) {
  int64_t to = s->m.now + (int64_t)pick(s, 80);
  pass(&s->m, to);
  s->g.now = to;
}

static void event(script *s) {
  uint64_t what = pick(s, 16);
  byn_restart_time(&s->g.machine, s->g.now);
  if (what < 3) {
    do_start(s);
  } else if (what < 10) {
    event_of_one(s, what - 3);
  } else if (what < 12) {
    do_retry(s);
  } else if (what < 15) {
    do_pass(s);
  } else if (pick(s, 6) == 0) {
    byn_restart_stop(&s->g.machine);
    shut_down(&s->m, "end(asked)");
  }
  rig_run_plan(&s->g);
  pass(&s->m, s->m.now);
  compare(s);
}

static void open_script(script *s, uint64_t seed, const byn_alloc *alloc) {
  memset(s, 0, sizeof *s);
  s->seed = s->m.seed = seed;
  byn_rng_seed(&s->rng, seed);
  byn_restart_flags flags = {.strategy = (uint8_t)pick(s, 3),
                             .auto_shutdown = (uint8_t)pick(s, 3),
                             .max_restarts = (uint32_t)pick(s, 8),
                             .period = 200,
                             .max_children = UINT32_MAX};
  if (pick(s, 4) == 0) {
    flags.dynamic = true;
    flags.strategy = BYN_ONE_FOR_ONE;
    flags.max_children = 4;
  }
  s->m.flags = flags;
  rig_open(&s->g, alloc, &flags);
  s->g.quiet = true;
  s->g.owner = s;
  s->g.start_script = rig_drawn_start;
  s->g.stop_script = rig_drawn_stop;
}

static void run_script(script *s, uint64_t seed, const byn_alloc *alloc) {
  open_script(s, seed, alloc);
  int children = s->m.flags.dynamic ? 0 : (int)pick(s, MOST);
  for (int i = 0; i < children; i++) {
    new_child(s, i);
    byn_restart_add(&s->g.machine, &s->g.children[i].core);
  }
  boot(&s->m);
  byn_restart_boot(&s->g.machine);
  rig_run_plan(&s->g);
  compare(s);
  for (int n = 0; n < EVENTS && !s->m.ended; n++)
    event(s);
  rig_close(&s->g);
}

static uint64_t from_environment(const char *name, uint64_t otherwise) {
  const char *text = getenv(name);
  return text ? strtoull(text, NULL, 10) : otherwise;
}

static void it_agrees_with_the_model_on_random_scripts(void **state) {
  (void)state;
  static script s;
  byn_test_alloc watch = {0};
  byn_alloc alloc = byn_test_allocator(&watch);
  uint64_t first = from_environment("BYN_SEED", 1);
  uint64_t scripts = byn_test_plays(1000000);
  for (uint64_t seed = first; seed < first + scripts; seed++)
    run_script(&s, seed, &alloc);
  byn_test_assert_clean(&watch);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(it_agrees_with_the_model_on_random_scripts),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
