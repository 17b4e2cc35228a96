/* Nodes: their clock, their ids, their timers. */
#include "node.h"

#include "../../core/assert.h"
#include "../value/clock.h"
#include "../value/compat.h"

/* --- time and ids --------------------------------------------------------- */

static int64_t read_clock(lua_State *L, const byn_node *node) {
  if (node->system_clock) return byn_clock();
  luaL_checkstack(L, 4, NULL);
  byn_slot_push(L, node->clock);
  lua_call(L, 0, 1);
  lua_Integer now = lua_tointeger(L, -1);
  lua_pop(L, 1);
  return now;
}

void byn_node_tell_time(byn_node *node, int64_t now) {
  if (!node->time_told) node->now = node->began_at = now;
  if (now > node->now) node->now = now;
  byn_gap_told(&node->gap, node->now);
  node->time_told = true;
}

int64_t byn_node_now(lua_State *L, byn_node *node) {
  if (node->clock_read || !node->clock) return node->now;
  byn_node_tell_time(node, read_clock(L, node));
  node->clock_read = true;
  return node->now;
}

void byn_node_ref(byn_node *node, byn_id *ref) {
  *ref = (byn_id){
      .origin = node->origin, .serial = ++node->serial, .kind = BYN_REF};
}

byn_timer byn_node_try_timer(byn_node *node, int64_t ms, byn_timer_kind kind,
                             void *owner) {
  byn_assert(ms >= 0 && owner);
  int64_t now = node->now;
  bool fits = now <= 0 || ms < BYN_NEVER - now;
  int64_t at = fits && ms < BYN_NEVER ? now + ms : BYN_NEVER - 1;
  return byn_timers_add(node->timers, at, kind, owner);
}

byn_timer byn_node_timer(lua_State *L, byn_node *node, int64_t ms,
                         byn_timer_kind kind, void *owner) {
  byn_node_now(L, node);
  byn_timer timer = byn_node_try_timer(node, ms, kind, owner);
  if (!timer) luaL_error(L, "not enough memory");
  return timer;
}
