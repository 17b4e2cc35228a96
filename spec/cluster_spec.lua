-- Distributed supervisors on nodes that are OS processes, on real sockets,
-- killed with SIGKILL. Functions that run there are sent as bytecode, so each
-- asks for the modules that it needs.

local cluster = require "spec.support.cluster"

-- What runs on the nodes ------------------------------------------------------

local function open_supervisor()
  assert(require("banyan.distributed_supervisor").start_link {
    name = "children", modules = { "spec.support.worker" },
  })
end

local function members()
  local nodes = require("banyan.distributed_supervisor").nodes("children")
  return nodes and #nodes or 0
end

local function start(id, arg, node)
  local ds = require "banyan.distributed_supervisor"
  local pid, err = ds.start_child("children", {
    id = id, start = { "spec.support.worker", "start_link", { arg or id } },
  }, node)
  if pid then return pid end
  return nil, type(err) == "table" and err[1] or err
end

-- The supervisor is being started by another process.
local function start_when_ready(id)
  local banyan = require "banyan"
  while not banyan.whereis("children") do banyan.sleep(1) end
  require("banyan.distributed_supervisor").start_child("children",
    { id = id, start = { "spec.support.worker", "start_link", { id } } })
end

local function children()
  return require("banyan.distributed_supervisor").children("children")
end

-- Calls each id. Returns how many replied, and how many are on a wrong node.
local function call_all(ids)
  local ds = require "banyan.distributed_supervisor"
  local answered, wrong = 0, 0
  for _, id in ipairs(ids) do
    local arg, node = ds.call("children", id, "hi")
    if arg == id then answered = answered + 1 end
    if node ~= ds.node_for("children", id) then wrong = wrong + 1 end
  end
  return answered, wrong
end

-- The ids of the children that are processes of this node.
local function ids_that_run()
  local core = require "banyan.core"
  local ids = {}
  for _, one in ipairs(require("spec.support.worker").started) do
    if core.is_alive(one.pid) then ids[#ids + 1] = one.id end
  end
  return ids
end

-- Starts children until it is stopped; records which starts were acknowledged.
local function storm(tag)
  local core = require "banyan.core"
  local ds = require "banyan.distributed_supervisor"
  _G.acknowledged, _G.refused, _G.storming = {}, {}, true
  for i = 1, 100000 do
    if not _G.storming then return end
    local id = tag .. i
    local pid, err = ds.start_child("children", {
      id = id, start = { "spec.support.worker", "start_link", { id } },
    })
    table.insert(pid and _G.acknowledged or _G.refused,
      pid and id or tostring(err))
    if i % 20 == 0 then core.sleep(1) end
  end
end

local function count_acknowledged() return #(_G.acknowledged or {}) end

local function end_storm()
  _G.storming = false
  return _G.acknowledged, _G.refused
end

-- The specs -----------------------------------------------------------------

local function three(c)
  local a, b, d = c:start("a", "b", "c")
  local all = { a, b, d }
  for _, node in ipairs(all) do node:open(open_supervisor) end
  for _, node in ipairs(all) do
    c:wait("all are members", function() return node:call(members) == 3 end)
  end
  return all
end

local function same(x, y)
  for key, value in pairs(x) do
    if y[key] ~= value then return false end
  end
  for key in pairs(y) do
    if x[key] == nil then return false end
  end
  return true
end

-- Each child has exactly one process, and all nodes know that one.
local function check_one_of_each(c, nodes, wanted)
  local known
  c:wait("all know the same, and it is what runs", function()
    local counts, total = {}, 0
    for _, node in ipairs(nodes) do
      for _, id in ipairs(node:call(ids_that_run)) do
        counts[id] = (counts[id] or 0) + 1
        total = total + 1
        assert.equal(1, counts[id])
      end
    end
    known = nodes[1]:call(children)
    local listed = 0
    for id in pairs(known) do
      listed = listed + 1
      if not counts[id] then return false end
    end
    for _, id in ipairs(wanted) do
      if not counts[id] then return false end
    end
    for _, node in ipairs(nodes) do
      if not same(known, node:call(children)) then return false end
    end
    return listed == total
  end)
  return known
end

describe("three nodes in OS processes", function()
  it("keep every child while each is killed in turn #slow",
    function()
      cluster.run(function(c)
        local all, wanted = three(c), {}
        for round = 1, 3 do
          local victim = all[1]
          for i, node in ipairs(all) do
            node:open(storm, "r" .. round .. "n" .. i .. "-")
          end
          for _, node in ipairs(all) do
            c:wait("the storm rages", function()
              return node:call(count_acknowledged) > 30
            end)
          end
          victim:kill()
          table.remove(all, 1)
          for _, node in ipairs(all) do
            local before = node:call(count_acknowledged)
            c:wait("the storm goes on", function()
              return node:call(count_acknowledged) > before + 30
            end)
          end
          for _, node in ipairs(all) do
            local acknowledged, refused = node:call(end_storm)
            assert.same({}, refused)
            for _, id in ipairs(acknowledged) do
              wanted[#wanted + 1] = id
            end
          end
          check_one_of_each(c, all, wanted)
          local fresh = c:start(({ "d", "e", "f" })[round])
          fresh:open(open_supervisor)
          all[3] = fresh
          for _, node in ipairs(all) do
            c:wait("the new one is a member", function()
              return node:call(members) == 3
            end)
          end
          c:wait("the new one knows all children", function()
            return same(all[1]:call(children), fresh:call(children))
          end)
        end
        check_one_of_each(c, all, wanted)
      end)
    end)

  it("restart each child of a lost node on the new owner of its id", function()
    cluster.run(function(c)
      local all, ids = three(c), {}
      for i = 1, 150 do
        ids[i] = i
        assert(all[i % 3 + 1]:call(start, i))
      end
      for _, node in ipairs(all) do
        c:wait("all know all", function()
          local answered, wrong = node:call(call_all, ids)
          return answered == 150 and wrong == 0
        end)
      end
      all[2]:kill()
      table.remove(all, 2)
      for _, node in ipairs(all) do
        c:wait("all answer again, where the ring says", function()
          local answered, wrong = node:call(call_all, ids)
          return answered == 150 and wrong == 0
        end)
      end
      check_one_of_each(c, all, ids)
    end)
  end)

  it("answer why a child did not start on another node", function()
    cluster.run(function(c)
      local all = three(c)
      local there = all[2].name
      assert.same({ nil, "told to fail" },
        { all[1]:call(start, "x", "fail", there) })
      assert.same({ "not_allowed", "os.exit" }, { all[1]:call(function(node)
        local ds = require "banyan.distributed_supervisor"
        local _, err = ds.start_child("children",
          { id = "y", start = { "os", "exit", { 1 } } }, node)
        return err[1], err[2]
      end, there) })
      assert.is_truthy(all[1]:call(start, "x", "x", there))
      -- `replicas` nodes know of a start before its caller does, not all.
      c:wait("the third knows it", function()
        return all[3]:call(children).x
      end)
      assert.is_true(all[3]:call(function()
        local ds = require "banyan.distributed_supervisor"
        return ds.terminate_child("children",
          "x")
      end))
      assert.is_nil(all[2]:call(ids_that_run)[1])
    end)
  end)
end)

describe("two nodes in OS processes", function()
  it("keep one process of an id that both start at the same time", function()
    cluster.run(function(c)
      local x, y = c:name("a"), c:name("b")
      local a = c:launch(x, { connect = { y } })
      local b = c:launch(y, { connect = { x } })
      for _, node in ipairs { c:await(a), c:await(b) } do
        node:open(open_supervisor)
        node:open(start_when_ready, "x")
      end
      for _, node in ipairs { a, b } do
        c:wait("both are members", function()
          return node:call(members) == 2
        end)
      end
      c:wait("it runs", function() return a:call(children).x end)
      check_one_of_each(c, { a, b }, { "x" })
    end)
  end)

  it("take over the children of a third that stops in order", function()
    cluster.run(function(c)
      local all = three(c)
      for i = 1, 30 do assert(all[1]:call(start, i)) end
      assert.is_true(all[3]:call(function()
        return require("banyan.server").stop("children", "shutdown", "infinity")
      end))
      table.remove(all, 3)
      for _, node in ipairs(all) do
        c:wait("two are left", function() return node:call(members) == 2 end)
      end
      local ids = {}
      for i = 1, 30 do ids[i] = i end
      check_one_of_each(c, all, ids)
    end)
  end)

  it("refuse a node with another secret", function()
    cluster.run(function(c)
      local a = c:start("a")
      a:open(open_supervisor)
      c:wait("it is a member", function() return a:call(members) == 1 end)
      local stranger = c:launch(c:name("b"),
        { secret = "another secret", connect = { a.name } })
      local connected, why = a:call(function(name)
        return require("banyan").connect(name, 20000)
      end, stranger.name)
      assert.is_nil(connected)
      assert.is_truthy(why)
      assert.equal(1, a:call(members))
      assert.is_truthy(a:call(start, "x"))
      assert.is_nil(stranger:try(function() return 1 end))
    end)
  end)
end)
