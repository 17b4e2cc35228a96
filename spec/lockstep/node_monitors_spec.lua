-- Node monitors whose sets, sources and nodes change in every way.

local suite = require "spec.support.suite"

describe("a node monitor under lockstep", function()
  suite.test(it, "announces each node once as its set changes", "node_sets",
    1000)

  suite.test(it, "announces each node once as nodes come and go",
    "node_monitors", 25)
end)

describe("a distributed supervisor with a source of nodes under lockstep",
  function()
    suite.test(it, "drains who leaves, and no failure moves a child",
      "sources", 20)
  end)
