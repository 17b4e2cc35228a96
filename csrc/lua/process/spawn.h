/* Plain processes: spawn, spawn_link, spawn_monitor.
 */
#ifndef BYN_SPAWN_H
#define BYN_SPAWN_H

#include "../value/compat.h"
#include "node.h"
#include "process.h"

/* Starts a process that runs the function at stack index `first` with the
 * values after it, copied. Pushes its pid. */
byn_process *byn_spawn(lua_State *L, byn_node *node, int first);

/* spawn, spawn_link, spawn_monitor: into the table on top. */
void byn_spawn_functions(lua_State *L);

#endif
