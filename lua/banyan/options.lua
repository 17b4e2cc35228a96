--- Checks tables of options. An unknown option, or one of the wrong type, is
-- misuse; the error names the option, the type it must have and its value.

local options = {}

local function is_integer(value)
  return type(value) == "number" and value % 1 == 0
    and value >= -2 ^ 63 and value < 2 ^ 63
end

local function is_positive(value)
  return is_integer(value) and value > 0
end

-- Kinds of values: the text for an error, and the test.
local kinds = {
  integer = { "an integer", is_integer },
  positive = { "a positive integer", is_positive },
  ms = { "a positive integer (milliseconds)", is_positive },
  timeout = {
    'an integer not below 0 (milliseconds), math.huge or "infinity"',
    function(value)
      return value == math.huge or value == "infinity"
        or is_integer(value) and value >= 0
    end,
  },
  names = {
    "a list of strings",
    function(value)
      if type(value) ~= "table" then return false end
      local count = 0
      for _ in pairs(value) do count = count + 1 end
      for i = 1, count do
        if type(value[i]) ~= "string" then return false end
      end
      return true
    end,
  },
}
for _, name in ipairs { "string", "boolean", "function", "table" } do
  kinds[name] = {
    "a " .. name,
    function(value) return type(value) == name end,
  }
end

local function show(value)
  if type(value) == "string" then return ("%q"):format(value) end
  if type(value) == "number" or type(value) == "boolean" then
    return tostring(value)
  end
  return "a " .. type(value)
end

-- The options that an error lists.
local function shown_keys(schema)
  local keys = {}
  for key, kind in pairs(schema) do
    if not (type(kind) == "table" and kind.hidden) then
      keys[#keys + 1] = tostring(key)
    end
  end
  table.sort(keys)
  return keys
end

--- Raises an error if a table of options is wrong.
---@param what string  the function with these options, for the message
---@param opts table|nil  the options; nil is none
---@param schema table<string, string|table>  for each option its kind
---  ("string", "boolean", "function", "table", "integer", "positive", "ms",
---  "timeout", "names") or {text, test}: what the message says must be given,
---  and a function(value) -> boolean; with `hidden = true` if only this library
---  gives the option
---@param level? integer  the function that the error points at, as for error()
---  in the function that calls check; 2, its own caller, is the default
---@return table opts  the same table, or an empty one for nil
function options.check(what, opts, schema, level)
  level = (level or 2) + 1
  if opts == nil then return {} end
  if type(opts) ~= "table" then
    error(("%s: options must be a table, got %s"):format(what, show(opts)),
      level)
  end
  for key, value in pairs(opts) do
    local kind = schema[key]
    if kind == nil then
      error(("%s: unknown option %s (it knows: %s)"):format(what,
        type(key) == "string" and ("%q"):format(key) or tostring(key),
        table.concat(shown_keys(schema), ", ")), level)
    end
    if type(kind) == "string" then
      kind = kinds[kind] or error("no such kind of option: " .. kind)
    end
    if not kind[2](value) then
      error(("%s: option %q must be %s, got %s"):format(what, key, kind[1],
        show(value)), level)
    end
  end
  return opts
end

--- Checks an argument of a function.
---@param value any
---@param kind string  as in a schema
---@param what string  the function
---@param name string  the argument
function options.argument(value, kind, what, name)
  if kinds[kind][2](value) then return end
  error(("%s: %s must be %s, got %s"):format(what, name, kinds[kind][1],
    show(value)), 3)
end

--- Reads a time limit.
---@param value any  nil, an integer in milliseconds, math.huge or "infinity"
---@param what string  for the message
---@param level? integer  as for options.check
---@return integer|nil ms  nil for no limit
function options.timeout(value, what, level)
  if value == nil then return nil end
  if not kinds.timeout[2](value) then
    error(("%s: timeout must be %s, got %s"):format(what, kinds.timeout[1],
      show(value)), (level or 2) + 1)
  end
  if value == math.huge or value == "infinity" then return nil end
  return value
end

return options
