--- A node in an OS process of its own, which another node controls.
--
--    lua spec/support/node.lua NAME PARENT [CONNECT ...]
--
-- It runs spec.support.agent. It ends when it is killed, when the node PARENT
-- is lost, or when a function that the agent calls ends it.

local agent = require "spec.support.agent"
local banyan = require "banyan"

local name, parent = arg[1], arg[2]
-- BANYAN_STAYS_MS: it waits so long for PARENT to be back.
local STAYS_MS = tonumber(os.getenv "BANYAN_STAYS_MS")
local peers = { parent }
for i = 3, #arg do peers[#peers + 1] = arg[i] end

-- More options of banyan.run, as a table constructor.
local more = assert(load("return " .. (os.getenv "BANYAN_OPTIONS" or "{}")))()

-- For functions that the agent calls: how many events of each kind there were,
-- and the last one.
_G.event_counts, _G.last_events = {}, {}

local opts = {
  name = name, secret = os.getenv("BANYAN_SECRET"), connect = peers,
  hosts = os.getenv("BANYAN_HOSTS") ~= "no",
  on_event = function(event)
    local counts = _G.event_counts
    counts[event.event] = (counts[event.event] or 0) + 1
    _G.last_events[event.event] = event
  end,
}
for key, value in pairs(more) do opts[key] = value end

local ok, err = pcall(banyan.run, opts, function()
  assert(agent.start_link())
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
