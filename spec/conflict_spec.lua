-- Two copies of a child that meet: which one stays, and what it hears of the
-- other. On nodes of one Lua state.

local core = require "banyan.core"
local ds = require "banyan.distributed_supervisor"
local support = require "spec.support.distributed"
local room = require "spec.support.room"
local run = require "spec.support.run"
local server = require "banyan.server"

local A, B = "a@h:1", "b@h:1"
local NAME = support.NAME
local at, id_for = support.at, support.id_for

local function cluster(start)
  room.resumed, room.resolved, room.ended = {}, {}, {}
  return support.cluster({ A, B }, { start = start })
end

local function ask(net, node, id, msg)
  return at(net, node, ds.call, NAME, id, msg)
end

local function hold(net, on)
  net:hold(A, B, on)
  net:hold(B, A, on)
end

-- Whether the child runs on a node, as that node knows.
local function runs_on(net, node, id)
  local pid = at(net, node, ds.whereis, NAME, id)
  return pid ~= nil and pid:node() == node
end

local function events_of(net, name)
  local list = {}
  for _, event in ipairs(net.events) do
    if event.event == name then list[#list + 1] = event end
  end
  return list
end

-- A child that began on B and got a copy on A; that of B has 2 more than they
-- had together, the other 5. They have not met yet.
local function divided(start, arg)
  local net = cluster(start)
  local id = id_for(net, B)
  assert(at(net, A, ds.start_child, NAME, room.spec(id, arg)))
  ask(net, A, id, { tag = "add", n = 10 })
  hold(net, true)
  net:run(function() return runs_on(net, A, id) end)
  net:pass(1000)
  assert.is_true(runs_on(net, B, id))
  ask(net, A, id, { tag = "forget", n = 5 })
  ask(net, B, id, { tag = "forget", n = 2 })
  return net, id
end

local function meet(net)
  hold(net, false)
  net:pass(30000)
end

-- The same, after they have met: there is one, on B.
local function met(start, arg)
  local net, id = divided(start, arg)
  meet(net)
  for _, node in ipairs { A, B } do
    assert.equal(B, at(net, node, ds.whereis, NAME, id):node())
  end
  return net, id
end

describe("of two copies of a child the one that stays", function()
  it("hears once what the handoff of the other returned", function()
    local net, id = met()
    assert.same({
      { id = id, mine = 12, theirs = 15, reason = "conflict", node = B },
    }, room.resolved)
    assert.equal(27, (ask(net, A, id, { tag = "get" })))
    assert.is_nil(support.crashes(net))
    assert.same({}, events_of(net, "handoff_failed"))
    net:close()
  end)

  it("is named in the exit reason of the other", function()
    local net, id = met()
    local stays = at(net, A, ds.whereis, NAME, id)
    assert.equal(1, #room.ended)
    local reason = room.ended[1].reason
    assert.equal("shutdown", reason[1])
    assert.equal("conflict", reason[2][1])
    assert.equal(stays, reason[2][2])
    net:close()
  end)

  for act, reason in pairs {
    raise = "cannot hand over", hang = "timeout",
    large = "checkpoint_too_large",
  } do
    it("hears nothing when handoff fails (" .. act .. ")", function()
      local net, id = met({ handoff_ms = 500, max_checkpoint = 1000 },
        { handoff = act })
      assert.same({}, room.resolved)
      assert.equal(12, (ask(net, A, id, { tag = "get" })))
      local failed = events_of(net, "handoff_failed")
      assert.equal(1, #failed)
      assert.equal(id, failed[1].id)
      assert.equal("conflict", failed[1].why)
      assert.matches(reason, tostring(failed[1].reason))
      net:close()
    end)
  end

  it("hears nothing when handoff returns nothing", function()
    local net, id = met(nil, { handoff = "nothing" })
    assert.same({}, room.resolved)
    assert.equal(12, (ask(net, A, id, { tag = "get" })))
    assert.same({}, events_of(net, "handoff_failed"))
    assert.is_nil(support.crashes(net))
    net:close()
  end)

  it("crashes when resolve_conflict raises, and is started again", function()
    local net, id = met(nil, { resolve = "raise" })
    assert.equal(1, #room.resolved)
    assert.matches("cannot resolve", support.crashes(net))
    local score, how, node = ask(net, A, id, { tag = "get" })
    assert.same({ 10, "checkpoint", B }, { score, how, node })
    net:close()
  end)

  it("carries on the longer history, where its process is younger", function()
    local net, id = divided()
    local copy = at(net, A, ds.whereis, NAME, id)
    ask(net, B, id, { crash = true })
    net:pass(1000)
    assert.is_true(runs_on(net, B, id))
    assert.equal(10, (ask(net, B, id, { tag = "get" })))
    meet(net)
    -- The copy carries on the same history, and is older now.
    assert.equal(copy, at(net, B, ds.whereis, NAME, id))
    net:close()

    net = cluster()
    id = id_for(net, B)
    assert(at(net, A, ds.start_child, NAME, room.spec(id)))
    hold(net, true)
    net:run(function() return runs_on(net, A, id) end)
    ask(net, B, id, { tag = "add", n = 3, opts = { async = true } })
    ask(net, B, id, { crash = true })
    net:pass(1000)
    meet(net)
    -- Here it began anew.
    local score, how, node = ask(net, A, id, { tag = "get" })
    assert.same({ 3, "checkpoint", B }, { score, how, node })
    net:close()
  end)

  it("may be a server that has no resolve_conflict", function()
    local resolve = room.resolve_conflict
    room.resolve_conflict = nil
    local net, id = met()
    room.resolve_conflict = resolve
    assert.equal(12, (ask(net, A, id, { tag = "get" })))
    assert.is_nil(support.crashes(net))
    net:close()
  end)
end)

describe("resolve_conflict", function()
  it("is a callback like any other", function()
    run(function()
      local M = {}
      function M:handle_call() return self.got end
      function M:resolve_conflict(state)
        core.sleep(10)
        self.got = state.x
        if state.stop then return server.stop_with "normal" end
      end
      local pid = assert(server.start(M))
      local msg = { "$system", "resolve_conflict", { x = 1 } }
      assert.is_true(server.call(pid, msg))
      assert.equal(1, server.call(pid))
      local watch = core.monitor(pid)
      msg[3].stop = true
      assert.is_true(server.call(pid, msg))
      local down = core.receive()
      assert.equal(watch, down.ref)
      assert.equal("normal", down.reason)
    end)
  end)

  it("is not called where the module has none", function()
    run(function()
      local pid = assert(server.start { handle_call = function() return 5 end })
      assert.is_false(server.call(pid, { "$system", "resolve_conflict", 1 }))
      assert.equal(5, server.call(pid))
    end)
  end)
end)
