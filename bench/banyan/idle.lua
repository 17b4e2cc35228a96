-- Servers that have nothing to do: what they take up, and whether others
-- notice them. bench/erlang/idle.erl does the same.

local banyan = require "banyan"
local crowd = require("supervisors").crowd
local tools = require "tools"

local idle = {}

--- Bytes that each of many supervised servers adds to the OS process.
function idle.memory()
  local n = 100000
  crowd(1000)
  local before = tools.resident()
  crowd(n)
  return (tools.resident() - before) / n, "B"
end

--- Two processes send each other small tables beside 200,000 idle servers:
-- the longest that one waits for the next message. The garbage that they
-- make drives Lua's collector through several whole cycles; what starting the
-- servers left behind is cleared first.
function idle.pause()
  crowd(200000)
  collectgarbage()
  local me = banyan.self()
  local pong = banyan.spawn_link(function()
    while true do banyan.send(me, banyan.receive()) end
  end)
  local longest, last = 0, tools.clock()
  local stop = last + 2
  while last < stop do
    banyan.send(pong, { 1, 2, 3 })
    banyan.receive()
    local now = tools.clock()
    longest = math.max(longest, now - last)
    last = now
  end
  return longest * 1000, "ms"
end

return idle
