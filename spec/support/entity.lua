--- Entities for specs: each counts what it is told. One whose id begins with
-- "fleeting" hands nothing over.

local core = require "banyan.core"
local ds = require "banyan.distributed_supervisor"
local server = require "banyan.server"

local entity = { name = "spec.support.entity" }

--- The option.
entity.option = { "spec.support.entity", "start_link" }

--- All that were ever started in this Lua state: {id=, pid=, node=, n=, how=}.
entity.started = {}
--- id -> how the next start functions of it fail: an error to answer, "raise",
--- or "resume": the start goes well, and resume raises.
entity.fails = {}
--- How long start functions take.
entity.start_ms = 0

--- Forgets all that was.
function entity.reset()
  entity.started, entity.fails, entity.start_ms = {}, {}, 0
end

function entity:init(id)
  self.id, self.n = id, 0
  self.entry = { id = id, pid = core.self(), node = core.node_name(), n = 0 }
  table.insert(entity.started, self.entry)
end

function entity:resume(state, how)
  if entity.fails[self.id] == "resume" then error("told to fail") end
  self.n, self.how = state.n, how
  self.entry.n, self.entry.how = state.n, how
end

function entity:handoff(why)
  if tostring(self.id):find "^bad" then error("cannot hand over") end
  if tostring(self.id):find "^fleeting" then return nil end
  return { n = self.n, why = why }
end

local calls = {}

function calls.get(self) return self.n, self.how, core.node_name() end

function calls.add(self)
  self.n = self.n + 1
  return self.n, self.how, core.node_name()
end

function calls.keep(self)
  self.n = self.n + 1
  return self.n, ds.checkpoint { n = self.n }
end

function calls.crash() error("told to crash") end

function calls.sleep(self, ms)
  core.sleep(ms)
  return self.n
end

function calls.stop(self) return server.stop_with("normal", self.n) end

function calls.ask(_, other) return ds.call("children", other, "add") end

function entity:handle_call(msg)
  if type(msg) == "table" then return calls[msg[1]](self, msg[2]) end
  return calls[msg](self)
end

function entity:handle_cast() self.n = self.n + 1 end

function entity:handle_info() self.n = self.n + 1 end

function entity.start_link(id)
  if entity.start_ms > 0 then core.sleep(entity.start_ms) end
  local fails = entity.fails[id]
  if fails == "raise" then error("told to raise") end
  if fails == "vanish" then
    return core.spawn_link(function() end)
  end
  if fails and fails ~= "resume" then return nil, fails end
  return server.start_link(entity, id)
end

--- A start function that is not called start_link.
function entity.begin(id) return entity.start_link(id) end

--- How many starts there were of an id.
function entity.starts(id)
  local count = 0
  for _, one in ipairs(entity.started) do
    if one.id == id then count = count + 1 end
  end
  return count
end

return entity
