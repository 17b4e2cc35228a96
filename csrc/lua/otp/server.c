/* Servers: the behaviour that runs a module's callbacks, and starts. */
#include "server.h"

#include "../../core/assert.h"
#include "../value/misuse.h"
#include "../value/arity.h"
#include "../value/reason.h"
#include "../value/term.h"
#include "../process/call.h"
#include "../process/coroutine.h"
#include "../process/event.h"
#include "../process/lookup.h"
#include "../process/mailbox_limit.h"
#include "../process/node.h"
#include "../process/scheduler.h"
#include "../process/signal.h"
#include "../process/wait.h"
#include "directive.h"
#include "server_functions.h"
#include "server_label.h"
#include "server_start.h"
#include "server_system.h"
#include "status.h"

static const byn_behaviour server_behaviour;

/* --- what it does --------------------------------------------------------- */

/* The transitions in server.h, and what the server holds in each state. */
#ifdef BYN_ASSERT
static bool may_become(const byn_server *s, byn_doing next) {
  const byn_doing now = s->doing;
  bool handling = now >= BYN_IN_CALL && now <= BYN_IN_CONTINUE;
  bool started = now != BYN_STARTING || !s->mail;
  bool idle = now == BYN_IDLING && !s->reason;
  int kind = s->mail ? (int)s->mail->kind : -1;
  switch (next) {
  case BYN_IDLING:
    return now <= BYN_FORMATTING && !s->mail && !s->reason && !s->status &&
           !s->held_reply;
  case BYN_STARTING:
    return now == BYN_STARTING && s->mail;
  case BYN_IN_CALL:
  case BYN_IN_RESOLVE:
  case BYN_REPLACING:
  case BYN_HANDING_OVER:
    return idle && kind == BYN_MAIL_CALL;
  case BYN_IN_CAST:
    return idle && kind == BYN_MAIL_CAST;
  case BYN_IN_INFO:
    return idle && kind != BYN_MAIL_CALL && kind != BYN_MAIL_CAST;
  case BYN_IN_CONTINUE:
    return (handling || now == BYN_STARTING) && !s->mail && !s->reason;
  case BYN_FORMATTING:
    return idle && kind == BYN_MAIL_CALL && s->status;
  case BYN_TERMINATING:
    return (now <= BYN_IN_CONTINUE || now == BYN_HANDING_OVER) && started &&
           s->reason && !s->status;
  case BYN_REPORTING:
    return (now <= BYN_IN_CONTINUE || now == BYN_HANDING_OVER ||
            now == BYN_TERMINATING) &&
           started && s->reason && s->status;
  }
  return false;
}
#else
#define may_become(s, next) true
#endif

static void set_doing(byn_server *s, byn_doing what) {
  byn_assert(may_become(s, what));
  s->doing = (uint8_t)what;
}

void byn_server_free_mail(lua_State *L, byn_process *p) {
  byn_server *s = p->self;
  byn_mail *mail = s->mail;
  s->mail = NULL;
  if (mail) byn_mail_free(L, p->node->world, mail);
}

void byn_server_idle(lua_State *L, byn_process *p) {
  byn_server *s = p->self;
  set_doing(s, BYN_IDLING);
  if (s->timeout != BYN_NO_TIMEOUT) byn_process_timer(L, p, s->timeout);
  s->timeout = BYN_NO_TIMEOUT;
  if (s->timeout_due) byn_process_ready(p);
}

/* --- replies -------------------------------------------------------------- */

bool byn_server_reply(lua_State *L, byn_process *p, int count) {
  byn_server *s = p->self;
  byn_assert(s->mail && s->mail->kind == BYN_MAIL_CALL);
  if (byn_try_reply(L, p->node, &s->mail->id, count)) return true;
  if (count) lua_replace(L, -count - 1);
  if (count > 1) lua_pop(L, count - 1);
  return false;
}

void byn_server_reply_error(lua_State *L, byn_process *p) {
  lua_pushnil(L);
  lua_insert(L, -2);
  if (!byn_server_reply(L, p, 2)) lua_pop(L, 1);
}

/* --- callbacks ------------------------------------------------------------ */

/* Pushes the instance and above it its handle_call, handle_cast or
 * handle_info, as run_handler takes them; false, and nothing, if it has no such
 * handler. */
static bool push_handler(lua_State *L, byn_process *p, const char *name) {
  byn_server *s = p->self;
  byn_slot_push(L, s->state);
  if (lua_getfield(L, -1, name) != LUA_TNIL) return true;
  lua_pop(L, 2);
  return false;
}

bool byn_server_push_callback(lua_State *L, byn_process *p, const char *name) {
  bool found = push_handler(L, p, name);
  if (found) lua_insert(L, -2);
  return found;
}

/* Runs the handler on top with the `arguments` values below it (all popped):
 * the instance, just below the handler, is its first argument. */
static void run_handler(lua_State *L, byn_process *p, byn_doing what,
                        int arguments) {
  set_doing(p->self, what);
  byn_process_callback(L, p, arguments);
}

void byn_server_run_callback(lua_State *L, byn_process *p, byn_doing what,
                             int arguments) {
  set_doing(p->self, what);
  byn_process_call(L, p, arguments);
}

bool byn_server_format_status(lua_State *L, byn_process *p, byn_doing what) {
  byn_server *s = p->self;
  byn_assert(!s->status && lua_istable(L, -1));
  if (!byn_server_push_callback(L, p, "format_status")) return false;
  lua_getfield(L, -3, "state");
  byn_status_push_state(L, -1);
  lua_setfield(L, -5, "state");
  lua_pop(L, 1);
  lua_pushvalue(L, -3);
  s->status = byn_slot_put(L, byn_slots_at(p));
  lua_rotate(L, -3, 2);
  byn_server_run_callback(L, p, what, 2);
  return true;
}

/* --- stopping ------------------------------------------------------------- */

/* The last step: sends the reply that waited for terminate, and ends the
 * process. */
static void server_finish(lua_State *L, byn_process *p) {
  byn_server *s = p->self;
  byn_assert(s->reason);
  if (s->held_reply) {
    byn_slot_push(L, s->held_reply);
    int directive = lua_gettop(L);
    byn_directive_replies(L, directive);
    byn_server_reply(L, p, lua_gettop(L) - directive);
    lua_settop(L, directive - 1);
  }
  byn_slot_push(L, s->reason);
  byn_process_end(L, p);
}

/* Pushes {state=, message=, reason=}, all as they are. */
static void push_crash_status(lua_State *L, byn_process *p) {
  byn_server *s = p->self;
  lua_createtable(L, 0, 3);
  byn_slot_push(L, s->state);
  lua_setfield(L, -2, "state");
  byn_slot_push(L, s->reason);
  lua_setfield(L, -2, "reason");
  if (!s->mail) return;
  if (s->mail->kind == BYN_MAIL_CALL || s->mail->kind == BYN_MAIL_CAST)
    byn_value_push(L, &s->mail->value);
  else
    byn_mail_push(L, s->mail);
  lua_setfield(L, -2, "message");
}

/* terminate has ended with `count` values (popped), or there is none. A crash
 * that somebody wants to hear of is shown as format_status leaves it. */
static void server_terminated(lua_State *L, byn_process *p, int status,
                              int count) {
  byn_server *s = p->self;
  byn_assert(s->reason && !s->status);
  if (status == LUA_OK) {
    lua_pop(L, count);
  } else {
    byn_slot_free(L, byn_slots_at(p), s->reason);
    s->reason = 0;
    s->reason = byn_slot_put(L, byn_slots_at(p));
  }
  byn_slot_push(L, s->reason);
  bool crashed = p->node->events && byn_reason_is_error(L, -1);
  lua_pop(L, 1);
  if (crashed) {
    push_crash_status(L, p);
    if (byn_server_format_status(L, p, BYN_REPORTING)) return;
    s->status = byn_slot_put(L, byn_slots_at(p));
  }
  server_finish(L, p);
}

void byn_server_stop(lua_State *L, byn_process *p) {
  byn_server *s = p->self;
  byn_assert(!s->reason);
  s->reason = byn_slot_put(L, byn_slots_at(p));
  byn_process_untimer(p);
  if (!byn_server_push_callback(L, p, "terminate")) {
    server_terminated(L, p, LUA_OK, 0);
    return;
  }
  byn_slot_push(L, s->reason);
  byn_reason_copy(L, -1);
  lua_remove(L, -2);
  byn_server_run_callback(L, p, BYN_TERMINATING, 2);
}

/* Stops it for {"error", "<label> <text>", where}: the module is wrong. */
static void stop_for_fault(lua_State *L, byn_process *p, const char *text) {
  byn_slot_push(L, p->label);
  const char *label = lua_tostring(L, -1);
  lua_pushfstring(L, "%s %s", label ? label : "the server", text);
  lua_remove(L, -2);
  lua_pushliteral(L, "stack traceback:\n\t(between two handlers)");
  byn_reason_make(L, "error", 2);
  byn_server_stop(L, p);
}

/* format_status has ended with `count` values (popped). */
static void status_formatted(lua_State *L, byn_process *p, int status,
                             int count) {
  byn_server *s = p->self;
  byn_assert(s->status);
  byn_slot_push(L, s->status);
  lua_insert(L, -count - 1);
  int given = lua_gettop(L) - count;
  byn_status_formatted(L, given, status, count);
  byn_slot_free(L, byn_slots_at(p), s->status);
  s->status = 0;
  s->status = byn_slot_put(L, byn_slots_at(p));
  lua_settop(L, given - 1);
  if (s->doing == BYN_REPORTING)
    server_finish(L, p);
  else
    byn_server_reply_status(L, p);
}

/* --- what a handler returns ----------------------------------------------- */

void byn_server_continue(lua_State *L, byn_process *p) {
  if (!byn_server_push_callback(L, p, "handle_continue")) {
    lua_pop(L, 1);
    stop_for_fault(L, p,
                   "has no handle_continue, but one of its callbacks "
                   "returned server.continue(arg)");
    return;
  }
  byn_directive_value(L, -3);
  lua_remove(L, -4);
  byn_server_run_callback(L, p, BYN_IN_CONTINUE, 2);
}

/* Does what the directive on top (popped) says. */
static void follow_directive(lua_State *L, byn_process *p,
                             byn_directive_kind kind) {
  byn_server *s = p->self;
  if (kind == BYN_STOP) {
    /* A reply to the call in hand waits for terminate, as in OTP. */
    if (s->doing == BYN_IN_CALL && byn_directive_reply_count(L, -1)) {
      lua_pushvalue(L, -1);
      s->held_reply = byn_slot_put(L, byn_slots_at(p));
    }
    byn_directive_value(L, -1);
    byn_reason_copy(L, -1);
    lua_replace(L, -3);
    lua_pop(L, 1);
    byn_server_stop(L, p);
    return;
  }
  byn_server_free_mail(L, p);
  if (kind == BYN_CONTINUE) {
    byn_server_continue(L, p);
    return;
  }
  lua_pop(L, 1);
  if (kind == BYN_IGNORE)
    stop_for_fault(L, p,
                   "returned server.ignore from a callback that is "
                   "not init");
  else
    byn_server_idle(L, p);
}

/* A handler has returned `count` values (popped): the reply, or a directive.
 * What a handler of no call returns is dropped. */
static void handler_returned(lua_State *L, byn_process *p, int count) {
  byn_server *s = p->self;
  byn_directive_kind kind =
      count ? byn_directive_at(L, -count) : BYN_NO_DIRECTIVE;
  if (kind) {
    lua_pop(L, count - 1);
    follow_directive(L, p, kind);
    return;
  }
  if (s->doing != BYN_IN_CALL) {
    lua_pop(L, count);
  } else if (!byn_server_reply(L, p, count)) {
    lua_pushfstring(L, "returned from handle_call what cannot be sent: %s",
                    lua_tostring(L, -1));
    stop_for_fault(L, p, lua_tostring(L, -1));
    lua_pop(L, 2);
    return;
  }
  byn_server_free_mail(L, p);
  byn_server_idle(L, p);
}

/* --- what the module lacks ------------------------------------------------ */

/* Tells of the message on top (popped), for which there is no handle_info. */
static void drop_message(lua_State *L, byn_process *p) {
  luaL_checkstack(L, 10, NULL);
  if (byn_event(L, p->node, "message_dropped")) {
    lua_pushvalue(L, -2);
    lua_setfield(L, -2, "message");
    byn_process_push(L, p);
    lua_setfield(L, -2, "pid");
    byn_slot_push(L, p->label);
    lua_setfield(L, -2, "label");
    byn_server_push_functions(L, p);
    lua_pushfstring(L, "no handle_info: %s", lua_tostring(L, -1));
    lua_setfield(L, -3, "reason");
    lua_pop(L, 1);
    byn_event_done(L, p->node);
  }
  lua_pop(L, 1);
}

/* --- mail ----------------------------------------------------------------- */

static void take_call(lua_State *L, byn_process *p) {
  byn_server *s = p->self;
  byn_value_push(L, &s->mail->value);
  byn_system_op op = byn_system_at(L, -1);
  if (op) {
    byn_server_system_request(L, p, op);
    return;
  }
  if (!push_handler(L, p, "handle_call")) {
    lua_pushliteral(L, "handle_call");
    byn_server_push_functions(L, p);
    byn_reason_make(L, "undef", 2);
    lua_replace(L, -2);
    byn_server_reply_error(L, p);
    byn_server_free_mail(L, p);
    return;
  }
  /* A call whose handler does not look at `from` needs no userdata for it. */
  bool from = byn_takes(L, p->node->world, -1, 3);
  if (from) {
    byn_id_push(L, &s->mail->id);
    lua_insert(L, -4);
  }
  run_handler(L, p, BYN_IN_CALL, from ? 3 : 2);
}

/* Pops a message and runs the handler of that name with it; false, and the
 * message stays, if there is none. */
static bool handle_message(lua_State *L, byn_process *p, byn_doing what,
                           const char *name) {
  if (!push_handler(L, p, name)) return false;
  run_handler(L, p, what, 2);
  return true;
}

static void take_cast(lua_State *L, byn_process *p) {
  byn_server *s = p->self;
  byn_value_push(L, &s->mail->value);
  if (handle_message(L, p, BYN_IN_CAST, "handle_cast")) return;
  byn_server_push_functions(L, p);
  lua_pushfstring(L, "has no handle_cast, but a cast came; %s",
                  lua_tostring(L, -1));
  stop_for_fault(L, p, lua_tostring(L, -1));
  lua_pop(L, 3);
}

/* A message, a DOWN, or an EXIT. That of the parent is never for handle_info:
 * the server ends too. */
static void take_info(lua_State *L, byn_process *p) {
  byn_server *s = p->self;
  byn_id parent = byn_parent_of(p);
  if (s->mail->kind == BYN_MAIL_EXIT && s->linked &&
      byn_id_equal(&s->mail->id, &parent)) {
    byn_value_take(L, p->node->world, &s->mail->value);
    byn_server_free_mail(L, p);
    byn_server_stop(L, p);
    return;
  }
  byn_mail_push(L, s->mail);
  if (handle_message(L, p, BYN_IN_INFO, "handle_info")) return;
  drop_message(L, p);
  byn_server_free_mail(L, p);
}

/* These do not end the wait for the idle time-out. */
static bool is_system_request(lua_State *L, const byn_mail *mail) {
  if (mail->kind != BYN_MAIL_CALL || mail->value.type != LUA_TTABLE)
    return false;
  byn_value_push(L, &mail->value);
  bool system = byn_system_at(L, -1) != BYN_SYSTEM_NONE;
  lua_pop(L, 1);
  return system;
}

static bool is_system(lua_State *L, int index) {
  return byn_system_at(L, index) != BYN_SYSTEM_NONE;
}

static void server_take_mail(lua_State *L, byn_process *p, byn_mail *mail) {
  byn_server *s = p->self;
  byn_assert(!s->mail && s->doing == BYN_IDLING);
  s->mail = mail;
  if ((s->timeout_due || p->own_timer) && !is_system_request(L, mail)) {
    s->timeout_due = false;
    byn_process_untimer(p);
  }
  switch (mail->kind) {
  case BYN_MAIL_CALL:
    take_call(L, p);
    break;
  case BYN_MAIL_CAST:
    take_cast(L, p);
    break;
  default:
    take_info(L, p);
  }
}

/* What handle_call and handle_cast get, system requests, and the end of the
 * parent. */
static bool server_owns(const byn_process *p, const byn_mail *mail) {
  const byn_server *s = p->self;
  byn_id parent = byn_parent_of(p);
  if (s && s->open) return false;
  if (mail->kind == BYN_MAIL_CALL || mail->kind == BYN_MAIL_CAST) return true;
  return mail->kind == BYN_MAIL_EXIT && s && s->linked &&
         byn_id_equal(&mail->id, &parent);
}

/* --- the behaviour -------------------------------------------------------- */

static void server_run(lua_State *L, byn_process *p) {
  byn_server *s = p->self;
  int top = byn_stack_top(L);
  byn_mail *mail;
  byn_assert(s->doing == BYN_STARTING || s->doing == BYN_IDLING);
  if (s->doing == BYN_STARTING) {
    byn_server_run_init(L, p);
  } else if ((mail = byn_mailbox_pop(&p->mail)) != NULL) {
    server_take_mail(L, p, mail);
  } else if (s->timeout_due) {
    s->timeout_due = false;
    lua_pushliteral(L, "timeout");
    if (!handle_message(L, p, BYN_IN_INFO, "handle_info")) drop_message(L, p);
  }
  byn_assert(lua_gettop(L) == top);
}

/* A callback has ended: it returned, or it raised or called banyan.exit and
 * the reason is on top. */
static void server_returned(lua_State *L, byn_process *p, int status,
                            int count) {
  byn_server *s = p->self;
  int top = byn_stack_top(L);
  byn_assert(s->doing != BYN_IDLING);
  if (s->doing == BYN_TERMINATING)
    server_terminated(L, p, status, count);
  else if (s->doing >= BYN_FORMATTING)
    status_formatted(L, p, status, count);
  else if (s->doing == BYN_STARTING)
    byn_server_start_returned(L, p, status, count);
  else if (s->doing == BYN_REPLACING && status == LUA_OK)
    byn_server_replaced(L, p, count);
  else if (s->doing == BYN_REPLACING)
    byn_server_system_failed(L, p);
  else if (s->doing == BYN_HANDING_OVER)
    byn_server_handed_over(L, p, status, count);
  else if (status == LUA_OK)
    handler_returned(L, p, count);
  else
    byn_server_stop(L, p);
  byn_assert(lua_gettop(L) == top - count);
}

static void server_timed_out(lua_State *L, byn_process *p) {
  byn_server *s = p->self;
  if (s->doing == BYN_STARTING) {
    byn_server_cancel_start(L, p, "timeout", "killed");
    return;
  }
  s->timeout_due = true;
  byn_process_ready(p);
}

static void server_ended(lua_State *L, byn_process *p, int reason) {
  byn_server *s = p->self;
  if (s->doing == BYN_STARTING && s->mail) {
    byn_server_unlink_starter(L, p);
    lua_pushvalue(L, reason);
    byn_server_reply_error(L, p);
  }
  byn_server_free_mail(L, p);
  int *slots[] = {&s->state, &s->reason, &s->held_reply, &s->status,
                  &s->resume};
  for (size_t i = 0; i < sizeof slots / sizeof *slots; i++) {
    byn_slot_free(L, byn_slots_at(p), *slots[i]);
    *slots[i] = 0;
  }
  byn_pool_give(&p->node->world->servers, s);
}

/* The event of a crash shows the status that was made for it. */
static void server_tell(lua_State *L, byn_process *p) {
  byn_server *s = p->self;
  if (!s->status) return;
  byn_slot_push(L, s->status);
  lua_insert(L, -2);
  byn_status_tell(L, lua_gettop(L) - 1);
  lua_remove(L, -2);
}

static const byn_behaviour server_behaviour = {.name = "server",
                                               .run = server_run,
                                               .returned = server_returned,
                                               .owns = server_owns,
                                               .always_takes = is_system,
                                               .timed_out = server_timed_out,
                                               .tell = server_tell,
                                               .ended = server_ended};

/* --- in Lua --------------------------------------------------------------- */

/* The arguments of start: LABEL is the name that the module was given by, else
 * it may have one. With STATE the module has a callback resume. */
enum {
  MODULE = 1,
  ARG,
  LINKED,
  NAME,
  TIMEOUT,
  LABEL,
  MAX,
  FULL,
  STATE,
  HOW,
  ARGUMENTS = HOW
};

/* Raises if the module has a callback that is no function. It has no metatable
 * for instances yet: the one on top is to be that. */
static void check_callbacks(lua_State *L) {
  const char *name = byn_server_bad_callback(L, MODULE);
  if (!name) return;
  const char *type = luaL_typename(L, -1);
  if (lua_isnil(L, LABEL))
    byn_server_push_label(L, MODULE, lua_gettop(L) - 1);
  else
    lua_pushvalue(L, LABEL);
  const char *label = lua_tostring(L, -1);
  byn_misuse(L, "server.%s: the callback %s of %s must be a function, got %s",
             lua_toboolean(L, LINKED) ? "start_link" : "start", name,
             label ? label : "the module", type);
}

/* Pushes a fresh instance of the module; upvalue 2 keeps the metatables. */
static void push_instance(lua_State *L) {
  lua_newtable(L);
  lua_pushvalue(L, MODULE);
  if (lua_rawget(L, lua_upvalueindex(2)) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_createtable(L, 0, 1);
    lua_pushvalue(L, MODULE);
    lua_setfield(L, -2, "__index");
    check_callbacks(L);
    lua_pushvalue(L, MODULE);
    lua_pushvalue(L, -2);
    lua_rawset(L, lua_upvalueindex(2));
  }
  lua_setmetatable(L, -2);
}

/* Replaces a LABEL that is nil by what the module of the instance on top is
 * called. */
static void find_label(lua_State *L) {
  if (!lua_isnil(L, LABEL)) return;
  lua_getmetatable(L, -1);
  byn_server_push_label(L, MODULE, lua_gettop(L));
  lua_replace(L, LABEL);
  lua_pop(L, 1);
}

/* Pushes what s->resume is to hold, or nil. */
static void push_resume(lua_State *L) {
  if (lua_isnil(L, STATE)) {
    lua_pushnil(L);
    return;
  }
  lua_createtable(L, 3, 0);
  lua_pushvalue(L, STATE);
  lua_rawseti(L, -2, 1);
  lua_pushvalue(L, HOW);
  lua_rawseti(L, -2, 2);
}

typedef struct server_start {
  byn_process *starter, *p;
  byn_id ref; /* of the starter's wait */
  int64_t timeout;
  uint32_t max_mailbox; /* 0: no limit */
  bool kills, linked;
} server_start;

/* (start, arg, instance, name, label, resume): fills in the new process. Raises
 * when memory is short. */
static int l_set_up_server(lua_State *L) {
  server_start *start = lua_touserdata(L, 1);
  byn_process *p = start->p;
  byn_server *s = p->self;
  s->resume = byn_slot_put(L, byn_slots_at(p));
  p->label = byn_slot_keep(L, byn_slots_at(p));
  if (!lua_isnil(L, -1)) byn_node_register(L, p->node, p, -1);
  lua_settop(L, 3);
  s->state = byn_slot_keep(L, byn_slots_at(p));
  s->mail = byn_mail_new(L, p->node->world, BYN_MAIL_CALL, &start->ref);
  if (start->max_mailbox)
    byn_mailbox_limit(L, p, start->max_mailbox, start->kills);
  if (start->timeout >= 0) byn_process_timer(L, p, start->timeout);
  if (start->linked) byn_relate_local(L, BYN_LINK, start->starter, p, 0, false);
  return 0;
}

/* Makes a server, which runs init at its first turn, and waits for its answer:
 * see server_start.h and server_ended. */
static int l_start_server(lua_State *L) {
  lua_settop(L, ARGUMENTS);
  server_start start = {.starter = byn_process_here(L, "server.start")};
  byn_process *starter = start.starter;
  start.timeout = byn_check_timeout(L, TIMEOUT, -1);
  start.max_mailbox = byn_check_mailbox_limit(L, MAX, &start.kills);
  start.linked = lua_toboolean(L, LINKED);
  byn_process_check_wait(L, starter);
  byn_process *taken =
      lua_isnil(L, NAME) ? NULL : byn_node_named(L, starter->node, NAME);
  if (taken) {
    lua_pushnil(L);
    byn_process_push(L, taken);
    byn_reason_make(L, "already_started", 1);
    return 2;
  }
  lua_pushcfunction(L, l_set_up_server);
  lua_pushlightuserdata(L, &start);
  byn_term_copy(L, ARG);
  push_instance(L);
  find_label(L);
  lua_pushvalue(L, NAME);
  lua_pushvalue(L, LABEL);
  push_resume(L);
  byn_process_expect_start(starter, &start.ref);
  byn_process *p = byn_process_new(L, starter->node, &server_behaviour);
  byn_assert(p->id.serial == start.ref.serial + 1);
  byn_server *s = byn_pool_take(&p->node->world->servers);
  start.p = p;
  p->self = s;
  if (s)
    *s = (byn_server){.timeout = BYN_NO_TIMEOUT,
                      .doing = BYN_STARTING,
                      .linked = start.linked};
  else
    lua_pushliteral(L, "not enough memory");
  if (!s || lua_pcall(L, 6, 0, 0) != LUA_OK) {
    lua_pushvalue(L, -1);
    byn_process_end(L, p);
    return lua_error(L);
  }
  byn_process_ready(p);
  return byn_process_wait(L, starter, BYN_WAIT_REPLY, -1);
}

static int l_timeout(lua_State *L) {
  byn_process *p = byn_process_here(L, "server.timeout");
  if (p->behaviour != &server_behaviour)
    luaL_error(L, "server.timeout outside a server: call it in a handler");
  ((byn_server *)p->self)->timeout = byn_check_timeout(L, 1, BYN_NO_TIMEOUT);
  lua_pushboolean(L, 1);
  return 1;
}

/* What a receive has passed over is to be received, too. */
static int l_receive_all(lua_State *L) {
  byn_process *p = byn_process_here(L, "server.receive_all");
  byn_server *s = p->behaviour == &server_behaviour ? p->self : NULL;
  if (!s || s->doing != BYN_TERMINATING)
    return luaL_error(L, "server.receive_all outside of terminate");
  byn_mailbox_rewind(&p->mail);
  s->open = true;
  lua_pushboolean(L, 1);
  return 1;
}

/* more() -> bool: will a handler be called with the next message, which is here
 * already? What is not for a handler (a system request, the parent's end) may
 * be the last that comes: it is none. */
static int l_more(lua_State *L) {
  byn_process *p = byn_process_here(L, "server.more");
  byn_mailbox_rewind(&p->mail);
  const byn_mail *mail = byn_mailbox_peek(&p->mail);
  bool more = mail && !is_system_request(L, mail);
  if (more && mail->kind == BYN_MAIL_EXIT) more = !server_owns(p, mail);
  lua_pushboolean(L, more);
  return 1;
}

static int l_stop_with(lua_State *L) {
  byn_argument(L, !lua_isnoneornil(L, 1), 1, "a reason expected");
  byn_directive_make(L, BYN_STOP, lua_gettop(L));
  return 1;
}

static int l_continue(lua_State *L) {
  lua_settop(L, 1);
  byn_directive_make(L, BYN_CONTINUE, 1);
  return 1;
}

/* A weak table: module -> metatable of its instances, as long as there are
 * any. Weak keys alone would not do: the metatable refers to its module, and
 * not every Lua has ephemerons. */
static void push_metatables(lua_State *L) {
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "kv");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
}

void byn_server_open(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"timeout", l_timeout},   {"receive_all", l_receive_all},
      {"more", l_more},         {"stop_with", l_stop_with},
      {"continue", l_continue}, {NULL, NULL}};
  byn_world *w = byn_world_of(L);
  if (!w->servers.alloc)
    byn_pool_init(&w->servers, &w->alloc, sizeof(byn_server));
  byn_directive_open(L);
  lua_newtable(L);
  byn_set_functions(L, functions);
  lua_pushlightuserdata(L, w);
  push_metatables(L);
  lua_pushcclosure(L, l_start_server, 2);
  lua_setfield(L, -2, "start");
  byn_directive_make(L, BYN_NOREPLY, 0);
  lua_setfield(L, -2, "noreply");
  byn_directive_make(L, BYN_IGNORE, 0);
  lua_setfield(L, -2, "ignore");
}
