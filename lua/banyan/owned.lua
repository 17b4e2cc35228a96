--- What belongs to a process and is released when that ends, for whatever
-- reason, before its links and monitors hear of it: sockets.
--
-- A resource is a table with a method `release`, which closes it. That must not
-- yield, may raise for want of memory alone, and is right a second time: all
-- that the process has left is released again then. Private to this library.

local core = require "banyan.core"

local owned = {}

local sets = {} -- pid -> the set of its resources

core.set_release(function(pid)
  local set = sets[pid]
  for resource in pairs(set or {}) do
    resource:release()
    set[resource] = nil
  end
  sets[pid] = nil
end)

--- Makes a process the owner of a resource, besides those that it has.
---@param pid banyan.Pid  of this Lua state
---@param resource table
---@return boolean ok  false if the process has ended
function owned.add(pid, resource)
  local set = sets[pid] or {}
  set[resource] = true -- before anything has changed: memory may be short
  if sets[pid] then
    if core.is_alive(pid) then return true end
    set[resource] = nil
    return false
  end
  sets[pid] = set
  if core.owns(pid, true) then return true end
  sets[pid] = nil
  return false
end

--- Calls fn(resource) for each resource of a process. It must not change what
-- they own.
---@param fn fun(resource: table)
function owned.each(fn)
  for _, set in pairs(sets) do
    for resource in pairs(set) do fn(resource) end
  end
end

--- Takes a resource from a process that lives, without a release.
---@param pid banyan.Pid
---@param resource table
function owned.remove(pid, resource)
  local set = sets[pid]
  if not set then return end
  set[resource] = nil
  if next(set) then return end
  sets[pid] = nil
  core.owns(pid, false)
end

return owned
