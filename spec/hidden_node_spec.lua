-- A hidden node is connected to the nodes it dialled, and is no member.

local core = require "banyan.core"
local virtual = require "spec.support.virtual"

local A, B, H = "a@h:1", "b@h:1", "hidden@h:1"

describe("a hidden node", function()
  local rig

  before_each(function()
    rig = virtual.new()
    rig:node(A)
    rig:node(B)
    rig:connect()
    rig:node(H, { hidden = true, quiet = true })
    rig:on(H, function() assert(core.connect(A)) end)
  end)
  after_each(function() rig:close() end)

  local function names(node)
    local list
    rig:on(node, function() list = core.nodes() end)
    assert.same(list, rig.net.sites[node].core:nodes())
    return list
  end

  it("is in nobody's list, and has none itself", function()
    rig:run_for(2000)
    assert.same({ B }, names(A))
    assert.same({ A }, names(B))
    assert.same({}, names(H))
  end)

  it("raises neither nodeup nor events, when it goes either", function()
    local got = {}
    rig.net.sites[B].core:spawn(function()
      core.monitor_nodes(true)
      while true do table.insert(got, core.receive()) end
    end)
    rig:on(H, function()
      assert(core.connect(B))
      assert(core.disconnect(B))
    end)
    rig:run_for(2000)
    assert.same({}, got)
    for _, node in ipairs { A, B } do
      assert.same({}, rig:events(node, "node_up", H))
      assert.same({}, rig:events(node, "node_down", H))
    end
  end)

  it("is not told of to others, and told of none itself", function()
    rig:node("c@h:1")
    rig:on("c@h:1", function() assert(core.connect(A)) end)
    rig:run_for(5000)
    assert.same({ A, B }, names("c@h:1"))
    assert.equal(1, rig.net:path(H, A).top)
    for _, other in ipairs { B, "c@h:1" } do
      assert.equal(0, rig.net:path(H, other).top)
      assert.equal(0, rig.net:path(other, H).top)
    end
  end)

  it("is not dialled by those it came to", function()
    rig:crash(H, "kill")
    rig:run_for(20000)
    assert.equal(0, rig.net:path(A, H).top)
    assert.same({}, rig:events(A, "link_failed", H))
  end)

  it("exchanges messages, calls, links and monitors", function()
    local pid
    rig:on(A, function()
      pid = core.spawn(function()
        local from = core.receive()
        core.send(from, "answer")
        core.receive()
        core.exit("done")
      end)
    end)
    rig:on(H, function()
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

  it("is told of the end of a connection as anybody", function()
    local reason
    rig:on(A, function() core.register("there", core.spawn(core.receive)) end)
    rig.net.sites[H].core:spawn(function()
      core.monitor { name = "there", node = A }
      reason = core.receive().reason
    end)
    rig:run_for(100)
    rig:crash(A, "kill")
    rig:run(function() return reason ~= nil end)
    assert.equal("noconnection", reason)
  end)

  it("that is quiet sends no heartbeats and misses none", function()
    rig:run_for(60000)
    local moved = rig.net:path(H, A).pipes[1].queued
    assert.equal(0, moved)
    assert.equal(1, rig.net:path(H, A).top)
    local ok
    rig:on(H, function()
      ok = core.send({ name = "nobody", node = A }, "hello")
    end)
    assert.is_true(ok)
  end)
end)
