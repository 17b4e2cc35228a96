/* Admission: connections that came in, and claimants that wait. */
#include "admission.h"

#include <string.h>

#include "../../core/assert.h"
#include "../../core/wire/handshake.h"

#define STRANGERS_MAX 128 /* connections that have not proved themselves */

static void copy_address(char to[BYN_ADDRESS_MAX + 1], const char *from) {
  byn_copy_printable(to, BYN_ADDRESS_MAX, from, strlen(from));
}

byn_transport *byn_admission_accept(lua_State *L, byn_cluster *c,
                                    const char *address, const char **why) {
  uint8_t nonce[BYN_NONCE_SIZE];
  *why = "too_many_handshakes";
  if (byn_transport_strangers(c) >= STRANGERS_MAX) {
    byn_cluster_event(L, c, "link_refused", NULL, *why);
    return NULL;
  }
  *why = c->stopping ? "shutdown" : "no_entropy";
  if (c->stopping || !byn_cluster_nonce(L, c, nonce)) return NULL;
  *why = "out_of_memory";
  byn_transport *t = byn_transport_new(c);
  if (!t) return NULL;
  t->opened = true;
  byn_copy_printable(t->address, BYN_TRANSPORT_ADDRESS_MAX, address,
                     strlen(address));
  t->connection =
      byn_connection_accept(&c->config.connection, nonce, c->node->now);
  if (!t->connection) {
    byn_transport_free(c, t);
    return NULL;
  }
  byn_transport_add(c, t);
  return t;
}

/* --- sessions ------------------------------------------------------------- */

/* A session that is known here goes on with this connection. */
static void resume_session(lua_State *L, byn_cluster *c, byn_transport *t,
                           const byn_connection_event *e) {
  byn_peer *p = byn_peer_first_named(c, e->name);
  for (; p; p = byn_peer_next_named(p)) {
    if (!byn_link_has(p->link, e)) continue;
    if (!byn_link_resume(p->link, t->connection, e, c->node->now))
      byn_transport_join(c, t, p);
    byn_peer_poll(L, c, p);
    return;
  }
  byn_connection_refuse(t->connection, "session_unknown");
  byn_cluster_event(L, c, "link_refused", e->name, "session_unknown");
}

/* The node has lost the session that is still there on this side. */
static void end_lost_session(lua_State *L, byn_cluster *c,
                             const byn_connection_event *e) {
  byn_peer *p = byn_peer_first_named(c, e->name);
  for (; p; p = byn_peer_next_named(p)) {
    if (!byn_link_is_lost(p->link, e)) continue;
    byn_link_close(p->link, "session_lost");
    byn_peer_poll(L, c, p);
  }
}

/* Lets a connection in, for a peer that the membership has admitted. */
static void welcome(lua_State *L, byn_cluster *c, byn_transport *t,
                    byn_peer *peer, const byn_connection_event *e) {
  int64_t now = c->node->now;
  byn_peer_note_traits(c, peer, e->traits);
  peer->link = byn_link_admit(&c->config, t->connection, e, now);
  if (!peer->link) {
    byn_membership_link_down(c->membership, peer->number, "out_of_memory", now);
    byn_peer_free(c, peer);
    return;
  }
  byn_transport_join(c, t, peer);
  byn_peer_list(c, peer);
  byn_peer_poll(L, c, peer);
}

/* Has this node's own dial of that one come as far as its PROOF? */
static bool own_dial_is_proving(const byn_cluster *c, const char *name) {
  const byn_peer *p = byn_peer_first_named(c, name);
  while (p && !(p->dialled && byn_link_is_proving(p->link)))
    p = byn_peer_next_named(p);
  return p != NULL;
}

static void begin_session(lua_State *L, byn_cluster *c, byn_transport *t,
                          const byn_connection_event *e) {
  const char *reason = "out_of_memory";
  byn_admission admission = BYN_REFUSED;
  end_lost_session(L, c, e);
  byn_peer *peer = byn_peer_new(c, e->name, false);
  if (peer)
    admission = byn_membership_admit(
        c->membership, e->name, e->incarnation, peer->number,
        own_dial_is_proving(c, e->name), c->node->now, &reason);
  switch (admission) {
  case BYN_ADMITTED:
    welcome(L, c, t, peer, e);
    break;
  case BYN_HELD:
    t->claimant = peer;
    t->claim = *e;
    break;
  case BYN_REFUSED:
    if (peer) byn_peer_free(c, peer);
    byn_connection_refuse(t->connection, reason);
    byn_cluster_event(L, c, "link_refused", e->name, reason);
    break;
  }
}

/* A stranger's connection has ended, or a claimant's. */
static void report_stranger_ended(lua_State *L, byn_cluster *c,
                                  byn_transport *t, const char *reason) {
  char name[BYN_NAME_MAX + 1] = "";
  if (t->claimant) strncpy(name, t->claimant->name, BYN_NAME_MAX);
  byn_admission_withdraw(c, t, reason);
  byn_peer_report_failure(L, c, *name ? name : NULL, t, reason);
}

void byn_admission_poll(lua_State *L, byn_cluster *c, byn_transport *t) {
  byn_connection_event e;
  while (!t->peer && byn_connection_next(t->connection, &e)) {
    if (e.kind == BYN_CONNECTION_ENDED)
      report_stranger_ended(L, c, t, e.reason);
    else if (c->stopping)
      byn_connection_refuse(t->connection, "shutdown");
    else if (e.resume.session)
      resume_session(L, c, t, &e);
    else
      begin_session(L, c, t, &e);
  }
}

/* --- claims --------------------------------------------------------------- */

static byn_transport *claimant_transport(const byn_cluster *c,
                                         uint32_t number) {
  for (byn_transport *t = c->strangers; t; t = t->next)
    if (t->claimant && t->claimant->number == number) return t;
  return NULL;
}

void byn_admission_ask(byn_cluster *c, const byn_member_action *a) {
  byn_peer *peer = byn_peer_number(c, a->link);
  const byn_transport *t = claimant_transport(c, a->other);
  byn_question question = {.number = a->number, .incarnation = a->incarnation};
  if (!peer || peer->down) return;
  if (t) {
    question.traits = t->claim.traits;
    copy_address(question.address, t->address);
  }
  byn_link_ask(peer->link, &question, c->node->now);
  byn_peer_touch(c, peer);
}

void byn_admission_admit(lua_State *L, byn_cluster *c,
                         const byn_member_action *a) {
  byn_transport *t = claimant_transport(c, a->link);
  byn_assert(t && !t->peer);
  byn_peer *peer = t->claimant;
  t->claimant = NULL;
  welcome(L, c, t, peer, &t->claim);
}

void byn_admission_refuse(lua_State *L, byn_cluster *c,
                          const byn_member_action *a) {
  byn_transport *t = claimant_transport(c, a->link);
  byn_holder holder = {.incarnation = a->incarnation};
  byn_assert(t && !t->peer);
  copy_address(holder.address, byn_transport_address_of(c, a->other));
  byn_peer_free(c, t->claimant);
  t->claimant = NULL;
  byn_transport_activate(c, t);
  if (!strcmp(a->reason, "name_taken"))
    byn_connection_refuse_name(t->connection, &holder);
  else
    byn_connection_refuse(t->connection, a->reason);
  byn_cluster_event(L, c, "link_refused", a->name, a->reason);
}

void byn_admission_withdraw(byn_cluster *c, byn_transport *t,
                            const char *reason) {
  if (!t->claimant) return;
  byn_membership_link_down(c->membership, t->claimant->number, reason,
                           c->node->now);
  byn_peer_free(c, t->claimant);
  t->claimant = NULL;
}

void byn_admission_shutdown(byn_cluster *c) {
  for (byn_transport *t = c->strangers; t; t = t->next) {
    if (!t->claimant) continue;
    byn_connection_refuse(t->connection, "shutdown");
    byn_transport_activate(c, t);
    byn_admission_withdraw(c, t, "shutdown");
  }
}
