--- Sets: tables whose keys are the members.
--
-- Private to this library.

local sets = {}

--- The set of what a list has.
---@param list any[]|nil  nil: none
---@return table<any, boolean>
function sets.of(list)
  local set = {}
  for _, value in ipairs(list or {}) do set[value] = true end
  return set
end

--- The keys of a table, in their order: that of pairs differs from run to run.
---@param map table  all of its keys are numbers, or all are strings
---@return any[]
function sets.sorted(map)
  local keys = {}
  for key in pairs(map) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

return sets
