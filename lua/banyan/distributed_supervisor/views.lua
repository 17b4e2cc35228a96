-- What lookups read, from any process of a node, without asking anybody: `pids`
-- id -> pid, `ids` pid -> id, `here` id -> pid of the children that run on this
-- node. It has only what runs as far as is known.
--
-- A view belongs to the node, as the machine does (csrc/core/dist): while a
-- coordinator that crashed begins again, lookups go on.

local core = require "banyan.core"
local hosts = require "banyan.hosts"

local views = {}

-- By the name of the node, then that of the supervisor: more than one node may
-- run in one Lua state.
local by_node = {}

local NAMELESS = "nonode"

local function node_name() return core.node_name() or NAMELESS end

--- The view that goes with a machine of the caller's node, made empty for one
-- that is new.
function views.open(dist, name)
  local node = node_name()
  local view = by_node[node] and by_node[node][name]
  if not view or view.dist ~= dist then
    view = {
      dist = dist, name = name, node = node,
      pids = {}, ids = {}, here = {},
      -- A function cannot come from another node: who shows this one is here.
      key = function() end,
      -- The processes of this node, pid -> child: of processes.lua.
      numbers = {},
      -- The coordinator's, for the one that begins after it: the starts under
      -- way, child -> {pid=, watch=}, and the processes, child -> pid.
      starters = {}, running = {},
      -- `nodes`, where they come from a source: what it answered last.
    }
  end
  local of_node = by_node[node] or {}
  by_node[node], of_node[name] = of_node, view
  return view
end

--- The node takes no part any more: a supervisor that is started again is a
-- newcomer, with a machine and a view of its own.
function views.close(view)
  local of_node = by_node[view.node]
  if of_node and of_node[view.name] == view then of_node[view.name] = nil end
  view.dist:close(view.name)
end

--- The view of a supervisor on the caller's node, or nil. One of an earlier
-- life of the node is nobody's, and one whose processes have all ended.
function views.of(name)
  local of_node = by_node[node_name()]
  local view = of_node and of_node[name]
  if not view or not view.dist:is_here() then return nil end
  if not core.is_alive(view.tree) then return nil end
  return view
end

--- The view of that name on the caller's node, whether or not its processes are
-- there; nil: there is none.
function views.any(name)
  local of_node = by_node[node_name()]
  return of_node and of_node[name]
end

local function names_here()
  local names = {}
  for name in pairs(by_node[node_name()] or {}) do names[#names + 1] = name end
  table.sort(names)
  return names
end

-- The start under way that made a process, by its ancestors.
local function start_of(view, ancestors)
  for child, one in pairs(view.starters) do
    for _, pid in ipairs(ancestors) do
      if pid == one.pid then return child end
    end
  end
end

--- The child that the caller is the process of, or is to be once its start
-- function has returned: the view of its supervisor and its number; or nil.
function views.own()
  local me = core.self()
  local ancestors = core.ancestors(me)
  for _, name in ipairs(names_here()) do
    local view = views.any(name)
    local child = view.numbers[me] or start_of(view, ancestors)
    if child then return view, child end
  end
end

--- The pid of a child. One of this node that has just ended is none, though
-- the coordinator has not heard of it yet.
function views.pid(view, id)
  local pid = view.pids[id]
  if pid ~= nil and view.here[id] and not core.is_alive(pid) then return nil end
  return pid
end

--- A child has another process, or none: the action "show".
function views.show(view, a)
  if a.old_pid ~= nil then view.ids[a.old_pid] = nil end
  view.pids[a.id] = a.pid
  view.here[a.id] = a.here and a.pid or nil
  if a.pid ~= nil then view.ids[a.pid] = a.id end
end

-- The coordinators of a node that runs children from now on, or none.
hosts.watch(function()
  for _, name in ipairs(names_here()) do
    local view = views.of(name)
    if view then core.cast(name, { tag = "set_hosts", key = view.key }) end
  end
end)

return views
