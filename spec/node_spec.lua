-- Nodes: names, secrets, options, the drivers and events.

local uv = require "luv"
local banyan = require "banyan"
local core = require "banyan.core"
local names = require "banyan.name"
local address = require "spec.support.address"
local lua = require "spec.support.lua"
local program = require "spec.support.program"

local SECRET = "secret of the spec"

local free_port = address.free_port
local fresh_name = address.fresh_name

-- Not every machine has IPv6.
local function has_ipv6()
  local socket = uv.new_tcp()
  local ok, bound = pcall(uv.tcp_bind, socket, "::1", 0)
  ok = ok and bound and uv.listen(socket, 1, function() end)
  socket:close()
  uv.run "nowait"
  return ok
end

-- Runs the loop until `done` answers true.
local function pump(done)
  local timer, ticks = uv.new_timer(), 0
  timer:start(10, 10, function() ticks = ticks + 1 end) -- so no turn blocks
  while not done() and ticks < 3000 do uv.run("once") end
  timer:close()
  uv.run("nowait")
  assert(done(), "what was waited for did not come")
end

local function with_folder(body)
  local folder = assert(uv.fs_mkdtemp(
    (os.getenv("TMPDIR") or "/tmp") .. "/banyan-spec-XXXXXX"))
  local ok, err = xpcall(function() body(folder) end, debug.traceback)
  os.execute("rm -rf '" .. folder .. "'")
  if not ok then error(err, 0) end
end

local function read(path)
  local file = assert(io.open(path))
  local text = file:read("*a")
  file:close()
  return text
end

describe("a node's name", function()
  it("has a host and a port", function()
    assert.same({ host = "127.0.0.1", port = 9101 },
      names.parse("a@127.0.0.1:9101"))
    assert.same({ host = "example.org", port = 1 },
      names.parse("a-b.c@example.org:1"))
    assert.same({ host = "::1", port = 9101 }, names.parse("a@[::1]:9101"))
  end)

  it("is refused with an error that says what is wrong", function()
    local wrong = {
      ["a"] = '"@" is missing',
      ["@h:1"] = 'nothing stands before "@"',
      ["a@h"] = "the port is missing",
      ["a@:1"] = "the host is missing",
      ["a@h:0"] = '"0" is no port',
      ["a@h:65536"] = '"65536" is no port',
      ["a@h:1e3"] = '"1e3" is no port',
      ["a@h:"] = '"" is no port',
      ["a b@h:1"] = "it has a blank in it",
      ["a@h\n:1"] = "it has a blank in it",
      ["a@b@c:1"] = '"b@c" is no host',
      ["a@::1:9101"] = "in brackets",
      ["a@[::1]9101"] = 'after "]" comes ":port"',
      ["a@[x]:1"] = '"x" is no IPv6 address',
      [("x"):rep(250) .. "@h:9101"] = "at most 255 bytes",
    }
    for text, why in pairs(wrong) do
      local parsed, err = names.parse(text)
      assert.is_nil(parsed, text)
      assert.matches(why, err, 1, true)
    end
  end)

  it("gives its port to a listen address without one", function()
    assert.same({ host = "0.0.0.0", port = 7 }, names.address("0.0.0.0", 7))
    assert.same({ host = "h", port = 8 }, names.address("h:8", 7))
    assert.same({ host = "::", port = 7 }, names.address("::", 7))
    assert.same({ host = "::1", port = 8 }, names.address("[::1]:8", 7))
    assert.is_nil((names.address("h:x", 7)))
  end)

  it("says whether its host is a loopback address", function()
    for _, host in ipairs { "127.0.0.1", "127.9.9.9", "::1", "localhost" } do
      assert.is_true(names.is_loopback(host))
    end
    for _, host in ipairs { "0.0.0.0", "10.0.0.1", "::", "127.example.org",
      "localhost.example.org" } do
      assert.is_false(names.is_loopback(host))
    end
  end)
end)

describe("a node that another one has something for", function()
  -- The loop is in the turn of one, and would wait for a timer of the other.
  local function waits_after(give)
    local other = assert(banyan.start { on_event = false })
    other:spawn(function()
      banyan.register("idle")
      banyan.sleep(math.huge)
    end)
    local ms = banyan.run({ on_event = false }, function()
      banyan.sleep(20)
      give(other)
      return uv.backend_timeout()
    end)
    other:stop()
    return ms
  end

  it("has the loop go on at once", function()
    assert.equal(0, waits_after(function(other) other:spawn(type, 1) end))
    assert.equal(0, waits_after(function(other) other:send("idle", 1) end))
  end)
end)

describe("banyan.start", function()
  local function complaint(opts)
    local ok, err = pcall(function() return (banyan.start(opts)) end)
    assert.is_false(ok)
    return err
  end

  it("points at the caller and names the option that is wrong", function()
    local line = debug.getinfo(1, "l").currentline + 1
    local _, err = pcall(function() local _ = banyan.start { nmae = 1 } end)
    assert.matches("node_spec.lua:" .. line .. ": banyan.start: unknown "
      .. 'option "nmae"', err, 1, true)
    assert.matches('option "name": "a" is no node name',
      complaint { name = "a" }, 1, true)
    assert.matches('option "listen": "h:x" is no address',
      complaint { name = "a@h:1", listen = "h:x" }, 1, true)
    assert.matches('option "connect", [2]: "b" is no node name',
      complaint { name = "a@h:1", connect = { "b@h:1", "b" } }, 1, true)
    assert.matches('option "listen" needs the option "name"',
      complaint { listen = "h" }, 1, true)
    assert.matches('option "secret": a cluster secret has at least 8 bytes',
      complaint { name = "a@h:1", secret = "short" }, 1, true)
    assert.matches('"down_after_ms" (1000) must be greater than '
      .. '"heartbeat_ms" (1000)', complaint { down_after_ms = 1000 }, 1, true)
  end)

  it("lists the drivers that exist", function()
    assert.matches('no driver "libev"; there are "luv" and "manual"',
      complaint { driver = "libev" }, 1, true)
    assert.matches('"openresty" is not there yet',
      complaint { driver = "openresty" }, 1, true)
  end)

  it("answers that an address is in use, and leaves nothing behind", function()
    local name = fresh_name("a")
    local node = assert(banyan.start { name = name, secret = SECRET })
    local other, err = banyan.start {
      name = "b" .. name:sub(2), secret = SECRET,
    }
    assert.is_nil(other)
    assert.equal(("cannot listen on %s: address already in use")
      :format(name:sub(3)), err)
    assert.is_true(node:stop())
    assert.is_false(uv.loop_alive())
  end)

  it("answers that an address is not one of this machine", function()
    local node, err = banyan.start {
      name = "a@127.0.0.1:9101", listen = "192.0.2.1:9101", secret = SECRET,
    }
    assert.is_nil(node)
    assert.matches("^cannot listen on 192.0.2.1:9101: ", err)
  end)
end)

describe("a node on luv", function()
  it("does its work while the host runs the loop", function()
    local node = assert(banyan.start())
    local got
    node:spawn(function(a)
      banyan.register("echo")
      banyan.sleep(1)
      got = { a, banyan.receive() }
    end, 1)
    uv.run("nowait")
    assert.is_true(node:send("echo", "two"))
    pump(function() return got end)
    assert.same({ 1, "two" }, got)
    node:stop()
  end)

  it("takes calls of the module from outside of any process", function()
    local node = assert(banyan.start())
    local got
    local pid = banyan.spawn(function() got = banyan.receive() end)
    assert.is_true(banyan.send(pid, "hello"))
    pump(function() return got end)
    assert.equal("hello", got)
    node:stop()
  end)

  it("leaves the loop clean when it stops, and can start again", function()
    local name = fresh_name("a")
    for _ = 1, 3 do
      local node = assert(banyan.start { name = name, secret = SECRET })
      uv.run("nowait")
      node:stop()
      assert.is_false(uv.loop_alive())
      assert.equal(("node<%s> (stopped)"):format(name), tostring(node))
    end
  end)

  it("can be stopped in a callback of the running loop", function()
    local node = assert(banyan.start {
      name = fresh_name("a"), secret = SECRET,
    })
    local timer = uv.new_timer()
    timer:start(1, 0, function()
      timer:close()
      node:stop()
      node:stop()
    end)
    uv.run() -- ends only when no handle is left
    assert.has_error(function() node:spawn(print) end,
      "the node has been stopped")
  end)

  it("can be stopped by one of its processes", function()
    local node = assert(banyan.start())
    node:spawn(function() node:stop() end)
    uv.run()
    assert.matches("(stopped)", tostring(node), 1, true)
  end)

  it("connects by IPv4 address, by host name and by IPv6 address", function()
    local hosts = { "127.0.0.1", "localhost" }
    if has_ipv6() then hosts[3] = "[::1]" end
    for _, host in ipairs(hosts) do
      local port_a, port_b = free_port(), free_port()
      local a = assert(banyan.start {
        name = ("a@%s:%d"):format(host, port_a), secret = SECRET,
      })
      local b = assert(banyan.start {
        name = ("b@%s:%d"):format(host, port_b), secret = SECRET,
        connect = { a:name() },
      })
      local got
      a:spawn(function()
        banyan.register("echo")
        local message = banyan.receive()
        banyan.send(message.from, message)
      end)
      b:spawn(function()
        assert(banyan.connect(a:name()))
        banyan.send({ name = "echo", node = a:name() },
          { from = banyan.self(), text = ("x"):rep(300000) })
        got = banyan.receive().text
      end)
      pump(function() return got end)
      assert.equal(300000, #got)
      b:stop()
      a:stop()
      assert.is_false(uv.loop_alive())
    end
  end)

  it("is down for others at once when it stops", function()
    local events = {}
    local a = assert(banyan.start {
      name = fresh_name("a"), secret = SECRET,
      on_event = function(event) events[event.event] = event end,
    })
    local b = assert(banyan.start {
      name = fresh_name("b"), secret = SECRET, connect = { a:name() },
    })
    pump(function() return events.node_up end)
    b:stop()
    pump(function() return events.node_down end)
    assert.equal("shutdown", events.node_down.reason)
    assert.equal(b:name(), events.node_down.peer)
    a:stop()
  end)

  it("answers why a dial failed", function()
    local failed = {}
    local nobody = free_port()
    local a = assert(banyan.start {
      name = fresh_name("a"), secret = SECRET,
      connect = {
        ("b@127.0.0.1:%d"):format(nobody), "c@300.300.300.300:1",
      },
      on_event = function(event)
        if event.event == "link_failed" then
          failed[event.peer:sub(1, 1)] = event.reason
        end
      end,
    })
    pump(function() return failed.b and failed.c end)
    assert.equal("econnrefused", failed.b)
    a:stop()
    assert.is_false(uv.loop_alive())
  end)

  it("refuses a node with another secret, and goes on", function()
    local refused
    local a = assert(banyan.start {
      name = fresh_name("a"), secret = SECRET,
      on_event = function(event)
        if event.event == "link_refused" then refused = event end
      end,
    })
    local b = assert(banyan.start {
      name = fresh_name("b"), secret = "another secret",
      connect = { a:name() },
    })
    pump(function() return refused end)
    assert.equal("bad_secret", refused.reason)
    assert.equal("warning", banyan.log.level(refused))
    b:stop()
    a:stop()
  end)
end)

describe("a node on luv that stops", function()
  it("may be closed by a process meanwhile", function()
    local node, closed
    node = assert(banyan.start { on_event = false })
    node:spawn(function()
      banyan.trap_exit(true)
      require("banyan.supervisor").start_link({ { id = "child",
        start = function()
          return banyan.spawn_link(function()
            banyan.trap_exit(true)
            banyan.receive()
            node:close()
            closed = true
            banyan.sleep(math.huge)
          end)
        end } }, {})
      banyan.sleep(math.huge)
    end)
    node:spawn(function()
      banyan.sleep(20)
      node:stop()
    end)
    require("luv").run()
    assert.is_true(closed)
    assert.matches("stopped", tostring(node))
  end)

  it("kills what has not stopped within stop_ms", function()
    local node = assert(banyan.start { on_event = false, stop_ms = 20 })
    local pid = node:spawn(function()
      require("banyan.supervisor").start_link({ { id = "deaf",
        shutdown = "infinity", start = function()
          return banyan.spawn_link(function()
            banyan.trap_exit(true)
            while true do banyan.receive() end
          end)
        end } }, {})
      banyan.sleep(math.huge)
    end)
    node:spawn(function()
      banyan.sleep(20)
      assert(pid:is_alive())
      node:stop()
    end)
    require("luv").run()
    assert.matches("stopped", tostring(node))
  end)
end)

describe("a node with the driver manual", function()
  it("may be given times below 0", function()
    local node = assert(banyan.start { driver = "manual", on_event = false })
    local ticks = {}
    node:spawn(function()
      for i = 1, 3 do
        banyan.sleep(10)
        ticks[i] = banyan.now()
      end
    end)
    assert.equal(-90, node:step(-100))
    for now = -95, -60, 5 do node:step(now) end
    assert.same({ -90, -80, -70 }, ticks)
    node:stop()
  end)

  for _, method in ipairs { "close", "stop" } do
    it("may end by " .. method .. " of a process", function()
      local node = assert(banyan.start { driver = "manual", on_event = false })
      local called
      node:spawn(function()
        banyan.sleep(1)
        node[method](node)
        called = true
        banyan.sleep(math.huge)
      end)
      for now = 0, 5 do node:step(now) end
      assert.is_true(called)
      assert.matches("stopped", tostring(node))
      assert.is_nil(node:step(10))
    end)
  end

  it("runs by the host's clock and says when to call again", function()
    local node = assert(banyan.start { driver = "manual" })
    local woken
    node:spawn(function()
      banyan.sleep(50)
      woken = banyan.now()
    end)
    assert.equal(1050, node:step(1000))
    assert.is_nil(woken)
    assert.is_nil(node:step(1050))
    assert.equal(1050, woken)
    node:stop()
  end)

  it("needs an integer for a time", function()
    local node = assert(banyan.start { driver = "manual" })
    assert.has_error(function() node:step(1.5) end,
      "node:step: now must be an integer (milliseconds)")
    assert.has_error(function() node:step() end)
    node:stop()
    assert.has_error(function() node:step(1) end, "the node has been stopped")
  end)

  it("is the only kind that can be stepped", function()
    local node = assert(banyan.start())
    assert.has_error(function() node:step(1) end)
    node:stop()
  end)

  it("refuses a time that is not an integer, and goes on", function()
    local node = assert(banyan.start { driver = "manual" })
    for _, now in ipairs { 1e300, 2 ^ 60, math.huge, -math.huge, 0 / 0, 0.5,
      "1" } do
      local _, err = pcall(function() local _ = node:step(now) end)
      assert.matches("node_spec%.lua:%d+: node:step: now must be an integer",
        err)
    end
    local done
    node:spawn(function() done = true end)
    node:step(1)
    assert.is_true(done)
    node:stop()
  end)

  it("can be stopped by one of its processes", function()
    local node = assert(banyan.start { driver = "manual" })
    node:spawn(function()
      node:stop()
      banyan.sleep("infinity")
    end)
    for now = 1, 100 do
      if not tostring(node):find("stopped") then node:step(now) end
    end
    assert.matches("stopped", tostring(node))
  end)

  it("can be stopped by a process of another node", function()
    local node = assert(banyan.start { driver = "manual" })
    local other = assert(banyan.start { driver = "manual" })
    local ok
    other:spawn(function() ok = node:stop() end)
    other:step(0)
    assert.is_true(ok)
    for now = 1, 100 do
      if not tostring(node):find("stopped") then node:step(now) end
    end
    assert.matches("stopped", tostring(node))
    other:stop()
  end)

  it("connects when the host carries its bytes", function()
    local a = assert(banyan.start {
      driver = "manual", name = "a@127.0.0.1:9101", secret = SECRET,
    })
    local b = assert(banyan.start {
      driver = "manual", name = "b@127.0.0.1:9102", secret = SECRET,
      connect = { "a@127.0.0.1:9101" },
    })
    local got
    a:spawn(function()
      banyan.register("box")
      got = banyan.receive()
    end)
    b:spawn(function()
      assert(banyan.connect("a@127.0.0.1:9101"))
      banyan.send({ name = "box", node = "a@127.0.0.1:9101" }, "by hand")
    end)
    local links = { [a] = {}, [b] = {} } -- link -> the other end's link
    local function carry(from, to, now)
      for what, link, more in from.action, from do
        if what == "dial" then
          local far = to:accepted(now)
          links[from][link], links[to][far] = far, link
          from:connected(link, now)
        elseif what == "write" then
          from:written(link, #more, now)
          to:received(links[from][link], more, now)
        end
      end
    end
    for now = 1, 1000 do
      if got then break end
      a:step(now)
      carry(a, b, now)
      b:step(now)
      carry(b, a, now)
    end
    assert.equal("by hand", got)
    a:stop()
    b:stop()
  end)
end)

describe("on_event", function()
  it("gets one table for each decision", function()
    local events = {}
    local node = assert(banyan.start {
      driver = "manual",
      on_event = function(event) events[#events + 1] = event end,
    })
    local pid = node:spawn(function() error("boom") end)
    node:step(5)
    assert.equal(1, #events)
    assert.equal("process_crashed", events[1].event)
    assert.equal(pid, events[1].pid)
    assert.equal(5, events[1].time)
    assert.matches("boom", events[1].reason[2])
    node:stop()
  end)

  it("may raise an error, which is reported once", function()
    local child = program [[
      local banyan = require "banyan"
      local done = banyan.run({ on_event = function() error("ouch") end },
        function()
          for _ = 1, 3 do
            local _, ref = banyan.spawn_monitor(function() error("boom") end)
            banyan.receive(function(m) return m.ref == ref end)
          end
          return "done"
        end)
      print(done)
    ]]
    assert.equal(0, (child:finish()))
    assert.equal("done\n", child.out)
    assert.equal(1, select(2, child.err:gsub("ouch", "")))
    assert.equal(1, select(2, child.err:gsub("on_event raised", "")))
  end)

  it("gets an error of the driver, which goes on", function()
    local events = {}
    local node = assert(banyan.start {
      on_event = function(event) events[event.event] = event end,
    })
    local session = node.session
    local act, failed = session.act, false
    function session.act(...)
      if failed then return act(...) end
      failed = true
      error("a bug")
    end
    local woken
    node:spawn(function()
      banyan.sleep(1)
      woken = true
    end)
    pump(function() return woken end)
    assert.matches("a bug", events.driver_error.reason)
    node:stop()
  end)

  it("being absent, errors of the driver are written on stderr", function()
    local child = program [[
      local banyan = require "banyan"
      local node = assert(banyan.start())
      local act = node.session.act
      function node.session.act(...)
        node.session.act = act
        error("a bug")
      end
      require("luv").run("nowait")
      node:stop()
    ]]
    assert.equal(0, (child:finish()))
    assert.matches("error +driver_error .*a bug", child.err)
  end)
end)

describe("the secret", function()
  -- Starts a node in an OS process; returns its output.
  local function start(folder, opts, env)
    local vars = {
      XDG_CONFIG_HOME = folder or false, BANYAN_SECRET = false,
    }
    for key, value in pairs(env or {}) do vars[key] = value end
    local child = program(([[
      local banyan = require "banyan"
      local node, err = banyan.start { %s }
      print(node and "up" or err)
      if node then node:stop() end
    ]]):format(opts), { env = vars })
    assert.equal(0, (child:finish()), child.err)
    return (child.out:gsub("\n$", ""))
  end

  local function loopback()
    return ("name = %q"):format(fresh_name("a"))
  end

  it("is the user's own on a loopback address, in a file of mode 0600",
    function()
      with_folder(function(folder)
        assert.equal("up", start(folder, loopback()))
        local path = folder .. "/banyan/secret"
        assert.equal(tonumber("600", 8), uv.fs_stat(path).mode % 512)
        assert.equal(tonumber("700", 8),
          uv.fs_stat(folder .. "/banyan").mode % 512)
        local text = read(path)
        assert.matches("^%x+\n$", text)
        assert.equal(65, #text)
        assert.equal("up", start(folder, loopback()))
        assert.equal(text, read(path))
      end)
    end)

  it("is below ~/.config without XDG_CONFIG_HOME", function()
    with_folder(function(folder)
      assert.equal("up", start(nil, loopback(), { HOME = folder }))
      assert.truthy(uv.fs_stat(folder .. "/.config/banyan/secret"))
    end)
  end)

  it("file is refused if others may read it, with a remedy",
    function()
      with_folder(function(folder)
        start(folder, loopback())
        local path = folder .. "/banyan/secret"
        for _, mode in ipairs { "640", "604", "620" } do
          assert(uv.fs_chmod(path, tonumber(mode, 8)))
          assert.equal(("others may read the secret in %s (mode %s): "
            .. "chmod 600 %s"):format(path, mode, path),
            start(folder, loopback()))
        end
      end)
    end)

  it("file is refused if it is empty or a directory", function()
    with_folder(function(folder)
      assert(uv.fs_mkdir(folder .. "/banyan", tonumber("700", 8)))
      local path = folder .. "/banyan/secret"
      local fd = assert(uv.fs_open(path, "w", tonumber("600", 8)))
      uv.fs_close(fd)
      assert.equal(path .. " holds no secret; remove it, a new one is made",
        start(folder, loopback()))
      os.remove(path)
      assert(uv.fs_mkdir(path, tonumber("700", 8)))
      assert.equal(path .. " is not a file", start(folder, loopback()))
    end)
  end)

  it("file is the same for nodes that start at the same time", function()
    with_folder(function(folder)
      local children = {}
      for i = 1, 6 do
        children[i] = program([[
          local secret = require "banyan.secret"
          local driver = require "banyan.driver.luv"
          io.write("ready\n") io.stdout:flush()
          io.read()
          print((secret.find("here", true, driver)))
        ]], { env = { XDG_CONFIG_HOME = folder, BANYAN_SECRET = false } })
      end
      for _, child in ipairs(children) do child:wait_for("ready") end
      for _, child in ipairs(children) do child:say("go\n") end
      local found = {}
      for _, child in ipairs(children) do
        child:finish()
        found[child.out] = true
      end
      local only = next(found)
      assert.matches("^ready\n%x+\n$", only)
      assert.is_nil(next(found, only))
      local list = {}
      for entry in uv.fs_scandir_next, uv.fs_scandir(folder .. "/banyan") do
        list[#list + 1] = entry
      end
      assert.same({ "secret" }, list)
    end)
  end)

  it("must be given on any other address", function()
    with_folder(function(folder)
      local answer = start(folder,
        ('name = "a@192.0.2.1:%d", listen = "0.0.0.0"'):format(free_port()))
      assert.matches("^a node that listens on 0.0.0.0:%d+ needs a cluster "
        .. "secret: give the option secret or set BANYAN_SECRET", answer)
      assert.is_nil((uv.fs_stat(folder .. "/banyan")))
    end)
  end)

  it("comes from the environment", function()
    with_folder(function(folder)
      local opts = ('name = "a@192.0.2.1:%d", listen = "0.0.0.0"')
        :format(free_port())
      assert.equal("up", start(folder, opts, { BANYAN_SECRET = SECRET }))
      assert.matches("^BANYAN_SECRET: a cluster secret has at least 8 bytes",
        start(folder, opts, { BANYAN_SECRET = "short" }))
      assert.matches("needs a cluster secret",
        start(folder, opts, { BANYAN_SECRET = "" }))
    end)
  end)
end)

describe("two lives of a node", function()
  it("have incarnations that grow", function()
    local name = fresh_name("a")
    local pids = {}
    for i = 1, 2 do
      local node = assert(banyan.start { name = name, secret = SECRET })
      pids[i] = node:spawn(function() end)
      node:stop()
    end
    assert.are_not.equal(pids[1], pids[2])
  end)
end)

describe("a node that is closed", function()
  it("leaves nothing behind", function()
    local function make(n)
      for _ = 1, n do core.node({ seed = 1 }):close() end
      return lua.in_use()
    end
    make(500)
    local before = make(500)
    assert.is_true(make(5000) < before + 100, "kB")
  end)
end)
