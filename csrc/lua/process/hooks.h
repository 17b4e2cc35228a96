/* The program's debug hook, in the coroutines of processes.
 *
 * On Lua 5.4 a hook belongs to a coroutine, so a debugger or a coverage tool
 * that sets one sees no code of processes. The coroutines of processes take
 * over the hook of the code that steps their node: those that there are when a
 * step begins and that hook is another one than before, and new ones. A process
 * may set another one for itself. On LuaJIT a hook is for all code.
 */
#ifndef BYN_HOOKS_H
#define BYN_HOOKS_H

#include "../value/compat.h"
#include "../value/world.h"

/* Before a step, on the coroutine that takes it. Raises when memory is short.
 */
void byn_hooks_follow(lua_State *L, byn_world *w);

/* Gives a coroutine that is new the hook of the others. */
void byn_hooks_set(lua_State *L, byn_world *w, lua_State *co);

#endif
