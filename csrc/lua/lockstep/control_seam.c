/* A control as its driver has it in Lua. */
#include "control_seam.h"

#include "../../core/assert.h"
#include "../value/compat.h"
#include "../process/hooks.h"
#include "../process/node_handle.h"
#include "../process/step.h"
#include "../cluster/cluster.h"
#include "control.h"
#include "control_view.h"

#define TYPE "banyan.control"
#define NODES_MAX 4095

byn_control *byn_control_check(lua_State *L) {
  return luaL_checkudata(L, 1, TYPE);
}

/* --- runs ----------------------------------------------------------------- */

/* run(limit) -> what, number */
static int l_run(lua_State *L) {
  static const char *const names[] = {"on",    "idle", "offer",
                                      "clock", "node", "step",
                                      "limit", "over", "redundant"};
  byn_control *c = byn_control_check(L);
  c->limit = luaL_checkinteger(L, 2);
  if (c->world->running)
    return luaL_error(L, "a control cannot be run by a process");
  lua_Integer number = 0;
  byn_hooks_follow(L, c->world);
  byn_assert(sizeof names / sizeof *names == CONTROL_REDUNDANT + 1);
  lua_pushstring(L, names[byn_control_run(L, c, &number)]);
  lua_pushinteger(L, number);
  return 2;
}

/* single_step(bool) */
static int l_single_step(lua_State *L) {
  byn_control_check(L)->single_step = lua_toboolean(L, 2);
  return 0;
}

/* steps() -> how many there were in this run */
static int l_steps(lua_State *L) {
  lua_pushinteger(L, byn_control_check(L)->steps);
  return 1;
}

/* worked() -> how many of them were of processes and timers */
static int l_worked(lua_State *L) {
  lua_pushinteger(L, byn_control_check(L)->worked);
  return 1;
}

/* on_end(fn or nil). The registry holds the function: the driver must take it
 * back, or all that it refers to, the control most likely, is never collected.
 */
static int l_on_end(lua_State *L) {
  byn_control *c = byn_control_check(L);
  if (!lua_isnoneornil(L, 2)) luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_settop(L, 2);
  byn_slot_free(L, &c->world->slots, c->on_end);
  c->on_end = 0;
  c->on_end = byn_slot_put(L, &c->world->slots);
  return 0;
}

/* draw(n) -> 0..n-1 */
static int l_draw(lua_State *L) {
  byn_control *c = byn_control_check(L);
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

static void reset_run(byn_control *c) {
  for (uint32_t i = 0; i < c->node_count; i++)
    if (c->nodes[i].node) byn_control_release(c->nodes[i].node);
  for (uint32_t i = 0; i < c->node_count; i++)
    byn_free(&c->world->alloc, c->nodes[i].choices,
             c->nodes[i].capacity * sizeof *c->nodes[i].choices);
  c->node_count = c->stirred_count = c->touched_count = 0;
  c->due_count = c->waiting_count = 0;
  byn_pending_reset(&c->set, NULL, NULL);
  c->offers_made = c->steps = c->worked = c->clock_held_until = 0;
  c->diverged_at = 0;
  c->clock = c->single_step = c->traced = c->over = false;
  byn_assert(!c->granted && !c->at);
  byn_map_clear(&c->points);
}

/* begin(seed) -> bool */
static int l_begin(lua_State *L) {
  byn_control *c = byn_control_check(L);
  uint64_t seed = (uint64_t)luaL_checkinteger(L, 2);
  reset_run(c);
  c->digest_count = 0;
  byn_tape_record(&c->tape);
  byn_assert(!c->tape.replaying && c->tape.count == 0);
  lua_pushboolean(L, byn_strategy_begin(c->strategy, seed));
  byn_pending_reset(&c->set, byn_strategy_priority(c->strategy), c->strategy);
  if (byn_strategy_failed(c->strategy)) byn_control_no_memory(L);
  return 1;
}

/* replay(tape) */
static int l_replay(lua_State *L) {
  byn_control *c = byn_control_check(L);
  luaL_checktype(L, 2, LUA_TTABLE);
  reset_run(c);
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
    byn_control_no_memory(L);
  return 0;
}

/* They may refer to the control itself, which would then never be collected. */
static void free_callbacks(lua_State *L, byn_control *c) {
  byn_slot_free(L, &c->world->slots, c->on_end);
  byn_slot_free(L, &c->world->slots, c->on_mail);
  c->on_end = c->on_mail = 0;
}

/* finish() -> tape, step: the first one of a replay that was not as in the
 * run that was recorded last, or nil */
static int l_finish(lua_State *L) {
  byn_control *c = byn_control_check(L);
  const byn_tape *t = &c->tape;
  free_callbacks(L, c);
  if (!t->replaying) byn_strategy_end(c->strategy);
  if (t->failed) byn_control_no_memory(L);
  lua_createtable(L, (int)t->count, 0);
  for (uint32_t i = 0; i < t->count; i++) {
    lua_pushinteger(L, t->values[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  bool shorter = t->replaying && c->steps < c->digest_count;
  if (!c->diverged_at && shorter) c->diverged_at = c->steps + 1;
  if (c->diverged_at)
    lua_pushinteger(L, c->diverged_at);
  else
    lua_pushnil(L);
  return 2;
}

/* complete() -> bool */
static int l_complete(lua_State *L) {
  byn_control *c = byn_control_check(L);
  lua_pushboolean(L, byn_strategy_complete(c->strategy));
  return 1;
}

/* diverged() -> bool */
static int l_diverged(lua_State *L) {
  byn_control *c = byn_control_check(L);
  lua_pushboolean(L, byn_strategy_diverged(c->strategy));
  return 1;
}

/* length() -> the expected length of the next run, under pct */
static int l_length(lua_State *L) {
  lua_pushinteger(L, byn_strategy_length(byn_control_check(L)->strategy));
  return 1;
}

/* --- nodes ---------------------------------------------------------------- */

/* adopt(node) -> number */
static int l_adopt(lua_State *L) {
  byn_control *c = byn_control_check(L);
  byn_node *node = byn_node_check(L, 2);
  luaL_argcheck(L, !node->control && !node->stepping, 2, "is driven already");
  if (c->node_count >= NODES_MAX) return luaL_error(L, "too many nodes");
  byn_assert(!node->points);
  c->nodes = byn_control_reserve(L, c, c->nodes, c->node_count,
                                 &c->node_capacity, sizeof *c->nodes);
  c->stirred = byn_control_reserve(L, c, c->stirred, c->node_count,
                                   &c->stirred_capacity, sizeof *c->stirred);
  c->nodes[c->node_count++] = (control_node_entry){.node = node};
  byn_control_stir(c, c->node_count - 1);
  node->control = c;
  node->points = &byn_control_points_taken;
  node->number = c->node_count;
  lua_pushinteger(L, node->number);
  return 1;
}

control_node_entry *byn_control_check_node(lua_State *L, byn_control *c) {
  lua_Integer number = luaL_checkinteger(L, 2);
  bool there =
      number >= 1 && number <= c->node_count && c->nodes[number - 1].node;
  luaL_argcheck(L, there, 2, "the number of a node expected");
  byn_assert(c->nodes[number - 1].node->control == c);
  return &c->nodes[number - 1];
}

/* pause(number, bool) */
static int l_pause(lua_State *L) {
  control_node_entry *entry = byn_control_check_node(L, byn_control_check(L));
  entry->paused = lua_toboolean(L, 3);
  byn_control_stir(byn_control_check(L), (uint32_t)lua_tointeger(L, 2) - 1);
  return 0;
}

/* deadline(number) -> ms | nil, bool */
static int l_deadline(lua_State *L) {
  const byn_node *node = byn_control_check_node(L, byn_control_check(L))->node;
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

/* set_now(number, now) */
static int l_set_now(lua_State *L) {
  byn_node *node = byn_control_check_node(L, byn_control_check(L))->node;
  lua_Integer now = luaL_checkinteger(L, 3);
  byn_control_stir(node->control, node->number - 1);
  byn_node_jump(L, node, now);
  return 0;
}

/* --- offers --------------------------------------------------------------- */

/* offer(actor, object) -> number */
static int l_offer(lua_State *L) {
  byn_control *c = byn_control_check(L);
  byn_pending step = {.actor = (uint64_t)luaL_checkinteger(L, 2),
                      .object = (uint64_t)luaL_optinteger(L, 3, 0),
                      .kind = BYN_STEP_NETWORK};
  if (!byn_pending_offer_step(&c->set, &step, c->offers_made + 1))
    byn_control_no_memory(L);
  lua_pushinteger(L, ++c->offers_made);
  return 1;
}

/* withdraw(number) -> bool */
static int l_withdraw(lua_State *L) {
  byn_control *c = byn_control_check(L);
  lua_Integer number = luaL_checkinteger(L, 2);
  lua_pushboolean(L, byn_pending_withdraw(&c->set, number));
  return 1;
}

/* clock(bool) */
static int l_clock(lua_State *L) {
  byn_control_check(L)->clock = lua_toboolean(L, 2);
  return 0;
}

/* hold_clock(steps, each) */
static int l_hold_clock(lua_State *L) {
  byn_control *c = byn_control_check(L);
  c->held_from = c->steps;
  c->clock_held_until = c->steps + luaL_checkinteger(L, 2);
  c->hold_each = luaL_checkinteger(L, 3);
  return 0;
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
  if (!s) byn_control_no_memory(L);
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
  byn_pending_open(&c->set, &w->alloc);
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
  byn_control *c = byn_control_check(L);
  const byn_alloc *alloc = &c->world->alloc;
  reset_run(c);
  free_callbacks(L, c);
  byn_tape_clear(&c->tape);
  if (c->strategy) byn_strategy_free(c->strategy);
  c->strategy = NULL;
  byn_free(alloc, c->nodes, c->node_capacity * sizeof *c->nodes);
  byn_free(alloc, c->stirred, c->stirred_capacity * sizeof *c->stirred);
  byn_free(alloc, c->steps_there, c->step_capacity * sizeof *c->steps_there);
  byn_pending_close(&c->set);
  byn_free(alloc, c->touched, c->touched_capacity * sizeof *c->touched);
  byn_free(alloc, c->digests, c->digest_capacity * sizeof *c->digests);
  return 0;
}

void byn_control_functions(lua_State *L) {
  static const luaL_Reg methods[] = {{"begin", l_begin},
                                     {"replay", l_replay},
                                     {"finish", l_finish},
                                     {"complete", l_complete},
                                     {"length", l_length},
                                     {"diverged", l_diverged},
                                     {"single_step", l_single_step},
                                     {"adopt", l_adopt},
                                     {"pause", l_pause},
                                     {"deadline", l_deadline},
                                     {"set_now", l_set_now},
                                     {"offer", l_offer},
                                     {"withdraw", l_withdraw},
                                     {"clock", l_clock},
                                     {"hold_clock", l_hold_clock},
                                     {"steps", l_steps},
                                     {"worked", l_worked},
                                     {"run", l_run},
                                     {"draw", l_draw},
                                     {"__gc", l_gc},
                                     {"on_end", l_on_end},
                                     {NULL, NULL}};
  luaL_newmetatable(L, TYPE);
  byn_set_functions(L, methods);
  byn_control_view_functions(L);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  byn_push_function(L, l_control);
  lua_setfield(L, -2, "control");
}
