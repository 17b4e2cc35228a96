/* What the parts of a byn_dist share: the object, peers, runs, requests. Only
 * the files of this folder include it.
 */
#ifndef BYN_DIST_PARTS_H
#define BYN_DIST_PARTS_H

#include "dist.h"
#include "registry.h"
#include "../intensity.h"
#include "../map.h"
#include "../ring.h"
#include "../rng.h"
#include "../timers.h"

/* --- cohort: another node ------------------------------------------------- */

/*   UNKNOWN --> GREETING --> IN_STEP --> READY --> LEAVING
 *      |   node_up  |  both have  |  each let the other in
 *      |  or hello  |  sent all
 *      '------------+------+------'----> SUSPECT --> LOST
 *         hearsay     link or coordinator    '-----> DEAD
 *                     gone                    proven
 *
 * and from SUSPECT, LOST and DEAD back to GREETING when it is heard again, from
 * LOST to SUSPECT when another peer sees it.
 * LOST and DEAD: `host->gone`, its children are taken over. */
typedef enum byn_peer_state {
  BYN_PEER_UNKNOWN,
  BYN_PEER_GREETING,
  BYN_PEER_IN_STEP,
  BYN_PEER_READY,
  BYN_PEER_LEAVING,
  BYN_PEER_SUSPECT,
  BYN_PEER_LOST,
  BYN_PEER_DEAD
} byn_peer_state;

/* Of the quorum, where that is a list of nodes: is it in that? */
typedef enum byn_named {
  BYN_NAMED_UNKNOWN,
  BYN_NAMED,
  BYN_NOT_NAMED
} byn_named;

struct byn_run;

/* A run's checkpoint at one other node that is to hold it.
 *
 *   IDLE --> QUEUED --> SENT --> IDLE
 *     sent when the peer has confirmed enough of what went before */
typedef enum byn_copy_state {
  BYN_COPY_IDLE,
  BYN_COPY_QUEUED, /* in peer->copies_queued */
  BYN_COPY_SENT    /* in peer->copies_sent */
} byn_copy_state;

typedef struct byn_copy {
  struct byn_copy *before, *after;
  struct byn_run *run;
  struct byn_peer *peer; /* NULL: this one is free */
  uint64_t life;         /* of the peer */
  byn_copy_state state;
  size_t size;             /* SENT: bytes that are not confirmed */
  uint64_t epoch, version; /* what it said last that it holds; 0: nothing */
  uint64_t sent_epoch, sent_version;
  bool refused; /* it held that in place of what was sent: again at
                   the next tick */
} byn_copy;

typedef struct byn_copy_list {
  byn_copy *first, *last;
} byn_copy_list;

typedef struct byn_packet {
  struct byn_packet *next;
  byn_buf bytes;
} byn_packet;

/* What a peer is being answered that compares what it has (dump.h). */
typedef struct byn_dump {
  byn_blob asked; /* the body of its COMPARE; absent: none */
  uint64_t seq;   /* of it */
  size_t at;      /* in it, behind the leaf that is being sent */
  bool in_leaf;
  uint64_t from;          /* of that leaf, the next hash */
  uint32_t ahead;         /* batches that are not confirmed */
  struct byn_peer *doubt; /* it says that this one's life is over, which is
                             seen here: until that is clear, or a while */
  int64_t doubt_until;
} byn_dump;

/* What this node takes from a peer, as far as they differ (pull.h).
 *
 *   IDLE --> ROOT --> WAITING --> TURN --> WALKING --> IDLE
 *     due     |  the root differs  |  nobody else's    |
 *             '--------------------+------ equal ------' */
typedef enum byn_pull_state {
  BYN_PULL_IDLE,
  BYN_PULL_ROOT,    /* the root is being compared */
  BYN_PULL_WAITING, /* for its turn */
  BYN_PULL_TURN,    /* the root is compared once more: much came since */
  BYN_PULL_WALKING
} byn_pull_state;

enum { BYN_PULL_ASKED = 256 }; /* nodes in one COMPARE */

typedef struct byn_branch {
  byn_span span;
  uint64_t left; /* its children that are still to be compared */
} byn_branch;

typedef struct byn_walk {
  byn_span asked[BYN_PULL_ASKED]; /* the nodes of the last COMPARE */
  uint32_t asked_count;
  bool answered; /* it was; the next is due */
  bool wants;    /* specs that are lacking have been asked for */
  byn_branch *branches;
  uint32_t depth, room;
} byn_walk;

typedef struct byn_pull {
  byn_pull_state state;
  uint64_t due, due_round; /* of the next one: children of the root; 0: none */
  uint64_t wanted, round;  /* of the one under way; round: of suspicion, or 0 */
  uint64_t seq;            /* of the last COMPARE */
  uint64_t differ;         /* children of the root */
  uint64_t walks;          /* of this node, when the root was compared */
  uint32_t heard;          /* answers and batches of late */
  int64_t judged_at;       /* since when */
  bool slow;               /* others do not wait for it */
  byn_walk *walk;
} byn_pull;

/* What a peer is to be told of a SYNC of its (sync.h). */
typedef struct byn_ack {
  uint64_t seq;     /* 0: none */
  uint64_t touched; /* what it was about has been shown when so many places
                       were looked at (registry.h) */
  bool told;        /* that it is here */
} byn_ack;

typedef struct byn_peer {
  struct byn_peer *next; /* by name */
  struct byn_peer *same; /* the next one whose name has its hash */
  byn_peer_state state;
  byn_host *host; /* its life; NULL before it is known */
  bool connected;
  bool matched;       /* both know the other's session */
  bool hosts;         /* it says that it runs children */
  bool member;        /* it takes part: in the ring if it hosts */
  bool in_ring;       /* was, when the ring was made */
  bool got_all;       /* what it had to tell is here */
  bool sent_all;      /* and it has what this node had */
  bool let_in;        /* it said that it is ready, and is in the ring here */
  bool untold;        /* the others are not told yet that it is READY */
  bool unnamed;       /* see byn_relay_hear_seen */
  bool proven;        /* its life is over for sure */
  bool regreet;       /* something for it found no memory */
  bool told_up;       /* NODE_UP */
  bool connect;       /* CONNECT is due */
  bool terminates;    /* NODE_TERMINATE is due */
  bool leaving;       /* it said so */
  bool told_differs;  /* its list of nodes */
  bool unheard;       /* not heard since the last long gap */
  uint32_t refused;   /* of its packets, of late */
  uint64_t limit;     /* bytes of a packet that it takes; 0: as by default */
  bool told_withheld; /* WITHHELD */
  int64_t regreet_at; /* after one was refused; 0: none was */
  uint64_t told_life; /* of NODE_UP */
  uint64_t session, theirs; /* of the connection: this side's, its side's */
  uint64_t met, told_met;   /* number of the session since both know it; up to
                               which it was told whom this node sees */
  uint64_t acked_round;     /* of this node's readiness */
  /* Suspicion: of the rounds of questions, the last that it was asked in, it
   * answered, it was judged in, and somebody saw it in. */
  uint64_t asked_round, answered_round, judged_round, seen_round;
  uint64_t acked_seq;    /* of publications */
  uint64_t shown_seq;    /* and what was published is shown there */
  uint64_t told_seq;     /* of the one behind all that it was told, while
                            something waited for that (move.h); 0: nothing */
  uint64_t ready_seq;    /* of those that went before the last READY to it */
  uint64_t pulled_round; /* of suspicion: what it knew then is here */
  uint64_t differ;       /* children of the root that differed last time */
  uint64_t differ_by[BYN_BUCKETS]; /* and by how much: of their digests */
  uint32_t differed;    /* so often in a row, and nothing was done about it */
  uint32_t differ_turn; /* which of them are pulled then */
  uint64_t pulled;      /* and that was of no use */
  uint32_t rest, rests; /* so often they are left alone then: now, and the next
                           time */
  uint64_t contact;     /* the stamp of when it was heard last, before a gap,
                           and all that it had to tell was here */
  uint64_t over_before; /* see byn_registry_merge; 0 without such a gap */
  int64_t hello_at, hello_wait; /* when HELLO is repeated, and how long after
                                   the one before */
  int64_t greeted_at, expected_until, suspect_at, asked_at, gone_at;
  struct byn_peer *via; /* a peer that says that it sees it, or NULL */
  int64_t missed_until; /* somebody has lost sight of it */
  /* Quorum (quorum.h): when the last question was asked that it answered, and
   * when it was answered last; what it says of itself; the last round of
   * suspicion in which its answer counted. */
  bool answers, was_answered, told_quorum;
  byn_named named;
  uint8_t said;
  int64_t answer_asked_at, answered_at;
  int64_t bound; /* it says: so long after that its processes have ended */
  uint64_t voted_round;
  int64_t idle_at; /* since when nothing needs it; 0: something does */
  byn_ack acks[2]; /* the first, and the last behind it */
  byn_dump dump;
  byn_pull pull;
  byn_copy_list copies_queued, copies_sent;
  size_t copies_size; /* bytes of copies_sent */
  /* Of what is collected (collect.h): the last that it answered, and the last
   * that it was asked for; 0: it was asked for none since. */
  uint64_t collected, collect_asked;
  int64_t collect_owed; /* since when it owes an answer; 0: it owes none */
  byn_packet *packets, *last_packet;
  byn_blob nodes; /* its list, as in HELLO; absent: none */
  byn_blob leave_reason;
  size_t name_size;
  char name[];
} byn_peer;

/* --- reconcile: a child on this node -------------------------------------- */

/* There is none before the first start of a generation here, nor after it
 * ended or went elsewhere.
 *
 *   QUEUED --> STARTING --> RUNNING --> STOPPING
 *     ^            |           |    <--- a handoff failed
 *     |            |           |            |
 *     |-- WAITING <+-----------' too many   | (entity.h)
 *     |                          crashes    |
 *     '-- IDLE <----------------------------' */
typedef enum byn_run_state {
  BYN_RUN_QUEUED,
  BYN_RUN_STARTING,
  BYN_RUN_RUNNING,
  BYN_RUN_STOPPING,
  BYN_RUN_WAITING,
  BYN_RUN_IDLE
} byn_run_state;

struct byn_run_list;
struct byn_move;

enum { BYN_COPIES = 5 };

typedef struct byn_run {
  struct byn_run *before, *after;
  struct byn_run_list *list; /* that it is in, or NULL */
  struct byn_run_list *from; /* under way: the list that START took it from */
  byn_place *place;
  uint64_t token; /* of the generation */
  byn_run_state state;
  uint32_t child; /* of the last START; 0 before it */
  bool under_way; /* START was taken, and nothing reported since */
  bool again;     /* not the first start here */
  uint8_t stop_why;
  uint64_t id, begun; /* of the process: its token, its stamp */
  uint64_t epoch;     /* of what the process of the last START writes */
  uint64_t history;   /* as in its register; 0: its process was given no state
                         and has not begun */
  uint64_t rivals;    /* of the copies that it was found to win against */
  bool loses;         /* another copy was to stay, when it was looked at last */
  bool drops;         /* it has no checkpoint, and a copy that may have written
                         some was let know that it may stop */
  bool collected;     /* this node holds the newest checkpoint */
  bool gone;          /* STOPPING, and the process has ended: its checkpoint
                         is on its way to others */
  byn_blob gone_reason;
  uint64_t sought; /* its number among those that are collected */
  int64_t sought_at;
  byn_copy *copies;      /* BYN_COPIES of them; NULL: it has no checkpoint */
  struct byn_move *move; /* that its process is in, or NULL (move.h) */
  int64_t stays_until;   /* it is not moved before, but by name */
  int64_t confirm_at;    /* not asked again before */
  int64_t retry_at;
  byn_blob pid, winner;
  byn_intensity intensity;
  byn_backoff backoff; /* its timer: of the wait, or until it is healed */
} byn_run;

typedef struct byn_run_list {
  byn_run *first, *last;
  uint32_t count;
  uint32_t under_way; /* that left it by START */
} byn_run_list;

/* --- requests ------------------------------------------------------------- */

typedef enum byn_request_state {
  BYN_REQUEST_OPENING, /* nobody was asked yet */
  BYN_REQUEST_ASKED,   /* its owner, or the hosts of what is to end */
  BYN_REQUEST_COPYING, /* it runs; not enough nodes hold it */
  BYN_REQUEST_ANSWERED
} byn_request_state;

typedef struct byn_request {
  struct byn_request *before, *after; /* all that wait; or the answers */
  struct byn_request *same_place;
  byn_request_state state;
  uint64_t number;
  bool terminates, keeps, moves; /* none: a start */
  bool found;                    /* terminate: there was something */
  bool async;                    /* keep: answered as soon as it is here */
  uint64_t epoch, version;       /* keep: of the checkpoint */
  uint32_t child;                /* keep: whose process wrote it */
  uint64_t token, stamp;
  uint64_t touched; /* ANSWERED: what it is about has been shown when so many
                       places were looked at (registry.h) */
  byn_place *place;
  uint32_t flags;
  bool own_backoff;
  byn_backoff backoff;
  byn_blob spec, node;
  int64_t deadline, retry_at;
  byn_timer timer;
  byn_peer *asked;
  uint64_t seq; /* COPYING: this publication is to be acknowledged */
  byn_dist_code code;
  byn_blob pid, reason, where;
} byn_request;

typedef struct byn_told {
  struct byn_told *next;
  byn_dist_event event;
  byn_dist_why why;
  uint32_t count, child;
  int64_t wait_ms;
  bool joined, escalates, resolves;
  byn_blob key, node, from, pid, other_pid, reason, state;
  uint64_t hash;
  const char **names;
  uint32_t name_count;
} byn_told;

enum { BYN_TIMER_RUN = 1, BYN_TIMER_REQUEST, BYN_TIMER_MOVE };

/* PROBE was told, and not answered yet. */
typedef struct byn_probe {
  struct byn_probe *next;
  uint64_t number, token, run;
  byn_blob key, peer;
  uint64_t hash;
} byn_probe;

enum { BYN_LOOKS_SHOWN = 32 };

/* Requests that are answered without a place. */
enum { BYN_FAILED_REQUESTS = 64 };

typedef struct byn_failed_request {
  uint64_t number;
  byn_dist_code code;
} byn_failed_request;

/* --- quorum.h ------------------------------------------------------------- */

typedef enum byn_quorum_state {
  BYN_QUORUM_OFF,
  BYN_QUORUM_LACKS,
  BYN_QUORUM_GAINING,
  BYN_QUORUM_HAS,
  BYN_QUORUM_STOPPING
} byn_quorum_state;

typedef struct byn_quorum {
  byn_quorum_state state;
  uint32_t needed;
  uint32_t all;   /* more nodes than that there are not */
  byn_blob names; /* of these; absent: of all that run children */
  int64_t stop_ms;
  int64_t born; /* it knows whom it answered since */
  int64_t next_beat;
  int64_t gained_at; /* it was seen again */
  int64_t undecided_until;
  bool lost; /* told so, or to be */
  bool tell; /* QUORUM is due */
  int64_t kill_ms;
} byn_quorum;

/* --- the object ----------------------------------------------------------- */

struct byn_dist {
  byn_alloc alloc;
  byn_dist_check check;
  void *check_ud;
  byn_blob name, node;
  uint32_t replicas, start_concurrency, max_children;
  bool newest, escalate;
  uint32_t max_restarts;
  int64_t max_ms;
  byn_backoff backoff;
  size_t max_spec, max_packet, max_checkpoint;
  int64_t keep_ended_ms;
  int64_t heartbeat_ms, down_after_ms;

  byn_registry registry;
  byn_rng rng;
  byn_timers *timers;
  byn_host *self;
  int64_t now, next_tick, asked_at;

  byn_quorum quorum;

  bool attached;
  bool open;        /* it serves what it owns, and takes over */
  bool opened_once; /* since it was attached */
  bool leaving, held;
  bool awoke;               /* just now, after it stood still for long */
  bool hosts, hosts_wanted; /* it runs children; if the list allows it */
  bool drained, draining;   /* it runs none by drain; what runs here moves */
  bool starved; /* something to be shown, or a run, found no memory */
  byn_blob leave_reason;
  byn_blob nodes; /* the option, each name as a string of the wire */

  byn_peer *peers;
  byn_map by_name; /* hash of a name -> the first of its peers */
  uint32_t peer_count;
  uint64_t sessions;  /* the last one given */
  uint64_t round;     /* of readiness */
  uint64_t ask_round; /* of suspicion */
  bool round_over;    /* all that count have answered that one */
  /* Since the last long gap: until when it is held, the round of questions
   * that began then, the last session before. */
  int64_t held_until;
  uint64_t held_round, held_session;
  uint64_t seq; /* of publications */
  uint64_t met; /* sessions that began, and of which all peers were told */
  uint64_t told_met;
  bool untold;     /* some peers are READY of whom the others are not told, */
  int64_t tell_at; /* which they are not before that */
  bool sync_due;   /* peers are to acknowledge seq */
  bool review_due, peers_due, open_due;
  bool retake_room, retake_all; /* refusals of this node may be over */
  byn_peer *digest_turn;        /* who is told digests next; NULL: the first */
  uint64_t walks;               /* that are over: of pulls */
  /* Until the time is told again: places that may still be looked at, where
   * what is shown or stopped counts as BYN_LOOKS_SHOWN, and batches that may be
   * sent. What is left over is done then. */
  uint32_t looks, batches;
  bool behind;    /* something is left over that shows in nothing else */
  bool dumps_due; /* some is to go on */

  byn_ring *ring;
  byn_peer **ring_peers; /* by their index in the ring; NULL: this node */
  uint32_t *successors;  /* room for all of them */
  uint32_t ring_count, ring_capacity;
  bool ring_due;

  byn_map children; /* runs by their last START */
  uint32_t last_child, run_count, refusals;
  uint32_t idle_count; /* runs that are IDLE */
  byn_run_list first_starts, nested_starts, restarts, stops;
  byn_run_list collecting; /* before restarts: by `sought` */
  uint64_t last_sought;
  uint32_t copied_runs; /* that have copies */
  bool copies_due;      /* some may be sent */
  bool copies_refused;  /* some are to be sent again at the next tick */
  bool spares_due;      /* this node may hold some for no need */
  byn_sweep spares;     /* looks for them */
  uint32_t spares_told; /* in this sweep */
  uint32_t idle_held;   /* while it leaves: of idle entities that it holds */
  int64_t leave_until; /* it does not wait any longer for others to hold them */
  int64_t retake_at, retake_wait; /* refusals; 0: there are none */
  byn_intensity intensity;        /* of all children: `escalate` */
  byn_place *conflicts;
  byn_place *lacking, *last_lacking; /* that lack a spec (want.h) */
  int64_t want_at, want_wait;
  uint32_t shown_here, shown, shown_held;

  byn_run_list moves;   /* that wait for their turn (move.h) */
  byn_run_list holding; /* by the publication that is to be acknowledged */
  uint32_t move_count;  /* all */
  uint32_t moves_begun; /* that do not wait */
  uint64_t moves_made;
  uint32_t per_second;
  int64_t handoff_ms;
  byn_probe *probes;
  uint32_t probe_count;
  uint64_t last_probe_number;

  byn_map tokens; /* requests by theirs */
  byn_request *requests, *last_request;
  byn_request *answers, *last_answer;
  byn_failed_request failed[BYN_FAILED_REQUESTS];
  uint32_t failed_count;
  byn_told *told, *last_told;

  /* What the last action shows. */
  byn_packet *taken_packet;
  byn_request *taken_request;
  byn_told *taken_told;
  byn_place *taken_place;
  byn_blob taken_pid, taken_reason;

  byn_buf scratch;
  byn_generation_view view;
};

/* Runs that count for max_children. */
static inline uint32_t byn_dist_busy(const byn_dist *d) {
  return d->run_count - d->idle_count;
}

static inline void byn_looks_count(byn_dist *d, uint32_t looks) {
  d->looks -= looks < d->looks ? looks : d->looks;
}

/* false: others are to have their turn before this goes on. */
static inline bool byn_looks_left(byn_dist *d) {
  d->behind |= d->looks == 0;
  return d->looks > 0;
}

#endif
