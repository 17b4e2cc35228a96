--- Runs a function as a process of a fresh node, on a clock that jumps.
--
--    local run = require "spec.support.run"
--    it("answers", function() run(function() ... end) end)
--
-- The clock stands still while there is work and then jumps to the next
-- deadline, so waits and time-outs cost no real time. An error of the function
-- is raised again unchanged; so is an exit reason of its process. It is an
-- error too if all processes wait for ever.

local core = require "banyan.core"
local outcome = require "spec.support.outcome"

local MAX_STEPS = 1e6

local function drive(node, clock, result)
  for _ = 1, MAX_STEPS do
    local deadline = node:step(clock.now)
    while node:action() do end
    if result.events then
      for _, event in ipairs(node:events() or {}) do
        result.events[#result.events + 1] = event
      end
    end
    if result.reason ~= nil then return end
    if not deadline then error("every process waits for ever", 0) end
    if deadline > clock.now then clock.now = deadline end
  end
  error("no end after " .. MAX_STEPS .. " steps", 0)
end

--- Runs `body` as a process.
---@param body function
---@param opts? table  options for core.node, besides clock; `events`: a table
---  that gets every event, in order
return function(body, opts)
  local clock, result = { now = 0 }, {}
  local settings = { seed = 1, clock = function() return clock.now end }
  for key, value in pairs(opts or {}) do settings[key] = value end
  if settings.events then
    result.events, settings.events = settings.events, true
  end
  local node = core.node(settings)
  node:spawn(function() outcome.watch(result, body) end)
  local ok, err = pcall(drive, node, clock, result)
  node:close()
  if not ok then error(err, 0) end
  outcome.check(result)
end
