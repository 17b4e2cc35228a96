/* The set of the steps that could be next, compared with a plain list of them:
 * the same steps in the same order, and the same choices of each strategy. */
#include "support.h"

#include "../../csrc/core/lockstep/pending.h"
#include "../../csrc/core/lockstep/strategy.h"
#include "../../csrc/core/rng.h"

enum {
  NODES = 40,
  PER_NODE = 4,
  OFFERS = 60, /* at once */
  MOST = NODES * PER_NODE + OFFERS + 1,
  CLOCK = 1,
  FIRST_OF_NODES = 1000, /* their actors; of offers they are below that */
  OFFERERS = 20,
  ACTORS = FIRST_OF_NODES + NODES * 100
};

/* --- the list ------------------------------------------------------------- */

typedef struct model {
  byn_rng rng;
  uint32_t node_count;
  byn_pending steps[NODES][PER_NODE];
  uint32_t counts[NODES];
  byn_pending offers[OFFERS];
  int64_t numbers[OFFERS];
  uint32_t offer_count;
  int64_t last_number;
  bool has_clock;
  uint64_t salt;          /* of priorities */
  uint32_t drawn[ACTORS]; /* how often an actor drew a new one */
} model;

static const byn_pending the_clock = {CLOCK, 0, BYN_STEP_CLOCK};

static uint32_t any(model *m, uint32_t below) {
  return (uint32_t)byn_rng_below(&m->rng, below);
}

static uint32_t list(const model *m, byn_pending *all) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < m->node_count; i++)
    for (uint32_t j = 0; j < m->counts[i]; j++)
      all[n++] = m->steps[i][j];
  for (uint32_t i = 0; i < m->offer_count; i++)
    all[n++] = m->offers[i];
  if (m->has_clock) all[n++] = the_clock;
  return n;
}

/* Few, so that many are the same. */
static uint64_t few_priorities(const void *strategy, const byn_pending *step) {
  const model *m = strategy;
  uint64_t key = m->salt + ((uint64_t)m->drawn[step->actor] << 32);
  return 1 + byn_rng_at(key, step->actor) % 6;
}

static uint32_t first_of_actor(const byn_pending *all, uint32_t i) {
  uint32_t first = 0;
  while (all[first].actor != all[i].actor)
    first++;
  return first;
}

static uint32_t best_of(const model *m, const byn_pending *all, uint32_t n) {
  uint32_t best = 0;
  for (uint32_t i = 1; i < n; i++)
    if (few_priorities(m, &all[i]) > few_priorities(m, &all[best])) best = i;
  return best;
}

/* --- what changes --------------------------------------------------------- */

/* Each is done to both, unless the set has no memory for it. */

static void change_node(model *m, byn_pending_set *s, uint32_t node) {
  byn_pending steps[PER_NODE];
  uint32_t count = any(m, 3) ? any(m, PER_NODE + 1) : 0, skip = 0;
  for (uint32_t i = 0; i < count; i++) {
    skip += any(m, 3);
    steps[i] = (byn_pending){.actor = FIRST_OF_NODES + node * 100 + i + skip,
                             .object = any(m, 5),
                             .kind = BYN_STEP_PROCESS};
  }
  if (!byn_pending_put(s, node, steps, count)) return;
  if (node >= m->node_count) m->node_count = node + 1;
  memcpy(m->steps[node], steps, count * sizeof *steps);
  m->counts[node] = count;
}

static void make_offer(model *m, byn_pending_set *s) {
  byn_pending step = {.actor = CLOCK + 1 + any(m, OFFERERS),
                      .object = any(m, 5),
                      .kind = BYN_STEP_NETWORK};
  int64_t number = m->last_number + 1 + any(m, 3);
  if (m->offer_count == OFFERS || !byn_pending_offer_step(s, &step, number))
    return;
  m->last_number = number;
  m->numbers[m->offer_count] = number;
  m->offers[m->offer_count++] = step;
}

static void remove_offer(model *m, uint32_t i) {
  m->offer_count--;
  uint32_t behind = m->offer_count - i;
  memmove(&m->offers[i], &m->offers[i + 1], behind * sizeof *m->offers);
  memmove(&m->numbers[i], &m->numbers[i + 1], behind * sizeof *m->numbers);
}

/* Of a number that may be pending no more, or not yet. */
static void withdraw_any(model *m, byn_pending_set *s) {
  int64_t number = m->last_number + 2 - any(m, 3 * OFFERS);
  uint32_t i = 0;
  while (i < m->offer_count && m->numbers[i] != number)
    i++;
  bool pending = i < m->offer_count;
  assert_int_equal(byn_pending_withdraw(s, number), pending);
  if (pending) remove_offer(m, i);
}

static void change_clock(model *m, byn_pending_set *s) {
  m->has_clock = any(m, 2);
  byn_pending_set_clock(s, m->has_clock ? &the_clock : NULL);
}

/* Takes step i as lockstep does: an offer is withdrawn, a node has other steps
 * then. */
static void take_step(model *m, byn_pending_set *s, uint32_t i) {
  byn_pending_place place = byn_pending_at(s, i);
  if (place.whose == BYN_OF_NODE) change_node(m, s, place.node);
  if (place.whose == BYN_OF_CLOCK) change_clock(m, s);
  if (place.whose != BYN_OFFERED) return;
  uint32_t at = 0;
  while (m->numbers[at] != place.number)
    at++;
  assert_true(byn_pending_withdraw(s, place.number));
  remove_offer(m, at);
}

static void redraw_actor(void *arg, uint64_t actor) {
  model *m = arg;
  m->drawn[actor]++;
}

/* Whoever touches an object draws anew, and nobody else. */
static void redraw_any(model *m, byn_pending_set *s) {
  static uint32_t before[ACTORS];
  byn_pending all[MOST];
  bool touches[ACTORS] = {false};
  uint32_t n = list(m, all);
  uint64_t object = n ? all[any(m, n)].actor : 1;
  if (any(m, 2)) object = 1 + any(m, 4);
  memcpy(before, m->drawn, sizeof before);
  byn_pending_redraw(s, object, redraw_actor, m);
  for (uint32_t i = 0; i < n; i++)
    if (all[i].kind != BYN_STEP_CLOCK)
      touches[all[i].actor] |=
          all[i].actor == object || all[i].object == object;
  for (uint32_t actor = 0; actor < ACTORS; actor++)
    assert_int_equal(m->drawn[actor] != before[actor], touches[actor]);
}

static void change(model *m, byn_pending_set *s) {
  uint32_t dice = any(m, 16);
  if (dice < 6)
    change_node(m, s, any(m, any(m, 8) ? NODES / 4 : NODES));
  else if (dice < 11)
    make_offer(m, s);
  else if (dice < 14)
    withdraw_any(m, s);
  else
    change_clock(m, s);
}

/* --- what must be the same ------------------------------------------------ */

static void assert_same_step(const byn_pending *a, const byn_pending *b) {
  assert_true(a->actor == b->actor);
  assert_true(a->object == b->object);
  assert_int_equal(a->kind, b->kind);
}

static void assert_place(const model *m, const byn_pending_set *s, uint32_t i,
                         const byn_pending *step) {
  byn_pending_place place = byn_pending_at(s, i);
  assert_same_step(place.step, step);
  if (place.whose == BYN_OF_NODE)
    assert_same_step(&m->steps[place.node][place.index], step);
  else if (place.whose == BYN_OF_CLOCK)
    assert_int_equal(step->kind, BYN_STEP_CLOCK);
  else
    assert_int_equal(step->kind, BYN_STEP_NETWORK);
}

static void assert_numbers(const model *m, const byn_pending_set *s) {
  uint32_t of_nodes = byn_pending_others(s) - m->offer_count;
  for (uint32_t i = 0; i < m->offer_count; i++)
    assert_true(byn_pending_at(s, of_nodes + i).number == m->numbers[i]);
}

static void assert_same(const model *m, byn_pending_set *s) {
  byn_pending all[MOST];
  uint32_t n = list(m, all);
  assert_int_equal(byn_pending_count(s), n);
  assert_int_equal(byn_pending_others(s), n - m->has_clock);
  for (uint32_t i = 0; i < n; i++) {
    assert_place(m, s, i, &all[i]);
    assert_int_equal(byn_pending_first_of_actor(s, i), first_of_actor(all, i));
  }
  assert_numbers(m, s);
  if (n && s->priority == few_priorities)
    assert_int_equal(byn_pending_best(s), best_of(m, all, n));
}

static void assert_all(const model *m, byn_pending_set *s) {
  byn_pending all[MOST];
  uint32_t n = list(m, all);
  const byn_pending *same = byn_pending_all(s);
  for (uint32_t i = 0; same && i < n; i++)
    assert_same_step(&same[i], &all[i]);
}

/* --- any order ------------------------------------------------------------ */

static void forget_all(model *m, byn_pending_set *s, bool ordered) {
  byn_pending_reset(s, ordered ? few_priorities : NULL, m);
  byn_rng rng = m->rng;
  uint64_t salt = m->salt;
  memset(m, 0, sizeof *m);
  m->rng = rng;
  m->salt = salt;
}

static void play(const byn_alloc *alloc, uint64_t seed, int steps) {
  byn_pending_set s;
  model m = {.salt = seed};
  byn_rng_seed(&m.rng, seed);
  byn_pending_open(&s, alloc);
  forget_all(&m, &s, true);
  for (int i = 0; i < steps; i++) {
    change(&m, &s);
    if (any(&m, 50) == 0) {
      m.salt++;
      byn_pending_prioritize(&s);
    }
    if (any(&m, 4) == 0) redraw_any(&m, &s);
    if (any(&m, 300) == 0) forget_all(&m, &s, any(&m, 3));
    assert_same(&m, &s);
    if (any(&m, 20) == 0) assert_all(&m, &s);
  }
  byn_pending_close(&s);
}

static void it_agrees_with_a_list(void **state) {
  (void)state;
  byn_test_alloc t = {0};
  byn_alloc alloc = byn_test_allocator(&t);
  for (uint64_t seed = 1; seed <= byn_test_plays(20); seed++)
    play(&alloc, seed, 400);
  byn_test_assert_clean(&t);
}

static void play_in_need(const byn_alloc *alloc, void *arg) {
  play(alloc, *(const uint64_t *)arg, 200);
}

static void short_memory_changes_nothing(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= byn_test_plays(10); seed++)
    assert_true(byn_test_each_failure(play_in_need, &seed) > 20);
}

static void one_that_was_never_opened_can_be_closed(void **state) {
  (void)state;
  byn_pending_set s = {.alloc = NULL};
  byn_pending_close(&s);
}

/* --- the same choices ----------------------------------------------------- */

static byn_strategy *open_strategy(const byn_alloc *alloc,
                                   byn_strategy_kind kind, uint64_t seed) {
  byn_strategy_opts opts = {.seed = 11, .depth = 4, .length = 60};
  byn_strategy *s = byn_strategy_new(alloc, kind, &opts);
  assert_non_null(s);
  assert_true(byn_strategy_begin(s, seed));
  return s;
}

/* Two of one kind: one chooses from the set, the other picks from the list. */
static void compare_choices(const byn_alloc *alloc, byn_strategy_kind kind,
                            uint64_t seed) {
  byn_strategy *chooses = open_strategy(alloc, kind, seed);
  byn_strategy *picks = open_strategy(alloc, kind, seed);
  byn_pending all[MOST];
  byn_pending_set s;
  model m = {.salt = 0};
  byn_rng_seed(&m.rng, seed);
  byn_pending_open(&s, alloc);
  byn_pending_reset(&s, byn_strategy_priority(chooses), chooses);
  for (int i = 0; i < 200; i++) {
    change(&m, &s);
    uint32_t n = list(&m, all);
    if (n == 0) continue;
    uint32_t choice = byn_strategy_choose(chooses, &s);
    assert_int_equal(choice, byn_strategy_pick(picks, all, n));
    uint64_t object = any(&m, 5);
    byn_strategy_touched(chooses, object);
    byn_strategy_touched(picks, object);
    take_step(&m, &s, choice);
  }
  byn_pending_close(&s);
  byn_strategy_free(chooses);
  byn_strategy_free(picks);
}

static void each_strategy_chooses_as_from_a_list(void **state) {
  (void)state;
  static const byn_strategy_kind kinds[] = {BYN_RANDOM, BYN_PCT, BYN_FAIR_PCT,
                                            BYN_POS};
  byn_test_alloc t = {0};
  byn_alloc alloc = byn_test_allocator(&t);
  for (uint32_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
    for (uint64_t seed = 1; seed <= byn_test_plays(40); seed++)
      compare_choices(&alloc, kinds[k], seed);
  byn_test_assert_clean(&t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(it_agrees_with_a_list),
      cmocka_unit_test(short_memory_changes_nothing),
      cmocka_unit_test(one_that_was_never_opened_can_be_closed),
      cmocka_unit_test(each_strategy_chooses_as_from_a_list),
  };
  return cmocka_run_group_tests_name("pending", tests, NULL, NULL);
}
