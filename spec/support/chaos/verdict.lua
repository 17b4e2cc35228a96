--- What must hold when the faults of `make chaos` are over.
--
--  * Each child runs exactly once, and all nodes agree where.
--  * No process of a child has ended but with its OS process, by kill -9 or
--    SIGTERM, or because an older process of that child ran. So the one that
--    never stopped stays.
--  * It counts on from what was acknowledged.
--
-- Which of two processes is older is decided by when their nodes knew of
-- their starts, so one that began when its node was stopped may be younger than
-- its file says.

local agent = require "spec.support.agent"
local banyan = require "banyan"
local ds = require "banyan.distributed_supervisor"
local settings = require "spec.support.chaos.settings"

local verdict = {}

local SETTLE_MS, CALL_MS, POLL_MS = 60000, 5000, 100
local REST_MS = 4000 -- longer than a node is suspected before it is lost
local MARGIN_MS = 1000 -- between a start in the file and its node's knowing

-- --- asked of a node ---------------------------------------------------------

-- Runs on it.
local function look(name)
  local core = require "banyan.core"
  local supervisor = require "banyan.distributed_supervisor"
  local children, here, processes = {}, {}, 0
  for id, pid in pairs(supervisor.children(name) or {}) do
    children[id] = tostring(pid)
  end
  for _, pid in ipairs(core.processes()) do
    local info = core.process_info(pid)
    if info and info.label == "spec.support.chaos.child" then
      processes = processes + 1
    end
  end
  for _, pid in ipairs(supervisor.local_children(name) or {}) do
    here[tostring(pid)] = true
  end
  return {
    members = supervisor.nodes(name) or {}, children = children, here = here,
    processes = processes,
  }
end

local function count(map)
  local n = 0
  for _ in pairs(map) do n = n + 1 end
  return n
end

-- What is not in order yet, or nil; and then the children: id -> pid as text.
local function unsettled(names)
  local total, first, run_on = 0, nil, {}
  for _, name in ipairs(names) do
    local ok, seen = agent.call(name, CALL_MS, look, settings.supervisor)
    if not ok then return ("%s: %s"):format(name, tostring(seen)) end
    first = first or seen.children
    if #seen.members ~= #names then
      return ("%s knows %d nodes"):format(name, #seen.members)
    end
    for id = 1, settings.children do
      if not seen.children[id] then
        return ("%s does not know child %d"):format(name, id), id
      elseif seen.children[id] ~= first[id] then
        return ("%s has %s as child %d, another node has %s"):format(name,
          seen.children[id], id, first[id]), id
      end
    end
    local here = count(seen.here)
    if seen.processes ~= here then
      return ("%s runs %d processes for %d children"):format(name,
        seen.processes, here)
    end
    for pid in pairs(seen.here) do run_on[pid] = true end
    total = total + here
  end
  if total ~= settings.children then
    return ("%d children run in all"):format(total)
  end
  for id, pid in pairs(first) do
    if not run_on[pid] then
      return ("child %s is known as %s, which runs nowhere"):format(
        tostring(id), pid), id
    end
  end
end

--- Waits until all is in order and stays so for a while. Answers how long it
-- took, or nil, what is not in order, and the child in question.
function verdict.settle(names)
  local began, since = banyan.now(), nil
  repeat
    local why, id = unsettled(names)
    local now = banyan.now()
    if why and now - began > SETTLE_MS then return nil, why, id end
    since = not why and (since or now) or nil
    banyan.sleep(POLL_MS)
  until since and banyan.now() - since > REST_MS
  return since - began
end

-- --- which processes there were ----------------------------------------------

local function new_process(id, who, at, by_pid)
  return {
    id = id, who = who, at = at, life = by_pid[tonumber(who:match "/(%d+)/")],
  }
end

--- Reads what the children wrote: id -> list of processes {who=, at=, life=,
-- ended=, reason=}.
local function read_processes(path, lives)
  local by_pid, by_who, list = {}, {}, {}
  for id = 1, settings.children do list[id] = {} end
  for _, life in ipairs(lives) do by_pid[life.pid] = life end
  for line in io.lines(path) do
    local what, id, who, at, more = line:match
      "^(%a+) (%d+) (%S+) (%d+) ?(.*)$"
    local key = tostring(id) .. " " .. tostring(who)
    if what == "start" then
      by_who[key] = new_process(tonumber(id), who, tonumber(at), by_pid)
      table.insert(list[tonumber(id)], by_who[key])
    elseif what == "end" then
      by_who[key].ended, by_who[key].reason = tonumber(at), more
    end
  end
  return list
end

-- When its node knew of it at the latest.
local function latest_start(one)
  local at = one.at + MARGIN_MS
  for _, stop in ipairs(one.life.stops) do
    if stop.from <= at and (stop.till or math.huge) >= one.at then
      at = math.max(at, (stop.till or math.huge) + MARGIN_MS)
    end
  end
  return at
end

-- Is that the pid of this process? Two lives of a node may have equal ones.
local function is_called(one, node, serial)
  return one.who:match "^[^/]+" == node and one.who:match "[^/]+$" == serial
end

-- Why a process should not have ended, or nil.
local function wrong_end(one, list)
  if one.life.leaves and one.ended >= one.life.leaves then return nil end
  local node, serial = one.reason:match
    "^shutdown: conflict: pid<([^@]+)@%S+ ([%d.]+>)>?$"
  if not node then return "ended: " .. one.reason end
  local known = false
  for _, winner in ipairs(list) do
    if is_called(winner, node, serial) then
      known = true
      if winner.at <= latest_start(one) then return nil end
    end
  end
  return known and "ended for a younger one: " .. one.reason
    or "ended for one that never started: " .. one.reason
end

-- `who` answers for the child.
local function check_child(list, who)
  local answers = false
  for _, one in ipairs(list) do
    if one.who == who and not one.ended then
      answers = true
    elseif one.ended then
      local why = wrong_end(one, list)
      if why then return ("process %s %s"):format(one.who, why) end
    elseif not one.life.till then
      return ("process %s runs as well as %s"):format(one.who, who)
    end
  end
  return not answers and who .. " answers, which does not run" or nil
end

--- Looks at each child; answers a list of {id=, text=} of what is wrong, and
-- how many processes there were.
function verdict.check(path, lives, client)
  local who_answers, problems, total = {}, {}, 0
  for id = 1, settings.children do
    local value, who = client:add(id, 0)
    who_answers[id] = value and who
  end
  for id, list in ipairs(read_processes(path, lives)) do
    total = total + #list
    local why
    if who_answers[id] then
      why = check_child(list, who_answers[id])
    else
      why = "does not answer"
    end
    if why then
      problems[#problems + 1] = {
        id = id, text = ("child %d: %s"):format(id, why),
      }
    end
  end
  for _, problem in ipairs(client.problems) do
    problems[#problems + 1] = problem
  end
  return problems, total
end

--- What each node says about a child, as lines.
function verdict.explain(names, id)
  local lines = {}
  local function explain(supervisor, child)
    local found = require("banyan.distributed_supervisor").explain(supervisor,
      child) or { state = "unknown" }
    local list = {}
    for key, value in pairs(found) do
      list[#list + 1] = ("%s=%s"):format(key, tostring(value))
    end
    table.sort(list)
    return table.concat(list, " ")
  end
  for _, name in ipairs(names) do
    local ok, text = agent.call(name, CALL_MS, explain, settings.supervisor,
      id)
    lines[#lines + 1] = ("%s: %s"):format(name, ok and text or tostring(text))
  end
  local own = ds.explain(settings.supervisor, id)
  lines[#lines + 1] = ("the client: %s"):format(own and own.reason
    or "unknown")
  return lines
end

return verdict
