/* Servers: what they answer to system requests. */
#include "server_system.h"

#include "../../core/assert.h"
#include "../value/reason.h"
#include "../process/lookup.h"
#include "../process/node.h"
#include "server.h"
#include "status.h"

/* Replies with a copy of the value on top (popped), the state or the status,
 * to the request in hand. */
static void reply_copy(lua_State *L, byn_process *p) {
  if (!byn_server_reply(L, p, 1)) {
    byn_reason_make(L, "bad_state", 1);
    byn_server_reply_error(L, p);
  }
  byn_server_free_mail(L, p);
  byn_server_idle(L, p);
}

static void reply_state(lua_State *L, byn_process *p) {
  byn_server *s = p->self;
  byn_slot_push(L, s->state);
  byn_status_push_state(L, -1);
  lua_replace(L, -2);
  reply_copy(L, p);
}

void byn_server_reply_status(lua_State *L, byn_process *p) {
  byn_server *s = p->self;
  byn_assert(s->mail && s->status);
  lua_createtable(L, 0, 4);
  byn_process_push(L, p);
  lua_setfield(L, -2, "pid");
  if (p->parent) {
    byn_id parent = byn_parent_of(p);
    byn_id_push(L, &parent);
    lua_setfield(L, -2, "parent");
  }
  byn_slot_push(L, p->label);
  lua_setfield(L, -2, "label");
  byn_slot_take(L, byn_slots_at(p), s->status);
  s->status = 0;
  lua_getfield(L, -1, "state");
  lua_setfield(L, -3, "state");
  lua_pop(L, 1);
  reply_copy(L, p);
}

/* The status goes through format_status, where the module has that. */
static void get_status(lua_State *L, byn_process *p) {
  byn_server *s = p->self;
  lua_createtable(L, 0, 1);
  byn_slot_push(L, s->state);
  byn_status_push_state(L, -1);
  lua_setfield(L, -3, "state");
  lua_pop(L, 1);
  if (byn_server_format_status(L, p, BYN_FORMATTING)) return;
  s->status = byn_slot_put(L, byn_slots_at(p));
  byn_server_reply_status(L, p);
}

/* Makes the table on top (popped) the instance. */
static void replace_instance(lua_State *L, byn_process *p) {
  byn_server *s = p->self;
  byn_slot_push(L, s->state);
  lua_getmetatable(L, -1);
  lua_setmetatable(L, -3);
  lua_pop(L, 1);
  int fresh = byn_slot_keep(L, byn_slots_at(p));
  byn_slot_free(L, byn_slots_at(p), s->state);
  s->state = fresh;
}

void byn_server_system_failed(lua_State *L, byn_process *p) {
  byn_server_reply_error(L, p);
  byn_server_free_mail(L, p);
  byn_server_idle(L, p);
}

void byn_server_replaced(lua_State *L, byn_process *p, int count) {
  byn_assert(((byn_server *)p->self)->doing == BYN_REPLACING);
  lua_pop(L, count - (count ? 1 : 0));
  if (count && lua_istable(L, -1)) {
    replace_instance(L, p);
  } else if (count && !lua_isnil(L, -1)) {
    lua_pushstring(L, luaL_typename(L, -1));
    lua_replace(L, -2);
    byn_reason_make(L, "bad_return_value", 1);
    byn_server_system_failed(L, p);
    return;
  } else {
    lua_pop(L, count ? 1 : 0);
  }
  reply_state(L, p);
}

/* Asks the function that came with the request for a handoff whether the server
 * is to do that: "begin", hand over; "end", stop, with the state at `state` (0:
 * none); "failed", stop all the same. Pushes why not, if it may not. */
static bool is_permitted(lua_State *L, const byn_server *s, const char *stage,
                         int state) {
  luaL_checkstack(L, 6, NULL);
  int top = lua_gettop(L);
  byn_value_push(L, &s->mail->value);
  lua_rawgeti(L, -1, 5);
  lua_pushstring(L, stage);
  if (state)
    lua_pushvalue(L, state);
  else
    lua_pushnil(L);
  bool ran = lua_pcall(L, 2, 2, 0) == LUA_OK;
  bool permitted = ran && lua_toboolean(L, -2);
  if (permitted) {
    lua_settop(L, top);
    return true;
  }
  lua_replace(L, top + 1);
  lua_settop(L, top + 1);
  return false;
}

/* Pops why. */
static void hand_over(lua_State *L, byn_process *p) {
  if (!is_permitted(L, p->self, "begin", 0)) {
    lua_pop(L, 2);
    byn_server_free_mail(L, p);
    byn_server_idle(L, p);
    return;
  }
  if (byn_server_push_callback(L, p, "handoff")) {
    lua_rotate(L, -3, 2);
    byn_server_run_callback(L, p, BYN_HANDING_OVER, 2);
    return;
  }
  p->handed_over = true; /* it is about to be stopped */
  lua_pop(L, 1);
  lua_pushboolean(L, 0);
  reply_copy(L, p);
}

/* Pops the state. It is a callback like any other: what it raises ends the
 * server, and it may return a directive. */
static void resolve_conflict(lua_State *L, byn_process *p) {
  bool found = byn_server_push_callback(L, p, "resolve_conflict");
  lua_pushboolean(L, found);
  if (!byn_server_reply(L, p, 1)) lua_pop(L, 1);
  if (found) {
    lua_rotate(L, -3, 2);
    byn_server_run_callback(L, p, BYN_IN_RESOLVE, 2);
    return;
  }
  lua_pop(L, 1);
  byn_server_free_mail(L, p);
  byn_server_idle(L, p);
}

/* Pushes the reason that the request in hand wants it to end for. */
static void push_end_reason(lua_State *L, const byn_server *s) {
  byn_value_push(L, &s->mail->value);
  lua_rawgeti(L, -1, 4);
  lua_replace(L, -2);
  if (!lua_isnil(L, -1)) return;
  lua_pop(L, 1);
  lua_pushliteral(L, "shutdown");
}

/* Answers true, or nil and why not (popped); the state went with "end". */
static bool answer_handoff(lua_State *L, byn_process *p, int status,
                           int count) {
  const byn_server *s = p->self;
  bool stops = true;
  if (status == LUA_OK) {
    int first = lua_gettop(L) - count + 1;
    lua_settop(L, first);
    stops = is_permitted(L, s, "end", first);
    lua_remove(L, first);
    if (stops) {
      lua_pushboolean(L, 1);
      if (!byn_server_reply(L, p, 1)) lua_pop(L, 1);
      return true;
    }
  } else if (!is_permitted(L, s, "failed", 0)) {
    lua_pop(L, 1);
    stops = false;
  }
  byn_server_reply_error(L, p);
  return stops;
}

/* Where it may not stop it goes on as if nobody had asked. */
void byn_server_handed_over(lua_State *L, byn_process *p, int status,
                            int count) {
  byn_server *s = p->self;
  byn_assert(s->doing == BYN_HANDING_OVER);
  if (!answer_handoff(L, p, status, count)) {
    byn_server_free_mail(L, p);
    byn_server_idle(L, p);
    return;
  }
  p->handed_over = true;
  push_end_reason(L, s);
  byn_server_free_mail(L, p);
  byn_server_stop(L, p);
}

void byn_server_system_request(lua_State *L, byn_process *p, byn_system_op op) {
  byn_server *s = p->self;
  byn_assert(s->doing == BYN_IDLING && s->mail);
  byn_system_argument(L, -1);
  lua_replace(L, -2);
  switch (op) {
  case BYN_SYSTEM_STOP:
    byn_server_free_mail(L, p);
    byn_server_stop(L, p);
    return;
  case BYN_SYSTEM_GET_STATE:
    lua_pop(L, 1);
    reply_state(L, p);
    return;
  case BYN_SYSTEM_GET_STATUS:
    lua_pop(L, 1);
    get_status(L, p);
    return;
  case BYN_SYSTEM_REPLACE_STATE:
    byn_slot_push(L, s->state);
    byn_server_run_callback(L, p, BYN_REPLACING, 1);
    return;
  case BYN_SYSTEM_HANDOFF:
    hand_over(L, p);
    return;
  case BYN_SYSTEM_RESOLVE:
    resolve_conflict(L, p);
    return;
  default:
    lua_pop(L, 1);
    lua_pushliteral(L, "unknown_system_request");
    byn_server_system_failed(L, p);
  }
}
