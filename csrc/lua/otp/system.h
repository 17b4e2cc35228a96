/* System requests: calls that a behaviour answers itself, whatever the
 * program's own protocol with it is. They are plain calls, so they work by
 * name, from any node and with a time-out; their message is an array that
 * begins with a word of ours:
 *
 *   {"$system", "stop", reason}        ends it; the caller hears the reason
 *   {"$system", "get_state"}           a copy of its state | nil, err
 *   {"$system", "get_status"}          what it shows of itself, see status.h
 *   {"$system", "replace_state", fn}   fn(state) -> new state, in the server
 *   {"$system", "handoff", why, reason}
 *                                      what its handoff(why) returned: true and
 *                                      that; it ends then, as by "stop" for
 *                                      the reason, or "shutdown". false: it has
 *                                      no handoff, and goes on
 *   {"$system", "resolve_conflict", state}
 *                                      true: it calls its resolve_conflict.
 *                                      false: it has none
 */
#ifndef BYN_SYSTEM_H
#define BYN_SYSTEM_H

#include "../value/compat.h"

typedef enum byn_system_op {
  BYN_SYSTEM_NONE, /* the message is the program's */
  BYN_SYSTEM_STOP,
  BYN_SYSTEM_GET_STATE,
  BYN_SYSTEM_GET_STATUS,
  BYN_SYSTEM_REPLACE_STATE,
  BYN_SYSTEM_HANDOFF,
  BYN_SYSTEM_RESOLVE,
  BYN_SYSTEM_UNKNOWN
} byn_system_op;

/* What the message at `index` asks for. */
byn_system_op byn_system_at(lua_State *L, int index);

/* Pushes the argument of the system request at `index`, or nil. */
void byn_system_argument(lua_State *L, int index);

#endif
