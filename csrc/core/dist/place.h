/* One child as the cluster knows it: its place, and the only order over places.
 *
 * A place is a set of generations. A generation is one start_child up to its
 * terminate_child or last end; its token names it everywhere. It has a
 * register for each host, a life of a node's supervisor, which that host alone
 * writes.
 *
 *   merged by              what
 *   token                  generations: union
 *   end                    final; of two the greater (stamp, why, bytes) stays
 *   end of a failed start  final, unless it did run: then it goes on
 *   host, greater version  registers
 *   greater version        failures
 *   greater                `idle`
 *   greater stamp          the preference
 *   or                     `ran`, `kept`, the spec
 *
 * So merging is commutative, associative and idempotent, and no order in which
 * places travel can matter. One thing has to be told again: what was dropped
 * with the end of a failed start, where it turns out that it did run. What
 * runs, and which of several runs stays, are functions of the set and of which
 * hosts are gone.
 *
 * Of a generation that has ended only the end is kept. Of each id the newest
 * BYN_PLACE_ENDS of them are: `floor` is the stamp up to which generations are
 * over, whether this place has heard of them or not.
 */
#ifndef BYN_DIST_PLACE_H
#define BYN_DIST_PLACE_H

#include "../backoff.h"
#include "blob.h"
#include "dist.h"
#include "../timers.h"

enum {
  BYN_PLACE_ENDS = 8,         /* kept of an id */
  BYN_PLACE_GENERATIONS = 32, /* of a place on the wire */
  BYN_PLACE_REGISTERS = 64    /* of a generation */
};

/* What a generation keeps of the flags of its start. */
#define BYN_PLACE_FLAGS                                                        \
  ((uint64_t)(BYN_DIST_TEMPORARY | BYN_DIST_TRANSIENT | BYN_DIST_NESTED |      \
              BYN_DIST_ENTITY))

/* A stamp is of a hybrid clock: 1024 a millisecond, since 1970, the greater
 * of this node's clock and of all that it has seen. Stamps and versions stay
 * below; what is greater is malformed. */
#define BYN_STAMP_MAX ((uint64_t)1 << 53)

/* One life of a node's supervisor. `gone`: it is lost or dead, so its
 * registers count for nothing. */
typedef struct byn_host {
  struct byn_host *next; /* of the same hash */
  uint64_t hash;
  uint64_t incarnation;
  uint32_t registers; /* that name it */
  bool gone;
  bool unseen;  /* not connected: what it runs is not shown */
  bool over;    /* for sure: its registers count in no digest */
  bool dropped; /* its registers are to be dropped, and are not taken in; it is
                   `over`, too */
  bool named;   /* by a peer: not freed */
  size_t name_size;
  char name[];
} byn_host;

typedef enum byn_register_state {
  BYN_REGISTER_NONE,
  BYN_REGISTER_STARTING,
  BYN_REGISTER_RUNNING,
  BYN_REGISTER_WAITING, /* it failed too often; tried again there */
  BYN_REGISTER_REFUSED  /* this host cannot start this generation */
} byn_register_state;

typedef struct byn_register {
  struct byn_register *next; /* by name, then by incarnation */
  byn_host *host;
  uint64_t version; /* of this register; never 0 */
  uint64_t run;     /* the token of the process; RUNNING and later */
  uint64_t begun;   /* its stamp */
  uint64_t history; /* when the first process began whose state this one
                       carries on; `begun` where it was given none */
  uint64_t awoke;   /* the last stamp at which its host went on after it stood
                       still so long that others may have taken the child
                       over; 0: it has not since `begun` */
  uint8_t state;
  uint8_t why; /* of the last end, or of the refusal */
  bool moving; /* RUNNING, and about to stop: messages for the child are held
                  (move.h) */
  byn_blob pid, reason;
} byn_register;

typedef struct byn_end {
  uint64_t stamp;
  uint8_t why;
  byn_blob reason, pid; /* pid: of its last process */
  byn_blob node;        /* where it ended, or who refused */
} byn_end;

typedef struct byn_failures {
  uint64_t version; /* a stamp */
  uint32_t count;
  uint8_t why;
  byn_blob reason;
} byn_failures;

/* Where the next process of a generation is to start, if that node takes part:
 * its last process was moved there (move.h). */
typedef struct byn_preference {
  uint64_t stamp;          /* of the move; 0: it was never moved */
  uint64_t epoch, version; /* of the checkpoint that it left with; 0: none */
  bool stays;              /* it is there by name: rebalancing leaves it */
  byn_blob node;
} byn_preference;

/* What a process of a generation wrote for the next one, as far as this node
 * holds it (checkpoint.h). It is no part of what is merged. */
typedef struct byn_checkpoint {
  uint64_t epoch, version; /* in this order: an older replaces no newer */
  uint64_t history;        /* as in a register; 0: of a process that has not
                              begun */
  bool handed;             /* handoff returned it, nobody has resumed it yet */
  byn_blob bytes;
} byn_checkpoint;

typedef struct byn_generation {
  struct byn_generation *next; /* by stamp, then by token */
  uint64_t token, stamp;
  uint8_t flags; /* of BYN_PLACE_FLAGS */
  bool ended;
  bool ran;          /* some process of it did once */
  bool kept;         /* it has written a checkpoint once */
  bool may_have_run; /* so may one of a dead host; others are not told */
  bool spec_set;     /* the rest of this block is known: until then it is not
                        started here */
  bool withheld;     /* its spec, from this node: of no account to others */
  bool own_backoff;
  /* Of an entity: twice the stamp at which its process was stopped, as no
   * message had come for it, and 1 more; or twice that at which it was woken
   * since. 0: neither. */
  uint64_t idle;
  byn_blob node; /* pinned to it */
  byn_blob spec;
  int64_t backoff_min, backoff_max;
  double backoff_factor, backoff_jitter;
  byn_failures failures;
  byn_preference preference;
  bool arrives; /* it was moved here, as a peer just said: until the place is
                   looked at. It is no part of what is merged. */
  byn_end end;
  uint32_t register_count;
  byn_register *registers;
  byn_checkpoint *checkpoint; /* NULL: none is held here */
} byn_generation;

struct byn_run;
struct byn_request;

/* The links belong to the registry. */
typedef struct byn_place {
  uint64_t hash;
  uint32_t key_size;
  uint32_t live, ends; /* generations that have not ended, and that have */
  uint64_t floor;
  byn_generation *generations;
  uint64_t digest;
  /* What was shown last: the pid and the run, absent and 0 if none. */
  byn_blob shown;
  uint64_t shown_run, shown_token;
  byn_host *shown_host; /* where; counts as one register */
  struct byn_run *run;  /* this node's own */
  struct byn_request *requests;
  struct byn_place *same_hash, *before, *after;
  struct byn_place *next_dirty, *next_published;
  struct byn_place *next_conflict, *next_lacking;
  byn_timer expiry;    /* of its oldest end */
  uint64_t expires_at; /* the stamp of that end, or of the floor */
  bool dirty, published, publish_spec, conflicting, lacking;
  bool held; /* HOLD was told */
  uint8_t key[];
} byn_place;

/* A generation as somebody told it: views into his bytes. */
typedef struct byn_register_view {
  byn_dist_bytes node;
  uint64_t incarnation, version, run, begun, history, awoke;
  uint8_t state, why;
  bool moving;
  byn_dist_bytes pid, reason;
  byn_host *host; /* for byn_place_merge: looked up by its caller; NULL: this
                     register is not taken */
  bool own;       /* of this machine, which knows better what it does */
} byn_register_view;

typedef struct byn_generation_view {
  uint64_t token, stamp, flags, idle;
  bool ended, ran, kept, spec_set, withheld, own_backoff;
  byn_dist_bytes node, spec;
  int64_t backoff_min, backoff_max;
  double backoff_factor, backoff_jitter;
  uint64_t failures_version, failures_count;
  uint8_t failures_why;
  byn_dist_bytes failures_reason;
  uint64_t moved_stamp, moved_epoch, moved_version;
  bool moved_stays, arrives;
  byn_dist_bytes moved_node;
  uint64_t end_stamp;
  uint8_t end_why;
  byn_dist_bytes end_reason, end_pid, end_node;
  uint32_t register_count;
  byn_register_view registers[BYN_PLACE_REGISTERS];
} byn_generation_view;

typedef enum byn_merged {
  BYN_MERGED_SAME,
  BYN_MERGED_NEWS,
  BYN_MERGED_NO_MEMORY /* what had been taken in stays */
} byn_merged;

/* Takes in one generation. */
byn_merged byn_place_merge(byn_place *p, const byn_alloc *alloc,
                           const byn_generation_view *view);
/* Generations up to that stamp are over; true if that is news. */
bool byn_place_raise_floor(byn_place *p, const byn_alloc *alloc,
                           uint64_t floor);
byn_generation *byn_place_find(const byn_place *p, uint64_t token);
/* Prefers a node from now on, of a generation that goes on; false when memory
 * is short. */
typedef struct byn_preferred {
  uint64_t stamp, epoch, version;
  bool stays;
  byn_dist_bytes node;
} byn_preferred;
bool byn_generation_prefer(byn_generation *g, const byn_alloc *alloc,
                           const byn_preferred *what);
/* Ends it for good. What finds no memory is left out. */
typedef struct byn_end_reason {
  uint8_t why;
  byn_dist_bytes reason, pid;
  const char *node;
} byn_end_reason;
void byn_place_end(byn_place *p, const byn_alloc *alloc, byn_generation *g,
                   uint64_t stamp, const byn_end_reason *reason);
/* Holds a checkpoint in place of the one that it has; false when memory is
 * short, the old one then stays. Of a generation that goes on. */
bool byn_generation_hold(byn_generation *g, const byn_alloc *alloc,
                         uint64_t epoch, uint64_t version, bool handed,
                         byn_dist_bytes bytes);
void byn_generation_drop_checkpoint(byn_generation *g, const byn_alloc *alloc);
/* The stamp that says how old an end is. One for want of messages counts as
 * `sooner` older than it is: there may be very many, and who comes back with
 * such a generation does no harm. */
static inline uint64_t byn_end_age(uint64_t stamp, uint8_t why,
                                   uint64_t sooner) {
  if (why != BYN_DIST_WHY_IDLE) return stamp;
  return stamp > sooner ? stamp - sooner : 1;
}
/* Forgets a generation that nobody else was told of, if it is there. */
void byn_place_drop(byn_place *p, const byn_alloc *alloc, uint64_t token);
/* Forgets ends that are older than a stamp; true if there were any. */
bool byn_place_expire(byn_place *p, const byn_alloc *alloc, uint64_t before,
                      uint64_t sooner);
/* Forgets what `dropped` hosts wrote; true if there was anything. */
bool byn_place_drop_hosts(byn_place *p, const byn_alloc *alloc);
void byn_place_clear(byn_place *p, const byn_alloc *alloc);

/* Its host starts or runs it, or will start it after a wait. */
static inline bool byn_register_is_active(const byn_register *r) {
  return r->state == BYN_REGISTER_STARTING ||
         r->state == BYN_REGISTER_RUNNING || r->state == BYN_REGISTER_WAITING;
}

/* The register of a host, or NULL; and made if there is none (version 0: to be
 * written), or NULL when memory is short. Of a generation that goes on. */
byn_register *byn_register_find(const byn_generation *g, const byn_host *host);
byn_register *byn_register_of(byn_generation *g, const byn_alloc *alloc,
                              byn_host *host);

/* The register of the process that is the child's: of all RUNNING on hosts
 * that are not gone the first of one total order; NULL if there is none.
 *
 *   1. the oldest history
 *   2. the oldest process; one whose host stood still since counts from when
 *      that awoke: others took the child over and went on meanwhile
 *   3. the oldest process, and the least run
 *
 * `newest`: the youngest process, whatever it carries on, then the greatest
 * run. Each is written by the host of the process alone, so that nodes with the
 * same registers choose the same process, in whatever order they came. */
byn_register *byn_place_running(const byn_place *p, bool newest,
                                byn_generation **of);
/* The same among hosts that are connected: what may be shown. */
byn_register *byn_place_seen(const byn_place *p, bool newest,
                             byn_generation **of);
/* Of two generations of an id that go on, may the second be ended for the sake
 * of the first? One order, whoever runs them: nodes that do not know of each
 * other's processes would otherwise each end the other's generation, and both
 * would be gone. */
bool byn_generation_outlasts(const byn_generation *g,
                             const byn_generation *other, bool newest);
/* Of the generations that go on the one that counts; NULL if none does. */
byn_generation *byn_place_live(const byn_place *p, bool newest);
/* A register that is STARTING, RUNNING or WAITING on a host that is not gone:
 * nobody else may start it. NULL if there is none. */
byn_register *byn_generation_active(const byn_generation *g);

/* Its process was stopped for want of messages, and nobody starts it until it
 * is woken. */
bool byn_generation_is_idle(const byn_generation *g);

/* Some host but that one (NULL: some host) runs it, or may by now: a lost one
 * goes on as it was. */
bool byn_generation_may_run(const byn_generation *g, const byn_host *but);

/* Its last process was stopped to be moved, and no other has begun since, as
 * far as is known. */
bool byn_generation_is_on_its_way(const byn_generation *g);

/* It ran, or a host that is gone was about to start it: who asked for it may
 * have been answered. */
bool byn_generation_may_have_run(const byn_generation *g);

/* A hash of all that nodes must agree on: not of the specs, which a node may
 * lack (want.h), nor of what hosts wrote whose lives are over, which each
 * forgets in its own time. */
uint64_t byn_place_digest(const byn_place *p);

#endif
