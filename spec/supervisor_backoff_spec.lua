-- Restarts that wait.

local children = require "spec.support.children"
local core = require "banyan.core"
local supervisor = require "banyan.supervisor"

local fails_with = children.fails_with
local start = children.start
local states = children.states
local test = children.test

describe("a back-off", function()
  test("delays restarts, longer each time", function(log)
    local sup = start(log, "a b", { max_restarts = 10 },
      { backoff = { min = 100, max = 250, factor = 2 } })
    for _, wait in ipairs { 100, 200, 250, 250 } do
      log:crash "a"
      assert.equal("a:restarting b:running", states(sup))
      core.sleep(wait - 2)
      assert.equal("", log:take())
      core.sleep(2)
      assert.equal("+a", log:take())
    end
  end)

  test("is cancelled by terminate_child and by stop", function(log)
    core.trap_exit(true)
    local sup = start(log, "a b", nil, { backoff = { min = 1000 } })
    log:crash "a"
    log:crash "b"
    assert.is_true(supervisor.terminate_child(sup, "a"))
    core.sleep(5000)
    assert.equal("a:stopped b:running", states(sup))
    assert.equal("+b", log:take())
    log:crash "b"
    assert.is_true(supervisor.stop(sup))
    core.sleep(5000)
    assert.equal("", log:take())
  end)

  -- How long a crashed child was away.
  local function absence(log, id)
    local from = core.now()
    core.send(log.pids[id], { exit = "crash" })
    repeat core.sleep(1) until log:has("+" .. id)
    log:take()
    return core.now() - from
  end

  test("starts again at min after a child has run for reset_after",
    function(log)
      start(log, "a", { max_restarts = 10 },
        { backoff = { min = 100, max = 1000, reset_after = 5000 } })
      assert.is_true(absence(log, "a") <= 101)
      assert.is_true(absence(log, "a") >= 200)
      core.sleep(4000)
      assert.is_true(absence(log, "a") >= 400)
      core.sleep(5000)
      assert.is_true(absence(log, "a") <= 101)
    end)

  test("is shortened by up to the part that is jitter", function(log)
    start(log, "a", { max_restarts = math.huge },
      { backoff = { min = 1000, max = 1000, jitter = 0.5 } })
    local least, most = math.huge, 0
    for _ = 1, 100 do
      local ms = absence(log, "a")
      least, most = math.min(least, ms), math.max(most, ms)
    end
    assert.is_true(least >= 500 and least < 600)
    assert.is_true(most > 900 and most <= 1001)
  end)

  test("grows with each start that fails, which counts as a restart",
    function(log)
      core.trap_exit(true)
      local sup = start(log, "a b", { max_restarts = 2 },
        { backoff = { min = 100 } })
      log:next_starts("a", fails_with(1), fails_with(2))
      log:crash "a"
      core.sleep(100)
      assert.equal("!a", log:take())
      core.sleep(199)
      assert.equal("", log:take())
      core.sleep(1)
      assert.equal("!a -b", log:take())
      assert.is_false(core.is_alive(sup))
    end)

  test("shows the child as restarting", function(log)
    local sup = start(log, "a b", nil, { backoff = { min = 1000 } })
    log:crash "a"
    assert.same({ nil, "restarting" }, { supervisor.restart_child(sup, "a") })
    assert.same({ nil, "restarting" }, { supervisor.delete_child(sup, "a") })
    assert.same({ nil, "already_present" },
      { supervisor.start_child(sup, log:child "a") })
    assert.equal("a", supervisor.get_childspec(sup, "a").id)
  end)

  test("delays the restart of a group, and ends with the supervisor",
    function(log)
      local slow = { backoff = { min = 1000 } }
      local sup = assert(supervisor.start_link({
        log:child "a", log:child("b", slow), log:child "c",
      }, { strategy = "one_for_all" }))
      log:take()
      log:crash "b"
      assert.equal("-c -a", log:take())
      assert.equal("a:stopped b:restarting c:stopped", states(sup))
      core.sleep(1000)
      assert.equal("+a +b +c", log:take())
    end)

  test("is cancelled when a sibling restarts the group", function(log)
    local sup = assert(supervisor.start_link({
      log:child "a", log:child("b", { backoff = { min = 1000 } }),
    }, { strategy = "rest_for_one" }))
    log:take()
    log:crash "b"
    log:crash "a"
    assert.equal("+a +b", log:take())
    core.sleep(2000)
    assert.equal("a:running b:running", states(sup))
    assert.equal("", log:take())
  end)

  for _, kind in ipairs { "simple", "dynamic" } do
    test("is cancelled by the last pid of a " .. kind .. " child",
      function(log)
        local sup, start_one = children.pool(kind, log,
          { backoff = { min = 1000 } })
        local a = start_one "a"
        log:crash "a"
        assert.equal("restarting", supervisor.which_children(sup)[1].state)
        assert.is_true(supervisor.terminate_child(sup, a))
        core.sleep(2000)
        assert.equal("+a", log:take())
        assert.same({}, supervisor.which_children(sup))
      end)
  end
end)
