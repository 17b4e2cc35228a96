--- Child specs: reads what a person wrote and packs it for a supervisor.
--
-- A spec is a table
--
--    { id=, start={"module", "fn", {args}} or function, restart="permanent"|
--      "transient"|"temporary", shutdown=ms|"brutal_kill"|"infinity",
--      type="worker"|"supervisor", significant=bool,
--      backoff={min=, max=, factor=, jitter=, reset_after=} }
--
-- or a shorthand, `"module"` or `{"module", arg}`: module.child_spec(arg)
-- where the module has one, else
--
--    { id = "module", start = { "module", "start_link", { arg } } }
--
-- A packed spec is an array, see csrc/lua/otp/childspec.h; its first place is
-- free for the request that it travels in.

local core = require "banyan.core"

local read_spec = core.supervisor.pack

local unpack = table.unpack or unpack

local childspec = {}

local POLICY, BACKOFF, ID, START, FN = 2, 3, 4, 5, 6 -- places
local FIRST = 7 -- and on: the arguments
local TRANSIENT, TEMPORARY, RESTARTS, SIGNIFICANT = 1, 2, 4, 8 -- in the policy
local ARGUMENTS, ARGUMENTS_MOST, SHUTDOWN = 16, 1024, 16384
local KILL, INFINITY = 0, 1 -- of the shutdown: else it is ms + 2
local LONGEST = 2147483647 -- ms, in 32 bits

-- Of a back-off; reset_after is `max` by default. The rest of a child spec has
-- its defaults in csrc/lua/otp/childspec.c.
local MIN_MS, MAX_MS, FACTOR, JITTER = 100, 30000, 2, 0

-- Problems with a spec are raised as tables of this kind, so that whoever
-- checks can tell them from errors in a module's child_spec.
local problem = {}

local function fail(text, ...)
  error(setmetatable({ text = text:format(...) }, problem), 0)
end

local function show(value)
  if type(value) == "string" then return ("%q"):format(value) end
  return tostring(value)
end

-- Numbers such as 5000.0 reach C as integers.
local function whole(value)
  return math.tointeger and math.tointeger(value) or value
end

-- --- back-off --------------------------------------------------------------

local known_backoff = {
  min = true, max = true, factor = true, jitter = true, reset_after = true,
}

-- One number of a back-off: `least` to `most`.
local function number(name, value, default, least, most)
  if value == nil then return default end
  local good = type(value) == "number" and value >= least and value <= most
  if not good then
    fail("backoff.%s must be a number from %s to %s, got %s", name, least,
      most, show(value))
  end
  return value
end

local function milliseconds(name, value, default, least)
  value = number(name, value, default, least, LONGEST)
  if value % 1 ~= 0 then
    fail("backoff.%s must be whole milliseconds, got %s", name, value)
  end
  return whole(value)
end

local function read_backoff(value)
  for key in pairs(value) do
    if not known_backoff[key] then
      fail("backoff has no option %s", show(key))
    end
  end
  local min = milliseconds("min", value.min, MIN_MS, 1)
  local max = milliseconds("max", value.max, math.max(MAX_MS, min), min)
  return {
    min, max,
    number("factor", value.factor, FACTOR, 1, 1e6),
    number("jitter", value.jitter, JITTER, 0, 1),
    milliseconds("reset_after", value.reset_after, max, 0),
  }
end

--- Reads a back-off as a person writes it, with the defaults filled in.
---@param value table
---@return table|nil backoff  min, max (ms), factor, jitter
---@return string|nil message  what is wrong with it
function childspec.read_backoff(value)
  local ok, list = pcall(read_backoff, value)
  if ok then
    return { min = list[1], max = list[2], factor = list[3], jitter = list[4] }
  end
  if getmetatable(list) ~= problem then error(list, 0) end
  return nil, list.text
end

-- --- shorthands -------------------------------------------------------------

-- A module that cannot be loaded is reported when the child is started.
local function ask_module(name, arg)
  local ok, module = pcall(require, name)
  if ok and type(module) == "table" and module.child_spec ~= nil then
    return module.child_spec(arg)
  end
  return { id = name, start = { name, "start_link", { arg, n = 1 } } }
end

local function expand(spec)
  if type(spec) == "string" then return ask_module(spec, nil) end
  if type(spec) ~= "table" then
    fail('a child spec must be a table, "module" or {"module", arg}, got %s',
      show(spec))
  end
  if spec[1] == nil then return spec end
  if type(spec[1]) ~= "string" then
    fail('the shorthand of a child spec is {"module", arg}, got {%s, ...}',
      show(spec[1]))
  end
  for key in pairs(spec) do
    if key ~= 1 and key ~= 2 then
      fail('the shorthand of a child spec is {"module", arg}, but it has %s',
        show(key))
    end
  end
  return ask_module(spec[1], spec[2])
end

-- Raises what is wrong.
local function pack_spec(spec, optional)
  spec = expand(spec)
  if type(spec) ~= "table" then
    fail("child_spec must return a table, got %s", show(spec))
  end
  local packed, message = read_spec(spec, optional)
  if not packed then fail("%s", message) end
  if packed[BACKOFF] then packed[BACKOFF] = read_backoff(packed[BACKOFF]) end
  return packed
end

-- --- for the supervisors ----------------------------------------------------

--- Packs a child spec or a shorthand. Does not yield, unless a module's
-- child_spec does.
---@param spec any  what the user gave
---@param optional? boolean  may it lack an id?
---@return table|nil packed
---@return string|nil message  what is wrong with it
function childspec.pack(spec, optional)
  if type(spec) == "table" and spec[1] == nil and spec.backoff == nil then
    return read_spec(spec, optional)
  end
  local ok, result = pcall(pack_spec, spec, optional)
  if ok then return result end
  if getmetatable(result) ~= problem then error(result, 0) end
  return nil, result.text
end

--- The id in a packed spec.
---@param packed table
---@return any|nil id
function childspec.id(packed)
  return packed[ID] or nil
end

--- Gives a packed spec another id.
---@param packed table
---@param id any
function childspec.set_id(packed, id)
  packed[ID] = id
end

--- Is the child restarted when it ends abnormally?
---@param packed table
---@return boolean
function childspec.is_temporary(packed)
  return packed[POLICY] % RESTARTS == TEMPORARY
end

--- Is it significant?
---@param packed table
---@return boolean
function childspec.is_significant(packed)
  return packed[POLICY] % (2 * SIGNIFICANT) >= SIGNIFICANT
end

--- Is the child restarted after an abnormal end only?
---@param packed table
---@return boolean
function childspec.is_transient(packed)
  return packed[POLICY] % RESTARTS == TRANSIENT
end

--- How long the child has to end by itself when it is stopped.
---@param packed table
---@return integer|"brutal_kill"|"infinity" shutdown  ms
function childspec.shutdown(packed)
  local shutdown = math.floor(packed[POLICY] / SHUTDOWN)
  if shutdown == KILL then return "brutal_kill" end
  if shutdown == INFINITY then return "infinity" end
  return whole(shutdown - 2)
end

--- The back-off of the child's own.
---@param packed table
---@return table|nil backoff  min, max (ms), factor, jitter
function childspec.backoff(packed)
  local list = packed[BACKOFF]
  if not list then return nil end
  return { min = list[1], max = list[2], factor = list[3], jitter = list[4] }
end

--- What starts the child.
---@param packed table
---@return function|string start  a function, or the name of a module
---@return string|nil fn  the name of the module's function
function childspec.start_of(packed)
  return packed[START], packed[FN] or nil
end

--- Loads a module, as require does, for a process that starts: the error for
-- one that is not there does not list every place where it is not.
---@param name string
---@return any module
function childspec.load(name)
  local ok, result = pcall(require, name)
  if ok then return result end
  if type(result) ~= "string" then error(result, 0) end
  error((result:gsub("(module '.-' not found):\n.*", "%1")), 0)
end

--- Calls a function that is known by its names, as a supervisor does to
-- start a child. Yields if that does.
---@param module string
---@param fn string
---@param ... any
---@return any ...  what it returns
function childspec.apply(module, fn, ...)
  local loaded = package.loaded[module] or childspec.load(module)
  local found = type(loaded) == "table" and loaded[fn]
  if not found then
    error(("module %q has no function %q"):format(module, fn), 0)
  end
  return found(...)
end

--- Calls the start function of a packed spec, as a supervisor does. Yields if
-- that does.
---@param packed table
---@return any ...  what it returns
function childspec.call_start(packed)
  local count = math.floor(packed[POLICY] / ARGUMENTS) % ARGUMENTS_MOST
  return childspec.apply(packed[START], packed[FN],
    unpack(packed, FIRST, FIRST + count - 1))
end

--- Is that a list of arguments: with `n`, or with places from 1 on?
---@param args any
---@return boolean
function childspec.is_list(args)
  return type(args) == "table" and (#args > 0 or next(args) == nil
    or type(args.n) == "number")
end

--- Packs arguments as {n, ...}.
---@param args table|nil  a list, with `n` where it has holes
---@param packed? table  what to append to
---@return table
function childspec.pack_arguments(args, packed)
  local n = args and (args.n or #args) or 0
  packed = packed or {}
  local at = #packed + 1
  packed[at] = n
  for i = 1, n do packed[at + i] = args[i] end
  return packed
end

--- Packs a list of child specs; ids must differ.
---@param children any  what the user gave
---@return table|nil list
---@return string|nil message
function childspec.pack_all(children)
  if type(children) ~= "table" then
    return nil, "children must be a list of child specs, got "
      .. show(children)
  end
  local list, seen = {}, {}
  for i, spec in ipairs(children) do
    local packed, message = childspec.pack(spec)
    if not packed then
      return nil, ("children[%d]: %s"):format(i, message)
    end
    local id = packed[ID]
    if seen[id] then
      return nil, ("children[%d]: id %s is taken by children[%d]"):format(i,
        show(id), seen[id])
    end
    seen[id] = i
    list[i] = packed
  end
  for key in pairs(children) do
    if not list[key] then
      return nil, ("children must be a list, but it has the key %s")
        :format(show(key))
    end
  end
  return list
end

return childspec
