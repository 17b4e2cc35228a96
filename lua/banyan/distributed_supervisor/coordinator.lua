-- The coordinator: one process a node for each distributed supervisor. It is
-- registered under the supervisor's name, so the coordinators find each other.
--
-- It decides nothing. Messages become inputs of the machine (csrc/core/dist);
-- what that answers becomes messages, starts, stops, replies, events and calls
-- of listeners. It never waits: what takes time is done by other processes. The
-- machine belongs to the node: a coordinator that begins again after a crash
-- finds in it what should run, and the processes (processes.lua) that do run.

local core = require "banyan.core"
local answers = require "banyan.distributed_supervisor.answers"
local childspec = require "banyan.childspec"
local entities = require "banyan.distributed_supervisor.entities"
local events = require "banyan.distributed_supervisor.events"
local held = require "banyan.distributed_supervisor.held"
local hosts = require "banyan.hosts"
local listeners = require "banyan.distributed_supervisor.listeners"
local moves = require "banyan.distributed_supervisor.moves"
local server = require "banyan.server"
local sets = require "banyan.sets"
local slices = require "banyan.slices"
local starter = require "banyan.distributed_supervisor.starter"
local starts = require "banyan.distributed_supervisor.starts"
local views = require "banyan.distributed_supervisor.views"

local Coordinator = { name = "banyan.distributed_supervisor" }

local NAMELESS = "nonode"   -- the node, where it has no name
local CONNECT_MS = 3000     -- for a connection to a node that others have
local PATIENCE_MS = 30000   -- of a request, besides the time of its start
local CHECKPOINT_MS = 5000  -- until others hold a checkpoint
local PUT_OFF_MOST = 64     -- starts, of which nothing was carried out yet
local KEEP_ENDED, KEEP_ENDED_MS = 10000, 60000
local TEMPORARY, TRANSIENT, ENSURE, NESTED = 1, 2, 4, 8 -- of a start

-- Why a link ended that proves the other node's life to be over.
local PROOF = { shutdown = true, restarted = true, econnrefused = true }
-- Why one ended that the other node, which lives, had given up.
local GIVEN_UP = { session_unknown = true, session_lost = true }

-- --- what the machine wants --------------------------------------------------

local actions = {}

function actions.send(self, a)
  core.cast_now({ name = self.name, node = a.node },
    { tag = "dist", from = self.node, bytes = a.bytes })
end

function actions.connect(_, a)
  core.spawn(core.connect, a.node, CONNECT_MS)
end

function actions.start(self, a)
  local refused = starts.refusal(self, a)
  if refused then
    return self.dist:start_failed(a.child, "refused", refused)
  end
  starts.begin(self, a)
end

function Coordinator:stop_process(child, reason)
  core.cast(self.processes, {
    tag = "stop", child = child, reason = reason, key = self.view.key,
  })
end

-- The same, but it is asked for its state first.
local function stop_running(self, a, reason)
  core.cast(self.processes, {
    tag = "stop", child = a.child, reason = reason, key = self.view.key,
    handoff = a.handoff, handoff_ms = self.opts.handoff_ms, id = a.id,
    max_state = self.opts.max_checkpoint, goes_on = a.goes_on,
  })
end

-- The reason that a process is stopped with.
local function stop_reason(a)
  if a.why == "idle" then return core.reason { "shutdown", "idle" } end
  if a.why ~= "conflict" then return "shutdown" end
  return core.reason {
    "shutdown", core.reason { "conflict", a.other_pid },
  }
end

function actions.stop(self, a)
  if a.pid ~= nil then return stop_running(self, a, stop_reason(a)) end
  starts.give_up(self, a.child)
  self.dist:exited(a.child, "shutdown")
end

-- What a handoff returned is where it belongs, or is not.
local function handoff_answered(self, request, a)
  if a.code == "ok" then return end
  local reason = a.code
  if reason == "too_large" then
    reason = core.reason { "checkpoint_too_large", #request.handed.state }
  end
  self:tell_failed_handoff(request.handed, reason)
end

function actions.answer(self, a)
  local request = self.requests[a.request]
  self.requests[a.request] = nil
  if not request then return end
  if request.what == "handoff" then
    return handoff_answered(self, request, a)
  elseif request.what == "ask_for" then
    return entities.asked(self, request.id, a, answers[a.code])
  end
  if a.code == "ok" and request.what ~= "start" and request.what ~= "move" then
    return core.reply(request.from, true, true)
  end
  local answer = answers[a.code]
  if answer then return core.reply(request.from, answer(a, request.id)) end
  core.reply(request.from, false, a.code)
end

-- Why a process ended, for listeners.
local function end_reason(a)
  if a.reason ~= nil then return a.reason end
  if a.why == "noconnection" then return "noconnection" end
  return stop_reason(a)
end

-- Of a child whose id this node's Lua cannot have, no listener is told: there
-- is nothing to call it by.
function actions.show(self, a)
  if a.key then return views.show_nameless(self.view, a) end
  if a.old_pid ~= nil and a.why == "exited" then
    events.note_end(self, a.id, a.reason)
  end
  if a.old_pid ~= nil and a.reason == "noproc" then
    self.view.ended_noproc[a.old_pid] = true
  end
  views.show(self.view, a)
  held.shown(self.view, a.id)
  if a.old_pid ~= nil and listeners.hear(self.listeners, "on_process_stop") then
    listeners.tell(self.listeners, "on_process_stop", a.id, { a.old_pid },
      end_reason(a), a.final)
  end
  if a.pid ~= nil then
    listeners.tell(self.listeners, "on_process_start", a.id, a.pid)
  end
end

function actions.node_up(self, a)
  if self.opts.monitor_nodes == false then return end
  listeners.tell(self.listeners, "on_node_up", a.node, {})
end

function actions.node_down(self, a)
  if self.opts.monitor_nodes == false then return end
  local reason = self.down_reasons[a.node] or "noconnection"
  listeners.tell(self.listeners, "on_node_down", a.node, { reason = reason })
end

local function add_status(id, self, node, statuses)
  local pid = views.pid(self.view, id)
  if pid ~= nil and (pid:node() or NAMELESS) == node then
    statuses[#statuses + 1] = { id = id, pid = pid, state = "stopped" }
  end
end

-- Not one of `actions`: its list may be long, so others have their turns while
-- it is made. A coordinator that ends meanwhile takes its listeners along.
local function node_terminate(self, a)
  if not listeners.hear(self.listeners, "on_node_terminate") then return end
  local statuses = {}
  slices.each(self.view.all, add_status, self, a.node, statuses)
  listeners.tell_list(self.listeners, "on_node_terminate", a.node, a.reason,
    statuses)
end

function actions.forget() end

-- This node runs the copy of a child that stays of two. One that is no server
-- would find a message that nobody sent.
function actions.resolve(_, a)
  if a.pid == nil or a.state == nil then return end
  local info = core.process_info(a.pid)
  if not info or info.behaviour ~= "server" then return end
  local state = core.dist.decode(a.state)
  if state == nil then return end
  core.request(a.pid, { "$system", "resolve_conflict", state })
end

local function tell(self, name, fields)
  fields.supervisor = self.name
  core.event(name, fields)
end

-- "drain" and "leave": the child is started with its last checkpoint.
-- "conflict": the other copy hears nothing. Else it goes on where it is.
function Coordinator:tell_failed_handoff(of, reason)
  tell(self, "handoff_failed", {
    id = of.id, pid = of.pid, reason = reason, why = of.handoff,
  })
end

local function with_traceback(err)
  return { tostring(err), debug.traceback("", 2):gsub("^\n", "") }
end

-- Calls fn(self, ...). An error in it ends nothing else: the children of this
-- node do not depend on one message. Answers whether there was none, and it or
-- what fn answered.
local function guarded(self, fn, ...)
  local ok, err = xpcall(fn, with_traceback, self, ...)
  if ok then return true, err end
  tell(self, "coordinator_error", { message = err[1], traceback = err[2] })
  return false, core.reason { "error", err[1], err[2] }
end

function actions.hold(self, a)
  if a.id ~= nil then held.hold(self.view, a.id, a.held) end
end

-- Could this node start that child? Its module may be loaded when it comes.
function actions.probe(self, a)
  self.dist:probed(a.request,
    starts.refusal(self, a) or starter.missing(a.spec, self.node))
end

function actions.event(self, a)
  tell(self, a.event, events.fields(self, a))
end

function actions.escalate(self) self.escalated = true end

-- Where the quorum is gone, each child is told to stop by an action of its own.
-- All that run now have ended after wait_ms, whatever they do meanwhile.
function actions.quorum(self, a)
  if not a.joined then
    core.cast(self.processes,
      { tag = "kill", after_ms = a.wait_ms, key = self.view.key })
  end
  tell(self, a.joined and "quorum_regained" or "quorum_lost",
    { seen = a.count, needed = a.needed })
end

-- Until an action that is not to be carried out so, which it answers. All are
-- told in the same table: none is kept.
local function act_on_all(self)
  local a, dist = self.action, self.dist
  while dist:next(a) do
    if a.kind == "node_terminate" then return a end
    actions[a.kind](self, a)
  end
end

-- The actions of the machine. Nobody can end the coordinator between one that
-- it took and what comes of that. One that raises ends no other.
local function act(self)
  while true do
    local ok, result = guarded(self, act_on_all)
    if ok then return result end
    local a = self.action
    if not a.kind then error(result, 0) end -- the machine itself raised it
    if a.kind == "start" then
      starts.give_up(self, a.child)
      self.dist:start_failed(a.child, "error", result)
    end
  end
end

-- Carries out all that follows from an input, and sees to it that the machine
-- hears of the time when it wants to.
local function carry_out(self)
  self.put_off = 0
  repeat
    local a = core.unbroken(act, self)
    if a then guarded(self, node_terminate, a) end
  until not a
  local wait = self.dist:wait()
  local at = wait and core.now() + wait
  if self.tick_at and (not at or self.tick_at > at) then
    core.cancel_timer(self.tick_timer)
    self.tick_at = nil
  end
  if at and not self.tick_at then
    self.tick_at = at
    self.tick_timer = core.send_after(wait, self.me,
      { tag = "tick", key = self.view.key })
  end
end

-- What came before, and was put off, is carried out before what comes now.
local function catch_up(self)
  self.may_wait = false
  if self.put_off > 0 then carry_out(self) end
end

-- --- the beginning -----------------------------------------------------------

local function open_dist(self, opts)
  return core.dist.open {
    name = self.name, node = self.node, hosts = self:is_host(),
    nodes = opts.nodes, replicas = opts.replicas,
    start_concurrency = opts.start_concurrency,
    max_children = opts.max_children or 0,
    newest = opts.conflict == "newest",
    escalate = opts.on_limit == "escalate",
    max_restarts = opts.max_restarts, max_ms = opts.max_ms,
    backoff = opts.backoff, max_spec = opts.max_spec,
    max_checkpoint = opts.max_checkpoint,
    handoff_ms = opts.handoff_ms, per_second = opts.per_second,
    quorum_needed = opts.quorum_needed, quorum_nodes = opts.quorum_nodes,
    quorum_stop_ms = opts.quorum_stop_ms,
    keep_ended = KEEP_ENDED, keep_ended_ms = KEEP_ENDED_MS,
  }
end

--- Does this node run children? `nodes` of the view is what the source of the
-- nodes answered last.
function Coordinator:is_host()
  if not hosts.here() then return false end
  local nodes = self.opts.nodes
  if self.opts.node_source then nodes = self.view and self.view.nodes or {} end
  return nodes == nil or sets.of(nodes)[self.node] == true
end

-- Nodes that are connected are greeted; those that are being dialled are waited
-- for before this node starts anything, and those that its source names, which
-- will be.
local function meet_nodes(self)
  if not core.node_name() then return end
  core.monitor_nodes(true)
  local dialled = core.connecting()
  for _, node in ipairs(self.view.nodes or {}) do
    dialled[#dialled + 1] = node
  end
  table.sort(dialled)
  for _, node in ipairs(dialled) do self.dist:expect(node) end
  for _, node in ipairs(core.nodes()) do self:meet(node) end
end

function Coordinator:new_request(what, from, id)
  self.last_request = self.last_request + 1
  self.requests[self.last_request] = { what = what, from = from, id = id }
  return self.last_request
end

-- What the handoff of a process returned is its last checkpoint, or is told to
-- the copy that stays.
local function take_handed(self, handed)
  local request = self:new_request("handoff")
  self.requests[request].handed = handed
  self.dist:checkpoint(request, handed.child, handed.state, true, true)
end

local function take_failed_handoff(self, failed)
  self:tell_failed_handoff(failed, failed.reason)
  if failed.goes_on then
    self.dist:handoff_failed(failed.child, failed.reason)
  end
end

-- The end of a process.
local function take_exit(self, exit)
  self.view.running[exit.child] = nil
  entities.forget(self, exit.child)
  if exit.state then take_handed(self, exit) end
  self.dist:exited(exit.child, exit.reason)
end

-- What the parent of the processes tells.
local told = {
  handed = take_handed, handoff_failed = take_failed_handoff,
  exited = take_exit,
}

-- What became of starts and processes while there was no coordinator. What is
-- not among the processes that run has ended.
local function find_processes(self)
  local view, found = self.view, {}
  local answer = core.call(self.processes,
    { tag = "attach", pid = self.me, tree = self.tree, key = view.key },
    "infinity")
  for _, one in ipairs(answer and answer.running or {}) do
    found[one.child] = one.pid
  end
  starts.take_over(self, found)
  for _, one in ipairs(answer and answer.told or {}) do
    told[one.tag](self, one)
  end
  for _, child in ipairs(sets.sorted(view.running)) do
    if not found[child] then
      view.running[child] = nil
      self.dist:exited(child, "killed")
    end
  end
end

function Coordinator:init(arg)
  local opts = arg.opts
  core.trap_exit(true)
  self.opts, self.name, self.me = opts, opts.name, core.self()
  self.node = core.node_name() or NAMELESS
  self.processes, self.tree = arg.processes, arg.tree
  self.modules, self.start_ms = sets.of(opts.modules), opts.start_ms
  self.listeners = listeners.new(opts.name, opts.listeners or {})
  events.open(self)
  self.watches = {}      -- monitor -> {what = "starter" | "peer"}
  self.monitored = {}    -- node -> monitor of its coordinator
  self.asked = {}        -- ref -> who waits for another node to say whose pid
  self.requests = {}     -- number -> {what=, from=, id=}
  self.last_request = 0
  self.awaiting = {}     -- who waits until it is ready
  self.action = {}       -- what the machine said last
  self.put_off = 0       -- messages, of which nothing was carried out yet
  moves.open(self)
  self.down_reasons = {} -- node -> why its link ended
  self.dist = open_dist(self, opts)
  self.view = views.open(self.dist, self.name)
  if opts.node_source then
    self.view.nodes = self.view.nodes or arg.nodes or {}
  end
  self.view.cached = opts.cache_children ~= false
  self.view.tree, self.view.node = arg.tree, self.node
  self.view.max_checkpoint = opts.max_checkpoint
  self.view.max_held, self.view.entity = opts.max_held, opts.entity
  entities.open(self)
  starts.open(self)
  self.dist:attach()
  self.dist:set_hosts(self:is_host())
  self.dist:set_nodes(opts.nodes)
  find_processes(self)
  meet_nodes(self)
  carry_out(self)
  held.open(self.view)
  core.unbroken(held.look_again, self)
  entities.look_later(self)
end

--- Greets the coordinator of a node that is connected.
function Coordinator:meet(node)
  self:watch_peer(node)
  self.dist:node_up(node)
end

function Coordinator:watch_peer(node)
  if self.monitored[node] then return end
  local watch = core.monitor { name = self.name, node = node }
  self.monitored[node] = watch
  self.watches[watch] = { what = "peer", node = node }
end

-- --- calls -------------------------------------------------------------------
--
-- Other nodes may send anything. What they may ask and say is in the tables
-- `from_others`; all else is of this node, which its key proves.

local calls = setmetatable({}, { __index = moves.calls })
local calls_from_others =
  setmetatable({}, { __index = moves.calls_from_others })

local function flags_of(msg)
  return (childspec.is_temporary(msg.spec) and TEMPORARY or 0)
    + (childspec.is_transient(msg.spec) and TRANSIENT or 0)
    + (msg.ensure and ENSURE or 0)
end

--- Asks the machine for a start, with flags besides those that its spec says.
function Coordinator:ask_for_start(request, msg, flags)
  local nested = starts.has_spawned(self, msg.by) and NESTED or 0
  self.dist:start(request, msg.id, msg.spec, flags_of(msg) + nested + flags,
    childspec.backoff(msg.spec), msg.node, self.start_ms + PATIENCE_MS)
end

function calls.start(self, msg, from)
  self:ask_for_start(self:new_request("start", from, msg.id), msg, 0)
end

-- The child whose id is `key` as bytes.
local function terminate(self, key, from)
  local request = self:new_request("terminate", from)
  if self.dist:terminate(request, key) then return end
  self.requests[request] = nil
  core.reply(from, false, "not_found")
end

function calls.terminate(self, msg, from)
  local key
  if msg.id ~= nil then
    key = core.dist.encode(msg.id)
  else
    key = views.key(self.view, msg.pid)
  end
  if key then return terminate(self, key, from) end
  local node = msg.pid:node()
  if node == core.node_name() then
    return core.reply(from, false, "not_found")
  end
  -- Its node may know of it already, where this one does not yet.
  local ref = core.request({ name = self.name, node = node },
    { tag = "whois", pid = msg.pid })
  self.asked[ref] = from
end

-- Answered as bytes: the Lua of the node that asks may not have the id.
function calls_from_others.whois(self, msg, from)
  local key
  if core.is_pid(msg.pid) then key = views.key(self.view, msg.pid) end
  core.reply(from, key)
end

-- A process of a child wrote that.
function calls.checkpoint(self, msg, from)
  self.dist:checkpoint(self:new_request("checkpoint", from), msg.child,
    msg.state, msg.async, false, CHECKPOINT_MS)
end

function calls.lookup(self, msg, from)
  if msg.pid ~= nil then return core.reply(from, self.view.ids[msg.pid]) end
  core.reply(from, views.pid(self.view, msg.id))
end

function calls.await(self, _, from)
  if self.dist:is_ready() then return core.reply(from, true) end
  self.awaiting[#self.awaiting + 1] = from
end

-- Who may be asked or told that, and by whom?
local function handler_of(self, msg, ours, from_others)
  if type(msg) ~= "table" or type(msg.tag) ~= "string" then return nil end
  if msg.key == self.view.key then return ours[msg.tag] end
  return from_others[msg.tag]
end

function Coordinator:handle_call(msg, from)
  catch_up(self)
  local handler = handler_of(self, msg, calls, calls_from_others)
  if not handler then
    core.reply(from, nil, "unknown_call")
    return self:go_on()
  end
  local ok, reason = guarded(self, handler, msg, from)
  if not ok then core.reply(from, false, reason) end
  return self:go_on()
end

-- Is there more to carry out with what may wait? Messages that are here; or
-- starts under way, whose ends may come in this step of the node.
local function expects_more(self)
  if core.server.more() then return true end
  if not self.oldest_start then return false end
  server.timeout(0)
  return true
end

-- After each message. What follows from starts that have ended is carried out
-- for many at once: a node that takes over very many children tells its peers
-- of many of them in one packet. All else is carried out before the next
-- message counts: a process that ends is shown to have run, so that who had it
-- started is answered.
function Coordinator:go_on()
  if self.may_wait and self.put_off < PUT_OFF_MOST and expects_more(self) then
    self.put_off = self.put_off + 1
    return server.noreply
  end
  carry_out(self)
  if self.escalated then return server.stop_with("shutdown") end
  moves.review(self)
  if #self.awaiting > 0 and self.dist:is_ready() then
    local list = self.awaiting
    self.awaiting = {}
    for _, from in ipairs(list) do core.reply(from, true) end
  end
  return server.noreply
end

-- --- messages ----------------------------------------------------------------

local messages, messages_from_others = {}, {}

--- What the coordinator of another node says.
function messages_from_others.dist(self, msg)
  local from, bytes = msg.from, msg.bytes
  local fine = type(from) == "string" and type(bytes) == "string"
  if fine then self:watch_peer(from) end
  if not fine or not self.dist:receive(from, bytes) then
    tell(self, "peer_refused", {
      peer = type(from) == "string" and from or nil, reason = "bad_message",
    })
  end
end

function messages.started(self, msg)
  if not starts.forget(self, msg.child) then
    -- It was given up meanwhile.
    return self:stop_process(msg.child, "shutdown")
  end
  self.dist:started(msg.child, msg.pid)
  if msg.ended then
    carry_out(self) -- its start is answered before its end counts
    return self.dist:exited(msg.child, msg.reason)
  end
  self.view.running[msg.child] = msg.pid
end

function messages.start_failed(self, msg)
  if not starts.forget(self, msg.child) then return end
  self.dist:start_failed(msg.child, msg.kind, msg.reason)
end

messages.start_overdue = starts.overdue

for tag, take_it in pairs(told) do messages[tag] = take_it end

-- What it may have started and handed over is not wanted.
local function starter_down(self, watch, msg)
  starts.forget(self, watch.child)
  self:stop_process(watch.child, "kill")
  self.dist:start_failed(watch.child, "error", msg.reason)
end

local function peer_down(self, watch, msg)
  self.monitored[watch.node] = nil
  if msg.reason ~= "noconnection" then self.dist:peer_away(watch.node) end
end

-- What the node itself sends has no key. It is looked at again, so that nobody
-- else can say so in its place.

function messages_from_others.DOWN(self, msg)
  local watch = msg.ref ~= nil and self.watches[msg.ref]
  if not watch then return end
  self.watches[msg.ref] = nil
  if watch.what == "starter" then return starter_down(self, watch, msg) end
  peer_down(self, watch, msg)
end

function messages_from_others.reply(self, msg)
  local from = msg.ref ~= nil and self.asked[msg.ref]
  if not from then return end
  self.asked[msg.ref] = nil
  if type(msg[1]) ~= "string" then
    return core.reply(from, false, "not_found")
  end
  terminate(self, msg[1], from)
end

local function is_connected(node)
  return sets.of(core.nodes())[node] == true
end

function messages_from_others.nodeup(self, msg)
  if is_connected(msg.node) then self:meet(msg.node) end
end

function messages_from_others.nodedown(self, msg)
  local info = msg.info
  if type(msg.node) ~= "string" or type(info) ~= "table"
    or is_connected(msg.node) then
    return
  end
  local reason = info.reason
  self.down_reasons[msg.node] = reason
  if GIVEN_UP[reason] then return self.dist:given_up(msg.node) end
  self.dist:node_down(msg.node, PROOF[reason] or false)
end

--- This node runs children from now on, or none.
function messages.set_hosts(self) self.dist:set_hosts(self:is_host()) end

--- The source of its nodes has answered.
function messages.nodes(self, msg)
  self.view.nodes = msg.nodes
  self.dist:set_hosts(self:is_host())
end

function messages.tick(self)
  self.tick_at = nil
  self.dist:tick()
end

messages.drain_overdue = moves.drain_overdue
messages.look_at_held = held.look_again
messages.ask_for, messages.look_for_idle = entities.ask_for, entities.look

function messages_from_others.EXIT(self, msg)
  listeners.ended(self.listeners, msg.from, msg.reason)
end

-- What changes both the machine and the view is not broken off between the two.
local function take(self, msg)
  local handler = handler_of(self, msg, messages, messages_from_others)
  self.may_wait = handler == messages.started
  if not self.may_wait then catch_up(self) end
  if not handler then return end
  if msg.key == self.view.key then
    core.unbroken(guarded, self, handler, msg)
  else
    guarded(self, handler, msg)
  end
end

function Coordinator:handle_cast(msg)
  take(self, msg)
  return self:go_on()
end

function Coordinator:handle_info(msg)
  take(self, msg)
  return self:go_on()
end

-- --- the end -----------------------------------------------------------------

local function in_good_order(reason)
  local code = type(reason) == "table" and reason[1] or reason
  return code == "normal" or code == "shutdown"
end

-- The parent of the children has ended, and they with it.
local function end_all(self)
  for _, child in ipairs(sets.sorted(self.view.running)) do
    self.view.running[child] = nil
    self.dist:exited(child, "killed")
  end
end

-- Until no child runs here any more and the others know it. Requests that come
-- meanwhile are served by those.
local function leave(self, reason)
  local watch = core.monitor(self.processes)
  core.server.receive_all()
  self.dist:leave(reason)
  for _, child in ipairs(sets.sorted(self.starters)) do
    starts.give_up(self, child)
    self.dist:exited(child, "shutdown")
  end
  carry_out(self)
  while not self.dist:has_left() do
    local msg = core.receive()
    local tag = type(msg) == "table" and msg.tag
    if tag == "$call" then
      guarded(self, self.handle_call, msg.msg, msg.from)
    elseif tag == "DOWN" and msg.ref == watch then
      end_all(self)
      carry_out(self)
    else
      take(self, tag == "$cast" and msg.msg or msg)
      carry_out(self)
    end
  end
end

-- Where the parent of the children crashed, the tree begins again: that is no
-- leaving. The last one to leave keeps what should run, for the one that is
-- started after it; any other is a newcomer then.
function Coordinator:terminate(reason)
  local leaves = in_good_order(reason) and core.is_alive(self.processes)
  if leaves then leave(self, reason) end
  local returns = not leaves or self.dist:is_last()
  self.dist:detach()
  listeners.close(self.listeners)
  if not returns then views.close(self.view) end
  if leaves then
    self.view.left = true
    core.unbroken(held.close, self.view)
  end
end

return Coordinator
