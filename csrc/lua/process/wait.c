/* Waiting: what a process waits for, and what wakes it. */
#include "wait.h"

#include <math.h>

#include "../../core/assert.h"
#include "../../core/coverage.h"
#include "../value/compat.h"
#include "../value/misuse.h"
#include "../value/reason.h"
#include "coroutine.h"
#include "foreign.h"
#include "lookup.h"
#include "mailbox_limit.h"
#include "node.h"
#include "preempt.h"

/* --- waking --------------------------------------------------------------- */

BYN_MACHINE("process", BYN_PHASES, "mail hand answer expire");

/* Somebody's step changes what p will do. */
static inline void tell_control(const byn_process *p) {
  if (p->node->points) p->node->points->touch(p);
}

static inline bool behaviour_received(lua_State *L, byn_process *p,
                                      byn_mail *mail) {
  int top = byn_stack_top(L);
  bool taken = p->behaviour->received(L, p, mail);
  byn_assert(byn_stack_top(L) == top);
  return taken;
}

/* Does the code of p wait in a receive that may take it? */
static inline bool waits_for(const byn_process *p, const byn_mail *mail) {
  if (p->wait != BYN_WAIT_MESSAGE && p->wait != BYN_WAIT_MAIL) return false;
  return !p->behaviour->owns || !p->behaviour->owns(p, mail);
}

void byn_process_mail(lua_State *L, byn_process *p, byn_mail *mail) {
  BYN_COVER(byn_process_phase(p), "mail");
  if (p->state >= BYN_EXITING) {
    byn_mail_free(L, p->node->world, mail);
    return;
  }
  tell_control(p);
  if (p->behaviour->received && behaviour_received(L, p, mail)) return;
  byn_mailbox_append(&p->mail, mail, p->node->serial);
  if (p->mail.count >= p->mail_watch) byn_mailbox_grew(L, p);
  bool waits = p->co ? waits_for(p, mail) : !p->held;
  if (waits) byn_process_ready(p);
}

bool byn_process_hand(lua_State *L, byn_process *p) {
  bool waits = p->state == BYN_IDLE && p->co && p->wait == BYN_WAIT_MESSAGE;
  if (!waits) return false;
  byn_assert(!byn_process_peek_mail(p) && !p->queued);
  BYN_COVER(byn_process_phase(p), "hand");
  tell_control(p);
  lua_xmove(L, p->co, 1); /* a C function that yielded has room */
  p->mail.taken++;
  p->arguments = 1;
  p->wait = BYN_WAIT_NOTHING;
  byn_process_ready(p);
  byn_assert(p->state == BYN_READY);
  return true;
}

void byn_process_drop_mail(lua_State *L, byn_process *p, byn_mail *mail) {
  if (p->behaviour->dropped) p->behaviour->dropped(p, mail);
  byn_mail_free(L, p->node->world, mail);
}

byn_mail *byn_process_show_mail(lua_State *L, byn_process *p) {
  byn_mailbox *box = &p->mail;
  for (;;) {
    byn_mail *mail = byn_process_peek_mail(p);
    if (!mail) return NULL;
    byn_mail seen = *mail; /* it may be freed while it is pushed */
    uint32_t taken = box->taken;
    byn_mail_push(L, &seen);
    if (box->taken == taken) return mail;
    lua_pop(L, 1);
  }
}

bool byn_process_take_mail(lua_State *L, byn_process *p) {
  if (!byn_process_show_mail(L, p)) return false;
  byn_process_drop_mail(L, p, byn_mailbox_pick(&p->mail));
  return true;
}

void byn_process_answer(lua_State *L, byn_process *p, int count) {
  byn_assert(p->state == BYN_IDLE || p->state == BYN_READY);
  byn_assert(p->wait == BYN_WAIT_REPLY || p->wait == BYN_WAIT_AWAIT);
  byn_assert(p->co && p->arguments < 0);
  if (!byn_has_room(p->co, count)) luaL_error(L, "too many results");
  BYN_COVER(byn_process_phase(p), "answer");
  tell_control(p);
  lua_xmove(L, p->co, count);
  p->arguments = count;
  p->reply = 0;
  byn_process_ready(p);
  byn_assert(p->state == BYN_READY && !p->call);
}

void byn_process_expire(byn_process *p) {
  byn_assert(p->timer && p->timer == p->node->due.timer);
  byn_assert(p->co && p->state != BYN_RUNNING && p->state != BYN_DEAD);
  BYN_COVER(byn_process_phase(p), "expire");
  p->timer = 0;
  p->expired = true;
  byn_process_ready(p);
}

/* --- waiting -------------------------------------------------------------- */

int64_t byn_check_timeout(lua_State *L, int index, int64_t otherwise) {
  int whole;
  if (lua_isnoneornil(L, index)) return otherwise;
  if (byn_reason_is(L, index, "infinity")) return -1;
  if (lua_type(L, index) == LUA_TNUMBER) {
    lua_Integer ms = lua_tointegerx(L, index, &whole);
    if (whole && ms >= 0) return ms;
    if (!whole && lua_tonumber(L, index) == HUGE_VAL) return -1;
  }
  const char *got = luaL_tolstring(L, index, NULL);
  if (lua_type(L, index) == LUA_TSTRING)
    got = lua_pushfstring(L, "\"%s\"", got);
  byn_argument_error(L, index,
                     lua_pushfstring(L,
                                     "a time is whole milliseconds >= 0, "
                                     "math.huge or \"infinity\", got %s",
                                     got));
  return 0;
}

/* Is a module being loaded by the code on L? */
static bool is_in_require(lua_State *L) {
  lua_Debug ar;
  bool found = false;
  luaL_checkstack(L, 4, NULL);
  lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
  lua_getfield(L, -1, "_G");
  lua_pushliteral(L, "require");
  lua_rawget(L, -2);
  for (int i = 0; !found && lua_getstack(L, i, &ar); i++) {
    lua_getinfo(L, "f", &ar);
    found = lua_rawequal(L, -1, -2);
    lua_pop(L, 1);
  }
  lua_pop(L, 3);
  return found;
}

static void refuse_wait(lua_State *L, const byn_process *p) {
  if (L != p->co) {
    byn_foreign_check(L, p->node->world);
    byn_misuse(L, "cannot wait inside a coroutine of the process's own: "
                  "wait in the process itself");
  }
  if (is_in_require(L))
    byn_misuse(L, "cannot wait while require loads a module: wait in a "
                  "function of the module, which is called afterwards");
  byn_misuse(L, "cannot wait here: a C function (such as a metamethod or "
                "the comparison of table.sort) is in between");
}

static inline void check_wait(lua_State *L, const byn_process *p) {
  if (L != p->co || !lua_isyieldable(L)) refuse_wait(L, p);
}

void byn_process_check_wait(lua_State *L, const byn_process *p) {
  check_wait(L, p);
}

#if BYN_WAITS_GUARDED
/* The wait is over, if it is the scheduler that goes on. */
static int wait_resumed(lua_State *L, int status, lua_KContext context) {
  byn_process *p = (byn_process *)context;
  (void)status;
  if (p->state == BYN_RUNNING && p->wait == BYN_WAIT_PAUSE) return p->arguments;
  return byn_foreign_resumed(L, p->node->world);
}

static int yield_until_resumed(lua_State *L, byn_process *p) {
  return lua_yieldk(L, 0, (lua_KContext)p, wait_resumed);
}
#else
static int yield_until_resumed(lua_State *L, byn_process *p) {
  (void)p;
  return lua_yield(L, 0);
}
#endif

int byn_process_wait(lua_State *L, byn_process *p, byn_wait what, int64_t ms) {
  check_wait(L, p);
  byn_assert(p->state == BYN_RUNNING && !p->timer);
  if (ms >= 0) p->timer = byn_node_timer(L, p->node, ms, BYN_TIMER_WAIT, p);
  p->wait = (uint8_t)what;
  if (what != BYN_WAIT_REPLY && what != BYN_WAIT_AWAIT) p->arguments = 0;
  return yield_until_resumed(L, p);
}

int byn_process_wait_reply(lua_State *L, byn_process *p, byn_relation *call,
                           const byn_id *ref, int64_t ms) {
  byn_node *node = p->node;
  byn_assert(L == p->co && lua_isyieldable(L));
  byn_assert(p->state == BYN_RUNNING && !p->timer && !p->call);
  byn_assert(call->kind == BYN_CALL);
  if (ms >= 0) p->timer = byn_node_try_timer(node, ms, BYN_TIMER_WAIT, p);
  if (ms >= 0 && !p->timer) {
    byn_relation_give_up(L, node, call);
    return luaL_error(L, "not enough memory");
  }
  p->wait = BYN_WAIT_REPLY;
  p->call = call;
  p->reply = ref->serial;
  p->arguments = -1;
  return yield_until_resumed(L, p);
}

int byn_process_wait_done(lua_State *L, byn_process *p, uint64_t serial,
                          int64_t ms) {
  byn_assert(p->state == BYN_RUNNING && !p->call);
  p->reply = serial;
  p->arguments = -1;
  return byn_process_wait(L, p, BYN_WAIT_AWAIT, ms);
}

bool byn_process_gives_way(lua_State *L, byn_process *p) {
  byn_assert(p->state == BYN_RUNNING);
  byn_preempt_reset(p);
  bool spent = p->node->share-- <= 0 || byn_watchdog_late(p->node->watch);
  return spent && L == p->co && lua_isyieldable(L);
}

void byn_process_expect(byn_process *p, byn_id *ref) {
  byn_node_ref(p->node, ref);
  ref->index = p->id.index;
  p->reply = ref->serial;
  p->arguments = -1;
}

void byn_process_expect_start(byn_process *starter, byn_id *ref) {
  byn_node_ref(starter->node, ref);
  ref->index = starter->id.index;
  starter->call = NULL;
  starter->reply = ref->serial;
  starter->arguments = -1;
}

bool byn_process_starts_for(const byn_process *p, const byn_process *other) {
  while (p->parent) {
    byn_id parent = byn_parent_of(p);
    const byn_process *starter = byn_node_find(p->node, &parent);
    if (!starter || !byn_process_awaits_start(starter)) return false;
    if (starter->reply + 1 != p->id.serial) return false;
    if (starter == other) return true;
    p = starter;
  }
  return false;
}

void byn_process_timer(lua_State *L, byn_process *p, int64_t ms) {
  byn_process_untimer(p);
  p->own_timer = byn_node_timer(L, p->node, ms, BYN_TIMER_OWN, p);
}

void byn_process_untimer(byn_process *p) {
  if (p->own_timer) byn_timers_cancel(p->node->timers, p->own_timer, NULL);
  p->own_timer = 0;
}
