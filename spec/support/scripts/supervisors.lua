--- Random trees of supervisors with static children, whose children crash, and
-- clients that ask for this and that.

local banyan = require "banyan"
local lockstep = require "banyan.lockstep"
local supervisor = require "banyan.supervisor"
local Children = require "spec.support.scripts.children"

local choose = lockstep.choose

local STRATEGIES = { "one_for_one", "one_for_all", "rest_for_one" }
local AUTO = { "never", "never", "any_significant", "all_significant" }
local CLIENTS, OPERATIONS, IDS = 2, 12, 4
local PERIOD = 20 -- ms

local function one_of(list) return list[choose(#list)] end

local function draw_config()
  local strategy = one_of(STRATEGIES)
  return { strategy = strategy, ordered = true, period = PERIOD,
    max_restarts = choose(4) - 1, auto = one_of(AUTO) }
end

local function options_of(config)
  return { strategy = config.strategy, max_restarts = config.max_restarts,
    max_seconds = config.period / 1000, auto_shutdown = config.auto }
end

local function spec_of(children, sup, id)
  local shape = children:shape(sup, id)
  shape.significant = sup.config.auto ~= "never"
    and shape.restart ~= "permanent" and choose(2) == 2 or nil
  return { id = id, start = children:start_function(sup, shape),
    restart = shape.restart, shutdown = shape.shutdown,
    backoff = shape.backoff,
    significant = shape.significant }
end

local start_supervisor

-- A child that is a supervisor itself.
local function nested_spec(children, above, id)
  local config = draw_config()
  return { id = id, type = "supervisor", start = function()
    local sup = children:supervisor(config)
    sup.above = above
    return start_supervisor(children, sup, 0)
  end }
end

function start_supervisor(children, sup, depth)
  local specs = {}
  for i = 1, choose(IDS) - 1 do
    specs[i] = spec_of(children, sup, "child" .. i)
    sup.place["child" .. i] = i
  end
  if depth > 0 and choose(2) == 2 then
    specs[#specs + 1] = nested_spec(children, sup, "nested")
  end
  sup.booting = true
  local pid, why = supervisor.start_link(specs, options_of(sup.config))
  sup.booting = false
  if pid then
    sup.pid = pid
  elseif why[1] ~= "shutdown" then
    children:wrong("start_link answered %s", tostring(why))
  end
  return pid, why
end

-- --- clients -----------------------------------------------------------------

local ops = {}

local function id_of() return "child" .. choose(IDS) end

function ops.hit(children)
  local child = children:pick()
  if child then children:hit(child) end
end

function ops.start_child(children, sup)
  local id = id_of()
  local done = children:asks(sup.asked, id)
  children:answered("start_child",
    supervisor.start_child(sup.pid, spec_of(children, sup, id)))
  done()
end

function ops.terminate_child(children, sup)
  local id = id_of()
  local done = children:asks(sup.terminating, id)
  children:stops(sup, id)
  children:answered("terminate_child", supervisor.terminate_child(sup.pid, id))
  children:stops(sup, id)
  done()
end

function ops.restart_child(children, sup)
  local id = id_of()
  local done = children:asks(sup.asked, id)
  children:answered("restart_child", supervisor.restart_child(sup.pid, id))
  done()
end

function ops.delete_child(children, sup)
  children:answered("delete_child", supervisor.delete_child(sup.pid, id_of()))
end

function ops.which_children(children, sup)
  children:answered("which_children", supervisor.which_children(sup.pid))
end

function ops.count_children(children, sup)
  local counts, why = supervisor.count_children(sup.pid)
  children:answered("count_children", counts, why)
  if counts and counts.active > counts.specs then
    children:wrong("more children run than there are")
  end
end

function ops.kill(_, sup)
  if choose(4) < 4 then return end
  sup.asked_to_end = true
  sup.pid:exit "kill"
end

function ops.sleep() banyan.sleep(choose(12)) end

local BAG = {
  "hit", "which_children", "start_child", "hit", "terminate_child", "sleep",
  "restart_child", "delete_child", "count_children", "hit", "kill",
}

local function run_client(children, sup)
  for _ = 1, choose(OPERATIONS) do ops[one_of(BAG)](children, sup) end
end

local function wait_for_clients(children, sup)
  for _ = 1, CLIENTS do
    banyan.spawn_monitor(function() run_client(children, sup) end)
  end
  for _ = 1, CLIENTS do
    local down = banyan.receive(function(m) return m.tag == "DOWN" end)
    if down.reason ~= "normal" then
      children:wrong("a client ended by %s", tostring(down.reason))
    end
  end
end

-- --- running -----------------------------------------------------------------

local ends = {}

function ends.stop(children, sup)
  children:answered("stop", supervisor.stop(sup.pid, one_of { "shutdown",
    "odd" }))
  if sup.pid:is_alive() then children:wrong("a stopped supervisor lives") end
end

function ends.kill(_, sup) sup.pid:exit "kill" end

-- Its parent, the body, returns.
function ends.orphan() end

--- The body; run it with `settle`.
return function()
  banyan.trap_exit(true)
  local children = Children.new()
  local sup = children:supervisor(draw_config())
  if not start_supervisor(children, sup, 1) then return end
  wait_for_clients(children, sup)
  sup.asked_to_end = true
  ends[one_of { "stop", "kill", "orphan" }](children, sup)
end
