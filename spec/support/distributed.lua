--- Distributed supervisors on nodes of one Lua state, joined by a network in
-- memory: its seed decides in which order bytes arrive, and time passes only
-- where nothing else can.

local core = require "banyan.core"
local ds = require "banyan.distributed_supervisor"
local network = require "spec.support.network"
local worker = require "spec.support.worker"

local distributed = { NAME = "children" }

local A = "a@h:1"
local NAME = distributed.NAME

-- Starts the supervisor on a node, in a process that keeps it.
function distributed.open(net, node, opts)
  local settings = { name = NAME }
  for key, value in pairs(opts or {}) do settings[key] = value end
  net:find(node).core:spawn(function()
    core.trap_exit(true)
    assert(ds.start_link(settings))
    core.register("keeper")
    local msg
    repeat msg = core.receive() until msg == "end"
    core.exit("shutdown")
  end)
end

function distributed.join(net, node, others)
  net:on(node, function()
    for _, other in ipairs(others) do assert(core.connect(other)) end
  end)
end

-- Nodes that are connected, each with the supervisor.
function distributed.cluster(names, opts)
  local net = network.new { seed = opts and opts.seed or 1 }
  for i, name in ipairs(names) do
    net:node(name)
    local others = {}
    for j = 1, i - 1 do others[j] = names[j] end
    distributed.join(net, name, others)
  end
  for _, name in ipairs(names) do
    distributed.open(net, name, opts and opts.start)
  end
  net:settle()
  worker.started = {}
  return net
end

-- What a function answers as a process of a node.
function distributed.at(net, node, fn, ...)
  local args, results = { ... }, nil
  net:on(node, function()
    results = { fn(args[1], args[2], args[3], args[4]) }
  end)
  return results[1], results[2], results[3]
end

function distributed.start(net, node, id, more, where)
  return distributed.at(net, node, ds.start_child, NAME, worker.spec(id, more),
    where)
end

-- The first id, counting up from a prefix, that the ring gives to a node.
function distributed.id_for(net, node, prefix)
  for i = 1, 10000 do
    local id = (prefix or "id") .. i
    if distributed.at(net, A, ds.node_for, NAME, id) == node then return id end
  end
end

-- How many processes of a child are alive, on nodes that are up.
function distributed.alive(net, id)
  local count = 0
  for _, one in ipairs(worker.started) do
    if one.id == id and net:find(one.node) then
      local is_up = distributed.at(net, one.node, core.is_alive, one.pid)
      if is_up then count = count + 1 end
    end
  end
  return count
end

function distributed.crashes(net)
  for _, event in ipairs(net.events) do
    if event.event == "process_crashed" then return tostring(event.reason) end
  end
end

return distributed
