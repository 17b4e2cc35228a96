--- Children for the specs of supervisors, and a log of what they did.
--
--    local log = children.log()
--    local spec = log:child("a", { restart = "transient" })
--
-- A child traps exits; it writes "+a" when it starts and "-a" when it is asked
-- to stop. Sent {exit=reason} it ends for that reason, sent {hang=true} it
-- does not stop when asked; {unlink=pid} and {signal=pid} make it unlink from
-- a process, and send that an exit signal.

local assert = require "luassert"
local busted = require "busted"
local core = require "banyan.core"
local dynamic_supervisor = require "banyan.dynamic_supervisor"
local run = require "spec.support.run"
local supervisor = require "banyan.supervisor"

local children = {}

local Log = {}
Log.__index = Log

function children.log()
  return setmetatable({ pids = {}, starts = {} }, Log)
end

function Log:note(text)
  self[#self + 1] = text
end

-- What was written since the last time, as one string.
function Log:take()
  local text = table.concat(self, " ")
  for i = #self, 1, -1 do self[i] = nil end
  return text
end

-- Was that written since?
function Log:has(text)
  for _, entry in ipairs(self) do
    if entry == text then return true end
  end
  return false
end

local function run_child(log, id)
  local hangs = false
  core.trap_exit(true)
  while true do
    local msg = core.receive()
    if msg.exit then core.exit(msg.exit) end
    if msg.hang then hangs = true end
    if msg.unlink then core.unlink(msg.unlink) end
    if msg.signal then msg.signal:exit "signal" end
    if msg.tag == "EXIT" then
      log:note("-" .. id)
      if not hangs then core.exit(msg.reason) end
    end
  end
end

function Log:start(id)
  local starts = self.starts[id] or {}
  local next_start = table.remove(starts, 1)
  if next_start then
    self:note("!" .. id)
    return next_start()
  end
  self:note("+" .. id)
  local pid = core.spawn_link(function() run_child(self, id) end)
  self.pids[id] = pid
  core.sleep(0) -- until it traps exits
  return pid
end

--- What the next starts of `id` do in place of starting: functions.
function Log:next_starts(id, ...)
  self.starts[id] = { ... }
end

function Log:child(id, more)
  local spec = { id = id, start = function() return self:start(id) end }
  for key, value in pairs(more or {}) do spec[key] = value end
  return spec
end

function Log:send(id, msg)
  core.send(self.pids[id], msg)
end

--- Ends a child for a reason, and gives the supervisor a millisecond.
function Log:crash(id, reason)
  local ref = core.monitor(self.pids[id])
  self:send(id, { exit = reason or "crash" })
  repeat local msg = core.receive() until msg.ref == ref
  core.sleep(1)
end

--- `it`, with the body run as a process; it gets a fresh log of children.
function children.test(name, body)
  busted.it(name, function()
    run(function() body(children.log()) end)
  end)
end

--- A supervisor of children with these ids.
function children.start(log, ids, opts, more)
  local list = {}
  for id in ids:gmatch("%a+") do list[#list + 1] = log:child(id, more) end
  local sup = assert(supervisor.start_link(list, opts))
  log:take()
  return sup
end

local pools = {}

function pools.static(log, more, opts)
  local sup = assert(supervisor.start_link({}, opts))
  return sup, function(id)
    return supervisor.start_child(sup, log:child(id, more))
  end
end

function pools.simple(log, more, opts)
  local template = log:child("template", more)
  template.start = function(id) return log:start(id) end
  opts.strategy = "simple_one_for_one"
  local sup = assert(supervisor.start_link({ template }, opts))
  return sup, function(id) return supervisor.start_child(sup, { id }) end
end

function pools.dynamic(log, more, opts)
  local sup = assert(dynamic_supervisor.start_link(opts))
  return sup, function(id)
    return dynamic_supervisor.start_child(sup, log:child(id, more))
  end
end

--- A supervisor that has no children yet, and what starts one.
---@param kind string  "static", "simple" or "dynamic"
---@param more? table  fields of the child specs
---@param opts? table  options of the supervisor
---@return banyan.Pid sup
---@return function start_one  (id) -> pid | nil, err
function children.pool(kind, log, more, opts)
  local copy = {}
  for key, value in pairs(opts or {}) do copy[key] = value end
  return pools[kind](log, more, copy)
end

--- The children of a supervisor and their states: "a:running b:stopped".
function children.states(sup)
  local text = {}
  for _, row in ipairs(supervisor.which_children(sup)) do
    text[#text + 1] = row.id .. ":" .. row.state
    assert.equal(row.state == "running", row.pid ~= nil)
  end
  return table.concat(text, " ")
end

--- A start function that fails for that reason.
function children.fails_with(reason)
  return function() return nil, reason end
end

return children
