-- Process groups. The cases of OTP's pg_SUITE, and where they are:
--
--   pg, single                          "on one node"
--   errors, nolocal, missing_scope_join "misuse" and "without a scope"
--   leave_exit_race, process_owner_check "ends"
--   double, group_leave                 "more than once"
--   two, initial, exchange, dyn_distribution, disconnected_start, forced_sync
--                                       "on several nodes"
--   netsplit, trisplit, foursplit, overlay_missing, empty_group_by_remote_leave
--                                       "a split", "only some nodes take part"
--   scope_restart                       "a scope that crashes"
--   thundering_herd                     "many"
--   monitor, monitor_scope              "monitors"

local banyan = require "banyan"
local cluster = require "spec.support.cluster"
local groups = require "banyan.groups"
local lockstep = require "banyan.lockstep"
local on_node = require "spec.support.scripts.on"
local run = require "spec.support.run"

local SCOPE = "chat"
local SETTLED_MS = 2000 -- after so long all know what was said
local LOST_MS = 10000   -- and that a node is gone

local unpack_all = table.unpack or unpack

local function park() banyan.receive(function() return false end) end

local function waits_for_end()
  banyan.receive(function(m) return m == "end" end)
end

local function count(group) return #assert(groups.members(SCOPE, group)) end

-- A scope on one node without a name.
local function alone(body)
  return function()
    run(function()
      assert(groups.start_link { name = SCOPE })
      body()
    end)
  end
end

-- Scopes on the nodes of a cluster: body(cluster, on); on(i, fn) answers what
-- fn does on the i-th node.
local function together(nodes, body, iterations)
  return function()
    local report = lockstep.run(function()
      local c = lockstep.cluster { nodes = nodes }
      local function on(i, fn) return on_node(c, c.nodes[i], fn) end
      for _, node in ipairs(c.nodes) do
        c:spawn(node, function()
          assert(groups.start_link { name = SCOPE })
          park()
        end)
      end
      banyan.sleep(SETTLED_MS)
      body(c, on)
    end, {
      seed = 1, iterations = iterations or 5, clock = "idle",
      max_steps = 1000000,
    })
    if not report.ok then error(tostring(report), 0) end
  end
end

-- A process of the i-th node that has joined.
local function member(c, i, group)
  return c:spawn(c.nodes[i], function()
    assert(groups.join(SCOPE, group))
    waits_for_end()
  end)
end

local function counts(c, on, group)
  local found = {}
  for i = 1, #c.nodes do
    found[i] = on(i, function()
      return #(groups.members(SCOPE, group) or {})
    end)
  end
  return found
end

describe("a group on one node", function()
  it("has those that have joined, in the order in which they did",
    alone(function()
      local other = banyan.spawn(park)
      assert.is_true(groups.join(SCOPE, "g"))
      assert.is_true(groups.join(SCOPE, "g", other))
      assert.same({ banyan.self(), other }, groups.members(SCOPE, "g"))
      assert.same({ banyan.self(), other }, groups.local_members(SCOPE, "g"))
      assert.same({ "g" }, groups.groups(SCOPE))
      assert.is_true(groups.leave(SCOPE, "g"))
      assert.same({ other }, groups.members(SCOPE, "g"))
      assert.same({}, groups.members(SCOPE, "another"))
    end))

  it("is there as long as somebody is in it", alone(function()
    groups.join(SCOPE, "g")
    groups.join(SCOPE, "h")
    groups.leave(SCOPE, "g")
    assert.same({ "h" }, groups.groups(SCOPE))
    assert.same({ nil, "not_joined" }, { groups.leave(SCOPE, "g") })
    assert.same({ nil, "not_joined" }, { groups.leave(SCOPE, "none") })
  end))

  it("may be a string, an integer or a ref", alone(function()
    local ref = banyan.make_ref()
    for _, group in ipairs { "g", 7, ref, banyan.self(), "" } do
      assert.is_true(groups.join(SCOPE, group))
      assert.same({ banyan.self() }, groups.members(SCOPE, group))
    end
    assert.equal(5, #groups.groups(SCOPE))
    assert.same({ banyan.self() }, groups.members(SCOPE, 7.0))
    assert.same({}, groups.members(SCOPE, "7"))
  end))

  it("is left by a process that ends", alone(function()
    local pid, ref = banyan.spawn_monitor(waits_for_end)
    groups.join(SCOPE, "g", pid)
    groups.join(SCOPE, "h", pid)
    groups.join(SCOPE, "h")
    banyan.send(pid, "end")
    banyan.receive(ref)
    banyan.sleep(10)
    assert.same({}, groups.members(SCOPE, "g"))
    assert.same({ banyan.self() }, groups.members(SCOPE, "h"))
  end))

  it("is not joined by a process that has ended", alone(function()
    local pid, ref = banyan.spawn_monitor(function() end)
    banyan.receive(ref)
    groups.join(SCOPE, "g", pid)
    banyan.sleep(10)
    assert.same({}, groups.members(SCOPE, "g"))
  end))

  it("is joined more than once, and left as often", alone(function()
    local me = banyan.self()
    groups.join(SCOPE, "g")
    groups.join(SCOPE, "g")
    assert.same({ me, me }, groups.members(SCOPE, "g"))
    assert.equal(1, (groups.broadcast(SCOPE, "g", "hello")))
    assert.equal("hello", banyan.receive())
    assert.is_nil((banyan.receive(0)))
    groups.leave(SCOPE, "g")
    assert.same({ me }, groups.members(SCOPE, "g"))
    groups.leave(SCOPE, "g")
    assert.same({ nil, "not_joined" }, { groups.leave(SCOPE, "g") })
  end))

  it("is gone when its scope ends in good order", function()
    run(function()
      banyan.trap_exit(true)
      local pid = assert(groups.start_link { name = SCOPE })
      groups.join(SCOPE, "g")
      pid:exit "shutdown"
      banyan.receive(function(m) return m.tag == "EXIT" end)
      assert.same({ nil, "not_started" }, { groups.members(SCOPE, "g") })
      assert(groups.start_link { name = SCOPE })
      assert.same({}, groups.members(SCOPE, "g"))
    end)
  end)

  it("is another in another scope", alone(function()
    assert(groups.start_link { name = "other" })
    groups.join(SCOPE, "g")
    assert.same({}, groups.members("other", "g"))
    local pid, err = groups.start_link { name = SCOPE }
    assert.is_nil(pid)
    assert.equal("already_started", err[1])
  end))
end)

describe("a scope that crashes", function()
  it("goes on with the members and monitors of its node", function()
    run(function()
      banyan.trap_exit(true)
      local scope = assert(groups.start_link { name = SCOPE })
      local stays = banyan.spawn(park)
      local goes, down = banyan.spawn_monitor(waits_for_end)
      groups.join(SCOPE, "g", stays)
      groups.join(SCOPE, "g", goes)
      local ref = groups.monitor(SCOPE, "g")
      scope:exit "kill"
      banyan.receive(function(m) return m.tag == "EXIT" end)
      banyan.send(goes, "end")
      banyan.receive(down)
      assert.same({ nil, "not_started" }, { groups.members(SCOPE, "g") })
      assert(groups.start_link { name = SCOPE })
      local msg = assert(banyan.receive(ref, 5000))
      assert.same({ "leave", { goes } }, { msg.event, msg.pids })
      assert.same({ stays }, groups.members(SCOPE, "g"))
    end)
  end)

  it("is left and joined again by its members, for other nodes",
    together(2, function(c, on)
      member(c, 1, "g")
      banyan.sleep(SETTLED_MS)
      on(1, function()
        banyan.whereis(SCOPE):exit "kill"
        return true
      end)
      banyan.sleep(SETTLED_MS)
      assert.equal(0, on(2, function() return count "g" end))
      c:spawn(c.nodes[1], function()
        assert(groups.start_link { name = SCOPE })
        park()
      end)
      banyan.sleep(SETTLED_MS)
      assert.same({ 1, 1 }, counts(c, on, "g"))
    end))
end)

describe("a scope that is sent anything", function()
  it("lives on", alone(function()
    local scope = banyan.whereis(SCOPE)
    groups.join(SCOPE, "g")
    for _, msg in ipairs {
      { tag = "broadcast" }, { tag = "broadcast", group = 1.5, msg = 1 },
      { tag = "broadcast", group = {}, msg = 1 }, { tag = "groups" },
      { tag = "groups", from = "x", bytes = "y" }, { tag = "nodeup" },
      { tag = "nodedown", node = {} }, { tag = "DOWN", ref = 1 },
      { tag = "tick" }, { tag = "meet", node = "x" }, 1, "text", {},
    } do
      banyan.send(scope, msg)
      require("banyan.server").cast(scope, msg)
    end
    banyan.sleep(10)
    assert.is_true(banyan.is_alive(scope))
    assert.same({ banyan.self() }, groups.members(SCOPE, "g"))
  end))
end)

describe("misuse of groups", function()
  local function fails(pattern, fn, ...)
    local ok, err = pcall(fn, ...)
    assert.is_false(ok)
    assert.truthy(err:find(pattern), err)
    assert.truthy(err:find("groups_spec.lua", 1, true), err)
  end

  it("is an error at the program's line", alone(function()
    fails("name must be a string", function() groups.join(nil, "g") end)
    fails("group must be .* or a ref, got nil",
      function() groups.join(SCOPE) end)
    fails("group must be", function() groups.members(SCOPE, 1.5) end)
    fails("group must be", function() groups.broadcast(SCOPE, {}, 1) end)
    fails("group must be", function() groups.leave(SCOPE, true) end)
    for _, wrong in ipairs { 2 ^ 70, ("x"):rep(65001) } do
      fails("groups.join: group must be", function()
        groups.join(SCOPE, wrong)
      end)
      fails("groups.monitor: group must be", function()
        groups.monitor(SCOPE, wrong)
      end)
      fails("groups.members: group must be", function()
        groups.members(SCOPE, wrong)
      end)
    end
    fails("pid must be a pid, got string",
      function() groups.join(SCOPE, "g", "x") end)
    fails("ref must be a ref", function() groups.demonitor(SCOPE, 1) end)
    fails("name must be a non%-empty string",
      function() groups.start_link {} end)
    fails("unknown option", function() groups.start_link { nam = "x" } end)
  end))

  it("is to join with a process of another node", together(2, function(c, on)
    local other = member(c, 2, "g")
    local ok, err = unpack_all(on(1, function()
      return { pcall(groups.join, SCOPE, "g", other) }
    end))
    assert.is_false(ok)
    assert.truthy(tostring(err):find "pid must be of this node")
  end))
end)

describe("without a scope", function()
  it("nothing is joined, listed or sent", function()
    run(function()
      local none = { nil, "not_started" }
      assert.same(none, { groups.join("none", "g") })
      assert.same(none, { groups.leave("none", "g") })
      assert.same(none, { groups.members("none", "g") })
      assert.same(none, { groups.local_members("none", "g") })
      assert.same(none, { groups.groups "none" })
      assert.same(none, { groups.broadcast("none", "g", 1) })
      assert.same(none, { groups.monitor("none", "g") })
      assert.same(none, { groups.demonitor("none", banyan.make_ref()) })
    end)
  end)
end)

describe("monitors of groups", function()
  local function event(ref)
    local msg = assert(banyan.receive(ref, 5000))
    return { msg.tag, msg.event, msg.group, msg.pids }
  end

  it("are given the state, and then each change", alone(function()
    local me, other = banyan.self(), banyan.spawn(park)
    groups.join(SCOPE, "g", other)
    groups.join(SCOPE, "h", other)
    local one, of_one = groups.monitor(SCOPE, "g")
    local all, of_all = groups.monitor(SCOPE)
    assert.same({ g = { other } }, of_one)
    assert.same({ g = { other }, h = { other } }, of_all)
    groups.join(SCOPE, "h")
    assert.same({ "group", "join", "h", { me } }, event(all))
    groups.join(SCOPE, "g")
    assert.same({ "group", "join", "g", { me } }, event(one))
    assert.same({ "group", "join", "g", { me } }, event(all))
    other:exit "kill"
    assert.same({ "group", "leave", "g", { other } }, event(one))
    assert.is_nil((banyan.receive(one, 10)))
  end))

  it("of a group that nobody is in hear of the first", alone(function()
    local ref, found = groups.monitor(SCOPE, "g")
    assert.same({ g = {} }, found)
    groups.join(SCOPE, "g")
    assert.same({ "group", "join", "g", { banyan.self() } }, event(ref))
  end))

  it("end by demonitor, with what is in the mailbox", alone(function()
    local ref = groups.monitor(SCOPE, "g")
    groups.join(SCOPE, "g")
    assert.is_true(groups.demonitor(SCOPE, ref))
    groups.leave(SCOPE, "g")
    assert.is_nil((banyan.receive(10)))
    assert.same({ nil, "not_monitored" }, { groups.demonitor(SCOPE, ref) })
  end))

  it("end with their process", alone(function()
    local pid, down = banyan.spawn_monitor(function()
      groups.monitor(SCOPE)
      waits_for_end()
    end)
    banyan.sleep(10)
    banyan.send(pid, "end")
    banyan.receive(down)
    groups.join(SCOPE, "g")
    assert.same({ banyan.self() }, groups.members(SCOPE, "g"))
  end))

  it("hear of those of a lost node at once, by group", together(2,
    function(c, on)
      for _ = 1, 3 do member(c, 1, "g") end
      banyan.sleep(SETTLED_MS)
      local heard = {}
      c:spawn(c.nodes[2], function()
        local ref = groups.monitor(SCOPE, "g")
        heard[1] = banyan.receive(ref)
        park()
      end)
      banyan.sleep(100)
      c:crash(c.nodes[1])
      banyan.sleep(LOST_MS)
      assert.equal("leave", heard[1].event)
      assert.equal(3, #heard[1].pids)
      assert.same({}, on(2, function() return groups.groups(SCOPE) end))
    end))
end)

describe("groups on several nodes", function()
  it("have the members of all", together(3, function(c, on)
    for i = 1, 3 do member(c, i, "g") end
    member(c, 1, "h")
    banyan.sleep(SETTLED_MS)
    assert.same({ 3, 3, 3 }, counts(c, on, "g"))
    assert.same({ 1, 1, 1 }, counts(c, on, "h"))
    for i = 1, 3 do
      assert.equal(1, on(i, function()
        return #groups.local_members(SCOPE, "g")
      end))
    end
  end))

  it("are known to a node that joins later", together(2, function(c, on)
    member(c, 1, "g")
    banyan.sleep(SETTLED_MS)
    c:crash(c.nodes[2])
    banyan.sleep(LOST_MS)
    local late = member(c, 1, "h")
    c:restart(c.nodes[2])
    c:spawn(c.nodes[2], function()
      assert(groups.start_link { name = SCOPE })
      assert(groups.join(SCOPE, "h"))
      park()
    end)
    banyan.sleep(SETTLED_MS)
    assert.same({ 1, 1 }, counts(c, on, "g"))
    assert.same({ 2, 2 }, counts(c, on, "h"))
    banyan.send(late, "end")
    banyan.sleep(SETTLED_MS)
    assert.same({ 1, 1 }, counts(c, on, "h"))
  end))

  it("are those of the nodes that take part", function()
    local report = lockstep.run(function()
      local c = lockstep.cluster { nodes = 3 }
      local function on(i, fn) return on_node(c, c.nodes[i], fn) end
      for i = 1, 2 do
        c:spawn(c.nodes[i], function()
          assert(groups.start_link { name = SCOPE })
          assert(groups.join(SCOPE, "g"))
          park()
        end)
      end
      banyan.sleep(SETTLED_MS)
      assert.same({ 2, 2, 0 }, counts(c, on, "g"))
      assert.same({ "not_started" }, on(3, function()
        return { select(2, groups.members(SCOPE, "g")) }
      end))
    end, { seed = 1, iterations = 5, clock = "idle" })
    if not report.ok then error(tostring(report), 0) end
  end)

  it("have the members of each side while a split lasts, and then all",
    together(4, function(c, on)
      for i = 1, 4 do member(c, i, "g") end
      banyan.sleep(SETTLED_MS)
      local n = c.nodes
      c:partition({ n[1] }, { n[2] }, { n[3], n[4] })
      banyan.sleep(LOST_MS)
      assert.same({ 1, 1, 2, 2 }, counts(c, on, "g"))
      member(c, 1, "g")
      member(c, 3, "h")
      banyan.sleep(SETTLED_MS)
      assert.same({ 2, 1, 2, 2 }, counts(c, on, "g"))
      c:heal()
      c:settle(60000)
      banyan.sleep(SETTLED_MS)
      assert.same({ 5, 5, 5, 5 }, counts(c, on, "g"))
      assert.same({ 1, 1, 1, 1 }, counts(c, on, "h"))
    end))

  it("reach each member by a broadcast, once", together(3, function(c, on)
    local heard = {}
    for i = 1, 3 do
      for k = 1, 2 do
        c:spawn(c.nodes[i], function()
          for _ = 1, k do assert(groups.join(SCOPE, "g")) end
          while true do
            local msg = banyan.receive()
            heard[#heard + 1] = msg
          end
        end)
      end
    end
    banyan.sleep(SETTLED_MS)
    assert.equal(6, on(2, function()
      return groups.broadcast(SCOPE, "g", { text = "hello" })
    end))
    banyan.sleep(SETTLED_MS)
    assert.equal(6, #heard)
    for _, msg in ipairs(heard) do assert.same({ text = "hello" }, msg) end
    assert.equal(0, on(2, function()
      return groups.broadcast(SCOPE, "none", 1)
    end))
  end))
end)

describe("many groups", function()
  -- OTP: 2,000 joins of 10,000 groups in less than 5 s.
  it("are joined by many at once, on all nodes", together(2, function(c, on)
    local GROUPS, MEMBERS = 10000, 2000
    for _ = 1, MEMBERS do
      c:spawn(c.nodes[1], function()
        groups.join(SCOPE, 5)
        park()
      end)
    end
    c:spawn(c.nodes[2], function()
      for k = 1, GROUPS do groups.join(SCOPE, k) end
      waits_for_end()
    end)
    banyan.sleep(SETTLED_MS)
    assert.same({ MEMBERS + 1, MEMBERS + 1 }, counts(c, on, 5))
    for i = 1, 2 do
      assert.equal(GROUPS, on(i, function() return #groups.groups(SCOPE) end))
    end
  end, 1))
end)

describe("groups of OS processes", function()
  local function open()
    require("banyan").spawn(function()
      assert(require("banyan.groups").start_link { name = "chat" })
      assert(require("banyan.groups").join("chat", "g"))
      require("banyan").receive(function() return false end)
    end)
  end

  local function has(n)
    return #(require("banyan.groups").members("chat", "g") or {}) == n
  end

  it("lose those of one that is killed, and tell the others", function()
    cluster.run(function(c)
      local a, b, d = c:start("a", "b", "d")
      for _, node in ipairs { a, b, d } do node:open(open) end
      for _, node in ipairs { a, b, d } do
        c:wait("all know of all", function() return node:call(has, 3) end)
      end
      d:kill()
      for _, node in ipairs { a, b } do
        c:wait("those left are there", function()
          return node:call(has, 2)
        end)
      end
      assert.equal(2, a:call(function()
        return require("banyan.groups").broadcast("chat", "g", "hello")
      end))
      local e = c:start "e"
      e:open(open)
      for _, node in ipairs { a, b, e } do
        c:wait("the new one is there", function() return node:call(has, 3) end)
      end
    end)
  end)
end)
