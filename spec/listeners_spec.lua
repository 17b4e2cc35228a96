-- The processes that call the listeners of a distributed supervisor.

local core = require "banyan.core"
local listeners = require "banyan.distributed_supervisor.listeners"
local run = require "spec.support.run"

local QUEUE_MAX = 10000

describe("a listener", function()
  it("hears of more than may wait at once, when it keeps up", function()
    local heard, events = 0, {}
    run(function()
      local set = listeners.new("x", { {
        on_node_up = function() heard = heard + 1 end,
      } })
      for i = 1, QUEUE_MAX + 1000 do
        listeners.tell(set, "on_node_up", "n", {})
        if i % 1000 == 0 then core.sleep(1) end
      end
      core.sleep(1)
    end, { events = events })
    assert.equal(QUEUE_MAX + 1000, heard)
    for _, event in ipairs(events) do
      assert.not_equal("listener_failed", event.event)
    end
  end)

  it("that is far behind misses what comes", function()
    local events, heard = {}, 0
    run(function()
      local set = listeners.new("x", { {
        on_node_up = function()
          heard = heard + 1
          if heard == 1 then core.sleep(1000) end
        end,
      } })
      for _ = 1, QUEUE_MAX + 5 do listeners.tell(set, "on_node_up", "n") end
      core.sleep(2000)
      assert.equal(QUEUE_MAX, heard)
      listeners.tell(set, "on_node_up", "n")
      core.sleep(1)
      assert.equal(QUEUE_MAX + 1, heard)
    end, { events = events })
    local missed = 0
    for _, event in ipairs(events) do
      if event.reason == "overflow" then missed = missed + 1 end
    end
    assert.equal(5, missed)
  end)

  it("that hangs is ended with its coordinator, another ends by itself",
    function()
      run(function()
        local told, finished = {}, false
        local function coordinator()
          core.trap_exit(true)
          local set = listeners.new("x", {
            { on_node_up = function()
              told[1] = core.self()
              core.sleep "infinity"
            end },
            { on_node_up = function() told[2] = core.self() end },
          })
          listeners.tell(set, "on_node_up", "n")
          core.sleep(1)
          listeners.close(set)
          finished = true
        end
        core.spawn(coordinator)
        core.sleep(10)
        assert.is_true(finished)
        assert.is_false(core.is_alive(told[1]))
        assert.is_false(core.is_alive(told[2]))
      end)
    end)
end)
