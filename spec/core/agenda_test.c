/* Agendas, compared with a list that is searched from end to end. */
#include "support.h"

#include "../../csrc/core/agenda.h"
#include "../../csrc/core/rng.h"

enum { MODEL_SIZE = 120, STEPS = 40000, TIMES = 40, KIND = 7 };

typedef struct fixture {
  byn_test_alloc t;
  byn_alloc alloc;
  byn_agenda agenda;
} fixture;

static int set_up(void **state) {
  fixture *f = calloc(1, sizeof *f);
  if (!f) return -1;
  f->alloc = byn_test_allocator(&f->t);
  *state = f;
  return byn_agenda_open(&f->agenda, &f->alloc) ? 0 : -1;
}

static int tear_down(void **state) {
  fixture *f = *state;
  byn_agenda_close(&f->agenda);
  byn_test_assert_clean(&f->t);
  free(f);
  return 0;
}

static byn_agenda *agenda_of(void **state) {
  return &((fixture *)*state)->agenda;
}

/* Takes it in, at rest, due at `at`. */
static void join(byn_agenda *a, byn_entry *e, int64_t at) {
  assert_true(byn_agenda_join(a, e, KIND, e));
  assert_ptr_equal(byn_agenda_next_touched(a), e);
  byn_agenda_set(a, e, at);
}

/* --- one by one ----------------------------------------------------------- */

static void one_that_is_empty_has_nothing_to_do(void **state) {
  byn_agenda *a = agenda_of(state);
  assert_true(byn_agenda_deadline(a) == BYN_NEVER);
  assert_false(byn_agenda_has_touched(a));
  assert_null(byn_agenda_next_touched(a));
  assert_null(byn_agenda_next_due(a, INT64_MAX - 1));
}

static void who_joins_is_touched_and_due_never(void **state) {
  byn_agenda *a = agenda_of(state);
  byn_entry e;
  int owner;
  assert_true(byn_agenda_join(a, &e, KIND, &owner));
  assert_ptr_equal(e.owner, &owner);
  assert_int_equal(e.kind, KIND);
  assert_true(byn_agenda_deadline(a) == BYN_NEVER);
  assert_null(byn_agenda_next_due(a, INT64_MAX - 1));
  assert_ptr_equal(byn_agenda_next_touched(a), &e);
  assert_null(byn_agenda_next_touched(a));
  byn_agenda_leave(a, &e);
}

static void who_is_due_comes_once_and_is_touched(void **state) {
  byn_agenda *a = agenda_of(state);
  byn_entry e;
  join(a, &e, 50);
  assert_true(byn_agenda_deadline(a) == 50);
  assert_null(byn_agenda_next_due(a, 49));
  assert_false(byn_agenda_has_touched(a));
  assert_ptr_equal(byn_agenda_next_due(a, 50), &e);
  assert_null(byn_agenda_next_due(a, INT64_MAX - 1));
  assert_true(byn_agenda_deadline(a) == BYN_NEVER);
  assert_ptr_equal(byn_agenda_next_touched(a), &e);
  byn_agenda_leave(a, &e);
}

static void of_one_instant_who_was_set_first_comes_first(void **state) {
  byn_agenda *a = agenda_of(state);
  byn_entry e[4];
  for (int i = 0; i < 4; i++)
    join(a, &e[i], 5);
  byn_agenda_set(a, &e[0], 6);
  byn_agenda_set(a, &e[0], 5);
  byn_agenda_set(a, &e[1], 5); /* where it was before: it keeps its place */
  static const int order[] = {1, 2, 3, 0};
  for (int i = 0; i < 4; i++)
    assert_ptr_equal(byn_agenda_next_due(a, 5), &e[order[i]]);
  for (int i = 0; i < 4; i++)
    byn_agenda_leave(a, &e[i]);
}

static void the_touched_come_in_the_order_in_which_they_were(void **state) {
  byn_agenda *a = agenda_of(state);
  byn_entry e[4];
  for (int i = 0; i < 4; i++)
    join(a, &e[i], i);
  static const int touched[] = {2, 0, 3, 0, 1, 2};
  for (int i = 0; i < 6; i++)
    byn_agenda_touch(a, &e[touched[i]]);
  byn_agenda_leave(a, &e[0]);
  static const int order[] = {2, 3, 1};
  for (int i = 0; i < 3; i++)
    assert_ptr_equal(byn_agenda_next_touched(a), &e[order[i]]);
  assert_null(byn_agenda_next_touched(a));
  for (int i = 1; i < 4; i++)
    byn_agenda_leave(a, &e[i]);
}

static void who_is_not_on_it_can_leave(void **state) {
  byn_agenda *a = agenda_of(state);
  byn_entry never = {.owner = NULL}, e;
  byn_agenda_leave(a, &never);
  join(a, &e, 3);
  byn_agenda_touch(a, &e);
  byn_agenda_leave(a, &e);
  byn_agenda_leave(a, &e);
  assert_false(byn_agenda_has_touched(a));
  assert_true(byn_agenda_deadline(a) == BYN_NEVER);
}

/* --- any order ------------------------------------------------------------ */

typedef struct model {
  byn_agenda *agenda;
  byn_rng rng;
  byn_entry entries[MODEL_SIZE];
  bool on[MODEL_SIZE];
  int64_t at[MODEL_SIZE];
  uint64_t set[MODEL_SIZE]; /* which change of a time it was */
  uint64_t sets;
  int touched[MODEL_SIZE];
  int count; /* of the touched */
} model;

static int any(model *m, int below) {
  return (int)byn_rng_below(&m->rng, (uint64_t)below);
}

static int64_t any_time(model *m) {
  int at = any(m, TIMES + 4);
  return at < TIMES ? at : BYN_NEVER;
}

static void model_set(model *m, int i, int64_t at) {
  if (m->at[i] == at) return;
  m->at[i] = at;
  m->set[i] = ++m->sets;
}

static void model_touch(model *m, int i) {
  for (int j = 0; j < m->count; j++)
    if (m->touched[j] == i) return;
  m->touched[m->count++] = i;
}

static void model_unlist(model *m, int i) {
  int kept = 0;
  for (int j = 0; j < m->count; j++)
    if (m->touched[j] != i) m->touched[kept++] = m->touched[j];
  m->count = kept;
}

/* Who is due first, or -1. */
static int model_first(const model *m) {
  int first = -1;
  for (int i = 0; i < MODEL_SIZE; i++) {
    if (!m->on[i] || m->at[i] == BYN_NEVER) continue;
    if (first < 0 || m->at[i] < m->at[first] ||
        (m->at[i] == m->at[first] && m->set[i] < m->set[first]))
      first = i;
  }
  return first;
}

static void step_join(model *m, int i) {
  assert_true(byn_agenda_join(m->agenda, &m->entries[i], (uint32_t)i, m));
  m->on[i] = true;
  m->at[i] = BYN_NEVER;
  model_touch(m, i);
}

static void step_leave(model *m, int i) {
  byn_agenda_leave(m->agenda, &m->entries[i]);
  m->on[i] = false;
  model_unlist(m, i);
}

static void step_set(model *m, int i) {
  int64_t at = any_time(m);
  byn_agenda_set(m->agenda, &m->entries[i], at);
  model_set(m, i, at);
}

static void step_touch(model *m, int i) {
  byn_agenda_touch(m->agenda, &m->entries[i]);
  model_touch(m, i);
}

static void step_next_touched(model *m) {
  byn_entry *e = byn_agenda_next_touched(m->agenda);
  if (m->count == 0) {
    assert_null(e);
    return;
  }
  int i = m->touched[0];
  assert_ptr_equal(e, &m->entries[i]);
  model_unlist(m, i);
  if (any(m, 4)) step_set(m, i);
}

static void step_next_due(model *m) {
  int64_t now = any(m, TIMES);
  int i = model_first(m);
  byn_entry *e = byn_agenda_next_due(m->agenda, now);
  if (i < 0 || m->at[i] > now) {
    assert_null(e);
    return;
  }
  assert_ptr_equal(e, &m->entries[i]);
  model_set(m, i, BYN_NEVER);
  model_touch(m, i);
}

static void step(model *m) {
  int i = any(m, MODEL_SIZE), dice = any(m, 12);
  if (dice < 2)
    step_next_touched(m);
  else if (dice < 4)
    step_next_due(m);
  else if (!m->on[i])
    step_join(m, i);
  else if (dice < 5)
    step_leave(m, i);
  else if (dice < 9)
    step_set(m, i);
  else
    step_touch(m, i);
}

static void it_agrees_with_a_list_searched_end_to_end(void **state) {
  model m = {.agenda = agenda_of(state)};
  byn_rng_seed(&m.rng, 5);
  for (int n = 0; n < STEPS; n++) {
    step(&m);
    int first = model_first(&m);
    assert_true(byn_agenda_deadline(m.agenda) ==
                (first < 0 ? BYN_NEVER : m.at[first]));
    assert_int_equal(byn_agenda_has_touched(m.agenda), m.count > 0);
  }
  for (int i = 0; i < MODEL_SIZE; i++)
    byn_agenda_leave(m.agenda, &m.entries[i]);
}

/* --- short of memory ------------------------------------------------------ */

enum { CROWD = 100 };

/* Those that could join are due as they were set; the others are not on it. */
static void crowd(const byn_alloc *alloc, void *arg) {
  (void)arg;
  byn_agenda a;
  byn_entry e[CROWD];
  bool on[CROWD];
  if (byn_agenda_open(&a, alloc)) {
    for (int i = 0; i < CROWD; i++) {
      on[i] = byn_agenda_join(&a, &e[i], KIND, NULL);
      if (on[i]) byn_agenda_set(&a, &e[i], CROWD - i);
    }
    for (int i = 0; i < CROWD; i++)
      if (on[i]) assert_ptr_equal(byn_agenda_next_touched(&a), &e[i]);
    assert_null(byn_agenda_next_touched(&a));
    for (int i = CROWD - 1; i >= 0; i--) {
      if (on[i]) assert_ptr_equal(byn_agenda_next_due(&a, CROWD), &e[i]);
      byn_agenda_leave(&a, &e[i]);
    }
    assert_null(byn_agenda_next_due(&a, CROWD));
  }
  byn_agenda_close(&a);
}

static void short_memory_keeps_one_out_and_the_rest_in(void **state) {
  (void)state;
  assert_true(byn_test_each_failure(crowd, NULL) > 4);
}

/* Nothing but joining needs memory. */
static void who_is_on_it_needs_no_more_memory(void **state) {
  fixture *f = *state;
  byn_agenda *a = &f->agenda;
  byn_entry e[CROWD];
  for (int i = 0; i < CROWD; i++)
    join(a, &e[i], i);
  byn_test_fail_from(&f->t, 1);
  uint64_t calls = f->t.calls;
  for (int i = 0; i < 10 * CROWD; i++) {
    byn_agenda_set(a, &e[i * 7 % CROWD], i % 13);
    byn_agenda_touch(a, &e[i * 11 % CROWD]);
    assert_non_null(byn_agenda_next_due(a, CROWD));
    assert_non_null(byn_agenda_next_touched(a));
    byn_agenda_set(a, &e[i % CROWD], i % 17);
  }
  for (int i = 0; i < CROWD; i++)
    byn_agenda_leave(a, &e[i]);
  assert_true(f->t.calls == calls);
}

#define WITH_AGENDA(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      WITH_AGENDA(one_that_is_empty_has_nothing_to_do),
      WITH_AGENDA(who_joins_is_touched_and_due_never),
      WITH_AGENDA(who_is_due_comes_once_and_is_touched),
      WITH_AGENDA(of_one_instant_who_was_set_first_comes_first),
      WITH_AGENDA(the_touched_come_in_the_order_in_which_they_were),
      WITH_AGENDA(who_is_not_on_it_can_leave),
      WITH_AGENDA(it_agrees_with_a_list_searched_end_to_end),
      WITH_AGENDA(who_is_on_it_needs_no_more_memory),
      cmocka_unit_test(short_memory_keeps_one_out_and_the_rest_in),
  };
  return cmocka_run_group_tests_name("agenda", tests, NULL, NULL);
}
