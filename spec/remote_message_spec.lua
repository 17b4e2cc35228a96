-- Messages to another node, and the values that they can contain.

local core = require "banyan.core"
local finalizer = require "spec.support.finalizer"
local lua = require "spec.support.lua"
local pair = require "spec.alloc.pair"
local remote = require "spec.support.remote"

local A, B, C = remote.A, remote.B, remote.C
local spawn_on = remote.spawn_on
local servant = remote.servant
local assert_unrelated = remote.assert_unrelated

local net
local function nodes(...) net = remote.nodes(...) end

after_each(remote.close)

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

  it("keeps nil and false, alone and in tables", function()
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

  it("of several fragments arrives as one", function()
    local big = { head = "h" }
    for i = 1, 3000 do big[i] = ("%d:"):format(i) .. ("y"):rep(i % 700) end
    assert.same({ big }, echoed(big))
  end)

  it("keeps a reason and its text", function()
    local back
    local pid = servant(B)
    net:on(A, function()
      core.send(pid, { echo = core.reason { "oops", 1 }, to = core.self() })
      back = core.receive()
    end)
    assert.equal("oops: 1", tostring(back))
  end)

  it("with a value that cannot be sent is an error", function()
    local pid = servant(B)
    net:on(A, function()
      local me = core.self()
      for kind, value in pairs {
        ["function"] = print, userdata = io.stdout, thread =
        coroutine.create(print), cdata = jit and require("ffi").new("int64_t"),
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

  it("to a name that no process has there is dropped", function()
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

  it("to a name on its own node is sent there", function()
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

it("pids and refs of all nodes are equal on all nodes", function()
  nodes { A, B, C }
  local echo, third = servant(B), servant(C)
  net:settle() -- B and C connect to each other
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

describe("a finalizer that sends to the node of a message", function()
  local got, here, pid

  local function receiver()
    while true do
      local msg = core.receive()
      got[msg.from] = got[msg.from] + 1
    end
  end

  before_each(function()
    pair.make()
    got = { program = 0, finalizer = 0 }
    here = pair.nodes[1]
    pid = pair.nodes[2]:spawn(receiver)
    here:spawn(function() assert(core.connect(pair.names[2])) end)
    pair.step(20)
  end)

  after_each(function()
    lua.calm()
    finalizer.never()
    for _, node in ipairs(pair.nodes) do node:close() end
  end)

  -- Where a C function needs a longer stack, garbage is collected before it is
  -- called. Each depth of the stack is tried, while finalizers are due.
  it("leaves the message as it is", function()
    local message, other = { from = "program" }, { from = "finalizer" }
    local called
    local function send_other()
      called = true
      pcall(core.send, pid, other) -- outside of a process it cannot
    end
    local function send(...)
      local numbers = {} -- it grows, and the collector is not called for that
      for i = 1, 100 do numbers[i] = i end
      core.send(pid, message)
      core.receive()
      return #numbers, ...
    end
    lua.trickle()
    for depth = 1, 80 do
      for _ = 1, 1000 do lua.collected(send_other) end
      called = false
      while not called do collectgarbage("step", 0) end
      here:spawn(function() send(table.unpack({}, 1, depth)) end)
      pair.step(2)
    end
    lua.calm()
    pair.step(2)
    assert.equal(80, got.program)
  end)

  it("sends also while the error of a message is made", function()
    local sent, refused, done = 0, 0, false
    here:spawn(function()
      finalizer.often(function()
        if done or sent == 1000 then return end
        local ok = pcall(core.send, pid, { from = "finalizer" })
        if ok then sent = sent + 1 end
      end)
      collectgarbage() -- the next cycle begins at once
      for _ = 1, 5000 do
        if not pcall(core.send, pid, { print }) then refused = refused + 1 end
      end
      done = true
      core.send(pid, { from = "program" })
    end)
    pair.step(20)
    assert.equal(5000, refused)
    assert.equal(1, got.program)
    assert.is_true(sent > 0)
    assert.equal(sent, got.finalizer)
  end)
end)
