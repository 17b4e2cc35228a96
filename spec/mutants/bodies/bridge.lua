--- One peer connection: a service that is advertised while it comes about, two
-- subscribers of one topic of whom one ends, a child that is killed while
-- messages come, in few steps. In the end what one subscriber has is right, and
-- so is what both ends count.

local banyan = require "banyan"
local lockstep = require "banyan.lockstep"
local peers = require "banyan.peers"
local supervisor = require "banyan.supervisor"

local choose = lockstep.choose

local A, B = "a@a:1", "b@b:1"
local KEY = { realm = "r", secret = "of the body" }
local TTL_MS, LIMIT_MS, CALM_MS = 400, 60000, 20000
local MESSAGES = 8
local LARGE = ("x"):rep(3 * 1024 * 1024)

local run

local function at(node, fn)
  local me, ref = banyan.self(), banyan.make_ref()
  run.cluster:spawn(node, function()
    banyan.send(me, { ref = ref, fn() })
    banyan.receive() -- stays
  end)
  return assert(banyan.receive(ref, LIMIT_MS), "no answer")[1]
end

local function open()
  run.cluster = lockstep.cluster { nodes = { { A }, { B } } }
  at(B, function()
    assert(peers.start_link())
    return peers.accept {
      realm = KEY.realm, secret = KEY.secret,
      on_up = function(pid) run.there = pid end,
    }
  end)
  at(A, function()
    assert(peers.start_link())
    run.here = assert(peers.start_peer("banyan://b:1", KEY))
    return true
  end)
  banyan.sleep(choose(2) - 1)
  at(B, function() return peers.advertise("s", 7, { ttl_ms = TTL_MS }) end)
  repeat banyan.sleep(1) until run.there
end

local function subscribe(got)
  return at(A, function()
    return banyan.spawn(function()
      peers.subscribe(run.here, "t")
      repeat
        local message = banyan.receive()
        if message.msg then got[#got + 1] = message.msg.n end
      until message.over
    end)
  end)
end

local function publish(n, large)
  run.cluster:spawn(B, function()
    for _ = 1, n do
      run.n = run.n + 1
      local msg = { n = run.n, large = large and LARGE or nil }
      assert(peers.publish(run.there, "t", msg))
    end
  end)
end

local function kill(id)
  run.cluster:spawn(A, function()
    for _, row in ipairs(supervisor.which_children(run.here)) do
      if row.id == id then row.pid:exit "kill" end
    end
  end)
end

local function check(got, topics)
  for i = 2, #got do
    assert(got[i] > got[i - 1], "a message comes too late, or again")
  end
  for _ = 1, 5 do
    local values = at(A, function() return peers.discover(run.here, "s") end)
    assert(values and values[1] == 7, "the service is forgotten")
    banyan.sleep(137)
  end
  local info = at(B, function() return peers.info(run.there) end)
  assert(info and info.topics == topics, "the wrong topics")
end

return function()
  run = { n = 0 }
  open()
  local first, second = {}, {}
  local one, two = subscribe(first), subscribe(second)
  banyan.sleep(100)
  publish(choose(16) == 16 and 4 or MESSAGES, choose(16) == 16)
  local killed = choose(3)
  if killed == 2 then kill "pubsub" end
  if killed == 3 then kill "rpc" end
  banyan.send(one, { over = true })
  banyan.sleep(CALM_MS)
  publish(1)
  banyan.sleep(1000)
  check(second, 1)
  assert(second[#second] == run.n, "the last message is missing")
  banyan.send(two, { over = true })
  banyan.sleep(1000)
  check(second, 0)
end
