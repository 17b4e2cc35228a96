--- Several nodes of one Lua state, joined by lockstep's virtual network.
--
--    local network = require "spec.support.network"
--    local net = network.new { seed = 7 }
--    net:node("a@h:1")
--    net:node("b@h:1")
--    net:on("a@h:1", function() assert(core.connect("b@h:1")) ... end)
--    net:close()
--
-- The seed decides in which order processes run and bytes arrive, and which
-- bytes still arrive when a connection breaks. Time passes only when nothing
-- else can happen, so waits cost no real time. Faults of the virtual network
-- are methods of `net.virtual`: see lua/banyan/lockstep/network.lua.

local core = require "banyan.core"
local outcome = require "spec.support.outcome"
local tcp = require "banyan.lockstep.network"
local World = require "banyan.lockstep.world"

local MAX_STEPS = 1e6
local FOREVER = 2 ^ 53

local Network = {}
Network.__index = Network

-- Name -> incarnation of the last node of that name, in all networks. Each must
-- be greater than the last, because ids of earlier nodes may still be in
-- memory.
local lives = {}

local network = {}

--- Makes a network without nodes.
---@param opts? table  seed: an integer; tame: every choice is the first;
---  window: bytes that are written before anybody reads
---@return table net
function network.new(opts)
  opts = opts or {}
  local control = core.control { strategy = "random", idle_clock = true }
  if opts.tame then control:replay {} else control:begin(opts.seed or 1) end
  local world = World.new(control)
  local self = setmetatable({
    world = world,
    control = control,
    events = {}, -- of all nodes, oldest first; each has the node's name at `at`
    chosen = 0,  -- how often the world was asked to choose
    healthy = false, -- true: at present every choice is the first
  }, Network)
  function world.choose(_, n)
    self.chosen = self.chosen + 1
    return self.healthy and 1 or World.choose(world, n)
  end
  function world.on_events(node, events) self:hear(node, events) end
  self.virtual = tcp.new(world, opts)
  return self
end

--- A number from 1 to n, determined by the seed.
function Network:random(n) return World.choose(self.world, n) end

-- --- nodes -------------------------------------------------------------------

--- Starts a node, with a greater incarnation than the last of that name.
---@param name string
---@param opts? table  for core.node
---@param direct? boolean  what it sends and receives arrives at once
---@return userdata node
function Network:node(name, opts, direct)
  lives[name] = (lives[name] or 0) + 1
  local byte = 0
  local settings = {
    name = name,
    incarnation = lives[name],
    secret = "secret",
    seed = #self.virtual.names + 1,
    events = true,
    listens = true,
    entropy = function(n)
      byte = byte + 1
      return string.char(byte % 256):rep(n)
    end,
  }
  for key, value in pairs(opts or {}) do settings[key] = value end
  local node = core.node(settings)
  self.virtual:join(self.world:add_node(node, name), direct)
  return node
end

--- The life of a node that is up: {name=, core=, node=}; see lockstep's
-- network.
function Network:find(name) return self.virtual.sites[name] end

--- Ends a node, as SIGKILL does: output that is not written is lost.
---@param name string
---@param how? string  see lockstep's network:crash; "kill" by default
function Network:kill(name, how)
  local site = self:find(name)
  self.virtual:crash(name, how or "kill")
  self.world:crash_node(site.node)
end

--- Ends all nodes.
function Network:close() self.world:close() end

-- --- faults ------------------------------------------------------------------

--- Breaks the connections between two nodes; both notice it.
function Network:cut(a, b)
  self.virtual:cut(a, b)
end

--- Holds the bytes from `from` to `to` in the network, or releases all of them.
-- Bytes beyond the window are not confirmed to the node that wrote them, and
-- new connections are held too.
function Network:hold(from, to, on)
  local path = self.virtual:path(from, to)
  path.cut, self.healthy = on, true
  path:refresh()
  self.healthy = false
end

-- --- driving -----------------------------------------------------------------

--- Takes steps until `goal()` is true. First it carries out the actions that
-- are left from calls of the spec itself.
---@param goal fun(): boolean
function Network:run(goal)
  for _, name in ipairs(self.virtual.names) do
    if self:find(name) then self.virtual:act(self:find(name)) end
  end
  for _ = 1, MAX_STEPS do
    if goal() then return end
    local how = self.world:run(self.control:steps() + 1)
    if how == "idle" and not goal() then
      error("everything waits for ever", 2)
    end
  end
  error("no end after " .. MAX_STEPS .. " steps", 2)
end

--- Takes steps for `ms` of virtual time, and then all that need no time.
---@param ms integer
function Network:pass(ms)
  local over = false
  self.world:later(ms, "stop", function() over = true end)
  self:run(function() return over end)
end

--- Takes steps until none can be taken, and lets no time pass.
function Network:settle() self:pass(0) end

--- Takes steps, and lets time pass, until nothing is left to do.
function Network:drain() self.world:run(FOREVER) end

--- Runs `body` as a process of a node until it ends. Its error is raised again
-- unchanged; so is the exit reason of its process.
---@param name string
---@param body function
function Network:on(name, body)
  local result = {}
  self:find(name).core:spawn(function() outcome.watch(result, body) end)
  self:run(function() return result.reason ~= nil end)
  outcome.check(result)
end

--- Connects all nodes with each other, and waits until they are connected.
function Network:connect()
  for i, from in ipairs(self.virtual.names) do
    for j = 1, i - 1 do
      self:on(from, function() assert(core.connect(self.virtual.names[j])) end)
    end
  end
end

-- --- looking -----------------------------------------------------------------

--- The time on a node's clock.
function Network:time(name) return self.world:time_of(self:find(name).node) end

-- Keeps a node's events.
function Network:hear(node, events)
  for _, event in ipairs(events or {}) do
    event.at = node.name
    table.insert(self.events, event)
  end
end

--- The events of that name so far: of the node `at`, or of all nodes; about
-- `peer`, or about any.
function Network:events_named(name, at, peer)
  local list = {}
  for _, site in pairs(self.virtual.sites) do
    self:hear(site.node, site.core:events())
  end
  for _, event in ipairs(self.events) do
    if event.event == name and (not at or event.at == at)
        and (not peer or event.peer == peer) then
      list[#list + 1] = event
    end
  end
  return list
end

--- How many events of that name there were so far.
function Network:count(name) return #self:events_named(name) end

--- How many connections there are between two nodes.
function Network:connections(a, b)
  local count = 0
  self.virtual:path(a, b):each(function() count = count + 1 end)
  return count
end

return network
