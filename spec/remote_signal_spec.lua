-- Links, monitors and exit signals across nodes, and their order.

local core = require "banyan.core"
local remote = require "spec.support.remote"

local A, B, SEEDS = remote.A, remote.B, remote.SEEDS
local spawn_on = remote.spawn_on
local obey = remote.obey
local servant = remote.servant
local traceless = remote.traceless
local drain = remote.drain
local only = remote.only
local info = remote.info

local net
local function nodes(...) net = remote.nodes(...) end

after_each(remote.close)

describe("across nodes", function()
  before_each(function() nodes { A, B } end)

  -- [exit reason of the other process] = reason of the EXIT message
  local ENDS = {
    { "normal" }, { "shutdown" }, { "kill" }, { "other" },
    { { "shutdown", 7 } }, { { "made", { up = { 1 } } } },
  }

  for _, case in ipairs(ENDS) do
    local reason = case[1]
    local shown = traceless(reason)

    it(("a link passes on the exit reason %q"):format(shown), function()
      local pid, idle = servant(B), nil
      net:on(A, function()
        idle = core.spawn(function()
          core.link(pid)
          core.receive()
        end)
        core.trap_exit(true)
        core.link(pid)
        local ref = core.monitor(pid)
        core.sleep(10)
        core.send(pid, { exit = reason })
        local all = drain()
        assert.equal(2, #all)
        for _, msg in ipairs(all) do
          assert.same(core.reason(reason), msg.reason)
          if msg.tag == "EXIT" then
            assert.equal(pid, msg.from)
          else
            assert.equal(ref, msg.ref)
            assert.equal(pid, msg.pid)
          end
        end
        assert.equal(shown == "normal", core.is_alive(idle))
      end)
    end)

    it(("an exit signal %q has the same effect as on one node"):format(shown),
      function()
        local plain = servant(B)
        local got
        local traps = spawn_on(B, function()
          core.trap_exit(true)
          got = core.receive()
          core.receive()
        end)
        net:settle()
        net:on(A, function()
          local mine = { core.monitor(plain), core.monitor(traps) }
          plain:exit(reason)
          traps:exit(reason)
          local all = drain()
          if shown == "normal" then
            assert.equal(0, #all)
          elseif shown == "kill" then
            assert.equal(2, #all)
            assert.equal("killed", all[1].reason)
            assert.equal("killed", all[2].reason)
          else
            assert.equal(1, #all)
            assert.equal(mine[1], all[1].ref)
            assert.same(core.reason(reason), all[1].reason)
          end
          if shown ~= "kill" then
            assert.same(core.reason(reason), got.reason)
            assert.equal(core.self(), got.from)
          end
        end)
      end)
  end

  it("a Lua error arrives with its traceback", function()
    local pid = spawn_on(B, function()
      core.receive()
      error("boom")
    end)
    net:on(A, function()
      core.monitor(pid)
      core.send(pid, 1)
      local reason = only().reason
      assert.equal("error", reason[1])
      assert.truthy(reason[2]:find("boom", 1, true))
      assert.truthy(reason[3]:find("traceback", 1, true))
    end)
  end)

  it("a reason that cannot be sent arrives as text", function()
    local one = spawn_on(B, function()
      core.receive()
      core.exit(print)
    end)
    local two = spawn_on(B, function()
      core.receive()
      core.exit(("x"):rep(100000))
    end)
    net:on(A, function()
      core.monitor(one)
      core.send(one, 1)
      assert.truthy(only().reason:find("^function"))
      core.monitor(two)
      core.send(two, 1)
      assert.equal("reason_too_large", only().reason)
    end)
  end)

  it("a link and a monitor of a dead process get noproc, once", function()
    local dead = spawn_on(B, function() end)
    net:settle()
    net:on(A, function()
      core.trap_exit(true)
      core.link(dead)
      local exit = only()
      assert.same({ tag = "EXIT", from = dead, reason = "noproc" }, exit)
      local ref = core.monitor(dead)
      assert.same({ tag = "DOWN", ref = ref, pid = dead, reason = "noproc" },
        only())
      local name = { name = "no", node = B }
      ref = core.monitor(name)
      assert.same({ tag = "DOWN", ref = ref, pid = name, reason = "noproc" },
        only())
      assert.is_true(dead:exit("x"))
      assert.is_true(dead:send("x"))
      assert.is_true(core.unlink(dead))
      assert.same({}, drain())
    end)
  end)

  it("a link to a dead process ends one that does not trap exits", function()
    local dead = spawn_on(B, function() end)
    net:settle()
    net:on(A, function()
      local _, ref = core.spawn_monitor(function()
        core.link(dead)
        core.receive()
      end)
      local msg = only()
      assert.equal(ref, msg.ref)
      assert.equal("noproc", msg.reason)
    end)
  end)

  it("unlink and demonitor take effect on the other node", function()
    local pid = servant(B)
    net:on(A, function()
      core.trap_exit(true)
      core.link(pid)
      local ref = core.monitor(pid)
      core.unlink(pid)
      core.demonitor(ref)
      core.sleep(10)
      core.send(pid, { exit = "x" })
      assert.same({}, drain())
    end)
  end)

  it("unlink and demonitor after the end leave nothing behind", function()
    for seed = 1, SEEDS do
      nodes({ A, B }, nil, seed)
      local pid = spawn_on(B, function()
        core.receive()
        core.exit("x")
      end)
      net:on(A, function()
        core.trap_exit(true)
        core.link(pid)
        local ref = core.monitor(pid)
        core.send(pid, 1)
        for _ = 1, seed % 4 do core.sleep(0) end
        core.unlink(pid)
        core.demonitor(ref, { flush = true })
        local seen = {}
        for _, msg in ipairs(drain()) do
          assert.equal("EXIT", msg.tag)
          seen[#seen + 1] = msg
        end
        assert.is_true(#seen <= 1)
      end)
      net:close()
    end
  end)

  it("linking twice makes one link, also from both ends", function()
    local pid = spawn_on(B, function()
      core.trap_exit(true)
      local who = core.receive()
      core.link(who)
      core.link(who)
      core.send(who, "linked")
      local got = core.receive()
      core.send(core.receive(), got)
    end)
    local mine
    net:on(A, function()
      local me = core.self()
      mine = core.spawn(function()
        core.link(pid)
        core.link(pid)
        core.send(pid, core.self())
        core.receive()
        core.send(me, "ready")
        core.receive()
      end)
      core.receive()
      assert.same({ pid }, core.process_info(mine).links)
      mine:exit("enough")
      core.sleep(10)
      core.send(pid, me)
      assert.same({ tag = "EXIT", from = mine, reason = "enough" }, only())
    end)
  end)

  it("the DOWN of a monitored name has the name", function()
    local pid = servant(B, "named")
    net:on(A, function()
      local name = { name = "named", node = B }
      local ref = core.monitor(name)
      core.call(pid, "there?")
      core.send(pid, { exit = "x" })
      assert.same({ tag = "DOWN", ref = ref, pid = name, reason = "x" }, only())
    end)
  end)

  it("process_info shows remote links and monitors", function()
    local pid = servant(B)
    local mine = spawn_on(A, obey)
    local a_info, b_info
    net:settle()
    net:on(A, function()
      core.send(mine, { run = function()
        core.link(pid)
        core.monitor(pid)
        core.monitor { name = "no", node = B }
      end })
      core.sleep(1)
      a_info = core.process_info(mine)
    end)
    net:settle()
    b_info = info(B, pid)
    assert.same({ pid }, a_info.links)
    assert.same({ pid }, a_info.monitors)
    assert.same({ mine }, b_info.links)
    assert.equal(1, #b_info.monitored_by)
  end)
end)

describe("links made and removed from both ends at the same time", function()
  -- One of the two processes, which links and unlinks at random.
  local function actor(where, draw)
    local it = { exits = 0 }
    it.pid = spawn_on(where, function()
      core.trap_exit(true)
      while true do
        local msg = core.receive()
        if msg.tag == "EXIT" then
          it.exits, it.why = it.exits + 1, msg.reason
        elseif msg.exit then
          core.exit(msg.exit)
        else
          for _ = 1, msg.acts do
            local act = draw(2) == 1 and core.link or core.unlink
            act(msg.whom)
            if draw(3) == 1 then core.sleep(0) end
          end
        end
      end
    end)
    return it
  end

  it("exist in the end at both ends or at neither", function()
    for seed = 1, SEEDS * 5 do
      nodes({ A, B }, nil, seed)
      local function draw(n) return net:random(n) end
      local a, b = actor(A, draw), actor(B, draw)
      remote.node(A):send(a.pid, { acts = 6, whom = b.pid })
      remote.node(B):send(b.pid, { acts = 6, whom = a.pid })
      net:settle()
      local linked = info(A, a.pid).links[1] == b.pid
      assert.same(linked and { a.pid } or {}, info(B, b.pid).links)
      assert.equal(0, a.exits + b.exits)
      remote.node(B):send(b.pid, { exit = "over" })
      net:settle()
      assert.equal(linked and 1 or 0, a.exits)
      assert.equal(linked and "over" or nil, a.why)
      assert.same({}, info(A, a.pid).links)
      net:close()
    end
  end)

  it("send no EXIT of an end before an unlink", function()
    nodes { A, B }
    local pid = servant(B)
    net:on(A, function()
      local me = core.self()
      core.trap_exit(true)
      core.link(pid)
      core.sleep(10)
      net:hold(B, A, true)
      remote.node(B):send(pid, { exit = "old" })
      core.sleep(1)
      core.unlink(pid)
      core.link(pid)
      net:hold(B, A, false)
      assert.same({ tag = "EXIT", from = pid, reason = "noproc" }, only())
      assert.same({}, core.process_info(me).links)
    end)
  end)
end)

describe("signals between two processes", function()
  it("keep their order", function()
    for seed = 1, SEEDS do
      nodes({ A, B }, nil, seed)
      local seen = {}
      local catcher = spawn_on(B, function()
        core.trap_exit(true)
        while true do
          local msg = core.receive()
          seen[#seen + 1] = type(msg) == "table" and traceless(msg.reason)
            or msg
        end
      end)
      net:settle()
      net:on(A, function()
        local pid = core.spawn(function()
          core.link(catcher)
          for i = 1, 20 do core.send(catcher, i) end
          core.send(catcher, ("z"):rep(200000))
          catcher:exit("poke")
          core.send(catcher, 21)
          core.exit("bye")
        end)
        local ref = core.monitor(pid)
        repeat local msg = core.receive() until msg.ref == ref
      end)
      net:settle()
      for i = 1, 20 do assert.equal(i, seen[i]) end
      assert.equal(200000, #seen[21])
      assert.same({ "poke", 21, "bye" }, { seen[22], seen[23], seen[24] })
      assert.is_nil(seen[25])
      net:close()
    end
  end)

  it("come after the last message of the process that ended", function()
    for seed = 1, SEEDS do
      nodes({ A, B }, nil, seed)
      local pid = spawn_on(B, function()
        local who = core.receive()
        core.send(who, "last words")
        core.exit("gone")
      end)
      net:on(A, function()
        core.trap_exit(true)
        core.monitor(pid)
        core.link(pid)
        core.send(pid, core.self())
        assert.equal("last words", core.receive(1000))
        local tags = { core.receive(1000).tag, core.receive(1000).tag }
        table.sort(tags)
        assert.same({ "DOWN", "EXIT" }, tags)
      end)
      net:close()
    end
  end)
end)
