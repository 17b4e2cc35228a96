-- Runs under lockstep: one tape decides everything, and what fails is found,
-- replayed and shrunk.

local banyan = require "banyan"
local lockstep = require "banyan.lockstep"
local server = require "banyan.server"

local STRATEGIES = { "random", "pct", "pos", "fair_pct", "dfs" }

local Store = {}
function Store:init() self.n = 0 end
function Store:handle_call(msg)
  if msg == "get" then return self.n end
  self.n = msg.set
  return true
end

-- Two processes that each read, add one and write.
local function lost_update()
  local store = assert(server.start_link(Store))
  local me = banyan.self()
  for _ = 1, 2 do
    banyan.spawn_link(function()
      local n = server.call(store, "get", math.huge)
      server.call(store, { set = n + 1 }, math.huge)
      banyan.send(me, "done")
    end)
  end
  for _ = 1, 2 do banyan.receive() end
  local n = server.call(store, "get", math.huge)
  if n ~= 2 then error("an update is lost", 0) end
end

local function text_of(...)
  return tostring(lockstep.run(...))
end

describe("lockstep.run", function()
  for _, strategy in ipairs(STRATEGIES) do
    it("finds a lost update by " .. strategy, function()
      local report = lockstep.run(lost_update,
        { strategy = strategy, iterations = 1000 })
      assert.is_false(report.ok)
      assert.equal("error", report.kind)
      assert.truthy(tostring(report.reason):find("an update is lost", 1, true))
      assert.equal(strategy, report.strategy)
    end)
  end

  it("answers how many runs were made when all go well", function()
    local runs = 0
    local report = lockstep.run(function()
      runs = runs + 1
      banyan.sleep(3600000)
      assert.equal(3600000, banyan.now())
    end, { iterations = 7 })
    assert.is_true(report.ok)
    assert.equal(7, report.iterations)
    assert.equal(7, runs)
    assert.truthy(tostring(report):find("7 runs", 1, true))
  end)

  it("sees by dfs that there is no other schedule", function()
    local orders = {}
    local report = lockstep.run(function()
      local me, seen = banyan.self(), {}
      for i = 1, 3 do banyan.spawn(function() banyan.send(me, i) end) end
      for i = 1, 3 do seen[i] = banyan.receive() end
      orders[table.concat(seen)] = true
    end, { strategy = "dfs" })
    assert.is_true(report.ok)
    assert.is_true(report.complete)
    local count = 0
    for _ in pairs(orders) do count = count + 1 end
    assert.equal(6, count)
  end)

  -- What looks at another without a message is a step that touches it too, or
  -- the reduction would take the two for independent.
  local looks = {
    is_alive = { function() end, function(pid) return pid:is_alive() end },
    process_info = {
      function() end,
      function(pid) return banyan.process_info(pid) ~= nil end,
    },
    registered = {
      function() banyan.register "x" banyan.receive() end,
      function() return #banyan.registered() end,
    },
    whereis = {
      function() banyan.register "x" banyan.send(banyan.self(), 1) end,
      function() return banyan.whereis "x" ~= nil end,
    },
  }

  local function outcomes_of(target, look, reduce)
    local seen = {}
    local report = lockstep.run(function()
      local me = banyan.self()
      local pid = banyan.spawn(target)
      banyan.spawn(function()
        banyan.send(banyan.self(), 1)
        local before = look(pid)
        banyan.send(banyan.self(), 1)
        banyan.send(me, tostring(before) .. " " .. tostring(look(pid)))
      end)
      seen[banyan.receive()] = true
    end, { strategy = "dfs", reduce = reduce })
    assert.is_true(report.complete)
    return seen
  end

  for name, case in pairs(looks) do
    it("loses nothing by reduction where one looks by " .. name, function()
      local target, look = case[1], case[2]
      assert.same(outcomes_of(target, look, false),
        outcomes_of(target, look, true))
    end)
  end

  it("takes under dfs orders that differ in shared variables alone", function()
    local function orders_of(opts)
      local seen, count = {}, 0
      local report = lockstep.run(function()
        local order = {}
        for i = 1, 3 do
          banyan.spawn(function()
            order[#order + 1] = i
            if #order == 3 then seen[table.concat(order)] = true end
          end)
        end
      end, opts)
      for _ in pairs(seen) do count = count + 1 end
      return count, report
    end
    local all, report = orders_of { strategy = "dfs", settle = true }
    assert.equal(6, all)
    assert.is_true(report.complete)
    local _, fewer = orders_of { strategy = "dfs", settle = true,
      reduce = true }
    assert.is_true(fewer.iterations < report.iterations)
  end)

  it("lets a time-out come before its reply", function()
    local outcomes = {}
    lockstep.run(function()
      local store = assert(server.start_link(Store))
      local answer, why = server.call(store, "get", 5000)
      outcomes[answer == 0 and "answered" or why] = true
    end, { strategy = "random", iterations = 3000 })
    assert.same({ answered = true, timeout = true }, outcomes)
  end)

  it("lets no time pass while there is work if the clock is idle", function()
    lockstep.check(function()
      local store = assert(server.start_link(Store))
      assert.equal(0, server.call(store, "get", 1))
    end, { clock = "idle", iterations = 300 })
  end)

  it("says who waits for whom in a deadlock", function()
    local text = text_of(function()
      local name = "waiter"
      banyan.register("main")
      banyan.spawn(function()
        banyan.register(name)
        banyan.receive()
      end)
      banyan.receive()
    end)
    assert.truthy(text:find("deadlock", 1, true))
    assert.truthy(text:find("body (process) waits for a message", 1, true))
    assert.truthy(text:find("waiter (process) waits for a message", 1, true))
  end)

  it("checks invariants after every step", function()
    local report = lockstep.run(function()
      local sum = 0
      lockstep.invariant(function() return sum <= 2 end, "a sum of 2 at most")
      for _ = 1, 3 do
        banyan.spawn(function() sum = sum + 1 end)
      end
      banyan.sleep(10)
    end)
    assert.equal("invariant", report.kind)
    assert.equal("a sum of 2 at most does not hold", report.reason)
  end)

  it("takes an invariant that raises an error for one that does not hold",
    function()
      local function reason_of(fn)
        local report = lockstep.run(function()
          lockstep.invariant(fn, "it")
          banyan.sleep(1)
        end)
        assert.equal("invariant", report.kind)
        return report.reason
      end
      assert.equal("oh", reason_of(function() error("oh", 0) end))
      assert.equal("it does not hold", reason_of(function() error() end))
    end)

  it("fails for a watched process that ends in an error", function()
    local report = lockstep.run(function()
      local pid = banyan.spawn(function() error("oh", 0) end)
      lockstep.watch(pid, "the worker")
      banyan.sleep(10)
    end)
    assert.equal("error", report.kind)
    assert.truthy(tostring(report):find("the worker: ", 1, true))
  end)

  it("fails for a body that is ended by another", function()
    local report = lockstep.run(function()
      local me = banyan.self()
      banyan.spawn(function() me:exit "boom" end)
      banyan.receive()
    end)
    assert.equal("error", report.kind)
    assert.equal("boom", report.reason)
  end)

  it("ends after max_steps, and says what to do", function()
    local report = lockstep.run(function()
      while true do banyan.sleep(1) end
    end, { max_steps = 50, iterations = 1 })
    assert.equal("max_steps", report.kind)
    assert.equal(50, report.steps)
    assert.truthy(tostring(report):find("fair_pct", 1, true))
  end)

  it("ends when the body returns, or when all is quiet if it is to settle",
    function()
      local late = 0
      local function body()
        banyan.spawn(function()
          banyan.sleep(1000)
          late = late + 1
        end)
      end
      assert.is_true(lockstep.run(body, { iterations = 5, clock = "idle" }).ok)
      assert.equal(0, late)
      assert.is_true(lockstep.run(body, { iterations = 5, settle = true }).ok)
      assert.equal(5, late)
    end)

  it("fails for processes that are left over, if asked", function()
    local function body() banyan.spawn(banyan.receive) end
    assert.is_true(lockstep.run(body).ok)
    local report = lockstep.run(body, { settle = true, no_leftovers = true })
    assert.equal("leftover", report.kind)
  end)

  it("gives a body virtual time and random numbers of its own", function()
    local time, random = os.time, math.random
    local report = lockstep.run(function()
      local began = os.time()
      banyan.sleep(7200000)
      assert.equal(7200, os.time() - began)
      assert.is_true(os.clock() >= 7200)
      local die = math.random(6)
      assert.is_true(die >= 1 and die <= 6)
      local part = math.random()
      assert.is_true(part >= 0 and part < 1)
      assert.has_error(function() os.exit() end)
    end)
    assert(report.ok, tostring(report))
    assert.equal(time, os.time)
    assert.equal(random, math.random)
  end)

  it("draws random numbers of any range", function()
    local least = math.mininteger or -2 ^ 53
    local most = math.maxinteger or 2 ^ 53
    local ranges = { { 1, most }, { most - 3, most }, { least, most },
      { least, -1 }, { -1, 2 ^ 40 }, { 0, 2 ^ 31 } }
    lockstep.check(function()
      for _ = 1, 100 do
        for _, range in ipairs(ranges) do
          local n = math.random(range[1], range[2])
          assert.is_true(n >= range[1] and n <= range[2] and n % 1 == 0)
          if math.type then assert.equal("integer", math.type(n)) end
        end
        if math.type then
          assert.equal("integer", math.type(math.random(0)))
        end
      end
    end, { strategy = "random", iterations = 3 })
  end)

  it("finds the one number that fails", function()
    local report = lockstep.run(function()
      if math.random(10) == 7 then error("seven", 0) end
    end, { strategy = "random", iterations = 1000 })
    assert.is_false(report.ok)
    local again = lockstep.replay(function()
      assert.equal(7, math.random(10))
    end, report.tape)
    assert.is_true(again.ok)
  end)

  it("refuses what makes no sense", function()
    local function misuse(pattern, ...)
      local ok, err = pcall(lockstep.run, ...)
      assert.is_false(ok)
      assert.truthy(err:find(pattern, 1, true), err)
    end
    misuse("the body must be a function", 7)
    misuse('unknown option "seeds"', function() end, { seeds = 1 })
    misuse('option "strategy"', function() end, { strategy = "best" })
    misuse('option "depth"', function() end, { depth = 1026 })
    misuse('option "preemptions"', function() end, { preemptions = -1 })
    misuse('option "length"', function() end, { length = -1 })
    misuse('option "tape"', function() end, { tape = "1.x" })
    misuse('option "tape"', function() end, { tape = { 1, -1 } })
    local node = require("banyan.core").node { seed = 1 }
    local why
    node:spawn(function()
      local _, err = pcall(lockstep.run, function() end)
      why = err
    end)
    node:step(0)
    node:close()
    assert.truthy(why:find("outside of banyan.run", 1, true))
    local ok, err = pcall(lockstep.invariant, function() end)
    assert.is_false(ok)
    assert.truthy(err:find("outside of a body", 1, true))
  end)
end)

describe("in a body", function()
  local function misuse(pattern, fn)
    local report = lockstep.run(fn, { iterations = 1 })
    assert.equal("error", report.kind)
    assert.truthy(report.reason:find("lockstep_spec.lua", 1, true))
    assert.truthy(report.reason:find(pattern, 1, true), report.reason)
  end

  it("lockstep.watch takes a pid", function()
    misuse("lockstep.watch: a pid expected, got a nil",
      function() lockstep.watch(nil) end)
  end)

  it("lockstep.choose takes a number of choices", function()
    misuse("lockstep.choose: n must be an integer from 1 to 2^31 - 1, got 0",
      function() lockstep.choose(0) end)
    misuse("got a nil", function() lockstep.choose() end)
  end)
end)

describe("lockstep.history", function()
  it("checks what clients of a body saw", function()
    local function stale(delay)
      return function()
        local h = lockstep.history.new()
        local writing = h:invoke("writer", "write", 1)
        h:ok(writing)
        banyan.sleep(delay)
        local reading = h:invoke("reader", "read")
        h:ok(reading, delay > 5 and 0 or 1)
        assert(h:check(lockstep.history.model.register(0)))
      end
    end
    assert.is_true(lockstep.run(stale(1), { iterations = 3 }).ok)
    assert.is_false(lockstep.run(stale(9), { iterations = 3 }).ok)
  end)
end)

describe("one seed", function()
  for _, strategy in ipairs(STRATEGIES) do
    it("gives one tape and one run by " .. strategy, function()
      local function run()
        return lockstep.run(lost_update,
          { strategy = strategy, seed = 5, iterations = 1000 })
      end
      local a, b = run(), run()
      assert.same(a.tape, b.tape)
      assert.equal(a.steps, b.steps)
      assert.equal(a.iterations, b.iterations)
      assert.equal(#a.trace, #b.trace)
    end)
  end
end)

describe("lockstep.check", function()
  it("raises the printed report", function()
    local ok, err = pcall(lockstep.check, lost_update, { iterations = 1000 })
    assert.is_false(ok)
    assert.truthy(err:find("an update is lost", 1, true))
    assert.truthy(err:find("run it again: ", 1, true))
  end)

  it("answers the report of what went well", function()
    assert.is_true(lockstep.check(function() end).ok)
  end)

  it("plays one schedule alone if it is given a tape", function()
    local report = lockstep.run(lost_update, { iterations = 1000 })
    for _, tape in ipairs { report.tape, table.concat(report.tape, ".") } do
      local ok, err = pcall(lockstep.check, lost_update, { tape = tape })
      assert.is_false(ok)
      assert.truthy(err:find("an update is lost", 1, true))
    end
    local runs = 0
    local fine = lockstep.check(function() runs = runs + 1 end,
      { tape = report.tape, iterations = 50 })
    assert.same({ 1, 1, false }, { runs, fine.iterations, fine.complete })
  end)

  it("fails again by the line that its report has for a test", function()
    local function long_body()
      for _ = 1, 2000 do lockstep.choose(1000) end
      error("long", 0)
    end
    local cases = {
      { lost_update, { iterations = 1000, clock = "idle", max_steps = 99 } },
      { long_body, { iterations = 1, strategy = "random", max_steps = 99 } },
    }
    for _, case in ipairs(cases) do
      local _, err = pcall(lockstep.check, case[1], case[2])
      local line = err:match "\nin a test: ([^\n]+)"
      assert.truthy(line:find("max_steps = 99", 1, true))
      local load_text = loadstring or load -- luacheck: ignore
      local run = load_text("local lockstep, body = ... " .. line)
      local again_ok, again = pcall(run, lockstep, case[1])
      assert.is_false(again_ok)
      assert.equal(err:match "\n[^\n]+", again:match "\n[^\n]+")
    end
  end)
end)

describe("lockstep.replay", function()
  local report = lockstep.run(lost_update, { iterations = 1000 })

  it("fails in the same way by the report, the tape and its text", function()
    local text = tostring(report):match 'lockstep.replay%(body, "([^"]*)"%)'
    for _, given in ipairs { report, report.tape, text } do
      local again = lockstep.replay(lost_update, given)
      assert.equal(report.kind, again.kind)
      assert.equal(tostring(report.reason), tostring(again.reason))
      assert.equal(report.steps, again.steps)
      assert.same(report.tape, again.tape)
    end
  end)

  it("goes well by the report of what went well", function()
    local function body()
      for _ = 1, 3 do banyan.spawn(function() end) end
    end
    local fine = lockstep.run(body, { settle = true, iterations = 5 })
    local again = lockstep.replay(body, fine)
    assert.is_true(again.ok)
    assert.same(fine.tape, again.tape)
    assert.equal("divergence",
      lockstep.replay(function() error "new" end, fine).kind)
  end)

  it("says so when the body has become another", function()
    local again = lockstep.replay(function() banyan.sleep(1) end, report)
    assert.equal("divergence", again.kind)
  end)

  it("refuses what is no tape", function()
    assert.has_error(function() lockstep.replay(lost_update, "x.y") end)
    assert.has_error(function() lockstep.replay(lost_update, 7) end)
    assert.has_error(function() lockstep.replay(lost_update, { "a" }) end)
    assert.has_error(function() lockstep.replay(lost_update, { 1.5 }) end)
  end)
end)

describe("a body that is not deterministic", function()
  it("is reported as a divergence", function()
    local runs = 0
    local report = lockstep.run(function()
      runs = runs + 1
      if runs % 2 == 1 then error("odd", 0) end
    end)
    assert.equal("divergence", report.kind)
    assert.truthy(tostring(report):find("given the same choices", 1, true))
  end)

  -- Each run does something else from step 3 on, and fails in the end as all
  -- others do.
  local function departing()
    local runs = 0
    return function()
      runs = runs + 1
      banyan.sleep(10)
      banyan.sleep(10 + runs)
      banyan.sleep(100 - runs)
      error("always", 0)
    end
  end

  it("is reported with the first step that differs", function()
    local body = departing()
    local report = lockstep.run(body, { clock = "idle" })
    assert.equal("divergence", report.kind)
    -- Time passes in step 5; what it has come to is seen in the next.
    assert.equal(6, report.steps)
    assert.truthy(report.reason:find("step 6 is the first that differs", 1,
      true), report.reason)
  end)

  it("is reported with the first step in which a replay differs", function()
    local late, body = false, departing()
    local report = lockstep.run(function()
      if late then return body() end
      banyan.sleep(10)
      banyan.sleep(10)
      banyan.sleep(100)
      error("always", 0)
    end, { clock = "idle" })
    assert.equal("error", report.kind)
    late = true
    local again = lockstep.replay(body, report)
    assert.equal("divergence", again.kind)
    assert.equal(5, again.steps)
  end)
end)

describe("a body that is not deterministic by itself, under dfs,", function()
  it("is reported although no run fails", function()
    local runs = 0
    local report = lockstep.run(function()
      runs = runs + 1
      for _ = 1, 2 + runs % 2 do banyan.spawn(function() end) end
      banyan.sleep(1)
    end, { strategy = "dfs" })
    assert.equal("divergence", report.kind)
  end)
end)

describe("lockstep.shrink", function()
  it("finds a smaller schedule that fails in the same way", function()
    local report = lockstep.run(lost_update,
      { strategy = "random", seed = 9, iterations = 1000 })
    local small = lockstep.shrink(lost_update, report)
    assert.is_false(small.ok)
    assert.equal(report.kind, small.kind)
    assert.is_true(#small.tape <= #report.tape)
    assert.equal(small.steps, lockstep.replay(lost_update, small.tape).steps)
  end)

  it("leaves only what matters", function()
    local function body()
      local numbers = {}
      for i = 1, 20 do numbers[i] = lockstep.choose(100) end
      for i = 1, 20 do
        if numbers[i] > 50 then error("above 50", 0) end
      end
    end
    local report = lockstep.run(body, { iterations = 1 })
    local small = lockstep.shrink(body, report)
    assert.same({ 50 }, small.tape)
  end)
end)
