-- Processes that do not yield, on the real clock and driver.
--
-- A loop here ends when another process sets a flag, which that can only do if
-- the loop is preempted. The test fails if it takes too long. LuaJIT's compiler
-- is switched off, because compiled code calls no hooks.

local address = require "spec.support.address"
local banyan = require "banyan"
local core = require "banyan.core"
local outcome = require "spec.support.outcome"
local program = require "spec.support.program"
local server = require "banyan.server"
local supervisor = require "banyan.supervisor"
local uv = require "luv"

-- A local: busted makes the lookup of a global call a function.
local clock = os.clock

local LIMIT_S = 30 -- of this program's time

if _G.jit then
  _G.jit.off()
  _G.jit.flush()
end

--- Loops until flag.over, and counts in flag.rounds.
local function hog(flag)
  local limit = clock() + LIMIT_S
  flag.rounds = 0
  while not flag.over do
    flag.rounds = flag.rounds + 1
    if clock() > limit then error("was never preempted", 0) end
  end
end

--- Computes for that many seconds.
local function work(ms)
  local limit = clock() + ms / 1000
  while clock() < limit do end -- luacheck: ignore 542
end

--- banyan.run with a list of the events.
local function run(opts, body)
  local events = {}
  opts.on_event = function(event) events[#events + 1] = event end
  local ok, err
  banyan.run(opts, function() ok, err = outcome.try(body) end)
  if not ok then error(err, 0) end
  return events
end

local function held(events)
  local list = {}
  for _, event in ipairs(events) do
    if event.event == "process_held_node" then list[#list + 1] = event end
  end
  return list
end

local Echo = { name = "echo" }
function Echo.handle_call(_, msg) return msg end

--- Runs `loop(flag)` as a process beside another that ends it.
local function live_beside(loop)
  local flag = {}
  local function over() flag.over = true end
  run({}, function()
    local pid, ref = banyan.spawn_monitor(function() loop(flag) end)
    repeat banyan.sleep(1) until flag.rounds
    for i = 1, 5 do
      local echo = assert(server.start(Echo))
      assert.equal(i, server.call(echo, i, "infinity"))
      banyan.sleep(2)
    end
    assert.is_true(banyan.is_alive(pid))
    over()
    local down = banyan.receive(function(m) return m.ref == ref end)
    assert.equal("normal", down.reason)
  end)
end

describe("a process that does not yield", function()
  it("lets others run", function() live_beside(hog) end)

  it("lets others run from within pcall", function()
    live_beside(function(flag) assert(pcall(pcall, hog, flag)) end)
  end)

  it("lets others run between many short calls of pcall", function()
    live_beside(function(flag)
      flag.rounds = 0
      local function once()
        flag.rounds = flag.rounds + 1
        error("again")
      end
      while not flag.over do pcall(once) end
    end)
  end)

  it("lets others run between calls of C functions", function()
    live_beside(function(flag)
      flag.rounds = 0
      local function less(a, b) return a < b end
      while not flag.over do
        flag.rounds = flag.rounds + 1
        table.sort({ 5, 1, 4, 2, 3 }, less)
      end
    end)
  end)

  it("lets others run from within a metamethod", function()
    live_beside(function(flag)
      local function index()
        hog(flag)
        return 7
      end
      assert.equal(8, setmetatable({}, { __index = index }).x + 1)
    end)
  end)

  it("lets others run from within the match of a receive", function()
    live_beside(function(flag)
      banyan.self():send("first")
      banyan.self():send("second")
      local got = banyan.receive(function(m)
        if m == "first" then hog(flag) end
        return m == "second"
      end)
      assert.equal("second", got)
      assert.equal("first", banyan.receive(0))
    end)
  end)

  it("lets others run from within handle_call", function()
    local Loop = {}
    function Loop.handle_call(_, msg, _)
      hog(msg.flag())
      return "done"
    end
    live_beside(function(flag)
      local pid = assert(server.start(Loop))
      local msg = { flag = function() return flag end }
      assert.equal("done", server.call(pid, msg, "infinity"))
    end)
  end)

  it("lets others run from within init", function()
    local Loop = {}
    function Loop:init(arg)
      self.n = 1
      hog(arg.flag())
    end
    function Loop:handle_call() return self.n end
    live_beside(function(flag)
      local arg = { flag = function() return flag end }
      local pid = assert(server.start_link(Loop, arg))
      assert.equal(1, server.call(pid, "n"))
    end)
  end)

  it("lets others run from within a start function", function()
    live_beside(function(flag)
      local sup = assert(supervisor.start_link({ {
        id = "a",
        start = function()
          hog(flag)
          return server.start_link(Echo)
        end,
      } }))
      assert.equal(1, supervisor.count_children(sup).active)
    end)
  end)

  it("is preempted if it is main too", function()
    local flag = {}
    run({}, function()
      banyan.spawn(function()
        banyan.sleep(10)
        flag.over = true
      end)
      hog(flag)
    end)
    assert.is_true(flag.over)
  end)

  it("goes on where it was, with the same values", function()
    local flag = {}
    run({ preempt = { slice_ms = 1 } }, function()
      local me = banyan.self()
      for i = 1, 100 do me:send(i) end
      banyan.spawn(function() hog(flag) end)
      local function deep(n, ...)
        if n == 0 then return select("#", ...), ... end
        return deep(n - 1, n, ...)
      end
      for i = 1, 100 do
        work(1)
        assert.equal(100, (deep(100)))
        assert.equal(("ab"):rep(i), table.concat((function()
          local t = {}
          for j = 1, i do t[j] = "ab" end
          return t
        end)()))
        assert.same({ false, { i } }, { pcall(error, { i }) })
        assert.equal(i, banyan.receive(0))
      end
      flag.over = true
    end)
  end)

  it("gets exit signals meanwhile", function()
    run({}, function()
      local pid, ref = banyan.spawn_monitor(function() hog {} end)
      banyan.sleep(10)
      pid:exit("enough")
      assert.equal("enough", banyan.receive().reason)
      assert.is_nil(banyan.receive(function(m) return m.ref == ref end, 0))
    end)
  end)

  it("is reported with its name, its place and its time", function()
    local events = run({}, function()
      local flag = {}
      local pid = banyan.spawn(function()
        banyan.register("busy")
        hog(flag)
      end)
      banyan.sleep(1500)
      assert.is_true(banyan.is_alive(pid))
      flag.over = true
    end)
    local list = held(events)
    assert.is_true(#list >= 1 and #list <= 10, #list .. " events")
    assert.equal("busy", list[1].name)
    assert.equal("pid", tostring(list[1].pid):sub(1, 3))
    assert.is_true(list[1].preempted)
    assert.is_true(list[1].ms >= 100)
    assert.matches("preemption_spec.lua:%d+$", list[1].at)
    assert.matches("^stack traceback:.*preemption_spec.lua", list[1].traceback)
    assert.is_nil(list[1].killed)
    assert.equal("warning", banyan.log.level(list[1]))
    for i = 2, #list do
      assert.is_true(list[i].ms > list[i - 1].ms)
    end
  end)

  it("is reported but not preempted while a C function runs", function()
    local events = run({}, function()
      local stamps = {}
      banyan.spawn(function()
        while true do
          stamps[#stamps + 1] = uv.hrtime() / 1e6
          banyan.sleep(1)
        end
      end)
      banyan.sleep(5)
      local start = uv.hrtime() / 1e6
      os.execute("sleep 0.4")
      banyan.sleep(5)
      local within = 0
      for _, at in ipairs(stamps) do
        if at > start + 150 and at < start + 350 then within = within + 1 end
      end
      assert.equal(0, within)
      assert.is_true(stamps[#stamps] > start + 350)
    end)
    assert.is_true(#held(events) >= 1)
  end)

  it("overflows its stack about as soon as without preemption", function()
    local function overflow(preempt)
      local from = clock()
      run({ preempt = preempt }, function()
        local function deeper() return 1 + deeper() end
        banyan.spawn_monitor(deeper)
        assert.matches("stack overflow", tostring(banyan.receive().reason))
      end)
      return clock() - from
    end
    local without = overflow(false)
    assert.is_true(overflow(true) < 10 * (without + 0.05))
  end)

  it("is not preempted in a coroutine of its own", function()
    local events = run({ preempt = { slice_ms = 5, kill_after_ms = 20000 } },
      function()
        local produce = coroutine.wrap(function()
          for i = 1, 3 do
            work(100)
            coroutine.yield(i)
          end
        end)
        assert.same({ 1, 2, 3 }, { produce(), produce(), produce() })
      end)
    assert.is_true(#held(events) >= 1)
  end)

  it("keeps the hook of debug.sethook", function()
    local flag = {}
    run({}, function()
      banyan.spawn(function() hog(flag) end)
      local lines, counts = 0, 0
      local function on_event(what)
        if what == "line" then lines = lines + 1 else counts = counts + 1 end
      end
      debug.sethook(on_event, "l", 1000)
      work(100)
      local fn, mask, count = debug.gethook()
      debug.sethook()
      assert.equal(on_event, fn)
      assert.equal("l", mask)
      assert.equal(1000, count)
      assert.is_true(lines > 0 and counts > 0)
      flag.over = true
    end)
  end)

  it("leaves no hook behind", function()
    local flag = {}
    run({ preempt = { slice_ms = 1 } }, function()
      banyan.spawn(function() hog(flag) end)
      local me = banyan.self()
      for _ = 1, 20 do
        local pid = banyan.spawn(function() work(5) me:send("worked") end)
        banyan.monitor(pid)
        assert.equal("worked", banyan.receive())
        assert.equal("DOWN", banyan.receive().tag)
        banyan.spawn(function() me:send(debug.gethook() == nil) end)
        assert.is_true(banyan.receive())
      end
      flag.over = true
    end)
    assert.is_nil(debug.gethook())
  end)
end)

local LIMITED = { slice_ms = 2, kill_after_ms = 100 }

--- The exit reason of a process that runs `fn`.
local function end_of(fn)
  local reason
  local events = run({ preempt = LIMITED }, function()
    banyan.spawn_monitor(fn)
    reason = banyan.receive().reason
  end)
  return reason, held(events)
end

-- Steps are taken by hand, and the node's time stands still but where it is
-- told another: so a loop has its turn where the queues say so.
describe("processes that have been preempted", function()
  local LOOPS = 3

  -- fn(node, counts, told, waiter): with loops that were preempted, and a
  -- process that waits for messages and counts them in told.
  local function beside_loops(fn)
    local node = core.node { seed = 1 }
    local counts, told = {}, { n = 0 }
    assert(node:preempt(2))
    for i = 1, LOOPS do
      counts[i] = 0
      node:spawn(function()
        while not told.over do counts[i] = counts[i] + 1 end
      end)
    end
    local waiter = node:spawn(function()
      while true do
        core.receive()
        told.n = told.n + 1
      end
    end)
    for _ = 1, 2 * LOOPS do node:step(0) end
    local ok, err = pcall(fn, node, counts, told, waiter)
    told.over = true
    node:close()
    if not ok then error(err, 0) end
  end

  local function copy(list)
    local result = {}
    for i, value in ipairs(list) do result[i] = value end
    return result
  end

  local function changed(before, after)
    local n = 0
    for i, value in ipairs(before) do
      if value ~= after[i] then n = n + 1 end
    end
    return n
  end

  it("run one at a time, in turn", function()
    beside_loops(function(node, counts)
      local before = copy(counts)
      for i = 1, LOOPS do
        node:step(0)
        assert.equal(i, changed(before, counts))
      end
    end)
  end)

  it("run after whoever has waited, in a step of their own", function()
    beside_loops(function(node, counts, told, waiter)
      for i = 1, 5 do
        local before = copy(counts)
        waiter:send(i)
        node:step(0)
        assert.equal(i, told.n)
        assert.equal(0, changed(before, counts))
        node:step(0)
        assert.equal(1, changed(before, counts))
      end
    end)
  end)

  it("have a turn although others always have something to do", function()
    beside_loops(function(node, counts, told, waiter)
      local before = copy(counts)
      for i = 1, LOOPS do
        waiter:send(i)
        node:step(10 * i)
        assert.equal(i, told.n)
        assert.equal(i, changed(before, counts))
      end
    end)
  end)

  it("are as others when they have waited", function()
    local node = core.node { seed = 1 }
    assert(node:preempt(2))
    local steps, over = {}, false
    local loop = node:spawn(function()
      while core.receive() do
        work(10)
        steps[#steps + 1] = "worked"
        core.receive()
        steps[#steps + 1] = "took"
      end
    end)
    node:spawn(function()
      while not over do work(1) end
    end)
    loop:send(1)
    for _ = 1, 1000 do
      if #steps == 0 then node:step(0) end
    end
    assert.same({ "worked" }, steps)
    loop:send(2)
    node:step(0)
    assert.same({ "worked", "took" }, steps)
    over = true
    node:close()
  end)
end)

describe("a process that holds its node beyond the limit", function()
  local function killed(fn)
    local reason, events = end_of(fn)
    assert.equal("held_node", reason[1])
    assert.is_true(reason[2] >= 100)
    assert.matches("^held_node: %d+$", tostring(reason))
    assert.is_true(events[#events].killed)
    assert.matches(":%d+$", events[#events].at)
    assert.matches("preemption_spec.lua:%d+", events[#events].traceback)
  end

  it("is killed", function() killed(function() hog {} end) end)

  it("is killed within pcall", function()
    killed(function() while true do pcall(hog, {}) end end)
    killed(function() while true do xpcall(error, function() end) end end)
  end)

  it("is killed in a function that a C function calls", function()
    killed(function()
      while true do
        pcall(table.sort, { 1, 2, 3 }, function()
          while true do pcall(hog, {}) end
        end)
      end
    end)
    if _G.jit then return end -- LuaJIT calls no hook in the handler
    killed(function()
      local function handler() while true do pcall(error) end end
      xpcall(string.gsub, handler, "x", ".", function()
        xpcall(error, handler)
      end)
    end)
  end)

  it("is killed without terminate, and is restarted", function()
    local Loop, terminated = {}, false
    function Loop.handle_cast() while true do end end -- luacheck: ignore 542
    function Loop.handle_call() return "well" end
    function Loop.terminate() terminated = true end
    local events = run({ preempt = LIMITED }, function()
      assert(supervisor.start_link({ {
        id = "loop",
        start = function()
          return server.start_link(Loop, nil, { name = "loop" })
        end,
      } }))
      local first = banyan.whereis("loop")
      server.cast(first, "hang")
      repeat banyan.sleep(5) until banyan.whereis("loop") ~= first
      repeat banyan.sleep(1) until banyan.whereis("loop")
      assert.equal("well", server.call("loop", "how are you?"))
    end)
    assert.is_false(terminated)
    assert.is_true(#held(events) >= 1)
  end)

  it("is killed while it closes its variables", function()
    if _VERSION < "Lua 5.4" then return end
    local code = [[local hog = ... local t <close> = setmetatable({},
      { __close = function() hog {} end }) error("first")]]
    local reason = end_of(function() assert(load(code))(hog) end)
    assert.is_not_nil(reason)
  end)

  it("is killed in init, and its start fails", function()
    local Loop = {}
    function Loop.init() while true do end end -- luacheck: ignore 542
    run({ preempt = LIMITED }, function()
      local pid, err = server.start_link(Loop)
      assert.is_nil(pid)
      assert.equal("held_node", err[1])
    end)
  end)

  it("is not killed if it receives messages", function()
    run({ preempt = { slice_ms = 2, kill_after_ms = 1000 } }, function()
      local busy = banyan.spawn(function()
        while banyan.receive().tag == "work" do work(5) end
      end)
      local ref = banyan.monitor(busy)
      for _ = 1, 300 do busy:send { tag = "work" } end
      busy:send { tag = "end" }
      local down = banyan.receive(function(m) return m.ref == ref end)
      assert.equal("normal", down.reason)
    end)
  end)
end)

describe("the option preempt", function()
  it("can switch preemption off", function()
    local ran = false
    run({ preempt = false }, function()
      banyan.spawn(function() ran = true end)
      work(60)
      assert.is_false(ran)
    end)
  end)

  it("is false by default in banyan.start, and can be set", function()
    local flag = {}
    local function step_beside(opts)
      opts.driver = "manual"
      local ran = false
      local node = assert(banyan.start(opts))
      node:spawn(function()
        if opts.preempt then hog(flag) else work(60) end
      end)
      node:spawn(function() ran = true end)
      node:step(1)
      local at_once = ran
      for now = 2, 100 do
        if ran then break end
        node:step(now)
      end
      node:stop()
      return at_once, ran
    end
    assert.same({ true, true }, { step_beside {} })
    assert.is_true(select(2, step_beside { preempt = true }))
  end)

  it("ends a step soon although there is always more to do", function()
    local flag, steps = {}, 0
    local node = assert(banyan.start { driver = "manual", preempt = true })
    for _ = 1, 20 do node:spawn(function() hog(flag) end) end
    local start = clock()
    repeat
      node:step(steps)
      steps = steps + 1
    until steps == 10
    -- Each of twenty has a slice of 5 ms or more, and a step ends after two.
    assert.is_true(clock() - start < 20)
    assert.is_true(flag.rounds > 0)
    flag.over = true
    node:stop()
  end)

  it("refuses values out of range", function()
    local function why(preempt)
      local ok, err = pcall(function()
        local node = banyan.start { driver = "manual", preempt = preempt }
        node:stop()
      end)
      assert.is_false(ok)
      return err
    end
    assert.matches('"preempt" must be true, false or a table', why(5))
    assert.matches('"preempt": unknown option "slice"', why { slice = 1 })
    assert.matches('"slice_ms" must be a positive', why { slice_ms = 0 })
    assert.matches('must not be greater than 1000', why { slice_ms = 1001 })
    assert.matches('"kill_after_ms" %(5%) must be greater',
      why { kill_after_ms = 5 })
    assert.matches("^spec/preemption_spec", why { kill_after_ms = "x" })
  end)

  it("is refused within a step", function()
    local node, ok = core.node { seed = 1 }, nil
    node:spawn(function() ok = pcall(node.preempt, node, 5) end)
    node:step(1)
    node:close()
    assert.is_false(ok)
  end)
end)

-- Nodes in OS processes of their own ------------------------------------------

local HEART = { heartbeat_ms = 100, down_after_ms = 2000 }

local LOOPER = [[
  if jit then jit.off() end
  local banyan = require "banyan"
  local server = require "banyan.server"
  local Echo = {}
  function Echo.handle_call(_, msg) return msg end
  banyan.run({
    name = os.getenv("NAME"), connect = { os.getenv("PARENT") },
    secret = "the secret of the spec", on_event = false,
    heartbeat_ms = 100, down_after_ms = 2000,
    preempt = os.getenv("PREEMPT") == "true",
  }, function()
    assert(server.start_link(Echo, nil, { name = "echo" }))
    banyan.register("main")
    banyan.receive()
    banyan.spawn(function() while true do end end)
    banyan.sleep("infinity")
  end)
]]

--- Starts a node in another OS process that runs a loop. Returns true if the
-- link to it lasts twice as long as down_after_ms.
local function outlives(preempt)
  local name, mine = address.fresh_name("b"), address.fresh_name("a")
  local child = program(LOOPER, { env = {
    NAME = name, PARENT = mine, PREEMPT = tostring(preempt),
  } })
  local lost
  banyan.run({
    name = mine, secret = "the secret of the spec", on_event = false,
    heartbeat_ms = HEART.heartbeat_ms, down_after_ms = HEART.down_after_ms,
  }, function()
    banyan.monitor_nodes(true)
    local echo = { name = "echo", node = name }
    local limit = banyan.now() + 1000 * LIMIT_S
    repeat
      banyan.sleep(10)
      assert(banyan.now() < limit, "the other node did not come up")
    until banyan.connect(name) and server.call(echo, 1) == 1
    assert(banyan.send({ name = "main", node = name }, "loop"))
    local from = banyan.now()
    while banyan.now() - from < 2 * HEART.down_after_ms and not lost do
      local message = banyan.receive(100)
      lost = message and message.tag == "nodedown"
    end
    if not lost then assert.equal(2, server.call(echo, 2, 20000)) end
  end)
  child:kill("sigkill")
  child:finish()
  return not lost
end

describe("a node with a process in an endless loop", function()
  it("keeps its links alive #slow", function()
    assert.is_true(outlives(true))
  end)

  it("loses them without preemption #slow", function()
    assert.is_false(outlives(false))
  end)

  it("is stopped by one SIGTERM, in order", function()
    local child = program [[
      if jit then jit.off() end
      local banyan = require "banyan"
      local server = require "banyan.server"
      local Last = {}
      function Last.init() banyan.trap_exit(true) end
      function Last.terminate() print("terminated") end
      print("result", banyan.run(function()
        assert(server.start_link(Last))
        print("up") io.stdout:flush()
        while true do end
      end))
    ]]
    child:wait_for("up")
    child:kill("sigterm")
    assert.equal(0, (child:finish()))
    assert.matches("terminated", child.out)
    assert.matches("result\tnil\tshutdown", child.out)
  end)
end)
