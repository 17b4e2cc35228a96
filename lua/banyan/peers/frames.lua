--- What comes over a peer connection, and what follows: callbacks of the
-- driver, which must not wait. Private to banyan.peers.
--
-- Each frame is checked; one that is malformed ends the connection. What the
-- other end subscribes to, advertises and answers is noted here, so that no
-- crash of a child can lose it. The rest is for the children.

local child = require "banyan.peers.child"
local core = require "banyan.core"
local kinds = require "banyan.peers.kinds"
local limits = require "banyan.peers.limits"
local registry = require "banyan.peers.registry"

local frames = {}

local MALFORMED, QUOTA = "bad_frame", "quota"

local function is_text(value)
  return type(value) == "string" and #value <= limits.text
end

local function is_packed(value)
  return type(value) == "string" and #value <= limits.message
end

local function is_number(value)
  return type(value) == "number" and value >= 0 and value % 1 == 0
    and value <= 2 ^ 53
end

-- Each answers nil, or why the connection must end.
local on = {}

on[kinds.READY] = function(record)
  if record.status == "connecting" then
    registry.connected(record)
    child.tell(record, "connection", "ready")
  end
end

on[kinds.PING] = function(record, time)
  if not is_number(time) then return MALFORMED end
  record.wire:put(kinds.PONG, time)
end

on[kinds.PONG] = function(record, time)
  if not is_number(time) then return MALFORMED end
  record.rtt_ms = math.max(record.S.transport.clock() - time, 0)
end

on[kinds.BYE] = function(_, reason)
  if not is_text(reason) then return MALFORMED end
  return core.reason { "bye", reason }
end

on[kinds.SUBSCRIBE] = function(record, topic)
  if not is_text(topic) then return MALFORMED end
  local topics = record.remote_topics
  if topics.count >= limits.topics and not topics:has(topic) then
    return QUOTA
  end
  topics:add(topic, 1, true)
end

on[kinds.UNSUBSCRIBE] = function(record, topic)
  if not is_text(topic) then return MALFORMED end
  record.remote_topics:remove(topic, 1)
end

on[kinds.PUBLISH] = function(record, topic, packed)
  if not is_text(topic) or not is_packed(packed) then return MALFORMED end
  if not record.local_topics:is_wanted(topic) then return end
  local value = { topic = topic, packed = packed }
  if not child.deliver(record, "pubsub", "publish", value, #packed + 100) then
    return "overflow"
  end
end

on[kinds.CALL] = function(record, number, procedure, packed)
  if not is_number(number) or not is_text(procedure)
    or not is_packed(packed) or record.serving[number] then
    return MALFORMED
  end
  local bytes = record.serving_bytes + #packed
  if record.serving_count >= limits.calls or bytes > limits.serving then
    record.wire:put(kinds.REPLY, number, core.pack(false, nil, "overloaded"))
    return
  end
  record.serving[number] = #packed
  record.serving_count = record.serving_count + 1
  record.serving_bytes = bytes
  local value = { number = number, procedure = procedure, packed = packed }
  if not child.deliver(record, "rpc", "call", value, #packed + 100) then
    return "overflow"
  end
end

local function finish(done, fine, ...)
  if not fine then return MALFORMED end
  done(true, ...)
end

on[kinds.REPLY] = function(record, number, packed)
  if not is_number(number) or not is_packed(packed) then return MALFORMED end
  local done = record.pending[number]
  if not done then return end
  local why = finish(done, core.unpack_foreign(packed))
  if not why then record.pending[number] = nil end
  return why
end

on[kinds.ADVERTISE] = function(record, service, packed, ttl_ms)
  if not is_text(service) or not is_packed(packed) or not is_number(ttl_ms)
    or ttl_ms == 0 then
    return MALFORMED
  end
  local old = record.services[service]
  local bytes = record.service_bytes + #packed - (old and #old.packed or 0)
  local count = record.service_count + (old and 0 or 1)
  if bytes > limits.advertised or count > limits.services then return QUOTA end
  record.service_bytes, record.service_count = bytes, count
  record.services[service] =
    { packed = packed, expires = record.S.transport.clock() + ttl_ms }
end

on[kinds.WITHDRAW] = function(record, service)
  if not is_text(service) then return MALFORMED end
  frames.forget(record, service)
end

--- The other end does not advertise that any more.
function frames.forget(record, service)
  local old = record.services[service]
  if not old then return end
  record.services[service] = nil
  record.service_bytes = record.service_bytes - #old.packed
  record.service_count = record.service_count - 1
end

--- The connection is to end; told to its process, which does the rest.
function frames.end_for(record, reason)
  if record.reason then return end
  record.reason = reason
  child.tell(record, "connection", "over")
end

--- The functions of a wire (peer/wire.lua) that is open or will be.
---@param record table
---@return table on
function frames.callbacks(record)
  local noise = 0
  return {
    open = function()
      record.opened = true
      child.tell(record, "connection", "open")
    end,
    data = function(kind, ...)
      record.heard = record.S.transport.clock()
      local handler = on[kind]
      if not handler or record.reason then return end
      local why = handler(record, ...)
      if why then frames.end_for(record, why) end
    end,
    bad = function() frames.end_for(record, MALFORMED) end,
    output = function() frames.end_for(record, MALFORMED) end,
    noise = function(text)
      noise = noise + #text
      if record.opened then
        frames.end_for(record, MALFORMED)
      elseif noise > limits.stranger_bytes then
        frames.end_for(record, "refused")
      end
    end,
    -- Nobody says why a connection is not accepted: that it was closed before
    -- the other end had proved itself is all there is to know.
    ended = function(reason)
      if reason == "closed" and not record.opened then reason = "refused" end
      frames.end_for(record, reason)
    end,
  }
end

return frames
