--- Nodes leave a distributed supervisor in good order and come back, one after
-- the other or two at a time, while clients of the others start and end
-- children, and a connection breaks now and then. A client waits for nobody's
-- end; each child of a node that leaves runs elsewhere as it has ended; those
-- of the others keep their processes.

local banyan = require "banyan"
local lockstep = require "banyan.lockstep"
local new_census = require "spec.support.scripts.census"

local choose = lockstep.choose

local NODES, OLD, ROUNDS = 4, 8, 2
local ENDS = { 0, 100, 6000 } -- how long the end of a child takes
local GAP_MS, PROMPT_MS, BOUND_MS = 1500, 3000, 10000

local function spec() return { end_ms = ENDS[choose(#ENDS)] } end

local function be_client(census, state, node, number)
  state.clients = state.clients + 1
  census.cluster:spawn(node, function()
    banyan.sleep(choose(GAP_MS))
    local asked, before = banyan.now(), state.left[node]
    local what, why = "start", nil
    local id = "new" .. number
    if choose(4) > 1 then
      local ok
      ok, why = census:start(id, spec())
      why = not ok and tostring(why) or nil
    else
      what = "crash"
      census:crash("old" .. choose(OLD))
    end
    local took = banyan.now() - asked
    local left = state.left[node] ~= before or why == "not_started"
    if not left and (why or took > PROMPT_MS) then
      state.problem = ("%s of %s on %s took %d ms: %s"):format(what, id, node,
        took, tostring(why))
    end
    state.clients = state.clients - 1
  end)
end

local function leave(census, node)
  census:hit_node(node)
  local keeper = census.keepers[node]
  banyan.send(keeper, "leave")
  return keeper
end

local function wait_for_end(pid)
  local ref = banyan.monitor(pid)
  assert(banyan.receive(function(m) return m.ref == ref end, 30000),
    "a node does not leave")
end

local function play_round(census, state, number)
  local cluster = census.cluster
  local first = choose(NODES)
  local leavers = { cluster.nodes[first] }
  if choose(3) == 1 then
    leavers[2] = cluster.nodes[first % NODES + 1]
  end
  local stays = {}
  for _, node in ipairs(cluster.nodes) do
    if node ~= leavers[1] and node ~= leavers[2] then
      stays[#stays + 1] = node
    end
  end
  for i = 1, 3 do
    be_client(census, state, stays[choose(#stays)], 10 * number + i)
  end
  banyan.sleep(choose(GAP_MS))
  local ends = {}
  for i, node in ipairs(leavers) do
    state.left[node] = (state.left[node] or 0) + 1
    ends[i] = leave(census, node)
    if choose(2) == 1 then banyan.sleep(choose(GAP_MS)) end
  end
  if choose(2) == 1 then cluster:cut(stays[1], stays[2]) end
  for _, pid in ipairs(ends) do wait_for_end(pid) end
  for _, node in ipairs(leavers) do census:hit_node(node) end
  if choose(2) == 1 then banyan.sleep(choose(2 * GAP_MS)) end
  for _, node in ipairs(leavers) do census:open(node) end
end

return function()
  local cluster = lockstep.cluster { nodes = NODES }
  local census = new_census(cluster)
  local state = { clients = 0, left = {} }
  banyan.sleep(5000)
  census:on(cluster.nodes[1], function()
    for i = 1, OLD do assert(census:start("old" .. i, spec())) end
  end)
  for i = 1, ROUNDS do play_round(census, state, i) end
  local waits = 0
  while state.clients > 0 do
    banyan.sleep(100)
    waits = waits + 1
    assert(waits < 900, "a client waits")
  end
  census:wait("after nodes left", BOUND_MS)
  if state.problem then error(state.problem, 0) end
end
