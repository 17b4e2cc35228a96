--- A host on lockstep's network: the spec decides what it sends, and it records
-- what it receives.
--
--    local net = network.new { seed = 7 }
--    local a, b = host.new(net, "a@h:1"), host.new(net, "b@h:1")
--    local link = a.dial("b@h:1")
--    net:drain()
--    a.write(link, "hello")
--
-- A network has hosts or nodes, not both.

local host = {}

local Host = {}
Host.__index = Host

function Host:action()
  local act = table.remove(self.todo, 1)
  if act then return act[1], act[2], act[3] end
end

function Host:accepted()
  self.last = self.last + 1
  self.heard[self.last] = { bytes = "", written = 0 }
  return self.last
end

function Host:connected(link) self.heard[link].open = true end

function Host:received(link, bytes)
  local heard = self.heard[link]
  heard.bytes = heard.bytes .. bytes
  heard.chunks = (heard.chunks or 0) + 1
  heard.order = #self.order + 1
  table.insert(self.order, { link, bytes })
end

function Host:written(link, n)
  local heard = self.heard[link]
  heard.written = heard.written + n
end

function Host:closed(link, reason) self.heard[link].closed = reason end

--- Makes one. `heard[link]` is {bytes=, written=, closed=, open=}, `order` a
-- list of {link, bytes}.
---@param net table  see spec.support.network
---@param name string
---@return table host  with dial(name) -> link, write(link, bytes), shut(link)
function host.new(net, name)
  local self = setmetatable({ todo = {}, heard = {}, order = {}, last = 0 },
    Host)
  local site = net.virtual:join { core = self, name = name,
    rate = 1, base = 0, local_base = 0, paused = false }
  function net.world.pause(_, node, paused) node.paused = paused end
  local function act(...)
    table.insert(self.todo, { ... })
    net.virtual:act(site)
  end
  function self.dial(peer)
    self.last = self.last + 1
    self.heard[self.last] = { bytes = "", written = 0 }
    act("dial", self.last, peer)
    return self.last
  end
  function self.write(link, bytes) act("write", link, bytes) end
  function self.shut(link) act("close", link) end
  return self
end

return host
