/* Pending steps: those of nodes, offers, and the clock's. */
#include "pending.h"

#include <string.h>

#include "../assert.h"

void byn_pending_open(byn_pending_set *s, const byn_alloc *alloc) {
  *s = (byn_pending_set){.alloc = alloc};
  byn_map_init(&s->actors, alloc);
  byn_map_init(&s->touching, alloc);
}

void byn_pending_close(byn_pending_set *s) {
  if (!s->alloc) return;
  for (uint32_t i = 0; i < s->node_capacity; i++)
    byn_free(s->alloc, s->nodes[i].steps,
             s->nodes[i].capacity * sizeof *s->nodes[i].steps);
  byn_free(s->alloc, s->nodes, s->node_capacity * sizeof *s->nodes);
  byn_free(s->alloc, s->offers, s->offer_capacity * sizeof *s->offers);
  byn_free(s->alloc, s->all, s->all_capacity * sizeof *s->all);
  byn_map_clear(&s->actors);
  byn_map_clear(&s->touching);
  byn_tally_free(&s->of_nodes, s->alloc);
  byn_tally_free(&s->of_offers, s->alloc);
}

void byn_pending_reset(byn_pending_set *s, byn_priority priority,
                       const void *strategy) {
  for (uint32_t i = 0; i < s->node_count; i++)
    s->nodes[i].count = 0;
  s->node_count = s->offer_count = 0;
  byn_map_empty(&s->actors);
  byn_map_empty(&s->touching);
  byn_tally_reset(&s->of_nodes);
  byn_tally_reset(&s->of_offers);
  s->has_clock = false;
  s->priority = priority;
  s->strategy = strategy;
}

/* --- priorities ----------------------------------------------------------- */

static uint64_t priority_of(const byn_pending_set *s, const byn_pending *step) {
  return s->priority ? s->priority(s->strategy, step) : 0;
}

static void tally_node(byn_pending_set *s, uint32_t node) {
  byn_pending_node *n = &s->nodes[node];
  uint64_t most = 0;
  n->best = 0;
  for (uint32_t i = 0; s->priority && i < n->count; i++) {
    uint64_t other = priority_of(s, &n->steps[i]);
    if (i > 0 && other <= most) continue;
    n->best = i;
    most = other;
  }
  byn_tally_set(&s->of_nodes, node, n->count, most);
}

static void tally_offer(byn_pending_set *s, uint32_t at) {
  const byn_pending_offer *offer = &s->offers[at];
  if (offer->out)
    byn_tally_set(&s->of_offers, at, 0, 0);
  else
    byn_tally_set(&s->of_offers, at, 1, priority_of(s, &offer->step));
}

void byn_pending_prioritize(byn_pending_set *s) {
  for (uint32_t i = 0; i < s->node_count; i++)
    tally_node(s, i);
  for (uint32_t i = 0; i < s->offer_count; i++)
    tally_offer(s, i);
}

void byn_pending_order(byn_pending_set *s, byn_priority priority,
                       const void *strategy) {
  s->priority = priority;
  s->strategy = strategy;
  if (priority) byn_pending_prioritize(s);
}

/* --- of nodes ------------------------------------------------------------- */

/* Doubles an array in place, until it has `wanted`; new bytes are 0. */
static bool grow(const byn_alloc *alloc, void **array, uint32_t *capacity,
                 uint32_t wanted, size_t size) {
  uint32_t more = *capacity ? *capacity : 8;
  if (wanted <= *capacity) return true;
  if (wanted > UINT32_MAX / 4) return false;
  while (more < wanted)
    more *= 2;
  char *p = byn_resize(alloc, *array, *capacity * size, more * size);
  if (!p) return false;
  memset(p + *capacity * size, 0, (more - *capacity) * size);
  *array = p;
  *capacity = more;
  return true;
}

static bool reserve_node(byn_pending_set *s, uint32_t node, uint32_t count) {
  void *nodes = s->nodes;
  bool ok =
      grow(s->alloc, &nodes, &s->node_capacity, node + 1, sizeof *s->nodes);
  s->nodes = nodes;
  if (!ok || !byn_tally_reserve(&s->of_nodes, s->alloc, node + 1)) return false;
  void *steps = s->nodes[node].steps;
  ok = grow(s->alloc, &steps, &s->nodes[node].capacity, count,
            sizeof *s->nodes[node].steps);
  s->nodes[node].steps = steps;
  return ok;
}

bool byn_pending_put(byn_pending_set *s, uint32_t node,
                     const byn_pending *steps, uint32_t count) {
  if (!reserve_node(s, node, count)) return false;
  if (node >= s->node_count) s->node_count = node + 1;
  byn_pending_node *n = &s->nodes[node];
  if (count) memcpy(n->steps, steps, count * sizeof *steps);
  n->count = count;
  tally_node(s, node);
  return true;
}

/* --- offers --------------------------------------------------------------- */

/* The offers that touch an object are a chain, from the last one back. One that
 * was taken out leaves it when somebody comes by. */

static uint32_t *chain_from(byn_pending_offer *offer, uint64_t object) {
  return &offer->before[offer->step.actor != object];
}

static uint32_t last_of_chain(const byn_pending_set *s, uint64_t object) {
  return (uint32_t)(uintptr_t)byn_map_get(&s->touching, object);
}

/* Needs no memory where the object has a chain, or has none then. */
static bool set_chain(byn_pending_set *s, uint64_t object, uint32_t last) {
  return byn_map_put(&s->touching, object, (void *)(uintptr_t)last);
}

/* Puts the offer `at` into its chains; false when memory is short, it is in
 * none then. */
static bool chain_offer(byn_pending_set *s, uint32_t at) {
  byn_pending_offer *offer = &s->offers[at];
  uint64_t actor = offer->step.actor, object = offer->step.object;
  offer->before[0] = last_of_chain(s, actor);
  offer->before[1] = 0;
  if (!set_chain(s, actor, at + 1)) return false;
  if (!object || object == actor) return true;
  offer->before[1] = last_of_chain(s, object);
  if (set_chain(s, object, at + 1)) return true;
  set_chain(s, actor, offer->before[0]);
  return false;
}

/* The place of the offer behind `link` in the chain of an object, plus 1, past
 * those that are out. */
static uint32_t follow(byn_pending_set *s, uint32_t *link, uint64_t object) {
  while (*link && s->offers[*link - 1].out)
    *link = *chain_from(&s->offers[*link - 1], object);
  return *link;
}

static void tally_actor(byn_pending_set *s, uint64_t actor) {
  uint32_t last = last_of_chain(s, actor), *link = &last;
  while (follow(s, link, actor)) {
    byn_pending_offer *offer = &s->offers[*link - 1];
    if (offer->step.actor == actor) tally_offer(s, *link - 1);
    link = chain_from(offer, actor);
  }
  set_chain(s, actor, last);
}

static void redraw_nodes(byn_pending_set *s, uint64_t object,
                         void (*fn)(void *arg, uint64_t actor), void *arg) {
  for (uint32_t i = 0; i < s->node_count; i++) {
    const byn_pending_node *n = &s->nodes[i];
    bool any = false;
    for (uint32_t j = 0; j < n->count; j++) {
      const byn_pending *step = &n->steps[j];
      if (step->actor != object && step->object != object) continue;
      fn(arg, step->actor);
      any = true;
    }
    if (any) tally_node(s, i);
  }
}

void byn_pending_redraw(byn_pending_set *s, uint64_t object,
                        void (*fn)(void *arg, uint64_t actor), void *arg) {
  byn_assert(object != 0);
  redraw_nodes(s, object, fn, arg);
  uint32_t last = last_of_chain(s, object), *link = &last;
  while (follow(s, link, object)) {
    byn_pending_offer *offer = &s->offers[*link - 1];
    fn(arg, offer->step.actor);
    tally_actor(s, offer->step.actor);
    link = chain_from(offer, object);
  }
  set_chain(s, object, last);
}

/* Closes the gaps that those left which were taken out. */
static void close_gaps(byn_pending_set *s) {
  uint32_t kept = 0;
  for (uint32_t i = 0; i < s->offer_count; i++)
    if (!s->offers[i].out) s->offers[kept++] = s->offers[i];
  s->offer_count = kept;
  byn_tally_reset(&s->of_offers);
  byn_map_empty(&s->touching);
  for (uint32_t i = 0; i < kept; i++) {
    bool chained = chain_offer(s, i);
    byn_assert(chained);
    (void)chained;
    tally_offer(s, i);
  }
}

/* Room for one more: of those that are out, if there are many. */
static bool reserve_offer(byn_pending_set *s) {
  void *offers = s->offers;
  if (s->offer_count < s->offer_capacity) return true;
  if (s->offer_count && byn_tally_total(&s->of_offers) <= s->offer_count / 2) {
    close_gaps(s);
    return true;
  }
  bool ok = grow(s->alloc, &offers, &s->offer_capacity, s->offer_count + 1,
                 sizeof *s->offers);
  s->offers = offers;
  return ok;
}

static uintptr_t offers_of(const byn_pending_set *s, uint64_t actor) {
  return (uintptr_t)byn_map_get(&s->actors, actor);
}

bool byn_pending_offer_step(byn_pending_set *s, const byn_pending *step,
                            int64_t number) {
  byn_assert(!s->offer_count || s->offers[s->offer_count - 1].number < number);
  if (!reserve_offer(s) ||
      !byn_tally_reserve(&s->of_offers, s->alloc, s->offer_capacity))
    return false;
  uintptr_t same = offers_of(s, step->actor);
  if (!byn_map_reserve(&s->actors)) return false;
  s->offers[s->offer_count] =
      (byn_pending_offer){.step = *step, .number = number};
  if (!chain_offer(s, s->offer_count)) return false;
  byn_map_put(&s->actors, step->actor, (void *)(same + 1));
  s->offer_count++;
  tally_offer(s, s->offer_count - 1);
  return true;
}

bool byn_pending_withdraw(byn_pending_set *s, int64_t number) {
  uint32_t low = 0, high = s->offer_count;
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    if (s->offers[middle].number < number)
      low = middle + 1;
    else
      high = middle;
  }
  if (low == s->offer_count) return false;
  byn_pending_offer *offer = &s->offers[low];
  if (offer->number != number || offer->out) return false;
  uintptr_t same = offers_of(s, offer->step.actor);
  byn_assert(same > 0);
  byn_map_put(&s->actors, offer->step.actor, (void *)(same - 1));
  offer->out = true;
  tally_offer(s, low);
  return true;
}

void byn_pending_set_clock(byn_pending_set *s, const byn_pending *clock) {
  s->has_clock = clock != NULL;
  if (clock) s->clock = *clock;
}

/* --- looking -------------------------------------------------------------- */

uint32_t byn_pending_others(const byn_pending_set *s) {
  return byn_tally_total(&s->of_nodes) + byn_tally_total(&s->of_offers);
}

uint32_t byn_pending_count(const byn_pending_set *s) {
  return byn_pending_others(s) + s->has_clock;
}

byn_pending_place byn_pending_at(const byn_pending_set *s, uint32_t i) {
  uint32_t of_nodes = byn_tally_total(&s->of_nodes);
  byn_assert(i < byn_pending_count(s));
  if (i < of_nodes) {
    uint32_t node = byn_tally_find(&s->of_nodes, &i);
    return (byn_pending_place){.step = &s->nodes[node].steps[i],
                               .whose = BYN_OF_NODE,
                               .node = node,
                               .index = i};
  }
  i -= of_nodes;
  if (i == byn_tally_total(&s->of_offers))
    return (byn_pending_place){.step = &s->clock, .whose = BYN_OF_CLOCK};
  const byn_pending_offer *offer =
      &s->offers[byn_tally_find(&s->of_offers, &i)];
  return (byn_pending_place){
      .step = &offer->step, .whose = BYN_OFFERED, .number = offer->number};
}

uint32_t byn_pending_first_of_actor(const byn_pending_set *s, uint32_t i) {
  byn_pending_place place = byn_pending_at(s, i);
  if (place.whose != BYN_OFFERED || offers_of(s, place.step->actor) == 1)
    return i;
  uint32_t at = 0;
  while (s->offers[at].out || s->offers[at].step.actor != place.step->actor)
    at++;
  return byn_tally_total(&s->of_nodes) + byn_tally_before(&s->of_offers, at);
}

uint32_t byn_pending_best(const byn_pending_set *s) {
  uint32_t node, offer;
  uint64_t of_node = byn_tally_most(&s->of_nodes, &node);
  uint64_t of_offer = byn_tally_most(&s->of_offers, &offer);
  uint64_t most = of_node < of_offer ? of_offer : of_node;
  if (s->has_clock && priority_of(s, &s->clock) > most)
    return byn_pending_others(s);
  return byn_pending_best_other(s);
}

uint32_t byn_pending_best_other(const byn_pending_set *s) {
  uint32_t node = 0, offer = 0;
  uint64_t of_node = byn_tally_most(&s->of_nodes, &node);
  uint64_t of_offer = byn_tally_most(&s->of_offers, &offer);
  if (of_node >= of_offer)
    return byn_tally_before(&s->of_nodes, node) + s->nodes[node].best;
  return byn_tally_total(&s->of_nodes) + byn_tally_before(&s->of_offers, offer);
}

const byn_pending *byn_pending_all(byn_pending_set *s) {
  void *all = s->all;
  uint32_t n = 0;
  bool ok = grow(s->alloc, &all, &s->all_capacity, byn_pending_count(s),
                 sizeof *s->all);
  s->all = all;
  if (!ok) return NULL;
  for (uint32_t i = 0; i < s->node_count; i++)
    for (uint32_t j = 0; j < s->nodes[i].count; j++)
      s->all[n++] = s->nodes[i].steps[j];
  for (uint32_t i = 0; i < s->offer_count; i++)
    if (!s->offers[i].out) s->all[n++] = s->offers[i].step;
  if (s->has_clock) s->all[n++] = s->clock;
  byn_assert(n == byn_pending_count(s));
  return s->all;
}
