--- Random processes that send, link, monitor, register, start timers, await
-- each other and end, with a model of the result.

local banyan = require "banyan"
local lockstep = require "banyan.lockstep"
local Model = require "spec.support.scripts.model"

local choose = lockstep.choose

local FIRST, MOST = 3, 8 -- processes
local OPERATIONS = 30    -- of one, at most
local NAMES = { "red", "blue" }
local REASONS = { "normal", "shutdown", "gone", "kill" }

local function one_of(list) return list[choose(#list)] end

-- Does `operation`; `intent` then makes the same change in the model.
local function act(me, intent, operation, ...)
  me.intent = intent
  local a, b = operation(...)
  me.intent = nil
  intent(a, b)
  return a, b
end

-- --- receiving ---------------------------------------------------------------

local function sender_of(model, message)
  if message.tag == "EXIT" then return model.by_pid[message.from] end
  if type(message.pid) == "string" then
    return model.refs[message.ref]
  end
  return model.by_pid[message.pid]
end

local function got(model, me, message, kind)
  if message.timer then
    model:timer_came(me, message.timer, banyan.now(), kind)
  elseif message.tag == "EXIT" then
    model:received(me, sender_of(model, message),
      { kind = "exit", reason = Model.describe(message.reason) }, kind)
  elseif message.tag == "DOWN" then
    model:received(me, sender_of(model, message), { kind = "down",
      ref = message.ref, what = message.pid,
      reason = Model.describe(message.reason) }, kind)
  else
    model:received(me, message.from, { kind = "message", id = message.id },
      kind)
  end
end

local function is_message(message) return message.id ~= nil end

local function receive(model, me, timeout, match)
  local began = banyan.now()
  local kind = match and "message"
  me.receiving = true
  local message, why
  if match then
    message, why = banyan.receive(match, timeout)
  else
    message, why = banyan.receive(timeout)
  end
  me.receiving = false
  if message then
    got(model, me, message, kind)
  elseif why ~= "timeout" then
    model:wrong("receive answered %s", tostring(why))
  elseif timeout == 0 then
    model:empty(me, kind)
  elseif banyan.now() < began + timeout then
    model:wrong("a receive of %d ms timed out too early", timeout)
  end
  return message
end

-- --- operations --------------------------------------------------------------

local ops = {}
local run_member

function ops.send(model, me)
  local to, id = one_of(model.members), model:next_id()
  act(me, function() model:sent(me.number, to, { kind = "message", id = id })
  end, banyan.send, to.pid, { from = me.number, id = id })
end

function ops.send_to_name(model, me)
  local name, id = one_of(NAMES), model:next_id()
  act(me, function(ok, why)
    local to = model.names[name]
    if (ok == nil) ~= (to == nil) or (not to and why ~= "noproc") then
      model:wrong("send to a name answered %s", tostring(ok))
    end
    if to then model:sent(me.number, to, { kind = "message", id = id }) end
  end, banyan.send, name, { from = me.number, id = id })
end

function ops.receive(model, me) receive(model, me, 0) end
function ops.wait(model, me) receive(model, me, choose(4)) end
function ops.receive_some(model, me)
  receive(model, me, choose(4) - 1, is_message)
end

function ops.drain(model, me)
  repeat until not receive(model, me, 0)
end

function ops.link(model, me)
  local to = one_of(model.members)
  act(me, function() model:linked(me, to) end, banyan.link, to.pid)
end

function ops.unlink(model, me)
  local to = one_of(model.members)
  act(me, function() model:unlinked(me, to) end, banyan.unlink, to.pid)
end

local function note_ref(model, me, ref)
  me.refs[#me.refs + 1] = ref
  model.refs[ref] = me
end

function ops.monitor(model, me)
  local to = one_of(model.members)
  act(me, function(ref)
    note_ref(model, me, ref)
    model:monitored(me, ref, to, to.pid)
  end, banyan.monitor, to.pid)
end

function ops.monitor_name(model, me)
  local name = one_of(NAMES)
  act(me, function(ref)
    local to = model.names[name]
    note_ref(model, me, ref)
    model:monitored(me, ref, to, name)
    if to then model.refs[ref] = to end
  end, banyan.monitor, name)
end

function ops.demonitor(model, me)
  if #me.refs == 0 then return end
  local ref, flush = one_of(me.refs), choose(2) == 2
  act(me, function() model:demonitored(me, ref, flush) end,
    banyan.demonitor, ref, { flush = flush })
end

function ops.trap(_, me)
  me.traps = choose(3) ~= 1
  banyan.trap_exit(me.traps)
end

function ops.exit(model, me)
  local to, reason = one_of(model.members), one_of(REASONS)
  act(me, function() model:signal(me, to, reason, false) end, to.pid.exit,
    to.pid, reason)
end

function ops.register(model, me)
  local name = one_of(NAMES)
  act(me, function(ok)
    local free = not model.names[name] and not me.name
    if (ok == true) ~= free then
      model:wrong("register answered %s, but the name is %s", tostring(ok),
        free and "free" or "taken")
    end
    if ok then model:registered(me, name) end
  end, banyan.register, name)
end

function ops.unregister(model, me)
  local name = one_of(NAMES)
  act(me, function() model:unregistered(name) end, banyan.unregister, name)
end

function ops.whereis(model, me)
  local name = one_of(NAMES)
  act(me, function(pid)
    local owner = model.names[name]
    if pid ~= (owner and owner.pid) then
      model:wrong("whereis answered %s", tostring(pid))
    end
  end, banyan.whereis, name)
end

function ops.send_after(model, me)
  local to, ms, id = one_of(model.members), choose(8) - 1, model:next_id()
  act(me, function(ref)
    model:set_timer(id, to, banyan.now() + ms)
    me.timers[#me.timers + 1] = { id = id, ref = ref }
  end, banyan.send_after, ms, to.pid, { timer = id })
end

function ops.cancel_timer(model, me)
  if #me.timers == 0 then return end
  local timer = one_of(me.timers)
  act(me, function(left) model:cancelled(timer.id, left, banyan.now()) end,
    banyan.cancel_timer, timer.ref)
end

function ops.send_interval(model, me)
  local to, ms, id = one_of(model.members), choose(4), model:next_id()
  act(me, function(ref)
    model:set_interval(id, ref, to, banyan.now() + ms, ms)
    me.timers[#me.timers + 1] = { id = id, ref = ref }
  end, banyan.send_interval, ms, to.pid, { timer = id })
end

-- A `done` may be called before its wait, in it and after it, by anybody, once
-- more, and when its process has ended. The first value given counts.
local function give(entry, value)
  if not entry.over and entry.given == nil then entry.given = value end
end

function ops.await(model, me)
  local entry, ms, began = {}, choose(5) - 1, banyan.now()
  local value, why = banyan.await(function(done)
    entry.done = done
    model.awaits[#model.awaits + 1] = entry
    if choose(4) == 1 then
      local own = model:next_id()
      act(me, function() give(entry, own) end, done, own)
    end
  end, ms)
  entry.over = true
  if value ~= entry.given then
    model:wrong("an await was answered %s, but it was given %s",
      tostring(value), tostring(entry.given))
  elseif value == nil and why ~= "timeout" then
    model:wrong("an await answered %s", tostring(why))
  elseif value == nil and banyan.now() < began + ms then
    model:wrong("an await of %d ms timed out too early", ms)
  end
end

function ops.done(model, me)
  if #model.awaits == 0 then return end
  local entry, value = one_of(model.awaits), model:next_id()
  act(me, function() give(entry, value) end, entry.done, value)
end

local function spawn(model, me, how, tie)
  if #model.members >= MOST then return end
  local member = model:new_member()
  act(me, function(pid, ref)
    model:spawned(member, pid)
    tie(member, ref)
  end, how, function() run_member(model, member) end)
end

function ops.spawn(model, me) spawn(model, me, banyan.spawn, function() end) end
function ops.spawn_link(model, me)
  spawn(model, me, banyan.spawn_link, function(child)
    model:linked(me, child)
  end)
end
function ops.spawn_monitor(model, me)
  spawn(model, me, banyan.spawn_monitor, function(child, ref)
    note_ref(model, me, ref)
    model:monitored(me, ref, child, child.pid)
  end)
end

function ops.sleep() banyan.sleep(choose(4) - 1) end

function ops.crash(model, me)
  if choose(3) == 1 then return end
  me.intent = function() model:ended(me, { "error", me.number }) end
  error(me.number, 0)
end

function ops.leave(model, me)
  if choose(3) == 1 then return end
  local reason = one_of(REASONS)
  me.intent = function() model:ended(me, reason) end
  banyan.exit(reason)
end

local BAG = {
  "send", "receive", "link", "monitor", "exit", "drain", "trap", "send",
  "unlink", "demonitor", "register", "wait", "send_after", "cancel_timer",
  "receive_some", "whereis", "unregister", "monitor_name", "send_to_name",
  "spawn", "spawn_link", "spawn_monitor", "sleep", "crash", "leave", "link",
  "monitor", "exit", "drain", "send_interval", "cancel_timer", "await", "done",
  "done",
}

-- --- running -----------------------------------------------------------------

function run_member(model, me)
  me.refs, me.timers = {}, {}
  for _ = 1, choose(OPERATIONS) do ops[one_of(BAG)](model, me) end
  ops.drain(model, me)
  me.intent = function() model:ended(me, "normal") end
end

--- The body; run it with `settle`.
return function()
  local model = Model.new()
  model.refs, model.awaits = {}, {}
  for _ = 1, FIRST do
    local member = model:new_member()
    model:spawned(member,
      banyan.spawn(function() run_member(model, member) end))
  end
end
