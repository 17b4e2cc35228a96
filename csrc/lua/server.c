#include "server.h"

#include "call.h"
#include "compat.h"
#include "directive.h"
#include "node.h"
#include "process.h"
#include "reason.h"
#include "system.h"
#include "term.h"

typedef enum doing {
  IDLE,
  STARTING,
  CALL,
  CAST,
  INFO,
  CONTINUE,
  REPLACING,
  TERMINATING
} doing;

/* The slots are 0 while they hold nothing. */
typedef struct byn_server {
  byn_mail *mail;  /* in hand: the request to start, a call, a request */
  int state;       /* slot of the instance */
  int reason;      /* TERMINATING: slot of why */
  int farewell;    /* TERMINATING: slot of the stop_with that holds a reply */
  int64_t timeout; /* asked for by the handler that runs; ASKED_NONE */
  uint8_t doing;
  bool linked; /* started by start_link: the end of p->parent is its end */
  bool due;    /* the idle time-out is to be delivered */
} byn_server;

#define ASKED_NONE (-1)

static const byn_behaviour server;

static byn_slots *slots_of(byn_process *p) {
  return &p->node->world->slots;
}

static void free_mail(lua_State *L, byn_process *p) {
  byn_server *s = p->self;
  byn_mail *mail = s->mail;
  s->mail = NULL;
  if (mail) byn_mail_free(L, p->node->world, mail);
}

/* --- replies -------------------------------------------------------------- */

typedef struct reply_order {
  byn_node *node;
  const byn_id *ref;
} reply_order;

static int reply_protected(lua_State *L) {
  const reply_order *o = lua_touserdata(L, 1);
  byn_reply(L, o->node, o->ref, lua_gettop(L) - 1);
  return 0;
}

/* Values that any node can be sent as they are. */
static bool all_plain(lua_State *L, int count) {
  for (int i = -count; i < 0; i++)
    if (lua_type(L, i) > LUA_TSTRING || lua_type(L, i) == LUA_TLIGHTUSERDATA)
      return false;
  return true;
}

/* Pops `count` values and replies with them to the call in hand. false: one
 * cannot be sent; the error is on top. */
static bool reply(lua_State *L, byn_process *p, int count) {
  byn_server *s = p->self;
  if (all_plain(L, count)) {
    byn_reply(L, p->node, &s->mail->id, count);
    return true;
  }
  reply_order order = {p->node, &s->mail->id};
  luaL_checkstack(L, 4, NULL);
  lua_pushcfunction(L, reply_protected);
  lua_insert(L, -count - 1);
  lua_pushlightuserdata(L, &order);
  lua_insert(L, -count - 1);
  return lua_pcall(L, count + 1, 0, 0) == LUA_OK;
}

/* Pops an error and replies `nil, reason` with it. */
static void reply_error(lua_State *L, byn_process *p) {
  lua_pushnil(L);
  lua_insert(L, -2);
  if (!reply(L, p, 2)) lua_pop(L, 1);
}

/* --- callbacks ------------------------------------------------------------ */

/* Pushes the callback and the instance; false, and nothing, if there is no
 * such callback. */
static bool push_callback(lua_State *L, byn_process *p, const char *name) {
  byn_server *s = p->self;
  byn_slot_push(L, s->state);
  if (lua_getfield(L, -1, name) == LUA_TNIL) {
    lua_pop(L, 2);
    return false;
  }
  lua_insert(L, -2);
  return true;
}

/* Runs the callback below the `arguments` values on top. */
static void begin(lua_State *L, byn_process *p, doing what, int arguments) {
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
  reply(L, p, lua_gettop(L) - directive);
  lua_settop(L, directive - 1);
}

/* terminate has run, or there is none. */
static void finish(lua_State *L, byn_process *p) {
  byn_server *s = p->self;
  if (s->farewell) say_farewell(L, p);
  byn_slot_push(L, s->reason);
  byn_process_end(L, p);
}

/* Pops the reason and ends the server for it, by way of terminate. */
static void terminate(lua_State *L, byn_process *p) {
  byn_server *s = p->self;
  s->reason = byn_slot_put(L, slots_of(p));
  byn_process_untimer(p);
  if (!push_callback(L, p, "terminate")) {
    finish(L, p);
    return;
  }
  byn_slot_push(L, s->reason);
  byn_reason_copy(L, -1);
  lua_remove(L, -2);
  begin(L, p, TERMINATING, 2);
}

static void terminate_fault(lua_State *L, byn_process *p, const char *text) {
  push_fault(L, p, text);
  terminate(L, p);
}

static void terminated(lua_State *L, byn_process *p, int status, int count) {
  byn_server *s = p->self;
  if (status == LUA_OK) {
    lua_pop(L, count);
  } else {
    byn_slot_free(L, slots_of(p), s->reason);
    s->reason = 0;
    s->reason = byn_slot_put(L, slots_of(p));
  }
  finish(L, p);
}

/* --- between handlers ----------------------------------------------------- */

/* Waits for the next mail, or for as long as the handler asked. */
static void rest(lua_State *L, byn_process *p) {
  byn_server *s = p->self;
  s->doing = IDLE;
  if (s->timeout != ASKED_NONE) byn_process_timer(L, p, s->timeout);
  s->timeout = ASKED_NONE;
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
  begin(L, p, CONTINUE, 2);
}

/* Replaces the directive on top with its reason and ends the server. A reply
 * to the call in hand waits for terminate, as in OTP. */
static void stop_with(lua_State *L, byn_process *p) {
  byn_server *s = p->self;
  if (s->doing == CALL && byn_directive_reply_count(L, -1)) {
    lua_pushvalue(L, -1);
    s->farewell = byn_slot_put(L, slots_of(p));
  } else {
    free_mail(L, p);
  }
  byn_directive_value(L, -1);
  byn_reason_copy(L, -1);
  lua_replace(L, -3);
  lua_pop(L, 1);
  terminate(L, p);
}

/* Does what the directive on top (popped) says, after a handler. */
static void obey(lua_State *L, byn_process *p, byn_directive_kind kind) {
  if (kind == BYN_STOP) {
    stop_with(L, p);
    return;
  }
  free_mail(L, p);
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
    rest(L, p);
}

/* The error on top (popped): handle_call returned what cannot be sent. */
static void unsendable(lua_State *L, byn_process *p) {
  lua_pushfstring(L, "returned from handle_call what cannot be sent: %s",
                  lua_tostring(L, -1));
  push_fault(L, p, lua_tostring(L, -1));
  lua_replace(L, -3);
  lua_pop(L, 1);
  free_mail(L, p);
  terminate(L, p);
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
  if (s->doing != CALL) {
    lua_pop(L, count);
  } else if (!reply(L, p, count)) {
    unsendable(L, p);
    return;
  }
  free_mail(L, p);
  rest(L, p);
}

/* --- starting ------------------------------------------------------------- */

/* The starter is to hear no EXIT of a server that never was. */
static void cut_loose(lua_State *L, byn_process *p) {
  byn_server *s = p->self;
  if (s->linked) byn_unlink_from(L, p, &p->parent);
}

/* Pops the reason that init failed for: the starter's answer and the end. */
static void fail_start(lua_State *L, byn_process *p) {
  cut_loose(L, p);
  byn_reason_copy(L, -1);
  lua_remove(L, -2);
  byn_process_end(L, p); /* server_ended tells the starter */
}

/* Ends a server that starts; the starter hears `answer` in place of the
 * reason. */
static void give_up(lua_State *L, byn_process *p, const char *answer,
                    const char *reason) {
  lua_pushstring(L, answer);
  reply_error(L, p);
  free_mail(L, p);
  lua_pushstring(L, reason);
  fail_start(L, p);
}

static void started(lua_State *L, byn_process *p) {
  byn_process_untimer(p);
  byn_process_push(L, p);
  reply(L, p, 1);
  free_mail(L, p);
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
      rest(L, p);
  }
  lua_settop(L, first - 1);
}

static void start(lua_State *L, byn_process *p) {
  byn_server *s = p->self;
  if (!push_callback(L, p, "init")) {
    started(L, p);
    rest(L, p);
    return;
  }
  byn_value_take(L, p->node->world, &s->mail->value);
  begin(L, p, STARTING, 2);
}

/* --- system requests ------------------------------------------------------ */

/* Pushes the state as a plain table, fit to be copied. */
static void push_bare_state(lua_State *L, byn_process *p) {
  byn_server *s = p->self;
  lua_newtable(L);
  byn_slot_push(L, s->state);
  int state = lua_gettop(L);
  lua_pushnil(L);
  while (lua_next(L, state)) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, state - 1);
  }
  lua_settop(L, state - 1);
}

/* Replies with a copy of the state to the request in hand. */
static void reply_state(lua_State *L, byn_process *p) {
  push_bare_state(L, p);
  if (!reply(L, p, 1)) {
    byn_reason_make(L, "bad_state", 1);
    reply_error(L, p);
  }
  free_mail(L, p);
  rest(L, p);
}

/* Makes the table on top (popped) the instance. */
static void set_state(lua_State *L, byn_process *p) {
  byn_server *s = p->self;
  byn_slot_push(L, s->state);
  lua_getmetatable(L, -1);
  lua_setmetatable(L, -3);
  lua_pop(L, 1);
  int fresh = byn_slot_put(L, slots_of(p));
  byn_slot_free(L, slots_of(p), s->state);
  s->state = fresh;
}

static void refuse_replacement(lua_State *L, byn_process *p) {
  reply_error(L, p);
  free_mail(L, p);
  rest(L, p);
}

/* The function of replace_state has returned `count` values (popped): a new
 * instance, or nothing when it changed the one it got. */
static void replaced(lua_State *L, byn_process *p, int count) {
  lua_pop(L, count - (count ? 1 : 0));
  if (count && lua_istable(L, -1)) {
    set_state(L, p);
  } else if (count && !lua_isnil(L, -1)) {
    lua_pushstring(L, luaL_typename(L, -1));
    lua_replace(L, -2);
    byn_reason_make(L, "bad_return_value", 1);
    refuse_replacement(L, p);
    return;
  } else {
    lua_pop(L, count ? 1 : 0);
  }
  reply_state(L, p);
}

/* Does what the system request on top (popped), now in hand, asks for. */
static void system_request(lua_State *L, byn_process *p, byn_system_op op) {
  byn_server *s = p->self;
  byn_system_argument(L, -1);
  lua_replace(L, -2);
  switch (op) {
  case BYN_SYSTEM_STOP:
    free_mail(L, p);
    terminate(L, p);
    return;
  case BYN_SYSTEM_GET_STATE:
    lua_pop(L, 1);
    reply_state(L, p);
    return;
  case BYN_SYSTEM_REPLACE_STATE:
    byn_slot_push(L, s->state);
    begin(L, p, REPLACING, 1);
    return;
  default:
    lua_pop(L, 1);
    lua_pushliteral(L, "unknown_system_request");
    refuse_replacement(L, p);
  }
}

/* --- mail ----------------------------------------------------------------- */

/* Does the handler below the two values on top take a third parameter? A
 * call whose handler does not look at `from` needs no userdata for it.
 * LuaJIT's API does not tell. */
static bool wants_from(lua_State *L) {
#if LUA_VERSION_NUM >= 504
  lua_Debug ar;
  if (lua_type(L, -3) != LUA_TFUNCTION) return true;
  lua_pushvalue(L, -3);
  lua_getinfo(L, ">u", &ar);
  return ar.nparams > 2 || ar.isvararg;
#else
  (void)L;
  return true;
#endif
}

static void take_call(lua_State *L, byn_process *p) {
  byn_server *s = p->self;
  byn_value_take(L, p->node->world, &s->mail->value);
  byn_system_op op = byn_system_at(L, -1);
  if (op) {
    system_request(L, p, op);
    return;
  }
  if (!push_callback(L, p, "handle_call")) {
    lua_pushliteral(L, "handle_call");
    byn_reason_make(L, "undef", 1);
    lua_replace(L, -2);
    reply_error(L, p);
    free_mail(L, p);
    return;
  }
  lua_rotate(L, -3, 2);
  bool from = wants_from(L);
  if (from) byn_id_push(L, &s->mail->id);
  begin(L, p, CALL, from ? 3 : 2);
}

/* Gives the message on top (popped) to the handler. */
static bool give(lua_State *L, byn_process *p, doing what, const char *name) {
  bool known = push_callback(L, p, name);
  if (!known) {
    lua_pop(L, 1);
    return false;
  }
  lua_rotate(L, -3, 2);
  begin(L, p, what, 2);
  return true;
}

static void take_cast(lua_State *L, byn_process *p) {
  byn_server *s = p->self;
  byn_value_take(L, p->node->world, &s->mail->value);
  free_mail(L, p);
  if (!give(L, p, CAST, "handle_cast"))
    terminate_fault(L, p, "has no handle_cast, but a cast came");
}

static void take_info(lua_State *L, byn_process *p) {
  byn_server *s = p->self;
  byn_mail_push(L, s->mail);
  free_mail(L, p);
  give(L, p, INFO, "handle_info");
}

/* An EXIT of the parent is never for handle_info. */
static void take_exit(lua_State *L, byn_process *p) {
  byn_server *s = p->self;
  if (!s->linked || !byn_id_equal(&s->mail->id, &p->parent)) {
    take_info(L, p);
    return;
  }
  byn_value_take(L, p->node->world, &s->mail->value);
  free_mail(L, p);
  terminate(L, p);
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
  if (s->doing == STARTING) {
    start(L, p);
    return;
  }
  byn_mail *mail = byn_mailbox_pop(&p->mail);
  if (mail) {
    take_mail(L, p, mail);
  } else if (s->due) {
    s->due = false;
    lua_pushliteral(L, "timeout");
    give(L, p, INFO, "handle_info");
  }
}

/* The callback raised, or called banyan.exit: the reason is on top. */
static void failed(lua_State *L, byn_process *p) {
  byn_server *s = p->self;
  if (s->doing == STARTING) {
    fail_start(L, p);
  } else if (s->doing == REPLACING) {
    refuse_replacement(L, p);
  } else {
    free_mail(L, p);
    terminate(L, p);
  }
}

static void server_returned(lua_State *L, byn_process *p, int status,
                            int count) {
  byn_server *s = p->self;
  if (s->doing == TERMINATING)
    terminated(L, p, status, count);
  else if (status != LUA_OK)
    failed(L, p);
  else if (s->doing == STARTING)
    init_returned(L, p, count);
  else if (s->doing == REPLACING)
    replaced(L, p, count);
  else
    handled(L, p, count);
}

static void server_timed_out(lua_State *L, byn_process *p) {
  byn_server *s = p->self;
  if (s->doing == STARTING) {
    give_up(L, p, "timeout", "killed");
    return;
  }
  s->due = true;
  byn_process_ready(p);
}

static void server_ended(lua_State *L, byn_process *p, int reason) {
  byn_server *s = p->self;
  if (s->doing == STARTING && s->mail) {
    cut_loose(L, p);
    lua_pushvalue(L, reason);
    reply_error(L, p);
  }
  free_mail(L, p);
  int *slots[] = {&s->state, &s->reason, &s->farewell};
  for (size_t i = 0; i < sizeof slots / sizeof *slots; i++) {
    byn_slot_free(L, slots_of(p), *slots[i]);
    *slots[i] = 0;
  }
  byn_free(&p->node->world->alloc, s, sizeof *s);
}

static const byn_behaviour server = {.name = "server",
                                     .run = server_run,
                                     .returned = server_returned,
                                     .timed_out = server_timed_out,
                                     .ended = server_ended};

/* --- in Lua --------------------------------------------------------------- */

/* The arguments of start. */
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
  p->label = byn_slot_put(L, slots_of(p));
  if (!lua_isnil(L, -1)) byn_node_register(L, p->node, p, -1);
  lua_settop(L, 3);
  s->state = byn_slot_put(L, slots_of(p));
  s->mail = byn_mail_new(L, p->node->world, BYN_MAIL_CALL, &b->ref);
  if (b->timeout >= 0) byn_process_timer(L, p, b->timeout);
  if (b->linked) byn_link_to(L, b->starter, &p->id);
  return 0;
}

/* Makes the process; what furnish is given is on top (popped). */
static void bear(lua_State *L, birth *b) {
  byn_process *p = byn_process_new(L, b->starter->node, &server);
  byn_server *s = byn_new(&p->node->world->alloc, sizeof *s);
  b->p = p;
  p->self = s;
  if (s) {
    *s = (byn_server){.timeout = ASKED_NONE, .doing = STARTING};
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
  ((byn_server *)p->self)->timeout = byn_check_timeout(L, 1, ASKED_NONE);
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

/* A table with weak keys: module -> metatable of its instances. */
static void push_metatables(lua_State *L) {
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "k");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
}

void byn_server_open(lua_State *L) {
  static const luaL_Reg functions[] = {{"timeout", l_timeout},
                                       {"stop_with", l_stop_with},
                                       {"continue", l_continue},
                                       {NULL, NULL}};
  byn_directive_open(L);
  lua_newtable(L);
  byn_set_functions(L, functions);
  lua_pushlightuserdata(L, byn_world_of(L));
  push_metatables(L);
  lua_pushcclosure(L, l_start, 2);
  lua_setfield(L, -2, "start");
  byn_directive_make(L, BYN_NOREPLY, 0);
  lua_setfield(L, -2, "noreply");
  byn_directive_make(L, BYN_IGNORE, 0);
  lua_setfield(L, -2, "ignore");
}
