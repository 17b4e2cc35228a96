-- What ten loops do together, beside what one does alone.
-- bench/erlang/loops_share.erl does the same.

local nodes = require "nodes"

local loops_share = {}

local unpack = table.unpack or unpack

local LOOPS, MS = 10, 1000

-- Both nodes have the machine for themselves in turn: the loops of the other
-- one have not begun, or its node has ended.
function loops_share.measure(report)
  local rates = {}
  for i, count in ipairs { 1, LOOPS } do
    local node = nodes.start_all(1)[1]
    node:ask("loops", "begin", count)
    node:ask("loops", "rate", MS) -- it gets warm
    rates[i] = node:ask("loops", "rate", MS)[1]
    node:kill()
  end
  local one, all = unpack(rates)
  report("loop_rate", one, "/s")
  report("loops_rate", all, "/s")
  report("loops_share", all / one * 100, "%")
end

return loops_share
