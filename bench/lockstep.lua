-- The cost of a schedule under lockstep, and how much faster than real time a
-- virtual cluster runs.
--
--     make bench        or        lua5.4 bench/lockstep.lua [ROUNDS]
--
-- A schedule is one run of a body: a new node, 5 processes of 20 steps each,
-- and the end of the node. The row "coroutines" uses no library, for
-- comparison: 5 coroutines of 20 yields, resumed in turn.
--
-- The last rows are a hundred nodes with a distributed supervisor each: the
-- seconds of CPU that it takes to connect them (at most 10 are aimed at) until
-- all of them know each other, and to idle for 10 s of virtual time (at most
-- 5).

local banyan = require "banyan"
local lockstep = require "banyan.lockstep"
local server = require "banyan.server"
local large = require "spec.support.scripts.large"

local ROUNDS = tonumber(arg[1] or os.getenv "ROUNDS") or 5
local SCHEDULES = 4000

-- --- schedules ---------------------------------------------------------------

local function coroutines()
  local all = {}
  for i = 1, 5 do
    all[i] = coroutine.wrap(function()
      for _ = 1, 20 do coroutine.yield() end
    end)
  end
  for _ = 1, 21 do
    for i = 1, 5 do all[i]() end
  end
end

local function yields()
  for _ = 1, 5 do
    banyan.spawn(function()
      for _ = 1, 20 do coroutine.yield() end
    end)
  end
end

-- Two pairs of processes and the body: a message and its reply are four steps.
local function messages()
  for _ = 1, 2 do
    local pong = banyan.spawn(function()
      for _ = 1, 10 do banyan.send(banyan.receive(), "pong") end
    end)
    banyan.spawn(function()
      local me = banyan.self()
      for _ = 1, 10 do
        banyan.send(pong, me)
        banyan.receive()
      end
    end)
  end
end

local Counter = {}
function Counter:init() self.n = 0 end
function Counter:handle_call(by)
  self.n = self.n + by
  return self.n
end

-- A server and four clients: a call is three steps.
local function calls()
  local counter = assert(server.start_link(Counter))
  for _ = 1, 4 do
    banyan.spawn(function()
      for _ = 1, 8 do server.call(counter, 1, math.huge) end
    end)
  end
end

local function median(values)
  table.sort(values)
  return values[math.ceil(#values / 2)]
end

local function schedules(strategy, body)
  local report
  collectgarbage()
  local start = os.clock()
  if strategy then
    report = lockstep.run(body,
      { strategy = strategy, iterations = SCHEDULES, settle = true })
    assert(report.ok, tostring(report))
  else
    for _ = 1, SCHEDULES do body() end
  end
  return SCHEDULES / (os.clock() - start), report
end

local rows = {
  { "coroutines", nil, coroutines },
  { "yields", "random", yields }, { "yields", "pct", yields },
  { "yields", "pos", yields },
  { "messages", "random", messages }, { "messages", "pct", messages },
  { "messages", "pos", messages },
  { "calls", "random", calls }, { "calls", "pct", calls },
  { "calls", "pos", calls },
}

print(("%-12s %-8s %14s %12s"):format("body", "strategy", "schedules/s",
  "steps each"))
local figures = {}
for round = 1, ROUNDS do
  for i, row in ipairs(rows) do
    figures[i] = figures[i] or {}
    local rate, report = schedules(row[2], row[3])
    figures[i][round] = rate
    figures[i].steps = report and report.steps / SCHEDULES or 105
  end
end
for i, row in ipairs(rows) do
  print(("%-12s %-8s %14.0f %12.1f"):format(row[1], row[2] or "-",
    median(figures[i]), figures[i].steps))
end

-- --- clusters ----------------------------------------------------------------

local IDLE_S, BUSY_S = 1000, 60 -- of virtual time

-- Each node has a server, and a client that calls the servers of the other
-- nodes in turn, ten times a second.
local function keep_busy(cluster)
  local names = cluster.nodes
  for i, name in ipairs(names) do
    cluster:spawn(name, function()
      assert(server.start(Counter, nil, { name = "counter" }))
      while true do
        for j = 1, #names - 1 do
          local other = names[(i + j - 1) % #names + 1]
          server.call({ name = "counter", node = other }, 1, math.huge)
          banyan.sleep(100)
        end
      end
    end)
  end
end

-- Virtual divided by real time; the clock of the body itself is virtual too.
local clock = os.clock

local function cluster_rate(strategy, seconds, prepare)
  local took
  local report = lockstep.run(function()
    local cluster = lockstep.cluster { nodes = 5 }
    if prepare then prepare(cluster) end
    local start = clock()
    banyan.sleep(seconds * 1000)
    took = clock() - start
  end, { strategy = strategy, iterations = 1, max_steps = 1e8 })
  assert(report.ok, tostring(report))
  return seconds / took
end

local function print_cluster(what, seconds, prepare)
  for _, strategy in ipairs { "random", "pct", "pos" } do
    local rates = {}
    for round = 1, ROUNDS do
      rates[round] = cluster_rate(strategy, seconds, prepare)
    end
    print(("%-12s %-8s %14.0f"):format(what, strategy, median(rates)))
  end
end

print(("\n%-12s %-8s %14s"):format("five nodes", "strategy", "virtual/real"))
print_cluster("idle", IDLE_S)
print_cluster("busy", BUSY_S, keep_busy)

-- --- a hundred nodes ---------------------------------------------------------

local LARGE, LARGE_IDLE_MS = 100, 10000

-- The seconds of each phase: connect (until the supervisors know each other),
-- idle.
local function large_times(strategy)
  local times, start = { connect = 0, idle = 0 }, clock()
  local report = lockstep.run(function()
    large(LARGE, LARGE_IDLE_MS, function(phase)
      local key = phase == "idle" and "idle" or "connect"
      times[key] = times[key] + clock() - start
      start = clock()
    end)
  end, { strategy = strategy, iterations = 1, clock = "idle",
    max_steps = 1e7 })
  assert(report.ok, tostring(report))
  return times
end

print(("\n%-12s %-8s %14s %12s"):format("100 nodes", "strategy",
  "connect, s", "idle 10 s, s"))
for _, strategy in ipairs { "random", "pct", "pos" } do
  local connect, idle = {}, {}
  for round = 1, ROUNDS do
    collectgarbage()
    local times = large_times(strategy)
    connect[round], idle[round] = times.connect, times.idle
  end
  print(("%-12s %-8s %14.2f %12.2f"):format("supervisors", strategy,
    median(connect), median(idle)))
end
