--- Children for the specs of supervisors, and a log of what they did.
--
--    local log = children.log()
--    local spec = log:child("a", { restart = "transient" })
--
-- A child traps exits; it writes "+a" when it starts and "-a" when it is asked
-- to stop. Sent {exit=reason} it ends for that reason, sent {hang=true} it
-- does not stop when asked.

local core = require "banyan.core"

local children = {}

local Log = {}
Log.__index = Log

function children.log()
  return setmetatable({ pids = {}, fates = {} }, Log)
end

function Log:note(text)
  self[#self + 1] = text
end

-- What was written since the last time, as one string.
function Log:take()
  local text = table.concat(self, " ")
  for i = #self, 1, -1 do self[i] = nil end
  return text
end

local function live(log, id)
  local hangs = false
  core.trap_exit(true)
  while true do
    local msg = core.receive()
    if msg.exit then core.exit(msg.exit) end
    if msg.hang then hangs = true end
    if msg.unlink then core.unlink(msg.unlink) end
    if msg.tag == "EXIT" then
      log:note("-" .. id)
      if not hangs then core.exit(msg.reason) end
    end
  end
end

function Log:start(id)
  local fates = self.fates[id] or {}
  local fate = table.remove(fates, 1)
  if fate then
    self:note("!" .. id)
    return fate()
  end
  self:note("+" .. id)
  local pid = core.spawn_link(function() live(self, id) end)
  self.pids[id] = pid
  core.sleep(0) -- until it traps exits
  return pid
end

--- What the next starts of `id` do in place of starting: functions.
function Log:fate(id, ...)
  self.fates[id] = { ... }
end

function Log:child(id, more)
  local spec = { id = id, start = function() return self:start(id) end }
  for key, value in pairs(more or {}) do spec[key] = value end
  return spec
end

function Log:send(id, msg)
  core.send(self.pids[id], msg)
end

--- Ends a child for a reason, and gives the supervisor a millisecond.
function Log:crash(id, reason)
  local ref = core.monitor(self.pids[id])
  self:send(id, { exit = reason or "crash" })
  repeat local msg = core.receive() until msg.ref == ref
  core.sleep(1)
end

--- Waits until a process has ended; for what reason.
function children.reason_of(pid)
  local ref = core.monitor(pid)
  while true do
    local msg = core.receive()
    if msg.ref == ref then return msg.reason end
  end
end

return children
