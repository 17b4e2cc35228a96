--- Two nodes that run children and one that only watches. The one that runs a
-- child leaves as soon as the watcher knows the other, which has just begun
-- again: the node that leaves may not have met that one yet. The child goes on
-- with its state wherever it runs then.

local banyan = require "banyan"
local ds = require "banyan.distributed_supervisor"
local lockstep = require "banyan.lockstep"
local each_life = require "spec.support.scripts.lives"
local run_on = require "spec.support.scripts.on"

local choose = lockstep.choose

local NAME, ID = "rooms", "lobby"
local PATIENCE = 9000 -- times 10 ms

local function open(watcher, keepers)
  return function(cluster, node)
    keepers[node] = cluster:spawn(node, function()
      banyan.trap_exit(true)
      if node == watcher then banyan.set_hosts(false) end
      local pid = assert(ds.start_link { name = NAME })
      banyan.receive(function(m) return m == "leave" end)
      pid:exit "shutdown"
      banyan.receive(function(m) return m.from == pid end)
    end)
  end
end

-- Until so many nodes run children, as far as the caller's node knows.
local function await_nodes(count)
  for _ = 1, PATIENCE do
    local nodes = ds.nodes(NAME) -- nil before it has started
    if nodes and #nodes == count then return true end
    banyan.sleep(10)
  end
  error(("there are never %d nodes"):format(count), 0)
end

local function ask(message)
  for _ = 1, PATIENCE do
    local score, how = ds.call(NAME, ID, message)
    if score then return { score, how } end
    banyan.sleep(10)
  end
  error("the child does not answer", 0)
end

local function check(answer, score)
  if answer[1] == score then return end
  error(("the score is %d (%s), not %d"):format(answer[1], answer[2], score), 0)
end

return function()
  local cluster = lockstep.cluster { nodes = 3 }
  local watcher, keepers = cluster.nodes[1], {}
  local settle_in = open(watcher, keepers)
  each_life(cluster, function(node) settle_in(cluster, node) end)
  local function on(what, ...)
    local args = { ... }
    return run_on(cluster, watcher, function() return what(args[1]) end)
  end
  local function host()
    return on(function() return ds.whereis(NAME, ID):node() end)
  end
  on(await_nodes, 2)
  on(function()
    return assert(ds.start_child(NAME, { id = ID,
      start = { "spec.support.scripts.scorer", "start_link" } }))
  end)
  for _ = 1, 3 do on(ask, "point") end
  on(ask, "save")
  local first = host()
  cluster:crash(first)
  on(await_nodes, 1)
  check(on(ask, "score"), 3)
  banyan.sleep(choose(2000))
  cluster:restart(first)
  on(await_nodes, 2)
  for _ = 1, 2 do on(ask, "point") end
  banyan.send(keepers[host()], "leave")
  on(await_nodes, 1)
  check(on(ask, "score"), 5)
end
