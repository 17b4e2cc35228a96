-- A distributed supervisor whose option `nodes` is a source: the node monitor
-- that asks it, and what that may not do to the ring.

local core = require "banyan.core"
local Monitor = require "banyan.node_monitor.monitor"
local monitored = require "banyan.node_monitor.options"
local server = require "banyan.server"
local sets = require "banyan.sets"
local source = require "banyan.node_monitor.source"
local views = require "banyan.distributed_supervisor.views"
local wait = require "banyan.wait"

local await_wait = wait(core.await_wait)

local nodes = {}

local MARGIN_MS = 1000 -- in case that somebody kills the process that asks

-- Would nobody run children any more, if all nodes had that answer? A node that
-- runs none now takes nothing away.
local function empties(view, answer)
  if #answer == 0 then return true end
  local members, named = view.dist:members(), sets.of(answer)
  if named[view.node] or not sets.of(members)[view.node] then return false end
  for _, member in ipairs(members) do
    if named[member] then return false end
  end
  return true
end

-- Asks for another process, whose mailbox is not touched.
local function ask(of, done)
  core.trap_exit(true)
  local turn = core.make_ref()
  local asked = source.ask(of.source, turn)
  local msg = core.receive(of.timeout_ms)
  if not msg then asked:exit("kill") end
  done(msg and msg.nodes, msg and msg.reason or "timeout")
end

--- Asks the source, before there is a monitor: the coordinator is to know at
-- its start whom it has to wait for. Yields.
---@param opts table  of the supervisor
---@return table first  nodes, or the reason for which there are none; empty,
--- where the supervisor runs already
function nodes.ask(opts)
  if views.of(opts.name) then return {} end
  local of = monitored.complete(opts.node_source)
  local done = core.await_begin()
  core.spawn(function() ask(of, done) end)
  local list, reason = await_wait(done, of.timeout_ms + MARGIN_MS)
  return { nodes = list, reason = not list and reason or nil }
end

--- Starts the monitor, linked to the caller. The coordinator gets {tag="nodes",
-- nodes=} after each good answer of the source.
---@param opts table  of the supervisor
---@param first table  what nodes.ask answered, or empty: it is asked at once
---@return banyan.Pid|nil pid
---@return any err
function nodes.start_link(opts, first)
  local name = opts.name
  local function objection(answer)
    local view = views.any(name)
    return view and empties(view, answer) and "no_nodes" or nil
  end
  local function on_answer(answer)
    local view = views.any(name)
    if not view or not answer then return end
    core.cast(name, { tag = "nodes", key = view.key, nodes = answer })
  end
  return server.start_link(Monitor, {
    opts = opts.node_source, supervisor = name, first = first,
    last = views.any(name).nodes, objection = objection,
    on_answer = on_answer,
  })
end

return nodes
