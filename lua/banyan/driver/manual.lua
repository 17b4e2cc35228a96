--- The driver "manual": the host calls node:step(now) with the time of its own
-- clock, and carries the bytes of the links if the node has a name. The driver
-- never waits, and reads a clock only when a node starts.

local Driver = { name = "manual", by_hand = true }

local STOP_MS = 60000 -- of the node's time, that node:stop may take
local STOP_STEPS = 100000 -- the steps that node:stop may take

--- Milliseconds of wall-clock time, in whole seconds.
---@return integer
function Driver.wall()
  return os.time() * 1000
end

--- Bytes from the system's source of secrets.
---@param n integer
---@return string
function Driver.entropy(n)
  local file = assert(io.open("/dev/urandom", "rb"))
  file:setvbuf("no")
  local bytes = file:read(n)
  file:close()
  return assert(bytes, "/dev/urandom gives nothing")
end

local Session = {}
Session.__index = Session

--- Runs one step of the node and passes its events to on_event.
---@param now integer
---@return integer|nil deadline
function Session:step(now)
  self.now = math.max(self.now or now, now)
  self.stepping = true
  local ok, deadline = pcall(self.core.step, self.core, self.now)
  self.stepping = false
  if not ok then error(deadline, 0) end
  local goals = #self.goals
  self.host.dispatch()
  if #self.goals > goals then deadline = self.now end
  local i = 1
  while self.goals[i] do
    if self.goals[i].is_true() then
      table.remove(self.goals, i).reached()
    else
      i = i + 1
    end
  end
  return deadline
end

--- There is something to do for the node: the host finds that when it steps.
function Session.wake() end

--- Is a step of the node running? Then `pump` must not be called.
---@return boolean
function Session:is_inside()
  return self.stepping == true
end

--- Calls `reached` at the end of the first step in which `goal` is true.
---@param goal fun(): boolean
---@param reached fun()
function Session:when(goal, reached)
  self.goals[#self.goals + 1] = { is_true = goal, reached = reached }
end

--- Steps from deadline to deadline until `goal` is true, or up to the limits.
---@param goal fun(): boolean
---@return true
function Session:pump(goal)
  self.now = self.now or 0
  local last = self.now + STOP_MS
  for _ = 1, STOP_STEPS do
    local deadline = self:step(self.now)
    if goal() or not deadline or deadline > last then break end
    self.now = math.max(self.now, deadline)
  end
  return true
end

--- Ends the session. Output of the links that the host has not taken by
-- node:action is lost. Within a step it is closed at the end of that.
---@param finish fun()  closes the node itself
function Session:close(finish)
  if not self.stepping then return finish() end
  self:when(function() return true end, finish)
end

--- Makes a session for a node.
---@param host table  as for the luv driver
---@return table session
function Driver.open(host)
  return setmetatable({ host = host, core = host.core, goals = {} }, Session)
end

return Driver
