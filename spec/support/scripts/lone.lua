--- Children of the script quorum, each to be alone of its id on all nodes: when
-- each process of one began and ended is noted in Lone.log, which all nodes
-- share, by the time of the world. What a process does while its node stands
-- still does not count.

local banyan = require "banyan"
local server = require "banyan.server"

local Lone = {}

--- now: the time of the world; processes: list of {id=, node=, began=, ended=,
-- rival=}, rival being since when another process of that id runs besides;
-- paused: node -> true; longest: ms that two of an id ran at once.
function Lone.new_log(now)
  Lone.log = { now = now, processes = {}, paused = {}, longest = 0 }
  return Lone.log
end

local function note_end(log, one)
  if one.ended then return end
  one.ended = log.now()
  if not one.rival then return end
  local ms = one.ended - one.rival
  if ms > log.longest then log.longest, log.worst = ms, one end
end

-- Those that run already have a rival from now on, or since their node goes on.
local function note_begin(log, one)
  for _, other in ipairs(log.processes) do
    if other.id == one.id and not other.ended and not other.rival
      and not log.paused[other.node] then
      other.rival = log.now()
    end
  end
  table.insert(log.processes, one)
end

--- A node goes on: what runs there has had a rival if another began meanwhile.
function Lone.resumed(node)
  local log = Lone.log
  log.paused[node] = nil
  for i, one in ipairs(log.processes) do
    for later = i + 1, #log.processes do
      local other = log.processes[later]
      if one.node == node and other.id == one.id and not one.ended
        and not other.ended and not one.rival then
        one.rival = log.now()
      end
    end
  end
end

--- A node is gone with all that runs there.
function Lone.crashed(node)
  for _, one in ipairs(Lone.log.processes) do
    if one.node == node then note_end(Lone.log, one) end
  end
end

--- The longest time, also of those that still run.
function Lone.longest()
  local log = Lone.log
  for _, one in ipairs(log.processes) do
    if one.rival and not one.ended and log.now() - one.rival > log.longest then
      log.longest, log.worst = log.now() - one.rival, one
    end
  end
  return log.longest, log.worst
end

--- How many of an id run, and on which node the last one does.
function Lone.count(id)
  local count, node = 0, nil
  for _, one in ipairs(Lone.log.processes) do
    if one.id == id and not one.ended then count, node = count + 1, one.node end
  end
  return count, node
end

function Lone:init(id)
  local log, me = Lone.log, banyan.self()
  local one = { id = id, node = banyan.node(), began = log.now() }
  banyan.spawn(function()
    banyan.monitor(me)
    banyan.receive()
    note_end(log, one)
  end)
  note_begin(log, one)
  banyan.trap_exit(true)
  self.id = id
end

function Lone:handle_call() return self.id end

--- Longer than the quorum's time to stop.
function Lone.terminate() banyan.sleep(60000) end

function Lone.start_link(id) return server.start_link(Lone, id) end

--- The spec of one that would take a minute to end.
function Lone.spec(id)
  return {
    id = id, restart = "permanent", shutdown = 120000,
    start = { "spec.support.scripts.lone", "start_link", { id } },
  }
end

return Lone
