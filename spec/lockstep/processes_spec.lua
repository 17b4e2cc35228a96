-- Random processes beside a model: after every step they live, are linked,
-- monitored, named and written to as the model says.

local suite = require "spec.support.suite"

describe("processes under lockstep", function()
  suite.test(it, "live, signal each other and end as their model says",
    "processes", 400)
end)
