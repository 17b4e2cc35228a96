-- Many nodes with supervisors: that they meet and stay together, and what it
-- takes, in steps; bench/lockstep.lua has the time.

local lockstep = require "banyan.lockstep"
local large = require "spec.support.scripts.large"

local IDLE_MS = 10000
local BEATS = IDLE_MS / 1000 + 1 -- of a link in each direction, while idle

-- At most so many steps of each phase, for each pair of nodes.
local MOST = { connect = 30, meet = 50, idle = 4 * BEATS }

local function meet(nodes)
  local pairs_of_nodes, steps = nodes * (nodes - 1) / 2, {}
  lockstep.check(function()
    local before = 0
    large(nodes, IDLE_MS, function(phase, total)
      steps[phase] = total - before
      before = total
    end)
  end, { strategy = "random", clock = "idle", iterations = 1,
    max_steps = 1e6 })
  for phase, most in pairs(MOST) do
    assert.is_true(steps[phase] <= most * pairs_of_nodes,
      ("%s: %d steps of %d pairs"):format(phase, steps[phase], pairs_of_nodes))
  end
end

describe("many nodes with supervisors under lockstep", function()
  it("meet, and do nothing but beat: ten", function() meet(10) end)

  it("meet, and do nothing but beat: a hundred #slow", function() meet(100) end)
end)
