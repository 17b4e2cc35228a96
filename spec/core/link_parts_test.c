/* The link: frames that come in pieces, and messages that come in parts. */
#include "link_rig.h"

static rig r;

enum { A, B };

static int set_up(void **state) {
  (void)state;
  rig_init(&r, 7);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  rig_close(&r);
  byn_test_assert_clean(&r.test);
  return 0;
}

/* Everything that A has to say is in the wire. */
static rig_wire *say_all(void) {
  rig_wire *w = &r.wires[r.wire_count - 1];
  while (rig_output(&r, w, A)) {}
  return w;
}

/* A new pair; A sends these messages, the wire breaks when B has read `at`
 * bytes of what A says; answers whether there were so many. */
static bool break_after(size_t at, const size_t *sizes, size_t count) {
  rig_wire *w;
  size_t all;
  rig_close(&r);
  rig_init(&r, at + 1);
  rig_open(&r);
  for (size_t i = 0; i < count; i++)
    assert_true(rig_send(&r, A, sizes[i]));
  w = say_all();
  all = w->inbox[B].len;
  if (at < all) byn_buf_truncate(&w->inbox[B], at);
  w->cut[A] = w->cut[B] = true;
  rig_pump(&r);
  rig_run(&r, r.now + 1500);
  rig_assert_up(&r);
  assert_int_equal(r.sides[B].messages, count);
  assert_int_equal(byn_link_queued(r.sides[A].link), 0);
  return at < all;
}

static void a_break_at_any_byte_loses_nothing(void **state) {
  static const size_t sizes[] = {10, 0, 100, 3};
  size_t at = 0;
  (void)state;
  while (break_after(at, sizes, 4))
    at++;
  assert_true(at >= 4 * BYN_FRAME_HEADER + 113);
}

static void a_break_within_any_part_loses_nothing(void **state) {
  static const size_t sizes[] = {200000, 5, 65537};
  size_t at = 0;
  (void)state;
  while (break_after(at, sizes, 3))
    at += 9973;
}

/* B reads all that A has said, up to `most` bytes at once. */
static void feed_in_pieces(rig_wire *w, size_t most) {
  byn_buf *inbox = &w->inbox[B];
  for (size_t at = 0, n; at < inbox->len; at += n) {
    n = 1 + (size_t)byn_rng_below(&r.rng, most);
    if (n > inbox->len - at) n = inbox->len - at;
    rig_feed(&r, w, B, inbox->data + at, n);
  }
  byn_buf_truncate(inbox, 0);
}

static void a_message_of_many_chunks_comes_whole(void **state) {
  static const size_t sizes[] = {65536, 1, 65537, 300000, 0, 131072};
  (void)state;
  rig_open(&r);
  for (size_t most = 1; most < 200000; most = most * 5 + 3) {
    rig_wire *w;
    for (size_t i = 0; i < 6; i++)
      rig_send(&r, A, sizes[i] / (most < 4 ? 100 : 1));
    w = say_all();
    feed_in_pieces(w, most);
    assert_int_equal(r.sides[B].messages, r.sides[A].sent);
    rig_pump(&r);
  }
}

static void many_messages_of_one_chunk_come_in_order(void **state) {
  rig_wire *w;
  (void)state;
  rig_open(&r);
  for (size_t i = 0; i < 500; i++)
    rig_send(&r, A, i % 7 * 20);
  w = say_all();
  rig_feed(&r, w, B, w->inbox[B].data, w->inbox[B].len);
  byn_buf_truncate(&w->inbox[B], 0);
  assert_int_equal(r.sides[B].messages, 500);
}

/* The pieces of frames that came over another connection already. */
static void pieces_that_come_twice_are_taken_once(void **state) {
  rig_wire *old;
  (void)state;
  rig_open(&r);
  rig_send(&r, A, 1000);
  rig_send(&r, A, 100000);
  old = say_all();
  r.now += 2500; /* what A said waits in the network */
  byn_link_tick(r.sides[B].link, r.now);
  old->dark = true;
  rig_pump(&r);
  assert_int_equal(r.sides[B].resumed, 1);
  old->dark = false;
  assert_int_equal(r.sides[B].messages, 2);
  r.chunk = 100;
  rig_send(&r, A, 50000);
  rig_pump(&r);
  rig_assert_up(&r);
  assert_int_equal(r.sides[B].messages, 3);
}

/* From one large message to the next no memory is asked for; a while after the
 * last it is given back. */
static void the_buffer_of_parts_is_kept_for_a_while(void **state) {
  size_t idle, kept;
  uint64_t calls;
  (void)state;
  rig_open(&r);
  rig_run(&r, r.now + 3000);
  idle = r.test.live_bytes;
  r.chunk = 50000;
  for (int i = 0; i < 10; i++) {
    rig_send(&r, A, 70000);
    say_all();
    calls = r.test.calls;
    while (rig_deliver(&r, &r.wires[0], B, 50000)) {}
    if (i) assert_true(r.test.calls == calls);
    rig_pump(&r);
  }
  kept = r.test.live_bytes;
  assert_true(kept > idle + 70000);
  rig_run(&r, r.now + 4000);
  assert_true(r.test.live_bytes < idle + 8192);
  rig_send(&r, A, 2000000);
  rig_pump(&r);
  rig_run(&r, r.now + 4000);
  assert_true(r.test.live_bytes < idle + 8192);
  assert_int_equal(r.sides[B].messages, 11);
}

/* The peer says more than max_message in pieces of one frame. */
static void pieces_past_the_limit_end_the_link(void **state) {
  (void)state;
  r.config[B].max_message = 1000;
  r.chunk = 300;
  rig_open(&r);
  rig_send(&r, A, 1001);
  rig_pump(&r);
  rig_assert_down(&r, B, "message_too_large");
  assert_int_equal(r.sides[B].messages, 0);
}

/* A side that finds no memory for a part goes down, and leaves nothing. */
static void live(const byn_alloc *alloc, void *arg) {
  static rig life;
  (void)arg;
  rig_init(&life, 5);
  life.config[B].connection.alloc = *alloc;
  life.config[A].connection.alloc = life.plain;
  life.chunk = 40;
  rig_dial(&life);
  if (life.sides[A].link) rig_pump(&life);
  if (life.sides[A].ups && life.sides[B].ups) {
    for (size_t i = 0; i < 6; i++) {
      rig_send(&life, A, 300 * i);
      rig_pump(&life);
    }
    assert_true(life.sides[B].downs || life.sides[B].messages == 6);
  }
  rig_close(&life);
}

static void any_allocation_of_a_part_may_fail(void **state) {
  (void)state;
  assert_true(byn_test_each_failure(live, NULL) > 5);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_break_at_any_byte_loses_nothing),
      TEST(a_break_within_any_part_loses_nothing),
      TEST(a_message_of_many_chunks_comes_whole),
      TEST(many_messages_of_one_chunk_come_in_order),
      TEST(pieces_that_come_twice_are_taken_once),
      TEST(the_buffer_of_parts_is_kept_for_a_while),
      TEST(pieces_past_the_limit_end_the_link),
      TEST(any_allocation_of_a_part_may_fail),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
