-- The events of a supervisor.

local children = require "spec.support.children"
local core = require "banyan.core"
local dynamic_supervisor = require "banyan.dynamic_supervisor"
local reasons = require "spec.support.reasons"
local run = require "spec.support.run"
local supervisor = require "banyan.supervisor"

local fails_with = children.fails_with
local start = children.start
local states = children.states
local reason_of = reasons.of

-- `it`, with the body run as a process; it gets a fresh log of children, and
-- what answers all events of one kind.
local function test_events(name, body)
  it(name, function()
    local events = {}
    run(function()
      body(children.log(), function(event)
        core.sleep(1) -- the driver fetches events between two steps
        local found = {}
        for _, e in ipairs(events) do
          if e.event == event then found[#found + 1] = e end
        end
        return found
      end)
    end, { events = events })
  end)
end

describe("a supervisor tells of", function()
  test_events("a child that takes long to stop, and again", function(log,
    events)
    local sup = start(log, "a b", { name = "top" }, { shutdown = "infinity" })
    log:send("a", { hang = true })
    core.spawn(function() supervisor.stop(sup) end)
    core.sleep(4990)
    assert.same({}, events "child_stop_slow")
    core.sleep(36000)
    local told = events "child_stop_slow"
    for i, e in ipairs(told) do
      assert.equal("a", e.id)
      assert.equal("top", e.supervisor)
      assert.equal(log.pids.a, e.pid)
      assert.equal(5000 * 2 ^ (i - 1), e.ms)
    end
    assert.equal(4, #told)
    log.pids.a:exit "kill"
    core.sleep(60000)
    assert.is_false(core.is_alive(sup))
    assert.equal(4, #events "child_stop_slow")
  end)

  test_events("some of many children that take long", function(log, events)
    local sup = assert(dynamic_supervisor.start_link())
    for i = 1, 20 do
      assert(dynamic_supervisor.start_child(sup,
        log:child(i, { shutdown = "infinity" })))
      log:send(i, { hang = true })
    end
    core.spawn(function() supervisor.stop(sup) end)
    core.sleep(6000)
    assert.equal(5, #events "child_stop_slow")
    core.unlink(sup)
    sup:exit "kill"
  end)

  test_events("no slow stop where the child is killed then", function(log,
    events)
    local sup = start(log, "a")
    log:send("a", { hang = true })
    assert.is_true(supervisor.stop(sup))
    assert.equal(5000, core.now())
    assert.same({}, events "child_stop_slow")
  end)

  test_events("each start, exit and restart", function(log, events)
    local sup = start(log, "a", { name = "top" })
    local old = log.pids.a
    log:crash("a", "crash")
    supervisor.terminate_child(sup, "a")
    local started = events("child_started")[1]
    assert.equal("top", started.supervisor)
    assert.equal("a", started.id)
    assert.equal(old, started.pid)
    assert.equal(1, #events "child_started")
    local restarted = events("child_restarted")[1]
    assert.equal(old, restarted.old)
    assert.equal(log.pids.a, restarted.pid)
    local exited = events "child_exited"
    assert.equal(2, #exited)
    assert.equal("crash", exited[1].reason)
    assert.equal(old, exited[1].pid)
    assert.equal("shutdown", exited[2].reason)
  end)

  test_events("the end of a child that its start function outlives",
    function(log, events)
      local sup = assert(supervisor.start_link {})
      log:next_starts("a", function()
        local pid = core.spawn_link(function() core.exit "crash" end)
        core.sleep(1)
        return pid
      end)
      assert(supervisor.start_child(sup, log:child "a"))
      local exited = events "child_exited"
      assert.equal(1, #exited)
      assert.equal("crash", exited[1].reason)
    end)

  test_events("failed starts, and why it gave up", function(log, events)
    core.trap_exit(true)
    local sup = start(log, "a", { max_restarts = 1 })
    log:next_starts("a", fails_with { "no", "way" })
    core.send(log.pids.a, { exit = "crash" })
    reason_of(sup)
    local failed = events("child_start_failed")[1]
    assert.equal(sup, failed.supervisor)
    assert.same({ "no", "way" }, failed.reason)
    local gave_up = events("supervisor_gave_up")[1]
    assert.equal("a", gave_up.id)
    assert.same({ "no", "way" }, gave_up.reason)
  end)

  test_events("the last reasons when it gives up", function(log, events)
    core.trap_exit(true)
    local sup = start(log, "a b c", { max_restarts = 6 })
    log:crash("a", "one")
    log:crash("b", "normal")
    log:crash("c", { "shutdown", 3 })
    log:next_starts("a", fails_with "four", fails_with "five", fails_with "six")
    core.send(log.pids.a, { exit = "crash" })
    reason_of(sup)
    local gave_up = events("supervisor_gave_up")[1]
    assert.equal("a", gave_up.id)
    assert.equal("six", gave_up.reason)
    assert.same({
      { id = "c", reason = { "shutdown", 3 } }, { id = "a", reason = "crash" },
      { id = "a", reason = "four" }, { id = "a", reason = "five" },
      { id = "a", reason = "six" },
    }, gave_up.reasons)
  end)

  test_events("a normal end too when that was once too often",
    function(log, events)
      core.trap_exit(true)
      local sup = start(log, "a", { max_restarts = 0 })
      log:send("a", { exit = "normal" })
      reason_of(sup)
      local gave_up = events("supervisor_gave_up")[1]
      assert.equal("normal", gave_up.reason)
      assert.same({ { id = "a", reason = "normal" } }, gave_up.reasons)
    end)

  test_events("why a child had ended that it was about to stop",
    function(log, events)
      local sup = start(log, "a b", nil, { shutdown = 50 })
      log:send("b", { hang = true })
      core.spawn(function() supervisor.terminate_child(sup, "b") end)
      core.spawn(function()
        core.sleep(10)
        supervisor.terminate_child(sup, "a")
      end)
      core.sleep(20)
      log:send("a", { exit = "boom" })
      core.sleep(100)
      assert.equal("a:stopped b:stopped", states(sup))
      local exited = events "child_exited"
      assert.equal(2, #exited)
      assert.equal("a", exited[2].id)
      assert.equal("boom", exited[2].reason)
    end)
end)
