/* One node's part of one distributed supervisor.
 *
 * The machine is told everything: the time, messages of other nodes, what the
 * processes of its children did, what callers ask. It answers with actions.
 * It belongs to the node, not to the coordinator process, which carries the
 * actions out: a coordinator that crashed and began again finds it as it was.
 *
 *   place      one child: its generations and their runs, merged in any order
 *   registry   all children by id, their digests; hosts
 *   reconcile  what should run here, and what runs here
 *   cohort     the nodes that take part
 *   checkpoint what children wrote for their next processes
 *   quorum     whether children may run here at all
 *
 * Order of calls. byn_dist_time comes before any other input of an instant,
 * but for byn_dist_gap.
 * After each input byn_dist_next is called until it answers false; the actions
 * are carried out in their order. byn_dist_time is due again at
 * byn_dist_deadline. That may be now: what concerns very many children is done
 * in parts, one after each input, so that the owner can do other things between
 * two of them.
 *
 * Bytes (pids, reasons, specs, keys) are copied by inputs. Those of an action
 * or an answer belong to the machine and are valid until the next call that
 * is not a question (view.h). They are opaque here: the owner's encoding must
 * make equal keys equal bytes. What other nodes send is shown to `check` before
 * any of it counts. Node names are NUL-ended, at most BYN_NAME_MAX.
 *
 * Two times: `now` is of a clock that never goes back, in ms; deadlines are on
 * it. `wall` is ms since 1970, may jump, and orders what happened on different
 * nodes no worse than the clocks of these nodes agree.
 *
 * A local child passes through
 *
 *   START ---> byn_dist_started ------> byn_dist_exited
 *     |           '-- false: STOP follows, then byn_dist_exited
 *     '------> byn_dist_start_failed
 *
 * with one number for each START, never 0 and never used again. START is the
 * first start and each restart alike: the owner never restarts by itself. STOP
 * may come at any time between START and the report of the end; without a pid
 * the start is under way and is to be given up (or memory was short: `child`
 * says which process is meant). Exactly one of
 * byn_dist_start_failed and byn_dist_exited ends each START. Reports of a
 * number that is unknown or has ended are ignored.
 *
 * Failure is memory only. What could not be told to others is told later (the
 * nodes compare digests); a request that finds no memory is answered
 * BYN_DIST_NO_MEMORY; an event may be lost.
 */
#ifndef BYN_DIST_H
#define BYN_DIST_H

#include <stdbool.h>
#include <stdint.h>

#include "../alloc.h"
#include "../backoff.h"

typedef struct byn_dist byn_dist;

typedef struct byn_dist_bytes {
  const uint8_t *at; /* NULL: absent */
  size_t n;
} byn_dist_bytes;

/* What bytes of the owner's stand for. */
typedef enum byn_dist_content {
  BYN_DIST_CONTENT_KEY, /* its hash goes with it */
  BYN_DIST_CONTENT_PID,
  BYN_DIST_CONTENT_SPEC
} byn_dist_content;

/* Could the owner on another node have written them? Whether they are of use
 * here is another matter: what is sound is kept and passed on, and this node
 * may still fail to start the child (BYN_DIST_FAILED_REFUSED). So all nodes
 * answer alike, under whatever Lua. Changes nothing of the machine; may leave
 * it by longjmp. */
typedef bool (*byn_dist_check)(void *ud, byn_dist_content content,
                               byn_dist_bytes bytes, uint64_t hash);

typedef struct byn_dist_config {
  byn_alloc alloc;
  byn_dist_check check; /* NULL: all are taken */
  void *check_ud;
  const char *name; /* the supervisor's; copied */
  size_t name_len;
  const char *node; /* this node's; copied */
  /* Of this machine: greater than that of any machine that ran under this
   * name on a node of this name before, even in the same life of the node. */
  uint64_t incarnation;
  uint64_t seed;              /* for tokens and jitter */
  bool hosts;                 /* runs children */
  const char *const *nodes;   /* the option `nodes`, copied */
  uint32_t node_count;        /* NULL, 0: no such list */
  uint32_t replicas;          /* at least 1 */
  uint32_t start_concurrency; /* at least 1; of restarts as many besides, and
                                 of moves */
  uint32_t max_children;      /* 0: no limit */
  bool newest;                /* of two copies that one stays */
  bool escalate;              /* on_limit = "escalate" */
  uint32_t max_restarts;      /* BYN_UNLIMITED: no limit */
  int64_t max_ms;             /* max_seconds * 1000 */
  byn_backoff backoff;        /* min, max, factor, jitter */
  size_t max_spec;            /* bytes */
  size_t max_packet;          /* bytes that can be sent at once; 0: 16 MiB */
  size_t max_checkpoint;      /* bytes */
  uint32_t keep_ended;        /* so many ends are remembered, */
  int64_t keep_ended_ms;      /* for so long */
  int64_t heartbeat_ms;       /* of the node's links */
  int64_t down_after_ms;      /* so much silence, and a node is given up */
  int64_t handoff_ms;         /* a move may take until the process is stopped */
  uint32_t rebalance_per_second; /* moves to where the ring wants them; 0:
                                    children stay where they are */
  /* mode = "quorum" (quorum.h): so many nodes that run children, or the
   * majority of these, which are in byte order, each once; copied. Neither:
   * mode = "available". */
  uint32_t quorum_needed;
  const char *const *quorum_nodes;
  uint32_t quorum_count;
  int64_t quorum_stop_ms;
} byn_dist_config;

/* NULL when memory is short. */
byn_dist *byn_dist_new(const byn_dist_config *config, int64_t now,
                       int64_t wall);
void byn_dist_free(byn_dist *d);

/* From now on with other options: all of `config` that is no name, life, seed
 * or list `nodes`, and whether it hosts (byn_dist_set_hosts). false: memory is
 * short, and the quorum is as it was. */
bool byn_dist_configure(byn_dist *d, const byn_dist_config *config);

/* The coordinator of this node began, at first or again, or ended. A machine
 * begins detached. Detached it tells nobody anything: byn_dist_next answers
 * false. What children do is reported all the same. byn_dist_detach forgets
 * requests under way and connections: after byn_dist_attach follow
 * byn_dist_expect and byn_dist_node_up for each node. Children and local runs
 * stay. */
void byn_dist_attach(byn_dist *d, int64_t now);
void byn_dist_detach(byn_dist *d);

/* This node stood still for `ms`, until now: what others did not do meanwhile
 * says nothing about them. Precedes byn_dist_time of that time, and so each
 * node_down that the gap is the cause of; it may be told of a gap more than
 * once, as that grows. After one in which the others may have given this node
 * up, it takes over no child until it has heard them again (suspicion.h). */
void byn_dist_gap(byn_dist *d, int64_t ms, int64_t now);
void byn_dist_time(byn_dist *d, int64_t now, int64_t wall);
/* BYN_NEVER (timers.h) if nothing is to come. */
int64_t byn_dist_deadline(const byn_dist *d);

/* --- other nodes ---------------------------------------------------------- */

/* It is being connected to. Before this node starts anything it waits for it,
 * for a few seconds at most. */
void byn_dist_expect(byn_dist *d, const char *node);
/* Connected: it is greeted. If it runs no such supervisor, byn_dist_peer_away
 * follows, as soon as that is known. */
void byn_dist_node_up(byn_dist *d, const char *node);
/* Not connected any more. `proven`: its life has ended (it refused the dial,
 * said goodbye, is there as another incarnation). */
void byn_dist_node_down(byn_dist *d, const char *node, bool proven);
/* Not connected any more, as that node has given this one up: it lives. So it
 * is judged only when it was away for down_after_ms. */
void byn_dist_given_up(byn_dist *d, const char *node);
/* Its coordinator ended, or there is none, while the node lives. A
 * coordinator that begins greets the others itself. */
void byn_dist_peer_away(byn_dist *d, const char *node);
/* A message of the coordinator on `from`. false: malformed, or not what `from`
 * may say; none of it counts. As what it said is missing here then, that node
 * is greeted anew after a while. */
bool byn_dist_receive(byn_dist *d, const char *from, const uint8_t *bytes,
                      size_t n);

void byn_dist_set_hosts(byn_dist *d, bool hosts);
/* The option `nodes` has another value; NULL, 0: there is no list now. */
void byn_dist_set_nodes(byn_dist *d, const char *const *nodes, uint32_t count);
/* Out of the ring, on all nodes; then each child moves to another node, and is
 * stopped where there is none. `reason` is told to the others (NODE_TERMINATE).
 */
void byn_dist_leave(byn_dist *d, const uint8_t *reason, size_t n);
/* It has left, no child of it runs, and its last SEND was taken. */
bool byn_dist_has_left(const byn_dist *d);
/* It takes no more children, and is out of the ring; with `moves`, those that
 * run here move to others, else they stay. */
void byn_dist_drain(byn_dist *d, bool moves);
void byn_dist_undrain(byn_dist *d);
/* Once: moves what the ring wants elsewhere; stores how many that are. false
 * while some node is in doubt: nothing moves then. */
bool byn_dist_rebalance(byn_dist *d, uint32_t *count);
/* So many moves of this node's children are under way, or wait; so many have
 * been made since the machine began. */
uint32_t byn_dist_moves_pending(const byn_dist *d);
uint64_t byn_dist_moves_made(const byn_dist *d);
/* Nobody else is seen that takes part: only this node knows what should run.
 * A machine that left so is kept, and takes part again when it is attached. */
bool byn_dist_is_last(const byn_dist *d);
/* It knows what the others know, and serves, or knows that there is no quorum:
 * nobody waits for its opening. */
bool byn_dist_is_ready(const byn_dist *d);
/* There is no quorum: what does not run is not waited for. */
bool byn_dist_lacks_quorum(const byn_dist *d);

/* --- requests of callers on this node ------------------------------------- */

/* `hash`: of the key, as the ring has it (byn_ring_hash). */
typedef struct byn_dist_id {
  const uint8_t *key;
  size_t n;
  uint64_t hash;
} byn_dist_id;

#define BYN_DIST_KEY_MAX 65535

/* Neither of the first two: a permanent child. */
enum {
  BYN_DIST_TEMPORARY = 1, /* never started again */
  BYN_DIST_TRANSIENT = 2, /* not after a normal end */
  BYN_DIST_ENSURE = 4,    /* the one that runs is as good: ensure_child */
  BYN_DIST_ENTITY = 16,   /* any message starts it: byn_dist_rest */
  BYN_DIST_NESTED = 8     /* asked for by a start under way, which waits: it
                             takes none of start_concurrency, or such starts
                             would wait for each other */
};

typedef struct byn_dist_start_spec {
  const uint8_t *spec;
  size_t spec_len;
  uint32_t flags;
  const byn_backoff *backoff; /* the child's own, or NULL */
  const char *node;           /* where, or NULL: where the ring says */
} byn_dist_start_spec;

/* Each request is answered by one ANSWER with its number, unless
 * byn_dist_detach forgets it. `limit_ms`: by then at the latest, with TIMEOUT;
 * BYN_NEVER has no limit. A start that is answered so and did not run by then
 * is given up. A number must not be under way twice. */
void byn_dist_start(byn_dist *d, uint64_t request, const byn_dist_id *id,
                    const byn_dist_start_spec *what, int64_t limit_ms);
/* OK when the process is gone and the child with it. */
void byn_dist_terminate(byn_dist *d, uint64_t request, const byn_dist_id *id,
                        int64_t limit_ms);

/* It is to run on `node`, NULL: where the ring says (move.h). OK, pid: it does.
 */
void byn_dist_move(byn_dist *d, uint64_t request, const byn_dist_id *id,
                   const char *node, int64_t limit_ms);

/* --- children of this node ------------------------------------------------ */

typedef enum byn_dist_failure {
  BYN_DIST_FAILED_ERROR,   /* the start function answered `reason` */
  BYN_DIST_FAILED_REFUSED, /* this node cannot: module, not allowed, its Lua
                              has no such number */
  BYN_DIST_FAILED_TIMEOUT,
  BYN_DIST_FAILED_IGNORE
} byn_dist_failure;

/* It runs. false: it is not wanted here any more, and STOP follows. */
bool byn_dist_started(byn_dist *d, uint32_t child, const uint8_t *pid,
                      size_t n);
void byn_dist_start_failed(byn_dist *d, uint32_t child, byn_dist_failure kind,
                           const uint8_t *reason, size_t n);
/* Its process ended, by itself or after STOP. `normal`: an end that a
 * transient child is not started again after. */
void byn_dist_exited(byn_dist *d, uint32_t child, bool normal,
                     const uint8_t *reason, size_t n);
/* The process of `child`, from its START to the report of its end, wrote that:
 * the next process of the child is started with the newest (checkpoint.h). It
 * is a request. OK: `replicas` nodes hold it, or all where there are fewer;
 * with `async`: this node does. TIMEOUT, as above: this node holds it.
 * `handed`: its handoff returned it. That of a process that was stopped with
 * WHY_CONFLICT goes to the copy that stays, if there is one still, in place of
 * being held; OK: it is on its way. NOCONNECTION, TOO_LARGE: it is not. */
typedef struct byn_dist_written {
  const uint8_t *bytes;
  size_t n;
  bool async, handed;
} byn_dist_written;
void byn_dist_checkpoint(byn_dist *d, uint64_t request, uint32_t child,
                         const byn_dist_written *what, int64_t limit_ms);
/* No message has come for the process of `child` for so long that it may be
 * stopped: STOP with WHY_IDLE follows if it is an entity that runs, and stays.
 * What it has kept by checkpoints then, or hands over at its end, waits for the
 * next start with ENSURE, which wakes it; one that has kept nothing has ended.
 * false: it is not stopped. */
bool byn_dist_rest(byn_dist *d, uint32_t child);
/* After STOP with `goes_on`: its handoff failed, and its process goes on. */
void byn_dist_handoff_failed(byn_dist *d, uint32_t child, const uint8_t *reason,
                             size_t n);
/* What PROBE asked: this node could start it, or `reason` is why not. */
void byn_dist_probed(byn_dist *d, uint64_t probe, const uint8_t *reason,
                     size_t n);
/* What byn_dist_start_failed with REFUSED said may hold no more: this node
 * takes it back where the child runs nowhere. It does so by itself as well,
 * when it is attached, and after a second and ever longer waits. */
void byn_dist_refusals_gone(byn_dist *d);

/* --- what follows --------------------------------------------------------- */

typedef enum byn_dist_kind {
  BYN_DIST_SEND,      /* bytes to the coordinator on node */
  BYN_DIST_CONNECT,   /* others know it: connect to node */
  BYN_DIST_START,     /* child: start spec as id; again: it ran before; with
                         its newest checkpoint, state, handed */
  BYN_DIST_STOP,      /* child: stop pid (absent: its start), why, other_pid;
                         it is asked to hand over for `handoff`, if that is not
                         NONE; `goes_on`: if that fails it is not stopped */
  BYN_DIST_ANSWER,    /* request: code, pid, reason, node */
  BYN_DIST_SHOW,      /* id: old_pid, pid, why, reason, final, here, node */
  BYN_DIST_NODE_UP,   /* node takes part */
  BYN_DIST_NODE_DOWN, /* node is lost, has left, or its supervisor ended */
  BYN_DIST_NODE_TERMINATE, /* node leaves in good order, reason */
  BYN_DIST_FORGET,         /* id: nothing is known of it any more */
  BYN_DIST_RESOLVE,        /* child: pid is the copy that stays of two; state:
                              what the other handed over, once */
  BYN_DIST_EVENT,          /* event, and what that has */
  BYN_DIST_ESCALATE,       /* child exceeded the limit: end the supervisor */
  BYN_DIST_HOLD,           /* id: its process is about to stop, messages for it
                              are held (`held`), or go to it again */
  BYN_DIST_PROBE,          /* request: could this node start spec as id? */
  BYN_DIST_QUORUM          /* joined: it is there again; not joined: it is not
                              seen, each STOP follows, and what runs now is to
                              be killed after wait_ms. count: seen; needed */
} byn_dist_kind;

typedef enum byn_dist_code {
  BYN_DIST_OK,              /* pid, node; of terminate neither */
  BYN_DIST_ALREADY_STARTED, /* pid, node */
  BYN_DIST_ALREADY_PRESENT, /* it waits, fails or is lost */
  BYN_DIST_ERROR,           /* reason: the start function's; node */
  BYN_DIST_REFUSED,         /* reason: of start_failed; node */
  BYN_DIST_NO_ROOM,         /* no node has room; node: the last asked */
  BYN_DIST_NOT_FOUND,       /* of terminate; of checkpoint: it has ended */
  BYN_DIST_NOT_A_MEMBER,    /* the node that was named runs no children */
  BYN_DIST_NO_NODES,        /* nobody runs children */
  BYN_DIST_NOCONNECTION,    /* the node that was named is not connected */
  BYN_DIST_TIMEOUT,         /* of the request or of the start function; node */
  BYN_DIST_IGNORE,          /* the start function's answer; node */
  BYN_DIST_TOO_LARGE,       /* the spec has more than max_spec bytes, or more
                               than can be sent to its owner; a checkpoint more
                               than max_checkpoint, or than can be sent */
  BYN_DIST_TERMINATED,      /* terminate_child came before it ran */
  BYN_DIST_NO_MEMORY,
  BYN_DIST_HANDOFF_FAILED, /* of move: reason; it goes on where it was */
  BYN_DIST_NO_QUORUM       /* of start; no other node is told it */
} byn_dist_code;

/* Why a process is to stop, or why one ended. */
typedef enum byn_dist_why {
  BYN_DIST_WHY_NONE,
  BYN_DIST_WHY_EXITED,       /* by itself: reason */
  BYN_DIST_WHY_TERMINATED,   /* terminate_child */
  BYN_DIST_WHY_CONFLICT,     /* another copy stays: other_pid */
  BYN_DIST_WHY_ENDED,        /* it was ended elsewhere meanwhile */
  BYN_DIST_WHY_LEFT,         /* its node leaves, or runs no children now */
  BYN_DIST_WHY_NOCONNECTION, /* its node is lost */
  BYN_DIST_WHY_START_ERROR,  /* a start function's answer: reason */
  BYN_DIST_WHY_REFUSED,      /* no node could start it: reason of the last */
  BYN_DIST_WHY_NO_ROOM,      /* no node had room */
  BYN_DIST_WHY_TIMEOUT,      /* a start function's */
  BYN_DIST_WHY_IGNORE,       /* a start function's answer */
  BYN_DIST_WHY_MOVED,        /* it goes on on another node */
  BYN_DIST_WHY_IDLE          /* no message came for it: byn_dist_rest */
} byn_dist_why;

enum { BYN_DIST_WHY_LAST = BYN_DIST_WHY_IDLE };

/* What a process that is to stop is asked to hand its state over for. */
typedef enum byn_dist_handoff {
  BYN_DIST_HANDOFF_NONE,
  BYN_DIST_HANDOFF_LEAVE,     /* its node leaves */
  BYN_DIST_HANDOFF_DRAIN,     /* its node runs no children any more */
  BYN_DIST_HANDOFF_REBALANCE, /* the ring wants it elsewhere */
  BYN_DIST_HANDOFF_MOVE,      /* byn_dist_move */
  BYN_DIST_HANDOFF_CONFLICT,  /* another copy stays */
  BYN_DIST_HANDOFF_IDLE       /* no message came for it */
} byn_dist_handoff;

typedef enum byn_dist_event {
  BYN_DIST_CHILD_FAILING, /* id, node, why, reason, count, wait_ms, child */
  BYN_DIST_CONFLICT,      /* id, node (the winner's), other_pid, pid (loses) */
  BYN_DIST_MOVED,         /* id, node (to), from: it was taken over */
  BYN_DIST_NODES_DIFFER,  /* node; names and count: its list; NULL: none */
  BYN_DIST_MEMBER,        /* node; joined: into the ring, or out of it */
  BYN_DIST_WITHHELD,      /* id, node: that takes no packet as large as its
                             spec; told of one child of a peer */
  BYN_DIST_QUORUM_DIFFERS /* node; count: so many it needs, 0: it is in the
                             other mode; or its list or its times differ */
} byn_dist_event;

/* Fields that a kind does not name are 0. A node that is absent is NULL.
 *
 * SHOW: what lookups show and listeners are told, on every node: the process
 * `old_pid` is gone (absent: there was none) for `why` and `reason`, and now
 * `pid` is the child's (absent: none for now; `final`: and none will be). Of
 * each child old_pid is always the pid of the SHOW before. A process that is
 * shown is not known to be dead. `here`: pid runs on this node; node: where. */
typedef struct byn_dist_action {
  byn_dist_kind kind;
  const char *node, *from;
  byn_dist_bytes bytes;
  uint32_t child;
  uint64_t request;
  byn_dist_id id;
  byn_dist_bytes spec, pid, old_pid, other_pid, reason, state;
  byn_dist_code code;
  byn_dist_why why;
  byn_dist_event event;
  bool final, here, again, joined, handed, held, goes_on;
  byn_dist_handoff handoff;
  uint32_t flags; /* START: TEMPORARY, TRANSIENT */
  uint32_t count; /* failures in a row; names; nodes */
  uint32_t needed;
  int64_t wait_ms; /* until it is tried again */
  const char *const *names;
} byn_dist_action;

/* The next action; false when there is none for now. */
bool byn_dist_next(byn_dist *d, byn_dist_action *action);

#endif
