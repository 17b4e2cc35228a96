---@meta _
-- Made by `make library` out of lua/banyan/server.lua. Do not edit.

---@class banyan.server
local server = {}

--- Sends a request and waits for the answer. Yields. The caller's mailbox is
-- not looked at, and a reply that comes too late never reaches it.
---@param dest banyan.Pid|string|table  a pid, a registered name,
---  {name=, node=}, or what distributed_supervisor.via made
---@param msg any  copied
---@param timeout? integer|string  milliseconds, default 5000; math.huge or
---  "infinity" for no limit
---@return any ...  what handle_call returned, or gave to server.reply; or
---  nil and "timeout", "noproc", "noconnection", "calling_self",
---  "mailbox_full" (see banyan.set_max_mailbox) or the reason for which the
---  server ended
function server.call(dest, msg, timeout) end

--- Sends a request that has no answer. Yields only while very much waits to be
-- sent to the node of `dest`.
---@param dest banyan.Pid|string|table  as for call
---@param msg any  copied
---@return true  whether or not there is such a server
function server.cast(dest, msg) end

--- Answers a call, from any process, at any time. Does not yield. An answer
-- to a call that was answered already, or that nobody waits for any more,
-- goes nowhere.
---@param from banyan.Ref  what handle_call got
---@param ... any  what the call returns, copied
---@return true
function server.reply(from, ...) end

--- Sends a request whose answer comes as a message to the caller, without a
-- time limit. Does not yield.
---@param dest banyan.Pid|string|table  as for call
---@param msg any  copied
---@return banyan.Ref ref  exactly one message comes: {tag="reply", ref=ref,
---  n=N, ...N replies}; when it fails that is nil and the reason
function server.request(dest, msg) end

--- Asks, inside a handler, for the message "timeout" to handle_info when
-- nothing else arrives in that time after the handler has returned. System
-- requests such as get_state do not count. Does not yield.
---@param ms integer|number|string|nil  milliseconds; math.huge, "infinity"
---  or nil: none after all
---@return true  an error outside of a server
function server.timeout(ms) end

--- Makes what a callback returns to end its server. Does not yield.
---@param reason any  not nil; "normal", "shutdown" and {"shutdown", x} are
---  ends in good order
---@param ... any  from handle_call: the reply, sent when terminate has run.
---  Without it the caller hears the reason
---@return userdata
function server.stop_with(reason, ...) end

--- Makes what a callback returns so that handle_continue(arg) runs before
-- any other message is read. Does not yield.
---@param arg any  handed on as it is
---@return userdata
function server.continue(arg) end
