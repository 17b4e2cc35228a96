-- Children that move between nodes that are OS processes, while clients call
-- them, and nodes end, are killed or are cut off in the middle.

local banyan = require "banyan"
local clients = require "spec.support.clients"
local cluster = require "spec.support.cluster"
local counters = require "spec.support.counters"

local ROOMS = 300

local FAST = {
  options = { down_after_ms = 2000, heartbeat_ms = 200, reconnect_ms = 500 },
}

-- A node that runs no children, and calls them.
local function start_caller(c, hosts)
  local caller = c:start "z"
  caller:open(function()
    require("banyan").set_hosts(false)
    require("spec.support.counters").open()
  end)
  c:wait("the caller knows all", function()
    return caller:call(counters.members) == hosts
  end)
  return caller
end

local function start_rooms(first, last, arg)
  local ds = require "banyan.distributed_supervisor"
  local room = require "spec.support.room"
  for id = first, last do
    assert(ds.start_child("counters", room.spec(id, arg), arg and arg.node))
  end
end

-- The sum of all scores, and how many of the rooms answer.
local function scores(last)
  local ds = require "banyan.distributed_supervisor"
  local sum, answered, handed = 0, 0, 0
  for id = 1, last do
    local score, how = ds.call("counters", id, { tag = "get" }, 30000)
    if score then sum, answered = sum + score, answered + 1 end
    if how == "handoff" then handed = handed + 1 end
  end
  return sum, answered, handed
end

-- How many processes of rooms there are.
local function processes()
  local core = require "banyan.core"
  local count = 0
  for _, pid in ipairs(core.processes()) do
    local info = core.process_info(pid)
    if info and info.label == "spec.support.room" then count = count + 1 end
  end
  return count
end

local function in_all(nodes)
  local sum = 0
  for _, node in ipairs(nodes) do
    if not node.ended then sum = sum + node:call(processes) end
  end
  return sum
end

local function total(counts)
  local sum = 0
  for _, n in pairs(counts) do sum = sum + n end
  return sum
end

local function assert_one_each(c, nodes, caller)
  c:wait("each room runs", function()
    local _, answered = caller:call(scores, ROOMS)
    return answered == ROOMS
  end)
  c:wait("there is one process of each", function()
    return in_all(nodes) == ROOMS
  end)
end

local function move(id, to)
  local pid, err =
    require("banyan.distributed_supervisor").move_child("counters", id, to)
  return pid and pid:node(), tostring(err)
end

describe("a rolling restart", function()
  it("loses no state and no call", function()
    cluster.run(function(c)
      local nodes = counters.together(c, nil, "a", "b", "d", "e", "f")
      local caller = start_caller(c, 5)
      caller:call(start_rooms, 1, ROOMS)
      clients.begin(caller, 20, ROOMS)
      for i, short in ipairs { "a", "b", "d", "e", "f" } do
        nodes[i]:call(counters.sigterm)
        c:wait("the node ends", function() return nodes[i].ended end)
        assert.equal("exit_status 0", nodes[i].ended)
        nodes[i] = c:start(short)
        nodes[i]:open(counters.open)
        counters.await_members(c, nodes)
      end
      local seen = clients.finish(caller)
      assert.same({}, seen.errors)
      local sum, answered, handed = caller:call(scores, ROOMS)
      assert.same({ ROOMS, ROOMS }, { answered, handed })
      assert.equal(total(seen.added), sum)
      assert_one_each(c, nodes, caller)
    end)
  end)
end)

-- Drains a node in the background.
local function drain(node)
  require("banyan.distributed_supervisor").drain("counters", node)
end

describe("a drain", function()
  local function with_drain(fn)
    cluster.run(function(c)
      local nodes = counters.together(c, nil, "a", "b", "d")
      local caller = start_caller(c, 3)
      caller:call(start_rooms, 1, ROOMS, { handoff = "slow", handoff_ms = 20 })
      clients.begin(caller, 20, ROOMS)
      caller:open(drain, nodes[2].name)
      local before = nodes[2]:call(counters.here)
      c:wait("some have moved", function()
        return nodes[2]:call(counters.here) < before
      end)
      fn(c, nodes, caller)
      local seen = clients.finish(caller)
      seen.errors.noconnection = nil -- of calls in the moment of the kill
      assert.same({}, seen.errors)
      assert_one_each(c, nodes, caller)
      return seen
    end, FAST)
  end

  it("whose node is killed leaves one process of each", function()
    with_drain(function(c, nodes)
      nodes[2]:kill()
      c:wait("it is gone", function() return nodes[2].ended end)
    end)
  end)

  it("while another node is killed leaves one process of each", function()
    with_drain(function(c, nodes)
      nodes[3]:kill()
      c:wait("it is gone", function() return nodes[3].ended end)
      c:wait("the drained node is empty", function()
        return nodes[2]:call(counters.here) == 0
      end)
    end)
  end)

  it("while its node is stopped in order loses nothing", function()
    with_drain(function(c, nodes)
      nodes[2]:call(counters.sigterm)
      c:wait("it ends", function() return nodes[2].ended end)
      assert.equal("exit_status 0", nodes[2].ended)
    end)
  end)
end)

describe("a move", function()
  -- Runs fn(c, nodes) while the room "one", which hands over or starts for a
  -- second, moves from a to b; answers its score and where it runs then.
  local function with_move(arg, fn, opts)
    local score, node, nodes
    cluster.run(function(c)
      nodes = counters.together(c, opts, "a", "b", "d")
      arg.node = nodes[1].name
      nodes[3]:call(function(a)
        local ds = require "banyan.distributed_supervisor"
        local room = require "spec.support.room"
        assert(ds.start_child("counters", room.spec("one", a), a.node))
        assert(ds.call("counters", "one", { tag = "add", n = 5 }))
        assert(ds.call("counters", "one", { tag = "forget", n = 2 }))
      end, arg)
      nodes[3]:open(move, "one", nodes[2].name)
      c:wait("it moves", function()
        local found = nodes[3]:call(counters.explain, "one")
        return found == "moving" or found == "starting"
      end)
      fn(c, nodes)
      score, node = nodes[3]:call(function()
        local ds = require "banyan.distributed_supervisor"
        local found, _, where = ds.call("counters", "one", { tag = "get" },
          30000)
        return found, where
      end)
      c:wait("there is one process of it", function()
        return in_all(nodes) == 1
      end)
    end, FAST)
    return score, node, nodes
  end

  local SLOW = { handoff = "slow", handoff_ms = 1000 }

  it("whose host is killed while it hands over has its last checkpoint",
    function()
      local score, node, nodes = with_move(SLOW, function(_, list)
        list[1]:kill()
      end)
      assert.equal(5, score)
      assert.not_equal(nodes[1].name, node)
    end)

  it("whose target is killed while it hands over runs with its state",
    function()
      local score, node, nodes = with_move(SLOW, function(_, list)
        list[2]:kill()
      end)
      assert.equal(7, score)
      assert.not_equal(nodes[2].name, node)
    end)

  it("whose target is killed while it starts there runs with its state",
    function()
      local score, node, nodes = with_move({ init_ms = 1000 },
        function(c, list)
          c:wait("it left", function() return list[1]:call(processes) == 0 end)
          list[2]:kill()
        end)
      assert.equal(7, score)
      assert.not_equal(nodes[2].name, node)
    end)

  it("whose target is stopped for a while goes on when that does", function()
    local score = with_move(SLOW, function(_, list)
      local uv = require "luv"
      uv.kill(list[2].pid, "sigstop")
      banyan.sleep(1000)
      uv.kill(list[2].pid, "sigcont")
    end)
    assert.equal(7, score)
  end)

  it("whose handoff is late leaves it where it is", function()
    local score, node, nodes = with_move(SLOW, function(c, list)
      c:wait("the move is over", function()
        return list[3]:call(counters.explain, "one") == "running"
      end)
    end, { handoff_ms = 200 })
    assert.equal(7, score)
    assert.equal(nodes[1].name, node)
  end)
end)

describe("clients that call by id without pause", function()
  local LOST = {
    heartbeat_ms = 200, down_after_ms = 1000, reconnect_ms = 400,
  }

  local function silence(c, some, others, fault)
    for _, a in ipairs(some) do
      for _, b in ipairs(others) do
        c.proxy:set(a.name, b.name, fault)
        c.proxy:set(b.name, a.name, fault)
      end
    end
  end

  local function undrain(node)
    return require("banyan.distributed_supervisor").undrain("counters", node)
  end

  it("see answers, and noconnection of a node that died in the call",
    function()
      cluster.run(function(c)
        local a, b, d, e = c:start("a", "b", "d", "e")
        local nodes = { a, b, d, e }
        for _, node in ipairs(nodes) do node:open(counters.open) end
        counters.await_members(c, nodes)
        a:call(start_rooms, 1, ROOMS)
        c:wait("all know of all", function()
          return b:call(counters.everywhere) == ROOMS
        end)
        clients.begin(a, 500, ROOMS, 1)
        clients.begin(b, 500, ROOMS, 1)

        d:call(counters.sigterm) -- leaves
        c:wait("it ends", function() return d.ended end)
        local f = c:start("f") -- joins
        f:open(counters.open)
        counters.await_members(c, { a, b, e, f })

        e:kill() -- dies
        c:wait("its children are back", function()
          return a:call(counters.everywhere) == ROOMS
        end)
        a:open(drain, f.name) -- is drained
        c:wait("it is empty", function()
          return f:call(counters.here) == 0
        end)
        assert.is_true(a:call(undrain, f.name))

        silence(c, { a }, { b, f }, { silent = true }) -- is cut off
        c:wait("each side runs all", function()
          return a:call(processes) == ROOMS
            and b:call(processes) + f:call(processes) == ROOMS
        end)
        silence(c, { a }, { b, f }, nil) -- and heals
        counters.await_members(c, { a, b, f })
        assert_one_each(c, { a, b, f }, a)

        for _, node in ipairs { a, b } do
          local seen = clients.finish(node)
          seen.errors.noconnection = nil
          assert.same({}, seen.errors)
          assert.is_true(seen.calls > 1000)
        end
      end, { options = LOST, proxy = true })
    end)
end)
