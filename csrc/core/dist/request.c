/* Requests of callers on this node. */
#include "request.h"

#include "../assert.h"
#include "../coverage.h"
#include "../wire/handshake.h"
#include "candidate.h"
#include "checkpoint.h"
#include "cohort.h"
#include "move.h"
#include "quorum.h"
#include "reconcile.h"
#include "relay.h"
#include "run.h"
#include "serve.h"

BYN_MACHINE("dist: a request", "opening asked copying answered",
            "wait ask serve copy answer late restamp denied");

enum { AGAIN_MS = 1000, RETRY_MS = 50 };

/* --- the lists ------------------------------------------------------------ */

static void unlink_request(byn_request **first, byn_request **last,
                           byn_request *q) {
  if (q->before)
    q->before->after = q->after;
  else
    *first = q->after;
  if (q->after)
    q->after->before = q->before;
  else
    *last = q->before;
  q->before = q->after = NULL;
}

static void append_request(byn_request **first, byn_request **last,
                           byn_request *q) {
  q->before = *last;
  q->after = NULL;
  if (*last)
    (*last)->after = q;
  else
    *first = q;
  *last = q;
}

static void leave_place(byn_dist *d, byn_request *q) {
  byn_request **at = &q->place->requests;
  while (*at != q)
    at = &(*at)->same_place;
  *at = q->same_place;
  byn_registry_touch(&d->registry, q->place);
  q->place = NULL;
}

void byn_request_free(byn_dist *d, byn_request *q) {
  if (!q) return;
  if (q->place) leave_place(d, q);
  byn_timers_cancel(d->timers, q->timer, NULL);
  byn_blob_clear(&q->spec, &d->alloc);
  byn_blob_clear(&q->node, &d->alloc);
  byn_blob_clear(&q->pid, &d->alloc);
  byn_blob_clear(&q->reason, &d->alloc);
  byn_blob_clear(&q->where, &d->alloc);
  byn_free(&d->alloc, q, sizeof *q);
}

void byn_request_forget_all(byn_dist *d) {
  while (d->requests) {
    byn_request *q = d->requests;
    unlink_request(&d->requests, &d->last_request, q);
    byn_request_free(d, q);
  }
  while (d->answers) {
    byn_request *q = d->answers;
    unlink_request(&d->answers, &d->last_answer, q);
    byn_request_free(d, q);
  }
  byn_map_empty(&d->tokens);
  d->failed_count = 0;
}

/* --- answers -------------------------------------------------------------- */

static void set_timer(byn_dist *d, byn_request *q) {
  byn_timers_cancel(d->timers, q->timer, NULL);
  int64_t at = q->retry_at < q->deadline ? q->retry_at : q->deadline;
  q->timer =
      at == BYN_NEVER ? 0 : byn_timers_add(d->timers, at, BYN_TIMER_REQUEST, q);
}

static void answer(byn_dist *d, byn_request *q, byn_dist_code code,
                   byn_dist_bytes pid, byn_dist_bytes reason,
                   const char *where) {
  byn_assert(q->state != BYN_REQUEST_ANSWERED);
  BYN_COVER(q->state, "answer");
  byn_timers_cancel(d->timers, q->timer, NULL);
  q->timer = 0;
  q->code = code;
  byn_blob_set(&q->pid, &d->alloc, pid.at, pid.n);
  byn_blob_set(&q->reason, &d->alloc, reason.at, reason.n);
  byn_blob_set(&q->where, &d->alloc, where, where ? strlen(where) : 0);
  if (q->token) byn_map_remove(&d->tokens, q->token);
  unlink_request(&d->requests, &d->last_request, q);
  leave_place(d, q);
  q->touched = d->registry.touched;
  append_request(&d->answers, &d->last_answer, q);
  q->state = BYN_REQUEST_ANSWERED;
}

static void answer_code(byn_dist *d, byn_request *q, byn_dist_code code) {
  byn_dist_bytes none = {0};
  answer(d, q, code, none, none, NULL);
}

/* The generation of this request has ended. */
static void answer_end(byn_dist *d, byn_request *q, const byn_generation *g) {
  static const uint8_t codes[] = {
      [BYN_DIST_WHY_NONE] = BYN_DIST_TERMINATED,
      [BYN_DIST_WHY_EXITED] = BYN_DIST_OK,
      [BYN_DIST_WHY_TERMINATED] = BYN_DIST_TERMINATED,
      [BYN_DIST_WHY_CONFLICT] = BYN_DIST_ALREADY_PRESENT,
      [BYN_DIST_WHY_ENDED] = BYN_DIST_TERMINATED,
      [BYN_DIST_WHY_LEFT] = BYN_DIST_TERMINATED,
      [BYN_DIST_WHY_NOCONNECTION] = BYN_DIST_NOCONNECTION,
      [BYN_DIST_WHY_START_ERROR] = BYN_DIST_ERROR,
      [BYN_DIST_WHY_REFUSED] = BYN_DIST_REFUSED,
      [BYN_DIST_WHY_NO_ROOM] = BYN_DIST_NO_ROOM,
      [BYN_DIST_WHY_TIMEOUT] = BYN_DIST_TIMEOUT,
      [BYN_DIST_WHY_IGNORE] = BYN_DIST_IGNORE,
      [BYN_DIST_WHY_IDLE] = BYN_DIST_OK};
  const byn_end *e = &g->end;
  byn_dist_bytes pid = {e->pid.at, e->pid.n};
  byn_dist_bytes reason = {e->reason.at, e->reason.n};
  bool ran = e->pid.at != NULL;
  answer(d, q, ran ? BYN_DIST_OK : (byn_dist_code)codes[e->why], pid, reason,
         (const char *)e->node.at);
}

static byn_peer *peer_of(const byn_dist *d, const byn_host *host) {
  for (byn_peer *peer = d->peers; peer; peer = peer->next)
    if (peer->host == host) return peer;
  return NULL;
}

/* Is that host known to live just now? */
static bool is_seen(const byn_dist *d, const byn_host *host) {
  const byn_peer *peer = peer_of(d, host);
  return host == d->self || (peer && byn_relay_reaches(peer));
}

/* Enough nodes hold it: this one, its host if it has one, and those that
 * acknowledged. */
static bool is_copied(byn_dist *d, byn_request *q, const byn_host *host) {
  uint32_t nodes = 1, holders = 1;
  for (const byn_peer *peer = d->peers; peer; peer = peer->next) {
    bool counts = byn_peer_sees(peer) && peer->got_all && peer->sent_all;
    nodes += counts;
    holders +=
        counts && (peer->host == host || (q->seq && peer->acked_seq >= q->seq));
  }
  uint32_t want = d->replicas < nodes ? d->replicas : nodes;
  if (holders >= want) return true;
  if (q->seq == 0) {
    BYN_COVER(q->state, "copy");
    q->seq = ++d->seq;
    q->state = BYN_REQUEST_COPYING;
    d->sync_due = true;
    byn_registry_publish(&d->registry, q->place, d->replicas > 2);
  }
  return false;
}

/* --- start ---------------------------------------------------------------- */

/* false: it is too large for the owner. */
static bool send_start(byn_dist *d, byn_request *q, byn_peer *owner) {
  byn_buf *b = byn_record_begin(d, BYN_RECORD_START);
  byn_record_put_id(b, q->place);
  byn_put_number_field(b, BYN_FIELD_TOKEN, q->token);
  byn_put_number_field(b, BYN_FIELD_STAMP, q->stamp);
  byn_put_number_field(b, BYN_FIELD_FLAGS, q->flags);
  byn_put_bytes_field(b, BYN_FIELD_SPEC, q->spec.at, q->spec.n);
  byn_put_bytes_field(b, BYN_FIELD_NODE, q->node.at, q->node.n);
  if (q->own_backoff) byn_record_put_backoff(b, &q->backoff);
  if (!byn_record_fits(d, owner)) return false;
  byn_relay_send(d, owner);
  return true;
}

/* The generation that was asked for is over, unheard of: ask for another. */
static void restamp(byn_dist *d, byn_request *q, uint64_t floor) {
  BYN_COVER(q->state, "restamp");
  byn_registry_saw(&d->registry, floor);
  byn_map_remove(&d->tokens, q->token);
  q->token = byn_rng_next(&d->rng) | 1;
  q->stamp = byn_registry_stamp(&d->registry);
  byn_map_put(&d->tokens, q->token, q); /* its old place is free */
}

static void serve_here(byn_dist *d, byn_request *q) {
  BYN_COVER(q->state, "serve");
  byn_offer offer = {.id = byn_place_id(q->place),
                     .token = q->token,
                     .stamp = q->stamp,
                     .flags = q->flags,
                     .spec = {q->spec.at, q->spec.n},
                     .node = {q->node.at, q->node.n},
                     .backoff = q->own_backoff ? &q->backoff : NULL};
  byn_service s;
  byn_serve_start(d, &offer, &s);
  if (s.served == BYN_SERVED_ANSWER) {
    answer(d, q, s.code, s.pid, (byn_dist_bytes){0}, s.node);
    return;
  }
  if (s.floor) restamp(d, q, s.floor);
  q->state = BYN_REQUEST_ASKED;
  q->asked = NULL;
  q->retry_at = d->now + (s.served == BYN_SERVED_TAKEN ? AGAIN_MS : RETRY_MS);
  set_timer(d, q);
}

static void ask_owner(byn_dist *d, byn_request *q) {
  byn_peer *owner = NULL; /* and where there is none, this node answers */
  if (!d->open && !d->leaving) return;
  byn_candidate_owner(d, q->place->hash, &owner);
  bool again = q->state == BYN_REQUEST_OPENING || q->asked != owner ||
               d->now >= q->retry_at;
  if (!again) return;
  if (!owner) {
    serve_here(d, q);
    return;
  }
  BYN_COVER(q->state, "ask");
  if (!send_start(d, q, owner)) {
    answer_code(d, q, BYN_DIST_TOO_LARGE);
    return;
  }
  q->asked = owner;
  q->state = BYN_REQUEST_ASKED;
  q->retry_at = d->now + AGAIN_MS;
  set_timer(d, q);
}

static void review_start(byn_dist *d, byn_request *q) {
  byn_place *p = q->place;
  byn_generation *g = byn_place_find(p, q->token);
  if (!g) {
    ask_owner(d, q);
    return;
  }
  if (g->ended) {
    answer_end(d, q, g);
    return;
  }
  byn_generation *of = NULL;
  byn_register *r = byn_place_running(p, d->newest, &of);
  if (!r || of != g) {
    /* Who serves it may not know that it is this node's to answer. */
    if (d->now >= q->retry_at && d->open) {
      q->retry_at = d->now + AGAIN_MS;
      set_timer(d, q);
    }
    return;
  }
  if (!is_seen(d, r->host) || !is_copied(d, q, r->host)) return;
  answer(d, q, BYN_DIST_OK, (byn_dist_bytes){r->pid.at, r->pid.n},
         (byn_dist_bytes){0}, r->host->name);
}

/* --- terminate ------------------------------------------------------------ */

static void send_terminate(byn_dist *d, const byn_request *q, uint64_t token,
                           byn_peer *peer) {
  byn_buf *b = byn_record_begin(d, BYN_RECORD_TERMINATE);
  byn_record_put_id(b, q->place);
  byn_put_number_field(b, BYN_FIELD_TOKEN, token);
  byn_relay_send(d, peer);
}

/* One generation that is to end; true if it is over already. */
static void terminate_one(byn_dist *d, byn_request *q, byn_generation *g,
                          bool due) {
  const byn_register *active = byn_generation_active(g);
  bool here = q->place->run && q->place->run->token == g->token;
  if (here && q->place->run->state == BYN_RUN_STOPPING &&
      q->place->run->stop_why == BYN_DIST_WHY_TERMINATED)
    return;
  byn_peer *peer = active ? peer_of(d, active->host) : NULL;
  if (here || !active)
    byn_reconcile_terminate(d, q->place, g);
  else if (due && peer)
    send_terminate(d, q, g->token, peer);
}

static void review_terminate(byn_dist *d, byn_request *q) {
  /* What is not known yet may exist. */
  bool knows = d->open || (d->leaving && d->opened_once);
  if (!knows && !q->found) return;
  bool due = d->now >= q->retry_at || q->state == BYN_REQUEST_OPENING;
  bool left = true;
  for (bool changed = true; changed && left;) {
    changed = left = false;
    for (byn_generation *g = q->place->generations; g; g = g->next) {
      if (g->ended || g->stamp > q->stamp) continue;
      uint32_t live = q->place->live;
      q->found = left = true;
      terminate_one(d, q, g, due);
      changed = q->place->live != live;
      if (changed) break; /* the list is another */
    }
  }
  if (!left) {
    if (!q->found)
      answer_code(d, q, BYN_DIST_NOT_FOUND);
    else if (is_copied(d, q, NULL))
      answer_code(d, q, BYN_DIST_OK);
    return;
  }
  q->state = BYN_REQUEST_ASKED;
  if (!due) return;
  q->retry_at = d->now + AGAIN_MS;
  set_timer(d, q);
}

/* Its caller is told that its time is over: it is not to run later. One that
 * ran, or may have, goes on. */
static void give_up_start(byn_dist *d, byn_request *q) {
  byn_generation *g = byn_place_find(q->place, q->token);
  if (g && (g->ended || byn_generation_may_have_run(g))) return;
  const byn_register *active = g ? byn_generation_active(g) : NULL;
  byn_run *run = q->place->run;
  bool here = g && run && run->token == q->token;
  if (here || (g && !active && !q->asked)) {
    byn_reconcile_terminate(d, q->place, g);
    return;
  }
  byn_peer *peer = active ? peer_of(d, active->host) : q->asked;
  if (peer) send_terminate(d, q, q->token, peer);
}

/* --- moves ---------------------------------------------------------------- */

static void send_move(byn_dist *d, const byn_request *q,
                      const byn_register *running, uint64_t token) {
  if (running->host == d->self) {
    byn_record own = {.kind = BYN_RECORD_MOVE,
                      .id = byn_place_id(q->place),
                      .token = token,
                      .stamp = q->stamp,
                      .node = {q->node.at, q->node.n}};
    byn_move_take(d, NULL, &own);
    return;
  }
  byn_peer *peer = peer_of(d, running->host);
  if (!peer) return;
  byn_buf *b = byn_record_begin(d, BYN_RECORD_MOVE);
  byn_record_put_id(b, q->place);
  byn_put_number_field(b, BYN_FIELD_TOKEN, token);
  byn_put_number_field(b, BYN_FIELD_STAMP, q->stamp);
  byn_put_bytes_field(b, BYN_FIELD_NODE, q->node.at, q->node.n);
  byn_relay_send(d, peer);
}

/* The node that was named may run it, as far as this one knows; or the answer
 * is why not. */
static bool may_move_there(byn_dist *d, byn_request *q) {
  if (!q->node.at || q->state != BYN_REQUEST_OPENING) return true;
  const char *node = (const char *)q->node.at;
  bool self = strcmp(node, d->self->name) == 0;
  const byn_peer *peer = byn_cohort_find(d, node, q->node.n);
  if (self ? byn_candidate_is_member(d) : peer && peer->in_ring) return true;
  bool known = self || (peer && peer->connected);
  answer_code(d, q, known ? BYN_DIST_NOT_A_MEMBER : BYN_DIST_NOCONNECTION);
  return false;
}

/* It was moved, by this request or a later one, and runs. */
static void answer_moved(byn_dist *d, byn_request *q, const byn_generation *g,
                         const byn_register *running) {
  const char *node = (const char *)q->node.at;
  bool elsewhere = node && g->preference.stamp == q->stamp &&
                   strcmp(running->host->name, node) != 0;
  for (const byn_register *r = g->registers; elsewhere && r; r = r->next)
    if (r->state == BYN_REGISTER_REFUSED && strcmp(r->host->name, node) == 0) {
      bool room = r->why == BYN_DIST_WHY_NO_ROOM;
      answer(d, q, room ? BYN_DIST_NO_ROOM : BYN_DIST_REFUSED,
             (byn_dist_bytes){0}, (byn_dist_bytes){r->reason.at, r->reason.n},
             node);
      return;
    }
  answer(d, q, BYN_DIST_OK, (byn_dist_bytes){running->pid.at, running->pid.n},
         (byn_dist_bytes){0}, running->host->name);
}

static void review_move(byn_dist *d, byn_request *q) {
  byn_place *p = q->place;
  const byn_generation *g = byn_place_live(p, d->newest);
  bool knows = d->open || (d->leaving && d->opened_once);
  if (!knows) return;
  if (!g) {
    answer_code(d, q, BYN_DIST_NOT_FOUND);
    return;
  }
  if (!may_move_there(d, q)) return;
  const byn_register *running = byn_place_running(p, d->newest, NULL);
  const byn_register *active = byn_generation_active(g);
  bool moved = g->preference.stamp >= q->stamp;
  if (running && moved && !running->moving && is_seen(d, running->host)) {
    answer_moved(d, q, g, running);
    return;
  }
  if (moved && active && active->state == BYN_REGISTER_WAITING) {
    answer(d, q, BYN_DIST_ERROR, (byn_dist_bytes){0},
           (byn_dist_bytes){g->failures.reason.at, g->failures.reason.n},
           active->host->name);
    return;
  }
  if (q->state != BYN_REQUEST_OPENING && d->now < q->retry_at) return;
  q->state = BYN_REQUEST_ASKED;
  q->retry_at = d->now + AGAIN_MS;
  set_timer(d, q);
  if (running && !moved) send_move(d, q, running, q->token);
}

/* A start is not waited for where there is no quorum. */
static bool is_denied(const byn_dist *d, const byn_request *q) {
  if (q->terminates || q->keeps || !byn_quorum_denies(d)) return false;
  const byn_generation *g = byn_place_find(q->place, q->token);
  return !g || !g->ended;
}

/* --- checkpoints ---------------------------------------------------------- */

/* One that another, of the same process, has replaced is held where that is. */
static void review_keep(byn_dist *d, byn_request *q) {
  byn_run *run = q->place->run;
  const byn_generation *g = run ? byn_place_find(q->place, run->token) : NULL;
  bool goes_on = g && !g->ended && run->child == q->child;
  if (!goes_on)
    answer_code(d, q, BYN_DIST_NOT_FOUND);
  else if (byn_checkpoint_is_anothers(run, g) && !q->async)
    return;
  else if (q->async || byn_checkpoint_is_held(d, run, q->epoch, q->version))
    answer_code(d, q, BYN_DIST_OK);
}

/* --- looking at them ------------------------------------------------------ */

static void review(byn_dist *d, byn_request *q) {
  byn_assert(q->place && q->state != BYN_REQUEST_ANSWERED);
  if (d->now >= q->deadline) {
    BYN_COVER(q->state, "late");
    bool starts = !q->terminates && !q->keeps && !q->moves;
    if (starts) give_up_start(d, q);
    answer_code(d, q, BYN_DIST_TIMEOUT);
  } else if (is_denied(d, q)) {
    BYN_COVER(q->state, "denied");
    give_up_start(d, q);
    answer_code(d, q, BYN_DIST_NO_QUORUM);
  } else if (q->keeps) {
    review_keep(d, q);
  } else if (q->moves) {
    review_move(d, q);
  } else if (q->terminates) {
    review_terminate(d, q);
  } else {
    review_start(d, q);
  }
}

void byn_request_review_place(byn_dist *d, byn_place *p) {
  /* What one asks for may answer another: the place is looked at again then. */
  for (byn_request *q = p->requests, *next;
       q && q->state != BYN_REQUEST_ANSWERED; q = next) {
    next = q->same_place;
    review(d, q);
  }
}

void byn_request_due(byn_dist *d, byn_request *q) {
  q->timer = 0;
  review(d, q);
}

void byn_request_review_copying(byn_dist *d) {
  for (byn_request *q = d->requests; q; q = q->after)
    if (q->state == BYN_REQUEST_COPYING)
      byn_registry_touch(&d->registry, q->place);
}

void byn_request_ask_again(byn_dist *d) {
  for (byn_request *q = d->requests; q; q = q->after) {
    if (q->state != BYN_REQUEST_ASKED) continue;
    q->retry_at = d->now;
    byn_registry_touch(&d->registry, q->place);
  }
}

void byn_request_take_reply(byn_dist *d, const byn_record *r) {
  byn_request *q = byn_map_get(&d->tokens, r->token);
  if (!q || q->terminates) return;
  if (!r->retry) {
    answer(d, q, (byn_dist_code)r->code, r->pid, r->reason, NULL);
    byn_blob_set(&q->where, &d->alloc, r->node.at, r->node.n);
    return;
  }
  if (r->stamp >= q->stamp) restamp(d, q, r->stamp);
  q->retry_at = d->now + RETRY_MS;
  set_timer(d, q);
}

/* --- their beginning ------------------------------------------------------ */

static void fail(byn_dist *d, uint64_t number, byn_dist_code code) {
  if (d->failed_count < BYN_FAILED_REQUESTS)
    d->failed[d->failed_count++] = (byn_failed_request){number, code};
}

static byn_request *add_request(byn_dist *d, uint64_t number,
                                const byn_dist_id *id, int64_t limit_ms) {
  byn_request *q = byn_new(&d->alloc, sizeof *q);
  byn_place *p = byn_registry_place(&d->registry, id);
  if (!q || !p || !byn_map_reserve(&d->tokens)) {
    byn_free(&d->alloc, q, sizeof *q);
    if (p) byn_registry_touch(&d->registry, p);
    return NULL;
  }
  *q = (byn_request){.number = number, .place = p, .retry_at = BYN_NEVER};
  bool limited = limit_ms < BYN_NEVER - d->now;
  q->deadline = limited ? d->now + (limit_ms > 0 ? limit_ms : 0) : BYN_NEVER;
  q->stamp = byn_registry_stamp(&d->registry);
  q->same_place = p->requests;
  p->requests = q;
  append_request(&d->requests, &d->last_request, q);
  byn_registry_touch(&d->registry, p);
  set_timer(d, q);
  return q;
}

static bool copy_what(byn_dist *d, byn_request *q,
                      const byn_dist_start_spec *what) {
  q->flags = what->flags;
  q->own_backoff = what->backoff != NULL;
  if (what->backoff) q->backoff = *what->backoff;
  const char *node = what->node;
  return byn_blob_set(&q->spec, &d->alloc,
                      what->spec ? what->spec : (const uint8_t *)"",
                      what->spec_len) &&
         byn_blob_set(&q->node, &d->alloc, node, node ? strlen(node) : 0);
}

/* What is no name of a node is sent to none: it would be refused as malformed.
 */
static bool may_be_node(const byn_dist *d, const char *node) {
  return !node || strcmp(node, d->self->name) == 0 ||
         byn_name_is_valid(node, strlen(node));
}

void byn_request_start(byn_dist *d, uint64_t number, const byn_dist_id *id,
                       const byn_dist_start_spec *what, int64_t limit_ms) {
  byn_request *q = add_request(d, number, id, limit_ms);
  if (!q) {
    fail(d, number, BYN_DIST_NO_MEMORY);
    return;
  }
  q->token = byn_rng_next(&d->rng) | 1;
  byn_map_put(&d->tokens, q->token, q);
  size_t packet = what->spec_len + id->n + BYN_RECORD_ROOM;
  if (what->spec_len > d->max_spec || packet > d->max_packet)
    answer_code(d, q, BYN_DIST_TOO_LARGE);
  else if (!may_be_node(d, what->node))
    answer_code(d, q, BYN_DIST_NOCONNECTION);
  else if (!copy_what(d, q, what))
    answer_code(d, q, BYN_DIST_NO_MEMORY);
}

void byn_request_terminate(byn_dist *d, uint64_t number, const byn_dist_id *id,
                           int64_t limit_ms) {
  byn_request *q = add_request(d, number, id, limit_ms);
  if (q)
    q->terminates = true;
  else
    fail(d, number, BYN_DIST_NO_MEMORY);
}

void byn_request_move(byn_dist *d, uint64_t number, const byn_dist_id *id,
                      const char *node, int64_t limit_ms) {
  byn_request *q = add_request(d, number, id, limit_ms);
  if (!q) {
    fail(d, number, BYN_DIST_NO_MEMORY);
    return;
  }
  q->moves = true;
  q->token = byn_rng_next(&d->rng) | 1;
  byn_map_put(&d->tokens, q->token, q);
  if (!may_be_node(d, node))
    answer_code(d, q, BYN_DIST_NOCONNECTION);
  else if (!byn_blob_set(&q->node, &d->alloc, node, node ? strlen(node) : 0))
    answer_code(d, q, BYN_DIST_NO_MEMORY);
}

/* The run whose process may write; NULL: there is none. */
static byn_run *writing_run(const byn_dist *d, uint32_t child,
                            byn_generation **g) {
  byn_run *run = byn_run_find(d, child);
  *g = run ? byn_place_find(run->place, run->token) : NULL;
  if (!*g || (*g)->ended || run->gone) return NULL;
  bool writes = run->state == BYN_RUN_STARTING ||
                run->state == BYN_RUN_RUNNING || run->state == BYN_RUN_STOPPING;
  return writes ? run : NULL;
}

/* false: no copy stays in its place. */
static bool hand_over(byn_dist *d, byn_request *q, const byn_run *run,
                      const byn_dist_written *what) {
  byn_dist_bytes state = {what->bytes, what->n};
  switch (byn_reconcile_hand_over(d, run, state)) {
  case BYN_HANDED_OVER:
    answer_code(d, q, BYN_DIST_OK);
    return true;
  case BYN_HANDED_UNREACHED:
    answer_code(d, q, BYN_DIST_NOCONNECTION);
    return true;
  case BYN_HANDED_TOO_LARGE:
    answer_code(d, q, BYN_DIST_TOO_LARGE);
    return true;
  case BYN_HANDED_TO_NOBODY:
    break;
  }
  return false;
}

/* Is its next process the one that it was handed to? An idle one waits. */
static bool is_handed(const byn_run *run, const byn_dist_written *what) {
  return what->handed && run->stop_why != BYN_DIST_WHY_IDLE;
}

void byn_request_keep(byn_dist *d, uint64_t number, uint32_t child,
                      const byn_dist_written *what, int64_t limit_ms) {
  byn_generation *g;
  byn_run *run = writing_run(d, child, &g);
  if (!run) {
    fail(d, number, BYN_DIST_NOT_FOUND);
    return;
  }
  byn_dist_id id = byn_place_id(run->place);
  byn_request *q = add_request(d, number, &id, limit_ms);
  if (!q) {
    fail(d, number, BYN_DIST_NO_MEMORY);
    return;
  }
  q->keeps = true;
  q->async = what->async;
  q->child = child;
  q->state = BYN_REQUEST_COPYING;
  size_t packet = what->n + id.n + BYN_RECORD_ROOM;
  if (what->n > d->max_checkpoint || packet > d->max_packet) {
    answer_code(d, q, BYN_DIST_TOO_LARGE);
  } else if (what->handed && hand_over(d, q, run, what)) {
    return;
  } else if (!byn_checkpoint_write(d, run, g, is_handed(run, what),
                                   (byn_dist_bytes){what->bytes, what->n})) {
    answer_code(d, q, BYN_DIST_NO_MEMORY);
  } else {
    q->epoch = g->checkpoint->epoch;
    q->version = g->checkpoint->version;
  }
}

bool byn_request_next(byn_dist *d, byn_dist_action *a) {
  a->kind = BYN_DIST_ANSWER;
  if (d->failed_count > 0) {
    const byn_failed_request *failed = &d->failed[--d->failed_count];
    a->request = failed->number;
    a->code = failed->code;
    return true;
  }
  byn_request *q = d->answers;
  if (!q || !byn_registry_has_looked(&d->registry, q->touched)) return false;
  unlink_request(&d->answers, &d->last_answer, q);
  d->taken_request = q;
  a->request = q->number;
  a->code = q->code;
  a->pid = (byn_dist_bytes){q->pid.at, q->pid.n};
  a->reason = (byn_dist_bytes){q->reason.at, q->reason.n};
  a->node = (const char *)q->where.at;
  return true;
}
