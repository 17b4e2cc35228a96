/* Values of Lua as the bytes that a machine of core/dist keeps, and back. */
#ifndef BYN_LUA_DIST_VALUE_H
#define BYN_LUA_DIST_VALUE_H

#include "../../core/dist/dist.h"
#include "../value/compat.h"

/* Pushes the value at `index` as a string of bytes. false: it cannot be sent,
 * the error is pushed. */
bool byn_dist_push_encoded(lua_State *L, int index);
/* Pushes the value at `index` as bytes; raises if it cannot be sent. */
byn_dist_bytes byn_dist_push_bytes(lua_State *L, int index);
/* The same for a reason, which becomes text if it cannot be sent, and a word
 * if it is too long. */
byn_dist_bytes byn_dist_push_reason(lua_State *L, int index);
/* Pushes what the bytes stand for; nil, and false, if that is nothing. */
bool byn_dist_push_decoded(lua_State *L, byn_dist_bytes bytes);

/* Are they what this binding writes for such a value on another node: a key
 * (in the one way in which that key is written, with its hash on the ring), a
 * pid, a packed child spec that can be started? Raises only when memory is
 * short. */
bool byn_dist_value_is(lua_State *L, byn_dist_content content,
                       byn_dist_bytes bytes, uint64_t hash);

#endif
