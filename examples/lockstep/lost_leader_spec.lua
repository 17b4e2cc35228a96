-- A cluster of three that loses its leader, and gives out a number twice.
--
--     lua5.4 "$(command -v busted)" examples/lockstep/lost_leader_spec.lua
--
-- Three nodes give out numbers, and no number may be given out twice. The first
-- node that replies is the leader. A careless leader gives a number out and
-- then sends it to the others: if it crashes in between, the next leader gives
-- the same number out again. A careful leader gives a number out after two of
-- the three nodes have recorded it. A node records no number twice, and any two
-- majorities have a node in common.

local banyan = require "banyan"
local lockstep = require "banyan.lockstep"
local server = require "banyan.server"

-- --- the program ------------------------------------------------------------

local function tell_later(self, number)
  for _, node in ipairs(self.others) do
    server.cast({ name = "numbers", node = node }, { note = number })
  end
  return number
end

local function tell_first(self, number)
  local votes = 1
  for _, node in ipairs(self.others) do
    local dest = { name = "numbers", node = node }
    if server.call(dest, { note = number }, 1000) then votes = votes + 1 end
  end
  if votes < 2 then return nil, "no_majority" end
  return number
end

local function numbers(tell)
  local Numbers = {}

  function Numbers:init(others) self.last, self.others = 0, others end

  function Numbers:note(number)
    if number <= self.last then return false end
    self.last = number
    return true
  end

  function Numbers:handle_cast(msg) self:note(msg.note) end

  function Numbers:handle_call(msg)
    if msg.note then return self:note(msg.note) end
    self.last = self.last + 1
    return tell(self, self.last)
  end

  return Numbers
end

-- --- its test ----------------------------------------------------------------

local function start(cluster, module)
  for _, node in ipairs(cluster.nodes) do
    local others = {}
    for _, other in ipairs(cluster.nodes) do
      if other ~= node then others[#others + 1] = other end
    end
    cluster:spawn(node, function()
      assert(server.start(module, others, { name = "numbers" }))
    end)
  end
end

-- Gets a number from the node at `first`, or else from one of the others.
local function draw(cluster, first)
  local nodes = cluster.nodes
  while true do
    for i = first, first + #nodes - 1 do
      local node = nodes[(i - 1) % #nodes + 1]
      local number = server.call({ name = "numbers", node = node }, {})
      if number then return number end
    end
    banyan.sleep(100)
  end
end

local function losing_the_leader(tell)
  local module = numbers(tell)
  return function()
    local cluster = lockstep.cluster { nodes = 3 }
    start(cluster, module)
    local first = draw(cluster, 1)
    cluster:crash(cluster.nodes[1])
    local second = draw(cluster, 1)
    assert.not_equal(first, second)
  end
end

-- The network may have any fault, but no node crashes and loses its state.
local faults = { "partition", "isolate", "bridge", "one_way", "flap", "cut" }

local function in_chaos(tell)
  local module = numbers(tell)
  return function()
    local cluster = lockstep.cluster { nodes = 3 }
    start(cluster, module)
    local me, seen = banyan.self(), {}
    banyan.spawn_link(function()
      for _ = 1, 6 do
        local number = draw(cluster, lockstep.choose(3))
        assert(not seen[number], "given out twice")
        seen[number] = true
        banyan.sleep(1000)
      end
      banyan.send(me, "done")
    end)
    cluster:chaos { duration = 5000, faults = faults }
    assert.equal("done", banyan.receive())
  end
end

describe("three nodes that give out numbers", function()
  it("give one out twice if the others get it later", function()
    local body = losing_the_leader(tell_later)
    local report = lockstep.run(body)
    assert.is_false(report.ok)
    print(lockstep.shrink(body, report))
  end)

  it("give none out twice if a majority records it first", function()
    lockstep.check(losing_the_leader(tell_first), { iterations = 200 })
  end)

  it("give none out twice on a network that comes and goes", function()
    local opts = { iterations = 50, max_steps = 100000 }
    local report = lockstep.run(in_chaos(tell_later), opts)
    assert.matches("given out twice", tostring(report.reason))
    lockstep.check(in_chaos(tell_first), opts)
  end)
end)
