--- A distributed supervisor on the nodes of a cluster. The network is divided
-- and healed, nodes crash and restart, and clients start, terminate and crash
-- children. What must hold:
--
--  * on one node there is never more than one process of a child;
--  * some time after a partition, there is at most one on each side, all nodes
--    of a side know the same children, and each of these is alive;
--  * a child that was started and not terminated exists, if the node of the
--    client that started it is up;
--  * every request is answered, and a child replies with its own id.

local banyan = require "banyan"
local core = require "banyan.core"
local ds = require "banyan.distributed_supervisor"
local lockstep = require "banyan.lockstep"
local server = require "banyan.server"
local Child = require "spec.support.scripts.child"
local each_life = require "spec.support.scripts.lives"

local choose = lockstep.choose

local NODES, IDS, PHASES, OPERATIONS = 3, 5, 3, 4
local GAP_MS, POLL_MS, PATIENCE_MS = 800, 1000, 90000
local NAME = "children"

local run -- the state of the current run

local function one_of(list) return list[choose(#list)] end

local function wrong(text, ...)
  run.problem = run.problem or text:format(...)
end

local function code(reason)
  return type(reason) == "table" and reason[1] or reason
end

-- --- clients -----------------------------------------------------------------

local FINE = {
  already_started = true, already_present = true, not_started = true,
  terminated = true, timeout = true, no_nodes = true, noproc = true,
  noconnection = true, not_found = true, normal = true, error = true,
  killed = true, shutdown = true,
}

local function answered(what, ok, why)
  if not ok and not FINE[code(why)] then
    wrong("%s answered %s", what, tostring(why))
  end
  return ok
end

local function id_of() return "id" .. choose(IDS) end

local ops = {}

-- A client ends the child, now or later. Another client that starts it at the
-- same time cannot know whether it exists afterwards.
local function disturb(id)
  run.wanted[id] = nil
  run.disturbed[id] = (run.disturbed[id] or 0) + 1
end

function ops.start()
  local id = id_of()
  local life = run.cluster.lives[banyan.node()]
  local before = run.disturbed[id]
  local pid = answered("start_child", ds.start_child(NAME, { id = id,
    restart = one_of { "permanent", "transient" },
    start = { "spec.support.scripts.child", "start_link", { id } } }))
  if pid and run.disturbed[id] == before then
    run.wanted[id] = { node = banyan.node(), life = life }
  end
end

function ops.terminate()
  local id = id_of()
  disturb(id)
  answered("terminate_child", ds.terminate_child(NAME, id))
  disturb(id)
end

-- To the process of this moment: by its id, it might be kept for another.
local function tell(id, message)
  local pid = ds.whereis(NAME, id)
  if pid then server.cast(pid, message) end
end

function ops.crash() tell(id_of(), "crash") end

-- A transient child that ends normally is not restarted.
function ops.leave()
  local id = id_of()
  disturb(id)
  tell(id, "leave")
  disturb(id)
end

function ops.call()
  local id = id_of()
  local value = answered("call", ds.call(NAME, id, "who"))
  if value and value ~= id then wrong("%s answered for %s", value, id) end
end

local BAG = { "start", "call", "start", "crash", "start", "terminate", "leave" }

local function be_client(who)
  for _ = 1, choose(OPERATIONS) do
    banyan.sleep(choose(GAP_MS))
    ops[one_of(BAG)]()
  end
  who.done = true
end

-- --- looking -----------------------------------------------------------------

local function is_up(node) return run.cluster:is_up(node) end

-- The processes of children that are alive on some nodes: id -> list.
local function alive_on(nodes)
  local lives = {}
  for _, node in ipairs(nodes) do lives[node] = true end
  local found = {}
  for _, child in ipairs(Child.started) do
    if not child.over and lives[child.node] then
      found[child.id] = found[child.id] or {}
      table.insert(found[child.id], child)
    end
  end
  return found
end

-- The invariant.
local function check()
  local counts = {}
  for _, child in ipairs(Child.started) do
    local site = run.cluster.net.sites[child.node]
    child.life = child.life or run.cluster.lives[child.node]
    child.over = child.over or not site
      or child.life ~= run.cluster.lives[child.node]
      or not core.is_alive(child.pid)
    if not child.over then
      local key = child.id .. " on " .. child.node
      if counts[key] then wrong("there are two %s", key) end
      counts[key] = true
    end
  end
  return run.problem == nil, run.problem
end

-- The children that the supervisor of a node knows.
local function ask(node)
  local me, ref = banyan.self(), run.asked + 1
  run.asked = ref
  run.cluster:spawn(node, function()
    banyan.send(me, { ref = ref, children = ds.children(NAME) or {} })
  end)
  local answer = banyan.receive(function(m) return m.ref == ref end, 5000)
  return answer and answer.children
end

-- What is wrong on one side of a partition, or nil.
local function fault_of(side)
  local alive = alive_on(side)
  for i = 1, IDS do
    local id = "id" .. i
    local list = alive[id] or {}
    if #list > 1 then
      return ("%s lives on %s and on %s"):format(id, list[1].node,
        list[2].node)
    end
    local wanted = run.wanted[id]
    local known = wanted and run.cluster.lives[wanted.node] == wanted.life
    for _, node in ipairs(known and side or {}) do
      if node == wanted.node and #list == 0 then
        return ("%s has not come back"):format(id)
      end
    end
  end
  for _, node in ipairs(side) do
    local children = ask(node)
    if not children then return node .. " does not answer" end
    for i = 1, IDS do
      local id = "id" .. i
      local list = alive[id]
      if children[id] ~= (list and list[1].pid) then
        return ("%s has %s for %s, not %s"):format(node,
          tostring(children[id]), id, tostring(list and list[1].pid))
      end
    end
  end
end

-- --- what happens to the cluster ---------------------------------------------

local phases = {}

-- Faults. Each returns the sides of the partition after it.

function phases.whole() return { run.cluster.nodes } end

local function up_ones(list)
  local up = {}
  for _, node in ipairs(list) do
    if is_up(node) then up[#up + 1] = node end
  end
  return up
end

function phases.divide()
  local alone, others = choose(NODES), {}
  for i, node in ipairs(run.cluster.nodes) do
    if i ~= alone then others[#others + 1] = node end
  end
  local left = { run.cluster.nodes[alone] }
  run.cluster:partition(left, others)
  return { up_ones(left), up_ones(others) }
end

function phases.cut()
  local i = choose(NODES)
  local a, b = run.cluster.nodes[i], run.cluster.nodes[i % NODES + 1]
  run.cluster:cut(a, b)
  return { run.cluster.nodes }
end

function phases.crash()
  local node = one_of(run.cluster.nodes)
  run.cluster:crash(node)
  return { up_ones(run.cluster.nodes) }
end

function phases.bounce()
  run.cluster:restart(one_of(run.cluster.nodes))
  return { run.cluster.nodes }
end

function phases.chaos()
  run.cluster:chaos { duration = 8000 }
  return { run.cluster.nodes }
end

local PHASES_BAG = { "whole", "crash", "divide", "cut", "bounce", "chaos" }

-- Ends all faults and restarts the nodes that are down.
local function repair()
  run.cluster:heal()
  for _, node in ipairs(run.cluster.nodes) do
    if not is_up(node) then run.cluster:restart(node) end
  end
end

local function start_clients()
  local clients = {}
  for i, node in ipairs(run.cluster.nodes) do
    local who = { node = node, life = run.cluster.lives[node] }
    clients[i] = who
    run.cluster:spawn(node, function() be_client(who) end)
  end
  return clients
end

-- Has a client ended, or its node?
local function is_over(who)
  return who.done or not is_up(who.node)
    or run.cluster.lives[who.node] ~= who.life
end

local function wait_for(what, fault)
  local ends = banyan.now() + PATIENCE_MS
  local why = fault()
  while why do
    if banyan.now() >= ends then
      wrong("%s: %s", what, why)
      return
    end
    banyan.sleep(POLL_MS)
    why = fault()
  end
end

local function play_phase()
  local clients = start_clients()
  banyan.sleep(choose(2 * GAP_MS))
  local name = one_of(PHASES_BAG)
  local sides = phases[name]()
  wait_for("the clients", function()
    for _, who in ipairs(clients) do
      if not is_over(who) then return "one on " .. who.node .. " waits" end
    end
  end)
  for _, side in ipairs(sides) do
    wait_for(name, function() return fault_of(side) end)
  end
  repair()
end

-- Starts the supervisor on a node that has started.
local function settle_in(node)
  run.cluster:spawn(node, function()
    banyan.trap_exit(true)
    local pid, why = ds.start_link { name = NAME, max_restarts = 1000 }
    if not pid then wrong("start_link: %s", tostring(why)) end
    banyan.receive()
    wrong("the supervisor on %s has ended", node)
  end)
end

--- The body.
return function()
  run = { wanted = {}, disturbed = {}, asked = 0 }
  Child.started = {}
  run.cluster = lockstep.cluster { nodes = NODES }
  lockstep.invariant(check, "the children")
  each_life(run.cluster, settle_in)
  for _ = 1, choose(PHASES) do play_phase() end
  wait_for("at the end", function() return fault_of(run.cluster.nodes) end)
end
