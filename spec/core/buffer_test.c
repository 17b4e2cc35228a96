/* The wire buffer: what is put comes back, and nothing else can be read. */
#include "support.h"

#include "../../csrc/core/wire/buffer.h"

#include <math.h>

static byn_test_alloc test;
static byn_alloc alloc;

static int set_up(void **state) {
  (void)state;
  test = (byn_test_alloc){0};
  alloc = byn_test_allocator(&test);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  byn_test_assert_clean(&test);
  return 0;
}

static void fixed_numbers_are_big_endian(void **state) {
  static const uint8_t expected[] = {0x01, 0x02, 0x03, 0x04, 0x05, 0x10, 0x20,
                                     0x30, 0x40, 0x50, 0x60, 0x70, 0x80, 0xbf,
                                     0xf0, 0,    0,    0,    0,    0,    0};
  byn_buf b;
  (void)state;
  byn_buf_init(&b, &alloc);
  byn_put_u8(&b, 0x01);
  byn_put_u32(&b, 0x02030405);
  byn_put_u64(&b, 0x1020304050607080);
  byn_put_double(&b, -1.0);
  assert_int_equal(b.len, sizeof expected);
  assert_memory_equal(b.data, expected, sizeof expected);
  byn_buf_free(&b);
}

static void doubles_come_back_bit_by_bit(void **state) {
  static const double values[] = {0.0, -0.0, 1.5, -1e300, INFINITY, NAN};
  byn_buf b;
  byn_reader r;
  (void)state;
  byn_buf_init(&b, &alloc);
  for (size_t i = 0; i < sizeof values / sizeof *values; i++)
    byn_put_double(&b, values[i]);
  byn_reader_init(&r, b.data, b.len);
  for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
    double v = byn_get_double(&r);
    assert_memory_equal(&v, &values[i], sizeof v);
  }
  assert_false(r.failed);
  byn_buf_free(&b);
}

/* Every number of the form 2^k - 1, 2^k and 2^k + 1, both ways. */
static void varints_come_back_and_are_as_short_as_they_can(void **state) {
  byn_buf b;
  byn_reader r;
  (void)state;
  byn_buf_init(&b, &alloc);
  for (int k = 0; k < 64; k++)
    for (int d = -1; d <= 1; d++) {
      uint64_t v = ((uint64_t)1 << k) + (uint64_t)(int64_t)d;
      size_t want = 1;
      for (uint64_t rest = v >> 7; rest; rest >>= 7)
        want++;
      byn_buf_truncate(&b, 0);
      byn_put_varint(&b, v);
      assert_int_equal(b.len, want);
      byn_put_signed(&b, (int64_t)v);
      byn_put_signed(&b, -1);
      byn_reader_init(&r, b.data, b.len);
      assert_true(byn_get_varint(&r) == v);
      assert_true(byn_get_signed(&r) == (int64_t)v);
      assert_true(byn_get_signed(&r) == -1);
      assert_false(r.failed);
      assert_int_equal(byn_reader_left(&r), 0);
    }
  byn_buf_free(&b);
}

static void small_signed_numbers_take_one_byte(void **state) {
  byn_buf b;
  (void)state;
  byn_buf_init(&b, &alloc);
  byn_put_signed(&b, -64);
  byn_put_signed(&b, 63);
  assert_int_equal(b.len, 2);
  byn_put_signed(&b, INT64_MIN);
  assert_int_equal(b.len, 12);
  byn_buf_free(&b);
}

static bool varint_fails(const void *bytes, size_t n) {
  byn_reader r;
  uint64_t v;
  byn_reader_init(&r, bytes, n);
  v = byn_get_varint(&r);
  if (r.failed) assert_true(v == 0);
  return r.failed;
}

static void varints_past_64_bits_are_refused(void **state) {
  (void)state;
  assert_false(varint_fails("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10));
  assert_true(varint_fails("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10));
  assert_true(varint_fails("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 11));
  assert_true(varint_fails("\x80\x80", 2));
  assert_true(varint_fails("", 0));
}

static void strings_are_views_of_their_bytes(void **state) {
  byn_buf b;
  byn_reader r;
  size_t n = 99;
  (void)state;
  byn_buf_init(&b, &alloc);
  byn_put_string(&b, "a\0b", 3);
  byn_put_string(&b, NULL, 0);
  byn_reader_init(&r, b.data, b.len);
  assert_ptr_equal(byn_get_string(&r, &n), b.data + 1);
  assert_int_equal(n, 3);
  assert_non_null(byn_get_string(&r, &n));
  assert_int_equal(n, 0);
  assert_false(r.failed);
  byn_buf_free(&b);
}

static void a_string_longer_than_its_buffer_is_refused(void **state) {
  byn_reader r;
  size_t n = 99;
  (void)state;
  byn_reader_init(&r,
                  "\x05"
                  "abcd",
                  5);
  assert_null(byn_get_string(&r, &n));
  assert_int_equal(n, 0);
  assert_true(r.failed);
  byn_reader_init(&r, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01x", 11);
  assert_null(byn_get_string(&r, &n));
  assert_true(r.failed);
}

static void a_reader_that_failed_stays_failed(void **state) {
  byn_reader r;
  (void)state;
  byn_reader_init(&r, "abc", 3);
  assert_int_equal(byn_get_u32(&r), 0);
  assert_true(r.failed);
  assert_int_equal(byn_get_u8(&r), 0);
  assert_null(byn_get_bytes(&r, 0));
  assert_int_equal(byn_reader_left(&r), 0);
}

static void dropping_and_truncating_keep_the_rest(void **state) {
  byn_buf b;
  (void)state;
  byn_buf_init(&b, &alloc);
  byn_buf_drop(&b, 3);
  byn_put_bytes(&b, "0123456789", 10);
  byn_buf_drop(&b, 4);
  assert_int_equal(b.len, 6);
  assert_memory_equal(b.data, "456789", 6);
  byn_buf_truncate(&b, 100);
  assert_int_equal(b.len, 6);
  byn_buf_truncate(&b, 2);
  assert_int_equal(b.len, 2);
  byn_buf_drop(&b, 100);
  assert_int_equal(b.len, 0);
  byn_buf_free(&b);
}

static void a_patch_outside_the_buffer_does_nothing(void **state) {
  byn_buf b;
  (void)state;
  byn_buf_init(&b, &alloc);
  byn_patch_u32(&b, 0, 1);
  byn_put_bytes(&b, "abcdef", 6);
  byn_patch_u32(&b, 3, 1);
  byn_patch_u32(&b, SIZE_MAX, 1);
  assert_memory_equal(b.data, "abcdef", 6);
  byn_patch_u32(&b, 2, 0x31323334);
  assert_memory_equal(b.data, "ab1234", 6);
  byn_buf_free(&b);
}

static void a_failed_allocation_stops_all_later_puts(void **state) {
  byn_buf b;
  (void)state;
  byn_buf_init(&b, &alloc);
  byn_put_u32(&b, 0x61626364);
  byn_test_fail_nth(&test, 1);
  byn_put_bytes(&b, "0123456789012345678901234567890123456789", 40);
  byn_put_bytes(&b, "0123456789012345678901234567890123456789", 40);
  assert_true(b.failed);
  byn_put_u8(&b, 1);
  assert_null(byn_put_space(&b, 1));
  assert_true(b.failed);
  byn_buf_truncate(&b, 4);
  assert_false(b.failed);
  byn_put_u8(&b, 'e');
  assert_memory_equal(b.data, "abcde", 5);
  byn_buf_free(&b);
}

static void a_size_that_cannot_be_is_refused(void **state) {
  byn_buf b;
  (void)state;
  byn_buf_init(&b, &alloc);
  byn_put_u8(&b, 1);
  assert_null(byn_put_space(&b, SIZE_MAX));
  assert_true(b.failed);
  byn_buf_truncate(&b, 1);
  assert_null(byn_put_space(&b, SIZE_MAX / 2));
  assert_true(b.failed);
  byn_buf_free(&b);
}

static void appending_takes_few_allocations(void **state) {
  byn_buf b;
  (void)state;
  byn_buf_init(&b, &alloc);
  for (int i = 0; i < 1000000; i++)
    byn_put_u8(&b, (uint8_t)i);
  assert_int_equal(b.len, 1000000);
  assert_true(test.calls < 20);
  byn_buf_free(&b);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(fixed_numbers_are_big_endian),
      TEST(doubles_come_back_bit_by_bit),
      TEST(varints_come_back_and_are_as_short_as_they_can),
      TEST(small_signed_numbers_take_one_byte),
      TEST(varints_past_64_bits_are_refused),
      TEST(strings_are_views_of_their_bytes),
      TEST(a_string_longer_than_its_buffer_is_refused),
      TEST(a_reader_that_failed_stays_failed),
      TEST(dropping_and_truncating_keep_the_rest),
      TEST(a_patch_outside_the_buffer_does_nothing),
      TEST(a_failed_allocation_stops_all_later_puts),
      TEST(a_size_that_cannot_be_is_refused),
      TEST(appending_takes_few_allocations),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
