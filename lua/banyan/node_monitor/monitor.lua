-- The server behind banyan.node_monitor.
--
-- What should be is compared with what is: `settle` tells the callbacks what
-- they do not know yet, whatever the cause. `turn` is a ref that stands for the
-- one thing that is waited for, the answer of a source or the next tick. It is
-- another one each time, so what comes too late belongs to no turn and is
-- dropped: the answer of a source that is not this monitor's any more, a
-- time limit that the answer has overtaken, a tick of an earlier source.

local core = require "banyan.core"
local announcer = require "banyan.node_monitor.announcer"
local memories = require "banyan.node_monitor.memory"
local options = require "banyan.node_monitor.options"
local server = require "banyan.server"
local sets = require "banyan.sets"
local source = require "banyan.node_monitor.source"

local Monitor = { name = "banyan.node_monitor" }

-- A function cannot come from another node: who shows this one is here.
local KEY = function() end
Monitor.KEY = KEY

local JITTER = 0.1 -- of refresh_ms, either way

local function is_connected(node)
  return sets.of(core.nodes())[node] == true
end

-- --- what the callbacks are told --------------------------------------------

local function is_up(self, node)
  local memory = self.memory
  if memory.all then return memory.connected[node] == true end
  if not memory.managed[node] then return false end
  if memory.connected[node] then return true end
  return self.opts.announce == "managed" and not memory.lost[node]
end

local function note_announcer(self, watch)
  if watch then self.announcer_watch = watch end
end

local function announce(self, callback, node, info)
  note_announcer(self, announcer.tell(self.memory, self.label, callback,
    self.opts[callback], node, info))
end

local function settle_now(self, node, info)
  local told, up = self.memory.told, is_up(self, node)
  if up and not told[node] then
    told[node] = true
    announce(self, "on_node_up", node, info or {})
  elseif not up and told[node] then
    told[node] = nil
    announce(self, "on_node_down", node, info or {
      reason = self.memory.managed[node] and "noconnection" or "removed",
    })
  end
end

-- What is told and what is known to be told are not broken off between.
local function settle_node(self, node, info)
  core.unbroken(settle_now, self, node, info)
end

-- Of all nodes: those that are up now, then those that are not.
local function settle(self)
  local memory = self.memory
  for _, node in ipairs(sets.sorted(memory.all and memory.connected
      or memory.managed)) do
    if is_up(self, node) then settle_node(self, node) end
  end
  for _, node in ipairs(sets.sorted(memory.told)) do settle_node(self, node) end
end

-- --- the set ----------------------------------------------------------------

-- The node dials what is in the set for as long as it is.
local function dial(node, listed)
  if core.node_name() then core.list_node(node, listed) end
end

local function dial_all(self, listed)
  for _, node in ipairs(sets.sorted(self.memory.managed)) do
    dial(node, listed)
  end
end

-- nil: every node that is connected.
local function take_set(self, list)
  local memory, managed = self.memory, sets.of(list)
  managed[core.node_name() or ""] = nil
  for _, node in ipairs(sets.sorted(memory.managed)) do
    if not managed[node] then
      memory.lost[node] = nil
      dial(node, false)
    end
  end
  memory.all, memory.managed = list == nil, managed
  dial_all(self, true)
  settle(self)
end

-- Nodes of an answer that there is an objection to: it may be gone as soon as
-- they are reached. They are dialled until the next answer.
local function consider(self, list)
  local before, managed = self.considered, self.memory.managed
  self.considered = sets.of(list)
  for _, node in ipairs(list) do dial(node, true) end
  for _, node in ipairs(sets.sorted(before)) do
    if not (self.considered[node] or managed[node]) then dial(node, false) end
  end
end

-- --- the source -------------------------------------------------------------

local function next_ms(self)
  self.seed = self.seed * 16807 % 2147483647
  local ms = self.opts.refresh_ms
  return math.max(1, math.floor(ms * (1 - JITTER)
    + 2 * JITTER * ms * self.seed / 2147483647 + 0.5))
end

local function await_tick(self)
  self.turn = core.make_ref()
  self.timer = core.send_after(next_ms(self), self.me,
    { tag = "tick", turn = self.turn })
end

-- Nothing that is under way counts from now on.
local function break_off(self)
  if self.timer then core.cancel_timer(self.timer) end
  if self.asked then self.asked:exit("kill") end
  self.timer, self.asked, self.turn = nil, nil, nil
end

local function ask(self)
  self.turn = core.make_ref()
  self.asked = source.ask(self.opts.source, self.turn)
  self.timer = core.send_after(self.opts.timeout_ms, self.me,
    { tag = "source_overdue", turn = self.turn })
end

-- Those who wait for the first answer of a source.
local function let_go(self)
  local waiting = self.waiting
  self.waiting = {}
  for _, from in ipairs(waiting) do core.reply(from, true) end
end

-- Answers the set that is taken then, if any.
local function failed(self, reason)
  self.failures, self.error = self.failures + 1, reason
  core.event("node_source_failed", {
    monitor = not self.supervisor and self.label or nil,
    supervisor = self.supervisor, reason = reason, failures = self.failures,
  })
  return self.opts.on_error == "empty" and {} or nil
end

local function answered(self, nodes, reason)
  break_off(self)
  local considered = {}
  if nodes and self.objection and self.opts.on_error == "keep" then
    reason = self.objection(nodes)
    if reason then considered = nodes end
  end
  if reason == nil then
    self.failures, self.error, self.refreshed_at = 0, nil, core.now()
  else
    nodes = failed(self, reason)
  end
  if nodes then take_set(self, nodes) end
  consider(self, considered)
  if self.on_answer then self.on_answer(nodes) end
  await_tick(self)
  let_go(self)
end

-- Another source, from now on.
local function begin(self)
  break_off(self)
  self.failures, self.error, self.refreshed_at = 0, nil, nil
  if self.opts.source then return ask(self) end
  take_set(self, self.opts.nodes and source.ordered(self.opts.nodes))
  if self.opts.nodes then await_tick(self) end
  let_go(self)
end

-- --- the server -------------------------------------------------------------

-- Different on each node, and for each process.
local function seed_of(text)
  local seed = 1
  for i = 1, #text do seed = (seed * 31 + text:byte(i)) % 2147483646 end
  return seed + 1
end

-- What was connected when the process before crashed, and is not now, is lost.
local function look_around(memory)
  local before = memory.connected
  memory.connected = sets.of(core.nodes())
  for node in pairs(before) do
    if not memory.connected[node] and memory.managed[node] then
      memory.lost[node] = true
    end
  end
  for node in pairs(memory.connected) do memory.lost[node] = nil end
end

--- `arg`: opts; key, of its memory, or nil; label, for events. Of a distributed
-- supervisor's also: supervisor, its name; last, the set of before, or nil;
-- first, {nodes=} or {reason=}, where the source has been asked already;
-- objection(nodes), which says what is wrong with an answer, or nothing;
-- on_answer(nodes), called each time that the source has answered, with what is
-- the set from now on, this node included, or that has failed, with nil.
function Monitor:init(arg)
  core.trap_exit(true)
  self.me, self.label = core.self(), arg.label or core.self()
  self.supervisor, self.objection = arg.supervisor, arg.objection
  self.on_answer, self.waiting, self.failures = arg.on_answer, {}, 0
  self.considered = {}
  self.seed = seed_of(tostring(self.me) .. tostring(core.node_name()))
  local memory = memories.open(arg.key)
  self.memory = memory
  self.opts = options.complete(memory.changes
    and options.changed(arg.opts, memory.changes) or arg.opts)
  core.monitor_nodes(true)
  look_around(memory)
  note_announcer(self, announcer.resume(memory, self.label))
  if arg.last then take_set(self, arg.last) end
  if self.opts.source then settle(self) end
  local first = arg.first
  if first and (first.nodes or first.reason) then
    return answered(self, first.nodes, first.reason)
  end
  begin(self)
end

local calls = {}

function calls.status(self)
  local memory, opts = self.memory, self.opts
  local refreshed = self.refreshed_at
  return {
    source = opts.source and "callback" or opts.nodes and "static" or "all",
    managed = sets.sorted(memory.all and memory.connected or memory.managed),
    up = calls.nodes(self),
    failures = self.failures, error = self.error,
    refreshed_ms = refreshed and core.now() - refreshed,
  }
end

function calls.nodes(self)
  local up = {}
  for _, node in ipairs(sets.sorted(self.memory.connected)) do
    if self.memory.all or self.memory.managed[node] then up[#up + 1] = node end
  end
  return up
end

local calls_from_here = {}

local function when_answered(self, from)
  if not self.asked then return true end
  self.waiting[#self.waiting + 1] = from
  return server.noreply
end

function calls_from_here.await(self, _, from)
  return when_answered(self, from)
end

function calls_from_here.reconfigure(self, msg, from)
  local memory = self.memory
  memory.changes = options.changed(memory.changes or {}, msg.opts)
  self.opts = options.complete(options.changed(self.opts, msg.opts))
  begin(self)
  return when_answered(self, from)
end

function Monitor:handle_call(msg, from)
  local tag = type(msg) == "table" and msg.tag
  local handler = calls[tag] or msg.key == KEY and calls_from_here[tag]
  if not handler then return nil, "unknown_call" end
  return handler(self, msg, from)
end

local infos = {}

function infos.tick(self)
  self.timer = nil
  if self.opts.source then return ask(self) end
  dial_all(self, true)
  await_tick(self)
end

function infos.answer(self, msg)
  self.asked = nil -- it ends by itself
  answered(self, msg.nodes, msg.reason)
end

function infos.source_overdue(self) answered(self, nil, "timeout") end

local messages = {}

function messages.EXIT(self, msg)
  if self.asked and msg.from == self.asked then
    answered(self, nil, msg.reason)
  end
end

function messages.DOWN(self, msg)
  if msg.ref ~= self.announcer_watch then return end
  self.announcer_watch = nil
  note_announcer(self, announcer.ended(self.memory, self.label, msg.reason))
end

-- Where a node was lost and is back already, the callbacks hear of both: it
-- may be another life. What is said of a node is looked at again, so that
-- nobody but the node itself can say so.

function messages.nodeup(self, msg)
  if not is_connected(msg.node) then return end
  self.memory.connected[msg.node] = true
  self.memory.lost[msg.node] = nil
  settle_node(self, msg.node, msg.info)
end

function messages.nodedown(self, msg)
  local memory, node = self.memory, msg.node
  if type(node) ~= "string" or type(msg.info) ~= "table" then return end
  memory.connected[node] = nil
  if memory.managed[node] then memory.lost[node] = true end
  settle_node(self, node, msg.info)
  messages.nodeup(self, { node = node })
end

function Monitor:handle_info(msg)
  local tag = type(msg) == "table" and msg.tag
  if infos[tag] then
    if msg.turn == self.turn and self.turn then infos[tag](self, msg) end
  elseif messages[tag] then
    messages[tag](self, msg)
  end
end

-- Anybody may cast.
function Monitor.handle_cast() end

local function in_good_order(reason)
  local code = type(reason) == "table" and reason[1] or reason
  return code == "normal" or code == "shutdown"
end

function Monitor:terminate(reason)
  if not in_good_order(reason) then return end
  break_off(self)
  consider(self, {})
  dial_all(self, false)
  self.memory.queue = {}
  memories.close(self.memory)
end

return Monitor
