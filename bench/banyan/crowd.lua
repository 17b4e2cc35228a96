-- 30,000 children on three nodes: a fourth joins, one is killed.
-- bench/erlang/crowd.erl does a part of it.

local banyan = require "banyan"
local ds = require "banyan.distributed_supervisor"
local nodes = require "nodes"
local tools = require "tools"
local uv = require "luv"

local unpack = table.unpack or unpack

local crowd = {}

local NAME = "children" -- of the supervisor of starts.lua
local TOTAL, PART = 30000, 3000
local ASKERS = 16 -- on each node

-- --- on the nodes ------------------------------------------------------------

--- Starts every third of the children from .. to. Returns seconds.
function crowd.fill(from, to)
  return tools.time(function()
    local me = banyan.self()
    for asker = 0, ASKERS - 1 do
      banyan.spawn_link(function()
        for id = from + 3 * asker, to, 3 * ASKERS do
          assert(ds.start_child(NAME,
            { id = id, start = { "echo", "start_link" } }))
        end
        banyan.send(me, "done")
      end)
    end
    for _ = 1, ASKERS do banyan.receive() end
  end)
end

--- How many run here.
function crowd.here() return (ds.count(NAME)) end

-- Does none of the children run on that node, as far as is known?
local function is_left(node)
  for _, pid in pairs(ds.children(NAME)) do
    if pid:node() == node then return false end
  end
  return true
end

--- Waits until this node knows so many nodes and so many children that run,
-- none of them on the node `gone`. Returns the time in ns.
function crowd.await(members, children, gone)
  while true do
    local known, _, everywhere = ds.nodes(NAME), ds.count(NAME)
    if #known == members and everywhere == children
      and (not gone or is_left(gone)) then
      return uv.hrtime()
    end
    banyan.sleep(2)
  end
end

--- Joins the cluster of that node.
function crowd.join(name)
  assert(banyan.connect(name))
  require("starts").open()
end

-- --- the measurement ---------------------------------------------------------

-- When the last of them knew it.
local function await(list, ...)
  local last = 0
  for _, answer in ipairs(nodes.ask_all(list, "crowd", "await", ...)) do
    last = math.max(last, answer[1])
  end
  return last
end

-- Starts the children from .. to, the nodes a third each. Returns seconds and
-- us of CPU.
local function fill(list, from, to)
  local before, start = nodes.used(list), uv.hrtime()
  for i, node in ipairs(list) do
    node:tell("crowd", "fill", from + i - 1, to)
  end
  for _, node in ipairs(list) do node:hear() end
  return (uv.hrtime() - start) / 1e9, nodes.used(list, before).cpu
end

local function join(report, list, name)
  local new = nodes.start(name)
  local all = { new, unpack(list) }
  local before, start = nodes.used(all), uv.hrtime()
  new:tell("crowd", "join", list[1].name)
  new:hear()
  local took = await(all, 4, TOTAL) - start
  local used = nodes.used(all, before)
  report("join", took / 1e6, "ms")
  report("join_new_cpu", used.each[1] / 1000, "ms")
  report("join_old_cpu", (used.cpu - used.each[1]) / 3 / 1000, "ms")
  report("join_bytes", used.bytes, "B")
  return new
end

-- The children of the victim run on the others.
local function death(report, list, victim)
  local moved = victim:ask("crowd", "here")[1]
  local before, start = nodes.used(list), victim:kill()
  local took = await(list, #list, TOTAL, victim.name) - start
  report("death", took / 1e6 / moved * 10000, "ms")
  local used = nodes.used(list, before)
  report("death_cpu", used.cpu / moved, "us")
  report("death_bytes", used.bytes / moved, "B")
end

function crowd.measure(report)
  local names, list = nodes.names(4), {}
  for i = 1, 3 do list[i] = nodes.start(names[i]) end
  nodes.connect(list)
  for _, node in ipairs(list) do node:ask("starts", "open") end
  local seconds, cpu = fill(list, 1, PART)
  report("fill_first", PART / seconds, "/s")
  report("fill_first_cpu", cpu / PART, "us")
  fill(list, PART + 1, TOTAL - PART)
  seconds, cpu = fill(list, TOTAL - PART + 1, TOTAL)
  report("fill_last", PART / seconds, "/s")
  report("fill_last_cpu", cpu / PART, "us")
  await(list, 3, TOTAL)
  local new = join(report, list, names[4])
  death(report, { list[1], list[2], new }, list[3])
end

return crowd
