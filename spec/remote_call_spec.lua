-- Calls and requests to another node.

local core = require "banyan.core"
local remote = require "spec.support.remote"

local A, B, C = remote.A, remote.B, remote.C
local spawn_on = remote.spawn_on
local servant = remote.servant
local drain = remote.drain
local only = remote.only
local assert_unrelated = remote.assert_unrelated

local net
local function nodes(...) net = remote.nodes(...) end

after_each(remote.close)

describe("a call to another node", function()
  it("answers, by pid and by name", function()
    nodes { A, B }
    local pid = servant(B, "s")
    net:on(A, function()
      assert.same({ "x", pid }, { core.call(pid, "x") })
      local name = { name = "s", node = B }
      assert.same({ { 1 }, pid }, { core.call(name, { 1 }) })
    end)
  end)

  it("answers many values, also nil", function()
    nodes { A, B }
    local pid = spawn_on(B, function()
      core.reply(core.receive().from, nil, 2, nil, "4", nil)
      core.reply(core.receive().from)
    end)
    net:on(A, function()
      local function count(...) return select("#", ...), ... end
      assert.same({ 5, nil, 2, nil, "4" }, { count(core.call(pid, 1)) })
      assert.equal(0, (count(core.call(pid, 1))))
    end)
  end)

  it("may be answered by a third process, of any node", function()
    nodes { A, B, C }
    net:on(B, function() assert(core.connect(C)) end)
    local helpers = {
      servant(A), servant(B), servant(C),
    }
    local server = spawn_on(B, function()
      while true do
        local msg = core.receive()
        core.send(msg.msg, { from = msg.from })
      end
    end)
    for i, where in ipairs { A, B, C } do
      local helper = spawn_on(where, function()
        while true do core.reply(core.receive().from, where) end
      end)
      net:on(A, function()
        assert.equal(where, (core.call(server, helper)))
        assert.equal("timeout", select(2, core.call(server, helpers[i], 10)))
      end)
      assert_unrelated(B, server)
    end
  end)

  it("that timed out drops a late reply", function()
    nodes { A, B }
    local late
    local pid = spawn_on(B, function()
      late = core.receive().from
      core.receive()
      core.reply(late, "late")
      core.send(core.receive(), "done")
    end)
    net:on(A, function()
      assert.same({ nil, "timeout" }, { core.call(pid, 1, 50) })
      core.send(pid, "now")
      core.send(pid, core.self())
      assert.equal("done", only())
    end)
  end)

  it("at the same time as a request does not mix up the replies", function()
    nodes { A, B }
    local froms = {}
    local pid = spawn_on(B, function()
      froms[1] = core.receive().from
      froms[2] = core.receive().from
      core.reply(froms[1], "to the request")
      core.receive()
      core.reply(froms[2], "late")
      core.send(core.receive(), "done")
    end)
    net:on(A, function()
      local ref = core.request(pid, 1)
      assert.same({ nil, "timeout" }, { core.call(pid, 2, 50) })
      core.send(pid, "now")
      core.send(pid, core.self())
      local all = drain()
      assert.equal(2, #all)
      assert.same({ tag = "reply", ref = ref, n = 1, "to the request" },
        all[1])
      assert.equal("done", all[2])
    end)
  end)

  it("to a dead process, an unknown name or a lost node fails", function()
    nodes { A, B }
    local dead = spawn_on(B, function() end)
    net:settle()
    net:on(A, function()
      assert.same({ nil, "noproc" }, { core.call(dead, 1) })
      local here, far = { name = "no", node = B }, { name = "no", node = C }
      assert.same({ nil, "noproc" }, { core.call(here, 1) })
      assert.same({ nil, "noconnection" }, { core.call(far, 1) })
      for dest, reason in pairs {
        [dead] = "noproc", [{ name = "no", node = B }] = "noproc",
        [{ name = "no", node = C }] = "noconnection",
      } do
        local ref = core.request(dest, 1)
        assert.same({ tag = "reply", ref = ref, n = 2, [2] = reason }, only())
      end
    end)
  end)

  it("answers the exit reason of a server that ends", function()
    nodes { A, B }
    local one, two = servant(B), servant(B)
    net:on(A, function()
      assert.same({ nil, "died" }, { core.call(one, "die") })
      local ref = core.request(two, "die")
      assert.same({ tag = "reply", ref = ref, n = 2, [2] = "died" }, only())
    end)
  end)

  it("of a caller that ends leaves nothing at the server", function()
    nodes { A, B }
    local pid = servant(B)
    net:on(A, function()
      local caller = core.spawn(function() core.call(pid, "silence") end)
      core.sleep(10)
      caller:exit("kill")
      core.sleep(10)
    end)
    net:settle()
    assert_unrelated(B, pid)
  end)
end)

it("a request to oneself is answered calling_self", function()
  nodes { A }
  net:on(A, function()
    local ref = core.request(core.self(), 1)
    assert.same({ tag = "reply", ref = ref, n = 2, [2] = "calling_self" },
      only())
  end)
end)
