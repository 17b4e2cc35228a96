--- Where a peer connects to, over TCP: one connection is taken, the first that
-- proves that it is the peer's. Private to banyan.peer.

local guard = require "banyan.guard"
local handles = require "banyan.driver.handles"
local streams = require "banyan.driver.stream"
local transport = require "banyan.driver.transport"
local uv = require "banyan.driver.uv"
local wires = require "banyan.peer.wire"

local BACKLOG = 16
local STRANGERS = 16 -- that may be under way at a time
local STRANGER_MS = 10000 -- that one has to prove itself
local STRANGER_BYTES = 4096 -- of what is no frame

local M = {}

local Listener = {}
Listener.__index = Listener

--- Ends it: closes all but the connection that was taken. Does not yield.
function Listener:close()
  if self.server then handles.close(self.server) end
  self.server = nil
  for stranger in pairs(self.strangers) do stranger:drop() end
end

local function drop(stranger)
  stranger.listener.strangers[stranger] = nil
  stranger.listener.count = stranger.listener.count - 1
  handles.close(stranger.timer)
  if not stranger.taken then stranger.wire:close() end
end

local function take(stranger)
  local listener = stranger.listener
  stranger.taken = true
  stranger:drop()
  listener:close()
  listener.on_peer(stranger.wire)
end

local function let_in(listener, socket)
  local stranger = { listener = listener, drop = drop, noise = 0 }
  listener.strangers[stranger] = true
  listener.count = listener.count + 1
  stranger.timer = uv.new_timer()
  local function leave()
    if listener.strangers[stranger] then stranger:drop() end
  end
  local stream = streams.of_tcp(socket)
  stranger.wire = wires.new(listener.here, false, listener.token,
    transport.entropy(32), stream, {
      open = function() take(stranger) end,
      noise = function(text)
        stranger.noise = stranger.noise + #text
        if stranger.noise > STRANGER_BYTES then leave() end
      end,
      ended = leave,
    })
  stranger.timer:start(STRANGER_MS, 0, guard.wrap(listener.here, leave))
  stranger.wire:read(stream)
end

local function accept(listener, err)
  if err or not listener.server then return end
  local socket = uv.new_tcp()
  local ok = listener.server:accept(socket)
  if not ok or listener.count >= STRANGERS then return handles.close(socket) end
  let_in(listener, socket)
end

-- The addresses that a peer may try: those of this machine, its own first.
local function addresses(ip)
  if ip ~= "0.0.0.0" and ip ~= "::" then return { ip } end
  local own, others = {}, {}
  for _, interface in pairs(uv.interface_addresses()) do
    for _, address in ipairs(interface) do
      if address.family == "inet" or ip == "::" then
        table.insert(address.internal and own or others, address.ip)
      end
    end
  end
  for _, other in ipairs(others) do own[#own + 1] = other end
  return own
end

--- Listens.
---@param here banyan.Pid
---@param ip string
---@param port integer
---@param token string
---@param on_peer fun(wire: table)
---@return table|nil listener  addresses, port: where the peer is to connect to
---@return string|nil err  a code
function M.open(here, ip, port, token, on_peer)
  local self = setmetatable({
    here = here, token = token, on_peer = on_peer, strangers = {}, count = 0,
    server = uv.new_tcp(),
  }, Listener)
  local _, ok, why = pcall(self.server.bind, self.server, ip, port)
  if ok == true or ok == 0 then
    ok, why = self.server:listen(BACKLOG, guard.wrap(here, function(err)
      if not handles.exiting then accept(self, err) end
    end))
  end
  if ok ~= true and ok ~= 0 then
    handles.close(self.server)
    why = type(why) == "string" and why or tostring(ok)
    return nil, (why:match "^(E[%u%d]+)" or "einval"):lower()
  end
  self.addresses, self.port = addresses(ip), self.server:getsockname().port
  return self
end

return M
