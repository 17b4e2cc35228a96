--- Banyan: processes, supervision trees and distributed supervisors.
--
-- This module starts nodes and has the functions of processes. The other
-- public modules are `banyan.server`, `banyan.supervisor`,
-- `banyan.dynamic_supervisor`, `banyan.distributed_supervisor`,
-- `banyan.node_monitor`, `banyan.node_sources`, `banyan.ring`, `banyan.peer`,
-- `banyan.peers`, `banyan.io` and `banyan.log`.
--
-- Words used on this page:
--
--   pid        a value that names a process. Equal pids are the same Lua value,
--              also when one of them came from another node
--   ref        a value that names a call, a monitor or a timer; as for pids,
--              equal ones are the same value
--   dest       a pid, the name of a registered process, { name=, node= }, or
--              what distributed_supervisor.via made
--   message    nil, a boolean, number, string, pid, ref, or a table of those
--              without cycles and metatables; tables are copied when sent
--   reason     a string, or an array whose [1] is one: why a process ended
--   timeout    an integer in milliseconds, math.huge or "infinity"
--
-- A failure at run time is `nil, err`; misuse raises an error. A function that
-- "yields" may let other processes run before it returns. Only a process can
-- call it, and neither in a coroutine that the program made itself nor in a
-- function that a C function such as table.sort or string.gsub calls.

local core = require "banyan.core"
core.skip_in_errors()
local guard = require "banyan.guard"
local hosts = require "banyan.hosts"
local names = require "banyan.name"
local nodes = require "banyan.node"
local options = require "banyan.options"
local receive = require "banyan.receive"
local run = require "banyan.run"
local slices = require "banyan.slices"
local wait = require "banyan.wait"
local wait_for_room = require "banyan.wait_for_room"

-- The argument `level` says which function a misuse error points at, as for
-- error() in the function that passes it. A tail call leaves no frame behind,
-- so run and start pass 1 to point at their own caller.

local connect = core.connect

---@class banyan
local banyan = {}

--- Ready-made receivers of events, see banyan.log.
banyan.log = require "banyan.log"

-- --- nodes -------------------------------------------------------------------

--- The options of banyan.run: those of banyan.start. The driver is always
-- "luv". Other defaults: on_event writes warnings and errors on stderr, preempt
-- is true, collector is "incremental".
---@class banyan.RunOptions: banyan.StartOptions

--- Starts a node, runs `main` as its first process, drives the loop until main
-- ends, stops the node in order, and returns what main returned.
--
-- Before main, it waits until each node of the option `connect` was reached or
-- an attempt has failed, but for 3 s at most, and starts those of the option
-- `workers`. A node whose name belongs to another node that lives does not run
-- main, or stops if it learns that later.
--
-- The node stops in this order. Processes that are linked to main end with it.
-- Then all other supervisors are stopped, each after its children. Then the
-- remaining processes are killed, and the node closes its links.
--
-- SIGTERM and SIGINT send main the exit signal "shutdown", and after 5 s
-- "kill"; then the node stops in the same order. A signal that comes while it
-- stops leaves it 5 s more, and a second signal kills all processes at once.
-- The function can be called again after it has returned. It blocks instead of
-- yielding: a process must not call it.
--
--     banyan.run(function()
--       local me = banyan.self()
--       banyan.spawn(function() banyan.send(me, "hello") end)
--       print(banyan.receive())
--     end)
--
---@overload fun(main: fun(...): ..., ...: any): ...
---@param opts? banyan.RunOptions
---@param main fun(...): ...
---@param ... any  arguments for main, passed without a copy
---@return any ...  what main returned; `nil, reason` if main's exit reason is
---  "shutdown" or {"shutdown", x}; `nil, "shutdown"` after a signal;
---  `nil, {"name_taken", name}` if its name belongs to another node. Raises any
---  other exit reason of main, such as {"error", message, traceback}. Raises an
---  error if the node cannot start, and if a process or a callback of the
---  running loop calls it
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

--- After how long a process that does not wait is preempted and killed.
---@class banyan.PreemptOptions
---@field slice_ms? integer  milliseconds until it is preempted; 5
---@field kill_after_ms? integer  milliseconds until it is killed; never

--- The options of banyan.start.
---@class banyan.StartOptions
--- "a@host:port", what other nodes dial; without it the node is not
--- distributed.
---@field name? string
--- "host" or "host:port" to bind, by default as in the name.
---@field listen? string
--- What others dial instead, told to them with the name: "unix:/path" (on this
--- machine, before what the name says), "tcp://host:port" (in its place), or a
--- list of both. The node listens on the path as well. See docs/clusters.md.
---@field address? string|string[]
--- The same on all nodes of the cluster; by default the environment variable
--- BANYAN_SECRET or, on a loopback address, the content of
--- $XDG_CONFIG_HOME/banyan/secret (~/.config/banyan/secret), a file that is
--- made at first use.
---@field secret? string
--- Names of nodes, or { name=, address= } where it is known; a node on it is
--- dialled now, and again whenever it is not connected. If one is not reached
--- for 3 s, that is the event peer_unreachable. This node's own name is passed
--- over.
---@field connect? (string|{name: string, address: string|string[]})[]
--- true (default); false: no child of a distributed supervisor runs on this
--- node, which may call them all the same; see banyan.set_hosts.
---@field hosts? boolean
---@field driver? "luv"|"manual"  "luv" is the default
--- Called with each decision; see banyan.log. false: no function.
---@field on_event? (fun(event: banyan.Event))|false
---@field heartbeat_ms? integer  milliseconds (1000) between signs of life
--- Milliseconds (5000); a peer is down when it has been silent for so long; if
--- all are, two at least, and fell silent within one heartbeat, reconnect_ms
--- later.
---@field down_after_ms? integer
--- Milliseconds (2000); when the connection to a peer broke and no other one
--- replaced it for so long, the peer is down.
---@field reconnect_ms? integer
--- Milliseconds that the handshake of a connection may take.
---@field handshake_ms? integer
---@field max_message? integer  bytes of the greatest message to another node
--- Bytes that may wait for one peer; its link fails when there are more.
---@field max_queue? integer
--- Milliseconds (30000) that an ordered stop of the node may take, or
--- math.huge; what is left then is killed.
---@field stop_ms? integer|number|string
--- Of banyan.run: so many more nodes on this machine ("cores": one for each
--- core), each an OS process that runs `worker`, connected with each other and
--- with this node by Unix sockets, and started again when they are lost. See
--- docs/workers.md.
---@field workers? integer|"cores"
--- Of banyan.run: {"module", "function", {arguments}}, what each worker runs as
--- its main. The worker is done when that returns; when it raises, or returns
--- nil and an error, it is started again.
---@field worker? table
--- true preempts a process that does not wait; false (default) does not. Uses a
--- thread and the signal SIGURG. Nothing is preempted inside C functions,
--- inside coroutines that a process made itself, and in code that LuaJIT
--- compiled.
---@field preempt? boolean|banyan.PreemptOptions
--- The mode of Lua's collector until the node stops. "incremental" has shorter
--- pauses; "generational" may have less to do, but sometimes collects the whole
--- heap at once (the program lua starts in this mode); false (default) leaves
--- the mode as it is. LuaJIT has no modes.
---@field collector? "incremental"|"generational"|false

--- Starts a node. Neither blocks nor yields. With the driver "luv" its handles
-- are on luv's default loop, which the host runs by uv.run(); with "manual" the
-- host calls node:step(now). Outside of any process, the functions of this
-- module work on the node that has been started, if there is only one.
--
---@param opts? banyan.StartOptions
---@return banyan.Node|nil node  with the methods name(), state(),
---  spawn(fn, ...), send(dest, msg), stop() and, for "manual", step(now); see
---  lua/banyan/node.lua. It stops itself if its name belongs to another node
---@return string|nil err  the address is in use, there is no secret, the thread
---  could not be started
function banyan.start(opts)
  return nodes.start("banyan.start", opts, nil, 1)
end

--- The name of this node. Does not yield.
---@return string|nil name  nil if it is not distributed
banyan.node = core.node_name

--- The nodes this one is connected to. Does not yield.
---@return string[] names  a new list
banyan.nodes = core.nodes

--- Connects to a node and keeps it connected: whenever the connection is lost,
-- the node is dialled again, until disconnect. Yields until the node is up or
-- the first attempt has failed; outside of any process it starts to dial and
-- returns. An error on a node without a name, and for what is no node's name.
---@param name string  "b@host:port"
---@param timeout? integer|number|string  milliseconds, 5000 by default
---@return true|nil ok
---@return string|nil err  "timeout", or why the attempt failed ("econnrefused",
---  "bad_secret", "wrong_name", "handshake_timeout" ...); dialling goes on.
---  "disconnected": disconnect was called; "shutdown": this node is stopping
function banyan.connect(name, timeout)
  options.argument(name, "string", "banyan.connect", "name")
  local fine, why = names.parse(name)
  if not fine then error("banyan.connect: name: " .. why, 2) end
  options.timeout(timeout, "banyan.connect")
  return connect(name, timeout)
end

--- Ends the connection to a node and stops dialling it. Does not yield. An
-- error on a node without a name.
---@param name string
---@return true|nil ok
---@return string|nil err  "not_connected"
banyan.disconnect = core.disconnect

--- Switches on or off that the caller gets a message when a node comes up or
-- goes down: {tag="nodeup", node=, info=} or {tag="nodedown", node=,
-- info={reason=}}. Does not yield.
---@param on boolean
---@return true
banyan.monitor_nodes = core.monitor_nodes

--- From now on this node runs children of distributed supervisors, or none:
-- those that run here are stopped then, and start on other nodes. Does not
-- yield.
---@param value boolean
---@return true
function banyan.set_hosts(value)
  if type(value) ~= "boolean" then
    error("banyan.set_hosts: a boolean expected, got " .. type(value), 2)
  end
  hosts.set(value)
  return true
end

-- --- processes ---------------------------------------------------------------

--- Starts a process. An error in it ends only this process, with the exit
-- reason {"error", message, traceback}. Does not yield: the new process runs
-- when the caller waits.
---@param fn function  its upvalues are shared, not copied
---@param ... any  its arguments, copied like messages; an error if one of them
---  cannot be sent
---@return banyan.Pid pid
banyan.spawn = core.spawn

--- Starts a process that is linked to the caller. Does not yield.
---@param fn function
---@param ... any  its arguments, copied
---@return banyan.Pid pid
banyan.spawn_link = core.spawn_link

--- Starts a process that the caller monitors. Does not yield.
---@param fn function
---@param ... any  its arguments, copied
---@return banyan.Pid pid
---@return banyan.Ref ref  the `ref` of the DOWN message
banyan.spawn_monitor = core.spawn_monitor

--- The pid of the process that calls. Does not yield.
---@return banyan.Pid pid
banyan.self = core.self

--- Waits. Yields.
---@param ms integer|number|string  milliseconds, math.huge or "infinity"
---@return true
banyan.sleep = core.sleep
if core.resumed then
  function banyan.sleep(ms) return core.resumed(core.sleep(ms)) end
end

--- Reads a clock that never goes back: the driver's clock or, with the driver
-- "manual", the last time given to node:step. Does not yield.
---@return integer ms  milliseconds since an arbitrary moment
banyan.now = core.now

--- Sends a message. Sending to a pid never fails, whether or not the process is
-- alive. A callback of the host's loop may send to a pid, too, also when the
-- node has stopped meanwhile. Yields only while the send queue to the node of
-- `dest` is long.
---@function banyan.send
---@param dest banyan.Pid|string|table  a pid, a registered name, {name=,
---  node=}, or what distributed_supervisor.via made
---@param msg any  functions, userdata and coroutines go by reference
---  within a node; to another node they are an error
---@return true|nil ok
---@return string|nil err  "noproc": no process has that name; "noconnection":
---  `dest` is a name on a node that is not connected
banyan.send = wait_for_room(core.send)
if core.resumed then
  core.pid_methods.send = wait_for_room(core.pid_methods.send)
end

--- Starts a timer that sends a message when it fires. One to a pid of this
-- node ends with that process. Does not yield.
---@param ms integer  milliseconds, not below 0; 0 fires in the next step
---@param dest banyan.Pid|string|table  as for send; a name is looked up when
---  the timer fires
---@param msg any  copied now
---@return banyan.Ref timer
banyan.send_after = core.send_after

--- Starts a timer that sends a message again and again: the first one when `ms`
-- have passed, then one every `ms`. It has no drift: the times are multiples of
-- `ms` from the start, however late one of them fires. A node that stood still
-- over several of them sends one message and goes on at the next time, so that
-- nobody gets a burst. A process that does not receive has a message for each
-- time in its mailbox, as in Erlang; see set_max_mailbox.
--
-- One to a pid of this node ends with that process; one to a name, or to
-- another node, with the process that started it. Does not yield.
---@param ms integer  milliseconds, 1 or more
---@param dest banyan.Pid|string|table  as for send; a name is looked up each
---  time the timer fires
---@param msg any  copied now, and for each time
---@return banyan.Ref timer
banyan.send_interval = core.send_interval

--- Cancels a timer of send_after or send_interval. Does not yield.
---@param timer banyan.Ref
---@return integer|nil ms  milliseconds that were left; nil if it has fired,
---  been cancelled, or ended with a process
banyan.cancel_timer = core.cancel_timer

local is_ref = core.is_ref
local receive_any = wait(core.receive)
local await_wait = wait(core.await_wait)

--- Takes the oldest message out of the mailbox, or the first that matches, and
-- waits until there is one. Other messages stay in their order. Yields.
--
--     local message, err = banyan.receive(1000)
--     local reply = banyan.receive(server.request(pid, "question"), 1000)
--     local job = banyan.receive(function(m) return m.tag == "job" end)
--
---@overload fun(timeout?: integer|number|string): any, string|nil
---@param match? banyan.Ref|fun(message: any): boolean  a ref: the first
---  message that carries it (message.ref); looks only at what came after the
---  ref was made, so a long mailbox costs nothing. A function must neither
---  receive nor wait; an error in it is raised to the caller. May be left out
---  before a timeout
---@param timeout? integer|number|string  milliseconds, no limit by default; 0
---  takes what is there and does not wait
---@return any message
---@return string|nil err  "timeout"; absent if the message was nil
function banyan.receive(match, timeout)
  if match == nil and timeout == nil then return receive_any() end
  if is_ref(match) then
    return receive.by_ref(match, options.timeout(timeout, "receive"))
  end
  if type(match) ~= "function" then
    if timeout ~= nil then
      error("receive: match must be a function or a ref, got a "
        .. type(match), 2)
    end
    return receive_any(options.timeout(match, "receive"))
  end
  return receive.matching(match, options.timeout(timeout, "receive"))
end

--- Waits until a function is called, from anywhere: a callback of luv, another
-- process, or fn itself. Yields; so may fn.
--
--     local err, found = banyan.await(function(done)
--       uv.getaddrinfo("localhost", nil, nil, done)
--     end, 2000)
--
---@param fn fun(done: fun(...))  begins something that calls done(...) later.
---  Another call of done does nothing, nor does one after the time limit, after
---  the process has ended or its node has stopped. An error in fn is raised
---@param timeout? integer|number|string  milliseconds from the return of fn, no
---  limit by default
---@return any ...  what done was given, by reference, or `nil, "timeout"`
function banyan.await(fn, timeout)
  if type(fn) ~= "function" then
    error("banyan.await: fn must be a function, got " .. type(fn), 2)
  end
  timeout = options.timeout(timeout, "banyan.await", 2)
  local done = core.await_begin()
  fn(done)
  return await_wait(done, timeout)
end

--- Wraps a function for the host's own loop, such as a callback of luv: an
-- error in it ends nothing else, but is the event callback_error { message=,
-- traceback= } of the caller's node, a warning in the log. (luv ends the
-- program when a callback raises an error.) After the node has stopped, the
-- error is written on stderr. Neither guard nor the wrapped function yields,
-- unless fn does.
---@param fn function
---@return function  answers what fn returned, and nothing after an error
function banyan.guard(fn)
  if type(fn) ~= "function" then
    error("banyan.guard: fn must be a function, got " .. type(fn), 2)
  end
  return guard.wrap(core.make_ref(), fn)
end

--- Links the caller and a process: when one ends, the other gets an exit
-- signal. If the process is dead, the caller gets the signal "noproc"; if its
-- node is not connected, "noconnection". Such a signal ends the caller at once,
-- unless it traps exits. Does not yield.
---@param pid banyan.Pid|table  a pid, or what distributed_supervisor.via made
---@return true
banyan.link = core.link

--- Removes the link. No EXIT of this link arrives afterwards; one that is
-- already in the mailbox stays there. Does not yield.
---@param pid banyan.Pid
---@return true  whether or not there was a link
banyan.unlink = core.unlink

--- Monitors a process: when it ends, the caller gets the message {tag="DOWN",
-- ref=, pid=, reason=}. `pid` is the argument given here, also if that is a
-- name. The reason is "noproc" if there is no such process, "noconnection" if
-- its node is not connected. Does not yield.
---@param dest banyan.Pid|string|table  as for send
---@return banyan.Ref ref
banyan.monitor = core.monitor

--- Removes a monitor. Does not yield.
---@param ref banyan.Ref  of monitor or spawn_monitor
---@param opts? { flush?: boolean }  flush: also removes a DOWN of this monitor
---  from the mailbox
---@return true  also if there was no such monitor
banyan.demonitor = core.demonitor

--- Ends the process that calls. Does not return, and does not yield; pcall does
-- not catch it.
---@param reason? any  copied; "normal" by default
banyan.exit = core.exit

--- Traps exits: exit signals to the caller become messages {tag="EXIT", from=,
-- reason=}. "kill" cannot be trapped. Does not yield.
---@param on boolean
---@return boolean old  the setting before
banyan.trap_exit = core.trap_exit

--- Is it alive? Does not yield.
---@param pid banyan.Pid  of this node; that of another is an error
---@return boolean
banyan.is_alive = core.is_alive

--- What is known of a process. Yields only where its lists are very long, and
-- the caller can wait; the other fields are of the time before.
---@param pid banyan.Pid  of this node; that of another is an error
---@return table|nil info  nil if it is not alive; else
---  pid; status: "running", "runnable", "waiting" or "exiting";
---  waits_for: "message", "sleep", "reply" or "await", where its code waits;
---  message_queue_len: messages in the mailbox; trap_exit: boolean;
---  behaviour: "process", "server" or "supervisor"; coroutine: boolean, whether
---  it owns one; registered_name, label, parent (the process that started it):
---  each nil if there is none; links, monitors, monitored_by: lists. The label
---  is what set_label gave it, else the name of a server's or a supervisor's
---  module, else "file:line", where the function was defined that it runs
function banyan.process_info(pid)
  if not core.is_pid(pid) then
    error(("bad argument #1 to 'banyan.process_info' (pid expected, got %s)")
      :format(is_ref(pid) and "ref" or type(pid)), 2)
  end
  local info, more = core.process_info(pid, slices.size)
  while more do
    core.give_way()
    if not core.add_relations(more, info, slices.size) then break end
  end
  return info
end

--- Gives the caller a label: what it is called in process_info, in events and
-- in the reports of lockstep. A label need not be unique, and nothing can be
-- sent to it; register does that. Does not yield.
--
--     banyan.set_label("session of " .. user)
--
---@param text string  at most 255 bytes
---@return true
banyan.set_label = core.set_label

--- Limits the mailbox of the caller. When `n` messages wait and another one
-- comes, "drop" drops the new one, and answers a call of a server `nil,
-- "mailbox_full"`; "kill" ends the process for {"mailbox_full", n}, which
-- cannot be trapped.
--
-- The limit holds for messages, casts and calls. What the system sends is never
-- dropped: EXIT and DOWN, the replies of server.request, nodeup and nodedown,
-- the messages of send_after (those of send_interval may be) and of sockets,
-- and requests such as server.stop and server.get_state. Does not yield.
--
-- The event mailbox_full comes with the first message that is dropped, or with
-- the kill; the event mailbox_drained, with the number of those that were
-- dropped, when half of the mailbox is free, or the process ends.
---@param n integer|number|string  messages; math.huge or "infinity": no limit
---@param what? "drop"|"kill"
---@return true
banyan.set_max_mailbox = core.set_max_mailbox

--- All processes of this node. Yields only where they are very many, and the
-- caller can wait: the list then has each that lives throughout.
---@return banyan.Pid[] pids  in no order
function banyan.processes() return slices.list(core.processes) end

--- Gives a process a name on its node. A process has one name at most; a name
-- ends with its process. Does not yield.
---@param name string
---@param pid? banyan.Pid  the caller by default; that of another node is an
---  error
---@return true|nil ok
---@return any err  {"already_registered", pid}: that process has the name, or
---  the process itself has a name already; "noproc": it is not alive
banyan.register = core.register

--- Takes a name away from the process that has it. Does not yield.
---@param name string
---@return true|nil ok
---@return string|nil err  "noproc": no process has it
banyan.unregister = core.unregister

--- Looks up a name on this node. Does not yield.
---@param name string
---@return banyan.Pid|nil pid  nil if no process has it
banyan.whereis = core.whereis

--- All registered names of this node. Yields only where processes are very
-- many, and the caller can wait: the list then has the name of each process
-- that has it throughout.
---@return string[] names  in no order
function banyan.registered() return slices.list(core.registered) end

--- Makes a ref, equal to no other one on any node. Does not yield.
---@return banyan.Ref ref
banyan.make_ref = core.make_ref

-- --- pids and refs -----------------------------------------------------------

--- Identifies a process; a pid is never used for another one. Pids can be keys
-- of tables, be compared with ==, be sent, and print as "pid<node 3.17>".
---@class banyan.Pid

--- Sends a message, as banyan.send does. Yields only while the send queue to
-- its node is long.
---@function Pid:send
---@param msg any  copied
---@return true

--- Sends the process an exit signal. A process may send one to itself: unless
-- it traps exits, it ends, and the call does not return. Does not yield.
---@function Pid:exit
---@param reason any  copied. "kill" cannot be trapped and ends the process with
---  the exit reason "killed". "normal" ends no process but the caller itself,
---  unless that traps exits
---@return true  whether or not it is alive

--- Is it alive? Does not yield.
---@function Pid:is_alive
---@return boolean  an error for a process of another node

--- The node of the process. Does not yield.
---@function Pid:node
---@return string|nil name  nil if the node has no name

--- Identifies a monitor, a timer or a call. Like a pid it can be a key, be
-- compared and be sent; it has no methods.
---@class banyan.Ref

return banyan
