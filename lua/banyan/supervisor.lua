--- Supervisors: processes that start children, restart those that crash, and
-- stop them in order.
--
--    local supervisor = require "banyan.supervisor"
--    local sup = assert(supervisor.start_link({
--      { "my.database", { file = "game.db" } },
--      { id = "clock", start = { "my.clock", "start_link", { 1000 } },
--        restart = "transient", shutdown = 200 },
--    }, { strategy = "rest_for_one", max_restarts = 5, max_seconds = 10 }))
--
-- A child spec is a table
--
--    { id=, start={"module", "fn", {args}} or function,
--      restart="permanent"|"transient"|"temporary",
--      shutdown=ms|"brutal_kill"|"infinity", type="worker"|"supervisor",
--      significant=bool,
--      backoff={min=100, max=30000, factor=2, jitter=0, reset_after=max} }
--
-- or a shorthand, `"module"` or `{"module", arg}`: module.child_spec(arg)
-- where the module has one, else its start_link with that argument. The
-- defaults are permanent, 5000 ms ("infinity" for a supervisor), worker.
--
--  * The start function runs in the supervisor, links the child to it, and
--    returns `pid [, extra]`, `nil, "ignore"` or `nil, err`. It may yield; the
--    supervisor does nothing else meanwhile.
--  * restart: a permanent child always comes back, a transient one when it
--    ended abnormally (not "normal", "shutdown" or {"shutdown", x}), a
--    temporary one never; it is forgotten when it ends.
--  * shutdown: how long it may take to stop after the exit signal "shutdown";
--    then it is killed. Children stop in reverse start order.
--  * strategy: who is restarted with a child: nobody else ("one_for_one"),
--    all ("one_for_all"), those after it ("rest_for_one"). With
--    "simple_one_for_one" all children are made from one template.
--  * max_restarts in max_seconds; one more, and the supervisor stops all its
--    children and ends for the reason "shutdown".
--  * auto_shutdown: "any_significant" or "all_significant" children ending by
--    themselves, not to be restarted, end the supervisor too.
--  * backoff waits before a restart: `min` ms, then `factor` times longer each
--    time up to `max`, of which up to the part `jitter` (0 to 1) is cut off at
--    random; after `reset_after` ms of running it begins again at `min`.
--
-- When its parent ends, a supervisor stops its children and ends too. When it
-- is killed, its children are killed with it.

local childspec = require "banyan.childspec"
local core = require "banyan.core"
core.skip_in_errors()
local options = require "banyan.options"
local server = require "banyan.server"
local slices = require "banyan.slices"

local ask = core.ask
local kind_of = core.supervisor.kind
local start = core.supervisor.start

local STATIC, SIMPLE = 0, 1 -- byn_supervisor_kind
local MAX_RESTARTS, MAX_SECONDS = 3, 5 -- defaults, as in OTP

---@class banyan.supervisor
local supervisor = {}

-- --- options ----------------------------------------------------------------

local strategies = {
  one_for_one = 0, one_for_all = 1, rest_for_one = 2, simple_one_for_one = 0,
}
local auto_shutdowns = { never = 0, any_significant = 1, all_significant = 2 }

local function one_of(values)
  local names = {}
  for name in pairs(values) do names[#names + 1] = ("%q"):format(name) end
  table.sort(names)
  return {
    "one of " .. table.concat(names, ", "),
    function(value) return values[value] ~= nil end,
  }
end

local max_restarts = {
  "an integer not below 0, or math.huge",
  function(value)
    return type(value) == "number" and value >= 0
      and (value == math.huge or value % 1 == 0 and value < 2 ^ 32 - 1)
  end,
}

local max_seconds = {
  "a positive number of seconds",
  function(value)
    return type(value) == "number" and value > 0 and value <= 1e9
  end,
}

local observer = {
  "a pid",
  function(value) return type(value) == "userdata" end,
  hidden = true,
}

local init_options = {
  strategy = one_of(strategies),
  auto_shutdown = one_of(auto_shutdowns),
  max_restarts = max_restarts,
  max_seconds = max_seconds,
  observer = observer,
}
local start_options = { name = "string" }
local all_options = { name = "string" }
for name, kind in pairs(init_options) do all_options[name] = kind end

-- Also used by dynamic_supervisor.
supervisor._kinds = {
  max_restarts = max_restarts, max_seconds = max_seconds, observer = observer,
  one_of = one_of,
}

local function integer(value)
  return math.tointeger and math.tointeger(value) or value
end

--- Sets the limits on restarts that the options ask for. For this library's
-- own use.
function supervisor._set_limits(config, opts)
  local most = opts.max_restarts or MAX_RESTARTS
  local seconds = opts.max_seconds or MAX_SECONDS
  if most < math.huge then config.max_restarts = integer(most) end
  config.period = integer(math.floor(seconds * 1000 + 0.5))
  config.observer = opts.observer
end

local function any_significant(list)
  for _, packed in ipairs(list) do
    if childspec.is_significant(packed) then return true end
  end
  return false
end

local function pack_template(children)
  if type(children) ~= "table" or children[1] == nil or children[2] ~= nil then
    return nil, "with simple_one_for_one, children must be a list of one spec"
  end
  local packed, message = childspec.pack(children[1], true)
  if not packed then return nil, "children[1]: " .. message end
  return { packed }
end

-- What a supervisor is made from; or nil and what is wrong.
local function configure(children, opts)
  local simple = opts.strategy == "simple_one_for_one"
  local list, message = (simple and pack_template or childspec.pack_all)(
    children)
  if not list then return nil, message end
  local config = {
    kind = simple and SIMPLE or STATIC,
    strategy = strategies[opts.strategy or "one_for_one"],
    auto = auto_shutdowns[opts.auto_shutdown or "never"],
  }
  if config.auto == 0 and any_significant(list) then
    return nil, "a significant child needs the option auto_shutdown"
  end
  supervisor._set_limits(config, opts)
  if simple then config.extra = list[1] else config.children = list end
  return config
end

-- --- starting ---------------------------------------------------------------

--- What a module's init returns so that no supervisor starts, without that
-- being a failure: start_link returns nil, "ignore".
supervisor.ignore = server.ignore

-- Configurations that supervisor.init made, and nobody else.
local made = setmetatable({}, { __mode = "k" })

--- How long a child waits before it is restarted.
---@class banyan.Backoff
---@field min? integer  milliseconds (100) before the first restart
---@field max? integer  milliseconds (30000), the longest wait
---@field factor? number  how much longer each wait is; 2
---@field jitter? number  0 to 1, the part of it that may be cut off at random
--- Milliseconds of running after which it begins again at min; max by default.
---@field reset_after? integer

--- A child spec, see the head of this file.
---@class banyan.ChildSpec
---@field id? any  which child it is
---@field start function|table  {"module", "fn", {args}}, or a function
---@field restart? "permanent"|"transient"|"temporary"  "permanent" by default
--- Milliseconds; 5000 by default, "infinity" for a supervisor.
---@field shutdown? integer|"brutal_kill"|"infinity"
---@field type? "worker"|"supervisor"  "worker" by default
---@field significant? boolean  see the option auto_shutdown; false by default
---@field backoff? banyan.Backoff  none by default

--- Who is restarted with a child, see the head of this file.
---@alias banyan.Strategy
---| "one_for_one"
---| "one_for_all"
---| "rest_for_one"
---| "simple_one_for_one"

--- The options of supervisor.init.
---@class banyan.SupervisorInitOptions
---@field strategy? banyan.Strategy  "one_for_one" by default
---@field max_restarts? integer|number  3 by default; math.huge for no limit
---@field max_seconds? number  seconds, 5 by default; fractions too
--- "never" by default.
---@field auto_shutdown? "never"|"any_significant"|"all_significant"

--- The options of supervisor.start_link for a module with an init.
---@class banyan.SupervisorModuleOptions
---@field name? string  register it under this name

--- The options of supervisor.start_link for a list of children.
---@class banyan.SupervisorOptions: banyan.SupervisorInitOptions
---@field name? string  register it under this name

--- Makes what a module's init returns. Does not yield.
---@param children table  a list of child specs
---@param opts? banyan.SupervisorInitOptions
---@return table config  what is wrong in a spec or an option is an error here
function supervisor.init(children, opts)
  opts = options.check("supervisor.init", opts, init_options, 2)
  local config, message = configure(children, opts)
  if not config then error("supervisor.init: " .. message, 2) end
  made[config] = true
  return config
end

-- Runs in the new supervisor.
local function run_init(module, arg)
  if type(module) == "string" then module = childspec.load(module) end
  local result, reason = module.init(arg)
  if made[result] then return result end
  if result == supervisor.ignore then return nil, "ignore" end
  if not result and reason ~= nil then return nil, reason end
  if result == nil then result = "init returned nothing" end
  return nil, { "bad_return", result }
end

local function is_module(value)
  return type(value) == "string"
    or type(value) == "table" and type(value.init) == "function"
end

--- Starts a supervisor and its children, linked to the caller. Yields until
-- all children have started.
--
--    supervisor.start_link(children, opts)
--    supervisor.start_link(module, arg, opts)
--
-- The second form calls module.init(arg) in the supervisor, which returns
-- supervisor.init(children, opts), supervisor.ignore, or nil and a reason.
---@param children table|string  a list of child specs; or a module with an
---  init, or its name
---@param opts? banyan.SupervisorOptions|any  or what init gets, copied
---@param module_opts? banyan.SupervisorModuleOptions
---@return banyan.Pid|nil pid
---@return any err  {"already_started", pid} if the name is taken;
---  {"shutdown", {"failed_to_start_child", id, reason}}: those that had
---  started were stopped; "ignore", or what init failed for. The caller hears
---  no EXIT
function supervisor.start_link(children, opts, module_opts)
  if is_module(children) then
    local name = options.check("supervisor.start_link", module_opts,
      start_options, 2).name
    local label = type(children) == "string" and children or name
    return start({ run_init, children, opts }, childspec.apply, name, label)
  end
  if module_opts ~= nil then
    error("supervisor.start_link: the third argument belongs to a module, "
      .. "but the first is not one: it has no init", 2)
  end
  opts = options.check("supervisor.start_link", opts, all_options, 2)
  local config, message = configure(children, opts)
  if not config then error("supervisor.start_link: " .. message, 2) end
  return start(config, childspec.apply, opts.name, opts.name)
end

--- The child spec of a supervisor under a supervisor: `{"banyan.supervisor",
-- children}`, for nesting with the usual options. Does not yield.
---@param children table  a list of child specs
---@return table spec  its id is "banyan.supervisor": change it where there
---  are several
function supervisor.child_spec(children)
  return {
    id = "banyan.supervisor",
    start = { "banyan.supervisor", "start_link", { children } },
    type = "supervisor",
  }
end

-- --- children ---------------------------------------------------------------

-- What start_child asks a simple_one_for_one supervisor.
local function simple_request(args)
  if args == nil then args = {} end
  if not childspec.is_list(args) then
    error("supervisor.start_child: a simple_one_for_one supervisor takes a "
      .. "list of extra arguments, got "
      .. (type(args) == "table" and "another table" or "a " .. type(args)), 3)
  end
  return childspec.pack_arguments(args, { "start_simple" })
end

local function start_request(spec)
  local packed, message = childspec.pack(spec)
  if not packed then error("supervisor.start_child: " .. message, 3) end
  packed[1] = "start_child"
  return packed
end

--- Starts a child under a supervisor, as its last one. Yields until it has
-- started.
---@param sup banyan.Pid|string|table  a pid, a registered name, {name=, node=}
---@param spec any  a child spec or a shorthand; for simple_one_for_one a list
---  of arguments that are added to the template's
---@return banyan.Pid|nil pid
---@return any extra  what came with the pid; or the error: "ignore" (its spec
---  is kept unless it is temporary), {"already_started", pid},
---  "already_present", {"bad_combination", {auto_shutdown="never",
---  significant=true}}, what the start function failed with, {"bad_return",
---  value}; "noproc", "noconnection"
function supervisor.start_child(sup, spec)
  local kind, err = kind_of(sup)
  if not kind then kind, err = ask(sup, { "kind" }) end
  if not kind then
    -- A table makes sense to one kind or the other.
    if type(spec) ~= "table" and spec ~= nil then start_request(spec) end
    return nil, err
  end
  local request
  if kind == "simple" then
    request = simple_request(spec)
  else
    request = start_request(spec)
  end
  return ask(sup, request)
end

local function check_id(what, id)
  if id == nil then
    error(("supervisor.%s: the child's id expected, got nil"):format(what), 3)
  end
end

--- Stops a child; its spec is kept, unless it is temporary. Cancels a restart
-- that is still to come. Yields until it has ended.
---@param sup banyan.Pid|string|table
---@param id any  its id; its pid under a simple_one_for_one supervisor
---@return true|nil ok  true too if it was not running
---@return any err  "not_found", "simple_one_for_one", "noproc",
---  "noconnection"
function supervisor.terminate_child(sup, id)
  check_id("terminate_child", id)
  return ask(sup, { "terminate_child", id })
end

--- Starts a child again that is not running. Yields until it has started.
---@param sup banyan.Pid|string|table
---@param id any  its id
---@return banyan.Pid|nil pid
---@return any extra  what came with the pid; or the error: "running",
---  "restarting", "not_found", "simple_one_for_one", "ignore", what the start
---  function failed with, "noproc", "noconnection"
function supervisor.restart_child(sup, id)
  check_id("restart_child", id)
  return ask(sup, { "restart_child", id })
end

--- Forgets a child that is not running. Yields.
---@param sup banyan.Pid|string|table
---@param id any
---@return true|nil ok
---@return any err  "running", "restarting", "not_found",
---  "simple_one_for_one", "noproc", "noconnection"
function supervisor.delete_child(sup, id)
  check_id("delete_child", id)
  return ask(sup, { "delete_child", id })
end

--- The spec of a child, with its defaults filled in. Yields.
---@param sup banyan.Pid|string|table
---@param id any  its id; under a simple_one_for_one supervisor its pid, or the
---  template's id
---@return table|nil spec  of a temporary child without the arguments of its
---  start, which are not kept
---@return any err  "not_found", "noproc", "noconnection"
function supervisor.get_childspec(sup, id)
  check_id("get_childspec", id)
  return ask(sup, { "get_childspec", id })
end

-- Appends the rows of a slice to a list of `count`. A pid stands for the row of
-- a dynamic worker that runs.
local function add_rows(list, count, rows)
  for i = 1, #rows do
    local row = rows[i]
    if type(row) ~= "table" then
      row = { pid = row, state = "running", type = "worker" }
    end
    list[count + i] = row
    if i % slices.size == 0 and i < #rows then core.give_way() end
  end
  return count + #rows
end

--- The children, in start order. Yields. Of very many it is taken in slices,
-- so that it holds nobody up: it has each child that is there throughout, once,
-- and none that is started later.
---@param sup banyan.Pid|string|table
---@return table|nil list  of {id=, pid=, state="running"|"restarting"|
---  "stopped", type="worker"|"supervisor"}; dynamic children have no id, and
---  pid is nil where none runs
---@return any err  "noproc", "noconnection"
function supervisor.which_children(sup)
  local list, count = {}, 0
  local after, last, most = 0, nil, slices.size
  repeat
    local rows, go_on, until_there, who = ask(sup,
      { "which_children", after, last, most })
    if not rows then return nil, go_on end
    if not who then return rows end -- of an older node, which answers with all
    count = add_rows(list, count, rows)
    after, last = go_on, until_there
    sup = who
    if who:node() ~= core.node_name() then most = slices.far end
  until not after
  return list
end

--- How many children there are. Yields. Costs the same however many.
---@param sup banyan.Pid|string|table
---@return table|nil counts  {specs=, active=, supervisors=, workers=}: all,
---  those that run, and all by their type
---@return any err  "noproc", "noconnection"
function supervisor.count_children(sup)
  return ask(sup, { "count_children" })
end

--- Stops a supervisor, after its children in reverse start order. Yields until
-- it has ended.
---@function supervisor.stop
---@param dest banyan.Pid|string|table  as for start_child
---@param reason? any  default "normal"
---@param timeout? integer|string  milliseconds, default no limit; it stops all
---  the same when they have passed
---@return true|nil ok  true if it ended for this reason
---@return any err  "noproc", "noconnection", "timeout", "calling_self", or the
---  other reason for which it ended
supervisor.stop = server.stop

return supervisor
