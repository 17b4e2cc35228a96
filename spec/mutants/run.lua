--- The test of the tester: has lockstep look for each of the deliberate bugs,
-- and prints which strategy found it by which body, after how many runs.
--
--    lua spec/mutants/run.lua [PART]     only mutants with PART in the name
--
-- Each body is run under each strategy for a short while; then all again, for
-- longer, until the bug is found or its time is used up. Runs and seconds are
-- those of all that were tried. Before all mutants, the library as it is must
-- pass: what lockstep finds there is a false alarm.

local hunter = require "spec.mutants.hunter"
local mutant = require "spec.mutants.mutant"

local SECONDS = tonumber(os.getenv "SECONDS" or "") or 100 -- of CPU, a mutant
local FAIR_SECONDS = 2 -- for each body and strategy without a mutant

local FORMAT = "%-26s %-12s %-9s %7s %7s  %s"

local function say(...)
  io.stdout:write(FORMAT:format(...):gsub(" +$", ""), "\n")
  io.stdout:flush()
end

local function false_alarms()
  local library, alarms = assert(mutant.build()), 0
  local runs = 0
  for body, strategy in hunter.pairs(1) do
    local hunt = hunter.hunt(library, body, strategy, 1, FAIR_SECONDS)
    runs = runs + hunt.runs
    if hunt.outcome ~= "none" then
      alarms = alarms + 1
      say("(none)", body, strategy, hunt.runs, hunt.seconds,
        hunt.kind .. ": " .. hunt.reason)
    end
  end
  if alarms == 0 then say("(none)", "all", "all", runs, "", "passes") end
  return alarms
end

local function look_for(name)
  local library, err = mutant.build(name)
  if not library then
    say(name, "", "", "", "", err)
    return false
  end
  local hunt = hunter.find(library, SECONDS)
  if hunt.outcome == "found" then
    say(name, hunt.body, hunt.strategy, hunt.runs, hunt.seconds,
      hunt.kind .. ": " .. hunt.reason)
    return true
  end
  say(name, hunt.body or "-", hunt.strategy or "-", hunt.runs, hunt.seconds,
    hunt.outcome == "none" and "MISSED" or hunt.reason)
  return false
end

local function main(part)
  say("mutant", "body", "strategy", "runs", "CPU s", "kind")
  local alarms = part and 0 or false_alarms()
  local found, missed = 0, 0
  for _, name in ipairs(mutant.names(part)) do
    if look_for(name) then found = found + 1 else missed = missed + 1 end
  end
  if alarms > 0 then print(alarms .. " false alarms") end
  print(("%d found, %d missed"):format(found, missed))
  return alarms == 0 and missed == 0 and found > 0
end

os.exit(main(arg[1] ~= "" and arg[1] or nil) and 0 or 1)
