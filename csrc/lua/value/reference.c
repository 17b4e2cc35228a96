/* References: values that stand for a table, and may be sent within a node. */
#include "reference.h"

#include "../../core/assert.h"
#include "world.h"

static int l_reference(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_newuserdatauv(L, 1, 1);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  lua_pushvalue(L, 2);
  lua_setmetatable(L, -2);
  return 1;
}

static int l_referent(lua_State *L) {
  luaL_checktype(L, 2, LUA_TTABLE);
  bool ours = lua_type(L, 1) == LUA_TUSERDATA && lua_getmetatable(L, 1);
  if (!ours || !lua_rawequal(L, -1, 2)) {
    lua_pushnil(L);
    return 1;
  }
  lua_getiuservalue(L, 1, 1);
  byn_assert(lua_istable(L, -1));
  return 1;
}

void byn_reference_functions(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"reference", l_reference}, {"referent", l_referent}, {NULL, NULL}};
  byn_set_functions(L, functions);
}
