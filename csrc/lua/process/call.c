/* Calls: requests with a ref, and replies that find their way back. */
#include "call.h"

#include "../../core/assert.h"
#include "../value/compat.h"
#include "../value/misuse.h"
#include "../value/reason.h"
#include "../value/term.h"
#include "dest.h"
#include "lookup.h"
#include "mailbox_limit.h"
#include "send.h"
#include "wait.h"

#define DEFAULT_TIMEOUT 5000

/* --- ends of a call ------------------------------------------------------- */

/* Replaces `count` values by {tag="reply", ref=, n=, ...}. */
static void push_reply(lua_State *L, byn_process *p, uint64_t serial,
                       int count) {
  byn_id ref = {.origin = p->node->origin, .serial = serial, .kind = BYN_REF};
  ref.index = p->id.index;
  lua_createtable(L, count, 3);
  lua_insert(L, -count - 1);
  for (int i = count; i > 0; i--)
    lua_rawseti(L, -1 - i, i);
  lua_pushliteral(L, "reply");
  lua_setfield(L, -2, "tag");
  lua_pushinteger(L, count);
  lua_setfield(L, -2, "n");
  byn_id_push(L, &ref);
  lua_setfield(L, -2, "ref");
}

static bool waits_for_reply(const byn_process *p, uint64_t serial) {
  return p->wait == BYN_WAIT_REPLY && p->reply == serial && p->arguments < 0;
}

static void mail_message(lua_State *L, byn_process *p) {
  byn_process_mail(L, p,
                   byn_mail_new(L, p->node->world, BYN_MAIL_MESSAGE, NULL));
}

/* Pops `count` values, which are the caller's own by now, and gives them to the
 * process p that called with `serial`; frees the relation r of the call, if it
 * has one. What may fail comes first: the call is either under way or
 * answered. */
static void answer_caller(lua_State *L, byn_node *node, byn_process *p,
                          byn_relation *r, uint64_t serial, int count) {
  bool waits = waits_for_reply(p, serial);
  byn_assert(count >= 0 && p->state < BYN_EXITING);
  byn_assert(!r || (r->kind == BYN_CALL && r->serial == serial));
  int top = byn_stack_top(L) - count;
  if (waits) {
    if (!lua_checkstack(p->co, count + 2)) luaL_error(L, "too many results");
  } else {
    push_reply(L, p, serial, count);
    byn_mail_reserve(L, node->world);
  }
  if (r) byn_unrelate(L, node, r);
  if (waits) {
    p->call = NULL;
    byn_process_answer(L, p, count);
  } else {
    mail_message(L, p);
  }
  byn_assert(byn_stack_top(L) == top);
}

void byn_call_failed(lua_State *L, byn_node *node, byn_relation *r) {
  byn_process *p = byn_node_find(node, byn_end_id(r, &r->a));
  if (!p) {
    byn_unrelate(L, node, r);
    lua_pop(L, 1);
    return;
  }
  /* A request that fails beside the call says nothing of it. */
  if (waits_for_reply(p, r->serial))
    p->untaken = byn_reason_is(L, -1, "noproc");
  lua_pushnil(L);
  lua_insert(L, -2);
  answer_caller(L, node, p, r, r->serial, 2);
}

/* --- replies -------------------------------------------------------------- */

/* The process of this node that waits for `ref`, and the relation of its call;
 * NULL if none waits any more. */
static byn_process *find_caller(byn_node *node, const byn_id *ref,
                                byn_relation **r) {
  byn_process *p =
      ref->index < node->table_size ? node->table[ref->index] : NULL;
  if (!p || p->state >= BYN_EXITING) return NULL;
  if (waits_for_reply(p, ref->serial)) {
    *r = p->call;
    return p;
  }
  *r = byn_map_get(&node->monitors, ref->serial);
  bool asked = *r && (*r)->kind == BYN_CALL && (*r)->a.list == &p->relations;
  return asked ? p : NULL;
}

void byn_call_replied(lua_State *L, byn_node *node, const byn_id *ref,
                      byn_origin *from, int count) {
  byn_relation *r;
  byn_process *p = find_caller(node, ref, &r);
  if (!p) {
    lua_pop(L, count);
    return;
  }
  byn_origin *b = r ? byn_called_abroad(r) : NULL;
  answer_caller(L, node, p, r, ref->serial, count);
  if (b && b != from) node->remote->demonitor(L, node, b, ref->serial);
}

static void reply_remote(lua_State *L, byn_node *node, const byn_id *ref,
                         int count) {
  if (node->remote) node->remote->reply(L, node, ref, count);
  byn_relation *r = byn_find_monitor(node, ref->origin, ref->serial);
  if (r && r->kind == BYN_CALL) byn_unrelate(L, node, r);
  lua_pop(L, count);
}

/* Makes the tables among the `count` values on top the receiver's own. false:
 * one cannot be copied, the error is on top. */
static bool copy_tables(lua_State *L, int count) {
  for (int i = lua_gettop(L) - count + 1; count; i++, count--) {
    if (lua_type(L, i) != LUA_TTABLE) continue;
    luaL_checkstack(L, 8, NULL);
    if (!byn_term_try_copy(L, i, "reply")) return false;
    lua_replace(L, i);
  }
  return true;
}

static bool reply_local(lua_State *L, byn_node *node, const byn_id *ref,
                        int count) {
  byn_relation *r;
  if (!find_caller(node, ref, &r)) {
    lua_pop(L, count);
    return true;
  }
  if (!copy_tables(L, count)) return false;
  /* Copying may collect garbage, and a finalizer may end processes. */
  byn_call_replied(L, node, ref, node->origin, count);
  return true;
}

typedef struct reply_order {
  byn_node *node;
  const byn_id *ref;
} reply_order;

static int reply_protected(lua_State *L) {
  const reply_order *o = lua_touserdata(L, 1);
  reply_remote(L, o->node, o->ref, lua_gettop(L) - 1);
  return 0;
}

bool byn_try_reply(lua_State *L, byn_node *node, const byn_id *ref, int count) {
  if (ref->origin == node->origin) return reply_local(L, node, ref, count);
  reply_order order = {node, ref};
  luaL_checkstack(L, count + 4, NULL);
  int first = lua_gettop(L) - count + 1;
  lua_pushcfunction(L, reply_protected);
  lua_pushlightuserdata(L, &order);
  for (int i = 0; i < count; i++)
    lua_pushvalue(L, first + i);
  if (lua_pcall(L, count + 1, 0, 0) != LUA_OK) return false;
  lua_pop(L, count);
  return true;
}

void byn_reply(lua_State *L, byn_node *node, const byn_id *ref, int count) {
  if (ref->origin != node->origin) {
    reply_remote(L, node, ref, count);
  } else if (!reply_local(L, node, ref, count)) {
    luaL_where(L, 1);
    lua_insert(L, -2);
    lua_concat(L, 2);
    lua_error(L);
  }
}

/* --- in Lua --------------------------------------------------------------- */

static byn_relation *relate_call(lua_State *L, byn_process *p,
                                 const byn_dest *to, uint64_t serial,
                                 bool mapped) {
  return byn_relate(L, p->node, BYN_CALL, &p->id, &to->id, serial, mapped);
}

/* Makes the request at stack index 2 the receiver's own. A fresh one was made
 * for this call: only tables in it may be somebody else's. */
static void own_request(lua_State *L, bool fresh) {
  if (!fresh) {
    byn_term_copy(L, 2);
    lua_replace(L, 2);
    return;
  }
  lua_pushnil(L);
  while (lua_next(L, 2)) {
    if (lua_type(L, -1) == LUA_TTABLE) {
      byn_term_copy(L, -1);
      lua_pushvalue(L, -3);
      lua_insert(L, -2);
      lua_rawset(L, 2);
    }
    lua_pop(L, 1);
  }
}

/* Finds the child that `to` may be and, if that is a process of this node,
 * makes the request at stack index 2 its own: that may collect garbage, and a
 * finalizer may end processes. */
static void resolve_called(lua_State *L, byn_node *node, bool fresh,
                           byn_dest *to) {
  if (to->child) byn_dest_resolve(L, node, to);
  if (to->kind != BYN_DEST_LOCAL || lua_type(L, 2) != LUA_TTABLE) return;
  own_request(L, fresh);
  to->process = byn_node_find(node, &to->id);
  if (!to->process) to->kind = BYN_DEST_DEAD;
}

/* Sends the request at stack index 2 with `ref`. */
static void send_request(lua_State *L, byn_process *p, const byn_dest *to,
                         const byn_id *ref, bool mapped, byn_relation **r) {
  if (to->kind == BYN_DEST_REMOTE) {
    p->node->remote->call(L, p->node, ref, to, 2);
    *r = relate_call(L, p, to, ref->serial, true);
    return;
  }
  lua_pushvalue(L, 2);
  byn_mail_reserve(L, p->node->world);
  *r = byn_relate_local(L, BYN_CALL, p, to->process, ref->serial, mapped);
  byn_process_mail(L, to->process,
                   byn_mail_new(L, p->node->world, BYN_MAIL_CALL, ref));
}

/* Why p cannot call there with the request at stack index 2, or NULL. If it
 * waits for the answer, `other` must not wait for p itself. */
static inline const char *why_no_call(lua_State *L, const byn_process *p,
                                      const byn_dest *to, bool waits) {
  byn_process *other = to->process;
  if (to->kind == BYN_DEST_REMOTE) return NULL;
  if (to->kind == BYN_DEST_DEAD) return "noproc";
  if (to->kind == BYN_DEST_UNKNOWN) return to->error;
  if (other == p) return "calling_self";
  if (waits && byn_process_awaits_start(other) &&
      byn_process_starts_for(p, other))
    return "calling_self";
  return byn_mailbox_admits_call(L, other, 2) ? NULL : "mailbox_full";
}

#if LUA_VERSION_NUM >= 504
static int child_called(lua_State *L, int status, lua_KContext context) {
  (void)status, (void)context;
  return lua_gettop(L);
}

/* The call of a child, in Lua: it may have to wait until the child runs. The
 * destination and the request are at stack indices 1 and 2. */
static int call_child(lua_State *L, int64_t ms) {
  lua_settop(L, 2);
  byn_slot_push(L, byn_world_of(L)->distributed.call);
  lua_insert(L, 1);
  if (ms < 0)
    lua_pushliteral(L, "infinity");
  else
    lua_pushinteger(L, ms);
  lua_callk(L, 3, LUA_MULTRET, 0, child_called);
  return lua_gettop(L);
}
#endif

static int call_and_wait(lua_State *L, byn_process *p, const char *what,
                         bool fresh, int64_t ms) {
  byn_dest to;
  /* To ask for the time may run the host's code, so it comes first. */
  if (ms >= 0) byn_node_now(L, p->node);
  byn_dest_unresolved_at(L, p->node, 1, what, &to);
#if LUA_VERSION_NUM >= 504
  if (to.child && !fresh) return call_child(L, ms);
#endif
  resolve_called(L, p->node, fresh, &to);
  const char *error = why_no_call(L, p, &to, true);
  p->untaken = error != NULL;
  if (error) {
    lua_pushnil(L);
    lua_pushstring(L, error);
    return 2;
  }
  byn_process_check_wait(L, p);
  byn_id ref;
  byn_node_ref(p->node, &ref);
  ref.index = p->id.index;
  byn_relation *r;
  send_request(L, p, &to, &ref, false, &r);
  return byn_process_wait_reply(L, p, r, &ref, ms);
}

/* call(dest, msg [, timeout]) -> what was replied | nil, err. On LuaJIT, where
 * code that C calls cannot wait, server.call looks itself for a child. */
static int l_call(lua_State *L) {
  byn_process *p = byn_process_here(L, "call");
  int64_t ms = byn_check_timeout(L, 3, DEFAULT_TIMEOUT);
  BYN_POINT(L, p, l_call, BYN_OP_CALL, 1);
  if (lua_gettop(L) != 2) lua_settop(L, 2);
  return call_and_wait(L, p, "call", false, ms);
}

/* call_untaken() -> does the caller know that nobody took its last call? */
static int l_call_untaken(lua_State *L) {
  lua_pushboolean(L, byn_process_here(L, "call")->untaken);
  return 1;
}

/* ask(dest, msg): the same without a time limit, for a table that was made
 * for it */
static int l_ask(lua_State *L) {
  byn_process *p = byn_process_here(L, "call");
  lua_settop(L, 2);
  byn_expect_type(L, 2, LUA_TTABLE);
  return call_and_wait(L, p, "supervisor", true, -1);
}

/* request(dest, msg) -> ref; the reply is a message {tag="reply", ...} */
static int l_request(lua_State *L) {
  byn_process *p = byn_process_here(L, "request");
  lua_settop(L, 2);
  byn_id ref;
  byn_node_ref(p->node, &ref);
  ref.index = p->id.index;
  byn_id_push_first(L, &ref);
  byn_dest to;
  byn_dest_unresolved_at(L, p->node, 1, "request", &to);
  resolve_called(L, p->node, false, &to);
  const char *error = why_no_call(L, p, &to, false);
  if (error) {
    lua_pushnil(L);
    lua_pushstring(L, error);
    push_reply(L, p, ref.serial, 2);
    mail_message(L, p);
  } else {
    byn_relation *r;
    send_request(L, p, &to, &ref, true, &r);
  }
  lua_settop(L, 3);
  return 1;
}

/* abandon(ref): no reply to a request of the caller comes any more */
static int l_abandon(lua_State *L) {
  byn_process *p = byn_process_here(L, "request");
  const byn_id *ref = byn_ref_at(L, 1);
  luaL_argexpected(L, ref, 1, "ref (from request)");
  byn_relation *r = ref->origin == p->node->origin
                        ? byn_map_get(&p->node->monitors, ref->serial)
                        : NULL;
  if (r && r->kind == BYN_CALL && r->a.list == &p->relations)
    byn_relation_give_up(L, p->node, r);
  return 0;
}

/* Casts the message at stack index 2; false: it was kept, or there is no such
 * child. */
static bool cast(lua_State *L, byn_node *node, byn_dest *to) {
  byn_dest_unresolved_at(L, node, 1, "cast", to);
  if (to->child && byn_dest_keep(L, node, to, "cast", 2)) return false;
  if (to->kind == BYN_DEST_REMOTE)
    node->remote->cast(L, node, to, 2);
  else if (to->kind == BYN_DEST_LOCAL)
    byn_post(L, node, to, 2, BYN_MAIL_CAST);
  else if (to->kind == BYN_DEST_UNKNOWN && to->id.serial)
    byn_send_route(L, node, to, 2, true);
  return true;
}

/* cast(dest, msg) -> true */
static int l_cast(lua_State *L) {
  byn_node *node = byn_node_here(L);
  lua_settop(L, 2);
  BYN_POINT(L, node->world->running, l_cast, BYN_OP_CAST, 1);
  byn_dest to;
  bool sent = cast(L, node, &to);
  lua_pushboolean(L, 1);
  return sent ? byn_send_throttle(L, node, &to, 1) : 1;
}

/* cast_now(dest, msg) -> true: a cast that never waits, for a process that
 * must serve others while one peer reads slowly */
static int l_cast_now(lua_State *L) {
  byn_node *node = byn_node_here(L);
  lua_settop(L, 2);
  BYN_POINT(L, node->world->running, l_cast_now, BYN_OP_CAST, 1);
  byn_dest to;
  cast(L, node, &to);
  lua_pushboolean(L, 1);
  return 1;
}

/* reply(from, ...) -> true, also once the node has been closed */
static int l_reply(lua_State *L) {
  const byn_id *ref = byn_ref_at(L, 1);
  byn_expect(L, ref, 1, "the `from` of a handle_call");
  byn_node *node = byn_node_toward(L, ref);
  BYN_POINT(L, byn_world_here(L)->running, l_reply, BYN_OP_REPLY, 0);
  if (node) byn_reply(L, node, ref, lua_gettop(L) - 1);
  lua_pushboolean(L, 1);
  return 1;
}

void byn_call_functions(lua_State *L) {
  static const luaL_Reg functions[] = {{"call", l_call},
                                       {"call_untaken", l_call_untaken},
                                       {"ask", l_ask},
                                       {"request", l_request},
                                       {"abandon", l_abandon},
                                       {"cast", l_cast},
                                       {"cast_now", l_cast_now},
                                       {"reply", l_reply},
                                       {NULL, NULL}};
  byn_set_functions(L, functions);
}
