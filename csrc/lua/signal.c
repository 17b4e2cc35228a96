/* Signals: exits, links and monitors, by Erlang's rules. The rules for exit
 * signals are those of the Erlang reference manual, "Processes".
 */
#include <lauxlib.h>

#include "call.h"
#include "cluster.h"
#include "node.h"
#include "process.h"
#include "reason.h"
#include "remote.h"

/* --- exit signals --------------------------------------------------------- */

void byn_signal_exit(lua_State *L, byn_process *p, const byn_id *from,
                     int index, bool linked) {
  luaL_checkstack(L, 8, NULL);
  bool self = byn_id_equal(from, &p->id);
  if (!linked && byn_reason_is(L, index, "kill")) {
    lua_pushliteral(L, "killed");
    byn_process_end(L, p);
  } else if (p->traps) {
    byn_reason_copy(L, index);
    byn_process_mail(L, p,
                     byn_mail_new(L, p->node->world, BYN_MAIL_EXIT, from));
  } else if (self || !byn_reason_is(L, index, "normal")) {
    byn_reason_copy(L, index);
    byn_process_end(L, p);
  }
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
    byn_remote_exit(L, node, from, to, index, false);
    return;
  }
  byn_process *p = byn_node_find(node, to);
  if (p) byn_signal_exit(L, p, from, index, false);
}

/* --- links ---------------------------------------------------------------- */

static void link_remote(lua_State *L, byn_process *p, const byn_id *to) {
  byn_node *node = p->node;
  if (!byn_peer_of(node, to->origin)) {
    signal_code(L, p, to, byn_peer_absence(node, to->origin));
    return;
  }
  if (byn_find_link(p, to)) return;
  byn_relate(L, node, BYN_LINK, &p->id, to, 0, false);
  byn_remote_link(L, node, &p->id, to);
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
  byn_id other = *to;
  byn_unrelate(L, p->node, r);
  if (other.origin != p->node->origin)
    byn_remote_unlink(L, p->node, &p->id, &other);
}

/* --- monitors ------------------------------------------------------------- */

/* Puts a DOWN into the mailbox of p. `what`: slot of what was monitored,
 * taken over, or 0 for the pid `b`. */
static void deliver_down(lua_State *L, byn_process *p, uint64_t serial,
                         const byn_id *b, int what, int index) {
  byn_world *w = p->node->world;
  byn_id ref = {.origin = p->node->origin, .serial = serial, .kind = BYN_REF};
  byn_reason_copy(L, index);
  byn_mail *mail = byn_mail_new(L, w, BYN_MAIL_DOWN, &ref);
  mail->what = what;
  if (!what) {
    byn_id_push(L, b);
    mail->what = byn_slot_put(L, &w->slots);
  }
  byn_process_mail(L, p, mail);
}

static void down_code(lua_State *L, byn_process *p, uint64_t serial,
                      const byn_id *b, int what, const char *code) {
  lua_pushstring(L, code);
  deliver_down(L, p, serial, b, what, lua_gettop(L));
  lua_pop(L, 1);
}

/* Keeps the name or the {name=, node=} that a DOWN has to repeat. */
static int keep_name(lua_State *L, byn_node *node, int index) {
  if (byn_id_at(L, index)) return 0;
  byn_reason_copy(L, index);
  return byn_slot_put(L, &node->world->slots);
}

uint64_t byn_monitor_dest(lua_State *L, byn_process *p, const byn_dest *to,
                          int index) {
  byn_node *node = p->node;
  byn_id ref;
  byn_node_ref(node, &ref);
  if (to->kind == BYN_DEST_LOCAL && to->process == p) return ref.serial;
  bool alive = to->kind == BYN_DEST_LOCAL || to->kind == BYN_DEST_REMOTE;
  if (!alive) {
    down_code(L, p, ref.serial, &to->id, keep_name(L, node, index),
              to->kind == BYN_DEST_DEAD ? "noproc" : to->error);
    return ref.serial;
  }
  byn_relation *r =
      byn_relate(L, node, BYN_MONITOR, &p->id, &to->id, ref.serial, true);
  r->what = keep_name(L, node, index);
  if (to->kind == BYN_DEST_REMOTE)
    byn_remote_monitor(L, node, &p->id, ref.serial, to);
  return ref.serial;
}

uint64_t byn_monitor(lua_State *L, byn_process *p, const byn_id *to) {
  byn_dest dest;
  byn_id_push(L, to);
  int index = lua_gettop(L);
  byn_dest_at(L, p->node, index, "monitor", &dest);
  uint64_t serial = byn_monitor_dest(L, p, &dest, index);
  lua_settop(L, index - 1);
  return serial;
}

void byn_demonitor(lua_State *L, byn_process *p, uint64_t serial) {
  byn_relation *r = byn_map_get(&p->node->monitors, serial);
  if (!r || r->kind != BYN_MONITOR || !byn_id_equal(&r->a.id, &p->id)) return;
  byn_call_forget(L, p->node, r);
}

/* --- broken relations ----------------------------------------------------- */

static void break_link(lua_State *L, byn_node *node, const byn_id *dead,
                       const byn_id *other, int index) {
  if (other->origin != node->origin) {
    byn_remote_exit(L, node, dead, other, index, true);
    return;
  }
  byn_process *p = byn_node_find(node, other);
  if (p) byn_signal_exit(L, p, dead, index, true);
}

/* b of a MONITOR or CALL is gone: a hears of it. */
static void tell_watcher(lua_State *L, byn_node *node, byn_relation *r,
                         int index) {
  byn_id a = r->a.id, b = r->b.id;
  uint64_t serial = r->serial;
  bool call = r->kind == BYN_CALL;
  if (a.origin != node->origin) {
    byn_unrelate(L, node, r);
    byn_remote_down(L, node, a.origin, serial, index);
    return;
  }
  byn_process *p = byn_node_find(node, &a);
  int what = r->what;
  r->what = 0;
  if (call) {
    byn_call_failed(L, node, r, index);
    return;
  }
  byn_unrelate(L, node, r);
  if (p)
    deliver_down(L, p, serial, &b, what, index);
  else
    byn_slot_free(L, &node->world->slots, what);
}

void byn_relation_break(lua_State *L, byn_node *node, byn_relation *r,
                        struct byn_relation_end *dead, int index) {
  luaL_checkstack(L, 12, NULL);
  if (r->kind == BYN_LINK) {
    byn_id gone = dead->id;
    byn_id other = dead == &r->a ? r->b.id : r->a.id;
    byn_unrelate(L, node, r);
    break_link(L, node, &gone, &other, index);
  } else if (dead == &r->b) {
    tell_watcher(L, node, r, index);
  } else {
    byn_call_forget(L, node, r);
  }
}
