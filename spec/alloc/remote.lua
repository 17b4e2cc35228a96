-- What one does with processes of another node, each thing once.

local core = ...
local pair = require "spec.alloc.pair"
local server = require "banyan.server"

local NAMES, nodes, step = pair.names, pair.nodes, pair.step
local A, B = 1, 2

pair.make()

-- --- what is done ------------------------------------------------------------

local Echo = {}
function Echo.handle_call(_, msg)
  if msg == "end" then return server.stop_with { "shutdown", { 1 } } end
  if msg == "silence" then return server.noreply end
  return msg, { "and more" }
end

local function serve()
  core.trap_exit(true)
  local pid
  local function start()
    pid = assert(server.start_link(Echo, nil, { name = "echo" }))
    core.register("keeper")
  end
  pcall(start)
  while true do
    local ok, msg = pcall(core.receive)
    if ok and msg.tag == "EXIT" and msg.from == pid then pcall(start) end
  end
end

local echo = { name = "echo", node = NAMES[B] }

local function pid_of_echo(it)
  it.ref = core.monitor(echo)
  return server.get_status(echo, 50).pid
end

local things = {
  function() core.trap_exit(true) end,
  function() server.call(echo, { "question" }, 50) end,
  function() server.call(echo, "silence", 20) end,
  function() server.request(echo, { 1 }) core.receive(20) end,
  function(it) it.pid = pid_of_echo(it) end,
  function() server.cast(echo, { 2 }) end,
  function(it) core.send(it.pid, { "message", ("x"):rep(3000) }) end,
  function() core.send_after(5, echo, { "late" }) core.sleep(20) end,
  function(it) core.link(it.pid) core.sleep(20) end,
  function(it) core.unlink(it.pid) core.link(it.pid) core.sleep(20) end,
  function(it) core.unlink(it.pid) core.sleep(20) end,
  function(it) core.demonitor(it.ref, { flush = true }) end,
  function(it) core.link(it.pid) core.monitor(it.pid) end,
  function(it) it.pid:exit { "an", { "exit" } } core.receive(20) end,
  function() server.call(echo, "end", 50) end,
  function(it) server.call(it.pid, "the dead", 50) core.link(it.pid) end,
  function() core.monitor { name = "nobody", node = NAMES[B] } end,
  function() core.monitor_nodes(true) end,
  function(it)
    it.friend = core.spawn(function()
      core.monitor(echo)
      core.call(echo, "silence", 5000)
    end)
    core.sleep(20)
  end,
  function() core.disconnect(NAMES[B]) end,
  function() server.call(echo, 1, 20) end,
  function() core.connect(NAMES[B], 500) end,
  function() server.call(echo, { "again" }, 50) end,
  function() while core.receive(0) do end end,
}

local function live()
  pcall(nodes[B].spawn, nodes[B], serve)
  step(2)
  pcall(nodes[A].spawn, nodes[A], function()
    local it = {}
    for _, thing in ipairs(things) do pcall(thing, it) end
  end)
  step(150)
end

local function probe()
  local done = false
  for i, node in ipairs(nodes) do
    node:spawn(function()
      local name = { name = "probe", node = NAMES[3 - i] }
      core.register("probe")
      if i == A then
        while core.call(name, "ping", 1000) ~= "pong" do
          core.connect(NAMES[B], 1000)
          core.sleep(100)
        end
        done = true
      else
        core.reply(core.receive().from, "pong")
      end
    end)
  end
  step(2000, 100)
  return done
end

local function clear()
  for _, node in ipairs(nodes) do
    node:spawn(function()
      for _, pid in ipairs(core.processes()) do
        if pid ~= core.self() then pid:exit("kill") end
      end
    end)
  end
  step(20)
  collectgarbage()
end

assert(probe())
clear()

return live, probe, clear
