--- Connecting a socket. Private to banyan.io.

local core = require "banyan.core"
local addresses = require "banyan.io.address"
local owner = require "banyan.io.owner"
local sockets = require "banyan.io.socket"
local uv = require "banyan.driver.uv"

local function on_connect(s, err)
  s.connected = err or true
  owner.wake(s)
end

local function has_connected(s)
  return s.connected ~= false
end

-- Begins, and waits. luv raises an error if an address is malformed.
local function connected(s, begin, deadline)
  local called, ok, why =
    pcall(begin, s.handle, owner.callback(s, on_connect))
  if not called or not ok then return nil, called and why or ok end
  ok, why = owner.wait(s, "connect", owner.left(deadline), has_connected)
  if not ok then return nil, why end
  return s.connected == true, s.connected
end

local function new_socket(new_handle, opts)
  return sockets.new(new_handle(), opts)
end

local function attempt(new_handle, opts, begin, deadline)
  local socket, s = core.unbroken(new_socket, new_handle, opts)
  local ok, why = owner.try(s, connected, s, begin, deadline)
  if ok then return socket end
  socket:close()
  return nil, addresses.code(why)
end

local function connect_tcp(at, opts, deadline)
  local hosts, why = addresses.resolve(at.host, owner.left(deadline))
  for _, host in ipairs(hosts or {}) do
    local socket
    socket, why = attempt(uv.new_tcp, opts, function(handle, done)
      handle:nodelay(true)
      return uv.tcp_connect(handle, host, at.port, done)
    end, deadline)
    if socket then return socket end
    if why == "timeout" then break end
  end
  return nil, why
end

local function new_pipe()
  return uv.new_pipe(false)
end

local function connect_pipe(at, opts, deadline)
  return attempt(new_pipe, opts, function(handle, done)
    return uv.pipe_connect(handle, at.path, done)
  end, deadline)
end

--- A connected socket of the caller. Yields.
---@param at table  of addresses.parse
---@param opts table  of the socket
---@param timeout integer|nil  milliseconds
---@return userdata|nil socket
---@return string|nil err  a code
return function(at, opts, timeout)
  local connect = at.path and connect_pipe or connect_tcp
  return connect(at, opts, owner.deadline(timeout))
end
