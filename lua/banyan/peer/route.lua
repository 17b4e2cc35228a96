--- Messages to processes that only a control channel reaches. Private to
-- banyan.peer.
--
-- What a process sends to a pid whose node is not connected is handed to the
-- function below. An origin knows the lives of its peers; a peer hands all to
-- its origin, which may know more.

local core = require "banyan.core"
core.skip_in_errors()
local kinds = require "banyan.peer.kinds"

local route = {
  --- life of a node, see core.life -> what reaches it
  peers = {},
  --- What reaches the origin, in a peer.
  origin = nil,
}

core.set_route(function(pid, message, is_cast)
  local wire = route.peers[core.life(pid)] or route.origin
  if not wire then return end
  local fine, why = pcall(wire.put, wire, is_cast and kinds.MAIL or kinds.SEND,
    pid, message)
  if fine then return end
  local text = tostring(why):match "cannot send .*"
  if not text then error(why, 0) end
  core.misuse(text)
end)

return route
