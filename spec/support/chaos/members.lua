--- The nodes of `make chaos` as OS processes behind a proxy: starts, stops,
-- kills and restarts them.
--
-- A life of a node is one OS process: { name=, pid=, from=, till=, stops=,
-- leaves= }, with the wall time in ms of its start, its end (nil: it lives), of
-- each time that it was stopped, and of its SIGTERM.

local address = require "spec.support.address"
local environment = require "spec.support.environment"
local uv = require "luv"

local members = {}

local Members = {}
Members.__index = Members

--- Wall time in ms.
function members.wall_ms()
  local seconds, us = uv.gettimeofday()
  return seconds * 1000 + math.floor(us / 1000)
end

---@param proxy table  see spec.support.proxy
---@param dir string  for the logs
---@param names string[]
---@param others string[]  names that the nodes connect with besides
function members.new(proxy, dir, names, others)
  return setmetatable({
    proxy = proxy, dir = dir, names = names, others = others,
    lives = {}, now = {},
  }, Members)
end

local function arguments(self, name, port, log)
  local args = {
    "spec/support/chaos/member.lua", name, "127.0.0.1:" .. port, log,
  }
  for _, list in ipairs { self.names, self.others } do
    for _, other in ipairs(list) do
      if other ~= name then args[#args + 1] = other end
    end
  end
  return args
end

--- Begins a life of a node. It has a port of its own behind the proxy, so that
-- nobody else can have taken it meanwhile.
function Members:start(name)
  local port = address.free_port()
  local short = name:match "^[^@]+"
  local life = { name = name, from = members.wall_ms(), stops = {} }
  local log = ("%s/%s.%d.log"):format(self.dir, short, #self.lives + 1)
  local stdin = uv.new_pipe(false)
  life.handle, life.pid = uv.spawn(arg[-1], {
    args = arguments(self, name, port, log),
    env = environment { CHAOS_STARTS = self.dir .. "/starts" },
    stdio = { stdin, nil, 2 },
  }, function(code, signal)
    life.asked = life.till ~= nil or life.leaves ~= nil and code == 0
    life.till = life.till or members.wall_ms()
    life.code, life.signal = code, signal
    stdin:close()
    life.handle:close()
  end)
  assert(life.handle, life.pid)
  self.lives[#self.lives + 1], self.now[name] = life, life
  self.proxy:serve(name, port)
  return life
end

function Members:is_up(name)
  local life = self.now[name]
  return life ~= nil and not life.till and not life.stopped
    and not life.leaves
end

local function send_signal(life, signal)
  if not life.code then uv.process_kill(life.handle, signal) end
end

--- kill -9.
---@param refused boolean  its host lives and refuses connections
function Members:kill(name, refused)
  local life = self.now[name]
  life.till = members.wall_ms()
  send_signal(life, "sigkill")
  if refused then self.proxy:refuse(name, true) end
end

function Members:stop(name)
  local life = self.now[name]
  life.stopped = true
  table.insert(life.stops, { from = members.wall_ms() })
  send_signal(life, "sigstop")
end

--- The coordinator of its supervisor crashes.
function Members:crash_coordinator(name)
  send_signal(self.now[name], "sigusr2")
end

--- SIGTERM. Answers the life: its `code` is set when it has ended.
function Members:leave(name)
  local life = self.now[name]
  life.leaves = members.wall_ms()
  send_signal(life, "sigterm")
  return life
end

function Members:continue(name)
  local life = self.now[name]
  if not life.stopped then return end
  life.stopped = nil
  life.stops[#life.stops].till = members.wall_ms()
  send_signal(life, "sigcont")
end

--- How a life ended that nobody here had ended, or nil.
function Members:find_crashed()
  for _, life in ipairs(self.lives) do
    if life.code and not life.asked then
      return ("%s, OS process %d, ended by itself: code %d, signal %d"):format(
        life.name, life.pid, life.code, life.signal)
    end
  end
end

--- Kills all.
function Members:close()
  for _, life in ipairs(self.lives) do
    send_signal(life, "sigkill")
  end
end

return members
