-- Calls and messages by id to a child that is known and does not run just now.

local core = require "banyan.core"
local ds = require "banyan.distributed_supervisor"
local recorder = require "spec.support.recorder"
local run = require "spec.support.run"
local server = require "banyan.server"
local supervisor = require "banyan.supervisor"
local support = require "spec.support.distributed"
local views = require "banyan.distributed_supervisor.views"

local NAME = support.NAME
local A, B, C = "a@h:1", "b@h:1", "c@h:1"
local SLOW_MS = 500

local at = support.at

-- Runs body beside a child "x" that takes SLOW_MS to start again.
local function with(opts, body, events)
  return function()
    recorder.start_ms, recorder.seen = 0, {}
    run(function()
      local settings = { name = NAME }
      for key, value in pairs(opts) do settings[key] = value end
      assert(ds.start_link(settings))
      local pid = assert(ds.start_child(NAME, recorder.spec("x")))
      recorder.start_ms = SLOW_MS
      body(pid)
    end, { events = events })
    recorder.start_ms = 0
  end
end

local function holds() return #views.of(NAME).held_list end

local function wait_for(what, fn)
  for _ = 1, 500 do
    if fn() then return end
    core.sleep(20)
  end
  error("it did not come about that " .. what)
end

describe("a call by id", function()
  it("waits for a child that starts again", with({}, function(pid)
    pid:exit("kill")
    local begun = core.now()
    assert.same({ "hi", true }, { ds.call(NAME, "x", "hi") })
    assert.is_true(core.now() - begun >= SLOW_MS)
    pid = ds.whereis(NAME, "x")
    pid:exit("kill")
    assert.same({ "hi", true }, { server.call(ds.via(NAME, "x"), "hi") })
    assert.equal("call hi, call hi", recorder.told())
  end))

  it("waits where lookups ask the supervisor", with({ cache_children = false },
    function(pid)
      pid:exit("kill")
      assert.equal("hi", (ds.call(NAME, "x", "hi")))
    end))

  it("waits no longer than its time-out", with({}, function(pid)
    pid:exit("kill")
    assert.same({ nil, "timeout" }, { ds.call(NAME, "x", "hi", 100) })
    assert.same({ nil, "timeout" },
      { server.call(ds.via(NAME, "x"), "hi", 100) })
    assert.same({ nil, "timeout" }, { ds.call(NAME, "x", "hi", 0) })
    wait_for("it runs", function() return ds.whereis(NAME, "x") end)
    core.sleep(1000)
    assert.equal("", recorder.told())
    assert.equal(0, holds())
  end))

  it("has one time-out for its wait and its answer", with({}, function(pid)
    pid:exit("kill")
    local begun = core.now()
    assert.same({ nil, "timeout" }, { ds.call(NAME, "x", "sleep", 1000) })
    assert.is_true(core.now() - begun < 1000 + SLOW_MS)
  end))

  it("waits for one that fails", with({ max_restarts = 0,
    backoff = { min = 2000, max = 2000, jitter = 0 } }, function(pid)
    pid:exit("kill")
    wait_for("it fails", function()
      return ds.explain(NAME, "x").state == "failing"
    end)
    assert.same({ nil, "timeout" }, { ds.call(NAME, "x", "hi", 200) })
    assert.equal("hi", (ds.call(NAME, "x", "hi")))
  end))

  it("is answered when the child is ended", with({}, function(pid)
    pid:exit("kill")
    core.spawn(function()
      core.sleep(100)
      ds.terminate_child(NAME, "x")
    end)
    assert.same({ nil, "noproc" }, { ds.call(NAME, "x", "hi", "infinity") })
    assert.equal(0, holds())
  end))

  it("is answered when the supervisor is stopped", with({}, function(pid)
    core.unlink(views.of(NAME).tree)
    pid:exit("kill")
    local results
    core.spawn(function() results = { ds.call(NAME, "x", "hi", 60000) } end)
    core.sleep(100)
    supervisor.stop(views.of(NAME).tree)
    wait_for("the caller is answered", function() return results end)
    assert.is_nil(results[1])
    assert.equal("not_started", results[2])
  end))

  it("is not repeated for an answer that looks alike", with({}, function()
    recorder.seen = {}
    assert.same({ nil, "noproc" }, { ds.call(NAME, "x", "nil, noproc") })
    assert.same({ nil, "noproc" },
      { server.call(ds.via(NAME, "x"), "nil, noproc") })
    assert.equal("call nil, noproc, call nil, noproc", recorder.told())
  end))

  it("is not repeated where a request fails beside it", with({}, function()
    core.request(core.spawn(function()
      core.sleep(200)
      core.exit("noproc")
    end), "anything")
    assert.same({ nil, "noproc" }, { ds.call(NAME, "x", "slow nil, noproc") })
    assert.equal("call slow nil, noproc", recorder.told())
  end))

  it("knows an integer that is a float", function()
    with({}, function()
      recorder.start_ms = 0
      local pid = assert(ds.start_child(NAME, recorder.spec(1)))
      recorder.start_ms = SLOW_MS
      pid:exit("kill")
      assert.is_true(ds.send(NAME, 1.0, "a"))
      assert.is_true(ds.cast(NAME, 1.0, "b"))
      assert.equal("hi", (ds.call(NAME, 1.0, "hi")))
      assert.equal("send a, cast b, call hi", recorder.told())
    end)()
  end)

  it("is not held where the supervisor has just left", with({}, function()
    local view, of = views.of(NAME), views.of
    core.unlink(view.tree)
    supervisor.stop(view.tree)
    views.of = function() return view end -- as the caller found it before
    local call = { ds.call(NAME, "x", "hi", 1000) }
    local sent = { ds.send(NAME, "x", "hi") }
    views.of = of
    assert.same({ nil, "not_started" }, { call[1], call[2] })
    assert.same({ nil, "not_started" }, { sent[1], sent[2] })
  end))

  it("is not repeated where the child ended in it", with({}, function()
    assert.same({ nil, "noproc" }, { ds.call(NAME, "x", "exit noproc") })
    assert.equal("call exit noproc", recorder.told())
  end))

  it("leaves nothing behind where the caller ends", with({}, function(pid)
    recorder.start_ms = 20000
    pid:exit("kill")
    local caller = core.spawn(function()
      ds.call(NAME, "x", "hi", "infinity")
    end)
    core.sleep(50)
    assert.equal(1, holds())
    caller:exit("kill")
    core.sleep(300)
    assert.equal(0, holds())
  end))

  it("says at once that nobody knows the id", with({}, function()
    local begun = core.now()
    assert.same({ nil, "noproc" }, { ds.call(NAME, "y", "hi") })
    assert.same({ nil, "noproc" }, { server.call(ds.via(NAME, "y"), "hi") })
    assert.equal(begun, core.now())
    for _, call in ipairs {
      function() ds.call(NAME, "x", "hi", -1) end,
      function() server.call(ds.via(NAME, "x"), "hi", -1) end,
    } do
      local ok, err = pcall(call)
      assert.is_false(ok)
      assert.matches("held_spec.lua:%d+: .*time", err)
    end
  end))
end)

describe("messages by id", function()
  it("reach the next process in order", with({}, function(pid)
    local dest = ds.via(NAME, "x")
    pid:exit("kill")
    assert.is_true(ds.send(NAME, "x", 1))
    assert.is_true(ds.cast(NAME, "x", 2))
    assert.is_true(core.send(dest, 3))
    assert.is_true(server.cast(dest, 4))
    core.send_after(100, dest, 5)
    core.sleep(200)
    assert.is_true(ds.send(NAME, "x", 6))
    assert.equal(7, (ds.call(NAME, "x", 7)))
    assert.is_true(ds.send(NAME, "x", 8))
    assert.equal(9, (ds.call(NAME, "x", 9)))
    assert.equal("send 1, cast 2, send 3, cast 4, send 5, send 6, call 7, "
      .. "send 8, call 9", recorder.told())
    wait_for("nothing is held", function() return holds() == 0 end)
  end))

  it("wait on, in order, where that ends again", with({ max_restarts = 9 },
    function(pid)
      pid:exit("kill")
      for _, msg in ipairs { "a", "crash", "b", "c" } do
        ds.cast(NAME, "x", msg)
      end
      wait_for("it has them", function() return #recorder.seen >= 2 end)
      core.sleep(3 * SLOW_MS)
      -- What was in the mailbox of the one that crashed is lost.
      assert.matches("^cast a, cast crash", recorder.told())
      assert.equal("d", (ds.call(NAME, "x", "d")))
    end))

  it("are not overtaken by one that is sent once it runs", with({},
    function(pid)
      pid:exit("kill")
      for i = 1, 500 do ds.send(NAME, "x", i) end
      local view = views.of(NAME)
      local show, sent = views.show, nil
      views.show = function(...) -- before what is held has been let go
        show(...)
        if views.pid(view, "x") then
          views.show = show
          sent = ds.send(NAME, "x", "last")
        end
      end
      wait_for("it has all", function() return #recorder.seen == 501 end)
      assert.is_true(sent)
      assert.equal("last", recorder.seen[501].msg)
    end))

  it("go on where the process that sends them is killed", with({},
    function(pid)
      pid:exit("kill")
      for i = 1, 3 do ds.send(NAME, "x", i) end
      local spawn, killed = core.spawn, nil
      core.spawn = function() -- the next one ends before it has sent anything
        core.spawn = spawn
        killed = spawn(function() core.exit("killed") end)
        return killed
      end
      assert.equal("now", (ds.call(NAME, "x", "now")))
      assert.equal("send 1, send 2, send 3, call now", recorder.told())
      assert.is_false(core.is_alive(killed))
    end))

  it("are copied, and fit for another node", with({}, function(pid)
    local msg = { 1 }
    pid:exit("kill")
    ds.send(NAME, "x", msg)
    msg[1] = 2
    for _, send in ipairs {
      function() ds.send(NAME, "x", print) end,
      function() ds.cast(NAME, "x", print) end,
      function() core.send(ds.via(NAME, "x"), print) end,
      function() server.cast(ds.via(NAME, "x"), print) end,
    } do
      local ok, err = pcall(send)
      assert.is_false(ok)
      assert.matches("held_spec.lua:%d+: .*cannot send a function", err)
    end
    ds.call(NAME, "x", "now")
    assert.equal(1, recorder.seen[1].msg[1])
    assert.equal(2, #recorder.seen)
  end))

  it("are dropped beyond max_held, the newest first", function()
    local events, count = {}, 0
    with({ max_held = 3 }, function(pid)
      pid:exit("kill")
      for i = 1, 5 do assert.is_true(ds.send(NAME, "x", i)) end
      ds.call(NAME, "x", "now")
      assert.equal("send 1, send 2, send 3, call now", recorder.told())
    end, events)()
    for _, event in ipairs(events) do
      if event.event == "held_dropped" then
        assert.same({ NAME, "x" }, { event.supervisor, event.id })
        count = count + event.count
      end
    end
    assert.equal(2, count)
  end)

  it("go nowhere where the child is ended, or not known", with({},
    function(pid)
      pid:exit("kill")
      assert.is_true(ds.send(NAME, "x", 1))
      assert(ds.terminate_child(NAME, "x"))
      assert.same({ nil, "noproc" }, { ds.send(NAME, "x", 2) })
      assert.is_true(ds.cast(NAME, "x", 2))
      recorder.start_ms = 0
      assert(ds.start_child(NAME, recorder.spec("x")))
      assert.equal("hi", (ds.call(NAME, "x", "hi")))
      assert.equal("call hi", recorder.told())
    end))
end)

describe("what is held for a child of a lost node", function()
  local function cluster()
    recorder.start_ms, recorder.seen = 0, {}
    local net = support.cluster { A, B, C }
    local id = support.id_for(net, B)
    assert(at(net, A, ds.start_child, NAME, recorder.spec(id)))
    net:settle()
    return net, id
  end

  -- A process on A that goes on while the rest of the test does.
  local function begin(net, fn)
    local results = {}
    net:find(A).core:spawn(function() results.of = { fn() } end)
    return results
  end

  it("waits until it runs on another", function()
    local net, id = cluster()
    recorder.start_ms = SLOW_MS
    net:kill(B)
    net:pass(100)
    local sent = begin(net, function()
      ds.send(NAME, id, 1)
      return ds.call(NAME, id, 2, 60000)
    end)
    net:settle()
    net:pass(60000)
    assert.same({ 2, true }, sent.of)
    assert.equal("send 1, call 2", recorder.told())
    assert.is_nil(support.crashes(net))
    net:close()
  end)

  it("says noconnection for a call that its node may have served", function()
    local net, id = cluster()
    local call = begin(net, function()
      return ds.call(NAME, id, "sleep", 60000)
    end)
    net:pass(500)
    assert.equal("call sleep", recorder.told())
    net:kill(B)
    net:pass(60000)
    assert.same({ nil, "noconnection" }, { call.of[1], call.of[2] })
    net:close()
  end)

  it("calls again where the process was gone when the call came", function()
    local net, id = cluster()
    local pid = at(net, A, ds.whereis, NAME, id)
    net:hold(B, A, true) -- A does not hear of the end
    at(net, B, function() pid:exit("kill") end)
    net:settle()
    local call = begin(net, function()
      return ds.call(NAME, id, "hi", 60000)
    end)
    net:hold(B, A, false)
    net:pass(5000)
    assert.same({ "hi", true }, call.of)
    assert.equal("call hi", recorder.told())
    net:close()
  end)

  -- Each has a call under way when the link is lost, and calls again at once:
  -- some before the coordinator has heard of it.
  it("reaches the same process where its node is back", function()
    local net, id = cluster()
    net:hold(A, B, true)
    net:hold(B, A, true)
    local answers, lost = 0, 0
    for _ = 1, 20 do
      net:find(A).core:spawn(function()
        local _, err = ds.call(NAME, id, "first", 600000)
        if err == "noconnection" then lost = lost + 1 end
        if ds.call(NAME, id, "second", 600000) then answers = answers + 1 end
      end)
    end
    net:pass(20000)
    assert.equal(20, lost)
    net:hold(A, B, false)
    net:hold(B, A, false)
    support.join(net, A, { B })
    net:pass(60000)
    assert.equal(20, answers)
    net:close()
  end)

  it("waits for what the others know, where the supervisor begins", function()
    local net, id = cluster()
    at(net, C, function() core.whereis("keeper"):exit("kill") end)
    net:pass(2000)
    net:hold(A, C, true)
    net:hold(B, C, true)
    support.open(net, C)
    net:pass(50)
    local results = {}
    local function ask(name, fn, which)
      net:find(C).core:spawn(function()
        results[name] = { fn(NAME, which, name, 60000) }
      end)
    end
    ask("sent", ds.send, id)
    ask("called", ds.call, id)
    ask("unknown", ds.call, "nobody")
    net:pass(50)
    assert.same({ true }, results.sent)
    assert.is_nil(results.called)
    net:hold(A, C, false)
    net:hold(B, C, false)
    net:pass(5000)
    assert.same({ "called", true }, results.called)
    assert.same({ nil, "noproc" },
      { results.unknown[1], results.unknown[2] })
    assert.equal("send sent, call called", recorder.told())
    net:close()
  end)

  it("does not where the process ended in the call, with that reason",
    function()
      local net, id = cluster()
      local call = begin(net, function()
        return ds.call(NAME, id, "exit noproc", 60000)
      end)
      net:pass(5000)
      assert.same({ nil, "noproc" }, { call.of[1], call.of[2] })
      assert.equal("call exit noproc", recorder.told())
      net:close()
    end)
end)
