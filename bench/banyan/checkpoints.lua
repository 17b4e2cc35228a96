-- Children write checkpoints of 200 bytes, on three nodes of which two or all
-- hold them.

local banyan = require "banyan"
local ds = require "banyan.distributed_supervisor"
local nodes = require "nodes"
local server = require "banyan.server"
local tools = require "tools"

local checkpoints = {}

local STATE = ("x"):rep(200)
local GROUPS, CHILDREN, EACH = 6, 16, 500

local function name_of(replicas) return "children" .. replicas end

-- --- on the nodes ------------------------------------------------------------

--- A child that writes as many as it is told to.
function checkpoints.handle_call(_, msg)
  for _ = 1, msg.count - 1 do
    assert(ds.checkpoint(STATE, { async = msg.async }))
  end
  return ds.checkpoint(STATE)
end

function checkpoints.start_link() return server.start_link(checkpoints) end

--- Takes part in a supervisor whose checkpoints so many nodes hold.
function checkpoints.open(replicas)
  local me = banyan.self()
  banyan.spawn(function()
    assert(ds.start_link { name = name_of(replicas), replicas = replicas })
    banyan.send(me, "ready")
    banyan.sleep(math.huge)
  end)
  banyan.receive()
end

--- Starts the children, all on this node.
function checkpoints.start(replicas)
  for id = 1, CHILDREN do
    assert(ds.start_child(name_of(replicas),
      { id = id, start = { "checkpoints", "start_link" } }, banyan.node()))
  end
end

--- So many children write, side by side. Returns seconds.
function checkpoints.write(replicas, children, how)
  local ask = { count = EACH, async = how == "async" }
  return tools.time(function()
    local me = banyan.self()
    for id = 1, children do
      banyan.spawn_link(function()
        assert(ds.call(name_of(replicas), id, ask, 60000))
        banyan.send(me, "done")
      end)
    end
    for _ = 1, children do banyan.receive() end
  end)
end

-- --- the measurement ---------------------------------------------------------

function checkpoints.measure(report)
  local list = nodes.start_all(3)
  nodes.connect(list)
  local function rows(replicas, warm)
    for _, how in ipairs { "sync", "async" } do
      local key = ("checkpoint_%s_%d"):format(how, replicas)
      local alone = list[1]:ask("checkpoints", "write", replicas, 1, how)[1]
      local before = nodes.used(list)
      local all = list[1]:ask("checkpoints", "write", replicas, CHILDREN,
        how)[1]
      local used = nodes.used(list, before)
      if not warm then
        report(key .. "_alone", EACH / alone, "/s")
        report(key, EACH * CHILDREN / all, "/s")
        report(key .. "_cpu", used.cpu / EACH / CHILDREN, "us")
      end
    end
  end
  for _, replicas in ipairs { 2, 3 } do
    for _, node in ipairs(list) do node:ask("checkpoints", "open", replicas) end
    list[1]:ask("checkpoints", "start", replicas)
    for group = 1, GROUPS do rows(replicas, group == 1) end
  end
end

return checkpoints
