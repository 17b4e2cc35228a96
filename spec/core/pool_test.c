#include "support.h"

#include "../../csrc/core/pool.h"

enum { SIZE = 24, MANY = 1000 };

static void an_empty_pool_takes_no_memory(void **state) {
  (void)state;
  byn_test_alloc t = {0};
  byn_alloc alloc = byn_test_allocator(&t);
  byn_pool pool;
  byn_pool_init(&pool, &alloc, SIZE);
  byn_pool_clear(&pool);
  assert_int_equal(t.calls, 0);
}

/* Each is filled with a byte of its own, which must still be there when all
 * are. */
static void records_do_not_overlap(void **state) {
  (void)state;
  byn_test_alloc t = {0};
  byn_alloc alloc = byn_test_allocator(&t);
  uint8_t *records[MANY];
  byn_pool pool;
  byn_pool_init(&pool, &alloc, SIZE);
  for (int i = 0; i < MANY; i++) {
    records[i] = byn_pool_take(&pool);
    assert_non_null(records[i]);
    assert_int_equal((uintptr_t)records[i] % sizeof(void *), 0);
    memset(records[i], i % 251, SIZE);
  }
  for (int i = 0; i < MANY; i++)
    for (int j = 0; j < SIZE; j++)
      assert_int_equal(records[i][j], i % 251);
  byn_pool_clear(&pool);
  byn_test_assert_clean(&t);
}

static void a_record_given_back_is_taken_next(void **state) {
  (void)state;
  byn_test_alloc t = {0};
  byn_alloc alloc = byn_test_allocator(&t);
  byn_pool pool;
  byn_pool_init(&pool, &alloc, SIZE);
  void *a = byn_pool_take(&pool), *b = byn_pool_take(&pool);
  byn_pool_give(&pool, a);
  byn_pool_give(&pool, b);
  uint64_t calls = t.calls;
  assert_ptr_equal(byn_pool_take(&pool), b);
  assert_ptr_equal(byn_pool_take(&pool), a);
  assert_int_equal(t.calls, calls);
  byn_pool_clear(&pool);
  byn_test_assert_clean(&t);
}

static void many_records_cost_little_more_than_their_size(void **state) {
  (void)state;
  byn_test_alloc t = {0};
  byn_alloc alloc = byn_test_allocator(&t);
  byn_pool pool;
  byn_pool_init(&pool, &alloc, SIZE);
  for (int i = 0; i < MANY; i++)
    assert_non_null(byn_pool_take(&pool));
  assert_true(t.live_bytes < MANY * SIZE * 11 / 10);
  assert_true(t.live_blocks < MANY / 32);
  byn_pool_clear(&pool);
}

static void any_size_gives_aligned_records(void **state) {
  (void)state;
  byn_test_alloc t = {0};
  byn_alloc alloc = byn_test_allocator(&t);
  byn_pool pool;
  byn_pool_init(&pool, &alloc, 1);
  uint8_t *a = byn_pool_take(&pool), *b = byn_pool_take(&pool);
  assert_int_equal((uintptr_t)b % sizeof(void *), 0);
  assert_ptr_not_equal(a, b);
  byn_pool_clear(&pool);
  byn_test_assert_clean(&t);
}

static void what_is_reserved_can_be_taken_without_memory(void **state) {
  (void)state;
  byn_test_alloc t = {0};
  byn_alloc alloc = byn_test_allocator(&t);
  byn_pool pool;
  byn_pool_init(&pool, &alloc, SIZE);
  for (int i = 0; i < MANY; i++) {
    assert_true(byn_pool_reserve(&pool));
    t.fail_at = t.calls + 1;
    assert_non_null(byn_pool_take(&pool));
    t.fail_at = 0;
  }
  byn_pool_clear(&pool);
  byn_test_assert_clean(&t);
}

static void short_memory_gives_no_record_and_keeps_the_others(void **state) {
  (void)state;
  byn_test_alloc t = {0};
  byn_alloc alloc = byn_test_allocator(&t);
  byn_pool pool;
  byn_pool_init(&pool, &alloc, SIZE);
  int *first = byn_pool_take(&pool), taken = 1;
  *first = 42;
  t.fail_at = t.calls + 1;
  t.fail_after = true;
  while (byn_pool_take(&pool))
    taken++;
  assert_int_equal((uint32_t)taken, pool.made);
  assert_false(byn_pool_reserve(&pool));
  assert_int_equal(*first, 42);
  t.fail_at = 0;
  assert_non_null(byn_pool_take(&pool));
  byn_pool_clear(&pool);
  byn_test_assert_clean(&t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_empty_pool_takes_no_memory),
      cmocka_unit_test(records_do_not_overlap),
      cmocka_unit_test(a_record_given_back_is_taken_next),
      cmocka_unit_test(many_records_cost_little_more_than_their_size),
      cmocka_unit_test(any_size_gives_aligned_records),
      cmocka_unit_test(what_is_reserved_can_be_taken_without_memory),
      cmocka_unit_test(short_memory_gives_no_record_and_keeps_the_others),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
