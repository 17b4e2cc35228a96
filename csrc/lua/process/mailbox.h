/* What waits for a process, in the order in which it came.
 *
 * Small values (nil, booleans, numbers) stand in the mail itself, the rest
 * in a slot. An EXIT or DOWN carries its reason; the table that a Lua
 * program sees is made when it is read, so a supervisor never pays for it.
 */
#ifndef BYN_MAILBOX_H
#define BYN_MAILBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "../value/compat.h"
#include "../value/id.h"
#include "../value/value.h"
#include "../value/world.h"

typedef enum byn_mail_kind {
  BYN_MAIL_MESSAGE, /* value: the message */
  BYN_MAIL_CALL,    /* value: the request; id: the ref to reply to */
  BYN_MAIL_CAST,    /* value: the request */
  BYN_MAIL_EXIT,    /* value: the reason; id: the pid that ended */
  BYN_MAIL_DOWN     /* value: the reason; id: the monitor's ref; what: slot
                       of what was monitored */
} byn_mail_kind;

typedef struct byn_mail {
  struct byn_mail *next, *previous;
  uint64_t
      after; /* of the node's pids and refs: the last made before it came */
  byn_id id;
  byn_value value;
  int what;
  uint8_t kind;
} byn_mail;

typedef struct byn_mailbox {
  byn_mail *head, *tail;
  byn_mail *cursor; /* selective receive: the last one passed over */
  uint32_t count;
  uint32_t taken; /* how many were taken out, modulo 2^32, or never came here:
                     they were handed over at once */
} byn_mailbox;

/* Has the world's spare mails freed when it is closed. */
void byn_mail_open(byn_world *w);

/* Afterwards one mail, and a slot beside it, can be made without fail.
 * Raises when memory is short. */
void byn_mail_reserve(lua_State *L, byn_world *w);

/* A new mail that holds the value popped from the top. Raises when memory is
 * short. */
byn_mail *byn_mail_new(lua_State *L, byn_world *w, byn_mail_kind kind,
                       const byn_id *id);
/* Frees a mail and what it holds. */
void byn_mail_free(lua_State *L, byn_world *w, byn_mail *mail);
/* Pushes what a Lua program sees of it: the message itself, or
 * {tag="EXIT", from=, reason=}, {tag="DOWN", ref=, pid=, reason=},
 * {tag="$call", from=, msg=}, {tag="$cast", msg=}. */
void byn_mail_push(lua_State *L, const byn_mail *mail);

/* `after`: the serial of the node's last pid or ref. */
void byn_mailbox_append(byn_mailbox *box, byn_mail *mail, uint64_t after);
/* Passes over what came before that pid or ref was made. Costs only what came
 * later. */
void byn_mailbox_pass(byn_mailbox *box, uint64_t serial);
/* Takes the first out, or NULL. */
byn_mail *byn_mailbox_pop(byn_mailbox *box);
/* The first that selective receive has not passed over, or NULL. */
static inline byn_mail *byn_mailbox_peek(const byn_mailbox *box) {
  return box->cursor ? box->cursor->next : box->head;
}
/* Passes over it; takes it out; starts again at the head. */
void byn_mailbox_skip(byn_mailbox *box);
byn_mail *byn_mailbox_pick(byn_mailbox *box);
static inline void byn_mailbox_rewind(byn_mailbox *box) {
  box->cursor = NULL;
}
void byn_mailbox_clear(lua_State *L, byn_world *w, byn_mailbox *box);

#endif
