-- What a fault costs a distributed supervisor, on nodes that are OS processes:
-- the child that is at fault, and nothing else. Functions that run there are
-- sent as bytecode (spec.support.counters).

local cluster = require "spec.support.cluster"
local counters = require "spec.support.counters"

local together, id_on = counters.together, counters.id_on
local ids_of, list_of = counters.ids, counters.list
local open, start, add = counters.open, counters.start, counters.add
local add_all, explain = counters.add_all, counters.explain
local MANY, PORTION = 10000, 500
local member_count, child_count = counters.members, counters.everywhere

-- As counters.start does, all at once.
local function start_at_once(list)
  local banyan = require "banyan"
  local ds = require "banyan.distributed_supervisor"
  local counter = require "spec.support.counter"
  local me, failed = banyan.self(), {}
  for _, one in ipairs(list) do
    banyan.spawn(function()
      local pid, err = ds.start_child("counters",
        counter.spec(one.id, one.arg))
      me:send({ id = one.id, err = not pid and tostring(err) or nil })
    end)
  end
  for _ = 1, #list do
    local answer = banyan.receive()
    failed[answer.id] = answer.err
  end
  return failed
end

describe("a child that crashes again and again", function()
  it("harms no other, is set aside, and comes back when it is well",
    function()
      cluster.run(function(c)
        local nodes = together(c, { backoff = { min = 50, max = 200 } },
          "a", "b", "d")
        local a = nodes[1]
        assert.same({}, a:call(start, list_of(90)))
        assert.equal(90, a:call(add_all, ids_of(90), 1, 1))
        assert.same({}, a:call(start,
          { { id = "poison", arg = { crash_ms = 20 } } }))
        c:wait("it is failing", function()
          return a:call(explain, "poison") == "failing"
        end)
        c:wait("it is tried again", function()
          return a:call(explain, "poison") == "running"
        end)
        for _, node in ipairs(nodes) do
          assert.equal(3, node:call(member_count))
        end
        assert.equal(90, nodes[2]:call(add_all, ids_of(90), 1, 2))
      end)
    end)
end)

describe("a start function", function()
  it("that is slow or hangs holds up no other start, restart or end",
    function()
      cluster.run(function(c)
        local nodes = together(c, { start_ms = 60000 }, "a", "b")
        local a, b = nodes[1], nodes[2]
        local used = {}
        local old, hung = id_on(a, b, used), id_on(a, b, used)
        local fresh = id_on(a, b, used)
        assert.same({}, a:call(start, { { id = old } }))
        a:open(start, { { id = hung, arg = { hang = true } } })
        c:wait("it hangs", function()
          return a:call(explain, hung) == "starting"
        end)
        assert.same({}, a:call(start, { { id = fresh } }))
        assert.equal(1, a:call(add, old, 1))
        a:call(function(id)
          require("banyan.distributed_supervisor").whereis("counters", id)
            :exit("kill")
        end, old)
        c:wait("what crashed has been started again", function()
          return a:call(add, old, 0) == 0
        end)
        b:call(counters.sigterm)
        c:wait("the node ends", function() return b.ended end)
      end)
    end)

  it("whose time is over is killed, with what it has spawned", function()
    cluster.run(function(c)
      local nodes = together(c, { start_ms = 200 }, "a", "b")
      local a, b = nodes[1], nodes[2]
      local id = id_on(a, b)
      local failed = a:call(start, { { id = id, arg = { hang = true } } })
      assert.same({ [id] = "timeout" }, failed)
      c:wait("nothing of it is left", function()
        return b:call(counters.processes) == 0
      end)
      assert.same({}, a:call(start, { { id = id } }))
    end)
  end)

  it("may start another child, wherever that belongs", function()
    cluster.run(function(c)
      local nodes = together(c, nil, "a", "b")
      local a, b = nodes[1], nodes[2]
      local used = {}
      for _, place in ipairs { a, b } do
        local parent, other = id_on(a, b, used), id_on(a, place, used)
        assert.same({}, a:call(start, {
          { id = parent, arg = { start_child = { "counters", other } } },
        }))
        assert.equal("started", a:call(add, parent, "started"))
        assert.equal(place.name, a:call(add, other, "node"))
      end
    end)
  end)

  it("may do so while as many start as may at once", function()
    cluster.run(function(c)
      local nodes = together(c, { start_concurrency = 2, start_ms = 8000 },
        "a", "b")
      local ids, list = ids_of(12), {}
      for i, id in ipairs(ids) do
        list[i] = {
          id = id, arg = { start_child = { "counters", "inner " .. id } },
        }
      end
      assert.same({}, nodes[1]:call(start_at_once, list))
      for _, id in ipairs(ids) do
        assert.equal("started", nodes[2]:call(add, id, "started"))
      end
    end)
  end)

  it("is restarted beside starts that hang", function()
    cluster.run(function(c)
      local a = together(c, { start_concurrency = 2 }, "a")[1]
      assert.same({}, a:call(start, list_of(2)))
      assert.equal(2, a:call(add_all, ids_of(2), 1, 1))
      a:call(function()
        local ds = require "banyan.distributed_supervisor"
        local counter = require "spec.support.counter"
        for i = 1, 4 do
          require("banyan").spawn(ds.start_child, "counters",
            counter.spec("hang " .. i, { hang = true }))
        end
      end)
      a:call(function()
        require("banyan.distributed_supervisor").whereis("counters", 1)
          :exit("kill")
      end)
      c:wait("it runs again", function() return a:call(add, 1, 0) == 0 end)
    end)
  end)

  it("runs beside others when a node is recovered from", function()
    cluster.run(function(c)
      local nodes = together(c, { start_concurrency = 16 }, "a", "b")
      local a, b = nodes[1], nodes[2]
      local list = {}
      for i = 1, 60 do
        list[i] = { id = i, arg = { start_ms = 20 }, node = b.name }
      end
      assert.same({}, a:call(start, list))
      b:kill()
      c:wait("all are back", function()
        return a:call(member_count) == 1
          and a:call(child_count) == 60
      end)
      assert.equal(60, a:call(add_all, ids_of(60), 1, 1))
    end)
  end)
end)

describe("what a node refuses", function()
  it("is started by the next node of the ring: a module it lacks", function()
    cluster.run(function(c)
      local nodes = together(c, nil, "a", "b", "d")
      local a, d = nodes[1], nodes[3]
      d:call(function()
        package.loaded["spec.support.counter"] = nil
        package.path = package.path:gsub("%./%?%.lua;?", "")
          :gsub("%./%?/init%.lua;?", "")
      end)
      assert.same({}, a:call(start, list_of(40)))
      local found = a:call(function()
        local ds = require "banyan.distributed_supervisor"
        local elsewhere
        for i = 1, 40 do
          local one = ds.explain("counters", i)
          if one.node ~= one.owner then elsewhere = one end
        end
        return elsewhere and elsewhere.reason
      end)
      assert.equal("the node that the ring names refused it", found)
      nodes[2]:kill()
      c:wait("all run on the one that has the module", function()
        return a:call(counters.here) == 40
      end)
    end)
  end)

  it("is said at once, where a child waits for room or would", function()
    cluster.run(function(c)
      local nodes = together(c, { max_children = 10 }, "a", "b")
      local a, b = nodes[1], nodes[2]
      assert.same({}, a:call(start, list_of(20)))
      b:kill()
      local waiting
      c:wait("those of the lost node wait", function()
        waiting = nil
        local count = 0
        for i = 1, 20 do
          if a:call(explain, i) == "waiting" then
            waiting, count = i, count + 1
          end
        end
        return count == 10
      end)
      local failed = a:call(start, { { id = waiting }, { id = "new" } })
      assert.equal("already_present", failed[waiting])
      assert.is_truthy(failed.new:find("no_room", 1, true))
      assert.is_true(a:call(counters.terminate, waiting))
      assert.are_not.equal("waiting", (a:call(explain, waiting)))
    end)
  end)

  it("is started by the next node of the ring: one child too many",
    function()
      cluster.run(function(c)
        local nodes = together(c, { max_children = 10 }, "a", "b", "d")
        local a = nodes[1]
        assert.same({}, a:call(start, list_of(30)))
        local failed = a:call(start, { { id = 31 } })
        assert.is_truthy(failed[31]:find("no_room", 1, true))
        a:call(function()
          assert(require("banyan.distributed_supervisor").terminate_child(
            "counters", 1))
        end)
        assert.same({}, a:call(start, { { id = 31 } }))
      end)
    end)
end)

describe("a node that runs no children", function()
  it("starts, calls and finds those of others", function()
    cluster.run(function(c)
      local a, b = c:start("a", "b")
      local w = c:await(c:launch(c:name("w"), {
        connect = { a.name, b.name }, env = { BANYAN_HOSTS = "no" },
      }))
      for _, node in ipairs { a, b, w } do node:open(open) end
      c:wait("the hosts are known", function()
        return w:call(member_count) == 2 and a:call(member_count) == 2
      end)
      assert.same({}, w:call(start, list_of(20)))
      assert.same({}, a:call(start, { { id = "x" } }))
      assert.equal(20, w:call(add_all, ids_of(20), 1, 1))
      assert.equal(0, w:call(function()
        return #require("banyan.distributed_supervisor").local_children(
          "counters")
      end))
      w:call(function() require("banyan").set_hosts(true) end)
      c:wait("it is a host", function() return a:call(member_count) == 3 end)
    end)
  end)

  it("may say so by a list of nodes that no other has", function()
    cluster.run(function(c)
      local nodes = together(c, nil, "a", "b")
      local a, b = nodes[1], nodes[2]
      assert.same({}, a:call(start, list_of(10)))
      local w = c:start("w")
      assert.same({ nil, "not_started" },
        { w:call(add, 1, 1) })
      w:open(open, { nodes = { a.name, b.name } })
      c:wait("it knows both", function() return w:call(member_count) == 2 end)
      c:wait("the children are known", function()
        return w:call(child_count) == 10
      end)
      for _, node in ipairs { a, b, w } do
        c:wait(node.name .. " tells of the lists", function()
          return node:call(counters.events, "nodes_differ") > 0
        end)
      end
      assert.equal(10, w:call(add_all, ids_of(10), 1, 1))
      local more = {}
      for i = 1, 20 do more[i] = { id = "more" .. i } end
      assert.same({}, a:call(start, more))
      assert.same({}, w:call(start, { { id = "its own" } }))
      assert.equal(0, w:call(counters.here))
      assert.equal(2, a:call(member_count))
    end)
  end)
end)

describe("a listener", function()
  local function listen()
    _G.told = {}
    local function note(what)
      return function(_, id)
        _G.told[id] = (_G.told[id] or "") .. what
      end
    end
    local open_tree = load(_G.open_code)
    open_tree { listeners = { {
      on_process_start = note "+", on_process_stop = note "-",
    } } }
  end
  local function told(id) return _G.told[id] end

  it("hears of starts and stops in turn, on every node", function()
    cluster.run(function(c)
      local nodes = { c:start("a", "b", "d") }
      local a, d = nodes[1], nodes[3]
      for _, node in ipairs(nodes) do
        node:call(function(code) _G.open_code = code end, string.dump(open))
        node:open(listen)
      end
      counters.await_members(c, nodes)
      assert.same({}, a:call(start, { { id = "x", node = d.name } }))
      a:call(function()
        require("banyan.distributed_supervisor").whereis("counters", "x")
          :exit("kill")
      end)
      for _, node in ipairs(nodes) do
        c:wait(node.name .. " hears of the restart", function()
          return node:call(told, "x") == "+-+"
        end)
      end
      d:kill()
      -- One that hears of the end first never hears of this process.
      for i = 1, 2 do
        c:wait(nodes[i].name .. " hears that it runs elsewhere", function()
          return nodes[i]:call(told, "x") == "+-+-+"
        end)
      end
      assert.is_true(a:call(counters.terminate, "x"))
      for i = 1, 2 do
        c:wait(nodes[i].name .. " hears of the end", function()
          return nodes[i]:call(told, "x") == "+-+-+-"
        end)
      end
    end)
  end)
end)

describe("children with much to say at their start", function()
  it("are known to a node that joins", function()
    cluster.run(function(c)
      local a = together(c, nil, "a")[1]
      local n = a:call(function()
        local ds = require "banyan.distributed_supervisor"
        local counter = require "spec.support.counter"
        for i = 1, 150 do
          assert(ds.start_child("counters",
            counter.spec(i, { text = ("x"):rep(200000) })))
        end
        return (select(2, ds.count("counters")))
      end)
      assert.equal(150, n)
      local b = c:start("b")
      b:open(open)
      for _, node in ipairs { a, b } do
        c:wait(node.name .. " knows them all", function()
          return node:call(child_count) == 150
        end)
      end
    end)
  end)
end)

-- The pid of a node's coordinator, as text.
local function coordinator()
  return tostring(require("banyan").whereis("counters"))
end

local function end_all(list)
  local ds = require "banyan.distributed_supervisor"
  for _, one in ipairs(list) do ds.terminate_child("counters", one.id) end
end

-- From now on half of the messages of this node's coordinator to that of
-- another have bytes that they should not have, behind the sender's name; to
-- nil's none.
local function damage(to, seed)
  local core = require "banyan.core"
  local random = math.random
  cast_now = cast_now or core.cast_now -- luacheck: ignore
  core.cast_now = cast_now -- luacheck: ignore
  if not to then return end
  math.randomseed(seed)
  core.cast_now = function(dest, msg)
    if dest.node == to and msg.tag == "dist" and random(2) == 1 then
      local bytes, head = msg.bytes, 11 + #msg.from
      for _ = 1, random(3) do
        local at = random(head, #bytes)
        bytes = bytes:sub(1, at - 1) .. string.char(random(0, 255))
          .. bytes:sub(at + 1)
      end
      msg = { tag = msg.tag, from = msg.from, bytes = bytes }
    end
    return cast_now(dest, msg) -- luacheck: ignore
  end
end

describe("a coordinator", function()
  it("that crashes finds the children that run", function()
    cluster.run(function(c)
      local nodes = together(c, nil, "a", "b")
      local a, b = nodes[1], nodes[2]
      assert.same({}, a:call(start, list_of(40)))
      assert.equal(40, a:call(add_all, ids_of(40), 1, 1))
      a:call(function()
        local banyan = require "banyan"
        local old = banyan.whereis("counters")
        old:exit("kill")
        while banyan.whereis("counters") == old
          or not banyan.whereis("counters") do
          banyan.sleep(5)
        end
      end)
      for _, node in ipairs(nodes) do
        c:wait(node.name .. " knows all", function()
          return node:call(child_count) == 40
            and node:call(member_count) == 2
        end)
      end
      assert.equal(40, b:call(add_all, ids_of(40), 1, 2))
      assert.same({}, a:call(start, { { id = "another" } }))
    end)
  end)

  it("is not harmed by what makes no sense", function()
    cluster.run(function(c)
      local nodes = together(c, nil, "a", "b")
      local a, b = nodes[1], nodes[2]
      assert.same({}, a:call(start, list_of(20)))
      assert.equal(20, a:call(add_all, ids_of(20), 1, 1))
      b:call(function(there)
        local server = require "banyan.server"
        local dest = { name = "counters", node = there }
        local here = require("banyan").node()
        for _, msg in ipairs {
          7, "x", {}, { tag = 1 }, { tag = "dist" },
          { tag = "dist", from = {}, bytes = 1 },
          { tag = "dist", from = here, bytes = "" },
          { tag = "dist", from = here, bytes = ("\255"):rep(300) },
          { tag = "started" }, { tag = "exited", child = "x" },
          { tag = "start_failed", child = 1 }, { tag = "DOWN", ref = 1 },
          { tag = "nodedown" }, { tag = "start" }, { tag = "set_hosts" },
        } do
          server.cast(dest, msg)
          require("banyan").send(dest, msg)
          server.call(dest, msg, 200)
        end
      end, a.name)
      assert.equal(20, b:call(add_all, ids_of(20), 1, 2))
      assert.equal(2, a:call(member_count))
    end)
  end)

  -- One node's true messages, some bytes of which are others.
  it("refuses what is damaged, and passes none of it on", function()
    cluster.run(function(c)
      local nodes = together(c, nil, "a", "b", "d")
      local a, b, d = nodes[1], nodes[2], nodes[3]
      assert.same({}, a:call(start, list_of(20)))
      local before = a:call(coordinator)
      b:call(damage, a.name, 11)
      local more = {}
      for i = 1, 10 do more[i] = { id = "more " .. i } end
      -- What of it succeeds, and when, is up to which bytes are hit.
      for _ = 1, 8 do
        b:open(start, more)
        b:open(end_all, more)
      end
      c:wait("messages are refused", function()
        return a:call(counters.events, "peer_refused") > 2
      end)
      b:call(damage, nil)
      assert.equal(before, a:call(coordinator))
      assert.equal(0, d:call(counters.events, "peer_refused"))
      for _, node in ipairs(nodes) do
        c:wait(node.name .. " knows the children that are left", function()
          b:open(end_all, more)
          return node:call(child_count) == 20
        end)
      end
      assert.equal(20, b:call(add_all, ids_of(20), 1, 1))
    end)
  end)
end)

describe("a node that leaves", function()
  it("keeps nobody else's child waiting for one of its own", function()
    cluster.run(function(c)
      local nodes = together(c, nil, "a", "b")
      local a, b = nodes[1], nodes[2]
      local slow, quick = "slow", "quick"
      assert.same({}, a:call(start, {
        { id = slow, arg = { end_ms = 4000 }, node = b.name },
        { id = quick, node = b.name },
      }))
      b:call(counters.sigterm)
      c:wait("the quick one is back", function()
        return a:call(add, quick, "node") == a.name
      end)
      assert.is_nil(b.ended)
      assert.same({}, a:call(start, { { id = "meanwhile" } }))
      c:wait("the slow one is back", function()
        return a:call(add, slow, "node") == a.name
      end)
      c:wait("the node has ended", function() return b.ended end)
    end)
  end)

  it("does so at the same time as another one", function()
    cluster.run(function(c)
      local nodes = together(c, nil, "a", "b", "d")
      local a, b, d = nodes[1], nodes[2], nodes[3]
      local list = list_of(60, { end_ms = 1 })
      list[61] = { id = "slow", arg = { end_ms = 4000 }, node = b.name }
      assert.same({}, a:call(start, list))
      local late = id_on(a, b)
      b:call(counters.sigterm)
      d:call(counters.sigterm)
      c:wait("the quick ones are back", function()
        return a:call(counters.here) >= 60
      end)
      assert.same({}, a:call(start, { { id = late } }))
      c:wait("both have ended", function() return b.ended and d.ended end)
      assert.equal("exit_status 0", b.ended)
      assert.equal("exit_status 0", d.ended)
      c:wait("all are back", function() return a:call(counters.here) == 62 end)
      assert.equal(62, a:call(child_count))
    end)
  end)
end)

describe("a node that stood still", function()
  local uv = require "luv"

  local function events(name) return _G.event_counts[name] or 0 end

  -- Others are given up in less than the usual time.
  local QUICK = {
    BANYAN_OPTIONS =
      "{ heartbeat_ms = 250, down_after_ms = 1500, reconnect_ms = 600 }",
  }

  -- Two nodes with 20 children each, `stop` has the second one stand still
  -- until the first has given it up, and `go_on` ends that.
  local function stand_still(c, stop, go_on)
    local a = c:await(c:launch(c:name("a"), { env = QUICK }))
    local b = c:await(c:launch(c:name("b"), {
      connect = { a.name }, env = QUICK,
    }))
    for _, node in ipairs { a, b } do node:open(open) end
    c:wait("both are members", function()
      return a:call(member_count) == 2 and b:call(member_count) == 2
    end)
    local list, ids = {}, {}
    for i = 1, 40 do
      list[i] = { id = i, node = (i % 2 == 0 and a or b).name }
      ids[i] = i
    end
    assert.same({}, a:call(start, list))
    assert.equal(40, a:call(add_all, ids, 1, 1))
    local gaps = b:call(events, "clock_gap")
    stop(b)
    c:wait("it is given up", function() return a:call(member_count) == 1 end)
    go_on(b)
    for _, node in ipairs { a, b } do
      c:wait("they are together again", function()
        return node:call(member_count) == 2 and node:call(child_count) == 40
      end)
    end
    c:wait("each process is where it was", function()
      return a:call(function(nodes)
        local ds = require "banyan.distributed_supervisor"
        for id = 1, 40 do
          local pid = ds.whereis("counters", id)
          if not pid or pid:node() ~= nodes[id % 2 + 1] then return false end
        end
        return true
      end, { a.name, b.name })
    end)
    assert.equal(40, a:call(add_all, ids, 1, 2))
    assert.equal(0, b:call(events, "placement_moved"))
    assert.is_true(b:call(events, "clock_gap") > gaps)
  end

  it("takes over nobody's child when it goes on after a SIGSTOP", function()
    cluster.run(function(c)
      stand_still(c, function(b) uv.kill(b.pid, "sigstop") end,
        function(b) uv.kill(b.pid, "sigcont") end)
    end)
  end)

  it("takes over nobody's child when it was blocked in C", function()
    local path = os.tmpname()
    os.remove(path)
    cluster.run(function(c)
      stand_still(c, function(b)
        b:open(function(file)
          os.execute(("until [ -e %s ]; do sleep 0.1; done"):format(file))
        end, path)
      end, function() assert(io.open(path, "w")):close() end)
    end)
    os.remove(path)
  end)

  local function shown_here()
    return (require("banyan.distributed_supervisor").count("counters"))
  end

  -- What it cost is said: how long, after the node went on, no machine can
  -- promise. The messages are counted in spec/core/dist_conflicts_test.c.
  it("leaves one process of each of ten thousand children #slow", function()
    cluster.run(function(c)
      local a = c:start("a")
      local b = c:await(c:launch(c:name("b"), {
        connect = { a.name },
      }))
      for _, node in ipairs { a, b } do node:open(open) end
      c:wait("both are members", function()
        return a:call(member_count) == 2 and b:call(member_count) == 2
      end)
      for first = 1, MANY, PORTION do
        local list = {}
        for i = first, first + PORTION - 1 do
          list[#list + 1] = { id = i, node = b.name }
        end
        assert.same({}, b:call(start, list))
      end
      uv.kill(b.pid, "sigstop")
      c:wait("all are taken over", function()
        return a:call(shown_here) == MANY
      end)
      local began = uv.hrtime()
      uv.kill(b.pid, "sigcont")
      c:wait("lookups show those that never stopped", function()
        return a:call(shown_here) == 0 and b:call(shown_here) == MANY
      end)
      c:wait("one of each is left", function()
        return a:call(counters.processes) == 0
          and b:call(counters.processes) == MANY
      end)
      print(("# %d conflicts were over %.0f ms after it went on"):format(MANY,
        (uv.hrtime() - began) / 1e6))
      for _, node in ipairs { a, b } do
        c:wait("each knows them", function()
          return node:call(child_count) == MANY
        end)
      end
    end)
  end)
end)
