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

local NAMELESS = "nonode"

-- By the name of the node: more than one may run in one Lua state.
local by_node = {}

local function here() return core.node_name() or NAMELESS end

local function fresh()
  return {
    all = false, managed = {}, connected = {}, lost = {}, told = {}, queue = {},
  }
end

-- A pid of an earlier life of the node is another node's, and so an error.
local function is_of_this_life(pid) return (pcall(core.is_alive, pid)) end

--- That of the caller, a monitor: empty, or as the monitor of that key left it
-- that ran on this node before, and crashed.
---@param key string|nil  nil: there was none, and nobody comes after it
function memory.open(key)
  local one
  if key then
    local of_node = by_node[here()] or {}
    one = of_node[key]
    if not one or not is_of_this_life(one.owner) then one = fresh() end
    by_node[here()], of_node[key] = of_node, one
  else
    one = fresh()
  end
  one.key, one.owner = key, core.self()
  return one
end

--- The monitor ends in good order: the next one of that name is another.
function memory.close(one)
  local of_node = one.key and by_node[here()]
  if of_node and of_node[one.key] == one then of_node[one.key] = nil end
end

return memory
