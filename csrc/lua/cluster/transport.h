/* Connections as the driver knows them: each a number, from its dial or its
 * accept until the driver is told to close it.
 *
 * A connection that came in belongs to no link until it has proved which; it
 * is a stranger's. One that is at its end stays until its last words are
 * written, as long as that goes on.
 *
 * The driver is asked only about those that are active: something happened to
 * the connection or to its link since it had nothing more to write.
 */
#ifndef BYN_TRANSPORT_H
#define BYN_TRANSPORT_H

#include <stdbool.h>

#include "../../core/connection.h"
#include "../value/compat.h"
#include "cluster.h"

#define BYN_TRANSPORT_ADDRESS_MAX 127 /* "unix:" and a path, too */

typedef struct byn_transport {
  struct byn_transport *next, *previous; /* of those of its peer, or the
                                            strangers' */
  struct byn_transport *next_active;
  byn_entry entry; /* of the agenda: see byn_transport_due */
  uint32_t number; /* for the driver; never 0, never used twice */
  byn_connection *connection;
  struct byn_peer *peer;     /* whose link has it, or NULL: a stranger's */
  struct byn_peer *claimant; /* it waits for a name: its peer to be, not listed;
                                see admission.h */
  byn_connection_event claim; /* the ADMIT of a claimant */
  /* Where it came in from, or was dialled; "": not known, or as the name says.
   */
  char address[BYN_TRANSPORT_ADDRESS_MAX + 1];
  int64_t linger_by; /* at its end: when it is closed in any case; or 0 */
  bool dialled;      /* by this node */
  bool opened;       /* the driver knows of it */
  bool gone;         /* the driver has no transport for it any more */
  bool active;
} byn_transport;

/* A record without a connection yet, not listed; NULL without memory. */
byn_transport *byn_transport_new(byn_cluster *c);
/* Lists it, with its peer's or with the strangers': its connection is there. */
void byn_transport_add(byn_cluster *c, byn_transport *t);
/* A stranger's is from now on one of that peer's link. */
void byn_transport_join(byn_cluster *c, byn_transport *t,
                        struct byn_peer *peer);
/* Frees one that is not listed, and its connection. */
void byn_transport_free(byn_cluster *c, byn_transport *t);
void byn_transports_close(byn_cluster *c);

byn_transport *byn_transport_number(const byn_cluster *c, uint32_t number);
/* Where the node on that link is connected from, or was dialled; "" if that is
 * not known. */
const char *byn_transport_address_of(const byn_cluster *c, uint32_t link);
/* The driver has reached the peer of a dial at that address. */
void byn_transport_dialled(byn_cluster *c, byn_transport *t,
                           const char *address);
/* How many have not proved who they are. */
int byn_transport_strangers(const byn_cluster *c);

/* The driver has written so much. */
void byn_transport_wrote(byn_cluster *c, byn_transport *t, size_t n);

/* Something happened to it: the driver is to be asked about it. O(1). */
void byn_transport_activate(byn_cluster *c, byn_transport *t);
/* When it is due itself: a stranger's handshake, or last words that nobody
 * takes; or BYN_NEVER. */
int64_t byn_transport_due(const byn_transport *t);

/* The driver's next action: pushes its values and answers how many. */
int byn_transport_action(lua_State *L, byn_cluster *c);

#endif
