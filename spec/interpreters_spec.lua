-- One cluster with nodes under two Luas: the Lua that runs this spec, and the
-- other of LuaJIT and Lua 5.4, each in OS processes of its own. `make test`
-- builds the library for the other Lua too.

local banyan = require "banyan"
local cluster = require "spec.support.cluster"
local lua = require "spec.support.lua"
local server = require "banyan.server"

local OTHER_ENV = {
  LUA_CPATH = ("./build/%s-test/?.so;;"):format(lua.other),
  LD_PRELOAD = false, -- that build has no sanitizer
}

-- How a node under the Lua that runs this spec is launched, and one under the
-- other.
local HERE, THERE = {}, { lua = lua.other, env = OTHER_ENV }

local here_and_there = lua.finds(lua.other) and it or pending

--- Runs `body` with a node under each Lua, connected with all others.
local function both(c)
  local one = c:start("one")
  local other = c:launch(c:name "other",
    { lua = THERE.lua, env = THERE.env, connect = { one.name } })
  c:await(other)
  c:wait("they are connected", function()
    return one:call("return #require 'banyan'.nodes()") == 2
  end)
  return one, other
end

--- The same, with a distributed supervisor called "rooms" on each; first the
-- node that has integers.
local function both_with_rooms(c)
  local one, other = both(c)
  for _, node in ipairs { one, other } do
    node:open([[
      _G.told, _G.told_of_none = 0, 0
      local listener = {}
      function listener.on_process_start(_, id)
        if id == nil then _G.told_of_none = _G.told_of_none + 1 end
        _G.told = _G.told + 1
      end
      assert(require("banyan.distributed_supervisor").start_link {
        name = "rooms", listeners = { listener } })
    ]])
  end
  for _, node in ipairs { one, other } do
    c:wait("both nodes are members", function()
      return node:call [[
        local ds = require "banyan.distributed_supervisor"
        return #(ds.nodes "rooms" or {})
      ]] == 2
    end)
  end
  if lua.integers then return one, other end
  return other, one
end

--- One more node that has integers and takes part, connected with `peer`.
-- `options` of banyan.run, as a table constructor.
local function with_integers(c, peer, options)
  local how = lua.integers and HERE or THERE
  local env = { BANYAN_OPTIONS = options }
  for key, value in pairs(how.env or {}) do env[key] = value end
  local node = c:launch(c:name "third",
    { lua = how.lua, env = env, connect = { peer.name } })
  c:await(node)
  node:open([[
    assert(require("banyan.distributed_supervisor").start_link {
      name = "rooms" })
  ]])
  return node
end

-- A server that answers what it is asked.
local ECHO = [[
  require("banyan.server").start_link({
    handle_call = function(_, msg) return msg end,
  }, nil, { name = "echo" })
]]

local function echo_on(c, node)
  node:open(ECHO)
  c:wait("the echo runs", function()
    return server.call({ name = "echo", node = node.name }, 1) == 1
  end)
  return { name = "echo", node = node.name }
end

describe("a node under another Lua", function()
  here_and_there("is one", function()
    cluster.run(function(c)
      local one, other = both(c)
      local question = "return math.type ~= nil"
      assert.equal(lua.integers, one:call(question))
      assert.equal(not lua.integers, other:call(question))
    end)
  end)

  here_and_there("sends back what it was sent", function()
    cluster.run(function(c)
      local _, other = both(c)
      local echo = echo_on(c, other)
      local values = {
        0, 1, -1, 1.5, 2 ^ 31, -(2 ^ 53), 2 ^ 53, 2 ^ 60, 1e300, 1 / 0, "",
        "\0\255", true, { 1, 2, 3, n = 3 }, { deep = { { "x" } } },
        { [1.5] = "a", [-7] = "b" }, banyan.self(), echo,
      }
      for _, value in ipairs(values) do
        assert.same(value, (server.call(echo, value)))
      end
      local pid = server.call(echo, { banyan.self() })[1]
      assert.is_true(pid == banyan.self())
      assert.equal(-1 / 0, 1 / server.call(echo, -0.0))
      local nan = server.call(echo, 0 / 0)
      assert.is_true(nan ~= nan)
    end)
  end)

  -- The side with integers is this one or the other: so both say the same.
  here_and_there("keeps integral numbers integers", function()
    cluster.run(function(c)
      local one, other = both(c)
      local where = lua.integers and one or other
      local far = lua.integers and other or one
      echo_on(c, far)
      local kinds = where:call([[
        local server = require "banyan.server"
        local echo = { name = "echo", node = ... }
        local kinds = {}
        for i, value in ipairs { 3, 3.0, 2^53, 0.5, 2^60, -0.0, 1 << 60 } do
          local back = server.call(echo, value)
          kinds[i] = math.type(back) .. (back == value and "" or " changed")
        end
        return kinds
      ]], far.name)
      assert.same({ "integer", "integer", "integer", "float", "float",
        "float", "float" }, kinds)
    end)
  end)

  here_and_there("is not sent an integer that it would change", function()
    cluster.run(function(c)
      local one, other = both(c)
      local where = lua.integers and one or other
      local far = lua.integers and other or one
      echo_on(c, far)
      local said = where:call([[
        local banyan, server = require "banyan", require "banyan.server"
        local echo = { name = "echo", node = ... }
        local said = {}
        for i, value in ipairs { math.maxinteger, (1 << 53) + 1,
          -(1 << 53) - 1 } do
          for _, send in ipairs { server.call, server.cast, banyan.send } do
            local ok, err = pcall(send, echo, { deep = value })
            said[i] = (said[i] or "") .. (ok and "sent" or tostring(err))
          end
        end
        said[4] = server.call(echo, math.mininteger) == math.mininteger
        return said
      ]], far.name)
      for i, integer in ipairs {
        "9223372036854775807", "9007199254740993", "-9007199254740993",
      } do
        local _, refusals = said[i]:gsub("cannot send the integer (%-?%d+) to",
          function(which) assert.equal(integer, which) end)
        assert.equal(3, refusals, said[i])
      end
      assert.is_true(said[4])
    end)
  end)

  here_and_there("links, monitors and tells its reasons", function()
    cluster.run(function(c)
      local _, other = both(c)
      local me = banyan.self()
      banyan.trap_exit(true)
      for _, link in ipairs { true, false } do
        other:open([[
          local banyan = require "banyan"
          local to = ...
          banyan.spawn(function()
            banyan.send(to, { pid = banyan.self() })
            banyan.receive()
            error { "oops", 7 }
          end)
        ]], me)
        local pid = banyan.receive(function(m) return m.pid end).pid
        local ref = link and banyan.link(pid) or banyan.monitor(pid)
        banyan.send(pid, "go")
        local message = banyan.receive(function(m) return m.reason end)
        assert.equal(link and "EXIT" or "DOWN", message.tag)
        assert.is_true(message.from == pid or message.ref == ref)
        assert.equal("error", message.reason[1])
        assert.equal("oops: 7", tostring(message.reason[2]))
      end
    end)
  end)

  here_and_there("takes its share of a distributed supervisor", function()
    cluster.run(function(c)
      local one, other = both(c)
      local nodes = { one, other }
      for _, node in ipairs(nodes) do
        node:open([[
          assert(require("banyan.distributed_supervisor").start_link {
            name = "children", modules = { "spec.support.worker" } })
        ]])
      end
      local function count(node, what)
        return node:call([[
          local ds = require "banyan.distributed_supervisor"
          local n = 0
          for _ in pairs(ds[...]("children") or {}) do n = n + 1 end
          return n
        ]], what)
      end
      for _, node in ipairs(nodes) do
        c:wait("both nodes are members", function()
          return count(node, "nodes") == 2
        end)
      end
      one:call([[
        local ds = require "banyan.distributed_supervisor"
        for i = 1, 40 do
          for _, id in ipairs { i, "k" .. i } do
            assert(ds.start_child("children", { id = id,
              start = { "spec.support.worker", "start_link", { id } } }))
          end
        end
      ]])
      for _, node in ipairs(nodes) do
        c:wait("all children are known", function()
          return count(node, "children") == 80
        end)
        assert.is_true(count(node, "local_children") > 10)
        assert.equal(80, node:call [[
          local ds, right = require "banyan.distributed_supervisor", 0
          for i = 1, 40 do
            for _, id in ipairs { i, "k" .. i } do
              local arg, where = ds.call("children", id, "hi")
              if arg == id and where == ds.node_for("children", id) then
                right = right + 1
              end
            end
          end
          return right
        ]])
      end
      one:kill()
      c:wait("the other node has all children", function()
        return count(other, "local_children") == 80
      end)
    end)
  end)

  here_and_there("resumes with what the other Lua kept", function()
    cluster.run(function(c)
      local one, other = both(c)
      for _, node in ipairs { one, other } do
        node:open([[
          assert(require("banyan.distributed_supervisor").start_link {
            name = "rooms" })
        ]])
      end
      local members = "return #(require 'banyan.distributed_supervisor'.nodes "
        .. "'rooms' or {})"
      for _, node in ipairs { one, other } do
        c:wait("both nodes are members", function()
          return node:call(members) == 2
        end)
      end
      -- Of the rooms some run here, some there, and each node holds all.
      one:call([[
        local ds = require "banyan.distributed_supervisor"
        local room = require "spec.support.room"
        for i = 1, 20 do
          assert(ds.start_child("rooms", room.spec(i)))
          local _, ok = ds.call("rooms", i, { tag = "add", n = i })
          assert(ok)
        end
      ]])
      one:kill()
      c:wait("the other node has all scores", function()
        return other:call([[
          local ds = require "banyan.distributed_supervisor"
          local right = 0
          for i = 1, 20 do
            if ds.call("rooms", i, { tag = "get" }) == i then
              right = right + 1
            end
          end
          return right
        ]]) == 20
      end)
    end)
  end)

  -- Children whose ids or arguments no double equals, among others.
  local START_FAR = [[
    local ds = require "banyan.distributed_supervisor"
    local worker = require "spec.support.worker"
    local far = ...
    local here, refused = true, 0
    local function start(id, arg)
      local pid = assert(ds.start_child("rooms", { id = id,
        start = { "spec.support.worker", "start_link", { arg } } }))
      here = here and pid:node() == require("banyan").node()
      local refusal = ds.explain("rooms", id).refusal
      if refusal then
        assert(tostring(refusal) ==
          ("cannot_represent: %d, %s"):format(arg, far), tostring(refusal))
        refused = refused + 1
      end
    end
    for i = 1, 10 do
      start((1 << 53) + 2 * i - 1, (1 << 53) + 2 * i - 1)
      start((1 << 60) + i * (1 << 20), (1 << 60) + i * (1 << 20))
      start("k" .. i, (1 << 53) + 2 * i - 1)
    end
    assert(here, "a child that LuaJIT cannot have runs there")
    for i = 1, 20 do assert(ds.start_child("rooms", worker.spec(i))) end
    return refused
  ]]

  -- All of those are there, as they were.
  local FAR_ARE_RIGHT = [[
    local ds = require "banyan.distributed_supervisor"
    local right = 0
    local function check(id, arg)
      local found, where = ds.call("rooms", id, "hi")
      if math.type(found) == "integer" and found == arg
        and where == require("banyan").node() then
        right = right + 1
      end
    end
    for i = 1, 10 do
      check((1 << 53) + 2 * i - 1, (1 << 53) + 2 * i - 1)
      check((1 << 60) + i * (1 << 20), (1 << 60) + i * (1 << 20))
      check("k" .. i, (1 << 53) + 2 * i - 1)
    end
    return right
  ]]

  local EVENTS = "return (_G.event_counts[...] or 0)"

  here_and_there("carries children that it cannot have", function()
    cluster.run(function(c)
      local integers, doubles = both_with_rooms(c)
      assert.is_true(integers:call(START_FAR, doubles.name) > 0)
      -- There are 50 children; 30 of them have ids that it can show.
      c:wait("it knows them all", function()
        return doubles:call [[
          local ds = require "banyan.distributed_supervisor"
          local shown = 0
          for id, pid in pairs(ds.children "rooms") do
            if id ~= ds.whois("rooms", pid) then return false end
            shown = shown + 1
          end
          local here, all = ds.count "rooms"
          return here > 0 and all == 50 and shown == 30
        ]]
      end)
      c:wait("its listener is told of those", function()
        return doubles:call "return _G.told" == 30
      end)
      assert.equal(0, doubles:call "return _G.told_of_none")
      assert.is_true(doubles:call [[
        local ds = require "banyan.distributed_supervisor"
        return ds.explain("rooms", "k1").state == "running"
          and ds.whereis("rooms", "k1") ~= nil
      ]])
      for _, node in ipairs { integers, doubles } do
        assert.equal(0, node:call(EVENTS, "peer_refused"))
        assert.equal(0, node:call(EVENTS, "coordinator_error"))
      end
      -- From here on it alone has them; then somebody comes who can start them.
      integers:kill()
      c:wait("its own children run there", function()
        return doubles:call [[
          local ds = require "banyan.distributed_supervisor"
          local here = ds.count "rooms"
          local waits = ds.explain("rooms", "k1")
          return here == 20 and waits.state == "waiting"
            and tostring(waits.error):find("^cannot_represent: 900719") ~= nil
        ]]
      end)
      local third = with_integers(c, doubles)
      c:wait("the others run on the new node", function()
        return third:call(FAR_ARE_RIGHT) == 30
      end)
      assert.equal(0, doubles:call(EVENTS, "coordinator_error"))
      assert.equal(0, doubles:call(EVENTS, "peer_refused"))
    end)
  end)

  here_and_there("says why nobody starts what it cannot have", function()
    cluster.run(function(c)
      local integers, doubles = both_with_rooms(c)
      local text = integers:call([[
        local ds = require "banyan.distributed_supervisor"
        local pid, err = ds.start_child("rooms", { id = math.maxinteger,
          start = { "spec.support.worker", "start_link", { 1 } } }, ...)
        return pid == nil and tostring(err)
      ]], doubles.name)
      assert.equal(("cannot_represent: 9223372036854775807, %s")
        :format(doubles.name), text)
    end)
  end)

  here_and_there("says in events which id it cannot have", function()
    cluster.run(function(c)
      local integers, doubles = both_with_rooms(c)
      integers:call [[
        local ds = require "banyan.distributed_supervisor"
        assert(ds.start_child("rooms", { id = (1 << 53) + 1, start = {
          "spec.support.worker", "start_link", { ("x"):rep(20000) } } }))
      ]]
      with_integers(c, doubles, "{ max_message = 8192 }")
      c:wait("it has an event of that child", function()
        return doubles:call "return _G.last_events.spec_withheld ~= nil"
      end)
      assert.equal("cannot_represent: 9007199254740993",
        doubles:call "return tostring(_G.last_events.spec_withheld.id)")
    end)
  end)

  here_and_there("terminates by its pid what it cannot name", function()
    cluster.run(function(c)
      local integers, doubles = both_with_rooms(c)
      for _, known in ipairs { true, false } do
        local pid = integers:call [[
          local ds = require "banyan.distributed_supervisor"
          return (assert(ds.start_child("rooms", { id = math.maxinteger,
            start = { "spec.support.worker", "start_link", { 1 } } })))
        ]]
        if known then
          c:wait("the other node knows of it", function()
            return doubles:call [[
              local ds = require "banyan.distributed_supervisor"
              return select(2, ds.count "rooms") == 1
            ]]
          end)
        end
        local done, whose = doubles:call([[
          local ds = require "banyan.distributed_supervisor"
          local whose = ds.whois("rooms", ...)
          return ds.terminate_child("rooms", ...), whose
        ]], pid)
        assert.is_true(done)
        assert.is_nil(whose)
        assert.is_nil((integers:call [[
          local ds = require "banyan.distributed_supervisor"
          return ds.whereis("rooms", math.maxinteger)
        ]]))
      end
      assert.equal(0, integers:call(EVENTS, "coordinator_error"))
    end)
  end)

  here_and_there("leaves alone a state that it cannot read", function()
    cluster.run(function(c)
      local integers, doubles = both_with_rooms(c)
      integers:call [[
        local ds = require "banyan.distributed_supervisor"
        local room = require "spec.support.room"
        for i = 1, 10 do
          local far = (1 << 53) + 2 * i - 1
          assert(ds.start_child("rooms", room.spec(i),
            require("banyan").node()))
          local _, ok = ds.call("rooms", i, { tag = "add", n = far })
          assert(ok)
        end
      ]]
      integers:kill()
      c:wait("the children wait", function()
        return doubles:call [[
          local ds = require "banyan.distributed_supervisor"
          local waiting = 0
          for i = 1, 10 do
            local child = ds.explain("rooms", i)
            if child.state == "waiting" and tostring(child.error) ==
              ("cannot_represent: %s, %s"):format(("%.0f"):format(2^53 +
                2 * i - 2):gsub("%d$", function(d) return d + 1 end),
                require("banyan").node()) then
              waiting = waiting + 1
            end
          end
          return waiting == 10
        ]]
      end)
      local third = with_integers(c, doubles)
      c:wait("they go on with their states", function()
        return third:call [[
          local ds = require "banyan.distributed_supervisor"
          local right = 0
          for i = 1, 10 do
            if ds.call("rooms", i, { tag = "get" }) == (1 << 53) + 2 * i - 1
            then
              right = right + 1
            end
          end
          return right
        ]] == 10
      end)
    end)
  end)

  here_and_there("tells as text a reason that it cannot have", function()
    cluster.run(function(c)
      local integers, doubles = both_with_rooms(c)
      doubles:open([[
        local ds = require "banyan.distributed_supervisor"
        local spec = require("spec.support.worker").spec("fail far")
        _G.said = select(2, ds.start_child("rooms", spec, ...))
      ]], integers.name)
      c:wait("it is told", function()
        return doubles:call "return _G.said ~= nil"
      end)
      assert.equal("oops: 9007199254740993",
        doubles:call "return tostring(_G.said)")
    end)
  end)

  it("takes no id that is none elsewhere", function()
    require "spec.support.run"(function()
      local ds = require "banyan.distributed_supervisor"
      assert(ds.start_link { name = "rooms" })
      local worker = require "spec.support.worker"
      local _, id = assert(ds.start_child("rooms", worker.spec(-0.0)))
      assert.equal(1 / 0, 1 / id)
      if lua.integers then return end
      assert.error_matches(function()
        ds.start_child("rooms", worker.spec(2 ^ 60))
      end, "id must be .* got 1%.15")
    end)
  end)
end)
