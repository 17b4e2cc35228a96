-- Lists of very many are taken in slices: what lives throughout is in them
-- once, and others have their turns in between.

local banyan = require "banyan"
local core = require "banyan.core"
local ds = require "banyan.distributed_supervisor"
local dynamic_supervisor = require "banyan.dynamic_supervisor"
local lockstep = require "banyan.lockstep"
local pair = require "spec.support.pair"
local run = require "spec.support.run"
local slices = require "banyan.slices"
local supervisor = require "banyan.supervisor"
local worker = require "spec.support.worker"

local NAME = "children"

local function child()
  return core.spawn_link(function() core.receive() end)
end

-- Slices of that many entries, in the body.
local function sliced(size, body)
  return function(...)
    local near, far = slices.size, slices.far
    slices.size, slices.far = size, size
    local ok, err = pcall(body, ...)
    slices.size, slices.far = near, far
    if not ok then error(err, 0) end
  end
end

-- --- what is listed ----------------------------------------------------------
--
-- Each kind is a table of functions: open(), start(i) -> what a list has of it,
-- stop(it, i), and list() -> all, as an array.

local function pids_of(rows)
  local pids = {}
  for _, row in ipairs(rows) do pids[#pids + 1] = row.pid end
  return pids
end

local kinds = {}

kinds["dynamic_supervisor.which_children"] = {
  open = function() assert(dynamic_supervisor.start_link { name = NAME }) end,
  start = function()
    return assert(dynamic_supervisor.start_child(NAME,
      { start = child, restart = "temporary" }))
  end,
  stop = function(pid)
    assert(dynamic_supervisor.terminate_child(NAME, pid))
  end,
  list = function()
    return pids_of(dynamic_supervisor.which_children(NAME))
  end,
}

kinds["supervisor.which_children"] = {
  open = function() assert(supervisor.start_link({}, { name = NAME })) end,
  start = function(i)
    return (assert(supervisor.start_child(NAME, { id = i, start = child })))
  end,
  stop = function(_, i)
    assert(supervisor.terminate_child(NAME, i))
    assert(supervisor.delete_child(NAME, i))
  end,
  list = function() return pids_of(supervisor.which_children(NAME)) end,
}

local function stop_process(pid)
  local ref = core.monitor(pid)
  pid:exit "kill"
  banyan.receive(ref)
end

kinds["banyan.processes"] = {
  open = function() end,
  start = function() return core.spawn(function() core.receive() end) end,
  stop = stop_process,
  list = function() return banyan.processes() end,
}

kinds["banyan.registered"] = {
  open = function() end,
  start = function(i)
    core.register("name " .. i, core.spawn(function() core.receive() end))
    return "name " .. i
  end,
  stop = function(name) stop_process(core.whereis(name)) end,
  list = function() return banyan.registered() end,
}

kinds["banyan.process_info"] = {
  open = function()
    core.register(NAME, core.spawn(function()
      core.trap_exit(true)
      while true do core.receive() end
    end))
  end,
  start = function()
    local me, ref = core.self(), core.make_ref()
    core.spawn(function()
      core.link(core.whereis(NAME))
      core.send(me, { ref = ref, pid = core.self() })
      core.receive()
    end)
    return banyan.receive(ref).pid
  end,
  stop = stop_process,
  list = function() return banyan.process_info(core.whereis(NAME)).links end,
}

local distributed = {
  open = function() assert(ds.start_link { name = NAME }) end,
  start = function(i) return (assert(ds.start_child(NAME, worker.spec(i)))) end,
  stop = function(_, i) assert(ds.terminate_child(NAME, i)) end,
}

kinds["distributed_supervisor.local_children"] = {
  open = distributed.open, start = distributed.start, stop = distributed.stop,
  list = function() return ds.local_children(NAME) end,
}

kinds["distributed_supervisor.children"] = {
  open = distributed.open, start = distributed.start, stop = distributed.stop,
  list = function()
    local pids = {}
    for id, pid in pairs(ds.children(NAME)) do
      assert.equal(id, ds.whois(NAME, pid) or id)
      pids[#pids + 1] = pid
    end
    return pids
  end,
}

local names = {}
for name in pairs(kinds) do names[#names + 1] = name end
table.sort(names)

local function counts_of(list)
  local counts = {}
  for _, entry in ipairs(list) do counts[entry] = (counts[entry] or 0) + 1 end
  return counts
end

-- --- the properties ----------------------------------------------------------

describe("a list that is taken in slices", function()
  for _, name in ipairs(names) do
    local kind = kinds[name]

    -- Others start and stop children, in any order, while it is taken.
    it("has what lives throughout once: " .. name, sliced(2, function()
      lockstep.check(function()
        kind.open()
        local stay, come = {}, {}
        for i = 1, 7 do
          come[i] = kind.start(2 * i + 1)
          stay[i] = kind.start(2 * i)
        end
        local done, lists = false, 0
        core.spawn_link(function()
          for i = 1, 7, 2 do
            kind.stop(come[i], 2 * i + 1)
            kind.start(100 + i)
          end
          done = true
        end)
        while not done or lists < 2 do
          lists = lists + 1
          local counts = counts_of(kind.list())
          for i = 1, 7 do
            if counts[stay[i]] ~= 1 then
              error(("%s: %s times in the list"):format(tostring(stay[i]),
                tostring(counts[stay[i]])), 0)
            end
          end
          for entry, count in pairs(counts) do
            if count ~= 1 then error(tostring(entry) .. " is doubled", 0) end
          end
        end
      end, { strategy = "random", iterations = 40, seed = 7, clock = "idle",
        max_steps = 50000 })
    end))

    -- Takes the list of 20 entries or more; answers how many turns another
    -- process had meanwhile, and how many entries there are.
    local function take_it()
      local turns, over = 0, false
      kind.open()
      for i = 1, 20 do kind.start(i) end
      core.spawn(function()
        while not over do
          turns = turns + 1
          coroutine.yield()
        end
      end)
      coroutine.yield()
      local before = turns
      local n = #kind.list()
      over = true
      return turns - before, n
    end

    it("lets others have their turns: " .. name, sliced(2, function()
      run(function()
        local turns, n = take_it()
        assert.is_true(n >= 20)
        assert.is_true(turns >= 9)
      end)
    end))

    it("is whole in one slice: " .. name, function()
      run(function() assert.is_true(take_it() <= 2) end)
    end)
  end

  it("is one of the start order", sliced(3, function()
    run(function()
      local sup = assert(supervisor.start_link({}))
      for i = 1, 20 do
        assert(supervisor.start_child(sup, { id = i, start = child }))
      end
      local ids = {}
      for i, row in ipairs(supervisor.which_children(sup)) do
        ids[i] = row.id
      end
      for i = 1, 20 do assert.equal(i, ids[i]) end
      assert.equal(20, #ids)
    end)
  end))

  -- Where nobody can be left, it is taken whole.
  it("is whole in a coroutine, below a C function and outside of processes",
    sliced(2, function()
      local node
      run(function(n)
        node = n
        for i = 1, 20 do core.register("n" .. i, child()) end
        local list = coroutine.wrap(function() return banyan.registered() end)()
        assert.equal(20, #list)
        assert.equal(20, #core.unbroken(banyan.registered))
        assert.is_true(#core.unbroken(banyan.processes) > 20)
        assert.equal(20,
          #core.unbroken(banyan.process_info, core.self()).links)
      end)
      node = core.node { seed = 1 }
      for _ = 1, 20 do node:spawn(function() core.receive() end) end
      assert.equal(20, #banyan.processes())
      node:close()
    end))

  it("comes from another node in slices, and of an older one whole",
    sliced(3, function()
      pair(function(b)
        b:spawn(function()
          assert(supervisor.start_link({
            { id = 1, start = child }, { id = 2, start = child },
            { id = 3, start = child }, { id = 4, start = child },
            { id = 5, start = child }, { id = 6, start = child },
            { id = 7, start = child },
          }, { name = "far" }))
          core.receive()
        end)
        b:spawn(function()
          core.register("old", core.self())
          while true do
            local m = core.receive()
            if m.tag == "$call" and m.msg[1] == "which_children" then
              core.reply(m.from, { { id = 1 }, { id = 2 } })
            end
          end
        end)
        local far = { name = "far", node = b:name() }
        while select(2, supervisor.count_children(far)) == "noproc" do
          core.sleep(1)
        end
        local ids = {}
        for i, row in ipairs(supervisor.which_children(far)) do
          ids[i] = row.id
        end
        assert.same({ 1, 2, 3, 4, 5, 6, 7 }, ids)
        -- As an older node asks, and what one answers.
        local rows, more = core.ask(far, { "which_children" })
        assert.equal(7, #rows)
        assert.is_nil(more)
        rows, more = core.ask(far, { "which_children", 0, nil, 3 })
        assert.equal(3, #rows)
        assert.equal("number", type(more))
      end)
    end))

  it("comes from a dynamic supervisor on another node", sliced(3, function()
    pair(function(b)
      local mine
      b:spawn(function()
        assert(dynamic_supervisor.start_link { name = "far" })
        for i = 1, 8 do
          local kind = i == 3 and "supervisor" or "worker"
          assert(dynamic_supervisor.start_child("far",
            { start = child, type = kind }))
        end
        mine = dynamic_supervisor.which_children "far"
        core.receive()
      end)
      while not mine do core.sleep(1) end
      assert.equal(8, #mine)
      assert.equal("supervisor", mine[3].type)
      assert.same(mine,
        dynamic_supervisor.which_children { name = "far", node = b:name() })
    end)
  end))

  it("ends with its supervisor", sliced(2, function()
    run(function()
      core.trap_exit(true)
      local sup = assert(supervisor.start_link({}, { name = NAME }))
      for i = 1, 10 do
        assert(supervisor.start_child(sup, { id = i, start = child }))
      end
      core.spawn(function() sup:exit "kill" end)
      local list, err = supervisor.which_children(NAME)
      -- Whichever was first.
      assert.is_true(list ~= nil or err == "killed" or err == "noproc")
    end)
  end))

  local function crowd_of(node, count)
    return node:spawn(function()
      core.trap_exit(true)
      for _ = 1, count do child() end
      while true do core.receive() end
    end)
  end

  it("may end with its process, or the one that is listed", sliced(1, function()
    local begun, ended, links = 0, 0, {}
    local node = core.node { seed = 1 }
    local crowd = crowd_of(node, 20)
    node:step(0)
    local list = {}
    for i = 1, 5 do
      list[i] = node:spawn(function()
        begun = begun + 1
        links[i] = #banyan.process_info(crowd).links
        ended = ended + 1
      end)
    end
    node:spawn(function()
      while begun < 5 do coroutine.yield() end
      for _ = 1, 5 do coroutine.yield() end
      list[1]:exit "kill"
      coroutine.yield()
      assert.equal(0, ended)
      crowd:exit "kill"
    end)
    while node:step(0) do collectgarbage() end
    collectgarbage()
    assert.equal(4, ended)
    for i = 2, 5 do
      assert.is_true(links[i] >= 5 and links[i] < 20, links[i])
    end
    node:close()
  end))

  -- One step has 2000 turns, of which the list gets five.
  it("may end with its node", sliced(1, function()
    local begun, ended = false, false
    local node = core.node { seed = 1 }
    local crowd = crowd_of(node, 20)
    node:step(0)
    for _ = 1, 400 do
      node:spawn(function() while true do coroutine.yield() end end)
    end
    node:spawn(function()
      begun = true
      banyan.process_info(crowd)
      ended = true
    end)
    node:step(0)
    assert.is_true(begun)
    assert.is_false(ended)
    node:close()
    collectgarbage()
    collectgarbage()
  end))

  it("is counted in slices by status", sliced(1, function()
    run(function()
      assert(ds.start_link { name = NAME })
      for i = 1, 30 do assert(ds.start_child(NAME, worker.spec(i))) end
      local turns, over = 0, false
      core.spawn(function()
        while not over do
          turns = turns + 1
          coroutine.yield()
        end
      end)
      coroutine.yield()
      local before = turns
      local status = ds.status(NAME)
      over = true
      assert.equal(30, status.everywhere)
      assert.equal(0, status.lost + status.failing + status.waiting)
      assert.is_true(turns - before >= 10)
    end)
  end))
end)

-- --- rosters -----------------------------------------------------------------

describe("a roster", function()
  it("keeps the rows of its members, and uses others again", function()
    local roster, there = slices.roster(), {}
    local seed = 1
    local function random(n)
      seed = seed * 16807 % 2147483647
      return seed % n + 1
    end
    for _ = 1, 5000 do
      local member = random(40)
      if there[member] then
        slices.remove(roster, member)
        assert.is_nil(roster.row_of[member])
        there[member] = nil
      else
        slices.add(roster, member)
        there[member] = roster.row_of[member]
      end
      local seen, count = {}, 0
      slices.each(roster, function(m)
        assert.is_nil(seen[m])
        seen[m] = true
        count = count + 1
      end)
      for m, row in pairs(there) do
        assert.is_true(seen[m])
        assert.equal(row, roster.row_of[m])
        assert.equal(m, roster.rows[row])
        count = count - 1
      end
      assert.equal(0, count)
      assert.is_true(roster.last <= 40)
    end
  end)
end)
