/* What one may ask of a byn_dist. A question changes nothing, and what it
 * answers is valid until the next call of dist.h.
 */
#ifndef BYN_DIST_VIEW_H
#define BYN_DIST_VIEW_H

#include "dist.h"

typedef enum byn_dist_state {
  BYN_DIST_UNKNOWN,  /* nobody has heard of it, or its end is forgotten */
  BYN_DIST_STARTING, /* a start is under way, or queued */
  BYN_DIST_RUNNING,
  BYN_DIST_LOST,    /* its node is gone, nobody has taken it over yet */
  BYN_DIST_FAILING, /* it failed too often: tried again after a wait */
  BYN_DIST_WAITING, /* every node that may start it refuses */
  BYN_DIST_MOVING,  /* its process is about to stop, or has: it moves */
  BYN_DIST_IDLE,    /* an entity, stopped for want of messages: it has kept
                       something and goes on, or has ended */
  BYN_DIST_ENDED
} byn_dist_state;

typedef struct byn_dist_child {
  byn_dist_id id;
  byn_dist_state state;
  const char *node;      /* RUNNING, STARTING, FAILING: where; LOST: where it
                            was; WAITING: who refused last; MOVING: where it
                            still runs, or where to; or NULL */
  const char *owner;     /* the node that the ring names, or NULL */
  const char *pinned;    /* the node that start_child named, or NULL */
  const char *moved_to;  /* the last node that it was moved to, or NULL */
  bool stays;            /* by name: it stays there */
  byn_dist_bytes pid;    /* RUNNING; MOVING: while it is there */
  uint64_t begun;        /* with pid: since when; ms since 1970, hybrid */
  uint64_t stamp;        /* greater for each start_child of the id */
  uint64_t version;      /* counts what the host of its process wrote */
  uint32_t flags;        /* TEMPORARY, TRANSIENT */
  uint32_t failures;     /* in a row */
  byn_dist_why why;      /* FAILING, WAITING, ENDED: the last reason */
  byn_dist_bytes reason; /* with it */
  int64_t wait_ms;       /* FAILING here: until it is tried again */
  bool here;             /* its process runs on this node */
  uint64_t held_epoch, held_version; /* of the checkpoint that this node has of
                                        it; 0: of none (checkpoint.h) */
  bool refused_by_owner;  /* why it is not where the ring says: the owner
                             refused (refusal), or else it was not there */
  byn_dist_bytes refusal; /* absent: it had no room */
} byn_dist_child;

/* How it stands with an id; `state` UNKNOWN: nothing is known of it. */
void byn_dist_explain(const byn_dist *d, const byn_dist_id *id,
                      byn_dist_child *child);
/* Visits all children that have not ended, in an order that is the same on
 * each visit as long as nothing changes: start with *cursor = 0. */
typedef struct byn_dist_cursor {
  const void *at;
} byn_dist_cursor;
bool byn_dist_each(const byn_dist *d, byn_dist_cursor *cursor,
                   byn_dist_child *child);

/* The ring: its members in byte order, NULL from the count on; who owns a
 * hash, NULL on an empty ring. */
uint32_t byn_dist_member_count(const byn_dist *d);
const char *byn_dist_member(const byn_dist *d, uint32_t index);
const char *byn_dist_owner(const byn_dist *d, uint64_t hash);

/* The nodes that run this supervisor, this one among them. */
typedef struct byn_dist_node {
  const char *node;
  const char *state; /* "unknown", "greeting", "in_step", "ready", "leaving",
                        "suspect", "lost", "dead"; of this node "opening",
                        "ready", "leaving" */
  bool member;       /* of the ring */
  bool hosts;
  bool self;
} byn_dist_node;
bool byn_dist_each_node(const byn_dist *d, uint32_t *cursor,
                        byn_dist_node *node);

typedef struct byn_dist_status {
  uint32_t here;       /* children that run here */
  uint32_t everywhere; /* children that run, wherever */
  uint32_t starting, lost, failing, waiting, moving;
  uint32_t idle;   /* that have kept something */
  uint32_t ended;  /* ends that are remembered */
  uint32_t queued; /* starts that wait here for others to be done */
  uint32_t peers;  /* other nodes that take part */
  bool ready, held, hosts;
} byn_dist_status;
/* With mode = "quorum": is it seen, of how many nodes, and how many it takes;
 * may children run here? */
typedef struct byn_dist_quorum {
  bool on, seen, runs;
  uint32_t nodes, needed;
  const char *state; /* "off", "lacks", "gaining", "has", "stopping" */
} byn_dist_quorum;
void byn_dist_quorum_of(const byn_dist *d, byn_dist_quorum *quorum);

/* O(children). */
void byn_dist_status_of(const byn_dist *d, byn_dist_status *status);
/* The same in slices: sets what costs O(1), then adds the children of each of
 * BYN_DIST_BUCKETS buckets, which an id never changes: one that is there
 * throughout is counted once. Answers how many ids were looked at. */
enum { BYN_DIST_BUCKETS = 64 };
void byn_dist_status_begin(const byn_dist *d, byn_dist_status *status);
uint32_t byn_dist_status_add(const byn_dist *d, uint32_t bucket,
                             byn_dist_status *status);
/* O(1): running here, and everywhere. */
void byn_dist_count(const byn_dist *d, uint32_t *here, uint32_t *everywhere);

#endif
