-- What the other end of a peer connection, or whoever finds the port, may do to
-- a node: bytes at random, frames that are none, too much of everything.

local banyan = require "banyan"
local bridges = require "spec.support.bridges"
local child = require "banyan.peers.child"
local core = require "banyan.core"
local kinds = require "banyan.peers.kinds"
local limits = require "banyan.peers.limits"
local peers = require "banyan.peers"
local uv = require "luv"

local eventually, pair = bridges.eventually, bridges.pair

-- A socket that is connected with b, and whether that has closed it.
local function connect(b)
  local tcp = uv.new_tcp()
  local host, port = b.name:match "@(.*):(%d+)$"
  assert(banyan.await(function(done)
    tcp:connect(host, tonumber(port), function(err) done(not err) end)
  end))
  local plain = { tcp = tcp }
  tcp:read_start(function(err, data)
    if err or not data then plain.over = true end
  end)
  return plain
end

-- A client of b that is ready, and b's end of it.
local function client(b)
  local it = bridges.client(b.name).begin()
  assert(it.open, tostring(it.over))
  it.wire:put(kinds.READY)
  local other
  eventually(function()
    other = b:peers()[1]
    return other
      and b:on(function() return peers.info(other).state end) == "connected"
  end)
  return it, other
end

-- b goes on as if nothing had been.
local function is_well(b)
  b:on(function() peers.serve("well", function() return "well" end) end)
  local p = bridges.connect(b)
  assert.equal("well", peers.call(p, "well"))
end

-- On two nodes of one cluster.
local function same_cluster(body)
  bridges.pair(body, nil, { secret = "the secret of both" })
end

describe("the port of a node that accepts peers", function()
  it("lets nodes of the cluster in, as ever", function()
    same_cluster(function(b)
      assert.is_true(banyan.connect(b.name))
      assert.same({ b.name }, banyan.nodes())
      bridges.connect(b)
      is_well(b)
      assert.is_true(banyan.disconnect(b.name))
      assert.equal(2, peers.count_peers())
      is_well(b)
    end)
    same_cluster(function(b)
      local me = banyan.node()
      assert.is_true(peers.accept(bridges.REALM))
      assert.is_true(b:on(function() return banyan.connect(me) end))
      eventually(function() return banyan.nodes()[1] == b.name end)
      is_well(b)
    end)
  end)

  it("takes bytes at random, cut anyhow, and silence", function()
    same_cluster(function(b)
      local mark = core.dialer_mark(
        core.realm_token(bridges.REALM.realm, bridges.SECRET))
      local texts = {
        "", "x", mark:sub(1, 7), mark:sub(1, 7) .. "x",
        "GET / HTTP/1.1\r\nHost: a\r\nAccept: *\r\n\r\n",
        mark .. uv.random(100), mark .. uv.random(6000), ("\0"):rep(100),
      }
      for i = 1, 20 do texts[#texts + 1] = uv.random(i) end
      local open = {}
      for _, text in ipairs(texts) do
        local plain = connect(b)
        if text ~= "" then plain.tcp:write(text) end
        open[#open + 1] = plain
      end
      for i, text in ipairs(texts) do
        if #text > 40 and text:sub(1, 8) ~= mark or i == 7 then
          eventually(function() return open[i].over end)
        end
      end
      is_well(b)
      assert.is_true(banyan.connect(b.name))
      for _, plain in ipairs(open) do plain.tcp:close() end
      assert.equal(1, b:on(peers.count_peers))
    end)
  end)

  it("knows a peer whose bytes come one by one", function()
    pair(function(b)
      local it = bridges.client(b.name)
      local first = it.wire.channel:take()
      for i = 1, #first do
        it.tcp:write(first:sub(i, i))
        if i <= 20 then banyan.sleep(1) end
      end
      eventually(function() return it.open end)
      it.wire:close()
    end)
  end)

  it("is not fooled by the words of another connection", function()
    pair(function(b)
      local it = bridges.client(b.name)
      local hello = it.wire.channel:take()
      it.tcp:write(hello)
      local plain = connect(b)
      plain.tcp:write(hello)
      plain.tcp:write(hello)
      eventually(function() return it.open end)
      is_well(b)
      assert.equal(2, b:on(peers.count_peers))
      plain.tcp:close()
      it.wire:close()
    end)
  end)

  it("takes no peer without a supervisor", function()
    local b_events = {}
    local opts = {
      name = require "spec.support.address".fresh_name "alone",
      secret = "the secret of it", on_event = function(event)
        b_events[#b_events + 1] = event
      end,
    }
    banyan.run(opts, function()
      assert(peers.accept(bridges.REALM))
      local it = bridges.client(opts.name).begin()
      assert.is_nil(it.open)
      assert.equal("closed", it.over)
    end)
  end)
end)

describe("the other end of a peer", function()
  it("may send frames that are not known, which are ignored", function()
    pair(function(b)
      local it, other = client(b)
      it.wire:put(99, { "of a newer version" }, 1, 2, 3)
      it.wire:put(0)
      it.wire:put(kinds.SUBSCRIBE, "t", "and something new")
      eventually(function()
        return b:on(function() return peers.info(other).topics end) == 1
      end)
      it.wire:close()
    end)
  end)

  local function ends(reason, say)
    return function()
      pair(function(b)
        local why
        b:on(function()
          peers.accept {
            realm = bridges.REALM.realm, secret = bridges.SECRET,
            on_down = function(_, because) why = because end,
          }
        end)
        local it = client(b)
        say(it)
        eventually(function() return why end)
        assert.same(reason, why)
        eventually(function() return it.over end)
        assert.is_true(it.count(kinds.BYE, reason) == 1)
        assert.equal(1, b:count "peer_connection_down")
        assert.equal(0, b:count "process_crashed")
        is_well(b)
      end)
    end
  end

  local malformed = {
    { "ping", kinds.PING, "x" }, { "ping, a fraction", kinds.PING, 0.5 },
    { "pong", kinds.PONG }, { "bye", kinds.BYE, {} },
    { "subscribe", kinds.SUBSCRIBE, 7 },
    { "a long topic", kinds.SUBSCRIBE, ("x"):rep(limits.text + 1) },
    { "unsubscribe", kinds.UNSUBSCRIBE }, { "publish", kinds.PUBLISH, "t" },
    { "call", kinds.CALL, -1, "f", "" },
    { "call without a name", kinds.CALL, 1, nil, "" },
    { "reply", kinds.REPLY, 1 }, { "withdraw", kinds.WITHDRAW, true },
    { "advertise", kinds.ADVERTISE, "s", "", 0 },
    { "advertise for ever", kinds.ADVERTISE, "s", "", math.huge },
    { "advertise no bytes", kinds.ADVERTISE, "s", {}, 1 },
  }
  for _, frame in ipairs(malformed) do
    it("ends by a malformed frame: " .. frame[1],
      ends("bad_frame", function(it)
        it.wire:put(frame[2], frame[3], frame[4], frame[5])
      end))
  end

  it("ends by bytes that are no frame", ends("bad_frame", function(it)
    it.tcp:write(uv.random(100000))
  end))

  it("ends by a call with a number that is taken",
    ends("bad_frame", function(it)
      it.wire:put(kinds.CALL, 1, "f", "")
      it.wire:put(kinds.CALL, 1, "f", "")
      -- The first may be answered by then: so often that one is not.
      for _ = 1, 100 do it.wire:put(kinds.CALL, 1, "f", "") end
    end))

  it("ends by arguments that are none", function()
    pair(function(b)
      b:on(function() peers.serve("f", function() return 1 end) end)
      local it = client(b)
      it.wire:put(kinds.CALL, 1, "f", "\255\255")
      eventually(function() return it.over end)
      assert.equal(1, it.count(kinds.BYE, "bad_frame"))
      is_well(b)
    end)
  end)

  it("ends by too many topics", ends("quota", function(it)
    for i = 1, limits.topics + 1 do it.wire:put(kinds.SUBSCRIBE, "t" .. i) end
  end))

  it("ends by too many services", ends("quota", function(it)
    for i = 1, limits.services + 1 do
      it.wire:put(kinds.ADVERTISE, "s" .. i, "", 1000000)
    end
  end))

  it("ends by services that are too large", ends("quota", function(it)
    local text = ("x"):rep(limits.advertised / 4)
    for i = 1, 5 do it.wire:put(kinds.ADVERTISE, "s" .. i, text, 1000000) end
  end))

  it("may have so many calls under way, and no more", function()
    pair(function(b)
      b:on(function() peers.serve("never", function() banyan.receive() end) end)
      local it, other = client(b)
      for i = 1, limits.calls + 10 do
        it.wire:put(kinds.CALL, i, "never", "")
      end
      eventually(function() return it.count(kinds.REPLY) == 10 end)
      local fine, value, err
      for _, frame in ipairs(it.got) do
        if frame[1] == kinds.REPLY then
          assert.is_true(frame[2] > limits.calls)
          fine, value, err = core.unpack_foreign(frame[3])
        end
      end
      assert.same({ true, nil, "overloaded" }, { fine, value, err })
      assert.equal(limits.calls,
        b:on(function() return peers.info(other).serving end))
      local function processes()
        return b:on(function() return #banyan.processes() end)
      end
      assert.is_true(processes() > limits.calls)
      it.wire:close()
      -- They end with the connection.
      eventually(function() return processes() < 100 end)
    end)
  end)

  it("is not read while its frames are not worked off", function()
    banyan.run(function()
      local told = {}
      local record = {
        unread = {}, children = {}, held = {}, status = "connected",
        pause = function() told[#told + 1] = "pause" end,
        go_on = function() told[#told + 1] = "go on" end,
      }
      local size = limits.unread / 4
      local function deliver()
        return child.deliver(record, "rpc", "call", 1, size)
      end
      -- Nobody is there: they wait.
      for _ = 1, 4 do assert.is_true(deliver()) end
      assert.same({}, told)
      assert.is_true(deliver())
      assert.same({ "pause" }, told)
      local left = 5
      local pid = banyan.spawn(function()
        child.enter(record, "rpc")
        while true do
          child.handle("rpc", { call = function() left = left - 1 end },
            banyan.receive())
        end
      end)
      eventually(function() return left == 0 end)
      assert.same({ "pause", "go on" }, told)
      -- What waited for one that was killed is nobody's any more.
      core.unbroken(function()
        for _ = 1, 5 do deliver() end
        pid:exit "kill"
      end)
      eventually(function() return #told == 4 end)
      assert.same({ "pause", "go on", "pause", "go on" }, told)
      size = 0
      for _ = 1, limits.held do assert.is_true(deliver()) end
      assert.is_false(deliver())
    end)
  end)

  it("may keep so many bytes of arguments here, and no more", function()
    pair(function(b)
      b:on(function() peers.serve("never", function() banyan.receive() end) end)
      local it = client(b)
      local packed = core.pack(false, ("x"):rep(limits.message - 100))
      local fit = math.floor(limits.serving / #packed)
      for i = 1, fit + 2 do it.wire:put(kinds.CALL, i, "never", packed) end
      eventually(function() return it.count(kinds.REPLY) == 2 end)
      assert.equal(1, it.count(kinds.REPLY, fit + 2))
      it.wire:close()
    end)
  end)

  it("is forgotten what it does not advertise again in time", function()
    pair(function(b)
      local it, other = client(b)
      it.wire:put(kinds.ADVERTISE, "s", core.pack(false, "value"), 300)
      it.wire:put(kinds.ADVERTISE, "long", core.pack(false, "stays"), 10 ^ 9)
      local function there(service)
        return b:on(function() return peers.discover(other, service) end)
      end
      eventually(function() return #there "long" == 1 end)
      eventually(function() return #there "s" == 0 end)
      assert.same({ "stays" }, there "long")
      it.wire:close()
    end)
  end)

  it("hears again what is advertised here, before its time is over", function()
    pair(function(b)
      local it = client(b)
      b:on(function()
        peers.advertise("short", 1, { ttl_ms = 100 })
        peers.advertise("long", 1)
      end)
      eventually(function() return it.count(kinds.ADVERTISE, "short") >= 4 end)
      assert.equal(1, it.count(kinds.ADVERTISE, "long"))
      assert.is_true(b:on(function() return peers.withdraw "short" end))
      eventually(function() return it.count(kinds.WITHDRAW, "short") == 1 end)
      it.wire:close()
    end)
  end)

  it("answers a ping, and is given up if it keeps silent", function()
    pair(function(b)
      local why
      b:on(function()
        peers.accept {
          realm = bridges.REALM.realm, secret = bridges.SECRET,
          on_down = function(_, because) why = because end,
        }
      end)
      local it = client(b)
      it.wire:put(kinds.PING, 7)
      eventually(function() return it.count(kinds.PONG, 7) == 1 end)
      eventually(function() return it.count(kinds.PING) >= 1 end)
      eventually(function() return why end)
      assert.equal("timeout", why)
      it.wire:close()
    end, { heartbeat_ms = 20, down_after_ms = 400 })
  end)

  -- A client that says that it lives, and reads nothing; b has more for it than
  -- the kernel takes. Answers why b's end of it is over, once it is, and b's
  -- record of it.
  local function deaf(b)
    local why
    b:on(function()
      peers.accept {
        realm = bridges.REALM.realm, secret = bridges.SECRET,
        on_down = function(_, because) why = because end,
      }
    end)
    local it, other = client(b)
    it.wire:put(kinds.SUBSCRIBE, "t")
    eventually(function()
      return b:on(function() return peers.info(other).topics == 1 end)
    end)
    it.tcp:read_stop()
    local record = b:on(function()
      return core.kept().peer_connections.peers[other]
    end)
    while record.wire:unsent() == 0 do
      assert.is_true(b:on(function()
        return peers.publish(other, "t", ("x"):rep(1024 * 1024))
      end))
    end
    return function()
      if not why then it.wire:put(kinds.PING, 1) end
      return why
    end, record
  end

  it("is given up if it reads nothing", function()
    local usual = limits.stalled_ms
    finally(function() limits.stalled_ms = usual end)
    limits.stalled_ms = 500
    pair(function(b)
      local why = deaf(b)
      eventually(why)
      assert.equal("stalled", why())
    end, { heartbeat_ms = 20, down_after_ms = 60000 })
  end)

  it("is not given up because this node stood still", function()
    pair(function(b)
      local why, record = deaf(b)
      local S, ahead = record.S, 0
      S.transport = setmetatable({
        clock = function() return core.clock() + ahead end,
      }, { __index = S.transport })
      local function beats(n)
        local last = record.beat
        for _ = 1, n do
          eventually(function() return why() or record.beat ~= last end)
          last = record.beat
        end
      end
      beats(2)
      ahead = limits.stalled_ms + 1000
      beats(5)
      assert.is_nil(why())
    end, { heartbeat_ms = 20, down_after_ms = 60000 })
  end)

  it("stays as long as it says anything", function()
    pair(function(b)
      local p = bridges.connect(b)
      local from = banyan.now()
      eventually(function() return banyan.now() - from > 3000 end)
      assert.equal("connected", peers.info(p).state)
      assert.is_true(peers.info(p).rtt_ms >= 0)
    end, { heartbeat_ms = 20, down_after_ms = 2500 })
  end)
end)
