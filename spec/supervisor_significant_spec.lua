-- Supervisors that end by themselves when significant children have ended.

local children = require "spec.support.children"
local core = require "banyan.core"
local supervisor = require "banyan.supervisor"

local states = children.states
local test = children.test

-- A supervisor of children "a:transient b!:temporary": "!" is significant.
local function start(log, text, opts)
  local list = {}
  for id, mark, restart in text:gmatch "(%a)(!?):(%a+)" do
    list[#list + 1] = log:child(id,
      { restart = restart, significant = mark == "!" })
  end
  local sup = assert(supervisor.start_link(list, opts))
  log:take()
  return sup
end

local ANY, ALL = "any_significant", "all_significant"

describe("auto_shutdown", function()
  -- what the children are; how which of them end; whether that ends it
  local cells = {
    { ANY, "a:permanent b!:transient", "b normal", true },
    { ANY, "a:permanent b!:transient", "b shutdown", true },
    { ANY, "a:permanent b!:transient", "b crash", false },
    { ANY, "a:permanent b!:temporary", "b normal", true },
    { ANY, "a:permanent b!:temporary", "b crash", true },
    { ANY, "a:transient b!:transient", "a normal", false },
    { ANY, "a:temporary b!:transient", "a crash", false },
    { ANY, "a!:transient b!:transient", "a normal", true },
    { ALL, "a!:transient b!:transient", "a normal", false },
    { ALL, "a!:transient b!:transient", "a normal b normal", true },
    { ALL, "a!:transient b!:temporary", "b crash a normal", true },
    { ALL, "a!:transient b!:temporary", "a crash b crash", false },
    { ALL, "a:transient b!:temporary", "a normal", false },
    { ALL, "a:permanent b!:temporary c!:transient", "b crash c normal", true },
    { "never", "a:transient b:temporary", "a normal b crash", false },
  }
  for _, cell in ipairs(cells) do
    local auto, what, ends, over = cell[1], cell[2], cell[3], cell[4]
    test(("%s: %s, then %s: %s"):format(auto, what, ends,
      over and "ends it" or "goes on"), function(log)
      core.trap_exit(true)
      local sup = start(log, what, { auto_shutdown = auto })
      for id, reason in ends:gmatch "(%a) (%a+)" do log:crash(id, reason) end
      assert.equal(not over, core.is_alive(sup))
      if over then
        assert.same({ tag = "EXIT", from = sup, reason = "shutdown" },
          core.receive(0))
      end
    end)
  end

  test("stops the others in reverse start order", function(log)
    core.trap_exit(true)
    start(log, "a:permanent b!:transient c:permanent d:temporary",
      { auto_shutdown = ANY })
    log:crash("b", "normal")
    assert.equal("-d -c -a", log:take())
  end)

  test("does not follow from a significant child that is terminated",
    function(log)
      local sup = start(log, "a:permanent b!:transient c!:temporary",
        { auto_shutdown = ANY })
      assert.is_true(supervisor.terminate_child(sup, "b"))
      assert.is_true(supervisor.terminate_child(sup, "c"))
      assert.equal("a:running b:stopped", states(sup))
      assert.is_true(supervisor.delete_child(sup, "b"))
      assert.equal("a:running", states(sup))
    end)

  test("does not follow from a significant child that a sibling stops",
    function(log)
      local sup = start(log, "a:permanent b!:temporary c!:transient",
        { auto_shutdown = ANY, strategy = "one_for_all" })
      log:crash "a"
      assert.equal("-c -b +a +c", log:take())
      assert.equal("a:running c:running", states(sup))
    end)

  test("waits for a significant child that is being restarted", function(log)
    core.trap_exit(true)
    local significant = { restart = "transient", significant = true,
      backoff = { min = 1000 } }
    local sup = assert(supervisor.start_link({
      log:child("a", significant), log:child("b", significant),
    }, { auto_shutdown = ALL }))
    log:crash("a", "crash")
    log:crash("b", "normal")
    assert.equal("a:restarting b:stopped", states(sup))
    core.sleep(1000)
    log:crash("a", "normal")
    assert.equal("shutdown", core.receive(0).reason)
    assert.is_false(core.is_alive(sup))
  end)

  test("counts significant children that are started later", function(log)
    core.trap_exit(true)
    local sup = start(log, "a!:transient", { auto_shutdown = ALL })
    assert(supervisor.start_child(sup,
      log:child("b", { restart = "temporary", significant = true })))
    log:crash("a", "normal")
    assert.equal("a:stopped b:running", states(sup))
    log:crash("b", "normal")
    assert.is_false(core.is_alive(sup))
  end)

  for _, auto in ipairs { ANY, ALL } do
    test("works with simple_one_for_one: " .. auto, function(log)
      core.trap_exit(true)
      local sup, start_one = children.pool("simple", log,
        { restart = "transient", significant = true },
        { auto_shutdown = auto })
      start_one "a"
      start_one "b"
      log:crash("a", "crash")
      assert.is_true(core.is_alive(sup))
      log:crash("a", "normal")
      assert.equal(auto == ALL, core.is_alive(sup))
      log:crash("b", "normal")
      assert.is_false(core.is_alive(sup))
    end)
  end

  test("ends a significant supervisor and with it the one above",
    function(log)
      core.trap_exit(true)
      local function wrap(spec)
        return { id = "around " .. spec.id, type = "supervisor",
          restart = "transient", significant = true, start = function()
            return supervisor.start_link({ spec, log:child(spec.id .. "+") },
              { auto_shutdown = ANY })
          end }
      end
      local inner = log:child("x",
        { restart = "transient", significant = true })
      local sup = assert(supervisor.start_link({ log:child "a",
        wrap(wrap(inner)) }, { auto_shutdown = ANY }))
      log:take()
      log:crash("x", "normal")
      core.sleep(10)
      assert.equal("shutdown", core.receive(0).reason)
      assert.is_false(core.is_alive(sup))
      assert.equal("-x+ -around x+ -a", log:take())
    end)
end)
