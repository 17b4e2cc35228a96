-- What ends and what goes on where a process of a distributed supervisor
-- itself crashes, or is asked for what makes no sense.

local banyan = require "banyan"
local core = require "banyan.core"
local ds = require "banyan.distributed_supervisor"
local run = require "spec.support.run"
local supervisor = require "banyan.supervisor"
local views = require "banyan.distributed_supervisor.views"
local worker = require "spec.support.worker"

local NAME = "children"

-- What the processes of the supervisor on this node are called in it.
local function part(top, id)
  for _, child in ipairs(supervisor.which_children(top)) do
    if child.id == id then return child.pid end
  end
end

-- Calls body(top, events) where the supervisor runs on one node; `top` is its
-- tree.
local function with(body)
  return function()
    local events = {}
    run(function()
      core.trap_exit(true)
      body(assert(ds.start_link { name = NAME }), events)
    end, { events = events })
  end
end

-- Until it holds; the clock jumps.
local function wait(holds)
  for _ = 1, 1000 do
    local value = holds()
    if value then return value end
    core.sleep(10)
  end
  error("it never held", 2)
end

local function count(events, kind)
  local n = 0
  for _, event in ipairs(events) do
    if event.event == kind then n = n + 1 end
  end
  return n
end

describe("a distributed supervisor", function()
  it("starts its children again after the end of their parent",
    with(function(top)
      local old = assert(ds.start_child(NAME, worker.spec("x")))
      part(top, "processes"):exit("kill")
      local new = wait(function()
        local pid = ds.whereis(NAME, "x")
        return pid ~= old and pid
      end)
      assert.is_true(core.is_alive(new))
      assert.is_false(core.is_alive(old))
      assert.equal("x", (ds.call(NAME, "x", "")))
      assert.is_true(supervisor.stop(top))
    end))

  it("ends while its children's parent does", with(function(top)
    assert(ds.start_child(NAME, worker.spec("x", { shutdown = "infinity" })))
    local parent = part(top, "processes")
    core.spawn(function() parent:exit("kill") end)
    assert.is_true(supervisor.stop(top))
  end))

  it("that its supervisor starts again finds what should run", function()
    run(function()
      core.trap_exit(true)
      local sibling
      local function start_sibling()
        sibling = core.spawn_link(function() core.receive() end)
        return sibling
      end
      assert(supervisor.start_link({
        ds.child_spec { name = NAME },
        { id = "sibling", start = start_sibling },
      }, { strategy = "one_for_all" }))
      local old = assert(ds.start_child(NAME, worker.spec("x")))
      assert(ds.start_child(NAME, worker.spec("y", { restart = "temporary" })))
      sibling:exit("kill")
      wait(function()
        local pid = ds.whereis(NAME, "x")
        return pid and pid ~= old
      end)
      assert.equal("x", (ds.call(NAME, "x", "")))
      assert.is_nil(ds.whereis(NAME, "y"))
      assert(ds.start_child(NAME, worker.spec("z")))
    end)
  end)

  it("that was killed was not started", with(function(top)
    assert(ds.start_child(NAME, worker.spec("x")))
    top:exit("kill")
    wait(function() return not core.is_alive(top) end)
    for _, fn in ipairs { "children", "local_children", "count", "nodes",
                          "status" } do
      assert.same({ nil, "not_started" }, { ds[fn](NAME) }, fn)
    end
    assert.is_nil(ds.whereis(NAME, "x"))
    assert.equal("not_started", select(2, ds.explain(NAME, "x")))
    assert.equal("not_started",
      select(2, ds.start_child(NAME, worker.spec("y"))))
  end))

  it("serves a start that its coordinator's end finds under way",
    with(function()
      local answers = {}
      local me = core.self()
      for i = 1, 10 do
        core.spawn(function()
          local arg = { sleep = 50, i = i }
          local pid, id = ds.start_child(NAME, {
            id = i, start = { "spec.support.worker", "start_link", { arg } },
          })
          core.send(me, { pid = pid, id = id })
        end)
      end
      core.sleep(20)
      core.whereis(NAME):exit("kill")
      assert(ds.start_child(NAME, worker.spec("at once")))
      for i = 1, 10 do
        answers[i] = banyan.receive(function(m) return m.id ~= nil end)
        assert.is_true(core.is_pid(answers[i].pid), tostring(answers[i].id))
        assert.equal(answers[i].pid, ds.whereis(NAME, answers[i].id))
      end
    end))

  it("shows no process that has ended", with(function()
    local pid = assert(ds.start_child(NAME, worker.spec("x")))
    local ref = core.monitor(pid)
    core.unbroken(function()
      -- Nobody else runs before this process has looked.
      pid:exit("kill")
    end)
    assert(banyan.receive(function(m) return m.ref == ref end))
    assert.is_not.equal(pid, ds.whereis(NAME, "x"))
    for _, running in pairs(ds.children(NAME)) do
      assert.is_true(core.is_alive(running))
    end
    local shown = ds.explain(NAME, "x")
    assert.is_true(shown.pid == nil or core.is_alive(shown.pid))
  end))

  it("takes no id that cannot be sent", with(function(_, events)
    for _, id in ipairs { 2^63, -2^64, ("x"):rep(70000), 1.5, 1 / 0 } do
      local ok, err = pcall(function()
        return (ds.terminate_child(NAME, id))
      end)
      assert.is_false(ok)
      assert.matches("spec/[^:]+:%d+: distributed_supervisor%.terminate_child:"
        .. " id must be a string", err)
      assert.has_error(function() ds.start_child(NAME, worker.spec(id)) end)
    end
    assert(ds.start_child(NAME, worker.spec("x")))
    assert.equal(0, count(events, "coordinator_error"))
  end))

  it("outlives an error in what it is told", with(function(_, events)
    local pid = assert(ds.start_child(NAME, worker.spec("x")))
    local coordinator = core.whereis(NAME)
    for _ = 1, 10 do
      core.send(NAME, { tag = "exited", child = "none",
        key = views.of(NAME).key })
    end
    assert(ds.start_child(NAME, worker.spec("y")))
    assert.equal(coordinator, core.whereis(NAME))
    assert.equal(pid, ds.whereis(NAME, "x"))
    core.sleep(1)
    assert.equal(10, count(events, "coordinator_error"))
  end))

  it("takes any limit of time", function()
    for _, seconds in ipairs { 1.005, 0.0005, math.huge } do
      run(function()
        assert(ds.start_link { name = NAME, max_seconds = seconds })
      end)
    end
  end)
end)

-- Start functions, by what they do.
local starts = {}
package.loaded["spec.distributed_supervisor_crash.starts"] = starts

local function spec(fn, args, more)
  local one = {
    id = fn, start = { "spec.distributed_supervisor_crash.starts", fn, args },
  }
  for key, value in pairs(more or {}) do one[key] = value end
  return one
end

describe("a start function of a distributed supervisor", function()
  local function with_starts(body)
    return function()
      run(function()
        core.trap_exit(true)
        body(assert(ds.start_link {
          name = NAME, modules = { "spec.distributed_supervisor_crash.starts" },
        }))
      end)
    end
  end

  it("is answered as it is", with_starts(function()
    function starts.noproc() return nil, "noproc" end
    assert.same({ nil, "noproc" }, { ds.start_child(NAME, spec("noproc")) })
    function starts.raise() error(nil) end
    local pid, err = ds.start_child(NAME, spec("raise"))
    assert.is_nil(pid)
    assert.is_not_nil(err)
  end))

  it("may give a process that ends at once: its own reason counts",
    with_starts(function()
      local n = 0
      function starts.brief(reason)
        n = n + 1
        local pid = core.spawn_link(function() core.exit(reason) end)
        core.sleep(1)
        return pid
      end
      local pid = assert(ds.start_child(NAME,
        spec("brief", { "normal" }, { restart = "transient" })))
      assert.is_true(core.is_pid(pid))
      core.sleep(1000)
      assert.equal(1, n)
      assert.equal("ended", ds.explain(NAME, "brief").state)
      assert(ds.start_child(NAME, spec("brief", { "own reason" })))
      core.sleep(10000)
      assert.is_true(n > 4)
      assert.equal("own reason", ds.explain(NAME, "brief").error)
    end))

  it("gives no process that is another child or the supervisor's own",
    with_starts(function(top)
      function starts.give(pid) return pid end
      local child = assert(ds.start_child(NAME, worker.spec("x")))
      for _, pid in ipairs { child, top, core.whereis(NAME),
                             part(top, "processes") } do
        local none, err = ds.start_child(NAME, spec("give", { pid }))
        assert.is_nil(none)
        assert.same({ "bad_return", pid }, { err[1], err[2] })
        assert.is_true(core.is_alive(pid))
      end
      assert.equal(child, ds.whereis(NAME, "x"))
    end))
end)

describe("a child that crashes too often", function()
  it("is told of with its last reasons", with(function(_, events)
    for _, id in ipairs { "x", "y" } do
      assert(ds.start_child(NAME, worker.spec(id)))
    end
    for i = 1, 8 do
      local pid = wait(function() return ds.whereis(NAME, "x") end)
      pid:exit("x" .. i)
      if i <= 2 then ds.whereis(NAME, "y"):exit("y" .. i) end
      wait(function() return ds.whereis(NAME, "x") ~= pid end)
    end
    wait(function() return count(events, "child_failing") == 5 end)
    local told = {}
    for _, event in ipairs(events) do
      if event.event == "child_failing" then told[#told + 1] = event end
    end
    assert.same({ "x1", "x2", "x3", "x4" }, told[1].reasons)
    assert.equal("x4", told[1].reason)
    assert.same({ "x4", "x5", "x6", "x7", "x8" }, told[5].reasons)
    assert.equal(5, told[5].count)
  end))
end)
