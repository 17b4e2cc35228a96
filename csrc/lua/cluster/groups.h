/* The process groups of a node (core/dist/groups), for Lua.
 *
 *   core.groups.open(name, node) -> groups, fresh   the node keeps them by
 *                                   name: a process that begins again finds
 *                                   those of before (fresh: false)
 *
 * Its methods are the inputs of core/dist/groups.h, by the names there, with
 * the node's own time. Groups and pids are Lua values here; there they are
 * bytes, encoded as terms whose pids name their nodes.
 *
 *   next() -> "send", node, bytes | "join" | "leave", group, pids | nil
 *   tick() -> ms until it is due | nil
 *   members(group, local) -> list of pids, as often as each joined
 *   targets(group) -> list of this node's pids, {node = its number of pids};
 *                     each once
 *   names() -> list of groups        pids() -> list of this node's pids
 *   times(group, pid) -> how often it joined, and how often it may
 *   count() -> number of groups      is_told(node)
 *   is_member(pid)                   of this node, in some group
 *
 * A group that this node's Lua cannot have, as its name is an integer that
 * LuaJIT has not, is in no list and in no action.
 */
#ifndef BYN_LUA_GROUPS_H
#define BYN_LUA_GROUPS_H

#include "../value/compat.h"

/* Pushes the table core.groups. */
void byn_groups_functions(lua_State *L);

#endif
