/* Transports: the connections of a cluster, as its driver knows them. */
#include "transport.h"

#include "../../core/assert.h"

#define LINGER_MS 1000 /* for each part of the last words to be taken */

byn_transport *byn_transport_new(byn_cluster *c) {
  byn_transport *t = byn_new(&c->node->world->alloc, sizeof *t);
  if (t) *t = (byn_transport){.number = ++c->last_transport};
  return t;
}

void byn_transport_add(byn_cluster *c, byn_transport *t) {
  byn_assert(t->connection && !byn_transport_number(c, t->number));
  t->next = c->transports;
  c->transports = t;
}

void byn_transport_free(byn_cluster *c, byn_transport *t) {
  byn_assert(!t->claimant);
  byn_connection_free(t->connection);
  byn_free(&c->node->world->alloc, t, sizeof *t);
}

void byn_transports_close(byn_cluster *c) {
  while (c->transports) {
    byn_transport *t = c->transports;
    c->transports = t->next;
    byn_transport_free(c, t);
  }
}

byn_transport *byn_transport_number(const byn_cluster *c, uint32_t number) {
  for (byn_transport *t = c->transports; t; t = t->next)
    if (t->number == number) return t;
  return NULL;
}

byn_transport *byn_transport_of(const byn_cluster *c, const byn_peer *peer) {
  for (byn_transport *t = c->transports; t; t = t->next)
    if (t->peer == peer) return t;
  return NULL;
}

int byn_transport_strangers(const byn_cluster *c) {
  int count = 0;
  for (const byn_transport *t = c->transports; t; t = t->next)
    count += !t->peer && !byn_connection_is_ended(t->connection);
  return count;
}

void byn_transport_wrote(byn_cluster *c, byn_transport *t, size_t n) {
  byn_connection_wrote(t->connection, n);
  t->linger_by = c->node->now + LINGER_MS;
}

/* Is it at its end, with nobody to hear of it any more? */
static bool transport_has_ended(const byn_transport *t) {
  return byn_connection_is_ended(t->connection) &&
         !(t->peer && byn_link_uses(t->peer->link, t->connection));
}

int64_t byn_transport_deadline(const byn_cluster *c) {
  int64_t next = BYN_NEVER;
  for (const byn_transport *t = c->transports; t; t = t->next) {
    int64_t at = t->peer ? BYN_NEVER : byn_connection_deadline(t->connection);
    if (transport_has_ended(t) && byn_connection_queued(t->connection))
      at = t->linger_by;
    if (at < next) next = at;
  }
  return next;
}

/* Pushes what this one wants of the driver; 0 if nothing. */
static int transport_action(lua_State *L, byn_transport *t) {
  const uint8_t *bytes;
  if (!t->opened) {
    t->opened = true;
    t->gone = byn_connection_is_ended(t->connection);
    if (t->gone) return 0;
    lua_pushliteral(L, "dial");
    lua_pushinteger(L, t->number);
    lua_pushstring(L, t->peer->name);
    return 3;
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

int byn_transport_action(lua_State *L, byn_cluster *c) {
  if (!c->cursor) c->cursor = &c->transports;
  luaL_checkstack(L, 4, NULL);
  while (*c->cursor) {
    byn_transport *t = *c->cursor;
    int pushed = transport_action(L, t);
    if (pushed) return pushed;
    if (!transport_is_over(c, t)) {
      c->cursor = &t->next;
      continue;
    }
    bool gone = t->gone;
    *c->cursor = t->next;
    lua_pushliteral(L, "close");
    lua_pushinteger(L, t->number);
    byn_transport_free(c, t);
    if (!gone) return 2;
    lua_pop(L, 2);
  }
  c->cursor = NULL;
  return 0;
}
