-- The virtual network is TCP, with all that can happen to TCP.

local core = require "banyan.core"
local virtual = require "spec.support.virtual"

local A, B, C = "a@h:1", "b@h:1", "c@h:1"
local SEEDS = 40

describe("lockstep's network between two hosts", function()
  local rig, a, b

  local function hosts(opts)
    rig = virtual.new(opts)
    a, b = rig:host(A), rig:host(B)
    local link = a.dial(B)
    rig:drain()
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
      rig.net:set_link(A, B, { latency = 5, jitter = 20, loss = 0.2 })
      local text = letters(from, 30)
      rig:drain()
      assert.equal(text, b.heard[to].bytes)
      assert.equal(#text, a.heard[from].written)
      other_chunks = other_chunks or b.heard[to].chunks ~= 30
    end
    assert.is_true(other_chunks)
  end)

  it("needs the latency of the path for each way", function()
    rig = virtual.new()
    a, b = rig:host(A), rig:host(B)
    rig.net:set_link(A, B, { latency = 30 })
    rig.net:set_link(B, A, { latency = 500 })
    local link = a.dial(B)
    rig:run(function() return a.heard[link].open end)
    assert.equal(530, rig.world.now)
    a.write(link, "hello there")
    rig:drain()
    assert.equal(560, rig.world.now)
    assert.equal("hello there", b.heard[1].bytes)
  end)

  it("tells a reader of the end after the last byte", function()
    local from, to = hosts()
    local text = letters(from, 5)
    a.shut(from)
    assert.is_nil(b.heard[to].closed)
    rig:drain()
    assert.equal(text, b.heard[to].bytes)
    assert.equal("closed", b.heard[to].closed)
  end)

  it("refuses a dial where no node is", function()
    rig = virtual.new()
    a = rig:host(A)
    local link = a.dial("nobody@h:1")
    rig:drain()
    assert.equal("econnrefused", a.heard[link].closed)
  end)

  it("loses a suffix in each direction when it is cut", function()
    local lost, kept = false, false
    for seed = 1, SEEDS do
      local from, to = hosts { seed = seed }
      rig.net:set_link(A, B, { latency = 50 })
      local text = letters(from, 20)
      rig.net:cut(A, B)
      rig:drain()
      local bytes = b.heard[to].bytes
      assert.is_true(is_prefix(bytes, text))
      lost = lost or #bytes < #text
      kept = kept or #bytes > 0
      assert.equal("econnreset", b.heard[to].closed)
      assert.equal("econnreset", a.heard[from].closed)
    end
    assert.is_true(lost and kept)
  end)

  it("brings stragglers of an old connection after a new one opened", function()
    local from, to = hosts()
    rig.net:set_link(A, B, { latency = 1000 })
    a.write(from, "what was said before")
    rig.net:set_link(A, B, { latency = 0 })
    local again = a.dial(B)
    rig:run(function() return a.heard[again].open end)
    a.write(again, "what was said after")
    rig:drain()
    assert.same({ { b.last, "what was said after" },
      { to, "what was said before" } }, b.order)
  end)

  it("holds what a blocked way keeps, and sends it once it opens", function()
    local from, to = hosts { tame = true }
    rig.net:set_link(A, B, { loss = 1 })
    local text = letters(from, 5)
    b.write(to, "the way back is open")
    rig:drain()
    assert.equal("", b.heard[to].bytes)
    assert.equal("the way back is open", a.heard[from].bytes)
    rig.net:heal()
    rig:drain()
    assert.equal(text, b.heard[to].bytes)
  end)

  it("may forget a connection while its way is blocked", function()
    local fates = {}
    for seed = 1, SEEDS do
      local from, to = hosts { seed = seed }
      rig.net:divide(function() return true end)
      local text = letters(from, 3)
      rig.net:heal()
      rig:drain()
      local heard = b.heard[to]
      assert.is_true(is_prefix(heard.bytes, text))
      fates[heard.closed or #heard.bytes == 0 and "silent" or "goes on"] = true
    end
    assert.same({ econnreset = true, silent = true, ["goes on"] = true },
      fates)
  end)

  it("is silent where a connection is half open", function()
    local from, to = hosts()
    rig.net:half_open(A, B, false)
    a.write(from, "is anybody there?")
    rig:drain()
    assert.is_nil(a.heard[from].closed)
    assert.equal("", b.heard[to].bytes)
  end)

  it("may reset a half-open connection when something is written", function()
    local from, to = hosts()
    rig.net:half_open(A, B, true)
    rig:drain()
    assert.is_nil(a.heard[from].closed)
    a.write(from, "is anybody there?")
    rig:drain()
    assert.equal("econnreset", a.heard[from].closed)
    assert.is_nil(b.heard[to].closed)
  end)

  it("confirms no more than a window of what nobody reads", function()
    local from, to = hosts { tame = true, window = 100 }
    rig.net:pause(B)
    a.write(from, ("x"):rep(250))
    rig:drain()
    assert.equal(100, a.heard[from].written)
    rig.net:resume(B)
    rig:drain()
    assert.equal(250, a.heard[from].written)
    assert.equal(250, #b.heard[to].bytes)
  end)

  it("confirms late to who writes to a slow reader", function()
    local from = hosts { tame = true, window = 100 }
    rig.net:slow_reader(B, 1)
    a.write(from, ("x"):rep(1100))
    rig:run(function() return a.heard[from].written >= 600 end)
    assert.is_true(rig.world.now >= 490)
    rig.net:slow_reader(B, nil)
    rig:drain()
    assert.equal(1100, a.heard[from].written)
  end)

  it("answers a dial for a paused host, which hears of it later", function()
    rig = virtual.new { tame = true }
    a, b = rig:host(A), rig:host(B)
    rig.net:pause(B)
    local link = a.dial(B)
    rig:drain()
    assert.is_true(a.heard[link].open)
    a.write(link, "hello there")
    rig:drain()
    assert.equal(0, b.last)
    rig.net:resume(B)
    rig:drain()
    assert.equal("hello there", b.heard[1].bytes)
  end)

  it("keeps nothing of connections that are over", function()
    for seed = 1, SEEDS do
      rig = virtual.new { seed = seed }
      a, b = rig:host(A), rig:host(B)
      for round = 1, 8 do
        local link = a.dial(B)
        if round % 2 == 0 then rig:drain() end
        if a.heard[link].open then a.write(link, "some bytes to go") end
        if round % 3 == 0 then rig.net:divide(function() return true end) end
        if round % 4 == 0 then rig.net:cut(A, B) end
        rig.net:heal()
        if not a.heard[link].closed then a.shut(link) end
        rig:drain()
        for i = 1, b.last do
          if not b.heard[i].closed and not b.heard[i].shut then
            b.heard[i].shut = true
            b.shut(i)
          end
        end
        rig:drain()
      end
      assert.equal(0, rig.net:path(A, B).top)
      assert.equal(0, rig.net:path(B, A).top)
    end
  end)
end)

describe("lockstep's network between nodes", function()
  local rig
  after_each(function() rig:close() end)

  -- Nodes that are connected, and a process on B that counts upwards.
  local function nodes(opts, node_opts)
    rig = virtual.new(opts)
    for _, name in ipairs { A, B, C } do rig:node(name, node_opts) end
    rig:connect()
    local got = {}
    rig:on(B, function()
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
    rig:on(from, function()
      for _, name in ipairs(core.nodes()) do found = found or name == to end
    end)
    return found
  end

  it("keeps the order of messages, whatever the path is like", function()
    for seed = 1, 10 do
      local got = nodes { seed = seed }
      rig.net:set_link(A, B, { latency = 5, jitter = 30, loss = 0.1 })
      rig:on(A, function()
        for i = 1, 50 do core.send({ name = "counter", node = B }, i) end
      end)
      rig:run(function() return #got == 50 end)
      if seed < 10 then rig:close() end
    end
  end)

  it("tells all of a node that is killed, at once", function()
    nodes()
    rig:crash(B, "kill")
    rig:run(function()
      return #rig:events(A, "node_down", B) == 1
        and #rig:events(C, "node_down", B) == 1
    end)
    assert.is_true(rig.world.now < 1000)
  end)

  it("leaves a node that lost its power to be found by its silence", function()
    nodes()
    rig:crash(B, "power")
    rig:run(function() return #rig:events(A, "node_down", B) == 1 end)
    assert.equal("timeout", rig:events(A, "node_down")[1].reason)
    assert.is_true(rig.world.now >= 4000)
  end)

  it("resets what a node that has restarted does not know", function()
    nodes()
    rig:run_for(100)
    rig:crash(B, "power")
    rig:node(B)
    rig:run(function() return #rig:events(A, "node_down", B) == 1 end)
    rig:run(function() return is_connected(A, B) end)
    assert.equal("econnreset", rig:events(A, "node_down")[1].reason)
    assert.is_true(rig.world.now < 4000)
  end)

  it("keeps a paused node's connections, if it is back in time", function()
    local got = nodes { tame = true }
    rig.net:pause(B)
    rig:on(A, function()
      for i = 1, 5 do core.send({ name = "counter", node = B }, i) end
    end)
    rig:run_for(3000)
    assert.same({}, got)
    rig.net:resume(B)
    rig:run(function() return #got == 5 end)
    rig:run_for(3000)
    assert.same({}, rig:events(A, "node_down"))
    assert.same({}, rig:events(B, "node_down"))
  end)

  it("loses a node that is paused for too long, and finds it again", function()
    nodes()
    rig.net:pause(B)
    rig:run(function()
      return #rig:events(A, "node_down", B) == 1
        and #rig:events(C, "node_down", B) == 1
    end)
    rig.net:resume(B)
    rig:run(function()
      return is_connected(A, B) and is_connected(C, B)
    end)
  end)

  it("divides nodes until it is healed", function()
    nodes()
    rig.net:divide(function(from, to) return (from == C) ~= (to == C) end)
    rig:run(function()
      return not is_connected(A, C) and not is_connected(B, C)
        and not is_connected(C, A) and not is_connected(C, B)
    end)
    assert.is_true(is_connected(A, B) and is_connected(B, A))
    rig.net:heal()
    rig:run(function()
      return is_connected(A, C) and is_connected(B, C)
        and is_connected(C, A) and is_connected(C, B)
    end)
  end)

  it("makes a path dark now and again", function()
    nodes()
    rig.net:flap(A, B, 8000, 8000)
    rig:run(function() return #rig:events(A, "node_down", B) >= 2 end)
    assert.is_true(#rig:events(A, "node_up", B) >= 2)
    assert.same({}, rig:events(A, "node_down", C))
    rig.net:heal()
    rig:run(function() return is_connected(A, B) end)
  end)

  it("has senders wait for a slow reader", function()
    local got = nodes({ tame = true, window = 2000 }, { max_queue = 80000 })
    rig.net:slow_reader(B, 4)
    local sent = 0
    rig.net.sites[A].core:spawn(function()
      for i = 1, 3000 do
        core.send({ name = "counter", node = B }, i)
        sent = i
      end
    end)
    rig:run(function() return sent > 0 and #got > 100 end)
    assert.is_true(sent < 3000)
    rig:run(function() return #got == 3000 end)
    assert.same({}, rig:events(A, "node_down"))
  end)

  it("has what a slow node hears come late", function()
    local got = nodes { tame = true }
    rig.net:slow(B, 100)
    rig:on(A, function()
      for i = 1, 5 do
        core.send({ name = "counter", node = B }, i)
        core.sleep(1)
      end
    end)
    local since = rig.world.now
    rig:run(function() return #got == 5 end)
    assert.is_true(rig.world.now >= since + 300)
  end)

  it("takes a node for dead whose clock runs too slowly", function()
    nodes()
    rig.net:set_clock(B, 0.1)
    rig:run(function() return #rig:events(A, "node_down", B) >= 1 end)
    assert.equal("timeout", rig:events(A, "node_down")[1].reason)
    assert.same({}, rig:events(A, "node_down", C))
  end)

  it("delivers what direct nodes say without a choice", function()
    rig = virtual.new()
    rig:node(A, nil, true)
    rig:node(B, nil, true)
    rig:on(A, function() assert(core.connect(B)) end)
    rig.net:divide(function() return true end)
    local got
    rig:on(B, function()
      core.register("echo", core.spawn(function() got = core.receive() end))
    end)
    rig:on(A, function()
      core.send({ name = "echo", node = B }, ("x"):rep(1000))
    end)
    rig:run(function() return got ~= nil end)
    assert.equal(0, rig.chosen)
    assert.equal(0, rig.world.now)
  end)
end)
