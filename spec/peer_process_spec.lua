-- The OS processes of banyan.peer: what they print, how they boot and do not,
-- how they are stopped, and that none is left.

local banyan = require "banyan"
local peer = require "banyan.peer"
local peers = require "spec.support.peers"
local program = require "spec.support.program"
local uv = require "luv"

local call = peers.call
local eventually = peers.eventually
local on_node, on_named = peers.on_node, peers.on_named
local start = peers.start
local with = peers.with

local function each_kind(...) peers.each_kind(it, ...) end

local function alphabet()
  local bytes = {}
  for i = 0, 255 do bytes[#bytes + 1] = string.char(i) end
  return table.concat(bytes)
end

describe("the output of a peer", function()
  each_kind("comes whole and in order, whatever its bytes", function(opts)
    local record, texts = peers.recorder()
    local p = start(with(opts, { on_output = record }))
    local all = alphabet()
    for i = 1, 20 do
      call(p, "both", ("%d:"):format(i) .. all, ("%d;"):format(i))
    end
    call(p, "shell", "printf 'a child\\303\\251'")
    local out, err = {}, {}
    for i = 1, 20 do
      out[i], err[i] = ("%d:"):format(i) .. all, ("%d;"):format(i)
    end
    local whole = table.concat(out) .. "a child\195\169"
    eventually(function() return #texts.stdout >= #whole end)
    assert.is_true(whole == texts.stdout)
    assert.equal(table.concat(err), texts.stderr)
    assert.equal("running", peer.get_state(p))
  end)

  each_kind("is there before the end is told", function(opts)
    local record, texts = peers.recorder()
    local p = assert(peer.start(with(opts, {
      on_output = record, peer_down = "crash",
    })))
    local ref = banyan.monitor(p)
    call(p, "write", "first\n")
    peer.cast(p, peers.WORK, "print_and_exit", { "last words", 5 })
    local reason = banyan.receive(ref, 30000).reason
    assert.same({ "exit_status", 5 }, { reason[1], reason[2] })
    assert.equal("first\nlast words", texts.stdout)
  end)

  it("goes to this program's, where nobody takes it", function()
    local child = program([[
      local banyan, peer = require "banyan", require "banyan.peer"
      banyan.run(function()
        for _, connection in ipairs { "stdio", 0 } do
          local p = assert(peer.start { connection = connection })
          peer.call(p, "spec.support.peer_work", "both", { "out\n", "err\n" })
          peer.stop(p)
        end
      end)
    ]])
    assert.equal(0, (child:finish()))
    assert.same({ "out\nout\n", "err\nerr\n" }, { child.out, child.err })
  end)

  it("costs nothing more where the function that takes it fails", function()
    local events = on_node(function()
      local p = start {
        connection = "stdio", on_output = function() error "on purpose" end,
      }
      call(p, "write", "x")
      eventually(function() return call(p, "give", true) end)
      peer.stop(p)
    end)
    local count = 0
    for _, event in ipairs(events) do
      if event.event == "callback_error" then count = count + 1 end
    end
    assert.equal(1, count)
  end)

  -- 50 MB, from another program that writes to the peer's standard output.
  for _, kind in ipairs { "stdio", "framed" } do
    it("neither stops calls nor piles up (" .. kind .. ")", function()
      on_node(function()
        local size, count = 50 * 1024 * 1024, 0
        local p = start(with(peers.kinds[kind](), {
          on_output = function(_, text) count = count + #text end,
        }))
        call(p, "give", 1)
        collectgarbage()
        local before, most, calls = collectgarbage "count", 0, 0
        call(p, "shell", ("head -c %d /dev/zero"):format(size))
        while count < size do
          assert.equal(calls, call(p, "give", calls))
          calls = calls + 1
          most = math.max(most, collectgarbage "count" - before)
        end
        assert.equal(size, count)
        assert.is_true(calls > 2, "calls: " .. calls)
        assert.is_true(most < 8 * 1024, most .. " KiB more")
      end)
    end)
  end

  it("may be more than a pipe holds, of one turn", function()
    on_node(function()
      for _, kind in ipairs { "stdio", "framed" } do
        local count = 0
        local p = start(with(peers.kinds[kind](), {
          on_output = function(_, text) count = count + #text end,
        }))
        call(p, "write", ("x"):rep(3e6))
        eventually(function() return count == 3e6 end)
      end
    end)
  end)
end)

describe("a boot", function()
  it("has four ends that are four errors, all at once", function()
    on_named(function()
      local me = banyan.self()
      local cases = {
        { "/no/such/program" },
        { "sh", { "-c", "exit 7" } },
        { "sh", { "-c", "kill -9 $$" } },
        { "sh", { "-c", "sleep 1000; true" }, wait = 200 },
      }
      local kinds = { "stdio", "tcp", "dist" }
      for at = 1, 5 * #kinds do
        local kind = kinds[at % #kinds + 1]
        for i, case in ipairs(cases) do
          banyan.spawn(function()
            local p, err = peer.start(with(peers.kinds[kind](), {
              exec = { case[1], case[2] }, wait_boot = case.wait or 30000,
            }))
            banyan.send(me, { kind .. i, p or false, err })
          end)
        end
      end
      local got = {}
      for _ = 1, #cases * 5 * #kinds do
        local m = banyan.receive(60000)
        assert.is_false(m[2])
        assert.equal("boot_failed", m[3][1])
        local before = got[m[1]] or m[3][2]
        assert.equal(tostring(before), tostring(m[3][2]))
        got[m[1]] = before
      end
      for _, kind in ipairs(kinds) do
        assert.same({ "exec", "enoent" }, { got[kind .. 1][1],
          got[kind .. 1][2] })
        assert.same({ "exit_status", 7 }, { got[kind .. 2][1],
          got[kind .. 2][2] })
        assert.same({ "signal", 9 }, { got[kind .. 3][1], got[kind .. 3][2] })
        assert.equal("timeout", got[kind .. 4])
      end
    end)
  end)

  it("that fails is told as such to who is linked, and as nothing else",
    function()
      on_node(function()
        banyan.trap_exit(true)
        for _, exec in ipairs {
          "/no/such/program", { "sh", { "-c", "exit 1" } },
        } do
          local p, err = peer.start_link { connection = "stdio", exec = exec }
          assert.is_nil(p)
          assert.equal("boot_failed", err[1])
        end
        assert.same({ nil, "timeout" }, { banyan.receive(50) })
      end)
    end)

  it("that fails leaves no OS process, however stubborn", function()
    on_node(function()
      local record, texts = peers.recorder()
      local p, err = peer.start {
        connection = "stdio", wait_boot = 500, on_output = record,
        exec = { "sh", { "-c",
          "trap '' TERM; sleep 1000 & echo $$ $!; "
            .. "while :; do sleep 1; done" } },
      }
      assert.is_nil(p)
      assert.equal("timeout", err[2])
      local shell, sleep = texts.stdout:match "(%d+) (%d+)"
      assert.is_true(peers.is_gone(tonumber(shell)))
      eventually(function() return peers.is_gone(tonumber(sleep), true) end)
    end)
  end)

  -- As OTP's -detached has it, and daemons do. It says who it is, and goes on
  -- once what started it has ended.
  local DAEMON = [[
    local uv = require "luv"
    local parent = uv.os_getppid()
    local file = io.open(%q, "w")
    file:write(("%%d"):format(uv.os_getpid()))
    file:close()
    while uv.os_getppid() == parent do uv.sleep(1) end
  ]]

  each_kind("that goes on in the background fails, and is gone", function(opts)
    local path = os.tmpname()
    local exec = opts.exec or { peers.LUA, {} }
    local words = { "-c", 'exec 4<&0; setsid "$@" <&4 & '
      .. 'until [ -s "$0" ]; do sleep 0.01; done', path, exec[1] }
    for _, word in ipairs(exec[2]) do words[#words + 1] = word end
    local none, err = peer.start(with(opts, {
      exec = { "sh", words }, args = { "-e", DAEMON:format(path) },
      on_output = function() end, wait_boot = 60000,
    }))
    assert.is_nil(none)
    assert.equal("boot_failed: exit_status: 0", tostring(err))
    local file = assert(io.open(path))
    local os_pid = assert(tonumber(file:read "*a"))
    file:close()
    os.remove(path)
    eventually(function() return peers.is_gone(os_pid, true) end)
  end)

  it("is one of twenty at a time, ten times, and none is left", function()
    on_named(function()
      local me = banyan.self()
      for round = 1, 10 do
        local list, gone = {}, {}
        for i = 1, 20 do
          banyan.spawn(function()
            local kind = ({ "stdio", "tcp", "dist", "framed" })[i % 4 + 1]
            local p, err = peer.start(with(peers.kinds[kind](), {
              wait_boot = 60000,
            }))
            banyan.send(me, { p = p, err = err,
              os_pid = p and peers.os_pid(p) })
          end)
        end
        for i = 1, 20 do
          list[i] = banyan.receive(60000)
          assert.is_truthy(list[i].p, tostring(list[i].err))
        end
        for i = 1, 20 do
          assert.equal(round, call(list[i].p, "give", round))
          banyan.spawn(function()
            banyan.send(me, { stopped = peer.stop(list[i].p) })
          end)
        end
        for i = 1, 20 do gone[i] = banyan.receive(60000).stopped end
        for i = 1, 20 do
          assert.is_true(gone[i])
          assert.is_true(peers.is_gone(list[i].os_pid))
        end
      end
    end)
  end)

  it("and an end, again and again, leave nothing behind", function()
    on_named(function()
      local function cycle(n)
        for i = 1, n do
          local kind = ({ "stdio", "tcp", "dist", "framed" })[i % 4 + 1]
          local p = assert(peer.start(peers.kinds[kind]()))
          local os_pid = peers.os_pid(p)
          assert.is_true(peer.stop(p))
          assert.is_true(peers.is_gone(os_pid))
          peer.start { connection = 0, exec = "/no/such/program" }
          peer.start { name = "x", exec = "false" }
        end
        eventually(function() return #banyan.nodes() == 0 end)
        banyan.sleep(20)
        collectgarbage()
        collectgarbage()
        return collectgarbage "count"
      end
      cycle(8)
      local open, memory = peers.descriptors(), cycle(8)
      memory = cycle(24) - memory
      eventually(function() return peers.descriptors() <= open end)
      assert.is_true(memory < 60, memory .. " KiB more")
    end)
  end)
end)

describe("the stop of a peer", function()
  -- A peer that a C function holds for so long.
  local function held(opts, ms)
    local record, texts = peers.recorder()
    local p = assert(peer.start(with(opts, { on_output = record })))
    local os_pid = peers.os_pid(p)
    peer.cast(p, peers.WORK, "block", { ms })
    eventually(function() return texts.stdout == "held" end)
    return p, os_pid
  end

  each_kind("halt waits for one that is held up", function(opts)
    local p, os_pid = held(opts, 300)
    assert.is_true(peer.stop(p))
    assert.is_true(peers.is_gone(os_pid))
    assert.same({ nil, "noproc" }, { peer.stop(p) })
  end)

  each_kind("halt is over in time", function(opts)
    local p, os_pid = held(with(opts, { shutdown = { "halt", 300 } }), 100000)
    local begun = banyan.now()
    assert.is_true(peer.stop(p))
    assert.is_true(banyan.now() - begun >= 300)
    assert.is_true(peers.is_gone(os_pid))
  end)

  each_kind("infinity stops in order", function(opts)
    local path = os.tmpname()
    local p = assert(peer.start(with(opts, { shutdown = "infinity" })))
    call(p, "tell_end", path, 200)
    assert.is_true(peer.stop(p))
    local file = assert(io.open(path))
    assert.equal("stopped", file:read "*a")
    file:close()
    os.remove(path)
  end)

  each_kind("milliseconds limit it", function(opts)
    local p, os_pid = held(with(opts, { shutdown = 300 }), 100000)
    local begun = banyan.now()
    assert.is_true(peer.stop(p))
    assert.is_true(banyan.now() - begun >= 300)
    assert.is_true(peers.is_gone(os_pid))
  end)

  each_kind("close does not wait", function(opts)
    local p, os_pid = held(with(opts, { shutdown = "close" }), 100000)
    assert.is_true(peer.stop(p))
    eventually(function() return peers.is_gone(os_pid) end)
  end)

  each_kind("is there for one that a signal has stopped", function(opts)
    local p = assert(peer.start(with(opts, { shutdown = { "halt", 100 } })))
    local os_pid = peers.os_pid(p)
    uv.kill(os_pid, "sigstop")
    assert.same({ nil, "timeout" },
      { peer.call(p, peers.WORK, "give", { 1 }, 50) })
    assert.is_true(peer.stop(p))
    assert.is_true(peers.is_gone(os_pid))
  end)

  it("is there while it sleeps, and while it boots", function()
    on_node(function()
      local p = assert(peer.start { connection = "stdio" })
      peer.cast(p, peers.WORK, "wait", { 1e6 })
      assert.is_true(peer.stop(p))
      p = assert(peer.start {
        connection = 0, wait_boot = false,
        exec = { "sleep" }, post_process_args = function() return { "99" } end,
      })
      assert.is_true(peer.stop(p))
    end)
  end)

  it("takes what it started with it", function()
    on_node(function()
      local record, texts = peers.recorder()
      local p = assert(peer.start { connection = 0, on_output = record })
      call(p, "shell", "echo $$; exec sleep 1000")
      eventually(function() return texts.stdout:find "\n" end)
      peer.stop(p)
      local sleep = tonumber(texts.stdout:match "%d+")
      eventually(function() return peers.is_gone(sleep, true) end)
    end)
  end)

  it("answers the calls that are under way", function()
    on_node(function()
      local p, me = assert(peer.start { connection = 0 }), banyan.self()
      banyan.spawn(function()
        banyan.send(me, { call(p, "wait", 1e6) })
      end)
      call(p, "give", 1)
      peer.stop(p)
      local err = banyan.receive(30000)[2]
      assert.same({ "peer_down", "stopped" }, { err[1], err[2] })
    end)
  end)

  each_kind("follows the end of its control process", function(opts)
    local p, os_pid = held(opts, 100000)
    p:exit "kill"
    eventually(function() return peers.is_gone(os_pid) end)
    assert.same({ nil, "noproc" }, { peer.get_state(p) })
  end)

  each_kind("follows the end of who started it with a link", function(opts)
    local me = banyan.self()
    local owner = banyan.spawn(function()
      local p = assert(peer.start_link(opts))
      banyan.send(me, peers.os_pid(p))
      banyan.receive()
      error "on purpose"
    end)
    local ref = banyan.monitor(owner)
    local os_pid = banyan.receive(30000)
    if type(os_pid) == "table" then error(os_pid.reason) end
    banyan.demonitor(ref, { flush = true })
    banyan.send(owner, "go")
    eventually(function() return peers.is_gone(os_pid) end)
  end)

  it("follows the end of its node", function()
    local os_pids = {}
    on_named(function()
      for kind, options in pairs(peers.kinds) do
        os_pids[kind] = peers.os_pid(assert(peer.start(options())))
      end
    end)
    for _, os_pid in pairs(os_pids) do
      assert.is_true(peers.is_gone(os_pid))
    end
  end)
end)

describe("the peers of an origin that is killed", function()
  local function wait_gone(os_pids)
    for os_pid in os_pids:gmatch "%d+" do
      os_pid = tonumber(os_pid)
      local limit = uv.hrtime() + 20e9
      while not peers.is_gone(os_pid, true) do
        assert.is_true(uv.hrtime() < limit, os_pid .. " is there still")
        uv.sleep(10)
      end
    end
  end

  local ORIGIN = [[
    local banyan, peer = require "banyan", require "banyan.peer"
    local peers = require "spec.support.peers"
    local held = ... == "held"
    peers.on_named(function()
      local list = {}
      for _, options in pairs(peers.kinds) do
        local p = assert(peer.start(options()))
        list[#list + 1] = ("%d"):format(peers.os_pid(p))
        if held then peer.cast(p, peers.WORK, "block", { 1e6 }) end
        if not held then peer.cast(p, peers.WORK, "wait", { 1e6 }) end
      end
      local _, inner = peers.call(assert(peer.start { connection = 0 }),
        "start", { connection = "stdio" })
      list[#list + 1] = ("%d"):format(inner)
      banyan.sleep(200)
      print("peers " .. table.concat(list, " "))
      io.stdout:flush()
      if os.getenv "HOW" == "exit" then os.exit(0) end
      banyan.sleep(1e6)
    end)
  ]]

  -- Each of its threads, and not only the first.
  local function is_stopped(os_pid)
    local threads, stopped = ("/proc/%d/task"):format(os_pid), true
    local scan = assert(uv.fs_scandir(threads)) -- to its end: that frees it
    for thread in function() return uv.fs_scandir_next(scan) end do
      local file = assert(io.open(threads .. "/" .. thread .. "/stat"))
      local state = file:read "*a":match "%) (%a)"
      file:close()
      stopped = stopped and state == "T"
    end
    return stopped
  end

  local function stop(os_pid)
    local limit = uv.hrtime() + 20e9
    uv.kill(os_pid, "sigstop")
    while not is_stopped(os_pid) do
      assert.is_true(uv.hrtime() < limit, os_pid .. " goes on")
      uv.sleep(1)
    end
  end

  -- What is stopped can do nothing, not even end, until it is continued.
  it("are gone once they go on, stopped by a signal", function()
    local child = program(("(function(...) %s end)('free')"):format(ORIGIN))
    child:wait_for "peers "
    child:wait_for "\n"
    local os_pids = child.out:match "peers ([%d ]+)"
    for os_pid in os_pids:gmatch "%d+" do stop(tonumber(os_pid)) end
    child:kill "sigkill"
    child:finish()
    for os_pid in os_pids:gmatch "%d+" do
      assert.is_false(peers.is_gone(tonumber(os_pid), true))
      uv.kill(tonumber(os_pid), "sigcont")
    end
    wait_gone(os_pids)
  end)

  for _, how in ipairs { "kill", "exit" } do
    for _, state in ipairs { "held", "free" } do
      it(("are gone, %s by C (%s)"):format(state, how), function()
        local child = program(("(function(...) %s end)(%q)"):format(ORIGIN,
          state), { env = { HOW = how } })
        child:wait_for "peers "
        child:wait_for "\n"
        child:kill "sigkill"
        child:finish()
        wait_gone(child.out:match "peers ([%d ]+)")
      end)
    end
  end
end)
