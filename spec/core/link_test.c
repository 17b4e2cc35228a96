/* The link: two of them, and connections that come and go. */
#include <stdlib.h>

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

static void two_ends_come_up_and_exchange_messages(void **state) {
  static const size_t sizes[] = {0, 1, 65536, 65537, 10, 1000000, 3};
  (void)state;
  rig_open(&r);
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    assert_true(rig_send(&r, A, sizes[i]));
    assert_true(rig_send(&r, B, sizes[6 - i]));
    if (i % 3 == 0) rig_pump(&r);
  }
  rig_pump(&r);
  rig_assert_up(&r);
  assert_int_equal(r.sides[A].messages, 7);
  assert_int_equal(r.sides[B].messages, 7);
}

static void a_cut_loses_nothing(void **state) {
  (void)state;
  rig_open(&r);
  rig_send(&r, A, 10);
  rig_send(&r, B, 200000);
  rig_cut_all(&r);
  rig_send(&r, A, 70000);
  rig_pump(&r);
  rig_assert_up(&r);
  assert_int_equal(r.sides[A].messages, 1);
  assert_int_equal(r.sides[B].messages, 2);
  assert_int_equal(r.sides[A].broken, 1);
  assert_int_equal(r.sides[A].resumed, 1);
  assert_string_equal(r.sides[A].reason, "closed");
}

/* Cuts at random points of random streams, in both directions. */
static void every_message_comes_once_and_in_order(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= byn_test_plays(30); seed++) {
    size_t steps = 0;
    rig_close(&r);
    rig_init(&r, seed);
    r.chunk = seed % 3 ? 5000 : 200000;
    r.config[0].max_queue = r.config[1].max_queue = (size_t)1 << 22;
    rig_open(&r);
    while (r.sides[A].sent < 40 || r.sides[B].sent < 40) {
      rig_wire *w;
      int side = byn_rng_below(&r.rng, 2) ? A : B;
      assert_true(++steps < 5000);
      switch (byn_rng_below(&r.rng, 8)) {
      case 0:
      case 1:
        if (r.sides[side].sent < 40)
          rig_send(&r, side, (size_t)byn_rng_below(&r.rng, 90000));
        break;
      case 2:
        if (r.wire_count)
          rig_cut(&r, &r.wires[byn_rng_below(&r.rng, r.wire_count)]);
        break;
      case 3:
        r.now += (int64_t)byn_rng_below(&r.rng, 40);
        rig_tick(&r);
        break;
      default:
        if (!r.wire_count) break;
        w = &r.wires[byn_rng_below(&r.rng, r.wire_count)];
        rig_turn(&r, w);
        rig_compact(&r);
      }
    }
    rig_run(&r, r.now + 1500);
    rig_assert_up(&r);
    assert_int_equal(r.sides[A].messages, 40);
    assert_int_equal(r.sides[B].messages, 40);
    rig_run(&r, r.now + 4000);
    assert_int_equal(byn_link_queued(r.sides[A].link), 0);
    assert_int_equal(byn_link_queued(r.sides[B].link), 0);
  }
}

static void what_is_acknowledged_takes_no_memory(void **state) {
  size_t before;
  (void)state;
  rig_open(&r);
  before = r.test.live_bytes;
  for (int i = 0; i < 20; i++) {
    rig_send(&r, A, 1000000);
    rig_pump(&r);
    assert_true(byn_link_queued(r.sides[A].link) <= 262144 + 65541);
  }
  rig_run(&r, r.now + 2500);
  assert_int_equal(byn_link_queued(r.sides[A].link), 0);
  assert_true(r.test.live_bytes <= before + 8192);
}

static void an_idle_pair_stays_up_on_heartbeats(void **state) {
  (void)state;
  rig_open(&r);
  rig_run(&r, r.now + 3600 * 1000);
  rig_assert_up(&r);
  assert_int_equal(r.sides[A].broken + r.sides[B].broken, 0);
  assert_int_equal(r.wire_count, 1);
}

static void silence_is_dialled_at_half_time(void **state) {
  (void)state;
  rig_open(&r);
  r.wires[0].dark = true;
  rig_run(&r, r.now + 2499);
  assert_int_equal(r.wire_count, 1);
  rig_run(&r, r.now + 1);
  rig_assert_up(&r);
  assert_int_equal(r.sides[A].resumed, 1);
  rig_send(&r, A, 10);
  rig_pump(&r);
  assert_int_equal(r.sides[B].messages, 1);
}

static void silence_ends_the_link(void **state) {
  (void)state;
  rig_open(&r);
  r.wires[0].dark = r.unreachable = true;
  rig_run(&r, 1000 + 4999);
  rig_assert_up(&r);
  rig_run(&r, 1000 + 5000);
  rig_assert_down(&r, A, "timeout");
  rig_assert_down(&r, B, "timeout");
  assert_true(byn_link_deadline(r.sides[A].link) == BYN_NEVER);
}

static void life_on_a_silent_connection_keeps_it(void **state) {
  (void)state;
  rig_open(&r);
  r.wires[0].dark = r.unreachable = true;
  rig_run(&r, r.now + 3000);
  rig_send(&r, A, 10);
  r.wires[0].dark = false;
  rig_pump(&r);
  rig_run(&r, r.now + 20000);
  rig_assert_up(&r);
  assert_int_equal(r.sides[A].broken + r.sides[A].resumed, 0);
  assert_int_equal(r.sides[B].messages, 1);
}

/* The acceptor still reads the old connection when the dialer has proved the
 * new one: frames come twice, and are taken once. */
static void frames_that_come_twice_are_taken_once(void **state) {
  rig_wire *old, *fresh;
  (void)state;
  rig_open(&r);
  for (int i = 0; i < 5; i++)
    rig_send(&r, B, 1000);
  old = &r.wires[0];
  rig_output(&r, old, B);
  r.now += 2500; /* B's frames wait in the network */
  byn_link_tick(r.sides[A].link, r.now);
  rig_events(&r, A);
  fresh = last_wire();
  assert_ptr_not_equal(old, fresh);
  rig_output(&r, fresh, A);
  rig_deliver(&r, fresh, B, SIZE_MAX);
  rig_output(&r, fresh, B);
  rig_deliver(&r, fresh, A, SIZE_MAX); /* CHALLENGE: A says PROOF */
  rig_output(&r, fresh, A);
  rig_deliver(&r, fresh, B, SIZE_MAX); /* B changes over */
  rig_output(&r, fresh, B);
  rig_output(&r, fresh, B);
  rig_deliver(&r, old, A, SIZE_MAX);
  assert_true(r.sides[A].messages > 0);
  rig_pump(&r);
  rig_assert_up(&r);
  assert_int_equal(r.sides[A].messages, 5);
  assert_int_equal(r.sides[A].resumed, 1);
}

static void a_broken_link_waits_as_long_as_it_was_told(void **state) {
  (void)state;
  rig_open(&r);
  r.unreachable = true;
  rig_cut_all(&r);
  rig_pump(&r);
  rig_run(&r, 1000 + 1999);
  rig_assert_up(&r);
  rig_run(&r, 1000 + 2000);
  rig_assert_down(&r, A, "closed");
  rig_assert_down(&r, B, "closed");
}

static void break_and_silence_do_not_add_up(void **state) {
  (void)state;
  rig_open(&r);
  r.wires[0].dark = r.unreachable = true;
  rig_run(&r, 1000 + 4000);
  r.wires[0].dark = false;
  byn_buf_truncate(&r.wires[0].inbox[A], 0);
  r.wires[0].cut[A] = true;
  rig_deliver(&r, &r.wires[0], A, SIZE_MAX);
  rig_run(&r, 1000 + 4999);
  assert_int_equal(r.sides[A].downs, 0);
  rig_run(&r, 1000 + 5000);
  rig_assert_down(&r, A, "timeout");
}

/* A stands still, and what B says waits. */
static void a_gap_is_nobodys_silence(void **state) {
  (void)state;
  rig_open(&r);
  r.wires[0].dark = r.unreachable = true;
  rig_run(&r, 1000 + 4000);
  r.now = 1000 + 20000;
  byn_link_after_gap(r.sides[A].link, r.now);
  rig_tick(&r);
  rig_assert_down(&r, B, "timeout");
  assert_int_equal(r.sides[A].downs, 0);
  rig_run(&r, 1000 + 20000 + 4999);
  assert_int_equal(r.sides[A].downs, 0);
  rig_run(&r, 1000 + 20000 + 5000);
  rig_assert_down(&r, A, "timeout");
}

static void after_a_gap_a_silent_link_is_up_and_heard(void **state) {
  (void)state;
  rig_open(&r);
  r.wires[0].dark = r.unreachable = true;
  rig_run(&r, 1000 + 4000);
  r.wires[0].dark = r.unreachable = false;
  r.now = 1000 + 20000;
  byn_link_after_gap(r.sides[A].link, r.now);
  byn_link_after_gap(r.sides[B].link, r.now);
  rig_run(&r, 1000 + 40000);
  rig_assert_up(&r);
  assert_true(rig_send(&r, A, 10) && rig_send(&r, B, 10));
  rig_pump(&r);
  assert_int_equal(r.sides[A].messages, 1);
  assert_int_equal(r.sides[B].messages, 1);
}

static void a_broken_link_has_all_its_time_after_a_gap(void **state) {
  (void)state;
  rig_open(&r);
  r.unreachable = true;
  rig_cut_all(&r);
  rig_pump(&r);
  rig_run(&r, 1000 + 1000);
  r.now = 1000 + 9000;
  byn_link_after_gap(r.sides[A].link, r.now);
  byn_link_after_gap(r.sides[B].link, r.now);
  rig_run(&r, 1000 + 9000 + 1999);
  rig_assert_up(&r);
  rig_run(&r, 1000 + 9000 + 2000);
  rig_assert_down(&r, A, "closed");
  rig_assert_down(&r, B, "closed");
}

static void a_broken_link_is_resumed_after_a_gap(void **state) {
  (void)state;
  rig_open(&r);
  r.unreachable = true;
  rig_cut_all(&r);
  rig_pump(&r);
  rig_run(&r, 1000 + 300);
  r.unreachable = false;
  r.now = 1000 + 9000;
  byn_link_after_gap(r.sides[A].link, r.now);
  byn_link_after_gap(r.sides[B].link, r.now);
  rig_run(&r, 1000 + 9000 + 1000);
  rig_assert_up(&r);
  assert_true(rig_send(&r, A, 10));
  rig_pump(&r);
  assert_int_equal(r.sides[B].messages, 1);
}

/* It had no time to hear that its dial was answered. */
static void a_dial_has_all_its_time_after_a_gap(void **state) {
  (void)state;
  rig_dial(&r);
  rig_events(&r, A);
  r.now += 12000;
  byn_link_after_gap(r.sides[A].link, r.now);
  rig_tick(&r);
  assert_int_equal(r.sides[A].downs, 0);
  byn_connection_after_gap(last_wire()->ends[B], r.now);
  rig_pump(&r);
  rig_assert_up(&r);
}

static void a_link_that_is_down_stays_so_after_a_gap(void **state) {
  (void)state;
  rig_open(&r);
  byn_link_close(r.sides[A].link, "enough");
  rig_events(&r, A);
  byn_link_after_gap(r.sides[A].link, r.now + 12000);
  rig_events(&r, A);
  rig_assert_down(&r, A, "enough");
  assert_int_equal(byn_link_deadline(r.sides[A].link), BYN_NEVER);
}

static void a_patient_link_waits_for_another_connection(void **state) {
  (void)state;
  rig_open(&r);
  r.wires[0].dark = r.unreachable = true;
  byn_link_be_patient(r.sides[A].link);
  rig_run(&r, 1000 + 6999);
  rig_assert_down(&r, B, "timeout");
  assert_int_equal(r.sides[B].down_at, 1000 + 5000);
  assert_int_equal(r.sides[A].downs, 0);
  rig_run(&r, 1000 + 7000);
  rig_assert_down(&r, A, "timeout");
}

static void patience_is_for_one_silence(void **state) {
  (void)state;
  rig_open(&r);
  r.wires[0].dark = r.unreachable = true;
  byn_link_be_patient(r.sides[A].link);
  byn_link_be_patient(r.sides[B].link);
  rig_run(&r, 1000 + 6000);
  rig_assert_up(&r);
  r.wires[0].dark = false;
  rig_pump(&r);
  r.wires[0].dark = true;
  rig_run(&r, 1000 + 6000 + 4999);
  rig_assert_up(&r);
  rig_run(&r, 1000 + 6000 + 5000);
  rig_assert_down(&r, A, "timeout");
  rig_assert_down(&r, B, "timeout");
}

/* A connection that broke is another matter than silence. */
static void patience_is_for_silence_alone(void **state) {
  (void)state;
  rig_open(&r);
  r.unreachable = true;
  byn_link_be_patient(r.sides[A].link);
  rig_cut_all(&r);
  rig_pump(&r);
  rig_run(&r, 1000 + 2000);
  rig_assert_down(&r, A, "closed");
}

static void silence_of_the_hidden_and_the_quiet_means_nothing(void **state) {
  static const uint8_t traits[] = {BYN_TRAIT_HIDDEN, BYN_TRAIT_QUIET};
  int64_t since = 0;
  (void)state;
  rig_dial(&r);
  assert_false(byn_link_silence(r.sides[A].link, &since));
  rig_pump(&r);
  assert_true(byn_link_silence(r.sides[A].link, &since));
  assert_int_equal(since, r.now);
  for (int i = 0; i < 2; i++) {
    rig_close(&r);
    rig_init(&r, 1);
    r.config[B].connection.traits |= traits[i];
    rig_open(&r);
    assert_false(byn_link_silence(r.sides[A].link, &since));
    assert_false(byn_link_silence(r.sides[B].link, &since));
  }
  byn_link_close(r.sides[A].link, "enough");
  rig_events(&r, A);
  assert_false(byn_link_silence(r.sides[A].link, &since));
}

static void a_session_that_was_given_up_is_unknown(void **state) {
  (void)state;
  rig_open(&r);
  r.wires[0].dark = true;
  byn_link_close(r.sides[B].link, "disconnected");
  rig_events(&r, B);
  rig_hang_up(&r, &r.wires[0], A, "closed");
  rig_pump(&r);
  rig_assert_down(&r, B, "disconnected");
  rig_assert_down(&r, A, "session_unknown");
}

static void another_life_does_not_have_the_session(void **state) {
  byn_link *old;
  (void)state;
  rig_open(&r);
  old = r.sides[B].link;
  rig_cut_all(&r);
  rig_hang_up(&r, &r.wires[0], B, "closed");
  byn_link_close(old, "killed");
  rig_events(&r, B);
  rig_turn(&r, last_wire());
  r.sides[B] = (rig_side){0};
  r.config[B].connection.incarnation++;
  rig_hang_up(&r, &r.wires[0], A, "closed");
  rig_pump(&r);
  rig_assert_down(&r, A, "session_unknown");
  for (size_t i = 0; i < r.wire_count; i++)
    if (r.wires[i].ends[B]) rig_hang_up(&r, &r.wires[i], B, "closed");
  byn_link_free(old);
}

/* The same session, offered by another life of the peer. */
static void an_incarnation_is_compared(void **state) {
  byn_connection_event e = {.kind = BYN_CONNECTION_ADMIT,
                            .name = "b@host:2",
                            .incarnation = 22,
                            .resumes = true};
  (void)state;
  rig_open(&r);
  e.resume.session = byn_link_session(r.sides[A].link);
  assert_int_equal(e.resume.session, byn_link_session(r.sides[B].link));
  assert_true(byn_link_has(r.sides[A].link, &e));
  e.incarnation = 23;
  assert_false(byn_link_has(r.sides[A].link, &e));
  e.incarnation = 22;
  e.name = "c@host:2";
  assert_false(byn_link_has(r.sides[A].link, &e));
}

static void a_peer_that_begins_anew_has_lost_its_session(void **state) {
  byn_connection_event e = {
      .kind = BYN_CONNECTION_ADMIT, .incarnation = 11, .resumes = true};
  (void)state;
  rig_open(&r);
  e.name = "a@host:1"; /* it dialled B with its dial number 1 */
  e.resume.attempt = 1;
  assert_false(byn_link_is_lost(r.sides[B].link, &e));
  e.resume.attempt = 2;
  assert_true(byn_link_is_lost(r.sides[B].link, &e));
  e.incarnation = 12;
  assert_false(byn_link_is_lost(r.sides[B].link, &e));
  e.name = "b@host:2"; /* A dialled it: a crossing dial of its own */
  e.incarnation = 22;
  assert_false(byn_link_is_lost(r.sides[A].link, &e));
  e.resume.previous = byn_link_session(r.sides[A].link);
  assert_true(byn_link_is_lost(r.sides[A].link, &e));
}

static void an_older_peer_loses_the_link_with_its_connection(void **state) {
  (void)state;
  for (int side = 0; side < 2; side++) {
    rig_close(&r);
    rig_init(&r, 1);
    r.config[side].connection.minor = 1;
    rig_open(&r);
    rig_send(&r, A, 100000);
    rig_send(&r, B, 100000);
    rig_pump(&r);
    assert_int_equal(byn_link_queued(r.sides[A].link), 0);
    rig_run(&r, r.now + 20000);
    rig_assert_up(&r);
    rig_cut_all(&r);
    rig_pump(&r);
    rig_assert_down(&r, A, "closed");
    rig_assert_down(&r, B, "closed");
  }
}

static void a_quiet_pair_has_no_deadline_and_resumes(void **state) {
  (void)state;
  r.config[B].connection.traits |= BYN_TRAIT_QUIET;
  rig_open(&r);
  assert_true(rig_deadline(&r) == BYN_NEVER);
  r.now += 3600 * 1000;
  rig_send(&r, A, 5);
  rig_tick(&r);
  rig_pump(&r);
  rig_cut_all(&r);
  rig_send(&r, B, 5);
  rig_pump(&r);
  rig_assert_up(&r);
  assert_int_equal(r.sides[A].messages + r.sides[B].messages, 2);
}

static void a_message_past_the_limit_is_not_sent(void **state) {
  (void)state;
  r.config[A].max_message = 100000;
  rig_open(&r);
  assert_true(rig_send(&r, A, 100000));
  assert_false(rig_send(&r, A, 100001));
  assert_true(rig_send(&r, A, 1));
  rig_pump(&r);
  rig_assert_up(&r);
  assert_int_equal(r.sides[B].messages, 2);
}

static void a_message_past_the_peers_limit_is_never_resumed(void **state) {
  (void)state;
  r.config[B].max_message = 100000;
  rig_open(&r);
  assert_true(rig_send(&r, A, 100000));
  assert_true(rig_send(&r, A, 100001));
  rig_pump(&r);
  assert_int_equal(r.sides[B].messages, 1);
  rig_assert_down(&r, A, "message_too_large");
  rig_assert_down(&r, B, "message_too_large");
}

static void a_small_limit_holds_for_one_frame_too(void **state) {
  (void)state;
  r.config[B].max_message = 10;
  rig_open(&r);
  assert_true(rig_send(&r, A, 11));
  rig_pump(&r);
  rig_assert_down(&r, B, "message_too_large");
  rig_assert_down(&r, A, "message_too_large");
}

static void a_peer_that_does_not_read_overflows_the_queue(void **state) {
  size_t n;
  (void)state;
  r.config[A].max_queue = 500000;
  rig_open(&r);
  for (n = 0; rig_send(&r, A, 1000); n++)
    if (n == 10) rig_output(&r, &r.wires[0], A);
  assert_int_equal(n, 500000 / 1005);
  rig_events(&r, A);
  rig_assert_down(&r, A, "overflow");
  assert_null(byn_link_begin(r.sides[A].link));
}

static void what_is_urgent_has_a_reserve(void **state) {
  (void)state;
  r.config[A].max_queue = 500000;
  rig_open(&r);
  rig_cut_all(&r);
  r.unreachable = true;
  rig_pump(&r);
  while (byn_link_queued(r.sides[A].link) + 1005 <= 500000)
    assert_true(rig_send(&r, A, 1000));
  for (int i = 0; i < 400; i++) {
    byn_put_space(byn_link_begin(r.sides[A].link), 1000);
    assert_true(byn_link_commit(r.sides[A].link, true));
  }
  assert_false(rig_send(&r, A, 1));
  rig_events(&r, A);
  rig_assert_down(&r, A, "overflow");
}

static void a_goodbye_goes_out_behind_the_messages(void **state) {
  (void)state;
  rig_open(&r);
  rig_send(&r, A, 10);
  rig_send(&r, A, 700000);
  byn_link_close(r.sides[A].link, "shutdown");
  rig_events(&r, A);
  rig_assert_down(&r, A, "shutdown");
  assert_false(rig_send(&r, A, 1));
  rig_pump(&r);
  assert_int_equal(r.sides[B].messages, 2);
  rig_assert_down(&r, B, "shutdown");
}

static void one_that_never_connects_says_why(void **state) {
  (void)state;
  r.deaf[B] = true;
  rig_dial(&r);
  rig_pump(&r);
  rig_assert_down(&r, A, "econnrefused");
  rig_close(&r);
  rig_init(&r, 2);
  r.unreachable = true;
  rig_dial(&r);
  rig_pump(&r);
  rig_run(&r, r.now + 3000);
  rig_assert_down(&r, A, "handshake_timeout");
  rig_close(&r);
  rig_init(&r, 3);
  r.config[A].connection.secret = (const uint8_t *)"another secret entirely";
  rig_dial(&r);
  rig_pump(&r);
  rig_assert_down(&r, A, "bad_secret");
  assert_null(r.sides[B].link);
}

static void an_acknowledgement_of_what_was_not_sent_is_bad(void **state) {
  (void)state;
  rig_open(&r);
  rig_feed(&r, &r.wires[0], A, "\0\0\0\x9\x8\0\0\0\0\0\0\0\x1", 13);
  rig_assert_down(&r, A, "bad_frame");
  rig_pump(&r);
  rig_assert_down(&r, B, "bad_frame");
}

static void after_down_nothing_happens(void **state) {
  (void)state;
  rig_open(&r);
  byn_link_close(r.sides[A].link, "shutdown");
  rig_events(&r, A);
  byn_link_close(r.sides[A].link, "again");
  byn_link_connect_failed(r.sides[A].link, "again", r.now);
  byn_link_tick(r.sides[A].link, r.now + 1000000);
  rig_events(&r, A);
  assert_false(byn_link_commit(r.sides[A].link, true));
  rig_assert_down(&r, A, "shutdown");
}

static void a_message_open_when_the_link_ends_is_dropped(void **state) {
  byn_buf *out;
  (void)state;
  rig_open(&r);
  out = byn_link_begin(r.sides[A].link);
  byn_put_u32(out, 1);
  byn_link_close(r.sides[A].link, "shutdown");
  byn_put_u32(out, 2);
  assert_false(byn_link_commit(r.sides[A].link, false));
  rig_pump(&r);
  assert_int_equal(r.sides[B].messages, 0);
  rig_assert_down(&r, B, "shutdown");
}

/* A life with everything in it. A side that finds no memory goes down; one
 * that does not gets everything once and in order. */
static void live(const byn_alloc *alloc, void *arg) {
  static rig life;
  (void)arg;
  rig_init(&life, 9);
  for (int i = 0; i < 2; i++)
    life.config[i].connection.alloc = *alloc;
  life.chunk = 30000;
  rig_dial(&life);
  if (life.sides[A].link) rig_pump(&life);
  if (life.sides[A].ups && life.sides[B].ups) {
    for (size_t i = 0; i < 3; i++) {
      rig_send(&life, A, 100);
      rig_send(&life, B, 200000);
      if (i == 1) rig_cut_all(&life);
      rig_pump(&life);
    }
    rig_run(&life, life.now + 7000);
    for (int i = 0; i < 2; i++)
      assert_true(life.sides[i].downs ||
                  life.sides[i].messages == life.sides[!i].sent);
    byn_link_close(life.sides[A].link, "shutdown");
    rig_pump(&life);
    rig_run(&life, life.now + 7000);
    assert_int_equal(life.sides[B].downs, 1);
  }
  rig_close(&life);
}

static void any_allocation_may_fail(void **state) {
  uint64_t failures;
  (void)state;
  failures = byn_test_each_failure(live, NULL);
  assert_true(failures > 10);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(two_ends_come_up_and_exchange_messages),
      TEST(a_cut_loses_nothing),
      TEST(every_message_comes_once_and_in_order),
      TEST(what_is_acknowledged_takes_no_memory),
      TEST(an_idle_pair_stays_up_on_heartbeats),
      TEST(silence_is_dialled_at_half_time),
      TEST(silence_ends_the_link),
      TEST(life_on_a_silent_connection_keeps_it),
      TEST(frames_that_come_twice_are_taken_once),
      TEST(a_broken_link_waits_as_long_as_it_was_told),
      TEST(break_and_silence_do_not_add_up),
      TEST(a_gap_is_nobodys_silence),
      TEST(after_a_gap_a_silent_link_is_up_and_heard),
      TEST(a_broken_link_has_all_its_time_after_a_gap),
      TEST(a_broken_link_is_resumed_after_a_gap),
      TEST(a_dial_has_all_its_time_after_a_gap),
      TEST(a_link_that_is_down_stays_so_after_a_gap),
      TEST(a_patient_link_waits_for_another_connection),
      TEST(patience_is_for_one_silence),
      TEST(patience_is_for_silence_alone),
      TEST(silence_of_the_hidden_and_the_quiet_means_nothing),
      TEST(a_session_that_was_given_up_is_unknown),
      TEST(another_life_does_not_have_the_session),
      TEST(an_incarnation_is_compared),
      TEST(a_peer_that_begins_anew_has_lost_its_session),
      TEST(an_older_peer_loses_the_link_with_its_connection),
      TEST(a_quiet_pair_has_no_deadline_and_resumes),
      TEST(a_message_past_the_limit_is_not_sent),
      TEST(a_message_past_the_peers_limit_is_never_resumed),
      TEST(a_small_limit_holds_for_one_frame_too),
      TEST(a_peer_that_does_not_read_overflows_the_queue),
      TEST(what_is_urgent_has_a_reserve),
      TEST(a_goodbye_goes_out_behind_the_messages),
      TEST(one_that_never_connects_says_why),
      TEST(an_acknowledgement_of_what_was_not_sent_is_bad),
      TEST(after_down_nothing_happens),
      TEST(a_message_open_when_the_link_ends_is_dropped),
      TEST(any_allocation_may_fail),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
