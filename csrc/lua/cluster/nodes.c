/* What processes see of other nodes: connect, disconnect, monitor_nodes. */
#include "nodes.h"

#include <string.h>

#include "../../core/assert.h"
#include "../../core/wire/handshake.h"
#include "../value/compat.h"
#include "../value/misuse.h"
#include "../process/call.h"
#include "../process/lookup.h"
#include "../process/mailbox.h"
#include "../process/reap.h"
#include "../process/wait.h"

/* --- opening and closing -------------------------------------------------- */

void byn_nodes_open(lua_State *L, byn_cluster *c) {
  byn_assert(!c->waiting);
  lua_newtable(L);
  c->waiting = byn_slot_put(L, &c->node->world->slots);
}

void byn_nodes_close(lua_State *L, byn_cluster *c) {
  byn_slot_free(L, &c->node->world->slots, c->waiting);
}

/* --- to processes --------------------------------------------------------- */

/* Mails {tag=, node=, info={reason=}} to one process, if it does not end while
 * the message is made: a finalizer may run. */
static void mail_node_change(lua_State *L, byn_process *p, const char *tag,
                             const char *name, const char *reason) {
  byn_node *node = p->node;
  byn_id id = p->id;
  lua_createtable(L, 0, 3);
  lua_pushstring(L, tag);
  lua_setfield(L, -2, "tag");
  lua_pushstring(L, name);
  lua_setfield(L, -2, "node");
  lua_newtable(L);
  lua_pushstring(L, reason);
  lua_setfield(L, -2, "reason");
  lua_setfield(L, -2, "info");
  byn_mail *mail = byn_mail_new(L, node->world, BYN_MAIL_MESSAGE, NULL);
  p = byn_node_find(node, &id);
  if (p)
    byn_process_mail(L, p, mail);
  else
    byn_mail_free(L, node->world, mail);
}

/* The table may change in the loop: a finalizer may end and spawn processes. */
void byn_nodes_tell(lua_State *L, byn_cluster *c, const char *tag,
                    const char *name, const char *reason) {
  const byn_node *node = c->node;
  int top = lua_gettop(L);
  for (uint32_t i = 0; i < node->table_size; i++) {
    byn_process *p = node->table[i];
    if (p && p->watches_nodes) mail_node_change(L, p, tag, name, reason);
  }
  byn_assert(lua_gettop(L) == top);
}

void byn_nodes_answer(lua_State *L, byn_cluster *c, const char *name,
                      const char *reason) {
  int top = lua_gettop(L);
  luaL_checkstack(L, 10, NULL);
  byn_slot_push(L, c->waiting);
  if (lua_getfield(L, -1, name) == LUA_TTABLE) {
    for (int i = 1; lua_rawgeti(L, top + 2, i) != LUA_TNIL; i++) {
      byn_id ref = *byn_ref_at(L, -1);
      lua_pop(L, 1);
      if (reason)
        lua_pushnil(L), lua_pushstring(L, reason);
      else
        lua_pushboolean(L, 1);
      byn_reply(L, c->node, &ref, reason ? 2 : 1);
    }
    lua_pushnil(L);
    lua_setfield(L, top + 1, name);
  }
  lua_settop(L, top);
}

/* --- in Lua --------------------------------------------------------------- */

static byn_cluster *check_cluster_here(lua_State *L, const char *what) {
  byn_cluster *c = byn_node_here(L)->cluster;
  if (!c)
    byn_misuse(L,
               "%s: this node has no name, so it is not distributed; give "
               "banyan.run a name such as \"a@127.0.0.1:9101\"",
               what);
  return c;
}

static int l_node_name(lua_State *L) {
  lua_pushstring(L, byn_node_here(L)->name);
  return 1;
}

void byn_nodes_push(lua_State *L, const byn_cluster *c) {
  lua_newtable(L);
  uint32_t count = c ? byn_membership_up_count(c->membership) : 0;
  for (uint32_t i = 0; i < count; i++) {
    const char *name = byn_membership_up_name(c->membership, i);
    byn_assert(name);
    lua_pushstring(L, name);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
}

static int l_nodes(lua_State *L) {
  byn_nodes_push(L, byn_node_here(L)->cluster);
  return 1;
}

/* Adds the ref of a caller of connect to the list of the name at index 1. */
static void add_waiting(lua_State *L, byn_cluster *c, const byn_id *ref) {
  int top = lua_gettop(L);
  byn_slot_push(L, c->waiting);
  lua_pushvalue(L, 1);
  if (lua_rawget(L, -2) != LUA_TTABLE) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, 1);
    lua_pushvalue(L, -2);
    lua_rawset(L, -4);
  }
  byn_id_push(L, ref);
  lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
  lua_pop(L, 2);
  byn_assert(lua_gettop(L) == top);
}

/* connect(name [, timeout]) -> true | nil, err. Outside a process it only
 * makes the node known, to be dialled from now on. */
static int l_connect(lua_State *L) {
  byn_cluster *c = check_cluster_here(L, "connect");
  byn_expect_type(L, 1, LUA_TSTRING);
  const char *name = lua_tostring(L, 1);
  int64_t ms = byn_check_timeout(L, 2, 5000);
  byn_argument(L, byn_name_is_valid(name, strlen(name)), 1,
               "is not a node's name");
  byn_process *p = byn_world_here(L)->running;
  bool self = !strcmp(name, c->node->name);
  if (p) byn_process_check_wait(L, p);
  if (c->stopping) {
    lua_pushnil(L);
    lua_pushliteral(L, "shutdown");
    return 2;
  }
  if (!self && !byn_membership_add(c->membership, name, true, c->node->now))
    return luaL_error(L, "not enough memory");
  if (self || !p || byn_membership_is_up(c->membership, name)) {
    lua_pushboolean(L, 1);
    return 1;
  }
  byn_assert(!self && p->node == c->node);
  byn_id ref;
  byn_process_expect(p, &ref);
  add_waiting(L, c, &ref);
  return byn_process_wait(L, p, BYN_WAIT_REPLY, ms);
}

/* connecting() -> list of the names for which a caller of connect waits. */
static int l_connecting(lua_State *L) {
  byn_cluster *c = check_cluster_here(L, "connecting");
  byn_slot_push(L, c->waiting);
  int waiting = lua_gettop(L);
  lua_newtable(L);
  lua_pushnil(L);
  while (lua_next(L, waiting)) {
    lua_pop(L, 1);
    lua_pushvalue(L, -1);
    lua_rawseti(L, waiting + 1, (lua_Integer)lua_rawlen(L, waiting + 1) + 1);
  }
  return 1;
}

/* disconnect(name) -> true | nil, "not_connected" */
static int l_disconnect(lua_State *L) {
  byn_cluster *c = check_cluster_here(L, "disconnect");
  byn_expect_type(L, 1, LUA_TSTRING);
  const char *name = lua_tostring(L, 1);
  if (byn_membership_remove(c->membership, name)) {
    byn_cluster_act(L, c);
    byn_nodes_answer(L, c, name, "disconnected");
    lua_pushboolean(L, 1);
    return byn_process_leave(L, byn_world_here(L)->running, 1);
  }
  lua_pushnil(L);
  lua_pushliteral(L, "not_connected");
  return 2;
}

/* list_node(name, bool) -> true. It is dialled from now on as long as it is
 * listed; whether a program has it connected is another matter. */
static int l_list_node(lua_State *L) {
  byn_cluster *c = check_cluster_here(L, "list_node");
  const char *name = luaL_checkstring(L, 1);
  bool listed = lua_toboolean(L, 2);
  byn_argument(L, byn_name_is_valid(name, strlen(name)), 1,
               "is not a node's name");
  if (!c->stopping &&
      !byn_membership_list(c->membership, name, listed, c->node->now))
    return luaL_error(L, "not enough memory");
  lua_pushboolean(L, 1);
  return 1;
}

/* tell_address(name, text) -> true. Where the program says that node can be
 * dialled. */
static int l_tell_address(lua_State *L) {
  byn_cluster *c = check_cluster_here(L, "tell_address");
  const char *name = luaL_checkstring(L, 1);
  size_t n;
  const char *text = luaL_checklstring(L, 2, &n);
  byn_argument(L, byn_name_is_valid(name, strlen(name)), 1,
               "is not a node's name");
  byn_argument(L, byn_address_is_valid(text, n), 2, "is not an address");
  byn_addresses_tell(&c->given, name, text, BYN_ADDRESS_OWN);
  lua_pushboolean(L, 1);
  return 1;
}

/* monitor_nodes(bool) -> true */
static int l_monitor_nodes(lua_State *L) {
  byn_process *p = byn_process_here(L, "monitor_nodes");
  byn_expect_type(L, 1, LUA_TBOOLEAN);
  p->watches_nodes = lua_toboolean(L, 1);
  lua_pushboolean(L, 1);
  return 1;
}

void byn_nodes_functions(lua_State *L) {
  static const luaL_Reg functions[] = {{"node_name", l_node_name},
                                       {"nodes", l_nodes},
                                       {"connect", l_connect},
                                       {"connecting", l_connecting},
                                       {"disconnect", l_disconnect},
                                       {"list_node", l_list_node},
                                       {"tell_address", l_tell_address},
                                       {"monitor_nodes", l_monitor_nodes},
                                       {NULL, NULL}};
  byn_set_functions(L, functions);
}
