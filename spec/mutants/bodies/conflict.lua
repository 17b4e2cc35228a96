--- Both sides of a partition start the same child. After it the older process
-- stays, on both nodes the child is that one, and the other is gone.

local banyan = require "banyan"
local ds = require "banyan.distributed_supervisor"
local lockstep = require "banyan.lockstep"
local Child = require "spec.support.scripts.child"

local choose = lockstep.choose

local NAME, ID = "children", "id"
local SPEC = { id = ID, restart = "permanent",
  start = { "spec.support.scripts.child", "start_link", { ID } } }
local APART_MS, LATER_MS, REST_MS = 30000, 2000, 30000

local function keep(cluster, node)
  cluster:spawn(node, function()
    banyan.trap_exit(true)
    assert(ds.start_link { name = NAME })
    banyan.receive()
  end)
end

-- Does it on a node, and waits for the answer.
local function on(cluster, node, what)
  local me = banyan.self()
  cluster:spawn(node, function() banyan.send(me, { answer = { what() } }) end)
  local message = banyan.receive(function(m) return m.answer end, 20000)
  return assert(message, "there is no answer").answer[1]
end

local function start(cluster, node)
  cluster:spawn(node, function() ds.start_child(NAME, SPEC) end)
end

local function alive(cluster)
  local list = {}
  for _, child in ipairs(Child.started) do
    local lives = on(cluster, child.node, function()
      return banyan.is_alive(child.pid)
    end)
    if lives then list[#list + 1] = child end
  end
  return list
end

return function()
  Child.started = {}
  local cluster = lockstep.cluster { nodes = 2 }
  local a, b = cluster.nodes[1], cluster.nodes[2]
  keep(cluster, a)
  keep(cluster, b)
  banyan.sleep(5000)
  cluster:partition({ a }, { b })
  banyan.sleep(APART_MS)
  local later = choose(3) == 1 and 0 or LATER_MS
  start(cluster, a)
  if later > 0 then banyan.sleep(later) end
  start(cluster, b)
  banyan.sleep(LATER_MS)
  assert(#Child.started == 2, "a side did not start the child")
  local first = Child.started[1]
  cluster:heal()
  banyan.sleep(REST_MS)
  local left = alive(cluster)
  assert(#left == 1, ("%d processes are left of two"):format(#left))
  assert(later == 0 or left[1] == first, "the newer process was kept")
  for _, node in ipairs(cluster.nodes) do
    local pid = on(cluster, node, function() return ds.whereis(NAME, ID) end)
    assert(pid == left[1].pid, node .. " knows another process")
  end
end
