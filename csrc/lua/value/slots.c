/* Slots: Lua values that C holds on to. */
#include "slots.h"

#include <limits.h>

#include "../../core/assert.h"
#include "compat.h"

/* A kept slot is -(reference of its table * TABLE_SIZE + place in it). */
#define TABLE_SIZE 128

/* --- free lists ----------------------------------------------------------- */

/* The list gets room for every slot that is ever made, so that freeing one
 * cannot fail. */
static void grow_free_list(lua_State *L, byn_free_slots *f, int more) {
  int capacity = f->capacity ? f->capacity : TABLE_SIZE;
  while (capacity < f->made + more)
    capacity *= 2;
  if (capacity == f->capacity) return;
  void *ud;
  lua_Alloc alloc = lua_getallocf(L, &ud);
  int *grown = alloc(ud, f->list, (size_t)f->capacity * sizeof *f->list,
                     (size_t)capacity * sizeof *f->list);
  if (!grown) luaL_error(L, "not enough memory");
  f->list = grown;
  f->capacity = capacity;
}

static void add_made(byn_free_slots *f, int slot) {
  byn_assert(f->made < f->capacity);
  f->list[f->count++] = slot;
  f->made++;
}

static void close_list(lua_State *L, byn_free_slots *f) {
  void *ud;
  lua_Alloc alloc = lua_getallocf(L, &ud);
  if (f->list) alloc(ud, f->list, (size_t)f->capacity * sizeof *f->list, 0);
  *f = (byn_free_slots){.list = NULL};
}

/* --- all of them ---------------------------------------------------------- */

void byn_slots_open(byn_slots *s) {
  *s = (byn_slots){.passing = {.list = NULL}};
}

void byn_slots_close(lua_State *L, byn_slots *s) {
  close_list(L, &s->passing);
  close_list(L, &s->kept);
}

void byn_slots_reserve(lua_State *L, byn_slots *s, int n) {
  while (s->passing.count < n) {
    grow_free_list(L, &s->passing, 1);
    lua_pushboolean(L, 0);
    add_made(&s->passing, luaL_ref(L, LUA_REGISTRYINDEX));
  }
}

/* To make the table may collect garbage, and a finalizer may take slots: what
 * there is and what it takes is looked at afterwards. */
void byn_slots_reserve_kept(lua_State *L, byn_slots *s) {
  if (s->kept.count) return;
  lua_createtable(L, TABLE_SIZE, 0);
  for (int i = 1; i <= TABLE_SIZE; i++) {
    lua_pushboolean(L, 0);
    lua_rawseti(L, -2, i);
  }
  grow_free_list(L, &s->kept, TABLE_SIZE);
  int table = luaL_ref(L, LUA_REGISTRYINDEX);
  if (table >= INT_MAX / TABLE_SIZE) luaL_error(L, "not enough memory");
  int first = table * TABLE_SIZE;
  for (int i = TABLE_SIZE - 1; i >= 0; i--)
    add_made(&s->kept, -(first + i));
}

int byn_slots_used(const byn_slots *s) {
  return s->passing.made - s->passing.count + s->kept.made - s->kept.count;
}

/* --- one of them ---------------------------------------------------------- */

/* Pops a value into a slot. */
static void store_in_slot(lua_State *L, int slot) {
  if (slot > 0) {
    lua_rawseti(L, LUA_REGISTRYINDEX, slot);
    return;
  }
  lua_rawgeti(L, LUA_REGISTRYINDEX, -slot / TABLE_SIZE);
  lua_insert(L, -2);
  lua_rawseti(L, -2, -slot % TABLE_SIZE + 1);
  lua_pop(L, 1);
}

/* nil takes no slot: it is popped, and the answer is true. */
static bool pop_nil(lua_State *L) {
  bool is_nil = lua_isnil(L, -1);
  if (is_nil) lua_pop(L, 1);
  return is_nil;
}

int byn_slot_put(lua_State *L, byn_slots *s) {
  if (pop_nil(L)) return 0;
  byn_slots_reserve(L, s, 1);
  int slot = s->passing.list[--s->passing.count];
  byn_assert(slot > 0);
  store_in_slot(L, slot);
  return slot;
}

int byn_slot_keep(lua_State *L, byn_slots *s) {
  if (pop_nil(L)) return 0;
  byn_slots_reserve_kept(L, s);
  int slot = s->kept.list[--s->kept.count];
  byn_assert(slot < 0);
  store_in_slot(L, slot);
  return slot;
}

void byn_slot_push(lua_State *L, int slot) {
  if (slot > 0) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, slot);
  } else if (slot < 0) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, -slot / TABLE_SIZE);
    lua_rawgeti(L, -1, -slot % TABLE_SIZE + 1);
    lua_replace(L, -2);
  } else {
    lua_pushnil(L);
  }
}

void byn_slot_free(lua_State *L, byn_slots *s, int slot) {
  if (!slot) return;
  byn_free_slots *f = slot > 0 ? &s->passing : &s->kept;
  byn_assert(f->count < f->made && f->made <= f->capacity);
  lua_pushboolean(L, 0);
  store_in_slot(L, slot);
  f->list[f->count++] = slot;
}

void byn_slot_take(lua_State *L, byn_slots *s, int slot) {
  byn_slot_push(L, slot);
  byn_slot_free(L, s, slot);
}
