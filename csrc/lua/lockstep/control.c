/* Control of nodes step by step: the pending steps, and how one is taken. */
#include "control.h"

#include <string.h>

#include "../../core/assert.h"
#include "../value/compat.h"
#include "../process/foreign.h"
#include "../process/process.h"
#include "../process/reap.h"
#include "../process/scheduler.h"
#include "../process/step.h"
#include "../cluster/cluster.h"

#define ATTEMPTS 100 /* recoveries from errors in one call of run */

void byn_control_no_memory(lua_State *L) {
  luaL_error(L, "not enough memory");
}

void *byn_control_reserve(lua_State *L, byn_control *c, void *array,
                          uint32_t count, uint32_t *capacity, size_t size) {
  byn_assert(count <= *capacity);
  byn_assert((array == NULL) == (*capacity == 0));
  if (count < *capacity) return array;
  uint32_t wanted = *capacity ? *capacity * 2 : 16;
  void *more =
      byn_resize(&c->world->alloc, array, *capacity * size, wanted * size);
  if (!more) byn_control_no_memory(L);
  *capacity = wanted;
  return more;
}

/* --- names of actors ------------------------------------------------------ */

/* FNV-1a of a registered name. */
static uint64_t actor_of_name(const char *name, size_t n) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (size_t i = 0; i < n; i++)
    hash = (hash ^ (uint8_t)name[i]) * 0x100000001b3u;
  return NAME_BIT | (hash & SERIAL_MASK);
}

static uint64_t actor_of_timer(const byn_node *node, byn_timer timer) {
  uint64_t mixed = timer * 0x9e3779b97f4a7c15u >> (64 - SERIAL_BITS);
  return TIMER_BIT | (uint64_t)node->number << SERIAL_BITS | mixed;
}

uint64_t byn_control_object_at(lua_State *L, int index) {
  const byn_id *id = byn_id_at(L, index);
  if (id) return byn_actor_of(id);
  size_t n;
  uint64_t object = 0;
  bool table = lua_istable(L, index);
  int top = lua_gettop(L);
  if (table) {
    lua_getfield(L, index, "name");
    index = lua_gettop(L);
  }
  if (lua_type(L, index) == LUA_TSTRING) {
    const char *name = lua_tolstring(L, index, &n);
    object = actor_of_name(name, n);
  }
  if (table) lua_pop(L, 1);
  byn_assert(lua_gettop(L) == top);
  return object;
}

/* --- points --------------------------------------------------------------- */

/* Whether a C function can be left, and called again when its turn has come. */
#if LUA_VERSION_NUM >= 504
#define CAN_REENTER true
static int reenter_at_point(lua_State *L, int status, lua_KContext fn) {
  byn_world *w = byn_world_here(L);
  const byn_process *p = w->running;
  (void)status;
  if (!p || p->co != L || p->wait != BYN_WAIT_PAUSE)
    return byn_foreign_resumed(L, w);
  return ((lua_CFunction)fn)(L);
}

static int stop_at_point(lua_State *L, lua_CFunction fn) {
  return lua_yieldk(L, 0, (lua_KContext)fn, reenter_at_point);
}
#else
#define CAN_REENTER false
static int stop_at_point(lua_State *L, lua_CFunction fn) {
  return fn(L);
}
#endif

static bool stops_at_point(lua_State *L, byn_process *p, byn_op op, int index) {
  byn_control *c = p->node->control;
  if (c->granted == p) {
    byn_assert(c->at == p->node && L == p->co);
    c->granted = NULL;
    return false;
  }
  if (!CAN_REENTER || L != p->co || !lua_isyieldable(L) || p->matching)
    return false;
  byn_assert(c->at == p->node && !c->granted);
  uint64_t object = index ? byn_control_object_at(L, index) : 0;
  uint64_t about = (object & (((uint64_t)1 << OP_SHIFT) - 1)) | (uint64_t)op
                                                                    << OP_SHIFT;
  if (!byn_map_put(&c->points, byn_actor_of(&p->id), (void *)(uintptr_t)about))
    byn_control_no_memory(L);
  p->wait = BYN_WAIT_POINT;
  p->arguments = 0;
  return true;
}

static uint64_t point_of(const byn_control *c, uint64_t actor) {
  return (uint64_t)(uintptr_t)byn_map_get(&c->points, actor);
}

static void touch(byn_control *c, uint64_t object) {
  if (!c->tape.replaying) byn_strategy_touched(c->strategy, object);
  if (c->traced && c->touched_count < c->touched_capacity)
    c->touched[c->touched_count++] = object;
}

static void touch_process(const byn_process *p) {
  touch(p->node->control, byn_actor_of(&p->id));
}

static void touch_at(lua_State *L, const byn_node *node, int index) {
  touch(node->control, byn_control_object_at(L, index));
}

static void touch_names(const byn_node *node) {
  touch(node->control, ALL_NAMES);
}

static void process_exited(lua_State *L, const byn_process *p, int index) {
  byn_control *c = p->node->control;
  if (!c->on_end) return;
  int top = lua_gettop(L);
  luaL_checkstack(L, 5, NULL);
  byn_slot_push(L, c->on_end);
  byn_process_push(L, p);
  lua_pushvalue(L, index);
  lua_call(L, 2, 1);
  if (lua_toboolean(L, -1)) c->over = true;
  lua_pop(L, 1);
  byn_assert(lua_gettop(L) == top);
}

void byn_control_release(byn_node *node) {
  byn_assert(node->control && node->points == &byn_control_points_taken);
  node->control = NULL;
  node->points = NULL;
}

static void forget_node(byn_node *node) {
  byn_control *c = node->control;
  byn_assert(node->number >= 1 && node->number <= c->node_count);
  byn_assert(c->nodes[node->number - 1].node == node);
  byn_assert(c->at != node);
  c->nodes[node->number - 1].node = NULL;
  byn_control_stir(c, node->number - 1);
  byn_control_release(node);
}

void byn_control_stir(byn_control *c, uint32_t index) {
  byn_assert(index < c->node_count && c->node_count <= c->stirred_capacity);
  if (c->nodes[index].stirred) return;
  c->nodes[index].stirred = true;
  c->stirred[c->stirred_count++] = index;
}

static void stir_node(byn_node *node) {
  byn_control_stir(node->control, node->number - 1);
}

const byn_control_points byn_control_points_taken = {
    .stops = stops_at_point,
    .stop = stop_at_point,
    .touch = touch_process,
    .touch_at = touch_at,
    .touch_names = touch_names,
    .exited = process_exited,
    .stir = stir_node,
    .forget = forget_node,
};

/* --- the pending steps ---------------------------------------------------- */

static void add_step(lua_State *L, byn_control *c, control_node_entry *entry,
                     uint32_t at, byn_pending step, control_choice choice) {
  c->steps_there = byn_control_reserve(
      L, c, c->steps_there, at, &c->step_capacity, sizeof *c->steps_there);
  entry->choices = byn_control_reserve(
      L, c, entry->choices, at, &entry->capacity, sizeof *entry->choices);
  byn_assert(step.actor != 0);
  c->steps_there[at] = step;
  entry->choices[at] = choice;
}

static byn_pending step_of_timer(const byn_node *node, const byn_due *due) {
  bool owned = due->kind != BYN_TIMER_SEND;
  const byn_process *owner = owned ? due->owner : NULL;
  return (byn_pending){.actor = actor_of_timer(node, due->timer),
                       .object = owner ? byn_actor_of(&owner->id) : 0,
                       .kind = BYN_STEP_TIMER};
}

static byn_pending step_of_process(const byn_control *c, const byn_process *p) {
  uint64_t actor = byn_actor_of(&p->id), object = 0;
  if (p->wait == BYN_WAIT_POINT)
    object = point_of(c, actor) & (((uint64_t)1 << OP_SHIFT) - 1);
  return (byn_pending){
      .actor = actor, .object = object, .kind = BYN_STEP_PROCESS};
}

/* Each answers how many steps there are then. */

static uint32_t add_due_timers(lua_State *L, byn_control *c,
                               control_node_entry *entry) {
  byn_due due[BYN_TIMERS_DUE];
  const byn_node *node = entry->node;
  uint32_t n = byn_timers_due(node->timers, node->now, due, BYN_TIMERS_DUE);
  for (uint32_t i = 0; i < n; i++)
    add_step(L, c, entry, i, step_of_timer(node, &due[i]),
             (control_choice){.timer = due[i].timer});
  return n;
}

static uint32_t add_ready_processes(lua_State *L, byn_control *c,
                                    control_node_entry *entry, uint32_t n) {
  byn_process *p = byn_node_next_ready(entry->node, NULL);
  for (; p; p = byn_node_next_ready(entry->node, p))
    add_step(L, c, entry, n++, step_of_process(c, p),
             (control_choice){.process = p});
  return n;
}

/* Fires the deadlines of a node's links and membership. That is no step: in
 * whatever order it is done with the steps of processes, none of them can tell.
 * Whether there was one that was due. */
static bool tick_links(lua_State *L, byn_control *c, byn_node *node) {
  byn_assert(!c->at && node->control == c);
  if (!node->remote || node->remote->deadline(node) > node->now) return false;
  c->at = node;
  node->remote->tick(L, node);
  byn_node_reap(L, node);
  c->at = NULL;
  return true;
}

/* Does so for the first node of those that were stirred that has one that is
 * due; NULL if none has. */
static byn_node *tick_first_due(lua_State *L, byn_control *c) {
  for (uint32_t i = 0; i < c->stirred_count; i++) {
    const control_node_entry *entry = &c->nodes[c->stirred[i]];
    if (entry->node && !entry->paused && tick_links(L, c, entry->node))
      return entry->node;
  }
  return NULL;
}

static bool waits_for_time(const byn_node *node) {
  return byn_timers_next(node->timers) != BYN_NEVER ||
         (node->remote && node->remote->deadline(node) != BYN_NEVER);
}

static bool has_due_timer(const byn_node *node) {
  return byn_timers_next(node->timers) <= node->now;
}

/* Puts what a node has pending into the set. */
static void look_at_node(lua_State *L, byn_control *c, uint32_t index) {
  control_node_entry *entry = &c->nodes[index];
  bool runs = entry->node && !entry->paused;
  uint32_t n = 0;
  if (runs) n = add_due_timers(L, c, entry);
  if (runs) n = add_ready_processes(L, c, entry, n);
  if (!byn_pending_put(&c->set, index, c->steps_there, n))
    byn_control_no_memory(L);
  bool due = runs && has_due_timer(entry->node);
  bool waits = runs && waits_for_time(entry->node);
  c->due_count += (uint32_t)due - entry->due;
  c->waiting_count += (uint32_t)waits - entry->waits;
  entry->due = due;
  entry->waits = waits;
}

static void look_at_stirred(lua_State *L, byn_control *c) {
  while (c->stirred_count) {
    uint32_t index = c->stirred[c->stirred_count - 1];
    look_at_node(L, c, index);
    c->nodes[index].stirred = false;
    c->stirred_count--;
  }
}

#ifdef BYN_ASSERT
#define LOOKED_AT 4 /* nodes in one step */

/* Is the set's step `at` of a node that one? */
static bool has_step(const byn_control *c, uint32_t index, uint32_t at,
                     byn_pending step, control_choice choice) {
  const byn_pending_node *n = &c->set.nodes[index];
  const control_choice *chosen = &c->nodes[index].choices[at];
  return at < n->count && n->steps[at].actor == step.actor &&
         n->steps[at].object == step.object &&
         chosen->process == choice.process && chosen->timer == choice.timer;
}

/* Is what the set has of a node what it has? */
static bool node_is_right(const byn_control *c, uint32_t index) {
  const control_node_entry *entry = &c->nodes[index];
  byn_node *node = entry->paused ? NULL : entry->node;
  byn_due due[BYN_TIMERS_DUE];
  uint32_t at = 0, timers = 0;
  bool right = entry->due == (node && has_due_timer(node)) &&
               entry->waits == (node && waits_for_time(node));
  if (node)
    timers = byn_timers_due(node->timers, node->now, due, BYN_TIMERS_DUE);
  for (; right && at < timers; at++)
    right = has_step(c, index, at, step_of_timer(node, &due[at]),
                     (control_choice){.timer = due[at].timer});
  byn_process *p = node ? byn_node_next_ready(node, NULL) : NULL;
  for (; right && p; p = byn_node_next_ready(node, p))
    right = has_step(c, index, at++, step_of_process(c, p),
                     (control_choice){.process = p});
  return right && at == c->set.nodes[index].count;
}

/* Looks at a few nodes in each step, at all of them in turn: to look at all of
 * many would take more time than all else in a step. */
static bool set_is_right(const byn_control *c) {
  uint32_t count = c->node_count < LOOKED_AT ? c->node_count : LOOKED_AT;
  for (uint32_t i = 0; i < count; i++) {
    uint64_t turn = (uint64_t)c->steps * LOOKED_AT + i;
    if (!node_is_right(c, (uint32_t)(turn % c->node_count))) return false;
  }
  return true;
}
#else
#define set_is_right(c) true
#endif

/* Many steps become pending as time passes, heartbeats above all: they must not
 * use up what is meant for those that waited for it to stand still. */
static bool is_held(byn_control *c) {
  if (c->steps >= c->clock_held_until) return false;
  lua_Integer others = byn_pending_others(&c->set);
  lua_Integer until = c->held_from + c->hold_each * others;
  if (until > c->clock_held_until) c->clock_held_until = until;
  return true;
}

static void gather_pending(lua_State *L, byn_control *c) {
  byn_pending step = {.actor = CLOCK_ACTOR, .kind = BYN_STEP_CLOCK};
  look_at_stirred(L, c);
  byn_assert(set_is_right(c));
  bool clock = (c->clock || c->waiting_count) && !c->due_count;
  bool held = is_held(c) || c->idle_clock;
  if (held && byn_pending_others(&c->set)) clock = false;
  byn_pending_set_clock(&c->set, clock ? &step : NULL);
}

/* --- steps ---------------------------------------------------------------- */

/* The strategy is asked also where there is no choice: it counts steps. */
static uint32_t pick_step(lua_State *L, byn_control *c) {
  uint32_t count = byn_pending_count(&c->set);
  if (c->tape.replaying) return byn_tape_answer(&c->tape, count);
  uint32_t i = byn_strategy_choose(c->strategy, &c->set);
  if (byn_strategy_failed(c->strategy)) byn_control_no_memory(L);
  byn_tape_note(&c->tape, count, i);
  return i;
}

/* What a process that is at no point goes on with. */
static byn_op op_when_resumed(const byn_process *p) {
  if (!p->co) return BYN_OP_HANDLE;
  switch (p->wait) {
  case BYN_WAIT_MESSAGE:
  case BYN_WAIT_MAIL:
    return BYN_OP_RECEIVE;
  case BYN_WAIT_SLEEP:
    return BYN_OP_WAKE;
  case BYN_WAIT_REPLY:
    return BYN_OP_ANSWER;
  case BYN_WAIT_AWAIT:
    return BYN_OP_AWAITED;
  default:
    return BYN_OP_RUN;
  }
}

static void report_mail(lua_State *L, byn_control *c, const byn_process *p) {
  static const char *const kinds[] = {"message", "call", "cast",
                                      "exit",    "down", "request"};
  const byn_mail *mail = p->mail.head;
  if (!c->on_mail || !mail) return;
  int top = lua_gettop(L);
  luaL_checkstack(L, 4, NULL);
  byn_slot_push(L, c->on_mail);
  lua_pushstring(L, kinds[mail->kind]);
  byn_value_push(L, &mail->value);
  lua_call(L, 2, 0);
  byn_assert(lua_gettop(L) == top);
}

static void run_process(lua_State *L, byn_control *c, byn_process *p) {
  byn_assert(!c->granted && c->at == p->node);
  byn_assert(p->state == BYN_READY);
  c->op = (uint8_t)op_when_resumed(p);
  if (p->wait == BYN_WAIT_POINT && p->co) {
    uint64_t actor = byn_actor_of(&p->id);
    byn_assert(point_of(c, actor) != 0);
    c->op = (uint8_t)(point_of(c, actor) >> OP_SHIFT);
    byn_map_remove(&c->points, actor);
    c->granted = p;
  }
  if (c->traced && c->op == BYN_OP_HANDLE) report_mail(L, c, p);
  byn_node_take_turn(L, p->node, p);
  c->granted = NULL;
}

static void fire_timer(lua_State *L, byn_node *node, byn_timer timer) {
  if (!byn_timers_take(node->timers, timer, &node->due)) return;
  byn_node_run_timer(L, node);
  byn_node_reap(L, node);
}

static uint32_t digest_of_step(const byn_control *c, const byn_node *node) {
  uint64_t h = c->last.actor * 0x9e3779b97f4a7c15u ^ c->last.object;
  h = h * 0x9e3779b97f4a7c15u ^ (uint64_t)(node ? node->now : 0);
  h = h * 0x9e3779b97f4a7c15u ^ c->last_count;
  return (uint32_t)(h >> 32);
}

/* Keeps a digest of the step, or, in a replay, compares it with the one that
 * was kept: the first step that differs is where a body is not deterministic.
 */
static void keep_or_compare_digest(lua_State *L, byn_control *c,
                                   const byn_node *node) {
  uint32_t digest = digest_of_step(c, node), at = (uint32_t)c->steps - 1;
  if (!c->tape.replaying) {
    c->digests = byn_control_reserve(L, c, c->digests, at, &c->digest_capacity,
                                     sizeof *c->digests);
    c->digests[at] = digest;
    c->digest_count = at + 1;
  } else if (!c->diverged_at &&
             (at >= c->digest_count || c->digests[at] != digest)) {
    c->diverged_at = c->steps;
  }
}

/* Takes a step of a node. */
static control_outcome take_step_of_node(lua_State *L, byn_control *c,
                                         uint32_t index,
                                         control_choice choice) {
  byn_node *node = c->nodes[index].node;
  byn_control_stir(c, index);
  c->at = node;
  if (choice.process) {
    run_process(L, c, choice.process);
    if (c->shared) touch(c, LUA_OBJECT);
  } else {
    c->op = BYN_OP_TIMER;
    fire_timer(L, node, choice.timer);
  }
  byn_assert(c->at == node && !c->granted);
  c->at = NULL;
  c->worked++;
  byn_assert(c->worked <= c->steps);
  if (c->over) return CONTROL_OVER;
  if ((node->cluster && node->cluster->peers) || node->event_count)
    return CONTROL_NODE;
  return c->single_step ? CONTROL_STEP : CONTROL_ON;
}

static control_outcome take_step(lua_State *L, byn_control *c,
                                 lua_Integer *number) {
  byn_assert(byn_pending_count(&c->set) > 0 && !c->at);
  uint32_t i = pick_step(L, c);
  if (!c->tape.replaying && byn_strategy_redundant(c->strategy))
    return CONTROL_REDUNDANT;
  byn_pending_place place = byn_pending_at(&c->set, i);
  c->last = *place.step;
  c->last_count = byn_pending_count(&c->set);
  c->op = BYN_OP_RUN;
  c->touched_count = 0;
  c->steps++;
  bool of_node = place.whose == BYN_OF_NODE;
  keep_or_compare_digest(L, c, of_node ? c->nodes[place.node].node : NULL);
  if (of_node) {
    *number = place.node + 1;
    return take_step_of_node(L, c, place.node,
                             c->nodes[place.node].choices[place.index]);
  }
  if (place.whose == BYN_OF_CLOCK) {
    *number = byn_pending_others(&c->set);
    return CONTROL_CLOCK;
  }
  *number = place.number;
  byn_pending_withdraw(&c->set, place.number);
  return CONTROL_OFFER;
}

/* --- running -------------------------------------------------------------- */

typedef struct control_run {
  byn_control *c;
  control_outcome outcome;
  lua_Integer number;
} control_run;

static int run_protected(lua_State *L) {
  control_run *run = lua_touserdata(L, 1);
  byn_control *c = run->c;
  byn_assert(!c->at && !c->granted);
  luaL_checkstack(L, 40, NULL);
  while (run->outcome == CONTROL_ON) {
    if (c->steps >= c->limit) {
      run->outcome = CONTROL_LIMIT;
      break;
    }
    byn_node *ticked = tick_first_due(L, c);
    if (ticked) {
      run->number = ticked->number;
      run->outcome = CONTROL_NODE;
      break;
    }
    gather_pending(L, c);
    run->outcome = byn_pending_count(&c->set) ? take_step(L, c, &run->number)
                                              : CONTROL_IDLE;
  }
  return 0;
}

/* After an error that is on top: in a step of a node, that node recovers as it
 * would in a step that it takes by itself; any other error is raised again. */
static void recover_from_error(lua_State *L, byn_control *c) {
  byn_node *node = c->at;
  c->at = NULL;
  c->granted = NULL;
  if (!node) lua_error(L);
  stir_node(node);
  node->reaping = false;
  byn_node_recover(L, node);
  byn_node_reap(L, node);
  byn_assert(!c->at && !c->granted);
}

control_outcome byn_control_run(lua_State *L, byn_control *c,
                                lua_Integer *number) {
  control_run run = {.c = c, .outcome = CONTROL_ON};
  int top = lua_gettop(L);
  for (int i = 0; i < ATTEMPTS; i++) {
    lua_pushcfunction(L, run_protected);
    lua_pushlightuserdata(L, &run);
    if (lua_pcall(L, 1, 0, 0) == LUA_OK) {
      *number = run.number;
      byn_assert(run.outcome != CONTROL_ON);
      byn_assert(lua_gettop(L) == top);
      return run.outcome;
    }
    recover_from_error(L, c);
  }
  luaL_error(L, "no end of errors in the scheduler");
  return CONTROL_ON;
}
