-- banyan.peer: options, calls, pids, names, states, ends. What is about OS
-- processes and their output is in peer_process_spec.lua, the ways of a
-- control connection are in peer_connection_spec.lua, those through ssh and
-- containers in peer_ssh_spec.lua and peer_container_spec.lua.
--
-- The 58 cases of OTP's peer_SUITE, and where each stands here. "each kind"
-- runs for stdio, framed stdio, TCP and distribution.
--
--   dist          errors                       "misuse of a peer"
--                 dist                         "is a node of the cluster"
--                 peer_down_crash              "crash", each kind
--                 peer_down_continue           "continue: the state stays"
--                 peer_down_boot               process: "four ends", each kind
--                 dist_up_down                 "may be connected and not"
--                 dist_localhost               "has the host that it is given"
--                 post_process_args            "has its command line changed"
--                 attached                     none: a peer is never detached
--                                              from its output, so there is
--                                              one way: process, output
--                 attached_cntrl_channel_handler_crash
--                 cntrl_channel_handler_crash  process: "follows the end of its
--                                              control process", each kind
--                 ..._old_release              none: there has been no release
--                 shutdown_halt                "halt waits" each kind
--                 shutdown_halt_timeout        "halt is over in time"
--                 shutdown_stop                "infinity stops in order"
--                 shutdown_stop_timeout        "milliseconds limit it"
--                 shutdown_close               "close does not wait"
--   dist_seq      dist_io_redirect             process, output: each kind
--                 peer_down_crash_tcp          "crash": each kind
--   tcp,          basic                        "a call": each kind
--   standard_io   peer_states                  "says how the boot goes"
--                 cast                         "a cast": each kind
--                 detached                     process, output: each kind; what
--                                              detaches itself: process, "goes
--                                              on in the background"
--                 dyn_peer                     "may come later": each kind
--                 stop_peer                    process: "while it sleeps"
--                 io_redirect                  process, output: each kind
--                 multi_node                   process: "twenty at a time"
--                 duplicate_name               "is taken already", each kind
--                 attached, *_handler_crash, shutdown_*     as under dist
--   standard_io   init_debug                   connection: "what is printed
--                                              before the boot"
--   compatibility old_release                  none, as above
--   remote        ssh                          peer_ssh_spec.lua
--   (docker)                                   peer_container_spec.lua

local address = require "spec.support.address"
local banyan = require "banyan"
local lockstep = require "banyan.lockstep"
local peer = require "banyan.peer"
local peers = require "spec.support.peers"
local server = require "banyan.server"
local supervisor = require "banyan.supervisor"
local uv = require "luv"

local call = peers.call
local fails = peers.fails
local on_node, on_named = peers.on_node, peers.on_named
local start = peers.start
local with = peers.with

local function each_kind(...) peers.each_kind(it, ...) end

describe("misuse of a peer", function()
  it("is told of wrong options", function()
    on_node(function()
      for text, opts in pairs {
        ['"stdio", a port or {ip, port}'] = { connection = "serial" },
        ["connection\" must be"] = { connection = 70000 },
        ["{ip, port}, got a table"] = { connection = { "127.0.0.1" } },
        ["a path or {path, {args}}"] = { exec = { "a", "b" } },
        ["a list of strings, got a table"] = { args = { 1 } },
        ["a table of strings by name"] = { env = { A = 1 } },
        ["milliseconds, false or {pid, tag}"] = { wait_boot = { "me" } },
        ['{"halt", ms}, milliseconds or "infinity"'] = { shutdown = -1 },
        ['"stop", "continue" or "crash", got "go on"'] = {
          peer_down = "go on",
        },
        ['unknown option "nam"'] = { nam = "x" },
        ["is no node name"] = { connection = 0, name = "a@b" },
        ['needs the option "name"'] = { connection = 0, host = "h" },
        ["has a host already"] = {
          connection = 0, name = "a@h:1", host = "h",
        },
        ["must return a list of strings"] = {
          connection = 0, post_process_args = function() return "x" end,
        },
      } do
        fails(text, peer.start, opts)
        fails(text, peer.start_link, opts)
      end
    end)
  end)

  it("is told where distribution would be needed", function()
    on_node(function()
      fails("this node has no name", peer.start, { name = "x" })
      fails("this node has no name", peer.start_link)
    end)
    on_named(function()
      fails('needs the option "name"', peer.start, {})
    end)
  end)

  it("is told of wrong arguments", function()
    on_node(function()
      fails("a peer is a pid", peer.call, "p", "a", "b")
      fails("names of a module and of a function", peer.call, banyan.self(),
        print)
      fails("args must be a list", peer.cast, banyan.self(), "a", "b", 1)
      for _, n in ipairs { "x", -1, 2^40, 0.5 } do
        fails("args must be a list of at most 200", peer.call, banyan.self(),
          "a", "b", { n = n })
      end
      fails("must be a pid or a name", peer.send, banyan.self(), 1, 1)
      fails("timeout must be", peer.call, banyan.self(), "a", "b", {}, "soon")
      fails("prefix must be a string", peer.random_name, 1)
    end)
  end)

  it("is told where there are no OS processes", function()
    fails("outside a process", peer.start, { connection = 0 })
    lockstep.check(function()
      fails("no OS processes under lockstep", peer.start, { connection = 0 })
    end, { iterations = 1 })
  end)
end)

describe("a call", function()
  each_kind("answers what the function returned", function(opts)
    local p = start(opts)
    assert.same({ 1, nil, "x", { a = { 2 } }, nil, n = 5 },
      (function(...) return { n = select("#", ...), ... } end)(
        call(p, "give", 1, nil, "x", { a = { 2 } }, nil)))
    assert.equal(0, select("#", call(p, "set", 1)))
    assert.equal("HELLO", peer.call(p, "string", "upper", { "hello" }))
    local long = ("\0\1\255"):rep(1e6)
    assert.is_true(call(p, "give", long) == long)
  end)

  each_kind("answers how it failed", function(opts)
    local p = start(opts)
    local none, err = peer.call(p, "no.such.module", "fn")
    assert.is_nil(none)
    assert.equal("module_not_found", err[1])
    none, err = peer.call(p, "string", "no_such_function")
    assert.is_nil(none)
    assert.same({ "undef", "string.no_such_function is no function" },
      { err[1], err[2] })
    none, err = call(p, "fail", "on purpose")
    assert.is_nil(none)
    assert.same({ "error", "on purpose" }, { err[1], err[2] })
    assert.same({ nil, "why" }, { call(p, "exit", "why") })
    assert.same({ nil, "killed" }, { call(p, "kill_me") })
    none, err = peer.call(p, "io", "tmpfile")
    assert.is_nil(none)
    assert.matches("cannot send a userdata", err[2])
    assert.same({ nil, "timeout" },
      { peer.call(p, peers.WORK, "wait", { 100000 }, 20) })
    assert.equal("running", peer.get_state(p))
  end)

  each_kind("says which argument of what cannot be sent", function(opts)
    local p = start(opts)
    local echo = call(p, "echo")
    for text, fn in pairs {
      ["banyan.peer.call: cannot send a function to another node "
        .. "(args[2].x)"] = function() call(p, "b", 1, { x = print }) end,
      ["banyan.peer.cast: cannot send a function to another node "
        .. "(args[1])"] = function() peer.cast(p, "a", "b", { print }) end,
      ["banyan.peer.send: cannot send a table that has a metatable "
        .. "(message)"] = function()
          peer.send(p, "name", setmetatable({}, {}))
        end,
      ["banyan.peer.send: cannot send a function to another node "
        .. "(message[1])"] = function() peer.send(p, echo, { print }) end,
      ["cannot send a function to another node (msg[1])"] = function()
        banyan.send(echo, { print })
      end,
    } do
      local fine, err = pcall(fn)
      assert.is_false(fine)
      local file, said = err:match "([%w_]+%.lua):%d+: (.*)$"
      assert.same({ text, "peer" }, { said, file:match "^peer" })
    end
    assert.equal(7, call(p, "give", 7))
  end)

  it("goes beside others", function()
    on_node(function()
      local p, me = start { connection = "stdio" }, banyan.self()
      for i = 1, 50 do
        banyan.spawn(function()
          call(p, "wait", 50 - i)
          banyan.send(me, i)
        end)
      end
      local seen = {}
      for _ = 1, 50 do seen[banyan.receive(30000)] = true end
      assert.equal(50, #seen)
    end)
  end)

  it("is answered late to nobody", function()
    on_node(function()
      local p = start { connection = 0 }
      assert.same({ nil, "timeout" },
        { peer.call(p, peers.WORK, "wait", { 50 }, 1) })
      assert.equal("waited", call(p, "wait", 80))
      assert.same({ nil, "timeout" }, { banyan.receive(0) })
    end)
  end)

  it("is the origin's alone", function()
    on_named(function()
      local p = start { connection = "stdio" }
      local other = start { name = "other" }
      local function there(fn, ...)
        return peer.call(other, "banyan.peer", fn, { ... })
      end
      local function refused(none, err)
        assert.is_nil(none)
        assert.same({ "not_allowed", banyan.node() }, { err[1], err[3] })
      end
      refused(there("call", p, peers.WORK, "give", { 7 }))
      refused(there("cast", p, peers.WORK, "set", { 8 }))
      refused(there("send", p, "name", 8))
      refused(there("stop", p))
      assert.equal("running", there("get_state", p))
      local none, err = peer.call(other, "banyan.server", "call", { p, "call" })
      assert.same({ nil, "bad_call" }, { none, err })
      assert.is_nil(call(p, "get"))
    end)
  end)
end)

describe("a cast", function()
  each_kind("has its effect, and no answer", function(opts)
    local p = start(opts)
    assert.is_true(peer.cast(p, peers.WORK, "set", { 42 }))
    assert.equal(42, call(p, "get"))
    assert.is_true(peer.cast(p, peers.WORK, "fail", { "x" }))
    assert.is_true(peer.cast(p, "no.such.module", "x"))
    assert.equal(42, call(p, "get"))
  end)
end)

describe("a pid of a peer", function()
  each_kind("is sent to, and answers", function(opts)
    local p = start(opts)
    local echo = call(p, "echo")
    assert.is_true(echo == call(p, "give", echo))
    banyan.send(echo, { from = banyan.self(), text = "one" })
    assert.same({ echo = "one", from = echo }, banyan.receive(30000))
    peer.send(p, echo, { from = banyan.self(), text = "two" })
    assert.equal("two", banyan.receive(30000).echo)
    local named = call(p, "register", "echo")
    peer.send(p, "echo", { from = banyan.self(), text = "three" })
    assert.same({ echo = "three", from = named }, banyan.receive(30000))
  end)

  it("comes to another peer, and what that sends arrives", function()
    on_node(function()
      local a, b = start { connection = "stdio" }, start { connection = 0 }
      local echo = call(a, "echo")
      call(b, "send", echo, { from = banyan.self(), text = "through" })
      assert.equal("through", banyan.receive(30000).echo)
    end)
  end)

  it("may be that of a process which casts to a server here", function()
    on_node(function()
      local Sink = {}
      function Sink:init(to) self.to = to end
      function Sink:handle_cast(msg) banyan.send(self.to, { cast = msg }) end
      local pid = assert(server.start_link(Sink, banyan.self()))
      local p = start { connection = "stdio" }
      call(p, "cast", pid, "hello")
      assert.same({ cast = "hello" }, banyan.receive(30000))
      server.cast(call(p, "echo"), "a cast that no process wants")
      assert.equal(1, call(p, "give", 1))
    end)
  end)

  it("does no harm where nobody is", function()
    on_node(function()
      local p = start { connection = "stdio" }
      peer.send(p, "nobody", "x")
      local gone = call(p, "give", banyan.spawn(function() end))
      call(p, "send", gone, "x")
      local echo = call(p, "echo")
      assert.equal("running", peer.get_state(p))
      peer.stop(p)
      assert.is_true(banyan.send(echo, "x"))
      assert.is_true(peer.send(p, "nobody", "x"))
      assert.is_true(peer.cast(p, "string", "upper", { "x" }))
    end)
  end)

  it("gives the peer no calls of its origin", function()
    on_node(function()
      local p = start { connection = "stdio" }
      local err = select(2, call(p, "call_origin", p))
      assert.same({ "not_allowed", "peer.call" }, { err[1], err[2] })
    end)
  end)
end)

describe("the name of a peer", function()
  it("may be none: then the peer is not distributed", function()
    on_named(function()
      for _, kind in ipairs { "stdio", "tcp", "framed" } do
        local p, node = start(peers.kinds[kind]())
        assert.is_nil(node)
        assert.same({ "none", 0 }, { call(p, "node") })
        assert.same({}, banyan.nodes())
      end
    end)
  end)

  it("is a node of the cluster where distribution controls it", function()
    on_named(function()
      local p, node = start { name = "p" }
      assert.matches("^p@127%.0%.0%.1:%d+$", node)
      assert.same({ node }, banyan.nodes())
      assert.same({ node, 1 }, { call(p, "node") })
      assert.is_true(peer.stop(p))
      peers.eventually(function() return #banyan.nodes() == 0 end)
    end)
  end)

  it("may be connected and not, under another connection", function()
    on_named(function()
      local p, node = start { name = "p", connection = "stdio" }
      assert.same({}, banyan.nodes())
      for _ = 1, 3 do
        assert.is_true(banyan.connect(node))
        assert.same({ node, 1 }, { call(p, "node") })
        assert.equal(node, call(p, "echo"):node())
        banyan.disconnect(node)
        peers.eventually(function() return select(2, call(p, "node")) == 0 end)
      end
      local echo = call(p, "echo")
      banyan.send(echo, { from = banyan.self(), text = "around" })
      assert.equal("around", banyan.receive(30000).echo)
    end)
  end)

  it("is taken whole where it is whole", function()
    on_named(function()
      local name = address.fresh_name "whole"
      local _, node = start { name = name }
      assert.equal(name, node)
    end)
  end)

  it("has the host that it is given", function()
    on_named(function()
      local _, node = start { name = "p", host = "localhost" }
      assert.matches("^p@localhost:%d+$", node)
      local _, own = start { host = "127.0.0.1" }
      assert.matches("^origin@127%.0%.0%.1:%d+$", own)
      assert.not_equal(banyan.node(), own)
      assert.equal(2, #banyan.nodes())
    end)
  end)

  it("that is taken already fails the boot", function()
    on_named(function()
      local name = address.fresh_name "twice"
      for _, connection in ipairs { "stdio", 0 } do
        local p = start { name = name, connection = connection }
        local record, texts = peers.recorder()
        local none, err = peer.start {
          name = name, connection = connection, on_output = record,
        }
        assert.is_nil(none)
        assert.same({ "boot_failed", "exit_status", 1 },
          { err[1], err[2][1], err[2][2] })
        assert.matches("banyan.peer: .*in use", texts.stderr)
        assert.equal("running", peer.get_state(p))
        peer.stop(p)
      end
    end)
  end)

  for _, kind in ipairs { "stdio", "framed", "tcp" } do
    it("may come later, of a node that it starts: " .. kind, function()
      on_named(function()
        local p, node = start(peers.kinds[kind]())
        assert.is_nil(node)
        local name = address.fresh_name "later"
        assert.equal(name, call(p, "become", name, "the secret of the specs"))
        assert.is_true(banyan.connect(name))
        banyan.send({ name = "echo", node = name },
          { from = banyan.self(), text = "x" })
        local answer = banyan.receive(30000)
        assert.same({ "x", name }, { answer.echo, answer.from:node() })
        local os_pid = peers.os_pid(p)
        assert.is_true(peer.stop(p))
        assert.is_true(peers.is_gone(os_pid))
      end)
    end)
  end

  it("can be made up", function()
    local a, b = peer.random_name(), peer.random_name "worker"
    assert.matches("^peer%-%d+%-%d+$", a)
    assert.matches("^worker%-%d+%-%d+$", b)
    on_named(function()
      local p = assert(peer.start_link())
      assert.matches("^peer%-%d+%-%d+@127%.0%.0%.1:%d+$", (call(p, "node")))
    end)
  end)
end)

describe("what a peer is started with", function()
  it("is the environment, and what is added to it", function()
    on_node(function()
      uv.os_setenv("PEER_SPEC_A", "inherited")
      uv.os_setenv("PEER_SPEC_B", "inherited")
      local p = start { connection = 0, env = { PEER_SPEC_B = "added" } }
      local function env(name) return peer.call(p, "os", "getenv", { name }) end
      assert.same({ "inherited", "added" },
        { env "PEER_SPEC_A", env "PEER_SPEC_B" })
      assert.is_nil(env "BANYAN_PEER")
      uv.os_unsetenv "PEER_SPEC_A"
      uv.os_unsetenv "PEER_SPEC_B"
    end)
  end)

  it("is a directory", function()
    on_node(function()
      local p = start { connection = "stdio", cwd = "/" }
      assert.equal("/", peer.call(p, "luv", "cwd"))
      assert.equal(3, call(p, "give", 3)) -- found from where we are
      assert.equal(uv.cwd(),
        peer.call(start { connection = "stdio" }, "luv", "cwd"))
    end)
  end)

  it("are options of the interpreter", function()
    on_node(function()
      local p = start {
        connection = "stdio",
        args = { "-e", "package.loaded.given = { get = function() return 'it'"
          .. " end }" },
      }
      assert.equal("it", peer.call(p, "given", "get"))
    end)
  end)

  it("is a program with arguments", function()
    on_node(function()
      local p = start {
        connection = "stdio", exec = { "env", { "PEER_SPEC=x", peers.LUA } },
      }
      assert.equal("x", peer.call(p, "os", "getenv", { "PEER_SPEC" }))
    end)
  end)

  it("has its command line changed at last", function()
    on_node(function()
      local seen
      local p = start {
        connection = 0, exec = { "sh", { "-c" } }, args = { "-e", "x = 1" },
        post_process_args = function(list)
          seen = table.concat(list, "|")
          return { "-c", ("%s -e 'x = 2' %s"):format(peers.LUA, list[#list]) }
        end,
      }
      assert.equal("-c|-e|x = 1|-lbanyan.peer.boot", seen)
      assert.equal(2, call(p, "global", "x"))
    end)
  end)

  it("stands in a shell as it is, and has no secret", function()
    on_node(function()
      local p = start { connection = 0 }
      local file = assert(io.open(("/proc/%d/cmdline"):format(peers.os_pid(p))))
      local line = file:read("*a"):gsub("%z", " ")
      file:close()
      assert.matches("^%S+ %-lbanyan%.peer%.boot $", line)
    end)
  end)
end)

describe("the state of a peer", function()
  it("says how the boot goes", function()
    on_node(function()
      for _, connection in ipairs { "stdio", 0 } do
        local me = banyan.self()
        local p = assert(peer.start {
          connection = connection, wait_boot = { me, "ready" },
          peer_down = "continue",
        })
        assert.equal("booting", peer.get_state(p))
        assert.same({ nil, "noconnection" }, { call(p, "give", 1) })
        assert.same({ tag = "ready", started = false, peer = p },
          banyan.receive(30000))
        assert.equal("running", peer.get_state(p))
        peer.cast(p, "os", "exit", { 3 })
        peers.eventually(function() return peer.get_state(p) ~= "running" end)
        local state = peer.get_state(p)
        assert.same({ "down", "exit_status", 3 },
          { state[1], state[2][1], state[2][2] })
        peer.stop(p)
        assert.same({ nil, "noproc" }, { peer.get_state(p) })
      end
    end)
  end)

  it("is told by name to who waits for the boot", function()
    on_named(function()
      local p, node = peer.start {
        name = "p", wait_boot = { banyan.self(), { "any", 1 } },
      }
      assert.matches("^p@", node)
      assert.same({ tag = { "any", 1 }, started = node, peer = p },
        banyan.receive(30000))
      peer.stop(p)
    end)
  end)

  it("is told of a boot that fails, to who waits", function()
    on_node(function()
      local p = assert(peer.start {
        connection = "stdio", wait_boot = { banyan.self(), "t" },
        exec = { "sh", { "-c", "exit 4" } },
      })
      local ref = banyan.monitor(p)
      local message = banyan.receive(function(m) return m.tag == "t" end, 30000)
      assert.same({ "exit_status", 4 },
        { message.failed[1], message.failed[2] })
      assert.equal("normal", banyan.receive(ref, 30000).reason)
    end)
  end)

  it("is left alone where nobody waits", function()
    on_node(function()
      local p = assert(peer.start { connection = "stdio", wait_boot = false })
      peers.eventually(function() return peer.get_state(p) == "running" end)
      assert.equal(1, call(p, "give", 1))
      peer.stop(p)
    end)
  end)
end)

describe("the stop of a process that is no peer", function()
  it("is refused", function()
    on_node(function()
      local Idle = {}
      function Idle.init() end
      local pid = assert(server.start_link(Idle))
      assert.same({ nil, "noproc" }, { peer.stop(pid) })
      start { connection = "stdio" } -- now there are peers
      assert.same({ nil, "noproc" }, { peer.stop(pid) })
      assert.is_true(banyan.is_alive(pid))
      fails("a peer is a pid, got string", peer.stop, "p")
    end)
  end)
end)

describe("a peer that is gone", function()
  local function begin(opts)
    local p = assert(peer.start(opts))
    local me = banyan.self()
    banyan.spawn(function()
      banyan.send(me, { answer = { call(p, "wait", 1e6) } })
    end)
    peers.eventually(function() return call(p, "give", true) end)
    return p, banyan.monitor(p), peers.os_pid(p)
  end

  local function answer()
    return banyan.receive(function(m) return m.answer end, 30000).answer[2]
  end

  each_kind("stop: the control process ends in peace", function(opts)
    local _, ref, os_pid = begin(opts)
    uv.kill(os_pid, "sigkill")
    assert.equal("normal", banyan.receive(ref, 30000).reason)
    local err = answer()
    assert.same({ "peer_down", "signal", 9 }, { err[1], err[2][1], err[2][2] })
  end)

  each_kind("crash: the control process ends with the reason", function(opts)
    local _, ref, os_pid = begin(with(opts, { peer_down = "crash" }))
    uv.kill(os_pid, "sigkill")
    local reason = banyan.receive(ref, 30000).reason
    assert.same({ "signal", 9 }, { reason[1], reason[2] })
    assert.equal("peer_down", answer()[1])
  end)

  each_kind("continue: the state stays", function(opts)
    local p, _, os_pid = begin(with(opts, { peer_down = "continue" }))
    uv.kill(os_pid, "sigkill")
    assert.equal("peer_down", answer()[1])
    local state = peer.get_state(p)
    assert.same({ "down", "signal", 9 },
      { state[1], state[2][1], state[2][2] })
    local err = select(2, call(p, "give", 1))
    assert.same({ "peer_down", "signal", 9 }, { err[1], err[2][1], err[2][2] })
    assert.is_true(peer.cast(p, "string", "upper", { "x" }))
    assert.is_true(peer.send(p, "name", "x"))
    assert.is_true(peer.stop(p))
    assert.same({ nil, "noproc" }, { peer.stop(p) })
  end)

  it("is gone with its link, where that controls it", function()
    on_named(function()
      local p, node = assert(peer.start { name = "p", peer_down = "crash" })
      local os_pid, ref = peers.os_pid(p), banyan.monitor(p)
      banyan.disconnect(node)
      local reason = banyan.receive(ref, 30000).reason
      assert.is_true(reason[1] == "nodedown" or reason[1] == "exit_status")
      assert.is_true(peers.is_gone(os_pid))
    end)
  end)

  it("tells who is linked to it as its option says", function()
    on_node(function()
      banyan.trap_exit(true)
      local p = start { connection = "stdio", peer_down = "crash" }
      uv.kill(peers.os_pid(p), "sigterm")
      local message = banyan.receive(30000)
      assert.same({ "EXIT", p }, { message.tag, message.from })
    end)
  end)
end)

describe("a peer under a supervisor", function()
  it("is a child like others", function()
    on_node(function()
      local sup = assert(supervisor.start_link {
        { id = "p", start = { "banyan.peer", "start_link",
          { { connection = "stdio", peer_down = "crash" } } } },
      })
      local function child() return supervisor.which_children(sup)[1].pid end
      local p = child()
      assert.equal(5, call(p, "give", 5))
      local os_pid = peers.os_pid(p)
      uv.kill(os_pid, "sigkill")
      peers.eventually(function() return child() and child() ~= p end)
      assert.equal(6, call(child(), "give", 6))
      local second = peers.os_pid(child())
      supervisor.stop(sup)
      assert.is_true(peers.is_gone(os_pid) and peers.is_gone(second))
    end)
  end)
end)
