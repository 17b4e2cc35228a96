--- A cluster on a virtual network, for the body of a lockstep run.
--
--    local cluster = lockstep.cluster { nodes = 3 }
--    local a, b, c = unpack(cluster.nodes)
--    local pid = cluster:spawn(a, function() ... end)
--    cluster:partition({ a }, { b, c })
--    cluster:heal()
--    assert(cluster:settle())
--
-- The nodes are the real core. The body runs on a hidden node of its own, so
-- it may talk to their processes and is not one of them: its link to each is
-- never faulted, and loses nothing but what dies with the node.
--
-- All of this is for the body, and for processes that it has spawned on its
-- own node; a fault takes effect when it is asked for.

local core = require "banyan.core"
local chaos = require "banyan.lockstep.chaos"
local network = require "banyan.lockstep.network"
local options = require "banyan.options"
local transport = require "banyan.lockstep.transport"

local POLL_MS = 50       -- how often settle looks
local REST_DOWNS = 4     -- the world is at rest after so many down_after_ms
local REST_MS = 200      -- nothing but heartbeats for so long: at rest
local SETTLE_MS = 60000
local SEEDS = 2147483646 -- of the generator below
local SECRET = "lockstep"
local BODY = "body@lockstep:1"

---@class banyan.Cluster
---@field nodes string[]  the names of its nodes
local Cluster = {}
Cluster.__index = Cluster
Cluster.__name = "cluster"

local cluster = {}

-- --- what is misuse ----------------------------------------------------------

local here = debug.getinfo(1, "S").source

-- Points at whoever called this module.
local function misuse(what, why, ...)
  local level = 2
  while true do
    local info = debug.getinfo(level, "S")
    if not info or info.source ~= here then break end
    level = level + 1
  end
  error(("cluster:%s: "):format(what) .. why:format(...), level)
end

local function show(value)
  return type(value) == "string" and ("%q"):format(value)
    or type(value) == "number" and tostring(value) or "a " .. type(value)
end

-- Is this called as a method, by a process of the body's node?
local function check_self(self, what)
  if getmetatable(self) ~= Cluster then
    misuse(what, "call it as a method, cluster:%s(...)", what)
  end
  local running, name = pcall(core.node_name)
  if not running or name ~= self.world.body.name then
    misuse(what, "only the body, and processes on its node, may call it")
  end
end

local function check_node(self, what, argument, name)
  for _, known in ipairs(self.nodes) do
    if name == known then return name end
  end
  misuse(what, "%s must be a node of this cluster (%s), got %s", argument,
    table.concat(self.nodes, ", "), show(name))
end

-- The site of a node that must be up.
local function check_up(self, what, argument, name)
  check_node(self, what, argument, name)
  local site = self.net.sites[name]
  if not site then
    misuse(what, "%s: node %s is down; cluster:restart starts it again",
      argument, name)
  end
  return site
end

local function check_number(what, argument, value, least, most)
  if type(value) == "number" and value >= least and value <= most then
    return value
  end
  misuse(what, "%s must be a number from %s to %s, got %s", argument, least,
    most, show(value))
end

-- Nodes, given as a name or as a list of names.
local function check_names(self, what, argument, value)
  if type(value) ~= "table" then value = { value } end
  if #value == 0 then misuse(what, "%s must not be empty", argument) end
  for _, name in ipairs(value) do check_node(self, what, argument, name) end
  return value
end

-- --- nodes -------------------------------------------------------------------

-- Bytes and seeds of one life, from one entry of the tape: Park and Miller's
-- generator.
local function generator(seed)
  return function(n)
    seed = seed * 16807 % 2147483647
    return seed % n
  end
end

local function entropy_from(random)
  return function(n)
    local bytes = {}
    for i = 1, n do bytes[i] = string.char(random(256)) end
    return table.concat(bytes)
  end
end

-- Is that another node of the same cluster?
local function belongs(self, name, other)
  return name ~= other and self.part_of[name] == self.part_of[other]
end

-- Has a node dial all others for good, as the option "connect" does. A first
-- try may fail, for the dials of the others are under way too.
local function dial_others(self, site)
  local waiting = {}
  for _, name in ipairs(self.nodes) do
    if belongs(self, site.name, name) then waiting[#waiting + 1] = name end
  end
  for _, name in ipairs(waiting) do
    site.core:spawn(function() core.connect(name, math.huge) end)
  end
end

-- Starts a node, which knows only the names of the others.
local function start_node(self, name)
  local random = generator(self.seed or self.world:choose(SEEDS))
  local entropy = entropy_from(random)
  if self.seed then self.seed = self.seed * 48271 % 2147483647 end
  self.lives[name] = (self.lives[name] or 0) + 1
  local settings = {
    name = name,
    incarnation = self.lives[name],
    secret = SECRET,
    seed = random(SEEDS),
    entropy = entropy,
    events = self.world.on_events ~= nil,
    listens = true,
  }
  for key, value in pairs(self.settings) do settings[key] = value end
  local made = core.node(settings)
  local site = self.net:join(self.world:add_node(made, name))
  transport.give(site, entropy)
  dial_others(self, site)
end

-- Waits until the body may talk to a node.
local function reach(name)
  repeat until core.connect(name, math.huge)
end

--- Writes a line into the trace: something was done to the cluster. Returns
-- nothing; does not yield.
---@param text string
function Cluster:note(text)
  self.world:note(text)
  if self.did then
    table.insert(self.did, ("%d ms: %s"):format(self.world.now, text))
  end
end

--- Calls fn, which may yield; answers all that was noted meanwhile.
---@param fn fun()
---@return string[] did
function Cluster:record(fn)
  local did = {}
  self.did = did
  fn()
  self.did = nil
  return did
end

--- Is a node up? One that is paused is. Does not yield.
---@param node string
---@return boolean
function Cluster:is_up(node)
  check_self(self, "is_up")
  return self.net.sites[check_node(self, "is_up", "node", node)] ~= nil
end

--- Starts a process on a node. Does not yield.
---@param node string  an error if it is down
---@param fn function
---@param ... any  its arguments, copied like messages
---@return banyan.Pid pid  it may exchange messages with the body, be called,
---  linked and monitored
function Cluster:spawn(node, fn, ...)
  check_self(self, "spawn")
  local site = check_up(self, "spawn", "node", node)
  if type(fn) ~= "function" then
    misuse("spawn", "fn must be a function, got %s", show(fn))
  end
  return site.core:spawn(fn, ...)
end

local deaths = { "kill", "power", "vanish" }

--- Ends a node at once, as SIGKILL or a loss of power do. Its processes are
-- gone, and what it has not sent is lost. Those that have links to them or
-- monitor them get "noconnection": the body at once, other nodes when they
-- notice. May yield.
---@param node string  an error if it is down
---@param how? string  "kill": its host closes its connections; "power": its
---  host is silent until the node is back, and resets them then; "vanish":
---  it is silent about them for good. By default the tape says
---@return true
function Cluster:crash(node, how)
  check_self(self, "crash")
  local site = check_up(self, "crash", "node", node)
  if how ~= nil and how ~= "kill" and how ~= "power" and how ~= "vanish" then
    misuse("crash", 'how must be "kill", "power" or "vanish", got %s',
      show(how))
  end
  how = how or deaths[self.world:choose(#deaths)]
  self:note(("crash %s (%s)"):format(node, how))
  self.net:crash(node, how)
  self.world:crash_node(site.node)
  core.disconnect(node)
  return true
end

--- Starts a node again under its old name, with a greater incarnation and
-- nothing remembered; it dials the others. One that is up is killed first.
-- Yields until the body may talk to it.
---@param node string
---@return true
function Cluster:restart(node)
  check_self(self, "restart")
  if self.net.sites[check_node(self, "restart", "node", node)] then
    self:crash(node, "kill")
  end
  self:note("restart " .. node)
  start_node(self, node)
  reach(node)
  return true
end

--- Gives a node no time, as SIGSTOP does. Its clock goes on. Does not yield.
---@param node string  an error if it is down
---@return true
function Cluster:pause(node)
  check_self(self, "pause")
  check_up(self, "pause", "node", node)
  self:note("pause " .. node)
  self.net:pause(node)
  return true
end

--- Has a paused node go on. Does not yield.
---@param node string  an error if it is down
---@return true
function Cluster:resume(node)
  check_self(self, "resume")
  check_up(self, "resume", "node", node)
  self:note("resume " .. node)
  self.net:resume(node)
  return true
end

--- Makes a node slow: after each input it is busy for a while. Does not yield.
---@param node string  an error if it is down
---@param ms integer  milliseconds; 0: it is fast again
---@return true
function Cluster:slow(node, ms)
  check_self(self, "slow")
  check_up(self, "slow", "node", node)
  check_number("slow", "ms", ms, 0, 1e6)
  self:note(("slow %s by %d ms"):format(node, ms))
  self.net:slow(node, ms > 0 and math.ceil(ms) or nil)
  return true
end

--- Has a node read its connections slowly, so that the queues of the others
-- fill and who sends to it waits. Does not yield.
---@param node string  an error if it is down
---@param rate number|nil  bytes per millisecond and connection; nil: as fast
---  as they come
---@return true
function Cluster:slow_reader(node, rate)
  check_self(self, "slow_reader")
  check_up(self, "slow_reader", "node", node)
  if rate ~= nil then
    check_number("slow_reader", "rate", rate, 0.001, 1e9)
  end
  self:note(rate and ("%s reads %s bytes/ms"):format(node, rate)
    or ("%s reads fast"):format(node))
  self.net:slow_reader(node, rate)
  return true
end

--- Sets how fast a node's clock runs. Does not yield.
---@param node string  an error if it is down
---@param rate number  1 is right, 2 twice as fast
---@return true
function Cluster:set_clock(node, rate)
  check_self(self, "set_clock")
  check_up(self, "set_clock", "node", node)
  check_number("set_clock", "rate", rate, 0.001, 1000)
  self:note(("clock of %s: %s"):format(node, rate))
  self.net:set_clock(node, rate)
  return true
end

-- --- links -------------------------------------------------------------------

-- name -> number of its group. Who is in none is in the last.
local function groups_of(self, what, ...)
  local group = {}
  for i = 1, select("#", ...) do
    local argument = "group " .. i
    local names = check_names(self, what, argument, (select(i, ...)))
    for _, name in ipairs(names) do
      if group[name] then
        misuse(what, "%s: node %s is in two groups", argument, name)
      end
      group[name] = i
    end
  end
  for _, name in ipairs(self.nodes) do group[name] = group[name] or 0 end
  return group
end

local function divide(self, group)
  self.net:divide(function(from, to) return group[from] ~= group[to] end)
end

local function show_groups(...)
  local shown = {}
  for i = 1, select("#", ...) do
    local names = select(i, ...)
    shown[i] = type(names) == "table" and table.concat(names, " ") or names
  end
  return table.concat(shown, " | ")
end

--- Divides the network: nothing gets from one group to another. It replaces
-- what partition, isolate and bridge did before. Does not yield.
---@param ... string[]  a list of names for each group; nodes that are in none
---  are one more
---@return true
function Cluster:partition(...)
  check_self(self, "partition")
  if select("#", ...) == 0 then
    misuse("partition", "at least one group (a list of names) expected")
  end
  local group = groups_of(self, "partition", ...)
  self:note("partition " .. show_groups(...))
  divide(self, group)
  return true
end

--- Divides one node from all others. Does not yield.
---@param node string
---@return true
function Cluster:isolate(node)
  check_self(self, "isolate")
  local group = groups_of(self, "isolate",
    { check_node(self, "isolate", "node", node) })
  self:note("isolate " .. node)
  divide(self, group)
  return true
end

--- Divides `a` from `c`, while `b` reaches both. Does not yield.
---@param a string|string[]
---@param b string|string[]
---@param c string|string[]
---@return true
function Cluster:bridge(a, b, c)
  check_self(self, "bridge")
  local group = groups_of(self, "bridge", a, b, c)
  self:note("bridge " .. show_groups(a, b, c))
  self.net:divide(function(from, to)
    return group[from] == 1 and group[to] == 3
      or group[from] == 3 and group[to] == 1
  end)
  return true
end

-- Two different nodes.
local function check_pair(self, what, first, a, second, b)
  check_node(self, what, first, a)
  check_node(self, what, second, b)
  if a == b then misuse(what, "%s and %s are the same node", first, second) end
end

local ms = {
  "an integer from 0 (milliseconds)",
  function(value)
    return type(value) == "number" and value % 1 == 0 and value >= 0
      and value < math.huge
  end,
}

local link_schema = {
  latency = ms,
  jitter = ms,
  loss = {
    "a number from 0 to 1",
    function(value)
      return type(value) == "number" and value >= 0 and value <= 1
    end,
  },
}

--- The options of Cluster:set_link.
---@class banyan.LinkOptions
---@field latency? integer  milliseconds
---@field jitter? integer  milliseconds, the most that is added to it
--- 0 to 1, what part of the packets is lost. TCP sends them again, so that they
--- come late; with 1 nothing comes at all.
---@field loss? number

--- Sets the path from one node to another; that in the other direction stays
-- as it is. Does not yield.
---@param from string
---@param to string
---@param opts banyan.LinkOptions  what is not given stays
---@return true
function Cluster:set_link(from, to, opts)
  check_self(self, "set_link")
  check_pair(self, "set_link", "from", from, "to", to)
  if opts == nil then misuse("set_link", "opts must be a table, got nil") end
  options.check("cluster:set_link", opts, link_schema)
  self:note(("link %s -> %s: latency %s, jitter %s, loss %s"):format(
    from, to, opts.latency or "as is", opts.jitter or "as is",
    opts.loss or "as is"))
  self.net:set_link(from, to, opts)
  return true
end

local flap_schema = { up = "ms", down = "ms" }

--- The options of Cluster:flap.
---@class banyan.FlapOptions
---@field up? integer  milliseconds (1000) that the paths are open
---@field down? integer  milliseconds (1000) that they are blocked

--- Blocks and opens the paths between two nodes in turn, until cluster:heal.
-- Does not yield.
---@param a string
---@param b string
---@param opts? banyan.FlapOptions
---@return table flap
function Cluster:flap(a, b, opts)
  check_self(self, "flap")
  check_pair(self, "flap", "a", a, "b", b)
  opts = options.check("cluster:flap", opts, flap_schema)
  local up, down = opts.up or 1000, opts.down or 1000
  self:note(("flap %s - %s: up %d, down %d"):format(a, b, up, down))
  return self.net:flap(a, b, up, down)
end

--- Breaks the connections between two nodes: each gets the end after all, or
-- only some, of what the other sent. Does not yield.
---@param a string
---@param b string
---@return true
function Cluster:cut(a, b)
  check_self(self, "cut")
  check_pair(self, "cut", "a", a, "b", b)
  self:note(("cut %s - %s"):format(a, b))
  self.net:cut(a, b)
  return true
end

--- Loses the connections between two nodes, so that each seems open to them.
-- New ones can be opened. Does not yield.
---@param a string
---@param b string
---@param answered? boolean  whoever writes gets a reset
---@return true
function Cluster:half_open(a, b, answered)
  check_self(self, "half_open")
  check_pair(self, "half_open", "a", a, "b", b)
  self:note(("half open %s - %s%s"):format(a, b,
    answered and ", answered" or ""))
  self.net:half_open(a, b, answered == true)
  return true
end

--- Ends all faults of links: what partition, isolate, bridge, set_link and flap
-- did. A connection that was blocked goes on, or is lost; the tape says. Does
-- not yield.
---@return true
function Cluster:heal()
  check_self(self, "heal")
  self:note "heal"
  self.net:heal()
  return true
end

-- --- views -------------------------------------------------------------------

-- The names of the nodes that run, or are about to.
local function running(self)
  local names = {}
  for _, name in ipairs(self.nodes) do
    local site = self.net.sites[name]
    if site and (site.resuming or not site.stopped) then
      names[#names + 1] = name
    end
  end
  return names
end

-- Does a node see all of `names` that belong to its cluster, and nobody else?
-- What it sees may be a life that is over, or be cut off by now, so there must
-- be a connection that works as well.
local function sees_all(self, name, names)
  local seen, found, count = self.net.sites[name].core:nodes(), {}, 0
  for _, other in ipairs(seen) do found[other] = true end
  for _, other in ipairs(names) do
    if belongs(self, name, other) then
      count = count + 1
      if not (found[other] and self.net:is_joined(name, other)) then
        return false
      end
    end
  end
  return #seen == count
end

local function is_whole(self, names)
  for _, name in ipairs(names) do
    if not sees_all(self, name, names) then return false end
  end
  return true
end

local function is_at_rest(self)
  return self.world.now - self.net.moved_at >= REST_MS
    and not self.net:is_moving()
end

--- Waits until all nodes that run (are neither down nor paused) see those of
-- their cluster and nobody else, and nothing but heartbeats moves between them.
-- Yields.
---@param limit? integer  ms of virtual time, 60000 by default
---@return true|nil
---@return string|nil err  "timeout"; cluster:views() tells who sees whom
function Cluster:settle(limit)
  check_self(self, "settle")
  limit = check_number("settle", "ms", limit or SETTLE_MS, 0, 2 ^ 52)
  local till = self.world.now + limit
  while not (is_whole(self, running(self)) and is_at_rest(self)) do
    if self.world.now >= till then return nil, "timeout" end
    core.sleep(POLL_MS)
  end
  return true
end

-- name -> true for all that a node sees.
local function view_of(site)
  local seen, view = site and site.core:nodes() or {}, {}
  for _, name in ipairs(seen) do view[name] = true end
  return view
end

-- Notes in the trace which node comes to see or loses which other: most often
-- that is no step of a process, but due to time or the network.
local function note_views(self)
  local known = {}
  for _, name in ipairs(self.nodes) do
    known[name] = view_of(self.net.sites[name])
  end
  function self.world.look()
    for _, name in ipairs(self.nodes) do
      local site = self.net.sites[name]
      local before, view = known[name], view_of(site)
      known[name] = view
      for _, other in ipairs(site and self.nodes or {}) do
        if view[other] ~= before[other] then
          self.world:note(("%s %s %s"):format(name,
            view[other] and "sees" or "loses", other))
        end
      end
    end
  end
end

--- Who sees whom. Does not yield.
---@return table<string, string[]|false> views  for each node what its
---  banyan.nodes() answers; false where it is down
function Cluster:views()
  check_self(self, "views")
  local views = {}
  for _, name in ipairs(self.nodes) do
    local site = self.net.sites[name]
    views[name] = site and site.core:nodes() or false
  end
  return views
end

--- The options of Cluster:chaos.
---@class banyan.ChaosOptions
---@field duration? integer  milliseconds (30000) of virtual time
---@field faults? string[]  names out of chaos.faults, by default all
--- Milliseconds (60000) of virtual time that the cluster may take to settle, or
--- an error is raised that says who sees whom.
---@field settle? integer

--- Mixes faults at random for a while, then ends them all and waits for the
-- cluster to settle; see chaos.lua. Yields.
---@param opts? banyan.ChaosOptions
---@return string[] did  what was done, in order
function Cluster:chaos(opts)
  check_self(self, "chaos")
  return chaos.run(self, chaos.check("cluster:chaos", opts, 2), core.sleep)
end

function Cluster:__tostring()
  local shown = {}
  for i, name in ipairs(self.nodes) do
    local site = self.net.sites[name]
    shown[i] = name .. (not site and " (down)"
      or site.stopped and " (paused)" or "")
  end
  return ("cluster<%s>"):format(table.concat(shown, ", "))
end

-- --- starting ----------------------------------------------------------------

-- Are these different names, and at least one? Those of `seen` are taken.
local function are_names(value, seen)
  if type(value) ~= "table" or #value == 0 then return false end
  for _, name in ipairs(value) do
    if type(name) ~= "string" or seen[name] then return false end
    seen[name] = true
  end
  return true
end

local function is_several(nodes)
  return type(nodes) == "table" and type(nodes[1]) == "table"
end

local schema = {
  nodes = {
    "a number of nodes above 0, a list of different names, or a list of such "
      .. "lists",
    function(value)
      if type(value) == "number" then
        return value % 1 == 0 and value > 0 and value <= 1000
      end
      local seen = {}
      if not is_several(value) then return are_names(value, seen) end
      for _, names in ipairs(value) do
        if not are_names(names, seen) then return false end
      end
      return true
    end,
  },
  seed = "positive",
  window = "positive",
  heartbeat_ms = "ms",
  down_after_ms = "ms",
  reconnect_ms = "ms",
  handshake_ms = "ms",
  max_message = "positive",
  max_queue = "positive",
}

local passed = {
  "heartbeat_ms", "down_after_ms", "reconnect_ms", "handshake_ms",
  "max_message", "max_queue",
}

-- The names of the nodes; and of each the number of the cluster that it is
-- part of.
local function names_of(nodes)
  local names, part_of = {}, {}
  if type(nodes) == "number" then
    local count = nodes
    nodes = {}
    for i = 1, count do nodes[i] = ("n%d@lockstep:1"):format(i) end
  end
  for part, list in ipairs(is_several(nodes) and nodes or { nodes }) do
    for _, name in ipairs(list) do
      names[#names + 1], part_of[name] = name, part
    end
  end
  return names, part_of
end

-- Until each sees all others.
local function join(self)
  for _, name in ipairs(self.nodes) do start_node(self, name) end
  for _, name in ipairs(self.nodes) do reach(name) end
  local pause = 1
  while not is_whole(self, self.nodes) do
    core.sleep(pause)
    pause = math.min(2 * pause, POLL_MS)
  end
end

-- How much time may pass while steps are pending: so little that no link is
-- taken for dead because its heartbeats wait for their steps.
local function patience_for(opts)
  local beat = opts.heartbeat_ms or core.defaults.heartbeat_ms
  local down = opts.down_after_ms or core.defaults.down_after_ms
  return math.max(1, math.floor((down - beat) / 4))
end

--- What the node of a body is made with, so that it can have a cluster.
---@return table settings  for core.node
function cluster.body_settings()
  local random = generator(1)
  return {
    name = BODY,
    incarnation = 1,
    secret = SECRET,
    hidden = true,
    quiet = true,
    seed = random(SEEDS),
    entropy = entropy_from(random),
  }
end

--- Makes a cluster whose nodes are connected to each other: what
-- lockstep.cluster does. Yields.
---@param world table  see world.lua; `world.body` is the node of the body
---@param opts? banyan.ClusterOptions
---@param level integer  whom misuse points at, as for error()
---@return banyan.Cluster cluster
function cluster.new(world, opts, level)
  if world.network then
    error("lockstep.cluster: this run has a cluster already", level + 1)
  end
  opts = options.check("lockstep.cluster", opts, schema, level + 1)
  local settings = {}
  for _, key in ipairs(passed) do settings[key] = opts[key] end
  local nodes, part_of = names_of(opts.nodes or 3)
  local self = setmetatable({
    world = world,
    net = network.new(world, { window = opts.window }),
    nodes = nodes,
    part_of = part_of,
    lives = {},
    seed = opts.seed,
    settings = settings,
  }, Cluster)
  world.network = self.net
  world.patience = patience_for(opts)
  local down_after = opts.down_after_ms or 0
  world.rest_ms = math.max(world.rest_ms, REST_DOWNS * down_after)
  transport.give(self.net:join(world.body, true), entropy_from(generator(1)))
  join(self)
  note_views(self)
  return self
end

return cluster
