/* Errors about misuse, which point at the program. */
#include "misuse.h"

#include <stdarg.h>

#include "world.h"

static const char KEY = 0; /* of the set of sources, in the registry */

bool byn_in_library(lua_State *L, const char *source) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY) != LUA_TTABLE) {
    lua_pop(L, 1);
    return false;
  }
  bool known = lua_getfield(L, -1, source) == LUA_TBOOLEAN;
  lua_pop(L, 2);
  return known;
}

void byn_misuse_where(lua_State *L) {
  lua_Debug ar;
  int level = 1;
  luaL_checkstack(L, 4, NULL);
  while (lua_getstack(L, level, &ar) && lua_getinfo(L, "S", &ar) &&
         byn_in_library(L, ar.source))
    level++;
  luaL_where(L, level);
}

int byn_misuse(lua_State *L, const char *format, ...) {
  va_list args;
  byn_misuse_where(L);
  va_start(args, format);
  lua_pushvfstring(L, format, args);
  va_end(args);
  lua_concat(L, 2);
  return lua_error(L);
}

/* skip_in_errors(): the file that calls is one of the library */
static int l_skip_in_errors(lua_State *L) {
  lua_Debug ar;
  if (!lua_getstack(L, 1, &ar)) return 0;
  lua_getinfo(L, "S", &ar);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY) != LUA_TTABLE) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &KEY);
  }
  lua_pushboolean(L, 1);
  lua_setfield(L, -2, ar.source);
  return 0;
}

void byn_misuse_functions(lua_State *L) {
  static const luaL_Reg functions[] = {{"skip_in_errors", l_skip_in_errors},
                                       {NULL, NULL}};
  byn_set_functions(L, functions);
}
