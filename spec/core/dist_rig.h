/* Several byn_dist in one process, with a network, processes and callers that
 * are a few numbers each. One event happens at a time, in the order of time.
 *
 *   rig r;
 *   rig_init(&r, seed, 3);
 *   rig_boot(&r, 0); ...           a node begins, and is connected to all
 *   rig_start(&r, 0, id, flags);   a caller on node 0
 *   rig_run(&r, 500);              half a second
 *
 * A wire between two nodes is cut and mended; each side notices after a while
 * of its own, and what was under way is lost.
 */
#ifndef BYN_SPEC_DIST_RIG_H
#define BYN_SPEC_DIST_RIG_H

#include <inttypes.h>
#include <stdio.h>

#include "../../csrc/core/dist/dist.h"
#include "../../csrc/core/dist/view.h"
#include "../../csrc/core/ring.h"
#include "../../csrc/core/rng.h"
#include "../../csrc/core/timers.h"
#include "support.h"

#ifndef RIG_IDS
#define RIG_IDS 1024
#endif

enum { RIG_NODES = 10, RIG_PROCESSES = 16 * RIG_IDS };
enum { RIG_AWAY_MS = 1900 }; /* a coordinator, and it is given up */
enum { RIG_REQUESTS = 16 * RIG_IDS };

typedef struct rig_message {
  struct rig_message *next;
  int from, to;
  uint64_t wire; /* the connection it travels on */
  int64_t at;
  size_t n;
  uint8_t bytes[];
} rig_message;

typedef enum rig_process_state {
  RIG_STARTING,
  RIG_RUNNING,
  RIG_STOPPING,
  RIG_GONE
} rig_process_state;

typedef struct rig_process {
  rig_process_state state;
  int node, id;
  uint64_t life; /* of the node */
  uint32_t child;
  int64_t due; /* its start or its stop is done */
  int64_t begun;
  int64_t doom; /* it is killed then; 0: it is not */
  char pid[24];
  bool crashes;   /* reported when it is due */
  char given[24]; /* the checkpoint that it was started with */
  bool handed;
  const char *hands;      /* what it writes when it is told to stop, or NULL */
  bool clings;            /* its handoff fails */
  bool goes_on;           /* then it goes on */
  bool handed_over;       /* what it had to hand over was written */
  int left;               /* and it was that number */
  byn_dist_handoff asked; /* what it was asked to hand over for */
  char heard[24];         /* what the other of two copies handed over */
  int hears;              /* so often it was told */
} rig_process;

typedef struct rig_request {
  int node, id;
  uint64_t life;
  bool terminates, answered, ensure;
  byn_dist_code code;
  char pid[24];
  char reason[24];
  char where[32];
  bool keeps, moves;
} rig_request;

typedef struct rig_node {
  byn_dist *d; /* NULL while it is dead */
  uint64_t life;
  int64_t wall;            /* its clock's fault */
  char shown[RIG_IDS][24]; /* what SHOW said */
  bool held[RIG_IDS];      /* and HOLD */
  uint32_t starts, stops, sends, events[8];
  uint64_t bytes;
  bool attached, left, leaves; /* leaves: it was told to */
  int64_t away;                /* since when it was not attached */
  uint64_t away_wire;          /* the last connection before that */
  int64_t stale_until; /* away for so long that it was given up, what it shows
                          may not be so */
  int drift;           /* its clock goes so much faster, of a million */
  int64_t paused;      /* it stands still until then */
  int64_t kill_ms;     /* what QUORUM said last, or -1 */
  uint32_t lost, regained;
} rig_node;

/* One direction: what the side `from` believes, and what is so. */
typedef struct rig_wire {
  uint64_t up;    /* the connection as this side sees it; 0: none */
  int64_t notice; /* when this side notices that it is cut */
  int64_t last;   /* when its last message arrives */
} rig_wire;

typedef struct rig {
  byn_test_alloc memory;
  byn_alloc alloc;
  byn_rng rng;
  uint64_t seed;
  int64_t now;
  int count;
  rig_node nodes[RIG_NODES];
  rig_wire wires[RIG_NODES][RIG_NODES];
  bool cut[RIG_NODES][RIG_NODES];
  bool mute[RIG_NODES][RIG_NODES]; /* what one sends to another is lost, and
                                      nobody notices */
  uint64_t wire_count;
  rig_message *messages, *last_message;
  rig_process processes[RIG_PROCESSES];
  int process_count;
  unsigned pids;
  rig_request requests[RIG_REQUESTS];
  int request_count;
  int64_t delay_ms, start_ms, stop_ms, notice_ms;
  int64_t least_ms;                      /* that a start or a stop takes */
  int64_t late_ms[RIG_NODES][RIG_NODES]; /* more, from one to another */
  int poison; /* an id whose processes crash at once, or -1 */
  int refusing_node, failing_id;
  bool hanging, trace;
  size_t largest[RIG_NODES][RIG_NODES]; /* packet from one to another */
  bool lenient;                         /* a packet may be refused */
  uint32_t refused;                     /* so many were */
  byn_dist_config config;
} rig;

static const char *const rig_names[RIG_NODES] = {
    "a@h", "b@h", "c@h", "d@h", "e@h", "f@h", "g@h", "h@h", "i@h", "j@h"};

#define RIG_HOLDS(r, what)                                                     \
  do {                                                                         \
    if (!(what))                                                               \
      fail_msg("seed %" PRIu64 ", %" PRId64 " ms: %s", (r)->seed, (r)->now,    \
               #what);                                                         \
  } while (0)

/* BYN_TRACE=1 shows what happens. */
#define RIG_TRACE(r, ...)                                                      \
  do {                                                                         \
    if ((r)->trace) {                                                          \
      fprintf(stderr, "%6" PRId64 " ", (r)->now);                              \
      fprintf(stderr, __VA_ARGS__);                                            \
      fputc('\n', stderr);                                                     \
    }                                                                          \
  } while (0)

static inline uint32_t rig_draw(rig *r, uint32_t bound) {
  return (uint32_t)byn_rng_below(&r->rng, bound);
}

static inline int64_t rig_some(rig *r, int64_t most) {
  return most <= 0 ? 0 : rig_draw(r, (uint32_t)most + 1);
}

static inline int rig_index(const char *name) {
  for (int i = 0; i < RIG_NODES; i++)
    if (strcmp(rig_names[i], name) == 0) return i;
  fail_msg("no such node");
  return -1;
}

static inline void rig_key(int id, char key[16], byn_dist_id *out) {
  int n = snprintf(key, 16, "child %d", id);
  *out = (byn_dist_id){(const uint8_t *)key, (size_t)n,
                       byn_ring_hash(key, (size_t)n, BYN_KEY_STRING)};
}

static inline int rig_id(const byn_dist_id *id) {
  char key[16] = {0};
  memcpy(key, id->key, id->n);
  return atoi(key + 6);
}

static inline void rig_init(rig *r, uint64_t seed, int count) {
  memset(r, 0, sizeof *r);
  r->alloc = byn_test_allocator(&r->memory);
  byn_rng_seed(&r->rng, seed);
  r->seed = seed;
  r->trace = getenv("BYN_TRACE") != NULL;
  r->count = count;
  r->now = 1;
  r->delay_ms = 3;
  r->start_ms = 5;
  r->stop_ms = 5;
  r->notice_ms = 20;
  r->poison = r->failing_id = r->refusing_node = -1;
  r->config = (byn_dist_config){
      .name = "sup",
      .name_len = 3,
      .seed = seed,
      .hosts = true,
      .replicas = 2,
      .start_concurrency = 16,
      .max_restarts = 3,
      .max_ms = 5000,
      .backoff = {.min = 100, .max = 30000, .factor = 2, .jitter = 0.2},
      .max_spec = 1 << 20,
      .max_checkpoint = 1 << 20,
      .keep_ended = 100000,
      .keep_ended_ms = 60000,
      .heartbeat_ms = 1000,
      .down_after_ms = 5000,
      .handoff_ms = 10000};
}

/* What its clock shows, and when it will show that. */
static inline int64_t rig_clock(const rig *r, int i) {
  return r->now + r->now * r->nodes[i].drift / 1000000;
}

static inline int64_t rig_moment(const rig *r, int i, int64_t shown) {
  if (shown == BYN_NEVER || r->nodes[i].drift == 0) return shown;
  int64_t at = shown * 1000000 / (1000000 + r->nodes[i].drift);
  while (at + at * r->nodes[i].drift / 1000000 < shown)
    at++;
  return at;
}

static inline bool rig_stands(const rig *r, int i) {
  return r->nodes[i].paused > r->now;
}

static inline int64_t rig_wall(const rig *r, int i) {
  return 1700000000000 + r->now + r->nodes[i].wall;
}

static void rig_drain(rig *r, int i);

static inline void rig_time(rig *r, int i) {
  if (r->nodes[i].d)
    byn_dist_time(r->nodes[i].d, rig_clock(r, i), rig_wall(r, i));
}

/* The node stood still for so long, until now. */
static inline void rig_gap(rig *r, int i, int64_t ms) {
  RIG_TRACE(r, "%d: gap of %" PRId64 " ms", i, ms);
  byn_dist_gap(r->nodes[i].d, ms, rig_clock(r, i));
  rig_time(r, i);
  rig_drain(r, i);
}

static inline bool rig_is_held(const rig *r, int i) {
  byn_dist_status s;
  byn_dist_status_of(r->nodes[i].d, &s);
  return s.held;
}

/* --- wires ---------------------------------------------------------------- */

static inline void rig_connect(rig *r, int i, int j) {
  if (i == j || r->cut[i][j] || !r->nodes[i].d || !r->nodes[j].d) return;
  if (rig_stands(r, i) || rig_stands(r, j)) return;
  if (r->wires[i][j].up || r->wires[j][i].up) return;
  uint64_t wire = ++r->wire_count;
  RIG_TRACE(r, "connect %d %d", i, j);
  for (int side = 0; side < 2; side++) {
    int from = side ? j : i, to = side ? i : j;
    r->wires[from][to] = (rig_wire){.up = wire, .notice = BYN_NEVER};
    if (!r->nodes[from].attached) continue;
    rig_time(r, from);
    byn_dist_node_up(r->nodes[from].d, rig_names[to]);
    rig_drain(r, from);
  }
}

static inline void rig_lose_messages(rig *r, int i, int j) {
  r->last_message = NULL;
  for (rig_message **at = &r->messages; *at;) {
    rig_message *m = *at;
    if ((m->from == i && m->to == j) || (m->from == j && m->to == i)) {
      *at = m->next;
      free(m);
    } else {
      at = &m->next;
    }
  }
}

static inline void rig_cut(rig *r, int i, int j) {
  RIG_TRACE(r, "cut %d %d", i, j);
  r->cut[i][j] = r->cut[j][i] = true;
  rig_lose_messages(r, i, j);
  for (int side = 0; side < 2; side++) {
    rig_wire *w = side ? &r->wires[j][i] : &r->wires[i][j];
    if (w->up && w->notice == BYN_NEVER)
      w->notice = r->now + rig_some(r, r->notice_ms);
  }
}

static inline void rig_mend(rig *r, int i, int j) {
  if (r->cut[i][j]) RIG_TRACE(r, "mend %d %d", i, j);
  r->cut[i][j] = r->cut[j][i] = false;
}

static inline void rig_notice(rig *r, int i, int j, bool proven) {
  RIG_TRACE(r, "%d: down %d%s", i, j, proven ? " proven" : "");
  r->wires[i][j] = (rig_wire){.notice = BYN_NEVER};
  if (!r->nodes[i].d || !r->nodes[i].attached) return;
  rig_time(r, i);
  byn_dist_node_down(r->nodes[i].d, rig_names[j], proven);
  rig_drain(r, i);
}

/* --- nodes ---------------------------------------------------------------- */

static inline void rig_boot(rig *r, int i) {
  rig_node *n = &r->nodes[i];
  RIG_TRACE(r, "boot %d", i);
  n->life++;
  byn_dist_config c = r->config;
  c.alloc = r->alloc;
  c.node = rig_names[i];
  c.incarnation = (uint64_t)(r->now * 1000) + n->life;
  uint64_t fail_at = r->memory.fail_at;
  r->memory.fail_at = 0;
  n->d = byn_dist_new(&c, rig_clock(r, i), rig_wall(r, i));
  r->memory.fail_at = fail_at;
  n->left = n->leaves = false;
  memset(n->shown, 0, sizeof n->shown);
  memset(n->held, 0, sizeof n->held);
  RIG_HOLDS(r, n->d);
  n->kill_ms = -1;
  byn_dist_attach(n->d, rig_clock(r, i));
  n->attached = true;
  for (int j = 0; j < r->count; j++)
    if (j != i && r->nodes[j].d && !r->cut[i][j])
      byn_dist_expect(n->d, rig_names[j]);
  rig_drain(r, i);
}

static inline void rig_kill(rig *r, int i) {
  rig_node *n = &r->nodes[i];
  RIG_TRACE(r, "kill %d", i);
  byn_dist_free(n->d);
  n->d = NULL;
  n->attached = false;
  for (int p = 0; p < r->process_count; p++)
    if (r->processes[p].node == i) r->processes[p].state = RIG_GONE;
  for (int j = 0; j < r->count; j++) {
    if (j == i) continue;
    rig_lose_messages(r, i, j);
    r->wires[i][j] = (rig_wire){.notice = BYN_NEVER};
    if (r->wires[j][i].up) rig_notice(r, j, i, !r->cut[i][j]);
  }
}

/* Others may have taken it for lost since: at once, if it was to leave. */
static inline bool rig_is_stale(const rig *r, int i) {
  const rig_node *n = &r->nodes[i];
  bool stale = n->leaves || r->now - n->away >= RIG_AWAY_MS;
  for (int j = 0; j < r->count; j++)
    stale |= r->wires[i][j].up > n->away_wire;
  return stale;
}

/* Its coordinator ends, while the node lives. */
static inline void rig_detach(rig *r, int i) {
  RIG_TRACE(r, "detach %d", i);
  byn_dist_detach(r->nodes[i].d);
  r->nodes[i].attached = false;
  r->nodes[i].away = r->now;
  r->nodes[i].away_wire = r->wire_count;
  for (int j = 0; j < r->count; j++) {
    bool hears = j != i && r->wires[j][i].up && r->nodes[j].d &&
                 r->nodes[j].attached && !r->cut[i][j];
    if (!hears) continue;
    rig_lose_messages(r, i, j);
    rig_time(r, j);
    byn_dist_peer_away(r->nodes[j].d, rig_names[i]);
    rig_drain(r, j);
  }
}

static inline void rig_attach(rig *r, int i) {
  rig_node *n = &r->nodes[i];
  rig_time(r, i);
  RIG_TRACE(r, "attach %d", i);
  byn_dist_attach(n->d, r->now);
  n->attached = true;
  if (rig_is_stale(r, i)) n->stale_until = r->now + 3000;
  n->leaves = false;
  for (int j = 0; j < r->count; j++)
    if (r->wires[i][j].up) byn_dist_node_up(n->d, rig_names[j]);
  rig_drain(r, i);
}

/* --- actions -------------------------------------------------------------- */

static inline rig_process *rig_process_of(rig *r, int node, uint32_t child) {
  for (int p = r->process_count - 1; p >= 0; p--) {
    rig_process *x = &r->processes[p];
    if (x->node == node && x->child == child && x->state != RIG_GONE &&
        x->life == r->nodes[node].life)
      return x;
  }
  return NULL;
}

static inline void rig_send(rig *r, int i, const byn_dist_action *a) {
  int j = rig_index(a->node);
  rig_wire *w = &r->wires[i][j];
  r->nodes[i].sends++;
  r->nodes[i].bytes += a->bytes.n;
  if (a->bytes.n > r->largest[i][j]) r->largest[i][j] = a->bytes.n;
  if (!w->up || r->cut[i][j] || r->mute[i][j] || !r->nodes[j].d) return;
  rig_message *m = malloc(sizeof *m + a->bytes.n);
  int64_t at = r->now + 1 + rig_some(r, r->delay_ms) + r->late_ms[i][j];
  if (at < w->last) at = w->last;
  w->last = at;
  *m = (rig_message){
      .from = i, .to = j, .wire = w->up, .at = at, .n = a->bytes.n};
  memcpy(m->bytes, a->bytes.at, a->bytes.n);
  rig_message **place = &r->messages;
  if (r->last_message && r->messages && r->last_message->at <= at)
    place = &r->last_message->next;
  while (*place && (*place)->at <= at)
    place = &(*place)->next;
  m->next = *place;
  *place = m;
  if (!m->next) r->last_message = m;
}

static inline void rig_start_process(rig *r, int i, const byn_dist_action *a) {
  int free = r->process_count;
  if (free == RIG_PROCESSES)
    for (free = 0; r->processes[free].state != RIG_GONE; free++) {}
  else
    r->process_count++;
  r->processes[free] =
      (rig_process){.state = RIG_STARTING,
                    .node = i,
                    .id = rig_id(&a->id),
                    .life = r->nodes[i].life,
                    .child = a->child,
                    .due = r->now + r->least_ms + rig_some(r, r->start_ms)};
  if (r->hanging) r->processes[free].due = BYN_NEVER;
  RIG_HOLDS(r, a->state.n < sizeof r->processes[free].given);
  if (a->state.at) memcpy(r->processes[free].given, a->state.at, a->state.n);
  r->processes[free].handed = a->handed;
  r->nodes[i].starts++;
  RIG_TRACE(r, "%d: start %d", i, rig_id(&a->id));
}

/* A process is not asked for its state as long as a node that is connected may
 * send to it by id. */
static inline void rig_check_barrier(rig *r, int i, const byn_dist_action *a) {
  const rig_process *p = rig_process_of(r, i, a->child);
  if (a->why != BYN_DIST_WHY_MOVED || !a->goes_on) return;
  for (int j = 0; j < r->count; j++) {
    uint64_t wire = r->wires[i][j].up;
    bool connected = i == j || (wire && wire == r->wires[j][i].up);
    if (!connected || r->cut[i][j] || !r->nodes[j].d) continue;
    if (r->nodes[j].stale_until > r->now) continue;
    if (!r->nodes[j].attached && rig_is_stale(r, j)) continue;
    bool sends = strcmp(r->nodes[j].shown[p->id], p->pid) == 0;
    RIG_HOLDS(r, !sends || r->nodes[j].held[p->id]);
  }
}

static inline void rig_stop_process(rig *r, int i, const byn_dist_action *a) {
  rig_process *p = rig_process_of(r, i, a->child);
  r->nodes[i].stops++;
  RIG_TRACE(r, "%d: stop %d why %d %.*s", i, rig_id(&a->id), a->why,
            (int)a->pid.n, (const char *)a->pid.at);
  RIG_HOLDS(r, p);
  RIG_HOLDS(r, (p->state == RIG_STARTING) == (a->pid.at == NULL) ||
                   r->memory.failed > 0);
  rig_check_barrier(r, i, a);
  p->state = RIG_STOPPING;
  p->asked = a->handoff;
  p->goes_on = p->clings && a->goes_on;
  if (p->clings) p->hands = NULL;
  p->due = r->now + r->least_ms + rig_some(r, r->stop_ms);
  if (p->doom && p->due > p->doom) p->due = p->doom;
}

static inline void rig_probe(rig *r, int i, const byn_dist_action *a) {
  const uint8_t *sorry = (const uint8_t *)"sorry";
  bool refused = i == r->refusing_node;
  if (r->hanging) return;
  byn_dist_probed(r->nodes[i].d, a->request, refused ? sorry : NULL,
                  refused ? 5 : 0);
}

static inline void rig_hold(rig *r, int i, const byn_dist_action *a) {
  RIG_TRACE(r, "%d: %s %d", i, a->held ? "hold" : "unhold", rig_id(&a->id));
  RIG_HOLDS(r, r->nodes[i].held[rig_id(&a->id)] != a->held);
  r->nodes[i].held[rig_id(&a->id)] = a->held;
}

/* Its clock says when they are killed. */
static inline void rig_quorum(rig *r, int i, const byn_dist_action *a) {
  rig_node *n = &r->nodes[i];
  RIG_TRACE(r, "%d: quorum %s, %u of %u", i, a->joined ? "regained" : "lost",
            a->count, a->needed);
  n->regained += a->joined;
  n->lost += !a->joined;
  if (a->joined) return;
  n->kill_ms = a->wait_ms;
  int64_t doom = rig_moment(r, i, rig_clock(r, i) + a->wait_ms);
  for (int p = 0; p < r->process_count; p++) {
    rig_process *x = &r->processes[p];
    if (x->node != i || x->state == RIG_GONE) continue;
    if (!x->doom || doom < x->doom) x->doom = doom;
    if (x->state == RIG_STOPPING && x->due > x->doom) x->due = x->doom;
  }
}

static inline void rig_answer(rig *r, int i, const byn_dist_action *a) {
  RIG_HOLDS(r, a->request < (uint64_t)r->request_count);
  rig_request *q = &r->requests[a->request];
  RIG_HOLDS(r, q->node == i && !q->answered);
  q->answered = true;
  RIG_TRACE(r, "%d: answer %s %d: %d %.*s", i, q->terminates ? "end" : "start",
            q->id, a->code, (int)a->pid.n, (const char *)a->pid.at);
  q->code = a->code;
  if (a->pid.at) memcpy(q->pid, a->pid.at, a->pid.n);
  if (a->reason.at && a->reason.n < sizeof q->reason)
    memcpy(q->reason, a->reason.at, a->reason.n);
  if (a->node) snprintf(q->where, sizeof q->where, "%s", a->node);
}

/* In alternation: what was shown is what goes. */
static inline void rig_show(rig *r, int i, const byn_dist_action *a) {
  char *shown = r->nodes[i].shown[rig_id(&a->id)];
  RIG_HOLDS(r, a->pid.at || a->old_pid.at);
  RIG_TRACE(r, "%d: show %d: %.*s -> %.*s why %d%s", i, rig_id(&a->id),
            (int)a->old_pid.n, (const char *)a->old_pid.at, (int)a->pid.n,
            (const char *)a->pid.at, a->why, a->final ? " final" : "");
  RIG_HOLDS(r, a->old_pid.n == strlen(shown));
  RIG_HOLDS(r, a->old_pid.n == 0 ||
                   memcmp(a->old_pid.at, shown, a->old_pid.n) == 0);
  memset(shown, 0, 24);
  if (a->pid.at) memcpy(shown, a->pid.at, a->pid.n);
}

static inline void rig_resolve(rig *r, int i, const byn_dist_action *a) {
  rig_process *p = rig_process_of(r, i, a->child);
  RIG_HOLDS(r, r->memory.failed > 0 || (a->pid.at && a->state.at));
  if (!a->state.at) return;
  RIG_HOLDS(r, p && p->state == RIG_RUNNING && a->state.n < sizeof p->heard);
  RIG_TRACE(r, "%d: resolve %d", i, rig_id(&a->id));
  memset(p->heard, 0, sizeof p->heard);
  memcpy(p->heard, a->state.at, a->state.n);
  p->hears++;
}

static void rig_drain(rig *r, int i) {
  rig_node *n = &r->nodes[i];
  byn_dist_action a;
  while (n->d && byn_dist_next(n->d, &a)) {
    if (a.kind == BYN_DIST_NODE_UP || a.kind == BYN_DIST_NODE_DOWN)
      RIG_TRACE(r, "%d: node %s %s", i,
                a.kind == BYN_DIST_NODE_UP ? "up" : "down", a.node);
    switch (a.kind) {
    case BYN_DIST_SEND:
      rig_send(r, i, &a);
      break;
    case BYN_DIST_START:
      rig_start_process(r, i, &a);
      break;
    case BYN_DIST_STOP:
      rig_stop_process(r, i, &a);
      break;
    case BYN_DIST_ANSWER:
      rig_answer(r, i, &a);
      break;
    case BYN_DIST_SHOW:
      rig_show(r, i, &a);
      break;
    case BYN_DIST_EVENT:
      n->events[a.event]++;
      break;
    case BYN_DIST_RESOLVE:
      rig_resolve(r, i, &a);
      break;
    case BYN_DIST_HOLD:
      rig_hold(r, i, &a);
      break;
    case BYN_DIST_PROBE:
      rig_probe(r, i, &a);
      break;
    case BYN_DIST_QUORUM:
      rig_quorum(r, i, &a);
      break;
    default:
      break;
    }
  }
  if (n->d && byn_dist_has_left(n->d)) n->left = true;
}

/* --- callers -------------------------------------------------------------- */

/* The process writes a checkpoint; NULL: one that has ended. */
static inline int rig_write(rig *r, const rig_process *p, const char *text,
                            bool async, bool handed) {
  RIG_HOLDS(r, r->request_count < RIG_REQUESTS);
  int number = r->request_count++;
  RIG_TRACE(r, "%d: write %d %s", p->node, p->id, text);
  r->requests[number] = (rig_request){
      .node = p->node, .id = p->id, .life = p->life, .keeps = true};
  byn_dist_written what = {.bytes = (const uint8_t *)text,
                           .n = strlen(text),
                           .async = async,
                           .handed = handed};
  rig_time(r, p->node);
  byn_dist_checkpoint(r->nodes[p->node].d, (uint64_t)number, p->child, &what,
                      5000);
  rig_drain(r, p->node);
  return number;
}

/* --- processes ------------------------------------------------------------ */

static inline void rig_end(rig *r, rig_process *p, bool normal,
                           const char *reason) {
  p->state = RIG_GONE;
  int i = p->node;
  rig_time(r, i);
  byn_dist_exited(r->nodes[i].d, p->child, normal, (const uint8_t *)reason,
                  strlen(reason));
  rig_drain(r, i);
}

static inline void rig_begin(rig *r, rig_process *p) {
  int i = p->node;
  rig_time(r, i);
  if (i == r->refusing_node || p->id == r->failing_id) {
    byn_dist_failure kind =
        i == r->refusing_node ? BYN_DIST_FAILED_REFUSED : BYN_DIST_FAILED_ERROR;
    p->state = RIG_GONE;
    byn_dist_start_failed(r->nodes[i].d, p->child, kind,
                          (const uint8_t *)"sorry", 5);
    rig_drain(r, i);
    return;
  }
  snprintf(p->pid, sizeof p->pid, "%s.%u", rig_names[i], ++r->pids);
  p->state = RIG_RUNNING;
  RIG_TRACE(r, "%d: runs %d %s", i, p->id, p->pid);
  p->begun = r->now;
  p->due = p->id == r->poison ? r->now + 2 : BYN_NEVER;
  byn_dist_started(r->nodes[i].d, p->child, (const uint8_t *)p->pid,
                   strlen(p->pid));
  rig_drain(r, i);
}

static inline void rig_hand_over(rig *r, rig_process *p) {
  p->left = atoi(p->hands);
  rig_write(r, p, p->hands, true, true);
  p->hands = NULL;
  p->handed_over = true;
}

static inline void rig_go_on(rig *r, rig_process *p) {
  int i = p->node;
  RIG_TRACE(r, "%d: handoff of %d failed", i, p->id);
  p->state = RIG_RUNNING;
  p->goes_on = false;
  p->due = BYN_NEVER;
  rig_time(r, i);
  byn_dist_handoff_failed(r->nodes[i].d, p->child, (const uint8_t *)"no", 2);
  rig_drain(r, i);
}

static inline void rig_process_due(rig *r, rig_process *p) {
  if (p->state == RIG_STARTING)
    rig_begin(r, p);
  else if (p->state == RIG_RUNNING)
    rig_end(r, p, false, "crash");
  else if (p->state == RIG_STOPPING && p->goes_on)
    rig_go_on(r, p);
  else if (p->state == RIG_STOPPING && p->hands && !r->nodes[p->node].attached)
    p->due = r->now + 10; /* a coordinator that begins is told */
  else if (p->state == RIG_STOPPING && p->hands)
    rig_hand_over(r, p);
  else if (p->state == RIG_STOPPING)
    rig_end(r, p, false, "shutdown");
}

static inline rig_process *rig_running(rig *r, int id, int *count) {
  rig_process *found = NULL;
  *count = 0;
  for (int p = 0; p < r->process_count; p++) {
    rig_process *x = &r->processes[p];
    if (x->id != id || x->state != RIG_RUNNING) continue;
    if (!found || x->begun < found->begun) found = x;
    (*count)++;
  }
  return found;
}

/* --- time ----------------------------------------------------------------- */

static inline int64_t rig_next(rig *r) {
  int64_t at = r->messages ? r->messages->at : BYN_NEVER;
  for (int i = 0; i < r->count; i++) {
    if (!r->nodes[i].d) continue;
    int64_t due = rig_moment(r, i, byn_dist_deadline(r->nodes[i].d));
    if (rig_stands(r, i)) due = r->nodes[i].paused;
    if (due < at) at = due;
    for (int j = 0; j < r->count; j++)
      if (r->wires[i][j].up && r->wires[i][j].notice < at)
        at = r->wires[i][j].notice;
  }
  for (int p = 0; p < r->process_count; p++)
    if (r->processes[p].state != RIG_GONE && r->processes[p].due < at)
      at = r->processes[p].due;
  return at > r->now ? at : r->now + 1;
}

static inline void rig_receive(rig *r, rig_message *m) {
  rig_node *n = &r->nodes[m->to];
  if (n->d && n->attached && r->wires[m->to][m->from].up == m->wire) {
    rig_time(r, m->to);
    bool taken = byn_dist_receive(n->d, rig_names[m->from], m->bytes, m->n);
    RIG_HOLDS(r, taken || r->lenient);
    r->refused += !taken;
    rig_drain(r, m->to);
  }
  free(m);
}

/* It comes when its receiver goes on. */
static inline void rig_defer(rig *r, rig_message *m) {
  m->at = r->nodes[m->to].paused;
  rig_message **place = &r->messages;
  while (*place && (*place)->at <= m->at)
    place = &(*place)->next;
  m->next = *place;
  *place = m;
  r->last_message = NULL;
}

static inline void rig_step(rig *r) {
  while (r->messages && r->messages->at <= r->now) {
    rig_message *m = r->messages;
    r->messages = m->next;
    if (r->last_message == m) r->last_message = NULL;
    if (rig_stands(r, m->to))
      rig_defer(r, m);
    else
      rig_receive(r, m);
  }
  for (int i = 0; i < r->count; i++)
    for (int j = 0; j < r->count; j++)
      if (r->wires[i][j].up && r->wires[i][j].notice <= r->now &&
          !rig_stands(r, i))
        rig_notice(r, i, j, false);
  for (int i = 0; i < r->count; i++)
    for (int j = i + 1; j < r->count; j++)
      rig_connect(r, i, j);
  for (int p = 0; p < r->process_count; p++)
    if (r->processes[p].state != RIG_GONE && r->processes[p].due <= r->now &&
        !rig_stands(r, r->processes[p].node))
      rig_process_due(r, &r->processes[p]);
  for (int i = 0; i < r->count; i++) {
    if (!r->nodes[i].d || rig_stands(r, i)) continue;
    if (byn_dist_deadline(r->nodes[i].d) > rig_clock(r, i)) continue;
    rig_time(r, i);
    rig_drain(r, i);
  }
}

static inline void rig_run(rig *r, int64_t ms) {
  int64_t until = r->now + ms;
  while (r->now < until) {
    rig_step(r);
    int64_t next = rig_next(r);
    r->now = next < until ? next : until;
  }
  rig_step(r);
}

static inline void rig_free(rig *r) {
  for (int i = 0; i < r->count; i++)
    if (r->nodes[i].d) byn_dist_free(r->nodes[i].d);
  for (rig_message *m = r->messages, *next; m; m = next) {
    next = m->next;
    free(m);
  }
  byn_test_assert_clean(&r->memory);
}

#include "dist_rig_asks.h"

#endif
