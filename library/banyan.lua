---@meta _
-- Made by `make library` out of lua/banyan/init.lua. Do not edit.

---@class banyan
local banyan = {}

--- The name of this node. Does not yield.
---@return string|nil name  nil if it is not distributed
function banyan.node() end

--- The nodes this one is connected to. Does not yield.
---@return string[] names  a new list
function banyan.nodes() end

--- Ends the connection to a node and stops dialling it. Does not yield. An
-- error on a node without a name.
---@param name string
---@return true|nil ok
---@return string|nil err  "not_connected"
function banyan.disconnect(name) end

--- Switches on or off that the caller gets a message when a node comes up or
-- goes down: {tag="nodeup", node=, info=} or {tag="nodedown", node=,
-- info={reason=}}. Does not yield.
---@param on boolean
---@return true
function banyan.monitor_nodes(on) end

--- Starts a process. An error in it ends only this process, with the exit
-- reason {"error", message, traceback}. Does not yield: the new process runs
-- when the caller waits.
---@param fn function  its upvalues are shared, not copied
---@param ... any  its arguments, copied like messages; an error if one of them
---  cannot be sent
---@return banyan.Pid pid
function banyan.spawn(fn, ...) end

--- Starts a process that is linked to the caller. Does not yield.
---@param fn function
---@param ... any  its arguments, copied
---@return banyan.Pid pid
function banyan.spawn_link(fn, ...) end

--- Starts a process that the caller monitors. Does not yield.
---@param fn function
---@param ... any  its arguments, copied
---@return banyan.Pid pid
---@return banyan.Ref ref  the `ref` of the DOWN message
function banyan.spawn_monitor(fn, ...) end

--- The pid of the process that calls. Does not yield.
---@return banyan.Pid pid
function banyan.self() end

--- Waits. Yields.
---@param ms integer|number|string  milliseconds, math.huge or "infinity"
---@return true
function banyan.sleep(ms) end

--- Reads a clock that never goes back: the driver's clock or, with the driver
-- "manual", the last time given to node:step. Does not yield.
---@return integer ms  milliseconds since an arbitrary moment
function banyan.now() end

--- Sends a message. Sending to a pid never fails, whether or not the process is
-- alive. A callback of the host's loop may send to a pid, too, also when the
-- node has stopped meanwhile. Yields only while the send queue to the node of
-- `dest` is long.
---@param dest banyan.Pid|string|table  a pid, a registered name, {name=,
---  node=}, or what distributed_supervisor.via made
---@param msg any  functions, userdata and coroutines go by reference
---  within a node; to another node they are an error
---@return true|nil ok
---@return string|nil err  "noproc": no process has that name; "noconnection":
---  `dest` is a name on a node that is not connected
function banyan.send(dest, msg) end

--- Starts a timer that sends a message when it fires. One to a pid of this
-- node ends with that process. Does not yield.
---@param ms integer  milliseconds, not below 0; 0 fires in the next step
---@param dest banyan.Pid|string|table  as for send; a name is looked up when
---  the timer fires
---@param msg any  copied now
---@return banyan.Ref timer
function banyan.send_after(ms, dest, msg) end

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
function banyan.send_interval(ms, dest, msg) end

--- Cancels a timer of send_after or send_interval. Does not yield.
---@param timer banyan.Ref
---@return integer|nil ms  milliseconds that were left; nil if it has fired,
---  been cancelled, or ended with a process
function banyan.cancel_timer(timer) end

--- Links the caller and a process: when one ends, the other gets an exit
-- signal. If the process is dead, the caller gets the signal "noproc"; if its
-- node is not connected, "noconnection". Such a signal ends the caller at once,
-- unless it traps exits. Does not yield.
---@param pid banyan.Pid|table  a pid, or what distributed_supervisor.via made
---@return true
function banyan.link(pid) end

--- Removes the link. No EXIT of this link arrives afterwards; one that is
-- already in the mailbox stays there. Does not yield.
---@param pid banyan.Pid
---@return true  whether or not there was a link
function banyan.unlink(pid) end

--- Monitors a process: when it ends, the caller gets the message {tag="DOWN",
-- ref=, pid=, reason=}. `pid` is the argument given here, also if that is a
-- name. The reason is "noproc" if there is no such process, "noconnection" if
-- its node is not connected. Does not yield.
---@param dest banyan.Pid|string|table  as for send
---@return banyan.Ref ref
function banyan.monitor(dest) end

--- Removes a monitor. Does not yield.
---@param ref banyan.Ref  of monitor or spawn_monitor
---@param opts? { flush?: boolean }  flush: also removes a DOWN of this monitor
---  from the mailbox
---@return true  also if there was no such monitor
function banyan.demonitor(ref, opts) end

--- Ends the process that calls. Does not return, and does not yield; pcall does
-- not catch it.
---@param reason? any  copied; "normal" by default
function banyan.exit(reason) end

--- Traps exits: exit signals to the caller become messages {tag="EXIT", from=,
-- reason=}. "kill" cannot be trapped. Does not yield.
---@param on boolean
---@return boolean old  the setting before
function banyan.trap_exit(on) end

--- Is it alive? Does not yield.
---@param pid banyan.Pid  of this node; that of another is an error
---@return boolean
function banyan.is_alive(pid) end

--- Gives the caller a label: what it is called in process_info, in events and
-- in the reports of lockstep. A label need not be unique, and nothing can be
-- sent to it; register does that. Does not yield.
--
--     banyan.set_label("session of " .. user)
--
---@param text string  at most 255 bytes
---@return true
function banyan.set_label(text) end

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
function banyan.set_max_mailbox(n, what) end

--- Gives a process a name on its node. A process has one name at most; a name
-- ends with its process. Does not yield.
---@param name string
---@param pid? banyan.Pid  the caller by default; that of another node is an
---  error
---@return true|nil ok
---@return any err  {"already_registered", pid}: that process has the name, or
---  the process itself has a name already; "noproc": it is not alive
function banyan.register(name, pid) end

--- Takes a name away from the process that has it. Does not yield.
---@param name string
---@return true|nil ok
---@return string|nil err  "noproc": no process has it
function banyan.unregister(name) end

--- Looks up a name on this node. Does not yield.
---@param name string
---@return banyan.Pid|nil pid  nil if no process has it
function banyan.whereis(name) end

--- Makes a ref, equal to no other one on any node. Does not yield.
---@return banyan.Ref ref
function banyan.make_ref() end

---@class banyan.Pid
local Pid = {}

--- Sends a message, as banyan.send does. Yields only while the send queue to
-- its node is long.
---@param msg any  copied
---@return true
function Pid:send(msg) end

--- Sends the process an exit signal. A process may send one to itself: unless
-- it traps exits, it ends, and the call does not return. Does not yield.
---@param reason any  copied. "kill" cannot be trapped and ends the process with
---  the exit reason "killed". "normal" ends no process but the caller itself,
---  unless that traps exits
---@return true  whether or not it is alive
function Pid:exit(reason) end

--- Is it alive? Does not yield.
---@return boolean  an error for a process of another node
function Pid:is_alive() end

--- The node of the process. Does not yield.
---@return string|nil name  nil if the node has no name
function Pid:node() end
