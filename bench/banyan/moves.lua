-- 3,000 children with a state of 1 KiB on five nodes: one is drained while a
-- sixth calls without pause, gets its share back, and is killed. Erlang has
-- nothing like it.

local banyan = require "banyan"
local ds = require "banyan.distributed_supervisor"
local nodes = require "nodes"
local server = require "banyan.server"
local uv = require "luv"

local unpack = table.unpack or unpack

local moves = {}

local NAME = "moves"
local CHILDREN, MEMBERS = 3000, 5
local CALLERS, ASKERS = 20, 48
local STATE = ("x"):rep(1024)

-- --- the children ------------------------------------------------------------

function moves.init(self) self.count = 0 end

function moves.handle_call(self)
  self.count = self.count + 1
  return self.count
end

function moves.handle_cast() assert(ds.checkpoint(STATE)) end

function moves.handoff() return STATE end

function moves.resume() end

function moves.start_link() return server.start_link(moves) end

-- --- on the nodes ------------------------------------------------------------

--- Takes part; with `client` it runs no children.
function moves.open(client)
  local me = banyan.self()
  if client then banyan.set_hosts(false) end
  banyan.spawn(function()
    assert(ds.start_link { name = NAME })
    banyan.send(me, "ready")
    banyan.sleep(math.huge)
  end)
  banyan.receive()
end

--- Starts all children, and has each write its checkpoint.
function moves.fill()
  local me = banyan.self()
  for asker = 1, ASKERS do
    banyan.spawn_link(function()
      for id = asker, CHILDREN, ASKERS do
        assert(ds.start_child(NAME,
          { id = id, start = { "moves", "start_link" } }))
        ds.cast(NAME, id, "keep")
      end
      banyan.send(me, "done")
    end)
  end
  for _ = 1, ASKERS do banyan.receive() end
  return 0
end

local over, longest, calls, failed

local function call_one(id)
  local start = uv.hrtime()
  if not ds.call(NAME, id, "count", 30000) then failed = failed + 1 end
  calls = calls + 1
  longest = math.max(longest, (uv.hrtime() - start) / 1e6)
end

--- Calls children without pause, from so many processes.
function moves.begin_calls()
  over, longest, calls, failed = false, 0, 0, 0
  for caller = 1, CALLERS do
    banyan.spawn(function()
      local at = caller * 7919
      while not over do
        at = at + 104729
        call_one(at % CHILDREN + 1)
      end
    end)
  end
  return 0
end

--- Ends that. Returns the longest ms that a call took, how many there were, and
-- how many of them failed.
function moves.end_calls()
  over = true
  return longest, calls, failed
end

--- Drains this node. Returns ms, and how many have moved.
function moves.drain()
  local start = uv.hrtime()
  local moved = assert(ds.drain(NAME))
  return (uv.hrtime() - start) / 1e6, moved
end

--- Has all children moved to where the ring names. Returns ms, and how many.
function moves.rebalance()
  assert(ds.undrain(NAME))
  local start = uv.hrtime()
  local moved = assert(ds.rebalance(NAME))
  return (uv.hrtime() - start) / 1e6, moved
end

--- How many run here; await waits until all run somewhere, none of them on
-- `gone`, and returns the time in ns.
function moves.here() return (ds.count(NAME)) end

local function is_left(gone)
  for _, pid in pairs(ds.children(NAME)) do
    if pid:node() == gone then return false end
  end
  return true
end

function moves.await(gone)
  while true do
    local _, everywhere = ds.count(NAME)
    if everywhere == CHILDREN and is_left(gone) then return uv.hrtime() end
    banyan.sleep(2)
  end
end

-- --- the measurement ---------------------------------------------------------

local function under_calls(report, key, client, list, what, node)
  client:ask("moves", "begin_calls")
  local before = nodes.used(list)
  local ms, moved = unpack(node:ask("moves", what))
  local used = nodes.used(list, before)
  local waited, _, lost = unpack(client:ask("moves", "end_calls"))
  assert(lost == 0, "calls failed")
  report(key, moved / ms * 1000, "/s")
  report(key .. "_cpu", used.cpu / moved, "us")
  report(key .. "_longest", waited, "ms")
end

function moves.measure(report)
  local list = nodes.start_all(MEMBERS + 1)
  nodes.connect(list)
  local client = table.remove(list)
  client:ask("moves", "open", "client")
  for _, node in ipairs(list) do node:ask("moves", "open") end
  list[1]:ask("moves", "fill")
  under_calls(report, "drain", client, list, "drain", list[2])
  under_calls(report, "rebalance", client, list, "rebalance", list[2])
  local victim = table.remove(list)
  local lost = victim:ask("moves", "here")[1]
  local before, start = nodes.used(list), victim:kill()
  local took = client:ask("moves", "await", victim.name)[1] - start
  report("failover", lost / took * 1e9, "/s")
  report("failover_cpu", nodes.used(list, before).cpu / lost, "us")
end

return moves
