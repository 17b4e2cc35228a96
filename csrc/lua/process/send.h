/* Messages: send now, send after a while, receive.
 */
#ifndef BYN_SEND_H
#define BYN_SEND_H

#include "../value/compat.h"
#include "dest.h"
#include "mailbox.h"
#include "node.h"
#include "process.h"

/* A message that waits for its time. */
struct byn_send;

/* Its timer is due: sends it, and sets that of an interval again. If that
 * raises, byn_send_again sets the timer, `ms` from now. */
void byn_send_due(lua_State *L, byn_node *node, struct byn_send *send);
void byn_send_again(byn_node *node, struct byn_send *send, int64_t ms);
/* Frees those that end with p, whose end is decided. */
void byn_sends_cancel(lua_State *L, byn_process *p);
/* Frees all that still wait, when the node closes. */
void byn_sends_close(lua_State *L, byn_node *node);

/* Mails a copy of the value at `index` to a LOCAL `dest`: a message or a
 * cast. */
void byn_post(lua_State *L, byn_node *node, const byn_dest *dest, int index,
              byn_mail_kind kind);

/* Sends the value at `index` to `dest`: true, or nil and an error on the
 * stack; answers how many values were pushed. */
int byn_send_value(lua_State *L, byn_node *node, byn_dest *dest, int index);

/* A pid whose node is not connected may be in reach all the same, over the
 * control channel of a peer node: hands the value at `index` to the function
 * that set_route was given, fn(pid, value, is_cast), if to any. It must not
 * yield. */
void byn_send_route(lua_State *L, byn_node *node, const byn_dest *dest,
                    int index, bool is_cast);

/* After something was sent: its sender leaves, if that has ended it, or waits
 * while the queue to another node is long, where it can wait. The caller
 * returns what this returns. */
int byn_send_throttle(lua_State *L, byn_node *node, const byn_dest *dest,
                      int results);

/* send, tell, send_after, send_interval, cancel_timer, receive, sleep, mail_*,
 * set_route: into the table on top. */
void byn_send_functions(lua_State *L);

#endif
