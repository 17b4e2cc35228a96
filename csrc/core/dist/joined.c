/* Which processes have joined which groups, as often as they have. */
#include "joined.h"

#include "../assert.h"
#include "../ring.h"

void byn_joined_init(byn_joined *j, const byn_alloc *alloc) {
  *j = (byn_joined){.alloc = alloc};
  byn_map_init(&j->groups, alloc);
  byn_map_init(&j->pids, alloc);
  byn_map_init(&j->memberships, alloc);
}

/* --- finding -------------------------------------------------------------- */

static bool is_blob(const byn_blob *b, const uint8_t *at, size_t n) {
  return b->n == n && memcmp(b->at, at, n) == 0;
}

byn_group *byn_joined_find(const byn_joined *j, const byn_dist_id *id) {
  byn_group *g = byn_map_get(&j->groups, id->hash);
  while (g && !is_blob(&g->key, id->key, id->n))
    g = g->same;
  return g;
}

static uint64_t hash_of_pid(byn_dist_bytes pid) {
  return byn_ring_hash(pid.at, pid.n, BYN_KEY_STRING);
}

static byn_group_pid *find_pid(const byn_joined *j, byn_dist_bytes pid,
                               uint64_t hash) {
  byn_group_pid *p = byn_map_get(&j->pids, hash);
  while (p && byn_bytes_compare(p->bytes.at, p->bytes.n, pid.at, pid.n) != 0)
    p = p->same;
  return p;
}

byn_group_pid *byn_joined_pid(const byn_joined *j, byn_dist_bytes pid) {
  return find_pid(j, pid, hash_of_pid(pid));
}

static uint64_t hash_of_membership(const byn_group *g, const byn_group_pid *p) {
  return g->hash * 31 + p->hash;
}

static byn_membership *find_membership(const byn_joined *j, const byn_group *g,
                                       const byn_group_pid *p) {
  byn_membership *m = byn_map_get(&j->memberships, hash_of_membership(g, p));
  while (m && (m->group != g || m->pid != p))
    m = m->same;
  return m;
}

uint32_t byn_joined_times(const byn_joined *j, const byn_dist_id *id,
                          byn_dist_bytes pid) {
  const byn_group *g = byn_joined_find(j, id);
  const byn_group_pid *p = byn_joined_pid(j, pid);
  const byn_membership *m = g && p ? find_membership(j, g, p) : NULL;
  return m ? m->times : 0;
}

/* --- groups --------------------------------------------------------------- */

static byn_group *make_group(byn_joined *j, const byn_dist_id *id) {
  byn_group *g = byn_new(j->alloc, sizeof *g);
  if (!g) return NULL;
  *g = (byn_group){.hash = id->hash};
  g->same = byn_map_get(&j->groups, id->hash);
  if (!byn_blob_set(&g->key, j->alloc, id->key, id->n) ||
      !byn_map_put(&j->groups, id->hash, g)) {
    byn_blob_clear(&g->key, j->alloc);
    byn_free(j->alloc, g, sizeof *g);
    return NULL;
  }
  return g;
}

/* Replaces what a key of a map has, which needs no memory. */
static void put_again(byn_map *m, uint64_t key, void *value) {
  bool done = byn_map_put(m, key, value);
  byn_assert(done);
  (void)done;
}

static void free_group(byn_joined *j, byn_group *g) {
  byn_group *first = byn_map_get(&j->groups, g->hash);
  if (first == g) {
    put_again(&j->groups, g->hash, g->same);
  } else {
    while (first->same != g)
      first = first->same;
    first->same = g->same;
  }
  byn_blob_clear(&g->key, j->alloc);
  byn_free(j->alloc, g, sizeof *g);
}

static void drop_unused_group(byn_joined *j, byn_group *g) {
  if (!g->first && !g->dirty) free_group(j, g);
}

/* --- processes ------------------------------------------------------------ */

static bool set_text(byn_joined *j, byn_group_pid *p, byn_dist_bytes pid) {
  byn_buf b;
  byn_buf_init(&b, j->alloc);
  byn_put_string(&b, pid.at, pid.n);
  bool done = !b.failed && byn_blob_set(&p->text, j->alloc, b.data, b.len);
  byn_buf_free(&b);
  if (done) p->bytes = (byn_dist_bytes){p->text.at + p->text.n - pid.n, pid.n};
  return done;
}

static byn_group_pid *make_pid(byn_joined *j, byn_group_host *host,
                               byn_dist_bytes pid, uint64_t hash) {
  byn_group_pid *p = byn_new(j->alloc, sizeof *p);
  if (!p) return NULL;
  *p = (byn_group_pid){.hash = hash, .host = host};
  p->same = byn_map_get(&j->pids, hash);
  if (!set_text(j, p, pid) || !byn_map_put(&j->pids, hash, p)) {
    byn_blob_clear(&p->text, j->alloc);
    byn_free(j->alloc, p, sizeof *p);
    return NULL;
  }
  p->after = host->first;
  if (p->after) p->after->before = p;
  host->first = p;
  return p;
}

static void free_pid(byn_joined *j, byn_group_pid *p) {
  byn_group_pid *first = byn_map_get(&j->pids, p->hash);
  if (first == p) {
    put_again(&j->pids, p->hash, p->same);
  } else {
    while (first->same != p)
      first = first->same;
    first->same = p->same;
  }
  if (p->before)
    p->before->after = p->after;
  else
    p->host->first = p->after;
  if (p->after) p->after->before = p->before;
  byn_blob_clear(&p->text, j->alloc);
  byn_free(j->alloc, p, sizeof *p);
}

static void drop_unused_pid(byn_joined *j, byn_group_pid *p) {
  if (!p->first) free_pid(j, p);
}

/* --- memberships ---------------------------------------------------------- */

static byn_membership *make_membership(byn_joined *j, byn_group *g,
                                       byn_group_pid *p) {
  byn_membership *m = byn_new(j->alloc, sizeof *m);
  if (!m) return NULL;
  *m = (byn_membership){.group = g, .pid = p};
  uint64_t hash = hash_of_membership(g, p);
  m->same = byn_map_get(&j->memberships, hash);
  if (!byn_map_put(&j->memberships, hash, m)) {
    byn_free(j->alloc, m, sizeof *m);
    return NULL;
  }
  m->before = g->last;
  if (m->before)
    m->before->after = m;
  else
    g->first = m;
  g->last = m;
  m->pid_next = p->first;
  if (m->pid_next) m->pid_next->pid_prev = m;
  p->first = m;
  return m;
}

static void unlink_membership(byn_membership *m) {
  byn_group *g = m->group;
  if (m->before)
    m->before->after = m->after;
  else
    g->first = m->after;
  if (m->after)
    m->after->before = m->before;
  else
    g->last = m->before;
  if (m->pid_prev)
    m->pid_prev->pid_next = m->pid_next;
  else
    m->pid->first = m->pid_next;
  if (m->pid_next) m->pid_next->pid_prev = m->pid_prev;
}

/* Its group stays, as it is dirty. */
static void free_membership(byn_joined *j, byn_membership *m) {
  byn_assert(m->times == 0 && m->told == 0 && m->group->dirty);
  uint64_t hash = hash_of_membership(m->group, m->pid);
  byn_membership *first = byn_map_get(&j->memberships, hash);
  if (first == m) {
    put_again(&j->memberships, hash, m->same);
  } else {
    while (first->same != m)
      first = first->same;
    first->same = m->same;
  }
  unlink_membership(m);
  drop_unused_pid(j, m->pid);
  byn_free(j->alloc, m, sizeof *m);
}

static void set_dirty(byn_joined *j, byn_membership *m) {
  byn_group *g = m->group;
  if (!m->dirty) {
    m->dirty = true;
    m->next_dirty = NULL;
    if (g->dirty_first)
      g->dirty_last->next_dirty = m;
    else
      g->dirty_first = m;
    g->dirty_last = m;
  }
  if (g->dirty) return;
  g->dirty = true;
  g->next_dirty = NULL;
  if (j->dirty_first)
    j->dirty_last->next_dirty = g;
  else
    j->dirty_first = g;
  j->dirty_last = g;
}

static void set_times(byn_joined *j, byn_membership *m, uint32_t times) {
  byn_group *g = m->group;
  uint32_t was = g->count;
  if (m->times == 0 && times > 0) {
    g->count++;
    g->here += m->pid->host->self;
  } else if (m->times > 0 && times == 0) {
    g->count--;
    g->here -= m->pid->host->self;
  }
  j->count += (g->count > 0) - (was > 0);
  m->times = times;
  set_dirty(j, m);
}

bool byn_joined_add(byn_joined *j, byn_group_host *host, const byn_dist_id *id,
                    byn_dist_bytes pid, uint32_t times) {
  byn_assert(times > 0 && times <= BYN_JOINED_MOST);
  uint64_t hash = hash_of_pid(pid);
  byn_group *g = byn_joined_find(j, id);
  byn_group_pid *p = find_pid(j, pid, hash);
  byn_assert(!p || p->host == host);
  byn_membership *m = g && p ? find_membership(j, g, p) : NULL;
  if (!m) {
    if (!g) g = make_group(j, id);
    if (!p) p = make_pid(j, host, pid, hash);
    if (g && p) m = make_membership(j, g, p);
    if (!m && p) drop_unused_pid(j, p);
    if (!m && g) drop_unused_group(j, g);
    if (!m) return false;
  }
  if (times > BYN_JOINED_MOST - m->times) times = BYN_JOINED_MOST - m->times;
  set_times(j, m, m->times + times);
  return true;
}

uint32_t byn_joined_remove(byn_joined *j, const byn_group_host *host,
                           const byn_dist_id *id, byn_dist_bytes pid,
                           uint32_t times) {
  byn_group *g = byn_joined_find(j, id);
  byn_group_pid *p = byn_joined_pid(j, pid);
  if (!g || !p || p->host != host) return 0;
  byn_membership *m = find_membership(j, g, p);
  if (!m || m->times == 0) return 0;
  if (times > m->times) times = m->times;
  set_times(j, m, m->times - times);
  return times;
}

void byn_joined_drop(byn_joined *j, byn_group_pid *pid) {
  for (byn_membership *m = pid->first; m; m = m->pid_next)
    if (m->times > 0) set_times(j, m, 0);
}

void byn_joined_drop_host(byn_joined *j, byn_group_host *host) {
  for (byn_group_pid *p = host->first; p; p = p->after)
    byn_joined_drop(j, p);
}

/* --- news ----------------------------------------------------------------- */

static void pop_membership(byn_joined *j, byn_group *g) {
  byn_membership *m = g->dirty_first;
  byn_assert(m->dirty && m->times == m->told);
  g->dirty_first = m->next_dirty;
  m->dirty = false;
  if (m->times == 0) free_membership(j, m);
}

static void pop_group(byn_joined *j) {
  byn_group *g = j->dirty_first;
  j->dirty_first = g->next_dirty;
  g->dirty = false;
  drop_unused_group(j, g);
}

static uint32_t to_tell(const byn_membership *m) {
  return m->times > m->told ? m->times - m->told : m->told - m->times;
}

/* As often as it has joined or left. false: memory is short. */
static bool put_pid(byn_buf *b, const byn_membership *m) {
  size_t len = b->len;
  for (uint32_t i = to_tell(m); i > 0; i--)
    byn_put_bytes(b, m->pid->text.at, m->pid->text.n);
  if (!b->failed) return true;
  byn_buf_truncate(b, len);
  return false;
}

/* Of its first one time, which needs no memory. */
static void tell_one(const byn_group *g, byn_joined_news *news) {
  byn_membership *m = g->dirty_first;
  m->told = news->joined ? m->told + 1 : m->told - 1;
  news->pids = (byn_dist_bytes){m->pid->text.at, m->pid->text.n};
}

/* The first ones that have all joined, or all left. */
static void tell_group(byn_joined *j, byn_group *g, byn_buf *b,
                       byn_joined_news *news) {
  byn_buf_truncate(b, 0);
  for (byn_membership *m; (m = g->dirty_first);) {
    bool told = m->times == m->told;
    if (!told && (m->times > m->told) != news->joined) break;
    if (!told && !put_pid(b, m)) break;
    m->told = m->times;
    pop_membership(j, g);
  }
  news->pids = (byn_dist_bytes){b->data, b->len};
  if (b->len == 0) tell_one(g, news);
}

bool byn_joined_next(byn_joined *j, byn_buf *scratch, byn_joined_news *news) {
  for (byn_group *g; (g = j->dirty_first);) {
    byn_membership *m = g->dirty_first;
    if (!m) {
      pop_group(j);
    } else if (m->times == m->told) {
      pop_membership(j, g);
    } else {
      news->joined = m->times > m->told;
      news->key = (byn_dist_bytes){g->key.at, g->key.n};
      tell_group(j, g, scratch, news);
      return true;
    }
  }
  return false;
}

void byn_joined_free(byn_joined *j) {
  byn_map_entry entry;
  for (uint32_t cursor = 0; byn_map_next(&j->groups, &cursor, &entry);)
    for (byn_group *g = entry.value, *next; g; g = next) {
      next = g->same;
      for (byn_membership *m = g->first, *after; m; m = after) {
        after = m->after;
        unlink_membership(m);
        if (!m->pid->first) {
          byn_blob_clear(&m->pid->text, j->alloc);
          byn_free(j->alloc, m->pid, sizeof *m->pid);
        }
        byn_free(j->alloc, m, sizeof *m);
      }
      byn_blob_clear(&g->key, j->alloc);
      byn_free(j->alloc, g, sizeof *g);
    }
  byn_map_clear(&j->groups);
  byn_map_clear(&j->pids);
  byn_map_clear(&j->memberships);
}
