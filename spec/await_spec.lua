-- banyan.await, banyan.guard, and what a callback of the host's loop may send.

local banyan = require "banyan"
local core = require "banyan.core"
local lockstep = require "banyan.lockstep"
local program = require "spec.support.program"
local run = require "spec.support.run"
local server = require "banyan.server"
local uv = require "luv"

local function nothing() end

local function pack(...) return { n = select("#", ...), ... } end

local function later(ms, fn)
  local timer = uv.new_timer()
  timer:start(ms, 0, function()
    timer:close()
    fn()
  end)
end

describe("await", function()
  it("answers what done is given by a callback of luv, by reference", function()
    local value = setmetatable({}, {})
    banyan.run(function()
      local got = pack(banyan.await(function(done)
        later(1, function() done(nil, value, nil) end)
      end))
      assert.same(3, got.n)
      assert.equal(value, got[2])
    end)
  end)

  it("ends at once if done is called before it waits", function()
    run(function()
      local got = pack(banyan.await(function(done) done(1, nil, "x", nil) end))
      assert.same({ n = 4, 1, nil, "x" }, got)
      assert.equal(0, select("#", banyan.await(function(done) done() end)))
    end)
  end)

  it("keeps what done was given while fn still waits itself", function()
    run(function()
      local got = banyan.await(function(done)
        banyan.spawn(function() done "early" end)
        banyan.sleep(10)
      end)
      assert.equal("early", got)
    end)
  end)

  it("ends when another process calls done", function()
    run(function()
      assert.equal("other", (banyan.await(function(done)
        banyan.spawn(function()
          banyan.sleep(5)
          done "other"
        end)
      end)))
    end)
  end)

  it("hands over many values", function()
    run(function()
      local unpack = table.unpack or unpack -- luacheck: ignore
      local list = {}
      for i = 1, 200 do list[i] = i end
      local got = pack(banyan.await(function(done)
        banyan.spawn(function() done(unpack(list)) end)
      end))
      assert.equal(200, got.n)
      assert.equal(200, got[200])
    end)
  end)

  it("takes the first call of done only", function()
    run(function()
      local kept
      local function begin(done)
        kept = done
        banyan.spawn(function()
          done(1)
          done(2)
        end)
      end
      assert.equal(1, (banyan.await(begin)))
      kept(3)
      local first = kept
      -- The next wait is another one.
      assert.same({ nil, "timeout" }, { banyan.await(function(done)
        first(4)
        banyan.spawn(function() first(5) end)
        assert.not_equal(first, done)
      end, 10) })
      assert.equal("received", (function()
        banyan.send(banyan.self(), "received")
        return banyan.receive(0)
      end)())
    end)
  end)

  it("has a time limit", function()
    run(function()
      local kept
      local from = banyan.now()
      assert.same({ nil, "timeout" },
        { banyan.await(function(done) kept = done end, 30) })
      assert.equal(30, banyan.now() - from)
      kept "late"
      assert.same({ nil, "timeout" }, { banyan.await(nothing, 0) })
      assert.is_nil(banyan.receive(0))
    end)
  end)

  it("leaves the mailbox alone", function()
    run(function()
      local me = banyan.self()
      banyan.await(function(done)
        banyan.spawn(function()
          me:send "mail"
          done()
        end)
      end)
      assert.equal("mail", banyan.receive(0))
    end)
  end)

  it("raises an error of fn, at the program's line", function()
    run(function()
      local ok, err = pcall(banyan.await, function() error "at fault" end)
      assert.is_false(ok)
      assert.matches("await_spec.lua:%d+: at fault", err)
      -- The process is as it was.
      assert.equal("next", (banyan.await(function(done) done "next" end)))
    end)
  end)

  it("is misuse outside a process, and with wrong arguments", function()
    local called
    local node = banyan.start { driver = "manual" }
    local ok, err = pcall(banyan.await, function() called = true end)
    node:stop()
    assert.is_false(ok)
    assert.matches("await outside a process", err)
    assert.is_nil(called)
    run(function()
      ok, err = pcall(banyan.await, 5)
      assert.is_false(ok)
      assert.matches("fn must be a function, got number", err)
      ok, err = pcall(banyan.await, function() called = true end, -1)
      assert.is_false(ok)
      assert.matches("banyan.await: timeout must be", err)
      assert.is_nil(called)
      ok, err = pcall(coroutine.wrap(function()
        return banyan.await(function() called = true end)
      end))
      assert.is_false(ok)
      assert.matches("inside a coroutine", err)
      assert.is_nil(called)
    end)
  end)

  it("is woken by done alone", function()
    run(function()
      local kept
      local ref = core.make_ref()
      local pid = banyan.spawn(function()
        banyan.await(function(done) kept = done end)
      end)
      banyan.sleep(1)
      banyan.send(pid, "a message")
      banyan.send(pid, { tag = "reply", ref = ref })
      server.reply(ref, "a reply")
      banyan.sleep(1)
      assert.equal("await", banyan.process_info(pid).waits_for)
      assert.equal(2, banyan.process_info(pid).message_queue_len)
      kept()
      banyan.sleep(1)
      assert.is_nil(banyan.process_info(pid))
    end)
  end)

  it("refuses the done of another process", function()
    run(function()
      local theirs
      banyan.spawn(function() theirs = core.await_begin() end)
      banyan.sleep(1)
      assert.is_false(pcall(core.await_wait, theirs))
      assert.is_false(pcall(core.await_wait, nothing))
      assert.is_false(pcall(core.await_begin, theirs))
    end)
  end)

  for _, reason in ipairs { "kill", "other" } do
    it("ends with the process, by " .. reason, function()
      run(function()
        local kept
        local pid, ref = banyan.spawn_monitor(function()
          banyan.await(function(done) kept = done end, 1000)
        end)
        banyan.sleep(1)
        pid:exit(reason)
        local down = banyan.receive(0)
        assert.equal(ref, down.ref)
        kept "too late"
        banyan.sleep(5)
      end)
    end)
  end

  it("waits on when an exit signal is trapped", function()
    run(function()
      local kept
      local me = banyan.self()
      local pid = banyan.spawn(function()
        banyan.trap_exit(true)
        local got = banyan.await(function(done) kept = done end)
        me:send { got, banyan.receive().tag }
      end)
      banyan.sleep(1)
      pid:exit "asked"
      banyan.sleep(1)
      kept "then"
      assert.same({ "then", "EXIT" }, banyan.receive())
    end)
  end)

  it("may be called in a server's callback", function()
    run(function()
      local kept
      local S = {}
      function S.handle_call()
        return banyan.await(function(done) kept = done end)
      end
      local pid = assert(server.start_link(S))
      banyan.spawn(function()
        banyan.sleep(5)
        kept("a", "b")
      end)
      assert.same({ "a", "b" }, { server.call(pid, 1) })
    end)
  end)

  it("does nothing when done comes after the node has stopped", function()
    local kept
    banyan.run(function()
      banyan.spawn(function() banyan.await(function(done) kept = done end) end)
      banyan.sleep(1)
    end)
    kept(1, 2)
  end)

  it("leaves nothing behind if done is collected without a call", function()
    run(function()
      local kept = setmetatable({}, { __mode = "k" })
      local function begin(done) kept[done] = true end
      for _ = 1, 10 do banyan.await(begin, 1) end
      collectgarbage()
      collectgarbage()
      assert.is_nil(next(kept))
    end)
  end)

  it("waits on a manual node that is stepped", function()
    local node = banyan.start { driver = "manual", on_event = false }
    local kept, got
    node:spawn(function()
      got = banyan.await(function(done) kept = done end)
    end)
    assert.is_nil(node:step(0))
    kept "from the host"
    node:step(1)
    assert.equal("from the host", got)
    node:stop()
  end)
end)

describe("await under lockstep", function()
  it("meets every order of done and wait", function()
    local orders = {}
    lockstep.check(function()
      local order = {}
      local got = banyan.await(function(done)
        for i = 1, 2 do
          banyan.spawn(function()
            done(i)
            order[#order + 1] = i
          end)
        end
      end)
      assert(got == 1 or got == 2)
      orders[got] = true
    end, { iterations = 30, strategy = "random", seed = 1 })
    assert.is_true(orders[1])
    assert.is_true(orders[2] or jit ~= nil) -- LuaJIT has fewer points
  end)

  it("is named where nothing ever ends it", function()
    local report = lockstep.run(function()
      banyan.await(nothing)
    end, { iterations = 1 })
    assert.is_false(report.ok)
    assert.equal("deadlock", report.kind)
    assert.matches("body.* waits for the done of an await", report.reason)
  end)

  it("shows done and its wait in a trace", function()
    local report = lockstep.run(function()
      banyan.await(function(done)
        local waker = banyan.spawn(function()
          banyan.receive()
          done()
        end)
        banyan.send(waker, "go")
      end)
      error "over"
    end, { iterations = 1 })
    assert.matches("goes on after its await", tostring(report))
    assert.matches("calls done", jit and "calls done" or tostring(report))
  end)

  it("lets its time limit overtake done", function()
    local outcomes = {}
    lockstep.check(function()
      local _, late = banyan.await(function(done)
        banyan.spawn(function()
          banyan.sleep(10)
          done "in time"
        end)
      end, 10)
      outcomes[tostring(late)] = true
    end, { iterations = 50, strategy = "random", seed = 1 })
    assert.is_true(outcomes["timeout"])
    assert.is_true(outcomes["nil"])
  end)
end)

describe("guard", function()
  local function with_events(fn)
    local events = {}
    banyan.run({ on_event = function(event)
      if event.event == "callback_error" then events[#events + 1] = event end
    end }, fn)
    return events
  end

  it("makes an event of an error, and ends nothing", function()
    local lived
    local events = with_events(function()
      later(1, banyan.guard(function()
        return banyan.nothing_there.field
      end))
      banyan.sleep(20)
      lived = true
    end)
    assert.is_true(lived)
    assert.equal(1, #events)
    assert.matches("await_spec.lua:%d+: attempt to index", events[1].message)
    assert.matches("^stack traceback:.*await_spec.lua:%d+",
      events[1].traceback)
    assert.equal("warning", banyan.log.level(events[1]))
  end)

  it("answers what fn returned, or nothing", function()
    run(function()
      local wrapped = banyan.guard(function(...) return ... end)
      assert.same({ n = 3, 1, nil, nil }, pack(wrapped(1, nil, nil)))
      local fails = banyan.guard(function() error {} end)
      assert.equal(0, select("#", fails()))
    end, { events = {} })
  end)

  it("shows errors that are no strings", function()
    local events = with_events(function()
      banyan.guard(error)({ 1 })
      banyan.guard(error)(nil)
      banyan.guard(error)(setmetatable({}, {
        __tostring = function() error "again" end,
      }))
    end)
    assert.equal(3, #events)
    for _, event in ipairs(events) do
      assert.equal("string", type(event.message))
    end
  end)

  it("lets a process wait inside it", function()
    run(function()
      assert.equal("slept", (banyan.guard(function()
        banyan.sleep(5)
        return "slept"
      end)()))
    end)
  end)

  it("is misuse with anything but a function", function()
    local ok, err = pcall(function() return (banyan.guard(5)) end)
    assert.is_false(ok)
    assert.matches("await_spec", err)
    assert.matches("fn must be a function, got number", err)
  end)

  it("writes on stderr once the node has stopped", function()
    local child = program [[
      local banyan = require "banyan"
      local kept
      banyan.run(function() kept = banyan.guard(error) end)
      kept "afterwards"
      print "over"
    ]]
    assert.equal(0, child:finish())
    assert.matches("banyan: callback_error: afterwards\nstack traceback",
      child.err, 1, true)
    assert.equal("over\n", child.out)
  end)
end)

describe("a callback of the host's loop", function()
  it("sends to a pid, and replies", function()
    local S = {}
    function S.handle_call(_, _, from)
      later(1, function() server.reply(from, "from luv", 2) end)
      return server.noreply
    end
    banyan.run(function()
      local me = banyan.self()
      later(1, function() me:send { "from luv" } end)
      assert.same({ "from luv" }, banyan.receive())
      local pid = assert(server.start_link(S))
      assert.same({ "from luv", 2 }, { server.call(pid, 1) })
    end)
  end)

  it("raises nothing when the node has stopped meanwhile", function()
    local pid, from
    local S = {}
    function S.handle_call(_, _, ref)
      from = ref
      return server.noreply
    end
    banyan.run(function()
      pid = assert(server.start_link(S))
      server.call(pid, 1, 1)
    end)
    assert.is_true(pid:send "hello")
    assert.is_true(banyan.send(pid, "hello"))
    assert.is_true(server.reply(from, 1))
  end)

  it("finds the node of a pid among several", function()
    local got = {}
    local nodes, pids = {}, {}
    for i = 1, 2 do
      nodes[i] = banyan.start { driver = "manual", on_event = false }
      pids[i] = nodes[i]:spawn(function() got[i] = banyan.receive() end)
      nodes[i]:step(0)
    end
    for i = 1, 2 do pids[i]:send(i * 10) end
    for i = 1, 2 do nodes[i]:step(1) end
    assert.same({ 10, 20 }, got)
    nodes[1]:stop()
    assert.is_true(pids[1]:send "late")
    nodes[2]:stop()
  end)
end)
