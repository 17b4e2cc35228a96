/* A Lua value that C holds.
 *
 * Small values (nil, booleans, numbers) stand in the struct itself, the rest
 * in a slot. Whoever holds a byn_value owns its slot until it takes or frees
 * it.
 */
#ifndef BYN_VALUE_H
#define BYN_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "compat.h"
#include "world.h"

typedef struct byn_value {
  uint8_t type; /* LUA_TNIL, LUA_TBOOLEAN, LUA_TNUMBER; LUA_TTABLE: slot */
  bool is_float;
  union {
    lua_Integer integer;
    lua_Number number;
    int slot;
  } as;
} byn_value;

/* Pops the value on top of the stack, as it is, into *v. */
void byn_value_put(lua_State *L, byn_world *w, byn_value *v);
/* Pushes it; take also frees its slot. */
void byn_value_push(lua_State *L, const byn_value *v);
void byn_value_take(lua_State *L, byn_world *w, byn_value *v);
void byn_value_free(lua_State *L, byn_world *w, byn_value *v);

#endif
