/* What belongs to a process and ends with it, such as sockets.
 *
 * The resources themselves are known in Lua (lua/banyan/owned.lua), which says
 * here which processes have some. When such a process is reaped, Lua's release
 * function is called: after the process's code is closed, which may still use
 * them, and before links and monitors hear of its end. So whoever hears of an
 * end finds what the process had closed.
 *
 * Where the collector closes a node, which happens as the Lua state is closed,
 * nothing is released: what the resources consist of may be finalized by then.
 *
 * The release function must not yield and must not end processes. It may be
 * called again for the same process, after memory was short in it.
 */
#ifndef BYN_OWNED_H
#define BYN_OWNED_H

#include "../value/compat.h"
#include "process.h"

/* Releases what p owns; p is EXITING. Raises when memory is short. */
void byn_owned_release(lua_State *L, byn_process *p);

/* set_release(fn): fn(pid) releases what a process owns
 * owns(pid, bool) -> bool: that process, of this Lua state, has or has not
 *   something to release; false if it has ended
 * Into the table on top. */
void byn_owned_functions(lua_State *L);

#endif
