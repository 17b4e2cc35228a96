-- Waiting for the one message that carries a ref.

local banyan = require "banyan"
local core = require "banyan.core"
local run = require "spec.support.run"
local server = require "banyan.server"

local function raises(pattern, fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  assert.matches(pattern, tostring(err))
end

describe("receive of a ref", function()
  it("takes the first message that carries it, and leaves the others",
    function()
      run(function()
        local me = core.self()
        core.send(me, "before")
        local ref, other = banyan.make_ref(), banyan.make_ref()
        for _, msg in ipairs {
          "a text", { ref = other, 1 }, { ref = ref, 2 }, { ref = ref, 3 },
        } do core.send(me, msg) end
        assert.equal(2, banyan.receive(ref)[1])
        assert.equal(1, banyan.receive(other, 0)[1])
        assert.same({ nil, "timeout" }, { banyan.receive(other, 5) })
        assert.equal(5, core.now())
        assert.equal(3, banyan.receive(ref)[1])
        assert.equal("before", core.receive())
        assert.equal("a text", core.receive())
        assert.is_nil((core.receive(0)))
      end)
    end)

  it("waits for a DOWN, a reply, or a message that is sent later", function()
    run(function()
      local pid, ref = core.spawn_monitor(function() core.sleep(10) end)
      core.send(core.self(), "noise")
      assert.same({ "DOWN", pid, "normal" }, (function(m)
        return { m.tag, m.pid, m.reason }
      end)(banyan.receive(ref)))
      local echo = assert(server.start { handle_call = function(_, m)
        core.sleep(10)
        return m
      end })
      assert.equal("x", banyan.receive(server.request(echo, "x"), 100)[1])
      assert.equal("calling_self",
        banyan.receive(server.request(core.self(), "x"))[2])
      local mine = banyan.make_ref()
      core.send_after(10, core.self(), { ref = mine, "late" })
      assert.equal("late", banyan.receive(mine, 100)[1])
      assert.equal("noise", core.receive())
    end)
  end)

  it("finds a ref that another node made in what waits already", function()
    local other = core.node { seed = 1 }
    local ref
    other:spawn(function() ref = banyan.make_ref() end)
    other:step(0)
    run(function()
      core.send(core.self(), { ref = ref, "one" })
      assert.equal("one", banyan.receive(ref)[1])
    end)
    other:close()
  end)

  it("is refused in a match function, and takes a time-out", function()
    run(function()
      core.send(core.self(), 1)
      local ref = banyan.make_ref()
      raises("inside the match function", banyan.receive, function()
        banyan.receive(ref)
      end)
      raises("timeout must be", banyan.receive, ref, "soon")
      raises("match must be a function or a ref, got a string",
        banyan.receive, "x", 5)
      assert.equal(1, core.receive())
    end)
  end)

  it("costs the same however long the mailbox is", function()
    run(function()
      local function cost()
        local from = os.clock()
        for _ = 1, 200 do
          local _, ref = core.spawn_monitor(function() end)
          assert(banyan.receive(ref))
          core.demonitor(core.monitor(core.self()), { flush = true })
        end
        return os.clock() - from
      end
      local empty = cost()
      for i = 1, 100000 do core.send(core.self(), i) end
      assert.is_true(cost() < 50 * empty + 0.05)
    end)
  end)
end)
