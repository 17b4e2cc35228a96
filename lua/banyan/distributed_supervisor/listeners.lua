-- Listeners: the user's callbacks, each table of them in a process of its
-- own, so that one that raises, waits or hangs harms nobody. They are told in
-- the order in which this node learned.

local core = require "banyan.core"

local listeners = {}

-- A listener that is so far behind misses what comes.
local QUEUE_MAX = 10000

listeners.callbacks = {
  on_node_up = true, on_node_down = true, on_node_terminate = true,
  on_process_start = true, on_process_stop = true,
}

local function failed(name, callback, reason)
  core.event("listener_failed",
    { supervisor = name, callback = callback, reason = reason })
end

-- The life of the process. It ends with its coordinator.
local function listen(name, listener, queue, coordinator)
  local watch = core.monitor(coordinator)
  while true do
    local msg = core.receive()
    if type(msg) == "table" and msg.tag == "DOWN" and msg.ref == watch then
      return
    elseif type(msg) == "table" and msg.tag == "$listen" then
      local ok, err = pcall(listener[msg.callback], name,
        msg[1], msg[2], msg[3], msg[4])
      queue.length = queue.length - 1
      if not ok then failed(name, msg.callback, err) end
    end
  end
end

--- The listeners of one supervisor.
-- @param tables list of tables of callbacks
function listeners.new(name, tables)
  local list = {}
  for i, listener in ipairs(tables) do
    list[i] = { listener = listener }
  end
  return { name = name, list = list }
end

local function process_of(set, one)
  if not one.pid then
    local queue, me = { length = 0 }, core.self()
    one.queue = queue
    -- Both count in the same table: an argument would be a copy of it.
    one.pid = core.spawn_link(function()
      listen(set.name, one.listener, queue, me)
    end)
  end
  return one.pid
end

--- Tells those that have the callback; the name of the supervisor comes
-- before the arguments.
function listeners.tell(set, callback, a, b, c, d)
  for _, one in ipairs(set.list) do
    if one.listener[callback] then
      local pid = process_of(set, one)
      if one.queue.length < QUEUE_MAX then
        one.queue.length = one.queue.length + 1
        core.send(pid, { tag = "$listen", callback = callback, a, b, c, d })
      else
        failed(set.name, callback, "overflow")
      end
    end
  end
end

--- A linked process ended: true if it was a listener's, which gets a new one
-- when there is something to tell.
function listeners.ended(set, pid, reason)
  for _, one in ipairs(set.list) do
    if one.pid == pid then
      one.pid = nil
      failed(set.name, "process", reason)
      return true
    end
  end
  return false
end

--- Ends those that hang, when the coordinator goes.
function listeners.close(set)
  for _, one in ipairs(set.list) do
    if one.pid and one.queue.length > 0 then one.pid:exit("kill") end
  end
end

return listeners
