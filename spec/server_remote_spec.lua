-- A server, used from another node.

local core = require "banyan.core"
local pair = require "spec.support.pair"
local reasons = require "spec.support.reasons"
local server = require "banyan.server"
local servers = require "spec.support.servers"

local module = servers.module
local assert_error_reason = reasons.assert_error

describe("a server on another node", function()
  -- `it`, on two nodes: the body gets {name=, node=} of a server there.
  local function far_test(name, callbacks, body)
    it(name, function()
      pair(function(b)
        b:spawn(function()
          server.start(module(callbacks), "state", { name = "far" })
          core.receive()
        end)
        local dest = { name = "far", node = b:name() }
        while select(2, server.call(dest, "is there")) == "noproc" do
          core.sleep(1)
        end
        body(dest, b)
      end)
    end)
  end

  local function echoes()
    return {
      handle_call = function(_, msg, from)
        if msg == "unsendable" then return print end
        if msg ~= "later" then return msg, core.node_name() end
        server.reply(from, "later")
        return server.noreply
      end,
      terminate = function(_, reason)
        if reason == "slow" then core.sleep(100) end
      end,
    }
  end

  far_test("answers calls", echoes(), function(dest, b)
    assert.same({ { 1, "x" }, b:name() }, { server.call(dest, { 1, "x" }) })
    assert.equal("later", (server.call(dest, "later")))
  end)

  far_test("is gone when server.stop answers", echoes(),
    function(dest)
      assert.is_true(server.stop(dest, { "shutdown", 1 }))
      assert.same({ nil, "noproc" }, { server.call(dest, 0) })
      assert.same({ nil, "noproc" }, { server.stop(dest) })
    end)

  far_test("lets server.stop time out when it takes too long to stop", echoes(),
    function(dest)
      assert.same({ nil, "timeout" }, { server.stop(dest, "slow", 50) })
    end)

  far_test("shows its state", echoes(), function(dest)
    assert.same({ arg = "state" }, server.get_state(dest))
  end)

  far_test("shows its status without what format_status removes", {
    format_status = function(_, status)
      status.state.arg = "***"
      return status
    end,
    handle_call = function() return true end,
  }, function(dest)
    local status = server.get_status(dest)
    assert.same({ arg = "***" }, status.state)
    assert.equal(dest.node, status.pid:node())
  end)

  -- Keeps the `from` of a call and sends it to whom the call names.
  local passes_on = { handle_call = function(_, msg, from)
    if msg == "is there" then return true end
    core.send(msg, { from = from })
    return server.noreply
  end }

  far_test("may let a process of the caller's node answer the call",
    passes_on, function(dest)
      local helper = core.spawn(function()
        server.reply(core.receive().from, "from here", 2)
      end)
      assert.same({ "from here", 2 }, { server.call(dest, helper) })
    end)

  far_test("answers a call once only, and not after its time-out", passes_on,
    function(dest)
      local from
      local helper = core.spawn(function()
        from = core.receive().from
        core.sleep(100)
        server.reply(from, "late")
        from = core.receive().from
        server.reply(from, "first")
        server.reply(from, "second")
      end)
      assert.same({ nil, "timeout" }, { server.call(dest, helper, 50) })
      core.sleep(100)
      assert.equal("first", server.call(dest, helper))
      assert.same({ nil, "timeout" }, { core.receive(100) })
    end)

  far_test("takes no function", echoes(), function(dest)
    assert.error_matches(function()
      server.replace_state(dest, function() end)
    end, "cannot send a function to another node")
  end)

  far_test("crashes when it replies with a function, and the caller hears it",
    echoes(), function(dest)
      local _, err = server.call(dest, "unsendable")
      assert_error_reason("cannot send a function to another node", err)
    end)

  far_test("answers noconnection when its node is lost",
    { handle_call = function(_, msg)
      if msg == "is there" then return true end
      return server.noreply
    end }, function(dest)
      core.spawn(function()
        core.sleep(10)
        core.disconnect(dest.node)
      end)
      assert.same({ nil, "noconnection" }, { server.call(dest, 0) })
    end)
end)
