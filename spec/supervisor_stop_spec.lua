-- How a supervisor stops its children, and itself.

local children = require "spec.support.children"
local core = require "banyan.core"
local reasons = require "spec.support.reasons"
local supervisor = require "banyan.supervisor"

local start = children.start
local states = children.states
local test = children.test
local reason_of = reasons.of

describe("stopping a supervisor", function()
  test("stops the children in reverse start order", function(log)
    core.trap_exit(true)
    local sup = start(log, "a b c")
    assert.is_true(supervisor.stop(sup, "enough"))
    assert.equal("-c -b -a", log:take())
    assert.same({ tag = "EXIT", from = sup, reason = "enough" },
      core.receive())
  end)

  test("kills those that have not stopped within their shutdown time",
    function(log)
      core.trap_exit(true)
      local sup = start(log, "a b", nil, { shutdown = 300 })
      log:send("a", { hang = true })
      log:send("b", { hang = true })
      local a, b, from = log.pids.a, log.pids.b, core.now()
      local first, second = core.monitor(b), core.monitor(a)
      assert.is_true(supervisor.stop(sup))
      assert.equal(600, core.now() - from)
      local down = core.receive()
      assert.equal(first, down.ref)
      assert.equal("killed", down.reason)
      assert.equal(second, core.receive().ref)
    end)

  test("gives each child its own shutdown time", function(log)
    core.trap_exit(true)
    local sup = assert(supervisor.start_link {
      log:child("a", { shutdown = 200 }), log:child("b", { shutdown = 0 }),
      log:child("c", { shutdown = "brutal_kill" }),
      log:child("d", { shutdown = 100 }), log:child "e",
    })
    local ended, from = {}, core.now()
    for id, pid in pairs(log.pids) do
      if id ~= "e" then log:send(id, { hang = true }) end
      core.spawn(function()
        ended[id] = tostring(reason_of(pid)) .. " " .. core.now() - from
      end)
    end
    core.sleep(0)
    assert.is_true(supervisor.stop(sup))
    core.sleep(1)
    assert.same({ e = "shutdown 0", d = "killed 100", c = "killed 100",
      b = "killed 100", a = "killed 300" }, ended)
  end)

  test("does not wait for a child that unlinked itself", function(log)
    core.trap_exit(true)
    local sup = start(log, "a", nil, { shutdown = 50 })
    log:send("a", { unlink = sup })
    log:send("a", { hang = true })
    assert.is_true(supervisor.stop(sup))
    assert.is_false(core.is_alive(log.pids.a))
  end)

  test("waits without limit for a child whose shutdown is infinity",
    function(log)
      core.trap_exit(true)
      local sup = start(log, "a", nil, { shutdown = "infinity" })
      log:send("a", { hang = true })
      assert.same({ nil, "timeout" }, { supervisor.stop(sup, "normal", 1e6) })
      assert.is_true(core.is_alive(sup))
      log:send("a", { exit = "at last" })
      assert.equal("normal", reason_of(sup))
    end)

  test("kills a child at once whose shutdown is brutal_kill", function(log)
    core.trap_exit(true)
    local sup = start(log, "a", nil, { shutdown = "brutal_kill" })
    local pid = log.pids.a
    local ref = core.monitor(pid)
    assert.is_true(supervisor.stop(sup))
    assert.equal("", log:take())
    local down = core.receive()
    assert.equal(ref, down.ref)
    assert.equal("killed", down.reason)
  end)

  test("answers why it failed, or the other reason for which it ended",
    function(log)
      core.trap_exit(true)
      assert.same({ nil, "noproc" }, { supervisor.stop "nobody" })
      local sup = start(log, "a", nil, { shutdown = "infinity" })
      local inner
      supervisor.start_child(sup, { id = 1, start = function()
        inner = { supervisor.stop(sup) }
        return nil, "ignore"
      end })
      assert.same({ nil, "calling_self" }, inner)
      log:send("a", { hang = true })
      core.spawn(function()
        core.sleep(10)
        sup:exit "kill"
      end)
      assert.same({ nil, "killed" }, { supervisor.stop(sup) })
      assert.same({ nil, "noproc" }, { supervisor.stop(sup) })
    end)

  test("happens when its parent ends, for that reason", function(log)
    local sup
    local parent = core.spawn(function()
      sup = start(log, "a b")
      core.receive()
    end)
    core.sleep(1)
    parent:exit("tired")
    assert.equal("tired", reason_of(sup))
    assert.equal("-b -a", log:take())
  end)

  test("does not happen when another linked process ends", function(log)
    local sup = start(log, "a")
    local stranger = core.spawn(function()
      core.link(sup)
      core.receive()
    end)
    core.sleep(1)
    stranger:exit("crash")
    core.spawn(function() sup:exit("please") end)
    core.sleep(1)
    assert.equal("a:running", states(sup))
  end)
end)
