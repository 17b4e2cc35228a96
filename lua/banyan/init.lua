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
-- Functions that say "yields" can only be called by a process, and not where
-- Lua cannot be left: in a coroutine of the program's own, or in a function
-- that table.sort, string.gsub and their like call.

local core = require "banyan.core"
core.skip_in_errors()
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
-- It blocks instead of yielding: a process must not call it.
--
--     banyan.run(function()
--       local me = banyan.self()
--       banyan.spawn(function() banyan.send(me, "hello") end)
--       print(banyan.receive())
--     end)
--
---@param opts? table  options, the same as for banyan.start but for the driver,
---  which is "luv"; without on_event, warnings are written on stderr; without
---  preempt, a process that does not wait is preempted; without collector, it
---  is "incremental"
---@param main fun(...): ...
---@param ... any  arguments for main, given as they are
---@return any ...  what main returned; `nil, reason` where it ended of
---  "shutdown" (`nil, "shutdown"` after a signal). Raises main's error, the
---  reason {"error", message, traceback}, or any other reason that it ended
---  of; an error too if the node cannot start, and if it is called by a process
---  or in a callback of the running loop
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

--- Starts a node. Neither blocks nor yields. With the driver "luv" its handles
-- are on luv's default loop, which the host runs by uv.run(); with "manual" the
-- host calls node:step(now). Called outside of any process, the functions of
-- this module work on the only node that has been started.
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
---  heartbeat_ms (1000), down_after_ms (5000): milliseconds; a peer is down
---    when it has been silent for the latter
---  handshake_ms: milliseconds that a new connection may take to prove itself
---  max_message, max_queue: integers, bytes; the greatest message, and what
---    may wait for one peer before its link is given up
---  preempt: has a process that does not wait give way to the others. true;
---    false (default); or { slice_ms=, kill_after_ms= }, milliseconds: after
---    how long (5), and when it is to be killed (never). Works by a thread and
---    the signal SIGURG; not inside C functions, coroutines of a process's own,
---    and code that LuaJIT has compiled
---  collector: the mode that Lua's collector is in until the node stops:
---  "incremental" has the shorter pauses, "generational" may have less to do,
---    and goes through the whole heap in one go now and then (the program lua
---    starts with it); false (default) leaves it as it is. LuaJIT has no modes
---@return banyan.Node|nil node  with the methods name(), spawn(fn, ...),
---  send(dest, msg), stop() and, for "manual", step(now); see
---  lua/banyan/node.lua
---@return string|nil err  the address is taken, there is no secret, there can
---  be no thread
function banyan.start(opts)
  return nodes.start("banyan.start", opts, nil, 1)
end

--- The name of this node. Does not yield.
---@return string|nil name  nil if it is not distributed
banyan.node = core.node_name

--- The nodes this one is connected to. Does not yield.
---@return string[] names  a new list
banyan.nodes = core.nodes

--- Connects to a node, and stays connected: it is dialled again whenever it is
-- away, until disconnect. Yields until it is up or a first try has failed;
-- outside of any process it only begins to dial. An error on a node without a
-- name.
---@param name string  "b@host:port"
---@param timeout? integer|number|string  milliseconds, 5000 by default
---@return true|nil ok
---@return string|nil err  "timeout", or why the try failed ("econnrefused",
---  "bad_secret", "wrong_name", "handshake_timeout" ...); it is still being
---  dialled then. "disconnected": somebody called disconnect; "shutdown": this
---  node is stopping
banyan.connect = core.connect

--- Ends the connection to a node and dials it no more. Does not yield. An
-- error on a node without a name.
---@param name string
---@return true|nil ok
---@return string|nil err  "not_connected"
banyan.disconnect = core.disconnect

--- Has the caller told of nodes that come and go, by messages
-- {tag="nodeup", node=, info=} and {tag="nodedown", node=, info={reason=}}.
-- Does not yield.
---@param on boolean
---@return true
banyan.monitor_nodes = core.monitor_nodes

-- --- processes ---------------------------------------------------------------

--- Starts a process. An error in it ends it, and nothing else, with the reason
-- {"error", message, traceback}. Does not yield: it runs when the caller waits.
---@param fn function  its upvalues are shared, not copied
---@param ... any  its arguments, copied like messages; what cannot be sent is
---  an error here
---@return banyan.Pid pid
banyan.spawn = core.spawn

--- The same, linked to the caller from the start. Does not yield.
---@param fn function
---@param ... any  its arguments, copied
---@return banyan.Pid pid
banyan.spawn_link = core.spawn_link

--- The same, monitored by the caller from the start. Does not yield.
---@param fn function
---@param ... any  its arguments, copied
---@return banyan.Pid pid
---@return banyan.Ref ref  stands in the DOWN message
banyan.spawn_monitor = core.spawn_monitor

--- The pid of the process that calls. Does not yield.
---@return banyan.Pid pid
banyan.self = core.self

--- Waits. Yields.
---@param ms integer|number|string  milliseconds, math.huge or "infinity"
---@return true
banyan.sleep = core.sleep

--- Reads a clock that only goes forward: the driver's, or what node:step was
-- told last. Does not yield.
---@return integer ms  milliseconds since some moment
banyan.now = core.now

--- Sends a message. To a pid it never fails, whether that is alive or not.
-- Yields only while very much waits to be sent to the node of `dest`.
---@param dest banyan.Pid|string|table  a pid, a registered name, {name=,
---  node=}, or what distributed_supervisor.via made
---@param message any  functions, userdata and coroutines go by reference
---  within a node; to another node they are an error
---@return true|nil ok
---@return string|nil err  "noproc": nobody has that name; "noconnection": it
---  is a name on a node that is not connected
banyan.send = core.send

--- Sends a message after a while, unless it is cancelled. Does not yield.
---@param ms integer  milliseconds, not below 0; 0 is sent in the next step
---@param dest banyan.Pid|string|table  as for send; a name is looked up when
---  the time has come
---@param message any  copied now
---@return banyan.Ref timer
banyan.send_after = core.send_after

--- Takes back what send_after is to send. Does not yield.
---@param timer banyan.Ref
---@return integer|nil ms  milliseconds that were left; nil if it was sent or
---  cancelled
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
---@param match? fun(message: any): boolean  must neither receive nor wait; an
---  error in it is raised to the caller. May be left out before a timeout
---@param timeout? integer|number|string  milliseconds, no limit by default; 0
---  looks at what is there
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
-- other. What is dead answers with the signal "noproc", what is out of reach
-- with "noconnection"; that ends the caller here, unless it traps exits. Does
-- not yield.
---@param pid banyan.Pid|table  a pid, or what distributed_supervisor.via made
---@return true
banyan.link = core.link

--- Takes the link away; no EXIT of it comes afterwards, though one that is in
-- the mailbox stays there. Does not yield.
---@param pid banyan.Pid
---@return true  whether or not there was a link
banyan.unlink = core.unlink

--- Watches a process: its end is the message {tag="DOWN", ref=, pid=, reason=}
-- to the caller. `pid` is what was given here, so a name stays a name; the
-- reason is "noproc" where nobody is there and "noconnection" where its node
-- is out of reach. Does not yield.
---@param dest banyan.Pid|string|table  as for send
---@return banyan.Ref ref
banyan.monitor = core.monitor

--- Stops watching. Does not yield.
---@param ref banyan.Ref  what monitor or spawn_monitor gave
---@param opts? { flush: boolean }  flush: a DOWN that has come is thrown away
---@return true  whether or not it was watching
banyan.demonitor = core.demonitor

--- Ends the process that calls. Does not return, so it does not yield either.
-- No pcall stops it.
---@param reason? any  copied; "normal" by default
banyan.exit = core.exit

--- Turns exit signals into messages {tag="EXIT", from=, reason=} to the caller.
-- "kill" can not be trapped. Does not yield.
---@param on boolean
---@return boolean old  what it was before
banyan.trap_exit = core.trap_exit

--- Is it alive? Does not yield.
---@param pid banyan.Pid  of this node; that of another is an error
---@return boolean
banyan.is_alive = core.is_alive

--- What is known of a process. Does not yield.
---@param pid banyan.Pid  of this node; that of another is an error
---@return table|nil info  nil if it is not alive; else
---  pid; status: "running", "runnable" (its turn will come), "waiting",
---  "exiting"; message_queue_len: messages not yet taken; trap_exit: boolean;
---  behaviour: "process", "server", "supervisor"; coroutine: has it one?;
---  registered_name, label (what a server or supervisor is called), parent (who
---  started it): nil if there is none; links, monitors, monitored_by: lists
banyan.process_info = core.process_info

--- All processes of this node. Does not yield.
---@return banyan.Pid[] pids  in no order
banyan.processes = core.processes

--- Gives a process a name on its node. A process has one name at most; a name
-- ends with its process. Does not yield.
---@param name string
---@param pid? banyan.Pid  the caller by default; that of another node is an
---  error
---@return true|nil ok
---@return any err  {"already_registered", pid}: that one has the name, or the
---  process itself has one; "noproc": it is not alive
banyan.register = core.register

--- Takes a name away from whoever has it. Does not yield.
---@param name string
---@return true|nil ok
---@return string|nil err  "noproc": nobody has it
banyan.unregister = core.unregister

--- Who has that name on this node? Does not yield.
---@param name string
---@return banyan.Pid|nil pid
banyan.whereis = core.whereis

--- All names given on this node. Does not yield.
---@return string[] names  in no order
banyan.registered = core.registered

-- --- pids and refs -----------------------------------------------------------

--- The name of a process that never stands for another one. Pids may be keys
-- of tables, be compared with ==, be sent, and print as "pid<node 3.17>".
---@class banyan.Pid

--- Sends a message, as banyan.send does. Yields only while very much waits to
-- be sent to its node.
---@function Pid:send
---@param message any  copied
---@return true

--- Sends an exit signal, as if from a process linked to the caller, but that
-- "kill" cannot be trapped. It ends the caller if that is the one it names and
-- does not trap exits. Does not yield.
---@function Pid:exit
---@param reason any  copied; "normal" is ignored by what does not trap exits,
---  except by the caller itself; "kill" ends in any case, of "killed"
---@return true  whether or not it is alive

--- Is it alive? Does not yield.
---@function Pid:is_alive
---@return boolean  an error for a process of another node

--- Where it runs. Does not yield.
---@function Pid:node
---@return string|nil name  of its node; nil if that has none

--- The name of an event: of a monitor, a timer, a call. It may be a key, be
-- compared and sent like a pid, and has no methods.
---@class banyan.Ref

return banyan
