/* What a trace and a report show of a control. */
#include "control_view.h"

#include "../../core/assert.h"
#include "../value/compat.h"
#include "../process/label.h"
#include "../process/relation.h"
#include "control.h"
#include "control_seam.h"

/* trace(fn): from now on, note what steps touch, and call fn(kind, value) with
 * the mail that a server or supervisor is about to handle */
static int l_trace(lua_State *L) {
  byn_control *c = byn_control_check(L);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_settop(L, 2);
  byn_slot_free(L, &c->world->slots, c->on_mail);
  c->on_mail = byn_slot_put(L, &c->world->slots);
  if (!c->touched)
    c->touched = byn_control_reserve(L, c, NULL, 0, &c->touched_capacity,
                                     sizeof *c->touched);
  c->traced = true;
  return 0;
}

static void push_actor(lua_State *L, uint64_t actor) {
  lua_pushinteger(L, (lua_Integer)actor);
}

/* last() -> kind, op, actor, pid | nil, object, touched */
static int l_last(lua_State *L) {
  static const char *const kinds[] = {"process", "timer", "network", "clock"};
  static const char *const ops[] = {[BYN_OP_RUN] = "run",
                                    [BYN_OP_HANDLE] = "handle",
                                    [BYN_OP_RECEIVE] = "receive",
                                    [BYN_OP_WAKE] = "wake",
                                    [BYN_OP_ANSWER] = "answer",
                                    [BYN_OP_AWAITED] = "awaited",
                                    [BYN_OP_TIMER] = "timer",
                                    [BYN_OP_SEND] = "send",
                                    [BYN_OP_CAST] = "cast",
                                    [BYN_OP_CALL] = "call",
                                    [BYN_OP_REPLY] = "reply",
                                    [BYN_OP_DONE] = "done",
                                    [BYN_OP_SEND_AFTER] = "send_after",
                                    [BYN_OP_CANCEL] = "cancel_timer",
                                    [BYN_OP_LINK] = "link",
                                    [BYN_OP_UNLINK] = "unlink",
                                    [BYN_OP_MONITOR] = "monitor",
                                    [BYN_OP_DEMONITOR] = "demonitor",
                                    [BYN_OP_EXIT] = "exit",
                                    [BYN_OP_REGISTER] = "register",
                                    [BYN_OP_UNREGISTER] = "unregister",
                                    [BYN_OP_WHEREIS] = "whereis",
                                    [BYN_OP_SPAWN] = "spawn"};
  byn_control *c = byn_control_check(L);
  byn_assert(c->last.kind < sizeof kinds / sizeof *kinds);
  byn_assert(c->op < sizeof ops / sizeof *ops);
  byn_assert(c->touched_count <= c->touched_capacity);
  lua_pushstring(L, kinds[c->last.kind]);
  lua_pushstring(L, ops[c->op]);
  push_actor(L, c->last.actor);
  push_actor(L, c->last.object);
  lua_createtable(L, (int)c->touched_count, 0);
  for (uint32_t i = 0; i < c->touched_count; i++) {
    push_actor(L, c->touched[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 5;
}

/* The child whose start p waits for, or NULL: the one that it has spawned since
 * it made the ref of its wait. */
static const byn_process *child_being_started(const byn_process *p) {
  const byn_node *node = p->node;
  for (uint32_t i = 0; i < node->table_size; i++) {
    const byn_process *other = node->table[i];
    if (other && other->parent == p->id.serial && other->id.serial > p->reply)
      return other;
  }
  return NULL;
}

/* Pushes whom p waits for: a pid; the name of a node, where a name on that node
 * was called; or nil. */
static void push_waited_for(lua_State *L, const byn_process *p) {
  bool waits = p->co && p->wait == BYN_WAIT_REPLY;
  const byn_id *called = NULL;
  if (waits && p->call) called = byn_end_id(p->call, &p->call->b);
  const byn_process *starts = waits && !called ? child_being_started(p) : NULL;
  if (called && called->serial)
    byn_id_push(L, called);
  else if (called)
    lua_pushstring(L, called->origin->name);
  else if (starts)
    byn_process_push(L, starts);
  else
    lua_pushnil(L);
}

static const char *wait_in_words(const byn_process *p) {
  if (p->state != BYN_IDLE) return "its turn";
  if (!p->co) return p->held ? "a child" : "mail";
  switch (p->wait) {
  case BYN_WAIT_SLEEP:
    return "the end of a sleep";
  case BYN_WAIT_REPLY:
    return "an answer";
  case BYN_WAIT_AWAIT:
    return "the done of an await";
  default:
    return "a message";
  }
}

static void push_process(lua_State *L, const byn_process *p) {
  int top = lua_gettop(L);
  lua_createtable(L, 0, 7);
  push_actor(L, byn_actor_of(&p->id));
  lua_setfield(L, -2, "actor");
  byn_process_push(L, p);
  lua_setfield(L, -2, "pid");
  byn_slot_push(L, p->name);
  lua_setfield(L, -2, "name");
  byn_slot_push(L, p->label);
  lua_setfield(L, -2, "label");
  byn_label_push(L, p);
  lua_setfield(L, -2, "described");
  lua_pushstring(L, p->behaviour->name);
  lua_setfield(L, -2, "behaviour");
  lua_pushstring(L, wait_in_words(p));
  lua_setfield(L, -2, "waits");
  push_waited_for(L, p);
  lua_setfield(L, -2, "on");
  byn_assert(lua_gettop(L) == top + 1);
}

/* processes(number) -> list */
static int l_processes(lua_State *L) {
  const byn_node *node = byn_control_check_node(L, byn_control_check(L))->node;
  lua_newtable(L);
  lua_Integer n = 0;
  for (uint32_t i = 0; i < node->table_size; i++) {
    const byn_process *p = node->table[i];
    if (!p || p->state >= BYN_EXITING) continue;
    push_process(L, p);
    lua_rawseti(L, -2, ++n);
  }
  return 1;
}

/* actor(pid or name) -> its number */
static int l_actor(lua_State *L) {
  push_actor(L, byn_control_object_at(L, 2));
  return 1;
}

void byn_control_view_functions(lua_State *L) {
  static const luaL_Reg methods[] = {{"trace", l_trace},
                                     {"last", l_last},
                                     {"actor", l_actor},
                                     {"processes", l_processes},
                                     {NULL, NULL}};
  byn_set_functions(L, methods);
}
