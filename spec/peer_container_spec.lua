-- banyan.peer in a container: spec/support/container.lua is what
-- `docker run -i` would be. Standard input and output are all that reaches the
-- peer.

local banyan = require "banyan"
local container = require "spec.support.container"
local peer = require "banyan.peer"
local peers = require "spec.support.peers"
local program = require "spec.support.program"
local uv = require "luv"

local call = peers.call
local eventually = peers.eventually
local with = peers.with

local refused = container.is_refused()

local started -- the OS process of the last peer that began, as events tell

-- A test on a node without a name; pending where the machine has no container.
local function test(what, body)
  if refused then return pending(what .. ": " .. refused) end
  it(what, function()
    started = nil
    banyan.run({ on_event = function(event)
      if event.event == "peer_started" then started = event.os_pid end
    end }, body)
  end)
end

local function options(more)
  return with({
    connection = "stdio", exec = container.lua(), env = container.env,
  }, more or {})
end

-- The peer, as this side of the container sees it.
local function outside()
  eventually(function() return started end)
  return assert(container.first_of(started), "there is no process 1")
end

local function gone(os_pid)
  eventually(function() return peers.is_gone(os_pid, true) end)
end

-- A peer that a C function holds.
local function held(opts)
  local record, texts = peers.recorder()
  local p = assert(peer.start(options(with(opts, { on_output = record }))))
  peer.cast(p, peers.WORK, "block", { 1e6 })
  eventually(function() return texts.stdout == "held" end)
  return p
end

describe("a peer in a container", function()
  test("is called, and is alone in there", function()
    local p, node = peers.start(options())
    assert.is_nil(node)
    assert.same({ 1, nil, "x", n = 3 }, (function(...)
      return { n = select("#", ...), ... }
    end)(call(p, "give", 1, nil, "x")))
    assert.equal(1, peers.os_pid(p))
    assert.is_nil((peer.call(p, "luv", "fs_stat", { "/etc/passwd" })))
    local up = peer.call(p, "luv", "interface_addresses")
    assert.is_nil(next(up))
    assert.is_nil((peer.call(p, "os", "getenv", { "HOME" })))
    local echo = call(p, "echo")
    banyan.send(echo, { from = banyan.self(), text = "one" })
    assert.equal("one", banyan.receive(30000).echo)
    local os_pid = outside()
    assert.is_true(peer.stop(p))
    gone(os_pid)
  end)

  test("prints any byte, whole and in order", function()
    local record, texts = peers.recorder()
    local p = peers.start(options { on_output = record })
    local bytes = {}
    for i = 0, 255 do bytes[#bytes + 1] = string.char(i) end
    local all = table.concat(bytes)
    for i = 1, 20 do call(p, "both", i .. all, i .. all) end
    local expected = {}
    for i = 1, 20 do expected[i] = i .. all end
    local whole = table.concat(expected)
    eventually(function()
      return #texts.stdout >= #whole and #texts.stderr >= #whole
    end)
    assert.is_true(whole == texts.stdout and whole == texts.stderr)
  end)

  test("has the boot fail as what runs in there does", function()
    for text, exec in pairs {
      ["exit_status: 7"] = container.exec("sh", "-c", "exit 7"),
      ["exit_status: 127"] = container.exec "/no/such/program",
      ["timeout"] = container.exec("sh", "-c", "exec cat >/dev/null"),
    } do
      local none, err = peer.start(options {
        exec = exec, on_output = function() end,
        wait_boot = text == "timeout" and 1000 or 60000,
      })
      assert.is_nil(none)
      assert.equal("boot_failed: " .. text, tostring(err))
    end
    local none, err = peer.start(options {
      connection = 0, on_output = function() end,
    })
    assert.is_nil(none)
    assert.equal("boot_failed: exit_status: 1", tostring(err))
  end)

  for _, how in ipairs { "close", "halt" } do
    test("is gone with what it has started: " .. how, function()
      local record, texts = peers.recorder()
      local p = peers.start(options { on_output = record, shutdown = how })
      call(p, "shell", "sleep 1000 & echo up")
      eventually(function() return texts.stdout == "up\n" end)
      local os_pid = outside()
      assert.is_true(peer.stop(p))
      -- All of the namespace ends with its first.
      gone(os_pid)
    end)
  end

  test("is gone when it is stopped, though a C function holds it", function()
    local p = held { shutdown = { "halt", 300 } }
    local os_pid = outside()
    assert.is_true(peer.stop(p))
    gone(os_pid)
  end)

  test("is gone with what stands before it", function()
    local p = held { peer_down = "crash" }
    local ref, os_pid = banyan.monitor(p), outside()
    uv.kill(started, "sigkill")
    assert.equal("signal: 9", tostring(banyan.receive(ref, 30000).reason))
    gone(os_pid)
  end)

  test("that is killed is told of", function()
    local p = assert(peer.start(options {
      peer_down = "crash", on_output = function() end,
    }))
    local ref = banyan.monitor(p)
    uv.kill(outside(), "sigkill")
    -- The status is what stands before it makes of that: docker, 137.
    assert.equal("exit_status", banyan.receive(ref, 30000).reason[1])
  end)
end)

describe("the peers in containers of an origin that is killed", function()
  local ORIGIN = [[
    local banyan, peer = require "banyan", require "banyan.peer"
    local container = require "spec.support.container"
    local peers = require "spec.support.peers"
    banyan.run({ on_event = function(event)
      if event.os_pid then print("started " .. event.os_pid .. ";") end
    end }, function()
      for _, what in ipairs { "block", "wait" } do
        local p = assert(peer.start {
          connection = "stdio", exec = container.lua(), env = container.env,
        })
        peer.cast(p, peers.WORK, what, { 1e6 })
      end
      banyan.sleep(200)
      print "both are"
      io.stdout:flush()
      banyan.sleep(1e6)
    end)
  ]]

  local what = "are gone, busy with C or idle"
  if refused then return pending(what .. ": " .. refused) end
  it(what, function()
    local child = program(ORIGIN)
    child:wait_for "both are"
    local list = {}
    for unshare in child.out:gmatch "started (%d+);" do
      list[#list + 1] = assert(container.first_of(unshare))
    end
    child:kill "sigkill"
    child:finish()
    assert.equal(2, #list)
    local limit = uv.hrtime() + 30e9
    for _, os_pid in ipairs(list) do
      while not peers.is_gone(os_pid, true) do
        assert.is_true(uv.hrtime() < limit, os_pid .. " is there still")
        uv.sleep(10)
      end
    end
  end)
end)
