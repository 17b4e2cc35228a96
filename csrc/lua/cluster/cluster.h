/* The node's side of its cluster: one peer per link, the connections that they
 * have (transport.h), and the membership that decides about links. The driver
 * brings and takes the bytes; what processes see of a cluster is in nodes.h.
 */
#ifndef BYN_CLUSTER_H
#define BYN_CLUSTER_H

#include <stdbool.h>

#include "../../core/link.h"
#include "../../core/map.h"
#include "../../core/membership.h"
#include "../value/compat.h"
#include "../process/node.h"
#include "../process/process.h"

struct byn_transport;

/* One link, from dial or admission until its last connection is closed.
 *
 *   dialled or admitted -> up -> down -> end_reported -> freed
 *
 *   up            it has an origin, and by_origin has it
 *   down          the link has reported DOWN, for `reason`
 *   end_reported  relations to processes of that node are broken, and whoever
 *                 waited for the link was woken or answered
 *   freed         by byn_cluster_action, once it has no connection
 *
 * A link may go down before it was up.
 */
typedef struct byn_peer {
  struct byn_peer *next;
  uint32_t number; /* the link's, for the membership */
  byn_link *link;
  char *name;         /* the node's */
  bool dialled;       /* the link was, by this node */
  byn_origin *origin; /* once UP */
  byn_relation_list relations;
  byn_map monitors;    /* serial -> relation whose a is there */
  byn_map blocked;     /* serial -> index + 1 of a process that waits to send */
  struct draft *draft; /* the signal that is being written, see remote.c */
  const char *reason;  /* the link's; NULL until it is down */
  bool down, end_reported;
} byn_peer;

typedef struct byn_cluster {
  byn_node *node;
  byn_membership *membership;
  byn_peer *peers;
  struct byn_transport *transports;
  struct byn_transport **cursor; /* where byn_transport_action goes on */
  byn_map by_origin;             /* origin's address -> peer that is UP */
  byn_link_config config;
  char *secret;                       /* config points here */
  uint32_t last_link, last_transport; /* numbers */
  uint64_t dials;                     /* how many links were dialled */
  bool broken;   /* a link ended while it was written to: poll them all */
  bool stopping; /* after byn_cluster_shutdown: no link comes up */
  int entropy;   /* slot: the driver's source of nonces */
  int waiting;   /* slot: name -> list of refs of callers of connect */
} byn_cluster;

/* `defaults`: into the table on top. */
void byn_cluster_functions(lua_State *L);

/* Makes node->cluster from the options table at `options`. Raises on misuse, or
 * when memory is short; byn_cluster_close then frees what was made. */
void byn_cluster_open(lua_State *L, byn_node *node, int options);
void byn_cluster_close(lua_State *L, byn_node *node);

/* The peer that is up for an origin, or for a node's name; or NULL. */
byn_peer *byn_peer_of(const byn_node *node, const byn_origin *origin);
byn_peer *byn_peer_named(const byn_node *node, const char *name);
/* The peer with that link number, in whatever state; or NULL. */
byn_peer *byn_peer_number(const byn_cluster *c, uint32_t number);

/* For admission.h: a peer without a link, not listed, or NULL without memory;
 * its end, with that of its link; it has its link now. */
byn_peer *byn_peer_new(byn_cluster *c, const char *name, bool dialled);
void byn_peer_free(byn_cluster *c, byn_peer *peer);
void byn_peer_list(byn_cluster *c, byn_peer *peer);
/* Takes what its link has to tell; may raise, see byn_cluster_poll. */
void byn_peer_poll(lua_State *L, byn_cluster *c, byn_peer *peer);
/* What the membership must know of a node before its link is up. */
void byn_peer_note_traits(byn_cluster *c, const byn_peer *peer, uint8_t traits);
/* A connection ended before it was known who is at its other end; `name`: who
 * should have been, or NULL. */
void byn_peer_report_failure(lua_State *L, byn_cluster *c, const char *name,
                             const struct byn_transport *t, const char *reason);
/* Makes an event {peer=, reason=}. */
void byn_cluster_event(lua_State *L, byn_cluster *c, const char *event,
                       const char *name, const char *reason);
/* Asks the driver for the nonce of one handshake; false: it has none. */
bool byn_cluster_nonce(lua_State *L, byn_cluster *c,
                       uint8_t nonce[BYN_NONCE_SIZE]);

/* Takes what a connection, and the link that has it, have to tell after
 * input: messages, up, down. May raise when memory is short: the owner then
 * calls _give_up, and the next tick goes on with what is left to do. */
void byn_cluster_poll(lua_State *L, byn_cluster *c, struct byn_transport *t);
/* Ends what had that connection, its link or itself. */
void byn_cluster_give_up(byn_cluster *c, struct byn_transport *t,
                         const char *reason);
/* Wakes those that wait to send to a peer, if its queue is short enough. */
void byn_peer_calm(byn_cluster *c, byn_peer *peer);

/* Fires due deadlines of links and membership, and carries out the membership's
 * actions. _deadline: when that is due again, or BYN_NEVER. */
void byn_cluster_tick(lua_State *L, byn_cluster *c);
int64_t byn_cluster_deadline(const byn_cluster *c);
/* Carries out the membership's actions; may raise when memory is short. */
void byn_cluster_act(lua_State *L, byn_cluster *c);

/* The driver's next action: pushes its values and answers how many; 0: there is
 * none. */
int byn_cluster_action(lua_State *L, byn_cluster *c);

/* Says goodbye on all links, for good: none is dialled or let in again. */
void byn_cluster_shutdown(lua_State *L, byn_cluster *c);

#endif
