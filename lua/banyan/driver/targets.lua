--- Where a node is dialled, one after the other. Private to the driver for luv.
--
-- A path comes first: it is faster, and what is not there or refuses costs
-- nothing. That says nothing of the node, since the path may be one of another
-- machine, or removed. So TCP comes after it in any case, and what that answers
-- is what became of the dial.
--
-- A refusal ends a session that is to be resumed, as it proves the end of the
-- node. There is only one place then of which it is taken: the node's address
-- over TCP, or what its name says if it has told none. At the other, somebody
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

--- The places of one dial; see csrc/lua/seam.h.
---@param peer string  the node's name
---@param text string|nil  its address
---@param resumes boolean|nil
---@param doubted boolean|nil
---@return table[] list  { path= } or { host=, port= }, and text
function targets.of(peer, text, resumes, doubted)
  local read = addresses.read(text or "")
  local told, said, list = tcp(read.tcp), named(peer), {}
  if read.path and not doubted and unix_path.may_be_dialled(read.path) then
    list[1] = { path = read.path, text = "unix:" .. read.path }
  end
  if resumes then
    list[#list + 1] = told or said
  else
    list[#list + 1] = doubted and said or told or said
    if told then list[#list + 1] = doubted and told or said end
  end
  return list
end

return targets
