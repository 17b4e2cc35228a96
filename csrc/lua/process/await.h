/* Await: a process waits until somebody calls a function.
 *
 * The function is `done`, a closure that names the waiting process and the
 * serial of its wait. It may be called by anybody in the Lua state (a callback
 * of the host's loop, another process, the process itself) and at any time:
 *
 *   before the wait       the values are kept in the closure, and the wait ends
 *                         at once; with an error, if memory is too short to
 *                         keep them
 *   during the wait       the values go onto the coroutine that waits
 *   later, or once more   nothing: the serial is that of no wait any more; nor
 *                         after the process has ended or its node has stopped
 *
 * Nothing in C refers to a `done`. One that is collected without a call leaves
 * its process to its time limit.
 */
#ifndef BYN_AWAIT_H
#define BYN_AWAIT_H

#include "../value/compat.h"

/* await_begin([done]) -> done: what ends the next wait of the caller; an old
 *   one, of the same process, is made that
 * await_wait(done [, ms]) -> what done was given | nil, "timeout"
 * Into the table on top. */
void byn_await_functions(lua_State *L);

#endif
