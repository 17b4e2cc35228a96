
#include "../value/compat.h"
#include "../value/reason.h"
#include "../process/event.h"
#include "../process/scheduler.h"
#include "supervisor.h"

/* --- troubles ------------------------------------------------------------- */

/* Where the n-th trouble stands in the table: its id, and then its reason. */
static int place(uint32_t n) {
  return (int)(n % BYN_RECENT) * 2 + 1;
}

void byn_trouble_add(lua_State *L, byn_process *p, const byn_kid *kid,
                     int index) {
  byn_supervisor *s = p->self;
  index = lua_absindex(L, index);
  if (!s->recent) {
    lua_createtable(L, BYN_RECENT * 2, 0);
    s->recent = byn_slot_put(L, byn_slots_at(p));
  }
  byn_slot_push(L, s->recent);
  byn_kid_push_id(L, kid);
  lua_rawseti(L, -2, place(s->troubles));
  lua_pushvalue(L, index);
  lua_rawseti(L, -2, place(s->troubles) + 1);
  s->troubles++;
  lua_pop(L, 1);
}

void byn_trouble_push_last(lua_State *L, const byn_process *p) {
  const byn_supervisor *s = p->self;
  if (!s->troubles) {
    lua_pushnil(L);
    return;
  }
  byn_slot_push(L, s->recent);
  lua_rawgeti(L, -1, place(s->troubles - 1) + 1);
  lua_replace(L, -2);
}

/* Sets `reasons` of the table on top: a list of {id=, reason=}, the last one
 * last. */
static void set_reasons(lua_State *L, const byn_process *p) {
  const byn_supervisor *s = p->self;
  uint32_t count = s->troubles < BYN_RECENT ? s->troubles : BYN_RECENT;
  byn_slot_push(L, s->recent);
  lua_createtable(L, BYN_RECENT, 0);
  for (uint32_t i = 0; i < count; i++) {
    int at = place(s->troubles - count + i);
    lua_createtable(L, 0, 2);
    lua_rawgeti(L, -3, at);
    lua_setfield(L, -2, "id");
    lua_rawgeti(L, -3, at + 1);
    byn_reason_copy(L, -1);
    lua_setfield(L, -3, "reason");
    lua_pop(L, 1);
    lua_rawseti(L, -2, (int)i + 1);
  }
  lua_setfield(L, -3, "reasons");
  lua_pop(L, 1);
}

/* --- events --------------------------------------------------------------- */

/* What there is to say of a child; NULL, 0: nothing. */
typedef struct news {
  const char *event; /* for the node */
  const char *word;  /* for the observer */
  const byn_id *old;
  int reason; /* stack index */
  bool pid, reasons;
} news;

/* Sets the fields that an event and a message have in common. */
static void set_fields(lua_State *L, const byn_kid *kid, const news *n) {
  byn_kid_push_id(L, kid);
  lua_setfield(L, -2, "id");
  if (n->pid) {
    byn_id_push(L, &kid->pid);
    lua_setfield(L, -2, "pid");
  }
  if (n->old) {
    byn_id_push(L, n->old);
    lua_setfield(L, -2, "old");
  }
  if (n->reason) {
    byn_reason_copy(L, n->reason);
    lua_setfield(L, -2, "reason");
  }
}

static void push_supervisor(lua_State *L, byn_process *p) {
  if (p->name)
    byn_slot_push(L, p->name);
  else
    byn_process_push(L, p);
}

static void tell_node(lua_State *L, byn_process *p, const byn_kid *kid,
                      const news *n) {
  if (!n->event || !byn_event(L, p->node, n->event)) return;
  push_supervisor(L, p);
  lua_setfield(L, -2, "supervisor");
  set_fields(L, kid, n);
  if (n->reasons) set_reasons(L, p);
  byn_event_done(L, p->node);
}

static void tell_observer(lua_State *L, byn_process *p, const byn_kid *kid,
                          const news *n) {
  byn_supervisor *s = p->self;
  if (!n->word || !s->observer.serial) return;
  byn_process *observer = byn_node_find(p->node, &s->observer);
  if (!observer) return;
  lua_createtable(L, 0, 6);
  lua_pushliteral(L, "child");
  lua_setfield(L, -2, "tag");
  lua_pushstring(L, n->word);
  lua_setfield(L, -2, "event");
  set_fields(L, kid, n);
  byn_process_mail(L, observer,
                   byn_mail_new(L, p->node->world, BYN_MAIL_MESSAGE, NULL));
}

static void tell(lua_State *L, byn_process *p, const byn_kid *kid,
                 const news *n) {
  byn_supervisor *s = p->self;
  if (!p->node->events && !s->observer.serial) return;
  luaL_checkstack(L, 10, NULL);
  tell_node(L, p, kid, n);
  tell_observer(L, p, kid, n);
}

void byn_tell_started(lua_State *L, byn_process *p, byn_kid *kid,
                      const byn_id *old) {
  news n = {.event = old ? "child_restarted" : "child_started",
            .word = old ? "restarted" : "started",
            .old = old,
            .pid = true};
  kid->announced = 1;
  tell(L, p, kid, &n);
}

void byn_tell_exited(lua_State *L, byn_process *p, byn_kid *kid, int reason) {
  news n = {
      .event = "child_exited", .word = "exited", .reason = reason, .pid = true};
  tell(L, p, kid, &n);
}

void byn_tell_failed(lua_State *L, byn_process *p, byn_kid *kid, int reason) {
  news n = {.event = "child_start_failed", .reason = reason};
  tell(L, p, kid, &n);
}

void byn_tell_gave_up(lua_State *L, byn_process *p, byn_kid *kid) {
  news n = {.event = "supervisor_gave_up", .reasons = true};
  byn_trouble_push_last(L, p);
  n.reason = lua_gettop(L);
  tell(L, p, kid, &n);
  lua_pop(L, 1);
}

void byn_tell_ended(lua_State *L, byn_process *p, byn_kid *kid) {
  news n = {.word = "ended", .pid = true};
  if (!kid->announced) return;
  kid->announced = 0;
  tell(L, p, kid, &n);
}
