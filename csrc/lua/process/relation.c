/* Relations: records that hang in the lists of both ends. */
#include "relation.h"

#include <stddef.h>

#include "../../core/assert.h"
#include "../value/compat.h"
#include "lookup.h"
#include "node.h"
#include "process.h"

void byn_relation_open(byn_world *w) {
  if (w->relations.alloc) return; /* the module is loaded again */
  byn_pool_init(&w->relations, &w->alloc, sizeof(byn_relation));
  byn_pool_init(&w->far_relations, &w->alloc,
                sizeof(byn_relation) + sizeof(byn_id));
}

const byn_id *byn_end_id(const byn_relation *r,
                         const struct byn_relation_end *end) {
  bool far = r->abroad == (end == &r->a ? BYN_A_ABROAD : BYN_B_ABROAD);
  if (far) return r->far;
  const char *list = (const char *)end->list;
  return &((const byn_process *)(list - offsetof(byn_process, relations)))->id;
}

/* The list that an end hangs in, or NULL where nothing is there any more. */
static byn_relation_list *relations_of(byn_node *node, const byn_id *id) {
  if (id->origin != node->origin) {
    return node->remote ? node->remote->relations(node, id->origin) : NULL;
  }
  byn_process *p = byn_node_at(node, id);
  return p ? &p->relations : NULL;
}

/* The map that finds what processes of `origin` made by its serial. */
static byn_map *monitors_of(byn_node *node, const byn_origin *origin) {
  if (origin == node->origin) return &node->monitors;
  return node->remote ? node->remote->monitors(node, origin) : NULL;
}

static void hang(byn_relation *r, struct byn_relation_end *end,
                 byn_relation_list *list) {
  byn_assert(list && !list->first == !list->count);
  end->list = list;
  end->previous = NULL;
  end->next = list->first;
  if (list->first) {
    byn_relation *first = list->first;
    if (first->a.list == list)
      first->a.previous = r;
    else
      first->b.previous = r;
  }
  list->first = r;
  list->count++;
}

/* The end of a neighbour that stands in this list. No relation has both of
 * its ends in one list: see byn_relate. */
static struct byn_relation_end *end_in_list(byn_relation *r,
                                            const byn_relation_list *list) {
  return r->a.list == list ? &r->a : &r->b;
}

static void unhang(struct byn_relation_end *end) {
  byn_relation_list *list = end->list;
  byn_assert(list->first && list->count);
  if (end->next) end_in_list(end->next, list)->previous = end->previous;
  if (end->previous)
    end_in_list(end->previous, list)->next = end->next;
  else
    list->first = end->next;
  list->count--;
  byn_assert(!list->first == !list->count);
}

static byn_pool *relation_pool(byn_world *w, byn_abroad abroad) {
  return abroad ? &w->far_relations : &w->relations;
}

static void reserve_relation(lua_State *L, byn_pool *pool) {
  if (!byn_pool_reserve(pool)) luaL_error(L, "not enough memory");
}

void byn_relation_reserve(lua_State *L, byn_node *node, bool mapped) {
  reserve_relation(L, &node->world->relations);
  if (mapped && !byn_map_reserve(&node->monitors))
    luaL_error(L, "not enough memory");
}

/* A relation that hangs nowhere; in the map, if there is one. */
static byn_relation *make_relation(lua_State *L, byn_pool *pool,
                                   byn_relation_kind kind, uint64_t serial,
                                   byn_map *map) {
  byn_assert(kind == BYN_LINK || kind == BYN_WATCH || serial);
  byn_assert(!map || !byn_map_get(map, serial));
  reserve_relation(L, pool);
  if (map && !byn_map_reserve(map)) luaL_error(L, "not enough memory");
  byn_relation *r = byn_pool_take(pool);
  if (map) byn_map_put(map, serial, r);
  r->abroad = BYN_NEITHER;
  r->serial = serial;
  r->what = 0;
  r->kind = (uint8_t)kind;
  r->mapped = map != NULL;
  return r;
}

static byn_abroad who_is_abroad(const byn_node *node, const byn_id *a,
                                const byn_id *b) {
  if (a->origin != node->origin) return BYN_A_ABROAD;
  return b->origin != node->origin ? BYN_B_ABROAD : BYN_NEITHER;
}

static void set_abroad(byn_relation *r, byn_abroad abroad, const byn_id *id) {
  r->abroad = (uint8_t)abroad;
  r->far[0] = *id;
  id->origin->uses++;
}

byn_relation *byn_relate(lua_State *L, byn_node *node, byn_relation_kind kind,
                         const byn_id *a, const byn_id *b, uint64_t serial,
                         bool mapped) {
  byn_map *map = mapped ? monitors_of(node, a->origin) : NULL;
  byn_abroad abroad = who_is_abroad(node, a, b);
  byn_assert(!mapped || map);
  byn_assert(a->origin == node->origin || b->origin == node->origin);
  byn_relation *r =
      make_relation(L, relation_pool(node->world, abroad), kind, serial, map);
  if (abroad) set_abroad(r, abroad, abroad == BYN_A_ABROAD ? a : b);
  hang(r, &r->a, relations_of(node, a));
  hang(r, &r->b, relations_of(node, b));
  byn_assert(r->a.list != r->b.list);
  return r;
}

byn_relation *byn_relate_local(lua_State *L, byn_relation_kind kind,
                               byn_process *a, byn_process *b, uint64_t serial,
                               bool mapped) {
  byn_map *map = mapped ? &a->node->monitors : NULL;
  byn_relation *r =
      make_relation(L, &a->node->world->relations, kind, serial, map);
  byn_assert(a != b && a->node == b->node);
  byn_assert(a->state < BYN_EXITING && b->state < BYN_EXITING);
  hang(r, &r->a, &a->relations);
  hang(r, &r->b, &b->relations);
  return r;
}

/* --- walks ---------------------------------------------------------------- */

void byn_relation_walk_begin(byn_relation_walk *walk, byn_node *node,
                             const byn_relation_list *list) {
  *walk = (byn_relation_walk){.at = list->first,
                              .list = list,
                              .next = node->walks,
                              .link = &node->walks};
  if (walk->next) walk->next->link = &walk->next;
  node->walks = walk;
}

void byn_relation_walk_end(byn_relation_walk *walk) {
  if (!walk->link) return;
  *walk->link = walk->next;
  if (walk->next) walk->next->link = walk->link;
  walk->link = NULL;
  walk->at = NULL;
}

void byn_relation_walks_close(byn_node *node) {
  while (node->walks)
    byn_relation_walk_end(node->walks);
}

/* r is about to end. */
static void walks_pass(const byn_node *node, const byn_relation *r) {
  for (byn_relation_walk *walk = node->walks; walk; walk = walk->next)
    if (walk->at == r) walk->at = byn_relation_after(r, walk->list);
}

/* --- ending them ---------------------------------------------------------- */

void byn_unrelate(lua_State *L, byn_node *node, byn_relation *r) {
  byn_world *w = node->world;
  if (node->walks) walks_pass(node, r);
  byn_map *map =
      r->mapped ? monitors_of(node, byn_end_id(r, &r->a)->origin) : NULL;
  byn_assert(!map || byn_map_get(map, r->serial) == r);
  if (map) byn_map_remove(map, r->serial);
  unhang(&r->a);
  unhang(&r->b);
  byn_assert(!r->abroad || r->far[0].origin->uses);
  if (r->abroad) r->far[0].origin->uses--;
  byn_slot_free(L, &w->slots, r->what);
  byn_pool_give(relation_pool(w, r->abroad), r);
}

void byn_relation_give_up(lua_State *L, byn_node *node, byn_relation *r) {
  byn_assert(r->kind != BYN_LINK);
  byn_origin *b = byn_called_abroad(r);
  uint64_t serial = r->serial;
  byn_unrelate(L, node, r);
  if (b) node->remote->demonitor(L, node, b, serial);
}

byn_relation *byn_find_link(const byn_process *p, const byn_id *other) {
  const byn_relation_list *list = &p->relations;
  const byn_id *want = other;
  byn_process *q =
      other->origin == p->node->origin ? byn_node_find(p->node, other) : NULL;
  if (q && q->relations.count < list->count) {
    list = &q->relations;
    want = &p->id;
  }
  for (byn_relation *r = list->first; r;) {
    bool found = r->kind == BYN_LINK && byn_id_equal(byn_far_id(r, list), want);
    if (found) return r;
    r = r->a.list == list ? r->a.next : r->b.next;
  }
  return NULL;
}

byn_relation *byn_find_monitor(byn_node *node, const byn_origin *origin,
                               uint64_t serial) {
  byn_map *map = monitors_of(node, origin);
  return map ? byn_map_get(map, serial) : NULL;
}
