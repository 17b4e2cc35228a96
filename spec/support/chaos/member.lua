--- A node of `make chaos`: an OS process with the distributed supervisor.
--
--    lua spec/support/chaos/member.lua NAME LISTEN EVENTS [CONNECT ...]
--
-- It writes its events into the file EVENTS, and ends when its stdin does,
-- whatever it does then. At SIGUSR2 the coordinator of its supervisor crashes.

local agent = require "spec.support.agent"
local banyan = require "banyan"
local core = require "banyan.core"
local ds = require "banyan.distributed_supervisor"
local events = require "spec.support.chaos.events"
local settings = require "spec.support.chaos.settings"
local supervisor = require "banyan.supervisor"
local uv = require "luv"

local name, listen = arg[1], arg[2]
local log = assert(io.open(arg[3], "a"))
log:setvbuf "line"
local peers = {}
for i = 4, #arg do peers[#peers + 1] = arg[i] end

assert(core.lifeline(0, -1))

local crash = uv.new_signal()
crash:start("sigusr2", function()
  local coordinator = banyan.whereis(settings.supervisor)
  if coordinator then coordinator:exit("kill") end
end)

banyan.run({
  name = name, listen = listen, connect = peers, secret = settings.secret,
  heartbeat_ms = settings.heartbeat_ms,
  down_after_ms = settings.down_after_ms,
  reconnect_ms = settings.reconnect_ms,
  on_event = function(event) events.write(log, event) end,
}, function()
  assert(agent.start_link())
  assert(supervisor.start_link({
    ds.child_spec { name = settings.supervisor },
  }, { max_restarts = 1000 }))
  while true do
    events.write(log, { event = "message", message = banyan.receive() })
  end
end)
events.write(log, { event = "over" })
os.exit(0)
