-- Peer connections over the virtual network, as one body after the other sees
-- them. What must hold whatever happens is in spec/lockstep/bridges_spec.lua.

local banyan = require "banyan"
local core = require "banyan.core"
local lockstep = require "banyan.lockstep"
local peers = require "banyan.peers"
local run_on = require "spec.support.scripts.on"

local A, B, C = "a@a:1", "b@b:1", "c@a:1"
local KEY = { realm = "r", secret = "of the realm" }
local LIMIT_MS = 60000

-- Runs fn(cluster) under a few schedules; the nodes of several clusters.
local function body(nodes, fn)
  lockstep.check(function() fn(lockstep.cluster { nodes = nodes }) end,
    { strategy = "random", clock = "idle", iterations = 5, max_steps = 1e6 })
end

-- What fn answers on a node, in a process that stays.
local function stay(cluster, node, fn)
  local me, ref = banyan.self(), banyan.make_ref()
  cluster:spawn(node, function()
    banyan.send(me, { ref = ref, fn() })
    banyan.receive()
  end)
  return assert(banyan.receive(ref, LIMIT_MS))[1]
end

local function accept(cluster, node)
  return stay(cluster, node, function()
    assert(peers.start_link())
    return peers.accept(KEY)
  end)
end

-- Why the only peer of a node that dials has ended.
local function ending(cluster, node, url, key)
  local me, ref = banyan.self(), banyan.make_ref()
  cluster:spawn(node, function()
    assert(peers.start_link())
    assert(peers.start_peer(url, {
      realm = key.realm, secret = key.secret,
      on_down = function(_, reason)
        banyan.send(me, { ref = ref, reason })
      end,
    }))
    banyan.receive()
  end)
  return function()
    return assert(banyan.receive(ref, 2 * LIMIT_MS), "it has not ended")[1]
  end
end

describe("several clusters under lockstep", function()
  it("do not know one another", function()
    body({ { A, C }, { B } }, function(cluster)
      assert.same({ A, C, B }, cluster.nodes)
      assert.same({ [A] = { C }, [C] = { A }, [B] = {} }, cluster:views())
      assert.is_true(cluster:settle())
      cluster:restart(A)
      assert.is_true(cluster:settle())
      assert.same({ [A] = { C }, [C] = { A }, [B] = {} }, cluster:views())
    end)
  end)

  it("have different names", function()
    body(1, function()
      local function is_misuse(nodes)
        local ok, err = pcall(lockstep.cluster, { nodes = nodes })
        assert.is_false(ok)
        assert.truthy(err:find("cluster already", 1, true)
          or err:find("list of such lists", 1, true), err)
      end
      is_misuse { { A }, { B, A } }
      is_misuse { { A }, {} }
      is_misuse { { A }, B }
    end)
  end)
end)

describe("a peer connection under lockstep", function()
  it("is one", function()
    body({ { A }, { B } }, function(cluster)
      accept(cluster, B)
      run_on(cluster, B, function()
        return peers.serve("double", function(n) return 2 * n end)
      end)
      local answers = stay(cluster, A, function()
        assert(peers.start_link())
        local p = assert(peers.start_peer("banyan://b:1", KEY))
        local answer = peers.call(p, "double", 21)
        return { answer, peers.info(p).address, #banyan.nodes() }
      end)
      assert.same({ 42, "b:1", 0 }, answers)
      local info = run_on(cluster, B, function()
        return peers.info(peers.list_peers()[1])
      end)
      assert.same({ "in", "a:1", "r" },
        { info.direction, info.address, info.realm })
    end)
  end)

  it("is refused with another secret, realm, or without an accept", function()
    local function refuses(key, accepts)
      body({ { A }, { B } }, function(cluster)
        if accepts then accept(cluster, B) end
        assert.equal("refused", ending(cluster, A, "banyan://b:1", key)())
        assert.equal(0, run_on(cluster, B, peers.count_peers))
      end)
    end
    refuses({ realm = "r", secret = "of another one" }, true)
    refuses({ realm = "s", secret = KEY.secret }, true)
    refuses(KEY, false)
  end)

  it("finds nobody where there is nobody", function()
    body({ { A }, { B } }, function(cluster)
      assert.equal("econnrefused",
        ending(cluster, A, "banyan://b:2", KEY)())
    end)
    body({ { A }, { B } }, function(cluster)
      cluster:crash(B, "kill")
      assert.equal("econnrefused",
        ending(cluster, A, "banyan://b:1", KEY)())
    end)
  end)

  it("hears nothing of a host without power", function()
    body({ { A }, { B } }, function(cluster)
      cluster:crash(B, "power")
      assert.equal("timeout", ending(cluster, A, "banyan://b:1", KEY)())
    end)
  end)

  it("has the faults of the network", function()
    local function ends(expected, fault)
      body({ { A }, { B } }, function(cluster)
        accept(cluster, B)
        local why = ending(cluster, A, "banyan://b:1", KEY)
        repeat
          banyan.sleep(10)
          local n = run_on(cluster, B, peers.count_peers)
        until n == 1
        banyan.sleep(1000)
        fault(cluster)
        assert.equal(expected, why())
        banyan.sleep(30000)
        if cluster:is_up(B) then
          assert.equal(0, run_on(cluster, B, peers.count_peers))
        end
      end)
    end
    ends("econnreset", function(cluster) cluster:crash(B, "kill") end)
    ends("timeout", function(cluster) cluster:crash(B, "power") end)
    ends("timeout", function(cluster) cluster:half_open(A, B) end)
    ends("econnreset", function(cluster) cluster:half_open(A, B, true) end)
    ends("econnreset", function(cluster) cluster:cut(A, B) end)
    ends("timeout", function(cluster) cluster:partition({ A }, { B }) end)
    ends("timeout", function(cluster)
      cluster:pause(B)
      banyan.sleep(40000)
      cluster:resume(B)
    end)
  end)

  it("needs addresses that are different", function()
    local report = lockstep.run(function()
      local cluster = lockstep.cluster { nodes = { { A, C }, { B } } }
      local why = ending(cluster, B, "banyan://a:1", KEY)
      error(why(), 0)
    end, { iterations = 1, clock = "idle", max_steps = 1e6 })
    assert.is_false(report.ok)
    assert.truthy(tostring(report):find(
      "a:1 is the address of both a@a:1 and c@a:1", 1, true), tostring(report))
  end)

  it("leaves connections without a mark to the node", function()
    for _, bytes in ipairs { "short", ("x"):rep(100) } do
      body({ { A }, { B } }, function(cluster)
        accept(cluster, B)
        local heard = {}
        cluster:spawn(A, function()
          local transport = core.kept().transport
          local me = banyan.self()
          transport.connect(me, "b", 1, function(err, stream)
            heard.open = not err
            stream:attach(me, {
              read = function(_, data) heard.over = data == nil end,
              written = function() heard.written = true end,
            })
            stream:write(bytes)
          end)
          banyan.receive()
        end)
        banyan.sleep(20000)
        -- The node's own handshake has ended it.
        assert.same({ open = true, written = true, over = true }, heard)
        assert.equal(0, run_on(cluster, B, peers.count_peers))
      end)
    end
  end)
end)
