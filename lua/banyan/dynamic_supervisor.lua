--- Dynamic supervisors: any number of children that come and go, each with a
-- spec of its own, known by their pids.
--
--    local dynamic_supervisor = require "banyan.dynamic_supervisor"
--    local sup = assert(dynamic_supervisor.start_link { max_children = 1000 })
--    local pid = assert(dynamic_supervisor.start_child(sup,
--      { "my.session", { user = "ada" } }))
--
-- They are independent of each other: one that ends and is not restarted is
-- forgotten, and all stop side by side. Starting and ending one costs the
-- same however many there are. Specs are as for banyan.supervisor; an id is
-- not needed, and need not be the only one of its kind.

local childspec = require "banyan.childspec"
local core = require "banyan.core"
core.skip_in_errors()
local options = require "banyan.options"
local supervisor = require "banyan.supervisor"

local ask = core.ask
local start = core.supervisor.start

local DYNAMIC = 2 -- byn_supervisor_kind

---@class banyan.dynamic_supervisor
local dynamic_supervisor = {}

local start_options = {
  name = "string",
  strategy = supervisor._kinds.one_of { one_for_one = true },
  max_restarts = supervisor._kinds.max_restarts,
  max_seconds = supervisor._kinds.max_seconds,
  observer = supervisor._kinds.observer,
  extra_arguments = { "a list of arguments", childspec.is_list },
  max_children = {
    "an integer not below 0, or math.huge",
    function(value)
      return type(value) == "number" and value >= 0
        and (value == math.huge or value % 1 == 0 and value < 2 ^ 32)
    end,
  },
}

--- The options of dynamic_supervisor.start_link.
---@class banyan.DynamicSupervisorOptions
---@field name? string  register it under this name
---@field strategy? "one_for_one"
---@field max_children? integer|number  no limit by default
--- Put before the arguments of each child's start function.
---@field extra_arguments? any[]
---@field max_restarts? integer|number  3 by default; math.huge for no limit
---@field max_seconds? number  seconds, 5 by default; fractions too

--- Starts a dynamic supervisor, linked to the caller. Yields.
---@param opts? banyan.DynamicSupervisorOptions
---@return banyan.Pid|nil pid
---@return any err  {"already_started", pid} if the name is taken
function dynamic_supervisor.start_link(opts)
  opts = options.check("dynamic_supervisor.start_link", opts, start_options, 2)
  local config = { kind = DYNAMIC }
  supervisor._set_limits(config, opts)
  local most = opts.max_children
  if most and most < math.huge then config.max_children = most end
  if opts.extra_arguments then
    config.extra = childspec.pack_arguments(opts.extra_arguments)
  end
  return start(config, childspec.apply, opts.name, opts.name)
end

--- The child spec of a dynamic supervisor: what the shorthand
-- `{"banyan.dynamic_supervisor", { name = "sessions" }}` stands for. Does not
-- yield.
---@param opts? banyan.DynamicSupervisorOptions
---@return table spec  its id is the name, or "banyan.dynamic_supervisor"
function dynamic_supervisor.child_spec(opts)
  return {
    id = opts and opts.name or "banyan.dynamic_supervisor",
    start = { "banyan.dynamic_supervisor", "start_link", { opts } },
    type = "supervisor",
  }
end

--- Starts a child. Yields until it has started.
---@param sup banyan.Pid|string|table  a pid, a registered name, {name=, node=}
---@param spec any  a child spec or a shorthand
---@return banyan.Pid|nil pid
---@return any extra  what came with the pid; or the error: "max_children",
---  "ignore", what the start function failed with, {"bad_return", value},
---  "noproc", "noconnection"
function dynamic_supervisor.start_child(sup, spec)
  local packed, message = childspec.pack(spec, true)
  if not packed then
    error("dynamic_supervisor.start_child: " .. message, 2)
  end
  if childspec.is_significant(packed) then
    error("dynamic_supervisor.start_child: a child spec's significant must "
      .. "not be true: a dynamic supervisor has no auto_shutdown", 2)
  end
  packed[1] = "start_child"
  return ask(sup, packed)
end

--- Stops a child, or its restarting, and forgets it. Yields until it has
-- ended.
---@param sup banyan.Pid|string|table
---@param pid banyan.Pid
---@return true|nil ok
---@return any err  "not_found", "noproc", "noconnection"
function dynamic_supervisor.terminate_child(sup, pid)
  if type(pid) ~= "userdata" then
    error("dynamic_supervisor.terminate_child: a pid expected, got a "
      .. type(pid), 2)
  end
  return ask(sup, { "terminate_child", pid })
end

--- The children, in start order. Yields. It has each that is there throughout,
-- once, see supervisor.which_children.
---@function dynamic_supervisor.which_children
---@param sup banyan.Pid|string|table
---@return table|nil list  of {pid=, state="running"|"restarting", type=}
---@return any err  "noproc", "noconnection"
dynamic_supervisor.which_children = supervisor.which_children

--- How many children there are. Yields.
---@function dynamic_supervisor.count_children
---@param sup banyan.Pid|string|table
---@return table|nil counts  {specs=, active=, supervisors=, workers=}
---@return any err  "noproc", "noconnection"
dynamic_supervisor.count_children = supervisor.count_children

--- Stops a supervisor after its children, which stop side by side. Yields
-- until it has ended.
---@function dynamic_supervisor.stop
---@param dest banyan.Pid|string|table  as for start_child
---@param reason? any  default "normal"
---@param timeout? integer|string  milliseconds, default no limit; it stops all
---  the same when they have passed
---@return true|nil ok  true if it ended for this reason
---@return any err  as for supervisor.stop
dynamic_supervisor.stop = supervisor.stop

return dynamic_supervisor
