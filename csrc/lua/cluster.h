/* The node's side of its cluster: one peer per link, and the membership that
 * decides about them. Bytes come and go through seam.c; what processes see of
 * it is in nodes.h.
 */
#ifndef BYN_CLUSTER_H
#define BYN_CLUSTER_H

#include <stdbool.h>

#include <lua.h>

#include "../core/link.h"
#include "../core/map.h"
#include "../core/membership.h"
#include "node.h"

/* One link, from dial or accept until the driver has closed it. */
typedef struct byn_peer {
  struct byn_peer *next;
  uint32_t number; /* the link's, for the driver and the membership */
  byn_link *link;
  char *dialled;      /* the name, where we dial */
  byn_origin *origin; /* once UP */
  byn_relation_list relations;
  byn_map monitors; /* serial -> relation whose a is there */
  byn_map blocked;  /* serial -> index + 1 of a process that waits to send */
  bool opened;      /* the driver knows of it */
  bool down;        /* DOWN was told: a last write, then it is closed */
} byn_peer;

typedef struct byn_cluster {
  byn_node *node;
  byn_membership *membership;
  byn_peer *peers;
  byn_peer **cursor; /* where byn_cluster_action goes on, or NULL */
  byn_map by_origin; /* origin's address -> peer that is UP */
  byn_link_config config;
  char *secret;  /* config points here */
  uint32_t last; /* link number */
  int entropy;   /* slot: the driver's source of nonces */
  int watchers;  /* slot: set of pids with monitor_nodes(true) */
  int waiting;   /* slot: name -> list of refs of callers of connect */
} byn_cluster;

/* Makes node->cluster from the options table at `options`. Raises on
 * misuse. */
void byn_cluster_open(lua_State *L, byn_node *node, int options);
void byn_cluster_close(lua_State *L, byn_node *node);

/* The peer that is up for an origin, or for a node's name; or NULL. */
byn_peer *byn_peer_of(const byn_node *node, const byn_origin *origin);
byn_peer *byn_peer_named(const byn_node *node, const char *name);
byn_peer *byn_peer_number(const byn_cluster *c, uint32_t number);

/* Has so much been queued for a peer that its senders should wait? */
bool byn_peer_is_busy(const byn_cluster *c, const byn_peer *peer);
/* Makes p wait, in BYN_WAIT_SLEEP without a timer, until the peer's queue has
 * drained or the link is down. false when memory is short. */
bool byn_peer_block(byn_peer *peer, byn_process *p);
/* The transport has taken `n` bytes: may wake those that wait. */
void byn_peer_wrote(byn_cluster *c, byn_peer *peer, size_t n);

/* A connection came in: its peer. */
byn_peer *byn_cluster_accept(lua_State *L, byn_cluster *c);

/* Takes what a link has to tell after input or time: messages, up, down. */
void byn_peer_poll(lua_State *L, byn_cluster *c, byn_peer *peer);

/* The driver says that a link's transport is gone. */
void byn_cluster_closed(lua_State *L, byn_cluster *c, byn_peer *peer,
                        const char *reason);

/* Fires due deadlines of links and membership, and carries out what the
 * membership wants. _deadline: when that is due again, or BYN_NEVER. */
void byn_cluster_tick(lua_State *L, byn_cluster *c);
int64_t byn_cluster_deadline(const byn_cluster *c);
void byn_cluster_act(lua_State *L, byn_cluster *c);

/* The driver's next action: pushes its values and answers how many. */
int byn_cluster_action(lua_State *L, byn_cluster *c);

/* Says goodbye on all links. */
void byn_cluster_shutdown(lua_State *L, byn_cluster *c);

#endif
