--- Names for nodes of this machine.

local uv = require "luv"

local address = {}

-- The port is below those that the system uses for outgoing connections (from
-- 32768 on Linux): one of these could take the port before the node does.
local FIRST, LAST = 15000, 32000

-- Nobody may listen there yet.
local given = {}

local function random_port()
  local a, b = uv.random(2):byte(1, 2)
  return FIRST + (a * 256 + b) % (LAST - FIRST)
end

local function is_free(port)
  local socket = uv.new_tcp()
  local free = socket:bind("127.0.0.1", port)
    and socket:listen(1, function() end)
  socket:close()
  return free
end

--- A port that is free now, and was not given before. The loop must turn once
-- more before the program ends: luv 1.44 crashes if a handle is still closing
-- then.
function address.free_port()
  local port
  repeat port = random_port() until not given[port] and is_free(port)
  given[port] = true
  return port
end

--- A node's name with such a port.
function address.fresh_name(short)
  return ("%s@127.0.0.1:%d"):format(short, address.free_port())
end

return address
