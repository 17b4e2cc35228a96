/* All places by id and in their tree; sweeps; hosts; the hybrid clock. */
#include "registry.h"

#include <stddef.h>

#include "../assert.h"

enum {
  TICKS = 1024,          /* stamps of a millisecond */
  IDLE_SHARE = 6,        /* of the time of other ends */
  REVIEWED = 16,         /* places, before others have their turn */
  RECALLED_MOST = 100000 /* tokens */
};

void byn_registry_keep(byn_registry *r, uint32_t count, int64_t ms) {
  if (ms < 0) ms = 0;
  if (ms > (int64_t)(BYN_STAMP_MAX / TICKS))
    ms = (int64_t)(BYN_STAMP_MAX / TICKS);
  r->keep_count = count;
  r->keep_ended = (uint64_t)ms * TICKS;
  r->sooner = r->keep_ended - r->keep_ended / IDLE_SHARE;
}

bool byn_registry_init(byn_registry *r, const byn_alloc *alloc,
                       uint32_t keep_count, int64_t keep_ms) {
  *r = (byn_registry){.alloc = alloc};
  byn_registry_keep(r, keep_count, keep_ms);
  byn_tree_init(&r->tree, alloc);
  byn_map_init(&r->places, alloc);
  byn_map_init(&r->hosts, alloc);
  byn_map_init(&r->recalled, alloc);
  r->ends = byn_timers_new(alloc);
  return r->ends != NULL;
}

static size_t place_size(const byn_place *p) {
  return sizeof *p + p->key_size;
}

void byn_registry_free_place(byn_registry *r, byn_place *p) {
  byn_place_clear(p, r->alloc);
  if (p->shown_host) p->shown_host->registers--;
  byn_free(r->alloc, p, place_size(p));
}

static void free_host(byn_registry *r, byn_host *h) {
  byn_free(r->alloc, h, sizeof *h + h->name_size);
}

void byn_registry_clear(byn_registry *r) {
  for (byn_place *p = byn_tree_first(&r->tree), *next; p; p = next) {
    next = byn_tree_next(&r->tree, p);
    byn_registry_free_place(r, p);
  }
  byn_tree_clear(&r->tree);
  byn_map_entry entry;
  for (uint32_t cursor = 0; byn_map_next(&r->hosts, &cursor, &entry);)
    for (byn_host *h = entry.value, *next; h; h = next) {
      next = h->next;
      free_host(r, h);
    }
  byn_map_clear(&r->places);
  byn_map_clear(&r->hosts);
  byn_map_clear(&r->recalled);
  byn_timers_free(r->ends);
}

/* --- the clock ------------------------------------------------------------ */

void byn_registry_time(byn_registry *r, int64_t now, int64_t wall) {
  byn_assert(now >= r->now);
  r->now = now;
  r->wall = wall;
}

uint64_t byn_registry_clock(const byn_registry *r) {
  uint64_t wall = r->wall > 0 ? (uint64_t)r->wall : 0;
  if (wall > BYN_STAMP_MAX / TICKS) wall = BYN_STAMP_MAX / TICKS;
  uint64_t passed = (uint64_t)(r->now - r->clock_at);
  if (passed > BYN_STAMP_MAX / TICKS) passed = BYN_STAMP_MAX / TICKS;
  uint64_t clock = r->clock + passed * TICKS;
  if (wall * TICKS > clock) clock = wall * TICKS;
  return clock < BYN_STAMP_MAX ? clock : BYN_STAMP_MAX - 1;
}

uint64_t byn_registry_stamp(byn_registry *r) {
  uint64_t clock = byn_registry_clock(r);
  if (clock <= r->clock) clock = r->clock + 1;
  if (clock >= BYN_STAMP_MAX) clock = BYN_STAMP_MAX - 1;
  r->clock = clock;
  r->clock_at = r->now;
  return clock;
}

void byn_registry_saw(byn_registry *r, uint64_t stamp) {
  byn_assert(stamp <= BYN_STAMP_MAX);
  if (stamp <= byn_registry_clock(r)) return;
  r->clock = stamp;
  r->clock_at = r->now;
}

uint64_t byn_registry_horizon(const byn_registry *r) {
  uint64_t clock = byn_registry_clock(r);
  uint64_t horizon = clock > r->keep_ended ? clock - r->keep_ended : 0;
  return horizon > r->forgotten ? horizon : r->forgotten;
}

/* --- hosts ---------------------------------------------------------------- */

/* FNV-1a: places are told apart by XXH3, these few by anything. */
static uint64_t host_hash(const char *name, size_t n, uint64_t incarnation) {
  uint64_t h = 0xcbf29ce484222325u;
  for (size_t i = 0; i < n; i++)
    h = (h ^ (uint8_t)name[i]) * 0x100000001b3u;
  for (int i = 0; i < 8; i++)
    h = (h ^ (uint8_t)(incarnation >> 8 * i)) * 0x100000001b3u;
  return h;
}

byn_host *byn_registry_host(byn_registry *r, const char *name, size_t n,
                            uint64_t incarnation) {
  uint64_t hash = host_hash(name, n, incarnation);
  byn_host *first = byn_map_get(&r->hosts, hash);
  for (byn_host *h = first; h; h = h->next)
    if (h->incarnation == incarnation && strlen(h->name) == n &&
        memcmp(h->name, name, n) == 0)
      return h;
  byn_host *h = byn_new(r->alloc, sizeof *h + n + 1);
  if (!h) return NULL;
  *h = (byn_host){.next = first,
                  .hash = hash,
                  .incarnation = incarnation,
                  .name_size = n + 1};
  memcpy(h->name, name, n);
  h->name[n] = 0;
  if (!byn_map_put(&r->hosts, hash, h)) {
    free_host(r, h);
    return NULL;
  }
  return h;
}

void byn_registry_sweep_hosts(byn_registry *r) {
  byn_map_entry entry;
  for (uint32_t cursor = 0; byn_map_next(&r->hosts, &cursor, &entry);) {
    byn_host *kept = NULL;
    for (byn_host *h = entry.value, *next; h; h = next) {
      next = h->next;
      if (h->registers || h->named) {
        h->next = kept;
        kept = h;
      } else {
        free_host(r, h);
      }
    }
    if (kept == entry.value) continue;
    byn_map_put(&r->hosts, entry.key, kept);
    if (!kept) cursor = 0; /* the table has moved */
  }
}

/* --- places --------------------------------------------------------------- */

byn_place *byn_registry_find(const byn_registry *r, const byn_dist_id *id) {
  for (byn_place *p = byn_map_get(&r->places, id->hash); p; p = p->same_hash)
    if (p->key_size == id->n && memcmp(p->key, id->key, id->n) == 0) return p;
  return NULL;
}

byn_place *byn_registry_place(byn_registry *r, const byn_dist_id *id) {
  byn_assert(id->n <= BYN_DIST_KEY_MAX);
  byn_place *p = byn_registry_find(r, id);
  if (p) return p;
  p = byn_new(r->alloc, sizeof *p + id->n);
  if (!p) return NULL;
  *p = (byn_place){.hash = id->hash, .key_size = (uint32_t)id->n};
  if (id->n) memcpy(p->key, id->key, id->n);
  p->same_hash = byn_map_get(&r->places, id->hash);
  if (!byn_map_put(&r->places, id->hash, p)) {
    byn_free(r->alloc, p, place_size(p));
    return NULL;
  }
  byn_tree_add(&r->tree, p);
  return p;
}

bool byn_registry_is_idle(const byn_place *p) {
  return !p->generations && p->floor == 0 && !p->run && !p->requests &&
         !p->shown.at && !p->dirty && !p->published && !p->conflicting &&
         !p->lacking;
}

void byn_registry_remove(byn_registry *r, byn_place *p) {
  byn_assert(byn_registry_is_idle(p) && p->digest == 0);
  byn_timers_cancel(r->ends, p->expiry, NULL);
  byn_place *first = byn_map_get(&r->places, p->hash);
  if (first == p) {
    byn_map_put(&r->places, p->hash, p->same_hash);
  } else {
    while (first->same_hash != p)
      first = first->same_hash;
    first->same_hash = p->same_hash;
  }
  byn_tree_remove(&r->tree, p);
}

void byn_registry_touch(byn_registry *r, byn_place *p) {
  if (p->dirty) return;
  p->dirty = true;
  r->touched++;
  p->next_dirty = NULL;
  if (r->dirty_last)
    r->dirty_last->next_dirty = p;
  else
    r->dirty = p;
  r->dirty_last = p;
}

void byn_registry_touch_again(byn_registry *r, byn_place *p) {
  byn_assert(!p->dirty && r->looked_at > 0);
  p->dirty = true;
  r->looked_at--;
  p->next_dirty = r->dirty;
  r->dirty = p;
  if (!r->dirty_last) r->dirty_last = p;
}

/* Those that are reviewed come in when nothing else is to be looked at, a few
 * at a time: what callers wait for does not stand behind all of them. */
static void review_some(byn_registry *r) {
  for (uint32_t n = 0; n < REVIEWED; n++) {
    byn_place *p = byn_sweep_next(&r->review, &r->tree);
    if (!p) return;
    for (uint64_t hash = p->hash; p && p->hash == hash; p = p->after)
      byn_registry_touch(r, p);
  }
}

byn_place *byn_registry_next_dirty(byn_registry *r) {
  if (!r->dirty) review_some(r);
  byn_place *p = r->dirty;
  if (!p) return NULL;
  byn_assert(p->dirty);
  r->dirty = p->next_dirty;
  if (!r->dirty) r->dirty_last = NULL;
  r->looked_at++;
  p->dirty = false;
  return p;
}

void byn_registry_publish(byn_registry *r, byn_place *p, bool spec) {
  p->publish_spec |= spec;
  if (p->published) return;
  p->published = true;
  p->next_published = NULL;
  if (r->published_last)
    r->published_last->next_published = p;
  else
    r->published = p;
  r->published_last = p;
}

byn_place *byn_registry_next_published(byn_registry *r) {
  byn_place *p = r->published;
  if (!p) return NULL;
  byn_assert(p->published);
  r->published = p->next_published;
  if (!r->published) r->published_last = NULL;
  p->published = false;
  return p;
}

void byn_registry_review(byn_registry *r) {
  byn_sweep_begin(&r->review);
}

/* --- hosts whose lives are over ------------------------------------------- */

void byn_registry_host_over(byn_registry *r, byn_host *h, bool over) {
  if (h->over == over) return;
  h->over = over;
  if (h->registers > 0) byn_sweep_begin(&r->recount);
}

void byn_registry_drop_host(byn_registry *r, byn_host *h) {
  byn_assert(h->dropped);
  h->over = true;
  if (h->registers > 0) byn_sweep_begin(&r->recount);
}

static void recount_place(byn_registry *r, byn_place *p) {
  bool dropped = byn_place_drop_hosts(p, r->alloc);
  if (dropped)
    byn_registry_changed(r, p);
  else
    byn_tree_set_digest(&r->tree, p, byn_place_digest(p));
}

uint32_t byn_registry_go_on(byn_registry *r, uint32_t places) {
  uint32_t n = 0;
  for (; n < places; n++) {
    byn_place *p = byn_sweep_next(&r->recount, &r->tree);
    if (!p) break;
    for (uint64_t hash = p->hash; p && p->hash == hash; p = p->after)
      recount_place(r, p);
  }
  return n;
}

/* --- ends ----------------------------------------------------------------- */

static uint64_t oldest_end(const byn_registry *r, const byn_place *p) {
  uint64_t oldest = p->floor;
  for (const byn_generation *g = p->generations; g; g = g->next) {
    uint64_t age = byn_end_age(g->end.stamp, g->end.why, r->sooner);
    if (g->ended && (oldest == 0 || age < oldest)) oldest = age;
  }
  return oldest;
}

static void schedule_expiry(byn_registry *r, byn_place *p) {
  uint64_t oldest = oldest_end(r, p);
  if (oldest == p->expires_at) return;
  byn_timers_cancel(r->ends, p->expiry, NULL);
  p->expiry = 0;
  p->expires_at = 0;
  if (!oldest) return;
  p->expiry = byn_timers_add(r->ends, (int64_t)oldest, 0, p);
  if (p->expiry) p->expires_at = oldest;
}

void byn_registry_changed(byn_registry *r, byn_place *p) {
  byn_tree_set_digest(&r->tree, p, byn_place_digest(p));
  schedule_expiry(r, p);
  byn_registry_touch(r, p);
}

void byn_registry_recall(byn_registry *r, uint64_t from, uint64_t to) {
  byn_assert(from <= to);
  r->recall_from = from;
  r->recall_to = to;
  if (to == 0) byn_map_empty(&r->recalled);
}

/* What is forgotten for want of memory, or as one too many, may come back. */
static void recall(byn_registry *r, const byn_generation *g) {
  bool lost = g->stamp >= r->recall_from && g->stamp <= r->recall_to;
  if (lost && r->recalled.count < RECALLED_MOST)
    byn_map_put(&r->recalled, g->token, r);
}

static bool expire_place(byn_registry *r, byn_place *p, uint64_t before) {
  for (const byn_generation *g = p->generations; g; g = g->next)
    if (g->ended && byn_end_age(g->end.stamp, g->end.why, r->sooner) < before)
      recall(r, g);
  return byn_place_expire(p, r->alloc, before, r->sooner);
}

void byn_registry_expire(byn_registry *r) {
  while (byn_timers_count(r->ends) > r->keep_count) {
    uint64_t oldest = (uint64_t)byn_timers_next(r->ends);
    if (oldest + 1 > r->forgotten) r->forgotten = oldest + 1;
    byn_due due;
    if (!byn_timers_pop(r->ends, (int64_t)oldest, &due)) break;
    byn_place *p = due.owner;
    p->expiry = 0;
    p->expires_at = 0;
    expire_place(r, p, r->forgotten);
    byn_registry_changed(r, p);
  }
  uint64_t horizon = byn_registry_horizon(r);
  byn_due due;
  while (horizon > 0 && byn_timers_pop(r->ends, (int64_t)(horizon - 1), &due)) {
    byn_place *p = due.owner;
    p->expiry = 0;
    p->expires_at = 0;
    expire_place(r, p, horizon);
    byn_registry_changed(r, p);
  }
}

/* --- merging -------------------------------------------------------------- */

static void see_stamps(byn_registry *r, const byn_generation_view *v) {
  byn_registry_saw(r, v->stamp);
  byn_registry_saw(r, v->end_stamp);
  byn_registry_saw(r, v->failures_version);
  byn_registry_saw(r, v->idle / 2);
  byn_registry_saw(r, v->moved_stamp);
  for (uint32_t i = 0; i < v->register_count; i++) {
    byn_registry_saw(r, v->registers[i].begun);
    byn_registry_saw(r, v->registers[i].awoke);
  }
}

/* Was the child moved to this machine's node? */
static bool arrives(const byn_registry *r, const byn_generation_view *v) {
  const byn_dist_bytes *node = &v->moved_node;
  return r->self && node->at && node->n == strlen(r->self->name) &&
         memcmp(node->at, r->self->name, node->n) == 0;
}

static bool find_hosts(byn_registry *r, byn_generation_view *v) {
  for (uint32_t i = 0; i < v->register_count; i++) {
    byn_register_view *view = &v->registers[i];
    const char *name = (const char *)view->node.at;
    view->host = byn_registry_host(r, name, view->node.n, view->incarnation);
    if (!view->host) return false;
    if (!view->host->named && !view->host->gone) r->new_hosts = true;
    view->own = view->host == r->self;
  }
  return true;
}

/* What was over before this node and the sender last met, and is forgotten
 * here, must not come back. */
static void end_forgotten(byn_registry *r, byn_generation_view *v) {
  v->ended = true;
  v->end_stamp = byn_registry_stamp(r);
  v->end_why = BYN_DIST_WHY_ENDED;
}

byn_merged byn_registry_merge(byn_registry *r, const uint8_t *bytes, size_t n,
                              const byn_entry_view *entry, uint64_t new_before,
                              byn_generation_view *scratch, byn_place **place) {
  byn_place *p = byn_registry_find(r, &entry->id);
  uint64_t horizon = byn_registry_horizon(r);
  byn_merged merged = BYN_MERGED_SAME;
  byn_reader reader;
  byn_reader_init(&reader, bytes, n);
  while (byn_entry_next(&reader, scratch)) {
    see_stamps(r, scratch);
    bool known = p && byn_place_find(p, scratch->token);
    uint64_t age = byn_end_age(scratch->end_stamp, scratch->end_why, r->sooner);
    if (!known && scratch->ended && age < horizon) continue;
    bool over = scratch->stamp < new_before ||
                byn_map_get(&r->recalled, scratch->token);
    if (!known && !scratch->ended && over) end_forgotten(r, scratch);
    if (!p) p = byn_registry_place(r, &entry->id);
    scratch->arrives = arrives(r, scratch);
    byn_merged one = BYN_MERGED_NO_MEMORY;
    if (p && (scratch->ended || find_hosts(r, scratch)))
      one = byn_place_merge(p, r->alloc, scratch);
    if (one > merged) merged = one;
  }
  *place = p;
  if (p && entry->floor >= horizon &&
      byn_place_raise_floor(p, r->alloc, entry->floor) &&
      merged == BYN_MERGED_SAME)
    merged = BYN_MERGED_NEWS;
  if (p && expire_place(r, p, horizon) && merged == BYN_MERGED_SAME)
    merged = BYN_MERGED_NEWS;
  if (p && merged != BYN_MERGED_SAME) byn_registry_changed(r, p);
  return merged;
}
