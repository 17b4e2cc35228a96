/* Messages: sent now, sent after a while, received. */
#include "send.h"

#include "../../core/assert.h"
#include "../value/compat.h"
#include "../value/misuse.h"
#include "../value/term.h"
#include "dest.h"
#include "lookup.h"
#include "mailbox_limit.h"
#include "reap.h"
#include "wait.h"

/* --- now ------------------------------------------------------------------ */

void byn_post(lua_State *L, byn_node *node, const byn_dest *dest, int index,
              byn_mail_kind kind) {
  byn_term_copy(L, index); /* a finalizer may end processes here */
  byn_process *p = byn_node_find(node, &dest->id);
  if (p && kind == BYN_MAIL_MESSAGE && byn_process_hand(L, p)) return;
  if (p && byn_mailbox_admits(L, p))
    byn_process_mail(L, p, byn_mail_new(L, node->world, kind, NULL));
  else
    lua_pop(L, 1);
}

void byn_send_route(lua_State *L, byn_node *node, const byn_dest *dest,
                    int index, bool is_cast) {
  byn_world *w = node->world;
  if (!w->route) return;
  index = lua_absindex(L, index);
  luaL_checkstack(L, 6, NULL);
  byn_slot_push(L, w->route);
  byn_id_push(L, &dest->id);
  lua_pushvalue(L, index);
  lua_pushboolean(L, is_cast);
  lua_call(L, 3, 0);
}

static int l_set_route(lua_State *L) {
  byn_expect_type(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  byn_world *w = byn_world_of(L);
  byn_slot_free(L, &w->slots, w->route);
  w->route = byn_slot_put(L, &w->slots);
  return 0;
}

int byn_send_value(lua_State *L, byn_node *node, byn_dest *dest, int index) {
  int answered = dest->child ? byn_dest_keep(L, node, dest, "send", index) : 0;
  if (answered) return answered;
  switch (dest->kind) {
  case BYN_DEST_LOCAL:
    byn_post(L, node, dest, index, BYN_MAIL_MESSAGE);
    break;
  case BYN_DEST_REMOTE:
    node->remote->send(L, node, dest, index);
    break;
  case BYN_DEST_UNKNOWN:
    if (!dest->id.serial) {
      lua_pushnil(L);
      lua_pushstring(L, dest->error);
      return 2;
    }
    byn_send_route(L, node, dest, index, false); /* a pid never fails */
    break;
  case BYN_DEST_DEAD:
    break;
  }
  lua_pushboolean(L, 1);
  return 1;
}

int byn_send_throttle(lua_State *L, byn_node *node, const byn_dest *dest,
                      int results) {
  byn_process *p = node->world->running;
  if (!p) return results;
  if (p->exiting) return byn_process_leave(L, p, results);
  if (dest->kind != BYN_DEST_REMOTE) return results;
  if (L != p->co || !lua_isyieldable(L) || p->matching) return results;
  if (!node->remote->block(node, dest->origin, p)) return results;
  return byn_process_wait(L, p, BYN_WAIT_SLEEP, -1);
}

/* The fast path: a message that need not be copied, to a process of this node
 * that waits for one. */
static bool send_at_once(lua_State *L, byn_node *node) {
  const byn_id *id = byn_pid_at(L, 1);
  if (!id || id->origin != node->origin) return false;
  byn_process *p = byn_node_find(node, id);
  return p && lua_type(L, 2) != LUA_TTABLE && byn_process_hand(L, p);
}

/* send(dest, msg) -> true | nil, "noproc": never fails for a pid, also once the
 * node has been closed */
static int l_send(lua_State *L) {
  const byn_id *id = byn_pid_at(L, 1);
  byn_node *node = id ? byn_node_toward(L, id) : byn_node_here(L);
  byn_dest dest;
  if (lua_gettop(L) != 2) lua_settop(L, 2);
  if (!node) {
    lua_pushboolean(L, 1);
    return 1;
  }
  BYN_POINT(L, node->world->running, l_send, BYN_OP_SEND, 1);
  if (send_at_once(L, node)) {
    lua_pushboolean(L, 1);
    return 1;
  }
  byn_dest_unresolved_at(L, node, 1, "send", &dest);
  int results = byn_send_value(L, node, &dest, 2);
  return byn_send_throttle(L, node, &dest, results);
}

/* send_now(pid, msg) -> true: never waits, as cast_now */
static int l_send_now(lua_State *L) {
  byn_node *node = byn_node_here(L);
  lua_settop(L, 2);
  BYN_POINT(L, node->world->running, l_send_now, BYN_OP_SEND, 1);
  byn_dest dest;
  byn_dest_unresolved_at(L, node, 1, "send", &dest);
  return byn_send_value(L, node, &dest, 2);
}

/* await_room(pid) -> true: waits as who has just sent to it does, while very
 * much is to be sent to its node */
static int l_await_room(lua_State *L) {
  byn_node *node = byn_node_here(L);
  lua_settop(L, 1);
  byn_dest dest;
  byn_dest_unresolved_at(L, node, 1, "send", &dest);
  lua_pushboolean(L, 1);
  return byn_send_throttle(L, node, &dest, 1);
}

/* tell(pid, msg): sends to a process of this Lua state what the limit of its
 * mailbox never drops, also once the node has been closed */
static int l_tell(lua_State *L) {
  const byn_id *id = byn_pid_at(L, 1);
  byn_expect(L, id, 1, "pid");
  byn_node *node = id->origin->node;
  lua_settop(L, 2);
  if (!node) return 0;
  BYN_POINT(L, node->world->running, l_tell, BYN_OP_SEND, 1);
  byn_term_copy(L, 2);
  byn_process *p = byn_node_find(node, id);
  if (p && !byn_process_hand(L, p))
    byn_process_mail(L, p,
                     byn_mail_new(L, node->world, BYN_MAIL_MESSAGE, NULL));
  return 0;
}

/* pid:send(msg): a name for a pid is a dot for a colon */
static int l_pid_send(lua_State *L) {
  byn_expect(L, byn_pid_at(L, 1) != NULL, 1,
             "pid (as in pid:send(msg), with a colon)");
  return l_send(L);
}

/* No argument is misuse here, not a time without end. */
static void check_time_given(lua_State *L) {
  byn_expect(L, !lua_isnoneornil(L, 1), 1, "milliseconds");
}

/* --- after a while -------------------------------------------------------- */

typedef struct byn_send {
  struct byn_send *next, *before; /* of those that end with one process */
  uint64_t serial;
  uint64_t ends_with; /* serial of a process of this node, or 0 */
  int64_t every;      /* of an interval, in milliseconds; 0: it is sent once */
  int64_t at;         /* when that of an interval is due */
  byn_timer timer;
  byn_value dest, message;
} byn_send;

/* It ends with that process. false: memory is short. */
static bool bind_send(byn_node *node, byn_send *send, byn_process *p) {
  byn_send *first = byn_map_get(&node->sends_of, p->id.serial);
  if (!byn_map_put(&node->sends_of, p->id.serial, send)) return false;
  if (first) first->before = send;
  send->next = first;
  send->ends_with = p->id.serial;
  p->awaits_sends = true;
  return true;
}

static void unbind_send(byn_node *node, const byn_send *send) {
  if (!send->ends_with) return;
  if (send->next) send->next->before = send->before;
  if (send->before)
    send->before->next = send->next;
  else
    byn_map_put(&node->sends_of, send->ends_with, send->next);
}

static void free_send(lua_State *L, byn_node *node, byn_send *send) {
  byn_assert(byn_map_get(&node->sends, send->serial) == send);
  if (node->due.owner == send) node->due.owner = NULL;
  byn_map_remove(&node->sends, send->serial);
  unbind_send(node, send);
  byn_value_free(L, node->world, &send->dest);
  byn_value_free(L, node->world, &send->message);
  byn_free(&node->world->alloc, send, sizeof *send);
}

/* Frees `send` only once nothing can fail any more: where memory is short, the
 * message waits until it is there. */
static void mail_send(lua_State *L, byn_node *node, byn_process *p,
                      byn_send *send) {
  byn_mail_reserve(L, node->world);
  byn_value_take(L, node->world, &send->message);
  free_send(L, node, send);
  byn_process_mail(L, p, byn_mail_new(L, node->world, BYN_MAIL_MESSAGE, NULL));
}

/* When an interval goes on: those times that have passed while the node stood
 * still are left out, and the others stay where they are. */
static int64_t next_beat(const byn_send *send, int64_t now) {
  int64_t at = send->at;
  if (at <= now) at += ((now - at) / send->every + 1) * send->every;
  byn_assert(at > now);
  return at;
}

/* Its timer is set again first, in the place of the one that was due, which
 * cannot fail: code that a finalizer runs here may cancel it. */
static void send_in_interval(lua_State *L, byn_node *node, byn_send *send) {
  byn_dest dest;
  int top = lua_gettop(L);
  send->at = next_beat(send, node->now);
  int64_t ms = send->at - node->now;
  send->timer = byn_node_try_timer(node, ms, BYN_TIMER_SEND, send);
  byn_assert(send->timer);
  byn_value_push(L, &send->dest);
  byn_value_push(L, &send->message);
  byn_dest_unresolved_at(L, node, top + 1, "send_interval", &dest);
  byn_send_value(L, node, &dest, top + 2);
  lua_settop(L, top);
}

/* (node, dest, message) */
static int send_protected(lua_State *L) {
  byn_node *node = lua_touserdata(L, 1);
  byn_dest dest;
  byn_dest_unresolved_at(L, node, 2, "send_after", &dest);
  byn_send_value(L, node, &dest, 3);
  return 0;
}

/* To another node, or to the child of a distributed supervisor: what cannot be
 * sent is gone, but where memory is short it waits. */
static void send_elsewhere(lua_State *L, byn_node *node, byn_send *send) {
  luaL_checkstack(L, 6, NULL);
  lua_pushcfunction(L, send_protected);
  lua_pushlightuserdata(L, node);
  byn_value_push(L, &send->dest);
  byn_value_push(L, &send->message);
  int status = lua_pcall(L, 3, 0, 0);
  bool waits = status == LUA_ERRMEM ||
               (status != LUA_OK && byn_reason_is_shortage(L, -1));
  /* A finalizer may have cancelled it meanwhile. */
  if (!waits && node->due.owner == send) free_send(L, node, send);
  if (status != LUA_OK) lua_error(L);
}

static void send_once(lua_State *L, byn_node *node, byn_send *send) {
  byn_dest dest;
  int top = lua_gettop(L);
  byn_value_push(L, &send->dest);
  if (!lua_istable(L, -1)) {
    byn_dest_at(L, node, top + 1, "send_after", &dest);
    if (dest.kind == BYN_DEST_LOCAL) {
      mail_send(L, node, dest.process, send);
      lua_settop(L, top);
      return;
    }
  }
  lua_settop(L, top);
  send_elsewhere(L, node, send);
}

void byn_send_due(lua_State *L, byn_node *node, byn_send *send) {
  byn_assert(send->timer == node->due.timer);
  if (send->every)
    send_in_interval(L, node, send);
  else
    send_once(L, node, send);
}

void byn_send_again(byn_node *node, byn_send *send, int64_t ms) {
  if (send->every) byn_timers_cancel(node->timers, send->timer, NULL);
  send->timer = byn_node_try_timer(node, ms, BYN_TIMER_SEND, send);
}

void byn_sends_close(lua_State *L, byn_node *node) {
  byn_map_entry entry;
  for (uint32_t cursor = 0; byn_map_next(&node->sends, &cursor, &entry);) {
    free_send(L, node, entry.value);
    cursor = 0;
  }
  byn_map_clear(&node->sends);
  byn_map_clear(&node->sends_of);
}

void byn_sends_cancel(lua_State *L, byn_process *p) {
  byn_node *node = p->node;
  byn_send *send;
  if (!p->awaits_sends) return;
  while ((send = byn_map_get(&node->sends_of, p->id.serial)) != NULL) {
    byn_timers_cancel(node->timers, send->timer, NULL);
    free_send(L, node, send);
  }
  p->awaits_sends = false;
}

/* In the maps and with its timer, or NULL when memory is short. `p`: the
 * process of this node that it ends with, or NULL. */
static byn_send *new_send(byn_node *node, byn_process *p, uint64_t serial,
                          int64_t ms) {
  const byn_alloc *alloc = &node->world->alloc;
  byn_send *send = byn_new(alloc, sizeof *send);
  if (!send) return NULL;
  *send = (byn_send){.serial = serial};
  send->timer = byn_node_try_timer(node, ms, BYN_TIMER_SEND, send);
  bool kept = send->timer && byn_map_put(&node->sends, serial, send);
  if (kept && (!p || bind_send(node, send, p))) return send;
  byn_map_remove(&node->sends, serial);
  byn_timers_cancel(node->timers, send->timer, NULL);
  byn_free(alloc, send, sizeof *send);
  return NULL;
}

/* (ms, dest, msg) -> timer. One to a pid of this node ends with that process;
 * an interval to anybody else, which would have no end, with the caller. */
static int start_timer(lua_State *L, byn_node *node, const char *what,
                       int64_t ms, bool repeats) {
  lua_settop(L, 3);
  byn_dest dest;
  byn_dest_at(L, node, 2, what, &dest);
  lua_settop(L, 3);
  byn_id ref;
  byn_node_ref(node, &ref);
  byn_id_push_first(L, &ref);
  byn_term_copy(L, 2);
  byn_term_copy(L, 3);
  byn_node_now(L, node);
  byn_slots_reserve(L, &node->world->slots, 2);
  /* A finalizer may have ended processes by now. */
  const byn_id *pid = byn_pid_at(L, 2);
  bool here = pid && pid->origin == node->origin;
  byn_process *p = here ? byn_node_find(node, pid) : NULL;
  if (here && !p) {
    lua_pop(L, 2);
    return 1;
  }
  if (repeats && !here) p = node->world->running;
  byn_send *send = new_send(node, p, ref.serial, ms);
  if (!send) return luaL_error(L, "not enough memory");
  if (repeats) {
    send->every = ms;
    send->at = node->now + ms;
  }
  byn_value_put(L, node->world, &send->message);
  byn_value_put(L, node->world, &send->dest);
  return 1;
}

/* send_after(ms, dest, msg) -> timer */
static int l_send_after(lua_State *L) {
  byn_node *node = byn_node_here(L);
  check_time_given(L);
  int64_t ms = byn_check_timeout(L, 1, 0);
  byn_argument(L, ms >= 0, 1, "must be finite");
  BYN_POINT(L, node->world->running, l_send_after, BYN_OP_SEND_AFTER, 0);
  return start_timer(L, node, "send_after", ms, false);
}

#define LONGEST_INTERVAL ((int64_t)1 << 52)

/* send_interval(ms, dest, msg) -> timer */
static int l_send_interval(lua_State *L) {
  byn_node *node = byn_node_here(L);
  check_time_given(L);
  int64_t ms = byn_check_timeout(L, 1, 0);
  byn_argument(L, ms > 0 && ms <= LONGEST_INTERVAL, 1,
               "an interval is 1 ms or more, and finite");
  BYN_POINT(L, node->world->running, l_send_interval, BYN_OP_SEND_AFTER, 0);
  return start_timer(L, node, "send_interval", ms, true);
}

/* cancel_timer(timer) -> ms left | nil */
static int l_cancel_timer(lua_State *L) {
  byn_node *node = byn_node_here(L);
  const byn_id *ref = byn_ref_at(L, 1);
  byn_expect(L, ref, 1, "timer (from send_after or send_interval)");
  BYN_POINT(L, node->world->running, l_cancel_timer, BYN_OP_CANCEL, 0);
  byn_send *send = ref->origin == node->origin
                       ? byn_map_get(&node->sends, ref->serial)
                       : NULL;
  int64_t at, now = byn_node_now(L, node);
  if (!send || !byn_timers_cancel(node->timers, send->timer, &at)) {
    lua_pushnil(L);
    return 1;
  }
  free_send(L, node, send);
  lua_pushinteger(L, at > now ? at - now : 0);
  return 1;
}

/* --- receiving ------------------------------------------------------------ */

static byn_process *check_receiver(lua_State *L, const char *what) {
  byn_process *p = byn_process_here(L, what);
  if (p->matching)
    byn_misuse(L, "%s inside the match function of a receive", what);
  return p;
}

/* receive([timeout]) -> msg | nil, "timeout" */
static int l_receive(lua_State *L) {
  byn_process *p = check_receiver(L, "receive");
  int64_t ms = byn_check_timeout(L, 1, -1);
  byn_mailbox_rewind(&p->mail);
  if (byn_process_peek_mail(p)) {
    if (byn_process_gives_way(L, p))
      return byn_process_wait(L, p, BYN_WAIT_MESSAGE, -1);
    if (byn_process_take_mail(L, p)) return 1;
  }
  return byn_process_wait(L, p, BYN_WAIT_MESSAGE, ms);
}

/* sleep(ms) -> true */
static int l_sleep(lua_State *L) {
  byn_process *p = byn_process_here(L, "sleep");
  check_time_given(L);
  return byn_process_wait(L, p, BYN_WAIT_SLEEP, byn_check_timeout(L, 1, -1));
}

/* mail_peek() -> true, msg | false: the next that was not passed over.
 * Until mail_skip or mail_pick, a match function runs: receive is refused. */
static int l_mail_peek(lua_State *L) {
  byn_process *p = check_receiver(L, "receive");
  lua_pushboolean(L, true);
  p->matching = byn_process_show_mail(L, p) != NULL;
  if (p->matching) return 2;
  lua_pushboolean(L, false);
  return 1;
}

/* Is it a message whose field `ref` is that ref? */
static bool carries_ref(lua_State *L, const byn_mail *mail, const byn_id *ref) {
  if (mail->kind == BYN_MAIL_DOWN) return byn_id_equal(&mail->id, ref);
  if (mail->kind != BYN_MAIL_MESSAGE || mail->value.type != LUA_TTABLE)
    return false;
  byn_value_push(L, &mail->value);
  bool same = false;
  if (lua_istable(L, -1)) {
    lua_pushliteral(L, "ref");
    lua_rawget(L, -2);
    const byn_id *found = byn_ref_at(L, -1);
    same = found && byn_id_equal(found, ref);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return same;
}

/* mail_pass(ref): before the first mail_find: what came before the ref was made
 * cannot carry it. */
static int l_mail_pass(lua_State *L) {
  byn_process *p = check_receiver(L, "receive");
  const byn_id *ref = byn_ref_at(L, 1);
  byn_expect(L, ref, 1, "ref");
  bool ours = ref->origin == p->node->origin;
  byn_mailbox_pass(&p->mail, ours ? ref->serial : 0);
  return 0;
}

/* mail_find(ref) -> true, msg | false: the next that carries the ref, to be
 * taken by mail_pick; it has passed over those before. */
static int l_mail_find(lua_State *L) {
  byn_process *p = check_receiver(L, "receive");
  const byn_id *ref = byn_ref_at(L, 1);
  byn_mail *mail;
  luaL_checkstack(L, 8, NULL);
  while ((mail = byn_process_peek_mail(p)) != NULL) {
    if (!carries_ref(L, mail, ref)) {
      byn_mailbox_skip(&p->mail);
      continue;
    }
    lua_settop(L, 1);
    lua_pushboolean(L, true);
    p->matching = true;
    if (byn_process_show_mail(L, p) == mail) return 2;
    p->matching = false; /* a finalizer has taken it */
  }
  lua_pushboolean(L, false);
  return 1;
}

static int l_mail_skip(lua_State *L) {
  byn_process *p = byn_process_here(L, "receive");
  p->matching = false;
  byn_mailbox_skip(&p->mail);
  return 0;
}

static int l_mail_pick(lua_State *L) {
  byn_process *p = byn_process_here(L, "receive");
  p->matching = false;
  byn_mail *mail = byn_mailbox_pick(&p->mail);
  if (mail) byn_process_drop_mail(L, p, mail);
  if (byn_process_gives_way(L, p))
    return byn_process_wait(L, p, BYN_WAIT_PAUSE, -1);
  return 0;
}

/* Before the first mail_peek of a receive. */
static int l_mail_begin(lua_State *L) {
  byn_mailbox_rewind(&check_receiver(L, "receive")->mail);
  return 0;
}

static int l_mail_rewind(lua_State *L) {
  byn_process *p = byn_process_here(L, "receive");
  p->matching = false;
  byn_mailbox_rewind(&p->mail);
  return 0;
}

/* unbroken(fn, ...) -> what fn returns. Calls it from C, so that it can
 * neither wait nor be preempted: others see what it does as one. */
static int l_unbroken(lua_State *L) {
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  return lua_gettop(L);
}

/* mail_wait([ms]) -> true: more came, or false: the time is over */
static int l_mail_wait(lua_State *L) {
  byn_process *p = check_receiver(L, "receive");
  int64_t ms = byn_check_timeout(L, 1, -1);
  return byn_process_wait(L, p, BYN_WAIT_MAIL, ms);
}

void byn_send_functions(lua_State *L) {
  static const luaL_Reg functions[] = {{"send", l_send},
                                       {"send_now", l_send_now},
                                       {"await_room", l_await_room},
                                       {"tell", l_tell},
                                       {"pid_send", l_pid_send},
                                       {"send_after", l_send_after},
                                       {"send_interval", l_send_interval},
                                       {"cancel_timer", l_cancel_timer},
                                       {"receive", l_receive},
                                       {"sleep", l_sleep},
                                       {"set_route", l_set_route},
                                       {"mail_begin", l_mail_begin},
                                       {"mail_peek", l_mail_peek},
                                       {"mail_skip", l_mail_skip},
                                       {"mail_pass", l_mail_pass},
                                       {"mail_find", l_mail_find},
                                       {"mail_pick", l_mail_pick},
                                       {"mail_rewind", l_mail_rewind},
                                       {"mail_wait", l_mail_wait},
                                       {"unbroken", l_unbroken},
                                       {NULL, NULL}};
  byn_set_functions(L, functions);
}
