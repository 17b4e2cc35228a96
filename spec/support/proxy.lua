--- A TCP proxy between nodes. A node is named by the proxy's port and listens
-- on another one, so that all connections to it pass here.
--
--    local p = proxy.new()
--    local port = p:add(name_of)         name_of(port) -> the node's name
--    p:serve(name, back)                 it listens on the port `back` now
--    p:cut(a, b)                         closes all connections of these two
--    p:set(a, b, { delay = 50 })         what a sends reaches b 50 ms later
--    p:set(a, b, { silent = true })      it is swallowed, and so are closes
--    p:set(a, b, { held = true })        it waits, until p:set(a, b)
--    p:refuse(name, true)                its port refuses connections
--    p:introduce(name)                   a node that is not behind it dials
--
-- It is of one loop with its owner, which must not be preempted within a call.
-- Who dials is read from the first frame of a connection, which names both. A
-- connection of which something was swallowed is closed when that is over.

local address = require "spec.support.address"
local uv = require "luv"

local proxy = {}

local Proxy = {}
Proxy.__index = Proxy

local BACKLOG = 64

function proxy.new()
  return setmetatable({
    sites = {}, dialers = {}, connections = {}, faults = {},
  }, Proxy)
end

-- --- one connection ----------------------------------------------------------

local function close(self, c)
  if c.closed then return end
  c.closed = true
  self.connections[c] = nil
  for _, way in ipairs(c.ways) do
    if not way.from:is_closing() then way.from:close() end
    if way.timer then way.timer:close() end
  end
end

local NONE = {}

local function fault_of(self, way)
  local row = self.faults[way.sender]
  return row and row[way.receiver] or NONE
end

-- An item without data is the end of the stream.
local function pass(self, c, item)
  if c.closed then return end
  if not item.data then return close(self, c) end
  item.to:write(item.data)
end

local flush

local function flush_later(self, c, way, wait)
  if not way.timer then way.timer = uv.new_timer() end
  way.timer:start(wait, 0, function() flush(self, c, way) end)
end

-- Passes on what is due, in order.
function flush(self, c, way)
  while way.queue[1] and not c.closed do
    if fault_of(self, way).held then return end
    local wait = way.queue[1].due - uv.now()
    if wait > 0 then return flush_later(self, c, way, wait) end
    pass(self, c, table.remove(way.queue, 1))
  end
end

local function take(self, c, way, data)
  local fault = fault_of(self, way)
  if fault.silent then
    c.torn = true
    return
  end
  table.insert(way.queue,
    { to = way.to, data = data, due = uv.now() + (fault.delay or 0) })
  flush(self, c, way)
end

-- The name of another node in the first bytes of a connection.
local function dialer_in(self, name, bytes)
  for other in pairs(self.dialers) do
    if other ~= name and bytes:find(other, 1, true) then return other end
  end
end

local function read(self, c, way)
  way.from:read_start(function(err, data)
    take(self, c, way, not err and data or nil)
  end)
end

local function know(self, c, dialer, name, bytes)
  local there, back = c.ways[1], c.ways[2]
  there.sender, there.receiver = dialer, name
  back.sender, back.receiver = name, dialer
  there.to:connect("127.0.0.1", self.sites[name].back, function(err)
    if c.closed then return end
    if err then return close(self, c) end
    take(self, c, there, bytes)
    read(self, c, there)
    read(self, c, back)
  end)
end

local function accept(self, site)
  local front, back = uv.new_tcp(), uv.new_tcp()
  site.server:accept(front)
  local c = { ways = {
    { from = front, to = back, queue = {} },
    { from = back, to = front, queue = {} },
  } }
  self.connections[c] = true
  local bytes = ""
  front:read_start(function(err, data)
    if err or not data then return close(self, c) end
    bytes = bytes .. data
    local dialer = dialer_in(self, site.name, bytes)
    if not dialer then return end
    front:read_stop()
    know(self, c, dialer, site.name, bytes)
  end)
end

-- --- sites -------------------------------------------------------------------

-- A socket that is bound and does not listen refuses connections, and keeps
-- the port.
local function bind(site)
  site.server = uv.new_tcp()
  assert(site.server:bind("127.0.0.1", site.port))
end

local function listen(self, site)
  assert(site.server:listen(BACKLOG, function() accept(self, site) end))
  site.listens = true
end

--- Makes a name with a port of the proxy, which refuses until `serve`.
---@param name_of fun(port: integer): string
---@return string name
function Proxy:add(name_of)
  local port = address.free_port()
  local site = { port = port, name = name_of(port) }
  self.sites[site.name] = site
  self:introduce(site.name)
  bind(site)
  return site.name
end

--- Says that a node with that name may dial those behind the proxy.
function Proxy:introduce(name) self.dialers[name] = true end

--- The port of a node behind the proxy, from now on.
function Proxy:serve(name, back)
  local site = self.sites[name]
  site.back = back
  if not site.listens then listen(self, site) end
end

--- Refuses connections to a node, or does so no longer.
function Proxy:refuse(name, refused)
  local site = self.sites[name]
  if refused and site.listens then
    site.server:close()
    site.listens = false
    bind(site)
  elseif not refused and not site.listens then
    listen(self, site)
  end
end

-- --- faults ------------------------------------------------------------------

local function is_between(c, a, b)
  local sender, receiver = c.ways[1].sender, c.ways[1].receiver
  return sender == a and receiver == b or sender == b and receiver == a
end

-- A list, because what is done to one may close others.
local function connections_between(self, a, b)
  local list = {}
  for c in pairs(self.connections) do
    if is_between(c, a, b) then list[#list + 1] = c end
  end
  return list
end

--- Closes all connections between two nodes.
function Proxy:cut(a, b)
  for _, c in ipairs(connections_between(self, a, b)) do close(self, c) end
end

--- What becomes of what `a` sends to `b`; nil: nothing.
---@param fault? table  delay: ms; silent: boolean; held: boolean
function Proxy:set(a, b, fault)
  self.faults[a] = self.faults[a] or {}
  self.faults[a][b] = fault
  local silent = fault and fault.silent
  for _, c in ipairs(connections_between(self, a, b)) do
    if c.torn and not silent then close(self, c) end
    for _, way in ipairs(c.ways) do flush(self, c, way) end
  end
end

--- The names behind the proxy, in order.
function Proxy:names()
  local list = {}
  for name in pairs(self.sites) do list[#list + 1] = name end
  table.sort(list)
  return list
end

--- Calls fn(a, b) for each ordered pair of nodes.
function Proxy:each_way(fn)
  for _, a in ipairs(self:names()) do
    for _, b in ipairs(self:names()) do
      if a ~= b then fn(a, b) end
    end
  end
end

function Proxy:close()
  local list = {}
  for c in pairs(self.connections) do list[#list + 1] = c end
  for _, c in ipairs(list) do close(self, c) end
  for _, site in pairs(self.sites) do site.server:close() end
end

return proxy
