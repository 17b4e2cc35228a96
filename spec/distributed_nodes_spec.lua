-- Distributed supervisors whose nodes come from a source.

local banyan = require "banyan"
local core = require "banyan.core"
local ds = require "banyan.distributed_supervisor"
local network = require "spec.support.network"
local room = require "spec.support.room"
local support = require "spec.support.distributed"
local worker = require "spec.support.worker"

local A, B, C, D = "a@h:1", "b@h:1", "c@h:1", "d@h:1"
local NAME = support.NAME
local REFRESH_MS = 1000

local at, start = support.at, support.start

describe("a distributed supervisor with a source of nodes", function()
  local net, answers, told

  before_each(function()
    net, answers, told = network.new { seed = 3 }, {}, {}
    worker.started, room.resumed = {}, {}
  end)
  after_each(function()
    assert.is_nil(support.crashes(net))
    net:close()
  end)

  -- Each node asks a source of its own: answers[node], a list or a function.
  local function open(node, more)
    local function source()
      local answer = answers[node]
      if type(answer) == "function" then return answer() end
      return answer
    end
    local nodes = { source = source, refresh_ms = REFRESH_MS }
    for key, value in pairs(more or {}) do nodes[key] = value end
    support.open(net, node, {
      nodes = nodes, listeners = { {
        on_node_down = function(_, other)
          told[#told + 1] = node .. " lost " .. other
        end,
      } },
    })
  end
  local function set(list)
    for _, node in ipairs { A, B, C, D } do answers[node] = list end
  end
  -- Nodes that know only what their sources answer.
  local function together(names, more)
    set(names)
    for _, name in ipairs(names) do net:node(name) end
    for _, name in ipairs(names) do open(name, more) end
    net:pass(5000)
  end
  local function nodes(node) return at(net, node, ds.nodes, NAME) end
  local function failures(node)
    return net:events_named("node_source_failed", node)
  end

  it("dials its nodes and runs children on them", function()
    together { A, B, C }
    for _, node in ipairs { A, B, C } do
      assert.same({ A, B, C }, nodes(node))
    end
    for i = 1, 30 do assert(start(net, A, i)) end
    for _, node in ipairs { A, B, C } do
      assert.is_true(#at(net, node, ds.local_children, NAME) > 0)
    end
  end)

  it("takes a source as a function, and as one of a module", function()
    package.loaded["spec.nodes"] = {
      of = function(...) return { ... } end,
    }
    net:node(A)
    support.open(net, A, { nodes = function() return { A } end })
    net:node(B)
    support.open(net, B, { nodes = { "spec.nodes", "of", { A, B } } })
    net:pass(5000)
    package.loaded["spec.nodes"] = nil
    assert.same({ A, B }, nodes(A))
  end)

  it("runs none on a node that is not in its own answer", function()
    set { A, B }
    for _, node in ipairs { A, B, C } do
      net:node(node)
      open(node)
    end
    net:pass(5000)
    assert.same({ A, B }, nodes(C))
    for i = 1, 20 do assert(start(net, C, i)) end
    assert.same({}, at(net, C, ds.local_children, NAME))
    assert.equal(20, (select(2, at(net, C, ds.count, NAME))))
  end)

  it("takes in a node that comes, and drains one whose name goes", function()
    together { A, B }
    net:node(C)
    set { A, B, C }
    open(C)
    net:pass(5000)
    assert.same({ A, B, C }, nodes(A))
    for i = 1, 30 do
      assert(at(net, A, ds.start_child, NAME, room.spec(i)))
      assert(at(net, A, ds.call, NAME, i, { tag = "forget", n = i }))
    end
    net:pass(1000)
    local before, moved = at(net, A, ds.children, NAME), 0
    set { A, B }
    net:pass(5000)
    assert.same({ A, B }, nodes(A))
    assert.same({ A, B }, nodes(C))
    for id, pid in pairs(at(net, C, ds.children, NAME)) do
      local score = at(net, C, ds.call, NAME, id, { tag = "get" })
      assert.equal(id, score)
      if before[id]:node() == C then
        moved = moved + 1
        assert.not_equal(C, pid:node())
      else
        assert.equal(before[id], pid)
      end
    end
    assert.is_true(moved > 0)
    assert.equal(moved, #room.resumed)
    for _, one in ipairs(room.resumed) do assert.equal("handoff", one.how) end
    -- It is not taken for dead, nor disconnected, and may come back.
    assert.same({}, told)
    assert.same({ B, C }, at(net, A, core.nodes))
    set { A, B, C }
    net:pass(5000)
    assert.same({ A, B, C }, nodes(B))
  end)

  it("is not emptied by a source that fails or answers nobody", function()
    together({ A, B }, { timeout_ms = 100 })
    assert(start(net, A, "x"))
    for _, answer in ipairs {
      function() error "no answer" end,
      function() core.sleep "infinity" end,
      function() return "nobody" end,
      {},
      { "nobody@h:1" },
    } do
      local before = #failures(A)
      set(answer)
      net:pass(5000)
      assert.same({ A, B }, nodes(A))
      assert.same({ A, B }, nodes(B))
      assert.is_true(#failures(A) > before + 2)
    end
    local last = failures(A)[#failures(A)]
    assert.equal("no_nodes", last.reason)
    assert.equal(NAME, last.supervisor)
    assert.is_nil(last.monitor)
    assert.equal(1, #worker.started)
  end)

  it("moves to other nodes as soon as they are there", function()
    together { A, B }
    assert(start(net, A, "x"))
    set { C, D }
    net:pass(3000)
    assert.same({ A, B }, nodes(A))
    net:node(C)
    open(C)
    net:pass(10000)
    assert.same({ C }, nodes(A))
    assert.equal(C, at(net, A, ds.whereis, NAME, "x"):node())
    assert.equal(1, support.alive(net, "x"))
  end)

  it("is emptied where that is asked for", function()
    together({ A, B }, { on_error = "empty" })
    assert(start(net, A, "x"))
    set(function() error "no answer" end)
    net:pass(5000)
    assert.same({}, nodes(A))
    assert.same({ nil, "no_nodes" }, { start(net, A, "y") })
    assert.equal("no node runs children, has room for it, or may start it",
      at(net, A, ds.explain, NAME, "x").reason)
    set { A, B }
    net:pass(5000)
    assert.same({ A, B }, nodes(A))
    assert.equal(1, support.alive(net, "x"))
  end)

  it("waits in start_link until its source has answered or its time is over",
    function()
      net:node(A)
      answers[A] = function()
        core.sleep(3000)
        return { A }
      end
      at(net, A, function()
        local began = core.now()
        assert(ds.start_link { name = NAME, nodes = answers[A] })
        assert.is_true(core.now() - began >= 3000)
        assert.same({ A }, ds.nodes(NAME))
        assert(ds.start_child(NAME, worker.spec "x"))
        began = core.now()
        assert(ds.start_link { name = "other", nodes = {
          source = function() core.sleep "infinity" end, timeout_ms = 400,
        } })
        assert.is_true(core.now() - began < 1000)
        assert.same({}, ds.nodes "other")
        assert.same({ nil, "no_nodes" },
          { ds.start_child("other", worker.spec "y") })
      end)
    end)

  it("asks its source once at the start", function()
    net:node(A)
    local asked = 0
    answers[A] = function()
      asked = asked + 1
      error "no answer"
    end
    open(A)
    net:pass(REFRESH_MS / 2)
    assert.equal(1, asked)
    assert.equal(1, #failures(A))
    assert.same({}, nodes(A))
  end)

  it("waits at its start for the nodes that its source names", function()
    together { A }
    assert(start(net, A, "x"))
    set { A, B }
    net:node(B)
    net:hold(A, B, true)
    net:hold(B, A, true)
    local known
    net:find(B).core:spawn(function()
      core.trap_exit(true)
      assert(ds.start_link { name = NAME, nodes = function()
        core.sleep(1000)
        return { A, B }
      end })
      known = ds.children(NAME)
      core.receive()
    end)
    net:pass(2500)
    assert.is_nil(known)
    net:hold(A, B, false)
    net:hold(B, A, false)
    net:pass(1000)
    assert.is_truthy(known.x)
    assert.same({ A, B }, nodes(B))
  end)

  it("starts an id once, though its nodes start at the same time", function()
    set { A, B }
    for seed = 1, 30 do
      net:close()
      net = network.new { seed = seed }
      worker.started = {}
      local done = 0
      for _, name in ipairs { A, B } do
        net:node(name)
      end
      net:hold(A, B, true)
      for _, name in ipairs { A, B } do
        open(name)
        net:find(name).core:spawn(function()
          while not core.whereis(NAME) do core.sleep(1) end
          ds.start_child(NAME, worker.spec("x"))
          done = done + 1
        end)
      end
      net:pass(1000)
      net:hold(A, B, false)
      net:run(function() return done == 2 end)
      net:pass(3000)
      assert.equal(1, #worker.started)
      assert.equal(at(net, A, ds.whereis, NAME, "x"),
        at(net, B, ds.whereis, NAME, "x"))
    end
  end)

  it("goes on after a crash of its coordinator while the source fails",
    function()
      together { A, B }
      for i = 1, 10 do assert(start(net, A, i)) end
      net:pass(1000)
      local before = at(net, A, ds.children, NAME)
      set(function() error "no answer" end)
      net:on(A, function() core.whereis(NAME):exit "kill" end)
      net:pass(5000)
      assert.same({ A, B }, nodes(A))
      assert.same({ A, B }, nodes(B))
      assert.same(before, at(net, A, ds.children, NAME))
      assert.equal(10, #worker.started)
      net:kill(B)
      net:node(B)
      net:pass(40000)
      assert.same({ B }, at(net, A, core.nodes)) -- it is dialled still
    end)

  it("heeds set_hosts as well", function()
    together { A, B }
    at(net, B, banyan.set_hosts, false)
    net:pass(3000)
    assert.same({ A }, nodes(A))
    at(net, B, banyan.set_hosts, true)
    net:pass(3000)
    assert.same({ A, B }, nodes(A))
  end)

  it("believes nobody else who says that there are answers", function()
    together { A, B }
    at(net, B, function()
      core.cast({ name = NAME, node = A }, { tag = "nodes", nodes = { B } })
    end)
    net:pass(500)
    assert.same({ A, B }, nodes(A))
  end)
end)
