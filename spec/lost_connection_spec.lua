-- The messages that a process gets when another node is lost.

local core = require "banyan.core"
local remote = require "spec.support.remote"

local A, B, SEEDS = remote.A, remote.B, remote.SEEDS
local node = remote.node
local spawn_on = remote.spawn_on
local servant = remote.servant
local drain = remote.drain
local only = remote.only

local net
local function nodes(...) net = remote.nodes(...) end

after_each(remote.close)

describe("a lost node", function()
  -- Has a process use B in every way; returns the messages it gets.
  local function tied(break_it)
    local messages
    local pid = servant(B, "s")
    net:on(A, function()
      core.trap_exit(true)
      local me = core.self()
      local refs = {}
      core.spawn(function()
        core.send(me, { call = { core.call(pid, "silence", 60000) } })
      end)
      core.monitor_nodes(true)
      core.link(pid)
      refs.monitor = core.monitor(pid)
      refs.named = core.monitor { name = "s", node = B }
      refs.request = core.request(pid, "silence")
      core.sleep(10)
      break_it(pid)
      messages = drain()
      messages.refs, messages.pid = refs, pid
      core.monitor_nodes(false)
    end)
    return messages
  end

  local function check(messages, reason)
    local refs, pid = messages.refs, messages.pid
    local seen = {}
    for i, msg in ipairs(messages) do
      local key = msg.call and "call" or msg.tag == "DOWN" and
        (msg.ref == refs.monitor and "monitor" or "named") or msg.tag
      assert.is_nil(seen[key], "twice: " .. key)
      seen[key] = msg
      msg.at = i
    end
    assert.same({ nil, "noconnection" }, seen.call.call)
    assert.equal("noconnection", seen.EXIT.reason)
    assert.equal(pid, seen.EXIT.from)
    assert.equal("noconnection", seen.monitor.reason)
    assert.equal("noconnection", seen.named.reason)
    assert.equal(refs.request, seen.reply.ref)
    assert.equal("noconnection", seen.reply[2])
    assert.equal(B, seen.nodedown.node)
    assert.equal(reason, seen.nodedown.info.reason)
    for _, key in ipairs { "EXIT", "monitor", "named", "reply" } do
      assert.is_true(seen[key].at < seen.nodedown.at,
        key .. " comes before nodedown")
    end
  end

  it("by a crash of the peer is signalled once to each process", function()
    for seed = 1, SEEDS do
      nodes({ A, B }, nil, seed)
      check(tied(function() net:kill(B) end), "econnrefused")
      net:close()
    end
  end)

  it("by silence is signalled once to each process", function()
    nodes({ A, B }, { down_after_ms = 300, heartbeat_ms = 100 })
    check(tied(function()
      net:hold(A, B, true)
      net:hold(B, A, true)
    end), "timeout")
  end)

  it("by a shutdown of the peer is signalled once to each process", function()
    nodes { A, B }
    check(tied(function()
      node(B):shutdown()
    end), "shutdown")
  end)

  it("by disconnect is signalled once to each process", function()
    nodes { A, B }
    check(tied(function()
      assert.is_true(core.disconnect(B))
      assert.same({ nil, "not_connected" }, { core.disconnect(B) })
    end), "disconnected")
  end)

  it("by disconnect lasts until one of the two nodes connects", function()
    nodes { A, B }
    net:on(A, function() core.disconnect(B) end)
    net:pass(60000)
    net:on(B, function()
      assert.same({}, core.nodes())
      assert.is_true(core.connect(A))
      assert.same({ A }, core.nodes())
    end)
  end)

  it("by a full queue is signalled at once", function()
    nodes({ A, B }, { max_queue = 100000 })
    local messages = tied(function(pid)
      net:hold(A, B, true)
      for _ = 1, 10 do
        -- outside of a process send cannot wait
        node(A):send(pid, ("x"):rep(50000))
      end
    end)
    check(messages, "overflow")
  end)

  it("ends a linked process that does not trap exits", function()
    nodes { A, B }
    local pid = servant(B)
    net:on(A, function()
      local _, ref = core.spawn_monitor(function()
        core.link(pid)
        core.receive()
      end)
      core.sleep(10)
      net:kill(B)
      local msg = only()
      assert.equal(ref, msg.ref)
      assert.equal("noconnection", msg.reason)
    end)
  end)

  it("may end the process that disconnects", function()
    nodes { A, B }
    local pid = servant(B)
    local after = false
    net:on(A, function()
      local _, ref = core.spawn_monitor(function()
        core.link(pid)
        core.disconnect(B)
        after = true
      end)
      local msg = only()
      assert.equal(ref, msg.ref)
      assert.equal("noconnection", msg.reason)
    end)
    assert.is_false(after)
  end)

  it("that comes back makes old pids work again", function()
    nodes { A, B }
    local pid = servant(B, "s")
    net:on(A, function()
      assert.equal("x", (core.call(pid, "x")))
      core.monitor_nodes(true)
      core.disconnect(B)
      assert.equal("nodedown", core.receive(1000).tag)
      assert.same({ nil, "noconnection" }, { core.call(pid, "x") })
      assert.is_true(core.send(pid, "lost"))
      assert.is_true(core.connect(B))
      assert.equal("nodeup", core.receive(60000).tag)
      assert.same({ "x", pid }, { core.call(pid, "x") })
    end)
  end)

  it("to a node that restarts leaves its old pids dead", function()
    nodes { A, B }
    local old = servant(B, "s")
    net:on(A, function()
      core.monitor_nodes(true)
      assert.equal("x", (core.call(old, "x")))
      net:kill(B)
      net:node(B)
      assert.equal("nodedown", core.receive(1000).tag)
      assert.equal("nodeup", core.receive(60000).tag)
      core.monitor_nodes(false)
      core.trap_exit(true)
      assert.same({ nil, "noproc" }, { core.call(old, "x") })
      assert.is_true(core.send(old, "x"))
      assert.is_true(core.cast(old, "x"))
      assert.is_true(old:exit("kill"))
      local ref = core.monitor(old)
      assert.same({ tag = "DOWN", ref = ref, pid = old, reason = "noproc" },
        only())
      core.link(old)
      assert.same({ tag = "EXIT", from = old, reason = "noproc" }, only())
      ref = core.request(old, 1)
      assert.same({ tag = "reply", ref = ref, n = 2, [2] = "noproc" }, only())
    end)
    local new = servant(B, "s")
    net:settle()
    net:on(A, function()
      assert.same({ "x", new }, { core.call({ name = "s", node = B }, "x") })
      assert.are_not.equal(old, new)
    end)
  end)

  it("loses the last messages and none before them", function()
    for seed = 1, SEEDS do
      nodes({ A, B }, nil, seed)
      local seen = {}
      local pid = spawn_on(B, function()
        while true do seen[#seen + 1] = core.receive() end
      end)
      net:on(A, function()
        for i = 1, 50 do
          core.send(pid, i)
          if i % 10 == 0 then core.sleep(0) end
          if i == 30 then core.disconnect(B) end
        end
      end)
      net:settle()
      for i, value in ipairs(seen) do assert.equal(i, value) end
      net:close()
    end
  end)

  it("by a shutdown loses nothing that was sent before", function()
    for seed = 1, SEEDS do
      nodes({ A, B }, nil, seed)
      local got = 0
      local pid = spawn_on(B, function()
        while true do
          core.receive()
          got = got + 1
        end
      end)
      local sent = false
      spawn_on(A, function()
        for _ = 1, 30 do core.send(pid, ("x"):rep(50000)) end
        sent = true
      end)
      net:run(function() return sent end)
      node(A):shutdown()
      net:settle()
      assert.equal(30, got)
      assert.equal("shutdown", net:events_named("node_down", B)[1].reason)
      net:close()
    end
  end)
end)
