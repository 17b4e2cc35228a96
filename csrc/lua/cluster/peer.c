/* Peers: making, finding and freeing them. */
#include "peer.h"

#include <string.h>

#include "../../core/assert.h"
#include "cluster.h"
#include "transport.h"

/* --- by name -------------------------------------------------------------- */

/* FNV-1a. Two names with one hash are in one chain. */
static uint64_t name_key(const char *name) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (; *name; name++)
    hash = (hash ^ (uint8_t)*name) * 0x100000001b3u;
  return hash;
}

/* Puts it before the others of its name; false when memory is short. */
static bool enter_name(byn_cluster *c, byn_peer *peer) {
  uint64_t key = name_key(peer->name);
  peer->same_name = byn_map_get(&c->by_name, key);
  return byn_map_put(&c->by_name, key, peer);
}

static void leave_name(byn_cluster *c, byn_peer *peer) {
  uint64_t key = name_key(peer->name);
  byn_peer *p = byn_map_get(&c->by_name, key);
  if (p == peer) { /* replaced or removed: neither needs memory */
    byn_map_put(&c->by_name, key, peer->same_name);
    return;
  }
  while (p && p->same_name != peer)
    p = p->same_name;
  if (p) p->same_name = peer->same_name;
}

static byn_peer *first_listed(byn_peer *p, const char *name) {
  while (p && (!p->link || strcmp(p->name, name) != 0))
    p = p->same_name;
  return p;
}

byn_peer *byn_peer_first_named(const byn_cluster *c, const char *name) {
  return first_listed(byn_map_get(&c->by_name, name_key(name)), name);
}

byn_peer *byn_peer_next_named(const byn_peer *peer) {
  return first_listed(peer->same_name, peer->name);
}

byn_peer *byn_peer_number(const byn_cluster *c, uint32_t number) {
  byn_peer *peer = byn_map_get(&c->by_number, number);
  return peer && peer->link ? peer : NULL;
}

/* --- making and freeing --------------------------------------------------- */

void byn_peer_free(byn_cluster *c, byn_peer *peer) {
  const byn_alloc *alloc = &c->node->world->alloc;
  byn_assert(!peer->relations.first && !peer->monitors.count);
  byn_assert(!peer->draft && !peer->transports);
  if (peer->name) leave_name(c, peer);
  if (byn_map_get(&c->by_number, peer->number) == peer)
    byn_map_remove(&c->by_number, peer->number);
  if (peer->link) { /* it is listed */
    *(peer->previous ? &peer->previous->next : &c->peers) = peer->next;
    if (peer->next) peer->next->previous = peer->previous;
  }
  byn_agenda_leave(&c->agenda, &peer->entry);
  byn_link_free(peer->link);
  if (peer->name) byn_free(alloc, peer->name, strlen(peer->name) + 1);
  if (peer->origin) peer->origin->uses--;
  byn_map_clear(&peer->monitors);
  byn_map_clear(&peer->blocked);
  byn_free(alloc, peer, sizeof *peer);
}

static bool fill_peer(byn_cluster *c, byn_peer *peer, const char *name) {
  peer->name = byn_new(&c->node->world->alloc, strlen(name) + 1);
  if (!peer->name) return false;
  strcpy(peer->name, name);
  return byn_map_put(&c->by_number, peer->number, peer) &&
         byn_agenda_join(&c->agenda, &peer->entry, BYN_DUE_PEER, peer) &&
         enter_name(c, peer);
}

byn_peer *byn_peer_new(byn_cluster *c, const char *name, bool dialled) {
  const byn_alloc *alloc = &c->node->world->alloc;
  byn_peer *peer = byn_new(alloc, sizeof *peer);
  if (!peer) return NULL;
  *peer = (byn_peer){.number = ++c->last_link, .dialled = dialled};
  byn_map_init(&peer->monitors, alloc);
  byn_map_init(&peer->blocked, alloc);
  if (fill_peer(c, peer, name)) return peer;
  byn_peer_free(c, peer);
  return NULL;
}

void byn_peer_list(byn_cluster *c, byn_peer *peer) {
  byn_assert(peer->link && !peer->next && !peer->previous);
  peer->next = c->peers;
  if (c->peers) c->peers->previous = peer;
  c->peers = peer;
  byn_peer_touch(c, peer);
}

/* --- what is due ---------------------------------------------------------- */

void byn_peer_touch(byn_cluster *c, byn_peer *peer) {
  byn_agenda_touch(&c->agenda, &peer->entry);
}

void byn_peer_is_unpolled(byn_cluster *c, byn_peer *peer) {
  peer->unpolled = true;
  byn_peer_touch(c, peer);
}
