/* Which child should run where: what is known of each child of a distributed
 * supervisor, and what this node must do about it.
 *
 * A child is known here by a number. Of each, every node keeps one *place*:
 * the newest thing that is known, who runs it or that it has ended. Places
 * travel between nodes in any order and any number of times; the greater
 * one stays, by a total order, so all nodes end with the same:
 *
 *   epoch   of each start of the child, on whatever host, greater than of
 *           all before; a host that takes a child over starts it, too
 *   seq     counts what its host did with it since: restarts, the end
 *   state   RUNNING before ENDED
 *   host    by rendezvous hashing of (child, host)
 *
 * Only the last two decide a conflict, where two hosts started one child
 * without knowing of each other. The one with the greater place survives.
 * A place is written by its host alone, or by the host that takes it over.
 *
 * A host is one life of one supervisor on one node. Number 0 is this one.
 *
 *   UNKNOWN -> UP -> DOWN -> DEAD     or UNKNOWN -> DOWN
 *
 * DOWN: it is gone, but what others know of its children is not yet all
 * here, so nothing is started. DEAD: all that can be known is.
 *
 * Beside the place stands the *run*, what this very node does with a child:
 * NONE, STARTING, RUNNING or STOPPING. byn_placement_next compares the two
 * and tells what follows, as often as it takes:
 *
 *   place                 run       then
 *   RUNNING, DEAD host    NONE      START, if the ring names this node; a
 *                                   temporary child is an END instead
 *   RUNNING, DEAD host    RUNNING   ANNOUNCE: this run takes its place; STOP,
 *                                   if it is over (end_run)
 *   RUNNING, UP host      RUNNING   STOP: a conflict, and this run lost
 *   RUNNING, this host    NONE      END: nobody knows better than its host
 *   ENDED, NONE           RUNNING   ANNOUNCE: an end is the end of one run;
 *                                   STOP, if this is the run (end_run)
 *   ENDED, for long       NONE      FORGET
 *
 * All else is as it should be, or waits. ANNOUNCE and END have changed the
 * place already, the owner tells the others. START and STOP have changed the
 * run; the owner reports how it went. After FORGET the number is free, and
 * byn_placement_add may give it out again.
 *
 * Failure is memory only, and of the calls that say so.
 */
#ifndef BYN_PLACEMENT_H
#define BYN_PLACEMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "alloc.h"

#define BYN_NO_CHILD UINT32_MAX
#define BYN_NO_HOST UINT32_MAX

typedef struct byn_placement byn_placement;

typedef struct byn_placement_config {
  byn_alloc alloc;
  const char *node; /* this node's name; copied */
  size_t node_len;
  uint64_t host; /* the hash of this host's identity */
  /* An ENDED place is kept so long, unless there are more than so many:
   * what left this node's sight for longer may come back as RUNNING. */
  int64_t keep_ended_ms;
  uint32_t keep_ended;
} byn_placement_config;

typedef enum byn_host_state {
  BYN_HOST_UNKNOWN,
  BYN_HOST_UP,
  BYN_HOST_DOWN,
  BYN_HOST_DEAD
} byn_host_state;

typedef enum byn_place_state {
  BYN_PLACE_NONE,
  BYN_PLACE_ENDED,
  BYN_PLACE_RUNNING
} byn_place_state;

enum {
  BYN_PLACE_TEMPORARY = 1, /* does not outlive its host */
  BYN_PLACE_PINNED = 2     /* put on its host by name, not by the ring */
};

typedef struct byn_place {
  uint32_t epoch, seq;
  uint32_t host; /* the number here; BYN_NO_HOST with NONE */
  uint8_t state, flags;
} byn_place;

typedef enum byn_run {
  BYN_RUN_NONE,
  BYN_RUN_STARTING,
  BYN_RUN_RUNNING,
  BYN_RUN_STOPPING
} byn_run;

typedef enum byn_placement_kind {
  BYN_PLACEMENT_START,
  BYN_PLACEMENT_STOP,
  BYN_PLACEMENT_ANNOUNCE,
  BYN_PLACEMENT_END,
  BYN_PLACEMENT_FORGET
} byn_placement_kind;

typedef struct byn_placement_action {
  byn_placement_kind kind;
  uint32_t child;
} byn_placement_action;

/* Nothing known, nobody a member; NULL when memory is short. */
byn_placement *byn_placement_new(const byn_placement_config *config);
void byn_placement_free(byn_placement *p);

/* --- hosts and members ---------------------------------------------------- */

/* The number of the host with that identity, made UNKNOWN if it is new;
 * BYN_NO_HOST when memory is short. Numbers are not used again before
 * byn_placement_drop_host. */
uint32_t byn_placement_host(byn_placement *p, uint64_t host);
void byn_placement_set_host(byn_placement *p, uint32_t host,
                            byn_host_state state);
byn_host_state byn_placement_host_state(const byn_placement *p, uint32_t host);
/* Frees the number of a host that no place names; false if one does, or if
 * it is this host. */
bool byn_placement_drop_host(byn_placement *p, uint32_t host);

/* A hash over all RUNNING places of a host: equal on two nodes that know the
 * same. */
uint64_t byn_placement_digest(const byn_placement *p, uint32_t host);

/* Takes a node into the ring or out of it; false when memory is short. */
bool byn_placement_join(byn_placement *p, const char *node, size_t n);
bool byn_placement_leave(byn_placement *p, const char *node, size_t n);
/* The members, in byte order. */
uint32_t byn_placement_members(const byn_placement *p);
const char *byn_placement_member(const byn_placement *p, uint32_t i, size_t *n);
/* The member that owns a hash, or NULL on an empty ring. */
const char *byn_placement_owner(const byn_placement *p, uint64_t hash,
                                size_t *n);

/* --- children ------------------------------------------------------------- */

/* A new child, by the hash of its id (byn_ring_hash), that has no place and
 * no run; BYN_NO_CHILD when memory is short. */
uint32_t byn_placement_add(byn_placement *p, uint64_t hash);
byn_place byn_placement_get(const byn_placement *p, uint32_t child);
byn_run byn_placement_run(const byn_placement *p, uint32_t child);

/* A place came from elsewhere: true if it is news and was taken. */
bool byn_placement_merge(byn_placement *p, uint32_t child,
                         const byn_place *place, int64_t now);

/* How this node's own run goes on. */
void byn_placement_starting(byn_placement *p, uint32_t child);
/* false if another host that is UP has it meanwhile, or it is over
 * (byn_placement_end_run): a STOP follows.
 * Otherwise the place is this host's, of a new epoch. */
bool byn_placement_started(byn_placement *p, uint32_t child, uint8_t flags);
/* No start after all; it is not tried again before byn_placement_review. */
void byn_placement_failed(byn_placement *p, uint32_t child);
/* It runs on as a new process; false if the place is not this host's. */
bool byn_placement_restarted(byn_placement *p, uint32_t child);
void byn_placement_stopping(byn_placement *p, uint32_t child);
/* It runs no more; true if that is the child's end, false if the place is
 * another host's. */
bool byn_placement_ended(byn_placement *p, uint32_t child, int64_t now);
/* The place is the end of this host's run, or that of a child that was started
 * after it: it was taken over while this host was out of sight, and ended
 * there. Holds until the next place. */
void byn_placement_end_run(byn_placement *p, uint32_t child);
/* The child of a lost host shall not come back: ENDED, of a new epoch. */
void byn_placement_abandon(byn_placement *p, uint32_t child, int64_t now);

/* --- deciding ------------------------------------------------------------- */

/* Looks at every child again, not only at those that changed. O(children),
 * spread over the calls of byn_placement_next. */
void byn_placement_review(byn_placement *p);
/* The next thing to do; false when all is as it should be. */
bool byn_placement_next(byn_placement *p, int64_t now,
                        byn_placement_action *action);

/* Visits the children that have a place on `host` (BYN_NO_HOST: on any):
 * start with *cursor = 0. Nothing may be added or forgotten in between. */
bool byn_placement_each(const byn_placement *p, uint32_t host, uint32_t *cursor,
                        uint32_t *child);
/* How many are RUNNING and how many ENDED. */
uint32_t byn_placement_running(const byn_placement *p);
uint32_t byn_placement_ends(const byn_placement *p);

#endif
