-- Which children come back, with whom, and how often.

local children = require "spec.support.children"
local banyan = require "banyan"
local core = require "banyan.core"
local reasons = require "spec.support.reasons"
local supervisor = require "banyan.supervisor"

local start = children.start
local states = children.states
local test = children.test
local reason_of = reasons.of

describe("a child that ends", function()
  local cells = {
    { "permanent", "normal", true }, { "permanent", "crash", true },
    { "permanent", "shutdown", true }, { "transient", "normal", false },
    { "transient", "shutdown", false },
    { "transient", { "shutdown", 1 }, false },
    { "transient", "crash", true }, { "transient", "killed", true },
    { "temporary", "normal", false }, { "temporary", "crash", false },
  }
  for _, cell in ipairs(cells) do
    local restart, reason, back = cell[1], cell[2], cell[3]
    local name = type(reason) == "table" and "{shutdown, x}" or reason
    test(("%s, for %s, %s"):format(restart, name,
      back and "comes back" or "does not come back"), function(log)
      local sup = start(log, "a b", nil, { restart = restart })
      log:crash("a", reason)
      assert.equal(back and "+a" or "", log:take())
      local expected = "a:running b:running"
      if not back then
        expected = restart == "temporary" and "b:running"
          or "a:stopped b:running"
      end
      assert.equal(expected, states(sup))
    end)
  end

  test("ends its supervisor, and its siblings, when that is once too often",
    function(log)
      core.trap_exit(true)
      local sup = start(log, "a b", { max_restarts = 2, max_seconds = 5 })
      log:crash "a"
      log:crash "b"
      assert.equal("+a +b", log:take())
      log:crash "a"
      assert.equal("-b", log:take())
      assert.same({ tag = "EXIT", from = sup, reason = "shutdown" },
        core.receive())
    end)

  test("does not count after max_seconds, to the millisecond", function(log)
    core.trap_exit(true)
    local sup = start(log, "a", { max_restarts = 1, max_seconds = 0.5 })
    log:crash "a"
    core.sleep(500) -- and one in crash
    log:crash "a"
    assert.is_true(core.is_alive(sup))
    core.sleep(499)
    log:crash "a"
    assert.is_false(core.is_alive(sup))
  end)

  test("ends its supervisor at once when max_restarts is 0", function(log)
    core.trap_exit(true)
    local sup = start(log, "a", { max_restarts = 0 })
    log:crash "a"
    assert.is_false(core.is_alive(sup))
  end)

  test("restarts all its siblings in one_for_all", function(log)
    start(log, "a b c", { strategy = "one_for_all" })
    log:crash "b"
    assert.equal("-c -a +a +b +c", log:take())
  end)

  test("restarts the siblings after it in rest_for_one", function(log)
    start(log, "a b c d", { strategy = "rest_for_one" })
    log:crash "b"
    assert.equal("-d -c +b +c +d", log:take())
  end)

  -- All of them crash before the supervisor hears of the first.
  local function crash_together(log, sup, ids)
    supervisor.start_child(sup, { id = "killer", restart = "temporary",
      start = function()
        for _, id in ipairs(ids) do log.pids[id]:exit "kill" end
        return nil, "ignore"
      end })
    core.sleep(1)
  end

  local groups = {
    -- which crash, in that order; what happens; how many units it costs
    { "one_for_all", { "a", "c" }, "-b +a +b +c", 1 },
    { "one_for_all", { "c", "b", "a" }, "+a +b +c", 1 },
    { "rest_for_one", { "a", "c" }, "-b +a +b +c", 1 },
    { "rest_for_one", { "c", "a" }, "+c -c -b +a +b +c", 2 },
    { "one_for_one", { "c", "a" }, "+c +a", 2 },
  }
  for _, group in ipairs(groups) do
    local strategy, ids, trace, units = group[1], group[2], group[3], group[4]
    test(("counts once for all that ended together (%s: %d in %s)"):format(
      table.concat(ids, " "), units, strategy), function(log)
      local sup = start(log, "a b c",
        { strategy = strategy, max_restarts = units })
      crash_together(log, sup, ids)
      assert.equal(trace, log:take())
      assert.equal("a:running b:running c:running", states(sup))
      core.trap_exit(true)
      sup = start(log, "a b c",
        { strategy = strategy, max_restarts = units - 1 })
      crash_together(log, sup, ids)
      assert.is_false(core.is_alive(sup))
    end)
  end

  test("ends its supervisor when it is significant, with any_significant",
    function(log)
      core.trap_exit(true)
      local sup = assert(supervisor.start_link({
        log:child "a",
        log:child("b", { restart = "transient", significant = true }),
      }, { auto_shutdown = "any_significant" }))
      log:crash("b", "crash")
      assert.equal("a:running b:running", states(sup))
      log:take()
      log:crash("b", "normal")
      assert.equal("-a", log:take())
      assert.equal("shutdown", core.receive().reason)
    end)

  test("is restarted later when its supervisor is busy",
    function(log)
      local sup = start(log, "a b")
      local asked = core.spawn(function()
        supervisor.start_child(sup, { id = "slow", start = function()
          core.sleep(100)
          return log:start "slow"
        end })
      end)
      core.sleep(10)
      log:crash "a"
      assert.equal("", log:take())
      reason_of(asked)
      core.sleep(1)
      assert.equal("+slow +a", log:take())
    end)

  -- Starts a child that ends before its supervisor has heard of it.
  local function brief(reason, signal)
    return function()
      local above = core.self()
      local pid = core.spawn_link(function()
        if signal then above:exit(signal) end
        core.exit(reason)
      end)
      core.sleep(1)
      return pid
    end
  end

  test("ends normally when it does before its start function returns",
    function(log)
      local sup = assert(supervisor.start_link {})
      log:next_starts("a", brief "normal")
      log:next_starts("b", brief({ "shutdown", 1 }, "signal"))
      for _, id in ipairs { "a", "b" } do
        assert(supervisor.start_child(sup,
          log:child(id, { restart = "transient" })))
      end
      core.sleep(1)
      assert.equal("!a !b", log:take())
      assert.equal("a:stopped b:stopped", states(sup))
    end)

  test("is restarted when it crashes before its start function returns",
    function(log)
      local sup = assert(supervisor.start_link {})
      log:next_starts("a", brief("crash", "normal"))
      assert(supervisor.start_child(sup,
        log:child("a", { restart = "transient" })))
      core.sleep(1)
      assert.equal("!a +a", log:take())
      assert.equal("a:running", states(sup))
    end)

  test("ends normally also after it sent its supervisor an exit signal",
    function(log)
      local sup = assert(supervisor.start_link {
        log:child("a", { restart = "transient" }),
      })
      log:take()
      core.send(log.pids.a, { signal = sup })
      core.send(log.pids.a, { exit = "normal" })
      core.sleep(1)
      assert.equal("", log:take())
      assert.equal("a:stopped", states(sup))
    end)

  test("while a start function receives is handled afterwards",
    function(log)
      local sup = start(log, "a b")
      local greedy = { id = "greedy", start = function()
        local me = core.self()
        log.pids.a:exit "kill"
        assert.same({ nil, "timeout" }, { banyan.receive(5) })
        assert.same({ nil, "timeout" },
          { banyan.receive(function() return true end, 5) })
        core.spawn(function() core.sleep(5) me:send "ready" end)
        assert.equal("ready", banyan.receive())
        return log:start "greedy"
      end }
      log:take()
      assert(supervisor.start_child(sup, greedy))
      assert.equal("+greedy", log:take())
      core.sleep(1)
      assert.equal("+a", log:take())
      assert.equal("a:running b:running greedy:running", states(sup))
    end)
end)
