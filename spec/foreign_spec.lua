-- Code that is not Banyan resumes or closes the coroutine of a process, or
-- takes what it yields.

local banyan = require "banyan"
local core = require "banyan.core"
local lockstep = require "banyan.lockstep"
local lua = require "spec.support.lua"
local run = require "spec.support.run"
local server = require "banyan.server"
local supervisor = require "banyan.supervisor"

local closing = lua.closes and it or pending
local close = rawget(coroutine, "close") -- Lua 5.4

-- Starts fn(said) as a process, lets it wait, has `act` do something to its
-- coroutine; answers what it said, and the reason that it ended for.
local function disturb(fn, act)
  local co, said = nil, {}
  local _, ref = core.spawn_monitor(function()
    co = coroutine.running()
    fn(said)
  end)
  core.sleep(1)
  said.acted = { act(co) }
  local down = banyan.receive(function(m) return m.ref == ref end, 50)
  return said, down and down.reason
end

local function resume(co) return coroutine.resume(co, "forged") end

local function assert_told(reason, what)
  assert.equal("error", reason and reason[1])
  assert.matches(what, reason[2])
  assert.matches("banyan%.await", reason[2])
  assert.matches("stack traceback", reason[3])
end

local RESUMED = "^the coroutine of pid<.*> was resumed by other code"

describe("a wait that somebody else resumes", function()
  local echo = { handle_call = function(_, msg)
    core.sleep(5)
    return msg
  end }
  local waits = {
    ["receive"] = function() return banyan.receive() end,
    ["receive with a time-out"] = function() return banyan.receive(1000) end,
    ["receive with a match"] = function()
      return banyan.receive(function() return true end)
    end,
    ["await"] = function() return banyan.await(function() end) end,
    ["sleep"] = function() return banyan.sleep(1000) end,
    ["call"] = function()
      return server.call(assert(server.start(echo)), "a question")
    end,
    ["start"] = function()
      return server.start({ init = function() core.sleep(5) end,
        handle_call = print })
    end,
  }
  for name, wait in pairs(waits) do
    it(name .. ": ends the process, which sees nothing of it", function()
      run(function()
        local said, reason = disturb(function(said)
          said.value = wait()
          banyan.self()
        end, resume)
        assert_told(reason, RESUMED)
        assert.is_nil(said.value)
        if lua.closes then
          assert.same({ true }, said.acted)
          assert.matches("%(.*foreign_spec%.lua:%d+%)", reason[2])
        end
      end)
    end)
  end

  closing("cannot be caught, nor go on when it is resumed again", function()
    run(function()
      local said, reason = disturb(function(said)
        repeat
          said.caught = { pcall(banyan.receive) }
        until said.caught[1]
      end, function(co)
        for _ = 1, 3 do assert.same({ true }, { resume(co) }) end
      end)
      assert_told(reason, RESUMED)
      assert.is_nil(said.caught)
    end)
  end)

  closing("runs the variables that are to be closed", function()
    run(function()
      local said = disturb(load [[
        local said = ...
        local x <close> = setmetatable({}, { __close = function()
          said.closed = require "banyan.core".self()
        end })
        require "banyan.core".receive()
      ]], resume)
      assert.is_not_nil(said.closed)
    end)
  end)

  it("from outside of all processes ends it as well", function()
    local clock, co, reason = 0, nil, nil
    local node = core.node { seed = 1, clock = function() return clock end }
    node:spawn(function()
      local _, ref = core.spawn_monitor(function()
        co = coroutine.running()
        banyan.receive()
        banyan.self()
      end)
      reason = banyan.receive(function(m) return m.ref == ref end).reason
    end)
    while co == nil do node:step(clock) end
    coroutine.resume(co, "forged")
    while reason == nil do
      clock = clock + 1
      node:step(clock)
    end
    node:close()
    assert_told(reason, RESUMED)
  end)

  it("leaves a call behind whose reply goes nowhere", function()
    run(function()
      local late
      local pid = assert(server.start {
        handle_call = function(_, _, from)
          late = from
          return server.noreply
        end,
      })
      local _, reason = disturb(function()
        server.call(pid, "x")
        banyan.self()
      end, resume)
      assert_told(reason, RESUMED)
      assert.is_true(server.reply(late, "too late"))
      assert.is_nil((banyan.receive(5)))
    end)
  end)

  it("in a handler is an error of that handler", function()
    run(function()
      local co, ended
      local pid = assert(server.start {
        handle_call = function()
          co = coroutine.running()
          banyan.receive()
          banyan.self()
        end,
        terminate = function(_, reason) ended = reason end,
      })
      local ref = server.request(pid, "x")
      core.sleep(1)
      resume(co)
      local reply = banyan.receive(function(m) return m.ref == ref end, 50)
      assert_told(reply[2], RESUMED)
      assert_told(ended, RESUMED)
    end)
  end)

  closing("at a point of lockstep ends the process", function()
    lockstep.check(function()
      local co
      local _, ref = banyan.spawn_monitor(function()
        co = coroutine.running()
        for i = 1, 3 do banyan.send(banyan.self(), i) end
        banyan.receive()
      end)
      while not co do banyan.sleep(1) end
      coroutine.resume(co, "forged")
      local reason = banyan.receive(function(m) return m.ref == ref end).reason
      assert(reason == "normal" or reason[2]:find("resumed by other code"))
    end, { iterations = 50, seed = 1 })
  end)
end)

describe("code that yields by hand", function()
  it("gives way to the other processes", function()
    run(function()
      local steps = {}
      local _, ref = core.spawn_monitor(function()
        for _ = 1, 3 do
          steps[#steps + 1] = "other"
          coroutine.yield()
        end
      end)
      for _ = 1, 3 do
        assert.equal(0, select("#", coroutine.yield()))
        steps[#steps + 1] = "one"
      end
      banyan.receive(function(m) return m.ref == ref end)
      assert.equal("other one other one other one", table.concat(steps, " "))
    end)
  end)

  it("ends its process when it yields values", function()
    run(function()
      local _, ref = core.spawn_monitor(function()
        pcall(coroutine.yield, "a value")
        error "went on"
      end)
      local reason = banyan.receive(function(m) return m.ref == ref end).reason
      assert_told(reason, "foreign_spec%.lua:%d+: coroutine%.yield with values")
    end)
  end)

  it("is an error of the callback in a server", function()
    run(function()
      local ended
      local pid = assert(server.start {
        handle_call = function() coroutine.yield "a value" end,
        terminate = function(_, reason) ended = reason end,
      })
      local _, err = server.call(pid, "x")
      assert_told(err, "coroutine%.yield with values")
      assert_told(ended, "coroutine%.yield with values")
    end)
  end)

  it("may yield values in a coroutine of its own", function()
    run(function()
      local me = banyan.self()
      local numbers = coroutine.wrap(function()
        for i = 1, 3 do
          assert.equal(me, banyan.self())
          banyan.send(me, i)
          coroutine.yield(i)
        end
      end)
      assert.same({ 1, 2, 3 }, { numbers(), numbers(), numbers() })
      assert.equal(1, banyan.receive())
    end)
  end)

  -- Runs fn in a process that has yielded, from outside.
  local function run_outside(fn)
    return disturb(function(said)
      banyan.receive()
      coroutine.yield()
      fn(said)
    end, function(co)
      local pid
      for _, one in ipairs(banyan.processes()) do
        if one ~= banyan.self() then pid = one end
      end
      pid:send "go"
      coroutine.yield()
      return coroutine.resume(co)
    end)
  end

  it("is found out at the next call of Banyan", function()
    run(function()
      for _, call in ipairs {
        banyan.self, banyan.receive, function() banyan.sleep(1) end,
        function() banyan.send(banyan.self(), 1) end,
        function() banyan.spawn(print) end,
        function() banyan.now() end,
      } do
        local said, reason = run_outside(function(said)
          said.result = call()
          said.went_on = true
        end)
        assert_told(reason, RESUMED)
        assert.is_nil(said.result)
        assert.is_nil(said.went_on)
      end
    end)
  end)

  it("is found out at its next turn when it has ended meanwhile", function()
    run(function()
      local said, reason = run_outside(function(said) said.ran = true end)
      assert.is_true(said.ran)
      assert_told(reason, "was closed by other code, or run to its end")
      reason = select(2, run_outside(function() error "mine" end))
      assert_told(reason, "was closed by other code, or run to its end")
    end)
  end)
end)

describe("a coroutine that somebody else closes", function()
  closing("ends its process at once", function()
    run(function()
      local _, reason = disturb(function() banyan.receive() end,
        close)
      assert_told(reason, "^the coroutine of pid<.*> was closed by other code")
      _, reason = disturb(function() banyan.sleep(9) end, close)
      assert_told(reason, "^the coroutine of pid<.*> was closed by other code")
    end)
  end)

  closing("makes its supervisor start the child again", function()
    run(function()
      local coroutines = {}
      local function start()
        return banyan.spawn_link(function()
          coroutines[#coroutines + 1] = coroutine.running()
          banyan.receive()
        end)
      end
      local sup = assert(supervisor.start_link({
        { id = "a", start = start },
      }, {}))
      banyan.sleep(1)
      close(coroutines[1])
      banyan.sleep(1)
      assert.equal(2, #coroutines)
      local child = supervisor.which_children(sup)[1]
      assert.is_true(child.pid:is_alive())
      supervisor.stop(sup)
    end)
  end)

  closing("is not lent again when its process had ended before", function()
    run(function()
      for _, act in ipairs { close, coroutine.resume, resume } do
        local _, reason, co
        disturb(function() co = coroutine.running() end, function() end)
        local ok, err = act(co)
        if act ~= close then
          assert.is_false(ok)
          assert.matches("the process of this coroutine has ended", err)
        end
        _, reason = disturb(function(said) said.ran = true end, function() end)
        assert.equal("normal", reason)
      end
    end)
  end)

  closing("can be killed all the same", function()
    run(function()
      local co
      local pid, ref = core.spawn_monitor(function()
        co = coroutine.running()
        banyan.receive()
      end)
      banyan.sleep(1)
      coroutine.resume(co)
      pid:exit("kill")
      assert.equal("killed", banyan.receive(ref).reason)
      pid, ref = core.spawn_monitor(banyan.receive)
      banyan.sleep(1)
      pid:exit("kill")
      assert.equal(ref, banyan.receive().ref)
    end)
  end)
end)
