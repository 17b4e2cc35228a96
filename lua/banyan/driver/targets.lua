--- Where a node is dialled, one after the other. Private to the driver for luv.
--
-- A path comes first: it is faster, and what is not there or refuses costs
-- nothing. That says nothing of the node, since the path may be one of another
-- machine, or removed. So TCP comes after it in any case, and what that answers
-- is what became of the dial.
--
-- A refusal ends a session that is to be resumed, as it proves the end of the
-- node. It is taken of one place only: the node's own address over TCP, or what
-- its name says if it has told none. That comes last. At any other, somebody
-- else may have listened, who is gone.

local addresses = require "banyan.address"
local names = require "banyan.name"
local unix_path = require "banyan.unix_path"

local targets = {}

local function tcp(at)
  return at and {
    host = at.host, port = at.port, text = "tcp://" .. names.show(at),
  }
end

-- A place that the name says needs no text: only its node is meant there.
local function named(peer)
  local at = names.parse(peer)
  return at and { host = at.host, port = at.port }
end

local function path_in(read)
  if read.path and unix_path.may_be_dialled(read.path) then
    return { path = read.path, text = "unix:" .. read.path }
  end
end

--- The places of one dial; see csrc/lua/seam.h.
---@param peer string  the node's name
---@param text string|nil  its address
---@param own string|nil  where a session is to be resumed
---@param doubted boolean|nil
---@return table[] list  { path= } or { host=, port= }, and text
function targets.of(peer, text, own, doubted)
  local list, read = {}, addresses.read(text or "")
  local told, said = tcp(read.tcp), named(peer)
  local function add(target) list[#list + 1] = target end
  if not doubted then add(path_in(read)) end
  if text and own then
    local last = tcp(addresses.read(own).tcp) or said
    if told and not doubted and told.text ~= last.text then add(told) end
    add(last)
  elseif doubted then
    add(said)
    add(told)
  else
    add(told)
    add(said)
  end
  return list
end

return targets
