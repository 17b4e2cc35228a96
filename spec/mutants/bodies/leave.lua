--- A node leaves a distributed supervisor in good order. Each child of it runs
-- elsewhere as soon as it has stopped, however long another takes to stop. A
-- temporary child of a node that crashes does not come back; others do, those
-- that had been restarted too.

local banyan = require "banyan"
local ds = require "banyan.distributed_supervisor"
local lockstep = require "banyan.lockstep"
local server = require "banyan.server"
local Child = require "spec.support.scripts.child"

local choose = lockstep.choose

local NAME = "children"
local STOP_MS, SOON_MS = 3000, 1000

local Slow = {}

function Slow.init() banyan.trap_exit(true) end

function Slow.terminate() banyan.sleep(STOP_MS) end

local slow = {}

function slow.start_link() return server.start_link(Slow) end

package.loaded["spec.mutants.bodies.leave.slow"] = slow

local function keep(cluster, node)
  return cluster:spawn(node, function()
    banyan.trap_exit(true)
    local pid = assert(ds.start_link { name = NAME })
    banyan.receive(function(m) return m == "leave" end)
    pid:exit "shutdown"
    banyan.receive(function(m) return m.from == pid end)
  end)
end

local function start(node, id, module, restart)
  assert(ds.start_child(NAME, { id = id, restart = restart,
    start = { module, "start_link", { id } }, shutdown = 2 * STOP_MS }, node))
end

-- Does it on a node, and answers what that answered.
local function on(cluster, node, what)
  local me = banyan.self()
  cluster:spawn(node, function() banyan.send(me, { answer = { what() } }) end)
  local message = banyan.receive(function(m) return m.answer end, 20000)
  return assert(message, "there is no answer").answer[1]
end

local function runs_on(cluster, node, id)
  local pid = on(cluster, node, function() return ds.whereis(NAME, id) end)
  for _, child in ipairs(Child.started) do
    if child.pid == pid then return child.node == node end
  end
end

local CHILD = "spec.support.scripts.child"

return function()
  Child.started = {}
  local cluster = lockstep.cluster { nodes = 2 }
  local a, b = cluster.nodes[1], cluster.nodes[2]
  keep(cluster, a)
  local other = keep(cluster, b)
  banyan.sleep(5000)
  on(cluster, a, function()
    start(b, "slow", "spec.mutants.bodies.leave.slow", "permanent")
    for i = 1, 4 do start(b, "quick" .. i, CHILD, "permanent") end
    start(b, "once", CHILD, "temporary")
    return ds.cast(NAME, "quick1", "crash")
  end)
  banyan.sleep(SOON_MS)
  if choose(2) == 1 then
    banyan.send(other, "leave")
    banyan.sleep(SOON_MS)
  else
    cluster:crash(b)
    banyan.sleep(30000)
  end
  for i = 1, 4 do
    assert(runs_on(cluster, a, "quick" .. i), "a child is not elsewhere")
  end
  assert(not runs_on(cluster, a, "once"), "a temporary child has come back")
end
