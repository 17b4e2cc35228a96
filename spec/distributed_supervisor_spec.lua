-- On nodes of one Lua state, joined by a network in memory: its seed decides
-- in which order bytes arrive, and time passes only where nothing else can.

local core = require "banyan.core"
local ds = require "banyan.distributed_supervisor"
local network = require "spec.support.network"
local registry = require "banyan.distributed_supervisor.registry"
local run = require "spec.support.run"
local server = require "banyan.server"
local supervisor = require "banyan.supervisor"
local worker = require "spec.support.worker"

local A, B, C, D = "a@h:1", "b@h:1", "c@h:1", "d@h:1"
local NAME = "kids"

-- A life of a node, greater than all before: ids of earlier ones are still in
-- memory.
local lives = 0
local function boot(net, name)
  lives = lives + 1
  return net:node(name, { incarnation = lives })
end

-- Starts the supervisor on a node, in a process that keeps it.
local function open(net, node, opts)
  local settings = { name = NAME }
  for key, value in pairs(opts or {}) do settings[key] = value end
  net:find(node).core:spawn(function()
    core.trap_exit(true)
    assert(ds.start_link(settings))
    core.register("keeper")
    local msg
    repeat msg = core.receive() until msg == "end"
    core.exit("shutdown")
  end)
end

local function join(net, node, others)
  net:on(node, function()
    for _, other in ipairs(others) do assert(core.connect(other)) end
  end)
end

-- Nodes that are connected, each with the supervisor.
local function cluster(names, opts)
  local net = network.new { seed = opts and opts.seed or 1 }
  for i, name in ipairs(names) do
    boot(net, name)
    local others = {}
    for j = 1, i - 1 do others[j] = names[j] end
    join(net, name, others)
  end
  for _, name in ipairs(names) do open(net, name, opts and opts.start) end
  net:settle()
  worker.started = {}
  return net
end

-- What a function answers as a process of a node.
local function at(net, node, fn, ...)
  local args, results = { ... }, nil
  net:on(node, function()
    results = { fn(args[1], args[2], args[3], args[4]) }
  end)
  return results[1], results[2], results[3]
end

local function start(net, node, id, more, where)
  return at(net, node, ds.start_child, NAME, worker.spec(id, more), where)
end

-- The first id, counting up from a prefix, that the ring gives to a node.
local function id_for(net, node, prefix)
  for i = 1, 10000 do
    local id = (prefix or "id") .. i
    if at(net, A, ds.node_for, NAME, id) == node then return id end
  end
end

-- How many processes of a child are alive, on nodes that are up.
local function alive(net, id)
  local count = 0
  for _, one in ipairs(worker.started) do
    if one.id == id and net:find(one.node) then
      if at(net, one.node, function() return core.is_alive(one.pid) end) then
        count = count + 1
      end
    end
  end
  return count
end

local function crashes(net)
  for _, event in ipairs(net.events) do
    if event.event == "process_crashed" then return tostring(event.reason) end
  end
end

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
    assert.is_nil(ds.explain(NAME, "x"))
    assert(ds.start_child(NAME, worker.spec("x")))
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
    assert.same({ nil, "noproc" }, { ds.call("other", 1, "x") })
    assert.same({ nil, "noproc" }, { ds.start_child("other", worker.spec(1)) })
    assert.same({ nil, "noproc" }, { ds.terminate_child("other", 1) })
    assert.same({ nil, "noproc" }, { ds.children("other") })
    assert.same({ nil, "noproc" }, { ds.node_for("other", 1) })
    assert.is_false(ds.is_mine("other", 1))
  end))

  it("keeps to max_children", with({ max_children = 2 }, function()
    assert(ds.start_child(NAME, worker.spec(1)))
    assert(ds.start_child(NAME, worker.spec(2)))
    assert.same({ nil, "max_children" },
      { ds.start_child(NAME, worker.spec(3)) })
    assert(ds.terminate_child(NAME, 1))
    assert(ds.start_child(NAME, worker.spec(3)))
  end))

  it("looks up through its process if it is not to be cached",
    with({ cache_children = false }, function()
      local pid = ds.start_child(NAME, worker.spec("x"))
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
      core.sleep(120000)
      local view = registry.views[core.whereis(NAME)]
      assert.same({ 0, 0 }, { view.placement:counts() })
      assert.is_nil(ds.explain(NAME, 1))
    end)
  end)

  it("ends when children crash too often", function()
    run(function()
      core.trap_exit(true)
      local pid = assert(ds.start_link { name = NAME, max_restarts = 1 })
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
    option('"nodes" must be a list', { name = "x", nodes = { source = 1 } })
    option('"rebalance" must be "passive"', { name = "x",
      rebalance = "active" })
    option('"replicas" must be 2', { name = "x", replicas = 3 })
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
    local none = { start = { "no.such.module", "start_link", {} } }
    _, err = start(net, A, id, none)
    assert.equal("error", err[1])
    assert.is_truthy(err[2]:find("no.such.module", 1, true))
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

describe("the loss of a node", function()
  it("moves each child to its own id's new owner, once", function()
    local net = cluster { A, B, C }
    for i = 1, 90 do
      local kind = ({ "permanent", "transient", "temporary" })[i % 3 + 1]
      assert(start(net, A, i, { restart = kind }))
    end
    net:settle()
    local before = at(net, A, ds.children, NAME)
    net:kill(B)
    net:settle()
    local after, both = at(net, A, ds.children, NAME), {}
    assert.same(after, at(net, C, ds.children, NAME))
    for i = 1, 90 do
      local lost = before[i]:node() == B
      if not lost then
        assert.equal(before[i], after[i])
      elseif i % 3 + 1 == 3 then
        assert.is_nil(after[i])
        assert.equal(0, alive(net, i))
      else
        assert.equal(at(net, A, ds.node_for, NAME, i), after[i]:node())
        assert.equal(1, alive(net, i))
        both[after[i]:node()] = true
      end
    end
    assert.is_true(both[A] and both[C])
    assert.is_nil(crashes(net))
    net:close()
  end)

  it("does not lose a child that one survivor alone knows of", function()
    local net = cluster { A, B, C }
    local id
    for i = 1, 1000 do -- of B, and then of C
      id = "id" .. i
      local r = require("banyan.ring").new { nodes = { A, C } }
      if at(net, A, ds.node_for, NAME, id) == B and r:node_for(id) == C then
        break
      end
    end
    net:hold(B, C, true)
    assert(start(net, A, id))
    assert.is_nil(at(net, C, ds.whereis, NAME, id))
    net:kill(B)
    net:settle()
    assert.equal(1, alive(net, id))
    assert.equal(C, at(net, A, ds.whereis, NAME, id):node())
    net:close()
  end)

  it("does not bring back a child whose end one survivor knows", function()
    local net = cluster { A, B, C }
    for i = 1, 20 do assert(start(net, A, i)) end
    net:settle()
    net:hold(B, C, true)
    local ended = {}
    for i = 1, 20 do
      if at(net, A, ds.whereis, NAME, i):node() == B then
        assert(at(net, A, ds.terminate_child, NAME, i))
        ended[i] = true
      end
    end
    assert.is_truthy(next(ended))
    net:kill(B)
    net:pass(5000)
    for i = 1, 20 do
      assert.equal(ended[i] and 0 or 1, alive(net, i))
      assert.equal(ended[i] == nil,
        at(net, C, ds.whereis, NAME, i) ~= nil)
    end
    net:close()
  end)

  it("answers a start that the lost node had done as done", function()
    local net = cluster { A, B, C }
    local id, answer = id_for(net, B), nil
    net:hold(B, A, true)
    net:find(A).core:spawn(function()
      answer = { ds.start_child(NAME, worker.spec(id)) }
    end)
    net:settle()
    assert.is_nil(answer)
    assert.is_truthy(at(net, C, ds.whereis, NAME, id))
    net:kill(B)
    net:run(function() return answer ~= nil end)
    assert.equal(id, answer[2])
    assert.equal(answer[1], at(net, A, ds.whereis, NAME, id))
    assert.equal(1, alive(net, id))
    net:close()
  end)

  it("lets a start go on elsewhere that hangs on the lost node", function()
    local net = cluster { A, B, C }
    local id, answer = id_for(net, B), nil
    net:find(A).core:spawn(function()
      answer = { ds.start_child(NAME, worker.spec(id,
        { start = { "spec.support.worker", "start_link",
          { { sleep = 2000 } } } })) }
    end)
    net:pass(100)
    net:kill(B)
    net:run(function() return answer ~= nil end)
    assert.equal(id, answer[2])
    assert.not_equal(B, answer[1]:node())
    net:close()
  end)

  it("in good order too moves the children: none of them has ended", function()
    local net = cluster { A, B }
    for i = 1, 20 do
      assert(start(net, A, i, { restart = "transient" }))
    end
    -- As at the end of banyan.run, which stops supervisors from the top.
    at(net, B, function()
      for _, pid in ipairs(core.processes()) do
        local info = core.process_info(pid)
        if info and info.behaviour == "supervisor" then
          assert(supervisor.stop(pid, "shutdown"))
        end
      end
    end)
    net:settle()
    assert.equal(20, #at(net, A, ds.local_children, NAME))
    for i = 1, 20 do assert.equal(1, alive(net, i)) end
    net:close()
  end)

  it("is mended by what a broken connection leaves: one of each", function()
    local net = cluster { A, B, C }
    for i = 1, 30 do assert(start(net, A, i)) end
    net:settle()
    net:cut(A, B)
    net:pass(20000)
    for i = 1, 30 do assert.equal(1, alive(net, i)) end
    local kids = at(net, A, ds.children, NAME)
    assert.same(kids, at(net, B, ds.children, NAME))
    assert.same(kids, at(net, C, ds.children, NAME))
    net:close()
  end)
end)

describe("a node that was out of sight for a while", function()
  local function isolate(net, node, others, on)
    for _, other in ipairs(others) do
      net:hold(node, other, on)
      net:hold(other, node, on)
    end
  end

  -- C and the others take each other for lost and take over each other's
  -- children, before A or C hear that one is to end.
  local function after_a_split(where)
    local net = cluster { A, B, C }
    for i = 1, 60 do assert(start(net, A, i)) end
    net:settle()
    isolate(net, C, { A, B }, true)
    net:run(function()
      return #at(net, A, ds.nodes, NAME) == 2
        and #at(net, C, ds.nodes, NAME) == 1
    end)
    net:pass(1000)
    for i = 1, 30 do
      assert(at(net, where, ds.terminate_child, NAME, i))
    end
    for i = 1, 10 do -- another child of the id, that ends as well
      assert(start(net, where, i))
      assert(at(net, where, ds.terminate_child, NAME, i))
    end
    isolate(net, C, { A, B }, false)
    net:pass(60000)
    return net
  end

  for _, where in ipairs { A, C } do
    it("does not bring back what was terminated, asked on " .. where,
      function()
        local net = after_a_split(where)
        for i = 1, 30 do assert.equal(0, alive(net, i)) end
        for i = 31, 60 do assert.equal(1, alive(net, i)) end
        local kids = at(net, A, ds.children, NAME)
        for i = 1, 30 do assert.is_nil(kids[i]) end
        assert.same(kids, at(net, B, ds.children, NAME))
        assert.same(kids, at(net, C, ds.children, NAME))
        assert.is_nil(crashes(net))
        net:close()
      end)
  end
end)

describe("a message that another one overtakes", function()
  it("does not make a start fail for a child that has ended", function()
    local net = cluster { A, B, C }
    local id = id_for(net, B)
    assert(start(net, A, id, nil, C))
    net:settle()
    net:hold(C, B, true)
    assert(at(net, A, ds.terminate_child, NAME, id))
    assert.is_truthy(at(net, B, ds.whereis, NAME, id))
    assert(start(net, A, id))
    net:hold(C, B, false)
    net:settle()
    assert.equal(1, alive(net, id))
    assert.equal(B, at(net, C, ds.whereis, NAME, id):node())
    net:close()
  end)

  it("costs a delay if it gets lost, never a child", function()
    local net = cluster { A, B, C }
    assert(start(net, A, "old"))
    net:settle()
    local merge = registry.merge
    registry.merge = function(self, ...)
      if self.view.node == C then return false end
      return merge(self, ...)
    end
    for i = 1, 10 do assert(start(net, A, i, nil, B)) end
    assert(at(net, A, ds.terminate_child, NAME, "old"))
    net:settle()
    registry.merge = merge
    assert.is_nil(at(net, C, ds.whereis, NAME, 1))
    net:pass(10000)
    local kids = at(net, A, ds.children, NAME)
    assert.is_nil(kids.old)
    assert.same(kids, at(net, C, ds.children, NAME))
    net:close()
  end)
end)

describe("nodes that meet", function()
  it("are known to a late joiner with all that is theirs", function()
    local net = cluster { A, B }
    for i = 1, 300 do assert(start(net, A, i)) end
    assert(at(net, A, ds.terminate_child, NAME, 300))
    boot(net, C)
    join(net, C, { A })
    net:on(C, function()
      core.trap_exit(true)
      assert(ds.start_link { name = NAME })
      for i = 1, 299 do assert.equal(i, (ds.call(NAME, i, "hi"))) end
      assert.is_nil(ds.whereis(NAME, 300))
      assert.same({ A, B, C }, ds.nodes(NAME))
      assert.same({}, ds.local_children(NAME))
    end)
    net:close()
  end)

  it("keep exactly one of each that both had started", function()
    for seed = 1, 10 do
      local net = network.new { seed = seed }
      worker.started = {}
      for _, name in ipairs { A, B, C } do
        boot(net, name)
        open(net, name)
        net:settle()
        for i = 1, 10 do assert(start(net, name, i)) end
        assert(start(net, name, name))
      end
      join(net, A, { B, C })
      net:pass(5000)
      local kids = at(net, A, ds.children, NAME)
      for _, name in ipairs { A, B, C } do
        assert.same({ A, B, C }, at(net, name, ds.nodes, NAME))
        assert.same(kids, at(net, name, ds.children, NAME))
        assert.equal(1, alive(net, name))
      end
      for i = 1, 10 do assert.equal(1, alive(net, i)) end
      assert.equal(20, net:count("placement_conflict"))
      assert.is_nil(crashes(net))
      net:close()
    end
  end)

  it("agree on who takes over, though one knew of nobody before", function()
    for seed = 1, 20 do
      local net = cluster({ A, B, C }, { seed = seed })
      for i = 1, 40 do assert(start(net, A, i)) end
      boot(net, D)
      open(net, D)
      net:pass(seed % 2 == 0 and 0 or 5000)
      net:kill(C)
      join(net, D, { A, B })
      net:pass(3000)
      for i = 1, 40 do assert.equal(1, alive(net, i)) end
      assert.same({ A, B, D }, at(net, D, ds.nodes, NAME))
      assert.same(at(net, A, ds.children, NAME),
        at(net, D, ds.children, NAME))
      assert.equal(0, net:count("placement_conflict"))
      net:close()
    end
  end)

  it("wait for the nodes that they are just connecting with", function()
    local net = network.new()
    boot(net, A)
    open(net, A)
    net:settle()
    assert(start(net, A, "x"))
    boot(net, B)
    local known
    net:find(B).core:spawn(function() core.connect(A) end)
    net:on(B, function()
      core.trap_exit(true)
      assert(ds.start_link { name = NAME })
      known = ds.children(NAME)
    end)
    assert.is_truthy(known.x)
    net:close()
  end)

  it("start an id once, though they start at the same time", function()
    for seed = 1, 30 do
      local net = network.new { seed = seed }
      worker.started = {}
      local answers = 0
      for _, name in ipairs { A, B } do
        boot(net, name)
        net:find(name).core:spawn(function()
          core.connect(name == A and B or A)
        end)
        open(net, name)
        net:find(name).core:spawn(function()
          while not core.whereis(NAME) do core.sleep(1) end
          ds.start_child(NAME, worker.spec("x"))
          answers = answers + 1
        end)
      end
      net:run(function() return answers == 2 end)
      net:pass(3000)
      assert.equal(1, alive(net, "x"))
      assert.equal(at(net, A, ds.whereis, NAME, "x"),
        at(net, B, ds.whereis, NAME, "x"))
      net:close()
    end
  end)
end)

-- What is asked for while nodes come and go. The nodes A and B stay, on each
-- two clients start and terminate children; C and D are killed and come back,
-- their supervisors before or after their connections.
describe("a storm of starts", function()
  local function client(net, name, tag, storm)
    storm.clients = storm.clients + 1
    net:find(name).core:spawn(function()
      while not core.whereis(NAME) do core.sleep(1) end
      for i = 1, 60 do
        local own = i % 5 > 0
        local id = own and name .. tag .. i or i
        local spec = worker.spec(id, { restart = i % 2 == 0 and "transient"
          or nil })
        if i % 4 == 0 then
          spec.start = { "spec.support.worker", "launch_slowly", { id } }
        end
        local pid, err = ds.start_child(NAME, spec)
        assert(pid or not own and err[1] == "already_started", err)
        storm.wanted[id] = true
        storm.started = storm.started + 1
        storm.stir()
        if own and i % 7 == 0 then
          assert(ds.terminate_child(NAME, id))
          if i % 2 == 0 then
            assert(ds.start_child(NAME, spec))
          else
            storm.wanted[id] = false
          end
        end
        if net:random(3) == 1 then core.sleep(net:random(5)) end
      end
      storm.clients = storm.clients - 1
    end)
  end

  local function come_back(net, name)
    boot(net, name)
    net:find(name).core:spawn(function()
      for _, other in ipairs { A, B, C, D } do
        if other ~= name then core.connect(other) end
      end
    end)
    open(net, name, { modules = { "spec.support.worker" } })
  end

  -- Kills a node, or brings it back, at some numbers of starts.
  local function plan(net, storm)
    local steps = {}
    for i = 1, 5 do
      steps[i] = { at = 40 * i + net:random(40), node = i % 2 == 0 and C or D }
    end
    return function()
      local step = steps[1]
      if not step or storm.started < step.at then return end
      table.remove(steps, 1)
      if net:find(step.node) then
        net:kill(step.node)
      else
        come_back(net, step.node)
      end
    end
  end

  local function rage(seed)
    local net = cluster({ A, B, C, D }, { seed = seed,
      start = { modules = { "spec.support.worker" } } })
    worker.launch_slowly = function(id)
      core.sleep(net:random(6))
      return worker.start_link(id)
    end
    local storm = { clients = 0, started = 0, wanted = {} }
    storm.stir = plan(net, storm)
    for _, name in ipairs { A, B } do
      client(net, name, "first", storm)
      client(net, name, "second", storm)
    end
    net:run(function()
      local failure = crashes(net)
      if failure then error(failure, 0) end
      return storm.clients == 0
    end)
    net:pass(15000)
    return net, storm
  end

  it("ends with exactly one of each, and every node knows", function()
    for seed = 1, 25 do
      local net, storm = rage(seed)
      local counts = {}
      for _, one in ipairs(worker.started) do
        if net:find(one.node) then
          local ok, up = pcall(at, net, one.node, function()
            return core.is_alive(one.pid)
          end)
          if ok and up then counts[one.id] = (counts[one.id] or 0) + 1 end
        end
      end
      local kids = at(net, A, ds.children, NAME)
      for id, wanted in pairs(storm.wanted) do
        assert.equal(wanted and 1 or 0, counts[id] or 0)
        assert.equal(wanted, kids[id] ~= nil)
      end
      for _, name in ipairs { B, C, D } do
        if net:find(name) then
          assert.same(kids, at(net, name, ds.children, NAME))
        end
      end
      assert.equal(0, net:count("placement_conflict"))
      assert.is_nil(crashes(net))
      net:close()
    end
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
      assert.same({ { "on_process_stop", NAME, "x", { pid }, "shutdown" } },
        of(name, "on_process_stop"))
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

  it("hear of a child that moves, and of a temporary that ends", function()
    local net = cluster({ A, B }, { start = { listeners = { listener() } } })
    assert(start(net, A, "stays", nil, B))
    local gone = assert(start(net, A, "goes", { restart = "temporary" }, B))
    net:kill(B)
    net:settle()
    assert.equal(1, #of(A, "on_node_down"))
    assert.equal(0, #of(A, "on_node_terminate"))
    assert.equal(3, #of(A, "on_process_start"))
    assert.same({ { "on_process_stop", NAME, "goes", { gone },
      "noconnection" } }, of(A, "on_process_stop"))
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
