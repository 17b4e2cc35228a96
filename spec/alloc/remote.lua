-- What one does with processes of another node, each thing once. Two nodes with
-- a wire in memory between them; where memory breaks the wire, it is laid anew.

local core = ...
local server = require "banyan.server"

local NAMES = { "a@h:1", "b@h:1" }
local A, B = 1, 2

local now, draws = 0, 0
local nodes = {}
local far = { {}, {} } -- of each node: its link -> the other's

for i, name in ipairs(NAMES) do
  nodes[i] = core.node {
    name = name, incarnation = i, secret = "a secret of the spec", seed = i,
    events = true, clock = function() return now end,
    entropy = function(n)
      draws = draws + 1
      return (("%08d"):format(draws):rep(n)):sub(1, n)
    end,
  }
end

local function carry_out(i, what, link, bytes)
  local me, peer = nodes[i], nodes[3 - i]
  if what == "dial" then
    far[i][link] = assert(peer:accepted(now))
    far[3 - i][far[i][link]] = link
    me:connected(link, now)
  elseif what == "write" then
    if far[i][link] then peer:received(far[i][link], bytes, now) end
    me:written(link, #bytes, now)
  elseif far[i][link] then
    far[3 - i][far[i][link]] = nil
    peer:closed(far[i][link], "closed", now)
    far[i][link] = nil
  end
end

-- Memory failed the wire: both ends hear that it broke.
local function cut()
  local links = far
  far = { {}, {} }
  for i, node in ipairs(nodes) do
    for link in pairs(links[i]) do node:closed(link, "broken", now) end
  end
end

local function exchange(i)
  while true do
    local what, link, bytes = nodes[i]:action()
    if not what then return end
    carry_out(i, what, link, bytes)
  end
end

local broken = false

local function step(times, ms)
  for _ = 1, times do
    for i, node in ipairs(nodes) do
      pcall(node.step, node, now)
      pcall(node.events, node)
      if not pcall(exchange, i) then broken = true end
    end
    if broken and pcall(cut) then broken = false end
    now = now + (ms or 10)
  end
end

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
