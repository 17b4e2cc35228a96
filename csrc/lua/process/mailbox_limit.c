/* Long mailboxes: an event as one grows, and the limit of those that have
 * one. */
#include "mailbox_limit.h"

#include <math.h>

#include "../../core/assert.h"
#include "../../core/map.h"
#include "../value/compat.h"
#include "../value/reason.h"
#include "event.h"
#include "label.h"
#include "lookup.h"
#include "node.h"

/* Of a process with a limit: node->mailbox_limits has it by the serial. */
typedef struct mailbox_limit {
  uint32_t max;
  bool kills;
  bool full;        /* the event mailbox_full has come, and not the other */
  uint64_t dropped; /* since then */
} mailbox_limit;

static mailbox_limit *limit_of(const byn_process *p) {
  mailbox_limit *limit =
      p->limited ? byn_map_get(&p->node->mailbox_limits, p->id.serial) : NULL;
  byn_assert(p->limited == (limit != NULL));
  return limit;
}

/* --- events --------------------------------------------------------------- */

typedef struct mailbox_event {
  const char *name;
  byn_process *p;
  const mailbox_limit *limit; /* or NULL */
} mailbox_event;

static void set_integer(lua_State *L, const char *field, uint64_t value) {
  lua_pushinteger(L, (lua_Integer)value);
  lua_setfield(L, -2, field);
}

static int report_protected(lua_State *L) {
  const mailbox_event *e = lua_touserdata(L, 1);
  byn_process *p = e->p;
  if (!byn_event(L, p->node, e->name)) return 0;
  byn_process_push(L, p);
  lua_setfield(L, -2, "pid");
  byn_slot_push(L, p->name);
  lua_setfield(L, -2, "name");
  byn_label_push(L, p);
  lua_setfield(L, -2, "label");
  set_integer(L, "length", p->mail.count);
  if (e->limit) {
    set_integer(L, "max", e->limit->max);
    lua_pushstring(L, e->limit->kills ? "kill" : "drop");
    lua_setfield(L, -2, "action");
    if (e->limit->full) set_integer(L, "dropped", e->limit->dropped);
  }
  byn_event_done(L, p->node);
  return 0;
}

/* Without errors: who sends a message must not hear that memory was short for
 * an event. false: it was. */
static bool report(lua_State *L, const char *name, byn_process *p,
                   const mailbox_limit *limit) {
  mailbox_event event = {name, p, limit};
  if (!p->node->events) return true;
  if (!lua_checkstack(L, 4)) return false;
  lua_pushcfunction(L, report_protected);
  lua_pushlightuserdata(L, &event);
  if (lua_pcall(L, 1, 0, 0) == LUA_OK) return true;
  lua_pop(L, 1);
  return false;
}

/* --- long ones ------------------------------------------------------------ */

void byn_mailbox_grew(lua_State *L, byn_process *p) {
  byn_assert(p->mail.count >= p->mail_watch);
  if (p->mail.count <= BYN_MAILBOX_LONG / 2) {
    p->long_log2 = 0;
    p->mail_watch = BYN_MAILBOX_LONG;
    return;
  }
  if (p->mail.count < (uint64_t)BYN_MAILBOX_LONG << p->long_log2) return;
  if (!report(L, "mailbox_long", p, NULL)) return;
  p->long_log2++;
  p->mail_watch = 0; /* to notice when it is short again */
}

/* --- limits --------------------------------------------------------------- */

void byn_mailbox_limit(lua_State *L, byn_process *p, uint32_t max, bool kills) {
  byn_map *limits = &p->node->mailbox_limits;
  const byn_alloc *alloc = &p->node->world->alloc;
  if (!max) {
    byn_mailbox_unlimit(L, p);
    return;
  }
  mailbox_limit *limit = limit_of(p);
  if (!limit) {
    limit = byn_new(alloc, sizeof *limit);
    if (limit) *limit = (mailbox_limit){0};
    if (limit && !byn_map_put(limits, p->id.serial, limit)) {
      byn_free(alloc, limit, sizeof *limit);
      limit = NULL;
    }
    if (!limit) luaL_error(L, "not enough memory");
    p->limited = true;
  }
  limit->max = max;
  limit->kills = kills;
}

/* false: memory was too short for the event, and nothing has changed. */
static bool mailbox_drained(lua_State *L, byn_process *p,
                            mailbox_limit *limit) {
  bool tells = limit->full && limit->dropped;
  if (tells && !report(L, "mailbox_drained", p, limit)) return false;
  limit->full = false;
  limit->dropped = 0;
  return true;
}

void byn_mailbox_unlimit(lua_State *L, byn_process *p) {
  mailbox_limit *limit = limit_of(p);
  if (!limit) return;
  if (!mailbox_drained(L, p, limit)) luaL_error(L, "not enough memory");
  byn_map_remove(&p->node->mailbox_limits, p->id.serial);
  byn_free(&p->node->world->alloc, limit, sizeof *limit);
  p->limited = false;
}

static int end_protected(lua_State *L) {
  byn_process *p = lua_touserdata(L, 1);
  lua_pushinteger(L, lua_tointeger(L, 2));
  byn_reason_make(L, "mailbox_full", 1);
  byn_process_end(L, p);
  return 0;
}

/* Where memory is short, the message is dropped, and the next one tries
 * again. */
static void kill_for_mailbox(lua_State *L, byn_process *p, uint32_t max) {
  if (p->exiting || !lua_checkstack(L, 4)) return;
  lua_pushcfunction(L, end_protected);
  lua_pushlightuserdata(L, p);
  lua_pushinteger(L, max);
  if (lua_pcall(L, 2, 0, 0) != LUA_OK) lua_pop(L, 1);
}

bool byn_mailbox_limit_admits(lua_State *L, byn_process *p) {
  mailbox_limit *limit = limit_of(p);
  if (p->state >= BYN_EXITING) return true; /* it is dropped anyway */
  if (limit->full && p->mail.count <= limit->max / 2)
    mailbox_drained(L, p, limit);
  if (p->mail.count < limit->max) return true;
  if (!limit->kills) limit->dropped++;
  if (!limit->full) limit->full = report(L, "mailbox_full", p, limit);
  if (limit->kills) kill_for_mailbox(L, p, limit->max);
  return false;
}

bool byn_mailbox_limit_admits_call(lua_State *L, byn_process *p, int index) {
  if (p->behaviour->always_takes && p->behaviour->always_takes(L, index))
    return true;
  return byn_mailbox_limit_admits(L, p);
}

/* --- in Lua --------------------------------------------------------------- */

uint32_t byn_check_mailbox_limit(lua_State *L, int index, bool *kills) {
  int whole = 0;
  bool number = lua_type(L, index) == LUA_TNUMBER;
  lua_Integer max = number ? lua_tointegerx(L, index, &whole) : 0;
  *kills = false;
  if (lua_isnoneornil(L, index) || byn_reason_is(L, index, "infinity") ||
      (number && lua_tonumber(L, index) == HUGE_VAL))
    return 0;
  luaL_argcheck(L, whole && max > 0 && max <= BYN_MAILBOX_MOST, index,
                "a positive integer, math.huge or \"infinity\" expected");
  *kills = byn_reason_is(L, index + 1, "kill");
  luaL_argcheck(L, *kills || byn_reason_is(L, index + 1, "drop"), index + 1,
                "\"drop\" or \"kill\" expected");
  return (uint32_t)max;
}

static int l_set_max_mailbox(lua_State *L) {
  byn_process *p = byn_process_here(L, "set_max_mailbox");
  bool kills;
  luaL_argexpected(L, !lua_isnoneornil(L, 1), 1, "number of messages");
  uint32_t max = byn_check_mailbox_limit(L, 1, &kills);
  byn_mailbox_limit(L, p, max, kills);
  lua_pushboolean(L, 1);
  return 1;
}

void byn_mailbox_limit_functions(lua_State *L) {
  static const luaL_Reg functions[] = {{"set_max_mailbox", l_set_max_mailbox},
                                       {NULL, NULL}};
  byn_set_functions(L, functions);
}
