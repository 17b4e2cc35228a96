/* What follows of a machine of core/dist, as tables of Lua. */
#include "dist_action.h"

#include "../../core/dist/dist.h"
#include "../value/id.h"
#include "dist.h"
#include "dist_fields.h"
#include "dist_value.h"

static const char *const kinds[] = {
    "send",     "connect",   "start",          "stop",   "answer",  "show",
    "node_up",  "node_down", "node_terminate", "forget", "resolve", "event",
    "escalate", "hold",      "probe",          "quorum"};
static const char *const handoffs[] = {"",     "leave",    "drain", "rebalance",
                                       "move", "conflict", "idle"};
static const char *const codes[] = {
    "ok",        "already_started", "already_present", "error",
    "refused",   "no_room",         "not_found",       "not_a_member",
    "no_nodes",  "noconnection",    "timeout",         "ignore",
    "too_large", "terminated",      "out_of_memory",   "handoff_failed",
    "no_quorum"};
static const char *const events[] = {
    "child_failing",    "placement_conflict", "placement_moved", "nodes_differ",
    "placement_member", "spec_withheld",      "quorum_differs"};

/* `lacking`: the first integer, as text, for which the child cannot be started
 * under this Lua: in its id, in its spec, or in its state. */
static void set_lacking(lua_State *L, const byn_dist_action *a) {
  byn_dist_bytes key = {.at = a->id.key, .n = a->id.n};
  if (byn_dist_push_lacking_key(L, key) || byn_dist_push_lacking(L, a->spec) ||
      byn_dist_push_lacking(L, a->state))
    lua_setfield(L, -2, "lacking");
}

static void set_names(lua_State *L, const byn_dist_action *a) {
  if (!a->names) return;
  lua_createtable(L, (int)a->count, 0);
  for (uint32_t i = 0; i < a->count; i++) {
    lua_pushstring(L, a->names[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_setfield(L, -2, "names");
}

static void set_numbers(lua_State *L, const byn_dist_action *a) {
  byn_dist_set_boolean(L, "joined", a->joined);
  byn_dist_set_integer(L, "count", a->count);
  byn_dist_set_integer(L, "needed", a->needed);
  byn_dist_set_integer(L, "wait_ms", a->wait_ms);
  set_names(L, a);
}

/* What only one kind has. Most actions are few fields of a small table: a node
 * that takes over very many children makes several of them for each. */
static void set_by_kind(lua_State *L, const byn_dist_action *a) {
  switch (a->kind) {
  case BYN_DIST_START:
    byn_dist_set_boolean(L, "handed", a->handed);
    set_lacking(L, a);
    break;
  case BYN_DIST_PROBE:
    set_lacking(L, a);
    break;
  case BYN_DIST_STOP:
    byn_dist_set_boolean(L, "goes_on", a->goes_on);
    break;
  case BYN_DIST_ANSWER:
    byn_dist_set_string(L, "code", codes[a->code]);
    break;
  case BYN_DIST_SHOW:
    byn_dist_set_boolean(L, "final", a->final);
    byn_dist_set_boolean(L, "here", a->here);
    break;
  case BYN_DIST_HOLD:
    byn_dist_set_boolean(L, "held", a->held);
    break;
  case BYN_DIST_EVENT:
    byn_dist_set_string(L, "event", events[a->event]);
    set_numbers(L, a);
    break;
  case BYN_DIST_QUORUM:
    set_numbers(L, a);
    break;
  default:
    break;
  }
}

static void clear_table(lua_State *L, int index) {
  lua_pushnil(L);
  while (lua_next(L, index)) {
    lua_pop(L, 1);
    lua_pushvalue(L, -1);
    lua_pushnil(L);
    lua_rawset(L, index);
  }
}

/* next(action) -> action | nil: the table that is given, with the fields of the
 * next one in place of its own. The time is not told: what follows from one
 * input is bounded, and what is left over waits for the next. */
int byn_dist_l_next(lua_State *L) {
  byn_dist_action a;
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  luaL_checkstack(L, 8, NULL);
  clear_table(L, 2);
  if (!byn_dist_next(byn_dist_view_at(L), &a)) return 0;
  byn_dist_set_string(L, "kind", kinds[a.kind]);
  if (a.kind != BYN_DIST_SHOW) byn_dist_set_string(L, "node", a.node);
  byn_dist_set_string(L, "from", a.from);
  byn_dist_set_bytes(L, "bytes", a.bytes);
  byn_dist_set_bytes(L, "state", a.state);
  if (a.child) byn_dist_set_integer(L, "child", a.child);
  if (a.request) byn_dist_set_integer(L, "request", (int64_t)a.request);
  if (a.handoff) byn_dist_set_string(L, "handoff", handoffs[a.handoff]);
  byn_dist_set_id(L, &a.id);
  byn_dist_set_value(L, "spec", a.spec);
  byn_dist_set_value(L, "pid", a.pid);
  byn_dist_set_value(L, "old_pid", a.old_pid);
  byn_dist_set_value(L, "other_pid", a.other_pid);
  byn_dist_set_shown(L, "reason", a.reason);
  if (a.why) byn_dist_set_string(L, "why", byn_dist_why_name(a.why));
  set_by_kind(L, &a);
  return 1;
}
