/* The system's monotonic clock. */
#define _POSIX_C_SOURCE 199309L /* clock_gettime */

#include "clock.h"

#include <time.h>

/* Darwin's CLOCK_MONOTONIC counts a suspended machine; where there is another
 * clock for that, an old kernel may lack it, for as long as it runs. */
static void read_time(struct timespec *t) {
#ifdef CLOCK_BOOTTIME
  if (clock_gettime(CLOCK_BOOTTIME, t) == 0) return;
#endif
  clock_gettime(CLOCK_MONOTONIC, t);
}

int64_t byn_clock(void) {
  struct timespec t;
  read_time(&t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int byn_clock_function(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)byn_clock());
  return 1;
}
