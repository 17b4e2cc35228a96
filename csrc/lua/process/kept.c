/* The table of what a node keeps for others. */
#include "kept.h"

#include "lookup.h"

void byn_kept_push(lua_State *L, byn_node *node) {
  luaL_checkstack(L, 4, NULL);
  if (!node->kept) {
    lua_newtable(L);
    node->kept = byn_slot_put(L, &node->world->slots);
  }
  byn_slot_push(L, node->kept);
}

void byn_kept_push_field(lua_State *L, byn_node *node, const char *name) {
  byn_kept_push(L, node);
  if (lua_getfield(L, -1, name) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, name);
  }
  lua_remove(L, -2);
}

void byn_kept_forget(lua_State *L, byn_node *node, const char *name) {
  byn_kept_push_field(L, node, name);
  lua_pushvalue(L, 2);
  lua_rawget(L, -2);
  if (lua_rawequal(L, 1, -1)) {
    lua_pushvalue(L, 2);
    lua_pushnil(L);
    lua_rawset(L, -4);
  }
  lua_pop(L, 2);
}

static int l_kept(lua_State *L) {
  byn_kept_push(L, byn_node_here(L));
  return 1;
}

void byn_kept_functions(lua_State *L) {
  lua_pushcfunction(L, l_kept);
  lua_setfield(L, -2, "kept");
}
