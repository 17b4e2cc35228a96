#include <string.h>

#include "../value/compat.h"
#include "../value/reason.h"
#include "../value/term.h"
#include "../process/call.h"
#include "supervisor.h"
#include "system.h"

/* --- answers -------------------------------------------------------------- */

/* Pops `count` values that cannot be sent, and an error above them. A pid is
 * answered without what came with it, anything else is an error. */
static void answer_less(lua_State *L, byn_process *p, const byn_id *ref,
                        int count) {
  lua_pop(L, count);
  if (byn_pid_at(L, -1)) {
    lua_pushvalue(L, -1);
    byn_reply(L, p->node, ref, 1);
  } else {
    lua_pushnil(L);
    lua_pushliteral(L, "not_sendable");
    byn_reply(L, p->node, ref, 2);
  }
  lua_pop(L, 1);
}

void byn_supervisor_answer(lua_State *L, byn_process *p, int count) {
  byn_supervisor *s = p->self;
  const byn_id *ref = &s->mail->id;
  if (!byn_try_reply(L, p->node, ref, count)) answer_less(L, p, ref, count);
  byn_mail_free(L, p->node->world, s->mail);
  s->mail = NULL;
  s->asked = BYN_ASKED_NOTHING;
}

/* Answers with the table on top (popped), made for this: a caller on this
 * node may have it as it is, however long it is. */
static void answer_fresh(lua_State *L, byn_process *p) {
  byn_supervisor *s = p->self;
  if (s->mail->id.origin != p->node->origin) {
    byn_supervisor_answer(L, p, 1);
    return;
  }
  byn_call_replied(L, p->node, &s->mail->id, p->node->origin, 1);
  byn_mail_free(L, p->node->world, s->mail);
  s->mail = NULL;
}

static void answer_true(lua_State *L, byn_process *p) {
  lua_pushboolean(L, 1);
  byn_supervisor_answer(L, p, 1);
}

static void refuse(lua_State *L, byn_process *p, const char *code) {
  lua_pushnil(L);
  lua_pushstring(L, code);
  byn_supervisor_answer(L, p, 2);
}

/* --- finding the child ---------------------------------------------------- */

static bool has_process(const byn_kid *kid) {
  return kid->core.state == BYN_CHILD_RUNNING ||
         kid->core.state == BYN_CHILD_RESTARTING;
}

/* The child that place 2 of the request means: by id, or, where children
 * have none, by pid. */
static byn_kid *kid_meant(lua_State *L, byn_process *p, int request) {
  byn_supervisor *s = p->self;
  byn_kid *kid = NULL;
  lua_rawgeti(L, request, 2);
  if (s->kind == BYN_STATIC) {
    kid = byn_kid_named(L, p, -1);
  } else {
    const byn_id *pid = byn_pid_at(L, -1);
    kid = pid ? byn_kid_of(s, pid) : NULL;
    if (kid && !has_process(kid)) kid = NULL;
  }
  lua_pop(L, 1);
  return kid;
}

/* --- starting and stopping ------------------------------------------------ */

/* A child with that id is there already. */
static void refuse_present(lua_State *L, byn_process *p, const byn_kid *kid) {
  if (kid->core.state != BYN_CHILD_RUNNING) {
    refuse(L, p, "already_present");
    return;
  }
  lua_pushnil(L);
  byn_id_push(L, &kid->pid);
  byn_reason_make(L, "already_started", 1);
  byn_supervisor_answer(L, p, 2);
}

/* A significant child makes no sense where none ends the supervisor. */
static bool makes_no_sense(const byn_supervisor *s, const byn_kid *kid) {
  return kid->core.significant &&
         s->machine.flags.auto_shutdown == BYN_AUTO_NEVER;
}

static void refuse_significant(lua_State *L, byn_process *p) {
  lua_pushnil(L);
  lua_createtable(L, 0, 2);
  lua_pushliteral(L, "never");
  lua_setfield(L, -2, "auto_shutdown");
  lua_pushboolean(L, 1);
  lua_setfield(L, -2, "significant");
  byn_reason_make(L, "bad_combination", 1);
  byn_supervisor_answer(L, p, 2);
}

static void begin_start(lua_State *L, byn_process *p, byn_kid *kid) {
  byn_supervisor *s = p->self;
  const char *no = "invalid_child_spec";
  if (kid && makes_no_sense(s, kid)) {
    byn_kid_free(L, p, kid);
    refuse_significant(L, p);
    return;
  }
  if (kid) no = byn_restart_start(&s->machine, &kid->core);
  if (no) {
    if (kid) byn_kid_free(L, p, kid);
    refuse(L, p, no);
    return;
  }
  s->asked = BYN_ASKED_START;
  byn_kid_name(L, p, kid);
}

static void start_new(lua_State *L, byn_process *p, int request) {
  begin_start(L, p, byn_kid_new(L, p, request, 0, 0));
}

/* Where children are known by id, each has one of its own. */
static void start_named(lua_State *L, byn_process *p, int request) {
  lua_rawgeti(L, request, BYN_SPEC_ID);
  bool named = lua_toboolean(L, -1);
  byn_kid *old = named ? byn_kid_named(L, p, -1) : NULL;
  lua_pop(L, 1);
  if (!named)
    refuse(L, p, "missing_id");
  else if (old)
    refuse_present(L, p, old);
  else
    start_new(L, p, request);
}

static void start_child(lua_State *L, byn_process *p, int request) {
  byn_supervisor *s = p->self;
  if (s->kind == BYN_SIMPLE)
    refuse(L, p, "simple_one_for_one");
  else if (s->kind == BYN_STATIC)
    start_named(L, p, request);
  else
    start_new(L, p, request);
}

/* {"start_simple", n, n arguments} */
static void start_simple(lua_State *L, byn_process *p, int request) {
  byn_supervisor *s = p->self;
  if (s->kind != BYN_SIMPLE) {
    refuse(L, p, "not_simple_one_for_one");
    return;
  }
  lua_rawgeti(L, request, 2);
  int more = (int)lua_tointeger(L, -1);
  byn_slot_push(L, s->extra);
  byn_kid *kid = byn_kid_new(L, p, lua_gettop(L), request, more);
  lua_pop(L, 2);
  begin_start(L, p, kid);
}

static void begin_stop(byn_supervisor *s, byn_kid *kid) {
  s->asked = BYN_ASKED_STOP;
  byn_restart_terminate(&s->machine, &kid->core);
}

/* simple_one_for_one does not keep who has ended, so what is dead may have
 * been a child: true, as in OTP. */
static void terminate_unknown(lua_State *L, byn_process *p, int request) {
  byn_supervisor *s = p->self;
  lua_rawgeti(L, request, 2);
  const byn_id *pid = byn_pid_at(L, -1);
  bool ours = pid && pid->origin == p->node->origin;
  bool dead = ours && !byn_node_find(p->node, pid);
  lua_pop(L, 1);
  if (s->kind != BYN_SIMPLE)
    refuse(L, p, "not_found");
  else if (!pid)
    refuse(L, p, "simple_one_for_one");
  else if (dead)
    answer_true(L, p);
  else
    refuse(L, p, "not_found");
}

static void terminate_child(lua_State *L, byn_process *p, int request) {
  byn_kid *kid = kid_meant(L, p, request);
  if (kid)
    begin_stop(p->self, kid);
  else
    terminate_unknown(L, p, request);
}

/* restart_child and delete_child know children by id only. */
static byn_kid *kept_kid(lua_State *L, byn_process *p, int request) {
  byn_supervisor *s = p->self;
  byn_kid *kid = NULL;
  if (s->kind == BYN_STATIC) kid = kid_meant(L, p, request);
  if (!kid)
    refuse(L, p, s->kind == BYN_SIMPLE ? "simple_one_for_one" : "not_found");
  return kid;
}

static void restart_child(lua_State *L, byn_process *p, int request) {
  byn_supervisor *s = p->self;
  byn_kid *kid = kept_kid(L, p, request);
  if (!kid) return;
  const char *no = byn_restart_child(&s->machine, &kid->core);
  if (no)
    refuse(L, p, no);
  else
    s->asked = BYN_ASKED_START;
}

static void delete_child(lua_State *L, byn_process *p, int request) {
  byn_supervisor *s = p->self;
  byn_kid *kid = kept_kid(L, p, request);
  if (!kid) return;
  const char *no = byn_restart_delete(&s->machine, &kid->core);
  if (no) {
    refuse(L, p, no);
    return;
  }
  byn_tell_ended(L, p, kid);
  byn_kid_free(L, p, kid);
  answer_true(L, p);
}

/* --- asking --------------------------------------------------------------- */

/* Is the id at place 2 of the request that of the template on top? */
static bool is_template(lua_State *L, int request) {
  lua_rawgeti(L, request, 2);
  lua_rawgeti(L, -2, BYN_SPEC_ID);
  bool same = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return same;
}

static void get_childspec(lua_State *L, byn_process *p, int request) {
  byn_supervisor *s = p->self;
  byn_kid *kid = kid_meant(L, p, request);
  if (kid && s->kind != BYN_SIMPLE) {
    byn_kid_push_spec(L, kid);
    byn_supervisor_answer(L, p, 1);
    return;
  }
  byn_slot_push(L, s->kind == BYN_SIMPLE ? s->extra : 0);
  if (kid || (lua_istable(L, -1) && is_template(L, request))) {
    byn_kid_push_packed(L, lua_gettop(L));
    byn_supervisor_answer(L, p, 1);
  } else {
    refuse(L, p, "not_found");
  }
  lua_pop(L, 1);
}

static void push_row(lua_State *L, byn_process *p, const byn_kid *kid) {
  byn_supervisor *s = p->self;
  bool running = kid->core.state == BYN_CHILD_RUNNING;
  bool again = kid->core.state == BYN_CHILD_RESTARTING;
  lua_createtable(L, 0, 4);
  if (s->kind == BYN_STATIC) {
    byn_kid_push_id(L, kid);
    lua_setfield(L, -2, "id");
  }
  if (running) {
    byn_id_push(L, &kid->pid);
    lua_setfield(L, -2, "pid");
  }
  lua_pushstring(L, running ? "running" : again ? "restarting" : "stopped");
  lua_setfield(L, -2, "state");
  lua_pushstring(L, kid->core.supervisor ? "supervisor" : "worker");
  lua_setfield(L, -2, "type");
}

void byn_supervisor_push_rows(lua_State *L, byn_process *p) {
  byn_supervisor *s = p->self;
  int n = 0;
  lua_createtable(L, (int)s->machine.count, 0);
  for (byn_child *c = s->machine.children.first; c; c = c->next) {
    push_row(L, p, (byn_kid *)c);
    lua_rawseti(L, -2, ++n);
  }
}

static void which_children(lua_State *L, byn_process *p) {
  byn_supervisor_push_rows(L, p);
  answer_fresh(L, p);
}

static void count_children(lua_State *L, byn_process *p) {
  byn_supervisor *s = p->self;
  const byn_restart *r = &s->machine;
  lua_createtable(L, 0, 4);
  lua_pushinteger(L, s->kind == BYN_SIMPLE ? 1 : r->count);
  lua_setfield(L, -2, "specs");
  lua_pushinteger(L, r->active);
  lua_setfield(L, -2, "active");
  lua_pushinteger(L, r->supervisors);
  lua_setfield(L, -2, "supervisors");
  lua_pushinteger(L, r->count - r->supervisors);
  lua_setfield(L, -2, "workers");
  byn_supervisor_answer(L, p, 1);
}

static void tell_kind(lua_State *L, byn_process *p) {
  static const char *const kinds[] = {"static", "simple", "dynamic"};
  byn_supervisor *s = p->self;
  lua_pushstring(L, kinds[s->kind]);
  byn_supervisor_answer(L, p, 1);
}

/* --- requests ------------------------------------------------------------- */

static void child_request(lua_State *L, byn_process *p, int request,
                          const char *op) {
  if (strcmp(op, "start_child") == 0)
    start_child(L, p, request);
  else if (strcmp(op, "start_simple") == 0)
    start_simple(L, p, request);
  else if (strcmp(op, "terminate_child") == 0)
    terminate_child(L, p, request);
  else if (strcmp(op, "restart_child") == 0)
    restart_child(L, p, request);
  else if (strcmp(op, "delete_child") == 0)
    delete_child(L, p, request);
  else if (strcmp(op, "get_childspec") == 0)
    get_childspec(L, p, request);
  else if (strcmp(op, "which_children") == 0)
    which_children(L, p);
  else if (strcmp(op, "count_children") == 0)
    count_children(L, p);
  else if (strcmp(op, "kind") == 0)
    tell_kind(L, p);
  else
    refuse(L, p, "unknown_request");
}

/* The caller of stop hears of the end itself. */
static void stop(lua_State *L, byn_process *p, int request) {
  byn_supervisor *s = p->self;
  byn_system_argument(L, request);
  s->reason = byn_slot_put(L, byn_slots_at(p));
  byn_mail_free(L, p->node->world, s->mail);
  s->mail = NULL;
  byn_restart_stop(&s->machine);
}

void byn_supervisor_request(lua_State *L, byn_process *p) {
  byn_supervisor *s = p->self;
  int top = lua_gettop(L);
  const char *op = NULL;
  luaL_checkstack(L, 20, NULL);
  byn_value_take(L, p->node->world, &s->mail->value);
  byn_system_op system = byn_system_at(L, -1);
  if (lua_istable(L, -1) && !system) {
    lua_rawgeti(L, -1, 1);
    if (lua_type(L, -1) == LUA_TSTRING) op = lua_tostring(L, -1);
  }
  if (system == BYN_SYSTEM_STOP)
    stop(L, p, top + 1);
  else if (op)
    child_request(L, p, top + 1, op);
  else
    refuse(L, p, system ? "unknown_system_request" : "unknown_request");
  lua_settop(L, top);
}
