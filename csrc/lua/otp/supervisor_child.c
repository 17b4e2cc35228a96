/* Supervisors: their children, by id and by pid. */
#include "supervisor_child.h"

#include <string.h>

#include "../../core/assert.h"
#include "../value/term.h"
#include "../process/lookup.h"
#include "../process/node.h"
#include "childspec.h"

/* The places in the table that a child keeps: as in a packed spec, but for
 * those before the id. */
enum { KEPT_ID = 1, KEPT_START, KEPT_FN, KEPT_FIRST };

/* --- reading a packed spec ------------------------------------------------ */

static lua_Integer integer_at(lua_State *L, int index, int place) {
  lua_rawgeti(L, index, place);
  lua_Integer n = lua_tointeger(L, -1);
  lua_pop(L, 1);
  return n;
}

/* Copies `count` fields, from..., of one table to to... of the one on top. */
static void move_fields(lua_State *L, int index, int from, int to, int count) {
  for (int i = 0; i < count; i++) {
    lua_rawgeti(L, index, from + i);
    lua_rawseti(L, -2, to + i);
  }
}

/* A slot with what a start needs. A dynamic child that is started only once
 * needs no table of its own for that. */
static int keep_spec(lua_State *L, byn_process *p, byn_supervised *child,
                     int index, int extra, int more) {
  byn_supervisor *s = p->self;
  int count = (int)child->arguments - more;
  child->packed =
      s->kind == BYN_DYNAMIC && child->core.restart == BYN_TEMPORARY;
  if (child->packed) {
    lua_pushvalue(L, index);
    return byn_slot_put(L, byn_slots_at(p));
  }
  lua_createtable(L, KEPT_FIRST - 1 + count + more, 0);
  move_fields(L, index, BYN_SPEC_ID, KEPT_ID, KEPT_FIRST - 1 + count);
  if (more) move_fields(L, extra, 3, KEPT_FIRST + count, more);
  return byn_slot_keep(L, byn_slots_at(p));
}

/* Where the kept table, which may be the packed spec, has a KEPT_ value. */
static int kept_place(const byn_supervised *child, int place) {
  return child->packed ? place + BYN_SPEC_ID - KEPT_ID : place;
}

static double number_at(lua_State *L, int index, int place) {
  lua_rawgeti(L, index, place);
  double n = (double)lua_tonumber(L, -1);
  lua_pop(L, 1);
  return n;
}

static bool is_valid_backoff(const byn_backoff *b) {
  return b->min >= 1 && b->max >= b->min && b->max <= INT32_MAX &&
         b->factor >= 1 && b->factor <= 1e6 && b->jitter >= 0 &&
         b->jitter <= 1 && b->reset_after >= 0;
}

/* false when memory is short. */
static bool read_backoff(lua_State *L, byn_process *p, byn_child *c,
                         int index) {
  lua_rawgeti(L, index, BYN_SPEC_BACKOFF);
  if (lua_istable(L, -1)) {
    int at = lua_gettop(L);
    c->backoff = byn_new(&p->node->world->alloc, sizeof *c->backoff);
    if (c->backoff)
      *c->backoff = (byn_backoff){.min = integer_at(L, at, 1),
                                  .max = integer_at(L, at, 2),
                                  .factor = number_at(L, at, 3),
                                  .jitter = number_at(L, at, 4),
                                  .reset_after = integer_at(L, at, 5)};
  }
  bool done = c->backoff || !lua_istable(L, -1);
  lua_pop(L, 1);
  return done;
}

static void free_child_memory(byn_process *p, byn_supervised *child) {
  byn_world *w = p->node->world;
  if (!child) return;
  byn_free(&w->alloc, child->core.backoff, sizeof *child->core.backoff);
  byn_pool_give(&w->children, child);
}

static void set_policy(byn_child *c, const byn_policy *policy) {
  c->restart = (uint8_t)policy->restart;
  c->shutdown = (int32_t)policy->shutdown;
  c->supervisor = policy->supervisor;
  c->significant = policy->significant;
}

/* May the value at that place be an id, or false for none? */
static bool has_valid_id(lua_State *L, int index) {
  lua_rawgeti(L, index, BYN_SPEC_ID);
  int type = lua_type(L, -1);
  bool good = type == LUA_TSTRING || type == LUA_TUSERDATA ||
              lua_isinteger(L, -1) ||
              (type == LUA_TBOOLEAN && !lua_toboolean(L, -1));
  lua_pop(L, 1);
  return good;
}

byn_supervised *byn_supervised_new(lua_State *L, byn_process *p, int index,
                                   int extra, int more) {
  byn_supervised made = {.spec = 0};
  byn_policy policy;
  luaL_checkstack(L, 8, NULL);
  if (!byn_policy_read(L, index, &policy) || !has_valid_id(L, index))
    return NULL;
  if (more < 0 || more > BYN_ARGUMENTS_MOST - policy.arguments) return NULL;
  set_policy(&made.core, &policy);
  made.arguments = (uint32_t)(policy.arguments + more) & 0x3fffffff;
  made.spec = keep_spec(L, p, &made, index, extra, more);
  byn_supervised *child = byn_pool_take(&p->node->world->children);
  if (child) *child = made;
  if (!child || !read_backoff(L, p, &child->core, index)) {
    byn_slot_free(L, byn_slots_at(p), made.spec);
    free_child_memory(p, child);
    luaL_error(L, "not enough memory");
    return NULL;
  }
  if (!child->core.backoff || is_valid_backoff(child->core.backoff))
    return child;
  byn_slot_free(L, byn_slots_at(p), made.spec);
  free_child_memory(p, child);
  return NULL;
}

/* --- where to find it ----------------------------------------------------- */

enum { FIRST_CHAINS = 7, CHAIN_LENGTH = 2 };

/* Serials are counted up, often by the same step from child to child. Those
 * that follow each other get chains that do, so that what is looked for in
 * turn is near in memory; a prime number of chains, so that any step gets to
 * all of them. */
static byn_supervised **chain_of(const byn_supervisor *s, uint64_t serial) {
  return &s->pids[serial % s->chains];
}

static bool is_prime(uint32_t odd) {
  for (uint32_t i = 3; i <= odd / i; i += 2)
    if (odd % i == 0) return false;
  return true;
}

static uint32_t next_chain_count(const byn_supervisor *s) {
  uint32_t n = s->chains ? 2 * s->chains + 1 : FIRST_CHAINS;
  while (!is_prime(n))
    n += 2;
  return n;
}

static void add_to_chain(byn_supervisor *s, byn_supervised *child) {
  byn_supervised **at = chain_of(s, child->pid.serial);
  child->chain = *at;
  *at = child;
}

/* Doubles the number of chains. Without memory for it they only get longer,
 * if there are any. */
static void add_chains(lua_State *L, byn_process *p) {
  byn_supervisor *s = p->self;
  const byn_alloc *alloc = &p->node->world->alloc;
  byn_supervised **old = s->pids;
  uint32_t count = s->chains, more = next_chain_count(s);
  byn_supervised **chains = byn_new(alloc, more * sizeof *chains);
  if (!chains && !old) luaL_error(L, "not enough memory");
  if (!chains) return;
  memset(chains, 0, more * sizeof *chains);
  s->pids = chains;
  s->chains = more;
  uint32_t moved = 0;
  for (uint32_t i = 0; i < count; i++)
    for (byn_supervised *child = old[i], *next; child; child = next) {
      next = child->chain;
      add_to_chain(s, child);
      moved++;
    }
  byn_assert(moved == s->chained);
  byn_free(alloc, old, count * sizeof *old);
}

void byn_supervised_clear(byn_process *p) {
  byn_supervisor *s = p->self;
  byn_assert(s->chained == 0);
  byn_free(&p->node->world->alloc, s->pids, s->chains * sizeof *s->pids);
  s->pids = NULL;
  s->chains = 0;
}

static void remove_pid(byn_supervisor *s, byn_supervised *child) {
  if (!child->pid.origin) return;
  byn_supervised **at = chain_of(s, child->pid.serial);
  while (*at != child) {
    byn_assert(*at);
    at = &(*at)->chain;
  }
  byn_assert(s->chained > 0);
  *at = child->chain;
  s->chained--;
  child->pid.origin->uses--;
  child->pid.origin = NULL;
}

void byn_supervised_set_pid(lua_State *L, byn_process *p, byn_supervised *child,
                            const byn_id *pid) {
  byn_supervisor *s = p->self;
  byn_assert(pid->origin && child->core.state == BYN_CHILD_STARTING);
  remove_pid(s, child);
  if (s->chained >= s->chains * CHAIN_LENGTH) add_chains(L, p);
  child->unread_exit = NULL;
  child->pid = *pid;
  child->pid.origin->uses++;
  add_to_chain(s, child);
  s->chained++;
  if (pid->serial > s->greatest_serial) s->greatest_serial = pid->serial;
  byn_assert(byn_supervised_by_pid(s, pid) == child);
}

/* Each start looks for a pid that is newer than all others. Its chain need not
 * be gone through: that would fetch children from memory that nobody has looked
 * at for long. */
byn_supervised *byn_supervised_by_pid(const byn_supervisor *s,
                                      const byn_id *pid) {
  if (!s->pids || pid->serial > s->greatest_serial) return NULL;
  byn_supervised *child = *chain_of(s, pid->serial);
  while (child && !byn_id_equal(&child->pid, pid))
    child = child->chain;
  return child;
}

/* Sets, or with NULL clears, the entry of the child's id. */
static void set_id_entry(lua_State *L, byn_process *p,
                         const byn_supervised *child, void *value) {
  byn_supervisor *s = p->self;
  byn_slot_push(L, s->ids);
  byn_supervised_push_id(L, child);
  if (value)
    lua_pushlightuserdata(L, value);
  else
    lua_pushnil(L);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

void byn_supervised_add_id(lua_State *L, byn_process *p,
                           byn_supervised *child) {
  byn_supervisor *s = p->self;
  if (s->ids) set_id_entry(L, p, child, child);
}

byn_supervised *byn_supervised_by_id(lua_State *L, byn_process *p, int index) {
  byn_supervisor *s = p->self;
  index = lua_absindex(L, index);
  if (lua_isnil(L, index)) return NULL;
  byn_slot_push(L, s->ids);
  lua_pushvalue(L, index);
  lua_rawget(L, -2);
  byn_supervised *child = lua_touserdata(L, -1);
  lua_pop(L, 2);
  return child;
}

void byn_supervised_free(lua_State *L, byn_process *p, byn_supervised *child) {
  byn_supervisor *s = p->self;
  remove_pid(s, child);
  if (s->ids && child->spec) set_id_entry(L, p, child, NULL);
  byn_slot_free(L, byn_slots_at(p), child->spec);
  free_child_memory(p, child);
}

/* --- what it keeps -------------------------------------------------------- */

/* A child's slot holds the table, or only the id. */
static bool push_kept(lua_State *L, const byn_supervised *child) {
  byn_slot_push(L, child->spec);
  return lua_istable(L, -1);
}

void byn_supervised_push_id(lua_State *L, const byn_supervised *child) {
  if (push_kept(L, child)) {
    lua_rawgeti(L, -1, kept_place(child, KEPT_ID));
    lua_replace(L, -2);
  }
  if (lua_toboolean(L, -1)) return;
  lua_pop(L, 1);
  lua_pushnil(L);
}

void byn_supervised_drop_arguments(lua_State *L, byn_process *p,
                                   byn_supervised *child) {
  byn_supervisor *s = p->self;
  byn_assert(child->spec && child->core.restart == BYN_TEMPORARY);
  if (s->kind == BYN_STATIC) {
    push_kept(L, child);
    for (uint32_t i = 0; i < child->arguments; i++) {
      lua_pushnil(L);
      lua_rawseti(L, -2, KEPT_FIRST + (int)i);
    }
    lua_pop(L, 1);
  } else {
    byn_supervised_push_id(L, child);
    byn_slot_free(L, byn_slots_at(p), child->spec);
    child->spec = 0;
    child->packed = false;
    child->spec = byn_slot_keep(L, byn_slots_at(p));
  }
  child->arguments = 0;
}

/* --- starting it ---------------------------------------------------------- */

/* Pushes the arguments that a dynamic supervisor puts first. */
static int push_extra(lua_State *L, byn_process *p) {
  byn_supervisor *s = p->self;
  if (s->kind != BYN_DYNAMIC || !s->extra) return 0;
  byn_slot_push(L, s->extra);
  int extra = lua_gettop(L);
  int count = (int)integer_at(L, extra, 1);
  luaL_checkstack(L, count + 8, "too many arguments");
  for (int i = 0; i < count; i++) {
    lua_rawgeti(L, extra, 2 + i);
    byn_term_copy(L, -1);
    lua_replace(L, -2);
  }
  lua_remove(L, extra);
  return count;
}

/* Each start gets copies of its own: what it does to them must not show in
 * the next. */
static void push_arguments(lua_State *L, int kept,
                           const byn_supervised *child) {
  luaL_checkstack(L, (int)child->arguments + 8, "too many arguments");
  for (uint32_t i = 0; i < child->arguments; i++) {
    lua_rawgeti(L, kept, kept_place(child, KEPT_FIRST + (int)i));
    if (child->core.restart == BYN_TEMPORARY || !lua_istable(L, -1)) continue;
    byn_term_copy(L, -1);
    lua_replace(L, -2);
  }
}

int byn_supervised_push_start(lua_State *L, byn_process *p,
                              const byn_supervised *child) {
  byn_supervisor *s = p->self;
  int names = 0;
  luaL_checkstack(L, 8, NULL);
  push_kept(L, child);
  int kept = lua_gettop(L);
  lua_rawgeti(L, kept, kept_place(child, KEPT_START));
  if (lua_isstring(L, -1)) {
    names = 2;
    byn_slot_push(L, s->apply);
    lua_insert(L, -2);
    lua_rawgeti(L, kept, kept_place(child, KEPT_FN));
  }
  int extra = push_extra(L, p);
  push_arguments(L, kept, child);
  lua_remove(L, kept);
  int count = names + extra + (int)child->arguments;
  byn_assert(lua_gettop(L) == kept + count);
  return count;
}

/* --- showing it ----------------------------------------------------------- */

static const char *const restarts[] = {"permanent", "transient", "temporary"};

static void push_shutdown(lua_State *L, lua_Integer shutdown) {
  if (shutdown == BYN_SHUTDOWN_INFINITY)
    lua_pushliteral(L, "infinity");
  else if (shutdown == BYN_SHUTDOWN_KILL)
    lua_pushliteral(L, "brutal_kill");
  else
    lua_pushinteger(L, shutdown);
}

static void push_backoff(lua_State *L, const byn_backoff *b) {
  lua_createtable(L, 0, 5);
  lua_pushinteger(L, b->min);
  lua_setfield(L, -2, "min");
  lua_pushinteger(L, b->max);
  lua_setfield(L, -2, "max");
  lua_pushnumber(L, b->factor);
  lua_setfield(L, -2, "factor");
  lua_pushnumber(L, b->jitter);
  lua_setfield(L, -2, "jitter");
  lua_pushinteger(L, b->reset_after);
  lua_setfield(L, -2, "reset_after");
}

/* Sets `start` of the table on top: the function, or {module, fn, {args}}.
 * Its places begin at `start` of the table at `from`. */
static void set_start(lua_State *L, int from, int start, int count) {
  lua_rawgeti(L, from, start);
  if (lua_isstring(L, -1)) {
    lua_createtable(L, 3, 0);
    move_fields(L, from, start, 1, 2);
    lua_createtable(L, count, 0);
    move_fields(L, from, start + 2, 1, count);
    lua_rawseti(L, -2, 3);
    lua_replace(L, -2);
  }
  lua_setfield(L, -2, "start");
}

/* Pushes a table with all but id and start. */
static void push_policy(lua_State *L, const byn_child *c) {
  lua_createtable(L, 0, 7);
  lua_pushstring(L, restarts[c->restart]);
  lua_setfield(L, -2, "restart");
  push_shutdown(L, c->shutdown);
  lua_setfield(L, -2, "shutdown");
  lua_pushstring(L, c->supervisor ? "supervisor" : "worker");
  lua_setfield(L, -2, "type");
  lua_pushboolean(L, c->significant);
  lua_setfield(L, -2, "significant");
  if (!c->backoff) return;
  push_backoff(L, c->backoff);
  lua_setfield(L, -2, "backoff");
}

void byn_supervised_push_spec(lua_State *L, const byn_supervised *child) {
  luaL_checkstack(L, 8, NULL);
  bool whole = push_kept(L, child);
  int kept = lua_gettop(L);
  push_policy(L, &child->core);
  int start = kept_place(child, KEPT_START);
  if (whole) set_start(L, kept, start, (int)child->arguments);
  byn_supervised_push_id(L, child);
  lua_setfield(L, -2, "id");
  lua_remove(L, kept);
}

void byn_supervised_push_packed(lua_State *L, int index) {
  byn_child c = {0};
  byn_policy policy;
  byn_policy_read(L, index, &policy);
  set_policy(&c, &policy);
  push_policy(L, &c);
  set_start(L, index, BYN_SPEC_START, policy.arguments);
  lua_rawgeti(L, index, BYN_SPEC_ID);
  if (lua_toboolean(L, -1))
    lua_setfield(L, -2, "id");
  else
    lua_pop(L, 1);
}
