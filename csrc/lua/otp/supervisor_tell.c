/* Supervisors: what they tell of their children. */
#include "supervisor_tell.h"

#include "../../core/assert.h"
#include "../value/reason.h"
#include "../process/event.h"
#include "../process/lookup.h"
#include "../process/node.h"
#include "../process/scheduler.h"
#include "../process/wait.h"
#include "supervisor.h"

/* --- failures ------------------------------------------------------------- */

/* Where the n-th failure stands in the table: its id, and then its reason. */
static int failure_place(uint32_t n) {
  return (int)(n % BYN_RECENT_FAILURES) * 2 + 1;
}

void byn_failure_add(lua_State *L, byn_process *p, const byn_supervised *child,
                     int index) {
  byn_supervisor *s = p->self;
  index = lua_absindex(L, index);
  if (!s->failures) {
    lua_createtable(L, BYN_RECENT_FAILURES * 2, 0);
    s->failures = byn_slot_put(L, byn_slots_at(p));
  }
  byn_slot_push(L, s->failures);
  byn_supervised_push_id(L, child);
  lua_rawseti(L, -2, failure_place(s->failure_count));
  lua_pushvalue(L, index);
  lua_rawseti(L, -2, failure_place(s->failure_count) + 1);
  s->failure_count++;
  lua_pop(L, 1);
}

void byn_failure_push_last(lua_State *L, const byn_process *p) {
  const byn_supervisor *s = p->self;
  if (!s->failure_count) {
    lua_pushnil(L);
    return;
  }
  byn_slot_push(L, s->failures);
  lua_rawgeti(L, -1, failure_place(s->failure_count - 1) + 1);
  lua_replace(L, -2);
}

/* Sets `reasons` of the table on top: a list of {id=, reason=}, the last one
 * last. */
static void set_failure_reasons(lua_State *L, const byn_process *p) {
  const byn_supervisor *s = p->self;
  uint32_t count = s->failure_count < BYN_RECENT_FAILURES ? s->failure_count
                                                          : BYN_RECENT_FAILURES;
  byn_slot_push(L, s->failures);
  lua_createtable(L, BYN_RECENT_FAILURES, 0);
  for (uint32_t i = 0; i < count; i++) {
    int at = failure_place(s->failure_count - count + i);
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

/* What is told of a child; NULL, 0: nothing. */
typedef struct child_event {
  const char *node;     /* the event's name for the node */
  const char *observer; /* and for the observer */
  const byn_id *old;    /* the pid before */
  int reason;           /* stack index */
  int64_t ms;           /* for how long it has been told to stop */
  bool pid, reasons;    /* has it the pid, the reasons of the failures? */
} child_event;

/* Sets the fields that an event and a message have in common. */
static void set_child_fields(lua_State *L, const byn_supervised *child,
                             const child_event *e) {
  byn_supervised_push_id(L, child);
  lua_setfield(L, -2, "id");
  if (e->pid) {
    byn_id_push(L, &child->pid);
    lua_setfield(L, -2, "pid");
  }
  if (e->ms) {
    lua_pushinteger(L, e->ms);
    lua_setfield(L, -2, "ms");
  }
  if (e->old) {
    byn_id_push(L, e->old);
    lua_setfield(L, -2, "old");
  }
  if (e->reason) {
    byn_reason_copy(L, e->reason);
    lua_setfield(L, -2, "reason");
  }
}

static void push_supervisor(lua_State *L, byn_process *p) {
  if (p->name)
    byn_slot_push(L, p->name);
  else
    byn_process_push(L, p);
}

static void tell_node(lua_State *L, byn_process *p, const byn_supervised *child,
                      const child_event *e) {
  if (!e->node || !byn_event(L, p->node, e->node)) return;
  push_supervisor(L, p);
  lua_setfield(L, -2, "supervisor");
  set_child_fields(L, child, e);
  if (e->reasons) set_failure_reasons(L, p);
  byn_event_done(L, p->node);
}

static void tell_observer(lua_State *L, byn_process *p,
                          const byn_supervised *child, const child_event *e) {
  byn_supervisor *s = p->self;
  if (!e->observer || !s->observer.serial) return;
  byn_process *observer = byn_node_find(p->node, &s->observer);
  if (!observer) return;
  lua_createtable(L, 0, 6);
  lua_pushliteral(L, "child");
  lua_setfield(L, -2, "tag");
  lua_pushstring(L, e->observer);
  lua_setfield(L, -2, "event");
  set_child_fields(L, child, e);
  byn_process_mail(L, observer,
                   byn_mail_new(L, p->node->world, BYN_MAIL_MESSAGE, NULL));
}

static void tell_both(lua_State *L, byn_process *p, const byn_supervised *child,
                      const child_event *e) {
  byn_supervisor *s = p->self;
  if (!p->node->events && !s->observer.serial) return;
  luaL_checkstack(L, 10, NULL);
  tell_node(L, p, child, e);
  tell_observer(L, p, child, e);
}

void byn_tell_started(lua_State *L, byn_process *p, byn_supervised *child,
                      const byn_id *old) {
  child_event e = {.node = old ? "child_restarted" : "child_started",
                   .observer = old ? "restarted" : "started",
                   .old = old,
                   .pid = true};
  child->announced = 1;
  tell_both(L, p, child, &e);
}

void byn_tell_exited(lua_State *L, byn_process *p, byn_supervised *child,
                     int reason) {
  child_event e = {.node = "child_exited",
                   .observer = "exited",
                   .reason = reason,
                   .pid = true};
  tell_both(L, p, child, &e);
}

void byn_tell_failed(lua_State *L, byn_process *p, byn_supervised *child,
                     int reason) {
  child_event e = {.node = "child_start_failed", .reason = reason};
  tell_both(L, p, child, &e);
}

void byn_tell_gave_up(lua_State *L, byn_process *p, byn_supervised *child) {
  child_event e = {.node = "supervisor_gave_up", .reasons = true};
  byn_failure_push_last(L, p);
  e.reason = lua_gettop(L);
  tell_both(L, p, child, &e);
  lua_pop(L, 1);
}

void byn_tell_ended(lua_State *L, byn_process *p, byn_supervised *child) {
  child_event e = {.observer = "ended", .pid = true};
  if (!child->announced) return;
  child->announced = 0;
  tell_both(L, p, child, &e);
}

/* --- slow stops ----------------------------------------------------------- */

#define SLOW_STOP_MS 5000
#define SLOW_STOP_LAST_MS (24 * 3600 * 1000) /* nothing is told after that */
#define SLOW_STOPS_TOLD 5                    /* children, at a time */

void byn_watch_slow_stop(lua_State *L, byn_process *p) {
  byn_supervisor *s = p->self;
  if (p->node->points) return;
  s->stopping_since = byn_node_now(L, p->node);
  s->slow_at = s->stopping_since + SLOW_STOP_MS;
}

void byn_tell_slow_stop(lua_State *L, byn_process *p) {
  byn_supervisor *s = p->self;
  int64_t now = p->node->now, ms = now - s->stopping_since;
  int left = SLOW_STOPS_TOLD;
  s->slow_at = ms < SLOW_STOP_LAST_MS ? now + ms : BYN_NEVER;
  if (byn_restart_deadline(&s->machine) <= now) return; /* it is killed now */
  for (byn_child *c = s->machine.children.first; c && left; c = c->next) {
    byn_supervised *child = (byn_supervised *)c;
    child_event e = {.node = "child_stop_slow", .pid = true, .ms = ms};
    if (c->state != BYN_CHILD_STOPPING) continue;
    tell_node(L, p, child, &e);
    left--;
  }
}
