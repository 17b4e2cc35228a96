--- Peer nodes: other OS processes as nodes, started and controlled from here.
--
-- A peer is a pid: that of a process of this node which stands for the OS
-- process, the *control process*. When it ends, for whatever reason, the OS
-- process ends too; and so it does when this program does.
--
--     local p, node = assert(peer.start_link { connection = "stdio" })
--     print(peer.call(p, "string", "upper", { "hello" })) --> HELLO
--     peer.stop(p)
--
-- See docs/peers.md. Needs a node with the driver "luv".

local core = require "banyan.core"
core.skip_in_errors()
local checks = require "banyan.options"
local begin = require "banyan.peer.start"
local options = require "banyan.peer.options"
local server = require "banyan.server"
local wait = require "banyan.wait"

---@class banyan.peer
local peer = {}

local CALL_MS = 5000
local MOST_ARGS = 200

-- The parts are loaded late: they need luv, and a program without it may load
-- this module.
local function control() return require "banyan.peer.control" end
local function kinds() return require "banyan.peer.kinds" end

local function check_driver(what)
  core.self(what)
  local driver = core.driver()
  if driver == "luv" then return end
  if driver == "lockstep" then
    error(what .. ": there are no OS processes under lockstep; "
      .. "lockstep.cluster has nodes of its own", 3)
  end
  error(('%s: needs a node with the driver "luv"; this one has %s'):format(what,
    driver and ("%q"):format(driver) or "none"), 3)
end

-- --- starting ----------------------------------------------------------------

--- The options of peer.start and peer.start_link.
---@class banyan.PeerOptions
--- "a@host:port", or what is before the "@": then it is at `host`, on a port
--- that is free. Without a name the peer is not distributed.
---@field name? string
--- Where a short name is; "127.0.0.1" by default. Without a name, this node's
--- own short name is used there.
---@field host? string
--- How it is controlled: nil, by distribution; "stdio"; or over TCP, by a port
--- (0: a free one) of 127.0.0.1 or by {ip, port}, of this machine.
---@field connection? string|integer|table
--- The program: a path or {path, {args}}; by default the one that runs here.
---@field exec? string|table
---@field args? string[]  more arguments: options of the interpreter
--- Gets the whole list of arguments and returns the one to use.
---@field post_process_args? fun(list: string[]): string[]
---@field env? table<string, string>  added to this program's environment
---@field cwd? string  its directory; by default this program's
--- Milliseconds that start waits for it to boot, 15000 by default; false: start
--- does not wait; {pid, tag}: nor does it, and that process is sent {tag=,
--- peer=, started=} with the name of the node or false, or {tag=, peer=,
--- failed=}. What is not waited for has 60000.
---@field wait_boot? integer|number|string|boolean|table
--- What stop does: "close" cuts it off; "halt" ends it at once, and {"halt",
--- ms} gives that so long (5000); milliseconds or "infinity" stop it in order
--- and give it so long.
---@field shutdown? string|integer|number|table
--- What follows when it is gone: "stop" ends the control process with "normal",
--- "crash" with the reason, "continue" not at all.
---@field peer_down? "stop"|"continue"|"crash"
--- Gets what it prints. Must not wait; by default it is printed here, too.
---@field on_output? fun(stream: "stdout"|"stderr", text: string)

local function start(what, starter, opts, is_linked)
  local settings = options.check(what, opts, 3)
  if is_linked then settings.parent = core.self() end
  return begin(starter, settings)
end

--- Starts a peer. Yields until it has booted or has failed to; see `wait_boot`.
---@param opts? banyan.PeerOptions
---@return banyan.Pid|nil peer
---@return any node  the name of its node, nil where it has none; or an error:
---  {"boot_failed", reason} with the reason {"exec", why} (the program cannot
---  be run), {"exit_status", n}, {"signal", n}, "timeout" or {"listen", why}.
---  No OS process is left then
function peer.start(opts)
  check_driver "banyan.peer.start"
  return start("banyan.peer.start", server.start, opts, false)
end

--- The same, linked to the caller: when that ends, the peer is stopped. Where
-- it fails the caller stays alive and hears no EXIT. Yields.
---@param opts? banyan.PeerOptions  by default { name = peer.random_name() }
---@return banyan.Pid|nil peer
---@return any node  as of start
function peer.start_link(opts)
  check_driver "banyan.peer.start_link"
  if opts == nil then opts = { name = peer.random_name() } end
  return start("banyan.peer.start_link", server.start_link, opts, true)
end

local last_number = 0

--- A name for a node that no other peer of this program has. Does not yield.
---@param prefix? string  "peer" by default
---@return string name  such as "peer-3-7161"
function peer.random_name(prefix)
  if prefix == nil then prefix = "peer" end
  checks.argument(prefix, "string", "banyan.peer.random_name", "prefix")
  last_number = last_number + 1
  local pid = require "banyan.driver.uv".os_getpid()
  return ("%s-%d-%d"):format(prefix, last_number, pid)
end

-- --- using -------------------------------------------------------------------

local function check_peer(what, pid)
  if core.is_pid(pid) then return end
  error(("%s: a peer is a pid, got %s"):format(what, type(pid)), 3)
end

-- The state of a peer of this program; else nil.
local function state_of(pid)
  local loaded = package.loaded["banyan.peer.control"]
  return loaded and loaded.states[pid]
end

local function is_own(pid)
  return core.life(pid) == core.life(core.self())
end

-- Why a peer that is none of this program is not spoken to: it has ended, or
-- is another node's, which alone may have it do anything.
local function refuse(pid, what)
  if is_own(pid) then return nil, "noproc" end
  return nil, core.reason { "not_allowed", what, pid:node() }
end

local function check_target(what, module, fn, args)
  if type(module) ~= "string" or type(fn) ~= "string" then
    error(("%s: the names of a module and of a function in it expected, got %s "
      .. "and %s"):format(what, type(module), type(fn)), 3)
  end
  if args ~= nil and type(args) ~= "table" then
    error(("%s: args must be a list, got %s"):format(what, type(args)), 3)
  end
  args = args or {}
  local n = args.n or #args
  if type(n) ~= "number" or n % 1 ~= 0 or n < 0 or n > MOST_ARGS then
    error(("%s: args must be a list of at most %d, its n is %s"):format(what,
      MOST_ARGS, tostring(n)), 3)
  end
  local list = { n = n }
  for i = 1, list.n do list[i] = args[i] end
  return list
end

--- Calls a function of a module on the peer, in a process of its own there:
-- over the control connection, or by distribution where there is none. Yields.
---@param pid banyan.Pid  the peer
---@param module string  what `require` finds there; "_G" has the globals
---@param fn string
---@param args? table  a list; with n, where nil is among them
---@param timeout? integer|number|string  milliseconds; 5000 by default
---@return any ...  what the function returned
---@return any err  "timeout" (what comes later is dropped), "noproc": the peer
---  was stopped; "noconnection": it boots still; {"peer_down", reason};
---  {"module_not_found", text}, {"undef", text}; {"error", message, traceback}
---  of the function, or the exit reason of its process; "too_large";
---  {"not_allowed", "peer.call", node}: it is a peer of that node, not of this
function peer.call(pid, module, fn, args, timeout)
  check_peer("banyan.peer.call", pid)
  args = check_target("banyan.peer.call", module, fn, args)
  if timeout == nil then timeout = CALL_MS end
  timeout = checks.timeout(timeout, "banyan.peer.call")
  local state = state_of(pid)
  if state then
    return control().call(state, "banyan.peer.call", module, fn, args, timeout)
  end
  return refuse(pid, "peer.call")
end

local function put(what, name, pid, kind, ...)
  local state = state_of(pid)
  if state then
    control().put(state, "banyan." .. what, name, kind, ...)
  elseif not is_own(pid) then
    return refuse(pid, what)
  end
  return true
end

--- The same as call without an answer: whether it was called is not told.
-- Yields where very much is unsent.
---@param pid banyan.Pid  the peer
---@param module string
---@param fn string
---@param args? table
---@return true|nil ok
---@return any err  {"not_allowed", "peer.cast", node}
function peer.cast(pid, module, fn, args)
  check_peer("banyan.peer.cast", pid)
  args = check_target("banyan.peer.cast", module, fn, args)
  return put("peer.cast", "args", pid, kinds().CAST, module, fn, args)
end

--- Sends a message to a process of the peer; whether there is one is not told.
-- A pid that came from the peer may be sent to without this function, by
-- banyan.send. Yields where very much is unsent.
---@param pid banyan.Pid  the peer
---@param dest banyan.Pid|string  or the name of a process there
---@param message any
---@return true|nil ok
---@return any err  {"not_allowed", "peer.send", node}
function peer.send(pid, dest, message)
  check_peer("banyan.peer.send", pid)
  if type(dest) ~= "string" and not core.is_pid(dest) then
    error("banyan.peer.send: the destination must be a pid or a name, got "
      .. type(dest), 2)
  end
  return put("peer.send", "message", pid, kinds().SEND, dest, message)
end

--- What is known of a peer. Yields only for one of another node.
---@param pid banyan.Pid
---@return string|table|nil state  "booting", "running" or {"down", reason}
---@return any err  "noproc"
function peer.get_state(pid)
  check_peer("banyan.peer.get_state", pid)
  local state = state_of(pid)
  if state then return control().state(state) end
  if is_own(pid) then return nil, "noproc" end
  return server.call(pid, { what = "state" })
end

local stop = wait(server.stop)

--- Stops a peer, as its option `shutdown` says; then its control process ends.
-- Yields.
---@param pid banyan.Pid
---@return true|nil ok  no OS process is left; after "close" it ends soon
---@return any err  "noproc", also for a process that is no peer;
---  {"not_allowed", "peer.stop", node}
function peer.stop(pid)
  check_peer("banyan.peer.stop", pid)
  if not state_of(pid) then return refuse(pid, "peer.stop") end
  return stop(pid, "normal", "infinity")
end

return peer
