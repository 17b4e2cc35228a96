/* Long mailboxes: an event as one grows, and the limit of those that have one.
 *
 * The event mailbox_long comes as a mailbox reaches 10,000 messages, and again
 * at each doubling. It starts again at 10,000 once the mailbox was found to be
 * half as long as that.
 *
 * A limit says how many messages may wait, and what follows when one more
 * comes:
 *
 *   drop   the new message is dropped; to a call, "mailbox_full" is answered.
 *          The event mailbox_full comes with the first that is dropped, the
 *          event mailbox_drained with how many there were, when the mailbox is
 *          half full or the process ends
 *   kill   the process ends for {"mailbox_full", max}; event mailbox_full
 *
 * It holds for messages, casts and calls. What the system sends is never
 * dropped: exit signals, DOWN, replies, the messages of send_after and of
 * sockets, and requests that the behaviour takes all the same.
 */
#ifndef BYN_MAILBOX_LIMIT_H
#define BYN_MAILBOX_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "../value/compat.h"
#include "process.h"

/* byn_process.mail_watch of one that was never long. */
#define BYN_MAILBOX_LONG 10000

#define BYN_MAILBOX_MOST 0x7fffffff /* a limit is at most this */

/* A mail has made the mailbox of p as long as p->mail_watch or longer. */
void byn_mailbox_grew(lua_State *L, byn_process *p);

/* Sets the limit of p; 0: none. Raises when memory is short. */
void byn_mailbox_limit(lua_State *L, byn_process *p, uint32_t max, bool kills);
/* p ends, or has no limit any more. Raises when memory is short for the event
 * mailbox_drained, and has changed nothing then. */
void byn_mailbox_unlimit(lua_State *L, byn_process *p);

/* For p->limited: may a message come? If not, it is to be dropped, and p may
 * end because of it. */
bool byn_mailbox_limit_admits(lua_State *L, byn_process *p);
static inline bool byn_mailbox_admits(lua_State *L, byn_process *p) {
  return !p->limited || byn_mailbox_limit_admits(L, p);
}
/* The same for the request at `index`. */
bool byn_mailbox_limit_admits_call(lua_State *L, byn_process *p, int index);
static inline bool byn_mailbox_admits_call(lua_State *L, byn_process *p,
                                           int index) {
  return !p->limited || byn_mailbox_limit_admits_call(L, p, index);
}

/* The arguments (max, what) at `index`: max is nil or without limit (0), or a
 * positive integer, and then what is "drop" or "kill". Raises on anything
 * else. */
uint32_t byn_check_mailbox_limit(lua_State *L, int index, bool *kills);

/* set_max_mailbox(max, what): of the caller. Into the table on top. */
void byn_mailbox_limit_functions(lua_State *L);

#endif
