-- Processes of one node: spawning, messages, receive, timers, names, errors.

local banyan = require "banyan"
local core = require "banyan.core"
local lua = require "spec.support.lua"
local run = require "spec.support.run"

local closing = lua.closes and it or pending

local function raises(pattern, fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  assert.matches(pattern, tostring(err))
end

--- A process that sends each message back.
local function echo()
  local me = core.self()
  return core.spawn(function()
    while true do core.send(me, core.receive()) end
  end)
end

local function through(value)
  core.send(echo(), value)
  return core.receive()
end

describe("spawn", function()
  it("runs a function with its arguments", function()
    run(function()
      local me = core.self()
      core.spawn(function(a, b) core.send(me, { a, b }) end, 1, "two")
      assert.same({ 1, "two" }, core.receive())
    end)
  end)

  it("copies the arguments", function()
    run(function()
      local given, me = { n = 1 }, core.self()
      core.spawn(function(t)
        t.n = 2
        core.send(me, t)
      end, given)
      assert.equal(2, core.receive().n)
      assert.equal(1, given.n)
    end)
  end)

  it("requires a function", function()
    run(function() raises("function expected", core.spawn, 5) end)
  end)

  it("raises an error outside of a process", function()
    raises("no node runs here", core.spawn, function() end)
  end)

  it("answers a pid that is alive until the function returns", function()
    run(function()
      local pid = core.spawn(core.receive)
      assert.is_true(pid:is_alive())
      pid:send("go")
      core.sleep(0)
      assert.is_false(pid:is_alive())
      assert.is_nil(core.process_info(pid))
    end)
  end)

  it("re-uses coroutines without mixing up processes", function()
    run(function()
      local me, seen = core.self(), {}
      for i = 1, 1000 do core.spawn(function() core.send(me, i) end) end
      for _ = 1, 1000 do seen[core.receive()] = true end
      assert.equal(1000, #seen)
    end)
  end)
end)

describe("a message", function()
  it("keeps integers, floats, strings, booleans and nil apart", function()
    run(function()
      assert.equal("a\0b\255", through("a\0b\255"))
      assert.is_false(through(false))
      assert.is_nil(through(nil))
      for _, number in ipairs { 3, 3.5, -(2 ^ 53), 2 ^ 53, 2 ^ 70, 1 / 0 } do
        assert.equal(number, through(number))
      end
      assert.equal(-1 / 0, 1 / through(-0.0))
      if not lua.integers then return end
      assert.equal("integer", math.type(through(3)))
      assert.equal("float", math.type(through(3.0)))
      assert.equal(math.mininteger, through(math.mininteger))
    end)
  end)

  it("is a copy, however deep", function()
    run(function()
      local given = { 1, 2, { x = { y = "deep" } }, [10] = true }
      local got = through(given)
      assert.same(given, got)
      assert.are_not.equal(given[3], got[3])
      assert.are_not.equal(given[3].x, got[3].x)
    end)
  end)

  it("carries pids and refs that are equal to the originals", function()
    run(function()
      local ref = core.make_ref()
      local got = through { me = core.self(), ref = ref, [ref] = 1 }
      assert.equal(core.self(), got.me)
      assert.equal(ref, got.ref)
      assert.equal(1, got[ref])
    end)
  end)

  it("carries functions by reference inside a node", function()
    run(function() assert.equal(print, through { f = print }.f) end)
  end)

  it("has no cycles, no metatables and no tables as keys", function()
    run(function()
      local cycle = {}
      cycle.me = cycle
      raises("contains itself", core.send, core.self(), cycle)
      raises("metatable", core.send, core.self(), setmetatable({}, {}))
      raises("table as a key", core.send, core.self(), { [{}] = 1 })
      assert.is_nil((core.receive(0)))
    end)
  end)

  it("to a process that has ended is dropped", function()
    run(function()
      local pid = core.spawn(function() end)
      core.sleep(0)
      assert.is_true(core.send(pid, "x"))
    end)
  end)

  it("to a name that no process has is nil, noproc", function()
    run(function()
      assert.same({ nil, "noproc" }, { core.send("nobody", 1) })
    end)
  end)

  it("to something that is not a destination is misuse", function()
    run(function()
      raises("must be a pid, a name", core.send, 5, 1)
      raises("without name= and node=", core.send, { name = "x" }, 1)
    end)
  end)
end)

describe("receive", function()
  it("takes messages in the order in which they were sent", function()
    run(function()
      for i = 1, 100 do core.send(core.self(), i) end
      for i = 1, 100 do assert.equal(i, core.receive()) end
    end)
  end)

  it("answers timeout after its time limit", function()
    run(function()
      local before = core.now()
      assert.same({ nil, "timeout" }, { core.receive(250) })
      assert.equal(250, core.now() - before)
      assert.same({ nil, "timeout" }, { core.receive(0) })
    end)
  end)

  it("answers nil alone for a message that is nil", function()
    run(function()
      core.send(core.self(), nil)
      assert.equal(1, select("#", core.receive(10)))
    end)
  end)

  it("refuses a malformed time-out", function()
    run(function()
      raises("whole milliseconds", core.receive, -1)
      raises("whole milliseconds", core.receive, 1.5)
      raises("whole milliseconds", core.receive, "soon")
    end)
  end)

  it("raises an error at a caller that cannot wait", function()
    local function wait() local _ = banyan.receive(1) end
    local _, err = pcall(wait)
    assert.matches("process_spec%.lua:%d+: receive outside a process", err)
    run(function()
      _, err = coroutine.resume(coroutine.create(wait))
      assert.matches("process_spec%.lua:%d+: cannot wait inside a coroutine",
        err)
    end)
  end)

  it("raises an error below a C function", function()
    run(function()
      raises("a C function", function()
        table.sort({ 1, 2, 3 }, function() return core.receive() end)
      end)
    end)
  end)

  it("raises an error in a coroutine that the process made", function()
    run(function()
      raises("coroutine of the process's own", coroutine.wrap(core.receive))
    end)
  end)
end)

describe("receive with a match", function()
  it("cannot be nested in the match of another receive",
    function()
      run(function()
        for i = 1, 3 do core.send(core.self(), i) end
        raises("inside the match function", banyan.receive, function()
          return banyan.receive(function() return true end, 0) == 1
        end)
        raises("inside the match function", banyan.receive, function()
          core.demonitor(core.make_ref(), { flush = true })
        end)
        for i = 1, 3 do assert.equal(i, banyan.receive()) end
      end)
    end)

  it("leaves the mailbox unchanged if the match raises", function()
    run(function()
      for i = 1, 3 do core.send(core.self(), i) end
      raises("no good", banyan.receive, function(n)
        if n == 2 then error("no good") end
      end)
      for i = 1, 3 do assert.equal(i, banyan.receive(0)) end
    end)
  end)
end)

describe("a process that always has a message", function()
  local function keeps_nobody_waiting(receive)
    run(function()
      local me = core.self()
      local busy = core.spawn(function()
        while true do
          core.send(core.self(), "again")
          receive()
        end
      end)
      core.send_after(0, me, "timer")
      assert.equal("timer", core.receive())
      core.spawn(function() core.send(me, "hello") end)
      assert.equal("hello", core.receive())
      busy:exit("kill")
    end)
  end

  it("does not delay timers and other processes", function()
    keeps_nobody_waiting(core.receive)
  end)

  it("does not delay them when it receives by matching", function()
    keeps_nobody_waiting(function()
      banyan.receive(function() return true end)
    end)
  end)
end)

describe("coroutine.yield", function()
  it("in a process lets other processes run", function()
    run(function()
      local order, me = {}, core.self()
      core.spawn(function()
        order[#order + 1] = "other"
        core.send(me, "done")
      end)
      coroutine.yield()
      order[#order + 1] = "me"
      core.receive()
      assert.same({ "other", "me" }, order)
    end)
  end)
end)

describe("an error", function()
  it("of a very deep stack names the innermost functions", function()
    run(function()
      local function endless() return 1 + endless() end
      local _, ref = core.spawn_monitor(endless)
      local reason = banyan.receive(ref).reason
      assert.matches("stack overflow", reason[2])
      assert.matches("^stack traceback:\n\t.*process_spec%.lua:%d+: in",
        reason[3])
      assert.matches("\n\t%.%.%.\t%(more than 10000 levels%)$", reason[3])
      assert.is_true(#reason[3] < 2000)
    end)
  end)

  it("tells that a wait is not possible while a module is loaded", function()
    run(function()
      package.preload["spec.waits"] = function() core.sleep(1) end
      raises("process_spec%.lua:%d+: cannot wait while require loads a module",
        require, "spec.waits")
      raises("cannot wait here: a C function", table.sort, { 2, 1 },
        function() core.sleep(1) end)
    end)
  end)
end)

describe("send_after", function()
  it("sends when the timer fires, in order of time", function()
    run(function()
      core.send_after(20, core.self(), "second")
      core.send_after(10, core.self(), "first")
      assert.equal("first", core.receive())
      assert.equal(10, core.now())
      assert.equal("second", core.receive())
      assert.equal(20, core.now())
    end)
  end)

  it("and sleep require a time", function()
    run(function()
      raises("milliseconds expected", core.send_after, nil, core.self(), 1)
      raises("milliseconds expected", core.sleep, nil)
      raises("milliseconds expected", core.sleep)
    end)
  end)

  it("copies its message when it is called", function()
    run(function()
      local given = { n = 1 }
      core.send_after(5, core.self(), given)
      given.n = 2
      assert.equal(1, core.receive().n)
    end)
  end)

  it("can be cancelled, once", function()
    run(function()
      local timer = core.send_after(100, core.self(), "late")
      core.sleep(30)
      assert.equal(70, core.cancel_timer(timer))
      assert.is_nil(core.cancel_timer(timer))
      assert.is_nil((core.receive(500)))
    end)
  end)

  it("looks up a name when the timer fires", function()
    run(function()
      core.send_after(10, "later", "hello")
      core.register("later")
      assert.equal("hello", core.receive(100))
    end)
  end)

  it("ends with the process that it is for", function()
    run(function()
      local timers = {}
      local pid, ref = core.spawn_monitor(core.receive)
      for i = 1, 3 do timers[i] = core.send_after(1000, pid, "late") end
      assert.equal(1000, core.cancel_timer(timers[2]))
      pid:exit("shutdown")
      assert.equal(ref, core.receive().ref)
      for i = 1, 3 do assert.is_nil(core.cancel_timer(timers[i])) end
      assert.is_nil(core.cancel_timer(core.send_after(1000, pid, "late")))
    end)
  end)

  it("leaves nothing of processes that have ended", function()
    run(function()
      local function crowd()
        for _ = 1, 2000 do
          core.spawn(function()
            for i = 1, 3 do core.send_after(3600000, core.self(), { i }) end
          end)
        end
        core.sleep(1)
      end
      crowd()
      local before = lua.in_use()
      for _ = 1, 5 do crowd() end
      local more = lua.in_use() - before
      assert.is_true(more < 1500, more .. " KB more")
    end)
  end)

  -- A limit of the address space is none for a sanitizer.
  local limited = os.getenv "LD_PRELOAD" and pending or it
  limited("of a process that takes all memory ends with it", function()
    local code = [[
      local banyan = require "banyan"
      print(banyan.run({ on_event = false }, function()
        for _ = 1, 2 do
          banyan.spawn_monitor(function()
            while true do banyan.send_after(3600000, banyan.self(), {}) end
          end)
          local reason = banyan.receive().reason
          assert(reason == "out_of_memory"
            or reason[2]:find "not enough memory", reason)
        end
        return #banyan.processes()
      end))
    ]]
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write(code)
    file:close()
    local pipe = assert(io.popen(("ulimit -v 200000; exec '%s' %s 2>&1")
      :format(arg[-1], path)))
    local said = pipe:read "*a"
    pipe:close()
    os.remove(path)
    assert.equal("2\n", said)
  end)
end)

describe("a name", function()
  it("stands for its process and is free after that has ended", function()
    run(function()
      local pid, ref = core.spawn_monitor(core.receive)
      assert.is_true(core.register("svc", pid))
      assert.equal(pid, core.whereis("svc"))
      assert.same({ "svc" }, core.registered())
      core.send("svc", "stop")
      assert.equal(ref, core.receive().ref)
      assert.is_nil(core.whereis("svc"))
      assert.is_true(core.register("svc"))
    end)
  end)

  it("is in the list of names of its node", function()
    run(function()
      local names = {}
      for i = 1, 50 do
        names[i] = "name " .. i * 7 % 50
        core.register(names[i], core.spawn(core.receive))
      end
      assert.same(names, core.registered())
    end)
  end)

  it("that is taken is refused with the pid that has it", function()
    run(function()
      assert.is_true(core.register("svc"))
      local pid = core.spawn(core.receive)
      local ok, err = core.register("svc", pid)
      assert.is_nil(ok)
      assert.equal("already_registered", err[1])
      assert.equal(core.self(), err[2])
    end)
  end)

  it("can be unregistered", function()
    run(function()
      core.register("svc")
      assert.is_true(core.unregister("svc"))
      assert.is_nil(core.whereis("svc"))
      assert.same({ nil, "noproc" }, { core.unregister("svc") })
    end)
  end)
end)

describe("process_info", function()
  it("describes a process", function()
    run(function()
      local me = core.self()
      local pid = core.spawn_link(function()
        core.trap_exit(true)
        core.receive(math.huge)
        core.sleep(1000)
      end)
      core.monitor(pid)
      core.register("svc", pid)
      core.sleep(1)
      local info = core.process_info(pid)
      assert.equal("waiting", info.status)
      assert.equal("svc", info.registered_name)
      assert.is_true(info.trap_exit)
      assert.same({ me }, info.links)
      assert.same({ me }, info.monitored_by)
      assert.equal(me, info.parent)
      pid:send(1)
      pid:send(2)
      core.sleep(1)
      assert.equal(1, core.process_info(pid).message_queue_len)
    end)
  end)
end)

describe("a Lua error", function()
  it("ends only its process, with a message and a traceback", function()
    run(function()
      local _, ref = core.spawn_monitor(function() error("boom") end)
      local down = core.receive()
      assert.equal(ref, down.ref)
      assert.equal("error", down.reason[1])
      assert.matches("process_spec.lua:%d+: boom", down.reason[2])
      assert.matches("stack traceback", down.reason[3])
      assert.matches("boom\nstack traceback", tostring(down.reason))
    end)
  end)

  it("that is not a string has a text that describes it", function()
    run(function()
      local function text_of(object)
        core.spawn_monitor(function() error(object, 0) end)
        return tostring(core.receive().reason):match "^[^\n]*"
      end
      assert.equal("(error object is a nil value)", text_of(nil))
      assert.equal("true", text_of(true))
      assert.equal("12", text_of(12))
      assert.equal("{code=7}", text_of { code = 7 })
      assert.equal("{}", text_of {})
      assert.equal("{a={...}}", text_of { a = { 1 } })
      assert.equal("code: 1", text_of { "code", 1 })
      assert.matches("^file %(", text_of(io.stdout))
      local shown = setmetatable({}, { __tostring = function()
        return "my text"
      end })
      assert.equal("my text", text_of(shown))
      local failing = setmetatable({}, { __tostring = error })
      assert.equal("(a table that has no text)", text_of(failing))
    end)
  end)

  it("keeps a table as its message, and prints what has a text", function()
    run(function()
      core.spawn_monitor(function() error { code = 5 } end)
      assert.same({ code = 5 }, core.receive().reason[2])
      local text = setmetatable({}, { __tostring = function() return "T" end })
      core.spawn_monitor(function() error(text) end)
      assert.equal("T", core.receive().reason[2])
      core.spawn_monitor(function() error() end)
      assert.equal("(error object is a nil value)", core.receive().reason[2])
    end)
  end)

  it("is reported by an event", function()
    local events = {}
    run(function()
      core.spawn_monitor(function() error("boom") end)
      core.receive()
    end, { events = events })
    assert.equal("process_crashed", events[1].event)
    assert.equal("error", events[1].reason[1])
  end)

  it("is reported for the process that crashed, not for linked ones", function()
    local events, crashed = {}, nil
    run(function()
      local linked, ref = core.spawn_monitor(core.receive)
      crashed = core.spawn(function()
        core.link(linked)
        error("boom")
      end)
      assert.equal(ref, core.receive().ref)
    end, { events = events })
    assert.equal(1, #events)
    assert.equal(crashed, events[1].pid)
  end)
end)

describe("a process that recurses without end", function()
  it("ends with a stack overflow, and no other process does", function()
    run(function()
      local function deeper() return 1 + deeper() end
      core.spawn_monitor(deeper)
      assert.matches("stack overflow", core.receive().reason[2])
    end)
  end)
end)

describe("a finalizer", function()
  it("may start and end processes and send at any time", function()
    run(function()
      local me, ran, started = core.self(), 0, 0
      local function work() ran = ran + 1 end
      local function final()
        started = started + 1
        core.spawn(work)
        core.spawn(core.receive):exit("kill")
        core.send(me, "garbage")
      end
      lua.haste()
      for i = 1, 3000 do
        lua.collected(final)
        core.spawn(work)
        local pid, ref = core.spawn_monitor(core.receive)
        core.send(pid, { i })
        repeat local msg = core.receive() until msg.ref == ref
        started = started + 1
      end
      lua.calm()
      core.sleep(0)
      assert.is_true(started > 3000)
      assert.equal(started, ran)
      assert.equal(2, #core.processes())
    end)
  end)
end)

describe("a node", function()
  local now, trouble

  local function make()
    trouble = nil
    return core.node { seed = 1, events = true, clock = function()
      if trouble then trouble() end
      return now
    end }
  end

  before_each(function() now = 0 end)

  it("cannot be closed or stepped within a step of its own", function()
    local node, errors = make(), {}
    trouble = function()
      for _, method in ipairs { "step", "close" } do
        local _, err = pcall(node[method], node, 1)
        errors[#errors + 1] = err
      end
    end
    node:spawn(error, "boom")
    node:step(0)
    trouble = nil
    assert.matches("stepped within a step", errors[1])
    assert.matches("closed within a step", errors[2])
    assert.equal("process_crashed", node:events()[1].event)
    node:close()
  end)

  it("keeps a call that a failing clock ended out of later waits", function()
    local node, seen = make(), {}
    node:spawn(function()
      local server = core.spawn(function()
        local msg = core.receive()
        core.reply(msg.from, "late")
      end)
      trouble = function() error("no time") end
      seen.ok = pcall(core.call, server, "x")
      trouble = nil
      core.cast(server, "x")
      seen.msg, seen.err = core.receive(10)
    end)
    for _ = 1, 5 do
      node:step(now)
      now = now + 10
    end
    node:close()
    assert.same({ ok = false, err = "timeout" }, seen)
  end)

  it("returns the events that were not fetched when it closes", function()
    local node = make()
    node:spawn(error, "boom")
    node:step(0)
    local last = node:close()
    assert.equal(1, #last)
    assert.equal("process_crashed", last[1].event)
    assert.is_nil(make():close())
  end)

  closing("closes what its processes start while it closes", function()
    local node, pid = make(), nil
    node:spawn(load([[
      local core, guard = ...
      return function() local it <close> = guard core.receive() end
    ]])(core, setmetatable({}, { __close = function()
      pid = core.spawn(core.receive)
    end })))
    node:step(0)
    local count = node.process_count
    assert.equal(1, count(node))
    node:close()
    assert.matches("^pid<", tostring(pid))
  end)
end)

describe("a process that ends", function()
  closing("closes its variables", function()
    run(function()
      local me = core.self()
      local pid, ref = core.spawn_monitor(load([[
        local core, me = ...
        local guard <close> = setmetatable({}, {
          __close = function() core.send(me, "closed") end })
        core.receive()
      ]]), { send = core.send, receive = core.receive }, me)
      core.sleep(0)
      pid:exit("kill")
      assert.equal("closed", core.receive())
      assert.equal(ref, core.receive().ref)
    end)
  end)

  closing("can be ended by the variables of one that it ends", function()
    run(function()
      local me, first = core.self(), nil
      local guard = setmetatable({}, {
        __close = function() first:exit("kill") end })
      local victim = core.spawn(load([[
        local core, guard = ...
        return function() local it <close> = guard core.receive() end
      ]])(core, guard))
      local ref
      first, ref = core.spawn_monitor(function()
        core.sleep(1)
        victim:exit("kill")
        core.send(me, "went on")
      end)
      local down = core.receive()
      assert.equal(ref, down.ref)
      assert.equal("killed", down.reason)
      assert.is_false(victim:is_alive())
    end)
  end)

  it("leaves nothing behind, a thousand times over", function()
    run(function()
      local before = #core.processes()
      for _ = 1, 1000 do
        core.spawn_link(function() core.sleep(1) end)
      end
      core.sleep(5)
      assert.equal(before, #core.processes())
      assert.same({}, core.process_info(core.self()).links)
    end)
  end)

  it("ends a chain of a hundred thousand linked processes", function()
    run(function()
      local first = core.spawn(core.receive)
      local before = first
      for _ = 1, 100000 do
        local to = before
        before = core.spawn(function()
          core.link(to)
          core.receive()
        end)
      end
      core.sleep(0)
      core.monitor(before)
      first:exit("over")
      assert.equal("over", core.receive().reason)
    end)
  end)
end)
