--- Very many nodes with a distributed supervisor each: they connect, meet, and
-- then nothing happens for a while.

local banyan = require "banyan"
local ds = require "banyan.distributed_supervisor"
local lockstep = require "banyan.lockstep"

local NAME, POLL_MS = "children", 50

-- Has the supervisor of a node run, and answers how many nodes it knows
-- whenever it is asked.
local function keep_supervisor(asker)
  assert(ds.start_link { name = NAME })
  banyan.send(asker, "up")
  while true do
    banyan.send(banyan.receive(), #ds.nodes(NAME))
  end
end

local function know_all(pids)
  for _, pid in ipairs(pids) do
    banyan.send(pid, banyan.self())
    if banyan.receive() ~= #pids then return false end
  end
  return true
end

--- The body.
---@param nodes integer
---@param idle_ms integer
---@param note fun(phase: string, steps: integer)  called at the end of each
---  phase: "connect", "meet", "idle"; with how many steps there were until then
return function(nodes, idle_ms, note)
  local cluster = lockstep.cluster { nodes = nodes }
  local function noted(phase) note(phase, cluster.world.control:steps()) end
  noted "connect"
  local pids = {}
  for i, node in ipairs(cluster.nodes) do
    pids[i] = cluster:spawn(node, keep_supervisor, banyan.self())
  end
  for _ = 1, nodes do banyan.receive() end
  while not know_all(pids) do banyan.sleep(POLL_MS) end
  noted "meet"
  banyan.sleep(idle_ms)
  assert(know_all(pids))
  noted "idle"
end
