--- One child that is moved again and again, while processes on all nodes send
-- to it by id without pause, and call it by its pid: of what was sent nothing
-- is lost or out of order, and who calls a process that has moved is told
-- "noproc". What they say takes a while.

local banyan = require "banyan"
local ds = require "banyan.distributed_supervisor"
local lockstep = require "banyan.lockstep"
local server = require "banyan.server"
local Mover = require "spec.support.scripts.mover"
local run_on = require "spec.support.scripts.on"

local choose = lockstep.choose

local NAME, ID = "movers", "id1"
local LATENCY_MS, GAP_MS, MOVES, CALL_MS = 30, 8, 3, 60000
local GONE = { noproc = true, noconnection = true }

local run

local function wrong(text, ...)
  run.log.problem = run.log.problem or text:format(...)
end

local function keep(node)
  run.cluster:spawn(node, function()
    banyan.trap_exit(true)
    assert(ds.start_link { name = NAME })
    banyan.receive()
  end)
end

local function send(node)
  local who = { name = node, number = 0 }
  run.all[#run.all + 1] = who
  run.cluster:spawn(node, function()
    while not run.over do
      who.number = who.number + 1
      assert(ds.send(NAME, ID, { client = who.name, number = who.number }))
      banyan.sleep(choose(GAP_MS))
    end
  end)
end

local function peek(node)
  run.cluster:spawn(node, function()
    while not run.over do
      local pid = ds.whereis(NAME, ID)
      local value, err = ID, nil
      if pid then value, err = server.call(pid, { peeks = true }, CALL_MS) end
      if value ~= ID and not GONE[err] then
        wrong("who calls %s is told %s", tostring(pid), tostring(err))
      end
      banyan.sleep(choose(GAP_MS))
    end
  end)
end

local function start()
  return assert(ds.start_child(NAME, { id = ID,
    start = { "spec.support.scripts.mover", "start_link", { ID } } }))
end

return function()
  local cluster = lockstep.cluster { nodes = 3 }
  run = { cluster = cluster, all = {}, over = false,
    log = Mover.new_log(cluster.lives) }
  lockstep.invariant(function() return not run.log.problem, run.log.problem end,
    "the senders")
  for _, node in ipairs(cluster.nodes) do keep(node) end
  banyan.sleep(5000)
  run_on(cluster, cluster.nodes[1], start)
  banyan.sleep(1000) -- the others know it
  for _, from in ipairs(cluster.nodes) do
    for _, to in ipairs(cluster.nodes) do
      if from ~= to then
        cluster:set_link(from, to, { latency = choose(LATENCY_MS) })
      end
    end
    send(from)
    peek(from)
  end
  for _ = 1, MOVES do
    banyan.sleep(choose(200))
    local to = cluster.nodes[choose(3)]
    run_on(cluster, cluster.nodes[choose(3)], function()
      return (ds.move_child(NAME, ID, to)) or "it goes on"
    end)
  end
  run.over = true
  banyan.sleep(3000)
  for _, who in ipairs(run.all) do
    local handled = run.log.handled[ID .. " " .. who.name]
    assert(handled == who.number,
      ("%s sent %d, %s were handled"):format(who.name, who.number, handled))
  end
end
