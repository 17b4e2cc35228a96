#include "support.h"

#include "../../csrc/core/rng.h"
#include "../../csrc/core/timers.h"

typedef struct fixture {
  byn_test_alloc t;
  byn_alloc alloc;
  byn_timers *timers;
} fixture;

static int set_up(void **state) {
  fixture *f = calloc(1, sizeof *f);
  if (!f) return -1;
  f->alloc = byn_test_allocator(&f->t);
  f->timers = byn_timers_new(&f->alloc);
  *state = f;
  return f->timers ? 0 : -1;
}

static int tear_down(void **state) {
  fixture *f = *state;
  byn_timers_free(f->timers);
  byn_test_assert_clean(&f->t);
  free(f);
  return 0;
}

static void an_empty_set_has_no_deadline(void **state) {
  byn_timers *t = ((fixture *)*state)->timers;
  byn_due due;
  assert_true(byn_timers_next(t) == BYN_NEVER);
  assert_false(byn_timers_pop(t, INT64_MAX, &due));
  assert_int_equal(byn_timers_count(t), 0);
}

static void a_timer_comes_back_as_it_was_given(void **state) {
  byn_timers *t = ((fixture *)*state)->timers;
  int owner;
  byn_due due;
  byn_timer timer = byn_timers_add(t, 50, 7, &owner);
  assert_true(timer != 0);
  assert_true(byn_timers_next(t) == 50);
  assert_false(byn_timers_pop(t, 49, &due));
  assert_true(byn_timers_pop(t, 50, &due));
  assert_true(due.timer == timer);
  assert_true(due.at == 50);
  assert_int_equal(due.kind, 7);
  assert_ptr_equal(due.owner, &owner);
  assert_false(byn_timers_pop(t, INT64_MAX, &due));
}

static void timers_that_are_due_can_be_taken_in_any_order(void **state) {
  byn_timers *t = ((fixture *)*state)->timers;
  byn_due due[8], taken;
  for (uint32_t i = 0; i < 100; i++)
    byn_timers_add(t, i < 6 ? 5 + i % 2 : 7, i, NULL);
  assert_int_equal(byn_timers_due(t, 4, due, 8), 0);
  assert_int_equal(byn_timers_due(t, 6, due, 8), 6);
  static const uint32_t order[] = {0, 2, 4, 1, 3, 5};
  for (uint32_t i = 0; i < 6; i++)
    assert_int_equal(due[i].kind, order[i]);
  assert_true(byn_timers_take(t, due[3].timer, &taken));
  assert_int_equal(taken.kind, 1);
  assert_true(taken.at == 6);
  assert_false(byn_timers_take(t, due[3].timer, &taken));
  assert_int_equal(byn_timers_due(t, 6, due, 8), 5);
  assert_int_equal(byn_timers_due(t, 7, due, 8), 8);
  assert_int_equal(due[0].kind, 0);
  assert_int_equal(byn_timers_count(t), 99);
}

static void timers_of_one_instant_fire_in_order_of_adding(void **state) {
  byn_timers *t = ((fixture *)*state)->timers;
  byn_due due;
  for (uint32_t i = 0; i < 100; i++)
    byn_timers_add(t, 5, i, NULL);
  for (uint32_t i = 0; i < 100; i++) {
    assert_true(byn_timers_pop(t, 5, &due));
    assert_int_equal(due.kind, i);
  }
}

static void cancel_answers_when_it_was_due_and_works_once(void **state) {
  byn_timers *t = ((fixture *)*state)->timers;
  int64_t at = 0;
  byn_timer first = byn_timers_add(t, 10, 1, NULL);
  byn_timer second = byn_timers_add(t, -3, 2, NULL);
  assert_true(byn_timers_cancel(t, second, &at));
  assert_true(at == -3);
  assert_false(byn_timers_cancel(t, second, &at));
  assert_true(byn_timers_cancel(t, first, NULL));
  assert_int_equal(byn_timers_count(t), 0);
}

static void a_handle_of_no_timer_cancels_nothing(void **state) {
  byn_timers *t = ((fixture *)*state)->timers;
  byn_due due;
  byn_timer timer = byn_timers_add(t, 10, 1, NULL);
  assert_false(byn_timers_cancel(t, 0, NULL));
  assert_false(byn_timers_cancel(t, UINT64_MAX, NULL));
  assert_false(byn_timers_cancel(t, timer + 1, NULL));
  assert_false(byn_timers_cancel(t, timer + (1ull << 32), NULL));
  assert_true(byn_timers_pop(t, 10, &due));
  assert_false(byn_timers_cancel(t, timer, NULL));
}

static void an_old_handle_does_not_reach_the_next_timer(void **state) {
  byn_timers *t = ((fixture *)*state)->timers;
  byn_timer old = byn_timers_add(t, 10, 1, NULL);
  assert_true(byn_timers_cancel(t, old, NULL));
  byn_timer fresh = byn_timers_add(t, 10, 2, NULL);
  assert_true(fresh != old);
  assert_false(byn_timers_cancel(t, old, NULL));
  assert_int_equal(byn_timers_count(t), 1);
}

static void a_small_working_set_takes_no_more_memory(void **state) {
  fixture *f = *state;
  byn_timers_add(f->timers, 1000000, 0, NULL);
  uint64_t calls = f->t.calls;
  for (int i = 0; i < 100000; i++) {
    byn_timer timer = byn_timers_add(f->timers, i, 0, NULL);
    assert_true(byn_timers_cancel(f->timers, timer, NULL));
  }
  assert_true(f->t.calls == calls);
}

/* The model: a list searched from end to end, in order of adding. */
enum { MODEL_SIZE = 400 };

typedef struct model {
  struct {
    byn_timer timer;
    int64_t at;
    uint32_t kind;
  } waiting[MODEL_SIZE];
  uint32_t count;
} model;

static uint32_t model_first(const model *m) {
  uint32_t first = 0;
  for (uint32_t i = 1; i < m->count; i++)
    if (m->waiting[i].at < m->waiting[first].at) first = i;
  return first;
}

static void model_remove(model *m, uint32_t i) {
  m->count--;
  memmove(&m->waiting[i], &m->waiting[i + 1],
          (m->count - i) * sizeof m->waiting[0]);
}

static void step_add(byn_timers *t, model *m, byn_rng *rng, uint32_t kind) {
  int64_t at = (int64_t)byn_rng_below(rng, 50);
  m->waiting[m->count].timer = byn_timers_add(t, at, kind, NULL);
  m->waiting[m->count].at = at;
  m->waiting[m->count++].kind = kind;
}

static void step_cancel(byn_timers *t, model *m, byn_rng *rng) {
  uint32_t i = (uint32_t)byn_rng_below(rng, m->count);
  int64_t at;
  assert_true(byn_timers_cancel(t, m->waiting[i].timer, &at));
  assert_true(at == m->waiting[i].at);
  model_remove(m, i);
}

static void step_pop(byn_timers *t, model *m, byn_rng *rng) {
  int64_t now = (int64_t)byn_rng_below(rng, 50);
  uint32_t i = model_first(m);
  byn_due due;
  assert_true(byn_timers_next(t) == m->waiting[i].at);
  bool is_due = m->waiting[i].at <= now;
  assert_true(byn_timers_pop(t, now, &due) == is_due);
  if (!is_due) return;
  assert_true(due.timer == m->waiting[i].timer);
  assert_int_equal(due.kind, m->waiting[i].kind);
  model_remove(m, i);
}

static void it_agrees_with_a_list_searched_end_to_end(void **state) {
  byn_timers *t = ((fixture *)*state)->timers;
  static model m;
  byn_rng rng;
  byn_rng_seed(&rng, 3);
  for (uint32_t step = 0; step < 100000; step++) {
    uint64_t dice = byn_rng_below(&rng, 10);
    bool filling = step / 2000 % 2 == 0;
    if (m.count == 0 || (m.count < MODEL_SIZE && dice < (filling ? 7 : 2)))
      step_add(t, &m, &rng, step);
    else if (dice < 8)
      step_cancel(t, &m, &rng);
    else
      step_pop(t, &m, &rng);
    assert_int_equal(byn_timers_count(t), m.count);
  }
}

static void fill(const byn_alloc *alloc, void *arg) {
  (void)arg;
  byn_timers *t = byn_timers_new(alloc);
  if (!t) return;
  uint32_t added = 0;
  for (int i = 0; i < 100; i++) {
    if (byn_timers_add(t, 100 - i, 0, NULL)) added++;
    assert_int_equal(byn_timers_count(t), added);
  }
  byn_due due = {.at = 0};
  for (int64_t last = 0; byn_timers_pop(t, 100, &due); last = due.at) {
    assert_true(due.at >= last);
    added--;
  }
  assert_int_equal(added, 0);
  byn_timers_free(t);
}

static void short_memory_refuses_one_timer_and_keeps_the_rest(void **state) {
  (void)state;
  assert_true(byn_test_each_failure(fill, NULL) > 4);
}

#define WITH_SET(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      WITH_SET(an_empty_set_has_no_deadline),
      WITH_SET(a_timer_comes_back_as_it_was_given),
      WITH_SET(timers_that_are_due_can_be_taken_in_any_order),
      WITH_SET(timers_of_one_instant_fire_in_order_of_adding),
      WITH_SET(cancel_answers_when_it_was_due_and_works_once),
      WITH_SET(a_handle_of_no_timer_cancels_nothing),
      WITH_SET(an_old_handle_does_not_reach_the_next_timer),
      WITH_SET(a_small_working_set_takes_no_more_memory),
      WITH_SET(it_agrees_with_a_list_searched_end_to_end),
      cmocka_unit_test(short_memory_refuses_one_timer_and_keeps_the_rest),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
