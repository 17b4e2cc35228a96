/* Many children on up to 32 nodes, with a network that loses nothing: what is
 * counted is what the machines do. A packet takes a millisecond, a start
 * function too.
 *
 *   crowd *c = crowd_new(24);
 *   crowd_boot(c, 0); ...          a node begins, and is connected to all
 *   crowd_fill(c, 0, 3000);        children, asked for on node 0
 *   crowd_settle(c, 10000);        until nobody has anything to do
 *
 * Counters are of each node, and are set to 0 by crowd_count. A program that
 * includes this stops where a promise of the machines is broken.
 */
#ifndef BYN_SPEC_DIST_CROWD_H
#define BYN_SPEC_DIST_CROWD_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../csrc/core/dist/dist.h"
#include "../../csrc/core/dist/parts.h"
#include "../../csrc/core/dist/record.h"
#include "../../csrc/core/dist/view.h"
#include "../../csrc/core/ring.h"

enum { CROWD_NODES = 32 };

typedef struct crowd_packet {
  struct crowd_packet *next;
  int from;
  int64_t at;
  size_t n;
  uint8_t bytes[];
} crowd_packet;

typedef struct crowd_start {
  struct crowd_start *next;
  uint32_t child;
} crowd_start;

typedef struct crowd_node {
  byn_dist *d; /* NULL while it is dead */
  char name[24];
  uint64_t life;
  bool up[CROWD_NODES];                 /* as it sees the others */
  bool deaf;                            /* takes no packet for now */
  int64_t unaware_until;                /* it hears of deaths then */
  crowd_packet *packets, **last_packet; /* to it */
  crowd_start *starts, **last_start;    /* under way on it */
  uint64_t sent, taken, packets_sent;   /* bytes, bytes, packets */
  uint64_t records[BYN_RECORD_KINDS];   /* that it sent */
  uint64_t record_bytes[BYN_RECORD_KINDS];
  uint64_t started, shown, answered;
  uint32_t longest; /* actions of one step, the most */
} crowd_node;

typedef struct crowd {
  int count;
  int64_t now;
  crowd_node nodes[CROWD_NODES];
  uint64_t requests;
  size_t spec_size;
  bool hosts[CROWD_NODES]; /* those that run children; set before they begin */
  byn_dist_config config;
} crowd;

#define CROWD_HOLDS(what)                                                      \
  do {                                                                         \
    if (!(what)) {                                                             \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what);               \
      abort();                                                                 \
    }                                                                          \
  } while (0)

static inline void *crowd_alloc(void *ud, void *block, size_t old_size,
                                size_t new_size) {
  (void)ud;
  (void)old_size;
  if (new_size) return realloc(block, new_size);
  free(block);
  return NULL;
}

static inline crowd *crowd_new(int count) {
  crowd *c = calloc(1, sizeof *c);
  CROWD_HOLDS(c && count <= CROWD_NODES);
  c->count = count;
  c->now = 1;
  c->spec_size = 40;
  c->config = (byn_dist_config){
      .alloc = {crowd_alloc, NULL},
      .name = "sup",
      .name_len = 3,
      .seed = 7,
      .hosts = true,
      .replicas = 2,
      .start_concurrency = 16,
      .max_restarts = 3,
      .max_ms = 5000,
      .backoff = {.min = 100, .max = 30000, .factor = 2, .jitter = 0.2},
      .max_spec = 1 << 20,
      .max_checkpoint = 1 << 20,
      .keep_ended = 10000,
      .keep_ended_ms = 60000,
      .heartbeat_ms = 1000,
      .down_after_ms = 5000};
  for (int i = 0; i < count; i++) {
    crowd_node *n = &c->nodes[i];
    snprintf(n->name, sizeof n->name, "node%02d@h:1", i);
    n->last_packet = &n->packets;
    n->last_start = &n->starts;
    c->hosts[i] = true;
  }
  return c;
}

static inline int crowd_index(const crowd *c, const char *name) {
  int i = atoi(name + 4);
  CROWD_HOLDS(i < c->count && strcmp(c->nodes[i].name, name) == 0);
  return i;
}

/* --- what machines want --------------------------------------------------- */

static inline void crowd_tally(crowd_node *n, const byn_dist_action *a) {
  byn_packet_head head;
  CROWD_HOLDS(byn_packet_open(&head, a->bytes.at, a->bytes.n));
  for (byn_field f; byn_get_field(&head.records, &f);) {
    CROWD_HOLDS(f.tag < BYN_RECORD_KINDS);
    n->records[f.tag]++;
    n->record_bytes[f.tag] += f.n + 2;
  }
}

static inline void crowd_send(crowd *c, int i, const byn_dist_action *a) {
  crowd_node *n = &c->nodes[i], *to = &c->nodes[crowd_index(c, a->node)];
  n->sent += a->bytes.n;
  n->packets_sent++;
  crowd_tally(n, a);
  if (!n->up[to - c->nodes] || !to->d) return;
  to->taken += a->bytes.n;
  crowd_packet *p = malloc(sizeof *p + a->bytes.n);
  CROWD_HOLDS(p);
  *p = (crowd_packet){.from = i, .at = c->now + 1, .n = a->bytes.n};
  memcpy(p->bytes, a->bytes.at, a->bytes.n);
  *to->last_packet = p;
  to->last_packet = &p->next;
}

static inline void crowd_begin(crowd_node *n, uint32_t child) {
  crowd_start *s = malloc(sizeof *s);
  CROWD_HOLDS(s);
  *s = (crowd_start){.child = child};
  *n->last_start = s;
  n->last_start = &s->next;
}

static inline void crowd_drain(crowd *c, int i) {
  crowd_node *n = &c->nodes[i];
  uint32_t actions = 0;
  byn_dist_action a;
  for (; byn_dist_next(n->d, &a); actions++) {
    if (a.kind == BYN_DIST_SEND) crowd_send(c, i, &a);
    if (a.kind == BYN_DIST_START) crowd_begin(n, a.child);
    n->started += a.kind == BYN_DIST_START;
    n->shown += a.kind == BYN_DIST_SHOW;
    n->answered += a.kind == BYN_DIST_ANSWER && a.code == BYN_DIST_OK;
    if (a.kind != BYN_DIST_STOP) continue;
    byn_dist_exited(n->d, a.child, false, (const uint8_t *)"stop", 4);
  }
  if (actions > n->longest) n->longest = actions;
}

static inline void crowd_time(crowd *c, int i) {
  byn_dist_time(c->nodes[i].d, c->now, 1700000000000 + c->now);
}

/* --- nodes ---------------------------------------------------------------- */

static inline void crowd_connect(crowd *c, int i, int j) {
  crowd_node *n = &c->nodes[i];
  if (n->up[j] || !n->d || !c->nodes[j].d) return;
  n->up[j] = c->nodes[j].up[i] = true;
  for (int side = 0; side < 2; side++) {
    int from = side ? j : i, to = side ? i : j;
    crowd_time(c, from);
    byn_dist_node_up(c->nodes[from].d, c->nodes[to].name);
    crowd_drain(c, from);
  }
}

/* Without connections. */
static inline void crowd_boot_apart(crowd *c, int i) {
  crowd_node *n = &c->nodes[i];
  CROWD_HOLDS(!n->d);
  byn_dist_config config = c->config;
  config.node = n->name;
  config.hosts = c->hosts[i];
  config.incarnation = (uint64_t)c->now * 100 + ++n->life;
  n->d = byn_dist_new(&config, c->now, 1700000000000 + c->now);
  CROWD_HOLDS(n->d);
  byn_dist_attach(n->d, c->now);
  for (int j = 0; j < c->count; j++)
    if (j != i && c->nodes[j].d) byn_dist_expect(n->d, c->nodes[j].name);
  crowd_drain(c, i);
}

static inline void crowd_boot(crowd *c, int i) {
  crowd_boot_apart(c, i);
  for (int j = 0; j < c->count; j++)
    if (j != i) crowd_connect(c, i, j);
}

static inline void crowd_lose_packets(crowd_node *n, int from) {
  crowd_packet **at = &n->packets;
  while (*at) {
    crowd_packet *p = *at;
    if (from >= 0 && p->from != from) {
      at = &p->next;
      continue;
    }
    *at = p->next;
    free(p);
  }
  n->last_packet = at;
}

/* `proven`: as after kill -9. Else each is silent for the other. */
static inline void crowd_cut(crowd *c, int i, int j, bool proven) {
  if (!c->nodes[i].up[j] && !c->nodes[j].up[i]) return;
  for (int side = 0; side < 2; side++) {
    int from = side ? j : i, to = side ? i : j;
    crowd_node *n = &c->nodes[from];
    if (n->d && c->now < n->unaware_until) continue;
    n->up[to] = false;
    crowd_lose_packets(n, to);
    if (!n->d) continue;
    crowd_time(c, from);
    byn_dist_node_down(n->d, c->nodes[to].name, proven);
    crowd_drain(c, from);
  }
}

static inline void crowd_kill(crowd *c, int i) {
  crowd_node *n = &c->nodes[i];
  byn_dist_free(n->d);
  n->d = NULL;
  crowd_lose_packets(n, -1);
  while (n->starts) {
    crowd_start *s = n->starts;
    n->starts = s->next;
    free(s);
  }
  n->last_start = &n->starts;
  for (int j = 0; j < c->count; j++)
    if (j != i) crowd_cut(c, i, j, true);
}

static inline void crowd_free(crowd *c) {
  for (int i = 0; i < c->count; i++)
    if (c->nodes[i].d) crowd_kill(c, i);
  free(c);
}

/* --- time ----------------------------------------------------------------- */

static inline void crowd_take_packets(crowd *c, int i) {
  crowd_node *n = &c->nodes[i];
  while (!n->deaf && n->packets && n->packets->at <= c->now) {
    crowd_packet *p = n->packets;
    n->packets = p->next;
    if (!n->packets) n->last_packet = &n->packets;
    crowd_time(c, i);
    CROWD_HOLDS(byn_dist_receive(n->d, c->nodes[p->from].name, p->bytes, p->n));
    crowd_drain(c, i);
    free(p);
  }
}

/* Those that were under way when it began. */
static inline void crowd_end_starts(crowd *c, int i) {
  crowd_node *n = &c->nodes[i];
  crowd_start *s = n->starts;
  n->starts = NULL;
  n->last_start = &n->starts;
  for (crowd_start *next; s; s = next) {
    next = s->next;
    char pid[32];
    int size = snprintf(pid, sizeof pid, "%s.%" PRIu32, n->name, s->child);
    crowd_time(c, i);
    byn_dist_started(n->d, s->child, (const uint8_t *)pid, (size_t)size);
    crowd_drain(c, i);
    free(s);
  }
}

static inline void crowd_notice_deaths(crowd *c, int i) {
  for (int j = 0; j < c->count; j++)
    if (c->nodes[i].up[j] && !c->nodes[j].d) crowd_cut(c, i, j, true);
}

static inline void crowd_step(crowd *c) {
  c->now++;
  for (int i = 0; i < c->count; i++) {
    crowd_node *n = &c->nodes[i];
    if (!n->d) continue;
    if (n->unaware_until == c->now) crowd_notice_deaths(c, i);
    crowd_take_packets(c, i);
    crowd_end_starts(c, i);
    if (byn_dist_deadline(n->d) > c->now) continue;
    crowd_time(c, i);
    crowd_drain(c, i);
  }
}

static inline void crowd_run(crowd *c, int64_t ms) {
  for (int64_t until = c->now + ms; c->now < until;)
    crowd_step(c);
}

/* All that live are ready, show so many children, and run them. */
static inline bool crowd_agrees(const crowd *c, uint32_t children) {
  uint32_t run = 0;
  for (int i = 0; i < c->count; i++) {
    const crowd_node *n = &c->nodes[i];
    uint32_t here, everywhere;
    if (!n->d) continue;
    byn_dist_count(n->d, &here, &everywhere);
    run += here;
    if (everywhere != children || !byn_dist_is_ready(n->d)) return false;
    if (n->starts || n->packets) return false;
  }
  return run == children;
}

/* Answers how long it took; stops the program after `most` ms. */
static inline int64_t crowd_await(crowd *c, uint32_t children, int64_t most) {
  int64_t begun = c->now;
  do {
    crowd_step(c);
    CROWD_HOLDS(c->now - begun < most);
  } while (!crowd_agrees(c, children));
  return c->now - begun;
}

/* --- callers -------------------------------------------------------------- */

static inline void crowd_key(uint32_t id, char key[16], byn_dist_id *out) {
  int n = snprintf(key, 16, "child %" PRIu32, id);
  *out = (byn_dist_id){(const uint8_t *)key, (size_t)n,
                       byn_ring_hash(key, (size_t)n, BYN_KEY_STRING)};
}

static inline void crowd_ask(crowd *c, int i, uint32_t id) {
  static const uint8_t spec[65536];
  byn_dist_start_spec what = {.spec = spec, .spec_len = c->spec_size};
  CROWD_HOLDS(c->spec_size <= sizeof spec);
  char key[16];
  byn_dist_id name;
  crowd_key(id, key, &name);
  crowd_time(c, i);
  byn_dist_start(c->nodes[i].d, ++c->requests, &name, &what, 600000);
  crowd_drain(c, i);
}

/* Children from .. below to, asked for on node i. */
static inline void crowd_fill(crowd *c, int i, uint32_t from, uint32_t to) {
  for (uint32_t id = from; id < to; id++) {
    crowd_ask(c, i, id);
    if (id % 64 == 63) crowd_step(c);
  }
}

/* --- counters ------------------------------------------------------------- */

static inline void crowd_count(crowd *c) {
  for (int i = 0; i < c->count; i++) {
    crowd_node *n = &c->nodes[i];
    n->sent = n->taken = n->packets_sent = 0;
    n->started = n->shown = n->answered = 0;
    n->longest = 0;
    memset(n->records, 0, sizeof n->records);
    memset(n->record_bytes, 0, sizeof n->record_bytes);
  }
}

static inline uint64_t crowd_sent(const crowd *c) {
  uint64_t sent = 0;
  for (int i = 0; i < c->count; i++)
    sent += c->nodes[i].sent;
  return sent;
}

static inline uint64_t crowd_records(const crowd *c, byn_record_kind kind) {
  uint64_t records = 0;
  for (int i = 0; i < c->count; i++)
    records += c->nodes[i].records[kind];
  return records;
}

#endif
