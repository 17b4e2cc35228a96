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
end)

describe("a node that stood still, under lockstep", function()
  suite.test(it, "takes over nobody's child", "pauses", 6)
end)
