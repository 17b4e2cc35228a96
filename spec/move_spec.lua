-- Moving children, on nodes of one Lua state.

local core = require "banyan.core"
local distributed = require "spec.support.distributed"
local ds = require "banyan.distributed_supervisor"
local hosts = require "banyan.hosts"
local room = require "spec.support.room"

local NAME, at = distributed.NAME, distributed.at
local A, B, C = "a@h:1", "b@h:2", "c@h:3"

local function cluster(start)
  room.resumed, room.ended = {}, {}
  return distributed.cluster({ A, B, C }, { start = start })
end

local function start(net, id, arg, node)
  local pid = assert(at(net, A, ds.start_child, NAME, room.spec(id, arg), node))
  net:settle()
  return pid
end

local function where(net, id)
  local pid = at(net, A, ds.whereis, NAME, id)
  return pid and pid:node()
end

describe("move_child", function()
  it("moves a child with its state", function()
    local net = cluster()
    start(net, "lobby", nil, A)
    at(net, A, ds.call, NAME, "lobby", { tag = "forget", n = 7 })
    local pid = assert(at(net, C, ds.move_child, NAME, "lobby", B))
    assert.equal(B, pid:node())
    net:settle()
    assert.equal(pid, at(net, A, ds.whereis, NAME, "lobby"))
    local score, how, node = at(net, C, ds.call, NAME, "lobby", { tag = "get" })
    assert.same({ 7, "handoff", B }, { score, how, node })
    assert.same({ { id = "lobby", reason = "shutdown" } }, room.ended)
    net:close()
  end)

  it("leaves it where it is if its handoff raises", function()
    local net = cluster()
    local pid = start(net, "lobby", { handoff = "raise" }, A)
    local moved, err = at(net, C, ds.move_child, NAME, "lobby", B)
    assert.is_nil(moved)
    assert.equal("handoff_failed", err[1])
    assert.matches("cannot hand over", tostring(err[2]))
    net:settle()
    assert.equal(pid, at(net, B, ds.whereis, NAME, "lobby"))
    assert.equal(0, (at(net, B, ds.call, NAME, "lobby", { tag = "get" })))
    net:close()
  end)

  it("leaves it where it is if what it hands over cannot be kept", function()
    local codes = { large = "checkpoint_too_large", hang = "timeout" }
    for act, code in pairs(codes) do
      local net = cluster { max_checkpoint = 1000, handoff_ms = 500 }
      local pid = start(net, "lobby", { handoff = act }, A)
      local moved, err = at(net, C, ds.move_child, NAME, "lobby", B)
      assert.is_nil(moved)
      assert.equal("handoff_failed", err[1])
      local reason = err[2]
      assert.equal(code, type(reason) == "table" and reason[1] or reason)
      net:settle()
      assert.equal(pid, at(net, B, ds.whereis, NAME, "lobby"))
      net:close()
    end
  end)

  it("moves one that hands nothing over with its last checkpoint", function()
    local net = cluster()
    start(net, "lobby", { handoff = "nothing" }, A)
    at(net, A, ds.call, NAME, "lobby", { tag = "add", n = 4 })
    at(net, A, ds.call, NAME, "lobby", { tag = "forget", n = 3 })
    assert(at(net, C, ds.move_child, NAME, "lobby", B))
    local score, how = at(net, C, ds.call, NAME, "lobby", { tag = "get" })
    assert.same({ 4, "checkpoint" }, { score, how })
    net:close()
  end)

  it("answers why it cannot be", function()
    local net = cluster { max_children = 1 }
    start(net, "lobby", nil, A)
    start(net, "cellar", nil, B)
    local function why(...)
      local pid, err = at(net, C, ds.move_child, NAME, ...)
      assert.is_nil(pid)
      return type(err) == "table" and { err[1], err[2], err[3] } or err
    end
    assert.equal("noproc", why "attic")
    assert.equal("noconnection", why("lobby", "x@h:9"))
    assert.same({ "no_room", "max_children", B }, why("lobby", B))
    net:on(C, function() hosts.set(false) end)
    net:settle()
    assert.equal("not_a_member", why("lobby", C))
    assert.same({ A, B }, { where(net, "lobby"), where(net, "cellar") })
    assert.equal("not_started",
      select(2, at(net, C, ds.move_child, "nobody", "lobby")))
    net:close()
  end)

  it("is misuse where an argument has the wrong type", function()
    for _, case in ipairs {
      { ds.move_child, { 5, "lobby" }, "move_child: name must be a" },
      { ds.move_child, { NAME, {} }, "move_child: id must be" },
      { ds.move_child, { NAME, "lobby", 5 }, "move_child: node must be a" },
      { ds.drain, { NAME, 5 }, "drain: node must be a string" },
      { ds.drain, { NAME, A, "soon" }, "drain: timeout must be" },
      { ds.undrain, { NAME, 5 }, "undrain: node must be a string" },
      { ds.rebalance, { {} }, "rebalance: name must be a" },
    } do
      local ok, err = pcall(case[1], case[2][1], case[2][2], case[2][3])
      assert.is_false(ok)
      assert.matches(case[3], err)
    end
  end)

  it("keeps it there by name while nodes rebalance", function()
    local net = cluster { rebalance = "active" }
    local id = distributed.id_for(net, B)
    start(net, id)
    local pid = assert(at(net, A, ds.move_child, NAME, id, C))
    net:pass(10000)
    assert.equal(pid, at(net, A, ds.whereis, NAME, id))
    assert.matches("moved to this node by name",
      at(net, A, ds.explain, NAME, id).reason)
    assert.equal(B, assert(at(net, A, ds.move_child, NAME, id)):node())
    net:close()
  end)

  it("is followed by what was sent before and meanwhile, in order", function()
    local net = cluster()
    start(net, "lobby", { handoff = "slow", handoff_ms = 300 }, A)
    net:on(C, function()
      core.spawn(function() ds.move_child(NAME, "lobby", B) end)
      for n = 1, 50 do
        ds.send(NAME, "lobby", { tag = "note", n = n })
        core.sleep(20)
      end
    end)
    net:settle()
    assert.equal(B, where(net, "lobby"))
    local notes = at(net, C, ds.call, NAME, "lobby", { tag = "notes" })
    local expected = {}
    for n = 1, 50 do expected[n] = n end
    assert.same(expected, notes)
    net:close()
  end)

  it("ends monitors of the old process, and answers its pid noproc", function()
    local net = cluster()
    local old = start(net, "lobby", nil, A)
    local reason, err = at(net, C, function()
      core.monitor(old)
      ds.move_child(NAME, "lobby", B)
      return core.receive().reason,
        select(2, core.call(old, { tag = "get" }))
    end)
    assert.same({ "shutdown", "noproc" }, { reason, err })
    net:close()
  end)
end)

describe("drain", function()
  it("moves all children of a node", function()
    local net = cluster()
    for i = 1, 30 do start(net, i) end
    local here = at(net, B, ds.count, NAME)
    assert.is_true(here > 0)
    assert.equal(here, (at(net, A, ds.drain, NAME, B)))
    net:settle()
    assert.equal(0, (at(net, B, ds.count, NAME)))
    assert.same({ A, C }, at(net, B, ds.nodes, NAME))
    local _, err = at(net, A, ds.start_child, NAME, room.spec "new", B)
    assert.equal("not_a_member", err)
    assert.is_true(at(net, A, ds.undrain, NAME, B))
    net:settle()
    assert.equal(here, (at(net, A, ds.rebalance, NAME)))
    net:settle()
    assert.equal(here, (at(net, B, ds.count, NAME)))
    for i = 1, 30 do
      assert.equal(at(net, A, ds.node_for, NAME, i), where(net, i))
    end
    net:close()
  end)

  it("stops a child whose handoff fails, with its last checkpoint", function()
    local net = cluster()
    start(net, "lobby", { handoff = "raise" }, A)
    at(net, A, ds.call, NAME, "lobby", { tag = "add", n = 4 })
    at(net, A, ds.call, NAME, "lobby", { tag = "forget", n = 3 })
    assert.equal(1, (at(net, B, ds.drain, NAME, A)))
    local score, how = at(net, C, ds.call, NAME, "lobby", { tag = "get" })
    assert.same({ 4, "checkpoint" }, { score, how })
    net:close()
  end)

  it("leaves what cannot be moved in time", function()
    local net = distributed.cluster({ A }, {})
    start(net, "lobby")
    at(net, A, ds.call, NAME, "lobby", { tag = "forget", n = 3 })
    local moved, err = at(net, A, ds.drain, NAME, nil, 1000)
    assert.is_nil(moved)
    assert.same({ "timeout", 1 }, { err[1], err[2] })
    assert.equal(3, (at(net, A, ds.call, NAME, "lobby", { tag = "get" })))
    local _, none = at(net, A, ds.start_child, NAME, room.spec "cellar")
    assert.equal("no_nodes", none)
    assert.is_true(at(net, A, ds.undrain, NAME))
    assert(at(net, A, ds.start_child, NAME, room.spec "cellar"))
    net:close()
  end)

  it("answers undrained where that comes first", function()
    local net = distributed.cluster({ A }, {})
    start(net, "lobby")
    local answer
    net:on(A, function()
      core.spawn(function() answer = { ds.drain(NAME) } end)
      core.sleep(100)
      ds.undrain(NAME)
    end)
    net:settle()
    assert.equal("undrained", answer[2])
    net:close()
  end)

  it("is what set_hosts(false) does", function()
    local net = cluster()
    start(net, "lobby", nil, A)
    at(net, A, ds.call, NAME, "lobby", { tag = "forget", n = 3 })
    net:on(A, function() hosts.set(false) end)
    net:settle()
    local score, how, node = at(net, A, ds.call, NAME, "lobby",
      { tag = "get" })
    assert.same({ 3, "handoff" }, { score, how })
    assert.not_equal(A, node)
    net:close()
  end)
end)

describe("rebalance = active", function()
  it("moves to a node that joins what the ring names it for", function()
    room.ended = {}
    local net = distributed.cluster({ A, B },
      { start = { rebalance = { mode = "active", per_second = 5 } } })
    for i = 1, 60 do
      assert(at(net, A, ds.start_child, NAME, room.spec(i)))
      at(net, A, ds.call, NAME, i, { tag = "forget", n = i })
    end
    net:node(C)
    distributed.join(net, C, { A, B })
    distributed.open(net, C, { rebalance = "active" })
    net:settle()
    net:pass(30000)
    local moved = 0
    for i = 1, 60 do
      local owner = at(net, A, ds.node_for, NAME, i)
      assert.equal(owner, where(net, i))
      assert.equal(i, (at(net, A, ds.call, NAME, i, { tag = "get" })))
      if owner == C then moved = moved + 1 end
    end
    assert.is_true(moved > 0)
    assert.equal(moved, #room.ended)
    net:close()
  end)
end)
