-- The starts of children that are under way on this node, each done by a
-- starter (starter.lua). Of the coordinator.
--
-- A node that takes over very many children begins as many starts, so one costs
-- little: the starter reads its order where it stands, and is sent no copy; and
-- as all have the same time, one timer serves, which is due with the oldest.
--
-- The starts stand in the view, so that a coordinator that begins after a crash
-- finds those of the one before it.

local core = require "banyan.core"
local childspec = require "banyan.childspec"
local sets = require "banyan.sets"
local starter = require "banyan.distributed_supervisor.starter"

local starts = {}

--- The part of a coordinator's state that is kept here. What the coordinator
-- before it began is ended by starts.take_over.
function starts.open(self)
  self.starters = self.view.starters -- child -> order
  self.oldest_start, self.newest_start = nil, nil -- orders, by `newer`
  self.start_timer = nil
  self.begin_start = starter.make {
    orders = self.starters, node = self.node, coordinator = self.me,
    processes = self.processes, key = self.view.key,
  }
  self.start_overdue = { tag = "start_overdue", key = self.view.key }
end

local function wait_for_oldest(self)
  local wait = math.max(self.oldest_start.due - core.now(), 0)
  self.start_timer = core.send_after(wait, self.me, self.start_overdue)
end

--- Begins one: the action "start". Where memory is short it raises, and
-- starts.give_up leaves nothing of it.
function starts.begin(self, a)
  local order = {
    what = "starter", child = a.child, spec = a.spec, state = a.state,
    how = a.handed and "handoff" or "checkpoint",
    due = core.now() + self.start_ms, pid = false, watch = false,
  }
  self.starters[a.child] = order
  order.pid, order.watch = self.begin_start(a.child)
  self.watches[order.watch] = order
  if self.newest_start then self.newest_start.newer = order end
  self.newest_start = order
  if self.oldest_start then return end
  self.oldest_start = order
  wait_for_oldest(self)
end

-- Those at the head that are over are not waited for.
local function drop_over(self)
  local oldest = self.oldest_start
  while oldest and oldest.over do oldest = oldest.newer end
  self.oldest_start = oldest
  if oldest then return end
  self.newest_start = nil
  if self.start_timer then core.cancel_timer(self.start_timer) end
  self.start_timer = nil
end

--- A start is over: its starter is not waited for any more. Answers the pid of
-- that, or nil: it was given up before.
function starts.forget(self, child)
  local order = self.starters[child]
  if not order then return nil end
  self.starters[child] = nil
  if not order.pid then return nil end
  self.watches[order.watch] = nil
  core.demonitor(order.watch)
  order.over = true
  drop_over(self)
  return order.pid
end

--- Gives up a start that is under way, if it is: its process, should that have
-- been taken over just now, is not wanted any more.
function starts.give_up(self, child)
  local pid = starts.forget(self, child)
  if not pid then return end
  starter.kill(pid)
  self:stop_process(child, "kill")
end

--- The time of the oldest start is over, if it has not ended meanwhile.
function starts.overdue(self)
  self.start_timer = nil
  local now = core.now()
  while self.oldest_start and self.oldest_start.due <= now do
    local child = self.oldest_start.child
    starts.give_up(self, child)
    self.dist:start_failed(child, "timeout", "timeout")
  end
  if self.oldest_start and not self.start_timer then wait_for_oldest(self) end
end

--- Ends what the coordinator before this one began. Those whose process runs
-- already, child -> pid in `found`, have started.
function starts.take_over(self, found)
  local view = self.view
  for _, child in ipairs(sets.sorted(view.starters)) do
    starter.kill(view.starters[child].pid)
    view.starters[child] = nil
    if found[child] then
      view.running[child] = found[child]
      self.dist:started(child, found[child])
    else
      self.dist:start_failed(child, "error", "killed")
    end
  end
end

--- Does a start under way here wait for what that process asks for? It is the
-- starter, or one that this has spawned.
function starts.has_spawned(self, pid)
  if next(self.starters) == nil then return false end
  local starters = {}
  for _, order in pairs(self.starters) do starters[order.pid] = true end
  if starters[pid] then return true end
  for _, ancestor in ipairs(core.ancestors(pid)) do
    if starters[ancestor] then return true end
  end
  return false
end

--- What this node has against starting a child, or nil. One that this node's
-- Lua has no number for, in its id, its arguments or its state, may be started
-- under another.
function starts.refusal(self, a)
  if a.lacking then
    return core.reason { "cannot_represent", a.lacking, self.node }
  end
  local module, fn = childspec.start_of(a.spec)
  if fn == "start_link" or self.modules[module] then return nil end
  local entity = self.opts.entity
  if entity and module == entity[1] and fn == entity[2] then return nil end
  return core.reason {
    "not_allowed", ("%s.%s"):format(module, fn), self.node,
  }
end

return starts
