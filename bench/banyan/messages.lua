-- Messages between processes, calls, and processes that come and go.
-- bench/erlang/messages.erl does the same.

local banyan = require "banyan"
local server = require "banyan.server"
local echo = require "echo"
local time = require("tools").time

local messages = {}

--- A call and its answer, an integer each: copied, monitored, timed out
-- after 5 s.
function messages.call()
  local n, pid = 1000000, assert(echo.start_link())
  local seconds = time(function()
    for i = 1, n do server.call(pid, i) end
  end)
  return n / seconds, "/s"
end

--- The same while many messages wait for the caller.
function messages.call_queued()
  for i = 1, 100000 do banyan.send(banyan.self(), { queued = i }) end
  return messages.call()
end

local Mapper = {}
function Mapper.handle_call(_, message)
  return { id = message.id, name = message.name, at = message.at }
end

--- A call and its answer, a fresh table of three fields each.
function messages.call_table()
  local n, pid = 500000, assert(server.start_link(Mapper))
  local seconds = time(function()
    for i = 1, n do server.call(pid, { id = i, name = "x", at = 1.5 }) end
  end)
  return n / seconds, "/s"
end

--- Two processes send an integer to and fro; each message counts.
function messages.ping_pong()
  local n, me = 1000000, banyan.self()
  local pong = banyan.spawn_link(function()
    while true do banyan.send(me, banyan.receive()) end
  end)
  local seconds = time(function()
    for i = 1, n do
      banyan.send(pong, i)
      banyan.receive()
    end
  end)
  return 2 * n / seconds, "/s"
end

local function nothing() end

--- A monitored process starts, ends, and its DOWN is read.
function messages.spawn()
  local n = 500000
  local seconds = time(function()
    for _ = 1, n do
      local _, ref = banyan.spawn_monitor(nothing)
      assert(banyan.receive().ref == ref)
    end
  end)
  return n / seconds, "/s"
end

return messages
