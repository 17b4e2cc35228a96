-- Calls and requests, and who answers them.

local core = require "banyan.core"
local reasons = require "spec.support.reasons"
local server = require "banyan.server"
local servers = require "spec.support.servers"

local start = servers.start
local test = servers.test
local assert_error_reason = reasons.assert_error

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

  test("fails at once when the server has no handle_call", function()
    local pid = start {}
    assert.same({ nil, { "undef", "handle_call", "the module has init" } },
      { server.call(pid, "?") })
    assert.is_true(core.is_alive(pid))
  end)

  test("gives up after its time when the server is busy", function()
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

  test("never leaves a late reply in the caller's mailbox", function()
    local pid = start { handle_call = function()
      core.sleep(50)
      return "late"
    end }
    assert.same({ nil, "timeout" }, { server.call(pid, 0, 20) })
    assert.same({ nil, "timeout" }, { core.receive(1000) })
  end)

  test("fails when a server calls itself", function()
    local pid = start { handle_call = function()
      return server.call(core.self(), 0)
    end }
    assert.same({ nil, "calling_self" }, { server.call(pid, 0) })
  end)

  test("fails with noproc when there is no such process", function()
    local pid = start {}
    server.stop(pid)
    assert.same({ nil, "noproc" }, { server.call(pid, 0) })
    assert.same({ nil, "noproc" }, { server.call("nobody", 0) })
  end)

  test("reaches a server by its name", function()
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

  test("answers the reason to a call that waits in the mailbox", function()
    local pid = start { handle_cast = function() core.exit("early") end }
    server.cast(pid, "end")
    assert.same({ nil, "early" }, { server.call(pid, 0) })
  end)

  test("answers the reason when the server ends without a reply",
    function()
      local pid = start {
        handle_call = function() return server.noreply end,
        handle_cast = function() return server.stop_with("shutdown") end,
      }
      core.spawn(function() core.sleep(10) server.cast(pid, "end") end)
      assert.same({ nil, "shutdown" }, { server.call(pid, 0) })
    end)

  test("answers the crash of a server whose reply cannot be sent",
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

describe("a call by a process whose mailbox is full", function()
  -- Milliseconds of the processor that calls take at best.
  local function cost(pid)
    local best = math.huge
    for _ = 1, 5 do
      local from = os.clock()
      for i = 1, 2000 do server.call(pid, i) end
      best = math.min(best, (os.clock() - from) * 1000)
    end
    return best
  end

  test("costs what it costs with an empty one", function()
    local pid = start { handle_call = function(_, msg) return msg end }
    local empty = cost(pid)
    for i = 1, 100000 do core.send(core.self(), { i }) end
    collectgarbage()
    collectgarbage "stop"
    local full = cost(pid)
    collectgarbage "restart"
    -- To look at each message would be 100,000 times the work.
    assert.is_true(full < 20 * empty, ("%g ms, %g ms"):format(full, empty))
    assert.equal(100000, core.process_info(core.self()).message_queue_len)
  end)

  test("leaves its messages in their order", function()
    local pid = start { handle_call = function(_, msg, from)
      core.spawn(function() server.reply(from, msg) end)
      return server.noreply
    end }
    for i = 1, 3 do
      core.send(core.self(), i)
      assert.equal("x", server.call(pid, "x"))
    end
    for i = 1, 3 do assert.equal(i, core.receive(0)) end
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

  -- A server that keeps `from` and answers when told to.
  local function keeper()
    return start {
      handle_call = function(self, _, from)
        self.from = from
        return server.noreply
      end,
      handle_cast = function(self, msg)
        assert(server.reply(self.from, msg) == true)
      end,
    }
  end

  test("answers nobody once the caller has given up", function()
    local pid = keeper()
    assert.same({ nil, "timeout" }, { server.call(pid, 1, 10) })
    server.cast(pid, "late")
    assert.same({ nil, "timeout" }, { core.receive(100) })
    assert.is_true(core.is_alive(pid))
  end)

  test("answers no other call in place of one that was given up", function()
    local pid, other = keeper(), keeper()
    assert.same({ nil, "timeout" }, { server.call(pid, 1, 10) })
    server.cast(pid, "late")
    assert.same({ nil, "timeout" }, { server.call(other, 1, 100) })
  end)

  test("answers nobody once the caller has ended", function()
    local pid = keeper()
    local caller = core.spawn(function() server.call(pid, 1) end)
    core.sleep(1)
    caller:exit("kill")
    assert.same({}, core.process_info(pid).monitored_by)
    -- One that has taken the caller's place hears nothing of it either.
    for _ = 1, 10 do
      core.spawn_link(function() assert(core.receive(100) == nil) end)
    end
    server.cast(pid, "late")
    core.sleep(200)
    assert.is_true(core.is_alive(pid))
  end)

  test("raises when it is not a call's", function()
    assert.error_matches(function() server.reply("x", 1) end,
      "the `from` of a handle_call")
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
