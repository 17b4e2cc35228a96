#include "support.h"

#include "../../csrc/core/placement.h"
#include "../../csrc/core/rng.h"

#define KEEP_MS 1000

static uint64_t hash_of(uint64_t n) {
  byn_rng rng;
  byn_rng_seed(&rng, n);
  return byn_rng_next(&rng);
}

static byn_placement *new_placement(const byn_alloc *alloc, const char *node,
                                    uint64_t life) {
  byn_placement_config config = {.alloc = *alloc,
                                 .node = node,
                                 .node_len = strlen(node),
                                 .host = hash_of(life),
                                 .keep_ended_ms = KEEP_MS,
                                 .keep_ended = 100};
  return byn_placement_new(&config);
}

/* ---- one node, "a", and another host, on "b" ---- */

typedef struct fixture {
  byn_test_alloc t;
  byn_alloc alloc;
  byn_placement *p;
  uint32_t other; /* host */
  uint32_t child;
} fixture;

static int set_up(void **state) {
  fixture *f = calloc(1, sizeof *f);
  if (!f) return -1;
  f->alloc = byn_test_allocator(&f->t);
  f->p = new_placement(&f->alloc, "a", 1);
  byn_placement_join(f->p, "a", 1);
  f->other = byn_placement_host(f->p, hash_of(2));
  byn_placement_set_host(f->p, f->other, BYN_HOST_UP);
  f->child = byn_placement_add(f->p, hash_of(100));
  *state = f;
  return 0;
}

static int tear_down(void **state) {
  fixture *f = *state;
  byn_placement_free(f->p);
  byn_test_assert_clean(&f->t);
  free(f);
  return 0;
}

static void expect(fixture *f, byn_placement_kind kind) {
  byn_placement_action action;
  assert_true(byn_placement_next(f->p, 0, &action));
  assert_int_equal(action.kind, kind);
  assert_int_equal(action.child, f->child);
}

static void expect_nothing(fixture *f) {
  byn_placement_action action;
  byn_placement_review(f->p);
  assert_false(byn_placement_next(f->p, 0, &action));
}

static void learn(fixture *f, uint32_t epoch, uint32_t seq,
                  byn_place_state state) {
  byn_place place = {epoch, seq, f->other, (uint8_t)state, 0};
  assert_true(byn_placement_merge(f->p, f->child, &place, 0));
}

static void start_here(fixture *f) {
  byn_placement_starting(f->p, f->child);
  assert_true(byn_placement_started(f->p, f->child, 0));
}

static void a_start_gives_a_place_of_a_new_epoch(void **state) {
  fixture *f = *state;
  learn(f, 7, 3, BYN_PLACE_ENDED);
  start_here(f);
  byn_place place = byn_placement_get(f->p, f->child);
  assert_int_equal(place.epoch, 8);
  assert_int_equal(place.seq, 0);
  assert_int_equal(place.host, 0);
  assert_int_equal(place.state, BYN_PLACE_RUNNING);
  expect_nothing(f);
}

static void restarts_and_the_end_count_up(void **state) {
  fixture *f = *state;
  start_here(f);
  assert_true(byn_placement_restarted(f->p, f->child));
  assert_true(byn_placement_restarted(f->p, f->child));
  assert_int_equal(byn_placement_get(f->p, f->child).seq, 2);
  assert_true(byn_placement_ended(f->p, f->child, 5));
  assert_int_equal(byn_placement_get(f->p, f->child).seq, 3);
  assert_int_equal(byn_placement_get(f->p, f->child).epoch, 1);
  assert_int_equal(byn_placement_ends(f->p), 1);
  assert_int_equal(byn_placement_running(f->p), 0);
}

static void a_child_of_a_live_host_is_left_alone(void **state) {
  fixture *f = *state;
  learn(f, 1, 0, BYN_PLACE_RUNNING);
  expect_nothing(f);
}

static void a_lost_child_waits_until_its_host_is_known_dead(void **state) {
  fixture *f = *state;
  learn(f, 1, 4, BYN_PLACE_RUNNING);
  byn_placement_set_host(f->p, f->other, BYN_HOST_DOWN);
  expect_nothing(f);
  byn_placement_set_host(f->p, f->other, BYN_HOST_DEAD);
  expect(f, BYN_PLACEMENT_START);
  expect_nothing(f);
  assert_true(byn_placement_started(f->p, f->child, 0));
  assert_int_equal(byn_placement_get(f->p, f->child).epoch, 2);
  expect_nothing(f);
}

static void a_child_of_a_host_never_met_is_left_alone(void **state) {
  fixture *f = *state;
  f->other = byn_placement_host(f->p, hash_of(3));
  learn(f, 1, 0, BYN_PLACE_RUNNING);
  expect_nothing(f);
}

static void a_failed_start_is_tried_again_at_the_next_review(void **state) {
  fixture *f = *state;
  byn_placement_action action;
  learn(f, 1, 0, BYN_PLACE_RUNNING);
  byn_placement_set_host(f->p, f->other, BYN_HOST_DEAD);
  expect(f, BYN_PLACEMENT_START);
  expect_nothing(f);
  byn_placement_failed(f->p, f->child);
  while (byn_placement_next(f->p, 0, &action))
    fail();
  byn_placement_review(f->p);
  expect(f, BYN_PLACEMENT_START);
}

static void a_start_that_never_was_leaves_no_child(void **state) {
  fixture *f = *state;
  byn_placement_starting(f->p, f->child);
  byn_placement_failed(f->p, f->child);
  expect(f, BYN_PLACEMENT_FORGET);
  assert_int_equal(byn_placement_add(f->p, hash_of(5)), f->child);
}

static void another_members_child_is_left_to_it(void **state) {
  fixture *f = *state;
  learn(f, 1, 0, BYN_PLACE_RUNNING);
  byn_placement_set_host(f->p, f->other, BYN_HOST_DEAD);
  byn_placement_leave(f->p, "a", 1);
  byn_placement_join(f->p, "c", 1);
  expect_nothing(f);
  byn_placement_leave(f->p, "c", 1);
  expect_nothing(f);
  byn_placement_join(f->p, "a", 1);
  expect(f, BYN_PLACEMENT_START);
}

static void a_lost_temporary_child_ends(void **state) {
  fixture *f = *state;
  byn_place place = {1, 0, f->other, BYN_PLACE_RUNNING, BYN_PLACE_TEMPORARY};
  byn_placement_merge(f->p, f->child, &place, 0);
  byn_placement_set_host(f->p, f->other, BYN_HOST_DEAD);
  expect(f, BYN_PLACEMENT_END);
  place = byn_placement_get(f->p, f->child);
  assert_int_equal(place.state, BYN_PLACE_ENDED);
  assert_int_equal(place.epoch, 2);
  expect_nothing(f);
}

static void the_loser_of_a_conflict_is_stopped_without_a_trace(void **state) {
  fixture *f = *state;
  start_here(f);
  learn(f, 1, 1, BYN_PLACE_RUNNING);
  expect(f, BYN_PLACEMENT_STOP);
  expect_nothing(f);
  assert_false(byn_placement_ended(f->p, f->child, 0));
  assert_int_equal(byn_placement_get(f->p, f->child).host, f->other);
  expect_nothing(f);
}

static void a_start_overtaken_by_another_host_is_stopped(void **state) {
  fixture *f = *state;
  byn_placement_starting(f->p, f->child);
  learn(f, 1, 0, BYN_PLACE_RUNNING);
  expect_nothing(f);
  assert_false(byn_placement_started(f->p, f->child, 0));
  expect(f, BYN_PLACEMENT_STOP);
}

static void a_run_outlives_the_end_of_another(void **state) {
  fixture *f = *state;
  start_here(f);
  learn(f, 3, 2, BYN_PLACE_ENDED);
  expect(f, BYN_PLACEMENT_ANNOUNCE);
  assert_int_equal(byn_placement_get(f->p, f->child).epoch, 4);
  assert_int_equal(byn_placement_get(f->p, f->child).host, 0);
  expect_nothing(f);
}

static void a_run_takes_the_place_of_a_dead_one(void **state) {
  fixture *f = *state;
  start_here(f);
  byn_placement_set_host(f->p, f->other, BYN_HOST_DOWN);
  learn(f, 3, 2, BYN_PLACE_RUNNING);
  expect_nothing(f);
  byn_placement_set_host(f->p, f->other, BYN_HOST_DEAD);
  expect(f, BYN_PLACEMENT_ANNOUNCE);
  assert_int_equal(byn_placement_get(f->p, f->child).host, 0);
}

/* While this host was out of sight another took the child over, and there it
 * was ended: for good, not only that run. */
static void a_run_that_was_taken_over_ends_with_what_took_over(void **state) {
  fixture *f = *state;
  start_here(f);
  learn(f, 2, 1, BYN_PLACE_ENDED);
  byn_placement_end_run(f->p, f->child);
  expect(f, BYN_PLACEMENT_STOP);
  assert_false(byn_placement_ended(f->p, f->child, 0));
  expect_nothing(f);
  assert_int_equal(byn_placement_get(f->p, f->child).state, BYN_PLACE_ENDED);
}

/* There it was ended and started anew, and that host is lost now. */
static void
a_run_that_is_over_does_not_take_the_place_of_a_later_one(void **state) {
  fixture *f = *state;
  start_here(f);
  byn_placement_set_host(f->p, f->other, BYN_HOST_DEAD);
  learn(f, 3, 2, BYN_PLACE_RUNNING);
  byn_placement_end_run(f->p, f->child);
  expect(f, BYN_PLACEMENT_STOP);
  assert_false(byn_placement_ended(f->p, f->child, 0));
  expect(f, BYN_PLACEMENT_START);
}

static void a_start_whose_end_comes_first_is_stopped(void **state) {
  fixture *f = *state;
  byn_placement_starting(f->p, f->child);
  learn(f, 2, 1, BYN_PLACE_ENDED);
  byn_placement_end_run(f->p, f->child);
  expect_nothing(f);
  assert_false(byn_placement_started(f->p, f->child, 0));
  expect(f, BYN_PLACEMENT_STOP);
  byn_placement_ended(f->p, f->child, 0);
  start_here(f);
  expect_nothing(f);
}

/* Others may still remember the end that this node has forgotten. */
static void a_start_is_newer_than_ends_that_were_forgotten(void **state) {
  fixture *f = *state;
  learn(f, 7, 1, BYN_PLACE_ENDED);
  byn_placement_action action;
  assert_true(byn_placement_next(f->p, KEEP_MS, &action));
  assert_int_equal(action.kind, BYN_PLACEMENT_FORGET);
  f->child = byn_placement_add(f->p, hash_of(100));
  start_here(f);
  assert_int_equal(byn_placement_get(f->p, f->child).epoch, 8);
}

static void what_is_said_to_run_here_but_does_not_has_ended(void **state) {
  fixture *f = *state;
  byn_place place = {2, 9, 0, BYN_PLACE_RUNNING, 0};
  assert_true(byn_placement_merge(f->p, f->child, &place, 0));
  expect(f, BYN_PLACEMENT_END);
  assert_int_equal(byn_placement_get(f->p, f->child).state, BYN_PLACE_ENDED);
}

static void an_end_is_kept_for_a_while(void **state) {
  fixture *f = *state;
  byn_placement_action action;
  start_here(f);
  byn_placement_ended(f->p, f->child, 50);
  while (byn_placement_next(f->p, 49 + KEEP_MS, &action))
    fail();
  assert_true(byn_placement_next(f->p, 50 + KEEP_MS, &action));
  assert_int_equal(action.kind, BYN_PLACEMENT_FORGET);
  assert_int_equal(byn_placement_ends(f->p), 0);
  assert_true(byn_placement_drop_host(f->p, f->other));
}

static void ends_are_bounded_in_number(void **state) {
  fixture *f = *state;
  byn_placement_action action;
  uint32_t forgotten = 0;
  for (uint64_t i = 0; i < 1000; i++) {
    f->child = byn_placement_add(f->p, hash_of(200 + i));
    start_here(f);
    byn_placement_ended(f->p, f->child, 1);
    while (byn_placement_next(f->p, 1, &action))
      forgotten++;
    assert_true(byn_placement_ends(f->p) <= 100);
  }
  /* The fixture's own child, that never had a place, is one of them. */
  assert_int_equal(forgotten, 901);
}

static void an_end_that_is_started_again_does_not_go_stale(void **state) {
  fixture *f = *state;
  byn_placement_action action;
  start_here(f);
  byn_placement_ended(f->p, f->child, 0);
  byn_placement_starting(f->p, f->child);
  assert_false(byn_placement_next(f->p, 2 * KEEP_MS, &action));
  assert_true(byn_placement_started(f->p, f->child, 0));
  assert_int_equal(byn_placement_get(f->p, f->child).epoch, 2);
}

static void a_host_is_known_while_a_place_names_it(void **state) {
  fixture *f = *state;
  learn(f, 1, 0, BYN_PLACE_RUNNING);
  assert_int_equal(byn_placement_host(f->p, hash_of(2)), f->other);
  assert_false(byn_placement_drop_host(f->p, f->other));
  byn_placement_set_host(f->p, f->other, BYN_HOST_DEAD);
  expect(f, BYN_PLACEMENT_START);
  byn_placement_started(f->p, f->child, 0);
  assert_true(byn_placement_drop_host(f->p, f->other));
  assert_false(byn_placement_drop_host(f->p, 0));
  assert_int_equal(byn_placement_host(f->p, hash_of(9)), f->other);
}

static void the_digest_is_that_of_what_runs(void **state) {
  fixture *f = *state;
  uint64_t empty = byn_placement_digest(f->p, f->other);
  learn(f, 1, 0, BYN_PLACE_RUNNING);
  uint64_t first = byn_placement_digest(f->p, f->other);
  learn(f, 1, 1, BYN_PLACE_RUNNING);
  assert_true(first != empty);
  assert_true(byn_placement_digest(f->p, f->other) != first);
  learn(f, 1, 2, BYN_PLACE_ENDED);
  assert_true(byn_placement_digest(f->p, f->other) == empty);
}

/* ---- merging is a join ---- */

enum { HOSTS = 4 };

static byn_place random_place(byn_rng *rng) {
  byn_place place = {.epoch = 1 + (uint32_t)byn_rng_below(rng, 2),
                     .seq = (uint32_t)byn_rng_below(rng, 2),
                     .host = (uint32_t)byn_rng_below(rng, HOSTS),
                     .state = (uint8_t)(1 + byn_rng_below(rng, 2))};
  return place;
}

/* Merges some places in a random order, some of them twice. Nodes number
 * the hosts in their own way: `turn` shifts the numbers. */
static byn_place merged(const byn_alloc *alloc, const byn_place *places,
                        uint32_t n, uint32_t turn, byn_rng *rng) {
  byn_placement *p = new_placement(alloc, "x", 1 + turn);
  for (uint64_t i = 0; i < HOSTS; i++)
    byn_placement_host(p, hash_of(1 + (i + turn) % HOSTS));
  uint32_t child = byn_placement_add(p, hash_of(77));
  for (uint32_t todo = (1u << n) - 1; todo;) {
    uint32_t i = (uint32_t)byn_rng_below(rng, n);
    byn_place place = places[i];
    place.host = byn_placement_host(p, hash_of(1 + place.host));
    byn_placement_merge(p, child, &place, 0);
    assert_false(byn_placement_merge(p, child, &place, 0));
    todo &= ~(1u << i);
  }
  byn_place result = byn_placement_get(p, child);
  result.host = (result.host + turn) % HOSTS;
  byn_placement_free(p);
  return result;
}

static void any_order_and_any_repetition_give_one_result(void **state) {
  const byn_alloc *alloc = &((fixture *)*state)->alloc;
  byn_rng rng;
  byn_rng_seed(&rng, 11);
  for (int round = 0; round < 5000; round++) {
    byn_place places[5];
    for (int i = 0; i < 5; i++)
      places[i] = random_place(&rng);
    byn_place a = merged(alloc, places, 5, 0, &rng);
    byn_place b =
        merged(alloc, places, 5, (uint32_t)byn_rng_below(&rng, HOSTS), &rng);
    assert_int_equal(a.epoch, b.epoch);
    assert_int_equal(a.seq, b.seq);
    assert_int_equal(a.state, b.state);
    assert_int_equal(a.host, b.host);
  }
}

/* ---- a cluster: nodes that crash and join, a network that loses ---- */

enum { NODES = 5, CHILDREN = 60, POST = 4096 };

typedef struct node {
  byn_placement *p; /* NULL: not there */
  uint64_t life;
  uint32_t child[CHILDREN]; /* its number, or BYN_NO_CHILD */

} node;

typedef struct letter {
  uint32_t to, child;
  uint64_t life; /* of the host that the place names */
  byn_place place;
} letter;

typedef struct cluster {
  const byn_alloc *alloc;
  byn_rng rng;
  int64_t now;
  uint64_t lives;
  node nodes[NODES];
  uint64_t dead[10000]; /* lives */
  uint32_t dead_count;
  letter post[POST];
  uint32_t posted;
} cluster;

static const char *const NAMES[NODES] = {"n0", "n1", "n2", "n3", "n4"};

static uint64_t dice(cluster *c, uint64_t sides) {
  return byn_rng_below(&c->rng, sides);
}

static uint32_t child_of(node *n, uint32_t k) {
  if (n->child[k] == BYN_NO_CHILD) {
    n->child[k] = byn_placement_add(n->p, hash_of(1000 + k));
  }
  return n->child[k];
}

static uint32_t name_of(const node *n, uint32_t child) {
  for (uint32_t k = 0; k < CHILDREN; k++)
    if (n->child[k] == child) return k;
  fail();
  return 0;
}

/* The life behind a host's number. */
static uint64_t life_of(cluster *c, node *n, uint32_t number) {
  for (uint64_t life = 1; life <= c->lives; life++)
    if (byn_placement_host(n->p, hash_of(life)) == number) return life;
  fail();
  return 0;
}

static bool is_dead(const cluster *c, uint64_t life) {
  for (uint32_t i = 0; i < c->dead_count; i++)
    if (c->dead[i] == life) return true;
  return false;
}

static letter letter_of(cluster *c, node *from, uint32_t to, uint32_t k) {
  letter l = {.to = to, .child = k};
  l.place = byn_placement_get(from->p, child_of(from, k));
  if (l.place.state) l.life = life_of(c, from, l.place.host);
  return l;
}

static void deliver(cluster *c, const letter *l) {
  node *to = &c->nodes[l->to];
  if (!to->p || !l->place.state) return;
  byn_place place = l->place;
  place.host = byn_placement_host(to->p, hash_of(l->life));
  byn_placement_merge(to->p, child_of(to, l->child), &place, c->now);
}

/* To every node; one letter in eight is lost. */
static void broadcast(cluster *c, node *from, uint32_t k) {
  for (uint32_t i = 0; i < NODES; i++) {
    if (&c->nodes[i] == from || dice(c, 8) == 0 || c->posted == POST) continue;
    c->post[c->posted++] = letter_of(c, from, i, k);
  }
}

/* Any letter, and it may come again. */
static void deliver_any(cluster *c) {
  if (!c->posted) return;
  uint32_t i = (uint32_t)dice(c, c->posted);
  deliver(c, &c->post[i]);
  if (dice(c, 8)) c->post[i] = c->post[--c->posted];
}

static bool act(cluster *c, node *n) {
  byn_placement_action action;
  if (!n->p || !byn_placement_next(n->p, c->now, &action)) return false;
  uint32_t k = name_of(n, action.child);
  switch (action.kind) {
  case BYN_PLACEMENT_START:
    if (byn_placement_started(n->p, action.child, 0)) broadcast(c, n, k);
    break;
  case BYN_PLACEMENT_STOP:
    assert_false(byn_placement_ended(n->p, action.child, c->now));
    break;
  case BYN_PLACEMENT_FORGET:
    n->child[k] = BYN_NO_CHILD;
    break;
  default:
    broadcast(c, n, k);
  }
  return true;
}

/* Node `n` learns how it stands with the life that is, or was, on `other`. */
static void see(cluster *c, node *n, uint32_t other) {
  node *o = &c->nodes[other];
  if (!n->p || n == o) return;
  if (o->p) {
    uint32_t number = byn_placement_host(n->p, hash_of(o->life));
    byn_placement_set_host(n->p, number, BYN_HOST_UP);
    byn_placement_join(n->p, NAMES[other], 2);
  } else {
    byn_placement_leave(n->p, NAMES[other], 2);
  }
  for (uint32_t i = 0; i < c->dead_count; i++)
    byn_placement_set_host(n->p, byn_placement_host(n->p, hash_of(c->dead[i])),
                           BYN_HOST_DEAD);
}

/* What two nodes know goes both ways where the digests differ. */
static void sync_pair(cluster *c, uint32_t a, uint32_t b) {
  if (!c->nodes[a].p || !c->nodes[b].p) return;
  for (uint32_t k = 0; k < CHILDREN; k++) {
    letter there = letter_of(c, &c->nodes[a], b, k);
    letter back = letter_of(c, &c->nodes[b], a, k);
    deliver(c, &there);
    deliver(c, &back);
  }
}

static void boot(cluster *c, uint32_t i) {
  node *n = &c->nodes[i];
  if (n->p) return;
  n->life = ++c->lives;
  n->p = new_placement(c->alloc, NAMES[i], n->life);
  byn_placement_join(n->p, NAMES[i], 2);
  for (uint32_t k = 0; k < CHILDREN; k++)
    n->child[k] = BYN_NO_CHILD;
  sync_pair(c, i, (uint32_t)dice(c, NODES));
}

static void crash(cluster *c, uint32_t i) {
  node *n = &c->nodes[i];
  if (!n->p) return;
  byn_placement_free(n->p);
  n->p = NULL;
  c->dead[c->dead_count++] = n->life;
}

static bool owns(const node *n, uint32_t i, uint32_t k) {
  size_t len;
  const char *owner = byn_placement_owner(n->p, hash_of(1000 + k), &len);
  return owner && memcmp(owner, NAMES[i], 2) == 0;
}

static void start_any(cluster *c, uint32_t i) {
  node *n = &c->nodes[i];
  uint32_t k = (uint32_t)dice(c, CHILDREN);
  if (!n->p || !owns(n, i, k)) return;
  uint32_t child = child_of(n, k);
  if (byn_placement_get(n->p, child).state == BYN_PLACE_RUNNING) return;
  if (byn_placement_run(n->p, child) != BYN_RUN_NONE) return;
  byn_placement_starting(n->p, child);
  if (byn_placement_started(n->p, child, 0)) broadcast(c, n, k);
}

/* A child restarts or ends by itself. */
static void stir_any(cluster *c, uint32_t i) {
  node *n = &c->nodes[i];
  uint32_t k = (uint32_t)dice(c, CHILDREN);
  if (!n->p || n->child[k] == BYN_NO_CHILD) return;
  if (byn_placement_run(n->p, n->child[k]) != BYN_RUN_RUNNING) return;
  bool news = dice(c, 4) ? byn_placement_restarted(n->p, n->child[k])
                         : byn_placement_ended(n->p, n->child[k], c->now);
  if (news) broadcast(c, n, k);
}

static void stir(cluster *c) {
  uint32_t i = (uint32_t)dice(c, NODES);
  uint64_t what = dice(c, 100);
  c->now += (int64_t)dice(c, 3);
  if (what < 30)
    start_any(c, i);
  else if (what < 40)
    stir_any(c, i);
  else if (what < 70)
    deliver_any(c);
  else if (what < 85)
    act(c, &c->nodes[i]);
  else if (what < 95)
    see(c, &c->nodes[i], (uint32_t)dice(c, NODES));
  else if (what < 97)
    sync_pair(c, i, (uint32_t)dice(c, NODES));
  else if (what < 98)
    crash(c, i);
  else
    boot(c, i);
}

/* Everybody sees everybody, and talks until nobody has anything to do. */
static void settle(cluster *c) {
  for (uint32_t a = 0; a < NODES; a++)
    for (uint32_t b = 0; b < NODES; b++)
      see(c, &c->nodes[a], b);
  bool busy = true;
  for (int round = 0; busy; round++) {
    assert_true(round < 20);
    busy = false;
    for (uint32_t a = 0; a < NODES; a++)
      for (uint32_t b = 0; b < a; b++)
        sync_pair(c, a, b);
    for (uint32_t a = 0; a < NODES; a++)
      while (act(c, &c->nodes[a]))
        busy = true;
  }
}

typedef struct census {
  uint32_t runs, known_running, known_ended;
} census;

static census count(cluster *c, uint32_t k) {
  census result = {0, 0, 0};
  for (uint32_t i = 0; i < NODES; i++) {
    node *n = &c->nodes[i];
    if (!n->p || n->child[k] == BYN_NO_CHILD) continue;
    byn_place place = byn_placement_get(n->p, n->child[k]);
    if (byn_placement_run(n->p, n->child[k]) == BYN_RUN_RUNNING) result.runs++;
    if (place.state == BYN_PLACE_ENDED) result.known_ended++;
    if (place.state != BYN_PLACE_RUNNING) continue;
    /* One life that no longer runs it may still be said to do so. */
    if (is_dead(c, life_of(c, n, place.host))) result.known_running++;
  }
  return result;
}

static uint32_t alive(const cluster *c) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < NODES; i++)
    n += c->nodes[i].p != NULL;
  return n;
}

static void check_one_of_each(cluster *c, const census *before) {
  for (uint32_t k = 0; k < CHILDREN; k++) {
    census after = count(c, k);
    assert_true(after.runs <= 1);
    if (before[k].runs > 0) assert_int_equal(after.runs, 1);
    if (before[k].known_running == alive(c) && alive(c) > 0)
      assert_int_equal(after.runs, 1);
    if (before[k].runs + before[k].known_running == 0)
      assert_int_equal(after.runs, 0);
  }
}

static void check_same_everywhere(cluster *c) {
  const node *first = NULL;
  for (uint32_t i = 0; i < NODES; i++) {
    node *n = &c->nodes[i];
    if (!n->p) continue;
    if (!first) first = n;
    assert_int_equal(byn_placement_running(n->p),
                     byn_placement_running(first->p));
    for (uint64_t life = 1; life <= c->lives; life++)
      assert_true(
          byn_placement_digest(n->p, byn_placement_host(n->p, hash_of(life))) ==
          byn_placement_digest(first->p,
                               byn_placement_host(first->p, hash_of(life))));
  }
}

static void quiet(cluster *c) {
  census before[CHILDREN];
  for (uint32_t k = 0; k < CHILDREN; k++)
    before[k] = count(c, k);
  c->posted = 0;
  settle(c);
  check_one_of_each(c, before);
  check_same_everywhere(c);
}

static void a_cluster_ends_with_exactly_one_of_each(void **state) {
  static cluster c;
  for (uint64_t seed = 1; seed <= 12; seed++) {
    memset(&c, 0, sizeof c);
    c.alloc = &((fixture *)*state)->alloc;
    byn_rng_seed(&c.rng, seed);
    for (int round = 0; round < 10; round++) {
      for (int step = 0; step < 1500; step++)
        stir(&c);
      quiet(&c);
    }
    for (uint32_t i = 0; i < NODES; i++)
      crash(&c, i);
  }
}

/* ---- memory ---- */

static void fill(const byn_alloc *alloc, void *arg) {
  (void)arg;
  byn_placement *p = new_placement(alloc, "a", 1);
  if (!p) return;
  bool joined = byn_placement_join(p, "a", 1);
  assert_int_equal(byn_placement_members(p), joined);
  for (uint64_t i = 0; i < 30; i++) {
    uint32_t host = byn_placement_host(p, hash_of(10 + i));
    uint32_t child = byn_placement_add(p, hash_of(500 + i));
    if (host == BYN_NO_HOST || child == BYN_NO_CHILD) continue;
    byn_place place = {1, 0, host, BYN_PLACE_RUNNING, 0};
    assert_true(byn_placement_merge(p, child, &place, 0));
    byn_placement_set_host(p, host, BYN_HOST_DEAD);
  }
  byn_placement_action action;
  uint32_t started = 0;
  while (byn_placement_next(p, 0, &action))
    started += byn_placement_started(p, action.child, 0);
  assert_int_equal(started, joined ? byn_placement_running(p) : 0);
  byn_placement_free(p);
}

static void short_memory_refuses_and_keeps_the_rest(void **state) {
  (void)state;
  assert_true(byn_test_each_failure(fill, NULL) > 6);
}

#define WITH_NODE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      WITH_NODE(a_start_gives_a_place_of_a_new_epoch),
      WITH_NODE(restarts_and_the_end_count_up),
      WITH_NODE(a_child_of_a_live_host_is_left_alone),
      WITH_NODE(a_lost_child_waits_until_its_host_is_known_dead),
      WITH_NODE(a_child_of_a_host_never_met_is_left_alone),
      WITH_NODE(a_failed_start_is_tried_again_at_the_next_review),
      WITH_NODE(a_start_that_never_was_leaves_no_child),
      WITH_NODE(another_members_child_is_left_to_it),
      WITH_NODE(a_lost_temporary_child_ends),
      WITH_NODE(the_loser_of_a_conflict_is_stopped_without_a_trace),
      WITH_NODE(a_start_overtaken_by_another_host_is_stopped),
      WITH_NODE(a_run_outlives_the_end_of_another),
      WITH_NODE(a_run_takes_the_place_of_a_dead_one),
      WITH_NODE(a_run_that_was_taken_over_ends_with_what_took_over),
      WITH_NODE(a_run_that_is_over_does_not_take_the_place_of_a_later_one),
      WITH_NODE(a_start_whose_end_comes_first_is_stopped),
      WITH_NODE(a_start_is_newer_than_ends_that_were_forgotten),
      WITH_NODE(what_is_said_to_run_here_but_does_not_has_ended),
      WITH_NODE(an_end_is_kept_for_a_while),
      WITH_NODE(ends_are_bounded_in_number),
      WITH_NODE(an_end_that_is_started_again_does_not_go_stale),
      WITH_NODE(a_host_is_known_while_a_place_names_it),
      WITH_NODE(the_digest_is_that_of_what_runs),
      WITH_NODE(any_order_and_any_repetition_give_one_result),
      WITH_NODE(a_cluster_ends_with_exactly_one_of_each),
      cmocka_unit_test(short_memory_refuses_and_keeps_the_rest),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
