-- The option `address`: where nodes are dialled besides what their names say.
-- Unix sockets, addresses over TCP, whose word counts, what a refusal proves.

local addresses = require "banyan.address"
local banyan = require "banyan"
local program = require "spec.support.program"
local support = require "spec.support.address"
local targets = require "banyan.driver.targets"
local unix_path = require "banyan.unix_path"
local uv = require "luv"

local SECRET = "the secret of the specs"

local directories, open_nodes, programs = {}, {}, {}

-- A directory that only this user may write.
local function directory(mode)
  local path = assert(uv.fs_mkdtemp((os.getenv "TMPDIR" or "/tmp")
    .. "/byn-XXXXXX"))
  assert(uv.fs_chmod(path, mode or 448))
  directories[#directories + 1] = path
  return path
end

-- A node of this program, and its events by name.
local function node(name, opts)
  local events = {}
  opts = opts or {}
  opts.name, opts.secret = name, SECRET
  opts.on_event = function(event)
    events[event.event] = events[event.event] or {}
    table.insert(events[event.event], event)
  end
  local started = assert(banyan.start(opts))
  open_nodes[#open_nodes + 1] = started
  return started, events
end

-- Runs as a process of a node that ends before the others.
local function on_node(opts, body)
  opts.name, opts.secret = opts.name or support.fresh_name "main", SECRET
  opts.on_event = opts.on_event or false
  banyan.run(opts, body)
end

local function eventually(what, fn)
  local limit = banyan.now() + 30000
  while not fn() do
    if banyan.now() > limit then error("it did not come about: " .. what, 2) end
    banyan.sleep(5)
  end
end

-- Over which address that node came up last, as `events` say.
local function way(events, name)
  local found
  for _, event in ipairs(events.node_up or {}) do
    if event.peer == name then found = event.address end
  end
  return found
end

-- A listener on a path, or on a port, that passes what comes to another port.
local function relay(at, port)
  local streams = {}
  local is_path = type(at) == "string"
  local make = is_path and function() return uv.new_pipe(false) end
    or uv.new_tcp
  local server = make()
  if is_path then
    assert(server:bind(at))
  else
    assert(server:bind("127.0.0.1", at))
  end
  local function pass(from, to)
    from:read_start(function(_, data)
      if data then return to:write(data) end
      for _, s in ipairs { from, to } do
        if not s:is_closing() then s:close() end
      end
    end)
  end
  server:listen(16, function()
    local client, target = make(), uv.new_tcp()
    streams[#streams + 1], streams[#streams + 2] = client, target
    server:accept(client)
    target:connect("127.0.0.1", port, function(err)
      if err then return end
      pass(client, target)
      pass(target, client)
    end)
  end)
  return {
    count = function() return #streams / 2 end,
    close = function()
      server:close()
      for _, s in ipairs(streams) do
        if not s:is_closing() then s:close() end
      end
    end,
  }
end

local function port_of(name) return tonumber(name:match "%d+$") end

describe("a node's address", function()
  after_each(function()
    for _, child in ipairs(programs) do
      child:kill "sigkill"
      child:finish()
    end
    for _, started in ipairs(open_nodes) do started:stop() end
    for _, path in ipairs(directories) do
      local found = uv.fs_scandir(path)
      while found do
        local file = uv.fs_scandir_next(found)
        if not file then break end
        os.remove(path .. "/" .. file)
      end
      uv.fs_rmdir(path)
    end
    directories, open_nodes, programs = {}, {}, {}
  end)

  it("is dialled, and told to third nodes", function()
    local at = directory()
    local a, b = support.fresh_name "a", support.fresh_name "b"
    local c = support.fresh_name "c"
    local path_a, path_b = at .. "/a.sock", at .. "/b.sock"
    node(a, { address = "unix:" .. path_a })
    local _, of_b = node(b, {
      address = "unix:" .. path_b,
      connect = { { name = a, address = "unix:" .. path_a } },
    })
    on_node({}, function()
      eventually("a and b are connected", function()
        return way(of_b, a) == "unix:" .. path_a
      end)
      local _, of_c = node(c, {
        address = "unix:" .. at .. "/c.sock", connect = { a },
      })
      eventually("c knows both", function() return way(of_c, b) end)
      assert.equal("127.0.0.1:" .. port_of(a), way(of_c, a))
      assert.matches("^unix:" .. at:gsub("%p", "%%%0"), way(of_c, b))
      local link = way(of_c, b):sub(#"unix:" + 1)
      local stat = uv.fs_stat(link)
      assert.same({ "socket", 384 }, { stat.type, stat.mode % 512 })
    end)
  end)

  it("of another machine, or that is gone, costs nothing: TCP follows",
    function()
      local at = directory()
      local a, b = support.fresh_name "a", support.fresh_name "b"
      node(a, { address = "unix:" .. at .. "/a.sock" })
      assert(os.remove(at .. "/a.sock"))
      local _, of_b = node(b, {
        connect = { { name = a, address = "unix:" .. at .. "/a.sock" } },
      })
      on_node({}, function()
        eventually("they are connected", function() return way(of_b, a) end)
        assert.equal("127.0.0.1:" .. port_of(a), way(of_b, a))
      end)
    end)

  it("where another node listens by now is given up for the name", function()
    local at = directory()
    local a, b, c = support.fresh_name "a", support.fresh_name "b",
      support.fresh_name "c"
    node(a)
    node(c, { address = "unix:" .. at .. "/c.sock" })
    local _, of_b = node(b, {
      connect = { { name = a, address = "unix:" .. at .. "/c.sock" } },
    })
    on_node({}, function()
      eventually("they are connected", function() return way(of_b, a) end)
      assert.equal("127.0.0.1:" .. port_of(a), way(of_b, a))
      local failed = of_b.link_refused or of_b.link_failed
      assert.equal("wrong_name", failed[1].reason)
    end)
  end)

  it("where nobody answers is given up for the name", function()
    local at = directory()
    local port = support.free_port()
    local silent = { uv.new_pipe(false), uv.new_tcp() }
    assert(silent[1]:bind(at .. "/silent.sock"))
    assert(silent[2]:bind("127.0.0.1", port))
    for _, server in ipairs(silent) do server:listen(8, function() end) end
    for _, told in ipairs {
      "unix:" .. at .. "/silent.sock", ("tcp://127.0.0.1:%d"):format(port),
    } do
      local a, b = support.fresh_name "a", support.fresh_name "b"
      node(a)
      local _, of_b = node(b, {
        connect = { { name = a, address = told } }, handshake_ms = 200,
      })
      on_node({}, function()
        eventually("they are connected", function() return way(of_b, a) end)
        assert.equal("127.0.0.1:" .. port_of(a), way(of_b, a))
        assert.equal("handshake_timeout", of_b.link_failed[1].reason)
      end)
    end
    for _, server in ipairs(silent) do server:close() end
  end)

  -- The program that listens at `at`, if the name does not, is not the node.
  local function outlives_its_relay(at, told)
    local a, b = support.fresh_name "a", support.fresh_name "b"
    local relayed = relay(at, port_of(a))
    local child = program([[
      local banyan = require "banyan"
      banyan.run({ name = os.getenv "A", secret = os.getenv "SECRET",
        on_event = false }, function()
        print "up"
        io.stdout:flush()
        banyan.sleep(math.huge)
      end)
    ]], { env = { A = a, SECRET = SECRET } })
    programs[#programs + 1] = child
    child:wait_for "up"
    local _, of_b = node(b, {
      connect = { { name = a, address = told } },
      reconnect_ms = 60000, down_after_ms = 60000,
    })
    on_node({}, function()
      eventually("they are connected", function() return way(of_b, a) end)
      assert.equal(told, way(of_b, a))
      relayed.close()
      eventually("the link goes on", function() return of_b.link_resumed end)
      assert.is_nil(of_b.node_down)
      child:kill "sigkill"
      eventually("its end is noticed", function() return of_b.node_down end)
      assert.equal("econnrefused", of_b.node_down[1].reason)
    end)
  end

  it("that refuses is no proof of an end, as long as the name does not",
    function()
      local path = directory() .. "/relay.sock"
      outlives_its_relay(path, "unix:" .. path)
      local port = support.free_port()
      outlives_its_relay(port, ("tcp://127.0.0.1:%d"):format(port))
    end)

  it("that the program gives counts more than what the node says", function()
    local at = directory()
    local a, b, c = support.fresh_name "a", support.fresh_name "b",
      support.fresh_name "c"
    local own, relayed = at .. "/a.sock", relay(at .. "/r.sock", port_of(a))
    local first = node(a, { address = "unix:" .. own })
    local _, of_b = node(b, {
      connect = { { name = a, address = "unix:" .. at .. "/r.sock" } },
    })
    on_node({}, function()
      eventually("a and b are connected", function() return way(of_b, a) end)
      local _, of_c = node(c, { connect = { b } })
      eventually("c has heard of a", function() return way(of_c, a) end)
      assert.equal("unix:" .. at .. "/r.sock", way(of_b, a))
      -- What is told to others is the node's own word.
      assert.equal("unix:" .. own, way(of_c, a))
      first:stop()
      eventually("it is down", function() return of_b.node_down end)
      node(a, { address = "unix:" .. own })
      eventually("it is back", function() return #of_b.node_up > 2 end)
    end)
    relayed.close()
  end)

  it("over TCP stands for what its name says", function()
    local a, b, c = support.fresh_name "a", support.fresh_name "b",
      support.fresh_name "c"
    local port = support.free_port()
    local own = ("127.0.0.1:%d"):format(port)
    node(a, { listen = own, address = "tcp://" .. own })
    local _, of_b = node(b, {
      connect = { { name = a, address = "tcp://" .. own } },
    })
    on_node({}, function()
      eventually("a and b are connected", function() return way(of_b, a) end)
      local _, of_c = node(c, { connect = { b } })
      eventually("c has heard of it", function() return way(of_c, a) end)
      assert.equal("tcp://" .. own, way(of_b, a))
      open_nodes[1]:stop()
      eventually("it is down", function() return of_b.node_down end)
    end)
  end)

  it("is listened on, in place of a socket that was left over", function()
    local at = directory()
    local path = at .. "/a.sock"
    local name = support.fresh_name "a"
    local left = uv.new_pipe(false)
    assert(left:bind(path)) -- nobody listens
    local a = node(name, { address = "unix:" .. path })
    local taken, why = banyan.start {
      name = support.fresh_name "b", secret = SECRET,
      address = "unix:" .. path,
    }
    assert.is_nil(taken)
    assert.matches("cannot listen on unix:.*a.sock: address already in use",
      why)
    a:stop()
    assert.is_nil(uv.fs_stat(path))
    left:close()
    uv.run "nowait"
  end)

  it("is not removed where another node has it by now", function()
    local at = directory()
    local path = at .. "/a.sock"
    local a = node(support.fresh_name "a", { address = "unix:" .. path })
    assert(uv.fs_unlink(path))
    local b, events = node(support.fresh_name "b",
      { address = "unix:" .. path })
    local inode = assert(uv.fs_stat(path)).ino
    a:stop()
    assert.equal(inode, assert(uv.fs_stat(path)).ino)
    on_node({ connect = { { name = b:name(), address = "unix:" .. path } } },
      function()
        eventually("it is up", function() return events.node_up end)
        assert.matches("^unix:", events.node_up[1].address)
      end)
    b:stop()
    assert.is_nil(uv.fs_stat(path))
  end)

  it("has to be in a directory where others may not write", function()
    local at = directory(511)
    local a, why = banyan.start {
      name = support.fresh_name "a", secret = SECRET,
      address = "unix:" .. at .. "/a.sock",
    }
    assert.is_nil(a)
    assert.matches("others may write in " .. at:gsub("%p", "%%%0"), why)
    a, why = banyan.start {
      name = support.fresh_name "a", secret = SECRET,
      address = "unix:" .. at .. "/none/a.sock",
    }
    assert.is_nil(a)
    assert.matches("no such file or directory", why)
  end)
end)

describe("where a node is dialled", function()
  local A = "a@10.0.0.1:9101"
  local NAMED = { host = "10.0.0.1", port = 9101 }
  local TOLD = { host = "h", port = 5, text = "tcp://h:5" }

  it("is its name, its address and then its name, or the other way round",
    function()
      assert.same({ NAMED }, targets.of(A))
      assert.same({ TOLD, NAMED }, targets.of(A, "tcp://h:5"))
      assert.same({ NAMED, TOLD }, targets.of(A, "tcp://h:5", false, true))
    end)

  it("ends with the only place where a refusal ends its session", function()
    local own = "tcp://h:5"
    assert.same({ NAMED }, targets.of(A, nil, own))
    assert.same({ TOLD }, targets.of(A, own, own))
    assert.same({ TOLD }, targets.of(A, own, own, true))
    -- The program's word is tried before that, and proves nothing.
    local given = { host = "g", port = 6, text = "tcp://g:6" }
    assert.same({ given, TOLD }, targets.of(A, "tcp://g:6", own))
    assert.same({ given, NAMED }, targets.of(A, "tcp://g:6", ""))
    assert.same({ NAMED }, targets.of(A, "tcp://g:6", "", true))
  end)

  it("is not what it does not know, or a name that is none", function()
    assert.same({ NAMED }, targets.of(A, "http+upgrade://h:1/x quic:1 tcp://"))
    assert.same({}, targets.of("a"))
  end)

  it("is only a socket of this user, where others may not write", function()
    local at, open = directory(), directory(511)
    local pipes = {}
    for i, path in ipairs { at .. "/s", open .. "/s" } do
      pipes[i] = uv.new_pipe(false)
      assert(pipes[i]:bind(path))
    end
    assert(uv.fs_symlink(at .. "/s", at .. "/link"))
    io.open(at .. "/file", "w"):close()
    local function dials(path)
      return #targets.of(A, "unix:" .. path) == 2
    end
    assert.is_true(dials(at .. "/s"))
    assert.is_false(#targets.of(A, "unix:" .. at .. "/s", false, true) == 2)
    assert.is_false(dials(open .. "/s"))
    assert.is_false(dials(at .. "/link"))
    assert.is_false(dials(at .. "/file"))
    assert.is_false(dials(at .. "/none"))
    assert.is_false(dials "s")
    assert.is_false(unix_path.may_be_dialled(at .. "/" .. ("x"):rep(200)))
    for _, pipe in ipairs(pipes) do pipe:close() end
    uv.run "nowait"
    for _, path in ipairs { at, open } do
      for _, file in ipairs { "s", "link", "file" } do
        os.remove(path .. "/" .. file)
      end
      uv.fs_rmdir(path)
    end
    directories = {}
  end)
end)

describe("what an address may be", function()
  it("is one of each kind", function()
    assert.same({
      path = "/run/a", tcp = { host = "h", port = 1 },
      text = "unix:/run/a tcp://h:1",
    }, addresses.parse { "unix:/run/a", "tcp://h:1" })
    assert.same({ tcp = { host = "::1", port = 9 }, text = "tcp://[::1]:9" },
      addresses.parse "tcp://[::1]:9")
  end)

  local mistakes = {
    ["http+upgrade://h:1/x"] = 'there are "tcp://host:port" and "unix:/path"',
    ["h:1"] = 'there are "tcp://host:port" and "unix:/path"',
    ["unix:a.sock"] = "the path must be a whole one, from / on",
    ["unix:/a b"] = "the path has a blank in it",
    ["tcp://h"] = "the port is missing",
    ["tcp://h:70000"] = '"70000" is no port',
    ["tcp://:1"] = "the host is missing",
  }
  for text, why in pairs(mistakes) do
    it("is not " .. text, function()
      local ok, err = pcall(function()
        local started = banyan.start {
          name = "a@127.0.0.1:9101", secret = SECRET, address = text,
        }
        return started
      end)
      assert.is_false(ok)
      assert.matches('address_spec.lua:%d+: banyan.start: option "address": ',
        err)
      assert.matches(why, err, 1, true)
    end)
  end

  it("is not two of a kind, nothing, or that of a node without a name",
    function()
      local function err_of(opts)
        opts.secret = SECRET
        return select(2, pcall(banyan.start, opts))
      end
      local a = "a@127.0.0.1:9101"
      assert.matches("the second one of its kind",
        err_of { name = a, address = { "tcp://h:1", "tcp://h:2" } })
      assert.matches("no address in the list",
        err_of { name = a, address = {} })
      assert.matches('option "address" needs the option "name"',
        err_of { address = "tcp://h:1" })
      assert.matches('option "connect", %[1%]: "x:1" is no address',
        err_of { name = a, connect = { { name = a, address = "x:1" } } })
    end)
end)
