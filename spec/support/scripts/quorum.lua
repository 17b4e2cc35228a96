--- A distributed supervisor with mode = "quorum" on five nodes, whose clocks
-- are wrong by up to 1 %: the network is divided in every way, messages of one
-- direction are lost, nodes crash, join and stand still. What must hold:
--
--  * at no time two processes of an id run, where no pause is longer than the
--    margin, which is heartbeat_ms; where one is, those of that node end as
--    soon as it goes on;
--  * a node that sees no quorum runs nothing, after the time that it has to
--    stop, starts nothing, and says so;
--  * after the last fault each child has one process.

local banyan = require "banyan"
local ds = require "banyan.distributed_supervisor"
local lockstep = require "banyan.lockstep"
local Lone = require "spec.support.scripts.lone"
local on = require "spec.support.scripts.on"

local choose = lockstep.choose

local NODES, IDS = 5, 8
local NAME = "children"
local RATES = { 1, 0.99, 1.01 }
local DOWN_MS, STOP_MS, MARGIN_MS = 5000, 3000, 1000
-- Until a quorum is missed, and its children have ended; until others have
-- started them. Some more for clocks, beats and messages.
local STOPPED_MS = (DOWN_MS + STOP_MS) * 1.02 + 200
local TAKEN_MS = (DOWN_MS + STOP_MS) * 1.05 + 4 * MARGIN_MS
local TIMES = { 1000, 4500, 7000, 16000, 25000 }
local LATE_MS = 1600
local BOUND_MS = 40000
local AT_ONCE_MS = 10 -- after a long pause

local run -- the state of the current run

local function wrong(text, ...)
  run.problem = run.problem or text:format(...)
end

local function keep(node)
  run.cluster:spawn(node, function()
    banyan.trap_exit(true)
    assert(ds.start_link {
      name = NAME, mode = "quorum", quorum = run.quorum,
      quorum_stop_ms = STOP_MS,
    })
    banyan.receive(function(m) return m == "leave" end)
  end)
end

local function wait_for(what, limit_ms, holds, each_ms)
  local ends = run.cluster.world.now + limit_ms
  while not holds() do
    if run.cluster.world.now >= ends then
      error("waited too long: " .. what, 0)
    end
    banyan.sleep(each_ms or 200)
  end
end

local function is_alone(id) return Lone.count(id) == 1 end

local function all_run()
  for i = 1, IDS do
    if not is_alone("id" .. i) then return false end
  end
  return true
end

local function status(node)
  return on(run.cluster, node, function() return ds.status(NAME) end)
end

local function all_see()
  for _, node in ipairs(run.cluster.nodes) do
    local found = status(node)
    if not found or not found.quorum or #found.nodes < NODES then
      return false
    end
  end
  return true
end

local function start_all()
  on(run.cluster, run.cluster.nodes[1], function()
    for i = 1, IDS do
      assert(ds.start_child(NAME, Lone.spec("id" .. i)))
    end
    return true
  end)
end

local function shuffled(list)
  local copy = {}
  for i, value in ipairs(list) do copy[i] = value end
  for i = 1, #copy - 1 do
    local j = i - 1 + choose(#copy - i + 1)
    copy[i], copy[j] = copy[j], copy[i]
  end
  return copy
end

-- Runs nothing, starts nothing, and says so; answers how many nodes are so.
local function check_minority()
  local without = 0
  for _, node in ipairs(run.cluster.nodes) do
    local up = run.cluster:is_up(node)
    local found = up and status(node)
    if found and not found.quorum then
      without = without + 1
      local own = on(run.cluster, node, function()
        local _, why = ds.start_child(NAME, Lone.spec "new")
        return why
      end)
      -- It may see it again by now.
      local again = status(node)
      if own ~= "no_quorum" and not again.quorum then
        wrong("%s sees no quorum, and start_child answers %s", node,
          tostring(own))
      end
    end
  end
  return without
end

local function runs_on(node)
  for _, one in ipairs(Lone.log.processes) do
    if one.node == node and not one.ended then return true end
  end
  return false
end

-- --- faults ------------------------------------------------------------------
--
-- Each is given the nodes in an order of its own, and answers which of them see
-- no quorum while it lasts.

local unpack_all = table.unpack or unpack

local faults = {}

local function part(nodes, from, to) return { unpack_all(nodes, from, to) } end

function faults.two_three(nodes)
  run.cluster:partition(part(nodes, 1, 2), part(nodes, 3, 5))
  return part(nodes, 1, 2)
end

function faults.one_four(nodes)
  run.cluster:partition(part(nodes, 1, 1), part(nodes, 2, 5))
  return part(nodes, 1, 1)
end

function faults.three_sides(nodes)
  run.cluster:partition(part(nodes, 1, 1), part(nodes, 2, 2),
    part(nodes, 3, 5))
  return part(nodes, 1, 2)
end

-- All see three.
function faults.bridge(nodes)
  run.cluster:bridge(part(nodes, 1, 2), part(nodes, 5, 5), part(nodes, 3, 4))
  return {}
end

function faults.one_way(nodes)
  for i = 2, NODES do
    local from, to = nodes[1], nodes[i]
    if run.inward then from, to = to, from end
    run.cluster:set_link(from, to, { loss = 1 })
  end
  return part(nodes, 1, 1)
end

function faults.flapping(nodes)
  for _ = 1, 3 do
    run.cluster:partition(part(nodes, 1, 2), part(nodes, 3, 5))
    banyan.sleep(TIMES[choose(#TIMES)])
    run.cluster:heal()
    banyan.sleep(TIMES[choose(3)])
  end
  return {}
end

-- Those of one side see enough again, by way of one node, and not the others,
-- which go on, and hear of that late. Both sides are asked to start the same
-- children.
function faults.bridge_after_split(nodes)
  local small, great, middle = part(nodes, 1, 2), part(nodes, 3, 4), nodes[5]
  run.cluster:partition(small, part(nodes, 3, 5))
  banyan.sleep(25000)
  run.cluster:bridge(small, { middle }, great)
  for _, node in ipairs(great) do
    run.cluster:set_link(middle, node, { latency = LATE_MS })
  end
  wait_for("a side that sees enough again", BOUND_MS,
    function() return status(small[1]).quorum end, 20)
  for i = 1, IDS do
    banyan.sleep(choose(LATE_MS / IDS))
    for _, node in ipairs { small[1], great[1] } do
      run.cluster:spawn(node, function()
        ds.ensure_child(NAME, Lone.spec("late" .. i))
      end)
    end
  end
  return {}
end

local function crash(node, how)
  run.cluster:crash(node, how)
  Lone.crashed(node)
  run.down[#run.down + 1] = node
end

local function restart_all()
  for _, node in ipairs(run.down) do
    run.cluster:restart(node)
    run.cluster:set_clock(node, RATES[choose(#RATES)])
    keep(node)
  end
  run.down = {}
end

-- More than half: everything stops.
function faults.crash(nodes)
  for i = 3, NODES do crash(nodes[i], "kill") end
  return part(nodes, 1, 2)
end

-- A node that joins one of the two sides knows only that.
function faults.join(nodes)
  local joins = nodes[choose(2) == 1 and 2 or 3]
  crash(joins, "kill")
  banyan.sleep(TIMES[choose(#TIMES)])
  run.cluster:partition(part(nodes, 1, 2), part(nodes, 3, 5))
  banyan.sleep(choose(2) == 1 and 500 or 15000)
  restart_all()
  return part(nodes, 1, 2)
end

local function pause(node, ms)
  run.cluster:pause(node)
  Lone.log.paused[node] = true
  banyan.sleep(ms)
  run.cluster:resume(node)
  Lone.resumed(node)
end

-- Where it comes with a split, its children end so much later.
function faults.short_pause(nodes)
  run.cluster:partition(part(nodes, 1, 2), part(nodes, 3, 5))
  banyan.sleep(DOWN_MS - 1500 + 100 * choose(30))
  pause(nodes[1], MARGIN_MS - 100)
  return part(nodes, 1, 2)
end

function faults.long_pause(nodes)
  run.limit_ms = AT_ONCE_MS
  pause(nodes[1], 8000 + 1000 * choose(12))
  return {}
end

local KINDS = {
  "two_three", "one_four", "three_sides", "bridge", "bridge_after_split",
  "one_way", "flapping",
  "crash", "join", "short_pause", "long_pause",
}

-- --- the body ----------------------------------------------------------------

local function begin()
  run = { cluster = lockstep.cluster { nodes = NODES }, down = {},
    limit_ms = 0, inward = choose(2) == 1 }
  local world = run.cluster.world
  Lone.new_log(function() return world.now end)
  run.quorum = choose(2) == 1 and 3 or run.cluster.nodes
  for _, node in ipairs(run.cluster.nodes) do
    run.cluster:set_clock(node, RATES[choose(#RATES)])
    keep(node)
  end
  local this = run
  lockstep.invariant(function() return not this.problem, this.problem end)
  lockstep.invariant(function()
    local ms, worst = Lone.longest()
    if ms <= this.limit_ms then return true end
    return false, ("%s on %s ran for %d ms with another"):format(worst.id,
      worst.node, ms)
  end, "alone")
  wait_for("the quorum at the beginning", BOUND_MS, all_see)
  start_all()
end

-- Until others have started what is lost. A node that others hear, and that
-- hears none, is answered until it gives them up.
local function taken_ms(kind)
  local heard = kind == "one_way" and run.inward
  return TAKEN_MS + (heard and DOWN_MS * 1.02 or 0)
end

-- How long a fault lasts, and what holds then.
local function last(kind, without)
  local long = TIMES[choose(#TIMES)]
  banyan.sleep(long)
  if kind == "bridge" or #without == 0 or long < STOPPED_MS then return end
  for _, node in ipairs(without) do
    if runs_on(node) then
      wrong("%s runs children without a quorum: %s", node, kind)
    end
  end
  check_minority()
  if long < taken_ms(kind) then return end
  if kind == "crash" then
    if all_run() then wrong "less than half go on" end
  else
    wait_for("the others run all: " .. kind, MARGIN_MS, all_run)
  end
end

-- `fault`: one of KINDS; none: any.
return function(fault)
  begin()
  local kind = fault or KINDS[choose(#KINDS)]
  local processes = #Lone.log.processes
  local without = faults[kind](shuffled(run.cluster.nodes))
  last(kind, without)
  if kind == "bridge" and #Lone.log.processes > processes then
    wrong "something moved though all see the quorum"
  end
  run.cluster:heal()
  restart_all()
  wait_for("all see the quorum after " .. kind, BOUND_MS, all_see)
  wait_for("each has one process after " .. kind, BOUND_MS, all_run)
end
