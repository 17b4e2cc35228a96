/* What joins, splits and deaths cost, counted in bytes, records and actions:
 * never more than what differs, and no more for each child the more there are.
 */
#include "dist_crowd.h"
#include "support.h"

static uint64_t entries(const crowd *c) {
  return crowd_records(c, BYN_RECORD_ENTRY);
}

/* Bytes of all children, whole, as one node has them. */
static uint64_t copy_size(const crowd *c, int node) {
  byn_buf b;
  byn_buf_init(&b, &c->config.alloc);
  const byn_tree *tree = &c->nodes[node].d->registry.tree;
  for (const byn_place *p = byn_tree_first(tree); p; p = byn_tree_next(tree, p))
    byn_place_put(&b, p, BYN_ENTRY_WHOLE);
  uint64_t size = b.len;
  byn_buf_free(&b);
  return size;
}

/* The first `booted` nodes run so many children, the rest is to come. */
static crowd *full(int nodes, int booted, uint32_t children, size_t spec) {
  crowd *c = crowd_new(nodes);
  c->spec_size = spec;
  for (int i = 0; i < booted; i++)
    crowd_boot(c, i);
  crowd_await(c, 0, 5000);
  for (uint32_t id = 0; id < children; id += 50)
    crowd_fill(c, (int)(id / 50) % booted, id, id + 50);
  crowd_await(c, children, 60000);
  crowd_run(c, 3000);
  crowd_count(c);
  return c;
}

/* --- joins ---------------------------------------------------------------- */

static void join_takes_one_copy(void **state) {
  (void)state;
  crowd *c = full(24, 23, 3000, 40);
  uint64_t copy = copy_size(c, 0);
  crowd_boot(c, 23);
  crowd_await(c, 3000, 5000);
  assert_in_range(crowd_sent(c), copy, copy * 3 / 2);
  assert_int_equal(entries(c), 3000);
  crowd_free(c);
}

/* Who is met while the newcomer takes it from another does not compare what is
 * there so far. */
static void links_come_one_by_one(void **state) {
  (void)state;
  crowd *c = full(12, 11, 3000, 1000);
  uint64_t copy = copy_size(c, 0);
  crowd_boot_apart(c, 11);
  for (int i = 0; i < 11; i++) {
    crowd_connect(c, 11, i);
    crowd_step(c);
  }
  crowd_await(c, 3000, 5000);
  assert_int_equal(entries(c), 3000);
  uint64_t compared = 0;
  for (int i = 0; i < 12; i++)
    compared += c->nodes[i].record_bytes[BYN_RECORD_COMPARE];
  assert_true(compared < 40000);
  assert_in_range(crowd_sent(c), copy, copy * 3 / 2);
  crowd_free(c);
}

/* Until the newcomer has taken some of it, but not all. */
static int await_half(crowd *c, int newcomer) {
  int giver = -1;
  while (giver < 0) {
    crowd_step(c);
    for (int i = 0; i < newcomer; i++)
      if (c->nodes[i].records[BYN_RECORD_ENTRY] > 100) giver = i;
  }
  assert_in_range(entries(c), 100, 2900);
  return giver;
}

static uint32_t known(const crowd *c, int node) {
  return c->nodes[node].d->registry.tree.count;
}

/* One that hangs is not waited for, and what came from it counts. */
static void giver_hangs(void **state) {
  (void)state;
  crowd *c = full(8, 7, 3000, 1000);
  uint64_t copy = copy_size(c, 0);
  crowd_boot(c, 7);
  int giver = await_half(c, 7);
  c->nodes[giver].deaf = true;
  for (int ms = 0; known(c, 7) < 3000; ms++) {
    assert_true(ms < 4000);
    crowd_step(c);
  }
  assert_true(crowd_sent(c) < 2 * copy);
  c->nodes[giver].deaf = false;
  crowd_await(c, 3000, 8000);
  assert_true(crowd_sent(c) < 3 * copy);
  crowd_free(c);
}

static void giver_dies(void **state) {
  (void)state;
  crowd *c = full(8, 7, 3000, 1000);
  uint64_t copy = copy_size(c, 0);
  crowd_boot(c, 7);
  crowd_kill(c, await_half(c, 7));
  crowd_await(c, 3000, 8000);
  assert_true(c->nodes[7].taken < 2 * copy);
  crowd_free(c);
}

/* Two at once: each takes one copy. */
static void two_newcomers(void **state) {
  (void)state;
  crowd *c = full(8, 6, 3000, 40);
  uint64_t copy = copy_size(c, 0);
  crowd_boot(c, 6);
  crowd_boot(c, 7);
  crowd_await(c, 3000, 5000);
  assert_true(crowd_sent(c) < 3 * copy);
  crowd_free(c);
}

static void nobody_has_anything(void **state) {
  (void)state;
  crowd *c = crowd_new(24);
  for (int i = 0; i < 24; i++)
    crowd_boot(c, i);
  crowd_await(c, 0, 5000);
  assert_int_equal(entries(c), 0);
  uint64_t compared = 0;
  for (int i = 0; i < 24; i++)
    compared += c->nodes[i].record_bytes[BYN_RECORD_COMPARE] +
                c->nodes[i].record_bytes[BYN_RECORD_COMPARED];
  assert_true(compared < 24 * 23 * 64);
  crowd_free(c);
}

/* --- splits --------------------------------------------------------------- */

/* One half, which runs no children, misses `more` that start. Answers what it
 * costs to tell them, in bytes and entries. */
static uint64_t missed(uint32_t children, uint32_t more, uint64_t *told) {
  crowd *c = crowd_new(6);
  for (int i = 0; i < 6; i++) {
    c->hosts[i] = i < 3;
    crowd_boot(c, i);
  }
  crowd_await(c, 0, 5000);
  crowd_fill(c, 0, 0, children);
  crowd_await(c, children, 60000);
  for (int i = 0; i < 3; i++)
    for (int j = 3; j < 6; j++)
      crowd_cut(c, i, j, false);
  crowd_run(c, 8000);
  crowd_fill(c, 0, children, children + more);
  crowd_run(c, 3000);
  crowd_count(c);
  for (int i = 0; i < 3; i++)
    for (int j = 3; j < 6; j++)
      crowd_connect(c, i, j);
  crowd_await(c, children + more, 5000);
  uint64_t sent = crowd_sent(c);
  *told = entries(c);
  crowd_free(c);
  return sent;
}

/* Each of the three takes what it missed, once. */
static void halves_tell_what_differs(void **state) {
  (void)state;
  uint64_t none, told;
  uint64_t idle = missed(2000, 0, &none);
  assert_int_equal(none, 0);
  uint64_t few = missed(2000, 10, &told) - idle;
  assert_in_range(told, 30, 40);
  /* An entry, and a path of 3 spans, for each, and for both sides. */
  assert_true(few < 3 * 10 * 3000);
  uint64_t of_many = missed(20000, 10, &told) - idle;
  assert_in_range(told, 30, 40);
  assert_true(of_many < 2 * few);
  uint64_t many = missed(2000, 100, &told) - idle;
  assert_in_range(told, 300, 400);
  assert_true(many < 10 * few);
}

/* --- deaths --------------------------------------------------------------- */

typedef struct death_cost {
  double entries, bytes, packets; /* of each child */
  uint32_t longest;
} death_cost;

/* All children run on the node that is killed; `late_ms`: one of the others
 * notices so much later. */
static death_cost death(uint32_t children, int64_t late_ms) {
  crowd *c = crowd_new(4);
  crowd_boot(c, 0);
  crowd_await(c, 0, 5000);
  crowd_fill(c, 0, 0, children);
  crowd_await(c, children, 60000);
  for (int i = 1; i < 4; i++)
    crowd_boot(c, i);
  crowd_await(c, children, 5000);
  crowd_run(c, 3000);
  crowd_count(c);
  c->nodes[3].unaware_until = c->now + late_ms;
  crowd_kill(c, 0);
  crowd_await(c, children, 60000);
  death_cost cost = {.entries = (double)entries(c) / children,
                     .bytes = (double)crowd_sent(c) / children};
  for (int i = 0; i < 4; i++) {
    if (c->nodes[i].longest > cost.longest) cost.longest = c->nodes[i].longest;
    cost.packets += (double)c->nodes[i].packets_sent / children;
  }
  crowd_free(c);
  return cost;
}

static void deaths_are_linear(void **state) {
  (void)state;
  death_cost few = death(1000, 0), many = death(16000, 0);
  /* That it starts and that it runs, to two others. */
  assert_true(few.entries < 4.1 && many.entries < 4.1);
  assert_true(many.bytes < few.bytes * 1.1);
  assert_true(many.packets < few.packets * 1.1);
  assert_true(few.longest < 500 && many.longest < 500);
}

/* Who knows already that it is dead does not take what that one wrote for a
 * difference, nor does who does not know yet. */
static void known_late(void **state) {
  (void)state;
  death_cost cost = death(4000, 400);
  assert_true(cost.entries < 4.1);
}

/* What a caller waits for does not stand behind all that is to be done. */
static void callers_are_served_meanwhile(void **state) {
  (void)state;
  crowd *c = crowd_new(3);
  crowd_boot(c, 0);
  crowd_await(c, 0, 5000);
  crowd_fill(c, 0, 0, 16000);
  crowd_await(c, 16000, 60000);
  crowd_boot(c, 1);
  crowd_boot(c, 2);
  crowd_await(c, 16000, 5000);
  crowd_kill(c, 0);
  while (!byn_dist_is_ready(c->nodes[1].d) || c->nodes[1].started == 0)
    crowd_step(c);
  byn_dist_status before, after;
  byn_dist_status_of(c->nodes[1].d, &before);
  assert_true(before.queued + before.lost > 4000);
  crowd_count(c);
  byn_dist_id gone;
  char key[16];
  crowd_key(5, key, &gone);
  crowd_time(c, 1);
  byn_dist_terminate(c->nodes[1].d, ++c->requests, &gone, 60000);
  crowd_drain(c, 1);
  crowd_run(c, 20);
  assert_int_equal(c->nodes[1].answered, 1);
  byn_dist_status_of(c->nodes[1].d, &after);
  assert_true(after.queued + after.lost > 2000);
  crowd_await(c, 15999, 60000);
  crowd_free(c);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(join_takes_one_copy),
      cmocka_unit_test(links_come_one_by_one),
      cmocka_unit_test(giver_hangs),
      cmocka_unit_test(giver_dies),
      cmocka_unit_test(two_newcomers),
      cmocka_unit_test(nobody_has_anything),
      cmocka_unit_test(halves_tell_what_differs),
      cmocka_unit_test(deaths_are_linear),
      cmocka_unit_test(known_late),
      cmocka_unit_test(callers_are_served_meanwhile),
  };
  return cmocka_run_group_tests_name("dist cost", tests, NULL, NULL);
}
