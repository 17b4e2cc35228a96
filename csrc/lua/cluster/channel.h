/* The control channel of a peer node, for Lua: values in, values out. What goes
 * over it and what it means is lua/banyan/peer's to say.
 *
 * A channel belongs to no node and to no process. The ids in its values are
 * spelled out, so either end may have any id, also of nodes that are not
 * connected and of nodes without a name.
 */
#ifndef BYN_CONTROL_CHANNEL_H
#define BYN_CONTROL_CHANNEL_H

#include "../value/compat.h"

/* Into the table on top:
 *
 * channel(dialer, token, nonce) -> channel
 *   :feed(bytes)  :finish()
 *   :next() -> "noise", text | "open" | "output", text | "ended", reason
 *              | "data", kind, values ... | "bad" (of no use to this Lua) | nil
 *   :take() -> bytes to write | nil
 *   :put(kind, values ...) -> true | nil, "closed" | nil, "too_large" | nil,
 *     "out_of_memory"; raises what cannot be sent. kind: 0 to 255
 *   :has_doubles() -> bool: that the other end has no integers; once it is open
 *   :capture() -> true | nil, err: this OS process's standard output goes over
 *     it, as do values from now on (capture.h)
 * to_bytes(value) -> text      from_bytes(text) -> true, value | false
 * pack(has_doubles, values ...) -> text for such an end; raises what cannot be
 *   sent      unpack_foreign(text) -> true, values ...
 * (byn_term_decode_foreign) | false realm_token(realm, secret) -> token
 * dialer_mark(token) -> 8 bytes, what a dialer says first life(pid) -> a text
 * that names its node, and which life of it */
void byn_control_channel_functions(lua_State *L);

#endif
