/* One child's place: generations and registers, merged in any order. */
#include "place.h"

#include "../assert.h"
#include "../coverage.h"

BYN_MACHINE("dist: a generation", "new going ended",
            "register older_register failures ran kept spec end older_end "
            "floor preference idle");

#ifdef BYN_COVERAGE
static unsigned generation_state(const byn_generation *g) {
  return g->ended ? 2 : g->registers || g->spec_set ? 1 : 0;
}
#endif

static void check_place(const byn_place *p) {
#ifdef BYN_ASSERT
  uint32_t live = 0, ends = 0;
  for (const byn_generation *g = p->generations; g; g = g->next) {
    byn_assert(!g->ended || (!g->registers && !g->spec.at));
    byn_assert(!g->checkpoint || (!g->ended && g->kept));
    byn_assert(g->stamp > p->floor);
    byn_assert(!g->next || g->next->stamp >= g->stamp);
    live += !g->ended;
    ends += g->ended;
  }
  byn_assert(live == p->live && ends == p->ends);
#else
  (void)p;
#endif
}

static bool set_bytes(byn_blob *b, const byn_alloc *alloc, byn_dist_bytes v) {
  return byn_blob_set(b, alloc, v.at, v.n);
}

/* --- registers ------------------------------------------------------------ */

static int host_compare(const byn_host *a, const byn_host *b) {
  int order = strcmp(a->name, b->name);
  if (order != 0) return order;
  return (a->incarnation > b->incarnation) - (a->incarnation < b->incarnation);
}

static void free_register(byn_generation *g, const byn_alloc *alloc,
                          byn_register **at) {
  byn_register *r = *at;
  byn_assert(r->host->registers > 0 && g->register_count > 0);
  *at = r->next;
  r->host->registers--;
  g->register_count--;
  byn_blob_clear(&r->pid, alloc);
  byn_blob_clear(&r->reason, alloc);
  byn_free(alloc, r, sizeof *r);
}

byn_register *byn_register_find(const byn_generation *g, const byn_host *host) {
  for (byn_register *r = g->registers; r; r = r->next)
    if (r->host == host) return r;
  return NULL;
}

/* Makes room: the register of a host that is gone counts least. */
static void forget_one_gone(byn_generation *g, const byn_alloc *alloc) {
  for (byn_register **at = &g->registers; *at; at = &(*at)->next) {
    if (!(*at)->host->gone) continue;
    free_register(g, alloc, at);
    return;
  }
}

byn_register *byn_register_of(byn_generation *g, const byn_alloc *alloc,
                              byn_host *host) {
  byn_assert(!g->ended);
  byn_register *r = byn_register_find(g, host);
  if (r) return r;
  if (g->register_count >= BYN_PLACE_REGISTERS) forget_one_gone(g, alloc);
  if (g->register_count >= BYN_PLACE_REGISTERS) return NULL;
  r = byn_new(alloc, sizeof *r);
  if (!r) return NULL;
  *r = (byn_register){.host = host};
  byn_register **at = &g->registers;
  while (*at && host_compare((*at)->host, host) < 0)
    at = &(*at)->next;
  r->next = *at;
  *at = r;
  host->registers++;
  g->register_count++;
  return r;
}

/* This machine wrote it and has forgotten it since: what it writes now must be
 * newer, or those who remember would not take it. */
static byn_merged outgrow_own(byn_generation *g, const byn_alloc *alloc,
                              const byn_register_view *view) {
  byn_register *own = byn_register_find(g, view->host);
  if (own && own->version >= view->version) return BYN_MERGED_SAME;
  if (view->version >= BYN_STAMP_MAX) return BYN_MERGED_SAME;
  own = byn_register_of(g, alloc, view->host);
  if (!own) return BYN_MERGED_NO_MEMORY;
  own->version = view->version + 1;
  return BYN_MERGED_NEWS;
}

static byn_merged merge_register(byn_generation *g, const byn_alloc *alloc,
                                 const byn_register_view *view) {
  if (!view->host) return BYN_MERGED_SAME;
  if (view->host->dropped) {
    g->may_have_run |= view->state == BYN_REGISTER_STARTING ||
                       view->state == BYN_REGISTER_RUNNING;
    return BYN_MERGED_SAME;
  }
  if (view->own) return outgrow_own(g, alloc, view);
  byn_register *r = byn_register_find(g, view->host);
  if (r && r->version >= view->version) {
    BYN_COVER(generation_state(g), "older_register");
    return BYN_MERGED_SAME;
  }
  BYN_COVER(generation_state(g), "register");
  if (!r && g->register_count >= BYN_PLACE_REGISTERS) return BYN_MERGED_SAME;
  byn_blob pid = {0}, reason = {0};
  if (!set_bytes(&pid, alloc, view->pid) ||
      !set_bytes(&reason, alloc, view->reason))
    goto no_memory;
  r = byn_register_of(g, alloc, view->host);
  if (!r) goto no_memory;
  byn_blob_clear(&r->pid, alloc);
  byn_blob_clear(&r->reason, alloc);
  r->pid = pid;
  r->reason = reason;
  r->version = view->version;
  r->run = view->run;
  r->begun = view->begun;
  bool given = view->history && view->history < view->begun;
  r->history = given ? view->history : view->begun;
  r->awoke = view->awoke;
  r->state = view->state;
  r->why = view->why;
  r->moving = view->moving;
  return BYN_MERGED_NEWS;
no_memory:
  byn_blob_clear(&pid, alloc);
  byn_blob_clear(&reason, alloc);
  return BYN_MERGED_NO_MEMORY;
}

/* --- generations ---------------------------------------------------------- */

byn_generation *byn_place_find(const byn_place *p, uint64_t token) {
  for (byn_generation *g = p->generations; g; g = g->next)
    if (g->token == token) return g;
  return NULL;
}

void byn_generation_drop_checkpoint(byn_generation *g, const byn_alloc *alloc) {
  if (!g->checkpoint) return;
  byn_blob_clear(&g->checkpoint->bytes, alloc);
  byn_free(alloc, g->checkpoint, sizeof *g->checkpoint);
  g->checkpoint = NULL;
}

bool byn_generation_hold(byn_generation *g, const byn_alloc *alloc,
                         uint64_t epoch, uint64_t version, bool handed,
                         byn_dist_bytes bytes) {
  byn_assert(!g->ended && g->kept && bytes.at);
  byn_checkpoint *c = g->checkpoint;
  bool fresh = c == NULL;
  if (fresh) c = byn_new(alloc, sizeof *c);
  if (!c) return false;
  if (fresh) *c = (byn_checkpoint){0};
  if (!byn_blob_set(&c->bytes, alloc, bytes.at, bytes.n)) {
    if (fresh) byn_free(alloc, c, sizeof *c);
    return false;
  }
  c->epoch = epoch;
  c->version = version;
  c->handed = handed;
  g->checkpoint = c;
  return true;
}

/* Leaves what an end is, if it has one. */
static void strip(byn_generation *g, const byn_alloc *alloc) {
  while (g->registers)
    free_register(g, alloc, &g->registers);
  byn_blob_clear(&g->node, alloc);
  byn_blob_clear(&g->spec, alloc);
  byn_blob_clear(&g->failures.reason, alloc);
  byn_blob_clear(&g->preference.node, alloc);
  byn_generation_drop_checkpoint(g, alloc);
  g->failures = (byn_failures){0};
  g->preference = (byn_preference){0};
  g->arrives = false;
  g->kept = false;
  g->idle = 0;
  g->ran = g->may_have_run = g->own_backoff = false;
  g->spec_set = g->withheld = false;
  g->flags = 0;
}

static void clear_end(byn_end *e, const byn_alloc *alloc) {
  byn_blob_clear(&e->reason, alloc);
  byn_blob_clear(&e->pid, alloc);
  byn_blob_clear(&e->node, alloc);
}

static void free_generation(byn_place *p, const byn_alloc *alloc,
                            byn_generation **at) {
  byn_generation *g = *at;
  *at = g->next;
  if (g->ended)
    p->ends--;
  else
    p->live--;
  strip(g, alloc);
  clear_end(&g->end, alloc);
  byn_free(alloc, g, sizeof *g);
}

static bool goes_before(const byn_generation *g, uint64_t stamp,
                        uint64_t token) {
  return g->stamp < stamp || (g->stamp == stamp && g->token < token);
}

static byn_generation *add_generation(byn_place *p, const byn_alloc *alloc,
                                      uint64_t token, uint64_t stamp) {
  byn_generation *g = byn_new(alloc, sizeof *g);
  if (!g) return NULL;
  *g = (byn_generation){.token = token, .stamp = stamp};
  byn_generation **at = &p->generations;
  while (*at && goes_before(*at, stamp, token))
    at = &(*at)->next;
  g->next = *at;
  *at = g;
  p->live++;
  return g;
}

bool byn_place_raise_floor(byn_place *p, const byn_alloc *alloc,
                           uint64_t floor) {
  if (floor <= p->floor) return false;
  p->floor = floor;
  for (byn_generation **at = &p->generations; *at && (*at)->stamp <= floor;) {
    BYN_COVER(generation_state(*at), "floor");
    free_generation(p, alloc, at);
  }
  check_place(p);
  return true;
}

/* However ends came, those that stay are the newest of all. */
static void keep_newest_ends(byn_place *p, const byn_alloc *alloc) {
  while (p->ends > BYN_PLACE_ENDS) {
    byn_generation *oldest = p->generations;
    while (!oldest->ended)
      oldest = oldest->next;
    byn_place_raise_floor(p, alloc, oldest->stamp);
  }
}

/* `reason` may show what the generation holds: it is copied before that goes.
 */
static void set_end(byn_place *p, const byn_alloc *alloc, byn_generation *g,
                    uint64_t stamp, const byn_end_reason *reason) {
  byn_end end = {.stamp = stamp, .why = reason->why};
  set_bytes(&end.reason, alloc, reason->reason);
  set_bytes(&end.pid, alloc, reason->pid);
  const char *node = reason->node;
  byn_blob_set(&end.node, alloc, node, node ? strlen(node) : 0);
  clear_end(&g->end, alloc);
  g->end = end;
  if (g->ended) return;
  strip(g, alloc);
  g->ended = true;
  p->live--;
  p->ends++;
}

/* The end of a generation of which nothing ran, as far as its last host knew.
 * A node that missed it may have taken the child over, and somebody may have
 * been told that it runs. */
static bool is_failed_start(uint8_t why) {
  return why == BYN_DIST_WHY_START_ERROR || why == BYN_DIST_WHY_REFUSED ||
         why == BYN_DIST_WHY_NO_ROOM || why == BYN_DIST_WHY_TIMEOUT;
}

static void revive(byn_place *p, const byn_alloc *alloc, byn_generation *g) {
  byn_assert(g->ended && p->ends > 0);
  clear_end(&g->end, alloc);
  g->end = (byn_end){0};
  g->ended = false;
  p->ends--;
  p->live++;
}

void byn_place_end(byn_place *p, const byn_alloc *alloc, byn_generation *g,
                   uint64_t stamp, const byn_end_reason *reason) {
  byn_assert(!g->ended && byn_place_find(p, g->token) == g);
  byn_assert(!g->ran || !is_failed_start(reason->why));
  BYN_COVER(generation_state(g), "end");
  set_end(p, alloc, g, stamp, reason);
  keep_newest_ends(p, alloc);
  check_place(p);
}

static int compare_blob(const byn_blob *a, byn_dist_bytes b) {
  return byn_bytes_compare(a->at, a->n, b.at, b.n);
}

static bool is_greater_end(const byn_generation_view *view, const byn_end *e) {
  if (view->end_stamp != e->stamp) return view->end_stamp > e->stamp;
  if (view->end_why != e->why) return view->end_why > e->why;
  int order = compare_blob(&e->reason, view->end_reason);
  if (order == 0) order = compare_blob(&e->pid, view->end_pid);
  if (order == 0) order = compare_blob(&e->node, view->end_node);
  return order < 0;
}

static byn_merged merge_end(byn_place *p, const byn_alloc *alloc,
                            byn_generation *g,
                            const byn_generation_view *view) {
  if (g->ended && !is_greater_end(view, &g->end)) {
    BYN_COVER(generation_state(g), "older_end");
    return BYN_MERGED_SAME;
  }
  BYN_COVER(generation_state(g), "end");
  byn_end_reason reason = {
      .why = view->end_why, .reason = view->end_reason, .pid = view->end_pid};
  set_end(p, alloc, g, view->end_stamp, &reason);
  set_bytes(&g->end.node, alloc, view->end_node);
  keep_newest_ends(p, alloc);
  return BYN_MERGED_NEWS;
}

static byn_merged merge_spec(byn_generation *g, const byn_alloc *alloc,
                             const byn_generation_view *view) {
  if (view->withheld && !g->spec_set) g->withheld = true;
  if (!view->spec_set || g->spec_set) return BYN_MERGED_SAME;
  BYN_COVER(generation_state(g), "spec");
  if (!set_bytes(&g->spec, alloc, view->spec) ||
      !set_bytes(&g->node, alloc, view->node))
    return BYN_MERGED_NO_MEMORY;
  g->flags = (uint8_t)view->flags;
  g->own_backoff = view->own_backoff;
  g->backoff_min = view->backoff_min;
  g->backoff_max = view->backoff_max;
  g->backoff_factor = view->backoff_factor;
  g->backoff_jitter = view->backoff_jitter;
  g->spec_set = true;
  g->withheld = false;
  return BYN_MERGED_NEWS;
}

static byn_merged merge_failures(byn_generation *g, const byn_alloc *alloc,
                                 const byn_generation_view *view) {
  if (view->failures_version <= g->failures.version) return BYN_MERGED_SAME;
  BYN_COVER(generation_state(g), "failures");
  if (!set_bytes(&g->failures.reason, alloc, view->failures_reason))
    return BYN_MERGED_NO_MEMORY;
  g->failures.version = view->failures_version;
  g->failures.count = (uint32_t)view->failures_count;
  g->failures.why = view->failures_why;
  return BYN_MERGED_NEWS;
}

bool byn_generation_prefer(byn_generation *g, const byn_alloc *alloc,
                           const byn_preferred *what) {
  byn_assert(!g->ended && what->stamp && what->node.at);
  if (!set_bytes(&g->preference.node, alloc, what->node)) return false;
  g->preference.stamp = what->stamp;
  g->preference.epoch = what->epoch;
  g->preference.version = what->version;
  g->preference.stays = what->stays;
  return true;
}

static bool is_greater_preference(const byn_generation_view *view,
                                  const byn_preference *p) {
  if (view->moved_stamp != p->stamp) return view->moved_stamp > p->stamp;
  if (!p->stamp) return false;
  int order = compare_blob(&p->node, view->moved_node);
  if (order != 0) return order < 0;
  if (view->moved_epoch != p->epoch) return view->moved_epoch > p->epoch;
  if (view->moved_version != p->version)
    return view->moved_version > p->version;
  return view->moved_stays && !p->stays;
}

static byn_merged merge_preference(byn_generation *g, const byn_alloc *alloc,
                                   const byn_generation_view *view) {
  if (!is_greater_preference(view, &g->preference)) return BYN_MERGED_SAME;
  BYN_COVER(generation_state(g), "preference");
  byn_preferred what = {.stamp = view->moved_stamp,
                        .epoch = view->moved_epoch,
                        .version = view->moved_version,
                        .stays = view->moved_stays,
                        .node = view->moved_node};
  if (!byn_generation_prefer(g, alloc, &what)) return BYN_MERGED_NO_MEMORY;
  g->arrives = view->arrives;
  return BYN_MERGED_NEWS;
}

static byn_merged worse(byn_merged a, byn_merged b) {
  return a > b ? a : b;
}

static byn_merged merge_going(byn_generation *g, const byn_alloc *alloc,
                              const byn_generation_view *view) {
  byn_merged merged = merge_spec(g, alloc, view);
  merged = worse(merged, merge_failures(g, alloc, view));
  merged = worse(merged, merge_preference(g, alloc, view));
  if (view->ran && !g->ran) {
    BYN_COVER(generation_state(g), "ran");
    g->ran = true;
    merged = worse(merged, BYN_MERGED_NEWS);
  }
  if (view->kept && !g->kept) {
    BYN_COVER(generation_state(g), "kept");
    g->kept = true;
    merged = worse(merged, BYN_MERGED_NEWS);
  }
  if (view->idle > g->idle) {
    BYN_COVER(generation_state(g), "idle");
    g->idle = view->idle;
    merged = worse(merged, BYN_MERGED_NEWS);
  }
  for (uint32_t i = 0; i < view->register_count; i++)
    merged = worse(merged, merge_register(g, alloc, &view->registers[i]));
  return merged;
}

byn_merged byn_place_merge(byn_place *p, const byn_alloc *alloc,
                           const byn_generation_view *view) {
  check_place(p);
  if (view->stamp <= p->floor) return BYN_MERGED_SAME;
  byn_generation *g = byn_place_find(p, view->token);
  byn_merged merged = BYN_MERGED_SAME;
  if (!g) {
    if (p->live >= BYN_PLACE_GENERATIONS - BYN_PLACE_ENDS)
      return BYN_MERGED_SAME;
    g = add_generation(p, alloc, view->token, view->stamp);
    if (!g) return BYN_MERGED_NO_MEMORY;
    merged = BYN_MERGED_NEWS;
  }
  if (view->ended) {
    if (g->ran && is_failed_start(view->end_why)) return merged;
    return worse(merged, merge_end(p, alloc, g, view));
  }
  if (g->ended && view->ran && is_failed_start(g->end.why)) revive(p, alloc, g);
  if (g->ended) return merged;
  return worse(merged, merge_going(g, alloc, view));
}

void byn_place_drop(byn_place *p, const byn_alloc *alloc, uint64_t token) {
  byn_generation **at = &p->generations;
  while (*at && (*at)->token != token)
    at = &(*at)->next;
  if (*at) free_generation(p, alloc, at);
  check_place(p);
}

bool byn_place_expire(byn_place *p, const byn_alloc *alloc, uint64_t before,
                      uint64_t sooner) {
  bool expired = p->floor > 0 && p->floor < before;
  if (expired) p->floor = 0;
  for (byn_generation **at = &p->generations; *at;) {
    const byn_end *end = &(*at)->end;
    if ((*at)->ended && byn_end_age(end->stamp, end->why, sooner) < before) {
      free_generation(p, alloc, at);
      expired = true;
    } else {
      at = &(*at)->next;
    }
  }
  check_place(p);
  return expired;
}

bool byn_place_drop_hosts(byn_place *p, const byn_alloc *alloc) {
  bool dropped = false;
  for (byn_generation *g = p->generations; g; g = g->next)
    for (byn_register **at = &g->registers; *at;) {
      if ((*at)->host->dropped) {
        g->may_have_run |= (*at)->state == BYN_REGISTER_STARTING ||
                           (*at)->state == BYN_REGISTER_RUNNING;
        free_register(g, alloc, at);
        dropped = true;
      } else {
        at = &(*at)->next;
      }
    }
  return dropped;
}

void byn_place_clear(byn_place *p, const byn_alloc *alloc) {
  while (p->generations)
    free_generation(p, alloc, &p->generations);
  byn_assert(p->live == 0 && p->ends == 0);
  byn_blob_clear(&p->shown, alloc);
}

/* --- functions of the set ------------------------------------------------- */

/* Since when its host has been awake with it. Where only one of two slept, this
 * says whether the other began meanwhile; where both did, it is still an order:
 * to compare each with the other's begin would be none, as three processes
 * could then each have to give way to the next. */
static uint64_t awake_since(const byn_register *r) {
  return r->awoke > r->begun ? r->awoke : r->begun;
}

static bool stays_before(const byn_register *a, const byn_register *b,
                         bool newest) {
  if (newest)
    return a->begun > b->begun || (a->begun == b->begun && a->run > b->run);
  if (a->history != b->history) return a->history < b->history;
  uint64_t since = awake_since(a), other = awake_since(b);
  if (since != other) return since < other;
  return a->begun < b->begun || (a->begun == b->begun && a->run < b->run);
}

static byn_register *best_running(const byn_place *p, bool newest, bool seen,
                                  byn_generation **of) {
  byn_register *best = NULL;
  for (byn_generation *g = p->generations; g; g = g->next)
    for (byn_register *r = g->registers; r; r = r->next) {
      if (r->state != BYN_REGISTER_RUNNING || r->host->gone) continue;
      if (seen && r->host->unseen) continue;
      if (best && !stays_before(r, best, newest)) continue;
      best = r;
      if (of) *of = g;
    }
  return best;
}

byn_register *byn_place_running(const byn_place *p, bool newest,
                                byn_generation **of) {
  return best_running(p, newest, false, of);
}

byn_register *byn_place_seen(const byn_place *p, bool newest,
                             byn_generation **of) {
  return best_running(p, newest, true, of);
}

byn_register *byn_generation_active(const byn_generation *g) {
  for (byn_register *r = g->registers; r; r = r->next)
    if (byn_register_is_active(r) && !r->host->gone) return r;
  return NULL;
}

bool byn_generation_is_idle(const byn_generation *g) {
  return !g->ended && (g->idle & 1) && !byn_generation_active(g);
}

bool byn_generation_may_run(const byn_generation *g, const byn_host *but) {
  for (const byn_register *r = g->registers; r; r = r->next)
    if (byn_register_is_active(r) && !r->host->dropped && r->host != but)
      return true;
  return false;
}

bool byn_generation_may_have_run(const byn_generation *g) {
  if (g->ran || g->may_have_run) return true;
  for (const byn_register *r = g->registers; r; r = r->next)
    if (r->state == BYN_REGISTER_STARTING && r->host->gone) return true;
  return false;
}

bool byn_generation_is_on_its_way(const byn_generation *g) {
  bool moved = false;
  if (g->may_have_run) return false;
  for (const byn_register *r = g->registers; r; r = r->next) {
    if (byn_register_is_active(r)) return false;
    moved |= r->state == BYN_REGISTER_NONE && r->why == BYN_DIST_WHY_MOVED;
  }
  return moved;
}

bool byn_generation_outlasts(const byn_generation *g,
                             const byn_generation *other, bool newest) {
  byn_assert(g->token != other->token);
  return goes_before(g, other->stamp, other->token) != newest;
}

/* Of two that nobody runs. One whose spec is not here may be known to nobody
 * any more. */
static bool counts_before(const byn_generation *g, const byn_generation *other,
                          bool newest) {
  if (g->spec_set != other->spec_set) return g->spec_set;
  return byn_generation_outlasts(g, other, newest);
}

byn_generation *byn_place_live(const byn_place *p, bool newest) {
  byn_generation *live = NULL, *idle = NULL;
  if (byn_place_running(p, newest, &live)) return live;
  for (byn_generation *g = p->generations; g; g = g->next) {
    if (g->ended) continue;
    if (!live && byn_generation_active(g)) live = g;
    if (!idle || counts_before(g, idle, newest)) idle = g;
  }
  return live ? live : idle;
}

/* --- digests -------------------------------------------------------------- */

/* The finalizer of splitmix64 over what came before and one number more. */
static uint64_t stir(uint64_t h, uint64_t v) {
  uint64_t x = h + v + 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

uint64_t byn_place_digest(const byn_place *p) {
  if (!p->generations && p->floor == 0) return 0;
  uint64_t h = stir(stir(0, p->hash), p->key_size);
  h = stir(h, p->floor);
  for (const byn_generation *g = p->generations; g; g = g->next) {
    h = stir(stir(h, g->token), g->ended ? g->end.stamp + 1 : 0);
    if (g->ended) {
      h = stir(stir(h, g->end.why), g->end.reason.n);
      continue;
    }
    h = stir(h, (uint64_t)g->kept << 1 | g->ran);
    h = stir(stir(h, g->failures.version), g->idle);
    h = stir(h, g->preference.stamp);
    for (const byn_register *r = g->registers; r; r = r->next)
      if (!r->host->over) h = stir(stir(h, r->host->hash), r->version);
  }
  return h;
}
