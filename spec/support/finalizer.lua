--- Has functions called when garbage is collected, on both Luas.
--
--    finalizer.often(fn)    calls fn at each collection from now on, and has
--                           garbage collected as often as can be
--    finalizer.never()      no more; for after_each

local finalizer = {}

local calling, called

-- The collector calls `fn` when it finds the object, which nobody holds.
local function on_collect(fn)
  if newproxy then
    getmetatable(newproxy(true)).__gc = fn
  else
    setmetatable({}, { __gc = fn })
  end
end

local function again(fn)
  on_collect(function()
    if calling ~= fn then return end
    called = called + 1
    again(fn)
    fn()
  end)
end

--- Calls `fn` whenever garbage is collected, several times.
---@param fn function
function finalizer.often(fn)
  calling, called = fn, 0
  collectgarbage("setpause", 0)
  collectgarbage("setstepmul", 10000)
  -- LuaJIT's pause under way goes by what others left.
  if newproxy then collectgarbage() end
  for _ = 1, 10 do again(fn) end
end

--- Ends that. Answers how often it was called.
---@return integer
function finalizer.never()
  calling = nil
  collectgarbage("setpause", 200)
  collectgarbage("setstepmul", jit and 200 or 100)
  return called
end

return finalizer
