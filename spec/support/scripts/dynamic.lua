--- Random children of a dynamic or a simple_one_for_one supervisor.

local banyan = require "banyan"
local dynamic = require "banyan.dynamic_supervisor"
local lockstep = require "banyan.lockstep"
local supervisor = require "banyan.supervisor"
local Kids = require "spec.support.scripts.kids"

local choose = lockstep.choose

local CLIENTS, OPERATIONS, PERIOD = 3, 10, 20

local function one_of(list) return list[choose(#list)] end

local function spec_of(kids, sup, id)
  local shape = kids:shape(sup, id)
  return { id = id, start = kids:start_function(sup, shape),
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
  start_child = function(kids, sup, id)
    return dynamic.start_child(sup.pid, spec_of(kids, sup, id))
  end,
}

kinds.simple = {
  start = function(kids, sup)
    return supervisor.start_link({ spec_of(kids, sup, "template") },
      { strategy = "simple_one_for_one", max_seconds = PERIOD / 1000,
        max_restarts = sup.config.max_restarts })
  end,
  start_child = function(_, sup) return supervisor.start_child(sup.pid, {}) end,
}

local ops = {}

function ops.start_child(kids, sup)
  kids.ids = kids.ids + 1
  local id = sup.kind == kinds.simple and "template" or "child" .. kids.ids
  local done = kids:asks(sup.asked, id)
  kids:answered("start_child", sup.kind.start_child(kids, sup, id))
  done()
end

function ops.terminate_child(kids, sup)
  local kid = kids:pick()
  if not kid then return end
  local ok, why = supervisor.terminate_child(sup.pid, kid.pid)
  kids:answered("terminate_child", ok, why)
  if ok and kid.pid:is_alive() then
    kids:wrong("child %d was terminated, but lives", kid.number)
  end
end

function ops.hit(kids)
  local kid = kids:pick()
  if kid then kids:hit(kid) end
end

function ops.which_children(kids, sup)
  local rows, why = supervisor.which_children(sup.pid)
  kids:answered("which_children", rows, why)
  local most = sup.config.max_children
  if rows and most and #rows > most then
    kids:wrong("there are %d children", #rows)
  end
end

function ops.count_children(kids, sup)
  kids:answered("count_children", supervisor.count_children(sup.pid))
end

function ops.sleep() banyan.sleep(choose(12)) end

local BAG = {
  "start_child", "hit", "terminate_child", "start_child", "which_children",
  "start_child", "sleep", "hit", "count_children",
}

local function wait_for_clients(kids, sup)
  for _ = 1, CLIENTS do
    banyan.spawn_monitor(function()
      for _ = 1, choose(OPERATIONS) do ops[one_of(BAG)](kids, sup) end
    end)
  end
  for _ = 1, CLIENTS do
    local down = banyan.receive(function(m) return m.tag == "DOWN" end)
    if down.reason ~= "normal" then
      kids:wrong("a client ended by %s", tostring(down.reason))
    end
  end
end

local ends = {}
function ends.stop(kids, sup)
  kids:answered("stop", supervisor.stop(sup.pid))
end
function ends.kill(_, sup) sup.pid:exit "kill" end
function ends.orphan() end

--- The body; run it with `settle`.
return function()
  banyan.trap_exit(true)
  local kids = Kids.new()
  kids.ids = 0
  local sup = kids:supervisor { strategy = "one_for_one", period = PERIOD,
    max_restarts = choose(4) - 1 }
  sup.kind = kinds[one_of { "dynamic", "simple" }]
  if sup.kind == kinds.dynamic and choose(2) == 2 then
    sup.config.max_children = choose(3)
  end
  sup.pid = assert(sup.kind.start(kids, sup))
  wait_for_clients(kids, sup)
  sup.asked_to_end = true
  ends[one_of { "stop", "kill", "orphan" }](kids, sup)
end
