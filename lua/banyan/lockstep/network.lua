--- A virtual network: TCP between core nodes of one Lua state.
--
-- It is the driver of the nodes that joined it: it takes their actions (dial,
-- write, close) and gives them what arrived, at the steps and the times that
-- the world decides. Every other choice is drawn by world:choose, where 1 is
-- what a healthy network does.
--
--    net = network.new(world)
--    site = net:join(world:add_node(core_node, name))
--
-- A connection is two pipes (pipe.lua), each on the path between two names
-- (path.lua). Who has it on either side is in ends.lua: a link of the node, or
-- a stream of its transport (transport.lua). A site is one life of a node:
-- {net=, name=, node=, core=, transport= or nil, links = number -> link,
-- overdue = list of functions to be called when it goes on}. A name without a
-- site is that of a node that is down: its host refuses dials, or is dark, and
-- then nothing comes back at all.
--
-- What a node that joined as direct sends, or is sent, arrives at once, and its
-- paths have no faults.

local ends = require "banyan.lockstep.ends"
local Path = require "banyan.lockstep.path"
local pipe = require "banyan.lockstep.pipe"

local WINDOW = 65536

local Network = {}
Network.__index = Network

local network = {}

--- Makes a network without nodes, and has the world hand it the nodes'
-- actions.
---@param world table  see world.lua
---@param opts? table  window: bytes that are written before anybody reads,
---  65536 by default
---@return table network
function network.new(world, opts)
  local self = setmetatable({
    world = world,
    window = opts and opts.window or WINDOW,
    names = {},   -- of all that ever joined, but for direct ones
    direct = {},  -- name -> true
    sites = {},   -- name -> site, of those that are up
    dark = {},    -- name -> true: the host is without power
    paths = {},   -- from -> to -> path
    flaps = {},   -- list of {timer=, paths=}
    due = {},     -- direct pipes that have something to deliver
    depth = 0,
    moved_at = 0, -- when something was written last that is no heartbeat
  }, Network)
  function world.on_actions(node)
    local site = self.sites[node.name]
    if site and site.node == node then self:act(site) end
  end
  return self
end

-- --- nodes -------------------------------------------------------------------

--- A node that the world has joins the network.
---@param node table  what world:add_node answered
---@param direct? boolean  what it sends and is sent arrives at once
---@return table site
function Network:join(node, direct)
  local name = node.name
  local site = {
    net = self, name = name, node = node, core = node.core, links = {},
    overdue = {},
  }
  self.sites[name], self.dark[name] = site, nil
  if direct then
    self.direct[name] = true
  elseif not self.paths[name] then
    table.insert(self.names, name)
  end
  self.paths[name] = self.paths[name] or {}
  return site
end

--- The path between two names.
function Network:path(from, to)
  local row = self.paths[from]
  if not row then
    row = {}
    self.paths[from] = row
  end
  if not row[to] then
    local direct = self.direct[from] or self.direct[to]
    row[to] = Path.new(self, from, to, direct)
    row[to].cut = not direct and self.divides ~= nil
      and self.divides(from, to)
    row[to]:refresh()
  end
  return row[to]
end

--- Calls fn(path) for all paths between nodes that are not direct.
function Network:each_path(fn)
  for _, from in ipairs(self.names) do
    for _, to in ipairs(self.names) do
      if from ~= to then fn(self:path(from, to)) end
    end
  end
end

-- All names a node may have a connection with, in a fixed order.
local function others(self, name)
  local list = {}
  for _, other in ipairs(self.names) do
    if other ~= name then list[#list + 1] = other end
  end
  local direct = {}
  for other in pairs(self.direct) do direct[#direct + 1] = other end
  table.sort(direct)
  for _, other in ipairs(direct) do list[#list + 1] = other end
  return list
end

--- Calls fn(pipe) for each pipe that leads to a node.
function Network:each_inward(name, fn)
  for _, other in ipairs(others(self, name)) do
    self:path(other, name):each(fn)
  end
end

--- Is the host of that name without power?
function Network:is_dark(name)
  return self.dark[name]
end

-- --- connections -------------------------------------------------------------

--- A site dials a name.
---@param site table
---@param name string
---@param link table  who has its side, see ends.lua
function Network:dial(site, name, link)
  local out = pipe.pair(self, self:path(site.name, name),
    self:path(name, site.name), { site = site })
  ends.hold(out, link)
  out.opening = true
  out:push(pipe.OPEN)
end

-- The node takes a connection that came in.
local function accept(self, out)
  local to = out.to
  out.opening = nil
  if self.sites[to.site.name] ~= to.site or not ends.accept(out.back) then
    return out.back:push(pipe.RESET)
  end
  return self:act(to.site)
end

-- A dial arrives where its name leads.
local function arrive(self, out)
  local name = out.path.to
  local site = self.sites[name]
  if site then
    out.to.site = site
    out.back:push(pipe.CONNECTED)
    -- The host accepts for a paused node, which takes it when it goes on.
    if site.node.paused then return out:put_back(pipe.ACCEPT) end
    return accept(self, out)
  end
  out.opening = nil
  if self.dark[name] and not out.path.direct then
    out:vanish(false)
  else
    out.back:push(pipe.REFUSED)
  end
  out:retire()
end

-- Reports the end of a connection to one side.
local function report_end(self, inward, reason)
  local to = inward.to
  local site, link = to.site, to.link
  if not link then return inward:retire() end
  to.link = nil
  link:closed(reason)
  inward:retire()
  self:act(site)
end

--- A mark arrives; see pipe.lua.
---@param arrived table  the pipe
---@param mark table
function Network:mark(arrived, mark)
  if mark == pipe.OPEN then
    arrive(self, arrived)
  elseif mark == pipe.ACCEPT then
    accept(self, arrived)
  elseif mark == pipe.CONNECTED then
    local to = arrived.to
    if not to.link then return end
    to.link:connected()
    self:act(to.site)
  else
    report_end(self, arrived, mark.reason)
  end
end

-- --- actions -----------------------------------------------------------------

-- Delivers what direct pipes have, and what follows from it.
local function drain(self)
  local due = self.due
  while due[1] do
    local first = table.remove(due, 1)
    first.soon = nil
    if first:is_ready() then first:deliver() end
  end
  if self.draining then
    self.world:withdraw(self.draining)
    self.draining = nil
  end
end

--- A direct pipe has something: it is delivered with the step that is under
-- way, or in one of its own if a process caused it.
function Network:soon(direct)
  if direct.soon then return end
  direct.soon = true
  table.insert(self.due, direct)
  if self.depth > 0 or self.draining then return end
  self.draining = self.world:offer(direct.name, direct.actor, direct.object,
    function()
      self.draining = nil
      drain(self)
    end)
end

-- Carries out the actions of a node.
local function carry_out(self, site)
  local core, links = site.core, site.links
  self.depth = self.depth + 1
  while true do
    local what, link, more = core:action()
    if not what then break end
    if what == "write" then
      if links[link] then links[link].out:write(more) end
    elseif what == "dial" then
      self:dial(site, more, ends.link(site, link))
    elseif links[link] then
      ends.close(links[link])
    end
  end
  if self.depth == 1 then drain(self) end
  self.depth = self.depth - 1
end

--- Carries out the actions of a node. To be called after each input to it,
-- which occupies a slow node for a while.
function Network:act(site)
  carry_out(self, site)
  if site.slow and not site.rest then self:rest(site) end
end

-- --- faults of nodes ---------------------------------------------------------

-- Ends one connection of a node that died.
local function end_connection_of_dead(inward, how)
  local out = inward.back
  inward.to.link = nil
  if how == "kill" or inward.path.direct then
    out:cut()
  elseif how == "vanish" then
    out:vanish(false)
  else
    out:lose(out.world:choose(2) == 1 and out.tail - out.head + 1 or 0)
  end
  inward:schedule()
  out:retire()
end

--- A node dies; what it has not sent is lost. The caller closes its core
-- and takes it from the world.
---@param name string
---@param how string  "kill": its host lives on, closes its connections, and
---  refuses dials; "power": its host dies too, is silent until the node is
---  back, and then resets connections that it does not know; "vanish": its
---  connections stay silent even then
function Network:crash(name, how)
  local site = self.sites[name]
  self.sites[name] = nil
  self.dark[name] = how ~= "kill" or nil
  if site.resuming then self.world:withdraw(site.resuming) end
  if site.rest then self.world:cancel(site.rest) end
  site.node.paused = false
  self:each_inward(name, function(inward)
    if inward.to.site == site then end_connection_of_dead(inward, how) end
  end)
end

local function stand_still(self, site)
  self.world:pause(site.node, true)
  self:each_inward(site.name, function(inward)
    inward:hold()
    inward:schedule()
  end)
end

--- A node gets no time, as after SIGSTOP: its host still takes connections and
-- bytes, as many as fit.
function Network:pause(name)
  local site = self.sites[name]
  if site.resuming then
    self.world:withdraw(site.resuming)
    site.resuming = nil
  end
  site.stopped = true
  stand_still(self, site)
end

-- An event loop reads before it fires timers, or it would take a pause of its
-- own for the silence of others; but what it reads may be late.
local function wake(self, site)
  site.resuming, site.stopped = nil, nil
  if site.rest then return end
  self.world:pause(site.node, false)
  local reads_first = self.world:choose(4) < 4
  self:each_inward(site.name, function(inward)
    inward:hold()
    while (reads_first or inward.path.direct) and inward:has_arrived() do
      inward:deliver()
      inward:hold()
    end
    inward:schedule()
  end)
  ends.go_on(site)
  carry_out(self, site)
end

--- A paused node goes on, in a step of its own.
function Network:resume(name)
  local site = self.sites[name]
  if not site.stopped or site.resuming then return end
  local actor = self.world:actor(name)
  site.resuming = self.world:offer("resume " .. name, actor, actor, function()
    wake(self, site)
  end)
end

-- A slow node has done something: for a while it does nothing else.
function Network:rest(site)
  stand_still(self, site)
  site.rest = self.world:later(site.slow, site.name .. " goes on", function()
    site.rest = nil
    if site.stopped then return end
    self.world:pause(site.node, false)
    self:each_inward(site.name, function(inward) inward:schedule() end)
    ends.go_on(site)
    carry_out(self, site)
  end)
end

--- A node is slow: what comes after each thing that it does is late.
---@param ms integer|nil  for each step and each input; nil: no time
function Network:slow(name, ms)
  self.sites[name].slow = ms
end

--- A node reads so slowly that the others' queues fill.
---@param rate number|nil  bytes per millisecond from each connection; nil: all
---  that comes
function Network:slow_reader(name, rate)
  self.sites[name].read_rate = rate
  if rate then return end
  self:each_inward(name, function(inward) inward.free_at = 0 end)
end

--- How fast a node's clock runs.
---@param rate number  1 is right
function Network:set_clock(name, rate)
  self.world:set_rate(self.sites[name].node, rate)
end

-- --- faults of links ---------------------------------------------------------

--- Cuts the paths for which `divides(from, to)` is true, opens all others; nil
-- opens all.
---@param divides nil|fun(from: string, to: string): boolean
function Network:divide(divides)
  self.divides = divides
  self:each_path(function(path)
    path.cut = divides ~= nil and divides(path.from, path.to) or false
    path:refresh()
  end)
end

--- Sets the latency, jitter and loss of one path.
---@param from string
---@param to string
---@param opts table  latency, jitter: ms; loss: 0..1. Others stay as they are
function Network:set_link(from, to, opts)
  local path = self:path(from, to)
  for _, key in ipairs { "latency", "jitter", "loss" } do
    if opts[key] then path[key] = opts[key] end
  end
  path:refresh()
end

--- Breaks the connections between two nodes: each gets the end, after all or a
-- part of what was on its way.
function Network:cut(a, b)
  self:path(a, b):each(function(out)
    out:cut()
    out.back:cut()
  end)
end

--- Loses the connections between two nodes; neither gets an end.
---@param answered boolean  one that writes gets a reset
function Network:half_open(a, b, answered)
  self:path(a, b):each(function(out) out:vanish(answered) end)
end

--- The paths between two nodes are dark now and again.
---@param up integer  ms for which they are open
---@param down integer  ms for which they are not
---@return table flap
function Network:flap(a, b, up, down)
  local flap = { paths = { self:path(a, b), self:path(b, a) }, dark = false }
  local name = ("flap %s - %s"):format(a, b)
  local function turn()
    flap.dark = not flap.dark
    for _, path in ipairs(flap.paths) do
      path.dark = flap.dark
      path:refresh()
    end
    flap.timer = self.world:later(flap.dark and down or up, name, turn)
  end
  flap.timer = self.world:later(up, name, turn)
  table.insert(self.flaps, flap)
  return flap
end

--- Ends one flap.
function Network:steady(flap)
  for i, each in ipairs(self.flaps) do
    if each == flap then table.remove(self.flaps, i) end
  end
  self.world:cancel(flap.timer)
  for _, path in ipairs(flap.paths) do
    path.dark = false
    path:refresh()
  end
end

--- Ends all faults of links. Connections that were blocked go on or are lost.
function Network:heal()
  while self.flaps[1] do self:steady(self.flaps[1]) end
  self.divides = nil
  self:each_path(Path.mend)
end

-- --- looking -----------------------------------------------------------------

--- Is there a connection between two nodes that are up, and does what `a` sends
-- over it reach `b`?
---@return boolean
function Network:is_joined(a, b)
  local path, sites, joined = self:path(a, b), self.sites, false
  if path.blocked then return false end
  path:each(function(out)
    local from, to = out.from, out.to
    joined = joined or not out.lost and from.link ~= nil and to.link ~= nil
      and from.site == sites[a] and to.site == sites[b]
  end)
  return joined
end

--- Is anything on its way but heartbeats?
---@return boolean
function Network:is_moving()
  local moving = false
  self:each_path(function(path)
    path:each(function(out) moving = moving or out:is_moving() end)
  end)
  return moving
end

return network
