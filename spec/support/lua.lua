--- What the Lua that runs the specs can do: Lua 5.4 and LuaJIT differ.
--
--    lua.integers     integers are not floats
--    lua.closes       local x <close>
--    lua.collected(fn)    makes garbage; fn() runs when it is collected
--    lua.haste()          makes the collector run often, until lua.calm()
--    lua.trickle()        the same, but it does little each time
--    lua.in_use()         kilobytes in use, without garbage and compiled code

local lua = {
  integers = math.type ~= nil,
  closes = load "local x <close> = nil" ~= nil,
  other = math.type and "luajit" or "lua5.4",
}

function lua.collected(fn)
  if not newproxy then
    setmetatable({}, { __gc = fn })
    return
  end
  getmetatable(newproxy(true)).__gc = fn
end

function lua.haste()
  if newproxy then
    collectgarbage("setpause", 1)
    collectgarbage("setstepmul", 1000)
  else
    collectgarbage("incremental", 1, 1000, 1)
  end
end

function lua.trickle()
  if newproxy then
    collectgarbage("setpause", 1)
    collectgarbage("setstepmul", 4)
  else
    collectgarbage("incremental", 1, 4, 1)
  end
end

function lua.calm()
  if newproxy then
    collectgarbage("setpause", 200)
    collectgarbage("setstepmul", 200)
  else
    collectgarbage("incremental", 200, 100, 13)
  end
  collectgarbage()
end

--- Is there a program of that name?
function lua.finds(program)
  local found = os.execute("command -v " .. program .. " >/dev/null")
  return found == true or found == 0
end

local COLLECTIONS = 5 -- finalizers make garbage with finalizers of its own

function lua.in_use()
  if jit then jit.flush() end
  for _ = 1, COLLECTIONS do collectgarbage() end
  return collectgarbage "count"
end

return lua
