--- What banyan.peer's start takes: checked in the caller, with defaults filled
-- in, and made a command line. Private to banyan.peer.

local core = require "banyan.core"
local common = require "banyan.options"
local names = require "banyan.name"

local options = {}

-- Loaded late: a program without luv may load this module.
local function luv() return require "banyan.driver.uv" end

local WAIT_MS = 15000
local HALT_MS = 5000
-- A boot that nobody waits for has so long.
local UNWATCHED_MS = 60000
-- What starts the node. It stands in a command line that a shell may read.
local BOOT = "-lbanyan.peer.boot"

local function is_ms(value)
  return type(value) == "number" and value % 1 == 0 and value >= 0
    and value < 2 ^ 53
end

local function is_endless(value)
  return value == "infinity" or value == math.huge
end

local function is_list(value)
  if type(value) ~= "table" then return false end
  local count = 0
  for _ in pairs(value) do count = count + 1 end
  for i = 1, count do
    if type(value[i]) ~= "string" or value[i]:find "%z" then return false end
  end
  return true
end

local function is_text(value)
  return type(value) == "string" and value ~= "" and not value:find "%z"
end

local function is_port(value)
  return is_ms(value) and value <= 65535
end

local function is_connection(value)
  if value == "stdio" or is_port(value) then return true end
  return type(value) == "table" and is_text(value[1]) and is_port(value[2])
    and value[3] == nil
end

local function is_exec(value)
  if is_text(value) then return true end
  return type(value) == "table" and is_text(value[1])
    and (value[2] == nil or is_list(value[2])) and value[3] == nil
end

local function is_env(value)
  if type(value) ~= "table" then return false end
  for name, text in pairs(value) do
    if not is_text(name) or name:find "=" then return false end
    if type(text) ~= "string" or text:find "%z" then return false end
  end
  return true
end

local function is_wait(value)
  if value == false or is_ms(value) or is_endless(value) then return true end
  return type(value) == "table" and core.is_pid(value[1]) and value[2] ~= nil
    and value[3] == nil
end

local function is_shutdown(value)
  if value == "close" or value == "halt" then return true end
  if is_ms(value) or is_endless(value) then return true end
  return type(value) == "table" and value[1] == "halt" and is_ms(value[2])
    and value[3] == nil
end

local schema = {
  name = { "the name of a node, or what comes before its @", is_text },
  host = { "the name or address of a host", is_text },
  connection = { '"stdio", a port or {ip, port}', is_connection },
  exec = { "a path or {path, {args}}", is_exec },
  args = { "a list of strings", is_list },
  env = { "a table of strings by name", is_env },
  cwd = { "a path", is_text },
  post_process_args = "function",
  wait_boot = { "milliseconds, false or {pid, tag}", is_wait },
  shutdown = {
    '"close", "halt", {"halt", ms}, milliseconds or "infinity"', is_shutdown,
  },
  peer_down = {
    '"stop", "continue" or "crash"',
    function(value)
      return value == "stop" or value == "continue" or value == "crash"
    end,
  },
  on_output = "function",
}

local function misuse(what, why, level)
  error(("%s: %s"):format(what, why), level + 1)
end

-- --- names -------------------------------------------------------------------

-- What comes before the @ of this node's name.
local function own_short()
  return (core.node_name() or ""):match "^([^@]+)@"
end

-- The name as far as it is known: a whole one, or a short one and a host. A
-- port is found later.
local function check_name(what, opts, result, level)
  local name = opts.name
  if not name and opts.host then
    name = own_short()
    if not name then
      misuse(what, 'option "host" needs the option "name": this node has no '
        .. "name that the peer could have there", level + 1)
    end
  end
  if not name then return end
  if name:find "@" then
    local fine, why = names.parse(name)
    if not fine then misuse(what, 'option "name": ' .. why, level + 1) end
    if opts.host then
      misuse(what, 'option "name" has a host already, so there is nothing for '
        .. 'the option "host"', level + 1)
    end
    result.name = name
    return
  end
  result.short, result.host = name, opts.host or "127.0.0.1"
  local probe = names.show { host = result.host, port = 65535 }
  local fine, why = names.parse(name .. "@" .. probe)
  if not fine then misuse(what, 'option "name": ' .. why, level + 1) end
end

local function check_connection(what, opts, result, level)
  local connection = opts.connection
  if connection == "stdio" then
    result.mode = "stdio"
  elseif type(connection) == "table" then
    result.mode, result.ip, result.port = "tcp", connection[1], connection[2]
  elseif connection then
    result.mode, result.ip, result.port = "tcp", "127.0.0.1", connection
  else
    result.mode = "dist"
    if not core.node_name() then
      misuse(what, "a peer is controlled by distribution unless there is the "
        .. 'option "connection", and this node has no name', level + 1)
    end
    if not (result.name or result.short) then
      misuse(what, 'a peer without the option "connection" is controlled by '
        .. 'distribution, and needs the option "name" for that', level + 1)
    end
  end
end

-- --- the command line --------------------------------------------------------

-- Where the modules are, for this interpreter: a program may have set
-- package.path itself. Paths that begin in the directory of this program do so
-- in that of the peer, too.
local function absolute(path, cwd)
  if not cwd then return path end
  local here = luv().cwd()
  return (path:gsub("[^;]+", function(entry)
    if entry:find "^/" then return entry end
    return here .. "/" .. entry
  end))
end

local function paths_of(cwd)
  local version = _VERSION:match "(%d+%.%d+)$"
  local suffix = version == "5.1" and "" or "_" .. version:gsub("%.", "_")
  return {
    ["LUA_PATH" .. suffix] = absolute(package.path, cwd),
    ["LUA_CPATH" .. suffix] = absolute(package.cpath, cwd),
  }
end

local function make_env(opts)
  local env, list = luv().os_environ(), {}
  if not opts.exec then
    for name, value in pairs(paths_of(opts.cwd)) do env[name] = value end
  end
  for name, value in pairs(opts.env or {}) do env[name] = value end
  env.BANYAN_PEER = "3"
  for name, value in pairs(env) do list[#list + 1] = name .. "=" .. value end
  table.sort(list)
  return list
end

local function make_args(what, opts, exec, level)
  local list = {}
  for _, arg in ipairs(exec[2] or {}) do list[#list + 1] = arg end
  for _, arg in ipairs(opts.args or {}) do list[#list + 1] = arg end
  list[#list + 1] = BOOT
  if not opts.post_process_args then return list end
  list = opts.post_process_args(list)
  if not is_list(list) then
    misuse(what, 'the function of the option "post_process_args" must return '
      .. "a list of strings", level + 1)
  end
  return list
end

-- --- the rest ----------------------------------------------------------------

local function limit(value)
  if is_endless(value) then return nil end
  return value
end

-- How the peer is asked to stop: "close", "halt" or "stop", and how long it may
-- take.
local function check_shutdown(opts, result)
  local how = opts.shutdown == nil and "halt" or opts.shutdown
  if how == "close" then
    result.shutdown = "close"
  elseif how == "halt" then
    result.shutdown, result.stop_ms = "halt", HALT_MS
  elseif type(how) == "table" then
    result.shutdown, result.stop_ms = "halt", how[2]
  else
    result.shutdown, result.stop_ms = "stop", limit(how)
  end
end

local function check_wait(opts, result)
  local wait = opts.wait_boot
  if wait == nil then wait = WAIT_MS end
  if wait == false then
    result.boot_ms = UNWATCHED_MS
  elseif type(wait) == "table" then
    result.boot_ms, result.notify = UNWATCHED_MS, wait
  else
    result.boot_ms, result.waits = limit(wait), true
  end
end

-- What makes the peer one of this node's cluster.
local function link_options(result)
  local given = core.kept().link_options or {}
  local copy = {}
  for key, value in pairs(given) do copy[key] = value end
  if not (result.name or result.short) then copy.secret = nil end
  return copy
end

--- Checks the options of start. Raises misuse.
---@param what string  the function, for messages
---@param opts table|nil
---@param level integer  as for options.check
---@return table result  what control.lua takes
function options.check(what, opts, level)
  opts = common.check(what, opts, schema, level + 1)
  local exec = opts.exec or luv().exepath()
  if type(exec) == "string" then exec = { exec } end
  local result = {
    path = exec[1], cwd = opts.cwd, on_output = opts.on_output,
    peer_down = opts.peer_down or "stop",
  }
  check_name(what, opts, result, level + 1)
  check_connection(what, opts, result, level + 1)
  check_shutdown(opts, result)
  check_wait(opts, result)
  result.args = make_args(what, opts, exec, level + 1)
  result.env = make_env(opts)
  result.links = link_options(result)
  return result
end

return options
