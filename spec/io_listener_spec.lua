-- Listeners of banyan.io, misuse of it, and how programs that use it end.

local address = require "spec.support.address"
local banyan = require "banyan"
local core = require "banyan.core"
local lockstep = require "banyan.lockstep"
local program = require "spec.support.program"
local sockets = require "banyan.io"
local supervisor = require "banyan.supervisor"
local support = require "spec.support.sockets"
local uv = require "luv"

local ANY = support.ANY
local count = support.count
local echo = support.echo
local eventually = support.eventually
local fails = support.fails
local on_node = support.on_node
local pair = support.pair

describe("a listener", function()
  it("listens on IPv6 and on Unix sockets", function()
    on_node(function()
      local path = os.tmpname()
      os.remove(path)
      local kinds = { "unix:" .. path }
      local six = sockets.listen "[::1]:0" -- where there is IPv6
      if six then
        kinds[2] = six:address()
        assert.matches("^%[::1%]:%d+$", kinds[2])
        six:close()
      end
      for _, at in ipairs(kinds) do
        local listener = assert(sockets.listen(at))
        assert.equal(at, listener:address())
        local client = assert(sockets.connect(at))
        local socket = assert(listener:accept())
        socket:write "hello\n"
        assert.equal("hello", client:read "line")
        if at:find "^unix" then assert.equal(at, client:peer()) end
        assert.equal("string", type(socket:peer()))
        listener:close()
      end
      assert.is_nil(uv.fs_stat(path))
    end)
  end)

  it("takes the place of a Unix socket that was left over", function()
    local path = os.tmpname()
    os.remove(path)
    local child = program([[
      local banyan = require "banyan"
      banyan.run(function()
        assert(require "banyan.io".listen("unix:" .. os.getenv "AT"))
        print "listens"
        io.stdout:flush()
        banyan.sleep(math.huge)
      end)
    ]], { env = { AT = path } })
    child:wait_for "listens"
    on_node(function()
      assert.same({ nil, "eaddrinuse" }, { sockets.listen("unix:" .. path) })
    end)
    child:kill "sigkill"
    child:finish()
    assert.equal("socket", uv.fs_stat(path).type)
    on_node(function()
      local listener = assert(sockets.listen("unix:" .. path))
      assert.is_truthy(sockets.connect("unix:" .. path))
      listener:close()
      -- What is no socket stays.
      local file = assert(io.open(path, "w"))
      file:close()
      assert.same({ nil, "eaddrinuse" }, { sockets.listen("unix:" .. path) })
    end)
    assert.equal("file", uv.fs_stat(path).type)
    os.remove(path)
  end)

  it("removes no socket that is another one's by now", function()
    local path = os.tmpname()
    on_node(function()
      os.remove(path)
      local first = assert(sockets.listen("unix:" .. path))
      assert(uv.fs_unlink(path))
      local second = assert(sockets.listen("unix:" .. path))
      first:close()
      assert.is_truthy(sockets.connect("unix:" .. path))
      second:close()
      assert.is_nil(uv.fs_stat(path))
    end)
  end)

  it("answers why it cannot", function()
    on_node(function()
      local listener = assert(sockets.listen(ANY))
      assert.same({ nil, "eaddrinuse" },
        { sockets.listen(listener:address()) })
      assert.same({ nil, "timeout" }, { listener:accept(10) })
      local at = listener:address()
      listener:close()
      assert.same({ nil, "closed" }, { listener:accept() })
      assert.same({ nil, "closed" }, { listener:address() })
      assert.same({ nil, "closed" }, { listener:serve(echo) })
      assert.equal("listener<closed>", tostring(listener))
      assert.same({ nil, "econnrefused" }, { sockets.connect(at) })
      assert.same({ nil, "enoent" },
        { sockets.connect "unix:/nowhere/at/all" })
      assert.is_nil((sockets.listen "unix:/nowhere/at/all"))
      assert.is_nil((sockets.listen "999.1.1.1:1"))
      assert.same({ nil, "enametoolong" },
        { sockets.listen("unix:/tmp/" .. ("x"):rep(200)) })
      for _, text in ipairs {
        "", "nothing", "host:", ":1", "host:65536", "host:-1", "::1:80",
        "[::1]", "unix:", "a b:1", "host:1x",
      } do
        for _, fn in ipairs { sockets.listen, sockets.connect } do
          local none, why = fn(text)
          assert.is_nil(none)
          assert.same({ "bad_address", text }, { why[1], why[2] })
        end
      end
    end)
  end)

  it("is restarted at once by its supervisor, on its port", function()
    local events = on_node(function()
      local at = "127.0.0.1:" .. address.free_port()
      local starts, pid = 0, nil
      assert(supervisor.start_link({ {
        id = "listener",
        start = function()
          starts = starts + 1
          local listener, why = sockets.listen(at)
          if not listener then return nil, why end
          pid = listener:serve(echo)
          return pid
        end,
      } }, { max_restarts = 100 }))
      for i = 1, 20 do
        local client = assert(sockets.connect(at))
        client:write "hello"
        assert.equal("hello", client:read(5))
        pid:exit "kill"
        eventually(function() return starts == i + 1 end)
        client:write "again" -- the connection goes on
        assert.equal("again", client:read(5))
        client:close()
      end
    end)
    assert.equal(0, count(events, "child_start_failed"))
    assert.equal(20, count(events, "child_restarted"))
  end)

  it("serves each connection by a process of its own", function()
    local events = on_node(function()
      local listener = assert(sockets.listen(ANY))
      local at = listener:address()
      local pid = listener:serve(function(socket)
        for line in socket:lines() do
          if line == "crash" then error "as asked" end
          socket:write(line .. "\n")
        end
      end)
      fails("belongs to " .. tostring(pid), listener.accept, listener)
      local a, b = assert(sockets.connect(at)), assert(sockets.connect(at))
      a:write "one\n"
      assert.equal("one", a:read "line")
      a:write "crash\n"
      assert.same({ nil, "closed" }, { a:read() })
      b:write "two\n"
      assert.equal("two", b:read "line")
      assert.is_true(pid:is_alive())
      banyan.unlink(pid)
      pid:exit "over"
      b:write "three\n"
      assert.equal("three", b:read "line")
      assert.same({ nil, "econnrefused" }, { sockets.connect(at) })
    end)
    assert.equal(1, count(events, "process_crashed"))
  end)

  it("goes on serving after an accept that failed", function()
    local events = on_node(function()
      local listener = assert(sockets.listen(ANY))
      local at = listener:address()
      listener:serve(echo)
      local l = core.referent(listener, debug.getmetatable(listener))
      eventually(function() return l.waits end)
      l.failed = "emfile"
      l.done(true)
      local client = assert(sockets.connect(at))
      client:write "x"
      assert.equal("x", client:read(1))
    end)
    assert.equal(1, count(events, "accept_failed"))
  end)

  it("stops to accept at max_connections, and starts again", function()
    on_node(function()
      local listener = assert(sockets.listen(ANY))
      local at = listener:address()
      local now, most, served = 0, 0, 0
      listener:serve(function(socket)
        now, served = now + 1, served + 1
        most = math.max(most, now)
        socket:write "welcome"
        socket:read()
        now = now - 1
      end, { max_connections = 3 })
      local clients = {}
      for i = 1, 10 do clients[i] = assert(sockets.connect(at)) end
      eventually(function() return served == 3 end)
      assert.same({ nil, "timeout" }, { clients[4]:read(7, 50) })
      for i = 1, 10 do
        assert.equal("welcome", clients[i]:read(7))
        clients[i]:close()
      end
      eventually(function() return now == 0 end)
      assert.equal(10, served)
      assert.equal(3, most)
    end)
  end)
end)

describe("banyan.io", function()
  it("is misuse outside of processes", function()
    local node = banyan.start { on_event = false }
    fails("banyan.io.listen outside a process", sockets.listen, ANY)
    fails("banyan.io.connect outside a process", sockets.connect, ANY)
    node:stop()
  end)

  it("is misuse with another driver, and under lockstep", function()
    local node = banyan.start { driver = "manual", on_event = false }
    local ok, err
    node:spawn(function() ok, err = pcall(sockets.listen, ANY) end)
    node:step(0)
    node:stop()
    assert.is_false(ok)
    assert.matches('needs a node with the driver "luv"; this one has "manual"',
      err, 1, true)
    lockstep.check(function()
      ok, err = pcall(sockets.connect, ANY)
    end, { iterations = 1 })
    assert.is_false(ok)
    assert.matches("there are no sockets under lockstep", err, 1, true)
  end)

  it("is misuse with wrong arguments, named at the program's line", function()
    on_node(function()
      local function wrong(what, fn, ...)
        local args, n = { ... }, select("#", ...)
        local unpack = table.unpack or unpack -- luacheck: ignore
        local ok, err = pcall(function()
          local result = fn(unpack(args, 1, n))
          return result
        end)
        assert.is_false(ok)
        assert.matches(what, err, 1, true)
        assert.matches("^spec/io_listener_spec.lua:%d+: ", err)
      end
      local a = pair()
      wrong("the address must be a string, got number", sockets.listen, 80)
      wrong('unknown option "backlog"', sockets.listen, ANY, { backlog = 1 })
      wrong('option "high_water"', sockets.connect, ANY, { high_water = 0 })
      wrong('option "timeout"', sockets.connect, ANY, { timeout = -1 })
      wrong("how must be nil", a.read, a, 0)
      wrong("how must be nil", a.read, a, "lines")
      wrong("socket:read: timeout must be", a.read, a, 1, "soon")
      wrong("a string or a list of strings expected", a.write, a, 5)
      wrong("a string or a list of strings expected", a.write, a, { {} })
      wrong("socket:read: a socket expected, got table", a.read, {})
      local listener = assert(sockets.listen(ANY))
      wrong("listener:accept: a listener expected", listener.accept, a)
      wrong("fn must be a function", listener.serve, listener, 1)
      wrong('unknown option "max"', listener.serve, listener, echo,
        { max = 1 })
    end)
  end)

  it("makes an event of an error in a callback of its own", function()
    local events = on_node(function()
      local a, b = pair()
      local s = core.referent(b, debug.getmetatable(b))
      local buffer = s.buffer
      s.buffer = nil
      b:active(false)
      a:write "x"
      assert.is_false(pcall(b.read, b, 1, 10))
      s.buffer = buffer
      s.reading = false
      s.on_read(nil, nil)
      assert.same({ nil, "closed" }, { b:read() })
      s.buffer, s.over = nil, nil
      s.on_read(nil, "x")
    end)
    assert.equal(1, count(events, "callback_error"))
  end)

  it("reads and writes all while processes are preempted", function()
    on_node(function()
      local listener = assert(sockets.listen(ANY))
      local at = listener:address()
      listener:serve(function(socket)
        for line in socket:lines() do
          local n = 0
          for i = 1, 3000 do n = n + i % 7 end
          socket:write(line .. "\n")
        end
      end)
      local refs = {}
      for k = 1, 4 do
        local _, ref = banyan.spawn_monitor(function()
          local client = assert(sockets.connect(at))
          for i = 1, 150 do
            local text = ("%d:%d:"):format(k, i):rep(1 + i * 37 % 400)
            assert(client:write { text, "\n" })
            if i % 3 == 0 then assert(client:write "extra\n") end
            assert(client:read "line" == text)
            if i % 3 == 0 then assert(client:read "line" == "extra") end
          end
        end)
        refs[ref] = true
      end
      for _ = 1, 4 do
        local m = banyan.receive()
        assert.is_true(refs[m.ref])
        assert.equal("normal", m.reason)
      end
    end, { preempt = { slice_ms = 1 } })
  end)

  it("closes what processes have when its node stops", function()
    local at
    local node = banyan.start { on_event = false }
    node:spawn(function()
      local listener = assert(sockets.listen(ANY))
      at = listener:address()
      listener:serve(echo)
      banyan.sleep(math.huge)
    end)
    repeat uv.run "nowait" until at
    node:stop()
    on_node(function()
      assert.same({ nil, "econnrefused" }, { sockets.connect(at) })
    end)
  end)
end)

-- Each of these once ended in a crash of luv, when the Lua state was closed.
describe("a program ends well", function()
  local function ends(code, at, said)
    local child = program(code, { env = { AT = at } })
    local status, signal = child:finish()
    assert.equal(0, signal, child.err)
    assert.equal(0, status, child.err)
    assert.matches(said, child.out, 1, true)
  end

  local taken, port
  before_each(function()
    taken = uv.new_tcp()
    port = address.free_port()
    assert(taken:bind("127.0.0.1", port))
    assert(taken:listen(1, function() end))
  end)
  after_each(function()
    taken:close()
    uv.run "nowait"
  end)

  it("whose node's port is in use", function()
    ends([[
      local banyan = require "banyan"
      local opts = { name = "x@127.0.0.1:" .. os.getenv "AT", on_event = false,
        secret = "a secret of this spec" }
      print(banyan.start(opts))
      print(pcall(banyan.run, opts, print))
    ]], tostring(port), "address already in use")
  end)

  it("whose listener's port is in use", function()
    ends([[
      local banyan, sockets = require "banyan", require "banyan.io"
      banyan.run(function()
        print(sockets.listen("127.0.0.1:" .. os.getenv "AT"))
      end)
    ]], tostring(port), "eaddrinuse")
  end)

  it("which leaves sockets and closes in the last moment", function()
    ends([[
      local banyan, sockets = require "banyan", require "banyan.io"
      local node = banyan.start { on_event = false }
      local said
      node:spawn(function()
        local listener = assert(sockets.listen "127.0.0.1:0")
        local client = assert(sockets.connect(listener:address()))
        local socket = assert(listener:accept())
        socket:write(("x"):rep(10000000))
        socket:close()
        listener:close()
        said = true
        banyan.sleep(math.huge)
      end)
      repeat require "luv".run "nowait" until said
      print "the node was not stopped"
    ]], nil, "the node was not stopped")
  end)

  it("which asks for a host's address, and does not wait", function()
    ends([[
      local banyan, sockets = require "banyan", require "banyan.io"
      banyan.run(function()
        print(sockets.connect("localhost.invalid:1", { timeout = 0 }))
      end)
    ]], nil, "nil\t")
  end)
end)
