-- Does a node run distributed children? The option `hosts` and
-- banyan.set_hosts. It does unless it was told not to. Each node keeps what it
-- was told: several may run in one Lua state.

local core = require "banyan.core"

local hosts = {}

local watchers = {} -- who is told, in order

--- A node begins.
---@param node userdata  as core.node answers it
---@param value boolean|nil  the option
function hosts.begin(node, value)
  node:kept().hosts = value
end

--- Does the caller's node run distributed children?
---@return boolean
function hosts.here()
  return core.kept().hosts ~= false
end

--- fn is called, by a process of the node, when that changes.
---@param fn fun()
function hosts.watch(fn) watchers[#watchers + 1] = fn end

--- The caller's node runs them from now on, or none.
---@param value boolean
function hosts.set(value)
  core.kept().hosts = value
  for _, fn in ipairs(watchers) do fn() end
end

return hosts
