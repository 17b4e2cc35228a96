/* Servers: processes that live by the callbacks of a module.
 *
 *   STARTING -> IDLE          init has ended well: the starter gets the pid
 *   IDLE -> CALL, CAST, INFO  a mail, or the idle time-out, was given to its
 *                             handler
 *   any but STARTING -> CONTINUE     the handler answered continue(arg)
 *   IDLE -> REPLACING         replace_state runs the function it was given
 *   any but STARTING -> TERMINATING  terminate(reason) runs; then it ends
 *
 * An IDLE server owns no coroutine. Its handlers run on pooled ones, begun
 * with byn_process_call; one that waits keeps its coroutine until it
 * returns, and mail waits with it.
 *
 * The instance, `self` of all handlers, is a table whose metatable is
 * {__index = module}, one metatable a module. Handlers are looked up through
 * it each time, so modules may inherit and be changed while servers run.
 *
 * terminate is called when OTP's gen_server calls it: an error or an exit in
 * a handler, stop_with, a "stop" request, the EXIT of a linked parent while
 * exits are trapped. A signal that is not trapped ends the server without.
 */
#ifndef BYN_SERVER_H
#define BYN_SERVER_H

#include "../value/compat.h"

/* Pushes the table of what server.lua builds on:
 *
 *   start(module, arg, linked, name, timeout, label)
 *       -> pid | nil, err | nil, "ignore"              [yields]
 *   timeout(ms) -> true       stop_with(reason, ...)   continue(arg)
 *   noreply, ignore
 */
void byn_server_open(lua_State *L);

#endif
