/* Lua values that C holds on to.
 *
 * A slot is a reference of luaL_ref that is not given back but kept in a free
 * list in C: taking one and giving it back costs one store each, where
 * luaL_ref keeps its free list in the table. A free slot holds false, so that
 * using it again takes no memory. A slot is a positive number; 0 is no slot,
 * and stands for nil wherever a value is expected.
 */
#ifndef BYN_SLOTS_H
#define BYN_SLOTS_H

#include "compat.h"

typedef struct byn_slots {
  int *free; /* slots that can be used again */
  int free_count, free_capacity;
  int made; /* how many there are */
} byn_slots;

void byn_slots_open(byn_slots *s);
/* Frees the free list; the references go with the registry. */
void byn_slots_close(lua_State *L, byn_slots *s);

/* Afterwards the next `n` slots can be put without fail. Raises when memory
 * is short. */
void byn_slots_reserve(lua_State *L, byn_slots *s, int n);

/* Pops a value and answers its slot; nil gives 0. Raises when memory is
 * short, the value then still on the stack. */
int byn_slot_put(lua_State *L, byn_slots *s);
/* Pushes the value of a slot; it stays where it is. */
void byn_slot_push(lua_State *L, int slot);
/* Pushes the value and frees the slot. */
void byn_slot_take(lua_State *L, byn_slots *s, int slot);
/* Frees the slot; 0 is nothing to do. Never fails. */
void byn_slot_free(lua_State *L, byn_slots *s, int slot);

#endif
