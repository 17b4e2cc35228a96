/* System requests to a server: get_state, replace_state, get_status and stop,
 * which it answers whatever its module's own protocol is (see system.h). */
#ifndef BYN_SERVER_SYSTEM_H
#define BYN_SERVER_SYSTEM_H

#include "../value/compat.h"
#include "../process/process.h"
#include "system.h"

/* Does what the system request on top (popped), in hand, asks for. */
void byn_server_system_request(lua_State *L, byn_process *p, byn_system_op op);

/* The function of replace_state has returned `count` values (popped): a new
 * instance, or nothing where it changed the one it got. */
void byn_server_replaced(lua_State *L, byn_process *p, int count);

/* handoff has returned `count` values, or raised: the reason is on top
 * (popped). The server ends, unless the one who asked does not want it to any
 * more: {"$system", "handoff", why, reason, permit}, where permit(stage, state)
 * answers whether it may go on with that. */
void byn_server_handed_over(lua_State *L, byn_process *p, int status,
                            int count);

/* Pops an error: the system request in hand has failed. */
void byn_server_system_failed(lua_State *L, byn_process *p);

/* Replies {pid=, parent=, label=, state=} with the state of s->status. */
void byn_server_reply_status(lua_State *L, byn_process *p);

#endif
