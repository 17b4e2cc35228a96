#include "support.h"

#include "../../csrc/core/map.h"
#include "../../csrc/core/rng.h"

static void an_empty_map_has_nothing(void **state) {
  (void)state;
  byn_test_alloc t = {0};
  byn_alloc alloc = byn_test_allocator(&t);
  byn_map m;
  byn_map_init(&m, &alloc);
  uint32_t cursor = 0;
  byn_map_entry e;
  assert_null(byn_map_get(&m, 0));
  assert_null(byn_map_remove(&m, 0));
  assert_false(byn_map_next(&m, &cursor, &e));
  byn_map_clear(&m);
  assert_int_equal(t.calls, 0);
}

static void any_number_may_be_a_key(void **state) {
  (void)state;
  static const uint64_t keys[] = {0, 1, UINT64_MAX, 1ull << 63, UINT32_MAX};
  byn_test_alloc t = {0};
  byn_alloc alloc = byn_test_allocator(&t);
  int values[5];
  byn_map m;
  byn_map_init(&m, &alloc);
  for (int i = 0; i < 5; i++)
    assert_true(byn_map_put(&m, keys[i], &values[i]));
  assert_int_equal(m.count, 5);
  for (int i = 0; i < 5; i++)
    assert_ptr_equal(byn_map_get(&m, keys[i]), &values[i]);
  assert_null(byn_map_get(&m, 2));
  byn_map_clear(&m);
  assert_null(byn_map_get(&m, 0));
  byn_test_assert_clean(&t);
}

static void put_replaces_a_value_and_null_removes_it(void **state) {
  (void)state;
  byn_test_alloc t = {0};
  byn_alloc alloc = byn_test_allocator(&t);
  int a, b;
  byn_map m;
  byn_map_init(&m, &alloc);
  assert_true(byn_map_put(&m, 5, &a));
  assert_true(byn_map_put(&m, 5, &b));
  assert_int_equal(m.count, 1);
  assert_ptr_equal(byn_map_get(&m, 5), &b);
  assert_true(byn_map_put(&m, 5, NULL));
  assert_int_equal(m.count, 0);
  assert_null(byn_map_get(&m, 5));
  byn_map_clear(&m);
  byn_test_assert_clean(&t);
}

static void an_emptied_map_fills_again_without_memory(void **s) {
  (void)s;
  byn_test_alloc t = {0};
  byn_alloc alloc = byn_test_allocator(&t);
  byn_map m;
  byn_map_init(&m, &alloc);
  byn_map_empty(&m);
  for (uint64_t k = 0; k < 100; k++)
    assert_true(byn_map_put(&m, k, &m));
  uint64_t calls = t.calls;
  byn_map_empty(&m);
  assert_int_equal(m.count, 0);
  for (uint64_t k = 0; k < 100; k++) {
    assert_null(byn_map_get(&m, k));
    assert_true(byn_map_put(&m, k, &t));
  }
  assert_int_equal(m.count, 100);
  assert_true(t.calls == calls);
  byn_map_clear(&m);
  byn_test_assert_clean(&t);
}

/* The model is an array indexed by key. Few keys and many removals make long
 * runs of neighbours, where a wrong removal loses an entry. */
enum { KEYS = 600 };

static void assert_same(const byn_map *m, void *const *model) {
  uint32_t count = 0, seen = 0, cursor = 0;
  for (int k = 0; k < KEYS; k++) {
    assert_ptr_equal(byn_map_get(m, (uint64_t)k), model[k]);
    count += model[k] != NULL;
  }
  assert_int_equal(m->count, count);
  for (byn_map_entry e; byn_map_next(m, &cursor, &e); seen++)
    assert_ptr_equal(e.value, model[e.key]);
  assert_int_equal(seen, count);
}

static void it_agrees_with_a_plain_array(void **state) {
  (void)state;
  byn_test_alloc t = {0};
  byn_alloc alloc = byn_test_allocator(&t);
  static char values[16];
  void *model[KEYS] = {0};
  byn_rng rng;
  byn_map m;
  byn_rng_seed(&rng, 42);
  byn_map_init(&m, &alloc);
  for (int step = 0; step < 60000; step++) {
    uint64_t key = byn_rng_below(&rng, KEYS);
    /* It fills for a while, then empties for a while. */
    bool put = byn_rng_below(&rng, 10) < (step / 5000 % 2 ? 3u : 7u);
    if (put) {
      void *value = &values[byn_rng_below(&rng, sizeof values)];
      assert_true(byn_map_put(&m, key, value));
      model[key] = value;
    } else {
      assert_ptr_equal(byn_map_remove(&m, key), model[key]);
      model[key] = NULL;
    }
    if (step % 500 == 0) assert_same(&m, model);
  }
  assert_same(&m, model);
  byn_map_clear(&m);
  byn_test_assert_clean(&t);
}

static void what_was_reserved_can_be_put(void **state) {
  (void)state;
  byn_test_alloc t = {0};
  byn_alloc alloc = byn_test_allocator(&t);
  byn_map m;
  byn_map_init(&m, &alloc);
  for (uint64_t k = 0; k < 100; k++) {
    assert_true(byn_map_reserve(&m));
    byn_test_fail_nth(&t, 1);
    assert_true(byn_map_put(&m, k, &m));
    assert_ptr_equal(byn_map_get(&m, k), &m);
    t.fail_at = 0;
  }
  assert_int_equal(t.failed, 0);
  byn_map_clear(&m);
  byn_test_assert_clean(&t);
}

static void fill(const byn_alloc *alloc, void *arg) {
  (void)arg;
  static char value;
  byn_map m;
  byn_map_init(&m, alloc);
  for (uint64_t k = 0; k < 100; k++) {
    uint32_t before = m.count;
    if (byn_map_put(&m, k, &value)) continue;
    assert_int_equal(m.count, before);
    assert_null(byn_map_get(&m, k));
    for (uint64_t had = 0; had < k; had++)
      assert_ptr_equal(byn_map_get(&m, had), &value);
    assert_true(byn_map_put(&m, k, &value));
  }
  assert_int_equal(m.count, 100);
  byn_map_clear(&m);
}

static void short_memory_leaves_the_map_as_it_was(void **state) {
  (void)state;
  assert_true(byn_test_each_failure(fill, NULL) > 3);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_empty_map_has_nothing),
      cmocka_unit_test(any_number_may_be_a_key),
      cmocka_unit_test(put_replaces_a_value_and_null_removes_it),
      cmocka_unit_test(an_emptied_map_fills_again_without_memory),
      cmocka_unit_test(it_agrees_with_a_plain_array),
      cmocka_unit_test(what_was_reserved_can_be_put),
      cmocka_unit_test(short_memory_leaves_the_map_as_it_was),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
