-- Clusters that have nothing to do: what their nodes write to each other.
-- bench/erlang/quiet.erl does the same.

local banyan = require "banyan"
local ds = require "banyan.distributed_supervisor"
local nodes = require "nodes"

local quiet = {}

local SIZES = { 3, 10, 30 }
local CHILDREN = 1000 -- of each cluster
local SECONDS, REST = 30, 5

-- --- on the nodes ------------------------------------------------------------

--- Starts the children.
function quiet.fill()
  for id = 1, CHILDREN do
    assert(ds.start_child("children",
      { id = id, start = { "echo", "start_link" } }))
  end
end

--- Waits until this node knows so many nodes and all children.
function quiet.await(members)
  while #ds.nodes("children") < members
    or select(2, ds.count "children") < CHILDREN do
    banyan.sleep(10)
  end
end

-- --- the measurement ---------------------------------------------------------

-- What each of the clusters uses, a second.
local function watch(report, key, clusters)
  nodes.wait(REST)
  local before = {}
  for i, list in ipairs(clusters) do before[i] = nodes.used(list) end
  nodes.wait(SECONDS)
  for i, list in ipairs(clusters) do
    local used, size = nodes.used(list, before[i]), SIZES[i]
    report(("%s_writes_%d"):format(key, size), used.writes / SECONDS, "/s")
    report(("%s_bytes_%d"):format(key, size), used.bytes / SECONDS, "B/s")
    report(("%s_cpu_%d"):format(key, size), used.cpu / 1000 / size / SECONDS,
      "ms/s")
  end
end

function quiet.measure(report)
  local clusters = {}
  for i, size in ipairs(SIZES) do
    clusters[i] = nodes.start_all(size)
    nodes.connect(clusters[i])
  end
  watch(report, "quiet", clusters)
  for i, list in ipairs(clusters) do
    for _, node in ipairs(list) do node:ask("starts", "open") end
    list[1]:ask("quiet", "fill")
    nodes.ask_all(list, "quiet", "await", SIZES[i])
  end
  watch(report, "quiet_children", clusters)
end

return quiet
