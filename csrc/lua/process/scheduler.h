/* The scheduler: who runs when, and what makes a process wait or go on.
 *
 * A node has a queue of the processes that are READY. A turn takes the first
 * of them and runs it until it waits, has handled one mail, or has had its
 * share of messages; one that could go on stands at the end of the queue
 * again. Turns are taken inside step only, one at a time.
 */
#ifndef BYN_SCHEDULER_H
#define BYN_SCHEDULER_H

#include <stdbool.h>
#include <stdint.h>

#include "../value/compat.h"
#include "../value/id.h"
#include "mailbox.h"
#include "process.h"
#include "relation.h"

struct byn_node;

/* --- waking ------------------------------------------------------------- */

/* Puts it into the run queue if it is IDLE. */
void byn_process_ready(byn_process *p);

/* Pops a function and `arguments` from L onto a coroutine, to be run next
 * thing when the current callback returns; `returned` hears how it went.
 * The process must have no coroutine in use. */
void byn_process_call(lua_State *L, byn_process *p, int arguments);

/* The same, with the function on top and its arguments below, the first on
 * top of the others: what is found last need not be put below the rest. */
void byn_process_callback(lua_State *L, byn_process *p, int arguments);

/* Appends a mail (taken over) and wakes the process if it waits for one. */
void byn_process_mail(lua_State *L, byn_process *p, byn_mail *mail);

/* Pops a message and hands it to p right away if p waits in a receive for
 * whatever comes: none is before it then. false: nothing is done. */
bool byn_process_hand(lua_State *L, byn_process *p);

/* Sets the behaviour's timer, `ms` from now; replaces one that is set.
 * byn_process_untimer takes it away. */
void byn_process_timer(lua_State *L, byn_process *p, int64_t ms);
void byn_process_untimer(byn_process *p);

/* In a C function called from the code of process p: waits. The caller does
 * `return byn_process_wait(L, p, what, ms)`; what the wait yields is what
 * the function returns to Lua. ms < 0: no limit. After `ms` the results are
 * `nil, "timeout"` (BYN_WAIT_SLEEP: true; BYN_WAIT_MAIL: false).
 * Raises if this place in the code cannot wait (outside a process, inside a
 * C function that cannot be left). */
int byn_process_wait(lua_State *L, byn_process *p, byn_wait what, int64_t ms);

/* At the end of a C function that took a message for p: has p had its share
 * of this turn, and can it wait here? */
bool byn_process_gives_way(lua_State *L, byn_process *p);

/* Raises if the code of p cannot wait here, before anything is done. */
void byn_process_check_wait(lua_State *L, const byn_process *p);

/* A new ref that a reply may be sent to, which p will wait for with
 * BYN_WAIT_REPLY. */
void byn_process_expect(byn_process *p, byn_id *ref);

/* Waits for the reply to `call`, known by `ref`; p can wait here. If this
 * raises, for want of memory, the call is no more. */
int byn_process_wait_reply(lua_State *L, byn_process *p, byn_relation *call,
                           const byn_id *ref, int64_t ms);

/* Takes the first mail out and pushes what the program sees of it; false if
 * there is none. */
bool byn_process_take_mail(lua_State *L, byn_process *p);
/* Frees a mail that code of the process took out. */
void byn_process_drop_mail(lua_State *L, byn_process *p, byn_mail *mail);

/* The wait's timer is due. */
void byn_process_expire(byn_process *p);

/* Pops `count` values as what BYN_WAIT_REPLY answers, and wakes p. */
void byn_process_answer(lua_State *L, byn_process *p, int count);

/* --- turns -------------------------------------------------------------- */

/* Runs ready processes, at most `slices` of them. */
void byn_node_run(lua_State *L, struct byn_node *node, int slices);

/* The one that is ready after `before`, or the first of all; or NULL. */
byn_process *byn_node_next_ready(struct byn_node *node, byn_process *before);
/* Runs one that is ready, whatever its place. */
void byn_node_take_turn(lua_State *L, struct byn_node *node, byn_process *p);

#endif
