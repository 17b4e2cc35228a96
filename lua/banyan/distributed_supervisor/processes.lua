-- The supervisor of the processes that run as children on this node.
--
-- One process a node for each distributed supervisor, beside the coordinator:
-- it is the parent of the children, so they end with it, and it outlives a
-- coordinator that crashes. It decides nothing. The coordinator tells it which
-- process to take over from the one that started it and which to stop, and
-- hears of each that has ended:
--
--   adopt   {child=, pid=, shutdown=, coordinator=}    from a starter, as a
--                                        call: true, or why not
--   stop    {child=, id=, reason=, handoff=, handoff_ms=, max_state=, goes_on=}
--                                        side by side with all others
--   kill    {after_ms=}                  what runs now, if it still does then
--   attach  {pid=, tree=} -> {running = list of {child=, pid=}, told=}
--                                        a coordinator begins
--
-- and to the coordinator; what happens while there is none is told at attach:
--
--   handed  {child=, id=, pid=, handoff=, state=}    it handed that over, ends
--   handoff_failed  {child=, id=, pid=, handoff=, reason=, goes_on=}
--   exited  {child=, id=, pid=, reason=, handoff=, state=}
--
-- A child is known by the number that the coordinator gave it. A child that is
-- told to stop gets the exit signal `reason`, and "kill" when its shutdown time
-- is over. With `handoff`, which says why, a server that has the callback
-- handoff is asked for its state first: it ends by itself then. If that raises,
-- is not done within handoff_ms, or gives what cannot be kept, the child gets
-- the signal, or goes on if `goes_on` says so. `state` is what it handed over,
-- as bytes.
--
-- Other nodes have nothing to say here. Each request carries the key that the
-- first coordinator showed: a function, which cannot come from another node.

local core = require "banyan.core"
local sets = require "banyan.sets"
local views = require "banyan.distributed_supervisor.views"

local Processes = { name = "banyan.distributed_supervisor.processes" }

function Processes:init(name)
  core.trap_exit(true)
  self.name = name
  self.by_child, self.by_pid = {}, {}
  self.handing = {} -- ref of the request -> the child that hands over
  self.doomed = {} -- number -> those that are to be killed, unless they end
  self.told = {} -- what no coordinator has heard of yet
end

-- Answers the coordinator that was told, if there is one.
local function tell(self, message)
  message.key = self.key
  if self.coordinator and core.is_alive(self.coordinator) then
    core.send(self.coordinator, message)
    return self.coordinator
  end
  self.told[#self.told + 1] = message
end

-- The child's process has ended, or is not there.
local function remove(self, pid, reason)
  local entry = self.by_pid[pid]
  self.by_pid[pid] = nil
  if self.by_child[entry.child] == entry then
    self.by_child[entry.child] = nil
  end
  if entry.timer then core.cancel_timer(entry.timer) end
  if entry.asked then self.handing[entry.asked] = nil end
  local view = views.any(self.name)
  if view then view.numbers[pid] = nil end
  -- A coordinator that has ended since may not have taken it.
  local state = entry.state
  if entry.state_told == self.coordinator then state = nil end
  tell(self, {
    tag = "exited", child = entry.child, pid = pid, reason = reason,
    id = entry.id, handoff = entry.handoff, state = state,
  })
end

-- It ends; it is killed when its shutdown time is over.
local function limit(entry)
  if entry.shutdown == "brutal_kill" then return entry.pid:exit("kill") end
  if entry.shutdown ~= "infinity" then
    entry.timer = core.send_after(entry.shutdown, core.self(),
      { tag = "overdue", pid = entry.pid })
  end
end

local function signal(entry, reason)
  if entry.shutdown ~= "brutal_kill" then entry.pid:exit(reason) end
  limit(entry)
end

local function is_server(pid)
  local info = core.process_info(pid)
  return info ~= nil and info.behaviour == "server"
end

-- What the server asks when it comes to the request, and when it has handed
-- over: does it still count? It runs in the server's turn.
local function permit(entry, ref_of, max_state)
  return function(stage, state)
    if not entry.asked or entry.asked ~= ref_of.ref then
      return false, "timeout"
    end
    if stage ~= "end" or state == nil then
      return stage ~= "failed" or not entry.goes_on
    end
    local bytes, problem = core.dist.encode(state)
    if bytes and #bytes > max_state then
      problem = core.reason { "checkpoint_too_large", #bytes }
    elseif bytes then
      entry.state = bytes
      return true
    end
    entry.problem = problem
    return not entry.goes_on, problem
  end
end

local function ask_for_state(self, entry, msg)
  local ref_of = {}
  entry.reason, entry.id, entry.handoff = msg.reason, msg.id, msg.handoff
  entry.goes_on, entry.problem, entry.state = msg.goes_on, nil, nil
  ref_of.ref = core.request(entry.pid, {
    "$system", "handoff", msg.handoff, msg.reason,
    permit(entry, ref_of, msg.max_state),
  })
  entry.asked = ref_of.ref
  self.handing[entry.asked] = entry
  entry.timer = core.send_after(msg.handoff_ms, core.self(),
    { tag = "handoff_overdue", ref = entry.asked })
end

-- The child has answered what it was asked for, or is not waited for any more.
local function end_handoff(self, ref)
  local entry = self.handing[ref]
  if not entry then return nil end
  self.handing[ref], entry.asked = nil, nil
  core.cancel_timer(entry.timer)
  entry.timer = nil
  return entry
end

local function stop(self, entry, msg)
  if entry.stopping and msg.handoff then return end
  if entry.asked then
    -- It is wanted to stop whatever it hands over.
    end_handoff(self, entry.asked)
  elseif entry.stopping then
    return
  end
  entry.stopping = true
  if not msg.handoff or not is_server(entry.pid) then
    return signal(entry, msg.reason)
  end
  ask_for_state(self, entry, msg)
end

local function tell_failed(self, entry, reason)
  tell(self, {
    tag = "handoff_failed", child = entry.child, id = entry.id,
    pid = entry.pid, handoff = entry.handoff, reason = reason,
    goes_on = entry.goes_on,
  })
end

local function goes_on_after(self, entry, reason)
  tell_failed(self, entry, reason)
  if entry.goes_on then
    entry.stopping = false
    return true
  end
end

local function handed_over(self, msg)
  local entry = end_handoff(self, msg.ref)
  if not entry then return end
  if msg[1] == false then return signal(entry, entry.reason) end
  local failed = entry.problem
  if msg[1] == nil and failed == nil then failed = msg[2] end
  if failed ~= nil and goes_on_after(self, entry, failed) then return end
  if entry.state then
    entry.state_told = tell(self, {
      tag = "handed", child = entry.child, id = entry.id, pid = entry.pid,
      handoff = entry.handoff, state = entry.state,
    })
  end
  limit(entry)
end

local function handoff_overdue(self, msg)
  local entry = end_handoff(self, msg.ref)
  if not entry or goes_on_after(self, entry, "timeout") then return end
  signal(entry, entry.reason)
end

local calls = {}

-- "gone": the coordinator that wanted the child has, and the one after it knows
-- nothing of this start. "dead": the child is. "taken": it is another child, or
-- a process of this supervisor itself.
function calls.adopt(self, msg)
  local pid = msg.pid
  if msg.coordinator ~= self.coordinator then return "gone" end
  if self.by_pid[pid] or pid == core.self() or pid == self.coordinator
    or pid == self.tree then
    return "taken"
  end
  if not core.is_alive(pid) then return "dead" end
  local entry = {
    child = msg.child, pid = msg.pid, shutdown = msg.shutdown,
  }
  self.by_child[msg.child], self.by_pid[msg.pid] = entry, entry
  local view = views.any(self.name)
  if view then view.numbers[msg.pid] = msg.child end
  core.adopt(msg.pid)
  return true
end

function calls.attach(self, msg)
  self.coordinator, self.tree = msg.pid, msg.tree
  local running, told = {}, self.told
  self.told = {}
  for _, entry in pairs(self.by_pid) do
    running[#running + 1] = { child = entry.child, pid = entry.pid }
  end
  table.sort(running, function(a, b) return a.child < b.child end)
  return { running = running, told = told }
end

local function is_ours(self, msg)
  if type(msg) ~= "table" or type(msg.key) ~= "function" then return false end
  self.key = self.key or msg.key
  return msg.key == self.key
end

function Processes:handle_call(msg)
  local handler = is_ours(self, msg) and calls[msg.tag]
  if not handler then return nil, "unknown_call" end
  return handler(self, msg)
end

local function kill_all(children)
  for _, entry in ipairs(children) do entry.pid:exit("kill") end
end

-- Their own time to shut down may be longer.
local function kill_later(self, msg)
  local doomed = {}
  for i, child in ipairs(sets.sorted(self.by_child)) do
    doomed[i] = self.by_child[child]
  end
  if msg.after_ms <= 0 then return kill_all(doomed) end
  self.last_doom = (self.last_doom or 0) + 1
  self.doomed[self.last_doom] = doomed
  core.send_after(msg.after_ms, core.self(),
    { tag = "doom", number = self.last_doom, key = self.key })
end

local casts = { kill = kill_later }

function casts.stop(self, msg)
  local entry = self.by_child[msg.child]
  if entry then stop(self, entry, msg) end
end

-- Once such a process has ended its pid is nobody else's.
function casts.doom(self, msg)
  local doomed = self.doomed[msg.number]
  self.doomed[msg.number] = nil
  if doomed then kill_all(doomed) end
end

function Processes:handle_cast(msg)
  local handler = is_ours(self, msg) and casts[msg.tag]
  if handler then handler(self, msg) end
end

function Processes:handle_info(msg)
  if type(msg) ~= "table" then return end
  if msg.tag == "EXIT" and msg.from ~= nil and self.by_pid[msg.from] then
    -- A living child may send exit signals too; they are not its end.
    if not core.is_alive(msg.from) then remove(self, msg.from, msg.reason) end
  elseif msg.tag == "overdue" and core.is_pid(msg.pid)
    and self.by_pid[msg.pid] then
    msg.pid:exit("kill")
  elseif msg.tag == "reply" and msg.ref ~= nil then
    handed_over(self, msg)
  elseif msg.tag == "handoff_overdue" and msg.ref ~= nil then
    handoff_overdue(self, msg)
  elseif msg.tag == "doom" then
    self:handle_cast(msg)
  end
end

--- Stops what still runs, side by side.
function Processes:terminate()
  for _, entry in pairs(self.by_pid) do
    stop(self, entry, { reason = "shutdown" })
  end
  while next(self.by_pid) do self:handle_info(core.receive()) end
end

return Processes
