-- Random trees whose children crash: after every step a supervisor's table is
-- what it is linked to, it restarts no more often than it may, stops children
-- in order and in time, and leaves none behind.

local suite = require "spec.support.suite"

describe("supervisors under lockstep", function()
  suite.test(it, "keep their children, limits and order", "supervisors", 400)
end)

describe("dynamic supervisors under lockstep", function()
  suite.test(it, "keep their children and limits", "dynamic", 400)
end)

describe("a supervisor in a restart loop under lockstep", function()
  suite.test(it, "answers between two attempts", "restart_loop", 200)
end)
