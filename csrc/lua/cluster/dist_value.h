/* Values of Lua as the bytes that a machine of core/dist keeps, and back.
 *
 * All nodes keep and pass on all of them, under whatever Lua they run. A node
 * under LuaJIT has no number for an integer that no double equals, and a key
 * beyond +-2^53 is none that its programs could name (compat.h): what has such
 * a one in it is sound there and cannot be decoded. It is never rounded.
 */
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
/* Pushes what the bytes stand for; nil, and false, if that is nothing here. Of
 * a key, byn_dist_push_lacking_key is asked first. */
bool byn_dist_push_decoded(lua_State *L, byn_dist_bytes bytes);
/* The same for a reason, which becomes text if this Lua cannot have it. */
bool byn_dist_push_shown(lua_State *L, byn_dist_bytes bytes);
/* Pushes the first integer in them, as text, for which they cannot be decoded
 * here; nothing, and false, if there is none. */
bool byn_dist_push_lacking(lua_State *L, byn_dist_bytes bytes);
/* The same for a key. */
bool byn_dist_push_lacking_key(lua_State *L, byn_dist_bytes bytes);

/* The key that the bytes are, in the one way in which that key is written.
 * false: they are none. Raises only when memory is short. */
bool byn_dist_key(lua_State *L, byn_dist_bytes bytes, byn_dist_id *id);

/* Are they what this binding writes for such a value on a node under any Lua: a
 * key, with its hash on the ring, a pid, a packed child spec that can be
 * started? Raises only when memory is short. */
bool byn_dist_value_is(lua_State *L, byn_dist_content content,
                       byn_dist_bytes bytes, uint64_t hash);

#endif
