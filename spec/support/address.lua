--- Names for nodes of this machine.

local uv = require "luv"

local address = {}

--- A port that was free just now.
function address.free_port()
  local socket = uv.new_tcp()
  assert(socket:bind("127.0.0.1", 0))
  local port = socket:getsockname().port
  socket:close()
  return port
end

--- A node's name with such a port.
function address.fresh_name(short)
  return ("%s@127.0.0.1:%d"):format(short, address.free_port())
end

return address
