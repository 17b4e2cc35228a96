-- Runs one measurement of plain Lua and prints its figure for
-- bench/compare.lua.
--
--     lua5.4 bench/plain/run.lua call
--
-- The work is that of bench/banyan within the limits of bench/plain/scheduler:
-- nothing is copied, and calls have no monitor and no time-out.

local here = arg[0]:match "^(.*/)" or ""
package.path = here .. "?.lua;" .. here .. "../banyan/?.lua;" .. package.path

local scheduler = require "scheduler"
local tools = require "tools"
local call, receive, send = scheduler.call, scheduler.receive, scheduler.send

local plain = {}

function plain.call()
  local n = 1000000
  local pid = scheduler.serve(function(message) return message end)
  return n / tools.time(function()
    for i = 1, n do call(pid, i) end
  end), "/s"
end

function plain.call_table()
  local n = 500000
  local pid = scheduler.serve(function(message)
    return { id = message.id, name = message.name, at = message.at }
  end)
  return n / tools.time(function()
    for i = 1, n do call(pid, { id = i, name = "x", at = 1.5 }) end
  end), "/s"
end

function plain.ping_pong()
  local n, me = 1000000, scheduler.self()
  local pong = scheduler.spawn(function()
    while true do send(me, receive()) end
  end)
  return 2 * n / tools.time(function()
    for i = 1, n do
      send(pong, i)
      receive()
    end
  end), "/s"
end

local function nothing() end

function plain.spawn()
  local n = 500000
  return n / tools.time(function()
    for _ = 1, n do
      scheduler.monitor(scheduler.spawn(nothing))
      receive()
    end
  end), "/s"
end

--- Bytes of a waiting coroutine with a state of its own: the cost of a server
-- without a library.
function plain.memory()
  local n, me = 100000, scheduler.self()
  local before, kept = tools.resident(), {}
  for i = 1, n do
    kept[i] = scheduler.spawn(function()
      local state = { arg = i }
      receive()
      return state
    end)
  end
  scheduler.spawn(function() send(me, "all others wait") end)
  receive()
  assert(#kept == n)
  return (tools.resident() - before) / n, "B"
end

local measure = assert(plain[arg[1]], "no such measurement")
scheduler.run(function()
  print(("%s %.9g %s"):format(arg[1], measure()))
end)
