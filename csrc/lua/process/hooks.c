/* The program's debug hook, in the coroutines of processes. */
#include "hooks.h"

#include "../../core/assert.h"
#include "../value/compat.h"
#include "node.h"
#include "process.h"

#if LUA_VERSION_NUM >= 504

/* Pushes a function of the debug library. */
static void push_debug(lua_State *L, const char *name) {
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_getfield(L, -1, "debug");
  lua_getfield(L, -1, name);
  lua_replace(L, -3);
  lua_pop(L, 1);
}

/* Makes {function, mask, count} of a hook that was set in Lua the one that is
 * followed. The library keeps that function by its coroutine. */
static void keep_function(lua_State *L, byn_world *w) {
  lua_createtable(L, 3, 0);
  push_debug(L, "gethook");
  lua_call(L, 0, 3);
  for (int i = 3; i > 0; i--)
    lua_rawseti(L, -1 - i, i);
  byn_slot_free(L, &w->slots, w->hook.values);
  w->hook.values = 0;
  w->hook.values = byn_slot_put(L, &w->slots);
}

/* Is the function that was set in Lua the same as before? */
static bool same_function(lua_State *L, const byn_world *w) {
  if (!w->hook.fn) return true;
  push_debug(L, "gethook");
  lua_call(L, 0, 1);
  byn_slot_push(L, w->hook.values);
  lua_rawgeti(L, -1, 1);
  bool same = lua_rawequal(L, -1, -3);
  lua_pop(L, 3);
  return same;
}

void byn_hooks_set(lua_State *L, byn_world *w, lua_State *co) {
  if (!w->hook.values) return;
  luaL_checkstack(L, 8, NULL);
  byn_slot_push(L, w->hook.values);
  int values = lua_gettop(L);
  if (lua_rawgeti(L, values, 1) == LUA_TSTRING) { /* "external hook" */
    lua_sethook(co, w->hook.fn, w->hook.mask, w->hook.count);
  } else {
    push_debug(L, "sethook");
    lua_pushthread(co);
    lua_xmove(co, L, 1);
    for (int i = 1; i <= 3; i++)
      lua_rawgeti(L, values, i);
    lua_call(L, 4, 0);
  }
  lua_settop(L, values - 1);
}

/* A coroutine with a hook of its own keeps that. */
static void change_hook(lua_State *L, byn_world *w, lua_State *co,
                        lua_Hook before) {
  if (lua_gethook(co) == before && lua_checkstack(co, 1))
    byn_hooks_set(L, w, co);
}

void byn_hooks_follow(lua_State *L, byn_world *w) {
  lua_Hook before = w->hook.fn, fn = lua_gethook(L);
  if (!before && !fn) return;
  luaL_checkstack(L, 8, NULL);
  int mask = lua_gethookmask(L), count = lua_gethookcount(L);
  if (fn == before && mask == w->hook.mask && count == w->hook.count &&
      same_function(L, w))
    return;
  w->hook.fn = fn;
  w->hook.mask = mask;
  w->hook.count = count;
  keep_function(L, w);
  for (int i = 0; i < w->coroutine_count; i++)
    change_hook(L, w, w->coroutines[i].co, before);
  for (byn_node *node = w->nodes; node; node = node->next) {
    for (uint32_t i = 0; i < node->table_size; i++) {
      const byn_process *p = node->table[i];
      if (p && p->co) change_hook(L, w, p->co, before);
    }
  }
}

#else

void byn_hooks_follow(lua_State *L, byn_world *w) {
  (void)L;
  (void)w;
}

void byn_hooks_set(lua_State *L, byn_world *w, lua_State *co) {
  (void)L;
  (void)w;
  (void)co;
}

#endif
