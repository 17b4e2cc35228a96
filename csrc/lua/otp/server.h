/* Servers: processes that live by the callbacks of a module.
 *
 *   STARTING    init runs, then resume where it was started with a state. If
 *               both succeed, the starter gets the pid.
 *   IDLING      waits for mail or for the idle time-out; owns no coroutine
 *   IN_CALL, IN_CAST, IN_INFO
 *               a mail, or the idle time-out, is with its handler
 *   IN_RESOLVE  resolve_conflict runs
 *   IN_CONTINUE handle_continue runs
 *   REPLACING   the function that replace_state was given runs
 *   HANDING_OVER
 *               handoff runs; TERMINATING follows
 *   FORMATTING  format_status runs for get_status
 *   TERMINATING terminate(reason) runs
 *   REPORTING   format_status runs for the event of a crash
 *
 *   STARTING                       -> IDLING       init has returned
 *   IDLING                         -> IN_..., REPLACING, HANDING_OVER,
 *                                     FORMATTING
 *   IN_..., REPLACING, FORMATTING  -> IDLING       the callback has returned
 *   STARTING, IN_...               -> IN_CONTINUE  it returned continue(arg)
 *   STARTING, IDLING, IN_..., HANDING_OVER
 *                                  -> TERMINATING -> REPORTING -> the end
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
 *   server_start.c   init, resume, and what the starter is answered
 *   server_system.c  get_state, replace_state, get_status, handoff
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
  BYN_IN_RESOLVE,
  BYN_IN_CONTINUE,
  BYN_REPLACING,
  BYN_HANDING_OVER,
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
  int resume;      /* STARTING: slot of what resume is to get, or 0 */
  int64_t timeout; /* asked for by the handler that runs; BYN_NO_TIMEOUT */
  uint8_t doing;
  bool linked;      /* by start_link: the end of p->parent is its end */
  bool resumes;     /* STARTING: resume runs */
  bool open;        /* TERMINATING: its code receives all mail */
  bool timeout_due; /* handle_info is to get "timeout" */
} byn_server;

#define BYN_NO_TIMEOUT (-1)

/* Pushes the table of what server.lua builds on:
 *
 *   start(module, arg, linked, name, timeout, label, max_mailbox, full, state,
 *         how)
 *       -> pid | nil, err | nil, "ignore"              [yields]
 *       state: nil, or the bytes (value/term) of what resume gets
 *   timeout(ms) -> true       stop_with(reason, ...)   continue(arg)
 *   receive_all() -> true       in terminate: receive answers calls and casts
 *                               from now on, too ({tag="$call", ...})
 *   noreply, ignore
 */
void byn_server_open(lua_State *L);

/* --- for server_start.c and server_system.c ------------------------------- */

void byn_server_free_mail(lua_State *L, byn_process *p);

/* Pops `count` values and replies with them to the call in hand. false: one
 * cannot be sent; the error is on top. */
bool byn_server_reply(lua_State *L, byn_process *p, int count);
/* Pops an error and replies `nil, error` with it. */
void byn_server_reply_error(lua_State *L, byn_process *p);

/* Pushes a callback of the module and above it the instance; false, and
 * nothing, if it has none. */
bool byn_server_push_callback(lua_State *L, byn_process *p, const char *name);
/* Runs handle_continue with the argument of the directive on top (popped). */
void byn_server_continue(lua_State *L, byn_process *p);
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
