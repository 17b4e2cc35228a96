/* Foreign code: what is not Banyan has resumed or closed the coroutine of a
 * process. coroutine.running() gives it to anybody, luv's idiom of a callback
 * that resumes its caller does just that.
 *
 * Only the scheduler continues a process. A wait that somebody else resumes
 * yields again, and answers nothing of what was passed. Code that had yielded
 * by hand, or was preempted, does go on; it is found out at its next call of
 * Banyan, and left there. A coroutine that is closed says so by a value that is
 * to be closed and lies at the bottom of its stack. In each of these cases the
 * process is put into BYN_WAIT_BROKEN, and ends at its next turn as if its code
 * had raised an error that says what was done, and what to do instead.
 *
 * LuaJIT has neither continuations of C functions nor values to be closed:
 * there lua/banyan/wait.lua looks after a receive, an await, a call and a start
 * of a server who has resumed them, and raises an error. Other waits answer
 * what was passed; the process ends at the next call of Banyan, or when the
 * scheduler cannot resume it.
 */
#ifndef BYN_FOREIGN_H
#define BYN_FOREIGN_H

#include <stdbool.h>

#include "../value/compat.h"
#include "../value/world.h"
#include "process.h"

/* Values at the bottom of each coroutine of a process. */
#define BYN_COROUTINE_BASE (LUA_VERSION_NUM >= 504 ? 1 : 0)

/* Is a wait guarded against being resumed? */
#define BYN_WAITS_GUARDED (LUA_VERSION_NUM >= 504)

/* A coroutine that was just made will be lent to processes. Raises when memory
 * is short. */
void byn_foreign_watch(lua_State *L, lua_State *co);

/* In a C function that was called by other code than that of the running
 * process on its coroutine. Returns where that may be: it is a coroutine that
 * the program made, a finalizer, or the host. Where somebody else runs the
 * code of a process, that process is broken off and this does not return. */
void byn_foreign_check(lua_State *L, byn_world *w);

/* Breaks off the process whose coroutine L is, which somebody else has resumed
 * while it waited; the caller, a continuation, returns what this returns. */
int byn_foreign_resumed(lua_State *L, byn_world *w);

/* Yields and never goes on, whoever resumes it. */
int byn_yield_for_good(lua_State *L);

/* Pushes the reason that p, which is BROKEN or whose coroutine cannot be
 * resumed, ends for. */
void byn_foreign_push_reason(lua_State *L, byn_process *p);
/* Frees what a process that is BROKEN holds, if that was not pushed. */
void byn_foreign_forget(lua_State *L, byn_process *p);

/* Pushes the reason for a process that has yielded values. */
void byn_yielded_push_reason(lua_State *L, byn_process *p);

/* Does it run, or has it resumed what runs? Then it cannot be closed. */
bool byn_coroutine_is_running(lua_State *co);

/* resumed(...) -> ..., where waits are not guarded: see lua/banyan/wait.lua.
 * Into the table on top. */
void byn_foreign_functions(lua_State *L);

#endif
