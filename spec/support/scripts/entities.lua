--- Clients on three nodes that call entities and send to them, now and then
-- without pause, now and then so seldom that those are stopped meanwhile; nodes
-- leave in good order and come back. What must hold:
--
--  * there are never two processes of one entity;
--  * no message is lost, none comes twice, and those of one client come in
--    order, whatever process they come to: each goes on where the last one was;
--  * a call is answered, and no call by id answers "noproc";
--  * once nobody calls any more, all sleep.
--
-- In some runs nodes crash. Then messages and the newest state may be lost, and
-- all else holds.

local banyan = require "banyan"
local ds = require "banyan.distributed_supervisor"
local lockstep = require "banyan.lockstep"
local core = require "banyan.core"
local server = require "banyan.server"
local Tally = require "spec.support.scripts.tally"
local each_life = require "spec.support.scripts.lives"
local on = require "spec.support.scripts.on"

local choose = lockstep.choose

local NODES, IDS, FAULTS = 3, 3, 3
local NAME = "entities"
local IDLE_MS = 300
local CALL_MS, CALM_MS, REST_MS = 60000, 2000, 6 * IDLE_MS
local GAPS = { 1, 20, 3 * IDLE_MS } -- between two messages of a client
local ABOUT_MS = 100 -- some come just as an entity is stopped
local ENTITY = { "spec.support.scripts.tally", "start_link" }

local run

local function wrong(...)
  run.log.problem = run.log.problem or (...):format(select(2, ...))
end

local function next_message(who, id)
  who.numbers[id] = (who.numbers[id] or 0) + 1
  return { client = who.name, number = who.numbers[id] }
end

local function check_call(id, message, value, err)
  local key = ("%s %s %d"):format(id, message.client, message.number)
  local served = run.log.calls[key] or 0
  if served > 1 then wrong("call %s was served %d times", key, served) end
  if value == message.number then return end
  if value == nil and not run.log.strict and err ~= "noproc" then return end
  wrong("call %s on %s: %s, %s", key, banyan.node(), tostring(value),
    tostring(err))
end

local kinds = {}

function kinds.call(id, message)
  check_call(id, message, ds.call(NAME, id, message, CALL_MS))
end

function kinds.call_via(id, message)
  check_call(id, message, server.call(ds.via(NAME, id), message, CALL_MS))
end

function kinds.cast(id, message) ds.cast(NAME, id, message) end

function kinds.send(id, message)
  local ok, err = ds.send(NAME, id, message)
  if not ok then wrong("a message to %s: %s", id, tostring(err)) end
end

function kinds.send_via(id, message) banyan.send(ds.via(NAME, id), message) end

local KINDS = { "call", "call_via", "cast", "send", "send_via" }

-- A client lives as long as its node takes part.
local function be_client(who)
  while not run.over and not who.leaves do
    local id = "id" .. choose(IDS)
    local kind = KINDS[choose(#KINDS)]
    for _ = 1, choose(3) do kinds[kind](id, next_message(who, id)) end
    banyan.sleep(GAPS[choose(#GAPS + 2)] or IDLE_MS + choose(ABOUT_MS))
  end
  for i = 1, IDS do -- what was sent before is there when this is answered
    kinds.call("id" .. i, next_message(who, "id" .. i))
  end
  who.done = true
end

local function add_client(node)
  run.last = (run.last or 0) + 1
  local who = { name = "client" .. run.last, node = node, numbers = {} }
  run.clients[#run.clients + 1] = who
  run.cluster:spawn(node, function() be_client(who) end)
end

local function open(node)
  run.keepers[node] = run.cluster:spawn(node, function()
    banyan.trap_exit(true)
    local pid = assert(ds.start_link {
      name = NAME, entity = ENTITY, idle_ms = IDLE_MS,
    })
    -- One that has not met the others is a cluster of its own.
    while #ds.nodes(NAME) < NODES do banyan.sleep(50) end
    run.up[node] = true
    banyan.receive(function(m) return m == "leave" end)
    pid:exit "shutdown"
    banyan.receive(function(m) return m.from == pid end)
  end)
end

local function await(what, fn)
  for _ = 1, 1200 do
    if fn() then return end
    banyan.sleep(100)
  end
  error(what, 0)
end

-- --- faults ------------------------------------------------------------------

local faults = {}

-- The first node stays.
local function other_node() return run.cluster.nodes[1 + choose(NODES - 1)] end

local function return_to(node)
  await("a node does not open", function() return run.up[node] end)
  add_client(node)
end

-- Its clients end first: what they have not sent is lost with it.
function faults.leave()
  local node = other_node()
  for _, who in ipairs(run.clients) do
    if who.node == node then who.leaves = true end
  end
  await("a client waits", function()
    for _, who in ipairs(run.clients) do
      if who.node == node and not who.done then return false end
    end
    return true
  end)
  run.up[node] = false
  local ref = banyan.monitor(run.keepers[node])
  banyan.send(run.keepers[node], "leave")
  assert(banyan.receive(function(m) return m.ref == ref end, 60000),
    "a node does not leave")
  banyan.sleep(choose(2000))
  open(node)
  return_to(node)
end

function faults.crash_node()
  local node = other_node()
  run.up[node] = false
  run.cluster:crash(node)
  for _, who in ipairs(run.clients) do
    if who.node == node then who.done = true end
  end
  banyan.sleep(choose(4000))
  run.cluster:restart(node)
  return_to(node)
end

function faults.rest() banyan.sleep(4 * IDLE_MS) end

local ORDERLY = { "leave", "rest" }
local CRASHING = { "leave", "crash_node", "rest" }

-- --- what must hold ----------------------------------------------------------

local function is_alive(one)
  local ok, alive = pcall(core.is_alive, one.pid)
  return ok and alive
end

-- After each start there is one process of its entity.
local function look_at_starts(log)
  for i = log.seen + 1, #log.started do
    local one = log.started[i]
    local before = log.newest[one.id]
    if before and is_alive(before) then
      wrong("%s starts on %s, and runs on %s", one.id, one.node, before.node)
    end
    log.newest[one.id] = one
  end
  log.seen = #log.started
end

return function()
  local cluster = lockstep.cluster { nodes = NODES }
  local log = Tally.new_log()
  log.newest, log.seen = {}, 0
  run = {
    cluster = cluster, keepers = {}, clients = {}, up = {}, over = false,
    log = log,
  }
  lockstep.invariant(function()
    look_at_starts(log)
    return not log.problem, log.problem
  end, "the entities")
  each_life(cluster, open)
  await("a node does not open", function()
    for _, node in ipairs(cluster.nodes) do
      if not run.up[node] then return false end
    end
    return true
  end)
  banyan.sleep(5000)
  local bag = ORDERLY
  if choose(3) == 1 then bag, log.strict = CRASHING, false end
  for _, node in ipairs(cluster.nodes) do add_client(node) end
  for _ = 1, FAULTS do
    banyan.sleep(choose(3000))
    faults[bag[choose(#bag)]]()
  end
  banyan.sleep(CALM_MS)
  run.over = true
  await("a client waits", function()
    for _, who in ipairs(run.clients) do
      if not who.done then return false end
    end
    return true
  end)
  banyan.sleep(REST_MS)
  local left = on(cluster, cluster.nodes[1], function()
    return (select(2, ds.count(NAME)))
  end)
  if left > 0 then error(left .. " do not sleep", 0) end
end
