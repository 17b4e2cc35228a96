/* How a server starts: init, then resume where it was started with a state.
 *
 * The starter waits for a reply to the mail in hand: the pid, or why not. An
 * error in either callback is a failed start. What init said by continue(arg)
 * waits for the end of resume.
 */
#ifndef BYN_SERVER_START_H
#define BYN_SERVER_START_H

#include "../value/compat.h"
#include "../process/process.h"

/* The first turn: runs init, if there is one, with the argument of start. */
void byn_server_run_init(lua_State *L, byn_process *p);
/* init or resume has ended: with `count` values (popped), or it raised and the
 * reason is on top. */
void byn_server_start_returned(lua_State *L, byn_process *p, int status,
                               int count);
/* Ends a server that starts; the starter gets `answer` in place of the
 * reason. What may fail comes first: all or nothing is done. */
void byn_server_cancel_start(lua_State *L, byn_process *p, const char *answer,
                             const char *reason);
/* The starter is to hear no EXIT of a server that never started. */
void byn_server_unlink_starter(lua_State *L, byn_process *p);

#endif
