-- A hidden node is connected to the nodes that it dialled, and is not a member.

local core = require "banyan.core"
local network = require "spec.support.network"

local A, B, H = "a@h:1", "b@h:1", "hidden@h:1"

describe("a hidden node", function()
  local net

  before_each(function()
    net = network.new()
    net:node(A)
    net:node(B)
    net:connect()
    net:node(H, { hidden = true, quiet = true })
    net:on(H, function() assert(core.connect(A)) end)
  end)
  after_each(function() net:close() end)

  local function names(node)
    local list
    net:on(node, function() list = core.nodes() end)
    assert.same(list, net:find(node).core:nodes())
    return list
  end

  it("is in the list of no node, and has an empty list itself", function()
    net:pass(2000)
    assert.same({ B }, names(A))
    assert.same({ A }, names(B))
    assert.same({}, names(H))
  end)

  it("causes no nodeup, nodedown or event when it comes or goes", function()
    local got = {}
    net:find(B).core:spawn(function()
      core.monitor_nodes(true)
      while true do table.insert(got, core.receive()) end
    end)
    net:on(H, function()
      assert(core.connect(B))
      assert(core.disconnect(B))
    end)
    net:pass(2000)
    assert.same({}, got)
    for _, node in ipairs { A, B } do
      assert.same({}, net:events_named("node_up", node, H))
      assert.same({}, net:events_named("node_down", node, H))
    end
  end)

  it("is not announced to other nodes, nor are they to it", function()
    net:node("c@h:1")
    net:on("c@h:1", function() assert(core.connect(A)) end)
    net:pass(5000)
    assert.same({ A, B }, names("c@h:1"))
    assert.equal(1, net:connections(H, A))
    for _, other in ipairs { B, "c@h:1" } do
      assert.equal(0, net:connections(H, other))
      assert.equal(0, net:connections(other, H))
    end
  end)

  it("is not dialled by the nodes that it dialled", function()
    net:kill(H, "kill")
    net:pass(20000)
    assert.equal(0, net:connections(A, H))
    assert.same({}, net:events_named("link_failed", A, H))
  end)

  it("exchanges messages, calls, links and monitors", function()
    local pid
    net:on(A, function()
      pid = core.spawn(function()
        local from = core.receive()
        core.send(from, "answer")
        core.receive()
        core.exit("done")
      end)
    end)
    net:on(H, function()
      core.trap_exit(true)
      local ref = core.monitor(pid)
      core.link(pid)
      core.send(pid, core.self())
      assert.equal("answer", core.receive())
      core.send(pid, "go")
      local seen = {}
      for _ = 1, 2 do
        local msg = core.receive()
        assert.equal("done", msg.reason)
        seen[msg.tag] = msg.ref or true
      end
      assert.same({ EXIT = true, DOWN = ref }, seen)
    end)
  end)

  it("gets noconnection when its connection is lost", function()
    local reason
    net:on(A, function() core.register("there", core.spawn(core.receive)) end)
    net:find(H).core:spawn(function()
      core.monitor { name = "there", node = A }
      reason = core.receive().reason
    end)
    net:pass(100)
    net:kill(A, "kill")
    net:run(function() return reason ~= nil end)
    assert.equal("noconnection", reason)
  end)

  it("that is idle neither sends heartbeats nor expects any", function()
    net:pass(60000)
    local moved = net.virtual:path(H, A).pipes[1].queued
    assert.equal(0, moved)
    assert.equal(1, net:connections(H, A))
    local ok
    net:on(H, function()
      ok = core.send({ name = "nobody", node = A }, "hello")
    end)
    assert.is_true(ok)
  end)
end)
