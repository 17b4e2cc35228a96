--- The nodes of a distributed supervisor come from a source, which says from
-- time to time that others are, while it fails, hangs and answers nobody, and
-- nodes crash and come back: those that leave are drained, no failure empties
-- the ring or touches a child, and each child has one process.

local banyan = require "banyan"
local ds = require "banyan.distributed_supervisor"
local lockstep = require "banyan.lockstep"
local new_census = require "spec.support.scripts.census"
local Child = require "spec.support.scripts.child"

local choose = lockstep.choose

local NODES, CHILDREN, ROUNDS = 3, 6, 3
local REFRESH_MS, TIMEOUT_MS = 500, 800
local SETTLED_MS, BAD_MS, BOUND_MS = 6000, 3000, 20000

local bad = {
  function() error "no answer" end,
  function() banyan.exit "gone" end,
  function() return {} end,
  function() return { "nobody@lockstep:1" } end,
  function() return "all" end,
  function() banyan.sleep(math.huge) end,
}

-- Some of the nodes, one at least.
local function any_of(nodes)
  local list, first = {}, choose(#nodes)
  for i, node in ipairs(nodes) do
    if i == first or choose(3) > 1 then list[#list + 1] = node end
  end
  return list
end

local function has(list, node)
  for _, name in ipairs(list) do
    if name == node then return true end
  end
  return false
end

-- The ring is that list, on each node that is up.
local function check_ring(census, list, when)
  local expected = table.concat(list, " ")
  for _, node in ipairs(census.cluster.nodes) do
    if census.cluster:is_up(node) then
      local ring = census:on(node, function() return ds.nodes("children") end)
      local shown = table.concat(ring or {}, " ")
      assert(shown == expected, ("%s %s has %q in its ring, and not %q")
        :format(when, node, shown, expected))
    end
  end
end

-- What a node crashed for is another start, and so is what it drains.
local function leave(census, before, after)
  for _, node in ipairs(before) do
    if not has(after, node) then census:hit_node(node) end
  end
end

local function answer(census, state, list)
  leave(census, state.list, list)
  state.list = list
  banyan.sleep(SETTLED_MS)
  for _, node in ipairs(census.cluster.nodes) do
    if not has(list, node) then census:hit_node(node) end
  end
  check_ring(census, list, "after an answer")
end

local function fail(census, state)
  local count = #Child.started
  state.bad = bad[choose(#bad)]
  banyan.sleep(choose(BAD_MS))
  check_ring(census, state.list, "while its source fails,")
  assert(#Child.started == count, "a child was started while the source failed")
  state.bad = nil
end

local function crash(census)
  local node = census.cluster.nodes[choose(NODES)]
  census:hit_node(node)
  census.cluster:crash(node)
  banyan.sleep(choose(2) * 3000)
  census.cluster:restart(node)
  census:open(node)
  banyan.sleep(SETTLED_MS)
end

--- The body.
return function()
  local cluster = lockstep.cluster { nodes = NODES }
  local state = { list = cluster.nodes }
  local census = new_census(cluster, { nodes = {
    refresh_ms = REFRESH_MS, timeout_ms = TIMEOUT_MS,
    source = function()
      if state.bad then return state.bad() end
      if choose(4) == 1 then banyan.sleep(choose(300)) end
      return state.list
    end,
  } })
  banyan.sleep(SETTLED_MS)
  census:on(cluster.nodes[1], function()
    for i = 1, CHILDREN do assert(census:start("old" .. i, {})) end
  end)
  for _ = 1, ROUNDS do
    answer(census, state, any_of(cluster.nodes))
    fail(census, state)
    if choose(3) == 1 then crash(census) end
  end
  state.list = cluster.nodes
  census:wait("in the end", BOUND_MS)
end
