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

local here_and_there = lua.finds(lua.other) and it or pending

--- Runs `body` with a node under each Lua, connected with all others.
local function both(c)
  local one = c:start("one")
  local other = c:launch(c:name "other",
    { lua = lua.other, env = OTHER_ENV, connect = { one.name } })
  c:await(other)
  c:wait("they are connected", function()
    return one:call("return #require 'banyan'.nodes()") == 2
  end)
  return one, other
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
end)
