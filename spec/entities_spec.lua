-- Entities: any id is a child that its first message starts.

local core = require "banyan.core"
local ds = require "banyan.distributed_supervisor"
local entity = require "spec.support.entity"
local run = require "spec.support.run"
local server = require "banyan.server"
local support = require "spec.support.distributed"
local views = require "banyan.distributed_supervisor.views"

local NAME = support.NAME
local A, B, C = "a@h:1", "b@h:1", "c@h:1"
local IDLE_MS = 1000
local RESTED_MS = 1500 -- after so long one is idle

local at = support.at

-- Runs body where a supervisor of entities runs.
local function with(opts, body, events)
  return function()
    entity.reset()
    run(function()
      local settings = { name = NAME, entity = entity.option }
      for key, value in pairs(opts) do settings[key] = value end
      assert(ds.start_link(settings))
      body()
    end, { events = events })
  end
end

local function state_of(id) return ds.explain(NAME, id).state end

describe("an entity", function()
  it("is started by the first call", with({}, function()
    assert.is_nil(ds.whereis(NAME, "x"))
    assert.equal("idle", state_of "x")
    assert.same({ 1 }, { (ds.call(NAME, "x", "add")) })
    assert.equal("running", state_of "x")
    assert.equal(2, (server.call(ds.via(NAME, "x"), "add")))
    assert.equal(1, entity.starts "x")
    assert.same({ 1, 1 }, { ds.count(NAME) })
  end))

  it("is started by the first cast or message", with({}, function()
    assert.is_true(ds.cast(NAME, "a", 1))
    assert.is_true(ds.send(NAME, "b", 1))
    assert.is_true(core.send(ds.via(NAME, "c"), 1))
    assert.is_true(server.cast(ds.via(NAME, 1.0), 1))
    for _, id in ipairs { "a", "b", "c", 1 } do
      assert.equal(1, (ds.call(NAME, id, "get")))
      assert.equal(1, entity.starts(id))
    end
  end))

  it("is started by a call where lookups ask the supervisor",
    with({ cache_children = false }, function()
      assert.equal(1, (ds.call(NAME, "x", "add")))
      assert.equal(2, (ds.call(NAME, "x", "add")))
    end))

  it("is started once for many who call", with({}, function()
    entity.start_ms = 100
    local answers = 0
    for _ = 1, 50 do
      core.spawn(function()
        if ds.call(NAME, "x", "add") then answers = answers + 1 end
      end)
    end
    core.sleep(1000)
    assert.equal(50, answers)
    assert.equal(1, entity.starts "x")
    assert.same({}, views.of(NAME).held_list)
  end))

  it("may be called by the start function of another", with(
    { start_concurrency = 1 }, function()
      local ok, err = ds.start_child(NAME, {
        id = "other", start = { "spec.support.entity", "start_link",
          { "other" } },
      })
      assert.is_truthy(ok, err)
      assert.equal(1, (ds.call(NAME, "x", { "ask", "y" })))
    end))

  it("answers with the error of a start that fails", with({}, function()
    entity.fails.x = "no room for it"
    for _ = 1, 3 do
      assert.same({ nil, "no room for it" }, { ds.call(NAME, "x", "add") })
      assert.same({ nil, "no room for it" },
        { server.call(ds.via(NAME, "x"), "add", "infinity") })
    end
    entity.fails.x = "raise"
    local _, err = ds.call(NAME, "x", "add")
    assert.matches("told to raise", tostring(err))
    entity.fails.x = "ignore"
    assert.same({ nil, "ignore" }, { ds.call(NAME, "x", "add") })
    entity.fails.x = nil
    assert.equal(1, (ds.call(NAME, "x", "add")))
  end))

  it("drops messages whose start fails, and says so", function()
    local events, dropped = {}, 0
    with({}, function()
      entity.fails.x = "sorry"
      for _ = 1, 3 do ds.send(NAME, "x", 1) end
      core.sleep(1000)
      assert.same({}, views.of(NAME).held_list)
    end, events)()
    for _, event in ipairs(events) do
      if event.event == "held_dropped" then
        dropped = dropped + event.count
        assert.equal("x", event.id)
      end
    end
    assert.equal(3, dropped)
  end)

  it("is not started without pause where it ends at once", with({},
    function()
      entity.fails.x = "vanish"
      local begun, counted = core.now(), 0
      local start_link = entity.start_link
      entity.start_link = function(id)
        counted = counted + 1
        return start_link(id)
      end
      local _, err = ds.call(NAME, "x", "add", 2000)
      entity.start_link = start_link
      assert.equal("timeout", err)
      assert.equal(2000, core.now() - begun)
      assert.is_true(counted >= 2 and counted <= 25, counted)
    end))

  it("is started again after a crash, and not after it stopped", with({},
    function()
      ds.call(NAME, "x", "keep")
      ds.call(NAME, "x", "crash")
      assert.equal(1, (ds.call(NAME, "x", "get")))
      assert.equal(1, (ds.call(NAME, "x", "stop")))
      core.sleep(100)
      assert.equal(2, entity.starts "x")
      assert.equal("ended", state_of "x")
      assert.is_nil(ds.whereis(NAME, "x"))
      assert.equal(0, (ds.call(NAME, "x", "get"))) -- what it kept went with it
    end))

  it("may be terminated, and comes anew", with({ idle_ms = IDLE_MS },
    function()
      ds.call(NAME, "x", "keep")
      assert.is_true(ds.terminate_child(NAME, "x"))
      assert.same({ 0 }, { (ds.call(NAME, "x", "get")) })
      ds.call(NAME, "x", "keep")
      core.sleep(RESTED_MS)
      assert.equal("idle", state_of "x")
      assert.is_true(ds.terminate_child(NAME, "x"))
      assert.same({ 0 }, { (ds.call(NAME, "x", "get")) })
      assert.same({ nil, "not_found" }, { ds.terminate_child(NAME, "y") })
    end))

  it("may be beside children that were started by hand",
    with({ idle_ms = IDLE_MS }, function()
      local pid = assert(ds.start_child(NAME, {
        id = "mine", start = { "spec.support.entity", "start_link",
          { "named" } },
      }))
      ds.call(NAME, "x", "add")
      assert.equal(0, (ds.call(NAME, "mine", "get")))
      core.sleep(10 * IDLE_MS)
      assert.equal(pid, ds.whereis(NAME, "mine"))
      assert.is_nil(ds.whereis(NAME, "x"))
      local started = { ds.start_child(NAME, {
        id = "x", start = { "spec.support.entity", "start_link", { "x" } },
      }) }
      assert.same({ nil, "already_present" }, started)
    end))
end)

describe("an entity without messages", function()
  it("is stopped, and comes back with what it handed over",
    with({ idle_ms = IDLE_MS }, function()
      for n = 1, 3 do
        assert.equal(n, (ds.call(NAME, "x", "add")))
        core.sleep(IDLE_MS / 2)
        assert.is_truthy(ds.whereis(NAME, "x"))
      end
      core.sleep(RESTED_MS)
      assert.is_nil(ds.whereis(NAME, "x"))
      assert.same({}, ds.children(NAME))
      assert.same({}, ds.local_children(NAME))
      assert.same({ 0, 0 }, { ds.count(NAME) })
      assert.equal(1, ds.status(NAME).idle)
      local child = ds.explain(NAME, "x")
      assert.equal("idle", child.state)
      assert.matches("next message", child.reason)
      assert.same({ 3, "checkpoint" }, { ds.call(NAME, "x", "get") })
      assert.equal(0, ds.status(NAME).idle)
    end))

  it("is forgotten where it has kept nothing", with({ idle_ms = IDLE_MS },
    function()
      ds.call(NAME, "fleeting", "add")
      core.sleep(RESTED_MS)
      assert.equal("idle", state_of "fleeting")
      assert.equal(0, ds.status(NAME).idle)
      core.sleep(90000) -- a clock that begins with 0 knows no earlier time
      assert.equal("idle", state_of "fleeting")
      assert.equal("unknown", views.of(NAME).dist:state("fleeting"))
      assert.same({ 0 }, { ds.call(NAME, "fleeting", "get") })
    end))

  it("keeps the last checkpoint where it hands over nothing", function()
    local events, failed = {}, {}
    with({ idle_ms = IDLE_MS }, function()
      for _, id in ipairs { "fleeting", "bad" } do
        ds.call(NAME, id, "keep")
        ds.call(NAME, id, "add")
      end
      core.sleep(RESTED_MS)
      assert.same({ 1, "checkpoint" }, { ds.call(NAME, "fleeting", "get") })
      assert.same({ 2 }, { (ds.call(NAME, "bad", "get")) }) -- it goes on
      assert.equal(1, entity.starts "bad")
    end, events)()
    for _, event in ipairs(events) do
      if event.event == "handoff_failed" then
        failed[event.id] = failed[event.id] or event.why
      end
    end
    assert.same({ bad = "idle" }, failed)
  end)

  it("is not one that works", with({ idle_ms = IDLE_MS }, function()
    assert.equal(0, (ds.call(NAME, "x", { "sleep", 5 * IDLE_MS }, 60000)))
    assert.equal(1, entity.starts "x")
    assert.is_truthy(ds.whereis(NAME, "x"))
  end))

  it("is not one that casts and messages come to", with({ idle_ms = IDLE_MS },
    function()
      for _ = 1, 20 do
        ds.cast(NAME, "x", 1)
        ds.send(NAME, "y", 1)
        core.sleep(IDLE_MS / 2)
      end
      assert.equal(1, entity.starts "x")
      assert.equal(1, entity.starts "y")
    end))

  it("is told of as one that comes back", function()
    local heard = {}
    local listener = {
      on_process_stop = function(_, id, _, reason, final)
        heard[#heard + 1] = { id, tostring(reason), final }
      end,
    }
    with({ idle_ms = IDLE_MS, listeners = { listener } }, function()
      ds.call(NAME, "x", "add")
      core.sleep(RESTED_MS)
      ds.call(NAME, "fleeting", "add")
      core.sleep(RESTED_MS)
      assert.same({ { "x", "shutdown: idle", false },
        { "fleeting", "shutdown: idle", false } }, heard)
    end)()
  end)

  it("waits, failing, where it cannot resume", with({ idle_ms = IDLE_MS,
    max_restarts = 0, backoff = { min = 1000, max = 1000, jitter = 0 } },
    function()
      ds.call(NAME, "x", "add")
      core.sleep(RESTED_MS)
      entity.fails.x = "resume"
      assert.same({ nil, "timeout" }, { ds.call(NAME, "x", "get") })
      assert.equal("failing", state_of "x")
      assert.is_true(entity.starts "x" < 10)
      entity.fails.x = nil
      assert.same({ 1, "checkpoint" }, { ds.call(NAME, "x", "get") })
    end))

  it("is stopped also by a coordinator that crashed", with(
    { idle_ms = IDLE_MS, max_restarts = 9 }, function()
      ds.call(NAME, "x", "add")
      core.whereis(NAME):exit("kill")
      core.sleep(100)
      assert.equal(1, (ds.call(NAME, "x", "get")))
      core.whereis(NAME):exit("kill")
      assert.equal(1, (ds.call(NAME, "new", "add")))
      core.sleep(2 * RESTED_MS)
      assert.equal("idle", state_of "x")
      assert.same({ 1, "checkpoint" }, { ds.call(NAME, "x", "get") })
    end))
end)

describe("the options of entities", function()
  local function message(opts)
    local _, err = pcall(function()
      return (ds.start_link(opts))
    end)
    return err
  end

  it("are checked", with({}, function()
    for text, opts in pairs {
      ['option "entity": module \'no.such\' not found'] =
        { name = "x", entity = { "no.such", "start_link" } },
      ['option "entity": module "spec.support.entity" has no function "go"'] =
        { name = "x", entity = { "spec.support.entity", "go" } },
      ['option "entity" must be {"module", "fn"}'] =
        { name = "x", entity = "spec.support.entity" },
      ['option "idle_ms" must be a positive integer'] =
        { name = "x", entity = entity.option, idle_ms = 0 },
      ['option "idle_ms" is of entities'] = { name = "x", idle_ms = 5 },
    } do
      local found = message(opts)
      assert.is_truthy(found:find(text, 1, true), found)
      assert.matches("entities_spec.lua:%d+:", found)
    end
  end))

  it("allow the function that they name", with(
    { entity = { "spec.support.entity", "begin" } }, function()
      assert.equal(1, (ds.call(NAME, "x", "add")))
    end))
end)

describe("entities of several nodes", function()
  local OPTS = { start = { entity = entity.option, idle_ms = IDLE_MS } }

  local function cluster(opts)
    entity.reset()
    return support.cluster({ A, B, C }, opts or OPTS)
  end

  local function add(net, node, id)
    return at(net, node, ds.call, NAME, id, "add")
  end

  it("run where the ring says, whoever calls", function()
    local net = cluster()
    for i = 1, 12 do
      local n, _, node = add(net, ({ A, B, C })[i % 3 + 1], i)
      assert.equal(1, n)
      assert.equal(at(net, A, ds.node_for, NAME, i), node)
    end
    net:pass(RESTED_MS)
    assert.same({ 0, 0 }, { at(net, A, ds.count, NAME) })
    assert.equal(12, at(net, B, ds.status, NAME).idle)
    for i = 1, 12 do
      local n, how = add(net, ({ A, B, C })[(i + 1) % 3 + 1], i)
      assert.same({ 2, "checkpoint" }, { n, how })
    end
    assert.equal(24, #entity.started)
    assert.is_nil(support.crashes(net))
    net:close()
  end)

  it("start once where nodes call at the same time", function()
    for seed = 1, 10 do
      local net = cluster { seed = seed, start = OPTS.start }
      for round = 1, 2 do
        local answers = 0
        for _, node in ipairs { A, B, C } do
          for id = 1, 5 do
            net:find(node).core:spawn(function()
              local n = ds.call(NAME, id, "add")
              if n then answers = answers + 1 end
            end)
          end
        end
        net:pass(500)
        assert.equal(15, answers)
        assert.equal(5 * round, #entity.started)
        net:pass(2 * RESTED_MS)
      end
      for id = 1, 5 do assert.equal(7, (add(net, A, id))) end
      net:close()
    end
  end)

  it("come back with their state where their node was lost", function()
    local net = cluster()
    local id = support.id_for(net, B)
    add(net, A, id)
    net:pass(RESTED_MS)
    net:kill(B)
    net:pass(10000)
    local n, how, node = add(net, A, id)
    assert.same({ 2, "checkpoint" }, { n, how })
    assert.not_equal(B, node)
    net:close()
  end)

  it("come back where all nodes were restarted one after the other",
    function()
      local net = cluster()
      for id = 1, 8 do add(net, A, id) end
      net:pass(RESTED_MS)
      for _, node in ipairs { A, B, C } do
        at(net, node, function()
          core.whereis("keeper"):send "end"
        end)
        net:pass(6000)
        net:kill(node)
        net:pass(6000)
        net:node(node)
        for _, other in ipairs { A, B, C } do
          if other ~= node then support.join(net, node, { other }) end
        end
        support.open(net, node, OPTS.start)
        net:pass(6000)
      end
      for id = 1, 8 do
        local n, how = add(net, B, id)
        assert.same({ 2, "checkpoint" }, { n, how })
      end
      net:close()
    end)
end)
