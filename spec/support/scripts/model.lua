--- A model of the processes of one node and of their signals. Each process
-- updates the model in the step in which it does something, and the model is
-- compared with the node after every step.
--
-- A member stands for a process. It has a queue for each sender: signals
-- between two processes keep their order, signals of different senders have
-- none. When a process ends, another one that has several relations to it gets
-- several messages (an EXIT and two DOWNs, say). They are a batch, whose order
-- is free.
--
-- A process may not return from an operation, because that ends it. So before
-- the operation it sets `intent`, a function that updates the model. It is
-- called when the operation returns, or when the process has taken a step and
-- is dead.

local core = require "banyan.core"
local play = require "banyan.lockstep.play"

local MOST_BEATS = 5 -- of an interval

local Model = {}
Model.__index = Model

--- Makes a model for the current run, and compares it after every step.
function Model.new()
  local model = setmetatable({
    members = {},  -- in the order in which they were spawned
    by_pid = {},
    by_actor = {},
    names = {},    -- name -> member
    timers = {},   -- id -> timer
    pending = {},  -- those that may fire
    ids = 0,
    control = play.world("a model").control,
  }, Model)
  play.world("a model"):invariant("the model", function()
    return model:check()
  end)
  return model
end

local function describe(reason)
  if type(reason) ~= "table" then return tostring(reason) end
  return ("{%s, %s}"):format(tostring(reason[1]), tostring(reason[2]))
end

--- Records what is wrong; the run fails after this step.
function Model:wrong(text, ...)
  self.problem = self.problem or text:format(...)
end

function Model:next_id()
  self.ids = self.ids + 1
  return self.ids
end

-- --- members -----------------------------------------------------------------

--- Makes a member, whose pid is not known yet.
function Model:new_member()
  return {
    number = #self.members + 1, alive = true, links = {},
    monitors = {}, watchers = {}, queues = {}, waiting = 0,
  }
end

--- A member has been spawned.
function Model:spawned(member, pid)
  member.pid = pid
  self.members[#self.members + 1] = member
  self.by_pid[pid] = member
  self.by_actor[self.control:actor(pid)] = member
end

-- --- messages under way ------------------------------------------------------

--- `mail` has been sent to a member by `from`, a member or a timer.
function Model.sent(_, from, to, mail)
  if not to.alive then return end
  local queue = to.queues[from]
  if not queue then
    queue = {}
    to.queues[from] = queue
  end
  queue[#queue + 1] = mail
  to.waiting = to.waiting + 1
end

local function drop(member, from, i)
  member.waiting = member.waiting - 1
  return table.remove(member.queues[from], i)
end

local function matches(mail, wanted)
  for key, value in pairs(wanted) do
    if mail[key] ~= value then return false end
  end
  return true
end

--- A member has received a message of `from` that has the fields of `wanted`.
-- `kind`: it received by matching, so messages of other kinds may be before it.
function Model:received(member, from, wanted, kind)
  local queue = member.queues[from] or {}
  for i, mail in ipairs(queue) do
    if matches(mail, wanted) then
      for j = 1, i - 1 do
        local before = queue[j]
        local together = before.batch and before.batch == mail.batch
        if not together and (not kind or before.kind == kind) then
          self:wrong("%d got %s %s before %s %s", member.number, mail.kind,
            tostring(mail.id), before.kind, tostring(before.id))
        end
      end
      return drop(member, from, i)
    end
  end
  self:wrong("%d got what nobody had sent it: %s %s of %s", member.number,
    wanted.kind, tostring(wanted.id or wanted.reason),
    tostring(type(from) == "table" and from.number or from))
end

--- A member found its mailbox empty (of that kind).
function Model:empty(member, kind)
  for _, sender in ipairs(self.members) do
    for _, mail in ipairs(member.queues[sender] or {}) do
      if not kind or mail.kind == kind then
        self:wrong("%d did not find %s %s", member.number, mail.kind,
          tostring(mail.id or mail.reason))
      end
    end
  end
end

-- --- signals -----------------------------------------------------------------

--- The end of a member.
function Model:ended(member, reason)
  if not member.alive then return end
  member.alive, member.intent, member.reason = false, nil, reason
  if member.name then self.names[member.name] = nil end
  local batch = self:next_id()
  for _, other in ipairs(self.members) do
    if member.links[other] then
      other.links[member] = nil
      self:signal(member, other, reason, true, batch)
    end
    for ref, target in pairs(member.monitors) do
      target.watchers[ref] = nil
    end
  end
  for ref, watch in pairs(member.watchers) do
    watch.by.monitors[ref] = nil
    self:sent(member, watch.by, { kind = "down", ref = ref,
      what = watch.what, reason = describe(reason), batch = batch })
  end
end

--- An exit signal, by Erlang's rules.
function Model:signal(from, to, reason, linked, batch)
  if not to.alive then return end
  if reason == "kill" and not linked then
    self:ended(to, "killed")
  elseif to.traps then
    self:sent(from, to, { kind = "exit", reason = describe(reason),
      batch = batch })
  elseif reason ~= "normal" or from == to then
    self:ended(to, reason)
  end
end

function Model:linked(a, b)
  if a == b then return end
  if b.alive then
    a.links[b], b.links[a] = true, true
  else
    self:signal(b, a, "noproc", true)
  end
end

function Model.unlinked(_, a, b)
  a.links[b], b.links[a] = nil, nil
end

--- `what` is the argument of monitor, a pid or a name; `target` its process, or
-- nil.
function Model:monitored(member, ref, target, what)
  if target and target.alive then
    if target == member then return end
    member.monitors[ref] = target
    target.watchers[ref] = { by = member, what = what }
  else
    self:sent(target or member, member, { kind = "down", ref = ref,
      what = what, reason = "noproc" })
  end
end

function Model:demonitored(member, ref, flush)
  local target = member.monitors[ref]
  if target then
    member.monitors[ref] = nil
    target.watchers[ref] = nil
  end
  if not flush then return end
  for _, sender in ipairs(self.members) do
    for i, mail in ipairs(member.queues[sender] or {}) do
      if mail.ref == ref then
        drop(member, sender, i)
        return
      end
    end
  end
end

-- --- names and timers --------------------------------------------------------

function Model:registered(member, name)
  self.names[name], member.name = member, name
end

function Model:unregistered(name)
  local member = self.names[name]
  if member then self.names[name], member.name = nil, nil end
end

--- A timer is to send its id to a member.
function Model:set_timer(id, to, due)
  local timer = { id = id, to = to, due = due, gone = not to.alive }
  self.timers[id] = timer
  self.pending[#self.pending + 1] = timer
end

--- A timer is to send its id to a member again and again.
function Model:set_interval(id, ref, to, due, every)
  self:set_timer(id, to, due)
  local timer = self.timers[id]
  timer.ref, timer.every, timer.beats = ref, every, 0
end

-- The timer has fired: its message is under way.
local function fire(model, timer)
  if timer.every then
    timer.due = timer.due + timer.every
    timer.beats = timer.beats + 1
  else
    timer.fired = true
  end
  model:sent(timer, timer.to, { kind = "timer", id = timer.id })
end

-- An interval was cancelled; it ends with the member that it is for, and never
-- before.
local function interval_cancelled(model, timer, left, now)
  local ended = timer.gone or not timer.to.alive
  if left and ended then
    model:wrong("interval %d went on after its end", timer.id)
  elseif not left and not ended then
    model:wrong("interval %d could not be cancelled", timer.id)
  elseif left and timer.due == now and left == timer.every then
    fire(model, timer)
  elseif left and left ~= timer.due - now then
    model:wrong("interval %d had %d ms left, not %d", timer.id,
      timer.due - now, left)
  end
  timer.gone = true
end

--- cancel_timer answered `left`.
function Model:cancelled(id, left, now)
  local timer = self.timers[id]
  if timer.every then
    interval_cancelled(self, timer, left, now)
  elseif left then
    if timer.fired or timer.gone then
      self:wrong("timer %d was cancelled after it had fired", id)
    elseif not timer.to.alive then
      self:wrong("timer %d outlived the process that it was for", id)
    elseif left ~= timer.due - now then
      self:wrong("timer %d had %d ms left, not %d", id, timer.due - now, left)
    end
    timer.gone = true
  elseif not timer.gone and not timer.fired then
    if not timer.to.alive then
      timer.gone = true
      return
    end
    if timer.due > now then
      self:wrong("timer %d could not be cancelled before it was due", id)
    end
    fire(self, timer)
  end
end

--- A member received what a timer sent.
function Model:timer_came(member, id, now, kind)
  local timer = self.timers[id]
  if not timer or timer.to ~= member then
    return self:wrong("%d got a timer that is not its own", member.number)
  end
  if timer.every then
    local queue = member.queues[timer]
    local none = not queue or #queue == 0
    if none and not timer.gone and timer.due <= now then fire(self, timer) end
    return self:received(member, timer, { kind = "timer", id = id }, kind)
  end
  if timer.gone then
    return self:wrong("timer %d fired twice, or after it was cancelled", id)
  end
  if timer.due > now then self:wrong("timer %d fired too early", id) end
  if not timer.fired then fire(self, timer) end
  timer.gone = true
  self:received(member, timer, { kind = "timer", id = id }, kind)
end

-- --- comparing ---------------------------------------------------------------

-- Calls the intent of a process that has just taken its last step.
local function apply_intent(model)
  local _, _, actor = model.control:last()
  local member = model.by_actor[actor]
  if member and member.alive and member.intent
    and not core.is_alive(member.pid) then
    local intent = member.intent
    member.intent = nil
    intent()
  end
end

-- A strategy that is not fair may let time pass for ever before any process has
-- its turn; so the model itself ends an interval that has sent much.
local function end_interval(model, timer, now)
  if not timer.beats or timer.beats < MOST_BEATS or timer.gone then return end
  interval_cancelled(model, timer, core.cancel_timer(timer.ref), now)
end

local function pass_time(model, now)
  for i = #model.pending, 1, -1 do
    local timer = model.pending[i]
    timer.gone = timer.gone or not timer.to.alive
    while not timer.fired and not timer.gone and timer.due < now do
      fire(model, timer)
    end
    end_interval(model, timer, now)
    if timer.fired or timer.gone then table.remove(model.pending, i) end
  end
end

-- The number of timers that are due now, and may have fired or not.
local function undecided(model, member, now)
  local count = 0
  for _, timer in ipairs(model.pending) do
    if not timer.gone and not timer.fired and timer.due == now
      and timer.to == member then
      count = count + 1
    end
  end
  return count
end

local function count_of(set)
  local count = 0
  for _ in pairs(set) do count = count + 1 end
  return count
end

local function same_links(model, member, list)
  for _, pid in ipairs(list) do
    local other = model.by_pid[pid]
    if not other or not member.links[other] then return false end
  end
  return #list == count_of(member.links)
end

-- What is wrong with a process that should be alive, or nil.
local function compare(model, member, now)
  local info = core.process_info(member.pid)
  if not info then return "has ended" end
  local most = member.waiting + undecided(model, member, now)
  local slack = member.receiving and 1 or 0
  if info.message_queue_len < member.waiting - slack
    or info.message_queue_len > most + slack then
    return ("has %d messages, not %d to %d"):format(info.message_queue_len,
      member.waiting, most)
  end
  if not same_links(model, member, info.links) then
    return ("has %d links, not %d, or others"):format(#info.links,
      count_of(member.links))
  end
  if #info.monitors ~= count_of(member.monitors) then
    return ("monitors %d, not %d"):format(#info.monitors,
      count_of(member.monitors))
  end
  if #info.monitored_by ~= count_of(member.watchers) then
    return ("is monitored by %d, not %d"):format(#info.monitored_by,
      count_of(member.watchers))
  end
  if info.registered_name ~= member.name then
    return ("is called %s, not %s"):format(tostring(info.registered_name),
      tostring(member.name))
  end
end

local function names_differ(model)
  local names = core.registered()
  for _, name in ipairs(names) do
    if not model.names[name] then return true end
  end
  return #names ~= count_of(model.names)
end

--- Compares the model with the node: the invariant.
---@return boolean, string|nil
function Model:check()
  local now = core.now()
  apply_intent(self)
  pass_time(self, now)
  if self.problem then return false, self.problem end
  for _, member in ipairs(self.members) do
    local why
    if member.alive then
      why = compare(self, member, now)
    elseif not member.checked then
      member.checked = true
      if core.is_alive(member.pid) then why = "lives" end
    end
    if why then return false, ("process %d %s"):format(member.number, why) end
  end
  if names_differ(self) then return false, "the names are others" end
  return true
end

Model.describe = describe

return Model
