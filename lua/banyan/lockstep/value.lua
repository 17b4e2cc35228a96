--- Values as recorded operations and states of models have them: nil,
-- booleans, numbers, strings, tables of those; and pids, refs, functions and
-- the like, which are equal when they are the same.
--
-- Tables count by what is in them, as messages do; metatables do not count.

local value = {}

local MAX_DEPTH = 100

-- What stands for an object in an encoding: the same number for the same one.
local numbers, count = setmetatable({}, { __mode = "k" }), 0

local function number_of(object)
  if not numbers[object] then
    count = count + 1
    numbers[object] = count
  end
  return "#" .. numbers[object]
end

local function number_text(number)
  if number ~= number then return "nan" end
  if number == math.huge then return "inf" end
  if number == -math.huge then return "-inf" end
  local whole = math.tointeger and math.tointeger(number)
  if whole then return ("%d"):format(whole) end
  if number == 0 then return "0" end -- -0 is equal to it
  local short = ("%.14g"):format(number)
  return tonumber(short) == number and short or ("%.17g"):format(number)
end

local escapes = { ["\n"] = "\\n", ["\r"] = "\\r", ["\0"] = "\\0" }

local function string_text(text)
  return '"' .. text:gsub('[\\"]', "\\%0"):gsub("[\n\r%z]", escapes) .. '"'
end

local render

local function table_text(t, of_object, depth)
  if depth > MAX_DEPTH then
    error("a table is nested too deeply, or in itself", 0)
  end
  local parts, length = {}, 0
  while t[length + 1] ~= nil do
    length = length + 1
    parts[length] = render(t[length], of_object, depth + 1)
  end
  local rest = {}
  for k, v in pairs(t) do
    if not (type(k) == "number" and k % 1 == 0 and k >= 1 and k <= length) then
      rest[#rest + 1] = ("[%s] = %s"):format(render(k, of_object, depth + 1),
        render(v, of_object, depth + 1))
    end
  end
  table.sort(rest)
  for i = 1, #rest do parts[length + i] = rest[i] end
  return "{" .. table.concat(parts, ", ") .. "}"
end

function render(v, of_object, depth)
  local kind = type(v)
  if kind == "number" then return number_text(v) end
  if kind == "string" then return string_text(v) end
  if kind == "table" then return table_text(v, of_object, depth) end
  if kind == "nil" or kind == "boolean" or kind == "cdata" then
    return tostring(v)
  end
  return of_object(v)
end

--- A text that equal values share and others do not, in this Lua state.
---@param v any
---@return string text
function value.encode(v) return render(v, number_of, 1) end

--- A text for people.
---@param v any
---@return string text
function value.show(v) return render(v, tostring, 1) end

--- Are two values equal, tables by what is in them?
---@param a any
---@param b any
---@return boolean
function value.equal(a, b)
  if a == b then return true end
  if type(a) ~= "table" or type(b) ~= "table" then return false end
  return value.encode(a) == value.encode(b)
end

local function copy(v, depth)
  if type(v) ~= "table" or getmetatable(v) ~= nil then return v end
  if depth > MAX_DEPTH then
    error("a table is nested too deeply, or in itself", 0)
  end
  local new = {}
  for k, inner in pairs(v) do
    new[copy(k, depth + 1)] = copy(inner, depth + 1)
  end
  return new
end

--- A value that later changes to a table do not reach.
---@param v any
---@return any
function value.copy(v) return copy(v, 1) end

--- The values as a list that knows its length, copied.
---@param ... any
---@return table list  with `n`
function value.pack(...)
  local list = { n = select("#", ...) }
  for i = 1, list.n do list[i] = copy((select(i, ...)), 1) end
  return list
end

--- The values of such a list, as people write them: "1, "a", nil".
---@param list table
---@return string text
function value.list(list)
  local parts = {}
  for i = 1, list.n do parts[i] = value.show(list[i]) end
  return table.concat(parts, ", ")
end

return value
