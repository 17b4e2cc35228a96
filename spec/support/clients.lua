--- Clients on a node of spec.support.cluster that call the rooms of "counters"
-- by id without pause, and remember what came of it.
--
-- What is sent to nodes is bytecode, so each function asks for what it needs.

local banyan = require "banyan"
local ds = require "banyan.distributed_supervisor"

local clients = {}

local state

local function note_error(id, err)
  local text = tostring(err)
  state.errors[text] = (state.errors[text] or 0) + 1
  state.failed[id] = true
end

local function call_one(id)
  local began = banyan.now()
  local score, err = ds.call("counters", id, { tag = "forget", n = 1 }, 30000)
  local took = banyan.now() - began
  state.calls = state.calls + 1
  if took > state.longest then state.longest = took end
  if score then
    state.added[id] = (state.added[id] or 0) + 1
  else
    note_error(id, err)
  end
end

local function client(seed, ids, pause_ms)
  local at = seed * 7919
  while not state.over do
    at = at + 104729
    call_one(at % ids + 1)
    if pause_ms then banyan.sleep(pause_ms) end
  end
  state.running = state.running - 1
end

--- Starts `count` clients of the ids 1 to `ids`; each waits pause_ms, if given,
-- between two calls.
function clients.start(count, ids, pause_ms)
  state = {
    calls = 0, longest = 0, added = {}, errors = {}, failed = {},
    running = count,
  }
  for seed = 1, count do banyan.spawn(client, seed, ids, pause_ms) end
end

--- Ends them; answers {calls=, longest= (ms), added= {[id]=n}, errors=
-- {[text]=n}, failed= {[id]=true}}.
function clients.stop()
  state.over = true
  while state.running > 0 do banyan.sleep(5) end
  return state
end

-- --- the test's side ---------------------------------------------------------

function clients.begin(node, count, ids, pause_ms)
  node:call(function(...)
    require("spec.support.clients").start(...)
  end, count, ids, pause_ms)
end

function clients.finish(node)
  return node:call(function()
    return require("spec.support.clients").stop()
  end)
end

return clients
