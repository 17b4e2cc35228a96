-- A debug hook of the program sees the code of processes.

local banyan = require "banyan"
local core = require "banyan.core"
local lockstep = require "banyan.lockstep"
local run = require "spec.support.run"
local server = require "banyan.server"

local SOURCE = debug.getinfo(1, "S").source

-- Calls fn with a hook; answers which lines of this file it saw.
local function lines_of(fn)
  local seen = {}
  local before = { debug.gethook() }
  debug.sethook(function(_, line)
    if debug.getinfo(2, "S").source == SOURCE then seen[line] = true end
  end, "l")
  local ok, err = pcall(fn)
  debug.sethook(before[1], before[2], before[3])
  if not ok then error(err, 0) end
  return seen
end

local function here() return debug.getinfo(2, "l").currentline end

describe("a hook", function()
  it("sees the lines of processes, also after they have waited", function()
    local lines = {}
    local seen = lines_of(function()
      run(function()
        lines[1] = here()
        local _, ref = core.spawn_monitor(function()
          lines[2] = here()
          core.sleep(1)
          lines[3] = here()
        end)
        banyan.receive(ref)
        local pid = assert(server.start {
          handle_call = function()
            lines[4] = here()
          end,
        })
        server.call(pid, 1)
      end)
    end)
    for i = 1, 4 do assert.is_true(seen[lines[i]]) end
  end)

  it("that is set while processes wait sees them from then on", function()
    local clock, lines = 0, {}
    local node = core.node { seed = 1, clock = function() return clock end }
    node:spawn(function()
      lines[1] = here()
      core.sleep(10)
      lines[2] = here()
      core.sleep(10)
      lines[3] = here()
    end)
    node:step(0)
    local seen = lines_of(function()
      clock = 10
      node:step(10)
    end)
    clock = 20
    node:step(20)
    node:close()
    assert.equal(3, #lines)
    assert.is_nil(seen[lines[1]])
    assert.is_true(seen[lines[2]])
    assert.is_nil(seen[lines[3]])
  end)

  it("is not in the coroutines of processes once it is gone", function()
    lines_of(function() run(function() core.sleep(1) end) end)
    local before = debug.gethook()
    run(function() assert.equal(before, (debug.gethook())) end)
  end)

  it("that a process sets for itself stays", function()
    run(function()
      local count = 0
      debug.sethook(function() count = count + 1 end, "l")
      core.sleep(1)
      local seen = count
      core.sleep(1)
      debug.sethook()
      assert.is_true(seen > 0 and count > seen)
    end)
  end)

  it("sees processes under lockstep", function()
    local line
    local seen = lines_of(function()
      lockstep.check(function()
        local _, ref = banyan.spawn_monitor(function()
          line = here()
        end)
        banyan.receive(ref)
      end, { iterations = 2, seed = 1 })
    end)
    assert.is_true(seen[line])
  end)
end)
