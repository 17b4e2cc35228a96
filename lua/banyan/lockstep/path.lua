--- The path from one node's name to another's, for all connections that there
-- ever are between them: its latency, its loss, whether anything gets through.
-- One direction only; the other one is another path.
--
-- A path is blocked while it is cut (by a partition), dark (it flaps) or loses
-- everything. TCP sends again what was lost, so a loss is a delay, and what a
-- blocked path holds arrives once it is open, or never: see resume_pipe.

local Path = {}
Path.__index = Path

local RESEND_MS = 200 -- after the first loss of a packet; doubled for the next
local RESENDS = 6
local PER_MILLE = 1000

--- Makes one.
---@param net table  the network
---@param from string
---@param to string
---@param direct boolean  delivers at once, whatever happens
---@return table path
function Path.new(net, from, to, direct)
  return setmetatable({
    net = net,
    world = net.world,
    from = from,
    to = to,
    direct = direct,
    label = from .. " -> " .. to,
    names = {},
    pipes = {}, -- slot -> pipe
    top = 0,    -- the greatest slot that is taken
    latency = 0,
    jitter = 0,
    loss = 0,
    cut = false,
    dark = false,
    blocked = false,
  }, Path)
end

-- --- its pipes ---------------------------------------------------------------

--- Takes a pipe in, at the first free slot. So names stay few.
---@param pipe table
---@return integer slot
function Path:add(pipe)
  local slot = 1
  while self.pipes[slot] do slot = slot + 1 end
  self.pipes[slot] = pipe
  if slot > self.top then self.top = slot end
  return slot
end

function Path:remove(pipe)
  if self.pipes[pipe.slot] ~= pipe then return end
  self.pipes[pipe.slot] = nil
  while self.top > 0 and not self.pipes[self.top] do self.top = self.top - 1 end
end

function Path:name_of(slot)
  local name = self.names[slot]
  if not name then
    name = slot == 1 and self.label or ("%s #%d"):format(self.label, slot)
    self.names[slot] = name
  end
  return name
end

--- Calls fn(pipe) for each pipe there is at present.
function Path:each(fn)
  for slot = 1, self.top do
    local pipe = self.pipes[slot]
    if pipe then fn(pipe) end
  end
end

-- --- its state ---------------------------------------------------------------

--- How long the next item takes, in ms.
---@return integer
function Path:delay()
  if self.direct then return 0 end
  local ms, jitter, loss = self.latency, self.jitter, self.loss
  if jitter > 0 then ms = ms + self.world:choose(jitter + 1) - 1 end
  if loss == 0 or loss >= 1 then return ms end
  local lost, wait = math.floor(loss * PER_MILLE), RESEND_MS
  for _ = 1, RESENDS do
    if self.world:choose(PER_MILLE) <= PER_MILLE - lost then break end
    ms, wait = ms + wait, wait * 2
  end
  return ms
end

-- A connection whose path was blocked: most often TCP sends everything again;
-- or a router has forgotten it, and answers with a reset, or with nothing.
local function resume_pipe(pipe)
  local fate = 1
  if pipe.head <= pipe.tail and not pipe.lost then
    fate = pipe.world:choose(5)
  end
  if fate == 3 then
    pipe:cut()
    pipe.back:cut()
  elseif fate >= 4 then
    pipe:vanish(fate == 4)
  end
  pipe:schedule()
  pipe.back:release_acks()
end

--- To be called after cut, dark or loss was set.
function Path:refresh()
  local blocked = self.cut or self.dark or self.loss >= 1
  if blocked == self.blocked or self.direct then return end
  self.blocked = blocked
  self:each(function(pipe)
    if blocked then pipe:hold() else resume_pipe(pipe) end
  end)
end

--- Ends all faults of the path.
function Path:mend()
  self.latency, self.jitter, self.loss = 0, 0, 0
  self.cut, self.dark = false, false
  self:refresh()
end

return Path
