-- Children are started on three nodes, and looked up. bench/erlang/starts.erl
-- does the like.

local banyan = require "banyan"
local ds = require "banyan.distributed_supervisor"
local nodes = require "nodes"
local tools = require "tools"

local starts = {}

local NAME = "children"
local GROUPS, ALONE, BATCHES, BATCH = 6, 600, 6, 100
local LOOKUPS = 200000

-- --- on the nodes ------------------------------------------------------------

--- Takes part in the supervisor.
function starts.open()
  local me = banyan.self()
  banyan.spawn(function()
    assert(ds.start_link { name = NAME })
    banyan.send(me, "ready")
    banyan.sleep(math.huge)
  end)
  banyan.receive()
end

local function start(id)
  assert(ds.start_child(NAME, { id = id, start = { "echo", "start_link" } }))
end

--- Starts the children from .. to, one after the other. Returns seconds.
function starts.alone(from, to)
  return tools.time(function() for id = from, to do start(id) end end)
end

--- The same, all at once.
function starts.at_once(from, to)
  return tools.time(function()
    local me = banyan.self()
    for id = from, to do
      banyan.spawn_link(function()
        start(id)
        banyan.send(me, "done")
      end)
    end
    for _ = from, to do banyan.receive() end
  end)
end

--- Looks children up, out of the first `total`. Returns seconds.
function starts.look(total)
  local whereis = ds.whereis
  return tools.time(function()
    for i = 1, LOOKUPS do whereis(NAME, i % total + 1) end
  end)
end

-- --- the measurement ---------------------------------------------------------

function starts.measure(report)
  local list = nodes.start_all(3)
  nodes.connect(list)
  for _, node in ipairs(list) do node:ask("starts", "open") end
  local a, last = list[1], 0
  local function go(what, count)
    last = last + count
    return a:ask("starts", what, last - count + 1, last)[1]
  end
  local function group()
    local before = nodes.used(list)
    local alone = go("alone", ALONE)
    local between = nodes.used(list)
    local batches = 0
    for _ = 1, BATCHES do batches = batches + go("at_once", BATCH) end
    return ALONE / alone, (between.cpu - before.cpu) / ALONE,
      batches / BATCHES, nodes.used(list, between).cpu / BATCHES / BATCH
  end
  group()
  for _ = 2, GROUPS do
    local rate, cpu, batch, batch_cpu = group()
    report("start", rate, "/s")
    report("start_cpu", cpu, "us")
    report("start_100", batch, "s")
    report("start_100_cpu", batch_cpu, "us")
    report("whereis", a:ask("starts", "look", last)[1] / LOOKUPS, "s")
  end
end

return starts
