/* Process groups: who has joined which, on all nodes that take part.
 *
 * Each node says of its own processes alone, so there is nothing to agree on:
 * what it said last holds. All it says goes to each other node as changes, in
 * order, after a list of everything at the beginning of a session.
 *
 *   DOWN ---- node_up ----> GREETING ---- both know the other's ----> TOLD
 *    ^                         ^            session                   |
 *    |                         '-- another session, memory short ----'|
 *    '--------------------- node_down --------------------------------'
 *
 * In TOLD each has sent all that its own processes have joined. In any other
 * state what the other node said before counts no more: its processes have
 * left. A node without memory for what it is told begins a new session after
 * a second, and is told everything anew.
 *
 * Packets:  version, kind, session of the sender, session that it answers,
 *           records: kind (JOIN, LEAVE), group, number of processes, for each
 *           its pid and how often
 *
 * The rules are those of OTP's pg, of which the words are, too.
 *
 * The owner carries out what byn_groups_next answers, after each input.
 */
#ifndef BYN_DIST_GROUPS_H
#define BYN_DIST_GROUPS_H

#include "../timers.h"
#include "joined.h"

typedef struct byn_groups byn_groups;

typedef struct byn_groups_config {
  byn_alloc alloc;
  const char *node;  /* this one */
  size_t max_packet; /* what is sent is cut where it is longer than that */
  /* Is it a group's key, is it a pid of that node? The first answers the
   * key's hash. What another node says is refused where it is none. */
  bool (*check_key)(void *ud, byn_dist_bytes key, uint64_t *hash);
  bool (*check_pid)(void *ud, byn_dist_bytes pid, const char *node);
  void *ud;
} byn_groups_config;

typedef enum byn_groups_kind {
  BYN_GROUPS_SEND, /* bytes to the groups of `node` */
  BYN_GROUPS_JOIN, /* pids have joined the group `key` */
  BYN_GROUPS_LEAVE /* and left it */
} byn_groups_kind;

/* Valid until the next call. */
typedef struct byn_groups_action {
  byn_groups_kind kind;
  const char *node;
  byn_dist_bytes bytes;
  byn_dist_bytes key, pids; /* pids: strings, one for each time */
} byn_groups_action;

/* NULL: memory is short. */
byn_groups *byn_groups_new(const byn_groups_config *config);
void byn_groups_free(byn_groups *g);

/* --- inputs --------------------------------------------------------------- */

void byn_groups_time(byn_groups *g, int64_t now);
/* The owner begins, or begins again: no other node is up. This node's
 * processes are still where they were. */
void byn_groups_attach(byn_groups *g);
/* Are JOIN and LEAVE wanted? They are not at first. */
void byn_groups_watch(byn_groups *g, bool watched);

/* A process of this node. false: memory is short, and it has not joined. */
bool byn_groups_join(byn_groups *g, const byn_dist_id *id, byn_dist_bytes pid);
/* false: it had not joined. */
bool byn_groups_leave(byn_groups *g, const byn_dist_id *id, byn_dist_bytes pid);
/* It has ended. */
void byn_groups_exited(byn_groups *g, byn_dist_bytes pid);

/* Another node is connected, again where it was already: a new session. false:
 * memory is short, and it is to be told of again. */
bool byn_groups_node_up(byn_groups *g, const char *node);
void byn_groups_node_down(byn_groups *g, const char *node);
/* The groups of that node, which is up, have ended. */
void byn_groups_peer_away(byn_groups *g, const char *node);
/* false: it is none of this version, and nothing of it was taken. */
bool byn_groups_receive(byn_groups *g, const char *from, const uint8_t *bytes,
                        size_t n);

/* --- outputs -------------------------------------------------------------- */

bool byn_groups_next(byn_groups *g, byn_groups_action *a);
/* When byn_groups_time is to be told, or BYN_NEVER. */
int64_t byn_groups_deadline(const byn_groups *g);

/* --- questions ------------------------------------------------------------ */

/* To look, and not to touch. */
const byn_joined *byn_groups_joined(const byn_groups *g);
/* This node's processes. */
const byn_group_host *byn_groups_self(const byn_groups *g);
/* The node whose the process is; NULL: this one. */
const char *byn_groups_node_of(const byn_group_pid *pid);
/* Have both this node and that one told everything? */
bool byn_groups_is_told(const byn_groups *g, const char *node);

#endif
