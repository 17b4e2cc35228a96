--- How all that runs on a node comes to its end, in order.

local core = require "banyan.core"
local server = require "banyan.server"

local tree = {}

-- The supervisors that are alive: pid -> process_info.
local function supervisors()
  local found, pids = {}, {}
  for _, pid in ipairs(core.processes()) do
    local info = core.process_info(pid)
    if info and info.behaviour == "supervisor" then
      found[pid], pids[#pids + 1] = info, pid
    end
  end
  return found, pids
end

-- Stops each supervisor that is not under another one. A supervisor ignores
-- exit signals of processes other than its parent, so this is a call. If the
-- supervisor is ending already, its end answers the call.
local function stop_top_supervisors(found, pids)
  for _, pid in ipairs(pids) do
    if not found[found[pid].parent] then
      core.spawn(function()
        server.stop(pid, "shutdown")
      end)
    end
  end
end

--- Ends all supervisors, each after its children, and returns when the last
-- is gone. Called by a process; yields.
function tree.stop()
  while true do
    local found, pids = supervisors()
    if #pids == 0 then return end
    local refs, left = {}, #pids
    for _, pid in ipairs(pids) do refs[core.monitor(pid)] = true end
    stop_top_supervisors(found, pids)
    while left > 0 do
      local message = core.receive()
      if type(message) == "table" and message.tag == "DOWN"
        and refs[message.ref] then
        left = left - 1
      end
    end
  end
end

--- Sets state.over when `ms` have passed: then the node is to be closed,
-- whatever still runs on it. Does not yield.
---@param node userdata  the C node
---@param state table
---@param ms integer|number|string  "infinity" and math.huge: no limit
function tree.limit(node, state, ms)
  if ms == math.huge or ms == "infinity" then return end
  node:spawn(function()
    core.sleep(ms)
    core.event("stop_timeout", { ms = ms })
    state.over = true
  end)
end

--- Is the process that ends the tree done, or has it been killed itself?
---@param node userdata  the C node
---@param state { pid: banyan.Pid, done: boolean }
---@return boolean
function tree.is_over(node, state)
  if state.done or node:process_count() == 0 then return true end
  local known, alive = pcall(core.is_alive, state.pid)
  return known and not alive
end

return tree
