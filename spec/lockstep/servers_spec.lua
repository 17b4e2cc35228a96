-- Random clients of random servers: each call is handled and answered at most
-- once, what one client sends comes in order, terminate runs when it should.

local suite = require "spec.support.suite"

describe("servers under lockstep", function()
  suite.test(it, "answer once, keep the order, terminate when they should",
    "servers", 400)
end)
