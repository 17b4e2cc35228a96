--- The children of a distributed supervisor on the nodes of a cluster, counted
-- for lockstep: which processes there were, and what each node says of them.
--
-- A child is told of by note: a start that was acknowledged, an end, a fault
-- that a process of it may not live through. What must hold after the last
-- fault, within a bound:
--
--  * of each child that was acknowledged and not ended there is one process,
--    if its spec was known to a node that lived; of an ended one none;
--  * that one is the first that there was, where no fault hit the child;
--  * each node that is up shows that process.

local banyan = require "banyan"
local ds = require "banyan.distributed_supervisor"
local Child = require "spec.support.scripts.child"

local ANSWER_MS, POLL_MS = 5000, 200
local SAME_MS = 1000

local Census = {}
Census.__index = Census

--- Makes one, and starts the supervisor on each node.
---@param cluster banyan.Cluster
---@param opts? table  of the supervisor
local function new(cluster, opts)
  Child.started = {}
  local census = setmetatable({
    cluster = cluster, opts = opts or {}, children = {}, keepers = {},
    asked = 0, watched = {},
  }, Census)
  census.opts.name = "children"
  for _, node in ipairs(cluster.nodes) do census:open(node) end
  return census
end

--- Starts the supervisor on a node that is up, and keeps it until it is told
-- to leave.
function Census:open(node)
  local cluster, opts = self.cluster, self.opts
  local keeper = cluster:spawn(node, function()
    banyan.trap_exit(true)
    local pid = assert(ds.start_link(opts))
    banyan.receive(function(m) return m == "leave" end)
    pid:exit "shutdown"
    banyan.receive(function(m) return m.from == pid end)
  end)
  self.keepers[node] = keeper
end

-- Runs it on a node; what that answered, or nil when the node was too slow.
function Census:on(node, fn)
  local me, ref = banyan.self(), self.asked + 1
  self.asked = ref
  self.cluster:spawn(node, function()
    banyan.send(me, { ref = ref, value = fn() })
  end)
  local answer = banyan.receive(function(m) return m.ref == ref end, ANSWER_MS)
  return answer and answer.value
end

function Census:child(id)
  local child = self.children[id]
  if not child then
    child = { id = id }
    self.children[id] = child
  end
  return child
end

--- A fault that the processes on a node do not live through.
function Census:hit_node(node)
  for _, one in ipairs(Child.started) do
    if one.node == node and not one.over then
      self:child(one.id).hit = true
    end
  end
  for _, child in pairs(self.children) do
    -- Nobody else may know what this node alone has accepted.
    if child.by == node then child.unsure = true end
  end
end

--- Starts, ends or crashes a child by way of a node; to be run there.
function Census:start(id, more)
  local child = self:child(id)
  child.restart = "permanent"
  child.by = banyan.node()
  local pid, why = ds.start_child("children", { id = id,
    restart = child.restart,
    start = { "spec.support.scripts.child", "start_link", { id, more } } })
  child.acknowledged = child.acknowledged or pid ~= nil
  child.by = nil
  return pid, why
end

function Census:terminate(id)
  local child = self:child(id)
  child.ending = true
  local ok, why = ds.terminate_child("children", id)
  child.ended = ok == true
  return ok, why
end

function Census:crash(id)
  self:child(id).hit = true
  ds.cast("children", id, "crash")
end

local function is_down(m) return m.tag == "DOWN" end

-- All processes that live, by id, the first first.
function Census:alive()
  local found = {}
  for _, one in ipairs(Child.started) do
    if not one.watch then
      one.watch = banyan.monitor(one.pid)
      self.watched[one.watch] = one
    end
  end
  repeat
    local down = banyan.receive(is_down, 0)
    if down then self.watched[down.ref].over = true end
  until not down
  for _, one in ipairs(Child.started) do
    if not one.over then
      found[one.id] = found[one.id] or {}
      table.insert(found[one.id], one)
    end
  end
  return found
end

local function first_of(id)
  for _, one in ipairs(Child.started) do
    if one.id == id then return one end
  end
end

local function fault_of_child(child, list)
  local id = child.id
  if #list > 1 then return ("%s has %d processes"):format(id, #list) end
  if child.ended and #list > 0 then return id .. " runs after its end" end
  local wanted = child.acknowledged and child.restart == "permanent"
    and not child.ending and not child.unsure
  if not wanted then return nil end
  if child.poison then return nil end
  if #list == 0 then return id .. " does not run" end
  -- Of two that began at the same time, either is the older.
  local late = list[1].at - first_of(id).at
  if not child.hit and not child.twice and late > SAME_MS then
    return ("%s lost its state: it runs on %s, not on %s"):format(id,
      list[1].node, first_of(id).node)
  end
end

local function in_order(map)
  local keys = {}
  for key in pairs(map) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

--- A child of which there is more than one process, or nil.
function Census:copies()
  local alive = self:alive()
  for _, id in ipairs(in_order(alive)) do
    local count = #alive[id]
    if count > 1 then return ("%s has %d processes"):format(id, count) end
  end
end

--- What does not hold, or nil.
function Census:fault()
  local alive = self:alive()
  for _, id in ipairs(in_order(self.children)) do
    local why = fault_of_child(self.children[id], alive[id] or {})
    if why then return why, id end
  end
  for _, node in ipairs(self.cluster.nodes) do
    if self.cluster:is_up(node) then
      local shown = self:on(node, function()
        return ds.children("children") or {}
      end)
      if not shown then return node .. " does not answer" end
      for _, id in ipairs(in_order(self.children)) do
        local poison = self.children[id].poison
        local pid = alive[id] and alive[id][1].pid
        if shown[id] ~= pid and not poison then
          return ("%s shows %s of %s, not %s"):format(node,
            tostring(shown[id]), id, tostring(pid)), id
        end
      end
    end
  end
end

-- What each node says of a child, for whoever looks for the reason.
function Census:explain(id)
  local lines = {}
  for i, node in ipairs(self.cluster.nodes) do
    local found = self.cluster:is_up(node) and self:on(node, function()
      return ds.explain("children", id) or {}
    end)
    lines[i] = not found and node .. " is down" or ("%s: %s on %s (%s)"):format(
      node, tostring(found.state), tostring(found.node), tostring(found.reason))
  end
  return table.concat(lines, "\n")
end

--- Waits until all holds; raises what does not after the bound.
---@param what string
---@param bound_ms integer
function Census:wait(what, bound_ms)
  local ends = banyan.now() + bound_ms
  local why, id = self:fault()
  while why do
    if banyan.now() >= ends then
      error(("%s: %s\n%s"):format(what, why, self:explain(id)), 0)
    end
    banyan.sleep(POLL_MS)
    why, id = self:fault()
  end
end

return new
