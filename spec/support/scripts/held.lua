--- Clients that call children by id, and send to them, without pause, while
-- children crash and nodes crash, leave and come back. What must hold:
--
--  * a call is answered by the child, or says that the child ended in it;
--    never "noproc", and it is not late once all is well;
--  * no call is served twice;
--  * what a client tells a child arrives in order, and nothing twice.

local banyan = require "banyan"
local ds = require "banyan.distributed_supervisor"
local lockstep = require "banyan.lockstep"
local server = require "banyan.server"
local Recipient = require "spec.support.scripts.recipient"
local each_life = require "spec.support.scripts.lives"

local choose = lockstep.choose

local NODES, IDS, FAULTS = 3, 3, 4
local NAME = "children"
local CALL_MS, GAP_MS, CALM_MS = 60000, 200, 20000
local BURST = 30

-- A child that crashes, or whose node does, has ended in the call; one that is
-- stopped since its node leaves as well.
local ENDED = { noconnection = true, crash = true, shutdown = true }

local run

local function id_of() return "id" .. choose(IDS) end

local function code_of(err)
  if type(err) ~= "table" then return err end
  if err[1] == "error" then return "crash" end
  return err[1]
end

local function wrong(...)
  run.log.problem = run.log.problem or (...):format(select(2, ...))
end

local function call(who, id)
  local answer = choose(4) == 1 and "noproc" or nil
  local message = { client = who.name, number = who.number, answer = answer }
  local dest = ds.via(NAME, id)
  local value, err
  if choose(2) == 1 then
    value, err = ds.call(NAME, id, message, CALL_MS)
  else
    value, err = server.call(dest, message, CALL_MS)
  end
  local key = who.name .. " " .. who.number
  local served = run.log.calls[key] or 0
  if served > 1 then wrong("call %s was served %d times", key, served) end
  if value == id or (answer and err == answer and served == 1) then return end
  if value ~= nil then return wrong("%s answers for %s", value, id) end
  if not ENDED[code_of(err)] then
    wrong("a call of %s on %s: %s", id, banyan.node(), tostring(err))
  end
end

local function send(who, id)
  local message = { client = who.name, number = who.number }
  local ok, err
  if choose(2) == 1 then
    ok, err = ds.send(NAME, id, message)
  else
    ok, err = banyan.send(ds.via(NAME, id), message)
  end
  if not ok then wrong("a message to %s: %s", id, tostring(err)) end
end

-- Has a child crash, and sends to it at each of the times at which it may begin
-- to run again, and twice more.
local function send_some(who)
  local id, absent, more = id_of(), false, 2
  ds.cast(NAME, id, "crash")
  for _ = 1, BURST do
    who.number = who.number + 1
    send(who, id)
    local runs = ds.whereis(NAME, id) ~= nil
    absent = absent or not runs
    if absent and runs then more = more - 1 end
    if more < 0 then return end
    if not (absent and runs) then banyan.sleep(1) end
  end
end

local function be_client(who)
  while not run.over do
    if not run.calm and choose(3) == 1 then
      send_some(who)
    else
      who.number = who.number + 1
      call(who, id_of())
    end
    banyan.sleep(choose(GAP_MS))
  end
  -- All is well by now: nobody waits.
  for i = 1, IDS do
    local id = "id" .. i
    who.number = who.number + 1
    call(who, id)
  end
  who.done = true
end

local function open(node)
  run.keepers[node] = run.cluster:spawn(node, function()
    banyan.trap_exit(true)
    local pid = assert(ds.start_link { name = NAME, max_restarts = 1000 })
    banyan.receive(function(m) return m == "leave" end)
    pid:exit "shutdown"
    banyan.receive(function(m) return m.from == pid end)
  end)
end

-- --- faults ------------------------------------------------------------------

local faults = {}

function faults.crash_child()
  run.cluster:spawn(run.cluster.nodes[1], function()
    ds.cast(NAME, id_of(), "crash")
  end)
end

-- The first node has the clients.
local function other_node() return run.cluster.nodes[1 + choose(NODES - 1)] end

function faults.crash_node()
  local node = other_node()
  run.cluster:crash(node)
  banyan.sleep(choose(4000))
  run.cluster:restart(node)
end

function faults.leave()
  local node = other_node()
  local keeper = run.keepers[node]
  local ref = banyan.monitor(keeper)
  banyan.send(keeper, "leave")
  assert(banyan.receive(function(m) return m.ref == ref end, 60000),
    "a node does not leave")
  banyan.sleep(choose(2000))
  open(node)
end

function faults.cut()
  run.cluster:cut(run.cluster.nodes[1], other_node())
end

local BAG = { "crash_child", "crash_child", "crash_node", "leave", "cut" }

-- --- the body ----------------------------------------------------------------

local function start_children()
  for i = 1, IDS do
    local id = "id" .. i
    assert(ds.start_child(NAME, { id = id,
      start = { "spec.support.scripts.recipient", "start_link", { id } } }))
  end
end

local function wait_for_clients()
  for _ = 1, 900 do
    local done = true
    for _, who in ipairs(run.clients) do done = done and who.done end
    if done then return end
    banyan.sleep(100)
  end
  error("a client waits", 0)
end

return function()
  local cluster = lockstep.cluster { nodes = NODES }
  run = {
    cluster = cluster, keepers = {}, clients = {}, over = false,
    log = Recipient.new_log(),
  }
  lockstep.invariant(function() return not run.log.problem, run.log.problem end,
    "the clients")
  each_life(cluster, open)
  banyan.sleep(5000)
  local first = cluster.nodes[1]
  local me = banyan.self()
  cluster:spawn(first, function()
    start_children()
    banyan.send(me, "started")
  end)
  assert(banyan.receive(30000), "the children do not start")
  for i = 1, 2 do
    local who = { name = "client" .. i, number = 0 }
    run.clients[i] = who
    cluster:spawn(first, function() be_client(who) end)
  end
  for _ = 1, FAULTS do
    banyan.sleep(choose(2000))
    faults[BAG[choose(#BAG)]]()
  end
  run.calm = true
  banyan.sleep(CALM_MS)
  run.over = true
  wait_for_clients()
end
