/* The userdata by which Lua holds a node. */
#include "node_handle.h"

#include "control_points.h"

byn_node **byn_node_handle_check(lua_State *L, int index) {
  return luaL_checkudata(L, index, BYN_NODE_HANDLE);
}

byn_node *byn_node_check(lua_State *L, int index) {
  byn_node **at = byn_node_handle_check(L, index);
  if (!*at) luaL_error(L, "the node is closed");
  if ((*at)->points) (*at)->points->stir(*at);
  return *at;
}
