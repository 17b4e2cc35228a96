--- The faults of `make chaos`, mixed at random: connections that are cut,
-- delayed, held and silenced; nodes that are stopped, that leave or are killed
-- and are started again; coordinators that crash. Each that lasts has a process
-- of its own, which ends it.

local banyan = require "banyan"
local members = require "spec.support.chaos.members"
local settings = require "spec.support.chaos.settings"

local faults = {}

local Faults = {}
Faults.__index = Faults

local DOWN_MS = settings.down_after_ms
local MOST_AWAY = 3 -- nodes that are stopped or killed at one time
local MOST_UNDER_WAY = 7
local LEAVE_MS = 30000
local LEAST_PAUSE_MS, MOST_PAUSE_MS = 50, 900
local LEAST_STORM_MS, MOST_STORM_MS = 4000, 14000

---@param seed integer
---@param proxy table
---@param nodes table  see spec.support.chaos.members
function faults.new(seed, proxy, nodes)
  math.randomseed(seed)
  return setmetatable({
    proxy = proxy, nodes = nodes, timeline = {},
    problems = {}, under_way = 0, away = 0, ways = {},
    began = members.wall_ms(),
  }, Faults)
end

-- --- chance ------------------------------------------------------------------

local function between(least, most)
  return least + math.floor(math.random() * (most - least + 1))
end

local function one_of(list) return list[between(1, #list)] end

local function short() return between(100, math.floor(0.9 * DOWN_MS)) end

local function long()
  return between(math.floor(1.1 * DOWN_MS), math.floor(4.5 * DOWN_MS))
end

local function two_of(list)
  local a = one_of(list)
  local b
  repeat b = one_of(list) until b ~= a
  return a, b
end

local function shortened(name) return name:match "^[^@]+" end

-- --- what goes on ------------------------------------------------------------

function Faults:note(text, ...)
  local at = members.wall_ms()
  table.insert(self.timeline, {
    at = at,
    text = ("%8.3f  %s"):format((at - self.began) / 1000, text:format(...)),
  })
end

-- Sleeps, but not beyond the end of the faults.
local function last(self, ms)
  local till = banyan.now() + ms
  while not self.over and banyan.now() < till do
    banyan.sleep(math.min(100, math.max(1, till - banyan.now())))
  end
end

local function lasting(self, ms, what, undo)
  self.under_way = self.under_way + 1
  banyan.spawn(function()
    last(self, ms)
    undo()
    self:note("end of: %s", what)
    self.under_way = self.under_way - 1
  end)
end

-- Several faults may lie on one way; the last of them counts until it ends.
local function put(self, a, b, fault)
  local key = a .. " " .. b
  self.ways[key] = self.ways[key] or {}
  table.insert(self.ways[key], fault)
  self.proxy:set(a, b, fault)
end

local function take_off(self, a, b, fault)
  local list = self.ways[a .. " " .. b]
  for i, one in ipairs(list) do
    if one == fault then table.remove(list, i) break end
  end
  self.proxy:set(a, b, list[#list])
end

local function disturb(self, ways, fault, ms, what)
  self:note("%s for %d ms", what, ms)
  for _, way in ipairs(ways) do put(self, way[1], way[2], fault) end
  lasting(self, ms, what, function()
    for _, way in ipairs(ways) do take_off(self, way[1], way[2], fault) end
  end)
end

local function both_ways(list, others)
  local ways = {}
  for _, a in ipairs(list) do
    for _, b in ipairs(others) do
      if a ~= b then
        ways[#ways + 1] = { a, b }
        ways[#ways + 1] = { b, a }
      end
    end
  end
  return ways
end

-- --- the faults --------------------------------------------------------------

local ops = {}

function ops.cut_pair(self)
  local a, b = two_of(self.proxy:names())
  self:note("cut %s - %s", shortened(a), shortened(b))
  self.proxy:cut(a, b)
end

function ops.cut_node(self)
  local a = one_of(self.proxy:names())
  self:note("cut all of %s", shortened(a))
  for _, b in ipairs(self.proxy:names()) do
    if a ~= b then self.proxy:cut(a, b) end
  end
end

function ops.cut_all(self)
  self:note("cut all")
  self.proxy:each_way(function(a, b) self.proxy:cut(a, b) end)
end

function ops.delay(self)
  local a, b = two_of(self.proxy:names())
  local delay = between(5, 300)
  disturb(self, { { a, b } }, { delay = delay }, short() + short(),
    ("%s -> %s late by %d ms"):format(shortened(a), shortened(b), delay))
end

local function silence(self, ms)
  local a, b = two_of(self.proxy:names())
  local ways = { { a, b } }
  local arrow = "->"
  if between(1, 2) == 1 then ways[2], arrow = { b, a }, "<->" end
  disturb(self, ways, { silent = true }, ms,
    ("silence %s %s %s"):format(shortened(a), arrow, shortened(b)))
end

function ops.silence_short(self) silence(self, short()) end
function ops.silence_long(self) silence(self, long()) end

local function isolate(self, ms)
  local a = one_of(self.proxy:names())
  disturb(self, both_ways({ a }, self.proxy:names()), { silent = true }, ms,
    ("silence around %s"):format(shortened(a)))
end

function ops.isolate_short(self) isolate(self, short()) end
function ops.isolate_long(self) isolate(self, long()) end

function ops.hold(self)
  local a, b = two_of(self.proxy:names())
  disturb(self, both_ways({ a }, { b }), { held = true }, short(),
    ("held %s <-> %s"):format(shortened(a), shortened(b)))
end

function ops.split(self)
  local left, right, names = {}, {}, {}
  for _, name in ipairs(self.proxy:names()) do
    local side = between(1, 2) == 1 and left or right
    side[#side + 1] = name
    if side == left then names[#names + 1] = shortened(name) end
  end
  disturb(self, both_ways(left, right), { silent = true }, long(),
    ("split {%s} from the others"):format(table.concat(names, " ")))
end

-- A node that may be stopped or killed now.
local function victim(self)
  if self.away >= MOST_AWAY then return nil end
  local name = one_of(self.nodes.names)
  return self.nodes:is_up(name) and name or nil
end

local function stop(self, ms)
  local name = victim(self)
  if not name then return end
  self.away = self.away + 1
  self:note("SIGSTOP %s for %d ms", shortened(name), ms)
  self.nodes:stop(name)
  lasting(self, ms, "SIGSTOP " .. shortened(name), function()
    self.nodes:continue(name)
    self.away = self.away - 1
  end)
end

function ops.stop_short(self) stop(self, short()) end
function ops.stop_long(self) stop(self, long()) end

function ops.kill(self)
  local name = victim(self)
  if not name then return end
  self.away = self.away + 1
  local refused = between(1, 2) == 1
  local ms = between(50, 3 * DOWN_MS)
  self:note("kill -9 %s for %d ms%s", shortened(name), ms,
    refused and ", refused" or "")
  self.nodes:kill(name, refused)
  lasting(self, ms, "kill -9 " .. shortened(name), function()
    self.nodes:start(name)
    self.away = self.away - 1
  end)
end

function ops.crash_coordinator(self)
  local name = one_of(self.nodes.names)
  if not self.nodes:is_up(name) then return end
  self:note("the coordinator of %s crashes", shortened(name))
  self.nodes:crash_coordinator(name)
end

-- It ends in good order, whatever the network is like.
function ops.leave(self)
  local name = victim(self)
  if not name then return end
  self.away, self.under_way = self.away + 1, self.under_way + 1
  self:note("SIGTERM %s", shortened(name))
  local life, till = self.nodes:leave(name), banyan.now() + LEAVE_MS
  banyan.spawn(function()
    while not life.code and banyan.now() < till do banyan.sleep(20) end
    if not life.code then
      table.insert(self.problems, { text = name .. " does not leave" })
    end
    self:note("%s has left: code %s", shortened(name), tostring(life.code))
    last(self, between(0, DOWN_MS))
    if life.code then self.nodes:start(name) end
    self.away, self.under_way = self.away - 1, self.under_way - 1
  end)
end

local BAG = {
  "cut_pair", "cut_pair", "cut_pair", "cut_node", "cut_node", "cut_all",
  "delay", "delay", "delay", "hold", "hold", "silence_short",
  "silence_short", "silence_long", "silence_long", "isolate_short",
  "isolate_long", "split", "stop_short", "stop_long", "stop_long", "kill",
  "kill", "leave", "crash_coordinator", "crash_coordinator",
}

--- One storm: faults for a while, but not after `till`. Then all are ended,
-- and the nodes that are down are started.
function Faults:storm(till)
  till = math.min(till, banyan.now() + between(LEAST_STORM_MS, MOST_STORM_MS))
  self.over = false
  while banyan.now() < till do
    if self.under_way < MOST_UNDER_WAY then ops[one_of(BAG)](self) end
    banyan.sleep(between(LEAST_PAUSE_MS, MOST_PAUSE_MS))
  end
  self.over = true
  while self.under_way > 0 do banyan.sleep(20) end
  self:note("all faults are over")
end

--- How long to wait until the next storm, in ms; nil: until all is in order.
function faults.calm_ms()
  return between(1, 2) == 1 and between(0, 3000) or nil
end

return faults
