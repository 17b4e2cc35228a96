--- The steps of a run, for people: who did what, when.
--
-- Private to banyan.lockstep.

local Trace = {}
Trace.__index = Trace

-- The last part of the number of an actor that is a process: its serial.
local SERIALS = 2 ^ 38

local verbs = {
  run = "runs", handle = "handles its mail", receive = "receives",
  wake = "wakes up", answer = "goes on with the answer to its call",
  send = "sends to", cast = "casts to", call = "calls", reply = "replies",
  link = "links to", unlink = "unlinks from", monitor = "monitors",
  demonitor = "ends a monitor", exit = "sends an exit signal to",
  register = "registers", unregister = "unregisters",
  whereis = "looks up", spawn = "spawns", send_after = "sets a timer",
  cancel_timer = "cancels a timer",
}

local function name_of(row, node)
  local name = row.name or row.label
  if type(name) ~= "string" then
    name = ("%s %.0f"):format(row.behaviour, row.actor % SERIALS)
  end
  if node.name then name = name .. " on " .. node.name end
  return name
end

-- Processes are named while they live; a name that is registered later, or
-- lost, makes no difference.
local function learn(trace, world)
  for number = 1, world.numbered do
    local node = world.nodes[number]
    for _, row in ipairs(node and world.control:processes(number) or {}) do
      trace.names[row.actor] = trace.names[row.actor] or name_of(row, node)
    end
  end
end

local function name_actor(trace, actor)
  return trace.names[actor] or ("process %.0f"):format(actor % SERIALS)
end

local function describe(trace, world, step)
  if step.kind == "clock" then
    return "the clock", ("passes to %d ms"):format(world.now)
  end
  if step.kind == "network" then
    return world.picked.by or "the network", world.picked.name
  end
  if step.kind == "timer" then
    local owner = step.object ~= 0 and name_actor(trace, step.object)
    return "a timer", owner and "fires for " .. owner or "sends its message"
  end
  local what = verbs[step.op] or step.op
  if step.object ~= 0 then
    local object = trace.names[step.object]
    what = what .. (object and " " .. object or "")
  end
  return name_actor(trace, step.actor), what
end

--- Has each step of the world noted.
---@param world table
---@return table trace  a list of { step=, now=, actor=, object=, touched=,
---  who=, what= }
function Trace.of(world)
  local trace = setmetatable({ names = {} }, Trace)
  world.control:trace()
  world:watch_steps()
  world.trace = function()
    learn(trace, world)
    local step = { step = world.control:steps(), now = world.now }
    step.kind, step.op, step.actor, step.object, step.touched =
      world.control:last()
    step.who, step.what = describe(trace, world, step)
    trace[#trace + 1] = step
  end
  return trace
end

--- One step as a line.
function Trace.line(step)
  return ("%5d %8d ms  %-18s %s"):format(step.step, step.now, step.who,
    step.what)
end

--- The first step in which two traces differ, or nil.
---@return integer|nil
function Trace.difference(a, b)
  for i = 1, math.max(#a, #b) do
    local x, y = a[i], b[i]
    if not x or not y or x.actor ~= y.actor or x.op ~= y.op
      or x.now ~= y.now then
      return i
    end
  end
end

return Trace
