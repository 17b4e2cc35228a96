/* Servers: processes that live by the callbacks of a module.
 *
 *   STARTING    init runs. If it succeeds, the starter gets the pid.
 *   IDLING      waits for mail or for the idle time-out; owns no coroutine
 *   IN_CALL, IN_CAST, IN_INFO
 *               a mail, or the idle time-out, is with its handler
 *   IN_CONTINUE handle_continue runs
 *   REPLACING   the function that replace_state was given runs
 *   FORMATTING  format_status runs for get_status
 *   TERMINATING terminate(reason) runs
 *   REPORTING   format_status runs for the event of a crash
 *
 *   STARTING                       -> IDLING       init has returned
 *   IDLING                         -> IN_..., REPLACING, FORMATTING
 *   IN_..., REPLACING, FORMATTING  -> IDLING       the callback has returned
 *   STARTING, IN_...               -> IN_CONTINUE  it returned continue(arg)
 *   STARTING, IDLING, IN_...       -> TERMINATING -> REPORTING -> the end
 *
 * A state whose callback the module does not have is left out. STARTING leads
 * to TERMINATING only when init has succeeded and asked for a handle_continue
 * that is missing; an init that fails ends the server without terminate.
 *
 * Callbacks run on pooled coroutines; one that waits keeps its coroutine until
 * it returns, and mail waits with it.
 *
 * The instance, `self` of all callbacks, is a table whose metatable is
 * {__index = module}, one metatable a module. Callbacks are looked up through
 * it each time, so modules may inherit and be changed while servers run.
 *
 * terminate is called when OTP's gen_server calls it: an error or an exit in
 * a handler, stop_with, a "stop" request, the EXIT of a linked parent while
 * exits are trapped. A signal that is not trapped ends the server without.
 *
 *   server.c         the behaviour, and what Lua starts one with
 *   server_system.c  get_state, replace_state, get_status
 */
#ifndef BYN_SERVER_H
#define BYN_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "../value/compat.h"
#include "../process/process.h"

typedef enum byn_doing {
  BYN_IDLING,
  BYN_STARTING,
  BYN_IN_CALL,
  BYN_IN_CAST,
  BYN_IN_INFO,
  BYN_IN_CONTINUE,
  BYN_REPLACING,
  BYN_FORMATTING,
  BYN_TERMINATING,
  BYN_REPORTING
} byn_doing;

/* The slots are 0 while they hold nothing. */
typedef struct byn_server {
  byn_mail *mail;  /* in hand: the request to start, or what a handler got */
  int state;       /* slot of the instance */
  int reason;      /* slot of why it ends, once that is decided */
  int held_reply;  /* slot of the stop_with whose reply waits for terminate */
  int status;      /* FORMATTING and from REPORTING on: slot of the status */
  int64_t timeout; /* asked for by the handler that runs; BYN_NO_TIMEOUT */
  uint8_t doing;
  bool linked;      /* by start_link: the end of p->parent is its end */
  bool timeout_due; /* handle_info is to get "timeout" */
} byn_server;

#define BYN_NO_TIMEOUT (-1)

/* Pushes the table of what server.lua builds on:
 *
 *   start(module, arg, linked, name, timeout, label, max_mailbox, full)
 *       -> pid | nil, err | nil, "ignore"              [yields]
 *   timeout(ms) -> true       stop_with(reason, ...)   continue(arg)
 *   noreply, ignore
 */
void byn_server_open(lua_State *L);

/* --- for server_system.c -------------------------------------------------- */

void byn_server_free_mail(lua_State *L, byn_process *p);

/* Pops `count` values and replies with them to the call in hand. false: one
 * cannot be sent; the error is on top. */
bool byn_server_reply(lua_State *L, byn_process *p, int count);
/* Pops an error and replies `nil, error` with it. */
void byn_server_reply_error(lua_State *L, byn_process *p);

/* Runs the callback below the `arguments` values on top (all popped). */
void byn_server_run_callback(lua_State *L, byn_process *p, byn_doing what,
                             int arguments);
/* Waits for the next mail, or for as long as the handler asked. No mail is in
 * hand. */
void byn_server_idle(lua_State *L, byn_process *p);
/* Pops the reason and ends the server for it, by way of terminate. */
void byn_server_stop(lua_State *L, byn_process *p);
/* Pops a status and gives it to format_status; false, and the status stays,
 * if there is no such callback. */
bool byn_server_format_status(lua_State *L, byn_process *p, byn_doing what);

#endif
