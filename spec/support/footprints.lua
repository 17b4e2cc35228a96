--- Plays a few seeds of each script and prints a checksum of the steps: two OS
-- processes must print the same. For spec/lockstep.
--
--    lua spec/support/footprints.lua SCRIPT STRATEGY SEEDS

local play = require "banyan.lockstep.play"
local lockstep = require "banyan.lockstep"
local suite = require "spec.support.suite"

local kinds = { process = 1, timer = 2, network = 3, clock = 4, fault = 5 }

-- Adds the numbers of a step to a checksum that depends on their order.
local function add(sum, value) return (sum * 31 + value) % 2147483647 end

local function footprint(name, strategy, seed)
  local sum, last = 0
  local body = suite.body(name)
  local opts = { strategy = strategy, seed = seed, iterations = 1 }
  for key, value in pairs(suite.scripts[name]) do opts[key] = value end
  local report = lockstep.run(function()
    local world = play.world "footprints"
    lockstep.invariant(function()
      local kind, _, actor, object = world.control:last()
      sum = add(add(add(sum, kinds[kind]), actor), object + world.now)
      last = world.now
      return true
    end)
    body()
  end, opts)
  return ("%s %s %d: %s, %d steps, %d ms, %.0f"):format(name, strategy, seed,
    report.ok and "ok" or tostring(report), report.steps, last, sum)
end

local name, strategy, seeds = ...
for seed = 1, tonumber(seeds) do print(footprint(name, strategy, seed)) end
