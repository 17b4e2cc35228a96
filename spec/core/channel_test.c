/* The control channel of a peer: frames among other bytes. */
#include "support.h"

#include "../../csrc/core/wire/channel.h"

static uint8_t token[BYN_TOKEN_SIZE];
static byn_test_alloc test;
static byn_alloc alloc;
static byn_channel dialer, acceptor;

/* What a channel told, as text: "noise:..|open|data:..|". */
static char told[4096];

static void make(byn_channel *c, bool dials, const byn_alloc *with) {
  uint8_t nonce[BYN_NONCE_SIZE];
  memset(nonce, dials ? 1 : 2, sizeof nonce);
  assert_true(byn_channel_init(c, with, dials, token, nonce, dials ? 1 : 0));
}

static int set_up(void **state) {
  (void)state;
  memset(token, 7, sizeof token);
  test = (byn_test_alloc){0};
  alloc = byn_test_allocator(&test);
  make(&dialer, true, &alloc);
  make(&acceptor, false, &alloc);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  byn_channel_free(&dialer);
  byn_channel_free(&acceptor);
  byn_test_assert_clean(&test);
  return 0;
}

static void note(const char *what, const uint8_t *bytes, size_t n) {
  size_t at = strlen(told);
  assert_true(at + strlen(what) + n + 2 < sizeof told);
  memcpy(told + at, what, strlen(what));
  at += strlen(what);
  for (size_t i = 0; i < n; i++)
    told[at++] = bytes[i] ? (char)bytes[i] : '0';
  told[at++] = '|';
  told[at] = 0;
}

static const char *tell(byn_channel *c) {
  const uint8_t *bytes;
  size_t n;
  told[0] = 0;
  for (;;) {
    switch (byn_channel_next(c, &bytes, &n)) {
    case BYN_CHANNEL_NONE:
      return told;
    case BYN_CHANNEL_NOISE:
      note("noise:", bytes, n);
      break;
    case BYN_CHANNEL_IS_OPEN:
      note("open", NULL, 0);
      break;
    case BYN_CHANNEL_GOT_DATA:
      note("data:", bytes, n);
      break;
    case BYN_CHANNEL_GOT_OUTPUT:
      note("output:", bytes, n);
      break;
    case BYN_CHANNEL_ENDED:
      note(c->reason, NULL, 0);
      break;
    }
  }
}

/* All that `from` has to say goes to `to`. */
static void carry(byn_channel *from, byn_channel *to) {
  byn_channel_feed(to, from->out.data, from->out.len);
  byn_buf_truncate(&from->out, 0);
}

static void open_both(void) {
  carry(&dialer, &acceptor);
  assert_string_equal(tell(&acceptor), "");
  carry(&acceptor, &dialer);
  assert_string_equal(tell(&dialer), "");
  carry(&dialer, &acceptor);
  assert_string_equal(tell(&acceptor), "open|");
  carry(&acceptor, &dialer);
  assert_string_equal(tell(&dialer), "open|");
}

static void put(byn_channel *c, const char *text) {
  assert_true(byn_channel_put(c, text, strlen(text)));
}

static void both_ends_open_and_speak(void **state) {
  (void)state;
  assert_false(byn_channel_put(&dialer, "x", 1));
  open_both();
  assert_int_equal(acceptor.shake.peer_traits, 1);
  put(&dialer, "hello");
  put(&dialer, "");
  carry(&dialer, &acceptor);
  assert_string_equal(tell(&acceptor), "data:hello|data:|");
  put(&acceptor, "you");
  carry(&acceptor, &dialer);
  assert_string_equal(tell(&dialer), "data:you|");
}

static void bytes_may_come_one_by_one(void **state) {
  (void)state;
  open_both();
  put(&dialer, "hello");
  for (size_t i = 0; i < dialer.out.len; i++) {
    byn_channel_feed(&acceptor, dialer.out.data + i, 1);
    assert_string_equal(tell(&acceptor),
                        i + 1 < dialer.out.len ? "" : "data:hello|");
  }
}

static void noise_before_the_first_frame_is_told_at_once(void **state) {
  (void)state;
  byn_channel_feed(&acceptor, "motd\n", 5);
  assert_string_equal(tell(&acceptor), "noise:motd\n|");
  open_both();
}

static void a_part_of_a_mark_is_noise_once_it_is_none(void **state) {
  (void)state;
  byn_channel_feed(&acceptor, acceptor.rx.mark, 3);
  assert_string_equal(tell(&acceptor), "");
  byn_channel_feed(&acceptor, acceptor.rx.mark, 3);
  assert_int_equal(strlen(tell(&acceptor)), strlen("noise:|") + 3);
  byn_channel_finish(&acceptor);
  assert_int_equal(strlen(tell(&acceptor)), strlen("noise:|") + 3);
}

static void noise_between_frames_keeps_its_place(void **state) {
  (void)state;
  open_both();
  put(&dialer, "a");
  carry(&dialer, &acceptor);
  byn_channel_feed(&acceptor, "in between", 10);
  assert_string_equal(tell(&acceptor), "data:a|");
  put(&dialer, "b");
  carry(&dialer, &acceptor);
  assert_string_equal(tell(&acceptor), "noise:in between|data:b|");
  byn_channel_feed(&acceptor, "behind", 6);
  assert_string_equal(tell(&acceptor), "");
  byn_channel_finish(&acceptor);
  assert_string_equal(tell(&acceptor), "noise:behind|");
}

static void much_noise_waits_for_nothing(void **state) {
  (void)state;
  static char much[BYN_CHANNEL_HELD + 2];
  const uint8_t *bytes;
  size_t n;
  open_both();
  memset(much, 'x', sizeof much);
  byn_channel_feed(&acceptor, much, sizeof much);
  assert_int_equal(byn_channel_next(&acceptor, &bytes, &n), BYN_CHANNEL_NOISE);
  assert_int_equal(n, sizeof much);
}

/* Each byte of a frame in turn is damaged: the frame is gone, nothing of it is
 * noise, and the next one is there. */
static void a_damaged_frame_is_skipped(void **state) {
  (void)state;
  open_both();
  size_t size = BYN_CHANNEL_HEAD + 4 + BYN_CHANNEL_TAG;
  for (size_t i = 0; i < size; i++) {
    put(&dialer, "lost");
    assert_int_equal(dialer.out.len, size);
    dialer.out.data[i] ^= 0x20;
    put(&dialer, "next");
    carry(&dialer, &acceptor);
    assert_string_equal(tell(&acceptor), "data:next|");
  }
}

/* Bytes are gone, or too many: what follows is found again. */
static void a_frame_cut_short_costs_no_other(void **state) {
  (void)state;
  open_both();
  size_t size = BYN_CHANNEL_HEAD + 4 + BYN_CHANNEL_TAG;
  for (size_t keep = 0; keep < size; keep++) {
    put(&dialer, "lost");
    byn_buf_truncate(&dialer.out, keep);
    put(&dialer, "next");
    put(&dialer, "more");
    carry(&dialer, &acceptor);
    assert_string_equal(tell(&acceptor), "data:next|data:more|");
  }
}

static void the_end_within_a_frame_is_no_noise(void **state) {
  (void)state;
  open_both();
  put(&dialer, "lost");
  byn_buf_truncate(&dialer.out, 40);
  carry(&dialer, &acceptor);
  byn_channel_finish(&acceptor);
  assert_string_equal(tell(&acceptor), "");
}

static void the_end_hides_no_frame(void **state) {
  (void)state;
  open_both();
  put(&dialer, "a long one that is cut short, and would have more to say than "
               "what is behind it");
  byn_buf_truncate(&dialer.out, 40);
  put(&dialer, "whole");
  carry(&dialer, &acceptor);
  assert_string_equal(tell(&acceptor), "");
  byn_channel_finish(&acceptor);
  assert_string_equal(tell(&acceptor), "data:whole|");
}

static void a_frame_that_is_played_back_means_nothing(void **state) {
  (void)state;
  uint8_t copy[100];
  open_both();
  put(&dialer, "once");
  size_t n = dialer.out.len;
  memcpy(copy, dialer.out.data, n);
  carry(&dialer, &acceptor);
  assert_string_equal(tell(&acceptor), "data:once|");
  byn_channel_feed(&acceptor, copy, n);
  put(&dialer, "next");
  carry(&dialer, &acceptor);
  assert_null(strstr(tell(&acceptor), "data:once"));
  assert_non_null(strstr(told, "data:next|"));
}

static void what_goes_out_is_not_taken_for_what_comes_in(void **state) {
  (void)state;
  open_both();
  put(&dialer, "mine");
  byn_channel_feed(&dialer, dialer.out.data, dialer.out.len);
  assert_null(strstr(tell(&dialer), "data:"));
}

static void nothing_is_open_without_the_token(void **state) {
  (void)state;
  byn_channel stranger;
  uint8_t saved = token[0];
  token[0] ^= 1;
  make(&stranger, true, &alloc);
  token[0] = saved;
  carry(&stranger, &acceptor);
  assert_true(strncmp(tell(&acceptor), "noise:", 6) == 0);
  assert_int_equal(acceptor.out.len, 0);
  byn_channel_free(&stranger);
}

/* Who knows what frames look like, and no more, is no dialer. */
static void the_handshake_decides(void **state) {
  (void)state;
  byn_channel other;
  make(&other, true, &alloc);
  byn_channel_free(&other);
  uint8_t nonce[BYN_NONCE_SIZE] = {3}, wrong[] = "another secret";
  assert_true(byn_handshake_init(&dialer.shake, "peer", 1, "origin", nonce,
                                 wrong, sizeof wrong));
  byn_buf hello;
  byn_buf_init(&hello, &alloc);
  byn_put_u8(&hello, BYN_FRAME_HELLO);
  byn_handshake_put_hello(&dialer.shake, &hello);
  byn_buf_truncate(&dialer.out, 0);
  byn_seal_put(&dialer.tx, BYN_CHANNEL_SHAKE, hello.data, hello.len,
               &dialer.out);
  byn_buf_free(&hello);
  carry(&dialer, &acceptor);
  assert_string_equal(tell(&acceptor), "");
  carry(&acceptor, &dialer);
  assert_string_equal(tell(&dialer), "");
  carry(&dialer, &acceptor);
  assert_string_equal(tell(&acceptor), "bad_secret|");
  assert_false(byn_channel_put(&acceptor, "x", 1));
}

static void a_seal_can_be_handed_on(void **state) {
  (void)state;
  open_both();
  byn_seal mine = dialer.tx;
  byn_buf out;
  byn_buf_init(&out, &alloc);
  byn_seal_put(&mine, BYN_CHANNEL_OUTPUT, "printed", 7, &out);
  byn_seal_put(&mine, BYN_CHANNEL_DATA, "said", 4, &out);
  byn_channel_feed(&acceptor, out.data, out.len);
  assert_string_equal(tell(&acceptor), "output:printed|data:said|");
  byn_buf_free(&out);
}

static void short_of_memory(const byn_alloc *with, void *arg) {
  (void)arg;
  uint8_t nonce[BYN_NONCE_SIZE] = {0};
  byn_channel d, a;
  if (!byn_channel_init(&d, with, true, token, nonce, 0)) return;
  if (byn_channel_init(&a, with, false, token, nonce, 0)) {
    for (int i = 0; i < 4; i++) {
      carry(&d, &a);
      tell(&a);
      carry(&a, &d);
      tell(&d);
    }
    if (d.open && a.open) {
      byn_channel_feed(&a, "noise", 5);
      (void)byn_channel_put(&d, "text", 4);
      carry(&d, &a);
      tell(&a);
    }
    byn_channel_free(&a);
  }
  byn_channel_free(&d);
}

static void it_survives_want_of_memory(void **state) {
  (void)state;
  assert_true(byn_test_each_failure(short_of_memory, NULL) > 5);
}

static void a_put_that_finds_no_memory_takes_no_number(void **state) {
  (void)state;
  open_both();
  byn_buf_free(&dialer.out);
  uint64_t number = dialer.tx.number;
  byn_test_fail_nth(&test, 1);
  assert_false(byn_channel_put(&dialer, "lost", 4));
  assert_int_equal(dialer.tx.number, number);
  byn_channel_feed(&acceptor, "noise", 5);
  put(&dialer, "next");
  carry(&dialer, &acceptor);
  assert_string_equal(tell(&acceptor), "noise:noise|data:next|");
}

static void a_dialer_begins_with_its_mark(void **state) {
  uint8_t mark[BYN_CHANNEL_MARK];
  (void)state;
  byn_channel_mark(token, mark);
  assert_memory_equal(dialer.out.data, mark, sizeof mark);
  token[0] ^= 1;
  byn_channel_mark(token, mark);
  assert_memory_not_equal(dialer.out.data, mark, sizeof mark);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(both_ends_open_and_speak),
      TEST(a_dialer_begins_with_its_mark),
      TEST(bytes_may_come_one_by_one),
      TEST(noise_before_the_first_frame_is_told_at_once),
      TEST(a_part_of_a_mark_is_noise_once_it_is_none),
      TEST(noise_between_frames_keeps_its_place),
      TEST(much_noise_waits_for_nothing),
      TEST(a_damaged_frame_is_skipped),
      TEST(a_frame_cut_short_costs_no_other),
      TEST(the_end_within_a_frame_is_no_noise),
      TEST(the_end_hides_no_frame),
      TEST(a_frame_that_is_played_back_means_nothing),
      TEST(what_goes_out_is_not_taken_for_what_comes_in),
      TEST(nothing_is_open_without_the_token),
      TEST(the_handshake_decides),
      TEST(a_seal_can_be_handed_on),
      TEST(a_put_that_finds_no_memory_takes_no_number),
      TEST(it_survives_want_of_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
