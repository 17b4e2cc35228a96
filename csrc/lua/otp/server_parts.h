/* What the files of the server share; see server.h for what it is.
 *
 *   server.c          its life: starts, handlers, terminate
 *   server_system.c   get_state, replace_state, get_status
 */
#ifndef BYN_SERVER_PARTS_H
#define BYN_SERVER_PARTS_H

#include "../process/node.h"
#include "../process/process.h"
#include "directive.h"
#include "system.h"

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
  int reason;      /* TERMINATING: slot of why */
  int farewell;    /* TERMINATING: slot of the stop_with that holds a reply */
  int status;      /* FORMATTING and from REPORTING on: slot of what is shown */
  int64_t timeout; /* asked for by the handler that runs; BYN_NO_TIMEOUT */
  uint8_t doing;
  bool linked; /* started by start_link: the end of p->parent is its end */
  bool due;    /* the idle time-out is to be delivered */
} byn_server;

#define BYN_NO_TIMEOUT (-1)

/* --- server.c ------------------------------------------------------------- */

void byn_server_free_mail(lua_State *L, byn_process *p);

/* Pops `count` values and replies with them to the call in hand. false: one
 * cannot be sent; the error is on top. */
bool byn_server_reply(lua_State *L, byn_process *p, int count);
/* Pops an error and replies `nil, error` with it. */
void byn_server_reply_error(lua_State *L, byn_process *p);

/* Runs the callback below the `arguments` values on top. */
void byn_server_begin(lua_State *L, byn_process *p, byn_doing what,
                      int arguments);
/* Waits for the next mail, or for as long as the handler asked. */
void byn_server_rest(lua_State *L, byn_process *p);
/* Pops the reason and ends the server for it, by way of terminate. */
void byn_server_terminate(lua_State *L, byn_process *p);
/* Pops a status and gives it to format_status; false, and the status stays,
 * if there is no such callback. */
bool byn_server_format(lua_State *L, byn_process *p, byn_doing what);

/* --- server_system.c ------------------------------------------------------ */

/* Does what the system request on top (popped), in hand, asks for. */
void byn_server_request(lua_State *L, byn_process *p, byn_system_op op);
/* The function of replace_state has returned `count` values (popped). */
void byn_server_replaced(lua_State *L, byn_process *p, int count);
/* Pops an error: the request in hand has failed. */
void byn_server_refuse(lua_State *L, byn_process *p);
/* Replies {pid=, parent=, label=, state=} with the state of s->status. */
void byn_server_reply_status(lua_State *L, byn_process *p);

#endif
