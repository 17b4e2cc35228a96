-- Using other nodes must not leak memory.

local core = require "banyan.core"
local lua = require "spec.support.lua"
local remote = require "spec.support.remote"

local A, B = remote.A, remote.B
local node = remote.node
local spawn_on = remote.spawn_on
local obey = remote.obey
local servant = remote.servant
local assert_unrelated = remote.assert_unrelated

local net
local function nodes(...) net = remote.nodes(...) end

after_each(remote.close)

describe("no memory is leaked", function()
  it("after thousands of calls, monitors, links and messages", function()
    nodes { A, B }
    local pid, mine = servant(B), spawn_on(A, obey)
    local function work()
      core.trap_exit(true)
      for i = 1, 1000 do
        assert.equal(i, (core.call(pid, i)))
        local ref = core.monitor(pid)
        core.link(pid)
        core.request(pid, i)
        core.receive()
        core.demonitor(ref)
        core.unlink(pid)
        assert.is_nil((core.call(pid, "silence", 0)))
        core.send(pid, { echo = { core.make_ref() }, to = core.self() })
        core.receive()
      end
    end
    local function ends()
      for _ = 1, 300 do
        local one = spawn_on(B, function() core.receive() end)
        net:on(A, function()
          core.trap_exit(true)
          core.monitor(one)
          core.link(one)
          core.send(one, 1)
          core.receive()
          core.receive()
        end)
      end
    end
    local function all()
      node(A):send(mine, { run = work })
      net:settle()
      ends()
      net:settle()
      net.events = {}
    end
    all()
    local before = lua.in_use()
    all()
    all()
    assert_unrelated(B, pid)
    assert_unrelated(A, mine)
    assert.equal(1, node(A):process_count())
    assert.equal(1, node(B):process_count())
    assert.is_true(lua.in_use() < before + 50, "memory grew")
  end)

  it("after many disconnects and restarts of the peer", function()
    nodes { A, B }
    local mine = spawn_on(A, obey)
    local function all()
      for _ = 1, 50 do
        local pid = servant(B)
        net:on(A, function()
          assert.is_true(core.connect(B, 60000))
          core.trap_exit(true)
          core.link(pid)
          core.monitor(pid)
          core.call(pid, core.self())
          core.request(pid, "silence")
        end)
        net:kill(B)
        net:node(B)
        net:settle()
      end
      net.events = {}
    end
    all()
    local before = lua.in_use()
    all()
    all()
    assert_unrelated(A, mine)
    assert.equal(1, node(A):process_count())
    assert.is_true(lua.in_use() < before + 50, "memory grew")
  end)
end)
