/* Requests where they are served: a start by the owner of its id, an end by
 * the node that runs the child.
 */
#ifndef BYN_DIST_SERVE_H
#define BYN_DIST_SERVE_H

#include "parts.h"
#include "record.h"

typedef struct byn_offer {
  byn_dist_id id;
  uint64_t token, stamp;
  uint32_t flags;
  byn_dist_bytes spec, node;
  const byn_backoff *backoff; /* NULL: none of its own */
} byn_offer;

typedef enum byn_served {
  BYN_SERVED_TAKEN, /* the generation is there: its fate is the answer */
  BYN_SERVED_LATER, /* ask again; a stamp above `floor` */
  BYN_SERVED_ANSWER
} byn_served;

typedef struct byn_service {
  byn_served served;
  byn_dist_code code;
  byn_dist_bytes pid;
  const char *node;
  uint64_t floor;
  byn_place *place; /* TAKEN */
} byn_service;

void byn_serve_start(byn_dist *d, const byn_offer *offer, byn_service *s);
/* The same for a peer, who is told. */
void byn_serve_take_start(byn_dist *d, byn_peer *peer, const byn_record *r);
void byn_serve_take_terminate(byn_dist *d, byn_peer *peer, const byn_record *r);
void byn_serve_take_confirm(byn_dist *d, byn_peer *peer, const byn_record *r);

#endif
