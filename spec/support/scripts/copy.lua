--- Children of the script conflicts: servers that count, write some counts as
-- checkpoints, and say of each process what its state is worth. All is noted
-- in Copy.log, which all nodes share.

local banyan = require "banyan"
local ds = require "banyan.distributed_supervisor"
local server = require "banyan.server"

local Copy = {}

-- now: the time of the world; lives: node -> its life; started: list of
-- processes, each {serial=, id=, pid=, node=, life=, begun=, history=, root=,
-- awoke=, given=, writes=, kept=, lost=, crashed=}, root being the serial of
-- the first process of its history; handed: list of what was handed over in
-- conflicts, {by=, heard=}; conflicts: so many have ended; winners: id -> the
-- process that stayed last; at_once: its node crashed just then; problem: what
-- went wrong first.
function Copy.new_log(now, lives)
  Copy.log = {
    now = now, lives = lives, started = {}, handed = {}, winners = {},
  }
  return Copy.log
end

local function wrong(text, ...)
  Copy.log.problem = Copy.log.problem or text:format(...)
end

function Copy:init(id)
  local log, now = Copy.log, Copy.log.now()
  self.one = {
    serial = #log.started + 1, id = id, pid = banyan.self(),
    node = banyan.node(), life = log.lives[banyan.node()], begun = now,
    history = now, awoke = 0, writes = 0, root = #log.started + 1,
  }
  log.started[self.one.serial] = self.one
  self.count = 0
end

-- Is it of no process that was stopped, or what the one that stayed was given
-- itself? One that has nothing and ends at once leaves what there is; one that
-- lives is only out of sight; and what was handed over is kept where the one
-- that was to stay is lost.
local function is_of(state, winner)
  local given = winner.given
  if state.number or not winner.crashed then return true end
  if Copy.log.at_once and not given and not winner.kept then return true end
  return not Copy.log.started[state.by].lost
    or given and given.by == state.by and given.write == state.write
end

function Copy:resume(state)
  local one = self.one
  local winner = Copy.log.winners[one.id]
  if winner and not is_of(state, winner) then
    wrong("%s resumes with write %d of process %d; of the one that stayed, "
      .. "%d, there is %s", one.id, state.write, state.by, winner.serial,
      winner.given and ("write %d of process %d"):format(winner.given.write,
        winner.given.by) or "none")
  end
  one.given, one.history, one.root = state, state.history, state.root
  self.count = state.count
end

function Copy:handle_call(message)
  self.count = self.count + 1
  if message == "quiet" then return self.count end
  local one = self.one
  one.writes = one.writes + 1
  local ok = ds.checkpoint({
    count = self.count, history = one.history, root = one.root,
    by = one.serial, write = one.writes,
  })
  one.kept = one.kept or ok
  return ok
end

function Copy:handle_cast()
  self.one.crashed = true
  error("crash", 0)
end

function Copy:handoff(reason)
  if reason ~= "conflict" then return nil end
  local list = Copy.log.handed
  list[#list + 1] = { by = self.one, heard = 0 }
  return {
    number = #list, count = self.count, history = self.one.history,
    root = self.one.root, by = self.one.serial, write = 0,
  }
end

function Copy:resolve_conflict(state)
  local handed = Copy.log.handed[state.number]
  handed.heard = handed.heard + 1
  if handed.heard > 1 then
    wrong("%s hears twice what a copy handed over", self.one.id)
  end
  if handed.by.pid == self.one.pid then
    wrong("%s hears what it handed over itself", self.one.id)
  end
end

local function process_of(pid)
  for _, one in ipairs(Copy.log.started) do
    if one.pid == pid then return one end
  end
end

function Copy:terminate(reason)
  local why = type(reason) == "table" and reason[2]
  if type(why) ~= "table" or why[1] ~= "conflict" then return end
  self.one.lost = true
  local log = Copy.log
  log.conflicts = (log.conflicts or 0) + 1
  log.winners[self.one.id] = process_of(why[2])
end

function Copy.start_link(id) return server.start_link(Copy, id) end

return Copy
