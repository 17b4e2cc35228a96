-- Networks that are divided in every way, for long: what becomes of the
-- children of a distributed supervisor that ran before.

local banyan = require "banyan"
local counter = require "spec.support.counter"
local ds = require "banyan.distributed_supervisor"
local lockstep = require "banyan.lockstep"

local NAME = "counters"
local SEEDS, CHILDREN = 3, 30

-- Plays a body with some seeds; each must hold.
local function play(body)
  for seed = 1, SEEDS do
    local report = lockstep.run(body, {
      iterations = 1, seed = seed, max_steps = 2000000, clock = "idle",
    })
    if not report.ok then error(tostring(report), 0) end
  end
end

-- Calls fn on a node, in a process of its own; answers what it does.
local function on(cluster, node, fn, ...)
  local me, args, n = banyan.self(), { ... }, select("#", ...)
  cluster:spawn(node, function()
    me:send { answer = { fn((unpack or table.unpack)(args, 1, n)) } }
  end)
  local msg = banyan.receive(function(m)
    return type(m) == "table" and m.answer
  end, 60000)
  return (unpack or table.unpack)(assert(msg).answer)
end

-- Starts the supervisor on all nodes; answers the cluster when it is together.
local function together(count)
  local cluster = lockstep.cluster { nodes = count }
  local me = banyan.self()
  for _, node in ipairs(cluster.nodes) do
    cluster:spawn(node, function()
      assert(ds.start_link { name = NAME })
      while #ds.nodes(NAME) < count do banyan.sleep(100) end
      me:send "up"
      banyan.receive()
    end)
  end
  for _ = 1, count do assert(banyan.receive(60000) == "up") end
  return cluster
end

local function add_all(n)
  local sums = {}
  for i = 1, CHILDREN do sums[i] = ds.call(NAME, i, n) or -1 end
  return sums
end

local function places()
  local list = {}
  for id, pid in pairs(ds.children(NAME)) do list[id] = pid:node() end
  return list
end

-- Where what is known on any node, each child runs there, once.
local function check_one_of_each(cluster, before)
  local total = 0
  for _, node in ipairs(cluster.nodes) do
    assert.same(before, on(cluster, node, places))
    total = total + on(cluster, node, function()
      return #ds.local_children(NAME)
    end)
  end
  assert.equal(CHILDREN, total)
  for _, sum in ipairs(on(cluster, cluster.nodes[1], add_all, 0)) do
    assert.equal(1, sum)
  end
end

-- How many processes of children there are.
local function processes(cluster)
  local count = 0
  for _, node in ipairs(cluster.nodes) do
    count = count + on(cluster, node, function()
      return #ds.local_children(NAME)
    end)
  end
  return count
end

-- `divide` does it to the nodes a, b and d, for 20 seconds; then all is healed,
-- at once or after `mend`.
local function divided(divide, starts, mend)
  play(function()
    local cluster = together(3)
    local a = cluster.nodes[1]
    counter.starts = 0
    on(cluster, a, function()
      for i = 1, CHILDREN do
        assert(ds.start_child(NAME, counter.spec(i)))
        assert(ds.call(NAME, i, 1) == 1)
      end
    end)
    banyan.sleep(3000)
    local before = on(cluster, a, places)
    divide(cluster, (unpack or table.unpack)(cluster.nodes))
    banyan.sleep(20000)
    if mend then mend(cluster, (unpack or table.unpack)(cluster.nodes)) end
    cluster:heal()
    cluster:settle(60000)
    banyan.sleep(5000)
    check_one_of_each(cluster, before)
    assert.equal(starts, counter.starts)
  end)
end

describe("children keep their state, and none starts twice", function()
  it("where one connection of three breaks", function()
    divided(function(cluster, a, _, d) cluster:cut(a, d) end, CHILDREN)
  end)

  it("where all connections break", function()
    divided(function(cluster, a, b, d)
      cluster:cut(a, b)
      cluster:cut(a, d)
      cluster:cut(b, d)
    end, CHILDREN)
  end)

  it("where two nodes cannot reach each other, and both reach a third",
    function()
      divided(function(cluster, a, b, d)
        cluster:bridge({ a }, { b }, { d })
      end, CHILDREN)
    end)

  it("where one node does not hear another that hears it", function()
    divided(function(cluster, a, _, d)
      cluster:set_link(d, a, { loss = 1 })
    end, CHILDREN)
  end)
end)

describe("children keep their state", function()
  it("where each side of a split has started those of the other", function()
    divided(function(cluster, a, b, d)
      cluster:partition({ a }, { b, d })
    end, 2 * CHILDREN)
  end)

  it("where two that gave each other up both reach a third again", function()
    divided(function(cluster, a, b, d)
      cluster:partition({ a }, { b }, { d })
    end, 3 * CHILDREN, function(cluster, a, b, d)
      assert.equal(3 * CHILDREN, processes(cluster))
      cluster:heal()
      cluster:bridge({ a }, { b }, { d })
      banyan.sleep(5000)
      assert.equal(CHILDREN, processes(cluster))
    end)
  end)
end)

-- One side ends a child and starts it again, a node that saw the end goes over
-- to the other side, and the new process vanishes with its host.
describe("a child that was acknowledged", function()
  it("runs, whoever was told of its end before", function()
    play(function()
      local cluster = together(5)
      local n = cluster.nodes
      local owner = on(cluster, n[1], ds.node_for, NAME, "x")
      local rest = {}
      for _, name in ipairs(n) do
        if name ~= owner then rest[#rest + 1] = name end
      end
      local e, b, c, d = rest[1], rest[2], rest[3], rest[4]
      local function start()
        local pid, err = ds.start_child(NAME, counter.spec "x")
        return pid ~= nil, err
      end
      assert.is_true((on(cluster, owner, start)))
      banyan.sleep(3000)
      cluster:partition({ owner, b, e }, { c, d })
      banyan.sleep(25000)
      assert.is_true((on(cluster, owner, ds.terminate_child, NAME, "x")))
      banyan.sleep(1000)
      cluster:partition({ owner, b }, { c, d }, { e })
      banyan.sleep(25000)
      assert.is_true((on(cluster, owner, start)))
      banyan.sleep(2000)
      cluster:partition({ owner, b }, { c, d, e })
      banyan.sleep(25000)
      local host = on(cluster, b, function()
        return ds.explain(NAME, "x").node
      end)
      cluster:crash(host, "vanish")
      banyan.sleep(1500)
      cluster:heal()
      banyan.sleep(60000)
      local count = 0
      for _, node in ipairs(n) do
        if node ~= host then
          assert.equal("running", on(cluster, node, function()
            return ds.explain(NAME, "x").state
          end))
          count = count + on(cluster, node, function()
            return #ds.local_children(NAME)
          end)
        end
      end
      assert.equal(1, count)
    end)
  end)
end)
