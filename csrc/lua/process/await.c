/* Await: a process waits until somebody calls a function. */
#include "await.h"

#include "../../core/assert.h"
#include "../value/compat.h"
#include "../value/misuse.h"
#include "lookup.h"
#include "wait.h"

/* Upvalues of a `done`; the first is the world. */
enum { WORLD = 1, WAITER, SERIAL, STATE };
/* Its state is nil before the wait, true during it, and false once it has been
 * called; or, where that was before the wait, a table of what it was given,
 * with its length in n, or a light userdata: memory was too short for the
 * table. */

static void set_upvalue_state(lua_State *L, int done, int is_over) {
  lua_pushboolean(L, !is_over);
  lua_setupvalue(L, done, STATE);
}

/* --- done ----------------------------------------------------------------- */

/* The process that waits, or is about to; NULL if it has ended, or its node
 * has. */
static byn_process *find_waiter(lua_State *L) {
  const byn_id *id = byn_pid_at(L, lua_upvalueindex(WAITER));
  byn_assert(id && id->serial);
  byn_node *node = id->origin->node;
  return node ? byn_node_find(node, id) : NULL;
}

static bool waits_for_done(const byn_process *p, uint64_t serial) {
  return p->wait == BYN_WAIT_AWAIT && p->reply == serial && p->arguments < 0;
}

/* (...) -> a table of them */
static int pack_protected(lua_State *L) {
  int n = lua_gettop(L);
  luaL_checkstack(L, 4, NULL);
  lua_createtable(L, n, 1);
  lua_insert(L, 1);
  for (int i = n; i > 0; i--)
    lua_rawseti(L, 1, i);
  lua_pushinteger(L, n);
  lua_setfield(L, 1, "n");
  return 1;
}

/* Keeps the arguments until the wait begins. Raises nothing: who calls done may
 * be the host's loop, which bears no error. */
static void keep_arguments(lua_State *L) {
  int n = lua_gettop(L);
  lua_pushcfunction(L, pack_protected);
  lua_insert(L, 1);
  if (lua_pcall(L, n, 1, 0) != LUA_OK) lua_pushlightuserdata(L, NULL);
  lua_replace(L, lua_upvalueindex(STATE));
}

/* done(...): ends the wait, which answers these values. What may fail comes
 * first: done has been called, or not. */
static int l_done(lua_State *L) {
  BYN_POINT(L, byn_world_here(L)->running, l_done, BYN_OP_DONE,
            lua_upvalueindex(WAITER));
  int state = lua_type(L, lua_upvalueindex(STATE));
  bool waits =
      state == LUA_TBOOLEAN && lua_toboolean(L, lua_upvalueindex(STATE));
  if (state != LUA_TNIL && !waits) return 0;
  byn_process *p = find_waiter(L);
  uint64_t serial = (uint64_t)lua_tointeger(L, lua_upvalueindex(SERIAL));
  if (p && !waits) {
    keep_arguments(L);
    return 0;
  }
  if (p && waits_for_done(p, serial)) byn_process_answer(L, p, lua_gettop(L));
  lua_pushboolean(L, 0);
  lua_replace(L, lua_upvalueindex(STATE));
  return 0;
}

/* --- the wait ------------------------------------------------------------- */

static void check_done(lua_State *L, const byn_process *p) {
  byn_argument(L, lua_tocfunction(L, 1) == l_done, 1, "no done of an await");
  lua_getupvalue(L, 1, WAITER);
  const byn_id *waiter = byn_pid_at(L, -1);
  byn_argument(L, waiter && byn_id_equal(waiter, &p->id), 1,
               "is the done of another process");
  lua_pop(L, 1);
}

static int l_await_begin(lua_State *L) {
  byn_process *p = byn_process_here(L, "await");
  byn_process_check_wait(L, p);
  lua_settop(L, 1);
  if (lua_isnil(L, 1)) {
    lua_pushlightuserdata(L, p->node->world);
    byn_process_push(L, p);
    lua_pushnil(L);
    lua_pushnil(L);
    lua_pushcclosure(L, l_done, STATE);
    lua_replace(L, 1);
  }
  check_done(L, p);
  byn_id serial;
  byn_node_ref(p->node, &serial);
  lua_pushinteger(L, (lua_Integer)serial.serial);
  lua_setupvalue(L, 1, SERIAL);
  lua_pushnil(L);
  lua_setupvalue(L, 1, STATE);
  return 1;
}

/* Replaces the table on top by the values in it. */
static int unpack_arguments(lua_State *L) {
  lua_getfield(L, -1, "n");
  int n = (int)lua_tointeger(L, -1);
  lua_pop(L, 1);
  luaL_checkstack(L, n, "too many results");
  int from = lua_gettop(L);
  for (int i = 1; i <= n; i++)
    lua_rawgeti(L, from, i);
  return n;
}

static int l_await_wait(lua_State *L) {
  byn_process *p = byn_process_here(L, "await");
  int64_t ms = byn_check_timeout(L, 2, -1);
  check_done(L, p);
  lua_settop(L, 1);
  lua_getupvalue(L, 1, SERIAL);
  uint64_t serial = (uint64_t)lua_tointeger(L, -1);
  lua_getupvalue(L, 1, STATE);
  byn_assert(!lua_isboolean(L, -1));
  if (lua_islightuserdata(L, -1)) {
    set_upvalue_state(L, 1, true);
    return luaL_error(L, "not enough memory");
  }
  if (lua_istable(L, -1)) {
    set_upvalue_state(L, 1, true);
    return unpack_arguments(L);
  }
  set_upvalue_state(L, 1, false);
  return byn_process_wait_done(L, p, serial, ms);
}

void byn_await_functions(lua_State *L) {
  static const luaL_Reg functions[] = {{"await_begin", l_await_begin},
                                       {"await_wait", l_await_wait},
                                       {NULL, NULL}};
  byn_set_functions(L, functions);
}
