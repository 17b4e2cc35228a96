#include "strategy_rig.h"

static const byn_strategy_kind kinds[] = {BYN_RANDOM, BYN_PCT, BYN_POS,
                                          BYN_FAIR_PCT, BYN_DFS};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static uint64_t own_or_shared(uint32_t actor, uint32_t step) {
  return step % 3 == 0 ? 100 : 200 + actor;
}

static const rig_world four = {4, {3, 4, 5, 6}, own_or_shared, false};

static bool same_order(const rig_run *a, const rig_run *b) {
  return a->count == b->count &&
         memcmp(a->order, b->order, a->count * sizeof *a->order) == 0;
}

static void one_seed_gives_the_same_run(void **state) {
  (void)state;
  byn_strategy_opts opts = {.seed = 5, .depth = 3, .preemptions = 2};
  for (int k = 0; k < KINDS; k++) {
    rig_strategy a, b;
    rig_open(&a, kinds[k], opts);
    rig_open(&b, kinds[k], opts);
    for (uint64_t seed = 0; seed < 20; seed++) {
      rig_run x = rig_play(a.s, &four, seed), y = rig_play(b.s, &four, seed);
      assert_true(same_order(&x, &y));
    }
    rig_close(&a);
    rig_close(&b);
  }
}

static void other_seeds_give_other_runs(void **state) {
  (void)state;
  for (int k = 0; k < KINDS; k++) {
    if (kinds[k] == BYN_DFS) continue;
    rig_strategy a, b;
    rig_open(&a, kinds[k], (byn_strategy_opts){.seed = 5, .depth = 3});
    rig_open(&b, kinds[k], (byn_strategy_opts){.seed = 6, .depth = 3});
    uint32_t same = 0, again = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
      rig_run x = rig_play(a.s, &four, seed), y = rig_play(b.s, &four, seed);
      rig_run z = rig_play(b.s, &four, seed + 1);
      same += same_order(&x, &y);
      again += same_order(&y, &z);
    }
    assert_true(same < 15 && again < 15);
    rig_close(&a);
    rig_close(&b);
  }
}

/* Pinned, so that a tape made elsewhere or before is the tape made here. */
static void the_picks_of_a_seed_are_the_same_on_every_machine(void **state) {
  (void)state;
  static const char *expected[KINDS] = {
      "dabbadaccdcccbdbdd", "bbaaaccddddddcccbb", "aaabcccbbbddddccdd",
      "bbaaaccddddddcccbb", "aaabbbbcccccdddddd"};
  for (int k = 0; k < KINDS; k++) {
    rig_strategy r;
    char order[RIG_STEPS + 1] = {0};
    rig_open(&r, kinds[k],
             (byn_strategy_opts){.seed = 1, .depth = 3, .length = 18});
    rig_run run = rig_play(r.s, &four, 42);
    for (uint32_t i = 0; i < run.count; i++)
      order[i] = (char)('a' + run.order[i]);
    assert_string_equal(order, expected[k]);
    rig_close(&r);
  }
}

static uint32_t begun_and_picked(byn_strategy *s, const byn_pending *all,
                                 uint32_t n, uint64_t seed) {
  assert_true(byn_strategy_begin(s, seed));
  uint32_t pick = byn_strategy_pick(s, all, n);
  byn_strategy_end(s);
  return pick;
}

static void of_one_actor_the_first_step_runs(void **state) {
  (void)state;
  static const byn_pending all[] = {
      {1, 0, 0}, {2, 0, 0}, {1, 0, 0}, {2, 0, 0}, {1, 9, 0}};
  for (int k = 0; k < KINDS; k++) {
    rig_strategy r;
    rig_open(&r, kinds[k], (byn_strategy_opts){.depth = 3, .length = 1});
    for (uint64_t seed = 0; seed < 100; seed++) {
      if (kinds[k] == BYN_DFS && seed == 2) break;
      assert_true(begun_and_picked(r.s, all, 5, seed) < 2);
    }
    rig_close(&r);
  }
}

static void draws_are_uniform(void **state) {
  (void)state;
  for (int k = 0; k < KINDS; k++) {
    if (kinds[k] == BYN_DFS) continue;
    rig_strategy r;
    uint32_t counts[7] = {0};
    rig_open(&r, kinds[k], (byn_strategy_opts){.depth = 3});
    assert_true(byn_strategy_begin(r.s, 1));
    for (int i = 0; i < 70000; i++)
      counts[byn_strategy_draw(r.s, 7)]++;
    for (int i = 0; i < 7; i++)
      rig_assert_part(counts[i], 1, 7, 70000);
    assert_int_equal(byn_strategy_draw(r.s, 1), 0);
    rig_close(&r);
  }
}

static void a_used_strategy_takes_no_more_memory(void **state) {
  (void)state;
  for (int k = 0; k < KINDS; k++) {
    if (kinds[k] == BYN_DFS) continue;
    rig_strategy r;
    rig_open(&r, kinds[k], (byn_strategy_opts){.depth = 3});
    rig_play(r.s, &four, 0);
    uint64_t calls = r.t.calls;
    for (uint64_t seed = 1; seed < 100; seed++)
      rig_play(r.s, &four, seed);
    assert_true(r.t.calls == calls);
    rig_close(&r);
  }
}

static void play_some(const byn_alloc *alloc, void *arg) {
  byn_strategy_opts opts = {.depth = 3, .preemptions = BYN_ANY_PREEMPTIONS};
  byn_strategy *s = byn_strategy_new(alloc, *(byn_strategy_kind *)arg, &opts);
  if (!s) return;
  for (uint64_t seed = 0; byn_strategy_begin(s, seed) && seed < 30; seed++) {
    rig_run run = {.count = 0};
    byn_pending all[RIG_ACTORS];
    for (uint32_t n; (n = rig_pending(&four, &run, all)) > 0;) {
      uint32_t pick = byn_strategy_pick(s, all, n);
      assert_true(pick < n);
      rig_step(s, &four, &run, (uint32_t)all[pick].actor - 1);
      assert_true(byn_strategy_draw(s, 3) < 3);
    }
    byn_strategy_end(s);
  }
  if (byn_strategy_failed(s)) assert_false(byn_strategy_complete(s));
  byn_strategy_free(s);
}

static void short_memory_ends_no_run(void **state) {
  (void)state;
  for (int k = 0; k < KINDS; k++) {
    byn_strategy_kind kind = kinds[k];
    assert_true(byn_test_each_failure(play_some, &kind) > 0);
  }
}

/* -- random --------------------------------------------------------------- */

static void random_picks_each_alike(void **state) {
  (void)state;
  static const byn_pending all[5] = {
      {1, 0, 0}, {2, 0, 0}, {3, 0, 0}, {4, 0, 0}, {5, 0, 0}};
  rig_strategy r;
  uint32_t counts[5] = {0};
  rig_open(&r, BYN_RANDOM, (byn_strategy_opts){.seed = 1});
  assert_true(byn_strategy_begin(r.s, 1));
  for (int i = 0; i < 50000; i++)
    counts[byn_strategy_pick(r.s, all, 5)]++;
  for (int i = 0; i < 5; i++)
    rig_assert_part(counts[i], 1, 5, 50000);
  rig_close(&r);
}

static void time_passes_rarely_while_others_could_run(void **state) {
  (void)state;
  static const byn_strategy_kind some[] = {BYN_RANDOM, BYN_POS};
  static const byn_pending all[] = {
      {1, 0, 0}, {9, 0, BYN_STEP_CLOCK}, {2, 0, 0}};
  for (int k = 0; k < 2; k++) {
    rig_strategy r;
    uint32_t counts[3] = {0};
    rig_open(&r, some[k], (byn_strategy_opts){.seed = 1});
    assert_true(byn_strategy_begin(r.s, 1));
    for (int i = 0; i < 64000; i++)
      counts[byn_strategy_pick(r.s, all, 3)]++;
    rig_assert_part(counts[1], 1, 32, 64000);
    for (int i = 0; i < 100; i++)
      assert_int_equal(byn_strategy_pick(r.s, &all[1], 1), 0);
    rig_close(&r);
  }
}

/* -- pct ------------------------------------------------------------------ */

static uint32_t rank(const rig_run *r, uint32_t actors) {
  uint32_t rank = 0;
  for (uint32_t a = 0; a < actors; a++) {
    rank *= actors - a;
    for (uint32_t b = a + 1; b < actors; b++)
      rank += r->at[b][0] < r->at[a][0];
  }
  return rank;
}

static void pct_of_depth_one_has_each_order_of_actors_alike(void **state) {
  (void)state;
  static const rig_world w = {4, {9, 9, 9, 9}, NULL, false};
  rig_strategy r;
  uint32_t counts[24] = {0};
  rig_open(&r, BYN_PCT, (byn_strategy_opts){.depth = 1});
  for (uint64_t seed = 0; seed < 48000; seed++) {
    rig_run run = rig_play(r.s, &w, seed);
    for (uint32_t i = 1; i < run.count; i++)
      if (i % 9) assert_int_equal(run.order[i], run.order[i - 1]);
    counts[rank(&run, 4)]++;
  }
  for (int i = 0; i < 24; i++)
    rig_assert_part(counts[i], 1, 24, 48000);
  rig_close(&r);
}

/* Where the actor that began was first dropped: after so many steps. */
static uint32_t dropped_after(const rig_run *r) {
  uint32_t i = 0;
  while (i < r->count && r->order[i] == r->order[0])
    i++;
  return i;
}

static void pct_spreads_its_change_points_over_the_length_it_saw(void **s) {
  (void)s;
  static const rig_world w = {2, {40, 40}, NULL, false};
  rig_strategy r;
  uint32_t counts[81] = {0};
  rig_open(&r, BYN_PCT, (byn_strategy_opts){.depth = 2, .length = 7});
  for (uint64_t seed = 0; seed < 100; seed++) {
    if (seed == 1) assert_int_equal(byn_strategy_length(r.s), 80);
    rig_play(r.s, &w, seed);
  }
  for (uint64_t seed = 0; seed < 160000; seed++) {
    rig_run run = rig_play(r.s, &w, seed);
    counts[dropped_after(&run)]++;
  }
  assert_true(byn_strategy_begin(r.s, 0));
  byn_strategy_end(r.s);
  assert_int_equal(byn_strategy_length(r.s), 80);
  /* Steps 2 to 40 drop the first; step 1 or one past 40 shows no such drop. */
  for (uint32_t i = 1; i < 40; i++)
    rig_assert_part(counts[i], 1, 80, 160000);
  rig_assert_part(counts[40], 41, 80, 160000);
  rig_close(&r);
}

/* b(7) falls between a(3) and a(4): two orders, so depth 2. */
static bool within_a_gap(const rig_run *r) {
  return r->at[0][3] < r->at[1][7] && r->at[1][7] < r->at[0][4];
}

/* a(3) < b(7) < a(4) < b(8): three orders, so depth 3. */
static bool interlocked(const rig_run *r) {
  return within_a_gap(r) && r->at[0][4] < r->at[1][8];
}

/* Of two actors with k steps in all the bound is what these two bugs have
 * exactly: a goes first (1/2), and each change point must fall on one step
 * (1/k each). Others to schedule only make the bound lower. */
static void pct_finds_a_bug_as_often_as_its_bound_says(void **state) {
  (void)state;
  static const rig_world two = {2, {10, 10}, NULL, false};
  static const rig_world five = {5, {10, 10, 10, 10, 10}, NULL, false};
  rig_strategy r;
  rig_open(&r, BYN_PCT, (byn_strategy_opts){.depth = 2});
  rig_assert_part(rig_count(r.s, &two, 40000, within_a_gap), 1, 40, 40000);
  assert_true(rig_count(r.s, &five, 40000, within_a_gap) >= 40000 / (5 * 50));
  rig_close(&r);
  rig_open(&r, BYN_PCT, (byn_strategy_opts){.depth = 3});
  rig_assert_part(rig_count(r.s, &two, 400000, interlocked), 1, 800, 400000);
  rig_close(&r);
}

/* Two that began, and a third from step 2 on. */
static uint32_t newcomer_goes_on(byn_strategy *s, uint64_t seed) {
  static const byn_pending all[] = {{1, 0, 0}, {2, 0, 0}, {3, 0, 0}};
  assert_true(byn_strategy_begin(s, seed));
  byn_strategy_pick(s, all, 2);
  return byn_strategy_pick(s, all, 3) == 2;
}

static void pct_gives_a_newcomer_any_place_among_the_others(void **state) {
  (void)state;
  rig_strategy r;
  uint32_t first = 0;
  rig_open(&r, BYN_PCT, (byn_strategy_opts){.depth = 1});
  for (uint64_t seed = 0; seed < 30000; seed++)
    first += newcomer_goes_on(r.s, seed);
  rig_assert_part(first, 1, 3, 30000);
  rig_close(&r);
}

/* Change points at both steps of a first run: both actors drop, and only
 * then has the clock its turn. */
static void pct_has_the_clock_below_all_that_were_not_dropped(void **state) {
  (void)state;
  static const byn_pending all[] = {
      {9, 0, BYN_STEP_CLOCK}, {1, 0, 0}, {2, 0, 0}};
  rig_strategy r;
  rig_open(&r, BYN_PCT, (byn_strategy_opts){.depth = 1});
  for (uint64_t seed = 0; seed < 100; seed++) {
    assert_true(begun_and_picked(r.s, all, 3, seed) > 0);
    assert_int_equal(begun_and_picked(r.s, all, 1, seed), 0);
  }
  rig_close(&r);
  rig_open(&r, BYN_PCT, (byn_strategy_opts){.depth = 3, .length = 1});
  assert_true(byn_strategy_begin(r.s, 1));
  assert_int_equal(byn_strategy_pick(r.s, all, 3), 0);
  rig_close(&r);
}

/* -- pos ------------------------------------------------------------------ */

static uint64_t last_of_b(uint32_t actor, uint32_t step) {
  return actor == 0 || step == 20 ? 100 : 0;
}

static bool b_came_first(const rig_run *r) {
  return r->at[1][20] < r->at[0][0];
}

/* a takes one step; b takes 20 that meet nobody, and then one that races with
 * it. That all of b's come first is 1 in 2^21 for random; for pos it is that
 * of 22 priorities a's is the lowest. */
static void pos_reorders_those_that_race_whatever_lies_between(void **state) {
  (void)state;
  static const rig_world w = {2, {1, 21}, last_of_b, false};
  rig_strategy r;
  rig_open(&r, BYN_RANDOM, (byn_strategy_opts){.seed = 0});
  assert_int_equal(rig_count(r.s, &w, 44000, b_came_first), 0);
  rig_close(&r);
  rig_open(&r, BYN_POS, (byn_strategy_opts){.seed = 0});
  rig_assert_part(rig_count(r.s, &w, 44000, b_came_first), 1, 22, 44000);
  rig_close(&r);
}

static uint64_t shared(uint32_t actor, uint32_t step) {
  (void)actor, (void)step;
  return 100;
}

/* Who is sent a message: the actor whose id is 2. */
static uint64_t to_the_other(uint32_t actor, uint32_t step) {
  (void)step;
  return actor == 0 ? 2 : 0;
}

static bool b_came_between(const rig_run *r) {
  return r->at[0][0] < r->at[1][0] && r->at[1][0] < r->at[0][1];
}

/* a(0) < b(0) < a(1), where all race: b lost to a(0), so it draws anew. It
 * wins the second time as often as any: 1/4, not the 1/6 of one who keeps a
 * priority that has lost. */
static void pos_draws_anew_for_those_that_race(void **state) {
  (void)state;
  static const rig_world worlds[] = {{2, {2, 1}, shared, true},
                                     {2, {2, 1}, to_the_other, false}};
  for (int i = 0; i < 2; i++) {
    rig_strategy r;
    rig_open(&r, BYN_POS, (byn_strategy_opts){.seed = 0});
    rig_assert_part(rig_count(r.s, &worlds[i], 24000, b_came_between), 1, 4,
                    24000);
    rig_close(&r);
  }
}

static void pos_keeps_the_priority_of_one_that_does_not_race(void **state) {
  (void)state;
  static const rig_world w = {2, {2, 1}, NULL, false};
  rig_strategy r;
  rig_open(&r, BYN_POS, (byn_strategy_opts){.seed = 0});
  rig_assert_part(rig_count(r.s, &w, 24000, b_came_between), 1, 6, 24000);
  rig_close(&r);
}

/* Of those whose first step won against 2, who then waited while 3 ran, the
 * second step is as likely as any to be above 2's priority, the lower of two:
 * 2/3. */
static void pos_draws_anew_for_one_that_waited_in_between(void **state) {
  (void)state;
  static const byn_pending two[] = {{1, 0, 0}, {2, 0, 0}}, other = {3, 0, 0};
  rig_strategy r;
  uint32_t won = 0, again = 0;
  rig_open(&r, BYN_POS, (byn_strategy_opts){.seed = 0});
  for (uint64_t seed = 0; seed < 20000; seed++) {
    assert_true(byn_strategy_begin(r.s, seed));
    if (byn_strategy_pick(r.s, two, 2) == 0) {
      byn_strategy_pick(r.s, &other, 1);
      again += byn_strategy_pick(r.s, two, 2) == 0;
      won++;
    }
    byn_strategy_end(r.s);
  }
  rig_assert_part(again, 2, 3, won);
  rig_close(&r);
}

/* -- fair_pct ------------------------------------------------------------- */

/* Actor 1 polls until actor 2 took its five steps. Answers the steps made, at
 * most `limit`. */
static uint32_t poll(byn_strategy *s, uint64_t seed, uint32_t limit) {
  static const byn_pending all[] = {{1, 0, 0}, {2, 0, 0}};
  uint32_t left = 5, steps = 0;
  assert_true(byn_strategy_begin(s, seed));
  for (; left > 0 && steps < limit; steps++)
    left -= byn_strategy_pick(s, all, 2);
  byn_strategy_end(s);
  return steps;
}

static void pct_lets_one_that_polls_spin(void **state) {
  (void)state;
  rig_strategy r;
  uint32_t spun = 0;
  rig_open(&r, BYN_PCT, (byn_strategy_opts){.depth = 1});
  for (uint64_t seed = 0; seed < 100; seed++)
    spun += poll(r.s, seed, 1000) == 1000;
  assert_true(spun > 30);
  rig_close(&r);
}

static void fair_pct_ends_though_one_polls(void **state) {
  (void)state;
  static const uint32_t after[] = {0, 30};
  for (int i = 0; i < 2; i++) {
    rig_strategy r;
    rig_open(&r, BYN_FAIR_PCT,
             (byn_strategy_opts){.depth = 1, .fair_after = after[i]});
    for (uint64_t seed = 0; seed < 1000; seed++)
      assert_true(poll(r.s, seed, 1000) < 1000);
    rig_close(&r);
  }
}

static void fair_pct_is_pct_in_its_prefix(void **state) {
  (void)state;
  rig_strategy a, b;
  rig_open(&a, BYN_PCT, (byn_strategy_opts){.depth = 3});
  rig_open(&b, BYN_FAIR_PCT, (byn_strategy_opts){.depth = 3});
  for (uint64_t seed = 0; seed < 100; seed++) {
    rig_run x = rig_play(a.s, &four, seed), y = rig_play(b.s, &four, seed);
    assert_true(same_order(&x, &y));
  }
  rig_close(&a);
  rig_close(&b);
}

static void fair_pct_learns_a_length_that_its_guess_fell_short_of(void **s) {
  (void)s;
  static const rig_world w = {2, {60, 60}, NULL, false};
  rig_strategy r;
  rig_open(&r, BYN_FAIR_PCT, (byn_strategy_opts){.depth = 3, .length = 5});
  for (uint64_t seed = 0; seed < 3; seed++)
    rig_play(r.s, &w, seed);
  assert_int_equal(byn_strategy_length(r.s), 120);
  rig_close(&r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_seed_gives_the_same_run),
      cmocka_unit_test(other_seeds_give_other_runs),
      cmocka_unit_test(the_picks_of_a_seed_are_the_same_on_every_machine),
      cmocka_unit_test(of_one_actor_the_first_step_runs),
      cmocka_unit_test(draws_are_uniform),
      cmocka_unit_test(a_used_strategy_takes_no_more_memory),
      cmocka_unit_test(short_memory_ends_no_run),
      cmocka_unit_test(random_picks_each_alike),
      cmocka_unit_test(time_passes_rarely_while_others_could_run),
      cmocka_unit_test(pct_of_depth_one_has_each_order_of_actors_alike),
      cmocka_unit_test(pct_spreads_its_change_points_over_the_length_it_saw),
      cmocka_unit_test(pct_finds_a_bug_as_often_as_its_bound_says),
      cmocka_unit_test(pct_gives_a_newcomer_any_place_among_the_others),
      cmocka_unit_test(pct_has_the_clock_below_all_that_were_not_dropped),
      cmocka_unit_test(pct_lets_one_that_polls_spin),
      cmocka_unit_test(pos_reorders_those_that_race_whatever_lies_between),
      cmocka_unit_test(pos_draws_anew_for_those_that_race),
      cmocka_unit_test(pos_keeps_the_priority_of_one_that_does_not_race),
      cmocka_unit_test(pos_draws_anew_for_one_that_waited_in_between),
      cmocka_unit_test(fair_pct_ends_though_one_polls),
      cmocka_unit_test(fair_pct_is_pct_in_its_prefix),
      cmocka_unit_test(fair_pct_learns_a_length_that_its_guess_fell_short_of),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
