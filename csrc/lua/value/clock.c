/* The system's monotonic clock. */
#define _POSIX_C_SOURCE 199309L /* clock_gettime */

#include "clock.h"

#include <time.h>

int64_t byn_clock(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int byn_clock_function(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)byn_clock());
  return 1;
}
