-- Distributed children: starting them, looking them up, restarting them.
--
--     make bench        or        lua5.4 bench/cluster.lua
--
-- This program is node a; it starts nodes b and c as OS processes, has
-- children spread over the three, and kills c when there are 5,000.

local banyan = require "banyan"
local ds = require "banyan.distributed_supervisor"
local server = require "banyan.server"
local uv = require "luv"

local NAME = "children"
local ASKERS = 8 -- processes that start children at the same time
local LOOKUPS, CALLS = 1000000, 5000
local WAIT_MS = 20000

local Child = {}
function Child.handle_call(_, message) return message end
package.preload["bench.child"] = function()
  return { start_link = function() return server.start_link(Child) end }
end

local function take_part()
  assert(ds.start_link { name = NAME })
end

-- --- node b or c -------------------------------------------------------------

-- Runs until stdin is closed, as it is when node a ends.
local function run_node(name, first)
  local stdin = uv.new_pipe(false)
  stdin:open(0)
  stdin:read_start(function(_, data)
    if not data then os.exit(0) end
  end)
  banyan.run({ name = name, connect = { first }, on_event = false },
    function()
      take_part()
      banyan.receive()
    end)
end

if arg[1] == "node" then return run_node(arg[2], arg[3]) end

-- --- node a ------------------------------------------------------------------

local function start_program(name, first)
  local program = { stdin = uv.new_pipe(false) }
  program.handle = assert(uv.spawn(uv.exepath(), {
    args = { arg[0], "node", name, first },
    stdio = { program.stdin, 1, 2 },
  }, function() program.handle:close() end))
  return program
end

local function clock() return uv.hrtime() / 1e6 end

local function wait_for(what, holds)
  local by = clock() + WAIT_MS
  while not holds() do
    if clock() > by then error("waited too long for " .. what) end
    banyan.sleep(1)
  end
end

local function count()
  local n = 0
  for _ in pairs(ds.children(NAME)) do n = n + 1 end
  return n
end

local function row(what, figure, unit)
  print(("%-48s %12.1f %s"):format(what, figure, unit))
end

-- Starts the children of these numbers, ASKERS at a time.
local function start_children(from, to)
  local me = banyan.self()
  for asker = 0, ASKERS - 1 do
    banyan.spawn_link(function()
      for id = from + asker, to, ASKERS do
        assert(ds.start_child(NAME,
          { id = id, start = { "bench.child", "start_link", {} } }))
      end
      banyan.send(me, "done")
    end)
  end
  for _ = 1, ASKERS do banyan.receive() end
end

-- The rate over the last thousand.
local function grow(from, to)
  start_children(from, to - 1000)
  local start = clock()
  start_children(to - 999, to)
  row(("start_child, %d to %d children"):format(to - 1000, to),
    1000 / (clock() - start) * 1000, "/s")
end

local function look(total)
  local start = clock()
  for i = 1, LOOKUPS do ds.whereis(NAME, i % total + 1) end
  row(("whereis among %d"):format(total), (clock() - start) / LOOKUPS * 1e6,
    "ns")
  local far = {}
  for id, pid in pairs(ds.children(NAME)) do
    if pid:node() ~= banyan.node() then far[#far + 1] = id end
  end
  start = clock()
  for i = 1, CALLS do assert(ds.call(NAME, far[i % #far + 1], i)) end
  row("call of a child on another node, one at a time",
    (clock() - start) / CALLS * 1000, "us")
end

local function main(names, programs)
  take_part()
  for i = 2, 3 do programs[i] = start_program(names[i], names[1]) end
  local function all() return #ds.nodes(NAME) == 3 end
  wait_for("three nodes", all)
  grow(1, 1000)
  grow(1001, 5000)
  local start = clock()
  programs[3].handle:kill("sigkill")
  wait_for("the end of a node", function() return #ds.nodes(NAME) == 2 end)
  wait_for("the children", function() return count() == 5000 end)
  row("5000 children all there again after kill -9", clock() - start, "ms")
  programs[3] = start_program(names[3], names[1])
  wait_for("the third node", all)
  grow(5001, 20000)
  look(20000)
end

local function free_ports(wanted)
  local sockets, ports = {}, {}
  for i = 1, wanted do
    sockets[i] = uv.new_tcp()
    assert(sockets[i]:bind("127.0.0.1", 0))
    ports[i] = sockets[i]:getsockname().port
  end
  for _, socket in ipairs(sockets) do socket:close() end
  return ports
end

local names, programs = {}, {}
for i, port in ipairs(free_ports(3)) do
  names[i] = ("%s@127.0.0.1:%d"):format(("abc"):sub(i, i), port)
end
banyan.run({ name = names[1], on_event = false }, main, names, programs)
