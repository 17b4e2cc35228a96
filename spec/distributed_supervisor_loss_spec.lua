-- Distributed supervisors where nodes are lost, come back and meet, and where
-- messages are.

local core = require "banyan.core"
local ds = require "banyan.distributed_supervisor"
local support = require "spec.support.distributed"
local network = require "spec.support.network"
local supervisor = require "banyan.supervisor"
local worker = require "spec.support.worker"

local A, B, C, D = "a@h:1", "b@h:1", "c@h:1", "d@h:1"
local NAME = support.NAME

local open = support.open
local join = support.join
local cluster = support.cluster
local at = support.at
local start = support.start
local id_for = support.id_for
local alive = support.alive
local crashes = support.crashes

-- What every machine is told by others goes through this.
local function machine_methods()
  return debug.getregistry()["banyan.dist"].__index
end

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

  it("is worked off in parts, between which others have their turns", function()
    local net = cluster { A, B }
    local gone = 0
    for i = 1, 600 do assert(start(net, A, i)) end
    net:settle()
    local methods = machine_methods()
    local next_action, wait, taken, most = methods.next, methods.wait, 0, 0
    function methods.next(dist, action)
      local a = next_action(dist, action)
      if a then taken = taken + 1 end
      if a and a.kind == "show" and a.pid == nil then gone = gone + 1 end
      return a
    end
    function methods.wait(dist)
      most, taken = math.max(most, taken), 0
      return wait(dist)
    end
    net:kill(B)
    net:settle()
    methods.next, methods.wait = next_action, wait
    assert.is_true(gone > 200, gone .. " were on it")
    assert.is_true(most < 200, most .. " actions at once")
    for i = 1, 600 do assert.equal(1, alive(net, i)) end
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
    net:pass(20000)
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
    net:pass(10000) -- A hears nothing of B's end but the silence
    assert.equal(1, alive(net, id))
    assert.is_truthy(at(net, A, ds.whereis, NAME, id))
    assert.equal(at(net, A, ds.whereis, NAME, id),
      at(net, C, ds.whereis, NAME, id))
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

  it("that left lets it come back as a newcomer", function()
    local net = cluster { A, B }
    for i = 1, 20 do assert(start(net, A, i)) end
    at(net, B, core.send, "keeper", "end")
    net:settle()
    assert.is_nil(at(net, B, ds.whereis, NAME, 1))
    open(net, B)
    net:settle()
    assert.same({ A, B }, at(net, A, ds.nodes, NAME))
    assert.same(at(net, A, ds.children, NAME), at(net, B, ds.children, NAME))
    for i = 21, 60 do assert(start(net, B, i)) end
    net:settle()
    assert.is_true(#at(net, B, ds.local_children, NAME) > 0)
    for i = 1, 60 do assert.equal(1, alive(net, i)) end
    net:close()
  end)

  it("is mended by what a broken connection leaves: one of each", function()
    local net = cluster { A, B, C }
    for i = 1, 30 do assert(start(net, A, i)) end
    net:settle()
    net:cut(A, B)
    net:pass(20000)
    for i = 1, 30 do assert.equal(1, alive(net, i)) end
    local children = at(net, A, ds.children, NAME)
    assert.same(children, at(net, B, ds.children, NAME))
    assert.same(children, at(net, C, ds.children, NAME))
    net:close()
  end)
end)

describe("what a caller was told", function()
  local function told_only_when_shared(prepare, ask)
    local net = cluster { A, B, C }
    local id = id_for(net, A)
    prepare(net, id)
    for _, other in ipairs { B, C } do net:hold(A, other, true) end
    local answered = false
    net:find(A).core:spawn(function()
      assert(ask(id))
      answered = true
    end)
    net:pass(100)
    assert.is_false(answered)
    for _, other in ipairs { B, C } do net:hold(A, other, false) end
    net:run(function() return answered end)
    net:kill(A)
    net:pass(5000)
    return net, id
  end

  it("is not undone by the end of the node that told: a start", function()
    local net, id = told_only_when_shared(function() end, function(id)
      return ds.start_child(NAME, worker.spec(id))
    end)
    assert.equal(1, alive(net, id))
    net:close()
  end)

  it("is not undone by the end of the node that told: an end", function()
    local net, id = told_only_when_shared(function(net, id)
      assert(start(net, A, id))
    end, function(id) return ds.terminate_child(NAME, id) end)
    assert.equal(0, alive(net, id))
    assert.is_nil(at(net, B, ds.whereis, NAME, id))
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
        local children = at(net, A, ds.children, NAME)
        for i = 1, 30 do assert.is_nil(children[i]) end
        assert.same(children, at(net, B, ds.children, NAME))
        assert.same(children, at(net, C, ds.children, NAME))
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
    assert(start(net, A, id))
    net:hold(C, B, false)
    net:settle()
    assert.equal(1, alive(net, id))
    assert.equal(B, at(net, C, ds.whereis, NAME, id):node())
    net:close()
  end)

  it("costs a delay if it gets lost, never a child", function()
    local net = cluster { A, B, C }
    local old, ids = id_for(net, A, "old"), {}
    for i = 1, 10 do ids[i] = id_for(net, B, "id" .. i .. " ") end
    assert(start(net, A, old))
    net:settle()
    local methods = machine_methods()
    local receive = methods.receive
    methods.receive = function(dist, ...)
      if core.node_name() == C then return true end
      return receive(dist, ...)
    end
    for i = 1, 10 do assert(start(net, A, ids[i])) end
    assert(at(net, A, ds.terminate_child, NAME, old))
    net:settle()
    methods.receive = receive
    assert.is_nil(at(net, C, ds.whereis, NAME, ids[1]))
    net:pass(10000)
    local children = at(net, A, ds.children, NAME)
    assert.is_nil(children[old])
    assert.is_truthy(children[ids[1]])
    assert.same(children, at(net, C, ds.children, NAME))
    net:close()
  end)
end)

describe("nodes that meet", function()
  it("are known to a late joiner with all that is theirs", function()
    local net = cluster { A, B }
    for i = 1, 300 do assert(start(net, A, i)) end
    assert(at(net, A, ds.terminate_child, NAME, 300))
    net:node(C)
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
        net:node(name)
        open(net, name)
        net:settle()
        for i = 1, 10 do assert(start(net, name, i)) end
        assert(start(net, name, name))
      end
      join(net, A, { B, C })
      net:pass(5000)
      local children = at(net, A, ds.children, NAME)
      for _, name in ipairs { A, B, C } do
        assert.same({ A, B, C }, at(net, name, ds.nodes, NAME))
        assert.same(children, at(net, name, ds.children, NAME))
        assert.equal(1, alive(net, name))
      end
      for i = 1, 10 do assert.equal(1, alive(net, i)) end
      assert.equal(20, net:count("placement_conflict"))
      assert.is_nil(crashes(net))
      net:close()
    end
  end)

  it("end with one process of each, though one knew of nobody before",
    function()
      for seed = 1, 20 do
        local net = cluster({ A, B, C }, { seed = seed })
        for i = 1, 40 do assert(start(net, A, i)) end
        net:node(D)
        open(net, D)
        net:pass(seed % 2 == 0 and 0 or 5000)
        net:kill(C)
        join(net, D, { A, B })
        net:pass(3000)
        for i = 1, 40 do assert.equal(1, alive(net, i)) end
        assert.same({ A, B, D }, at(net, D, ds.nodes, NAME))
        assert.same(at(net, A, ds.children, NAME),
          at(net, D, ds.children, NAME))
        net:close()
      end
    end)

  -- B goes on with a child that has ended on A, where its id was started anew;
  -- and when the two meet, that one crashes.
  it("know the new process of a child that crashes meanwhile", function()
    for seed = 1, 10 do
      local net = cluster({ A, B }, { seed = seed })
      assert(start(net, A, "id", { restart = "permanent" }, A))
      net:settle()
      for _, pair in ipairs { { A, B }, { B, A } } do
        net:hold(pair[1], pair[2], true)
      end
      net:find(A).core:spawn(function()
        ds.terminate_child(NAME, "id")
        ds.start_child(NAME, worker.spec("id"))
      end)
      net:pass(30000)
      local methods, told = machine_methods(), false
      local receive = methods.receive
      methods.receive = function(dist, from, bytes)
        told = told or core.node_name() == B and bytes:find("id", 1, true)
        return receive(dist, from, bytes)
      end
      for _, pair in ipairs { { A, B }, { B, A } } do
        net:hold(pair[1], pair[2], false)
      end
      net:run(function() return told end)
      methods.receive = receive
      net:hold(B, A, true)
      at(net, A, ds.call, NAME, "id", "crash")
      net:settle()
      net:hold(B, A, false)
      net:pass(20000)
      assert.equal(1, alive(net, "id"))
      local pid = at(net, A, ds.whereis, NAME, "id")
      assert.is_truthy(pid)
      assert.equal(pid, at(net, B, ds.whereis, NAME, "id"))
      net:close()
    end
  end)

  it("do without one that is lost before they have met", function()
    local net = cluster { A, B }
    for i = 1, 20 do assert(start(net, A, i)) end
    net:node(C)
    for _, pair in ipairs { { B, C }, { C, B } } do
      net:hold(pair[1], pair[2], true)
    end
    open(net, C)
    net:pass(1000)
    for i = 1, 10 do assert(start(net, C, i)) end
    net:on(C, function() assert(core.connect(A)) end)
    net:settle()
    net:kill(A)
    net:pass(60000)
    for i = 1, 20 do
      local pid = at(net, C, ds.whereis, NAME, i)
      assert.equal(C, pid and pid:node())
      assert.is_true(at(net, C, core.is_alive, pid))
    end
    net:kill(B)
    for i = 1, 20 do assert.equal(1, alive(net, i)) end
    assert.is_nil(crashes(net))
    net:close()
  end)

  it("wait for the nodes that they are just connecting with", function()
    local net = network.new()
    net:node(A)
    open(net, A)
    net:settle()
    assert(start(net, A, "x"))
    net:node(B)
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
        net:node(name)
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
        assert(pid or not own and (err[1] == "already_started"
          or err == "already_present"), err)
        if pid then storm.wanted[id] = true end
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
    net:node(name)
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
      local children = at(net, A, ds.children, NAME)
      for id, wanted in pairs(storm.wanted) do
        assert.equal(wanted and 1 or 0, counts[id] or 0)
        assert.equal(wanted, children[id] ~= nil)
      end
      for _, name in ipairs { B, C, D } do
        if net:find(name) then
          assert.same(children, at(net, name, ds.children, NAME))
        end
      end
      assert.equal(0, net:count("placement_conflict"))
      assert.is_nil(crashes(net))
      net:close()
    end
  end)
end)
