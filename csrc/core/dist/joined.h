/* Which processes have joined which groups, as often as they have.
 *
 * A process belongs to one host, and is here while it is in some group. What
 * changes is counted at once and told later: byn_joined_next answers what each
 * group has gained or lost since, without memory of its own, so nothing that
 * changed goes untold where memory is short. A process that left stays, as not
 * counted, until that has been told.
 *
 * Owned by its machine (groups.h), which owns the hosts, too.
 */
#ifndef BYN_DIST_JOINED_H
#define BYN_DIST_JOINED_H

#include "../map.h"
#include "../wire/buffer.h"
#include "blob.h"
#include "dist.h"

/* So often a process may join one group. */
enum { BYN_JOINED_MOST = 65535 };

struct byn_group;
struct byn_group_pid;

/* A process in a group. */
typedef struct byn_membership {
  struct byn_group *group;
  struct byn_group_pid *pid;
  uint32_t times, told; /* how often it joined; what was told last */
  bool dirty;           /* in the list of its group */
  struct byn_membership *same, *next_dirty;
  struct byn_membership *before, *after;      /* in the group */
  struct byn_membership *pid_prev, *pid_next; /* of the process */
} byn_membership;

typedef struct byn_group {
  byn_blob key;
  uint64_t hash;
  uint32_t count, here; /* processes that are in it; of them this node's */
  byn_membership *first, *last;
  byn_membership *dirty_first, *dirty_last;
  struct byn_group *same, *next_dirty;
  bool dirty;
} byn_group;

typedef struct byn_group_pid {
  byn_blob text;        /* its length, as a varint, and its bytes */
  byn_dist_bytes bytes; /* within that */
  uint64_t hash;
  struct byn_group_host *host;
  byn_membership *first;
  struct byn_group_pid *same, *before, *after; /* of the host */
} byn_group_pid;

/* Of whom processes are. */
typedef struct byn_group_host {
  bool self;
  byn_group_pid *first;
} byn_group_host;

typedef struct byn_joined {
  const byn_alloc *alloc; /* must outlive it */
  byn_map groups, pids, memberships;
  byn_group *dirty_first, *dirty_last;
  uint32_t count; /* groups that somebody is in */
} byn_joined;

/* What a group has gained, or lost. Valid until the next change. */
typedef struct byn_joined_news {
  bool joined;
  byn_dist_bytes key, pids; /* strings, one for each time */
} byn_joined_news;

void byn_joined_init(byn_joined *j, const byn_alloc *alloc);
/* The hosts have no processes afterwards. */
void byn_joined_free(byn_joined *j);

byn_group *byn_joined_find(const byn_joined *j, const byn_dist_id *id);
byn_group_pid *byn_joined_pid(const byn_joined *j, byn_dist_bytes pid);
/* How often it has joined. */
uint32_t byn_joined_times(const byn_joined *j, const byn_dist_id *id,
                          byn_dist_bytes pid);
/* The process, of that host alone, has joined so many times more; never more
 * often than BYN_JOINED_MOST. false: memory is short, and it has not. */
bool byn_joined_add(byn_joined *j, byn_group_host *host, const byn_dist_id *id,
                    byn_dist_bytes pid, uint32_t times);
/* It has left so many times, or as often as it had joined; answers how often.
 */
uint32_t byn_joined_remove(byn_joined *j, const byn_group_host *host,
                           const byn_dist_id *id, byn_dist_bytes pid,
                           uint32_t times);
/* It has left all groups. */
void byn_joined_drop(byn_joined *j, byn_group_pid *pid);
/* All processes of the host have. */
void byn_joined_drop_host(byn_joined *j, byn_group_host *host);

/* What is to be told next, the processes of one group in `scratch`; fewer of
 * them where that finds no memory. false: all is told. */
bool byn_joined_next(byn_joined *j, byn_buf *scratch, byn_joined_news *news);

#endif
