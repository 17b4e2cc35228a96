-- What a distributed supervisor's children notice of a bad network between
-- nodes that live, which are OS processes behind a proxy: nothing, or a copy
-- for a while. Functions that run there are in spec.support.counters.

local cluster = require "spec.support.cluster"
local counters = require "spec.support.counters"

local CHILDREN = 60
local DOWN_MS = 1000
local QUICK = {
  heartbeat_ms = 200, down_after_ms = DOWN_MS, reconnect_ms = 400,
}

-- Nodes with children that have counted to one.
local function counting(c, ...)
  local nodes = counters.together(c, nil, ...)
  assert.same({}, nodes[1]:call(counters.start, counters.list(CHILDREN)))
  assert.equal(CHILDREN,
    nodes[1]:call(counters.add_all, counters.ids(CHILDREN), 1, 1))
  return nodes
end

local function cut_all(c, nodes)
  for i, a in ipairs(nodes) do
    for j = i + 1, #nodes do c.proxy:cut(a.name, nodes[j].name) end
  end
end

-- From now on nothing passes between any two of them.
local function silence(c, nodes, fault)
  for _, a in ipairs(nodes) do
    for _, b in ipairs(nodes) do
      if a ~= b then c.proxy:set(a.name, b.name, fault) end
    end
  end
end

-- Each child has one process, all nodes know it, and it counts on.
local function await_one_of_each(c, nodes)
  counters.await_members(c, nodes)
  c:wait("there is one process of each child", function()
    return counters.in_all(nodes) == CHILDREN
  end)
  local ids = counters.ids(CHILDREN)
  for i, node in ipairs(nodes) do
    c:wait(node.name .. " knows all children", function()
      return node:call(counters.everywhere) == CHILDREN
    end)
    assert.equal(CHILDREN, node:call(counters.add_all, ids, 1, 1 + i))
  end
end

local function sum_of(nodes, kind)
  local sum = 0
  for _, node in ipairs(nodes) do
    sum = sum + node:call(counters.events, kind)
  end
  return sum
end

describe("children on nodes whose connections", function()
  for _, count in ipairs { 2, 3 } do
    it(("are all cut notice nothing, %d nodes"):format(count), function()
      cluster.run(function(c)
        local nodes = counting(c, (unpack or table.unpack)({ "a", "b", "d" },
          1, count))
        local before = nodes[1]:call(counters.places)
        cut_all(c, nodes)
        for _, node in ipairs(nodes) do
          c:wait(node.name .. " has other connections", function()
            local broken = node:call(counters.events, "link_broken")
            return broken >= count - 1
              and node:call(counters.events, "link_resumed") == broken
          end)
        end
        await_one_of_each(c, nodes)
        for _, node in ipairs(nodes) do
          assert.same(before, node:call(counters.places))
        end
        assert.equal(0, sum_of(nodes, "node_down"))
        assert.equal(0, sum_of(nodes, "placement_conflict"))
      end, { proxy = true })
    end)
  end

  for _, how in ipairs { "silent", "held" } do
    it(("are %s for longer than down_after_ms keep their state"):format(how),
      function()
        cluster.run(function(c)
          local nodes = counting(c, "a", "b", "d")
          silence(c, nodes, { [how] = true })
          require("banyan").sleep(1.4 * DOWN_MS)
          silence(c, nodes, nil)
          await_one_of_each(c, nodes)
        end, { options = QUICK, proxy = true })
      end)
  end

  it("are silent until each has taken over all keep their state", function()
    cluster.run(function(c)
      local nodes = counting(c, "a", "b", "d")
      local before = nodes[1]:call(counters.places)
      silence(c, nodes, { silent = true })
      for _, node in ipairs(nodes) do
        c:wait(node.name .. " runs all children", function()
          return node:call(counters.here) == CHILDREN
        end)
      end
      silence(c, nodes, nil)
      await_one_of_each(c, nodes)
      assert.same(before, nodes[1]:call(counters.places))
      -- A node that hears of the end of one copy before it sees the node of the
      -- first process again starts another.
      assert.is_true(sum_of(nodes, "placement_conflict") >= 2 * CHILDREN)
    end, { options = QUICK, proxy = true })
  end)
end)

describe("a node that was cut off", function()
  it("costs no child its state when it is back", function()
    cluster.run(function(c)
      local nodes = counting(c, "n1", "n2", "n3", "n4", "n5")
      local before = nodes[1]:call(counters.places)
      local rest, names = {}, {}
      for i = 1, 4 do rest[i], names[i] = nodes[i], nodes[i].name end
      nodes[5]:call(function(others)
        for _, name in ipairs(others) do require("banyan").disconnect(name) end
      end, names)
      counters.await_members(c, rest)
      c:wait("its children were started elsewhere", function()
        return counters.in_all(rest) == CHILDREN
      end)
      nodes[5]:call(function(others)
        for _, name in ipairs(others) do require("banyan").connect(name) end
      end, names)
      await_one_of_each(c, nodes)
      assert.same(before, nodes[1]:call(counters.places))
    end)
  end)
end)

describe("children of a node that was stopped until it was given up", function()
  it("go on where they were, but for what was ended meanwhile", function()
    cluster.run(function(c)
      local uv = require "luv"
      local a, b = (unpack or table.unpack)(counters.together(c, nil, "a", "b"))
      local list = {}
      for i = 1, CHILDREN do list[i] = { id = i, node = b.name } end
      list[CHILDREN + 1] = { id = "ended", node = b.name }
      assert.same({}, a:call(counters.start, list))
      assert.equal(CHILDREN,
        a:call(counters.add_all, counters.ids(CHILDREN), 1, 1))
      uv.kill(b.pid, "sigstop")
      c:wait("its children were started elsewhere", function()
        return a:call(counters.here) == CHILDREN + 1
      end)
      assert.is_true(a:call(counters.terminate, "ended"))
      uv.kill(b.pid, "sigcont")
      await_one_of_each(c, { a, b })
      assert.is_nil(a:call(counters.places).ended)
      assert.equal(CHILDREN, b:call(counters.here))
    end, { options = QUICK })
  end)
end)
