/* A node as Lua holds it: a userdata with a pointer, which is NULL before the
 * node is made and after it was closed. core.node gives it its methods
 * (seam.h).
 */
#ifndef BYN_NODE_HANDLE_H
#define BYN_NODE_HANDLE_H

#include "../value/compat.h"
#include "node.h"

/* The name of its metatable. */
#define BYN_NODE_HANDLE "banyan.node"

/* The pointer in the handle at a stack index; raises if it is no handle. */
byn_node **byn_node_handle_check(lua_State *L, int index);

/* The node at a stack index; raises if it is none, or closed. */
byn_node *byn_node_check(lua_State *L, int index);

#endif
