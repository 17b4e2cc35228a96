-- Process groups, under lockstep.

local suite = require "spec.support.suite"

describe("process groups, under lockstep", function()
  suite.test(it, "are the same on all nodes in the end", "groups", 40)
end)
