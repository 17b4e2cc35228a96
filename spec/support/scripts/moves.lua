--- Clients on all nodes that call children by id, and send to them, without
-- pause, while children are moved, drained and rebalanced, and nodes leave, are
-- paused, cut off for a moment, and crash. What must hold:
--
--  * what a client tells a child is handled in its order, nothing is lost, and
--    nothing comes twice; of a child whose node crashed, some may be lost;
--  * a call is answered by the child, or by "noconnection" if its node crashed;
--  * a child begins with the state that the process before it handed over;
--  * no two processes of a child run, and a move that is refused leaves it be.

local banyan = require "banyan"
local ds = require "banyan.distributed_supervisor"
local lockstep = require "banyan.lockstep"
local server = require "banyan.server"
local Mover = require "spec.support.scripts.mover"
local each_life = require "spec.support.scripts.lives"
local run_on = require "spec.support.scripts.on"

local choose = lockstep.choose

local NODES, IDS, FAULTS = 4, 4, 8
local NAME = "movers"
local CALL_MS, GAP_MS, BURST = 60000, 60, 4
local CALM_MS, PATIENCE_MS = 15000, 90000
local SHORT_MS = 1500 -- a node is not given up so soon

local run

local function id_of() return "id" .. choose(IDS) end

local function wrong(text, ...)
  run.log.problem = run.log.problem or text:format(...)
end

local function on(node, what) return run_on(run.cluster, node, what) end

-- --- clients -----------------------------------------------------------------

local function message_of(who, id)
  return { client = who.name, number = (who.numbers[id] or 0) + 1 }
end

-- Whoever has left its supervisor, or is about to, is told so.
local function took(who, id, ok, err)
  if ok then
    who.numbers[id] = who.numbers[id] + 1
  elseif err ~= "not_started" or not who.over then
    wrong("what %s tells %s: %s", who.name, id, tostring(err))
  end
end

local function tell(who, id)
  local message = message_of(who, id)
  who.numbers[id] = who.numbers[id] or 0
  local what = choose(4)
  if what == 1 then
    took(who, id, ds.send(NAME, id, message))
  elseif what == 2 then
    took(who, id, banyan.send(ds.via(NAME, id), message))
  elseif what == 3 then
    took(who, id, ds.cast(NAME, id, message))
  else
    took(who, id, server.cast(ds.via(NAME, id), message))
  end
end

local function call(who, id)
  local message = message_of(who, id)
  message.slow = choose(4) == 1 and 40 or nil
  local dest = ds.via(NAME, id)
  local value, err
  if choose(2) == 1 then
    value, err = ds.call(NAME, id, message, CALL_MS)
  else
    value, err = server.call(dest, message, CALL_MS)
  end
  if value == id then
    who.numbers[id] = message.number
  elseif err == "noconnection" and run.log.lost[id] then
    who.numbers[id] = message.number
  elseif err ~= "not_started" or not who.over then
    wrong("a call of %s by %s: %s", id, who.name, tostring(err))
  end
end

local function be_client(who)
  while not who.over do
    local id = id_of()
    for _ = 1, choose(BURST) - 1 do tell(who, id) end
    call(who, id)
    banyan.sleep(choose(GAP_MS))
  end
  who.done = true
end

local function begin_client(node)
  run.client_count = run.client_count + 1
  local who = { name = "client" .. run.client_count, numbers = {} }
  run.clients[node] = who
  run.all[#run.all + 1] = who
  run.cluster:spawn(node, function() be_client(who) end)
end

local function end_client(node)
  local who = run.clients[node]
  who.over = true
  for _ = 1, PATIENCE_MS / 100 do
    if who.done then return end
    banyan.sleep(100)
  end
  error(who.name .. " waits", 0)
end

-- --- faults ------------------------------------------------------------------

local function open(node)
  run.keepers[node] = run.cluster:spawn(node, function()
    banyan.trap_exit(true)
    local pid = assert(ds.start_link {
      name = NAME, max_restarts = 1000,
      rebalance = run.active and { mode = "active", per_second = 2 } or nil,
      max_children = node == run.cluster.nodes[NODES] and 1 or nil,
    })
    banyan.receive(function(m) return m == "leave" end)
    pid:exit "shutdown"
    banyan.receive(function(m) return m.from == pid end)
  end)
end

local function some_node() return run.cluster.nodes[choose(NODES)] end

-- The body goes on meanwhile.
local function begin(node, what)
  local state = { done = false }
  run.begun = run.begun + 1
  run.cluster:spawn(node, function()
    what()
    state.done = true
    run.begun = run.begun - 1
  end)
  return state
end

local faults = {}

local MAY_FAIL = { no_room = true, not_a_member = true, noconnection = true,
  timeout = true, handoff_failed = true }

local function code_of(err) return type(err) == "table" and err[1] or err end

local function move(id, to)
  local pid, err = ds.move_child(NAME, id, to)
  local asker_left = err == "not_started" and run.left[banyan.node()]
  if not pid and not MAY_FAIL[code_of(err)] and not asker_left then
    wrong("%s cannot be moved: %s", id, tostring(err))
  end
  return code_of(err)
end

-- Where nothing else takes the room that was there when it was asked for.
function faults.move()
  local id, node = id_of(), run.cluster.nodes[choose(5)]
  local moved = run.log.moved[id]
  local alone = run.begun == 0 and not run.active and not run.rebalanced
  local err = on(some_node(), function() return move(id, node) end)
  if err == "no_room" and alone and run.log.moved[id] ~= moved then
    wrong("%s was refused and handed over", id)
  end
end

function faults.move_twice()
  local id = id_of()
  local one = begin(some_node(), function() move(id, some_node()) end)
  banyan.sleep(choose(30) - 1)
  local other = begin(some_node(), function() move(id, some_node()) end)
  for _ = 1, 800 do
    if one.done and other.done then return end
    banyan.sleep(100)
  end
  wrong("a move of %s is not answered", id)
end

function faults.drain()
  local node, by = some_node(), some_node()
  local moved, err = on(by, function()
    local count, why = ds.drain(NAME, node)
    return { count, why }
  end)
  if moved[1] == nil then wrong("drain: %s", tostring(moved[2] or err)) end
  banyan.sleep(choose(200))
  on(by, function() return assert(ds.undrain(NAME, node)) end)
end

function faults.drain_broken_off()
  local node = some_node()
  begin(some_node(), function() ds.drain(NAME, node, choose(100)) end)
  banyan.sleep(choose(150))
  on(some_node(), function() return assert(ds.undrain(NAME, node)) end)
end

function faults.rebalance()
  run.rebalanced = true
  on(some_node(), function() return assert(ds.rebalance(NAME)) end)
end

function faults.leave()
  local node = some_node()
  end_client(node)
  local keeper = run.keepers[node]
  run.left[node] = true
  local ref = banyan.monitor(keeper)
  banyan.send(keeper, "leave")
  assert(banyan.receive(function(m) return m.ref == ref end, 60000),
    "a node does not leave")
  banyan.sleep(choose(200))
  open(node)
  banyan.sleep(3000)
  begin_client(node)
end

-- A move is under way meanwhile.
local function with_move(what)
  begin(some_node(), function() move(id_of(), some_node()) end)
  banyan.sleep(choose(30) - 1)
  what()
end

function faults.pause()
  local node = some_node()
  with_move(function()
    run.cluster:pause(node)
    banyan.sleep(choose(SHORT_MS))
    run.cluster:resume(node)
  end)
end

function faults.cut()
  local a = choose(NODES)
  local b = 1 + (a + choose(NODES - 1) - 1) % NODES
  local nodes = run.cluster.nodes
  with_move(function() run.cluster:cut(nodes[a], nodes[b]) end)
end

function faults.partition()
  local node = some_node()
  with_move(function()
    run.cluster:isolate(node)
    banyan.sleep(choose(SHORT_MS))
    run.cluster:heal()
  end)
end

-- What its children had is lost, and what was on its way to them. What a
-- process has just handed over may be, until others hold it.
function faults.crash()
  local node = some_node()
  local moves = begin(some_node(), function() move(id_of(), node) end)
  banyan.sleep(choose(60) - 1)
  run.clients[node].over = true
  for i = 1, IDS do
    local id = "id" .. i
    local own = run.log.running[id]
    if not own or own.node == node then
      run.log.lost[id] = true
      run.log.running[id] = nil
    end
  end
  if not moves.done then
    for i = 1, IDS do run.log.lost["id" .. i] = true end
  end
  run.cluster:crash(node)
  banyan.sleep(choose(4000))
  run.cluster:restart(node)
  banyan.sleep(3000)
  begin_client(node)
end

local BAG = { "move", "move", "move_twice", "drain", "drain_broken_off",
  "rebalance", "leave", "pause", "cut", "partition" }

-- --- the body ----------------------------------------------------------------

local function start_children()
  for i = 1, IDS do
    local id = "id" .. i
    assert(ds.start_child(NAME, { id = id,
      start = { "spec.support.scripts.mover", "start_link", { id } } }))
  end
  return true
end

-- A node that has not been told of a child yet answers "noproc".
local function know_children()
  for _ = 1, PATIENCE_MS / 100 do
    local count = 0
    for _ in pairs(ds.children(NAME)) do count = count + 1 end
    if count == IDS then return true end
    banyan.sleep(100)
  end
  error("a node is not told of the children", 0)
end

-- All that was told to a child whose node did not crash has been handled.
local function check_handled()
  for _, who in ipairs(run.all) do
    for id, number in pairs(who.numbers) do
      local handled = run.log.handled[id .. " " .. who.name] or 0
      if who.done and not run.log.lost[id] and handled ~= number then
        error(("%s has handled %d of %d of %s"):format(id, handled, number,
          who.name), 0)
      end
    end
  end
end

return function()
  local cluster = lockstep.cluster { nodes = NODES }
  run = {
    cluster = cluster, keepers = {}, clients = {}, all = {},
    client_count = 0, begun = 0, left = {},
    active = choose(3) == 1,
    log = Mover.new_log(cluster.lives),
  }
  lockstep.invariant(function() return not run.log.problem, run.log.problem end,
    "the clients")
  each_life(cluster, open)
  banyan.sleep(5000)
  on(cluster.nodes[1], start_children)
  for _, node in ipairs(cluster.nodes) do on(node, know_children) end
  for _, node in ipairs(cluster.nodes) do begin_client(node) end
  for _ = 1, FAULTS do
    banyan.sleep(choose(300))
    faults[BAG[choose(#BAG)]]()
  end
  if choose(2) == 1 then faults.crash() end
  banyan.sleep(CALM_MS)
  for _, node in ipairs(cluster.nodes) do end_client(node) end
  banyan.sleep(3000)
  check_handled()
end
