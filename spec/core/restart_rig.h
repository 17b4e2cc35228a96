/* A supervisor without processes: does what the machine says, as the script
 * of each child tells it, and writes a trace that a test can read:
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

enum { RIG_CHILDREN = 26, RIG_TRACE = 4096 };

typedef enum rig_start { STARTS_WELL, FAILS, IGNORES } rig_start;

typedef struct rig_child {
  byn_child core; /* first: the machine's pointer is ours */
  char name;
  bool known;
  unsigned hangs;    /* bit n: does not stop when asked for the n-th time */
  rig_start next[8]; /* of the next starts; then they start well */
  int starts, stops;
} rig_child;

#define HANGS (~0u) /* whenever it is asked to stop */

typedef struct rig {
  byn_restart machine;
  rig_child children[RIG_CHILDREN];
  char trace[RIG_TRACE];
  size_t length;
  int64_t now;
  int retries; /* RETRYs not yet answered */
  bool ended;
  int cause;
} rig;

static inline void rig_note(rig *g, const char *what, const byn_child *c,
                            const char *after) {
  char name[2] = {c ? ((const rig_child *)c)->name : 0, 0};
  int n = snprintf(g->trace + g->length, RIG_TRACE - g->length, "%s%s%s%s",
                   g->length ? " " : "", what, name, after);
  assert_true(n > 0 && g->length + (size_t)n < RIG_TRACE);
  g->length += (size_t)n;
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

static inline void rig_start_it(rig *g, byn_child *core) {
  rig_child *c = (rig_child *)core;
  rig_start how = c->starts < 8 ? c->next[c->starts] : STARTS_WELL;
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
  rig_note(g, "", c, ".");
  byn_restart_stopped(&g->machine, c);
}

static inline void rig_end(rig *g, const byn_restart_action *a) {
  static const char *const causes[] = {"asked", "gave up", "auto", "boot"};
  char text[32];
  snprintf(text, sizeof text, "end(%s)", causes[a->cause]);
  rig_note(g, text, NULL, "");
  assert_false(g->ended);
  g->ended = true;
  g->cause = a->cause;
}

static inline bool rig_hangs(byn_child *core) {
  rig_child *c = (rig_child *)core;
  bool hang = c->hangs >> (c->stops & 31) & 1;
  c->stops++;
  return hang && core->shutdown != BYN_SHUTDOWN_KILL;
}

static inline void rig_do(rig *g, const byn_restart_action *a) {
  switch (a->what) {
  case BYN_DO_START:
    rig_note(g, "+", a->child, "");
    rig_start_it(g, a->child);
    break;
  case BYN_DO_STOP:
    rig_note(g, "-", a->child, "");
    if (!rig_hangs(a->child)) rig_stopped(g, a->child);
    break;
  case BYN_DO_KILL:
    rig_note(g, "*", a->child, "");
    rig_stopped(g, a->child);
    break;
  case BYN_DO_RETRY:
    rig_note(g, "~", NULL, "");
    g->retries++;
    break;
  case BYN_DO_FORGET:
    rig_note(g, "x", a->child, "");
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

/* Runs until the plan under way is done, time passing where it waits. */
static inline void rig_settle(rig *g) {
  rig_run(g);
  while (byn_restart_busy(&g->machine) && !g->ended) {
    int64_t deadline = byn_restart_deadline(&g->machine);
    assert_true(deadline != BYN_NEVER);
    if (deadline > g->now) g->now = deadline;
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

#define rig_expect(g, text)                                                    \
  do {                                                                         \
    assert_string_equal((g)->trace, text);                                     \
    (g)->length = 0;                                                           \
    (g)->trace[0] = 0;                                                         \
  } while (0)

#endif
