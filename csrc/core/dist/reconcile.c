/* What should run here against what runs here. */
#include "reconcile.h"

#include "../assert.h"
#include "../coverage.h"
#include "candidate.h"
#include "checkpoint.h"
#include "collect.h"
#include "entity.h"
#include "move.h"
#include "quorum.h"
#include "record.h"
#include "relay.h"
#include "run.h"
#include "told.h"

BYN_MACHINE("dist: what should run",
            "queued starting running stopping waiting none idle",
            "over leave elsewhere lost_conflict won start refused temporary "
            "no_room withheld held terminate handed_over resolve");

enum { CONFIRM_MS = 1000 };

/* --- the run that is here ------------------------------------------------- */

void byn_reconcile_stop(byn_dist *d, byn_run *run, byn_dist_why why) {
  byn_assert(run->state == BYN_RUN_STARTING || run->state == BYN_RUN_RUNNING);
  bool is_over = why == BYN_DIST_WHY_ENDED || why == BYN_DIST_WHY_TERMINATED;
  if (why != BYN_DIST_WHY_MOVED && why != BYN_DIST_WHY_IDLE)
    byn_move_drop(d, run, is_over ? BYN_DIST_NOT_FOUND : BYN_DIST_OK,
                  (byn_dist_bytes){0});
  byn_timers_cancel(d->timers, run->backoff.timer, NULL);
  run->state = BYN_RUN_STOPPING;
  run->stop_why = (uint8_t)why;
  byn_run_enlist(&d->stops, run);
}

/* It waits to be started, and no process of it is here: it is not this node's
 * any more. */
static void give_up(byn_dist *d, byn_run *run, byn_generation *g,
                    byn_dist_why why) {
  byn_assert(!run->under_way && !run->pid.at);
  byn_place *p = run->place;
  byn_register *own = g && !g->ended ? byn_register_find(g, d->self) : NULL;
  if (own && own->state != BYN_REGISTER_NONE) {
    byn_written w = {.state = BYN_REGISTER_NONE, .why = (uint8_t)why};
    byn_run_write(d, p, g, &w);
  }
  byn_run_free(d, run);
}

/* This node runs no children. */
static bool must_leave(const byn_dist *d) {
  return d->leaving || !d->hosts || !byn_quorum_runs(d);
}

/* A process that runs moves to another node. Where there is none it is stopped,
 * if it must not stay; and so are one that gives way to another copy, and each
 * where there is no quorum. */
static void leave(byn_dist *d, byn_run *run, const byn_generation *g) {
  byn_dist_handoff why =
      d->leaving ? BYN_DIST_HANDOFF_LEAVE : BYN_DIST_HANDOFF_DRAIN;
  bool temporary = (g->flags & BYN_DIST_TEMPORARY) != 0;
  const byn_register *winner = byn_place_running(run->place, d->newest, NULL);
  bool loses = winner && winner->host != d->self;
  bool stays = d->drained && !d->leaving;
  if (run->state == BYN_RUN_RUNNING && !loses && byn_quorum_runs(d)) {
    if (stays && !d->draining) return;
    if (!(temporary && d->leaving) && byn_move_want(d, run, why)) return;
    if (stays) return;
  }
  BYN_COVER(run->state, "leave");
  byn_reconcile_stop(d, run, BYN_DIST_WHY_LEFT);
}

/* Somebody else starts or runs it. */
static bool is_elsewhere(const byn_dist *d, const byn_generation *g) {
  for (const byn_register *r = g->registers; r; r = r->next)
    if (r->host != d->self && !r->host->gone && byn_register_is_active(r))
      return true;
  return false;
}

static void add_conflict(byn_dist *d, byn_place *p) {
  if (p->conflicting) return;
  p->conflicting = true;
  p->next_conflict = d->conflicts;
  d->conflicts = p;
}

static byn_peer *peer_of(const byn_dist *d, const byn_host *host) {
  for (byn_peer *peer = d->peers; peer; peer = peer->next)
    if (peer->host == host) return peer;
  return NULL;
}

static void ask_winner(byn_dist *d, byn_run *run, const byn_register *winner) {
  add_conflict(d, run->place);
  if (d->now < run->confirm_at) return;
  byn_peer *peer = peer_of(d, winner->host);
  if (!peer || !byn_relay_reaches(peer)) return;
  run->confirm_at = d->now + CONFIRM_MS;
  byn_buf *b = byn_record_begin(d, BYN_RECORD_CONFIRM);
  byn_record_put_id(b, run->place);
  byn_put_number_field(b, BYN_FIELD_RUN, winner->run);
  byn_put_number_field(b, BYN_FIELD_TOKEN, run->token);
  byn_put_number_field(b, BYN_FIELD_EPOCH, run->epoch);
  byn_relay_send(d, peer);
}

/* Other generations of the id that run nowhere end: there is one child of an
 * id. One that a lost host may still run is left until that host is heard, or
 * dead; one that outlasts the winner waits until that ends. */
static void end_rest(byn_dist *d, byn_place *p, const byn_generation *winner) {
  for (bool ended = true; ended;) {
    ended = false;
    for (byn_generation *g = p->generations; g; g = g->next) {
      if (g->ended || g == winner || byn_generation_may_run(g, NULL) ||
          !byn_generation_outlasts(winner, g, d->newest))
        continue;
      byn_end_reason reason = {.why = BYN_DIST_WHY_CONFLICT,
                               .node = d->self->name};
      byn_run_end(d, p, g, &reason);
      ended = true;
      break;
    }
  }
}

static void review_running(byn_dist *d, byn_run *run, byn_generation *g) {
  byn_place *p = run->place;
  if (!g || g->ended) {
    BYN_COVER(run->state, "over");
    byn_reconcile_stop(d, run, BYN_DIST_WHY_ENDED);
    return;
  }
  byn_move_review(d, run);
  if (run->state == BYN_RUN_STOPPING) return;
  if (must_leave(d)) {
    leave(d, run, g);
    return;
  }
  if (run->state != BYN_RUN_RUNNING) return;
  const byn_register *winner = byn_place_running(p, d->newest, NULL);
  if (winner && winner->host != d->self) {
    BYN_COVER(run->state, "lost_conflict");
    run->loses = true;
    ask_winner(d, run, winner);
  } else if (winner) {
    if (p->live > 1) BYN_COVER(run->state, "won");
    byn_checkpoint_review_rivals(d, run, g);
    end_rest(d, p, g);
  }
}

static void review_run(byn_dist *d, byn_run *run) {
  byn_generation *g = byn_place_find(run->place, run->token);
  if (run->state == BYN_RUN_STOPPING) return;
  if (run->state == BYN_RUN_IDLE) {
    byn_entity_review(d, run, g);
    return;
  }
  if (run->state == BYN_RUN_STARTING || run->state == BYN_RUN_RUNNING) {
    review_running(d, run, g);
    return;
  }
  if (!g || g->ended) {
    BYN_COVER(run->state, "over");
    give_up(d, run, g, BYN_DIST_WHY_ENDED);
  } else if (must_leave(d)) {
    BYN_COVER(run->state, "leave");
    give_up(d, run, g, BYN_DIST_WHY_LEFT);
  } else if (is_elsewhere(d, g) || byn_place_live(run->place, d->newest) != g) {
    BYN_COVER(run->state, "elsewhere");
    give_up(d, run, g, BYN_DIST_WHY_CONFLICT);
  }
}

/* --- a child that nobody runs --------------------------------------------- */

void byn_reconcile_refuse(byn_dist *d, byn_place *p, byn_generation *g,
                          byn_dist_why why, byn_dist_bytes reason) {
  byn_written w = {
      .state = BYN_REGISTER_REFUSED, .why = (uint8_t)why, .reason = reason};
  if (!p->run) byn_run_write(d, p, g, &w);
}

/* There are as many children as may be, or no room for its spec. */
static void refuse_full(byn_dist *d, byn_place *p, byn_generation *g) {
  byn_reconcile_refuse(d, p, g, BYN_DIST_WHY_NO_ROOM, (byn_dist_bytes){0});
}

/* It was moved here just now, and the checkpoint that it left with is here. */
static bool has_arrived(const byn_generation *g) {
  const byn_preference *from = &g->preference;
  if (!g->arrives || !g->checkpoint) return false;
  const byn_checkpoint *c = g->checkpoint;
  return c->epoch > from->epoch ||
         (c->epoch == from->epoch && c->version >= from->version);
}

/* Where it failed already, somewhere, it waits as it would have there. */
static void queue_start(byn_dist *d, byn_place *p, byn_generation *g) {
  byn_run *run = byn_run_new(d, p, g);
  if (!run) {
    d->starved = true;
    return;
  }
  run->again = byn_generation_may_have_run(g);
  run->collected = has_arrived(g);
  if (g->failures.count == 0) {
    bool nested = (g->flags & BYN_DIST_NESTED) != 0;
    byn_run_list *first = nested ? &d->nested_starts : &d->first_starts;
    byn_run_enlist(run->again ? &d->restarts : first, run);
    return;
  }
  for (uint32_t i = 1;
       i < g->failures.count && run->backoff.wait < run->backoff.max; i++)
    byn_backoff_next(&run->backoff, d->now, false, &d->rng);
  int64_t wait = byn_backoff_next(&run->backoff, d->now, false, &d->rng);
  run->state = BYN_RUN_WAITING;
  byn_run_set_timer(d, run, d->now + wait);
  byn_written w = {.state = BYN_REGISTER_WAITING,
                   .why = g->failures.why,
                   .reason = {g->failures.reason.at, g->failures.reason.n}};
  byn_run_write(d, p, g, &w);
}

/* Everybody refused it. If it never ran, that is the answer to its start. */
static void all_refused(byn_dist *d, byn_place *p, byn_generation *g,
                        const byn_register *last) {
  byn_peer *owner;
  if (byn_generation_may_have_run(g)) return;
  if (!byn_candidate_owner(d, p->hash, &owner) || owner) return;
  BYN_COVER(5, "refused");
  byn_end_reason reason = {.why = last->why,
                           .reason = {last->reason.at, last->reason.n},
                           .node = last->host->name};
  byn_run_end(d, p, g, &reason);
}

/* A temporary child whose node is lost does not come back. */
static bool ends_with_its_host(const byn_generation *g) {
  return (g->flags & BYN_DIST_TEMPORARY) && byn_generation_may_have_run(g) &&
         !byn_generation_is_on_its_way(g);
}

static void consider_start(byn_dist *d, byn_place *p) {
  byn_generation *g = byn_place_live(p, d->newest);
  if (!d->open || d->leaving || !byn_quorum_runs(d)) return;
  if (!g || byn_generation_active(g)) return;
  if (byn_generation_is_idle(g)) {
    byn_entity_keep(d, p, g);
    return;
  }
  const byn_register *last = NULL;
  byn_candidate who = byn_candidate_of(d, p, g, &last);
  if (who == BYN_CANDIDATE_REFUSED && g->spec_set) all_refused(d, p, g, last);
  if (who != BYN_CANDIDATE_SELF) return;
  if (g->withheld) {
    BYN_COVER(5, "withheld");
    refuse_full(d, p, g);
    return;
  }
  if (!g->spec_set) return;
  if (d->held && byn_generation_may_have_run(g)) {
    BYN_COVER(5, "held");
    return;
  }
  if (ends_with_its_host(g)) {
    BYN_COVER(5, "temporary");
    byn_end_reason reason = {.why = BYN_DIST_WHY_NOCONNECTION,
                             .node = d->self->name};
    byn_run_end(d, p, g, &reason);
  } else if (d->max_children && byn_dist_busy(d) >= d->max_children) {
    BYN_COVER(5, "no_room");
    refuse_full(d, p, g);
  } else {
    BYN_COVER(5, "start");
    queue_start(d, p, g);
  }
}

static void forget_arrivals(byn_place *p) {
  for (byn_generation *g = p->generations; g; g = g->next)
    g->arrives = false;
}

void byn_reconcile(byn_dist *d, byn_place *p) {
  if (p->run) review_run(d, p->run);
  if (!p->run) consider_start(d, p);
  forget_arrivals(p);
  if (p->run) byn_checkpoint_review(d, p->run);
  byn_checkpoint_review_spares(d, p);
  byn_assert(!p->run || p->run->place == p);
}

void byn_reconcile_terminate(byn_dist *d, byn_place *p, byn_generation *g) {
  byn_assert(!g->ended);
  byn_run *run = p->run;
  bool here = run && run->token == g->token;
  BYN_COVER(here ? run->state : 5u, "terminate");
  if (here && (run->state == BYN_RUN_STARTING || run->state == BYN_RUN_RUNNING))
    byn_reconcile_stop(d, run, BYN_DIST_WHY_TERMINATED);
  if (here && run->state == BYN_RUN_STOPPING) {
    byn_move_drop(d, run, BYN_DIST_NOT_FOUND, (byn_dist_bytes){0});
    run->stop_why = BYN_DIST_WHY_TERMINATED;
    return;
  }
  if (here) byn_run_free(d, run);
  byn_end_reason reason = {.why = BYN_DIST_WHY_TERMINATED,
                           .node = d->self->name};
  byn_run_end(d, p, g, &reason);
}

/* --- conflicts ------------------------------------------------------------ */

void byn_reconcile_confirmed(byn_dist *d, byn_place *p, const byn_host *host,
                             const byn_record *r) {
  byn_run *run = p->run;
  if (!run || run->state != BYN_RUN_RUNNING || !r->runs) return;
  const byn_register *winner = byn_place_running(p, d->newest, NULL);
  if (!winner || winner->host != host || winner->run != r->run) return;
  /* What it has written of itself since, or had not yet, decides anew. */
  if (r->version && r->version != winner->version) return;
  byn_blob_set(&run->winner, &d->alloc, winner->pid.at, winner->pid.n);
  byn_told *t = byn_told_add(d, BYN_DIST_CONFLICT, p, host->name);
  if (t) {
    byn_blob_set(&t->pid, &d->alloc, run->pid.at, run->pid.n);
    byn_blob_set(&t->other_pid, &d->alloc, winner->pid.at, winner->pid.n);
  }
  byn_reconcile_stop(d, run, BYN_DIST_WHY_CONFLICT);
}

byn_handed byn_reconcile_hand_over(byn_dist *d, const byn_run *run,
                                   byn_dist_bytes state) {
  const byn_place *p = run->place;
  if (run->state != BYN_RUN_STOPPING || run->stop_why != BYN_DIST_WHY_CONFLICT)
    return BYN_HANDED_TO_NOBODY;
  const byn_register *winner = byn_place_running(p, d->newest, NULL);
  if (!winner || winner->host == d->self) return BYN_HANDED_TO_NOBODY;
  byn_peer *peer = peer_of(d, winner->host);
  if (!peer || !byn_relay_reaches(peer)) return BYN_HANDED_UNREACHED;
  if (!byn_record_would_fit(d, peer, state.n + p->key_size))
    return BYN_HANDED_TOO_LARGE;
  BYN_COVER(run->state, "handed_over");
  byn_buf *b = byn_record_begin(d, BYN_RECORD_RESOLVE);
  byn_record_put_id(b, p);
  byn_put_number_field(b, BYN_FIELD_RUN, winner->run);
  byn_put_bytes_field(b, BYN_FIELD_STATE, state.at, state.n);
  byn_relay_send(d, peer);
  return BYN_HANDED_OVER;
}

void byn_reconcile_resolve(byn_dist *d, byn_place *p, const byn_record *r) {
  const byn_run *run = p->run;
  if (!run || run->id != r->run) return;
  if (run->state == BYN_RUN_STOPPING) { /* for the sake of a third */
    byn_reconcile_hand_over(d, run, r->state);
    return;
  }
  if (run->state != BYN_RUN_RUNNING) return;
  BYN_COVER(run->state, "resolve");
  byn_told *t = byn_told_add(d, BYN_DIST_CONFLICT, p, NULL);
  if (!t) return;
  t->resolves = true;
  t->child = run->child;
  /* Without either there is nothing to be told. */
  if (!byn_blob_set(&t->pid, &d->alloc, run->pid.at, run->pid.n) ||
      !byn_blob_set(&t->state, &d->alloc, r->state.at, r->state.n))
    byn_blob_clear(&t->state, &d->alloc);
}

void byn_reconcile_conflicts(byn_dist *d) {
  byn_place *p = d->conflicts;
  d->conflicts = NULL;
  while (p) {
    byn_place *next = p->next_conflict;
    p->conflicting = false;
    byn_registry_touch(&d->registry, p);
    p = next;
  }
}

/* --- starts and stops ----------------------------------------------------- */

static byn_dist_handoff handoff_of(const byn_run *run) {
  if (run->move) return run->move->why;
  if (run->stop_why == BYN_DIST_WHY_LEFT) return BYN_DIST_HANDOFF_LEAVE;
  if (run->stop_why == BYN_DIST_WHY_CONFLICT) return BYN_DIST_HANDOFF_CONFLICT;
  return BYN_DIST_HANDOFF_NONE;
}

static bool next_stop(byn_dist *d, byn_dist_action *a) {
  byn_run *run = d->stops.first;
  if (!run || !byn_looks_left(d)) return false;
  byn_looks_count(d, BYN_LOOKS_SHOWN);
  byn_assert(run->state == BYN_RUN_STOPPING);
  byn_run_delist(run);
  a->kind = BYN_DIST_STOP;
  a->child = run->child;
  a->id = byn_place_id(run->place);
  a->pid = (byn_dist_bytes){run->pid.at, run->pid.n};
  a->why = (byn_dist_why)run->stop_why;
  a->handoff = handoff_of(run);
  a->goes_on = a->handoff == BYN_DIST_HANDOFF_MOVE ||
               a->handoff == BYN_DIST_HANDOFF_REBALANCE ||
               a->handoff == BYN_DIST_HANDOFF_IDLE;
  a->other_pid = (byn_dist_bytes){run->winner.at, run->winner.n};
  return true;
}

/* May it still be started? The answer is that of now, not of when it was
 * queued. */
static bool may_start(byn_dist *d, const byn_run *run,
                      const byn_generation *g) {
  const byn_register *own = byn_register_find(g, d->self);
  if (own && (own->state == BYN_REGISTER_STARTING ||
              own->state == BYN_REGISTER_WAITING))
    return true; /* it is this node's */
  const byn_register *last;
  return d->open &&
         byn_candidate_of(d, run->place, g, &last) == BYN_CANDIDATE_SELF;
}

static bool start_run(byn_dist *d, byn_run *run, byn_generation *g,
                      byn_dist_action *a) {
  byn_run_list *from = run->list;
  byn_assert(run->state == BYN_RUN_QUEUED && !run->under_way);
  byn_register *own = byn_register_find(g, d->self);
  bool claimed = own && own->state == BYN_REGISTER_STARTING;
  byn_written w = {.state = BYN_REGISTER_STARTING};
  if (!byn_map_reserve(&d->children) ||
      (!claimed && !byn_run_write(d, run->place, g, &w)) ||
      !byn_run_number(d, run))
    return false;
  byn_run_delist(run);
  run->state = BYN_RUN_STARTING;
  byn_run_begin_start(run, from);
  byn_checkpoint_begin(d, run);
  a->kind = BYN_DIST_START;
  a->child = run->child;
  a->id = byn_place_id(run->place);
  a->spec = (byn_dist_bytes){g->spec.at, g->spec.n};
  a->flags = g->flags & (BYN_DIST_TEMPORARY | BYN_DIST_TRANSIENT);
  a->again = run->again;
  if (!g->checkpoint) return true;
  a->state = (byn_dist_bytes){g->checkpoint->bytes.at, g->checkpoint->bytes.n};
  a->handed = g->checkpoint->handed;
  return true;
}

static bool next_start(byn_dist *d, byn_run_list *list, uint32_t most,
                       byn_dist_action *a) {
  while (list->first && list->under_way < most && byn_looks_left(d)) {
    byn_run *run = list->first;
    byn_looks_count(d, 1);
    byn_place *p = run->place;
    review_run(d, run);
    if (p->run != run) continue;
    byn_generation *g = byn_place_find(p, run->token);
    if (!may_start(d, run, g))
      byn_run_free(d, run);
    else if (byn_collect_is_due(run, g) && !byn_collect_has_room(d))
      return false;
    else if (byn_collect_is_due(run, g))
      byn_collect_begin(d, run);
    else
      return start_run(d, run, g, a);
  }
  return false;
}

bool byn_reconcile_next(byn_dist *d, byn_dist_action *a) {
  uint32_t most = d->start_concurrency;
  byn_collect_review(d);
  byn_move_pump(d);
  return next_stop(d, a) || next_start(d, &d->restarts, most, a) ||
         next_start(d, &d->nested_starts, UINT32_MAX, a) ||
         next_start(d, &d->first_starts, most, a);
}
