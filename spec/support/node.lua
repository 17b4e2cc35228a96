--- A node in an OS process of its own, which another node controls.
--
--    lua spec/support/node.lua NAME PARENT [CONNECT ...]
--
-- It runs a server named "agent" that calls functions, sent as bytecode or as
-- source. It ends when it is killed, when the node PARENT is lost, or when one
-- of these functions ends it.

local banyan = require "banyan"
local server = require "banyan.server"

local name, parent = arg[1], arg[2]
-- BANYAN_STAYS_MS: it waits so long for PARENT to be back.
local STAYS_MS = tonumber(os.getenv "BANYAN_STAYS_MS")
-- BANYAN_QUICK=1: others are given up in less than the usual time.
local QUICK = os.getenv "BANYAN_QUICK" == "1"
local peers = { parent }
for i = 3, #arg do peers[#peers + 1] = arg[i] end

local unpack = table.unpack or unpack

local agent = {}

-- Each call has a process of its own, so that a call may wait.
function agent.handle_call(_, msg, from)
  banyan.spawn(function()
    local fn = assert(load(msg.code, "=call"))
    local results = { pcall(fn, unpack(msg.args, 1, msg.n)) }
    if results[1] then
      server.reply(from, true, unpack(results, 2, 6))
    else
      server.reply(from, false, tostring(results[2]))
    end
  end)
  return server.noreply
end

-- Calls a function in a process that stays, for what the function links to it.
function agent.handle_cast(_, msg)
  banyan.spawn(function()
    banyan.trap_exit(true)
    assert(load(msg.code, "=cast"))(unpack(msg.args, 1, msg.n))
    local message
    repeat message = banyan.receive() until message == "end"
  end)
end

-- The events that a spec asks for: name -> how many there were.
_G.events = {}

local function count(event)
  _G.events[event.event] = (_G.events[event.event] or 0) + 1
end

local ok, err = pcall(banyan.run, {
  name = name, secret = os.getenv("BANYAN_SECRET"), connect = peers,
  on_event = count, hosts = os.getenv("BANYAN_HOSTS") ~= "no",
  heartbeat_ms = QUICK and 250 or nil, down_after_ms = QUICK and 1500 or nil,
  reconnect_ms = QUICK and 600 or nil,
}, function()
  assert(server.start_link(agent, nil, { name = "agent" }))
  banyan.monitor_nodes(true)
  local patience = "infinity"
  while true do
    local msg = banyan.receive(patience)
    if msg == nil or msg == "end" then return end
    if msg.node == parent and msg.tag == "nodeup" then patience = "infinity" end
    if msg.node == parent and msg.tag == "nodedown" then
      if not STAYS_MS then return end
      patience = STAYS_MS
    end
  end
end)
if not ok then
  io.stderr:write(tostring(err), "\n")
  os.exit(1)
end
