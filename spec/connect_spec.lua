-- How nodes connect to each other, and which processes get nodeup and nodedown.

local core = require "banyan.core"
local remote = require "spec.support.remote"

local A, B, C, SEEDS = remote.A, remote.B, remote.C, remote.SEEDS
local node = remote.node
local spawn_on = remote.spawn_on
local drain = remote.drain

local net
local function strangers(...) net = remote.strangers(...) end
local function nodes(...) net = remote.nodes(...) end

after_each(remote.close)

describe("connect", function()
  it("answers true, also for a node that is connected already", function()
    nodes { A, B }
    net:on(A, function()
      assert.is_true(core.connect(B))
      assert.is_true(core.connect(A))
      assert.same({ B }, core.nodes())
      assert.equal(A, core.node_name())
    end)
    net:on(B, function() assert.same({ A }, core.nodes()) end)
  end)

  it("answers why the first attempt failed", function()
    nodes { A }
    net:node(B, { secret = "another" })
    net:on(A, function()
      assert.same({ nil, "econnrefused" }, { core.connect(C) })
      assert.same({ nil, "bad_secret" }, { core.connect(B) })
      assert.same({}, core.nodes())
      assert.is_false(pcall(core.connect, "no name"))
    end)
  end)

  it("answers timeout while the peer is silent, and true later", function()
    nodes { A }
    net:node(B)
    net:hold(A, B, true)
    net:hold(B, A, true)
    net:on(A, function()
      assert.same({ nil, "timeout" }, { core.connect(B, 100) })
      assert.same({ nil, "handshake_timeout" }, { core.connect(B, 20000) })
      net:hold(A, B, false)
      net:hold(B, A, false)
      assert.is_true(core.connect(B, 60000))
    end)
  end)

  it("answers each of many callers once", function()
    nodes { A }
    net:node(B)
    local answers = {}
    for i = 1, 20 do
      local name = i % 2 == 0 and B or C
      spawn_on(A, function()
        local answer = { name, core.connect(name) }
        answers[#answers + 1] = answer
        assert.is_nil((core.receive(10000)))
      end)
    end
    net:pass(20000)
    assert.equal(20, #answers)
    for _, answer in ipairs(answers) do
      if answer[1] == B then
        assert.is_true(answer[2])
      else
        assert.equal("econnrefused", answer[3])
      end
    end
  end)

  it("answers disconnected when another process disconnects", function()
    nodes { A }
    net:node(B)
    for _, held in ipairs { false, true } do
      local answer
      net:hold(A, B, held)
      spawn_on(A, function() answer = { core.connect(B, "infinity") } end)
      if held then net:settle() end
      net:on(A, function() core.disconnect(B) end)
      net:pass(1000)
      assert.same({ nil, "disconnected" }, answer)
    end
  end)

  it("fails while the driver has no entropy, and works afterwards", function()
    nodes { A }
    local broken = true
    local real = function(n) return ("x"):rep(n) end
    net:node(B, { entropy = function(n)
      if broken then error("no entropy") end
      return real(n)
    end })
    net:on(B, function()
      local ok, err = core.connect(A)
      assert.is_nil(ok)
      assert.truthy(err)
      broken = false
      assert.is_true(core.connect(A, 60000))
    end)
  end)
end)

describe("nodes", function()
  it("connect to each other through a node that both know", function()
    for seed = 1, SEEDS do
      strangers({ A, B, C }, nil, seed)
      net:on(B, function() assert(core.connect(C)) end)
      net:on(A, function()
        assert(core.connect(B))
        core.monitor_nodes(true)
        if #core.nodes() < 2 then
          assert.equal(C, core.receive(10000).node)
        end
        assert.same({ B, C }, core.nodes())
      end)
      net:pass(1000)
      net:on(C, function() assert.same({ A, B }, core.nodes()) end)
      net:close()
    end
  end)

  it("send nodeup to processes in the order of their pids", function()
    strangers({ A, B }, nil, "tame")
    local expected, order = {}, {}
    for i = 1, 50 do
      expected[i] = i
      spawn_on(A, function()
        core.monitor_nodes(true)
        core.receive()
        order[#order + 1] = i
      end)
    end
    net:settle()
    net:on(A, function() assert(core.connect(B)) end)
    net:settle()
    assert.same(expected, order)
  end)

  it("that dial each other at the same time keep one link", function()
    for seed = 1, 3 * SEEDS do
      strangers({}, nil, seed)
      local answers = {}
      for _, pair in ipairs { { A, B }, { B, A } } do
        net:node(pair[1])
        spawn_on(pair[1], function()
          core.monitor_nodes(true)
          core.sleep(seed % 3 == 0 and 1 or net:random(3))
          local answer = core.connect(pair[2])
          answers[#answers + 1] = answer
          core.sleep(5000)
          local ups = drain()
          assert.equal(1, #ups)
          assert.equal("nodeup", ups[1].tag)
          answers[#answers + 1] = "one nodeup"
        end)
      end
      net:pass(20000)
      table.sort(answers, function(x, y) return tostring(x) < tostring(y) end)
      assert.same({ "one nodeup", "one nodeup", true, true }, answers)
      assert.equal(2, net:count("node_up"))
      assert.equal(0, net:count("node_down"))
      assert.equal(1, net:connections(A, B))
      net:close()
    end
  end)

  it("are reported up before their first message arrives", function()
    for seed = 1, SEEDS do
      strangers({ A, B }, nil, seed)
      local first = {}
      for _, name in ipairs { A, B } do
        spawn_on(name, function()
          core.register("watch")
          core.monitor_nodes(true)
          first[name] = core.receive()
        end)
      end
      net:settle()
      for here, there in pairs { [A] = B, [B] = A } do
        spawn_on(here, function()
          core.monitor_nodes(true)
          core.receive()
          core.send({ name = "watch", node = there }, { tag = "hello" })
        end)
      end
      net:settle()
      net:on(A, function() assert(core.connect(B)) end)
      net:settle()
      assert.equal("nodeup", first[A].tag)
      assert.equal("nodeup", first[B].tag)
      assert.equal(B, first[A].node)
      net:close()
    end
  end)

  it("are reported only to processes that called monitor_nodes", function()
    nodes { A, B }
    net:on(A, function()
      assert.is_true(core.monitor_nodes(true))
      assert.is_true(core.monitor_nodes(true))
      core.disconnect(B)
      local msg = core.receive(0)
      assert.equal("nodedown", msg.tag)
      assert.equal(B, msg.node)
      assert.is_true(core.monitor_nodes(false))
      assert.is_true(core.connect(B))
      assert.same({}, drain())
    end)
  end)

  it("that were disconnected are not dialled again", function()
    nodes { A, B }
    net:on(A, function() core.disconnect(B) end)
    local before = net:count("node_up")
    net:on(A, function() core.sleep(60000) end)
    assert.equal(before, net:count("node_up"))
    net:on(A, function() assert.is_true(core.connect(B)) end)
    assert.is_true(net:count("node_up") > before)
  end)

  it("that shut down neither dial nor accept connections", function()
    nodes { A, B }
    net:node(C)
    node(A):shutdown()
    net:settle()
    local ups = net:count("node_up")
    net:pass(10000)
    assert.equal(ups, net:count("node_up"))
    assert.same({ nil, "shutdown" }, { node(A):accepted(net:time(A)) })
  end)

  it("must have a name that other nodes can dial", function()
    local ok, err = pcall(core.node, { name = "no name", incarnation = 1,
      secret = "x", entropy = print })
    assert.is_false(ok)
    assert.truthy(tostring(err):find("name", 1, true))
  end)

  it("that could not be created leave nothing behind", function()
    for _ = 1, 2 do
      assert.is_false(pcall(core.node, { name = C, incarnation = 77 }))
    end
    local made = core.node { name = C, incarnation = 77, secret = "x",
      entropy = print }
    made:close()
  end)
end)
