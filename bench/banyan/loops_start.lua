-- Children are started on a node that runs loops without end, by another one.
-- bench/erlang/loops_start.erl does the like.

local banyan = require "banyan"
local ds = require "banyan.distributed_supervisor"
local nodes = require "nodes"
local tools = require "tools"

local loops_start = {}

local unpack = table.unpack or unpack

local NAME = "children" -- of the supervisor of starts.lua
local STARTS, LOOPS = 100, 10

-- --- on the nodes ------------------------------------------------------------

local function start(id, node)
  local spec = { id = id, start = { "echo", "start_link" } }
  assert(ds.start_child(NAME, spec, node))
end

--- Waits until this node knows so many that take part.
function loops_start.await(wanted)
  while #ds.nodes(NAME) < wanted do banyan.sleep(1) end
end

--- Starts children there, one after the other. Returns seconds.
function loops_start.alone(node)
  return tools.time(function()
    for i = 1, STARTS do start(i, node) end
  end)
end

--- The same, all at once.
function loops_start.at_once(node)
  return tools.time(function()
    local me = banyan.self()
    for i = 1, STARTS do
      banyan.spawn_link(function()
        start(STARTS + i, node)
        banyan.send(me, "done")
      end)
    end
    for _ = 1, STARTS do banyan.receive() end
  end)
end

-- --- the measurement ---------------------------------------------------------

function loops_start.measure(report)
  local list = nodes.start_all(2)
  local a, b = unpack(list)
  nodes.connect(list)
  nodes.ask_all(list, "starts", "open")
  nodes.ask_all(list, "loops_start", "await", 2)
  b:ask("loops", "begin", LOOPS)
  report("start_100", a:ask("loops_start", "alone", b.name)[1], "s")
  report("start_100_at_once", a:ask("loops_start", "at_once", b.name)[1], "s")
end

return loops_start
