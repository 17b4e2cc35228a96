--- Names that a program gives to things on all nodes: the ids of children, and
-- groups. Private to this library.

local core = require "banyan.core"
core.skip_in_errors()

local ids = {}

local LONGEST = 65000 -- of a string: it is sent with each message about it

local to_integer = math.tointeger

-- The integer that a number is, or nil. Where Lua has only doubles, one beyond
-- 2^53 may come from another that it cannot tell apart. -0.0 becomes 0.
local function integer_of(number)
  if to_integer then return to_integer(number) end
  if number % 1 == 0 and number >= -2^53 and number <= 2^53 then
    return number + 0
  end
end

local INTEGER = to_integer and "an integer of 64 bits"
  or "an integer from -2^53 to 2^53"

--- What a value is as an id: a float that is an integer is the same as that.
---@param value any
---@return any|nil id  nil: it is none
function ids.of(value)
  if type(value) == "number" then return integer_of(value) end
  if type(value) == "string" then
    return #value <= LONGEST and value or nil
  end
  return core.is_id(value) and value or nil
end

local function description(value)
  if type(value) == "number" then return tostring(value) end
  if type(value) == "string" then
    return ("a string of %d bytes"):format(#value)
  end
  return type(value)
end

--- The same, or an error.
---@param what string  the function that was called
---@param argument string  what the value is there
---@param value any
---@param level integer  as of error()
---@return any id
function ids.check(what, argument, value, level)
  local id = ids.of(value)
  if id ~= nil then return id end
  error(("%s: %s must be a string of at most %d bytes, %s or a ref, got %s")
    :format(what, argument, LONGEST, INTEGER, description(value)), level + 1)
end

return ids
