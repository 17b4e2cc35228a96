#include "control.h"

#include <string.h>

#include "../core/strategy.h"
#include "../core/tape.h"
#include "cluster.h"
#include "compat.h"
#include "seam.h"
#include "step.h"

#define TYPE "banyan.control"
#define ATTEMPTS 100 /* recoveries from errors in one call of run */
#define NODES_MAX 4095

/* Who takes a step, as a number that is the same in each run: a process by
 * its node's number and its serial, a timer by its handle, an offer by what
 * the driver calls it, below 2^SERIAL_BITS. All are exact in a double. */
#define SERIAL_BITS 38
#define SERIAL_MASK (((uint64_t)1 << SERIAL_BITS) - 1)
#define NAME_BIT ((uint64_t)1 << 50)
#define TIMER_BIT ((uint64_t)1 << 51)
/* The list of names; it is not likely that one has this number too. */
#define ALL_NAMES NAME_BIT
#define CLOCK_ACTOR (((uint64_t)1 << 52) - 1)
#define LUA_OBJECT (CLOCK_ACTOR - 1) /* the variables that processes share */
#define OP_SHIFT 56 /* in the map of points, above the object's bits */

typedef struct control_offer {
  uint64_t actor, object;
  lua_Integer number;
} control_offer;

/* What stands behind a pending step. */
typedef struct control_choice {
  byn_node *node;
  byn_process *process;
  byn_timer timer;
  uint32_t offer; /* its index */
} control_choice;

typedef struct control_seat {
  byn_node *node; /* NULL: it has left */
  bool paused;
} control_seat;

typedef struct byn_control {
  byn_world *world;
  byn_strategy *strategy;
  byn_tape tape;
  control_seat *seats;
  uint32_t seat_count, seat_capacity;
  control_offer *offers;
  uint32_t offer_count, offer_capacity;
  lua_Integer offers_made;
  byn_pending *pending; /* what could be next, and what stands behind it */
  control_choice *choices;
  uint32_t count, pending_capacity, choice_capacity;
  byn_map points;             /* actor -> object and op of its next step */
  const byn_process *granted; /* goes on from the point it stands at */
  byn_node *at;               /* the node whose step it is, or NULL */
  byn_pending last;           /* the step that was taken last */
  uint8_t op;
  uint64_t *touched;
  uint32_t touched_count, touched_capacity;
  int on_end;      /* slot */
  int on_mail;     /* slot: who is told what a server is about to handle */
  bool idle_clock; /* time passes only when nothing else can happen */
  bool shared;     /* any code may touch LUA_OBJECT */
  bool clock, single, traced, over;
  lua_Integer steps, limit;
  lua_Integer worked;     /* steps of processes and timers */
  lua_Integer calm_until; /* before that step time does not pass over others */
} byn_control;

/* What run answers. */
typedef enum control_outcome {
  CONTROL_ON, /* nothing yet */
  CONTROL_IDLE,
  CONTROL_OFFER,
  CONTROL_CLOCK,
  CONTROL_NODE,
  CONTROL_STEP,
  CONTROL_LIMIT,
  CONTROL_OVER,
  CONTROL_REDUNDANT
} control_outcome;

static byn_control *check_control(lua_State *L) {
  return luaL_checkudata(L, 1, TYPE);
}

static void no_memory(lua_State *L) {
  luaL_error(L, "not enough memory");
}

/* Room for one more entry in an array that grows by doubling. */
static void *grown(lua_State *L, byn_control *c, void *array, uint32_t count,
                   uint32_t *capacity, size_t size) {
  if (count < *capacity) return array;
  uint32_t wanted = *capacity ? *capacity * 2 : 16;
  void *more =
      byn_resize(&c->world->alloc, array, *capacity * size, wanted * size);
  if (!more) no_memory(L);
  *capacity = wanted;
  return more;
}

/* --- names of actors ------------------------------------------------------ */

static uint64_t actor_of_id(const byn_id *id) {
  const byn_node *node = id->origin->node;
  uint64_t number = node ? node->number : 0;
  return number << SERIAL_BITS | (id->serial & SERIAL_MASK);
}

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

/* What the value at `index`, a dest of some kind, will touch. */
static uint64_t object_at(lua_State *L, int index) {
  const byn_id *id = byn_id_at(L, index);
  if (id) return actor_of_id(id);
  size_t n;
  uint64_t object = 0;
  bool table = lua_istable(L, index);
  if (table) {
    lua_getfield(L, index, "name");
    index = lua_gettop(L);
  }
  if (lua_type(L, index) == LUA_TSTRING) {
    const char *name = lua_tolstring(L, index, &n);
    object = actor_of_name(name, n);
  }
  if (table) lua_pop(L, 1);
  return object;
}

/* --- points --------------------------------------------------------------- */

/* Can a C function be left, and called again when its turn has come? */
#if LUA_VERSION_NUM >= 504
#define CAN_REENTER true
static int again(lua_State *L, int status, lua_KContext fn) {
  (void)status;
  return ((lua_CFunction)fn)(L);
}

int byn_control_stop(lua_State *L, lua_CFunction fn) {
  return lua_yieldk(L, 0, (lua_KContext)fn, again);
}
#else
#define CAN_REENTER false
int byn_control_stop(lua_State *L, lua_CFunction fn) {
  return fn(L);
}
#endif

bool byn_control_stops(lua_State *L, byn_process *p, byn_op op, int index) {
  byn_control *c = p->node->control;
  if (c->granted == p) {
    c->granted = NULL;
    return false;
  }
  if (!CAN_REENTER || L != p->co || !lua_isyieldable(L) || p->matching)
    return false;
  uint64_t object = index ? object_at(L, index) : 0;
  uint64_t about = (object & (((uint64_t)1 << OP_SHIFT) - 1)) | (uint64_t)op
                                                                    << OP_SHIFT;
  if (!byn_map_put(&c->points, actor_of_id(&p->id), (void *)(uintptr_t)about))
    no_memory(L);
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

void byn_control_touch(byn_control *c, const byn_process *p) {
  touch(c, actor_of_id(&p->id));
}

void byn_control_touch_at(lua_State *L, byn_control *c, int index) {
  touch(c, object_at(L, index));
}

void byn_control_touch_names(byn_control *c) {
  touch(c, ALL_NAMES);
}

void byn_control_ended(lua_State *L, const byn_process *p, int index) {
  byn_control *c = p->node->control;
  if (!c->on_end) return;
  luaL_checkstack(L, 5, NULL);
  byn_slot_push(L, c->on_end);
  byn_process_push(L, p);
  lua_pushvalue(L, index);
  lua_call(L, 2, 1);
  if (lua_toboolean(L, -1)) c->over = true;
  lua_pop(L, 1);
}

/* --- what could be next --------------------------------------------------- */

static void add(lua_State *L, byn_control *c, byn_pending step,
                control_choice choice) {
  c->pending = grown(L, c, c->pending, c->count, &c->pending_capacity,
                     sizeof *c->pending);
  c->choices = grown(L, c, c->choices, c->count, &c->choice_capacity,
                     sizeof *c->choices);
  c->pending[c->count] = step;
  c->choices[c->count++] = choice;
}

static void add_timers(lua_State *L, byn_control *c, byn_node *node) {
  byn_due due[BYN_TIMERS_DUE];
  uint32_t n = byn_timers_due(node->timers, node->now, due, BYN_TIMERS_DUE);
  for (uint32_t i = 0; i < n; i++) {
    bool owned = due[i].kind != BYN_TIMER_SEND;
    const byn_process *owner = owned ? due[i].owner : NULL;
    byn_pending step = {.actor = actor_of_timer(node, due[i].timer),
                        .object = owner ? actor_of_id(&owner->id) : 0,
                        .kind = BYN_STEP_TIMER};
    add(L, c, step, (control_choice){.node = node, .timer = due[i].timer});
  }
}

static void add_ready(lua_State *L, byn_control *c, byn_node *node) {
  byn_process *p = byn_node_next_ready(node, NULL);
  for (; p; p = byn_node_next_ready(node, p)) {
    uint64_t actor = actor_of_id(&p->id), object = 0;
    if (p->wait == BYN_WAIT_POINT)
      object = point_of(c, actor) & (((uint64_t)1 << OP_SHIFT) - 1);
    byn_pending step = {
        .actor = actor, .object = object, .kind = BYN_STEP_PROCESS};
    add(L, c, step, (control_choice){.node = node, .process = p});
  }
}

/* Links and membership take what the time brings by themselves: they have no
 * order with anything in the node. Did they? Then they may have something to
 * say. */
static bool tick(lua_State *L, byn_control *c, byn_node *node) {
  if (!node->cluster || byn_cluster_deadline(node->cluster) > node->now)
    return false;
  c->at = node;
  byn_cluster_tick(L, node->cluster);
  byn_node_bury(L, node);
  c->at = NULL;
  return true;
}

/* The first node whose links had something to do, or NULL. */
static byn_node *tick_one(lua_State *L, byn_control *c) {
  for (uint32_t i = 0; i < c->seat_count; i++) {
    const control_seat *seat = &c->seats[i];
    if (seat->node && !seat->paused && tick(L, c, seat->node))
      return seat->node;
  }
  return NULL;
}

static bool waits_for_time(const byn_node *node) {
  return byn_timers_next(node->timers) != BYN_NEVER ||
         (node->cluster && byn_cluster_deadline(node->cluster) != BYN_NEVER);
}

static bool has_due(const byn_node *node) {
  return byn_timers_next(node->timers) <= node->now;
}

static void gather(lua_State *L, byn_control *c) {
  bool clock = c->clock, due = false;
  c->count = 0;
  for (uint32_t i = 0; i < c->seat_count; i++) {
    byn_node *node = c->seats[i].node;
    if (!node || c->seats[i].paused) continue;
    add_timers(L, c, node);
    add_ready(L, c, node);
    clock = clock || waits_for_time(node);
    due = due || has_due(node);
  }
  for (uint32_t i = 0; i < c->offer_count; i++) {
    byn_pending step = {.actor = c->offers[i].actor,
                        .object = c->offers[i].object,
                        .kind = BYN_STEP_NETWORK};
    add(L, c, step, (control_choice){.offer = i});
  }
  byn_pending step = {.actor = CLOCK_ACTOR, .kind = BYN_STEP_CLOCK};
  bool calm = c->idle_clock || c->steps < c->calm_until;
  if (calm && c->count) clock = false;
  if (clock && !due) add(L, c, step, (control_choice){.node = NULL});
}

/* --- steps ---------------------------------------------------------------- */

/* The strategy is asked also where there is no choice: it counts steps. */
static uint32_t pick(lua_State *L, byn_control *c) {
  if (c->tape.replaying) return byn_tape_answer(&c->tape, c->count);
  uint32_t i = byn_strategy_pick(c->strategy, c->pending, c->count);
  if (byn_strategy_failed(c->strategy)) no_memory(L);
  byn_tape_note(&c->tape, c->count, i);
  return i;
}

/* What a process that is at no point goes on with. */
static byn_op op_of(const byn_process *p) {
  if (!p->co) return BYN_OP_HANDLE;
  switch (p->wait) {
  case BYN_WAIT_MESSAGE:
  case BYN_WAIT_MAIL:
    return BYN_OP_RECEIVE;
  case BYN_WAIT_SLEEP:
    return BYN_OP_WAKE;
  case BYN_WAIT_REPLY:
    return BYN_OP_ANSWER;
  default:
    return BYN_OP_RUN;
  }
}

static void tell_mail(lua_State *L, byn_control *c, const byn_process *p) {
  static const char *const kinds[] = {"message", "call", "cast",
                                      "exit",    "down", "request"};
  const byn_mail *mail = p->mail.head;
  if (!c->on_mail || !mail) return;
  luaL_checkstack(L, 4, NULL);
  byn_slot_push(L, c->on_mail);
  lua_pushstring(L, kinds[mail->kind]);
  byn_value_push(L, &mail->value);
  lua_call(L, 2, 0);
}

static void run_process(lua_State *L, byn_control *c, byn_process *p) {
  c->op = (uint8_t)op_of(p);
  if (p->wait == BYN_WAIT_POINT && p->co) {
    uint64_t actor = actor_of_id(&p->id);
    c->op = (uint8_t)(point_of(c, actor) >> OP_SHIFT);
    byn_map_remove(&c->points, actor);
    c->granted = p;
  }
  if (c->traced && c->op == BYN_OP_HANDLE) tell_mail(L, c, p);
  byn_node_take_turn(L, p->node, p);
  c->granted = NULL;
}

static void fire(lua_State *L, byn_node *node, byn_timer timer) {
  if (!byn_timers_take(node->timers, timer, &node->firing)) return;
  byn_node_fire(L, node);
  byn_node_bury(L, node);
}

/* Offers keep their order. */
static lua_Integer take_offer(byn_control *c, uint32_t i) {
  lua_Integer number = c->offers[i].number;
  c->offer_count--;
  memmove(&c->offers[i], &c->offers[i + 1],
          (c->offer_count - i) * sizeof *c->offers);
  return number;
}

static control_outcome take_step(lua_State *L, byn_control *c,
                                 lua_Integer *number) {
  uint32_t i = pick(L, c);
  if (!c->tape.replaying && byn_strategy_redundant(c->strategy))
    return CONTROL_REDUNDANT;
  control_choice choice = c->choices[i];
  c->last = c->pending[i];
  c->op = BYN_OP_RUN;
  c->touched_count = 0;
  c->steps++;
  switch (c->last.kind) {
  case BYN_STEP_CLOCK:
    *number = c->count - 1;
    return CONTROL_CLOCK;
  case BYN_STEP_NETWORK:
    *number = take_offer(c, choice.offer);
    return CONTROL_OFFER;
  case BYN_STEP_TIMER:
    c->op = BYN_OP_TIMER;
    c->at = choice.node;
    fire(L, choice.node, choice.timer);
    break;
  default:
    c->at = choice.node;
    run_process(L, c, choice.process);
    if (c->shared) touch(c, LUA_OBJECT);
  }
  c->at = NULL;
  c->worked++;
  *number = choice.node->number;
  if (c->over) return CONTROL_OVER;
  const byn_cluster *cluster = choice.node->cluster;
  if ((cluster && cluster->peers) || choice.node->event_count)
    return CONTROL_NODE;
  return c->single ? CONTROL_STEP : CONTROL_ON;
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
  luaL_checkstack(L, 40, NULL);
  while (run->outcome == CONTROL_ON) {
    if (c->steps >= c->limit) {
      run->outcome = CONTROL_LIMIT;
      break;
    }
    byn_node *ticked = tick_one(L, c);
    if (ticked) {
      run->number = ticked->number;
      run->outcome = CONTROL_NODE;
      break;
    }
    gather(L, c);
    run->outcome = c->count ? take_step(L, c, &run->number) : CONTROL_IDLE;
  }
  return 0;
}

/* An error here is nobody's, as in a step of a node that runs by itself. */
static void recover(lua_State *L, byn_control *c) {
  byn_node *node = c->at;
  c->at = NULL;
  c->granted = NULL;
  if (!node) lua_error(L);
  node->burying = false;
  byn_node_recover(L, node);
  byn_node_bury(L, node);
}

static void run(lua_State *L, control_run *r) {
  for (int i = 0; i < ATTEMPTS; i++) {
    lua_pushcfunction(L, run_protected);
    lua_pushlightuserdata(L, r);
    if (lua_pcall(L, 1, 0, 0) == LUA_OK) return;
    recover(L, r->c);
  }
  luaL_error(L, "no end of errors in the scheduler");
}

/* run(limit) -> what, number */
static int l_run(lua_State *L) {
  static const char *const names[] = {"on",    "idle", "offer",
                                      "clock", "node", "step",
                                      "limit", "over", "redundant"};
  byn_control *c = check_control(L);
  c->limit = luaL_checkinteger(L, 2);
  if (c->world->running)
    return luaL_error(L, "a control cannot be run by a process");
  control_run r = {.c = c, .outcome = CONTROL_ON};
  run(L, &r);
  lua_pushstring(L, names[r.outcome]);
  lua_pushinteger(L, r.number);
  return 2;
}

/* single(bool) */
static int l_single(lua_State *L) {
  check_control(L)->single = lua_toboolean(L, 2);
  return 0;
}

/* --- choices -------------------------------------------------------------- */

/* draw(n) -> 0..n-1 */
static int l_draw(lua_State *L) {
  byn_control *c = check_control(L);
  lua_Integer n = luaL_checkinteger(L, 2);
  luaL_argcheck(L, n >= 1 && n <= INT32_MAX, 2, "1 to 2^31-1 expected");
  uint32_t among = (uint32_t)n, v = 0;
  if (c->tape.replaying) {
    v = byn_tape_answer(&c->tape, among);
  } else {
    if (n > 1) v = byn_strategy_draw(c->strategy, among);
    byn_tape_note(&c->tape, among, v);
  }
  lua_pushinteger(L, v);
  return 1;
}

static void clear(byn_control *c) {
  for (uint32_t i = 0; i < c->seat_count; i++)
    if (c->seats[i].node) c->seats[i].node->control = NULL;
  c->seat_count = c->offer_count = c->touched_count = 0;
  c->offers_made = c->steps = c->worked = c->calm_until = 0;
  c->clock = c->single = c->traced = c->over = false;
  c->granted = NULL;
  c->at = NULL;
  byn_map_clear(&c->points);
}

/* begin(seed) -> bool */
static int l_begin(lua_State *L) {
  byn_control *c = check_control(L);
  uint64_t seed = (uint64_t)luaL_checkinteger(L, 2);
  clear(c);
  byn_tape_record(&c->tape);
  lua_pushboolean(L, byn_strategy_begin(c->strategy, seed));
  if (byn_strategy_failed(c->strategy)) no_memory(L);
  return 1;
}

/* replay(tape) */
static int l_replay(lua_State *L) {
  byn_control *c = check_control(L);
  luaL_checktype(L, 2, LUA_TTABLE);
  clear(c);
  byn_tape_record(&c->tape);
  uint32_t n = (uint32_t)lua_rawlen(L, 2);
  for (uint32_t i = 1; i <= n; i++) {
    lua_rawgeti(L, 2, (lua_Integer)i);
    lua_Integer v = lua_tointeger(L, -1);
    luaL_argcheck(L, v >= 0 && v <= INT32_MAX, 2, "a list of choices expected");
    byn_tape_note(&c->tape, UINT32_MAX, (uint32_t)v);
    lua_pop(L, 1);
  }
  bool failed = c->tape.failed;
  if (failed || !byn_tape_replay(&c->tape, c->tape.values, c->tape.count))
    no_memory(L);
  return 0;
}

/* What they refer to may hold the control itself. */
static void forget_listeners(lua_State *L, byn_control *c) {
  byn_slot_free(L, &c->world->slots, c->on_end);
  byn_slot_free(L, &c->world->slots, c->on_mail);
  c->on_end = c->on_mail = 0;
}

/* finish() -> tape, diverged: the index of the first choice that was not as
 * in the script, or nil */
static int l_finish(lua_State *L) {
  byn_control *c = check_control(L);
  const byn_tape *t = &c->tape;
  forget_listeners(L, c);
  if (!t->replaying) byn_strategy_end(c->strategy);
  if (t->failed) no_memory(L);
  lua_createtable(L, (int)t->count, 0);
  for (uint32_t i = 0; i < t->count; i++) {
    lua_pushinteger(L, t->values[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  if (t->replaying && t->diverged_at != BYN_TAPE_AS_SCRIPTED)
    lua_pushinteger(L, (lua_Integer)t->diverged_at + 1);
  else if (t->replaying && byn_tape_left(t))
    lua_pushinteger(L, (lua_Integer)t->count + 1);
  else
    lua_pushnil(L);
  return 2;
}

/* complete() -> bool */
static int l_complete(lua_State *L) {
  byn_control *c = check_control(L);
  lua_pushboolean(L, byn_strategy_complete(c->strategy));
  return 1;
}

/* diverged() -> bool */
static int l_diverged(lua_State *L) {
  byn_control *c = check_control(L);
  lua_pushboolean(L, byn_strategy_diverged(c->strategy));
  return 1;
}

/* length() -> pct: the length that the next run is thought to have */
static int l_length(lua_State *L) {
  lua_pushinteger(L, byn_strategy_length(check_control(L)->strategy));
  return 1;
}

/* --- nodes ---------------------------------------------------------------- */

/* adopt(node) -> number */
static int l_adopt(lua_State *L) {
  byn_control *c = check_control(L);
  byn_node *node = byn_seam_node(L, 2);
  luaL_argcheck(L, !node->control && !node->stepping, 2, "is driven already");
  if (c->seat_count >= NODES_MAX) return luaL_error(L, "too many nodes");
  c->seats =
      grown(L, c, c->seats, c->seat_count, &c->seat_capacity, sizeof *c->seats);
  c->seats[c->seat_count++] = (control_seat){.node = node};
  node->control = c;
  node->number = c->seat_count;
  lua_pushinteger(L, node->number);
  return 1;
}

void byn_control_forget(byn_node *node) {
  byn_control *c = node->control;
  if (c) c->seats[node->number - 1].node = NULL;
  node->control = NULL;
}

static control_seat *check_seat(lua_State *L, byn_control *c) {
  lua_Integer number = luaL_checkinteger(L, 2);
  bool there =
      number >= 1 && number <= c->seat_count && c->seats[number - 1].node;
  luaL_argcheck(L, there, 2, "the number of a node expected");
  return &c->seats[number - 1];
}

/* pause(number, bool) */
static int l_pause(lua_State *L) {
  control_seat *seat = check_seat(L, check_control(L));
  seat->paused = lua_toboolean(L, 3);
  return 0;
}

/* deadline(number) -> ms | nil, bool */
static int l_deadline(lua_State *L) {
  const byn_node *node = check_seat(L, check_control(L))->node;
  int64_t at = byn_timers_next(node->timers);
  int64_t links =
      node->cluster ? byn_cluster_deadline(node->cluster) : BYN_NEVER;
  if (links < at) at = links;
  if (at == BYN_NEVER)
    lua_pushnil(L);
  else
    lua_pushinteger(L, at);
  lua_pushboolean(L, byn_timers_next(node->timers) != BYN_NEVER);
  return 2;
}

/* tell(number, now) */
static int l_tell(lua_State *L) {
  byn_node *node = check_seat(L, check_control(L))->node;
  lua_Integer now = luaL_checkinteger(L, 3);
  if (now > node->now) node->now = now;
  return 0;
}

/* --- offers --------------------------------------------------------------- */

/* offer(actor, object) -> number */
static int l_offer(lua_State *L) {
  byn_control *c = check_control(L);
  c->offers = grown(L, c, c->offers, c->offer_count, &c->offer_capacity,
                    sizeof *c->offers);
  control_offer offer = {.actor = (uint64_t)luaL_checkinteger(L, 2),
                         .object = (uint64_t)luaL_optinteger(L, 3, 0),
                         .number = ++c->offers_made};
  c->offers[c->offer_count++] = offer;
  lua_pushinteger(L, offer.number);
  return 1;
}

/* withdraw(number) -> bool */
static int l_withdraw(lua_State *L) {
  byn_control *c = check_control(L);
  lua_Integer number = luaL_checkinteger(L, 2);
  uint32_t i = 0;
  while (i < c->offer_count && c->offers[i].number != number)
    i++;
  lua_pushboolean(L, i < c->offer_count);
  if (i < c->offer_count) take_offer(c, i);
  return 1;
}

/* clock(bool) */
static int l_clock(lua_State *L) {
  check_control(L)->clock = lua_toboolean(L, 2);
  return 0;
}

/* calm(steps) */
static int l_calm(lua_State *L) {
  byn_control *c = check_control(L);
  c->calm_until = c->steps + luaL_checkinteger(L, 2);
  return 0;
}

/* --- looking -------------------------------------------------------------- */

/* trace(fn): from now on, note what steps touch, and call fn(kind, value) with
 * the mail that a server or supervisor is about to handle */
static int l_trace(lua_State *L) {
  byn_control *c = check_control(L);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_settop(L, 2);
  byn_slot_free(L, &c->world->slots, c->on_mail);
  c->on_mail = byn_slot_put(L, &c->world->slots);
  if (!c->touched)
    c->touched = grown(L, c, NULL, 0, &c->touched_capacity, sizeof *c->touched);
  c->traced = true;
  return 0;
}

static void push_actor(lua_State *L, uint64_t actor) {
  lua_pushinteger(L, (lua_Integer)actor);
}

/* last() -> kind, op, actor, pid | nil, object, touched */
static int l_last(lua_State *L) {
  static const char *const kinds[] = {"process", "timer", "network", "clock",
                                      "fault"};
  static const char *const ops[] = {[BYN_OP_RUN] = "run",
                                    [BYN_OP_HANDLE] = "handle",
                                    [BYN_OP_RECEIVE] = "receive",
                                    [BYN_OP_WAKE] = "wake",
                                    [BYN_OP_ANSWER] = "answer",
                                    [BYN_OP_TIMER] = "timer",
                                    [BYN_OP_SEND] = "send",
                                    [BYN_OP_CAST] = "cast",
                                    [BYN_OP_CALL] = "call",
                                    [BYN_OP_REPLY] = "reply",
                                    [BYN_OP_SEND_AFTER] = "send_after",
                                    [BYN_OP_CANCEL] = "cancel_timer",
                                    [BYN_OP_LINK] = "link",
                                    [BYN_OP_UNLINK] = "unlink",
                                    [BYN_OP_MONITOR] = "monitor",
                                    [BYN_OP_DEMONITOR] = "demonitor",
                                    [BYN_OP_EXIT] = "exit",
                                    [BYN_OP_REGISTER] = "register",
                                    [BYN_OP_UNREGISTER] = "unregister",
                                    [BYN_OP_WHEREIS] = "whereis",
                                    [BYN_OP_SPAWN] = "spawn"};
  byn_control *c = check_control(L);
  lua_pushstring(L, kinds[c->last.kind]);
  lua_pushstring(L, ops[c->op]);
  push_actor(L, c->last.actor);
  push_actor(L, c->last.object);
  lua_createtable(L, (int)c->touched_count, 0);
  for (uint32_t i = 0; i < c->touched_count; i++) {
    push_actor(L, c->touched[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 5;
}

/* Who p waits for, or nil: pushes it. */
static void push_waited_for(lua_State *L, const byn_process *p) {
  bool calls = p->co && p->wait == BYN_WAIT_REPLY && p->call;
  if (calls)
    byn_id_push(L, &p->call->b.id);
  else
    lua_pushnil(L);
}

static const char *what_it_waits_for(const byn_process *p) {
  if (p->state != BYN_IDLE) return "its turn";
  if (!p->co) return p->held ? "a child" : "mail";
  switch (p->wait) {
  case BYN_WAIT_SLEEP:
    return "the end of a sleep";
  case BYN_WAIT_REPLY:
    return "an answer";
  default:
    return "a message";
  }
}

static void push_process(lua_State *L, const byn_process *p) {
  lua_createtable(L, 0, 7);
  push_actor(L, actor_of_id(&p->id));
  lua_setfield(L, -2, "actor");
  byn_process_push(L, p);
  lua_setfield(L, -2, "pid");
  byn_slot_push(L, p->name);
  lua_setfield(L, -2, "name");
  byn_slot_push(L, p->label);
  lua_setfield(L, -2, "label");
  lua_pushstring(L, p->behaviour->name);
  lua_setfield(L, -2, "behaviour");
  lua_pushstring(L, what_it_waits_for(p));
  lua_setfield(L, -2, "waits");
  push_waited_for(L, p);
  lua_setfield(L, -2, "on");
}

/* processes(number) -> list */
static int l_processes(lua_State *L) {
  const byn_node *node = check_seat(L, check_control(L))->node;
  lua_newtable(L);
  lua_Integer n = 0;
  for (uint32_t i = 0; i < node->table_size; i++) {
    const byn_process *p = node->table[i];
    if (!p || p->state >= BYN_ENDING) continue;
    push_process(L, p);
    lua_rawseti(L, -2, ++n);
  }
  return 1;
}

/* on_end(fn or nil): held in the registry, so it must be taken back, or what
 * it holds, the control most likely, would stay for ever. */
static int l_on_end(lua_State *L) {
  byn_control *c = check_control(L);
  if (!lua_isnoneornil(L, 2)) luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_settop(L, 2);
  byn_slot_free(L, &c->world->slots, c->on_end);
  c->on_end = 0;
  c->on_end = byn_slot_put(L, &c->world->slots);
  return 0;
}

/* actor(pid) -> the number that its steps have */
static int l_actor(lua_State *L) {
  const byn_id *id = byn_pid_at(L, 2);
  luaL_argexpected(L, id, 2, "pid");
  push_actor(L, actor_of_id(id));
  return 1;
}

/* steps() -> how many there were in this run */
static int l_steps(lua_State *L) {
  lua_pushinteger(L, check_control(L)->steps);
  return 1;
}

/* worked() -> how many of them were of processes and timers */
static int l_worked(lua_State *L) {
  lua_pushinteger(L, check_control(L)->worked);
  return 1;
}

/* --- making --------------------------------------------------------------- */

static uint32_t optional_number(lua_State *L, const char *name,
                                uint32_t otherwise) {
  lua_getfield(L, 1, name);
  lua_Integer v = luaL_optinteger(L, -1, otherwise);
  if (v < 0 || v > UINT32_MAX) luaL_error(L, "option %s is out of range", name);
  lua_pop(L, 1);
  return (uint32_t)v;
}

static byn_strategy *make_strategy(lua_State *L, const byn_alloc *alloc) {
  static const char *const names[] = {"random",   "pct", "pos",
                                      "fair_pct", "dfs", NULL};
  lua_getfield(L, 1, "strategy");
  int kind = luaL_checkoption(L, -1, "random", names);
  lua_pop(L, 1);
  byn_strategy_opts opts = {.depth = optional_number(L, "depth", 3),
                            .preemptions =
                                optional_number(L, "preemptions", UINT32_MAX),
                            .fair_after = optional_number(L, "fair_after", 0),
                            .length = optional_number(L, "length", 0)};
  byn_strategy *s = byn_strategy_new(alloc, (byn_strategy_kind)kind, &opts);
  if (!s) no_memory(L);
  return s;
}

/* core.control(opts) */
static int l_control(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  byn_world *w = byn_world_here(L);
  byn_control *c = lua_newuserdatauv(L, sizeof *c, 0);
  *c = (byn_control){.world = w};
  byn_tape_init(&c->tape, &w->alloc);
  byn_map_init(&c->points, &w->alloc);
  luaL_setmetatable(L, TYPE);
  c->strategy = make_strategy(L, &w->alloc);
  lua_getfield(L, 1, "idle_clock");
  c->idle_clock = lua_toboolean(L, -1);
  lua_getfield(L, 1, "shared");
  c->shared = lua_toboolean(L, -1);
  lua_pop(L, 2);
  return 1;
}

static int l_gc(lua_State *L) {
  byn_control *c = check_control(L);
  const byn_alloc *alloc = &c->world->alloc;
  clear(c);
  forget_listeners(L, c);
  byn_tape_clear(&c->tape);
  if (c->strategy) byn_strategy_free(c->strategy);
  c->strategy = NULL;
  byn_free(alloc, c->seats, c->seat_capacity * sizeof *c->seats);
  byn_free(alloc, c->offers, c->offer_capacity * sizeof *c->offers);
  byn_free(alloc, c->pending, c->pending_capacity * sizeof *c->pending);
  byn_free(alloc, c->choices, c->choice_capacity * sizeof *c->choices);
  byn_free(alloc, c->touched, c->touched_capacity * sizeof *c->touched);
  return 0;
}

void byn_control_functions(lua_State *L) {
  static const luaL_Reg methods[] = {{"begin", l_begin},
                                     {"replay", l_replay},
                                     {"finish", l_finish},
                                     {"complete", l_complete},
                                     {"length", l_length},
                                     {"diverged", l_diverged},
                                     {"single", l_single},
                                     {"adopt", l_adopt},
                                     {"pause", l_pause},
                                     {"deadline", l_deadline},
                                     {"tell", l_tell},
                                     {"offer", l_offer},
                                     {"withdraw", l_withdraw},
                                     {"clock", l_clock},
                                     {"calm", l_calm},
                                     {"trace", l_trace},
                                     {"last", l_last},
                                     {"actor", l_actor},
                                     {"steps", l_steps},
                                     {"worked", l_worked},
                                     {"run", l_run},
                                     {"draw", l_draw},
                                     {"__gc", l_gc},
                                     {"on_end", l_on_end},
                                     {"processes", l_processes},
                                     {NULL, NULL}};
  luaL_newmetatable(L, TYPE);
  byn_set_functions(L, methods);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  byn_push_function(L, l_control);
  lua_setfield(L, -2, "control");
}
