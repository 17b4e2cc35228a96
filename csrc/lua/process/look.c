/* What processes there are, and what is known of one. */
#include "look.h"

#include "../../core/assert.h"
#include "../value/compat.h"
#include "../value/misuse.h"
#include "dest.h"
#include "label.h"
#include "lookup.h"
#include "relation.h"
#include "wait.h"

#define WALK "banyan.relations"

enum { ALL = INT32_MAX }; /* more than there can be */

/* --- one process ---------------------------------------------------------- */

/* The process whose pid is argument 1. Outside of processes, that is one of the
 * node that made the pid. */
static byn_process *local_process(lua_State *L, const char *what) {
  const byn_id *id = byn_pid_at(L, 1);
  byn_expect(L, id, 1, "pid");
  byn_node *node = id->origin->node;
  if (!node || byn_world_here(L)->running) node = byn_node_here(L);
  if (id->origin != node->origin)
    byn_misuse(L, "%s: %s is a process of another node", what,
               luaL_tolstring(L, 1, NULL));
  if (node->points) node->points->touch_at(L, node, 1);
  return byn_node_find(node, id);
}

static int l_is_alive(lua_State *L) {
  lua_pushboolean(L, local_process(L, "is_alive") != NULL);
  return 1;
}

static void set_slot(lua_State *L, int slot, const char *field) {
  byn_slot_push(L, slot);
  lua_setfield(L, -2, field);
}

/* Messages not yet taken. One that was handed over stands on the coroutine,
 * which goes on with it at its next turn. */
static uint32_t queue_length(const byn_process *p) {
  bool handed = p->state == BYN_READY && p->co && p->wait == BYN_WAIT_NOTHING &&
                lua_status(p->co) == LUA_YIELD;
  return p->mail.count + (handed ? 1 : 0);
}

static const char *status_name(const byn_process *p) {
  static const char *const names[] = {"waiting", "runnable", "running",
                                      "exiting", "exiting"};
  return names[p->state];
}

/* What the code of p waits for; NULL if it does not wait. */
static const char *wait_name(const byn_process *p) {
  static const char *const names[] = {[BYN_WAIT_MESSAGE] = "message",
                                      [BYN_WAIT_MAIL] = "message",
                                      [BYN_WAIT_SLEEP] = "sleep",
                                      [BYN_WAIT_REPLY] = "reply",
                                      [BYN_WAIT_AWAIT] = "await"};
  return p->state == BYN_IDLE && p->co ? names[p->wait] : NULL;
}

/* queue_length(pid) -> messages that wait | nil */
static int l_queue_length(lua_State *L) {
  const byn_process *p = local_process(L, "queue_length");
  if (p)
    lua_pushinteger(L, queue_length(p));
  else
    lua_pushnil(L);
  return 1;
}

/* It waits for messages, and there are none. */
static bool is_at_rest(const byn_process *p) {
  if (p->state != BYN_IDLE || p->mail.count > 0) return false;
  return !p->co || p->wait == BYN_WAIT_MESSAGE || p->wait == BYN_WAIT_MAIL;
}

/* at_rest(pid) -> how many messages it has had, modulo 2^32, if it does nothing
 * but wait for the next; else nil */
static int l_at_rest(lua_State *L) {
  const byn_process *p = local_process(L, "at_rest");
  if (p && is_at_rest(p))
    lua_pushnumber(L, p->mail.taken);
  else
    lua_pushnil(L);
  return 1;
}

static void set_facts(lua_State *L, const byn_process *p) {
  lua_pushstring(L, status_name(p));
  lua_setfield(L, -2, "status");
  lua_pushstring(L, wait_name(p));
  lua_setfield(L, -2, "waits_for");
  lua_pushinteger(L, queue_length(p));
  lua_setfield(L, -2, "message_queue_len");
  lua_pushboolean(L, p->traps);
  lua_setfield(L, -2, "trap_exit");
  lua_pushboolean(L, p->co != NULL);
  lua_setfield(L, -2, "coroutine");
  lua_pushstring(L, p->behaviour->name);
  lua_setfield(L, -2, "behaviour");
  byn_process_push(L, p);
  lua_setfield(L, -2, "pid");
  set_slot(L, p->name, "registered_name");
  byn_label_push(L, p);
  lua_setfield(L, -2, "label");
  if (!p->parent) return;
  byn_id parent = byn_parent_of(p);
  byn_id_push(L, &parent);
  lua_setfield(L, -2, "parent");
}

/* --- its relations -------------------------------------------------------- */

/* The list of process_info that a relation belongs in, or NULL. */
static const char *list_name(const byn_relation *r, bool at_a) {
  if (r->kind == BYN_LINK) return byn_tie_is_linked(&r->tie) ? "links" : NULL;
  if (r->kind != BYN_MONITOR) return NULL;
  return at_a ? "monitors" : "monitored_by";
}

/* Appends a far end to the list of that name in the table at `info`. */
static void add_far_end(lua_State *L, int info, const char *name,
                        const byn_id *far) {
  lua_getfield(L, info, name);
  byn_id_push(L, far);
  lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
  lua_pop(L, 1);
}

/* Looks at `most` relations at most, which go into the lists of the table at
 * `info`. The walk is moved on before anything is made: that may collect
 * garbage, and a finalizer end relations. */
static void walk_relations(lua_State *L, byn_relation_walk *walk, int info,
                           lua_Integer most) {
  luaL_checkstack(L, 6, NULL);
  for (; walk->at && most > 0; most--) {
    const byn_relation *r = walk->at;
    bool at_a = r->a.list == walk->list;
    byn_id far = *byn_far_id(r, walk->list);
    const char *name = far.serial ? list_name(r, at_a) : NULL;
    walk->at = byn_relation_after(r, walk->list);
    if (name) add_far_end(L, info, name, &far);
  }
}

/* Pushes a walk that has not begun. */
static byn_relation_walk *push_walk(lua_State *L) {
  byn_relation_walk *walk = lua_newuserdatauv(L, sizeof *walk, 0);
  *walk = (byn_relation_walk){0};
  luaL_setmetatable(L, WALK);
  return walk;
}

static int l_walk_gc(lua_State *L) {
  byn_relation_walk_end(luaL_checkudata(L, 1, WALK));
  return 0;
}

static const char *const list_names[] = {"links", "monitors", "monitored_by"};

/* process_info(pid [, most]) -> table | nil; with `most` only the first
 * relations are in it, and if there are more, a walk for add_relations comes
 * with it */
static int l_process_info(lua_State *L) {
  lua_Integer most = luaL_optinteger(L, 2, ALL);
  byn_process *p = local_process(L, "process_info");
  lua_settop(L, 1);
  if (p) {
    lua_newtable(L);
    for (int i = 0; i < 3; i++) {
      lua_newtable(L);
      lua_setfield(L, 2, list_names[i]);
    }
    byn_relation_walk *walk = push_walk(L);
    p = local_process(L, "process_info"); /* a finalizer may have ended it */
    if (p) byn_relation_walk_begin(walk, p->node, &p->relations);
  }
  if (!p) {
    lua_pushnil(L);
    return 1;
  }
  byn_relation_walk *walk = lua_touserdata(L, 3);
  lua_pushvalue(L, 2);
  set_facts(L, p);
  lua_pop(L, 1);
  walk_relations(L, walk, 2, most);
  if (walk->at) return 2;
  byn_relation_walk_end(walk);
  lua_settop(L, 2);
  return 1;
}

/* add_relations(walk, info, most) -> are there more? */
static int l_add_relations(lua_State *L) {
  byn_relation_walk *walk = luaL_checkudata(L, 1, WALK);
  luaL_checktype(L, 2, LUA_TTABLE);
  walk_relations(L, walk, 2, luaL_checkinteger(L, 3));
  lua_pushboolean(L, walk->at != NULL);
  if (!walk->at) byn_relation_walk_end(walk);
  return 1;
}

/* --- all processes -------------------------------------------------------- */

/* Arguments [list, from, most]: appends to the list at 1 what `push` pushes of
 * live processes, from place `from` of the node's table on, `most` places at
 * most. A process keeps its place. Answers the list, and where it goes on if
 * there are more places. The order is the same in each run of the same program:
 * that of Lua's tables is not. */
static int list_processes(lua_State *L,
                          bool (*push)(lua_State *L, const byn_process *p)) {
  byn_node *node = byn_node_here(L);
  lua_Integer from = luaL_optinteger(L, 2, 0);
  lua_Integer most = luaL_optinteger(L, 3, ALL);
  lua_settop(L, 1);
  if (lua_isnil(L, 1)) {
    lua_newtable(L);
    lua_replace(L, 1);
  }
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_Integer i = from < 0 ? 0 : from, n = (lua_Integer)lua_rawlen(L, 1);
  for (; i < (lua_Integer)node->table_size && most > 0; i++, most--) {
    const byn_process *p = node->table[i];
    if (!p || p->state >= BYN_EXITING || !push(L, p)) continue;
    lua_rawseti(L, 1, ++n);
  }
  if (i >= (lua_Integer)node->table_size) return 1;
  lua_pushinteger(L, i);
  return 2;
}

static bool push_pid(lua_State *L, const byn_process *p) {
  byn_process_push(L, p);
  return true;
}

static bool push_name(lua_State *L, const byn_process *p) {
  if (p->name) byn_slot_push(L, p->name);
  return p->name != 0;
}

/* processes([list, from, most]) -> list of pids, next */
static int l_processes(lua_State *L) {
  return list_processes(L, push_pid);
}

/* registered([list, from, most]) -> list of names, next */
static int l_registered(lua_State *L) {
  byn_node *node = byn_node_here(L);
  if (node->points) node->points->touch_names(node);
  return list_processes(L, push_name);
}

/* --- giving way ----------------------------------------------------------- */

/* give_way(): the other processes have their turns, where the code that calls
 * can be left: neither outside of processes, nor in a coroutine that a process
 * has made, nor below a C function. */
static int l_give_way(lua_State *L) {
  const byn_process *p = byn_world_here(L)->running;
  if (!p || p->co != L || !lua_isyieldable(L)) return 0;
  lua_settop(L, 0);
  return lua_yield(L, 0);
}

/* table(items, fields) -> an empty table with room for so many: one that grows
 * to very many moves all that it has each time it is full. */
static int l_table(lua_State *L) {
  lua_Integer items = luaL_checkinteger(L, 1), fields = luaL_checkinteger(L, 2);
  bool fine = items >= 0 && items <= ALL && fields >= 0 && fields <= ALL;
  luaL_argcheck(L, fine, 1, "out of range");
  lua_createtable(L, (int)items, (int)fields);
  return 1;
}

void byn_look_functions(lua_State *L) {
  static const luaL_Reg functions[] = {{"is_alive", l_is_alive},
                                       {"queue_length", l_queue_length},
                                       {"at_rest", l_at_rest},
                                       {"process_info", l_process_info},
                                       {"add_relations", l_add_relations},
                                       {"processes", l_processes},
                                       {"registered", l_registered},
                                       {"give_way", l_give_way},
                                       {"table", l_table},
                                       {NULL, NULL}};
  byn_set_functions(L, functions);
  if (luaL_newmetatable(L, WALK)) {
    lua_pushcfunction(L, l_walk_gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_pop(L, 1);
}
