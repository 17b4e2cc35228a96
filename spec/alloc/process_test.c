/* Processes while memory runs out: a life of everything that they can do, with
 * each allocation failing in turn. Nothing may crash, leak or stay half-made,
 * and the node must still work.
 */
#include "../core/support.h"

#include <lualib.h>

#include "../../csrc/lua/node.h"

#define SCENARIO "spec/alloc/process.lua"

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

static bool must_fail(scarcity *s, size_t size) {
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

static void *scarce_alloc(void *ud, void *block, size_t old_size,
                          size_t new_size) {
  scarcity *s = ud;
  bool grows = new_size > (block ? old_size : 0);
  if (grows && must_fail(s, new_size)) return NULL;
  return byn_test_alloc_fn(&s->alloc, block, old_size, new_size);
}

static void *plenty_alloc(void *ud, void *block, size_t old_size,
                          size_t new_size) {
  scarcity *s = ud;
  return byn_test_alloc_fn(&s->alloc, block, old_size, new_size);
}

/* --- what must be as it was ----------------------------------------------- */

typedef struct holdings {
  int slots;
  uint32_t processes, relations, sends, timers, uses;
} holdings;

static holdings count(lua_State *L) {
  byn_world *w = byn_world_of(L);
  byn_node *node = w->nodes;
  holdings h = {.slots = byn_slots_used(&w->slots) - w->pooled,
                .processes = node->process_count,
                .relations = node->monitors.count,
                .sends = node->sends.count,
                .timers = byn_timers_count(node->timers),
                .uses = node->origin->uses};
  return h;
}

static void assert_same(const holdings *a, const holdings *b, uint64_t n) {
  if (!memcmp(a, b, sizeof *a)) return;
  fail_msg("allocation %d: %d slots, %u processes, %u monitors, %u sends, "
           "%u timers, %u uses; before: %d %u %u %u %u %u",
           (int)n, b->slots, b->processes, b->relations, b->sends, b->timers,
           b->uses, a->slots, a->processes, a->relations, a->sends, a->timers,
           a->uses);
}

/* --- the scenario -----------------------------------------------------------
 */

enum { LIVE = 1, MAKE, CROWD, CLOSE, PROBE, CLEAR, FUNCTIONS = CLEAR };

static lua_State *set_up(scarcity *s) {
  lua_State *L = lua_newstate(VM_SURVIVES ? scarce_alloc : plenty_alloc, s);
  assert_non_null(L);
  luaL_openlibs(L);
  luaL_requiref(L, "banyan.core", luaopen_banyan_core, 0);
  byn_world_of(L)->alloc.fn = scarce_alloc;
  if (luaL_loadfile(L, SCENARIO)) fail_msg("%s", lua_tostring(L, -1));
  lua_insert(L, 1);
  lua_call(L, 1, FUNCTIONS);
  return L;
}

/* Calls a function of the scenario, which may raise only for lack of
 * memory. */
static bool play(lua_State *L, int function, uint64_t n) {
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

static void play_in_need(lua_State *L, scarcity *s, int function) {
  s->armed = true;
  play(L, function, s->fail_at);
  s->armed = false;
}

/* --- tests ------------------------------------------------------------------
 */

/* All that the function made is gone again, and the node works. */
static int leaves_nothing(int function, uint64_t n) {
  scarcity s = {.fail_at = n};
  lua_State *L = set_up(&s);
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

static int closes(uint64_t n) {
  scarcity s = {.fail_at = n};
  lua_State *L = set_up(&s);
  play(L, CROWD, n);
  play_in_need(L, &s, CLOSE);
  lua_close(L);
  byn_test_assert_clean(&s.alloc);
  return s.failed;
}

static void processes_survive_each_failing_allocation(void **state) {
  (void)state;
  uint64_t n = 1;
  while (leaves_nothing(LIVE, n))
    n++;
  assert_true(n > (VM_SURVIVES ? 200 : 20)); /* it did what it says */
}

static void a_node_that_cannot_be_made_leaves_nothing(void **state) {
  (void)state;
  uint64_t n = 1;
  while (leaves_nothing(MAKE, n))
    n++;
  assert_true(n > (VM_SURVIVES ? 10 : 5));
}

static void a_node_that_closes_takes_everything_with_it(void **state) {
  (void)state;
  for (uint64_t n = 1; closes(n); n++)
    continue;
}

static void a_lua_state_that_closes_takes_its_nodes_with_it(void **state) {
  (void)state;
  scarcity s = {.fail_at = 0};
  lua_State *L = set_up(&s);
  play(L, CROWD, 0);
  lua_close(L);
  byn_test_assert_clean(&s.alloc);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(processes_survive_each_failing_allocation),
      cmocka_unit_test(a_node_that_cannot_be_made_leaves_nothing),
      cmocka_unit_test(a_node_that_closes_takes_everything_with_it),
      cmocka_unit_test(a_lua_state_that_closes_takes_its_nodes_with_it),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
