-- The deliberate bugs of spec/mutants: that each is what it says, and that
-- lockstep finds some that are easy. `make mutants` has it look for all.

local bodies = require "spec.mutants.bodies"
local hunter = require "spec.mutants.hunter"
local lockstep = require "banyan.lockstep"
local mutant = require "spec.mutants.mutant"
local suite = require "spec.support.suite"

local LEAST = 40
local EASY = { "start_order_reversed", "max_children_off_by_one" }
local RUNS = 20

describe("the mutants", function()
  it("are many", function()
    assert.is_true(#mutant.names() >= LEAST)
  end)

  for _, name in ipairs(mutant.names()) do
    it(("%s fits the library and says what is broken"):format(name), function()
      local patch = mutant.read(name)
      assert.truthy(patch.head:match "^%w[^.]+%. .*user.*%.%s*$", patch.head)
      assert.is_true(#patch.files > 0)
      for _, file in ipairs(patch.files) do
        assert.truthy(file:match "^csrc/" or file:match "^lua/banyan/", file)
      end
      local applies, said = mutant.applies(name)
      assert.is_true(applies, said)
    end)
  end

  for _, name in ipairs(EASY) do
    it(("%s is found #slow"):format(name), function()
      local hunt = hunter.find(assert(mutant.build(name)), 60)
      assert.equal("found", hunt.outcome, hunt.reason)
    end)
  end
end)

describe("the bodies for the mutants", function()
  for _, body in ipairs(bodies) do
    it(("%s holds in the library as it is"):format(body.name), function()
      local opts = { iterations = suite.plays(RUNS) }
      for key, value in pairs(body.opts or {}) do opts[key] = value end
      for _, strategy in ipairs { "random", "pct", "pos", "fair_pct" } do
        opts.strategy = strategy
        lockstep.check(body.run, opts)
      end
    end)
  end
end)
