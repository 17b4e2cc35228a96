--- Banyan's own suite under lockstep: scripts of random operations, each with
-- what must hold after every step. `make test` plays a few seeds of each
-- (spec/lockstep), `make soak` as many as there is time for.

local lockstep = require "banyan.lockstep"

local suite = {}

--- The scripts: name -> { body = module below spec.support.scripts, and
--- options for lockstep.run }.
suite.scripts = {
  processes = { settle = true, no_leftovers = true },
  servers = { settle = true, no_leftovers = true },
  supervisors = { settle = true, no_leftovers = true },
  dynamic = { settle = true, no_leftovers = true },
  restart_loop = { settle = true, no_leftovers = true },
  remote = { max_steps = 200000 },
  reconnects = { max_steps = 400000, clock = "idle" },
  distributed = { max_steps = 200000 },
  pauses = { max_steps = 1000000, clock = "idle" },
  splits = { max_steps = 1000000, clock = "idle" },
  poison = { max_steps = 1000000, clock = "idle" },
  leaving = { max_steps = 1000000, clock = "idle" },
  checkpoints = { max_steps = 2000000, clock = "idle" },
  conflicts = { max_steps = 2000000, clock = "idle" },
  held = { max_steps = 2000000, clock = "idle" },
  newcomer = { max_steps = 200000, clock = "idle" },
  moves = { max_steps = 2000000, clock = "idle" },
  entities = { max_steps = 2000000, clock = "idle" },
  quorum = { max_steps = 2000000, clock = "idle" },
  node_sets = { max_steps = 100000, clock = "idle" },
  node_monitors = { max_steps = 2000000, clock = "idle" },
  sources = { max_steps = 2000000, clock = "idle" },
  groups = { max_steps = 2000000, clock = "idle" },
  bridges = { max_steps = 2000000, clock = "idle" },
}

--- In the order in which they are played.
suite.names = {
  "processes", "servers", "supervisors", "dynamic", "restart_loop", "remote",
  "reconnects", "distributed", "pauses", "splits", "poison", "leaving",
  "checkpoints", "conflicts", "held", "newcomer", "moves", "entities", "quorum",
  "node_sets", "node_monitors", "sources", "groups", "bridges",
}

--- The strategies that find bugs by chance.
suite.strategies = { "random", "pct", "pos" }

--- Loads the body of a script.
function suite.body(name)
  return require("spec.support.scripts." .. name)
end

--- Plays seeds of a script.
---@param name string
---@param strategy string
---@param seed integer
---@param iterations integer
---@return banyan.Report
function suite.run(name, strategy, seed, iterations)
  local opts = { strategy = strategy, seed = seed, iterations = iterations }
  for key, value in pairs(suite.scripts[name]) do opts[key] = value end
  return lockstep.run(suite.body(name), opts)
end

--- How many seeds of so many a spec plays: all, or the part of them that
-- BYN_SCRIPTS in the environment is of a million, where each instruction costs
-- more (sanitizers); but one at least.
---@param all integer
---@return integer
function suite.plays(all)
  local scripts = tonumber(os.getenv "BYN_SCRIPTS" or "")
  if not scripts then return all end
  return math.max(1, math.floor(all * scripts / 1e6))
end

--- For a spec: a test for each strategy that plays the first seeds.
---@param it function
---@param what string  for the name of the test
---@param name string
---@param iterations integer
function suite.test(it, what, name, iterations)
  for _, strategy in ipairs(suite.strategies) do
    it(("%s, by %s"):format(what, strategy), function()
      local report = suite.run(name, strategy, 1, suite.plays(iterations))
      if not report.ok then error(tostring(report), 0) end
    end)
  end
end

return suite
