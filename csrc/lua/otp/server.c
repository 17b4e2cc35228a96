#include "server.h"

#include "../value/arity.h"
#include "../value/compat.h"
#include "../value/reason.h"
#include "../value/term.h"
#include "../process/call.h"
#include "../process/node.h"
#include "../process/process.h"
#include "../process/scheduler.h"
#include "../process/signal.h"
#include "directive.h"
#include "server_parts.h"
#include "status.h"

static const byn_behaviour server;

void byn_server_free_mail(lua_State *L, byn_process *p) {
  byn_server *s = p->self;
  byn_mail *mail = s->mail;
  s->mail = NULL;
  if (mail) byn_mail_free(L, p->node->world, mail);
}

/* --- replies -------------------------------------------------------------- */

bool byn_server_reply(lua_State *L, byn_process *p, int count) {
  byn_server *s = p->self;
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

/* Pushes the instance and the callback; false, and nothing, if there is no
 * such callback. */
static bool find_callback(lua_State *L, byn_process *p, const char *name) {
  byn_server *s = p->self;
  byn_slot_push(L, s->state);
  if (lua_getfield(L, -1, name) != LUA_TNIL) return true;
  lua_pop(L, 2);
  return false;
}

/* The same, the callback first. */
static bool push_callback(lua_State *L, byn_process *p, const char *name) {
  bool found = find_callback(L, p, name);
  if (found) lua_insert(L, -2);
  return found;
}

/* Runs the callback that was found, on an instance and what lies below. */
static void handle(lua_State *L, byn_process *p, byn_doing what,
                   int arguments) {
  ((byn_server *)p->self)->doing = what;
  byn_process_callback(L, p, arguments);
}

void byn_server_begin(lua_State *L, byn_process *p, byn_doing what,
                      int arguments) {
  ((byn_server *)p->self)->doing = what;
  byn_process_call(L, p, arguments);
}

/* Pushes {"error", "<label> <text>", where}: what is wrong with the module. */
static void push_fault(lua_State *L, byn_process *p, const char *text) {
  byn_slot_push(L, p->label);
  const char *label = lua_tostring(L, -1);
  lua_pushfstring(L, "%s %s", label ? label : "the server", text);
  lua_remove(L, -2);
  lua_pushliteral(L, "stack traceback:\n\t(between two handlers)");
  byn_reason_make(L, "error", 2);
}

/* --- the end -------------------------------------------------------------- */

/* Sends the reply that a stop_with held back until terminate was over. */
static void say_farewell(lua_State *L, byn_process *p) {
  byn_server *s = p->self;
  byn_slot_push(L, s->farewell);
  int directive = lua_gettop(L);
  byn_directive_replies(L, directive);
  byn_server_reply(L, p, lua_gettop(L) - directive);
  lua_settop(L, directive - 1);
}

/* Pushes {state=, message=, reason=}, all as they are. */
static void push_crash(lua_State *L, byn_process *p) {
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

/* Is the reason an error, and does anybody want to know? */
static bool is_news(lua_State *L, byn_process *p) {
  byn_server *s = p->self;
  if (!p->node->events) return false;
  byn_slot_push(L, s->reason);
  bool error = byn_reason_is_error(L, -1);
  lua_pop(L, 1);
  return error;
}

static void finish(lua_State *L, byn_process *p) {
  byn_server *s = p->self;
  if (s->farewell) say_farewell(L, p);
  byn_slot_push(L, s->reason);
  byn_process_end(L, p);
}

bool byn_server_format(lua_State *L, byn_process *p, byn_doing what) {
  byn_server *s = p->self;
  if (!push_callback(L, p, "format_status")) return false;
  lua_getfield(L, -3, "state");
  byn_status_push_state(L, -1);
  lua_setfield(L, -5, "state");
  lua_pop(L, 1);
  lua_pushvalue(L, -3);
  s->status = byn_slot_put(L, byn_slots_at(p));
  lua_rotate(L, -3, 2);
  byn_server_begin(L, p, what, 2);
  return true;
}

/* terminate has run, or there is none. The event of a crash is to show what
 * it crashed with. */
static void wind_up(lua_State *L, byn_process *p) {
  byn_server *s = p->self;
  if (is_news(L, p)) {
    push_crash(L, p);
    if (byn_server_format(L, p, BYN_REPORTING)) return;
    s->status = byn_slot_put(L, byn_slots_at(p));
  }
  finish(L, p);
}

/* Pops what came of format_status; s->status is what is to be shown. */
static void formatted(lua_State *L, byn_process *p, int status, int count) {
  byn_server *s = p->self;
  byn_slot_push(L, s->status);
  lua_insert(L, -count - 1);
  int given = lua_gettop(L) - count;
  byn_status_formatted(L, given, status, count);
  byn_slot_free(L, byn_slots_at(p), s->status);
  s->status = 0;
  s->status = byn_slot_put(L, byn_slots_at(p));
  lua_settop(L, given - 1);
}

void byn_server_terminate(lua_State *L, byn_process *p) {
  byn_server *s = p->self;
  s->reason = byn_slot_put(L, byn_slots_at(p));
  byn_process_untimer(p);
  if (!push_callback(L, p, "terminate")) {
    wind_up(L, p);
    return;
  }
  byn_slot_push(L, s->reason);
  byn_reason_copy(L, -1);
  lua_remove(L, -2);
  byn_server_begin(L, p, BYN_TERMINATING, 2);
}

static void terminate_fault(lua_State *L, byn_process *p, const char *text) {
  push_fault(L, p, text);
  byn_server_terminate(L, p);
}

static void terminated(lua_State *L, byn_process *p, int status, int count) {
  byn_server *s = p->self;
  if (status == LUA_OK) {
    lua_pop(L, count);
  } else {
    byn_slot_free(L, byn_slots_at(p), s->reason);
    s->reason = 0;
    s->reason = byn_slot_put(L, byn_slots_at(p));
  }
  wind_up(L, p);
}

/* --- between handlers ----------------------------------------------------- */

void byn_server_rest(lua_State *L, byn_process *p) {
  byn_server *s = p->self;
  s->doing = BYN_IDLING;
  if (s->timeout != BYN_NO_TIMEOUT) byn_process_timer(L, p, s->timeout);
  s->timeout = BYN_NO_TIMEOUT;
  if (s->due) byn_process_ready(p);
}

/* Calls handle_continue with the value of the directive on top (popped). */
static void go_on(lua_State *L, byn_process *p) {
  if (!push_callback(L, p, "handle_continue")) {
    lua_pop(L, 1);
    terminate_fault(L, p,
                    "has no handle_continue, but one of its callbacks "
                    "returned server.continue(arg)");
    return;
  }
  byn_directive_value(L, -3);
  lua_remove(L, -4);
  byn_server_begin(L, p, BYN_IN_CONTINUE, 2);
}

/* Replaces the directive on top with its reason and ends the server. A reply
 * to the call in hand waits for terminate, as in OTP. */
static void stop_with(lua_State *L, byn_process *p) {
  byn_server *s = p->self;
  if (s->doing == BYN_IN_CALL && byn_directive_reply_count(L, -1)) {
    lua_pushvalue(L, -1);
    s->farewell = byn_slot_put(L, byn_slots_at(p));
  }
  byn_directive_value(L, -1);
  byn_reason_copy(L, -1);
  lua_replace(L, -3);
  lua_pop(L, 1);
  byn_server_terminate(L, p);
}

/* Does what the directive on top (popped) says, after a handler. */
static void obey(lua_State *L, byn_process *p, byn_directive_kind kind) {
  if (kind == BYN_STOP) {
    stop_with(L, p);
    return;
  }
  byn_server_free_mail(L, p);
  if (kind == BYN_CONTINUE) {
    go_on(L, p);
    return;
  }
  lua_pop(L, 1);
  if (kind == BYN_IGNORE)
    terminate_fault(L, p,
                    "returned server.ignore from a callback that is "
                    "not init");
  else
    byn_server_rest(L, p);
}

/* The error on top (popped): handle_call returned what cannot be sent. */
static void unsendable(lua_State *L, byn_process *p) {
  lua_pushfstring(L, "returned from handle_call what cannot be sent: %s",
                  lua_tostring(L, -1));
  push_fault(L, p, lua_tostring(L, -1));
  lua_replace(L, -3);
  lua_pop(L, 1);
  byn_server_terminate(L, p);
}

/* A handler has returned `count` values (popped). */
static void handled(lua_State *L, byn_process *p, int count) {
  byn_server *s = p->self;
  byn_directive_kind kind =
      count ? byn_directive_at(L, -count) : BYN_NO_DIRECTIVE;
  if (kind) {
    lua_pop(L, count - 1);
    obey(L, p, kind);
    return;
  }
  if (s->doing != BYN_IN_CALL) {
    lua_pop(L, count);
  } else if (!byn_server_reply(L, p, count)) {
    unsendable(L, p);
    return;
  }
  byn_server_free_mail(L, p);
  byn_server_rest(L, p);
}

/* --- starting ------------------------------------------------------------- */

/* The starter is to hear no EXIT of a server that never was. */
static void cut_loose(lua_State *L, byn_process *p) {
  byn_server *s = p->self;
  byn_id parent = byn_parent_of(p);
  if (s->linked) byn_unlink_from(L, p, &parent);
}

/* Pops the reason that init failed for: the starter's answer and the end. */
static void fail_start(lua_State *L, byn_process *p) {
  cut_loose(L, p);
  byn_reason_copy(L, -1);
  lua_remove(L, -2);
  byn_process_end(L, p); /* server_ended tells the starter */
}

/* Ends a server that starts; the starter hears `answer` in place of the
 * reason. What may fail comes first: all or nothing is done. */
static void give_up(lua_State *L, byn_process *p, const char *answer,
                    const char *reason) {
  lua_pushstring(L, reason);
  lua_pushstring(L, answer);
  byn_slots_reserve(L, byn_slots_at(p), 1);
  byn_server_reply_error(L, p);
  byn_server_free_mail(L, p);
  fail_start(L, p);
}

static void started(lua_State *L, byn_process *p) {
  byn_process_untimer(p);
  byn_id_push_first(L, &p->id);
  byn_server_reply(L, p, 1);
  byn_server_free_mail(L, p);
}

/* Did init return `nil, reason`? */
static bool init_failed(lua_State *L, int count) {
  return count >= 2 && !lua_toboolean(L, -count) && !lua_isnil(L, -count + 1);
}

/* init has returned `count` values (popped). */
static void init_returned(lua_State *L, byn_process *p, int count) {
  int first = lua_gettop(L) - count + 1;
  byn_directive_kind kind =
      count ? byn_directive_at(L, first) : BYN_NO_DIRECTIVE;
  if (init_failed(L, count)) {
    lua_settop(L, first + 1);
    fail_start(L, p);
  } else if (kind == BYN_STOP) {
    byn_directive_value(L, first);
    fail_start(L, p);
  } else if (kind == BYN_IGNORE) {
    give_up(L, p, "ignore", "normal");
  } else {
    started(L, p);
    lua_settop(L, first);
    if (kind == BYN_CONTINUE)
      go_on(L, p);
    else
      byn_server_rest(L, p);
  }
  lua_settop(L, first - 1);
}

static void start(lua_State *L, byn_process *p) {
  byn_server *s = p->self;
  if (!push_callback(L, p, "init")) {
    started(L, p);
    byn_server_rest(L, p);
    return;
  }
  byn_value_take(L, p->node->world, &s->mail->value);
  byn_server_begin(L, p, BYN_STARTING, 2);
}

/* --- mail ----------------------------------------------------------------- */

static void take_call(lua_State *L, byn_process *p) {
  byn_server *s = p->self;
  byn_value_push(L, &s->mail->value);
  byn_system_op op = byn_system_at(L, -1);
  if (op) {
    byn_server_request(L, p, op);
    return;
  }
  if (!find_callback(L, p, "handle_call")) {
    lua_pushliteral(L, "handle_call");
    byn_reason_make(L, "undef", 1);
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
  handle(L, p, BYN_IN_CALL, from ? 3 : 2);
}

/* Gives the message on top (popped) to the handler. */
static bool give(lua_State *L, byn_process *p, byn_doing what,
                 const char *name) {
  bool known = find_callback(L, p, name);
  if (!known) {
    lua_pop(L, 1);
    return false;
  }
  handle(L, p, what, 2);
  return true;
}

static void take_cast(lua_State *L, byn_process *p) {
  byn_server *s = p->self;
  byn_value_push(L, &s->mail->value);
  if (!give(L, p, BYN_IN_CAST, "handle_cast"))
    terminate_fault(L, p, "has no handle_cast, but a cast came");
}

static void take_info(lua_State *L, byn_process *p) {
  byn_server *s = p->self;
  byn_mail_push(L, s->mail);
  if (!give(L, p, BYN_IN_INFO, "handle_info")) byn_server_free_mail(L, p);
}

/* An EXIT of the parent is never for handle_info. */
static void take_exit(lua_State *L, byn_process *p) {
  byn_server *s = p->self;
  byn_id parent = byn_parent_of(p);
  if (!s->linked || !byn_id_equal(&s->mail->id, &parent)) {
    take_info(L, p);
    return;
  }
  byn_value_take(L, p->node->world, &s->mail->value);
  byn_server_free_mail(L, p);
  byn_server_terminate(L, p);
}

/* System requests do not end the wait for the idle time-out. */
static bool is_system(lua_State *L, const byn_mail *mail) {
  if (mail->kind != BYN_MAIL_CALL || mail->value.type != LUA_TTABLE)
    return false;
  byn_value_push(L, &mail->value);
  bool system = byn_system_at(L, -1) != BYN_SYSTEM_NONE;
  lua_pop(L, 1);
  return system;
}

static void take_mail(lua_State *L, byn_process *p, byn_mail *mail) {
  byn_server *s = p->self;
  s->mail = mail;
  if ((s->due || p->own_timer) && !is_system(L, mail)) {
    s->due = false;
    byn_process_untimer(p);
  }
  switch (mail->kind) {
  case BYN_MAIL_CALL:
    take_call(L, p);
    break;
  case BYN_MAIL_CAST:
    take_cast(L, p);
    break;
  case BYN_MAIL_EXIT:
    take_exit(L, p);
    break;
  default:
    take_info(L, p);
  }
}

/* --- the behaviour -------------------------------------------------------- */

static void server_run(lua_State *L, byn_process *p) {
  byn_server *s = p->self;
  if (s->doing == BYN_STARTING) {
    start(L, p);
    return;
  }
  byn_mail *mail = byn_mailbox_pop(&p->mail);
  if (mail) {
    take_mail(L, p, mail);
  } else if (s->due) {
    s->due = false;
    lua_pushliteral(L, "timeout");
    give(L, p, BYN_IN_INFO, "handle_info");
  }
}

/* The callback raised, or called banyan.exit: the reason is on top. */
static void failed(lua_State *L, byn_process *p) {
  byn_server *s = p->self;
  if (s->doing == BYN_STARTING) {
    fail_start(L, p);
  } else if (s->doing == BYN_REPLACING) {
    byn_server_refuse(L, p);
  } else {
    byn_server_terminate(L, p);
  }
}

/* format_status has ended. */
static void shown(lua_State *L, byn_process *p, int status, int count) {
  formatted(L, p, status, count);
  if (((byn_server *)p->self)->doing == BYN_REPORTING)
    finish(L, p);
  else
    byn_server_reply_status(L, p);
}

static void server_returned(lua_State *L, byn_process *p, int status,
                            int count) {
  byn_server *s = p->self;
  if (s->doing == BYN_TERMINATING)
    terminated(L, p, status, count);
  else if (s->doing >= BYN_FORMATTING)
    shown(L, p, status, count);
  else if (status != LUA_OK)
    failed(L, p);
  else if (s->doing == BYN_STARTING)
    init_returned(L, p, count);
  else if (s->doing == BYN_REPLACING)
    byn_server_replaced(L, p, count);
  else
    handled(L, p, count);
}

static void server_timed_out(lua_State *L, byn_process *p) {
  byn_server *s = p->self;
  if (s->doing == BYN_STARTING) {
    give_up(L, p, "timeout", "killed");
    return;
  }
  s->due = true;
  byn_process_ready(p);
}

static void server_ended(lua_State *L, byn_process *p, int reason) {
  byn_server *s = p->self;
  if (s->doing == BYN_STARTING && s->mail) {
    cut_loose(L, p);
    lua_pushvalue(L, reason);
    byn_server_reply_error(L, p);
  }
  byn_server_free_mail(L, p);
  int *slots[] = {&s->state, &s->reason, &s->farewell, &s->status};
  for (size_t i = 0; i < sizeof slots / sizeof *slots; i++) {
    byn_slot_free(L, byn_slots_at(p), *slots[i]);
    *slots[i] = 0;
  }
  byn_pool_give(&p->node->world->servers, s);
}

static void server_tell(lua_State *L, byn_process *p) {
  byn_server *s = p->self;
  if (!s->status) return;
  byn_slot_push(L, s->status);
  lua_insert(L, -2);
  byn_status_tell(L, lua_gettop(L) - 1);
  lua_remove(L, -2);
}

static const byn_behaviour server = {.name = "server",
                                     .run = server_run,
                                     .returned = server_returned,
                                     .timed_out = server_timed_out,
                                     .tell = server_tell,
                                     .ended = server_ended};

/* --- in Lua --------------------------------------------------------------- */

/* The arguments of start: LABEL is the name that the module was given by, else
 * it may have one. */
enum { MODULE = 1, ARG, LINKED, NAME, TIMEOUT, LABEL, ARGUMENTS = LABEL };

/* Pushes a fresh instance of the module; upvalue 2 keeps the metatables. */
static void push_instance(lua_State *L) {
  lua_newtable(L);
  lua_pushvalue(L, MODULE);
  if (lua_rawget(L, lua_upvalueindex(2)) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_createtable(L, 0, 1);
    lua_pushvalue(L, MODULE);
    lua_setfield(L, -2, "__index");
    lua_pushvalue(L, MODULE);
    lua_pushvalue(L, -2);
    lua_rawset(L, lua_upvalueindex(2));
  }
  lua_setmetatable(L, -2);
}

/* Replaces a LABEL that is nil by the module's own `name` or `__name`: these
 * strings are the upvalues 3 and 4. */
static void find_label(lua_State *L) {
  for (int i = 3; i <= 4 && lua_isnil(L, LABEL); i++) {
    lua_pushvalue(L, lua_upvalueindex(i));
    if (lua_rawget(L, MODULE) == LUA_TSTRING)
      lua_replace(L, LABEL);
    else
      lua_pop(L, 1);
  }
}

typedef struct birth {
  byn_process *starter, *p;
  byn_id ref; /* of the starter's wait */
  int64_t timeout;
  bool linked;
} birth;

/* (birth, arg, instance, name, label): fills in the new process. */
static int furnish(lua_State *L) {
  birth *b = lua_touserdata(L, 1);
  byn_process *p = b->p;
  byn_server *s = p->self;
  p->label = byn_slot_keep(L, byn_slots_at(p));
  if (!lua_isnil(L, -1)) byn_node_register(L, p->node, p, -1);
  lua_settop(L, 3);
  s->state = byn_slot_keep(L, byn_slots_at(p));
  s->mail = byn_mail_new(L, p->node->world, BYN_MAIL_CALL, &b->ref);
  if (b->timeout >= 0) byn_process_timer(L, p, b->timeout);
  if (b->linked) byn_relate_local(L, BYN_LINK, b->starter, p, 0, false);
  return 0;
}

/* Makes the process; what furnish is given is on top (popped). */
static void bear(lua_State *L, birth *b) {
  byn_process *p = byn_process_new(L, b->starter->node, &server);
  byn_server *s = byn_pool_take(&p->node->world->servers);
  b->p = p;
  p->self = s;
  if (s) {
    *s = (byn_server){.timeout = BYN_NO_TIMEOUT, .doing = BYN_STARTING};
    s->linked = b->linked;
    if (lua_pcall(L, 5, 0, 0) == LUA_OK) return;
  } else {
    lua_pushliteral(L, "not enough memory");
  }
  lua_pushvalue(L, -1);
  byn_process_end(L, p);
  lua_error(L);
}

static int l_start(lua_State *L) {
  lua_settop(L, ARGUMENTS);
  birth b = {.starter = byn_process_here(L, "server.start")};
  b.timeout = byn_check_timeout(L, TIMEOUT, -1);
  b.linked = lua_toboolean(L, LINKED);
  byn_process_check_wait(L, b.starter);
  byn_process *taken =
      lua_isnil(L, NAME) ? NULL : byn_node_named(L, b.starter->node, NAME);
  if (taken) {
    lua_pushnil(L);
    byn_process_push(L, taken);
    byn_reason_make(L, "already_started", 1);
    return 2;
  }
  byn_node_ref(b.starter->node, &b.ref);
  b.ref.index = b.starter->id.index;
  lua_pushcfunction(L, furnish);
  lua_pushlightuserdata(L, &b);
  byn_term_copy(L, ARG);
  push_instance(L);
  find_label(L);
  lua_pushvalue(L, NAME);
  lua_pushvalue(L, LABEL);
  bear(L, &b);
  b.starter->call = NULL;
  b.starter->reply = b.ref.serial;
  b.starter->arguments = -1;
  byn_process_ready(b.p);
  return byn_process_wait(L, b.starter, BYN_WAIT_REPLY, -1);
}

static int l_timeout(lua_State *L) {
  byn_process *p = byn_process_here(L, "server.timeout");
  if (p->behaviour != &server)
    luaL_error(L, "server.timeout outside a server: call it in a handler");
  ((byn_server *)p->self)->timeout = byn_check_timeout(L, 1, BYN_NO_TIMEOUT);
  lua_pushboolean(L, 1);
  return 1;
}

static int l_stop_with(lua_State *L) {
  luaL_argcheck(L, !lua_isnoneornil(L, 1), 1, "a reason expected");
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
  static const luaL_Reg functions[] = {{"timeout", l_timeout},
                                       {"stop_with", l_stop_with},
                                       {"continue", l_continue},
                                       {NULL, NULL}};
  byn_world *w = byn_world_of(L);
  if (!w->servers.alloc)
    byn_pool_init(&w->servers, &w->alloc, sizeof(byn_server));
  byn_directive_open(L);
  lua_newtable(L);
  byn_set_functions(L, functions);
  lua_pushlightuserdata(L, w);
  push_metatables(L);
  lua_pushliteral(L, "name");
  lua_pushliteral(L, "__name");
  lua_pushcclosure(L, l_start, 4);
  lua_setfield(L, -2, "start");
  byn_directive_make(L, BYN_NOREPLY, 0);
  lua_setfield(L, -2, "noreply");
  byn_directive_make(L, BYN_IGNORE, 0);
  lua_setfield(L, -2, "ignore");
}
