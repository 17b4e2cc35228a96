--- What lockstep runs to find a mutant: the scripts of the suite, and some
-- bodies for what those do not look at. A list of { name=, run=, opts= }: the
-- function that is the body, and the options of its runs.

local suite = require "spec.support.suite"

local bodies = {}

for i, name in ipairs(suite.names) do
  bodies[i] = { name = name, run = suite.body(name),
    opts = suite.scripts[name] }
end

local function body(name, module, opts)
  bodies[#bodies + 1] = { name = name, run = require(module), opts = opts }
end

local idle = { clock = "idle" }
local far = { clock = "idle", max_steps = 1000000 }

body("intensity", "spec.mutants.bodies.intensity", idle)
body("mailbox", "spec.mutants.bodies.mailbox", idle)
body("stream", "spec.mutants.bodies.stream", far)
body("links", "spec.mutants.bodies.links", far)
body("starts", "spec.mutants.bodies.starts", far)
body("conflict", "spec.mutants.bodies.conflict", far)
body("limit", "spec.mutants.bodies.limit", far)
body("names", "spec.mutants.bodies.names", far)
body("leave", "spec.mutants.bodies.leave", far)
body("acknowledged", "spec.mutants.bodies.acknowledged", far)
body("moving", "spec.mutants.bodies.moving", far)
body("rebalance", "spec.mutants.bodies.rebalance", far)
body("gained", "spec.mutants.bodies.gained", far)
body("bridge", "spec.mutants.bodies.bridge", far)

return bodies
