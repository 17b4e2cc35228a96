-- What supervisors do, each thing once, for supervisor_test.c: while one
-- allocation of it fails, and then with all memory that they want.
--
-- Answers live(), probe() and clear(), as scarcity.h wants them. probe() also
-- looks whether a process is left that a supervisor started.

local core = ...

local dynamic_supervisor = require "banyan.dynamic_supervisor"
local stage = require "spec.alloc.stage"
local supervisor = require "banyan.supervisor"

local node, step = stage.node, stage.step

local function child()
  return core.spawn_link(function() core.receive() end)
end

local function stubborn()
  return core.spawn_link(function()
    core.trap_exit(true)
    while true do core.receive() end
  end)
end

-- Starts once in two times.
local function moody()
  local starts = 0
  return function()
    starts = starts + 1
    if starts % 2 == 0 then return nil, { "bad mood" } end
    local extra = { starts }
    return child(), extra
  end
end

package.loaded["alloc.child"] = { start_link = child }

local function inner()
  return supervisor.start_link({
    { id = "x", start = stubborn, shutdown = 20 }, { "alloc.child", { 1 } },
  }, { strategy = "rest_for_one" })
end

local function kill(sup, index)
  supervisor.which_children(sup)[index].pid:exit "kill"
end

local static = { start = supervisor.start_child,
  stop = supervisor.terminate_child }

-- The things that supervisors are asked for; what memory takes from one does
-- not keep it from the next.
local things = {
  function(it)
    it.sup = supervisor.start_link({
      { id = "a", start = child },
      { id = "b", start = child, restart = "temporary" },
      { id = "c", start = child, backoff = { min = 20 } },
      { id = "d", start = inner, type = "supervisor", shutdown = 50 },
      { id = "e", start = moody() },
    }, { name = "top", max_restarts = 100, strategy = "one_for_all" })
  end,
  function(it) kill(it.sup, 1) end,
  function(it) kill(it.sup, 2) end,
  function(it) static.start(it.sup, { id = "f", start = moody() }) end,
  function(it) static.start(it.sup, { "alloc.child", { 2 } }) end,
  function(it) supervisor.get_childspec(it.sup, "alloc.child") end,
  function(it) static.stop(it.sup, "alloc.child") end,
  function(it) supervisor.restart_child(it.sup, "alloc.child") end,
  function(it) static.stop(it.sup, "alloc.child") end,
  function(it) supervisor.delete_child(it.sup, "alloc.child") end,
  function(it) supervisor.count_children(it.sup) end,
  function(it) it.pool = dynamic_supervisor.start_link {
    extra_arguments = { { 1 } }, max_restarts = 100 } end,
  function(it) it.pid = dynamic_supervisor.start_child(it.pool,
    { start = moody(), shutdown = 20 }) end,
  function(it) dynamic_supervisor.start_child(it.pool,
    { start = inner, restart = "temporary" }) end,
  function(it) dynamic_supervisor.start_child(it.pool,
    { start = stubborn, shutdown = 30 }) end,
  function(it) kill(it.pool, 1) end,
  function(it) dynamic_supervisor.terminate_child(it.pool, it.pid) end,
  function(it) it.simple = supervisor.start_link(
    { { id = 1, start = { "alloc.child", "start_link", { 1 } } } },
    { strategy = "simple_one_for_one" }) end,
  function(it) static.start(it.simple, { { 2 }, 3 }) end,
  function(it) static.start(it.simple) end,
  function(it) kill(it.simple, 1) end,
  function() supervisor.start_link { { id = 1, start = child },
    { id = 2, start = function() error "no" end } } end,
  function(it) supervisor.stop(it.pool) end,
  function() core.trap_exit(true) end,
  function()
    local sup = supervisor.start_link({ { id = 1, start = child },
      { id = 2, start = inner } }, { max_restarts = 0 })
    kill(sup, 1)
    core.receive(100)
  end,
  function(it) it.simple:exit "kill" end,
}

local function main()
  local it = {}
  for _, thing in ipairs(things) do pcall(thing, it) end
end

local function live()
  pcall(node.spawn, node, main)
  step(100)
end

local function probe()
  local done = false
  node:spawn(function()
    if #core.processes() > 1 then return end
    core.trap_exit(true)
    local sup = assert(supervisor.start_link { { id = 1, start = child } })
    kill(sup, 1)
    assert(supervisor.which_children(sup)[1].pid)
    done = supervisor.stop(sup)
  end)
  step(20)
  return done
end

local function clear()
  node:spawn(function()
    for _, pid in ipairs(core.processes()) do
      if pid ~= core.self() then pid:exit("kill") end
    end
  end)
  step(20)
end

return live, probe, clear
