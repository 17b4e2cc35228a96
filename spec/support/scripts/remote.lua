--- Random processes on the nodes of a cluster that send, link, monitor, call
-- and end, under all faults of a network and of nodes. What must hold:
--
--  * messages between two processes arrive in order and once; a message that is
--    missing was sent before the connection broke;
--  * each monitor has one DOWN, and no message of a process arrives after the
--    DOWN of its end;
--  * no EXIT of a removed link arrives, and not more EXITs than links;
--  * the reason "noconnection" is given only if the connection broke or there
--    was none;
--  * a call gets its own reply or fails, and its reply is never a message.

local banyan = require "banyan"
local lockstep = require "banyan.lockstep"
local play = require "banyan.lockstep.play"
local server = require "banyan.server"
local each_life = require "spec.support.scripts.lives"

local choose = lockstep.choose

local NODES, MEMBERS, MOST, OPERATIONS = 3, 5, 9, 14
local GAP_MS, CHAOS_MS, PATIENCE_MS = 1200, 15000, 60000

local run -- the state of the current run

local function one_of(list) return list[choose(#list)] end

local function wrong(text, ...)
  run.problem = run.problem or text:format(...)
end

local function code(reason)
  return type(reason) == "table" and reason[1] or reason
end

-- --- connections -------------------------------------------------------------

-- How often a node saw another go up or down since it started, and whether the
-- other is up.
local function view(node, peer)
  local key = node .. "#" .. run.cluster.lives[node]
  local life = run.views[key] or {}
  run.views[key] = life
  life[peer] = life[peer] or { changes = 0, up = false }
  return life[peer]
end

local function note_events(name, events)
  for _, event in ipairs(events or {}) do
    local up = event.event == "node_up"
    if up or event.event == "node_down" then
      local seen = view(name, event.peer)
      seen.changes, seen.up = seen.changes + 1, up
    elseif event.event == "scheduler_error" then
      wrong("%s: %s", name, tostring(event.reason))
    end
  end
end

-- The same, with the events up to now.
local function look(me, node)
  local site = run.cluster.net.sites[me.node]
  note_events(me.node, site.core:events())
  return view(me.node, node)
end

-- May a connection have broken since `changes`, or was there none?
local function was_cut(me, node, changes)
  if node == me.node then return false end
  local seen = look(me, node)
  return not seen.up or seen.changes ~= changes
end

-- --- echo servers ------------------------------------------------------------

local Echo = {}

function Echo.handle_call(_, message, from)
  local call = run.calls[message.id]
  call.handled = call.handled + 1
  if call.handled > 1 then wrong("call %d was handled twice", message.id) end
  if message.op == "never" then return server.noreply end
  if message.op == "nap" then banyan.sleep(message.ms) end
  if message.op == "later" then
    banyan.spawn(function()
      banyan.sleep(message.ms)
      server.reply(from, message.id)
      server.reply(from, "twice")
    end)
    return server.noreply
  end
  return message.id
end

-- --- messages that arrive ----------------------------------------------------

-- Message `k` of `from` arrived; missing ones must be lost with a connection.
local function got_message(me, from, k)
  local last = me.got[from] or 0
  if k <= last then
    wrong("%d got message %d of %d after %d", me.number, k, from.number, last)
  end
  me.got[from] = k
  if me.ended[from] then
    wrong("%d got a message of %d after its end", me.number, from.number)
  end
  local sent = from.sent[me]
  for missing = last + 1, k - 1 do
    if sent[missing] == sent[k] then
      wrong("%d got message %d of %d, but not %d on the same connection",
        me.number, k, from.number, missing)
    end
  end
end

-- Checks the reason that `me` got for the end of `target`.
local function check_reason(me, target, reason, changes)
  local what = code(reason)
  if what == "noconnection" then
    if not was_cut(me, target.node, changes) then
      wrong("%d heard of no connection to %d, which is there", me.number,
        target.number)
    end
    return
  end
  me.ended[target] = true
  local fine
  if what == "noproc" then
    fine = target.leaves or target.hit
      or target.life ~= run.cluster.lives[target.node]
  elseif what == "gone" then
    fine = target.leaves and reason[2] == target.number
  elseif what == "normal" then
    fine = target.leaves
  else
    fine = target.hit and (what == "killed" or what == "odd")
  end
  if not fine then
    wrong("%d heard that %d ended by %s", me.number, target.number,
      tostring(reason))
  end
end

local function got_down(me, message)
  local monitor = me.monitors[message.ref]
  if not monitor then
    return wrong("%d got a DOWN that is not its own", me.number)
  end
  if monitor.down then wrong("%d got a second DOWN", me.number) end
  if monitor.gone then wrong("%d got a DOWN after demonitor", me.number) end
  monitor.down = true
  check_reason(me, monitor.target, message.reason, monitor.changes)
end

local function got_exit(me, message)
  local from = run.by_pid[message.from]
  if message.reason == "odd" and me.hit then return end
  local mine = me.links[from] or { made = 0, open = false }
  local theirs = from.links[me] or { made = 0 }
  if not mine.open and theirs.made == 0 then
    wrong("%d got an EXIT (%s) of %d, to which it has no link", me.number,
      tostring(message.reason), from.number)
  end
  mine.exits = (mine.exits or 0) + 1
  me.links[from] = mine
  if mine.exits > mine.made + theirs.made then
    wrong("%d got more EXITs of %d than there were links", me.number,
      from.number)
  end
  local changes = theirs.made == 0 and mine.changes
  check_reason(me, from, message.reason, changes)
end

local function got(me, message)
  if message.k then
    got_message(me, run.members[message.from], message.k)
  elseif message.tag == "DOWN" then
    got_down(me, message)
  elseif message.tag == "EXIT" then
    got_exit(me, message)
  elseif message.order then
    me.order = message.order
  else
    wrong("%d got a strange message", me.number)
  end
end

local function drain(me, timeout)
  local message = banyan.receive(timeout)
  while message do
    got(me, message)
    message = banyan.receive(0)
  end
end

-- --- operations --------------------------------------------------------------

local ops = {}

function ops.send(me)
  local to = one_of(run.members)
  local sent = me.sent[to] or {}
  me.sent[to] = sent
  for _ = 1, choose(3) do
    local k = #sent + 1
    sent[k] = -1 -- the message may arrive before send returns
    banyan.send(to.pid, { from = me.number, k = k })
    sent[k] = to.node == me.node and 0 or look(me, to.node).changes
  end
end

function ops.monitor(me)
  local to = one_of(run.members)
  if to == me then return end
  local ref = banyan.monitor(to.pid)
  me.monitors[ref] = { target = to, changes = look(me, to.node).changes }
  me.refs[#me.refs + 1] = ref
end

function ops.demonitor(me)
  if #me.refs == 0 then return end
  local ref = one_of(me.refs)
  banyan.demonitor(ref, { flush = true })
  me.monitors[ref].gone = true
end

function ops.link(me)
  local to = one_of(run.members)
  if to == me then return end
  local link = me.links[to] or { made = 0 }
  me.links[to] = link
  link.made, link.open = link.made + 1, true
  banyan.link(to.pid)
  link.changes = look(me, to.node).changes
end

-- An EXIT that is in the mailbox stays there.
function ops.unlink(me)
  local to = one_of(run.members)
  local link = me.links[to]
  if not link then return end
  banyan.unlink(to.pid)
  local function is_its(message)
    return message.tag == "EXIT" and message.from == to.pid
  end
  local message = banyan.receive(is_its, 0)
  while message do
    got(me, message)
    message = banyan.receive(is_its, 0)
  end
  link.open = false
end

function ops.call(me)
  local node = one_of(run.cluster.nodes)
  run.ids = run.ids + 1
  local id = run.ids
  run.calls[id] = { handled = 0 }
  local op = one_of { "echo", "later", "nap", "never" }
  local ms = op == "never" and 500 or one_of { math.huge, 300, 5000 }
  local changes = look(me, node).changes
  local began = banyan.now()
  local value, why = server.call({ name = "echo", node = node },
    { id = id, op = op, ms = choose(400) }, ms)
  if value == id and run.calls[id].handled == 1 then return end
  local fine = value == nil and (why == "noproc"
    or why == "timeout" and banyan.now() >= began + ms
    or why == "noconnection" and was_cut(me, node, changes))
  if not fine then
    wrong("call %d of %d by %d answered %s, %s", id, ms, me.number,
      tostring(value), tostring(why))
  end
end

function ops.exit(me)
  local to = one_of(run.members)
  if to == me or choose(3) < 3 then return end
  to.hit = true
  to.pid:exit(one_of { "odd", "kill" })
end

function ops.leave(me)
  if choose(3) < 3 then return end
  me.leaves = true
  banyan.exit { "gone", me.number }
end

local BAG = {
  "send", "monitor", "link", "send", "call", "unlink", "demonitor", "send",
  "link", "exit", "leave", "call",
}

-- --- members -----------------------------------------------------------------

-- A process that `me` monitors and that has ended without a DOWN, or nil.
local function misses(me)
  for _, ref in ipairs(me.refs) do
    local monitor = me.monitors[ref]
    local target = monitor.target
    if target.over and not monitor.down and not monitor.gone then
      return target
    end
  end
end

local function report(me)
  local ends = banyan.now() + PATIENCE_MS
  while misses(me) and banyan.now() < ends do drain(me, 500) end
  local target = misses(me)
  if target then
    wrong("%d never heard of the end of %d", me.number, target.number)
  end
end

local function live(me)
  banyan.trap_exit(true)
  me.pid = banyan.self()
  run.members[#run.members + 1] = me
  me.number = #run.members
  run.by_pid[me.pid] = me
  for _ = 1, choose(OPERATIONS) do
    drain(me, choose(GAP_MS))
    if me.order then break end
    ops[one_of(BAG)](me)
  end
  while not me.order do drain(me) end
  if me.order == "report" then report(me) end
  me.leaves = true
end

-- --- the body ----------------------------------------------------------------

local function spawn(node)
  local me = { node = node, life = run.cluster.lives[node], sent = {}, got = {},
    monitors = {}, refs = {}, links = {}, ended = {} }
  run.spawned[#run.spawned + 1] = me
  me.pid = run.cluster:spawn(node, function() live(me) end)
  banyan.send(run.body, { spawned = #run.spawned })
end

-- The body handles the message of a new member, or the DOWN of one.
local function hear(message)
  if message.spawned then
    local me = run.spawned[message.spawned]
    run.watched[banyan.monitor(me.pid)] = me
    return
  end
  local me = run.watched[message.ref]
  if not me then return end
  if me.over then wrong("the body heard twice of %d's end", me.number or 0) end
  me.over = true
end

-- Each node has an echo server.
local function settle_in(node)
  run.cluster:spawn(node, function()
    server.start(Echo, nil, { name = "echo" })
  end)
end

-- Spawns members while there is chaos.
local function populate()
  banyan.sleep(choose(GAP_MS))
  while not run.calm do
    local node = one_of(run.cluster.nodes)
    if #run.spawned < MOST and run.cluster:is_up(node) then spawn(node) end
    banyan.sleep(choose(4 * GAP_MS))
  end
end

local function take_downs(left, ends)
  while left() and banyan.now() < ends do
    local message = banyan.receive(500)
    if message then hear(message) end
  end
  local me = left()
  if me then wrong("the body never heard of the end of %d", me.number or 0) end
end

local function finish(order, which)
  for i, me in ipairs(run.spawned) do
    if which(i) and not me.over then banyan.send(me.pid, { order = order }) end
  end
  take_downs(function()
    for i, me in ipairs(run.spawned) do
      if which(i) and not me.over then return me end
    end
  end, banyan.now() + 2 * PATIENCE_MS)
end

--- The body.
return function()
  run = { members = {}, by_pid = {}, views = {}, calls = {},
    ids = 0, spawned = {}, watched = {}, body = banyan.self() }
  local world = play.world "remote"
  function world.on_events(node, events)
    if run.cluster then note_events(node.name, events) end
  end
  lockstep.invariant(function()
    return run.problem == nil, run.problem
  end, "signals between nodes")
  run.cluster = lockstep.cluster { nodes = NODES }
  each_life(run.cluster, settle_in)
  for _ = 1, MEMBERS do spawn(one_of(run.cluster.nodes)) end
  local _, populates = banyan.spawn_monitor(populate)
  run.cluster:chaos { duration = CHAOS_MS }
  run.calm = true
  repeat
    local message = banyan.receive()
    hear(message)
  until message.ref == populates
  finish("leave", function(i) return i % 2 == 1 end)
  finish("report", function() return true end)
end
