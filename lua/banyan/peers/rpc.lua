--- The child "rpc" of a peer: it has what this node serves called for the other
-- end, each call in a process of its own. Private to banyan.peers.
--
-- Calls of this end's own processes wait in the record, `pending`, for REPLY
-- frames; see frames.lua. record.serving has the calls of the other end that
-- are not answered.

local child = require "banyan.peers.child"
local core = require "banyan.core"
local frames = require "banyan.peers.frames"
local kinds = require "banyan.peers.kinds"
local limits = require "banyan.peers.limits"
local server = require "banyan.server"
local sets = require "banyan.sets"
local wait = require "banyan.wait"

local await_wait = wait(core.await_wait)

local ROOM_MS = 30000 -- that an answer waits for room

local Rpc = { name = "peer_rpc" }

-- --- answers -----------------------------------------------------------------

-- A number is answered once.
local function answer(record, number, packed)
  local bytes = record.serving[number]
  if not bytes then return end
  record.serving[number] = nil
  record.serving_bytes = record.serving_bytes - bytes
  record.serving_count = record.serving_count - 1
  if record.reason or not record.opened then return end
  record.wire:put(kinds.REPLY, number, packed)
end

local function fail(record, number, reason)
  core.unbroken(answer, record, number, core.pack(false, nil, reason))
end

-- What the other end hears of the end of a process: no traceback, no pid.
local function told(reason)
  if type(reason) ~= "table" then return reason end
  local detail = reason[2]
  if type(detail) ~= "string" and type(detail) ~= "number" then
    detail = tostring(detail)
  end
  return core.reason { reason[1], detail }
end

-- --- the processes of calls --------------------------------------------------

local function packed_results(record, ...)
  local packed = core.pack(record.wire.channel:has_doubles(), ...)
  if #packed <= limits.message then return packed end
  return core.pack(false, nil, "too_large")
end

local function run(record, value, fn, args)
  core.set_label("call of " .. value.procedure)
  local info = {
    peer = record.pid, realm = record.realm, procedure = value.procedure,
  }
  local packed = packed_results(record, fn(args, info))
  record.wire:await_room(await_wait, ROOM_MS)
  core.unbroken(answer, record, value.number, packed)
end

local on = {}

function on.call(record, value)
  local fn = record.S.served[value.procedure]
  if not fn then
    return fail(record, value.number, core.reason { "undef", value.procedure })
  end
  local fine, args = core.unpack_foreign(value.packed)
  if not fine then
    return frames.end_for(record, "bad_frame")
  end
  local workers = record.workers
  local pid = core.spawn_link(function() run(record, value, fn, args) end)
  workers[pid] = value.number
end

-- --- the server --------------------------------------------------------------

-- The processes of calls are linked to the server, and have ended with the one
-- before. Their calls are answered, but for those that nobody has begun.
local function begin(record)
  local waiting = {}
  for _, message in ipairs(child.enter(record, "rpc")) do
    waiting[message.value.number] = true
  end
  for _, number in ipairs(sets.sorted(record.serving)) do
    if not waiting[number] then fail(record, number, "aborted") end
  end
end

function Rpc.init(_, get_record)
  local record = get_record()
  core.trap_exit(true)
  record.workers = {}
  core.unbroken(begin, record)
end

function Rpc.handle_info(_, message)
  if child.handle("rpc", on, message) then return end
  if type(message) ~= "table" or message.tag ~= "EXIT" then return end
  local record = child.record()
  local number = record.workers[message.from]
  if not number then return end
  record.workers[message.from] = nil
  fail(record, number, told(message.reason))
end

function Rpc.start_link(get_record)
  return server.start_link(Rpc, get_record)
end

-- --- for callers -------------------------------------------------------------

local function left_of(deadline)
  return deadline and math.max(deadline - core.now(), 0)
end

-- In core.unbroken: lest it is connected before that is noted.
local function await_open(record, done)
  if record.status ~= "connecting" then return done(true) end
  record.openers[#record.openers + 1] = done
end

--- Waits until both ends are ready. Yields.
---@return boolean ok  false: the time is over, or the peer has ended
function Rpc.await_connected(record, deadline)
  while record.status == "connecting" do
    local left = left_of(deadline)
    if left == 0 then return false end
    local done = core.await_begin()
    core.unbroken(await_open, record, done)
    await_wait(done, left)
  end
  return record.status == "connected"
end

-- What did not connect in time, or is gone.
local function given_up(record)
  return nil, record.status == "connecting" and "timeout" or "noconnection"
end

local function finish(record, number, ...)
  record.pending[number] = nil
  if (...) == true then return select(2, ...) end
  return ...
end

-- The number of a call under way, which `done` will be told the answer to.
local function ask(record, done, procedure, packed)
  local number = record.number + 1
  record.number = number
  if record.status == "down" then return nil, "closed" end
  local ok, why = record.wire:put(kinds.CALL, number, procedure, packed)
  if not ok then return nil, why end
  record.pending[number] = done
  return number
end

--- Calls a procedure of the other end. Yields. Raises what cannot be sent.
function Rpc.call(record, procedure, args, timeout)
  local deadline = timeout and core.now() + timeout
  core.pack(false, args) -- an error, connected or not
  if not Rpc.await_connected(record, deadline) then return given_up(record) end
  local packed = core.pack(record.wire.channel:has_doubles(), args)
  if #packed > limits.message then return nil, "too_large" end
  if not record.wire:await_room(await_wait, left_of(deadline)) then
    return nil, "timeout"
  end
  local done = core.await_begin()
  local number, why = core.unbroken(ask, record, done, procedure, packed)
  if not number then
    return nil, why == "out_of_memory" and why or "noconnection"
  end
  return finish(record, number, await_wait(done, left_of(deadline)))
end

return Rpc
