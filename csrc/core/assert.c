/* The end of a test whose assertion does not hold. */
#include "assert.h"

#ifdef BYN_ASSERT

#include <stdio.h>
#include <stdlib.h>

void byn_assert_failed(const char *condition, const char *file, int line,
                       const char *function) {
  fprintf(stderr, "%s:%d: %s: byn_assert(%s) does not hold\n", file, line,
          function, condition);
  abort();
}

#else

/* ISO C wants a declaration in each file. */
typedef int byn_assert_is_off;

#endif
