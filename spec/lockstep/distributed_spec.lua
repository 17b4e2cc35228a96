-- A distributed supervisor whose cluster is divided, healed, cut and crashed:
-- each side comes to have one process of each child, and all come back.

local suite = require "spec.support.suite"

describe("a distributed supervisor under lockstep", function()
  suite.test(it, "has one process of each child on each side", "distributed",
    100)
end)
