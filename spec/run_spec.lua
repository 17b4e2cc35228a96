-- banyan.run: results, errors, the order of stopping, signals.

local uv = require "luv"
local banyan = require "banyan"
local address = require "spec.support.address"
local program = require "spec.support.program"

local SECRET = "secret of the spec"

local function pack(...)
  return { n = select("#", ...), ... }
end

local function quiet(opts)
  opts = opts or {}
  opts.on_event = false
  return opts
end

describe("banyan.run", function()
  it("returns what main returned", function()
    assert.same({ 1, nil, "three", n = 3 },
      pack(banyan.run(function(...) return ... end, 1, nil, "three")))
    assert.equal(0, select("#", banyan.run(function() end)))
    assert.equal(0, banyan.run(function(...) return select("#", ...) end))
    assert.equal(1, banyan.run({}, function(...) return ... end, 1))
  end)

  it("gives main its arguments as they are", function()
    local thing = setmetatable({}, { __index = { x = 1 } })
    assert.equal(thing, banyan.run(function(t) return t end, thing))
  end)

  it("raises main's error, with its traceback", function()
    local ok, err = pcall(banyan.run, function()
      local function deep() error("boom") end
      deep()
    end)
    assert.is_false(ok)
    assert.equal("error", err[1])
    assert.matches("run_spec.lua:%d+: boom$", err[2])
    assert.matches("run_spec.lua:%d+: boom\nstack traceback:.*deep",
      tostring(err))
  end)

  it("raises any other exit reason of main", function()
    local ok, err = pcall(banyan.run, quiet(), function()
      banyan.exit { "no_luck", 7 }
    end)
    assert.is_false(ok)
    assert.equal("no_luck: 7", tostring(err))
    ok, err = pcall(banyan.run, quiet(), function()
      banyan.spawn_link(function() banyan.exit("partner") end)
      banyan.sleep("infinity")
    end)
    assert.is_false(ok)
    assert.equal("partner", err)
  end)

  it("answers nil and the reason if main was shut down", function()
    local result, reason = banyan.run(function() banyan.exit("shutdown") end)
    assert.is_nil(result)
    assert.equal("shutdown", reason)
    result, reason = banyan.run(function()
      banyan.exit { "shutdown", "enough" }
    end)
    assert.is_nil(result)
    assert.equal("enough", reason[2])
    assert.equal(0, select("#", banyan.run(function() banyan.exit() end)))
  end)

  it("can be called again and again, with the same name too", function()
    local name = address.fresh_name("a")
    for i = 1, 5 do
      assert.equal(name, banyan.run({ name = name, secret = SECRET },
        function() return banyan.node() end))
      assert.equal(i, banyan.run(function() return i end))
      assert.is_false(uv.loop_alive())
    end
  end)

  it("kills the processes that main leaves behind", function()
    local turns = 0
    banyan.run(quiet(), function()
      banyan.spawn(function()
        banyan.trap_exit(true)
        while true do
          banyan.sleep(0)
          turns = turns + 1
        end
      end)
      banyan.sleep(1)
    end)
    local before = turns
    banyan.run(function() banyan.sleep(20) end)
    assert.is_true(before > 0)
    assert.equal(before, turns)
  end)

  it("is misuse in a process, in a callback, with manual, without main",
    function()
      local function complaint(...)
        local ok, err = pcall(banyan.run, ...)
        assert.is_false(ok)
        return tostring(err)
      end
      assert.matches("called by a process", complaint(quiet(), function()
        banyan.run(function() end)
      end), 1, true)
      assert.matches("main must be a function, got a nil", complaint({}), 1,
        true)
      assert.matches('the driver "manual" is for banyan.start',
        complaint({ driver = "manual" }, function() end), 1, true)
      assert.matches('unknown option "nmae"',
        complaint({ nmae = 1 }, function() end), 1, true)
      local timer, err = uv.new_timer(), nil
      timer:start(0, 0, function()
        timer:close()
        err = complaint(function() end)
      end)
      uv.run()
      assert.matches("the loop is running already", err, 1, true)
    end)

  it("raises an error if its address is in use", function()
    local name = address.fresh_name("a")
    local node = assert(banyan.start { name = name, secret = SECRET })
    local ok, err = pcall(banyan.run, { name = name, secret = SECRET },
      function() end)
    node:stop()
    assert.is_false(ok)
    assert.matches("banyan.run: cannot listen on " .. name:sub(3)
      .. ": address already in use", err, 1, true)
  end)
end)

describe("the collector", function()
  local function mode()
    local before = collectgarbage "incremental"
    collectgarbage(before)
    return before
  end

  if not pcall(mode) then
    pending "has no modes here"
    return
  end

  it("is incremental during a run, and has its old mode after it", function()
    local before = collectgarbage "generational"
    local during = banyan.run(mode)
    local after = collectgarbage(before)
    assert.equal("incremental", during)
    assert.equal("generational", after)
  end)

  it("is in the mode that is asked for, or left alone", function()
    local before = collectgarbage "incremental"
    assert.equal("generational",
      (banyan.run({ collector = "generational" }, mode)))
    collectgarbage "generational"
    assert.equal("generational", (banyan.run({ collector = false }, mode)))
    collectgarbage(before)
  end)

  it("has no other modes", function()
    assert.has_error(function() banyan.run({ collector = "fast" }, mode) end,
      'banyan.run: option "collector" must be "incremental", "generational" '
        .. 'or false, got "fast"')
  end)
end)

describe("the end of a run", function()
  -- A module with a server that prints when and why it ends.
  local function with_noisy(body)
    local ends = {}
    package.preload["spec.noisy"] = function()
      local server = require "banyan.server"
      local Noisy = {}
      function Noisy:init(name)
        self.name = name
        banyan.trap_exit(true)
      end
      function Noisy:terminate(reason)
        banyan.sleep(1)
        ends[#ends + 1] = self.name .. " " .. tostring(reason)
      end
      function Noisy.start_link(name)
        return server.start_link(Noisy, name)
      end
      return Noisy
    end
    local ok, err = pcall(body)
    package.preload["spec.noisy"], package.loaded["spec.noisy"] = nil, nil
    if not ok then error(err, 0) end
    return ends
  end

  local function child(id)
    return { id = id, start = { "spec.noisy", "start_link", { id } } }
  end

  it("lets the supervisors of main end their children, last first",
    function()
      local ends = with_noisy(function()
        banyan.run(function()
          local supervisor = require "banyan.supervisor"
          assert(supervisor.start_link { child "one", child "two" })
          return 1
        end)
      end)
      assert.same({ "two shutdown", "one shutdown" }, ends)
    end)

  it("ends supervisors that are not linked to main, too", function()
    local ends = with_noisy(function()
      banyan.run(function()
        local supervisor = require "banyan.supervisor"
        local me = banyan.self()
        banyan.spawn(function()
          local pid = assert(supervisor.start_link { child "one" })
          banyan.unlink(pid)
          banyan.send(me, "up")
        end)
        assert(banyan.receive() == "up")
        return 1
      end)
    end)
    assert.same({ "one shutdown" }, ends)
  end)

  it("lets a server that main started run terminate", function()
    local ends = with_noisy(function()
      banyan.run(function()
        assert(require "spec.noisy".start_link("alone"))
      end)
    end)
    assert.same({ "alone normal" }, ends)
  end)

  it("stops a server of main that does not trap exits", function()
    local reasons = {}
    local Plain = {}
    function Plain.terminate(_, reason) reasons[#reasons + 1] = reason end
    banyan.run(function()
      assert(require "banyan.server".start_link(Plain))
    end)
    assert.same({ "shutdown" }, reasons)
  end)

  it("has the same order for a node with the driver manual", function()
    for _, driver in ipairs { "luv", "manual" } do
      local up = false
      local ends = with_noisy(function()
        local node = assert(banyan.start { driver = driver })
        node:spawn(function()
          local supervisor = require "banyan.supervisor"
          assert(supervisor.start_link { child "one", child "two" })
          up = true
          banyan.sleep("infinity")
        end)
        if driver == "luv" then uv.run("nowait") else node:step(1) end
        assert(up)
        node:stop()
      end)
      assert.same({ "two shutdown", "one shutdown" }, ends)
    end
  end)
end)

describe("receive", function()
  local function run(fn) return banyan.run(quiet(), fn) end

  it("takes the first that matches; others stay in order", function()
    assert.same({ "b1", "a1", "a2", "b2" }, run(function()
      local me, got = banyan.self(), {}
      for _, m in ipairs { "a1", "b1", "a2", "b2" } do banyan.send(me, m) end
      got[1] = banyan.receive(function(m) return m:sub(1, 1) == "b" end)
      for i = 2, 4 do got[i] = banyan.receive(0) end
      return got
    end))
  end)

  it("waits for one that matches, while others come", function()
    assert.equal("at last", run(function()
      local me = banyan.self()
      banyan.spawn(function()
        for i = 1, 3 do
          banyan.send(me, i)
          banyan.sleep(1)
        end
        banyan.send(me, "at last")
      end)
      return banyan.receive(function(m) return type(m) == "string" end)
    end))
  end)

  it("times out although messages that do not match arrive", function()
    assert.same({ nil, "timeout", true, n = 3 }, run(function()
      local me = banyan.self()
      local noise = banyan.spawn(function()
        while true do
          banyan.send(me, "noise")
          banyan.sleep(1)
        end
      end)
      local from = banyan.now()
      local m, err = banyan.receive(function() return false end, 20)
      noise:exit("kill")
      return pack(m, err, banyan.now() - from >= 20)
    end))
  end)

  it("does not wait if the time limit is 0", function()
    assert.same({ "yes", "timeout" }, run(function()
      banyan.send(banyan.self(), "yes")
      local a = banyan.receive(function(m) return m == "yes" end, 0)
      local _, b = banyan.receive(function(m) return m == "yes" end, 0)
      return { a, b }
    end))
  end)

  it("answers nil alone for a message that is nil", function()
    assert.same({ 1, 1 }, run(function()
      banyan.send(banyan.self(), nil)
      banyan.send(banyan.self(), nil)
      return {
        select("#", banyan.receive()),
        select("#", banyan.receive(function(m) return m == nil end)),
      }
    end))
  end)

  it("raises the match's error and leaves the mailbox unchanged", function()
    assert.same({ "no good", "a", "b" }, run(function()
      local me = banyan.self()
      banyan.send(me, "a")
      banyan.send(me, "b")
      local _, err = pcall(banyan.receive, function(m)
        if m == "b" then error("no good", 0) end
      end)
      return { err, banyan.receive(), banyan.receive() }
    end))
  end)

  it("refuses a wrong match or time limit", function()
    local wrong = run(function()
      local me = banyan.self()
      banyan.send(me, "x")
      return {
        select(2, pcall(banyan.receive, "x", 5)),
        select(2, pcall(banyan.receive, function() end, "soon")),
        select(2, pcall(banyan.receive, "soon")),
      }
    end)
    assert.matches("receive: match must be a function or a ref, got a string",
      wrong[1], 1, true)
    assert.matches("receive: timeout must be", wrong[2], 1, true)
    assert.matches("receive", wrong[3], 1, true)
  end)
end)

-- A program whose main runs `code`; it prints what banyan.run returns.
local function running(code, opts)
  local child = program(([[
    local banyan = require "banyan"
    io.stdout:setvbuf("line")
    print("run", pcall(banyan.run, %s, function()
      local function forever() banyan.sleep("infinity") end
      %s
      forever()
    end))
    print("after")
  ]]):format(opts or "nil", code))
  return child
end

describe("a signal", function()
  for _, signal in ipairs { "sigterm", "sigint" } do
    it(signal .. " stops main and lets the program go on", function()
      local child = running 'print("up")'
      child:wait_for("up")
      child:kill(signal)
      assert.equal(0, (child:finish()))
      assert.equal("up\nrun\ttrue\tnil\tshutdown\nafter\n", child.out)
    end)
  end

  it("ends the tree in order", function()
    local child = running [[
      package.preload.noisy = function()
        local server = require "banyan.server"
        local Noisy = {}
        function Noisy:init(name)
          self.name = name
          banyan.trap_exit(true)
        end
        function Noisy:terminate(reason) print("end", self.name, reason) end
        function Noisy.start_link(name) return server.start_link(Noisy, name)
        end
        return Noisy
      end
      local function child(id)
        return { id = id, start = { "noisy", "start_link", { id } } }
      end
      local supervisor = require "banyan.supervisor"
      assert(supervisor.start_link { child "one", child "two" })
      print("up")
    ]]
    child:wait_for("up")
    child:kill("sigterm")
    assert.equal(0, (child:finish()))
    assert.equal("up\nend\ttwo\tshutdown\nend\tone\tshutdown\n"
      .. "run\ttrue\tnil\tshutdown\nafter\n", child.out)
  end)

  it("is an EXIT message to a main that traps exits", function()
    local child = running [[
      banyan.trap_exit(true)
      print("up")
      print(banyan.receive().reason)
      do return "bye" end
    ]]
    child:wait_for("up")
    child:kill("sigterm")
    child:finish()
    assert.equal("up\nshutdown\nrun\ttrue\tnil\tshutdown\nafter\n", child.out)
  end)

  it("the second time ends a main that does not end", function()
    local child = running [[
      banyan.trap_exit(true)
      print("up")
      while true do print(banyan.receive().reason) end
    ]]
    child:wait_for("up")
    child:kill("sigint")
    child:wait_for("shutdown")
    child:kill("sigint")
    assert.equal(0, (child:finish()))
    assert.matches("run\ttrue\tnil\tshutdown\nafter\n", child.out, 1, true)
  end)

  it("names a main that does not end, or a server of it, after 5 s", function()
    local tell = [[{ on_event = function(e)
      print(e.event, e.supervisor, e.id, e.ms, e.pid)
      io.stdout:flush()
    end }]]
    local main = running([[
      banyan.trap_exit(true)
      print("up")
      while true do banyan.receive() end
    ]], tell)
    local of_main = running([[
      local server = require "banyan.server"
      assert(server.start_link { name = "deaf",
        init = function() banyan.trap_exit(true) end,
        terminate = function() banyan.sleep(math.huge) end })
      print("up")
      do return end
    ]], tell)
    main:wait_for("up")
    main:kill("sigterm")
    main:finish()
    of_main:finish()
    assert.matches("^up\nchild_stop_slow\tnil\tmain\t5000\tpid<.-\n"
      .. "run\ttrue\tnil\tshutdown\nafter\n$", main.out)
    assert.matches("^up\nchild_stop_slow\tnil\tdeaf\t5000\tpid<.-\n"
      .. "run\ttrue\nafter\n$", of_main.out)
  end)

  local deaf = [[
    local supervisor = require "banyan.supervisor"
    assert(supervisor.start_link { {
      id = "deaf", shutdown = "infinity",
      start = function()
        return banyan.spawn_link(function()
          banyan.trap_exit(true)
          while true do
            if banyan.receive().tag == "EXIT" then
              print("deaf")
              io.stdout:flush()
            end
          end
        end)
      end,
    } })
    banyan.sleep(0)
    print("up")
  ]]
  local stubborn = [[{ stop_ms = math.huge, on_event = function(e)
    print(e.event, e.ms)
    io.stdout:flush()
  end }]]

  it("while the node stops limits the time of that", function()
    local child = running(deaf .. " do return end", stubborn)
    child:wait_for("deaf")
    child:kill("sigterm")
    assert.equal(0, (child:finish()))
    assert.matches("stop_timeout\t5000\nrun\ttrue\tnil\tshutdown\nafter\n",
      child.out, 1, true)
  end)

  it("a second time while the node stops ends that at once", function()
    local child = running(deaf .. " do return end", stubborn)
    child:wait_for("deaf")
    child:kill("sigterm")
    local timer = uv.new_timer()
    timer:start(50, 50, function() child:kill("sigterm") end)
    child:finish()
    timer:close()
    uv.run("nowait")
    assert.is_nil(child.out:find "stop_timeout")
  end)

  it("has a limit: a stop takes no longer than stop_ms", function()
    local child = running(deaf .. " do return end",
      "{ stop_ms = 50, on_event = false }")
    child:wait_for("up")
    assert.equal(0, (child:finish()))
    child = running(deaf .. " banyan.sleep(math.huge)",
      "{ stop_ms = 50, on_event = false }")
    child:wait_for("up")
    child:kill("sigterm")
    assert.equal(0, (child:finish()))
    assert.matches("run\ttrue\tnil\tshutdown\nafter\n", child.out, 1, true)
  end)

  it("does not hide another reason of main", function()
    local child = running [[
      banyan.trap_exit(true)
      print("up")
      banyan.receive()
      banyan.exit("disk_full")
    ]]
    child:wait_for("up")
    child:kill("sigterm")
    child:finish()
    assert.matches("run\tfalse\tdisk_full\nafter\n", child.out, 1, true)
  end)

  it("the second time ends the program if a process loops", function()
    local child = running('print("up") while true do end',
      "{ preempt = false }")
    child:wait_for("up")
    child:kill("sigint")
    -- After the first signal the system's own action is in force again.
    local timer = uv.new_timer()
    timer:start(20, 20, function() child:kill("sigint") end)
    local _, signal = child:finish()
    timer:close()
    uv.run("nowait")
    assert.equal(uv.constants.SIGINT, signal)
  end)

  it("after a run has the system's action again", function()
    local child = program [[
      local banyan = require "banyan"
      banyan.run(function() end)
      print("up")
      io.stdout:flush()
      io.read()
    ]]
    child:wait_for("up")
    child:kill("sigterm")
    local _, signal = child:finish()
    assert.equal(uv.constants.SIGTERM, signal)
  end)
end)

describe("a program that forbids undeclared globals", function()
  it("can load luv and run", function()
    local child = program [[
      setmetatable(_G, {
        __index = function(_, key) error("undeclared " .. tostring(key), 2) end,
        __newindex = function(_, key) error("assigned " .. key, 2) end,
      })
      local banyan = require "banyan"
      for i = 1, 2 do
        print(banyan.run(function() banyan.sleep(1) return i end))
      end
      print((pcall(function() return undeclared end)))
    ]]
    assert.equal(0, (child:finish()))
    assert.equal("1\n2\nfalse\n", child.out)
  end)
end)

describe("a run whose handles the program closes", function()
  it("ends with an error that says so, and an event", function()
    local child = program [[
      local banyan, uv = require "banyan", require "luv"
      local function on_event(e) print(e.event, e.where, e.reason) end
      local function close(handle)
        if not handle:is_closing() then handle:close() end
      end
      print(pcall(banyan.run, { on_event = on_event }, function()
        banyan.spawn(function() banyan.sleep(math.huge) end)
        uv.walk(close)
        banyan.sleep(20)
      end))
      print(banyan.run(function()
        banyan.sleep(1)
        return "again"
      end))
    ]]
    assert.equal(0, (child:finish()))
    local why = "the node's handles were closed by the program"
    assert.equal(("driver_error\tloop\t%s\nfalse\tbanyan.run: %s\nagain\n")
      :format(why, why), child.out)
  end)
end)

describe("stderr", function()
  local function errors_of(opts)
    local child = program(([[
      local banyan = require "banyan"
      banyan.run(%s function()
        local _, ref = banyan.spawn_monitor(function() error("boom") end)
        banyan.receive(function(m) return m.ref == ref end)
      end)
    ]]):format(opts))
    assert.equal(0, (child:finish()))
    return child.err
  end

  it("has the warnings of a run by default", function()
    assert.matches("^%S+ %S+ warning process_crashed .*boom\n +stack",
      errors_of "")
    assert.equal("", errors_of "{ on_event = false },")
    assert.equal("", errors_of "{ on_event = function() end },")
  end)

  it("has the error of main once, and lua exits with 1", function()
    local child = program [[
      require("banyan").run(function() error("boom") end)
    ]]
    assert.equal(1, (child:finish()))
    assert.equal(1, select(2, child.err:gsub("boom", "")))
    assert.matches("stack traceback", child.err)
  end)
end)
