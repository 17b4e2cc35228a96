/* All children by their ids, and the lives of nodes that places name.
 *
 * Places lie in a tree of digests (tree.h), kept up to date with each change,
 * so that two nodes find what they do not both know without going through it.
 *
 * What concerns all places is done in sweeps, some places a step, so that no
 * step takes longer the more there are: to look at all again (`review`), and
 * to take the registers of hosts whose lives are over out of the digests and
 * then out of the places (`recount`). Until the second is done the digests are
 * not settled, and are compared with nobody's: two nodes that both know that a
 * host is over would otherwise find all that it ran to differ.
 *
 * After a place was changed it is told so once (byn_registry_changed). It is
 * then in the queue of those to look at again, and, if others are to hear of
 * it, in that of those to publish.
 *
 * Ends are kept for a while (byn_registry_expire). An end that is older than
 * what is kept is not taken in again, so that it is not passed round for ever.
 * Of a generation that a lost host may come back with, its token is kept.
 */
#ifndef BYN_DIST_REGISTRY_H
#define BYN_DIST_REGISTRY_H

#include "place.h"
#include "place_wire.h"
#include "tree.h"
#include "../map.h"
#include "../timers.h"

/* The children of the root of the tree. */
enum { BYN_BUCKETS = BYN_TREE_TOP };

typedef struct byn_registry {
  const byn_alloc *alloc; /* must outlive it */
  byn_map places, hosts;
  byn_host *self; /* this machine: what others say of its registers is not
                     taken in; NULL: all is */
  bool new_hosts; /* places name some that no peer is known by */
  byn_tree tree;
  byn_sweep review, recount;
  byn_place *dirty, *dirty_last;
  uint64_t touched, looked_at; /* so many came into that queue, and left it */
  byn_place *published, *published_last;
  byn_timers *ends; /* by the stamp of the oldest end of a place */
  uint64_t clock;   /* the last stamp, given or seen */
  int64_t clock_at; /* when that was */
  int64_t now, wall;
  uint64_t keep_ended; /* in stamps */
  uint64_t sooner;     /* by so much less those for want of messages */
  uint32_t keep_count;
  uint64_t forgotten; /* ends up to here were dropped for there were too many */
  /* Generations that began between these stamps, and whose ends are forgotten:
   * a host that was lost then may come back with them (0: none was). */
  uint64_t recall_from, recall_to;
  byn_map recalled; /* by their tokens */
} byn_registry;

bool byn_registry_init(byn_registry *r, const byn_alloc *alloc,
                       uint32_t keep_count, int64_t keep_ms);
/* How many ends are kept, and for how long. */
void byn_registry_keep(byn_registry *r, uint32_t count, int64_t ms);
void byn_registry_clear(byn_registry *r);

/* --- the clock ------------------------------------------------------------ */

void byn_registry_time(byn_registry *r, int64_t now, int64_t wall);
/* The time as a stamp; a stamp greater than all given and seen; one was seen.
 */
uint64_t byn_registry_clock(const byn_registry *r);
uint64_t byn_registry_stamp(byn_registry *r);
void byn_registry_saw(byn_registry *r, uint64_t stamp);

/* --- hosts ---------------------------------------------------------------- */

/* Made if it is new; NULL when memory is short. */
byn_host *byn_registry_host(byn_registry *r, const char *name, size_t n,
                            uint64_t incarnation);
/* Frees those that nothing names any more. */
void byn_registry_sweep_hosts(byn_registry *r);
/* Its life is over, for sure: what it wrote counts in no digest any more. It
 * counts in all else until the host is gone, and is forgotten when that is
 * `dropped`. Or that life is not over after all. */
void byn_registry_host_over(byn_registry *r, byn_host *h, bool over);
/* `dropped` was set: what it wrote is forgotten, by and by. */
void byn_registry_drop_host(byn_registry *r, byn_host *h);
/* No digest has anything left that it is not to have. */
static inline bool byn_registry_is_settled(const byn_registry *r) {
  return !r->recount.under_way;
}

/* --- places --------------------------------------------------------------- */

byn_place *byn_registry_find(const byn_registry *r, const byn_dist_id *id);
/* Made if it is new; NULL when memory is short. */
byn_place *byn_registry_place(byn_registry *r, const byn_dist_id *id);
static inline byn_dist_id byn_place_id(const byn_place *p) {
  return (byn_dist_id){p->key, p->key_size, p->hash};
}

/* It is not what it was. */
void byn_registry_changed(byn_registry *r, byn_place *p);
/* Nothing changed in it, but around it. */
void byn_registry_touch(byn_registry *r, byn_place *p);
/* Others are to hear of it; `spec`: of all of it. */
void byn_registry_publish(byn_registry *r, byn_place *p, bool spec);
/* It was looked at, and is to be once more, before all others. */
void byn_registry_touch_again(byn_registry *r, byn_place *p);
/* What was in the queue when so many had been touched has been looked at. */
static inline bool byn_registry_has_looked(const byn_registry *r,
                                           uint64_t touched) {
  return r->looked_at >= touched;
}
/* The next of each queue, which it leaves, or NULL. */
byn_place *byn_registry_next_dirty(byn_registry *r);
byn_place *byn_registry_next_published(byn_registry *r);
/* Every place is to be looked at again: by and by, when no other is. */
void byn_registry_review(byn_registry *r);
/* Has every place been looked at that is to be? */
static inline bool byn_registry_is_reviewed(const byn_registry *r) {
  return !r->dirty && !r->review.under_way;
}
/* Goes on with the recount: so many places at most, but for those of equal
 * hashes. Answers how many. */
uint32_t byn_registry_go_on(byn_registry *r, uint32_t places);

/* Hosts are lost that had heard, when they were seen last, of generations of
 * these stamps, and maybe not of all: as long as there are such hosts, the
 * tokens of those that end are kept longer than their ends. 0, 0: there are
 * none. */
void byn_registry_recall(byn_registry *r, uint64_t from, uint64_t to);
/* Ends that are old, or too many, are forgotten. */
void byn_registry_expire(byn_registry *r);
/* The stamp before which an end is too old to be kept or taken in. */
uint64_t byn_registry_horizon(const byn_registry *r);

/* Nothing is known of it, and nothing points to it: takes it out. The caller
 * frees it with byn_registry_free_place. */
bool byn_registry_is_idle(const byn_place *p);
void byn_registry_remove(byn_registry *r, byn_place *p);
void byn_registry_free_place(byn_registry *r, byn_place *p);

/* Takes in an entry that was checked. `new_before`: generations that are not
 * known here and are older than this stamp were over long ago, and are ended
 * (0: none are). `scratch`: room for one generation. The place is NULL where
 * nothing of it was taken. */
byn_merged byn_registry_merge(byn_registry *r, const uint8_t *bytes, size_t n,
                              const byn_entry_view *entry, uint64_t new_before,
                              byn_generation_view *scratch, byn_place **place);

#endif
