--- The child "pubsub" of a peer: it gives what the other end publishes to the
-- subscribers of this node, and ends the subscriptions of processes that have
-- ended. Private to banyan.peers.
--
-- Subscriptions are in the record: those of this node in `subscriptions` and
-- `local_topics`, those of the other end in `remote_topics`, which publishers
-- read themselves.

local child = require "banyan.peers.child"
local core = require "banyan.core"
local frames = require "banyan.peers.frames"
local kinds = require "banyan.peers.kinds"
local server = require "banyan.server"

local Pubsub = { name = "peer_pubsub" }

--- Says what this end subscribes to. Must not wait.
function Pubsub.say_all(record)
  for _, topic in ipairs(record.local_topics:list()) do
    record.wire:put(kinds.SUBSCRIBE, topic)
  end
end

-- --- for callers, in core.unbroken -------------------------------------------

function Pubsub.subscribe(record, topic, to)
  local ref = core.make_ref()
  record.subscriptions[ref] = { topic = topic, to = to }
  if record.local_topics:add(topic, ref, to) and record.is_said then
    record.wire:put(kinds.SUBSCRIBE, topic)
  end
  child.tell(record, "pubsub", "watch", ref)
  return ref
end

function Pubsub.unsubscribe(record, ref)
  local subscription = record.subscriptions[ref]
  if not subscription then return nil, "not_subscribed" end
  record.subscriptions[ref] = nil
  if record.local_topics:remove(subscription.topic, ref) and record.is_said then
    record.wire:put(kinds.UNSUBSCRIBE, subscription.topic)
  end
  child.tell(record, "pubsub", "forget", ref)
  return true
end

-- --- the server --------------------------------------------------------------

-- Of this process: `refs`, monitor -> subscription, and `of`, the inverse.
local function watch(record, ref)
  local own, subscription = record.watches, record.subscriptions[ref]
  if not subscription or own.of[ref] then return end
  local monitor = core.monitor(subscription.to)
  own.refs[monitor], own.of[ref] = ref, monitor
end

local on = {}

function on.watch(record, ref)
  watch(record, ref)
end

function on.forget(record, ref)
  local own = record.watches
  local monitor = own.of[ref]
  if not monitor then return end
  core.demonitor(monitor)
  own.of[ref], own.refs[monitor] = nil, nil
end

function on.publish(record, value)
  local to = core.unbroken(record.local_topics.find, record.local_topics,
    value.topic)
  if #to == 0 then return end
  local fine, msg = core.unpack_foreign(value.packed)
  if not fine then
    return frames.end_for(record, "bad_frame")
  end
  local message = {
    tag = "publish", topic = value.topic, msg = msg, peer = record.pid,
  }
  for _, pid in ipairs(to) do core.send(pid, message) end
end

function Pubsub.init(_, get_record)
  local record = get_record()
  record.watches = { refs = {}, of = {} }
  child.enter(record, "pubsub")
  local topics = record.local_topics
  for _, ref in ipairs(core.unbroken(topics.keys, topics)) do
    watch(record, ref)
  end
  if record.is_said then core.unbroken(Pubsub.say_all, record) end
end

function Pubsub.handle_info(_, message)
  if child.handle("pubsub", on, message) then return end
  if type(message) ~= "table" or message.tag ~= "DOWN" then return end
  local own = child.record().watches
  local ref = message.ref ~= nil and own.refs[message.ref]
  if not ref then return end
  own.refs[message.ref], own.of[ref] = nil, nil
  core.unbroken(Pubsub.unsubscribe, child.record(), ref)
end

function Pubsub.start_link(get_record)
  return server.start_link(Pubsub, get_record)
end

return Pubsub
