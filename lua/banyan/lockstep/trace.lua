--- The steps of a run, for people: who did what, when.
--
-- Private to banyan.lockstep.

local plain = require "banyan.lockstep.plain"

local Trace = {}
Trace.__index = Trace

-- The last part of the number of an actor that is a process: its serial.
local SERIALS = 2 ^ 38
-- From here on numbers are of registered names, of timers and of the clock.
local NO_PROCESS = 2 ^ 50

local NAME_WIDTH = 18
local NOTE_INDENT = 19 -- below who took the step

local verbs = {
  run = "runs", handle = "goes on", receive = "receives",
  wake = "wakes up", answer = "goes on with the answer to its call",
  awaited = "goes on after its await", done = "calls done for",
  send = "sends to", cast = "casts to", call = "calls", reply = "replies",
  link = "links to", unlink = "unlinks from", monitor = "monitors",
  demonitor = "ends a monitor", exit = "sends an exit signal to",
  register = "registers a name", unregister = "gives up a name",
  whereis = "looks up a name", spawn = "spawns", send_after = "sets a timer",
  cancel_timer = "cancels a timer",
}

-- What it is instead, if a timer has ended the wait.
local late = {
  receive = "goes on without a message: time-out",
  answer = "goes on without an answer: time-out",
  awaited = "goes on without its done: time-out",
}

--- What a process is called: by its name, by what it runs, or by its pid.
---@param row table  of control:processes
---@param node table  of the world
---@param world table
---@return string
function Trace.name(row, node, world)
  local name = row.name or row.label
  if type(name) ~= "string" then
    local id = tostring(row.pid):match "(%d+%.%d+)>$"
      or ("%.0f"):format(row.actor % SERIALS)
    name = row.behaviour .. " " .. id
  end
  if node ~= world.body then name = name .. " on " .. node.name end
  return name
end

local function set_called(trace, row, name)
  trace.names[row.actor] = name
  trace.called[row.pid] = name
end

-- Gives names to processes, which must be done while they live. Answers the
-- names of those that are new, and the new names of others.
local function name_processes(trace, world)
  local fresh, renamed = {}, {}
  for number = 1, world.numbered do
    local node = world.nodes[number]
    for _, row in ipairs(node and world.control:processes(number) or {}) do
      if row.name then trace.names[world.control:actor(row.name)] = row.name end
      local known = trace.names[row.actor]
      if not known then
        set_called(trace, row, Trace.name(row, node, world))
        fresh[#fresh + 1] = trace.names[row.actor]
      elseif (row.name or row.label)
        and known:find(row.behaviour .. " ", 1, true) == 1 then
        renamed[row.actor] = row
        row.called = Trace.name(row, node, world)
      end
    end
  end
  return fresh, renamed
end

local function name_actor(trace, actor)
  return trace.names[actor] or ("process %.0f"):format(actor % SERIALS)
end

local function is_error(reason)
  return type(reason) == "table" and reason[1] == "error"
end

-- The processes that ended in this step, and their reasons.
local function describe_ends(trace, world, step)
  local order, by_why = {}, {}
  for _, ending in ipairs(trace.ends) do
    local actor = world.control:actor(ending.pid)
    local why = is_error(ending.reason) and "an error"
      or plain.line(ending.reason)
    if not by_why[why] then
      by_why[why] = {}
      order[#order + 1] = why
    end
    table.insert(by_why[why], actor == step.actor and "it"
      or trace.called[ending.pid] or name_actor(trace, actor))
  end
  trace.ends = {}
  for i, why in ipairs(order) do
    local who = by_why[why]
    order[i] = ("; %s end%s%s"):format(table.concat(who, ", "),
      #who == 1 and "s" or "", why ~= "normal" and " of " .. why or "")
  end
  return table.concat(order)
end

-- A timer that fires for a process which waits ends the wait.
local function describe_timer(trace, step)
  if step.object == 0 then return "a timer", "sends its message" end
  trace.timed_out[step.object] = true
  return "a timer", "fires for " .. name_actor(trace, step.object)
end

local kinds = {
  message = "the message", call = "the call", cast = "the cast",
  exit = "the exit", down = "the DOWN", request = "the request",
}

local function describe_process(trace, step, fresh)
  local what = verbs[step.op] or step.op
  if step.op == "handle" and trace.mail then
    what = "handles " .. trace.mail
  elseif step.op == "handle" and not trace.begun[step.actor] then
    what = "begins"
  end
  trace.begun[step.actor] = true
  if trace.timed_out[step.actor] then
    trace.timed_out[step.actor] = nil
    what = late[step.op] or what
  end
  local object = step.object ~= 0 and trace.names[step.object]
  if object then what = what:gsub("a name$", "the name") end
  what = object and what .. " " .. object
    or what:gsub(" to$", ""):gsub(" from$", "")
  if #fresh > 0 then
    what = what .. (step.op == "spawn" and " " or ", starts ")
      .. table.concat(fresh, ", ")
  end
  return name_actor(trace, step.actor), what
end

-- An item of the network arrives, and may be mail for a process.
local function describe_offer(trace, name, step)
  if not name:find(" -> ", 1, true) then return "the network", name end
  local who = {}
  for _, actor in ipairs(step.touched) do
    if actor < NO_PROCESS then who[#who + 1] = name_actor(trace, actor) end
  end
  return "the network", "delivers " .. name
    .. (#who > 0 and ", for " .. table.concat(who, ", ") or "")
end

local function describe(trace, world, step, fresh)
  if step.kind == "clock" then
    return "the clock", ("passes to %d ms"):format(world.now)
  elseif step.kind == "network" then
    return describe_offer(trace, world.picked.name, step)
  elseif step.kind == "timer" then
    return describe_timer(trace, step)
  end
  return describe_process(trace, step, fresh)
end

local function take_notes(step, world)
  if world.look then world.look() end
  for _, note in ipairs(world.notes) do table.insert(step.notes, note) end
  world.notes = {}
end

local function note_step(trace, world, number)
  local fresh, renamed = name_processes(trace, world)
  local step = { step = number, now = world.now, notes = {} }
  step.kind, step.op, step.actor, step.object, step.touched =
    world.control:last()
  step.who, step.what = describe(trace, world, step, fresh)
  for actor, row in pairs(renamed) do
    if actor == step.actor then
      step.what = step.what .. ", from here on " .. row.called
    end
    set_called(trace, row, row.called)
  end
  step.what = step.what .. describe_ends(trace, world, step)
  trace.mail = nil
  trace[#trace + 1] = step
  return step
end

--- Has each step of the world noted.
---@param world table
---@return table trace  a list of { step=, now=, actor=, object=, touched=,
---  who=, what=, notes= }
function Trace.of(world)
  local trace = setmetatable({ ends = {}, timed_out = {}, begun = {},
    names = {}, called = {} }, Trace) -- by actor, by pid
  world.control:trace(function(kind, value)
    trace.mail = ("%s %s"):format(kinds[kind], plain.short(value))
  end)
  world:watch_steps()
  world.notes = {}
  world.trace = function()
    local number, last = world.control:steps(), trace[#trace]
    if not last or last.step ~= number then
      last = note_step(trace, world, number)
    end
    take_notes(last, world)
  end
  return trace
end

--- A process ends in the step that is being taken.
function Trace:note_end(pid, reason)
  self.ends[#self.ends + 1] = { pid = pid, reason = reason }
end

--- One step as a line, with a line more for each thing that was done to the
-- cluster in it, or that its nodes found out.
function Trace.line(step)
  local who = step.who .. (" "):rep(NAME_WIDTH - #step.who)
  local lines = { ("%5d %8d ms  %s %s"):format(step.step, step.now, who,
    step.what) }
  for _, note in ipairs(step.notes) do
    lines[#lines + 1] = (" "):rep(NOTE_INDENT) .. "* " .. note
  end
  return table.concat(lines, "\n")
end

local list = { __tostring = function(steps)
  local lines = {}
  for i, step in ipairs(steps) do lines[i] = Trace.line(step) end
  return table.concat(lines, "\n")
end }

--- Steps as a list that prints as lines.
---@param steps table[]
---@return table[] steps  the same
function Trace.printable(steps)
  return setmetatable(steps, list)
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
