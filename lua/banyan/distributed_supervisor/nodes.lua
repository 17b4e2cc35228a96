-- A distributed supervisor whose option `nodes` is a source: the node monitor
-- that asks it, and what that may not do to the ring.

local core = require "banyan.core"
local Monitor = require "banyan.node_monitor.monitor"
local server = require "banyan.server"
local views = require "banyan.distributed_supervisor.views"

local nodes = {}

local function has(list, node)
  for _, name in ipairs(list) do
    if name == node then return true end
  end
  return false
end

-- Would nobody run children any more, if all nodes had that answer? A node that
-- runs none now takes nothing away.
local function empties(view, answer)
  if #answer == 0 then return true end
  local members = view.dist:members()
  if has(answer, view.node) or not has(members, view.node) then return false end
  for _, member in ipairs(members) do
    if has(answer, member) then return false end
  end
  return true
end

--- Starts it, linked to the caller. The coordinator gets {tag="nodes", nodes=}
-- after each answer of the source, and without `nodes` after each failure.
---@param opts table  of the supervisor
---@return banyan.Pid|nil pid
---@return any err
function nodes.start_link(opts)
  local name = opts.name
  local function objection(answer)
    local view = views.any(name)
    return view and empties(view, answer) and "no_nodes" or nil
  end
  local function on_answer(answer)
    local view = views.any(name)
    if not view then return end
    core.cast(name, { tag = "nodes", key = view.key, nodes = answer })
  end
  return server.start_link(Monitor, {
    opts = opts.node_source, supervisor = name,
    last = views.any(name).nodes, objection = objection,
    on_answer = on_answer,
  })
end

return nodes
