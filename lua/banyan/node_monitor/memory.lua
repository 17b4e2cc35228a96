-- What the next process of a monitor is to know: one that crashed comes back
-- with the options it had last, and tells nobody what they know already.
--
--   changes    what reconfigure changed of the options, or nil
--   all        every node that is connected is in the set
--   managed    else: the set, name -> true; without the node itself
--   connected  the nodes that were, name -> true
--   lost       those of the set that were lost, until they are back
--   told       those that the callbacks know to be up
--   queue      what the callbacks have not heard yet (announcer.lua)
--   announcer  the process that calls them, or nil
--   owner      the monitor's process

local core = require "banyan.core"

local memory = {}

-- Of the caller's node, by key.
local function memories()
  local kept = core.kept()
  kept.node_monitors = kept.node_monitors or {}
  return kept.node_monitors
end

local function fresh()
  return {
    all = false, managed = {}, connected = {}, lost = {}, told = {}, queue = {},
  }
end

--- That of the caller, a monitor: empty, or as the monitor of that key left it
-- that ran on this node before, and crashed.
---@param key string|nil  nil: there was none, and nobody comes after it
function memory.open(key)
  local one
  if key then
    local all = memories()
    one = all[key] or fresh()
    all[key] = one
  else
    one = fresh()
  end
  one.key, one.owner = key, core.self()
  return one
end

--- The monitor ends in good order: the next one of that name is another.
function memory.close(one)
  local all = memories()
  if one.key and all[one.key] == one then all[one.key] = nil end
end

return memory
