-- Lists of 100,000 children: for how long each holds the node that makes it.
-- bench/lists.lua has these done on nodes.

local banyan = require "banyan"
local ds = require "banyan.distributed_supervisor"
local dynamic_supervisor = require "banyan.dynamic_supervisor"
local echo = require "echo"
local supervisor = require "banyan.supervisor"
local uv = require "luv"

local lists = {}

local NAME = "children"
local ASKERS = 64

-- --- what is listed ----------------------------------------------------------

-- Servers: the coroutine of another process would be work for the collector.
local child = echo.start_link

-- Runs fn in a process that stays.
local function keep(fn)
  local me = banyan.self()
  banyan.spawn(function()
    fn()
    banyan.send(me, "done")
    banyan.sleep(math.huge)
  end)
  banyan.receive()
end

--- A dynamic supervisor with so many children.
function lists.dynamic(count)
  keep(function()
    local sup = assert(dynamic_supervisor.start_link { name = NAME })
    for _ = 1, count do
      assert(dynamic_supervisor.start_child(sup,
        { start = child, restart = "temporary" }))
    end
  end)
end

--- A supervisor with so many children that have ids.
function lists.static(count)
  keep(function()
    local sup = assert(supervisor.start_link({}, { name = NAME }))
    for i = 1, count do
      assert(supervisor.start_child(sup, { id = i, start = child }))
    end
  end)
end

--- Registers as many processes.
function lists.names(count)
  keep(function()
    for i = 1, count do banyan.register("name " .. i, child()) end
  end)
end

--- A distributed supervisor with so many children, all here.
function lists.distributed(count)
  keep(function() assert(ds.start_link { name = NAME }) end)
  local me = banyan.self()
  for asker = 1, ASKERS do
    banyan.spawn_link(function()
      for id = asker, count, ASKERS do
        assert(ds.start_child(NAME,
          { id = id, start = { "echo", "start_link" } }))
      end
      banyan.send(me, "done")
    end)
  end
  for _ = 1, ASKERS do banyan.receive() end
end

-- --- how they are listed -----------------------------------------------------

local whats = {}

-- What the node does besides: the same without a list.
function whats.nothing() banyan.sleep(100) end

function whats.which_children()
  return #assert(supervisor.which_children(NAME))
end

function whats.count_children()
  return assert(supervisor.count_children(NAME)).active
end

function whats.remote(node)
  return #assert(supervisor.which_children { name = NAME, node = node })
end

function whats.children()
  local n = 0
  for _ in pairs(assert(ds.children(NAME))) do n = n + 1 end
  return n
end

function whats.local_children() return #assert(ds.local_children(NAME)) end
function whats.count() return (assert(ds.count(NAME))) end
function whats.status() return assert(ds.status(NAME)).everywhere end
function whats.explain() return #assert(ds.explain(NAME, 1)).members end
function whats.nodes() return #assert(ds.nodes(NAME)) end
function whats.processes() return #banyan.processes() end
function whats.registered() return #banyan.registered() end

function whats.process_info()
  return #banyan.process_info(banyan.whereis(NAME)).links
end

-- --- the measurement ---------------------------------------------------------

-- A process that always has something to do: the time between two of its turns.
-- That is CPU time, so other programs of the machine do not count.
local function watch(state)
  local last = os.clock()
  while not state.over do
    coroutine.yield()
    local now = os.clock()
    if now - last > state.longest then state.longest = now - last end
    last = now
  end
end

-- Collects the garbage of what was before, and has the allocator put together
-- what was freed: it does that when it is asked for a long block.
local function clean()
  collectgarbage()
  collectgarbage()
  return #("x"):rep(100000)
end

-- One list; returns how many there were, the longest hold, and the time, in ms.
local function try(what, node)
  local state = { longest = 0 }
  banyan.spawn(function() watch(state) end)
  banyan.sleep(1)
  state.longest = 0
  local start = uv.hrtime()
  local count = whats[what](node) or 0
  local took = (uv.hrtime() - start) / 1e6
  coroutine.yield()
  state.over = true
  return count, state.longest * 1000, took
end

--- Lists so many times. Returns how many there were; the longest hold, in ms,
-- of the best time while the collector is stopped; of the best and of the worst
-- time with it; and the ms of the fastest.
function lists.measure(what, rounds, node)
  local alone, best, worst, fastest = math.huge, math.huge, 0, math.huge
  local count, held, took
  for _ = 1, rounds do
    clean()
    collectgarbage "stop"
    count, held, took = try(what, node)
    collectgarbage "restart"
    alone, fastest = math.min(alone, held), math.min(fastest, took)
    clean()
    held = select(2, try(what, node))
    best, worst = math.min(best, held), math.max(worst, held)
  end
  return count, alone, best, worst, fastest
end

local watched

--- Measures until lists.held is called; stopped: without the collector.
function lists.hold(stopped)
  clean()
  if stopped then collectgarbage "stop" end
  watched = { longest = 0 }
  local state = watched
  banyan.spawn(function() watch(state) end)
  banyan.sleep(1)
  watched.longest = 0
end

--- The longest hold since, in ms.
function lists.held()
  watched.over = true
  collectgarbage "restart"
  return watched.longest * 1000
end

--- How long the list takes where nobody measures, in ms.
function lists.time(what, node)
  clean()
  local start = uv.hrtime()
  whats[what](node)
  return (uv.hrtime() - start) / 1e6
end

return lists
