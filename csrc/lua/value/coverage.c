/* What the machines have met, as tables. */
#include "coverage.h"

#include "../../core/coverage.h"
#include "world.h"

#ifdef BYN_COVERAGE

static int count_words(const char *words) {
  int n = 1;
  for (; *words; words++)
    n += *words == ' ';
  return n;
}

static void push_counts(lua_State *L, const byn_machine *machine) {
  int states = count_words(machine->states);
  int events = count_words(machine->events);
  lua_createtable(L, states, 0);
  for (int i = 0; i < states; i++) {
    lua_createtable(L, events, 0);
    for (int j = 0; j < events; j++) {
      lua_pushinteger(L, (lua_Integer)machine->counts[i][j]);
      lua_rawseti(L, -2, j + 1);
    }
    lua_rawseti(L, -2, i + 1);
  }
}

static int l_coverage(lua_State *L) {
  lua_newtable(L);
  int n = 0;
  for (byn_machine *m = byn_machines(); m; m = m->next) {
    lua_createtable(L, 0, 4);
    lua_pushstring(L, m->name);
    lua_setfield(L, -2, "name");
    lua_pushstring(L, m->states);
    lua_setfield(L, -2, "states");
    lua_pushstring(L, m->events);
    lua_setfield(L, -2, "events");
    push_counts(L, m);
    lua_setfield(L, -2, "counts");
    lua_rawseti(L, -2, ++n);
  }
  return 1;
}

void byn_coverage_functions(lua_State *L) {
  byn_push_function(L, l_coverage);
  lua_setfield(L, -2, "coverage");
}

#else

void byn_coverage_functions(lua_State *L) {
  (void)L;
}

#endif
