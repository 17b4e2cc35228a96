--- One direction of a virtual TCP connection.
--
-- A pipe is a queue of items: chunks of bytes, and marks for what else TCP
-- carries (a connection opens, is accepted, ends). Items arrive in order, none
-- twice; only a cut takes some away, and only from the end. There is at most
-- one step pending for a pipe, the arrival of its head.
--
--    from (an end)  --write-->  items  --deliver-->  to (an end)
--
-- An end is {site=, link=}: one side of a connection. `link` is who has it
-- there, see ends.lua; nil once that side has closed, or is not accepted yet. A
-- site is one life of a node; see network.lua, which also has the paths. Bytes
-- that were confirmed to the writer may still be on their way, up to `window`
-- of them: the buffers of two kernels hold that many. More are confirmed as the
-- reader takes them.

local pipe = {}

local Pipe = {}
Pipe.__index = Pipe

local READ_MS = 10    -- a slow reader reads once in so long
local COALESCED = 65536

-- A heartbeat, with an acknowledgement or without, is never split and counts as
-- no movement: see csrc/core/wire/frame.h. All five bytes are compared: what
-- messages hold may differ from run to run, and must not decide anything.
local HEARTBEATS = { [5] = "\0\0\0\1\8", [13] = "\0\0\0\9\8" }

local function is_heartbeat(bytes)
  local head = HEARTBEATS[#bytes]
  return head ~= nil and bytes:sub(1, 5) == head
end

-- --- marks -------------------------------------------------------------------

pipe.OPEN = { what = "open" }           -- a dial arrives
pipe.ACCEPT = { what = "accept" }       -- it waits for its node to take it
pipe.CONNECTED = { what = "connected" } -- the answer, for the dialler
pipe.CLOSED = { what = "ended", reason = "closed" }
pipe.RESET = { what = "ended", reason = "econnreset" }
pipe.REFUSED = { what = "ended", reason = "econnrefused" }

-- --- making ------------------------------------------------------------------

--- Makes the two directions of a connection that is being dialled.
---@param net table  the network
---@param there table  the path from the dialler
---@param back table  the path to it
---@param dialler table  its end
---@return table pipe  from the dialler; the other is its `back`
function pipe.pair(net, there, back, dialler)
  local acceptor = {}
  local out = pipe.new(net, there, dialler, acceptor)
  local inward = pipe.new(net, back, acceptor, dialler)
  out.back, inward.back = inward, out
  return out
end

function pipe.new(net, path, from, to)
  local self = setmetatable({
    net = net,
    world = net.world,
    path = path,
    from = from,
    to = to,
    items = {},  -- head..tail
    at = {},     -- when each arrives at the earliest
    head = 1,
    tail = 0,
    last = 0,    -- the greatest of `at`
    free_at = 0, -- when its reader reads on
    queued = 0,  -- bytes written and not yet known to be read
    unconfirmed = 0, -- of these, bytes not yet confirmed to the writer
    held_acks = 0,   -- bytes read; the path of acknowledgements is blocked
  }, Pipe)
  self.slot = path:add(self)
  self.name = path:name_of(self.slot)
  self.actor = net.world:actor(self.name)
  self.object = net.world:actor(path.to)
  self.arrive = function()
    self.offer, self.timer = nil, nil
    self:deliver()
  end
  return self
end

-- --- writing -----------------------------------------------------------------

-- Confirms to the writer the bytes that have room in the window.
local function confirm_written(self)
  local room = self.net.window - (self.queued - self.unconfirmed)
  local n = self.unconfirmed < room and self.unconfirmed or room
  if n <= 0 then return end
  self.unconfirmed = self.unconfirmed - n
  local link = self.from.link
  if link then link:written(n) end
end

--- Takes bytes from the writing node.
---@param bytes string
function Pipe:write(bytes)
  self.queued = self.queued + #bytes
  self.unconfirmed = self.unconfirmed + #bytes
  confirm_written(self)
  if self.lost then
    if self.lost == "answered" then self.back:push(pipe.RESET) end
    return
  end
  if not is_heartbeat(bytes) and not self.path.direct then
    self.net.moved_at = self.world.now
  end
  self:push(bytes)
end

-- The reader has taken n bytes; the acknowledgement goes the other way, and
-- the writer goes on.
local function acknowledge(self, n)
  if self.back.path.blocked then
    self.held_acks = self.held_acks + n
    return
  end
  self.queued = self.queued - n
  if self.unconfirmed == 0 then return end
  confirm_written(self)
  local from = self.from
  if from.link and not from.site.node.paused then self.net:act(from.site) end
end

--- The path of acknowledgements is open again: sends those that it held.
function Pipe:release_acks()
  local n = self.held_acks
  self.held_acks = 0
  if n > 0 then acknowledge(self, n) end
end

--- Puts an item at the end.
---@param item string|table
function Pipe:push(item)
  local tail = self.tail + 1
  local at = self.world.now + self.path:delay()
  if at < self.last then at = self.last end
  self.tail, self.last = tail, at
  self.items[tail], self.at[tail] = item, at
  self:schedule()
end

-- --- the pending step --------------------------------------------------------

-- Can nothing arrive for the time being?
local function is_stuck(self)
  if self.path.blocked then return true end
  local item, to = self.items[self.head], self.to
  if item == pipe.OPEN then return false end
  return to.site and to.site.node.paused or to.link and to.link.holds
end

--- Makes the arrival of the head pending, if there is one and nothing is in
-- its way.
function Pipe:schedule()
  if self.offer or self.timer or self.head > self.tail or is_stuck(self) then
    return
  end
  if self.path.direct then return self.net:soon(self) end
  local due, now = self.at[self.head], self.world.now
  if self.free_at > due then due = self.free_at end
  if due > now then
    self.timer = self.world:later(due - now, self.name, self.arrive)
    self.timer.idle = not self:is_moving()
  else
    self.offer = self.world:offer(self.name, self.actor, self.object,
      self.arrive)
  end
end

--- Has the head arrived?
---@return boolean
function Pipe:has_arrived()
  return self:is_ready() and self.at[self.head] <= self.world.now
end

--- Is there a head that only needs time to arrive?
---@return boolean
function Pipe:is_ready()
  return self.head <= self.tail and not is_stuck(self)
end

--- Does it carry anything but heartbeats?
---@return boolean
function Pipe:is_moving()
  for i = self.head, self.tail do
    local item = self.items[i]
    if type(item) ~= "string" or not is_heartbeat(item) then return true end
  end
  return false
end

--- Takes the pending step back; schedule makes it pending again.
function Pipe:hold()
  if self.offer then self.world:withdraw(self.offer) end
  if self.timer then self.world:cancel(self.timer) end
  self.offer, self.timer = nil, nil
end

-- --- losing ------------------------------------------------------------------

--- Loses what is on its way but for the first `kept` items.
---@param kept integer
function Pipe:lose(kept)
  self:hold()
  for i = self.head + kept, self.tail do self.items[i] = nil end
  self.tail = math.min(self.tail, self.head + kept - 1)
  if kept < 1 then self.opening = nil end
  if self.head > self.tail then self.last = self.world.now end
  self:schedule()
end

--- Breaks: some suffix of the items is lost, and the reader gets the end after
-- the rest.
function Pipe:cut()
  local count = self.tail - self.head + 1
  if count > 0 and not self.path.direct then
    self:lose(count + 1 - self.world:choose(count + 1))
  end
  self:push(pipe.RESET)
end

--- From now on nothing of this connection gets through, not even its end.
---@param answered boolean  the other host has forgotten the connection: whoever
---  writes gets a reset
function Pipe:vanish(answered)
  for _, each in ipairs { self, self.back } do
    each:lose(0)
    each.lost = answered and "answered" or "silent"
  end
  self:retire()
end

--- Forgets the connection, if it has no end left and none to come.
function Pipe:retire()
  local back = self.back
  if self.from.link or self.to.link or self.opening or back.opening then
    return
  end
  for _, each in ipairs { self, back } do
    each:lose(0)
    each.lost = "silent"
    each.path:remove(each)
  end
end

-- --- arriving ----------------------------------------------------------------

local function pop(self)
  local head = self.head
  local item = self.items[head]
  self.items[head], self.at[head] = nil, nil
  if head == self.tail then
    self.head, self.tail = 1, 0
  else
    self.head = head + 1
  end
  return item
end

--- Puts a mark before all that waits.
---@param mark table
function Pipe:put_back(mark)
  self.head = self.head - 1
  self.items[self.head], self.at[self.head] = mark, self.world.now
end

-- The head, and all chunks behind it that have come as well.
local function join(self)
  local parts, size = { pop(self) }, 0
  while self.head <= self.tail and size < COALESCED do
    local next_item = self.items[self.head]
    if type(next_item) ~= "string" or self.at[self.head] > self.world.now then
      break
    end
    size = size + #next_item
    parts[#parts + 1] = pop(self)
  end
  return table.concat(parts)
end

-- The first n bytes of the head.
local function split(self, n)
  local chunk = self.items[self.head]
  if n >= #chunk then return pop(self) end
  self.items[self.head] = chunk:sub(n + 1)
  return chunk:sub(1, n)
end

-- What is read at once: mostly a chunk as it was written; less or more by
-- choice, for TCP has no chunks.
local function read(self)
  local size, rate = #self.items[self.head], self.to.site.read_rate
  if rate then
    local n = math.min(size, math.max(1, math.floor(rate * READ_MS)))
    self.free_at = self.world.now + math.ceil(n / rate)
    return split(self, n)
  end
  if self.path.direct
    or self.head == self.tail and is_heartbeat(self.items[self.head]) then
    return pop(self)
  end
  local shape = self.world:choose(8)
  if shape == 8 and size > 1 then
    return split(self, self.world:choose(size - 1))
  end
  if shape == 7 then return join(self) end
  return pop(self)
end

-- Bytes came for a side that has closed, or died: its host answers with a
-- reset, if it can.
local function reject(self)
  local n = #pop(self)
  acknowledge(self, n)
  if self.rejected or self.net:is_dark(self.path.to) then return end
  self.rejected = true
  self.back:push(pipe.RESET)
end

local function give(self, to)
  local bytes, site = read(self), to.site
  to.link:received(bytes)
  acknowledge(self, #bytes)
  self.net:act(site)
end

--- The head arrives.
function Pipe:deliver()
  local item, to = self.items[self.head], self.to
  if type(item) ~= "string" then
    pop(self)
    self.net:mark(self, item)
  elseif to.link then
    give(self, to)
  else
    reject(self)
  end
  self:schedule()
end

return pipe
