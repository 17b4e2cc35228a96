/* The handshake: only who knows the secret is believed. */
#include "support.h"

#include "../../csrc/core/wire/handshake.h"

static const uint8_t secret[] = "correct horse battery staple";
static const uint8_t other_secret[] = "correct horse battery stable";

static byn_test_alloc test;
static byn_alloc alloc;
static byn_handshake dialer, acceptor;
static byn_buf hello, challenge, proof, welcome;

static void make(byn_handshake *h, const char *name, const char *peer,
                 uint8_t nonce_byte, const uint8_t *key) {
  uint8_t nonce[BYN_NONCE_SIZE];
  memset(nonce, nonce_byte, sizeof nonce);
  assert_true(byn_handshake_init(h, name, nonce_byte * 100u, peer, nonce, key,
                                 sizeof secret - 1));
}

static int set_up(void **state) {
  (void)state;
  test = (byn_test_alloc){0};
  alloc = byn_test_allocator(&test);
  byn_buf_init(&hello, &alloc);
  byn_buf_init(&challenge, &alloc);
  byn_buf_init(&proof, &alloc);
  byn_buf_init(&welcome, &alloc);
  make(&dialer, "a@host:1", "b@host:2", 1, secret);
  make(&acceptor, "b@host:2", NULL, 2, secret);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  byn_buf_free(&hello);
  byn_buf_free(&challenge);
  byn_buf_free(&proof);
  byn_buf_free(&welcome);
  byn_test_assert_clean(&test);
  return 0;
}

static byn_verdict say_hello(void) {
  byn_buf_truncate(&hello, 0);
  byn_handshake_put_hello(&dialer, &hello);
  return byn_handshake_on_hello(&acceptor, hello.data, hello.len);
}

static byn_verdict say_challenge(void) {
  byn_buf_truncate(&challenge, 0);
  byn_handshake_put_challenge(&acceptor, &challenge);
  return byn_handshake_on_challenge(&dialer, challenge.data, challenge.len);
}

static byn_verdict say_proof(void) {
  byn_buf_truncate(&proof, 0);
  byn_handshake_put_proof(&dialer, &proof);
  return byn_handshake_on_proof(&acceptor, proof.data, proof.len);
}

static byn_verdict say_welcome(void) {
  byn_buf_truncate(&welcome, 0);
  byn_handshake_put_welcome(&acceptor, &welcome);
  return byn_handshake_on_welcome(&dialer, welcome.data, welcome.len);
}

static void both_ends_with_the_secret_believe_each_other(void **state) {
  (void)state;
  assert_int_equal(say_hello(), BYN_SHAKE_OK);
  assert_int_equal(say_challenge(), BYN_SHAKE_OK);
  assert_int_equal(say_proof(), BYN_SHAKE_OK);
  assert_int_equal(say_welcome(), BYN_SHAKE_OK);
  assert_string_equal(acceptor.peer, "a@host:1");
  assert_int_equal(acceptor.peer_incarnation, 100);
  assert_string_equal(dialer.peer, "b@host:2");
  assert_int_equal(dialer.peer_incarnation, 200);
}

static void a_dialer_without_the_secret_is_not_believed(void **state) {
  (void)state;
  make(&dialer, "a@host:1", "b@host:2", 1, other_secret);
  say_hello();
  say_challenge();
  assert_int_equal(say_proof(), BYN_SHAKE_BAD_SECRET);
  assert_false(acceptor.proven);
}

static void an_acceptor_without_the_secret_is_not_believed(void **state) {
  (void)state;
  make(&acceptor, "b@host:2", NULL, 2, other_secret);
  say_hello();
  say_challenge();
  say_proof();
  assert_int_equal(say_welcome(), BYN_SHAKE_BAD_SECRET);
}

static void the_dialers_proof_is_not_the_acceptors(void **state) {
  (void)state;
  say_hello();
  say_challenge();
  say_proof();
  assert_int_equal(byn_handshake_on_welcome(&dialer, proof.data, proof.len),
                   BYN_SHAKE_BAD_SECRET);
  say_welcome();
  assert_int_equal(byn_handshake_on_proof(&acceptor, welcome.data, welcome.len),
                   BYN_SHAKE_BAD_SECRET);
}

/* The reflection attack: A dials B; one in between opens a connection to A
 * with A's own HELLO and hands A's own CHALLENGE back to it. */
static void a_challenge_in_ones_own_name_is_refused(void **state) {
  byn_handshake self;
  (void)state;
  make(&self, "a@host:1", NULL, 3, secret);
  say_hello();
  assert_int_equal(byn_handshake_on_hello(&self, hello.data, hello.len),
                   BYN_SHAKE_OK);
  byn_handshake_put_challenge(&self, &challenge);
  assert_int_equal(
      byn_handshake_on_challenge(&dialer, challenge.data, challenge.len),
      BYN_SHAKE_WRONG_NAME);
}

static void a_recorded_proof_is_worthless_later(void **state) {
  (void)state;
  say_hello();
  say_challenge();
  assert_int_equal(say_proof(), BYN_SHAKE_OK);
  make(&acceptor, "b@host:2", NULL, 9, secret);
  byn_handshake_on_hello(&acceptor, hello.data, hello.len);
  byn_handshake_put_challenge(&acceptor, &challenge);
  assert_int_equal(byn_handshake_on_proof(&acceptor, proof.data, proof.len),
                   BYN_SHAKE_BAD_SECRET);
}

static void a_recorded_welcome_is_worthless_later(void **state) {
  (void)state;
  say_hello();
  say_challenge();
  say_proof();
  assert_int_equal(say_welcome(), BYN_SHAKE_OK);
  make(&dialer, "a@host:1", "b@host:2", 7, secret);
  byn_buf_truncate(&hello, 0);
  byn_handshake_put_hello(&dialer, &hello);
  byn_handshake_on_challenge(&dialer, challenge.data, challenge.len);
  assert_int_equal(byn_handshake_on_welcome(&dialer, welcome.data, welcome.len),
                   BYN_SHAKE_BAD_SECRET);
}

/* Whatever bit of either greeting changes on its way, nobody is believed. */
static void any_changed_bit_of_the_greetings_spoils_the_proof(void **state) {
  size_t judged = 0;
  (void)state;
  say_hello();
  for (size_t bit = 0; bit < hello.len * 8; bit++) {
    make(&dialer, "a@host:1", "b@host:2", 1, secret);
    make(&acceptor, "b@host:2", NULL, 2, secret);
    say_hello();
    make(&acceptor, "b@host:2", NULL, 2, secret);
    hello.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    if (byn_handshake_on_hello(&acceptor, hello.data, hello.len) ||
        say_challenge())
      continue;
    assert_int_equal(say_proof(), BYN_SHAKE_BAD_SECRET);
    judged++;
  }
  assert_true(judged > 8 * (BYN_NONCE_SIZE + 8));
}

static void a_proof_before_the_greetings_is_not_believed(void **state) {
  uint8_t zeros[BYN_PROOF_SIZE] = {0};
  (void)state;
  byn_handshake_put_proof(&dialer, &proof);
  assert_int_equal(byn_handshake_on_proof(&acceptor, proof.data, proof.len),
                   BYN_SHAKE_BAD_SECRET);
  assert_int_equal(byn_handshake_on_welcome(&dialer, zeros, sizeof zeros),
                   BYN_SHAKE_BAD_SECRET);
}

static void a_proof_of_another_length_is_not_believed(void **state) {
  (void)state;
  say_hello();
  say_challenge();
  byn_handshake_put_proof(&dialer, &proof);
  byn_put_u8(&proof, 0);
  for (size_t n = 0; n <= proof.len; n++)
    if (n != proof.len - 1)
      assert_int_equal(byn_handshake_on_proof(&acceptor, proof.data, n),
                       BYN_SHAKE_BAD_SECRET);
}

static void an_acceptor_that_was_not_meant_is_refused(void **state) {
  (void)state;
  make(&acceptor, "c@host:3", NULL, 2, secret);
  assert_int_equal(say_hello(), BYN_SHAKE_OK);
  assert_int_equal(say_challenge(), BYN_SHAKE_WRONG_NAME);
}

static void a_dialer_that_meant_another_is_told_so_once_proven(void **state) {
  (void)state;
  make(&dialer, "a@host:1", "c@host:3", 1, secret);
  assert_int_equal(say_hello(), BYN_SHAKE_OK);
  strcpy(dialer.peer, "b@host:2");
  assert_int_equal(say_challenge(), BYN_SHAKE_OK);
  assert_int_equal(say_proof(), BYN_SHAKE_WRONG_NAME);
  assert_true(acceptor.proven);
}

static void another_major_version_is_refused_whatever_follows(void **state) {
  (void)state;
  assert_int_equal(
      byn_handshake_on_hello(&acceptor, (const uint8_t *)"BYAN\x02\x00???", 9),
      BYN_SHAKE_BAD_VERSION);
  assert_int_equal(
      byn_handshake_on_challenge(&dialer, (const uint8_t *)"\x02\x00", 2),
      BYN_SHAKE_BAD_VERSION);
}

static void a_later_minor_version_may_say_more(void **state) {
  (void)state;
  byn_handshake_put_hello(&dialer, &hello);
  byn_put_string(&hello, "what is to come", 15);
  hello.data[5] = 77;
  assert_int_equal(byn_handshake_on_hello(&acceptor, hello.data, hello.len),
                   BYN_SHAKE_OK);
  assert_int_equal(acceptor.minor, BYN_WIRE_MINOR);
}

static void each_end_learns_the_traits_of_the_other(void **state) {
  (void)state;
  dialer.traits = BYN_TRAIT_DOUBLES;
  acceptor.traits = 6;
  assert_int_equal(say_hello(), BYN_SHAKE_OK);
  assert_int_equal(say_challenge(), BYN_SHAKE_OK);
  assert_int_equal(acceptor.peer_traits, BYN_TRAIT_DOUBLES);
  assert_int_equal(dialer.peer_traits, 6);
}

static void the_first_minor_version_has_no_traits(void **state) {
  (void)state;
  byn_handshake_put_hello(&dialer, &hello);
  hello.data[5] = 0;
  assert_int_equal(byn_handshake_on_hello(&acceptor, hello.data, hello.len - 1),
                   BYN_SHAKE_OK);
  assert_int_equal(acceptor.minor, 0);
  assert_int_equal(acceptor.peer_traits, 0);
}

static void traits_that_were_changed_on_the_way_are_not_believed(void **state) {
  (void)state;
  byn_handshake_put_hello(&dialer, &hello);
  hello.data[hello.len - 1] ^= BYN_TRAIT_DOUBLES;
  assert_int_equal(byn_handshake_on_hello(&acceptor, hello.data, hello.len),
                   BYN_SHAKE_OK);
  assert_int_equal(say_challenge(), BYN_SHAKE_OK);
  assert_int_equal(say_proof(), BYN_SHAKE_BAD_SECRET);
}

static void a_hello_cut_short_anywhere_is_refused(void **state) {
  (void)state;
  byn_handshake_put_hello(&dialer, &hello);
  for (size_t n = 0; n < hello.len; n++)
    assert_int_equal(byn_handshake_on_hello(&acceptor, hello.data, n),
                     BYN_SHAKE_BAD_FRAME);
}

static void another_magic_is_refused(void **state) {
  (void)state;
  byn_handshake_put_hello(&dialer, &hello);
  hello.data[0] = 'G';
  assert_int_equal(byn_handshake_on_hello(&acceptor, hello.data, hello.len),
                   BYN_SHAKE_BAD_FRAME);
}

static void names_have_a_length_and_no_blanks(void **state) {
  char longest[BYN_NAME_MAX + 2];
  uint8_t nonce[BYN_NONCE_SIZE] = {0};
  (void)state;
  memset(longest, 'n', sizeof longest);
  assert_true(byn_name_is_valid(longest, BYN_NAME_MAX));
  assert_false(byn_name_is_valid(longest, BYN_NAME_MAX + 1));
  assert_false(byn_name_is_valid("", 0));
  assert_false(byn_name_is_valid("a b", 3));
  assert_false(byn_name_is_valid("a\0b", 3));
  assert_false(byn_name_is_valid("a\n", 2));
  assert_true(byn_name_is_valid("\xc3\xa4@host", 7));
  longest[BYN_NAME_MAX + 1] = '\0';
  assert_false(byn_handshake_init(&dialer, longest, 1, "b", nonce, secret, 1));
  assert_false(byn_handshake_init(&dialer, "a", 1, "", nonce, secret, 1));
  assert_false(byn_handshake_init(&dialer, "a", 1, "b", nonce, secret, 0));
}

static void a_hello_with_a_bad_name_is_refused(void **state) {
  (void)state;
  byn_handshake_put_hello(&dialer, &hello);
  hello.data[4 + 2 + BYN_NONCE_SIZE + 8 + 1] = '\n';
  assert_int_equal(byn_handshake_on_hello(&acceptor, hello.data, hello.len),
                   BYN_SHAKE_BAD_FRAME);
}

static void the_longest_greeting_fits_before_the_proof(void **state) {
  char longest[BYN_NAME_MAX + 1];
  (void)state;
  memset(longest, 'n', BYN_NAME_MAX);
  longest[BYN_NAME_MAX] = '\0';
  make(&dialer, longest, longest, 1, secret);
  make(&acceptor, longest, NULL, 2, secret);
  assert_int_equal(say_hello(), BYN_SHAKE_OK);
  assert_true(hello.len <= BYN_UNPROVEN_MAX);
  assert_int_equal(say_challenge(), BYN_SHAKE_OK);
  assert_int_equal(say_proof(), BYN_SHAKE_OK);
  assert_string_equal(acceptor.peer, longest);
}

/* What the dialer believes of this REFUSE payload. */
static void assert_believed(const byn_buf *refuse, const char *expected) {
  size_t n;
  const char *reason =
      byn_handshake_on_refuse(&dialer, refuse->data, refuse->len, &n);
  assert_non_null(reason);
  assert_int_equal(n, strlen(expected));
  assert_memory_equal(reason, expected, n);
}

static void a_refusal_is_believed_with_a_proof(void **state) {
  byn_buf refuse;
  (void)state;
  byn_buf_init(&refuse, &alloc);
  say_hello();
  say_challenge();
  say_proof();
  byn_handshake_put_refuse(&acceptor, "already_connected", &refuse);
  assert_believed(&refuse, "already_connected");
  refuse.data[1] ^= 1;
  assert_believed(&refuse, "refused");
  byn_buf_free(&refuse);
}

static void a_refusal_says_who_has_the_name(void **state) {
  byn_buf refuse;
  (void)state;
  byn_buf_init(&refuse, &alloc);
  say_hello();
  say_challenge();
  say_proof();
  acceptor.holder = (byn_holder){7, "host:1"};
  byn_handshake_put_refuse(&acceptor, "name_taken", &refuse);
  assert_believed(&refuse, "name_taken");
  assert_int_equal(dialer.holder.incarnation, 7);
  assert_string_equal(dialer.holder.address, "host:1");
  for (size_t i = 0; i < refuse.len; i++) { /* the proof covers all of it */
    size_t n;
    refuse.data[i] ^= 1;
    const char *reason =
        byn_handshake_on_refuse(&dialer, refuse.data, refuse.len, &n);
    if (reason) assert_memory_equal(reason, "refused", n);
    refuse.data[i] ^= 1;
  }
  byn_buf_free(&refuse);
}

/* One of minor version 1 gets what it has always got. */
static void an_older_dialer_is_told_the_reason_alone(void **state) {
  byn_buf refuse;
  (void)state;
  byn_buf_init(&refuse, &alloc);
  dialer.minor = 1;
  say_hello();
  say_challenge();
  say_proof();
  acceptor.holder = (byn_holder){7, "host:1"};
  byn_handshake_put_refuse(&acceptor, "name_taken", &refuse);
  assert_int_equal(refuse.len, 1 + strlen("name_taken") + BYN_PROOF_SIZE);
  assert_believed(&refuse, "name_taken");
  assert_int_equal(dialer.holder.incarnation, 0);
  byn_buf_free(&refuse);
}

static void a_refusal_by_a_stranger_has_few_reasons(void **state) {
  byn_buf refuse;
  size_t n;
  (void)state;
  byn_buf_init(&refuse, &alloc);
  byn_handshake_put_refuse(&acceptor, "bad_secret", &refuse);
  assert_believed(&refuse, "bad_secret");
  byn_buf_truncate(&refuse, 0);
  byn_handshake_put_refuse(&acceptor, "bad_version", &refuse);
  assert_believed(&refuse, "bad_version");
  byn_buf_truncate(&refuse, 0);
  byn_handshake_put_refuse(&acceptor, "already_connected", &refuse);
  assert_believed(&refuse, "refused");
  assert_null(byn_handshake_on_refuse(&dialer, refuse.data, 4, &n));
  byn_buf_free(&refuse);
}

static void wiping_forgets_the_secret(void **state) {
  static const crypto_auth_hmacsha256_state zeros;
  (void)state;
  say_hello();
  assert_memory_not_equal(&dialer.transcript, &zeros, sizeof zeros);
  byn_handshake_wipe(&dialer);
  assert_memory_equal(&dialer.transcript, &zeros, sizeof zeros);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(both_ends_with_the_secret_believe_each_other),
      TEST(a_dialer_without_the_secret_is_not_believed),
      TEST(an_acceptor_without_the_secret_is_not_believed),
      TEST(the_dialers_proof_is_not_the_acceptors),
      TEST(a_challenge_in_ones_own_name_is_refused),
      TEST(a_recorded_proof_is_worthless_later),
      TEST(a_recorded_welcome_is_worthless_later),
      TEST(any_changed_bit_of_the_greetings_spoils_the_proof),
      TEST(a_proof_before_the_greetings_is_not_believed),
      TEST(a_proof_of_another_length_is_not_believed),
      TEST(an_acceptor_that_was_not_meant_is_refused),
      TEST(a_dialer_that_meant_another_is_told_so_once_proven),
      TEST(another_major_version_is_refused_whatever_follows),
      TEST(a_later_minor_version_may_say_more),
      TEST(each_end_learns_the_traits_of_the_other),
      TEST(the_first_minor_version_has_no_traits),
      TEST(traits_that_were_changed_on_the_way_are_not_believed),
      TEST(a_hello_cut_short_anywhere_is_refused),
      TEST(another_magic_is_refused),
      TEST(names_have_a_length_and_no_blanks),
      TEST(a_hello_with_a_bad_name_is_refused),
      TEST(the_longest_greeting_fits_before_the_proof),
      TEST(a_refusal_is_believed_with_a_proof),
      TEST(a_refusal_says_who_has_the_name),
      TEST(an_older_dialer_is_told_the_reason_alone),
      TEST(a_refusal_by_a_stranger_has_few_reasons),
      TEST(wiping_forgets_the_secret),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
