--- A process of one node sends numbers to one of another, through faults of
-- the network between them: they come in order, none comes twice, and a
-- network without faults loses no node.

local banyan = require "banyan"
local lockstep = require "banyan.lockstep"

local choose = lockstep.choose

local FAULTS = { "one_way", "latency", "cut", "half_open", "isolate", "loss" }
local LASTS = 15000 -- ms
local RESENT = 15000 -- until what was lost on the way has come after all
local PAUSES = { 1, 100, 400, 900 }

-- Takes the numbers, and says what is wrong with them.
local function sink(state)
  local last = 0
  while true do
    local number = banyan.receive()
    if number <= last then
      state.problem = ("%d came after %d"):format(number, last)
    end
    last, state.last = number, number
  end
end

local function source(dest, state)
  for number = 1, math.huge do
    banyan.send(dest, number)
    state.sent = number
    banyan.sleep(PAUSES[choose(#PAUSES)])
  end
end

local function watch_nodes(cluster, node, state)
  cluster:spawn(node, function()
    banyan.monitor_nodes(true)
    while true do
      if banyan.receive().tag == "nodedown" then
        state.lost = state.lost + 1
      end
    end
  end)
end

return function()
  local cluster = lockstep.cluster { nodes = 2, seed = 1 }
  local state = { lost = 0, last = 0 }
  lockstep.invariant(function()
    return not state.problem, state.problem
  end)
  local a, b = cluster.nodes[1], cluster.nodes[2]
  watch_nodes(cluster, a, state)
  watch_nodes(cluster, b, state)
  local dest = cluster:spawn(b, function() sink(state) end)
  cluster:spawn(a, function() source(dest, state) end)
  if choose(4) == 1 then
    banyan.sleep(LASTS)
    assert(state.lost == 0, "a node is lost without a fault")
  else
    cluster:chaos { duration = LASTS, faults = FAULTS }
  end
  local sent = state.sent
  banyan.sleep(RESENT)
  assert(state.last > sent, "nothing comes through after all is well")
end
