/* Destinations: whom a pid, a name or {name=, node=} stands for. */
#include "dest.h"

#include <string.h>

#include "../../core/assert.h"
#include "../value/compat.h"
#include "../value/misuse.h"
#include "lookup.h"

#define REMOTE_NAME_MAX 255 /* bytes: any signal to a name fits a message */

static void dest_unknown(byn_dest *dest, const char *error) {
  dest->kind = BYN_DEST_UNKNOWN;
  dest->error = error;
}

static void dest_pid(byn_node *node, const byn_id *id, byn_dest *dest) {
  dest->id = *id;
  dest->origin = id->origin;
  if (id->origin != node->origin) {
    dest->kind = BYN_DEST_REMOTE;
    if (!byn_node_reaches(node, id->origin))
      dest_unknown(dest, byn_node_absence(node, id->origin));
    return;
  }
  dest->process = byn_node_find(node, id);
  dest->kind = dest->process ? BYN_DEST_LOCAL : BYN_DEST_DEAD;
}

static void dest_name(lua_State *L, byn_node *node, int index, byn_dest *dest) {
  dest->process = byn_node_named(L, node, index);
  dest->kind = BYN_DEST_LOCAL;
  if (dest->process)
    dest->id = dest->process->id;
  else
    dest_unknown(dest, "noproc");
}

/* {name=, node=}: the name is on top, the node's name below it. */
static void dest_far(lua_State *L, byn_node *node, byn_dest *dest) {
  const char *where = lua_tostring(L, -2);
  if (node->name && !strcmp(where, node->name)) {
    dest_name(L, node, lua_gettop(L), dest);
    return;
  }
  byn_origin *origin = node->remote ? node->remote->named(node, where) : NULL;
  if (!origin) {
    dest_unknown(dest, "noconnection");
    return;
  }
  if (lua_rawlen(L, -1) > REMOTE_NAME_MAX)
    luaL_error(L, "a name on another node has at most %d bytes",
               REMOTE_NAME_MAX);
  dest->kind = BYN_DEST_REMOTE;
  dest->origin = origin;
  dest->id = (byn_id){.origin = origin, .kind = BYN_PID};
  dest->name = lua_gettop(L);
}

void byn_dest_resolve(lua_State *L, byn_node *node, byn_dest *dest) {
  byn_assert(dest->child);
  byn_slot_push(L, node->world->distributed.resolve);
  lua_pushvalue(L, dest->value);
  lua_call(L, 1, 1);
  const byn_id *id = byn_pid_at(L, -1);
  if (id)
    dest_pid(node, id, dest);
  else
    dest_unknown(dest, "noproc");
}

static void dest_table(lua_State *L, byn_node *node, int index,
                       const char *what, byn_dest *dest) {
  lua_getfield(L, index, "node");
  lua_getfield(L, index, "name");
  if (lua_type(L, -1) == LUA_TSTRING && lua_type(L, -2) == LUA_TSTRING) {
    dest_far(L, node, dest);
    return;
  }
  lua_pop(L, 2);
  if (!node->world->distributed.resolve ||
      lua_getfield(L, index, "supervisor") == LUA_TNIL)
    byn_misuse(L,
               "%s: the destination is a table without name= and node=", what);
  lua_pop(L, 1);
  dest->child = true; /* {supervisor=, id=} */
  dest->value = index;
}

int byn_dest_keep(lua_State *L, byn_node *node, byn_dest *dest,
                  const char *kind, int index) {
  index = lua_absindex(L, index);
  byn_assert(dest->child);
  byn_slot_push(L, node->world->distributed.keep);
  lua_pushvalue(L, dest->value);
  lua_pushstring(L, kind);
  lua_pushvalue(L, index);
  lua_call(L, 3, 2);
  const byn_id *id = byn_pid_at(L, -2);
  if (!id) return 2;
  dest_pid(node, id, dest);
  return 0; /* the pid stays, as long as `dest` is in use */
}

/* Does it say what its kind promises? */
static inline bool dest_sound(const byn_node *node, const byn_dest *dest) {
  switch (dest->kind) {
  case BYN_DEST_LOCAL:
    return byn_id_equal(&dest->process->id, &dest->id);
  case BYN_DEST_REMOTE:
    return dest->origin != node->origin && (dest->id.serial || dest->name);
  case BYN_DEST_DEAD:
    return dest->id.origin == node->origin;
  default:
    return dest->error != NULL;
  }
}

void byn_dest_at(lua_State *L, byn_node *node, int index, const char *what,
                 byn_dest *dest) {
  byn_dest_unresolved_at(L, node, index, what, dest);
  if (dest->child) byn_dest_resolve(L, node, dest);
  byn_assert(dest_sound(node, dest));
}

void byn_dest_unresolved_at(lua_State *L, byn_node *node, int index,
                            const char *what, byn_dest *dest) {
  index = lua_absindex(L, index);
  *dest = (byn_dest){.kind = BYN_DEST_UNKNOWN, .error = "noproc"};
  const byn_id *id = byn_pid_at(L, index);
  if (id)
    dest_pid(node, id, dest);
  else if (lua_type(L, index) == LUA_TSTRING)
    dest_name(L, node, index, dest);
  else if (lua_type(L, index) == LUA_TTABLE)
    dest_table(L, node, index, what, dest);
  else
    byn_misuse(L,
               "%s: the destination must be a pid, a name or "
               "{name=, node=}, not %s",
               what, luaL_typename(L, index));
  byn_assert(dest_sound(node, dest));
}
