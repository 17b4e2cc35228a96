-- What nodes that compute without end still answer, beside Erlang/OTP with one
-- scheduler. Prints a table.
--
--     make bench SPEC=latency
--     make bench SPEC=latency BENCH=loops_start  of it these rows
--     make bench SPEC=latency ROUNDS=5

local here = arg[0]:match "^(.*/)" or "./"
package.path = here .. "harness/?.lua;" .. package.path
local clusters = require "clusters"

-- The rows of each measurement; see harness/clusters.lua.

local CALLS = {}
for _, loops in ipairs { 0, 1, 10 } do
  local beside = loops == 1 and "1 loop" or loops .. " loops"
  local function row(key, text, most_alone)
    CALLS[#CALLS + 1] = {
      key = ("call_%s_%d"):format(key, loops), text = text, unit = "ms",
      scale = 1e3, most_alone = most_alone,
    }
  end
  row("p50", ("remote call, %s there [1]: p50"):format(beside), 2)
  row("p99", "  p99", 10)
  row("max", "  max")
end

local STARTS = {
  { key = "start_100", text = "100 start_child, 10 loops there [2]",
    unit = "s", most_alone = 2 },
  { key = "start_100_at_once", text = "  all at once", unit = "s",
    most_alone = 2 },
}

local SHARES = {
  { key = "loop_rate", text = "one loop [3]", unit = "M/s", scale = 1e-6 },
  { key = "loops_rate", text = "ten loops together", unit = "M/s",
    scale = 1e-6 },
  { key = "loops_share", text = "  of what one alone does", unit = "%",
    least_alone = 90 },
}

local MEASUREMENTS = {
  { name = "loops_call", rows = CALLS, rounds = 3 },
  { name = "loops_start", rows = STARTS, rounds = 3 },
  { name = "loops_share", rows = SHARES, rounds = 3 },
}

local NOTES = [[
Medians, in brackets the least and the most. "ratio" is Banyan's figure divided
by OTP's: rates are to be great, times small. Erlang's nodes have one scheduler
(+S 1:1), all nodes are on this machine.
[1] processes that compute and never wait, on the node that is called; 2,000
    calls one after another with 1 to 3 ms between them
[2] asked of another node than the one with the loops, to run there; OTP:
    supervisor:start_child by erpc
[3] steps of a loop for each second of CPU of its node]]

clusters.compare(here, MEASUREMENTS, NOTES)
