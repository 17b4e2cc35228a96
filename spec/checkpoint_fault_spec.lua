-- Game rooms that keep their score: on nodes that are OS processes, which are
-- killed or end in order.

local cluster = require "spec.support.cluster"
local counters = require "spec.support.counters"

local ROOMS = 30

local function start_rooms(list)
  local ds = require "banyan.distributed_supervisor"
  local room = require "spec.support.room"
  for _, id in ipairs(list) do
    assert(ds.start_child("counters", room.spec(id)))
  end
end

-- Adds to each; answers how many checkpoints were acknowledged.
local function add(list, n, tag)
  local ds = require "banyan.distributed_supervisor"
  local kept = 0
  for _, id in ipairs(list) do
    local _, ok = ds.call("counters", id, { tag = tag or "add", n = n })
    if ok then kept = kept + 1 end
  end
  return kept
end

-- How many of the rooms have that score, and how many have it by "handoff".
local function count_scores(list, score)
  local ds = require "banyan.distributed_supervisor"
  local right, handed = 0, 0
  for _, id in ipairs(list) do
    local found, how = ds.call("counters", id, { tag = "get" })
    if found == score then right = right + 1 end
    if found == score and how == "handoff" then handed = handed + 1 end
  end
  return right, handed
end

local function await_scores(c, node, ids, score)
  c:wait("all rooms have their score", function()
    return node:call(count_scores, ids, score) == #ids
  end)
end

local function end_process(id)
  require("banyan.distributed_supervisor").whereis("counters", id):exit("kill")
end

-- Rooms whose score is 3, acknowledged, on nodes a, b ...
local function rooms(c, opts, ...)
  local nodes = counters.together(c, opts, ...)
  local ids = counters.ids(ROOMS)
  nodes[1]:call(start_rooms, ids)
  assert.equal(ROOMS, nodes[1]:call(add, ids, 1))
  assert.equal(ROOMS, nodes[1]:call(add, ids, 2))
  return nodes, ids
end

local FAST = { options = { down_after_ms = 2000, heartbeat_ms = 200 } }

describe("a room's score", function()
  it("survives kill -9 of its node", function()
    cluster.run(function(c)
      local nodes, ids = rooms(c, nil, "a", "b", "d")
      nodes[3]:kill()
      await_scores(c, nodes[1], ids, 3)
      -- and then that of another, which holds what was the first one's
      assert.equal(ROOMS, nodes[1]:call(add, ids, 1))
      nodes[2]:kill()
      await_scores(c, nodes[1], ids, 4)
    end, FAST)
  end)

  it("survives kill -9 of two nodes at once where three hold it", function()
    cluster.run(function(c)
      local nodes, ids = rooms(c, { replicas = 3 }, "a", "b", "d", "e")
      nodes[3]:kill()
      nodes[4]:kill()
      await_scores(c, nodes[1], ids, 3)
    end, FAST)
  end)

  it("survives a crash of the room, on its own node", function()
    cluster.run(function(c)
      local nodes, ids = rooms(c, nil, "a", "b")
      local before = nodes[1]:call(counters.places)
      for _, id in ipairs(ids) do nodes[1]:call(end_process, id) end
      await_scores(c, nodes[1], ids, 3)
      assert.same(before, nodes[1]:call(counters.places))
    end)
  end)

  it("survives a rolling restart, with what no checkpoint has", function()
    cluster.run(function(c)
      local nodes, ids = rooms(c, nil, "a", "b", "d")
      local score = 3
      for i = 3, 2, -1 do
        nodes[1]:call(add, ids, 1, "forget")
        score = score + 1
        nodes[i]:call(counters.sigterm)
        c:wait("the node ends", function() return nodes[i].ended end)
        await_scores(c, nodes[1], ids, score)
        local _, handed = nodes[1]:call(count_scores, ids, score)
        assert.is_true(handed > 0)
        local fresh = c:start("f")
        fresh:open(counters.open)
        nodes[i] = fresh
        counters.await_members(c, nodes)
      end
    end)
  end)

  it("moves to a node that joins, to hold it", function()
    cluster.run(function(c)
      local nodes, ids = rooms(c, nil, "a")
      local fresh = c:start("b")
      fresh:open(counters.open)
      counters.await_members(c, { nodes[1], fresh })
      assert.equal(ROOMS, nodes[1]:call(add, ids, 1)) -- held by both
      nodes[1]:kill()
      await_scores(c, fresh, ids, 4)
    end, FAST)
  end)
end)
