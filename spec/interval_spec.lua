-- Timers that send again and again.

local banyan = require "banyan"
local core = require "banyan.core"
local run = require "spec.support.run"

local function raises(pattern, fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  assert.matches(pattern, tostring(err))
end

-- A clock of the test's own: a node that stands still is not stepped.
local function by_hand(body)
  local now = 0
  local node = core.node { seed = 1, clock = function() return now end }
  local failure
  node:spawn(function()
    local ok, err = pcall(body)
    if not ok then failure = err end
  end)
  return {
    at = function(_, time)
      now = time
      node:step(now)
      assert.is_nil(failure)
    end,
    stop = function() node:close() end,
  }
end

describe("send_interval", function()
  it("sends at each multiple of its time", function()
    run(function()
      local timer = banyan.send_interval(10, core.self(), { tag = "tick" })
      for i = 1, 5 do
        assert.same({ tag = "tick" }, core.receive())
        assert.equal(10 * i, core.now())
      end
      core.sleep(3)
      assert.equal(7, core.cancel_timer(timer))
      assert.is_nil(core.cancel_timer(timer))
      assert.same({ nil, "timeout" }, { core.receive(100) })
    end)
  end)

  it("copies its message now, and for each time", function()
    run(function()
      local given = { n = 1 }
      banyan.send_interval(5, core.self(), given)
      given.n = 2
      local first = core.receive()
      first.n = 3
      assert.equal(1, core.receive().n)
    end)
  end)

  it("has no drift", function()
    local times = {}
    local node = by_hand(function()
      banyan.send_interval(10, core.self(), "tick")
      while true do
        core.receive()
        times[#times + 1] = core.now()
      end
    end)
    for _, time in ipairs { 0, 13, 20, 34, 39, 40, 49, 50 } do node:at(time) end
    node:stop()
    assert.same({ 13, 20, 34, 40, 50 }, times)
  end)

  it("sends one message after the node stood still", function()
    local count = 0
    local node = by_hand(function()
      banyan.send_interval(10, core.self(), "tick")
      while true do
        core.receive()
        count = count + 1
      end
    end)
    node:at(0)
    node:at(1005)
    node:at(1009)
    assert.equal(1, count)
    node:at(1010)
    assert.equal(2, count)
    node:stop()
  end)

  it("ends with the process that its pid names", function()
    run(function()
      local pid = core.spawn(function() core.sleep(25) end)
      local timer = banyan.send_interval(10, pid, "tick")
      core.sleep(20)
      assert.equal(10, core.cancel_timer(timer))
      timer = banyan.send_interval(10, pid, "tick")
      core.sleep(10)
      assert.is_nil(core.cancel_timer(timer))
      timer = banyan.send_interval(10, pid, "tick")
      assert.is_nil(core.cancel_timer(timer))
    end)
  end)

  it("to a pid goes on when the process that started it has ended", function()
    run(function()
      local me = core.self()
      core.spawn(function() banyan.send_interval(10, me, "tick") end)
      for _ = 1, 3 do assert.equal("tick", core.receive(10)) end
    end)
  end)

  it("to a name looks that up each time, and ends with its maker", function()
    run(function()
      core.register("me")
      local maker = core.spawn(function()
        banyan.send_interval(10, "me", "tick")
        core.receive()
      end)
      assert.equal("tick", core.receive(10))
      core.unregister("me")
      assert.same({ nil, "timeout" }, { core.receive(15) })
      core.register("me")
      assert.equal("tick", core.receive(10))
      maker:exit("kill")
      assert.same({ nil, "timeout" }, { core.receive(100) })
    end)
  end)

  it("may be cancelled by the message that it sent", function()
    run(function()
      local timer = banyan.send_interval(1, core.self(), "tick")
      core.receive()
      assert.equal(1, core.cancel_timer(timer))
      assert.same({ nil, "timeout" }, { core.receive(10) })
    end)
  end)

  it("requires a time of 1 ms or more", function()
    run(function()
      local me = core.self()
      raises("milliseconds expected", banyan.send_interval, nil, me, 1)
      for _, wrong in ipairs { 0, math.huge, 1.5, -1, 2 ^ 60 } do
        raises("bad argument #1", banyan.send_interval, wrong, me, 1)
      end
    end)
  end)
end)
