-- Which steps of a run can have caused its last one.

local banyan = require "banyan"
local lockstep = require "banyan.lockstep"
local slice = require "banyan.lockstep.slice"

-- The names of the steps that are left, as one text.
local function left(trace)
  local names = {}
  for _, step in ipairs(slice.of(trace)) do names[#names + 1] = step.name end
  return table.concat(names, " ")
end

describe("a slice", function()
  it("has the last step of a run", function()
    assert.equal("a1", left { { actor = 1, name = "a1" } })
    assert.equal("", left {})
  end)

  it("has the earlier steps of an actor and not those of others", function()
    assert.equal("a1 a2 a3", left {
      { actor = 1, name = "a1" }, { actor = 2, name = "b1" },
      { actor = 1, name = "a2" }, { actor = 2, name = "b2" },
      { actor = 1, name = "a3" },
    })
  end)

  it("follows who touched an actor, through others", function()
    assert.equal("c1 b1 b2 a1", left {
      { actor = 3, touched = { 2 }, name = "c1" },
      { actor = 4, touched = { 5 }, name = "d1" },
      { actor = 2, name = "b1" },
      { actor = 2, touched = { 1 }, name = "b2" },
      { actor = 5, name = "e1" },
      { actor = 1, name = "a1" },
    })
  end)

  it("leaves out what came too late to matter", function()
    assert.equal("b1 a1", left {
      { actor = 2, touched = { 1 }, name = "b1" },
      { actor = 3, touched = { 2 }, name = "c1" },
      { actor = 2, name = "b2" },
      { actor = 1, name = "a1" },
    })
  end)

  it("has the steps of processes that the last step looked at", function()
    local function trace(op)
      return {
        { actor = 2, name = "b1" }, { actor = 3, name = "c1" },
        { actor = 1, op = op, object = 2, touched = { 2 }, name = "a1" },
      }
    end
    assert.equal("b1 a1", left(trace "monitor"))
    assert.equal("a1", left(trace "send"))
  end)

  it("follows a name from one step that touched it to the next", function()
    assert.equal("b1 a1", left {
      { actor = 2, op = "register", object = 70, touched = {}, name = "b1" },
      { actor = 3, op = "register", object = 71, touched = {}, name = "c1" },
      { actor = 1, op = "whereis", object = 70, touched = {}, name = "a1" },
    })
  end)

  it("ties no steps that touch no object", function()
    assert.equal("a1", left {
      { actor = 2, object = 0, op = "run", name = "b1" },
      { actor = 1, object = 0, op = "run", name = "a1" },
    })
  end)

  it("has the passing of time where a timer fired", function()
    assert.equal("b1 tick fires a1", left {
      { actor = 2, op = "send_after", kind = "process", name = "b1" },
      { actor = 9, kind = "clock", name = "tick" },
      { actor = 50, kind = "timer", touched = { 1 }, name = "fires" },
      { actor = 9, kind = "clock", name = "tock" },
      { actor = 1, name = "a1" },
    })
  end)

  it("has each step with notes, and what can have caused it", function()
    assert.equal("b1 b2 a1", left {
      { actor = 2, notes = {}, name = "b1" },
      { actor = 3, notes = {}, name = "c1" },
      { actor = 2, notes = { "isolate" }, name = "b2" },
      { actor = 1, notes = {}, name = "a1" },
    })
  end)

  it("has the steps of those who live at the end, if given", function()
    local trace = {
      { actor = 1, name = "a1" }, { actor = 2, name = "b1" },
      { actor = 3, name = "c1" }, { actor = 4, name = "d1" },
    }
    assert.equal("d1", left(trace))
    trace.alive = { 1, 3 }
    assert.equal("a1 c1 d1", left(trace))
  end)

  it("keeps the steps as they are", function()
    local trace = { { actor = 1 }, { actor = 2 }, { actor = 1 } }
    local steps = slice.of(trace)
    assert.equal(trace[1], steps[1])
    assert.equal(trace[3], steps[2])
    assert.equal(3, #trace)
  end)
end)

-- One that talks to the body, and two that talk to each other.
local function body()
  local me = banyan.self()
  local other = banyan.spawn(function()
    for _ = 1, 3 do banyan.receive() end
  end)
  banyan.spawn(function()
    for _ = 1, 3 do banyan.send(other, "noise") end
  end)
  banyan.spawn(function() banyan.send(me, "wrong") end)
  error(banyan.receive(), 0)
end

local function count_actors(steps)
  local seen, count = {}, 0
  for _, step in ipairs(steps) do
    if not seen[step.actor] then count = count + 1 end
    seen[step.actor] = true
  end
  return count
end

describe("lockstep.slice", function()
  it("leaves of a report the steps that can have caused it", function()
    local noisy = 0
    for seed = 1, 20 do
      local report = lockstep.run(body, { strategy = "random", seed = seed })
      local steps = lockstep.slice(report)
      assert.equal("wrong", tostring(report.reason):match "^[^\n]*")
      assert.equal(report.trace[#report.trace], steps[#steps])
      assert.equal(2, count_actors(steps))
      if count_actors(report.trace) == 4 then noisy = noisy + 1 end
    end
    assert.is_true(noisy > 0)
  end)

  it("has the steps of those who wait in a deadlock", function()
    local report = lockstep.run(function()
      local me = banyan.self()
      banyan.spawn(function() banyan.send(me, "not that") end)
      banyan.spawn(function() banyan.sleep(100) end)
      banyan.receive(function(m) return m == "that" end)
    end, { iterations = 1, clock = "idle" })
    assert.equal("deadlock", report.kind)
    local text = tostring(lockstep.slice(report))
    assert.truthy(text:find("body", 1, true))
    assert.truthy(text:find("starts process 1.2", 1, true)
      or text:find("spawns process 1.2", 1, true))
    if math.type then assert.truthy(text:find("sends to body", 1, true)) end
  end)

  it("has what was done to a cluster, and what its nodes found out", function()
    local report = lockstep.run(function()
      local cluster = lockstep.cluster { nodes = 3 }
      local a, b = cluster.nodes[1], cluster.nodes[2]
      local there = cluster:spawn(a, banyan.receive)
      lockstep.watch(cluster:spawn(b, function()
        banyan.monitor(there)
        error(banyan.receive().reason, 0)
      end))
      banyan.sleep(100)
      cluster:partition({ a })
      banyan.receive()
    end, { clock = "idle" })
    assert.truthy(tostring(report.reason):find("noconnection", 1, true))
    local steps = lockstep.slice(report)
    assert.is_true(#steps < #report.trace)
    local text = tostring(steps)
    assert.truthy(text:find("* partition n1@lockstep:1\n", 1, true), text)
    assert.truthy(text:find("* n2@lockstep:1 loses n1@lockstep:1\n", 1, true))
  end)

  it("wants the report of a failure", function()
    local ok = lockstep.run(function() end, { iterations = 1 })
    for _, given in ipairs { ok, {}, "1.2" } do
      assert.error_matches(function() lockstep.slice(given) end,
        "lockstep.slice: a report of a failure expected")
    end
  end)
end)
