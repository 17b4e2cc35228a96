--- Children that write checkpoints, on nodes that crash, leave, come back and
-- are divided. What must hold:
--
--  * a child is not started with an older state than the last that was
--    acknowledged, while fewer nodes than `replicas` crash at once;
--  * nor with that of another child that had its id before;
--  * what handoff returned at the end of a node is not lost;
--  * of two copies that meet, the next process goes on from the one that
--    stayed.

local banyan = require "banyan"
local core = require "banyan.core"
local ds = require "banyan.distributed_supervisor"
local lockstep = require "banyan.lockstep"
local Room = require "spec.support.scripts.room"
local each_life = require "spec.support.scripts.lives"
local run_on = require "spec.support.scripts.on"

local choose = lockstep.choose

local NODES, IDS, PHASES = 4, 4, 4
local NAME = "rooms"
local WAYS = { "sync", "sync", "async", "quiet" } -- to count
local PATIENCE_MS, CALM_MS, GAP_MS, CALL_MS = 90000, 3000, 400, 2000

local run -- the state of the current run

local function id_of(i) return "id" .. i end

local function one_of(list) return list[choose(#list)] end

local function on(node, what) return run_on(run.cluster, node, what) end

local function open(node)
  run.keepers[node] = run.cluster:spawn(node, function()
    banyan.trap_exit(true)
    local pid = assert(ds.start_link {
      name = NAME, max_restarts = 1000, replicas = run.replicas,
    })
    banyan.receive(function(m) return m == "leave" end)
    pid:exit "shutdown"
    banyan.receive(function(m) return m.from == pid end)
  end)
end

-- --- clients -----------------------------------------------------------------

local function start(node, id)
  run.generation = run.generation + 1
  local generation = run.generation
  local ok = on(node, function()
    return (ds.start_child(NAME, { id = id,
      start = { "spec.support.scripts.room", "start_link",
        { id, generation } } }))
  end)
  if not ok then error("a child does not start", 0) end
end

local function count_on(node, until_over)
  run.cluster:spawn(node, function()
    while not until_over.over do
      ds.call(NAME, id_of(choose(IDS)), one_of(WAYS), CALL_MS)
      banyan.sleep(choose(GAP_MS))
    end
  end)
end

-- Clients on all nodes; answers what stops them.
local function start_clients()
  local state = { over = false }
  for _, node in ipairs(run.cluster.nodes) do count_on(node, state) end
  return state
end

-- --- looking -----------------------------------------------------------------

local function is_alive(room)
  local same = run.cluster.lives[room.node] == room.life
  return same and run.cluster:is_up(room.node) and on(room.node, function()
    return core.is_alive(room.pid)
  end)
end

-- The process of each child, or why there is not just one.
local function processes()
  local found = {}
  for i = #Room.log.started, 1, -1 do
    local room = Room.log.started[i]
    room.over = room.over or not is_alive(room)
    if not room.over then
      if found[room.id] then return nil, room.id .. " runs twice" end
      found[room.id] = room
    end
  end
  for i = 1, IDS do
    local id = id_of(i)
    if not found[id] then return nil, id .. " does not run" end
    for _, node in ipairs(run.cluster.nodes) do
      local pid = on(node, function() return ds.whereis(NAME, id) end)
      if pid ~= found[id].pid then
        return nil, ("%s has not heard of %s"):format(node, id)
      end
    end
  end
  return found
end

-- A node that misses one of the others, or nil.
local function missing()
  for _, node in ipairs(run.cluster.nodes) do
    local members = on(node, function() return ds.nodes(NAME) end)
    if not members or #members < NODES then return node end
  end
end

-- Until all nodes see each other, each child runs once, and others had time to
-- hold what it wrote.
local function calm_down()
  local ends = banyan.now() + PATIENCE_MS
  while true do
    local alone = missing()
    local found, why = processes()
    if found and not alone then break end
    why = why or alone .. " misses others"
    if banyan.now() > ends then error(why, 0) end
    banyan.sleep(1000)
  end
  banyan.sleep(CALM_MS)
end

-- --- faults ------------------------------------------------------------------

local phases = {}

-- Waits for an acknowledgement, if it is to be just after one.
local function last_to_acknowledge()
  Room.log.last = nil
  for _ = 1, 2000 do
    if Room.log.last then return Room.log.last end
    banyan.sleep(1)
  end
  return one_of(run.cluster.nodes)
end

-- As many at once as may crash.
function phases.crash()
  local clients = start_clients()
  banyan.sleep(choose(2 * GAP_MS))
  local down = { last_to_acknowledge() }
  if run.replicas > 2 then
    repeat down[2] = one_of(run.cluster.nodes) until down[2] ~= down[1]
  end
  for _, node in ipairs(down) do run.cluster:crash(node) end
  banyan.sleep(choose(4) * 2000)
  for _, node in ipairs(down) do run.cluster:restart(node) end
  clients.over = true
end

function phases.leave()
  local clients = start_clients()
  banyan.sleep(choose(2 * GAP_MS))
  local node = one_of(run.cluster.nodes)
  local keeper = run.keepers[node]
  local ref = banyan.monitor(keeper)
  banyan.send(keeper, "leave")
  assert(banyan.receive(function(m) return m.ref == ref end, 60000),
    "a node does not leave")
  banyan.sleep(choose(2 * GAP_MS))
  clients.over = true
  open(node)
end

function phases.crash_children()
  local clients = start_clients()
  for _ = 1, 3 do
    banyan.sleep(choose(GAP_MS))
    local id = id_of(choose(IDS))
    on(one_of(run.cluster.nodes), function() return ds.cast(NAME, id, "x") end)
  end
  clients.over = true
end

function phases.start_anew()
  local node, id = one_of(run.cluster.nodes), id_of(choose(IDS))
  local ok = on(node, function() return ds.terminate_child(NAME, id) end)
  if not ok then error("a child does not end", 0) end
  start(node, id)
end

-- Both sides count. Then that counts which the process has that stayed.
function phases.divide()
  Room.log.unsure = true
  local nodes, alone = run.cluster.nodes, choose(NODES)
  local others = {}
  for i, node in ipairs(nodes) do
    if i ~= alone then others[#others + 1] = node end
  end
  local clients = start_clients()
  run.cluster:partition({ nodes[alone] }, others)
  banyan.sleep(6000 + choose(10000))
  clients.over = true
  banyan.sleep(CALL_MS + 2 * GAP_MS)
  run.cluster:heal()
  calm_down()
  for _, room in pairs((assert(processes()))) do
    Room.log.acknowledged[room.generation] = Room.log.reached[room.pid]
  end
  Room.log.unsure = false
end

local BAG = { "crash", "crash", "leave", "crash_children", "start_anew",
  "divide" }

--- The body.
return function()
  local cluster = lockstep.cluster { nodes = NODES }
  local log = Room.new_log(cluster.lives)
  run = {
    cluster = cluster, keepers = {},
    generation = 0, replicas = 1 + choose(2),
  }
  lockstep.invariant(function() return not log.problem, log.problem end,
    "the checkpoints")
  each_life(run.cluster, open)
  banyan.sleep(5000)
  for i = 1, IDS do start(run.cluster.nodes[1], id_of(i)) end
  calm_down()
  for _ = 1, PHASES do
    phases[one_of(BAG)]()
    calm_down()
  end
  phases.crash()
  calm_down()
end
