--- Two copies: a cluster of five nodes is divided in every way that there is,
-- for a short or a long time, while clients on all nodes start, end and crash
-- children. After it each child is one process, the one that never stopped
-- (census.lua). Two nodes that only a third sees are answered at once.

local banyan = require "banyan"
local lockstep = require "banyan.lockstep"
local new_census = require "spec.support.scripts.census"

local choose = lockstep.choose

local NODES, OLD, NEW = 5, 8, 6
local TIMES = { 1000, 4000, 10000, 40000 }
local GAP_MS = 1500
local PROMPT_MS = 2500  -- an answer by way of a third node
local BOUND_MS = 10000  -- after the last fault
local PATIENCE_MS = 90000

local function shuffled(list)
  local copy = {}
  for i, value in ipairs(list) do copy[i] = value end
  for i = 1, #copy - 1 do
    local j = i - 1 + choose(#copy - i + 1)
    copy[i], copy[j] = copy[j], copy[i]
  end
  return copy
end

-- The first so many of each, in groups.
local function groups_of(nodes, ...)
  local groups, at = {}, 1
  for i, size in ipairs { ... } do
    groups[i] = {}
    for _ = 1, size do
      table.insert(groups[i], nodes[at])
      at = at + 1
    end
  end
  return groups
end

local splits = {}

local function divide(...)
  local sizes = { ... }
  return function(cluster, nodes)
    local unpack_all = table.unpack or unpack
    cluster:partition(unpack_all(groups_of(nodes, unpack_all(sizes))))
  end
end

splits.two_three = divide(2, 3)
splits.one_four = divide(1, 4)
splits.three_sides = divide(1, 1, 3)

-- One node, or two, see one other only by way of the rest.
function splits.bridge(cluster, nodes)
  local size = choose(2)
  local groups = groups_of(nodes, size, 4 - size, 1)
  cluster:bridge(groups[1], groups[2], groups[3])
end

-- What one node sends to another, or to all, is lost.
function splits.one_way(cluster, nodes)
  local last = choose(2) == 1 and 2 or NODES
  for i = 2, last do cluster:set_link(nodes[1], nodes[i], { loss = 1 }) end
end

local KINDS = { "two_three", "one_four", "three_sides", "bridge", "one_way" }

local function be_client(census, state, node, number)
  state.clients = state.clients + 1
  census.cluster:spawn(node, function()
    banyan.sleep(choose(GAP_MS))
    local what = choose(5)
    if what == 1 then
      census:crash("old" .. choose(OLD))
    elseif what == 2 then
      census:terminate("old" .. choose(OLD))
    elseif what == 3 then
      -- On several sides at once: whose began first, nobody can say.
      census:child("same").twice = true
      census:start "same"
    else
      census:start("new" .. number)
    end
    state.clients = state.clients - 1
  end)
end

local function wait_for(what, limit_ms, holds)
  local ends = banyan.now() + limit_ms
  while not holds() do
    if banyan.now() >= ends then error("waited too long: " .. what, 0) end
    banyan.sleep(100)
  end
end

return function()
  local cluster = lockstep.cluster { nodes = NODES }
  local census = new_census(cluster)
  banyan.sleep(5000)
  census:on(cluster.nodes[1], function()
    for i = 1, OLD do assert(census:start("old" .. i)) end
  end)
  census:wait("at the beginning", BOUND_MS)
  local kind = KINDS[choose(#KINDS)]
  splits[kind](cluster, shuffled(cluster.nodes))
  local long = choose(#TIMES)
  banyan.sleep(TIMES[long])
  local state = { clients = 0 }
  for i = 1, NEW do
    be_client(census, state, cluster.nodes[choose(NODES)], i)
  end
  if kind == "bridge" and long > 2 then
    wait_for("a client of a bridge", PROMPT_MS + GAP_MS,
      function() return state.clients == 0 end)
    local copies = census:copies()
    if copies then error("though a third sees both, " .. copies, 0) end
  else
    banyan.sleep(TIMES[choose(#TIMES)])
  end
  cluster:heal()
  wait_for("a client", PATIENCE_MS, function() return state.clients == 0 end)
  census:wait(kind, BOUND_MS)
end
