/* Errors about misuse, which point at the program. */
#include "misuse.h"

#include <stdarg.h>
#include <string.h>

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

/* Pushes the name that the program knows the function by that stands at `ar`:
 * the one in a module of the library, which is what is loaded as "banyan" or
 * "banyan.server"; false, and nothing, where no module has it. */
static bool push_public_name(lua_State *L, lua_Debug *ar) {
  int top = lua_gettop(L);
  luaL_checkstack(L, 8, NULL);
  lua_getinfo(L, "f", ar);
  lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
  lua_pushnil(L);
  while (lua_next(L, top + 2)) {
    const char *module =
        lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
    bool public =
        !strncmp(module, "banyan", 6) && strcmp(module, "banyan.core");
    if (public && (module[6] == 0 || module[6] == '.') && lua_istable(L, -1)) {
      lua_pushnil(L);
      while (lua_next(L, -2)) {
        if (lua_rawequal(L, -1, top + 1) && lua_type(L, -2) == LUA_TSTRING) {
          lua_pushfstring(L, "%s.%s", module, lua_tostring(L, -2));
          lua_replace(L, top + 1);
          lua_settop(L, top + 1);
          return true;
        }
        lua_pop(L, 1);
      }
    }
    lua_pop(L, 1);
  }
  lua_settop(L, top);
  return false;
}

/* The same for the function that raises or, if it is not public itself, the one
 * that called it with the arguments that it got. */
static bool push_called_name(lua_State *L, lua_Debug *ar) {
  lua_Debug caller;
  return push_public_name(L, ar) ||
         (lua_getstack(L, 1, &caller) && push_public_name(L, &caller));
}

int byn_argument_error(lua_State *L, int index, const char *message) {
  lua_Debug ar = {0};
  const char *name = "?";
  if (lua_getstack(L, 0, &ar)) {
    lua_getinfo(L, "n", &ar);
    if (ar.name) name = ar.name;
    if (push_called_name(L, &ar))
      name = lua_tostring(L, -1);
    else if (ar.namewhat && !strcmp(ar.namewhat, "method"))
      index--;
  }
  if (index == 0)
    return byn_misuse(L, "calling '%s' on bad self (%s)", name, message);
  return byn_misuse(L, "bad argument #%d to '%s' (%s)", index, name, message);
}

int byn_type_error(lua_State *L, int index, const char *expected) {
  const char *got = luaL_typename(L, index);
  if (luaL_getmetafield(L, index, "__name") == LUA_TSTRING)
    got = lua_tostring(L, -1); /* a pid is no "userdata" to a person */
  return byn_argument_error(
      L, index, lua_pushfstring(L, "%s expected, got %s", expected, got));
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

/* misuse(message): raises it at the program's line. Functions in C on the way
 * are the library's own: the program called one of those. */
static int l_misuse(lua_State *L) {
  lua_Debug ar;
  int level = 1;
  luaL_checkstring(L, 1);
  lua_settop(L, 1);
  luaL_checkstack(L, 6, NULL);
  while (lua_getstack(L, level, &ar) && lua_getinfo(L, "S", &ar) &&
         (!strcmp(ar.what, "C") || byn_in_library(L, ar.source)))
    level++;
  luaL_where(L, level);
  lua_insert(L, 1);
  lua_concat(L, 2);
  return lua_error(L);
}

void byn_misuse_functions(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"skip_in_errors", l_skip_in_errors}, {"misuse", l_misuse}, {NULL, NULL}};
  byn_set_functions(L, functions);
}
