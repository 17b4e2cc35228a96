--- A node with its driver: what banyan.start answers.
--
-- A driver (driver/NAME.lua) gives the C node the time and the bytes that came
-- in. It is a table with:
--
--   name                       as in the option `driver`
--   wall() -> ms               wall-clock time
--   entropy(n) -> string       random bytes
--   clock() -> ms              nil where the host passes the time to each call
--   files                      luv's functions on files, or nil; see secret.lua
--   by_hand                    true: the host steps the node and carries its
--                              bytes; otherwise the driver does
--   open(host) -> session      puts a node on the driver; see luv.lua

local core = require "banyan.core"
core.skip_in_errors()
local addresses = require "banyan.address"
local hosts = require "banyan.hosts"
local log = require "banyan.log"
local names = require "banyan.name"
local options = require "banyan.options"
local secrets = require "banyan.secret"
local tree = require "banyan.tree"
local workers = require "banyan.workers"

local M = {}

-- --- options -----------------------------------------------------------------

local drivers = {
  luv = "banyan.driver.luv",
  manual = "banyan.driver.manual",
}

-- The name, and the address or nil, of an entry of the option `connect`.
local function peer_of(entry)
  if type(entry) ~= "table" then return entry end
  return entry.name, entry.address
end

local function is_peers(value)
  if type(value) ~= "table" then return false end
  local count = 0
  for _ in pairs(value) do count = count + 1 end
  for i = 1, count do
    if type(peer_of(value[i])) ~= "string" then return false end
  end
  return true
end

local schema = {
  name = "string",
  listen = "string",
  address = {
    '"tcp://host:port", "unix:/path" or a list of both',
    function(value)
      return type(value) == "string" or type(value) == "table"
    end,
  },
  secret = "string",
  connect = { "a list of names, or of {name=, address=}", is_peers },
  hosts = "boolean",
  driver = "string",
  on_event = {
    "a function, or false for none",
    function(value) return type(value) == "function" or value == false end,
  },
  heartbeat_ms = "ms",
  down_after_ms = "ms",
  reconnect_ms = "ms",
  handshake_ms = "ms",
  max_message = "positive",
  max_queue = "positive",
  stop_ms = "timeout",
  workers = workers.count_kind,
  worker = workers.main_kind,
  preempt = {
    "true, false or a table",
    function(value)
      return type(value) == "boolean" or type(value) == "table"
    end,
  },
  collector = {
    '"incremental", "generational" or false',
    function(value)
      return value == "incremental" or value == "generational"
        or value == false
    end,
  },
}

local preempt_schema = { slice_ms = "ms", kill_after_ms = "ms" }
local SLICE_MS = 5 -- that a process may run before it is preempted
local LATEST = 2 ^ 53 -- the greatest time of a step, in ms: exact in a double

-- The options that the C node gets unchanged.
local passed = {
  "name", "heartbeat_ms", "down_after_ms", "reconnect_ms", "handshake_ms",
  "max_message", "max_queue",
}

local function misuse(what, why, level)
  error(("%s: %s"):format(what, why), level + 1)
end

local function find_driver(what, opts, level)
  local name = opts.driver or "luv"
  if drivers[name] then return require(drivers[name]) end
  local why = ("there is no driver %q; there are \"luv\" and \"manual\"")
    :format(name)
  if name == "openresty" then
    why = 'the driver "openresty" is not there yet; there are "luv" and '
      .. '"manual"'
  end
  misuse(what, "option \"driver\": " .. why, level + 1)
end

local STOP_MS = 30000 -- that an ordered stop may take

local function check_names(what, opts, level)
  if not opts.name then
    for _, option in ipairs { "listen", "connect", "address" } do
      if opts[option] then
        misuse(what, ("option %q needs the option \"name\": a node without "
          .. "a name has no links"):format(option), level + 1)
      end
    end
    return nil
  end
  local address, why = names.parse(opts.name)
  if not address then misuse(what, 'option "name": ' .. why, level + 1) end
  if opts.address then
    local fine, wrong = addresses.parse(opts.address)
    if not fine then misuse(what, 'option "address": ' .. wrong, level + 1) end
  end
  for i, entry in ipairs(opts.connect or {}) do
    local peer, told = peer_of(entry)
    local fine, wrong = names.parse(peer)
    if fine and told then fine, wrong = addresses.parse(told) end
    if not fine then
      misuse(what, ('option "connect", [%d]: %s'):format(i, wrong), level + 1)
    end
  end
  if opts.listen then
    address, why = names.address(opts.listen, address.port)
    if not address then misuse(what, 'option "listen": ' .. why, level + 1) end
  end
  return address
end

local function check_times(what, opts, level)
  local beat = opts.heartbeat_ms or core.defaults.heartbeat_ms
  local down = opts.down_after_ms or core.defaults.down_after_ms
  if down <= beat then
    misuse(what, ('option "down_after_ms" (%d) must be greater than '
      .. '"heartbeat_ms" (%d), or every silence is taken for death')
      :format(down, beat), level + 1)
  end
end

-- A slice is at most a second, so that a long one is not mistaken for a hung
-- node. A process is killed only after its first slice.
local function check_preempt(what, preempt, level)
  if type(preempt) ~= "table" then return end
  what = what .. ': option "preempt"'
  options.check(what, preempt, preempt_schema, level + 1)
  local slice = preempt.slice_ms or SLICE_MS
  if slice > 1000 then
    misuse(what, '"slice_ms" must not be greater than 1000', level + 1)
  end
  if preempt.kill_after_ms and preempt.kill_after_ms <= slice then
    misuse(what, ('"kill_after_ms" (%d) must be greater than "slice_ms" (%d)')
      :format(preempt.kill_after_ms, slice), level + 1)
  end
end

local function check(what, opts, level)
  opts = options.check(what, opts, schema, level + 1)
  local driver = find_driver(what, opts, level + 1)
  local address = check_names(what, opts, level + 1)
  check_times(what, opts, level + 1)
  check_preempt(what, opts.preempt, level + 1)
  workers.check(what, opts, level + 1)
  if opts.secret then
    local fine, why = secrets.check(opts.secret)
    if not fine then misuse(what, 'option "secret": ' .. why, level + 1) end
  end
  return opts, driver, address
end

-- --- events ------------------------------------------------------------------

local function to_stderr(text)
  pcall(io.stderr.write, io.stderr, text)
end

-- Passes events to `sink`. An error in it goes no further; the first one is
-- written on stderr.
local function protected(sink)
  local reported = false
  return function(event)
    local ok, why = pcall(sink, event)
    if ok or reported then return end
    reported = true
    to_stderr(("banyan: on_event raised an error (reported once): %s\n")
      :format(tostring(why)))
  end
end

-- What a session gets of its node: see Driver.open in driver/luv.lua.
local function make_host(node, sink)
  local emit = sink and protected(sink)
  function node.hand_out(events)
    for _, event in ipairs(emit and events or {}) do emit(event) end
  end
  local fallback = protected(log.text())
  local host = {
    core = node.core, listen = node.address, path = node.told.path,
  }
  function host.report(where, err)
    if node.silent then return end
    (emit or fallback) {
      event = "driver_error", node = node.label, time = core.clock(),
      where = where,
      reason = tostring(err),
    }
  end
  function host.dispatch()
    local events = emit and node.core and node.core:events()
    if events then node.hand_out(events) end
    if node.reason or node.stopping or not node.core
      or not node.core:has_lost_name() then
      return events ~= nil
    end
    node.reason = core.reason { "name_taken", node.label }
    node.on_name_lost()
    return true
  end
  return host
end

-- --- starting ----------------------------------------------------------------

-- A node that starts again must have a greater incarnation, also if it does so
-- within the same millisecond; and two programs that start under one name in
-- the same millisecond must have two. See BYN_INCARNATION_BITS.
local last_incarnation = 0
local LIVES = 1024 -- in a millisecond; 2^53 / LIVES ms are 278 years

local function next_incarnation(driver)
  local a, b = driver.entropy(2):byte(1, 2)
  local fresh = driver.wall() * LIVES + (a * 256 + b) % LIVES
  last_incarnation = math.max(fresh, last_incarnation + 1)
  return last_incarnation
end

local function next_seed(driver)
  local seed = 0
  for _, byte in ipairs { driver.entropy(6):byte(1, 6) } do
    seed = seed * 256 + byte
  end
  return seed
end

local function find_secret(opts, driver, address)
  if opts.secret then return opts.secret end
  return secrets.find(names.show(address), names.is_loopback(address.host),
    driver)
end

local function core_options(opts, driver, secret, events, told)
  local result = {
    incarnation = next_incarnation(driver),
    seed = next_seed(driver),
    entropy = driver.entropy,
    clock = driver.clock,
    driver = driver.name,
    secret = secret,
    events = events,
    listens = not driver.by_hand,
    address = told.text,
  }
  for _, key in ipairs(passed) do result[key] = opts[key] end
  return result
end

-- What nodes that this one starts are given to form a cluster with it: see
-- peer/options.lua.
local function link_options(opts, secret)
  local result = { secret = secret }
  for _, key in ipairs(passed) do result[key] = opts[key] end
  result.name = nil
  return result
end

--- A node, as banyan.start returns it. It is used from outside of processes.
---@class banyan.Node
local Node = {}
Node.__index = Node
Node.__name = "node"

-- Switches preemption on, if the option `preempt` says so.
local function start_preemption(node, preempt)
  if not preempt then return true end
  if preempt == true then preempt = {} end
  return node.core:preempt(preempt.slice_ms or SLICE_MS, preempt.kill_after_ms)
end

-- Sets the mode of Lua's collector and returns the mode before; nil if `mode`
-- is nil or false, or if this Lua has no modes.
local function set_collector(mode)
  if not mode then return nil end
  local known, before = pcall(collectgarbage, mode)
  return known and before or nil
end

-- The option `connect` without this node itself: all nodes may be given the
-- same list. But one that names nobody else is most often a mistake, and told
-- of.
local function other_peers(node, given)
  local peers = {}
  for _, entry in ipairs(given or {}) do
    local peer, told = peer_of(entry)
    if peer ~= node.label then
      peers[#peers + 1] = { name = peer, told = told and addresses.parse(told) }
    end
  end
  if #peers == 0 and given and #given > 0 then
    node.core:spawn(function()
      core.event("peer_unreachable", { peer = node.label, reason = "own_name" })
    end)
  end
  return peers
end

-- Connects to one of node.peers, as a process of the node. Yields.
local function connect_peer(peer, timeout)
  if peer.told then core.tell_address(peer.name, peer.told.text) end
  return core.connect(peer.name, timeout)
end

-- Starts to dial the peers. A program that must wait for one calls connect.
local function connect_all(node)
  for _, peer in ipairs(node.peers) do
    node.core:spawn(function() connect_peer(peer) end)
  end
end

M.connect_peer = connect_peer

-- Ends the node in order, and returns at once where the node is driven further,
-- or is to be: see Node:stop.
local function stop_in_order(node, may_wait)
  node.stopping = true
  local state = {}
  state.pid = node.core:spawn(function()
    tree.stop()
    state.done = true
  end)
  tree.limit(node.core, state, node.stop_ms)
  local function down()
    return not node.core or state.over or tree.is_over(node.core, state)
  end
  local function close() node:close() end
  if not may_wait or pcall(core.self) or node.session:is_inside() then
    node.ended_inside = true
    node.session:when(down, close)
  else
    node.session:pump(down)
    close()
  end
end

-- What an origin of workers has besides. `level`, `defaults`: as of M.start.
local function prepare_workers(what, opts, defaults, level)
  if not opts.workers then return opts end
  if not defaults then
    misuse(what, 'the option "workers" is for banyan.run', level + 1)
  end
  return workers.complete(opts)
end

--- Starts a node; see banyan.start.
---@param what string  the function whose options these are, for messages
---@param opts table|nil
---@param defaults table|nil  on_event, preempt, collector: used where the
---  options have none. With it the caller connects the peers itself
---@param level integer  the function that misuse errors point at, as for
---  options.check
---@return banyan.Node|nil node
---@return string|nil err
function M.start(what, opts, defaults, level)
  local driver, address, secret, why, held
  opts, driver, address = check(what, opts, level + 1)
  opts, why, held = prepare_workers(what, opts, defaults, level + 1)
  if not opts then return nil, why end
  if opts.name then
    address = address or names.parse(opts.name)
    secret, why = find_secret(opts, driver, address)
    if not secret then
      workers.release(held)
      return nil, why
    end
  end
  local function option(name)
    if opts[name] ~= nil then return opts[name] end
    return defaults and defaults[name]
  end
  local sink = option "on_event"
  local told = opts.address and addresses.parse(opts.address) or {}
  local node = setmetatable({
    core = core.node(core_options(opts, driver, secret, sink and true, told)),
    address = address,
    told = told,
    workers = opts.workers and opts,
    label = opts.name,
    by_hand = driver.by_hand,
    stop_ms = opts.stop_ms or STOP_MS,
    silent = sink == false,
  }, Node)
  hosts.begin(node.core, opts.hosts)
  node.core:kept().link_options = link_options(opts, secret)
  function node.on_name_lost() stop_in_order(node, false) end
  local started
  started, why = start_preemption(node, option "preempt")
  if started then
    node.session, why = driver.open(make_host(node, sink or nil))
  end
  workers.release(held)
  if not node.session then
    node.core:close()
    return nil, why
  end
  node.collector = set_collector(option "collector")
  node.peers = other_peers(node, opts.connect)
  if not defaults then connect_all(node) end
  return node
end

-- --- the methods of a node ---------------------------------------------------

local function alive(node)
  return node.core or error("the node has been stopped", 3)
end

-- The loop may be in a turn of another node of this program: then it would not
-- see that there is something to do for this one.
local function waking(node, ...)
  node.session:wake()
  return ...
end

-- Stands for a node that has stopped itself: its host may not know it yet.
local ended = setmetatable({}, {
  __index = function() return function() end end,
})

local function by_hand(node, method)
  if not node.by_hand then
    error(("node:%s is for driver = \"manual\"; this node is driven already")
      :format(method), 3)
  end
  if node.reason and not node.core then return ended end
  return alive(node)
end

--- The name of the node. Does not yield.
---@return string|nil name  nil for a node that is not distributed
function Node:name()
  return self.label
end

function Node:__tostring()
  local state = self.core and "" or " (stopped)"
  return ("node<%s>%s"):format(self.label or "without a name", state)
end

--- Is it running? A node stops itself if its name belongs to another node: see
-- docs/host.md. Does not yield.
---@return "running"|"stopping"|"stopped" state
---@return table|nil reason  {"name_taken", name} if it has stopped itself, or
---  is about to
function Node:state()
  local state = not self.core and "stopped"
    or (self.stopping or self.closing) and "stopping" or "running"
  return state, self.reason
end

--- Starts a process on the node, from outside of any process. Does not yield.
---@param fn function
---@param ... any  its arguments, copied like messages
---@return banyan.Pid pid  an error if the node has been stopped
function Node:spawn(fn, ...)
  return waking(self, alive(self):spawn(fn, ...))
end

--- Sends a message from outside of any process. Does not yield.
---@param dest banyan.Pid|string|table  as for banyan.send
---@param message any  copied
---@return true|nil ok  an error if the node has been stopped
---@return string|nil err  "noproc": no process has that name; "noconnection":
---  `dest` is a name on a node that is not connected
function Node:send(dest, message)
  return waking(self, alive(self):send(dest, message))
end

--- One step of a node with the driver "manual": fires the timers that are due,
-- runs a bounded number of ready processes, and passes events to on_event. Does
-- not yield; a process must not call it.
---@param now integer  milliseconds on the host's own clock; never goes back
---@return integer|nil deadline  when to call again at the latest; not later
---  than `now` if there is more to do; nil if there is nothing to do before the
---  next input
---@return table|nil reason  {"name_taken", name}: the node has stopped itself
function Node:step(now)
  if self.ended_inside and not self.core then return nil, self.reason end
  if by_hand(self, "step") == ended then return nil, self.reason end
  if type(now) ~= "number" or now % 1 ~= 0
    or now < -LATEST or now > LATEST then
    error("node:step: now must be an integer (milliseconds)", 2)
  end
  return self.session:step(now)
end

-- With the driver "manual", the host of a node that has a name carries the
-- bytes of its links. It must call `action` until that returns nil, after each
-- step and after each of the functions that follow it here.

--- The next thing that the host has to do for a link. Does not yield.
---@return "dial"|"write"|"close"|nil what  nil: nothing at present
---@return integer|nil link  the number of a connection
---@return string|nil text  dial: the peer's name; write: the bytes
---@return string|nil address  dial: where it can be reached besides, as it or
---  another node has said: "tcp://host:port", "unix:/path", or both with a
---  blank between; the host need not know of it
---@return string|nil own  dial with an address: a refusal is taken for the end
---  of the node, so it is to be reported only of the address over TCP in this
---  text, or of what the name says if it has none
---@return boolean|nil doubted  dial with an address: somebody else may be there
function Node:action()
  return by_hand(self, "action"):action()
end

--- Reports a connection that came in. Does not yield.
---@param now integer  milliseconds, as for step
---@param address? string  where it comes from, for events
---@return integer|nil link
---@return string|nil err  "shutdown", "no_entropy", "out_of_memory": close it
function Node:accepted(now, address)
  return by_hand(self, "accepted"):accepted(now, address)
end

--- Reports that the connection of a dial is open. Does not yield, returns
-- nothing.
---@param link integer
---@param now integer  milliseconds
---@param address? string  where it was reached, if not as the name says
function Node:connected(link, now, address)
  by_hand(self, "connected"):connected(link, now, address)
end

--- Passes on bytes that came in. Does not yield, returns nothing.
---@param link integer
---@param bytes string
---@param now integer  milliseconds
function Node:received(link, bytes, now)
  by_hand(self, "received"):received(link, bytes, now)
end

--- Reports that `n` more of the bytes of "write" are written. Does not yield,
-- returns nothing.
---@param link integer
---@param n integer
---@param now integer  milliseconds
function Node:written(link, n, now)
  by_hand(self, "written"):written(link, n, now)
end

--- Reports that a connection is closed, or that a dial failed. Does not yield,
-- returns nothing.
---@param link integer
---@param reason string  a code
---@param now integer  milliseconds
function Node:closed(link, reason, now)
  by_hand(self, "closed"):closed(link, reason, now)
end

--- Ends the node at once: kills its processes, and closes its links and
-- sockets. Does not yield, returns nothing. A second call does nothing.
function Node:close()
  if self.closing or not self.core then return end
  self.closing = true
  self.ended_inside = self.ended_inside or self.session:is_inside()
  set_collector(self.collector)
  self.session:close(function()
    local last_events = self.core:close()
    self.core = nil
    self.hand_out(last_events)
  end)
end

--- Ends the node in order: stops the supervisors (each stops its children, the
-- last started first), kills the remaining processes, and closes links, sockets
-- and handles. Does not yield. A second call does nothing.
--
-- It runs the loop until the node is closed. Called by a process, or in a
-- callback of the running loop, it returns at once, and the node stops while
-- the loop runs on. With the driver "manual" it steps the node until that is
-- closed; the node's time goes from deadline to deadline.
-- What has not stopped within the option stop_ms is killed.
---@return true
function Node:stop()
  if self.stopping or not self.core then return true end
  stop_in_order(self, true)
  return true
end

return M
