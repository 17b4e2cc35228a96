--- Calls settle_in(node) for each node of a cluster: now, and whenever the node
-- has started again, without any process.
---@param cluster banyan.Cluster
---@param settle_in fun(node: string)
return function(cluster, settle_in)
  local restart = cluster.restart
  function cluster:restart(node)
    local ok = restart(self, node)
    settle_in(node)
    return ok
  end
  for _, node in ipairs(cluster.nodes) do settle_in(node) end
end
