--- Two nodes lose each other while a third sees both. What the ring wants
-- elsewhere stays where it is until they are back, and then goes there.

local banyan = require "banyan"
local ds = require "banyan.distributed_supervisor"
local lockstep = require "banyan.lockstep"
local Mover = require "spec.support.scripts.mover"
local run_on = require "spec.support.scripts.on"

local NAME, IDS = "movers", 8
local APART_MS, DOUBT_MS, PATIENCE_MS = 12000, 8000, 900000

local function keep(cluster, node)
  cluster:spawn(node, function()
    banyan.trap_exit(true)
    assert(ds.start_link { name = NAME, rebalance = "active" })
    banyan.receive()
  end)
end

local function start_all()
  for i = 1, IDS do
    local id = "id" .. i
    assert(ds.start_child(NAME, { id = id,
      start = { "spec.support.scripts.mover", "start_link", { id } } }))
  end
  return true
end

-- How many children are not where the ring names.
local function misplaced()
  local count = 0
  for id, pid in pairs(ds.children(NAME)) do
    if pid:node() ~= ds.node_for(NAME, id) then count = count + 1 end
  end
  return count
end

return function()
  local cluster = lockstep.cluster { nodes = 3 }
  local log = Mover.new_log(cluster.lives)
  local a, b, c = cluster.nodes[1], cluster.nodes[2], cluster.nodes[3]
  for _, node in ipairs(cluster.nodes) do keep(cluster, node) end
  banyan.sleep(5000)
  run_on(cluster, a, start_all)
  run_on(cluster, a, function() return assert(ds.drain(NAME, c)) end)
  cluster:bridge(a, c, b)
  banyan.sleep(APART_MS)
  local before = log.rebalanced
  run_on(cluster, c, function() return assert(ds.undrain(NAME)) end)
  banyan.sleep(DOUBT_MS)
  assert(log.rebalanced == before,
    "a child was moved while a node was in doubt")
  assert(run_on(cluster, a, misplaced) > 0, "no child is to move")
  cluster:heal()
  -- One whose handoff failed is tried again after a minute.
  for _ = 1, PATIENCE_MS / 1000 do
    if run_on(cluster, a, misplaced) == 0 then return end
    banyan.sleep(1000)
  end
  error("a child was not moved", 0)
end
