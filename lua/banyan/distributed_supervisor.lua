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
-- to be started again, lookups do not find it, and calls by id wait for it.
--
-- Exactly one: the owner of an id on the ring serialises its starts. When a
-- node dies, each of its permanent and transient children starts again on its
-- own id's new owner; temporary ones end. A node that joins gets those that
-- start from then on, and with `rebalance` those that the ring names it for.
-- Where two processes of one child meet, after a split network or a long
-- silence, the one stays that began first (`conflict`), and the other is
-- stopped with the reason {"shutdown", {"conflict", pid}} and the event
-- placement_conflict.
--
-- A child harms only itself: one that crashes more than max_restarts times in
-- max_seconds is set aside ("failing") and tried again after a back-off, with
-- the event child_failing. Start functions run side by side, each in a process
-- of its own.
--
-- What a node that joins may be asked to run is limited: functions called
-- start_link, and the modules listed in `modules` there.
--
-- All functions take the name of a supervisor that runs on the caller's node;
-- where none does, they answer `nil, "not_started"`.

local core = require "banyan.core"
core.skip_in_errors()
local common = require "banyan.options"
local held = require "banyan.distributed_supervisor.held"
local options = require "banyan.distributed_supervisor.options"
local server = require "banyan.server"
local slices = require "banyan.slices"
local tree = require "banyan.distributed_supervisor.tree"
local views = require "banyan.distributed_supervisor.views"

local distributed_supervisor = {}

local READY_MS = 10000
local ASK_AGAIN_MS = 10

local function check_name(what, name)
  if type(name) ~= "string" or name == "" then
    error(("distributed_supervisor.%s: name must be a non-empty string, "
      .. "got %s"):format(what, type(name)), 3)
  end
end

-- What this node knows, or nil. `level` is that of an error, 3 by default: of
-- who called the function that calls this one.
local function view_of(name, level)
  if type(name) ~= "string" then
    error("distributed_supervisor: name must be a string, got " .. type(name),
      level or 3)
  end
  return views.of(name)
end

-- Asks the coordinator of this node. One that crashes meanwhile is started
-- again: then it is asked again, for as long as the supervisor is there.
-- Answers what it replied, and whether it was asked more than once.
local function ask(name, msg)
  local again = false
  while true do
    local view = view_of(name)
    if not view then return nil, "not_started" end
    msg.key = view.key
    local answered, first = core.call(name, msg, "infinity")
    if answered then return first, nil, again end
    if answered == false then return nil, first, again end
    if first == "calling_self" then return nil, first end
    again = true
    core.sleep(ASK_AGAIN_MS)
  end
end

-- --- starting --------------------------------------------------------------

--- Callbacks of a distributed supervisor, on every node as it learns of the
-- event. Those of one table run in a process of their own, so they may yield.
---@class banyan.DistributedListener
--- A node takes part.
---@field on_node_up? fun(name: string, node: string, info: table)
--- It does no more; info.reason says why.
---@field on_node_down? fun(name: string, node: string, info: table)
--- It leaves in good order; statuses is the list of {id=, pid=,
--- state="stopped"} of its children.
---@field on_node_terminate? fun(name: string, node: string, reason, statuses)
--- A child has a new process.
---@field on_process_start? fun(name: string, id: any, pid: banyan.Pid)
--- A process of a child has ended; final: the child is started nowhere again.
--- This one and on_process_start alternate.
---@field on_process_stop? fun(name: string, id, pids, reason, final: boolean)

--- The option `nodes` with options of its own; see node_monitor.
---@class banyan.DistributedNodes
---@field source (fun(): string[])|table  a function or {"module", "fn", {args}}
---@field refresh_ms? integer  milliseconds (5000)
---@field timeout_ms? integer  milliseconds (10000)
--- "keep" (default): while the source fails, or answers so that nobody would
--- run children any more, the last good answer stays; "empty": then this node
--- runs none.
---@field on_error? "keep"|"empty"

--- The option `rebalance` with options of its own.
---@class banyan.Rebalance
---@field mode "passive"|"active"
---@field per_second? integer  so many children leave a node in a second; 100

--- The options of distributed_supervisor.start_link.
---@class banyan.DistributedOptions
---@field name string  the same on all nodes
--- The nodes that run children; default all that run this supervisor. A list,
--- or a source as node_monitor has it: a function, {"module", "fn", {args}}, or
--- a table with its options. A node runs children if it stands in its own list,
--- or in what its own source answers.
---@field nodes? string[]|(fun(): string[])|table|banyan.DistributedNodes
--- Modules any function of which may start a child here; default none: then
--- only functions called start_link may.
---@field modules? string[]
--- Most children on this node; default no limit. What finds no room here starts
--- on the next node of the ring.
---@field max_children? integer
---@field max_spec? integer  bytes (1048576) of a child spec, as it is sent
---@field max_checkpoint? integer  bytes (1048576) of a checkpoint
---@field handoff_ms? integer  the time (10000) of a child's callback handoff
--- Most messages (1000) that this node keeps for a child that does not run.
---@field max_held? integer
--- 3 by default, in max_seconds, for each child: with more crashes in that
--- time, it is failing.
---@field max_restarts? integer
---@field max_seconds? number  seconds, 5 by default
--- "park" (default): a child that is failing is set aside and tried again after
--- a back-off; "escalate": it ends the supervisor of its node, as OTP.
---@field on_limit? "park"|"escalate"
--- Of a failing child that has none of its own; {min=100, max=30000, factor=2,
--- jitter=0.2} by default.
---@field backoff? banyan.Backoff
--- {"module", "fn"}: each id that is no other child is one that its first call,
--- cast or send starts, by that function and with the id as its argument.
---@field entity? string[]
--- Of entities: one that has had no message for so many milliseconds is stopped
--- until the next. Default: none is.
---@field idle_ms? integer
--- Milliseconds (30000) of one start function; then it is killed, with the
--- processes that it has spawned.
---@field start_ms? integer
--- So many start functions of a node run at once; 16.
---@field start_concurrency? integer
--- So many nodes (1 to 5; 2 by default) know of a start, or hold a checkpoint,
--- before its caller is answered, where there are so many.
---@field replicas? integer
--- Of two processes of one child the one that began first stays, or that
--- carries on the longer history by a checkpoint ("oldest", the default); or
--- the one that began last.
---@field conflict? "oldest"|"newest"
--- "available" (default): each side of a divided network runs all children, and
--- when they meet one of two stays (`conflict`). "quorum": a side that does not
--- see the quorum stops its children before another may start them.
---@field mode? "available"|"quorum"
--- With mode = "quorum": so many nodes that run children, or the majority of
--- these. Each two quorums must have a node in common.
---@field quorum? integer|string[]
--- Milliseconds (5000): a child has so long to stop when the quorum is gone,
--- whatever its own `shutdown`.
---@field quorum_stop_ms? integer
---@field listeners? banyan.DistributedListener[]
--- true; false leaves out on_node_up and on_node_down.
---@field monitor_nodes? boolean
--- true; false has lookups ask this node's supervisor in place of reading its
--- memory, so that they wait their turn with all other requests; they then
--- yield.
---@field cache_children? boolean
--- "passive" (default): a child stays where it started until its node goes.
--- "active": children move to where the ring names, when nodes have joined; at
--- most per_second (100) of each node, and while no node is in doubt. Those
--- that were put or moved to a node by name stay there.
---@field rebalance? "passive"|"active"|banyan.Rebalance

--- Starts this node's part of a distributed supervisor, linked to the caller.
-- Yields until it knows what the other nodes know, those included that the node
-- is just connecting with (or, where one of them does not answer, for at most
-- 10 s). The source of its nodes is asked before, and the nodes that it answers
-- are waited for in the same way.
---@param opts banyan.DistributedOptions
---@return banyan.Pid|nil pid
---@return any err  {"already_started", pid} of its coordinator, where it runs
---  on this node
function distributed_supervisor.start_link(opts)
  opts = options.check("distributed_supervisor.start_link", opts, 2)
  local pid, err = tree.start_link(opts)
  if not pid then return nil, err end
  core.call(opts.name, { tag = "await", key = views.of(opts.name).key },
    READY_MS)
  return pid
end

--- The spec of a distributed supervisor as the child of a supervisor. Does not
-- yield.
---@param opts banyan.DistributedOptions
---@return table spec
function distributed_supervisor.child_spec(opts)
  options.check("distributed_supervisor.child_spec", opts, 2)
  return {
    id = opts.name,
    start = { "banyan.distributed_supervisor", "start_link", { opts } },
    restart = "permanent",
    shutdown = "infinity",
    type = "supervisor",
  }
end

-- What start_child and ensure_child have in common. Both end with a tail call
-- of it, so that their caller is at level 2.
local function start(what, name, spec, node, ensure)
  check_name(what, name)
  what = "distributed_supervisor." .. what
  if node ~= nil and type(node) ~= "string" then
    error(("%s: node must be a string, got %s"):format(what, type(node)), 2)
  end
  local packed, id = options.check_spec(what, spec, 2)
  local pid, err, again = ask(name, {
    tag = "start", id = id, spec = packed, node = node, ensure = ensure,
    by = core.self(),
  })
  if pid then return pid, id end
  -- The first request has done it.
  if again and type(err) == "table" and err[1] == "already_started" then
    return err[2], id
  end
  if err == "too_large" then
    err = core.reason { "spec_too_large", (core.dist.size(packed)) }
  end
  return nil, err
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
---@return any id  the id; after nil: {"already_started", pid},
---  "already_present" (it is known, but waits, fails or is lost),
---  {"not_allowed", "module.fn", node}, {"module_not_found", text, node},
---  {"cannot_represent", digits, node} (LuaJIT there has no such integer),
---  {"no_room", "max_children", node}, {"spec_too_large", bytes},
---  "not_a_member" or "noconnection" (of the node that was named), "no_nodes",
---  "no_quorum" (with mode = "quorum": this node does not see it),
---  "ignore", "timeout" (the start function's time is over, or nobody was in
---  charge), "not_started", or what the start function answered
function distributed_supervisor.start_child(name, spec, node)
  return start("start_child", name, spec, node, false)
end

--- Answers the child of that id which runs, or starts it as start_child does.
-- Yields.
---@param name string
---@param spec table|string  as for start_child, with an id
---@param node? string  where to start it, if it is to be started
---@return banyan.Pid|nil pid
---@return any id  as for start_child, without "already_started"
function distributed_supervisor.ensure_child(name, spec, node)
  return start("ensure_child", name, spec, node, true)
end

--- Terminates a child, wherever it runs. Yields until it has ended.
---@param name string
---@param child banyan.Pid|string|integer|banyan.Ref  its pid or its id
---@return true|nil ok
---@return any err  "not_found", "not_started"
function distributed_supervisor.terminate_child(name, child)
  check_name("terminate_child", name)
  child = options.check_id("distributed_supervisor.terminate_child", child, 2)
  local msg = { tag = "terminate" }
  local view = view_of(name)
  -- A pid is an id too, where a child was started under it.
  if core.is_pid(child) and not (view and view.pids[child]) then
    msg.pid = child
  else
    msg.id = child
  end
  local done, err = ask(name, msg)
  if done then return true end
  return nil, err
end

-- --- moving ----------------------------------------------------------------

local function check_node(what, node)
  if node ~= nil and type(node) ~= "string" then
    error(("distributed_supervisor.%s: node must be a string, got %s")
      :format(what, type(node)), 3)
  end
end

--- Moves a child to another node, with its state: what its callback handoff
-- ("move") returns is what resume gets there. Calls and messages by id that
-- come meanwhile wait, and follow it. One that is there already stays. Yields
-- until it runs there.
---@param name string
---@param id string|integer|banyan.Ref
---@param node? string  it stays there while that node lives; without: where the
---  ring names
---@return banyan.Pid|nil pid
---@return any err  {"handoff_failed", reason}, or what start_child answers of a
---  node that does not take it: it runs where it was; "timeout",
---  "noproc" (no such child), "not_started"
function distributed_supervisor.move_child(name, id, node)
  check_name("move_child", name)
  check_node("move_child", node)
  id = options.check_id("distributed_supervisor.move_child", id, 2)
  local pid, err = ask(name, { tag = "move", id = id, node = node })
  if pid then return pid end
  return nil, err == "not_found" and "noproc" or err
end

local DRAIN_MS = 60000

-- Asks the coordinator of a node what that may be asked by others.
local function ask_node(name, node, msg)
  local view = view_of(name)
  if not view then return nil, "not_started" end
  if node == nil or node == view.node then return ask(name, msg) end
  local done, answer = core.call({ name = name, node = node }, msg, "infinity")
  if done then return answer end
  if answer == "noproc" then answer = "not_a_member" end
  return nil, answer
end

--- Has a node run no children from now on: its children move to others
-- (handoff "drain"), and it takes none until undrain, or until its supervisor
-- ends. What could not be moved in time stays there. Yields.
---@param name string
---@param node? string  default this one
---@param timeout? integer|string  milliseconds, default 60000; "infinity"
---@return integer|nil moved  so many children
---@return any err  {"timeout", left}; "undrained" meanwhile; "noconnection",
---  "not_a_member" (no such supervisor there), "not_started"
function distributed_supervisor.drain(name, node, timeout)
  check_name("drain", name)
  check_node("drain", node)
  if timeout == nil then
    timeout = DRAIN_MS
  else
    timeout = common.timeout(timeout, "distributed_supervisor.drain", 2)
  end
  return ask_node(name, node,
    { tag = "drain", timeout = timeout or "infinity" })
end

--- Has a node that was drained run children again. Those that were moved away
-- stay where they are (see rebalance). Yields.
---@param name string
---@param node? string  default this one
---@return true|nil ok
---@return any err  as for drain
function distributed_supervisor.undrain(name, node)
  check_name("undrain", name)
  check_node("undrain", node)
  return ask_node(name, node, { tag = "undrain" })
end

--- Moves the children that the ring names another node for (handoff
-- "rebalance"), once, on all nodes; each node waits until no other is in doubt.
-- Those that were put or moved to their node by name stay. Yields until that is
-- done.
---@param name string
---@return integer|nil moved  so many children
---@return any err  "not_started"
function distributed_supervisor.rebalance(name)
  check_name("rebalance", name)
  local view = view_of(name)
  if not view then return nil, "not_started" end
  local nodes, moved = view.dist:members(), 0
  if #nodes < 2 then return 0 end
  local counts = server.multi_call(nodes, name, { tag = "rebalance" },
    "infinity")
  for _, count in pairs(counts) do moved = moved + count end
  return moved
end

-- --- looking ---------------------------------------------------------------

-- The pid of a child, and its id: a float that is an integer is that integer.
-- What can be no id is misuse; it is looked at where there is no such child, so
-- that this costs nothing otherwise.
local function find(what, name, id)
  local view, pid = view_of(name, 4), nil
  if view and view.cached and id ~= nil then
    pid = views.pid(view, id)
  elseif view and id ~= nil then
    pid = core.call(name, { tag = "lookup", id = id, key = view.key })
  end
  if pid == nil or type(id) == "number" then
    id = options.check_id("distributed_supervisor." .. what, id, 3)
  end
  return pid, id
end

--- Finds a child. Does not yield (but see cache_children).
---@param name string
---@param id string|integer|banyan.Ref
---@return banyan.Pid|nil pid
function distributed_supervisor.whereis(name, id)
  return (find("whereis", name, id))
end

--- Tells whose pid it is. Does not yield (but see cache_children).
---@param name string
---@param pid banyan.Pid
---@return any id  nil if it is no child of that supervisor
function distributed_supervisor.whois(name, pid)
  local view = view_of(name)
  if view == nil or pid == nil then return nil end
  if view.cached then return view.ids[pid] end
  return (core.call(name, { tag = "lookup", pid = pid, key = view.key }))
end

local function add_child(id, view, children)
  children[id] = views.pid(view, id)
end

local function add_pid(id, view, list)
  local pid = views.pid(view, id)
  if pid ~= nil then list[#list + 1] = pid end
end

-- Goes through a roster of the view, and fills `into`. nil: the supervisor ends
-- meanwhile.
local function collect(name, view, roster, fn, into)
  slices.each(roster, fn, view, into)
  if views.of(name) ~= view then return nil, "not_started" end
  return into
end

--- Lists all children, of all nodes. Yields only where they are very many, and
-- the caller can wait: the list then has each that runs throughout.
---@param name string
---@return table<any, banyan.Pid>|nil children  by id; a new table
---@return any err  "not_started"
function distributed_supervisor.children(name)
  local view = view_of(name)
  if not view then return nil, "not_started" end
  return collect(name, view, view.all, add_child,
    core.table(0, view.all.last))
end

--- Lists the children that run on this node. Yields only where they are very
-- many, and the caller can wait: the list then has each that runs throughout.
---@param name string
---@return banyan.Pid[]|nil pids  in no order
---@return any err  "not_started"
function distributed_supervisor.local_children(name)
  local view = view_of(name)
  if not view then return nil, "not_started" end
  return collect(name, view, view.here, add_pid,
    core.table(view.here.last, 0))
end

--- Names the node that the ring has for a key. Does not yield.
---@param name string
---@param key string|integer|banyan.Ref
---@return string|nil node
---@return any err  "no_nodes", "not_started"
function distributed_supervisor.node_for(name, key)
  key = options.check_id("distributed_supervisor.node_for", key, 2)
  local view = view_of(name)
  if not view then return nil, "not_started" end
  local node = view.dist:owner(key)
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
  return view ~= nil and view.dist:owner(key) == view.node
end

--- Lists the nodes that run children: the members of the ring. Does not
-- yield.
---@param name string
---@return string[]|nil nodes  in byte order
---@return any err  "not_started"
function distributed_supervisor.nodes(name)
  local view = view_of(name)
  if not view then return nil, "not_started" end
  return view.dist:members()
end

--- Counts the children that run. Does not yield.
---@param name string
---@return integer|nil here  on this node
---@return any everywhere  after nil: "not_started"
function distributed_supervisor.count(name)
  local view = view_of(name)
  if not view then return nil, "not_started" end
  return view.dist:count()
end

--- Says how it stands with this supervisor. Yields only where children are very
-- many, and the caller can wait.
---@param name string
---@return table|nil status  mode, nodes (those that run children), here,
---  everywhere (children that run), moving, lost, failing, waiting (for room),
---  idle (that have kept something): numbers; quorum: with mode = "quorum",
---  does this node see it?
---@return any err  "not_started"
function distributed_supervisor.status(name)
  local view = view_of(name)
  if not view then return nil, "not_started" end
  local dist = view.dist
  local status = slices.list(function(so_far, bucket, most)
    return dist:status(so_far, bucket, most)
  end)
  if views.of(name) ~= view then return nil, "not_started" end
  local mode, _, seen = "available", dist:quorum()
  if seen ~= nil then mode = "quorum" end
  return {
    mode = mode, quorum = seen, nodes = view.dist:members(), here = status.here,
    everywhere = status.everywhere, moving = status.moving,
    lost = status.lost, failing = status.failing, waiting = status.waiting,
    idle = status.idle,
  }
end

local sentences = {
  starting = "its start function runs, or waits for others to be done",
  moving = "it moves to another node",
  lost = "its node is gone, and it is to start on another",
  failing = "it crashed too often, and is tried again after a while",
  waiting = "no node runs children, has room for it, or may start it",
  idle = "the next message starts it",
  ended = "it has ended",
}

-- Where children do not run as there is no quorum, or nil.
local function no_quorum(view)
  local _, seen, nodes, needed, runs = view.dist:quorum()
  if runs ~= false then return nil end
  if seen then
    return "this node sees the quorum again, and waits until it knows of all "
      .. "nodes what they run"
  end
  return ("there is no quorum: this node sees %d of %d nodes that it needs")
    :format(nodes, needed)
end

local function why(child, view)
  if child.state ~= "running" then
    local reason = child.state ~= "ended" and no_quorum(view)
    return reason or sentences[child.state]
  end
  if child.stays and child.moved_to == child.node then
    return "it was moved to this node by name"
  elseif child.pinned == child.node then
    return "it was put on this node by name"
  elseif child.node == child.owner then
    return "the ring names this node"
  elseif child.refused_by_owner then
    return "the node that the ring names refused it"
  end
  if child.moved_to == child.node then return "it was moved to this node" end
  return "it stays where it started until that node goes"
end

--- Says why a child runs where it runs. Does not yield.
---@param name string
---@param id string|integer|banyan.Ref
---@return table|nil explanation  id, node (where it runs), pid, state
---  ("running", "starting", "moving", "lost", "failing", "waiting", "idle",
---  "ended"), owner (whom the ring names), pinned (it was put on its node by
---  name), failures (in a
---  row), error (the last reason of one that fails, waits or has ended),
---  wait_ms (until one that fails here is tried again), refusal (why the owner
---  did not take it), epoch (greater for each start_child of the id), seq
---  (counts what its node wrote of it since), members (of the ring), reason (a
---  sentence)
---@return any err  "not_found", "not_started"
function distributed_supervisor.explain(name, id)
  id = options.check_id("distributed_supervisor.explain", id, 2)
  local view = view_of(name)
  if not view then return nil, "not_started" end
  local child = view.dist:explain(id)
  if not child and view.entity then
    child = { state = "idle", owner = view.dist:owner(id), failures = 0 }
  end
  if not child then return nil, "not_found" end
  if child.state == "running" and views.is_here(view, id)
    and not core.is_alive(child.pid) then
    child.state, child.pid = "starting", nil -- or over: soon known
  end
  return {
    id = id, node = child.node, pid = child.pid, state = child.state,
    owner = child.owner,
    pinned = child.pinned ~= nil and child.pinned == child.node,
    failures = child.failures, error = child.reason, wait_ms = child.wait_ms,
    refusal = child.refusal, epoch = child.epoch, seq = child.seq,
    members = view.dist:members(),
    reason = why(child, view),
  }
end

-- --- state -----------------------------------------------------------------

local checkpoint_schema = { async = "boolean" }

--- The options of distributed_supervisor.checkpoint.
---@class banyan.CheckpointOptions
--- Does not wait for the other nodes; of those that follow each other faster
--- than they can be sent, the newest goes.
---@field async? boolean

--- Keeps a value for the next process of the child that the caller is: that
-- gets the newest one in its callback resume, wherever it starts and why. It is
-- gone when the child ends for good. Yields until `replicas` nodes hold it, or
-- all where there are fewer.
---@param state any  a value that can be sent to another node
---@param opts? banyan.CheckpointOptions
---@return true|nil ok
---@return any err  {"checkpoint_too_large", bytes}; "timeout": within 5 s the
---  other nodes have not answered, and this one holds it; "noproc": the child
---  was ended meanwhile; "not_started"
function distributed_supervisor.checkpoint(state, opts)
  local what = "distributed_supervisor.checkpoint"
  if opts ~= nil then
    common.check(what, opts, checkpoint_schema, 2)
  end
  local view, child = views.own()
  if not view then
    error(what .. ": called outside of a process that is the child of a "
      .. "distributed supervisor", 2)
  end
  local bytes, problem = core.dist.encode(state)
  if not bytes then
    error(("%s: the state cannot be kept: %s"):format(what,
      tostring(problem)), 2)
  end
  local too_large = core.reason { "checkpoint_too_large", #bytes }
  if #bytes > view.max_checkpoint then return nil, too_large end
  local done, err = ask(view.name, {
    tag = "checkpoint", child = child, state = bytes,
    async = opts ~= nil and opts.async or false,
  })
  if done then return true end
  if err == "too_large" then return nil, too_large end
  if err == "not_found" then return nil, "noproc" end
  return nil, err
end

-- --- talking ---------------------------------------------------------------

local DEFAULT_TIMEOUT = 5000

-- Of an id, which a float may stand for.
local to_integer = math.tointeger or function(number) return number end

--- Calls a child by its id, as server.call does. One that is known, but does
-- not run just now, is waited for: it starts, is lost, fails or waits for room.
-- Yields.
---@param name string
---@param id string|integer|banyan.Ref
---@param msg any
---@param timeout? integer|string  milliseconds, default 5000, in all
---@return any ...  as server.call; `nil, "noproc"` for an id that is not known,
---  `nil, "no_quorum"` where it does not run and this node sees no quorum,
---  `nil, "not_started"` where the supervisor does not run. "noconnection": the
---  node of the child was lost in this call, which may have been served
function distributed_supervisor.call(name, id, msg, timeout)
  local view = view_of(name)
  if not view or not view.cached or view.pids[id] == nil then
    id = select(2, find("call", name, id))
  elseif type(id) == "number" then
    id = to_integer(id)
  end
  if not view then return nil, "not_started" end
  if timeout == nil then
    timeout = DEFAULT_TIMEOUT
  else
    timeout = common.timeout(timeout, "distributed_supervisor.call", 2)
  end
  return held.call(view, id, msg, timeout)
end

-- A destination, for a message that is sent by this function. To look for the
-- process and to send to it is one: where a child is about to move, others are
-- told that nothing more is sent to its process.
local function dest_for(what, name, id)
  return { supervisor = name, id = id, what = what }
end

-- The pid that a message is to be sent to; or true, it is kept; or nil, err.
local function keep(name, id, kind, msg, what)
  local view = view_of(name)
  if not view then return nil, "not_started" end
  return held.keep(view, id, kind, msg, what)
end

--- Casts to a child by its id, as server.cast does. To one that is known, but
-- does not run just now, the message is kept, as send does. Yields only while
-- very much waits to be sent to its node.
---@param name string
---@param id string|integer|banyan.Ref
---@param msg any
---@return true|nil ok  true whether or not there is such a child
---@return any err  "no_quorum", where it does not run
function distributed_supervisor.cast(name, id, msg)
  local _, key = find("cast", name, id)
  local view = view_of(name)
  if view and held.is_denied(view, key) then return nil, "no_quorum" end
  return core.cast(dest_for("distributed_supervisor.cast", name, key), msg)
end

--- Sends a child a message by its id. To one that is known, but does not run
-- just now, the message is kept on this node: it reaches the next process in
-- order. Of one child at most max_held are kept, and the newest dropped, with
-- the event held_dropped. What is kept must be fit for another node. Yields
-- only while very much waits to be sent to its node.
---@param name string
---@param id string|integer|banyan.Ref
---@param msg any
---@return true|nil ok
---@return any err  "noproc" (no such child), "no_quorum", "not_started"
function distributed_supervisor.send(name, id, msg)
  local _, key = find("send", name, id)
  return core.send(dest_for("distributed_supervisor.send", name, key), msg)
end

--- Makes a destination of a child's id, for send, server.call, server.cast,
-- monitor and link. The child is looked up each time it is used. Calls and
-- messages wait for one that does not run just now, as those by id do; monitor
-- and link mean the process of this moment. Does not yield.
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

-- Where lookups ask the supervisor, these do not: what it was told before is
-- not waited for.
local function resolve(dest)
  local view = view_of(dest.supervisor)
  return view and views.pid(view, dest.id)
end

local function keep_for(dest, kind, msg)
  local what = dest.what or (kind == "cast" and "server.cast" or "send")
  return keep(dest.supervisor, dest.id, kind, msg, what)
end

-- The time-out has been checked.
local function call_dest(dest, msg, timeout)
  local view = view_of(dest.supervisor)
  if not view then return nil, "not_started" end
  if timeout == nil then
    timeout = DEFAULT_TIMEOUT
  elseif timeout == "infinity" or timeout == math.huge then
    timeout = nil
  end
  return held.call(view, dest.id, msg, timeout)
end

core.find_children(resolve, keep_for, call_dest)

return distributed_supervisor
