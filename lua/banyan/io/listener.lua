--- A listening socket that belongs to a process. See banyan.io.
--
-- libuv holds at most one connection that was not accepted yet, and does not
-- look for another meanwhile: the rest waits in the kernel.

local core = require "banyan.core"
local addresses = require "banyan.io.address"
local handles = require "banyan.driver.handles"
local options = require "banyan.options"
local owner = require "banyan.io.owner"
local sockets = require "banyan.io.socket"
local unix_path = require "banyan.unix_path"
local uv = require "banyan.driver.uv"

local BACKLOG = 512
local RETRY_MS = 100 -- after an accept that failed, such as for want of files

---@class banyan.Listener
local Listener = {}
local class = { __index = Listener, __name = "listener" }

local M = {}

-- The fields of a listener's table, besides those of owner.lua:
--
--   opts           of the sockets that it accepts
--   is_pipe        are they Unix sockets?
--   pending        a connection can be accepted
--   failed         an error that the next accept answers, or false

local function on_connection(l, err)
  if not l.handle then return end
  if err then
    l.failed = err
  else
    l.pending = true
  end
  owner.wake(l)
end

-- The connection still waits if memory is too short for its socket.
local function take_connection(l)
  local socket, s =
    sockets.new(l.is_pipe and uv.new_pipe(false) or uv.new_tcp(), l.opts)
  local ok, why = l.handle:accept(s.handle)
  l.pending = false
  if not ok then
    owner.close(s)
    return nil, addresses.code(why)
  end
  if not l.is_pipe then s.handle:nodelay(true) end
  return socket
end

local function has_come(l)
  return l.pending or l.failed
end

-- As the method accept.
local function accept(l, deadline)
  while l.handle do
    if l.pending then return core.unbroken(take_connection, l) end
    local failed = l.failed
    l.failed = false
    if failed then return nil, addresses.code(failed) end
    local came, why =
      owner.wait(l, "accept", owner.left(deadline), has_come)
    if not came then return nil, why end
  end
  return nil, "closed"
end

--- Waits for a connection. Yields while there is none.
---@param timeout? integer|number|string  milliseconds, no limit by default
---@return banyan.Socket|nil socket  of the caller, with the listener's options
---@return string|nil err  "timeout"; "closed": the listener is closed; or a
---  code such as "emfile". An error if it belongs to another process
function Listener:accept(timeout)
  local l = owner.check(self, class, "listener:accept")
  timeout = options.timeout(timeout, "listener:accept", 2)
  return accept(l, owner.deadline(timeout))
end

--- The address that it listens on, with the port that the system chose for
-- port 0. Does not yield.
---@return string|nil address
---@return string|nil err  "closed". An error if the listener belongs to another
---  process
function Listener:address()
  local l = owner.check(self, class, "listener:address")
  if not l.handle then return nil, "closed" end
  return addresses.show(l.handle:getsockname())
end

local function release(l)
  if not l.handle then return end
  unix_path.close(l.path, l.path_id, handles.close, l.handle)
  l.handle = false
end

--- Stops to listen: the address is free when this returns. Does not yield. A
-- second call does nothing.
---@return true  an error if the listener belongs to another process
function Listener:close()
  core.unbroken(owner.close, owner.check(self, class, "listener:close"))
  return true
end

--- Makes another process the owner. Does not yield.
---@param pid banyan.Pid  of this node; that of another is an error
---@return true|nil ok
---@return string|nil err  "noproc": it has ended, and the caller is the owner
---  still; "closed": the listener is closed. An error if it belongs to another
---  process
function Listener:give(pid)
  local l = owner.check(self, class, "listener:give")
  return owner.give(l, pid, "listener:give")
end

-- --- serving -----------------------------------------------------------------

-- Counts the connections that are over; with `wait` it waits for the first.
local function count_ends(counter, wait)
  local message = core.receive(not wait and 0 or nil)
  while message ~= nil do
    if type(message) == "table" and counter.refs[message.ref] then
      counter.refs[message.ref] = nil
      counter.n = counter.n - 1
    end
    message = core.receive(0)
  end
end

-- Called in core.unbroken: when the process runs, it owns the socket.
local function start_connection(socket, fn, counter)
  if not counter then
    socket:give(core.spawn(fn, socket))
    return
  end
  local pid, ref = core.spawn_monitor(fn, socket)
  counter.refs[ref] = true
  counter.n = counter.n + 1
  socket:give(pid)
end

local function serve(l, fn, most)
  local counter = most and { n = 0, refs = {} }
  while true do
    if counter then
      count_ends(counter, false)
      while counter.n >= most do count_ends(counter, true) end
    end
    local socket, why = accept(l)
    if socket then
      core.unbroken(start_connection, socket, fn, counter)
    elseif why == "closed" then
      return
    else
      core.event("accept_failed", { reason = why, pid = core.self() })
      core.sleep(RETRY_MS)
    end
  end
end

local serve_schema = { max_connections = "positive" }

--- The options of Listener:serve.
---@class banyan.ServeOptions
--- With so many connections at a time no other is accepted, until one of them
--- ends; no limit by default.
---@field max_connections? integer

--- Starts a process, linked to the caller, that takes the listener over and
-- accepts connections. For each a process runs fn(socket), which owns the
-- socket: when it ends the socket is closed, and when it crashes nothing else
-- ends. It is linked to nobody, and goes on if the acceptor ends. So this is
-- the last line of a start function of a supervisor. Does not yield.
---@param fn fun(socket: banyan.Socket)
---@param opts? banyan.ServeOptions
---@return banyan.Pid|nil pid
---@return string|nil err  "closed": the listener is closed. An error if it
---  belongs to another process
function Listener:serve(fn, opts)
  local l = owner.check(self, class, "listener:serve")
  if type(fn) ~= "function" then
    error("listener:serve: fn must be a function, got " .. type(fn), 2)
  end
  opts = options.check("listener:serve", opts, serve_schema, 2)
  if not l.handle then return nil, "closed" end
  local most = opts.max_connections
  local pid = core.spawn_link(function() serve(l, fn, most) end)
  owner.give(l, pid, "listener:serve")
  return pid
end

--- Closes the listener where it is a to-be-closed variable of Lua 5.4.
class.__close = function(self) Listener.close(self) end

class.__tostring = function(self)
  local l = core.referent(self, class)
  return ("listener<%s>"):format(l.handle and tostring(l.owner) or "closed")
end

-- --- making ------------------------------------------------------------------

-- luv raises an error if an address is malformed. This answers nil, err then.
local function try(fn, ...)
  local ok, result, why = pcall(fn, ...)
  if not ok then return nil, result end
  return result, why
end

local function bind_tcp(l, at)
  local hosts, why = addresses.resolve(at.host)
  if not hosts then return nil, why end
  return try(uv.tcp_bind, l.handle, hosts[1], at.port)
end

local function bind_pipe(l, at)
  local ok, why = unix_path.bind(l.handle, at.path)
  if ok then l.path, l.path_id = at.path, unix_path.id(at.path) end
  return ok, why
end

local function new_handle(is_pipe, opts)
  return owner.take {
    handle = is_pipe and uv.new_pipe(false) or uv.new_tcp(),
    is_pipe = is_pipe, opts = opts, release = release,
    pending = false, failed = false,
  }
end

local function bind_and_listen(l, at)
  local bind = l.is_pipe and bind_pipe or bind_tcp
  local ok, why = bind(l, at)
  if ok then
    ok, why = try(uv.listen, l.handle, BACKLOG,
      owner.callback(l, on_connection))
  end
  if ok then return core.reference(l, class) end
  core.unbroken(owner.close, l)
  return nil, addresses.code(why)
end

--- A listener of the caller. Yields.
---@param at table  of addresses.parse
---@param opts table  of the sockets
---@return userdata|nil listener
---@return string|nil err  a code
function M.new(at, opts)
  local is_pipe = at.path ~= nil
  local l = core.unbroken(new_handle, is_pipe, opts)
  return owner.try(l, bind_and_listen, l, at)
end

return M
