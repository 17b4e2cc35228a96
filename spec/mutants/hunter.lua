--- Looks for a bug in a library: bodies under strategies, each a program of
-- its own (hunt.lua).
--
--    hunter.hunt(library, body, strategy, seed, seconds)
--    hunter.find(library, seconds)
--
-- Both answer { outcome = "found" | "none" | "broken", body=, strategy=, runs=,
-- seconds= (text), kind=, reason= }; "broken": the program itself ended badly,
-- so nothing can be said.

local bodies = require "spec.mutants.bodies"
local mutant = require "spec.mutants.mutant"

local hunter = {}

local STRATEGIES = { "random", "pct", "pos", "fair_pct" }

-- Of a body under a strategy, in the first round. Each round is twice as long
-- as the one before, as long as what is left suffices for all.
local FIRST_SECONDS = 0.1
local LEAST_SECONDS = 0.05
local SEEDS = 1000000 -- between the first seeds of two rounds

local function fields_of(line)
  local fields = {}
  for field in (line .. "\t"):gmatch "([^\t]*)\t" do
    fields[#fields + 1] = field
  end
  return fields
end

--- Each body with each strategy, a strategy that is first in one round being
-- the last in the next.
---@param round integer
---@return fun(): string, string
function hunter.pairs(round)
  local i, total = -1, #bodies * #STRATEGIES
  return function()
    i = i + 1
    if i == total then return nil end
    local body, turn = math.floor(i / #STRATEGIES), i % #STRATEGIES
    return bodies[body + 1].name,
      STRATEGIES[(body + turn + round) % #STRATEGIES + 1]
  end
end

-- A step that never ends is ended from outside.
local function command(library, body, strategy, seed, seconds, report)
  local lua = arg[-1] or "lua"
  return ("%s timeout -s KILL %.0f %s spec/mutants/hunt.lua "
    .. "%s %s %d %s %s 2>&1")
    :format(mutant.environment(library), 60 + 10 * seconds, lua, body,
      strategy, seed, seconds, report)
end

function hunter.hunt(library, body, strategy, seed, seconds)
  local report = ("%s/report"):format(library.dir == "." and library.build
    or library.dir)
  local pipe = assert(io.popen(command(library, body, strategy, seed, seconds,
    report)))
  local last = ""
  for line in pipe:lines() do last = line ~= "" and line or last end
  pipe:close()
  local fields = fields_of(last)
  local known = fields[1] == "found" or fields[1] == "none"
  return {
    outcome = known and fields[1] or "broken", body = body,
    strategy = strategy, runs = tonumber(fields[2]) or 0,
    seconds = known and fields[3] or "0",
    kind = known and fields[4] or "broken",
    reason = known and fields[5] or last,
  }
end

--- Until it is found, or so many seconds of CPU are used up.
function hunter.find(library, limit)
  local spent, runs, round, portion = 0, 0, 0, FIRST_SECONDS
  while true do
    portion = math.min(portion, (limit - spent) / (#bodies * #STRATEGIES))
    for body, strategy in hunter.pairs(round) do
      local hunt = hunter.hunt(library, body, strategy, round * SEEDS + 1,
        math.max(portion, LEAST_SECONDS))
      spent, runs = spent + tonumber(hunt.seconds), runs + hunt.runs
      hunt.seconds, hunt.runs = ("%.1f"):format(spent), runs
      if hunt.outcome ~= "none" then return hunt end
      if spent >= limit then
        hunt.body, hunt.strategy = nil, nil
        return hunt
      end
    end
    round, portion = round + 1, portion * 2
  end
end

return hunter
