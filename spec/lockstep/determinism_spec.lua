-- One seed is one run, also in another OS process, where memory lies elsewhere
-- and Lua's tables have another order.

local program = require "spec.support.program"
local suite = require "spec.support.suite"

local SEEDS = suite.plays(10)

local function footprints(name, strategy)
  local child = program(([[
    assert(loadfile "spec/support/footprints.lua")(%q, %q, %d)
  ]]):format(name, strategy, SEEDS))
  local code = child:finish()
  assert(code == 0, child.err)
  return child.out
end

describe("one seed in two OS processes", function()
  for _, name in ipairs(suite.names) do
    it("is one run of the script " .. name, function()
      for _, strategy in ipairs(suite.strategies) do
        local first = footprints(name, strategy)
        assert.truthy(first:find("ok", 1, true), first)
        assert.equal(first, footprints(name, strategy))
      end
    end)
  end
end)
