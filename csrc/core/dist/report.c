/* What becomes of this node's runs: starts, crashes, ends. */
#include "report.h"

#include "../assert.h"
#include "../coverage.h"
#include "checkpoint.h"
#include "entity.h"
#include "move.h"
#include "run.h"
#include "told.h"

BYN_MACHINE("dist: a child of this node",
            "queued starting running stopping waiting idle",
            "started unwanted error refused timeout ignore exited crashed "
            "failing stopped gone wait_over healed");

enum {
  RETAKE_MS = 1000,
  RETAKE_MOST_MS = 30000,
  GONE_MS = 5000 /* the others take so long to hold a checkpoint, at most */
};

static byn_run *ended_run(byn_dist *d, uint32_t child) {
  byn_run *run = byn_run_find(d, child);
  if (!run) return NULL;
  bool may_end = run->under_way || run->state == BYN_RUN_RUNNING ||
                 run->state == BYN_RUN_STOPPING;
  if (!may_end || run->gone) return NULL;
  if (run->under_way) byn_run_end_start(run);
  byn_run_delist(run);
  byn_timers_cancel(d->timers, run->backoff.timer, NULL);
  return run;
}

/* The generation of a run; NULL where that is over. */
static byn_generation *going(const byn_run *run) {
  byn_generation *g = byn_place_find(run->place, run->token);
  return g && !g->ended ? g : NULL;
}

/* --- ends ----------------------------------------------------------------- */

static void end_child(byn_dist *d, byn_run *run, byn_dist_why why,
                      byn_dist_bytes reason) {
  byn_place *p = run->place;
  byn_generation *g = going(run);
  if (g) {
    byn_end_reason end = {.why = (uint8_t)why,
                          .reason = reason,
                          .pid = {run->pid.at, run->pid.n},
                          .node = d->self->name};
    byn_run_end(d, p, g, &end);
  }
  byn_run_free(d, run);
}

/* Where there is no memory for the reason, without it: the state of a register
 * that is there must not stay behind what becomes of its run. */
static void write_state(byn_dist *d, byn_run *run, byn_generation *g,
                        byn_register_state state, byn_dist_why why,
                        byn_dist_bytes reason) {
  byn_written w = {.state = state, .why = (uint8_t)why, .reason = reason};
  if (byn_run_write(d, run->place, g, &w)) return;
  w.reason = (byn_dist_bytes){0};
  byn_run_write(d, run->place, g, &w);
}

/* The process is gone, the child is not: it is anybody's. */
static void leave_child(byn_dist *d, byn_run *run, byn_dist_why why,
                        byn_dist_bytes reason) {
  byn_generation *g = going(run);
  if (g) write_state(d, run, g, BYN_REGISTER_NONE, why, reason);
  byn_run_free(d, run);
}

static void queue_again(byn_dist *d, byn_run *run) {
  run->state = BYN_RUN_QUEUED;
  run->again = true;
  byn_run_enlist(&d->restarts, run);
}

static void tell_failing(byn_dist *d, const byn_run *run,
                         const byn_generation *g, int64_t wait) {
  byn_told *t =
      byn_told_add(d, BYN_DIST_CHILD_FAILING, run->place, d->self->name);
  if (!t) return;
  t->why = (byn_dist_why)g->failures.why;
  t->count = g->failures.count;
  t->wait_ms = wait;
  t->child = run->child;
  const byn_blob *reason = &g->failures.reason;
  byn_blob_set(&t->reason, &d->alloc, reason->at, reason->n);
}

static void escalate(byn_dist *d, const byn_run *run, byn_dist_why why,
                     byn_dist_bytes reason) {
  byn_told *t =
      byn_told_add(d, BYN_DIST_CHILD_FAILING, run->place, d->self->name);
  if (!t) return;
  t->escalates = true;
  t->child = run->child;
  t->why = why;
  byn_blob_set(&t->reason, &d->alloc, reason.at, reason.n);
}

/* It is set aside, and tried again later. */
static void fail_child(byn_dist *d, byn_run *run, byn_generation *g,
                       byn_dist_why why, byn_dist_bytes reason) {
  BYN_COVER(run->state, "failing");
  uint32_t count = g->failures.count;
  if (count < UINT32_MAX) count++;
  byn_run_write_failures(d, run->place, g, count, (uint8_t)why, reason);
  int64_t wait = byn_backoff_next(&run->backoff, d->now, true, &d->rng);
  write_state(d, run, g, BYN_REGISTER_WAITING, why, reason);
  run->state = BYN_RUN_WAITING;
  run->again = true;
  byn_run_set_timer(d, run, d->now + wait);
  tell_failing(d, run, g, wait);
}

/* The process ended, or did not start, and the child is to go on. */
static void restart_child(byn_dist *d, byn_run *run, byn_generation *g,
                          byn_dist_why why, byn_dist_bytes reason) {
  BYN_COVER(run->state, "crashed");
  byn_blob_clear(&run->pid, &d->alloc);
  byn_intensity *limit = d->escalate ? &d->intensity : &run->intensity;
  bool within = g->failures.count == 0 && byn_intensity_add(limit, d->now);
  if (!within && d->escalate) escalate(d, run, why, reason);
  if (!within) {
    fail_child(d, run, g, why, reason);
    return;
  }
  write_state(d, run, g, BYN_REGISTER_STARTING, why, reason);
  queue_again(d, run);
}

/* A process that was told to stop has ended. */
static void finish_stop(byn_dist *d, byn_run *run, byn_dist_bytes reason) {
  BYN_COVER(run->state, "stopped");
  byn_place *p = run->place;
  byn_generation *g = going(run);
  byn_dist_why why = (byn_dist_why)run->stop_why;
  byn_generation *other = NULL;
  const byn_register *winner = byn_place_running(p, d->newest, &other);
  if (winner && winner->host == d->self) winner = NULL;
  if (!g) {
    byn_run_free(d, run);
  } else if (why == BYN_DIST_WHY_IDLE) {
    byn_entity_rested(d, run, g);
  } else if (why == BYN_DIST_WHY_TERMINATED) {
    end_child(d, run, why, reason);
  } else if (why == BYN_DIST_WHY_MOVED) {
    byn_move_finish(d, run, g);
    leave_child(d, run, why, reason);
  } else if (why == BYN_DIST_WHY_CONFLICT && winner && other != g &&
             byn_generation_outlasts(other, g, d->newest) &&
             !byn_generation_may_run(g, d->self)) {
    end_child(d, run, why, reason);
  } else if (why == BYN_DIST_WHY_LEFT && (g->flags & BYN_DIST_TEMPORARY) &&
             g->ran) {
    end_child(d, run, why, reason);
  } else {
    leave_child(d, run, why, reason);
  }
}

/* It left its node: who starts it next is to find its checkpoint. */
static bool waits_for_copies(byn_dist *d, byn_run *run) {
  const byn_generation *g = going(run);
  bool moved = run->stop_why == BYN_DIST_WHY_MOVED;
  bool waits = moved || run->stop_why == BYN_DIST_WHY_LEFT ||
               run->stop_why == BYN_DIST_WHY_IDLE;
  if (!g || ((g->flags & BYN_DIST_TEMPORARY) && !moved)) return false;
  return d->attached && waits && !byn_checkpoint_is_safe(d, run);
}

static void await_copies(byn_dist *d, byn_run *run, byn_dist_bytes reason) {
  BYN_COVER(run->state, "gone");
  run->gone = true;
  byn_blob_set(&run->gone_reason, &d->alloc, reason.at, reason.n);
  byn_run_set_timer(d, run, d->now + GONE_MS);
  byn_registry_touch(&d->registry, run->place);
}

static void finish_gone(byn_dist *d, byn_run *run) {
  byn_assert(run->gone && run->state == BYN_RUN_STOPPING);
  byn_blob reason = run->gone_reason;
  run->gone_reason = (byn_blob){0};
  run->gone = false;
  byn_timers_cancel(d->timers, run->backoff.timer, NULL);
  finish_stop(d, run, (byn_dist_bytes){reason.at, reason.n});
  byn_blob_clear(&reason, &d->alloc);
}

void byn_report_review_gone(byn_dist *d, byn_run *run) {
  if (!waits_for_copies(d, run)) finish_gone(d, run);
}

/* --- reports -------------------------------------------------------------- */

/* The host that ran it before, if that was another. */
static const char *last_host(const byn_dist *d, const byn_generation *g) {
  const byn_register *last = NULL;
  for (const byn_register *r = g->registers; r; r = r->next)
    if (r->host != d->self && !r->host->dropped && r->run &&
        (!last || r->begun > last->begun))
      last = r;
  return last ? last->host->name : NULL;
}

static void tell_moved(byn_dist *d, const byn_run *run,
                       const byn_generation *g) {
  const char *from = g->idle ? NULL : last_host(d, g);
  if (!from) return;
  byn_told *t = byn_told_add(d, BYN_DIST_MOVED, run->place, d->self->name);
  if (t) byn_blob_set(&t->from, &d->alloc, from, strlen(from));
}

bool byn_report_started(byn_dist *d, uint32_t child, byn_dist_bytes pid) {
  byn_run *run = byn_run_find(d, child);
  if (!run || !run->under_way) return false;
  byn_assert(pid.at);
  byn_run_end_start(run);
  byn_generation *g = going(run);
  byn_written w = {.state = BYN_REGISTER_RUNNING,
                   .run = byn_rng_next(&d->rng) | 1,
                   .begun = byn_registry_stamp(&d->registry),
                   .history = run->history,
                   .pid = pid};
  if (w.history == 0) w.history = w.begun;
  bool kept = byn_blob_set(&run->pid, &d->alloc, pid.at, pid.n);
  if (run->state == BYN_RUN_STARTING && g && kept &&
      byn_run_write(d, run->place, g, &w)) {
    BYN_COVER(run->state, "started");
    run->state = BYN_RUN_RUNNING;
    if (run->id == 0) tell_moved(d, run, g);
    run->id = w.run;
    run->begun = w.begun;
    run->history = w.history;
    byn_checkpoint_resumed(d, run, g);
    byn_backoff_started(&run->backoff, d->now);
    if (g->failures.count > 0) byn_run_set_timer(d, run, d->now + d->max_ms);
    return true;
  }
  BYN_COVER(run->state, "unwanted");
  if (run->state == BYN_RUN_STARTING) {
    run->state = BYN_RUN_STOPPING;
    run->stop_why = g ? BYN_DIST_WHY_NONE : BYN_DIST_WHY_ENDED;
  }
  byn_run_enlist(&d->stops, run);
  return false;
}

static void refuse(byn_dist *d, byn_run *run, byn_generation *g,
                   byn_dist_bytes reason) {
  BYN_COVER(run->state, "refused");
  write_state(d, run, g, BYN_REGISTER_REFUSED, BYN_DIST_WHY_REFUSED, reason);
  byn_run_free(d, run);
}

void byn_report_failed(byn_dist *d, uint32_t child, byn_dist_failure kind,
                       byn_dist_bytes reason) {
  byn_run *run = ended_run(d, child);
  if (!run) return;
  byn_generation *g = going(run);
  bool first = g && !run->again && !byn_generation_may_have_run(g);
  bool timeout = kind == BYN_DIST_FAILED_TIMEOUT;
  byn_dist_why why = timeout ? BYN_DIST_WHY_TIMEOUT : BYN_DIST_WHY_START_ERROR;
  if (run->state != BYN_RUN_STARTING) {
    finish_stop(d, run, reason);
  } else if (!g) {
    byn_run_free(d, run);
  } else if (kind == BYN_DIST_FAILED_REFUSED) {
    refuse(d, run, g, reason);
  } else if (kind == BYN_DIST_FAILED_IGNORE) {
    BYN_COVER(run->state, "ignore");
    end_child(d, run, BYN_DIST_WHY_IGNORE, reason);
  } else if (first) {
    BYN_COVER_NTH(run->state, timeout ? 4u : 2u);
    end_child(d, run, why, reason);
  } else {
    restart_child(d, run, g, why, reason);
  }
}

void byn_report_exited(byn_dist *d, uint32_t child, bool normal,
                       byn_dist_bytes reason) {
  byn_run *run = ended_run(d, child);
  if (!run) return;
  BYN_COVER(run->state, "exited");
  byn_generation *g = going(run);
  if (run->state == BYN_RUN_RUNNING)
    byn_move_drop(d, run, BYN_DIST_HANDOFF_FAILED, reason);
  if (run->state == BYN_RUN_STOPPING && waits_for_copies(d, run)) {
    await_copies(d, run, reason);
  } else if (run->state == BYN_RUN_STOPPING) {
    finish_stop(d, run, reason);
  } else if (!g) {
    byn_run_free(d, run);
  } else if ((g->flags & BYN_DIST_TEMPORARY) ||
             ((g->flags & BYN_DIST_TRANSIENT) && normal)) {
    end_child(d, run, BYN_DIST_WHY_EXITED, reason);
  } else if (d->leaving) {
    leave_child(d, run, BYN_DIST_WHY_EXITED, reason);
  } else {
    restart_child(d, run, g, BYN_DIST_WHY_EXITED, reason);
  }
}

void byn_report_handoff_failed(byn_dist *d, uint32_t child,
                               byn_dist_bytes reason) {
  byn_run *run = byn_run_find(d, child);
  if (!run || run->state != BYN_RUN_STOPPING || run->gone || run->list) return;
  if (run->stop_why == BYN_DIST_WHY_MOVED || run->stop_why == BYN_DIST_WHY_IDLE)
    byn_move_failed(d, run, reason);
  else /* it was to be stopped for another reason meanwhile */
    byn_run_enlist(&d->stops, run);
}

void byn_report_due(byn_dist *d, byn_run *run) {
  run->backoff.timer = 0;
  byn_generation *g = going(run);
  if (run->gone) {
    finish_gone(d, run);
    return;
  }
  if (run->state == BYN_RUN_WAITING) {
    BYN_COVER(run->state, "wait_over");
    queue_again(d, run);
    return;
  }
  if (run->state != BYN_RUN_RUNNING || !g) return;
  BYN_COVER(run->state, "healed");
  run->backoff.wait = 0;
  byn_intensity_clear(&run->intensity);
  byn_run_write_failures(d, run->place, g, 0, BYN_DIST_WHY_NONE,
                         (byn_dist_bytes){0});
}

/* --- refusals ------------------------------------------------------------- */

static void take_back(byn_dist *d, byn_place *p, uint32_t *room,
                      uint32_t *left) {
  byn_generation *g = p->generations;
  for (; g; g = g->next) {
    byn_register *own = byn_register_find(g, d->self);
    if (!own || own->state != BYN_REGISTER_REFUSED) continue;
    bool for_room = own->why == BYN_DIST_WHY_NO_ROOM;
    bool waits = !byn_generation_active(g);
    bool gone = for_room ? *room > 0 && !g->withheld : d->retake_all && waits;
    byn_written w = {.state = BYN_REGISTER_NONE};
    if (gone && byn_run_write(d, p, g, &w))
      *room -= for_room;
    else
      (*left)++;
  }
}

void byn_report_retake_due(byn_dist *d) {
  if (d->refusals == 0) {
    d->retake_wait = 0;
    return;
  }
  bool due = d->retake_wait && d->now >= d->retake_at;
  d->retake_all |= due;
  if (d->retake_wait && !due) return;
  d->retake_wait = due ? 2 * d->retake_wait : RETAKE_MS;
  if (d->retake_wait > RETAKE_MOST_MS) d->retake_wait = RETAKE_MOST_MS;
  d->retake_at = d->now + d->retake_wait;
}

void byn_report_retake(byn_dist *d) {
  if (d->refusals > 0 && (d->retake_room || d->retake_all)) {
    uint32_t room = UINT32_MAX, left = 0;
    uint32_t busy = byn_dist_busy(d);
    if (d->max_children)
      room = busy < d->max_children ? d->max_children - busy : 0;
    const byn_tree *tree = &d->registry.tree;
    for (byn_place *p = byn_tree_first(tree); p; p = byn_tree_next(tree, p))
      take_back(d, p, &room, &left);
    d->refusals = left;
    d->retake_room = left > 0;
  } else {
    d->retake_room = false;
  }
  d->retake_all = false;
}
