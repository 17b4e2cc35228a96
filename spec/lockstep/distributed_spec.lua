-- A distributed supervisor whose cluster is divided, healed, cut and crashed:
-- each side comes to have one process of each child, and all come back.

local suite = require "spec.support.suite"

describe("a distributed supervisor under lockstep", function()
  suite.test(it, "has one process of each child on each side", "distributed",
    100)

  -- Two nodes lose each other while both see the third. One ends a child that
  -- runs on the other, and starts it anew; the other goes on with the old one.
  it("keeps a child that was started again where another missed its end",
    function()
      local report = suite.run("distributed", "random", 1795286419, 1)
      if not report.ok then error(tostring(report), 0) end
    end)

  suite.test(it, "keeps the process that never stopped after each split",
    "splits", 25)

  -- Three sides for longer than ends are kept; two of them start the same
  -- child, and each gives way to the other when they meet.
  it("keeps one of two children that began on both sides of a long split",
    function()
      local report = suite.run("splits", "random", 40, 1)
      if not report.ok then error(tostring(report), 0) end
    end)

  suite.test(it, "has a child that crashes again and again harm no other",
    "poison", 25)

  suite.test(it, "goes on at once where nodes leave and come back", "leaving",
    25)

  suite.test(it, "loses no checkpoint that was acknowledged", "checkpoints",
    25)

  suite.test(it, "keeps the right one of two copies, which hears of the other",
    "conflicts", 25)

  suite.test(it, "loses no call by id, nor what is sent to a child that waits",
    "held", 25)
end)

describe("a node that stood still, under lockstep", function()
  suite.test(it, "takes over nobody's child", "pauses", 20)
end)
