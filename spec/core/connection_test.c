/* The connection: two of them talk, and one of them meets the world. */
#include "connection_rig.h"

#include "../../csrc/core/wire/frame.h"
#include "../../csrc/core/wire/handshake.h"
#include "../../csrc/core/wire/outbox.h"

static rig r;

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

static void open_up(void) {
  assert_true(rig_open(&r, "b@host:2"));
  rig_pump(&r);
  rig_assert_up(&r);
}

/* A whole frame to `e`, as its peer might send it. */
static void feed_frame(rig_end *e, int type, const void *payload, size_t n) {
  byn_buf frame;
  byn_buf_init(&frame, &r.plain);
  byn_frame_header(byn_put_space(&frame, BYN_FRAME_HEADER),
                   (byn_frame_type)type, n);
  byn_put_bytes(&frame, payload, n);
  rig_feed(&r, e, frame.data, frame.len);
  byn_buf_free(&frame);
}

static void two_ends_come_up_and_know_each_other(void **state) {
  (void)state;
  open_up();
  assert_string_equal(r.a.name, "b@host:2");
  assert_int_equal(r.a.incarnation, 22);
  assert_int_equal(r.a.traits, 22 << 4 & 255);
  assert_string_equal(r.b.name, "a@host:1");
  assert_int_equal(r.b.incarnation, 11);
  assert_int_equal(r.b.traits, 11 << 4 & 255);
  assert_int_equal(r.b.admits, 1);
  assert_int_equal(r.a.admits, 0);
}

static void messages_come_whole_and_in_order_however_cut(void **state) {
  static const size_t sizes[] = {0,     1,      5,      65536, 65537,
                                 10,    200000, 131072, 3,     1000000,
                                 65535, 0,      70000,  8};
  static const size_t chunks[] = {1, 3, 64, 4096, 65541, 300000};
  const size_t count = sizeof sizes / sizeof *sizes;
  (void)state;
  for (size_t c = 0; c < sizeof chunks / sizeof *chunks; c++) {
    r.chunk = chunks[c];
    open_up();
    for (size_t i = 0; i < count; i++) {
      assert_true(rig_send(&r.a, sizes[i]));
      assert_true(rig_send(&r.b, sizes[count - 1 - i]));
      if (i % 3 == 0) rig_pump(&r);
    }
    rig_pump(&r);
    assert_int_equal(r.b.messages, count);
    assert_int_equal(r.a.messages, count);
    for (size_t i = 0; i < count; i++) {
      assert_int_equal(r.b.sizes[i], sizes[i]);
      assert_int_equal(r.a.sizes[i], sizes[count - 1 - i]);
    }
    rig_assert_up(&r);
    rig_close(&r);
    rig_init(&r, c);
  }
}

static void a_heartbeat_passes_a_large_message(void **state) {
  (void)state;
  open_up();
  rig_send(&r.a, 2000000);
  assert_true(rig_output(&r.a, &r.b.inbox));
  r.now += 1000;
  byn_connection_tick(r.a.link, r.now);
  r.b.inbox.len = 0; /* only the heartbeat is looked at */
  assert_true(rig_output(&r.a, &r.b.inbox));
  assert_int_equal(r.b.inbox.len, BYN_ACKNOWLEDGEMENT_SIZE);
  assert_int_equal(r.b.inbox.data[4], BYN_FRAME_HEARTBEAT);
  r.b.inbox.len = 0;
}

static void a_message_with_a_heartbeat_inside_comes_whole(void **state) {
  size_t turns = 0;
  (void)state;
  open_up();
  rig_send(&r.a, 2000000);
  rig_send(&r.a, 5);
  for (; r.b.messages < 2; turns++) {
    r.now += 1000;
    byn_connection_tick(r.a.link, r.now);
    byn_connection_tick(r.b.link, r.now);
    rig_output(&r.a, &r.b.inbox);
    rig_output(&r.b, &r.a.inbox);
    rig_deliver(&r, &r.a);
    rig_deliver(&r, &r.b);
    rig_assert_up(&r);
    assert_true(turns < 100);
  }
  assert_true(turns > 2000000 / BYN_VIEW_MAX + 5); /* heartbeats took some */
  assert_int_equal(r.b.sizes[0], 2000000);
  assert_int_equal(r.b.sizes[1], 5);
}

/* Walks both links from deadline to deadline. */
static void run_until(int64_t end) {
  for (;;) {
    int64_t a = byn_connection_deadline(r.a.link),
            b = byn_connection_deadline(r.b.link);
    int64_t next = a < b ? a : b;
    if (next > end) return;
    assert_true(next > r.now || r.now == next);
    r.now = next;
    byn_connection_tick(r.a.link, r.now);
    byn_connection_tick(r.b.link, r.now);
    rig_pump(&r);
  }
}

static void an_idle_pair_stays_up_on_heartbeats(void **state) {
  (void)state;
  open_up();
  run_until(r.now + 3600 * 1000);
  rig_assert_up(&r);
}

static void heartbeats_are_sent_only_when_nothing_else_is(void **state) {
  const uint8_t *bytes;
  (void)state;
  open_up();
  r.now += 900;
  byn_connection_tick(r.a.link, r.now);
  rig_send(&r.a, 5);
  rig_pump(&r);
  r.now += 900;
  byn_connection_tick(r.a.link, r.now);
  assert_int_equal(byn_connection_output(r.a.link, &bytes), 0);
  assert_int_equal(byn_connection_deadline(r.a.link), r.now + 100);
  r.now += 100;
  byn_connection_tick(r.a.link, r.now);
  assert_int_equal(byn_connection_output(r.a.link, &bytes),
                   BYN_ACKNOWLEDGEMENT_SIZE);
}

static void a_link_with_one_quiet_end_has_no_deadline(void **state) {
  (void)state;
  for (int end = 0; end < 2; end++) {
    rig_init(&r, 1);
    (end ? &r.dialer_config : &r.acceptor_config)->traits = BYN_TRAIT_QUIET;
    open_up();
    r.now += 3600 * 1000;
    rig_send(&r.a, 5);
    byn_connection_tick(r.a.link, r.now);
    byn_connection_tick(r.b.link, r.now);
    rig_pump(&r);
    rig_assert_up(&r);
    assert_int_equal(r.b.messages, 1);
    assert_true(byn_connection_deadline(r.a.link) == BYN_NEVER);
    assert_true(byn_connection_deadline(r.b.link) == BYN_NEVER);
    if (end == 0) rig_close(&r);
  }
}

static void a_wrong_secret_of_the_dialer_is_told_to_both(void **state) {
  (void)state;
  r.dialer_config.secret = (const uint8_t *)"another secret entirely";
  assert_true(rig_open(&r, "b@host:2"));
  rig_pump(&r);
  rig_assert_down(&r.a, "bad_secret");
  rig_assert_down(&r.b, "bad_secret");
  assert_int_equal(r.a.ups + r.b.ups + r.b.admits, 0);
}

/* An acceptor that skips the judging: it says WELCOME to anyone. */
static void a_welcome_without_the_secret_is_not_believed(void **state) {
  uint8_t zeros[32] = {0};
  (void)state;
  assert_true(rig_open(&r, "b@host:2"));
  rig_output(&r.a, &r.b.inbox);
  rig_deliver(&r, &r.b);
  rig_output(&r.b, &r.a.inbox);
  rig_deliver(&r, &r.a);
  feed_frame(&r.a, BYN_FRAME_WELCOME, zeros, sizeof zeros);
  rig_assert_down(&r.a, "bad_secret");
  assert_int_equal(r.a.ups, 0);
}

/* The attacker has no secret: it plays each end's own bytes back to it. */
static void bytes_played_back_open_nothing(void **state) {
  byn_buf back;
  (void)state;
  byn_buf_init(&back, &r.plain);
  assert_true(rig_open(&r, "b@host:2"));
  while (rig_output(&r.a, &back)) {
    rig_feed(&r, &r.a, back.data, back.len);
    byn_buf_truncate(&back, 0);
  }
  rig_assert_down(&r.a, "bad_frame");
  assert_int_equal(r.a.ups, 0);
  byn_buf_free(&back);
}

/* A dials B, and the attacker leads A's bytes to A's own front door. */
static void a_dialer_led_to_itself_sees_the_wrong_name(void **state) {
  (void)state;
  r.acceptor_config = rig_config(&r, "a@host:1", 11);
  assert_true(rig_open(&r, "b@host:2"));
  rig_pump(&r);
  rig_assert_down(&r.a, "wrong_name");
  assert_int_equal(r.a.ups + r.b.ups + r.b.admits, 0);
}

/* A whole handshake is recorded and played to a fresh acceptor. */
static void a_recorded_dialer_is_refused(void **state) {
  byn_buf record;
  (void)state;
  byn_buf_init(&record, &r.plain);
  assert_true(rig_open(&r, "b@host:2"));
  while (r.b.ups == 0) {
    rig_output(&r.a, &r.b.inbox);
    byn_put_bytes(&record, r.b.inbox.data, r.b.inbox.len);
    rig_deliver(&r, &r.b);
    rig_output(&r.b, &r.a.inbox);
    rig_deliver(&r, &r.a);
  }
  rig_close(&r);
  rig_init(&r, 43);
  assert_true(rig_open(&r, "b@host:2"));
  rig_feed(&r, &r.b, record.data, record.len);
  rig_assert_down(&r.b, "bad_secret");
  assert_int_equal(r.b.admits, 0);
  byn_buf_free(&record);
}

static void the_owner_may_refuse_a_proven_peer(void **state) {
  (void)state;
  r.refusal = "already_connected";
  assert_true(rig_open(&r, "b@host:2"));
  rig_pump(&r);
  rig_assert_down(&r.a, "already_connected");
  assert_true(r.a.final);
  assert_true(byn_connection_is_ended(r.b.link));
  assert_int_equal(r.b.downs, 0);
  assert_int_equal(r.b.admits, 1);
  assert_int_equal(r.a.ups + r.b.ups, 0);
}

static void another_version_is_told_to_both(void **state) {
  (void)state;
  assert_true(rig_open(&r, "b@host:2"));
  rig_output(&r.a, &r.b.inbox);
  r.b.inbox.data[BYN_FRAME_HEADER + 4] = 2;
  rig_deliver(&r, &r.b);
  rig_pump(&r);
  rig_assert_down(&r.b, "bad_version");
  rig_assert_down(&r.a, "bad_version");
}

static void a_refusal_by_a_stranger_is_only_a_refusal(void **state) {
  (void)state;
  assert_true(rig_open(&r, "b@host:2"));
  feed_frame(&r.a, BYN_FRAME_REFUSE,
             "\x11"
             "already_connected",
             18);
  rig_assert_down(&r.a, "refused");
}

static void a_handshake_has_a_deadline(void **state) {
  (void)state;
  assert_true(rig_open(&r, "b@host:2"));
  assert_int_equal(byn_connection_deadline(r.b.link), r.now + 3000);
  rig_feed(&r, &r.b, "\0\0\0", 3);
  byn_connection_tick(r.b.link, r.now + 2999);
  rig_events(&r, &r.b);
  assert_int_equal(r.b.downs, 0);
  byn_connection_tick(r.b.link, r.now + 3000);
  rig_events(&r, &r.b);
  rig_assert_down(&r.b, "handshake_timeout");
}

/* What came meanwhile waits to be read: it is not the peer that was slow. */
static void a_handshake_has_all_its_time_after_a_gap(void **state) {
  (void)state;
  assert_true(rig_open(&r, "b@host:2"));
  rig_feed(&r, &r.b, "\0\0\0", 3);
  byn_connection_after_gap(r.b.link, r.now + 12000);
  byn_connection_tick(r.b.link, r.now + 12000 + 2999);
  rig_events(&r, &r.b);
  assert_int_equal(r.b.downs, 0);
  assert_int_equal(byn_connection_deadline(r.b.link), r.now + 12000 + 3000);
  byn_connection_tick(r.b.link, r.now + 12000 + 3000);
  rig_events(&r, &r.b);
  rig_assert_down(&r.b, "handshake_timeout");
  byn_connection_after_gap(r.b.link, r.now + 30000);
  assert_true(byn_connection_is_ended(r.b.link));
}

static void a_dialer_whose_transport_never_opens_gives_up(void **state) {
  uint8_t nonce[BYN_NONCE_SIZE] = {0};
  (void)state;
  r.a.link = byn_connection_dial(&r.dialer_config, "b@host:2", nonce, &r.resume,
                                 r.now);
  byn_connection_tick(r.a.link, byn_connection_deadline(r.a.link));
  rig_events(&r, &r.a);
  rig_assert_down(&r.a, "handshake_timeout");
}

static void an_empty_secret_or_a_bad_name_makes_no_link(void **state) {
  uint8_t nonce[BYN_NONCE_SIZE] = {0};
  (void)state;
  assert_null(
      byn_connection_dial(&r.dialer_config, "b c", nonce, &r.resume, r.now));
  r.acceptor_config.secret_len = 0;
  assert_null(byn_connection_accept(&r.acceptor_config, nonce, r.now));
}

/* Frames of every type, known or not, at a state that does not await them. */
static void a_frame_out_of_turn_is_bad(void **state) {
  (void)state;
  for (int type = 0; type < 256; type++)
    for (int who = 0; who < 3; who++) {
      rig_end *e = who == 0 ? &r.a : &r.b;
      bool awaited;
      rig_close(&r);
      rig_init(&r, 7);
      assert_true(rig_open(&r, "b@host:2"));
      if (who == 2) rig_pump(&r);
      awaited = who == 0   ? type == BYN_FRAME_CHALLENGE
                : who == 1 ? type == BYN_FRAME_HELLO
                           : false;
      if (who == 0 && type == BYN_FRAME_REFUSE) continue;
      if (who == 2 && type >= BYN_FRAME_MESSAGE && type <= BYN_FRAME_ANSWER)
        continue;
      feed_frame(e, type, "x", awaited ? 1 : 0);
      assert_int_equal(e->downs, 1);
      /* A lone byte for CHALLENGE or HELLO is no better. */
      assert_string_equal(e->reason, "bad_frame");
    }
}

static void empty_fragments_and_full_heartbeats_are_bad(void **state) {
  (void)state;
  open_up();
  feed_frame(&r.a, BYN_FRAME_FRAGMENT, "", 0);
  rig_assert_down(&r.a, "bad_frame");
  feed_frame(&r.b, BYN_FRAME_HEARTBEAT, "x", 1);
  rig_assert_down(&r.b, "bad_frame");
}

static void questions_and_answers_cut_short_or_too_long_are_bad(void **s) {
  static const char *const ask = "12345678"
                                 "87654321"
                                 "t"
                                 "\x01"
                                 "h"
                                 "x";
  (void)s;
  for (size_t n = 0; n <= 20; n++)
    for (int type = BYN_FRAME_ASK; type <= BYN_FRAME_ANSWER; type++) {
      bool fine = n == (type == BYN_FRAME_ASK ? 19u : 8u);
      rig_close(&r);
      rig_init(&r, 7);
      open_up();
      feed_frame(&r.a, (byn_frame_type)type, ask, n);
      assert_int_equal(r.a.downs, !fine);
      if (!fine) assert_string_equal(r.a.reason, "bad_frame");
    }
}

/* It ends in a log. */
static void an_address_is_made_printable_and_cut(void **state) {
  char payload[8 + 8 + 1 + 1 + 100];
  (void)state;
  open_up();
  memset(payload, 'h', sizeof payload);
  payload[17] = 100;
  payload[18] = '\n';
  feed_frame(&r.a, BYN_FRAME_ASK, payload, sizeof payload);
  assert_int_equal(r.a.asked, 1);
  assert_int_equal(strlen(r.a.question.address), BYN_ADDRESS_MAX);
  assert_int_equal(r.a.question.address[0], '?');
  rig_pump(&r);
  assert_true(r.b.answered == r.a.question.number);
}

static void a_stranger_may_not_send_a_large_frame(void **state) {
  (void)state;
  assert_true(rig_open(&r, "b@host:2"));
  rig_feed(&r, &r.b, "\0\0\2\x5a\1", 5);
  rig_assert_down(&r.b, "frame_too_large");
  assert_int_equal(byn_connection_queued(r.b.link), 0);
}

static void a_peer_may_not_send_a_frame_past_the_limit(void **state) {
  (void)state;
  open_up();
  rig_feed(&r, &r.b, "\0\1\0\2\6", 5);
  rig_assert_down(&r.b, "frame_too_large");
  rig_pump(&r);
  rig_assert_down(&r.a, "frame_too_large");
}

static void a_goodbye_carries_its_reason_behind_the_messages(void **state) {
  (void)state;
  open_up();
  rig_send(&r.a, 10);
  rig_send(&r.a, 100000);
  byn_connection_goodbye(r.a.link, "shutdown");
  rig_events(&r, &r.a);
  assert_int_equal(r.a.downs, 0);
  assert_true(byn_connection_is_ended(r.a.link));
  rig_pump(&r);
  assert_int_equal(r.b.messages, 2);
  rig_assert_down(&r.b, "shutdown");
  assert_int_equal(byn_connection_queued(r.a.link), 0);
}

static void reasons_are_short_and_printable(void **state) {
  char longest[200];
  (void)state;
  memset(longest, 'x', sizeof longest);
  longest[199] = '\0';
  longest[1] = '\n';
  open_up();
  byn_connection_goodbye(r.a.link, longest);
  rig_pump(&r);
  assert_int_equal(strlen(r.b.reason), BYN_REASON_MAX);
  assert_int_equal(r.b.reason[1], '?');
}

static void an_unreadable_goodbye_is_an_end_too(void **state) {
  (void)state;
  open_up();
  feed_frame(&r.a, BYN_FRAME_GOODBYE,
             "\x50"
             "abc",
             4);
  rig_assert_down(&r.a, "closed");
  feed_frame(&r.b, BYN_FRAME_GOODBYE, "\3a\x80\x1b", 4);
  rig_assert_down(&r.b, "a??");
}

static void messages_before_an_end_in_the_same_chunk_are_told(void **state) {
  byn_buf chunk;
  (void)state;
  byn_buf_init(&chunk, &r.plain);
  open_up();
  rig_send(&r.a, 10);
  rig_send(&r.a, 20);
  rig_output(&r.a, &chunk);
  byn_put_bytes(&chunk, "\0\0\0\0\0", 5);
  byn_connection_feed(r.b.link, chunk.data, chunk.len, r.now);
  byn_connection_closed(r.b.link, "closed");
  rig_events(&r, &r.b);
  assert_int_equal(r.b.messages, 2);
  rig_assert_down(&r.b, "bad_frame");
  byn_buf_free(&chunk);
}

static void a_transport_that_closes_lets_what_came_be_read(void **state) {
  byn_buf chunk;
  (void)state;
  byn_buf_init(&chunk, &r.plain);
  open_up();
  rig_send(&r.a, 10);
  rig_send(&r.a, 20);
  rig_output(&r.a, &chunk);
  byn_connection_feed(r.b.link, chunk.data, chunk.len - 1, r.now);
  byn_connection_closed(r.b.link, "ECONNRESET");
  rig_events(&r, &r.b);
  assert_int_equal(r.b.messages, 1);
  rig_assert_down(&r.b, "ECONNRESET");
  byn_buf_free(&chunk);
}

static void feeding_before_reading_is_an_end_not_a_gap(void **state) {
  byn_buf chunk;
  (void)state;
  byn_buf_init(&chunk, &r.plain);
  open_up();
  rig_send(&r.a, 10);
  rig_output(&r.a, &chunk);
  byn_connection_feed(r.b.link, chunk.data, chunk.len, r.now);
  byn_connection_feed(r.b.link, chunk.data, chunk.len, r.now);
  rig_events(&r, &r.b);
  assert_int_equal(r.b.messages, 0);
  rig_assert_down(&r.b, "unread");
  byn_buf_free(&chunk);
}

static void garbage_at_any_state_does_no_harm(void **state) {
  uint8_t garbage[300];
  (void)state;
  for (uint64_t seed = 0; seed < byn_test_plays(3000); seed++) {
    uint64_t stop;
    rig_end *e;
    rig_close(&r);
    rig_init(&r, seed);
    stop = byn_rng_below(&r.rng, 4);
    e = byn_rng_below(&r.rng, 2) ? &r.a : &r.b;
    assert_true(rig_open(&r, "b@host:2"));
    for (uint64_t i = 0; i < stop; i++) {
      rig_output(&r.a, &r.b.inbox);
      rig_deliver(&r, &r.b);
      rig_output(&r.b, &r.a.inbox);
      rig_deliver(&r, &r.a);
    }
    for (size_t i = 0; i < sizeof garbage; i++)
      garbage[i] =
          (uint8_t)(byn_rng_below(&r.rng, 3) ? 0 : byn_rng_next(&r.rng));
    if (e->ups) continue; /* there, garbage may be messages */
    rig_feed(&r, e, garbage, sizeof garbage);
    rig_pump(&r);
    assert_int_equal(e->ups, 0);
  }
}

/* One bit of the handshake changes on its way: whoever reads it does not
 * come up. */
static void
any_changed_bit_of_the_handshake_keeps_its_reader_down(void **state) {
  size_t judged = 0;
  (void)state;
  for (size_t turn = 0; turn < 4; turn++)
    for (size_t bit = 0;; bit++) {
      rig_end *from = turn % 2 ? &r.b : &r.a, *to = turn % 2 ? &r.a : &r.b;
      rig_close(&r);
      rig_init(&r, 5);
      assert_true(rig_open(&r, "b@host:2"));
      for (size_t i = 0; i < turn; i++) {
        rig_output(i % 2 ? &r.b : &r.a, i % 2 ? &r.a.inbox : &r.b.inbox);
        rig_deliver(&r, i % 2 ? &r.a : &r.b);
      }
      rig_output(from, &to->inbox);
      if (bit / 8 >= to->inbox.len) break;
      to->inbox.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
      rig_pump(&r);
      byn_connection_tick(to->link, r.now + 3000);
      rig_events(&r, to);
      assert_int_equal(to->ups, 0);
      assert_int_equal(to->downs, 1);
      judged++;
    }
  assert_true(judged > 1000);
}

static void random_bit_flips_never_crash(void **state) {
  (void)state;
  for (uint64_t seed = 0; seed < byn_test_plays(300); seed++) {
    rig_close(&r);
    rig_init(&r, seed);
    r.chunk = 3000;
    open_up();
    rig_feed(&r, &r.b, "\0\0\0\6\7", 5); /* no pattern fits from here */
    for (size_t i = 0; i < 40; i++)
      byn_put_bytes(&r.b.inbox, "\0\0\0\1\x8", 5);
    for (size_t i = 0; i < 10; i++)
      r.b.inbox.data[byn_rng_below(&r.rng, r.b.inbox.len)] ^=
          (uint8_t)(1 << byn_rng_below(&r.rng, 8));
    while (r.b.inbox.len) {
      byn_connection_event event;
      uint8_t byte = r.b.inbox.data[0];
      byn_connection_feed(r.b.link, &byte, 1, r.now);
      while (byn_connection_next(r.b.link, &event))
        r.b.downs += event.kind == BYN_CONNECTION_ENDED;
      byn_buf_drop(&r.b.inbox, 1);
    }
    assert_true(r.b.downs <= 1);
  }
}

/* A life with everything in it. An end that finds no memory goes down and
 * says so, the other end hears the transport close. */
static void live(const byn_alloc *alloc, void *arg) {
  static rig life;
  rig_end *ends[2] = {&life.a, &life.b};
  bool opened;
  (void)arg;
  rig_init(&life, 9);
  life.dialer_config.alloc = life.acceptor_config.alloc = *alloc;
  life.a.memory = life.b.memory = *alloc;
  life.chunk = 30000;
  opened = rig_open(&life, "b@host:2");
  if (opened) {
    rig_pump(&life);
    for (size_t i = 0; i < 2; i++) {
      rig_send(&life.a, 100);
      rig_send(&life.b, 200000);
      rig_pump(&life);
    }
    byn_connection_goodbye(life.a.link, "shutdown");
    rig_pump(&life);
    byn_connection_closed(life.b.link, "closed");
    rig_events(&life, &life.b);
    for (size_t i = 0; i < 2; i++)
      assert_true(byn_connection_is_ended(ends[i]->link));
    assert_true(life.b.messages <= life.a.sent);
  }
  rig_close(&life);
}

static void any_allocation_may_fail(void **state) {
  uint64_t failures;
  (void)state;
  failures = byn_test_each_failure(live, NULL);
  assert_true(failures > 10);
}

static void a_dial_that_is_refused_says_so(void **state) {
  uint8_t nonce[BYN_NONCE_SIZE] = {0};
  (void)state;
  r.a.link = byn_connection_dial(&r.dialer_config, "b@host:2", nonce, &r.resume,
                                 r.now);
  byn_connection_closed(r.a.link, "econnrefused");
  rig_events(&r, &r.a);
  rig_assert_down(&r.a, "econnrefused");
  assert_true(r.a.refused);
  assert_false(r.a.final);
}

static void what_is_resumed_comes_with_the_proofs(void **state) {
  (void)state;
  r.resume = (byn_resume){1, 2, 3, 4, 5};
  r.resumed = (byn_resumed){6, 7, 8};
  open_up();
  assert_memory_equal(&r.b.resume, &r.resume, sizeof r.resume);
  assert_memory_equal(&r.a.resumed, &r.resumed, sizeof r.resumed);
  assert_true(r.a.opening && r.a.opening == r.b.opening);
  assert_true(r.a.resumes && r.b.resumes);
}

static void an_older_peer_hears_nothing_of_it(void **state) {
  (void)state;
  for (int end = 0; end < 2; end++) {
    rig_init(&r, 3);
    (end ? &r.dialer_config : &r.acceptor_config)->minor = 1;
    r.resume.session = r.resumed.received = 9;
    open_up();
    assert_false(r.a.resumes || r.b.resumes);
    assert_int_equal(r.b.resume.session + r.a.resumed.received, 0);
    rig_send(&r.a, 10);
    byn_connection_tick(r.a.link, r.now + 1000);
    byn_connection_tick(r.b.link, r.now + 1000);
    rig_pump(&r);
    rig_assert_up(&r);
    assert_int_equal(r.b.messages, 1);
    assert_int_equal(byn_outbox_queued(&r.a.out), 0);
    feed_frame(&r.a, BYN_FRAME_ANSWER, "12345678", 8); /* nor says so */
    rig_assert_down(&r.a, "bad_frame");
    if (end == 0) rig_close(&r);
  }
}

static void a_heartbeat_acknowledges(void **state) {
  (void)state;
  open_up();
  byn_outbox_receive(&r.a.out, 7);
  byn_connection_tick(r.a.link, r.now + 1000);
  rig_pump(&r);
  assert_int_equal(r.b.acknowledged, 7);
  byn_outbox_receive(&r.a.out, 8);
  rig_send(&r.a, 3);
  byn_outbox_receive(&r.a.out, 9);
  assert_true(rig_output(&r.a, &r.b.inbox));
  rig_deliver(&r, &r.b);
  assert_int_equal(r.b.messages, 1);
  assert_int_equal(r.b.acknowledged, 9);
}

static void one_that_was_dropped_says_nothing_more(void **state) {
  const uint8_t *bytes;
  (void)state;
  open_up();
  rig_send(&r.a, 10);
  byn_connection_drop(r.a.link);
  byn_connection_drop(r.a.link);
  byn_connection_goodbye(r.a.link, "again");
  byn_connection_closed(r.a.link, "again");
  byn_connection_refuse(r.a.link, "again");
  byn_connection_opened(r.a.link, r.now);
  byn_connection_tick(r.a.link, r.now + 1000000);
  rig_feed(&r, &r.a, "garbage that is long enough", 27);
  rig_events(&r, &r.a);
  assert_int_equal(r.a.downs, 0);
  assert_int_equal(byn_connection_output(r.a.link, &bytes), 0);
  assert_int_equal(byn_connection_queued(r.a.link), 0);
  assert_true(byn_connection_deadline(r.a.link) == BYN_NEVER);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(two_ends_come_up_and_know_each_other),
      TEST(messages_come_whole_and_in_order_however_cut),
      TEST(a_heartbeat_passes_a_large_message),
      TEST(a_message_with_a_heartbeat_inside_comes_whole),
      TEST(an_idle_pair_stays_up_on_heartbeats),
      TEST(heartbeats_are_sent_only_when_nothing_else_is),
      TEST(a_link_with_one_quiet_end_has_no_deadline),
      TEST(a_wrong_secret_of_the_dialer_is_told_to_both),
      TEST(a_welcome_without_the_secret_is_not_believed),
      TEST(bytes_played_back_open_nothing),
      TEST(a_dialer_led_to_itself_sees_the_wrong_name),
      TEST(a_recorded_dialer_is_refused),
      TEST(the_owner_may_refuse_a_proven_peer),
      TEST(another_version_is_told_to_both),
      TEST(a_refusal_by_a_stranger_is_only_a_refusal),
      TEST(a_handshake_has_a_deadline),
      TEST(a_handshake_has_all_its_time_after_a_gap),
      TEST(a_dialer_whose_transport_never_opens_gives_up),
      TEST(an_empty_secret_or_a_bad_name_makes_no_link),
      TEST(a_frame_out_of_turn_is_bad),
      TEST(empty_fragments_and_full_heartbeats_are_bad),
      TEST(questions_and_answers_cut_short_or_too_long_are_bad),
      TEST(an_address_is_made_printable_and_cut),
      TEST(a_stranger_may_not_send_a_large_frame),
      TEST(a_peer_may_not_send_a_frame_past_the_limit),
      TEST(a_goodbye_carries_its_reason_behind_the_messages),
      TEST(reasons_are_short_and_printable),
      TEST(an_unreadable_goodbye_is_an_end_too),
      TEST(messages_before_an_end_in_the_same_chunk_are_told),
      TEST(a_transport_that_closes_lets_what_came_be_read),
      TEST(feeding_before_reading_is_an_end_not_a_gap),
      TEST(garbage_at_any_state_does_no_harm),
      TEST(any_changed_bit_of_the_handshake_keeps_its_reader_down),
      TEST(random_bit_flips_never_crash),
      TEST(a_dial_that_is_refused_says_so),
      TEST(what_is_resumed_comes_with_the_proofs),
      TEST(an_older_peer_hears_nothing_of_it),
      TEST(a_heartbeat_acknowledges),
      TEST(one_that_was_dropped_says_nothing_more),
      TEST(any_allocation_may_fail),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
