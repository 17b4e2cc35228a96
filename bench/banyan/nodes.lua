-- Starts nodes as OS processes (node.lua) and has them do things. Who uses
-- this is no node itself, and rests while the nodes are measured.

local uv = require "luv"

local nodes = {}

local here = debug.getinfo(1, "S").source:match "^@(.*/)" or "./"

local Node = {}
Node.__index = Node

local all = {} -- that were started

--- Names with ports that are free.
function nodes.names(wanted)
  local sockets, names = {}, {}
  for i = 1, wanted do
    sockets[i] = uv.new_tcp()
    assert(sockets[i]:bind("127.0.0.1", 0))
    names[i] = ("n%d@127.0.0.1:%d"):format(i, sockets[i]:getsockname().port)
  end
  for _, socket in ipairs(sockets) do socket:close() end
  return names
end

-- The environment, with another place before all others for C modules.
local function environment(cpath)
  if not cpath then return nil end
  local list = { "LUA_CPATH=" .. cpath .. ";" .. package.cpath }
  for name, value in pairs(uv.os_environ()) do
    if name ~= "LUA_CPATH" then list[#list + 1] = name .. "=" .. value end
  end
  return list
end

--- Starts a node and waits until it is there.
---@param name string
---@param cpath? string  where its C modules are
function nodes.start(name, cpath)
  local stdin, stdout = uv.new_pipe(false), uv.new_pipe(false)
  local node = setmetatable({ name = name, stdin = stdin, rest = "" }, Node)
  local args = { here .. "node.lua", name }
  local handle, pid = uv.spawn(uv.exepath(), {
    args = args, stdio = { stdin, stdout, 2 }, env = environment(cpath),
  }, function()
    node.ended = true
    node.handle:close()
    stdin:close()
    stdout:close()
  end)
  assert(handle, pid)
  node.handle, node.pid = handle, pid
  all[#all + 1] = node
  stdout:read_start(function(_, data)
    node.rest = node.rest .. (data or "")
  end)
  node:ask("meter", "read")
  return node
end

--- Starts so many nodes.
function nodes.start_all(wanted)
  local list = {}
  for i, name in ipairs(nodes.names(wanted)) do list[i] = nodes.start(name) end
  return list
end

--- Gives an order.
function Node:tell(...)
  self.stdin:write(table.concat({ ... }, " ") .. "\n")
end

local function values_of(text)
  local list = {}
  for word in text:gmatch "%S+" do list[#list + 1] = tonumber(word) or word end
  return list
end

--- Waits for the answer to an order, and returns the list of what it has.
function Node:hear()
  while true do
    local line, rest = self.rest:match "^([^\n]*)\n(.*)$"
    if line then
      self.rest = rest
      local ok, text = line:match "^(%S+) ?(.*)$"
      if ok == "ok" then return values_of(text) end
      error(self.name .. ": " .. line)
    end
    if self.ended then error(self.name .. " has ended") end
    uv.run "once"
  end
end

--- Gives an order and returns the list of what is answered.
function Node:ask(...)
  self:tell(...)
  return self:hear()
end

--- Gives all of them the same order; returns the list of the answers.
function nodes.ask_all(list, ...)
  local answers = {}
  for _, node in ipairs(list) do node:tell(...) end
  for i, node in ipairs(list) do answers[i] = node:hear() end
  return answers
end

--- What they have used together since `before`, an earlier answer of this
-- function: {cpu = us, bytes=, writes=, each = {us of CPU}}.
function nodes.used(list, before)
  local sum = { cpu = 0, bytes = 0, writes = 0, each = {} }
  for i, answer in ipairs(nodes.ask_all(list, "meter", "read")) do
    sum.cpu, sum.each[i] = sum.cpu + answer[1], answer[1]
    sum.bytes, sum.writes = sum.bytes + answer[2], sum.writes + answer[3]
  end
  if not before then return sum end
  for i, cpu in ipairs(sum.each) do
    sum.each[i] = cpu - (before.each[i] or 0)
  end
  for _, key in ipairs { "cpu", "bytes", "writes" } do
    sum[key] = sum[key] - before[key]
  end
  return sum
end

--- Connects each with the first, and waits until all know all.
function nodes.connect(list)
  for _, node in ipairs(list) do node:ask("mesh", "connect", list[1].name) end
  nodes.ask_all(list, "mesh", "await", #list)
end

--- Waits while the nodes go on.
function nodes.wait(seconds)
  local timer, over = uv.new_timer(), false
  timer:start(math.floor(seconds * 1000), 0, function() over = true end)
  while not over do uv.run "once" end
  timer:close()
end

--- Ends it.
function Node:stop()
  if not self.ended then self.stdin:shutdown() end
  while not self.ended do uv.run "once" end
end

--- Ends all nodes.
function nodes.stop_all()
  for _, node in ipairs(all) do node:stop() end
  uv.run() -- until all handles are closed
end

--- Ends it by SIGKILL; returns the time, in ns of the clock of meter.read.
function Node:kill()
  local at = uv.hrtime()
  self.handle:kill "sigkill"
  return at
end

return nodes
