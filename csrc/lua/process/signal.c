/* Signals: exits, links and monitors, by Erlang's rules. */
#include "signal.h"

#include "../../core/assert.h"
#include "../value/compat.h"
#include "../value/reason.h"
#include "call.h"
#include "lookup.h"
#include "node.h"
#include "wait.h"

/* --- exit signals --------------------------------------------------------- */

/* Pushes a copy of the reason at `index` for the receiver of a signal, and
 * reserves the mail that carries it: the signal cannot fail then. */
/* The reason is on top, and stays. */
static inline void behaviour_lost(lua_State *L, byn_process *p,
                                  const byn_id *pid) {
  int top = byn_stack_top(L);
  byn_assert(p->behaviour->lost);
  p->behaviour->lost(L, p, pid, lua_gettop(L));
  byn_assert(byn_stack_top(L) == top);
}

static void push_reason(lua_State *L, byn_node *node, int index) {
  byn_reason_copy(L, index);
  byn_mail_reserve(L, node->world);
}

/* The exit signal of another ends p. That of a supervisor whose significant
 * children are done ends it in order; main's end must be known apart. */
static void note_ended_by(byn_process *p, const byn_id *from) {
  byn_node *node = p->node;
  const byn_process *by = NULL;
  if (p->exiting) return;
  byn_assert(p->state < BYN_EXITING && !byn_id_equal(from, &p->id));
  if (from->origin == node->origin && from->index < node->table_size)
    by = node->table[from->index]; /* it may be EXITING itself */
  if (by && by->id.serial != from->serial) by = NULL;
  p->ends_in_order = by && by->ends_in_order;
  if (p->id.serial != node->main || p->ends_in_order) return;
  node->main_ended_by = *from;
  node->main_gave_up = by && by->gave_up;
}

/* The rules of the Erlang reference manual, "Processes". Pops the reason. */
static void signal_exit(lua_State *L, byn_process *p, const byn_id *from,
                        bool linked) {
  bool self = byn_id_equal(from, &p->id);
  byn_assert(p->state < BYN_EXITING);
  if (!linked && byn_reason_is(L, -1, "kill")) {
    lua_pushliteral(L, "killed");
    lua_replace(L, -2);
    byn_process_end(L, p);
  } else if (p->traps) {
    byn_process_mail(L, p,
                     byn_mail_new(L, p->node->world, BYN_MAIL_EXIT, from));
  } else if (self || !byn_reason_is(L, -1, "normal")) {
    if (!self) note_ended_by(p, from);
    p->crash_told = p->crash_told || (p->state < BYN_EXITING && !p->exiting);
    byn_process_end(L, p);
  } else {
    lua_pop(L, 1);
  }
}

void byn_signal_exit(lua_State *L, byn_process *p, const byn_id *from,
                     int index, bool linked) {
  luaL_checkstack(L, 8, NULL);
  int top = byn_stack_top(L);
  byn_node *node = p->node;
  byn_id to = p->id;
  push_reason(L, node, index); /* a finalizer may end processes here */
  p = byn_node_find(node, &to);
  if (p)
    signal_exit(L, p, from, linked);
  else
    lua_pop(L, 1);
  byn_assert(byn_stack_top(L) == top);
}

/* An exit signal whose reason is one of our own words. */
static void signal_code(lua_State *L, byn_process *p, const byn_id *from,
                        const char *code) {
  lua_pushstring(L, code);
  byn_signal_exit(L, p, from, lua_gettop(L), true);
  lua_pop(L, 1);
}

void byn_exit_to(lua_State *L, byn_node *node, const byn_id *from,
                 const byn_id *to, int index) {
  if (to->origin != node->origin) {
    if (node->remote) node->remote->exit(L, node, from, to, index, false);
    return;
  }
  byn_process *p = byn_node_find(node, to);
  if (p) byn_signal_exit(L, p, from, index, false);
}

/* --- links ---------------------------------------------------------------- */

static void link_remote(lua_State *L, byn_process *p, const byn_id *to) {
  byn_node *node = p->node;
  if (!byn_node_reaches(node, to->origin)) {
    signal_code(L, p, to, byn_node_absence(node, to->origin));
    return;
  }
  byn_relation *r = byn_find_link(p, to);
  if (r && !byn_tie_link(&r->tie)) return;
  if (!r) byn_relate(L, node, BYN_LINK, &p->id, to, 0, false);
  node->remote->link(L, node, &p->id, to);
}

void byn_link_to(lua_State *L, byn_process *p, const byn_id *to) {
  if (byn_id_equal(&p->id, to)) return;
  if (to->origin != p->node->origin) {
    link_remote(L, p, to);
  } else if (!byn_node_find(p->node, to)) {
    signal_code(L, p, to, "noproc");
  } else if (!byn_find_link(p, to)) {
    byn_relate(L, p->node, BYN_LINK, &p->id, to, 0, false);
  }
}

void byn_unlink_from(lua_State *L, byn_process *p, const byn_id *to) {
  byn_relation *r = byn_find_link(p, to);
  if (!r) return;
  if (to->origin == p->node->origin) {
    byn_unrelate(L, p->node, r);
    return;
  }
  uint64_t number = ++p->node->serial;
  if (byn_tie_unlink(&r->tie, number))
    p->node->remote->unlink(L, p->node, &p->id, to, number);
}

/* --- monitors ------------------------------------------------------------- */

/* Pops the reason, and below it what was monitored: a DOWN to p. */
static void mail_down(lua_State *L, byn_process *p, uint64_t serial) {
  byn_world *w = p->node->world;
  byn_id ref = {.origin = p->node->origin, .serial = serial, .kind = BYN_REF};
  byn_mail *mail = byn_mail_new(L, w, BYN_MAIL_DOWN, &ref);
  mail->what = byn_slot_put(L, &w->slots);
  byn_process_mail(L, p, mail);
}

/* Pops what is monitored. */
static void monitor_nobody(lua_State *L, byn_process *p, const byn_dest *to,
                           uint64_t serial) {
  lua_pushstring(L, to->kind == BYN_DEST_UNKNOWN ? to->error : "noproc");
  byn_mail_reserve(L, p->node->world);
  mail_down(L, p, serial);
}

void byn_monitor_dest(lua_State *L, byn_process *p, const byn_dest *to,
                      int index, const byn_id *ref) {
  byn_node *node = p->node;
  if (to->kind == BYN_DEST_LOCAL && to->process == p) return;
  bool named = !byn_id_at(L, index);
  byn_assert(ref->origin == node->origin && ref->serial);
  byn_reason_copy(L, index); /* a finalizer may end processes here */
  bool alive = to->kind == BYN_DEST_REMOTE ||
               (to->kind == BYN_DEST_LOCAL && byn_node_find(node, &to->id));
  if (!alive) {
    monitor_nobody(L, p, to, ref->serial);
    return;
  }
  byn_slots_reserve(L, &node->world->slots, 1);
  byn_relation *r =
      byn_relate(L, node, BYN_MONITOR, &p->id, &to->id, ref->serial, true);
  if (named)
    r->what = byn_slot_put(L, &node->world->slots);
  else
    lua_pop(L, 1);
  if (to->kind == BYN_DEST_REMOTE)
    node->remote->monitor(L, node, &p->id, ref->serial, to);
}

static void watch_remote(lua_State *L, byn_process *p, const byn_id *to) {
  byn_dest dest = {.kind = BYN_DEST_REMOTE, .id = *to, .origin = to->origin};
  byn_id ref;
  byn_node_ref(p->node, &ref);
  byn_relate(L, p->node, BYN_WATCH, &p->id, to, ref.serial, true);
  p->node->remote->monitor(L, p->node, &p->id, ref.serial, &dest);
}

void byn_watch(lua_State *L, byn_process *p, const byn_id *to) {
  byn_node *node = p->node;
  bool here = to->origin == node->origin;
  if (here && byn_node_find(node, to)) {
    byn_relate(L, node, BYN_WATCH, &p->id, to, 0, false);
  } else if (!here && byn_node_reaches(node, to->origin)) {
    watch_remote(L, p, to);
  } else {
    lua_pushstring(L, here ? "noproc" : byn_node_absence(node, to->origin));
    behaviour_lost(L, p, to);
    lua_pop(L, 1);
  }
}

void byn_demonitor(lua_State *L, byn_process *p, uint64_t serial) {
  byn_relation *r = byn_map_get(&p->node->monitors, serial);
  if (!r || r->kind != BYN_MONITOR || r->a.list != &p->relations) return;
  byn_relation_give_up(L, p->node, r);
}

/* --- broken relations ----------------------------------------------------- */

/* Each of these pops the reason. The relation is freed before the signal is
 * sent, and what the signal needs is read before that: its receiver may change
 * anything. */

static void break_link(lua_State *L, byn_node *node, byn_relation *r,
                       struct byn_relation_end *dead) {
  byn_id gone = *byn_end_id(r, dead);
  byn_id other = *byn_far_id(r, dead->list);
  bool linked = byn_tie_is_linked(&r->tie);
  byn_process *p =
      other.origin == node->origin ? byn_node_find(node, &other) : NULL;
  byn_unrelate(L, node, r);
  if (p && linked) {
    signal_exit(L, p, &gone, true);
    return;
  }
  if (linked && other.origin != node->origin)
    node->remote->exit(L, node, &gone, &other, lua_gettop(L), true);
  lua_pop(L, 1);
}

static void break_watch(lua_State *L, byn_node *node, byn_relation *r) {
  byn_process *p = byn_node_find(node, byn_end_id(r, &r->a));
  byn_id gone = *byn_end_id(r, &r->b);
  byn_unrelate(L, node, r);
  if (p) behaviour_lost(L, p, &gone);
  lua_pop(L, 1);
}

/* Pushes what is monitored. That may collect garbage, and a finalizer may end
 * the monitor: false then, and nothing is pushed. */
static bool push_monitored(lua_State *L, const byn_node *node,
                           const byn_relation *r) {
  uint64_t serial = r->serial;
  if (r->what)
    byn_slot_push(L, r->what);
  else
    byn_id_push(L, byn_end_id(r, &r->b));
  if (byn_map_get(&node->monitors, serial)) return true;
  lua_pop(L, 1);
  return false;
}

static void break_monitor_here(lua_State *L, byn_node *node, byn_relation *r) {
  byn_id a = *byn_end_id(r, &r->a);
  uint64_t serial = r->serial;
  if (!push_monitored(L, node, r)) {
    lua_pop(L, 1);
    return;
  }
  lua_insert(L, -2);
  byn_unrelate(L, node, r);
  byn_process *p = byn_node_find(node, &a);
  if (p)
    mail_down(L, p, serial);
  else
    lua_pop(L, 2);
}

static void break_monitor(lua_State *L, byn_node *node, byn_relation *r) {
  byn_id a = *byn_end_id(r, &r->a);
  uint64_t serial = r->serial;
  if (a.origin == node->origin) {
    break_monitor_here(L, node, r);
    return;
  }
  byn_unrelate(L, node, r);
  node->remote->down(L, node, a.origin, serial, lua_gettop(L));
  lua_pop(L, 1);
}

static void break_call(lua_State *L, byn_node *node, byn_relation *r) {
  byn_origin *a = byn_end_id(r, &r->a)->origin;
  uint64_t serial = r->serial;
  if (a == node->origin) {
    byn_call_failed(L, node, r);
    return;
  }
  byn_unrelate(L, node, r);
  node->remote->down(L, node, a, serial, lua_gettop(L));
  lua_pop(L, 1);
}

static void break_relation(lua_State *L, byn_node *node, byn_relation *r,
                           struct byn_relation_end *dead) {
  int top = byn_stack_top(L) - 1;
  if (r->kind == BYN_LINK) {
    break_link(L, node, r, dead);
  } else if (dead == &r->a) {
    lua_pop(L, 1);
    byn_relation_give_up(L, node, r);
  } else if (r->kind == BYN_CALL) {
    break_call(L, node, r);
  } else if (r->kind == BYN_WATCH) {
    break_watch(L, node, r);
  } else {
    break_monitor(L, node, r);
  }
  byn_assert(byn_stack_top(L) == top);
}

void byn_monitor_break(lua_State *L, byn_node *node, uint64_t serial,
                       const byn_origin *lost, int index) {
  luaL_checkstack(L, 12, NULL);
  push_reason(L, node, index); /* a finalizer may take relations away here */
  byn_relation *r = byn_map_get(&node->monitors, serial);
  if (r && byn_end_id(r, &r->b)->origin == lost)
    break_relation(L, node, r, &r->b);
  else
    lua_pop(L, 1);
}

void byn_relation_break_first(lua_State *L, byn_node *node,
                              byn_relation_list *list, int index) {
  luaL_checkstack(L, 12, NULL);
  push_reason(L, node, index); /* a finalizer may take relations away here */
  byn_relation *r = list->first;
  if (r)
    break_relation(L, node, r, r->a.list == list ? &r->a : &r->b);
  else
    lua_pop(L, 1);
}

void byn_call_refuse(lua_State *L, byn_process *p, const byn_id *ref) {
  luaL_checkstack(L, 12, NULL);
  lua_pushliteral(L, "noproc");
  byn_relation *r = p->relations.first;
  for (; r; r = byn_relation_after(r, &p->relations))
    if (r->kind == BYN_CALL && r->b.list == &p->relations &&
        r->serial == ref->serial && byn_end_id(r, &r->a)->origin == ref->origin)
      break;
  if (r)
    break_relation(L, p->node, r, &r->b);
  else
    lua_pop(L, 1);
}
