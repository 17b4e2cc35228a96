--- Workers: the nodes that the option `workers` of banyan.run adds to a node,
-- so that a program uses all cores. Private to banyan.run.
--
--   main            of the origin, banyan.run's function; linked to
--    workers        a supervisor of peers; what fails more often than it may
--      peer         the control process of one worker (peer/control.lua)
--   worker node     another OS process: its main process runs `worker`
--
-- The link to each worker, and those between workers, go over Unix sockets:
-- each node has one, of which it tells the others.

local core = require "banyan.core"
local addresses = require "banyan.address"
local names = require "banyan.name"
local server = require "banyan.server"
local supervisor = require "banyan.supervisor"

local workers = {}

local MOST = 1024
-- More restarts than these end the program: as many as a supervisor allows, and
-- one of each worker, since what ends one may end all. A slow boot must not
-- hide that they all end again and again, so there is as much more time.
local RESTARTS, SECONDS = 3, 5

-- Loaded late: they need luv.
local function luv() return require "banyan.driver.uv" end
local function sockets() return require "banyan.sockets" end
local function ports() return require "banyan.peer.port" end

-- --- options -----------------------------------------------------------------

local function is_count(value)
  return type(value) == "number" and value % 1 == 0 and value >= 0
    and value <= MOST
end

--- The kind of the option `workers`, for a schema.
workers.count_kind = {
  ('an integer from 0 to %d or "cores"'):format(MOST),
  function(value) return value == "cores" or is_count(value) end,
}

-- Of a list of arguments, which may have holes, the count; nil: it has other
-- keys than places, and `n`.
local function count_arguments(list)
  local count = 0
  for key in pairs(list) do
    local is_place = type(key) == "number" and key % 1 == 0 and key >= 1
      and key <= MOST
    if is_place then
      count = math.max(count, key)
    elseif key ~= "n" then
      return nil
    end
  end
  if list.n == nil then return count end
  local fits = type(list.n) == "number" and list.n % 1 == 0
    and list.n >= count and list.n <= MOST
  return fits and list.n or nil
end

--- The kind of the option `worker`.
workers.main_kind = {
  'a list {"module", "function", {arguments}}',
  function(value)
    if type(value) ~= "table" then return false end
    for key in pairs(value) do
      if key ~= 1 and key ~= 2 and key ~= 3 then return false end
    end
    local args = value[3]
    return type(value[1]) == "string" and type(value[2]) == "string"
      and (args == nil or type(args) == "table" and count_arguments(args))
      and true or false
  end,
}

--- Checks what the kinds cannot see. Raises misuse.
---@param what string
---@param opts table
---@param level integer  as for options.check
function workers.check(what, opts, level)
  local function misuse(text)
    error(("%s: %s"):format(what, text), level + 2)
  end
  local fit, why = pcall(core.to_bytes, opts.worker and opts.worker[3] or {})
  if not fit then
    misuse(('option "worker": its arguments: %s'):format(why))
  elseif opts.workers and not opts.worker then
    misuse('the option "workers" needs the option "worker", what each of them '
      .. 'runs: {"module", "function", {arguments}}')
  elseif opts.worker and not opts.workers then
    misuse('the option "worker" is for the option "workers": how many run it, '
      .. 'or "cores"')
  elseif opts.workers and opts.driver and opts.driver ~= "luv" then
    misuse('the option "workers" needs the driver "luv"')
  end
end

-- --- the origin's own options ------------------------------------------------

local function find_name(host)
  local port, socket = ports().find(host)
  if not port then return nil, "there is no free port" end
  return ("main-%d@%s:%d"):format(luv().os_getpid(), host, port), socket
end

-- What the origin tells others: also its socket, unless it has one.
local function with_path(given, path)
  local read = given and addresses.parse(given) or {}
  if read.path then return given end
  local list = { "unix:" .. path }
  if read.tcp then list[2] = "tcp://" .. names.show(read.tcp) end
  return list
end

--- The node has its port, or does not start.
---@param socket userdata|nil  of complete
function workers.release(socket)
  if socket then ports().release(socket) end
end

--- The options of an origin: with a name, and a socket. They have been checked.
---@param opts table
---@return table|nil opts  a copy
---@return string|nil err
---@return userdata|nil socket  that keeps its port until the node has it
function workers.complete(opts)
  local directory, why = sockets().directory()
  if not directory then return nil, why end
  local copy, socket = {}, nil
  for key, value in pairs(opts) do copy[key] = value end
  if not copy.name then
    copy.name, socket = find_name "127.0.0.1"
    if not copy.name then return nil, socket end
  end
  local path
  path, why = sockets().path(directory, copy.name, luv().os_getpid())
  if not path then
    ports().release(socket)
    return nil, why
  end
  copy.address = with_path(copy.address, path)
  return copy, nil, socket
end

-- --- one worker --------------------------------------------------------------

-- What every worker is told. `listen`: as the origin, on another port.
local function plan_of(opts)
  local own = names.parse(opts.name)
  local listen = opts.listen and names.address(opts.listen, 0)
  local plan = {
    short = opts.name:match "^[^@]+", host = own.host, names = {},
    links = {
      listen = listen and listen.host, preempt = opts.preempt,
      collector = opts.collector, stop_ms = opts.stop_ms,
      on_event = opts.on_event == false and false or nil,
      connect = { { name = opts.name, address = opts.address } },
    },
  }
  plan.worker = {
    module = opts.worker[1], fn = opts.worker[2], args = opts.worker[3] or {},
    count = count_arguments(opts.worker[3] or {}),
    origin = luv().os_getpid(),
  }
  return plan
end

-- What one worker is told. The directory for sockets may be gone by now, with
-- the user's last session say, so it is looked for, or made, at each start;
-- where there is none any more, the worker is to be had over TCP.
local function order_of(plan)
  local order = { directory = sockets().directory() }
  for key, value in pairs(plan.worker) do order[key] = value end
  return order
end

-- A worker keeps its name when it is started again. Where that fails, such as
-- for a port that somebody else has bound by now, the next one finds another.
local function settings_of(plan, index)
  local known = plan.names[index]
  plan.names[index] = nil
  local settings = require "banyan.peer.options".check("banyan.run", {
    name = known or ("%s-%d"):format(plan.short, index),
    host = not known and plan.host or nil, connection = "stdio",
    shutdown = "infinity", -- its own stop_ms, and the origin's, are the limit
  }, 2)
  for key, value in pairs(plan.links) do settings.links[key] = value end
  settings.worker, settings.peer_down = order_of(plan), "done"
  settings.parent = core.self()
  return settings
end

local function start_worker(plan, index)
  local pid, node = require "banyan.peer.start"(server.start_link,
    settings_of(plan, index))
  if not pid then return nil, node end
  plan.names[index] = node
  return pid
end

-- --- all of them -------------------------------------------------------------

local function count_of(value)
  if value ~= "cores" then return value end
  local cores = luv().available_parallelism
  return cores and cores() or #luv().cpu_info()
end

--- Starts the workers, in the main process of the origin, and returns once all
-- of them run. Yields; raises where one does not start.
---@param opts table  of workers.complete
function workers.start(opts)
  local plan, count = plan_of(opts), count_of(opts.workers)
  local sup = assert(supervisor.start_link({
    {
      id = "worker", restart = "transient", shutdown = "infinity",
      start = function(index) return start_worker(plan, index) end,
    },
  }, {
    strategy = "simple_one_for_one",
    max_restarts = RESTARTS + count, max_seconds = SECONDS + count,
  }))
  for index = 1, count do
    local pid, why = supervisor.start_child(sup, { index })
    if not pid then
      error(("banyan.run: worker %d did not start: %s"):format(index,
        tostring(why)), 0)
    end
  end
end

return workers
