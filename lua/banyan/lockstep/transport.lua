--- How peer connections get from node to node under lockstep: over the virtual
-- network, whose faults are theirs, too. It is what driver/transport.lua is
-- with luv, and its streams are what those of driver/stream.lua are.
--
-- Private to banyan.lockstep.

local ends = require "banyan.lockstep.ends"

local transport = {}

-- --- streams -----------------------------------------------------------------

local Stream = {}
Stream.__index = Stream

-- An error in a callback is no event here: it ends the run, which has failed.
function Stream:attach(_, on)
  self.on = on
end

function Stream:go_on()
  self.holds = false
  if ends.has(self) then self.out.back:schedule() end
end

function Stream:pause()
  self.holds = true
  self.out.back:hold()
end

function Stream:write(bytes)
  if not ends.has(self) then return nil, "epipe" end
  self.out:write(bytes)
  return true
end

function Stream:unsent()
  return ends.has(self) and self.out.unconfirmed or 0
end

function Stream:is_closing()
  return not ends.has(self)
end

--- What was written is on its way, and is not lost by this.
function Stream:close()
  if not self.site.net.world.over then ends.close(self) end
end

function Stream:linger()
  self:close()
  return true
end

local function address_of(name)
  return name:match "@(.*)$" or name
end

function Stream:address()
  return address_of(self.out.path.to)
end

-- --- what the network tells --------------------------------------------------

function Stream:connected()
  local done = self.done
  self.done = nil
  done(nil, self)
end

function Stream:received(bytes)
  self.on.read(nil, bytes)
end

function Stream:written()
  self.on.written()
end

function Stream:closed(reason)
  if ends.is_over(self.site) then return end
  if self.done then return self.done(reason) end
  self.on.read(reason ~= "closed" and reason or nil)
end

-- --- the transport of one life of a node -------------------------------------

-- The node that listens there. Without one the address is a name of its own,
-- and nobody has it.
local function name_at(net, address)
  local found
  for _, name in ipairs(net.names) do
    if address_of(name) == address then
      if found then
        error(("under lockstep, %s is the address of both %s and %s: give the "
          .. "nodes names with addresses of their own"):format(address, found,
          name), 0)
      end
      found = name
    end
  end
  return found or address
end

local function new(site, entropy)
  local net = site.net
  local self = { entropy = entropy }

  function self.clock() return net.world:time_of(site.node) end

  function self.later(_, ms, fn)
    return ends.later(site, ms, site.name .. " waits", fn)
  end

  function self.resolve(host) return { host } end

  function self.connect(_, host, port, done)
    local stream = setmetatable({ site = site, done = done }, Stream)
    net:dial(site, name_at(net, ("%s:%d"):format(host, port)), stream)
    return function() stream:close() end
  end

  -- It has that side of a connection from now on from which `out` leads away.
  function self.stream(out)
    local stream = setmetatable({ site = site }, Stream)
    ends.hold(out, stream)
    return stream
  end

  return self
end

--- Gives a node its transport; see driver/transport.lua.
---@param site table
---@param entropy fun(n: integer): string
function transport.give(site, entropy)
  site.transport = new(site, entropy)
  site.core:kept().transport = site.transport
end

return transport
