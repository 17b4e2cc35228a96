--- Faults at random: a safety phase, in which anything goes, and a liveness
-- phase, in which the cluster has to find together again.
--
-- Everything is drawn from the tape, and 1 is the mildest choice: a tape of
-- ones causes no fault at all. A run switches each kind of fault on or off:
-- some bugs need one combination, which is rare where every kind is on (swarm
-- testing: Groce et al., ISSTA 2012).

local options = require "banyan.options"

local DURATION_MS = 30000
local SETTLE_MS = 60000
local GAP_MS = 3000 -- at most, between one thing and the next

local chaos = {}

-- --- drawing -----------------------------------------------------------------

local function pick(run, list)
  return list[run.cluster.world:choose(#list)]
end

-- The nodes for which `is` is true, in their order.
local function nodes_that(run, is)
  local names = {}
  for _, name in ipairs(run.cluster.nodes) do
    local site = run.cluster.net.sites[name]
    if is(site) then names[#names + 1] = name end
  end
  return names
end

local function is_up(site) return site ~= nil end

local function is_running(site) return site and not site.stopped end

-- All nodes, in an order of the tape's.
local function shuffled(run)
  local names = nodes_that(run, function() return true end)
  for i = 1, #names - 1 do
    local j = i - 1 + run.cluster.world:choose(#names - i + 1)
    names[i], names[j] = names[j], names[i]
  end
  return names
end

local function pick_pair(run)
  local names = shuffled(run)
  return names[1], names[2]
end

-- --- the kinds ---------------------------------------------------------------
--
-- Each does something to the cluster, and answers a function that ends it, or
-- nil where only the last phase ends it. One that is not possible does nothing.

local kinds = {}

local function open_all(run)
  run.cluster:note "the network is whole again"
  run.cluster.net:divide(nil)
end

function kinds.partition(run)
  local names, groups = shuffled(run), {}
  local count = math.min(#names, 1 + run.cluster.world:choose(2))
  for i = 1, count do groups[i] = { names[i] } end
  for i = count + 1, #names do
    table.insert(pick(run, groups), names[i])
  end
  run.cluster:partition((table.unpack or unpack)(groups))
  return open_all
end

function kinds.isolate(run)
  run.cluster:isolate(pick(run, run.cluster.nodes))
  return open_all
end

function kinds.bridge(run)
  local names = shuffled(run)
  if #names < 3 then return end
  run.cluster:bridge(names[1], names[2], names[3])
  return open_all
end

local function mend(from, to)
  return function(run)
    run.cluster:set_link(from, to, { latency = 0, jitter = 0, loss = 0 })
  end
end

function kinds.one_way(run)
  local from, to = pick_pair(run)
  run.cluster:set_link(from, to, { loss = 1 })
  return mend(from, to)
end

function kinds.loss(run)
  local from, to = pick_pair(run)
  run.cluster:set_link(from, to, { loss = pick(run, { 0.01, 0.1, 0.5 }) })
  return mend(from, to)
end

function kinds.latency(run)
  local from, to = pick_pair(run)
  run.cluster:set_link(from, to, {
    latency = pick(run, { 1, 10, 100, 1000 }),
    jitter = pick(run, { 0, 10, 300 }),
  })
  return mend(from, to)
end

function kinds.flap(run)
  local a, b = pick_pair(run)
  local flap = run.cluster:flap(a, b, {
    up = pick(run, { 3000, 1000, 300 }), down = pick(run, { 300, 1000, 6000 }),
  })
  return function()
    run.cluster:note(("%s - %s flaps no more"):format(a, b))
    run.cluster.net:steady(flap)
  end
end

function kinds.cut(run)
  run.cluster:cut(pick_pair(run))
end

function kinds.half_open(run)
  local a, b = pick_pair(run)
  run.cluster:half_open(a, b, run.cluster.world:choose(2) == 1)
end

-- A node that may be stopped: another one is left that runs.
local function victim(run)
  local names = nodes_that(run, is_running)
  return #names > 1 and pick(run, names) or nil
end

function kinds.crash(run)
  local name = victim(run)
  if not name then return end
  run.cluster:crash(name)
  return function()
    if not run.cluster:is_up(name) then run.cluster:restart(name) end
  end
end

function kinds.pause(run)
  local name = victim(run)
  if not name then return end
  run.cluster:pause(name)
  return function()
    if run.cluster:is_up(name) then run.cluster:resume(name) end
  end
end

-- A fault of one node that `set(name, value)` begins and ends.
local function of_node(set, values, usual)
  return function(run)
    local name = pick(run, nodes_that(run, is_up))
    set(run.cluster, name, pick(run, values))
    return function()
      if run.cluster:is_up(name) then set(run.cluster, name, usual) end
    end
  end
end

local function set_clock(cluster, ...) cluster:set_clock(...) end
local function slow(cluster, ...) cluster:slow(...) end
local function slow_reader(cluster, ...) cluster:slow_reader(...) end

kinds.clock = of_node(set_clock, { 1.01, 0.9, 1.5, 0.5, 3 }, 1)
kinds.slow = of_node(slow, { 1, 10, 100 }, 0)
kinds.slow_reader = of_node(slow_reader, { 100, 10, 1 }, nil)

--- The names of all kinds of faults.
chaos.faults = {
  "partition", "isolate", "bridge", "one_way", "loss", "latency", "flap",
  "cut", "half_open", "crash", "pause", "clock", "slow", "slow_reader",
}

local needs_two = {
  partition = true, isolate = true, bridge = true, one_way = true,
  loss = true, latency = true, flap = true, cut = true, half_open = true,
}

-- --- options -----------------------------------------------------------------

local schema = {
  duration = "ms",
  settle = "ms",
  faults = {
    "a list of kinds of faults (" .. table.concat(chaos.faults, ", ") .. ")",
    function(value)
      if type(value) ~= "table" then return false end
      for key, kind in pairs(value) do
        if type(key) ~= "number" or kinds[kind] == nil then return false end
      end
      return true
    end,
  },
}

--- Raises what is wrong with the options of cluster:chaos; fills them in.
---@param what string  the function they are for
---@param opts table|nil
---@param level integer  as for options.check
---@return table opts
function chaos.check(what, opts, level)
  opts = options.check(what, opts, schema, level + 1)
  return {
    duration = opts.duration or DURATION_MS,
    settle = opts.settle or SETTLE_MS,
    faults = opts.faults or chaos.faults,
  }
end

-- --- the two phases ----------------------------------------------------------

-- The kinds that this run has.
local function switch_on(run, faults)
  local on = {}
  for _, kind in ipairs(faults) do
    local possible = #run.cluster.nodes > 1 or not needs_two[kind]
    if possible and run.cluster.world:choose(2) == 2 then
      on[#on + 1] = kind
    end
  end
  return on
end

local function begin_fault(run)
  local undo = kinds[pick(run, run.on)](run)
  if undo then table.insert(run.undo, undo) end
end

local function end_fault(run)
  if #run.undo == 0 then return begin_fault(run) end
  table.remove(run.undo, run.cluster.world:choose(#run.undo))(run)
end

-- The mildest choices are long gaps and few faults.
local function cause_faults(run, duration)
  local world = run.cluster.world
  local till = world.now + duration
  while true do
    local gap = math.min(GAP_MS + 1 - world:choose(GAP_MS), till - world.now)
    if gap > 0 then run.sleep(gap) end
    if world.now >= till then return end
    local turn = #run.on > 0 and world:choose(3) or 1
    if turn == 2 then begin_fault(run) elseif turn == 3 then end_fault(run) end
  end
end

-- Ends all faults, and starts the nodes that are down.
local function repair(run)
  local cluster = run.cluster
  cluster:heal()
  for _, name in ipairs(cluster.nodes) do
    local site = cluster.net.sites[name]
    if not site then
      cluster:restart(name)
    else
      if site.stopped then cluster:resume(name) end
      if site.slow then cluster:slow(name, 0) end
      if site.read_rate then cluster:slow_reader(name, nil) end
      if site.node.rate ~= 1 then cluster:set_clock(name, 1) end
    end
  end
end

local function describe(cluster)
  local lines, views = {}, cluster:views()
  for i, name in ipairs(cluster.nodes) do
    local view = views[name]
    lines[i] = not view and name .. " is down"
      or #view == 0 and name .. " sees nobody"
      or ("%s sees %s"):format(name, table.concat(view, ", "))
  end
  return table.concat(lines, "; ")
end

--- Does what cluster:chaos says. Yields.
---@param cluster table
---@param opts table  what chaos.check answered
---@param sleep fun(ms: integer)
---@return string[] did
function chaos.run(cluster, opts, sleep)
  local run = { cluster = cluster, undo = {}, sleep = sleep }
  local did = cluster:record(function()
    run.on = switch_on(run, opts.faults)
    cause_faults(run, opts.duration)
    repair(run)
  end)
  if cluster:settle(opts.settle) then return did end
  error(("cluster:chaos: the cluster did not settle within %d ms: %s; "
    .. "before that:\n  %s"):format(opts.settle, describe(cluster),
    table.concat(did, "\n  ")), 0)
end

return chaos
