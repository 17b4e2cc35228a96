/* What must hold, checked while tests run.
 *
 * byn_assert(condition) stands where a header promises something: "only
 * while", "must follow", "never 0", "leaves the stack as it was". Builds with
 * -DBYN_ASSERT (make test, sanitize, memcheck, soak, debug) end the program
 * where it does not hold, and say where. In any other build, that of the rock
 * among them, nothing is left of it: the condition is not evaluated, so it must
 * have no effect of its own.
 *
 * An assertion is about this library alone. What a program, a peer or the
 * lack of memory can cause is an error that is handled.
 */
#ifndef BYN_ASSERT_H
#define BYN_ASSERT_H

#ifdef BYN_ASSERT

/* Prints what did not hold, and ends the program. */
_Noreturn void byn_assert_failed(const char *condition, const char *file,
                                 int line, const char *function);

#define byn_assert(condition)                                                  \
  ((condition) ? (void)0                                                       \
               : byn_assert_failed(#condition, __FILE__, __LINE__, __func__))

#else

/* A use that is never reached: what only assertions call is not unused. */
#define byn_assert(condition) ((void)(0 && (condition)))

#endif

#endif
