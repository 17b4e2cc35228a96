local children = require "spec.support.children"
local core = require "banyan.core"
local pair = require "spec.support.pair"
local run = require "spec.support.run"
local server = require "banyan.server"
local supervisor = require "banyan.supervisor"

local reason_of = children.reason_of

-- `it`, with the body run as a process; it gets a fresh log of children.
local function test(name, body)
  it(name, function()
    run(function() body(children.log()) end)
  end)
end

-- The same, with the list of all events.
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

-- A supervisor of children with these ids.
local function start(log, ids, opts, more)
  local list = {}
  for id in ids:gmatch("%a+") do list[#list + 1] = log:child(id, more) end
  local sup = assert(supervisor.start_link(list, opts))
  log:take()
  return sup
end

local function states(sup)
  local text = {}
  for _, row in ipairs(supervisor.which_children(sup)) do
    text[#text + 1] = row.id .. ":" .. row.state
    assert.equal(row.state == "running", row.pid ~= nil)
  end
  return table.concat(text, " ")
end

local function assert_error_reason(pattern, reason)
  assert.equal("error", reason[1])
  assert.matches(pattern, reason[2])
  assert.equal("string", type(reason[3]))
end

local function fails_with(reason)
  return function() return nil, reason end
end

-- --- starting --------------------------------------------------------------

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

  test("registers a name, and says who has it", function(log)
    local sup = start(log, "a", { name = "top" })
    assert.equal(sup, core.whereis "top")
    local pid, err = supervisor.start_link({}, { name = "top" })
    assert.is_nil(pid)
    assert.same({ "already_started", sup }, err)
  end)

  for _, traps in ipairs { true, false } do
    test("that fails stops those that had started and leaves no EXIT at a "
      .. "caller that " .. (traps and "traps" or "does not trap"),
      function(log)
        core.trap_exit(traps)
        local before = #core.processes()
        log:fate("c", fails_with "no luck")
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

  test("says that a start function raised", function()
    local reason = failure_of { id = 1, start = function() error "oh" end }
    assert_error_reason("oh", reason)
  end)

  test("says that a start function returned no pid", function()
    local reason = failure_of { id = 1, start = function() return 42 end }
    assert.same({ "bad_return", 42 }, reason)
    reason = failure_of { id = 1, start = function() end }
    assert.equal("bad_return", reason[1])
    reason = failure_of { id = 1, start = function() return core.self() end }
    assert.equal("bad_return", reason[1])
  end)

  test("raises, in the caller, what cannot be sent to a child", function()
    local loop = {}
    loop.loop = loop
    local before = #core.processes()
    assert.error_matches(function()
      supervisor.start_link { { id = 1, start = { "m", "f", { loop } } } }
    end, "contains itself")
    assert.equal(before, #core.processes())
  end)

  test("names a module or a function that is missing", function()
    local reason = failure_of { id = 1, start = { "no.such", "f", {} } }
    assert_error_reason("module 'no%.such' not found", reason)
    assert_error_reason("no%.such", failure_of "no.such")
    reason = failure_of { id = 1, start = { "banyan.core", "nope" } }
    assert_error_reason('module "banyan.core" has no function "nope"', reason)
  end)

  test("takes banyan.exit in a start function for a failure", function()
    local reason = failure_of { id = 1, start = function()
      core.exit("gone fishing")
    end }
    assert.equal("gone fishing", reason)
  end)

  test("keeps the spec of a child that ignores, unless it is temporary",
    function(log)
      log:fate("a", fails_with "ignore")
      log:fate("b", fails_with "ignore")
      local sup = start(log, "")
      assert(supervisor.stop(sup))
      sup = assert(supervisor.start_link {
        log:child("a"), log:child("b", { restart = "temporary" }),
        log:child("c"),
      })
      assert.equal("a:stopped c:running", states(sup))
    end)

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

  test("understands the shorthands", function()
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

  test("ends, in order, when its caller ended while it started", function(log)
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

  test("starts nothing when init says so", function()
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
    { "backoff.max must be a number from 50",
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
    assert.matches("supervisor_spec%.lua:%d+: supervisor.start_link", err)
    _, err = pcall(function() supervisor.start_child("top", 7) end)
    assert.matches("supervisor_spec%.lua:%d+: supervisor.start_child", err)
    _, err = pcall(function() supervisor.terminate_child("top") end)
    assert.matches("supervisor_spec%.lua:%d+: supervisor.terminate_child", err)
  end)
end)

-- --- restarts --------------------------------------------------------------

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

  test("once too often ends its supervisor, and its siblings", function(log)
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

  test("is forgiven after max_seconds, to the millisecond", function(log)
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

  test("ends a supervisor at once that allows no restarts", function(log)
    core.trap_exit(true)
    local sup = start(log, "a", { max_restarts = 0 })
    log:crash "a"
    assert.is_false(core.is_alive(sup))
  end)

  test("takes all its siblings along in one_for_all", function(log)
    start(log, "a b c", { strategy = "one_for_all" })
    log:crash "b"
    assert.equal("-c -a +a +b +c", log:take())
  end)

  test("takes those after it along in rest_for_one", function(log)
    start(log, "a b c d", { strategy = "rest_for_one" })
    log:crash "b"
    assert.equal("-d -c +b +c +d", log:take())
  end)

  test("ends its supervisor by itself where any significant one may",
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

  test("that is killed while its supervisor is busy is restarted later",
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
end)

describe("a restart that fails", function()
  test("is tried again until it succeeds", function(log)
    local sup = start(log, "a")
    log:fate("a", fails_with "x", function() error "y" end)
    log:crash "a"
    core.sleep(1)
    assert.equal("!a !a +a", log:take())
    assert.equal("a:running", states(sup))
  end)

  -- A child that never comes back, under a supervisor that never gives up.
  local function stuck(log)
    local sup = start(log, "a b", { max_restarts = math.huge })
    local function fail()
      log:fate("a", fail)
      return nil, "stuck"
    end
    log:fate("a", fail)
    core.send(log.pids.a, { exit = "crash" })
    return sup
  end

  test("leaves the supervisor able to answer", function(log)
    local sup = stuck(log)
    repeat local now = states(sup) until now ~= "a:running b:running"
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
    log.fates.a = nil
    assert.is_true(core.is_alive((supervisor.restart_child(sup, "a"))))
  end)

  test("does not starve others, nor the stop of the supervisor", function(log)
    core.trap_exit(true)
    local sup = stuck(log)
    for _ = 1, 20 do states(sup) end
    assert.is_true(supervisor.stop(sup))
  end)

  test("costs a unit of intensity each time", function(log)
    core.trap_exit(true)
    local sup = start(log, "a b", { max_restarts = 3 })
    log:fate("a", fails_with(1), fails_with(2), fails_with(3))
    core.send(log.pids.a, { exit = "crash" })
    assert.equal("shutdown", reason_of(sup))
    assert.equal("!a !a !a -b", log:take())
  end)

  test("stops the group again in one_for_all", function(log)
    start(log, "a b c", { strategy = "one_for_all" })
    log:fate("b", fails_with "x")
    log:crash "c"
    core.sleep(1)
    assert.equal("-b -a +a !b -a +a +b +c", log:take())
  end)
end)

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
end)

-- --- stopping --------------------------------------------------------------

describe("stopping a supervisor", function()
  test("stops the children in reverse start order", function(log)
    core.trap_exit(true)
    local sup = start(log, "a b c")
    assert.is_true(supervisor.stop(sup, "enough"))
    assert.equal("-c -b -a", log:take())
    assert.same({ tag = "EXIT", from = sup, reason = "enough" },
      core.receive())
  end)

  test("kills those that do not stop, when their time is over", function(log)
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

  test("is not held up by a child that unlinked itself", function(log)
    core.trap_exit(true)
    local sup = start(log, "a", nil, { shutdown = 50 })
    log:send("a", { unlink = sup })
    log:send("a", { hang = true })
    assert.is_true(supervisor.stop(sup))
    assert.is_false(core.is_alive(log.pids.a))
  end)

  test("waits for ever for a child with infinity", function(log)
    core.trap_exit(true)
    local sup = start(log, "a", nil, { shutdown = "infinity" })
    log:send("a", { hang = true })
    assert.same({ nil, "timeout" }, { supervisor.stop(sup, "normal", 1e6) })
    assert.is_true(core.is_alive(sup))
    log:send("a", { exit = "at last" })
    assert.equal("normal", reason_of(sup))
  end)

  test("gives no time where it says brutal_kill", function(log)
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

  test("does not happen when a stranger ends", function(log)
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

  test("leaves no process behind when it is killed", function(log)
    core.trap_exit(true)
    local before = #core.processes()
    local inner = { id = "inner", type = "supervisor", start = function()
      return supervisor.start_link { log:child "x", log:child "y" }
    end }
    local sup = assert(supervisor.start_link { log:child "a", inner })
    log:send("x", { hang = true })
    assert.equal(before + 5, #core.processes())
    sup:exit("kill")
    core.sleep(1)
    assert.equal(before, #core.processes())
  end)

  test("leaves no grandchild behind a supervisor that had too little time",
    function(log)
      core.trap_exit(true)
      local before = #core.processes()
      local sup = assert(supervisor.start_link {
        { id = "inner", type = "supervisor", shutdown = 20,
          start = function()
            return supervisor.start_link {
              log:child("x", { shutdown = "infinity" }),
            }
          end },
      })
      log:send("x", { hang = true })
      assert.is_true(supervisor.stop(sup))
      core.sleep(1)
      assert.equal(before, #core.processes())
    end)

  test("stops 1,000 that had crashed at the same time", function(log)
    core.trap_exit(true)
    local list = {}
    for i = 1, 1000 do list[i] = log:child("c" .. i) end
    local sup = assert(supervisor.start_link(list))
    for i = 1, 1000 do log.pids["c" .. i]:exit("kill") end
    assert.equal("shutdown", reason_of(sup))
  end)
end)

-- --- requests --------------------------------------------------------------

describe("start_child", function()
  test("starts one more, as the last", function(log)
    local sup = start(log, "a")
    local pid, extra = supervisor.start_child(sup, {
      id = "b", start = function() return log:start "b", { more = true } end,
    })
    assert.equal(log.pids.b, pid)
    assert.same({ more = true }, extra)
    assert.equal("a:running b:running", states(sup))
  end)

  test("refuses an id that is there", function(log)
    local sup = start(log, "a")
    assert.same({ nil, { "already_started", log.pids.a } },
      { supervisor.start_child(sup, log:child "a") })
    supervisor.terminate_child(sup, "a")
    assert.same({ nil, "already_present" },
      { supervisor.start_child(sup, log:child "a") })
  end)

  test("answers the reason of a failure as it is", function(log)
    local sup = start(log, "a")
    log:fate("b", fails_with { "bad", { weather = true } })
    local pid, err = supervisor.start_child(sup, log:child "b")
    assert.is_nil(pid)
    assert.same({ "bad", { weather = true } }, err)
    assert.equal("a:running", states(sup))
    log:fate("b", fails_with "ignore")
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

  test("is refused for a significant child where none ends the supervisor",
    function(log)
      local sup = start(log, "a")
      local spec = log:child("b",
        { restart = "transient", significant = true })
      assert.same({ nil, { "invalid_significant", true } },
        { supervisor.start_child(sup, spec) })
    end)

  test("answers noproc where there is no supervisor", function(log)
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

  test("terminates a child that takes its time", function(log)
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

  test("answers what it does not know with an error", function(log)
    local sup = start(log, "a")
    assert.same({ nil, "unknown_request" }, { core.call(sup, "hello") })
    assert.same({ nil, "unknown_request" }, { core.call(sup, { "hello" }) })
    assert.same({ nil, "unknown_system_request" },
      { server.get_state(sup) })
    core.send(sup, "hello")
    core.cast(sup, true)
    assert.equal("a:running", states(sup))
  end)

  test("does not wait for itself", function(log)
    local sup = start(log, "")
    local inner
    supervisor.start_child(sup, { id = 1, start = function()
      inner = { supervisor.start_child(sup, log:child "x") }
      return nil, "ignore"
    end })
    assert.same({ nil, "calling_self" }, inner)
  end)

  test("nests by shorthand", function(log)
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

-- --- simple_one_for_one ------------------------------------------------------

describe("simple_one_for_one", function()
  local function simple(log, more, opts)
    local template = { id = "t", start = function(id)
      return log:start(id)
    end }
    for key, value in pairs(more or {}) do template[key] = value end
    local settings = { strategy = "simple_one_for_one" }
    for key, value in pairs(opts or {}) do settings[key] = value end
    return assert(supervisor.start_link({ template }, settings))
  end

  test("makes children from a template and extra arguments", function()
    local got
    package.loaded["spec.named"] = { go = function(...)
      got = { ... }
      return core.spawn_link(function() core.receive() end)
    end }
    local sup = assert(supervisor.start_link({
      { id = "t", start = { "spec.named", "go", { 1, 2 } } },
    }, { strategy = "simple_one_for_one" }))
    assert.same({}, supervisor.which_children(sup))
    local pid = assert(supervisor.start_child(sup, { 3, "x" }))
    assert.same({ 1, 2, 3, "x" }, got)
    got = nil
    pid:exit("crash")
    core.sleep(1)
    assert.same({ 1, 2, 3, "x" }, got)
    assert(supervisor.start_child(sup))
    assert.same({ 1, 2 }, got)
    package.loaded["spec.named"] = nil
  end)

  test("knows its children by pid", function(log)
    local sup = simple(log)
    local a = assert(supervisor.start_child(sup, { "a" }))
    local b = assert(supervisor.start_child(sup, { "b" }))
    assert.same({
      { pid = a, state = "running", type = "worker" },
      { pid = b, state = "running", type = "worker" },
    }, supervisor.which_children(sup))
    assert.same({ specs = 1, active = 2, supervisors = 0, workers = 2 },
      supervisor.count_children(sup))
    assert.is_true(supervisor.terminate_child(sup, a))
    assert.is_true(supervisor.terminate_child(sup, a))
    assert.same({ nil, "not_found" },
      { supervisor.terminate_child(sup, core.self()) })
    assert.same({ nil, "simple_one_for_one" },
      { supervisor.terminate_child(sup, "t") })
    assert.same({ nil, "simple_one_for_one" },
      { supervisor.restart_child(sup, "t") })
    assert.same({ nil, "simple_one_for_one" },
      { supervisor.delete_child(sup, b) })
    assert.equal("t", supervisor.get_childspec(sup, "t").id)
    assert.equal("t", supervisor.get_childspec(sup, b).id)
  end)

  test("stops them side by side", function(log)
    core.trap_exit(true)
    local sup = simple(log, { shutdown = 200 })
    for i = 1, 10 do
      supervisor.start_child(sup, { "c" .. i })
      log:send("c" .. i, { hang = true })
    end
    local from = core.now()
    assert.is_true(supervisor.stop(sup))
    assert.equal(200, core.now() - from)
  end)

  test("takes a list of arguments and nothing else", function(log)
    local sup = simple(log)
    assert.error_matches(function() supervisor.start_child(sup, "x") end,
      "takes a list of extra arguments")
  end)
end)

-- --- telling -----------------------------------------------------------------

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

-- --- from another node ------------------------------------------------------

describe("a supervisor on another node", function()
  -- `it`, on two nodes; the body gets {name=, node=} of a supervisor there.
  local function far_test(name, opts, body)
    it(name, function()
      pair(function(b)
        b:spawn(function()
          package.loaded["spec.far"] = {
            go = function(id)
              return core.spawn_link(function() core.receive() end), id
            end,
          }
          opts.name = "far"
          assert(supervisor.start_link({
            { id = "t", start = { "spec.far", "go", {} } },
          }, opts))
          core.receive()
        end)
        local dest = { name = "far", node = b:name() }
        while select(2, supervisor.count_children(dest)) == "noproc" do
          core.sleep(1)
        end
        body(dest, b:name())
        package.loaded["spec.far"] = nil
      end)
    end)
  end

  far_test("takes every request", {}, function(dest, node)
    local spec = { id = "x", start = { "spec.far", "go", { "more" } } }
    local pid, extra = supervisor.start_child(dest, spec)
    assert.equal(node, pid:node())
    assert.equal("more", extra)
    assert.same({ nil, { "already_started", pid } },
      { supervisor.start_child(dest, spec) })
    assert.equal(pid, supervisor.which_children(dest)[2].pid)
    assert.same({ "spec.far", "go", { "more" } },
      supervisor.get_childspec(dest, "x").start)
    assert.is_true(supervisor.terminate_child(dest, "x"))
    assert.is_true(supervisor.delete_child(dest, "x"))
    assert.equal(1, supervisor.count_children(dest).specs)
    assert.is_true(supervisor.stop(dest))
  end)

  far_test("may be simple_one_for_one", { strategy = "simple_one_for_one" },
    function(dest)
      local pid, extra = supervisor.start_child(dest, { "a" })
      assert.equal("a", extra)
      assert.same({ { pid = pid, state = "running", type = "worker" } },
        supervisor.which_children(dest))
    end)

  far_test("is sent no functions", {}, function(dest)
    assert.error_matches(function()
      supervisor.start_child(dest, { id = 1, start = function() end })
    end, "cannot send a function to another node")
  end)
end)
