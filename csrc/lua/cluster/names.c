/* Lists of node names that Lua gives. */
#include "names.h"

#define NAMES_MAX 10000

const char **byn_names_push(lua_State *L, int index, uint32_t *count) {
  *count = 0;
  if (lua_isnoneornil(L, index)) {
    lua_pushnil(L);
    return NULL;
  }
  luaL_checktype(L, index, LUA_TTABLE);
  size_t n = lua_rawlen(L, index);
  luaL_argcheck(L, n <= NAMES_MAX, index, "too many names");
  const char **names = lua_newuserdatauv(L, (n + 1) * sizeof *names, 0);
  for (size_t i = 0; i < n; i++) {
    lua_rawgeti(L, index, (lua_Integer)i + 1);
    if (lua_type(L, -1) != LUA_TSTRING)
      luaL_argerror(L, index, "a list of names expected");
    names[i] = lua_tostring(L, -1);
    lua_pop(L, 1);
  }
  *count = (uint32_t)n;
  return names;
}
