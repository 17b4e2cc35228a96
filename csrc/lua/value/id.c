/* Pids and refs: origins, and ids interned in a weak table of each. */
#include "id.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../../core/assert.h"
#include "../../core/wire/buffer.h"
#include "compat.h"
#include "world.h"

/* The addresses of these are registry keys. Each origin has a copy of PID_META
 * for its pids, and one of REF_META for its refs. METAS maps these copies to
 * their origins, and its keys are weak: a copy is there as long as an id has
 * it, also an id that only a finalizer has brought back, which the weak table
 * of ids has lost by then. So METAS says whether an origin still has ids. */
static const char PID_META = 0, REF_META = 0, METAS = 0;

static const void *meta_key(uint32_t kind) {
  return kind == BYN_PID ? &PID_META : &REF_META;
}

/* --- origins -------------------------------------------------------------- */

static void free_origin(lua_State *L, byn_world *w, byn_origin *o) {
  luaL_unref(L, LUA_REGISTRYINDEX, o->ids);
  byn_free(&w->alloc, o->name, strlen(o->name) + 1);
  byn_free(&w->alloc, o, sizeof *o);
}

/* Pushes a table whose keys ("k") or values ("v") do not keep what they refer
 * to alive. */
static void push_weak_table(lua_State *L, const char *mode) {
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushstring(L, mode);
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
}

static byn_origin *make_origin(lua_State *L, byn_world *w, const char *name,
                               uint64_t incarnation) {
  size_t size = strlen(name) + 1;
  push_weak_table(L, "v");
  int ids = luaL_ref(L, LUA_REGISTRYINDEX);
  byn_origin *o = byn_new(&w->alloc, sizeof *o);
  char *copy = byn_new(&w->alloc, size);
  if (!o || !copy) {
    byn_free(&w->alloc, o, sizeof *o);
    byn_free(&w->alloc, copy, size);
    luaL_unref(L, LUA_REGISTRYINDEX, ids);
    luaL_error(L, "not enough memory");
  }
  memcpy(copy, name, size);
  *o = (byn_origin){
      .next = w->origins, .name = copy, .incarnation = incarnation, .ids = ids};
  w->origins = o;
  w->origin_count++;
  return o;
}

/* The origin found last is put first: messages name few, again and again. */
static byn_origin *find_origin(byn_world *w, const char *name,
                               uint64_t incarnation) {
  byn_origin **at = &w->origins;
  for (byn_origin *o; (o = *at) != NULL; at = &o->next) {
    if (o->incarnation != incarnation || o->retired || strcmp(o->name, name))
      continue;
    *at = o->next;
    o->next = w->origins;
    return w->origins = o;
  }
  return NULL;
}

byn_origin *byn_origin_get(lua_State *L, byn_world *w, const char *name,
                           uint64_t incarnation) {
  byn_origin *o = find_origin(w, name, incarnation);
  return o ? o : make_origin(L, w, name, incarnation);
}

byn_origin *byn_origin_heard(lua_State *L, byn_world *w, const char *name,
                             uint64_t incarnation) {
  byn_origin *o = find_origin(w, name, incarnation);
  if (o || w->origin_count >= BYN_ORIGINS_MAX) return o;
  return make_origin(L, w, name, incarnation);
}

byn_origin *byn_origin_begin(lua_State *L, byn_world *w, const char *name,
                             uint64_t incarnation) {
  if (w->origin_count >= w->origins_many) byn_origins_prune(L, w);
  byn_origin *old = find_origin(w, name, incarnation);
  if (old && old->node) return NULL;
  byn_origin *o = make_origin(L, w, name, incarnation);
  if (old) old->retired = true;
  o->ours = true;
  return o;
}

/* Finds out which origins have ids. */
static void look_for_ids(lua_State *L, byn_world *w) {
  for (byn_origin *o = w->origins; o; o = o->next)
    o->has_ids = false;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &METAS);
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
    ((byn_origin *)lua_touserdata(L, -1))->has_ids = true;
  lua_pop(L, 1);
}

void byn_origins_prune(lua_State *L, byn_world *w) {
  byn_origin **at = &w->origins;
  look_for_ids(L, w);
  while (*at) {
    byn_origin *o = *at;
    if (o->node || o->uses || o->has_ids) {
      at = &o->next;
    } else {
      *at = o->next;
      free_origin(L, w, o);
      w->origin_count--;
    }
  }
  w->origins_many = 2 * w->origin_count + 64;
}

void byn_origins_close(lua_State *L, byn_world *w) {
  while (w->origins) {
    byn_origin *o = w->origins;
    w->origins = o->next;
    free_origin(L, w, o);
  }
}

/* --- ids ------------------------------------------------------------------ */

/* Copies the fields of the table on top, popped, to the one below it. */
static void copy_fields(lua_State *L) {
  for (lua_pushnil(L); lua_next(L, -2);) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, -5);
  }
  lua_pop(L, 1);
}

/* The keys of the metatables stand before those of the ids: in the array part
 * of the table they are found at once. */
static lua_Integer key_of(const byn_id *id) {
  return (lua_Integer)id->serial + BYN_ID_KINDS;
}

/* Puts a metatable for ids of that kind in place of the nil on top. */
static void make_meta(lua_State *L, byn_origin *o, uint32_t kind, int ids) {
  lua_pop(L, 1);
  lua_createtable(L, 0, 4);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &METAS);
  lua_pushvalue(L, -2);
  lua_pushlightuserdata(L, o);
  lua_rawset(L, -3);
  lua_pop(L, 1);
  lua_rawgetp(L, LUA_REGISTRYINDEX, meta_key(kind));
  copy_fields(L);
  lua_pushvalue(L, -1);
  lua_rawseti(L, ids, kind);
}

/* Pushes a userdata for `id`, made anew unless the table of ids on top has one
 * by then: to make one may collect garbage, and a finalizer may make the same
 * meanwhile, or free what `id` points to. */
static void intern(lua_State *L, byn_id id) {
  byn_assert(id.origin && (id.kind == BYN_PID || id.kind == BYN_REF));
  int ids = lua_gettop(L);
  luaL_checkstack(L, 8, NULL);
  byn_id *made = lua_newuserdatauv(L, BYN_ID_SIZE, 0);
  *made = id;
  made->mark = byn_id_mark(made);
  if (lua_rawgeti(L, ids, id.kind) == LUA_TNIL)
    make_meta(L, id.origin, id.kind, ids);
  lua_setmetatable(L, -2);
  if (lua_rawgeti(L, ids, key_of(&id)) != LUA_TNIL) {
    lua_replace(L, -2);
    return;
  }
  lua_pop(L, 1);
  lua_pushvalue(L, -1);
  lua_rawseti(L, ids, key_of(&id));
}

void byn_id_push(lua_State *L, const byn_id *id) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, id->origin->ids);
  if (lua_rawgeti(L, -1, key_of(id)) == LUA_TNIL) {
    lua_pop(L, 1);
    intern(L, *id);
  }
  lua_replace(L, -2);
}

void byn_id_push_first(lua_State *L, const byn_id *id) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, id->origin->ids);
  intern(L, *id);
  lua_replace(L, -2);
}

const byn_id *byn_pid_at(lua_State *L, int index) {
  const byn_id *id = byn_id_at(L, index);
  return id && id->kind == BYN_PID ? id : NULL;
}

const byn_id *byn_ref_at(lua_State *L, int index) {
  const byn_id *id = byn_id_at(L, index);
  return id && id->kind == BYN_REF ? id : NULL;
}

static void put_bytes(uint8_t *out, size_t *n, uint64_t v, int bytes) {
  while (bytes--)
    out[(*n)++] = (uint8_t)(v >> (8 * bytes));
}

bool byn_id_key(lua_State *L, int index, uint8_t *out, size_t *n) {
  const byn_id *id = byn_id_at(L, index);
  if (!id) return false;
  size_t length = strlen(id->origin->name);
  *n = 0;
  put_bytes(out, n, id->kind, 1);
  put_bytes(out, n, length, 2);
  memcpy(out + *n, id->origin->name, length);
  *n += length;
  put_bytes(out, n, id->origin->incarnation, 8);
  put_bytes(out, n, id->serial, 8);
  return true;
}

/* --- metatables ----------------------------------------------------------- */

static int id_tostring(lua_State *L) {
  const byn_id *id = byn_id_at(L, 1);
  if (!id) return luaL_error(L, "not a pid or ref");
  char serial[24];
  snprintf(serial, sizeof serial, "%" PRIu64, id->serial);
  if (id->kind == BYN_PID)
    lua_pushfstring(L, "pid<%s %d.%s>", id->origin->name, (int)id->index,
                    serial);
  else
    lua_pushfstring(L, "ref<%s %s>", id->origin->name, serial);
  return 1;
}

static void open_meta(lua_State *L, const char *name, const void *key) {
  lua_createtable(L, 0, 4);
  lua_pushstring(L, name);
  lua_setfield(L, -2, "__name");
  lua_pushcfunction(L, id_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_newtable(L);
  lua_setfield(L, -2, "__index");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_rawsetp(L, LUA_REGISTRYINDEX, key);
}

void byn_id_open(lua_State *L) {
  push_weak_table(L, "k");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &METAS);
  open_meta(L, "pid", &PID_META);
  open_meta(L, "ref", &REF_META);
}

void byn_pid_methods(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &PID_META);
  lua_getfield(L, -1, "__index");
  lua_replace(L, -2);
}
