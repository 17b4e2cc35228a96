/* Moves of this node's children, and what others ask before they move one here.
 */
#include "move.h"

#include "../assert.h"
#include "../coverage.h"
#include "candidate.h"
#include "cohort.h"
#include "reconcile.h"
#include "relay.h"
#include "request.h"
#include "run.h"
#include "sync.h"

BYN_MACHINE("dist: a move", "waiting asking holding stopping",
            "begin there no_target accepted refused later acknowledged lost "
            "overdue finish failed drop");

enum {
  RETRY_MS = 50,     /* until a target that cannot say yet is asked again */
  KNOWN_MS = 5000,   /* until this node, too, knows the one that was named */
  AGAIN_MS = 1000,   /* until a move that did not work out is tried again */
  STAY_MS = 60000,   /* until one that did not get away is rebalanced again */
  PROBES_MOST = 4096 /* that the owner has not answered */
};

static byn_dist_bytes bytes_of(const byn_blob *b) {
  return (byn_dist_bytes){b->at, b->n};
}

static byn_peer *peer_called(const byn_dist *d, const byn_blob *name) {
  return name->at ? byn_cohort_find(d, (const char *)name->at, name->n) : NULL;
}

/* The generation of a run; NULL where that is over. */
static byn_generation *going(const byn_run *run) {
  byn_generation *g = byn_place_find(run->place, run->token);
  return g && !g->ended ? g : NULL;
}

byn_peer *byn_move_target(const byn_dist *d, const byn_run *run) {
  return run->move ? peer_called(d, &run->move->to) : NULL;
}

/* --- answers to who asked ------------------------------------------------- */

typedef struct move_answer {
  byn_dist_code code;
  bool retry; /* it is to be asked again */
  byn_dist_bytes pid, reason;
  const char *node; /* that the code is about; NULL: this one */
} move_answer;

static void reply(byn_dist *d, byn_peer *peer, const byn_place *p,
                  uint64_t token, const move_answer *a) {
  const char *name = a->node ? a->node : d->self->name;
  byn_dist_bytes node = {(const uint8_t *)name, strlen(name)};
  if (!peer) {
    byn_record own = {.token = token,
                      .code = a->code,
                      .retry = a->retry,
                      .pid = a->pid,
                      .reason = a->reason,
                      .node = node};
    byn_request_take_reply(d, &own);
    return;
  }
  byn_buf *b = byn_record_begin(d, BYN_RECORD_REPLY);
  byn_record_put_id(b, p);
  byn_put_number_field(b, BYN_FIELD_TOKEN, token);
  byn_put_number_field(b, BYN_FIELD_RETRY, a->retry);
  byn_put_number_field(b, BYN_FIELD_CODE, a->code);
  byn_put_bytes_field(b, BYN_FIELD_PID, a->pid.at, a->pid.n);
  byn_put_bytes_field(b, BYN_FIELD_REASON, a->reason.at, a->reason.n);
  byn_put_bytes_field(b, BYN_FIELD_NODE, node.at, node.n);
  byn_relay_send(d, peer);
}

static void answer_asker(byn_dist *d, const byn_run *run, byn_dist_code code,
                         byn_dist_bytes reason) {
  const byn_move *m = run->move;
  if (!m->asker_token) return;
  byn_peer *peer = peer_called(d, &m->asker);
  if (m->asker.at && !peer) return;
  move_answer a = {.code = code,
                   .retry = code == BYN_DIST_OK,
                   .reason = reason,
                   .node = (const char *)m->to.at};
  reply(d, peer, run->place, m->asker_token, &a);
}

/* --- its beginning and its end -------------------------------------------- */

/* It goes nowhere: it is no move that others wait for, or that takes a turn. */
static bool rests(const byn_move *m) {
  return m->why == BYN_DIST_HANDOFF_IDLE;
}

static byn_move *add_move(byn_dist *d, byn_run *run, byn_dist_handoff why,
                          uint64_t stamp) {
  byn_assert(run->state == BYN_RUN_RUNNING && !run->move && !run->list);
  byn_move *m = byn_new(&d->alloc, sizeof *m);
  if (!m) return NULL;
  *m = (byn_move){.why = why, .stamp = stamp, .since = d->now};
  run->move = m;
  if (!rests(m)) d->move_count++;
  byn_run_enlist(&d->moves, run);
  return m;
}

static void set_timer(byn_dist *d, byn_run *run, int64_t retry_at) {
  byn_move *m = run->move;
  byn_timers_cancel(d->timers, m->timer, NULL);
  int64_t at = retry_at < m->deadline ? retry_at : m->deadline;
  m->timer = byn_timers_add(d->timers, at, BYN_TIMER_MOVE, run);
}

static void stop_timer(byn_dist *d, byn_move *m) {
  byn_timers_cancel(d->timers, m->timer, NULL);
  m->timer = 0;
}

/* Says of this node's register whether its process is about to stop. */
static void write_moving(byn_dist *d, byn_run *run, bool moving) {
  byn_generation *g = going(run);
  byn_register *own = g ? byn_register_find(g, d->self) : NULL;
  if (!own || own->run != run->id || own->state != BYN_REGISTER_RUNNING) return;
  if (own->moving == moving) return;
  own->version++;
  own->moving = moving;
  byn_registry_changed(&d->registry, run->place);
  byn_registry_publish(&d->registry, run->place, false);
}

void byn_move_forget(byn_dist *d, byn_run *run) {
  byn_move *m = run->move;
  if (!m) return;
  byn_assert(rests(m) || d->move_count > 0);
  byn_assert(rests(m) || m->state == BYN_MOVE_WAITING || d->moves_begun > 0);
  if (!rests(m)) d->move_count--;
  if (!rests(m) && m->state != BYN_MOVE_WAITING) d->moves_begun--;
  stop_timer(d, m);
  byn_blob_clear(&m->to, &d->alloc);
  byn_blob_clear(&m->asker, &d->alloc);
  byn_free(&d->alloc, m, sizeof *m);
  run->move = NULL;
}

void byn_move_drop(byn_dist *d, byn_run *run, byn_dist_code code,
                   byn_dist_bytes reason) {
  byn_move *m = run->move;
  if (!m) return;
  BYN_COVER(m->state, "drop");
  if (m->state != BYN_MOVE_STOPPING) byn_run_delist(run);
  if (run->state == BYN_RUN_RUNNING) write_moving(d, run, false);
  answer_asker(d, run, code, reason);
  byn_move_forget(d, run);
  byn_registry_touch(&d->registry, run->place);
}

static bool must_go(const byn_move *m) {
  return m->why == BYN_DIST_HANDOFF_LEAVE || m->why == BYN_DIST_HANDOFF_DRAIN;
}

/* It does not work out now. One that must go is tried again; not for ever
 * where its node leaves: then it is anybody's. */
static void set_back(byn_dist *d, byn_run *run, byn_dist_code code,
                     byn_dist_bytes reason) {
  byn_move *m = run->move;
  if (!must_go(m)) {
    if (!rests(m)) run->stays_until = d->now + STAY_MS;
    byn_move_drop(d, run, code, reason);
    return;
  }
  byn_assert(d->moves_begun > 0 && m->state != BYN_MOVE_STOPPING);
  bool stays = d->drained && !d->leaving;
  if (!stays && d->now - m->since >= d->handoff_ms) {
    byn_reconcile_stop(d, run, BYN_DIST_WHY_LEFT);
    return;
  }
  d->moves_begun--;
  write_moving(d, run, false);
  byn_blob_clear(&m->to, &d->alloc);
  m->state = BYN_MOVE_WAITING;
  m->asked = false;
  byn_run_delist(run);
  m->deadline = BYN_NEVER;
  set_timer(d, run, d->now + AGAIN_MS);
}

/* --- its turn ------------------------------------------------------------- */

/* Who is to run it, if that is a peer. */
static byn_candidate choose(byn_dist *d, const byn_run *run,
                            const byn_generation *g, byn_dist_handoff why,
                            byn_peer **peer) {
  const byn_register *last = NULL;
  if (why == BYN_DIST_HANDOFF_LEAVE || why == BYN_DIST_HANDOFF_DRAIN)
    return byn_candidate_find(d, run->place, g, &last, peer);
  if (why == BYN_DIST_HANDOFF_REBALANCE)
    return byn_candidate_wanted(d, run->place, g, &last, peer);
  return byn_candidate_of_ring(d, run->place, g, &last, peer);
}

static void ask_target(byn_dist *d, byn_run *run, byn_peer *target) {
  byn_buf *b = byn_record_begin(d, BYN_RECORD_OFFER);
  byn_record_put_id(b, run->place);
  byn_put_number_field(b, BYN_FIELD_TOKEN, run->token);
  byn_put_number_field(b, BYN_FIELD_RUN, run->id);
  byn_record_send(d, target);
  run->move->asked = true;
  set_timer(d, run, d->now + AGAIN_MS);
}

/* It runs where it is to run: a name that was given is noted. */
static void is_there(byn_dist *d, byn_run *run, byn_generation *g) {
  byn_move *m = run->move;
  BYN_COVER(m->state, "there");
  byn_preferred what = {.stamp = m->stamp, .stays = m->named};
  what.node =
      (byn_dist_bytes){(const uint8_t *)d->self->name, strlen(d->self->name)};
  if (m->named && byn_generation_prefer(g, &d->alloc, &what)) {
    byn_registry_changed(&d->registry, run->place);
    byn_registry_publish(&d->registry, run->place, false);
  }
  move_answer a = {.code = BYN_DIST_OK, .pid = bytes_of(&run->pid)};
  if (m->asker_token)
    reply(d, peer_called(d, &m->asker), run->place, m->asker_token, &a);
  byn_move_forget(d, run);
}

static void has_no_target(byn_dist *d, byn_run *run, byn_dist_code code) {
  byn_dist_bytes none = {0};
  BYN_COVER(run->move->state, "no_target");
  if (must_go(run->move) && code == BYN_DIST_NOCONNECTION)
    set_back(d, run, code, none);
  else
    byn_move_drop(d, run, code, none);
}

static bool is_member(const byn_peer *peer) {
  return peer && byn_peer_sees(peer) && peer->in_ring;
}

/* Whoever named the target knows it as a member; this node may not yet. */
static void await_target(byn_dist *d, byn_run *run) {
  byn_peer *target = byn_move_target(d, run);
  if (!is_member(target)) {
    set_timer(d, run, d->now + RETRY_MS);
    return;
  }
  run->move->deadline = d->now + d->handoff_ms;
  ask_target(d, run, target);
}

static void begin_named(byn_dist *d, byn_run *run, byn_generation *g) {
  byn_move *m = run->move;
  bool here = strcmp((char *)m->to.at, d->self->name) == 0;
  if (here && byn_candidate_is_member(d)) {
    is_there(d, run, g);
  } else if (here) {
    has_no_target(d, run, BYN_DIST_NOT_A_MEMBER);
  } else {
    m->deadline = d->now + KNOWN_MS;
    await_target(d, run);
  }
}

static void begin_move(byn_dist *d, byn_run *run) {
  byn_move *m = run->move;
  byn_assert(m->state == BYN_MOVE_WAITING);
  BYN_COVER(m->state, "begin");
  byn_generation *g = going(run);
  byn_run_delist(run);
  stop_timer(d, m);
  m->state = BYN_MOVE_ASKING;
  m->deadline = d->now + d->handoff_ms;
  d->moves_begun++;
  if (!g) {
    byn_move_drop(d, run, BYN_DIST_NOT_FOUND, (byn_dist_bytes){0});
    return;
  }
  if (m->named) {
    begin_named(d, run, g);
    return;
  }
  byn_peer *target = NULL;
  byn_candidate who = choose(d, run, g, m->why, &target);
  bool is_known =
      who == BYN_CANDIDATE_PEER && is_member(target) &&
      byn_blob_set(&m->to, &d->alloc, target->name, target->name_size - 1);
  if (who == BYN_CANDIDATE_SELF && !must_go(m))
    is_there(d, run, g);
  else if (who != BYN_CANDIDATE_PEER)
    has_no_target(d, run, BYN_DIST_NO_NODES);
  else if (!is_known)
    has_no_target(d, run, BYN_DIST_NOCONNECTION);
  else
    ask_target(d, run, target);
}

bool byn_move_want(byn_dist *d, byn_run *run, byn_dist_handoff why) {
  byn_generation *g = going(run);
  byn_peer *peer = NULL;
  if (run->move && (run->move->state != BYN_MOVE_WAITING || must_go(run->move)))
    return true;
  byn_move_drop(d, run, BYN_DIST_OK, (byn_dist_bytes){0});
  if (!g || choose(d, run, g, why, &peer) != BYN_CANDIDATE_PEER) return false;
  return add_move(d, run, why, byn_registry_stamp(&d->registry)) != NULL;
}

/* --- that all have heard of it -------------------------------------------- */

/* Another copy of the child runs, as far as is known: which one stays is to be
 * settled first. */
static bool has_rival(const byn_dist *d, const byn_run *run) {
  for (const byn_generation *g = run->place->generations; g; g = g->next)
    for (const byn_register *r = g->registers; r; r = r->next)
      if (r->host != d->self && !r->host->gone &&
          r->state == BYN_REGISTER_RUNNING)
        return true;
  return false;
}

static void hold(byn_dist *d, byn_run *run) {
  BYN_COVER(run->move->state, "accepted");
  write_moving(d, run, true);
  run->move->state = BYN_MOVE_HOLDING;
  run->move->seq = ++d->seq;
  d->sync_due = true;
  byn_run_enlist(&d->holding, run);
  set_timer(d, run, BYN_NEVER);
}

bool byn_move_rest(byn_dist *d, byn_run *run) {
  if (run->move || run->list || d->now < run->stays_until) return false;
  byn_move *m = add_move(d, run, BYN_DIST_HANDOFF_IDLE, 0);
  if (!m) return false;
  m->deadline = d->now + d->handoff_ms;
  hold(d, run);
  return true;
}

/* May its processes send to one of this node, by id? One that is being greeted
 * may have heard of it from others; one whose coordinator is away, or has just
 * begun again, shows what it did. */
static bool may_send(const byn_peer *peer) {
  bool lives = peer->host && !peer->host->gone;
  return peer->connected && (lives || peer->state == BYN_PEER_GREETING);
}

/* What a peer acknowledges while it takes all says nothing of that, nor where
 * something for it found no memory. */
static bool has_acknowledged(const byn_peer *peer, uint64_t seq) {
  return peer->sent_all && !peer->regreet && peer->shown_seq >= seq &&
         peer->shown_seq >= peer->told_seq;
}

static bool is_acknowledged(const byn_dist *d, uint64_t seq) {
  for (const byn_peer *peer = d->peers; peer; peer = peer->next)
    if (may_send(peer) && !has_acknowledged(peer, seq)) return false;
  return true;
}

void byn_move_told_all(byn_dist *d, byn_peer *peer) {
  if (!d->holding.first) return;
  peer->told_seq = ++d->seq;
  d->sync_due = true;
}

static void stop_for_move(byn_dist *d, byn_run *run) {
  BYN_COVER(run->move->state, "acknowledged");
  stop_timer(d, run->move);
  run->move->state = BYN_MOVE_STOPPING;
  byn_reconcile_stop(d, run,
                     rests(run->move) ? BYN_DIST_WHY_IDLE : BYN_DIST_WHY_MOVED);
}

/* Its target is asked again after a moment. */
static void ask_again(byn_dist *d, byn_run *run) {
  BYN_COVER(run->move->state, "later");
  write_moving(d, run, false);
  byn_run_delist(run);
  run->move->state = BYN_MOVE_ASKING;
  set_timer(d, run, d->now + RETRY_MS);
}

static void review_holding(byn_dist *d) {
  for (byn_run *run; (run = d->holding.first);) {
    if (!is_acknowledged(d, run->move->seq)) return;
    if (has_rival(d, run) && rests(run->move))
      byn_move_drop(d, run, BYN_DIST_OK, (byn_dist_bytes){0});
    else if (has_rival(d, run))
      ask_again(d, run);
    else
      stop_for_move(d, run);
  }
}

void byn_move_pump(byn_dist *d) {
  review_holding(d);
  while (d->moves.first && d->moves_begun < d->start_concurrency)
    begin_move(d, d->moves.first);
}

static byn_dist_code why_no_target(const byn_dist *d, const byn_run *run) {
  const byn_peer *target = byn_move_target(d, run);
  bool seen = target && byn_peer_sees(target);
  return seen ? BYN_DIST_NOT_A_MEMBER : BYN_DIST_NOCONNECTION;
}

void byn_move_review(byn_dist *d, byn_run *run) {
  byn_move *m = run->move;
  if (!m || (m->state != BYN_MOVE_ASKING && m->state != BYN_MOVE_HOLDING))
    return;
  if (rests(m) || !m->asked || is_member(byn_move_target(d, run))) return;
  BYN_COVER(m->state, "lost");
  set_back(d, run, why_no_target(d, run), (byn_dist_bytes){0});
}

void byn_move_due(byn_dist *d, byn_run *run) {
  byn_move *m = run->move;
  m->timer = 0;
  if (m->state == BYN_MOVE_WAITING) {
    byn_run_enlist(&d->moves, run);
  } else if (d->now >= m->deadline && m->state == BYN_MOVE_HOLDING &&
             must_go(m)) {
    BYN_COVER(m->state, "overdue");
    stop_for_move(d, run);
  } else if (d->now >= m->deadline) {
    BYN_COVER(m->state, "overdue");
    byn_dist_code code = m->asked ? BYN_DIST_TIMEOUT : why_no_target(d, run);
    set_back(d, run, code, (byn_dist_bytes){0});
  } else if (m->state == BYN_MOVE_ASKING && !m->asked) {
    await_target(d, run);
  } else if (m->state == BYN_MOVE_ASKING) {
    ask_target(d, run, byn_move_target(d, run));
  }
}

void byn_move_failed(byn_dist *d, byn_run *run, byn_dist_bytes reason) {
  byn_assert(run->move && run->move->state == BYN_MOVE_STOPPING);
  BYN_COVER(run->move->state, "failed");
  run->state = BYN_RUN_RUNNING;
  run->stays_until = d->now + STAY_MS;
  byn_move_drop(d, run, BYN_DIST_HANDOFF_FAILED, reason);
}

void byn_move_finish(byn_dist *d, byn_run *run, byn_generation *g) {
  byn_move *m = run->move;
  byn_assert(m && m->state == BYN_MOVE_STOPPING && !g->ended);
  BYN_COVER(m->state, "finish");
  byn_preferred what = {
      .stamp = m->stamp, .stays = m->named, .node = bytes_of(&m->to)};
  if (g->checkpoint) {
    what.epoch = g->checkpoint->epoch;
    what.version = g->checkpoint->version;
  }
  if (what.stamp > g->preference.stamp)
    byn_generation_prefer(g, &d->alloc, &what);
  d->moves_made++;
}

static void free_probe(byn_dist *d, byn_probe **at) {
  byn_probe *probe = *at;
  byn_assert(d->probe_count > 0);
  *at = probe->next;
  d->probe_count--;
  byn_blob_clear(&probe->key, &d->alloc);
  byn_blob_clear(&probe->peer, &d->alloc);
  byn_free(&d->alloc, probe, sizeof *probe);
}

void byn_move_drop_drains(byn_dist *d) {
  byn_map_entry entry;
  for (uint32_t cursor = 0; byn_map_next(&d->children, &cursor, &entry);) {
    byn_run *run = entry.value;
    if (run->move && run->move->state != BYN_MOVE_STOPPING &&
        run->move->why == BYN_DIST_HANDOFF_DRAIN)
      byn_move_drop(d, run, BYN_DIST_NOCONNECTION, (byn_dist_bytes){0});
  }
}

void byn_move_drop_all(byn_dist *d) {
  byn_map_entry entry;
  for (uint32_t cursor = 0; byn_map_next(&d->children, &cursor, &entry);) {
    byn_run *run = entry.value;
    if (run->move && run->move->state != BYN_MOVE_STOPPING)
      byn_move_drop(d, run, BYN_DIST_NOCONNECTION, (byn_dist_bytes){0});
  }
  byn_move_forget_probes(d);
}

void byn_move_forget_probes(byn_dist *d) {
  while (d->probes)
    free_probe(d, &d->probes);
}

/* --- what others ask ------------------------------------------------------ */

static bool note_asker(byn_dist *d, byn_move *m, const byn_peer *peer,
                       const byn_record *r) {
  m->named = r->node.at != NULL;
  m->asker_token = r->token;
  return byn_blob_set(&m->to, &d->alloc, r->node.at, r->node.n) &&
         byn_blob_set(&m->asker, &d->alloc, peer ? peer->name : NULL,
                      peer ? peer->name_size - 1 : 0);
}

void byn_move_take(byn_dist *d, byn_peer *peer, const byn_record *r) {
  byn_place *p = byn_registry_find(&d->registry, &r->id);
  byn_run *run = p ? p->run : NULL;
  byn_generation *g = run ? going(run) : NULL;
  move_answer a = {.code = BYN_DIST_OK};
  byn_registry_saw(&d->registry, r->stamp);
  if (!g) return; /* who asked sees what became of it */
  if (run->state != BYN_RUN_RUNNING || run->move) {
    if (run->move && run->move->asker_token == r->token) return;
    a.retry = true;
  } else if (g->preference.stamp >= r->stamp) { /* a later one was before it */
    a.pid = bytes_of(&run->pid);
  } else {
    byn_move *m = add_move(d, run, BYN_DIST_HANDOFF_MOVE, r->stamp);
    if (m && note_asker(d, m, peer, r)) return;
    if (m) byn_run_delist(run);
    byn_move_forget(d, run);
    a.code = BYN_DIST_NO_MEMORY;
  }
  reply(d, peer, p, r->token, &a);
}

static void accept(byn_dist *d, byn_peer *peer, const byn_dist_id *id,
                   uint64_t run, byn_dist_code code, byn_dist_bytes reason,
                   bool retry) {
  byn_buf *b = byn_record_begin(d, BYN_RECORD_ACCEPT);
  byn_put_bytes_field(b, BYN_FIELD_KEY, id->key, id->n);
  size_t mark = byn_field_open(b, BYN_FIELD_HASH);
  byn_put_u64(b, id->hash);
  byn_field_close(b, mark);
  byn_put_number_field(b, BYN_FIELD_RUN, run);
  byn_put_number_field(b, BYN_FIELD_CODE, code);
  byn_put_bytes_field(b, BYN_FIELD_REASON, reason.at, reason.n);
  byn_put_number_field(b, BYN_FIELD_RETRY, retry);
  byn_record_send(d, peer);
}

static byn_probe *add_probe(byn_dist *d, const byn_peer *peer,
                            const byn_record *r) {
  byn_probe *probe = byn_new(&d->alloc, sizeof *probe);
  if (!probe) return NULL;
  *probe = (byn_probe){.token = r->token, .run = r->run, .hash = r->id.hash};
  if (!byn_blob_set(&probe->key, &d->alloc, r->id.key, r->id.n) ||
      !byn_blob_set(&probe->peer, &d->alloc, peer->name, peer->name_size - 1)) {
    byn_blob_clear(&probe->key, &d->alloc);
    byn_free(&d->alloc, probe, sizeof *probe);
    return NULL;
  }
  probe->next = d->probes;
  d->probes = probe;
  d->probe_count++;
  return probe;
}

void byn_move_take_offer(byn_dist *d, byn_peer *peer, const byn_record *r) {
  byn_dist_bytes none = {0};
  byn_place *p = byn_registry_find(&d->registry, &r->id);
  const byn_generation *g = p ? byn_place_find(p, r->token) : NULL;
  bool may = d->open && byn_candidate_is_member(d);
  if (!may || !g || g->ended) {
    bool later = may || (d->hosts && !d->leaving);
    accept(d, peer, &r->id, r->run, BYN_DIST_NOT_A_MEMBER, none, later);
  } else if (g->withheld ||
             (d->max_children && byn_dist_busy(d) >= d->max_children)) {
    byn_reconcile_refuse(d, p, byn_place_find(p, r->token),
                         BYN_DIST_WHY_NO_ROOM, none);
    accept(d, peer, &r->id, r->run, BYN_DIST_NO_ROOM, none, false);
  } else if (!g->spec_set || d->probe_count >= PROBES_MOST ||
             !add_probe(d, peer, r)) {
    accept(d, peer, &r->id, r->run, BYN_DIST_OK, none, true);
  }
}

static void end_probe(byn_dist *d, byn_probe **at, byn_dist_code code,
                      byn_dist_bytes reason, bool retry) {
  const byn_probe *probe = *at;
  byn_peer *peer = peer_called(d, &probe->peer);
  byn_dist_id id = {probe->key.at, probe->key.n, probe->hash};
  if (peer) accept(d, peer, &id, probe->run, code, reason, retry);
  free_probe(d, at);
}

static byn_generation *
probed_generation(const byn_dist *d, const byn_probe *probe, byn_place **p) {
  byn_dist_id id = {probe->key.at, probe->key.n, probe->hash};
  *p = byn_registry_find(&d->registry, &id);
  byn_generation *g = *p ? byn_place_find(*p, probe->token) : NULL;
  return g && !g->ended && g->spec_set ? g : NULL;
}

bool byn_move_next(byn_dist *d, byn_dist_action *a) {
  for (byn_probe **at = &d->probes; *at;) {
    byn_probe *probe = *at;
    byn_place *p;
    byn_generation *g = probe->number ? NULL : probed_generation(d, probe, &p);
    if (g) {
      probe->number = ++d->last_probe_number;
      a->kind = BYN_DIST_PROBE;
      a->request = probe->number;
      a->id = byn_place_id(p);
      a->spec = (byn_dist_bytes){g->spec.at, g->spec.n};
      return true;
    }
    if (probe->number)
      at = &probe->next;
    else
      end_probe(d, at, BYN_DIST_OK, (byn_dist_bytes){0}, true);
  }
  return false;
}

/* What this node had against it holds no more. */
static void take_refusal_back(byn_dist *d, byn_place *p, byn_generation *g) {
  const byn_register *own = byn_register_find(g, d->self);
  byn_written w = {.state = BYN_REGISTER_NONE};
  if (own && own->state == BYN_REGISTER_REFUSED) byn_run_write(d, p, g, &w);
}

void byn_move_probed(byn_dist *d, uint64_t number, byn_dist_bytes reason) {
  byn_probe **at = &d->probes;
  while (*at && (*at)->number != number)
    at = &(*at)->next;
  if (!*at) return;
  byn_place *p;
  byn_generation *g = probed_generation(d, *at, &p);
  if (g && reason.at)
    byn_reconcile_refuse(d, p, g, BYN_DIST_WHY_REFUSED, reason);
  else if (g && !p->run)
    take_refusal_back(d, p, g);
  end_probe(d, at, reason.at ? BYN_DIST_REFUSED : BYN_DIST_OK, reason, !g);
}

void byn_move_take_accept(byn_dist *d, byn_peer *peer, const byn_record *r) {
  byn_place *p = byn_registry_find(&d->registry, &r->id);
  byn_run *run = p ? p->run : NULL;
  byn_move *m = run && run->id == r->run ? run->move : NULL;
  if (!m || m->state != BYN_MOVE_ASKING || byn_move_target(d, run) != peer)
    return;
  if (r->retry || (r->code == BYN_DIST_OK && has_rival(d, run))) {
    ask_again(d, run);
  } else if (r->code == BYN_DIST_OK) {
    hold(d, run);
  } else {
    BYN_COVER(m->state, "refused");
    set_back(d, run, (byn_dist_code)r->code, r->reason);
  }
}

/* --- rebalancing ---------------------------------------------------------- */

/* Somebody is in doubt, or on his way in or out: the ring may be another
 * soon. */
static bool is_settled(const byn_dist *d) {
  if (!d->open || d->held || d->leaving || d->ring_due) return false;
  for (const byn_peer *peer = d->peers; peer; peer = peer->next)
    if (peer->state == BYN_PEER_GREETING || peer->state == BYN_PEER_IN_STEP ||
        peer->state == BYN_PEER_LEAVING || peer->state == BYN_PEER_SUSPECT ||
        peer->expected_until > d->now)
      return false;
  return true;
}

/* It is wanted on another node. */
static bool is_misplaced(byn_dist *d, const byn_run *run) {
  byn_generation *g = going(run);
  byn_peer *peer;
  if (!g || run->state != BYN_RUN_RUNNING || run->move) return false;
  if (d->now < run->stays_until || g->failures.count > 0) return false;
  return choose(d, run, g, BYN_DIST_HANDOFF_REBALANCE, &peer) ==
         BYN_CANDIDATE_PEER;
}

static uint32_t want_misplaced(byn_dist *d, uint32_t most) {
  uint32_t count = 0;
  byn_map_entry entry;
  for (uint32_t cursor = 0;
       count < most && byn_map_next(&d->children, &cursor, &entry);)
    if (is_misplaced(d, entry.value))
      count += byn_move_want(d, entry.value, BYN_DIST_HANDOFF_REBALANCE);
  return count;
}

bool byn_move_rebalance(byn_dist *d, uint32_t *count) {
  *count = 0;
  if (!is_settled(d)) return false;
  *count = want_misplaced(d, UINT32_MAX);
  return true;
}

void byn_move_tick(byn_dist *d) {
  if (d->per_second == 0 || !is_settled(d)) return;
  if (d->move_count > 0) return;
  want_misplaced(d, d->per_second);
}
