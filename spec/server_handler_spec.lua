-- What the other handlers of a server may do: casts, messages, continuations,
-- idle time-outs.

local banyan = require "banyan"
local core = require "banyan.core"
local reasons = require "spec.support.reasons"
local server = require "banyan.server"
local servers = require "spec.support.servers"

local start = servers.start
local teller = servers.teller
local test = servers.test
local unpack = table.unpack or unpack
local assert_error_reason = reasons.assert_error
local reason_of = reasons.of

describe("a callback that receives", function()
  local function greedy()
    local me, seen = core.self(), {}
    local function receive(self)
      for i = 1, 3 do seen[i] = core.receive(self.arg) or "nothing" end
      me:send { tag = "seen", unpack(seen) }
    end
    return {
      handle_call = function(self, msg)
        if msg == "receive" then receive(self) end
        return msg
      end,
      handle_cast = function(self, msg)
        if msg == "receive" then receive(self) else me:send(msg) end
      end,
      handle_info = function(_, msg) me:send(msg) end,
    }
  end

  test("does not see calls, casts and system requests", function()
    local pid = start(greedy(), 10)
    server.cast(pid, "receive")
    core.sleep(1)
    local asked, state = server.request(pid, "question")
    server.cast(pid, "cast")
    core.spawn(function() state = server.get_state(pid) end)
    core.sleep(1)
    pid:send "one"
    pid:send "two"
    pid:send "three"
    pid:send "four"
    assert.same({ tag = "seen", "one", "two", "three" }, core.receive())
    local reply = core.receive()
    assert.same({ asked, "question" }, { reply.ref, reply[1] })
    assert.equal("cast", core.receive())
    assert.equal("four", core.receive())
    assert.same({ arg = 10 }, state)
  end)

  test("neither finds them there nor is woken by them", function()
    local pid = start(greedy(), 10)
    server.cast(pid, "receive")
    server.cast(pid, "first")
    pid:send "message"
    server.cast(pid, "last")
    assert.same({ tag = "seen", "message", "nothing", "nothing" },
      core.receive())
    assert.equal(20, core.now())
    assert.equal("first", core.receive())
    assert.equal("last", core.receive())
  end)

  test("may match what it receives", function()
    local me = core.self()
    local pid = start {
      handle_cast = function(_, msg)
        local seen = {}
        local found = banyan.receive(function(m)
          seen[#seen + 1] = m
          return m == "good"
        end, 10)
        me:send { msg, found, #seen }
      end,
      handle_info = function(_, msg) me:send(msg) end,
    }
    server.cast(pid, 1)
    server.cast(pid, 2)
    pid:send "bad"
    core.sleep(1)
    server.cast(pid, 3)
    pid:send "good"
    assert.same({ 1, "good", 2 }, core.receive())
    assert.same({ 2, nil, 1 }, core.receive())
    assert.equal("bad", core.receive())
    assert.same({ 3, nil, 0 }, core.receive())
  end)

  test("does not see the end of its parent, which ends it", function()
    local me, ended = core.self(), nil
    local parent = core.spawn(function()
      server.start_link({
        init = function() core.trap_exit(true) end,
        handle_cast = function()
          core.spawn_link(function() core.exit "stranger" end)
          me:send { core.receive(10).reason, (core.receive(10)) }
        end,
        terminate = function(_, reason) ended = reason end,
      }, nil, { name = "greedy" })
      core.receive()
    end)
    core.sleep(1)
    server.cast("greedy", "receive")
    core.sleep(1)
    parent:exit "shutdown"
    assert.same({ "stranger" }, core.receive())
    core.sleep(1)
    assert.equal("shutdown", ended)
  end)
end)

describe("handle_cast", function()
  test("is called with what was cast", function()
    local tell = teller("cast")
    local pid = start { handle_cast = tell }
    assert.is_true(server.cast(pid, "msg"))
    assert.same({ "cast", "msg" }, core.receive())
  end)

  test("crashes a server that lacks it, and the reason says so", function()
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
  test("is called with messages, DOWN, and EXIT of other processes", function()
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

  test("drops the message when it is missing", function()
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

  test("runs handle_continue after the starter has the pid of init", function()
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

  test("crashes a server without handle_continue, and the reason says so",
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
  test("crashes the server when a callback other than init returns it",
    function()
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

  test("calls handle_info with \"timeout\" after init", function()
    start(idler(), 100)
    assert.same({ "info", "timeout", 100 }, core.receive(1000))
  end)

  test("calls handle_info once", function()
    start(idler(), 100)
    core.receive(1000)
    assert.is_nil((core.receive(1000)))
  end)

  test("does not change the reply of handle_call", function()
    local pid = start(idler())
    assert.equal("reply", server.call(pid, 100))
    assert.same({ "info", "timeout", 100 }, core.receive(1000))
  end)

  test("is cancelled when a message arrives", function()
    local pid = start(idler(), 100)
    core.sleep(50)
    server.call(pid)
    assert.is_nil((core.receive(1000)))
  end)

  test("begins again when a handler asks for it again", function()
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

  test("lets a message that waits go first when it is 0", function()
    local pid = start(idler())
    server.cast(pid, 0)
    core.send(pid, "first")
    assert.equal("first", core.receive(1000)[2])
    assert.is_nil((core.receive(1000)))
    server.cast(pid, 0)
    assert.equal("timeout", core.receive(1000)[2])
  end)

  test("is not cancelled by get_state", function()
    local pid = start(idler(), 100)
    core.sleep(50)
    assert(server.get_state(pid))
    assert.same({ "info", "timeout", 100 }, core.receive(1000))
  end)

  test("is not cancelled by a replace_state that takes longer", function()
    local pid = start(idler(), 100)
    core.sleep(50)
    assert(server.replace_state(pid, function() core.sleep(200) end))
    assert.same({ "info", "timeout", 250 }, core.receive(1000))
  end)

  test("does nothing without handle_info", function()
    local pid = start { init = function() server.timeout(10) end }
    core.sleep(100)
    assert.is_true(core.is_alive(pid))
  end)

  test("raises outside a server", function()
    assert.error_matches(function() server.timeout(10) end,
      "server.timeout outside a server")
  end)
end)
