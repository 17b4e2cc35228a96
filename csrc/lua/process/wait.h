/* Waiting: what a process waits for, and what wakes it.
 *
 * A process waits in a C function that its code has called: that yields, and
 * what it waits for leaves the results on the coroutine, or lets the scheduler
 * find them at the next turn. A behaviour waits by returning.
 */
#ifndef BYN_WAIT_H
#define BYN_WAIT_H

#include <stdbool.h>
#include <stdint.h>

#include "../value/compat.h"
#include "../value/id.h"
#include "mailbox.h"
#include "process.h"
#include "relation.h"

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

/* Before a process makes another one and waits until that has started: its ref
 * is the last that is made before the other's pid, so byn_process_new comes
 * next. The caller goes on to wait with BYN_WAIT_REPLY. */
void byn_process_expect_start(byn_process *starter, byn_id *ref);
/* Does p, or whoever waits until p has started, and so on, start for `other`?
 * Then p would wait in vain for an answer of that. */
bool byn_process_starts_for(const byn_process *p, const byn_process *other);
/* Does it wait until a process that it has made has started? Only then can
 * anybody start for it. */
static inline bool byn_process_awaits_start(const byn_process *p) {
  return p->wait == BYN_WAIT_REPLY && p->arguments < 0 && !p->call;
}

/* Waits for the reply to `call`, known by `ref`; p can wait here. If this
 * raises, for want of memory, the call is no more. */
int byn_process_wait_reply(lua_State *L, byn_process *p, byn_relation *call,
                           const byn_id *ref, int64_t ms);

/* Waits for the `done` of that serial; p can wait here. Afterwards the results
 * are what it was given. */
int byn_process_wait_done(lua_State *L, byn_process *p, uint64_t serial,
                          int64_t ms);

/* The first mail for the code of the process that a receive has not passed
 * over, or NULL. Passes over those that are for its behaviour. */
static inline byn_mail *byn_process_peek_mail(byn_process *p) {
  byn_mail *mail = byn_mailbox_peek(&p->mail);
  if (!p->behaviour->owns) return mail;
  for (; mail && p->behaviour->owns(p, mail); mail = byn_mailbox_peek(&p->mail))
    byn_mailbox_skip(&p->mail);
  return mail;
}

/* The same, and pushes what the program sees of it. That may collect garbage,
 * and a finalizer may take mails out meanwhile. */
byn_mail *byn_process_show_mail(lua_State *L, byn_process *p);

/* Takes that mail out and pushes what the program sees of it; false if there
 * is none. */
bool byn_process_take_mail(lua_State *L, byn_process *p);
/* Frees a mail that code of the process took out. */
void byn_process_drop_mail(lua_State *L, byn_process *p, byn_mail *mail);

/* The wait's timer is due. */
void byn_process_expire(byn_process *p);

/* Pops `count` values as what BYN_WAIT_REPLY or BYN_WAIT_AWAIT answers, and
 * wakes p. */
void byn_process_answer(lua_State *L, byn_process *p, int count);

/* A time-out argument at `index`, in milliseconds: an integer (or a float
 * that is one) >= 0, math.huge or "infinity" (-1), or nil (`otherwise`).
 * Raises on anything else. */
int64_t byn_check_timeout(lua_State *L, int index, int64_t otherwise);

#endif
