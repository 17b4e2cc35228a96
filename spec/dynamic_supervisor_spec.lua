local children = require "spec.support.children"
local core = require "banyan.core"
local dynamic_supervisor = require "banyan.dynamic_supervisor"
local lua = require "spec.support.lua"
local reasons = require "spec.support.reasons"
local server = require "banyan.server"

local reason_of = reasons.of
local start_child = dynamic_supervisor.start_child
local test = children.test

local function start(opts)
  return assert(dynamic_supervisor.start_link(opts))
end

local function count(sup)
  return dynamic_supervisor.count_children(sup).specs
end

describe("a dynamic supervisor", function()
  test("starts children that need no id", function(log)
    local sup = start { name = "pool" }
    assert.equal(sup, core.whereis "pool")
    local a = assert(start_child("pool", log:child "a"))
    local spec = log:child "b"
    spec.id, spec.type = nil, "supervisor"
    local b, extra = assert(start_child(sup, {
      start = function() return spec.start(), "more" end,
      type = "supervisor",
    }))
    assert.equal("more", extra)
    assert.same({
      { pid = a, state = "running", type = "worker" },
      { pid = b, state = "running", type = "supervisor" },
    }, dynamic_supervisor.which_children(sup))
    assert.same({ specs = 2, active = 2, supervisors = 1, workers = 1 },
      dynamic_supervisor.count_children(sup))
  end)

  test("may have one id twice", function(log)
    local sup = start()
    assert(start_child(sup, log:child "a"))
    assert(start_child(sup, log:child "a"))
    assert.equal(2, count(sup))
  end)

  test("answers why a child did not start, and forgets it", function(log)
    local sup = start()
    log:next_starts("a", function() return nil, { "no", "luck" } end,
      function() return nil, "ignore" end,
      function() error "oh" end, function() return true end)
    local function failure()
      local pid, err = start_child(sup, log:child "a")
      assert.is_nil(pid)
      assert.equal(0, count(sup))
      return err
    end
    assert.same({ "no", "luck" }, failure())
    assert.equal("ignore", failure())
    assert.equal("error", failure()[1])
    assert.same({ "bad_return", true }, failure())
  end)

  test("has at most max_children", function(log)
    local sup = start { max_children = 2 }
    local a = assert(start_child(sup, log:child "a"))
    assert(start_child(sup, log:child "b"))
    assert.same({ nil, "max_children" },
      { start_child(sup, log:child "c") })
    assert.is_true(dynamic_supervisor.terminate_child(sup, a))
    assert(start_child(sup, log:child "c"))
    sup = start { max_children = 0 }
    assert.same({ nil, "max_children" },
      { start_child(sup, log:child "c") })
  end)

  test("puts extra_arguments before a child's own", function()
    local got = {}
    local function go(...)
      got[#got + 1] = { ... }
      return core.spawn_link(function() core.receive() end)
    end
    package.loaded["spec.named"] = { go = go }
    local sup = start { extra_arguments = { "x", { y = 1 } } }
    local pid = assert(start_child(sup,
      { start = { "spec.named", "go", { "z" } } }))
    got[1][2].y = "spoilt"
    pid:exit("crash")
    assert(start_child(sup, { start = go }))
    core.sleep(1)
    got[1][2].y = 1
    assert.same({ { "x", { y = 1 }, "z" }, { "x", { y = 1 }, "z" },
      { "x", { y = 1 } } }, got)
    package.loaded["spec.named"] = nil
  end)

  test("terminates a child by its pid, once", function(log)
    local sup = start()
    local a = assert(start_child(sup, log:child "a"))
    assert.is_true(dynamic_supervisor.terminate_child(sup, a))
    assert.equal("+a -a", log:take())
    assert.same({ nil, "not_found" },
      { dynamic_supervisor.terminate_child(sup, a) })
    assert.same({ nil, "not_found" },
      { dynamic_supervisor.terminate_child(sup, core.self()) })
    assert.error_matches(function()
      dynamic_supervisor.terminate_child(sup, "a")
    end, "a pid expected")
  end)

  test("restarts a child by its restart type, or forgets it", function(log)
    local sup = start { max_restarts = 10 }
    for _, restart in ipairs { "permanent", "transient", "temporary" } do
      assert(start_child(sup, log:child(restart, { restart = restart })))
    end
    log:take()
    log:crash("permanent", "normal")
    log:crash("transient", "crash")
    log:crash("temporary", "crash")
    assert.equal("+permanent +transient", log:take())
    assert.equal(2, count(sup))
    log:crash("transient", "normal")
    assert.equal("", log:take())
    assert.equal(1, count(sup))
  end)

  test("gives up after too many restarts", function(log)
    core.trap_exit(true)
    local sup = start { max_restarts = 1 }
    start_child(sup, log:child "a")
    start_child(sup, log:child "b")
    log:crash "a"
    log:crash "a"
    assert.same({ tag = "EXIT", from = sup, reason = "shutdown" },
      core.receive())
    assert.equal("+a +b +a -b", log:take())
  end)

  test("terminates by its last pid a child that is to be restarted",
    function(log)
      local sup = start()
      local a = assert(start_child(sup,
        log:child("a", { backoff = { min = 1000 } })))
      log:crash "a"
      assert.same({ { state = "restarting", type = "worker" } },
        dynamic_supervisor.which_children(sup))
      assert.is_true(dynamic_supervisor.terminate_child(sup, a))
      core.sleep(2000)
      assert.equal(0, count(sup))
      assert.equal("+a", log:take())
    end)

  test("stops its children side by side, each in its time", function(log)
    core.trap_exit(true)
    local sup = start()
    local ended = {}
    for i, shutdown in ipairs { 300, 100, 200, 100 } do
      local pid = start_child(sup, log:child("c" .. i,
        { shutdown = shutdown }))
      log:send("c" .. i, { hang = true })
      core.spawn(function()
        reason_of(pid)
        ended[i] = core.now()
      end)
    end
    local from = core.now()
    assert.is_true(dynamic_supervisor.stop(sup))
    core.sleep(1)
    for i = 1, 4 do ended[i] = ended[i] - from end
    assert.same({ 300, 100, 200, 100 }, ended)
  end)

  test("ends with its parent", function(log)
    local sup
    local parent = core.spawn(function()
      sup = start()
      start_child(sup, log:child "a")
      core.receive()
    end)
    core.sleep(1)
    parent:exit("tired")
    assert.equal("tired", reason_of(sup))
    assert.equal("+a -a", log:take())
  end)

  test("raises for a wrong option or spec", function()
    local function message(...)
      local ok, err = pcall(...)
      assert.is_false(ok)
      return err
    end
    local start_link = dynamic_supervisor.start_link
    assert.matches("unknown option \"max_child\"",
      message(start_link, { max_child = 1 }))
    assert.matches("max_children", message(start_link, { max_children = -1 }))
    assert.matches("strategy", message(start_link,
      { strategy = "one_for_all" }))
    assert.matches("dynamic_supervisor.start_child: .*start must be",
      message(start_child, "pool", {}))
    local _, err = pcall(function() start_child("pool", 7) end)
    assert.matches("dynamic_supervisor_spec%.lua:%d+:", err)
  end)

  test("starts and ends 20,000 servers, and keeps nothing of them", function()
    core.trap_exit(true)
    local module = { init = function(self, n) self.n = n end }
    local sup
    local function round()
      sup = start()
      for i = 1, 20000 do
        assert(start_child(sup, { id = i, restart = "transient",
          start = function() return server.start_link(module, i) end }))
      end
      assert.equal(20000, count(sup))
      assert.is_true(dynamic_supervisor.stop(sup))
      assert.equal(sup, core.receive().from)
      return lua.in_use()
    end
    local before = #core.processes()
    local first, second = round(), round()
    assert.equal(before, #core.processes())
    assert.is_true(second < first * 1.1 + 100)
  end)
end)

describe("an observer", function()
  local function messages()
    local list = {}
    while true do
      local msg = core.receive(0)
      if not msg then return list end
      if msg.tag == "child" then
        list[#list + 1] = msg.event .. ":" .. tostring(msg.id)
        list[#list] = list[#list]
          .. (msg.reason and ":" .. tostring(msg.reason) or "")
        if msg.event == "restarted" then
          assert.not_equal(msg.old, msg.pid)
          assert.is_not_nil(msg.old)
        end
        assert.is_not_nil(msg.pid)
      end
    end
  end

  local function text()
    core.sleep(1)
    return table.concat(messages(), " ")
  end

  test("hears of each child, and once of its end", function(log)
    local sup = start { observer = core.self() }
    start_child(sup, log:child("a", { restart = "transient" }))
    assert.equal("started:a", text())
    core.send(log.pids.a, { exit = "crash" })
    assert.equal("exited:a:crash restarted:a", text())
    core.send(log.pids.a, { exit = "normal" })
    assert.equal("exited:a:normal ended:a", text())
    local b = start_child(sup, log:child("b", { restart = "temporary" }))
    dynamic_supervisor.terminate_child(sup, b)
    assert.equal("started:b exited:b:shutdown ended:b", text())
    log:next_starts("c", function() return nil, "no" end)
    start_child(sup, log:child "c")
    assert.equal("", text())
  end)

  test("hears of the end of those that were to be restarted", function(log)
    core.trap_exit(true)
    local sup = start { observer = core.self(), max_restarts = 1 }
    start_child(sup, log:child("a", { backoff = { min = 100 } }))
    start_child(sup, log:child "b")
    core.send(log.pids.a, { exit = "crash" })
    assert.equal("started:a started:b exited:a:crash", text())
    core.send(log.pids.b, { exit = "crash" })
    assert.equal("exited:b:crash ended:b ended:a", text())
  end)

  test("hears of the end of all when the supervisor is killed", function(log)
    core.trap_exit(true)
    local sup = start { observer = core.self() }
    start_child(sup, log:child "a")
    start_child(sup, log:child "b")
    messages()
    sup:exit("kill")
    assert.equal("ended:a ended:b", text())
  end)
end)
