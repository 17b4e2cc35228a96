--- A node in an OS process of its own, which another node controls.
--
--    lua spec/support/node.lua NAME CONNECT ...
--
-- It runs spec.support.agent. It ends when it is killed, when a function that
-- the agent calls ends it, or when the other end of its descriptor 3 is closed,
-- whatever it does then.

local agent = require "spec.support.agent"
local banyan = require "banyan"
local core = require "banyan.core"

core.lifeline_own(3)
assert(core.lifeline(3, 0))

local peers = {}
for i = 2, #arg do peers[#peers + 1] = arg[i] end

-- More options of banyan.run, as a table constructor.
local more = assert(load("return " .. (os.getenv "BANYAN_OPTIONS" or "{}")))()

-- For functions that the agent calls: how many events of each kind there were,
-- and the last one.
_G.event_counts, _G.last_events = {}, {}

local opts = {
  name = arg[1], secret = os.getenv("BANYAN_SECRET"), connect = peers,
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
  while true do banyan.receive() end
end)
if not ok then
  io.stderr:write(tostring(err), "\n")
  os.exit(1)
end
