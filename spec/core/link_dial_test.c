/* Dials of links whose connection is lost: crossing, lost on the way, refused.
 */
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

static rig_wire *last_wire(void) {
  return &r.wires[r.wire_count - 1];
}

/* Both dial at the same moment; either PROOF may be read first. */
static void of_two_attempts_both_keep_the_same(void **state) {
  (void)state;
  for (uint64_t seed = 0; seed < byn_test_plays(30); seed++) {
    rig_close(&r);
    rig_init(&r, seed);
    r.chunk = 50;
    rig_open(&r);
    rig_cut_all(&r);
    for (int i = 0; i < 2; i++)
      rig_hang_up(&r, &r.wires[0], i, "closed");
    assert_int_equal(r.wire_count, 3);
    for (size_t turns = 0; turns < 400; turns++)
      rig_turn(&r, &r.wires[1 + byn_rng_below(&r.rng, r.wire_count - 1)]);
    rig_run(&r, r.now + 40);
    rig_assert_up(&r);
    assert_int_equal(r.wire_count, 1);
    assert_int_equal(r.sides[A].resumed, 1);
    assert_int_equal(r.sides[B].resumed, 1);
  }
}

/* Both have dialled. */
static rig_wire *dial_of_a_while_b_dials(void) {
  rig_open(&r);
  rig_cut_all(&r);
  for (int side = 0; side < 2; side++)
    rig_hang_up(&r, &r.wires[0], side, "closed");
  assert_int_equal(r.wire_count, 3);
  return &r.wires[r.wires[1].dialer == A ? 1 : 2];
}

static void a_dial_that_is_lost_stands_in_nobodys_way(void **state) {
  (void)state;
  dial_of_a_while_b_dials()->dark = true;
  rig_pump(&r);
  rig_assert_up(&r);
  assert_int_equal(r.sides[A].resumed, 1);
  assert_int_equal(r.sides[B].resumed, 1);
}

/* What B answers to the PROOF of A is on its way. */
static void lose_a_connection_and_refuse_b(void) {
  rig_wire *w = dial_of_a_while_b_dials();
  while (!byn_connection_is_proving(w->ends[A]))
    assert_true(rig_turn(&r, w));
  w->dark = true;
  rig_run(&r, r.now + 300);
  assert_non_null(r.sides[A].refused);
  assert_string_equal(r.sides[A].refused, "simultaneous");
}

/* A dial of B more would be refused again, and have that of A refused. */
static void one_that_was_refused_waits_for_the_dial_of_the_other(void **state) {
  (void)state;
  lose_a_connection_and_refuse_b();
  assert_int_equal(r.wire_count, 1);
  r.wires[0].dark = false;
  rig_pump(&r);
  rig_assert_up(&r);
  assert_int_equal(r.sides[A].resumed, 1);
  assert_int_equal(r.sides[B].resumed, 1);
}

static void one_that_was_refused_does_not_wait_for_ever(void **state) {
  (void)state;
  lose_a_connection_and_refuse_b();
  rig_run(&r, r.now + 300);
  rig_assert_up(&r);
  assert_int_equal(r.sides[A].resumed, 1);
  assert_int_equal(r.sides[B].resumed, 1);
}

static void a_refused_dial_ends_it_where_that_life_listened(void **state) {
  (void)state;
  for (int side = 0; side < 2; side++) {
    rig_close(&r);
    rig_init(&r, 1);
    rig_open(&r);
    r.deaf[!side] = true; /* killed: its host closes and refuses */
    rig_hang_up(&r, &r.wires[0], side, "closed");
    rig_turn(&r, last_wire());
    rig_assert_down(&r, side, "econnrefused");
    assert_int_equal(r.sides[side].down_at, r.now);
  }
}

/* A killed host still listens when it closes its connections. */
static void a_dial_that_is_closed_is_soon_made_again(void **state) {
  (void)state;
  rig_open(&r);
  rig_hang_up(&r, &r.wires[0], A, "closed");
  assert_int_equal(last_wire()->dialer, A);
  r.deaf[B] = r.unreachable = true;
  rig_hang_up(&r, last_wire(), A, "closed");
  assert_int_equal(r.sides[A].downs, 0);
  rig_run(&r, r.now + 10);
  rig_assert_down(&r, A, "econnrefused");
}

/* B does not listen, it dialled out: that A cannot dial it means nothing. */
static void a_refused_dial_means_nothing_where_none_listened(void **state) {
  (void)state;
  r.config[A].connection.traits = 0;
  r.deaf[A] = true;
  rig_open(&r);
  rig_cut_all(&r);
  rig_pump(&r);
  rig_run(&r, r.now + 100);
  rig_assert_up(&r);
  assert_int_equal(r.sides[B].resumed, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(of_two_attempts_both_keep_the_same),
      TEST(a_dial_that_is_lost_stands_in_nobodys_way),
      TEST(one_that_was_refused_waits_for_the_dial_of_the_other),
      TEST(one_that_was_refused_does_not_wait_for_ever),
      TEST(a_refused_dial_ends_it_where_that_life_listened),
      TEST(a_dial_that_is_closed_is_soon_made_again),
      TEST(a_refused_dial_means_nothing_where_none_listened),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
