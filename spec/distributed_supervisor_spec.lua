-- What a distributed supervisor does where nothing is lost; see also
-- distributed_supervisor_loss_spec.lua.

local core = require "banyan.core"
local ds = require "banyan.distributed_supervisor"
local support = require "spec.support.distributed"
local run = require "spec.support.run"
local server = require "banyan.server"
local slices = require "banyan.slices"
local supervisor = require "banyan.supervisor"
local worker = require "spec.support.worker"

local A, B, C = "a@h:1", "b@h:1", "c@h:1"
local NAME = support.NAME

local cluster = support.cluster
local at = support.at
local start = support.start
local id_for = support.id_for
local alive = support.alive
local crashes = support.crashes

describe("a distributed supervisor on one node", function()
  local function with(opts, body)
    return function()
      run(function()
        local settings = { name = NAME }
        for key, value in pairs(opts) do settings[key] = value end
        assert(ds.start_link(settings))
        body()
      end)
    end
  end

  -- Some of them end, in any order, so the one that is waited for changes.
  it("gives up each start when its own time is over", with({ start_ms = 1000 },
    function()
      local began, me, ends = core.now(), core.self(), {}
      local sleeps = { 5000, 100, 5000, 900, 5000, 5000, 1 }
      for i, ms in ipairs(sleeps) do
        core.spawn(function()
          core.sleep(100 * i)
          local pid, err = ds.start_child(NAME, worker.spec(i, {
            start = { "spec.support.worker", "start_link", { { sleep = ms } } },
          }))
          core.send(me, { i, core.now() - began, pid and "runs" or err })
        end)
      end
      for _ = 1, #sleeps do
        local answer = core.receive()
        ends[answer[1]] = { answer[2], answer[3] }
      end
      assert.same({
        { 1100, "timeout" }, { 300, "runs" }, { 1300, "timeout" },
        { 1300, "runs" }, { 1500, "timeout" }, { 1600, "timeout" },
        { 701, "runs" },
      }, ends)
    end))

  it("starts children and finds them", with({}, function()
    local pid, id = assert(ds.start_child(NAME, worker.spec("x")))
    assert.equal("x", id)
    assert.equal(pid, ds.whereis(NAME, "x"))
    assert.equal("x", ds.whois(NAME, pid))
    assert.same({ x = pid }, ds.children(NAME))
    assert.same({ pid }, ds.local_children(NAME))
    assert.equal("x", (ds.call(NAME, "x", "hi")))
    assert.is_true(ds.is_mine(NAME, "x"))
    assert.equal(ds.node_for(NAME, "x"), ds.nodes(NAME)[1])
  end))

  it("takes ids that are strings, integers or refs", with({}, function()
    local ref = core.make_ref()
    for _, id in ipairs { "7", 7, ref, -1 } do
      local pid, given = assert(ds.start_child(NAME, worker.spec(id)))
      assert.equal(id, given)
      assert.equal(pid, ds.whereis(NAME, id))
    end
    assert.not_equal(ds.whereis(NAME, 7), ds.whereis(NAME, "7"))
    local _, fresh = assert(ds.start_child(NAME,
      { start = { "spec.support.worker", "start_link", { 1 } } }))
    assert.equal("userdata", type(fresh))
    assert.equal(1, (ds.call(NAME, fresh, "")))
  end))

  it("knows an id by one way to write it", with({}, function()
    local machine = require "banyan.distributed_supervisor.views".of(NAME).dist
    local function is_key(bytes) return machine:terminate(1, bytes) end
    for _, id in ipairs { 0, -1, 300, -(2 ^ 53), "a", core.make_ref() } do
      assert.is_true(is_key((core.dist.encode(
        type(id) == "number" and math.tointeger and math.tointeger(id)
        or id))))
    end
    assert.is_true(is_key "\3\130\128\128\128\128\128\128\32") -- 2^53 + 1
    for _, bytes in ipairs {
      "", "\3", "\3\128\0", "\3\2\0", "\3\130\128\128\128\128\128\128\160\0",
      "\3" .. ("\255"):rep(10), "\4" .. ("\0"):rep(8), "\6\0\0", "\5\2a", "\2",
    } do
      assert.is_false(is_key(bytes))
    end
  end))

  it("refuses a second start of an id and an unwanted function",
    with({}, function()
      local pid = ds.start_child(NAME, worker.spec("x"))
      local _, err = ds.start_child(NAME, worker.spec("x"))
      assert.equal("already_started", err[1])
      assert.equal(pid, err[2])
      _, err = ds.start_child(NAME, worker.spec("y",
        { start = { "spec.support.worker", "launch", { 1 } } }))
      assert.equal("not_allowed", err[1])
      assert.equal("spec.support.worker.launch", err[2])
      assert.is_nil(ds.whereis(NAME, "y"))
    end))

  it("runs any function of a module that is listed",
    with({ modules = { "spec.support.worker" } }, function()
      assert(ds.start_child(NAME, worker.spec("y",
        { start = { "spec.support.worker", "launch", { 1 } } })))
    end))

  it("hands back why a child did not start", with({}, function()
    local fail = { start = { "spec.support.worker", "start_link", { "fail" } } }
    assert.same({ nil, "told to fail" },
      { ds.start_child(NAME, worker.spec("x", fail)) })
    local ignore =
      { start = { "spec.support.worker", "start_link", { "ignore" } } }
    assert.same({ nil, "ignore" },
      { ds.start_child(NAME, worker.spec("x", ignore)) })
    assert.equal("ended", ds.explain(NAME, "x").state)
    assert(ds.start_child(NAME, worker.spec("x")))
  end))

  it("answers the child that runs, or starts it, if it is to be ensured",
    with({}, function()
      local pid, id = assert(ds.ensure_child(NAME, worker.spec("x")))
      assert.equal("x", id)
      assert.same({ pid, "x" }, { ds.ensure_child(NAME, worker.spec("x")) })
      assert.same({ 1, 1 }, { ds.count(NAME) })
    end))

  it("refuses a spec that is too large to be sent", with({ max_spec = 1000 },
    function()
      local pid, err = ds.start_child(NAME, worker.spec(("x"):rep(2000)))
      assert.is_nil(pid)
      assert.equal("spec_too_large", err[1])
      assert.is_true(err[2] > 2000 and err[2] < 5000)
    end))

  it("restarts by restart type, and tells the new pid", with({}, function()
    for _, kind in ipairs { "permanent", "transient", "temporary" } do
      local old = ds.start_child(NAME, worker.spec(kind, { restart = kind }))
      ds.call(NAME, kind, "crash")
      core.sleep(1)
      local new = ds.whereis(NAME, kind)
      if kind == "temporary" then
        assert.is_nil(new)
      else
        assert.is_truthy(new)
        assert.not_equal(old, new)
        assert.is_nil(ds.whois(NAME, old))
      end
    end
    ds.call(NAME, "transient", "stop")
    core.sleep(1)
    assert.is_nil(ds.whereis(NAME, "transient"))
    assert.equal("ended", ds.explain(NAME, "transient").state)
  end))

  it("terminates by id and by pid, once", with({}, function()
    local pid = ds.start_child(NAME, worker.spec("x"))
    assert.is_true(ds.terminate_child(NAME, pid))
    assert.is_false(core.is_alive(pid))
    assert.same({ nil, "not_found" }, { ds.terminate_child(NAME, pid) })
    assert(ds.start_child(NAME, worker.spec("x")))
    assert.is_true(ds.terminate_child(NAME, "x"))
    assert.same({ nil, "not_found" }, { ds.terminate_child(NAME, "x") })
    assert.same({ nil, "not_found" }, { ds.terminate_child(NAME, core.self()) })
  end))

  it("is a destination by id", with({}, function()
    local pid = ds.start_child(NAME, worker.spec("x"))
    local dest = ds.via(NAME, "x")
    assert.equal("x", (server.call(dest, "hi")))
    assert.is_true(server.cast(dest, "y"))
    assert.equal("y", (server.call(dest, "hi")))
    assert.is_true(core.send(dest, { to = core.self() }))
    assert.equal("y", core.receive(1000))
    local ref = core.monitor(dest)
    ds.terminate_child(NAME, "x")
    assert.equal(ref, core.receive(1000).ref)
    assert.same({ nil, "noproc" }, { server.call(dest, "hi") })
    assert.same({ nil, "noproc" }, { core.send(dest, "hi") })
    assert.same({ nil, "noproc" }, { ds.call(NAME, "x", "hi") })
    assert.same({ nil, "noproc" }, { ds.send(NAME, "x", "hi") })
    assert.is_true(ds.cast(NAME, "x", "hi"))
    assert.is_false(core.is_alive(pid))
  end))

  it("can be linked to by id", with({}, function()
    assert(ds.start_child(NAME, worker.spec("x", { restart = "temporary" })))
    core.trap_exit(true)
    assert.is_true(core.link(ds.via(NAME, "x")))
    local pid = ds.whereis(NAME, "x")
    assert(ds.terminate_child(NAME, "x"))
    local msg = core.receive(5000)
    assert.same({ "EXIT", pid, "shutdown" }, { msg.tag, msg.from, msg.reason })
    assert.is_true(core.link(ds.via(NAME, "x")))
    msg = core.receive(5000)
    assert.same({ "EXIT", "noproc" }, { msg.tag, msg.reason })
  end))

  it("answers where no such supervisor runs", with({}, function()
    assert.has_error(function() ds.whereis(nil, "x") end,
      "distributed_supervisor: name must be a string, got nil")
    assert.is_nil(ds.whereis("other", 1))
    local function not_started(fn, ...)
      assert.same({ nil, "not_started" }, { fn("other", ...) })
    end
    not_started(ds.call, 1, "x")
    not_started(ds.send, 1, "x")
    not_started(ds.start_child, worker.spec(1))
    not_started(ds.ensure_child, worker.spec(1))
    not_started(ds.terminate_child, 1)
    not_started(ds.children)
    not_started(ds.local_children)
    not_started(ds.count)
    not_started(ds.status)
    not_started(ds.node_for, 1)
    not_started(ds.nodes)
    not_started(ds.explain, 1)
    assert.is_false(ds.is_mine("other", 1))
  end))

  it("keeps to max_children", with({ max_children = 2 }, function()
    assert(ds.start_child(NAME, worker.spec(1)))
    assert(ds.start_child(NAME, worker.spec(2)))
    local _, err = ds.start_child(NAME, worker.spec(3))
    assert.same({ "no_room", "max_children" }, { err[1], err[2] })
    assert(ds.terminate_child(NAME, 1))
    assert(ds.start_child(NAME, worker.spec(3)))
  end))

  it("looks up in memory, without asking its process", with({}, function()
    local pid = ds.start_child(NAME, worker.spec("x"))
    assert.equal(pid, core.unbroken(ds.whereis, NAME, "x"))
    assert.equal("x", core.unbroken(ds.whois, NAME, pid))
  end))

  it("looks up through its process if it is not to be cached",
    with({ cache_children = false }, function()
      local pid = ds.start_child(NAME, worker.spec("x"))
      assert.has_error(function() core.unbroken(ds.whereis, NAME, "x") end)
      assert.has_error(function() core.unbroken(ds.whois, NAME, pid) end)
      assert.equal(pid, ds.whereis(NAME, "x"))
      assert.equal("x", ds.whois(NAME, pid))
      assert.equal("x", (ds.call(NAME, "x", "hi")))
    end))

  it("starts once under a name", with({}, function()
    local pid, err = ds.start_link { name = NAME }
    assert.is_nil(pid)
    assert.equal("already_started", err[1])
    assert.equal(core.whereis(NAME), err[2])
  end))

  it("ends with its supervisor, children first", function()
    run(function()
      local spec = ds.child_spec { name = NAME }
      local sup = assert(supervisor.start_link { spec })
      local pid = assert(ds.start_child(NAME, worker.spec("x")))
      assert.is_true(supervisor.stop(sup))
      assert.is_false(core.is_alive(pid))
      assert.is_nil(core.whereis(NAME))
    end)
  end)

  it("leaves no trace of children that live a millisecond", function()
    run(function()
      assert(ds.start_link { name = NAME })
      core.sleep(1)
      local before = #core.processes()
      for i = 1, 1000 do
        assert(ds.start_child(NAME, worker.spec(i, { restart = "transient" })))
        ds.cast(NAME, i, "leave")
        if i % 10 == 0 then core.sleep(1) end
      end
      core.sleep(10)
      assert.same({}, ds.children(NAME))
      assert.same({}, ds.local_children(NAME))
      assert.equal(before, #core.processes())
      assert.equal("ended", ds.explain(NAME, 1).state)
      core.sleep(120000)
      assert.is_nil(ds.explain(NAME, 1))
    end)
  end)

  it("sets a child aside that crashes too often, and tries it again",
    with({ max_restarts = 1 }, function()
      assert(ds.start_child(NAME, worker.spec("x")))
      local healthy = assert(ds.start_child(NAME, worker.spec("y")))
      for _ = 1, 2 do
        ds.call(NAME, "x", "crash")
        core.sleep(1)
      end
      local found = ds.explain(NAME, "x")
      assert.equal("failing", found.state)
      assert.equal("error", found.error[1])
      assert.is_nil(ds.whereis(NAME, "x"))
      assert.equal(1, ds.status(NAME).failing)
      assert.same({ nil, "already_present" },
        { ds.start_child(NAME, worker.spec("x")) })
      core.sleep(200)
      assert.equal("running", ds.explain(NAME, "x").state)
      assert.equal(healthy, ds.whereis(NAME, "y"))
    end))

  it("heals a child that runs for long enough", with({ max_restarts = 1 },
    function()
      assert(ds.start_child(NAME, worker.spec("x")))
      for _ = 1, 3 do
        ds.call(NAME, "x", "crash")
        core.sleep(200)
      end
      assert.is_true(ds.explain(NAME, "x").failures > 0)
      core.sleep(6000)
      assert.equal(0, ds.explain(NAME, "x").failures)
    end))

  it("ends a child that is set aside", with({ max_restarts = 0 }, function()
    assert(ds.start_child(NAME, worker.spec("x")))
    ds.call(NAME, "x", "crash")
    core.sleep(1)
    assert.equal("failing", ds.explain(NAME, "x").state)
    assert.is_true(ds.terminate_child(NAME, "x"))
    core.sleep(60)
    assert.equal("ended", ds.explain(NAME, "x").state)
  end))

  it("ends when children crash too often, if that is to escalate", function()
    run(function()
      core.trap_exit(true)
      local pid = assert(ds.start_link { name = NAME, max_restarts = 1,
        on_limit = "escalate" })
      assert(ds.start_child(NAME, worker.spec("x")))
      for _ = 1, 2 do
        ds.call(NAME, "x", "crash")
        core.sleep(1)
      end
      local msg = core.receive(1000)
      assert.equal(pid, msg.from)
      assert.equal("shutdown", msg.reason)
    end)
  end)
end)

describe("misuse of a distributed supervisor", function()
  local function refused(text, fn, ...)
    local args = { ... }
    local err
    run(function()
      local ok
      ok, err = pcall(fn, args[1], args[2], args[3])
      assert.is_false(ok)
    end)
    assert.is_truthy(err:find(text, 1, true), err)
  end

  it("is told by the name of the option", function()
    local function option(text, opts) refused(text, ds.start_link, opts) end
    option('option "name" is missing', {})
    option('unknown option "nmae"', { nmae = "x" })
    option('"name" must be a non-empty string', { name = "" })
    option('"nodes" must be a list', { name = "x", nodes = { B, 1 } })
    option('"nodes" must be a list', { name = "x", nodes = "dns" })
    option('option "nodes": option "source" must be a function or', {
      name = "x", nodes = { source = 1 } })
    option('option "nodes": unknown option "refresh"', { name = "x",
      nodes = { source = print, refresh = 5 } })
    option('option "nodes": option "on_error" must be', { name = "x",
      nodes = { source = print, on_error = "ask" } })
    option('"rebalance" must be "passive", "active" or {mode = "active"',
      { name = "x", rebalance = "sometimes" })
    option('"rebalance": option "mode" is missing',
      { name = "x", rebalance = { per_second = 5 } })
    option('"rebalance": option "per_second" must be a positive integer',
      { name = "x", rebalance = { mode = "active", per_second = 0 } })
    option('"replicas" must be an integer from 1 to 5', { name = "x",
      replicas = 6 })
    option('"conflict" must be "oldest" or "newest"', { name = "x",
      conflict = "eldest" })
    option('"on_limit" must be', { name = "x", on_limit = "end" })
    option('"start_ms" must be a positive', { name = "x", start_ms = 0 })
    option('"backoff": backoff.min must be', { name = "x",
      backoff = { min = 0 } })
    option('"max_children" must be a positive', { name = "x",
      max_children = 0 })
    option('"listeners" must be a list', { name = "x",
      listeners = { { on_node_u = print } } })
    option('"modules" must be a list', { name = "x", modules = "m" })
  end)

  it("is told by what is wrong with a child spec", function()
    local function spec(text, value)
      refused(text, ds.start_child, "x", value)
    end
    spec("must be a table", 7)
    spec("cannot be sent", { start = function() end })
    spec("has a function in it", worker.spec(1,
      { start = { "m", "start_link", { print } } }))
    spec("got 1.5", worker.spec(1.5))
    refused("name must be", ds.start_child, nil, worker.spec(1))
    refused("node must be", ds.start_child, "x", worker.spec(1), 7)
    refused("id must be", ds.terminate_child, "x", {})
    refused("id must be", ds.via, "x", nil)
  end)
end)

describe("a distributed supervisor on three nodes", function()
  it("puts each child where the ring says, known everywhere", function()
    local net = cluster { A, B, C }
    for i = 1, 60 do assert(start(net, ({ A, B, C })[i % 3 + 1], i)) end
    net:settle()
    for i = 1, 60 do
      local node = at(net, A, ds.node_for, NAME, i)
      for _, name in ipairs { A, B, C } do
        local arg, where = at(net, name, ds.call, NAME, i, "hi")
        assert.same({ i, node }, { arg, where })
        assert.equal(name == node, at(net, name, ds.is_mine, NAME, i))
      end
    end
    local sum = 0
    for _, name in ipairs { A, B, C } do
      assert.same({ A, B, C }, at(net, name, ds.nodes, NAME))
      local here = #at(net, name, ds.local_children, NAME)
      assert.is_true(here > 0)
      sum = sum + here
    end
    assert.equal(60, sum)
    assert.is_nil(crashes(net))
    net:close()
  end)

  it("is seen at once by the process that started a child", function()
    local net = cluster { A, B, C }
    for i = 1, 20 do
      net:on(A, function()
        local pid = assert(ds.start_child(NAME, worker.spec(i)))
        assert.equal(pid, ds.whereis(NAME, i))
        assert(ds.terminate_child(NAME, i))
        assert.is_nil(ds.whereis(NAME, i))
        assert(ds.start_child(NAME, worker.spec(i)))
      end)
    end
    net:close()
  end)

  it("starts an id once, wherever and however often it is asked", function()
    for seed = 1, 20 do
      local net = cluster({ A, B, C }, { seed = seed })
      local won, lost, winner = 0, 0, nil
      for _, name in ipairs { A, B, C, A, B, C } do
        net:find(name).core:spawn(function()
          local pid, err = ds.start_child(NAME, worker.spec("x"))
          if pid then
            won, winner = won + 1, pid
          else
            lost = lost + 1
            assert(err[1] == "already_started")
            assert(not winner or winner == err[2])
          end
        end)
      end
      net:run(function() return won + lost == 6 end)
      assert.equal(1, won)
      assert.equal(1, alive(net, "x"))
      assert.is_nil(crashes(net))
      net:close()
    end
  end)

  it("terminates from any node, by id or pid", function()
    local net = cluster { A, B, C }
    for i, name in ipairs { A, B, C } do
      local id = id_for(net, ({ B, C, A })[i])
      local pid = assert(start(net, A, id))
      net:settle()
      local what = i == 2 and pid or id
      assert.is_true(at(net, name, ds.terminate_child, NAME, what))
      assert.equal(0, alive(net, id))
      assert.same({ nil, "not_found" },
        { at(net, name, ds.terminate_child, NAME, what) })
    end
    net:close()
  end)

  it("hands back errors of a remote start", function()
    local net = cluster { A, B, C }
    local id = id_for(net, B)
    local fail = { start = { "spec.support.worker", "start_link", { "fail" } } }
    assert.same({ nil, "told to fail" }, { start(net, A, id, fail) })
    local launch = { start = { "spec.support.worker", "launch", { 1 } } }
    local _, err = start(net, A, id, launch)
    assert.equal("not_allowed", err[1])
    assert.is_truthy(err[3])
    local none = { start = { "no.such.module", "start_link", {} } }
    _, err = start(net, A, id, none)
    assert.equal("module_not_found", err[1])
    assert.is_truthy(err[2]:find("no.such.module", 1, true))
    assert.is_truthy(err[3]:find("@h:1", 1, true))
    assert(start(net, A, id))
    net:close()
  end)

  it("tells other nodes of restarts and ends", function()
    local net = cluster { A, B, C }
    local id = id_for(net, B)
    local old = assert(start(net, A, id))
    at(net, A, ds.call, NAME, id, "crash")
    net:settle()
    local new = at(net, C, ds.whereis, NAME, id)
    assert.is_truthy(new)
    assert.not_equal(old, new)
    assert.equal(new, at(net, A, ds.whereis, NAME, id))
    local other = id_for(net, C)
    assert(start(net, A, other, { restart = "transient" }))
    at(net, A, ds.call, NAME, other, "stop")
    net:settle()
    assert.is_nil(at(net, B, ds.whereis, NAME, other))
    net:close()
  end)

  it("puts a child on a node by name, and keeps it there", function()
    local net = cluster { A, B, C }
    local id = id_for(net, B)
    local pid = assert(start(net, A, id, nil, C))
    assert.equal(C, pid:node())
    assert.is_true(at(net, C, ds.explain, NAME, id).pinned)
    assert.equal("it was put on this node by name",
      at(net, A, ds.explain, NAME, id).reason)
    local _, err = start(net, A, id)
    assert.equal("already_started", err[1])
    assert.equal(pid, err[2])
    assert.same({ nil, "noconnection" }, { start(net, A, 1, nil, "x@h:1") })
    net:kill(C)
    net:settle()
    assert.equal(B, at(net, A, ds.whereis, NAME, id):node())
    assert.is_false(at(net, A, ds.explain, NAME, id).pinned)
    net:close()
  end)

  it("runs children on the nodes listed only, called from all", function()
    local net = cluster({ A, B, C }, { start = { nodes = { B } } })
    assert.same({ B }, at(net, A, ds.nodes, NAME))
    for i = 1, 10 do assert(start(net, ({ A, C })[i % 2 + 1], i)) end
    net:settle()
    assert.equal(10, #at(net, B, ds.local_children, NAME))
    assert.equal(B, select(2, at(net, C, ds.call, NAME, 3, "hi")))
    assert.same({ nil, "not_a_member" }, { start(net, A, 11, nil, C) })
    assert.same({ nil, "not_a_member" }, { start(net, B, 11, nil, A) })
    net:kill(B)
    net:settle()
    assert.same({ nil, "no_nodes" }, { start(net, A, 12) })
    net:close()
  end)
end)

describe("listeners", function()
  local heard

  local function listener()
    local t = {}
    for _, name in ipairs { "on_node_up", "on_node_down", "on_node_terminate",
      "on_process_start", "on_process_stop" } do
      t[name] = function(...)
        local node = core.node_name()
        heard[node] = heard[node] or {}
        table.insert(heard[node], { name, ... })
      end
    end
    return t
  end

  local function of(node, name)
    local list = {}
    for _, entry in ipairs(heard[node] or {}) do
      if entry[1] == name then list[#list + 1] = entry end
    end
    return list
  end

  before_each(function() heard = {} end)

  it("hear on every node of all five events", function()
    local net = cluster({ A, B }, { start = { listeners = { listener() } } })
    assert.same({ { "on_node_up", NAME, B, {} } }, of(A, "on_node_up"))
    assert.same({ { "on_node_up", NAME, A, {} } }, of(B, "on_node_up"))
    local pid = assert(start(net, A, "x", nil, B))
    net:settle()
    for _, name in ipairs { A, B } do
      assert.same({ { "on_process_start", NAME, "x", pid } },
        of(name, "on_process_start"))
    end
    at(net, A, ds.terminate_child, NAME, "x")
    net:settle()
    for _, name in ipairs { A, B } do
      assert.same({ { "on_process_stop", NAME, "x", { pid }, "shutdown",
        true } }, of(name, "on_process_stop"))
    end
    pid = assert(start(net, A, "y", nil, B))
    at(net, B, core.send, "keeper", "end")
    net:settle()
    local told = of(A, "on_node_terminate")
    assert.same({ { "on_node_terminate", NAME, B, "shutdown",
      { { id = "y", pid = pid, state = "stopped" } } } }, told)
    assert.equal(1, #of(A, "on_node_down"))
    assert.equal(1, alive(net, "y"))
    assert.equal(A, at(net, A, ds.whereis, NAME, "y"):node())
    net:close()
  end)

  it("each hear of all children of a node that leaves", function()
    local size = slices.size
    slices.size = 2
    local lists = {}
    local function with_list(i)
      return {
        on_node_terminate = function(_, _, _, statuses)
          if core.node_name() ~= A then return end
          lists[i] = statuses
          statuses[#statuses + 1] = "mine"
          statuses[1].id = "changed"
        end,
      }
    end
    local net = cluster({ A, B },
      { start = { listeners = { with_list(1), with_list(2) } } })
    for i = 1, 15 do
      assert(start(net, A, i, nil, B))
      assert(start(net, A, -i, nil, A))
    end
    net:settle()
    at(net, B, core.send, "keeper", "end")
    net:settle()
    slices.size = size
    for i = 1, 2 do
      local ids = {}
      assert.equal("mine", table.remove(lists[i]))
      assert.equal(15, #lists[i])
      for _, status in ipairs(lists[i]) do
        assert.equal("stopped", status.state)
        ids[status.id] = true
      end
      assert.is_true(ids.changed)
    end
    net:close()
  end)

  it("hear of a child that moves, and of a temporary that ends", function()
    local net = cluster({ A, B }, { start = { listeners = { listener() } } })
    local lost = assert(start(net, A, "stays", nil, B))
    local gone = assert(start(net, A, "goes", { restart = "temporary" }, B))
    net:kill(B)
    net:settle()
    assert.equal(1, #of(A, "on_node_down"))
    assert.equal(0, #of(A, "on_node_terminate"))
    assert.equal(3, #of(A, "on_process_start"))
    local stops = of(A, "on_process_stop")
    table.sort(stops, function(a, b) return a[3] < b[3] end)
    assert.same({
      { "on_process_stop", NAME, "goes", { gone }, "noconnection", true },
      { "on_process_stop", NAME, "stays", { lost }, "noconnection", false },
    }, stops)
    net:close()
  end)

  it("that raise or hang harm nobody", function()
    local net = cluster({ A, B }, { start = { listeners = {
      { on_process_start = function() error("a listener's error") end },
      { on_process_start = function() core.receive() end },
      { on_process_start = function() core.exit("a listener's end") end },
      listener(),
    } } })
    for i = 1, 10 do assert(start(net, A, i)) end
    net:settle()
    assert.equal(10, #of(A, "on_process_start"))
    assert.equal(10, #of(B, "on_process_start"))
    assert.is_true(net:count("listener_failed") >= 20)
    at(net, B, core.send, "keeper", "end")
    net:settle()
    assert.equal(10, #at(net, A, ds.local_children, NAME))
    net:close()
  end)

  it("do not hear of nodes if they are not to be monitored", function()
    local net = cluster({ A, B }, { start = { monitor_nodes = false,
      listeners = { listener() } } })
    net:kill(B)
    net:settle()
    assert.equal(0, #of(A, "on_node_up"))
    assert.equal(0, #of(A, "on_node_down"))
    net:close()
  end)
end)

describe("a supervisor that is stopped and started again", function()
  it("knows the children of others that it knew before", function()
    local net = cluster { A, B }
    local id = id_for(net, B)
    local pid = assert(start(net, A, id))
    net:settle()
    net:on(A, function() core.send("keeper", "end") end)
    net:pass(1000)
    assert.is_nil(at(net, A, ds.whereis, NAME, id))
    support.open(net, A)
    net:pass(1000)
    assert.equal(pid, at(net, A, ds.whereis, NAME, id))
    net:close()
  end)
end)
