-- Random processes on the nodes of a cluster, while all happens to network and
-- nodes that can: order, exactly one DOWN, no EXIT after unlink, calls.

local suite = require "spec.support.suite"

describe("processes of several nodes under lockstep", function()
  suite.test(it, "get signals of each other in order, and each end once",
    "remote", 100)
end)

-- Connections that break between nodes that live: see the script.
describe("links between nodes under lockstep", function()
  suite.test(it, "lose and double nothing when connections break",
    "reconnects", 10)
end)
