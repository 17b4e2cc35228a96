-- A link outlives its connections: what processes see of connections that
-- break and fall silent between nodes that live, which is nothing.

local core = require "banyan.core"
local remote = require "spec.support.remote"

local A, B, SEEDS = remote.A, remote.B, remote.SEEDS
local spawn_on = remote.spawn_on
local servant = remote.servant

local net
local function nodes(...) net = remote.nodes(...) end

after_each(remote.close)

local function nobody_is_down()
  assert.same({}, net:events_named "node_down")
end

describe("a connection that breaks", function()
  it("loses, doubles and reorders nothing", function()
    for seed = 1, SEEDS do
      nodes({ A, B }, nil, seed)
      local here, there = {}, {}
      local function collect(list)
        return function()
          while true do list[#list + 1] = core.receive() end
        end
      end
      local pids = { spawn_on(A, collect(here)), spawn_on(B, collect(there)) }
      local function stream(pid)
        return function()
          for i = 1, 200 do
            core.send(pid, i)
            if i % 7 == 0 then core.sleep(net:random(3) - 1) end
          end
        end
      end
      spawn_on(A, stream(pids[2]))
      spawn_on(B, stream(pids[1]))
      for _ = 1, 20 do
        net:pass(net:random(10))
        net:cut(A, B)
      end
      net:run(function() return #here >= 200 and #there >= 200 end)
      net:pass(100)
      assert.equal(200, #here)
      assert.equal(200, #there)
      for i = 1, 200 do
        assert.equal(i, here[i])
        assert.equal(i, there[i])
      end
      nobody_is_down()
      net:close()
    end
  end)

  it("is told to no process", function()
    nodes { A, B }
    local pid = servant(B, "s")
    net:on(A, function()
      core.monitor_nodes(true)
      core.trap_exit(true)
      core.link(pid)
      core.monitor(pid)
      core.monitor { name = "s", node = B }
      local ref = core.request(pid, "silence")
      for _ = 1, 10 do
        net:cut(A, B)
        assert.equal("x", (core.call(pid, "x")))
        assert.same({ B }, core.nodes())
      end
      assert.same({ nil, "timeout" }, { core.receive(10000) })
      pid:exit("enough")
      local tags = {}
      for _ = 1, 4 do
        local msg = core.receive(1000)
        tags[#tags + 1] = msg.ref == ref and "reply" or msg.tag
      end
      table.sort(tags)
      assert.same({ "DOWN", "DOWN", "EXIT", "reply" }, tags)
    end)
    assert.is_true(#net:events_named("link_broken", A, B) > 0)
    assert.equal(#net:events_named("link_broken", A, B),
      #net:events_named("link_resumed", A, B))
    nobody_is_down()
  end)

  it("keeps what is sent until there is another", function()
    nodes { A, B }
    local pid = servant(B)
    net:on(A, function()
      net:hold(A, B, true)
      net:hold(B, A, true)
      net:cut(A, B)
      core.spawn(function()
        core.sleep(1500)
        net:hold(A, B, false)
        net:hold(B, A, false)
      end)
      assert.equal("x", (core.call(pid, "x", 5000)))
    end)
    nobody_is_down()
  end)

  it("costs the node that is not back within reconnect_ms", function()
    nodes({ A, B }, { reconnect_ms = 300 })
    net:hold(A, B, true)
    net:hold(B, A, true)
    net:cut(A, B)
    net:hold(A, B, true)
    net:run(function() return #net:events_named("node_down", A, B) == 1 end)
  end)

  it("may not take longer than down_after_ms to be missed", function()
    nodes({ A, B })
    local from = net:time(A)
    net:hold(A, B, true)
    net:hold(B, A, true)
    net:run(function() return #net:events_named("node_down", A, B) == 1 end)
    assert.equal("timeout", net:events_named("node_down", A, B)[1].reason)
    assert.is_true(net:time(A) - from < 5500)
  end)
end)

describe("a node that is killed", function()
  it("is missed at once, by the refusal of its host", function()
    nodes { A, B }
    net:pass(100)
    local from = net:time(A)
    net:kill(B)
    net:run(function() return #net:events_named("node_down", A, B) == 1 end)
    assert.equal("econnrefused", net:events_named("node_down", A, B)[1].reason)
    assert.is_true(net:time(A) - from < 10)
  end)
end)
