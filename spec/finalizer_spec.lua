-- A finalizer may run at any allocation, also in the middle of a function of
-- Banyan; the functions that it calls must find consistent data.

local core = require "banyan.core"
local finalizer = require "spec.support.finalizer"
local lua = require "spec.support.lua"
local run = require "spec.support.run"

after_each(finalizer.never)

-- Is that the running process? A finalizer runs in any process, or in none.
local function runs(pid)
  local ok, running = pcall(core.self)
  return ok and running == pid
end

describe("a finalizer", function()
  -- Older ones and LuaJIT do not say that one runs.
  local says = lua.closes and it or pending
  says("cannot end the process that it runs in", function()
    run(function()
      local ok, err
      finalizer.often(function() ok, err = pcall(core.exit, "gone") end)
      for i = 1, 2000 do core.send(core.self(), { i }) core.receive() end
      assert.is_true(finalizer.never() > 0)
      assert.is_false(ok)
      assert.matches("exit in a finalizer", err)
    end)
  end)

  it("that makes a pid makes the value of the code it interrupts", function()
    run(function()
      for _ = 1, 30 do core.spawn(core.sleep, math.huge) end
      core.sleep(1)
      local theirs = {}
      finalizer.often(function() theirs = core.processes() end)
      for _ = 1, 2000 do
        local mine, by_name = core.processes(), {}
        for _, pid in ipairs(mine) do by_name[tostring(pid)] = pid end
        for _, pid in ipairs(theirs) do
          if by_name[tostring(pid)] ~= pid then error("two pids of one") end
        end
        theirs = {}
      end
      assert.is_true(finalizer.never() > 0)
    end)
  end)

  it("that keeps a pid can use it after its node is closed",
    function()
      local kept, text
      local function life(name, i)
        return core.node { name = name, incarnation = i, secret = "s",
          seed = 1, entropy = function(n) return ("x"):rep(n) end }
      end
      do
        local node = life("gone@h:1", 1)
        local pid = node:spawn(function() end)
        text = tostring(pid)
        lua.collected(function() kept = pid end)
        node:close()
      end
      collectgarbage()
      collectgarbage()
      assert.is_not_nil(kept)
      for i = 1, 300 do life("next@h:1", i):close() end
      assert.equal(text, tostring(kept))
      assert.equal("gone@h:1", kept:node())
    end)

  it("that flushes DOWNs leaves the others to be received", function()
    run(function()
      local me, open, mine, flushed, got = core.self(), {}, 0, 0, 0
      local gone, both = {}, 0
      finalizer.often(function()
        local ref = runs(me) and next(open)
        if not ref then return end
        open[ref], gone[ref] = nil, true
        core.demonitor(ref, { flush = true })
        flushed = flushed + 1
      end)
      for i = 1, 2000 do
        local _, ref = core.spawn_monitor(function() end)
        if i % 2 == 0 then open[ref] = true end
        core.spawn_monitor(function() end)
        mine = mine + 2
        core.sleep(0)
        local msg = core.receive(0)
        while msg do
          open[msg.ref] = nil
          got = got + 1
          if gone[msg.ref] then both = both + 1 end
          msg = core.receive(0)
        end
      end
      assert.is_true(finalizer.never() > 0)
      -- On LuaJIT receive ends in Lua: the finalizer may run after the message
      -- was taken, and before this code knows of it.
      assert.is_true(both == 0 or _G.jit ~= nil)
      assert.equal(mine, got + flushed - both)
    end)
  end)

  it("that receives takes a message that no other receive gets", function()
    run(function()
      local seen, twice, caught = {}, 0, 0
      local function take(msg)
        if not msg then return false end
        if seen[msg.ref] then twice = twice + 1 end
        seen[msg.ref] = true
        return true
      end
      local reading = core.self()
      finalizer.often(function()
        if not runs(reading) then return end
        local ok, msg = pcall(core.receive, 0)
        if ok and take(msg) then caught = caught + 1 end
      end)
      local refs = {}
      for _ = 1, 300 do
        for _ = 1, 20 do
          local _, ref = core.spawn_monitor(function() end)
          refs[#refs + 1] = ref
        end
        core.sleep(0)
        while take((core.receive(0))) do end
      end
      assert.is_true(finalizer.never() > 0 and caught > 0)
      assert.equal(0, twice)
      for _, ref in ipairs(refs) do assert.is_true(seen[ref]) end
    end)
  end)

  it("that makes a pid of a message does not change the message", function()
    run(function()
      local parent, froms = core.self(), 0
      core.trap_exit(true)
      finalizer.often(function() core.processes() end)
      for _ = 1, 300 do
        local child = core.spawn_link(function() end)
        core.sleep(0)
        local exit = core.receive()
        assert.equal(child, exit.from)
        froms = froms + 1
      end
      assert.is_true(finalizer.never() > 0)
      assert.equal(300, froms)
      assert.equal(parent, core.self())
    end)
  end)

  it("that ends processes does not disturb process_info of them",
    function()
      run(function()
        local victim, odd = nil, 0
        finalizer.often(function()
          if not victim then return end
          victim:exit "kill"
          core.spawn(core.receive)
        end)
        for _ = 1, 3000 do
          victim = core.spawn(core.receive)
          core.sleep(0)
          for _ = 1, 10 do
            local info = core.process_info(victim)
            if info and info.pid ~= victim then odd = odd + 1 end
          end
          victim:exit "kill"
        end
        assert.is_true(finalizer.never() > 0)
        assert.equal(0, odd)
      end)
    end)

  -- LuaJIT's collector cannot be made to do all its work at one allocation.
  local whole_cycle = jit and pending or it
  whole_cycle("that takes a name takes it before or after its victim does",
    function()
      run(function()
        local other, theirs = core.spawn(core.receive), "not called"
        local _, ref = core.spawn_monitor(function()
          -- The next allocation runs a whole cycle of the collector: that is
          -- the pid of this process, which nobody holds after this.
          collectgarbage()
          collectgarbage "stop"
          collectgarbage("incremental", 0, 1000, 40)
          setmetatable({}, { __gc = function()
            theirs = core.register("n", other)
          end })
          collectgarbage "restart"
          local mine = core.register "n"
          collectgarbage("incremental", 200, 100, 13)
          assert.not_equal("not called", theirs)
          assert.not_equal(mine, theirs)
        end)
        local down = core.receive()
        assert.equal(ref, down.ref)
        assert.equal("normal", down.reason)
      end)
    end)
end)
