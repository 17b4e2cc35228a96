--- Children that crash soon after each start, among others on three nodes, of
-- which one may crash. Nobody else's child loses its process; each that is
-- poison is tried again with back-off, by whichever node has it, and ends when
-- it is told to.

local banyan = require "banyan"
local lockstep = require "banyan.lockstep"
local Child = require "spec.support.scripts.child"
local new_census = require "spec.support.scripts.census"

local choose = lockstep.choose

local NODES, GOOD, POISON = 3, 6, 2
local CRASHES = { 0, 20, 300, 1000 }
local FAULTS_MS, REST_MS, BOUND_MS = 8000, 30000, 10000
local TRIES = 5 -- in REST_MS, when it has failed for a while

local function starts_of(id)
  local count = 0
  for _, one in ipairs(Child.started) do
    if one.id == id then count = count + 1 end
  end
  return count
end

local function start_children(census)
  census:on(census.cluster.nodes[1], function()
    for i = 1, GOOD do assert(census:start("good" .. i)) end
    for i = 1, POISON do
      census:child("poison" .. i).poison = true
      census:start("poison" .. i, { crash_ms = CRASHES[choose(#CRASHES)] })
    end
    return true
  end)
end

-- One node crashes, or one loses sight of another, or nothing.
local function disturb(census)
  local cluster = census.cluster
  local node = cluster.nodes[choose(NODES)]
  banyan.sleep(choose(FAULTS_MS))
  local what = choose(4)
  if what == 2 then
    census:hit_node(node)
    cluster:crash(node)
    banyan.sleep(choose(FAULTS_MS))
    cluster:restart(node)
    census:open(node)
  elseif what == 3 then
    cluster:isolate(node)
    banyan.sleep(2 * choose(FAULTS_MS))
    cluster:heal()
  elseif what == 4 then
    census:hit_node(node)
    cluster:spawn(node, function() census:crash("good" .. choose(GOOD)) end)
  end
end

return function()
  local cluster = lockstep.cluster { nodes = NODES }
  local census = new_census(cluster)
  banyan.sleep(5000)
  start_children(census)
  disturb(census)
  disturb(census)
  census:wait("among poison", BOUND_MS)
  banyan.sleep(REST_MS)
  local before = {}
  for i = 1, POISON do before[i] = starts_of("poison" .. i) end
  banyan.sleep(REST_MS)
  for i = 1, POISON do
    local tries = starts_of("poison" .. i) - before[i]
    if tries > TRIES then
      error(("poison%d was started %d times"):format(i, tries), 0)
    end
  end
  census:on(cluster.nodes[choose(NODES)], function()
    for i = 1, POISON do
      local id = "poison" .. i
      local known = census:child(id).acknowledged
      assert(census:terminate(id) or not known, "a child is not known")
    end
  end)
  for i = 1, POISON do before[i] = starts_of("poison" .. i) end
  banyan.sleep(REST_MS)
  for i = 1, POISON do
    assert(starts_of("poison" .. i) == before[i], "it has come back")
  end
  census:wait("at the end", BOUND_MS)
end
