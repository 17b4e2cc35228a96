/* The outbox: frames leave in order, cut where they must be. */
#include "support.h"

#include "../../csrc/core/wire/outbox.h"

#define MAX ((size_t)64 << 20)

static byn_test_alloc test;
static byn_alloc alloc;
static byn_outbox box;

static int set_up(void **state) {
  (void)state;
  test = (byn_test_alloc){0};
  alloc = byn_test_allocator(&test);
  byn_outbox_init(&box, &alloc);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  byn_outbox_free(&box);
  byn_test_assert_clean(&test);
  return 0;
}

/* Byte i of message m; no two fragments look alike. */
static uint8_t pattern(size_t m, size_t i) {
  return (uint8_t)(m * 31 + i * 7 + (i >> 16) * 13);
}

static void put_message(size_t m, size_t n) {
  uint8_t *at = byn_put_space(byn_outbox_begin(&box, BYN_FRAME_MESSAGE), n);
  assert_non_null(at);
  for (size_t i = 0; i < n; i++)
    at[i] = pattern(m, i);
  assert_true(byn_outbox_commit(&box, MAX));
}

/* Takes all; answers the number of views. */
static size_t drain(byn_buf *into) {
  const uint8_t *bytes;
  size_t n, views = 0;
  while ((n = byn_outbox_take(&box, &bytes)) > 0) {
    assert_true(n <= BYN_VIEW_MAX);
    byn_put_bytes(into, bytes, n);
    views++;
  }
  assert_false(into->failed);
  return views;
}

/* Checks that the bytes are the messages 0.. with these sizes. */
static void assert_messages(const byn_buf *b, const size_t *sizes,
                            size_t count) {
  size_t at = 0;
  for (size_t m = 0; m < count; m++) {
    size_t seen = 0, last;
    do {
      const uint8_t *frame = b->data + at;
      size_t size = byn_frame_size(frame) - BYN_FRAME_HEADER;
      last = frame[4] == BYN_FRAME_MESSAGE;
      assert_true(last || frame[4] == BYN_FRAME_FRAGMENT);
      assert_true(size <= BYN_FRAGMENT_SIZE);
      assert_true(last || size == BYN_FRAGMENT_SIZE);
      for (size_t i = 0; i < size; i++)
        if (frame[BYN_FRAME_HEADER + i] != pattern(m, seen + i))
          fail_msg("byte %zu of message %zu is wrong", seen + i, m);
      seen += size;
      at += size + BYN_FRAME_HEADER;
    } while (!last);
    assert_int_equal(seen, sizes[m]);
  }
  assert_int_equal(at, b->len);
}

static void messages_of_all_sizes_leave_in_order(void **state) {
  static const size_t sizes[] = {0,      1,      65535,  65536, 65537, 131072,
                                 131073, 700000, 262144, 3,     0};
  byn_buf all;
  size_t count = sizeof sizes / sizeof *sizes;
  (void)state;
  byn_buf_init(&all, &alloc);
  for (size_t m = 0; m < count; m++)
    put_message(m, sizes[m]);
  drain(&all);
  assert_messages(&all, sizes, count);
  assert_int_equal(byn_outbox_queued(&box), 0);
  byn_buf_free(&all);
}

static void many_small_messages_leave_in_one_view(void **state) {
  size_t sizes[1000];
  byn_buf all;
  (void)state;
  byn_buf_init(&all, &alloc);
  for (size_t m = 0; m < 1000; m++)
    put_message(m, sizes[m] = m % 50);
  assert_int_equal(drain(&all), 1);
  assert_messages(&all, sizes, 1000);
  byn_buf_free(&all);
}

/* All data frames so far, and acknowledges them one by one. */
static void a_frame_stays_until_it_is_acknowledged(void **state) {
  const uint8_t *bytes;
  size_t queued = 0;
  (void)state;
  box.keeps = true;
  for (size_t m = 0; m < 10; m++) {
    put_message(m, m * 30000);
    queued += m * 30000 + BYN_FRAME_HEADER * (1 + (m * 30000) / 65536);
  }
  assert_int_equal(byn_outbox_queued(&box), queued);
  assert_false(byn_outbox_acknowledge(&box, 1));
  while (byn_outbox_take(&box, &bytes) > 0) {}
  assert_int_equal(byn_outbox_waiting(&box), 0);
  assert_int_equal(byn_outbox_queued(&box), queued);
  for (uint64_t n = 0; byn_outbox_queued(&box) > 0; n++) {
    size_t before = byn_outbox_queued(&box);
    assert_true(byn_outbox_acknowledge(&box, n));
    assert_true(byn_outbox_acknowledge(&box, n / 2));
    assert_true(n == 0 || byn_outbox_queued(&box) < before);
  }
  assert_false(byn_outbox_acknowledge(&box, box.acknowledged + 1));
}

static void what_is_not_acknowledged_is_handed_out_again(void **state) {
  const size_t sizes[] = {1000, 70000, 0, 300000, 5};
  const uint8_t *bytes;
  byn_buf all;
  (void)state;
  byn_buf_init(&all, &alloc);
  box.keeps = true;
  for (size_t m = 0; m < 4; m++)
    put_message(m, sizes[m]);
  byn_outbox_take(&box, &bytes);
  assert_true(byn_outbox_acknowledge(&box, 1));
  byn_outbox_rewind(&box);
  put_message(4, sizes[4]);
  byn_put_bytes(&all, "\0\0\3\xe9\6", 5);
  for (size_t i = 0; i < 1000; i++)
    byn_put_u8(&all, pattern(0, i));
  drain(&all);
  assert_messages(&all, sizes, 5);
  assert_true(byn_outbox_acknowledge(&box, 10));
  assert_int_equal(byn_outbox_queued(&box), 0);
  byn_buf_free(&all);
}

static uint64_t number_in(const uint8_t *frame) {
  byn_reader r;
  assert_int_equal(frame[4], BYN_FRAME_HEARTBEAT);
  byn_reader_init(&r, frame + BYN_FRAME_HEADER, 8);
  return byn_get_u64(&r);
}

static void an_acknowledgement_rides_before_a_view(void **state) {
  const uint8_t *bytes;
  (void)state;
  box.keeps = true;
  byn_outbox_receive(&box, 3);
  assert_int_equal(byn_outbox_take(&box, &bytes), 0);
  put_message(0, 10);
  put_message(1, 10);
  byn_outbox_receive(&box, 5);
  assert_int_equal(byn_outbox_take(&box, &bytes), 13 + 15 + 15);
  assert_int_equal(number_in(bytes), 5);
  put_message(2, 10);
  assert_int_equal(byn_outbox_take(&box, &bytes), 15);
  byn_outbox_receive(&box, 6);
  byn_outbox_beat(&box);
  assert_int_equal(byn_outbox_take(&box, &bytes), 13);
  assert_int_equal(number_in(bytes), 6);
  put_message(3, 10);
  assert_int_equal(byn_outbox_take(&box, &bytes), 15);
  assert_true(byn_outbox_acknowledge(&box, 4));
  assert_int_equal(byn_outbox_queued(&box), 0);
}

static void one_that_goes_out_again_says_the_latest(void **state) {
  const uint8_t *bytes;
  (void)state;
  box.keeps = true;
  byn_outbox_receive(&box, 1);
  put_message(0, 10);
  byn_outbox_take(&box, &bytes);
  byn_outbox_receive(&box, 8);
  byn_outbox_rewind(&box);
  assert_int_equal(byn_outbox_take(&box, &bytes), 13 + 15);
  assert_int_equal(number_in(bytes), 8);
}

static void nothing_is_owed_to_one_that_does_not_keep(void **state) {
  const uint8_t *bytes;
  (void)state;
  byn_outbox_receive(&box, 3);
  put_message(0, 10);
  assert_int_equal(byn_outbox_take(&box, &bytes), 15);
  assert_int_equal(byn_outbox_queued(&box), 0);
  byn_outbox_beat(&box);
  assert_int_equal(byn_outbox_take(&box, &bytes), BYN_FRAME_HEADER);
}

static void a_heartbeat_passes_a_large_message(void **state) {
  static const uint8_t beat[] = {0, 0, 0, 1, BYN_FRAME_HEARTBEAT};
  const size_t sizes[] = {1000000};
  const uint8_t *bytes;
  byn_buf all;
  size_t n;
  (void)state;
  byn_buf_init(&all, &alloc);
  put_message(0, sizes[0]);
  n = byn_outbox_take(&box, &bytes);
  byn_put_bytes(&all, bytes, n);
  byn_outbox_beat(&box);
  byn_outbox_beat(&box);
  assert_int_equal(byn_outbox_take(&box, &bytes), sizeof beat);
  assert_memory_equal(bytes, beat, sizeof beat);
  assert_true(byn_outbox_queued(&box) > 700000);
  drain(&all);
  assert_messages(&all, sizes, 1);
  byn_buf_free(&all);
}

static void heartbeats_do_not_starve_what_waits(void **state) {
  const uint8_t *bytes;
  (void)state;
  put_message(0, 10);
  for (size_t i = 0; i < 2; i++) {
    byn_outbox_beat(&box);
    byn_outbox_take(&box, &bytes);
  }
  assert_int_equal(byn_outbox_queued(&box), 0);
  for (size_t i = 0; i < 2; i++) {
    byn_outbox_beat(&box);
    assert_int_equal(byn_outbox_take(&box, &bytes), BYN_FRAME_HEADER);
  }
}

static void a_frame_being_written_is_not_handed_out(void **state) {
  const size_t sizes[] = {3, 4};
  const uint8_t *bytes;
  byn_buf all;
  size_t n;
  (void)state;
  byn_buf_init(&all, &alloc);
  put_message(0, 3);
  byn_outbox_begin(&box, BYN_FRAME_MESSAGE);
  byn_put_u8(&box.bytes, pattern(1, 0));
  n = byn_outbox_take(&box, &bytes);
  assert_int_equal(n, 8);
  byn_put_bytes(&all, bytes, n);
  assert_int_equal(byn_outbox_take(&box, &bytes), 0);
  for (size_t i = 1; i < 4; i++)
    byn_put_u8(&box.bytes, pattern(1, i));
  assert_true(byn_outbox_commit(&box, MAX));
  drain(&all);
  assert_messages(&all, sizes, 2);
  byn_buf_free(&all);
}

static void what_is_not_committed_leaves_no_trace(void **state) {
  const size_t sizes[] = {5};
  byn_buf all, *open;
  (void)state;
  byn_buf_init(&all, &alloc);
  put_message(0, 5);
  byn_put_u32(byn_outbox_begin(&box, BYN_FRAME_MESSAGE), 1);
  byn_outbox_abort(&box);
  open = byn_outbox_begin(&box, BYN_FRAME_MESSAGE);
  byn_put_u32(open, 1);
  assert_false(byn_outbox_commit(&box, 3));
  byn_put_u32(open, 1);
  assert_false(byn_outbox_commit(&box, 100));
  drain(&all);
  assert_messages(&all, sizes, 1);
  byn_buf_free(&all);
}

static void
short_memory_refuses_one_message_and_keeps_the_others(void **state) {
  const size_t sizes[] = {100000, 7};
  byn_buf all;
  (void)state;
  byn_buf_init(&all, &alloc);
  put_message(0, sizes[0]);
  byn_put_space(byn_outbox_begin(&box, BYN_FRAME_MESSAGE), 60000);
  byn_test_fail_nth(&test, 1);
  byn_put_space(&box.bytes, 600000);
  assert_false(byn_outbox_commit(&box, MAX));
  put_message(1, sizes[1]);
  drain(&all);
  assert_messages(&all, sizes, 2);
  byn_buf_free(&all);
}

static void a_cut_that_finds_no_memory_refuses_the_message(void **state) {
  const size_t sizes[] = {7};
  byn_buf all;
  byn_buf *b;
  (void)state;
  byn_buf_init(&all, &alloc);
  b = byn_outbox_begin(&box, BYN_FRAME_MESSAGE);
  byn_put_space(b, 100000);
  byn_put_space(b, b->cap - b->len);
  byn_test_fail_nth(&test, 1);
  assert_false(byn_outbox_commit(&box, MAX));
  put_message(0, sizes[0]);
  drain(&all);
  assert_messages(&all, sizes, 1);
  byn_buf_free(&all);
}

static void take_all(void) {
  const uint8_t *bytes;
  while (byn_outbox_take(&box, &bytes)) {}
}

static void a_large_buffer_is_kept_while_it_is_filled(void **state) {
  size_t kept;
  (void)state;
  put_message(0, 1000000);
  take_all();
  kept = test.live_bytes;
  assert_true(kept >= 1000000);
  put_message(1, 500000);
  take_all();
  assert_int_equal(test.live_bytes, kept);
  put_message(2, 1000);
  take_all();
  assert_int_equal(test.live_bytes, 0);
}

static void a_buffer_that_is_too_large_is_not_kept(void **state) {
  (void)state;
  put_message(0, 9000000);
  take_all();
  assert_int_equal(test.live_bytes, 0);
  byn_put_space(byn_outbox_begin(&box, BYN_FRAME_MESSAGE), 9000000);
  assert_false(byn_outbox_commit(&box, 1000));
  take_all();
  assert_int_equal(test.live_bytes, 0);
}

static void an_outbox_at_rest_takes_no_memory(void **state) {
  size_t with_message;
  (void)state;
  put_message(0, 1000000);
  with_message = test.live_bytes;
  byn_outbox_rest(&box);
  assert_int_equal(test.live_bytes, with_message);
  take_all();
  byn_outbox_rest(&box);
  assert_int_equal(test.live_bytes, 0);
  put_message(1, 10);
  assert_int_equal(byn_outbox_waiting(&box), 15);
}

/* What a connection has not acknowledged does not make the buffer grow beyond
 * twice what is kept, however much has passed through it. */
static void a_queue_that_moves_on_does_not_grow(void **state) {
  static const size_t sizes[] = {30000, 65536, 65536 * 16};
  (void)state;
  for (size_t i = 0; i < 3; i++) {
    size_t most = 0, parts = (sizes[i] - 1) / BYN_FRAGMENT_SIZE + 1;
    byn_outbox_free(&box);
    byn_outbox_init(&box, &alloc);
    box.keeps = true;
    for (size_t m = 0; m < 200; m++) {
      put_message(m, sizes[i]);
      take_all();
      if (m >= 10) assert_true(byn_outbox_acknowledge(&box, (m - 9) * parts));
      if (test.live_bytes > most) most = test.live_bytes;
    }
    assert_true(most <= 2 * 2 * (10 + 1) * (sizes[i] + 100));
  }
}

static void clearing_keeps_only_what_was_handed_out(void **state) {
  const uint8_t *bytes;
  (void)state;
  put_message(0, 10);
  assert_int_equal(byn_outbox_take(&box, &bytes), 15);
  put_message(1, 10);
  byn_outbox_beat(&box);
  byn_outbox_clear(&box);
  assert_int_equal(byn_outbox_queued(&box), 0);
  assert_int_equal(byn_outbox_take(&box, &bytes), 0);
  put_message(2, 4);
  assert_int_equal(byn_outbox_take(&box, &bytes), 9);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(messages_of_all_sizes_leave_in_order),
      TEST(many_small_messages_leave_in_one_view),
      TEST(a_frame_stays_until_it_is_acknowledged),
      TEST(what_is_not_acknowledged_is_handed_out_again),
      TEST(an_acknowledgement_rides_before_a_view),
      TEST(one_that_goes_out_again_says_the_latest),
      TEST(nothing_is_owed_to_one_that_does_not_keep),
      TEST(a_heartbeat_passes_a_large_message),
      TEST(heartbeats_do_not_starve_what_waits),
      TEST(a_frame_being_written_is_not_handed_out),
      TEST(what_is_not_committed_leaves_no_trace),
      TEST(short_memory_refuses_one_message_and_keeps_the_others),
      TEST(a_cut_that_finds_no_memory_refuses_the_message),
      TEST(a_large_buffer_is_kept_while_it_is_filled),
      TEST(a_buffer_that_is_too_large_is_not_kept),
      TEST(an_outbox_at_rest_takes_no_memory),
      TEST(a_queue_that_moves_on_does_not_grow),
      TEST(clearing_keeps_only_what_was_handed_out),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
