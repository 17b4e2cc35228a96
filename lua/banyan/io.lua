--- Sockets that belong to processes: TCP and Unix, on luv's loop.
--
-- A socket or a listener belongs to the process that made it, or that was given
-- it. It is closed when that process ends, for whatever reason, before anybody
-- hears of the end. Nobody else may use it: error(). It may be sent within its
-- node, and goes by reference then. Functions that yield hold up the process
-- that calls them, and no other.
--
--     local listener = assert(io.listen("127.0.0.1:8080"))
--     listener:serve(function(socket)
--       for line in socket:lines() do socket:write(line .. "\n") end
--     end)
--
-- An address is "host:port" (port 0: a free one), "[::1]:port" or "unix:path".
-- Needs a node with the driver "luv". With another driver, under lockstep, and
-- outside of a process these functions are misuse.

local core = require "banyan.core"
core.skip_in_errors()
local options = require "banyan.options"

local io = {}

local HIGH_WATER = 1024 * 1024
local MAX_LINE = 65536
local CONNECT_MS = 10000

local socket_schema = { high_water = "positive", max_line = "positive" }
local connect_schema = {
  high_water = "positive", max_line = "positive", timeout = "timeout",
}

local function check_driver(what)
  core.self(what)
  local driver = core.driver()
  if driver == "luv" then return end
  if driver == "lockstep" then
    error(what .. ": there are no sockets under lockstep; have a process of "
      .. "the test send the messages that a socket would", 3)
  end
  error(('%s: needs a node with the driver "luv"; this one has %s'):format(what,
    driver and ("%q"):format(driver) or "none"), 3)
end

-- The parts are loaded late: a program without luv may load this module, and is
-- told by check_driver.
local function parts()
  return require "banyan.io.address", require "banyan.io.listener",
    require "banyan.io.socket", require "banyan.io.connect"
end

local function check(what, text, opts, schema)
  if type(text) ~= "string" then
    error(("%s: the address must be a string, got %s"):format(what, type(text)),
      3)
  end
  opts = options.check(what, opts, schema, 3)
  check_driver(what)
  return {
    high_water = opts.high_water or HIGH_WATER,
    max_line = opts.max_line or MAX_LINE,
  }, opts
end

--- The options of sockets.
---@class banyan.SocketOptions
--- Bytes (1 MiB) that may be unsent before a write waits.
---@field high_water? integer
---@field max_line? integer  bytes (65536) of a line, at most

--- The options of io.connect.
---@class banyan.ConnectOptions: banyan.SocketOptions
---@field timeout? integer|number|string  milliseconds; 10000 by default

--- Listens. The listener belongs to the caller. A path that a Unix socket was
-- left on, where nobody listens any more, is replaced. Yields only to resolve
-- the name of a host and to try such a path.
---@param address string
---@param opts? banyan.SocketOptions  of the sockets that it accepts
---@return banyan.Listener|nil listener
---@return any err  "eaddrinuse" and other codes; {"bad_address", address}
function io.listen(address, opts)
  local settings = check("banyan.io.listen", address, opts, socket_schema)
  local addresses, listeners = parts()
  local at, why = addresses.parse(address)
  if not at then return nil, why end
  return listeners.new(at, settings)
end

--- Connects. The socket belongs to the caller. Of a name with several addresses
-- each is tried. Yields.
---@param address string
---@param opts? banyan.ConnectOptions
---@return banyan.Socket|nil socket
---@return any err  "timeout", "econnrefused" and other codes; {"bad_address",
---  address}
function io.connect(address, opts)
  local settings, given =
    check("banyan.io.connect", address, opts, connect_schema)
  local timeout = given.timeout == nil and CONNECT_MS or given.timeout
  timeout = options.timeout(timeout, "banyan.io.connect", 2)
  local addresses, _, _, connect = parts()
  local at, why = addresses.parse(address)
  if not at then return nil, why end
  return connect(at, settings, timeout)
end

return io
