--- The driver on luv's default loop: sockets, timers and signals of a node.
--
-- One turn of the loop is one step of the node. Callbacks of luv only pass
-- input to the node. Before the loop blocks, `turn` runs the step, writes the
-- output of each link, and sets the timer to the next deadline.
--
--   poll: bytes, connections ----> node:received, :accepted, :connected ...
--   prepare: turn ---------------> node:step, then node:action until nil
--   timer, idle                    wake the loop at the deadline, or at once
--
-- An error in a callback would end the program, so each callback is guarded:
-- its error becomes an event. Besides the files here, only banyan.io and
-- banyan.peer know luv.

local uv = require "banyan.driver.uv"
local core = require "banyan.core"
local handles = require "banyan.driver.handles"
local name = require "banyan.name"
local targets = require "banyan.driver.targets"
local unix_path = require "banyan.unix_path"

local LINGER_MS = 1000 -- that the peer has to read the last bytes of a link
local BACKLOG = 512
local KEEPALIVE_S = 60
local RETRY_MS = 100 -- after a turn that failed
local MARK = 8 -- the first bytes of a connection, by which it may be claimed
local MARK_MS = 2000 -- that they may take
local UNMARKED = 1024 -- connections that have not sent them, at a time
local LONGEST_MS = 5000 -- timer: see Session:schedule

local Driver = { name = "luv", files = uv }

--- Functions that are called after each step, before the loop waits. They must
-- not raise. One that answers true is called again soon.
Driver.after_step = {}

--- Milliseconds of a clock that never goes back, and counts the time of a
-- suspended machine. The C node knows this function and reads the clock without
-- calling Lua.
---@return integer
Driver.clock = core.clock

--- Milliseconds of wall-clock time.
---@return integer
function Driver.wall()
  local seconds, micros = uv.gettimeofday()
  return seconds * 1000 + math.floor(micros / 1000)
end

--- Bytes from the system's source of secrets.
---@param n integer
---@return string
function Driver.entropy(n)
  return assert(uv.random(n))
end

-- --- errors ------------------------------------------------------------------

-- "econnrefused", from "ECONNREFUSED" or "ECONNREFUSED: connection refused".
local function code_of(err)
  return (tostring(err):match("^[%w_]+") or "error"):lower()
end

-- "connection refused", from the latter.
local function text_of(err)
  return (tostring(err):gsub("^[%u%d_]+: ", ""))
end

local function with_traceback(err)
  if type(err) ~= "string" then err = tostring(err) end
  return debug.traceback(err, 2)
end

-- --- listening ---------------------------------------------------------------

-- The host as a numeric address, or nil if it has to be resolved. "localhost"
-- is always the loopback address (RFC 6761, 6.3): only a node on that may use
-- the user's secret file, and a minimal system may not resolve the name.
local function numeric(host)
  if host:lower() == "localhost" then return "127.0.0.1" end
  local is = host:find("^%d+%.%d+%.%d+%.%d+$") or host:find(":", 1, true)
  return is and host or nil
end

-- What is asked of a resolver.
local HINTS = { socktype = "stream" }

-- The addresses that a resolver found for a host.
local function addresses(found)
  local list = {}
  for _, entry in ipairs(found) do list[#list + 1] = entry.addr end
  return list
end

local function resolve_now(host)
  if numeric(host) then return numeric(host) end
  local found, why = uv.getaddrinfo(host, nil, HINTS)
  if not found then return nil, why end
  return addresses(found)[1], "no address"
end

-- luv raises an error if an address is malformed. This returns nil, err then.
local function try(fn, ...)
  local ok, result, why = pcall(fn, ...)
  if not ok then return nil, result end
  return result, why
end

local function listen(address, on_connection)
  local host, why = resolve_now(address.host)
  local server, ok = uv.new_tcp(), nil
  if host then ok, why = try(uv.tcp_bind, server, host, address.port) end
  if ok then ok, why = try(uv.listen, server, BACKLOG, on_connection) end
  if ok then return server end
  handles.close(server)
  return nil, ("cannot listen on %s: %s"):format(name.show(address),
    text_of(why))
end

-- Where only this user's nodes of this machine connect.
local function listen_on_path(path, on_connection)
  local server = uv.new_pipe(false)
  local ok, why = unix_path.bind_for_user(server, path)
  if ok then ok, why = try(uv.listen, server, BACKLOG, on_connection) end
  if ok then return server end
  handles.close(server)
  return nil, ("cannot listen on unix:%s: %s"):format(path, text_of(why))
end

-- --- a session: one node on the loop -----------------------------------------

local Session = {}
Session.__index = Session

-- A callback that never raises: an error in `fn` becomes an event, if there is
-- memory for one.
function Session:guard(where, fn)
  local report = self.host.report
  return function(...)
    local ok, err = xpcall(fn, with_traceback, ...)
    if not ok then pcall(report, where, err) end
    return ok
  end
end

-- Handles are counted, so that `close` can wait until all of them are closed.
function Session:own(handle)
  self.handles = self.handles + 1
  return handle
end

function Session:drop(handle)
  if handle:is_closing() then return end
  handles.close(handle, self.on_closed)
end

-- --- links: from dial or accept to the close of the socket -------------------
--
-- A connection is in self.links from its first action to the end of the link.
-- After that it may linger, out of that table, until its last bytes are read.

function Session:lost(conn, reason)
  if self.links[conn.link] == conn then
    self.links[conn.link] = nil
    self.again = true
    self.core:closed(conn.link, reason, Driver.clock())
  end
  self:discard(conn)
end

function Session:discard(conn)
  if conn.stream then self:drop(conn.stream) end
  if conn.timer then self:drop(conn.timer) end
end

function Session:received(conn, err, data)
  if self.links[conn.link] ~= conn then
    if err or not data then self:discard(conn) end
  elseif err then
    self:lost(conn, code_of(err))
  elseif not data then
    self:lost(conn, "closed")
  else
    self.core:received(conn.link, data, Driver.clock())
  end
end

-- The socket is open in both directions.
function Session:opened(conn, on_read)
  on_read = on_read or self.received
  conn.open = true
  if not conn.path then
    conn.stream:nodelay(true)
    conn.stream:keepalive(true, KEEPALIVE_S)
  end
  conn.stream:read_start(self:guard("read", function(err, data)
    on_read(self, conn, err, data)
  end))
end

-- Where a connection comes from, "" if the system does not know any more. The
-- other end of a path has none of its own.
local function peer_address(conn)
  if conn.path then return "unix:" .. conn.path end
  local from = conn.stream:getpeername()
  return from and name.show { host = from.ip, port = from.port } or ""
end

-- A connection waits at `server`, which listens on `path` if it is a pipe.
-- There only this user's nodes connect, so it needs no mark.
function Session:accept(err, server, path)
  if err then return self.host.report("accept", code_of(err)) end
  local stream = self:own(path and uv.new_pipe(false) or uv.new_tcp())
  if not server:accept(stream) or self.leaving then return self:drop(stream) end
  local conn = { stream = stream, path = path }
  local claims = not path and self.core:kept().claims
  if claims and next(claims) and self.unmarked_count < UNMARKED then
    return self:await_mark(conn)
  end
  if self:admit(conn) then self:opened(conn) end
end

-- The node's own connection.
function Session:admit(conn)
  local link = self.core:accepted(Driver.clock(), peer_address(conn))
  if not link then return self:drop(conn.stream) end
  conn.link = link
  self.links[link] = conn
  return true
end

-- --- claims ------------------------------------------------------------------
--
-- While the node keeps `claims`, 8 bytes -> fn(stream, bytes, node), a
-- connection that begins with such bytes is not the node's: fn takes the stream
-- (stream.lua) over and answers true. Any other goes to the node with all its
-- bytes, as soon as they are known to be different; so does one that keeps
-- silent.

-- Loaded late, as they need this file.
local function stream_of(tcp)
  return require "banyan.driver.stream".of_tcp(tcp)
end

function Session:await_mark(conn)
  conn.head, conn.wait = "", self:own(uv.new_timer())
  self.unmarked[conn], self.unmarked_count = true, self.unmarked_count + 1
  conn.wait:start(MARK_MS, 0, self:guard("accept", function()
    self:marked(conn)
  end))
  self:opened(conn, self.look_for_mark)
end

function Session:look_for_mark(conn, err, data)
  if conn.link or err or not data then
    if not conn.link and not self:marked(conn) then return end
    return self:received(conn, err, data)
  end
  if not self.unmarked[conn] then return end
  conn.head = conn.head .. data
  if #conn.head >= MARK then self:marked(conn) end
end

-- What it is has shown, or will not. true: it is the node's.
function Session:marked(conn)
  local head = conn.head
  if not self.unmarked[conn] then return false end
  self.unmarked[conn], self.unmarked_count = nil, self.unmarked_count - 1
  self:drop(conn.wait)
  local claims = self.core:kept().claims
  local claim = #head >= MARK and claims and claims[head:sub(1, MARK)]
  if claim then
    conn.stream:read_stop()
    if claim(stream_of(conn.stream), head, self.core) then
      self.handles = self.handles - 1
    else
      self:drop(conn.stream)
    end
    return false
  end
  conn.head = nil
  if not self:admit(conn) then return false end
  if head ~= "" then self:received(conn, nil, head) end
  return true
end

-- One attempt with the stream of `conn`: begin(done). failed(why) if it fails.
function Session:attempt(conn, target, failed, begin)
  local stream = self:own(conn.path and uv.new_pipe(false) or uv.new_tcp())
  conn.stream = stream
  local function fail(why)
    if self.links[conn.link] ~= conn then return end
    self:drop(stream)
    failed(why)
  end
  local done = self:guard("connect", function(err)
    if err then return fail(err) end
    if self.links[conn.link] ~= conn then return end
    self:opened(conn)
    self.core:connected(conn.link, Driver.clock(), target.text)
  end)
  local ok, why = try(begin, stream, done)
  if not ok then fail(why) end
end

-- Tries the addresses of a host one after the other.
function Session:dial_hosts(conn, target, hosts, i)
  self:attempt(conn, target, function(why)
    if not hosts[i + 1] then return self:dial_next(conn, code_of(why)) end
    self:dial_hosts(conn, target, hosts, i + 1)
  end, function(stream, done)
    return uv.tcp_connect(stream, hosts[i], target.port, done)
  end)
end

function Session:dial_host(conn, target)
  local host = numeric(target.host)
  if host then return self:dial_hosts(conn, target, { host }, 1) end
  local done = self:guard("resolve", function(err, found)
    if self.links[conn.link] ~= conn then return end
    local hosts = found and addresses(found) or {}
    if #hosts == 0 then
      return self:dial_next(conn, code_of(err or "enoent"))
    end
    self:dial_hosts(conn, target, hosts, 1)
  end)
  local ok, why = uv.getaddrinfo(target.host, nil, HINTS, done)
  if not ok then self:dial_next(conn, code_of(why)) end
end

function Session:dial_path(conn, target)
  conn.path = target.path
  self:attempt(conn, target, function(why)
    conn.path = nil
    self:dial_next(conn, code_of(why))
  end, function(stream, done)
    return uv.pipe_connect(stream, target.path, done)
  end)
end

-- The next place where the node may be; `why` the last one has failed.
function Session:dial_next(conn, why)
  local target = table.remove(conn.targets, 1)
  if not target then return self:lost(conn, why) end
  local dial = target.path and self.dial_path or self.dial_host
  dial(self, conn, target)
end

function Session:dial(link, ...)
  local conn = { link = link, targets = targets.of(...) }
  self.links[link] = conn
  self:dial_next(conn, "bad_name")
end

-- The node gives a link's next bytes only when `written` has confirmed these,
-- so at most one write of each link waits in luv.
function Session:write(link, bytes)
  local conn = self.links[link]
  if not conn then return end
  local n = uv.try_write(conn.stream, bytes) or 0
  if n > 0 then
    self.again = true
    self.core:written(link, n, Driver.clock())
  end
  local rest = #bytes - n
  if rest == 0 then return end
  local done = self:guard("write", function(err)
    if err then return self:lost(conn, code_of(err)) end
    if self.links[link] == conn then
      self.core:written(link, rest, Driver.clock())
    end
  end)
  local ok, why = uv.write(conn.stream, bytes:sub(n + 1), done)
  if not ok then self:lost(conn, code_of(why)) end
end

-- Closing a socket while bytes are unread or unsent would lose the last bytes
-- of the link. So this shuts down its sending side and waits, for a limited
-- time, until the peer has closed its side too.
function Session:hang_up(link)
  local conn = self.links[link]
  self.links[link] = nil
  if not conn then return end
  if not conn.open or not uv.shutdown(conn.stream) then
    return self:discard(conn)
  end
  conn.timer = self:own(uv.new_timer())
  conn.timer:start(LINGER_MS, 0, self:guard("linger", function()
    self:discard(conn)
  end))
end

-- --- the turn ----------------------------------------------------------------

local function wake_up() end

function Session:act()
  while true do
    local what, link, more, address, own, doubted = self.core:action()
    if not what then return end
    if what == "write" then
      self:write(link, more)
    elseif what == "dial" then
      self:dial(link, more, address, own, doubted)
    else
      self:hang_up(link)
    end
  end
end

-- The clock of the loop stands still while the machine is suspended, so its
-- timer may end late by as long as it was set for.
function Session:schedule(deadline)
  local now = Driver.clock()
  local busy = self.again or deadline and deadline <= now
  if busy ~= self.busy then
    self.busy = busy
    if busy then self.idle:start(function() end) else self.idle:stop() end
  end
  if busy or deadline == self.armed then return end
  self.armed = deadline
  if not deadline then return self.timer:stop() end
  uv.update_time() -- the step took time that the loop does not know of
  self.timer:start(math.min(deadline - now, LONGEST_MS), 0,
    function() self.armed = nil end)
end

function Session:turn()
  self:rearm()
  self.again = false
  local deadline
  if not self.leaving then deadline = self.core:step(Driver.clock()) end
  self:act()
  for _, fn in ipairs(Driver.after_step) do
    if fn() then
      deadline = math.min(deadline or math.huge, Driver.clock() + RETRY_MS)
    end
  end
  if self.host.dispatch() then self.again = true end
  self:schedule(deadline)
end

--- There is something to do for the node: the loop does not wait.
function Session:wake()
  self.again = true
  if self.busy then return end
  self.busy = true
  self.idle:start(wake_up)
end

-- After a turn that failed, the next one waits: a lasting error must not spin.
-- Needs no memory: it may be for want of that.
function Session:calm()
  self.busy, self.armed = false, nil
  self.idle:stop()
  self.timer:start(RETRY_MS, 0, wake_up)
end

function Session:check_goals()
  local i = 1
  while self.goals[i] do
    if self.core and self.goals[i].is_true() then
      table.remove(self.goals, i).reached()
    else
      i = i + 1
    end
  end
end

-- --- signals -----------------------------------------------------------------

-- The handle is one-shot: from the signal to the next turn, the system's own
-- action is in force. So a second Ctrl-C ends the program if a process loops
-- without end. `rearm` watches the signal again at the beginning of a turn.
function Session:watch(signal)
  local handle = self:own(uv.new_signal())
  self.signals[signal] = handle
  uv.signal_start_oneshot(handle, signal, self:guard("signal", function()
    self.seen[signal] = true
    self.on_signal(signal)
  end))
end

function Session:rearm()
  for signal in pairs(self.seen) do
    self.seen[signal] = nil
    self:drop(self.signals[signal])
    self:watch(signal)
  end
end

--- Calls `fn` on SIGINT and SIGTERM, which then do not end the program.
---@param fn fun(signal: string)
function Session:on_signals(fn)
  self.on_signal = fn
  self:watch("sigint")
  self:watch("sigterm")
end

-- --- closing -----------------------------------------------------------------

--- Is the loop running already? Then `pump` must not be called.
---@return boolean
function Session.is_inside()
  return uv.loop_mode() ~= nil
end

--- Calls `reached` at the end of the first turn in which `goal` is true.
---@param goal fun(): boolean
---@param reached fun()
function Session:when(goal, reached)
  self.goals[#self.goals + 1] = { is_true = goal, reached = reached }
end

-- Has the program closed what is the node's, as uv.walk(close) does?
function Session:is_broken()
  return self.core ~= nil and self.prepare:is_closing()
end

--- Runs the loop until `goal` is true, or the session is closed.
---@param goal fun(): boolean
---@return true|nil ok
---@return string|nil err  the loop cannot go on
function Session:pump(goal)
  local done = false
  self:when(goal, function()
    done = true
    uv.stop()
  end)
  self.pumping = true
  while not done and self.core and not self:is_broken() do uv.run() end
  self.pumping = false
  if not done and self:is_broken() then
    local why = "the node's handles were closed by the program"
    self.host.report("loop", why)
    self.host.dispatch()
    return nil, why
  end
  while not self.core and self.handles > 0 do uv.run("once") end
  return true
end

-- By default SIGPIPE ends a program that writes to a connection which the peer
-- has closed. A handler for it makes that an error of the write. It stays until
-- the program ends, because sockets may outlive their node.
local pipe_signal

local function survive_broken_pipes()
  if pipe_signal and not pipe_signal:is_closing() then return end
  pipe_signal = uv.new_signal()
  pipe_signal:start("sigpipe", function() end)
  pipe_signal:unref()
end

-- Closes all handles of the node, except for connections that linger.
function Session:release()
  for link, conn in pairs(self.links) do
    self.links[link] = nil
    self:discard(conn)
  end
  for conn in pairs(self.unmarked) do
    self:drop(conn.wait)
    self:drop(conn.stream)
  end
  for _, handle in pairs(self.signals) do self:drop(handle) end
  self:drop(self.idle)
  self:drop(self.timer)
  self:drop(self.prepare)
  self.core = nil
  if self.pumping then uv.stop() end
end

--- Closes all links, then the node and all handles. A peer that does not read
-- delays that by at most LINGER_MS. If the loop is not running, this runs it
-- until all is closed; otherwise all is closed while the loop runs on.
---@param finish fun()  closes the node itself
function Session:close(finish)
  self.leaving = true
  if self:is_broken() then
    finish()
    return self:release()
  end
  self.core:shutdown()
  local from = Driver.clock()
  local function gone()
    return not next(self.links) or Driver.clock() - from >= LINGER_MS
  end
  -- Who is refused takes this node for dead: so the server goes last.
  local function last()
    self:stop_listening()
    finish()
    self:release()
  end
  -- Wakes the loop at the time limit, if no input does.
  self.timer:start(LINGER_MS, 0, function() end)
  self.armed = nil
  if self:is_inside() then return self:when(gone, last) end
  self:pump(gone)
  last()
  handles.hurry(LINGER_MS)
  while self.handles > 0 or handles.count > 0 do uv.run("once") end
end

local function drop_servers(self)
  for _, server in ipairs(self.servers) do self:drop(server) end
end

function Session:stop_listening()
  unix_path.close(self.host.path, self.path_id, drop_servers, self)
end

-- Listens where the host says. Who finds the port is to find the path, too.
function Session:listen()
  local host = self.host
  local function add(open, at, path)
    local server, why
    server, why = open(at, self:guard("accept", function(err)
      self:accept(err, server, path)
    end))
    if not server then return nil, why end
    self.servers[#self.servers + 1] = self:own(server)
    return true
  end
  local ok, why = true, nil
  if host.path then ok, why = add(listen_on_path, host.path, host.path) end
  self.path_id = ok and host.path and unix_path.id(host.path) or nil
  if ok and host.listen then ok, why = add(listen, host.listen) end
  if ok then return true end
  self:stop_listening()
  return nil, why
end

--- Puts a node on the loop.
---@param host table  core: the node; listen: {host=, port=} or nil; path: of a
---  Unix socket to listen on, or nil; report(where, err): makes an event of an
---  error; dispatch() -> boolean: passes events to on_event, true if there were
---  any. Neither raises.
---@return table|nil session
---@return string|nil err  the address cannot be listened on
function Driver.open(host)
  survive_broken_pipes()
  local session = setmetatable({
    host = host,
    core = host.core,
    links = {},
    signals = {},
    seen = {},
    goals = {},
    unmarked = {}, -- set of connections
    unmarked_count = 0,
    servers = {},
    handles = 0,
    busy = false,
  }, Session)
  session.on_closed = handles.closer(function()
    session.handles = session.handles - 1
  end)
  local fine, why = session:listen()
  if not fine then return nil, why end
  session.idle = session:own(uv.new_idle())
  session.timer = session:own(uv.new_timer())
  session.prepare = session:own(uv.new_prepare())
  local turn = session:guard("turn", function() session:turn() end)
  local check_goals = session:guard("end", function() session:check_goals() end)
  session.prepare:start(function()
    if handles.exiting then return end
    local turned = turn()
    local checked = check_goals()
    if not (turned and checked) and session.core then session:calm() end
  end)
  return session
end

return Driver
