/* The C module banyan.core: what lua/banyan is made of. */

#include "api.h"
#include "call.h"
#include "compat.h"
#include "control.h"
#include "coverage.h"
#include "misuse.h"
#include "nodes.h"
#include "placement.h"
#include "ring.h"
#include "seam.h"
#include "send.h"
#include "server.h"
#include "spawn.h"
#include "supervisor.h"
#include "world.h"

#if defined(__GNUC__)
__attribute__((visibility("default")))
#endif
int luaopen_banyan_core(lua_State *L);

int luaopen_banyan_core(lua_State *L) {
  byn_world_open(L);
  lua_newtable(L);
  byn_send_functions(L);
  byn_spawn_functions(L);
  byn_api_functions(L);
  byn_call_functions(L);
  byn_misuse_functions(L);
  byn_nodes_functions(L);
  byn_seam_functions(L);
  byn_control_functions(L);
  byn_coverage_functions(L);
  byn_server_open(L);
  lua_setfield(L, -2, "server");
  byn_supervisor_open(L);
  lua_setfield(L, -2, "supervisor");
  byn_ring_open(L);
  lua_setfield(L, -2, "ring");
  byn_placement_open(L);
  lua_setfield(L, -2, "placement");
  return 1;
}
