-- What very many entities cost that sleep: memory, and the time to wake them.
--
--     make bench SPEC=entities    or      lua5.4 bench/entities.lua [IDS]
--
-- Three nodes; IDS (100,000) ids are called, ACTIVE=1000 at a time: the next as
-- many are called when those have been stopped, IDLE_MS=1000 after their last
-- message. Half of the ids hand 200 bytes over, the other half nothing.

local here = arg[0]:match "^(.*/)" or ""
package.path = here .. "banyan/?.lua;" .. package.path

local nodes = require "nodes"

local IDS = tonumber(arg[1]) or 100000
local ACTIVE = tonumber(os.getenv "ACTIVE") or 1000
local IDLE_MS = tonumber(os.getenv "IDLE_MS") or 1000
local FORGOTTEN_S = 15 -- then ends of entities are forgotten
local NODES = 3

local list = nodes.start_all(NODES)
nodes.connect(list)
for _, node in ipairs(list) do node:ask("entities", "open", IDLE_MS) end

-- KiB of all nodes: resident, of Lua.
local function memory()
  local resident, lua = 0, 0
  for _, answer in ipairs(nodes.ask_all(list, "entities", "memory")) do
    resident, lua = resident + answer[1], lua + answer[2]
  end
  return resident, lua
end

local function show(what, value, unit)
  print(("%-44s %10.1f %s"):format(what, value, unit))
  io.stdout:flush()
end

-- Calls the ids first, first + 2 ..., ACTIVE at a time. Answers seconds of
-- calls, the most KiB that were resident, and the sum of the answers.
local function visit(first)
  local seconds, most, sum = 0, 0, 0
  for from = first, IDS, 2 * ACTIVE do
    local last = math.min(from + 2 * ACTIVE - 2, IDS)
    local answer = list[1 + math.floor(from / (2 * ACTIVE)) % NODES]
      :ask("entities", "visit", from, last)
    seconds, sum = seconds + answer[1], sum + answer[2]
    most = math.max(most, (memory()))
    list[1]:ask("entities", "await", 0)
  end
  return seconds, most, sum
end

local function round(name, first)
  local ids = IDS / 2
  local resident, lua = memory()
  local before = nodes.used(list)
  local seconds, most, sum = visit(first)
  local used = nodes.used(list, before)
  nodes.wait(FORGOTTEN_S)
  local after, lua_after = memory()
  show(name .. ": start and first call", seconds / ids * 1e6, "us")
  show(name .. ": CPU of all, to its sleep", used.cpu / ids, "us")
  show(name .. ": written by all", used.bytes / ids, "bytes")
  show(name .. ": resident, all nodes, at most", (most - resident) / 1024,
    "MiB more")
  show(name .. ": resident, a sleeping id and node",
    (after - resident) * 1024 / ids / NODES, "bytes")
  show(name .. ": of that Lua's",
    (lua_after - lua) * 1024 / ids / NODES, "bytes")
  return sum
end

round("no state, new", 1)
round("no state, again", 1)
assert(round("200 bytes, new", 2) == IDS / 2)
assert(round("200 bytes, again", 2) == IDS)
local counts = list[1]:ask("entities", "counts")
show("run", counts[1], "")
show("sleep, with a state", counts[2], "")
nodes.stop_all()
