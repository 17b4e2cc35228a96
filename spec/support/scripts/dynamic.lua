--- Random children of a dynamic or a simple_one_for_one supervisor.

local banyan = require "banyan"
local dynamic = require "banyan.dynamic_supervisor"
local lockstep = require "banyan.lockstep"
local supervisor = require "banyan.supervisor"
local Children = require "spec.support.scripts.children"

local choose = lockstep.choose

local CLIENTS, OPERATIONS, PERIOD = 3, 10, 20

local function one_of(list) return list[choose(#list)] end

local function spec_of(children, sup, id)
  local shape = children:shape(sup, id)
  return { id = id, start = children:start_function(sup, shape),
    restart = shape.restart, shutdown = shape.shutdown,
    backoff = shape.backoff }
end

-- Its kinds: how one is started, and a child of it.
local kinds = {}

kinds.dynamic = {
  start = function(_, sup)
    return dynamic.start_link { max_restarts = sup.config.max_restarts,
      max_seconds = PERIOD / 1000, max_children = sup.config.max_children }
  end,
  start_child = function(children, sup, id)
    return dynamic.start_child(sup.pid, spec_of(children, sup, id))
  end,
}

kinds.simple = {
  start = function(children, sup)
    return supervisor.start_link({ spec_of(children, sup, "template") },
      { strategy = "simple_one_for_one", max_seconds = PERIOD / 1000,
        max_restarts = sup.config.max_restarts })
  end,
  start_child = function(_, sup) return supervisor.start_child(sup.pid, {}) end,
}

local ops = {}

function ops.start_child(children, sup)
  children.ids = children.ids + 1
  local id = sup.kind == kinds.simple and "template" or "child" .. children.ids
  local done = children:asks(sup.asked, id)
  children:answered("start_child", sup.kind.start_child(children, sup, id))
  done()
end

function ops.terminate_child(children, sup)
  local child = children:pick()
  if not child then return end
  local ok, why = supervisor.terminate_child(sup.pid, child.pid)
  children:answered("terminate_child", ok, why)
  if ok and child.pid:is_alive() then
    children:wrong("child %d was terminated, but lives", child.number)
  end
end

function ops.hit(children)
  local child = children:pick()
  if child then children:hit(child) end
end

function ops.which_children(children, sup)
  local rows, why = supervisor.which_children(sup.pid)
  children:answered("which_children", rows, why)
  local most = sup.config.max_children
  if rows and most and #rows > most then
    children:wrong("there are %d children", #rows)
  end
end

function ops.count_children(children, sup)
  children:answered("count_children", supervisor.count_children(sup.pid))
end

function ops.sleep() banyan.sleep(choose(12)) end

local BAG = {
  "start_child", "hit", "terminate_child", "start_child", "which_children",
  "start_child", "sleep", "hit", "count_children",
}

local function wait_for_clients(children, sup)
  for _ = 1, CLIENTS do
    banyan.spawn_monitor(function()
      for _ = 1, choose(OPERATIONS) do ops[one_of(BAG)](children, sup) end
    end)
  end
  for _ = 1, CLIENTS do
    local down = banyan.receive(function(m) return m.tag == "DOWN" end)
    if down.reason ~= "normal" then
      children:wrong("a client ended by %s", tostring(down.reason))
    end
  end
end

local ends = {}
function ends.stop(children, sup)
  children:answered("stop", supervisor.stop(sup.pid))
end
function ends.kill(_, sup) sup.pid:exit "kill" end
function ends.orphan() end

--- The body; run it with `settle`.
return function()
  banyan.trap_exit(true)
  local children = Children.new()
  children.ids = 0
  local sup = children:supervisor { strategy = "one_for_one", period = PERIOD,
    max_restarts = choose(4) - 1 }
  sup.kind = kinds[one_of { "dynamic", "simple" }]
  if sup.kind == kinds.dynamic and choose(2) == 2 then
    sup.config.max_children = choose(3)
  end
  sup.pid = assert(sup.kind.start(children, sup))
  wait_for_clients(children, sup)
  sup.asked_to_end = true
  ends[one_of { "stop", "kill", "orphan" }](children, sup)
end
