/* The C API of Lua 5.4, made of that of LuaJIT. */
#include "compat.h"

#if LUA_VERSION_NUM < 504

#include <limits.h>
#include <math.h>

int byn_compat_absindex(lua_State *L, int index) {
  bool relative = index < 0 && index > LUA_REGISTRYINDEX;
  return relative ? lua_gettop(L) + 1 + index : index;
}

void byn_compat_rotate(lua_State *L, int index, int n) {
  index = lua_absindex(L, index);
  if (n >= 0) {
    while (n--)
      lua_insert(L, index);
    return;
  }
  while (n++) {
    lua_pushvalue(L, index);
    lua_remove(L, index);
  }
}

/* --- numbers -------------------------------------------------------------- */

int byn_compat_isinteger(lua_State *L, int index) {
  if (lua_type(L, index) != LUA_TNUMBER) return 0;
  lua_Number n = lua_tonumber(L, index);
  if (n == 0) return !signbit(n);
  return fabs(n) <= (lua_Number)BYN_EXACT && floor(n) == n;
}

/* Strings are converted, as everywhere in this API. */
lua_Integer byn_compat_tointegerx(lua_State *L, int index, int *exact) {
  lua_Number n = lua_tonumber(L, index);
  bool whole =
      lua_isnumber(L, index) && n >= -0x1p63 && n < 0x1p63 && floor(n) == n;
  if (exact) *exact = whole;
  return whole ? (lua_Integer)n : 0;
}

lua_Integer byn_compat_checkinteger(lua_State *L, int index) {
  int exact;
  lua_Integer n = lua_tointegerx(L, index, &exact);
  if (exact) return n;
  luaL_checknumber(L, index);
  return luaL_argerror(L, index, "number has no integer representation");
}

/* --- tables --------------------------------------------------------------- */

/* The API's own keys are of type int. */
static bool is_int(lua_Integer n) {
  return n >= INT_MIN && n <= INT_MAX;
}

int byn_compat_rawgeti(lua_State *L, int index, lua_Integer n) {
  if (is_int(n)) {
    (lua_rawgeti)(L, index, (int)n);
  } else {
    index = lua_absindex(L, index);
    lua_pushnumber(L, (lua_Number)n);
    lua_rawget(L, index);
  }
  return lua_type(L, -1);
}

void byn_compat_rawseti(lua_State *L, int index, lua_Integer n) {
  if (is_int(n)) {
    (lua_rawseti)(L, index, (int)n);
    return;
  }
  index = lua_absindex(L, index);
  lua_pushnumber(L, (lua_Number)n);
  lua_insert(L, -2);
  lua_rawset(L, index);
}

/* A light userdata is the address and nothing else. */
static void push_address(lua_State *L, const void *key) {
  union {
    const void *in;
    void *out;
  } address = {key};
  lua_pushlightuserdata(L, address.out);
}

int byn_compat_rawgetp(lua_State *L, int index, const void *key) {
  index = lua_absindex(L, index);
  push_address(L, key);
  return lua_rawget(L, index);
}

void byn_compat_rawsetp(lua_State *L, int index, const void *key) {
  index = lua_absindex(L, index);
  push_address(L, key);
  lua_insert(L, -2);
  lua_rawset(L, index);
}

/* --- functions ------------------------------------------------------------ */

/* Each is made once and kept in the registry, by its address: Lua 5.4 takes no
 * memory for it at all. */
void byn_compat_pushcfunction(lua_State *L, lua_CFunction fn) {
  union {
    lua_CFunction in;
    void *out;
  } address = {fn};
  lua_pushlightuserdata(L, address.out);
  if (lua_rawget(L, LUA_REGISTRYINDEX) == LUA_TFUNCTION) return;
  lua_pop(L, 1);
  lua_pushcclosure(L, fn, 0);
  lua_pushlightuserdata(L, address.out);
  lua_pushvalue(L, -2);
  lua_rawset(L, LUA_REGISTRYINDEX);
}

/* --- userdata ------------------------------------------------------------- */

/* The one user value, a table, is the environment; the registry stands for
 * nil. */
void *byn_compat_newuserdatauv(lua_State *L, size_t size, int values) {
  void *made = lua_newuserdata(L, size);
  if (!values) return made;
  lua_pushvalue(L, LUA_REGISTRYINDEX);
  lua_setfenv(L, -2);
  return made;
}

int byn_compat_getiuservalue(lua_State *L, int index, int n) {
  (void)n;
  lua_getfenv(L, index);
  if (lua_rawequal(L, -1, LUA_REGISTRYINDEX)) {
    lua_pop(L, 1);
    lua_pushnil(L);
  }
  return lua_type(L, -1);
}

int byn_compat_setiuservalue(lua_State *L, int index, int n) {
  (void)n;
  return lua_setfenv(L, index);
}

/* --- the auxiliary library ------------------------------------------------ */

/* The name of a value's type, as its metatable has it; may push it. */
static const char *type_name(lua_State *L, int index) {
  if (luaL_getmetafield(L, index, "__name") && lua_type(L, -1) == LUA_TSTRING)
    return lua_tostring(L, -1);
  return luaL_typename(L, index);
}

static void push_described(lua_State *L, int index) {
  switch (lua_type(L, index)) {
  case LUA_TNUMBER:
  case LUA_TSTRING:
    lua_pushvalue(L, index);
    break;
  case LUA_TBOOLEAN:
    lua_pushstring(L, lua_toboolean(L, index) ? "true" : "false");
    break;
  case LUA_TNIL:
    lua_pushliteral(L, "nil");
    break;
  default: {
    int top = lua_gettop(L);
    lua_pushfstring(L, "%s: %p", type_name(L, index), lua_topointer(L, index));
    lua_insert(L, top + 1);
    lua_settop(L, top + 1);
  }
  }
}

const char *byn_compat_tolstring(lua_State *L, int index, size_t *n) {
  index = lua_absindex(L, index);
  if (!luaL_callmeta(L, index, "__tostring"))
    push_described(L, index);
  else if (!lua_isstring(L, -1))
    luaL_error(L, "'__tostring' must return a string");
  return lua_tolstring(L, -1, n);
}

int byn_compat_typeerror(lua_State *L, int index, const char *expected) {
  const char *got = lua_type(L, index) == LUA_TLIGHTUSERDATA
                        ? "light userdata"
                        : type_name(L, index);
  return luaL_argerror(
      L, index, lua_pushfstring(L, "%s expected, got %s", expected, got));
}

void byn_compat_requiref(lua_State *L, const char *name, lua_CFunction open,
                         int global) {
  lua_pushcfunction(L, open);
  lua_pushstring(L, name);
  lua_call(L, 1, 1);
  lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
  lua_pushvalue(L, -2);
  lua_setfield(L, -2, name);
  lua_pop(L, 1);
  if (!global) return;
  lua_pushvalue(L, -1);
  lua_setglobal(L, name);
}

#endif
