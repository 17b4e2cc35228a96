-- What distributed_supervisor takes: options and child specs, checked in the
-- caller, before any process is asked.

local core = require "banyan.core"
local childspec = require "banyan.childspec"
local common = require "banyan.options"
local entities = require "banyan.distributed_supervisor.entities"
local ids = require "banyan.ids"
local listeners = require "banyan.distributed_supervisor.listeners"
local monitored = require "banyan.node_monitor.options"
local sets = require "banyan.sets"

local options = {}

local function is_list(value, test)
  if type(value) ~= "table" then return false end
  local count = 0
  for _ in pairs(value) do count = count + 1 end
  for i = 1, count do
    if not test(value[i]) then return false end
  end
  return true
end

local function is_name(value) return type(value) == "string" and value ~= "" end

-- Of the option `quorum`, as for `nodes`.
local MOST_NODES = 10000

local function is_count(value)
  return type(value) == "number" and value % 1 == 0 and value >= 1
    and value <= MOST_NODES
end

local nodes_schema = {
  source = monitored.source,
  refresh_ms = "ms",
  timeout_ms = "ms",
  on_error = monitored.on_error,
}

-- Not a list of names, but {source=, ...} or {"module", "fn", {args}}.
local function is_described(value)
  return type(value) == "table" and value.source ~= nil
end
local function is_call(value)
  return monitored.is_call(value) and value[3] ~= nil
end

local schema = {
  name = { "a non-empty string", is_name },
  nodes = {
    'a list of node names, a function, {"module", "fn", {args}} or {source=, '
      .. "refresh_ms=, timeout_ms=, on_error=}",
    function(value)
      return type(value) == "function" or is_described(value)
        or is_call(value) or is_list(value, is_name)
    end,
  },
  monitor_nodes = "boolean",
  cache_children = "boolean",
  listeners = {
    "a list of tables with any of on_node_up, on_node_down, "
      .. "on_node_terminate, on_process_start and on_process_stop",
    function(value)
      return is_list(value, function(one)
        if type(one) ~= "table" then return false end
        for key, fn in pairs(one) do
          if not listeners.callbacks[key] or type(fn) ~= "function" then
            return false
          end
        end
        return true
      end)
    end,
  },
  replicas = {
    "an integer from 1 to 5",
    function(value)
      return type(value) == "number" and value % 1 == 0
        and value >= 1 and value <= 5
    end,
  },
  conflict = {
    '"oldest" or "newest"',
    function(value) return value == "oldest" or value == "newest" end,
  },
  mode = {
    '"available" or "quorum"',
    function(value) return value == "available" or value == "quorum" end,
  },
  quorum = {
    "a positive integer (so many nodes) or a non-empty list of node names",
    function(value)
      return is_count(value)
        or is_list(value, is_name) and #value > 0 and #value <= MOST_NODES
    end,
  },
  quorum_stop_ms = "ms",
  on_limit = {
    '"park" or "escalate"',
    function(value) return value == "park" or value == "escalate" end,
  },
  start_ms = "ms",
  start_concurrency = "positive",
  max_spec = "positive",
  max_checkpoint = "positive",
  handoff_ms = "ms",
  max_held = "positive",
  entity = {
    '{"module", "fn"}',
    function(value)
      return is_list(value, is_name) and #value == 2
    end,
  },
  idle_ms = "positive",
  backoff = "table",
  rebalance = {
    '"passive", "active" or {mode = "active", per_second = n}',
    function(value)
      return value == "passive" or value == "active"
        or type(value) == "table"
    end,
  },
  max_children = "positive",
  modules = "names",
  max_restarts = {
    "an integer not below 0",
    function(value)
      return type(value) == "number" and value >= 0 and value % 1 == 0
        and value < math.huge
    end,
  },
  max_seconds = {
    "a positive number (seconds)",
    function(value) return type(value) == "number" and value > 0 end,
  },
}

local defaults = {
  replicas = 2, conflict = "oldest", on_limit = "park", start_ms = 30000,
  start_concurrency = 16, max_spec = 1024 * 1024, max_restarts = 3,
  max_seconds = 5, rebalance = "passive", max_checkpoint = 1024 * 1024,
  handoff_ms = 10000, max_held = 1000, mode = "available",
  quorum_stop_ms = 5000,
}

local MOST_MS = 2^53 -- an integer in any number

-- max_seconds to the millisecond.
local function milliseconds(seconds)
  return math.floor(math.max(1, math.min(seconds * 1000 + 0.5, MOST_MS)))
end

local BACKOFF_JITTER = 0.2 -- of the supervisor's; a child's own has none

local rebalance_schema = {
  mode = {
    '"passive" or "active"',
    function(value) return value == "passive" or value == "active" end,
  },
  per_second = "positive",
}

local PER_SECOND = 100

-- How many children of a node move in a second, at most; 0: none.
local function read_rebalance(what, full, level)
  local given = full.rebalance
  if type(given) ~= "table" then given = { mode = given } end
  given = common.check(what .. ': option "rebalance"', given,
    rebalance_schema, level + 1)
  if given.mode == nil then
    error(what .. ': option "rebalance": option "mode" is missing', level + 1)
  end
  full.per_second = given.mode == "active" and (given.per_second or PER_SECOND)
    or 0
end

-- The option `nodes` is a list, in `nodes`, or a source and its options, in
-- `node_source`.
local function read_nodes(what, full, level)
  local given = full.nodes
  if type(given) == "function" or is_call(given) then
    full.nodes, full.node_source = nil, { source = given }
  elseif is_described(given) then
    full.nodes, full.node_source = nil, common.check(
      what .. ': option "nodes"', given, nodes_schema, level + 1)
  end
end

local function read_entity(what, full, level)
  local entity = full.entity
  if not entity then
    if full.idle_ms == nil then return end
    error(what .. ': option "idle_ms" is of entities, and there is no option '
      .. '"entity"', level + 1)
  end
  local problem = entities.problem(entity)
  if problem then
    error(('%s: option "entity": %s'):format(what, problem), level + 1)
  end
  full.entity = { entity[1], entity[2] }
end

-- `quorum_needed`: so many nodes, 0 for none; `quorum_nodes`: the majority of
-- these, in byte order, each once.
local function read_quorum(what, opts, full, level)
  local mode = full.mode == "quorum"
  if mode and opts.quorum == nil then
    error(what .. ': option "quorum" is missing, which mode = "quorum" needs',
      level + 1)
  end
  for _, name in ipairs { "quorum", "quorum_stop_ms" } do
    if not mode and opts[name] ~= nil then
      error(('%s: option %q needs mode = "quorum"'):format(what, name),
        level + 1)
    end
  end
  full.quorum_needed = 0
  if type(opts.quorum) == "table" then
    full.quorum_nodes = sets.sorted(sets.of(opts.quorum))
  elseif mode then
    full.quorum_needed = opts.quorum
  end
end

--- Checks the options of start_link; answers them with the defaults filled in.
function options.check(what, opts, level)
  opts = common.check(what, opts, schema, level + 1)
  if opts.name == nil then
    error(what .. ': option "name" is missing', level + 1)
  end
  local full = {}
  for key, value in pairs(defaults) do full[key] = value end
  for key, value in pairs(opts) do full[key] = value end
  read_nodes(what, full, level + 1)
  read_entity(what, full, level + 1)
  read_rebalance(what, full, level + 1)
  read_quorum(what, opts, full, level + 1)
  local given, wait = opts.backoff or {}, {}
  for key, value in pairs(given) do wait[key] = value end
  if wait.jitter == nil then wait.jitter = BACKOFF_JITTER end
  local backoff, problem = childspec.read_backoff(wait)
  if not backoff then
    error(('%s: option "backoff": %s'):format(what, problem), level + 1)
  end
  full.backoff, full.max_ms = backoff, milliseconds(full.max_seconds)
  return full
end

-- --- child specs -----------------------------------------------------------

-- What in a value cannot go to another node: a word for it, or nil.
local function stuck(value, depth)
  local kind = type(value)
  if kind == "function" or kind == "thread" then return "a " .. kind end
  if kind == "userdata" then
    return not core.is_id(value) and "a userdata" or nil
  end
  if kind ~= "table" then return nil end
  if depth > 90 then return "a table nested too deep" end
  if getmetatable(value) ~= nil then return "a table with a metatable" end
  for key, inner in pairs(value) do
    local what = stuck(key, depth + 1) or stuck(inner, depth + 1)
    if what then return what end
  end
end

--- Checks an id, and answers it: a float that is an integer is the same key as
-- the integer.
function options.check_id(what, id, level)
  id = ids.check(what, "id", id, level + 1)
  return id -- no tail call: the level counts frames
end

--- Packs a child spec (see childspec.lua) that any node can be sent; its id
-- is a fresh ref if it had none. Answers the id, too.
function options.check_spec(what, spec, level)
  local packed, problem = childspec.pack(spec, true)
  if not packed then error(what .. ": " .. problem, level + 1) end
  if type(childspec.start_of(packed)) == "function" then
    error(what .. ': start must be {"module", "fn", {args}}: a function '
      .. "cannot be sent to the node that is to run it", level + 1)
  end
  local id = childspec.id(packed)
  if id == nil then
    id = core.make_ref()
  else
    id = options.check_id(what, id, level + 1)
  end
  childspec.set_id(packed, id)
  problem = stuck(packed, 0)
  if problem then
    error(("%s: the child spec has %s in it, which cannot be sent to "
      .. "another node"):format(what, problem), level + 1)
  end
  return packed, id
end

return options
