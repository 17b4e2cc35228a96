-- Very many entities on three nodes, few of them at a time: bench/entities.lua
-- has these done on nodes.

local banyan = require "banyan"
local ds = require "banyan.distributed_supervisor"
local server = require "banyan.server"
local tools = require "tools"
local uv = require "luv"

local entities = {}

local NAME = "entities"
local CALLERS = 50

-- Of each that hands something over: 200 bytes.
local STATE = ("x"):rep(190)

function entities:init(id) self.id = id end

function entities:resume(state) self.n, self.text = state.n, state.text end

--- An even id hands something over.
function entities:handoff()
  if self.id % 2 == 0 then return { n = self.n, text = STATE } end
end

function entities:handle_call()
  self.n = (self.n or 0) + 1
  return self.n
end

function entities.start_link(id) return server.start_link(entities, id) end

--- Takes part.
function entities.open(idle_ms)
  local me = banyan.self()
  banyan.spawn(function()
    assert(ds.start_link {
      name = NAME, entity = { "entities", "start_link" }, idle_ms = idle_ms,
    })
    banyan.send(me, "ready")
    banyan.sleep(math.huge)
  end)
  banyan.receive()
end

--- Calls the ids first, first + 2 ... up to last. Returns seconds, and the sum
-- of what they answered.
function entities.visit(first, last)
  local me, sum = banyan.self(), 0
  local seconds = tools.time(function()
    for caller = 0, CALLERS - 1 do
      banyan.spawn_link(function()
        local mine = 0
        for id = first + 2 * caller, last, 2 * CALLERS do
          mine = mine + assert(ds.call(NAME, id, "add", 60000))
        end
        banyan.send(me, { sum = mine })
      end)
    end
    for _ = 1, CALLERS do sum = sum + banyan.receive().sum end
  end)
  return seconds, sum
end

--- Waits until no more than so many run, anywhere.
function entities.await(most)
  while select(2, ds.count(NAME)) > most do banyan.sleep(20) end
end

--- So many run, everywhere; so many are idle, with a state.
function entities.counts()
  local status = ds.status(NAME)
  return status.everywhere, status.idle
end

--- KiB: resident, and of Lua.
function entities.memory()
  collectgarbage()
  collectgarbage()
  return uv.resident_set_memory() / 1024, collectgarbage "count"
end

return entities
