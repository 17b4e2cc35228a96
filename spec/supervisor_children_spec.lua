-- Children that are started, ended and looked at by request.

local children = require "spec.support.children"
local core = require "banyan.core"
local dynamic_supervisor = require "banyan.dynamic_supervisor"
local server = require "banyan.server"
local supervisor = require "banyan.supervisor"

local fails_with = children.fails_with
local start = children.start
local states = children.states
local test = children.test

describe("start_child", function()
  test("adds a child as the last one", function(log)
    local sup = start(log, "a")
    local pid, extra = supervisor.start_child(sup, {
      id = "b", start = function() return log:start "b", { more = true } end,
    })
    assert.equal(log.pids.b, pid)
    assert.same({ more = true }, extra)
    assert.equal("a:running b:running", states(sup))
  end)

  test("refuses an id that is taken", function(log)
    local sup = start(log, "a")
    assert.same({ nil, { "already_started", log.pids.a } },
      { supervisor.start_child(sup, log:child "a") })
    supervisor.terminate_child(sup, "a")
    assert.same({ nil, "already_present" },
      { supervisor.start_child(sup, log:child "a") })
  end)

  test("answers the reason for which a start failed", function(log)
    local sup = start(log, "a")
    log:next_starts("b", fails_with { "bad", { weather = true } })
    local pid, err = supervisor.start_child(sup, log:child "b")
    assert.is_nil(pid)
    assert.same({ "bad", { weather = true } }, err)
    assert.equal("a:running", states(sup))
    log:next_starts("b", fails_with "ignore")
    assert.same({ nil, "ignore" },
      { supervisor.start_child(sup, log:child "b") })
    assert.equal("a:running b:stopped", states(sup))
  end)

  test("answers the pid alone where what came with it cannot be sent",
    function(log)
      local sup = start(log, "")
      local loop = {}
      loop.loop = loop
      local result = { supervisor.start_child(sup, {
        id = "b", start = function() return log:start "b", loop end,
      }) }
      assert.same({ log.pids.b }, result)
    end)

  test("refuses a significant child when auto_shutdown is never",
    function(log)
      local sup = start(log, "a")
      local spec = log:child("b",
        { restart = "transient", significant = true })
      assert.same({ nil, { "bad_combination",
        { auto_shutdown = "never", significant = true } } },
        { supervisor.start_child(sup, spec) })
    end)

  test("keeps nothing of a child that runs under another supervisor",
    function(log)
      local sup = start(log, "a")
      local other = core.spawn(function() core.receive() end)
      log:next_starts("b", fails_with { "already_started", other })
      assert.same({ nil, { "already_started", other } },
        { supervisor.start_child(sup, log:child "b") })
      assert.equal("a:running", states(sup))
    end)

  test("needs an id in a static supervisor", function(log)
    local sup = start(log, "a")
    local spec = log:child "b"
    spec.id = nil
    assert.error_matches(function() supervisor.start_child(sup, spec) end,
      "id must be")
    assert.same({ nil, "missing_id" },
      { dynamic_supervisor.start_child(sup, spec) })
    assert.equal("a:running", states(sup))
  end)

  test("answers noproc when there is no supervisor", function(log)
    assert.same({ nil, "noproc" },
      { supervisor.start_child("nobody", log:child "a") })
    assert.same({ nil, "noproc" }, { supervisor.which_children "nobody" })
  end)
end)

describe("a supervisor", function()
  test("terminates, restarts and deletes by id", function(log)
    local sup = start(log, "a b")
    assert.same({ nil, "running" }, { supervisor.restart_child(sup, "a") })
    assert.same({ nil, "running" }, { supervisor.delete_child(sup, "a") })
    assert.is_true(supervisor.terminate_child(sup, "a"))
    assert.is_true(supervisor.terminate_child(sup, "a"))
    assert.equal("a:stopped b:running", states(sup))
    local pid = supervisor.restart_child(sup, "a")
    assert.equal(log.pids.a, pid)
    supervisor.terminate_child(sup, "a")
    assert.is_true(supervisor.delete_child(sup, "a"))
    assert.equal("b:running", states(sup))
    for _, op in ipairs { "terminate_child", "restart_child", "delete_child",
      "get_childspec" } do
      assert.same({ nil, "not_found" }, { supervisor[op](sup, "a") })
      assert.same({ nil, "not_found" }, { supervisor[op](sup, log.pids.b) })
    end
  end)

  -- What each request answers for a child in each state.
  local answers = {
    running = { start_child = "already_started", restart_child = "running",
      delete_child = "running", terminate_child = true },
    restarting = { start_child = "already_present",
      restart_child = "restarting", delete_child = "restarting",
      terminate_child = true },
    stopped = { start_child = "already_present", delete_child = true,
      restart_child = "pid", terminate_child = true },
    unknown = { start_child = "pid", restart_child = "not_found",
      delete_child = "not_found", terminate_child = "not_found" },
  }
  local into = {
    running = function() end,
    restarting = function(log) log:crash "a" end,
    stopped = function(_, sup) supervisor.terminate_child(sup, "a") end,
    unknown = function(_, sup)
      supervisor.terminate_child(sup, "a")
      supervisor.delete_child(sup, "a")
    end,
  }
  for state, requests in pairs(answers) do
    for request, expected in pairs(requests) do
      test(("answers %s of a child that is %s with %s"):format(request, state,
        tostring(expected)), function(log)
        local sup = start(log, "a", nil, { backoff = { min = 1000 } })
        into[state](log, sup)
        local what = request == "start_child" and log:child "a" or "a"
        local ok, err = supervisor[request](sup, what)
        if expected == "pid" then
          assert.equal(log.pids.a, ok)
        elseif expected == true then
          assert.is_true(ok)
        else
          assert.is_nil(ok)
          assert.equal(expected, type(err) == "table" and err[1] or err)
        end
      end)
    end
  end

  test("terminates a child that takes time to stop", function(log)
    local sup = start(log, "a b", nil, { shutdown = 100 })
    log:send("a", { hang = true })
    local from = core.now()
    assert.is_true(supervisor.terminate_child(sup, "a"))
    assert.equal(100, core.now() - from)
    assert.equal("a:stopped b:running", states(sup))
  end)

  test("forgets a temporary child that it terminates", function(log)
    local sup = start(log, "a", nil, { restart = "temporary" })
    assert.is_true(supervisor.terminate_child(sup, "a"))
    assert.equal("", states(sup))
    assert.same({ nil, "not_found" }, { supervisor.terminate_child(sup, "a") })
  end)

  test("shows the spec of a child with its defaults", function(log)
    local fn = function() return log:start "f" end
    package.loaded["spec.named"] = { go = fn }
    local sup = assert(supervisor.start_link {
      { id = "a", start = { "spec.named", "go", { 1, { 2 } } } },
      { id = 2, start = fn, restart = "transient", shutdown = "brutal_kill",
        backoff = { min = 5 } },
      { id = 3, start = { "spec.named", "go", { "big" } },
        restart = "temporary", type = "supervisor" },
    })
    assert.same({
      id = "a", start = { "spec.named", "go", { 1, { 2 } } },
      restart = "permanent", shutdown = 5000, type = "worker",
      significant = false,
    }, supervisor.get_childspec(sup, "a"))
    assert.same({
      id = 2, start = fn, restart = "transient", shutdown = "brutal_kill",
      type = "worker", significant = false,
      backoff = { min = 5, max = 30000, factor = 2, jitter = 0,
        reset_after = 30000 },
    }, supervisor.get_childspec(sup, 2))
    local third = supervisor.get_childspec(sup, 3)
    assert.equal("infinity", third.shutdown)
    assert.same({ "spec.named", "go", {} }, third.start)
    package.loaded["spec.named"] = nil
  end)

  test("counts its children", function(log)
    local sup = assert(supervisor.start_link {
      log:child "a", log:child("b", { type = "supervisor" }), log:child "c",
    })
    supervisor.terminate_child(sup, "c")
    assert.same({ specs = 3, active = 2, supervisors = 1, workers = 2 },
      supervisor.count_children(sup))
  end)

  test("answers an unknown request with an error", function(log)
    local sup = start(log, "a")
    assert.same({ nil, "unknown_request" }, { core.call(sup, "hello") })
    assert.same({ nil, "unknown_request" }, { core.call(sup, { "hello" }) })
    assert.same({ nil, "unknown_system_request" },
      { server.get_state(sup) })
    core.send(sup, "hello")
    core.cast(sup, true)
    assert.equal("a:running", states(sup))
  end)

  -- As csrc/lua/otp/childspec.h says; each case spoils one place.
  local function policy(of)
    of = of or {}
    return (of.restart or 0) + (of.arguments or 0) * 2 ^ 4
      + ((of.shutdown or 5000) + 2) * 2 ^ 14
  end
  local function packed()
    return { "start_child", policy(), false, "x", "spec.nothing", "go" }
  end
  for place, values in pairs {
    [2] = {
      false, "x", 0.5, 0 / 0, math.huge, -1, policy { restart = 3 },
      policy { arguments = 1001 }, policy { shutdown = -3 },
      policy { shutdown = 2 ^ 31 },
    },
    [3] = { {}, { 0, 10, 2, 0, 0 }, { 1, 10, 0 / 0, 0, 0 },
      { 10, 1, 2, 0, 0 }, { 1, 10, 2, 2, 0 } },
    [4] = { true, 0 / 0, {} },
  } do
    test("survives a packed spec that is wrong at place " .. place,
      function(log)
        local sup = start(log, "a")
        for _, value in ipairs(values) do
          local request = packed()
          request[place] = value
          local ok, err = core.call(sup, request)
          assert.is_nil(ok)
          assert.equal("invalid_child_spec", err)
        end
        assert.equal("a:running", states(sup))
      end)
  end

  test("does not take an exit signal of a living child for its end",
    function(log)
      local sup = start(log, "a b")
      local a = log.pids.a
      log:send("a", { signal = sup })
      core.sleep(1)
      assert.equal("", log:take())
      assert.equal(a, supervisor.which_children(sup)[1].pid)
      log:crash "a"
      assert.equal("+a", log:take())
    end)

  test("does not wait for itself when it is called in a start function",
    function(log)
      local sup = start(log, "")
      local inner
      supervisor.start_child(sup, { id = 1, start = function()
        inner = { supervisor.start_child(sup, log:child "x") }
        return nil, "ignore"
      end })
      assert.same({ nil, "calling_self" }, inner)
    end)

  test("is a child by its shorthand", function(log)
    local sup = assert(supervisor.start_link {
      { "banyan.supervisor", { log:child "x" } },
      { "banyan.dynamic_supervisor", { name = "pool" } },
    })
    assert.equal("banyan.supervisor:running pool:running", states(sup))
    assert.same({ specs = 2, active = 2, supervisors = 2, workers = 0 },
      supervisor.count_children(sup))
    assert.equal("dynamic",
      core.supervisor.kind("pool"))
  end)
end)
