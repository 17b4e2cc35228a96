/* The process groups of a node, for Lua. */
#include "groups.h"

#include <string.h>

#include "../../core/dist/groups.h"
#include "../process/kept.h"
#include "../process/lookup.h"
#include "../process/node.h"
#include "../value/id.h"
#include "../value/world.h"
#include "cluster.h"
#include "dist.h"
#include "dist_value.h"

#define TYPE "banyan.groups"
#define PACKET_MOST 65536
#define MESSAGE_ROOM 1024 /* of max_message, for what a packet travels in */

/* The node keeps it, by name: process/kept.h. */
typedef struct groups_box {
  byn_groups *g;      /* NULL before it is made and after __gc */
  byn_origin *origin; /* its node's */
  lua_State *L;       /* in receive: of the caller */
} groups_box;

static byn_groups *groups_at(lua_State *L) {
  groups_box *box = luaL_checkudata(L, 1, TYPE);
  byn_node *node = box->g ? box->origin->node : NULL;
  luaL_argcheck(L, node != NULL, 1, "its node is closed");
  byn_node_now(L, node);
  byn_groups_time(box->g, node->now);
  return box->g;
}

static const byn_groups *view_at(lua_State *L) {
  const groups_box *box = luaL_checkudata(L, 1, TYPE);
  luaL_argcheck(L, box->g != NULL, 1, "its node is closed");
  return box->g;
}

/* --- what another node wrote ---------------------------------------------- */

static bool check_key(void *ud, byn_dist_bytes key, uint64_t *hash) {
  const groups_box *box = ud;
  byn_dist_id id;
  luaL_checkstack(box->L, 8, NULL);
  if (!byn_dist_key(box->L, key, &id)) return false;
  *hash = id.hash;
  return true;
}

static bool check_pid(void *ud, byn_dist_bytes pid, const char *node) {
  const groups_box *box = ud;
  lua_State *L = box->L;
  if (!byn_dist_value_is(L, BYN_DIST_CONTENT_PID, pid, 0)) return false;
  byn_dist_push_decoded(L, pid);
  const byn_id *id = byn_pid_at(L, -1);
  bool sound = id && strcmp(id->origin->name, node) == 0;
  lua_pop(L, 1);
  return sound;
}

/* --- values --------------------------------------------------------------- */

static byn_dist_bytes push_pid(lua_State *L, int index) {
  luaL_argexpected(L, byn_pid_at(L, index), index, "pid");
  return byn_dist_push_bytes(L, index);
}

/* Appends a value to the list below the top, if this Lua can have it. */
static void append(lua_State *L, byn_dist_bytes bytes, lua_Integer *n) {
  bool found = byn_dist_push_decoded(L, bytes);
  if (found)
    lua_rawseti(L, -2, ++*n);
  else
    lua_pop(L, 1);
}

/* --- the node keeps it ---------------------------------------------------- */

static byn_groups *make_groups(byn_node *node, groups_box *box,
                               const char *name) {
  byn_groups_config c = {.alloc = node->world->alloc,
                         .node = name,
                         .max_packet = PACKET_MOST,
                         .check_key = check_key,
                         .check_pid = check_pid,
                         .ud = box};
  if (node->cluster) {
    size_t most = node->cluster->config.max_message;
    most = most > MESSAGE_ROOM ? most - MESSAGE_ROOM : 1;
    if (most < c.max_packet) c.max_packet = most;
  }
  return byn_groups_new(&c);
}

/* open(name, node) */
static int l_open(lua_State *L) {
  byn_node *node = byn_node_here(L);
  luaL_checkstring(L, 1);
  const char *own = luaL_checkstring(L, 2);
  lua_settop(L, 2);
  byn_kept_push_field(L, node, "groups");
  lua_pushvalue(L, 1);
  if (lua_rawget(L, 3) != LUA_TNIL) {
    lua_pushboolean(L, false);
    return 2;
  }
  lua_pop(L, 1);
  groups_box *box = lua_newuserdatauv(L, sizeof *box, 0);
  *box = (groups_box){.origin = node->origin};
  luaL_setmetatable(L, TYPE);
  box->g = make_groups(node, box, own);
  if (!box->g) return luaL_error(L, "not enough memory");
  node->origin->uses++;
  lua_pushvalue(L, 1);
  lua_pushvalue(L, 4);
  lua_rawset(L, 3);
  lua_pushboolean(L, true);
  return 2;
}

/* close(name): the node forgets them. */
static int l_close(lua_State *L) {
  luaL_checkudata(L, 1, TYPE);
  luaL_checkstring(L, 2);
  byn_kept_forget(L, byn_node_here(L), "groups");
  return 0;
}

static int l_gc(lua_State *L) {
  groups_box *box = luaL_checkudata(L, 1, TYPE);
  if (!box->g) return 0;
  byn_groups_free(box->g);
  box->g = NULL;
  box->origin->uses--;
  return 0;
}

/* --- inputs --------------------------------------------------------------- */

static int l_attach(lua_State *L) {
  byn_groups_attach(groups_at(L));
  return 0;
}

static int l_watch(lua_State *L) {
  byn_groups_watch(groups_at(L), lua_toboolean(L, 2));
  return 0;
}

/* join(group, pid): raises where memory is short */
static int l_join(lua_State *L) {
  byn_groups *g = groups_at(L);
  byn_dist_id id = byn_dist_push_key(L, 2);
  byn_dist_bytes pid = push_pid(L, 3);
  if (!byn_groups_join(g, &id, pid)) return luaL_error(L, "not enough memory");
  return 0;
}

/* leave(group, pid) -> had it joined? */
static int l_leave(lua_State *L) {
  byn_groups *g = groups_at(L);
  byn_dist_id id = byn_dist_push_key(L, 2);
  byn_dist_bytes pid = push_pid(L, 3);
  lua_pushboolean(L, byn_groups_leave(g, &id, pid));
  return 1;
}

static int l_exited(lua_State *L) {
  byn_groups *g = groups_at(L);
  byn_groups_exited(g, push_pid(L, 2));
  return 0;
}

/* node_up(node) -> true | false: it is to be told of again */
static int l_node_up(lua_State *L) {
  byn_groups *g = groups_at(L);
  lua_pushboolean(L, byn_groups_node_up(g, luaL_checkstring(L, 2)));
  return 1;
}

static int l_node_down(lua_State *L) {
  byn_groups_node_down(groups_at(L), luaL_checkstring(L, 2));
  return 0;
}

static int l_peer_away(lua_State *L) {
  byn_groups_peer_away(groups_at(L), luaL_checkstring(L, 2));
  return 0;
}

/* receive(from, bytes) -> true | false: it is refused */
static int l_receive(lua_State *L) {
  byn_groups *g = groups_at(L);
  const char *from = luaL_checkstring(L, 2);
  size_t n;
  const char *bytes = luaL_checklstring(L, 3, &n);
  ((groups_box *)lua_touserdata(L, 1))->L = L;
  lua_pushboolean(L, byn_groups_receive(g, from, (const uint8_t *)bytes, n));
  return 1;
}

/* --- outputs -------------------------------------------------------------- */

static void push_pids(lua_State *L, byn_dist_bytes pids) {
  byn_reader r;
  lua_Integer n = 0;
  byn_reader_init(&r, pids.at, pids.n);
  lua_newtable(L);
  while (byn_reader_left(&r) > 0) {
    byn_dist_bytes pid;
    pid.at = byn_get_string(&r, &pid.n);
    append(L, pid, &n);
  }
}

static int l_next(lua_State *L) {
  byn_groups *g = groups_at(L);
  byn_groups_action a;
  luaL_checkstack(L, 8, NULL);
  while (byn_groups_next(g, &a)) {
    if (a.kind == BYN_GROUPS_SEND) {
      lua_pushliteral(L, "send");
      lua_pushstring(L, a.node);
      lua_pushlstring(L, (const char *)a.bytes.at, a.bytes.n);
      return 3;
    }
    lua_pushstring(L, a.kind == BYN_GROUPS_JOIN ? "join" : "leave");
    if (byn_dist_push_decoded(L, a.key)) {
      push_pids(L, a.pids);
      return 3;
    }
    lua_pop(L, 2); /* this Lua cannot have that group */
  }
  return 0;
}

static int l_tick(lua_State *L) {
  const byn_groups *g = groups_at(L);
  int64_t now = byn_node_here(L)->now, at = byn_groups_deadline(g);
  if (at == BYN_NEVER) return 0;
  lua_pushinteger(L, at > now ? at - now : 0);
  return 1;
}

/* --- questions ------------------------------------------------------------ */

/* members(group, local) */
static int l_members(lua_State *L) {
  const byn_joined *j = byn_groups_joined(view_at(L));
  bool local = lua_toboolean(L, 3);
  byn_dist_id id = byn_dist_push_key(L, 2);
  const byn_group *group = byn_joined_find(j, &id);
  lua_Integer n = 0;
  luaL_checkstack(L, 8, NULL);
  lua_createtable(L, group ? (int)(local ? group->here : group->count) : 0, 0);
  const byn_membership *m = group ? group->first : NULL;
  for (; m; m = m->after) {
    if (m->times == 0 || (local && !m->pid->host->self)) continue;
    append(L, m->pid->bytes, &n);
    for (uint32_t i = 1; i < m->times; i++) {
      lua_rawgeti(L, -1, n);
      lua_rawseti(L, -2, ++n);
    }
  }
  return 1;
}

/* targets(group) */
static int l_targets(lua_State *L) {
  const byn_joined *j = byn_groups_joined(view_at(L));
  byn_dist_id id = byn_dist_push_key(L, 2);
  const byn_group *group = byn_joined_find(j, &id);
  lua_Integer n = 0;
  luaL_checkstack(L, 8, NULL);
  lua_newtable(L);
  lua_newtable(L);
  const byn_membership *m = group ? group->first : NULL;
  for (; m; m = m->after) {
    if (m->times == 0) continue;
    const char *node = byn_groups_node_of(m->pid);
    if (node) {
      lua_getfield(L, -1, node);
      lua_Integer count = lua_tointeger(L, -1);
      lua_pop(L, 1);
      lua_pushinteger(L, count + 1);
      lua_setfield(L, -2, node);
    } else {
      lua_insert(L, -2);
      append(L, m->pid->bytes, &n);
      lua_insert(L, -2);
    }
  }
  return 2;
}

static int l_names(lua_State *L) {
  const byn_joined *j = byn_groups_joined(view_at(L));
  byn_map_entry entry;
  lua_Integer n = 0;
  luaL_checkstack(L, 8, NULL);
  lua_createtable(L, (int)j->count, 0);
  for (uint32_t cursor = 0; byn_map_next(&j->groups, &cursor, &entry);)
    for (const byn_group *one = entry.value; one; one = one->same)
      if (one->count > 0)
        append(L, (byn_dist_bytes){one->key.at, one->key.n}, &n);
  return 1;
}

static int l_pids(lua_State *L) {
  lua_Integer n = 0;
  luaL_checkstack(L, 8, NULL);
  lua_newtable(L);
  const byn_group_pid *p = byn_groups_self(view_at(L))->first;
  for (; p; p = p->after)
    append(L, p->bytes, &n);
  return 1;
}

/* times(group, pid) -> times, most */
static int l_times(lua_State *L) {
  const byn_joined *j = byn_groups_joined(view_at(L));
  byn_dist_id id = byn_dist_push_key(L, 2);
  lua_pushinteger(L, byn_joined_times(j, &id, push_pid(L, 3)));
  lua_pushinteger(L, BYN_JOINED_MOST);
  return 2;
}

/* Is the process, of this node, in some group? */
static int l_is_member(lua_State *L) {
  const byn_joined *j = byn_groups_joined(view_at(L));
  const byn_group_pid *p = byn_joined_pid(j, push_pid(L, 2));
  const byn_membership *m = p ? p->first : NULL;
  while (m && m->times == 0)
    m = m->pid_next;
  lua_pushboolean(L, m != NULL);
  return 1;
}

static int l_count(lua_State *L) {
  lua_pushinteger(L, byn_groups_joined(view_at(L))->count);
  return 1;
}

static int l_is_told(lua_State *L) {
  lua_pushboolean(L, byn_groups_is_told(view_at(L), luaL_checkstring(L, 2)));
  return 1;
}

static const luaL_Reg methods[] = {{"attach", l_attach},
                                   {"close", l_close},
                                   {"watch", l_watch},
                                   {"join", l_join},
                                   {"leave", l_leave},
                                   {"exited", l_exited},
                                   {"node_up", l_node_up},
                                   {"node_down", l_node_down},
                                   {"peer_away", l_peer_away},
                                   {"receive", l_receive},
                                   {"next", l_next},
                                   {"tick", l_tick},
                                   {"members", l_members},
                                   {"targets", l_targets},
                                   {"names", l_names},
                                   {"pids", l_pids},
                                   {"times", l_times},
                                   {"count", l_count},
                                   {"is_told", l_is_told},
                                   {"is_member", l_is_member},
                                   {NULL, NULL}};

static const luaL_Reg functions[] = {{"open", l_open}, {NULL, NULL}};

void byn_groups_functions(lua_State *L) {
  if (luaL_newmetatable(L, TYPE)) {
    lua_pushcfunction(L, l_gc);
    lua_setfield(L, -2, "__gc");
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
  }
  lua_pop(L, 1);
  luaL_newlib(L, functions);
}
