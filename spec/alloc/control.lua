-- Runs under lockstep, for control_test.c: while one allocation fails, and
-- then with all memory that they want.
--
-- Answers functions, see scarcity.h.

local core = ...

local lockstep = require "banyan.lockstep"

local came

-- A process, a timer, a message, a name, an invariant.
local function body()
  local me = core.self()
  lockstep.invariant(function() return true end)
  for i = 1, 3 do
    core.spawn(function()
      core.register("child" .. i)
      core.sleep(lockstep.choose(3))
      core.send(me, { i })
    end)
  end
  core.send_after(2, me, { 4 })
  local sum = 0
  for _ = 1, 4 do sum = sum + core.receive()[1] end
  came = sum == 10
end

local function live()
  for _, strategy in ipairs { "pct", "pos", "dfs" } do
    local ok, report = pcall(lockstep.run, body,
      { strategy = strategy, iterations = 2 })
    if ok and not report.ok and report.tape then
      pcall(lockstep.replay, body, report.tape)
    end
  end
end

local function probe()
  came = false
  local report = lockstep.run(body, { iterations = 3 })
  if not report.ok then error(tostring(report), 0) end
  return came
end

local function clear()
  collectgarbage()
  collectgarbage()
end

return live, probe, clear
