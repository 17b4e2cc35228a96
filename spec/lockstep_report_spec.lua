-- What a report of lockstep says to people.

local banyan = require "banyan"
local lockstep = require "banyan.lockstep"
local lua = require "spec.support.lua"
local server = require "banyan.server"
local supervisor = require "banyan.supervisor"

local function text_of(...)
  return tostring(lockstep.run(...))
end

local function has(text, part)
  assert.truthy(text:find(part, 1, true), text)
end

local function has_not(text, part)
  assert.falsy(text:find(part, 1, true), text)
end

local Echo = {}
function Echo.handle_call(_, msg) return msg end
function Echo.handle_cast() error("a bad cast", 0) end

describe("a report of lockstep", function()
  it("shows the body's own frames and none of lockstep's", function()
    local text = text_of(function() error "oh" end)
    has(text, "stack traceback:")
    has_not(text, "lockstep/play.lua")
    has_not(text, "xpcall")
  end)

  it("shows what is in a table that was raised", function()
    local report = lockstep.run(function()
      error { code = 7, { true, "no" } }
    end)
    assert.equal("error", report.kind)
    has(tostring(report), '{{true, "no"}, code = 7}')
  end)

  it("takes an address in an error's text for the same in each run", function()
    local report = lockstep.run(function() error(tostring {}, 0) end)
    assert.equal("error", report.kind)
  end)

  it("says how to run it again with the options that it had", function()
    local function body()
      banyan.sleep(5)
      error "late"
    end
    local report = lockstep.run(body, { clock = "idle", max_steps = 77 })
    local text = tostring(report)
    local tape, opts = text:match 'replay%(body, "(.-)", { (.*) }%)'
    assert.equal('clock = "idle", max_steps = 77', opts)
    local again = lockstep.replay(body, tape,
      { clock = "idle", max_steps = 77 })
    assert.same(report.tape, again.tape)
  end)

  it("calls a wait that a timer ended a time-out", function()
    local text = text_of(function()
      local sleeper = banyan.spawn(function() banyan.sleep(1000) end)
      local _, why = server.call(sleeper, "?", 10)
      banyan.receive(10)
      error(why, 0)
    end, { clock = "idle" })
    has(text, "goes on without an answer: time-out")
    has(text, "goes on without a message: time-out")
  end)

  it("names who starts, crashes and ends with it", function()
    local text = text_of(function()
      banyan.register "main"
      local echo = assert(server.start_link(Echo, nil, { name = "echo" }))
      server.cast(echo, 1)
      banyan.receive()
    end)
    has(text, "the body ended: a bad cast")
    has(text, "echo had crashed of this")
    has(text, "starts echo")
    has(text, "echo               begins")
    has(text, "echo               handles the cast 1; it, body end of an error")
  end)

  -- On LuaJIT what a process does between two waits is no step of its own.
  local each_step = math.type and it or pending
  each_step("tells of whom a name stands for by that name", function()
    local text = text_of(function()
      banyan.register "main"
      assert(server.start_link(Echo, nil, { name = "echo" }))
      server.call("echo", 1)
      banyan.whereis "echo"
      banyan.whereis "nobody"
      banyan.send("main", 2)
      banyan.unregister "main"
      error "enough"
    end, { clock = "idle" })
    has(text, "registers the name main, starts echo\n")
    has(text, "calls echo\n")
    has(text, "looks up the name echo\n")
    has(text, "looks up a name\n")
    has(text, "sends to main\n")
    has(text, "gives up the name main; ")
  end)

  it("says who waits for whom to start", function()
    local Slow = { name = "slow", init = function() banyan.receive() end }
    local text = text_of(function()
      banyan.spawn(banyan.receive)
      local function start() return server.start_link(Slow) end
      supervisor.start_link({ { id = 1, start = start } }, { name = "top" })
    end)
    has(text, "body (process) waits for an answer of top")
    has(text, "top (supervisor) waits for an answer of slow")
    has(text, "slow (server) waits for a message")
  end)

  it("says of which node an answer is awaited where a name was called",
    function()
      local text = text_of(function()
        local cluster = lockstep.cluster { nodes = 2 }
        local a, b = cluster.nodes[1], cluster.nodes[2]
        cluster:spawn(a, function()
          banyan.register "mute"
          banyan.receive(function() end)
        end)
        banyan.sleep(1)
        cluster:spawn(b, function()
          banyan.register "asker"
          server.call({ name = "mute", node = a }, 1, math.huge)
        end)
        banyan.receive()
      end, { clock = "idle" })
      has(text, "asker on n2@lockstep:1 (process) waits for an answer of "
        .. "n1@lockstep:1\n")
    end)

  it("calls processes the same in a list and in the steps", function()
    local text = text_of(function()
      banyan.spawn(banyan.receive)
      banyan.receive()
    end)
    local name = text:match "ms  body[^\n]* (process %d+%.%d+)"
    has(text, name .. " waits for a message")
  end)
end)

describe("lockstep", function()
  it("keeps nothing of a run that is over", function()
    local function runs(n)
      for _ = 1, n do
        lockstep.run(function() error "oh" end, { iterations = 1 })
      end
      return lua.in_use()
    end
    local before = runs(300)
    assert.is_true(runs(300) - before < 100)
  end)
end)

describe("a report of lockstep about a cluster", function()
  it("says what was done to it, where, and what was delivered", function()
    local text = text_of(function()
      local cluster = lockstep.cluster { nodes = 2 }
      local a, b = cluster.nodes[1], cluster.nodes[2]
      cluster:spawn(a, function()
        banyan.register "waiter"
        banyan.receive()
      end)
      banyan.sleep(1)
      cluster:spawn(b, function()
        banyan.send({ name = "waiter", node = a }, "hello")
      end)
      banyan.sleep(1)
      cluster:isolate(a)
      error "enough"
    end, { clock = "idle" })
    has(text, "\n                   * isolate n1@lockstep:1\n")
    has(text, "delivers n2@lockstep:1 -> n1@lockstep:1")
    has(text, ", for waiter on n1@lockstep:1")
    has_not(text, "on body@")
    local seen = {}
    for number in text:gmatch "\n +(%d+) +%d+ ms" do
      assert.is_nil(seen[number], "step " .. number .. " is listed twice")
      seen[number] = true
    end
  end)
end)
