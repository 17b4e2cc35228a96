-- An echo server with a process for each connection, beside the same in plain
-- callbacks of luv, and in copas where that is installed.
--
--     make bench SPEC=io        or        lua5.4 bench/io.lua [ROUNDS]
--
-- The server is an OS process of its own; this one is its clients: each sends a
-- message when it has the answer to the one before. The figures: messages a
-- second, microseconds of the server's CPU for each, and what a connection that
-- does nothing takes of the server's memory.

local CONNECTIONS = 200
local SECONDS = 2
local IDLE = 400
local MESSAGE = ("x"):rep(63) .. "\n"
local QUESTION = "?" -- answered with CPU seconds and bytes of memory

-- --- servers -----------------------------------------------------------------

local function resident()
  local file = io.open "/proc/self/statm"
  if not file then return 0 end
  local pages = file:read("*a"):match "^%d+ (%d+)"
  file:close()
  return tonumber(pages) * 4096
end

local function answer(data)
  if data ~= QUESTION then return data end
  collectgarbage()
  collectgarbage()
  return ("%f %d\n"):format(os.clock(), resident())
end

local servers = {}

-- Each says on stdout which port it has.
local function ready(port)
  io.stdout:write(port, "\n")
  io.stdout:flush()
end

function servers.banyan()
  local banyan, sockets = require "banyan", require "banyan.io"
  banyan.run(function()
    local listener = assert(sockets.listen "127.0.0.1:0")
    ready(listener:address():match "%d+$")
    listener:serve(function(socket)
      while true do
        local data = socket:read()
        if not data then return end
        socket:write(answer(data))
      end
    end)
    banyan.sleep(math.huge)
  end)
end

function servers.luv()
  local uv = require "luv"
  local server = uv.new_tcp()
  server:bind("127.0.0.1", 0)
  server:listen(512, function()
    local client = uv.new_tcp()
    server:accept(client)
    client:nodelay(true)
    client:read_start(function(_, data)
      if data then
        client:write(answer(data))
      else
        client:close()
      end
    end)
  end)
  ready(server:getsockname().port)
  uv.run()
end

function servers.copas()
  local copas, socket = require "copas", require "socket"
  local server = assert(socket.bind("127.0.0.1", 0, 512))
  copas.addserver(server, function(client)
    client = copas.wrap(client)
    while true do
      local data, _, part = client:receive(#MESSAGE)
      if not data and (not part or part == "") then return end
      client:send(answer(data or part))
    end
  end)
  ready(select(2, server:getsockname()))
  copas.loop()
end

if servers[arg[1]] then return servers[arg[1]]() end

-- --- clients -----------------------------------------------------------------

local uv = require "luv"

local ROUNDS = tonumber(arg[1] or os.getenv "ROUNDS") or 3

local function start(kind)
  local out = uv.new_pipe(false)
  local port
  local process = assert(uv.spawn(arg[-1], {
    args = { arg[0], kind }, stdio = { nil, out, 2 },
  }, function() end))
  out:read_start(function(_, data) port = port or tonumber(data) end)
  repeat uv.run "once" until port
  out:close()
  return { process = process, port = port }
end

local function stop(server)
  server.process:kill "sigkill"
  server.process:close()
  uv.run "nowait"
end

local function connect(server, n)
  local sockets, open = {}, 0
  for i = 1, n do
    sockets[i] = uv.new_tcp()
    sockets[i]:connect("127.0.0.1", server.port, function(err)
      assert(not err, err)
      sockets[i]:nodelay(true)
      open = open + 1
    end)
  end
  repeat uv.run "once" until open == n
  return sockets
end

local function close(sockets)
  for _, socket in ipairs(sockets) do socket:close() end
  uv.run "nowait"
end

-- CPU seconds and bytes of memory of the server.
local function ask(server)
  local socket, said = connect(server, 1)[1], ""
  socket:read_start(function(_, data) said = said .. (data or "") end)
  socket:write(QUESTION)
  socket:shutdown()
  repeat uv.run "once" until said:find "\n"
  close { socket }
  local cpu, memory = said:match "(%S+) (%S+)"
  return tonumber(cpu), tonumber(memory)
end

local function throughput(server)
  local sockets, count, over = connect(server, CONNECTIONS), 0, false
  for _, socket in ipairs(sockets) do
    local left = #MESSAGE
    socket:read_start(function(_, data)
      left = left - #data
      if left > 0 then return end
      left = #MESSAGE
      count = count + 1
      socket:write(MESSAGE)
    end)
    socket:write(MESSAGE)
  end
  local timer = uv.new_timer()
  local cpu, from = ask(server), uv.hrtime()
  count = 0
  timer:start(SECONDS * 1000, 0, function() over = true end)
  repeat uv.run "once" until over
  local done, seconds = count, (uv.hrtime() - from) / 1e9
  timer:close()
  close(sockets)
  return done / seconds, (ask(server) - cpu) / done * 1e6
end

local function idle(server)
  local _, before = ask(server)
  local sockets = connect(server, IDLE)
  for _, socket in ipairs(sockets) do socket:write(MESSAGE) end
  for _ = 1, 5 do uv.run "nowait" end
  local _, after = ask(server)
  close(sockets)
  return (after - before) / IDLE
end

local function median(list)
  table.sort(list)
  return list[math.floor((#list + 1) / 2)]
end

local function is_there(kind)
  return kind ~= "copas" or pcall(require, "copas")
end

print(("echo, %d connections"):format(CONNECTIONS))
print(("%-8s %12s %14s %16s"):format("", "messages/s", "us CPU each",
  "bytes when idle"))
local rates = {}
for _, kind in ipairs { "luv", "banyan", "copas" } do
  if is_there(kind) then
    rates[kind], rates[kind .. " cpu"] = {}, {}
    local server = start(kind)
    local memory = idle(server)
    stop(server)
    rates[kind .. " memory"] = memory
  end
end
for _ = 1, ROUNDS do
  for _, kind in ipairs { "luv", "banyan", "copas" } do
    if rates[kind] then
      local server = start(kind)
      local rate, cpu = throughput(server)
      stop(server)
      table.insert(rates[kind], rate)
      table.insert(rates[kind .. " cpu"], cpu)
    end
  end
end
for _, kind in ipairs { "luv", "banyan", "copas" } do
  if rates[kind] then
    print(("%-8s %12.0f %14.2f %16.0f"):format(kind, median(rates[kind]),
      median(rates[kind .. " cpu"]), rates[kind .. " memory"]))
  else
    print(("%-8s %12s %14s %16s"):format(kind, "-", "-", "-"))
  end
end
print(("banyan / luv: %.2f of the messages, %.2f of the CPU"):format(
  median(rates.banyan) / median(rates.luv),
  median(rates["banyan cpu"]) / median(rates["luv cpu"])))
