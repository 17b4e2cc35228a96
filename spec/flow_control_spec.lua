-- Senders that are faster than the connection.

local banyan = require "banyan"
local core = require "banyan.core"
local remote = require "spec.support.remote"

local A, B = remote.A, remote.B
local node = remote.node
local spawn_on = remote.spawn_on
local servant = remote.servant
local server = require "banyan.server"

local net
local function nodes(...) net = remote.nodes(...) end

after_each(remote.close)

describe("a flood of messages to a slow peer", function()
  it("never exceeds max_queue, and arrives completely", function()
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

  for what, send in pairs {
    ["send"] = banyan.send, ["cast"] = server.cast,
    ["pid:send"] = function(pid, message) return pid:send(message) end,
  } do
    it(what .. " answers nothing else when somebody else resumes it", function()
      nodes({ A, B }, { max_queue = 100000 })
      local sink = servant(B)
      net:hold(A, B, true)
      net:on(A, function()
        local co, answers = nil, {}
        local pid, ref = core.spawn_monitor(function()
          co = coroutine.running()
          while true do
            answers[#answers + 1] = send(sink, ("x"):rep(1000))
          end
        end)
        core.sleep(100)
        assert.equal("waiting", core.process_info(pid).status)
        coroutine.resume(co, "forged")
        local down = core.receive(3000)
        assert.equal(ref, down.ref)
        assert.matches("was resumed by other code", down.reason[2])
        for _, answer in ipairs(answers) do assert.is_true(answer) end
      end)
    end)
  end

  it("ends when the node is lost", function()
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
      net:kill(B)
      local msg = core.receive(3000)
      assert.equal(ref, msg.ref)
      assert.equal("normal", msg.reason)
    end)
  end)
end)
