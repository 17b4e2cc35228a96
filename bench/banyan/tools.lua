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

--- Bytes of memory that this OS process occupies, after a full collection of
-- Lua's heap. Memory that the allocator keeps counts.
function tools.resident()
  collectgarbage()
  collectgarbage()
  return uv.resident_set_memory()
end

return tools
