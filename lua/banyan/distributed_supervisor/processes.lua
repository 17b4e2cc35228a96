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
--   stop    {child=, id=, reason=, handoff=, handoff_ms=}
--                                        side by side with all others
--   attach  {pid=, tree=} -> {running = list of {child=, pid=}, exits=}
--                                        a coordinator begins
--   exited  {child=, id=, pid=, reason=, handoff=, state=, failed=}
--                                        to the coordinator; what ends while
--                                        there is none is told at attach
--
-- A child is known by the number that the coordinator gave it. A child that is
-- told to stop gets the exit signal `reason`, and "kill" when its shutdown time
-- is over. With `handoff`, which says why, a server that has the callback
-- handoff is asked for its state first: it ends by itself then. If it does not
-- answer within handoff_ms, it gets the signal. `state` is what it answered, as
-- bytes; `failed` why it did not.
--
-- Other nodes have nothing to say here. Each request carries the key that the
-- first coordinator showed: a function, which cannot come from another node.

local core = require "banyan.core"
local views = require "banyan.distributed_supervisor.views"

local Processes = { name = "banyan.distributed_supervisor.processes" }

function Processes:init(name)
  core.trap_exit(true)
  self.name = name
  self.by_child, self.by_pid = {}, {}
  self.handing = {} -- ref of the request -> the child that hands over
  self.exits = {} -- that no coordinator has heard of yet
end

local function tell_exit(self, exit)
  exit.key = self.key
  if self.coordinator and core.is_alive(self.coordinator) then
    core.send(self.coordinator, exit)
  else
    self.exits[#self.exits + 1] = exit
  end
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
  tell_exit(self, {
    tag = "exited", child = entry.child, pid = pid, reason = reason,
    id = entry.id, handoff = entry.handoff,
    state = entry.state, failed = entry.failed,
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

local function stop(self, entry, msg)
  if entry.stopping then return end
  entry.stopping = true
  if not msg.handoff or not is_server(entry.pid) then
    return signal(entry, msg.reason)
  end
  entry.reason, entry.id, entry.handoff = msg.reason, msg.id, msg.handoff
  entry.asked = core.request(entry.pid,
    { "$system", "handoff", msg.handoff, msg.reason })
  self.handing[entry.asked] = entry
  entry.timer = core.send_after(msg.handoff_ms, core.self(),
    { tag = "handoff_overdue", ref = entry.asked })
end

-- The child has answered what it was asked for, or its time is over.
local function end_handoff(self, ref)
  local entry = self.handing[ref]
  if not entry then return nil end
  self.handing[ref], entry.asked = nil, nil
  core.cancel_timer(entry.timer)
  entry.timer = nil
  return entry
end

local function handed_over(self, msg)
  local entry = end_handoff(self, msg.ref)
  if not entry then return end
  if msg[1] == false then return signal(entry, entry.reason) end
  if msg[1] == nil then
    entry.failed = msg[2]
  elseif msg[2] ~= nil then
    entry.state, entry.failed = core.dist.encode(msg[2])
  end
  limit(entry)
end

local function handoff_overdue(self, msg)
  local entry = end_handoff(self, msg.ref)
  if not entry then return end
  entry.failed = "timeout"
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
  local running, exits = {}, self.exits
  self.exits = {}
  for _, entry in pairs(self.by_pid) do
    running[#running + 1] = { child = entry.child, pid = entry.pid }
  end
  table.sort(running, function(a, b) return a.child < b.child end)
  return { running = running, exits = exits }
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

function Processes:handle_cast(msg)
  local entry = is_ours(self, msg) and msg.tag == "stop"
    and self.by_child[msg.child]
  if entry then stop(self, entry, msg) end
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
