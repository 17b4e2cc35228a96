-- How a server starts, and fails to.

local core = require "banyan.core"
local dynamic_supervisor = require "banyan.dynamic_supervisor"
local reasons = require "spec.support.reasons"
local run = require "spec.support.run"
local server = require "banyan.server"
local servers = require "spec.support.servers"
local supervisor = require "banyan.supervisor"

local module = servers.module
local next_message = servers.next_message
local start = servers.start
local teller = servers.teller
local test = servers.test
local assert_error_reason = reasons.assert_error
local reason_of = reasons.of

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

  test("answers who has the name when it is taken, and does not call init",
    function()
      local ran = false
      local first = start({}, nil, { name = "taken" })
      local pid, err = server.start_link({ init = function() ran = true end },
        nil, { name = "taken" })
      assert.is_nil(pid)
      assert.same({ "already_started", first }, err)
      assert.is_false(ran)
    end)

  test("takes an init that returns only nils as a success", function()
    assert.is_truthy(server.start { init = function() return nil, nil end })
  end)

  test("limits only the time of init by its timeout", function()
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
      test(("leaves a caller that %s alive and without an EXIT: %s"):format(
        traps and "traps exits" or "does not trap exits", what), function()
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

  test("frees the name", function()
    local opts = { name = "again" }
    assert.is_nil((server.start_link({
      init = function() return nil, "no" end,
    }, nil, opts)))
    assert.is_nil(core.whereis("again"))
    assert.is_truthy(server.start_link({}, nil, opts))
  end)

  it("is reported as a crash, with the label, when init raises", function()
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

  test("ends with its starter", function()
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

describe("init of a server that asks who starts it", function()
  local function asks(ask)
    return { init = function(self) self.heard = { ask() } end }
  end

  test("hears calling_self from a supervisor", function()
    local heard = {}
    local function remember(name, ...) heard[name] = { ... } end
    assert(dynamic_supervisor.start_link { name = "dyn" })
    local child = { start = function()
      return server.start_link(asks(function()
        remember("start_child", dynamic_supervisor.start_child("dyn",
          { start = function() return core.spawn_link(core.receive) end }))
        remember("which_children", dynamic_supervisor.which_children("dyn"))
        remember("call", server.call("dyn", "x", 1000))
        remember("stop", server.stop("dyn"))
      end))
    end }
    assert(dynamic_supervisor.start_child("dyn", child))
    assert.equal(0, core.now())
    for _, what in ipairs { "start_child", "which_children", "call", "stop" } do
      assert.same({ nil, "calling_self" }, heard[what])
    end
    assert.equal(1, #dynamic_supervisor.which_children("dyn"))
  end)

  test("hears it from all that wait for this start", function()
    local heard
    assert(supervisor.start_link({ { id = "middle", start = function()
      return supervisor.start_link({ { id = "bottom", start = function()
        return server.start_link(asks(function()
          heard = { server.call("top", "x", 1000) }
        end))
      end } }, {})
    end } }, { name = "top" }))
    assert.same({ nil, "calling_self" }, heard)
  end)

  test("hears it from a process that waits, and not from others", function()
    local heard = {}
    local other = assert(server.start { handle_call = function(_, msg)
      return msg
    end })
    local parent = core.self()
    assert(server.start_link(asks(function()
      heard[1] = { server.call(parent, "x", 1000) }
      heard[2] = server.call(other, "x")
    end)))
    assert.same({ { nil, "calling_self" }, "x" }, heard)
  end)

  test("is answered after it has started", function()
    local me = core.self()
    assert(dynamic_supervisor.start_link { name = "dyn" })
    assert(dynamic_supervisor.start_child("dyn", { start = function()
      return server.start_link {
        init = function() return server.continue() end,
        handle_continue = function()
          me:send(dynamic_supervisor.count_children("dyn").active)
        end,
      }
    end }))
    assert.equal(1, core.receive())
  end)

  test("waits for a third one no longer than its call may take", function()
    assert(dynamic_supervisor.start_link { name = "dyn" })
    local third = assert(server.start { handle_call = function()
      return (dynamic_supervisor.count_children("dyn").active)
    end })
    local heard
    assert(dynamic_supervisor.start_child("dyn", { start = function()
      return server.start_link(asks(function()
        heard = { server.call(third, "x", 1000) }
      end))
    end }))
    assert.same({ nil, "timeout" }, heard)
    assert.equal(1000, core.now())
  end)
end)
