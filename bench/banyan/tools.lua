-- What the measurements share.

local uv = require "luv"

local tools = {}

--- Seconds of the wall clock.
function tools.clock()
  return uv.hrtime() / 1e9
end

--- Seconds that fn takes.
function tools.time(fn, ...)
  local start = tools.clock()
  fn(...)
  return tools.clock() - start
end

--- Bytes of memory that this process occupies. Lua's heap is cleared of
-- garbage first; what the allocator keeps for itself counts.
function tools.resident()
  collectgarbage()
  collectgarbage()
  return uv.resident_set_memory()
end

return tools
