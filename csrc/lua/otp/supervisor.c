#include "supervisor.h"

#include "../value/compat.h"
#include "../value/reason.h"
#include "../value/term.h"
#include "../process/dest.h"
#include "../process/scheduler.h"
#include "../process/signal.h"

static const byn_behaviour supervisor;

/* Keeps the value at `index` in one of our slots, in place of another. */
static void keep(lua_State *L, byn_process *p, int *slot, int index) {
  lua_pushvalue(L, index);
  int fresh = byn_slot_put(L, byn_slots_at(p));
  byn_slot_free(L, byn_slots_at(p), *slot);
  *slot = fresh;
}

/* --- the end -------------------------------------------------------------- */

/* Tells the observer of those that stopped for good while all stopped. */
static void tell_all_ended(lua_State *L, byn_process *p) {
  byn_supervisor *s = p->self;
  for (byn_child *c = s->machine.children.first; c; c = c->next)
    byn_tell_ended(L, p, (byn_kid *)c);
}

/* Pushes {"shutdown", {"failed_to_start_child", id, reason}}. */
static void push_boot_failure(lua_State *L, byn_process *p,
                              const byn_kid *kid) {
  byn_kid_push_id(L, kid);
  byn_trouble_push_last(L, p);
  byn_reason_make(L, "failed_to_start_child", 2);
  byn_reason_make(L, "shutdown", 1);
}

/* Pops the reason; the starter hears it and no EXIT. */
static void fail_birth(lua_State *L, byn_process *p) {
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

static void end(lua_State *L, byn_process *p, const byn_restart_action *a) {
  byn_supervisor *s = p->self;
  tell_all_ended(L, p);
  if (a->cause == BYN_END_BOOT) {
    push_boot_failure(L, p, (const byn_kid *)a->child);
    fail_birth(L, p);
    return;
  }
  if (a->cause == BYN_END_ASKED)
    byn_slot_push(L, s->reason);
  else
    lua_pushliteral(L, "shutdown");
  byn_process_end(L, p);
}

/* --- actions -------------------------------------------------------------- */

static void start(lua_State *L, byn_process *p, byn_kid *kid) {
  byn_supervisor *s = p->self;
  s->starting = kid;
  s->stray = NULL;
  byn_process_call(L, p, byn_kid_push_start(L, p, kid));
}

static void send_exit(lua_State *L, byn_process *p, const byn_id *to,
                      const char *reason) {
  lua_pushstring(L, reason);
  byn_exit_to(L, p->node, &p->id, to, lua_gettop(L));
  lua_pop(L, 1);
}

/* A child that stops is watched: it may have unlinked itself. If it is dead
 * already, that is known before byn_watch returns, and its EXIT, if one waits,
 * will be nobody's. */
static void stop(lua_State *L, byn_process *p, byn_kid *kid) {
  byn_id pid = kid->pid;
  bool brutal = kid->core.shutdown == BYN_SHUTDOWN_KILL;
  byn_unlink_from(L, p, &pid);
  byn_watch(L, p, &pid);
  if (kid->core.state == BYN_CHILD_STOPPING)
    send_exit(L, p, &pid, brutal ? "kill" : "shutdown");
}

/* Asks for another turn behind all that waits. */
static void retry_later(lua_State *L, byn_process *p) {
  lua_pushboolean(L, 1);
  byn_process_mail(L, p,
                   byn_mail_new(L, p->node->world, BYN_MAIL_CAST, &p->id));
}

static void forget(lua_State *L, byn_process *p, byn_kid *kid) {
  byn_tell_ended(L, p, kid);
  byn_kid_free(L, p, kid);
}

static void done(lua_State *L, byn_process *p, byn_kid *kid) {
  byn_supervisor *s = p->self;
  if (kid && kid->core.state == BYN_CHILD_STOPPED) byn_tell_ended(L, p, kid);
  if (s->asked == BYN_ASKED_BOOT) {
    byn_process_push(L, p);
    byn_supervisor_answer(L, p, 1);
  } else if (s->asked == BYN_ASKED_STOP) {
    lua_pushboolean(L, 1);
    byn_supervisor_answer(L, p, 1);
  }
}

static void perform(lua_State *L, byn_process *p, const byn_restart_action *a) {
  byn_kid *kid = (byn_kid *)a->child;
  switch (a->what) {
  case BYN_DO_START:
    start(L, p, kid);
    break;
  case BYN_DO_STOP:
    stop(L, p, kid);
    break;
  case BYN_DO_KILL:
    send_exit(L, p, &kid->pid, "kill");
    break;
  case BYN_DO_RETRY:
    retry_later(L, p);
    break;
  case BYN_DO_FORGET:
    forget(L, p, kid);
    break;
  case BYN_DO_DONE:
    done(L, p, kid);
    break;
  case BYN_DO_GIVE_UP:
    byn_tell_gave_up(L, p, kid);
    break;
  case BYN_DO_END:
    end(L, p, a);
    break;
  }
}

static void set_timer(lua_State *L, byn_process *p) {
  byn_supervisor *s = p->self;
  int64_t deadline = byn_restart_deadline(&s->machine);
  if (deadline == s->deadline) return;
  int64_t left = deadline - s->machine.now;
  s->deadline = deadline;
  if (deadline == BYN_NEVER)
    byn_process_untimer(p);
  else
    byn_process_timer(L, p, left > 0 ? left : 0);
}

/* Does all that the machine wants done now. While a plan waits for a child,
 * requests wait too. */
static void act(lua_State *L, byn_process *p) {
  byn_supervisor *s = p->self;
  byn_restart_action a;
  while (byn_restart_next(&s->machine, &a))
    perform(L, p, &a);
  p->held = byn_restart_busy(&s->machine);
  set_timer(L, p);
}

/* --- exits ---------------------------------------------------------------- */

/* A child has ended: the reason is on top (popped). */
static void child_exited(lua_State *L, byn_process *p, byn_kid *kid) {
  byn_supervisor *s = p->self;
  int reason = lua_gettop(L);
  bool normal = byn_reason_is_normal(L, reason);
  byn_tell_exited(L, p, kid, reason);
  if (byn_restart_wants(&kid->core, normal)) byn_trouble_add(L, p, kid, reason);
  byn_restart_exited(&s->machine, &kid->core, normal);
  bool over = kid->core.state == BYN_CHILD_STOPPED;
  if (over && !byn_restart_busy(&s->machine)) byn_tell_ended(L, p, kid);
  lua_settop(L, reason - 1);
}

/* Has it ended? A living process may send exit signals too; they are not its
 * end, also where that comes behind them. */
static bool is_gone(const byn_process *p, const byn_id *pid) {
  return pid->origin != p->node->origin || !byn_node_find(p->node, pid);
}

static void take_exit(lua_State *L, byn_process *p, byn_mail *mail) {
  byn_supervisor *s = p->self;
  byn_kid *kid = byn_kid_of(s, &mail->id);
  bool last = kid && (!kid->news || kid->news == mail);
  if (kid && last) kid->news = NULL;
  byn_value_take(L, p->node->world, &mail->value);
  bool running = kid && kid->core.state == BYN_CHILD_RUNNING;
  if (running && last && is_gone(p, &kid->pid)) {
    child_exited(L, p, kid);
    return;
  }
  byn_id parent = byn_parent_of(p);
  if (byn_id_equal(&mail->id, &parent)) {
    keep(L, p, &s->reason, -1);
    byn_restart_stop(&s->machine);
  }
  lua_pop(L, 1);
}

/* Frees the mail that was being read. It stands in `taken` meanwhile, so that
 * it is not lost if memory runs out. */
static void free_taken(lua_State *L, byn_process *p) {
  byn_supervisor *s = p->self;
  byn_mail *mail = s->taken;
  s->taken = NULL;
  if (mail) byn_mail_free(L, p->node->world, mail);
}

static void note_exit(byn_supervisor *s, byn_mail *mail) {
  byn_kid *kid = byn_kid_of(s, &mail->id);
  if (kid)
    kid->news = mail;
  else if (s->starting && !s->stray)
    s->stray = mail;
}

static bool supervisor_received(lua_State *L, byn_process *p, byn_mail *mail) {
  (void)L;
  if (mail->kind == BYN_MAIL_EXIT && p->self) note_exit(p->self, mail);
  return false;
}

static byn_mail *next_exit(const byn_mail *mail) {
  byn_mail *next = mail->next;
  while (next && next->kind != BYN_MAIL_EXIT)
    next = next->next;
  return next;
}

/* A start function may receive what is not for it. */
static void supervisor_dropped(byn_process *p, const byn_mail *mail) {
  byn_supervisor *s = p->self;
  if (mail->kind != BYN_MAIL_EXIT || !s) return;
  byn_kid *kid = byn_kid_of(s, &mail->id);
  if (kid && kid->news == mail) kid->news = NULL;
  if (s->stray == mail) s->stray = next_exit(mail);
}

/* A child that was to stop is gone. If it was dead before it was told to, only
 * its EXIT knows why. The machine hears of it first: what memory takes from
 * the telling must not leave it waiting. */
static void supervisor_lost(lua_State *L, byn_process *p, const byn_id *pid,
                            int reason) {
  byn_supervisor *s = p->self;
  byn_kid *kid = s ? byn_kid_of(s, pid) : NULL;
  if (!kid || kid->core.state != BYN_CHILD_STOPPING) return;
  byn_restart_stopped(&s->machine, &kid->core);
  byn_process_ready(p);
  luaL_checkstack(L, 12, NULL);
  if (kid->news)
    byn_value_push(L, &kid->news->value);
  else
    lua_pushvalue(L, reason);
  byn_tell_exited(L, p, kid, lua_gettop(L));
  lua_pop(L, 1);
}

/* --- starts --------------------------------------------------------------- */

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
static bool find_exit(byn_supervisor *s, byn_node *node, byn_kid *kid) {
  const byn_id *pid = &kid->pid;
  if (!s->stray || pid->origin != node->origin || byn_node_find(node, pid))
    return false;
  for (byn_mail *mail = s->stray; mail; mail = next_exit(mail))
    if (byn_id_equal(&mail->id, pid)) kid->news = mail;
  return kid->news != NULL;
}

/* The pid and what came with it are the `count` values on top (popped). */
static void started(lua_State *L, byn_process *p, byn_kid *kid,
                    const byn_id *made, int count) {
  byn_supervisor *s = p->self;
  byn_id pid = *made, old = kid->pid;
  byn_kid_set_pid(L, p, kid, &pid);
  if (kid->core.restart == BYN_TEMPORARY) byn_kid_strip(L, p, kid);
  if (!find_exit(s, p->node, kid)) byn_link_to(L, p, &pid);
  bool again = kid->announced && old.origin;
  byn_restart_started(&s->machine, &kid->core);
  byn_tell_started(L, p, kid, again ? &old : NULL);
  answer_start(L, p, count);
}

static void ignored(lua_State *L, byn_process *p, byn_kid *kid) {
  byn_supervisor *s = p->self;
  byn_restart_ignored(&s->machine, &kid->core);
  byn_tell_ended(L, p, kid);
  lua_pushnil(L);
  lua_pushliteral(L, "ignore");
  answer_start(L, p, 2);
}

/* The reason is on top (popped). */
static void failed(lua_State *L, byn_process *p, byn_kid *kid) {
  byn_supervisor *s = p->self;
  int reason = lua_gettop(L);
  byn_tell_failed(L, p, kid, reason);
  byn_trouble_add(L, p, kid, reason);
  byn_restart_failed(&s->machine, &kid->core);
  lua_pushnil(L);
  lua_pushvalue(L, reason);
  answer_start(L, p, 2);
  lua_settop(L, reason - 1);
}

/* Pushes the reason why a start function's results are no success: the error
 * that it returned, or that it returned something else. */
static void push_start_error(lua_State *L, int first, int count) {
  bool error =
      count >= 2 && !lua_toboolean(L, first) && !lua_isnil(L, first + 1);
  if (error) {
    byn_reason_copy(L, first + 1);
    return;
  }
  if (count)
    byn_reason_copy(L, first);
  else
    lua_pushliteral(L, "nothing");
  byn_reason_make(L, "bad_return", 1);
}

/* Can this be a child's: not ourselves, not one already? */
static bool is_child_pid(byn_process *p, const byn_id *pid) {
  if (!pid || byn_id_equal(pid, &p->id)) return false;
  byn_kid *other = byn_kid_of(p->self, pid);
  return !other || other->core.state == BYN_CHILD_STOPPED ||
         other->core.state == BYN_CHILD_STARTING;
}

static void start_returned(lua_State *L, byn_process *p, byn_kid *kid,
                           int count) {
  int first = lua_gettop(L) - count + 1;
  const byn_id *pid = count ? byn_pid_at(L, first) : NULL;
  if (is_child_pid(p, pid)) {
    if (count > 2) lua_settop(L, first + 1);
    started(L, p, kid, pid, count > 2 ? 2 : count);
  } else if (count >= 2 && !lua_toboolean(L, first) &&
             byn_reason_is(L, first + 1, "ignore")) {
    ignored(L, p, kid);
  } else {
    push_start_error(L, first, count);
    failed(L, p, kid);
  }
  lua_settop(L, first - 1);
}

/* --- birth ---------------------------------------------------------------- */

static lua_Integer field(lua_State *L, int config, const char *name,
                         lua_Integer otherwise) {
  lua_getfield(L, config, name);
  lua_Integer n = lua_isnumber(L, -1) ? lua_tointeger(L, -1) : otherwise;
  lua_pop(L, 1);
  return n;
}

static void set_up_machine(lua_State *L, byn_process *p, int config) {
  byn_supervisor *s = p->self;
  byn_restart_flags flags = {
      .strategy = (uint8_t)field(L, config, "strategy", BYN_ONE_FOR_ONE),
      .auto_shutdown = (uint8_t)field(L, config, "auto", BYN_AUTO_NEVER),
      .max_restarts = (uint32_t)field(L, config, "max_restarts", BYN_UNLIMITED),
      .period = field(L, config, "period", 0),
      .max_children = (uint32_t)field(L, config, "max_children", UINT32_MAX),
      .seed = byn_rng_next(&p->node->rng),
      .dynamic = s->kind != BYN_STATIC};
  byn_restart_init(&s->machine, &p->node->world->alloc, &flags);
  s->ready = true;
}

static void add_children(lua_State *L, byn_process *p, int children) {
  byn_supervisor *s = p->self;
  int count = (int)lua_rawlen(L, children);
  lua_createtable(L, 0, count);
  s->ids = byn_slot_put(L, byn_slots_at(p));
  for (int i = 1; i <= count; i++) {
    lua_rawgeti(L, children, i);
    byn_kid *kid = byn_kid_new(L, p, lua_gettop(L), 0, 0);
    if (!kid) luaL_error(L, "an invalid child spec");
    byn_restart_add(&s->machine, &kid->core);
    byn_kid_name(L, p, kid);
    lua_pop(L, 1);
  }
}

/* Sets up from the configuration on top (popped) and starts the children. */
static void boot(lua_State *L, byn_process *p) {
  byn_supervisor *s = p->self;
  int config = lua_gettop(L);
  s->kind = (uint8_t)field(L, config, "kind", BYN_STATIC);
  set_up_machine(L, p, config);
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

/* false: the configuration on top cannot be copied; the reason is on top. */
static bool adopt(lua_State *L) {
  lua_pushcfunction(L, copy_configuration);
  lua_pushvalue(L, -2);
  if (lua_pcall(L, 1, 0, 0) == LUA_OK) return true;
  byn_reason_make(L, "bad_return", 1);
  return false;
}

/* The module's init has returned `count` values (popped). */
static void init_returned(lua_State *L, byn_process *p, int count) {
  byn_supervisor *s = p->self;
  int first = lua_gettop(L) - count + 1;
  if (count && lua_istable(L, first)) {
    lua_settop(L, first);
    if (adopt(L))
      boot(L, p);
    else
      fail_birth(L, p);
  } else if (s->mail && count >= 2 && byn_reason_is(L, first + 1, "ignore")) {
    lua_pushnil(L);
    lua_pushliteral(L, "ignore");
    byn_supervisor_answer(L, p, 2);
    lua_pushliteral(L, "normal");
    fail_birth(L, p);
  } else {
    push_start_error(L, first, count);
    fail_birth(L, p);
  }
  lua_settop(L, first - 1);
}

/* A list {init, module, argument}, or the configuration itself. */
static void be_born(lua_State *L, byn_process *p) {
  byn_supervisor *s = p->self;
  byn_slot_take(L, byn_slots_at(p), s->birth);
  s->birth = 0;
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

static void take_mail(lua_State *L, byn_process *p, byn_mail *mail) {
  byn_supervisor *s = p->self;
  bool retry = mail->kind == BYN_MAIL_CAST && byn_id_equal(&mail->id, &p->id);
  if (mail->kind == BYN_MAIL_CALL) {
    s->mail = mail;
    byn_supervisor_request(L, p);
    return;
  }
  free_taken(L, p);
  s->taken = mail;
  if (mail->kind == BYN_MAIL_EXIT)
    take_exit(L, p, mail);
  else if (retry)
    byn_restart_retry(&s->machine);
  free_taken(L, p);
}

static void supervisor_run(lua_State *L, byn_process *p) {
  byn_supervisor *s = p->self;
  luaL_checkstack(L, 20, NULL);
  if (s->birth) be_born(L, p);
  if (!s->ready) return;
  byn_restart_time(&s->machine, byn_node_now(L, p->node));
  if (!byn_restart_busy(&s->machine)) {
    byn_mail *mail = byn_mailbox_pop(&p->mail);
    if (mail) take_mail(L, p, mail);
  }
  act(L, p);
}

/* A start function has ended. */
static void start_ended(lua_State *L, byn_process *p, int status, int count) {
  byn_supervisor *s = p->self;
  byn_kid *kid = s->starting;
  s->starting = NULL;
  byn_restart_time(&s->machine, byn_node_now(L, p->node));
  if (status == LUA_OK)
    start_returned(L, p, kid, count);
  else
    failed(L, p, kid);
  act(L, p);
}

/* The module's init has ended. */
static void init_ended(lua_State *L, byn_process *p, int status, int count) {
  byn_supervisor *s = p->self;
  if (status == LUA_OK)
    init_returned(L, p, count);
  else
    fail_birth(L, p);
  if (!s->ready) return;
  byn_restart_time(&s->machine, byn_node_now(L, p->node));
  act(L, p);
}

static void supervisor_returned(lua_State *L, byn_process *p, int status,
                                int count) {
  byn_supervisor *s = p->self;
  luaL_checkstack(L, 20, NULL);
  if (s->ready)
    start_ended(L, p, status, count);
  else
    init_ended(L, p, status, count);
}

static void supervisor_timed_out(lua_State *L, byn_process *p) {
  byn_supervisor *s = p->self;
  (void)L;
  s->deadline = BYN_NEVER;
  byn_process_ready(p);
}

/* What a start function was about to start dies too: left to itself, a
 * supervisor would stop its own children first, in their own time. */
static void kill_unborn(lua_State *L, byn_process *p) {
  const byn_relation_list *list = &p->relations;
  for (byn_relation *r = list->first; r;) {
    bool at_a = r->a.list == list;
    const byn_id *far = byn_far_id(r, list);
    bool ours = far->origin == p->node->origin;
    const byn_process *q = ours ? byn_node_find(p->node, far) : NULL;
    bool child = r->kind == BYN_LINK && q && q->parent == p->id.serial;
    if (child) send_exit(L, p, far, "kill");
    r = at_a ? r->a.next : r->b.next;
  }
}

/* None of its children outlives it; those that still run are killed. */
static void free_children(lua_State *L, byn_process *p) {
  byn_supervisor *s = p->self;
  byn_child *c;
  while ((c = s->machine.children.first) != NULL) {
    byn_kid *kid = (byn_kid *)c;
    bool runs = c->state == BYN_CHILD_RUNNING || c->state == BYN_CHILD_STOPPING;
    if (runs) send_exit(L, p, &kid->pid, "kill");
    byn_tell_ended(L, p, kid);
    s->machine.children.first = c->next;
    byn_kid_free(L, p, kid);
  }
  while ((c = s->machine.gone.first) != NULL) {
    byn_tell_ended(L, p, (byn_kid *)c);
    s->machine.gone.first = c->queue_next;
    byn_kid_free(L, p, (byn_kid *)c);
  }
}

static void free_slots(lua_State *L, byn_process *p) {
  byn_supervisor *s = p->self;
  int *slots[] = {&s->birth, &s->apply,  &s->ids,
                  &s->extra, &s->reason, &s->recent};
  for (size_t i = 0; i < sizeof slots / sizeof *slots; i++) {
    byn_slot_free(L, byn_slots_at(p), *slots[i]);
    *slots[i] = 0;
  }
}

/* Killed before its children had started: the starter hears why. */
static void tell_starter(lua_State *L, byn_process *p, int reason) {
  byn_id parent = byn_parent_of(p);
  byn_unlink_from(L, p, &parent);
  lua_pushnil(L);
  lua_pushvalue(L, reason);
  byn_supervisor_answer(L, p, 2);
}

static void supervisor_ended(lua_State *L, byn_process *p, int reason) {
  byn_supervisor *s = p->self;
  luaL_checkstack(L, 20, NULL);
  if (s->asked == BYN_ASKED_BOOT && s->mail) tell_starter(L, p, reason);
  if (s->mail) byn_mail_free(L, p->node->world, s->mail);
  s->mail = NULL;
  free_taken(L, p);
  if (s->ready) {
    if (s->starting) kill_unborn(L, p);
    free_children(L, p);
    byn_restart_clear(&s->machine);
    byn_kids_clear(p);
    s->ready = false;
  }
  free_slots(L, p);
  byn_free(&p->node->world->alloc, s, sizeof *s);
}

static const byn_behaviour supervisor = {.name = "supervisor",
                                         .run = supervisor_run,
                                         .returned = supervisor_returned,
                                         .received = supervisor_received,
                                         .dropped = supervisor_dropped,
                                         .lost = supervisor_lost,
                                         .timed_out = supervisor_timed_out,
                                         .ended = supervisor_ended};

/* --- in Lua --------------------------------------------------------------- */

/* The arguments of start. */
enum { BIRTH = 1, APPLY, NAME, LABEL, ARGUMENTS = LABEL };

typedef struct delivery {
  byn_process *starter, *p;
  byn_id ref; /* of the starter's wait */
} delivery;

/* (delivery, birth, apply, name, label): fills in the new process. */
static int furnish(lua_State *L) {
  delivery *d = lua_touserdata(L, 1);
  byn_process *p = d->p;
  byn_supervisor *s = p->self;
  p->label = byn_slot_keep(L, byn_slots_at(p));
  if (!lua_isnil(L, -1)) byn_node_register(L, p->node, p, -1);
  lua_settop(L, 3);
  s->apply = byn_slot_put(L, byn_slots_at(p));
  s->birth = byn_slot_put(L, byn_slots_at(p));
  lua_pushnil(L);
  s->mail = byn_mail_new(L, p->node->world, BYN_MAIL_CALL, &d->ref);
  s->asked = BYN_ASKED_BOOT;
  byn_relate_local(L, BYN_LINK, d->starter, p, 0, false);
  return 0;
}

/* Makes the process; what furnish is given is on top (popped). */
static void deliver(lua_State *L, delivery *d) {
  byn_process *p = byn_process_new(L, d->starter->node, &supervisor);
  byn_supervisor *s = byn_new(&p->node->world->alloc, sizeof *s);
  d->p = p;
  p->self = s;
  p->traps = true;
  if (s) {
    *s = (byn_supervisor){.deadline = BYN_NEVER};
    if (lua_pcall(L, ARGUMENTS + 1, 0, 0) == LUA_OK) return;
  } else {
    lua_pushliteral(L, "not enough memory");
  }
  lua_pushvalue(L, -1);
  byn_process_end(L, p);
  lua_error(L);
}

/* Copies the birth at its place: the configuration, or the argument of
 * {init, module, argument}. */
static void copy_birth(lua_State *L) {
  lua_rawgeti(L, BIRTH, 1);
  bool module = lua_isfunction(L, -1);
  lua_pop(L, 1);
  if (module) {
    lua_rawgeti(L, BIRTH, 3);
    byn_term_copy(L, -1);
    lua_rawseti(L, BIRTH, 3);
    lua_pop(L, 1);
  } else {
    lua_pushcfunction(L, copy_configuration);
    lua_pushvalue(L, BIRTH);
    lua_call(L, 1, 0);
  }
}

static int refuse_name(lua_State *L, const byn_process *taken) {
  lua_pushnil(L);
  byn_process_push(L, taken);
  byn_reason_make(L, "already_started", 1);
  return 2;
}

static int l_start(lua_State *L) {
  lua_settop(L, ARGUMENTS);
  delivery d = {.starter = byn_process_here(L, "supervisor.start_link")};
  byn_process *starter = d.starter;
  byn_process_check_wait(L, starter);
  byn_process *taken =
      lua_isnil(L, NAME) ? NULL : byn_node_named(L, starter->node, NAME);
  if (taken) return refuse_name(L, taken);
  copy_birth(L);
  byn_node_ref(starter->node, &d.ref);
  d.ref.index = starter->id.index;
  lua_pushcfunction(L, furnish);
  lua_insert(L, BIRTH);
  lua_pushlightuserdata(L, &d);
  lua_insert(L, BIRTH + 1);
  deliver(L, &d);
  starter->call = NULL;
  starter->reply = d.ref.serial;
  starter->arguments = -1;
  byn_process_ready(d.p);
  return byn_process_wait(L, starter, BYN_WAIT_REPLY, -1);
}

/* kind(dest) -> "static" | "simple" | "dynamic" | "none", or nil where only
 * a call can tell */
static int l_kind(lua_State *L) {
  static const char *const kinds[] = {"static", "simple", "dynamic"};
  byn_dest dest;
  byn_dest_at(L, byn_node_here(L), 1, "supervisor", &dest);
  if (dest.kind != BYN_DEST_LOCAL) return 0;
  bool ours = dest.process->behaviour == &supervisor;
  const byn_supervisor *s = ours ? dest.process->self : NULL;
  if (s && !s->ready) return 0;
  lua_pushstring(L, s ? kinds[s->kind] : "none");
  return 1;
}

/* rows(pid) -> what which_children would answer, or nil: it is in the middle
 * of something, or no supervisor of this Lua state. For who looks on, between
 * two steps. */
static int l_rows(lua_State *L) {
  const byn_id *id = byn_pid_at(L, 1);
  luaL_argexpected(L, id, 1, "pid");
  byn_node *node = id->origin->node;
  byn_process *p = node ? byn_node_find(node, id) : NULL;
  const byn_supervisor *s = p && p->behaviour == &supervisor ? p->self : NULL;
  if (!s || !s->ready || byn_restart_busy(&s->machine)) return 0;
  byn_supervisor_push_rows(L, p);
  return 1;
}

void byn_supervisor_open(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"start", l_start}, {"kind", l_kind}, {"rows", l_rows}, {NULL, NULL}};
  byn_world *w = byn_world_of(L);
  if (!w->children.alloc)
    byn_pool_init(&w->children, &w->alloc, sizeof(byn_kid));
  luaL_newlib(L, functions);
  byn_childspec_open(L);
  lua_setfield(L, -2, "pack");
}
