-- What the scenarios have in common: a node with a clock of its own, on which
-- things are done one after the other.

local core = require "banyan.core"

local stage = {}

local now = 0

stage.node = core.node {
  seed = 1, events = true, clock = function() return now end,
}

--- Steps the node, 10 ms at a time; what fails, fails.
function stage.step(times)
  for _ = 1, times do
    pcall(stage.node.step, stage.node, now)
    if not stage.keeps_events then pcall(stage.node.events, stage.node) end
    now = now + 10
  end
end

--- Does things in one process: what memory takes from one does not keep it
-- from the next.
---@param things function[]  each gets the same table
function stage.live(things)
  pcall(stage.node.spawn, stage.node, function()
    local it = {}
    for _, thing in ipairs(things) do pcall(thing, it) end
  end)
  stage.step(60)
end

--- Runs `body` as a process; true if it comes to its end.
function stage.probe(body)
  local done = false
  stage.node:spawn(function()
    body()
    done = true
  end)
  stage.step(20)
  return done
end

--- Ends every process.
function stage.clear()
  stage.node:spawn(function()
    for _, pid in ipairs(core.processes()) do
      if pid ~= core.self() then pid:exit("kill") end
    end
  end)
  stage.step(20)
end

return stage
