--- What lockstep's network is tried with: core nodes, or hosts that only write
-- down what they hear, in a fake world.
--
--    local rig = virtual.new { seed = 7 }
--    rig:node("a@h:1")
--    rig:connect()
--    rig:on("a@h:1", function() ... end)

local cluster = require "banyan.lockstep.cluster"
local core = require "banyan.core"
local fake = require "spec.support.fake_world"
local network = require "banyan.lockstep.network"
local outcome = require "spec.support.outcome"

local Rig = {}
Rig.__index = Rig

local virtual = {}

--- Makes a world with a network and no nodes.
---@param opts? table  seed, tame (see fake_world), window
---@return table rig
function virtual.new(opts)
  opts = opts or {}
  local world = fake.new(opts.seed or 1, opts.tame)
  local net = network.new(world, opts)
  return setmetatable({ world = world, net = net, lives = {} }, Rig)
end

--- Starts a node.
---@param name string
---@param opts? table  for core.node
---@param direct? boolean
---@return table site
function Rig:node(name, opts, direct)
  local world = self.world
  self.lives[name] = (self.lives[name] or 0) + 1
  local settings = {
    name = name,
    incarnation = self.lives[name],
    secret = "secret",
    seed = world:random(1e6),
    events = true,
    entropy = function(n)
      local bytes = {}
      for i = 1, n do bytes[i] = string.char(world:random(256) - 1) end
      return table.concat(bytes)
    end,
  }
  for key, value in pairs(opts or {}) do settings[key] = value end
  local node = world:add_node(core.node(settings), name)
  return self.net:join(node, direct)
end

--- Ends a node as network:crash does, for good.
function Rig:crash(name, how)
  local site = self.net.sites[name]
  self.net:crash(name, how)
  self.world:remove_node(site.node)
  site.core:close()
end

function Rig:close()
  for _, node in ipairs(self.world.nodes) do node.core:close() end
end

--- Runs `body` as a process of a node until it ends; raises its error.
function Rig:on(name, body)
  local result = {}
  self.net.sites[name].core:spawn(function() outcome.watch(result, body) end)
  self.world:run(function() return result.reason ~= nil end)
  outcome.check(result)
end

--- Has all nodes know each other, and waits until they are connected.
function Rig:connect()
  for i, from in ipairs(self.net.names) do
    for j = 1, i - 1 do
      self:on(from, function() assert(core.connect(self.net.names[j])) end)
    end
  end
end

--- The events of that name that a node has told, of all peers or of one.
function Rig:events(name, event, peer)
  local list = {}
  for _, each in ipairs(self.net.sites[name].node.events) do
    if each.event == event and (not peer or each.peer == peer) then
      list[#list + 1] = each
    end
  end
  return list
end

--- Runs body(cluster, world) as lockstep.run does, with a cluster that is made
-- of `opts`.
---@param world table  a fake world
---@param opts table|nil
---@param body function
function virtual.body(world, opts, body)
  local node = core.node(cluster.body_settings(world:random(1e6)))
  world.body = world:add_node(node, node:name())
  world.on_actions = function() end
  local result = {}
  node:spawn(function()
    outcome.watch(result, function() body(cluster.new(world, opts), world) end)
  end)
  local ok, err = pcall(world.run, world,
    function() return result.reason ~= nil end)
  for _, each in ipairs(world.nodes) do each.core:close() end
  if not ok then error(err, 0) end
  outcome.check(result)
end

-- --- hosts that listen -------------------------------------------------------

local Host = {}
Host.__index = Host

function Host:action()
  local act = table.remove(self.todo, 1)
  if act then return act[1], act[2], act[3] end
end

function Host.step() return nil end

function Host.events() return nil end

function Host.close() end

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

--- A host that says what the spec has it say: `heard[link]` is {bytes=,
-- written=, closed=, open=}, `order` a list of {link, bytes}.
---@return table host  with dial(name) -> link, write(link, bytes), shut(link)
function Rig:host(name)
  local host = setmetatable({ todo = {}, heard = {}, order = {}, last = 0 },
    Host)
  local site = self.net:join(self.world:add_node(host, name))
  local function act(...)
    table.insert(host.todo, { ... })
    self.net:act(site)
  end
  function host.dial(peer)
    host.last = host.last + 1
    host.heard[host.last] = { bytes = "", written = 0 }
    act("dial", host.last, peer)
    return host.last
  end
  function host.write(link, bytes) act("write", link, bytes) end
  function host.shut(link) act("close", link) end
  return host
end

--- Takes steps until nothing is left to do, however long it takes.
function Rig:drain()
  local world = self.world
  world:run(function() return not world.offers[1] and not world.timers[1] end)
end

return virtual
