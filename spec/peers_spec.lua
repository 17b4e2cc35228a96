-- Connections to nodes of other clusters: two nodes in one program. What OS
-- processes are needed for is in peers_process_spec.lua, hostile ends in
-- peers_hostile_spec.lua.

local banyan = require "banyan"
local bridges = require "spec.support.bridges"
local core = require "banyan.core"
local lockstep = require "banyan.lockstep"
local node_start = require "banyan".start
local peers = require "banyan.peers"
local supervisor = require "banyan.supervisor"
local Topics = require "banyan.peers.topics"

local connect, pair = bridges.connect, bridges.pair
local eventually, fails = bridges.eventually, bridges.fails

describe("topics", function()
  it("are found whole and by prefix", function()
    local topics = Topics.new()
    assert.is_true(topics:add("a.b", 1, "whole"))
    assert.is_false(topics:add("a.b", 2, "again"))
    assert.is_true(topics:add("a.*", 3, "prefix"))
    assert.is_true(topics:add("*", 4, "all"))
    local function find(topic)
      local list = topics:find(topic)
      table.sort(list)
      return table.concat(list, " ")
    end
    assert.equal("again all prefix whole", find "a.b")
    assert.equal("all prefix", find "a.")
    assert.equal("all", find "a")
    assert.equal("all", find "")
    assert.equal(3, topics.count)
    assert.is_false(topics:remove("a.b", 1))
    assert.is_false(topics:remove("a.b", 1))
    assert.is_true(topics:remove("a.b", 2))
    assert.is_true(topics:remove("*", 4))
    assert.is_false(topics:remove("none", 4))
    assert.equal("prefix", find "a.b")
    assert.is_false(topics:is_wanted "b")
    assert.is_true(topics:is_wanted "a.x")
    assert.same({ "a.*" }, topics:list())
  end)
end)

describe("a peer connection", function()
  it("is there at once, and then in the lists of both ends", function()
    pair(function(b)
      local p = assert(peers.start_peer(b:url(), bridges.REALM))
      assert.equal("connecting", peers.info(p).state)
      assert.same({ p }, peers.list_peers())
      eventually(function() return peers.info(p).state == "connected" end)
      eventually(function() return #b:peers() == 1 end)
      local other = b:peers()[1]
      local info = peers.info(p)
      assert.equal("out", info.direction)
      assert.equal(b:url(), info.url)
      assert.equal("test", info.realm)
      local there = b:on(function() return peers.info(other) end)
      assert.equal("in", there.direction)
      assert.equal("test", there.realm)
      assert.equal(1, b:on(peers.count_peers))
      assert.is_nil(peers.info(other))
      assert.same({}, banyan.nodes())
      assert.same({}, b:on(banyan.nodes))
    end)
  end)

  it("is another one each time", function()
    pair(function(b)
      local p, q = connect(b), connect(b)
      assert.is_true(p ~= q)
      assert.same({ p, q }, peers.list_peers())
      assert.equal(2, peers.count_peers())
      assert.equal(2, b:on(peers.count_peers))
      assert.is_true(peers.stop_peer(p))
      assert.same({ q }, peers.list_peers())
      peers.serve("here", function() return "a" end)
      eventually(function() return b:on(peers.count_peers) == 1 end)
      local other = b:peers()[1]
      assert.equal("a", b:on(function() return peers.call(other, "here") end))
    end)
  end)

  it("tells on_up and on_down of both ends", function()
    pair(function(b)
      local told = {}
      local function note(what)
        return function(pid, reason)
          told[#told + 1] = { what, pid, reason }
          assert(banyan.self()) -- it is a process, which may wait
          banyan.sleep(1)
        end
      end
      b:on(function()
        peers.accept {
          realm = "test", secret = bridges.SECRET, on_up = note "b up",
          on_down = note "b down",
        }
      end)
      local p, other = connect(b, { on_up = note "up", on_down = note "down" })
      eventually(function() return #told == 2 end)
      local why = bridges.watch(p)
      assert.is_true(peers.stop_peer(p))
      assert.equal("shutdown", why())
      eventually(function() return #told == 4 end)
      table.sort(told, function(x, y) return x[1] < y[1] end)
      assert.same({
        { "b down", other, { "bye", "shutdown" } }, { "b up", other },
        { "down", p, "shutdown" }, { "up", p },
      }, told)
    end)
  end)

  it("is stopped by anybody, once", function()
    pair(function(b)
      local p, other = connect(b)
      assert.is_true(b:on(function() return peers.stop_peer(other) end))
      assert.same({ nil, "not_found" },
        { b:on(function() return peers.stop_peer(other) end) })
      eventually(function() return peers.count_peers() == 0 end)
      assert.same({ nil, "not_found" }, { peers.stop_peer(p) })
      assert.same({ nil, "not_found" }, { peers.stop_peer(banyan.self()) })
      assert.same({ nil, "noproc" }, { peers.info(p) })
      assert.same({ nil, "noproc" }, { peers.publish(p, "t", 1) })
      assert.same({ nil, "noproc" }, { peers.call(p, "f") })
      assert.same({ nil, "noproc" }, { peers.subscribe(p, "t") })
      assert.same({ nil, "noproc" }, { peers.discover(p, "s") })
    end)
  end)

  it("has four children, by OTP's rules", function()
    pair(function(b)
      local p = connect(b)
      local list = supervisor.which_children(p)
      for i, row in ipairs(list) do
        assert.equal(bridges.IDS[i], row.id)
        assert.equal("running", row.state)
      end
      assert.same({ specs = 4, active = 4, supervisors = 0, workers = 4 },
        supervisor.count_children(p))
    end)
  end)

  it("that is refused ends, and says so", function()
    local events = pair(function(b)
      local function reason_of(opts, url)
        local heard
        opts.on_down = function(_, reason) heard = reason end
        local p = assert(peers.start_peer(url or b:url(), opts))
        local why = bridges.watch(p)()
        eventually(function() return heard end)
        assert.same(heard, why)
        assert.equal(0, peers.count_peers())
        return why
      end
      assert.equal("refused",
        reason_of { realm = "test", secret = "a wrong secret" })
      assert.equal("refused",
        reason_of { realm = "wrong", secret = bridges.SECRET })
      assert.equal("econnrefused", reason_of({
        realm = "test", secret = bridges.SECRET,
      }, "banyan://127.0.0.1:1"))
      assert.is_true(b:on(function() return peers.unaccept "test" end))
      assert.same({ nil, "not_accepted" },
        { b:on(function() return peers.unaccept "test" end) })
      assert.equal("refused",
        reason_of { realm = "test", secret = bridges.SECRET })
      assert.equal(0, b:on(peers.count_peers))
      assert.is_true(b:count "link_refused" >= 3)
    end)
    assert.is_true(#events > 0)
  end)

  it("has a secret of each realm", function()
    pair(function(b)
      b:on(function()
        peers.accept { realm = "r", secret = "a first secret" }
        peers.accept { realm = "r", secret = "a new secret" }
      end)
      local p = connect(b)
      connect(b, { realm = "r", secret = "a new secret" })
      local q = assert(peers.start_peer(b:url(),
        { realm = "r", secret = "a first secret" }))
      assert.equal("refused", bridges.watch(q)())
      assert.is_true(b:on(function() return peers.unaccept "r" end))
      assert.equal(2, peers.count_peers())
      assert.equal("connected", peers.info(p).state)
    end)
  end)

  it("times out where nobody answers", function()
    pair(function()
      local listener = assert(require "banyan.io".listen "127.0.0.1:0")
      local p = assert(peers.start_peer("banyan://" .. listener:address(),
        { secret = bridges.SECRET, timeout_ms = 20 }))
      assert.equal("timeout", bridges.watch(p)())
      listener:close()
    end)
  end)

  it("is refused beyond max_peers, at both ends", function()
    pair(function(b)
      connect(b)
      assert.same({ nil, "max_children" },
        { peers.start_peer(b:url(), bridges.REALM) })
      assert.equal(1, peers.count_peers())
    end, { max_peers = 1 })
  end)

  it("is not there without its supervisor, and ends with it", function()
    pair(function(b)
      local p = connect(b)
      assert.same({ nil, { "already_started", banyan.whereis "banyan.peers" } },
        { peers.start_link() })
      local why = bridges.watch(p)
      banyan.trap_exit(true)
      local heard
      local q = connect(b, { on_down = function(_, why_q) heard = why_q end })
      peers.serve("kept", function() return "kept" end)
      banyan.whereis "banyan.peers":exit "kill"
      assert.is_truthy(why())
      eventually(function() return heard end)
      assert.is_nil(peers.info(q))
      assert.equal(0, peers.count_peers())
      assert.same({ nil, "not_started" },
        { peers.start_peer(b:url(), bridges.REALM) })
      assert(peers.start_link())
      local _, other = connect(b)
      assert.equal("kept",
        b:on(function() return peers.call(other, "kept") end))
    end)
  end)

  it("has a child spec", function()
    banyan.run(function()
      assert(supervisor.start_link { { "banyan.peers", { max_peers = 3 } } })
      assert.is_true(banyan.whereis "banyan.peers" ~= nil)
      assert.same({ nil, "not_listening" }, { peers.accept(bridges.REALM) })
    end)
  end)
end)

describe("publish", function()
  it("reaches subscribers, in both directions", function()
    pair(function(b)
      local p, other = connect(b)
      local there
      b:stay(function()
        local pid = banyan.spawn(function()
          while true do there = banyan.receive() end
        end)
        peers.subscribe(other, "to.b", pid)
      end)
      peers.subscribe(p, "to.a.*")
      eventually(function() return peers.info(p).topics == 1 end)
      eventually(function()
        return b:on(function() return peers.info(other).topics end) == 1
      end)
      -- Only what is subscribed to is sent, as far as this end can see.
      assert.is_true(peers.publish(p, "elsewhere", 1))
      assert.is_true(b:on(function()
        peers.publish(other, "to.b", "not for a")
        return peers.publish(other, "to.a.x", { 1, nil, "three", x = 2 ^ 0.5 })
      end))
      assert.same({
        tag = "publish", topic = "to.a.x", peer = p,
        msg = { 1, nil, "three", x = 2 ^ 0.5 },
      }, banyan.receive(60000))
      assert.is_true(peers.publish(p, "to.b", "for b"))
      eventually(function() return there end)
      assert.same({
        tag = "publish", topic = "to.b", peer = other, msg = "for b",
      }, there)
    end)
  end)

  it("keeps the order, whatever the size", function()
    pair(function(b)
      local p, other = connect(b)
      peers.subscribe(p, "n")
      peers.subscribe(p, "big")
      eventually(function()
        return b:on(function() return peers.info(other).topics end) == 2
      end)
      local text = ("x"):rep(300000)
      b:on(function()
        for i = 1, 100 do
          assert(peers.publish(other, "n", i))
          if i % 10 == 0 then assert(peers.publish(other, "big", text)) end
        end
      end)
      local next_number, big = 1, 0
      for _ = 1, 110 do
        local message = assert(banyan.receive(60000))
        if message.topic == "n" then
          assert.equal(next_number, message.msg)
          next_number = next_number + 1
        else
          assert.equal(#text, #message.msg)
          big = big + 1
        end
      end
      assert.same({ 101, 10 }, { next_number, big })
      assert.same({ nil, "too_large" }, { b:on(function()
        return peers.publish(other, "big", ("x"):rep(17 * 1024 * 1024))
      end) })
    end)
  end)

  it("subscriptions end with unsubscribe and with the process", function()
    pair(function(b)
      local p, other = connect(b)
      local function topics()
        return b:on(function() return peers.info(other).topics end)
      end
      local r1, r2 = peers.subscribe(p, "t"), peers.subscribe(p, "t")
      local pid = banyan.spawn(function()
        peers.subscribe(p, "of.another")
        banyan.receive()
      end)
      eventually(function() return topics() == 2 end)
      assert.is_true(peers.unsubscribe(p, r1))
      assert.same({ nil, "not_subscribed" }, { peers.unsubscribe(p, r1) })
      pid:exit "kill"
      eventually(function() return topics() == 1 end)
      assert.equal(1, peers.info(p).subscriptions)
      assert.is_true(peers.unsubscribe(p, r2))
      eventually(function() return topics() == 0 end)
      assert.equal(0, peers.info(p).subscriptions)
    end)
  end)

  it("hands over no pid that reaches anybody", function()
    pair(function(b)
      local p, other = connect(b)
      peers.subscribe(p, "t")
      eventually(function()
        return b:on(function() return peers.info(other).topics end) == 1
      end)
      local me = banyan.self()
      local ref = banyan.make_ref()
      -- A hostile node can name a process of this one; so does b here.
      b:on(function() peers.publish(other, "t", { me, ref, [me] = 1 }) end)
      local message = assert(banyan.receive(60000)).msg
      local pid = message[1]
      assert.is_true(core.is_pid(pid) and pid ~= me)
      assert.equal(1, message[pid])
      assert.is_true(message[2] == ref)
      assert.is_true(banyan.send(pid, "nobody"))
      assert.is_nil((banyan.receive(10)))
      local monitor = banyan.monitor(pid)
      assert.equal("noconnection", banyan.receive(monitor, 60000).reason)
      -- Sent back, it stays what it is.
      peers.serve("echo", function(value) return value end)
      assert.is_true(b:on(function()
        return peers.call(other, "echo", pid)
      end) == pid)
    end)
  end)

  it("raises what cannot be sent, connected or not", function()
    pair(function(b)
      local p = connect(b)
      fails("cannot send a function", peers.publish, p, "t", { print })
      fails("cannot send a function", peers.call, p, "t", print)
      fails("cannot send a function", peers.advertise, "t", print)
      peers.stop_peer(p)
      fails("cannot send a function", peers.publish, p, "t", print)
    end)
  end)
end)

describe("call", function()
  it("answers what the other end returns, in a process of its own", function()
    pair(function(b)
      local p, other = connect(b)
      b:on(function()
        peers.serve("add", function(args, info)
          assert(info.peer == other and info.realm == "test")
          return args[1] + args[2], nil, info.procedure
        end)
        peers.serve("none", function(args) assert(args == nil) end)
        peers.serve("self", function() return tostring(banyan.self()) end)
      end)
      assert.same({ 42, nil, "add" }, { peers.call(p, "add", { 40, 2 }) })
      assert.equal(0, select("#", peers.call(p, "none")))
      assert.is_true(peers.call(p, "self") ~= peers.call(p, "self"))
      assert.same({ nil, { "undef", "nothing" } }, { peers.call(p, "nothing") })
      assert.is_true(b:on(function() return peers.unserve "add" end))
      assert.same({ nil, "not_served" },
        { b:on(function() return peers.unserve "add" end) })
      assert.same({ nil, { "undef", "add" } }, { peers.call(p, "add") })
    end)
  end)

  it("waits for the connection", function()
    pair(function(b)
      b:on(function() peers.serve("f", function() return "served" end) end)
      local p = assert(peers.start_peer(b:url(), bridges.REALM))
      assert.equal("served", peers.call(p, "f"))
      local q = assert(peers.start_peer("banyan://127.0.0.1:1", bridges.REALM))
      assert.same({ nil, "noconnection" }, { peers.call(q, "f") })
    end)
  end)

  it("answers an error, which is an event there and nothing else", function()
    pair(function(b)
      local p = connect(b)
      b:on(function()
        peers.serve("crash", function() error "on purpose" end)
        peers.serve("exit", function() banyan.exit { "gone", 7 } end)
        peers.serve("function", function() return print end)
        peers.serve("kill", function() banyan.self():exit "kill" end)
        peers.serve("large", function() return ("x"):rep(2 ^ 24 + 1) end)
      end)
      local value, err = peers.call(p, "crash")
      assert.is_nil(value)
      assert.equal("error", err[1])
      assert.truthy(err[2]:find("on purpose", 1, true))
      assert.is_nil(err[3])
      assert.same({ nil, { "gone", 7 } }, { peers.call(p, "exit") })
      assert.same({ nil, "killed" }, { peers.call(p, "kill") })
      assert.truthy(select(2, peers.call(p, "function"))[2]
        :find("cannot send a function", 1, true))
      assert.same({ nil, "too_large" }, { peers.call(p, "large", nil, 60000) })
      eventually(function() return b:count "process_crashed" >= 2 end)
      assert.equal("connected", peers.info(p).state)
      assert.equal(0, peers.info(p).calls)
    end)
  end)

  it("gives up in time, and drops what comes later", function()
    pair(function(b)
      local p = connect(b)
      local go = b:on(function()
        local gate = banyan.spawn(function()
          local from = banyan.receive()
          banyan.receive()
          banyan.send(from, "go")
        end)
        peers.serve("slow", function()
          banyan.send(gate, banyan.self())
          return banyan.receive()
        end)
        return gate
      end)
      assert.same({ nil, "timeout" }, { peers.call(p, "slow", nil, 20) })
      b:on(function() banyan.send(go, "now") end)
      eventually(function()
        return b:on(function()
          return peers.info(peers.list_peers()[1]).serving
        end) == 0
      end)
      assert.is_nil((banyan.receive(20)))
    end)
  end)

  it("ends with the connection", function()
    pair(function(b)
      local p, other = connect(b)
      b:on(function() peers.serve("never", function() banyan.receive() end) end)
      local ended
      banyan.spawn(function()
        ended = { peers.call(p, "never", nil, "infinity") }
      end)
      eventually(function()
        return b:on(function() return peers.info(other).serving end) == 1
      end)
      peers.stop_peer(p)
      eventually(function() return ended end)
      assert.same({ nil, "noconnection" }, ended)
    end)
  end)
end)

describe("advertise", function()
  it("shows values to all peers, now and later", function()
    pair(function(b)
      local p, other = connect(b)
      peers.advertise("db", { port = 1 })
      local function there(pid, service)
        return b:on(function() return peers.discover(pid, service) end)
      end
      eventually(function() return #there(other, "db") == 1 end)
      assert.same({ { port = 1 } }, there(other, "db"))
      assert.same({}, there(other, "other"))
      assert.same({}, peers.discover(p, "db"))
      peers.advertise("db", { port = 2 })
      eventually(function() return there(other, "db")[1].port == 2 end)
      local _, later = connect(b)
      assert.same({ { port = 2 } }, there(later, "db"))
      assert.is_true(peers.withdraw "db")
      assert.same({ nil, "not_advertised" }, { peers.withdraw "db" })
      eventually(function() return #there(later, "db") == 0 end)
      eventually(function() return #there(other, "db") == 0 end)
    end)
  end)

  it("has limits", function()
    pair(function()
      local text = ("x"):rep(1024 * 1024)
      for i = 1, 3 do assert.is_true(peers.advertise("s" .. i, text)) end
      assert.same({ nil, "too_large" },
        { peers.advertise("s4", ("x"):rep(2 ^ 20 + 1)) })
      assert.is_true(peers.advertise("s3", 3))
      for i = 4, 1000 do assert.is_true(peers.advertise("s" .. i, i)) end
      assert.same({ nil, "too_many_services" }, { peers.advertise("s", 1) })
    end)
  end)
end)

describe("a child of a peer that crashes", function()
  local function children(p)
    local pids = {}
    for _, row in ipairs(supervisor.which_children(p) or {}) do
      pids[row.id] = row.pid
    end
    return pids
  end

  -- Which of the children of p have others in their places now.
  local function changes(p, before)
    local now, list = children(p), {}
    for i, id in ipairs(bridges.IDS) do
      local kept = now[id] == before[id] and "same" or "new"
      list[i] = now[id] and kept or "gone"
    end
    return table.concat(list, " ")
  end

  local function works(b, p, other)
    local name = "works" .. tostring(banyan.make_ref())
    b:on(function()
      peers.serve("double", function(n) return 2 * n end)
      peers.advertise(name, "there")
    end)
    assert.equal(42, peers.call(p, "double", 21))
    eventually(function() return #peers.discover(p, name) == 1 end)
    assert.is_true(b:on(function()
      return peers.publish(other, "sub.topic", name)
    end))
    local message = assert(banyan.receive(60000))
    assert.equal(name, message.msg)
  end

  local function kills(id, expected)
    return function()
      pair(function(b)
        local p, other = connect(b)
        peers.subscribe(p, "sub.*")
        local function is_wanted()
          return b:on(function() return peers.info(other).topics end) == 1
        end
        eventually(is_wanted)
        works(b, p, other)
        for _, end_of_it in ipairs { p, other } do
          local function on(fn, ...)
            if end_of_it == p then return fn(...) end
            return b:on(fn, ...)
          end
          local before = on(children, end_of_it)
          on(function() before[id]:exit "kill" end)
          eventually(function()
            return on(changes, end_of_it, before) == expected
          end)
          works(b, p, other)
        end
        assert.equal(1, peers.info(p).subscriptions)
      end)
    end
  end

  it("pubsub: those after it are new, subscriptions are made again",
    kills("pubsub", "same new new new"))
  it("rpc: so are those after it", kills("rpc", "same same new new"))
  it("advertisements: it alone",
    kills("advertisements", "same same same new"))

  it("connection: the peer ends", function()
    pair(function(b)
      local heard
      local function on_down(_, reason) heard = reason end
      local p, other = connect(b, { on_down = on_down })
      local why = bridges.watch(p)
      children(p).connection:exit "kill"
      assert.equal("shutdown", why())
      eventually(function() return heard end)
      assert.equal("shutdown", heard)
      eventually(function() return b:on(peers.count_peers) == 0 end)
      assert.is_nil(b:on(function() return peers.info(other) end))
    end)
  end)

  it("too often: the peer ends, and on_down hears", function()
    pair(function(b)
      local heard
      local p = connect(b, { on_down = function(_, why) heard = why end })
      for _ = 1, 11 do
        local before = children(p).pubsub
        before:exit "kill"
        eventually(function()
          local now = children(p).pubsub
          return heard or now and now ~= before
        end)
      end
      eventually(function() return heard end)
      assert.equal("shutdown", heard)
      assert.equal(0, peers.count_peers())
      assert.is_true(banyan.is_alive(banyan.whereis "banyan.peers"))
    end)
  end)

  it("rpc: calls under way end", function()
    pair(function(b)
      local p, other = connect(b)
      b:on(function() peers.serve("never", function() banyan.receive() end) end)
      local ended
      banyan.spawn(function()
        ended = { peers.call(p, "never", nil, "infinity") }
      end)
      eventually(function()
        return b:on(function() return peers.info(other).serving end) == 1
      end)
      b:on(function() children(other).rpc:exit "kill" end)
      eventually(function() return ended end)
      assert.same({ nil, "aborted" }, ended)
    end)
  end)
end)

describe("misuse of banyan.peers", function()
  it("is an error at the program's line", function()
    pair(function(b)
      local p = connect(b)
      local function is_misuse(text, fn, ...)
        local ok, err = pcall(fn, ...)
        assert.is_false(ok)
        assert.truthy(tostring(err):find(text, 1, true), tostring(err))
      end
      local function at_line(fn)
        local ok, err = pcall(fn)
        assert.is_false(ok)
        assert.truthy(tostring(err):find("peers_spec.lua:%d+: peers%."),
          tostring(err))
      end
      is_misuse("url must be a string", peers.start_peer, 7, bridges.REALM)
      is_misuse('"secret" is missing', peers.start_peer, b:url(), {})
      is_misuse("at least 8 bytes", peers.start_peer, b:url(), { secret = "s" })
      is_misuse('unknown option "port"', peers.start_peer, b:url(),
        { secret = bridges.SECRET, port = 1 })
      is_misuse("a peer is a pid", peers.stop_peer, 7)
      is_misuse("topic must be a string", peers.subscribe, p, 7)
      is_misuse("at most 1024 bytes", peers.publish, p, ("x"):rep(1025), 1)
      is_misuse("to must be a pid", peers.subscribe, p, "t", "name")
      is_misuse("a ref expected", peers.unsubscribe, p, 7)
      is_misuse("fn must be", peers.serve, "f")
      is_misuse("ttl_ms", peers.advertise, "s", 1, { ttl_ms = 0 })
      is_misuse("timeout must be", peers.call, p, "f", nil, "soon")
      is_misuse("must be greater", peers.start_link,
        { heartbeat_ms = 10, down_after_ms = 10 })
      at_line(function() local _ = peers.start_peer(7) end)
      at_line(function() local _ = peers.start_peer(b:url(), {}) end)
      at_line(function() local _ = peers.publish(p, "t", print) end)
      at_line(function() local _ = peers.call(p, "t", print) end)
      at_line(function() local _ = peers.info() end)
      at_line(function() local _ = peers.accept { secret = "short" } end)
      at_line(function() local _ = peers.start_link { no = 1 } end)
      for _, url in ipairs {
        "", "banyan://", "http://127.0.0.1:1", "banyan://127.0.0.1",
        "banyan://127.0.0.1:0", "banyan://127.0.0.1:70000",
        "banyan://a b:1", "banyan://127.0.0.1:1/path", "127.0.0.1:1",
        "banyan://unix:/tmp/x:1",
      } do
        assert.same({ nil, { "bad_url", url } },
          { peers.start_peer(url, bridges.REALM) })
      end
    end)
  end)

  it("is an error where there is nothing to connect by", function()
    local report = lockstep.run(function()
      fails("in a cluster only", peers.start_link)
    end, { iterations = 1 })
    assert.is_true(report.ok, tostring(report))
    local node = assert(node_start { driver = "manual", on_event = false })
    local done
    node:spawn(function()
      fails('driver "luv"', peers.start_link)
      done = true
    end)
    node:step(0)
    assert.is_true(done)
    node:close()
  end)
end)
