--- One run of a body under lockstep: its nodes, their time, and the steps
-- that belong to no node.
--
-- The C control (csrc/lua/lockstep/control.h) takes the steps of processes and
-- timers; the world takes those that it hands back: offers, which are the
-- network's, and the passing of time. Time stands still during a step, and
-- passes in jumps to the next deadline.
--
-- Private to banyan.lockstep.

-- While steps are pending at most so much time passes,
local PATIENCE_MS = 1000
-- and then none for so many steps, or, if that is more, for so many of each
-- that is pending meanwhile, and of each pair of nodes: their links beat all
-- the time.
local HOLD_STEPS = 500
local HOLD_EACH = 4
local REST_MS = 30000    -- after so long with heartbeats alone a run is at rest

local World = {}
World.__index = World

--- Makes a world without nodes.
---@param control userdata  core.control, at the start of a run
---@return table world
function World.new(control)
  return setmetatable({
    control = control,
    now = 0,
    nodes = {},   -- number -> node
    numbered = 0, -- the greatest number there was
    node_count = 0,
    offers = {},  -- number -> offer
    laters = {},  -- list of timers, in the order in which they are due
    invariants = {},
    actors = {},  -- string -> actor
    actor_count = 0,
    steps = 0,
    passed = 0, -- time that passed since no step was pending
    patience = PATIENCE_MS,
    worked = 0,    -- how many steps processes had taken
    rest_from = 0, -- at this time; since then they have taken none
    rest_ms = REST_MS,
    crashing = false, -- is a node being ended?
    over = false,
  }, World)
end

-- --- choices -----------------------------------------------------------------

--- A choice of data from the tape.
---@param n integer
---@return integer  1..n; 1 is what happens without lockstep
function World:choose(n)
  return self.control:draw(n) + 1
end

-- --- actors ------------------------------------------------------------------

--- The number of an actor or object that is no process: the same for the same
-- name in each run, if they are asked for in the same order.
---@param name string
---@return integer
function World:actor(name)
  local actor = self.actors[name]
  if not actor then
    self.actor_count = self.actor_count + 1
    actor = self.actor_count
    self.actors[name] = actor
  end
  return actor
end

--- Offers a step that may be picked from now on.
---@param name string  for people
---@param actor integer  whose steps keep their order
---@param object integer|nil  what it touches
---@param fn fun()  called when it is picked, once
---@return table offer
function World:offer(name, actor, object, fn)
  local number = self.control:offer(actor, object or 0)
  local offer = { number = number, name = name, fn = fn, actor = actor }
  self.offers[number] = offer
  return offer
end

--- Takes an offer back; does nothing where it was picked.
function World:withdraw(offer)
  self.control:withdraw(offer.number)
  self.offers[offer.number] = nil
end

-- --- time --------------------------------------------------------------------

--- Calls fn once virtual time has passed, between two steps.
---@param ms integer
---@param name string
---@param fn fun()
---@return table timer
function World:later(ms, name, fn)
  local timer = { at = self.now + ms, name = name, fn = fn }
  local laters, i = self.laters, #self.laters
  while i > 0 and laters[i].at > timer.at do
    laters[i + 1] = laters[i]
    i = i - 1
  end
  laters[i + 1] = timer
  self.control:clock(true)
  return timer
end

--- Cancels a timer of World:later; does nothing where it has fired.
function World:cancel(timer)
  for i, each in ipairs(self.laters) do
    if each == timer then
      table.remove(self.laters, i)
      break
    end
  end
  self.control:clock(self.laters[1] ~= nil)
end

-- The node's own time.
local function time_of(node, now)
  return node.local_base + math.floor((now - node.base) * node.rate)
end

--- The time on a node's own clock.
---@param node table
---@return integer
function World:time_of(node)
  return time_of(node, self.now)
end

-- The node's next deadline, in the world's time; and whether one of its
-- processes waits for time.
local function deadline_of(control, node)
  if node.paused then return nil, false end
  local at, awaited = control:deadline(node.number)
  if not at then return nil, awaited end
  return node.base + math.ceil((at - node.local_base) / node.rate), awaited
end

-- The next deadline of all; and whether anything but the heartbeats of links
-- waits for time.
local function next_deadline(world)
  local first, awaited = world.laters[1], false
  local at = first and first.at
  for _, timer in ipairs(world.laters) do
    awaited = awaited or not timer.idle
  end
  for number = 1, world.numbered do
    local node = world.nodes[number]
    if node then
      local due, more = deadline_of(world.control, node)
      if due and (not at or due < at) then at = due end
      awaited = awaited or more
    end
  end
  return at, awaited
end

-- A network with heartbeats never ends by itself. It is at its end when no
-- process has done anything, or waited for time, for longer than it takes
-- links to break and to be opened again.
local function is_at_rest(world, awaited)
  local worked = world.control:worked()
  if awaited or worked ~= world.worked then
    world.worked, world.rest_from = worked, world.now
    return false
  end
  return world.now - world.rest_from >= world.rest_ms
end

-- Limits how much time passes while steps are pending: a network with
-- heartbeats always has a deadline, and a step could wait for ever.
local function limit_time(world, ms, others)
  world.passed = others > 0 and world.passed + ms or 0
  if world.passed < world.patience then return end
  world.passed = 0
  local pairs_of_nodes = world.node_count * (world.node_count - 1)
  world.control:hold_clock(
    math.max(HOLD_STEPS, HOLD_EACH * pairs_of_nodes), HOLD_EACH)
end

-- Time passes to the next deadline, while `others` steps are pending. True: the
-- run is at rest.
local function pass_time(world, others)
  local at, awaited = next_deadline(world)
  if not at then return false end
  if is_at_rest(world, awaited) and others == 0 then return true end
  if at > world.now then
    limit_time(world, at - world.now, others)
    world.now = at
  end
  for number = 1, world.numbered do
    local node = world.nodes[number]
    if node and not node.paused then
      world.control:set_now(number, time_of(node, world.now))
    end
  end
  local laters = world.laters
  while laters[1] and laters[1].at <= world.now do
    table.remove(laters, 1).fn()
  end
  world.control:clock(laters[1] ~= nil)
  return false
end

-- --- nodes -------------------------------------------------------------------

--- Has the world take the steps of a node from now on. Its clock begins at the
-- world's time.
---@param core userdata  core.node
---@param name string
---@return table node  core, name, number, rate, paused
function World:add_node(core, name)
  local number = self.control:adopt(core)
  local node = {
    core = core, name = name, number = number, rate = 1, paused = false,
    base = self.now, local_base = self.now,
  }
  self.nodes[number] = node
  self.numbered = number
  self.node_count = self.node_count + 1
  self.control:set_now(number, self.now)
  return node
end

--- Ends a node at once. The end of its processes is no failure of theirs.
function World:crash_node(node)
  self.nodes[node.number] = nil
  self.node_count = self.node_count - 1
  self.crashing = true
  node.core:close()
  self.crashing = false
end

--- Pauses a node, or has it go on. Meanwhile its processes and timers stand
-- still; its clock jumps ahead when it goes on.
function World:pause(node, paused)
  node.paused = paused
  self.control:pause(node.number, paused)
  if not paused then
    self.control:set_now(node.number, time_of(node, self.now))
  end
end

--- How fast its clock goes: 1 as the world's.
function World:set_rate(node, rate)
  node.local_base, node.base = time_of(node, self.now), self.now
  node.rate = rate
end

-- --- steps -------------------------------------------------------------------

local function handle_node(world, node)
  local events = node.core:events()
  if events and world.on_events then world.on_events(node, events) end
  if world.on_actions then world.on_actions(node) end
end

-- Why an invariant does not hold, or nil.
local function broken_invariant(world)
  for _, invariant in ipairs(world.invariants) do
    local ok, value, why = pcall(invariant.fn)
    if not ok and value ~= nil then return value end
    if not ok or not value then
      return why or invariant.name .. " does not hold"
    end
  end
end

-- Traces and checks the step that was taken; true if it has failed.
local function check_step(world)
  if world.trace then world.trace(world) end
  local why = broken_invariant(world)
  if why == nil then return false end
  world.failure = { kind = "invariant", reason = why }
  return true
end

local function take_offer(world, number)
  local offer = world.offers[number]
  world.offers[number] = nil
  world.picked = offer
  offer.fn()
end

--- Runs until `over` is set (by control:on_end), nothing can happen, or so
-- many steps were taken.
---@param limit integer
---@return string  "over", "idle", "limit", "redundant" (an earlier run was the
---  same) or "failed" (see world.failure)
function World:run(limit)
  local control = self.control
  while true do
    local what, number = control:run(limit)
    if what == "offer" then
      take_offer(self, number)
    elseif what == "clock" then
      if pass_time(self, number) then return "idle" end
    elseif what == "node" then
      handle_node(self, self.nodes[number])
    elseif what == "idle" or what == "limit" or what == "redundant" then
      return what
    end
    if self.watched and check_step(self) then return "failed" end
    if self.failure then return "failed" end
    if what == "over" then return what end
  end
end

--- Has each step looked at from now on: for the trace and the invariants.
function World:watch_steps()
  self.watched = true
  self.control:single_step(true)
end

--- Adds an invariant: fn() is true, or false and why.
function World:invariant(name, fn)
  table.insert(self.invariants, { name = name, fn = fn })
  self:watch_steps()
end

--- A line for the trace. `world.look`, if it is set, is called after each step
-- that is traced, to note what has changed.
function World:note(text)
  if self.notes then self.notes[#self.notes + 1] = text end
end

--- Closes all nodes. What they still do about their connections is nothing.
function World:close()
  self.over = true
  for number = 1, self.numbered do
    local node = self.nodes[number]
    if node then node.core:close() end
    self.nodes[number] = nil
  end
end

return World
