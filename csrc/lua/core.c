/* The C module banyan.core: what lua/banyan is made of. */
#include "value/compat.h"
#include "value/coverage.h"
#include "value/misuse.h"
#include "value/reference.h"
#include "value/world.h"
#include "process/api.h"
#include "process/await.h"
#include "process/call.h"
#include "process/foreign.h"
#include "process/kept.h"
#include "process/label.h"
#include "process/look.h"
#include "process/mailbox.h"
#include "process/mailbox_limit.h"
#include "process/owned.h"
#include "process/relation.h"
#include "process/send.h"
#include "process/spawn.h"
#include "otp/server.h"
#include "otp/supervisor.h"
#include "cluster/channel.h"
#include "cluster/cluster.h"
#include "cluster/dist.h"
#include "cluster/groups.h"
#include "cluster/lifeline.h"
#include "cluster/nodes.h"
#include "cluster/ring.h"
#include "cluster/unix_path.h"
#include "lockstep/control_seam.h"
#include "seam.h"

#if defined(__GNUC__)
__attribute__((visibility("default")))
#endif
int luaopen_banyan_core(lua_State *L);

int luaopen_banyan_core(lua_State *L) {
  byn_world *w = byn_world_open(L);
  byn_mail_open(w);
  byn_relation_open(w);
  lua_newtable(L);
  byn_send_functions(L);
  byn_spawn_functions(L);
  byn_look_functions(L);
  byn_api_functions(L);
  byn_call_functions(L);
  byn_await_functions(L);
  byn_owned_functions(L);
  byn_kept_functions(L);
  byn_label_functions(L);
  byn_foreign_functions(L);
  byn_mailbox_limit_functions(L);
  byn_reference_functions(L);
  byn_misuse_functions(L);
  byn_cluster_functions(L);
  byn_nodes_functions(L);
  byn_control_channel_functions(L);
  byn_lifeline_functions(L);
  byn_unix_path_functions(L);
  byn_seam_functions(L);
  byn_control_functions(L);
  byn_coverage_functions(L);
  byn_server_open(L);
  lua_setfield(L, -2, "server");
  byn_supervisor_open(L);
  lua_setfield(L, -2, "supervisor");
  byn_ring_open(L);
  lua_setfield(L, -2, "ring");
  byn_dist_functions(L);
  lua_setfield(L, -2, "dist");
  byn_groups_functions(L);
  lua_setfield(L, -2, "groups");
  return 1;
}
