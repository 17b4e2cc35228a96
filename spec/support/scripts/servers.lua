--- Random clients of random servers: calls, casts, plain messages, stops and
-- kills; servers that answer at once, later, twice or never, that nap, crash,
-- continue and time out. Each server has a record of what it did, and each
-- callback compares itself with that.

local banyan = require "banyan"
local core = require "banyan.core"
local lockstep = require "banyan.lockstep"
local server = require "banyan.server"

local choose = lockstep.choose

local SERVERS, CLIENTS, OPERATIONS = 3, 3, 7

local run -- what the run under way knows

local function one_of(list) return list[choose(#list)] end

local function code(reason)
  return type(reason) == "table" and reason[1] or reason
end

local function wrong(text, ...)
  run.problem = run.problem or text:format(...)
end

-- --- the servers -------------------------------------------------------------

local Subject = {}

-- A callback begins; `what` is what it is to be.
local function enter(self, what)
  local s = run.servers[self.number]
  if s.inside then
    wrong("server %d: %s during %s", s.number, what, s.inside)
  end
  if s.terminated then
    wrong("server %d: %s after terminate", s.number, what)
  end
  if s.killed then wrong("server %d: %s after a kill", s.number, what) end
  if s.cause and what ~= "terminate" then
    wrong("server %d: %s instead of its end", s.number, what)
  end
  local continues = what == "continue" or what == "terminate"
  if s.continues and not continues then
    wrong("server %d: %s before continue", s.number, what)
  elseif what == "continue" and not s.continues then
    wrong("server %d: a continue that nobody asked for", s.number)
  end
  if what == "continue" then s.continues = nil end
  s.inside = what
  return s
end

-- A callback returns.
local function leave(s, ...)
  s.inside = nil
  return ...
end

local function continue(s)
  s.continues = true
  return leave(s, server.continue(s.number))
end

-- It ends the server: by what it returns, or raises.
local function ends(s, reason)
  s.cause, s.inside = reason, nil
  return s
end

-- Each client numbers what it sends to a server: all of it comes, in order.
local function in_order(s, message)
  local before = s.seen[message.client] or 0
  if message.number ~= before + 1 then
    wrong("server %d got message %d of client %d after %d", s.number,
      message.number, message.client, before)
  end
  s.seen[message.client] = message.number
end

function Subject:init(number)
  self.number = number
  local s = run.servers[number]
  s.pid = banyan.self()
  run.record[s.pid] = s
  s.traps = choose(2) == 2
  if s.traps then banyan.trap_exit(true) end
  if choose(4) == 4 then return continue(s) end
end

local answers = {}

function answers.echo(s, message) return leave(s, message.id) end

function answers.nap(s, message)
  banyan.sleep(message.ms)
  return leave(s, message.id)
end

function answers.later(s, message, from)
  banyan.spawn(function()
    banyan.sleep(message.ms)
    server.reply(from, message.id)
    server.reply(from, "twice")
  end)
  return leave(s, server.noreply)
end

function answers.never(s) return leave(s, server.noreply) end

function answers.early(s, message, from)
  server.reply(from, message.id)
  return continue(s)
end

function answers.crash(s)
  ends(s, "error")
  error("crash", 0)
end

function answers.exit(s)
  ends(s, "gone")
  banyan.exit { "gone", 1 }
end

function answers.stop(s, message)
  ends(s, "shutdown")
  return server.stop_with("shutdown", message.id)
end

function answers.stop_silently(s)
  ends(s, "odd")
  return server.stop_with { "odd", 1 }
end

function answers.timeout(s, message)
  server.timeout(message.ms)
  s.timeout_at = banyan.now() + message.ms
  return leave(s, message.id)
end

function answers.nested(s, message)
  local other = one_of(run.servers)
  server.call(other.pid, { op = "echo", id = message.id, silent = true }, 3)
  return leave(s, message.id)
end

local function note_timeout(s) s.timeout_at = nil end

function Subject:handle_call(message, from)
  local s = enter(self, "a call")
  note_timeout(s)
  if not message.silent then
    in_order(s, message)
    local call = run.calls[message.id]
    call.handled = call.handled + 1
    if call.handled > 1 then wrong("call %d was handled twice", message.id) end
  end
  return answers[message.op](s, message, from)
end

function Subject:handle_cast(message)
  local s = enter(self, "a cast")
  note_timeout(s)
  in_order(s, message)
  if message.op == "crash" then
    ends(s, "error")
    error("crash", 0)
  end
  if message.op == "continue" then return continue(s) end
  if message.op == "nap" then banyan.sleep(1) end
  return leave(s)
end

function Subject:handle_continue(number)
  local s = enter(self, "continue")
  if number ~= s.number then wrong("a continue of another server") end
  if choose(4) == 4 then return continue(s) end
  return leave(s)
end

function Subject:handle_info(message)
  local s = enter(self, "a message")
  if message == "timeout" then
    if not s.timeout_at then
      wrong("server %d: a timeout that nobody asked for", s.number)
    elseif banyan.now() < s.timeout_at then
      wrong("server %d: its timeout came too early", s.number)
    end
  elseif message.tag == "EXIT" then
    if not s.traps then wrong("server %d does not trap exits", s.number) end
  else
    in_order(s, message)
  end
  note_timeout(s)
  return leave(s)
end

function Subject:terminate(reason)
  local s = run.servers[self.number]
  local asked = s.cause or s.stops[code(reason)] and code(reason)
    or s.parent_ended and code(reason)
  if asked ~= code(reason) then
    wrong("server %d terminates for %s instead of %s", s.number,
      tostring(reason), tostring(asked))
  end
  enter(self, "terminate")
  s.terminated, s.cause = true, code(reason)
  if choose(4) == 4 then banyan.sleep(choose(3)) end
  if choose(8) == 8 then
    s.cause = "error"
    error("in terminate", 0)
  end
end

-- --- the clients -------------------------------------------------------------

-- The next number of what a client sends to a server; counted when it is sent.
local function message_to(me, s, op)
  return { client = me.number, number = (me.sent[s] or 0) + 1, op = op }
end

local function count(me, s) me.sent[s] = (me.sent[s] or 0) + 1 end

local CALLS = {
  "echo", "nap", "later", "never", "early", "timeout", "nested", "crash",
  "exit", "stop", "stop_silently",
}

-- Is this how a call may fail?
local function check_failure(s, call, why, began, ms)
  if why == "timeout" then
    if banyan.now() < began + ms then
      wrong("call %d timed out too early", call.id)
    end
  elseif why == "noproc" then
    if not s.ended then
      wrong("call %d found nobody, but server %d lives", call.id, s.number)
    end
  elseif not s.ended then
    wrong("call %d failed by %s, but server %d lives", call.id,
      tostring(why), s.number)
  elseif code(why) ~= s.reason and s.reason then
    wrong("call %d failed by %s, but server %d ended by %s", call.id,
      tostring(why), s.number, tostring(s.reason))
  end
end

local function check_answer(s, call, op, value)
  if value ~= call.id then
    wrong("call %d was answered %s", call.id, tostring(value))
  elseif call.handled ~= 1 then
    wrong("call %d was answered by nobody", call.id)
  elseif op == "never" or op == "crash" or op == "exit"
    or op == "stop_silently" then
    wrong("call %d (%s) was answered", call.id, op)
  elseif op == "stop" and not s.terminated and not s.killed then
    wrong("call %d was answered before terminate", call.id)
  end
end

local ops = {}

function ops.call(me)
  local s, op = one_of(run.servers), one_of(CALLS)
  local message = message_to(me, s, op)
  run.ids = run.ids + 1
  message.id, message.ms = run.ids, choose(4) - 1
  local call = { id = run.ids, handled = 0 }
  run.calls[run.ids] = call
  local ms = op == "never" and choose(5) or one_of { math.huge, 0, 3, 6 }
  local began = banyan.now()
  count(me, s)
  local value, why = server.call(s.pid, message, ms)
  run.check()
  if value == nil then
    check_failure(s, call, why, began, ms)
  else
    check_answer(s, call, op, value)
  end
end

function ops.cast(me)
  local s = one_of(run.servers)
  local message = message_to(me, s,
    one_of { "nothing", "nap", "continue", "nothing", "nothing", "crash" })
  count(me, s)
  server.cast(s.pid, message)
end

function ops.send(me)
  local s = one_of(run.servers)
  local message = message_to(me, s, "nothing")
  count(me, s)
  banyan.send(s.pid, message)
end

function ops.state()
  local s = one_of(run.servers)
  local state, why = server.get_state(s.pid, 5)
  run.check()
  if state and state.number ~= s.number then wrong("a state of another") end
  if not state and why ~= "timeout" and not s.ended then
    wrong("get_state failed by %s", tostring(why))
  end
end

function ops.sleep() banyan.sleep(choose(4) - 1) end

local function exit(s, reason)
  s.pid:exit(reason)
  if not s.ended and (reason == "kill" or not s.traps) then s.killed = true end
end

function ops.kill()
  if choose(2) == 2 then exit(one_of(run.servers), "kill") end
end

function ops.signal()
  if choose(2) == 2 then exit(one_of(run.servers), "odd") end
end

function ops.stop()
  local s, reason = one_of(run.servers), one_of { "normal", "odd" }
  local ms = one_of { math.huge, 2, 0 }
  s.stops[reason] = true
  local ok, why = server.stop(s.pid, reason, ms)
  run.check()
  if ok and not s.ended then
    wrong("server %d was stopped, but lives", s.number)
  elseif not ok and why ~= "timeout" and not s.ended then
    wrong("stop failed by %s, but server %d lives", tostring(why), s.number)
  elseif not ok and why == "timeout" and ms == math.huge then
    wrong("a stop without a limit timed out")
  end
end

local BAG = {
  "call", "cast", "send", "call", "cast", "call", "sleep", "state", "call",
  "stop", "kill", "signal",
}

local function be_client(me)
  for _ = 1, choose(OPERATIONS) do ops[one_of(BAG)](me) end
end

-- --- what must hold ----------------------------------------------------------

-- How did it end? For what it said, or it was killed.
local function check_end(s)
  s.ended = true
  s.reason = not s.killed and s.cause or nil
  if s.killed then return end
  if not s.cause then
    wrong("server %d ended for no reason", s.number)
  elseif not s.terminated then
    wrong("server %d ended by %s without terminate", s.number,
      tostring(s.cause))
  end
end

local function check()
  for _, s in ipairs(run.servers) do
    if s.pid and not s.ended and not core.is_alive(s.pid) then check_end(s) end
    local info = s.pid and not s.ended and core.process_info(s.pid)
    if info and info.registered_name ~= s.name then
      wrong("server %d has lost its name", s.number)
    end
    if s.killed and not s.ended then
      wrong("server %d was killed, but lives", s.number)
    end
  end
  for _, client in ipairs(run.clients) do
    local info = not client.ended and core.process_info(client.pid)
    client.ended = not info
    if info and info.message_queue_len > 0 and not client.waits then
      local calling = info.status == "runnable"
      if not calling or info.message_queue_len > 1 then
        wrong("client %d has mail", client.number)
      end
    end
  end
  if run.problem then return false, run.problem end
  return true
end

-- --- running -----------------------------------------------------------------

-- Starts a server; its parent ends some time, and then it does too if it
-- traps exits.
local function start(s)
  if choose(2) == 1 then
    assert(server.start(Subject, s.number, { name = s.name }))
    return
  end
  local me = banyan.self()
  banyan.spawn(function()
    banyan.trap_exit(true)
    assert(server.start_link(Subject, s.number, { name = s.name }))
    banyan.send(me, "started")
    banyan.receive(choose(20))
    s.parent_ended = true
    if not s.traps and not s.ended then s.killed = true end
    banyan.exit "shutdown"
  end)
  banyan.receive()
end

local function wait_for(refs)
  for _ = 1, #refs do
    local down = banyan.receive()
    if refs[down.ref] then
      wrong("a second DOWN of one monitor")
    elseif down.reason ~= "normal" then
      wrong("a client ended by %s", tostring(down.reason))
    end
    refs[down.ref] = true
  end
end

--- The body; run it with `settle`.
return function()
  run = { servers = {}, clients = {}, calls = {}, ids = 0, record = {},
    check = check }
  lockstep.invariant(check, "the servers")
  for i = 1, SERVERS do
    run.servers[i] = { number = i, name = "server" .. i, seen = {},
      stops = {} }
    start(run.servers[i])
  end
  local refs = {}
  for i = 1, CLIENTS do
    local client = { number = i, sent = {} }
    client.pid, refs[i] = banyan.spawn_monitor(function()
      be_client(client)
    end)
    run.clients[i] = client
  end
  wait_for(refs)
  for _, s in ipairs(run.servers) do
    s.stops.normal = true
    server.stop(s.pid)
    check()
    if not s.ended then wrong("server %d was not stopped", s.number) end
  end
end
