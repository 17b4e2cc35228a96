--- Servers: processes that keep a state and answer calls.
--
-- A server is a plain module table with methods. `self` is the instance's
-- own state table; what the module defines is found through it.
--
--    local server = require "banyan.server"
--    local Counter = {}
--    function Counter:init(n) self.n = n end
--    function Counter:handle_call(by) self.n = self.n + by return self.n end
--
--    local pid = assert(server.start_link(Counter, 40))
--    print(server.call(pid, 2)) --> 42
--
-- The callbacks; all but handle_call are optional, and all may yield:
--
--  * `init(self, arg)`: `nil, reason` fails to start. May return
--    server.stop_with(reason), server.ignore or server.continue(arg).
--  * `handle_call(self, msg, from)`: all that it returns is the reply. Or
--    server.noreply, server.stop_with(reason, reply...) (terminate runs
--    first, then the reply is sent), server.continue(arg) (no reply yet).
--    Without it a call answers `nil, {"undef", "handle_call", text}`.
--  * `handle_cast(self, msg)`; without it a cast crashes the server.
--  * `handle_info(self, msg)`: any other message, and "timeout"; without it
--    they are dropped.
--  * `handle_continue(self, arg)`: after server.continue(arg), before any
--    other message; without it a continue crashes the server.
--  * `terminate(self, reason)`: after an error or banyan.exit in a callback
--    (but init), stop_with, server.stop, and when the process that called
--    start_link ends while this one traps exits. An exit signal that is not
--    trapped ends the server without it. An error in it becomes the reason.
--  * `resume(self, state, how)`, `handoff(self, reason)`,
--    `resolve_conflict(self, state)`: of a server that is the child of a
--    distributed supervisor; see there.
--  * `format_status(self, status)`: changes what others are shown of the
--    server, so that no secret is in a log. `status` is {state=, message=,
--    reason=}; state is a copy of self, but not of the tables in it. It may
--    put other values in place of them, and returns the status. Called by
--    get_status (with state alone), and after terminate when the server
--    crashed, for the event process_crashed. Where it fails, that is what is
--    shown in place of the state.
--
-- A handler that waits (call, receive, sleep) makes later messages wait; to
-- answer later without waiting, return server.noreply and use server.reply.
-- An idle server owns no coroutine.
--
-- A server is called by its module in process_info(pid).label and in events: by
-- the string that it was started by; else by the module's own `name` or
-- `__name`, if that is a string; else by the name under which the module stands
-- in package.loaded; else by where its first callback was defined. In place of
-- that, banyan.set_label gives one server a label.

local core = require "banyan.core"
core.skip_in_errors()
local options = require "banyan.options"
local receive = require "banyan.receive"
local resume = require "banyan.resume"
local wait = require "banyan.wait"
local wait_for_room = require "banyan.wait_for_room"

local start = resume.start
local call = core.call
if core.resumed then
  local guarded = wait(core.call)
  function call(dest, msg, timeout)
    options.timeout(timeout, "server.call")
    if type(dest) == "table" and dest.supervisor ~= nil then
      local call_child = core.child_caller()
      if call_child then return call_child(dest, msg, timeout) end
    end
    return guarded(dest, msg, timeout)
  end
end

---@class banyan.server
local server = {}

local start_options = {
  name = "string", timeout = "timeout",
  max_mailbox = {
    '{n, "drop"} or {n, "kill"} with a positive integer n',
    function(value)
      if type(value) ~= "table" then return false end
      local n, what = value[1], value[2]
      return type(n) == "number" and n % 1 == 0 and n > 0 and n < 2 ^ 31
        and (what == "drop" or what == "kill")
    end,
  },
}
local NO_LIMIT = {}

-- The module's table, and the name that it was given by, if by any. Level 4
-- is whoever called start_link.
local function resolve(what, module)
  if type(module) == "table" then return module end
  if type(module) ~= "string" then
    error(("%s: module must be a table or the name of a module, got %s")
      :format(what, type(module)), 4)
  end
  local found, loaded = pcall(require, module)
  if not found then
    if type(loaded) ~= "string" then error(loaded, 0) end
    loaded = loaded:gsub("^(module '.-' not found):\n.*", "%1")
    error(("%s: %s"):format(what, loaded), 4)
  end
  if type(loaded) ~= "table" then
    error(("%s: module %q is a %s, not a table"):format(what, module,
      type(loaded)), 4)
  end
  return loaded, module
end

local function prepare(what, module, opts)
  local found, label = resolve(what, module)
  if opts == nil then return found, label end
  options.check(what, opts, start_options, 3)
  local limit = opts.max_mailbox or NO_LIMIT
  return found, label, opts.name, opts.timeout, limit[1], limit[2]
end

--- The options of server.start_link and server.start.
---@class banyan.ServerOptions
---@field name? string  register it under this name
--- Milliseconds that init may take; no limit by default.
---@field timeout? integer|number|string
--- {n, "drop"} or {n, "kill"}, as in banyan.set_max_mailbox.
---@field max_mailbox? table

--- Starts a server, linked to the caller. Yields until its init is over.
-- When it fails, the caller stays alive and hears no EXIT. While the server
-- traps exits, the end of the caller makes it terminate.
---@param module table|string  the callbacks, or the name of a module to
---  require
---@param arg any  what init gets, copied
---@param opts? banyan.ServerOptions
---@return banyan.Pid|nil pid
---@return any err  what init returned after nil or gave to stop_with,
---  "ignore", "timeout", {"already_started", pid}, {"error", message,
---  traceback}, or the reason it ended for
function server.start_link(module, arg, opts)
  if opts == nil and type(module) == "table" then
    return start(module, arg, true)
  end
  local found, label, name, timeout, max, full =
    prepare("server.start_link", module, opts)
  return start(found, arg, true, name, timeout, label, max, full)
end

--- Starts a server that is linked to nobody. Yields until its init is over.
---@param module table|string  as for start_link
---@param arg any  what init gets, copied
---@param opts? banyan.ServerOptions
---@return banyan.Pid|nil pid
---@return any err  as for start_link
function server.start(module, arg, opts)
  local found, label, name, timeout, max, full =
    prepare("server.start", module, opts)
  return start(found, arg, false, name, timeout, label, max, full)
end

--- Sends a request and waits for the answer. Yields. The caller's mailbox is
-- not looked at, and a reply that comes too late never reaches it.
---@function server.call
---@param dest banyan.Pid|string|table  a pid, a registered name,
---  {name=, node=}, or what distributed_supervisor.via made
---@param msg any  copied
---@param timeout? integer|string  milliseconds, default 5000; math.huge or
---  "infinity" for no limit
---@return any ...  what handle_call returned, or gave to server.reply; or
---  nil and "timeout", "noproc", "noconnection", "calling_self",
---  "mailbox_full" (see banyan.set_max_mailbox) or the reason for which the
---  server ended
server.call = call

--- Sends a request that has no answer. Yields only while very much waits to be
-- sent to the node of `dest`.
---@function server.cast
---@param dest banyan.Pid|string|table  as for call
---@param msg any  copied
---@return true  whether or not there is such a server
server.cast = wait_for_room(core.cast)

--- Answers a call, from any process, at any time. Does not yield. An answer
-- to a call that was answered already, or that nobody waits for any more,
-- goes nowhere.
---@function server.reply
---@param from banyan.Ref  what handle_call got
---@param ... any  what the call returns, copied
---@return true
server.reply = core.reply

--- Sends a request whose answer comes as a message to the caller, without a
-- time limit. Does not yield.
---@function server.request
---@param dest banyan.Pid|string|table  as for call
---@param msg any  copied
---@return banyan.Ref ref  exactly one message comes: {tag="reply", ref=ref,
---  n=N, ...N replies}; when it fails that is nil and the reason
server.request = core.request

local MULTI_CALL_MS = 5000

-- No reply is to come any more, and one that has come is taken away.
local function abandon(refs)
  for _, ref in pairs(refs) do core.abandon(ref) end
  for _, ref in pairs(refs) do
    core.mail_pass(ref)
    if core.mail_find(ref) then core.mail_pick() else core.mail_rewind() end
  end
end

-- Each node that answers, or is not to be waited for any more, leaves `refs`.
local function ask_all(list, refs, name, msg, timeout)
  local replies, errs = {}, {}
  local deadline = timeout and core.now() + timeout
  for _, node in ipairs(list) do
    refs[node] = refs[node] or core.request({ name = name, node = node }, msg)
  end
  for _, node in ipairs(list) do
    local ref = refs[node]
    if ref then
      local left = deadline and math.max(deadline - core.now(), 0)
      local reply = receive.by_ref(ref, left)
      if not reply then
        errs[node] = "timeout"
      else
        refs[node] = nil
        replies[node], errs[node] = reply[1], reply[1] == nil and reply[2]
          or nil
      end
    end
  end
  abandon(refs)
  return replies, errs
end

--- Calls the server that is registered under one name on each of several nodes.
-- All requests are sent at once, and there is one time limit for all. Yields. A
-- reply that comes too late never reaches the mailbox.
--
--     local replies, errs = server.multi_call(banyan.nodes(), "stats", "load")
--
---@param nodes string[]  names of nodes, this one may be among them; one that
---  stands there twice is asked once
---@param name string  a registered name
---@param msg any  copied
---@param timeout? integer|number|string  milliseconds, default 5000; math.huge
---  or "infinity" for no limit
---@return table<string, any> replies  by node, the first value of each reply
---@return table<string, any> errs  by node, for those that did not answer
---  "timeout", "noproc", "noconnection", "calling_self" or the reason for which
---  the server ended; for those that answered `nil, err` that err. One that
---  answered nil alone stands in neither table
function server.multi_call(nodes, name, msg, timeout)
  options.argument(nodes, "names", "server.multi_call", "nodes")
  options.argument(name, "string", "server.multi_call", "name")
  if timeout == nil then timeout = MULTI_CALL_MS end
  timeout = options.timeout(timeout, "server.multi_call")
  local refs = {}
  local ok, replies, errs = pcall(ask_all, nodes, refs, name, msg, timeout)
  if ok then return replies, errs end
  abandon(refs)
  error(replies, 2)
end

-- Are two reasons the same value?
local function same(a, b)
  if rawequal(a, b) then return true end
  if type(a) ~= "table" or type(b) ~= "table" then return false end
  for key, value in pairs(a) do
    if not same(value, rawget(b, key)) then return false end
  end
  for key in pairs(b) do
    if rawget(a, key) == nil then return false end
  end
  return true
end

--- Stops a server in order: its terminate runs, calls that it has not read
-- answer the reason. Yields until the process is gone.
---@param dest banyan.Pid|string|table  as for call
---@param reason? any  default "normal"
---@param timeout? integer|string  milliseconds, default no limit; the server
---  ends all the same when they have passed
---@return true|nil ok  true if it ended for this reason
---@return any err  "noproc", "noconnection", "timeout", "calling_self", or
---  the other reason for which it ended
function server.stop(dest, reason, timeout)
  options.timeout(timeout, "server.stop")
  if reason == nil then reason = "normal" end
  local _, err =
    call(dest, { "$system", "stop", reason }, timeout or math.huge)
  if same(err, reason) then return true end
  return nil, err
end

--- Copies a server's state, for debugging. Yields.
---@param dest banyan.Pid|string|table  as for call
---@param timeout? integer|string  milliseconds, default 5000
---@return table|nil state  without its metatable
---@return any err  as for call, or {"bad_state", message} if the state holds
---  what cannot be sent
function server.get_state(dest, timeout)
  options.timeout(timeout, "server.get_state")
  return call(dest, { "$system", "get_state" }, timeout)
end

--- What a server shows of itself, for debugging. Yields.
---@param dest banyan.Pid|string|table  as for call
---@param timeout? integer|string  milliseconds, default 5000
---@return table|nil status  {pid=, parent=, label=, state=}: the state as
---  get_state has it, or as the module's format_status makes it
---@return any err  as for get_state
function server.get_status(dest, timeout)
  options.timeout(timeout, "server.get_status")
  return call(dest, { "$system", "get_status" }, timeout)
end

-- What `table` has, and nothing else, goes into `state`.
local function fill(state, table)
  for key in next, state do state[key] = nil end
  for key, value in next, table do rawset(state, key, value) end
end

-- Has fn work on a draft of the state, which is taken when it has returned.
local function on_draft(fn)
  return function(state)
    local draft = setmetatable({}, getmetatable(state))
    fill(draft, state)
    local result = fn(draft)
    if result ~= nil and result ~= draft then return result end
    fill(state, draft)
  end
end

--- Changes a server's state from outside, for debugging. Yields. On the
-- server's own node only: functions do not travel.
---@param dest banyan.Pid|string|table  as for call
---@param fn fun(state: table): table|nil  runs in the server; it may change
---  the state it gets, or return another one. An error in it leaves the
---  server as it was, but for what is inside the tables of the state
---@param timeout? integer|string  milliseconds, default 5000
---@return table|nil state  a copy of the new state
---@return any err  as for get_state; {"error", message, traceback} from fn;
---  {"bad_return_value", type}
function server.replace_state(dest, fn, timeout)
  if type(fn) ~= "function" then
    error("server.replace_state: fn must be a function, got " .. type(fn), 2)
  end
  options.timeout(timeout, "server.replace_state")
  return call(dest, { "$system", "replace_state", on_draft(fn) }, timeout)
end

--- Asks, inside a handler, for the message "timeout" to handle_info when
-- nothing else arrives in that time after the handler has returned. System
-- requests such as get_state do not count. Does not yield.
---@function server.timeout
---@param ms integer|number|string|nil  milliseconds; math.huge, "infinity"
---  or nil: none after all
---@return true  an error outside of a server
server.timeout = core.server.timeout

--- What handle_call returns to answer later, with server.reply.
server.noreply = core.server.noreply

--- What init returns so that no server starts, without that being a failure.
server.ignore = core.server.ignore

--- Makes what a callback returns to end its server. Does not yield.
---@function server.stop_with
---@param reason any  not nil; "normal", "shutdown" and {"shutdown", x} are
---  ends in good order
---@param ... any  from handle_call: the reply, sent when terminate has run.
---  Without it the caller hears the reason
---@return userdata
server.stop_with = core.server.stop_with

--- Makes what a callback returns so that handle_continue(arg) runs before
-- any other message is read. Does not yield.
---@function server.continue
---@param arg any  handed on as it is
---@return userdata
server.continue = core.server.continue

return server
