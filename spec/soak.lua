--- Plays the scripts of the suite under lockstep, with new seeds, for a given
-- time, and prints how many it played. `make soak` runs it.
--
--    SOAK=600     seconds, 60 by default
--    SEED=1       the first seed, the time of day by default
--    SPEC=servers only the scripts with that in their name
--
-- The first failure is printed and shrunk; then the program ends.

local core = require "banyan.core"
local lockstep = require "banyan.lockstep"
local suite = require "spec.support.suite"

local SLICE = 50 -- seeds at a time

local seconds = tonumber(os.getenv "SOAK" or "") or 60
local first = tonumber(os.getenv "SEED" or "") or os.time()
local wanted = os.getenv "SPEC" or ""

-- --- playing -----------------------------------------------------------------

-- Shrinking may take long, so the failure is printed before it.
local function fail(name, report)
  print(("\n%s fails by %s:\n\n%s\n"):format(name, report.strategy,
    tostring(report)))
  print "The smallest run that fails so:\n"
  io.stdout:flush()
  print(tostring(lockstep.shrink(suite.body(name), report)))
  os.exit(1, true)
end

local function play(row, seed)
  local began = os.clock()
  for _, strategy in ipairs(suite.strategies) do
    local report = suite.run(row.name, strategy, seed, SLICE)
    if not report.ok then fail(row.name, report) end
    row.steps = row.steps + report.steps
    row.seeds = row.seeds + report.iterations
  end
  row.time = row.time + os.clock() - began
end

local function rows()
  local list = {}
  for _, name in ipairs(suite.names) do
    if name:find(wanted, 1, true) then
      list[#list + 1] = { name = name, seeds = 0, steps = 0, time = 0 }
    end
  end
  assert(list[1], "there is no such script")
  return list
end

-- The script that had the least time is next.
local function neediest(list)
  local least = list[1]
  for _, row in ipairs(list) do
    if row.time < least.time then least = row end
  end
  return least
end

local function soak(list)
  local ends = os.clock() + seconds
  while os.clock() < ends do
    local row = neediest(list)
    play(row, first + row.seeds)
  end
end

-- --- telling -----------------------------------------------------------------

local function tell(list)
  local seeds, steps, time = 0, 0, 0
  print(("%-14s %10s %12s %10s %12s"):format("script", "seeds", "steps",
    "seeds/s", "steps/s"))
  local function line(name, row)
    print(("%-14s %10d %12d %10.0f %12.0f"):format(name, row.seeds, row.steps,
      row.seeds / row.time, row.steps / row.time))
  end
  for _, row in ipairs(list) do
    if row.seeds > 0 then line(row.name, row) end
    seeds, steps = seeds + row.seeds, steps + row.steps
    time = time + row.time
  end
  line("all", { seeds = seeds, steps = steps, time = time })
end

local function words(text)
  local list = {}
  for word in text:gmatch "%S+" do list[#list + 1] = word end
  return list
end

local function tell_machine(machine)
  local states, events = words(machine.states), words(machine.events)
  local met, wide = 0, 0
  for _, state in ipairs(states) do wide = math.max(wide, #state) end
  local lines = {}
  for i, state in ipairs(states) do
    local line = { ("  %-" .. wide .. "s"):format(state) }
    for j, event in ipairs(events) do
      local count = machine.counts[i][j]
      if count > 0 then met = met + 1 end
      line[#line + 1] = ("%" .. math.max(#event, 6) .. "s"):format(
        count > 99999 and ("%.0fk"):format(count / 1000)
          or count > 0 and tostring(count) or ".")
    end
    lines[i] = table.concat(line, " ")
  end
  local head = { "  " .. (" "):rep(wide) }
  for _, event in ipairs(events) do head[#head + 1] = ("%6s"):format(event) end
  print(("\n%s: %d of %d pairs of a state and an event"):format(machine.name,
    met, #states * #events))
  print(table.concat(head, " "))
  print(table.concat(lines, "\n"))
end

local list = rows()
print(("%d s from seed %d on"):format(seconds, first))
io.stdout:flush()
soak(list)
tell(list)
if core.coverage then
  for _, machine in ipairs(core.coverage()) do tell_machine(machine) end
end
