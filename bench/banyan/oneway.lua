-- Strings of several sizes, sent one way to another node.
-- bench/erlang/oneway.erl does the same.

local banyan = require "banyan"
local meter = require "meter"
local nodes = require "nodes"
local server = require "banyan.server"
local tools = require "tools"

local oneway = {}

-- Of each size: its key, messages of a slice, and how many of them may be on
-- their way before the sender waits.
local SIZES = {
  { key = "100", bytes = 100, count = 50000, ahead = 500 },
  { key = "1k", bytes = 1024, count = 30000, ahead = 250 },
  { key = "64k", bytes = 65536, count = 1500, ahead = 25 },
  { key = "1m", bytes = 1048576, count = 90, ahead = 3 },
}
local ROUNDS, SLICES = 5, 4

-- --- on the nodes ------------------------------------------------------------

local Meter = {}
function Meter.handle_call() return meter.cpu() end

--- The other node: a server that says what CPU was used, and a process that
-- takes messages.
function oneway.serve()
  assert(server.start(Meter, nil, { name = "meter" }))
  banyan.spawn(function()
    banyan.register "sink"
    local taken = 0
    while true do
      local message = banyan.receive()
      if type(message) == "string" then
        taken = taken + #message
      else
        banyan.send(message.to, taken)
        taken = 0
      end
    end
  end)
end

local function send(peer, size)
  local dest, to = { name = "sink", node = peer }, banyan.self()
  local text, taken = ("x"):rep(size.bytes), 0
  for i = 1, size.count do
    banyan.send(dest, text)
    if i % size.ahead == 0 then banyan.send(dest, { to = to }) end
    if i % size.ahead == 0 and i > size.ahead then
      taken = taken + banyan.receive()
    end
  end
  assert(taken + banyan.receive() == size.bytes * size.count)
end

-- us of CPU that two nodes have used.
local function used(peer)
  return meter.cpu() + assert(server.call({ name = "meter", node = peer }, 0))
end

--- Seconds of the clock that slices of the i-th size take, and us of CPU on
-- both nodes.
function oneway.send(peer, i)
  local before, seconds = used(peer), 0
  for _ = 1, SLICES do
    seconds = seconds + tools.time(send, peer, SIZES[i])
  end
  return seconds, used(peer) - before
end

-- --- the measurement ---------------------------------------------------------

function oneway.measure(report)
  local list = nodes.start_all(2)
  list[2]:ask("oneway", "serve")
  list[1]:ask("mesh", "connect", list[2].name)
  for round = 0, ROUNDS do
    for i, size in ipairs(SIZES) do
      local figures = list[1]:ask("oneway", "send", list[2].name, i)
      local all = SLICES * size.count
      if round > 0 then
        report("oneway_" .. size.key, all / figures[1], "/s")
        report("oneway_" .. size.key .. "_cpu", figures[2] / all, "us")
      end
    end
  end
end

return oneway
