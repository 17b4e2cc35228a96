-- What happens to very many children at once takes time in proportion to
-- their number.

local children = require "spec.support.children"
local core = require "banyan.core"
local dynamic_supervisor = require "banyan.dynamic_supervisor"
local supervisor = require "banyan.supervisor"

local test = children.test

local function child()
  return core.spawn_link(function() core.receive() end)
end

local function static(n, opts)
  local list = {}
  for i = 1, n do list[i] = { id = i, start = child } end
  return assert(supervisor.start_link(list, opts))
end

local function simple(n, opts)
  opts.strategy = "simple_one_for_one"
  local sup = assert(supervisor.start_link({ { id = 0, start = child } }, opts))
  for _ = 1, n do assert(supervisor.start_child(sup)) end
  return sup
end

local function dynamic(n, opts)
  local sup = assert(dynamic_supervisor.start_link(opts))
  for _ = 1, n do
    assert(dynamic_supervisor.start_child(sup, { start = child }))
  end
  return sup
end

local function one_for_all(n, opts)
  opts.strategy = "one_for_all"
  return static(n, opts)
end

local kinds = {
  one_for_one = static, one_for_all = one_for_all,
  simple_one_for_one = simple, dynamic = dynamic,
}

local function pids_of(sup)
  local pids = {}
  for i, row in ipairs(supervisor.which_children(sup)) do pids[i] = row.pid end
  return pids
end

-- What a supervisor of n children takes to do what `body` asks for, in
-- seconds of this machine.
local function seconds(make, n, body)
  local sup = make(n, { max_restarts = math.huge })
  local pids = pids_of(sup)
  collectgarbage()
  local from = os.clock()
  body(sup, pids)
  local spent = os.clock() - from
  supervisor.stop(sup)
  return spent
end

-- Four times as many may take eight times as long, never sixteen times. One
-- good try of several is enough: only noise makes it worse.
local function assert_linear(make, n, body)
  local ratio
  for _ = 1, 5 do
    ratio = seconds(make, 4 * n, body) / seconds(make, n, body)
    if ratio < 8 then return end
  end
  error(("four times as many took %.1f times as long"):format(ratio))
end

local function crash_all(sup, pids)
  for _, pid in ipairs(pids) do pid:exit "kill" end
  core.sleep(1)
  assert.equal(#pids, supervisor.count_children(sup).active)
end

describe("a supervisor of very many children", function()
  for name, make in pairs(kinds) do
    test("starts and stops 100,000: " .. name, function()
      core.trap_exit(true)
      local before = #core.processes()
      local sup = make(100000, {})
      assert.equal(100000, supervisor.count_children(sup).active)
      assert.is_true(supervisor.stop(sup))
      assert.equal(before, #core.processes())
    end)

    test("stops in linear time: " .. name, function()
      core.trap_exit(true)
      assert_linear(make, 2500, function(sup) supervisor.stop(sup) end)
    end)
  end

  for _, name in ipairs { "one_for_one", "simple_one_for_one", "dynamic" } do
    test("restarts 5,000 that crashed at once: " .. name, function()
      local sup = kinds[name](5000, { max_restarts = 5000 })
      local pids = pids_of(sup)
      crash_all(sup, pids)
      local fresh = pids_of(sup)
      assert.equal(#pids, #fresh)
      for i, pid in ipairs(fresh) do assert.not_equal(pids[i], pid) end
    end)

    test("restarts those that crash at once in linear time: " .. name,
      function()
        core.trap_exit(true)
        assert_linear(kinds[name], 2500, crash_all)
      end)

    test("stops 5,000 that had crashed at once: " .. name, function()
      core.trap_exit(true)
      local before = #core.processes()
      local sup = kinds[name](5000, {})
      for _, pid in ipairs(pids_of(sup)) do pid:exit "kill" end
      core.sleep(1)
      assert.is_false(core.is_alive(sup))
      assert.equal(before, #core.processes())
    end)
  end

  test("restarts 5,000 when one crashed, in one_for_all", function()
    core.trap_exit(true)
    assert_linear(one_for_all, 2500, function(sup, pids)
      pids[1]:exit "kill"
      core.sleep(1)
      assert.equal(#pids, supervisor.count_children(sup).active)
    end)
  end)

  test("restarts 100,000 times in one window when max_restarts allows it",
    function()
      local sup = static(1, { max_restarts = 1e6 })
      for _ = 1, 20 do
        for _ = 1, 5000 do
          supervisor.which_children(sup)[1].pid:exit "kill"
        end
        core.sleep(1)
      end
      assert.is_true(core.is_alive(sup))
    end)
end)
