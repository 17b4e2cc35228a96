-- banyan.peer behind ssh: a real one, to an sshd that this spec starts on
-- loopback. What of it needs no network is in peer_connection_spec.lua.

local address = require "spec.support.address"
local banyan = require "banyan"
local peer = require "banyan.peer"
local peers = require "spec.support.peers"
local program = require "spec.support.program"
local ssh = require "spec.support.ssh"
local uv = require "luv"

local call = peers.call
local eventually = peers.eventually
local with = peers.with

local missing = ssh.is_missing()
-- Where checks run, all that they need is there.
if os.getenv "CI" then assert(not missing, missing) end

local server

-- What stands behind `exec` for each way of control.
local kinds = {
  stdio = function() return { connection = "stdio" } end,
  tcp = function() return { connection = 0 } end,
  dist = function() return { name = "far" } end,
}

local function behind(opts, exec)
  return with(opts, { exec = exec or server:lua(), env = { LD_PRELOAD = "" } })
end

-- A test for each, on a node with a name; pending where there is no ssh.
local function each(what, test)
  if missing then return pending(what .. ": " .. missing) end
  for kind, options in pairs(kinds) do
    it(what .. " (" .. kind .. ")", function()
      peers.on_named(function() test(behind(options()), kind) end)
    end)
  end
end

local function gone(os_pid)
  eventually(function() return peers.is_gone(os_pid, true) end)
end

describe("a peer behind ssh", function()
  setup(function() if not missing then server = ssh.open() end end)
  teardown(function() if server then server:close() end end)

  each("is called, and is over there", function(opts, kind)
    local p, node = peers.start(opts)
    assert.equal(kind == "dist", node ~= nil)
    assert.same({ 1, nil, "x", n = 3 }, (function(...)
      return { n = select("#", ...), ... }
    end)(call(p, "give", 1, nil, "x")))
    assert.matches(("^127.0.0.1 %%d+ 127.0.0.1 %d$"):format(server.port),
      peer.call(p, "os", "getenv", { "SSH_CONNECTION" }))
    local os_pid = peers.os_pid(p)
    assert.is_true(peer.stop(p))
    assert.is_true(peers.is_gone(os_pid, true))
  end)

  each("prints any byte, whole and in order", function(opts)
    local record, texts = peers.recorder()
    local p = peers.start(with(opts, { on_output = record }))
    local bytes = {}
    for i = 0, 255 do bytes[#bytes + 1] = string.char(i) end
    local all = table.concat(bytes)
    for i = 1, 20 do call(p, "both", i .. all, i .. all) end
    call(p, "shell", "printf 'a child\\303\\251'")
    local expected = {}
    for i = 1, 20 do expected[i] = i .. all end
    local err = table.concat(expected)
    local out = err .. "a child\195\169"
    eventually(function()
      return #texts.stdout >= #out and #texts.stderr >= #err
    end)
    assert.is_true(out == texts.stdout)
    assert.is_true(err == texts.stderr)
  end)

  each("has the boot fail as what stands there does", function(opts)
    for text, exec in pairs {
      ["exit_status: 7"] = server:exec("exit", "7", "#"),
      ["exit_status: 127"] = server:exec "/no/such/program",
      ["exit_status: 255"] = { "ssh", { "-F", server.config, "-p",
        tostring(address.free_port()), "there", peers.LUA } },
      ["timeout"] = server:exec("exec", "cat", ">/dev/null", "#"),
      ["exec: enoent"] = { "no-such-ssh", { "there", peers.LUA } },
    } do
      local none, err = peer.start(with(opts, {
        exec = exec, on_output = function() end,
        wait_boot = text == "timeout" and 500 or 60000,
      }))
      assert.is_nil(none)
      assert.equal("boot_failed: " .. text, tostring(err))
    end
  end)

  each("is gone when it is stopped, though a C function holds it",
    function(opts)
      local record, texts = peers.recorder()
      local p = peers.start(with(opts, {
        on_output = record, shutdown = { "halt", 300 },
      }))
      local os_pid = peers.os_pid(p)
      peer.cast(p, peers.WORK, "block", { 1e6 })
      eventually(function() return texts.stdout == "held" end)
      assert.is_true(peer.stop(p))
      gone(os_pid)
    end)

  for _, how in ipairs { "close", "halt" } do
    each("is gone with what it has started: " .. how, function(opts)
      local record, texts = peers.recorder()
      local p = peers.start(with(opts, { on_output = record, shutdown = how }))
      local os_pid = peers.os_pid(p)
      call(p, "shell", "echo $$; exec sleep 1000")
      eventually(function() return texts.stdout:find "\n" end)
      assert.is_true(peer.stop(p))
      gone(os_pid)
      gone(tonumber(texts.stdout:match "%d+"))
    end)
  end

  each("is gone with its connection", function(opts)
    local p = assert(peer.start(with(opts, {
      peer_down = "crash", on_output = function() end,
    })))
    local os_pid, ref = peers.os_pid(p), banyan.monitor(p)
    uv.kill(math.floor(peer.call(p, "luv", "os_getppid")), "sigkill")
    assert.equal("exit_status: 255",
      tostring(banyan.receive(ref, 30000).reason))
    gone(os_pid)
  end)

  each("that is killed is told of", function(opts)
    local p = assert(peer.start(with(opts, {
      peer_down = "crash", on_output = function() end,
    })))
    local ref = banyan.monitor(p)
    uv.kill(peers.os_pid(p), "sigkill")
    assert.equal("exit_status: 255",
      tostring(banyan.receive(ref, 30000).reason))
  end)

  -- The sshd of the connection is stopped, as by a network that lost it.
  each("is lost where the network falls silent, if ssh asks", function(opts)
    local exec = server:lua()
    for _, word in ipairs {
      "ServerAliveCountMax=1", "-o", "ServerAliveInterval=1", "-o",
    } do
      table.insert(exec[2], 1, word)
    end
    local p = assert(peer.start(with(opts, {
      exec = exec, peer_down = "crash", on_output = function() end,
    })))
    local os_pid, ref = peers.os_pid(p), banyan.monitor(p)
    local sshd = math.floor(peer.call(p, "luv", "os_getppid"))
    uv.kill(sshd, "sigstop")
    local reason = banyan.receive(ref, 60000).reason
    uv.kill(sshd, "sigcont")
    assert.equal("exit_status: 255", tostring(reason))
    gone(os_pid)
  end)
end)

describe("the peers behind ssh of an origin that is killed", function()
  setup(function() if not missing then server = ssh.open() end end)
  teardown(function() if server then server:close() end end)

  local ORIGIN = [[
    local banyan, peer = require "banyan", require "banyan.peer"
    local peers = require "spec.support.peers"
    local exec = { "ssh", { ... } }
    peers.on_named(function()
      local list = {}
      local function start(options)
        options.env = { LD_PRELOAD = "" }
        options.exec = exec
        local p = assert(peer.start(options))
        list[#list + 1] = ("%d"):format(peers.os_pid(p))
        return p
      end
      for _, what in ipairs { "block", "wait" } do
        for i, options in ipairs {
          { connection = "stdio" }, { connection = 0 }, { name = "far" },
        } do
          peer.cast(start(options), peers.WORK, what, { 1e6 })
        end
      end
      banyan.sleep(200)
      print("peers " .. table.concat(list, " "))
      io.stdout:flush()
      banyan.sleep(1e6)
    end)
  ]]

  local what = "are gone, busy with C or idle"
  if missing then return pending(what .. ": " .. missing) end
  it(what, function()
    local words = {}
    for i, word in ipairs(server:lua()[2]) do words[i] = ("%q"):format(word) end
    local child = program(("(function(...) %s end)(%s)"):format(ORIGIN,
      table.concat(words, ", ")))
    child:wait_for "peers "
    child:wait_for "\n"
    child:kill "sigkill"
    child:finish()
    local count, limit = 0, uv.hrtime() + 30e9
    for os_pid in child.out:match("peers ([%d ]+)"):gmatch "%d+" do
      count = count + 1
      while not peers.is_gone(tonumber(os_pid), true) do
        assert.is_true(uv.hrtime() < limit, os_pid .. " is there still")
        uv.sleep(10)
      end
    end
    assert.equal(6, count)
  end)
end)
