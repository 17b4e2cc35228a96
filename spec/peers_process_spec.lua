-- Peer connections between OS processes: the other side is killed, stopped,
-- ended in order, or under the other Lua.

local banyan = require "banyan"
local bridges = require "spec.support.bridges"
local cluster = require "spec.support.cluster"
local lua = require "spec.support.lua"
local peers = require "banyan.peers"
local uv = require "luv"

local OTHER = {
  lua = lua.other,
  env = {
    LUA_CPATH = ("./build/%s-test/?.so;;"):format(lua.other),
    LD_PRELOAD = false,
  },
}

local here_and_there = lua.finds(lua.other) and it or pending

local function url(node)
  return "banyan://" .. node.name:match "@(.*)$"
end

-- Has a node accept peers, and answers once it does.
local function serve(c, node)
  node:open([[
    local peers = require "banyan.peers"
    assert(peers.start_link())
    _G.heard = {}
    peers.serve("double", function(n) return 2 * n end)
    peers.serve("integer", function() return 2 ^ 53 == 2 ^ 53 + 1 end)
    peers.serve("echo", function(...) return ... end)
    peers.advertise("here", "advertised")
    assert(peers.accept {
      realm = "test", secret = "the secret of the realm",
      on_down = function(_, reason) table.insert(_G.heard, reason) end,
    })
    _G.serves = true
  ]])
  c:wait("it accepts", function() return node:call "return _G.serves" end)
end

local function connected(c, node, on_down)
  local p = assert(peers.start_peer(url(node), {
    realm = "test", secret = bridges.SECRET, on_down = on_down,
    timeout_ms = 60000,
  }))
  c:wait("it is connected", function()
    local info = assert(peers.info(p))
    return info.state == "connected"
  end)
  return p
end

describe("a peer in another OS process", function()
  it("publishes and is called, in both directions", function()
    cluster.run(function(c)
      assert(peers.start_link())
      local a = c:start "a"
      serve(c, a)
      local p = connected(c, a)
      assert.equal(42, peers.call(p, "double", 21))
      assert.same({ "advertised" }, peers.discover(p, "here"))
      peers.serve("triple", function(n) return 3 * n end)
      assert.equal(21, a:call [[
        local peers = require "banyan.peers"
        return (peers.call(peers.list_peers()[1], "triple", 7))
      ]])
      peers.subscribe(p, "t")
      c:wait("it has heard of the subscription", function()
        return a:call [[
          local peers = require "banyan.peers"
          return peers.info(peers.list_peers()[1]).topics
        ]] == 1
      end)
      assert.is_true(a:call [[
        local peers = require "banyan.peers"
        return (peers.publish(peers.list_peers()[1], "t", "from there"))
      ]])
      assert.equal("from there", banyan.receive(60000).msg)
    end)
  end)

  it("that is killed ends: 1,000 at once, counted, each told of", function()
    cluster.run(function(c)
      local N = 1000
      local sup = assert(peers.start_link())
      local a, b = c:start("a", "b")
      serve(c, a)
      serve(c, b)
      local heard, up, list = {}, 0, {}
      for i = 1, N do
        list[i] = assert(peers.start_peer(url(a), {
          realm = "test", secret = bridges.SECRET, timeout_ms = 60000,
          on_up = function() up = up + 1 end,
          on_down = function(pid, reason) heard[pid] = reason end,
        }))
      end
      assert.equal(N, peers.count_peers())
      c:wait("all are connected", function() return up == N end)
      assert.equal(N, a:call "return require 'banyan.peers'.count_peers()")
      local alone = connected(c, b)
      assert.equal(N + 1, peers.count_peers())
      local first = bridges.watch(list[1])
      a:kill()
      c:wait("all are gone", function() return peers.count_peers() == 1 end)
      assert.same({ alone }, peers.list_peers())
      c:wait("all are told of", function()
        local count = 0
        for _ in pairs(heard) do count = count + 1 end
        return count == N
      end)
      for _, pid in ipairs(list) do
        local reason = heard[pid]
        assert.is_true(reason == "closed" or reason == "econnreset"
          or reason == "epipe", tostring(reason))
      end
      assert.equal(heard[list[1]], first())
      assert.is_true(banyan.whereis "banyan.peers" == sup)
      assert.equal(42, peers.call(alone, "double", 21))
      local later = connected(c, b)
      assert.equal(42, peers.call(later, "double", 21))
    end)
  end)

  it("that is stopped falls silent, and is given up", function()
    cluster.run(function(c)
      assert(peers.start_link { heartbeat_ms = 50, down_after_ms = 1000 })
      local a = c:start "a"
      serve(c, a)
      local reason
      local p = connected(c, a, function(_, why) reason = why end)
      local down = bridges.watch(p)
      uv.kill(a.pid, "sigstop")
      assert.equal("timeout", down())
      c:wait("on_down is called", function() return reason end)
      assert.equal("timeout", reason)
      uv.kill(a.pid, "sigcont")
      c:wait("the other side hears of it", function()
        return a:try [[return tostring(_G.heard[1])]] ~= "nil"
      end)
    end)
  end)

  it("that ends in order says goodbye", function()
    cluster.run(function(c)
      assert(peers.start_link())
      local a = c:start "a"
      serve(c, a)
      local down = bridges.watch(connected(c, a))
      uv.kill(a.pid, "sigterm")
      assert.same({ "bye", "shutdown" }, down())
    end)
  end)

  it("does not hold a publisher up for long if it reads nothing", function()
    cluster.run(function(c)
      assert(peers.start_link())
      local a = c:start "a"
      serve(c, a)
      local p = connected(c, a)
      a:call [[
        local peers = require "banyan.peers"
        local banyan = require "banyan"
        banyan.spawn(function()
          assert(peers.subscribe(peers.list_peers()[1], "t"))
          banyan.receive(function() return false end)
        end)
      ]]
      c:wait("it has subscribed", function()
        return peers.info(p).topics == 1
      end)
      uv.kill(a.pid, "sigstop")
      local text, answer = ("x"):rep(2 ^ 20), nil
      for _ = 1, 100 do
        answer = { peers.publish(p, "t", text) }
        if answer[1] ~= true then break end
      end
      assert.is_nil(answer[1])
      assert.is_true(answer[2] == "timeout" or answer[2] == "noproc")
      assert.is_true(peers.count_peers() <= 1)
      uv.kill(a.pid, "sigkill")
      c:wait("it is gone", function() return peers.count_peers() == 0 end)
    end)
  end)

  here_and_there("may be under another Lua", function()
    cluster.run(function(c)
      assert(peers.start_link())
      local a = c:launch(c:name "a", OTHER)
      c:await(a)
      serve(c, a)
      local p = connected(c, a)
      local value = { 1, -2 ^ 31, 0.5, "\0\255", { deep = { true } } }
      assert.same(value, (peers.call(p, "echo", value)))
      assert.same({ "advertised" }, peers.discover(p, "here"))
      if not lua.integers then return end
      bridges.fails("9007199254740993", peers.call, p, "echo",
        load "return 9007199254740993" ())
    end)
  end)
end)
