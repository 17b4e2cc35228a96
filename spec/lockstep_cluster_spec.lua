-- A cluster as the body of a lockstep run sees it.

local banyan = require "banyan"
local core = require "banyan.core"
local lockstep = require "banyan.lockstep"
local server = require "banyan.server"

-- Runs fn(cluster) under a schedule or two.
local function body(opts, fn)
  if type(opts) == "function" then opts, fn = nil, opts end
  lockstep.check(function() fn(lockstep.cluster(opts)) end,
    { strategy = "random", clock = "idle", iterations = 2, max_steps = 1e6 })
end

-- Waits, in virtual time, until fn() is true.
local function wait(fn)
  while not fn() do core.sleep(10) end
end

local function sees(cluster, a, b)
  for _, name in ipairs(cluster:views()[a] or {}) do
    if name == b then return true end
  end
  return false
end

describe("a lockstep cluster", function()
  it("has three nodes that are connected to each other", function()
    body(function(cluster)
      assert.equal(3, #cluster.nodes)
      for _, a in ipairs(cluster.nodes) do
        for _, b in ipairs(cluster.nodes) do
          assert.equal(a ~= b, sees(cluster, a, b))
        end
      end
      assert.is_true(cluster:settle())
    end)
  end)

  it("has as many as wanted, under the names that are wanted", function()
    body({ nodes = 5 }, function(cluster)
      assert.equal(5, #cluster.nodes)
      assert.equal(4, #cluster:views()[cluster.nodes[5]])
    end)
    body({ nodes = { "left", "right" } }, function(cluster)
      assert.same({ "left", "right" }, cluster.nodes)
      assert.same({ left = { "right" }, right = { "left" } }, cluster:views())
    end)
    body({ nodes = 1 }, function(cluster)
      assert.is_true(cluster:settle())
    end)
  end)

  it("draws its nodes' random numbers from the tape, or from a seed",
    function()
      local function draws(opts)
        local play = require "banyan.lockstep.play"
        local count
        lockstep.check(function()
          local world = play.world "spec"
          local choose = world.choose
          count = 0
          function world:choose(n)
            if n > 1e6 then count = count + 1 end
            return choose(self, n)
          end
          lockstep.cluster(opts)
        end, { strategy = "random", iterations = 1 })
        return count
      end
      assert.equal(4, draws { nodes = 4 })
      assert.equal(0, draws { nodes = 4, seed = 7 })
    end)

  it("leaves no step waiting for ever while time passes", function()
    lockstep.check(function()
      local cluster = lockstep.cluster()
      local me = core.self()
      for _ = 1, 3 do
        for _, name in ipairs(cluster.nodes) do
          cluster:spawn(name, function()
            core.sleep(2000)
            core.send(me, "done")
          end)
        end
        for _ = 1, #cluster.nodes do core.receive() end
      end
      assert(cluster:settle())
    end, { strategy = "pct", depth = 5, iterations = 60, max_steps = 20000 })
  end)

  it("is at its end where everybody waits, though heartbeats go on", function()
    local report = lockstep.run(function()
      local cluster = lockstep.cluster()
      cluster:set_link(cluster.nodes[1], cluster.nodes[2], { latency = 10 })
      cluster:spawn(cluster.nodes[1], core.receive)
      core.receive()
    end, { iterations = 1 })
    assert.equal("deadlock", report.kind)
    assert.truthy(report.reason:find("waits for a message", 1, true))
  end)

  it("goes on to its end where that is wanted", function()
    local late
    local report = lockstep.run(function()
      local cluster = lockstep.cluster()
      cluster:spawn(cluster.nodes[1], function()
        core.sleep(100000)
        late = core.now()
      end)
    end, { iterations = 1, settle = true })
    assert.is_true(report.ok)
    assert.is_true(late >= 100000)
  end)

  it("reports what the network does, however late", function()
    local report = lockstep.run(function()
      local cluster = lockstep.cluster { down_after_ms = 60000 }
      local me, a = core.self(), cluster.nodes[1]
      cluster:spawn(cluster.nodes[2], function()
        core.monitor { name = "nobody", node = a }
        core.receive()
        banyan.monitor_nodes(true)
        core.send(me, "ready")
        core.receive()
        core.send(me, "gone")
      end)
      assert.equal("ready", core.receive())
      cluster:crash(a, "vanish")
      assert.equal("gone", core.receive())
    end, { iterations = 5 })
    assert.is_true(report.ok, tostring(report))
  end)

  it("shows the body in no node's list", function()
    body(function(cluster)
      local me = core.node_name()
      core.sleep(5000)
      for _, name in ipairs(cluster.nodes) do
        assert.is_false(sees(cluster, name, me))
      end
      assert.same({}, core.nodes())
    end)
  end)
end)

describe("the body of a cluster", function()
  it("exchanges messages with processes on nodes", function()
    body(function(cluster)
      local pid = cluster:spawn(cluster.nodes[2], function(to, what)
        core.send(to, { core.node_name(), what })
        core.send(to, core.receive())
      end, core.self(), "argument")
      assert.equal(cluster.nodes[2], pid:node())
      assert.same({ cluster.nodes[2], "argument" }, core.receive())
      core.send(pid, "and back")
      assert.equal("and back", core.receive())
    end)
  end)

  it("calls servers on nodes, and is called", function()
    local echo = {
      handle_call = function(_, msg) return { core.node_name(), msg } end,
    }
    body(function(cluster)
      local me, node = core.self(), cluster.nodes[1]
      local mine = assert(server.start(echo))
      cluster:spawn(node, function()
        local theirs = assert(server.start(echo))
        core.send(me, { theirs, (server.call(mine, 1)) })
        core.receive()
      end)
      local got = core.receive()
      assert.same({ core.node_name(), 1 }, got[2])
      assert.same({ node, 2 }, (server.call(got[1], 2)))
    end)
  end)

  it("has links and monitors to them", function()
    body(function(cluster)
      core.trap_exit(true)
      local pid = cluster:spawn(cluster.nodes[1], function()
        core.receive()
        core.exit("done")
      end)
      core.link(pid)
      local ref = core.monitor(pid)
      core.send(pid, "go")
      local first, second = core.receive(), core.receive()
      if first.tag == "EXIT" then first, second = second, first end
      assert.same({ "DOWN", ref, "done" }, { first.tag, first.ref,
        first.reason })
      assert.same({ "EXIT", pid, "done" }, { second.tag, second.pid or
        second.from, second.reason })
    end)
  end)

  it("gets noconnection at once from a node that crashes", function()
    for _, how in ipairs { "kill", "power", "vanish" } do
      body(function(cluster)
        local pid = cluster:spawn(cluster.nodes[1], core.receive)
        local ref = core.monitor(pid)
        cluster:crash(cluster.nodes[1], how)
        local since = core.now()
        local down = banyan.receive(function(m) return m.ref == ref end)
        assert.equal("noconnection", down.reason)
        assert.equal(since, core.now())
      end)
    end
  end)

  it("keeps its links whatever happens to the network and the nodes",
    function()
      body(function(cluster)
        local a = cluster.nodes[1]
        local pid = cluster:spawn(a, function()
          while true do
            local from = core.receive()
            core.send(from, "here")
          end
        end)
        local ref = core.monitor(pid)
        cluster:isolate(a)
        cluster:set_clock(a, 100)
        core.sleep(60000)
        cluster:set_clock(a, 1)
        cluster:pause(a)
        core.send(pid, core.self())
        core.sleep(60000)
        assert.is_nil((core.receive(0)))
        cluster:resume(a)
        assert.equal("here", core.receive())
        core.demonitor(ref, { flush = true })
      end)
    end)
end)

describe("a cluster's faults", function()
  it("crash a node, which is no failure of a process that is watched",
    function()
      body(function(cluster)
        for _, how in ipairs { "kill", "power", "vanish" } do
          local a = cluster.nodes[1]
          lockstep.watch(cluster:spawn(a, banyan.receive), "the watched")
          cluster:crash(a, how)
          banyan.sleep(10)
          cluster:restart(a)
        end
      end)
      local report = lockstep.run(function()
        local cluster = lockstep.cluster()
        local a, b = cluster.nodes[1], cluster.nodes[2]
        local pid = cluster:spawn(a, banyan.receive)
        lockstep.watch(cluster:spawn(b, function()
          banyan.link(pid)
          banyan.receive()
        end), "the linked")
        banyan.sleep(1000)
        cluster:crash(a)
        banyan.sleep(60000)
      end, { clock = "idle" })
      assert.equal("error", report.kind)
      assert.equal("noconnection", report.reason)
      assert.truthy(tostring(report):find("the linked: ", 1, true))
    end)

  it("crash a node, and restart it with nothing remembered", function()
    body(function(cluster)
      local a, b = cluster.nodes[1], cluster.nodes[2]
      local me = core.self()
      local old = cluster:spawn(a, function()
        core.register("keeper", core.self())
        core.send(me, "registered")
        core.receive()
      end)
      assert.equal("registered", core.receive())
      cluster:crash(a)
      assert.is_false(cluster:is_up(a))
      assert.is_false(cluster:views()[a])
      wait(function() return not sees(cluster, b, a) end)
      cluster:restart(a)
      assert.is_true(cluster:is_up(a))
      assert.is_true(cluster:settle())
      local new = cluster:spawn(a, function()
        core.send(me, { core.whereis("keeper") == nil, core.node_name() })
      end)
      assert.same({ true, a }, core.receive())
      assert.not_equal(old, new)
      local ref = core.monitor(old)
      assert.equal("noproc", banyan.receive(function(m)
        return m.ref == ref
      end).reason)
    end)
  end)

  it("restart a node that is up by killing it first", function()
    body(function(cluster)
      local a = cluster.nodes[1]
      local ref = core.monitor(cluster:spawn(a, core.receive))
      cluster:restart(a)
      assert.equal("noconnection", banyan.receive(function(m)
        return m.ref == ref
      end).reason)
      assert.is_true(cluster:settle())
    end)
  end)

  it("pause a node, which others take for dead after a while", function()
    body(function(cluster)
      local a, b = cluster.nodes[1], cluster.nodes[2]
      cluster:pause(a)
      wait(function() return not sees(cluster, b, a) end)
      assert.is_true(cluster:is_up(a))
      cluster:resume(a)
      assert.is_true(cluster:settle())
      assert.is_true(sees(cluster, b, a))
    end)
  end)

  it("leave it unsettled from the moment they begin", function()
    body({ nodes = 3 }, function(cluster)
      local a, b = cluster.nodes[1], cluster.nodes[2]
      for _, fault in ipairs {
        function() cluster:partition({ a }) end,
        function() cluster:set_link(a, b, { loss = 1 }) end,
      } do
        fault()
        assert.same({ "timeout" }, { select(2, cluster:settle(400)) })
        cluster:heal()
        assert.is_true(cluster:settle())
      end
    end)
  end)

  it("divide it in two", function()
    body({ nodes = 4 }, function(cluster)
      local a, b, c, d = (table.unpack or unpack)(cluster.nodes)
      cluster:partition({ a, b })
      wait(function()
        return not sees(cluster, a, c) and not sees(cluster, d, b)
      end)
      assert.same({ "timeout" }, { select(2, cluster:settle(20000)) })
      local views = cluster:views()
      assert.same({ { b }, { a }, { d }, { c } },
        { views[a], views[b], views[c], views[d] })
      cluster:heal()
      assert.is_true(cluster:settle())
    end)
  end)

  it("divide it in three, and isolate one", function()
    body({ nodes = 4 }, function(cluster)
      local a, b, c, d = (table.unpack or unpack)(cluster.nodes)
      cluster:partition({ a }, { b }, { c, d })
      core.sleep(20000)
      local views = cluster:views()
      assert.same({ {}, {}, { d }, { c } },
        { views[a], views[b], views[c], views[d] })
      cluster:isolate(d)
      core.sleep(20000)
      views = cluster:views()
      assert.same({ { b, c }, { a, c }, { a, b }, {} },
        { views[a], views[b], views[c], views[d] })
      cluster:heal()
      assert.is_true(cluster:settle())
    end)
  end)

  it("leave one node as the bridge between two", function()
    body(function(cluster)
      local a, b, c = (table.unpack or unpack)(cluster.nodes)
      cluster:bridge(a, b, c)
      core.sleep(20000)
      local views = cluster:views()
      assert.same({ { b }, { a, c }, { b } },
        { views[a], views[b], views[c] })
      cluster:heal()
      assert.is_true(cluster:settle())
    end)
  end)

  it("delay what one node sends to another, and nothing else", function()
    body(function(cluster)
      local a, b, c = (table.unpack or unpack)(cluster.nodes)
      local me = core.self()
      local function listen()
        while true do core.send(me, { core.receive(), core.now() }) end
      end
      local there = cluster:spawn(b, listen)
      local other = cluster:spawn(c, listen)
      cluster:set_link(a, b, { latency = 700 })
      local since = core.now()
      cluster:spawn(a, function()
        core.send(there, "late")
        core.send(other, "soon")
      end)
      assert.equal("soon", core.receive()[1])
      local late = core.receive()
      assert.equal("late", late[1])
      assert.is_true(late[2] >= since + 700)
    end)
  end)

  it("lose one direction alone, so that both nodes give the link up", function()
    body(function(cluster)
      local a, b = cluster.nodes[1], cluster.nodes[2]
      cluster:set_link(a, b, { loss = 1 })
      wait(function()
        return not sees(cluster, a, b) and not sees(cluster, b, a)
      end)
      cluster:heal()
      assert.is_true(cluster:settle())
    end)
  end)

  it("block and open a path in turn", function()
    body(function(cluster)
      local a, b = cluster.nodes[1], cluster.nodes[2]
      cluster:flap(a, b, { up = 8000, down = 8000 })
      for _ = 1, 3 do
        wait(function() return not sees(cluster, a, b) end)
        wait(function() return sees(cluster, a, b) end)
      end
      cluster:heal()
      assert.is_true(cluster:settle())
    end)
  end)

  it("cut connections, which are opened again and told to nobody", function()
    body(function(cluster)
      local a, b = cluster.nodes[1], cluster.nodes[2]
      local me = core.self()
      cluster:spawn(a, function()
        banyan.monitor_nodes(true)
        core.send(me, "ready")
        while true do core.send(me, core.receive().tag) end
      end)
      assert.equal("ready", core.receive())
      cluster:cut(a, b)
      assert.is_true(cluster:settle())
      cluster:half_open(a, b)
      assert.is_true(cluster:settle())
      assert.is_true(sees(cluster, a, b))
      assert.same({ nil, "timeout" }, { core.receive(20000) })
    end)
  end)

  it("have clocks run at different rates", function()
    body(function(cluster)
      local me = core.self()
      local function nap(name)
        core.sleep(2000)
        core.send(me, name)
      end
      local a, b, c = (table.unpack or unpack)(cluster.nodes)
      cluster:set_clock(a, 0.5)
      cluster:set_clock(c, 2)
      for _, name in ipairs { a, b, c } do cluster:spawn(name, nap, name) end
      assert.same({ c, b, a }, { core.receive(), core.receive(),
        core.receive() })
    end)
  end)

  it("have a node read slowly, until its peers' senders wait", function()
    body({ max_queue = 80000, window = 2000 }, function(cluster)
      local a, b = cluster.nodes[1], cluster.nodes[2]
      local sent, got = 0, 0
      cluster:slow_reader(b, 4)
      local sink = cluster:spawn(b, function()
        while true do
          core.receive()
          got = got + 1
        end
      end)
      cluster:spawn(a, function()
        for i = 1, 3000 do
          core.send(sink, i)
          sent = i
        end
      end)
      wait(function() return got > 50 end)
      assert.is_true(sent < 3000)
      cluster:slow_reader(b, nil)
      wait(function() return got == 3000 end)
    end)
  end)

  it("have a slow node be late with everything", function()
    body(function(cluster)
      local a, b = cluster.nodes[1], cluster.nodes[2]
      local me = core.self()
      local there = cluster:spawn(b, function()
        for _ = 1, 5 do core.receive() end
        core.send(me, core.now())
      end)
      cluster:slow(b, 200)
      local since = core.now()
      cluster:spawn(a, function()
        for i = 1, 5 do
          core.send(there, i)
          core.sleep(1)
        end
      end)
      assert.is_true(core.receive() >= since + 400)
      cluster:slow(b, 0)
      assert.is_true(cluster:settle())
    end)
  end)
end)

describe("a cluster that is misused", function()
  -- The message, which must point at this file.
  local function message_of(fn, ...)
    local args = { n = select("#", ...), ... }
    local ok, err = pcall(function()
      local result = fn((table.unpack or unpack)(args, 1, args.n))
      return result
    end)
    assert.is_false(ok)
    assert.truthy(err:find("lockstep_cluster_spec.lua:", 1, true), err)
    return err
  end

  local function raises(text, ...)
    local err = message_of(...)
    assert.truthy(err:find(text, 1, true), err)
  end

  it("names what is wrong", function()
    body({ nodes = { "a", "b" } }, function(c)
      raises('cluster:crash: node must be a node of this cluster (a, b), '
        .. 'got "x"', c.crash, c, "x")
      raises("cluster:is_up: node must be", c.is_up, c, nil)
      raises("cluster:pause: call it as a method", c.pause, "a")
      raises("cluster:spawn: fn must be a function, got a nil", c.spawn, c, "a")
      raises("cluster:partition: at least one group", c.partition, c)
      raises("cluster:partition: group 2: node a is in two groups",
        c.partition, c, { "a" }, { "a", "b" })
      raises("cluster:partition: group 1 must not be empty", c.partition, c, {})
      raises("cluster:set_link: from and to are the same node", c.set_link, c,
        "a", "a", {})
      raises('cluster:set_link: unknown option "latencey"', c.set_link, c, "a",
        "b", { latencey = 1 })
      raises("cluster:set_link: opts must be a table", c.set_link, c, "a", "b")
      raises("cluster:set_clock: rate must be a number from 0.001 to 1000, "
        .. "got 0", c.set_clock, c, "a", 0)
      raises('cluster:crash: how must be "kill", "power" or "vanish", got 7',
        c.crash, c, "a", 7)
      raises('cluster:flap: unknown option "ups"', c.flap, c, "a", "b",
        { ups = 1 })
      raises('cluster:chaos: unknown option "length"', c.chaos, c,
        { length = 1 })
      raises('cluster:chaos: option "faults" must be a list of kinds', c.chaos,
        c, { faults = { "gremlins" } })
      c:crash("a")
      raises("cluster:spawn: node: node a is down; cluster:restart starts it "
        .. "again", c.spawn, c, "a", print)
    end)
  end)

  it("says that only the body may do things to it", function()
    body(function(cluster)
      local me = core.self()
      cluster:spawn(cluster.nodes[1], function()
        local _, err = pcall(cluster.crash, cluster, cluster.nodes[2])
        core.send(me, err)
      end)
      assert.truthy(core.receive():find("only the body", 1, true))
      assert.is_true(cluster:is_up(cluster.nodes[2]))
    end)
  end)

  it("is the only one of its run", function()
    body(function()
      raises("lockstep.cluster: this run has a cluster already",
        lockstep.cluster)
    end)
    raises("lockstep.cluster outside of a body", lockstep.cluster)
  end)

  it("shows what state its nodes are in", function()
    body({ nodes = { "a", "b", "c" } }, function(cluster)
      cluster:crash("b")
      cluster:pause("c")
      assert.equal("cluster<a, b (down), c (paused)>", tostring(cluster))
    end)
  end)
end)
