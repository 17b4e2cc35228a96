local core = require "banyan.core"
local server = require "banyan.server"
local pair = require "spec.support.pair"
local run = require "spec.support.run"

-- --- helpers ---------------------------------------------------------------

-- `it`, with the body run as a process.
local function test(name, body)
  it(name, function() run(body) end)
end

-- A module whose callbacks are given; `init` keeps its argument as self.arg.
local function module(callbacks)
  if not callbacks.init then
    callbacks.init = function(self, arg) self.arg = arg end
  end
  return callbacks
end

local function start(callbacks, arg, opts)
  return assert(server.start(module(callbacks), arg, opts))
end

-- Sends {what, ...} to the process of the test.
local function teller(what)
  local test_process = core.self()
  return function(...)
    core.send(test_process, { what, select(2, ...) })
  end
end

-- The next message, which has to be there without any wait.
local function next_message()
  return core.receive(0)
end

-- Waits until the process has ended; its reason.
local function reason_of(pid)
  local ref = core.monitor(pid)
  while true do
    local msg = assert(core.receive(1000))
    if msg.ref == ref then return msg.reason end
  end
end

local function assert_error_reason(pattern, reason)
  assert.equal("table", type(reason))
  assert.equal("error", reason[1])
  assert.matches(pattern, reason[2])
  assert.equal("string", type(reason[3]))
end

-- --- starting --------------------------------------------------------------

describe("server.start_link", function()
  test("answers the pid after init has run with the argument", function()
    local pid = assert(server.start_link(module {
      handle_call = function(self) return self.arg end,
    }, "hello"))
    assert.equal("hello", server.call(pid, "?"))
  end)

  test("links the server to the caller", function()
    core.trap_exit(true)
    local pid = server.start_link({})
    pid:exit("boom")
    assert.same({ tag = "EXIT", from = pid, reason = "boom" }, next_message())
  end)

  test("copies the argument", function()
    local arg = { list = { 1 } }
    local pid = start({ handle_call = function(self)
      return #self.arg.list
    end }, arg)
    arg.list[2] = 2
    assert.equal(1, server.call(pid, "?"))
  end)

  test("takes the name of a module", function()
    package.loaded["spec.some_server"] =
      module { handle_call = function(self) return self.arg end }
    local pid = assert(server.start_link("spec.some_server", 7))
    package.loaded["spec.some_server"] = nil
    assert.equal(7, server.call(pid, "?"))
    assert.equal("spec.some_server", core.process_info(pid).label)
  end)

  test("needs no init", function()
    local pid = assert(server.start({ handle_call = function(_, msg)
      return msg
    end }))
    assert.equal("echo", server.call(pid, "echo"))
  end)

  test("gives each instance a state of its own", function()
    local Counter = {
      init = function(self, n) self.n = n end,
      handle_call = function(self, by)
        self.n = self.n + by
        return self.n
      end,
    }
    local a, b = server.start(Counter, 1), server.start(Counter, 10)
    assert.equal(2, server.call(a, 1))
    assert.equal(11, server.call(b, 1))
    assert.is_nil(rawget(Counter, "n"))
  end)

  test("finds handlers that a module inherits", function()
    local Base = { handle_call = function(self) return self:answer() end }
    local Derived = setmetatable({
      answer = function() return "derived" end,
    }, { __index = Base })
    assert.equal("derived", server.call(server.start(Derived), "?"))
  end)

  test("registers the name before init runs", function()
    local seen
    local pid = start({ init = function() seen = core.whereis("named") end },
      nil, { name = "named" })
    assert.equal(pid, seen)
    assert.equal(pid, core.whereis("named"))
  end)

  test("of a taken name answers who has it, and calls no init", function()
    local ran = false
    local first = start({}, nil, { name = "taken" })
    local pid, err = server.start_link({ init = function() ran = true end },
      nil, { name = "taken" })
    assert.is_nil(pid)
    assert.same({ "already_started", first }, err)
    assert.is_false(ran)
  end)

  test("takes an init that returns nils as having gone well", function()
    assert.is_truthy(server.start { init = function() return nil, nil end })
  end)

  test("holds only init to its time", function()
    local tell = teller("info")
    local pid = start({ handle_info = tell }, nil, { timeout = 100 })
    assert.is_nil((core.receive(1000)))
    assert.is_true(core.is_alive(pid))
  end)

  test("sets the caller as the parent", function()
    assert.equal(core.self(), core.process_info(server.start({})).parent)
  end)

  test("raises on an unknown option, naming it", function()
    assert.error_matches(function()
      server.start_link({}, nil, { nmae = "x" })
    end, 'server.start_link: unknown option "nmae"')
  end)

  test("raises on what is not a module", function()
    assert.error_matches(function() server.start_link(5) end,
      "module must be a table or the name of a module, got number")
  end)

  test("raises on an argument that cannot be sent", function()
    local circle = {}
    circle[1] = circle
    assert.error_matches(function() server.start({}, circle) end,
      "contains itself")
    assert.equal(1, #core.processes() - 1) -- the test and its watcher
  end)

  it("raises outside a process", function()
    assert.error_matches(function() server.start_link({}) end,
      "server.start outside a process")
  end)
end)

-- Each way to fail, for a caller that traps exits and one that does not.
local failures = {
  {
    "init that returns nil and a reason",
    function() return nil, { "bad", 1 } end,
    function(err) assert.same({ "bad", 1 }, err) end,
  },
  {
    "init that raises",
    function() error("boom in init") end,
    function(err) assert_error_reason("boom in init", err) end,
  },
  {
    "init that calls exit",
    function() core.exit("enough") end,
    function(err) assert.equal("enough", err) end,
  },
  {
    "init that returns stop_with",
    function() return server.stop_with { "shutdown", "later" } end,
    function(err) assert.same({ "shutdown", "later" }, err) end,
  },
  {
    "init that returns ignore",
    function() return server.ignore end,
    function(err) assert.equal("ignore", err) end,
  },
  {
    "init that is killed",
    function() core.self():exit("kill") core.sleep(10) end,
    function(err) assert.equal("killed", err) end,
  },
  {
    "init that takes too long",
    function() core.sleep(1000) end,
    function(err) assert.equal("timeout", err) end,
    { timeout = 100 },
  },
}

describe("a failing server.start_link", function()
  for _, failure in ipairs(failures) do
    local what, init, check, opts = failure[1], failure[2], failure[3],
      failure[4]
    for _, traps in ipairs { false, true } do
      test(("with %s leaves a caller that %s alive and unaware"):format(what,
        traps and "traps exits" or "does not trap exits"), function()
        core.trap_exit(traps)
        local child
        local pid, err = server.start_link({
          init = function(...)
            child = core.self()
            return init(...)
          end,
          terminate = function() error("terminate has no place here") end,
        }, nil, opts)
        assert.is_nil(pid)
        check(err)
        assert.is_false(core.is_alive(child))
        assert.same({}, core.process_info(core.self()).links)
        local msg, none = core.receive(2000)
        assert.same({ nil, "timeout" }, { msg, none })
      end)
    end
  end

  test("gives the name free", function()
    local opts = { name = "again" }
    assert.is_nil((server.start_link({
      init = function() return nil, "no" end,
    }, nil, opts)))
    assert.is_nil(core.whereis("again"))
    assert.is_truthy(server.start_link({}, nil, opts))
  end)

  it("that raises in init is told as a crash, with the label", function()
    local events = {}
    run(function()
      server.start({ name = "Doomed", init = function() error("x") end })
    end, { events = events })
    assert.equal("process_crashed", events[1].event)
    assert.equal("Doomed", events[1].label)
    assert_error_reason("x", events[1].reason)
  end)
end)

describe("a server whose starter ends while init runs", function()
  local function starter(start_it, traps)
    local tell = teller("init")
    return core.spawn(function()
      start_it({ init = function()
        core.trap_exit(traps)
        tell(nil, core.self())
        core.sleep(100)
        tell(nil, "done")
      end, terminate = function(_, reason)
        tell(nil, "terminate", reason)
      end })
    end)
  end

  test("dies with it", function()
    local parent = starter(server.start_link, false)
    local child = core.receive()[2]
    parent:exit("gone")
    assert.equal("noproc", reason_of(child))
    assert.is_nil((core.receive(1000)))
  end)

  test("terminates after init if it traps exits", function()
    local parent = starter(server.start_link, true)
    local child = core.receive()[2]
    parent:exit("gone")
    assert.same({ "init", "done" }, core.receive())
    assert.same({ "init", "terminate", "gone" }, core.receive())
    assert.is_false(core.is_alive(child))
  end)

  test("lives on if it was not linked", function()
    local parent = starter(server.start, false)
    local child = core.receive()[2]
    parent:exit("gone")
    assert.same({ "init", "done" }, core.receive())
    assert.is_true(core.is_alive(child))
  end)
end)

-- --- calls -----------------------------------------------------------------

describe("server.call", function()
  test("answers all that handle_call returns", function()
    local pid = start { handle_call = function() return 1, nil, "x", nil end }
    assert.same({ n = 4, 1, nil, "x" }, table.pack(server.call(pid, 0)))
  end)

  test("answers nothing where handle_call returns nothing", function()
    local pid = start { handle_call = function() end }
    assert.equal(0, select("#", server.call(pid, 0)))
  end)

  test("copies the request and the reply", function()
    local kept
    local pid = start { handle_call = function(_, msg)
      kept = msg
      return msg
    end }
    local sent = { list = { 1 } }
    local got = server.call(pid, sent)
    assert.same(sent, got)
    assert.is_false(rawequal(sent, kept) or rawequal(kept, got)
      or rawequal(kept.list, got.list))
  end)

  test("to a server without handle_call fails at once", function()
    local pid = start {}
    assert.same({ nil, { "undef", "handle_call" } },
      { server.call(pid, "?") })
    assert.is_true(core.is_alive(pid))
  end)

  test("of a server that is busy gives up after its time", function()
    local pid = start { handle_call = function() core.sleep(50) end }
    local before = core.now()
    assert.same({ nil, "timeout" }, { server.call(pid, 0, 20) })
    assert.equal(20, core.now() - before)
  end)

  test("gives up after 5000 ms by default", function()
    local pid = start { handle_call = function() return server.noreply end }
    local before = core.now()
    assert.same({ nil, "timeout" }, { server.call(pid, 0) })
    assert.equal(5000, core.now() - before)
  end)

  for _, limit in ipairs { math.huge, "infinity" } do
    test("waits for ever with " .. tostring(limit), function()
      local pid = start { handle_call = function()
        core.sleep(1e9)
        return "at last"
      end }
      assert.equal("at last", server.call(pid, 0, limit))
    end)
  end

  test("never gets a late reply into its mailbox", function()
    local pid = start { handle_call = function()
      core.sleep(50)
      return "late"
    end }
    assert.same({ nil, "timeout" }, { server.call(pid, 0, 20) })
    assert.same({ nil, "timeout" }, { core.receive(1000) })
  end)

  test("to itself fails", function()
    local pid = start { handle_call = function()
      return server.call(core.self(), 0)
    end }
    assert.same({ nil, "calling_self" }, { server.call(pid, 0) })
  end)

  test("to nobody fails with noproc", function()
    local pid = start {}
    server.stop(pid)
    assert.same({ nil, "noproc" }, { server.call(pid, 0) })
    assert.same({ nil, "noproc" }, { server.call("nobody", 0) })
  end)

  test("by name reaches the server", function()
    start({ handle_call = function() return "named" end }, nil,
      { name = "svc" })
    assert.equal("named", server.call("svc", 0))
  end)

  test("answers the reason of a server that crashes on it", function()
    local pid = start { handle_call = function() error("boom") end }
    local reply, err = server.call(pid, 0)
    assert.is_nil(reply)
    assert_error_reason("boom", err)
  end)

  test("waiting in the mailbox hears the reason too", function()
    local pid = start { handle_cast = function() core.exit("early") end }
    server.cast(pid, "end")
    assert.same({ nil, "early" }, { server.call(pid, 0) })
  end)

  test("that was not answered hears the reason when the server ends",
    function()
      local pid = start {
        handle_call = function() return server.noreply end,
        handle_cast = function() return server.stop_with("shutdown") end,
      }
      core.spawn(function() core.sleep(10) server.cast(pid, "end") end)
      assert.same({ nil, "shutdown" }, { server.call(pid, 0) })
    end)

  test("of a server that returns what cannot be sent hears of the crash",
    function()
      local pid = start { handle_call = function()
        return setmetatable({}, {})
      end }
      local _, err = server.call(pid, 0)
      assert_error_reason("returned from handle_call what cannot be sent",
        err)
      assert.is_false(core.is_alive(pid))
    end)

  test("hands messages over in the order in which they were sent", function()
    local pid = start {
      init = function(self) self.log = {} end,
      handle_cast = function(self, msg) table.insert(self.log, msg) end,
      handle_info = function(self, msg) table.insert(self.log, msg) end,
      handle_call = function(self) return self.log end,
    }
    server.cast(pid, 1)
    core.send(pid, 2)
    server.cast(pid, 3)
    assert.same({ 1, 2, 3 }, server.call(pid, "?"))
  end)
end)

describe("the `from` of a call", function()
  test("is given to handlers that take it", function()
    local count
    local pid = start { handle_call = function(_, _, ...)
      count = select("#", ...)
      return ...
    end }
    assert.equal("userdata", type(server.call(pid, 0)))
    assert.equal(1, count)
  end)

  test("lets the server answer later", function()
    local pid = start {
      handle_call = function(self, _, from)
        self.from = from
        core.send_after(30, core.self(), "now")
        return server.noreply
      end,
      handle_info = function(self) server.reply(self.from, "later", 2) end,
    }
    assert.same({ "later", 2 }, { server.call(pid, 0) })
  end)

  test("lets another process answer", function()
    local helper = core.spawn(function()
      server.reply(core.receive().from, "from a helper")
    end)
    local pid = start { handle_call = function(_, _, from)
      core.send(helper, { from = from })
      return server.noreply
    end }
    assert.equal("from a helper", server.call(pid, 0))
  end)

  test("answers once only", function()
    local pid = start { handle_call = function(_, _, from)
      server.reply(from, "first")
      return "second"
    end }
    assert.equal("first", server.call(pid, 0))
    assert.equal("first", server.call(pid, 0))
    assert.same({ nil, "timeout" }, { core.receive(100) })
  end)
end)

describe("server.request", function()
  test("brings the reply as a message", function()
    local pid = start { handle_call = function(_, msg) return msg, 2 end }
    local ref = server.request(pid, 1)
    assert.same({ tag = "reply", ref = ref, n = 2, 1, 2 }, core.receive())
  end)
end)

-- --- the other handlers ----------------------------------------------------

describe("handle_cast", function()
  test("gets what was cast", function()
    local tell = teller("cast")
    local pid = start { handle_cast = tell }
    assert.is_true(server.cast(pid, "msg"))
    assert.same({ "cast", "msg" }, core.receive())
  end)

  test("that is missing crashes the server, which says so", function()
    local tell = teller("terminate")
    local pid = start { name = "Deaf", terminate = tell }
    server.cast(pid, "x")
    assert_error_reason("Deaf has no handle_cast", core.receive()[2])
    assert.equal("noproc", reason_of(pid))
  end)

  test("may return what it likes", function()
    local pid = start {
      handle_cast = function() return "ignored", 2, 3 end,
      handle_call = function() return "alive" end,
    }
    server.cast(pid, "x")
    assert.equal("alive", server.call(pid, 0))
  end)
end)

describe("handle_info", function()
  test("gets messages, DOWN, and EXIT of strangers", function()
    local tell = teller("info")
    local pid = start {
      init = function(self)
        core.trap_exit(true)
        self.child, self.ref = core.spawn_monitor(function() end)
        core.link(self.child)
      end,
      handle_info = tell,
    }
    core.send(pid, "plain")
    local tags = {}
    for _ = 1, 3 do
      local msg = core.receive()[2]
      tags[msg.tag or msg] = true
    end
    assert.same({ plain = true, DOWN = true, EXIT = true }, tags)
  end)

  test("that is missing drops the message", function()
    local pid = start { handle_call = function() return "alive" end }
    core.send(pid, "dropped")
    assert.equal("alive", server.call(pid, 0))
    assert.equal(0, core.process_info(pid).message_queue_len)
  end)
end)

describe("server.continue", function()
  local function recorder()
    return {
      init = function(self) self.log = {} end,
      handle_call = function(self, msg, from)
        if msg == "log" then return self.log end
        server.reply(from, "answered")
        return server.continue { "after", msg }
      end,
      handle_cast = function(self, msg) table.insert(self.log, msg) end,
      handle_continue = function(self, arg)
        core.sleep(10)
        table.insert(self.log, arg)
      end,
    }
  end

  test("runs handle_continue before the messages that wait", function()
    local pid = start(recorder())
    local request = server.request(pid, "call")
    server.cast(pid, "cast")
    assert.equal(request, core.receive().ref)
    assert.same({ { "after", "call" }, "cast" }, server.call(pid, "log"))
  end)

  test("from init runs after the starter has its pid", function()
    local tell = teller("continue")
    local pid = assert(server.start({
      init = function() return server.continue("arg") end,
      handle_continue = function(_, arg)
        core.sleep(10)
        tell(nil, arg, core.self())
      end,
    }))
    assert.same({ nil, "timeout" }, { core.receive(0) })
    assert.same({ "continue", "arg", pid }, core.receive())
  end)

  test("may be returned by handle_continue again", function()
    local pid = start {
      init = function(self) self.n = 0 return server.continue(3) end,
      handle_continue = function(self, left)
        self.n = self.n + 1
        if left > 1 then return server.continue(left - 1) end
      end,
      handle_call = function(self) return self.n end,
    }
    assert.equal(3, server.call(pid, 0))
  end)

  for _, callback in ipairs { "handle_cast", "handle_info" } do
    test("works from " .. callback, function()
      local tell = teller("continue")
      local pid = start {
        [callback] = function(_, msg) return server.continue(msg) end,
        handle_continue = tell,
      }
      if callback == "handle_cast" then
        server.cast(pid, "m")
      else
        core.send(pid, "m")
      end
      assert.same({ "continue", "m" }, core.receive())
    end)
  end

  test("without handle_continue crashes the server, which says so",
    function()
      local pid = start {
        handle_cast = function() return server.continue(1) end,
      }
      local ref = core.monitor(pid)
      server.cast(pid, 1)
      local down = core.receive()
      assert.equal(ref, down.ref)
      assert_error_reason("has no handle_continue", down.reason)
    end)
end)

describe("server.ignore", function()
  test("from any callback but init crashes the server", function()
    local pid = start { handle_call = function() return server.ignore end }
    local _, err = server.call(pid, 0)
    assert_error_reason("returned server.ignore", err)
  end)
end)

describe("a handler that waits", function()
  test("makes later messages wait until it returns", function()
    local pid = start {
      init = function(self) self.log = {} end,
      handle_cast = function(self)
        table.insert(self.log, "begin")
        core.sleep(50)
        table.insert(self.log, "end")
      end,
      handle_call = function(self) return self.log end,
    }
    server.cast(pid, 1)
    server.cast(pid, 2)
    assert.same({ "begin", "end", "begin", "end" }, server.call(pid, 0))
  end)

  test("may call another server", function()
    local inner = start { handle_call = function(_, msg)
      core.sleep(5)
      return msg * 2
    end }
    local outer = start { handle_call = function(_, msg)
      return server.call(inner, msg) + 1
    end }
    assert.equal(9, server.call(outer, 4))
  end)

  test("may receive messages itself", function()
    local pid = start {
      handle_call = function() return core.receive() end,
      handle_info = function() error("the handler was to get it") end,
    }
    local ref = server.request(pid, 0)
    core.sleep(1)
    core.send(pid, "a message")
    assert.same({ tag = "reply", ref = ref, n = 1, "a message" },
      core.receive())
  end)
end)

-- --- idle time-outs --------------------------------------------------------

describe("server.timeout", function()
  local function idler()
    local tell = teller("info")
    return {
      init = function(_, ms) if ms then server.timeout(ms) end end,
      handle_info = function(_, msg) tell(nil, msg, core.now()) end,
      handle_cast = function(_, ms) server.timeout(ms) end,
      handle_call = function(_, ms)
        if ms then server.timeout(ms) end
        return "reply"
      end,
    }
  end

  test("from init delivers \"timeout\" to handle_info", function()
    start(idler(), 100)
    assert.same({ "info", "timeout", 100 }, core.receive(1000))
  end)

  test("delivers it once", function()
    start(idler(), 100)
    core.receive(1000)
    assert.is_nil((core.receive(1000)))
  end)

  test("from handle_call leaves the reply as it is", function()
    local pid = start(idler())
    assert.equal("reply", server.call(pid, 100))
    assert.same({ "info", "timeout", 100 }, core.receive(1000))
  end)

  test("is over when anything else arrives", function()
    local pid = start(idler(), 100)
    core.sleep(50)
    server.call(pid)
    assert.is_nil((core.receive(1000)))
  end)

  test("begins again when a handler asks again", function()
    local pid = start(idler(), 100)
    core.sleep(50)
    server.cast(pid, 100)
    assert.same({ "info", "timeout", 150 }, core.receive(1000))
  end)

  test("counts from the end of the handler", function()
    local tell = teller("info")
    start {
      init = function() server.timeout(10) core.sleep(100) end,
      handle_info = function(_, msg) tell(nil, msg, core.now()) end,
    }
    assert.same({ "info", "timeout", 110 }, core.receive(1000))
  end)

  test("of 0 lets a message that waits go first", function()
    local pid = start(idler())
    server.cast(pid, 0)
    core.send(pid, "first")
    assert.equal("first", core.receive(1000)[2])
    assert.is_nil((core.receive(1000)))
    server.cast(pid, 0)
    assert.equal("timeout", core.receive(1000)[2])
  end)

  test("is not ended by get_state", function()
    local pid = start(idler(), 100)
    core.sleep(50)
    assert(server.get_state(pid))
    assert.same({ "info", "timeout", 100 }, core.receive(1000))
  end)

  test("is not ended by a replace_state that takes longer", function()
    local pid = start(idler(), 100)
    core.sleep(50)
    assert(server.replace_state(pid, function() core.sleep(200) end))
    assert.same({ "info", "timeout", 250 }, core.receive(1000))
  end)

  test("without handle_info does nothing", function()
    local pid = start { init = function() server.timeout(10) end }
    core.sleep(100)
    assert.is_true(core.is_alive(pid))
  end)

  test("outside a server raises", function()
    assert.error_matches(function() server.timeout(10) end,
      "server.timeout outside a server")
  end)
end)

-- --- the end ---------------------------------------------------------------

-- Each way to end: what it does to a server, the reason, whether terminate
-- is called.
local function fails_in(callback, provoke)
  return function(callbacks)
    callbacks[callback] = function() error("boom") end
    return provoke
  end
end

local function cast_it(pid) server.cast(pid, 0) end
local function send_it(pid) core.send(pid, 0) end
local boom = { "error", "boom" }

local ends = {
  { "an error in handle_call", fails_in("handle_call", function(pid)
    server.call(pid, 0)
  end), boom, true },
  { "an error in handle_cast", fails_in("handle_cast", cast_it), boom, true },
  { "an error in handle_info", fails_in("handle_info", send_it), boom, true },
  { "an error in handle_continue", function(callbacks)
    callbacks.handle_cast = function() return server.continue(1) end
    callbacks.handle_continue = function() error("boom") end
    return cast_it
  end, boom, true },
  { "exit in a callback", function(callbacks)
    callbacks.handle_cast = function() core.exit { "code", 1 } end
    return cast_it
  end, { "code", 1 }, true },
  { "exit in a callback, where it cannot yield", function(callbacks)
    callbacks.handle_cast = function()
      table.sort({ 1, 2 }, function() core.exit("deep") end)
    end
    return cast_it
  end, "deep", true },
  { "stop_with", function(callbacks)
    callbacks.handle_cast = function()
      return server.stop_with { "shutdown", 1 }
    end
    return cast_it
  end, { "shutdown", 1 }, true },
  { "server.stop", function()
    return function(pid) server.stop(pid, "done") end
  end, "done", true },
  { "an exit signal", function()
    return function(pid) pid:exit("signal") end
  end, "signal", false },
  { "an exit signal in the middle of a handler", function(callbacks)
    callbacks.handle_cast = function() core.sleep(100) end
    return function(pid)
      server.cast(pid, 0)
      core.sleep(10)
      pid:exit("signal")
    end
  end, "signal", false },
  { "a kill", function()
    return function(pid) pid:exit("kill") end
  end, "killed", false },
  { "a kill of itself", function(callbacks)
    callbacks.handle_cast = function() core.self():exit("kill") end
    return cast_it
  end, "killed", false },
  { "a kill while it traps exits", function(callbacks)
    callbacks.init = function() core.trap_exit(true) end
    return function(pid) pid:exit("kill") end
  end, "killed", false },
}

describe("terminate", function()
  for _, case in ipairs(ends) do
    local what, arrange, expected, called = case[1], case[2], case[3], case[4]
    test(("is %s after %s"):format(called and "called" or "not called", what),
      function()
        local reasons = {}
        local callbacks = {
          terminate = function(_, reason) table.insert(reasons, reason) end,
        }
        local provoke = arrange(callbacks)
        local pid = start(callbacks)
        local ref = core.monitor(pid)
        provoke(pid)
        local down = core.receive(1000)
        assert.equal(ref, down.ref)
        if expected == boom then
          assert_error_reason("boom", down.reason)
        else
          assert.same(expected, down.reason)
        end
        assert.same(called and { down.reason } or {}, reasons)
      end)
  end

  test("sees the state and may wait", function()
    local pid = start({ terminate = function(self, reason)
      core.sleep(100)
      self.report(reason)
    end, init = function(self, report) self.report = report end },
      teller("end"))
    assert.is_true(server.stop(pid, "shutdown"))
    assert.equal(100, core.now())
  end)

  test("that raises makes its error the reason", function()
    local pid = start { terminate = function() error("worse") end }
    local ok, err = server.stop(pid)
    assert.is_nil(ok)
    assert_error_reason("worse", err)
  end)

  test("that calls exit makes that the reason", function()
    local pid = start { terminate = function() core.exit("other") end }
    assert.same({ nil, "other" }, { server.stop(pid) })
  end)

  test("may change its copy of the reason without harm", function()
    local pid = start { terminate = function(_, reason) reason[1] = "x" end }
    assert.is_true(server.stop(pid, { "shutdown", 1 }))
  end)
end)

describe("the end of the parent", function()
  local function family(start_it, traps)
    local tell = teller("told")
    local parent = core.spawn(function()
      local pid = start_it({
        init = function() core.trap_exit(traps) end,
        handle_info = function(_, msg) tell(nil, "info", msg.tag) end,
        terminate = function(_, reason) tell(nil, "terminate", reason) end,
      })
      tell(nil, pid)
      core.receive()
    end)
    return parent, core.receive()[2]
  end

  for _, reason in ipairs { "normal", "shutdown", "crash" } do
    test(("by %q terminates a linked server that traps exits"):format(reason),
      function()
        local parent, pid = family(server.start_link, true)
        if reason == "normal" then
          core.send(parent, "end")
        else
          parent:exit(reason)
        end
        assert.same({ "told", "terminate", reason }, core.receive(1000))
        core.sleep(1)
        assert.is_false(core.is_alive(pid))
      end)
  end

  test("comes in its turn, after the messages before it", function()
    local log = {}
    core.spawn(function()
      local pid = server.start_link({
        init = function() core.trap_exit(true) end,
        handle_cast = function(_, msg)
          table.insert(log, msg)
          core.sleep(10)
        end,
        terminate = function(_, reason) table.insert(log, reason) end,
      })
      server.cast(pid, 1)
      server.cast(pid, 2)
      core.exit("over")
    end)
    core.sleep(100)
    assert.same({ 1, 2, "over" }, log)
  end)

  test("by a crash ends a linked server that does not trap, silently",
    function()
      local parent, pid = family(server.start_link, false)
      parent:exit("crash")
      assert.is_false(core.is_alive(pid))
      assert.is_nil((core.receive(100)))
    end)

  test("is nothing to a server that was started without a link", function()
    local parent, pid = family(server.start, true)
    parent:exit("crash")
    assert.is_nil((core.receive(100)))
    assert.is_true(core.is_alive(pid))
  end)

  test("is a stranger's to a server that was linked later", function()
    local watcher = core.self()
    core.spawn(function()
      local mine = server.start {
        init = function() core.trap_exit(true) end,
        handle_info = function(_, msg)
          core.send(watcher, { "info", msg.tag })
        end,
      }
      core.link(mine)
    end)
    assert.same({ "info", "EXIT" }, core.receive(1000))
  end)

  test("is told from the end of a stranger", function()
    local _, pid = family(server.start_link, true)
    core.spawn(function()
      core.link(pid)
      core.exit("stranger")
    end)
    assert.same({ "told", "info", "EXIT" }, core.receive(1000))
    assert.is_true(core.is_alive(pid))
  end)
end)

describe("server.stop_with", function()
  test("replies after terminate, and then the server ends", function()
    local log = {}
    local pid = start {
      handle_call = function()
        return server.stop_with("normal", "bye", 2)
      end,
      terminate = function()
        core.sleep(100)
        table.insert(log, "terminate")
      end,
    }
    assert.same({ "bye", 2 }, { server.call(pid, 0) })
    assert.same({ "terminate" }, log)
    assert.is_false(core.is_alive(pid))
  end)

  test("replies even when terminate fails", function()
    local pid = start {
      handle_call = function() return server.stop_with("normal", "bye") end,
      terminate = function() error("worse") end,
    }
    assert.same({ "bye" }, { server.call(pid, 0) })
  end)

  test("replies nil where nil is the reply", function()
    local pid = start {
      handle_call = function() return server.stop_with("shutdown", nil) end,
    }
    assert.equal(1, select("#", server.call(pid, 0)))
  end)

  test("without a reply leaves the caller the reason", function()
    local pid = start {
      handle_call = function() return server.stop_with("shutdown") end,
    }
    assert.same({ nil, "shutdown" }, { server.call(pid, 0) })
  end)

  test("from a cast has nobody to give a reply to", function()
    local pid = start {
      handle_cast = function() return server.stop_with("over", "reply") end,
    }
    server.cast(pid, 0)
    assert.same({ nil, "over" }, { server.call(pid, 0) })
  end)

  test("needs a reason", function()
    assert.error_matches(function() server.stop_with() end,
      "a reason expected")
  end)
end)

describe("server.stop", function()
  test("answers true when the server is gone", function()
    local pid = start({}, nil, { name = "gone" })
    assert.is_true(server.stop("gone"))
    assert.is_false(core.is_alive(pid))
    assert.is_nil(core.whereis("gone"))
  end)

  for _, reason in ipairs { "normal", "shutdown", "any", { "a", { 1 } } } do
    test("ends it for the reason " .. tostring(core.reason(reason)),
      function()
        local pid = start {}
        local ref = core.monitor(pid)
        assert.is_true(server.stop(pid, reason))
        local down = core.receive()
        assert.equal(ref, down.ref)
        assert.same(reason, down.reason)
      end)
  end

  test("answers the other reason for which it ended", function()
    local pid = start { handle_cast = function() core.exit("first") end }
    server.cast(pid, 0)
    assert.same({ nil, "first" }, { server.stop(pid) })
  end)

  test("of nobody answers noproc", function()
    local pid = start {}
    server.stop(pid)
    assert.same({ nil, "noproc" }, { server.stop(pid) })
    assert.same({ nil, "noproc" }, { server.stop("nobody") })
  end)

  test("of oneself answers calling_self", function()
    local pid = start { handle_call = function()
      return server.stop(core.self())
    end }
    assert.same({ nil, "calling_self" }, { server.call(pid, 0) })
  end)

  test("waits its time, and the server ends all the same", function()
    local pid = start { terminate = function() core.sleep(100) end }
    assert.same({ nil, "timeout" }, { server.stop(pid, "normal", 50) })
    assert.is_true(core.is_alive(pid))
    assert.equal("normal", reason_of(pid))
  end)

  test("waits without limit unless told", function()
    local pid = start { terminate = function() core.sleep(1e8) end }
    assert.is_true(server.stop(pid))
  end)

  test("answers calls that wait with the reason", function()
    local pid = start { handle_cast = function() core.sleep(10) end }
    server.cast(pid, 0)
    core.spawn(function() server.stop(pid, "shutdown") end)
    core.sleep(5)
    assert.same({ nil, "shutdown" }, { server.call(pid, 0) })
  end)
end)

-- --- looking in ------------------------------------------------------------

describe("server.get_state", function()
  test("answers a copy", function()
    local pid = start({ handle_call = function(self) return self.arg end },
      { 1 })
    local state = server.get_state(pid)
    assert.same({ arg = { 1 } }, state)
    assert.is_nil(getmetatable(state))
    state.arg[1] = 2
    assert.same({ 1 }, server.call(pid, 0))
  end)

  test("of a state that cannot be sent says so and harms nothing", function()
    local pid = start {
      init = function(self) self.thing = setmetatable({}, {}) end,
    }
    local state, err = server.get_state(pid)
    assert.is_nil(state)
    assert.equal("bad_state", err[1])
    assert.matches("metatable", err[2])
    assert.is_true(core.is_alive(pid))
  end)
end)

describe("server.replace_state", function()
  local function counter()
    return start({ handle_call = function(self) return self.arg end }, 1)
  end

  test("takes the table that the function returns", function()
    local pid = counter()
    local state = server.replace_state(pid, function(old)
      return { arg = old.arg + 1 }
    end)
    assert.same({ arg = 2 }, state)
    assert.equal(2, server.call(pid, 0))
  end)

  test("keeps what the function changed and did not return", function()
    local pid = counter()
    server.replace_state(pid, function(state) state.arg = 5 end)
    assert.equal(5, server.call(pid, 0))
  end)

  test("lets the function wait", function()
    local pid = counter()
    server.replace_state(pid, function(state)
      core.sleep(10)
      state.arg = 6
    end)
    assert.equal(6, server.call(pid, 0))
  end)

  test("with an error leaves the server as it was", function()
    local pid = counter()
    local state, err = server.replace_state(pid, function() error("no") end)
    assert.is_nil(state)
    assert_error_reason("no", err)
    assert.equal(1, server.call(pid, 0))
  end)

  test("refuses what is no table", function()
    local pid = counter()
    assert.same({ nil, { "bad_return_value", "string" } },
      { server.replace_state(pid, function() return "x" end) })
    assert.equal(1, server.call(pid, 0))
  end)

  test("raises without a function", function()
    assert.error_matches(function() server.replace_state("x", 5) end,
      "fn must be a function, got number")
  end)
end)

describe("process_info of a server", function()
  test("shows an idle server without a coroutine, a busy one with", function()
    local pid = start { handle_cast = function() core.sleep(10) end }
    assert.is_false(core.process_info(pid).coroutine)
    server.cast(pid, 0)
    core.sleep(5)
    assert.is_true(core.process_info(pid).coroutine)
    core.sleep(10)
    assert.is_false(core.process_info(pid).coroutine)
  end)

  test("names the behaviour and the module", function()
    local info = core.process_info(start { name = "Counter" })
    assert.equal("server", info.behaviour)
    assert.equal("Counter", info.label)
  end)
end)

describe("10,000 idle servers", function()
  test("weigh less in Lua than 10,000 coroutines would", function()
    local Idle = {}
    local function weigh()
      collectgarbage()
      collectgarbage()
      return collectgarbage("count") * 1024
    end
    server.start(Idle)
    local before = weigh()
    for _ = 1, 10000 do server.start(Idle) end
    assert.is_true((weigh() - before) / 10000 < 500)
  end)

  test("leave nothing behind when they end", function()
    local count = #core.processes()
    local pids = {}
    for i = 1, 10000 do pids[i] = server.start({}) end
    for i = 1, 10000 do pids[i]:exit("kill") end
    core.sleep(1)
    assert.equal(count, #core.processes())
  end)
end)

-- --- from another node -----------------------------------------------------

describe("a server on another node", function()
  -- `it`, on two nodes: the body gets {name=, node=} of a server there.
  local function far_test(name, callbacks, body)
    it(name, function()
      pair(function(b)
        b:spawn(function()
          server.start(module(callbacks), "state", { name = "far" })
          core.receive()
        end)
        local dest = { name = "far", node = b:name() }
        while select(2, server.call(dest, "is there")) == "noproc" do
          core.sleep(1)
        end
        body(dest, b)
      end)
    end)
  end

  local function echoes()
    return {
      handle_call = function(_, msg, from)
        if msg == "unsendable" then return print end
        if msg ~= "later" then return msg, core.node_name() end
        server.reply(from, "later")
        return server.noreply
      end,
      terminate = function(_, reason)
        if reason == "slow" then core.sleep(100) end
      end,
    }
  end

  far_test("answers calls", echoes(), function(dest, b)
    assert.same({ { 1, "x" }, b:name() }, { server.call(dest, { 1, "x" }) })
    assert.equal("later", (server.call(dest, "later")))
  end)

  far_test("is stopped, and gone when stop answers", echoes(),
    function(dest)
      assert.is_true(server.stop(dest, { "shutdown", 1 }))
      assert.same({ nil, "noproc" }, { server.call(dest, 0) })
      assert.same({ nil, "noproc" }, { server.stop(dest) })
    end)

  far_test("that takes its time to stop lets stop time out", echoes(),
    function(dest)
      assert.same({ nil, "timeout" }, { server.stop(dest, "slow", 50) })
    end)

  far_test("shows its state", echoes(), function(dest)
    assert.same({ arg = "state" }, server.get_state(dest))
  end)

  far_test("takes no function", echoes(), function(dest)
    assert.error_matches(function()
      server.replace_state(dest, function() end)
    end, "cannot send a function to another node")
  end)

  far_test("that answers with a function crashes, and the caller hears it",
    echoes(), function(dest)
      local _, err = server.call(dest, "unsendable")
      assert_error_reason("cannot send a function to another node", err)
    end)

  far_test("whose node is lost answers noconnection",
    { handle_call = function(_, msg)
      if msg == "is there" then return true end
      return server.noreply
    end }, function(dest)
      core.spawn(function()
        core.sleep(10)
        core.disconnect(dest.node)
      end)
      assert.same({ nil, "noconnection" }, { server.call(dest, 0) })
    end)
end)
