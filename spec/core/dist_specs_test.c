/* Specs that some nodes have and others lack: as they do not fit what those
 * take, or as nobody who has them has met them yet.
 */
#include "dist_rig.h"

static rig the_rig;

/* One node takes no packet as large as some specs: it knows those children,
 * and may not start them; nothing larger is sent to it. */
static void smaller_packets(void **state) {
  (void)state;
  rig *r = &the_rig;
  rig_init(r, 9, 2);
  rig_boot(r, 0);
  r->config.max_packet = 10000;
  rig_boot(r, 1);
  rig_run(r, 500);
  uint8_t *spec = calloc(1, 20000);
  byn_dist_start_spec what = {.spec = spec, .spec_len = 20000};
  int requests[20];
  for (int id = 0; id < 20; id++)
    requests[id] = rig_ask(r, 0, id, false, &what, 1000);
  int own = rig_ask(r, 1, 20, false, &what, 1000);
  for (int id = 30; id < 50; id++)
    rig_start(r, 0, id, 0);
  rig_run(r, 500);
  rig_assert_answer(r, own, BYN_DIST_TOO_LARGE);
  int here = 0;
  for (int id = 0; id < 20; id++) {
    byn_dist_child c = rig_explain(r, 1, id);
    bool first = strcmp(c.owner, rig_names[0]) == 0;
    rig_assert_answer(r, requests[id],
                      first ? BYN_DIST_OK : BYN_DIST_TOO_LARGE);
    assert_int_equal(c.state, first ? BYN_DIST_RUNNING : BYN_DIST_UNKNOWN);
    here += first;
  }
  assert_true(here > 0 && here < 20);
  assert_int_equal(r->nodes[0].events[BYN_DIST_WITHHELD], 1);
  for (int id = 30; id < 50; id++)
    assert_int_equal(rig_explain(r, 1, id).state, BYN_DIST_RUNNING);
  assert_true(r->largest[0][1] <= 10000);
  free(spec);
  rig_free(r);
}

/* Starts children with specs of so many bytes that node 0 owns. */
static int start_large(rig *r, int from, int count, size_t bytes) {
  uint8_t *spec = calloc(1, bytes);
  byn_dist_start_spec what = {.spec = spec, .spec_len = bytes};
  int id = from;
  for (int started = 0; started < count; id++) {
    if (strcmp(rig_explain(r, 0, id).owner, rig_names[0]) != 0) continue;
    rig_ask(r, 0, id, false, &what, 1000);
    started++;
  }
  free(spec);
  return id;
}

/* What a node cannot take is not offered to it again and again, and it does not
 * ask for it; those who can have it, and get what one of them missed. */
static void withheld_specs_are_not_sent_again(void **state) {
  (void)state;
  rig *r = &the_rig;
  rig_init(r, 9, 3);
  rig_boot(r, 0);
  rig_boot(r, 1);
  r->config.max_packet = 10000;
  rig_boot(r, 2);
  rig_run(r, 500);
  start_large(r, 0, 20, 20000);
  rig_run(r, 10000);
  uint32_t sends;
  uint64_t bytes;
  rig_count_sent(r, 10000, &sends, &bytes);
  assert_true(sends <= 33);
  assert_true(bytes <= 33 * 600);
  /* Nor after the two have lost each other. */
  rig_cut(r, 0, 2);
  rig_run(r, 3000);
  rig_mend(r, 0, 2);
  rig_run(r, 10000);
  rig_count_sent(r, 10000, &sends, &bytes);
  assert_true(sends <= 33);
  assert_true(bytes <= 33 * 600);
  assert_true(r->largest[0][2] <= 10000 && r->largest[1][2] <= 10000);
  rig_free(r);
}

/* A node that lost the owner of such a child, and is the next owner, leaves it
 * to one that has the spec; it says so once. */
static void who_lacks_a_spec_leaves_the_child_to_others(void **state) {
  (void)state;
  rig *r = &the_rig;
  rig_init(r, 9, 3);
  rig_boot(r, 0);
  rig_boot(r, 1);
  r->config.max_packet = 10000;
  rig_boot(r, 2);
  rig_run(r, 500);
  int end = start_large(r, 0, 20, 20000);
  rig_run(r, 1000);
  rig_kill(r, 0);
  rig_run(r, 3000);
  int children = 0, left = 0;
  for (int id = 0; id < end; id++) {
    byn_dist_child c = rig_explain(r, 2, id);
    if (c.state == BYN_DIST_UNKNOWN) continue;
    assert_int_equal(c.state, BYN_DIST_RUNNING);
    assert_string_equal(c.node, rig_names[1]);
    assert_int_equal(c.refused_by_owner, strcmp(c.owner, rig_names[2]) == 0);
    children++;
    left += c.refused_by_owner;
  }
  assert_int_equal(children, 20);
  assert_true(left > 0);
  uint32_t sends;
  uint64_t bytes;
  rig_run(r, 10000);
  rig_count_sent(r, 10000, &sends, &bytes);
  assert_true(sends <= 22);
  assert_true(bytes <= 22 * 600);
  rig_free(r);
}

/* Nodes 1 and 3 hear of children from node 2, which has not their specs. Node 1
 * gets them as it meets node 0, and node 3 from there. */
static void a_spec_is_asked_for(void **state) {
  (void)state;
  rig *r = &the_rig;
  rig_init(r, 9, 4);
  rig_boot(r, 0);
  r->config.max_packet = 10000;
  rig_boot(r, 2);
  r->config.max_packet = 0;
  rig_run(r, 500);
  int end = start_large(r, 0, 10, 20000);
  rig_run(r, 500);
  for (int i = 1; i < 4; i += 2) {
    rig_cut(r, 0, i);
    rig_boot(r, i);
  }
  rig_run(r, 5000);
  uint32_t sends;
  uint64_t bytes;
  rig_count_sent(r, 60000, &sends, &bytes);
  assert_true(bytes < 60 * 4 * 1200);
  rig_mend(r, 0, 1);
  rig_run(r, 20000);
  for (int i = 0; i < 3; i++)
    rig_kill(r, i);
  rig_run(r, 5000);
  int children = 0;
  for (int id = 0; id < end; id++) {
    byn_dist_child c = rig_explain(r, 3, id);
    if (c.state == BYN_DIST_UNKNOWN) continue;
    assert_int_equal(c.state, BYN_DIST_RUNNING);
    children++;
  }
  assert_int_equal(children, 10);
  rig_free(r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(smaller_packets),
      cmocka_unit_test(withheld_specs_are_not_sent_again),
      cmocka_unit_test(who_lacks_a_spec_leaves_the_child_to_others),
      cmocka_unit_test(a_spec_is_asked_for),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
