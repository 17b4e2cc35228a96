#include "slots.h"

#include "compat.h"

void byn_slots_open(byn_slots *s) {
  s->free = NULL;
  s->made = s->free_count = s->free_capacity = 0;
}

void byn_slots_close(lua_State *L, byn_slots *s) {
  void *ud;
  lua_Alloc alloc = lua_getallocf(L, &ud);
  size_t size = (size_t)s->free_capacity * sizeof *s->free;
  if (s->free) alloc(ud, s->free, size, 0);
  byn_slots_open(s);
}

/* The free list has room for every slot that was ever made, so that freeing
 * one cannot fail. */
static void grow_free_list(lua_State *L, byn_slots *s) {
  if (s->made < s->free_capacity) return;
  void *ud;
  lua_Alloc alloc = lua_getallocf(L, &ud);
  int capacity = s->free_capacity ? s->free_capacity * 2 : 64;
  int *grown = alloc(ud, s->free, (size_t)s->free_capacity * sizeof *s->free,
                     (size_t)capacity * sizeof *s->free);
  if (!grown) luaL_error(L, "not enough memory");
  s->free = grown;
  s->free_capacity = capacity;
}

void byn_slots_reserve(lua_State *L, byn_slots *s, int n) {
  while (s->free_count < n) {
    grow_free_list(L, s);
    lua_pushboolean(L, 0);
    s->free[s->free_count] = luaL_ref(L, LUA_REGISTRYINDEX);
    s->free_count++;
    s->made++;
  }
}

int byn_slot_put(lua_State *L, byn_slots *s) {
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    return 0;
  }
  byn_slots_reserve(L, s, 1);
  int slot = s->free[--s->free_count];
  lua_rawseti(L, LUA_REGISTRYINDEX, slot);
  return slot;
}

void byn_slot_push(lua_State *L, int slot) {
  if (slot)
    lua_rawgeti(L, LUA_REGISTRYINDEX, slot);
  else
    lua_pushnil(L);
}

void byn_slot_free(lua_State *L, byn_slots *s, int slot) {
  if (!slot) return;
  lua_pushboolean(L, 0);
  lua_rawseti(L, LUA_REGISTRYINDEX, slot);
  s->free[s->free_count++] = slot;
}

void byn_slot_take(lua_State *L, byn_slots *s, int slot) {
  byn_slot_push(L, slot);
  byn_slot_free(L, s, slot);
}
