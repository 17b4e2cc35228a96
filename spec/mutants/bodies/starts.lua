--- All nodes start the same children of a distributed supervisor at the same
-- time: one is told that it did, the others that somebody else did.

local banyan = require "banyan"
local ds = require "banyan.distributed_supervisor"
local lockstep = require "banyan.lockstep"
local worker = require "spec.support.worker"

local choose = lockstep.choose

local NAME = "children"
local IDS = { "one", "two", "three" }

local function keep(cluster, node, state)
  cluster:spawn(node, function()
    banyan.trap_exit(true)
    assert(ds.start_link { name = NAME })
    state.open = state.open + 1
    banyan.receive()
  end)
end

-- Starts a child by way of one node.
local function start(cluster, node, id, state)
  state.waiting = state.waiting + 1
  cluster:spawn(node, function()
    local pid, err = ds.start_child(NAME, worker.spec(id))
    if pid then
      state.problem = state.problem or state.started[id]
        and id .. " was started twice"
      state.started[id] = pid
    elseif type(err) ~= "table" or err[1] ~= "already_started" then
      state.problem = state.problem or tostring(err)
    end
    state.waiting = state.waiting - 1
  end)
end

local function wait(fn)
  while not fn() do banyan.sleep(50) end
end

return function()
  local cluster = lockstep.cluster { nodes = 3, seed = 1 }
  local state = { open = 0, started = {}, waiting = 0 }
  lockstep.invariant(function() return not state.problem, state.problem end)
  for _, node in ipairs(cluster.nodes) do keep(cluster, node, state) end
  wait(function() return state.open == #cluster.nodes end)
  for _, id in ipairs(IDS) do
    for i, node in ipairs(cluster.nodes) do
      if i == 1 or choose(4) > 1 then start(cluster, node, id, state) end
    end
  end
  wait(function() return state.waiting == 0 end)
  for _, id in ipairs(IDS) do
    assert(state.started[id], "nobody started a child")
  end
end
