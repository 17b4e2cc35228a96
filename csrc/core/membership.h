/* Who is in the cluster: which nodes are known, which are up, which to dial.
 *
 * Membership sees links only as numbers. It is told when a link proves a
 * name, comes up or goes down, and answers with actions: dial a node, close
 * a link, a node is up, a node is down. One node has at most one link; of
 * two that are dialled at the same time the one dialled by the node with
 * the smaller name (bytewise) stays, on both sides. A restarted node (same
 * name, greater incarnation) replaces its old self: DOWN comes before UP.
 *
 *   unknown -> KNOWN <-> DIALING -> UP -> KNOWN ...
 *
 * A known node that is not up is dialled again after a wait that doubles
 * from redial_min_ms to redial_max_ms, with jitter of a quarter, so that two
 * nodes do not knock in step. A node that was configured is dialled for
 * ever; one that was learned from a peer is forgotten forget_after_ms after
 * it was last up. One that was disconnected on purpose is not dialled until
 * it is added again.
 */
#ifndef BYN_MEMBERSHIP_H
#define BYN_MEMBERSHIP_H

#include <stdbool.h>
#include <stdint.h>

#include "alloc.h"
#include "rng.h"

typedef struct byn_membership byn_membership;

typedef struct byn_membership_config {
  byn_alloc alloc;
  const char *name; /* this node's; copied */
  uint64_t incarnation;
  uint64_t seed; /* for jitter */
  int64_t redial_min_ms, redial_max_ms, forget_after_ms;
} byn_membership_config;

typedef enum byn_member_action_kind {
  BYN_MEMBER_DIAL,  /* open a link to `name`, report it with _dialing */
  BYN_MEMBER_CLOSE, /* close `link` for `reason` */
  BYN_MEMBER_UP,    /* `name` is up over `link` */
  BYN_MEMBER_DOWN   /* `name` is down for `reason` */
} byn_member_action_kind;

typedef struct byn_member_action {
  byn_member_action_kind kind;
  const char *name;     /* valid until the next call that changes */
  uint64_t incarnation; /* UP, DOWN */
  uint32_t link;        /* CLOSE, UP */
  const char *reason;   /* CLOSE, DOWN */
} byn_member_action;

byn_membership *byn_membership_new(const byn_membership_config *config);
void byn_membership_free(byn_membership *m);

/* Makes a node known; due to be dialled at once if it is not up. Its own
 * name is ignored. `configured` nodes are never forgotten. false when memory
 * is short. */
bool byn_membership_add(byn_membership *m, const char *name, bool configured,
                        int64_t now);
/* Closes its link if there is one, and dials it no more. false if unknown. */
bool byn_membership_remove(byn_membership *m, const char *name);

/* The owner has opened link number `link` (never 0) because of DIAL. */
void byn_membership_dialing(byn_membership *m, const char *name,
                            uint32_t link);

/* An incoming link has proved `name`. NULL: admit it. Otherwise the reason
 * to refuse it with: "already_connected", "simultaneous" (the other
 * direction stays), "stale_incarnation", "own_name", "out_of_memory". */
const char *byn_membership_admit(byn_membership *m, const char *name,
                                 uint64_t incarnation, uint32_t link,
                                 int64_t now);
/* A link, dialled or admitted, is up. */
void byn_membership_link_up(byn_membership *m, const char *name,
                            uint64_t incarnation, uint32_t link, int64_t now);
/* A link is down, whether it ever was up or not; unknown ones are ignored. */
void byn_membership_link_down(byn_membership *m, uint32_t link,
                              const char *reason, int64_t now);

/* Time passed: makes dials due, forgets. */
void byn_membership_tick(byn_membership *m, int64_t now);
int64_t byn_membership_deadline(const byn_membership *m);

/* The next action; false when there is none for now. */
bool byn_membership_next(byn_membership *m, byn_member_action *action);

/* Is it up? And the names of all that are, in byte order: answers the count;
 * `index` below it gives a name. */
bool byn_membership_is_up(const byn_membership *m, const char *name);
uint32_t byn_membership_up_count(const byn_membership *m);
const char *byn_membership_up_name(const byn_membership *m, uint32_t index);

#endif
