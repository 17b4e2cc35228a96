-- All children run on one node, which is killed: its children start on two
-- others, which have joined it. OTP has nothing like it.
--
--     make bench SPEC=cluster BENCH=deaths
--
-- DEATHS=100000 for so many children.

local banyan = require "banyan"
local ds = require "banyan.distributed_supervisor"
local nodes = require "nodes"
local uv = require "luv"

local deaths = {}

local NAME = "children" -- of the supervisor of starts.lua
local TOTAL = tonumber(os.getenv "DEATHS" or 30000)
local ASKERS = 64

-- --- on the nodes ------------------------------------------------------------

--- Starts so many children.
function deaths.fill(total)
  local me = banyan.self()
  for asker = 1, ASKERS do
    banyan.spawn_link(function()
      for id = asker, total, ASKERS do
        assert(ds.start_child(NAME,
          { id = id, start = { "echo", "start_link" } }))
      end
      banyan.send(me, "done")
    end)
  end
  for _ = 1, ASKERS do banyan.receive() end
end

--- Waits until this node knows so many nodes and children. Returns the time in
-- ns.
function deaths.await(members, children)
  while true do
    local known, _, everywhere = ds.nodes(NAME), ds.count(NAME)
    if #known == members and everywhere == children
      and ds.status(NAME).lost == 0 then
      return uv.hrtime()
    end
    banyan.sleep(20)
  end
end

local function cpu_ms()
  local u = uv.getrusage()
  return (u.utime.sec + u.stime.sec) * 1e3
    + (u.utime.usec + u.stime.usec) / 1e3
end

local steps, last = {}, 0
local timer = uv.new_timer()

--- From now on the CPU between two steps of the loop is noted.
function deaths.watch()
  steps, last = {}, cpu_ms()
  timer:start(1, 1, function()
    local now = cpu_ms()
    steps[#steps + 1] = now - last
    last = now
  end)
end

--- Returns the longest, and the one that 99 of 100 are no longer than, in ms.
function deaths.watched()
  timer:stop()
  table.sort(steps)
  return steps[#steps], steps[math.ceil(#steps * 0.99)]
end

-- --- the measurement ---------------------------------------------------------

local function join(report, list, all)
  for i = 2, #all do
    local before = nodes.used(all)
    all[i]:ask("crowd", "join", list[1].name)
    nodes.ask_all({ list[1], all[i] }, "deaths", "await", i, TOTAL)
    report("deaths_join_bytes_" .. i, nodes.used(all, before).bytes, "B")
  end
end

function deaths.measure(report)
  local list = nodes.start_all(3)
  list[1]:ask("starts", "open")
  list[1]:ask("deaths", "fill", TOTAL)
  join(report, list, list)
  nodes.ask_all(list, "deaths", "await", 3, TOTAL)
  local rest = { list[2], list[3] }
  nodes.ask_all(rest, "deaths", "watch")
  local before, start, ended = nodes.used(rest), list[1]:kill(), 0
  for _, answer in ipairs(nodes.ask_all(rest, "deaths", "await", 2, TOTAL)) do
    ended = math.max(ended, answer[1])
  end
  local used = nodes.used(rest, before)
  report("deaths_rate", TOTAL / (ended - start) * 1e9, "/s")
  report("deaths_cpu", used.cpu / TOTAL, "us")
  report("deaths_bytes", used.bytes / TOTAL, "B")
  local longest, most = 0, 0
  for _, answer in ipairs(nodes.ask_all(rest, "deaths", "watched")) do
    longest = math.max(longest, answer[1])
    most = math.max(most, answer[2])
  end
  report("deaths_longest", longest, "ms")
  report("deaths_most", most, "ms")
end

return deaths
