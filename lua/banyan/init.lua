--- Banyan: processes, supervision trees and distributed supervisors.
--
-- This module has nodes and processes. Its neighbours are `banyan.server`,
-- `banyan.supervisor`, `banyan.dynamic_supervisor`, `banyan.ring`,
-- `banyan.distributed_supervisor` and `banyan.log`.
--
-- Words used on this page:
--
--   pid, ref   values that name a process, an event; equal ones are the same
--              value, also when they came from another node
--   dest       a pid, the name of a registered process, { name=, node= }, or
--              what distributed_supervisor.via made
--   message    nil, a boolean, number, string, pid, ref, or a table of those
--              without cycles and metatables; tables are copied when sent
--   reason     a string, or an array whose [1] is one: why a process ended
--   timeout    an integer in milliseconds, math.huge or "infinity"
--
-- Failures that a program can meet are `nil, err`; misuse raises an error.
-- Functions that say "yields" can only be called by a process.

local core = require "banyan.core"
local nodes = require "banyan.node"
local options = require "banyan.options"
local run = require "banyan.run"

-- Levels of misuse errors: as for error() in the function that is calling. A
-- tail call leaves no frame behind, so run and start hand on 1 for their own
-- caller.

local banyan = {}

--- Ready-made receivers of events, see banyan.log.
banyan.log = require "banyan.log"

-- --- nodes -------------------------------------------------------------------

--- Starts a node, runs `main` as its first process, drives the loop until that
-- ends, stops everything in order, and returns what main returned.
--
-- The end in order: what is linked to main ends with it, then all other
-- supervisors are stopped, each after its children; then what is left is
-- killed and other nodes are told goodbye. SIGTERM and SIGINT send main the
-- exit signal "shutdown" (and "kill" after 5 s), with the same to follow; a
-- second signal kills everything at once. It can be called again and again.
--
--     banyan.run(function()
--       local me = banyan.self()
--       banyan.spawn(function() banyan.send(me, "hello") end)
--       print(banyan.receive())
--     end)
--
---@param opts? table  options, the same as for banyan.start but for the driver,
---  which is "luv"; without on_event, warnings are written on stderr
---@param main fun(...): ...
---@param ... any  arguments for main, given as they are
---@return any ...  what main returned; `nil, reason` where it ended of
---  "shutdown" (`nil, "shutdown"` after a signal). Raises main's error, the
---  reason {"error", message, traceback}, or any other reason that it ended
---  of; an error too if the node cannot start. Must not be called by a process
---  or in a callback of the running loop.
function banyan.run(opts, main, ...)
  local args = { n = select("#", ...), ... }
  if type(opts) == "function" then
    if main ~= nil or args.n > 0 then
      args = { n = args.n + 1, main, ... }
    end
    opts, main = nil, opts
  end
  if type(main) ~= "function" then
    error("banyan.run: main must be a function, got a " .. type(main), 2)
  end
  return run("banyan.run", opts, main, args, 1)
end

--- Starts a node without blocking. With the driver "luv" its handles are on
-- luv's default loop, which the host runs by uv.run(); with "manual" the host
-- calls node:step(now). Called outside of any process, the functions of this
-- module work on the only node that has been started.
--
---@param opts? table  options:
---  name: string, "a@host:port", what other nodes dial; without it the node is
---    not distributed
---  listen: string, "host" or "host:port" to bind, by default as in the name
---  secret: string, the cluster's, the same on all its nodes; by default the
---    environment's BANYAN_SECRET or, on a loopback address, the user's own in
---    $XDG_CONFIG_HOME/banyan/secret (~/.config/banyan/secret), which is made
---    at first use
---  connect: list of names of nodes to dial, now and whenever they are away
---  driver: "luv" (default) or "manual"
---  on_event: function(event), called with a table for each decision; see
---    banyan.log. false: none
---  heartbeat_ms (1000), down_after_ms (5000): integers; a peer is down when
---    it has been silent for the latter
---  handshake_ms: integer, what a new connection may take to prove itself
---  max_message, max_queue: integers, bytes; the greatest message, and what
---    may wait for one peer before its link is given up
---@return table|nil node  with the methods name(), spawn(fn, ...),
---  send(dest, msg), stop() and, for "manual", step(now)
---@return string|nil err  the address is taken, there is no secret
function banyan.start(opts)
  return nodes.start("banyan.start", opts, nil, 1)
end

--- The name of this node.
---@return string|nil  nil if it is not distributed
banyan.node = core.node_name

--- The nodes this one is connected to.
---@return string[]
banyan.nodes = core.nodes

--- Connects to a node, and stays connected: it is dialled again whenever it is
-- away, until disconnect. Yields until it is up or a first try has failed. An
-- error on a node without a name.
---@param name string  "b@host:port"
---@param timeout? integer|number|string  milliseconds, 5000 by default
---@return true|nil
---@return string|nil err  "timeout", or why the try failed ("econnrefused",
---  "bad_secret", "wrong_name", "handshake_timeout" ...); it is still being
---  dialled then
banyan.connect = core.connect

--- Ends the connection to a node and dials it no more. An error on a node
-- without a name.
---@param name string
---@return true|nil
---@return string|nil err  "not_connected"
banyan.disconnect = core.disconnect

--- Has the caller told of nodes that come and go, by messages
-- {tag="nodeup", node=, info=} and {tag="nodedown", node=, info=}.
---@param on boolean
---@return true
banyan.monitor_nodes = core.monitor_nodes

-- --- processes ---------------------------------------------------------------

--- Starts a process. An error in it ends it, and nothing else, with the reason
-- {"error", message, traceback}.
---@param fn function
---@param ... any  its arguments, copied like messages
---@return pid
banyan.spawn = core.spawn

--- The same, linked to the caller from the start.
---@param fn function
---@param ... any
---@return pid
banyan.spawn_link = core.spawn_link

--- The same, monitored by the caller from the start.
---@param fn function
---@param ... any
---@return pid
---@return ref  stands in the DOWN message
banyan.spawn_monitor = core.spawn_monitor

--- The pid of the process that calls.
---@return pid
banyan.self = core.self

--- Waits. Yields.
---@param ms integer|number|string  milliseconds, math.huge or "infinity"
---@return true
banyan.sleep = core.sleep

--- Milliseconds of a clock that only goes forward.
---@return integer
banyan.now = core.now

--- Sends a message. To a pid it never fails, whether that is alive or not.
-- Yields only while very much waits to be sent to the node of `dest`.
---@param dest any
---@param message any  functions, userdata and coroutines go by reference
---  within a node; to another node they are an error
---@return true|nil
---@return string|nil err  "noproc": nobody has that name; "noconnection": it
---  is a name on a node that is not connected
banyan.send = core.send

--- Sends a message after a while, unless it is cancelled.
---@param ms integer  milliseconds
---@param dest any
---@param message any  copied now
---@return ref timer
banyan.send_after = core.send_after

--- Takes back what send_after is to send.
---@param timer ref
---@return integer|nil ms  what was left; nil if it was sent or cancelled
banyan.cancel_timer = core.cancel_timer

-- Is this the message? A match that fails must not leave the mailbox as it is
-- while one runs.
local function matches(match, message)
  local ok, result = pcall(match, message)
  if ok then return result end
  core.mail_rewind()
  error(result, 0)
end

-- Looks through what is in the mailbox and was not looked at before.
local function find(match)
  local found, message = core.mail_peek()
  while found do
    if matches(match, message) then
      core.mail_pick()
      return true, message
    end
    core.mail_skip()
    found, message = core.mail_peek()
  end
  return false
end

local receive_any = core.receive

local function receive_match(match, timeout)
  local deadline = timeout and core.now() + timeout
  core.mail_begin()
  while true do
    local found, message = find(match)
    if found then return message end
    local left = deadline and math.max(deadline - core.now(), 0)
    if not core.mail_wait(left) then
      core.mail_rewind()
      return nil, "timeout"
    end
  end
end

--- Takes the next message out of the mailbox, or the first that matches; the
-- others stay, in their order. Waits for it. Yields.
--
--     local message, err = banyan.receive(1000)
--     local reply = banyan.receive(function(m) return m.tag == "reply" end)
--
---@param match? fun(message: any): boolean  must not receive itself; an error
---  in it is raised to the caller
---@param timeout? integer|number|string  no limit by default; 0 looks at what
---  is there
---@return any message
---@return string|nil err  "timeout"; nothing where the message was nil
function banyan.receive(match, timeout)
  if match == nil and timeout == nil then return receive_any() end
  if type(match) ~= "function" then
    if timeout ~= nil then
      error("receive: match must be a function, got a " .. type(match), 2)
    end
    return core.receive(options.timeout(match, "receive"))
  end
  return receive_match(match, options.timeout(timeout, "receive"))
end

--- Links the caller to a process: the end of one is an exit signal to the
-- other. What is dead answers with the signal "noproc".
---@param pid pid|table  a pid, or what distributed_supervisor.via made
---@return true
banyan.link = core.link

--- Takes the link away; no EXIT of it comes afterwards.
---@param pid pid
---@return true
banyan.unlink = core.unlink

--- Watches a process: its end is the message {tag="DOWN", ref=, pid=, reason=}
-- to the caller. `pid` is what was given here, so a name stays a name.
---@param dest any
---@return ref
banyan.monitor = core.monitor

--- Stops watching.
---@param ref ref
---@param opts? { flush: boolean }  flush: a DOWN that has come is thrown away
---@return true
banyan.demonitor = core.demonitor

--- Ends the process that calls. Does not return.
---@param reason? any  "normal" by default
banyan.exit = core.exit

--- Turns exit signals into messages {tag="EXIT", from=, reason=} to the caller.
-- "kill" can not be trapped.
---@param on boolean
---@return boolean old
banyan.trap_exit = core.trap_exit

--- Is it alive?
---@param pid pid  of this node; that of another is an error
---@return boolean
banyan.is_alive = core.is_alive

--- What is known of a process.
---@param pid pid  of this node; that of another is an error
---@return table|nil  nil if it is not alive; else status,
---  message_queue_len, trap_exit, behaviour ("process", "server",
---  "supervisor"), registered_name, label, parent, links, monitors,
---  monitored_by
banyan.process_info = core.process_info

--- All processes of this node.
---@return pid[]
banyan.processes = core.processes

--- Gives a process a name on its node. A name ends with its process.
---@param name string
---@param pid? pid  the caller by default
---@return true|nil
---@return any err  {"already_registered", pid}, or "noproc"
banyan.register = core.register

--- Takes a name away from whoever has it.
---@param name string
---@return true|nil
---@return string|nil err  "noproc": nobody has it
banyan.unregister = core.unregister

--- Who has that name?
---@param name string
---@return pid|nil
banyan.whereis = core.whereis

--- All names given on this node.
---@return string[]
banyan.registered = core.registered

return banyan
