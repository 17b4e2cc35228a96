-- Faults at random, and the cluster after them.

local core = require "banyan.core"
local lockstep = require "banyan.lockstep"
local play = require "banyan.lockstep.play"

local SEEDS = 30
local STRATEGIES = { "random", "pct" }

-- Runs fn(cluster, world) in a body under one schedule.
local function body(seed, opts, fn, clock)
  lockstep.check(function()
    fn(lockstep.cluster(opts), play.world "spec")
  end, {
    strategy = STRATEGIES[seed % #STRATEGIES + 1], clock = clock,
    iterations = 1, seed = seed, max_steps = 1e6,
  })
end

describe("chaos", function()
  local function chaos(seed, opts, nodes, after)
    local did, lasted
    body(seed, { nodes = nodes or 3 }, function(cluster, world)
      did = cluster:chaos(opts)
      lasted = world.now
      if after then after(cluster, world) end
    end)
    return did, lasted
  end

  it("leaves a cluster that is whole, and nothing of what it did", function()
    for seed = 1, SEEDS do
      local nodes = 1 + seed % 5
      chaos(seed, nil, nodes, function(cluster)
        for _, name in ipairs(cluster.nodes) do
          assert.is_true(cluster:is_up(name))
          assert.equal(nodes - 1, #cluster:views()[name])
        end
        core.sleep(15000)
        assert(cluster:settle())
        local pipes = 0
        cluster.net:each_path(function(path)
          path:each(function() pipes = pipes + 1 end)
        end)
        assert.equal(nodes * (nodes - 1), pipes)
      end)
    end
  end)

  it("does every kind of thing, and no run all of them", function()
    local seen, kinds = {}, { "partition", "isolate", "bridge", "loss 1",
      "loss 0", "latency 1", "flap", "cut", "half open", "crash", "pause",
      "clock", "slow", "reads", "heal", "restart", "resume", "whole again" }
    for seed = 1, SEEDS do
      local text = table.concat(chaos(seed), "\n")
      local count = 0
      for _, kind in ipairs(kinds) do
        if text:find(kind, 1, true) then
          seen[kind] = true
          count = count + 1
        end
      end
      assert.is_true(count < #kinds)
    end
    for _, kind in ipairs(kinds) do assert.is_true(seen[kind], kind) end
  end)

  it("does only what it is asked for", function()
    for seed = 1, 20 do
      for _, text in ipairs(chaos(seed, { faults = { "crash" } })) do
        assert.truthy(text:find "crash" or text:find "restart"
          or text:find "heal", text)
      end
    end
  end)

  it("never takes the last node away", function()
    for seed = 1, 20 do
      local least = math.huge
      body(seed, { nodes = 3 }, function(cluster)
        local over = false
        core.spawn(function()
          while not over do
            local up = 0
            for _, name in ipairs(cluster.nodes) do
              local site = cluster.net.sites[name]
              if site and not site.stopped then up = up + 1 end
            end
            least = math.min(least, up)
            core.sleep(10)
          end
        end)
        cluster:chaos { faults = { "crash", "pause" } }
        over = true
      end)
      assert.is_true(least >= 1)
    end
  end)

  it("lasts as long as its option says", function()
    local _, lasted = chaos(1, { duration = 300000 })
    assert.is_true(lasted >= 300000)
    _, lasted = chaos(1, { duration = 10 })
    assert.is_true(lasted < 100000)
  end)

  it("is the same for the same choices", function()
    for seed = 1, 5 do
      assert.same((chaos(seed)), (chaos(seed)))
    end
  end)

  it("is replayed to the letter from the tape of a failure", function()
    local function fails()
      local cluster = lockstep.cluster { nodes = 4 }
      error(table.concat(cluster:chaos(), "\n"), 0)
    end
    for seed = 1, 8 do
      local report = lockstep.run(fails, {
        strategy = STRATEGIES[seed % #STRATEGIES + 1], seed = seed,
        max_steps = 1e6,
      })
      assert.equal("error", report.kind)
      local again = lockstep.replay(fails, report)
      assert.same({ "error", report.reason, report.steps },
        { again.kind, again.reason, again.steps })
    end
  end)

  it("causes no fault where every choice is the mildest", function()
    local did
    assert(lockstep.replay(function()
      did = lockstep.cluster():chaos()
    end, {}, { max_steps = 1e6 }).ok)
    assert.equal(1, #did)
    assert.truthy(did[1]:find "heal")
  end)

  it("says who sees whom if the cluster does not settle", function()
    body(1, { nodes = { "a", "b" } }, function(cluster)
      cluster:spawn("a", function()
        while true do
          core.disconnect("b")
          core.sleep(1)
        end
      end)
      local ok, err = pcall(cluster.chaos, cluster,
        { duration = 1000, settle = 5000, faults = { "latency" } })
      assert.is_false(ok)
      assert.truthy(err:find("did not settle within 5000 ms: a sees nobody; "
        .. "b sees nobody; before that:", 1, true), err)
      assert.truthy(err:find("heal", 1, true), err)
    end)
  end)
end)
