/* Entities: stopped for want of messages, kept by their owners, woken. */
#include "entity.h"

#include "../assert.h"
#include "../coverage.h"
#include "candidate.h"
#include "checkpoint.h"
#include "collect.h"
#include "move.h"
#include "quorum.h"
#include "run.h"

BYN_MACHINE("dist: an idle entity", "running stopping idle none",
            "rest kept ended keep over leave woken elsewhere collect");

enum { RUNNING, STOPPING, IDLE, NONE };

static bool is_owner(const byn_dist *d, const byn_place *p) {
  byn_peer *owner = NULL;
  return byn_candidate_owner(d, p->hash, &owner) && !owner;
}

/* --- to rest -------------------------------------------------------------- */

bool byn_entity_rest(byn_dist *d, byn_run *run) {
  const byn_place *p = run->place;
  const byn_generation *g = byn_place_find(p, run->token);
  if (run->state != BYN_RUN_RUNNING || !g || g->ended) return false;
  if (!(g->flags & BYN_DIST_ENTITY) || d->leaving || !d->hosts) return false;
  /* Of two copies one is to stop, and it is not decided here which. */
  const byn_register *winner = byn_place_running(p, d->newest, NULL);
  if (!winner || winner->host != d->self) return false;
  if (!byn_move_rest(d, run)) return false;
  BYN_COVER(RUNNING, "rest");
  return true;
}

/* The run stays, without a process: it is kept by this node. */
static void become_idle(byn_dist *d, byn_run *run) {
  byn_timers_cancel(d->timers, run->backoff.timer, NULL);
  run->backoff.timer = 0;
  byn_blob_clear(&run->pid, &d->alloc);
  byn_blob_clear(&run->winner, &d->alloc);
  byn_intensity_clear(&run->intensity);
  byn_move_forget(d, run);
  run->state = BYN_RUN_IDLE;
  run->again = true;
  d->idle_count++;
  byn_registry_touch(&d->registry, run->place);
}

void byn_entity_rested(byn_dist *d, byn_run *run, byn_generation *g) {
  byn_place *p = run->place;
  byn_assert(run->state == BYN_RUN_STOPPING && !g->ended);
  if (!g->kept) {
    BYN_COVER(STOPPING, "ended");
    byn_end_reason end = {.why = BYN_DIST_WHY_IDLE};
    byn_run_end(d, p, g, &end);
    byn_run_free(d, run);
    return;
  }
  BYN_COVER(STOPPING, "kept");
  g->idle = 2 * byn_registry_stamp(&d->registry) + 1;
  g->failures = (byn_failures){.version = g->failures.version};
  byn_written w = {.state = BYN_REGISTER_NONE, .why = BYN_DIST_WHY_IDLE};
  byn_run_write(d, p, g, &w);
  become_idle(d, run);
}

/* --- while it is idle ----------------------------------------------------- */

void byn_entity_collect(byn_dist *d, byn_run *run) {
  byn_assert(run->state == BYN_RUN_IDLE);
  BYN_COVER(IDLE, "collect");
  run->collected = false;
  byn_checkpoint_forget_held(run);
  byn_collect_begin(d, run);
}

void byn_entity_keep(byn_dist *d, byn_place *p, byn_generation *g) {
  byn_assert(byn_generation_is_idle(g) && !p->run);
  if (!d->open || d->leaving || !g->spec_set || !is_owner(d, p)) return;
  byn_run *run = byn_run_new(d, p, g);
  if (!run) return;
  if (!byn_run_number(d, run)) {
    byn_run_free(d, run);
    return;
  }
  BYN_COVER(NONE, "keep");
  become_idle(d, run);
  byn_entity_collect(d, run);
}

/* What was asked for here is started here, if that may be, without being
 * collected again. */
static bool may_start_kept(byn_dist *d, const byn_run *run,
                           const byn_generation *g) {
  const byn_register *last = NULL;
  bool room = !d->max_children || byn_dist_busy(d) < d->max_children;
  return room && d->open && !d->held && g->failures.count == 0 &&
         byn_place_live(run->place, d->newest) == g &&
         !byn_generation_active(g) &&
         byn_candidate_of(d, run->place, g, &last) == BYN_CANDIDATE_SELF;
}

void byn_entity_review(byn_dist *d, byn_run *run, byn_generation *g) {
  byn_assert(run->state == BYN_RUN_IDLE);
  if (!g || g->ended) {
    BYN_COVER(IDLE, "over");
    byn_run_free(d, run);
  } else if (d->leaving || !d->hosts || !byn_quorum_runs(d)) {
    BYN_COVER(IDLE, "leave");
    byn_run_free(d, run);
  } else if (byn_generation_is_idle(g)) {
    if (is_owner(d, run->place)) return;
    BYN_COVER(IDLE, "elsewhere");
    byn_run_free(d, run);
  } else if (may_start_kept(d, run, g)) {
    BYN_COVER(IDLE, "woken");
    run->state = BYN_RUN_QUEUED;
    d->idle_count--;
    if (run->collected) byn_run_enlist(&d->restarts, run);
  } else {
    BYN_COVER(IDLE, "elsewhere");
    byn_run_free(d, run);
  }
}

void byn_entity_wake(byn_dist *d, byn_place *p, byn_generation *g) {
  byn_assert(byn_generation_is_idle(g));
  g->idle = 2 * byn_registry_stamp(&d->registry);
  byn_registry_changed(&d->registry, p);
  byn_registry_publish(&d->registry, p, false);
}

/* --- a node that leaves --------------------------------------------------- */

bool byn_entity_holds_back(const byn_dist *d) {
  return d->leaving && d->idle_held > 0 && d->now < d->leave_until;
}
