--- Reads the types of LuaCATS annotations, as far as Banyan uses them:
--
--    name  name<type, ...>  "text"  type[]  type?  type|type  (type)
--    { key: type, key?: type }  fun(name: type, name, ...: type): type, type

local luacats = {}

local read_type

-- A reader holds the text that is left, and the names that it met.
local function skip(r, pattern)
  local found, rest = r.text:match("^%s*(" .. pattern .. ")(.*)$")
  if found then r.text = rest end
  return found
end

local function need(r, pattern, what)
  return skip(r, pattern)
    or error({ ("%s expected before %q"):format(what, r.text) }, 0)
end

local function read_list(r, close, read_one)
  if skip(r, close) then return end
  repeat read_one(r) until not skip(r, ",")
  need(r, close, close:sub(-1))
end

local function read_parameter(r)
  if not skip(r, "%.%.%.") then need(r, "[%a_][%w_]*%??", "a name") end
  if skip(r, ":") then read_type(r) end
end

local function read_key(r)
  need(r, "[%a_][%w_]*%??", "a key")
  need(r, ":", ":")
  read_type(r)
end

local function read_named(r)
  local name = need(r, "[%a_][%w_.]*", "a type")
  name = name:gsub("%.+$", function(dots)
    r.text = dots .. r.text
    return ""
  end)
  if name == "fun" and skip(r, "%(") then
    read_list(r, "%)", read_parameter)
    if skip(r, ":") then
      repeat
        if not skip(r, "%.%.%.") then read_type(r) end
      until not skip(r, ",")
    end
    return
  end
  r.names[#r.names + 1] = name
  if skip(r, "<") then read_list(r, ">", read_type) end
end

local function read_one(r)
  if skip(r, "%(") then
    read_type(r)
    need(r, "%)", ")")
  elseif skip(r, "{") then
    read_list(r, "}", read_key)
  elseif not skip(r, '"[^"]*"') then
    read_named(r)
  end
  while skip(r, "%[%]") or skip(r, "%?") do end
end

function read_type(r)
  repeat read_one(r) until not skip(r, "|")
end

--- Reads one type.
---@param text string  a type, and for a result also its name
---@return string[]|nil names  the names of types in it
---@return string|nil err  where it is no type
function luacats.names(text)
  local r = { text = text, names = {} }
  local ok, why = pcall(read_type, r)
  if not ok then return nil, type(why) == "table" and why[1] or why end
  skip(r, "%.%.%.")
  skip(r, "[%a_][%w_]*")
  if r.text:find "%S" then
    return nil, ("%q is left over"):format(r.text)
  end
  return r.names
end

return luacats
