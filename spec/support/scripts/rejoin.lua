--- A node that joins a cluster and crashes, again and again and in every way.
-- It runs a distributed supervisor, and processes of the other nodes link and
-- monitor its processes. After each crash and restart `note` is called.

local banyan = require "banyan"
local ds = require "banyan.distributed_supervisor"
local lockstep = require "banyan.lockstep"
local server = require "banyan.server"
local Child = require "spec.support.scripts.child"

local NAME = "children"
local LIFE_MS, DEATH_MS = 300, 2500

local ways = { "kill", "power", "vanish" }

local function start_supervisor()
  assert(ds.start_link { name = NAME, max_restarts = 1000000 })
end

local function keep_supervisor()
  banyan.trap_exit(true)
  start_supervisor()
  banyan.receive(function(m) return m == "end" end)
end

-- On a node that stays: uses a process of the node that joined in every way.
local function greet(pid, id)
  banyan.trap_exit(true)
  banyan.monitor(pid)
  banyan.link(pid)
  banyan.send(pid, { from = banyan.self() })
  server.call(pid, "never", 100)
  ds.start_child(NAME, { id = id, restart = "transient",
    start = { "spec.support.scripts.child", "start_link", { id } } })
  ds.cast(NAME, id, "leave")
  banyan.receive(LIFE_MS)
end

-- On the node that joins.
local function visit()
  banyan.monitor_nodes(true)
  keep_supervisor()
end

--- The body.
---@param lives integer
---@param note fun(life: integer, sites: table[], steps: integer)  sites: of
---  the nodes that stay
return function(lives, note)
  local cluster = lockstep.cluster { nodes = 3, down_after_ms = 2000 }
  local first, second, third = cluster.nodes[1], cluster.nodes[2],
    cluster.nodes[3]
  cluster:spawn(first, keep_supervisor)
  cluster:spawn(second, keep_supervisor)
  for life = 1, lives do
    local pid = cluster:spawn(third, visit)
    banyan.sleep(LIFE_MS)
    for _, node in ipairs { first, second } do
      cluster:spawn(node, function() greet(pid, "id" .. life % 10) end)
    end
    banyan.sleep(LIFE_MS)
    cluster:crash(third, ways[life % #ways + 1])
    banyan.sleep(DEATH_MS)
    cluster:restart(third)
    Child.started = {}
    note(life, { cluster.net.sites[first], cluster.net.sites[second] },
      cluster.world.control:steps())
  end
end
