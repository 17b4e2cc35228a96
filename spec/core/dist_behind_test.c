/* A node that has very much to look at, and does it in parts: what others and
 * callers are told says nothing that it has not shown yet.
 */
#define RIG_IDS 9000
#include "dist_move_rig.h"

enum { MANY = 8000, MOVED = MANY };

static rig the_rig;

static uint32_t shown(const rig *r, int i) {
  uint32_t here, everywhere;
  byn_dist_count(r->nodes[i].d, &here, &everywhere);
  return everywhere;
}

/* Node 0, which runs none, misses very many that start. */
static rig *begin(void) {
  rig *r = &the_rig;
  rig_init(r, 17, 4);
  for (int i = 0; i < 4; i++) {
    r->config.hosts = i > 0;
    rig_boot(r, i);
  }
  rig_run(r, 500);
  start_on(r, MOVED, 1, 0, true);
  for (int i = 1; i < 4; i++)
    r->mute[i][0] = true;
  for (int id = 0; id < MANY; id++)
    rig_start(r, 1 + id % 3, id, 0);
  while (shown(r, 1) <= MANY)
    rig_run(r, 100);
  for (int i = 1; i < 4; i++)
    r->mute[i][0] = false;
  return r;
}

/* It takes them, and shows them by and by. */
static void fall_behind(rig *r) {
  uint32_t before = shown(r, 0);
  while (shown(r, 0) == before)
    rig_run(r, 1);
  assert_true(shown(r, 0) < MANY / 2);
}

/* The rig sees to it that no process is asked for its state before all hold
 * what is for it. */
static void holds_before_it_acknowledges(void **state) {
  (void)state;
  rig *r = begin();
  fall_behind(r);
  int request = rig_move(r, 1, MOVED, 2);
  while (!r->nodes[0].held[MOVED]) {
    assert_false(r->requests[request].answered);
    rig_run(r, 1);
  }
  rig_run(r, 300);
  rig_assert_answer(r, request, BYN_DIST_OK);
  assert_int_equal(process_of(r, MOVED)->node, 2);
  rig_free(r);
}

/* What its registry has when a caller is answered can be looked up. */
static void check_shown(const rig *r, int id) {
  char key[16];
  byn_dist_id name;
  rig_key(id, key, &name);
  const byn_place *p = byn_registry_find(&r->nodes[0].d->registry, &name);
  const byn_register *seen = p ? byn_place_seen(p, false, NULL) : NULL;
  if (seen) assert_string_equal(r->nodes[0].shown[id], seen->pid.at);
}

static void shows_before_it_answers(void **state) {
  (void)state;
  enum { ASKED = 400 };
  rig *r = begin();
  fall_behind(r);
  int first = r->request_count, answered = 0;
  for (int i = 0; i < ASKED; i++)
    rig_start(r, 0, i * (MANY / ASKED), 0);
  bool checked[ASKED] = {false};
  while (answered < ASKED) {
    rig_run(r, 1);
    for (int i = 0; i < ASKED; i++) {
      const rig_request *q = &r->requests[first + i];
      if (!q->answered || checked[i]) continue;
      checked[i] = true;
      answered++;
      check_shown(r, q->id);
    }
  }
  rig_free(r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(holds_before_it_acknowledges),
      cmocka_unit_test(shows_before_it_answers),
  };
  return cmocka_run_group_tests_name("dist behind", tests, NULL, NULL);
}
