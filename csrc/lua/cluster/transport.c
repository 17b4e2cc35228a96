/* Transports: the connections of a cluster, as its driver knows them. */
#include "transport.h"

#include <string.h>

#include "../../core/assert.h"

#define LINGER_MS 1000 /* for each part of the last words to be taken */

/* --- lists ---------------------------------------------------------------- */

static void list_transport(byn_cluster *c, byn_transport *t) {
  byn_transport **list = t->peer ? &t->peer->transports : &c->strangers;
  byn_assert(!t->next && !t->previous);
  t->next = *list;
  if (*list) (*list)->previous = t;
  *list = t;
}

static void unlist_transport(byn_cluster *c, byn_transport *t) {
  byn_transport **list = t->peer ? &t->peer->transports : &c->strangers;
  *(t->previous ? &t->previous->next : list) = t->next;
  if (t->next) t->next->previous = t->previous;
  t->next = t->previous = NULL;
}

void byn_transport_activate(byn_cluster *c, byn_transport *t) {
  if (t->active) return;
  byn_assert(!t->next_active);
  t->active = true;
  *(c->last_active ? &c->last_active->next_active : &c->first_active) = t;
  c->last_active = t;
}

/* Takes the first one out of those that are active. */
static void deactivate(byn_cluster *c, byn_transport *t) {
  byn_assert(t->active && t == c->first_active);
  c->first_active = t->next_active;
  if (!c->first_active) c->last_active = NULL;
  t->next_active = NULL;
  t->active = false;
}

/* --- making and freeing --------------------------------------------------- */

byn_transport *byn_transport_new(byn_cluster *c) {
  byn_transport *t = byn_new(&c->node->world->alloc, sizeof *t);
  if (!t) return NULL;
  *t = (byn_transport){.number = ++c->last_transport};
  if (byn_map_put(&c->transports, t->number, t) &&
      byn_agenda_join(&c->agenda, &t->entry, BYN_DUE_TRANSPORT, t))
    return t;
  byn_transport_free(c, t);
  return NULL;
}

void byn_transport_add(byn_cluster *c, byn_transport *t) {
  byn_assert(t->connection && byn_transport_number(c, t->number) == t);
  list_transport(c, t);
  byn_transport_activate(c, t);
}

void byn_transport_join(byn_cluster *c, byn_transport *t, byn_peer *peer) {
  byn_assert(!t->peer && peer->link);
  unlist_transport(c, t);
  t->peer = peer;
  list_transport(c, t);
}

void byn_transport_free(byn_cluster *c, byn_transport *t) {
  byn_assert(!t->claimant && !t->active && !t->next && !t->previous);
  if (byn_map_get(&c->transports, t->number) == t)
    byn_map_remove(&c->transports, t->number);
  byn_agenda_leave(&c->agenda, &t->entry);
  byn_connection_free(t->connection);
  byn_free(&c->node->world->alloc, t, sizeof *t);
}

static void close_list(byn_cluster *c, byn_transport **list) {
  while (*list) {
    byn_transport *t = *list;
    unlist_transport(c, t);
    byn_transport_free(c, t);
  }
}

void byn_transports_close(byn_cluster *c) {
  while (c->first_active)
    deactivate(c, c->first_active);
  for (byn_peer *p = c->peers; p; p = p->next)
    close_list(c, &p->transports);
  close_list(c, &c->strangers);
}

byn_transport *byn_transport_number(const byn_cluster *c, uint32_t number) {
  return byn_map_get(&c->transports, number);
}

const char *byn_transport_address_of(const byn_cluster *c, uint32_t link) {
  const byn_peer *peer = byn_peer_number(c, link);
  const char *dialled = peer ? strchr(peer->name, '@') : NULL;
  const byn_transport *t = peer ? peer->transports : NULL;
  for (; t; t = t->next) {
    if (!byn_link_uses(peer->link, t->connection)) continue;
    if (t->address[0]) return t->address;
    if (t->dialled) return dialled ? dialled + 1 : "";
  }
  return "";
}

/* At an address may be somebody else than whom the dial meant. */
void byn_transport_dialled(byn_cluster *c, byn_transport *t,
                           const char *address) {
  byn_copy_printable(t->address, BYN_TRANSPORT_ADDRESS_MAX, address,
                     strlen(address));
  if (!*address || !t->peer) return;
  byn_addresses_doubt(byn_cluster_addresses(c, t->peer->name), t->peer->name);
}

int byn_transport_strangers(const byn_cluster *c) {
  int count = 0;
  for (const byn_transport *t = c->strangers; t; t = t->next)
    count += !byn_connection_is_ended(t->connection);
  return count;
}

/* --- what is due ---------------------------------------------------------- */

void byn_transport_wrote(byn_cluster *c, byn_transport *t, size_t n) {
  byn_connection_wrote(t->connection, n);
  t->linger_by = c->node->now + LINGER_MS;
  byn_transport_activate(c, t);
}

/* Is it at its end, with nobody to hear of it any more? */
static bool transport_has_ended(const byn_transport *t) {
  return byn_connection_is_ended(t->connection) &&
         !(t->peer && byn_link_uses(t->peer->link, t->connection));
}

int64_t byn_transport_due(const byn_transport *t) {
  if (transport_has_ended(t) && byn_connection_queued(t->connection))
    return t->linger_by;
  return t->peer ? BYN_NEVER : byn_connection_deadline(t->connection);
}

/* --- actions -------------------------------------------------------------- */

static void push_own_word(lua_State *L, const byn_cluster *c,
                          const char *name) {
  const char *own = byn_addresses_own(&c->addresses, name);
  lua_pushstring(L, own ? own : "");
}

/* Pushes the values of a dial: see seam.h. */
static int push_dial(lua_State *L, byn_cluster *c, const byn_transport *t) {
  const byn_peer *peer = t->peer;
  bool doubted, resumes = byn_link_is_up(peer->link);
  const char *address = byn_addresses_to_dial(
      byn_cluster_addresses(c, peer->name), peer->name, resumes, &doubted);
  lua_pushliteral(L, "dial");
  lua_pushinteger(L, t->number);
  lua_pushstring(L, peer->name);
  if (!address) return 3;
  lua_pushstring(L, address);
  if (resumes)
    push_own_word(L, c, peer->name);
  else
    lua_pushnil(L);
  lua_pushboolean(L, doubted);
  return 6;
}

/* Pushes what this one wants of the driver; 0 if nothing. */
static int transport_action(lua_State *L, byn_cluster *c, byn_transport *t) {
  const uint8_t *bytes;
  if (!t->opened) {
    t->opened = true;
    t->gone = byn_connection_is_ended(t->connection);
    if (t->gone) return 0;
    return push_dial(L, c, t);
  }
  size_t n = t->gone ? 0 : byn_connection_output(t->connection, &bytes);
  if (!n) return 0;
  lua_pushliteral(L, "write");
  lua_pushinteger(L, t->number);
  lua_pushlstring(L, (const char *)bytes, n);
  return 3;
}

/* Is there nothing more to do for it? */
static bool transport_is_over(const byn_cluster *c, byn_transport *t) {
  int64_t now = c->node->now;
  if (!transport_has_ended(t)) return false;
  if (t->gone || !byn_connection_queued(t->connection)) return true;
  if (!t->linger_by) t->linger_by = now + LINGER_MS;
  return now >= t->linger_by;
}

/* Closes one that is over: pushes that, unless the driver knows it. */
static int close_transport(lua_State *L, byn_cluster *c, byn_transport *t) {
  lua_pushliteral(L, "close");
  lua_pushinteger(L, t->number);
  bool gone = t->gone;
  byn_peer *peer = t->peer;
  deactivate(c, t);
  unlist_transport(c, t);
  byn_transport_free(c, t);
  if (peer) byn_cluster_settle_peer(c, peer);
  if (gone) lua_pop(L, 2);
  return gone ? 0 : 2;
}

/* There is nothing more to ask of it for now. What it has written may have
 * changed when its link is due. */
static void rest_transport(byn_cluster *c, byn_transport *t) {
  deactivate(c, t);
  byn_agenda_set(&c->agenda, &t->entry, byn_transport_due(t));
  if (t->peer) byn_cluster_settle_peer(c, t->peer);
}

int byn_transport_action(lua_State *L, byn_cluster *c) {
  int pushed = 0;
  luaL_checkstack(L, 8, NULL);
  byn_cluster_settle(c);
  while (!pushed && c->first_active) {
    byn_transport *t = c->first_active;
    byn_connection_tell_time(t->connection, c->node->now);
    pushed = transport_action(L, c, t);
    if (pushed) break;
    if (transport_is_over(c, t))
      pushed = close_transport(L, c, t);
    else
      rest_transport(c, t);
  }
  return pushed;
}
