/* Directives: what a handler answers besides plain replies. */
#include "directive.h"

#include <stdbool.h>

#include "../value/compat.h"

static const char META = 0; /* its address is a registry key */

typedef struct directive {
  byn_directive_kind kind;
  int count;
} directive;

static int l_tostring(lua_State *L) {
  static const char *const names[] = {
      [BYN_NOREPLY] = "server.noreply",
      [BYN_IGNORE] = "server.ignore",
      [BYN_STOP] = "server.stop_with(...)",
      [BYN_CONTINUE] = "server.continue(...)",
  };
  byn_directive_kind kind = byn_directive_at(L, 1);
  lua_pushstring(L, kind ? names[kind] : "directive");
  return 1;
}

void byn_directive_open(lua_State *L) {
  lua_createtable(L, 0, 2);
  lua_pushliteral(L, "directive");
  lua_setfield(L, -2, "__name");
  lua_pushcfunction(L, l_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &META);
}

void byn_directive_make(lua_State *L, byn_directive_kind kind, int count) {
  int first = lua_gettop(L) - count + 1;
  directive *d = lua_newuserdatauv(L, sizeof *d, 1);
  *d = (directive){kind, count};
  lua_rawgetp(L, LUA_REGISTRYINDEX, &META);
  lua_setmetatable(L, -2);
  lua_insert(L, first);
  if (!count) return;
  lua_createtable(L, count, 0);
  lua_insert(L, first + 1);
  for (int i = count; i > 0; i--)
    lua_rawseti(L, first + 1, i);
  lua_setiuservalue(L, first, 1);
}

byn_directive_kind byn_directive_at(lua_State *L, int index) {
  if (lua_type(L, index) != LUA_TUSERDATA) return BYN_NO_DIRECTIVE;
  const directive *d = lua_touserdata(L, index);
  if (!lua_getmetatable(L, index)) return BYN_NO_DIRECTIVE;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &META);
  bool ours = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return ours ? d->kind : BYN_NO_DIRECTIVE;
}

void byn_directive_value(lua_State *L, int index) {
  if (lua_getiuservalue(L, index, 1) != LUA_TTABLE) return;
  lua_rawgeti(L, -1, 1);
  lua_replace(L, -2);
}

int byn_directive_reply_count(lua_State *L, int index) {
  const directive *d = lua_touserdata(L, index);
  return d->count > 1 ? d->count - 1 : 0;
}

void byn_directive_replies(lua_State *L, int index) {
  int count = byn_directive_reply_count(L, index);
  if (!count) return;
  luaL_checkstack(L, count + 2, "too many replies");
  lua_getiuservalue(L, index, 1);
  int values = lua_gettop(L);
  for (int i = 1; i <= count; i++)
    lua_rawgeti(L, values, i + 1);
  lua_remove(L, values);
}
