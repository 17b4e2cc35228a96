-- A node that stood still suspects itself first, and so does one that hears
-- nobody any more.

local banyan = require "banyan"
local core = require "banyan.core"
local network = require "spec.support.network"

local A, B, C, H = "a@h:1", "b@h:1", "c@h:1", "hidden@h:1"

describe("a node on the network", function()
  local net

  local function nodes(...)
    net = network.new()
    for _, name in ipairs { ... } do net:node(name) end
    net:connect()
    net:pass(3000)
  end

  after_each(function() net:close() end)

  local function stand_still(name, ms)
    net.virtual:pause(name)
    net:pass(ms)
    net.virtual:resume(name)
  end

  local function downs(at) return #net:events_named("node_down", at) end

  -- Nothing that these send arrives.
  local function silence(on, ...)
    for _, pair in ipairs { ... } do
      net:hold(pair[1], pair[2], on)
      net:hold(pair[2], pair[1], on)
    end
  end

  describe("that stood still", function()
    it("tells of it once, without a distributed supervisor", function()
      nodes(A, B)
      stand_still(A, 12000)
      net:pass(10000)
      local gaps = net:events_named "clock_gap"
      assert.equal(1, #gaps)
      assert.equal(A, gaps[1].at)
      assert.equal(A, gaps[1].node)
      assert.is_true(gaps[1].ms > 11000 and gaps[1].ms <= 12000)
    end)

    it("tells of each time", function()
      nodes(A, B)
      for _ = 1, 3 do
        stand_still(A, 3000)
        net:pass(2000)
      end
      assert.equal(3, net:count "clock_gap")
    end)

    it("for less than a heartbeat tells of nothing", function()
      nodes(A, B)
      for _ = 1, 20 do
        stand_still(A, 900)
        net:pass(300)
      end
      assert.equal(0, net:count "clock_gap")
    end)

    it("gives nobody up for it", function()
      nodes(A, B, C)
      local messages = {}
      net:find(A).core:spawn(function()
        core.monitor_nodes(true)
        while true do
          local msg = core.receive()
          messages[#messages + 1] = msg.tag
        end
      end)
      net:pass(100)
      stand_still(A, 4500)
      net:pass(20000)
      assert.same({}, messages)
      assert.equal(0, downs())
    end)

    it("counts silence from then on", function()
      nodes(A, B)
      net.virtual:pause(A)
      net:pass(4000)
      net:kill(B, "vanish")
      net.virtual:resume(A)
      net:pass(4500)
      assert.equal(0, downs(A))
      net:pass(1000)
      assert.equal(1, downs(A))
    end)

    it("takes connections that came meanwhile", function()
      nodes(A, B)
      net:node(C)
      local joined
      net.virtual:pause(A)
      net:find(C).core:spawn(function() joined = core.connect(A, 60000) end)
      net:pass(4000)
      net.virtual:resume(A)
      net:run(function() return joined ~= nil end)
      assert.is_true(joined)
    end)
  end)

  describe("whose peers all fall silent at once", function()
    it("waits for reconnect_ms more", function()
      nodes(A, B, C)
      silence(true, { A, B }, { A, C }, { B, C })
      net:pass(5900)
      assert.equal(0, downs())
      silence(false, { A, B }, { A, C }, { B, C })
      net:pass(20000)
      assert.equal(0, downs())
    end)

    it("gives them up then", function()
      nodes(A, B, C)
      silence(true, { A, B }, { A, C })
      net:pass(5900)
      assert.equal(0, downs(A))
      assert.equal(1, #net:events_named("node_down", B, A))
      assert.equal(1, #net:events_named("node_down", C, A))
      net:pass(1200)
      assert.equal(2, downs(A))
      assert.equal(0, #net:events_named("node_down", B, C))
    end)

    it("gives up one alone as before", function()
      nodes(A, B, C)
      silence(true, { A, B })
      net:pass(5000)
      assert.equal(1, #net:events_named("node_down", A, B))
      assert.equal(0, #net:events_named("node_down", A, C))
    end)

    it("gives up its only peer as before", function()
      nodes(A, B)
      silence(true, { A, B })
      net:pass(5000)
      assert.equal(1, downs(A))
      assert.equal(1, downs(B))
    end)

    it("does not count those that fell silent at another time", function()
      nodes(A, B, C)
      silence(true, { A, B })
      net:pass(2000)
      silence(true, { A, C })
      net:pass(3000)
      assert.equal(1, #net:events_named("node_down", A, B))
      assert.equal(0, #net:events_named("node_down", A, C))
      net:pass(2000)
      assert.equal(1, #net:events_named("node_down", A, C))
    end)

    it("does not count hidden nodes", function()
      nodes(A, B)
      net:node(H, { hidden = true })
      net:on(H, function() assert(core.connect(A)) end)
      net:pass(3000)
      silence(true, { A, B }, { A, H })
      net:pass(5000)
      assert.equal(1, #net:events_named("node_down", A, B))
    end)
  end)
end)

describe("a node that its host steps", function()
  local node, seen

  before_each(function()
    seen = {}
    node = assert(banyan.start {
      driver = "manual",
      on_event = function(event)
        if event.event == "clock_gap" then seen[#seen + 1] = event end
      end,
    })
  end)
  after_each(function() node:stop() end)

  local function sleeper()
    node:spawn(function()
      while true do banyan.sleep(500) end
    end)
  end

  it("tells when it was not, for how long", function()
    sleeper()
    node:step(0)
    node:step(500)
    node:step(1600)
    assert.same({}, seen)
    node:step(8100)
    node:step(8100)
    assert.equal(1, #seen)
    assert.equal(6000, seen[1].ms)
    assert.equal(8100, seen[1].time)
  end)

  it("is not late where it waits for input alone", function()
    node:step(0)
    node:step(100000)
    sleeper()
    node:step(200000)
    assert.same({}, seen)
  end)
end)

describe("a node on a clock", function()
  it("tells of a process that holds it, when it has gone on", function()
    local now = 0
    local node = core.node {
      seed = 1, events = true, clock = function() return now end,
    }
    local function gaps()
      local list = {}
      for _, event in ipairs(node:events() or {}) do
        if event.event == "clock_gap" then list[#list + 1] = event.ms end
      end
      return list
    end
    node:spawn(function() now = now + 6000 end)
    node:step(now)
    assert.same({ 6000 }, gaps())
    node:step(now)
    node:spawn(function() now = now + 900 end)
    node:step(now)
    assert.same({}, gaps())
    node:close()
  end)

  it("counts the whole step, not each of its processes alone", function()
    local now = 0
    local node = core.node {
      seed = 1, events = true, clock = function() return now end,
    }
    for _ = 1, 6 do node:spawn(function() now = now + 300 end) end
    node:step(now)
    local ms
    for _, event in ipairs(node:events() or {}) do
      if event.event == "clock_gap" then ms = event.ms end
    end
    assert.equal(1800, ms)
    node:close()
  end)
end)
