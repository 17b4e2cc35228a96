/* Peers: one per link, from its dial or admission until its last connection is
 * closed.
 *
 *   dialled or admitted -> up -> down -> end_reported -> freed
 *
 *   up            it has an origin, and the cluster's by_origin has it
 *   down          the link has reported DOWN, for `reason`
 *   end_reported  relations to processes of that node are broken, and whoever
 *                 waited for the link was woken or answered
 *   freed         by byn_cluster_action, once it has no connection
 *
 * A link may go down before it was up. A claimant's peer has no link yet, and
 * is not listed (admission.h).
 *
 * A peer is found by its number, its node's name or its origin without a look
 * at the others, and what is due at it is on the cluster's agenda: whoever did
 * anything to its link touches it.
 */
#ifndef BYN_PEER_H
#define BYN_PEER_H

#include <stdbool.h>
#include <stdint.h>

#include "../../core/agenda.h"
#include "../../core/link.h"
#include "../../core/map.h"
#include "../process/relation.h"
#include "../value/id.h"

struct byn_cluster;
struct byn_transport;

typedef struct byn_peer {
  struct byn_peer *next, *previous; /* of those that are listed */
  struct byn_peer *same_name;       /* the next one; see names */
  struct byn_peer *next_ended;
  uint32_t number; /* the link's, for the membership */
  byn_link *link;
  byn_entry entry;                  /* of the agenda: when its link is due */
  struct byn_transport *transports; /* the connections of its link */
  char *name;                       /* the node's */
  bool dialled;                     /* the link was, by this node */
  bool takes_addresses;             /* it understands ADDRESS (remote.h) */
  byn_origin *origin;               /* once UP */
  byn_relation_list relations;
  byn_map monitors;    /* serial -> relation whose a is there */
  byn_map blocked;     /* serial -> index + 1 of a process that waits to send */
  struct draft *draft; /* the signal that is being written, see remote.c */
  const char *reason;  /* the link's; NULL until it is down */
  bool down, end_reported;
  bool unpolled; /* its link has something to tell, or an error broke off that
                    it was taken: it is due at once */
} byn_peer;

/* A peer without a link, not listed, or NULL without memory. */
byn_peer *byn_peer_new(struct byn_cluster *c, const char *name, bool dialled);
/* Its end, with that of its link. It has no connection. */
void byn_peer_free(struct byn_cluster *c, byn_peer *peer);
/* It has its link now. */
void byn_peer_list(struct byn_cluster *c, byn_peer *peer);

/* The first, or the next, of the peers that are listed and have that name, the
 * one that was made last first; or NULL. */
byn_peer *byn_peer_first_named(const struct byn_cluster *c, const char *name);
byn_peer *byn_peer_next_named(const byn_peer *peer);
/* The peer with that link number, in whatever state; or NULL. */
byn_peer *byn_peer_number(const struct byn_cluster *c, uint32_t number);

/* Its link was told, or given, something: its deadline may be another, and its
 * connections may have something for the driver. */
void byn_peer_touch(struct byn_cluster *c, byn_peer *peer);
/* Its link has something to tell, at an input of the program's, not the
 * peer's: the next tick takes it. */
void byn_peer_is_unpolled(struct byn_cluster *c, byn_peer *peer);

#endif
