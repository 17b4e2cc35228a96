-- The user's callbacks, in a process of their own: one that waits holds up no
-- other process, and they hear all in order. One that raises is the event
-- listener_failed.
--
-- What is to be told waits in the queue of the monitor's memory. A monitor that
-- crashed and came back finds the process, if it is there, and goes on with it.

local core = require "banyan.core"

local announcer = {}

-- With so much in the queue, a callback hangs: then what would only take back
-- what is in it, is taken out instead.
local LONG = 1000

local function failed(monitor, callback, reason)
  core.event("listener_failed",
    { monitor = monitor, callback = callback, reason = reason })
end

local function take(memory, owner)
  local next_one = table.remove(memory.queue, 1)
  if not next_one and memory.owner == owner and not core.is_alive(owner) then
    memory.announcer = nil
    return nil, true
  end
  return next_one
end

-- Until its monitor has ended, no other has come in its place, and all is told.
local function announce(memory, monitor)
  core.set_label("callbacks of a node monitor")
  local owner, watch
  while true do
    if owner ~= memory.owner then
      owner = memory.owner
      if watch then core.demonitor(watch, { flush = true }) end
      watch = core.monitor(owner)
    end
    local one, over = core.unbroken(take, memory, owner)
    if over then return end
    if one then
      local ok, err = pcall(one.fn, one.node, one.info)
      if not ok then failed(monitor, one.callback, err) end
    else
      core.receive()
    end
  end
end

-- Is something of the node waiting? It is the contrary of what is to be told
-- now, as the two alternate.
local function last_of(queue, node)
  for i = #queue, 1, -1 do
    if queue[i].node == node then return i end
  end
end

local function push(memory, monitor, one)
  local queue = memory.queue
  local at = #queue >= LONG and one and last_of(queue, one.node)
  if at then
    table.remove(queue, at)
  else
    queue[#queue + 1] = one
  end
  if #queue == 0 then return nil end
  if memory.announcer and core.is_alive(memory.announcer) then
    if #queue == 1 then core.send(memory.announcer, "more") end
    return nil
  end
  local pid, watch = core.spawn_monitor(function()
    announce(memory, monitor)
  end)
  memory.announcer = pid
  return watch
end

--- A callback is to be called. Nothing, where there is none.
---@param memory table
---@param monitor banyan.Pid|string  for events
---@param callback string  "on_node_up" or "on_node_down"
---@param fn function|nil
---@return banyan.Ref|nil watch  of a process that this began
function announcer.tell(memory, monitor, callback, fn, node, info)
  if not fn then return nil end
  return core.unbroken(push, memory, monitor,
    { callback = callback, fn = fn, node = node, info = info })
end

--- The process ended: what it has not told is told by another one.
---@return banyan.Ref|nil watch  of that
function announcer.ended(memory, monitor, reason)
  if reason ~= "normal" then failed(monitor, "process", reason) end
  return core.unbroken(push, memory, monitor, nil)
end

--- Another process of the monitor goes on with it.
---@return banyan.Ref|nil watch  of the process that calls the callbacks
function announcer.resume(memory, monitor)
  if memory.announcer and core.is_alive(memory.announcer) then
    return core.monitor(memory.announcer)
  end
  return core.unbroken(push, memory, monitor, nil)
end

return announcer
