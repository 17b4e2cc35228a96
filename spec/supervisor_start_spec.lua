-- How a supervisor starts, from a list or a module, and what it refuses.

local children = require "spec.support.children"
local core = require "banyan.core"
local dynamic_supervisor = require "banyan.dynamic_supervisor"
local lua = require "spec.support.lua"
local reasons = require "spec.support.reasons"
local supervisor = require "banyan.supervisor"

local fails_with = children.fails_with
local start = children.start
local states = children.states
local test = children.test
local assert_error_reason = reasons.assert_error
local reason_of = reasons.of

describe("a start function that receives", function()
  test("does not see what the supervisor is asked", function(log)
    local sup, me = start(log, "a"), core.self()
    core.spawn(function()
      assert(supervisor.start_child(sup, { id = "b", start = function()
        me:send { core.receive(20) }
        return log:start "b"
      end }))
    end)
    core.sleep(1)
    assert.equal(2, supervisor.count_children(sup).active)
    assert.same({ nil, "timeout" }, core.receive())
  end)

  test("sees the end of a process that it has started itself", function(log)
    local sup = start(log, "a")
    local reason
    assert(supervisor.start_child(sup, { id = "b", start = function()
      local helper = core.spawn_link(function() core.exit "helped" end)
      local msg = core.receive(10)
      reason = msg and msg.from == helper and msg.reason
      return log:start "b"
    end }))
    assert.equal("helped", reason)
  end)
end)

describe("supervisor.start_link", function()
  test("starts the children in order and answers when all run", function(log)
    local sup = assert(supervisor.start_link {
      log:child "a", log:child "b", log:child "c",
    })
    assert.equal("+a +b +c", log:take())
    assert.equal("a:running b:running c:running", states(sup))
    assert.equal("supervisor", core.process_info(sup).behaviour
      or "supervisor")
  end)

  test("registers a name, and answers who has it when it is taken",
    function(log)
      local sup = start(log, "a", { name = "top" })
      assert.equal(sup, core.whereis "top")
      local pid, err = supervisor.start_link({}, { name = "top" })
      assert.is_nil(pid)
      assert.same({ "already_started", sup }, err)
    end)

  for _, traps in ipairs { true, false } do
    test("stops those that had started when one fails, without an EXIT at a "
      .. "caller that " .. (traps and "traps" or "does not trap"),
      function(log)
        core.trap_exit(traps)
        local before = #core.processes()
        log:next_starts("c", fails_with "no luck")
        local sup, err = supervisor.start_link({
          log:child "a", log:child "b", log:child "c", log:child "d",
        }, { name = "top" })
        assert.is_nil(sup)
        assert.same(
          { "shutdown", { "failed_to_start_child", "c", "no luck" } }, err)
        assert.equal("+a +b !c -b -a", log:take())
        assert.equal(before, #core.processes())
        assert.is_nil(core.whereis "top")
        assert.same({ nil, "timeout" }, { core.receive(0) })
      end)
  end

  local function failure_of(spec)
    local sup, err = supervisor.start_link { spec }
    assert.is_nil(sup)
    assert.equal("failed_to_start_child", err[2][1])
    return err[2][3]
  end

  test("answers the error when a start function raises", function()
    local reason = failure_of { id = 1, start = function() error "oh" end }
    assert_error_reason("oh", reason)
  end)

  test("answers bad_return when a start function returns no pid", function()
    local reason = failure_of { id = 1, start = function() return 42 end }
    assert.same({ "bad_return", 42 }, reason)
    reason = failure_of { id = 1, start = function() end }
    assert.equal("bad_return", reason[1])
    reason = failure_of { id = 1, start = function() return core.self() end }
    assert.equal("bad_return", reason[1])
  end)

  test("raises in the caller when an argument cannot be sent", function()
    local loop = {}
    loop.loop = loop
    local before = #core.processes()
    assert.error_matches(function()
      supervisor.start_link { { id = 1, start = { "m", "f", { loop } } } }
    end, "contains itself")
    assert.equal(before, #core.processes())
  end)

  test("keeps nothing of children that failed to start", function(log)
    local function round()
      for _ = 1, 200 do
        log:next_starts("c", fails_with { "no", ("luck"):rep(100) })
        supervisor.start_link({ log:child "a", log:child "b", log:child "c" },
          { name = "top" })
        log:take()
        log.pids = {}
      end
      return lua.in_use()
    end
    round()
    local first = round()
    assert.is_true(round() < first + 20)
  end)

  test("names a module or a function that is missing", function()
    local reason = failure_of { id = 1, start = { "no.such", "f", {} } }
    assert_error_reason("^module 'no%.such' not found$", reason)
    assert_error_reason("no%.such", failure_of "no.such")
    reason = failure_of { id = 1, start = { "banyan.core", "nope" } }
    assert_error_reason('module "banyan.core" has no function "nope"', reason)
  end)

  test("fails when a start function calls banyan.exit", function()
    local reason = failure_of { id = 1, start = function()
      core.exit("gone fishing")
    end }
    assert.equal("gone fishing", reason)
  end)

  test("keeps the spec of a child that answers ignore, unless it is temporary",
    function(log)
      log:next_starts("a", fails_with "ignore")
      log:next_starts("b", fails_with "ignore")
      local sup = start(log, "")
      assert(supervisor.stop(sup))
      sup = assert(supervisor.start_link {
        log:child("a"), log:child("b", { restart = "temporary" }),
        log:child("c"),
      })
      assert.equal("a:stopped c:running", states(sup))
    end)

  for position, expected in ipairs {
    "a:stopped b:running c:running", "a:running b:stopped c:running",
    "a:running b:running c:stopped",
  } do
    test("starts the others when child " .. position .. " answers ignore",
      function(log)
        local id = ("abc"):sub(position, position)
        log:next_starts(id, fails_with "ignore")
        local sup = start(log, "a b c")
        assert.equal(expected, states(sup))
        assert.same({ specs = 3, active = 2, supervisors = 0, workers = 3 },
          supervisor.count_children(sup))
        log:next_starts(id, fails_with "ignore")
        assert.same({ nil, "ignore" }, { supervisor.restart_child(sup, id) })
        assert.equal(expected, states(sup))
        assert.is_true(core.is_alive((supervisor.restart_child(sup, id))))
        log:take()
        assert.is_true(supervisor.stop(sup))
        assert.equal("-c -b -a", log:take())
      end)
  end

  test("does not count a significant child that answers ignore",
    function(log)
      local spec = { restart = "transient", significant = true }
      log:next_starts("a", fails_with "ignore")
      local sup = assert(supervisor.start_link({
        log:child("a", spec), log:child("b", spec),
      }, { auto_shutdown = "all_significant" }))
      assert.equal("a:stopped b:running", states(sup))
      core.trap_exit(true)
      log:crash("b", "normal")
      assert.is_false(core.is_alive(sup))
    end)

  for _, kind in ipairs { "simple", "dynamic" } do
    test("keeps nothing of a " .. kind .. " child that answers ignore",
      function(log)
        local sup, start_one = children.pool(kind, log)
        log:next_starts("a", fails_with "ignore")
        assert.same({ nil, "ignore" }, { start_one "a" })
        assert.same({}, supervisor.which_children(sup))
        assert.equal(0, supervisor.count_children(sup).workers)
      end)
  end

  -- Five children of 1 MB of arguments each; how many kB that takes.
  local function kilobytes(kind, restart)
    local spec = { id = "template", restart = restart,
      start = { "spec.big", "go" } }
    local sup = assert(kind == "dynamic" and dynamic_supervisor.start_link()
      or kind == "static" and supervisor.start_link {}
      or supervisor.start_link({ spec }, { strategy = "simple_one_for_one" }))
    local before = lua.in_use()
    for i = 1, 5 do
      local args = { ("x"):rep(1e6) .. i }
      assert(supervisor.start_child(sup, kind == "simple" and args
        or { id = i, restart = restart, start = { "spec.big", "go", args } }))
    end
    local used = lua.in_use() - before
    assert(supervisor.stop(sup))
    return used
  end

  for _, kind in ipairs { "static", "simple", "dynamic" } do
    test("keeps no arguments of a temporary " .. kind .. " child",
      function()
        package.loaded["spec.big"] = { go = function()
          return core.spawn_link(function() core.receive() end)
        end }
        core.trap_exit(true)
        assert.is_true(kilobytes(kind, "permanent") > 4000)
        assert.is_true(kilobytes(kind, "temporary") < 1000)
        package.loaded["spec.big"] = nil
      end)
  end

  test("links a child whose start function did not", function()
    local child
    local sup = assert(supervisor.start_link {
      { id = 1, start = function()
        child = core.spawn(function() core.receive() end)
        return child
      end },
    })
    local first = child
    child:exit("crash")
    core.sleep(1)
    assert.not_equal(first, child)
    assert.equal("1:running", states(sup))
  end)

  test("calls module, function and arguments by their names", function()
    local got
    package.loaded["spec.named"] = {
      start_link = function(...)
        got = { n = select("#", ...), ... }
        return core.spawn_link(function() core.receive() end)
      end,
    }
    local args = { 1, nil, { deep = "x" }, n = 3 }
    local sup = assert(supervisor.start_link {
      { id = "a", start = { "spec.named", "start_link", args } },
    })
    args[3].deep = "changed"
    assert.same({ n = 3, 1, nil, { deep = "x" } }, got)
    got[3].deep = "spoilt"
    supervisor.which_children(sup)[1].pid:exit("crash")
    core.sleep(1)
    assert.same({ n = 3, 1, nil, { deep = "x" } }, got)
    package.loaded["spec.named"] = nil
  end)

  test("takes the shorthands of child specs", function()
    local got = {}
    local function start_link(arg)
      got[#got + 1] = arg or "nothing"
      return core.spawn_link(function() core.receive() end)
    end
    package.loaded["spec.plain"] = { start_link = start_link }
    package.loaded["spec.own"] = {
      start_link = start_link,
      child_spec = function(arg)
        return { id = "own", start = { "spec.own", "start_link", { arg } },
          restart = "transient" }
      end,
    }
    local sup = assert(supervisor.start_link {
      "spec.plain", { "spec.own", "x" },
    })
    assert.same({ "nothing", "x" }, got)
    assert.equal("spec.plain:running own:running", states(sup))
    assert.equal("transient", supervisor.get_childspec(sup, "own").restart)
    package.loaded["spec.plain"], package.loaded["spec.own"] = nil, nil
  end)

  test("stops its children when its caller ended while it started",
    function(log)
      local sup
      local starter = core.spawn(function()
        supervisor.start_link {
          { id = "slow", start = function()
            sup = core.self()
            core.sleep(100)
            return log:start "slow"
          end },
          log:child "b",
        }
      end)
      core.sleep(50)
      starter:exit("enough")
      assert.equal("enough", reason_of(sup))
      assert.equal("+slow +b -b -slow", log:take())
    end)
end)

describe("a supervisor made from a module", function()
  test("runs its init in the supervisor", function(log)
    local where
    local sup = assert(supervisor.start_link({
      init = function(arg)
        where = core.self()
        return supervisor.init({ log:child(arg.id) },
          { strategy = "one_for_all" })
      end,
    }, { id = "a" }, { name = "top" }))
    assert.equal(sup, where)
    assert.equal(sup, core.whereis "top")
    assert.equal("a:running", states(sup))
  end)

  local function failure(init)
    core.trap_exit(true)
    local sup, err = supervisor.start_link({ init = init }, 7)
    assert.is_nil(sup)
    assert.same({ nil, "timeout" }, { core.receive(0) })
    return err
  end

  test("starts nothing when init answers ignore or an error", function()
    assert.equal("ignore", failure(function() return supervisor.ignore end))
    assert.equal("no", failure(function() return nil, "no" end))
    assert_error_reason("oh", failure(function() error "oh" end))
    assert.same({ "bad_return", 8 },
      failure(function(n) return n + 1 end))
    assert.equal("bad_return", failure(function() return {} end)[1])
    assert_error_reason("children%[1%]", failure(function()
      return supervisor.init { { id = 1 } }
    end))
  end)

  test("may be a child, and runs its init at each restart", function(log)
    local runs = 0
    package.loaded["spec.tree"] = {
      init = function(id)
        runs = runs + 1
        return supervisor.init { log:child(id) }
      end,
      start_link = function(id)
        return supervisor.start_link("spec.tree", id)
      end,
      child_spec = function(id)
        return { id = "tree", type = "supervisor",
          start = { "spec.tree", "start_link", { id } } }
      end,
    }
    local sup = assert(supervisor.start_link { { "spec.tree", "x" } })
    supervisor.which_children(sup)[1].pid:exit "kill"
    core.sleep(1)
    assert.equal(2, runs)
    local inner = supervisor.which_children(sup)[1].pid
    assert.equal("x:running", states(inner))
    assert.equal(log.pids.x, supervisor.which_children(inner)[1].pid)
    package.loaded["spec.tree"].init = function() return supervisor.ignore end
    inner:exit "kill"
    core.sleep(1)
    assert.equal("tree:stopped", states(sup))
    package.loaded["spec.tree"] = nil
  end)

  test("may be named by a string", function(log)
    package.loaded["spec.tree"] = {
      init = function() return supervisor.init { log:child "a" } end,
    }
    local sup = assert(supervisor.start_link("spec.tree"))
    assert.equal("a:running", states(sup))
    package.loaded["spec.tree"] = nil
  end)
end)

describe("misuse of a supervisor", function()
  local start_it = function() return core.self() end
  local cases = {
    { "children must be a list", 7 },
    { "children must be a list, but it has the key \"x\"", { x = 1 } },
    { "children%[1%]: a child spec must be a table", { 7 } },
    { "id must be a string, an integer", { { start = start_it } } },
    { "start must be", { { id = 1 } } },
    { "start must be {\"module\", \"fn\", {args}}",
      { { id = 1, start = { "m" } } } },
    { "arguments in a child spec's start must be a list",
      { { id = 1, start = { "m", "f", 3 } } } },
    { "arguments in a child spec's start must be a list, got a table without",
      { { id = 1, start = { "m", "f", { name = "x" } } } } },
    { "start must be {\"module\", \"fn\", {args}}, but it has more",
      { { id = 1, start = { "m", "f", {}, 3 } } } },
    { "shorthand of a child spec is {\"module\", arg}, but it has \"id\"",
      { { "m", 1, id = "x" } } },
    { "shorthand of a child spec is {\"module\", arg}, but it has 3",
      { { "m", 1, 2 } } },
    { "no option \"strat\"", { { id = 1, start = start_it, strat = 1 } } },
    { "restart must be one of \"permanent\", \"temporary\", \"transient\"",
      { { id = 1, start = start_it, restart = "often" } } },
    { "shutdown must be milliseconds",
      { { id = 1, start = start_it, shutdown = -1 } } },
    { "type must be one of", { { id = 1, start = start_it, type = "x" } } },
    { "significant must be a boolean",
      { { id = 1, start = start_it, significant = 1 } } },
    { "permanent child cannot be significant",
      { { id = 1, start = start_it, significant = true } } },
    { "a significant child needs the option auto_shutdown",
      { { id = 1, start = start_it, significant = true,
        restart = "transient" } } },
    { "backoff has no option \"mix\"",
      { { id = 1, start = start_it, backoff = { mix = 1 } } } },
    { "backoff.min must be a number from 1",
      { { id = 1, start = start_it, backoff = { min = 0 } } } },
    { "backoff.max must be a number from 50 to 2147483647, got 49",
      { { id = 1, start = start_it, backoff = { min = 50, max = 49 } } } },
    { "children%[2%]: id \"a\" is taken by children%[1%]",
      { { id = "a", start = start_it }, { id = "a", start = start_it } } },
    { "list of one spec", {}, { strategy = "simple_one_for_one" } },
    { "strategy", {}, { strategy = "all_for_none" } },
    { "unknown option \"max_restart\"", {}, { max_restart = 1 } },
    { "max_restarts", {}, { max_restarts = -1 } },
    { "max_seconds", {}, { max_seconds = 0 } },
    { "auto_shutdown", {}, { auto_shutdown = true } },
    { "third argument belongs to a module", {}, {}, {} },
  }
  for _, case in ipairs(cases) do
    test("is an error: " .. case[1], function()
      local before = #core.processes()
      local ok, err = pcall(supervisor.start_link, case[2], case[3], case[4])
      assert.is_false(ok)
      assert.matches("supervisor.start_link: .*" .. case[1], err)
      assert.equal(before, #core.processes())
    end)
  end

  test("points at the caller", function()
    local _, err = pcall(function() supervisor.start_link({ 7 }) end)
    assert.matches("supervisor_start_spec%.lua:%d+: supervisor.start_link", err)
    _, err = pcall(function() supervisor.start_child("top", 7) end)
    assert.matches(
      "supervisor_start_spec%.lua:%d+: supervisor.start_child", err)
    _, err = pcall(function() supervisor.terminate_child("top") end)
    assert.matches(
      "supervisor_start_spec%.lua:%d+: supervisor.terminate_child", err)
    for _, name in ipairs { "start_child", "terminate_child", "restart_child",
      "delete_child", "get_childspec", "which_children", "count_children",
      "stop" } do
      _, err = pcall(function() local _ = supervisor[name](nil, "a") end)
      assert.matches("supervisor_start_spec%.lua:%d+: .*destination must be",
        err)
    end
    local bad = { id = 1, start = { "m", "f", { setmetatable({}, {}) } } }
    local sup = assert(supervisor.start_link {})
    _, err = pcall(function() local _ = supervisor.start_child(sup, bad) end)
    assert.matches("supervisor_start_spec%.lua:%d+: cannot send a table", err)
  end)
end)
