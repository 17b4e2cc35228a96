--- banyan.run: one node, from its start to its end.
--
-- The first process of the node is a small `init`. It waits until each node of
-- the option `connect` was reached or has failed once, but no longer than
-- CONNECT_MS; then it starts main, which starts the workers of the option
-- `workers` first, and waits for its end. Then:
--
--   1. main has returned or raised, or SIGTERM or SIGINT has ended it (by the
--      exit signal "shutdown", and by "kill" after GRACE_MS); supervisors and
--      servers that main started end with it, in order
--   2. all other supervisors are stopped
--   3. the node is closed: remaining processes are killed, links are closed
--
-- A main that an exit signal of another has ended makes run raise, with any
-- reason, but for auto_shutdown.
--
-- 3 comes at the latest when the option stop_ms has passed since main ended or
-- a signal came; GRACE_MS after a signal that comes during 2; and at once after
-- a second signal. A node whose name belongs to another one stops as by
-- SIGTERM; if it learns that before main, there is no main.

local core = require "banyan.core"
local log = require "banyan.log"
local nodes = require "banyan.node"
local server = require "banyan.server"
local tree = require "banyan.tree"
local workers = require "banyan.workers"

local GRACE_MS = 5000
local CONNECT_MS = 3000

local unpack = table.unpack or unpack
local function pack(...)
  return { n = select("#", ...), ... }
end

-- --- init --------------------------------------------------------------------

-- Waits for the nodes of the option `connect`; false: there is to be no main.
local function await_peers(state, node)
  local refs, left = {}, 0
  for _, peer in ipairs(node.peers) do
    local _, ref = core.spawn_monitor(function()
      nodes.connect_peer(peer, CONNECT_MS)
    end)
    refs[ref], left = true, left + 1
  end
  while left > 0 do
    local message = core.receive()
    local tag = type(message) == "table" and message.tag
    if tag == "DOWN" and refs[message.ref] then left = left - 1 end
    if tag == "$stop" then return false end
  end
  state.taken = node.core:has_lost_name()
  return not state.taken
end

-- What was told to stop has not ended in time.
local function tell_slow(id, pid)
  core.event("child_stop_slow", { id = id, pid = pid, ms = GRACE_MS })
end

-- Waits for the end of main and returns its exit reason.
local function await_main(state)
  local grace
  while true do
    local message = core.receive()
    local tag = type(message) == "table" and message.tag
    if tag == "EXIT" and message.from == state.main then
      if grace then core.cancel_timer(grace) end
      return message.reason
    elseif tag == "$stop" then
      local info = core.process_info(state.main)
      state.links = info and info.links
      state.main:exit("shutdown")
      grace = core.send_after(GRACE_MS, core.self(), { tag = "$main_grace" })
    elseif tag == "$main_grace" then
      tell_slow("main", state.main)
      state.main:exit("kill")
    end
  end
end

-- Stops the servers that main started, and waits until they have terminated. It
-- must stop them itself: the exit signal "normal" of a main that returns does
-- not end a server that does not trap exits.
local function await_servers(state)
  local refs, left = {}, 0
  for _, pid in ipairs(state.links or {}) do
    local here = pid:node() == core.node_name()
    local info = here and core.process_info(pid)
    if info and info.behaviour == "server" and info.parent == state.main then
      refs[core.monitor(pid)] = pid
      left = left + 1
      core.spawn(function() server.stop(pid, "shutdown") end)
    end
  end
  if left == 0 then return end
  local grace = core.send_after(GRACE_MS, core.self(), { tag = "$grace" })
  while left > 0 do
    local message = core.receive()
    local tag = type(message) == "table" and message.tag
    if tag == "DOWN" and refs[message.ref] then
      refs[message.ref] = nil
      left = left - 1
    end
    if tag == "$grace" then break end
  end
  core.cancel_timer(grace)
  for _, pid in pairs(refs) do
    local info = core.process_info(pid)
    if info then tell_slow(info.label, pid) end
  end
end

-- Results and arguments are upvalues and not messages, so they are not copied.
local function init(state, node, main, args)
  core.trap_exit(true)
  if not await_peers(state, node) then
    state.done = true
    return
  end
  state.main = core.spawn_link(function()
    core.label_by(main)
    core.set_main()
    if node.workers then workers.start(node.workers) end
    local results = pack(main(unpack(args, 1, args.n)))
    local info = core.process_info(core.self())
    state.results, state.links = results, info and info.links
  end)
  state.reason = await_main(state)
  state.ended_by, state.gave_up = core.main_ended_by()
  tree.limit(node.core, state, node.stop_ms)
  await_servers(state)
  tree.stop()
  state.done = true
end

-- --- run ---------------------------------------------------------------------

-- Writes warnings on stderr, except for a crash of main: run raises that.
local function make_sink(state)
  local text = log.text { level = "warning" }
  return function(event)
    if event.event == "process_crashed" and event.pid == state.main then
      return
    end
    text(event)
  end
end

local function check_place(what, opts, level)
  if pcall(core.self) then
    error(what .. ": called by a process, which runs on a node already",
      level + 1)
  end
  if type(opts) == "table" and opts.driver == "manual" then
    error(what .. ': the driver "manual" is for banyan.start; banyan.run '
      .. "drives its node itself", level + 1)
  end
end

local function start(what, opts, state, level)
  local defaults = {
    on_event = make_sink(state), preempt = true, collector = "incremental",
  }
  local node, why = nodes.start(what, opts, defaults, level + 1)
  if not node then error(("%s: %s"):format(what, why), level + 1) end
  if node.session.is_inside() then
    node:close()
    error(what .. ": the loop is running already; use banyan.start", level + 1)
  end
  return node
end

local function drive(node, state)
  function node.on_name_lost()
    if state.reason then return end -- main has ended already
    state.taken = true
    node.core:send(state.pid, { tag = "$stop" })
  end
  node.session:on_signals(function()
    if state.signalled then
      state.killed = true
    else
      state.signalled = true
      tree.limit(node.core, state, state.reason and GRACE_MS or node.stop_ms)
      node.core:send(state.pid, { tag = "$stop" })
    end
  end)
  local fine, why = node.session:pump(function()
    return state.killed or state.over or tree.is_over(node.core, state)
  end)
  if not fine then state.broken = why end
  node:close()
end

local function is_orderly(reason)
  if type(reason) == "table" then reason = reason[1] end
  return reason == "normal" or reason == "shutdown"
end

-- Main, which does not trap exits, was ended by somebody it is linked to. That
-- is no success, even where the reason is "shutdown", as that of a supervisor
-- that gives up.
local function ended_by_signal(state)
  local by, reason = tostring(state.ended_by), tostring(state.reason)
  if state.gave_up then
    return ("banyan.run: the supervisor %s gave up and ended main (%s); the "
      .. "event supervisor_gave_up says why"):format(by, reason)
  end
  return ("banyan.run: an exit signal of %s ended main (%s)")
    :format(by, reason)
end

-- Returns or raises what main's exit reason means to the caller of run.
local function conclude(state, node)
  local reason = state.reason
  if state.broken then error("banyan.run: " .. state.broken, 0) end
  if state.killed then return nil, "shutdown" end
  local ended = reason == nil or reason == "shutdown" or reason == "normal"
    or reason == "killed"
  if state.taken and (ended or is_orderly(reason)) then
    return nil, core.reason { "name_taken", node:name() }
  end
  if state.signalled and ended then return nil, "shutdown" end
  if is_orderly(reason) and state.ended_by and not state.signalled then
    error(ended_by_signal(state), 0)
  end
  if reason == "normal" then
    local results = state.results or { n = 0 }
    return unpack(results, 1, results.n)
  end
  if is_orderly(reason) then return nil, reason end
  error(reason or "killed", 0)
end

--- Does what banyan.run says; `opts` may be nil, `main` is a function.
---@param what string  for messages
---@param opts table|nil
---@param main function
---@param args table  { n =, ... }
---@param level integer  the function that misuse errors point at, as for
---  options.check
---@return any ...  what main returned
return function(what, opts, main, args, level)
  check_place(what, opts, level + 1)
  local state = {}
  local node = start(what, opts, state, level + 1)
  state.pid = node.core:spawn(function()
    core.set_label(what)
    init(state, node, main, args)
  end)
  drive(node, state)
  return conclude(state, node)
end
