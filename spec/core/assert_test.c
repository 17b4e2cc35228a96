/* Assertions: that they are checked in the build of tests, and gone from any
 * other.
 */
#define _DEFAULT_SOURCE /* fork */

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

#include "../../csrc/core/assert.h"
#include "../../csrc/core/rng.h"

static int evaluations;

static bool evaluated(bool answer) {
  evaluations++;
  return answer;
}

#ifdef BYN_ASSERT

typedef struct child_end {
  int signal; /* that ended it, or 0 */
  char said[256];
} child_end;

/* Runs `body` in a process of its own, which leaves no core file. */
static child_end end_of(void (*body)(void)) {
  child_end end = {0};
  int ends[2], status;
  assert_int_equal(pipe(ends), 0);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    setrlimit(RLIMIT_CORE, &(struct rlimit){0});
    dup2(ends[1], STDERR_FILENO);
    signal(SIGABRT, SIG_DFL); /* cmocka has a handler */
    body();
    _exit(0);
  }
  close(ends[1]);
  size_t length = 0;
  for (ssize_t n; (n = read(ends[0], end.said + length,
                            sizeof end.said - 1 - length)) > 0;)
    length += (size_t)n;
  close(ends[0]);
  assert_int_equal(waitpid(child, &status, 0), child);
  if (WIFSIGNALED(status)) end.signal = WTERMSIG(status);
  return end;
}

static void assert_what_is_false(void) {
  byn_assert(evaluations < 0);
}

static void assert_what_is_true(void) {
  byn_assert(evaluations >= 0);
}

static void draw_from_a_generator_without_a_seed(void) {
  byn_rng rng = {{0}};
  byn_rng_next(&rng);
}

static void a_false_assertion_ends_the_program_and_says_where(void **state) {
  (void)state;
  child_end end = end_of(assert_what_is_false);
  assert_int_equal(end.signal, SIGABRT);
  assert_non_null(strstr(end.said, "assert_test.c:"));
  assert_non_null(strstr(end.said, "assert_what_is_false"));
  assert_non_null(strstr(end.said, "evaluations < 0"));
}

static void a_true_assertion_is_silent(void **state) {
  (void)state;
  child_end end = end_of(assert_what_is_true);
  assert_int_equal(end.signal, 0);
  assert_string_equal(end.said, "");
}

static void an_assertion_evaluates_its_condition_once(void **state) {
  (void)state;
  evaluations = 0;
  byn_assert(evaluated(true));
  assert_int_equal(evaluations, 1);
}

/* The library that tests are linked with has its assertions, too. */
static void the_library_checks_what_its_headers_promise(void **state) {
  (void)state;
  child_end end = end_of(draw_from_a_generator_without_a_seed);
  assert_int_equal(end.signal, SIGABRT);
  assert_non_null(strstr(end.said, "rng.c:"));
}

#define WHERE_THEY_ARE_ON                                                      \
  cmocka_unit_test(a_false_assertion_ends_the_program_and_says_where),         \
      cmocka_unit_test(a_true_assertion_is_silent),                            \
      cmocka_unit_test(an_assertion_evaluates_its_condition_once),             \
      cmocka_unit_test(the_library_checks_what_its_headers_promise),
#else
#define WHERE_THEY_ARE_ON
#endif

/* From here on as in a build that has no assertions. */
#undef BYN_ASSERT
#undef BYN_ASSERT_H
#undef byn_assert
#include "../../csrc/core/assert.h"

static void a_build_without_assertions_evaluates_none(void **state) {
  (void)state;
  evaluations = 0;
  byn_assert(evaluated(true));
  byn_assert(evaluated(false));
  assert_int_equal(evaluations, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      WHERE_THEY_ARE_ON cmocka_unit_test(
          a_build_without_assertions_evaluates_none),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
