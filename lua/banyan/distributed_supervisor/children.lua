-- The children that run on this node: started, restarted and stopped by a
-- dynamic supervisor of the coordinator's own, which tells of each.
--
-- The coordinator never waits for it: a start or a stop is a request, and the
-- supervisor tells of each child that started before it answers.

local core = require "banyan.core"
local childspec = require "banyan.childspec"
local registry = require "banyan.distributed_supervisor.registry"
local placement = core.placement

local children = {}

local RETRY_MS = 20 -- to stop a child that is just being restarted

local function now() return core.now() end

-- --- starting --------------------------------------------------------------

--- What this node has against starting one more child, or nil.
function children:refusal(spec)
  local module, fn = childspec.start_of(spec)
  if fn ~= "start_link" and not self.modules[module] then
    return core.reason { "not_allowed", ("%s.%s"):format(module, fn) }
  end
  local max = self.opts.max_children
  if max and self.run_count + self.local_starts >= max then
    return "max_children"
  end
end

--- A start is over: tells whom it concerns, then those who waited for it.
function children:finish_start(id, ok, result)
  local job = self.starting[id]
  self.starting[id] = nil
  if job.here then self.local_starts = self.local_starts - 1 end
  job.done(ok, result)
  for _, waiting in ipairs(job.after) do waiting() end
  if job.tell then
    self:tell { tag = "settled", pid = self.me, id = id }
  end
end

local function start_failed(self, id, err)
  local job = self.starting[id]
  if not job or not job.here then return end
  self.placement:failed(id)
  self:finish_start(id, false, err)
end

--- Starts a child here. `done(ok, result)` hears of it: true and the pid, or
-- false and the reason. No other start of it may be under way.
-- @param token the request's, by which it is known again
function children:start_here(id, spec, pinned, token, done)
  local refused = self:refusal(spec)
  if refused then return done(false, refused) end
  self.starting[id] = {
    spec = spec, flags = registry.flags(spec, pinned), token = token,
    done = done, here = true, after = {},
  }
  self.local_starts = self.local_starts + 1
  self.placement:starting(id)
  spec[1] = "start_child"
  self:ask(self.sup, spec, function(started, err)
    if started == nil then start_failed(self, id, err) end
  end)
end

-- --- events of the supervisor ----------------------------------------------

local on_child = {}

function on_child.started(self, msg)
  local id, job = msg.id, self.starting[msg.id]
  if not job or not job.here then return end
  local run = { pid = msg.pid, spec = job.spec, token = job.token }
  self.runs[id] = run
  self.run_count = self.run_count + 1
  if self.placement:started(id, job.flags) then
    self:publish(id, run)
    self:finish_start(id, true, msg.pid)
  else
    local winner = self.registry.view.pids[id]
    self:finish_start(id, false, core.reason { "already_started", winner })
  end
end

function on_child.exited(self, msg)
  local run = self.runs[msg.id]
  if run then run.reason = msg.reason end
end

function on_child.restarted(self, msg)
  local run = self.runs[msg.id]
  if not run then return end
  run.pid = msg.pid
  if self.placement:restarted(msg.id) then
    self:publish(msg.id, { pid = msg.pid })
  end
end

-- A reason that can go to other nodes.
local function plain(reason, depth)
  local kind = type(reason)
  if kind == "function" or kind == "thread" then return false end
  if kind == "userdata" then return placement.is_id(reason) end
  if kind ~= "table" then return true end
  if depth > 20 then return false end
  for key, value in pairs(reason) do
    if not plain(key, depth + 1) or not plain(value, depth + 1) then
      return false
    end
  end
  return true
end

local function has_ended(self, id, run)
  if self.runs[id] ~= run then return end
  self.runs[id] = nil
  self.run_count = self.run_count - 1
  local reason = run.reason
  if not plain(reason, 0) then reason = tostring(reason) end
  if self.placement:ended(id, now()) then
    self:publish(id, { pid = run.pid, reason = reason })
  end
end

-- Its end for good, or that of the supervisor: then the child is to run on,
-- elsewhere. A supervisor that still answers was not about to end.
function on_child.ended(self, msg)
  local id = msg.id
  local run = self.runs[id]
  if not run then return end
  if self.stopping[id] or run.reason == "normal"
    or childspec.is_temporary(run.spec) then
    return has_ended(self, id, run)
  end
  self:ask(self.sup, { "count_children" }, function(answer)
    if answer then has_ended(self, id, run) end
  end)
end

function children:take_child(msg)
  local handler = on_child[msg.event]
  if handler then handler(self, msg) end
end

-- --- stopping --------------------------------------------------------------

local stop_again

local function stop_run(self, id)
  self:ask(self.sup, { "terminate_child", self.runs[id].pid }, function()
    -- A child that restarted meanwhile has another pid.
    if self.runs[id] then
      core.send_after(RETRY_MS, self.me, { tag = "stop_again", id = id })
    else
      stop_again(self, id)
    end
  end)
end

function stop_again(self, id)
  local job = self.stopping[id]
  if not job then return end
  if self.runs[id] then return stop_run(self, id) end
  self.stopping[id] = nil
  for _, done in ipairs(job) do done() end
end

function children:take_stop_again(msg) stop_again(self, msg.id) end

--- Stops a child that runs here; done() follows when it has ended.
function children:stop_here(id, done)
  local job = self.stopping[id]
  if job then
    job[#job + 1] = done
    return
  end
  self.stopping[id] = { done }
  self.placement:stopping(id)
  stop_run(self, id)
end

-- --- what the placement wants ----------------------------------------------

local wants = {}

-- A child of a lost node is this node's now.
function wants.start(self, id)
  local row = self.registry.rows[id]
  local _, _, _, host = self.placement:get(id)
  if self.elsewhere[id] or self.starting[id] or not row.spec then
    return self.placement:failed(id)
  end
  local function done(ok, result)
    if ok then
      self.complained[id] = nil
      placement.event("placement_moved",
        { supervisor = self.name, id = id, pid = result, from = host:node() })
    elseif result == "ignore" then
      self.placement:abandon(id, now())
      self:publish(id, { reason = "ignore" })
    elseif not self.complained[id] then
      self.complained[id] = true
      placement.event("placement_start_failed",
        { supervisor = self.name, id = id, reason = result })
    end
  end
  local refused = self:refusal(row.spec)
  if refused then
    self.placement:failed(id)
    return done(false, refused)
  end
  self:start_here(id, row.spec, false, row.token, done)
end

-- Another node runs it too, and its run is to stay; or did, and it has ended.
function wants.stop(self, id)
  local run = self.runs[id]
  placement.event("placement_conflict", {
    supervisor = self.name, id = id, pid = run.pid,
    winner = self.registry.view.pids[id],
  })
  self:stop_here(id, function() end)
end

function wants.announce(self, id)
  local run = self.runs[id]
  self:publish(id, run)
end

wants["end"] = function(self, id)
  self.complained[id] = nil
  self:publish(id, { reason = "noconnection" })
end

function wants.forget(self, id)
  self.complained[id] = nil
  self.registry:forget(id)
end

--- Makes what runs here what should run here.
function children:reconcile()
  local at = now()
  while true do
    local what, id = self.placement:next(at)
    if not what then return end
    wants[what](self, id)
  end
end

return children
