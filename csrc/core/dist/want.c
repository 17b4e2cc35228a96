/* Specs that this node lacks: whom it asks for them, and when. */
#include "want.h"

#include "../assert.h"
#include "cohort.h"
#include "record.h"

enum {
  WAIT_MS = 1000,
  WAIT_MAX_MS = 16000,
  ASKED_MOST = 64 /* places at a time: answers are not held back */
};

bool byn_want_lacks(const byn_place *p) {
  for (const byn_generation *g = p->generations; g; g = g->next)
    if (!g->ended && !g->spec_set) return true;
  return false;
}

static bool is_wanted(const byn_place *p) {
  for (const byn_generation *g = p->generations; g; g = g->next)
    if (!g->ended && !g->spec_set && !g->withheld) return true;
  return false;
}

bool byn_want_is_known(const byn_place *p) {
  for (const byn_generation *g = p->generations; g; g = g->next)
    if (!g->ended && g->spec_set) return true;
  return false;
}

static void append(byn_dist *d, byn_place *p) {
  p->next_lacking = NULL;
  if (d->last_lacking)
    d->last_lacking->next_lacking = p;
  else
    d->lacking = p;
  d->last_lacking = p;
}

void byn_want_review(byn_dist *d, byn_place *p) {
  if (p->lacking || !byn_want_lacks(p)) return;
  p->lacking = true;
  append(d, p);
  d->want_wait = WAIT_MS;
  d->want_at = d->now + WAIT_MS;
}

void byn_want_ask(byn_dist *d, byn_peer *peer, const byn_place *p) {
  if (!is_wanted(p)) return;
  byn_record_put_id(byn_record_begin(d, BYN_RECORD_WANT), p);
  byn_record_send(d, peer);
}

static void ask_all(byn_dist *d, const byn_place *p) {
  for (byn_peer *peer = d->peers; peer; peer = peer->next)
    if (byn_peer_sees(peer) && peer->got_all) byn_want_ask(d, peer, p);
}

/* Takes those out that lack nothing any more; true if there were any. */
static bool drop_found(byn_dist *d) {
  bool found = false;
  byn_place *p = d->lacking;
  d->lacking = d->last_lacking = NULL;
  for (byn_place *next; p; p = next) {
    next = p->next_lacking;
    if (byn_want_lacks(p)) {
      append(d, p);
    } else {
      found = true;
      p->lacking = false;
      byn_registry_touch(&d->registry, p);
    }
  }
  return found;
}

static byn_place *take_first(byn_dist *d) {
  byn_place *p = d->lacking;
  d->lacking = p->next_lacking;
  if (!d->lacking) d->last_lacking = NULL;
  return p;
}

void byn_want_tick(byn_dist *d) {
  if (!d->lacking) return;
  if (drop_found(d)) d->want_wait = WAIT_MS;
  if (!d->lacking || d->now < d->want_at) return;
  d->want_at = d->now + d->want_wait;
  if (d->want_wait < WAIT_MAX_MS) d->want_wait *= 2;
  const byn_place *last = d->last_lacking, *p;
  uint32_t asked = 0;
  do {
    p = d->lacking;
    byn_assert(p && p->lacking);
    asked += is_wanted(p);
    ask_all(d, p);
    append(d, take_first(d));
  } while (p != last && asked < ASKED_MOST);
}
