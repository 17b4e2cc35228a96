-- How a server ends, and who hears of it.

local core = require "banyan.core"
local reasons = require "spec.support.reasons"
local server = require "banyan.server"
local servers = require "spec.support.servers"

local start = servers.start
local teller = servers.teller
local test = servers.test
local assert_error_reason = reasons.assert_error
local reason_of = reasons.of

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
        local seen = {}
        local callbacks = {
          terminate = function(_, reason) table.insert(seen, reason) end,
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
        assert.same(called and { down.reason } or {}, seen)
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

  test("makes its error the reason when it raises", function()
    local pid = start { terminate = function() error("worse") end }
    local ok, err = server.stop(pid)
    assert.is_nil(ok)
    assert_error_reason("worse", err)
  end)

  test("makes the reason that of banyan.exit when it calls that", function()
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
    test("terminates a linked server that traps exits: " .. reason,
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

  test("is handled after the messages that came before it", function()
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

  test("ends a linked server that does not trap exits, without terminate",
    function()
      local parent, pid = family(server.start_link, false)
      parent:exit("crash")
      assert.is_false(core.is_alive(pid))
      assert.is_nil((core.receive(100)))
    end)

  test("does nothing to a server that was started without a link", function()
    local parent, pid = family(server.start, true)
    parent:exit("crash")
    assert.is_nil((core.receive(100)))
    assert.is_true(core.is_alive(pid))
  end)

  test("is an EXIT like any other to a server that was linked later", function()
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

  test("is not confused with the end of another linked process", function()
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

  test("makes the call answer the reason when it has no reply", function()
    local pid = start {
      handle_call = function() return server.stop_with("shutdown") end,
    }
    assert.same({ nil, "shutdown" }, { server.call(pid, 0) })
  end)

  test("sends no reply when a cast is handled", function()
    local pid = start {
      handle_cast = function() return server.stop_with("over", "reply") end,
    }
    server.cast(pid, 0)
    assert.same({ nil, "over" }, { server.call(pid, 0) })
  end)

  test("raises without a reason", function()
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

  test("answers noproc when there is no such process", function()
    local pid = start {}
    server.stop(pid)
    assert.same({ nil, "noproc" }, { server.stop(pid) })
    assert.same({ nil, "noproc" }, { server.stop("nobody") })
  end)

  test("answers calling_self when a server stops itself", function()
    local pid = start { handle_call = function()
      return server.stop(core.self())
    end }
    assert.same({ nil, "calling_self" }, { server.call(pid, 0) })
  end)

  test("answers timeout after its time, and the server ends all the same",
    function()
      local pid = start { terminate = function() core.sleep(100) end }
      assert.same({ nil, "timeout" }, { server.stop(pid, "normal", 50) })
      assert.is_true(core.is_alive(pid))
      assert.equal("normal", reason_of(pid))
    end)

  test("waits without limit by default", function()
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
