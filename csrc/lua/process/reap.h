/* Reaping: what is EXITING is taken out of its node, and becomes DEAD.
 *
 * Signals only mark a process as EXITING. It is reaped between turns, and at
 * the end of each C function that may have ended processes: no caller further
 * up may hold a process then, whose memory would be free.
 */
#ifndef BYN_REAP_H
#define BYN_REAP_H

#include "../value/compat.h"
#include "process.h"

struct byn_node;

/* Takes each process that is EXITING out of the node: its code is closed, what
 * it owns is released, its name is free, links and monitors hear of it. Those
 * that exit because of that follow. Only the outermost call does so: a
 * finalizer, which runs in the middle of anything, leaves it to the function
 * that it interrupts. Raises when memory is short: the next call goes on with
 * the same process, once node->reaping is false again. */
void byn_node_reap(lua_State *L, struct byn_node *node);

/* In a C function called from the code of a process: ends it for the reason
 * on top, as banyan.exit. The caller returns what this returns. */
int byn_process_exit(lua_State *L, byn_process *p);

/* At the end of a C function that may have ended processes, called by p or,
 * if that is NULL, by the host: reaps them, and leaves the code of p for good
 * if p is among them. The caller returns what this returns; `results` values
 * are on top. */
int byn_process_leave(lua_State *L, byn_process *p, int results);

#endif
