/* Ten thousand children, each with a copy on both sides of a split: what it
 * costs to come back to one of each.
 */
#define RIG_IDS 10000
#include "dist_rig.h"

enum {
  ROUND_MS = 1, /* a message takes so long */
  ROUNDS = 20,  /* so often answers are awaited */
  /* Of both sides, besides two for each process, one for its end and one that
   * says what its checkpoint is not for: packets as large as they may be. */
  PACKETS = 300,
  CHILD_BYTES = 650 /* of a child, of both sides */
};

static rig the_rig;

static void total(const rig *r, uint32_t *messages, uint64_t *bytes) {
  *messages = 0;
  *bytes = 0;
  for (int i = 0; i < r->count; i++) {
    *messages += r->nodes[i].sends;
    *bytes += r->nodes[i].bytes;
  }
}

static int running(const rig *r) {
  int count = 0;
  for (int p = 0; p < r->process_count; p++)
    count += r->processes[p].state == RIG_RUNNING;
  return count;
}

static void conflicts(void **state) {
  (void)state;
  const int ids = (int)byn_test_plays(RIG_IDS);
  rig *r = &the_rig;
  rig_init(r, 1, 2);
  r->delay_ms = r->start_ms = r->stop_ms = 0;
  rig_boot(r, 0);
  rig_boot(r, 1);
  rig_run(r, 500);
  for (int id = 0; id < ids; id++)
    rig_start(r, id % 2, id, 0);
  rig_run(r, 1000);
  assert_int_equal(running(r), ids);
  static char before[RIG_IDS][24];
  memcpy(before, r->nodes[0].shown, sizeof before);
  rig_cut(r, 0, 1);
  rig_run(r, 3000);
  assert_int_equal(running(r), 2 * ids);
  uint32_t messages, so_far;
  uint64_t bytes, bytes_so_far;
  total(r, &so_far, &bytes_so_far);
  rig_mend(r, 0, 1);
  int64_t began = r->now;
  while (running(r) > ids) {
    rig_run(r, ROUND_MS);
    RIG_HOLDS(r, r->now - began < 10000);
  }
  int64_t rounds = r->now - began;
  rig_run(r, 100);
  total(r, &messages, &bytes);
  messages -= so_far;
  bytes -= bytes_so_far;
  print_message("%d conflicts: %" PRId64 " rounds, %u messages, %" PRIu64
                " bytes\n",
                ids, rounds, messages, bytes);
  assert_true(rounds <= ROUNDS);
  assert_true(messages <= 2 * (uint32_t)ids + PACKETS);
  assert_true(bytes <= (uint64_t)ids * CHILD_BYTES);
  for (int id = 0; id < ids; id++)
    for (int i = 0; i < 2; i++)
      assert_string_equal(r->nodes[i].shown[id], before[id]);
  rig_free(r);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(conflicts)};
  return cmocka_run_group_tests_name("dist conflicts", tests, NULL, NULL);
}
