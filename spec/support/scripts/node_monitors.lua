--- Node monitors of a cluster whose nodes crash, come back, are cut off and
-- stand still: each hears of each node of its set once in either direction, and
-- in the end of those that are there.

local banyan = require "banyan"
local lockstep = require "banyan.lockstep"
local node_monitor = require "banyan.node_monitor"

local choose = lockstep.choose

local COUNT, ROUNDS = 3, 6
local PAUSES = { 1, 100, 3000, 15000 }
local REFRESH_MS = 1000

local function any_of(nodes)
  local list = {}
  for _, node in ipairs(nodes) do
    if choose(3) > 1 then list[#list + 1] = node end
  end
  return list
end

local function new_listener(state, node)
  local one = { told = {}, ups = 0 }
  state.listeners[node] = one
  local function hear(what, other, expected)
    if state.listeners[node] ~= one then return end -- of an earlier life
    if (one.told[other] == true) ~= expected then
      state.problem = ("%s hears twice that %s is %s"):format(node, other, what)
    end
    one.told[other] = not expected or nil
  end
  return function(other) hear("up", other, false) end,
    function(other) hear("down", other, true) end
end

-- A node of the cluster has its monitor, in a process that keeps it.
local function open(state, node)
  local up, down = new_listener(state, node)
  local set = state.sets[node]
  state.cluster:spawn(node, function()
    assert(node_monitor.start_link {
      name = "m", source = set.fn, nodes = not set.fn and set.nodes or nil,
      refresh_ms = REFRESH_MS, on_node_up = up, on_node_down = down,
    })
    banyan.receive()
  end)
end

-- What the set of a node is from now on.
local function new_set(state)
  local kind, set = choose(3), { nodes = any_of(state.cluster.nodes) }
  if kind == 1 then
    set.nodes = nil
  elseif kind == 2 then
    function set.fn()
      if choose(3) == 1 then error "no answer" end
      banyan.sleep(choose(500))
      return set.nodes
    end
  end
  return set
end

local function change(state, node)
  local set = new_set(state)
  state.sets[node] = set
  if not state.cluster:is_up(node) then return end
  state.cluster:spawn(node, function()
    -- It may be about to start.
    while state.sets[node] == set and not node_monitor.reconfigure("m",
        { source = set.fn, nodes = not set.fn and set.nodes or nil }) do
      banyan.sleep(1)
    end
  end)
end

local faults = {}

function faults.crash(state, node)
  if not state.cluster:is_up(node) then return end
  state.cluster:crash(node, choose(2) == 1 and "vanish" or "kill")
end

function faults.restart(state, node)
  if state.cluster:is_up(node) then return end
  state.cluster:restart(node)
  open(state, node)
end

function faults.cut(state, node, other)
  if node ~= other and state.cluster:is_up(node)
    and state.cluster:is_up(other) then
    state.cluster:cut(node, other)
  end
end

function faults.part(state, node)
  local rest = {}
  for _, name in ipairs(state.cluster.nodes) do
    if name ~= node then rest[#rest + 1] = name end
  end
  state.cluster:partition({ node }, rest)
end

function faults.heal(state) state.cluster:heal() end

local names = { "crash", "restart", "cut", "part", "heal" }

-- Of those of its set, and of no others, each node hears that they are up.
local function check(state, node)
  local set, expected = state.sets[node].nodes or state.cluster.nodes, {}
  for _, other in ipairs(set) do
    if other ~= node then expected[#expected + 1] = other end
  end
  table.sort(expected)
  local heard, told = {}, state.listeners[node].told
  for other in pairs(told) do heard[#heard + 1] = other end
  table.sort(heard)
  local one, two = table.concat(heard, " "), table.concat(expected, " ")
  assert(one == two, ("%s has heard of %q, and its set is %q"):format(node, one,
    two))
end

--- The body.
return function()
  local cluster = lockstep.cluster { nodes = COUNT }
  local state = { cluster = cluster, sets = {}, listeners = {} }
  lockstep.invariant(function() return state.problem == nil, state.problem end)
  banyan.sleep(2000)
  for _, node in ipairs(cluster.nodes) do
    state.sets[node] = new_set(state)
    open(state, node)
  end
  for _ = 1, ROUNDS do
    local node = cluster.nodes[choose(COUNT)]
    if choose(3) == 1 then
      change(state, node)
    else
      faults[names[choose(#names)]](state, node, cluster.nodes[choose(COUNT)])
    end
    banyan.sleep(PAUSES[choose(#PAUSES)])
  end
  cluster:heal()
  for _, node in ipairs(cluster.nodes) do faults.restart(state, node) end
  banyan.sleep(60000)
  for _, node in ipairs(cluster.nodes) do check(state, node) end
end
