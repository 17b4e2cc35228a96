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
--   stop    {child=, reason=}            side by side with all others
--   attach  {pid=, tree=} -> {running = list of {child=, pid=}, exits=}
--                                        a coordinator begins
--   exited  {child=, pid=, reason=}      to the coordinator; what ends while
--                                        there is none is told at attach
--
-- A child is known by the number that the coordinator gave it. A child that is
-- told to stop gets the exit signal `reason`, and "kill" when its shutdown time
-- is over.
--
-- Other nodes have nothing to say here. Each request carries the key that the
-- first coordinator showed: a function, which cannot come from another node.

local core = require "banyan.core"

local Processes = { name = "banyan.distributed_supervisor.processes" }

function Processes:init()
  core.trap_exit(true)
  self.by_child, self.by_pid = {}, {}
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
  tell_exit(self, {
    tag = "exited", child = entry.child, pid = pid, reason = reason,
  })
end

local function stop(entry, reason)
  if entry.stopping then return end
  entry.stopping = true
  if entry.shutdown == "brutal_kill" then return entry.pid:exit("kill") end
  entry.pid:exit(reason)
  if entry.shutdown ~= "infinity" then
    entry.timer = core.send_after(entry.shutdown, core.self(),
      { tag = "overdue", pid = entry.pid })
  end
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
  if entry then stop(entry, msg.reason) end
end

function Processes:handle_info(msg)
  if type(msg) ~= "table" then return end
  if msg.tag == "EXIT" and msg.from ~= nil and self.by_pid[msg.from] then
    -- A living child may send exit signals too; they are not its end.
    if not core.is_alive(msg.from) then remove(self, msg.from, msg.reason) end
  elseif msg.tag == "overdue" and core.is_pid(msg.pid)
    and self.by_pid[msg.pid] then
    msg.pid:exit("kill")
  end
end

--- Stops what still runs, side by side.
function Processes:terminate()
  for _, entry in pairs(self.by_pid) do stop(entry, "shutdown") end
  while next(self.by_pid) do self:handle_info(core.receive()) end
end

return Processes
