--- Supervisors whose children are spread over many nodes.
--
-- A distributed supervisor is started under one name on every node that takes
-- part. A child has an id; the hash ring over the nodes says on which of them
-- it starts. It is called by its id from any node, and when its node is lost
-- it starts again on the node that the ring names then.
--
--     local ds = require "banyan.distributed_supervisor"
--     assert(ds.start_link { name = "rooms", modules = { "my.room" } })
--     local pid, id = ds.start_child("rooms",
--       { id = "lobby", start = { "my.room", "start_link", { "lobby" } } })
--     ds.call("rooms", "lobby", "who is here?")
--
-- What is known, and where: every node that runs the supervisor keeps the ids,
-- pids and specs of all children. A lookup (whereis, call, children ...) reads
-- this memory and never asks another node. The process that started a child
-- sees it at once, others a moment later. While the child of a lost node waits
-- to be started again, lookups do not find it.
--
-- Exactly one: the owner of an id on the ring serialises its starts. When a
-- node dies, each of its permanent and transient children starts again on its
-- own id's new owner; temporary ones end. A node that joins takes no child
-- that runs; it gets those that start from then on. If a network was split,
-- or two nodes started one id before they knew of each other, one of the two
-- processes is stopped with the event placement_conflict. The one stays that
-- was placed more often, then restarted more often, then that of a node which
-- a hash of id and node prefers.
--
-- What a node that joins may be asked to run is limited: functions called
-- start_link, and the modules listed in `modules` there.
--
-- All functions take the name of a supervisor that runs on the caller's node;
-- where none does, they answer `nil, "noproc"`.

local core = require "banyan.core"
core.skip_in_errors()
local server = require "banyan.server"
local Coordinator = require "banyan.distributed_supervisor.coordinator"
local options = require "banyan.distributed_supervisor.options"
local registry = require "banyan.distributed_supervisor.registry"

local distributed_supervisor = {}

local whereis_process = core.whereis
local views = registry.views

local READY_MS = 10000

local function check_name(what, name)
  if type(name) ~= "string" or name == "" then
    error(("distributed_supervisor.%s: name must be a non-empty string, "
      .. "got %s"):format(what, type(name)), 3)
  end
end

-- What this node knows, or nil.
local function view_of(name)
  if type(name) ~= "string" then
    error("distributed_supervisor: name must be a string, got " .. type(name),
      3)
  end
  local pid = whereis_process(name)
  return pid and views[pid]
end

-- --- starting --------------------------------------------------------------

--- Starts this node's part of a distributed supervisor, linked to the caller.
-- Yields until it knows what the other nodes know, those included that the node
-- is just connecting with (or, where one of them does not answer, for at most
-- 10 s).
---@param opts table
---  name: string, the same on all nodes.
---  nodes: list of the names of the nodes that run children; default all that
---  run this supervisor.
---  modules: list of modules any function of which may start a child here;
---  default none: then only functions called start_link may.
---  max_children: most children on this node; default no limit.
---  max_restarts = 3, max_seconds = 5: more restarts of children on this node
---  in that time end the supervisor here, as in banyan.supervisor.
---  listeners: list of tables with any of the callbacks below.
---  monitor_nodes = true: false leaves out on_node_up and on_node_down.
---  cache_children = true: false has lookups ask this node's supervisor in
---  place of reading its memory, so that they wait their turn with all other
---  requests; they then yield.
---  replicas = 2: so many nodes know of a start or an end before the caller
---  does, where there are so many; no other value yet.
---  rebalance = "passive": no other value yet.
---
---  Callbacks, on every node as it learns of the event, each table in a
---  process of its own, so they may yield:
---  on_node_up(name, node, info), on_node_down(name, node, info): a node takes
---  part, or no more; info.reason says why.
---  on_node_terminate(name, node, reason, statuses): it leaves in good order;
---  statuses is the list of {id=, pid=, state="stopped"} of its children.
---  on_process_start(name, id, pid): a child has a new process.
---  on_process_stop(name, id, pids, reason): a child has ended for good.
---@return banyan.Pid|nil pid
---@return any err  {"already_started", pid} where it runs on this node
function distributed_supervisor.start_link(opts)
  opts = options.check("distributed_supervisor.start_link", opts, 2)
  local pid, err = server.start_link(Coordinator, opts, { name = opts.name })
  if not pid then return nil, err end
  core.call(pid, { tag = "await" }, READY_MS)
  return pid
end

--- The spec of a distributed supervisor as the child of a supervisor. Does not
-- yield.
---@param opts table  as for start_link
---@return table spec
function distributed_supervisor.child_spec(opts)
  opts = options.check("distributed_supervisor.child_spec", opts, 2)
  return {
    id = opts.name,
    start = { "banyan.distributed_supervisor", "start_link", { opts } },
    restart = "permanent",
    shutdown = "infinity",
    type = "supervisor",
  }
end

--- Starts a child on the node that the ring names for its id. Yields until the
-- start function has answered there.
---@param name string
---@param spec table|string  a child spec as in banyan.supervisor; `start` is
---  {"module", "fn", {args}} with args that can be sent. `id` may be a string,
---  an integer or a ref; without one it is a fresh ref
---@param node? string  start it on this node, and keep it there while the
---  node lives
---@return banyan.Pid|nil pid
---@return any id  the id; after nil: {"already_started", pid}, {"not_allowed",
---  "module.fn"}, "max_children", "not_a_member" or "noconnection" (of the
---  node that was named), "no_nodes", "ignore", "timeout" (nobody was in
---  charge for 30 s), or what the start function answered
function distributed_supervisor.start_child(name, spec, node)
  check_name("start_child", name)
  if node ~= nil and type(node) ~= "string" then
    error("distributed_supervisor.start_child: node must be a string, got "
      .. type(node), 2)
  end
  local packed, id =
    options.check_spec("distributed_supervisor.start_child", spec, 2)
  return core.call(name,
    { tag = "start", id = id, spec = packed, node = node }, "infinity")
end

--- Terminates a child, wherever it runs. Yields until it has ended.
---@param name string
---@param child banyan.Pid|string|integer|banyan.Ref  its pid or its id
---@return true|nil ok
---@return any err  "not_found"
function distributed_supervisor.terminate_child(name, child)
  check_name("terminate_child", name)
  child = options.check_id("distributed_supervisor.terminate_child", child, 2)
  local msg = { tag = "terminate" }
  local view = view_of(name)
  -- A pid is an id too, where a child was started under it.
  if type(child) == "userdata" and child.send
    and not (view and view.pids[child]) then
    msg.pid = child
  else
    msg.id = child
  end
  return core.call(name, msg, "infinity")
end

-- --- looking ---------------------------------------------------------------

--- Finds a child. Does not yield (but see cache_children).
---@param name string
---@param id string|integer|banyan.Ref
---@return banyan.Pid|nil pid
local function whereis(name, id)
  local view = view_of(name)
  if view == nil or id == nil then return nil end
  if view.cached then return view.pids[id] end
  return (core.call(name, { tag = "lookup", id = id }))
end
distributed_supervisor.whereis = whereis

--- Tells whose pid it is. Does not yield (but see cache_children).
---@param name string
---@param pid banyan.Pid
---@return any id  nil if it is no child of that supervisor
function distributed_supervisor.whois(name, pid)
  local view = view_of(name)
  if view == nil or pid == nil then return nil end
  if view.cached then return view.ids[pid] end
  return (core.call(name, { tag = "lookup", pid = pid }))
end

-- The coordinator changes the view: these two must not give way to it.
local function copy_of(map)
  local copy = {}
  for key, value in pairs(map) do copy[key] = value end
  return copy
end

-- In one order, so that a run can be repeated.
local function list_of(map)
  local list = {}
  for _, value in pairs(map) do list[#list + 1] = value end
  table.sort(list, core.placement.is_before)
  return list
end

--- Lists all children, of all nodes. Does not yield.
---@param name string
---@return table<any, banyan.Pid>|nil children  by id; a new table
---@return any err  "noproc"
function distributed_supervisor.children(name)
  local view = view_of(name)
  if not view then return nil, "noproc" end
  return core.unbroken(copy_of, view.pids)
end

--- Lists the children that run on this node. Does not yield.
---@param name string
---@return banyan.Pid[]|nil pids  in no order
---@return any err  "noproc"
function distributed_supervisor.local_children(name)
  local view = view_of(name)
  if not view then return nil, "noproc" end
  return core.unbroken(list_of, view.here)
end

--- Names the node that the ring has for a key. Does not yield.
---@param name string
---@param key string|integer|banyan.Ref
---@return string|nil node
---@return any err  "no_nodes", "noproc"
function distributed_supervisor.node_for(name, key)
  key = options.check_id("distributed_supervisor.node_for", key, 2)
  local view = view_of(name)
  if not view then return nil, "noproc" end
  local node = view.placement:owner(key)
  if not node then return nil, "no_nodes" end
  return node
end

--- Does the ring have this node for a key? Does not yield.
---@param name string
---@param key string|integer|banyan.Ref
---@return boolean
function distributed_supervisor.is_mine(name, key)
  key = options.check_id("distributed_supervisor.is_mine", key, 2)
  local view = view_of(name)
  return view ~= nil and view.placement:owner(key) == view.node
end

--- Lists the nodes that run children: the members of the ring. Does not
-- yield.
---@param name string
---@return string[]|nil nodes  in byte order
---@return any err  "noproc"
function distributed_supervisor.nodes(name)
  local view = view_of(name)
  if not view then return nil, "noproc" end
  return view.placement:members()
end

local function why(flags, node, owner, state)
  if state ~= "running" then return "it does not run now" end
  if registry.is_pinned(flags) then return "it was put on this node by name" end
  if node == owner then return "the ring names this node" end
  return "it stays where it started until that node goes"
end

--- Says why a child runs where it runs. Does not yield.
---@param name string
---@param id string|integer|banyan.Ref
---@return table|nil explanation  id, node (where it runs), pid, state
---  ("running", "lost": its node is gone and it is to start again, "ended"),
---  owner (whom the ring names), pinned (it was put on its node by name),
---  epoch (how often it was placed), seq (what happened since: restarts, the
---  end), members (of the ring), reason (a sentence)
---@return any err  "not_found", "noproc"
function distributed_supervisor.explain(name, id)
  id = options.check_id("distributed_supervisor.explain", id, 2)
  local view = view_of(name)
  if not view then return nil, "noproc" end
  local places = view.placement
  local epoch, seq, state, host, flags = places:get(id)
  if not epoch then return nil, "not_found" end
  local pid = view.pids[id]
  state = pid and "running" or state == registry.ENDED and "ended" or "lost"
  local node, owner = host:node() or view.node, places:owner(id)
  return {
    id = id, node = node, pid = pid, state = state, owner = owner,
    epoch = epoch, seq = seq, members = places:members(),
    pinned = registry.is_pinned(flags),
    reason = why(flags, node, owner, state),
  }
end

-- --- talking ---------------------------------------------------------------

--- Calls a child by its id, as server.call does. Yields.
---@param name string
---@param id string|integer|banyan.Ref
---@param msg any
---@param timeout? integer|string  milliseconds, default 5000
---@return any ...  as server.call; `nil, "noproc"` for an id that is not known
function distributed_supervisor.call(name, id, msg, timeout)
  local pid = whereis(name, id)
  if not pid then return nil, "noproc" end
  return core.call(pid, msg, timeout)
end

--- Casts to a child by its id, as server.cast does. Yields only while very
-- much waits to be sent to its node (but see cache_children).
---@param name string
---@param id string|integer|banyan.Ref
---@param msg any
---@return true  whether or not there is such a child
function distributed_supervisor.cast(name, id, msg)
  local pid = whereis(name, id)
  if pid then core.cast(pid, msg) end
  return true
end

--- Sends a child a message by its id. Yields only while very much waits to be
-- sent to its node (but see cache_children).
---@param name string
---@param id string|integer|banyan.Ref
---@param msg any
---@return true|nil ok
---@return any err  "noproc"
function distributed_supervisor.send(name, id, msg)
  local pid = whereis(name, id)
  if not pid then return nil, "noproc" end
  return core.send(pid, msg)
end

--- Makes a destination of a child's id, for send, server.call, server.cast,
-- monitor and link. The child is looked up each time it is used. Does not
-- yield.
---@param name string
---@param id string|integer|banyan.Ref
---@return table dest
function distributed_supervisor.via(name, id)
  check_name("via", name)
  return {
    supervisor = name,
    id = options.check_id("distributed_supervisor.via", id, 2),
  }
end

core.set_resolver(function(dest)
  local view = view_of(dest.supervisor)
  local pid = view and view.pids[dest.id]
  if pid then return pid end
  return nil, "noproc"
end)

return distributed_supervisor
