-- The mistakes of a first hour: each row is a program with one, and what the
-- person who wrote it reads.
--
-- A row is a real program, as some of them end it: its name, its code, the
-- text, and options: `status` is its exit status (0). The text is all of
-- stdout, then stderr, without tracebacks, times, the interpreter's name, the
-- numbers of pids and lists of known options. "line: " in front of a message
-- is a line of the program. "A" and "B" are names of nodes, PORT is that of A.

local address = require "spec.support.address"
local program = require "spec.support.program"
local sets = require "banyan.sets"

local SECRET = "secret of the spec"

local PRELUDE = [[
local banyan, server = require "banyan", require "banyan.server"
local supervisor = require "banyan.supervisor"
local dynamic = require "banyan.dynamic_supervisor"
local cluster = require "banyan.distributed_supervisor"
local peers, groups = require "banyan.peers", require "banyan.groups"
local S = { name = "S" }
package.loaded.empty = true
local function run(...) return banyan.run(...) end
]]

local rows = {}
local function row(name, code, text, opts)
  opts = opts or {}
  opts.name, opts.code, opts.text = name, code, text
  rows[#rows + 1] = opts
end
-- Misuse in main: the program ends with that error at its line.
local function misuse(code, message)
  row(code, ("run({ on_event = false }, function() %s end)"):format(code),
    "line: " .. message, { status = 1 })
end

-- --- processes ---------------------------------------------------------------

local TIME = 'a time is whole milliseconds >= 0, math.huge or "infinity"'
misuse("banyan.sleep(-1)",
  ("bad argument #1 to 'banyan.sleep' (%s, got -1)"):format(TIME))
misuse('banyan.sleep("5")',
  ("bad argument #1 to 'banyan.sleep' (%s, got \"5\")"):format(TIME))
misuse("banyan.sleep(nil)",
  "bad argument #1 to 'banyan.sleep' (milliseconds expected, got nil)")
misuse("banyan.send_after(-5, banyan.self(), 1)",
  ("bad argument #1 to 'banyan.send_after' (%s, got -5)"):format(TIME))
misuse("banyan.send_after(math.huge, banyan.self(), 1)",
  "bad argument #1 to 'banyan.send_after' (must be finite)")
misuse("banyan.send_after(5)", "send_after: the destination must be a pid, a "
  .. "name or {name=, node=}, not nil")
-- On LuaJIT it is checked in Lua.
misuse('server.call("x", 1, "5s")', _G.jit
  and 'server.call: timeout must be an integer not below 0 (milliseconds), '
    .. 'math.huge or "infinity", got "5s"'
  or ("bad argument #3 to 'banyan.server.call' (%s, got \"5s\")"):format(TIME))
misuse("banyan.receive(-1)", 'receive: timeout must be an integer not below 0 '
  .. '(milliseconds), math.huge or "infinity", got -1')
misuse('banyan.spawn("main")',
  "bad argument #1 to 'banyan.spawn' (function expected, got string)")
misuse("banyan.link(nil)",
  "bad argument #1 to 'banyan.link' (pid expected, got nil)")
misuse('banyan.link("name")',
  "bad argument #1 to 'banyan.link' (pid expected, got string)")
misuse("banyan.monitor(nil)", "monitor: the destination must be a pid, a name "
  .. "or {name=, node=}, not nil")
misuse('banyan.register(banyan.self(), "a")',
  ("bad argument #1 to 'banyan.register' (string expected, got %s)"):format(
    _G.jit and "userdata" or "pid")) -- LuaJIT's own function has no better name
misuse('banyan.register("a", 5)',
  "bad argument #2 to 'banyan.register' (pid expected, got number)")
misuse("banyan.trap_exit()",
  "bad argument #1 to 'banyan.trap_exit' (boolean expected, got no value)")
misuse("banyan.cancel_timer(nil)", "bad argument #1 to 'banyan.cancel_timer' "
  .. "(timer (from send_after or send_interval) expected, got nil)")
misuse("banyan.process_info(nil)",
  "bad argument #1 to 'banyan.process_info' (pid expected, got nil)")
misuse('local p = banyan.self() p.send("hello")', "bad argument #1 to 'send' "
  .. "(pid (as in pid:send(msg), with a colon) expected, got string)")
misuse("banyan.await(5)", "banyan.await: fn must be a function, got number")
misuse("banyan.send(banyan.self(), { a = { [3] = setmetatable({}, {}) } })",
  "cannot send a table that has a metatable (msg.a[3])")
misuse("banyan.send(banyan.self(), { [{}] = 1 })",
  "cannot send a table with a table as a key")

row("a function for another node", [[
local n = assert(banyan.start { name = "B", secret = "SECRET" })
n:spawn(function() banyan.register "echo" banyan.receive() end)
run({ name = "A", on_event = false, secret = "SECRET" }, function()
  assert(banyan.connect "B")
  banyan.send({ name = "echo", node = "B" },
    { handlers = { 1, 2, { fn = print } } })
end)]], "line: cannot send a function to another node (msg.handlers[3].fn)",
  { status = 1 })

row("outside of run", [[
print(pcall(banyan.sleep, 1))
print(pcall(banyan.spawn, print))
print(pcall(server.call, "x", 1))]],
  "false\tsleep outside a process: call it inside banyan.run or a function "
  .. "given to spawn\n"
  .. "false\tno node runs here: call this inside banyan.run, or after "
  .. "banyan.start\n"
  .. "false\tcall outside a process: call it inside banyan.run or a function "
  .. "given to spawn")

row("a name that is taken, a process with two names", [[
run(function()
  print(banyan.register "a", banyan.register "a", banyan.register "b")
  print(banyan.register("b"))
end)]], "true\tnil\tnil\talready_registered: pid<>\n"
  .. "nil\talready_registered: pid<>")

-- As to Lua's own functions: what is given beside its arguments is nothing to a
-- function.
row("arguments that a function does not have", [[
run(function()
  banyan.register("r", banyan.self(), "q")
  print(banyan.whereis("r", nil) == banyan.self("q"),
    banyan.whereis("r", "q") == banyan.self(), banyan.is_alive(nil or
    banyan.self(), "q"), banyan.unregister("r", nil))
end)]], "true\ttrue\ttrue\ttrue")

-- --- servers -----------------------------------------------------------------

misuse("server.start_link(nil)", "server.start_link: module must be a table "
  .. "or the name of a module, got nil")
misuse('server.start_link("no.such")',
  "server.start_link: module 'no.such' not found")
misuse('server.start_link({}, nil, { nmae = "x" })', 'server.start_link: '
  .. 'unknown option "nmae" (it knows: ...)')
-- Each callback, by the name that the module has or was given.
for _, name in ipairs { "init", "handle_call", "handle_cast", "handle_info",
  "handle_continue", "terminate", "resume", "handoff", "format_status" } do
  misuse(('S.%s = "text" server.start_link(S)'):format(name),
    ("server.start_link: the callback %s of S must be a function, got string")
    :format(name))
end
misuse("for _ = 1, 2 do pcall(server.start, { init = 1, __name = 'T' }) end "
  .. "package.loaded.m = { handle_call = {} } server.start('m')",
  "server.start: the callback handle_call of m must be a function, got table")
misuse("local m = { handle_info = false } pcall(server.start, m) "
  .. "server.start(m)", "server.start: the callback handle_info of the module "
  .. "must be a function, got boolean")
row("a callback that can be called as one", [[
S.handle_call = setmetatable({}, { __call = function(_, _, m) return m end })
run(function() print(server.call(server.start_link(S), 1)) end)]], "1")
row("a callback that is no function, of a child", [[
S.handle_call = "text"
run({ on_event = false }, function()
  print(supervisor.start_link { { id = "x",
    start = function() return (server.start_link(S)) end } })
end)]], "nil\tshutdown: failed_to_start_child: x, line: server.start_link: the "
  .. "callback handle_call of S must be a function, got string")
misuse("server.call(nil, 1)", "call: the destination must be a pid, a name or "
  .. "{name=, node=}, not nil")
misuse("server.reply(nil, 1)", "bad argument #1 to 'banyan.server.reply' (the "
  .. "`from` of a handle_call expected, got nil)")
misuse("server.stop_with()",
  "bad argument #1 to 'banyan.server.stop_with' (a reason expected)")

row("a name of nobody", [[
run(function() print(server.call("nobody", 1)) end)]], "nil\tnoproc")

row("handle_call misspelt", [[
function S:hande_call() return 1 end
function S:init() end
run(function() print(server.call(server.start_link(S), 1)) end)]],
  "nil\tundef: handle_call, the module has hande_call, init")

row("a cast without handle_cast", [[
function S:handle_call() end
run({ on_event = false }, function()
  server.cast(server.start_link(S), 1)
  banyan.sleep "infinity"
end)]], "S has no handle_cast, but a cast came; the module has "
  .. "handle_call", { status = 1 })

row("handle_info misspelt", [[
function S:handle_inof() end
run({ on_event = banyan.log.text { level = "debug" } }, function()
  local pid = server.start_link(S)
  pid:send "tick"
  server.stop(pid)
end)]], 'debug message_dropped pid=pid<> label=S reason="no handle_info: '
  .. 'the module ' .. 'has handle_inof" message=tick')

row("a reply that cannot be sent", [[
function S:handle_call() return { list = { 1, self } } end
run({ on_event = false }, function()
  print(server.call(server.start(S), 1))
end)]], "nil\tS returned from handle_call what cannot be sent: "
  .. "cannot send a table that has a metatable (reply.list[2])")

row("servers that call each other", [[
local T = { name = "T" }
function S:handle_call()
  if self.asked then return 1 end
  self.asked = true
  return server.call("t", 1, 300)
end
function T:handle_call() return server.call("s", 1, 5000) end
run(function()
  server.start_link(S, nil, { name = "s" })
  server.start_link(T, nil, { name = "t" })
  print(server.call("s", 1))
end)]], "nil\ttimeout\nwarning call_timeout pid=pid<> label=S to=pid<> "
  .. "deadlock=true to_label=T to_waits_for=pid<>")

-- --- supervisors -------------------------------------------------------------

local function children(code, message)
  misuse(("supervisor.start_link(%s)"):format(code),
    "supervisor.start_link: " .. message)
end
children("nil", "children must be a list of child specs, got nil")
children("{ 5 }",
  'children[1]: a child spec must be a table, "module" or {"module", arg}, '
  .. "got 5")
children('{ id = "x" }', 'children must be a list, but it has the key "id"')
children('{ { id = "x", start = "m.start_link" } }', "children[1]: a child "
  .. 'spec\'s start must be {"module", "fn", {args}} or a function, got '
  .. '"m.start_link"')
children('{ { id = "x", start = { "m", "f", 5 } } }', "children[1]: the "
  .. "arguments in a child spec's start must be a list, got 5")
children('{ { id = "x", start = print, restrat = "permanent" } }',
  'children[1]: a child spec has no option "restrat"')
children('{ { id = "x", start = print, restart = "always" } }', "children[1]: "
  .. 'a child spec\'s restart must be one of "permanent", "temporary", '
  .. '"transient", got "always"')
children('{ { id = "x", start = print, shutdown = "5s" } }', "children[1]: a "
  .. "child spec's shutdown must be milliseconds from 0 to 2^31 - 1, "
  .. '"infinity" or "brutal_kill", got "5s"')
children('{ { id = "x", start = print, backoff = { mn = 1 } } }',
  'children[1]: backoff has no option "mn"')
children('{ { id = "x", start = print }, { id = "x", start = print } }',
  'children[2]: id "x" is taken by children[1]')
children('{}, { strategy = "one_for_two" }', 'option "strategy" must be one of '
  .. '"one_for_all", "one_for_one", "rest_for_one", "simple_one_for_one", got '
  .. '"one_for_two"')
children("{}, { max_restart = 1 }",
  'unknown option "max_restart" (it knows: ...)')
misuse("dynamic.start_link { max_childs = 1 }", 'dynamic_supervisor.start_link'
  .. ': unknown option "max_childs" (it knows: ...)')
misuse('dynamic.start_child("d", { start = print, restart = "transient", '
  .. "significant = true })", "dynamic_supervisor.start_child: a child spec's "
  .. "significant must not be true: a dynamic supervisor has no auto_shutdown")

local function start_fails(name, start, why)
  row(name, ('run({ on_event = false }, function() print(supervisor.start_link '
    .. '{ { id = "x", start = %s } }) end)'):format(start),
    "nil\tshutdown: failed_to_start_child: x, " .. why)
end
start_fails("a start function that returns nothing",
  "function() server.start_link(S) end",
  "bad_return: the start function returned nothing")
start_fails("a start function that returns something else",
  "function() return 5 end", "bad_return: 5")
start_fails("a module that is not there", '{ "no.such", "start_link" }',
  "module 'no.such' not found")
start_fails("a function that is not there", '{ "os", "start_link" }',
  'module "os" has no function "start_link"')
start_fails("a module that returns nothing", '{ "empty", "start_link" }',
  'module "empty" has no function "start_link"')

row("a supervisor that gives up", [[
function S:init() return server.continue() end
function S:handle_continue() error "no database" end
run({ on_event = false }, function()
  supervisor.start_link { { id = "db",
    start = function() return server.start_link(S) end } }
  banyan.sleep(math.huge)
end)]], "banyan.run: the supervisor pid<> gave up and ended main (shutdown); "
  .. "the event supervisor_gave_up says why", { status = 1 })

row("a process linked to main that ends it", [[
run(function()
  banyan.spawn_link(function() banyan.exit "shutdown" end)
  banyan.sleep "infinity"
end)]], "banyan.run: an exit signal of pid<> ended main (shutdown)",
  { status = 1 })

row("a supervisor that ends because its work is done", [[
function S:handle_info() return server.stop_with "normal" end
print(run(function()
  supervisor.start_link({ { id = "job", restart = "transient",
    significant = true, start = function()
      local pid = server.start_link(S)
      pid:send "go"
      return pid
    end } }, { auto_shutdown = "any_significant" })
  banyan.sleep "infinity"
end))]], "nil\tshutdown")

row("SIGTERM", [[
print(run(function()
  supervisor.start_link {}
  require "luv".kill(require "luv".os_getpid(), "sigterm")
  banyan.sleep "infinity"
end))]], "nil\tshutdown")

-- --- nodes and clusters ------------------------------------------------------

row("an option misspelt", [[run({ stop_m = 1 }, function() end)]],
  'line: banyan.run: unknown option "stop_m" (it knows: ...)', { status = 1 })
row("no options", [[run("a@127.0.0.1:1", function() end)]],
  'line: banyan.run: options must be a table, got "a@127.0.0.1:1"',
  { status = 1 })
row("a name without a port", [[run({ name = "a@localhost" }, print)]],
  'line: banyan.run: option "name": "a@localhost" is no node name, '
  .. '"a@host:port": the port is missing', { status = 1 })
row("connect as a string", [[run({ name = "A", connect = "B" }, print)]],
  'line: banyan.run: option "connect" must be a list of names, or of '
    .. '{name=, address=}, got "B"',
  { status = 1 })
row("no secret", [[run({ name = "a@0.0.0.0:9501" }, print)]],
  "line: banyan.run: a node that listens on 0.0.0.0:9501 needs a cluster "
  .. "secret: give the option secret or set BANYAN_SECRET, the same on all "
  .. "nodes", { status = 1 })
row("a port that another program has", [[
local tcp = require "luv".new_tcp()
assert(tcp:bind("127.0.0.1", PORT))
assert(tcp:listen(1, print))
run({ name = "A", secret = "SECRET" }, function() end)]],
  "line: banyan.run: cannot listen on 127.0.0.1:PORT: address already in use",
  { status = 1 })
row("connect names nobody", [[
run({ name = "A", secret = "SECRET", connect = { "B" },
  on_event = function(e)
    if e.event ~= "peer_unreachable" then return end
    print(banyan.log.level(e), e.event, e.peer, e.reason)
    os.exit(0)
  end }, function() banyan.sleep "infinity" end)]],
  "warning\tpeer_unreachable\tB\teconnrefused")
local SHAPE = ' is no node name, "a@host:port": '
local function connects(argument, wrong)
  row("banyan.connect " .. argument,
    ([[run({ name = "A", secret = "SECRET" },
      function() banyan.connect(%s) end)]])
      :format(argument), "line: banyan.connect: name" .. wrong, { status = 1 })
end
connects('"b"', ': "b"' .. SHAPE .. '"@" is missing')
connects('"b@localhost"', ': "b@localhost"' .. SHAPE .. "the port is missing")
connects('"b@localhost:0"',
  ': "b@localhost:0"' .. SHAPE .. '"0" is no port (1 to 65535)')
connects('"b c@localhost:1"',
  ': "b c@localhost:1"' .. SHAPE .. "it has a blank in it")
connects("nil", " must be a string, got a nil")
connects('{ "b" }', " must be a string, got a table")
misuse('banyan.connect("b@localhost:1")', "connect: this node has no name, so "
  .. "it is not distributed; give banyan.run a name such as "
  .. '"a@127.0.0.1:9101"')
row("banyan.disconnect without a name", [[
run({ name = "A", secret = "SECRET" }, function() banyan.disconnect() end)]],
  "line: bad argument #1 to 'banyan.disconnect' (string expected, got no "
  .. "value)", { status = 1 })
row("another secret", [[
local n = assert(banyan.start { name = "B", secret = "SECRET" })
run({ name = "A", secret = "SECRET 2", on_event = false }, function()
  print(banyan.connect "B")
end)]], "nil\tbad_secret")
row("another name at that address", [[
local n = assert(banyan.start { name = "B", secret = "SECRET" })
run({ name = "A", secret = "SECRET", on_event = false }, function()
  print(banyan.connect((("B"):gsub("^b", "other"))))
end)]], "nil\twrong_name")

misuse('cluster.start_link "rooms"', 'distributed_supervisor.start_link: '
  .. 'options must be a table, got "rooms"')
misuse('cluster.start_child("r", { id = 1, start = print })',
  'distributed_supervisor.start_child: start must be {"module", "fn", {args}}'
  .. ": a function cannot be sent to the node that is to run it")
local INTEGER = math.tointeger and "an integer of 64 bits"
  or "an integer from -2^53 to 2^53"
for _, name in ipairs { "whereis", "call", "cast", "send" } do
  misuse(('cluster.%s("r", nil)'):format(name),
    ("distributed_supervisor.%s: id must be a string of at most 65000 bytes, "
    .. "%s or a ref, got nil"):format(name, INTEGER))
end
misuse('cluster.whereis(banyan.self(), "x")',
  "distributed_supervisor: name must be a string, got userdata")
row("a distributed supervisor that is not started", [[
run(function() print(cluster.call("rooms", "lobby", 1)) end)]],
  "nil\tnot_started")
row("a child's module that a node lacks", [[
run({ on_event = false, name = "A", secret = "SECRET" }, function()
  assert(cluster.start_link { name = "r" })
  print(cluster.start_child("r",
    { id = 1, start = { "no.such", "start_link" } }))
end)]], "nil\tmodule_not_found: module 'no.such' not found, A")

-- --- peer connections, groups ------------------------------------------------

local SENT = "cannot send a function to another node"
misuse('peers.publish(banyan.self(), "t", print)',
  "peers.publish: msg: " .. SENT)
misuse('peers.publish(banyan.self(), "t", { a = { print } })',
  "peers.publish: msg: " .. SENT .. " (msg.a[1])")
misuse('peers.call(banyan.self(), "f", { print })',
  "peers.call: args: " .. SENT .. " (args[1])")
misuse('peers.advertise("s", { print })',
  "peers.advertise: value: " .. SENT .. " (value[1])")
misuse('peers.accept { secret = "long enough", realm = ("r"):rep(1025) }',
  'peers.accept: option "realm" has at most 1024 bytes, this one has 1025')
misuse('peers.start_peer("banyan://127.0.0.1:1", { secret = "long enough", '
  .. 'realm = ("r"):rep(1025) })', 'peers.start_peer: option "realm" has at '
  .. "most 1024 bytes, this one has 1025")

-- name -> arguments that are right.
local outside = {
  ["peers.start_link"] = "", ["peers.start_peer"] = '"banyan://h:1", {}',
  ["peers.stop_peer"] = "nil", ["peers.list_peers"] = "",
  ["peers.count_peers"] = "", ["peers.info"] = "nil", ["peers.accept"] = "{}",
  ["peers.unaccept"] = "", ["peers.subscribe"] = 'nil, "t"',
  ["peers.unsubscribe"] = "nil, nil", ["peers.publish"] = 'nil, "t", 1',
  ["peers.serve"] = '"f", print', ["peers.unserve"] = '"f"',
  ["peers.call"] = 'nil, "f"', ["peers.advertise"] = '"s", 1',
  ["peers.withdraw"] = '"s"', ["peers.discover"] = 'nil, "s"',
  ["groups.start_link"] = '{ name = "n" }', ["groups.join"] = '"n", "g"',
  ["groups.leave"] = '"n", "g"', ["groups.members"] = '"n", "g"',
  ["groups.local_members"] = '"n", "g"', ["groups.groups"] = '"n"',
  ["groups.broadcast"] = '"n", "g", 1', ["groups.monitor"] = '"n"',
  ["groups.demonitor"] = '"n", banyan.make_ref',
}
for _, name in ipairs(sets.sorted(outside)) do
  row(name .. " outside of run", ("print(pcall(function() local _ = %s(%s) "
    .. "end))"):format(name, outside[name]), ("false\tline: %s outside a "
    .. "process: call it inside banyan.run or a function given to spawn")
    :format(name))
end

-- --- running them ------------------------------------------------------------

-- What a person reads, without what differs from run to run.
local function seen(text)
  local lines = {}
  for line in text:gmatch "[^\n]+" do
    if not line:find "^%s" and not line:find "^stack traceback:" then
      line = line:gsub("^%d+%-%d+%-%d+ %d+:%d+:%d+ (%w+) +", "%1 ")
        :gsub("^[%w%./%-]*lua[%w%.%-]*: ", "")
        :gsub("%(command line%):%d+: ", "line: "):gsub("pid<[^>]*>", "pid<>")
        :gsub("%(it knows: .-%)", "(it knows: ...)")
      lines[#lines + 1] = line
    end
  end
  return table.concat(lines, "\n")
end

describe("a mistake", function()
  for _, mistake in ipairs(rows) do
    it(mistake.name, function()
      local a, b = address.fresh_name "a", address.fresh_name "b"
      local function filled(text)
        return (text:gsub('"SECRET', '"' .. SECRET)
          :gsub('"A"', ('"%s"'):format(a)):gsub('"B"', ('"%s"'):format(b))
          :gsub("PORT", a:match ":(%d+)$")
          :gsub("(%s)A$", "%1" .. a):gsub("\tB\t", "\t" .. b .. "\t"))
      end
      local child = program(PRELUDE .. filled(mistake.code))
      local status = child:finish()
      assert.equal(filled(mistake.text), seen(child.out .. child.err))
      assert.equal(mistake.status or 0, status)
    end)
  end
end)
