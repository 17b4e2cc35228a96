--- Two lives of one name. While the node that has it answers, another life of
-- the name is let in nowhere; and of two that came to be in two parts of a
-- divided network, the later one gives the name up.

local banyan = require "banyan"
local core = require "banyan.core"
local lockstep = require "banyan.lockstep"

local choose = lockstep.choose

local TWIN = "twin@lockstep:1" -- nobody dials it by that
local LATER = 1000 -- an incarnation above those of the cluster's nodes

-- Starts a later life of a node, which connects to others.
local function start_twin(cluster, name, ...)
  local byte = 0
  local made = core.node {
    name = name, incarnation = LATER, secret = "lockstep", seed = 7,
    entropy = function(n)
      byte = byte + 1
      return string.char(byte % 256):rep(n)
    end,
  }
  cluster.net:join(cluster.world:add_node(made, TWIN))
  for _, peer in ipairs { ... } do
    made:spawn(function() core.connect(peer, math.huge) end)
  end
  return made
end

local function has_lost(cluster, name)
  return cluster.net.sites[name].core:has_lost_name()
end

local function divide(cluster, ...)
  local group = {}
  for i, names in ipairs { ... } do
    for _, name in ipairs(names) do group[name] = i end
  end
  cluster.net:divide(function(from, to) return group[from] ~= group[to] end)
end

local function is_refused()
  local cluster = lockstep.cluster { nodes = 2 }
  local a, b = cluster.nodes[1], cluster.nodes[2]
  local downs = 0
  cluster:spawn(a, function()
    banyan.monitor_nodes(true)
    while true do
      if banyan.receive().tag == "nodedown" then downs = downs + 1 end
    end
  end)
  start_twin(cluster, b, a)
  banyan.sleep(3000)
  assert(has_lost(cluster, TWIN), "another life does not give the name up")
  assert(not has_lost(cluster, b), "the node has lost its name")
  assert(downs == 0, "the node was thrown out")
end

local function comes_in_elsewhere()
  local cluster = lockstep.cluster { nodes = 3 }
  local a, b, c = cluster.nodes[1], cluster.nodes[2], cluster.nodes[3]
  divide(cluster, { a, b }, { c, TWIN })
  banyan.sleep(10000)
  start_twin(cluster, b, a, c)
  divide(cluster, { a, b }, { c, TWIN })
  banyan.sleep(choose(3) * 1000)
  cluster:heal()
  banyan.sleep(60000)
  assert(has_lost(cluster, TWIN), "the later life does not give the name up")
  assert(not has_lost(cluster, b), "the earlier life gives the name up")
end

return function()
  if choose(2) == 1 then is_refused() else comes_in_elsewhere() end
end
