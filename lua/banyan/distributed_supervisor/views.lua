-- What lookups read, from any process of a node, without asking anybody: `pids`
-- id -> pid, `ids` pid -> id, `all` the roster of the ids that have a pid,
-- `here` that of those whose process is on this node. It has only what runs as
-- far as is known. `keys` has the ids, as bytes, of those that this node's Lua
-- cannot have: pid -> bytes.
--
-- A view belongs to the node, as the machine does (csrc/core/dist): while a
-- coordinator that crashed begins again, lookups go on.

local core = require "banyan.core"
local hosts = require "banyan.hosts"
local sets = require "banyan.sets"
local slices = require "banyan.slices"

local views = {}

-- The views of the caller's node, by the name of the supervisor. They are kept
-- by the node itself: more than one may run in one Lua state, nameless or with
-- equal names one after the other, and its views go with it.
local function views_here()
  local kept = core.kept()
  local list = kept.views
  if not list then
    list = {}
    kept.views = list
  end
  return list
end

--- The view that goes with a machine of the caller's node, made empty for one
-- that is new.
function views.open(dist, name)
  local all = views_here()
  local view = all[name]
  if not view or view.dist ~= dist then
    view = {
      dist = dist, name = name,
      pids = {}, ids = {}, keys = {},
      all = slices.roster(), here = slices.roster(),
      -- A function cannot come from another node: who shows this one is here.
      key = function() end,
      -- The processes of this node, pid -> child: of processes.lua.
      numbers = {},
      -- The coordinator's, for the one that begins after it: the starts under
      -- way, child -> {pid=, watch=}, and the processes, child -> pid.
      starters = {}, running = {},
      left = false, -- in good order: it is nobody's until it is opened again
      -- What waits for a child that does not run: of held.lua.
      held = {}, held_list = {}, held_looked_at = false,
      -- Processes that ended for the reason "noproc", for as long as anybody
      -- knows their pids.
      ended_noproc = setmetatable({}, { __mode = "k" }),
      -- `nodes`, where they come from a source: what it answered last.
      -- `entity`, where any message starts a child: the option.
    }
  end
  all[name] = view
  view.left = false
  return view
end

--- The node takes no part any more: a supervisor that is started again is a
-- newcomer, with a machine and a view of its own.
function views.close(view)
  local all = views_here()
  if all[view.name] == view then all[view.name] = nil end
  view.dist:close(view.name)
end

--- The view of a supervisor on the caller's node, or nil. One whose processes
-- have all ended is nobody's.
function views.of(name)
  local view = views_here()[name]
  if not view or view.left or not core.is_alive(view.tree) then return nil end
  return view
end

--- The view of that name on the caller's node, whether or not its processes are
-- there; nil: there is none.
function views.any(name)
  return views_here()[name]
end

local function names_here() return sets.sorted(views_here()) end

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

--- Does the process of a child run on this node, as far as is known?
function views.is_here(view, id) return view.here.row_of[id] ~= nil end

--- The pid of a child. One of this node that has just ended is none, though
-- the coordinator has not heard of it yet.
function views.pid(view, id)
  local pid = view.pids[id]
  if pid ~= nil and views.is_here(view, id) and not core.is_alive(pid) then
    return nil
  end
  return pid
end

--- A child has another process, or none: the action "show".
function views.show(view, a)
  if a.old_pid ~= nil then view.ids[a.old_pid] = nil end
  view.pids[a.id] = a.pid
  if a.pid ~= nil then
    view.ids[a.pid] = a.id
    slices.add(view.all, a.id)
  else
    slices.remove(view.all, a.id)
  end
  if a.pid ~= nil and a.here then
    slices.add(view.here, a.id)
  else
    slices.remove(view.here, a.id)
  end
end

--- The same of a child whose id this node's Lua cannot have: lookups do not
-- find it.
function views.show_nameless(view, a)
  if a.old_pid ~= nil then view.keys[a.old_pid] = nil end
  if a.pid ~= nil then view.keys[a.pid] = a.key end
end

--- The id of the child that a process is of, as bytes; nil: it is of none.
function views.key(view, pid)
  local id = view.ids[pid]
  if id ~= nil then return (core.dist.encode(id)) end
  return view.keys[pid]
end

-- The coordinators of a node that runs children from now on, or none.
hosts.watch(function()
  for _, name in ipairs(names_here()) do
    local view = views.of(name)
    if view then core.cast(name, { tag = "set_hosts", key = view.key }) end
  end
end)

return views
