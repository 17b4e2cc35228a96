-- What a process can do with one on another node: as much as on its own.

local core = require "banyan.core"
local network = require "spec.support.network"

local A, B, C = "a@h:1", "b@h:1", "c@h:1"
local SEEDS = 60 -- interleavings of what depends on them

-- --- helpers -----------------------------------------------------------------

local net

--- Nodes of those names; the first is connected to the others.
local function nodes(names, opts, seed)
  net = network.new { seed = seed or 1 }
  for _, name in ipairs(names) do net:node(name, opts) end
  net:on(names[1], function()
    for i = 2, #names do assert(core.connect(names[i])) end
  end)
  return net
end

local function node(name) return (net:find(name).core) end

--- Starts `body` on a node, outside of any process of the spec.
local function spawn_on(name, body, ...) return node(name):spawn(body, ...) end

-- A registered process that does as it is told.
local function obey()
  while true do
    local msg = core.receive()
    if msg.tag == "$call" then
      local ask = msg.msg
      if ask == "die" then core.exit("died") end
      if ask ~= "silence" then core.reply(msg.from, ask, core.self()) end
    elseif msg.run then
      msg.run()
    elseif msg.exit then
      core.exit(msg.exit)
    elseif msg.echo ~= nil then
      core.send(msg.to, msg.echo)
    end
  end
end

local function servant(where, name)
  return spawn_on(where, function()
    if name then core.register(name) end
    obey()
  end)
end

local function traceless(reason)
  return type(reason) == "table" and reason[1] or reason
end

--- Everything in the mailbox, once nothing comes for a second.
local function drain()
  local all = {}
  while true do
    local msg, late = core.receive(1000)
    if msg == nil and late == "timeout" then return all end
    all[#all + 1] = msg
  end
end

--- Exactly one message: it.
local function only()
  local all = drain()
  assert.equal(1, #all, "messages")
  return all[1]
end

local function info(where, pid)
  local found
  local watch = net
  watch:on(where, function() found = core.process_info(pid) end)
  return found
end

local function assert_unrelated(where, pid)
  local found = info(where, pid)
  assert.same({}, found.links)
  assert.same({}, found.monitors)
  assert.same({}, found.monitored_by)
  assert.equal(0, found.message_queue_len)
end

after_each(function()
  if net then net:close() end
  net = nil
end)

-- --- messages ----------------------------------------------------------------

describe("a message to another node", function()
  before_each(function() nodes { A, B } end)

  local function echoed(...)
    local values = { ... }
    local pid = servant(B, "echo")
    local back = {}
    net:on(A, function()
      for i = 1, #values do
        core.send(i % 2 == 0 and pid or { name = "echo", node = B },
          { echo = values[i], to = core.self() })
        back[i] = core.receive()
      end
    end)
    return back
  end

  it("keeps every value as it is", function()
    local huge, max, min = math.huge, math.maxinteger, math.mininteger
    local values = {
      true, 0, 1, -1, 127, 128, -129, 2 ^ 31, -(2 ^ 53), 1.5, -0.0, 1e300,
      huge, -huge, "", "a", "\0\255\n", ("x"):rep(70000),
      {}, { 1, 2, 3 }, { a = { b = { c = "deep" } } }, { [1.5] = true },
      { [true] = false }, { 1, nil, 3 }, { [-1] = "x", [0] = "y", "z" },
    }
    if max then
      values[#values + 1] = max
      values[#values + 1] = min
      values[#values + 1] = 1.0
    end
    local back = echoed(table.unpack(values))
    assert.same(values, back)
    if not max then return end
    for i, value in ipairs(values) do
      assert.equal(math.type(value), math.type(back[i]))
    end
  end)

  it("keeps nil and false, on their own and inside", function()
    local got
    local pid = spawn_on(B, function()
      got = { n = 0 }
      for i = 1, 3 do
        got[i] = core.receive()
        got.n = i
      end
    end)
    net:on(A, function()
      core.send(pid, nil)
      core.send(pid, false)
      core.send(pid, { false, x = false })
    end)
    net:settle()
    assert.equal(3, got.n)
    assert.is_nil(got[1])
    assert.is_false(got[2])
    assert.same({ false, x = false }, got[3])
  end)

  it("of several fragments arrives whole", function()
    local big = { head = "h" }
    for i = 1, 3000 do big[i] = ("%d:"):format(i) .. ("y"):rep(i % 700) end
    assert.same({ big }, echoed(big))
  end)

  it("keeps a reason a reason", function()
    local back
    local pid = servant(B)
    net:on(A, function()
      core.send(pid, { echo = core.reason { "oops", 1 }, to = core.self() })
      back = core.receive()
    end)
    assert.equal("oops: 1", tostring(back))
  end)

  it("is refused with an error where it cannot travel", function()
    local pid = servant(B)
    net:on(A, function()
      local me = core.self()
      for kind, value in pairs {
        ["function"] = print, userdata = io.stdout, thread =
        coroutine.create(print),
      } do
        for _, send in ipairs {
          core.send, core.call, core.cast, core.request,
        } do
          local ok, err = pcall(send, pid, { deep = { value } })
          assert.is_false(ok)
          assert.truthy(tostring(err):find("cannot send a " .. kind ..
            " to another node", 1, true), tostring(err))
        end
      end
      local endless = {}
      endless[1] = endless
      assert.is_false(pcall(core.send, pid, endless))
      assert.is_false(pcall(core.send, pid, setmetatable({}, {})))
      assert.is_false(pcall(core.send, pid, { [{}] = 1 }))
      core.send(pid, { echo = "still up", to = me })
      assert.equal("still up", core.receive(1000))
    end)
    assert.equal(0, net:count("node_down"))
    assert_unrelated(B, pid)
  end)

  it("to a name of more than 255 bytes is an error", function()
    net:on(A, function()
      for _, what in ipairs { core.send, core.monitor, core.call } do
        local ok, err = pcall(what, { name = ("x"):rep(256), node = B }, 1)
        assert.is_false(ok)
        assert.truthy(tostring(err):find("255", 1, true))
      end
    end)
  end)

  it("to a name nobody has there is lost in silence", function()
    net:on(A, function()
      assert.is_true(core.send({ name = "nobody", node = B }, 1))
      assert.is_true(core.cast({ name = "nobody", node = B }, 1))
    end)
    net:settle()
    assert.equal(0, net:count("node_down"))
  end)

  it("to a node that is not connected is nil, noconnection", function()
    net:on(A, function()
      local ok, err = core.send({ name = "x", node = C }, 1)
      assert.is_nil(ok)
      assert.equal("noconnection", err)
    end)
  end)

  it("to the own node by its name stays here", function()
    net:on(A, function()
      core.register("me")
      core.send({ name = "me", node = A }, { print })
      assert.equal(print, core.receive()[1])
    end)
  end)
end)

it("a message too large is an error that names the limit", function()
  nodes({ A, B }, { max_message = 10000 })
  local pid = servant(B)
  net:on(A, function()
    for _, send in ipairs { core.send, core.call, core.cast, core.request } do
      local ok, err = pcall(send, pid, ("x"):rep(20000))
      assert.is_false(ok)
      assert.truthy(tostring(err):find("10000", 1, true), tostring(err))
    end
    assert.equal("fits", (core.call(pid, "fits")))
  end)
  assert_unrelated(B, pid)
end)

it("pids and refs of all nodes are the same values everywhere", function()
  nodes { A, B, C }
  local echo, third = servant(B), servant(C)
  net:settle() -- B and C hear of each other
  net:on(A, function()
    local me, ref = core.self(), core.make_ref()
    local sent = { me, echo, third, ref, [third] = ref, [ref] = me }
    core.send(echo, { echo = sent, to = me })
    local got = core.receive()
    for i = 1, 4 do assert.equal(sent[i], got[i]) end
    assert.equal(ref, got[third])
    assert.equal(me, got[ref])
    assert.equal(C, got[3]:node())
    -- B answers with what C has sent it.
    core.send(third, { to = echo, echo = { to = me, echo = { third, echo } } })
    got = core.receive()
    assert.equal(third, got[1])
    assert.equal(echo, got[2])
  end)
end)

-- --- order -------------------------------------------------------------------

describe("signals between one pair", function()
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

  it("put a last message before the DOWN and the EXIT", function()
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

-- --- calls -------------------------------------------------------------------

describe("a call to another node", function()
  it("answers, by pid and by name", function()
    nodes { A, B }
    local pid = servant(B, "s")
    net:on(A, function()
      assert.same({ "x", pid }, { core.call(pid, "x") })
      local name = { name = "s", node = B }
      assert.same({ { 1 }, pid }, { core.call(name, { 1 }) })
    end)
  end)

  it("answers many values, nil among them", function()
    nodes { A, B }
    local pid = spawn_on(B, function()
      core.reply(core.receive().from, nil, 2, nil, "4", nil)
      core.reply(core.receive().from)
    end)
    net:on(A, function()
      local function count(...) return select("#", ...), ... end
      assert.same({ 5, nil, 2, nil, "4" }, { count(core.call(pid, 1)) })
      assert.equal(0, (count(core.call(pid, 1))))
    end)
  end)

  it("may be answered by a third process, of any node", function()
    nodes { A, B, C }
    net:on(B, function() assert(core.connect(C)) end)
    local helpers = {
      servant(A), servant(B), servant(C),
    }
    local server = spawn_on(B, function()
      while true do
        local msg = core.receive()
        core.send(msg.msg, { from = msg.from })
      end
    end)
    for i, where in ipairs { A, B, C } do
      local helper = spawn_on(where, function()
        while true do core.reply(core.receive().from, where) end
      end)
      net:on(A, function()
        assert.equal(where, (core.call(server, helper)))
        assert.equal("timeout", select(2, core.call(server, helpers[i], 10)))
      end)
      assert_unrelated(B, server)
    end
  end)

  it("that timed out hears nothing of a late reply", function()
    nodes { A, B }
    local late
    local pid = spawn_on(B, function()
      late = core.receive().from
      core.receive()
      core.reply(late, "late")
      core.send(core.receive(), "done")
    end)
    net:on(A, function()
      assert.same({ nil, "timeout" }, { core.call(pid, 1, 50) })
      core.send(pid, "now")
      core.send(pid, core.self())
      assert.equal("done", only())
    end)
  end)

  it("beside a request keeps the two apart", function()
    nodes { A, B }
    local froms = {}
    local pid = spawn_on(B, function()
      froms[1] = core.receive().from
      froms[2] = core.receive().from
      core.reply(froms[1], "to the request")
      core.receive()
      core.reply(froms[2], "late")
      core.send(core.receive(), "done")
    end)
    net:on(A, function()
      local ref = core.request(pid, 1)
      assert.same({ nil, "timeout" }, { core.call(pid, 2, 50) })
      core.send(pid, "now")
      core.send(pid, core.self())
      local all = drain()
      assert.equal(2, #all)
      assert.same({ tag = "reply", ref = ref, n = 1, "to the request" },
        all[1])
      assert.equal("done", all[2])
    end)
  end)

  it("to the dead, the unknown and the far says so", function()
    nodes { A, B }
    local dead = spawn_on(B, function() end)
    net:settle()
    net:on(A, function()
      assert.same({ nil, "noproc" }, { core.call(dead, 1) })
      local here, far = { name = "no", node = B }, { name = "no", node = C }
      assert.same({ nil, "noproc" }, { core.call(here, 1) })
      assert.same({ nil, "noconnection" }, { core.call(far, 1) })
      for dest, reason in pairs {
        [dead] = "noproc", [{ name = "no", node = B }] = "noproc",
        [{ name = "no", node = C }] = "noconnection",
      } do
        local ref = core.request(dest, 1)
        assert.same({ tag = "reply", ref = ref, n = 2, [2] = reason }, only())
      end
    end)
  end)

  it("answers the reason for which the called one ends", function()
    nodes { A, B }
    local one, two = servant(B), servant(B)
    net:on(A, function()
      assert.same({ nil, "died" }, { core.call(one, "die") })
      local ref = core.request(two, "die")
      assert.same({ tag = "reply", ref = ref, n = 2, [2] = "died" }, only())
    end)
  end)

  it("of a caller that ends leaves nothing with the called", function()
    nodes { A, B }
    local pid = servant(B)
    net:on(A, function()
      local caller = core.spawn(function() core.call(pid, "silence") end)
      core.sleep(10)
      caller:exit("kill")
      core.sleep(10)
    end)
    net:settle()
    assert_unrelated(B, pid)
  end)
end)

it("a request to oneself is answered calling_self", function()
  nodes { A }
  net:on(A, function()
    local ref = core.request(core.self(), 1)
    assert.same({ tag = "reply", ref = ref, n = 2, [2] = "calling_self" },
      only())
  end)
end)

-- --- links and monitors ------------------------------------------------------

describe("across nodes", function()
  before_each(function() nodes { A, B } end)

  -- [what the other ends for] = what one that traps is told
  local ENDS = {
    { "normal" }, { "shutdown" }, { "kill" }, { "other" },
    { { "shutdown", 7 } }, { { "made", { up = { 1 } } } },
  }

  for _, case in ipairs(ENDS) do
    local reason = case[1]
    local shown = traceless(reason)

    it(("a link passes on the end for %q"):format(shown), function()
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

    it(("an exit signal %q does what it does on one node"):format(shown),
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

  it("a Lua error travels with its traceback", function()
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

  it("a reason that cannot travel arrives as text", function()
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

  it("the dead answer noproc to a link and a monitor, once", function()
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

  it("one that does not trap ends of a link to the dead", function()
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

  it("unlink and demonitor are heard on the other side", function()
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

  it("linking twice is linking once, from both ends too", function()
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

  it("a monitored name is what its DOWN calls it", function()
    local pid = servant(B, "named")
    net:on(A, function()
      local name = { name = "named", node = B }
      local ref = core.monitor(name)
      core.call(pid, "there?")
      core.send(pid, { exit = "x" })
      assert.same({ tag = "DOWN", ref = ref, pid = name, reason = "x" }, only())
    end)
  end)

  it("process_info shows remote ends", function()
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
      core.sleep(0)
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

-- --- lost connections --------------------------------------------------------

describe("a lost connection", function()
  -- Has a process tied to B in every way; answers what it is told.
  local function tied(break_it)
    local messages
    local pid = servant(B, "s")
    net:on(A, function()
      core.trap_exit(true)
      local me = core.self()
      local refs = {}
      core.spawn(function()
        core.send(me, { call = { core.call(pid, "silence", 60000) } })
      end)
      core.monitor_nodes(true)
      core.link(pid)
      refs.monitor = core.monitor(pid)
      refs.named = core.monitor { name = "s", node = B }
      refs.request = core.request(pid, "silence")
      core.sleep(10)
      break_it(pid)
      messages = drain()
      messages.refs, messages.pid = refs, pid
      core.monitor_nodes(false)
    end)
    return messages
  end

  local function check(messages, reason)
    local refs, pid = messages.refs, messages.pid
    local seen = {}
    for i, msg in ipairs(messages) do
      local key = msg.call and "call" or msg.tag == "DOWN" and
        (msg.ref == refs.monitor and "monitor" or "named") or msg.tag
      assert.is_nil(seen[key], "twice: " .. key)
      seen[key] = msg
      msg.at = i
    end
    assert.same({ nil, "noconnection" }, seen.call.call)
    assert.equal("noconnection", seen.EXIT.reason)
    assert.equal(pid, seen.EXIT.from)
    assert.equal("noconnection", seen.monitor.reason)
    assert.equal("noconnection", seen.named.reason)
    assert.equal(refs.request, seen.reply.ref)
    assert.equal("noconnection", seen.reply[2])
    assert.equal(B, seen.nodedown.node)
    assert.equal(reason, seen.nodedown.info.reason)
    for _, key in ipairs { "EXIT", "monitor", "named", "reply" } do
      assert.is_true(seen[key].at < seen.nodedown.at,
        key .. " comes before nodedown")
    end
  end

  it("by the other's sudden end is told once to each", function()
    for seed = 1, SEEDS do
      nodes({ A, B }, nil, seed)
      check(tied(function() net:kill(B) end), "econnreset")
      net:close()
    end
  end)

  it("by silence is told once to each", function()
    nodes({ A, B }, { down_after_ms = 300, heartbeat_ms = 100 })
    check(tied(function()
      net:hold(A, B, true)
      net:hold(B, A, true)
    end), "timeout")
  end)

  it("by the other's shutdown is told once to each", function()
    nodes { A, B }
    check(tied(function()
      table.insert(net.todo, function() node(B):shutdown() end)
    end), "shutdown")
  end)

  it("by disconnect is told once to each", function()
    nodes { A, B }
    check(tied(function()
      assert.is_true(core.disconnect(B))
      assert.same({ nil, "not_connected" }, { core.disconnect(B) })
    end), "disconnected")
  end)

  it("by disconnect stays, until one of the two connects", function()
    nodes { A, B }
    net:on(A, function() core.disconnect(B) end)
    net:pass(60000)
    net:on(B, function()
      assert.same({}, core.nodes())
      assert.is_true(core.connect(A))
      assert.same({ A }, core.nodes())
    end)
  end)

  it("by a queue that ran over is told at once", function()
    nodes({ A, B }, { max_queue = 100000 })
    local messages = tied(function(pid)
      net:hold(A, B, true)
      for _ = 1, 10 do
        -- one that cannot wait
        node(A):send(pid, ("x"):rep(50000))
      end
    end)
    check(messages, "overflow")
  end)

  it("ends what does not trap", function()
    nodes { A, B }
    local pid = servant(B)
    net:on(A, function()
      local _, ref = core.spawn_monitor(function()
        core.link(pid)
        core.receive()
      end)
      core.sleep(10)
      net:cut(A, B)
      local msg = only()
      assert.equal(ref, msg.ref)
      assert.equal("noconnection", msg.reason)
    end)
  end)

  it("may end the process that disconnects", function()
    nodes { A, B }
    local pid = servant(B)
    local after = false
    net:on(A, function()
      local _, ref = core.spawn_monitor(function()
        core.link(pid)
        core.disconnect(B)
        after = true
      end)
      local msg = only()
      assert.equal(ref, msg.ref)
      assert.equal("noconnection", msg.reason)
    end)
    assert.is_false(after)
  end)

  it("and come back, old pids work again", function()
    nodes { A, B }
    local pid = servant(B, "s")
    net:on(A, function()
      assert.equal("x", (core.call(pid, "x")))
      core.monitor_nodes(true)
      net:cut(A, B)
      assert.equal("nodedown", core.receive(1000).tag)
      assert.same({ nil, "noconnection" }, { core.call(pid, "x") })
      assert.is_true(core.send(pid, "lost"))
      assert.equal("nodeup", core.receive(60000).tag)
      assert.same({ "x", pid }, { core.call(pid, "x") })
    end)
  end)

  it("and back in another life, old pids are dead", function()
    nodes { A, B }
    local old = servant(B, "s")
    net:on(A, function()
      core.monitor_nodes(true)
      assert.equal("x", (core.call(old, "x")))
      net:kill(B)
      table.insert(net.todo, function() net:node(B) end)
      assert.equal("nodedown", core.receive(1000).tag)
      assert.equal("nodeup", core.receive(60000).tag)
      core.monitor_nodes(false)
      core.trap_exit(true)
      assert.same({ nil, "noproc" }, { core.call(old, "x") })
      assert.is_true(core.send(old, "x"))
      assert.is_true(core.cast(old, "x"))
      assert.is_true(old:exit("kill"))
      local ref = core.monitor(old)
      assert.same({ tag = "DOWN", ref = ref, pid = old, reason = "noproc" },
        only())
      core.link(old)
      assert.same({ tag = "EXIT", from = old, reason = "noproc" }, only())
      ref = core.request(old, 1)
      assert.same({ tag = "reply", ref = ref, n = 2, [2] = "noproc" }, only())
    end)
    local new = servant(B, "s")
    net:settle()
    net:on(A, function()
      assert.same({ "x", new }, { core.call({ name = "s", node = B }, "x") })
      assert.are_not.equal(old, new)
    end)
  end)

  it("loses a suffix and never a middle", function()
    for seed = 1, SEEDS do
      nodes({ A, B }, nil, seed)
      local seen = {}
      local pid = spawn_on(B, function()
        while true do seen[#seen + 1] = core.receive() end
      end)
      net:on(A, function()
        for i = 1, 50 do
          core.send(pid, i)
          if i % 10 == 0 then core.sleep(0) end
          if i == 30 then net:cut(A, B) end
        end
      end)
      net:settle()
      for i, value in ipairs(seen) do assert.equal(i, value) end
      net:close()
    end
  end)

  it("gets what was sent before an orderly end through", function()
    for seed = 1, SEEDS do
      nodes({ A, B }, nil, seed)
      local got = 0
      local pid = spawn_on(B, function()
        while true do
          core.receive()
          got = got + 1
        end
      end)
      local sent = false
      spawn_on(A, function()
        for _ = 1, 30 do core.send(pid, ("x"):rep(50000)) end
        sent = true
      end)
      net:run(function() return sent end)
      node(A):shutdown()
      net:settle()
      assert.equal(30, got)
      assert.equal("shutdown", net.events[#net.events].reason)
      net:close()
    end
  end)
end)

-- --- nodes -------------------------------------------------------------------

describe("connect", function()
  it("answers true, also when it is connected already", function()
    nodes { A, B }
    net:on(A, function()
      assert.is_true(core.connect(B))
      assert.is_true(core.connect(A))
      assert.same({ B }, core.nodes())
      assert.equal(A, core.node_name())
    end)
    net:on(B, function() assert.same({ A }, core.nodes()) end)
  end)

  it("answers why it could not", function()
    nodes { A }
    net:node(B, { secret = "another" })
    net:on(A, function()
      assert.same({ nil, "econnrefused" }, { core.connect(C) })
      assert.same({ nil, "bad_secret" }, { core.connect(B) })
      assert.same({}, core.nodes())
      assert.is_false(pcall(core.connect, "no name"))
    end)
  end)

  it("answers timeout where nobody answers, and true later", function()
    nodes { A }
    net:node(B)
    net:hold(A, B, true)
    net:hold(B, A, true)
    net:on(A, function()
      assert.same({ nil, "timeout" }, { core.connect(B, 100) })
      assert.same({ nil, "handshake_timeout" }, { core.connect(B, 20000) })
      net:hold(A, B, false)
      net:hold(B, A, false)
      assert.is_true(core.connect(B, 60000))
    end)
  end)

  it("answers each of many callers once", function()
    nodes { A }
    net:node(B)
    local answers = {}
    for i = 1, 20 do
      local name = i % 2 == 0 and B or C
      spawn_on(A, function()
        local answer = { name, core.connect(name) }
        answers[#answers + 1] = answer
        assert.is_nil((core.receive(10000)))
      end)
    end
    net:pass(20000)
    assert.equal(20, #answers)
    for _, answer in ipairs(answers) do
      if answer[1] == B then
        assert.is_true(answer[2])
      else
        assert.equal("econnrefused", answer[3])
      end
    end
  end)

  it("answers disconnected when another gives the node up", function()
    nodes { A }
    net:node(B)
    for _, held in ipairs { false, true } do
      local answer
      net:hold(A, B, held)
      spawn_on(A, function() answer = { core.connect(B, "infinity") } end)
      if held then net:settle() end
      net:on(A, function() core.disconnect(B) end)
      net:pass(1000)
      assert.same({ nil, "disconnected" }, answer)
    end
  end)

  it("survives a driver that has no entropy", function()
    nodes { A }
    local broken = true
    local real = function(n) return ("x"):rep(n) end
    net:node(B, { entropy = function(n)
      if broken then error("no entropy") end
      return real(n)
    end })
    net:on(B, function()
      local ok, err = core.connect(A)
      assert.is_nil(ok)
      assert.truthy(err)
      broken = false
      assert.is_true(core.connect(A, 60000))
    end)
  end)
end)

describe("nodes", function()
  it("find each other through one they both know", function()
    for seed = 1, SEEDS do
      net = network.new { seed = seed }
      for _, name in ipairs { A, B, C } do net:node(name) end
      net:on(B, function() assert(core.connect(C)) end)
      net:on(A, function()
        assert(core.connect(B))
        core.monitor_nodes(true)
        if #core.nodes() < 2 then
          assert.equal(C, core.receive(10000).node)
        end
        assert.same({ B, C }, core.nodes())
      end)
      net:pass(1000)
      net:on(C, function() assert.same({ A, B }, core.nodes()) end)
      net:close()
    end
  end)

  it("that dial each other at once end with one link", function()
    for seed = 1, 3 * SEEDS do
      net = network.new { seed = seed }
      local answers = {}
      for _, pair in ipairs { { A, B }, { B, A } } do
        net:node(pair[1])
        spawn_on(pair[1], function()
          core.monitor_nodes(true)
          if seed % 3 > 0 then core.sleep(net:random(3) - 1) end
          local answer = core.connect(pair[2])
          answers[#answers + 1] = answer
          core.sleep(5000)
          local ups = drain()
          assert.equal(1, #ups)
          assert.equal("nodeup", ups[1].tag)
          answers[#answers + 1] = "one nodeup"
        end)
      end
      net:pass(20000)
      table.sort(answers, function(x, y) return tostring(x) < tostring(y) end)
      assert.same({ "one nodeup", "one nodeup", true, true }, answers)
      assert.equal(2, net:count("node_up"))
      assert.equal(0, net:count("node_down"))
      assert.equal(1, #net.conns)
      net:close()
    end
  end)

  it("are up before anything of theirs is heard", function()
    for seed = 1, SEEDS do
      net = network.new { seed = seed }
      for _, name in ipairs { A, B } do net:node(name) end
      local first = {}
      for _, name in ipairs { A, B } do
        spawn_on(name, function()
          core.register("watch")
          core.monitor_nodes(true)
          first[name] = core.receive()
        end)
      end
      net:settle()
      for here, there in pairs { [A] = B, [B] = A } do
        spawn_on(here, function()
          core.monitor_nodes(true)
          core.receive()
          core.send({ name = "watch", node = there }, { tag = "hello" })
        end)
      end
      net:settle()
      net:on(A, function() assert(core.connect(B)) end)
      net:settle()
      assert.equal("nodeup", first[A].tag)
      assert.equal("nodeup", first[B].tag)
      assert.equal(B, first[A].node)
      net:close()
    end
  end)

  it("are told of to those that monitor them, and only to those", function()
    nodes { A, B }
    net:on(A, function()
      assert.is_true(core.monitor_nodes(true))
      assert.is_true(core.monitor_nodes(true))
      core.disconnect(B)
      local msg = core.receive(0)
      assert.equal("nodedown", msg.tag)
      assert.equal(B, msg.node)
      assert.is_true(core.monitor_nodes(false))
      assert.is_true(core.connect(B))
      assert.same({}, drain())
    end)
  end)

  it("that were disconnected are not dialled again", function()
    nodes { A, B }
    net:on(A, function() core.disconnect(B) end)
    local before = net:count("node_up")
    net:on(A, function() core.sleep(60000) end)
    -- B did not ask for it: it may come back on its own.
    net:on(A, function() assert.is_true(core.connect(B)) end)
    assert.is_true(net:count("node_up") > before)
  end)

  it("that shut down dial nobody and let nobody in", function()
    nodes { A, B }
    net:node(C)
    node(A):shutdown()
    net:settle()
    local ups = net:count("node_up")
    net:pass(10000)
    assert.equal(ups, net:count("node_up"))
    assert.same({ nil, "shutdown" }, { node(A):accepted(net.now) })
  end)

  it("have a name that others can dial, or an error says so", function()
    local ok, err = pcall(core.node, { name = "no name", incarnation = 1,
      secret = "x", entropy = print })
    assert.is_false(ok)
    assert.truthy(tostring(err):find("name", 1, true))
  end)

  it("that could not be made leave nothing behind", function()
    for _ = 1, 2 do
      assert.is_false(pcall(core.node, { name = C, incarnation = 77 }))
    end
    local made = core.node { name = C, incarnation = 77, secret = "x",
      entropy = print }
    made:close()
  end)
end)

-- --- much at once ------------------------------------------------------------

describe("a flood to a slow peer", function()
  it("never runs over, and all of it arrives", function()
    for seed = 1, 5 do
      nodes({ A, B }, { max_queue = 1024 * 1024 }, seed)
      local got, last = 0, {}
      local sink = spawn_on(B, function()
        while true do
          local msg = core.receive()
          got = got + 1
          assert.equal((last[msg[1]] or 0) + 1, msg[2])
          last[msg[1]] = msg[2]
        end
      end)
      local text = ("x"):rep(1000)
      local SENDERS, EACH = 50, 100
      for i = 1, SENDERS do
        spawn_on(A, function()
          for n = 1, EACH do
            local send = n % 2 == 0 and core.cast or core.send
            assert.is_true(core.send(sink, { i, n, text }))
            assert.is_true(send({ name = "nobody", node = B }, text))
          end
        end)
      end
      net:hold(A, B, true)
      net:settle()
      assert.is_true(node(A):process_count() > 0)
      net:hold(A, B, false)
      net:run(function() return got == SENDERS * EACH end)
      assert.equal(0, net:count("node_down"))
      net:settle()
      assert.equal(0, node(A):process_count())
      net:close()
    end
  end)

  it("ends with the connection", function()
    nodes({ A, B }, { max_queue = 100000 })
    local sink = servant(B)
    net:hold(A, B, true)
    net:on(A, function()
      local flood = core.spawn(function()
        while true do core.send(sink, ("x"):rep(1000)) end
      end)
      core.sleep(100)
      assert.equal("waiting", core.process_info(flood).status)
      flood:exit("enough")
      local _, ref = core.spawn_monitor(function()
        for _ = 1, 100 do core.send(sink, ("x"):rep(1000)) end
      end)
      core.sleep(100)
      net:cut(A, B)
      local msg = core.receive(1000)
      assert.equal(ref, msg.ref)
      assert.equal("normal", msg.reason)
    end)
  end)
end)

describe("nothing is left behind", function()
  local function memory()
    for _ = 1, 3 do collectgarbage() end
    return collectgarbage("count")
  end

  it("after thousands of calls, monitors, links and messages", function()
    nodes { A, B }
    local pid, mine = servant(B), spawn_on(A, obey)
    local function work()
      core.trap_exit(true)
      for i = 1, 1000 do
        assert.equal(i, (core.call(pid, i)))
        local ref = core.monitor(pid)
        core.link(pid)
        core.request(pid, i)
        core.receive()
        core.demonitor(ref)
        core.unlink(pid)
        assert.is_nil((core.call(pid, "silence", 0)))
        core.send(pid, { echo = { core.make_ref() }, to = core.self() })
        core.receive()
      end
    end
    local function ends()
      for _ = 1, 300 do
        local one = spawn_on(B, function() core.receive() end)
        net:on(A, function()
          core.trap_exit(true)
          core.monitor(one)
          core.link(one)
          core.send(one, 1)
          core.receive()
          core.receive()
        end)
      end
    end
    local function all()
      node(A):send(mine, { run = work })
      net:settle()
      ends()
      net:settle()
      net.events = {}
    end
    all()
    local before = memory()
    all()
    all()
    assert_unrelated(B, pid)
    assert_unrelated(A, mine)
    assert.equal(1, node(A):process_count())
    assert.equal(1, node(B):process_count())
    assert.is_true(memory() < before + 50, "memory grew")
  end)

  it("after many disconnects and restarts of the other", function()
    nodes { A, B }
    local mine = spawn_on(A, obey)
    local function all()
      for _ = 1, 50 do
        local pid = servant(B)
        net:on(A, function()
          assert.is_true(core.connect(B, 60000))
          core.trap_exit(true)
          core.link(pid)
          core.monitor(pid)
          core.call(pid, core.self())
          core.request(pid, "silence")
        end)
        net:kill(B)
        net:node(B)
        net:settle()
      end
      net.events = {}
    end
    all()
    local before = memory()
    all()
    all()
    assert_unrelated(A, mine)
    assert.equal(1, node(A):process_count())
    assert.is_true(memory() < before + 50, "memory grew")
  end)
end)
