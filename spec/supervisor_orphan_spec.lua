-- Nothing that a supervisor started outlives it.

local children = require "spec.support.children"
local core = require "banyan.core"
local dynamic_supervisor = require "banyan.dynamic_supervisor"
local reasons = require "spec.support.reasons"
local supervisor = require "banyan.supervisor"

local test = children.test
local reason_of = reasons.of

-- A child that is not linked to its supervisor, traps exits, and never stops
-- when it is asked to.
local function stubborn(id)
  return { id = id, shutdown = "infinity", start = function()
    local sup = core.self()
    local pid = core.spawn_link(function()
      core.unlink(sup)
      core.trap_exit(true)
      while true do core.receive() end
    end)
    core.sleep(1)
    return pid
  end }
end

local function nest(id, shutdown, list)
  return { id = id, type = "supervisor", shutdown = shutdown,
    start = function() return supervisor.start_link(list) end }
end

-- Supervisors in supervisors, each with little time, and stubborn children
-- at each depth.
local function deep()
  return {
    stubborn "a", nest("1", 20, {
      stubborn "b", nest("2", 50, {
        stubborn "c", nest("3", "infinity", { stubborn "d", stubborn "e" }),
      }),
    }),
  }
end

local function pool()
  return { id = "pool", type = "supervisor", shutdown = 10,
    start = function()
      local sup = dynamic_supervisor.start_link()
      for id = 1, 3 do dynamic_supervisor.start_child(sup, stubborn(id)) end
      dynamic_supervisor.start_child(sup, nest("n", 10, deep()))
      return sup
    end }
end

local function children_of(sup, id)
  for _, row in ipairs(supervisor.which_children(sup)) do
    if row.id == id then return row.pid end
  end
end

-- A tree in which no process stops by itself; the body ends it, and then
-- there may be none left.
local function test_tree(name, list, body)
  test(name, function()
    core.trap_exit(true)
    local before = #core.processes()
    local sup = assert(supervisor.start_link(list()))
    assert.is_true(#core.processes() >= before + 6)
    body(sup)
    core.sleep(1)
    assert.equal(before, #core.processes())
  end)
end

describe("a supervisor leaves no process behind", function()
  local function nested() return { nest("0", 20, deep()) } end
  local function pools() return { pool() } end

  for name, list in pairs { ["nested supervisors"] = nested,
    ["a dynamic supervisor"] = pools } do
    test_tree("when it stops " .. name .. " that had too little time", list,
      function(sup) assert.is_true(supervisor.stop(sup)) end)

    test_tree("when it is killed, above " .. name, list, function(sup)
      sup:exit "kill"
      assert.equal("killed", core.receive().reason)
    end)

    test_tree("when it terminates " .. name, list,
      function(sup)
        local id = supervisor.which_children(sup)[1].id
        assert.is_true(supervisor.terminate_child(sup, id))
        assert.is_true(supervisor.stop(sup))
      end)

    test_tree("when it is killed while it stops " .. name, list, function(sup)
      core.spawn(function() supervisor.stop(sup) end)
      core.sleep(5)
      assert.is_true(core.is_alive(sup))
      sup:exit "kill"
    end)
  end

  test("when its child, a supervisor, is killed and restarted", function()
    local sup = assert(supervisor.start_link(nested()))
    local inner = children_of(sup, "0")
    local before = #core.processes()
    inner:exit "kill"
    core.sleep(100)
    assert.not_equal(inner, children_of(sup, "0"))
    assert.equal(before, #core.processes())
  end)

  test("when it gave up", function(log)
    core.trap_exit(true)
    local before = #core.processes()
    local sup = assert(supervisor.start_link(
      { nest("0", 20, deep()), log:child "x" }, { max_restarts = 0 }))
    log:send("x", { exit = "crash" })
    assert.equal("shutdown", reason_of(sup))
    core.sleep(1)
    assert.equal(before, #core.processes())
  end)

  test("when not all its children could be started", function(log)
    core.trap_exit(true)
    local before = #core.processes()
    log:next_starts("x", children.fails_with "no")
    assert.is_nil((supervisor.start_link {
      nest("0", 20, deep()), log:child "x",
    }))
    core.sleep(1)
    assert.equal(before, #core.processes())
  end)

  test("when it is killed while a supervisor below it starts", function(log)
    local before = #core.processes()
    local outer
    core.spawn(function()
      supervisor.start_link { { id = 1, start = function()
        outer = core.self()
        return supervisor.start_link { log:child "a", stubborn "b",
          { id = "never", start = function() core.receive() end } }
      end } }
    end)
    core.sleep(10)
    outer:exit "kill"
    core.sleep(10)
    assert.equal(before, #core.processes())
  end)
end)
