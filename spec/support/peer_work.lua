--- What the specs of banyan.peer have peers do, by peer.call.

local banyan = require "banyan"
local peer = require "banyan.peer"
local uv = require "luv"

local M = {}

function M.give(...) return ... end

function M.global(name) return rawget(_G, name) end

function M.kind_of(name) return type(rawget(_G, name)) end

function M.node() return banyan.node() or "none", #banyan.nodes() end

function M.fail(what) error(what, 0) end

function M.exit(reason) banyan.exit(reason) end

function M.kill_me() banyan.self():exit "kill" end

function M.wait(ms) banyan.sleep(ms) return "waited" end

--- Has a C function that does not come back for so long run soon.
function M.block(ms)
  io.stdout:write "held"
  io.stdout:flush()
  uv.sleep(ms)
end

function M.print_and_exit(text, status)
  io.stdout:write(text)
  io.stdout:flush()
  os.exit(status)
end

function M.print(...) print(...) end

function M.write(text) io.stdout:write(text) end

function M.both(text, other)
  io.stdout:write(text)
  io.stderr:write(other)
end

--- Has another program write to the same standard output.
function M.shell(command)
  uv.spawn("sh", { args = { "-c", command }, stdio = { nil, 1, 2 } },
    function() end)
  return true
end

--- A process that answers what it is sent, to whoever is in it.
function M.echo()
  return banyan.spawn(function()
    while true do
      local message = banyan.receive()
      banyan.send(message.from, { echo = message.text, from = banyan.self() })
    end
  end)
end

function M.register(name)
  local pid = M.echo()
  banyan.register(name, pid)
  return pid
end

function M.send(pid, message) return banyan.send(pid, message) end

function M.cast(pid, message)
  return require "banyan.server".cast(pid, message)
end

function M.set(value) M.value = value end

function M.get() return M.value end

--- The control process of this peer.
function M.parent()
  return banyan.process_info(banyan.self()).parent
end

--- Closes the connections of this OS process that are TCP.
function M.close_sockets()
  uv.walk(function(handle)
    if tostring(handle):find "tcp" and not handle:is_closing() then
      handle:close_reset()
    end
  end)
end

--- Starts a node with a name beside the one that has none, and a process there
-- that answers.
function M.become(name, secret)
  local node = assert(banyan.start { name = name, secret = secret })
  node:spawn(function()
    banyan.register("echo", M.echo())
    banyan.sleep(math.huge)
  end)
  M.node_with_name = node
  return node:name()
end

function M.connect(name) return banyan.connect(name) end

function M.disconnect(name) return banyan.disconnect(name) end

--- Writes a file as its supervision tree is stopped.
function M.tell_end(path, ms)
  local server = require "banyan.server"
  local Last = {}
  function Last.init() banyan.trap_exit(true) end
  function Last.terminate()
    banyan.sleep(ms or 0)
    local file = assert(io.open(path, "w"))
    file:write "stopped"
    file:close()
  end
  local supervisor = require "banyan.supervisor"
  banyan.spawn(function()
    supervisor.start_link {
      { id = "last", shutdown = "infinity",
        start = function() return server.start_link(Last) end },
    }
    banyan.sleep(math.huge)
  end)
  banyan.sleep(20)
end

--- Starts a peer of its own, and keeps it.
function M.start(opts)
  local me = banyan.self()
  banyan.spawn(function()
    local p, why = peer.start_link(opts)
    banyan.send(me, { p = p, why = why,
      os_pid = p and peer.call(p, "luv", "os_getpid") })
    banyan.sleep(math.huge)
  end)
  local answer = banyan.receive(10000)
  return answer.p, answer.os_pid or tostring(answer.why)
end

--- Tries to have its origin do something.
function M.call_origin(pid)
  return peer.call(pid, "os", "time", {}, 200)
end

return M
