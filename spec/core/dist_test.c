/* Children of a distributed supervisor on several nodes, one promise at a time.
 */
#include "dist_rig.h"

static rig the_rig;

static void one_node(void **state) {
  (void)state;
  rig *r = rig_all(&the_rig, 1);
  rig_start_all(r, 10);
  rig_assert_all_run(r, 10);
  int again = rig_start(r, 0, 3, 0);
  rig_run(r, 100);
  rig_assert_answer(r, again, BYN_DIST_ALREADY_STARTED);
  int end = rig_terminate(r, 0, 3);
  int none = rig_terminate(r, 0, 99);
  rig_run(r, 100);
  rig_assert_answer(r, end, BYN_DIST_OK);
  rig_assert_answer(r, none, BYN_DIST_NOT_FOUND);
  int running;
  rig_running(r, 3, &running);
  assert_int_equal(running, 0);
  rig_free(r);
}

static void three_nodes(void **state) {
  (void)state;
  rig *r = rig_all(&the_rig, 3);
  rig_start_all(r, 60);
  rig_assert_all_run(r, 60);
  for (int i = 0; i < 3; i++)
    RIG_HOLDS(r, r->nodes[i].starts > 5);
  int ends[60];
  for (int id = 0; id < 60; id++)
    ends[id] = rig_terminate(r, (id + 1) % 3, id);
  rig_run(r, 500);
  for (int id = 0; id < 60; id++) {
    rig_assert_answer(r, ends[id], BYN_DIST_OK);
    int running;
    rig_running(r, id, &running);
    assert_int_equal(running, 0);
  }
  rig_free(r);
}

static void poison(void **state) {
  (void)state;
  rig *r = rig_all(&the_rig, 3);
  rig_start_all(r, 30);
  r->poison = 30;
  int request = rig_start(r, 0, 30, 0);
  rig_run(r, 60);
  rig_assert_answer(r, request, BYN_DIST_OK);
  rig_run(r, 2000);
  assert_int_equal(rig_explain(r, 0, 30).state, BYN_DIST_FAILING);
  byn_dist_child c = rig_explain(r, 1, 30);
  assert_int_equal(c.state, BYN_DIST_FAILING);
  assert_true(c.failures >= 4);
  assert_memory_equal(c.reason.at, "crash", 5);
  assert_int_equal(rig_starts(r), 30 + 4 + c.failures - 1);
  rig_assert_all_run(r, 30);
  int again = rig_start(r, 1, 30, 0);
  rig_run(r, 100);
  rig_assert_answer(r, again, BYN_DIST_ALREADY_PRESENT);
  r->poison = -1;
  rig_run(r, 20000);
  rig_assert_all_run(r, 31);
  assert_int_equal(rig_explain(r, 2, 30).failures, 0);
  r->poison = 30;
  int running;
  rig_end(r, rig_running(r, 30, &running), false, "crash");
  rig_run(r, 1000);
  int end = rig_terminate(r, 2, 30);
  rig_run(r, 100);
  rig_assert_answer(r, end, BYN_DIST_OK);
  assert_int_equal(rig_explain(r, 0, 30).state, BYN_DIST_ENDED);
  uint32_t so_far = rig_starts(r);
  rig_run(r, 40000);
  assert_int_equal(rig_starts(r), so_far);
  rig_free(r);
}

/* Where it fails next it waits as long as it would have. */
static void failing_moves(void **state) {
  (void)state;
  rig *r = rig_all(&the_rig, 3);
  r->poison = 0;
  rig_start(r, 0, 0, 0);
  rig_run(r, 5000);
  byn_dist_child c = rig_explain(r, 0, 0);
  assert_int_equal(c.state, BYN_DIST_FAILING);
  int there = rig_index(c.node);
  uint32_t failures = c.failures, before = rig_starts(r);
  rig_kill(r, there);
  rig_run(r, 1000);
  assert_int_equal(rig_starts(r), before);
  c = rig_explain(r, (there + 1) % 3, 0);
  assert_int_equal(c.state, BYN_DIST_FAILING);
  assert_true(c.failures >= failures);
  assert_true(rig_index(c.node) != there);
  rig_free(r);
}

static void failed_starts(void **state) {
  (void)state;
  rig *r = rig_all(&the_rig, 3);
  r->failing_id = 5;
  int request = rig_start(r, 0, 5, 0);
  rig_run(r, 100);
  rig_assert_answer(r, request, BYN_DIST_ERROR);
  assert_string_equal(r->requests[request].reason, "sorry");
  r->failing_id = -1;
  request = rig_start(r, 1, 5, 0);
  rig_run(r, 100);
  rig_assert_answer(r, request, BYN_DIST_OK);
  r->failing_id = 5;
  int running;
  rig_end(r, rig_running(r, 5, &running), false, "crash");
  rig_run(r, 500);
  assert_int_equal(rig_explain(r, 0, 5).state, BYN_DIST_FAILING);
  r->failing_id = -1;
  rig_run(r, 5000);
  rig_assert_all_run(r, 0);
  assert_int_equal(rig_explain(r, 0, 5).state, BYN_DIST_RUNNING);
  rig_free(r);
}

/* A host that is lost between STARTING and RUNNING may have answered. */
static void lost_while_starting(void **state) {
  (void)state;
  rig *r = rig_all(&the_rig, 3);
  int id = 0, running;
  while (strcmp(rig_explain(r, 0, id).owner, rig_names[2]) != 0)
    id++;
  r->start_ms = 40;
  r->notice_ms = 300;
  int request = rig_start(r, 2, id, 0);
  while (rig_explain(r, 0, id).state != BYN_DIST_STARTING ||
         rig_explain(r, 1, id).state != BYN_DIST_STARTING)
    rig_run(r, 1);
  rig_running(r, id, &running);
  assert_int_equal(running, 0);
  rig_cut(r, 0, 2);
  rig_cut(r, 1, 2);
  rig_run(r, 50);
  rig_running(r, id, &running);
  assert_int_equal(running, 1);
  r->failing_id = id;
  rig_run(r, 2500); /* one that sees it longer is asked again */
  rig_assert_answer(r, request, BYN_DIST_OK);
  assert_int_equal(rig_explain(r, 0, id).state, BYN_DIST_FAILING);
  r->failing_id = -1;
  rig_mend(r, 0, 2);
  rig_mend(r, 1, 2);
  rig_run(r, 1000);
  assert_int_equal(rig_running(r, id, &running)->node, 2);
  assert_int_equal(running, 1);
  rig_free(r);
}

static void ends(void **state) {
  (void)state;
  rig *r = rig_all(&the_rig, 2);
  int running;
  int first = rig_start(r, 0, 1, BYN_DIST_TRANSIENT);
  rig_start(r, 0, 2, BYN_DIST_TRANSIENT);
  rig_start(r, 0, 3, BYN_DIST_TEMPORARY);
  rig_start(r, 0, 4, 0);
  rig_run(r, 100);
  rig_assert_answer(r, first, BYN_DIST_OK);
  for (int id = 1; id <= 4; id++)
    rig_end(r, rig_running(r, id, &running), id != 2, "end");
  rig_run(r, 100);
  for (int i = 0; i < 2; i++) {
    assert_int_equal(rig_explain(r, i, 1).state, BYN_DIST_ENDED);
    assert_int_equal(rig_explain(r, i, 2).state, BYN_DIST_RUNNING);
    assert_int_equal(rig_explain(r, i, 3).state, BYN_DIST_ENDED);
    assert_int_equal(rig_explain(r, i, 4).state, BYN_DIST_RUNNING);
    assert_string_equal(r->nodes[i].shown[1], "");
  }
  rig_run(r, 70000);
  assert_int_equal(rig_explain(r, 0, 1).state, BYN_DIST_UNKNOWN);
  rig_free(r);
}

static void temporary_is_lost(void **state) {
  (void)state;
  rig *r = rig_all(&the_rig, 3);
  for (int id = 0; id < 30; id++)
    rig_start(r, 0, id, BYN_DIST_TEMPORARY);
  rig_run(r, 200);
  int on[30], lost = 0;
  for (int id = 0; id < 30; id++) {
    int running;
    on[id] = rig_running(r, id, &running)->node;
  }
  rig_kill(r, 2);
  rig_run(r, 500);
  for (int id = 0; id < 30; id++) {
    byn_dist_child c = rig_explain(r, 0, id);
    assert_int_equal(c.state, on[id] == 2 ? BYN_DIST_ENDED : BYN_DIST_RUNNING);
    lost += on[id] == 2;
    if (on[id] == 2) assert_int_equal(c.why, BYN_DIST_WHY_NOCONNECTION);
  }
  assert_true(lost > 0);
  rig_free(r);
}

static void refused(void **state) {
  (void)state;
  rig *r = rig_all(&the_rig, 3);
  r->refusing_node = 1;
  rig_start_all(r, 40);
  rig_assert_all_run(r, 40);
  int running, not_there = 0;
  for (int id = 0; id < 40; id++) {
    assert_int_not_equal(rig_running(r, id, &running)->node, 1);
    byn_dist_child c = rig_explain(r, 0, id);
    if (strcmp(c.owner, rig_names[1]) != 0) continue;
    assert_true(c.refused_by_owner);
    not_there++;
  }
  assert_true(not_there > 0);
  rig_free(r);
}

static void refused_by_all(void **state) {
  (void)state;
  rig *r = rig_all(&the_rig, 1);
  r->refusing_node = 0;
  int request = rig_start(r, 0, 1, 0);
  rig_run(r, 100);
  rig_assert_answer(r, request, BYN_DIST_REFUSED);
  assert_string_equal(r->requests[request].reason, "sorry");
  assert_string_equal(r->requests[request].where, rig_names[0]);
  rig_free(r);
}

static void waits_for_room(void **state) {
  (void)state;
  rig *r = &the_rig;
  rig_init(r, 3, 2);
  r->config.max_children = 10;
  rig_boot(r, 0);
  rig_boot(r, 1);
  rig_run(r, 500);
  int last = 0;
  for (int id = 0; id < 20; id++)
    last = rig_start(r, 0, id, 0);
  rig_run(r, 500);
  rig_assert_answer(r, last, BYN_DIST_OK);
  int full = rig_start(r, 1, 20, 0);
  rig_run(r, 200);
  rig_assert_answer(r, full, BYN_DIST_NO_ROOM);
  rig_kill(r, 1);
  rig_run(r, 1000);
  uint32_t here, everywhere;
  byn_dist_count(r->nodes[0].d, &here, &everywhere);
  assert_int_equal(here, 10);
  byn_dist_status s;
  byn_dist_status_of(r->nodes[0].d, &s);
  assert_int_equal(s.waiting, 10);
  int waiting = 0;
  while (rig_explain(r, 0, waiting).state != BYN_DIST_WAITING)
    waiting++;
  int present = rig_start(r, 0, waiting, 0);
  rig_run(r, 1);
  rig_assert_answer(r, present, BYN_DIST_ALREADY_PRESENT);
  rig_boot(r, 1);
  rig_run(r, 2000);
  rig_assert_all_run(r, 20);
  rig_free(r);
}

static void room_comes_back(void **state) {
  (void)state;
  rig *r = &the_rig;
  rig_init(r, 3, 2);
  r->config.max_children = 10;
  rig_boot(r, 0);
  rig_boot(r, 1);
  rig_run(r, 500);
  for (int id = 0; id < 20; id++)
    rig_start(r, 0, id, 0);
  rig_run(r, 500);
  rig_kill(r, 1);
  rig_run(r, 1000);
  for (int id = 0; id < 20; id++)
    if (rig_explain(r, 0, id).state == BYN_DIST_RUNNING)
      rig_terminate(r, 0, id);
  rig_run(r, 3000);
  uint32_t here, everywhere;
  byn_dist_count(r->nodes[0].d, &here, &everywhere);
  assert_int_equal(here, 10);
  rig_free(r);
}

static void pinned(void **state) {
  (void)state;
  rig *r = rig_all(&the_rig, 3);
  byn_dist_start_spec what = {.spec = (const uint8_t *)"s", .spec_len = 1};
  for (int id = 0; id < 9; id++) {
    what.node = rig_names[id % 3];
    rig_ask(r, 0, id, false, &what, 1000);
  }
  what.node = "x@h";
  int nobody = rig_ask(r, 0, 9, false, &what, 1000);
  rig_run(r, 200);
  rig_assert_answer(r, nobody, BYN_DIST_NOCONNECTION);
  int running;
  for (int id = 0; id < 9; id++)
    assert_int_equal(rig_running(r, id, &running)->node, id % 3);
  rig_kill(r, 1);
  rig_run(r, 500);
  rig_assert_all_run(r, 9);
  rig_free(r);
}

static void ensured(void **state) {
  (void)state;
  rig *r = rig_all(&the_rig, 3);
  int a = rig_start(r, 0, 1, BYN_DIST_ENSURE);
  int b = rig_start(r, 1, 1, BYN_DIST_ENSURE);
  int c = rig_start(r, 2, 1, 0);
  rig_run(r, 300);
  rig_assert_answer(r, a, BYN_DIST_OK);
  rig_assert_answer(r, b, BYN_DIST_OK);
  assert_string_equal(r->requests[a].pid, r->requests[b].pid);
  rig_assert_answer(r, c, BYN_DIST_ALREADY_STARTED);
  assert_string_equal(r->requests[a].pid, r->requests[c].pid);
  rig_free(r);
}

static void too_large(void **state) {
  (void)state;
  rig *r = rig_all(&the_rig, 1);
  uint8_t *spec = calloc(1, (1 << 20) + 1);
  byn_dist_start_spec what = {.spec = spec, .spec_len = (1 << 20) + 1};
  int large = rig_ask(r, 0, 1, false, &what, 1000);
  what.spec_len--;
  int most = rig_ask(r, 0, 1, false, &what, 1000);
  rig_run(r, 100);
  rig_assert_answer(r, large, BYN_DIST_TOO_LARGE);
  rig_assert_answer(r, most, BYN_DIST_OK);
  free(spec);
  rig_free(r);
}

static void hanging_start(void **state) {
  (void)state;
  rig *r = rig_all(&the_rig, 1);
  r->hanging = true;
  byn_dist_start_spec what = {.spec = (const uint8_t *)"s", .spec_len = 1};
  int hangs = rig_ask(r, 0, 1, false, &what, 2000);
  rig_run(r, 10);
  r->hanging = false;
  int other = rig_start(r, 0, 2, 0);
  rig_run(r, 100);
  rig_assert_answer(r, other, BYN_DIST_OK);
  rig_run(r, 3000);
  rig_assert_answer(r, hangs, BYN_DIST_TIMEOUT);
  assert_int_equal(rig_explain(r, 0, 1).state, BYN_DIST_ENDED);
  assert_int_equal(r->nodes[0].stops, 1);
  rig_free(r);
}

/* Whose caller was told that its time is over does not run later: neither one
 * that waits for others, nor one that is under way on another node. */
static void late_starts_do_not_run(void **state) {
  (void)state;
  rig *r = &the_rig;
  rig_init(r, 3, 2);
  r->config.start_concurrency = 1;
  rig_boot(r, 0);
  rig_boot(r, 1);
  rig_run(r, 500);
  r->hanging = true;
  byn_dist_start_spec what = {.spec = (const uint8_t *)"s", .spec_len = 1};
  int requests[20];
  for (int id = 0; id < 20; id++)
    requests[id] = rig_ask(r, 0, id, false, &what, 2000);
  rig_run(r, 1900);
  uint32_t before = rig_starts(r);
  assert_int_equal(before, 2);
  rig_run(r, 1000);
  for (int id = 0; id < 20; id++)
    rig_assert_answer(r, requests[id], BYN_DIST_TIMEOUT);
  r->hanging = false;
  rig_run(r, 5000);
  for (int id = 0, running; id < 20; id++) {
    rig_running(r, id, &running);
    assert_int_equal(running, 0);
    for (int i = 0; i < 2; i++)
      assert_int_equal(rig_explain(r, i, id).state, BYN_DIST_ENDED);
  }
  assert_true(rig_starts(r) < before + 18);
  rig_start_all(r, 20);
  rig_free(r);
}

/* As many starts as may be under way wait for others, which they asked for:
 * here and on the other node. */
static void nested_starts(void **state) {
  (void)state;
  rig *r = &the_rig;
  rig_init(r, 3, 2);
  r->config.start_concurrency = 2;
  rig_boot(r, 0);
  rig_boot(r, 1);
  rig_run(r, 500);
  r->hanging = true;
  for (int id = 0; id < 20; id++)
    rig_start(r, id % 2, id, 0);
  rig_run(r, 200);
  assert_int_equal(rig_starts(r), 4);
  r->hanging = false;
  int inner[20], other = rig_start(r, 0, 40, 0);
  for (int id = 0; id < 20; id++)
    inner[id] = rig_start(r, id % 2, 20 + id, BYN_DIST_NESTED);
  rig_run(r, 200);
  for (int id = 0; id < 20; id++)
    rig_assert_answer(r, inner[id], BYN_DIST_OK);
  assert_false(r->requests[other].answered);
  rig_run(r, 40000);
  rig_free(r);
}

static void restarts_beside_hanging_starts(void **state) {
  (void)state;
  rig *r = &the_rig;
  rig_init(r, 3, 1);
  r->config.start_concurrency = 2;
  rig_boot(r, 0);
  rig_run(r, 500);
  rig_start_all(r, 2);
  r->hanging = true;
  rig_start(r, 0, 2, 0);
  rig_start(r, 0, 3, 0);
  r->hanging = false;
  int running;
  rig_end(r, rig_running(r, 0, &running), false, "crash");
  rig_run(r, 100);
  assert_int_equal(rig_explain(r, 0, 0).state, BYN_DIST_RUNNING);
  r->hanging = true;
  rig_end(r, rig_running(r, 0, &running), false, "crash");
  r->hanging = false;
  rig_end(r, rig_running(r, 1, &running), false, "crash");
  rig_run(r, 100);
  assert_int_equal(rig_explain(r, 0, 1).state, BYN_DIST_RUNNING);
  rig_free(r);
}

/* The reason of a refusal goes, and nobody says so. */
static void refusals_are_taken_back(void **state) {
  (void)state;
  rig *r = rig_all(&the_rig, 2);
  rig_start_all(r, 20);
  r->refusing_node = 0;
  rig_kill(r, 1);
  rig_run(r, 20000);
  byn_dist_status s;
  byn_dist_status_of(r->nodes[0].d, &s);
  assert_true(s.waiting > 0);
  uint32_t so_far = rig_starts(r);
  rig_run(r, 20000);
  assert_true(rig_starts(r) - so_far <= 2 * s.waiting);
  r->refusing_node = -1;
  rig_run(r, 31000);
  rig_assert_all_run(r, 20);
  rig_free(r);
}

static void options_change(void **state) {
  (void)state;
  rig *r = &the_rig;
  rig_init(r, 3, 1);
  r->config.max_children = 2;
  r->config.max_spec = 3;
  r->config.max_restarts = 0;
  rig_boot(r, 0);
  rig_run(r, 500);
  int large = rig_start(r, 0, 0, 0);
  rig_run(r, 10);
  rig_assert_answer(r, large, BYN_DIST_TOO_LARGE);
  byn_dist_config other = r->config;
  other.max_spec = 4;
  byn_dist_configure(r->nodes[0].d, &other);
  rig_start_all(r, 2);
  int full = rig_start(r, 0, 2, 0);
  rig_run(r, 100);
  rig_assert_answer(r, full, BYN_DIST_NO_ROOM);
  other.max_children = 3;
  other.max_restarts = 1;
  byn_dist_configure(r->nodes[0].d, &other);
  rig_start_all(r, 0);
  int fits = rig_start(r, 0, 2, 0), running;
  rig_run(r, 100);
  rig_assert_answer(r, fits, BYN_DIST_OK);
  rig_end(r, rig_running(r, 0, &running), false, "crash");
  rig_run(r, 50);
  assert_int_equal(rig_explain(r, 0, 0).failures, 0);
  rig_assert_all_run(r, 3);
  rig_free(r);
}

static void side_by_side(void **state) {
  (void)state;
  rig *r = rig_all(&the_rig, 2);
  rig_start_all(r, 100);
  r->start_ms = 0;
  int there = 0, running;
  for (int id = 0; id < 100; id++)
    there += rig_running(r, id, &running)->node == 1;
  rig_kill(r, 1);
  rig_run(r, 20);
  byn_dist_status s;
  byn_dist_status_of(r->nodes[0].d, &s);
  rig_run(r, 500);
  rig_assert_all_run(r, 100);
  assert_true(there > 20);
  rig_free(r);
}

/* A restart does not wait for starts that were asked for before. */
static void restart_first(void **state) {
  (void)state;
  rig *r = &the_rig;
  rig_init(r, 3, 1);
  r->config.start_concurrency = 1;
  rig_boot(r, 0);
  rig_run(r, 500);
  rig_start_all(r, 1);
  r->start_ms = 40;
  for (int id = 1; id < 60; id++)
    rig_start(r, 0, id, 0);
  int running;
  rig_end(r, rig_running(r, 0, &running), false, "crash");
  rig_run(r, 100);
  assert_int_equal(rig_explain(r, 0, 0).state, BYN_DIST_RUNNING);
  assert_int_equal(rig_explain(r, 0, 59).state, BYN_DIST_STARTING);
  rig_run(r, 4000);
  rig_assert_all_run(r, 60);
  rig_free(r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(late_starts_do_not_run),
      cmocka_unit_test(nested_starts),
      cmocka_unit_test(restarts_beside_hanging_starts),
      cmocka_unit_test(refusals_are_taken_back),
      cmocka_unit_test(options_change),
      cmocka_unit_test(one_node),
      cmocka_unit_test(three_nodes),
      cmocka_unit_test(poison),
      cmocka_unit_test(failing_moves),
      cmocka_unit_test(failed_starts),
      cmocka_unit_test(lost_while_starting),
      cmocka_unit_test(ends),
      cmocka_unit_test(temporary_is_lost),
      cmocka_unit_test(refused),
      cmocka_unit_test(refused_by_all),
      cmocka_unit_test(waits_for_room),
      cmocka_unit_test(room_comes_back),
      cmocka_unit_test(pinned),
      cmocka_unit_test(ensured),
      cmocka_unit_test(too_large),
      cmocka_unit_test(hanging_start),
      cmocka_unit_test(side_by_side),
      cmocka_unit_test(restart_first),

  };
  return cmocka_run_group_tests_name("dist", tests, NULL, NULL);
}
