--- Copies of children that meet: a network is divided, or a node stands still,
-- and both sides write checkpoints. What must hold:
--
--  * of the copies of a child the one stays with the longer history, and of
--    those with the same history the one whose node was awake for longest;
--  * what handoff returned in each that is stopped, the one that stays hears,
--    once;
--  * the next process of a child never goes on from what a copy wrote that was
--    stopped, though the node of the one that stayed crash in that moment.

local banyan = require "banyan"
local core = require "banyan.core"
local ds = require "banyan.distributed_supervisor"
local lockstep = require "banyan.lockstep"
local Copy = require "spec.support.scripts.copy"
local each_life = require "spec.support.scripts.lives"
local run_on = require "spec.support.scripts.on"

local choose = lockstep.choose

local NODES, IDS, PHASES = 3, 4, 3
local NAME = "copies"
local LATE_MS = { 0, 0, 20, 300 }
local PATIENCE_MS, AWAY_MS, CALL_MS = 90000, 12000, 1000
-- Of two that began so near to each other no clock says which is older.
local MARGIN_MS = 500

local run -- the state of the current run

local function id_of(i) return "id" .. i end

local function one_of(list) return list[choose(#list)] end

local function wrong(text, ...)
  run.log.problem = run.log.problem or text:format(...)
end

local function on(node, what) return run_on(run.cluster, node, what) end

local function open(node)
  run.cluster:spawn(node, function()
    banyan.trap_exit(true)
    assert(ds.start_link { name = NAME, max_restarts = 1000 })
    banyan.receive(function() return false end)
  end)
end

local function start(id)
  if not on(run.cluster.nodes[1], function()
    return (ds.ensure_child(NAME, { id = id,
      start = { "spec.support.scripts.copy", "start_link", { id } } }))
  end) then
    error("a child does not start", 0)
  end
end

local function call(node, id, message)
  return on(node, function() return ds.call(NAME, id, message, CALL_MS) end)
end

-- --- looking -----------------------------------------------------------------

local function is_alive(one)
  if one.over then return false end
  local same = run.cluster.lives[one.node] == one.life
  local alive = same and run.cluster:is_up(one.node)
    and on(one.node, function() return core.is_alive(one.pid) end)
  one.over = not alive
  return alive
end

-- The processes that live: id -> list.
local function living()
  local found = {}
  for i = 1, IDS do found[id_of(i)] = {} end
  for _, one in ipairs(run.log.started) do
    if is_alive(one) then table.insert(found[one.id], one) end
  end
  return found
end

local function is_known(one)
  for _, node in ipairs(run.cluster.nodes) do
    local pid = on(node, function() return ds.whereis(NAME, one.id) end)
    if pid ~= one.pid then return false end
  end
  return true
end

local function missing()
  for _, node in ipairs(run.cluster.nodes) do
    if on(node, function() return #(ds.nodes(NAME) or {}) end) < NODES then
      return node .. " misses others"
    end
  end
end

local function unsettled()
  local why = missing()
  local found = living()
  for i = 1, IDS do
    local list = found[id_of(i)]
    why = why or #list ~= 1 and ("%s runs %d times"):format(id_of(i), #list)
      or not is_known(list[1]) and id_of(i) .. " is not known" or nil
  end
  return why
end

-- Until all nodes see each other, and each child runs once and is known.
local function calm_down()
  local ends = banyan.now() + PATIENCE_MS
  while true do
    local why = unsettled()
    if not why then break end
    if banyan.now() > ends then error(why, 0) end
    banyan.sleep(1000)
  end
  banyan.sleep(3000)
end

-- --- the rule ----------------------------------------------------------------

-- Does `a` stay, of the two? nil: their clocks do not say.
local function stays(a, b)
  if a.root ~= b.root then
    if math.abs(a.history - b.history) < MARGIN_MS then return nil end
    return a.history < b.history
  end
  local since, other = math.max(a.begun, a.awoke), math.max(b.begun, b.awoke)
  if math.abs(since - other) < MARGIN_MS then return nil end
  return since < other
end

-- The one of a list that must stay, or nil.
local function winner_of(list)
  for _, one in ipairs(list) do
    local wins = true
    for _, other in ipairs(list) do
      wins = wins and (other == one or stays(one, other) == true)
    end
    if wins then return one end
  end
end

-- Of children with copies the one that must stay: id -> process.
local function expect()
  local winners = {}
  for id, list in pairs(living()) do
    if #list > 1 then winners[id] = winner_of(list) end
  end
  return winners
end

local function check_winners(winners)
  for id, list in pairs(living()) do
    local winner = winners[id]
    if winner and list[1] ~= winner then
      wrong("of %s the process of %s stayed, not that of %s", id,
        list[1].node, winner.node)
    end
  end
end

local function check_handed(from)
  for i = from + 1, #run.log.handed do
    local handed = run.log.handed[i]
    if handed.heard ~= 1 then
      wrong("what a copy of %s handed over was heard %d times", handed.by.id,
        handed.heard)
    end
  end
end

-- The next process of each child, after a crash of this one.
local function crash_all()
  for i = 1, IDS do
    local id, known = id_of(i), #run.log.started
    on(one_of(run.cluster.nodes), function() return ds.cast(NAME, id, "x") end)
    for _ = 1, 100 do
      if #run.log.started > known then break end
      banyan.sleep(100)
    end
  end
end

-- --- phases ------------------------------------------------------------------

-- Some children write, each on the side of that node, and some crash there.
local function go_on_at(node, crashes)
  for i = 1, IDS do
    local how = choose(4)
    if how > 1 then call(node, id_of(i), how == 2 and "quiet" or "keep") end
    if crashes and choose(3) == 1 then
      on(node, function() return ds.cast(NAME, id_of(i), "x") end)
    end
  end
end

local function others_of(alone)
  local others = {}
  for _, node in ipairs(run.cluster.nodes) do
    if node ~= alone then others[#others + 1] = node end
  end
  return others
end

-- It stood still, and what it runs is as it was.
local function sleep_of(alone)
  for _, one in ipairs(run.log.started) do
    if one.node == alone then one.slept = true end
  end
end

local function wake(alone)
  run.cluster:resume(alone)
  local now = run.log.now()
  for _, one in ipairs(run.log.started) do
    if one.node == alone and one.slept then one.awoke = now end
    one.slept = nil
  end
end

local function divide(alone, others)
  run.cluster:partition({ alone }, others)
  banyan.sleep(AWAY_MS)
  go_on_at(alone, true)
  go_on_at(others[1], true)
  banyan.sleep(3000)
  go_on_at(alone)
  go_on_at(others[1])
  banyan.sleep(2000)
end

local function stand_still(alone, others)
  run.cluster:pause(alone)
  sleep_of(alone)
  banyan.sleep(AWAY_MS)
  go_on_at(others[1], true)
  banyan.sleep(2000)
end

-- First the one, then the other.
local function divide_and_sleep(alone, others)
  divide(alone, others)
  run.cluster:pause(alone)
  sleep_of(alone)
  banyan.sleep(AWAY_MS)
end

local WAYS = { divide, divide, stand_still, divide_and_sleep }

-- Fresh children, some of which have written something before.
local function renew()
  for i = 1, IDS do
    local id = id_of(i)
    if choose(2) == 1 then
      on(run.cluster.nodes[1], function()
        return ds.terminate_child(NAME, id)
      end)
      run.log.winners[id] = nil
    end
    start(id)
    if choose(2) == 1 then call(run.cluster.nodes[1], id, "keep") end
  end
end

-- Do the others see each other? What one of them holds no other finds else.
local function is_whole_without(node)
  local views = run.cluster:views()
  for _, one in ipairs(others_of(node)) do
    for _, other in ipairs(others_of(node)) do
      local sees = false
      for _, name in ipairs(views[one] or {}) do
        sees = sees or name == other
      end
      if one ~= other and not sees then return false end
    end
  end
  return true
end

-- What one is told at once another hears later.
local function be_late()
  for _, from in ipairs(run.cluster.nodes) do
    for _, to in ipairs(run.cluster.nodes) do
      if from ~= to then
        run.cluster:set_link(from, to, { latency = one_of(LATE_MS) })
      end
    end
  end
end

-- As soon as one copy is stopped the node of the other crashes.
local function crash_at_once(conflicts)
  for _ = 1, 20000 do
    if (run.log.conflicts or 0) > conflicts then break end
    banyan.sleep(1)
  end
  run.log.at_once = true
  for i = 1, IDS do
    local winner = run.log.winners[id_of(i)]
    if winner and run.cluster.lives[winner.node] == winner.life
      and is_whole_without(winner.node) then
      for _, one in ipairs(run.log.started) do
        one.crashed = one.crashed or one.node == winner.node
      end
      run.cluster:crash(winner.node)
      banyan.sleep(AWAY_MS)
      run.cluster:restart(winner.node)
      return
    end
  end
end

local function phase()
  renew()
  calm_down()
  run.log.winners, run.log.at_once = {}, false
  local alone = one_of(run.cluster.nodes)
  local others = others_of(alone)
  local handed, conflicts = #run.log.handed, run.log.conflicts or 0
  local way = one_of(WAYS)
  way(alone, others)
  if way ~= divide then wake(alone) end
  local winners = expect()
  run.cluster:heal()
  if choose(3) == 1 then
    be_late()
    crash_at_once(conflicts)
    run.cluster:heal()
    calm_down()
  else
    calm_down()
    check_winners(winners)
    check_handed(handed)
  end
  crash_all()
  calm_down()
end

--- The body.
return function()
  local cluster = lockstep.cluster { nodes = NODES }
  local log = Copy.new_log(function() return cluster.world.now end,
    cluster.lives)
  run = { cluster = cluster, log = log }
  lockstep.invariant(function() return not log.problem, log.problem end,
    "the conflicts")
  each_life(cluster, open)
  banyan.sleep(5000)
  for i = 1, IDS do start(id_of(i)) end
  calm_down()
  for _ = 1, PHASES do phase() end
end
