-- The events of a supervisor.

local children = require "spec.support.children"
local core = require "banyan.core"
local reasons = require "spec.support.reasons"
local run = require "spec.support.run"
local supervisor = require "banyan.supervisor"

local fails_with = children.fails_with
local start = children.start
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

  test_events("failed starts, and why it gave up", function(log, events)
    core.trap_exit(true)
    local sup = start(log, "a", { max_restarts = 1 })
    log:fate("a", fails_with { "no", "way" })
    core.send(log.pids.a, { exit = "crash" })
    reason_of(sup)
    local failed = events("child_start_failed")[1]
    assert.equal(sup, failed.supervisor)
    assert.same({ "no", "way" }, failed.reason)
    local gave_up = events("supervisor_gave_up")[1]
    assert.equal("a", gave_up.id)
    assert.same({ "no", "way" }, gave_up.reason)
  end)
end)
