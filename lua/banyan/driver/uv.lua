--- The module luv, also for programs that forbid undeclared globals.
--
-- luv reads the global `_THREAD` while it is loaded. Where a strict module
-- makes that an error, luv is left half made: the next require of it succeeds,
-- and what uses it crashes. So the globals have no metatable meanwhile.

local globals = _G
local strict = debug.getmetatable(globals)
debug.setmetatable(globals, nil)
local ok, uv = pcall(require, "luv")
debug.setmetatable(globals, strict)
if not ok then error(uv, 0) end

return uv
