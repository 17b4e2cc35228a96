/* Mails, and the mailbox that keeps them in order. */
#include "mailbox.h"

#include "../../core/assert.h"
#include "../value/compat.h"

/* --- mails ---------------------------------------------------------------- */

#define SPARE_MAILS 8192 /* kept for re-use */

static void free_spare_mails(byn_world *w) {
  while (w->spare_mails) {
    byn_mail *mail = w->spare_mails;
    w->spare_mails = mail->next;
    byn_free(&w->alloc, mail, sizeof *mail);
  }
}

void byn_mail_open(byn_world *w) {
  w->on_close = free_spare_mails;
}

void byn_mail_reserve(lua_State *L, byn_world *w) {
  byn_slots_reserve(L, &w->slots, 2);
  if (w->spare_mails) return;
  byn_mail *mail = byn_new(&w->alloc, sizeof *mail);
  if (!mail) luaL_error(L, "not enough memory");
  mail->next = NULL;
  w->spare_mails = mail;
  w->spare_mail_count++;
}

byn_mail *byn_mail_new(lua_State *L, byn_world *w, byn_mail_kind kind,
                       const byn_id *id) {
  byn_mail_reserve(L, w);
  byn_mail *mail = w->spare_mails;
  byn_value_put(L, w, &mail->value);
  w->spare_mails = mail->next;
  w->spare_mail_count--;
  mail->next = NULL;
  mail->kind = (uint8_t)kind;
  mail->what = 0;
  mail->id = id ? *id : (byn_id){0};
  if (id) id->origin->uses++;
  return mail;
}

void byn_mail_free(lua_State *L, byn_world *w, byn_mail *mail) {
  byn_value_free(L, w, &mail->value);
  byn_slot_free(L, &w->slots, mail->what);
  byn_assert(!mail->id.origin || mail->id.origin->uses);
  if (mail->id.origin) mail->id.origin->uses--;
  if (w->spare_mail_count >= SPARE_MAILS) {
    byn_free(&w->alloc, mail, sizeof *mail);
    return;
  }
  mail->next = w->spare_mails;
  w->spare_mails = mail;
  w->spare_mail_count++;
}

/* Is it of a kind that names a process or a ref? */
static inline bool has_id(const byn_mail *mail) {
  return mail->kind == BYN_MAIL_CALL || mail->kind == BYN_MAIL_EXIT ||
         mail->kind == BYN_MAIL_DOWN;
}

static void set_tag(lua_State *L, const char *tag) {
  lua_pushstring(L, tag);
  lua_setfield(L, -2, "tag");
}

static void set_id(lua_State *L, const char *field, const byn_id *id) {
  byn_id_push(L, id);
  lua_setfield(L, -2, field);
}

static void set_value(lua_State *L, const char *field, const byn_mail *mail) {
  byn_value_push(L, &mail->value);
  lua_setfield(L, -2, field);
}

void byn_mail_push(lua_State *L, const byn_mail *mail) {
  byn_assert(mail->kind <= BYN_MAIL_DOWN);
  byn_assert((mail->id.origin != NULL) == has_id(mail));
  if (mail->kind == BYN_MAIL_MESSAGE) {
    byn_value_push(L, &mail->value);
    return;
  }
  lua_createtable(L, 0, 4);
  switch (mail->kind) {
  case BYN_MAIL_EXIT:
    set_tag(L, "EXIT");
    set_id(L, "from", &mail->id);
    set_value(L, "reason", mail);
    break;
  case BYN_MAIL_DOWN:
    set_tag(L, "DOWN");
    set_id(L, "ref", &mail->id);
    byn_slot_push(L, mail->what);
    lua_setfield(L, -2, "pid");
    set_value(L, "reason", mail);
    break;
  case BYN_MAIL_CAST:
    set_tag(L, "$cast");
    set_value(L, "msg", mail);
    break;
  default:
    set_tag(L, mail->kind == BYN_MAIL_CALL ? "$call" : "$system");
    set_id(L, "from", &mail->id);
    set_value(L, "msg", mail);
  }
}

/* --- the queue ------------------------------------------------------------ */

/* Both ends or none, and as many as `count` says: as far as that costs nothing
 * to find out. */
static inline bool mailbox_sound(const byn_mailbox *box) {
  if (!box->head) return !box->tail && !box->cursor && !box->count;
  return box->tail && !box->tail->next && box->count > 0 &&
         (box->head == box->tail) == (box->count == 1);
}

void byn_mailbox_append(byn_mailbox *box, byn_mail *mail, uint64_t after) {
  byn_assert(mailbox_sound(box));
  byn_assert(!box->tail || box->tail->after <= after);
  mail->next = NULL;
  mail->previous = box->tail;
  mail->after = after;
  if (box->tail)
    box->tail->next = mail;
  else
    box->head = mail;
  box->tail = mail;
  box->count++;
  byn_assert(mailbox_sound(box));
}

/* Takes out the mail after `before`, or the head. The cursor has been taken
 * away: it might point to that mail. */
static byn_mail *take_after(byn_mailbox *box, byn_mail *before) {
  byn_assert(!box->cursor);
  byn_mail *mail = before ? before->next : box->head;
  if (!mail) return NULL;
  if (before)
    before->next = mail->next;
  else
    box->head = mail->next;
  if (mail->next) mail->next->previous = before;
  if (box->tail == mail) box->tail = before;
  box->count--;
  box->taken++;
  byn_assert(mailbox_sound(box));
  return mail;
}

byn_mail *byn_mailbox_pop(byn_mailbox *box) {
  box->cursor = NULL;
  return take_after(box, NULL);
}

void byn_mailbox_skip(byn_mailbox *box) {
  byn_mail *mail = byn_mailbox_peek(box);
  if (mail) box->cursor = mail;
}

byn_mail *byn_mailbox_pick(byn_mailbox *box) {
  byn_mail *before = box->cursor;
  box->cursor = NULL;
  return take_after(box, before);
}

void byn_mailbox_pass(byn_mailbox *box, uint64_t serial) {
  byn_mail *mail = box->tail;
  while (mail && mail->after >= serial)
    mail = mail->previous;
  box->cursor = mail;
}

void byn_mailbox_clear(lua_State *L, byn_world *w, byn_mailbox *box) {
  for (byn_mail *mail; (mail = byn_mailbox_pop(box)) != NULL;)
    byn_mail_free(L, w, mail);
}
