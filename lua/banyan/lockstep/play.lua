--- One run of a body, from the first step to the last.
--
-- Private to banyan.lockstep.

local cluster = require "banyan.lockstep.cluster"
local core = require "banyan.core"
local Trace = require "banyan.lockstep.trace"
local virtual = require "banyan.lockstep.virtual"
local World = require "banyan.lockstep.world"

local play = {}

-- The run that is under way, if one is.
local current

--- The world whose body calls.
---@param what string  for the message
---@return table world
function play.world(what)
  if not current then
    error(what .. " outside of a body: call it in what lockstep.run runs", 3)
  end
  return current.world
end

--- Raises an error if a body calls.
---@param what string  for the message
---@param level integer
function play.check_outside(what, level)
  if current then
    error(what .. ": a body cannot run another under lockstep", level + 1)
  end
end

local function with_traceback(err)
  if type(err) ~= "string" then return err end
  return debug.traceback(err, 2)
end

-- The body as a process; what becomes of it is in `run`.
local function spawn_body(run, body)
  run.pid = run.node:spawn(function()
    local ok, err = xpcall(body, with_traceback)
    if ok then
      run.returned = true
    else
      run.failure = { kind = "error", reason = err }
    end
  end)
end

local function is_error(reason)
  return type(reason) == "table" and reason[1] == "error"
end

-- Notes that a process has ended; true if the run is over.
local function note_end(run, pid, reason)
  if is_error(reason) and pid ~= run.pid then
    local who = run.trace and run.trace.names[run.world.control:actor(pid)]
    table.insert(run.crashes, { who = who or tostring(pid), reason = reason })
  end
  if run.trace then
    local failed = pid == run.pid and run.failure
    run.trace:note_end(pid, failed and { "error", failed.reason } or reason)
  end
  if pid == run.pid then
    run.over = true
    if not run.returned then
      run.failure = run.failure or { kind = "error", reason = reason,
        who = "the body ended" }
    end
    return not run.settings.settle or run.failure ~= nil
  end
  local watched = not run.world.crashing and run.watched[pid]
  if watched and reason ~= "normal" and reason ~= "shutdown"
    and not (type(reason) == "table" and reason[1] == "shutdown") then
    run.failure = run.failure or { kind = "error", reason = reason,
      who = watched }
    return true
  end
  return false
end

-- --- how it went -------------------------------------------------------------

local function names_of(world, run)
  local names = {}
  for number = 1, world.numbered do
    local node = world.nodes[number]
    for _, row in ipairs(node and world.control:processes(number) or {}) do
      names[row.pid] = row.pid == run.pid and "body"
        or Trace.name(row, node, world)
    end
  end
  return names
end

-- A line for each process that lives. The trace keeps who they are: of such a
-- failure they say more than the process that took the last step.
local function describe_living(world, run)
  local names, lines, alive = names_of(world, run), {}, {}
  for number = 1, world.numbered do
    local node = world.nodes[number]
    for _, row in ipairs(node and world.control:processes(number) or {}) do
      alive[#alive + 1] = row.actor
      local on = row.on and " of " .. (names[row.on] or tostring(row.on)) or ""
      local name, kind = names[row.pid], " (" .. row.behaviour .. ")"
      if name:find(row.behaviour, 1, true) == 1 then
        kind = row.described and (" (%s)"):format(row.described) or ""
      end
      lines[#lines + 1] = ("%s%s waits for %s%s")
        :format(name, kind, row.waits, on)
    end
  end
  if run.trace then run.trace.alive = alive end
  return lines
end

local function left_over(world, run)
  local lines = describe_living(world, run)
  if #lines == 0 then return nil end
  return {
    kind = "leftover",
    reason = "processes are left over at the end:\n  "
      .. table.concat(lines, "\n  "),
  }
end

local function judge(world, run, how)
  if world.failure then return world.failure end
  if run.failure then return run.failure end
  if how == "redundant" then return nil end
  if how == "limit" then
    return {
      kind = "max_steps",
      reason = ("no end after %d steps"):format(run.settings.max_steps),
    }
  end
  if not run.over then
    return {
      kind = "deadlock",
      reason = "everything waits and no timer is left:\n  "
        .. table.concat(describe_living(world, run), "\n  "),
    }
  end
  return run.settings.no_leftovers and left_over(world, run) or nil
end

-- --- a run -------------------------------------------------------------------

local function execute(run, body, traced)
  local world, control = run.world, run.world.control
  virtual.enter(world)
  run.node = core.node(cluster.body_settings())
  world.body = world:add_node(run.node, run.node:name())
  control:on_end(function(pid, reason) return note_end(run, pid, reason) end)
  spawn_body(run, body)
  if traced then
    run.trace = Trace.of(world)
    run.trace.names[control:actor(run.pid)] = "body"
  end
  return judge(world, run, world:run(run.settings.max_steps))
end

-- Must not fail, whatever has happened, also when memory is short.
local function clear_up(run)
  virtual.leave()
  current = nil
  run.world.control:on_end(nil)
  run.world:close()
  if run.node then run.node:close() end -- if the world never had it
end

--- Runs a body once. The control is at the start of a run.
---@param control userdata
---@param body fun()
---@param settings table  max_steps, settle, no_leftovers
---@param traced? boolean
---@return table outcome  ok, kind, reason, steps, now, trace
function play.once(control, body, settings, traced)
  local world = World.new(control)
  local run = { world = world, settings = settings, watched = {},
    crashes = {}, node = false } -- has its place, so to set it cannot fail
  current = run
  local ok, failure = pcall(execute, run, body, traced)
  clear_up(run)
  if not ok then failure = { kind = "error", reason = failure } end
  local outcome = { ok = failure == nil, steps = control:steps(),
    now = world.now, trace = run.trace }
  if failure then
    outcome.kind, outcome.reason = failure.kind, failure.reason
    outcome.who, outcome.crashes = failure.who, run.crashes
  end
  return outcome
end

--- Has a process watched: the run fails if it ends in an error.
function play.watch(pid, name)
  current.watched[pid] = name or tostring(pid)
end

return play
