/* What a node keeps for rooms above this one and for modules in Lua: a table
 * that is its own, and goes with it. Two nodes of one Lua state have two, with
 * equal names too, or without any.
 *
 *   groups  the machines of process groups, by name (cluster/groups.c)
 *   dist    the machines of distributed supervisors, by name (cluster/dist.c)
 *   views   what lookups of them read (distributed_supervisor/views.lua)
 *   hosts   false: it runs no distributed children (hosts.lua)
 *   link_options  those of its own that its peers get (peer/options.lua)
 *   group_views     those of groups (groups/scope.lua)
 *   peer_connections  what peers need (peers/registry.lua)
 *   claims          who takes which connections over (driver/luv.lua)
 *   transport       how those get there (lockstep/transport.lua)
 *   node_monitors   what those of a name know (node_monitor/memory.lua)
 */
#ifndef BYN_KEPT_H
#define BYN_KEPT_H

#include "../value/compat.h"
#include "node.h"

/* Pushes the table, made if need be. Raises only when memory is short. */
void byn_kept_push(lua_State *L, byn_node *node);
/* Pushes the table in its field `name`, made if need be; as above. */
void byn_kept_push_field(lua_State *L, byn_node *node, const char *name);

/* Takes the value at index 1 out of the table in the field `name`, where it
 * stands by the name at index 2; another that stands there stays. */
void byn_kept_forget(lua_State *L, byn_node *node, const char *name);

/* `kept`, into the table on top: kept() -> the table of the caller's node. */
void byn_kept_functions(lua_State *L);

#endif
