-- What processes do, each thing once, for process_test.c: while one
-- allocation of it fails, and then with all memory that it wants.
--
-- Answers functions, see scarcity.h. Besides, make() makes another node,
-- crowd() leaves processes behind that are tied to each other, close() closes
-- the node; then three about messages for later, three about what a process
-- owns, three about an await, three about intervals, and three each about a
-- mailbox that grows long, one that is full, and a full one whose process ends.

local core = ...

local stage = require "spec.alloc.stage"
local node, step = stage.node, stage.step

local function answer_calls()
  while true do
    local msg = core.receive()
    if msg.from then core.reply(msg.from, { msg.msg }, "and more") end
  end
end

local function wait_for_end()
  core.receive()
  core.exit { "shutdown", { "asked" } }
end

-- What processes own: it is released once, and before anybody hears of the end.
local owned, told = {}, {}
core.set_release(function(pid)
  local scrap = { owned[pid] } -- this, too, takes memory
  owned[pid] = nil
  return scrap
end)

local spoiled

-- What memory takes from a reason must not make it another one.
local function check_reason(msg)
  local reason = type(msg) == "table" and msg.reason
  if type(reason) == "string" and reason:find "^table:" then
    spoiled = reason
  end
  return msg
end

local function overflow(what)
  core.set_max_mailbox(1, what)
  for i = 1, 3 do core.send(core.self(), { i }) end
  core.sleep(10)
end

-- The things that a process does.
local things = {
  function(it) it.server = core.spawn(answer_calls) end,
  function(it) it.linked = core.spawn_link(wait_for_end, { "argument" }) end,
  function(it) it.watched = core.spawn_monitor(wait_for_end) end,
  function() core.trap_exit(true) end,
  function(it) core.register("server", it.server) end,
  function() core.register("main") end,
  function() core.monitor("server") end,
  function() core.monitor("nobody") end,
  function(it) it.ref = core.monitor(it.linked) end,
  function() core.call("server", { "question" }) end,
  function() core.call("server", "question", 50) end,
  function() core.call("nobody", 1) end,
  function() core.request("server", { 1 }) end,
  function(it) core.request(it.watched, { 1 }) end,
  function() core.cast("server", { 1 }) end,
  function() core.send("main", { "to", { "myself" } }) end,
  function() core.receive(0) end,
  function(it) it.timer = core.send_after(20, "main", { "late" }) end,
  function() core.send_after(5, core.self(), { "soon" }) end,
  function() core.sleep(10) end,
  function(it) core.cancel_timer(it.timer) end,
  function(it) core.link(it.server) core.link(it.server) end,
  function(it) core.unlink(it.server) end,
  function(it) core.demonitor(it.ref, { flush = true }) end,
  function(it) it.linked:exit { "gone", { 1 } } end,
  function(it) core.send(it.watched, "end") end,
  function() check_reason(core.receive(20)) check_reason(core.receive(20)) end,
  function(it) core.call(it.watched, 1) end,
  function() core.call("server", 1, 0) end,
  function() core.spawn_link(error, { "crash" }) end,
  function() core.spawn_link(function() pcall(core.exit, { "out" }) end) end,
  function() core.process_info(core.self()) core.processes() end,
  function()
    local info, more = core.process_info(core.self(), 1)
    while more and core.add_relations(more, info, 1) do end
  end,
  function() core.registered() core.unregister("main") end,
  function() core.mail_peek() core.mail_skip() core.mail_rewind() end,
  function() core.mail_wait(1) end,
  function() while check_reason(core.receive(0)) do end end,
  function() core.await_wait(core.await_begin(), 5) end,
  function(it) it.done = core.await_begin() it.done({ 1 }, nil, 2) end,
  function(it) core.await_wait(it.done) end,
  function(it) core.await_begin(it.done) it.done({}) it.done({}) end,
  function(it) core.await_wait(it.done) end,
  function(it) core.await_begin(it.done) core.spawn(it.done, { "given" }) end,
  function(it) core.await_wait(it.done, 20) end,
  function(it) it.done("too late") end,
  function() core.owns(core.spawn(wait_for_end), true) end,
  function() core.owns(core.self(), true) end,
  function() core.event_at(core.self(), "callback_error", { pid = 1 }) end,
  function() core.send_interval(15, core.self(), { "beat" }) end,
  function(it) it.beat = core.send_interval(15, "server", { "beat" }) end,
  function() core.send_interval(15, { 1 }, "nobody") end,
  function() core.sleep(40) end,
  function(it) core.cancel_timer(it.beat) end,
  function() core.set_max_mailbox(2, "drop") end,
  function() for i = 1, 9 do core.send(core.self(), { i }) end end,
  function() while core.receive(0) do end end,
  function() core.send(core.self(), { "drained" }) end,
  function() core.call(core.spawn(overflow, "drop"), 1, 20) end,
  function() core.set_max_mailbox("infinity") end,
  function() core.spawn_link(overflow, "kill") core.sleep(10) end,
  function() core.self():exit("kill") end,
}

local function live()
  stage.live(things)
  if spoiled then error("a reason became a text: " .. spoiled) end
end

local function probe()
  return stage.probe(function()
    local pid, ref = core.spawn_monitor(answer_calls)
    assert(core.call(pid, "ping")[1] == "ping")
    core.send_after(5, core.self(), "timer")
    assert(core.receive(1000) == "timer")
    pid:exit("over")
    local down = core.receive(1000)
    assert(down.ref == ref and down.reason == "over")
  end)
end

local function make()
  local ok, other = pcall(core.node, {
    name = "a@127.0.0.1:1", incarnation = 1, secret = "a secret of the spec",
    seed = 1, events = true, entropy = function(n) return ("x"):rep(n) end,
  })
  if ok then other:close() end
end

-- Ends by starting another, which sends to the name that is going.
local last_words = load [[
  local core, guard = ...
  local it <close> = guard
  core.receive()
]] or core.receive -- LuaJIT has nothing to close

local function crowd()
  local guard = setmetatable({}, { __close = function()
    core.send("main", { "goodbye" })
    core.spawn(core.receive, { "too late" })
  end })
  node:spawn(function()
    core.register("main")
    for i = 1, 20 do
      local pid = core.spawn_link(function() last_words(core, guard) end)
      core.monitor(pid)
      core.request(pid, { i })
      core.send_after(i * 1000, pid, { i })
    end
    core.sleep(math.huge)
  end)
  step(2)
end

local function close() node:close() end

local came, receiver

local function find_receiver() return receiver end

-- To a pid, and to what stands for the child of a distributed supervisor.
local function send_later()
  core.find_children(find_receiver, find_receiver, core.call)
  node:spawn(function()
    receiver = core.self()
    for i = 1, 40 do
      local child = { supervisor = "s", id = i }
      core.send_after(25, i % 2 == 0 and child or receiver, { i })
    end
    core.sleep(100)
    local sum = 0
    for _ = 1, 40 do sum = sum + core.receive()[1] end
    came = sum == 820
  end)
  step(2)
end

local function wait_for_it()
  step(20)
  return came
end

local function own()
  node:spawn(function()
    local pid = core.spawn(core.sleep, math.huge)
    owned[pid] = { "a thing" }
    core.owns(pid, true)
    core.monitor(pid)
    core.register("owner", pid)
    told = {}
    told.ref = core.receive().ref
    told.before = owned[pid] == nil
  end)
  step(2)
end

local function end_owner()
  local pid = core.whereis("owner")
  if pid then pid:exit("kill") end
end

local function was_released()
  end_owner() -- if memory was too short to ask for it
  step(20)
  return next(owned) == nil and told.before
end

local done, answers

local function begin_await()
  answers = nil
  node:spawn(function()
    done = core.await_begin()
    local list = { core.await_wait(done) }
    answers = #list == 3 and list[3] == "c"
  end)
  step(2)
end

local function call_done() done("a", {}, "c") end

local function was_answered()
  call_done() -- if memory was too short to make the call
  step(20)
  return answers
end

-- Beats to a pid and to a name, of which the first come in need.
local function begin_to_beat()
  came = false
  node:spawn(function()
    core.register("beaten")
    core.send_interval(25, core.self(), { "pid" })
    core.send_interval(25, "beaten", { "name" })
    core.sleep(100)
    local beats = { pid = 0, name = 0 }
    while beats.pid < 8 or beats.name < 8 do
      local who = core.receive()[1]
      beats[who] = beats[who] + 1
    end
    came = true
  end)
  step(2)
end

local function beat_on()
  step(40)
  return came
end

-- A process that receives nothing, and messages for it.
local function begin_mailbox(max, count)
  stage.keeps_events = true
  node:spawn(function()
    core.register("box")
    if max then core.set_max_mailbox(max, "drop") end
    core.sleep(math.huge)
  end)
  step(2)
  for i = 1, count do node:send("box", i) end
end

local function send_one() node:send("box", { "more" }) end

local function find_event(name)
  for _, event in ipairs(node:events() or {}) do
    if event.event == name then return event end
  end
end

local function was_told_of_long()
  send_one() -- if memory was too short for the event
  return find_event "mailbox_long" ~= nil
end

local function was_told_of_full()
  send_one()
  return find_event "mailbox_full" ~= nil
end

local function end_box()
  local pid = core.whereis("box")
  if pid then pid:exit("kill") end
  step(2)
end

local function was_told_of_drops()
  end_box()
  step(4)
  local event = find_event "mailbox_drained"
  return event and event.dropped == 3
end

return live, probe, stage.clear, make, crowd, close, send_later,
  function() step(2) end, wait_for_it, own, end_owner, was_released,
  begin_await, call_done, was_answered,
  begin_to_beat, function() step(5) end, beat_on,
  function() begin_mailbox(nil, 9999) end, send_one, was_told_of_long,
  function() begin_mailbox(2, 2) end, send_one, was_told_of_full,
  function() begin_mailbox(2, 5) end, end_box, was_told_of_drops
