-- Calls to a node that runs loops without end. bench/erlang/loops_call.erl does
-- the same.

local banyan = require "banyan"
local echo = require "echo"
local nodes = require "nodes"
local server = require "banyan.server"
local tools = require "tools"

local loops_call = {}

local unpack = table.unpack or unpack

local CALLS, WARM_UP = 2000, 50
local LOOPS = { 0, 1, 10 }

-- --- on the nodes ------------------------------------------------------------

--- The node that is called.
function loops_call.serve()
  assert(server.start(echo, nil, { name = "echo" }))
end

--- Calls, one after another. Returns seconds: the median, the 99th percentile,
-- the greatest.
function loops_call.call(peer)
  local dest, times = { name = "echo", node = peer }, {}
  for i = 1 - WARM_UP, CALLS do
    banyan.sleep(1 + i % 3) -- so that calls come at any time of a turn
    local start = tools.clock()
    assert(server.call(dest, i))
    if i > 0 then times[i] = tools.clock() - start end
  end
  table.sort(times)
  return times[CALLS / 2], times[CALLS * 0.99], times[CALLS]
end

-- --- the measurement ---------------------------------------------------------

function loops_call.measure(report)
  local a, b = unpack(nodes.start_all(2))
  a:ask("mesh", "connect", b.name)
  b:ask("loops_call", "serve")
  local running = 0
  for _, count in ipairs(LOOPS) do
    b:ask("loops", "begin", count - running)
    running = count
    local median, late, last = unpack(a:ask("loops_call", "call", b.name))
    report(("call_p50_%d"):format(count), median, "s")
    report(("call_p99_%d"):format(count), late, "s")
    report(("call_max_%d"):format(count), last, "s")
  end
end

return loops_call
