-- Supervisors whose children all come of one template.

local children = require "spec.support.children"
local core = require "banyan.core"
local supervisor = require "banyan.supervisor"

local test = children.test

describe("simple_one_for_one", function()
  local function simple(log, more, opts)
    local template = { id = "t", start = function(id)
      return log:start(id)
    end }
    for key, value in pairs(more or {}) do template[key] = value end
    local settings = { strategy = "simple_one_for_one" }
    for key, value in pairs(opts or {}) do settings[key] = value end
    return assert(supervisor.start_link({ template }, settings))
  end

  test("makes children from a template and extra arguments", function()
    local got
    package.loaded["spec.named"] = { go = function(...)
      got = { ... }
      return core.spawn_link(function() core.receive() end)
    end }
    local sup = assert(supervisor.start_link({
      { id = "t", start = { "spec.named", "go", { 1, 2 } } },
    }, { strategy = "simple_one_for_one" }))
    assert.same({}, supervisor.which_children(sup))
    local pid = assert(supervisor.start_child(sup, { 3, "x" }))
    assert.same({ 1, 2, 3, "x" }, got)
    got = nil
    pid:exit("crash")
    core.sleep(1)
    assert.same({ 1, 2, 3, "x" }, got)
    assert(supervisor.start_child(sup))
    assert.same({ 1, 2 }, got)
    package.loaded["spec.named"] = nil
  end)

  test("takes the pids of its children as their ids", function(log)
    local sup = simple(log)
    local a = assert(supervisor.start_child(sup, { "a" }))
    local b = assert(supervisor.start_child(sup, { "b" }))
    assert.same({
      { pid = a, state = "running", type = "worker" },
      { pid = b, state = "running", type = "worker" },
    }, supervisor.which_children(sup))
    assert.same({ specs = 1, active = 2, supervisors = 0, workers = 2 },
      supervisor.count_children(sup))
    assert.is_true(supervisor.terminate_child(sup, a))
    assert.is_true(supervisor.terminate_child(sup, a))
    assert.same({ nil, "not_found" },
      { supervisor.terminate_child(sup, core.self()) })
    assert.same({ nil, "simple_one_for_one" },
      { supervisor.terminate_child(sup, "t") })
    assert.same({ nil, "simple_one_for_one" },
      { supervisor.restart_child(sup, "t") })
    assert.same({ nil, "simple_one_for_one" },
      { supervisor.delete_child(sup, b) })
    assert.equal("t", supervisor.get_childspec(sup, "t").id)
    assert.same(supervisor.get_childspec(sup, "t"),
      supervisor.get_childspec(sup, b))
  end)

  test("answers noproc when it has ended, whatever the arguments", function(log)
    core.trap_exit(true)
    local sup = simple(log)
    assert(supervisor.stop(sup))
    assert.same({ nil, "noproc" }, { supervisor.start_child(sup, { "a" }) })
    assert.same({ nil, "noproc" }, { supervisor.start_child(sup, {}) })
  end)

  test("stops its children side by side", function(log)
    core.trap_exit(true)
    local sup = simple(log, { shutdown = 200 })
    for i = 1, 10 do
      supervisor.start_child(sup, { "c" .. i })
      log:send("c" .. i, { hang = true })
    end
    local from = core.now()
    assert.is_true(supervisor.stop(sup))
    assert.equal(200, core.now() - from)
  end)

  test("shows the template, also for a temporary child", function(log)
    for _, restart in ipairs { "permanent", "temporary" } do
      local sup = simple(log, { restart = restart })
      local pid = assert(supervisor.start_child(sup, { "a" }))
      local spec = supervisor.get_childspec(sup, pid)
      assert.equal("function", type(spec.start))
      assert.same(supervisor.get_childspec(sup, "t"), spec)
    end
    local sup = assert(supervisor.start_link({
      { start = function(id) return log:start(id) end },
    }, { strategy = "simple_one_for_one" }))
    local pid = assert(supervisor.start_child(sup, { "a" }))
    assert.is_nil(supervisor.get_childspec(sup, pid).id)
  end)

  test("takes a list of arguments and nothing else", function(log)
    local sup = simple(log)
    assert.error_matches(function()
      supervisor.start_child(sup, { name = "x" })
    end, "supervisor.start_child: .*list of extra arguments")
    assert.error_matches(function() supervisor.start_child(sup, "x") end,
      "takes a list of extra arguments")
  end)
end)
