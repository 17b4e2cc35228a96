--- A child whose start was answered survives the death of any one node at that
-- very moment: of its host, of its owner, or of the node that was asked.

local banyan = require "banyan"
local lockstep = require "banyan.lockstep"
local new_census = require "spec.support.scripts.census"

local choose = lockstep.choose

local NODES, ROUNDS = 3, 3
local REST_MS, BOUND_MS = 5000, 20000

return function()
  local cluster = lockstep.cluster { nodes = NODES }
  local census = new_census(cluster)
  banyan.sleep(REST_MS)
  for round = 1, ROUNDS do
    local asked, victim = choose(NODES), choose(NODES)
    local me = banyan.self()
    cluster:spawn(cluster.nodes[asked], function()
      banyan.send(me, { started = census:start("id" .. round) })
    end)
    assert(banyan.receive(function(m) return m.started end, REST_MS),
      "a start was not answered")
    census:hit_node(cluster.nodes[victim])
    census:child("id" .. round).hit = true
    cluster:crash(cluster.nodes[victim])
    banyan.sleep(REST_MS)
    cluster:restart(cluster.nodes[victim])
    census:open(cluster.nodes[victim])
    census:wait("after a crash", BOUND_MS)
  end
end
