--- Children that note what clients tell them: messages and calls, each with the
-- client and a number that grows.

local banyan = require "banyan"
local server = require "banyan.server"
local choose = require("banyan.lockstep").choose

local START_MS = 20

local Recipient = {}

--- Notes of the run under way.
---@return table log  last: of each client the number that was noted last, for
---  each child; calls: of each call how often it was served; problem
function Recipient.new_log()
  Recipient.log = { last = {}, calls = {}, problem = nil }
  return Recipient.log
end

local function note(self, what, message)
  local log = Recipient.log
  local key = self.id .. " " .. message.client
  if message.number <= (log.last[key] or 0) then
    log.problem = ("%s has %s %d of %s after %d"):format(self.id, what,
      message.number, message.client, log.last[key])
  end
  log.last[key] = message.number
end

function Recipient:init(id) self.id = id end

function Recipient:handle_call(message)
  note(self, "call", message)
  local key = message.client .. " " .. message.number
  Recipient.log.calls[key] = (Recipient.log.calls[key] or 0) + 1
  if message.answer then return nil, message.answer end
  return self.id
end

function Recipient:handle_cast(message)
  if message == "crash" then error("crash", 0) end
  note(self, "cast", message)
end

function Recipient:handle_info(message) note(self, "message", message) end

function Recipient.start_link(id)
  banyan.sleep(choose(START_MS) - 1)
  return server.start_link(Recipient, id)
end

return Recipient
