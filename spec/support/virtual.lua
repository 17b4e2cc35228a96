--- What lockstep's network is tried with: core nodes, or hosts that only write
-- down what they hear, in a world whose steps are taken in random order.
--
--    local rig = virtual.new { seed = 7 }
--    rig:node("a@h:1")
--    rig:connect()
--    rig:on("a@h:1", function() ... end)

local core = require "banyan.core"
local network = require "banyan.lockstep.network"
local outcome = require "spec.support.outcome"
local World = require "banyan.lockstep.world"

local MAX_STEPS = 1e6

local Rig = {}
Rig.__index = Rig

local virtual = {}

--- Makes a world with a network and no nodes.
---@param opts? table  seed; tame: every choice is the first; window
---@return table rig
function virtual.new(opts)
  opts = opts or {}
  local control = core.control { strategy = "random", idle_clock = true }
  if opts.tame then control:replay {} else control:begin(opts.seed or 1) end
  local world = World.new(control)
  local rig = setmetatable({ world = world, control = control, lives = {},
    chosen = 0 }, Rig)
  function world.choose(_, n)
    rig.chosen = rig.chosen + 1
    return World.choose(world, n)
  end
  function world.pause(_, node, paused)
    node.paused = paused
    if not node.is_host then World.pause(world, node, paused) end
  end
  function world.on_events(node, events)
    node.events = node.events or {}
    for _, event in ipairs(events) do table.insert(node.events, event) end
  end
  rig.net = network.new(world, opts)
  return rig
end

--- Starts a node.
---@param name string
---@param opts? table  for core.node
---@param direct? boolean
---@return table site
function Rig:node(name, opts, direct)
  local world, byte = self.world, 0
  self.lives[name] = (self.lives[name] or 0) + 1
  local settings = {
    name = name,
    incarnation = self.lives[name],
    secret = "secret",
    seed = #self.net.names + 1,
    events = true,
    entropy = function(n)
      byte = byte + 1
      return string.char(byte % 256):rep(n)
    end,
  }
  for key, value in pairs(opts or {}) do settings[key] = value end
  local node = world:add_node(core.node(settings), name)
  return self.net:join(node, direct)
end

--- Takes steps until `goal()` is true.
---@param goal fun(): boolean
function Rig:run(goal)
  for _ = 1, MAX_STEPS do
    if goal() then return end
    local how = self.world:run(self.control:steps() + 1)
    if how == "idle" and not goal() then
      error("everything waits for ever", 2)
    end
  end
  error("no end after " .. MAX_STEPS .. " steps", 2)
end

--- Takes steps for some time.
---@param ms integer
function Rig:run_for(ms)
  local over = false
  self.world:later(ms, "stop", function() over = true end)
  self:run(function() return over end)
end

--- Ends a node as network:crash does, for good.
function Rig:crash(name, how)
  local site = self.net.sites[name]
  self.net:crash(name, how)
  self.world:remove_node(site.node)
  site.core:close()
end

function Rig:close()
  self.world:close()
end

--- Runs `body` as a process of a node until it ends; raises its error.
function Rig:on(name, body)
  local result = {}
  self.net.sites[name].core:spawn(function() outcome.watch(result, body) end)
  self:run(function() return result.reason ~= nil end)
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
  for _, each in ipairs(self.net.sites[name].node.events or {}) do
    if each.event == event and (not peer or each.peer == peer) then
      list[#list + 1] = each
    end
  end
  return list
end

-- --- hosts that listen -------------------------------------------------------

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

--- A host that says what the spec has it say: `heard[link]` is {bytes=,
-- written=, closed=, open=}, `order` a list of {link, bytes}.
---@return table host  with dial(name) -> link, write(link, bytes), shut(link)
function Rig:host(name)
  local host = setmetatable({ todo = {}, heard = {}, order = {}, last = 0 },
    Host)
  local site = self.net:join { core = host, name = name, is_host = true,
    rate = 1, base = 0, local_base = 0, paused = false }
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
  self.world:run(2 ^ 53)
end

return virtual
