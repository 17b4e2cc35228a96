--- What a peer does for its origin: calls, each in a process of its own, and
-- messages to its processes. Private to banyan.peer.

local core = require "banyan.core"
local kinds = require "banyan.peer.kinds"

local unpack = table.unpack or unpack

local Work = {}
Work.__index = Work

local M = {}

local function find(module, name)
  local found, loaded = pcall(require, module)
  if not found then
    local text = tostring(loaded)
    if text:find("module '" .. module .. "' not found", 1, true) then
      return nil, core.reason { "module_not_found",
        (text:gsub("^.-(module '.-' not found):\n.*", "%1")) }
    end
    return nil, core.reason { "error", text }
  end
  local fn = type(loaded) == "table" and loaded[name]
  if type(fn) == "function" then return fn end
  return nil, core.reason { "undef", ("%s.%s is no function")
    :format(module, name) }
end

local function with_traceback(err)
  if type(err) == "table" then return err end
  return core.reason { "error", tostring(err), debug.traceback("", 2) }
end

local function answer(self, job, ...)
  if not job.number then return end
  local fine, ok, why = pcall(self.wire.put, self.wire, kinds.REPLY, job.number,
    ...)
  job.answered = true
  if fine and (ok or why == "closed") then return end
  local err = fine and why or core.reason { "error", tostring(ok) }
  self.wire:put(kinds.REPLY, job.number, nil, err)
end

local function finish(self, job, ok, ...)
  if ok then return answer(self, job, ...) end
  answer(self, job, nil, (...))
end

local function run(self, job)
  local fn, why = find(job.module, job.fn)
  if not fn then return answer(self, job, nil, why) end
  local args = job.args
  finish(self, job, xpcall(function()
    return fn(unpack(args, 1, args.n))
  end, with_traceback))
end

local function start(self, job)
  local _, ref = core.spawn_monitor(function()
    core.set_label(job.module .. "." .. job.fn)
    run(self, job)
  end)
  self.jobs[ref] = job
end

--- Takes a frame. Does not wait, and may be called from a callback.
---@return boolean  is it one for `step`?
function Work:take(kind, ...)
  if kind == kinds.CALL then
    local number, module, fn, args = ...
    table.insert(self.queue,
      { number = number, module = module, fn = fn, args = args })
  elseif kind == kinds.CAST then
    local module, fn, args = ...
    table.insert(self.queue, { module = module, fn = fn, args = args })
  elseif kind == kinds.SEND or kind == kinds.MAIL then
    local to, message = ...
    table.insert(self.queue,
      { to = to, message = message, is_cast = kind == kinds.MAIL })
  else
    return false
  end
  return true
end

--- Does what was taken. Called by the control process.
function Work:step()
  local queue = self.queue
  self.queue = {}
  for _, job in ipairs(queue) do
    if job.fn then
      start(self, job)
    elseif job.is_cast then
      core.cast_now(job.to, job.message)
    else
      core.send_now(job.to, job.message)
    end
  end
end

--- A call's process has ended: was it answered?
function Work:down(ref, reason)
  local job = self.jobs[ref]
  if not job then return end
  self.jobs[ref] = nil
  if job.number and not job.answered then
    self.wire:put(kinds.REPLY, job.number, nil, reason)
  end
end

---@param wire table  a control channel, or what stands in for one
function M.new(wire)
  return setmetatable({ wire = wire, queue = {}, jobs = {} }, Work)
end

return M
