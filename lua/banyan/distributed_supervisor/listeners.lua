-- Listeners: the user's callbacks, each table of them in a process of its
-- own, so that one that raises, waits or hangs harms nobody. They are told in
-- the order in which this node learned.

local core = require "banyan.core"
local slices = require "banyan.slices"

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

-- A copy of a list of rows.
local function copy_of(list)
  local copy, left = core.table(#list, 0), slices.size
  for i, row in ipairs(list) do
    if left == 0 then
      core.give_way()
      left = slices.size
    end
    left = left - 1
    local mine = {}
    for key, value in pairs(row) do mine[key] = value end
    copy[i] = mine
  end
  return copy
end

-- The life of the process. It ends with its coordinator.
local function listen(name, listener, queue, coordinator)
  local watch = core.monitor(coordinator)
  while true do
    local msg = core.receive()
    if type(msg) == "table" and msg.tag == "DOWN" and msg.ref == watch then
      return
    elseif type(msg) == "table" and msg.tag == "$listen" then
      local third = msg[3]
      if msg.list then third = copy_of(msg.list()) end
      local ok, err = pcall(listener[msg.callback], name,
        msg[1], msg[2], third, msg[4])
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

-- To those that have the callback.
local function send_all(set, callback, msg)
  msg.tag, msg.callback = "$listen", callback
  for _, one in ipairs(set.list) do
    if one.listener[callback] then
      local pid = process_of(set, one)
      if one.queue.length < QUEUE_MAX then
        one.queue.length = one.queue.length + 1
        core.send(pid, msg)
      else
        failed(set.name, callback, "overflow")
      end
    end
  end
end

--- Has one of them the callback?
function listeners.hear(set, callback)
  local list = set.list
  for i = 1, #list do
    if list[i].listener[callback] then return true end
  end
  return false
end

--- Tells those that have the callback; the name of the supervisor comes
-- before the arguments.
function listeners.tell(set, callback, a, b, c, d)
  if not listeners.hear(set, callback) then return end
  send_all(set, callback, { a, b, c, d })
end

--- The same with a list of rows as the third argument, which may be long: it
-- goes to the processes as it is, and each makes its own copy.
function listeners.tell_list(set, callback, a, b, list)
  send_all(set, callback, { a, b, list = function() return list end })
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
