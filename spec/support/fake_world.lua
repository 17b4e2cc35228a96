--- A world for lockstep's network, without a strategy and without a tape: each
-- choice is made by a generator.
--
--    local world = fake.new(7)
--    world:add_node(core_node, "a@h:1")
--    world:run(function() return done end)

local World = {}
World.__index = World

local MAX_STEPS = 1e6

local fake = {}

--- Makes one.
---@param seed integer
---@param tame? boolean  every choice of data is the first
---@return table world
function fake.new(seed, tame)
  return setmetatable({
    now = 0,
    nodes = {},  -- list
    offers = {}, -- list
    timers = {}, -- list
    actors = {},
    actor_count = 0,
    notes = {},
    state = (seed * 7919 + 1) % 2147483647,
    tame = tame,
    chosen = 0, -- how many choices of data there were
  }, World)
end

function World:random(n)
  self.state = self.state * 16807 % 2147483647
  return self.state % n + 1
end

function World:choose(n)
  self.chosen = self.chosen + 1
  if self.tame and n < 1e6 then return 1 end
  return self:random(n)
end

function World:note(text) table.insert(self.notes, text) end

function World:actor(name)
  if not self.actors[name] then
    self.actor_count = self.actor_count + 1
    self.actors[name] = self.actor_count
  end
  return self.actors[name]
end

local function remove(list, item)
  for i, each in ipairs(list) do
    if each == item then return table.remove(list, i) end
  end
end

function World:offer(name, _, _, fn)
  local offer = { name = name, fn = fn }
  table.insert(self.offers, offer)
  return offer
end

function World:withdraw(offer) remove(self.offers, offer) end

function World:later(ms, name, fn)
  local timer = { at = self.now + ms, name = name, fn = fn }
  table.insert(self.timers, timer)
  return timer
end

function World:cancel(timer) remove(self.timers, timer) end

-- --- nodes -------------------------------------------------------------------

function World:add_node(core_node, name)
  local node = {
    core = core_node, name = name, rate = 1, paused = false, time = self.now,
    synced = self.now, due = 0, events = {},
  }
  table.insert(self.nodes, node)
  return node
end

function World:remove_node(node)
  node.removed = true
  remove(self.nodes, node)
end

--- The time on a node's own clock.
function World:time_of(node)
  local passed = self.now - node.synced
  node.time = node.time + passed * node.rate
  node.synced = self.now
  return math.floor(node.time)
end

function World:step_node(node)
  node.due = node.core:step(self:time_of(node))
  for _, event in ipairs(node.core:events() or {}) do
    table.insert(node.events, event)
  end
  self.on_actions(node)
end

-- --- driving -----------------------------------------------------------------

-- All that can be done at this time.
function World:pending()
  local list = {}
  for _, node in ipairs(self.nodes) do
    if not node.paused then list[#list + 1] = node end
  end
  for _, offer in ipairs(self.offers) do list[#list + 1] = offer end
  for _, timer in ipairs(self.timers) do
    if timer.at <= self.now then list[#list + 1] = timer end
  end
  return list
end

function World:take(item)
  if item.core then return self:step_node(item) end
  remove(self.offers, item)
  remove(self.timers, item)
  item.fn()
end

-- Lets time pass to what is next.
function World:pass()
  local nearest
  local function consider(at)
    if at and (not nearest or at < nearest) then nearest = at end
  end
  local nodes = {}
  for i, node in ipairs(self.nodes) do nodes[i] = node end
  for _, node in ipairs(nodes) do
    if not node.paused and not node.removed then
      self:step_node(node)
      if node.due then
        local ms = math.ceil((node.due - node.time) / node.rate)
        consider(self.now + (ms > 0 and ms or 0))
      end
    end
  end
  for _, timer in ipairs(self.timers) do consider(timer.at) end
  if self.offers[1] then return end
  if not nearest then error("everything waits for ever", 0) end
  if nearest > self.now then self.now = nearest end
end

--- Takes steps, in any order, until `goal()` is true.
function World:run(goal)
  local idle = 0
  for _ = 1, MAX_STEPS do
    if goal() then return end
    local list = self:pending()
    local before = #self.offers + #self.timers
    if #list == 0 or idle > 3 * #self.nodes and #self.offers == 0 then
      self:pass()
      idle = 0
    else
      local item = list[self:random(#list)]
      self:take(item)
      idle = item.core and before == #self.offers + #self.timers and idle + 1
        or 0
    end
  end
  error("no end after " .. MAX_STEPS .. " steps", 0)
end

--- Takes steps for some time.
function World:run_for(ms)
  local till = self.now + ms
  local over = false
  self:later(ms, "stop", function() over = true end)
  self:run(function() return over or self.now > till end)
end

return fake
