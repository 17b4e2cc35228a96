-- The control connections of banyan.peer: what is framed in standard output,
-- who may connect over TCP, who may speak by distribution.

local address = require "spec.support.address"
local banyan = require "banyan"
local core = require "banyan.core"
local lua = require "spec.support.lua"
local peer = require "banyan.peer"
local peers = require "spec.support.peers"
local sockets = require "spec.support.sockets"
local streams = require "banyan.driver.stream"
local uv = require "luv"
local wires = require "banyan.peer.wire"

local call = peers.call
local eventually = peers.eventually
local on_node, on_named = peers.on_node, peers.on_named
local start = peers.start
local with = peers.with

describe("a channel", function()
  local TOKEN = ("t"):rep(32)

  local function pair(token)
    return core.channel(true, TOKEN, uv.random(32)),
      core.channel(false, token or TOKEN, uv.random(32))
  end

  -- All that `from` says goes to `to`: what that tells.
  local function carry(from, to, change)
    local bytes = from:take()
    if bytes then to:feed(change and change(bytes) or bytes) end
    local told = {}
    while true do
      local event = { to:next() }
      if event[1] == nil then return told end
      told[#told + 1] = event
    end
  end

  local function open(a, b)
    for _ = 1, 3 do
      carry(a, b)
      carry(b, a)
    end
  end

  it("carries values, with nils and pids", function()
    local a, b = pair()
    assert.same({ nil, "closed" }, { a:put(1) })
    open(a, b)
    local pid
    on_node(function() pid = banyan.self() end)
    assert.is_true(a:put(9, nil, { pid }, "x", nil))
    local event = carry(a, b)[1]
    assert.same({ "data", 9, nil, { pid }, "x" }, event)
    assert.is_true(event[4][1] == pid)
  end)

  it("raises what cannot be sent, and goes on", function()
    local a, b = pair()
    open(a, b)
    peers.fails("cannot send a function", a.put, a, 1, print)
    assert.is_true(a:put(1, "x"))
    assert.same({ { "data", 1, "x" } }, carry(a, b))
  end)

  it("has a limit", function()
    local a, b = pair()
    open(a, b)
    local much = ("x"):rep(33 * 1024 * 1024)
    assert.same({ nil, "too_large" }, { a:put(1, much, much) })
    assert.is_true(a:put(1, "x"))
    assert.same({ { "data", 1, "x" } }, carry(a, b))
  end)

  it("tells who does not know the token nothing", function()
    local a, b = pair(("u"):rep(32))
    local told = carry(a, b)
    assert.equal("noise", told[1][1])
    assert.is_nil(b:take())
  end)

  it("shows nothing of what is said", function()
    local a, b = pair()
    open(a, b)
    a:put(1, "the secret word")
    assert.is_nil(a:take():find("secret", 1, true))
  end)

  it("takes no frame of a former session", function()
    local a, b = pair()
    open(a, b)
    a:put(1, "once")
    local bytes = a:take()
    local c, d = pair()
    open(c, d)
    d:feed(bytes)
    c:put(1, "now")
    for _, event in ipairs(carry(c, d)) do
      assert.is_true(event[1] == "noise" or event[3] == "now")
    end
  end)

  it("knows as many lives of nodes as there are", function()
    local a, b = pair()
    open(a, b)
    local pid
    on_node(function() pid = banyan.self() end)
    local bytes = core.to_bytes(pid)
    -- Where the incarnation is, there is another.
    local head, tail = bytes:sub(1, 3 + #"nonode"), bytes:sub(12 + #"nonode")
    for i = 1, 6000 do
      local life = ("\1%07d"):format(i)
      local fine, other = core.from_bytes(head .. life .. tail)
      assert.is_true(fine)
      a:put(1, other)
      local event = carry(a, b)[1]
      assert.is_true(event[3] == other and other ~= pid)
      if i % 1000 == 0 then collectgarbage() end
    end
  end)

  it("reads and writes values as bytes", function()
    assert.same({ true, { 1, a = { false } } },
      { core.from_bytes(core.to_bytes { 1, a = { false } }) })
    assert.same({ false }, { core.from_bytes "\255\0" })
    assert.same({ false }, { core.from_bytes(core.to_bytes(1) .. "x") })
  end)
end)

describe("a wire", function()
  it("writes frames in the order of their numbers, whoever is preempted",
    function()
      on_node(function()
        local fds = assert(uv.socketpair("stream", 0, { nonblock = true },
          { nonblock = true }))
        local near, far = uv.new_pipe(false), uv.new_pipe(false)
        near:open(fds[1])
        far:open(fds[2])
        local wire = wires.new(banyan.self(), true, ("t"):rep(32),
          ("n"):rep(32), streams.new(near), {})
        local number, waiting, got = 0, "", ""
        wire.channel = {
          put = function()
            number = number + 1
            waiting = waiting .. ("%02d "):format(number)
            return true
          end,
          take = function() -- for the first, it takes longer than a slice
            local bytes = waiting
            waiting = ""
            local limit = uv.hrtime() + (bytes == "01 " and 1e8 or 0)
            while uv.hrtime() < limit do math.abs(1) end
            return bytes ~= "" and bytes or nil
          end,
        }
        far:read_start(function(_, data) got = got .. (data or "") end)
        local expected = ""
        for i = 1, 20 do
          expected = expected .. ("%02d "):format(i)
          banyan.spawn(function() wire:put(1) end)
        end
        eventually(function() return #got == #expected end)
        wire:close()
        far:close()
        assert.equal(expected, got)
      end, { preempt = { slice_ms = 1 } })
    end)
end)

describe("a peer under the other Lua", function()
  local there = lua.finds(lua.other) and it or pending

  there("speaks with this one, as far as their numbers go", function()
    on_named(function()
      for kind, options in pairs(peers.kinds) do
        local opts = options()
        local bare = kind == "framed"
        opts.exec = bare and peers.bare(lua.other) or lua.other
        opts.env = {
          LUA_CPATH = ("./build/%s-test/?.so;;"):format(lua.other),
          LD_PRELOAD = "",
        }
        local p = start(opts)
        assert.equal(jit and "nil" or "table", call(p, "kind_of", "jit"))
        assert.same({ 1, 1.5, "x" }, { call(p, "give", 1, 1.5, "x") })
        if jit then
          local none, err = peer.call(p, "math", "tointeger",
            { "9007199254740993" })
          assert.is_nil(none)
          assert.matches("numbers are doubles", tostring(err))
        else
          peers.fails("numbers are doubles", call, p, "give",
            math.tointeger(2 ^ 53) + 1)
        end
        assert.equal(2, call(p, "give", 2))
      end
    end)
  end)
end)

describe("frames in standard output", function()
  local flag

  -- A peer behind spec/support/damage.lua.
  local function begin(opts)
    flag = os.tmpname()
    assert(io.open(flag, "w")):close()
    return start(with(opts or {}, {
      connection = "stdio",
      exec = { peers.LUA, { "spec/support/damage.lua", flag, peers.LUA } },
    }))
  end

  local function have(word)
    local file = assert(io.open(flag, "w"))
    file:write(word)
    file:close()
  end

  after_each(function() if flag then os.remove(flag) end end)

  for _, how in ipairs { "damage", "cut" } do
    it("cost what they say if they are spoilt, and no more: " .. how, function()
      on_node(function()
        local record, texts = peers.recorder()
        local p = begin { on_output = record }
        assert.equal(1, call(p, "give", 1))
        for i = 1, 5 do
          have(how)
          assert.same({ nil, "timeout" },
            { peer.call(p, peers.WORK, "give", { i }, 300) })
          assert.equal(i, call(p, "give", i))
        end
        call(p, "write", "printed")
        eventually(function() return texts.stdout == "printed" end)
        assert.equal("running", peer.get_state(p))
      end)
    end)
  end

  it("may have bytes of others between them", function()
    on_node(function()
      local record, texts = peers.recorder()
      local p = begin { on_output = record }
      for i = 1, 5 do
        have "noise"
        assert.equal(i, call(p, "give", i))
      end
      assert.equal(("somebody says\n"):rep(5), texts.stdout)
    end)
  end)

  it("cannot be imitated by what is printed", function()
    on_node(function()
      local record, texts = peers.recorder()
      local path = os.tmpname()
      -- All that goes over the line is kept, and printed again by the peer.
      local p = start { connection = "stdio", on_output = record,
        exec = peers.bare("sh", "-c", '"$@" | tee "$0"', path, peers.LUA) }
      for i = 1, 5 do
        assert.equal(i, call(p, "give", i))
        local file = assert(io.open(path, "rb"))
        local frames = file:read "*a"
        file:close()
        assert.is_true(#frames > 200)
        texts.stdout = ""
        call(p, "write", frames)
        eventually(function() return #texts.stdout >= #frames end)
        assert.is_true(frames == texts.stdout)
      end
      os.remove(path)
      assert.equal("running", peer.get_state(p))
    end)
  end)

  it("may follow what is printed before the boot, and precede what is after",
    function()
      on_node(function()
        for _, rest in ipairs { "", "exec 3<&-; unset BANYAN_PEER;" } do
          local record, texts = peers.recorder()
          local p = start {
            connection = "stdio", on_output = record,
            exec = { "sh", { "-c", "echo Welcome; printf '\\377\\000 >';"
              .. rest .. '"$@"; echo Goodbye', "sh", peers.LUA } },
            args = { "-e", "io.write('boots')" },
          }
          call(p, "write", "runs")
          peer.stop(p)
          assert.equal("Welcome\n\255\0 >bootsrunsGoodbye\n", texts.stdout)
        end
      end)
    end)

  it("pass through what passes standard input and output alone", function()
    on_node(function()
      -- As ssh does: the words become one line for a shell elsewhere.
      local ssh = { "sh", { "-c", [[
        exec 3<&-
        shift
        exec env -i LUA_PATH="$LUA_PATH" LUA_CPATH="$LUA_CPATH" \
          LD_PRELOAD="$LD_PRELOAD" ASAN_OPTIONS="$ASAN_OPTIONS" sh -c "$*"
      ]], "ssh", "host", peers.LUA } }
      for _, connection in ipairs { "stdio", 0 } do
        local p = start {
          connection = connection, exec = ssh, args = { "-e", "x=3" },
        }
        assert.equal(3, call(p, "global", "x"))
        local os_pid = peers.os_pid(p)
        peer.stop(p)
        assert.is_true(peers.is_gone(os_pid))
      end
    end)
    on_named(function()
      local p, node = start { name = "far", exec = peers.bare(peers.LUA) }
      assert.same({ node, 1 }, { call(p, "node") })
    end)
  end)
end)

describe("a control connection over TCP", function()
  -- A peer that waits until it may begin; who may connect meanwhile.
  local function delayed(port, body)
    local go = os.tmpname()
    local me = banyan.self()
    banyan.spawn(function()
      local p, err = peer.start {
        connection = port, wait_boot = 60000,
        exec = { "sh", { "-c",
          'while [ -e "$0" ]; do sleep 0.05; done; exec "$@"', go,
          peers.LUA } },
      }
      banyan.send(me, { p = p, err = err })
    end)
    body(go)
    os.remove(go)
    local answer = banyan.receive(60000)
    assert.is_truthy(answer.p, tostring(answer.err))
    return answer.p
  end

  it("is that of the peer, whoever comes before", function()
    on_node(function()
      local port = address.free_port()
      local at = "127.0.0.1:" .. port
      local silent
      local p = delayed(port, function()
        eventually(function()
          silent = sockets.plain_client(at)
          return silent.open
        end)
        local chatty = sockets.plain_client(at)
        chatty.tcp:write(("GET / HTTP/1.1\r\n"):rep(1000))
        eventually(function() return chatty.over end)
        assert.equal("", chatty.text)
        chatty.tcp:close()
        local stranger = sockets.plain_client(at)
        local channel = core.channel(true, ("x"):rep(32), ("y"):rep(32))
        stranger.tcp:write(channel:take())
        banyan.sleep(20)
        assert.equal("", stranger.text)
        stranger.tcp:close()
      end)
      assert.equal(1, call(p, "give", 1))
      -- It has been let in: nobody else is.
      eventually(function() return silent.over end)
      assert.equal("", silent.text)
      silent.tcp:close()
      local late = sockets.plain_client(at)
      assert.is_truthy(late.err)
      late.tcp:close()
      peer.stop(p)
    end)
  end)

  it("is held up by no crowd", function()
    on_node(function()
      local port = address.free_port()
      local crowd = {}
      local p = delayed(port, function()
        eventually(function()
          crowd[1] = sockets.plain_client("127.0.0.1:" .. port)
          return crowd[1].open
        end)
        for i = 2, 40 do
          crowd[i] = sockets.plain_client("127.0.0.1:" .. port)
        end
        for i = 1, 40 do crowd[i].tcp:close() end
      end)
      assert.equal(1, call(p, "give", 1))
      peer.stop(p)
    end)
  end)

  it("is on loopback, unless told otherwise", function()
    on_node(function()
      local port = address.free_port()
      local p = start { connection = port }
      assert.equal(1, call(p, "give", 1))
      for _, ip in ipairs { "127.0.0.1", "0.0.0.0" } do
        local q = start { connection = { ip, 0 } }
        assert.equal(2, call(q, "give", 2))
      end
    end)
  end)

  it("needs an address that can be listened on", function()
    on_node(function()
      local taken = uv.new_tcp()
      assert(taken:bind("127.0.0.1", 0) and taken:listen(1, function() end))
      local port = taken:getsockname().port
      for wanted, connection in pairs {
        eaddrinuse = port, eaddrnotavail = { "192.0.2.1", 0 },
        einval = { "no address", 0 },
      } do
        local p, err = peer.start { connection = connection }
        assert.is_nil(p)
        assert.same({ "boot_failed", "listen", wanted },
          { err[1], err[2][1], err[2][2] })
      end
      taken:close()
    end)
  end)

  it("that breaks is the end of the peer", function()
    on_node(function()
      local p = assert(peer.start { connection = 0, peer_down = "crash" })
      local ref, os_pid = banyan.monitor(p), peers.os_pid(p)
      -- The peer closes every connection that it has.
      peer.cast(p, peers.WORK, "close_sockets")
      local reason = banyan.receive(ref, 30000).reason
      assert.is_truthy(reason)
      assert.is_true(peers.is_gone(os_pid))
    end)
  end)
end)

describe("control by distribution", function()
  it("is for the origin alone", function()
    on_named(function()
      local p = start { name = "p" }
      local other = start { name = "other" }
      assert.equal(0, call(p, "set", 0) or 0)
      -- The control process of p, as others may find it.
      local control = call(p, "parent")
      peer.call(other, "banyan", "connect", { control:node() })
      for _, key in ipairs { "", ("0"):rep(64) } do
        call(other, "send", control, {
          tag = "$peer_frame", key = key, kind = 3, n = 3,
          peers.WORK, "set", { 1, n = 1 },
        })
      end
      call(other, "send", control, { tag = "$peer_frame" })
      call(other, "send", control, "x")
      assert.equal(0, call(p, "get"))
      banyan.send(p, { tag = "$peer_frame", key = "", kind = 1, n = 1, p })
      banyan.send(p, { tag = "$peer", what = 7 })
      banyan.send(p, "x")
      assert.equal(0, call(p, "get"))
    end)
  end)
end)
