-- Children that move, entities, and children of a quorum, under lockstep.

local lockstep = require "banyan.lockstep"
local suite = require "spec.support.suite"

describe("children that move, under lockstep", function()
  suite.test(it, "loses neither a message nor a state where children move",
    "moves", 25)

  suite.test(it, "keeps a state where a node leaves as another joins",
    "newcomer", 40)

  suite.test(it, "starts an entity once, and loses nothing that is for it",
    "entities", 20)

  -- Between looking for the process and sending to it the child began to move.
  it("loses nothing that is sent while a child moves", function()
    for _, strategy in ipairs(suite.strategies) do
      local report = lockstep.run(require "spec.mutants.bodies.moving", {
        strategy = strategy, seed = 1, iterations = suite.plays(25),
        clock = "idle",
      })
      if not report.ok then error(tostring(report), 0) end
    end
  end)
end)

describe("a distributed supervisor with a quorum, under lockstep", function()
  suite.test(it, "runs no child twice at any time", "quorum", 25)
end)
