-- What a coordinator is asked about moving children: one of them, all of this
-- node (drain), or those that the ring wants elsewhere (rebalance). How a child
-- moves is decided by the machine (csrc/core/dist/move).

local core = require "banyan.core"

local from_others = {} -- what other nodes may ask for too

local moves = {
  calls = setmetatable({}, { __index = from_others }),
  calls_from_others = from_others,
}

local PATIENCE_MS = 30000 -- of a request, besides what it waits for

--- The part of a coordinator's state that is kept here.
function moves.open(self)
  self.drains = {}     -- who waits until this node has none: {from=, made=}
  self.rebalances = {} -- who waits: {from=, made=, begun=}
end

local function made(self)
  local _, count = self.dist:moves()
  return count
end

local function pending(self)
  local count = self.dist:moves()
  return count
end

function moves.calls.move(self, msg, from)
  self.dist:move(self:new_request("move", from, msg.id), msg.id, msg.node,
    self.start_ms + self.opts.handoff_ms + PATIENCE_MS)
end

-- --- drain -------------------------------------------------------------------

local function answer_drains(self, ...)
  local list = self.drains
  self.drains = {}
  for _, one in ipairs(list) do
    if one.timer then core.cancel_timer(one.timer) end
    core.reply(one.from, ...)
  end
end

function from_others.drain(self, msg, from)
  local ms = msg.timeout
  local is_time = math.type and math.type(ms) == "integer"
    or type(ms) == "number" and ms % 1 == 0
  if ms ~= "infinity" and not (is_time and ms >= 0) then
    return core.reply(from, false, "bad_timeout")
  end
  local one = { from = from, made = made(self) }
  if ms ~= "infinity" then
    one.timer = core.send_after(ms, self.me,
      { tag = "drain_overdue", key = self.view.key })
  end
  self.drains[#self.drains + 1] = one
  self.dist:drain(true)
end

--- The time of a drain is over: what is here stays.
function moves.drain_overdue(self)
  local left = self.dist:count()
  if #self.drains == 0 then return end
  self.dist:drain(false)
  answer_drains(self, false, core.reason { "timeout", left })
end

function from_others.undrain(self, _, from)
  self.dist:undrain()
  answer_drains(self, false, "undrained")
  core.reply(from, true, true)
end

local function review_drains(self)
  if self.dist:count() > 0 or pending(self) > 0 then return end
  local list = self.drains
  self.drains = {}
  for _, one in ipairs(list) do
    if one.timer then core.cancel_timer(one.timer) end
    core.reply(one.from, true, made(self) - one.made)
  end
end

-- --- rebalance ---------------------------------------------------------------

function from_others.rebalance(self, _, from)
  self.rebalances[#self.rebalances + 1] = { from = from, made = made(self) }
end

local function review_rebalances(self)
  local rest = {}
  for _, one in ipairs(self.rebalances) do
    one.begun = one.begun or self.dist:rebalance()
    if one.begun and pending(self) == 0 then
      core.reply(one.from, made(self) - one.made)
    else
      rest[#rest + 1] = one
    end
  end
  self.rebalances = rest
end

--- After each message: what was waited for may have come.
function moves.review(self)
  if #self.drains > 0 then review_drains(self) end
  if #self.rebalances > 0 then review_rebalances(self) end
end

return moves
