-- What node_monitor takes, checked in the caller.

local common = require "banyan.options"
local names = require "banyan.name"

local options = {}

--- What is wrong with a list of names of nodes, or nil. Does not run code of
-- the list's.
function options.problem(list)
  if type(list) ~= "table" then
    return ("a list of node names expected, got a %s"):format(type(list))
  end
  local count = 0
  for _ in next, list do count = count + 1 end
  for i = 1, count do
    local name = rawget(list, i)
    if name == nil then
      return ("a list of node names expected, and item %d is missing"):format(i)
    elseif type(name) ~= "string" then
      return ("item %d is a %s and no node name"):format(i, type(name))
    end
    local fine, why = names.parse(name)
    if not fine then return ("item %d: %s"):format(i, why) end
  end
end

--- Is it {"module", "fn"} or {"module", "fn", {args}}?
function options.is_call(value)
  if type(value) ~= "table" then return false end
  local module, fn, args = value[1], value[2], value[3]
  for key in pairs(value) do
    if key ~= 1 and key ~= 2 and key ~= 3 then return false end
  end
  return type(module) == "string" and type(fn) == "string"
    and (args == nil or type(args) == "table")
end

--- Kinds of options, also of a distributed supervisor's `nodes`.
options.source = {
  'a function or {"module", "fn", {args}}',
  function(value)
    return type(value) == "function" or options.is_call(value)
  end,
}
options.on_error = {
  '"keep" or "empty"',
  function(value) return value == "keep" or value == "empty" end,
}

local change_schema = {
  nodes = {
    'a list of node names, "a@host:port"',
    function(value) return options.problem(value) == nil end,
  },
  source = options.source,
  refresh_ms = "ms",
  timeout_ms = "ms",
  on_error = options.on_error,
  announce = {
    '"connected" or "managed"',
    function(value) return value == "connected" or value == "managed" end,
  },
  on_node_up = "function",
  on_node_down = "function",
}

local start_schema = {
  name = {
    "a non-empty string",
    function(value) return type(value) == "string" and value ~= "" end,
  },
}
for key, kind in pairs(change_schema) do start_schema[key] = kind end

local function copy_of(what, opts, level)
  if opts.nodes and opts.source then
    error(what .. ': options "nodes" and "source" exclude each other',
      level + 1)
  end
  local copy = {}
  for key, value in pairs(opts) do copy[key] = value end
  return copy
end

--- Checks the options of start_link; answers a copy.
function options.check(what, opts, level)
  opts = common.check(what, opts, start_schema, level + 1)
  local copy = copy_of(what, opts, level + 1)
  return copy -- no tail call, for the level of the error
end

--- Checks those of reconfigure, which cannot give another name.
function options.check_changes(what, opts, level)
  opts = common.check(what, opts, change_schema, level + 1)
  local copy = copy_of(what, opts, level + 1)
  return copy -- no tail call, for the level of the error
end

--- Options changed by others: whose set it is they say in any case, what else
-- they do not name stays.
function options.changed(opts, changes)
  local merged = {}
  for key, value in pairs(opts) do merged[key] = value end
  merged.nodes, merged.source = nil, nil
  for key, value in pairs(changes) do merged[key] = value end
  return merged
end

local defaults = {
  refresh_ms = 5000, timeout_ms = 10000, on_error = "keep",
  announce = "connected",
}

--- With the defaults filled in.
function options.complete(opts)
  local full = {}
  for key, value in pairs(defaults) do full[key] = value end
  for key, value in pairs(opts) do full[key] = value end
  return full
end

return options
