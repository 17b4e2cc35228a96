--- What the processes of a peer have in common: each is known to the record
-- while it runs, and gets what comes for it by a lookup at each frame. What
-- comes while it is restarted waits. Private to banyan.peers.

local core = require "banyan.core"
local limits = require "banyan.peers.limits"
local owned = require "banyan.owned"

local child = {}

local records = {} -- pid of a child -> its record

-- What only this file has: messages with it are of this node's own making. A
-- function goes by reference, and never to another node.
local function mine() end

local function total(record)
  local sum = 0
  for _, bytes in pairs(record.unread) do sum = sum + bytes end
  return sum
end

-- While too much is not worked off, nothing is read.
local function pause_or_go_on(record)
  local sum = total(record)
  if sum > limits.unread and not record.paused then
    record.paused = true
    record.pause()
  elseif sum <= limits.unread / 2 and record.paused then
    record.paused = false
    record.go_on()
  end
end

--- Sends a child what came for it. `size` is the cost of keeping it.
---@return boolean ok  false: too much waits for one that does not run
function child.deliver(record, id, what, value, size)
  local message = { by = mine, what = what, value = value, size = size }
  record.unread[id] = (record.unread[id] or 0) + size
  pause_or_go_on(record)
  local pid = record.children[id]
  if pid then
    core.tell(pid, message)
    return true
  end
  local held = record.held[id] or {}
  record.held[id] = held
  if #held >= limits.held then return false end
  held[#held + 1] = message
  return true
end

--- Tells a child something, if it runs; one that begins finds it out itself.
function child.tell(record, id, what, value)
  local pid = record.children[id]
  if pid then
    core.tell(pid, { by = mine, what = what, value = value, size = 0 })
  end
end

--- The same to the caller, later.
function child.remind(ms, what)
  return core.send_after(ms, core.self(), { by = mine, what = what, size = 0 })
end

local function leave(record, id, pid)
  records[pid] = nil
  if record.children[id] ~= pid then return end
  record.children[id] = nil
  local size = 0
  for _, message in ipairs(record.held[id] or {}) do
    size = size + message.size
  end
  record.unread[id] = size
  if record.status ~= "down" and record.pause then pause_or_go_on(record) end
end

local function enter(record, id)
  local pid = core.self()
  records[pid], record.children[id] = record, pid
  owned.add(pid, { release = function() leave(record, id, pid) end })
  local held = record.held[id] or {}
  record.held[id] = nil
  for _, message in ipairs(held) do core.tell(pid, message) end
  return held
end

--- The caller is that child from now on, and gets what was held for it, before
-- anything that comes from now on.
---@return table held  what that was
function child.enter(record, id)
  return core.unbroken(enter, record, id)
end

--- The record of the caller.
function child.record()
  return records[core.self()]
end

local function worked_off(record, id, size)
  record.unread[id] = (record.unread[id] or 0) - size
  pause_or_go_on(record)
end

--- Has a message of a child handled by on[what](record, value).
function child.handle(id, on, message)
  if type(message) ~= "table" or message.by ~= mine then return false end
  local record = child.record()
  local result = on[message.what](record, message.value)
  if message.size > 0 then
    core.unbroken(worked_off, record, id, message.size)
  end
  return true, result
end

return child
