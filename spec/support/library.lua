--- Makes library/: LuaCATS definitions, for editors, of what C implements.
--
-- The docstrings in lua/ are the only source. What Lua itself defines by a
-- `function` statement an editor reads there. What it does not see is a
-- function that comes from banyan.core: for each docstring of such a function
-- library/ has that docstring above an empty function. `make library` writes
-- the files anew.

local docstrings = require "spec.support.docstrings"

local library = {}

-- The sources that document functions of C, and the file that defines them.
-- The class is that of the module's table, which the source declares, too.
library.sources = {
  ["lua/banyan/init.lua"] = { "library/banyan.lua", "banyan" },
  ["lua/banyan/server.lua"] = { "library/server.lua", "banyan.server" },
  ["lua/banyan/supervisor.lua"] =
    { "library/supervisor.lua", "banyan.supervisor" },
  ["lua/banyan/dynamic_supervisor.lua"] =
    { "library/dynamic_supervisor.lua", "banyan.dynamic_supervisor" },
  ["lua/banyan/ring.lua"] = { "library/ring.lua", "banyan.ring" },
}

local HEAD = [[
---@meta _
-- Made by `make library` out of %s. Do not edit.
]]

-- Of a docstring: whose function it is of those that C implements, "." or ":"
-- and its name; or nil.
local function subject(doc)
  local owner, mark, name = doc.owner, doc.mark, doc.name
  if not owner then
    mark = "."
    owner, name = doc.below:match "^([%w_]+)%.([%w_]+) = core%."
    if not (doc.params[1] or doc.returns[1]) then return nil end
  end
  return owner, mark, name
end

local function names_of(params)
  local names = {}
  for i, param in ipairs(params) do names[i] = param.name end
  return table.concat(names, ", ")
end

-- The text of one definition.
local function definition(doc, owner, mark, name)
  local lines = {}
  for _, line in ipairs(doc.lines) do
    if not line:find "^%-%-%-@function" then lines[#lines + 1] = line end
  end
  lines[#lines + 1] = ("function %s%s%s(%s) end"):format(owner, mark, name,
    names_of(doc.params))
  return table.concat(lines, "\n")
end

--- The definitions of what C implements of a source.
---@param source string  the path of a Lua file
---@param module string  the class of its module
---@return string|nil text  nil if there is nothing
---@return table[] found  {class=, mark=, name=, doc=} of each
function library.text(source, module)
  local parts, found, declared = { HEAD:format(source) }, {}, {}
  for _, doc in ipairs(docstrings.list(source)) do
    local owner, mark, name = subject(doc)
    if name then
      local class = mark == ":" and "banyan." .. owner or module
      if not declared[owner] then
        declared[owner] = true
        parts[#parts + 1] =
          ("---@class %s\nlocal %s = {}\n"):format(class, owner)
      end
      found[#found + 1] = { class = class, mark = mark, name = name, doc = doc }
      parts[#parts + 1] = definition(doc, owner, mark, name) .. "\n"
    end
  end
  if #found == 0 then return nil, found end
  return table.concat(parts, "\n"), found
end

--- The text of a file, or nil.
---@param path string
---@return string|nil
function library.read(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local text = file:read "*a"
  file:close()
  return text
end

--- Writes the files that are not what they should be.
function library.write()
  for source, target in pairs(library.sources) do
    local path, text = target[1], (library.text(source, target[2]))
    if library.read(path) ~= text then
      local file = assert(io.open(path, "wb"))
      assert(file:write(text))
      assert(file:close())
      print("wrote " .. path)
    end
  end
end

return library
