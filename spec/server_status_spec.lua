-- What a server shows of itself: get_status, and the event of its crash.

local core = require "banyan.core"
local reasons = require "spec.support.reasons"
local run = require "spec.support.run"
local server = require "banyan.server"
local servers = require "spec.support.servers"

local start = servers.start
local test = servers.test
local assert_error_reason = reasons.assert_error

local function fails() error("boom") end

-- Hides the password.
local function discreet(_, status)
  status.state.password = "***"
  if status.message then status.message = "(hidden)" end
  return status
end

local function login(format_status)
  return {
    name = "login",
    init = function(self) self.password, self.user = "secret", "ann" end,
    format_status = format_status,
    handle_call = fails,
    handle_cast = fails,
    handle_info = fails,
    handle_continue = fails,
    terminate = function(self) self.ended = true end,
  }
end

describe("server.get_status", function()
  test("shows who the server is and its state", function()
    local pid = start(login())
    assert.same({
      pid = pid, parent = core.self(), label = "login",
      state = { password = "secret", user = "ann" },
    }, server.get_status(pid))
  end)

  test("shows what format_status returns", function()
    local pid = start(login(discreet))
    assert.same({ password = "***", user = "ann" },
      server.get_status(pid).state)
    assert.equal("secret", server.get_state(pid).password)
  end)

  test("calls format_status with the instance, and a status to change",
    function()
      local seen
      local pid = start(login(function(self, status)
        core.sleep(10)
        seen = { self.user, status.state.user, status.message, status.reason }
        status.state = "all is well"
      end))
      assert.equal("all is well", server.get_status(pid).state)
      assert.same({ "ann", "ann" }, seen)
    end)

  for what, case in pairs {
    ["that raises"] = { fails, "^%(format_status failed: .*boom%)$" },
    ["that calls exit"] = { function() core.exit("out") end,
      "^%(format_status failed: out%)$" },
    ["that returns no table"] = { function() return 5 end,
      "^%(format_status returned a number%)$" },
  } do
    test("shows of a format_status " .. what .. " that it failed", function()
      local pid = start(login(case[1]))
      assert.matches(case[2], server.get_status(pid).state)
      assert.is_true(core.is_alive(pid))
      assert.equal("ann", server.get_state(pid).user)
    end)
  end

  test("answers bad_state for what cannot be sent, and changes nothing",
    function()
      local pid = start { init = function(self)
        self.thing = setmetatable({}, {})
      end }
      local status, err = server.get_status(pid)
      assert.is_nil(status)
      assert.equal("bad_state", err[1])
      assert.is_true(core.is_alive(pid))
    end)

  test("does not cancel the idle time-out", function()
    local tell = servers.teller "info"
    local pid = start {
      init = function() server.timeout(100) end,
      handle_info = function(_, msg) tell(nil, msg, core.now()) end,
      format_status = function(_, status) return status end,
    }
    core.sleep(50)
    assert(server.get_status(pid))
    assert.same({ "info", "timeout", 100 }, core.receive(1000))
  end)

  test("answers noproc when there is no such process", function()
    assert.same({ nil, "noproc" }, { server.get_status("nobody") })
  end)
end)

-- The event of the crash that `provoke` brings about.
local function crash_event(module, provoke)
  local events, crash = {}, nil
  run(function()
    local pid = assert(server.start(module))
    local ref = core.monitor(pid)
    provoke(pid)
    repeat local msg = core.receive(10) until msg == nil or msg.ref == ref
  end, { events = events })
  for _, event in ipairs(events) do
    if event.event == "process_crashed" then
      assert.is_nil(crash)
      crash = event
    end
  end
  return crash
end

describe("the event of a crash", function()
  for what, provoke in pairs {
    call = function(pid) server.call(pid, "msg") end,
    cast = function(pid) server.cast(pid, "msg") end,
    message = function(pid) core.send(pid, "msg") end,
  } do
    it(("has the message and the state: %s"):format(what), function()
      local event = crash_event(login(), provoke)
      assert.equal("msg", event.message)
      assert.equal("secret", event.state.password)
      assert.is_true(event.state.ended) -- terminate has run by then
      assert.equal("login", event.label)
      assert_error_reason("boom", event.reason)
    end)
  end

  it("shows what format_status returns", function()
    local event = crash_event(login(discreet), function(pid)
      server.call(pid, "secret too")
    end)
    assert.equal("***", event.state.password)
    assert.equal("(hidden)", event.message)
    assert_error_reason("boom", event.reason)
  end)

  it("has the reason that format_status returns, and links hear the real one",
    function()
      local heard
      local event = crash_event(login(function(_, status)
        status.reason = "hidden"
        return status
      end), function(pid)
        local _, reason = server.call(pid, "x")
        heard = reason
      end)
      assert.equal("hidden", event.reason)
      assert_error_reason("boom", heard)
    end)

  it("says that format_status failed", function()
    local event = crash_event(login(fails), function(pid)
      server.cast(pid, "x")
    end)
    assert.matches("^%(format_status failed: .*boom%)$", event.state)
  end)

  it("has the state when terminate raises", function()
    local module = login(discreet)
    module.terminate = fails
    local event = crash_event(module, server.stop)
    assert.equal("***", event.state.password)
    assert_error_reason("boom", event.reason)
  end)

  it("has the message when a handler is missing", function()
    local event = crash_event({}, function(pid) server.cast(pid, "msg") end)
    assert.equal("msg", event.message)
  end)

  it("has no state when init fails", function()
    local events = {}
    run(function()
      server.start { init = fails, format_status = fails }
    end, { events = events })
    assert.equal("process_crashed", events[1].event)
    assert.is_nil(events[1].state)
  end)

  it("is not emitted for a normal end, which does not call format_status",
    function()
      local module = login(fails)
      assert.is_nil(crash_event(module, server.stop))
      module.handle_cast = function() return server.stop_with("shutdown") end
      assert.is_nil(crash_event(module, function(pid)
        server.cast(pid, 1)
      end))
    end)

  it("is not emitted for a server that is killed in format_status", function()
    local module = login(function() core.sleep(1e6) end)
    assert.is_nil(crash_event(module, function(pid)
      server.cast(pid, 1)
      core.sleep(10)
      pid:exit("kill")
    end))
  end)
end)
