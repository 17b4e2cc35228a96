/* Requests where they are served. */
#include "serve.h"

#include "../assert.h"
#include "../coverage.h"
#include "candidate.h"
#include "checkpoint.h"
#include "cohort.h"
#include "entity.h"
#include "quorum.h"
#include "reconcile.h"
#include "relay.h"
#include "sync.h"
#include "want.h"

BYN_MACHINE(
    "dist: the start of an id at its owner",
    "unknown running starting lost waiting known closed idle",
    "woken taken later already_started already_present no_nodes not_member");

enum { UNKNOWN, RUNNING, STARTING, LOST, WAITING, KNOWN, CLOSED, IDLE };

static void answer(byn_service *s, byn_dist_code code) {
  s->served = BYN_SERVED_ANSWER;
  s->code = code;
}

/* There is a child of that id already, by another request. A first start or a
 * restart under way is waited for: its outcome is the answer. */
static void serve_present(byn_dist *d, byn_place *p, byn_generation *live,
                          bool ensure, byn_service *s) {
  const byn_register *running = byn_place_running(p, d->newest, NULL);
  const byn_register *active = byn_generation_active(live);
  s->served = BYN_SERVED_LATER;
  if (running) {
    BYN_COVER(RUNNING, "already_started");
    answer(s, ensure ? BYN_DIST_OK : BYN_DIST_ALREADY_STARTED);
    s->pid = (byn_dist_bytes){running->pid.at, running->pid.n};
    s->node = running->host->name;
    return;
  }
  if (active && active->state == BYN_REGISTER_WAITING) {
    BYN_COVER(WAITING, "already_present");
    answer(s, BYN_DIST_ALREADY_PRESENT);
    return;
  }
  if (ensure && byn_generation_is_idle(live)) {
    BYN_COVER(IDLE, "woken");
    byn_entity_wake(d, p, live);
    return;
  }
  if (active || !byn_generation_may_have_run(live)) {
    BYN_COVER(STARTING, "later");
    return;
  }
  const byn_register *last;
  bool refused = byn_candidate_of(d, p, live, &last) == BYN_CANDIDATE_REFUSED;
  if (ensure && !refused) {
    BYN_COVER(LOST, "later");
    return;
  }
  BYN_COVER(LOST, "already_present");
  answer(s, BYN_DIST_ALREADY_PRESENT);
}

/* The node that was named runs children, or the answer is why not. */
static bool may_be_there(byn_dist *d, byn_dist_bytes node, byn_service *s) {
  if (!node.at) return true;
  bool self = node.n == strlen(d->self->name) &&
              memcmp(node.at, d->self->name, node.n) == 0;
  const byn_peer *peer = byn_cohort_find(d, (const char *)node.at, node.n);
  if (self ? byn_candidate_is_member(d) : peer && peer->in_ring) return true;
  BYN_COVER(UNKNOWN, "not_member");
  bool known = self || (peer && peer->connected);
  answer(s, known ? BYN_DIST_NOT_A_MEMBER : BYN_DIST_NOCONNECTION);
  return false;
}

static void create(byn_dist *d, const byn_offer *o, byn_service *s) {
  byn_generation_view *v = &d->view;
  memset(v, 0, offsetof(byn_generation_view, registers));
  v->token = o->token;
  v->stamp = o->stamp;
  v->flags = o->flags & BYN_PLACE_FLAGS;
  v->spec_set = true;
  v->spec = o->spec;
  v->node = o->node;
  if (o->backoff) {
    v->own_backoff = true;
    v->backoff_min = o->backoff->min;
    v->backoff_max = o->backoff->max;
    v->backoff_factor = o->backoff->factor;
    v->backoff_jitter = o->backoff->jitter;
  }
  byn_registry_saw(&d->registry, o->stamp);
  byn_place *p = byn_registry_place(&d->registry, &o->id);
  byn_merged merged = BYN_MERGED_NO_MEMORY;
  if (p) merged = byn_place_merge(p, &d->alloc, v);
  /* Without its spec it would be in the way of all that come later. */
  if (p && merged == BYN_MERGED_NO_MEMORY)
    byn_place_drop(p, &d->alloc, o->token);
  if (p) {
    byn_registry_changed(&d->registry, p);
    byn_want_review(d, p);
  }
  if (merged == BYN_MERGED_SAME) { /* there are too many */
    s->served = BYN_SERVED_LATER;
    return;
  }
  if (merged == BYN_MERGED_NO_MEMORY) {
    answer(s, BYN_DIST_NO_MEMORY);
    return;
  }
  BYN_COVER(UNKNOWN, "taken");
  byn_registry_publish(&d->registry, p, true);
  s->served = BYN_SERVED_TAKEN;
  s->place = p;
}

/* Nobody runs children, but for one that has not been stopped yet. */
static void serve_unowned(byn_dist *d, const byn_offer *o, byn_place *p,
                          byn_service *s) {
  byn_generation *live = p ? byn_place_live(p, d->newest) : NULL;
  if (live && byn_place_running(p, d->newest, NULL)) {
    serve_present(d, p, live, (o->flags & BYN_DIST_ENSURE) != 0, s);
    return;
  }
  BYN_COVER(UNKNOWN, "no_nodes");
  answer(s, BYN_DIST_NO_NODES);
}

void byn_serve_start(byn_dist *d, const byn_offer *o, byn_service *s) {
  *s = (byn_service){.served = BYN_SERVED_LATER};
  byn_peer *owner;
  if (!d->open || !byn_quorum_runs(d)) {
    BYN_COVER(CLOSED, "later");
    return;
  }
  byn_place *p = byn_registry_find(&d->registry, &o->id);
  if (p && byn_place_find(p, o->token)) {
    BYN_COVER(KNOWN, "taken");
    s->served = BYN_SERVED_TAKEN;
    s->place = p;
    return;
  }
  if (!byn_candidate_owner(d, o->id.hash, &owner)) {
    serve_unowned(d, o, p, s);
    return;
  }
  if (owner) return;
  if (p && o->stamp <= p->floor) {
    s->floor = p->floor;
    return;
  }
  byn_generation *live = p ? byn_place_live(p, d->newest) : NULL;
  if (live)
    serve_present(d, p, live, (o->flags & BYN_DIST_ENSURE) != 0, s);
  else if (may_be_there(d, o->node, s))
    create(d, o, s);
}

static void reply(byn_dist *d, byn_peer *peer, const byn_record *r,
                  const byn_service *s) {
  byn_buf *b = byn_record_begin(d, BYN_RECORD_REPLY);
  byn_put_bytes_field(b, BYN_FIELD_KEY, r->id.key, r->id.n);
  size_t mark = byn_field_open(b, BYN_FIELD_HASH);
  byn_put_u64(b, r->id.hash);
  byn_field_close(b, mark);
  byn_put_number_field(b, BYN_FIELD_TOKEN, r->token);
  if (s->served == BYN_SERVED_LATER) {
    byn_put_number_field(b, BYN_FIELD_RETRY, 1);
    byn_put_number_field(b, BYN_FIELD_STAMP, s->floor);
  } else {
    byn_put_number_field(b, BYN_FIELD_CODE, s->code);
    byn_put_bytes_field(b, BYN_FIELD_PID, s->pid.at, s->pid.n);
    if (s->node)
      byn_put_bytes_field(b, BYN_FIELD_NODE, s->node, strlen(s->node));
  }
  byn_relay_send(d, peer);
}

void byn_serve_take_start(byn_dist *d, byn_peer *peer, const byn_record *r) {
  byn_backoff backoff = {.min = r->backoff_min,
                         .max = r->backoff_max,
                         .factor = r->backoff_factor,
                         .jitter = r->backoff_jitter};
  byn_offer offer = {.id = r->id,
                     .token = r->token,
                     .stamp = r->stamp,
                     .flags = (uint32_t)r->flags,
                     .spec = r->spec,
                     .node = r->node,
                     .backoff = r->own_backoff ? &backoff : NULL};
  byn_service s;
  byn_serve_start(d, &offer, &s);
  if (s.served != BYN_SERVED_TAKEN) {
    reply(d, peer, r, &s);
  } else if (!s.place->published) {
    /* He may have missed what was published of it. */
    byn_sync_send_place(d, peer, s.place);
  }
}

void byn_serve_take_terminate(byn_dist *d, byn_peer *peer,
                              const byn_record *r) {
  byn_place *p = byn_registry_find(&d->registry, &r->id);
  byn_generation *g = p ? byn_place_find(p, r->token) : NULL;
  if (!g) return;
  bool here = p->run && p->run->token == r->token;
  if (!g->ended && (here || !byn_generation_active(g)))
    byn_reconcile_terminate(d, p, g);
  else
    byn_sync_send_place(d, peer, p);
}

static uint64_t own_version(const byn_dist *d, const byn_run *run) {
  const byn_generation *g = byn_place_find(run->place, run->token);
  const byn_register *own = g ? byn_register_find(g, d->self) : NULL;
  return own && own->version <= BYN_RECORD_VERSION_MOST ? own->version : 0;
}

/* Who asks stops its own process if this one runs and stays. Neither is stopped
 * for the sake of one that is to be stopped itself: what the two nodes know of
 * each other may differ still. */
void byn_serve_take_confirm(byn_dist *d, byn_peer *peer, const byn_record *r) {
  byn_place *p = byn_registry_find(&d->registry, &r->id);
  byn_run *run = p ? p->run : NULL;
  bool runs = run && run->state == BYN_RUN_RUNNING && run->id == r->run;
  bool wins = runs && byn_checkpoint_outlives(d, run, r->token, r->epoch);
  if (p && !wins) byn_sync_send_place(d, peer, p);
  byn_buf *b = byn_record_begin(d, BYN_RECORD_CONFIRMED);
  byn_put_bytes_field(b, BYN_FIELD_KEY, r->id.key, r->id.n);
  size_t mark = byn_field_open(b, BYN_FIELD_HASH);
  byn_put_u64(b, r->id.hash);
  byn_field_close(b, mark);
  byn_put_number_field(b, BYN_FIELD_RUN, r->run);
  byn_put_number_field(b, BYN_FIELD_RUNS, wins);
  if (wins) byn_put_number_field(b, BYN_FIELD_VERSION, own_version(d, run));
  byn_relay_send(d, peer);
}
