--- The child "connection" of a peer: it dials, says what must be said once the
-- connection is open, hears whether the other end is still there, and ends the
-- peer. Private to banyan.peers.
--
--   connecting   it dials, or shakes hands, or has not heard READY yet
--   connected    both ends know what the other subscribes to and advertises
--   down         record.reason says why; the supervisor stops all children

local advertisements = require "banyan.peers.advertisements"
local child = require "banyan.peers.child"
local core = require "banyan.core"
local frames = require "banyan.peers.frames"
local kinds = require "banyan.peers.kinds"
local limits = require "banyan.peers.limits"
local pubsub = require "banyan.peers.pubsub"
local registry = require "banyan.peers.registry"
local server = require "banyan.server"
local supervisor = require "banyan.supervisor"
local wires = require "banyan.peer.wire"


local Connection = { name = "peer_connection" }

local function event(record, name, reason)
  core.event(name, {
    pid = record.pid, realm = record.realm, direction = record.direction,
    address = record.address, reason = reason,
  })
end

-- --- the stream --------------------------------------------------------------

--- Has a record work with a wire, which reads already or will.
---@param record table
---@param wire table  of peer/wire.lua
---@param stream table  of driver/stream.lua
function Connection.attach(record, wire, stream)
  local clock = record.S.transport.clock
  record.wire, record.heard = wire, clock()
  function record.pause() stream:pause() end
  function record.go_on()
    record.heard = clock()
    wire:read(stream)
  end
  function record.hang_up() wire:hang_up() end
end

local function opened(record, stream)
  record.address = stream:address()
  local wire = wires.new(record.pid, true, record.token,
    record.S.transport.entropy(32), stream, frames.callbacks(record))
  Connection.attach(record, wire, stream)
  wire:read(stream)
  wire:flush()
end

-- Tries the addresses one after the other.
local function try(record, hosts, i)
  local function finish(err, stream)
    if not err then return opened(record, stream) end
    if hosts[i + 1] then return try(record, hosts, i + 1) end
    frames.end_for(record, err)
  end
  local give_up
  record.hang_up = function()
    if give_up then give_up() end
  end
  give_up = record.S.transport.connect(record.pid, hosts[i], record.port,
    function(...)
      if record.status ~= "down" then finish(...) end
    end)
end

local function dial(record)
  local hosts, why = record.S.transport.resolve(record.host, record.timeout_ms)
  if hosts then
    core.unbroken(try, record, hosts, 1)
  else
    frames.end_for(record, why)
  end
end

-- --- its course --------------------------------------------------------------

local on = {}

-- Said in this order: who hears READY knows the rest.
local function say_all(record)
  pubsub.say_all(record)
  advertisements.say_all(record)
  record.wire:put(kinds.READY)
  record.is_said = true
end

function on.open(record)
  core.unbroken(say_all, record)
end

function on.ready(record)
  record.connected_at = core.now()
  event(record, "peer_connection_up")
  if record.on_up then
    local on_up, pid = record.on_up, record.pid
    core.spawn(function() on_up(pid) end)
  end
end

-- Ends the peer, for that reason, from outside: a supervisor cannot be stopped
-- by its own child.
function on.over(record)
  local pid, reason = record.pid, record.reason
  core.spawn(function() supervisor.stop(pid, reason) end)
end

function on.late(record)
  if record.status == "connecting" then frames.end_for(record, "timeout") end
end

-- While this node stands still itself the other end cannot show that it lives.
local function stood_still(record, now)
  return now - record.beat > 2 * record.S.options.heartbeat_ms
end

local function is_silent(record, now)
  -- Nor while nothing is read, on purpose.
  if record.paused or stood_still(record, now) then record.heard = now end
  return now - record.heard >= record.S.options.down_after_ms
end

local function is_stalled(record, now)
  local unsent = record.wire:unsent()
  local taken = record.wire.sent - unsent
  if unsent == 0 or taken ~= record.taken or stood_still(record, now) then
    record.taken, record.taken_at = taken, now
  end
  return now - record.taken_at >= limits.stalled_ms
end

function on.beat(record)
  local now = record.S.transport.clock()
  if record.opened then
    if is_silent(record, now) then
      frames.end_for(record, "timeout")
    elseif is_stalled(record, now) then
      frames.end_for(record, "stalled")
    end
    record.wire:put(kinds.PING, now)
  end
  record.beat = now
  child.remind(record.S.options.heartbeat_ms, "beat")
end

-- --- the server --------------------------------------------------------------

-- What came to be before it is known to the record it is told now, and nothing
-- twice.
local function begin(record)
  child.enter(record, "connection")
  if record.reason then
    child.tell(record, "connection", "over")
  elseif record.opened then
    child.tell(record, "connection", "open")
    if record.status == "connected" then
      child.tell(record, "connection", "ready")
    end
  end
end

function Connection.init(_, get_record)
  local record = get_record()
  core.trap_exit(true)
  local sup = core.ancestors(core.self())[1]
  if not registry.add(record, sup) then return nil, "noproc" end
  record.since, record.beat = core.now(), record.S.transport.clock()
  record.taken_at = record.beat
  child.remind(record.S.options.heartbeat_ms, "beat")
  child.remind(record.timeout_ms, "late")
  core.unbroken(begin, record)
  if record.direction == "out" then return server.continue "dial" end
end

function Connection.handle_continue()
  local record = child.record()
  dial(record)
end

function Connection.handle_info(_, message)
  child.handle("connection", on, message)
end

local function code_of(reason)
  if type(reason) == "table" then reason = reason[1] end
  return type(reason) == "string" and reason or "shutdown"
end

function Connection.terminate(_, reason)
  local record = child.record()
  if record.connected_at or record.reason then
    event(record, "peer_connection_down", record.reason or reason)
  end
  if record.opened and code_of(record.reason) ~= "bye" then
    record.wire:put(kinds.BYE, code_of(record.reason or reason))
  end
end

function Connection.start_link(get_record)
  return server.start_link(Connection, get_record)
end

return Connection
