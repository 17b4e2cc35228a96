-- One start of a child, in a process of its own: a start function that waits,
-- hangs or crashes holds up nobody else.
--
-- The starter calls the start function, has the process that this returned
-- taken over by the supervisor of the processes (processes.lua), tells the
-- coordinator how it went, and ends. The coordinator kills it when the time of
-- a start is over, and with it what it has spawned.

local core = require "banyan.core"
local childspec = require "banyan.childspec"
local resume = require "banyan.resume"

local starter = {}

local STANDARD_SEARCHERS = 4

local function failure(order, kind, reason)
  return {
    tag = "start_failed", child = order.child, kind = kind, reason = reason,
  }
end

-- A module that this node does not have is no error of the start function:
-- another node may have it.
local function load_module(here, order)
  local module = childspec.start_of(order.spec)
  if package.loaded[module] then return true end
  local ok, err = pcall(childspec.load, module)
  if ok then return true end
  local text = tostring(err)
  if not text:find("module '" .. module .. "' not found", 1, true) then
    return false, failure(order, "error", core.reason {
      "error", text, "stack traceback:\n\t(in the module's main chunk)" })
  end
  return false, failure(order, "refused",
    core.reason { "module_not_found", text, here.node })
end

--- Does this node lack the module of a child? Its file is looked for, and not
-- run; where somebody else's code looks for modules too, it may have it.
-- @param spec the packed spec
-- @param node this node
-- @return the reason, or nil
function starter.missing(spec, node)
  local module = childspec.start_of(spec)
  if package.loaded[module] or package.preload[module] then return nil end
  local searchers = rawget(package, "searchers") or rawget(package, "loaders")
  if #searchers > STANDARD_SEARCHERS then return nil end
  local found, text = package.searchpath(module, package.path)
  if found or package.searchpath(module, package.cpath) then return nil end
  return core.reason { "module_not_found", ("module '%s' not found:%s")
    :format(module, text), node }
end

local function handler(err)
  if err == nil then err = "nil" end
  if type(err) ~= "string" then return err end
  return core.reason { "error", err, debug.traceback(err, 2) }
end

-- Why the process ended that a start function returned: its exit signal says.
local function exit_reason(pid)
  while true do
    local msg, empty = core.receive(0)
    if empty then return "noproc" end
    local found = type(msg) == "table" and msg.tag == "EXIT"
      and msg.from == pid
    if found then return msg.reason end
  end
end

local NOTHING = "the start function returned nothing"

local function bad_return(order, value)
  return failure(order, "error", core.reason { "bad_return", value })
end

-- Has the supervisor of the processes take the child over. One that has ended
-- already was started all the same, and its own reason counts.
local function hand_over(here, order, pid)
  if pid:node() ~= core.node_name() or pid == core.self() then
    return bad_return(order, pid)
  end
  local adopted, err = core.call(here.processes, {
    tag = "adopt", child = order.child, pid = pid,
    shutdown = childspec.shutdown(order.spec),
    coordinator = here.coordinator, key = here.key,
  }, "infinity")
  if adopted == "taken" then return bad_return(order, pid) end
  local message = { tag = "started", child = order.child, pid = pid }
  if adopted == "dead" then
    message.ended, message.reason = true, exit_reason(pid)
    return message
  end
  core.unlink(pid)
  if adopted == true then return message end
  pid:exit("kill")
  return failure(order, "error", err or "killed")
end

local function start(here, order)
  local loaded, missing = load_module(here, order)
  if not loaded then return missing end
  local ok, pid, err = xpcall(childspec.call_start, handler, order.spec)
  if not ok then return failure(order, "error", pid) end
  if core.is_pid(pid) then return hand_over(here, order, pid) end
  if not pid and err == "ignore" then return failure(order, "ignore") end
  if not pid and err ~= nil then return failure(order, "error", err) end
  return bad_return(order, pid == nil and NOTHING or pid)
end

-- Once it has answered, the coordinator need not hear of its end.
local function run(here, order)
  core.trap_exit(true)
  if order.state then resume.give(order.state, order.how) end
  local answer = start(here, order)
  if order.state then resume.forget(core.self()) end
  answer.key = here.key
  core.send(here.coordinator, answer)
  core.drop_monitors(here.coordinator)
end

--- Makes a function that begins starts: begin(child) answers the starter's pid
-- and a monitor of it. The order of a child must stand in here.orders before
-- the starter has its first turn.
-- @param here {orders = child -> {child=, spec= (packed), state= (bytes of its
--   newest checkpoint, or nil), how=}, node=, coordinator=, processes=, key=}
-- @return begin
function starter.make(here)
  local function life(child) run(here, here.orders[child]) end
  return function(child) return core.spawn_monitor(life, child) end
end

--- Ends a start, and all that it has spawned.
function starter.kill(pid)
  local spawned = core.descendants(pid)
  resume.forget(pid)
  pid:exit("kill")
  for _, descendant in ipairs(spawned) do descendant:exit("kill") end
end

return starter
