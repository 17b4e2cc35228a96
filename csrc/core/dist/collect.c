/* The newest checkpoint, asked of all before a child is started again. */
#include "collect.h"

#include "../assert.h"
#include "../coverage.h"
#include "checkpoint.h"
#include "cohort.h"
#include "run.h"

BYN_MACHINE("dist: a search for a checkpoint", "asking",
            "begin found none_newer all_answered late");

enum {
  PATIENCE_MS = 5000,
  WAITING_MOST = 4096,            /* runs: those behind are asked for later */
  ASK_MOST = BYN_PACKET_MOST / 2, /* bytes of one COLLECT, about */
  ANSWER_MOST = 1 << 20           /* bytes of what answers it, about */
};

bool byn_collect_has_room(const byn_dist *d) {
  return d->collecting.count < WAITING_MOST;
}

bool byn_collect_is_due(const byn_run *run, const byn_generation *g) {
  byn_assert(run->state == BYN_RUN_QUEUED && !g->ended);
  return g->kept && !run->collected;
}

void byn_collect_begin(byn_dist *d, byn_run *run) {
  BYN_COVER(0, "begin");
  run->sought = ++d->last_sought;
  run->sought_at = d->now;
  byn_run_enlist(&d->collecting, run);
}

/* Its life may hold checkpoints. */
static bool may_hold(const byn_peer *peer) {
  return peer->host && !peer->host->gone && peer->state != BYN_PEER_UNKNOWN;
}

/* It has owed an answer for too long, whoever's. */
static bool is_silent(byn_dist *d, byn_peer *peer) {
  bool owes = may_hold(peer) && peer->collected < d->last_sought;
  if (!owes) peer->collect_owed = 0;
  if (owes && !peer->collect_owed) peer->collect_owed = d->now ? d->now : 1;
  return owes && d->now - peer->collect_owed >= PATIENCE_MS;
}

void byn_collect_review(byn_dist *d) {
  if (!d->collecting.first) return;
  uint64_t answered = UINT64_MAX;
  for (byn_peer *peer = d->peers; peer; peer = peer->next)
    if (!is_silent(d, peer) && may_hold(peer) && peer->collected < answered)
      answered = peer->collected;
  for (byn_run *run; (run = d->collecting.first);) {
    bool late = d->now - run->sought_at >= PATIENCE_MS;
    if (run->sought > answered && !late) return;
    BYN_COVER(0, run->sought > answered ? "late" : "all_answered");
    run->collected = true;
    if (run->state == BYN_RUN_IDLE) {
      byn_run_delist(run);
      byn_registry_touch(&d->registry, run->place);
    } else {
      byn_run_enlist(&d->restarts, run);
    }
  }
}

/* --- asking --------------------------------------------------------------- */

static void put_sought(byn_buf *b, const byn_run *run) {
  const byn_generation *g = byn_place_find(run->place, run->token);
  byn_dist_id id = byn_place_id(run->place);
  size_t mark = byn_field_open(b, BYN_FIELD_SOUGHT);
  byn_checkpoint_put(b, &id, run->token, g);
  byn_put_number_field(b, BYN_FIELD_SEQ, run->sought);
  byn_field_close(b, mark);
}

static void ask_peer(byn_dist *d, byn_peer *peer) {
  byn_buf *b = byn_record_begin(d, BYN_RECORD_COLLECT);
  uint64_t last = 0;
  for (const byn_run *run = d->collecting.first; run; run = run->after) {
    if (run->sought <= peer->collected) continue;
    bool fits = byn_record_would_fit(d, peer, b->len + run->place->key_size);
    if (!fits && !last) peer->collected = run->sought; /* it has none of it */
    if (!fits && !last) continue;
    if (!fits || b->len >= ASK_MOST) break;
    put_sought(b, run);
    last = run->sought;
  }
  if (!last) return;
  peer->collect_asked = last;
  byn_record_send(d, peer);
}

void byn_collect_pump(byn_dist *d) {
  if (!d->collecting.first) return;
  for (byn_peer *peer = d->peers; peer; peer = peer->next)
    if (byn_peer_sees(peer) && !peer->collect_asked) ask_peer(d, peer);
}

/* --- answering ------------------------------------------------------------ */

/* Answers how many bytes that took. */
static size_t answer_one(byn_dist *d, byn_peer *peer, const byn_record *r) {
  const byn_place *p = byn_registry_find(&d->registry, &r->id);
  const byn_generation *g = p ? byn_place_find(p, r->token) : NULL;
  if (!g || !g->checkpoint) return 0;
  const byn_checkpoint *c = g->checkpoint;
  bool newer =
      c->epoch > r->epoch || (c->epoch == r->epoch && c->version > r->version);
  BYN_COVER(0, newer ? "found" : "none_newer");
  if (!newer || !byn_record_would_fit(d, peer, c->bytes.n + p->key_size))
    return 0;
  byn_checkpoint_put_whole(d, BYN_RECORD_FOUND, p, g);
  byn_record_send(d, peer);
  return d->scratch.len;
}

void byn_collect_take_ask(byn_dist *d, byn_peer *peer, const byn_record *r) {
  byn_reader fields;
  byn_reader_init(&fields, r->body.at, r->body.n);
  byn_record sought;
  uint64_t last = 0;
  for (size_t sent = 0;
       sent < ANSWER_MOST && byn_record_next_sought(&fields, &sought);) {
    sent += answer_one(d, peer, &sought);
    last = sought.seq;
  }
  if (!last) return;
  byn_put_number_field(byn_record_begin(d, BYN_RECORD_COLLECTED), BYN_FIELD_SEQ,
                       last);
  byn_record_send(d, peer);
}

void byn_collect_take_answer(byn_dist *d, byn_peer *peer, const byn_record *r) {
  if (r->kind == BYN_RECORD_FOUND) {
    byn_place *p = byn_registry_find(&d->registry, &r->id);
    byn_generation *g = p ? byn_place_find(p, r->token) : NULL;
    bool taken = !g || g->ended || byn_checkpoint_take(d, p, g, r);
    if (!taken) peer->collect_asked = 0; /* asked again */
    return;
  }
  if (r->seq > peer->collect_asked) return;
  peer->collect_asked = 0;
  peer->collect_owed = 0;
  if (r->seq > peer->collected) peer->collected = r->seq;
}
