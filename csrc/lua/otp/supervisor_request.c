/* Supervisors: what they answer to requests. */
#include "supervisor_request.h"

#include <string.h>

#include "../../core/assert.h"
#include "../value/reason.h"
#include "../process/call.h"
#include "../process/lookup.h"
#include "../process/node.h"
#include "childspec.h"
#include "supervisor.h"
#include "supervisor_child.h"
#include "supervisor_tell.h"
#include "system.h"

enum { ROWS_MOST = 512 }; /* of which_children, in one answer */

/* --- answers -------------------------------------------------------------- */

/* Pops `count` values that cannot be sent, and an error above them. A pid is
 * answered without what came with it, anything else is an error. */
static void answer_unsendable(lua_State *L, byn_process *p, const byn_id *ref,
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
  byn_assert(s->mail && s->mail->kind == BYN_MAIL_CALL);
  const byn_id *ref = &s->mail->id;
  if (!byn_try_reply(L, p->node, ref, count))
    answer_unsendable(L, p, ref, count);
  byn_mail_free(L, p->node->world, s->mail);
  s->mail = NULL;
  s->asked = BYN_ASKED_NOTHING;
}

/* Answers with `count` values on top (popped), made for this: a caller on this
 * node may have tables as they are, however long they are. */
static void answer_made(lua_State *L, byn_process *p, int count) {
  byn_supervisor *s = p->self;
  if (s->mail->id.origin != p->node->origin) {
    byn_supervisor_answer(L, p, count);
    return;
  }
  byn_assert(s->asked == BYN_ASKED_NOTHING);
  byn_call_replied(L, p->node, &s->mail->id, p->node->origin, count);
  byn_mail_free(L, p->node->world, s->mail);
  s->mail = NULL;
}

static void answer_true(lua_State *L, byn_process *p) {
  lua_pushboolean(L, 1);
  byn_supervisor_answer(L, p, 1);
}

static void answer_error(lua_State *L, byn_process *p, const char *code) {
  lua_pushnil(L);
  lua_pushstring(L, code);
  byn_supervisor_answer(L, p, 2);
}

/* --- finding the child ---------------------------------------------------- */

/* Does its pid mean the child? While it starts or stops, and after its end, it
 * does not. */
static bool is_known_by_pid(const byn_supervised *child) {
  return child->core.state == BYN_CHILD_RUNNING ||
         child->core.state == BYN_CHILD_RESTARTING;
}

/* The child that place 2 of the request means: by id, or, where children
 * have none, by pid. */
static byn_supervised *requested_child(lua_State *L, byn_process *p,
                                       int request) {
  byn_supervisor *s = p->self;
  byn_supervised *child = NULL;
  lua_rawgeti(L, request, 2);
  if (s->kind == BYN_STATIC) {
    child = byn_supervised_by_id(L, p, -1);
  } else {
    const byn_id *pid = byn_pid_at(L, -1);
    child = pid ? byn_supervised_by_pid(s, pid) : NULL;
    if (child && !is_known_by_pid(child)) child = NULL;
  }
  lua_pop(L, 1);
  return child;
}

/* --- starting and stopping ------------------------------------------------ */

/* Starts a child that was made for this, or NULL: its spec is wrong. The answer
 * comes when its start function has returned. */
static void begin_start(lua_State *L, byn_process *p, byn_supervised *child) {
  byn_supervisor *s = p->self;
  if (!child) {
    answer_error(L, p, "invalid_child_spec");
    return;
  }
  if (child->core.significant &&
      s->machine.flags.auto_shutdown == BYN_AUTO_NEVER) {
    byn_supervised_free(L, p, child);
    lua_pushnil(L);
    lua_createtable(L, 0, 2);
    lua_pushliteral(L, "never");
    lua_setfield(L, -2, "auto_shutdown");
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, "significant");
    byn_reason_make(L, "bad_combination", 1);
    byn_supervisor_answer(L, p, 2);
    return;
  }
  const char *refused = byn_restart_start(&s->machine, &child->core);
  if (refused) {
    byn_supervised_free(L, p, child);
    answer_error(L, p, refused);
    return;
  }
  s->asked = BYN_ASKED_START;
  byn_supervised_add_id(L, p, child);
}

/* May a child with the id in the request be added to a static supervisor? If
 * not, answers why. */
static bool is_new_id(lua_State *L, byn_process *p, int request) {
  lua_rawgeti(L, request, BYN_SPEC_ID);
  bool has_id = lua_toboolean(L, -1);
  byn_supervised *old = has_id ? byn_supervised_by_id(L, p, -1) : NULL;
  lua_pop(L, 1);
  if (!has_id) {
    answer_error(L, p, "missing_id");
  } else if (old && old->core.state == BYN_CHILD_RUNNING) {
    lua_pushnil(L);
    byn_id_push(L, &old->pid);
    byn_reason_make(L, "already_started", 1);
    byn_supervisor_answer(L, p, 2);
  } else if (old) {
    answer_error(L, p, "already_present");
  }
  return has_id && !old;
}

/* The request is a packed spec. */
static void start_child(lua_State *L, byn_process *p, int request) {
  byn_supervisor *s = p->self;
  if (s->kind == BYN_SIMPLE)
    answer_error(L, p, "simple_one_for_one");
  else if (s->kind == BYN_DYNAMIC || is_new_id(L, p, request))
    begin_start(L, p, byn_supervised_new(L, p, request, 0, 0));
}

/* {"start_simple", n, n arguments} */
static void start_simple(lua_State *L, byn_process *p, int request) {
  byn_supervisor *s = p->self;
  if (s->kind != BYN_SIMPLE) {
    answer_error(L, p, "not_simple_one_for_one");
    return;
  }
  lua_rawgeti(L, request, 2);
  int more = (int)lua_tointeger(L, -1);
  byn_slot_push(L, s->extra);
  byn_supervised *child =
      byn_supervised_new(L, p, lua_gettop(L), request, more);
  lua_pop(L, 2);
  begin_start(L, p, child);
}

/* The answer comes when the child has stopped. simple_one_for_one does not keep
 * who has ended, so what is dead may have been a child: true, as in OTP. */
static void terminate_child(lua_State *L, byn_process *p, int request) {
  byn_supervisor *s = p->self;
  byn_supervised *child = requested_child(L, p, request);
  if (child) {
    s->asked = BYN_ASKED_STOP;
    byn_restart_terminate(&s->machine, &child->core);
    return;
  }
  lua_rawgeti(L, request, 2);
  const byn_id *pid = byn_pid_at(L, -1);
  bool ours = pid && pid->origin == p->node->origin;
  bool dead = ours && !byn_node_find(p->node, pid);
  lua_pop(L, 1);
  if (s->kind == BYN_SIMPLE && !pid)
    answer_error(L, p, "simple_one_for_one");
  else if (s->kind == BYN_SIMPLE && dead)
    answer_true(L, p);
  else
    answer_error(L, p, "not_found");
}

/* restart_child and delete_child know children by id only. NULL: it is not
 * there, and that was answered. */
static byn_supervised *child_with_id(lua_State *L, byn_process *p,
                                     int request) {
  byn_supervisor *s = p->self;
  byn_supervised *child = NULL;
  if (s->kind == BYN_STATIC) child = requested_child(L, p, request);
  if (!child)
    answer_error(L, p,
                 s->kind == BYN_SIMPLE ? "simple_one_for_one" : "not_found");
  return child;
}

static void restart_child(lua_State *L, byn_process *p, int request) {
  byn_supervisor *s = p->self;
  byn_supervised *child = child_with_id(L, p, request);
  if (!child) return;
  const char *refused = byn_restart_child(&s->machine, &child->core);
  if (refused)
    answer_error(L, p, refused);
  else
    s->asked = BYN_ASKED_START;
}

static void delete_child(lua_State *L, byn_process *p, int request) {
  byn_supervisor *s = p->self;
  byn_supervised *child = child_with_id(L, p, request);
  if (!child) return;
  const char *refused = byn_restart_delete(&s->machine, &child->core);
  if (refused) {
    answer_error(L, p, refused);
    return;
  }
  byn_tell_ended(L, p, child);
  byn_supervised_free(L, p, child);
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
  byn_supervised *child = requested_child(L, p, request);
  if (child && s->kind != BYN_SIMPLE) {
    byn_supervised_push_spec(L, child);
    byn_supervisor_answer(L, p, 1);
    return;
  }
  byn_slot_push(L, s->kind == BYN_SIMPLE ? s->extra : 0);
  if (child || (lua_istable(L, -1) && is_template(L, request))) {
    byn_supervised_push_packed(L, lua_gettop(L));
    byn_supervisor_answer(L, p, 1);
  } else {
    answer_error(L, p, "not_found");
  }
  lua_pop(L, 1);
}

static void push_child_row(lua_State *L, byn_process *p,
                           const byn_supervised *child) {
  byn_supervisor *s = p->self;
  bool running = child->core.state == BYN_CHILD_RUNNING;
  bool again = child->core.state == BYN_CHILD_RESTARTING;
  lua_createtable(L, 0, 4);
  if (s->kind == BYN_STATIC) {
    byn_supervised_push_id(L, child);
    lua_setfield(L, -2, "id");
  }
  if (running) {
    byn_id_push(L, &child->pid);
    lua_setfield(L, -2, "pid");
  }
  lua_pushstring(L, running ? "running" : again ? "restarting" : "stopped");
  lua_setfield(L, -2, "state");
  lua_pushstring(L, child->core.supervisor ? "supervisor" : "worker");
  lua_setfield(L, -2, "type");
}

void byn_supervisor_push_children(lua_State *L, byn_process *p) {
  byn_supervisor *s = p->self;
  int n = 0;
  lua_createtable(L, (int)s->machine.count, 0);
  for (byn_child *c = s->machine.children.first; c; c = c->next) {
    push_child_row(L, p, (byn_supervised *)c);
    lua_rawseti(L, -2, ++n);
  }
}

/* The integer at a place of the request, at least 0; `otherwise` where there is
 * none. */
static uint64_t number_of(lua_State *L, int request, int place,
                          uint64_t otherwise) {
  lua_rawgeti(L, request, place);
  lua_Integer n = lua_tointeger(L, -1);
  if (lua_type(L, -1) == LUA_TNUMBER) otherwise = n > 0 ? (uint64_t)n : 0;
  lua_pop(L, 1);
  return otherwise;
}

/* {"which_children"}: all rows, as older nodes ask. {"which_children", after,
 * until, most}: rows of children whose numbers are greater than `after`, at
 * most `most`; the number of the last one if there may be more up to `until`,
 * else nil; `until`, which the first request does not know; and who answers,
 * for a name may be somebody else's at the next request. To another node the
 * pid of a dynamic worker that runs stands for its row, which would be garbage
 * here as soon as it is sent. */
static void which_children(lua_State *L, byn_process *p, int request) {
  byn_supervisor *s = p->self;
  uint64_t after = number_of(L, request, 2, UINT64_MAX);
  if (after == UINT64_MAX) {
    byn_supervisor_push_children(L, p);
    answer_made(L, p, 1);
    return;
  }
  uint64_t until = number_of(L, request, 3, s->machine.numbered);
  uint64_t most = number_of(L, request, 4, ROWS_MOST);
  if (most < 1 || most > ROWS_MOST) most = ROWS_MOST;
  bool pids = s->kind != BYN_STATIC && s->mail->id.origin != p->node->origin;
  byn_child *c = byn_restart_after(&s->machine, after), *last = NULL;
  lua_createtable(L, (int)(s->machine.count < most ? s->machine.count : most),
                  0);
  for (uint64_t n = 1; c && c->number <= until && n <= most; n++) {
    if (pids && c->state == BYN_CHILD_RUNNING && !c->supervisor)
      byn_id_push(L, &((byn_supervised *)c)->pid);
    else
      push_child_row(L, p, (byn_supervised *)c);
    lua_rawseti(L, -2, (lua_Integer)n);
    last = c;
    c = c->next;
  }
  bool more = last && c && c->number <= until;
  if (more) byn_restart_mark(&s->machine, last);
  if (more)
    lua_pushinteger(L, (lua_Integer)last->number);
  else
    lua_pushnil(L);
  lua_pushinteger(L, (lua_Integer)until);
  byn_process_push(L, p);
  answer_made(L, p, 4);
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

static void answer_kind(lua_State *L, byn_process *p) {
  lua_pushstring(L, byn_supervisor_kind_name(p->self));
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
    which_children(L, p, request);
  else if (strcmp(op, "count_children") == 0)
    count_children(L, p);
  else if (strcmp(op, "kind") == 0)
    answer_kind(L, p);
  else
    answer_error(L, p, "unknown_request");
}

/* The caller of stop waits for the end of the supervisor. */
static void stop_supervisor(lua_State *L, byn_process *p, int request) {
  byn_supervisor *s = p->self;
  byn_assert(!s->reason);
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
  byn_assert(s->mail && !s->reading && s->asked == BYN_ASKED_NOTHING);
  luaL_checkstack(L, 20, NULL);
  byn_value_take(L, p->node->world, &s->mail->value);
  byn_system_op system = byn_system_at(L, -1);
  if (lua_istable(L, -1) && !system) {
    lua_rawgeti(L, -1, 1);
    if (lua_type(L, -1) == LUA_TSTRING) op = lua_tostring(L, -1);
  }
  if (system == BYN_SYSTEM_STOP)
    stop_supervisor(L, p, top + 1);
  else if (op)
    child_request(L, p, top + 1, op);
  else
    answer_error(L, p, system ? "unknown_system_request" : "unknown_request");
  lua_settop(L, top);
}
