--- Children of the script moves: servers that handle what clients tell them,
-- each message with a number of that client for that child. What has been
-- handled is their state, which goes along when they move. Notes are in
-- Mover.log, which all nodes share.

local banyan = require "banyan"
local server = require "banyan.server"
local choose = require("banyan.lockstep").choose

local START_MS, HANDOFF_MS = 20, 20
-- A process whose handoff for that fails goes on.
local GOES_ON = { move = true, rebalance = true }

local Mover = {}

-- handled: id .. client -> the last number; running: id -> {pid=, node=, life=}
-- of a process that has begun and not ended; lost: id -> its state may be lost,
-- or messages to it; version: id -> how often it has handed over; moved: id ->
-- how often by hand; rebalanced: so many left for that; problem
function Mover.new_log(lives)
  Mover.log = {
    lives = lives, handled = {}, running = {}, lost = {}, version = {},
    moved = {}, rebalanced = 0,
  }
  return Mover.log
end

local function wrong(text, ...)
  Mover.log.problem = Mover.log.problem or text:format(...)
end

function Mover:init(id)
  local log = Mover.log
  local other = log.running[id]
  if other and log.lives[other.node] == other.life and not log.lost[id] then
    wrong("%s begins on %s and runs on %s", id, banyan.node(), other.node)
  end
  self.id, self.last, self.version = id, {}, 0
  log.running[id] = {
    pid = banyan.self(), node = banyan.node(),
    life = log.lives[banyan.node()],
  }
end

function Mover:resume(state, how)
  local version = Mover.log.version[self.id] or 0
  if state.version < version and not Mover.log.lost[self.id] then
    wrong("%s resumes by %s with state %d, not %d", self.id, how,
      state.version, version)
  end
  self.last, self.version = state.last, state.version
end

local function note(self, message)
  local log, client, number = Mover.log, message.client, message.number
  local key = self.id .. " " .. client
  local last, state = log.handled[key] or 0, self.last[client] or 0
  if self.handed then
    wrong("%s handles a message after its handoff", self.id)
  end
  if number <= last then
    wrong("%s has %d of %s after %d", self.id, number, client, last)
  elseif not log.lost[self.id] and number ~= last + 1 then
    wrong("%s has %d of %s after %d: some are lost", self.id, number, client,
      last)
  elseif not log.lost[self.id] and state ~= last then
    wrong("%s has the state of %d of %s, not of %d", self.id, state, client,
      last)
  end
  log.handled[key] = number
  self.last[client] = number
end

function Mover:handle_call(message)
  if message.peeks then return self.id end
  note(self, message)
  if message.slow then banyan.sleep(choose(message.slow)) end
  return self.id
end

function Mover:handle_cast(message) note(self, message) end

function Mover:handle_info(message) note(self, message) end

function Mover:handoff(reason)
  local log = Mover.log
  if self.handed then wrong("%s hands over twice", self.id) end
  if GOES_ON[reason] and choose(5) == 1 then error("it cannot hand over", 0) end
  self.handed = true
  banyan.sleep(choose(HANDOFF_MS) - 1)
  if reason == "rebalance" then log.rebalanced = log.rebalanced + 1 end
  if reason == "move" then
    log.moved[self.id] = (log.moved[self.id] or 0) + 1
  end
  self.version = self.version + 1
  log.version[self.id] = self.version
  return { last = self.last, version = self.version }
end

function Mover:terminate()
  local running = Mover.log.running
  local own = running[self.id]
  if own and own.pid == banyan.self() then running[self.id] = nil end
end

function Mover.start_link(id)
  banyan.sleep(choose(START_MS) - 1)
  return server.start_link(Mover, id)
end

return Mover
