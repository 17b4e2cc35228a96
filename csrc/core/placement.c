/* Where the children of a distributed supervisor run, and which should move. */
#include "placement.h"

#include <string.h>

#include "ring.h"

#define SMALLEST 8

typedef struct child {
  uint64_t hash;
  byn_place place;
  int64_t ended_at;      /* ENDED: since when, by this node's clock */
  uint32_t older, newer; /* ENDED: its neighbours in the order of ending */
  uint32_t next;         /* in the list to look at, or of free numbers */
  uint8_t run;
  uint8_t run_flags; /* RUNNING: those it was started with */
  bool run_is_over;  /* RUNNING: the place is its end, or comes after that */
  bool used;
  bool to_look; /* stands in the list to look at */
} child;

typedef struct host {
  uint64_t hash;
  uint64_t digest;
  uint32_t places; /* children whose place names it */
  uint8_t state;
  bool used;
} host;

struct byn_placement {
  byn_alloc alloc;
  byn_ring *ring;
  int64_t keep_ended_ms;
  uint32_t keep_ended;
  child *children;
  uint32_t child_count, child_capacity, free_child;
  host *hosts;
  uint32_t host_count, host_capacity;
  uint32_t look_first, look_last; /* children that changed */
  uint32_t review_at;             /* the next child of a full review */
  uint32_t oldest_end, newest_end;
  uint32_t running, ends;
  uint32_t forgotten; /* the greatest epoch of a place that was forgotten */
  size_t node_len;
  char node[]; /* its own name */
};

/* The finalizer of splitmix64. */
static uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

/* ---- made and freed ---- */

byn_placement *byn_placement_new(const byn_placement_config *config) {
  size_t size = sizeof(byn_placement) + config->node_len;
  byn_placement *p = byn_new(&config->alloc, size);
  if (!p) return NULL;
  memset(p, 0, sizeof *p);
  p->alloc = config->alloc;
  p->keep_ended_ms = config->keep_ended_ms;
  p->keep_ended = config->keep_ended;
  p->free_child = p->look_first = p->look_last = BYN_NO_CHILD;
  p->oldest_end = p->newest_end = p->review_at = BYN_NO_CHILD;
  p->node_len = config->node_len;
  memcpy(p->node, config->node, config->node_len);
  p->ring = byn_ring_new(&p->alloc, BYN_RING_VNODES);
  if (!p->ring || byn_placement_host(p, config->host) == BYN_NO_HOST) {
    byn_placement_free(p);
    return NULL;
  }
  p->hosts[0].state = BYN_HOST_UP;
  return p;
}

void byn_placement_free(byn_placement *p) {
  if (!p) return;
  byn_alloc alloc = p->alloc;
  if (p->ring) byn_ring_free(p->ring);
  byn_free(&alloc, p->children, p->child_capacity * sizeof *p->children);
  byn_free(&alloc, p->hosts, p->host_capacity * sizeof *p->hosts);
  byn_free(&alloc, p, sizeof *p + p->node_len);
}

/* Doubles an array in place; false leaves it as it was. */
static bool grow(const byn_alloc *alloc, void **array, uint32_t *capacity,
                 size_t size) {
  if (*capacity > UINT32_MAX / 2 || *capacity > SIZE_MAX / 2 / size)
    return false;
  uint32_t wanted = *capacity ? *capacity * 2 : SMALLEST;
  void *fresh = byn_resize(alloc, *array, *capacity * size, wanted * size);
  if (!fresh) return false;
  *array = fresh;
  *capacity = wanted;
  return true;
}

/* ---- hosts ---- */

/* The host's number, or else a free one, or else host_count. */
static uint32_t find_host(const byn_placement *p, uint64_t hash) {
  uint32_t spare = p->host_count;
  for (uint32_t i = 0; i < p->host_count; i++) {
    if (!p->hosts[i].used)
      spare = i;
    else if (p->hosts[i].hash == hash)
      return i;
  }
  return spare;
}

uint32_t byn_placement_host(byn_placement *p, uint64_t hash) {
  uint32_t i = find_host(p, hash);
  if (i < p->host_count && p->hosts[i].used) return i;
  if (i == p->host_capacity) {
    void *hosts = p->hosts;
    if (!grow(&p->alloc, &hosts, &p->host_capacity, sizeof *p->hosts))
      return BYN_NO_HOST;
    p->hosts = hosts;
  }
  if (i == p->host_count) p->host_count++;
  p->hosts[i] = (host){.hash = hash, .used = true};
  return i;
}

void byn_placement_set_host(byn_placement *p, uint32_t number,
                            byn_host_state state) {
  if (p->hosts[number].state == state) return;
  p->hosts[number].state = (uint8_t)state;
  byn_placement_review(p);
}

byn_host_state byn_placement_host_state(const byn_placement *p,
                                        uint32_t number) {
  return (byn_host_state)p->hosts[number].state;
}

bool byn_placement_drop_host(byn_placement *p, uint32_t number) {
  if (number == 0 || p->hosts[number].places) return false;
  p->hosts[number].used = false;
  return true;
}

uint64_t byn_placement_digest(const byn_placement *p, uint32_t number) {
  return p->hosts[number].digest;
}

/* ---- members ---- */

bool byn_placement_join(byn_placement *p, const char *node, size_t n) {
  if (!byn_ring_add(p->ring, node, n, 1)) return false;
  byn_placement_review(p);
  return true;
}

bool byn_placement_leave(byn_placement *p, const char *node, size_t n) {
  if (!byn_ring_remove(p->ring, node, n)) return false;
  byn_placement_review(p);
  return true;
}

uint32_t byn_placement_members(const byn_placement *p) {
  return byn_ring_count(p->ring);
}

const char *byn_placement_member(const byn_placement *p, uint32_t i,
                                 size_t *n) {
  return byn_ring_name(p->ring, i, n);
}

const char *byn_placement_owner(const byn_placement *p, uint64_t hash,
                                size_t *n) {
  int32_t owner = byn_ring_owner(p->ring, hash);
  return owner < 0 ? NULL : byn_ring_name(p->ring, (uint32_t)owner, n);
}

static bool is_owner(const byn_placement *p, const child *c) {
  size_t n;
  const char *owner = byn_placement_owner(p, c->hash, &n);
  return owner && n == p->node_len && memcmp(owner, p->node, n) == 0;
}

/* ---- children ---- */

uint32_t byn_placement_add(byn_placement *p, uint64_t hash) {
  uint32_t i = p->free_child;
  if (i != BYN_NO_CHILD) {
    p->free_child = p->children[i].next;
  } else {
    if (p->child_count == p->child_capacity) {
      void *children = p->children;
      if (!grow(&p->alloc, &children, &p->child_capacity, sizeof *p->children))
        return BYN_NO_CHILD;
      p->children = children;
    }
    i = p->child_count++;
  }
  p->children[i] = (child){.hash = hash, .used = true};
  p->children[i].place.host = BYN_NO_HOST;
  return i;
}

byn_place byn_placement_get(const byn_placement *p, uint32_t i) {
  return p->children[i].place;
}

byn_run byn_placement_run(const byn_placement *p, uint32_t i) {
  return (byn_run)p->children[i].run;
}

uint32_t byn_placement_running(const byn_placement *p) {
  return p->running;
}

uint32_t byn_placement_ends(const byn_placement *p) {
  return p->ends;
}

bool byn_placement_each(const byn_placement *p, uint32_t number,
                        uint32_t *cursor, uint32_t *found) {
  for (; *cursor < p->child_count; ++*cursor) {
    const child *c = &p->children[*cursor];
    if (!c->used || c->place.state == BYN_PLACE_NONE) continue;
    if (number != BYN_NO_HOST && c->place.host != number) continue;
    *found = (*cursor)++;
    return true;
  }
  return false;
}

static void look_at(byn_placement *p, uint32_t i) {
  child *c = &p->children[i];
  if (c->to_look) return;
  c->to_look = true;
  c->next = BYN_NO_CHILD;
  if (p->look_first == BYN_NO_CHILD)
    p->look_first = i;
  else
    p->children[p->look_last].next = i;
  p->look_last = i;
}

static uint32_t next_to_look_at(byn_placement *p) {
  uint32_t i = p->look_first;
  if (i == BYN_NO_CHILD) return i;
  p->look_first = p->children[i].next;
  p->children[i].to_look = false;
  return i;
}

/* ---- the order of ends ---- */

static void append_end(byn_placement *p, uint32_t i, int64_t now) {
  child *c = &p->children[i];
  c->ended_at = now;
  c->older = p->newest_end;
  c->newer = BYN_NO_CHILD;
  if (c->older == BYN_NO_CHILD)
    p->oldest_end = i;
  else
    p->children[c->older].newer = i;
  p->newest_end = i;
  p->ends++;
}

static void remove_end(byn_placement *p, uint32_t i) {
  const child *c = &p->children[i];
  if (c->older == BYN_NO_CHILD)
    p->oldest_end = c->newer;
  else
    p->children[c->older].newer = c->newer;
  if (c->newer == BYN_NO_CHILD)
    p->newest_end = c->older;
  else
    p->children[c->newer].older = c->older;
  p->ends--;
}

/* ---- places ---- */

static uint64_t digest_of(const byn_placement *p, const child *c) {
  uint64_t version = (uint64_t)c->place.epoch << 32 | c->place.seq;
  return mix(mix(c->hash ^ mix(version)) ^ p->hosts[c->place.host].hash);
}

/* Counts the child's place in, or out again. */
static void count_place(byn_placement *p, uint32_t i, bool in, int64_t now) {
  const child *c = &p->children[i];
  if (c->place.state == BYN_PLACE_NONE) return;
  host *h = &p->hosts[c->place.host];
  h->places += in ? 1 : UINT32_MAX;
  if (c->place.state == BYN_PLACE_RUNNING) {
    h->digest ^= digest_of(p, c);
    p->running += in ? 1 : UINT32_MAX;
  } else if (in) {
    append_end(p, i, now);
  } else {
    remove_end(p, i);
  }
}

static void set_place(byn_placement *p, uint32_t i, const byn_place *place,
                      int64_t now) {
  count_place(p, i, false, now);
  p->children[i].place = *place;
  p->children[i].run_is_over = false;
  count_place(p, i, true, now);
  look_at(p, i);
}

static uint64_t score(const byn_placement *p, const child *c, uint32_t number) {
  return number == BYN_NO_HOST ? 0 : mix(mix(c->hash) ^ p->hosts[number].hash);
}

/* Is `a` greater than `b`, as places of `c`? */
static bool is_greater(const byn_placement *p, const child *c,
                       const byn_place *a, const byn_place *b) {
  if (a->epoch != b->epoch) return a->epoch > b->epoch;
  if (a->seq != b->seq) return a->seq > b->seq;
  if (a->state != b->state) return a->state > b->state;
  if (a->host == b->host) return false;
  return score(p, c, a->host) > score(p, c, b->host);
}

bool byn_placement_merge(byn_placement *p, uint32_t i, const byn_place *place,
                         int64_t now) {
  const child *c = &p->children[i];
  if (!is_greater(p, c, place, &c->place)) return false;
  set_place(p, i, place, now);
  return true;
}

/* A place of this host that is greater than the one there is. Where there is
 * none, others may not have forgotten yet what this node has. */
static void take_place(byn_placement *p, uint32_t i, byn_place_state state,
                       uint8_t flags, int64_t now) {
  const byn_place *old = &p->children[i].place;
  bool is_new = old->state == BYN_PLACE_NONE;
  byn_place place = {.epoch = (is_new ? p->forgotten : old->epoch) + 1,
                     .host = 0,
                     .state = (uint8_t)state,
                     .flags = flags};
  set_place(p, i, &place, now);
}

static bool is_mine(const child *c) {
  return c->place.state == BYN_PLACE_RUNNING && c->place.host == 0;
}

static byn_host_state host_of(const byn_placement *p, const child *c) {
  return (byn_host_state)p->hosts[c->place.host].state;
}

/* ---- the run ---- */

static void set_run(byn_placement *p, uint32_t i, byn_run run) {
  p->children[i].run = (uint8_t)run;
  look_at(p, i);
}

void byn_placement_starting(byn_placement *p, uint32_t i) {
  p->children[i].run_is_over = false;
  set_run(p, i, BYN_RUN_STARTING);
}

bool byn_placement_started(byn_placement *p, uint32_t i, uint8_t flags) {
  child *c = &p->children[i];
  set_run(p, i, BYN_RUN_RUNNING);
  c->run_flags = flags;
  if (c->run_is_over) return false;
  if (c->place.state == BYN_PLACE_RUNNING && c->place.host != 0 &&
      host_of(p, c) == BYN_HOST_UP)
    return false;
  take_place(p, i, BYN_PLACE_RUNNING, flags, 0);
  return true;
}

void byn_placement_failed(byn_placement *p, uint32_t i) {
  child *c = &p->children[i];
  c->run = BYN_RUN_NONE;
  if (c->place.state != BYN_PLACE_RUNNING) look_at(p, i);
}

/* The next seq of a place that is this host's. */
static bool advance(byn_placement *p, uint32_t i, byn_place_state state,
                    int64_t now) {
  const child *c = &p->children[i];
  if (!is_mine(c)) return false;
  byn_place place = c->place;
  place.seq++;
  place.state = (uint8_t)state;
  set_place(p, i, &place, now);
  return true;
}

bool byn_placement_restarted(byn_placement *p, uint32_t i) {
  look_at(p, i);
  return advance(p, i, BYN_PLACE_RUNNING, 0);
}

void byn_placement_stopping(byn_placement *p, uint32_t i) {
  set_run(p, i, BYN_RUN_STOPPING);
}

bool byn_placement_ended(byn_placement *p, uint32_t i, int64_t now) {
  set_run(p, i, BYN_RUN_NONE);
  return advance(p, i, BYN_PLACE_ENDED, now);
}

void byn_placement_end_run(byn_placement *p, uint32_t i) {
  p->children[i].run_is_over = true;
  look_at(p, i);
}

void byn_placement_abandon(byn_placement *p, uint32_t i, int64_t now) {
  take_place(p, i, BYN_PLACE_ENDED, p->children[i].place.flags, now);
}

/* ---- deciding ---- */

void byn_placement_review(byn_placement *p) {
  p->review_at = 0;
}

typedef enum verdict { FINE, START, STOP, ANNOUNCE, END, FORGET } verdict;

static verdict judge_idle(const byn_placement *p, const child *c) {
  switch (c->place.state) {
  case BYN_PLACE_NONE:
    return FORGET;
  case BYN_PLACE_ENDED:
    return FINE;
  default:
    break;
  }
  if (c->place.host == 0) return END;
  if (host_of(p, c) != BYN_HOST_DEAD || !is_owner(p, c)) return FINE;
  return c->place.flags & BYN_PLACE_TEMPORARY ? END : START;
}

static verdict judge_running(const byn_placement *p, const child *c) {
  if (c->place.state != BYN_PLACE_RUNNING)
    return c->run_is_over ? STOP : ANNOUNCE;
  if (c->place.host == 0) return FINE;
  if (c->run_is_over || host_of(p, c) == BYN_HOST_UP) return STOP;
  return host_of(p, c) == BYN_HOST_DEAD ? ANNOUNCE : FINE;
}

static verdict judge(const byn_placement *p, const child *c) {
  if (!c->used) return FINE;
  if (c->run == BYN_RUN_NONE) return judge_idle(p, c);
  return c->run == BYN_RUN_RUNNING ? judge_running(p, c) : FINE;
}

static void forget(byn_placement *p, uint32_t i) {
  child *c = &p->children[i];
  if (c->place.epoch > p->forgotten) p->forgotten = c->place.epoch;
  count_place(p, i, false, 0);
  c->place.state = BYN_PLACE_NONE;
  c->used = false;
  c->next = p->free_child;
  p->free_child = i;
}

/* What follows from the verdict here, and what the owner is told of it. */
static byn_placement_kind carry_out(byn_placement *p, uint32_t i, verdict v,
                                    int64_t now) {
  child *c = &p->children[i];
  switch (v) {
  case START:
    c->run = BYN_RUN_STARTING;
    return BYN_PLACEMENT_START;
  case STOP:
    c->run = BYN_RUN_STOPPING;
    return BYN_PLACEMENT_STOP;
  case ANNOUNCE:
    take_place(p, i, BYN_PLACE_RUNNING, c->run_flags, now);
    return BYN_PLACEMENT_ANNOUNCE;
  case END:
    byn_placement_abandon(p, i, now);
    return BYN_PLACEMENT_END;
  default:
    forget(p, i);
    return BYN_PLACEMENT_FORGET;
  }
}

static bool is_stale(const byn_placement *p, const child *c, int64_t now) {
  return p->ends > p->keep_ended || now - c->ended_at >= p->keep_ended_ms;
}

/* An end that was kept for long enough, or BYN_NO_CHILD. Those that are just
 * being started again are passed over. */
static uint32_t stale_end(const byn_placement *p, int64_t now) {
  uint32_t i = p->oldest_end;
  for (; i != BYN_NO_CHILD; i = p->children[i].newer) {
    if (!is_stale(p, &p->children[i], now)) return BYN_NO_CHILD;
    if (p->children[i].run == BYN_RUN_NONE) return i;
  }
  return i;
}

/* The next child to judge: those that changed, then a full review. */
static uint32_t next_child(byn_placement *p) {
  uint32_t i = next_to_look_at(p);
  if (i != BYN_NO_CHILD) return i;
  if (p->review_at < p->child_count) return p->review_at++;
  p->review_at = BYN_NO_CHILD;
  return BYN_NO_CHILD;
}

bool byn_placement_next(byn_placement *p, int64_t now,
                        byn_placement_action *action) {
  verdict v = FINE;
  uint32_t i;
  while ((i = next_child(p)) != BYN_NO_CHILD) {
    v = judge(p, &p->children[i]);
    if (v != FINE) break;
  }
  if (v == FINE) {
    i = stale_end(p, now);
    if (i == BYN_NO_CHILD) return false;
    v = FORGET;
  }
  action->kind = carry_out(p, i, v, now);
  action->child = i;
  return true;
}
