/* A supervisor without processes: does what the machine says, as each child's
 * script has it, and writes a trace that a test can read:
 *
 *   +a  start a      a+  it started     a?  it wanted not to run    a!  failed
 *   -a  stop a       *a  kill a         a.  it has stopped
 *   ~   retry later  xa  forget a       ok  done
 *   give_up(a)       end(cause)
 */
#ifndef BYN_RESTART_RIG_H
#define BYN_RESTART_RIG_H

#include <stdio.h>

#include "support.h"

#include "../../csrc/core/restart.h"

enum { RIG_CHILDREN = 26, TRACE_SIZE = 4096 };

/* --- what happened, as text ----------------------------------------------- */

typedef struct rig_trace {
  size_t length;
  char text[TRACE_SIZE];
} rig_trace;

static inline void trace_clear(rig_trace *t) {
  t->length = 0;
  t->text[0] = 0;
}

static inline void trace_text(rig_trace *t, const char *text) {
  size_t n = strlen(text);
  assert_true(t->length + n < TRACE_SIZE);
  memcpy(t->text + t->length, text, n + 1);
  t->length += n;
}

/* Adds a word, such as "-a" or "give_up(a)"; `name` may be 0. */
static inline void trace_word(rig_trace *t, const char *before, char name,
                              const char *after) {
  const char letter[2] = {name, 0};
  if (t->length) trace_text(t, " ");
  trace_text(t, before);
  trace_text(t, letter);
  trace_text(t, after);
}

/* --- the supervisor ------------------------------------------------------- */

typedef enum rig_start { STARTS_WELL, FAILS, IGNORES } rig_start;

typedef struct rig_child {
  byn_child core; /* first: the machine's pointer is ours */
  char name;
  bool known;
  unsigned hangs;    /* bit n: does not stop when asked for the n-th time */
  rig_start next[8]; /* of the next starts; then they start well */
  int starts, stops;
  int64_t stops_at; /* when it does what it was asked to do late; or 0 */
} rig_child;

#define HANGS (~0u) /* whenever it is asked to stop */

typedef struct rig {
  byn_restart machine;
  rig_child children[RIG_CHILDREN];
  rig_trace trace;
  int64_t now;
  int retries; /* RETRYs not yet answered */
  bool quiet;  /* leaves RETRY and FORGET out of the trace */
  bool ended;
  int cause;
  /* In place of `next` and `hangs`, where given: how the child's next start
   * goes, and how long it takes to stop, in ms: 0, or RIG_FOR_EVER. */
  rig_start (*start_script)(struct rig *g, const rig_child *c);
  int64_t (*stop_script)(struct rig *g, const rig_child *c);
  const void *owner; /* the scripts' own */
} rig;

#define RIG_FOR_EVER INT64_MAX

static inline void rig_note(rig *g, const char *what, const byn_child *c,
                            const char *after) {
  trace_word(&g->trace, what, c ? ((const rig_child *)c)->name : 0, after);
}

static inline void rig_open(rig *g, const byn_alloc *alloc,
                            const byn_restart_flags *flags) {
  memset(g, 0, sizeof *g);
  byn_restart_init(&g->machine, alloc, flags);
  for (int i = 0; i < RIG_CHILDREN; i++)
    g->children[i].name = (char)('a' + i);
}

static inline void rig_close(rig *g) {
  byn_restart_clear(&g->machine);
}

static inline rig_child *rig_at(rig *g, char name) {
  return &g->children[name - 'a'];
}

/* A fresh child of that name: permanent, with 100 ms to stop. */
static inline rig_child *rig_child_new(rig *g, char name) {
  rig_child *c = rig_at(g, name);
  assert_false(c->known);
  memset(c, 0, sizeof *c);
  c->name = name;
  c->known = true;
  c->core.shutdown = 100;
  return c;
}

static inline rig_start rig_how_it_starts(rig *g, const rig_child *c) {
  if (g->start_script) return g->start_script(g, c);
  return c->starts < 8 ? c->next[c->starts] : STARTS_WELL;
}

static inline void rig_start_it(rig *g, byn_child *core) {
  rig_child *c = (rig_child *)core;
  rig_start how = rig_how_it_starts(g, c);
  c->starts++;
  assert_int_equal(core->state, BYN_CHILD_STARTING);
  if (how == STARTS_WELL) {
    rig_note(g, "", core, "+");
    byn_restart_started(&g->machine, core);
  } else if (how == IGNORES) {
    rig_note(g, "", core, "?");
    byn_restart_ignored(&g->machine, core);
  } else {
    rig_note(g, "", core, "!");
    byn_restart_failed(&g->machine, core);
  }
}

static inline void rig_stopped(rig *g, byn_child *c) {
  ((rig_child *)c)->stops_at = 0;
  rig_note(g, "", c, ".");
  byn_restart_stopped(&g->machine, c);
}

static inline void rig_end(rig *g, const byn_restart_action *a) {
  static const char *const causes[] = {"end(asked)", "end(gave up)",
                                       "end(auto)", "end(boot)"};
  rig_note(g, causes[a->cause], NULL, "");
  assert_false(g->ended);
  g->ended = true;
  g->cause = a->cause;
}

static inline int64_t rig_how_long_it_stops(rig *g, const rig_child *c) {
  if (c->core.shutdown == BYN_SHUTDOWN_KILL) return 0;
  if (g->stop_script) return g->stop_script(g, c);
  return c->hangs >> (c->stops & 31) & 1 ? RIG_FOR_EVER : 0;
}

static inline void rig_stop_it(rig *g, byn_child *core) {
  rig_child *c = (rig_child *)core;
  int64_t wait = rig_how_long_it_stops(g, c);
  c->stops++;
  if (wait == 0)
    rig_stopped(g, core);
  else if (wait != RIG_FOR_EVER)
    c->stops_at = g->now + wait;
}

static inline void rig_do(rig *g, const byn_restart_action *a) {
  switch (a->what) {
  case BYN_DO_START:
    rig_note(g, "+", a->child, "");
    rig_start_it(g, a->child);
    break;
  case BYN_DO_STOP:
    rig_note(g, "-", a->child, "");
    rig_stop_it(g, a->child);
    break;
  case BYN_DO_KILL:
    rig_note(g, "*", a->child, "");
    rig_stopped(g, a->child);
    break;
  case BYN_DO_RETRY:
    if (!g->quiet) rig_note(g, "~", NULL, "");
    g->retries++;
    break;
  case BYN_DO_FORGET:
    if (!g->quiet) rig_note(g, "x", a->child, "");
    ((rig_child *)a->child)->known = false;
    break;
  case BYN_DO_DONE:
    assert_true(!a->child || ((rig_child *)a->child)->known);
    rig_note(g, "ok", NULL, "");
    break;
  case BYN_DO_GIVE_UP:
    rig_note(g, "give_up(", a->child, ")");
    break;
  case BYN_DO_END:
    rig_end(g, a);
    break;
  }
}

/* Does all there is to do at this instant. */
static inline void rig_run(rig *g) {
  byn_restart_action a;
  byn_restart_time(&g->machine, g->now);
  while (byn_restart_next(&g->machine, &a))
    rig_do(g, &a);
}

/* Lets time pass. */
static inline void rig_pass(rig *g, int64_t ms) {
  g->now += ms;
  rig_run(g);
}

/* The next to stop late, or NULL. */
static inline rig_child *rig_next_to_stop(rig *g) {
  rig_child *next = NULL;
  for (rig_child *c = g->children; c < g->children + RIG_CHILDREN; c++)
    if (c->stops_at && (!next || c->stops_at < next->stops_at)) next = c;
  return next;
}

/* Runs until the plan under way is done, time passing where it waits. */
static inline void rig_run_plan(rig *g) {
  rig_run(g);
  while (byn_restart_busy(&g->machine) && !g->ended) {
    int64_t deadline = byn_restart_deadline(&g->machine);
    rig_child *c = rig_next_to_stop(g);
    bool stops = c && c->stops_at < deadline;
    if (stops) deadline = c->stops_at;
    assert_true(deadline != BYN_NEVER);
    if (deadline > g->now) g->now = deadline;
    byn_restart_time(&g->machine, g->now);
    if (stops) rig_stopped(g, &c->core);
    rig_run(g);
  }
}

/* Answers one RETRY, as the owner would when its turn comes. */
static inline void rig_retry(rig *g) {
  assert_true(g->retries > 0);
  g->retries--;
  byn_restart_time(&g->machine, g->now);
  byn_restart_retry(&g->machine);
  rig_run(g);
}

static inline void rig_exit(rig *g, char name, bool normal) {
  byn_restart_time(&g->machine, g->now);
  byn_restart_exited(&g->machine, &rig_at(g, name)->core, normal);
  rig_run(g);
}

#define rig_expect(g, expected)                                                \
  do {                                                                         \
    assert_string_equal((g)->trace.text, expected);                            \
    trace_clear(&(g)->trace);                                                  \
  } while (0)

#endif
