/* Lua values that C holds on to.
 *
 * A slot is a number; 0 is no slot, and stands for nil wherever a value is
 * expected. There are two kinds, which differ in where the value lies:
 *
 *   put   a reference of luaL_ref (positive). It is not given back but kept
 *         in a free list in C, so taking one and giving it back costs one
 *         store each. For what passes by: messages, reasons, coroutines.
 *   kept  a place in one of many small tables (negative). Lua's collector
 *         goes through a table in one go, and again, while all waits, if it
 *         was written to meanwhile: so what each of many idle processes holds
 *         must not lie in one table, nor beside what changes all the time.
 *
 * A free slot holds false, so that using it again takes no memory.
 */
#ifndef BYN_SLOTS_H
#define BYN_SLOTS_H

#include "compat.h"

typedef struct byn_free_slots {
  int *list;
  int count, capacity;
  int made; /* how many slots of this kind there are */
} byn_free_slots;

typedef struct byn_slots {
  byn_free_slots passing, kept;
} byn_slots;

void byn_slots_open(byn_slots *s);
/* Frees the free lists; the references go with the registry. */
void byn_slots_close(lua_State *L, byn_slots *s);

/* Afterwards the next `n` slots can be put without fail. Raises when memory
 * is short. */
void byn_slots_reserve(lua_State *L, byn_slots *s, int n);
/* The same for one that is kept. */
void byn_slots_reserve_kept(lua_State *L, byn_slots *s);

/* Pops a value and answers its slot; nil gives 0. Raises when memory is
 * short, the value then still on the stack. */
int byn_slot_put(lua_State *L, byn_slots *s);
int byn_slot_keep(lua_State *L, byn_slots *s);
/* Pushes the value of a slot; it stays where it is. */
void byn_slot_push(lua_State *L, int slot);
/* Pushes the value and frees the slot. */
void byn_slot_take(lua_State *L, byn_slots *s, int slot);
/* Frees the slot; 0 is nothing to do. Never fails. */
void byn_slot_free(lua_State *L, byn_slots *s, int slot);

/* How many are in use. */
int byn_slots_used(const byn_slots *s);

#endif
