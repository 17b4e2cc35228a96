--- Ports for nodes that are started on this machine. Private to this library.

local handles = require "banyan.driver.handles"
local uv = require "banyan.driver.uv"

local port = {}

--- A port of a host that nobody has bound. The socket that binds it now keeps
-- it until its owner closes it, as soon as the node listens there: the system
-- allows that for a socket that does not listen. Elsewhere there is none.
---@param host string
---@return integer|nil port
---@return userdata|nil socket
function port.find(host)
  local socket = uv.new_tcp()
  local function try(address)
    local _, ok = pcall(socket.bind, socket, address, 0)
    return ok == 0 or ok == true
  end
  local bound = try(host == "localhost" and "127.0.0.1" or host)
    or try "0.0.0.0"
  local name = bound and socket:getsockname()
  if uv.os_uname().sysname == "Linux" and name then return name.port, socket end
  handles.close(socket)
  return name and name.port
end

--- The node has its port, or needs none.
---@param socket userdata|nil  of find
function port.release(socket)
  if socket then handles.close(socket) end
end

return port
