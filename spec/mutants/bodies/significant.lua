--- Children end one after the other: the end of significant ones, which are
-- not to be restarted, ends their supervisor.

local banyan = require "banyan"
local lockstep = require "banyan.lockstep"
local supervisor = require "banyan.supervisor"

local choose = lockstep.choose

local CHILDREN = 3
local RESTARTS = { "transient", "temporary" }
local MODES = { "any_significant", "all_significant" }
local REASONS = { "normal", "shutdown", "crash" }

local function spec(child)
  return { id = child.id, restart = child.restart,
    significant = child.significant, start = function()
      child.pid = banyan.spawn_link(function()
        banyan.exit((banyan.receive()))
      end)
      return child.pid
    end }
end

local function finish(child, reason)
  local ref = banyan.monitor(child.pid)
  banyan.send(child.pid, reason)
  repeat until banyan.receive().ref == ref
  child.over = child.restart == "temporary" or reason ~= "crash"
end

-- Must the supervisor have ended after the end of this child?
local function is_over(mode, children, last)
  if not last.significant or not last.over then return false end
  if mode == "any_significant" then return true end
  for _, child in ipairs(children) do
    if child.significant and not child.over then return false end
  end
  return true
end

return function()
  banyan.trap_exit(true)
  local children, specs = {}, {}
  for i = 1, CHILDREN do
    children[i] = { id = i, significant = choose(2) == 2,
      restart = RESTARTS[choose(2)] }
    specs[i] = spec(children[i])
  end
  local mode = MODES[choose(2)]
  local sup = assert(supervisor.start_link(specs,
    { auto_shutdown = mode, max_restarts = 100 }))
  for _ = 1, 2 * CHILDREN do
    local child = children[choose(#children)]
    if not child.over then
      finish(child, REASONS[choose(#REASONS)])
      local alive = supervisor.which_children(sup) ~= nil
      local over = is_over(mode, children, child)
      assert(alive ~= over, over and "a supervisor outlives those it is for"
        or "a supervisor ends too early")
      if over then return end
    end
  end
end
