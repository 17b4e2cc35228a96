/* A step of a node: what is due, then what is ready. It may go wrong where
 * memory is short; then whoever ran ends of it, and the step goes on.
 */
#ifndef BYN_STEP_H
#define BYN_STEP_H

#include "../value/compat.h"
#include "node.h"

/* Steps until it goes well, and pushes when the node wants to be stepped
 * again, or nil; false, and nothing is pushed, if it never does. Raises
 * nothing. */
bool byn_node_step(lua_State *L, byn_node *node);

/* Obeys the timer in node->firing. */
void byn_node_fire(lua_State *L, byn_node *node);

/* An error that is nobody's, in what was done for the node: whoever ran ends
 * of it. The error object is on top, and popped. Never raises. */
void byn_node_recover(lua_State *L, byn_node *node);

#endif
