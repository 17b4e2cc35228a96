/* A step of a node: due timers, links, then ready processes. An error in it,
 * which the lack of memory causes, ends the process that ran; the step goes on.
 */
#ifndef BYN_STEP_H
#define BYN_STEP_H

#include "../value/compat.h"
#include "node.h"

/* Steps until no error breaks that off, and pushes when the node wants to be
 * stepped again, or nil; false, and nothing is pushed, after too many errors.
 * Raises nothing. */
bool byn_node_step(lua_State *L, byn_node *node);

/* The time of a node whose steps a control takes goes on to `now`: it is as
 * if it had asked for its next deadline, and is stepped now. May raise when
 * memory is short. */
void byn_node_jump(lua_State *L, byn_node *node, int64_t now);

/* Does what the timer in node->due is for. Raises when memory is short:
 * byn_node_recover sets it again. */
void byn_node_run_timer(lua_State *L, byn_node *node);

/* After an error that no code of a process caught, in what was done for the
 * node: the process that ran, if there is one, ends for it. The error object is
 * on top, and popped. Never raises. */
void byn_node_recover(lua_State *L, byn_node *node);

#endif
