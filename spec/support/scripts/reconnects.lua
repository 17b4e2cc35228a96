--- Connections between nodes that live are cut, lose everything silently, and
-- are slow, at random: streams in both directions come once and in order, calls
-- are answered once, and nobody hears of an end that was none.

local banyan = require "banyan"
local lockstep = require "banyan.lockstep"
local server = require "banyan.server"

local choose = lockstep.choose

local FAULTS = 12
local LONG = ("x"):rep(70000) -- in more frames than one
local PAUSES = { 0, 1, 20, 200 }
local GAPS = { 1500, 500, 100, 10 }
local LATENCIES = { 0, 1, 10, 80 }
local PARTED = { 2000, 2600, 3400 } -- less than down_after_ms
local WHOLE_MS = 2000 -- in which what broke before is whole again
local SILENT_MS = 4500 -- until another connection is there after silence

-- Takes numbers, each once and in order.
local function sink(state)
  state.last = 0
  while true do
    local message = banyan.receive()
    local number = type(message) == "table" and message[1] or message
    if number ~= state.last + 1 then
      state.problem = ("%s came after %d"):format(tostring(number), state.last)
    end
    state.last = number
  end
end

local function source(dest, state)
  state.sent = 0
  while not state.over do
    local number = state.sent + 1
    banyan.send(dest, choose(8) == 8 and { number, LONG } or number)
    state.sent = number
    local pause = PAUSES[choose(#PAUSES)]
    if pause > 0 then banyan.sleep(pause) end
  end
  state.stopped = true
end

local Adder = {}

function Adder:init()
  self.n = 0
end

function Adder:handle_call(n)
  self.n = self.n + n
  return self.n
end

local function caller(name, state)
  while server.call(name, 0) ~= 0 do banyan.sleep(1) end
  state.sent = 0
  while not state.over do
    local sum, err = server.call(name, 1, 20000)
    state.sent = state.sent + 1
    if sum ~= state.sent then
      state.problem = ("call %d: %s, %s"):format(state.sent, tostring(sum),
        tostring(err))
    end
    local pause = PAUSES[choose(#PAUSES)]
    if pause > 0 then banyan.sleep(pause) end
  end
  state.stopped = true
end

-- Hears of nothing until `pid` really ends, and then of that once each.
local function mourner(pid, state)
  banyan.trap_exit(true)
  banyan.monitor_nodes(true)
  banyan.link(pid)
  banyan.monitor(pid)
  while true do
    local message = banyan.receive()
    local key = tostring(message.tag)
    state[key] = (state[key] or 0) + 1
    if not state.over or state[key] > 1 or message.reason ~= "enough" then
      state.problem = ("%s %s"):format(key, tostring(message.reason))
    end
  end
end

local function harm(cluster, a, b)
  local whole_at = 0 -- two silences on end are longer than down_after_ms
  for _ = 1, FAULTS do
    banyan.sleep(GAPS[choose(#GAPS)])
    local kind = choose(7)
    if kind <= 3 then
      cluster:cut(a, b)
    elseif kind == 4 then
      banyan.sleep(math.max(whole_at - banyan.now(), 0))
      cluster:half_open(a, b, choose(2) == 1)
      banyan.sleep(SILENT_MS)
    elseif kind == 5 then
      cluster:set_link(a, b, { latency = LATENCIES[choose(#LATENCIES)] })
    elseif kind == 6 then
      banyan.sleep(WHOLE_MS)
      cluster:partition({ a }, { b })
      banyan.sleep(PARTED[choose(#PARTED)])
      cluster:heal()
      whole_at = banyan.now() + WHOLE_MS
    else
      cluster:set_link(b, a, { latency = LATENCIES[choose(#LATENCIES)] })
    end
  end
  cluster:heal()
end

local function wait_until(what, holds)
  for _ = 1, 2000 do
    if holds() then return end
    banyan.sleep(10)
  end
  error("waited too long until " .. what, 0)
end

return function()
  local cluster = lockstep.cluster { nodes = 2 }
  local a, b = cluster.nodes[1], cluster.nodes[2]
  local there, back, calls, ends = {}, {}, {}, {}
  for _, state in ipairs { there, back, calls, ends } do
    lockstep.invariant(function()
      return not state.problem, state.problem
    end)
  end
  local to_b = cluster:spawn(b, function() sink(there) end)
  local to_a = cluster:spawn(a, function() sink(back) end)
  cluster:spawn(a, function() source(to_b, there) end)
  cluster:spawn(b, function() source(to_a, back) end)
  cluster:spawn(b, function()
    banyan.trap_exit(true)
    server.start_link(Adder, nil, { name = "adder" })
    banyan.receive(function(m) return m == "never" end)
  end)
  cluster:spawn(a, function() caller({ name = "adder", node = b }, calls) end)
  local pid = cluster:spawn(b, function() banyan.receive() end)
  cluster:spawn(a, function() mourner(pid, ends) end)
  banyan.sleep(100)
  harm(cluster, a, b)
  for _, state in ipairs { there, back, calls } do state.over = true end
  wait_until("all that was sent has come", function()
    return there.stopped and back.stopped and calls.stopped
      and there.last == there.sent and back.last == back.sent
  end)
  ends.over = true
  pid:exit("enough")
  wait_until("the end is told", function() return ends.DOWN and ends.EXIT end)
  assert(cluster:settle())
end
