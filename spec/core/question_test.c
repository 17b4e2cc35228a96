/* Questions of links: does the other end live, when another claims its name? */
#include "link_rig.h"

static rig r;

enum { A, B };

static int set_up(void **state) {
  (void)state;
  rig_init(&r, 42);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  rig_close(&r);
  byn_test_assert_clean(&r.test);
  return 0;
}

static void ask(uint64_t number) {
  byn_question q = {
      .number = number, .incarnation = 33, .traits = 9, .address = "h:7"};
  byn_link_ask(r.sides[A].link, &q, r.now);
}

static void a_node_that_lives_answers(void **state) {
  (void)state;
  rig_open(&r);
  assert_true(byn_link_can_be_asked(r.sides[A].link));
  for (uint64_t i = 1; i <= 3; i++) {
    ask(i);
    assert_int_equal(r.sides[A].answers, i - 1);
    rig_pump(&r);
    assert_int_equal(r.sides[A].answers, i);
    assert_int_equal(r.sides[A].answered, i);
    assert_int_equal(r.sides[B].asked.number, i);
    assert_int_equal(r.sides[B].asked.incarnation, 33);
    assert_int_equal(r.sides[B].asked.traits, 9);
    assert_string_equal(r.sides[B].asked.address, "h:7");
  }
}

/* The last question holds for those before. */
static void the_last_of_several_questions_is_asked(void **state) {
  (void)state;
  rig_open(&r);
  ask(1);
  ask(2);
  rig_pump(&r);
  assert_int_equal(r.sides[A].answers, 1);
  assert_int_equal(r.sides[A].answered, 2);
}

static void what_was_under_way_is_no_answer(void **state) {
  (void)state;
  rig_open(&r);
  r.sides[B].mum = true;
  rig_send(&r, B, 200000);
  ask(1);
  rig_pump(&r);
  rig_run(&r, r.now + 3000);
  rig_assert_up(&r);
  assert_int_equal(r.sides[B].asked.number, 1);
  assert_int_equal(r.sides[A].messages, 1);
  assert_int_equal(r.sides[A].answers, 0);
}

/* The queue of messages is long; the question passes it. */
static void a_question_passes_what_waits(void **state) {
  (void)state;
  rig_open(&r);
  rig_send(&r, A, (size_t)8 << 20);
  rig_send(&r, B, (size_t)8 << 20);
  rig_output(&r, &r.wires[0], A); /* one view is out already */
  ask(1);
  while (!r.sides[A].answers) {
    assert_int_equal(r.sides[A].messages + r.sides[B].messages, 0);
    rig_turn(&r, &r.wires[0]);
  }
  rig_pump(&r);
  assert_int_equal(r.sides[A].messages + r.sides[B].messages, 2);
}

static void a_question_is_asked_again_on_the_next_connection(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= 40; seed++) {
    rig_close(&r);
    rig_init(&r, seed);
    rig_open(&r);
    ask(1);
    rig_output(&r, &r.wires[0], A);
    if (seed % 2) rig_deliver(&r, &r.wires[0], B, SIZE_MAX);
    rig_cut_all(&r);
    rig_pump(&r);
    rig_assert_up(&r);
    assert_int_equal(r.sides[A].resumed, 1);
    assert_in_range(r.sides[A].answers, 1, 2);
    assert_int_equal(r.sides[A].answered, 1);
  }
}

/* The proof of a new connection may have been under way itself. */
static void another_connection_is_no_answer(void **state) {
  (void)state;
  rig_open(&r);
  r.sides[B].mum = true;
  rig_cut_all(&r);
  ask(1);
  rig_pump(&r);
  assert_int_equal(r.sides[A].resumed, 1);
  assert_int_equal(r.sides[A].answers, 0);
}

static void a_question_may_wait_for_a_connection(void **state) {
  (void)state;
  rig_open(&r);
  r.unreachable = true;
  rig_cut_all(&r);
  rig_pump(&r);
  ask(1);
  rig_run(&r, r.now + 300);
  assert_int_equal(r.sides[A].answers, 0);
  r.unreachable = false;
  rig_run(&r, r.now + 1500);
  rig_assert_up(&r);
  assert_int_equal(r.sides[A].answered, 1);
}

static void a_peer_that_answers_what_was_not_asked_is_not_believed(void **s) {
  byn_link_event e;
  (void)s;
  rig_open(&r);
  byn_link_answer(r.sides[B].link, 99);
  rig_pump(&r);
  assert_int_equal(r.sides[A].answered, 0);
  assert_false(byn_link_next(r.sides[A].link, &e));
  ask(1);
  byn_link_answer(r.sides[B].link, 0);
  rig_output(&r, &r.wires[0], B);
  rig_deliver(&r, &r.wires[0], A, SIZE_MAX);
  assert_int_equal(r.sides[A].answered, 0);
}

/* One that knows no questions: any byte that comes late enough. */
static void an_older_peer_answers_by_what_it_says(void **state) {
  (void)state;
  for (int side = 0; side < 2; side++) {
    rig_close(&r);
    rig_init(&r, 1);
    r.config[side].connection.minor = 1;
    rig_open(&r);
    assert_false(byn_link_can_be_asked(r.sides[A].link));
    rig_send(&r, B, 10);
    ask(1);
    r.now += 200;
    rig_pump(&r);
    assert_int_equal(r.sides[A].messages, 1);
    assert_int_equal(r.sides[A].answers, 0);
    rig_run(&r, r.now + 2000); /* heartbeats */
    rig_assert_up(&r);
    assert_int_equal(r.sides[A].answers, 1);
    assert_int_equal(r.sides[A].answered, 1);
    assert_int_equal(r.sides[B].asked.number, 0);
  }
}

static void a_refused_dialer_learns_who_has_its_name(void **state) {
  byn_holder holder = {.incarnation = 77, .address = "10.0.0.1:5"};
  byn_connection_event e;
  (void)state;
  rig_dial(&r);
  rig_events(&r, A);
  rig_wire *w = &r.wires[0];
  byn_connection *c = w->ends[B];
  while (!byn_connection_next(c, &e)) {
    const uint8_t *bytes;
    size_t n = byn_connection_output(w->ends[A], &bytes);
    byn_connection_feed(c, bytes, n, r.now);
    if (byn_connection_next(c, &e)) break;
    byn_connection_wrote(w->ends[A], n);
    rig_output(&r, w, B);
    rig_deliver(&r, w, A, SIZE_MAX);
  }
  assert_int_equal(e.kind, BYN_CONNECTION_ADMIT);
  byn_connection_refuse_name(c, &holder);
  rig_pump(&r);
  rig_assert_down(&r, A, "name_taken");
  assert_int_equal(r.sides[A].holder.incarnation, 77);
  assert_string_equal(r.sides[A].holder.address, "10.0.0.1:5");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_node_that_lives_answers),
      TEST(the_last_of_several_questions_is_asked),
      TEST(what_was_under_way_is_no_answer),
      TEST(a_question_passes_what_waits),
      TEST(a_question_is_asked_again_on_the_next_connection),
      TEST(another_connection_is_no_answer),
      TEST(a_question_may_wait_for_a_connection),
      TEST(a_peer_that_answers_what_was_not_asked_is_not_believed),
      TEST(an_older_peer_answers_by_what_it_says),
      TEST(a_refused_dialer_learns_who_has_its_name),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
