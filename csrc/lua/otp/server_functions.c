/* The functions that a server's module has, for a person to read, and what of
 * it should be one and is none. */
#include "server_functions.h"

#include <string.h>

#include "../../core/assert.h"
#include "../process/process.h"
#include "../value/slots.h"
#include "server.h"

#define MOST_NAMES 20 /* of a module's functions in one text */

static bool can_be_called(lua_State *L, int index) {
  if (lua_isfunction(L, index)) return true;
  if (!luaL_getmetafield(L, index, "__call")) return false;
  lua_pop(L, 1);
  return true;
}

const char *byn_server_bad_callback(lua_State *L, int module) {
  static const char *const callbacks[] = {
      "init",        "handle_call",     "handle_cast",
      "handle_info", "handle_continue", "terminate",
      "resume",      "handoff",         "format_status"};
  module = lua_absindex(L, module);
  for (size_t i = 0; i < sizeof callbacks / sizeof *callbacks; i++) {
    lua_pushstring(L, callbacks[i]);
    if (lua_rawget(L, module) != LUA_TNIL && !can_be_called(L, -1))
      return callbacks[i];
    lua_pop(L, 1);
  }
  return NULL;
}

/* Pushes the first name of a function of the table on top that comes after
 * `last` (NULL: the first of all); false, and nothing, where there is none.
 * The order is that of the bytes: that of a table differs from run to run. */
static bool push_name_after(lua_State *L, const char *last) {
  const char *best = NULL;
  int module = lua_gettop(L);
  lua_pushnil(L);
  while (lua_next(L, module)) {
    bool is_function = lua_isfunction(L, -1) && lua_type(L, -2) == LUA_TSTRING;
    const char *name = is_function ? lua_tostring(L, -2) : NULL;
    if (name && (!last || strcmp(name, last) > 0) &&
        (!best || strcmp(name, best) < 0))
      best = name;
    lua_pop(L, 1);
  }
  if (best) lua_pushstring(L, best);
  return best != NULL;
}

void byn_server_push_functions(lua_State *L, byn_process *p) {
  byn_server *s = p->self;
  luaL_checkstack(L, 10, NULL);
  int top = lua_gettop(L);
  byn_slot_push(L, s->state);
  if (!lua_getmetatable(L, -1) ||
      lua_getfield(L, -1, "__index") != LUA_TTABLE) {
    lua_settop(L, top);
    lua_pushliteral(L, "the module is unknown");
    return;
  }
  lua_replace(L, top + 1);
  lua_settop(L, top + 1);
  lua_pushliteral(L, "the module has");
  const char *last = NULL;
  for (int n = 0; n < MOST_NAMES; n++) {
    lua_pushvalue(L, top + 1);
    bool found = push_name_after(L, last);
    lua_remove(L, found ? -2 : -1);
    if (!found) break;
    last = lua_tostring(L, -1); /* its table keeps it */
    lua_pushstring(L, n ? ", " : " ");
    lua_insert(L, -2);
    lua_concat(L, 3);
  }
  if (!last) {
    lua_pushliteral(L, " no function");
    lua_concat(L, 2);
  }
  lua_remove(L, top + 1);
  byn_assert(lua_gettop(L) == top + 1);
}
