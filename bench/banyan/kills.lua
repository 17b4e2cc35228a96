-- A node is killed by SIGKILL: the time until another one knows of it.
-- bench/erlang/kills.erl does the same.

local banyan = require "banyan"
local echo = require "echo"
local nodes = require "nodes"
local server = require "banyan.server"
local uv = require "luv"

local kills = {}

local KILLS = 15
local REST_MS = 200 -- after the nodes have connected

-- --- on the nodes ------------------------------------------------------------

--- The node that is to be killed.
function kills.serve()
  assert(server.start(echo, nil, { name = "echo" }))
end

local shell

-- The signal is sent by a shell that waits, as in Erlang, so that both sides
-- pay the same for it.
local function open_shell()
  if shell then return end
  shell = uv.new_pipe(false)
  assert(uv.spawn("sh", { stdio = { shell, 1, 2 } }, function() end))
end

--- Kills a node. Returns the ms from there to the DOWN of a process on it, and
-- to "nodedown".
function kills.kill(name, pid)
  open_shell()
  banyan.monitor_nodes(true)
  assert(banyan.connect(name))
  assert(server.call({ name = "echo", node = name }, 1))
  local ref = banyan.monitor { name = "echo", node = name }
  banyan.sleep(REST_MS)
  local start, down, nodedown = uv.hrtime(), nil, nil
  shell:write(("kill -9 %d\n"):format(pid))
  while not (down and nodedown) do
    local message = banyan.receive()
    local ms = (uv.hrtime() - start) / 1e6
    if message.tag == "DOWN" and message.ref == ref then
      assert(message.reason == "noconnection")
      down = ms
    elseif message.tag == "nodedown" and message.node == name then
      nodedown = ms
    end
  end
  return down, nodedown
end

-- --- the measurement ---------------------------------------------------------

function kills.measure(report)
  local names = nodes.names(KILLS + 1)
  local a = nodes.start(names[1])
  for i = 1, KILLS do
    local victim = nodes.start(names[i + 1])
    victim:ask("kills", "serve")
    local answer = a:ask("kills", "kill", victim.name, victim.pid)
    report("kill_down", answer[1], "ms")
    report("kill_nodedown", answer[2], "ms")
  end
end

return kills
