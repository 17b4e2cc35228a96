/* Process groups: who has joined which, on all nodes that take part. */
#include "groups.h"

#include <stddef.h>

#include "../assert.h"
#include "../coverage.h"

BYN_MACHINE("dist: groups of a peer", "down greeting told",
            "up down away session told no_memory");

enum { VERSION = 1, REGREET_MS = 1000, MAX_PIDS = 1 << 20 };
enum { HELLO = 1, CHANGES = 2 };
enum { JOIN = 1, LEAVE = 2 };

typedef enum peer_state { DOWN, GREETING, TOLD } peer_state;

typedef struct groups_packet {
  struct groups_packet *next;
  byn_buf bytes;
} groups_packet;

typedef struct groups_peer {
  byn_group_host host; /* first, for byn_groups_node_of */
  struct groups_peer *next;
  peer_state state;
  uint64_t session, theirs; /* 0: it is not known */
  int64_t regreet_at;       /* BYN_NEVER: it is not due */
  groups_packet *packets, *last_packet;
  char name[];
} groups_peer;

struct byn_groups {
  byn_alloc alloc;
  byn_groups_config config;
  int64_t now;
  bool watched;
  bool some_gone; /* peers that are DOWN may be there */
  uint64_t sessions;
  byn_joined joined;
  byn_group_host self;
  groups_peer *peers;
  groups_packet *taken; /* what the last action showed */
  byn_buf scratch;
};

byn_groups *byn_groups_new(const byn_groups_config *config) {
  byn_groups *g = byn_new(&config->alloc, sizeof *g);
  if (!g) return NULL;
  *g = (byn_groups){.alloc = config->alloc, .config = *config};
  g->self.self = true;
  byn_joined_init(&g->joined, &g->alloc);
  byn_buf_init(&g->scratch, &g->alloc);
  return g;
}

static void free_packet(byn_groups *g, groups_packet *packet) {
  if (!packet) return;
  byn_buf_free(&packet->bytes);
  byn_free(&g->alloc, packet, sizeof *packet);
}

static void drop_packets(byn_groups *g, groups_peer *peer) {
  for (groups_packet *packet; (packet = peer->packets);) {
    peer->packets = packet->next;
    free_packet(g, packet);
  }
  peer->last_packet = NULL;
}

static void free_peer(byn_groups *g, groups_peer **at) {
  groups_peer *peer = *at;
  *at = peer->next;
  drop_packets(g, peer);
  byn_free(&g->alloc, peer,
           offsetof(groups_peer, name) + strlen(peer->name) + 1);
}

void byn_groups_free(byn_groups *g) {
  byn_joined_free(&g->joined);
  while (g->peers)
    free_peer(g, &g->peers);
  free_packet(g, g->taken);
  byn_buf_free(&g->scratch);
  byn_alloc alloc = g->alloc;
  byn_free(&alloc, g, sizeof *g);
}

/* --- peers ---------------------------------------------------------------- */

static groups_peer *find_peer(const byn_groups *g, const char *node) {
  groups_peer *peer = g->peers;
  while (peer && strcmp(peer->name, node) != 0)
    peer = peer->next;
  return peer;
}

static groups_peer *make_peer(byn_groups *g, const char *node) {
  groups_peer *peer = find_peer(g, node);
  if (peer) return peer;
  size_t n = strlen(node) + 1;
  peer = byn_new(&g->alloc, offsetof(groups_peer, name) + n);
  if (!peer) return NULL;
  *peer = (groups_peer){.next = g->peers, .regreet_at = BYN_NEVER};
  memcpy(peer->name, node, n);
  g->peers = peer;
  return peer;
}

/* Its processes have left. */
static void forget(byn_groups *g, groups_peer *peer, peer_state state) {
  byn_joined_drop_host(&g->joined, &peer->host);
  drop_packets(g, peer);
  peer->state = state;
}

/* What is to be said to it finds no memory, or what it says: all of it comes
 * anew. */
static void begin_anew(byn_groups *g, groups_peer *peer) {
  BYN_COVER(peer->state, "no_memory");
  forget(g, peer, GREETING);
  peer->session = ++g->sessions;
  peer->theirs = 0;
  peer->regreet_at = g->now + REGREET_MS;
}

/* --- writing -------------------------------------------------------------- */

/* NULL: memory is short. */
static byn_buf *begin_packet(byn_groups *g, groups_peer *peer, uint8_t kind) {
  groups_packet *packet = byn_new(&g->alloc, sizeof *packet);
  if (!packet) return NULL;
  *packet = (groups_packet){0};
  byn_buf *b = &packet->bytes;
  byn_buf_init(b, &g->alloc);
  byn_put_u8(b, VERSION);
  byn_put_u8(b, kind);
  byn_put_varint(b, peer->session);
  byn_put_varint(b, peer->theirs);
  if (b->failed) {
    free_packet(g, packet);
    return NULL;
  }
  if (peer->last_packet)
    peer->last_packet->next = packet;
  else
    peer->packets = packet;
  peer->last_packet = packet;
  return b;
}

static void greet(byn_groups *g, groups_peer *peer) {
  peer->regreet_at = BYN_NEVER;
  if (!begin_packet(g, peer, HELLO)) begin_anew(g, peer);
}

/* Where `n` bytes of changes go to; NULL: memory is short. */
static byn_buf *packet_for(byn_groups *g, groups_peer *peer, size_t n) {
  groups_packet *last = peer->last_packet;
  bool fits = last && last->bytes.data[1] == CHANGES &&
              last->bytes.len + n <= g->config.max_packet;
  return fits ? &last->bytes : begin_packet(g, peer, CHANGES);
}

/* The record in scratch, to one that has been told everything before. */
static bool send_record(byn_groups *g, groups_peer *peer) {
  if (g->scratch.failed) return false;
  byn_buf *b = packet_for(g, peer, g->scratch.len);
  if (!b) return false;
  byn_put_bytes(b, g->scratch.data, g->scratch.len);
  return !b->failed;
}

static void put_record(byn_groups *g, uint8_t kind, const uint8_t *key,
                       size_t n) {
  byn_buf_truncate(&g->scratch, 0);
  byn_put_u8(&g->scratch, kind);
  byn_put_string(&g->scratch, key, n);
}

static void put_one(byn_groups *g, uint8_t kind, const byn_dist_id *id,
                    byn_dist_bytes pid, uint32_t times) {
  put_record(g, kind, id->key, id->n);
  byn_put_varint(&g->scratch, 1);
  byn_put_string(&g->scratch, pid.at, pid.n);
  byn_put_varint(&g->scratch, times);
}

static void tell_all_peers(byn_groups *g) {
  for (groups_peer *peer = g->peers; peer; peer = peer->next)
    if (peer->state == TOLD && !send_record(g, peer)) begin_anew(g, peer);
}

/* Of this node's processes in a group, as many as fit, from `m` on. */
static bool send_some(byn_groups *g, groups_peer *peer, const byn_group *group,
                      const byn_membership **m) {
  uint64_t count = 0;
  size_t size = 0;
  const byn_membership *end = *m;
  for (; end && (count == 0 || size < g->config.max_packet / 2);
       end = end->after) {
    if (!end->pid->host->self || end->times == 0) continue;
    count++;
    size += end->pid->text.n;
  }
  put_record(g, JOIN, group->key.at, group->key.n);
  byn_put_varint(&g->scratch, count);
  for (; *m != end; *m = (*m)->after) {
    if (!(*m)->pid->host->self || (*m)->times == 0) continue;
    byn_put_bytes(&g->scratch, (*m)->pid->text.at, (*m)->pid->text.n);
    byn_put_varint(&g->scratch, (*m)->times);
  }
  return count == 0 || send_record(g, peer);
}

static bool send_everything(byn_groups *g, groups_peer *peer) {
  byn_map_entry entry;
  for (uint32_t cursor = 0; byn_map_next(&g->joined.groups, &cursor, &entry);)
    for (const byn_group *one = entry.value; one; one = one->same) {
      const byn_membership *m = one->here > 0 ? one->first : NULL;
      while (m)
        if (!send_some(g, peer, one, &m)) return false;
    }
  return true;
}

/* --- inputs --------------------------------------------------------------- */

void byn_groups_attach(byn_groups *g) {
  for (groups_peer *peer = g->peers; peer; peer = peer->next) {
    forget(g, peer, DOWN);
    peer->regreet_at = BYN_NEVER;
    g->some_gone = true;
  }
}

void byn_groups_watch(byn_groups *g, bool watched) {
  g->watched = watched;
}

bool byn_groups_join(byn_groups *g, const byn_dist_id *id, byn_dist_bytes pid) {
  if (!byn_joined_add(&g->joined, &g->self, id, pid, 1)) return false;
  put_one(g, JOIN, id, pid, 1);
  tell_all_peers(g);
  return true;
}

bool byn_groups_leave(byn_groups *g, const byn_dist_id *id,
                      byn_dist_bytes pid) {
  if (!byn_joined_remove(&g->joined, &g->self, id, pid, 1)) return false;
  put_one(g, LEAVE, id, pid, 1);
  tell_all_peers(g);
  return true;
}

void byn_groups_exited(byn_groups *g, byn_dist_bytes pid) {
  byn_group_pid *p = byn_joined_pid(&g->joined, pid);
  if (!p || p->host != &g->self) return;
  for (const byn_membership *m = p->first; m; m = m->pid_next) {
    if (m->times == 0) continue;
    byn_dist_id id = {m->group->key.at, m->group->key.n, m->group->hash};
    put_one(g, LEAVE, &id, p->bytes, m->times);
    tell_all_peers(g);
  }
  byn_joined_drop(&g->joined, p);
}

bool byn_groups_node_up(byn_groups *g, const char *node) {
  groups_peer *peer = make_peer(g, node);
  if (!peer) return false;
  BYN_COVER(peer->state, "up");
  forget(g, peer, GREETING);
  peer->session = ++g->sessions;
  peer->theirs = 0;
  greet(g, peer);
  return true;
}

void byn_groups_node_down(byn_groups *g, const char *node) {
  groups_peer *peer = find_peer(g, node);
  if (!peer) return;
  BYN_COVER(peer->state, "down");
  forget(g, peer, DOWN);
  peer->regreet_at = BYN_NEVER;
  g->some_gone = true;
}

void byn_groups_peer_away(byn_groups *g, const char *node) {
  groups_peer *peer = find_peer(g, node);
  if (!peer || peer->state == DOWN) return;
  BYN_COVER(peer->state, "away");
  forget(g, peer, GREETING);
  peer->session = ++g->sessions;
  peer->theirs = 0;
}

void byn_groups_time(byn_groups *g, int64_t now) {
  g->now = now;
  for (groups_peer *peer = g->peers; peer; peer = peer->next)
    if (peer->regreet_at <= now) greet(g, peer);
}

int64_t byn_groups_deadline(const byn_groups *g) {
  int64_t at = BYN_NEVER;
  for (const groups_peer *peer = g->peers; peer; peer = peer->next)
    if (peer->regreet_at < at) at = peer->regreet_at;
  return at;
}

/* --- what others say ------------------------------------------------------ */

static void take_hello(byn_groups *g, groups_peer *peer, uint64_t session,
                       uint64_t answers) {
  if (session != peer->theirs) {
    BYN_COVER(peer->state, "session");
    forget(g, peer, GREETING);
    peer->theirs = session;
    greet(g, peer);
  }
  if (peer->state != GREETING || answers != peer->session) return;
  if (peer->theirs != session) return; /* memory was short */
  BYN_COVER(peer->state, "told");
  peer->state = TOLD;
  if (!send_everything(g, peer)) begin_anew(g, peer);
}

typedef struct change {
  uint8_t kind;
  byn_dist_id id;
  uint64_t count; /* of processes that follow */
} change;

static bool read_change(const byn_groups *g, byn_reader *r, change *c) {
  c->kind = byn_get_u8(r);
  c->id.key = byn_get_string(r, &c->id.n);
  c->count = byn_get_varint(r);
  if (r->failed || c->count > MAX_PIDS) return false;
  if (c->kind != JOIN && c->kind != LEAVE) return false;
  byn_dist_bytes key = {c->id.key, c->id.n};
  return g->config.check_key(g->config.ud, key, &c->id.hash);
}

static bool read_pid(byn_reader *r, byn_dist_bytes *pid, uint32_t *times) {
  pid->at = byn_get_string(r, &pid->n);
  uint64_t n = byn_get_varint(r);
  *times = (uint32_t)n;
  return !r->failed && n > 0 && n <= BYN_JOINED_MOST;
}

/* A pid that is known here was checked, and is of that node or refused. */
static bool is_pid_of(const byn_groups *g, const groups_peer *peer,
                      byn_dist_bytes pid) {
  const byn_group_pid *p = byn_joined_pid(&g->joined, pid);
  if (p) return p->host == &peer->host;
  return g->config.check_pid(g->config.ud, pid, peer->name);
}

static bool are_sound(const byn_groups *g, const groups_peer *peer,
                      byn_reader r) {
  change c;
  byn_dist_bytes pid;
  uint32_t times;
  while (byn_reader_left(&r) > 0) {
    if (!read_change(g, &r, &c)) return false;
    for (; c.count > 0; c.count--)
      if (!read_pid(&r, &pid, &times) || !is_pid_of(g, peer, pid)) return false;
  }
  return true;
}

static bool take_change(byn_groups *g, groups_peer *peer, byn_reader *r,
                        const change *c) {
  byn_dist_bytes pid;
  uint32_t times;
  for (uint64_t i = 0; i < c->count; i++) {
    bool sound = read_pid(r, &pid, &times);
    byn_assert(sound);
    (void)sound;
    if (c->kind == LEAVE)
      byn_joined_remove(&g->joined, &peer->host, &c->id, pid, times);
    else if (!byn_joined_add(&g->joined, &peer->host, &c->id, pid, times))
      return false;
  }
  return true;
}

static bool take_changes(byn_groups *g, groups_peer *peer, byn_reader r) {
  if (!are_sound(g, peer, r)) return false;
  change c;
  bool taken = true;
  while (taken && byn_reader_left(&r) > 0)
    taken = read_change(g, &r, &c) && take_change(g, peer, &r, &c);
  if (!taken) begin_anew(g, peer);
  return true;
}

bool byn_groups_receive(byn_groups *g, const char *from, const uint8_t *bytes,
                        size_t n) {
  byn_reader r;
  byn_reader_init(&r, bytes, n);
  uint8_t version = byn_get_u8(&r), kind = byn_get_u8(&r);
  uint64_t session = byn_get_varint(&r), answers = byn_get_varint(&r);
  if (r.failed || version != VERSION || session == 0) return false;
  if (kind != HELLO && kind != CHANGES) return false;
  if (kind == HELLO && byn_reader_left(&r) > 0) return false;
  groups_peer *peer = find_peer(g, from);
  if (!peer || peer->state == DOWN) {
    if (kind != HELLO) return true; /* of a session that is over */
    if (!byn_groups_node_up(g, from)) return true; /* it is told of again */
    peer = find_peer(g, from);
  }
  if (kind == HELLO) {
    take_hello(g, peer, session, answers);
    return true;
  }
  /* It may know this node's session before this node knows that it does. */
  if (session != peer->theirs || answers != peer->session) return true;
  return take_changes(g, peer, r);
}

/* --- outputs -------------------------------------------------------------- */

static bool next_packet(byn_groups *g, byn_groups_action *a) {
  for (groups_peer *peer = g->peers; peer; peer = peer->next) {
    groups_packet *packet = peer->packets;
    if (!packet) continue;
    peer->packets = packet->next;
    if (!peer->packets) peer->last_packet = NULL;
    g->taken = packet;
    *a = (byn_groups_action){.kind = BYN_GROUPS_SEND,
                             .node = peer->name,
                             .bytes = {packet->bytes.data, packet->bytes.len}};
    return true;
  }
  return false;
}

/* That their processes have left is told by now. */
static void free_gone(byn_groups *g) {
  g->some_gone = false;
  for (groups_peer **at = &g->peers; *at;) {
    if ((*at)->state == DOWN && !(*at)->host.first)
      free_peer(g, at);
    else
      at = &(*at)->next;
  }
}

bool byn_groups_next(byn_groups *g, byn_groups_action *a) {
  free_packet(g, g->taken);
  g->taken = NULL;
  byn_joined_news news;
  while (byn_joined_next(&g->joined, &g->scratch, &news)) {
    if (!g->watched) continue;
    *a = (byn_groups_action){.kind = news.joined ? BYN_GROUPS_JOIN
                                                 : BYN_GROUPS_LEAVE,
                             .key = news.key,
                             .pids = news.pids};
    return true;
  }
  if (g->some_gone) free_gone(g);
  return next_packet(g, a);
}

/* --- questions ------------------------------------------------------------ */

const byn_joined *byn_groups_joined(const byn_groups *g) {
  return &g->joined;
}

const byn_group_host *byn_groups_self(const byn_groups *g) {
  return &g->self;
}

const char *byn_groups_node_of(const byn_group_pid *pid) {
  if (pid->host->self) return NULL;
  return ((const groups_peer *)pid->host)->name;
}

bool byn_groups_is_told(const byn_groups *g, const char *node) {
  const groups_peer *peer = find_peer(g, node);
  return peer && peer->state == TOLD;
}
