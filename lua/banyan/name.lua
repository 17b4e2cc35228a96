--- Parses names of nodes, "a@host:port", and addresses.
--
-- Other nodes dial a node by its name, so the name has the host and the port.
-- An IPv6 address is in brackets: "a@[::1]:9101".

local name = {}

local NAME_MAX = 255 -- bytes, BYN_NAME_MAX of the wire format

local function port_of(text)
  local port = tonumber(text)
  if not port or not text:find("^%d+$") or port < 1 or port > 65535 then
    return nil, ("%q is no port (1 to 65535)"):format(text)
  end
  return math.floor(port)
end

local function host_of(text)
  if text == "" then return nil, "the host is missing" end
  if text:find("[%s%c@%[%]]") then
    return nil, ("%q is no host"):format(text)
  end
  return text
end

--- Splits an address.
---@param text string  "host", "host:port", "[v6]" or "[v6]:port"
---@return string|nil host  nil if the address is malformed
---@return integer|string|nil port  nil if there is none; what is wrong, if host
---  is nil
local function split(text)
  local inner, rest = text:match("^%[([^%]]*)%](.*)$")
  if inner then
    if not inner:find("^[%x:.]+$") then
      return nil, ("%q is no IPv6 address"):format(inner)
    end
    if rest == "" then return inner end
    if rest:sub(1, 1) ~= ":" then
      return nil, ('after "]" comes ":port", not %q'):format(rest)
    end
    local port, why = port_of(rest:sub(2))
    if not port then return nil, why end
    return inner, port
  end
  local _, colons = text:gsub(":", "")
  if colons > 1 then
    return nil, "an IPv6 address stands in brackets: [::1]:9101"
  end
  local host, port = text:match("^([^:]*):(.*)$")
  local why
  if not host then return host_of(text) end
  host, why = host_of(host)
  if not host then return nil, why end
  port, why = port_of(port)
  if not port then return nil, why end
  return host, port
end

--- Splits a node's name.
---@param text string  "a@host:port"
---@return { host: string, port: integer }|nil
---@return string|nil err  what is wrong with the name
function name.parse(text)
  local function bad(why)
    return nil, ("%q is no node name, \"a@host:port\": %s"):format(text, why)
  end
  if #text > NAME_MAX then
    return nil, ("a node name has at most %d bytes"):format(NAME_MAX)
  end
  if text:find("[%s%c]") then return bad("it has a blank in it") end
  local left, right = text:match("^([^@]*)@(.*)$")
  if not left then return bad('"@" is missing') end
  if left == "" then return bad('nothing stands before "@"') end
  local host, port = split(right)
  if not host then return bad(port) end
  if not port then return bad("the port is missing") end
  return { host = host, port = port }
end

--- Splits an address to listen on.
---@param text string  "host" or "host:port"
---@param port integer  used if the text has none
---@return { host: string, port: integer }|nil
---@return string|nil err  what is wrong with the address
function name.address(text, port)
  local host, other
  local _, colons = text:gsub(":", "")
  if colons > 1 and text:find("^[%x:.]+$") then
    host = text -- a bare IPv6 address has no port
  else
    host, other = split(text)
  end
  if not host then
    return nil, ("%q is no address: %s"):format(text, other)
  end
  return { host = host, port = other or port }
end

--- Can only this machine reach that address?
---@param host string
---@return boolean
function name.is_loopback(host)
  return host:find("^127%.%d+%.%d+%.%d+$") ~= nil or host == "::1"
    or host:lower() == "localhost"
end

--- An address as text, "host:port" or "[v6]:port".
---@param address { host: string, port: integer }
---@return string
function name.show(address)
  local form = address.host:find(":", 1, true) and "[%s]:%d" or "%s:%d"
  return form:format(address.host, address.port)
end

return name
