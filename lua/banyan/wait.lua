--- Waits that answer only what the scheduler says.
--
-- Private to this library. On Lua 5.4 a C function that waits sees itself who
-- goes on with it. On LuaJIT it does not: there core.resumed looks, after the
-- wait and before the program, and ends the process if that was somebody else.

local core = require "banyan.core"
core.skip_in_errors()

local resumed = core.resumed

--- The function itself, or one that does the same and looks afterwards. What
-- must be checked of its arguments is checked by then: an error of the C
-- function would point here.
---@param wait function  of banyan.core
---@return function
return function(wait)
  if not resumed then return wait end
  return function(...) return resumed(wait(...)) end
end
