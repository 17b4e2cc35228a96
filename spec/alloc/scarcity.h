/* Scenarios in Lua while memory runs out, each allocation failing in turn.
 *
 * A scenario is a file that is given banyan.core and answers functions: what
 * is tried; probe() is true if the node still works, clear() ends every
 * process. Nothing may crash, leak or stay half-made.
 *
 * BYN_ALLOC_STEP=23: only each 23rd allocation fails, where each instruction
 * costs more (memcheck).
 */
#ifndef BYN_SCARCITY_H
#define BYN_SCARCITY_H

#include "../core/support.h"

#include <lualib.h>

#include "../../csrc/lua/process/node.h"
#include "../../csrc/lua/process/process.h"

int luaopen_banyan_core(lua_State *L);

/* LuaJIT does not survive what this does: a table that cannot be made larger
 * has lost values that were in it. There only what the binding itself asks
 * for fails. Lua 5.4 has to bear all of it. */
#define VM_SURVIVES (!BYN_DOUBLES)

/* Lua asks again after it has collected garbage, so a failure is one that
 * the same request meets twice. Memory that shrinks is always there. */
typedef struct scarcity {
  byn_test_alloc alloc;
  bool armed;
  uint64_t calls, fail_at;
  size_t refused; /* the size that fails once more, or 0 */
  int failed;
} scarcity;

static inline bool must_fail(scarcity *s, size_t size) {
  if (!s->armed) return false;
  bool again = s->refused == size;
  s->refused = 0;
  if (again) {
    s->failed++;
    return true;
  }
  if (++s->calls != s->fail_at) return false;
  s->refused = VM_SURVIVES ? size : 0;
  s->failed++;
  return true;
}

static inline void *scarce_alloc(void *ud, void *block, size_t old_size,
                                 size_t new_size) {
  scarcity *s = ud;
  bool grows = new_size > (block ? old_size : 0);
  if (grows && must_fail(s, new_size)) return NULL;
  return byn_test_alloc_fn(&s->alloc, block, old_size, new_size);
}

static inline void *plenty_alloc(void *ud, void *block, size_t old_size,
                                 size_t new_size) {
  scarcity *s = ud;
  return byn_test_alloc_fn(&s->alloc, block, old_size, new_size);
}

/* --- what must be as it was ----------------------------------------------- */

typedef struct holdings {
  int slots;
  uint32_t processes, relations, monitors, sends, timers, uses;
} holdings;

/* Slots of functions whose arity is remembered. */
static inline int count_known(const byn_world *w) {
  int known = 0;
  for (int i = 0; i < BYN_ARITIES; i++)
    if (w->arities[i].slot) known++;
  return known;
}

/* Each as often as it has ends here. */
static inline uint32_t count_relations(const byn_node *node) {
  uint32_t relations = 0;
  for (uint32_t i = 0; i < node->table_size; i++)
    if (node->table[i]) relations += node->table[i]->relations.count;
  return relations;
}

static inline holdings count(lua_State *L) {
  byn_world *w = byn_world_of(L);
  holdings h = {.slots = byn_slots_used(&w->slots) - w->coroutine_count};
  h.slots -= count_known(w);
  for (const byn_node *node = w->nodes; node; node = node->next) {
    h.processes += node->process_count;
    h.monitors += node->monitors.count;
    h.relations += count_relations(node);
    h.sends += node->sends.count;
    h.timers += byn_timers_count(node->timers);
    h.uses += node->origin->uses;
  }
  return h;
}

static inline void assert_same(const holdings *a, const holdings *b,
                               uint64_t n) {
  if (!memcmp(a, b, sizeof *a)) return;
  fail_msg("allocation %d: %d slots, %u processes, %u ends of relations, "
           "%u monitors, %u sends, %u timers, %u uses; "
           "before: %d %u %u %u %u %u %u",
           (int)n, b->slots, b->processes, b->relations, b->monitors, b->sends,
           b->timers, b->uses, a->slots, a->processes, a->relations,
           a->monitors, a->sends, a->timers, a->uses);
}

/* --- the scenario --------------------------------------------------------- */

enum { LIVE = 1, PROBE, CLEAR, MAKE, CROWD, CLOSE };

/* What a program finds here, wherever the environment points. */
static inline void set_path(lua_State *L) {
  lua_getglobal(L, "package");
  lua_pushliteral(L, "lua/?.lua;lua/?/init.lua;./?.lua");
  lua_setfield(L, -2, "path");
  lua_pop(L, 1);
}

/* A state with the binding in it. */
static inline lua_State *open_state(scarcity *s) {
  lua_State *L = lua_newstate(VM_SURVIVES ? scarce_alloc : plenty_alloc, s);
  assert_non_null(L);
  luaL_openlibs(L);
  set_path(L);
  luaL_requiref(L, "banyan.core", luaopen_banyan_core, 0);
  byn_world_of(L)->alloc.fn = scarce_alloc;
  return L;
}

/* Has the scenario's functions on the stack, from 1 on. */
static inline void load_scenario(lua_State *L, const char *scenario) {
  if (luaL_loadfile(L, scenario)) fail_msg("%s", lua_tostring(L, -1));
  lua_insert(L, 1);
  lua_call(L, 1, LUA_MULTRET);
}

static inline lua_State *set_up(scarcity *s, const char *scenario) {
  lua_State *L = open_state(s);
  load_scenario(L, scenario);
  return L;
}

/* Calls a function of the scenario, which may raise only for lack of
 * memory. */
static inline bool play(lua_State *L, int function, uint64_t n) {
  lua_pushvalue(L, function);
  if (lua_pcall(L, 0, 1, 0)) {
    const char *why = lua_tostring(L, -1);
    if (!why || !strstr(why, "memory"))
      fail_msg("allocation %d: %s", (int)n, why);
  }
  bool answer = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return answer;
}

static inline void play_in_need(lua_State *L, scarcity *s, int function) {
  s->armed = true;
  play(L, function, s->fail_at);
  s->armed = false;
}

/* All that the function made is gone again, and the node works. */
static inline int leaves_nothing(const char *scenario, int function,
                                 uint64_t n) {
  scarcity s = {.fail_at = n};
  lua_State *L = set_up(&s, scenario);
  holdings before = count(L);
  play_in_need(L, &s, function);
  if (!play(L, PROBE, n)) fail_msg("allocation %d: the node is stuck", (int)n);
  play(L, CLEAR, n);
  holdings after = count(L);
  assert_same(&before, &after, n);
  lua_close(L);
  byn_test_assert_clean(&s.alloc);
  return s.failed;
}

/* What `begin` has begun, and `due` meets in need, comes to its end all the
 * same, later: `done` is true. */
static inline int is_not_lost(const char *scenario, int begin, uint64_t n) {
  const int due = begin + 1, done = begin + 2;
  scarcity s = {.fail_at = n};
  lua_State *L = set_up(&s, scenario);
  play(L, begin, n);
  play_in_need(L, &s, due);
  if (!play(L, done, n)) fail_msg("allocation %d: it was lost", (int)n);
  lua_close(L);
  byn_test_assert_clean(&s.alloc);
  return s.failed;
}

/* From one allocation that fails to the next one that does. */
static inline uint64_t scarcity_step(void) {
  const char *text = getenv("BYN_ALLOC_STEP");
  uint64_t step = text ? strtoull(text, NULL, 10) : 0;
  return step ? step : 1;
}

/* Under LuaJIT nothing of it may be the binding's own. */
static inline void assert_not_lost(const char *scenario, int begin) {
  uint64_t n = 1;
  while (is_not_lost(scenario, begin, n))
    n += scarcity_step();
  assert_true(n > 1 || !VM_SURVIVES);
}

/* Answers how many allocations the function made, or up to a step more. */
static inline uint64_t survives(const char *scenario, int function) {
  uint64_t n = 1;
  while (leaves_nothing(scenario, function, n))
    n += scarcity_step();
  return n - 1;
}

#endif
