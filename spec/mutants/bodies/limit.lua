--- One child of a distributed supervisor crashes until it is set aside, and
-- is tried again later. Another, which crashes once, is back at once.

local banyan = require "banyan"
local ds = require "banyan.distributed_supervisor"
local lockstep = require "banyan.lockstep"

local choose = lockstep.choose

local NAME = "children"
local MAX_RESTARTS = 3
local PATIENCE_MS, SOON_MS = 120000, 50

local function start(id)
  return assert(ds.start_child(NAME, { id = id, restart = "permanent",
    start = { "spec.support.scripts.child", "start_link", { id } } }))
end

-- It crashes, and is another process, or none, soon after.
local function crash(id)
  local pid = assert(ds.whereis(NAME, id), id .. " does not run")
  ds.cast(NAME, id, "crash")
  banyan.sleep(SOON_MS)
  local now = ds.whereis(NAME, id)
  assert(now ~= pid, id .. " did not crash")
  return now
end

local function crash_good()
  assert(crash "good", "a child waits for the crashes of another")
end

local function play()
  assert(ds.start_link { name = NAME, max_restarts = MAX_RESTARTS,
    max_seconds = 5 })
  start "good"
  start "bad"
  local when = choose(MAX_RESTARTS + 1)
  for i = 1, MAX_RESTARTS do
    assert(crash "bad", "a child is set aside too early")
    if i == when then crash_good() end
  end
  assert(not crash "bad", "a child is restarted more often than it may")
  if when > MAX_RESTARTS then crash_good() end
  local ends = banyan.now() + PATIENCE_MS
  while not ds.whereis(NAME, "bad") do
    assert(banyan.now() < ends, "a child was not tried again")
    banyan.sleep(1000)
  end
end

return function()
  local cluster = lockstep.cluster { nodes = 1 }
  local me = banyan.self()
  cluster:spawn(cluster.nodes[1], function()
    banyan.trap_exit(true)
    local ok, why = pcall(play)
    banyan.send(me, { ok = ok, why = tostring(why) })
    banyan.receive()
  end)
  local answer = banyan.receive()
  assert(answer.ok, answer.why)
end
