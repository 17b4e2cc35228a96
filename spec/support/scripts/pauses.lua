--- Nodes of a distributed supervisor stand still for a while, or hear nothing
-- of all others for less time than that takes to be believed. No process ends,
-- so what must hold:
--
--  * no such node starts a child of another;
--  * none that goes on gives another up for silence before that has had all its
--    time again;
--  * where none hears any other, nobody is told that a node is down;
--  * afterwards each child is the process that it was, on all nodes, alone.

local banyan = require "banyan"
local ds = require "banyan.distributed_supervisor"
local lockstep = require "banyan.lockstep"
local Child = require "spec.support.scripts.child"

local choose = lockstep.choose

local NODES, IDS, ROUNDS = 3, 9, 3
local NAME = "children"
local DOWN_AFTER_MS = 5000
local STILL_MS = { 12000, 5500, 4500, 1500 }
local LATE_MS = { 5800, 5200 } -- and a heartbeat more is less than 7000
local LATER_MS = { 0, 0, 400, 1000 }
local REST_MS = 15000
local HANDSHAKE_MS = 1500 -- of dials that the network has lost

local run -- the state of the current run

local function wrong(text, ...)
  run.problem = run.problem or text:format(...)
end

-- Does it on a node, and waits for the answer.
local function on(node, what)
  local me = banyan.self()
  run.cluster:spawn(node, function()
    banyan.send(me, { answer = { what() } })
  end)
  local message = banyan.receive(function(m)
    return type(m) == "table" and m.answer
  end, 60000)
  return assert(message, "there is no answer").answer[1]
end

local function keep(node)
  run.cluster:spawn(node, function()
    banyan.trap_exit(true)
    assert(ds.start_link { name = NAME })
    banyan.monitor_nodes(true)
    while true do
      local message = banyan.receive()
      if message.tag == "nodedown" then
        run.downs = run.downs + 1
        local went_on = run.went_on[node]
        if message.info.reason == "timeout" and went_on
          and run.cluster.world.now < went_on + DOWN_AFTER_MS then
          wrong("%s gave up a node at once", node)
        end
      end
    end
  end)
end

local function id_of(i) return "id" .. i end

local function start_all()
  for i = 1, IDS do
    local id = id_of(i)
    assert(on(run.cluster.nodes[1], function()
      return ds.start_child(NAME, { id = id, restart = "permanent",
        start = { "spec.support.scripts.child", "start_link", { id } } })
    end), "a child did not start")
  end
  for _, child in ipairs(Child.started) do run.first[child.id] = child end
end

-- --- faults ------------------------------------------------------------------
--
-- Each answers the nodes that may start nothing, as a set.

local function go_on(name)
  run.cluster:resume(name)
  run.went_on[name] = run.cluster.world.now
end

local function pause(name)
  run.cluster:pause(name)
  banyan.sleep(STILL_MS[choose(#STILL_MS)])
  go_on(name)
  return { [name] = true }
end

local function pause_two(one, other)
  run.cluster:pause(one)
  run.cluster:pause(other)
  banyan.sleep(STILL_MS[choose(#STILL_MS)])
  go_on(one)
  local later = LATER_MS[choose(#LATER_MS)]
  if later > 0 then banyan.sleep(later) end
  go_on(other)
  return { [one] = true, [other] = true }
end

-- What is sent between these pairs comes late, until all has come.
local function be_late(pairs_of_nodes)
  local ms = LATE_MS[choose(#LATE_MS)]
  local function set(latency)
    for _, pair in ipairs(pairs_of_nodes) do
      run.cluster:set_link(pair[1], pair[2], { latency = latency })
      run.cluster:set_link(pair[2], pair[1], { latency = latency })
    end
  end
  set(ms)
  banyan.sleep(ms)
  set(0)
end

local function isolate(name, other, third)
  be_late { { name, other }, { name, third } }
  return { [name] = true }
end

local function silence_all(one, other, third)
  local downs = run.downs
  be_late { { one, other }, { other, third }, { third, one } }
  banyan.sleep(REST_MS)
  if run.downs > downs then wrong "a node was given up within its time" end
  return { [one] = true, [other] = true, [third] = true }
end

local FAULTS = { pause, pause_two, isolate, silence_all }

local function disturb()
  local nodes, from = run.cluster.nodes, choose(NODES)
  local started = #Child.started
  local one, other, third = nodes[from], nodes[from % NODES + 1],
    nodes[(from + 1) % NODES + 1]
  local still = FAULTS[choose(#FAULTS)](one, other, third)
  banyan.sleep(REST_MS)
  for i = started + 1, #Child.started do
    local child = Child.started[i]
    if still[child.node] and run.first[child.id].node ~= child.node then
      wrong("%s took over %s", child.node, child.id)
    end
  end
end

-- --- looking -----------------------------------------------------------------

local function look()
  local lives = {}
  for _, child in ipairs(Child.started) do
    local alive = on(child.node, function()
      return banyan.is_alive(child.pid)
    end)
    if alive then
      lives[child.id] = (lives[child.id] or 0) + 1
    elseif child == run.first[child.id] then
      wrong("the process of %s did not stay", child.id)
    end
  end
  for i = 1, IDS do
    local id = id_of(i)
    if lives[id] ~= 1 then wrong("%s runs %d times", id, lives[id] or 0) end
    for _, node in ipairs(run.cluster.nodes) do
      local pid = on(node, function() return ds.whereis(NAME, id) end)
      if pid ~= run.first[id].pid then
        wrong("%s knows another %s", node, id)
      end
    end
  end
end

return function()
  Child.started = {}
  run = {
    cluster = lockstep.cluster { nodes = NODES, handshake_ms = HANDSHAKE_MS },
    first = {}, downs = 0, went_on = {},
  }
  local this = run
  lockstep.invariant(function() return not this.problem, this.problem end)
  for _, node in ipairs(run.cluster.nodes) do keep(node) end
  banyan.sleep(5000)
  start_all()
  for _ = 1, ROUNDS do
    disturb()
    look()
  end
end
