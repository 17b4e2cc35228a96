/* System requests: what a message asks for. */
#include "system.h"

#include "../value/reason.h"

static byn_system_op system_op_at(lua_State *L, int index) {
  if (byn_reason_is(L, index, "stop")) return BYN_SYSTEM_STOP;
  if (byn_reason_is(L, index, "get_state")) return BYN_SYSTEM_GET_STATE;
  if (byn_reason_is(L, index, "get_status")) return BYN_SYSTEM_GET_STATUS;
  if (byn_reason_is(L, index, "replace_state")) return BYN_SYSTEM_REPLACE_STATE;
  if (byn_reason_is(L, index, "handoff")) return BYN_SYSTEM_HANDOFF;
  if (byn_reason_is(L, index, "resolve_conflict")) return BYN_SYSTEM_RESOLVE;
  return BYN_SYSTEM_UNKNOWN;
}

byn_system_op byn_system_at(lua_State *L, int index) {
  if (lua_type(L, index) != LUA_TTABLE) return BYN_SYSTEM_NONE;
  index = lua_absindex(L, index);
  lua_rawgeti(L, index, 1);
  bool system = byn_reason_is(L, -1, "$system");
  lua_pop(L, 1);
  if (!system) return BYN_SYSTEM_NONE;
  lua_rawgeti(L, index, 2);
  byn_system_op op = system_op_at(L, -1);
  lua_pop(L, 1);
  return op;
}

void byn_system_argument(lua_State *L, int index) {
  lua_rawgeti(L, index, 3);
}
