-- Peer connections between two clusters, under lockstep.

local suite = require "spec.support.suite"

describe("peer connections, under lockstep", function()
  suite.test(it, "end once, and lose nothing while they live", "bridges", 30)
end)
