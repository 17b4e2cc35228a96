-- Calls and messages to another node, over sessions that resume (wire minor
-- 2) and over those that do not (minor 1). bench/erlang/links.erl does the
-- same.

local banyan = require "banyan"
local echo = require "echo"
local meter = require "meter"
local nodes = require "nodes"
local server = require "banyan.server"
local tools = require "tools"

local links = {}

local unpack = table.unpack or unpack

local CALLERS, CALLS = 16, 8000
local MESSAGES, AHEAD = 50000, 500
local ALONE = 3000
local GROUPS, SLICES = 6, 24 -- a figure for each group but the first

-- --- on the nodes ------------------------------------------------------------

local Meter = {}
function Meter.handle_call() return meter.cpu() end

--- The other node: a server that echoes, one that says what CPU was used, and
-- a process that takes messages.
function links.serve()
  assert(server.start(echo, nil, { name = "echo" }))
  assert(server.start(Meter, nil, { name = "meter" }))
  banyan.spawn(function()
    banyan.register "sink"
    while true do
      local message = banyan.receive()
      if message.last then banyan.send(message.to, "done") end
    end
  end)
end

-- us of CPU that two nodes have used.
local function used(peer)
  return meter.cpu() + assert(server.call({ name = "meter", node = peer }, 0))
end

-- Seconds of the clock, and us of CPU on both nodes.
local function measured(peer, fn, ...)
  local before = used(peer)
  local seconds = tools.time(fn, ...)
  return seconds, used(peer) - before
end

local function call(peer, callers, calls)
  local me, dest = banyan.self(), { name = "echo", node = peer }
  for _ = 1, callers do
    banyan.spawn_link(function()
      for i = 1, calls / callers do assert(server.call(dest, i)) end
      banyan.send(me, "done")
    end)
  end
  for _ = 1, callers do banyan.receive() end
end

local function send(peer, count)
  local dest, to = { name = "sink", node = peer }, banyan.self()
  for i = 1, count do
    banyan.send(dest, { 1, 2, i })
    if i % AHEAD == 0 then banyan.send(dest, { last = true, to = to }) end
    if i % AHEAD == 0 and i > AHEAD then banyan.receive() end
  end
  banyan.receive()
end

function links.alone(peer) return tools.time(call, peer, 1, ALONE) end
function links.call(peer) return measured(peer, call, peer, CALLERS, CALLS) end
function links.send(peer) return measured(peer, send, peer, MESSAGES) end

-- --- the measurement ---------------------------------------------------------

-- Where the module is whose connections speak wire minor 1, or nil.
local function minor1()
  local core = assert(package.searchpath("banyan.core", package.cpath))
  local path = core:gsub("banyan/core%.so$", "bench/minor1/?.so")
  local found = io.open((path:gsub("%?", "banyan/core")))
  if found then found:close() end
  return found and path
end

-- Seconds and us of CPU that `count` of something take with each of the peers,
-- who take turns; who comes first alternates.
local function group(a, what, peers)
  local sums = {}
  for i = 0, SLICES * #peers - 1 do
    local at = math.floor((i + 1) / 2) % #peers + 1
    local seconds, us = unpack(a:ask("links", what, peers[at].name))
    local sum = sums[at] or { seconds = 0, us = 0 }
    sum.seconds, sum.us = sum.seconds + seconds, sum.us + us
    sums[at] = sum
  end
  return sums
end

local function report_group(report, what, count, peers, sums)
  for i, sum in ipairs(sums) do
    local suffix, all = peers[i].suffix, SLICES * count
    report(what .. suffix, all / sum.seconds, "/s")
    report(what .. "_cpu" .. suffix, sum.us / all, "us")
  end
  if #peers < 2 then return end
  report(what .. "_cost", (sums[1].us / sums[2].us - 1) * 100, "%")
end

function links.measure(report)
  local names, plain = nodes.names(3), minor1()
  local a, b = nodes.start(names[1]), nodes.start(names[2])
  local there = { { name = b.name, suffix = "" } }
  b:ask("links", "serve")
  if plain then
    local c = nodes.start(names[3], plain)
    c:ask("links", "serve")
    there[2] = { name = c.name, suffix = "_minor1" }
  end
  for _, peer in ipairs(there) do a:ask("mesh", "connect", peer.name) end
  for i = 1, GROUPS do
    local alone = a:ask("links", "alone", b.name)[1]
    for what, count in pairs { call = CALLS, send = MESSAGES } do
      local sums = group(a, what, there)
      if i > 1 then report_group(report, what, count, there, sums) end
    end
    if i > 1 then report("call_alone", alone / ALONE, "s") end
  end
end

return links
