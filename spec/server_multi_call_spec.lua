-- One call to servers of the same name on several nodes.

local core = require "banyan.core"
local pair = require "spec.support.pair"
local run = require "spec.support.run"
local server = require "banyan.server"

local Echo = {}
function Echo.handle_call(_, msg)
  if type(msg) == "table" and msg.sleep then core.sleep(msg.sleep) end
  if msg == "nothing" then return nil end
  if msg == "refuse" then return nil, "refused" end
  if msg == "exit" then core.exit("gone") end
  return { node = core.node_name(), msg = msg }, "second"
end

-- `it`, on two nodes that have such a server; the body gets their names.
local function test(name, body)
  it(name, function()
    pair(function(b)
      b:spawn(function()
        server.start(Echo, nil, { name = "echo" })
        core.receive()
      end)
      local far, here = b:name(), core.node_name()
      while select(2, server.call({ name = "echo", node = far }, 0))
        == "noproc" do
        core.sleep(1)
      end
      assert(server.start(Echo, nil, { name = "echo" }))
      body(here, far)
      assert.same({ nil, "timeout" }, { core.receive(1000) })
      assert.same({}, core.process_info(core.self()).monitors)
    end)
  end)
end

describe("multi_call", function()
  test("answers what the server of each node replies", function(a, b)
    local replies, errs = server.multi_call({ a, b, a }, "echo", "hi")
    assert.same({
      [a] = { node = a, msg = "hi" }, [b] = { node = b, msg = "hi" },
    }, replies)
    assert.same({}, errs)
  end)

  test("asks a node that stands there twice once", function(a)
    local Counter = { init = function(self) self.n = 0 end }
    function Counter:handle_call() self.n = self.n + 1 return self.n end
    assert(server.start(Counter, nil, { name = "counter" }))
    assert.same({ [a] = 1 }, (server.multi_call({ a, a, a }, "counter", 1)))
    assert.same({ [a] = 2 }, (server.multi_call({ a }, "counter", 1)))
  end)

  test("answers why a node gives no reply", function(a, b)
    local replies, errs = server.multi_call({ a, b, "c@127.0.0.1:3" },
      "nobody", 1)
    assert.same({}, replies)
    assert.same({ [a] = "noproc", [b] = "noproc",
      ["c@127.0.0.1:3"] = "noconnection" }, errs)
    replies, errs = server.multi_call({ a, b }, "echo", "refuse")
    assert.same({}, replies)
    assert.same({ [a] = "refused", [b] = "refused" }, errs)
    assert.same({ {}, {} }, { server.multi_call({ a, b }, "echo", "nothing") })
  end)

  test("has one time limit for all, and drops what comes later",
    function(a, b)
      local began = core.now()
      local replies, errs = server.multi_call({ a, b }, "echo",
        { sleep = 50 }, 20)
      assert.equal(began + 20, core.now())
      assert.same({}, replies)
      assert.same({ [a] = "timeout", [b] = "timeout" }, errs)
    end)

  test("takes what came while it waited for another node", function(a, b)
    core.unregister("echo")
    assert(server.start({ handle_call = function()
      core.sleep(100)
    end }, nil, { name = "echo" }))
    local replies, errs = server.multi_call({ a, b }, "echo", 1, 50)
    assert.same({ [b] = { node = b, msg = 1 } }, replies)
    assert.same({ [a] = "timeout" }, errs)
  end)

  test("answers the reason of a server that ends, noconnection of a node",
    function(a, b)
      core.spawn(function()
        core.sleep(10)
        core.disconnect(b)
      end)
      local _, errs = server.multi_call({ a, b }, "echo", { sleep = 50 })
      assert.same({ [b] = "noconnection" }, errs)
      _, errs = server.multi_call({ a }, "echo", "exit")
      assert.same({ [a] = "gone" }, errs)
    end)

  test("answers calling_self for the caller's own name", function(a)
    core.register("me")
    assert.same({ [a] = "calling_self" },
      select(2, server.multi_call({ a }, "me", 1)))
  end)

  test("raises an error where something cannot be sent, and drops the replies",
    function(a, b)
      for _, wrong in ipairs { print, { print } } do
        local ok, err = pcall(function()
          server.multi_call({ a, b }, "echo", wrong)
        end)
        assert.is_false(ok)
        assert.matches("multi_call_spec%.lua:%d+: cannot send a function",
          tostring(err))
      end
    end)

  test("raises an error where it cannot wait, and drops the replies",
    function(a, b)
      local ok, err = coroutine.wrap(function()
        return pcall(server.multi_call, { a, b }, "echo", 1)
      end)()
      assert.is_false(ok)
      assert.matches("cannot wait", tostring(err))
    end)

  it("is misuse without a list of names, a name, or with a wrong time",
    function()
      run(function()
        for _, args in ipairs {
          { nil, "echo" }, { { 1 }, "echo" }, { "a", "echo" }, { {}, nil },
          { {}, 5 }, { {}, "echo", 1, "soon" },
        } do
          local ok, err = pcall(server.multi_call, args[1], args[2], args[3],
            args[4])
          assert.is_false(ok)
          assert.matches("^server%.multi_call: ", tostring(err))
        end
        assert.same({ {}, {} }, { server.multi_call({}, "echo", 1) })
      end)
    end)
end)
