-- The cost of preemption: the same work with it and without it, in turn.
--
--     make bench        or        lua5.4 bench/preemption.lua [ROUNDS]
--
-- In the first rows no process is preempted: they show the cost of the thread
-- that watches. In "one computes" only one process is ready, in "four compute"
-- there are four, so that one is preempted at the end of each slice.

local core = require "banyan.core"
local server = require "banyan.server"

local ROUNDS = tonumber(arg[1] or os.getenv "ROUNDS") or 7

--- CPU seconds that `body` takes as a process of a fresh node.
local function measure(slice_ms, body)
  local now, done = 0, false
  local node = core.node { seed = 1 }
  if slice_ms then assert(node:preempt(slice_ms)) end
  node:spawn(function()
    body()
    done = true
  end)
  collectgarbage()
  local start = os.clock()
  while not done do
    local next = node:step(now)
    if next and next > now then now = next end
  end
  local seconds = os.clock() - start
  node:close()
  return seconds
end

local function ping_pong()
  local me = core.self()
  local pong = core.spawn(function()
    while true do core.send(me, core.receive()) end
  end)
  for i = 1, 500000 do
    core.send(pong, i)
    core.receive()
  end
end

local Echo = {}
function Echo.handle_call(_, msg) return msg end

local function calls()
  local pid = assert(server.start_link(Echo))
  for i = 1, 500000 do server.call(pid, i) end
end

local function spawns()
  for _ = 1, 200000 do
    core.spawn_monitor(function() end)
    core.receive()
  end
end

local function compute(n)
  local sum = 0
  for i = 1, n do sum = sum + i % 7 * (i % 3) end
  return sum
end

local function one_computes() compute(2e7) end

local function four_compute()
  for _ = 1, 4 do core.spawn_monitor(function() compute(5e6) end) end
  for _ = 1, 4 do core.receive() end
end

local function median(values)
  table.sort(values)
  return values[math.ceil(#values / 2)]
end

local function row(name, slice_ms, body)
  local off, on, ratios = {}, {}, {}
  for i = 1, ROUNDS do
    off[i] = measure(nil, body)
    on[i] = measure(slice_ms, body)
    ratios[i] = on[i] / off[i]
  end
  local middle = median(ratios)
  print(("%-28s %8.3f s %8.3f s   %5.3f  (%.3f to %.3f)"):format(name,
    median(off), median(on), middle, ratios[1], ratios[ROUNDS]))
end

print(("%-28s %10s %10s   %s"):format("", "without", "with", "ratio"))
row("messages, ping-pong", 5, ping_pong)
row("server calls", 5, calls)
row("spawn, exit, DOWN seen", 5, spawns)
row("one computes, slices of 5 ms", 5, one_computes)
row("four compute, 5 ms", 5, four_compute)
row("four compute, 1 ms", 1, four_compute)
