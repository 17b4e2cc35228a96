-- Compares clusters of Banyan with clusters of Erlang/OTP, in one run. Prints
-- a table.
--
--     make bench                          everything that bench/ has
--     make bench SPEC=cluster             this table
--     make bench SPEC=cluster BENCH=kill  of it what has "kill" in its key or
--                                         in the name of the measurement
--     make bench SPEC=cluster ROUNDS=5
--
-- A measurement starts nodes as OS processes of their own and prints many
-- figures, `key figure unit` each; it is a file of its name in bench/banyan/
-- and in bench/erlang/. Where Erlang has nothing like it, or is not installed,
-- its column shows "-".

local here = arg[0]:match "^(.*/)" or "./"
package.path = here .. "harness/?.lua;" .. package.path
local clusters = require "clusters"

-- The rows of each measurement; see harness/clusters.lua.

local LINKS = {
  { key = "call_alone", text = "remote call, one after another",
    unit = "us", scale = 1e6 },
  { key = "call", text = "remote calls, 16 callers",
    unit = "k/s", scale = 1e-3 },
  { key = "call_cpu", text = "  CPU of one, both nodes", unit = "us" },
  { key = "call_minor1", text = "  without acknowledgements [1]",
    unit = "k/s", scale = 1e-3 },
  { key = "call_cpu_minor1", text = "  without, CPU of one", unit = "us" },
  { key = "call_cost", text = "  acknowledgements, CPU", unit = "%",
    most_alone = 3 },
  { key = "send", text = "one-way messages [2]", unit = "k/s", scale = 1e-3 },
  { key = "send_cpu", text = "  CPU of one, both nodes", unit = "us" },
  { key = "send_minor1", text = "  without acknowledgements [1]",
    unit = "k/s", scale = 1e-3 },
  { key = "send_cpu_minor1", text = "  without, CPU of one", unit = "us" },
  { key = "send_cost", text = "  acknowledgements, CPU", unit = "%",
    most_alone = 3 },
}

local ONEWAY = {}
for _, size in ipairs {
  { "100", "100 bytes" }, { "1k", "1 KiB" }, { "64k", "64 KiB" },
  { "1m", "1 MiB" },
} do
  local key = "oneway_" .. size[1]
  table.insert(ONEWAY, { key = key, text = "one-way strings, " .. size[2],
    unit = "k/s", scale = 1e-3, least = size[1] == "64k" and 1 or nil })
  table.insert(ONEWAY, { key = key .. "_cpu", text = "  CPU of one, both nodes",
    unit = "us" })
end

local KILLS = {
  { key = "kill_down", text = "kill -9 to DOWN, noconnection", unit = "ms",
    most_alone = 10 },
  { key = "kill_nodedown", text = "kill -9 to nodedown", unit = "ms",
    most_alone = 10 },
}

local STARTS = {
  { key = "start", text = "start_child, one after another [3]", unit = "k/s",
    scale = 1e-3 },
  { key = "start_cpu", text = "  CPU of one, three nodes", unit = "us" },
  { key = "start_100", text = "start_child, 100 at once [3]", unit = "ms",
    scale = 1e3 },
  { key = "start_100_cpu", text = "  CPU of one, three nodes", unit = "us" },
  { key = "start", other = "start_global", unit = "k/s", scale = 1e-3,
    text = "one after another, beside global [4]" },
  { key = "start_cpu", other = "start_global_cpu", unit = "us",
    text = "  CPU of one, three nodes" },
  { key = "start_100", other = "start_global_100", unit = "ms", scale = 1e3,
    text = "100 at once, beside global [4]" },
  { key = "start_100_cpu", other = "start_global_100_cpu", unit = "us",
    text = "  CPU of one, three nodes" },
  { key = "whereis", text = "whereis, beside global [4]", unit = "ns",
    scale = 1e9 },
}

local CROWD = {
  { key = "fill_first", text = "start 3,000, 48 at once, of 30,000",
    unit = "k/s", scale = 1e-3 },
  { key = "fill_first_cpu", text = "  CPU of one, three nodes", unit = "us" },
  { key = "fill_last", text = "start the last 3,000 of them",
    unit = "k/s", scale = 1e-3 },
  { key = "fill_last_cpu", text = "  CPU of one, three nodes", unit = "us" },
  { key = "join", text = "a fourth node joins, all agree", unit = "ms" },
  { key = "join_new_cpu", text = "  CPU of the fourth", unit = "ms" },
  { key = "join_old_cpu", text = "  CPU of each of the others", unit = "ms" },
  { key = "join_bytes", text = "  bytes that all sent", unit = "MB",
    scale = 1e-6 },
  { key = "death", text = "kill -9 to 10,000 run elsewhere [5]",
    unit = "ms" },
  { key = "death_cpu", text = "  CPU of one, on those that live",
    unit = "us" },
  { key = "death_bytes", text = "  bytes that they sent for one",
    unit = "B" },
}

local DEATHS = {
  { key = "deaths_join_bytes_2", text = "a node joins one with all [9]",
    unit = "MB", scale = 1e-6 },
  { key = "deaths_join_bytes_3", text = "a third node joins", unit = "MB",
    scale = 1e-6 },
  { key = "deaths_rate", text = "kill -9 to all run on the two",
    unit = "k/s", scale = 1e-3 },
  { key = "deaths_cpu", text = "  CPU of one, both nodes", unit = "us",
    most_alone = 57 }, -- 35,000 a second on two cores
  { key = "deaths_bytes", text = "  bytes that they sent for one",
    unit = "B" },
  { key = "deaths_longest", text = "  CPU between two steps, the most",
    unit = "ms" },
  { key = "deaths_most", text = "  of 99 of 100", unit = "ms" },
}

local QUIET = {}
for _, size in ipairs { 3, 10, 30 } do
  local function row(key, text, unit)
    QUIET[#QUIET + 1] = {
      key = ("%s_%d"):format(key, size), text = text, unit = unit,
    }
  end
  row("quiet_writes", ("idle, %d nodes: messages [6]"):format(size), "/s")
  row("quiet_bytes", "  bytes", "B/s")
  row("quiet_cpu", "  CPU of each node", "ms/s")
  row("quiet_children_writes", "  with 1,000 children: messages", "/s")
  row("quiet_children_bytes", "  with 1,000 children: bytes", "B/s")
  row("quiet_children_cpu", "  with 1,000 children: CPU", "ms/s")
end

local CHECKPOINTS = {}
for _, replicas in ipairs { 2, 3 } do
  for _, how in ipairs { "sync", "async" } do
    local key = ("checkpoint_%s_%d"):format(how, replicas)
    local function row(ending, text, unit, scale)
      CHECKPOINTS[#CHECKPOINTS + 1] = {
        key = key .. ending, text = text, unit = unit, scale = scale,
      }
    end
    row("_alone", ("checkpoints, %s, %d nodes [7]"):format(how, replicas),
      "k/s", 1e-3)
    row("", "  of 16 children", "k/s", 1e-3)
    row("_cpu", "  CPU of one, three nodes", "us")
  end
end

local MOVES = {
  { key = "drain", text = "drain 600 of 3,000, with 1 KiB [8]", unit = "k/s",
    scale = 1e-3 },
  { key = "drain_cpu", text = "  CPU of one, five nodes", unit = "us" },
  { key = "drain_longest", text = "  longest call meanwhile", unit = "ms",
    most_alone = 100 },
  { key = "rebalance", text = "rebalance them back [8]", unit = "k/s",
    scale = 1e-3 },
  { key = "rebalance_cpu", text = "  CPU of one, five nodes", unit = "us" },
  { key = "rebalance_longest", text = "  longest call meanwhile", unit = "ms",
    most_alone = 100 },
  { key = "failover", text = "kill -9, with checkpoints of 1 KiB",
    unit = "k/s", scale = 1e-3 },
  { key = "failover_cpu", text = "  CPU of one, on those that live",
    unit = "us" },
}

local WORKERS = {
  { key = "work_one", text = "computing, one worker [10]", unit = "/s" },
  { key = "work_two", text = "computing, two workers", unit = "/s" },
  { key = "work_gain", text = "  two over one", unit = "x" },
  { key = "call_unix", text = "call over a Unix socket", unit = "us",
    scale = 1e6 },
  { key = "call_tcp", text = "call over TCP", unit = "us", scale = 1e6 },
  { key = "calls_unix", text = "calls over a Unix socket, 16 callers",
    unit = "k/s", scale = 1e-3 },
  { key = "calls_tcp", text = "calls over TCP, 16 callers", unit = "k/s",
    scale = 1e-3 },
}

local MEASUREMENTS = {
  { name = "links", rows = LINKS },
  { name = "oneway", rows = ONEWAY },
  { name = "kills", rows = KILLS },
  { name = "starts", rows = STARTS },
  { name = "crowd", rows = CROWD, rounds = 3 },
  { name = "deaths", rows = DEATHS, rounds = 3, alone = true },
  { name = "checkpoints", rows = CHECKPOINTS, alone = true },
  { name = "moves", rows = MOVES, alone = true },
  { name = "quiet", rows = QUIET },
  { name = "workers", rows = WORKERS, alone = true },
}

local NOTES = [[
Medians, in brackets the least and the most. "ratio" is Banyan's figure divided
by OTP's: rates are to be great, times and sizes small. All nodes are on this
machine; what else it does shows in times and rates, and less in CPU.
[1] the other node speaks wire minor 1, as before sessions could be resumed; the
    same calls and messages go to both kinds of node in turn
[2] 500 to 1,000 of them under way
[3] a distributed supervisor on three nodes, two of which know of a child before
    its start is answered. OTP has none: supervisor:start_child by erpc on the
    node that phash2 names, of which nobody else knows
[4] the same, and each child has a name in global: known to all, running once
[5] OTP: on nodedown a process that has the list of the children starts those
    of the dead node by erpc, 16 at once
[6] writes to sockets, of all nodes; OTP: net_ticktime is its default, 60 s
[7] of 200 bytes, written by one child, held by so many nodes; OTP has none
[8] children per second, while 20 processes call children without pause
[9] 30,000 children, or as many as DEATHS says, all on one node, which is killed
    when two others have joined
[10] primes up to 20,000, counted by servers of workers; the gain is as great as
    there are cores that nothing else uses]]

clusters.compare(here, MEASUREMENTS, NOTES)
