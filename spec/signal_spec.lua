-- Links, monitors and exit signals: the rules of the Erlang reference manual,
-- cell by cell.

local banyan = require "banyan"
local core = require "banyan.core"
local lua = require "spec.support.lua"
local server = require "banyan.server"
local run = require "spec.support.run"

local closing = lua.closes and it or pending

local REASONS = { "normal", "shutdown", "kill", "other" }

--- A process that waits; it traps exits or does not. Its mailbox is told to
-- `to` on request.
local function waiting(traps)
  local me = core.self()
  local pid = core.spawn(function()
    core.trap_exit(traps)
    core.send(me, "ready")
    local msg = core.receive()
    core.send(me, { got = msg })
    core.receive()
  end)
  assert.equal("ready", core.receive())
  return pid
end

--- What became of what `ref` watches: {"dead", reason}, {"got", reason, from}
-- or {"nothing"}.
local function fate(ref)
  local msg = core.receive(10)
  if msg == nil then return { "nothing" } end
  if msg.got then return { "got", msg.got.reason, msg.got.from } end
  assert.equal(ref, msg.ref)
  return { "dead", msg.reason }
end

-- What Erlang does, by [traps][reason].
local SIGNAL = {
  [false] = {
    normal = { "nothing" }, shutdown = { "dead", "shutdown" },
    kill = { "dead", "killed" }, other = { "dead", "other" },
  },
  [true] = {
    normal = { "got", "normal" }, shutdown = { "got", "shutdown" },
    kill = { "dead", "killed" }, other = { "got", "other" },
  },
}
local LINK = {
  [false] = {
    normal = { "nothing" }, shutdown = { "dead", "shutdown" },
    kill = { "dead", "kill" }, other = { "dead", "other" },
  },
  [true] = {
    normal = { "got", "normal" }, shutdown = { "got", "shutdown" },
    kill = { "got", "kill" }, other = { "got", "other" },
  },
}
local SELF = { -- exit signals to oneself
  [false] = {
    normal = { "dead", "normal" }, shutdown = { "dead", "shutdown" },
    kill = { "dead", "killed" }, other = { "dead", "other" },
  },
  [true] = SIGNAL[true],
}

local function check(expected, actual)
  assert.equal(expected[1], actual[1])
  assert.equal(expected[2], actual[2])
end

for _, traps in ipairs { false, true } do
  local kind = traps and "one that traps exits" or "one that does not trap"
  for _, reason in ipairs(REASONS) do
    describe(("%q to %s"):format(reason, kind), function()
      it("as an exit signal", function()
        run(function()
          local pid = waiting(traps)
          local ref = core.monitor(pid)
          pid:exit(reason)
          local got = fate(ref)
          check(SIGNAL[traps][reason], got)
          if got[1] == "got" then assert.equal(core.self(), got[3]) end
        end)
      end)

      it("through a link", function()
        run(function()
          local pid = waiting(traps)
          local ref = core.monitor(pid)
          local linked = core.spawn(function()
            core.link(pid)
            core.exit(reason)
          end)
          local got = fate(ref)
          check(LINK[traps][reason], got)
          if got[1] == "got" then assert.equal(linked, got[3]) end
        end)
      end)

      it("from itself", function()
        run(function()
          local me = core.self()
          local _, ref = core.spawn_monitor(function()
            core.trap_exit(traps)
            core.self():exit(reason)
            core.send(me, { got = core.receive(0) or "still here" })
            core.receive()
          end)
          check(SELF[traps][reason], fate(ref))
        end)
      end)

      it("to the dead is silence", function()
        run(function()
          local pid = core.spawn(function() core.trap_exit(traps) end)
          core.sleep(0)
          assert.is_true(pid:exit(reason))
        end)
      end)
    end)
  end
end

describe("an exit signal", function()
  it("wants a reason", function()
    run(function()
      local ok, err = pcall(core.self().exit, core.self())
      assert.is_false(ok)
      assert.matches("a reason expected", err)
      assert.is_false(pcall(core.self().exit, core.self(), nil))
    end)
  end)

  it("gives each that hears of it a reason of its own", function()
    run(function()
      core.trap_exit(true)
      local pid = core.spawn_link(core.receive)
      core.monitor(pid)
      core.monitor(pid)
      local me = core.self()
      core.spawn(function()
        core.monitor(pid)
        core.send(me, core.receive())
      end)
      core.sleep(0)
      pid:exit { "why", {} }
      for _ = 1, 4 do
        local reason = core.receive(10).reason
        assert.equal("why", reason[1])
        assert.is_nil(reason[2].seen)
        reason[2].seen = true
      end
    end)
  end)
end)

describe("banyan.exit", function()
  for _, reason in ipairs(REASONS) do
    it(("ends its process for %q, whether or not it traps"):format(reason),
      function()
        run(function()
          for _, traps in ipairs { false, true } do
            core.spawn_monitor(function()
              core.trap_exit(traps)
              core.exit(reason)
            end)
            assert.equal(reason, core.receive().reason)
          end
        end)
      end)
  end

  it("cannot be caught", function()
    run(function()
      core.spawn_monitor(function()
        pcall(core.exit, "out")
        core.exit("never")
      end)
      assert.equal("out", core.receive().reason)
    end)
  end)

  it("cannot be caught below a C function either", function()
    run(function()
      for _, after in ipairs {
        function() end, core.exit, error, core.receive, coroutine.yield,
      } do
        core.spawn_monitor(function()
          pcall(table.sort, { 1, 2 }, function() core.exit("out") end)
          after("never")
        end)
        assert.equal("out", core.receive().reason)
      end
    end)
  end)

  it("gives a server its terminate, wherever a handler calls it", function()
    run(function()
      local me = core.self()
      local function below_sort()
        pcall(table.sort, { 1, 2 }, function() core.exit("out") end)
        error("never")
      end
      local function in_match()
        core.send(core.self(), "x")
        banyan.receive(function() core.exit("out") end)
      end
      for _, leave in ipairs { below_sort, in_match } do
        local pid = server.start {
          handle_cast = leave,
          terminate = function(_, reason)
            core.send(me, { reason, core.receive(0) })
          end,
        }
        core.monitor(pid)
        server.cast(pid, "go")
        assert.equal("out", core.receive()[1])
        assert.equal("out", core.receive().reason)
      end
    end)
  end)

  closing("lets its process close its variables in peace", function()
    run(function()
      local me, other = core.self(), core.spawn(core.receive)
      local guard = setmetatable({}, { __close = function()
        other:exit("kill")
        core.send(me, "closed")
        core.exit("never")
      end })
      core.spawn_monitor(load([[
        local exit, guard = ...
        return function() local g <close> = guard exit("out") end
      ]])(core.exit, guard))
      assert.equal("closed", core.receive())
      assert.equal("out", core.receive().reason)
      assert.is_false(other:is_alive())
    end)
  end)

  it("works below a C function and inside a coroutine", function()
    run(function()
      core.spawn_monitor(function()
        table.sort({ 1, 2, 3 }, function() core.exit("sorted") end)
      end)
      assert.equal("sorted", core.receive().reason)
      core.spawn_monitor(function()
        coroutine.wrap(function() core.exit("wrapped") end)()
      end)
      assert.equal("wrapped", core.receive().reason)
    end)
  end)

  it("without a reason is normal; a table becomes a reason", function()
    run(function()
      core.spawn_monitor(function() core.exit() end)
      assert.equal("normal", core.receive().reason)
      core.spawn_monitor(function() core.exit { "shutdown", "moved" } end)
      local reason = core.receive().reason
      assert.same({ "shutdown", "moved" }, { reason[1], reason[2] })
      assert.equal("shutdown: moved", tostring(reason))
    end)
  end)
end)

describe("an exit signal that ends the process that runs", function()
  it("stands, whatever its code makes of it", function()
    run(function()
      core.spawn_monitor(function()
        local other = core.spawn_link(core.receive)
        pcall(coroutine.wrap(function() other:exit("killer") end))
        error("never")
      end)
      assert.equal("killer", core.receive().reason)
    end)
  end)
end)

describe("a link", function()
  it("to the dead is the exit signal noproc", function()
    run(function()
      local dead = core.spawn(function() end)
      core.sleep(0)
      core.trap_exit(true)
      core.link(dead)
      local msg = core.receive()
      assert.same({ "EXIT", "noproc" }, { msg.tag, msg.reason })
      assert.equal(dead, msg.from)
      core.spawn_monitor(function() core.link(dead) end)
      assert.equal("noproc", core.receive().reason)
    end)
  end)

  it("made twice is one, and unlink takes it away", function()
    run(function()
      core.trap_exit(true)
      local pid = core.spawn(core.receive)
      core.link(pid)
      core.link(pid)
      assert.same({ pid }, core.process_info(core.self()).links)
      core.unlink(pid)
      assert.same({}, core.process_info(pid).links)
      pid:exit("bye")
      assert.is_nil((core.receive(10)))
    end)
  end)

  it("to oneself is nothing", function()
    run(function()
      assert.is_true(core.link(core.self()))
      assert.same({}, core.process_info(core.self()).links)
    end)
  end)
end)

describe("a monitor", function()
  it("tells once of the end of what it watches", function()
    run(function()
      local pid = core.spawn(core.receive)
      local ref = core.monitor(pid)
      pid:exit("bye")
      local down = core.receive()
      assert.same({ "DOWN", "bye" }, { down.tag, down.reason })
      assert.equal(ref, down.ref)
      assert.equal(pid, down.pid)
      assert.is_nil((core.receive(10)))
    end)
  end)

  it("of the dead is DOWN noproc, of a name tells the name", function()
    run(function()
      local dead = core.spawn(function() end)
      core.sleep(0)
      core.monitor(dead)
      assert.equal("noproc", core.receive().reason)
      core.monitor("nobody")
      local down = core.receive()
      assert.same({ "nobody", "noproc" }, { down.pid, down.reason })
      local pid = core.spawn(core.receive)
      core.register("svc", pid)
      core.monitor("svc")
      pid:send("end")
      down = core.receive()
      assert.same({ "svc", "normal" }, { down.pid, down.reason })
    end)
  end)

  it("can be made several times, each with its own DOWN", function()
    run(function()
      local pid, seen = core.spawn(core.receive), {}
      local a, b = core.monitor(pid), core.monitor(pid)
      pid:send("end")
      for _ = 1, 2 do seen[core.receive().ref] = true end
      assert.is_true(seen[a] and seen[b])
    end)
  end)

  it("is quiet after demonitor, and flush takes the DOWN back", function()
    run(function()
      local pid = core.spawn(core.receive)
      local ref, flushed = core.monitor(pid), core.monitor(pid)
      core.demonitor(ref)
      core.send(core.self(), "before")
      pid:exit("bye")
      core.sleep(0)
      core.demonitor(flushed, { flush = true })
      assert.equal("before", core.receive())
      assert.is_nil((core.receive(10)))
    end)
  end)

  it("refuses options that it does not know", function()
    run(function()
      local ref = core.monitor("nobody")
      local ok, err = pcall(core.demonitor, ref, { flsh = true })
      assert.is_false(ok)
      assert.matches("unknown option 'flsh'", err)
    end)
  end)
end)

describe("signals between two processes", function()
  it("keep their order, messages and exits alike", function()
    run(function()
      core.trap_exit(true)
      local me = core.self()
      core.spawn_link(function()
        for i = 1, 10 do core.send(me, i) end
        core.exit("done")
      end)
      for i = 1, 10 do assert.equal(i, core.receive()) end
      assert.equal("done", core.receive().reason)
    end)
  end)
end)

describe("a call", function()
  it("answers what was replied, several values too", function()
    run(function()
      local pid = core.spawn(function()
        local call = core.receive()
        core.reply(call.from, call.msg, nil, { 3 })
      end)
      local a, b, c = core.call(pid, "x")
      assert.same({ "x", nil, { 3 } }, { a, b, c })
    end)
  end)

  it("tells why there is no answer", function()
    run(function()
      local dead = core.spawn(function() end)
      core.sleep(0)
      assert.same({ nil, "noproc" }, { core.call(dead, 1) })
      assert.same({ nil, "noproc" }, { core.call("nobody", 1) })
      assert.same({ nil, "calling_self" }, { core.call(core.self(), 1) })
      local ends = core.spawn(function()
        core.receive()
        core.exit("bye")
      end)
      assert.same({ nil, "bye" }, { core.call(ends, 1) })
      local slow = core.spawn(function() core.sleep(1000) end)
      assert.same({ nil, "timeout" }, { core.call(slow, 1, 10) })
    end)
  end)

  it("never puts a late reply into the mailbox", function()
    run(function()
      local pid = core.spawn(function()
        local call = core.receive()
        core.sleep(100)
        core.reply(call.from, "late")
      end)
      assert.same({ nil, "timeout" }, { core.call(pid, 1, 10) })
      assert.is_nil((core.receive(500)))
    end)
  end)

  it("can be made without waiting; the reply is a message", function()
    run(function()
      local pid = core.spawn(function()
        core.reply(core.receive().from, "a", "b")
        core.receive()
        core.exit("bye")
      end)
      local ref = core.request(pid, 1)
      local reply = core.receive()
      assert.equal(ref, reply.ref)
      assert.same({ "reply", 2, "a", "b" },
        { reply.tag, reply.n, reply[1], reply[2] })
      core.request(pid, 2)
      assert.equal("bye", core.receive()[2])
      core.request(pid, 3)
      assert.equal("noproc", core.receive()[2])
    end)
  end)
end)
