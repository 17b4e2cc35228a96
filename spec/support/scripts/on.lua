--- Runs a function as a process of a node, and waits for what it answers.

local banyan = require "banyan"

local LIMIT_MS = 60000

---@param cluster banyan.Cluster
---@param node string
---@param what fun(): any
---@return any answer
return function(cluster, node, what)
  local me, ref = banyan.self(), banyan.make_ref()
  cluster:spawn(node, function()
    banyan.send(me, { ref = ref, what() })
  end)
  local message = banyan.receive(ref, LIMIT_MS)
  return assert(message, "there is no answer")[1]
end
