/* Signals between processes of two nodes: written, sent, read and obeyed. */
#include "remote.h"

#include <string.h>

#include "../../core/assert.h"
#include "../../core/wire/handshake.h"
#include "../value/compat.h"
#include "../value/misuse.h"
#include "../value/reason.h"
#include "../value/term.h"
#include "../process/call.h"
#include "../process/lookup.h"
#include "../process/mailbox_limit.h"
#include "../process/signal.h"
#include "../process/wait.h"
#include "cluster.h"

enum {
  SEND = 1,
  CALL,
  CAST,
  REPLY,
  LINK,
  UNLINK,
  UNLINKED,
  EXIT,
  MONITOR,
  DEMONITOR,
  DOWN,
  NODES,
  CONFIRM,
  ADDRESS
};

#define REPLY_MAX 200    /* values in one reply */
#define NODES_MAX 1000   /* names in one NODES */
#define REASON_MAX 30000 /* bytes of one reason */
#define PAIR_MAX 100     /* bytes of a signal besides its reason */

/* --- writing -------------------------------------------------------------- */

/* A signal that is being written into the link's output. draft_begin is
 * followed by one of draft_commit, draft_commit_message and draft_abort.
 *
 * Nothing else is done with the link until then, so no code of the program may
 * run between draft_begin and a commit, not even a finalizer. In one case it
 * does: a term cannot be encoded, and while the error is made garbage is
 * collected. That draft will not be committed, so the next one ends it. */
typedef struct draft {
  byn_node *node;
  byn_peer *peer;
  byn_buf *b;
  const char *what; /* what errors call the value in it */
} draft;

static void draft_abort(draft *d) {
  if (d->peer->draft != d) return;
  d->peer->draft = NULL;
  byn_link_abort(d->peer->link);
}

/* false: the node is not connected. */
static bool draft_begin(byn_node *node, const byn_origin *to, uint8_t kind,
                        draft *d) {
  byn_assert(to != node->origin);
  d->node = node;
  d->what = kind == REPLY ? "reply" : "msg";
  d->peer = byn_peer_of(node, to);
  if (d->peer && d->peer->draft) draft_abort(d->peer->draft);
  d->b = d->peer ? byn_link_begin(d->peer->link) : NULL;
  if (!d->b) return false;
  d->peer->draft = d;
  byn_put_u8(d->b, kind);
  return true;
}

/* `urgent`: see byn_link_commit. */
static bool draft_end(draft *d, bool urgent) {
  byn_assert(d->peer->draft == d);
  d->peer->draft = NULL;
  byn_peer_touch(d->node->cluster, d->peer);
  return byn_link_commit(d->peer->link, urgent);
}

/* Ends the draft of a signal whose loss is nobody's error. Where it cannot be
 * sent the link is closed: without it the two ends would not agree on what ties
 * their processes. */
static bool draft_commit(draft *d) {
  bool memory = d->b->failed;
  if (draft_end(d, true)) return true;
  byn_link_close(d->peer->link, memory ? "out_of_memory" : "message_too_large");
  byn_peer_is_unpolled(d->node->cluster, d->peer);
  return false;
}

/* Ends the draft of a message: where it cannot be sent, that is an error of the
 * program that sends it. */
static bool draft_commit_message(lua_State *L, draft *d) {
  size_t size = d->b->len;
  bool memory = d->b->failed;
  if (draft_end(d, false)) return true;
  if (!byn_link_is_up(d->peer->link)) {
    byn_peer_is_unpolled(d->node->cluster, d->peer);
    return false;
  }
  if (memory) luaL_error(L, "not enough memory");
  luaL_error(L,
             "the message is too large for another node (%d bytes; the "
             "limit max_message is %d)",
             (int)size, (int)d->node->cluster->config.max_message);
  return false;
}

static int encode_protected(lua_State *L) {
  draft *d = lua_touserdata(L, 1);
  for (int i = 2; i <= lua_gettop(L); i++)
    byn_term_encode(L, i, d->b, d->node->origin, d->peer->origin, d->what);
  return 0;
}

/* Room for encode_terms, and for the C function that it calls: where the stack
 * grows in that call, garbage is collected, which must not be within a draft.
 */
static void reserve_stack(lua_State *L, int count) {
  luaL_checkstack(L, count + 4 + LUA_MINSTACK, NULL);
}

/* Encodes `count` values from `first` on: a status as of lua_pcall, with the
 * error on the stack if it is one. */
static int encode_terms(lua_State *L, draft *d, int first, int count) {
  reserve_stack(L, count);
  first = lua_absindex(L, first);
  lua_pushcfunction(L, encode_protected);
  lua_pushlightuserdata(L, d);
  for (int i = 0; i < count; i++)
    lua_pushvalue(L, first + i);
  return lua_pcall(L, count + 1, 0, 0);
}

/* Puts the terms of a message. Where one cannot be sent the draft is aborted,
 * and the error raised to the sender. */
static void put_terms(lua_State *L, draft *d, int first, int count) {
  int status = encode_terms(L, d, first, count);
  if (status == LUA_OK) return;
  draft_abort(d);
  if (lua_type(L, -1) == LUA_TSTRING &&
      !byn_reason_is(L, -1, "not enough memory")) {
    byn_misuse_where(L);
    lua_insert(L, -2);
    lua_concat(L, 2);
  }
  lua_error(L);
}

static int text_protected(lua_State *L) {
  byn_reason_tostring(L, 1);
  return 1;
}

/* Pushes the reason at `index` as text, or a word where its __tostring fails.
 */
static void push_text(lua_State *L, int index) {
  lua_pushcfunction(L, text_protected);
  lua_pushvalue(L, index);
  if (lua_pcall(L, 1, 1, 0) == LUA_OK) return;
  lua_pop(L, 1);
  lua_pushliteral(L, "reason_without_text");
}

/* How many bytes a reason may have, so that its signal is never too large. */
static size_t reason_limit(const draft *d) {
  size_t max = d->node->cluster->config.max_message - PAIR_MAX;
  return max < REASON_MAX ? max : REASON_MAX;
}

/* Replaces what is in the buffer by the string on top, which it pops. */
static void replace_by_string(lua_State *L, draft *d) {
  byn_buf_free(d->b);
  if (encode_terms(L, d, -1, 1) != LUA_OK) {
    lua_pop(L, 1);
    d->b->failed = true;
  }
  lua_pop(L, 1);
}

/* Encodes a reason into a buffer of its own, before the draft of its signal: to
 * make it text may run code, which may send. A reason that cannot be sent goes
 * as text, one that is too long as a word. Where Lua may raise, the buffer
 * holds no memory. */
static void encode_reason(lua_State *L, draft *d, int index) {
  int top = lua_gettop(L);
  index = lua_absindex(L, index);
  luaL_checkstack(L, 12, NULL);
  if (encode_terms(L, d, index, 1) != LUA_OK) {
    lua_pop(L, 1);
    byn_buf_free(d->b);
    push_text(L, index);
    replace_by_string(L, d);
  }
  byn_assert(lua_gettop(L) == top);
  if (d->b->len <= reason_limit(d)) return;
  byn_buf_free(d->b);
  lua_pushliteral(L, "reason_too_large");
  replace_by_string(L, d);
  byn_assert(lua_gettop(L) == top);
}

static void put_id(draft *d, const byn_id *id) {
  byn_id_encode(d->b, id, d->node->origin, d->peer->origin);
}

static void put_dest(lua_State *L, draft *d, const byn_dest *to) {
  byn_put_u8(d->b, to->id.serial == 0);
  if (to->id.serial) {
    put_id(d, &to->id);
    return;
  }
  size_t n;
  const char *name = lua_tolstring(L, to->name, &n);
  byn_put_string(d->b, name, n);
}

static void put_ref(draft *d, const byn_id *ref) {
  byn_put_varint(d->b, ref->index);
  byn_put_varint(d->b, ref->serial);
}

/* --- sending -------------------------------------------------------------- */

static bool send_message(lua_State *L, byn_node *node, uint8_t kind,
                         const byn_dest *to, int index) {
  byn_assert(to->id.serial || lua_type(L, to->name) == LUA_TSTRING);
  draft d;
  reserve_stack(L, 1);
  if (!draft_begin(node, to->origin, kind, &d)) return false;
  put_dest(L, &d, to);
  put_terms(L, &d, index, 1);
  return draft_commit_message(L, &d);
}

bool byn_remote_send(lua_State *L, byn_node *node, const byn_dest *to,
                     int index) {
  return send_message(L, node, SEND, to, index);
}

bool byn_remote_cast(lua_State *L, byn_node *node, const byn_dest *to,
                     int index) {
  return send_message(L, node, CAST, to, index);
}

bool byn_remote_call(lua_State *L, byn_node *node, const byn_id *ref,
                     const byn_dest *to, int index) {
  draft d;
  reserve_stack(L, 1);
  if (!draft_begin(node, to->origin, CALL, &d)) return false;
  put_ref(&d, ref);
  put_dest(L, &d, to);
  put_terms(L, &d, index, 1);
  return draft_commit_message(L, &d);
}

bool byn_remote_reply(lua_State *L, byn_node *node, const byn_id *ref,
                      int count) {
  draft d;
  if (count > REPLY_MAX)
    luaL_error(L, "cannot reply with more than %d values", REPLY_MAX);
  reserve_stack(L, count);
  if (!draft_begin(node, ref->origin, REPLY, &d)) return false;
  put_ref(&d, ref);
  byn_put_varint(d.b, (uint64_t)count);
  put_terms(L, &d, lua_gettop(L) - count + 1, count);
  return draft_commit_message(L, &d);
}

/* A pair of ids, and with a `number` that too. */
static bool send_pair(byn_node *node, uint8_t kind, const byn_id *from,
                      const byn_id *to, uint64_t number) {
  byn_assert(from->serial && to->serial);
  draft d;
  if (!draft_begin(node, to->origin, kind, &d)) return false;
  put_id(&d, from);
  put_id(&d, to);
  if (number) byn_put_varint(d.b, number);
  return draft_commit(&d);
}

bool byn_remote_link(lua_State *L, byn_node *node, const byn_id *from,
                     const byn_id *to) {
  (void)L;
  return send_pair(node, LINK, from, to, 0);
}

bool byn_remote_unlink(lua_State *L, byn_node *node, const byn_id *from,
                       const byn_id *to, uint64_t number) {
  (void)L;
  return send_pair(node, UNLINK, from, to, number);
}

/* Encodes the reason at `index` into `reason`, and begins the signal that ends
 * with it. */
static bool draft_begin_with_reason(lua_State *L, byn_node *node,
                                    const byn_origin *to, uint8_t kind,
                                    int index, byn_buf *reason, draft *d) {
  draft r = {.node = node, .peer = byn_peer_of(node, to), .b = reason};
  byn_buf_init(reason, &node->world->alloc);
  if (!r.peer) return false;
  encode_reason(L, &r, index);
  if (draft_begin(node, to, kind, d)) return true;
  byn_buf_free(reason);
  return false;
}

static bool draft_commit_with_reason(draft *d, byn_buf *reason) {
  byn_assert(d->peer->draft == d && d->b != reason);
  byn_put_bytes(d->b, reason->data, reason->len);
  if (reason->failed) d->b->failed = true;
  byn_buf_free(reason);
  return draft_commit(d);
}

bool byn_remote_exit(lua_State *L, byn_node *node, const byn_id *from,
                     const byn_id *to, int index, bool linked) {
  draft d;
  byn_buf reason;
  uint8_t kind = linked ? UNLINKED : EXIT;
  if (!draft_begin_with_reason(L, node, to->origin, kind, index, &reason, &d))
    return false;
  put_id(&d, from);
  put_id(&d, to);
  return draft_commit_with_reason(&d, &reason);
}

bool byn_remote_monitor(lua_State *L, byn_node *node, const byn_id *watcher,
                        uint64_t serial, const byn_dest *to) {
  draft d;
  if (!draft_begin(node, to->origin, MONITOR, &d)) return false;
  put_id(&d, watcher);
  byn_put_varint(d.b, serial);
  put_dest(L, &d, to);
  return draft_commit(&d);
}

bool byn_remote_demonitor(lua_State *L, byn_node *node, byn_origin *to,
                          uint64_t serial) {
  (void)L;
  draft d;
  if (!draft_begin(node, to, DEMONITOR, &d)) return false;
  byn_put_varint(d.b, serial);
  return draft_commit(&d);
}

bool byn_remote_down(lua_State *L, byn_node *node, byn_origin *to,
                     uint64_t serial, int index) {
  draft d;
  byn_buf reason;
  if (!draft_begin_with_reason(L, node, to, DOWN, index, &reason, &d))
    return false;
  byn_put_varint(d.b, serial);
  return draft_commit_with_reason(&d, &reason);
}

/* Where the node of that name can be dialled, if that is known and the peer
 * understands it. */
static void send_address(byn_node *node, byn_peer *peer, const char *name,
                         const char *address) {
  draft d;
  if (!address || !*address || !peer->takes_addresses) return;
  if (!draft_begin(node, peer->origin, ADDRESS, &d)) return;
  byn_put_string(d.b, name, strlen(name));
  byn_put_string(d.b, address, strlen(address));
  draft_commit(&d);
}

static void send_name(byn_node *node, byn_peer *peer, const char *name) {
  draft d;
  if (!draft_begin(node, peer->origin, NODES, &d)) return;
  byn_put_varint(d.b, 1);
  byn_put_string(d.b, name, strlen(name));
  draft_commit(&d);
}

/* One name in each message: none is ever too large. The address comes first:
 * the peer may dial as soon as it has the name. */
void byn_remote_nodes(lua_State *L, byn_node *node, byn_peer *peer) {
  (void)L;
  byn_cluster *c = node->cluster;
  uint32_t count = byn_membership_up_count(c->membership);
  send_address(node, peer, node->name, c->own_address);
  for (uint32_t i = 0; i < count; i++) {
    const char *name = byn_membership_up_name(c->membership, i);
    send_address(node, peer, name, byn_addresses_own(&c->addresses, name));
    send_name(node, peer, name);
  }
}

/* --- reading -------------------------------------------------------------- */

/* One message that is being read. All of it is decoded before anything is done:
 * its bytes are valid only until the link is written to. */
typedef struct inbound {
  lua_State *L;
  byn_node *node;
  byn_peer *peer;
  byn_reader r;
} inbound;

static bool get_term(inbound *in) {
  return byn_term_decode(in->L, &in->r, in->peer->origin, in->node->origin);
}

static bool get_id(inbound *in, byn_id *id) {
  if (!byn_id_decode(in->L, &in->r, id, in->peer->origin, in->node->origin))
    return false;
  id->kind = BYN_PID;
  return true;
}

/* The process here with that id, or NULL. To be called after the terms are
 * decoded: that may collect garbage, and a finalizer may end processes. */
static byn_process *find_here(inbound *in, const byn_id *id) {
  bool here = id->origin == in->node->origin;
  return here ? byn_node_find(in->node, id) : NULL;
}

/* The process a signal is for; nobody's id if there is none of that name. */
static bool get_dest(inbound *in, byn_id *id) {
  uint8_t named = byn_get_u8(&in->r);
  if (!named) return get_id(in, id);
  size_t n;
  const uint8_t *name = byn_get_string(&in->r, &n);
  if (in->r.failed || named != 1) return false;
  lua_pushlstring(in->L, (const char *)name, n);
  const byn_process *p = byn_node_named(in->L, in->node, -1);
  *id = p ? p->id : (byn_id){0};
  lua_pop(in->L, 1);
  return true;
}

static bool get_ref(inbound *in, byn_origin *origin, byn_id *ref) {
  uint64_t index = byn_get_varint(&in->r), serial = byn_get_varint(&in->r);
  *ref = (byn_id){.origin = origin,
                  .serial = serial,
                  .index = (uint32_t)index,
                  .kind = BYN_REF};
  return !in->r.failed && index <= UINT32_MAX && serial &&
         serial <= BYN_SERIAL_MAX;
}

/* A process of the sender's, and one of ours. */
static bool get_pair(inbound *in, byn_id *from, byn_id *to) {
  if (!get_id(in, from) || !get_id(in, to)) return false;
  return from->origin == in->peer->origin && to->origin == in->node->origin;
}

static byn_mail *make_mail(inbound *in, byn_mail_kind kind, const byn_id *id) {
  return byn_mail_new(in->L, in->node->world, kind, id);
}

static bool on_send(inbound *in, byn_mail_kind kind) {
  byn_id to;
  if (!get_dest(in, &to) || !get_term(in)) return false;
  byn_process *p = find_here(in, &to);
  if (p && byn_mailbox_admits(in->L, p))
    byn_process_mail(in->L, p, make_mail(in, kind, NULL));
  else
    lua_pop(in->L, 1);
  return true;
}

/* Sends DOWN for a call or monitor of a process that is not there, or that
 * takes no more calls. */
static void answer_down(inbound *in, uint64_t serial, const char *reason) {
  lua_pushstring(in->L, reason);
  byn_remote_down(in->L, in->node, in->peer->origin, serial, lua_gettop(in->L));
  lua_pop(in->L, 1);
}

static bool on_call(inbound *in) {
  byn_id ref, to;
  if (!get_ref(in, in->peer->origin, &ref) || !get_dest(in, &to)) return false;
  if (byn_map_get(&in->peer->monitors, ref.serial) || !get_term(in))
    return false;
  byn_process *p = find_here(in, &to);
  bool admitted = p && byn_mailbox_admits_call(in->L, p, lua_gettop(in->L));
  if (!admitted) {
    lua_pop(in->L, 1);
    answer_down(in, ref.serial, p ? "mailbox_full" : "noproc");
    return true;
  }
  byn_relate(in->L, in->node, BYN_CALL, &ref, &p->id, ref.serial, true);
  byn_process_mail(in->L, p, make_mail(in, BYN_MAIL_CALL, &ref));
  return true;
}

static bool on_reply(inbound *in) {
  byn_id ref;
  if (!get_ref(in, in->node->origin, &ref)) return false;
  uint64_t count = byn_get_varint(&in->r);
  if (in->r.failed || count > REPLY_MAX) return false;
  luaL_checkstack(in->L, REPLY_MAX + 20, NULL);
  for (uint64_t i = 0; i < count; i++) {
    if (get_term(in)) continue;
    lua_pop(in->L, (int)i);
    return false;
  }
  byn_call_replied(in->L, in->node, &ref, in->peer->origin, (int)count);
  return true;
}

static void unrelate_if_over(inbound *in, byn_relation *r) {
  if (r && byn_tie_is_over(&r->tie)) byn_unrelate(in->L, in->node, r);
}

static bool on_link(inbound *in) {
  byn_id from, to;
  if (!get_pair(in, &from, &to)) return false;
  byn_process *p = find_here(in, &to);
  byn_relation *r = p ? byn_find_link(p, &from) : NULL;
  if (r) {
    byn_tie_on_link(&r->tie);
  } else if (p) {
    byn_relate(in->L, in->node, BYN_LINK, &p->id, &from, 0, false);
  } else {
    lua_pushliteral(in->L, "noproc");
    byn_remote_exit(in->L, in->node, &to, &from, lua_gettop(in->L), true);
    lua_pop(in->L, 1);
  }
  return true;
}

/* UNLINK and CONFIRM. */
static bool get_numbered(inbound *in, byn_id *from, byn_id *to,
                         byn_relation **r, uint64_t *number) {
  if (!get_pair(in, from, to)) return false;
  byn_process *p = find_here(in, to);
  *number = byn_get_varint(&in->r);
  *r = p ? byn_find_link(p, from) : NULL;
  return !in->r.failed && *number;
}

static bool on_unlink(inbound *in) {
  byn_id from, to;
  byn_relation *r;
  uint64_t number;
  if (!get_numbered(in, &from, &to, &r, &number)) return false;
  if (r) byn_tie_on_unlink(&r->tie);
  unrelate_if_over(in, r);
  send_pair(in->node, CONFIRM, &to, &from, number);
  return true;
}

static bool on_confirm(inbound *in) {
  byn_id from, to;
  byn_relation *r;
  uint64_t number;
  if (!get_numbered(in, &from, &to, &r, &number)) return false;
  if (r) byn_tie_on_confirm(&r->tie, number);
  unrelate_if_over(in, r);
  return true;
}

/* UNLINKED has an effect only while the link is there: after an unlink its end
 * is no signal. */
static bool on_exit_signal(inbound *in, bool linked) {
  byn_id from, to;
  if (!get_pair(in, &from, &to) || !get_term(in)) return false;
  byn_process *p = find_here(in, &to);
  byn_relation *r = linked && p ? byn_find_link(p, &from) : NULL;
  bool broke = r && byn_tie_on_exit(&r->tie);
  unrelate_if_over(in, r);
  if (p && (broke || !linked))
    byn_signal_exit(in->L, p, &from, lua_gettop(in->L), linked);
  lua_pop(in->L, 1);
  return true;
}

static bool on_monitor(inbound *in) {
  byn_id watcher, to;
  if (!get_id(in, &watcher) || watcher.origin != in->peer->origin) return false;
  uint64_t serial = byn_get_varint(&in->r);
  if (!serial || !get_dest(in, &to)) return false;
  if (byn_map_get(&in->peer->monitors, serial)) return false;
  byn_process *p = find_here(in, &to);
  if (p)
    byn_relate(in->L, in->node, BYN_MONITOR, &watcher, &p->id, serial, true);
  else
    answer_down(in, serial, "noproc");
  return true;
}

static bool on_demonitor(inbound *in) {
  uint64_t serial = byn_get_varint(&in->r);
  if (in->r.failed) return false;
  byn_relation *r = byn_map_get(&in->peer->monitors, serial);
  if (r) byn_unrelate(in->L, in->node, r);
  return true;
}

static bool on_down(inbound *in) {
  uint64_t serial = byn_get_varint(&in->r);
  if (in->r.failed || !get_term(in)) return false;
  byn_monitor_break(in->L, in->node, serial, in->peer->origin,
                    lua_gettop(in->L));
  lua_pop(in->L, 1);
  return true;
}

/* A text of at most `max` bytes, NUL-ended. */
static bool get_text(inbound *in, char *to, size_t max) {
  size_t n;
  const uint8_t *bytes = byn_get_string(&in->r, &n);
  if (in->r.failed || n > max) return false;
  memcpy(to, bytes, n);
  to[n] = 0;
  return !memchr(to, 0, n);
}

static bool get_node_name(inbound *in, char name[BYN_NAME_MAX + 1]) {
  return get_text(in, name, BYN_NAME_MAX) &&
         byn_name_is_valid(name, strlen(name));
}

static bool on_nodes(inbound *in) {
  uint64_t count = byn_get_varint(&in->r);
  if (in->r.failed || count > NODES_MAX) return false;
  for (uint64_t i = 0; i < count; i++) {
    char name[BYN_NAME_MAX + 1];
    if (!get_node_name(in, name)) return false;
    byn_membership_add(in->node->cluster->membership, name, false,
                       in->node->now);
  }
  return true;
}

/* The sender's own, or what it was told by another node. */
static bool on_address(inbound *in) {
  char name[BYN_NAME_MAX + 1], address[BYN_ADDRESS_TEXT_MAX + 1];
  if (!get_node_name(in, name) ||
      !get_text(in, address, BYN_ADDRESS_TEXT_MAX) ||
      !byn_address_is_valid(address, strlen(address)))
    return false;
  if (!strcmp(name, in->node->name)) return true;
  bool own = !strcmp(name, in->peer->name);
  byn_addresses_tell(&in->node->cluster->addresses, name, address,
                     own ? BYN_ADDRESS_OWN : BYN_ADDRESS_HEARSAY);
  return true;
}

static bool obey_signal(inbound *in) {
  switch (byn_get_u8(&in->r)) {
  case SEND:
    return on_send(in, BYN_MAIL_MESSAGE);
  case CALL:
    return on_call(in);
  case CAST:
    return on_send(in, BYN_MAIL_CAST);
  case REPLY:
    return on_reply(in);
  case LINK:
    return on_link(in);
  case UNLINK:
    return on_unlink(in);
  case UNLINKED:
    return on_exit_signal(in, true);
  case EXIT:
    return on_exit_signal(in, false);
  case MONITOR:
    return on_monitor(in);
  case DEMONITOR:
    return on_demonitor(in);
  case DOWN:
    return on_down(in);
  case NODES:
    return on_nodes(in);
  case CONFIRM:
    return on_confirm(in);
  case ADDRESS:
    return on_address(in);
  default:
    return false;
  }
}

bool byn_remote_receive(lua_State *L, byn_node *node, byn_peer *peer,
                        const uint8_t *bytes, size_t n) {
  byn_assert(byn_peer_of(node, peer->origin) == peer);
  int top = lua_gettop(L);
  inbound in = {.L = L, .node = node, .peer = peer};
  byn_reader_init(&in.r, bytes, n);
  luaL_checkstack(L, 20, NULL);
  bool sense = obey_signal(&in);
  byn_assert(lua_gettop(L) == top);
  return sense;
}
