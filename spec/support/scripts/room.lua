--- Children of the script checkpoints: servers that count, and write most
-- counts as checkpoints. What they see goes into Room.log, which all nodes
-- share.

local banyan = require "banyan"
local ds = require "banyan.distributed_supervisor"
local server = require "banyan.server"

local Room = {}

-- started: list of {id=, pid=, node=, life=, generation=}; lives: node -> its
-- life; acknowledged: generation ->
-- the count that no crash may lose; reached: pid -> the count that it resumed
-- with, or that was acknowledged since; unsure: the network is divided, so two
-- of one child may go apart; problem: what went wrong first.
function Room.new_log(lives)
  Room.log = {
    lives = lives, started = {}, acknowledged = {}, reached = {},
    unsure = false,
  }
  return Room.log
end

local function wrong(text, ...)
  Room.log.problem = Room.log.problem or text:format(...)
end

function Room:init(arg)
  self.id, self.generation, self.count = arg.id, arg.generation, 0
end

function Room:resume(state, how)
  local log = Room.log
  local least = log.acknowledged[self.generation] or 0
  if state.generation ~= self.generation then
    wrong("%s resumes with the state of an earlier child", self.id)
  elseif state.count < least and not log.unsure then
    wrong("%s resumes with %d; %d was acknowledged", self.id, state.count,
      least)
  elseif how == "handoff" and not state.handed then
    wrong("%s resumes by handoff with what none returned", self.id)
  end
  self.count = state.count
  log.reached[banyan.self()] = self.count
end

local function acknowledge(self)
  local log = Room.log
  log.reached[banyan.self()] = self.count
  if log.unsure then return end
  log.acknowledged[self.generation] = self.count
  log.last = banyan.node()
end

function Room:handle_call(message)
  if message == "who" then return self.id end
  self.count = self.count + 1
  if message == "quiet" then return self.count end
  local ok = ds.checkpoint(
    { count = self.count, generation = self.generation },
    { async = message == "async" })
  if ok and message ~= "async" then acknowledge(self) end
  return self.count
end

function Room.handle_cast() error("crash", 0) end

function Room:handoff()
  acknowledge(self)
  return { count = self.count, generation = self.generation, handed = true }
end

function Room.start_link(id, generation)
  local log = Room.log
  local pid, why = server.start_link(Room,
    { id = id, generation = generation })
  if not pid then return nil, why end
  if not log.reached[pid] then
    log.reached[pid] = 0
    if (log.acknowledged[generation] or 0) > 0 and not log.unsure then
      wrong("%s starts with nothing; %d was acknowledged", id,
        log.acknowledged[generation])
    end
  end
  table.insert(log.started, {
    id = id, pid = pid, node = banyan.node(), generation = generation,
    life = log.lives[banyan.node()],
  })
  return pid
end

return Room
