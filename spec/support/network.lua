--- Several nodes of one Lua state, joined by a network in memory.
--
--    local network = require "spec.support.network"
--    local net = network.new { seed = 7 }
--    net:node("a@h:1")
--    net:node("b@h:1")
--    net:on("a@h:1", function() assert(core.connect("b@h:1")) ... end)
--    net:close()
--
-- Each node is the real core; the network is its driver. It carries bytes in
-- chunks, and connections, in an order that the seed decides. The clock
-- stands still while anything moves and then jumps to the next deadline, so
-- waits cost no real time.

local core = require "banyan.core"
local outcome = require "spec.support.outcome"

local MAX_ROUNDS = 1e5

local Network = {}
Network.__index = Network

-- Name -> incarnation of its last life, of all networks: ids of an earlier
-- life may still be in memory, and no two lives may have the same.
local lives = {}

local network = {}

--- Makes a network without nodes.
---@param opts? table  seed: an integer
---@return table network
function network.new(opts)
  local seed = opts and opts.seed or 1
  return setmetatable({
    now = 0,
    nodes = {}, -- list of {name=, core=, links = link -> end of a connection}
    conns = {}, -- list of connections, oldest first
    held = {},  -- "from to" -> true
    state = (seed * 7919 + 1) % 2147483647,
    events = {},
    todo = {}, -- functions for the end of the round
  }, Network)
end

-- Park and Miller's generator: 1..n.
function Network:random(n)
  self.state = self.state * 16807 % 2147483647
  return self.state % n + 1
end

-- Both ends of a connection are to hear that it is gone.
local function break_conn(conn, reason)
  for i = 1, 2 do
    conn[i].out = {}
    conn[i].over = nil
    conn[i].lost = conn[i].lost or reason
  end
end

function Network:is_dead(node)
  return self:find(node.name) ~= node
end

-- --- nodes -------------------------------------------------------------------

function Network:find(name)
  for i, node in ipairs(self.nodes) do
    if node.name == name then return node, i end
  end
end

--- Starts a node, with a greater incarnation than the last of that name.
---@param name string
---@param opts? table  for core.node, besides clock and entropy
---@return userdata node
function Network:node(name, opts)
  lives[name] = (lives[name] or 0) + 1
  local settings = {
    name = name,
    incarnation = lives[name],
    secret = "secret",
    seed = self:random(1e6),
    events = true,
    clock = function() return self.now end,
    entropy = function(n)
      local bytes = {}
      for i = 1, n do bytes[i] = string.char(self:random(256) - 1) end
      return table.concat(bytes)
    end,
  }
  for key, value in pairs(opts or {}) do settings[key] = value end
  local made = core.node(settings)
  table.insert(self.nodes, { name = name, core = made, links = {} })
  return made
end

--- Ends a node as SIGKILL does: its connections break, unsaid words are lost.
-- Asked for by a process, it is done after the round.
---@param name string
function Network:kill(name)
  if self.driving then
    table.insert(self.todo, function() self:kill(name) end)
    return
  end
  local node, index = self:find(name)
  table.remove(self.nodes, index)
  for _, conn in ipairs(self.conns) do
    if conn[1].node == node or conn[2].node == node then
      break_conn(conn, "econnreset")
    end
  end
  node.core:close()
end

--- Ends all nodes.
function Network:close()
  for _, node in ipairs(self.nodes) do node.core:close() end
  self.nodes, self.conns = {}, {}
end

-- --- faults ------------------------------------------------------------------

--- Breaks the connections between two nodes; both hear of it.
function Network:cut(a, b)
  for _, conn in ipairs(self.conns) do
    local x, y = conn[1].node.name, conn[2].node.name
    if (x == a and y == b) or (x == b and y == a) then
      break_conn(conn, "econnreset")
    end
  end
end

--- Keeps what `from` says to `to` in the network, or lets it go again. What is
-- kept is not confirmed to its writer, and new connections hang as well.
function Network:hold(from, to, on)
  self.held[from .. " " .. to] = on or nil
end

function Network:is_held(from, to)
  return self.held[from.name .. " " .. to.name]
end

-- --- connections -------------------------------------------------------------
--
-- A connection has two ends, [1] the dialler's: {node=, link= or nil, out =
-- list of chunks on their way, over = "close after out", lost = reason}.

function Network:dial(node, link, name)
  local target = self:find(name)
  if not target then
    node.core:closed(link, "econnrefused", self.now)
    return
  end
  local conn = {
    { node = node, link = link, out = {} }, { node = target, out = {} },
  }
  conn.opening = true
  node.links[link] = { conn = conn, side = 1 }
  table.insert(self.conns, conn)
end

function Network:open(conn)
  local from, to = conn[1], conn[2]
  conn.opening = nil
  local link = to.node.core:accepted(self.now)
  if not link then return break_conn(conn, "econnrefused") end
  to.link = link
  to.node.links[link] = { conn = conn, side = 2 }
  from.node.core:connected(from.link, self.now)
end

function Network:act(node)
  local moved = false
  while true do
    local what, link, more = node.core:action()
    if not what then return moved end
    moved = true
    local at = node.links[link]
    if what == "dial" then
      self:dial(node, link, more)
    elseif at and what == "write" then
      table.insert(at.conn[at.side].out, more)
    elseif at then
      node.links[link] = nil
      at.conn[at.side].over = true
    end
  end
end

-- Moves one chunk of what one end said to the other.
function Network:carry(here, there)
  local chunk = here.out[1]
  local n = #chunk
  if self:random(2) == 1 then
    n = math.min(n, self:random(2 ^ (self:random(17) - 1)))
  end
  here.out[1] = chunk:sub(n + 1)
  if n == #chunk then table.remove(here.out, 1) end
  if there.link and there.node.links[there.link] then
    there.node.core:received(there.link, chunk:sub(1, n), self.now)
  end
  if here.node.links[here.link] then
    here.node.core:written(here.link, n, self.now)
  end
end

-- Tells one end that its connection is gone.
function Network:tell_lost(here)
  local reason = here.lost
  here.lost = "told"
  if not here.link or not here.node.links[here.link] then return end
  here.node.links[here.link] = nil
  if not self:is_dead(here.node) then
    here.node.core:closed(here.link, reason, self.now)
  end
end

function Network:move_side(conn, side)
  local here, there = conn[side], conn[3 - side]
  if here.lost then
    if here.lost == "told" then return false end
    self:tell_lost(here)
    return true
  end
  if here.out[1] then
    if self:is_held(here.node, there.node) then return false end
    self:carry(here, there)
    return true
  end
  if here.over and not here.lost then
    there.lost = there.lost or "closed"
    here.lost, here.over = "told", nil
    there.out = {}
    return true
  end
  return false
end

function Network:move(conn)
  if not conn.opening then
    local first = self:random(2)
    local moved = self:move_side(conn, first)
    return self:move_side(conn, 3 - first) or moved
  end
  if conn[1].lost then return self:move_side(conn, 1) end
  if self:is_held(conn[1].node, conn[2].node) then return false end
  if self:random(2) == 1 then self:open(conn) end
  return true
end

local function is_over(conn)
  return conn[1].lost == "told" and (conn.opening or conn[2].lost == "told")
end

-- Forgets connections that are over, and does what waits for the round's end.
function Network:sweep()
  local kept = {}
  for _, conn in ipairs(self.conns) do
    if not is_over(conn) then kept[#kept + 1] = conn end
  end
  self.conns, self.driving = kept, false
  local todo = self.todo
  self.todo = {}
  for _, act in ipairs(todo) do act() end
  return #todo > 0
end

-- --- driving -----------------------------------------------------------------

-- One step of each node and one move of each connection, in random order.
-- Did anything happen, and when is the next deadline?
function Network:round()
  local moved, nearest = false, nil
  self.driving = true
  local nodes, shift = self.nodes, self:random(math.max(#self.nodes, 1))
  for i = 1, #nodes do
    local node = nodes[(i + shift) % #nodes + 1]
    local deadline = node.core:step(self.now)
    if deadline and (not nearest or deadline < nearest) then
      nearest = deadline
    end
    for _, event in ipairs(node.core:events() or {}) do
      self.events[#self.events + 1] = event
    end
    moved = self:act(node) or moved
  end
  local conns = {}
  for i, conn in ipairs(self.conns) do conns[i] = conn end
  local offset = self:random(math.max(#conns, 1))
  for i = 1, #conns do
    moved = self:move(conns[(i + offset) % #conns + 1]) or moved
  end
  moved = self:sweep() or moved
  return moved, nearest
end

--- Drives all nodes until `goal()` is true.
---@param goal fun(): boolean
function Network:run(goal)
  for _ = 1, MAX_ROUNDS do
    local moved, nearest = self:round()
    if goal() then return end
    if not moved then
      if not nearest then error("everything waits for ever", 0) end
      if nearest > self.now then self.now = nearest end
    end
  end
  error("no end after " .. MAX_ROUNDS .. " rounds", 0)
end

--- Drives all nodes until nothing moves, and lets no time pass.
function Network:settle()
  for _ = 1, MAX_ROUNDS do
    local moved, nearest = self:round()
    if not moved and (not nearest or nearest > self.now) then return end
  end
  error("no rest after " .. MAX_ROUNDS .. " rounds", 0)
end

--- Drives all nodes for some time.
---@param ms integer
function Network:pass(ms)
  local till = self.now + ms
  while true do
    self:settle()
    local _, nearest = self:round()
    if not nearest or nearest > till then break end
    if nearest > self.now then self.now = nearest end
  end
  self.now = till
  self:settle()
end

--- Runs `body` as a process of a node until it ends. Its error is raised again
-- as it was; so is the reason it was ended for.
---@param name string
---@param body function
function Network:on(name, body)
  local result = {}
  self:find(name).core:spawn(function() outcome.watch(result, body) end)
  self:run(function() return result.reason ~= nil end)
  outcome.check(result)
end

--- How many events of that name there were so far.
function Network:count(name)
  local n = 0
  for _, event in ipairs(self.events) do
    if event.event == name then n = n + 1 end
  end
  return n
end

return network
