--- Processes of four nodes that join and leave groups, as often as they like,
-- and end, while nodes crash and come back, are paused and cut off, and the
-- processes of the scope crash. What must hold:
--
--  * a process that has joined is in the lists of its own node at once, and not
--    after it has left or ended;
--  * in the end the lists of all nodes are the same, and right;
--  * what a monitor was given first, with each change that it was told of
--    since, is what the list has;
--  * a broadcast reaches each member once, and nobody else.

local banyan = require "banyan"
local groups = require "banyan.groups"
local lockstep = require "banyan.lockstep"
local each_life = require "spec.support.scripts.lives"
local run_on = require "spec.support.scripts.on"

local choose = lockstep.choose

local NODES, MEMBERS, OPERATIONS = 4, 3, 60
local SCOPE = "chat"
local NAMES = { "lobby", "game", 7 }
local GAP_MS, SHORT_MS, LONG_MS, CALM_MS = 100, 3000, 15000, 20000
local NOTICED_MS = 10000

local run

local function wrong(text, ...)
  run.problem = run.problem or text:format(...)
end

local function on(node, what) return run_on(run.cluster, node, what) end

local function name_of() return NAMES[choose(#NAMES)] end

-- --- what is right -----------------------------------------------------------

local function key_of(pid, group) return tostring(pid) .. " in " .. group end

local function counted(pids, group, counts)
  for _, pid in ipairs(pids) do
    local key = key_of(pid, group)
    counts[key] = (counts[key] or 0) + 1
  end
  return counts
end

-- All processes that live, in all groups.
local function truth()
  local counts = {}
  for _, one in pairs(run.members) do
    for group, times in pairs(one.joined) do
      if times > 0 then counts[key_of(one.pid, group)] = times end
    end
  end
  return counts
end

local function known()
  local counts = {}
  for _, group in ipairs(NAMES) do
    counted(groups.members(SCOPE, group), group, counts)
  end
  return counts
end

local function compare(what, is, right)
  for key, times in pairs(right) do
    if is[key] ~= times then
      return wrong("%s: %s %s times, not %d", what, key, tostring(is[key]),
        times)
    end
  end
  for key in pairs(is) do
    if not right[key] then return wrong("%s: %s", what, key) end
  end
end

-- --- members -----------------------------------------------------------------

local function local_times(one, group)
  local list = groups.local_members(SCOPE, group)
  return list and counted(list, group, {})[key_of(one.pid, group)] or 0
end

-- The scope may have crashed, and be away for a moment.
local function change(one, group, joins)
  if not joins and (one.joined[group] or 0) == 0 then return end
  local ok, err
  if joins then
    ok, err = groups.join(SCOPE, group)
  else
    ok, err = groups.leave(SCOPE, group)
  end
  if not ok and err ~= "not_started" then
    wrong("%s: %s", joins and "join" or "leave", tostring(err))
  end
  if not ok then return end
  one.joined[group] = (one.joined[group] or 0) + (joins and 1 or -1)
  local times = local_times(one, group)
  if times ~= one.joined[group] and groups.groups(SCOPE) then
    wrong("%s: its own node says %d times", key_of(one.pid, group), times)
  end
end

local function be_member(one)
  while true do
    local msg = banyan.receive()
    if msg == "end" then return end
    if msg.change then
      change(one, msg.change, msg.joins)
    elseif msg.broadcast then
      one.heard[msg.broadcast] = (one.heard[msg.broadcast] or 0) + 1
    end
  end
end

local function new_member(node)
  run.numbers = run.numbers + 1
  local one = { node = node, joined = {}, heard = {} }
  one.pid = run.cluster:spawn(node, function() be_member(one) end)
  run.members[run.numbers] = one
end

local function some_member()
  local list = {}
  for number in pairs(run.members) do list[#list + 1] = number end
  table.sort(list)
  return list[choose(#list)]
end

-- --- monitors ----------------------------------------------------------------

local function take_event(log, msg)
  for _, pid in ipairs(msg.pids) do
    local key = key_of(pid, msg.group)
    local times = (log.counts[key] or 0) + (msg.event == "join" and 1 or -1)
    if times < 0 then wrong("%s has left, and was not there", key) end
    log.counts[key] = times > 0 and times or nil
  end
end

local function be_monitor(log)
  local ref, found
  repeat
    ref, found = groups.monitor(SCOPE)
    if not ref then banyan.sleep(20) end
  until ref
  for group, pids in pairs(found) do counted(pids, group, log.counts) end
  while true do
    local msg = banyan.receive()
    if msg.ref ~= ref then wrong "a message of another monitor" end
    take_event(log, msg)
  end
end

local function monitor(node)
  local log = { counts = {} }
  run.monitors[node] = log
  run.cluster:spawn(node, function() be_monitor(log) end)
end

-- --- nodes -------------------------------------------------------------------

-- A scope that crashes is started again, as by a supervisor.
local function keep_scope()
  banyan.trap_exit(true)
  while true do
    local pid = groups.start_link { name = SCOPE }
    -- Without a pid it was killed as it began.
    banyan.receive(function(m) return m.tag == "EXIT" and m.from == pid end,
      pid and math.huge or 0)
    banyan.sleep(choose(3) - 1)
  end
end

local function open(node)
  run.cluster:spawn(node, keep_scope)
  for _ = 1, MEMBERS do new_member(node) end
  monitor(node)
end

local function forget(node)
  for number, one in pairs(run.members) do
    if one.node == node then run.members[number] = nil end
  end
end

local function some_node() return run.cluster.nodes[choose(NODES)] end

local faults = {}

-- Whoever is gone for so long is in no list any more.
local function check_gone(gone)
  local other = some_node()
  if other == gone then return end
  for _, group in ipairs(NAMES) do
    local pids = on(other, function()
      return groups.members(SCOPE, group) or {}
    end)
    for _, pid in ipairs(pids) do
      if pid:node() == gone then
        wrong("%s still lists %s", other, key_of(pid, group))
      end
    end
  end
end

function faults.crash()
  local node, ms = some_node(), choose(LONG_MS)
  run.cluster:crash(node)
  forget(node)
  banyan.sleep(ms)
  if ms > NOTICED_MS then check_gone(node) end
  run.cluster:restart(node)
end

function faults.pause()
  local node = some_node()
  run.cluster:pause(node)
  banyan.sleep(choose(choose(2) == 1 and SHORT_MS or LONG_MS))
  run.cluster:resume(node)
end

function faults.isolate()
  run.cluster:isolate(some_node())
  banyan.sleep(choose(choose(2) == 1 and SHORT_MS or LONG_MS))
  run.cluster:heal()
end

function faults.cut()
  local a = choose(NODES)
  local b = 1 + (a + choose(NODES - 1) - 1) % NODES
  run.cluster:cut(run.cluster.nodes[a], run.cluster.nodes[b])
end

function faults.scope()
  on(some_node(), function()
    local pid = banyan.whereis(SCOPE)
    if pid then pid:exit "kill" end
    return true
  end)
end

local FAULTS = { "crash", "pause", "isolate", "cut", "scope", "scope" }

local function operate()
  local number = some_member()
  local one = run.members[number]
  local what = choose(20)
  if what == 1 then
    faults[FAULTS[choose(#FAULTS)]]()
  elseif what == 2 then
    run.members[number] = nil
    banyan.send(one.pid, "end")
    new_member(one.node)
  else
    banyan.send(one.pid, { change = name_of(), joins = what > 8 })
  end
end

-- --- the body ----------------------------------------------------------------

local function check_broadcast(node)
  run.broadcasts = run.broadcasts + 1
  local group, id, right = name_of(), run.broadcasts, 0
  for _, one in pairs(run.members) do
    if (one.joined[group] or 0) > 0 then right = right + 1 end
  end
  local n = on(node, function()
    return groups.broadcast(SCOPE, group, { broadcast = id })
  end)
  if n ~= right then
    wrong("a broadcast goes to %s, not %d", tostring(n), right)
  end
  banyan.sleep(2000)
  for _, one in pairs(run.members) do
    local expected = (one.joined[group] or 0) > 0 and 1 or nil
    if one.heard[id] ~= expected then
      wrong("%s heard a broadcast %s times", key_of(one.pid, group),
        tostring(one.heard[id]))
    end
  end
end

return function()
  run = { members = {}, monitors = {}, numbers = 0, broadcasts = 0 }
  run.cluster = lockstep.cluster { nodes = NODES }
  local this = run
  lockstep.invariant(function() return not this.problem, this.problem end,
    "groups")
  each_life(run.cluster, open)
  banyan.sleep(1000)
  for _ = 1, OPERATIONS do
    banyan.sleep(choose(GAP_MS) - 1)
    operate()
  end
  banyan.sleep(CALM_MS)
  local right = truth()
  for _, node in ipairs(run.cluster.nodes) do
    compare("the lists of " .. node, on(node, known), right)
    compare("the monitor of " .. node, run.monitors[node].counts, right)
  end
  check_broadcast(some_node())
end
