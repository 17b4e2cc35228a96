--- A distributed supervisor on three nodes. All start the same children at the
-- same time, a node crashes or the network parts: each child that was started
-- runs in the end, once.

local banyan = require "banyan"
local ds = require "banyan.distributed_supervisor"
local lockstep = require "banyan.lockstep"
local server = require "banyan.server"
local worker = require "spec.support.worker"

local choose = lockstep.choose

local NAME = "kids"
local IDS = { "one", "two", "three" }
local FAULTS = { "partition", "isolate", "bridge", "cut" }
local LIMIT = 60000 -- ms, until all is well again

-- Starts the supervisor, where there is none.
local function keep(cluster, node, state)
  cluster:spawn(node, function()
    if banyan.whereis(NAME) then return end
    banyan.trap_exit(true)
    assert(ds.start_link { name = NAME })
    state.open = state.open + 1
    banyan.receive(function() return false end)
  end)
end

-- Starts a child by way of one node; what came of it is in `state`.
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

local function wait(what, fn)
  local since = banyan.now()
  while not fn() do
    if banyan.now() - since > LIMIT then error(what(), 0) end
    banyan.sleep(200)
  end
end

-- id -> how many processes of it answer.
local function count()
  local counts = {}
  for _, one in ipairs(worker.started) do
    local alive = server.call(one.pid, "who", 1000) == one.id
    counts[one.id] = (counts[one.id] or 0) + (alive and 1 or 0)
  end
  return counts
end

local function each_once()
  local counts = count()
  for _, id in ipairs(IDS) do
    if counts[id] ~= 1 then return false end
  end
  return true
end

local function describe()
  local counts = count()
  local texts = {}
  for i, id in ipairs(IDS) do
    texts[i] = ("%s runs %d times"):format(id, counts[id] or 0)
  end
  return table.concat(texts, ", ")
end

-- One node is away for a while, too short or long enough to be missed.
local function lose(cluster, state)
  local node = cluster.nodes[choose(#cluster.nodes)]
  cluster:crash(node)
  banyan.sleep(choose(10) * 1000)
  cluster:restart(node)
  keep(cluster, node, state)
end

local function trouble(cluster, state)
  if choose(2) == 1 then
    lose(cluster, state)
  else
    cluster:chaos { duration = 20000, faults = FAULTS }
  end
end

-- Starts all children from all nodes at once, or from most.
local function start_all(cluster, state)
  for _, id in ipairs(IDS) do
    for i, node in ipairs(cluster.nodes) do
      if i == 1 or choose(4) > 1 then start(cluster, node, id, state) end
    end
  end
  wait(function() return "a start is not answered" end,
    function() return state.waiting == 0 end)
end

local function crash_some(state)
  for _, id in ipairs(IDS) do
    if choose(4) == 4 then server.call(state.started[id], "crash") end
  end
end

return function()
  worker.started = {}
  local cluster = lockstep.cluster { nodes = 3, seed = 1 }
  local state = { open = 0, started = {}, waiting = 0 }
  lockstep.invariant(function() return not state.problem, state.problem end)
  for _, node in ipairs(cluster.nodes) do keep(cluster, node, state) end
  wait(function() return "no supervisors" end,
    function() return state.open == #cluster.nodes end)
  start_all(cluster, state)
  crash_some(state)
  if choose(4) > 1 then trouble(cluster, state) end
  wait(describe, each_once)
end
