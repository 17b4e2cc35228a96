-- Checkpoints and what becomes of them, on nodes of one Lua state.

local core = require "banyan.core"
local ds = require "banyan.distributed_supervisor"
local support = require "spec.support.distributed"
local room = require "spec.support.room"
local run = require "spec.support.run"
local server = require "banyan.server"

local A, B, C = "a@h:1", "b@h:1", "c@h:1"
local NAME = support.NAME
local at, id_for = support.at, support.id_for

local function cluster(names, start)
  room.resumed = {}
  return support.cluster(names, { start = start })
end

local function start(net, id, arg)
  return assert(at(net, A, ds.start_child, NAME, room.spec(id, arg)))
end

local function ask(net, id, msg)
  return at(net, A, ds.call, NAME, id, msg)
end

local function add(net, id, n, opts)
  local score, ok, err = ask(net, id, { tag = "add", n = n, opts = opts })
  assert.is_true(ok, err)
  return score
end

local function no_crash(net)
  assert.is_nil(support.crashes(net))
  net:close()
end

describe("a checkpoint", function()
  it("is what the next process resumes with, after the loss of its node",
    function()
      local net = cluster { A, B, C }
      local id = id_for(net, B)
      start(net, id)
      assert.equal(3, add(net, id, 3))
      assert.equal(7, add(net, id, 4))
      assert.same({}, room.resumed)
      net:kill(B)
      net:pass(10000)
      local score, how, node = ask(net, id, { tag = "get" })
      assert.equal(7, score)
      assert.equal("checkpoint", how)
      assert.not_equal(B, node)
      assert.equal(1, #room.resumed)
      no_crash(net)
    end)

  it("is what a restart on the same node resumes with", function()
    local net = cluster { A, B }
    local id = id_for(net, B)
    start(net, id)
    add(net, id, 3, { async = true })
    ask(net, id, { tag = "forget", n = 100 })
    ask(net, id, { crash = true })
    net:pass(100)
    local score, how, node = ask(net, id, { tag = "get" })
    assert.equal(3, score)
    assert.equal("checkpoint", how)
    assert.equal(B, node)
    net:close()
  end)

  it("is gone when the child ends for good", function()
    local net = cluster { A, B, C }
    local id = id_for(net, B)
    start(net, id)
    add(net, id, 3)
    assert(at(net, A, ds.terminate_child, NAME, id))
    start(net, id)
    assert.equal(0, (ask(net, id, { tag = "get" })))
    assert.same({}, room.resumed)
    no_crash(net)
  end)

  it("may be written in init, and by a node that is alone", function()
    local net = cluster { A }
    start(net, "x", { checkpoint_in_init = 5 })
    ask(net, "x", { crash = true })
    net:pass(100)
    -- Its init has written another by then.
    assert.equal(5, (ask(net, "x", { tag = "get" })))
    net:close()
  end)

  it("stays when resume raises, and that is a failed start", function()
    local net = cluster({ A, B }, { backoff = { min = 10, max = 20 } })
    local id = id_for(net, B)
    start(net, id)
    ask(net, id, { tag = "add", n = 3, unlucky = "checkpoint" })
    ask(net, id, { crash = true })
    net:pass(1000)
    assert.equal("failing", at(net, A, ds.explain, NAME, id).state)
    for _, one in ipairs(room.resumed) do assert.equal(3, one.score) end
    assert.is_true(#room.resumed > 4)
    net:close()
  end)

  it("has a limit, and is a value that can be sent", function()
    local net = cluster({ A, B }, { max_checkpoint = 1000 })
    local id = id_for(net, B)
    start(net, id)
    local ran, ok, err = ask(net, id, { tag = "keep", state = ("x"):rep(2000) })
    assert.is_true(ran)
    assert.is_nil(ok)
    assert.equal("checkpoint_too_large", err[1])
    assert.is_true(err[2] > 2000 and err[2] < 2020)
    ran, err = ask(net, id, { tag = "keep", state = "a function" })
    assert.is_false(ran)
    assert.matches("checkpoint: the state cannot be kept: cannot send", err)
    ran, err = ask(net, id, { tag = "keep", state = 1, opts = { sync = 1 } })
    assert.is_false(ran)
    assert.matches("unknown option", err)
    no_crash(net)
  end)

  it("is written by a child only", function()
    run(function()
      local ok, err = pcall(ds.checkpoint, 1)
      assert.is_false(ok)
      assert.matches("called outside of a process that is the child", err)
    end)
  end)

  it('is answered "timeout" where the others do not answer', function()
    local net = cluster { A, B }
    local id = id_for(net, B)
    start(net, id)
    net:hold(A, B, true)
    local answer
    net:find(B).core:spawn(function()
      answer = { ds.call(NAME, id, { tag = "add", n = 3 }, 8000) }
    end)
    net:run(function() return answer ~= nil end)
    assert.equal(3, answer[1])
    assert.is_nil(answer[2])
    assert.equal("timeout", answer[3])
    net:close()
  end)
end)

describe("resume", function()
  local function resumed(module, how, state)
    local resume = require "banyan.resume"
    resume.give(core.dist.encode(state), how)
    local pid, err = server.start_link(module, "arg")
    resume.forget(core.self())
    return pid, err
  end

  it("comes after init, before start_link answers and handle_continue",
    function()
      run(function()
        local order = {}
        local M = {}
        function M.init(_, arg)
          order[#order + 1] = "init " .. arg
          return server.continue "on"
        end
        function M.resume(_, state, how)
          order[#order + 1] = ("resume %s %s"):format(state.x, how)
          core.sleep(10)
          order[#order + 1] = "resumed"
        end
        function M.handle_continue(_, arg) order[#order + 1] = arg end
        local pid = assert(resumed(M, "handoff", { x = 1 }))
        assert.equal("resumed", order[3])
        server.get_state(pid)
        assert.same({ "init arg", "resume 1 handoff", "resumed", "on" },
          order)
      end)
    end)

  it("is called where there is no init", function()
    run(function()
      local M = {}
      function M:resume(state) self.x = state end
      function M:handle_call() return self.x end
      local pid = assert(resumed(M, "checkpoint", 7))
      assert.equal(7, server.call(pid))
    end)
  end)

  it("that fails is a failed start", function()
    run(function()
      local M = {}
      function M.resume() error "no" end
      local pid, err = resumed(M, "checkpoint", 7)
      assert.is_nil(pid)
      assert.matches("no", tostring(err))
      local Slow = {}
      function Slow.resume() core.sleep "infinity" end
      local resume = require "banyan.resume"
      resume.give(core.dist.encode(1), "checkpoint")
      pid, err = server.start_link(Slow, nil, { timeout = 10 })
      assert.is_nil(pid)
      assert.equal("timeout", err)
      resume.forget(core.self())
    end)
  end)

  it("is of the first server that has it, and starts", function()
    run(function()
      local got = {}
      local function module(name, fails)
        return {
          resume = function(_, state)
            got[#got + 1] = name .. state
            if fails then error "fails" end
          end,
        }
      end
      local resume = require "banyan.resume"
      resume.give(core.dist.encode(1), "checkpoint")
      assert(server.start_link {})
      assert.is_nil((server.start_link(module("a", true))))
      assert(server.start_link(module "b"))
      assert(server.start_link(module "c"))
      resume.forget(core.self())
      assert(server.start_link(module "d"))
      assert.same({ "a1", "b1" }, got)
    end)
  end)

  it("is not called with bytes that are no value", function()
    run(function()
      local called
      local M = { resume = function() called = true end }
      local resume = require "banyan.resume"
      resume.give("\255\255\255", "checkpoint")
      local pid, err = server.start_link(M)
      resume.forget(core.self())
      assert.is_nil(pid)
      assert.equal("bad_checkpoint", err)
      assert.is_nil(called)
    end)
  end)
end)

describe("handoff", function()
  local function leave(net, node)
    net:find(node).core:send("keeper", "end")
    net:pass(30000)
  end

  local function event_of(net, name)
    for _, event in ipairs(net.events) do
      if event.event == name then return event end
    end
  end

  it("at the end of the node is what the next process resumes with",
    function()
      local net = cluster { A, B, C }
      local id = id_for(net, B)
      start(net, id)
      add(net, id, 3)
      ask(net, id, { tag = "forget", n = 4 })
      local before = at(net, A, core.now)
      net:find(B).core:send("keeper", "end")
      net:run(function()
        local pid = at(net, A, ds.whereis, NAME, id)
        return pid and pid:node() ~= B
      end)
      assert.is_true(at(net, A, core.now) - before < 1000)
      net:settle()
      local score, how, node = ask(net, id, { tag = "get" })
      assert.equal(7, score)
      assert.equal("handoff", how)
      assert.not_equal(B, node)
      no_crash(net)
    end)

  for act, reason in pairs {
    raise = "cannot hand over", hang = "timeout",
    large = "checkpoint_too_large",
  } do
    it("that fails (" .. act .. ") leaves the last checkpoint", function()
      local net = cluster({ A, B, C },
        { handoff_ms = 500, max_checkpoint = 1000 })
      local id = id_for(net, B)
      start(net, id, { handoff = act })
      add(net, id, 3)
      ask(net, id, { tag = "forget", n = 4 })
      leave(net, B)
      local score, how, node = ask(net, id, { tag = "get" })
      assert.equal(3, score)
      assert.equal("checkpoint", how)
      assert.not_equal(B, node)
      local event = event_of(net, "handoff_failed")
      assert.equal(id, event.id)
      assert.equal(NAME, event.supervisor)
      assert.matches(reason, tostring(event.reason))
      net:close()
    end)
  end

  it("of nothing leaves the last checkpoint", function()
    local net = cluster { A, B, C }
    local id = id_for(net, B)
    start(net, id, { handoff = "nothing" })
    add(net, id, 3)
    leave(net, B)
    local score, how = ask(net, id, { tag = "get" })
    assert.equal(3, score)
    assert.equal("checkpoint", how)
    assert.is_nil(event_of(net, "handoff_failed"))
    no_crash(net)
  end)

  it("is followed by terminate, and by nothing else", function()
    run(function()
      local order = {}
      local M = {}
      function M.handle_call() order[#order + 1] = "call" end
      function M.handoff(_, reason)
        order[#order + 1] = reason
        return 5
      end
      function M.terminate(_, reason) order[#order + 1] = reason end
      local pid = assert(server.start(M))
      local watch = core.monitor(pid)
      local handed
      local function permit(stage, state)
        if stage == "end" then handed = state end
        return true
      end
      local ref = server.request(pid,
        { "$system", "handoff", "leave", "shutdown", permit })
      local late = server.request(pid, "late")
      local answers = {}
      for _ = 1, 3 do
        local msg = core.receive()
        answers[msg.ref] = msg
      end
      assert.is_true(answers[ref][1])
      assert.equal(5, handed)
      assert.same({ nil, "noproc" }, { answers[late][1], answers[late][2] })
      assert.equal("shutdown", answers[watch].reason)
      assert.same({ "leave", "shutdown" }, order)
    end)
  end)
end)
