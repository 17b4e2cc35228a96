/* A node's links: the connections that they get, what they report, and what
 * the membership wants of them. */
#include "cluster.h"

#include <string.h>

#include "../../core/assert.h"
#include "../../core/wire/handshake.h"
#include "../value/compat.h"
#include "../process/event.h"
#include "../process/lookup.h"
#include "../process/signal.h"
#include "admission.h"
#include "defaults.h"
#include "nodes.h"
#include "own_name.h"
#include "remote.h"
#include "silence.h"
#include "transport.h"

#define MESSAGE_MIN 1024 /* of max_message: any signal fits */
#define FORGET_AFTER_MS 600000
#define KEPT_BLOCK ((size_t)4 << 20)
#define UNREACHABLE_MS 3000

/* Parts of max_queue: above the first senders wait, below the second they go
 * on. The rest of the queue is for senders that cannot wait. */
#define BUSY_PART 8
#define CALM_PART 16

/* --- peers ---------------------------------------------------------------- */

static uint64_t origin_key(const byn_origin *origin) {
  return (uint64_t)(uintptr_t)origin;
}

#ifdef BYN_ASSERT
static bool peer_is_up(const byn_peer *peer) {
  return peer->origin && !peer->down;
}

/* Is its state one that cluster.h has? */
static bool peer_is_sound(const byn_peer *peer) {
  if (peer->down != (peer->reason != NULL)) return false;
  if (!peer->end_reported) return true;
  return peer->down && !peer->relations.first && !peer->relations.count &&
         !peer->monitors.count && !peer->blocked.count;
}

/* More peers are not looked through at each call. */
enum { LOOKED_THROUGH = 64 };

/* Every peer is sound, and by_origin has those that are up, and no other. */
static bool cluster_is_sound(const byn_cluster *c) {
  uint32_t up = 0;
  if (c->by_number.count > LOOKED_THROUGH) return true;
  for (const byn_peer *p = c->peers; p; p = p->next) {
    if (!peer_is_sound(p)) return false;
    if (!peer_is_up(p)) continue;
    if (byn_map_get(&c->by_origin, origin_key(p->origin)) != p) return false;
    up++;
  }
  return up == c->by_origin.count;
}
#else
#define peer_is_sound(peer) true
#define cluster_is_sound(c) true
#endif

byn_peer *byn_peer_of(const byn_node *node, const byn_origin *origin) {
  if (!node->cluster) return NULL;
  return byn_map_get(&node->cluster->by_origin, origin_key(origin));
}

byn_peer *byn_peer_named(const byn_node *node, const char *name) {
  if (!node->cluster) return NULL;
  byn_peer *p = byn_peer_first_named(node->cluster, name);
  while (p && (!p->origin || p->down))
    p = byn_peer_next_named(p);
  return p;
}

static const char *origin_absence(const byn_node *node,
                                  const byn_origin *origin) {
  bool own = node->name && !strcmp(node->name, origin->name);
  return own || byn_peer_named(node, origin->name) ? "noproc" : "noconnection";
}

/* The driver's errors end here. */
bool byn_cluster_nonce(lua_State *L, byn_cluster *c,
                       uint8_t nonce[BYN_NONCE_SIZE]) {
  size_t n = 0;
  const char *bytes = NULL;
  luaL_checkstack(L, 4, NULL);
  byn_slot_push(L, c->entropy);
  lua_pushinteger(L, BYN_NONCE_SIZE);
  if (lua_pcall(L, 1, 1, 0) == LUA_OK && lua_type(L, -1) == LUA_TSTRING)
    bytes = lua_tolstring(L, -1, &n);
  if (n == BYN_NONCE_SIZE) memcpy(nonce, bytes, n);
  lua_pop(L, 1);
  return n == BYN_NONCE_SIZE;
}

/* Its end is reported: it is freed once its connections are closed. */
static void end_peer(byn_cluster *c, byn_peer *peer) {
  byn_assert(peer->down && !peer->end_reported && peer->link);
  peer->end_reported = true;
  peer->next_ended = c->ended;
  c->ended = peer;
}

/* Frees the peers whose end is reported and whose connections are closed. */
static void sweep_peers(byn_cluster *c) {
  for (byn_peer **at = &c->ended; *at;) {
    byn_peer *peer = *at;
    byn_assert(peer->end_reported);
    if (peer->transports) {
      at = &peer->next_ended;
      continue;
    }
    *at = peer->next_ended;
    byn_peer_free(c, peer);
  }
}

void byn_cluster_event(lua_State *L, byn_cluster *c, const char *event,
                       const char *name, const char *reason) {
  if (!byn_event(L, c->node, event)) return;
  lua_pushstring(L, name);
  lua_setfield(L, -2, "peer");
  lua_pushstring(L, reason);
  lua_setfield(L, -2, "reason");
  byn_event_done(L, c->node);
}

/* --- backpressure --------------------------------------------------------- */

static bool peer_is_busy(const byn_cluster *c, const byn_peer *peer) {
  return !peer->down &&
         byn_link_queued(peer->link) > c->config.max_queue / BUSY_PART;
}

static bool block_on_peer(byn_peer *peer, byn_process *p) {
  uintptr_t index = (uintptr_t)p->id.index + 1;
  return byn_map_put(&peer->blocked, p->id.serial, (void *)index);
}

/* Wakes all processes that wait to send to this peer. One that has ended
 * meanwhile is not found: the serial at its index is another, or none. */
static void wake_blocked_senders(byn_cluster *c, byn_peer *peer) {
  byn_map_entry entry;
  for (uint32_t cursor = 0; byn_map_next(&peer->blocked, &cursor, &entry);) {
    uint32_t index = (uint32_t)(uintptr_t)entry.value;
    byn_id id = {.serial = entry.key, .index = index - 1};
    byn_process *p = byn_node_find(c->node, &id);
    if (!p) continue;
    p->expired = true;
    byn_process_ready(p);
  }
  byn_map_clear(&peer->blocked);
  byn_assert(peer->blocked.count == 0);
}

void byn_peer_calm(byn_cluster *c, byn_peer *peer) {
  if (byn_link_queued(peer->link) <= c->config.max_queue / CALM_PART)
    wake_blocked_senders(c, peer);
}

byn_addresses *byn_cluster_addresses(byn_cluster *c, const char *name) {
  return byn_addresses_of(&c->given, name) ? &c->given : &c->addresses;
}

/* --- the events of a link ------------------------------------------------- */

void byn_peer_note_traits(byn_cluster *c, const byn_peer *peer,
                          uint8_t traits) {
  if ((c->config.connection.traits | traits) & BYN_TRAIT_HIDDEN)
    byn_membership_hide(c->membership, peer->name, peer->number);
}

/* Answers DIAL: a link wants a connection. */
static void connect_link(lua_State *L, byn_cluster *c, byn_peer *peer) {
  uint8_t nonce[BYN_NONCE_SIZE];
  int64_t now = c->node->now;
  bool fresh = !c->stopping && byn_cluster_nonce(L, c, nonce);
  byn_transport *t = fresh ? byn_transport_new(c) : NULL;
  if (!t) {
    byn_link_connect_failed(peer->link, fresh ? "out_of_memory" : "no_entropy",
                            now);
    return;
  }
  t->peer = peer;
  t->dialled = true;
  t->connection = byn_link_connect(peer->link, nonce, now);
  if (t->connection)
    byn_transport_add(c, t);
  else
    byn_transport_free(c, t);
}

static void peer_up(lua_State *L, byn_cluster *c, byn_peer *peer,
                    const byn_link_event *e) {
  byn_assert(!peer->origin && !peer->down);
  byn_origins_prune(L, c->node->world);
  byn_origin *origin =
      byn_origin_get(L, c->node->world, e->name, e->incarnation);
  byn_assert(!byn_map_get(&c->by_origin, origin_key(origin)));
  if (!byn_map_put(&c->by_origin, origin_key(origin), peer)) {
    byn_link_close(peer->link, "out_of_memory");
    return;
  }
  peer->origin = origin;
  origin->uses++;
  origin->doubles = e->traits & BYN_TRAIT_DOUBLES;
  peer->takes_addresses = e->traits & BYN_TRAIT_ADDRESSES;
  byn_addresses_proven(byn_cluster_addresses(c, peer->name), peer->name);
  byn_assert(cluster_is_sound(c));
  byn_peer_note_traits(c, peer, e->traits);
  if (!byn_link_can_be_asked(peer->link))
    byn_membership_mute(c->membership, e->name, peer->number);
  byn_membership_set_session(c->membership, e->name,
                             byn_link_session(peer->link));
  byn_membership_link_up(c->membership, e->name, e->incarnation, peer->number,
                         c->node->now);
  byn_cluster_act(L, c); /* nodeup comes before its first message */
}

/* Whether another link to that node takes the place of one with this reason. */
static bool is_replaced(const char *reason) {
  return !strcmp(reason, "simultaneous") ||
         !strcmp(reason, "already_connected");
}

void byn_peer_report_failure(lua_State *L, byn_cluster *c, const char *name,
                             const byn_transport *t, const char *reason) {
  bool refused = t && !t->gone && strcmp(reason, "handshake_timeout");
  byn_cluster_event(L, c, refused ? "link_refused" : "link_failed", name,
                    reason);
}

static void peer_down(lua_State *L, byn_cluster *c, byn_peer *peer,
                      const byn_link_event *e) {
  const char *reason = e->reason;
  byn_assert(!peer->down && reason);
  uint64_t key = origin_key(peer->origin);
  peer->down = true;
  peer->reason = reason;
  if (byn_map_get(&c->by_origin, key) == peer)
    byn_map_remove(&c->by_origin, key);
  byn_assert(cluster_is_sound(c));
  if (!peer->origin && !strcmp(reason, "handshake_timeout"))
    byn_addresses_doubt(byn_cluster_addresses(c, peer->name), peer->name);
  if (!peer->origin && peer->dialled && !strcmp(reason, "name_taken"))
    byn_own_name_refused(L, c, peer, e->holder);
  else if (!peer->origin && !is_replaced(reason))
    byn_peer_report_failure(L, c, peer->name, peer->transports, reason);
}

/* Breaks the relations to processes of that node, wakes and answers those that
 * wait for the link, and tells the membership. Where memory runs out on the
 * way it raises, and is called again. */
static void peer_report_end(lua_State *L, byn_cluster *c, byn_peer *peer) {
  byn_assert(peer->down && !peer->end_reported);
  int top = lua_gettop(L);
  lua_pushliteral(L, "noconnection");
  while (peer->relations.first)
    byn_relation_break_first(L, c->node, &peer->relations, top + 1);
  lua_settop(L, top);
  byn_map_clear(&peer->monitors);
  wake_blocked_senders(c, peer);
  if ((peer->origin || peer->dialled) && !is_replaced(peer->reason))
    byn_nodes_answer(L, c, peer->name, peer->reason);
  byn_membership_link_down(c->membership, peer->number, peer->reason,
                           c->node->now);
  if (peer->origin) byn_addresses_part(&c->addresses, peer->name);
  end_peer(c, peer);
  byn_assert(peer_is_sound(peer));
}

static void peer_receive(lua_State *L, byn_cluster *c, byn_peer *peer,
                         const byn_link_event *e) {
  byn_assert(byn_peer_of(c->node, peer->origin) == peer);
  byn_world *w = c->node->world;
  if (w->origin_count >= w->origins_many) byn_origins_prune(L, w);
  if (!byn_remote_receive(L, c->node, peer, e->message, e->length))
    byn_link_close(peer->link, "bad_message");
}

void byn_peer_poll(lua_State *L, byn_cluster *c, byn_peer *peer) {
  byn_link_event e;
  luaL_checkstack(L, 40, NULL);
  bool was_unpolled = peer->unpolled;
  byn_peer_is_unpolled(c, peer); /* until the end of this, unless it raises */
  byn_link_tell_time(peer->link, c->node->now);
  while (!peer->down && byn_link_next(peer->link, &e)) {
    switch (e.kind) {
    case BYN_LINK_DIAL:
      connect_link(L, c, peer);
      break;
    case BYN_LINK_UP:
      peer_up(L, c, peer, &e);
      break;
    case BYN_LINK_MESSAGE:
      peer_receive(L, c, peer, &e);
      break;
    case BYN_LINK_BROKEN:
      byn_cluster_event(L, c, "link_broken", peer->name, e.reason);
      break;
    case BYN_LINK_RESUMED:
      byn_addresses_proven(byn_cluster_addresses(c, peer->name), peer->name);
      byn_cluster_event(L, c, "link_resumed", peer->name, NULL);
      break;
    case BYN_LINK_ASKED:
      byn_own_name_asked(L, c, peer, &e.question);
      break;
    case BYN_LINK_ANSWERED:
      byn_membership_answered(c->membership, peer->number, e.number);
      break;
    case BYN_LINK_DOWN:
      peer_down(L, c, peer, &e);
      break;
    }
  }
  if (peer->down && !peer->end_reported) peer_report_end(L, c, peer);
  if (peer->blocked.count) byn_peer_calm(c, peer);
  peer->unpolled = was_unpolled;
  byn_assert(cluster_is_sound(c));
}

/* --- connections that came in, or were dialled --------------------------- */

void byn_cluster_poll(lua_State *L, byn_cluster *c, byn_transport *t) {
  luaL_checkstack(L, 40, NULL);
  byn_transport_activate(c, t);
  if (t->peer)
    byn_peer_poll(L, c, t->peer);
  else
    byn_admission_poll(L, c, t);
}

void byn_cluster_give_up(byn_cluster *c, byn_transport *t, const char *reason) {
  byn_transport_activate(c, t);
  if (t->peer) {
    byn_link_close(t->peer->link, reason);
    byn_peer_is_unpolled(c, t->peer);
  } else {
    byn_admission_withdraw(c, t, reason);
    byn_connection_drop(t->connection);
  }
  c->broken = true;
}

/* --- the actions of the membership ---------------------------------------- */

/* A peer that is dialled; NULL and why not. */
static byn_peer *dial_peer(byn_cluster *c, const char *name, const char **why) {
  uint64_t previous = byn_membership_session(c->membership, name);
  *why = "shutdown";
  if (c->stopping) return NULL;
  *why = "out_of_memory";
  byn_peer *peer = byn_peer_new(c, name, true);
  if (!peer) return NULL;
  byn_link_config config = c->config;
  if (byn_membership_up_count(c->membership))
    config.connection.traits |= BYN_TRAIT_MEMBER;
  peer->link = byn_link_dial(&config, name, ++c->dials, previous, c->node->now);
  if (peer->link) {
    byn_peer_list(c, peer);
    return peer;
  }
  byn_peer_free(c, peer);
  return NULL;
}

static void dial_member(lua_State *L, byn_cluster *c, const char *name) {
  char copy[BYN_NAME_MAX + 1];
  const char *why;
  byn_assert(strlen(name) <= BYN_NAME_MAX);
  strncpy(copy, name, BYN_NAME_MAX);
  copy[BYN_NAME_MAX] = 0;
  byn_peer *peer = dial_peer(c, copy, &why);
  uint32_t number = peer ? peer->number : ++c->last_link;
  byn_membership_dialing(c->membership, copy, number);
  if (peer) {
    byn_peer_poll(L, c, peer);
    return;
  }
  byn_membership_link_down(c->membership, number, why, c->node->now);
  byn_nodes_answer(L, c, copy, why);
  byn_cluster_event(L, c, "link_failed", copy, why);
}

static void close_member_link(lua_State *L, byn_cluster *c,
                              const byn_member_action *a) {
  byn_peer *peer = byn_peer_number(c, a->link);
  if (!peer || peer->down) return;
  byn_link_close(peer->link, a->reason);
  byn_peer_poll(L, c, peer);
}

static void report_member_up(lua_State *L, byn_cluster *c,
                             const byn_member_action *a) {
  byn_peer *peer = byn_peer_number(c, a->link);
  if (byn_event(L, c->node, "node_up")) {
    lua_pushstring(L, a->name);
    lua_setfield(L, -2, "peer");
    lua_pushinteger(L, (lua_Integer)a->incarnation);
    lua_setfield(L, -2, "incarnation");
    const char *address = byn_transport_address_of(c, a->link);
    if (*address) {
      lua_pushstring(L, address);
      lua_setfield(L, -2, "address");
    }
    byn_event_done(L, c->node);
  }
  if (peer && !peer->down) byn_remote_nodes(L, c->node, peer);
  byn_nodes_tell(L, c, "nodeup", a->name, NULL);
}

static void report_node_up(lua_State *L, byn_cluster *c,
                           const byn_member_action *a) {
  if (!a->hidden) report_member_up(L, c, a);
  byn_nodes_answer(L, c, a->name, NULL);
}

static void report_node_down(lua_State *L, byn_cluster *c,
                             const byn_member_action *a) {
  if (a->hidden) return;
  byn_cluster_event(L, c, "node_down", a->name, a->reason);
  byn_nodes_tell(L, c, "nodedown", a->name, a->reason);
}

void byn_cluster_act(lua_State *L, byn_cluster *c) {
  byn_member_action a;
  int top = lua_gettop(L);
  while (byn_membership_next(c->membership, &a)) {
    switch (a.kind) {
    case BYN_MEMBER_DIAL:
      dial_member(L, c, a.name);
      break;
    case BYN_MEMBER_CLOSE:
      close_member_link(L, c, &a);
      break;
    case BYN_MEMBER_UP:
      report_node_up(L, c, &a);
      break;
    case BYN_MEMBER_DOWN:
      report_node_down(L, c, &a);
      break;
    case BYN_MEMBER_ASK:
      byn_admission_ask(c, &a);
      break;
    case BYN_MEMBER_ADMIT:
      byn_admission_admit(L, c, &a);
      break;
    case BYN_MEMBER_REFUSE:
      byn_admission_refuse(L, c, &a);
      break;
    case BYN_MEMBER_UNREACHABLE:
      byn_cluster_event(L, c, "peer_unreachable", a.name, a.reason);
      break;
    case BYN_MEMBER_NAME_LOST: /* the driver asks: has_lost_name */
      break;
    }
  }
  byn_assert(lua_gettop(L) == top);
  byn_assert(cluster_is_sound(c));
}

/* --- deadlines ------------------------------------------------------------ */

void byn_cluster_settle_peer(byn_cluster *c, byn_peer *peer) {
  byn_agenda_set(&c->agenda, &peer->entry,
                 peer->unpolled ? c->node->now : byn_link_deadline(peer->link));
}

void byn_cluster_settle(byn_cluster *c) {
  byn_entry *e;
  while ((e = byn_agenda_next_touched(&c->agenda))) {
    byn_peer *peer = e->owner;
    if (e->kind == BYN_DUE_TRANSPORT) {
      byn_agenda_set(&c->agenda, e, byn_transport_due(e->owner));
      continue;
    }
    if (!peer->link) continue; /* a claimant's */
    byn_cluster_settle_peer(c, peer);
    for (byn_transport *t = peer->transports; t; t = t->next)
      byn_transport_activate(c, t);
  }
}

static void tick_transport(lua_State *L, byn_cluster *c, byn_transport *t) {
  byn_transport_activate(c, t);
  if (t->peer) return;
  byn_connection_tick(t->connection, c->node->now);
  byn_admission_poll(L, c, t);
}

static void tick_peer(lua_State *L, byn_cluster *c, byn_peer *peer) {
  peer->unpolled = false;
  byn_link_tick(peer->link, c->node->now);
  byn_peer_poll(L, c, peer);
}

void byn_cluster_tick(lua_State *L, byn_cluster *c) {
  int64_t now = c->node->now;
  bool noted = false; /* the silence of all, once in a tick */
  byn_entry *e;
  byn_cluster_settle(c);
  while ((e = byn_agenda_next_due(&c->agenda, now))) {
    bool peer = e->kind == BYN_DUE_PEER;
    if (peer && !noted && byn_cluster_is_silent(c, e->owner)) {
      byn_cluster_note_silence(c);
      noted = true;
    }
    if (peer)
      tick_peer(L, c, e->owner);
    else
      tick_transport(L, c, e->owner);
  }
  c->broken = false;
  if (!c->stopping) byn_membership_tick(c->membership, now);
  byn_cluster_act(L, c);
}

int64_t byn_cluster_deadline(byn_cluster *c) {
  byn_cluster_settle(c);
  if (c->broken) return c->node->now;
  int64_t next = byn_agenda_deadline(&c->agenda);
  if (!c->stopping && byn_membership_deadline(c->membership) < next)
    next = byn_membership_deadline(c->membership);
  return next;
}

void byn_cluster_shutdown(lua_State *L, byn_cluster *c) {
  byn_assert(cluster_is_sound(c));
  c->stopping = true;
  byn_admission_shutdown(c);
  for (byn_peer *p = c->peers; p; p = p->next) {
    byn_link_close(p->link, "shutdown");
    byn_peer_poll(L, c, p);
  }
  byn_cluster_act(L, c);
}

int byn_cluster_action(lua_State *L, byn_cluster *c) {
  int pushed = byn_transport_action(L, c);
  if (!pushed) sweep_peers(c);
  return pushed;
}

/* --- opening and closing -------------------------------------------------- */

static lua_Integer integer_option(lua_State *L, int options, const char *name,
                                  lua_Integer otherwise) {
  int whole;
  lua_getfield(L, options, name);
  lua_Integer v = lua_isnil(L, -1) ? otherwise : lua_tointegerx(L, -1, &whole);
  if (!lua_isnil(L, -1) && (!whole || v < 1))
    luaL_error(L, "option %s must be a whole number above 0", name);
  lua_pop(L, 1);
  return v;
}

static int required_slot(lua_State *L, byn_node *node, int options,
                         const char *name, int type) {
  if (lua_getfield(L, options, name) != type)
    luaL_error(L, "option %s must be a %s", name, lua_typename(L, type));
  return byn_slot_put(L, &node->world->slots);
}

static uint8_t trait_option(lua_State *L, int options, const char *name,
                            uint8_t bit) {
  lua_getfield(L, options, name);
  bool on = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return on ? bit : 0;
}

static void copy_secret(lua_State *L, byn_cluster *c, int options) {
  size_t n;
  if (lua_getfield(L, options, "secret") != LUA_TSTRING)
    luaL_error(L, "option secret must be a string");
  const char *secret = lua_tolstring(L, -1, &n);
  if (n == 0) luaL_error(L, "option secret must not be empty");
  c->secret = byn_new(&c->node->world->alloc, n);
  if (!c->secret) luaL_error(L, "not enough memory");
  memcpy(c->secret, secret, n);
  c->config.connection.secret = (const uint8_t *)c->secret;
  c->config.connection.secret_len = n;
  lua_pop(L, 1);
}

/* What this node tells others to dial. */
static void copy_address(lua_State *L, byn_cluster *c, int options) {
  if (lua_getfield(L, options, "address") != LUA_TNIL) {
    size_t n;
    const char *text = luaL_checklstring(L, -1, &n);
    if (!byn_address_is_valid(text, n))
      luaL_error(L, "option address is too long, or has a control character");
    memcpy(c->own_address, text, n + 1);
  }
  lua_pop(L, 1);
}

static void cluster_configure(lua_State *L, byn_cluster *c, int options) {
  byn_node *node = c->node;
  if (!byn_name_is_valid(node->name, strlen(node->name)))
    luaL_error(L, "option name must be one that others can dial, such as "
                  "\"a@127.0.0.1:9101\"");
  byn_connection_config *cc = &c->config.connection;
  cc->alloc = node->world->alloc;
  cc->name = node->name;
  cc->incarnation = node->origin->incarnation;
  cc->traits =
      (uint8_t)((BYN_DOUBLES ? BYN_TRAIT_DOUBLES : 0) | BYN_TRAIT_ADDRESSES |
                trait_option(L, options, "hidden", BYN_TRAIT_HIDDEN) |
                trait_option(L, options, "quiet", BYN_TRAIT_QUIET) |
                trait_option(L, options, "listens", BYN_TRAIT_LISTENS));
  cc->heartbeat_ms =
      integer_option(L, options, "heartbeat_ms", BYN_HEARTBEAT_MS);
  cc->handshake_ms =
      integer_option(L, options, "handshake_ms", BYN_HANDSHAKE_MS);
  c->config.down_after_ms =
      integer_option(L, options, "down_after_ms", BYN_DOWN_AFTER_MS);
  c->config.reconnect_ms =
      integer_option(L, options, "reconnect_ms", BYN_RECONNECT_MS);
  c->config.max_message =
      (size_t)integer_option(L, options, "max_message", BYN_MAX_MESSAGE);
  if (c->config.max_message < MESSAGE_MIN)
    luaL_error(L, "option max_message must be at least %d", MESSAGE_MIN);
  c->config.max_queue =
      (size_t)integer_option(L, options, "max_queue", BYN_MAX_QUEUE);
  copy_secret(L, c, options);
  copy_address(L, c, options);
  c->entropy = required_slot(L, node, options, "entropy", LUA_TFUNCTION);
  byn_nodes_open(L, c);
}

/* --- for processes: remote_ops.h ------------------------------------------ */

static bool origin_is_connected(const byn_node *node,
                                const byn_origin *origin) {
  return byn_peer_of(node, origin) != NULL;
}

static byn_origin *origin_named(const byn_node *node, const char *name) {
  byn_peer *peer = byn_peer_named(node, name);
  return peer ? peer->origin : NULL;
}

static byn_relation_list *origin_relations(const byn_node *node,
                                           const byn_origin *origin) {
  byn_peer *peer = byn_peer_of(node, origin);
  return peer ? &peer->relations : NULL;
}

static byn_map *origin_monitors(const byn_node *node,
                                const byn_origin *origin) {
  byn_peer *peer = byn_peer_of(node, origin);
  return peer ? &peer->monitors : NULL;
}

static bool block_sender(byn_node *node, const byn_origin *origin,
                         byn_process *p) {
  byn_peer *peer = byn_peer_of(node, origin);
  return peer && peer_is_busy(node->cluster, peer) && block_on_peer(peer, p);
}

static void tick_cluster(lua_State *L, byn_node *node) {
  byn_cluster_tick(L, node->cluster);
}

static int64_t cluster_deadline(const byn_node *node) {
  return byn_cluster_deadline(node->cluster);
}

static const byn_remote_ops remote_ops = {
    .connected = origin_is_connected,
    .absence = origin_absence,
    .named = origin_named,
    .relations = origin_relations,
    .monitors = origin_monitors,
    .send = byn_remote_send,
    .cast = byn_remote_cast,
    .call = byn_remote_call,
    .reply = byn_remote_reply,
    .link = byn_remote_link,
    .unlink = byn_remote_unlink,
    .exit = byn_remote_exit,
    .monitor = byn_remote_monitor,
    .demonitor = byn_remote_demonitor,
    .down = byn_remote_down,
    .block = block_sender,
    .after_gap = byn_cluster_after_gap,
    .tick = tick_cluster,
    .deadline = cluster_deadline,
};

void byn_cluster_functions(lua_State *L) {
  static const struct {
    const char *name;
    lua_Integer value;
  } defaults[] = {
      {"heartbeat_ms", BYN_HEARTBEAT_MS},
      {"down_after_ms", BYN_DOWN_AFTER_MS},
      {"reconnect_ms", BYN_RECONNECT_MS},
      {"handshake_ms", BYN_HANDSHAKE_MS},
      {"max_message", BYN_MAX_MESSAGE},
      {"max_queue", BYN_MAX_QUEUE},
      {"redial_min_ms", BYN_REDIAL_MIN_MS},
      {"redial_max_ms", BYN_REDIAL_MAX_MS},
  };
  lua_newtable(L);
  for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++) {
    lua_pushinteger(L, defaults[i].value);
    lua_setfield(L, -2, defaults[i].name);
  }
  lua_setfield(L, -2, "defaults");
}

/* A claimant waits for no longer than its handshake may take. */
static int64_t answer_ms(const byn_connection_config *config) {
  int64_t most = config->handshake_ms / 2;
  return config->heartbeat_ms < most ? config->heartbeat_ms : most;
}

/* The messages of links are large blocks that come and go. The C library gives
 * each back to the system at once, and takes fresh pages for the next, until it
 * has seen the end of a block that is larger (see M_MMAP_THRESHOLD in
 * mallopt(3), which says how a user forbids that). It sees one here, of which
 * no page is touched. */
static void have_blocks_kept(const byn_alloc *alloc) {
  byn_free(alloc, byn_new(alloc, KEPT_BLOCK), KEPT_BLOCK);
}

void byn_cluster_open(lua_State *L, byn_node *node, int options) {
  byn_assert(!node->cluster && !node->remote && node->name);
  byn_cluster *c = byn_new(&node->world->alloc, sizeof *c);
  if (!c) luaL_error(L, "not enough memory");
  *c = (byn_cluster){.node = node};
  node->cluster = c; /* from here on byn_cluster_close frees it */
  node->remote = &remote_ops;
  byn_map_init(&c->by_origin, &node->world->alloc);
  have_blocks_kept(&node->world->alloc);
  byn_map_init(&c->by_name, &node->world->alloc);
  byn_map_init(&c->by_number, &node->world->alloc);
  byn_map_init(&c->transports, &node->world->alloc);
  byn_addresses_init(&c->addresses, &node->world->alloc);
  byn_addresses_init(&c->given, &node->world->alloc);
  if (!byn_agenda_open(&c->agenda, &node->world->alloc))
    luaL_error(L, "not enough memory");
  cluster_configure(L, c, options);
  byn_gap_init(&node->gap, c->config.connection.heartbeat_ms);
  byn_membership_config config = {
      .alloc = node->world->alloc,
      .name = node->name,
      .incarnation = node->origin->incarnation,
      .seed = byn_rng_next(&node->rng),
      .redial_min_ms =
          integer_option(L, options, "redial_min_ms", BYN_REDIAL_MIN_MS),
      .redial_max_ms =
          integer_option(L, options, "redial_max_ms", BYN_REDIAL_MAX_MS),
      .forget_after_ms = FORGET_AFTER_MS,
      .answer_ms = answer_ms(&c->config.connection),
      .unreachable_ms = UNREACHABLE_MS};
  c->membership = byn_membership_new(&config);
  if (!c->membership) luaL_error(L, "not enough memory");
}

void byn_cluster_close(lua_State *L, byn_node *node) {
  byn_cluster *c = node->cluster;
  byn_slots *slots = &node->world->slots;
  if (!c) return;
  if (c->membership) byn_admission_shutdown(c);
  byn_transports_close(c);
  while (c->peers)
    byn_peer_free(c, c->peers);
  if (c->membership) byn_membership_free(c->membership);
  byn_map_clear(&c->by_origin);
  byn_map_clear(&c->by_name);
  byn_map_clear(&c->by_number);
  byn_map_clear(&c->transports);
  byn_addresses_free(&c->addresses);
  byn_addresses_free(&c->given);
  byn_agenda_close(&c->agenda);
  if (c->secret) {
    memset(c->secret, 0, c->config.connection.secret_len);
    byn_free(&node->world->alloc, c->secret, c->config.connection.secret_len);
  }
  byn_slot_free(L, slots, c->entropy);
  byn_nodes_close(L, c);
  byn_free(&node->world->alloc, c, sizeof *c);
  node->cluster = NULL;
  node->remote = NULL;
}
