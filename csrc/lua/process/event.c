/* Events of a node, kept until its driver fetches them. */
#include "event.h"

#include "../../core/assert.h"
#include "../value/compat.h"
#include "node.h"

bool byn_event(lua_State *L, byn_node *node, const char *event) {
  if (!node->events) return false;
  luaL_checkstack(L, 8, NULL);
  lua_createtable(L, 0, 6);
  lua_pushstring(L, event);
  lua_setfield(L, -2, "event");
  lua_pushstring(L, node->name);
  lua_setfield(L, -2, "node");
  lua_pushinteger(L, byn_node_now(L, node));
  lua_setfield(L, -2, "time");
  return true;
}

void byn_event_done(lua_State *L, byn_node *node) {
  byn_assert(node->events && lua_istable(L, -1));
  byn_slot_push(L, node->events);
  lua_insert(L, -2);
  lua_rawseti(L, -2, node->event_count + 1);
  node->event_count++;
  lua_pop(L, 1);
}
