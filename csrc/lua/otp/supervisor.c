/* Supervisors: the process that starts, restarts and stops children. */
#include "supervisor.h"

#include "../../core/assert.h"
#include "../value/reason.h"
#include "../value/term.h"
#include "../process/coroutine.h"
#include "../process/dest.h"
#include "../process/lookup.h"
#include "../process/node.h"
#include "../process/scheduler.h"
#include "../process/signal.h"
#include "../process/wait.h"
#include "childspec.h"
#include "supervisor_child.h"
#include "supervisor_request.h"
#include "supervisor_tell.h"

static const byn_behaviour supervisor_behaviour;

#ifdef BYN_ASSERT
/* What holds between two things that it does. */
static bool is_consistent(const byn_supervisor *s) {
  if ((s->asked != BYN_ASKED_NOTHING) != (s->mail != NULL)) return false;
  if (s->reading || (s->early_exits && !s->starting)) return false;
  if (s->starting && s->starting->core.state != BYN_CHILD_STARTING)
    return false;
  return s->ready ? !s->starting || byn_restart_busy(&s->machine)
                  : !s->starting && !s->chained;
}
#else
#define is_consistent(s) true
#endif

/* --- the end -------------------------------------------------------------- */

/* Pops the reason why it could not start, and ends it: the starter hears the
 * reason, and no EXIT. */
static void supervisor_start_failed(lua_State *L, byn_process *p) {
  byn_supervisor *s = p->self;
  byn_id parent = byn_parent_of(p);
  byn_unlink_from(L, p, &parent);
  if (s->mail) {
    lua_pushnil(L);
    byn_reason_copy(L, -2);
    byn_supervisor_answer(L, p, 2);
  }
  byn_process_end(L, p);
}

/* All children have stopped. */
static void supervisor_finish(lua_State *L, byn_process *p,
                              const byn_restart_action *a) {
  byn_supervisor *s = p->self;
  for (byn_child *c = s->machine.children.first; c; c = c->next)
    byn_tell_ended(L, p, (byn_supervised *)c);
  if (a->cause == BYN_END_BOOT) {
    byn_assert(s->asked == BYN_ASKED_BOOT && a->child);
    byn_supervised_push_id(L, (const byn_supervised *)a->child);
    byn_failure_push_last(L, p);
    byn_reason_make(L, "failed_to_start_child", 2);
    byn_reason_make(L, "shutdown", 1);
    supervisor_start_failed(L, p);
    return;
  }
  if (a->cause == BYN_END_ASKED)
    byn_slot_push(L, s->reason);
  else
    lua_pushliteral(L, "shutdown");
  p->gave_up = a->cause == BYN_END_GAVE_UP;
  p->ends_in_order = a->cause == BYN_END_AUTO;
  byn_process_end(L, p);
}

/* --- actions -------------------------------------------------------------- */

static void run_start_function(lua_State *L, byn_process *p,
                               byn_supervised *child) {
  byn_supervisor *s = p->self;
  byn_assert(!s->starting && !s->early_exits);
  byn_assert(child->core.state == BYN_CHILD_STARTING);
  s->starting = child;
  byn_process_call(L, p, byn_supervised_push_start(L, p, child));
}

static void send_exit(lua_State *L, byn_process *p, const byn_id *to,
                      const char *reason) {
  lua_pushstring(L, reason);
  byn_exit_to(L, p->node, &p->id, to, lua_gettop(L));
  lua_pop(L, 1);
}

/* A child that stops is watched: it may have unlinked itself. If it is dead
 * already, supervisor_lost is called before byn_watch returns, and an EXIT of
 * it that comes later means nothing. */
static void stop_child(lua_State *L, byn_process *p, byn_supervised *child) {
  byn_id pid = child->pid;
  bool brutal = child->core.shutdown == BYN_SHUTDOWN_KILL;
  byn_assert(child->core.state == BYN_CHILD_STOPPING && pid.origin);
  byn_watch_slow_stop(L, p);
  byn_unlink_from(L, p, &pid);
  byn_watch(L, p, &pid);
  if (child->core.state == BYN_CHILD_STOPPING)
    send_exit(L, p, &pid, brutal ? "kill" : "shutdown");
}

/* What was asked is done. A start was answered when the child had started. */
static void answer_done(lua_State *L, byn_process *p, byn_supervised *child) {
  byn_supervisor *s = p->self;
  if (child && child->core.state == BYN_CHILD_STOPPED)
    byn_tell_ended(L, p, child);
  if (s->asked == BYN_ASKED_BOOT) {
    byn_process_push(L, p);
    byn_supervisor_answer(L, p, 1);
  } else if (s->asked == BYN_ASKED_STOP) {
    lua_pushboolean(L, 1);
    byn_supervisor_answer(L, p, 1);
  }
  byn_assert(s->asked == BYN_ASKED_NOTHING);
}

static void do_action(lua_State *L, byn_process *p,
                      const byn_restart_action *a) {
  byn_supervised *child = (byn_supervised *)a->child;
  switch (a->what) {
  case BYN_DO_START:
    run_start_function(L, p, child);
    break;
  case BYN_DO_STOP:
    stop_child(L, p, child);
    break;
  case BYN_DO_KILL:
    send_exit(L, p, &child->pid, "kill");
    break;
  case BYN_DO_RETRY: /* a mail to itself comes after all that waits */
    lua_pushboolean(L, 1);
    byn_process_mail(L, p,
                     byn_mail_new(L, p->node->world, BYN_MAIL_CAST, &p->id));
    break;
  case BYN_DO_FORGET:
    byn_tell_ended(L, p, child);
    byn_supervised_free(L, p, child);
    break;
  case BYN_DO_DONE:
    answer_done(L, p, child);
    break;
  case BYN_DO_GIVE_UP:
    byn_tell_gave_up(L, p, child);
    break;
  case BYN_DO_END:
    supervisor_finish(L, p, a);
    break;
  }
}

/* Does all that the machine wants done now. While a plan waits for a child,
 * requests wait too. */
static void do_actions(lua_State *L, byn_process *p) {
  byn_supervisor *s = p->self;
  byn_restart_action a;
  while (byn_restart_next(&s->machine, &a))
    do_action(L, p, &a);
  p->held = byn_restart_busy(&s->machine);
  byn_assert(is_consistent(s));
  int64_t deadline = byn_restart_deadline(&s->machine);
  if (!p->held) s->slow_at = BYN_NEVER;
  if (s->slow_at < deadline) deadline = s->slow_at;
  if (deadline == s->deadline) return;
  int64_t left = deadline - s->machine.now;
  s->deadline = deadline;
  if (deadline == BYN_NEVER)
    byn_process_untimer(p);
  else
    byn_process_timer(L, p, left > 0 ? left : 0);
}

/* --- exits ---------------------------------------------------------------- */

/* A child has ended: the reason is on top (popped). */
static void child_exited(lua_State *L, byn_process *p, byn_supervised *child) {
  byn_supervisor *s = p->self;
  int reason = lua_gettop(L);
  bool normal = byn_reason_is_normal(L, reason);
  byn_tell_exited(L, p, child, reason);
  if (byn_restart_wants(&child->core, normal))
    byn_failure_add(L, p, child, reason);
  byn_restart_exited(&s->machine, &child->core, normal);
  bool over = child->core.state == BYN_CHILD_STOPPED;
  if (over && !byn_restart_busy(&s->machine)) byn_tell_ended(L, p, child);
  lua_settop(L, reason - 1);
}

/* Has the process ended? A living one may send exit signals too, which come
 * as EXIT before that of its end. */
static bool has_ended(const byn_process *p, const byn_id *pid) {
  return pid->origin != p->node->origin || !byn_node_find(p->node, pid);
}

static void supervisor_take_exit(lua_State *L, byn_process *p, byn_mail *mail) {
  byn_supervisor *s = p->self;
  byn_supervised *child = byn_supervised_by_pid(s, &mail->id);
  bool last = child && (!child->unread_exit || child->unread_exit == mail);
  if (child && last) child->unread_exit = NULL;
  byn_value_take(L, p->node->world, &mail->value);
  bool running = child && child->core.state == BYN_CHILD_RUNNING;
  if (running && last && has_ended(p, &child->pid)) {
    child_exited(L, p, child);
    return;
  }
  byn_id parent = byn_parent_of(p);
  if (!byn_id_equal(&mail->id, &parent)) {
    lua_pop(L, 1);
    return;
  }
  byn_assert(!s->reason);
  s->reason = byn_slot_put(L, byn_slots_at(p));
  byn_restart_stop(&s->machine);
}

/* Frees the mail that was being read. It stands in `reading` meanwhile, so
 * that it is not lost if memory runs out. */
static void free_read_mail(lua_State *L, byn_process *p) {
  byn_supervisor *s = p->self;
  byn_mail *mail = s->reading;
  s->reading = NULL;
  if (mail) byn_mail_free(L, p->node->world, mail);
}

/* Notes each EXIT that comes: as the unread one of its child; or, while a start
 * function runs, as one that may be of the child that it starts. */
static bool supervisor_received(lua_State *L, byn_process *p, byn_mail *mail) {
  byn_supervisor *s = p->self;
  (void)L;
  if (mail->kind != BYN_MAIL_EXIT || !s) return false;
  byn_supervised *child = byn_supervised_by_pid(s, &mail->id);
  if (child)
    child->unread_exit = mail;
  else if (s->starting && !s->early_exits)
    s->early_exits = mail;
  return false;
}

static byn_mail *next_exit(const byn_mail *mail) {
  byn_mail *next = mail->next;
  while (next && next->kind != BYN_MAIL_EXIT)
    next = next->next;
  return next;
}

/* What it is asked, and the ends of its children and of its parent. A start
 * function may receive the EXIT of what it has started itself. */
static bool supervisor_owns(const byn_process *p, const byn_mail *mail) {
  byn_supervisor *s = p->self;
  byn_id parent = byn_parent_of(p);
  if (mail->kind == BYN_MAIL_CALL || mail->kind == BYN_MAIL_CAST) return true;
  return mail->kind == BYN_MAIL_EXIT && s &&
         (byn_id_equal(&mail->id, &parent) ||
          byn_supervised_by_pid(s, &mail->id) != NULL);
}

static void supervisor_dropped(byn_process *p, const byn_mail *mail) {
  byn_supervisor *s = p->self;
  if (mail->kind != BYN_MAIL_EXIT || !s) return;
  byn_assert(!byn_supervised_by_pid(s, &mail->id));
  if (s->early_exits == mail) s->early_exits = next_exit(mail);
}

/* A child that was to stop is gone. If it was dead before it was told to, only
 * its EXIT knows why. The machine hears of it first: what memory takes from
 * the telling must not leave it waiting. */
static void supervisor_lost(lua_State *L, byn_process *p, const byn_id *pid,
                            int reason) {
  byn_supervisor *s = p->self;
  byn_supervised *child = s ? byn_supervised_by_pid(s, pid) : NULL;
  if (!child || child->core.state != BYN_CHILD_STOPPING) return;
  byn_restart_stopped(&s->machine, &child->core);
  byn_process_ready(p);
  luaL_checkstack(L, 12, NULL);
  if (child->unread_exit)
    byn_value_push(L, &child->unread_exit->value);
  else
    lua_pushvalue(L, reason);
  byn_tell_exited(L, p, child, lua_gettop(L));
  lua_pop(L, 1);
}

/* --- what a start function returns ---------------------------------------- */

/* Answers, if somebody asked for this start, with the `count` values on top
 * (popped). */
static void answer_start(lua_State *L, byn_process *p, int count) {
  byn_supervisor *s = p->self;
  if (s->asked == BYN_ASKED_START)
    byn_supervisor_answer(L, p, count);
  else
    lua_pop(L, count);
}

/* Did a child end before its start function returned, and does an EXIT say
 * why? A link would only add "noproc" behind it. */
static bool find_early_exit(byn_supervisor *s, byn_node *node,
                            byn_supervised *child) {
  const byn_id *pid = &child->pid;
  if (!s->early_exits || pid->origin != node->origin ||
      byn_node_find(node, pid))
    return false;
  for (byn_mail *mail = s->early_exits; mail; mail = next_exit(mail))
    if (byn_id_equal(&mail->id, pid)) child->unread_exit = mail;
  return child->unread_exit != NULL;
}

/* The pid and what came with it are the `count` values on top (popped). */
static void child_started(lua_State *L, byn_process *p, byn_supervised *child,
                          const byn_id *made, int count) {
  byn_supervisor *s = p->self;
  byn_id pid = *made, old = child->pid;
  byn_supervised_set_pid(L, p, child, &pid);
  if (child->core.restart == BYN_TEMPORARY)
    byn_supervised_drop_arguments(L, p, child);
  if (!find_early_exit(s, p->node, child)) byn_link_to(L, p, &pid);
  bool again = child->announced && old.origin;
  byn_restart_started(&s->machine, &child->core);
  byn_tell_started(L, p, child, again ? &old : NULL);
  answer_start(L, p, count);
}

/* The reason is on top (popped). */
static void child_start_failed(lua_State *L, byn_process *p,
                               byn_supervised *child) {
  byn_supervisor *s = p->self;
  int reason = lua_gettop(L);
  byn_tell_failed(L, p, child, reason);
  byn_failure_add(L, p, child, reason);
  byn_restart_failed(&s->machine, &child->core);
  lua_pushnil(L);
  lua_pushvalue(L, reason);
  answer_start(L, p, 2);
  lua_settop(L, reason - 1);
}

/* Pushes the reason why a start function's results are no success: the error
 * that it returned, or that `what` returned something else. */
static void push_start_error(lua_State *L, const char *what, int first,
                             int count) {
  bool error =
      count >= 2 && !lua_toboolean(L, first) && !lua_isnil(L, first + 1);
  if (error) {
    byn_reason_copy(L, first + 1);
    return;
  }
  if (count && !lua_isnil(L, first))
    byn_reason_copy(L, first);
  else
    lua_pushfstring(L, "%s returned nothing", what);
  byn_reason_make(L, "bad_return", 1);
}

/* Can this be a child's: not ourselves, not one already? */
static bool is_child_pid(byn_process *p, const byn_id *pid) {
  if (!pid || byn_id_equal(pid, &p->id)) return false;
  byn_supervised *other = byn_supervised_by_pid(p->self, pid);
  return !other || other->core.state == BYN_CHILD_STOPPED ||
         other->core.state == BYN_CHILD_STARTING;
}

/* A start function has returned `count` values (popped). */
static void start_returned(lua_State *L, byn_process *p, byn_supervised *child,
                           int count) {
  byn_supervisor *s = p->self;
  int first = lua_gettop(L) - count + 1;
  const byn_id *pid = count ? byn_pid_at(L, first) : NULL;
  if (is_child_pid(p, pid)) {
    if (count > 2) lua_settop(L, first + 1);
    child_started(L, p, child, pid, count > 2 ? 2 : count);
  } else if (count >= 2 && !lua_toboolean(L, first) &&
             byn_reason_is(L, first + 1, "ignore")) {
    byn_restart_ignored(&s->machine, &child->core);
    byn_tell_ended(L, p, child);
    lua_pushnil(L);
    lua_pushliteral(L, "ignore");
    answer_start(L, p, 2);
  } else {
    push_start_error(L, "the start function", first, count);
    child_start_failed(L, p, child);
  }
  lua_settop(L, first - 1);
}

/* --- booting -------------------------------------------------------------- */

static lua_Integer integer_field(lua_State *L, int config, const char *name,
                                 lua_Integer otherwise) {
  lua_getfield(L, config, name);
  lua_Integer n = lua_isnumber(L, -1) ? lua_tointeger(L, -1) : otherwise;
  lua_pop(L, 1);
  return n;
}

/* Makes the children of a static supervisor from a list of packed specs. */
static void add_children(lua_State *L, byn_process *p, int children) {
  byn_supervisor *s = p->self;
  int count = (int)lua_rawlen(L, children);
  lua_createtable(L, 0, count);
  s->ids = byn_slot_put(L, byn_slots_at(p));
  for (int i = 1; i <= count; i++) {
    lua_rawgeti(L, children, i);
    byn_supervised *child = byn_supervised_new(L, p, lua_gettop(L), 0, 0);
    if (!child) luaL_error(L, "an invalid child spec");
    byn_restart_add(&s->machine, &child->core);
    byn_supervised_add_id(L, p, child);
    lua_pop(L, 1);
  }
}

/* Sets up from the configuration on top (popped) and starts the children. */
static void boot(lua_State *L, byn_process *p) {
  byn_supervisor *s = p->self;
  byn_assert(!s->ready && !s->ids && !s->extra);
  int config = lua_gettop(L);
  s->kind = (uint8_t)integer_field(L, config, "kind", BYN_STATIC);
  byn_restart_flags flags = {
      .strategy =
          (uint8_t)integer_field(L, config, "strategy", BYN_ONE_FOR_ONE),
      .auto_shutdown =
          (uint8_t)integer_field(L, config, "auto", BYN_AUTO_NEVER),
      .max_restarts =
          (uint32_t)integer_field(L, config, "max_restarts", BYN_UNLIMITED),
      .period = integer_field(L, config, "period", 0),
      .max_children =
          (uint32_t)integer_field(L, config, "max_children", UINT32_MAX),
      .seed = byn_rng_next(&p->node->rng),
      .dynamic = s->kind != BYN_STATIC};
  byn_restart_init(&s->machine, &p->node->world->alloc, &flags);
  s->ready = true;
  lua_getfield(L, config, "observer");
  const byn_id *observer = byn_pid_at(L, -1);
  if (observer && observer->origin == p->id.origin) s->observer = *observer;
  lua_getfield(L, config, "children");
  if (s->kind == BYN_STATIC) {
    add_children(L, p, lua_gettop(L));
  } else {
    lua_getfield(L, config, "extra");
    s->extra = byn_slot_put(L, byn_slots_at(p));
  }
  byn_restart_boot(&s->machine);
  lua_settop(L, config - 1);
}

/* Makes the values in a configuration our own, one by one: the tables that
 * hold them were made by lua/banyan/supervisor.lua for us. Raises what cannot
 * be copied. */
static int copy_configuration(lua_State *L) {
  lua_settop(L, 1);
  lua_getfield(L, 1, "extra");
  byn_term_copy(L, -1);
  lua_setfield(L, 1, "extra");
  lua_getfield(L, 1, "children");
  int count = lua_istable(L, -1) ? (int)lua_rawlen(L, -1) : 0;
  for (int i = 1; i <= count; i++) {
    lua_rawgeti(L, -1, i);
    byn_term_copy(L, -1);
    lua_rawseti(L, -3, i);
    lua_pop(L, 1);
  }
  return 0;
}

/* The module's init has returned `count` values (popped). */
static void init_returned(lua_State *L, byn_process *p, int count) {
  byn_supervisor *s = p->self;
  int first = lua_gettop(L) - count + 1;
  if (count && lua_istable(L, first)) {
    lua_settop(L, first);
    lua_pushcfunction(L, copy_configuration);
    lua_pushvalue(L, first);
    if (lua_pcall(L, 1, 0, 0) == LUA_OK) {
      boot(L, p);
    } else {
      byn_reason_make(L, "bad_return", 1);
      supervisor_start_failed(L, p);
    }
  } else if (s->mail && count >= 2 && byn_reason_is(L, first + 1, "ignore")) {
    lua_pushnil(L);
    lua_pushliteral(L, "ignore");
    byn_supervisor_answer(L, p, 2);
    lua_pushliteral(L, "normal");
    supervisor_start_failed(L, p);
  } else {
    push_start_error(L, "init", first, count);
    supervisor_start_failed(L, p);
  }
  lua_settop(L, first - 1);
}

/* The first turn: boots, or runs the module's init for a configuration. */
static void supervisor_run_init(lua_State *L, byn_process *p) {
  byn_supervisor *s = p->self;
  byn_slot_take(L, byn_slots_at(p), s->init);
  s->init = 0;
  lua_rawgeti(L, -1, 1);
  if (!lua_isfunction(L, -1)) {
    lua_pop(L, 1);
    boot(L, p);
    return;
  }
  lua_rawgeti(L, -2, 2);
  lua_rawgeti(L, -3, 3);
  lua_remove(L, -4);
  byn_process_call(L, p, 2);
}

/* --- the behaviour -------------------------------------------------------- */

static void supervisor_take_mail(lua_State *L, byn_process *p, byn_mail *mail) {
  byn_supervisor *s = p->self;
  bool retry = mail->kind == BYN_MAIL_CAST && byn_id_equal(&mail->id, &p->id);
  byn_assert(!s->mail && !s->reading && !s->starting);
  if (mail->kind == BYN_MAIL_CALL) {
    s->mail = mail;
    byn_supervisor_request(L, p);
    return;
  }
  s->reading = mail;
  if (mail->kind == BYN_MAIL_EXIT)
    supervisor_take_exit(L, p, mail);
  else if (retry)
    byn_restart_retry(&s->machine);
  free_read_mail(L, p);
}

static void supervisor_run(lua_State *L, byn_process *p) {
  byn_supervisor *s = p->self;
  int top = byn_stack_top(L);
  luaL_checkstack(L, 20, NULL);
  byn_assert(is_consistent(s) && !s->starting);
  if (s->init) supervisor_run_init(L, p);
  if (s->ready) {
    byn_restart_time(&s->machine, byn_node_now(L, p->node));
    if (!byn_restart_busy(&s->machine)) {
      byn_mail *mail = byn_mailbox_pop(&p->mail);
      if (mail) supervisor_take_mail(L, p, mail);
    }
    do_actions(L, p);
  }
  byn_assert(lua_gettop(L) == top);
}

/* A start function, or before all of them the module's init, has ended. */
static void supervisor_returned(lua_State *L, byn_process *p, int status,
                                int count) {
  byn_supervisor *s = p->self;
  int top = byn_stack_top(L);
  luaL_checkstack(L, 20, NULL);
  byn_assert(is_consistent(s) && s->ready == (s->starting != NULL));
  byn_supervised *child = s->starting;
  if (child) {
    s->starting = NULL;
    byn_restart_time(&s->machine, byn_node_now(L, p->node));
    if (status == LUA_OK)
      start_returned(L, p, child, count);
    else
      child_start_failed(L, p, child);
    s->early_exits = NULL;
  } else {
    if (status == LUA_OK)
      init_returned(L, p, count);
    else
      supervisor_start_failed(L, p);
    if (s->ready) byn_restart_time(&s->machine, byn_node_now(L, p->node));
  }
  if (s->ready) do_actions(L, p);
  byn_assert(lua_gettop(L) == top - count);
}

static void supervisor_timed_out(lua_State *L, byn_process *p) {
  byn_supervisor *s = p->self;
  s->deadline = BYN_NEVER;
  if (s->slow_at <= p->node->now) byn_tell_slow_stop(L, p);
  byn_process_ready(p);
}

/* What a start function was about to start is killed too: left to itself, a
 * supervisor would stop its own children first, in their own time. */
static void kill_starting(lua_State *L, byn_process *p) {
  const byn_relation_list *list = &p->relations;
  for (byn_relation *r = list->first; r;) {
    bool at_a = r->a.list == list;
    const byn_id *far = byn_far_id(r, list);
    bool ours = far->origin == p->node->origin;
    const byn_process *q = ours ? byn_node_find(p->node, far) : NULL;
    bool made = r->kind == BYN_LINK && q && q->parent == p->id.serial;
    if (made) send_exit(L, p, far, "kill");
    r = at_a ? r->a.next : r->b.next;
  }
}

/* None of its children outlives it; those that still run are killed. */
static void kill_children(lua_State *L, byn_process *p) {
  byn_supervisor *s = p->self;
  byn_child *c;
  while ((c = s->machine.children.first) != NULL) {
    byn_supervised *child = (byn_supervised *)c;
    bool runs = c->state == BYN_CHILD_RUNNING || c->state == BYN_CHILD_STOPPING;
    if (runs) send_exit(L, p, &child->pid, "kill");
    byn_tell_ended(L, p, child);
    s->machine.children.first = c->next;
    byn_supervised_free(L, p, child);
  }
  while ((c = s->machine.gone.first) != NULL) {
    byn_tell_ended(L, p, (byn_supervised *)c);
    s->machine.gone.first = c->queue_next;
    byn_supervised_free(L, p, (byn_supervised *)c);
  }
}

static void supervisor_ended(lua_State *L, byn_process *p, int reason) {
  byn_supervisor *s = p->self;
  luaL_checkstack(L, 20, NULL);
  if (s->asked == BYN_ASKED_BOOT && s->mail) {
    /* Killed before its children had started: the starter hears why. */
    byn_id parent = byn_parent_of(p);
    byn_unlink_from(L, p, &parent);
    lua_pushnil(L);
    lua_pushvalue(L, reason);
    byn_supervisor_answer(L, p, 2);
  }
  if (s->mail) byn_mail_free(L, p->node->world, s->mail);
  s->mail = NULL;
  free_read_mail(L, p);
  if (s->ready) {
    if (s->starting) kill_starting(L, p);
    kill_children(L, p);
    byn_restart_clear(&s->machine);
    byn_supervised_clear(p);
    s->ready = false;
  }
  int *slots[] = {&s->init,  &s->apply,  &s->ids,
                  &s->extra, &s->reason, &s->failures};
  for (size_t i = 0; i < sizeof slots / sizeof *slots; i++) {
    byn_slot_free(L, byn_slots_at(p), *slots[i]);
    *slots[i] = 0;
  }
  byn_free(&p->node->world->alloc, s, sizeof *s);
}

static const byn_behaviour supervisor_behaviour = {
    .name = "supervisor",
    .run = supervisor_run,
    .returned = supervisor_returned,
    .received = supervisor_received,
    .owns = supervisor_owns,
    .dropped = supervisor_dropped,
    .lost = supervisor_lost,
    .timed_out = supervisor_timed_out,
    .ended = supervisor_ended};

/* --- in Lua --------------------------------------------------------------- */

/* The arguments of start; INIT is what a supervisor keeps in `init`. */
enum { INIT = 1, APPLY, NAME, LABEL, ARGUMENTS = LABEL };

typedef struct supervisor_start {
  byn_process *starter, *p;
  byn_id ref; /* of the starter's wait */
} supervisor_start;

/* (start, init, apply, name, label): fills in the new process. Raises when
 * memory is short. */
static int l_set_up_supervisor(lua_State *L) {
  supervisor_start *start = lua_touserdata(L, 1);
  byn_process *p = start->p;
  byn_supervisor *s = p->self;
  p->label = byn_slot_keep(L, byn_slots_at(p));
  if (!lua_isnil(L, -1)) byn_node_register(L, p->node, p, -1);
  lua_settop(L, 3);
  s->apply = byn_slot_put(L, byn_slots_at(p));
  s->init = byn_slot_put(L, byn_slots_at(p));
  lua_pushnil(L);
  s->mail = byn_mail_new(L, p->node->world, BYN_MAIL_CALL, &start->ref);
  s->asked = BYN_ASKED_BOOT;
  byn_relate_local(L, BYN_LINK, start->starter, p, 0, false);
  return 0;
}

/* Copies what a program gave at INIT: the configuration, or the argument of a
 * module's init. */
static void copy_init(lua_State *L) {
  lua_rawgeti(L, INIT, 1);
  bool module = lua_isfunction(L, -1);
  lua_pop(L, 1);
  if (module) {
    lua_rawgeti(L, INIT, 3);
    byn_term_copy(L, -1);
    lua_rawseti(L, INIT, 3);
    lua_pop(L, 1);
  } else {
    lua_pushcfunction(L, copy_configuration);
    lua_pushvalue(L, INIT);
    lua_call(L, 1, 0);
  }
}

/* Makes a supervisor, which boots at its first turn, and waits for its answer:
 * see answer_done, supervisor_start_failed and supervisor_ended. */
static int l_start_supervisor(lua_State *L) {
  lua_settop(L, ARGUMENTS);
  supervisor_start start = {.starter =
                                byn_process_here(L, "supervisor.start_link")};
  byn_process *starter = start.starter;
  byn_process_check_wait(L, starter);
  byn_process *taken =
      lua_isnil(L, NAME) ? NULL : byn_node_named(L, starter->node, NAME);
  if (taken) {
    lua_pushnil(L);
    byn_process_push(L, taken);
    byn_reason_make(L, "already_started", 1);
    return 2;
  }
  copy_init(L);
  lua_pushcfunction(L, l_set_up_supervisor);
  lua_insert(L, INIT);
  lua_pushlightuserdata(L, &start);
  lua_insert(L, INIT + 1);
  byn_process_expect_start(starter, &start.ref);
  byn_process *p = byn_process_new(L, starter->node, &supervisor_behaviour);
  byn_assert(p->id.serial == start.ref.serial + 1);
  byn_supervisor *s = byn_new(&p->node->world->alloc, sizeof *s);
  start.p = p;
  p->self = s;
  p->traps = true;
  if (s)
    *s = (byn_supervisor){.deadline = BYN_NEVER, .slow_at = BYN_NEVER};
  else
    lua_pushliteral(L, "not enough memory");
  if (!s || lua_pcall(L, ARGUMENTS + 1, 0, 0) != LUA_OK) {
    lua_pushvalue(L, -1);
    byn_process_end(L, p);
    return lua_error(L);
  }
  byn_process_ready(p);
  return byn_process_wait(L, starter, BYN_WAIT_REPLY, -1);
}

const char *byn_supervisor_kind_name(const byn_supervisor *s) {
  static const char *const names[] = {"static", "simple", "dynamic"};
  return names[s->kind];
}

/* kind(dest) -> "static" | "simple" | "dynamic" | "none", or nil where only
 * a call can tell */
static int l_kind(lua_State *L) {
  byn_dest dest;
  byn_dest_at(L, byn_node_here(L), 1, "supervisor", &dest);
  if (dest.kind != BYN_DEST_LOCAL) return 0;
  bool ours = dest.process->behaviour == &supervisor_behaviour;
  const byn_supervisor *s = ours ? dest.process->self : NULL;
  if (s && !s->ready) return 0;
  lua_pushstring(L, s ? byn_supervisor_kind_name(s) : "none");
  return 1;
}

/* rows(pid) -> what which_children would answer, or nil: it is in the middle
 * of something, or no supervisor of this Lua state. For tests that look at it
 * between two steps. */
static int l_rows(lua_State *L) {
  const byn_id *id = byn_pid_at(L, 1);
  luaL_argexpected(L, id, 1, "pid");
  byn_node *node = id->origin->node;
  byn_process *p = node ? byn_node_find(node, id) : NULL;
  const byn_supervisor *s =
      p && p->behaviour == &supervisor_behaviour ? p->self : NULL;
  if (!s || !s->ready || byn_restart_busy(&s->machine)) return 0;
  byn_supervisor_push_children(L, p);
  return 1;
}

void byn_supervisor_open(lua_State *L) {
  static const luaL_Reg functions[] = {{"start", l_start_supervisor},
                                       {"kind", l_kind},
                                       {"rows", l_rows},
                                       {NULL, NULL}};
  byn_world *w = byn_world_of(L);
  if (!w->children.alloc)
    byn_pool_init(&w->children, &w->alloc, sizeof(byn_supervised));
  luaL_newlib(L, functions);
  byn_childspec_open(L);
  lua_setfield(L, -2, "pack");
}
