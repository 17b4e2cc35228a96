--- Three nodes, 300 children, one kill -9.
--
--     make demo        or        lua5.4 examples/failover.lua [CHILDREN]
--
-- This program is node a. It starts nodes b and c as OS processes of their own.
-- The three nodes start counters under one distributed supervisor, and each
-- calls every counter by its id. Then the program kills c with SIGKILL, and
-- checks that every counter runs again, once, on the node that the ring names.
-- It exits with 0 if that is so.

local here = arg[0]:match("^(.*)/[^/]*$") or "."
package.path = here .. "/?.lua;" .. package.path

local banyan = require "banyan"
local counters = require "banyan.distributed_supervisor"
local ring = require "banyan.ring"
local uv = require "luv"
local witness = require "failover.witness"

local WAIT_MS = 30000 -- for anything; far more than it takes

-- Warnings about the killed node would hide the table.
local quiet = banyan.log.text { level = "error" }

-- --- a node in a process of its own ------------------------------------------

-- Runs until stdin is closed, as it is when the main program ends.
local function run_node(name, first)
  local stdin = uv.new_pipe(false)
  stdin:open(0)
  stdin:read_start(function(_, data)
    if data then return end
    stdin:close()
    banyan.send("main", "stop")
  end)
  banyan.run({ name = name, connect = { first }, on_event = quiet },
    witness.main)
  os.exit(0)
end

if arg[1] == "node" then run_node(arg[2], arg[3]) end

-- --- OS processes ------------------------------------------------------------

local programs = {} -- letter -> { handle, pid, stdin, gone }

local function start_program(letter, name, first, on_exit)
  local program = { stdin = uv.new_pipe(false), on_exit = on_exit }
  local handle, pid = uv.spawn(uv.exepath(), {
    args = { arg[0], "node", name, first },
    stdio = { program.stdin, 1, 2 },
  }, function()
    program.gone = true
    program.stdin:close()
    program.handle:close()
    if program.on_exit then program.on_exit(letter) end
  end)
  if not handle then error(("cannot start node %s: %s"):format(letter, pid)) end
  program.handle, program.pid = handle, pid
  programs[letter] = program
end

-- The other programs end when their stdin is closed, or else are killed.
local function stop_programs()
  local patience = 300
  local timer = uv.new_timer()
  timer:start(0, 10, function() patience = patience - 1 end)
  local function any()
    for _, program in pairs(programs) do
      if not program.gone then return program end
    end
  end
  for _, program in pairs(programs) do
    program.on_exit = nil -- nothing waits for its end any more
    if not program.gone then program.stdin:shutdown() end
  end
  while any() and patience > 0 do uv.run("once") end
  while any() do
    for _, program in pairs(programs) do
      if not program.gone then program.handle:kill("sigkill") end
    end
    uv.run("once")
  end
  timer:close()
end

-- Returns ports that are free now.
local function free_ports(count)
  local sockets, ports = {}, {}
  for i = 1, count do
    sockets[i] = uv.new_tcp()
    assert(sockets[i]:bind("127.0.0.1", 0))
    ports[i] = sockets[i]:getsockname().port
  end
  for _, socket in ipairs(sockets) do socket:close() end
  return ports
end

-- --- what is printed ---------------------------------------------------------

local is_tty = uv.guess_handle(1) == "tty"
local function bold(text)
  return is_tty and "\27[1m" .. text .. "\27[0m" or text
end

local function say(form, ...)
  io.write(form:format(...), "\n")
  io.flush()
end

local function clock() return uv.hrtime() / 1e6 end

local function say_time(what, ms) say("  %-44s %8.1f ms", what, ms) end

local function timed(what, fn)
  local from = clock()
  local result = fn()
  say_time(what, clock() - from)
  return result
end

-- --- what must hold ----------------------------------------------------------

local failures = {}

local function expect(holds, form, ...)
  if not holds then failures[#failures + 1] = form:format(...) end
  return holds
end

local function give_up(...)
  expect(false, ...)
  banyan.exit("shutdown")
end

local function size(map)
  local n = 0
  for _ in pairs(map) do n = n + 1 end
  return n
end

-- Asks each node for the counters that run there. Each must run once, be found
-- by its id, and be on the node that a ring made here names. Returns how many
-- run on each node.
local function inspect(nodes, ids)
  local owners = ring.new { nodes = nodes }
  local running, on = {}, {}
  for _, node in ipairs(nodes) do
    local pids = assert(witness.ask(node, "here"))
    on[node] = #pids
    for _, pid in ipairs(pids) do
      expect(not running[pid], "%s is listed twice", tostring(pid))
      running[pid] = node
    end
  end
  for _, id in ipairs(ids) do
    local pid, owner = counters.whereis("counters", id), owners:node_for(id)
    expect(pid and running[pid] == owner, "%s runs on %s, its place is %s", id,
      tostring(pid and running[pid]), owner)
  end
  expect(size(running) == #ids, "%d counters run, there should be %d",
    size(running), #ids)
  return on
end

-- --- the play ----------------------------------------------------------------

-- Waits for a message that matches. A time-out ends the demo.
local function await(what, match)
  return banyan.receive(match, WAIT_MS)
    or give_up("waited %g s for %s", WAIT_MS / 1000, what)
end

-- Is every node connected to all others?
local function is_complete(nodes)
  for _, node in ipairs(nodes) do
    local seen = witness.ask(node, "nodes")
    if not seen or #seen < #nodes then return false end
  end
  return true
end

local function await_cluster(nodes)
  local deadline = banyan.now() + WAIT_MS
  local function is_exit(message) return message.tag == "exit" end
  while not is_complete(nodes) do
    local exit = banyan.receive(is_exit, 2)
    if exit then give_up("node %s ended too early", exit.letter) end
    if banyan.now() > deadline then give_up("the nodes did not meet") end
  end
end

-- Has each node start its share of the counters.
local function start_counters(nodes, ids)
  local shares = {}
  for i, id in ipairs(ids) do
    local share = (i - 1) % #nodes + 1
    shares[share] = shares[share] or {}
    table.insert(shares[share], id)
  end
  for i, share in ipairs(shares) do
    local count, err = witness.ask(nodes[i], "start", share)
    if not count then
      give_up("%s cannot start a counter: %s", nodes[i], tostring(err))
    end
  end
end

-- Calls every counter from every node.
local function call_from_all(nodes, ids)
  for _, node in ipairs(nodes) do
    local answers, silent = witness.ask(node, "call", ids, "add")
    if not answers then
      give_up("no answer from %s: %s", node, tostring(silent))
    end
    expect(size(answers) == #ids, "%d counters answered %s, not %d",
      size(answers), node, #ids)
  end
end

-- Calls every counter. A counter that did not reply is called again when it has
-- been started, until all have replied.
local function call_until_back(ids)
  local answers, silent = witness:call(ids, "look")
  local missing, left = {}, #silent
  for _, id in ipairs(silent) do missing[id] = true end
  while left > 0 do
    local start = await(left .. " counters to restart", function(message)
      return message.tag == "started" and missing[message.id]
    end)
    local found = witness:call({ start.id }, "look")
    if found[start.id] then
      answers[start.id], missing[start.id] = found[start.id], nil
      left = left - 1
    end
  end
  return answers
end

-- Counters that were not on the lost node must have kept their count; the
-- others must have begun again.
local function compare(before, after, ids, lost)
  local moved = 0
  for _, id in ipairs(ids) do
    local was, is = before[id], after[id]
    if was[2] == lost then
      moved = moved + 1
      expect(is[2] ~= lost and is[1] == 0, "%s did not move: %d on %s", id,
        is[1], is[2])
    else
      expect(is[2] == was[2] and is[1] == was[1],
        "%s was disturbed: %d on %s, now %d on %s", id, was[1], was[2], is[1],
        is[2])
    end
  end
  return moved
end

local function print_table(nodes, before, after, total)
  say("")
  say(bold("  %-24s %10s %10s"), "node", "before", "after")
  local sum = 0
  for i, node in ipairs(nodes) do
    local left = after[node]
    sum = sum + (left or 0)
    say("  %-24s %10d %10s", node, before[node],
      left or (i == #nodes and "killed" or "?"))
  end
  say("  %-24s %10d %10d", "all", total, sum)
  say("")
end

local function tell(to)
  return {
    on_node_down = function(_, node)
      banyan.send(to, { tag = "down", node = node, at = clock() })
    end,
    on_process_start = function(_, id)
      banyan.send(to, { tag = "started", id = id })
    end,
  }
end

local function flush()
  repeat local _, err = banyan.receive(0) until err == "timeout"
end

local function play(nodes, ids)
  local me = banyan.self()
  assert(witness.start_tree(tell(me)))
  local function on_exit(letter)
    banyan.send(me, { tag = "exit", letter = letter })
  end
  timed("two more nodes are up and connected", function()
    start_program("b", nodes[2], nodes[1], on_exit)
    start_program("c", nodes[3], nodes[1], on_exit)
    await_cluster(nodes)
  end)
  timed(("%d counters started, a third by each"):format(#ids), function()
    start_counters(nodes, ids)
  end)
  timed(("%d calls by id, all from each"):format(3 * #ids), function()
    call_from_all(nodes, ids)
  end)
  local before_on = inspect(nodes, ids)
  local before = witness:call(ids, "look")
  flush()

  local killed_at = clock()
  programs.c.handle:kill("sigkill")
  local after = call_until_back(ids)
  local back_at = clock()
  local down = await("the end of c", function(message)
    return message.tag == "down"
  end)
  say("")
  say(bold("  kill -9 %d (node c)"), programs.c.pid)
  say_time("its end was noticed after", down.at - killed_at)
  say_time("every counter answered again after", back_at - killed_at)

  local left = { nodes[1], nodes[2] }
  local moved = compare(before, after, ids, nodes[3])
  expect(moved == before_on[nodes[3]], "%d counters moved, %d were on c", moved,
    before_on[nodes[3]])
  call_from_all(left, ids)
  print_table(nodes, before_on, inspect(left, ids), #ids)
end

-- --- curtain -----------------------------------------------------------------

local function main(count)
  local ids = {}
  for i = 1, count do ids[i] = ("counter %03d"):format(i) end
  local nodes = {}
  for i, port in ipairs(free_ports(3)) do
    nodes[i] = ("%s@127.0.0.1:%d"):format(("abc"):sub(i, i), port)
  end
  local secret = uv.random(16):gsub(".", function(c)
    return ("%02x"):format(c:byte())
  end)
  uv.os_setenv("BANYAN_SECRET", secret) -- the other programs inherit it

  say(bold("Three nodes, %d counters, one kill -9"), count)
  say("")
  local ok, done, err = pcall(banyan.run, {
    name = nodes[1], secret = secret, on_event = quiet,
  }, function()
    play(nodes, ids)
    return true
  end)
  stop_programs()
  if not ok then
    expect(false, "%s", tostring(done))
  elseif not done and #failures == 0 then
    expect(false, "It was stopped before the end (%s).", tostring(err))
  end
end

local count = tonumber(arg[1] or 300)
if not count or count < 1 or count % 1 ~= 0 then
  io.stderr:write("usage: lua5.4 examples/failover.lua [CHILDREN]\n")
  os.exit(2)
end
main(count)
if #failures == 0 then
  say("  Every counter answered again, exactly one of each, on the node that"
    .. "\n  the ring names.")
  os.exit(0)
end
say(bold("  This did not hold:"))
for i, failure in ipairs(failures) do
  if i <= 10 then say("  - %s", failure) end
end
if #failures > 10 then say("  - and %d more", #failures - 10) end
os.exit(1)
