/* Statuses: what a server shows of itself. */
#include "status.h"

void byn_status_push_state(lua_State *L, int index) {
  index = lua_absindex(L, index);
  luaL_checkstack(L, 5, NULL);
  lua_newtable(L);
  int bare = lua_gettop(L);
  lua_pushnil(L);
  while (lua_next(L, index)) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, bare);
  }
}

/* Replaces the reason on top, {"error", message, traceback}, by what stands in
 * place of the state. */
static void replace_error(lua_State *L) {
  if (lua_istable(L, -1)) {
    lua_rawgeti(L, -1, 2);
    lua_replace(L, -2);
  }
  luaL_tolstring(L, -1, NULL);
  lua_pushliteral(L, "(format_status failed: ");
  lua_insert(L, -2);
  lua_pushliteral(L, ")");
  lua_concat(L, 3);
  lua_replace(L, -2);
}

/* Replaces what format_status returned by what stands in place of the state,
 * or by nil if it returned nothing. */
static void replace_wrong_result(lua_State *L) {
  if (lua_isnil(L, -1)) return;
  lua_pushfstring(L, "(format_status returned a %s)", luaL_typename(L, -1));
  lua_replace(L, -2);
}

void byn_status_formatted(lua_State *L, int index, int status, int count) {
  luaL_checkstack(L, 6, NULL);
  if (!count) lua_pushnil(L);
  if (count > 1) lua_pop(L, count - 1);
  if (status == LUA_OK && lua_istable(L, -1)) return;
  if (status == LUA_OK)
    replace_wrong_result(L);
  else
    replace_error(L);
  lua_pushvalue(L, index);
  lua_insert(L, -2);
  if (lua_isnil(L, -1))
    lua_pop(L, 1);
  else
    lua_setfield(L, -2, "state");
}

void byn_status_tell(lua_State *L, int index) {
  static const char *const fields[] = {"state", "message", "reason"};
  for (int i = 0; i < 3; i++) {
    if (lua_getfield(L, index, fields[i]) == LUA_TNIL)
      lua_pop(L, 1);
    else
      lua_setfield(L, -2, fields[i]);
  }
}
