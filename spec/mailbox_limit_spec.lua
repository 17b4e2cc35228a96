-- Mailboxes that grow long, and those that have a limit.

local banyan = require "banyan"
local core = require "banyan.core"
local pair = require "spec.support.pair"
local run = require "spec.support.run"
local server = require "banyan.server"

local unpack = table.unpack or unpack

local function pass(events, ...)
  local wanted, list = {}, {}
  for _, name in ipairs { ... } do wanted[name] = true end
  for _, event in ipairs(events) do
    if wanted[event.event] then list[#list + 1] = event end
  end
  return list
end

local function drain()
  local list = {}
  while true do
    local message, why = core.receive(0)
    if why == "timeout" then return list end
    list[#list + 1] = message
  end
end

-- A process with that limit; `go` lets it send the caller what it has received.
local function limited(n, what)
  local me = core.self()
  local pid, ref = core.spawn_monitor(function()
    banyan.set_max_mailbox(n, what)
    core.trap_exit(true)
    core.sleep(10)
    me:send { got = drain() }
    core.sleep(1000)
  end)
  core.sleep(1)
  return pid, ref
end

local function got()
  return banyan.receive(function(m) return m.got end, 100).got
end

describe("a long mailbox", function()
  local function lengths(body)
    local events, list = {}, {}
    run(body, { events = events })
    for i, event in ipairs(pass(events, "mailbox_long")) do
      list[i] = event.length
    end
    return list, events
  end

  it("is an event at 10,000 messages and at each doubling", function()
    local list, events = lengths(function()
      banyan.set_label("slow")
      core.register("slow")
      for i = 1, 45000 do core.send(core.self(), i) end
    end)
    assert.same({ 10000, 20000, 40000 }, list)
    local event = pass(events, "mailbox_long")[1]
    assert.equal("slow", event.label)
    assert.equal("slow", event.name)
    assert.equal("pid", tostring(event.pid):match "^%a+")
    assert.equal("warning", banyan.log.level(event))
  end)

  it("is one again only after it was half as long", function()
    local me
    local function fill(to)
      while core.process_info(me).message_queue_len < to do me:send(1) end
    end
    local function empty(to)
      while core.process_info(me).message_queue_len > to do core.receive() end
    end
    assert.same({ 10000, 20000, 10000 }, (lengths(function()
      me = core.self()
      fill(10000)
      empty(5001)
      fill(10001)
      empty(9000)
      fill(20001)
      empty(5002)
      fill(19999)
      empty(4000)
      fill(10001)
    end)))
  end)
end)

describe("set_max_mailbox", function()
  it("drops the newest messages, and tells how many", function()
    local events = {}
    run(function()
      local pid = limited(3, "drop")
      for i = 1, 10 do pid:send { i } end
      assert.same({ { 1 }, { 2 }, { 3 } }, got())
      core.send(pid, "again")
    end, { events = events })
    local list = pass(events, "mailbox_full", "mailbox_drained")
    assert.equal(2, #list)
    assert.same({ "mailbox_full", 3, "drop" },
      { list[1].event, list[1].max, list[1].action })
    assert.same({ "mailbox_drained", 7 }, { list[2].event, list[2].dropped })
  end)

  it("tells how many were dropped of one that ends full", function()
    local events = {}
    run(function()
      local pid = limited(1, "drop")
      for i = 1, 3 do pid:send { i } end
      pid:exit("kill")
      core.sleep(1)
    end, { events = events })
    local list = pass(events, "mailbox_full", "mailbox_drained")
    assert.equal(2, #list)
    assert.equal(2, list[2].dropped)
  end)

  it("never drops what the system sends", function()
    run(function()
      local module = { handle_call = function(_, m) return m end }
      local replier = assert(server.start(module))
      local me = core.self()
      core.spawn(function()
        banyan.set_max_mailbox(1, "drop")
        core.trap_exit(true)
        local dead = core.spawn_link(function() core.receive() end)
        core.monitor(dead)
        core.send_after(3, core.self(), { tag = "timer" })
        local interval = banyan.send_interval(3, core.self(), { tag = "tick" })
        core.self():send { tag = "first" }
        server.request(replier, 1)
        dead:exit("gone")
        core.self():send { tag = "dropped" }
        core.sleep(7)
        core.cancel_timer(interval)
        local tags = {}
        for i, message in ipairs(drain()) do tags[i] = message.tag end
        me:send { got = tags }
      end)
      local tags = got()
      table.sort(tags)
      assert.same({ "DOWN", "EXIT", "first", "reply", "timer" }, tags)
    end)
  end)

  it("kills with a reason that says so, also one that traps exits", function()
    local events = {}
    run(function()
      local pid, ref = limited(3, "kill")
      for i = 1, 3 do pid:send { i } end
      core.sleep(1)
      assert.is_true(pid:is_alive())
      pid:send { 4 }
      local down = core.receive(100)
      assert.equal(ref, down.ref)
      assert.same({ "mailbox_full", 3 }, { down.reason[1], down.reason[2] })
    end, { events = events })
    local list = pass(events, "mailbox_full", "mailbox_drained")
    assert.equal(1, #list)
    assert.equal("kill", list[1].action)
  end)

  it("kills one that fills its own mailbox, at that call", function()
    run(function()
      local count = 0
      local _, ref = core.spawn_monitor(function()
        banyan.set_max_mailbox(3, "kill")
        while count < 100 do
          count = count + 1
          core.send(core.self(), { count })
        end
      end)
      local down = core.receive(100)
      assert.equal(ref, down.ref)
      assert.equal("mailbox_full", down.reason[1])
      assert.equal(4, count)
    end)
  end)

  it("may be set again, and taken away", function()
    run(function()
      local me = core.self()
      banyan.set_max_mailbox(2, "kill")
      banyan.set_max_mailbox(1, "drop")
      for i = 1, 5 do me:send { i } end
      assert.same({ { 1 } }, drain())
      banyan.set_max_mailbox(math.huge)
      for i = 1, 5 do me:send { i } end
      assert.equal(5, #drain())
    end)
  end)

  it("requires a number of messages, and what then", function()
    run(function()
      for _, args in ipairs {
        {}, { 0, "drop" }, { -1, "drop" }, { 1.5, "drop" }, { "5", "drop" },
        { 2 ^ 31, "drop" }, { 5 }, { 5, "keep" }, { {}, "drop" },
      } do
        assert.is_false(pcall(banyan.set_max_mailbox, unpack(args, 1, 2)))
      end
    end)
    assert.is_false(pcall(banyan.set_max_mailbox, 5, "drop"))
  end)
end)

describe("the option max_mailbox of a server", function()
  local Slow = {}
  function Slow.handle_call(_, ms)
    core.sleep(ms)
    return ms
  end
  function Slow:handle_cast(n) self.sum = (self.sum or 0) + n end

  it("drops casts, and answers calls mailbox_full at once", function()
    run(function()
      local pid = assert(server.start_link(Slow, nil,
        { max_mailbox = { 2, "drop" } }))
      core.spawn(function() server.call(pid, 50) end)
      core.sleep(1)
      for _ = 1, 5 do server.cast(pid, 1) end
      local began = core.now()
      assert.same({ nil, "mailbox_full" }, { server.call(pid, 0) })
      assert.equal(began, core.now())
      local reply = banyan.receive(server.request(pid, 0), 0)
      assert.equal("mailbox_full", reply[2])
      assert.equal(2, server.get_state(pid).sum)
      assert.equal(0, server.call(pid, 0))
      assert.is_true(server.stop(pid))
    end)
  end)

  it("holds for what comes from another node", function()
    pair(function(b)
      b:spawn(function()
        server.start(Slow, nil, { name = "slow", max_mailbox = { 2, "drop" } })
        core.receive()
      end)
      local far = { name = "slow", node = b:name() }
      while select(2, server.call(far, 0)) == "noproc" do core.sleep(1) end
      core.spawn(function() server.call(far, 50) end)
      core.sleep(1)
      for _ = 1, 5 do server.cast(far, 1) end
      assert.same({ nil, "mailbox_full" }, { server.call(far, 0, 20) })
      assert.equal(2, server.get_state(far).sum)
      assert.equal(0, server.call(far, 0))
    end)
  end)

  it("ends the server with kill, for its callers too", function()
    run(function()
      local pid = assert(server.start(Slow, nil,
        { max_mailbox = { 2, "kill" } }))
      local first = server.request(pid, 50)
      core.sleep(1)
      for _ = 1, 3 do server.cast(pid, 1) end
      local reply = banyan.receive(first, 0)
      assert.same({ "mailbox_full", 2 }, { reply[2][1], reply[2][2] })
      assert.is_false(pid:is_alive())
    end)
  end)

  it("must be a number and what then", function()
    run(function()
      for _, wrong in ipairs {
        5, {}, { 5 }, { 0, "drop" }, { 5, "keep" }, { "5", "drop" },
        { 2 ^ 31, "kill" },
      } do
        local ok, err = pcall(server.start, Slow, nil, { max_mailbox = wrong })
        assert.is_false(ok)
        assert.matches('option "max_mailbox" must be {n, "drop"}', err)
      end
    end)
  end)
end)
