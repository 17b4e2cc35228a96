-- Processes, calls and idle servers, with what they cost.
--
--     make bench
--
-- Each figure is the median of several rounds, with the least and the most.
-- The idle servers are set beside as many suspended coroutines in plain Lua,
-- which is what a server would cost that kept one.

local core = require "banyan.core"
local server = require "banyan.server"

local ROUNDS = 7
local IDLE = 200000

--- Runs `body` as a process of a fresh node.
local function run(body)
  local now, done = 0, false
  local node = core.node { seed = 1 }
  node:spawn(function()
    body()
    done = true
  end)
  while not done do
    local next = node:step(now)
    if next and next > now then now = next end
  end
  node:close()
end

local function median(values)
  table.sort(values)
  return values[math.ceil(#values / 2)], values[1], values[#values]
end

local function row(name, unit, values)
  local mid, least, most = median(values)
  print(("%-34s %12.2f  %12.2f  %12.2f  %s"):format(name, mid, least, most,
    unit))
end

--- Millions a second of `n` repetitions of what `body` does in a process.
local function rate(name, n, body)
  local values = {}
  for round = 1, ROUNDS do
    run(function()
      local start = os.clock()
      body(n)
      values[round] = n / (os.clock() - start) / 1e6
    end)
    collectgarbage()
  end
  row(name, "M/s", values)
end

local Echo = {}
function Echo:init() self.n = 0 end
function Echo.handle_call(_, msg) return msg end
function Echo:handle_cast() self.n = self.n + 1 end

local function ping_pong(n)
  local me = core.self()
  local pong = core.spawn(function()
    while true do core.send(me, core.receive()) end
  end)
  for i = 1, n / 2 do
    core.send(pong, i)
    core.receive()
  end
end

local function calls(n)
  local pid = assert(server.start_link(Echo))
  for i = 1, n do server.call(pid, i) end
end

local function table_calls(n)
  local pid = assert(server.start_link(Echo))
  for i = 1, n do server.call(pid, { id = i, name = "x", at = 1.5 }) end
end

local function spawns(n)
  for _ = 1, n do
    core.spawn_monitor(function() end)
    core.receive()
  end
end

--- The longest that a hundred allocations take while the collector works, in
-- milliseconds: the pause that a program sees.
local function longest_pause()
  local longest, sink = 0, nil
  collectgarbage()
  for _ = 1, 50000 do
    local start = os.clock()
    for i = 1, 100 do sink = { i } end
    longest = math.max(longest, os.clock() - start)
  end
  assert(sink)
  return longest * 1000
end

--- Bytes each, and the longest pause of a collection with all alive.
local function weigh(make)
  collectgarbage()
  collectgarbage()
  local before = collectgarbage "count"
  local kept = make()
  collectgarbage()
  local bytes = (collectgarbage "count" - before) * 1024 / IDLE
  local ms = longest_pause()
  assert(kept)
  return bytes, ms
end

local function idle_servers()
  local pids = {}
  for i = 1, IDLE do pids[i] = assert(server.start(Echo)) end
  return pids
end

local function idle_coroutines()
  local list = {}
  for i = 1, IDLE do
    list[i] = coroutine.create(function()
      local self = { n = 0 }
      coroutine.yield(self)
    end)
    coroutine.resume(list[i])
  end
  return list
end

print(("%-34s %12s  %12s  %12s"):format("", "median", "least", "most"))
rate("messages, ping-pong", 1000000, ping_pong)
rate("server calls, integers", 500000, calls)
rate("server calls, a table each way", 300000, table_calls)
rate("spawn, exit, DOWN seen", 300000, spawns)

local weights = { {}, {}, {}, {} }
for round = 1, 3 do
  run(function()
    weights[1][round], weights[2][round] = weigh(idle_servers)
  end)
  collectgarbage()
  weights[3][round], weights[4][round] = weigh(idle_coroutines)
  collectgarbage()
end
row("idle server, in Lua's heap", "bytes", weights[1])
row("idle coroutine", "bytes", weights[3])
row(IDLE .. " idle servers, longest pause", "ms", weights[2])
row(IDLE .. " idle coroutines, longest pause", "ms", weights[4])
