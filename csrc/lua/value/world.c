/* What all nodes of one Lua state share. */
#include "world.h"

#include "compat.h"
#include "reason.h"

static const char KEY = 0; /* its address is the world's registry key */

static int close_world(lua_State *L) {
  byn_world *w = lua_touserdata(L, 1);
  if (w->on_close) w->on_close(w);
  byn_pool_clear(&w->relations);
  byn_pool_clear(&w->far_relations);
  byn_pool_clear(&w->servers);
  byn_pool_clear(&w->children);
  byn_origins_close(L, w);
  byn_slots_close(L, &w->slots);
  return 0;
}

byn_world *byn_world_of(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY);
  byn_world *w = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return w;
}

void byn_push_function(lua_State *L, lua_CFunction fn) {
  lua_pushlightuserdata(L, byn_world_of(L));
  lua_pushcclosure(L, fn, 1);
}

void byn_set_functions(lua_State *L, const luaL_Reg *functions) {
  lua_pushlightuserdata(L, byn_world_of(L));
  luaL_setfuncs(L, functions, 1);
}

byn_world *byn_world_open(lua_State *L) {
  byn_world *w = byn_world_of(L);
  if (w) return w;
  w = lua_newuserdatauv(L, sizeof *w, 0);
  *w = (byn_world){.coroutine_count = 0};
  w->alloc.fn = lua_getallocf(L, &w->alloc.ud);
  byn_slots_open(&w->slots);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, close_world);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &KEY);
  byn_reason_open(L);
  byn_id_open(L);
  return w;
}
