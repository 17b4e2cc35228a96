--- Addresses of sockets: "host:port", "[::1]:port", "unix:path". Private to
-- this library. luv is loaded where a resolver has to be asked: there may be
-- none under lockstep.

local core = require "banyan.core"
local guard = require "banyan.guard"
local nodes = require "banyan.address"

local address = {}

local HINTS = { socktype = "stream" }

--- "econnrefused", from "ECONNREFUSED: connection refused".
---@param err string
---@return string
function address.code(err)
  return (tostring(err):match("^[%w_]+") or "error"):lower()
end

--- Reads an address.
---@param text string
---@return { path: string }|{ host: string, port: integer }|nil parsed
---@return any err  {"bad_address", text}, "enametoolong"
function address.parse(text)
  local path = text:match("^unix:(.+)$")
  if path and #path > nodes.LONGEST_PATH then return nil, "enametoolong" end
  if path and not path:find("%z") then return { path = path } end
  local host, port = text:match("^%[([%x:.%%%w]+)%]:(%d+)$")
  if not host then host, port = text:match("^([^:%[%]%s%z]+):(%d+)$") end
  port = tonumber(port)
  if path or not host or port > 65535 then
    return nil, core.reason { "bad_address", text }
  end
  return { host = host, port = port }
end

--- What luv says of an end of a socket, as an address.
---@param name table|string|nil  of getsockname or getpeername
---@return string
function address.show(name)
  if type(name) ~= "table" then return "unix:" .. (name or "") end
  local form = name.family == "inet6" and "[%s]:%d" or "%s:%d"
  return form:format(name.ip, name.port)
end

-- "localhost" is always the loopback address (RFC 6761, 6.3): a minimal system
-- may not resolve it.
local function numeric(host)
  if host:lower() == "localhost" then return "127.0.0.1" end
  local is = host:find("^%d+%.%d+%.%d+%.%d+$") or host:find(":", 1, true)
  return is and host or nil
end

--- The numeric addresses of a host. Yields where a resolver has to be asked.
---@param host string
---@param timeout integer|nil  milliseconds
---@return string[]|nil hosts  at least one
---@return string|nil err  "timeout", or a code such as "eai_noname"
function address.resolve(host, timeout)
  if numeric(host) then return { numeric(host) } end
  local uv = require "banyan.driver.uv"
  local done = core.await_begin()
  local request, refused = uv.getaddrinfo(host, nil, HINTS,
    guard.wrap(core.self(), done))
  if not request then return nil, address.code(refused) end
  local err, found = core.await_wait(done, timeout)
  if found == "timeout" then
    uv.cancel(request)
    return nil, "timeout"
  end
  local hosts = {}
  for _, entry in ipairs(found or {}) do hosts[#hosts + 1] = entry.addr end
  if #hosts == 0 then return nil, address.code(err or "enoent") end
  return hosts
end

return address
