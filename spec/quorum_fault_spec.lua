-- A distributed supervisor with mode = "quorum" on nodes that are OS processes:
-- the network between them is cut, and nodes are killed and stopped. Functions
-- that run there are in spec.support.counters.

local cluster = require "spec.support.cluster"
local counters = require "spec.support.counters"
local uv = require "luv"

local CHILDREN = 30
local DOWN_MS, STOP_MS = 1500, 1000
local QUICK = {
  heartbeat_ms = 300, down_after_ms = DOWN_MS, reconnect_ms = 500,
}
local FIVE = { "a", "b", "d", "e", "f" }

local unpack_all = table.unpack or unpack

local function quorum(needed)
  return { mode = "quorum", quorum = needed, quorum_stop_ms = STOP_MS }
end

local function sees()
  return require("banyan.distributed_supervisor").status("counters").quorum
end

local function start_one(id)
  local ds = require "banyan.distributed_supervisor"
  local counter = require "spec.support.counter"
  local pid, err = ds.start_child("counters", counter.spec(id))
  return pid ~= nil, tostring(err)
end

local function talk(id)
  local ds = require "banyan.distributed_supervisor"
  local _, called = ds.call("counters", id, 0)
  local _, cast = ds.cast("counters", id, 1)
  local _, sent = ds.send("counters", id, 1)
  return tostring(called), tostring(cast), tostring(sent)
end

local function explain(id)
  local found = require("banyan.distributed_supervisor").explain("counters",
    id)
  return found and found.reason
end

-- Nodes with children that have counted to one.
local function counting(c, opts, ...)
  local nodes = counters.together(c, opts, ...)
  for _, node in ipairs(nodes) do
    c:wait(node.name .. " sees the quorum", function()
      return node:call(sees)
    end)
  end
  assert.same({}, nodes[1]:call(counters.start, counters.list(CHILDREN)))
  assert.equal(CHILDREN,
    nodes[1]:call(counters.add_all, counters.ids(CHILDREN), 1, 1))
  return nodes
end

local function each_pair(one, other, fn)
  for _, a in ipairs(one) do
    for _, b in ipairs(other) do fn(a.name, b.name) end
  end
end

-- Nothing passes from one side to the other; `back`: nor back.
local function silence(c, one, other, fault, back)
  each_pair(one, other, function(a, b)
    c.proxy:set(a, b, fault)
    if back then c.proxy:set(b, a, fault) end
  end)
end

local function list(nodes, from, to)
  return { unpack_all(nodes, from, to) }
end

local function await_moved(c, minority, majority)
  c:wait("the minority runs none", function()
    return counters.in_all(minority) == 0
  end)
  -- None of the majority has started what the minority ran until then.
  c:wait("the majority runs all", function()
    return counters.in_all(majority) == CHILDREN
  end)
  assert.equal(0, counters.in_all(minority))
end

local function await_one_of_each(c, nodes)
  counters.await_members(c, nodes)
  c:wait("there is one process of each child", function()
    return counters.in_all(nodes) == CHILDREN
  end)
  for _, node in ipairs(nodes) do
    c:wait(node.name .. " knows all children", function()
      return node:call(counters.everywhere) == CHILDREN
    end)
  end
end

describe("with a quorum of nodes that are divided", function()
  for _, small in ipairs { 1, 2 } do
    it(("%d and %d, the greater side takes over what the other stopped")
      :format(small, 5 - small), function()
        cluster.run(function(c)
          local nodes = counting(c, quorum(3), unpack_all(FIVE))
          local minority = list(nodes, 1, small)
          local majority = list(nodes, small + 1, 5)
          assert.is_true(counters.in_all(minority) > 0)
          silence(c, minority, majority, { silent = true }, true)
          await_moved(c, minority, majority)
          local one = minority[1]
          assert.is_false(one:call(sees))
          assert.is_true(majority[1]:call(sees))
          assert.equal(1, one:call(counters.events, "quorum_lost"))
          assert.equal(0, majority[1]:call(counters.events, "quorum_lost"))
          assert.same({ false, "no_quorum" }, { one:call(start_one, "new") })
          assert.same({ "no_quorum", "no_quorum", "no_quorum" },
            { one:call(talk, 1) })
          assert.matches("no quorum", one:call(explain, 1))
          assert.same({ true, "new" }, { majority[1]:call(start_one, "new") })
          assert.same({ true, "nil" },
            { majority[1]:call(counters.terminate, "new") })
          silence(c, minority, majority, nil, true)
          await_one_of_each(c, nodes)
          c:wait("the quorum is there again", function()
            return one:call(counters.events, "quorum_regained") == 1
              and one:call(sees)
          end)
          for _, node in ipairs(nodes) do
            assert.equal(0, node:call(counters.events, "placement_conflict"))
          end
        end, { options = QUICK, proxy = true })
      end)
  end
end)

describe("with a quorum of three", function()
  it("a node that the others do not hear stops, though it hears them",
    function()
      cluster.run(function(c)
        local nodes = counting(c, quorum(2), "a", "b", "d")
        local one, rest = list(nodes, 1, 1), list(nodes, 2, 3)
        silence(c, one, rest, { silent = true }, false)
        await_moved(c, one, rest)
        assert.is_false(one[1]:call(sees))
        silence(c, one, rest, nil, false)
        await_one_of_each(c, nodes)
      end, { options = QUICK, proxy = true })
    end)

  it("everything stops where two are killed, and starts when they are back",
    function()
      cluster.run(function(c)
        local nodes = counting(c, quorum(2), "a", "b", "d")
        nodes[2]:kill()
        nodes[3]:kill()
        c:wait("the last one runs none", function()
          return nodes[1]:call(counters.processes) == 0
        end)
        c:wait("it says why", function()
          return nodes[1]:call(sees) == false
        end)
        assert.matches("no quorum", nodes[1]:call(explain, 1))
        local fresh = c:start "g"
        fresh:open(counters.open, quorum(2))
        await_one_of_each(c, { nodes[1], fresh })
      end, { options = QUICK })
    end)

  it("no other node waits for the children of one that was killed", function()
    cluster.run(function(c)
      -- A wait would be longer than the test.
      local slow = quorum(2)
      slow.quorum_stop_ms = 600000
      local nodes = counting(c, slow, "a", "b", "d")
      nodes[3]:kill()
      await_one_of_each(c, list(nodes, 1, 2))
    end, { options = QUICK })
  end)

  it("a node that was stopped runs nothing when it goes on", function()
    cluster.run(function(c)
      local nodes = counting(c, quorum(2), "a", "b", "d")
      local one, rest = nodes[1], list(nodes, 2, 3)
      local here = one:call(counters.processes)
      assert.is_true(here > 0)
      uv.kill(one.pid, "sigstop")
      c:wait("the others run all", function()
        return counters.in_all(rest) == CHILDREN
      end)
      uv.kill(one.pid, "sigcont")
      c:await(one)
      c:wait("it has stopped its children", function()
        return one:call(counters.events, "quorum_lost") == 1
      end)
      await_one_of_each(c, nodes)
      for _, node in ipairs(nodes) do
        assert.equal(0, node:call(counters.events, "placement_conflict"))
      end
    end, { options = QUICK })
  end)
end)
