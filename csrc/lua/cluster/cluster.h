/* The node's side of its cluster: one peer per link (peer.h), the connections
 * that they have (transport.h), and the membership that decides about links.
 * The driver brings and takes the bytes; what processes see of a cluster is in
 * nodes.h.
 */
#ifndef BYN_CLUSTER_H
#define BYN_CLUSTER_H

#include <stdbool.h>

#include "../../core/addresses.h"
#include "../../core/agenda.h"
#include "../../core/link.h"
#include "../../core/map.h"
#include "../../core/membership.h"
#include "../value/compat.h"
#include "../process/node.h"
#include "../process/process.h"
#include "peer.h"

struct byn_transport;

/* Whose an entry of the agenda is. */
enum { BYN_DUE_PEER, BYN_DUE_TRANSPORT };

typedef struct byn_cluster {
  byn_node *node;
  byn_membership *membership;
  byn_agenda agenda;               /* of peers and transports */
  byn_peer *peers;                 /* those that are listed */
  byn_peer *ended;                 /* of these, to be freed */
  struct byn_transport *strangers; /* the connections that are no link's */
  struct byn_transport *first_active, *last_active; /* see transport.h */
  byn_map by_origin;  /* origin's address -> peer that is UP */
  byn_map by_name;    /* hash of a name -> the last peer that was made for it */
  byn_map by_number;  /* of its link -> peer */
  byn_map transports; /* number -> transport */
  byn_link_config config;
  char *secret;            /* config points here */
  byn_addresses addresses; /* of other nodes, as nodes have said */
  byn_addresses given;     /* as the program has said, which counts more */
  char own_address[BYN_ADDRESS_TEXT_MAX + 1]; /* "": the name says it */
  uint32_t last_link, last_transport;         /* numbers */
  uint64_t dials;                             /* how many links were dialled */
  bool broken;   /* an error broke off what is to be done: tick at once */
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
/* Takes what its link has to tell; may raise, see byn_cluster_poll. */
void byn_peer_poll(lua_State *L, byn_cluster *c, byn_peer *peer);
/* The addresses of which the next dial of a node takes one. */
byn_addresses *byn_cluster_addresses(byn_cluster *c, const char *name);
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
int64_t byn_cluster_deadline(byn_cluster *c);
/* Looks at the peers that were touched: when each is due again, and which of
 * their connections are the driver's to be asked about. */
void byn_cluster_settle(byn_cluster *c);
/* Looks at the deadline of one alone, which is not touched. */
void byn_cluster_settle_peer(byn_cluster *c, byn_peer *peer);
/* Carries out the membership's actions; may raise when memory is short. */
void byn_cluster_act(lua_State *L, byn_cluster *c);

/* The driver's next action: pushes its values and answers how many; 0: there is
 * none. */
int byn_cluster_action(lua_State *L, byn_cluster *c);

/* Says goodbye on all links, for good: none is dialled or let in again. */
void byn_cluster_shutdown(lua_State *L, byn_cluster *c);

#endif
