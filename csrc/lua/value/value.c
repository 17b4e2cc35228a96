/* A Lua value that C holds: small ones in place, others in a slot. */
#include "value.h"

#include "../../core/assert.h"
#include "compat.h"

void byn_value_put(lua_State *L, byn_world *w, byn_value *v) {
  int type = lua_type(L, -1);
  v->type = (uint8_t)type;
  v->is_float = false;
  v->as.integer = 0;
  if (type == LUA_TNIL || type == LUA_TBOOLEAN) {
    v->as.integer = lua_toboolean(L, -1);
    lua_pop(L, 1);
  } else if (type == LUA_TNUMBER) {
    v->is_float = !lua_isinteger(L, -1);
    if (v->is_float)
      v->as.number = lua_tonumber(L, -1);
    else
      v->as.integer = lua_tointeger(L, -1);
    lua_pop(L, 1);
  } else {
    v->type = LUA_TTABLE; /* any value in a slot */
    v->as.slot = byn_slot_put(L, &w->slots);
  }
}

void byn_value_push(lua_State *L, const byn_value *v) {
  switch (v->type) {
  case LUA_TNIL:
    lua_pushnil(L);
    break;
  case LUA_TBOOLEAN:
    lua_pushboolean(L, v->as.integer != 0);
    break;
  case LUA_TNUMBER:
    if (v->is_float)
      lua_pushnumber(L, v->as.number);
    else
      lua_pushinteger(L, v->as.integer);
    break;
  default:
    byn_assert(v->type == LUA_TTABLE && v->as.slot);
    byn_slot_push(L, v->as.slot);
  }
}

void byn_value_free(lua_State *L, byn_world *w, byn_value *v) {
  if (v->type == LUA_TTABLE) byn_slot_free(L, &w->slots, v->as.slot);
  v->type = LUA_TNIL;
}

void byn_value_take(lua_State *L, byn_world *w, byn_value *v) {
  byn_value_push(L, v);
  byn_value_free(L, w, v);
}
