-- The virtual network is TCP, with all that can happen to TCP.

local core = require "banyan.core"
local host = require "spec.support.host"
local network = require "spec.support.network"

local A, B, C = "a@h:1", "b@h:1", "c@h:1"
local SEEDS = 40

describe("lockstep's network between two hosts", function()
  local net, a, b

  local function hosts(opts)
    net = network.new(opts)
    a, b = host.new(net, A), host.new(net, B)
    local link = a.dial(B)
    net:drain()
    return link, b.last
  end

  local function letters(link, n)
    local text = {}
    for i = 1, n do
      text[i] = ("<%d:%s>"):format(i, ("x"):rep(i % 50))
      a.write(link, text[i])
    end
    return table.concat(text)
  end

  local function is_prefix(part, whole)
    return whole:sub(1, #part) == part
  end

  it("carries bytes in order and none twice, in chunks of its own", function()
    local other_chunks = false
    for seed = 1, SEEDS do
      local from, to = hosts { seed = seed }
      net.virtual:set_link(A, B, { latency = 5, jitter = 20, loss = 0.2 })
      local text = letters(from, 30)
      net:drain()
      assert.equal(text, b.heard[to].bytes)
      assert.equal(#text, a.heard[from].written)
      other_chunks = other_chunks or b.heard[to].chunks ~= 30
    end
    assert.is_true(other_chunks)
  end)

  it("takes the latency of the path in each direction", function()
    net = network.new()
    a, b = host.new(net, A), host.new(net, B)
    net.virtual:set_link(A, B, { latency = 30 })
    net.virtual:set_link(B, A, { latency = 500 })
    local link = a.dial(B)
    net:run(function() return a.heard[link].open end)
    assert.equal(530, net.world.now)
    a.write(link, "hello there")
    net:drain()
    assert.equal(560, net.world.now)
    assert.equal("hello there", b.heard[1].bytes)
  end)

  it("reports the end to a reader after the last byte", function()
    local from, to = hosts()
    local text = letters(from, 5)
    a.shut(from)
    assert.is_nil(b.heard[to].closed)
    net:drain()
    assert.equal(text, b.heard[to].bytes)
    assert.equal("closed", b.heard[to].closed)
  end)

  it("refuses a dial where no node is", function()
    net = network.new()
    a = host.new(net, A)
    local link = a.dial("nobody@h:1")
    net:drain()
    assert.equal("econnrefused", a.heard[link].closed)
  end)

  it("loses a suffix in each direction when it is cut", function()
    local lost, kept = false, false
    for seed = 1, SEEDS do
      local from, to = hosts { seed = seed }
      net.virtual:set_link(A, B, { latency = 50 })
      local text = letters(from, 20)
      net.virtual:cut(A, B)
      net:drain()
      local bytes = b.heard[to].bytes
      assert.is_true(is_prefix(bytes, text))
      lost = lost or #bytes < #text
      kept = kept or #bytes > 0
      assert.equal("econnreset", b.heard[to].closed)
      assert.equal("econnreset", a.heard[from].closed)
    end
    assert.is_true(lost and kept)
  end)

  it("delivers bytes of an old connection after a new one opened", function()
    local from, to = hosts()
    net.virtual:set_link(A, B, { latency = 1000 })
    a.write(from, "what was said before")
    net.virtual:set_link(A, B, { latency = 0 })
    local again = a.dial(B)
    net:run(function() return a.heard[again].open end)
    a.write(again, "what was said after")
    net:drain()
    assert.same({ { b.last, "what was said after" },
      { to, "what was said before" } }, b.order)
  end)

  it("holds what is on a blocked path until that opens", function()
    local from, to = hosts { tame = true }
    net.virtual:set_link(A, B, { loss = 1 })
    local text = letters(from, 5)
    b.write(to, "the way back is open")
    net:drain()
    assert.equal("", b.heard[to].bytes)
    assert.equal("the way back is open", a.heard[from].bytes)
    net.virtual:heal()
    net:drain()
    assert.equal(text, b.heard[to].bytes)
  end)

  it("may lose a connection while its path is blocked", function()
    local fates = {}
    for seed = 1, SEEDS do
      local from, to = hosts { seed = seed }
      net.virtual:divide(function() return true end)
      local text = letters(from, 3)
      net.virtual:heal()
      net:drain()
      local heard = b.heard[to]
      assert.is_true(is_prefix(heard.bytes, text))
      fates[heard.closed or #heard.bytes == 0 and "silent" or "goes on"] = true
    end
    assert.same({ econnreset = true, silent = true, ["goes on"] = true },
      fates)
  end)

  it("is silent where a connection is half open", function()
    local from, to = hosts()
    net.virtual:half_open(A, B, false)
    a.write(from, "is anybody there?")
    net:drain()
    assert.is_nil(a.heard[from].closed)
    assert.equal("", b.heard[to].bytes)
  end)

  it("may reset a half-open connection when something is written", function()
    local from, to = hosts()
    net.virtual:half_open(A, B, true)
    net:drain()
    assert.is_nil(a.heard[from].closed)
    a.write(from, "is anybody there?")
    net:drain()
    assert.equal("econnreset", a.heard[from].closed)
    assert.is_nil(b.heard[to].closed)
  end)

  it("confirms at most a window of what is not read", function()
    local from, to = hosts { tame = true, window = 100 }
    net.virtual:pause(B)
    a.write(from, ("x"):rep(250))
    net:drain()
    assert.equal(100, a.heard[from].written)
    net.virtual:resume(B)
    net:drain()
    assert.equal(250, a.heard[from].written)
    assert.equal(250, #b.heard[to].bytes)
  end)

  it("confirms late what is written to a slow reader", function()
    local from = hosts { tame = true, window = 100 }
    net.virtual:slow_reader(B, 1)
    a.write(from, ("x"):rep(1100))
    net:run(function() return a.heard[from].written >= 600 end)
    assert.is_true(net.world.now >= 490)
    net.virtual:slow_reader(B, nil)
    net:drain()
    assert.equal(1100, a.heard[from].written)
  end)

  it("accepts a dial for a paused node, which takes it later", function()
    net = network.new { tame = true }
    a, b = host.new(net, A), host.new(net, B)
    net.virtual:pause(B)
    local link = a.dial(B)
    net:drain()
    assert.is_true(a.heard[link].open)
    a.write(link, "hello there")
    net:drain()
    assert.equal(0, b.last)
    net.virtual:resume(B)
    net:drain()
    assert.equal("hello there", b.heard[1].bytes)
  end)

  it("keeps nothing of connections that are over", function()
    for seed = 1, SEEDS do
      net = network.new { seed = seed }
      a, b = host.new(net, A), host.new(net, B)
      for round = 1, 8 do
        local link = a.dial(B)
        if round % 2 == 0 then net:drain() end
        if a.heard[link].open then a.write(link, "some bytes to go") end
        if round % 3 == 0 then
          net.virtual:divide(function() return true end)
        end
        if round % 4 == 0 then net.virtual:cut(A, B) end
        net.virtual:heal()
        if not a.heard[link].closed then a.shut(link) end
        net:drain()
        for i = 1, b.last do
          if not b.heard[i].closed and not b.heard[i].shut then
            b.heard[i].shut = true
            b.shut(i)
          end
        end
        net:drain()
      end
      assert.equal(0, net:connections(A, B))
      assert.equal(0, net:connections(B, A))
    end
  end)
end)

describe("lockstep's network between nodes", function()
  local net
  after_each(function() net:close() end)

  -- Nodes that are connected, and a process on B that counts upwards.
  local function nodes(opts, node_opts)
    net = network.new(opts)
    for _, name in ipairs { A, B, C } do net:node(name, node_opts) end
    net:connect()
    local got = {}
    net:on(B, function()
      core.register("counter", core.spawn(function()
        while true do
          local i = core.receive()
          assert(i > (got[#got] or 0), "out of order")
          got[#got + 1] = i
        end
      end))
    end)
    return got
  end

  local function is_connected(from, to)
    local found = false
    net:on(from, function()
      for _, name in ipairs(core.nodes()) do found = found or name == to end
    end)
    return found
  end

  it("keeps the order of messages, whatever the path is like", function()
    for seed = 1, 10 do
      local got = nodes { seed = seed }
      net.virtual:set_link(A, B, { latency = 5, jitter = 30, loss = 0.1 })
      net:on(A, function()
        for i = 1, 50 do core.send({ name = "counter", node = B }, i) end
      end)
      net:run(function() return #got == 50 end)
      if seed < 10 then net:close() end
    end
  end)

  it("reports a node that is killed to all others at once", function()
    nodes()
    net:kill(B, "kill")
    net:run(function()
      return #net:events_named("node_down", A, B) == 1
        and #net:events_named("node_down", C, B) == 1
    end)
    assert.is_true(net.world.now < 1000)
  end)

  it("leaves a node that lost its power to be found by its silence", function()
    nodes()
    net:kill(B, "power")
    net:run(function() return #net:events_named("node_down", A, B) == 1 end)
    assert.equal("timeout", net:events_named("node_down", A)[1].reason)
    assert.is_true(net.world.now >= 4000)
  end)

  it("resets what a node that has restarted does not know", function()
    nodes()
    net:pass(100)
    net:kill(B, "power")
    net:node(B)
    net:run(function() return #net:events_named("node_down", A, B) == 1 end)
    net:run(function() return is_connected(A, B) end)
    assert.equal("econnreset", net:events_named("link_broken", A)[1].reason)
    assert.equal("session_unknown", net:events_named("node_down", A)[1].reason)
    assert.is_true(net.world.now < 4000)
  end)

  it("keeps a paused node's connections, if it is back in time", function()
    local got = nodes { tame = true }
    net.virtual:pause(B)
    net:on(A, function()
      for i = 1, 5 do core.send({ name = "counter", node = B }, i) end
    end)
    net:pass(3000)
    assert.same({}, got)
    net.virtual:resume(B)
    net:run(function() return #got == 5 end)
    net:pass(3000)
    assert.same({}, net:events_named("node_down", A))
    assert.same({}, net:events_named("node_down", B))
  end)

  it("loses a node that is paused for too long, and finds it again", function()
    nodes()
    net.virtual:pause(B)
    net:run(function()
      return #net:events_named("node_down", A, B) == 1
        and #net:events_named("node_down", C, B) == 1
    end)
    net.virtual:resume(B)
    net:run(function()
      return is_connected(A, B) and is_connected(C, B)
    end)
  end)

  it("divides nodes until it is healed", function()
    nodes()
    net.virtual:divide(function(from, to) return (from == C) ~= (to == C) end)
    net:run(function()
      return not is_connected(A, C) and not is_connected(B, C)
        and not is_connected(C, A) and not is_connected(C, B)
    end)
    assert.is_true(is_connected(A, B) and is_connected(B, A))
    net.virtual:heal()
    net:run(function()
      return is_connected(A, C) and is_connected(B, C)
        and is_connected(C, A) and is_connected(C, B)
    end)
  end)

  it("makes a path dark now and again", function()
    nodes()
    net.virtual:flap(A, B, 8000, 8000)
    net:run(function() return #net:events_named("node_down", A, B) >= 2 end)
    assert.is_true(#net:events_named("node_up", A, B) >= 2)
    assert.same({}, net:events_named("node_down", A, C))
    net.virtual:heal()
    net:run(function() return is_connected(A, B) end)
  end)

  it("lets a writer go on as soon as its reader has read", function()
    local got = nodes { tame = true, window = 1000 }
    local size
    net:on(B, function()
      core.register("sink", core.spawn(function() size = #core.receive() end))
    end)
    local since = net.world.now
    net:on(A, function()
      core.send({ name = "sink", node = B }, ("x"):rep(300000))
      core.send({ name = "counter", node = B }, 1)
    end)
    net:settle()
    assert.equal(300000, size)
    assert.same({ 1 }, got)
    assert.equal(since, net.world.now)
  end)

  it("has senders wait for a slow reader", function()
    local got = nodes({ tame = true, window = 2000 }, { max_queue = 80000 })
    net.virtual:slow_reader(B, 4)
    local sent = 0
    net:find(A).core:spawn(function()
      for i = 1, 3000 do
        core.send({ name = "counter", node = B }, i)
        sent = i
      end
    end)
    net:run(function() return sent > 0 and #got > 100 end)
    assert.is_true(sent < 3000)
    net:run(function() return #got == 3000 end)
    assert.same({}, net:events_named("node_down", A))
  end)

  it("delays what a slow node is sent", function()
    local got = nodes { tame = true }
    net.virtual:slow(B, 100)
    net:on(A, function()
      for i = 1, 5 do
        core.send({ name = "counter", node = B }, i)
        core.sleep(1)
      end
    end)
    local since = net.world.now
    net:run(function() return #got == 5 end)
    assert.is_true(net.world.now >= since + 300)
  end)

  it("keeps a node whose clock runs too slowly, for it answers", function()
    nodes()
    net.virtual:set_clock(B, 0.1)
    net:pass(60000)
    assert.is_true(#net:events_named("link_resumed", A, B) > 0)
    assert.same({}, net:events_named "node_down")
  end)

  it("delivers what direct nodes send without a choice", function()
    net = network.new()
    net:node(A, nil, true)
    net:node(B, nil, true)
    net:on(A, function() assert(core.connect(B)) end)
    net.virtual:divide(function() return true end)
    local got
    net:on(B, function()
      core.register("echo", core.spawn(function() got = core.receive() end))
    end)
    net:on(A, function()
      core.send({ name = "echo", node = B }, ("x"):rep(1000))
    end)
    net:run(function() return got ~= nil end)
    assert.equal(0, net.chosen)
    assert.equal(0, net.world.now)
  end)
end)
