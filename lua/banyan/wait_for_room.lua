--- Functions that answer true, and may wait for room in the queue to another
-- node: made so that they answer only what the scheduler says, as banyan.wait
-- does, at no cost where the answer is true anyway.
--
-- Private to this library.

local core = require "banyan.core"
core.skip_in_errors()

local resumed = core.resumed

--- The function itself, or one that does the same and looks afterwards.
---@param send function  of banyan.core, with two arguments
---@return function
return function(send)
  if not resumed then return send end
  return function(dest, msg)
    local ok, err = send(dest, msg)
    if ok == true then return true end
    return resumed(ok, err)
  end
end
