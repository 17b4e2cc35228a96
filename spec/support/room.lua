--- Children for the specs of checkpoints: game rooms that keep a score.

local core = require "banyan.core"
local ds = require "banyan.distributed_supervisor"
local server = require "banyan.server"

local room = { name = "spec.support.room" }

--- All that was resumed in this Lua state: {id=, score=, how=, node=}.
room.resumed = {}
--- All that was resolved: {id=, mine=, theirs=, reason=, node=}.
room.resolved = {}
--- Why each ended: {id=, reason=}.
room.ended = {}

function room:init(arg)
  self.id, self.score, self.arg = arg.id, 0, arg
  if arg.init_ms then core.sleep(arg.init_ms) end
  if arg.checkpoint_in_init then
    assert(ds.checkpoint { score = arg.checkpoint_in_init })
  end
end

function room:resume(state, how)
  room.resumed[#room.resumed + 1] = {
    id = self.id, score = state.score, how = how, node = core.node_name(),
  }
  if state.unlucky and how == state.unlucky then error("cannot resume") end
  self.score, self.how, self.notes = state.score, how, state.notes
end

local calls = {}

function calls.get(self) return self.score, self.how, core.node_name() end

function calls.notes(self) return self.notes end

--- Adds, and says what the checkpoint answered.
function calls.add(self, msg)
  self.score = self.score + msg.n
  local state = { score = self.score, unlucky = msg.unlucky }
  return self.score, ds.checkpoint(state, msg.opts)
end

--- Adds, and keeps it to itself.
function calls.forget(self, msg)
  self.score = self.score + msg.n
  return self.score
end

function calls.keep(_, msg)
  return pcall(ds.checkpoint, msg.state == "a function" and print or msg.state,
    msg.opts)
end

function room:handle_call(msg)
  if msg.crash then error("told to crash") end
  return calls[msg.tag](self, msg)
end

--- Notes the number that it is sent.
function room:handle_info(msg)
  self.notes = self.notes or {}
  if msg.tag == "note" then self.notes[#self.notes + 1] = msg.n end
end

function room:handoff(reason)
  local act = self.arg.handoff
  if act == "raise" then error("cannot hand over") end
  if act == "hang" then core.sleep "infinity" end
  if act == "slow" then core.sleep(self.arg.handoff_ms) end
  if act == "nothing" then return nil end
  if act == "large" then return ("x"):rep(5000) end
  return { score = self.score, reason = reason, notes = self.notes }
end

--- Takes over what the other copy has more than both had.
function room:resolve_conflict(state)
  room.resolved[#room.resolved + 1] = {
    id = self.id, mine = self.score, theirs = state.score,
    reason = state.reason, node = core.node_name(),
  }
  if self.arg.resolve == "raise" then error("cannot resolve") end
  self.score = self.score + state.score
end

function room:terminate(reason)
  room.ended[#room.ended + 1] = { id = self.id, reason = reason }
end

function room.start_link(arg) return server.start_link(room, arg) end

function room.spec(id, arg)
  local full = { id = id }
  for key, value in pairs(arg or {}) do full[key] = value end
  return {
    id = id, start = { "spec.support.room", "start_link", { full } },
  }
end

return room
