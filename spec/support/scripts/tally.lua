--- Entities that note what clients tell them, by numbers that grow by one for
-- each entity and client, and hand the last of them over. So a message that is
-- lost, late or there twice is a number that does not follow; and so is a state
-- that does not come back.

local banyan = require "banyan"
local server = require "banyan.server"
local choose = require("banyan.lockstep").choose

local START_MS = 20

local Tally = {}

--- Notes of the run under way.
---@return table log  started: list of {id=, pid=, node=}; rests: how many
---  were asked for their state for want of messages; strict: numbers must
---  follow; calls: how often each was served; problem
function Tally.new_log()
  Tally.log = { calls = {}, started = {}, strict = true, rests = 0 }
  return Tally.log
end

local function wrong(...)
  local log = Tally.log
  log.problem = log.problem or (...):format(select(2, ...))
end

local function note(self, what, message)
  local client, number = message.client, message.number
  local last = self.last[client] or 0
  local follows = number == last + 1
  if not Tally.log.strict then follows = number > last end
  if not follows then
    wrong("%s on %s has %s %d of %s after %d", self.id, banyan.node(), what,
      number, client, last)
  end
  self.last[client] = number
end

function Tally:init(id)
  table.insert(Tally.log.started,
    { id = id, pid = banyan.self(), node = banyan.node() })
  self.id, self.last = id, {}
end

function Tally:resume(state) self.last = state end

function Tally:handoff(why)
  if why == "idle" then Tally.log.rests = Tally.log.rests + 1 end
  return self.last
end

function Tally:handle_call(message)
  note(self, "call", message)
  local key = ("%s %s %d"):format(self.id, message.client, message.number)
  Tally.log.calls[key] = (Tally.log.calls[key] or 0) + 1
  if choose(4) == 1 then banyan.sleep(choose(100)) end
  return message.number
end

function Tally:handle_cast(message) note(self, "cast", message) end

function Tally:handle_info(message) note(self, "message", message) end

function Tally.start_link(id)
  banyan.sleep(choose(START_MS) - 1)
  return server.start_link(Tally, id)
end

return Tally
