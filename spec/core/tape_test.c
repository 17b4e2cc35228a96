#include "support.h"

#include "../../csrc/core/rng.h"
#include "../../csrc/core/lockstep/tape.h"

typedef struct fixture {
  byn_test_alloc t;
  byn_alloc alloc;
  byn_tape tape;
} fixture;

static int set_up(void **state) {
  fixture *f = calloc(1, sizeof *f);
  if (!f) return -1;
  f->alloc = byn_test_allocator(&f->t);
  byn_tape_init(&f->tape, &f->alloc);
  *state = f;
  return 0;
}

static int tear_down(void **state) {
  fixture *f = *state;
  byn_tape_clear(&f->tape);
  byn_test_assert_clean(&f->t);
  free(f);
  return 0;
}

static byn_tape *tape_of(void **state) {
  return &((fixture *)*state)->tape;
}

static void assert_values(const byn_tape *t, const uint32_t *expected,
                          uint32_t count) {
  assert_int_equal(t->count, count);
  for (uint32_t i = 0; i < count; i++)
    assert_int_equal(t->values[i], expected[i]);
}

static void what_was_recorded_is_played_again(void **state) {
  byn_tape *t = tape_of(state);
  byn_rng rng;
  uint32_t said[1000], of[1000];
  byn_rng_seed(&rng, 1);
  for (int i = 0; i < 1000; i++) {
    of[i] = 2 + (uint32_t)byn_rng_below(&rng, 9);
    said[i] = (uint32_t)byn_rng_below(&rng, of[i]);
    byn_tape_note(t, of[i], said[i]);
  }
  assert_values(t, said, 1000);
  assert_true(byn_tape_replay(t, t->values, t->count));
  assert_int_equal(t->count, 0);
  for (uint32_t i = 0; i < 1000; i++)
    assert_int_equal(byn_tape_answer(t, of[i]), said[i]);
  assert_values(t, said, 1000);
  assert_false(t->failed);
}

static void a_choice_among_one_is_not_on_the_tape(void **state) {
  byn_tape *t = tape_of(state);
  byn_tape_note(t, 1, 0);
  byn_tape_note(t, 3, 2);
  byn_tape_note(t, 1, 0);
  assert_values(t, (uint32_t[]){2}, 1);
  assert_true(byn_tape_replay(t, t->values, t->count));
  assert_int_equal(byn_tape_answer(t, 1), 0);
  assert_int_equal(byn_tape_answer(t, 3), 2);
  assert_int_equal(byn_tape_answer(t, 1), 0);
  assert_values(t, (uint32_t[]){2}, 1);
}

static void an_integer_too_large_becomes_the_last_choice(void **state) {
  byn_tape *t = tape_of(state);
  assert_true(byn_tape_replay(t, (uint32_t[]){1, 7, UINT32_MAX}, 3));
  assert_int_equal(byn_tape_answer(t, 3), 1);
  assert_int_equal(byn_tape_answer(t, 3), 2);
  assert_int_equal(byn_tape_answer(t, 5), 4);
  assert_values(t, (uint32_t[]){1, 2, 4}, 3);
}

static void past_the_end_every_choice_is_0(void **state) {
  byn_tape *t = tape_of(state);
  assert_true(byn_tape_replay(t, (uint32_t[]){1}, 1));
  assert_int_equal(byn_tape_answer(t, 2), 1);
  for (int i = 0; i < 500; i++)
    assert_int_equal(byn_tape_answer(t, 4), 0);
  assert_int_equal(t->count, 501);
}

static void an_empty_script_answers_0_each_time(void **state) {
  byn_tape *t = tape_of(state);
  assert_true(byn_tape_replay(t, NULL, 0));
  assert_int_equal(byn_tape_answer(t, 9), 0);
  assert_values(t, (uint32_t[]){0}, 1);
}

static void what_a_repaired_replay_answered_replays_without_repair(void **s) {
  byn_tape *t = tape_of(s);
  assert_true(byn_tape_replay(t, (uint32_t[]){9, 0}, 2));
  for (uint32_t n = 2; n < 6; n++)
    byn_tape_answer(t, n);
  assert_values(t, (uint32_t[]){1, 0, 0, 0}, 4);
  assert_true(byn_tape_replay(t, t->values, t->count));
  for (uint32_t n = 2; n < 6; n++)
    byn_tape_answer(t, n);
  assert_values(t, (uint32_t[]){1, 0, 0, 0}, 4);
}

static void a_new_recording_forgets_the_last_run(void **state) {
  byn_tape *t = tape_of(state);
  assert_true(byn_tape_replay(t, (uint32_t[]){5, 1}, 2));
  byn_tape_answer(t, 2);
  byn_tape_record(t);
  assert_false(t->replaying);
  byn_tape_note(t, 6, 3);
  assert_values(t, (uint32_t[]){3}, 1);
}

static void a_tape_used_again_takes_no_more_memory(void **state) {
  fixture *f = *state;
  for (int i = 0; i < 1000; i++)
    byn_tape_note(&f->tape, 2, 1);
  assert_true(byn_tape_replay(&f->tape, f->tape.values, f->tape.count));
  uint64_t calls = f->t.calls;
  for (int run = 0; run < 10; run++) {
    byn_tape_record(&f->tape);
    for (int i = 0; i < 1000; i++)
      byn_tape_note(&f->tape, 2, 1);
    assert_true(byn_tape_replay(&f->tape, f->tape.values, 1000));
    for (int i = 0; i < 1000; i++)
      assert_int_equal(byn_tape_answer(&f->tape, 2), 1);
  }
  assert_true(f->t.calls == calls);
}

static void play(const byn_alloc *alloc, void *arg) {
  (void)arg;
  byn_tape t;
  byn_tape_init(&t, alloc);
  for (uint32_t i = 0; i < 300; i++)
    byn_tape_note(&t, 300, i);
  assert_true(t.failed == (t.count < 300));
  for (uint32_t i = 0; i < t.count; i++)
    assert_int_equal(t.values[i], i);
  static uint32_t script[200];
  for (uint32_t i = 0; i < 200; i++)
    script[i] = i;
  if (byn_tape_replay(&t, script, 200)) {
    for (uint32_t i = 0; i < 200; i++)
      assert_int_equal(byn_tape_answer(&t, 200), i);
    assert_false(t.failed);
    for (uint32_t i = 0; i < 800; i++)
      assert_int_equal(byn_tape_answer(&t, 200), 0);
    assert_true(t.failed == (t.count < 1000));
  } else {
    assert_false(t.replaying);
    assert_int_equal(t.count, 0);
  }
  byn_tape_clear(&t);
}

static void short_memory_loses_no_choice_of_a_script(void **state) {
  (void)state;
  assert_true(byn_test_each_failure(play, NULL) > 4);
}

#define WITH_TAPE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      WITH_TAPE(what_was_recorded_is_played_again),
      WITH_TAPE(a_choice_among_one_is_not_on_the_tape),
      WITH_TAPE(an_integer_too_large_becomes_the_last_choice),
      WITH_TAPE(past_the_end_every_choice_is_0),
      WITH_TAPE(an_empty_script_answers_0_each_time),
      WITH_TAPE(what_a_repaired_replay_answered_replays_without_repair),
      WITH_TAPE(a_new_recording_forgets_the_last_run),
      WITH_TAPE(a_tape_used_again_takes_no_more_memory),
      cmocka_unit_test(short_memory_loses_no_choice_of_a_script),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
