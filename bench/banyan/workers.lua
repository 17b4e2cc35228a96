-- What two workers of banyan.run do together beside one, where they only
-- compute; and calls to another OS process of this machine over a Unix socket,
-- as to a worker, beside those over TCP.

local banyan = require "banyan"
local echo = require "echo"
local peer = require "banyan.peer"
local server = require "banyan.server"
local tools = require "tools"

local workers = {}

local WORK_MS, UP_TO = 1500, 20000
local ALONE, CALLERS, CALLS = 5000, 16, 20000
local GROUPS = 5

-- --- in a worker -------------------------------------------------------------

local Primes = {}

function Primes.handle_call(_, last)
  local count = 0
  for n = 2, last do
    local prime = true
    for divisor = 2, math.floor(math.sqrt(n)) do
      if n % divisor == 0 then
        prime = false
        break
      end
    end
    if prime then count = count + 1 end
  end
  return count
end

--- Servers that outlive their caller.
function workers.serve()
  assert(server.start(echo, nil, { name = "echo" }))
  assert(server.start(Primes, nil, { name = "primes" }))
  return true
end

function workers.main()
  workers.serve()
  banyan.sleep(math.huge)
end

-- --- in the origin -----------------------------------------------------------

local function with(count, fn, ...)
  return banyan.run({
    workers = count, worker = { "workers", "main" }, on_event = false,
  }, function(...)
    for _, node in ipairs(banyan.nodes()) do
      while not server.call({ name = "primes", node = node }, 2) do
        banyan.sleep(1)
      end
    end
    return fn(...)
  end, ...)
end

-- Calls of all workers together that have ended in a second.
local function rate()
  local me, over, done = banyan.self(), false, 0
  local nodes = banyan.nodes()
  for _, node in ipairs(nodes) do
    banyan.spawn(function()
      while not over do
        assert(server.call({ name = "primes", node = node }, UP_TO, math.huge))
        if not over then done = done + 1 end
      end
      me:send "over"
    end)
  end
  local seconds = tools.time(banyan.sleep, WORK_MS)
  over = true
  for _ = 1, #nodes do banyan.receive() end
  return done / seconds
end

local function call(dest, callers, calls)
  local me = banyan.self()
  for _ = 1, callers do
    banyan.spawn_link(function()
      for i = 1, calls / callers do assert(server.call(dest, i)) end
      me:send "done"
    end)
  end
  for _ = 1, callers do banyan.receive() end
end

local function calls(report)
  local dests = { unix = { name = "echo", node = banyan.nodes()[1] } }
  local other, name = peer.start { name = "tcp", connection = "stdio" }
  assert(other, name)
  assert(banyan.connect(name))
  assert(peer.call(other, "workers", "serve"))
  dests.tcp = { name = "echo", node = name }
  for group = 0, GROUPS do
    for _, kind in ipairs { "unix", "tcp" } do
      local alone = tools.time(call, dests[kind], 1, ALONE)
      local many = tools.time(call, dests[kind], CALLERS, CALLS)
      if group > 0 then -- the first one warms
        report("call_" .. kind, alone / ALONE, "s")
        report("calls_" .. kind, CALLS / many, "/s")
      end
    end
  end
  peer.stop(other)
end

function workers.measure(report)
  for _ = 1, GROUPS do
    local one, two = with(1, rate), with(2, rate)
    report("work_one", one, "/s")
    report("work_two", two, "/s")
    report("work_gain", two / one, "x")
  end
  with(1, calls, report)
end

return workers
