-- Two lives of one name: which of them stays, and who is told.

local address = require "spec.support.address"
local banyan = require "banyan"
local core = require "banyan.core"
local network = require "spec.support.network"
local program = require "spec.support.program"
local uv = require "luv"

local A, B, C = "a@h:1", "b@h:1", "c@h:1"
-- Another life of the name B, at an address that nobody dials.
local TWIN = "twin@h:9"
local SEEDS = 40

-- --- on lockstep's network ---------------------------------------------------

local net

local function open(seed, names)
  net = network.new { seed = seed }
  for _, name in ipairs(names) do net:node(name) end
end

-- A life of B, later than the one that is there, or earlier.
local function start_twin(earlier)
  return net:node(TWIN, { name = B, incarnation = earlier and 1e9 or 2e9,
    listens = false })
end

local function join(name, ...)
  for _, other in ipairs { ... } do
    net:find(name).core:spawn(function() core.connect(other) end)
  end
end

local function await(what, fn)
  for _ = 1, 300 do
    if fn() then return end
    net:pass(100)
  end
  error("it did not come about that " .. what, 2)
end

local function has_lost(name) return net:find(name).core:has_lost_name() end

local function sees(name, other)
  for _, each in ipairs(net:find(name).core:nodes()) do
    if each == other then return true end
  end
  return false
end

-- Which life of B a node is connected with.
local function life_at(name)
  local ups = net:events_named("node_up", name, B)
  return sees(name, B) and ups[#ups].incarnation or nil
end

-- A program whose node has lost its name stops it.
local function stop(name)
  net:find(name).core:shutdown()
  net:settle()
  net:kill(name)
end

local function split(...)
  local group = {}
  for i, names in ipairs { ... } do
    for _, name in ipairs(names) do group[name] = i end
  end
  net.virtual:divide(function(from, to) return group[from] ~= group[to] end)
end

describe("a name that is taken", function()
  after_each(function() net:close() end)

  it("is refused while the node that has it answers", function()
    for seed = 1, SEEDS do
      open(seed, { A, B })
      net:on(A, function() assert(core.connect(B)) end)
      local life = life_at(A)
      start_twin(seed % 2 == 0)
      net:on(TWIN, function()
        assert.same({ nil, "name_taken" }, { core.connect(A) })
      end)
      assert.is_true(has_lost(TWIN))
      assert.is_false(has_lost(B))
      assert.equal(life, life_at(A))
      assert.equal(0, net:count("node_down"))
      assert.equal(1, #net:events_named("link_refused", A, B))
      local refused = net:events_named("name_taken", TWIN, A)
      assert.equal(1, #refused)
      assert.is_true(refused[1].refused)
      assert.equal(life, refused[1].incarnation)
      local claimed = net:events_named("name_taken", B, A)
      assert.equal(1, #claimed)
      assert.is_false(claimed[1].refused)
      assert.equal(seed % 2 == 0 and 1e9 or 2e9, claimed[1].incarnation)
      net:pass(60000)
      assert.equal(1, #net:events_named("name_taken", TWIN)) -- it dials no more
      net:close()
    end
    open(1, {})
  end)

  it("is free when the node that has it is gone", function()
    for seed = 1, SEEDS do
      open(seed, { A, B })
      net:on(A, function() assert(core.connect(B)) end)
      start_twin(seed % 2 == 0)
      net:kill(B, seed % 3 == 0 and "vanish" or "kill")
      local from = net:time(A)
      net:on(TWIN, function() assert(core.connect(A)) end)
      assert.is_true(net:time(A) - from <= 1100)
      if seed % 3 > 0 then assert.is_true(net:time(A) - from < 500) end
      assert.is_false(has_lost(TWIN))
      assert.equal(0, net:count("name_taken"))
      net:close()
    end
    open(1, {})
  end)

  it("is refused also while the link to that node is broken", function()
    for seed = 1, SEEDS do
      open(seed, { A, B })
      net:on(A, function() assert(core.connect(B)) end)
      start_twin()
      net:cut(A, B)
      net:on(TWIN, function()
        assert.same({ nil, "name_taken" }, { core.connect(A) })
      end)
      assert.equal(0, net:count("node_down"))
      net:close()
    end
    open(1, {})
  end)

  it("goes to another life while the node is stopped, which yields", function()
    for seed = 1, SEEDS do
      open(seed, { A, B, C })
      join(A, B, C)
      await("all are connected", function()
        return sees(A, B) and sees(C, B) and sees(A, C)
      end)
      net.virtual:pause(B)
      start_twin()
      local from = net:time(A)
      net:on(TWIN, function() assert(core.connect(A)) end)
      assert.is_true(net:time(A) - from <= 1100)
      assert.equal("restarted", net:events_named("node_down", A, B)[1].reason)
      await("the other one is connected with C", function()
        return life_at(C) == 2e9
      end)
      net.virtual:resume(B)
      await("the one that was stopped has lost its name", function()
        return has_lost(B)
      end)
      assert.is_false(has_lost(TWIN))
      assert.equal(2e9, life_at(A))
      net:close()
    end
    open(1, {})
  end)

  it("of two lives in two parts of the network the later one yields", function()
    for seed = 1, SEEDS do
      open(seed, { A, B, C })
      join(A, B, C)
      await("all are connected", function()
        return sees(A, B) and sees(C, B) and sees(A, C) and sees(B, C)
      end)
      local earlier = life_at(A)
      split({ A, B }, { C, TWIN })
      await("C has lost both", function()
        return not (sees(C, A) or sees(C, B))
      end)
      start_twin()
      split({ A, B }, { C, TWIN })
      net:on(TWIN, function() assert(core.connect(C)) end)
      net.virtual:heal()
      await("one of the two has lost its name", function()
        return has_lost(B) or has_lost(TWIN)
      end)
      assert.is_false(has_lost(B))
      stop(TWIN)
      await("all see the one that stays", function()
        return life_at(A) == earlier and life_at(C) == earlier and sees(A, C)
      end)
      assert.is_false(has_lost(B))
      net:close()
    end
    open(1, {})
  end)

  it("is had by one of two that start in the same moment", function()
    for seed = 1, 2 * SEEDS do
      open(seed, { A, C })
      net:on(A, function() assert(core.connect(C)) end)
      net:node(B)
      start_twin()
      join(B, A, C)
      join(TWIN, C, A)
      await("one has lost its name", function()
        return has_lost(B) or has_lost(TWIN)
      end)
      assert.is_false(has_lost(B) and has_lost(TWIN))
      local lost = has_lost(B) and B or TWIN
      stop(lost)
      await("both see the other one", function()
        return life_at(A) == life_at(C) and life_at(A)
      end)
      net:pass(30000)
      assert.is_true(sees(A, B) and sees(C, B))
      net:close()
    end
    open(1, {})
  end)
end)

-- --- OS processes ------------------------------------------------------------

local SECRET = "secret of the spec"

-- Runs a node until a line comes in; tells what it hears and how it ended.
-- Its environment: NAME, LISTEN, PEERS, SECRET, SHIFT_MS (of its clock).
local RUN = [[
io.stdout:setvbuf "line"
local banyan = require "banyan"
local uv = require "luv"
local peers = {}
for peer in os.getenv("PEERS"):gmatch "%S+" do peers[#peers + 1] = peer end
local shift = tonumber(os.getenv "SHIFT_MS" or 0)
local driver = require "banyan.driver.luv"
local wall = driver.wall
function driver.wall() return wall() + shift end
local watched = { name_taken = true, peer_unreachable = true, node_up = true,
  node_down = true }
print("result", banyan.run({
  name = os.getenv "NAME", listen = os.getenv "LISTEN", connect = peers,
  secret = os.getenv "SECRET",
  on_event = function(e)
    if not watched[e.event] then return end
    print(e.event, e.peer, e.refused, tostring(e.reason), e.address)
  end,
}, function()
  print("main with", #banyan.nodes())
  local me = banyan.self()
  local stdin = uv.new_pipe(false)
  stdin:open(0)
  stdin:read_start(function() me:send "end" end)
  banyan.receive()
  stdin:close()
  return "over"
end))
]]

local function start(code, name, peers, env)
  env = env or {}
  env.NAME, env.PEERS, env.SECRET = name, peers or "", SECRET
  return program(code, { env = env })
end

local function run(...) return start(RUN, ...) end

-- For a second life: the port in the name is in use.
local function elsewhere(shift)
  return { LISTEN = "127.0.0.1:" .. address.free_port(), SHIFT_MS = shift }
end

local function ends(child)
  child:say "end\n"
  child:finish()
  assert.matches("result\tover", child.out)
end

local function gives_up(child, name)
  child:finish()
  assert.matches("result\tnil\tname_taken: " .. name:gsub("%p", "%%%0"),
    child.out)
end

local function connected(child, peer)
  child:wait_for("node_up\t" .. peer)
end

describe("a program whose name is taken", function()
  local a, b
  before_each(function()
    a, b = address.fresh_name "a", address.fresh_name "b"
  end)

  it("does not begin its main, and both tell", function()
    local one = run(a)
    one:wait_for "main"
    local two = run(b, a)
    two:wait_for "main"
    connected(one, b)
    local twin = run(b, a, elsewhere())
    gives_up(twin, b)
    assert.is_nil(twin.out:find("main", 1, true))
    assert.matches("name_taken\t" .. a:gsub("%p", "%%%0") .. "\ttrue\tnil\t",
      twin.out)
    two:wait_for("name_taken\t" .. a .. "\tfalse\tnil\t127.0.0.1:")
    assert.is_nil(one.out:find("node_down", 1, true))
    ends(two)
    ends(one)
  end)

  it("gives way to the other one also if its clock is behind", function()
    local one = run(a)
    one:wait_for "main"
    local two = run(b, a)
    two:wait_for "main"
    connected(one, b)
    local twin = run(b, a, elsewhere "-3600000")
    gives_up(twin, b)
    ends(two)
    ends(one)
  end)

  it("stops if others let the other one in while it was stopped", function()
    local one = run(a)
    one:wait_for "main"
    local two = run(b, a)
    two:wait_for "main"
    connected(one, b)
    two:kill "sigstop"
    local twin = run(b, a, elsewhere())
    twin:wait_for "main"
    connected(twin, a)
    two:kill "sigcont"
    gives_up(two, b)
    assert.matches("main", two.out)
    twin:wait_for "name_taken"
    ends(twin)
    ends(one)
  end)

  it("is one of two that are started in the same moment", function()
    local one = run(a)
    one:wait_for "main"
    local twins = {
      run(b, a, elsewhere()), run(b, a, elsewhere()),
    }
    local stays, goes
    while not goes do
      uv.run "once"
      for i, twin in ipairs(twins) do
        if twin.out:find "result" then goes, stays = twin, twins[3 - i] end
      end
    end
    gives_up(goes, b)
    stays:wait_for "main"
    connected(stays, a)
    ends(stays)
    ends(one)
  end)
end)

describe("a program that was killed", function()
  it("is let in at once when it is started again, again and again", function()
    local a, b = address.fresh_name "a", address.fresh_name "b"
    local one = run(a)
    one:wait_for "main"
    for i = 1, 20 do
      local two = run(b, a,
        { SHIFT_MS = i % 2 == 0 and "-3600000" or "0" })
      two:wait_for "main with\t1" -- so the first attempt was let in
      two:kill "sigkill"
      two:finish()
    end
    assert.is_nil(one.out:find("name_taken", 1, true))
    ends(one)
  end)
end)

-- A host's own loop.
local HOST = [[
io.stdout:setvbuf "line"
local banyan = require "banyan"
local uv = require "luv"
local node = assert(banyan.start { name = os.getenv "NAME",
  listen = os.getenv "LISTEN", connect = { os.getenv "PEERS" },
  secret = os.getenv "SECRET", on_event = false })
print(node:state())
local timer = uv.new_timer()
timer:start(5, 5, function()
  local state, reason = node:state()
  if state == "stopped" then
    print(state, reason[1], reason[2])
    timer:close()
  end
end)
uv.run()
print "the loop is empty"
]]

describe("a node of a host", function()
  it("stops itself if its name is taken, and says so", function()
    local a, b = address.fresh_name "a", address.fresh_name "b"
    local one = run(a)
    one:wait_for "main"
    local two = run(b, a)
    two:wait_for "main"
    connected(one, b)
    local twin = start(HOST, b, a, elsewhere())
    twin:finish()
    assert.equal(("running\tnil\nstopped\tname_taken\t%s\n"):format(b)
      .. "the loop is empty\n", twin.out)
    ends(two)
    ends(one)
  end)
end)

-- Nodes with the driver manual, whose host carries their bytes. Of two of one
-- name the first is dialled.
local function carry(nodes, now)
  local far = nodes.far or {}
  nodes.far = far
  local function act(node)
    local what, link, more = node:action()
    if not what then return false end
    local there = far[node] and far[node][link]
    if what == "dial" then
      local peer = nodes[more]
      local other = peer:accepted(now, "the host")
      far[node], far[peer] = far[node] or {}, far[peer] or {}
      far[node][link], far[peer][other] = { peer, other }, { node, link }
      node:connected(link, now)
    elseif what == "write" then
      if there then there[1]:received(there[2], more, now) end
      node:written(link, #more, now)
    elseif there then
      far[there[1]][there[2]] = nil
      there[1]:closed(there[2], "closed", now)
    end
    return true
  end
  for _, node in ipairs(nodes) do
    node:step(now)
    repeat until not act(node)
  end
end

describe("a node that is stepped by hand", function()
  it("stops itself in the steps that follow, if its name is taken", function()
    local nodes, claimed = {}, nil
    local function start_node(name, opts)
      opts.name, opts.secret, opts.driver = name, SECRET, "manual"
      opts.on_event = opts.on_event or false
      local node = assert(banyan.start(opts))
      nodes[#nodes + 1] = node
      nodes[name] = nodes[name] or node
      return node
    end
    local first = start_node(B, { on_event = function(e)
      if e.event == "name_taken" then claimed = e end
    end })
    start_node(A, { connect = { B } })
    for now = 1, 50 do carry(nodes, now) end
    local twin = start_node(B, { connect = { A } })
    for now = 51, 1000 do carry(nodes, now) end
    local state, reason = twin:state()
    assert.equal("stopped", state)
    assert.equal("name_taken: " .. B, tostring(reason))
    assert.same({ nil, reason }, { twin:step(1001) })
    assert.is_nil(twin:action())
    assert.equal("the host", claimed.address)
    assert.equal("running", (first:state()))
    nodes[1]:stop()
    nodes[2]:stop()
    assert.same({ "stopped" }, { first:state() })
  end)
end)

describe("banyan.run", function()
  it("waits for its peers before main, but not for those that refuse",
    function()
      local a, b = address.fresh_name "a", address.fresh_name "b"
      local one = run(a)
      one:wait_for "main"
      local two = run(b, address.fresh_name "nobody" .. " " .. a)
      two:wait_for "main with\t1"
      two:wait_for "peer_unreachable\tnobody"
      two:kill "sigterm"
      two:finish()
      assert.matches("result\tnil\tshutdown", two.out)
      ends(one)
    end)

  it("says so if it is to connect to nobody but itself", function()
    local a = address.fresh_name "a"
    local one = run(a, a)
    one:wait_for("peer_unreachable\t" .. a .. "\tnil\town_name")
    ends(one)
  end)
end)
