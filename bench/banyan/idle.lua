-- Idle servers: the memory that they take, and whether they slow others down.
-- bench/erlang/idle.erl does the same.

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

--- Two processes send each other small tables while there are 200,000 idle
-- servers: the longest time that one waits for the next message. Their garbage
-- takes Lua's collector through several whole cycles. The garbage of starting
-- the servers is collected before.
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
