-- Restarts that fail, and are tried again.

local children = require "spec.support.children"
local core = require "banyan.core"
local reasons = require "spec.support.reasons"
local supervisor = require "banyan.supervisor"

local fails_with = children.fails_with
local start = children.start
local states = children.states
local test = children.test
local reason_of = reasons.of

describe("a restart that fails", function()
  test("is tried again until it succeeds", function(log)
    local sup = start(log, "a")
    log:next_starts("a", fails_with "x", function() error "y" end)
    log:crash "a"
    core.sleep(1)
    assert.equal("!a !a +a", log:take())
    assert.equal("a:running", states(sup))
  end)

  -- A child that never comes back, under a supervisor that never gives up.
  local function stick(log, id)
    local function fail()
      log:next_starts(id, fail)
      return nil, "stuck"
    end
    log:next_starts(id, fail)
    local ref = core.monitor(log.pids[id])
    log:send(id, { exit = "crash" })
    repeat local msg = core.receive() until msg.ref == ref
    while not log:has("!" .. id) do core.sleep(0) end
  end

  local function stuck(log)
    local sup = start(log, "a b", { max_restarts = math.huge })
    stick(log, "a")
    return sup
  end

  test("lets the supervisor answer between two attempts", function(log)
    local sup = stuck(log)
    assert.equal("a:restarting b:running", states(sup))
    assert.same({ nil, "restarting" }, { supervisor.restart_child(sup, "a") })
    assert.same({ nil, "restarting" }, { supervisor.delete_child(sup, "a") })
    assert.same({ nil, "already_present" },
      { supervisor.start_child(sup, log:child "a") })
    assert.same({ specs = 2, active = 1, supervisors = 0, workers = 2 },
      supervisor.count_children(sup))
    assert.is_true(supervisor.terminate_child(sup, "a"))
    assert.equal("a:stopped b:running", states(sup))
    log:take()
    core.sleep(5)
    assert.equal("", log:take())
    log.starts.a = nil
    assert.is_true(core.is_alive((supervisor.restart_child(sup, "a"))))
  end)

  test("does not keep others from running, nor the supervisor from stopping",
    function(log)
      core.trap_exit(true)
      local sup = stuck(log)
      for _ = 1, 20 do states(sup) end
      assert.is_true(supervisor.stop(sup))
    end)

  test("counts as a restart each time", function(log)
    core.trap_exit(true)
    local sup = start(log, "a b", { max_restarts = 3 })
    log:next_starts("a", fails_with(1), fails_with(2), fails_with(3))
    core.send(log.pids.a, { exit = "crash" })
    assert.equal("shutdown", reason_of(sup))
    assert.equal("!a !a !a -b", log:take())
  end)

  test("stops the group again in one_for_all", function(log)
    start(log, "a b c", { strategy = "one_for_all" })
    log:next_starts("b", fails_with "x")
    log:crash "c"
    core.sleep(1)
    assert.equal("-b -a +a !b -a +a +b +c", log:take())
  end)

  test("does not stop those before it in rest_for_one", function(log)
    start(log, "a b c d", { strategy = "rest_for_one" })
    log:next_starts("c", fails_with "x")
    log:crash "b"
    core.sleep(1)
    assert.equal("-d -c +b !c +c +d", log:take())
  end)

  for _, case in ipairs {
    { "one_for_all", "a:running b:restarting c:stopped" },
    { "rest_for_one", "a:running b:restarting c:stopped" },
    { "one_for_one", "a:running b:restarting c:running" },
  } do
    test("shows the states of the children in " .. case[1], function(log)
      local sup = start(log, "a b c",
        { strategy = case[1], max_restarts = math.huge })
      stick(log, "b")
      assert.equal(case[2], states(sup))
      assert.is_true(supervisor.terminate_child(sup, "b"))
      log:take()
      core.sleep(5)
      assert.equal("", log:take())
      assert.equal((case[2]:gsub("restarting", "stopped")), states(sup))
    end)
  end

  test("may meet the end of a sibling in one group", function(log)
    local sup = start(log, "a b c",
      { strategy = "one_for_all", max_restarts = math.huge })
    stick(log, "b")
    log.starts.b = nil
    log:crash "a"
    core.sleep(1)
    assert.equal("a:running b:running c:running", states(sup))
  end)

  test("does not keep a supervisor from ending with its parent", function(log)
    local sup
    local parent = core.spawn(function()
      sup = start(log, "a b", { max_restarts = math.huge })
      core.receive()
    end)
    core.sleep(1)
    stick(log, "b")
    log:take()
    parent:exit "tired"
    assert.equal("tired", reason_of(sup))
    assert.equal("-a", log:take():match "%-.*")
  end)

  test("is cancelled when the start function answers ignore", function(log)
    local sup = start(log, "a b")
    log:next_starts("a", fails_with "x", fails_with "ignore")
    log:crash "a"
    core.sleep(1)
    assert.equal("!a !a", log:take())
    assert.equal("a:stopped b:running", states(sup))
    assert.is_true(core.is_alive((supervisor.restart_child(sup, "a"))))
  end)

  for _, kind in ipairs { "simple", "dynamic" } do
    test("is cancelled by the last pid of a " .. kind .. " child",
      function(log)
        local sup, start_one = children.pool(kind, log, nil,
          { max_restarts = math.huge })
        local a = start_one "a"
        start_one "b"
        stick(log, "a")
        local rows = supervisor.which_children(sup)
        assert.same({ state = "restarting", type = "worker" }, rows[1])
        assert.equal("running", rows[2].state)
        local counts = supervisor.count_children(sup)
        assert.equal(1, counts.active)
        assert.equal(2, counts.workers)
        assert.is_true(supervisor.terminate_child(sup, a))
        log:take()
        core.sleep(5)
        assert.equal("", log:take())
        assert.equal(1, #supervisor.which_children(sup))
      end)

    test("counts as a restart each time in a " .. kind .. " supervisor",
      function(log)
        core.trap_exit(true)
        local sup, start_one = children.pool(kind, log, nil,
          { max_restarts = 2 })
        start_one "a"
        start_one "b"
        log:take()
        log:next_starts("a", fails_with(1), fails_with(2))
        core.send(log.pids.a, { exit = "crash" })
        assert.equal("shutdown", reason_of(sup))
        assert.equal("!a !a -b", log:take())
      end)

    test("is cancelled when a " .. kind .. " child answers ignore",
      function(log)
        local sup, start_one = children.pool(kind, log)
        start_one "a"
        log:next_starts("a", fails_with "x", fails_with "ignore")
        log:crash "a"
        core.sleep(1)
        assert.same({}, supervisor.which_children(sup))
      end)
  end
end)

describe("a restart that a sibling causes", function()
  for _, strategy in ipairs { "one_for_all", "rest_for_one" } do
    test("counts as one restart for all in " .. strategy, function(log)
      core.trap_exit(true)
      local sup = start(log, "a b c d", { strategy = strategy,
        max_restarts = 2 })
      log:crash "a"
      log:crash "a"
      assert.equal(("-d -c -b +a +b +c +d "):rep(2), log:take() .. " ")
      log:crash "a"
      assert.equal("shutdown", core.receive().reason)
      assert.is_false(core.is_alive(sup))
      assert.equal("-d -c -b", log:take())
    end)

    test("stops and forgets temporary children in " .. strategy,
      function(log)
        local sup = assert(supervisor.start_link({
          log:child "a", log:child("b", { restart = "temporary" }),
          log:child("c", { restart = "transient" }),
        }, { strategy = strategy }))
        log:take()
        log:crash "a"
        assert.equal("-c -b +a +c", log:take())
        assert.equal("a:running c:running", states(sup))
        assert.same({ nil, "not_found" },
          { supervisor.get_childspec(sup, "b") })
      end)

    test("also starts those that were terminated by request in " .. strategy,
      function(log)
        local sup = start(log, "a b", { strategy = strategy })
        supervisor.terminate_child(sup, "b")
        log:take()
        log:crash "a"
        assert.equal("+a +b", log:take())
        assert.equal("a:running b:running", states(sup))
      end)
  end
end)
