/* What a server is called that was given no name: by its module. */
#include "server_label.h"

#include <string.h>

#include "../../core/assert.h"
#include "../value/compat.h"
#include "../process/label.h"

/* Each of these pushes a string, or pushes nothing and answers false. */

static bool push_own_name(lua_State *L, int module) {
  static const char *const fields[] = {"name", "__name"};
  for (int i = 0; i < 2; i++) {
    lua_pushstring(L, fields[i]);
    if (lua_rawget(L, module) == LUA_TSTRING) return true;
    lua_pop(L, 1);
  }
  return false;
}

/* Of several names that of the first in byte order: the order of tables is not
 * the same in each run. */
static bool push_loaded_name(lua_State *L, int module) {
  lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
  if (!lua_istable(L, -1)) {
    lua_pop(L, 1);
    return false;
  }
  lua_pushnil(L); /* the name */
  lua_pushnil(L);
  while (lua_next(L, -3)) {
    bool found = lua_rawequal(L, -1, module) && lua_type(L, -2) == LUA_TSTRING;
    lua_pop(L, 1);
    const char *before = lua_tostring(L, -2);
    if (!found || (before && strcmp(before, lua_tostring(L, -1)) < 0)) continue;
    lua_pushvalue(L, -1);
    lua_replace(L, -3);
  }
  lua_remove(L, -2);
  if (!lua_isnil(L, -1)) return true;
  lua_pop(L, 1);
  return false;
}

static bool push_place(lua_State *L, int module) {
  static const char *const fields[] = {"init", "handle_call", "handle_cast",
                                       "handle_info"};
  for (int i = 0; i < 4; i++) {
    lua_pushstring(L, fields[i]);
    if (lua_rawget(L, module) == LUA_TFUNCTION) {
      byn_label_push_definition(L, -1);
      lua_remove(L, -2);
      if (!lua_isnil(L, -1)) return true;
    }
    lua_pop(L, 1);
  }
  return false;
}

void byn_server_push_label(lua_State *L, int module, int metatable) {
  int top = byn_stack_top(L);
  luaL_checkstack(L, 8, NULL);
  lua_pushliteral(L, "__name");
  if (lua_rawget(L, metatable) != LUA_TNIL) return;
  lua_pop(L, 1);
  bool found = push_own_name(L, module) || push_loaded_name(L, module) ||
               push_place(L, module);
  if (!found) {
    lua_pushnil(L);
    return;
  }
  lua_pushliteral(L, "__name");
  lua_pushvalue(L, -2);
  lua_rawset(L, metatable);
  byn_assert(byn_stack_top(L) == top + 1);
}
