--- Which nodes belong together, and which of them are up.
--
-- A node monitor has a set of nodes: those of a list, those that a source
-- answers from time to time, or all that are connected. It has this node dial
-- them for as long as they are in the set, and tells two callbacks which of
-- them are up.
--
--     local monitor = require "banyan.node_monitor"
--     local sources = require "banyan.node_sources"
--     local pid = assert(monitor.start_link {
--       source = sources.dns { host = "app.internal", port = 9101 },
--       on_node_up = function(node) print(node, "is there") end,
--       on_node_down = function(node, info) print(node, info.reason) end,
--     })
--
-- A source is a function without arguments that answers a list of names of
-- nodes, or {"module", "fn", {args}}. It runs in a process of its own and may
-- yield. It has failed if it raises an error, exits, takes longer than
-- `timeout_ms` or answers anything but a list of names; that is the event
-- node_source_failed, and the last good set stays (`on_error`). An empty list
-- is an answer like any other.
--
-- The node itself is never in the set. A node that leaves the set stays
-- connected.

local core = require "banyan.core"
core.skip_in_errors()
local Monitor = require "banyan.node_monitor.monitor"
local options = require "banyan.node_monitor.options"
local server = require "banyan.server"

---@class banyan.node_monitor
local node_monitor = {}

--- The options of node_monitor.reconfigure.
---@class banyan.NodeMonitorChanges
--- The names of the nodes. Without it and `source`: all that are connected.
---@field nodes? string[]
--- A function or {"module", "fn", {args}}.
---@field source? (fun(): string[])|table
--- Milliseconds (5000) from an answer of the source until it is asked again,
--- give or take a tenth.
---@field refresh_ms? integer
---@field timeout_ms? integer  milliseconds (10000) that a source may take
--- What the set is while the source fails: the last good one ("keep", the
--- default), or none.
---@field on_error? "keep"|"empty"
--- When a node is up: when it is in the set and connected (the default); or as
--- soon as it is in the set, until it is lost.
---@field announce? "connected"|"managed"
--- Called once when a node is up. The callbacks run one after the other in a
--- process of their own, so they may yield. An error in one is the event
--- listener_failed.
---@field on_node_up? fun(node: string, info: table)
--- Called once when it is not any more; info.reason is that of nodedown, or
--- "removed": it is not in the set any more.
---@field on_node_down? fun(node: string, info: table)

--- The options of node_monitor.start_link.
---@class banyan.NodeMonitorOptions: banyan.NodeMonitorChanges
--- Registers it; reconfigure and the others take the name, too. One that
--- crashes and is started again under its name goes on with what reconfigure
--- changed, and tells the callbacks only what they do not know.
---@field name? string

--- Starts a node monitor, linked to the caller. Yields until its source has
-- answered or failed for the first time, for `timeout_ms` at most.
---@param opts? banyan.NodeMonitorOptions
---@return banyan.Pid|nil pid
---@return any err  {"already_started", pid}
function node_monitor.start_link(opts)
  opts = options.check("node_monitor.start_link", opts, 2)
  local name = opts.name
  opts.name = nil
  local pid, err = server.start_link(Monitor,
    { opts = opts, key = name, label = name }, { name = name })
  if not pid then return nil, err end
  local ok, why = server.call(pid, { tag = "await", key = Monitor.KEY },
    math.huge)
  if not ok then return nil, why end
  return pid
end

-- The node of a monitor, which may be another.
local function node_of(what, monitor)
  if core.is_pid(monitor) then return monitor:node() end
  if type(monitor) == "table" then return monitor.node end
  if type(monitor) == "string" then return core.node_name() end
  error(("%s: monitor must be a pid or a name, got a %s"):format(what,
    type(monitor)), 3)
end

--- Changes the set, and other options. What `opts` says of nodes and source
-- takes the place of both, at once: without either the set is that of all
-- connected nodes. Each other option that it has not stays as it is. The
-- callbacks hear of the difference alone. What the old source answers from now
-- on counts for nothing; its last set stays until the new one has answered.
-- Yields until then, for `timeout_ms` at most.
---@param monitor banyan.Pid|string  its pid or its name, on this node
---@param opts? banyan.NodeMonitorChanges
---@return true|nil ok
---@return any err  "noproc"; {"not_allowed", "node_monitor.reconfigure",
---  node}: of a monitor on another node
function node_monitor.reconfigure(monitor, opts)
  local what = "node_monitor.reconfigure"
  opts = options.check_changes(what, opts, 2)
  local node = node_of(what, monitor)
  if node ~= core.node_name() then
    return nil, core.reason { "not_allowed", what, node }
  end
  return server.call(monitor,
    { tag = "reconfigure", key = Monitor.KEY, opts = opts }, math.huge)
end

--- How it stands with a monitor.
---@class banyan.NodeMonitorStatus
---@field source "static"|"callback"|"all"
---@field managed string[]  the set, in byte order
---@field up string[]  those of it that are connected, in byte order
---@field failures integer  of the source, in a row
---@field error any  why it failed last; nil after a good answer
---@field refreshed_ms? integer  milliseconds since its last good answer

--- Says how it stands with a monitor. Yields.
---@param monitor banyan.Pid|string|table  as for server.call
---@return banyan.NodeMonitorStatus|nil status
---@return any err  as for server.call
function node_monitor.status(monitor)
  node_of("node_monitor.status", monitor)
  return server.call(monitor, { tag = "status" })
end

--- Lists the nodes of the set that are connected. Yields.
---@param monitor banyan.Pid|string|table  as for server.call
---@return string[]|nil nodes  in byte order
---@return any err  as for server.call
function node_monitor.nodes(monitor)
  node_of("node_monitor.nodes", monitor)
  return server.call(monitor, { tag = "nodes" })
end

return node_monitor
