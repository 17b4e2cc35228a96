/* What a process calls: self, link, monitor, exit, names. */
#include "api.h"

#include <string.h>

#include "../value/clock.h"
#include "../value/compat.h"
#include "../value/misuse.h"
#include "../value/reason.h"
#include "call.h"
#include "dest.h"
#include "event.h"
#include "label.h"
#include "lookup.h"
#include "reap.h"
#include "relation.h"
#include "signal.h"

static const byn_id *check_pid(lua_State *L, int index) {
  const byn_id *id = byn_pid_at(L, index);
  byn_expect(L, id, index, "pid");
  return id;
}

static int push_true(lua_State *L) {
  lua_pushboolean(L, 1);
  return 1;
}

/* --- self and time -------------------------------------------------------- */

/* self([what]) -> the pid of the caller; what: names the function in the error
 * outside of processes */
static int l_self(lua_State *L) {
  byn_process *p = byn_world_here(L)->running;
  if (!p || p->co != L) byn_foreign_check(L, byn_world_here(L));
  if (!p) p = byn_process_here(L, luaL_optstring(L, 1, "self")); /* raises */
  byn_process_push(L, p);
  return 1;
}

/* Is the caller that process? false outside of processes. */
static int l_is_self(lua_State *L) {
  const byn_process *p = byn_world_here(L)->running;
  const byn_id *id = byn_pid_at(L, 1);
  if (!p || p->co != L) byn_foreign_check(L, byn_world_here(L));
  lua_pushboolean(L, p && id && byn_id_equal(id, &p->id));
  return 1;
}

static int l_now(lua_State *L) {
  lua_pushinteger(L, byn_node_now(L, byn_node_here(L)));
  return 1;
}

static int l_make_ref(lua_State *L) {
  byn_id ref;
  byn_node_ref(byn_node_here(L), &ref);
  byn_id_push_first(L, &ref);
  return 1;
}

/* --- links and monitors --------------------------------------------------- */

/* A pid, or a child of a distributed supervisor; nobody's pid if there is no
 * such child. */
static byn_id link_target(lua_State *L, const byn_process *p) {
  if (!lua_istable(L, 1) || lua_getfield(L, 1, "supervisor") == LUA_TNIL)
    return *check_pid(L, 1);
  byn_dest dest;
  byn_dest_at(L, p->node, 1, "link", &dest);
  if (dest.kind != BYN_DEST_UNKNOWN) return dest.id;
  return (byn_id){.origin = p->node->origin, .kind = BYN_PID};
}

static int l_link(lua_State *L) {
  byn_process *p = byn_process_here(L, "link");
  BYN_POINT(L, p, l_link, BYN_OP_LINK, 1);
  byn_id to = link_target(L, p);
  byn_link_to(L, p, &to);
  push_true(L);
  return byn_process_leave(L, p, 1);
}

static int l_unlink(lua_State *L) {
  byn_process *p = byn_process_here(L, "unlink");
  BYN_POINT(L, p, l_unlink, BYN_OP_UNLINK, 1);
  byn_unlink_from(L, p, check_pid(L, 1));
  return push_true(L);
}

static int l_monitor(lua_State *L) {
  byn_process *p = byn_process_here(L, "monitor");
  lua_settop(L, 1);
  BYN_POINT(L, p, l_monitor, BYN_OP_MONITOR, 1);
  byn_id ref;
  byn_node_ref(p->node, &ref);
  byn_id_push_first(L, &ref);
  byn_dest dest;
  byn_dest_at(L, p->node, 1, "monitor", &dest);
  byn_monitor_dest(L, p, &dest, 1, &ref);
  lua_settop(L, 2);
  return 1;
}

/* Takes the DOWN of a monitor out of the mailbox. */
static void flush_down(lua_State *L, byn_process *p, const byn_id *ref) {
  byn_mail *mail;
  byn_mailbox_pass(&p->mail, ref->origin == p->node->origin ? ref->serial : 0);
  while ((mail = byn_mailbox_peek(&p->mail)) != NULL) {
    if (mail->kind == BYN_MAIL_DOWN && byn_id_equal(&mail->id, ref)) {
      byn_mail_free(L, p->node->world, byn_mailbox_pick(&p->mail));
      return;
    }
    byn_mailbox_skip(&p->mail);
  }
  byn_mailbox_rewind(&p->mail);
}

/* demonitor(ref [, {flush=bool}]) */
static int l_demonitor(lua_State *L) {
  byn_process *p = byn_process_here(L, "demonitor");
  const byn_id *ref = byn_ref_at(L, 1);
  byn_expect(L, ref, 1, "ref (from monitor)");
  BYN_POINT(L, p, l_demonitor, BYN_OP_DEMONITOR, 0);
  bool flush = false;
  if (!lua_isnoneornil(L, 2)) {
    byn_expect_type(L, 2, LUA_TTABLE);
    lua_pushnil(L);
    while (lua_next(L, 2)) {
      if (!byn_reason_is(L, -2, "flush"))
        return luaL_error(L, "demonitor: unknown option '%s'",
                          luaL_tolstring(L, -2, NULL));
      flush = lua_toboolean(L, -1);
      lua_pop(L, 1);
    }
  }
  if (flush && p->matching)
    luaL_error(L, "demonitor with flush inside the match function of a "
                  "receive");
  if (ref->origin == p->node->origin) byn_demonitor(L, p, ref->serial);
  if (flush) flush_down(L, p, ref);
  return push_true(L);
}

/* drop_monitors(pid): a process of this node hears no more of the end of the
 * caller, which it monitors. */
static int l_drop_monitors(lua_State *L) {
  byn_process *p = byn_process_here(L, "drop_monitors");
  const byn_id *watcher = check_pid(L, 1);
  byn_relation_walk walk;
  byn_relation_walk_begin(&walk, p->node, &p->relations);
  while (walk.at) {
    byn_relation *r = walk.at;
    walk.at = byn_relation_after(r, &p->relations);
    if (r->kind == BYN_MONITOR && r->b.list == &p->relations &&
        byn_id_equal(byn_end_id(r, &r->a), watcher))
      byn_unrelate(L, p->node, r);
  }
  byn_relation_walk_end(&walk);
  return push_true(L);
}

/* --- exits ---------------------------------------------------------------- */

static int l_exit(lua_State *L) {
  byn_process *p = byn_process_here(L, "exit");
  if (byn_surely_in_finalizer(L))
    byn_misuse(L, "exit in a finalizer (__gc), which runs in whatever process "
                  "collects garbage");
  if (lua_isnoneornil(L, 1))
    lua_pushliteral(L, "normal");
  else
    byn_reason_copy(L, 1);
  return byn_process_exit(L, p);
}

/* pid:exit(reason) */
static int l_pid_exit(lua_State *L) {
  byn_node *node = byn_node_here(L);
  byn_process *p = node->world->running;
  const byn_id *to = check_pid(L, 1);
  byn_argument(L, !lua_isnoneornil(L, 2), 2, "a reason expected");
  BYN_POINT(L, p, l_pid_exit, BYN_OP_EXIT, 1);
  byn_id outside = {.origin = node->origin, .kind = BYN_PID};
  byn_exit_to(L, node, p ? &p->id : &outside, to, 2);
  push_true(L);
  return byn_process_leave(L, p, 1);
}

static int l_trap_exit(lua_State *L) {
  byn_process *p = byn_process_here(L, "trap_exit");
  byn_expect_type(L, 1, LUA_TBOOLEAN);
  lua_pushboolean(L, p->traps);
  p->traps = lua_toboolean(L, 1);
  return 1;
}

/* set_main(): the caller is the process of banyan.run */
static int l_set_main(lua_State *L) {
  byn_process *p = byn_process_here(L, "set_main");
  p->node->main = p->id.serial;
  return push_true(L);
}

/* main_ended_by() -> the pid whose exit signal ended main, and whether that was
 * a supervisor that gave up; nil: it ended by itself, or by auto_shutdown */
static int l_main_ended_by(lua_State *L) {
  const byn_node *node = byn_node_here(L);
  if (!node->main_ended_by.serial) {
    lua_pushnil(L);
    return 1;
  }
  byn_id_push(L, &node->main_ended_by);
  lua_pushboolean(L, node->main_gave_up);
  return 2;
}

/* --- parents -------------------------------------------------------------- */

/* adopt(pid) -> true: the caller becomes the parent of a process of its node,
 * as if it had spawned it, and is linked to it. */
static int l_adopt(lua_State *L) {
  byn_process *p = byn_process_here(L, "adopt");
  byn_id id = *check_pid(L, 1);
  byn_process *child =
      id.origin == p->node->origin ? byn_node_find(p->node, &id) : NULL;
  byn_argument(L, child != p, 1, "a process cannot adopt itself");
  if (child) {
    child->parent = p->id.serial;
    child->parent_index = p->id.index;
  }
  byn_link_to(L, p, &id);
  lua_pushboolean(L, 1);
  return byn_process_leave(L, p, 1);
}

static bool descends_from(const byn_process *p, const byn_id *ancestor) {
  while (p && p->parent) {
    byn_id parent = byn_parent_of(p);
    if (byn_id_equal(&parent, ancestor)) return true;
    p = byn_node_find(p->node, &parent);
  }
  return false;
}

/* descendants(pid) -> list of the processes that it has spawned, and they, as
 * long as those in between live. */
static int l_descendants(lua_State *L) {
  const byn_id *ancestor = check_pid(L, 1);
  byn_node *node = byn_node_here(L);
  int n = 0;
  lua_newtable(L);
  for (uint32_t i = 0; i < node->table_size; i++) {
    byn_process *p = node->table[i];
    if (!p || p->state >= BYN_EXITING || !descends_from(p, ancestor)) continue;
    byn_process_push(L, p);
    lua_rawseti(L, -2, ++n);
  }
  return 1;
}

/* ancestors(pid) -> list of the process that has spawned it, the one that has
 * spawned that, and so on, as long as they live. */
static int l_ancestors(lua_State *L) {
  byn_node *node = byn_node_here(L);
  const byn_process *p = byn_node_find(node, check_pid(L, 1));
  int n = 0;
  lua_newtable(L);
  while (p && p->parent) {
    byn_id parent = byn_parent_of(p);
    byn_process *of = byn_node_find(node, &parent);
    if (!of) break;
    byn_process_push(L, of);
    lua_rawseti(L, -2, ++n);
    p = of;
  }
  return 1;
}

/* --- names ---------------------------------------------------------------- */

/* register(name [, pid]) -> true | nil, {"already_registered", pid} */
static int l_register(lua_State *L) {
  byn_expect_type(L, 1, LUA_TSTRING);
  BYN_POINT(L, byn_world_here(L)->running, l_register, BYN_OP_REGISTER, 1);
  byn_process *p;
  byn_node *node;
  if (lua_isnoneornil(L, 2)) {
    p = byn_process_here(L, "register");
    node = p->node;
  } else {
    node = byn_node_here(L);
    const byn_id *id = check_pid(L, 2);
    byn_argument(L, id->origin == node->origin, 2,
                 "is a process of another node");
    p = byn_node_find(node, id);
  }
  const char *error = byn_node_register(L, node, p, 1);
  if (!error) return push_true(L);
  lua_pushnil(L);
  lua_insert(L, -2);
  return 2;
}

static int l_unregister(lua_State *L) {
  byn_expect_type(L, 1, LUA_TSTRING);
  BYN_POINT(L, byn_world_here(L)->running, l_unregister, BYN_OP_UNREGISTER, 1);
  byn_node *node = byn_node_here(L);
  byn_process *p = byn_node_named(L, node, 1);
  if (!p) {
    lua_pushnil(L);
    lua_pushliteral(L, "noproc");
    return 2;
  }
  byn_node_unregister(L, p);
  return push_true(L);
}

static int l_whereis(lua_State *L) {
  byn_expect_type(L, 1, LUA_TSTRING);
  BYN_POINT(L, byn_world_here(L)->running, l_whereis, BYN_OP_WHEREIS, 1);
  byn_process *p = byn_node_named(L, byn_node_here(L), 1);
  if (p)
    byn_process_push(L, p);
  else
    lua_pushnil(L);
  return 1;
}

/* --- pids ----------------------------------------------------------------- */

/* pid:node() -> the name of its node, or nil if that has none */
static int l_pid_node(lua_State *L) {
  const byn_origin *origin = check_pid(L, 1)->origin;
  if (origin->node && !origin->node->name)
    lua_pushnil(L);
  else
    lua_pushstring(L, origin->name);
  return 1;
}

/* --- more ----------------------------------------------------------------- */

static int l_reason(lua_State *L) {
  luaL_checkany(L, 1);
  byn_reason_copy(L, 1);
  return 1;
}

/* An event with the fields of the table on top. */
static void event_of_fields(lua_State *L, byn_node *node, const char *name) {
  int fields = lua_gettop(L), event = fields + 1;
  if (!byn_event(L, node, name)) return;
  lua_pushnil(L);
  while (lua_next(L, fields)) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, event);
  }
  byn_event_done(L, node);
}

/* event(name, fields): an event of the caller's node. */
static int l_event(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  byn_expect_type(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  event_of_fields(L, byn_node_here(L), name);
  return 0;
}

/* event_at(id, name, fields) -> true: an event of the node that made the pid or
 * ref, wherever the caller is; false if that has been closed */
static int l_event_at(lua_State *L) {
  const byn_id *id = byn_id_at(L, 1);
  byn_expect(L, id, 1, "pid or ref");
  const char *name = luaL_checkstring(L, 2);
  byn_expect_type(L, 3, LUA_TTABLE);
  lua_settop(L, 3);
  byn_node *node = id->origin->node;
  if (node) event_of_fields(L, node, name);
  lua_pushboolean(L, node != NULL);
  return 1;
}

/* driver() -> the name of the driver of the caller's node, "lockstep" under
 * that, nil where the C node was made by hand */
static int l_driver(lua_State *L) {
  const byn_node *node = byn_node_here(L);
  if (node->points)
    lua_pushliteral(L, "lockstep");
  else
    byn_slot_push(L, node->driver);
  return 1;
}

/* is_id(value), is_pid(value), is_ref(value) -> bool */
static int l_is_id(lua_State *L) {
  lua_pushboolean(L, byn_id_at(L, 1) != NULL);
  return 1;
}

static int l_is_pid(lua_State *L) {
  lua_pushboolean(L, byn_pid_at(L, 1) != NULL);
  return 1;
}

static int l_is_ref(lua_State *L) {
  lua_pushboolean(L, byn_ref_at(L, 1) != NULL);
  return 1;
}

/* id_before(a, b) -> bool: an order of pids and refs that is the same on every
 * node and in every run. */
static int l_id_before(lua_State *L) {
  uint8_t a[BYN_ID_BYTES], b[BYN_ID_BYTES];
  size_t m = 0, n = 0;
  bool known = byn_id_key(L, 1, a, &m) && byn_id_key(L, 2, b, &n);
  byn_argument(L, known, 1, "pids or refs expected");
  int order = memcmp(a, b, m < n ? m : n);
  lua_pushboolean(L, order < 0 || (order == 0 && m < n));
  return 1;
}

/* Pops a function into a slot, in place of what is there. */
static void replace_slot(lua_State *L, byn_world *w, int *slot) {
  int fresh = byn_slot_put(L, &w->slots);
  byn_slot_free(L, &w->slots, *slot);
  *slot = fresh;
}

/* find_children(resolve, keep, call): see byn_world.distributed */
static int l_find_children(lua_State *L) {
  byn_world *w = byn_world_of(L);
  for (int i = 1; i <= 3; i++)
    byn_expect_type(L, i, LUA_TFUNCTION);
  lua_settop(L, 3);
  replace_slot(L, w, &w->distributed.call);
  replace_slot(L, w, &w->distributed.keep);
  replace_slot(L, w, &w->distributed.resolve);
  return 0;
}

/* child_caller() -> function | nil: what calls the children of distributed
 * supervisors */
static int l_child_caller(lua_State *L) {
  int slot = byn_world_of(L)->distributed.call;
  if (!slot) return 0;
  byn_slot_push(L, slot);
  return 1;
}

void byn_api_functions(lua_State *L) {
  static const luaL_Reg functions[] = {{"self", l_self},
                                       {"is_self", l_is_self},
                                       {"clock", byn_clock_function},
                                       {"now", l_now},
                                       {"make_ref", l_make_ref},
                                       {"link", l_link},
                                       {"unlink", l_unlink},
                                       {"monitor", l_monitor},
                                       {"demonitor", l_demonitor},
                                       {"exit", l_exit},
                                       {"trap_exit", l_trap_exit},
                                       {"set_main", l_set_main},
                                       {"main_ended_by", l_main_ended_by},
                                       {"register", l_register},
                                       {"unregister", l_unregister},
                                       {"whereis", l_whereis},
                                       {"event_at", l_event_at},
                                       {"driver", l_driver},
                                       {"reason", l_reason},
                                       {"event", l_event},
                                       {"is_id", l_is_id},
                                       {"is_pid", l_is_pid},
                                       {"is_ref", l_is_ref},
                                       {"id_before", l_id_before},
                                       {"adopt", l_adopt},
                                       {"drop_monitors", l_drop_monitors},
                                       {"descendants", l_descendants},
                                       {"ancestors", l_ancestors},
                                       {"find_children", l_find_children},
                                       {"child_caller", l_child_caller},
                                       {NULL, NULL}};
  byn_set_functions(L, functions);
  byn_pid_methods(L);
  lua_getfield(L, -2, "pid_send");
  lua_setfield(L, -2, "send");
  byn_push_function(L, l_pid_exit);
  lua_setfield(L, -2, "exit");
  lua_getfield(L, -2, "is_alive");
  lua_setfield(L, -2, "is_alive");
  byn_push_function(L, l_pid_node);
  lua_setfield(L, -2, "node");
  lua_setfield(L, -2, "pid_methods");
}
