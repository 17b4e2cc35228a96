-- Which nodes of this Lua state run distributed children: the option `hosts`
-- and banyan.set_hosts. A node does unless it was told not to.

local core = require "banyan.core"

local hosts = {}

local NAMELESS = "nonode"

local off = {}     -- names of nodes that run none
local watchers = {} -- who is told, in order

--- A node begins.
---@param node string|nil  its name
---@param value boolean|nil
function hosts.begin(node, value)
  off[node or NAMELESS] = value == false or nil
end

--- Does the caller's node run distributed children?
---@return boolean
function hosts.here()
  return not off[core.node_name() or NAMELESS]
end

--- fn is called, by a process of the node, when that changes.
---@param fn fun()
function hosts.watch(fn) watchers[#watchers + 1] = fn end

--- The caller's node runs them from now on, or none.
---@param value boolean
function hosts.set(value)
  off[core.node_name() or NAMELESS] = not value or nil
  for _, fn in ipairs(watchers) do fn() end
end

return hosts
