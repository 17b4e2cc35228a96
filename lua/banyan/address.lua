--- Addresses of nodes: what the option `address` may be, and what is made of
-- the addresses that other nodes tell. Private to this library.
--
-- A node has at most one address of each kind. As text, which is what nodes
-- tell each other, they stand one after the other with a blank between; of what
-- others tell, anything else is passed over.

local names = require "banyan.name"

local address = {}

--- Bytes of the longest path that every system takes; libuv cuts longer ones.
address.LONGEST_PATH = 103

local KINDS = '"tcp://host:port" and "unix:/path"'

local function read_path(path)
  if path:sub(1, 1) ~= "/" then
    return nil, "the path must be a whole one, from / on: others dial it"
  end
  if path:find "[%s%c]" then return nil, "the path has a blank in it" end
  if #path > address.LONGEST_PATH then
    return nil, ("the path of a Unix socket has at most %d bytes")
      :format(address.LONGEST_PATH)
  end
  return path
end

local function read_tcp(text)
  if text:find "[%s%c]" then return nil, "it has a blank in it" end
  local at, why = names.address(text, 0)
  if not at then return nil, why end
  if at.port == 0 then return nil, "the port is missing" end
  return at
end

-- One address, into `result`. false, why
local function read_one(text, result)
  local scheme = text:match "^([%w+.-]+):"
  local kind, value, why
  if scheme == "unix" then
    kind, value, why = "path", read_path(text:sub(6))
  elseif text:find "^tcp://" then
    kind, value, why = "tcp", read_tcp(text:sub(7))
  else
    why = ("there are %s"):format(KINDS)
  end
  if not value then return false, ("%q is no address of a node: %s")
    :format(text, why) end
  if result[kind] then
    return false, ("%q is the second one of its kind"):format(text)
  end
  result[kind] = value
  return true
end

--- Reads what a program says: a text or a list of them.
---@param value any
---@return table|nil read  path, tcp = {host, port}, text
---@return string|nil err  what is wrong with it
function address.parse(value)
  local list = type(value) == "table" and value or { value }
  local result, count = {}, 0
  for _ in pairs(list) do count = count + 1 end
  for i = 1, count do
    if type(list[i]) ~= "string" then
      return nil, "an address, or a list of addresses, expected: " .. KINDS
    end
    local fine, why = read_one(list[i], result)
    if not fine then return nil, why end
  end
  if count == 0 then return nil, "there is no address in the list" end
  result.text = table.concat(list, " ")
  return result
end

--- Reads what a node has told.
---@param text string
---@return table read  path, tcp; either may be missing
function address.read(text)
  local result = {}
  for word in text:gmatch "%S+" do read_one(word, result) end
  return result
end

return address
