-- banyan.node_sources: real names of the system's resolver, a real file, and a
-- node monitor that finds its nodes by them.

local banyan = require "banyan"
local address = require "spec.support.address"
local core = require "banyan.core"
local node_monitor = require "banyan.node_monitor"
local sources = require "banyan.node_sources"
local jump = require "spec.support.run"

local WAIT_MS = 20000

local function run(fn)
  banyan.run({ on_event = false }, fn)
end

local function misuse(text, fn, ...)
  local args = { ... }
  local ok, err = pcall(function()
    local source = fn((unpack or table.unpack)(args))
    return source
  end)
  assert.is_false(ok)
  assert.truthy(err:find("node_sources_spec.lua:%d+: "), err)
  assert.equal(text, (err:gsub("^.-:%d+: ", "")))
end

-- A node in this program that others find at port `port`.
local function start_node(name)
  return assert(banyan.start {
    name = name, secret = "secret of the spec", on_event = false,
  })
end

local function run_node(name, fn)
  banyan.run({
    name = name, secret = "secret of the spec", on_event = false,
  }, fn)
end

describe("node_sources.dns", function()
  it("checks its options", function()
    misuse('node_sources.dns: option "host" is missing', sources.dns,
      { port = 1 })
    misuse('node_sources.dns: option "port" is missing', sources.dns,
      { host = "h" })
    misuse('node_sources.dns: option "port" must be an integer from 1 to '
      .. "65535, got 70000", sources.dns, { host = "h", port = 70000 })
    misuse('node_sources.dns: option "name" must be what may stand before "@" '
      .. 'in the name of a node, got "a@b"', sources.dns,
      { host = "h", port = 1, name = "a@b" })
  end)

  -- Address -> true, of a name in /etc/hosts.
  local function in_hosts(name)
    local found = {}
    for line in io.lines "/etc/hosts" do
      local numbers, rest = line:gsub("#.*", ""):match "^%s*(%S+)%s+(.*)$"
      for word in (rest or ""):gmatch "%S+" do
        if word == name then found[numbers] = true end
      end
    end
    return found
  end

  it("has each address that /etc/hosts has of a name", function()
    local expected = in_hosts "localhost"
    assert.truthy(next(expected), "/etc/hosts has no localhost")
    run(function()
      local list = sources.dns { host = "localhost", port = 9101,
        name = "app" } ()
      assert.is_true(#list > 0)
      local seen = {}
      for _, name in ipairs(list) do
        local host = name:match "^app@%[(.*)%]:9101$"
          or name:match "^app@([^%[].*):9101$"
        assert.truthy(expected[host] or host == "::1", name)
        seen[host] = true
      end
      assert.is_true(seen["127.0.0.1"] or seen["::1"])
    end)
  end)

  it("has a numeric address as it is, IPv6 in brackets", function()
    run(function()
      assert.same({ "node@127.0.0.3:5" },
        sources.dns { host = "127.0.0.3", port = 5 } ())
      assert.same({ "node@[::1]:5" },
        sources.dns { host = "::1", port = 5 } ())
    end)
  end)

  it("raises what the resolver says", function()
    run(function()
      local host = ("x"):rep(300)
      local ok, err = pcall(sources.dns { host = host, port = 5 })
      assert.is_false(ok)
      assert.truthy(err:find("^node_sources.dns: x+: E%u+"), err)
    end)
  end)

  it("needs a loop that runs", function()
    jump(function()
      local ok, err = pcall(sources.dns { host = "localhost", port = 5 })
      assert.is_false(ok)
      assert.truthy(err:find('needs a node with the driver "luv"', 1, true),
        err)
    end)
  end)

  it("lets a monitor find a node", function()
    local port = address.free_port()
    local name = ("db@127.0.0.1:%d"):format(port)
    local other = start_node(name)
    run_node(address.fresh_name "a", function()
      local me = banyan.self()
      local monitor = assert(node_monitor.start_link {
        source = sources.dns { host = "localhost", port = port, name = "db" },
        on_node_up = function(node) me:send { up = node } end,
      })
      assert.same({ up = name }, banyan.receive(WAIT_MS))
      assert.same({ name }, node_monitor.status(monitor).up)
    end)
    other:stop()
  end)
end)

describe("node_sources.file", function()
  local path

  before_each(function() path = os.tmpname() end)
  after_each(function() os.remove(path) end)

  local function write(content)
    local file = assert(io.open(path .. ".new", "w"))
    file:write(content)
    file:close()
    assert(os.rename(path .. ".new", path))
  end

  local function names_of(content)
    write(content)
    local ok, list
    run(function() ok, list = pcall(sources.file { path = path }) end)
    return list, ok
  end

  it("checks its options", function()
    misuse('node_sources.file: option "path" is missing', sources.file)
    misuse('node_sources.file: option "path" must be a non-empty string, '
      .. "got 5", sources.file, { path = 5 })
  end)

  it("has a name on each line", function()
    assert.same({}, (names_of ""))
    assert.same({ "a@h:1" }, (names_of "a@h:1"))
    assert.same({ "a@h:1", "b@[::1]:2", "a@h:1" },
      (names_of "# nodes\r\n\r\na@h:1 \r\n\tb@[::1]:2\na@h:1\n"))
  end)

  it("says which line is no name", function()
    local err, ok = names_of "a@h:1\n\nb@h\n"
    assert.is_false(ok)
    assert.equal(('node_sources.file: %s:3: "b@h" is no node name, '
      .. '"a@host:port": the port is missing'):format(path), err)
  end)

  it("reads a long file, but not one without an end", function()
    local lines = {}
    for i = 1, 20000 do lines[i] = ("a@host%d:1"):format(i) end
    local list, ok = names_of(table.concat(lines, "\n"))
    assert.is_true(ok)
    assert.same(lines, list)
    local err
    err, ok = names_of(("#"):rep(1024 * 1024 + 1))
    assert.is_false(ok)
    assert.truthy(err:find "more than 1048576 bytes", err)
    run(function()
      ok, err = pcall(sources.file { path = "/dev/zero" })
      assert.is_false(ok)
      assert.truthy(err:find "more than 1048576 bytes", err)
    end)
  end)

  it("raises what the system says, and leaves no file open", function()
    run(function()
      local ok, err = pcall(sources.file { path = path .. "/none" })
      assert.is_false(ok)
      assert.truthy(err:find "^node_sources.file: .-: ENOTDIR", err)
      ok, err = pcall(sources.file { path = "/" })
      assert.is_false(ok)
      assert.truthy(err:find "EISDIR", err)
    end)
    for _ = 1, 5 do names_of "a@h:1\nb" end
    local pipe = assert(io.popen("ls -l /proc/$PPID/fd | grep -c " .. path))
    assert.equal("0", pipe:read "*l")
    pipe:close()
  end)

  it("lets a monitor follow it", function()
    local name = address.fresh_name "b"
    local other = start_node(name)
    write "# nobody\n"
    local events = {}
    banyan.run({
      name = address.fresh_name "a", secret = "secret of the spec",
      on_event = function(event)
        if event.event == "node_source_failed" then
          events[#events + 1] = event
        end
      end,
    }, function()
      local me = banyan.self()
      local monitor = assert(node_monitor.start_link {
        source = sources.file { path = path }, refresh_ms = 20,
        on_node_up = function(node) me:send { up = node } end,
        on_node_down = function(node, info)
          me:send { down = node, reason = info.reason }
        end,
      })
      assert.same({}, node_monitor.nodes(monitor))
      write(name .. "\n")
      assert.same({ up = name }, banyan.receive(WAIT_MS))
      assert(os.remove(path))
      while node_monitor.status(monitor).failures < 2 do banyan.sleep(10) end
      assert.same({ name }, node_monitor.nodes(monitor))
      write ""
      assert.same({ down = name, reason = "removed" }, banyan.receive(WAIT_MS))
      assert.same({ name }, core.nodes())
    end)
    other:stop()
    assert.is_true(#events >= 2)
    assert.truthy(tostring(events[1].reason):find "ENOENT")
  end)
end)
